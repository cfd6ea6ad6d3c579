//! The kernel's mutex and wakeup protocol in user space, in the kernel's words.
//!
//! Someone who knows kernel/locking/mutex.c and kernel/sched/core.c should be able to hold these files against them: the
//! names and the order of operations are theirs, the text is not. What the protocol does not need is left out:
//! priorities, classes, load balancing, lock debugging. Whoever calls in is a CPU (see [`crate::protocol`]); tasks are resumed by
//! whichever CPU picks them, and [`Profile`] says which kernel it is.
//!
//! The same source runs natively and, with `--cfg loom`, under loom, which explores every interleaving and
//! every value a load may return that C11's relaxed, acquire and release allow.

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

/// Number of a task in [`Kernel::tasks`].
pub type TaskId = usize;
/// Number of a mutex in [`Kernel::mutexes`].
pub type MutexId = usize;
/// Number of a CPU.
pub type Cpu = usize;

/// The task runs or wants to.
pub const TASK_RUNNING: u32 = 0;
/// It sleeps until it is woken or gets a signal.
pub const TASK_INTERRUPTIBLE: u32 = 1;
/// It sleeps until it is woken.
pub const TASK_UNINTERRUPTIBLE: u32 = 2;
/// What wake_up_process() wakes.
pub const TASK_NORMAL: u32 = TASK_INTERRUPTIBLE | TASK_UNINTERRUPTIBLE;
/// A wakeup is under way.
pub const TASK_WAKING: u32 = 0x200;
/// It has exited.
pub const TASK_DEAD: u32 = 0x80;

/// A value of `->on_rq`: on its runqueue.
pub const TASK_ON_RQ_QUEUED: u32 = 1;
/// A value of `->on_rq`: between two runqueues.
pub const TASK_ON_RQ_MIGRATING: u32 = 2;

/// Which kernel the protocol is that of (KERNEL.md, 2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Profile {
    /// As merged in v7.1: a wakeup does not look at blocked_on, and find_proxy_task() sorts out what is left of it.
    V71,
    /// What the mail reviews, reconstructed from its text: a wakeup tests blocked_on without its lock, and find_proxy_task()
    /// deactivates where v7.1 forces a return.
    Draft,
    /// The draft with what proxy_deactivate() of the merged kernel has: a task that is RUNNING is not deactivated but returned
    /// to where it may run. Whether the mail's draft kept that is not known.
    DraftChecked,
    /// As merged in v7.2: is_blocked, under the runqueue's lock alone.
    V72,
}

impl Profile {
    /// All of them.
    pub const ALL: [Profile; 4] = [Profile::V71, Profile::Draft, Profile::DraftChecked, Profile::V72];

    /// Its name.
    pub const fn name(self) -> &'static str {
        match self {
            Profile::V71 => "v7.1",
            Profile::Draft => "draft",
            Profile::DraftChecked => "draft+check",
            Profile::V72 => "v7.2",
        }
    }

    /// Whether it is one of the two reconstructions of the draft.
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

/// A thing left out on purpose, to show that the checks see it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Mutant {
    /// mutex_lock() returns without clearing blocked_on.
    NoCleanup,
    /// schedule() has no smp_mb__after_spinlock().
    NoMbAfterSpinlock,
    /// set_task_blocked_on_waking() does not bail out on NULL.
    NoBailOut,
    /// The clean-up at "acquired" does not hold blocked_lock.
    ClearUnlocked,
    /// find_proxy_task() does not look again with the locks held.
    NoRecheck,
    /// try_to_wake_up() drops a wakeup in a thousand.
    LoseWakeup,
}

impl Mutant {
    /// All of them.
    pub const ALL: [Mutant; 6] = [
        Mutant::NoCleanup,
        Mutant::NoMbAfterSpinlock,
        Mutant::NoBailOut,
        Mutant::ClearUnlocked,
        Mutant::NoRecheck,
        Mutant::LoseWakeup,
    ];

    /// Its name.
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
    /// WRITE_ONCE, as the kernel does.
    #[default]
    Plain,
    /// A non-temporal store, which is weakly ordered even on x86: it forces the race for real.
    Nontemporal,
}

/// What is decided before it runs.
#[derive(Debug, Clone, Copy)]
pub struct Config {
    /// Which kernel.
    pub profile: Profile,
    /// What is left out of it.
    pub mutant: Option<Mutant>,
    /// How blocked_on is stored.
    pub store: BlockedOnStore,
    /// How often mutex_optimistic_spin() looks at the owner before it gives up; 0 leaves it out.
    pub spins: u32,
}

/// Everything there is: tasks, mutexes, a runqueue per CPU.
pub struct Kernel<T: TaskLayout> {
    /// What was decided.
    pub config: Config,
    /// The tasks. The first one of each CPU's number is that CPU's idle task.
    pub tasks: Vec<Task<T>>,
    /// The mutexes.
    pub mutexes: Vec<Mutex>,
    /// The runqueues, by CPU.
    pub rqs: Vec<Rq>,
    /// What must never happen, counted where it would.
    pub harms: Harms,
    /// Who healed tasks that kept their blocked_on.
    pub heals: Heals,
    /// The last things that each CPU did.
    pub trace: Trace,
}

impl<T: TaskLayout> Kernel<T> {
    /// `cpus` CPUs with their idle tasks, then one task for each entry of `homes`: the CPUs it may run on, as bits; it
    /// starts on the lowest of them. `contexts` is how many threads call into the kernel: the CPUs, and interrupts beside.
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

    /// Whether something is left out.
    pub fn has(&self, mutant: Mutant) -> bool {
        self.config.mutant == Some(mutant)
    }

    /// Whether a task is a CPU's idle task.
    pub fn is_idle(&self, task: TaskId) -> bool {
        task < self.rqs.len()
    }
}
