//! Groups results that are shown as one: those of one test on several placements.

use crate::record::{Finding, Record, ScenarioResult};
use crate::stats::{Interval, interval_with, share};

/// The sum of at least one result of one test.
pub(super) struct Sum<'a> {
    pub(super) results: Vec<&'a ScenarioResult>,
    pub(super) iterations: u64,
    pub(super) races: u64,
    /// The matches, if all results count them.
    pub(super) matches: Option<u64>,
}

impl<'a> Sum<'a> {
    pub(super) fn new(results: Vec<&'a ScenarioResult>) -> Sum<'a> {
        // Counts whose sum overflows are in no valid record. The sum then saturates, so that something is
        // shown.
        let sum =
            |of: fn(&ScenarioResult) -> u64| results.iter().fold(0u64, |sum, result| sum.saturating_add(of(result)));
        let matched = results.iter().all(|result| result.matches.is_some());
        Sum {
            iterations: sum(|result| result.iterations),
            races: sum(|result| result.races),
            matches: matched.then(|| sum(|result| result.matches.unwrap_or(0))),
            results,
        }
    }

    pub(super) fn first(&self) -> &'a ScenarioResult {
        self.results[0]
    }

    pub(super) fn rate(&self) -> Option<f64> {
        share(self.races, self.iterations)
    }

    /// The interval of the rate. The variance of a sum is the sum of the variances of its parts, so each
    /// part's design effect ([`ScenarioResult::effect`]) is weighted by its races.
    pub(super) fn interval(&self) -> Option<Interval> {
        if let [one] = self.results[..] {
            return one.stated_interval();
        }
        let races = self.races as f64;
        let weighted: f64 = self.results.iter().map(|result| result.effect() * result.races as f64).sum();
        interval_with(self.races, self.iterations, if races > 0.0 { weighted / races } else { 1.0 })
    }

    /// The strongest finding of the results: forbidden observed, observed, inconclusive, not observed.
    pub(super) fn finding(&self) -> Finding {
        let has = |finding| self.results.iter().any(|result| result.finding == finding);
        [Finding::ForbiddenObserved, Finding::Observed, Finding::Inconclusive]
            .into_iter()
            .find(|finding| has(*finding))
            .unwrap_or(Finding::NotObserved)
    }
}

/// The results of a record in reading order, grouped by `alike`.
fn together(record: &Record, alike: impl Fn(&ScenarioResult, &ScenarioResult) -> bool) -> Vec<Sum<'_>> {
    let mut groups: Vec<Vec<&ScenarioResult>> = Vec::new();
    for result in reading_order(record) {
        match groups.iter_mut().find(|group| alike(group[0], result)) {
            Some(group) => group.push(result),
            None => groups.push(vec![result]),
        }
    }
    groups.into_iter().map(Sum::new).collect()
}

/// A sum for each test.
pub(super) fn by_test(record: &Record) -> Vec<Sum<'_>> {
    together(record, |a, b| a.test_key() == b.test_key())
}

/// A sum for each test on each placement class and each combination of kinds of core.
pub(super) fn by_class(record: &Record) -> Vec<Sum<'_>> {
    together(record, |a, b| a.test_key() == b.test_key() && a.placement.is_like(&b.placement))
}

/// The results in reading order: controls last, otherwise in the order they were run.
pub(super) fn reading_order(record: &Record) -> Vec<&ScenarioResult> {
    let mut results: Vec<&ScenarioResult> = record.results.iter().collect();
    results.sort_by_key(|result| result.group == "controls");
    results
}
