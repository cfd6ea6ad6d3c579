//! What stays from one experiment to the next on the same CPUs: the offsets of their counters, the chains of a coarse
//! clock, and the memory of the instances. So a short experiment costs little more than its own time.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::request::Experiment;
use super::result::Finished;
use super::run::{self, Measured};
use crate::error::Result;
use crate::harness::{self, EdgePlan, Measurement, Memory, Tally};
use crate::machine::Counters;

/// How long a measurement of counters and chains is used. Counters that run alike stay so; a machine that was suspended, or
/// moved by its hypervisor, is noticed after this time.
const KEPT: Duration = Duration::from_secs(60);
/// The number of placements that are kept. Each takes a few MiB.
const PLACES: usize = 16;

/// Counters, chains and memory of the placements that were used last.
#[derive(Debug, Default)]
pub struct Bench {
    places: HashMap<Vec<usize>, Place>,
}

#[derive(Debug, Default)]
struct Place {
    counters: Option<(Instant, Vec<Counters>)>,
    edges: Option<(Instant, EdgePlan)>,
    memory: Memory,
}

impl Bench {
    /// As [`super::run`], with what earlier experiments on these CPUs left.
    ///
    /// # Errors
    /// As [`super::run`].
    pub fn run(
        &mut self,
        experiment: &Experiment<'_>,
        interrupt: &AtomicBool,
        watch: impl FnMut(&Tally),
    ) -> Result<Finished> {
        self.run_until(experiment, [interrupt; 2], watch)
    }

    /// As [`super::run_until`], with what earlier experiments on these CPUs left.
    ///
    /// # Errors
    /// As [`super::run`].
    pub(super) fn run_until(
        &mut self,
        experiment: &Experiment<'_>,
        flags: [&AtomicBool; 2],
        mut watch: impl FnMut(&Tally),
    ) -> Result<Finished> {
        let place = self.place(experiment);
        let (counters, edges) = place.measured(experiment, flags[0])?;
        run::measured(experiment, Measured { counters: &counters, edges }, &mut place.memory, flags, &mut watch)
    }

    /// Runs an experiment by its settings alone, which must have a period and skews if they are paced: nothing is calibrated.
    ///
    /// # Errors
    /// As [`harness::run`].
    pub fn measure(&mut self, experiment: &Experiment<'_>, interrupt: &AtomicBool) -> Result<Measurement> {
        let place = self.place(experiment);
        let (counters, edges) = place.measured(experiment, interrupt)?;
        let (job, plan) =
            run::planned(experiment, &Measured { counters: &counters, edges }, &mut place.memory, interrupt)?;
        harness::run_briefly(&mut place.memory, job, &plan, interrupt)
    }

    /// Why threads cannot be paced on the CPUs of an experiment, if they cannot.
    ///
    /// # Errors
    /// If the counters or the chains cannot be measured.
    pub fn unpaceable(&mut self, experiment: &Experiment<'_>, interrupt: &AtomicBool) -> Result<Option<String>> {
        let (counters, edges) = self.place(experiment).measured(experiment, interrupt)?;
        Ok(run::unpaceable(experiment, &Measured { counters: &counters, edges }).map(|(_, problem)| problem))
    }

    fn place(&mut self, experiment: &Experiment<'_>) -> &mut Place {
        let cpus = &experiment.placement.cpus;
        if self.places.len() >= PLACES && !self.places.contains_key(cpus) {
            self.places.clear();
        }
        self.places.entry(cpus.clone()).or_default()
    }
}

impl Place {
    /// The counters and the chains of an experiment: those that are kept, if they are not too old.
    fn measured(
        &mut self,
        experiment: &Experiment<'_>,
        interrupt: &AtomicBool,
    ) -> Result<(Vec<Counters>, Option<EdgePlan>)> {
        if interrupt.load(Ordering::Relaxed) {
            return Ok((Vec::new(), run::edges(experiment, interrupt)?));
        }
        let counters = match fresh(&self.counters) {
            Some(counters) => counters,
            None => self.counters.insert((Instant::now(), run::counters(experiment)?)).1.clone(),
        };
        if !run::has_edges(experiment) {
            return Ok((counters, None));
        }
        let edges = match fresh(&self.edges) {
            Some(edges) => Some(edges),
            None => run::edges(experiment, interrupt)?.map(|plan| self.edges.insert((Instant::now(), plan)).1.clone()),
        };
        Ok((counters, edges))
    }
}

/// What was measured, if it is not too old.
fn fresh<T: Clone>(kept: &Option<(Instant, T)>) -> Option<T> {
    kept.as_ref().filter(|(since, _)| since.elapsed() < KEPT).map(|(_, measured)| measured.clone())
}
