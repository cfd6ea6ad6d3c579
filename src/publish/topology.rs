//! The table of a machine's CPUs. CPUs that are alike share a row, so that the table of a large machine can be read.

use super::fit::table_with_notes;
use crate::machine::{Cpu, Topology, format_cpu_list};

/// A list of CPUs with more ranges than this is shortened, if its ranges are alike.
const RANGES: usize = 4;
/// So many sets or ranges in a row are written as the first and the last one.
const REPEATED: usize = 3;

/// Sentences below the table, if it has such cells.
const DOTS: &str = "A ... B: sets like A and B, each as far from the one before.";
const BRACES: &str = "{A,B ... C}: one set, of the CPUs or ranges A, B and so on up to C.";
const SETS: &str = "A; B: the CPUs A are one core (or cluster, cache, socket), and the CPUs B are another one.";

/// The table of CPUs as text of at most `width` columns, if its words allow that. CPUs of one kind, socket and NUMA node, which this
/// process may use alike, are one row. The cells name the sets of these CPUs that are a core, a cluster, and so on.
pub fn cpu_table(topology: &Topology, allowed: &[usize], isolated: &[usize], width: Option<usize>) -> String {
    let barred = |cpu: &Cpu| match (allowed.contains(&cpu.id), isolated.contains(&cpu.id)) {
        (true, true) => "isolated",
        (true, false) => "",
        (false, true) => "isolated; `taskset -c` makes it available",
        (false, false) => "not allowed to this process",
    };
    let alike = |a: &Cpu, b: &Cpu| (a.kind, &a.package, a.node, barred(a)) == (b.kind, &b.package, b.node, barred(b));
    let mut rows: Vec<Vec<&Cpu>> = Vec::new();
    for cpu in &topology.cpus {
        match rows.iter_mut().find(|row| alike(row[0], cpu)) {
            Some(row) => row.push(cpu),
            None => rows.push(vec![cpu]),
        }
    }
    let cells = |row: &Vec<&Cpu>| {
        let sets_of = |of: fn(&Cpu) -> &Vec<usize>| sets(row.iter().map(|cpu| of(cpu)));
        vec![
            cpu_list(&row.iter().map(|cpu| cpu.id).collect::<Vec<_>>()),
            sets_of(|cpu| &cpu.core),
            sets_of(|cpu| &cpu.cluster),
            sets_of(|cpu| &cpu.llc),
            sets_of(|cpu| &cpu.package),
            row[0].node.map_or("-".to_owned(), |node| node.to_string()),
        ]
    };
    let mut headings = vec!["CPUs", "core", "cluster", "last-level cache", "socket", "node"];
    let mut lines: Vec<Vec<String>> = rows.iter().map(cells).collect();
    // Most machines have no clusters.
    if lines.iter().all(|line| line[2] == "-") {
        headings.remove(2);
        lines.iter_mut().for_each(|line| drop(line.remove(2)));
    }
    let has = |mark: &str| lines.iter().flatten().any(|cell| cell.contains(mark));
    let said = [("; ", SETS), (" ... ", DOTS), ("{", BRACES)].into_iter().filter(|(mark, _)| has(mark));
    let said: String = said.map(|(_, sentence)| format!("{sentence}\n")).collect();
    let notes: Vec<String> = rows.iter().map(|row| barred(row[0]).to_owned()).collect();
    let table = table_with_notes(&headings, lines, &notes, width, &[]);
    if said.is_empty() { table } else { table + &super::wrapped_lines(&said, width) }
}

/// A list of CPUs in the kernel's notation. Where many ranges are alike, `0-7,16-23 ... 112-119` has the first two and the
/// last one.
pub fn cpu_list(cpus: &[usize]) -> String {
    let mut ranges: Vec<Vec<usize>> = Vec::new();
    for &cpu in cpus {
        match ranges.last_mut().filter(|range| range.last().is_some_and(|last| last + 1 == cpu)) {
            Some(range) => range.push(cpu),
            None => ranges.push(vec![cpu]),
        }
    }
    if ranges.len() <= RANGES {
        return format_cpu_list(cpus);
    }
    let each = repeated(&ranges).into_iter().map(|same| match same {
        [first, second, .., last] if same.len() > REPEATED => {
            format!("{},{} ... {}", format_cpu_list(first), format_cpu_list(second), format_cpu_list(last))
        }
        few => few.iter().map(|range| format_cpu_list(range)).collect::<Vec<_>>().join(","),
    });
    // A list that has no pattern is broken into lines at the spaces.
    each.collect::<Vec<_>>().join(", ")
}

/// The different sets among these, such as `0,8 ... 7,15` for the cores of eight times two threads. A set that is shortened itself
/// stands in braces beside others: `{0,16 ... 240} ... {14,30 ... 254}`.
fn sets<'a>(all: impl Iterator<Item = &'a Vec<usize>>) -> String {
    let mut different: Vec<Vec<usize>> = Vec::new();
    let mut known = std::collections::HashSet::new();
    for set in all.filter(|set| known.insert(*set)) {
        different.push(set.clone());
    }
    let list = |set: &Vec<usize>| match cpu_list(set) {
        none if none.is_empty() => "-".to_owned(),
        short if short.contains(' ') && different.len() > 1 => format!("{{{short}}}"),
        whole => whole,
    };
    let each = repeated(&different).into_iter().map(|same| match same {
        [first, .., last] if same.len() >= REPEATED => format!("{} ... {}", list(first), list(last)),
        few => few.iter().map(list).collect::<Vec<_>>().join("; "),
    });
    each.collect::<Vec<_>>().join("; ")
}

/// Divides sets into parts in which each set is the one before, moved by the same distance.
fn repeated(sets: &[Vec<usize>]) -> Vec<&[Vec<usize>]> {
    let distance = |a: &[usize], b: &[usize]| {
        let by = b.first()?.checked_sub(*a.first()?)?;
        (a.len() == b.len() && a.iter().zip(b).all(|(a, b)| a + by == *b)).then_some(by)
    };
    let (mut out, mut begin) = (Vec::new(), 0);
    while begin < sets.len() {
        let mut end = begin + 1;
        let by = sets.get(end).and_then(|next| distance(&sets[begin], next));
        while by.is_some() && sets.get(end).is_some_and(|next| distance(&sets[end - 1], next) == by) {
            end += 1;
        }
        out.push(&sets[begin..end]);
        begin = end;
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A machine whose CPUs belong to sets that these functions give.
    fn machine(
        cpus: usize,
        core: impl Fn(usize) -> Vec<usize>,
        llc: impl Fn(usize) -> Vec<usize>,
        sockets: usize,
    ) -> Topology {
        let socket = |cpu: usize| (0..cpus).filter(|other| other % sockets == cpu % sockets).collect();
        let cpu = |id| Cpu {
            id,
            core: core(id),
            cluster: Vec::new(),
            llc: llc(id),
            package: socket(id),
            node: Some(id % sockets),
            kind: 0,
        };
        Topology { cpus: (0..cpus).map(cpu).collect(), ..Topology::default() }
    }

    fn whole(topology: &Topology, width: Option<usize>) -> String {
        let all: Vec<usize> = topology.cpus.iter().map(|cpu| cpu.id).collect();
        cpu_table(topology, &all, &[], width)
    }

    #[test]
    fn cpus_that_are_alike_are_one_row() {
        let threads = machine(8, |cpu| vec![cpu % 4, cpu % 4 + 4], |_| (0..8).collect(), 1);
        let wanted =
            " CPUs  core         last-level cache  socket  node\n 0-7   0,4 ... 3,7  0-7               0-7     0\n";
        assert_eq!(whole(&threads, None), format!("{wanted}{DOTS}\n"));
        let two = machine(2, |cpu| vec![cpu], |_| vec![0, 1], 1);
        let wanted = " CPUs  core  last-level cache  socket  node\n 0,1   0; 1  0,1               0,1     0\n";
        assert_eq!(whole(&two, None), format!("{wanted}{SETS}\n"));
        assert_eq!(
            cpu_table(&threads, &[0, 1, 2, 3], &[3, 7], None).lines().skip(1).collect::<Vec<_>>(),
            [
                " 0-2   0,4 ... 2,6  0-7               0-7     0",
                " 3     3,7          0-7               0-7     0",
                "    isolated",
                " 4-6   0,4 ... 2,6  0-7               0-7     0",
                "    not allowed to this process",
                " 7     3,7          0-7               0-7     0",
                "    isolated; `taskset -c` makes it available",
                DOTS,
            ]
        );
    }

    #[test]
    fn lists_have_the_first_and_the_last_of_ranges_that_repeat() {
        let list = |wanted: &str| {
            let cpus = crate::machine::parse_cpu_list(wanted).unwrap();
            cpu_list(&cpus)
        };
        for few in ["0", "0,1", "0-3,8", "0,2,4,6", "0,5,6,9-11"] {
            assert_eq!(list(few), few);
        }
        assert_eq!(list("0,2,4,6,8"), "0,2 ... 8");
        assert_eq!(list("0-7,16-23,32-39,48-55,64-71"), "0-7,16-23 ... 64-71");
        assert_eq!(list("0,2,4,6,9,20,21"), "0,2 ... 6, 9, 20,21");
        // The distance changes.
        assert_eq!(list("0,2,4,6,16,24,32,40"), "0,2 ... 6, 16,24 ... 40");
        let cores = [vec![0, 1], vec![2, 3], vec![4, 5], vec![6], vec![7], vec![8], vec![9, 10]];
        assert_eq!(sets(cores.iter()), "0,1 ... 4,5; 6 ... 8; 9,10");
        assert_eq!(sets([vec![], vec![], vec![1, 2]].iter()), "-; 1,2");
    }

    /// Two sockets of 128 CPUs, whose CPUs are numbered in turns, with eight caches each.
    #[test]
    fn dots_in_a_set_are_told_from_dots_between_sets() {
        let turns = machine(256, |cpu| vec![cpu], |cpu| (cpu % 16..256).step_by(16).collect(), 2);
        let text = whole(&turns, None);
        let lines: Vec<&str> = text.lines().collect();
        let cells: Vec<&str> = lines[1].split("  ").map(str::trim).filter(|cell| !cell.is_empty()).collect();
        let caches = "{0,16 ... 240} ... {14,30 ... 254}";
        assert_eq!(cells, ["0,2 ... 254", "0 ... 254", caches, "0,2 ... 254", "0"]);
        assert_eq!(lines[3..], [DOTS, BRACES]);
        let two = [[0, 2, 4, 6, 8].to_vec(), [1, 3, 5, 7, 9].to_vec()];
        assert_eq!(sets(two.iter()), "{0,2 ... 8}; {1,3 ... 9}");
    }
}
