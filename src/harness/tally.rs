//! What a run has counted.

use std::collections::BTreeMap;

use hdrhistogram::Histogram;

use crate::program::{Const, Program};

/// How often each outcome was seen. An outcome is one value per column of the program.
pub type OutcomeCounts = BTreeMap<Vec<Const>, u64>;

/// The counts at one skew.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct SkewTally {
    /// How much later the last thread began than P0, in ticks.
    pub skew: i64,
    /// Counts per outcome.
    pub outcomes: OutcomeCounts,
}

impl SkewTally {
    /// Instances run at this skew.
    pub fn iterations(&self) -> u64 {
        self.outcomes.values().sum()
    }
}

/// The counts of the instances that began alike.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StartTally {
    /// Whether the threads fetched their lines before the tick.
    pub warm: bool,
    /// The thread that wrote each location last, in the order of the program's locations; none where no thread of the test ever goes.
    pub last_writers: Vec<Option<usize>>,
    /// Instances.
    pub iterations: u64,
    /// Races among them.
    pub races: u64,
}

/// Everything counted in a run.
#[derive(Debug, Clone)]
pub struct Tally {
    /// Instances that all threads completed and whose outcome passes the test's filter, counted by the batches and not by their outcomes.
    pub iterations: u64,
    /// Instances whose outcome fails the filter. They are no iterations, and nothing else here counts them.
    pub filtered: u64,
    /// Outcome counts for each skew, in ascending order of skew.
    pub skews: Vec<SkewTally>,
    /// The same instances by how their lines lay when they began.
    pub starts: Vec<StartTally>,
    /// Iterations from one race to the next.
    pub gaps: Histogram<u64>,
}

impl Tally {
    /// An empty tally for these skews, in ticks.
    pub fn new(skews: &[i64]) -> Tally {
        let mut skews: Vec<SkewTally> =
            skews.iter().map(|&skew| SkewTally { skew, outcomes: OutcomeCounts::new() }).collect();
        skews.sort_by_key(|tally| tally.skew);
        Tally { iterations: 0, filtered: 0, skews, starts: Vec::new(), gaps: gap_histogram() }
    }

    /// Instances that all threads completed: iterations, and those that fail the filter.
    pub fn instances(&self) -> u64 {
        self.iterations + self.filtered
    }

    /// Counts per outcome over all skews.
    pub fn outcomes(&self) -> OutcomeCounts {
        let mut total = OutcomeCounts::new();
        for (row, count) in self.skews.iter().flat_map(|tally| &tally.outcomes) {
            *total.entry(row.clone()).or_default() += count;
        }
        total
    }

    /// Adds counts of one outcome at the skew with this index.
    pub fn add(&mut self, skew: usize, row: Vec<Const>, count: u64) {
        *self.skews[skew].outcomes.entry(row).or_default() += count;
    }
}

/// Races among some counts.
pub fn races(program: &Program, outcomes: &OutcomeCounts) -> u64 {
    outcomes.iter().filter(|(row, _)| program.is_race(row)).map(|(_, count)| count).sum()
}

/// Matches among some counts; `None` where the test declares no Match event.
pub fn matches(program: &Program, outcomes: &OutcomeCounts) -> Option<u64> {
    program.match_event.as_ref()?;
    Some(outcomes.iter().filter(|(row, _)| program.is_match(row) == Some(true)).map(|(_, count)| count).sum())
}

/// From one iteration to 10^12, to two digits: a run of hours without a race fits.
pub fn gap_histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1, 1_000_000_000_000, 2).expect("constant bounds that are in order")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ten_to_the_ten_iterations_and_more_overflow_nothing() {
        let mut tally = Tally::new(&[5, -5]);
        let row = |value| vec![Const::Int(value)];
        for _ in 0..4 {
            tally.add(0, row(0), 10_u64.pow(18));
            tally.add(1, row(1), 10_u64.pow(10));
        }
        assert_eq!(tally.outcomes()[&row(0)], 4 * 10_u64.pow(18));
        assert_eq!(tally.outcomes()[&row(1)], 4 * 10_u64.pow(10));
        assert_eq!(tally.skews.iter().map(|tally| tally.skew).collect::<Vec<_>>(), [-5, 5]);
        let mut gaps = gap_histogram();
        gaps.saturating_record(u64::MAX);
        assert_eq!(gaps.len(), 1);
    }
}
