//! The output of a run: [`Measurement`].

use std::time::Duration;

use super::edges::Chain;
use super::history::Block;
use super::phases::Phases;
use super::strata::DistanceCounts;
use super::tally::Tally;
use crate::units::Nanos;

/// Why a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stop {
    /// A limit of time or iterations was reached.
    Limit,
    /// The number of races or the goal of [`Limits`](super::Limits) was reached: the run ended by what it found.
    Found,
    /// The CPUs were no longer at the distance that the plan is for ([`RunPlan::only_at`](super::RunPlan::only_at)).
    Left,
    /// The caller's interrupt flag was set.
    Interrupted,
}

/// The period that had the most races per second at a distance.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct BestPeriod {
    /// The distance between the CPUs; `None` if none was measured.
    pub distance: Option<Nanos>,
    /// The period.
    pub period: Nanos,
}

/// Result of a run.
#[derive(Debug)]
pub struct Measurement {
    /// The counts.
    pub tally: Tally,
    /// Wall-clock time from the first batch to the last.
    pub elapsed: Duration,
    /// Time inside batches, a part of `elapsed`: from the tick at which the first thread starts to the end of
    /// the last thread.
    pub in_batches: Duration,
    /// What the threads did in the time of `elapsed`.
    pub phases: Phases,
    /// Period: the mean over all instances if it adapts. 0 for a free run.
    pub period: Nanos,
    /// The periods that had the most races per second when periods were tried: one for each distance at which enough were.
    pub best_periods: Vec<BestPeriod>,
    /// Share of groups, over all threads, that started late because their thread was still busy with an earlier
    /// group. With edges, of spans. 0 for a free run.
    pub late: f64,
    /// Time between the ends of the first and the last thread of a batch, corrected for the skew:
    /// the mean over all counted batches that were not disturbed. In a free run this is how far
    /// the threads drift apart in a batch.
    pub end_spread: Nanos,
    /// Number of instances in discarded batches, in which a thread lost its CPU.
    pub discarded: u64,
    /// Number of disturbed batches, including those that were kept because nearly all batches were disturbed.
    pub disturbances: u64,
    /// Number of instances in discarded batches after which a thread was on a CPU other than its own.
    pub moved: u64,
    /// The highest nice value that a thread was granted.
    pub nice: i32,
    /// How often the event of the plan was counted, over all threads. `None` if a thread had no counter.
    pub event_count: Option<u64>,
    /// Share of instances that raced, batch by batch, in order. If the run selects the best skews, it has only
    /// batches at those skews. It has no batches from the time when other periods were being tried.
    pub history: Vec<f32>,
    /// Counts of the same batches in order, merged into blocks. All blocks have the same number of batches,
    /// except that the last may have fewer.
    pub blocks: Vec<Block>,
    /// The distances between the CPUs and the counts at each of them. `None` if threads share a CPU, or if there is one
    /// thread.
    pub distances: Option<DistanceCounts>,
    /// Time from the call until the first batch was counted.
    pub first_outcome: Duration,
    /// The chain of each thread at the end of a run that is paced by edges; empty for other runs.
    pub chains: Vec<Chain>,
    /// How often a thread measured its chain again, because it had drifted.
    pub chain_drifts: u64,
    /// Why the run ended.
    pub stop: Stop,
}

impl Measurement {
    /// Number of groups of so many instances in the batches that count. 0 if a thread lost its CPU in every batch.
    pub fn groups(&self, group: usize) -> u64 {
        self.tally.instances().div_ceil(group as u64)
    }
}
