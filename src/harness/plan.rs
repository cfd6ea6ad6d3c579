//! What is to be run, how, and what comes out.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use super::history::Block;
use super::tally::Tally;
use crate::codegen::{Pace, ThreadCode};
use crate::layout::Layout;
use crate::machine::Clock;
use crate::program::Program;

/// What is to be run where.
#[derive(Debug, Clone, Copy)]
pub struct Job<'a> {
    /// The test.
    pub program: &'a Program,
    /// Where its variables lie.
    pub layout: &'a Layout,
    /// Its code for this host, one per thread, emitted for the plan's pace and this layout.
    pub code: &'a [ThreadCode],
    /// The CPU of each thread.
    pub cpus: &'a [usize],
    /// The host's clock.
    pub clock: Clock,
}

/// How it is to be run.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    /// Free or paced.
    pub pace: Pace,
    /// Ticks from one group of instances to the next, if paced.
    pub period: u64,
    /// Instances that follow each other freely at each tick, if paced.
    pub group: usize,
    /// Whether a group's lines are fetched before its tick.
    pub warm: Warm,
    /// Whether the period may follow the machine.
    pub adapt: Adapt,
    /// How much later the last thread begins than P0, in ticks; the threads between are spread evenly. One of these
    /// is taken for each batch, in random order.
    pub skews: Vec<i64>,
    /// How far the counter of each thread's CPU is ahead of that of P0's, in ticks; a thread beyond the end is not ahead. Each start is
    /// corrected by it, so that skews are between moments and not between readings.
    pub ahead: Vec<i64>,
    /// Whether the skews are all taken equally often to the end, or, after a first part of the run, only those that are worth it.
    pub focus: bool,
    /// The nice value that threads ask for: a lower one keeps more of a CPU that others want too.
    pub nice: i32,
    /// Instances per batch.
    pub batch: usize,
    /// Seed of the order of skews.
    pub seed: u64,
    /// When to stop.
    pub limits: Limits,
}

/// Whether the period of a paced run follows the machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Adapt {
    /// It stays as it is.
    Never,
    /// It is the shortest that the threads keep.
    Kept,
    /// It is that, or the one with the most races per second, where races are frequent enough to tell.
    Races,
}

/// Whether a thread fetches the lines of a group before its tick: those it stores to as its own, the others to read. On weakly ordered CPUs a
/// store whose line is not there yet may be what lets the next one pass, so that fetching hides it; in turns is as good as either on
/// x86 (docs/performance.md), and the same everywhere.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Warm {
    /// It does.
    On,
    /// It does not.
    Off,
    /// In every other batch, at random.
    #[default]
    Turns,
}

impl fmt::Display for Warm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Warm::On => "on",
            Warm::Off => "off",
            Warm::Turns => "turns",
        })
    }
}

impl FromStr for Warm {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        [Warm::On, Warm::Off, Warm::Turns]
            .into_iter()
            .find(|warm| warm.to_string() == text)
            .ok_or_else(|| format!("unknown warmth '{text}'; known are on, off, turns"))
    }
}

/// When a run ends; the first that is reached.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Limits {
    /// Wall-clock time.
    pub duration: Option<Duration>,
    /// Instances that all threads completed, those that fail the test's filter among them; reached exactly.
    pub iterations: Option<u64>,
    /// Races: the batch that reaches them is finished.
    pub races: Option<u64>,
}

/// Why a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stop {
    /// A limit was reached.
    Limit,
    /// Somebody asked for it.
    Interrupted,
}

/// What a run gives.
#[derive(Debug)]
pub struct Measurement {
    /// The counts.
    pub tally: Tally,
    /// Wall-clock time from the first batch to the last.
    pub elapsed: Duration,
    /// The part of it spent inside batches: from the tick at which the first thread begins to when the last is done.
    pub in_batches: Duration,
    /// The period in ticks: the mean over all instances, if it adapts. 0 for a free run.
    pub period: f64,
    /// The share of groups of instances, over all threads, that began after their time because their thread was still busy with
    /// an earlier one. 0 for a free run.
    pub late: f64,
    /// How far apart the first and the last thread were at the ends of batches, the skew taken off, in nanoseconds: the mean over all
    /// batches that count. In a free run it is what they drift apart in a batch.
    pub apart: f64,
    /// Instances of batches in which a thread lost its CPU: they were run and thrown away.
    pub discarded: u64,
    /// How many such batches there were, counting those that were kept because there was hardly another.
    pub disturbances: u64,
    /// Instances of batches after which a thread was found on another CPU than its own: they were run and thrown away.
    pub moved: u64,
    /// The nice value that the threads were granted.
    pub nice: i32,
    /// The share of instances that raced, batch by batch, in order; after a sweep that finds the worthwhile skews, only those,
    /// and none in which other periods were tried.
    pub history: Vec<f32>,
    /// The counts of the same batches in order, joined into blocks of equally many; the last may be shorter.
    pub blocks: Vec<Block>,
    /// How long after the call the first batch was counted.
    pub first_outcome: Duration,
    /// Why it ended.
    pub stop: Stop,
}

/// How many stretches of memory paced batches take turns in, at random. Where a stretch happens to lie decides how fast its lines
/// move, so one run must not stand on one of them. Measured with 1, 4 and 8 of them: docs/performance.md. Free-running batches stay
/// in one.
const STRETCHES: usize = 4;
/// How much memory a stretch takes by default. All stretches of a paced run fit a second-level cache of 1 MiB, so that what is timed is
/// lines moving between cores and not capacity misses.
const PACED_STRETCH: usize = 256 << 10;
/// A free-running batch is what its threads keep together without a clock; a longer one spends less on what is between batches. Measured
/// from 1024 to 16384 instances, docs/performance.md: with 8192 of store buffering, which are 2 MiB, four fifths of the time are
/// inside batches, and longer ones drift apart.
const FREE_STRETCH: usize = 2 << 20;

/// Instances per batch by default: as many as fit a stretch, within reason.
pub fn default_batch(layout: &Layout, pace: Pace) -> usize {
    let bytes = if pace == Pace::Paced { PACED_STRETCH } else { FREE_STRETCH };
    layout.most.unwrap_or_else(|| (bytes / layout.stride).clamp(64, 8192))
}

impl Plan {
    /// Instances at a tick; free runs have no ticks.
    pub(super) fn per_tick(&self) -> u64 {
        if self.pace == Pace::Paced { self.group as u64 } else { 1 }
    }

    /// Stretches of memory that it takes turns in.
    pub(super) fn stretches(&self) -> usize {
        if self.pace == Pace::Paced { STRETCHES } else { 1 }
    }

    /// How far the counter of a thread's CPU is ahead of that of P0's, in ticks.
    pub(super) fn ahead(&self, number: usize) -> i64 {
        self.ahead.get(number).copied().unwrap_or(0)
    }

    /// What thread `number` adds to a batch's start, for each skew, so that its own counter says when to begin.
    pub(super) fn delays(&self, number: usize, threads: usize) -> Vec<i64> {
        self.skews.iter().map(|skew| delay(*skew, number, threads) + self.ahead(number)).collect()
    }
}

/// When thread `number` begins after P0, in ticks, or before it if negative: half of a negative skew cannot be waited
/// for, so P0 waits instead.
pub(super) fn delay(skew: i64, number: usize, threads: usize) -> i64 {
    let signed = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
    let steps = signed(threads.saturating_sub(1).max(1));
    let own = skew.saturating_mul(signed(number)) / steps;
    // The earliest thread begins at 0.
    own.saturating_sub(skew.min(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn warmth_reads_as_it_is_written() {
        for warm in [Warm::On, Warm::Off, Warm::Turns] {
            assert_eq!(warm.to_string().parse(), Ok(warm));
            assert_eq!(serde_json::to_string(&warm).unwrap(), format!("\"{warm}\""));
        }
        assert!("tepid".parse::<Warm>().is_err());
    }

    #[test]
    fn a_thread_whose_counter_is_ahead_waits_for_a_later_reading() {
        let plan = Plan {
            pace: Pace::Paced,
            period: 100,
            group: 1,
            warm: Warm::Off,
            adapt: Adapt::Never,
            skews: vec![-30, 0, 30],
            ahead: vec![0, 700],
            focus: false,
            nice: 0,
            batch: 1,
            seed: 1,
            limits: Limits::default(),
        };
        assert_eq!(plan.delays(0, 2), [30, 0, 0]);
        assert_eq!(plan.delays(1, 2), [700, 700, 730]);
        // A counter that is behind reaches the same moment with a smaller reading.
        assert_eq!(Plan { ahead: vec![0, -700], ..plan.clone() }.delays(1, 2), [-700, -700, -670]);
        // Nothing was measured: nothing is corrected.
        assert_eq!(Plan { ahead: Vec::new(), ..plan }.delays(1, 2), [0, 0, 30]);
    }

    #[test]
    fn skews_delay_whoever_is_later() {
        assert_eq!([delay(30, 0, 2), delay(30, 1, 2)], [0, 30]);
        assert_eq!([delay(-30, 0, 2), delay(-30, 1, 2)], [30, 0]);
        assert_eq!([delay(30, 0, 3), delay(30, 1, 3), delay(30, 2, 3)], [0, 15, 30]);
        assert_eq!([delay(-30, 0, 3), delay(-30, 1, 3), delay(-30, 2, 3)], [30, 15, 0]);
        assert_eq!(delay(30, 0, 1), 0);
    }
}
