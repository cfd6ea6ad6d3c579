//! `--kinds`: which kinds of core the threads of a test run on.

use crate::machine::{self, KindPattern, Topology};

/// The combinations of kinds for a test of `threads` threads: those that were asked for, or all that `cpus` have.
///
/// # Errors
/// A text that says what is wrong: an unknown or ambiguous name, or more kinds than threads.
pub(super) fn patterns(
    asked: &[String],
    topology: &Topology,
    cpus: &[usize],
    threads: usize,
) -> Result<Vec<KindPattern>, String> {
    if asked.is_empty() {
        return Ok(machine::kind_patterns(topology, cpus, threads));
    }
    let mut patterns: Vec<KindPattern> = Vec::new();
    for combination in asked {
        let kinds = combination.split('+').map(|name| kind(topology, name.trim())).collect::<Result<Vec<_>, _>>()?;
        if kinds.len() > threads {
            return Err(format!("--kinds {combination}: {} kinds of core for {threads} threads", kinds.len()));
        }
        let last = kinds[kinds.len() - 1];
        let pattern = (0..threads).map(|thread| kinds.get(thread).copied().unwrap_or(last)).collect();
        if !patterns.contains(&pattern) {
            patterns.push(pattern);
        }
    }
    Ok(patterns)
}

/// The kind with this name, or the only kind whose name contains it.
fn kind(topology: &Topology, name: &str) -> Result<usize, String> {
    let names: Vec<&str> = topology.kinds.iter().map(|kind| kind.name.as_str()).collect();
    let exact = names.iter().position(|known| known.eq_ignore_ascii_case(name));
    let contains = |known: &&str| known.to_ascii_lowercase().contains(&name.to_ascii_lowercase());
    let mut containing = (0..names.len()).filter(|&at| !name.is_empty() && contains(&names[at]));
    match (exact, containing.next(), containing.next()) {
        (Some(at), ..) | (None, Some(at), None) => Ok(at),
        (None, Some(_), Some(_)) => Err(format!("--kinds: '{name}' is ambiguous; the kinds are {}", names.join(", "))),
        (None, None, _) => {
            Err(format!("--kinds: there is no kind of core '{name}'; the kinds are {}", names.join(", ")))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::machine::{Cpu, Kind};

    fn topology() -> Topology {
        let kind = |name: &str, cpus: &[usize]| Kind { name: name.to_owned(), cpus: cpus.to_vec() };
        let kinds = vec![kind("Cortex-X925", &[0]), kind("Cortex-A725", &[1, 2]), kind("Cortex-A720", &[3])];
        let cpus = [0, 1, 1, 2].into_iter().enumerate().map(|(id, kind)| Cpu { id, kind, ..Cpu::default() }).collect();
        Topology { cpus, kinds, ..Topology::default() }
    }

    #[test]
    fn a_part_of_a_name_is_enough_if_it_is_unique() {
        let of = |asked: &[&str], threads| {
            let asked: Vec<String> = asked.iter().map(|text| (*text).to_owned()).collect();
            patterns(&asked, &topology(), &[0, 1, 2, 3], threads)
        };
        assert_eq!(of(&["x925"], 2).unwrap(), [vec![0, 0]]);
        assert_eq!(of(&["A725+x925", "cortex-a720"], 2).unwrap(), [vec![1, 0], vec![2, 2]]);
        assert_eq!(of(&["X925+A725"], 3).unwrap(), [vec![0, 1, 1]]);
        assert_eq!(of(&["X925", "Cortex-X925+X925"], 2).unwrap(), [vec![0, 0]]);
        assert_eq!(of(&[], 2).unwrap().len(), 9);
        for (asked, threads, words) in [
            ("A72", 2, "'A72' is ambiguous; the kinds are Cortex-X925, Cortex-A725, Cortex-A720"),
            ("X4", 2, "there is no kind of core 'X4'"),
            ("X925+", 2, "there is no kind of core ''"),
            ("X925+A725+A720", 2, "3 kinds of core for 2 threads"),
        ] {
            let error = of(&[asked], threads).unwrap_err();
            assert!(error.contains(words), "{asked}: {error}");
        }
    }
}
