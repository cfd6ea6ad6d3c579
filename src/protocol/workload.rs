//! The workload: what a task does in each of its steps, and what an interrupt does.

use std::sync::atomic::{AtomicU64, Ordering};

use super::plan::Habits;
use crate::kernel::harm::Harm;
use crate::kernel::mutex::{LockStage, Locked};
use crate::kernel::sched::{Wake, WakeEnd};
use crate::kernel::task::TaskLayout;
use crate::kernel::{Cpu, Kernel, MutexId, TASK_INTERRUPTIBLE, TASK_NORMAL, TASK_UNINTERRUPTIBLE, TaskId};

/// The random numbers of a CPU or a task: one stream each, from one seed.
#[derive(Debug, Clone)]
pub struct Random(fastrand::Rng);

impl Random {
    /// The stream with this number.
    pub fn new(seed: u64, stream: u64) -> Random {
        // The constant is 2^64 divided by the golden ratio. With it, neighbouring streams of neighbouring
        // seeds differ.
        Random(fastrand::Rng::with_seed(seed ^ stream.wrapping_mul(0x9e37_79b9_7f4a_7c15)))
    }

    /// A number below `bound`; 0 if `bound` is 0.
    pub fn below(&mut self, bound: usize) -> usize {
        self.0.usize(..bound.max(1))
    }

    /// True with a probability of `chance` per cent.
    pub fn percent(&mut self, chance: u32) -> bool {
        self.0.u32(..100) < chance
    }
}

/// Counts of one CPU: how its wakeups ended, and what its tasks did. The monitor reads them.
#[derive(Debug, Default)]
pub struct Wakes {
    /// Calls of try_to_wake_up().
    pub issued: AtomicU64,
    /// Wakeups whose state did not match.
    pub no_match: AtomicU64,
    /// Wakeups that found the task still queued, or that the task gave itself.
    pub runnable: AtomicU64,
    /// Wakeups that put the task on a runqueue.
    pub activated: AtomicU64,
    /// Wakeups that a mutant dropped.
    pub dropped: AtomicU64,
    /// Wakeups whose state matched and that read blocked_on as NULL.
    pub nulls: AtomicU64,
    /// How many of these are races.
    pub races: AtomicU64,
    /// Times that a task went to sleep on a mutex.
    pub rounds: AtomicU64,
    /// Locks acquired.
    pub acquired: AtomicU64,
}

/// Adds one. Only one CPU writes a counter, so no atomic addition is needed.
fn count(counter: &AtomicU64) {
    counter.store(counter.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
}

impl Wakes {
    /// Counts a wakeup before the call of try_to_wake_up(). Each must be followed by one call of
    /// [`Wakes::end`].
    pub fn begin(&self) {
        count(&self.issued);
    }

    /// Counts how the wakeup ended.
    pub fn end(&self, wake: Wake) {
        match wake.end {
            WakeEnd::NoMatch => count(&self.no_match),
            WakeEnd::Current | WakeEnd::Runnable => count(&self.runnable),
            WakeEnd::Activated => count(&self.activated),
            WakeEnd::Dropped => count(&self.dropped),
        }
        if wake.null {
            count(&self.nulls);
        }
        if wake.race {
            count(&self.races);
        }
    }
}

/// What the CPU does after a step of a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// Run the next step of the same task.
    Continue,
    /// Call schedule().
    Schedule,
    /// Preempt the task: call __schedule() with SM_PREEMPT.
    Preempt,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Rest,
    Locking(MutexId),
    Holding(MutexId),
    Unlocking(MutexId),
    /// The task was preempted between the stores and schedule().
    Preempted(MutexId),
}

/// The state of a task between its steps.
#[derive(Debug)]
pub struct Context {
    phase: Phase,
    stage: LockStage,
    state: u32,
    random: Random,
    acquired: u64,
}

impl Context {
    /// The state of a task that has not run yet.
    pub fn new(seed: u64, task: TaskId) -> Context {
        let random = Random::new(seed, task as u64 + 1);
        Context { phase: Phase::Rest, stage: LockStage::Start, state: TASK_UNINTERRUPTIBLE, random, acquired: 0 }
    }

    /// How many times the task has acquired a mutex.
    pub fn acquired(&self) -> u64 {
        self.acquired
    }

    /// Runs one step of the task `me` on `cpu`.
    ///
    /// `inside` holds, for each mutex, the task that has it plus one; it checks harm M (two tasks hold one
    /// mutex).
    pub fn step<T: TaskLayout>(
        &mut self,
        kernel: &Kernel<T>,
        cpu: Cpu,
        me: TaskId,
        habits: &Habits,
        inside: &[AtomicU64],
        wakes: &Wakes,
    ) -> Next {
        match self.phase {
            Phase::Rest => {
                let mutex = self.random.below(habits.mutexes);
                self.state =
                    if self.random.percent(habits.interruptible) { TASK_INTERRUPTIBLE } else { TASK_UNINTERRUPTIBLE };
                self.phase = Phase::Locking(mutex);
                Next::Continue
            }
            Phase::Locking(mutex) => match kernel.__mutex_lock_common(cpu, me, mutex, self.state, &mut self.stage) {
                Locked::Acquired => {
                    count(&wakes.acquired);
                    self.acquired += 1;
                    // A signal that arrived while the task acquired the mutex is handled here.
                    let other = &kernel.tasks[me].other;
                    other.sigpending.store(false, crate::kernel::sync::Ordering::Relaxed);
                    if inside[mutex].swap(me as u64 + 1, Ordering::Relaxed) != 0 {
                        kernel.harm(cpu, me, Harm::M);
                    }
                    self.phase = Phase::Holding(mutex);
                    Next::Continue
                }
                Locked::Interrupted => {
                    let other = &kernel.tasks[me].other;
                    other.sigpending.store(false, crate::kernel::sync::Ordering::Relaxed);
                    other.wounded.store(false, crate::kernel::sync::Ordering::Relaxed);
                    self.phase = Phase::Rest;
                    Next::Continue
                }
                Locked::Schedule => {
                    count(&wakes.rounds);
                    if self.random.percent(habits.preempts) {
                        self.phase = Phase::Preempted(mutex);
                        return Next::Preempt;
                    }
                    Next::Schedule
                }
            },
            Phase::Preempted(mutex) => {
                self.phase = Phase::Locking(mutex);
                Next::Schedule
            }
            // The task is preempted while it holds the mutex, so that other tasks find the mutex taken.
            Phase::Holding(mutex) => {
                self.phase = Phase::Unlocking(mutex);
                Next::Preempt
            }
            Phase::Unlocking(mutex) => {
                if inside[mutex].swap(0, Ordering::Relaxed) != me as u64 + 1 {
                    kernel.harm(cpu, me, Harm::M);
                }
                if let Some(wake) = kernel.mutex_unlock(cpu, me, mutex) {
                    wakes.begin();
                    wakes.end(wake);
                }
                self.phase = Phase::Rest;
                // In half of the cases another task gets the first chance to take the free mutex.
                if self.random.percent(50) { Next::Preempt } else { Next::Continue }
            }
        }
    }
}

/// Runs one interrupt on a random task: a signal, a wound, or a foreign wakeup. The foreign wakeup reads
/// the state without any lock that the blocker holds.
pub fn interrupt<T: TaskLayout>(
    kernel: &Kernel<T>,
    cpu: Cpu,
    current: Option<TaskId>,
    habits: &Habits,
    random: &mut Random,
    wakes: &Wakes,
) {
    let idle = kernel.rqs.len();
    let victim = idle + random.below(kernel.tasks.len() - idle);
    wakes.begin();
    let wake = if random.percent(habits.signals) {
        kernel.send_signal(cpu, current, victim)
    } else if random.percent(habits.wounds) {
        kernel.ww_wound(cpu, current, victim)
    } else {
        kernel.try_to_wake_up(cpu, current, victim, TASK_NORMAL)
    };
    wakes.end(wake);
}
