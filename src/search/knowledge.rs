//! What the searches of a run have found, for the tests after them on the same CPUs.

use std::collections::HashMap;

use super::Arm;
use crate::stats::apart;

/// What was chosen for a test on some CPUs.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Chosen {
    /// The arm.
    pub arm: Arm,
    /// The period at which it was left, in ticks; 0 if free.
    pub period_ticks: f64,
    /// The factor of the width of its sweep of skews.
    pub reach: u32,
    /// The distance between the CPUs that it was chosen at, in nanoseconds; `None` if none was measured.
    pub distance_ns: Option<f64>,
}

/// What the searches of a run have found. CPUs are those of the threads, in order.
#[derive(Debug, Default)]
pub struct Knowledge {
    /// The sum of the relative values of each arm, and their number.
    values: HashMap<(Vec<usize>, Arm), (f64, u32)>,
    /// What was chosen, in order of time, by the hash of the test's source.
    chosen: HashMap<(Vec<usize>, String), Vec<Chosen>>,
}

impl Knowledge {
    /// What an arm was worth to the tests before on these CPUs: the mean of its values relative to the best.
    pub fn value(&self, cpus: &[usize], arm: Arm) -> Option<f64> {
        self.values.get(&(cpus.to_vec(), arm)).map(|(sum, count)| sum / f64::from(*count))
    }

    /// Notes what an arm was worth to a test.
    pub fn learn(&mut self, cpus: &[usize], arm: Arm, value: f64) {
        let (sum, count) = self.values.entry((cpus.to_vec(), arm)).or_default();
        (*sum, *count) = (*sum + value, *count + 1);
    }

    /// What was chosen first for a test on these CPUs. Its repeats begin with it, so that the first part of each has the same machine
    /// code.
    pub fn chosen(&self, cpus: &[usize], test: &str) -> Option<Chosen> {
        self.all(cpus, test).first().copied()
    }

    /// What was chosen for a test at a distance like this one, in nanoseconds.
    pub fn chosen_at(&self, cpus: &[usize], test: &str, ns: f64) -> Option<Chosen> {
        let alike = |chosen: &&Chosen| chosen.distance_ns.is_some_and(|known| !apart(known, ns));
        self.all(cpus, test).iter().rfind(alike).copied()
    }

    fn all(&self, cpus: &[usize], test: &str) -> &[Chosen] {
        self.chosen.get(&(cpus.to_vec(), test.to_owned())).map_or(&[], Vec::as_slice)
    }

    /// Notes what was chosen for a test.
    pub fn choose(&mut self, cpus: &[usize], test: &str, chosen: Chosen) {
        self.chosen.entry((cpus.to_vec(), test.to_owned())).or_default().push(chosen);
    }
}
