//! Who put blocked_on right again after a wakeup had missed it, and how long that took.

use std::sync::Mutex;

use hdrhistogram::Histogram;

use super::Cpu;

/// Who healed a task that kept its blocked_on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Healer {
    /// The task itself.
    Task,
    /// find_proxy_task(), which found it current.
    FindProxyTask,
    /// A forced return.
    ForceReturn,
    /// A later wakeup, or the unlock.
    Waker,
}

impl Healer {
    /// All of them.
    pub const ALL: [Healer; 4] = [Healer::Task, Healer::FindProxyTask, Healer::ForceReturn, Healer::Waker];

    /// In words.
    pub const fn name(self) -> &'static str {
        match self {
            Healer::Task => "the task itself",
            Healer::FindProxyTask => "find_proxy_task()",
            Healer::ForceReturn => "force_return",
            Healer::Waker => "a later wakeup or the unlock",
        }
    }
}

#[derive(Debug)]
struct Counts {
    by: [u64; Healer::ALL.len()],
    ticks: Histogram<u64>,
}

/// What each context healed.
#[derive(Debug)]
pub struct Heals {
    contexts: Vec<Mutex<Counts>>,
}

/// The longest time that is told apart, in ticks: some minutes.
const LONGEST: u64 = 1 << 40;

/// A histogram of times in ticks.
pub fn histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1, LONGEST, 3).expect("the bounds are in order")
}

impl Heals {
    /// For a number of contexts.
    pub fn new(contexts: usize) -> Heals {
        let counts = || Mutex::new(Counts { by: [0; Healer::ALL.len()], ticks: histogram() });
        Heals { contexts: (0..contexts).map(|_| counts()).collect() }
    }

    /// Counts one that took some ticks. Each context has counts of its own, so the lock is never contended.
    pub fn record(&self, context: Cpu, healer: Healer, ticks: u64) {
        if let Ok(mut counts) = self.contexts[context].lock() {
            counts.by[healer as usize] += 1;
            counts.ticks.saturating_record(ticks.max(1));
        }
    }

    /// By whom, and the times of all together, in ticks.
    pub fn total(&self) -> ([u64; Healer::ALL.len()], Histogram<u64>) {
        let mut by = [0; Healer::ALL.len()];
        let mut ticks = histogram();
        for counts in &self.contexts {
            let Ok(counts) = counts.lock() else { continue };
            for (total, one) in by.iter_mut().zip(counts.by) {
                *total += one;
            }
            ticks.add(&counts.ticks).expect("all have the same bounds");
        }
        (by, ticks)
    }
}
