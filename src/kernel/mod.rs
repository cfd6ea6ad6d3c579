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

pub mod balance;
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
pub mod wake;
#[cfg(all(test, not(loom)))]
mod witness;
pub mod ww;

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
    /// As merged in v7.2. The scheduler looks at is_blocked, which only the runqueue's lock protects.
    V72,
}

impl Profile {
    /// All profiles.
    pub const ALL: [Profile; 3] = [Profile::V71, Profile::Draft, Profile::V72];

    /// The name used on the command line and in records.
    pub const fn name(self) -> &'static str {
        match self {
            Profile::V71 => "v7.1",
            Profile::Draft => "draft",
            Profile::V72 => "v7.2",
        }
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
        if text == OLD_DRAFT_WITH_CHECK {
            return Err(format!("'{text}' is no kernel but a mutant of the draft: --profile draft --mutant check"));
        }
        Profile::ALL.into_iter().find(|profile| profile.name() == text).ok_or_else(|| {
            format!("unknown profile '{text}'; known are {}", Profile::ALL.map(Profile::name).join(", "))
        })
    }
}

/// The name under which earlier versions recorded the draft with [`Mutant::Check`].
pub const OLD_DRAFT_WITH_CHECK: &str = "draft+check";

/// A change of the protocol: a step that is left out or added. It shows that the checks notice, or what a
/// change would help.
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
    /// proxy_deactivate() of the draft returns a task that is RUNNING, or has a signal, to a CPU where it may
    /// run. No kernel has this check. It shows which change would have helped.
    Check,
    /// __schedule() of v7.2 also sets is_blocked when it preempts a task. It shows what is_blocked is for.
    BlockPreempted,
}

impl Mutant {
    /// All mutants.
    pub const ALL: [Mutant; 8] = [
        Mutant::NoCleanup,
        Mutant::NoMbAfterSpinlock,
        Mutant::NoBailOut,
        Mutant::ClearUnlocked,
        Mutant::NoRecheck,
        Mutant::LoseWakeup,
        Mutant::Check,
        Mutant::BlockPreempted,
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
            Mutant::Check => "check",
            Mutant::BlockPreempted => "block-preempted",
        }
    }

    /// Whether the mutant adds a step; otherwise it leaves one out.
    pub const fn adds(self) -> bool {
        matches!(self, Mutant::Check | Mutant::BlockPreempted)
    }

    /// The only profile that the mutant changes, if there is only one.
    pub const fn only(self) -> Option<Profile> {
        match self {
            Mutant::Check => Some(Profile::Draft),
            Mutant::BlockPreempted => Some(Profile::V72),
            _ => None,
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

/// Parts of the scheduler that a kernel may have or use only sometimes. By default all are off.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Features {
    /// Delayed dequeue: every so many-th task that sleeps stays queued with sched_delayed set; 0 for none. In
    /// the kernel this depends on the task's lag.
    pub delay_dequeue: u32,
    /// TTWU_QUEUE: a wakeup for another CPU goes to that CPU's wake list, as if no two CPUs shared a cache.
    pub wake_list: bool,
    /// proxy_migrate_task() moves the whole chain of donors, as version 29 of the series does. None of the
    /// profiles' kernels has this. It needs blocked_donor, so it works in v7.2 only.
    pub whole_chain: bool,
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
    /// Parts of the scheduler that are not always used.
    pub features: Features,
}

impl Config {
    /// A profile as it is: no mutant, plain stores, no optimistic spin, all features off.
    pub const fn new(profile: Profile) -> Config {
        let features = Features { delay_dequeue: 0, wake_list: false, whole_chain: false };
        Config { profile, mutant: None, store: BlockedOnStore::Plain, spins: 0, features }
    }
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
            // loom explores no healing, and the histograms would take most of its time.
            heals: Heals::new(if cfg!(loom) { 0 } else { contexts }),
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
