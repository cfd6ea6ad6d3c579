//! The input of a run: [`Job`] and [`RunPlan`].

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use super::edges::{EdgePlan, Span};
use super::goal::Goal;
use crate::arch::HardwareEvent;
use crate::codegen::{Pace, ThreadCode};
use crate::layout::Layout;
use crate::machine::Clock;
use crate::program::Program;
use crate::units::{Nanos, Ticks};

/// What to run, and where.
#[derive(Debug, Clone, Copy)]
pub struct Job<'a> {
    /// The test.
    pub program: &'a Program,
    /// Placement of its variables in memory.
    pub layout: &'a Layout,
    /// Machine code for this host, one function per thread, emitted for the plan's pace and for this layout.
    pub code: &'a [ThreadCode],
    /// CPU of each thread.
    pub cpus: &'a [usize],
    /// The host's clock. If the plan has edges, the clock in their units ([`crate::machine::Edges::units`]): then all times of
    /// the plan and of the measurement are in these units.
    pub clock: Clock,
}

/// How to run it.
#[derive(Debug, Clone, PartialEq)]
pub struct RunPlan {
    /// Free-running or paced.
    pub pace: Pace,
    /// Period, from one group of instances to the next (paced runs only).
    pub period: Ticks,
    /// Number of instances run back to back at each tick (paced runs only).
    pub group: usize,
    /// Whether the threads prefetch a group's lines before its tick.
    pub prefetch: Prefetch,
    /// How the period adapts during the run.
    pub adapt: Adapt,
    /// Start delays of the last thread relative to P0; negative values delay P0. The starts of
    /// the threads between P0 and the last thread are spread evenly. Each batch uses one of the skews, in random order.
    pub skews: Vec<Ticks>,
    /// How far the clock counter of each thread's CPU is ahead of the counter of P0's CPU; 0 for
    /// threads without an entry. Each thread's start is corrected by it, so that skews are differences in time
    /// and not differences between counter values.
    pub counter_offsets: Vec<Ticks>,
    /// The edges and the delays by which a run with [`Pace::Edges`] is paced.
    pub edges: Option<EdgePlan>,
    /// Whether the run selects the best skews, for three of four batches (see `focus`). If not, all skews are used
    /// equally often to the end.
    pub focus: bool,
    /// The nice value that threads request. A lower value leaves less CPU time to other processes.
    pub nice: i32,
    /// The event that the threads count, if the hardware has a counter for it.
    pub event: Option<HardwareEvent>,
    /// Instances per batch.
    pub batch: usize,
    /// Seed for the order of the skews.
    pub seed: u64,
    /// The distance between the CPUs that the other settings are for. The run ends early ([`Stop::Left`](super::Stop::Left)) if the CPUs
    /// stay at another one. `None` to run to the end at any distance.
    pub only_at: Option<Nanos>,
    /// Whether looks at the distance also find out if a thread has a neighbour on its core. Not of use if threads of the run are
    /// neighbours, or if it has stress threads.
    pub finds_neighbours: bool,
    /// When to stop.
    pub limits: Limits,
}

/// How the period of a paced run adapts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Adapt {
    /// The period is constant.
    Never,
    /// The period is the shortest that the threads keep.
    Kept,
    /// As `Kept`; where races are frequent enough to compare, the period with the most races per second.
    Races,
    /// As `Races`; the period of the plan had the most in an earlier run, and another one needs far more.
    Known,
}

/// Whether each thread prefetches the lines of a group before its tick: for writing if it stores to them,
/// otherwise for reading.
///
/// On weakly ordered CPUs, a store whose line is not in the cache can be overtaken by the next store.
/// Prefetching can hide this. So `turns`, which has both, is the default where nothing is searched, on every architecture. Which one has
/// the most races depends on the test and on the distance between the CPUs (docs/performance.md, Cache-line ownership).
#[derive(
    Debug,
    Default,
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    serde::Serialize,
    serde::Deserialize,
    schemars::JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum Prefetch {
    /// In every batch.
    On,
    /// In no batch.
    Off,
    /// In about half of the batches, chosen at random.
    #[default]
    Turns,
    /// In every batch, and the lines that a thread stores to a group earlier than those that it only reads.
    ///
    /// Two threads that prefetch at the same time take the lines from each other: the one that stores to a line owns it alone
    /// at the tick, or the other one has a copy, as it happens. A copy that is fetched after the owner's prefetch stays until
    /// the store. The first lines of a batch that are stored to are not prefetched.
    Ahead,
}

impl Prefetch {
    /// All settings.
    pub const ALL: [Prefetch; 4] = [Prefetch::On, Prefetch::Off, Prefetch::Turns, Prefetch::Ahead];

    /// The setting that describes batches with this one and with another one.
    pub fn with(self, other: Prefetch) -> Prefetch {
        match (self, other) {
            (a, b) if a == b => a,
            (Prefetch::On | Prefetch::Ahead, Prefetch::On | Prefetch::Ahead) => Prefetch::On,
            _ => Prefetch::Turns,
        }
    }
}

impl fmt::Display for Prefetch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Prefetch::On => "on",
            Prefetch::Off => "off",
            Prefetch::Turns => "turns",
            Prefetch::Ahead => "ahead",
        })
    }
}

impl FromStr for Prefetch {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Prefetch::ALL.into_iter().find(|prefetch| prefetch.to_string() == text).ok_or_else(|| {
            format!(
                "unknown value '{text}' for prefetch; known are {}",
                Prefetch::ALL.map(|known| known.to_string()).join(", ")
            )
        })
    }
}

/// When a run ends. The first limit that is reached ends it.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Limits {
    /// Wall-clock time.
    pub duration: Option<Duration>,
    /// Number of instances that all threads completed, including those that fail the test's filter. Reached
    /// exactly.
    pub iterations: Option<u64>,
    /// Number of races. The batch that reaches it is completed.
    pub races: Option<u64>,
    /// What must be found out. Looked at after batches, each time the iterations have grown by a
    /// hundredth.
    pub goal: Option<Goal>,
}

/// How much the iterations grow from one look at a goal to the next.
pub(super) const LOOK_AGAIN: f64 = 1.01;

/// Number of memory regions of a paced run. Each batch uses one of them, at random. The address of a region
/// affects how fast its lines move, so a run must not depend on a single region. Measured with 1, 4 and 8
/// regions: docs/performance.md. Free-running batches use one region.
const REGIONS: usize = 4;
/// Default size of a region in a paced run, in bytes. All regions together fit a second-level cache of 1 MiB,
/// so that the run measures lines that move between cores and not capacity misses.
const PACED_REGION: usize = 256 << 10;
/// Default size of the region in a free run, in bytes. Longer batches spend a smaller share of the time between
/// batches, but the threads drift further apart. Measured from 1024 to 16384 instances (docs/performance.md):
/// with 8192 instances of store buffering, which take 2 MiB, four fifths of the time are inside batches, and in
/// longer batches the threads drift apart.
const FREE_REGION: usize = 2 << 20;

/// Default number of instances per batch: as many as fit a region, but at least 64 and at most 8192.
pub fn default_batch(layout: &Layout, pace: Pace) -> usize {
    let bytes = if pace.is_paced() { PACED_REGION } else { FREE_REGION };
    layout.most.unwrap_or_else(|| (bytes / layout.stride).clamp(64, 8192))
}

impl RunPlan {
    /// Instances per tick. 1 for free runs, which have no ticks.
    pub(super) fn per_tick(&self) -> u64 {
        if self.pace.is_paced() { self.group as u64 } else { 1 }
    }

    /// Number of memory regions.
    pub(super) fn regions(&self) -> usize {
        if self.pace.is_paced() { REGIONS } else { 1 }
    }

    /// The time now, in ticks or in the units of the edges.
    #[inline]
    pub(super) fn now(&self, clock: Clock) -> u64 {
        self.edges.as_ref().map_or_else(|| clock.now(), |plan| plan.edges.now())
    }

    /// The length of a paced batch of `count` instances, and how many starts of a thread in it can be late: its groups, or its
    /// spans. `period` is that of the batch.
    pub(super) fn length(&self, clock: Clock, count: usize, period: u64) -> (u64, u64) {
        let groups = count.div_ceil(self.group) as u64;
        match &self.edges {
            None => (groups.saturating_mul(period), groups),
            Some(EdgePlan { edges, gap, .. }) => {
                let span = Span::of((*edges, *gap), clock, period);
                let spans = span.spans(groups);
                (spans.saturating_mul(span.units(*edges)), spans)
            }
        }
    }

    /// The mean time from one group to the next in a batch with a period.
    pub(super) fn mean_period(&self, clock: Clock, period: u64) -> f64 {
        self.edges
            .as_ref()
            .map_or(period as f64, |plan| Span::of((plan.edges, plan.gap), clock, period).period(plan.edges))
    }

    /// How far the counter of a thread's CPU is ahead of the counter of P0's CPU.
    pub(super) fn counter_offset(&self, number: usize) -> Ticks {
        self.counter_offsets.get(number).copied().unwrap_or_default()
    }

    /// For each skew, the time that thread `number` adds to the start of a batch. The sum is the
    /// reading of its own counter at which it starts.
    pub(super) fn delays(&self, number: usize, threads: usize) -> Vec<Ticks> {
        self.skews.iter().map(|skew| delay(*skew, number, threads) + self.counter_offset(number)).collect()
    }
}

/// Start delay of thread `number` relative to the thread that starts first. A negative skew delays
/// P0 instead of the last thread, because a thread cannot start before the batch does.
pub(super) fn delay(Ticks(skew): Ticks, number: usize, threads: usize) -> Ticks {
    let signed = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
    let steps = signed(threads.saturating_sub(1).max(1));
    let own = skew.saturating_mul(signed(number)) / steps;
    // The earliest thread has delay 0.
    Ticks(own.saturating_sub(skew.min(0)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn batches_of_two_prefetch_settings_are_described_by_one() {
        use Prefetch::{Ahead, Off, On, Turns};
        for (a, b, both) in
            [(Ahead, Ahead, Ahead), (On, Ahead, On), (Off, Ahead, Turns), (On, Off, Turns), (On, Turns, Turns)]
        {
            assert_eq!((a.with(b), b.with(a)), (both, both));
        }
    }

    #[test]
    fn a_prefetch_setting_reads_as_it_is_written() {
        for prefetch in Prefetch::ALL {
            assert_eq!(prefetch.to_string().parse(), Ok(prefetch));
            assert_eq!(serde_json::to_string(&prefetch).unwrap(), format!("\"{prefetch}\""));
        }
        assert!("tepid".parse::<Prefetch>().is_err());
    }

    #[test]
    fn a_thread_whose_counter_is_ahead_waits_for_a_later_reading() {
        let plan = RunPlan {
            pace: Pace::Paced,
            period: Ticks(100),
            group: 1,
            prefetch: Prefetch::Off,
            adapt: Adapt::Never,
            skews: [-30, 0, 30].map(Ticks).to_vec(),
            counter_offsets: vec![Ticks(0), Ticks(700)],
            edges: None,
            focus: false,
            nice: 0,
            event: None,
            batch: 1,
            seed: 1,
            only_at: None,
            finds_neighbours: true,
            limits: Limits::default(),
        };
        assert_eq!(plan.delays(0, 2), [30, 0, 0].map(Ticks));
        assert_eq!(plan.delays(1, 2), [700, 700, 730].map(Ticks));
        // A counter that is behind shows a smaller value at the same time.
        assert_eq!(
            RunPlan { counter_offsets: vec![Ticks(0), Ticks(-700)], ..plan.clone() }.delays(1, 2),
            [-700, -700, -670].map(Ticks)
        );
        // Without a measurement there is no correction.
        assert_eq!(RunPlan { counter_offsets: Vec::new(), ..plan }.delays(1, 2), [0, 0, 30].map(Ticks));
    }

    #[test]
    fn skews_delay_whoever_is_later() {
        let delay = |skew, number, threads| delay(Ticks(skew), number, threads).0;
        assert_eq!([delay(30, 0, 2), delay(30, 1, 2)], [0, 30]);
        assert_eq!([delay(-30, 0, 2), delay(-30, 1, 2)], [30, 0]);
        assert_eq!([delay(30, 0, 3), delay(30, 1, 3), delay(30, 2, 3)], [0, 15, 30]);
        assert_eq!([delay(-30, 0, 3), delay(-30, 1, 3), delay(-30, 2, 3)], [30, 15, 0]);
        assert_eq!(delay(30, 0, 1), 0);
    }
}
