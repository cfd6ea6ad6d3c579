//! Where the time of a result went.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::merge::Weights;
use super::{CodeRecord, ScenarioResult, StratumRecord};
use crate::harness::Phases;

/// Where the time of a result went, in seconds: the mean over its threads. The phases together are the result's `elapsed_s`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PhasesRecord {
    /// In the emitted code, from the start of a batch to the thread's own end.
    pub run_s: f64,
    /// The part of `run_s` that two reads of the clock take for each group of a paced run: the least that waiting for a tick
    /// costs. 0 if free.
    pub clock_s: f64,
    /// Waiting for the other threads between batches, the decision about the next batch, and its head start.
    pub rendezvous_s: f64,
    /// Classifying outcomes.
    pub classification_s: f64,
    /// Writing initial values.
    pub reset_s: f64,
    /// Looking at the distance between the CPUs.
    pub looks_s: f64,
    /// The number of cache-line transfers that an iteration needs at least: each line that several threads access goes to each of
    /// them once. It is below 1 if several instances share lines.
    pub line_transfers: f64,
}

impl PhasesRecord {
    /// The phases of a run whose instances need `line_transfers` transfers each.
    pub(crate) fn new(phases: &Phases, line_transfers: f64) -> PhasesRecord {
        PhasesRecord {
            run_s: phases.run.as_secs_f64(),
            clock_s: phases.clock.as_secs_f64(),
            rendezvous_s: phases.rendezvous.as_secs_f64(),
            classification_s: phases.classification.as_secs_f64(),
            reset_s: phases.reset.as_secs_f64(),
            looks_s: phases.looks.as_secs_f64(),
            line_transfers,
        }
    }

    /// The sum of two results' phases. `line_transfers` is the mean, weighted by iterations: parts can have different layouts.
    pub(super) fn plus(self, other: PhasesRecord, weights: Weights) -> PhasesRecord {
        PhasesRecord {
            run_s: self.run_s + other.run_s,
            clock_s: self.clock_s + other.clock_s,
            rendezvous_s: self.rendezvous_s + other.rendezvous_s,
            classification_s: self.classification_s + other.classification_s,
            reset_s: self.reset_s + other.reset_s,
            looks_s: self.looks_s + other.looks_s,
            line_transfers: weights.mean(self.line_transfers, other.line_transfers),
        }
    }

    /// Each phase with its name, in the order in which they follow each other. The first two are parts of `run_s`.
    pub fn named(&self) -> [(&'static str, f64); 6] {
        [
            ("clock", self.clock_s),
            ("emitted code", (self.run_s - self.clock_s).max(0.0)),
            ("rendezvous", self.rendezvous_s),
            ("classification", self.classification_s),
            ("reset", self.reset_s),
            ("looks", self.looks_s),
        ]
    }

    /// The time of all phases, in seconds.
    pub fn total_s(&self) -> f64 {
        self.named().iter().map(|(_, seconds)| seconds).sum()
    }
}

/// The time of an iteration at one distance, compared with that of its line transfers.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Pass {
    /// The distance: the time of one line transfer, in nanoseconds.
    pub distance_ns: f64,
    /// Time in batches, in nanoseconds per iteration.
    pub iteration_ns: f64,
    /// Line transfers per iteration times the distance: the time of the transfers one after another.
    pub transfers_ns: f64,
}

impl ScenarioResult {
    /// How fast the iterations passed at each distance that the CPUs had. Empty without phases or distances.
    pub fn passes(&self) -> Vec<Pass> {
        let (Some(phases), Some(distances)) = (&self.phases, &self.distances) else { return Vec::new() };
        // The transfers at each distance are not known if parts have other layouts.
        let other = |code: &CodeRecord| code.layout != self.layout;
        if self.parts().any(|part| part.code.as_ref().is_some_and(other)) {
            return Vec::new();
        }
        let pass = |at: &StratumRecord| Pass {
            distance_ns: at.ns,
            iteration_ns: at.in_batches_s * 1e9 / at.iterations as f64,
            transfers_ns: phases.line_transfers * at.ns,
        };
        let counted = distances.strata.iter().filter(|at| at.iterations > 0 && at.in_batches_s > 0.0);
        counted.map(pass).collect()
    }
}
