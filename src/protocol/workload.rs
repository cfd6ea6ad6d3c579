//! What a task does each time it runs, and what an interrupt does.

use std::sync::atomic::{AtomicU64, Ordering};

use super::plan::Habits;
use crate::kernel::harm::Harm;
use crate::kernel::mutex::{LockStage, Locked};
use crate::kernel::sched::{Wake, WakeEnd};
use crate::kernel::task::TaskLayout;
use crate::kernel::{Cpu, Kernel, MutexId, TASK_INTERRUPTIBLE, TASK_NORMAL, TASK_UNINTERRUPTIBLE, TaskId};

/// A CPU's or task's random numbers: a seed, and a number for each of them.
#[derive(Debug, Clone)]
pub struct Random(fastrand::Rng);

impl Random {
    /// From a seed and a stream's number.
    pub fn new(seed: u64, stream: u64) -> Random {
        // The golden ratio's bits, so that neighbouring streams of neighbouring seeds are not the same.
        Random(fastrand::Rng::with_seed(seed ^ stream.wrapping_mul(0x9e37_79b9_7f4a_7c15)))
    }

    /// Below a bound; 0 if the bound is.
    pub fn below(&mut self, bound: usize) -> usize {
        self.0.usize(..bound.max(1))
    }

    /// With a chance in per cent.
    pub fn percent(&mut self, chance: u32) -> bool {
        self.0.u32(..100) < chance
    }
}

/// How wakeups ended, counted by one CPU and read by the monitor.
#[derive(Debug, Default)]
pub struct Wakes {
    /// Calls of try_to_wake_up().
    pub issued: AtomicU64,
    /// The state did not match.
    pub no_match: AtomicU64,
    /// The task was queued still.
    pub runnable: AtomicU64,
    /// The task was put on a runqueue.
    pub activated: AtomicU64,
    /// Dropped by a mutant.
    pub dropped: AtomicU64,
    /// The state matched and blocked_on was read as NULL.
    pub nulls: AtomicU64,
    /// Of these, the race.
    pub races: AtomicU64,
    /// Times that a task went to sleep on a mutex.
    pub rounds: AtomicU64,
    /// Locks acquired.
    pub acquired: AtomicU64,
}

/// One more; only its own CPU writes a counter, so it needs no atomic addition.
fn count(counter: &AtomicU64) {
    counter.store(counter.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
}

impl Wakes {
    /// Before the call: it must end in exactly one way.
    pub fn begin(&self) {
        count(&self.issued);
    }

    /// After the call.
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

/// What a CPU does next after a task's step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// The next step of the same task.
    Continue,
    /// schedule()
    Schedule,
    /// Preemption: __schedule() without the task having asked.
    Preempt,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Rest,
    Locking(MutexId),
    Holding(MutexId),
    Unlocking(MutexId),
    /// Preempted between the stores and schedule().
    Preempted(MutexId),
}

/// What a task remembers between its steps.
#[derive(Debug)]
pub struct Context {
    phase: Phase,
    stage: LockStage,
    state: u32,
    random: Random,
    acquired: u64,
}

impl Context {
    /// A task that has not begun.
    pub fn new(seed: u64, task: TaskId) -> Context {
        let random = Random::new(seed, task as u64 + 1);
        Context { phase: Phase::Rest, stage: LockStage::Start, state: TASK_UNINTERRUPTIBLE, random, acquired: 0 }
    }

    /// How often it has got a lock.
    pub fn acquired(&self) -> u64 {
        self.acquired
    }

    /// One step.
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
                    // A signal that came while it got the lock is handled on the way out.
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
            // Others get their turn while the lock is held: they find it taken.
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
                // Now and then somebody else has the first go at the free lock.
                if self.random.percent(50) { Next::Preempt } else { Next::Continue }
            }
        }
    }
}

/// What an interrupt does: a foreign wakeup, which holds none of the locks that the blocker holds; a signal; a wound.
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
