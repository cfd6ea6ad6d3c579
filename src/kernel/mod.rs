//! The kernel's mutex and wakeup protocol in user space, with the kernel's names.
//!
//! A reader who knows kernel/locking/mutex.c and kernel/sched/core.c can compare these files with them. The
//! names and the order of operations are the kernel's; the text is not. Parts that the protocol does not need
//! are left out: priorities, scheduling classes, load balancing, lock debugging. docs/kernel.md collects the
//! kernel facts.
//!
//! Each caller acts as a CPU or as an interrupt (see [`crate::protocol`]). A task is resumed by the CPU that
//! picks it. [`Profile`] selects the kernel version.
//!
//! The same source runs natively and, with `--cfg loom`, under loom. loom explores every interleaving and
//! every value that a load may return under C11's relaxed, acquire and release orderings.

// The kernel's names have double underscores in the middle.
#![allow(non_snake_case)]

pub mod barrier;
pub mod harm;
pub mod heal;
pub mod leave;
pub mod mutex;
pub mod proxy;
pub mod sched;
pub mod spinlock;
pub mod sync;
pub mod task;
#[cfg(all(test, not(loom)))]
mod tests;
pub mod trace;
#[cfg(all(test, not(loom)))]
mod witness;

use std::fmt;
use std::str::FromStr;

use harm::Harms;
use heal::Heals;
use mutex::Mutex;
use sched::Rq;
use task::{Task, TaskLayout};
use trace::Trace;

/// Index of a task in [`Kernel::tasks`].
pub type TaskId = usize;
/// Index of a mutex in [`Kernel::mutexes`].
pub type MutexId = usize;
/// Number of a CPU of the protocol, counted from 0. Contexts that are not CPUs (the monitor, wakers) have the
/// numbers after the last CPU.
pub type Cpu = usize;

/// The task runs or is ready to run.
pub const TASK_RUNNING: u32 = 0;
/// The task sleeps until it is woken or gets a signal.
pub const TASK_INTERRUPTIBLE: u32 = 1;
/// The task sleeps until it is woken; signals do not wake it.
pub const TASK_UNINTERRUPTIBLE: u32 = 2;
/// The mask of states that wake_up_process() wakes.
pub const TASK_NORMAL: u32 = TASK_INTERRUPTIBLE | TASK_UNINTERRUPTIBLE;
/// A wakeup of the task is in progress.
pub const TASK_WAKING: u32 = 0x200;
/// The task has exited.
pub const TASK_DEAD: u32 = 0x80;

/// A value of `->on_rq`: the task is on its runqueue.
pub const TASK_ON_RQ_QUEUED: u32 = 1;
/// A value of `->on_rq`: the task is between two runqueues.
pub const TASK_ON_RQ_MIGRATING: u32 = 2;

/// The kernel version whose protocol runs (docs/kernel.md, section 2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Profile {
    /// As merged in v7.1. A wakeup does not look at blocked_on. find_proxy_task() deals with a task that is
    /// RUNNING and still has blocked_on set.
    V71,
    /// The draft that the mail reviews. A wakeup tests blocked_on without blocked_lock, and find_proxy_task()
    /// deactivates the task where v7.1 forces its return.
    Draft,
    /// The draft with a check in proxy_deactivate(): a task that is RUNNING, or has a signal, is not
    /// deactivated but returned to a CPU where it may run. No kernel has this check. It shows which change
    /// would help.
    DraftChecked,
    /// As merged in v7.2. The scheduler looks at is_blocked, which only the runqueue's lock protects.
    V72,
}

impl Profile {
    /// All profiles.
    pub const ALL: [Profile; 4] = [Profile::V71, Profile::Draft, Profile::DraftChecked, Profile::V72];

    /// The name used on the command line and in records.
    pub const fn name(self) -> &'static str {
        match self {
            Profile::V71 => "v7.1",
            Profile::Draft => "draft",
            Profile::DraftChecked => "draft+check",
            Profile::V72 => "v7.2",
        }
    }

    /// Whether this is the draft, with or without the check.
    pub const fn is_draft(self) -> bool {
        matches!(self, Profile::Draft | Profile::DraftChecked)
    }
}

impl fmt::Display for Profile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Profile {
    type Err = String;

    fn from_str(text: &str) -> Result<Profile, String> {
        Profile::ALL.into_iter().find(|profile| profile.name() == text).ok_or_else(|| {
            format!("unknown profile '{text}'; known are {}", Profile::ALL.map(Profile::name).join(", "))
        })
    }
}

/// A planted fault: a step that is left out, to show that the checks notice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Mutant {
    /// mutex_lock() returns without clearing blocked_on.
    NoCleanup,
    /// schedule() has no smp_mb__after_spinlock().
    NoMbAfterSpinlock,
    /// set_task_blocked_on_waking() does not bail out on NULL.
    NoBailOut,
    /// mutex_lock() clears blocked_on at "acquired" without blocked_lock.
    ClearUnlocked,
    /// find_proxy_task() does not read blocked_on again after it has taken the locks.
    NoRecheck,
    /// try_to_wake_up() drops the wakeups of one blocking episode in a thousand.
    LoseWakeup,
}

impl Mutant {
    /// All mutants.
    pub const ALL: [Mutant; 6] = [
        Mutant::NoCleanup,
        Mutant::NoMbAfterSpinlock,
        Mutant::NoBailOut,
        Mutant::ClearUnlocked,
        Mutant::NoRecheck,
        Mutant::LoseWakeup,
    ];

    /// The name used on the command line and in records.
    pub const fn name(self) -> &'static str {
        match self {
            Mutant::NoCleanup => "no-cleanup",
            Mutant::NoMbAfterSpinlock => "no-mb-after-spinlock",
            Mutant::NoBailOut => "no-bail-out",
            Mutant::ClearUnlocked => "clear-unlocked",
            Mutant::NoRecheck => "no-recheck",
            Mutant::LoseWakeup => "lose-wakeup",
        }
    }
}

impl fmt::Display for Mutant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Mutant {
    type Err = String;

    fn from_str(text: &str) -> Result<Mutant, String> {
        Mutant::ALL
            .into_iter()
            .find(|mutant| mutant.name() == text)
            .ok_or_else(|| format!("unknown mutant '{text}'; known are {}", Mutant::ALL.map(Mutant::name).join(", ")))
    }
}

/// How blocked_on is stored by the blocker.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum BlockedOnStore {
    /// An ordinary store, as in the kernel.
    #[default]
    Plain,
    /// A non-temporal store. It is weakly ordered even on x86, so it forces the race on real hardware.
    Nontemporal,
}

/// Settings of a [`Kernel`], fixed before it runs.
#[derive(Debug, Clone, Copy)]
pub struct Config {
    /// The kernel version.
    pub profile: Profile,
    /// The planted fault, if any.
    pub mutant: Option<Mutant>,
    /// How blocked_on is stored.
    pub store: BlockedOnStore,
    /// How many times mutex_optimistic_spin() looks at the owner before it gives up; 0 disables the spin.
    pub spins: u32,
}

/// The whole state: tasks, mutexes, and one runqueue per CPU.
pub struct Kernel<T: TaskLayout> {
    /// The settings.
    pub config: Config,
    /// The tasks. Task N, for each CPU N, is the idle task of CPU N; the other tasks follow.
    pub tasks: Vec<Task<T>>,
    /// The mutexes.
    pub mutexes: Vec<Mutex>,
    /// The runqueues, indexed by CPU.
    pub rqs: Vec<Rq>,
    /// Counts of the harms.
    pub harms: Harms,
    /// Counts of the races that were healed, by healer.
    pub heals: Heals,
    /// The last events of each context.
    pub trace: Trace,
}

impl<T: TaskLayout> Kernel<T> {
    /// Makes `cpus` CPUs with their idle tasks, `mutexes` mutexes, and one task for each entry of `homes`.
    ///
    /// An entry of `homes` is the mask of the CPUs that the task may run on; the task starts on the lowest of
    /// them. `contexts` is the number of threads that call into the kernel: the CPUs, plus interrupts and the
    /// monitor.
    pub fn new(config: Config, cpus: usize, contexts: usize, homes: &[u64], mutexes: usize) -> Kernel<T> {
        let idle = (0..cpus).map(|cpu| Task::new(cpu, 1 << cpu, true));
        let others = homes.iter().map(|mask| Task::new(mask.trailing_zeros() as usize, *mask, false));
        Kernel {
            config,
            tasks: idle.chain(others).collect(),
            mutexes: (0..mutexes).map(|_| Mutex::new()).collect(),
            rqs: (0..cpus).map(Rq::new).collect(),
            harms: Harms::new(),
            heals: Heals::new(contexts),
            trace: Trace::new(contexts),
        }
    }

    /// Whether this fault is planted.
    pub fn has(&self, mutant: Mutant) -> bool {
        self.config.mutant == Some(mutant)
    }

    /// Whether a task is a CPU's idle task.
    pub fn is_idle(&self, task: TaskId) -> bool {
        task < self.rqs.len()
    }
}
