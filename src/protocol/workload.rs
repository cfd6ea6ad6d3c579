//! The workload: what a task does in each of its steps, and what an interrupt does.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use super::plan::Habits;
use crate::kernel::harm::Harm;
use crate::kernel::mutex::{LockStage, Locked};
use crate::kernel::task::TaskLayout;
use crate::kernel::wake::{Wake, WakeEnd};
use crate::kernel::{
    Cpu, Kernel, MutexId, TASK_INTERRUPTIBLE, TASK_NORMAL, TASK_RUNNING, TASK_UNINTERRUPTIBLE, TaskId,
};

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

    /// True with a probability of `chance` per cent. A chance of 0 draws no number.
    pub fn percent(&mut self, chance: u32) -> bool {
        chance > 0 && self.0.u32(..100) < chance
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
    /// Counts a wakeup: that it is issued before the call, and afterwards how it ended.
    pub fn counted(&self, wakeup: impl FnOnce() -> Wake) {
        count(&self.issued);
        let wake = wakeup();
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
    /// The task has set TASK_INTERRUPTIBLE and is about to find its condition true.
    Waiting,
    Locking(MutexId),
    Holding(MutexId),
    Unlocking(MutexId),
    /// The task was preempted between the stores and schedule().
    Preempted(MutexId),
}

/// The timers of one CPU: the tasks that wait for them, the first to expire first. Only the thread of the CPU
/// uses them, so the lock is free.
#[derive(Debug, Default)]
pub struct Timers(Mutex<VecDeque<TaskId>>);

impl Timers {
    /// Starts a timer that will wake this task.
    fn start(&self, task: TaskId) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push_back(task);
    }

    /// Ends the timer that expires first, and returns its task.
    pub fn expire(&self) -> Option<TaskId> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).pop_front()
    }
}

/// Where a task runs a step: the protocol, the CPU and what is counted.
pub(super) struct Site<'w, T: TaskLayout> {
    pub kernel: &'w Kernel<T>,
    pub habits: &'w Habits,
    /// For each mutex the task that holds it, plus one; it checks harm M (two tasks hold one mutex).
    pub inside: &'w [AtomicU64],
    /// The timers of the CPU.
    pub timers: &'w Timers,
    pub cpu: Cpu,
    /// The task.
    pub me: TaskId,
    /// The counts of the CPU.
    pub wakes: &'w Wakes,
}

/// The state of a task between its steps.
#[derive(Debug)]
pub struct Context {
    phase: Phase,
    stage: LockStage,
    state: u32,
    /// The mutex that the task holds while it takes or holds another.
    outer: Option<MutexId>,
    random: Random,
    acquired: u64,
    /// The task rests when it has acquired this many mutexes.
    enough: u64,
}

impl Context {
    /// The state of a task that has not run yet.
    pub fn new(seed: u64, task: TaskId) -> Context {
        let random = Random::new(seed, task as u64 + 1);
        let (phase, stage, state) = (Phase::Rest, LockStage::Start, TASK_UNINTERRUPTIBLE);
        Context { phase, stage, state, outer: None, random, acquired: 0, enough: u64::MAX }
    }

    /// How many times the task has acquired a mutex.
    pub fn acquired(&self) -> u64 {
        self.acquired
    }

    /// Lets the task rest once it has acquired and released one more mutex.
    pub fn rest_after_one_more(&mut self) {
        self.enough = self.acquired + 1;
    }

    /// Runs one step of the task.
    pub(super) fn step<T: TaskLayout>(&mut self, site: &Site<'_, T>) -> Next {
        let Site { kernel, habits, cpu, me, .. } = *site;
        match self.phase {
            Phase::Rest if self.acquired >= self.enough => Next::Preempt,
            Phase::Rest if self.random.percent(habits.waits) => {
                kernel.set_current_state(cpu, me, TASK_INTERRUPTIBLE);
                self.phase = Phase::Waiting;
                Next::Continue
            }
            Phase::Rest | Phase::Waiting => {
                if self.phase == Phase::Waiting {
                    kernel.__set_current_state(cpu, me, TASK_RUNNING);
                }
                self.state =
                    if self.random.percent(habits.interruptible) { TASK_INTERRUPTIBLE } else { TASK_UNINTERRUPTIBLE };
                self.phase = Phase::Locking(self.random.below(habits.mutexes));
                Next::Continue
            }
            Phase::Locking(mutex) => self.lock(site, mutex),
            Phase::Preempted(mutex) => {
                self.phase = Phase::Locking(mutex);
                Next::Schedule
            }
            Phase::Holding(mutex) => self.hold(site, mutex),
            Phase::Unlocking(mutex) => self.unlock(site, mutex),
        }
    }

    fn lock<T: TaskLayout>(&mut self, site: &Site<'_, T>, mutex: MutexId) -> Next {
        let Site { kernel, habits, cpu, me, wakes, .. } = *site;
        let other = &kernel.tasks[me].other;
        match kernel.__mutex_lock_common(cpu, me, mutex, self.state, &mut self.stage) {
            Locked::Acquired => {
                count(&wakes.acquired);
                self.acquired += 1;
                // A signal that arrived while the task acquired the mutex is handled here.
                other.sigpending.store(false, crate::kernel::sync::Ordering::Relaxed);
                if site.inside[mutex].swap(me as u64 + 1, Ordering::Relaxed) != 0 {
                    kernel.harm(cpu, me, Harm::M);
                }
                self.phase = Phase::Holding(mutex);
                Next::Continue
            }
            Locked::Interrupted => {
                other.sigpending.store(false, crate::kernel::sync::Ordering::Relaxed);
                other.wounded.store(false, crate::kernel::sync::Ordering::Relaxed);
                // A task that gives up releases what it holds.
                self.phase = self.outer.take().map_or(Phase::Rest, Phase::Unlocking);
                Next::Continue
            }
            Locked::Resched => Next::Schedule,
            Locked::Schedule => {
                count(&wakes.rounds);
                if self.random.percent(habits.preempts) {
                    self.phase = Phase::Preempted(mutex);
                    return Next::Preempt;
                }
                Next::Schedule
            }
        }
    }

    /// The task leaves the CPU while it holds the mutex, so that other tasks find the mutex taken: it sleeps,
    /// takes the second mutex, or is preempted.
    fn hold<T: TaskLayout>(&mut self, site: &Site<'_, T>, mutex: MutexId) -> Next {
        let habits = site.habits;
        if mutex == 0 && habits.mutexes > 1 && self.random.percent(habits.nested) {
            self.outer = Some(mutex);
            self.phase = Phase::Locking(mutex + 1);
            return Next::Continue;
        }
        self.phase = Phase::Unlocking(mutex);
        if self.random.percent(habits.naps) {
            // schedule_timeout(): the timer may expire before the task sleeps.
            site.kernel.set_current_state(site.cpu, site.me, TASK_UNINTERRUPTIBLE);
            site.timers.start(site.me);
            return Next::Schedule;
        }
        Next::Preempt
    }

    fn unlock<T: TaskLayout>(&mut self, site: &Site<'_, T>, mutex: MutexId) -> Next {
        let Site { kernel, cpu, me, wakes, .. } = *site;
        if site.inside[mutex].swap(0, Ordering::Relaxed) != me as u64 + 1 {
            kernel.harm(cpu, me, Harm::M);
        }
        if let Some(wake) = kernel.mutex_unlock(cpu, me, mutex) {
            wakes.counted(|| wake);
        }
        if let Some(outer) = self.outer.take() {
            self.phase = Phase::Unlocking(outer);
            return Next::Continue;
        }
        self.phase = Phase::Rest;
        // In half of the cases another task gets the first chance to take the free mutex.
        if self.random.percent(50) { Next::Preempt } else { Next::Continue }
    }
}

/// Runs one interrupt: a signal, a wound, a death, a tick, a push, or a foreign wakeup of a random task. The
/// foreign wakeup reads the state without any lock that the blocker holds.
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
    if random.percent(habits.signals) {
        wakes.counted(|| kernel.send_signal(cpu, current, victim));
    } else if random.percent(habits.wounds) {
        wakes.counted(|| kernel.ww_wound(cpu, current, victim));
    } else if random.percent(habits.deaths) {
        if let Some(wake) = kernel.ww_die(cpu, current, random.below(habits.mutexes), victim) {
            wakes.counted(|| wake);
        }
    } else if random.percent(habits.ticks) {
        kernel.rqs[cpu].resched_curr();
    } else if random.percent(habits.pushes) {
        kernel.push_rt_task(cpu, (cpu + 1) % kernel.rqs.len());
    } else {
        wakes.counted(|| kernel.try_to_wake_up(cpu, current, victim, TASK_NORMAL));
    }
}
