//! The tests that were to run and have no result, in words.

use crate::machine::{format_cpu_list, in_order};
use crate::record::{NoResult, Unmeasured};

/// The words about tests without a result: a line for all that have no placement, and a line for all whose time was over too
/// soon.
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
        ];
        let lines = [
            "1 not run, because the CPUs that may be used (0,1) have no placement for them: S14-third-cpu (3 threads)",
            "2 without a result, because no batch was completed in the time (-d gives more): SB on CPUs 0,1, MP+nt on CPUs 1,0",
        ];
        assert_eq!(unmeasured(&tests), lines);
    }
}
