//! The testing power of runs, in words.

use super::cpus::letter;
use crate::record::{REPRODUCIBLE, Record, RunPower};
use crate::shown;

/// This many names of tests that were not killed are printed.
const NAMED: usize = 4;

/// The testing power of a run in one sentence. `None` under an emulator, for the logs of another program, and if no control
/// and no mutant was run.
pub(super) fn line(record: &Record) -> Option<String> {
    let power = known(record)?;
    let RunPower { allowed, seen, .. } = power;
    Some(format!("Testing power: {}; {seen} of {allowed} outcomes that may happen here were seen.", score(&power)))
}

/// The testing power of the two or more records of a comparison, under the letters that it gives them. Empty if none has one.
pub fn testing_powers(records: &[Record]) -> String {
    of_sides(records.iter().enumerate().map(|(number, record)| (letter(number), vec![record])))
}

/// The testing power of the sides of a comparison, each of one record or more. Sides with the same one share a part.
pub(super) fn of_sides<'a>(sides: impl Iterator<Item = (String, Vec<&'a Record>)>) -> String {
    let mut same: Vec<(String, Vec<String>)> = Vec::new();
    for (letter, records) in sides {
        let mut scores: Vec<(String, usize)> = Vec::new();
        for score in records.iter().filter_map(|record| Some(score(&known(record)?))) {
            match scores.iter_mut().find(|(known, _)| *known == score) {
                Some((_, count)) => *count += 1,
                None => scores.push((score, 1)),
            }
        }
        let several = records.len() > 1;
        for (score, count) in scores {
            let who = if several { format!("{letter} ({count} of {} records)", records.len()) } else { letter.clone() };
            match same.iter_mut().find(|(known, _)| *known == score) {
                Some((_, sides)) => sides.push(who),
                None => same.push((score, vec![who])),
            }
        }
    }
    let each: Vec<String> = same.iter().map(|(score, sides)| format!("{}: {score}", sides.join(", "))).collect();
    if each.is_empty() { String::new() } else { format!("\nTesting power: {}.\n", each.join("; ")) }
}

fn known(record: &Record) -> Option<RunPower> {
    if record.host.emulated || record.tool.is_foreign() {
        return None;
    }
    // Early versions kept neither sightings nor the blocks that tell them, so nothing can be said of their reproducibility.
    if record.results.iter().any(|result| result.races > 1 && !result.tells_sightings()) {
        return None;
    }
    Some(record.power()).filter(|power| power.mutants() > 0)
}

/// The first names of some tests: `SB, MP+nt`.
fn named(tests: &[String]) -> String {
    tests.iter().take(NAMED).map(|name| shown::line(name).into_owned()).collect::<Vec<_>>().join(", ")
}

/// `3 of 4 controls and mutants killed at 99.999 % (not MP+nt)`.
fn score(power: &RunPower) -> String {
    let left = &power.survived;
    let names = named(left);
    let more = if left.len() > NAMED { format!(" and {} more", left.len() - NAMED) } else { String::new() };
    let not = match left.len() {
        0 if power.killed.len() <= NAMED => format!(" ({})", named(&power.killed)),
        0 => String::new(),
        _ => format!(" (not {names}{more})"),
    };
    let wanted = super::campaign::percent(REPRODUCIBLE);
    format!("{} of {} controls and mutants killed at {wanted}{not}", power.killed.len(), power.mutants())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::shipped;

    /// A shipped record with five controls and mutants of which the first `killed` have many sightings and the others one.
    fn of(killed: usize) -> Record {
        let mut record = shipped("2026-11-25T174425Z");
        let one = record.results.iter().find(|result| result.scenario == "SB").unwrap().clone();
        record.results = (0..5)
            .map(|at| {
                let sightings = Some(if at < killed { 12 } else { 11 });
                let name = format!("test-{at}");
                crate::record::ScenarioResult { source_sha256: name.clone(), scenario: name, sightings, ..one.clone() }
            })
            .collect();
        record
    }

    #[test]
    fn a_run_says_what_it_killed_and_what_not() {
        assert_eq!(
            line(&of(5)).unwrap(),
            "Testing power: 5 of 5 controls and mutants killed at 99.999 %; 5 of 5 outcomes that may happen here were seen."
        );
        let three = line(&of(3)).unwrap();
        assert!(
            three.contains("3 of 5 controls and mutants killed at 99.999 % (not test-3, test-4); 5 of 5"),
            "{three}"
        );
        let none = line(&of(0)).unwrap();
        assert!(none.contains("0 of 5") && none.contains("(not test-0, test-1, test-2, test-3 and 1 more)"), "{none}");
        let mut without = of(5);
        without.results.iter_mut().for_each(|result| result.is_control = false);
        assert_eq!(line(&without), None, "nothing that must be seen was run");
        // A record of an early version, which kept nothing that tells sightings.
        let mut early = of(5);
        for result in &mut early.results {
            result.sightings = None;
            result.blocks.clear();
        }
        assert_eq!(line(&early), None);
        let mut emulated = of(5);
        emulated.host.emulated = true;
        assert_eq!(line(&emulated), None);
    }

    #[test]
    fn hosts_with_the_same_testing_power_share_a_part() {
        let records = [of(5), of(3), of(5)];
        assert_eq!(
            testing_powers(&records),
            "\nTesting power: A, C: 5 of 5 controls and mutants killed at 99.999 %; B: 3 of 5 controls and mutants killed at \
             99.999 % (not test-3, test-4).\n"
        );
        let side = |letter: &str, numbers: &[usize]| {
            (letter.to_owned(), numbers.iter().map(|&number| &records[number]).collect::<Vec<_>>())
        };
        let of_cpus = of_sides([side("A", &[0, 1, 2])].into_iter());
        assert!(
            of_cpus.contains("A (2 of 3 records): 5 of 5") && of_cpus.contains("A (1 of 3 records): 3 of 5"),
            "{of_cpus}"
        );
        assert_eq!(testing_powers(&[]), "");
    }
}
