//! Counts of healed races: who corrected blocked_on after a wakeup had missed it, and after how long.
//!
//! A race leaves a queued task RUNNING with blocked_on set. The race is healed when somebody clears
//! blocked_on or when the task sets it again.

use std::sync::Mutex;

use hdrhistogram::Histogram;

use super::Cpu;

/// The function that healed a task that had kept its blocked_on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Healer {
    /// The task itself.
    Task,
    /// find_proxy_task(), which found the task current.
    FindProxyTask,
    /// A forced return: proxy_force_return().
    ForceReturn,
    /// A later wakeup, or the unlock.
    Waker,
}

impl Healer {
    /// All healers.
    pub const ALL: [Healer; 4] = [Healer::Task, Healer::FindProxyTask, Healer::ForceReturn, Healer::Waker];

    /// The name in records and tables.
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

/// Counts and times of the races that each context healed.
#[derive(Debug)]
pub struct Heals {
    contexts: Vec<Mutex<Counts>>,
}

/// The longest time that a histogram resolves, in ticks: some minutes.
const LONGEST: u64 = 1 << 40;

/// An empty histogram of times in ticks.
pub fn histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1, LONGEST, 3).expect("the bounds are in order")
}

impl Heals {
    /// No counts yet, for `contexts` contexts.
    pub fn new(contexts: usize) -> Heals {
        let counts = || Mutex::new(Counts { by: [0; Healer::ALL.len()], ticks: histogram() });
        Heals { contexts: (0..contexts).map(|_| counts()).collect() }
    }

    /// Counts one healed race that lasted `ticks` ticks. Each context has its own counts, so the lock is
    /// never contended.
    pub fn record(&self, context: Cpu, healer: Healer, ticks: u64) {
        if let Ok(mut counts) = self.contexts[context].lock() {
            counts.by[healer as usize] += 1;
            counts.ticks.saturating_record(ticks.max(1));
        }
    }

    /// The number of healed races per healer, and the histogram of all their times in ticks.
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
