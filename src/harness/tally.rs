//! Counts of a run.

use std::collections::BTreeMap;

use hdrhistogram::Histogram;

use crate::program::{Const, Program};
use crate::units::Ticks;

/// Count of each outcome. An outcome has one value per column of the program.
pub type OutcomeCounts = BTreeMap<Vec<Const>, u64>;

/// Counts at one skew.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct SkewTally {
    /// Start delay of the last thread relative to P0.
    pub skew: Ticks,
    /// Count of each outcome.
    pub outcomes: OutcomeCounts,
}

impl SkewTally {
    /// Number of instances run at this skew that pass the filter.
    pub fn iterations(&self) -> u64 {
        self.outcomes.values().sum()
    }

    /// Gini impurity: the probability that two random instances have different outcomes. 0 without instances.
    pub fn impurity(&self) -> f64 {
        let all = self.iterations() as f64;
        if all == 0.0 {
            return 0.0;
        }
        1.0 - self.outcomes.values().map(|count| (*count as f64 / all).powi(2)).sum::<f64>()
    }
}

/// Counts of the instances that started in the same cache state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LastWriterTally {
    /// Whether the threads prefetched the lines of the instance before its tick.
    pub prefetched: bool,
    /// The thread that last wrote each location before the instance started, in the order of the program's
    /// locations. `None` for a location that no thread of the test accesses.
    pub writers: Vec<Option<usize>>,
    /// Number of instances.
    pub iterations: u64,
    /// Number of races among them.
    pub races: u64,
}

/// Counts of a part of a run.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct SlotTally {
    /// Outcome counts for each skew, in ascending order of skew.
    pub skews: Vec<SkewTally>,
    /// The same instances, split by the cache state in which they started. Empty if nothing was counted.
    pub last_writers: Vec<LastWriterTally>,
}

impl SlotTally {
    /// An empty tally for these skews.
    pub(super) fn new(skews: impl Iterator<Item = Ticks>) -> SlotTally {
        let empty = |skew| SkewTally { skew, outcomes: OutcomeCounts::new() };
        SlotTally { skews: skews.map(empty).collect(), last_writers: Vec::new() }
    }

    /// Adds another tally for the same skews.
    pub(super) fn add(&mut self, other: &SlotTally) {
        for (sum, more) in self.skews.iter_mut().zip(&other.skews) {
            more.outcomes.iter().for_each(|(row, count)| *sum.outcomes.entry(row.clone()).or_default() += count);
        }
        if self.last_writers.is_empty() {
            self.last_writers.clone_from(&other.last_writers);
            return;
        }
        for (sum, more) in self.last_writers.iter_mut().zip(&other.last_writers) {
            sum.iterations += more.iterations;
            sum.races += more.races;
        }
    }
}

/// All counts of a run.
#[derive(Debug, Clone)]
pub struct Tally {
    /// Instances that all threads completed and whose outcome passes the test's filter. The batches give this
    /// number; it is not the sum of the outcome counts.
    pub iterations: u64,
    /// Instances whose outcome fails the filter. They are not iterations, and no other count here includes
    /// them.
    pub filtered: u64,
    /// Outcome counts for each skew, in ascending order of skew.
    pub skews: Vec<SkewTally>,
    /// The same instances, split by the cache state in which they started.
    pub last_writers: Vec<LastWriterTally>,
    /// Histogram of the number of iterations from one race to the next.
    pub gaps: Histogram<u64>,
    /// The counts of each slot: of batches at one distance between the CPUs (module `distance`). Batches since the last look
    /// are in none.
    pub(super) slots: Vec<SlotTally>,
}

impl Tally {
    /// An empty tally for these skews.
    pub fn new(skews: &[Ticks]) -> Tally {
        let mut skews: Vec<SkewTally> =
            skews.iter().map(|&skew| SkewTally { skew, outcomes: OutcomeCounts::new() }).collect();
        skews.sort_unstable_by_key(|tally| tally.skew);
        let (last_writers, slots) = (Vec::new(), Vec::new());
        Tally { iterations: 0, filtered: 0, skews, last_writers, gaps: gap_histogram(), slots }
    }

    /// The counts of two runs of the same test. The slots are left out: they are those of one run.
    pub fn with(&self, more: &Tally) -> Tally {
        let mut sum = Tally { slots: Vec::new(), ..self.clone() };
        sum.iterations += more.iterations;
        sum.filtered += more.filtered;
        sum.skews.extend(more.skews.iter().cloned());
        sum.last_writers.extend(more.last_writers.iter().cloned());
        // The bounds of all these histograms are the same.
        sum.gaps.add(&more.gaps).unwrap_or_default();
        sum
    }

    /// The counts of a slot.
    pub(super) fn slot(&mut self, at: usize) -> &mut SlotTally {
        while self.slots.len() <= at {
            self.slots.push(SlotTally::new(self.skews.iter().map(|tally| tally.skew)));
        }
        &mut self.slots[at]
    }

    /// Instances that all threads completed: iterations plus instances that fail the filter.
    pub fn instances(&self) -> u64 {
        self.iterations + self.filtered
    }

    /// Count of each outcome, summed over all skews.
    pub fn outcomes(&self) -> OutcomeCounts {
        let mut total = OutcomeCounts::new();
        for (row, count) in self.skews.iter().flat_map(|tally| &tally.outcomes) {
            *total.entry(row.clone()).or_default() += count;
        }
        total
    }

    /// Adds `count` instances with the outcome `row` at the skew with index `skew`.
    pub fn add(&mut self, skew: usize, row: Vec<Const>, count: u64) {
        *self.skews[skew].outcomes.entry(row).or_default() += count;
    }
}

/// Number of races among the given counts.
pub fn races(program: &Program, outcomes: &OutcomeCounts) -> u64 {
    outcomes.iter().filter(|(row, _)| program.is_race(row)).map(|(_, count)| count).sum()
}

/// Number of matches among the given counts. `None` if the test declares no Match event.
pub fn matches(program: &Program, outcomes: &OutcomeCounts) -> Option<u64> {
    program.match_event.as_ref()?;
    Some(outcomes.iter().filter(|(row, _)| program.is_match(row) == Some(true)).map(|(_, count)| count).sum())
}

/// An empty histogram of gaps, from 1 to 10^12 iterations with two significant digits. A run of hours without a
/// race fits.
pub fn gap_histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1, 1_000_000_000_000, 2).expect("valid constant bounds")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ten_to_the_ten_iterations_and_more_overflow_nothing() {
        let mut tally = Tally::new(&[5, -5].map(Ticks));
        let row = |value| vec![Const::Int(value)];
        for _ in 0..4 {
            tally.add(0, row(0), 10_u64.pow(18));
            tally.add(1, row(1), 10_u64.pow(10));
        }
        assert_eq!(tally.outcomes()[&row(0)], 4 * 10_u64.pow(18));
        assert_eq!(tally.outcomes()[&row(1)], 4 * 10_u64.pow(10));
        assert_eq!(tally.skews.iter().map(|tally| tally.skew).collect::<Vec<_>>(), [-5, 5].map(Ticks));
        let mut gaps = gap_histogram();
        gaps.saturating_record(u64::MAX);
        assert_eq!(gaps.len(), 1);
    }
}
