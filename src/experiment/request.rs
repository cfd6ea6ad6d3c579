//! What to run: a scenario, a placement, and the settings that can be decided before it runs.

use super::explore::Searching;
use crate::arch::HardwareEvent;
use crate::catalogue::Scenario;
use crate::codegen::{Pace, Target, ThreadCode};
use crate::error::Result;
use crate::harness::{Limits, Prefetch, StressKind};
use crate::isa;
use crate::layout::{Layout, LayoutKind};
use crate::machine::{Clock, Edges, Placement};
use crate::search::{Arm, ArmPace};
use crate::units::Ticks;
use crate::verdict::Expectation;

/// A scenario with all settings that can be decided before it runs.
#[derive(Debug, Clone)]
pub struct Experiment<'a> {
    /// The scenario.
    pub scenario: &'a Scenario,
    /// The CPUs it runs on.
    pub placement: Placement,
    /// Placement of its variables in memory.
    pub layout: Layout,
    /// How it is run.
    pub choice: Choice,
    /// Settings that all experiments of a run share.
    pub common: Common,
    /// The expected verdicts on this architecture, shown beside the measurement.
    pub expectation: Expectation,
    /// Machine code for the chosen pace, one function per thread.
    pub code: Vec<ThreadCode>,
    /// Why it runs free although it was to be paced, if it does.
    pub free_because: Option<String>,
    /// The period at which a search left these settings. It takes the place of a calibration.
    pub searched_period: Option<Ticks>,
    /// The period that had the most races in an earlier run at these settings. The run begins with it.
    pub known_period: Option<Ticks>,
    /// A factor of the width of the sweep of skews. A search may find that the peak lies outside of the usual one.
    pub reach: u32,
}

/// Settings that all experiments of a run share.
#[derive(Debug, Clone, Copy)]
pub struct Common {
    /// Target that code is emitted for.
    pub target: Target,
    /// The host's clock.
    pub clock: Clock,
    /// The edges by which paced experiments are paced, if the clock is coarse. Then periods and skews are in their units.
    pub edges: Option<Edges>,
    /// Distance in bytes at which variables share no line and do not disturb each other.
    pub line: usize,
    /// Seed for the order of the skews.
    pub seed: u64,
    /// When each experiment ends.
    pub limits: Limits,
    /// The nice value that threads request.
    pub nice: i32,
    /// The event that the threads count, if the hardware has a counter for it: lines from other caches.
    pub event: Option<HardwareEvent>,
    /// Whether all skews are used equally often to the end.
    pub window: bool,
    /// Whether experiments of the same scenario may run at the same time on other CPUs.
    pub side_by_side: bool,
}

impl Common {
    /// The clock in whose ticks periods and skews are given: the host's, or that of the edges' units.
    pub fn units(&self) -> Clock {
        self.edges.map_or(self.clock, |edges| edges.units(self.clock))
    }
}

/// Maximum number of instances per tick.
pub const LARGEST_GROUP: usize = 4096;
/// Maximum number of instances per batch. 2^20 padded instances of six variables take 768 MiB.
pub const LARGEST_BATCH: usize = 1 << 20;

/// How one scenario is run on one placement.
#[derive(Debug, Clone)]
pub struct Choice {
    /// Free-running or paced.
    pub pace: PaceChoice,
    /// How variables are placed in memory.
    pub layout: LayoutKind,
    /// Instances per batch, if the user gives a number.
    pub batch: Option<usize>,
    /// Instances per tick; if absent, calibration chooses the number.
    pub group: Option<usize>,
    /// Whether the lines of a group are prefetched before its tick.
    pub prefetch: Prefetch,
    /// Load on the memory system beside the experiment, if any.
    pub stress: Option<StressKind>,
    /// Where the settings come from that were found before the run, if any were. With a search they are used only at their distance.
    pub profile: Option<String>,
    /// How the settings are searched before the measurement, if they are.
    pub searching: Option<Searching>,
}

impl Choice {
    /// The settings of an arm, as wakerace chooses them. A paced run has this period and these skews.
    pub fn of(arm: Arm, period: Option<Ticks>, skews: Option<Vec<Ticks>>) -> Choice {
        Choice {
            pace: match arm.pace {
                ArmPace::Free => PaceChoice::Free { given: false },
                ArmPace::Paced => PaceChoice::Paced { given: false, period, skews },
            },
            layout: arm.layout,
            batch: arm.batch,
            group: (arm.pace == ArmPace::Paced).then_some(arm.group),
            prefetch: arm.prefetch,
            stress: arm.stress,
            profile: None,
            searching: None,
        }
    }
}

impl<'a> Experiment<'a> {
    /// Prepares an experiment. Emits the code, so that a scenario that cannot be emitted is reported before
    /// anything runs.
    ///
    /// # Errors
    /// If the layout does not fit, or if the code cannot be emitted.
    pub fn new(
        scenario: &'a Scenario,
        placement: Placement,
        choice: Choice,
        expectation: Expectation,
        common: &Common,
    ) -> Result<Experiment<'a>> {
        let layout = Layout::for_batch(choice.layout, &scenario.program, common.line, choice.batch)?;
        let code = isa::emit(common.target, &scenario.program, &layout, choice.pace.kind(common.edges))?;
        let common = *common;
        Ok(Experiment {
            scenario,
            placement,
            layout,
            choice,
            common,
            expectation,
            code,
            free_because: None,
            searched_period: None,
            known_period: None,
            reach: 1,
        })
    }
}

/// How an experiment is paced.
#[derive(Debug, Clone, PartialEq)]
pub enum PaceChoice {
    /// Free-running: as fast as possible.
    Free {
        /// Whether the user asked for it.
        given: bool,
    },
    /// Paced: each group starts at a tick of the clock.
    Paced {
        /// Whether the user asked for it.
        given: bool,
        /// Period; if absent, calibration chooses it.
        period: Option<Ticks>,
        /// Skews; if absent, a sweep about as wide to either side as one instance takes.
        skews: Option<Vec<Ticks>>,
    },
}

impl PaceChoice {
    /// The skews that were given.
    pub fn skews(&self) -> Option<&Vec<Ticks>> {
        match self {
            PaceChoice::Paced { skews, .. } => skews.as_ref(),
            PaceChoice::Free { .. } => None,
        }
    }

    /// The pace that the code is emitted for, on a clock with these edges.
    pub fn kind(&self, edges: Option<Edges>) -> Pace {
        match (self, edges) {
            (PaceChoice::Free { .. }, _) => Pace::Free,
            (PaceChoice::Paced { .. }, None) => Pace::Paced,
            (PaceChoice::Paced { .. }, Some(edges)) => Pace::Edges { coarse_bits: edges.coarse_bits },
        }
    }
}
