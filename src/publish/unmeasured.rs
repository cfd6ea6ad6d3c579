//! The tests that were to run and have no result, in words.

use super::numbers::{counted, first_few};
use crate::machine::{format_cpu_list, in_order};
use crate::record::{NoResult, Unmeasured};

/// More tests than this are not all named.
const NAMED: usize = 6;

/// What is said of an interrupted run.
pub const INTERRUPTED: &str = "Interrupted: the counts are those up to the interruption.";

/// The words about tests without a result: a line for each reason.
pub fn unmeasured(tests: &[Unmeasured]) -> Vec<String> {
    let of = |reason: NoResult| tests.iter().filter(move |test| test.reason == reason);
    let mut lines = Vec::new();
    if let Some(first) = of(NoResult::NoPlacement).next() {
        let names: Vec<String> =
            of(NoResult::NoPlacement).map(|test| format!("{} ({} threads)", test.scenario, test.threads)).collect();
        lines.push(format!(
            "{} not run, because the CPUs that may be used ({}) have no placement for them: {}",
            names.len(),
            format_cpu_list(&first.cpus),
            names.join(", ")
        ));
    }
    let names: Vec<String> =
        of(NoResult::NoBatch).map(|test| format!("{} on CPUs {}", test.scenario, in_order(&test.cpus))).collect();
    if !names.is_empty() {
        lines.push(format!(
            "{} without a result, because no batch was completed in the time (-d gives more): {}",
            names.len(),
            names.join(", ")
        ));
    }
    let interrupted: Vec<&Unmeasured> = of(NoResult::Interrupted).collect();
    if !interrupted.is_empty() {
        let mut names: Vec<&str> = interrupted.iter().map(|test| test.scenario.as_str()).collect();
        names.sort_unstable();
        names.dedup();
        let placements = match interrupted.len() {
            all if all == names.len() => String::new(),
            all => format!(" ({} on their CPUs)", counted(all as u64, "run")),
        };
        let tests = counted(names.len() as u64, "test");
        lines.push(format!(
            "{tests} not run{placements}, because the run was interrupted: {}",
            first_few(&names, NAMED)
        ));
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_reason_has_its_line_and_each_test_its_name() {
        let test = |name: &str, threads, cpus: &[usize], reason| Unmeasured {
            scenario: name.to_owned(),
            threads,
            cpus: cpus.to_vec(),
            reason,
        };
        assert_eq!(unmeasured(&[]), Vec::<String>::new());
        let tests = [
            test("SB", 2, &[0, 1], NoResult::NoBatch),
            test("S14-third-cpu", 3, &[0, 1], NoResult::NoPlacement),
            test("MP+nt", 2, &[1, 0], NoResult::NoBatch),
            test("LB", 2, &[0, 1], NoResult::Interrupted),
        ];
        let lines = [
            "1 not run, because the CPUs that may be used (0,1) have no placement for them: S14-third-cpu (3 threads)",
            "2 without a result, because no batch was completed in the time (-d gives more): SB on CPUs 0,1, MP+nt on CPUs 1,0",
            "1 test not run, because the run was interrupted: LB",
        ];
        assert_eq!(unmeasured(&tests), lines);
        let of = |cpus: &'static [usize]| (0..8).map(move |at| test(&format!("X{at}"), 2, cpus, NoResult::Interrupted));
        let many: Vec<Unmeasured> = of(&[0, 1]).chain(of(&[2, 3])).collect();
        let line = "8 tests not run (16 runs on their CPUs), because the run was interrupted: X0, X1, X2, X3, X4, X5 and 2 more";
        assert_eq!(unmeasured(&many), [line]);
    }
}
