//! What the searches of a run have found, for the tests after them on the same CPUs.

use std::collections::HashMap;

use super::Arm;

/// What was chosen for a test on some CPUs.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Chosen {
    /// The arm.
    pub arm: Arm,
    /// The period at which it was left, in ticks; 0 if free.
    pub period_ticks: f64,
}

/// What the searches of a run have found. CPUs are those of the threads, in order.
#[derive(Debug, Default)]
pub struct Knowledge {
    /// The sum of the relative values of each arm, and their number.
    values: HashMap<(Vec<usize>, Arm), (f64, u32)>,
    /// What was chosen, by the hash of the test's source.
    chosen: HashMap<(Vec<usize>, String), Chosen>,
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

    /// What was chosen for a test on these CPUs. Its repeats use the same.
    pub fn chosen(&self, cpus: &[usize], test: &str) -> Option<Chosen> {
        self.chosen.get(&(cpus.to_vec(), test.to_owned())).copied()
    }

    /// Notes what was chosen for a test.
    pub fn choose(&mut self, cpus: &[usize], test: &str, chosen: Chosen) {
        self.chosen.insert((cpus.to_vec(), test.to_owned()), chosen);
    }
}
