//! The plan of a run: which tasks there are, what they do, and which interrupts disturb them.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use crate::kernel::{BlockedOnStore, Features, Mutant, Profile};

pub use crate::kernel::task::LAYOUTS;

/// The interleavings that a run looks for (docs/kernel.md, section 8).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Variant {
    /// Two tasks on one CPU contend, and the other CPUs wake them. This gives the most rounds per second.
    Minimal,
    /// A wakeup during the gap of the optimistic spin.
    V1,
    /// A signal to an interruptible donor.
    V2,
    /// A handoff with a stale foreign wakeup.
    V3,
    /// Two wakers.
    V4,
    /// A ww wound of an owner that is about to block on another mutex, and a ww waiter that must die.
    V5,
    /// A preemption between the stores and schedule(), while owners sleep.
    V6,
    /// Owners on other CPUs, so that donors migrate and are deactivated.
    V7,
    /// Every layout of task_struct in turn.
    V8,
    /// need_resched() ends the optimistic spin.
    V9,
    /// Delayed dequeue: a task that sleeps may still be queued.
    V10,
    /// The wake list: the last part of a wakeup is done by the CPU that gets the task.
    V11,
    /// Chains: owners that are blocked on a second mutex. v7.2 migrates whole chains.
    V12,
    /// The push path moves queued tasks to other CPUs.
    V13,
    /// The stale match: a waker that matches the state of an earlier wait.
    S20,
    /// All interleavings at once.
    All,
}

impl Variant {
    /// All variants.
    pub const ALL: [Variant; 16] = [
        Variant::Minimal,
        Variant::V1,
        Variant::V2,
        Variant::V3,
        Variant::V4,
        Variant::V5,
        Variant::V6,
        Variant::V7,
        Variant::V8,
        Variant::V9,
        Variant::V10,
        Variant::V11,
        Variant::V12,
        Variant::V13,
        Variant::S20,
        Variant::All,
    ];

    /// The name used on the command line and in records.
    pub const fn name(self) -> &'static str {
        match self {
            Variant::Minimal => "minimal",
            Variant::V1 => "V1",
            Variant::V2 => "V2",
            Variant::V3 => "V3",
            Variant::V4 => "V4",
            Variant::V5 => "V5",
            Variant::V6 => "V6",
            Variant::V7 => "V7",
            Variant::V8 => "V8",
            Variant::V9 => "V9",
            Variant::V10 => "V10",
            Variant::V11 => "V11",
            Variant::V12 => "V12",
            Variant::V13 => "V13",
            Variant::S20 => "S20",
            Variant::All => "all",
        }
    }

    /// How many times mutex_optimistic_spin() looks at the owner; 0 disables the spin.
    pub const fn spins(self) -> u32 {
        match self {
            Variant::V1 | Variant::V9 | Variant::All => 20,
            _ => 0,
        }
    }

    /// The parts of the scheduler that this variant adds.
    pub const fn features(self) -> Features {
        let off = Features { delay_dequeue: 0, wake_list: false, whole_chain: false };
        match self {
            Variant::V10 => Features { delay_dequeue: 3, ..off },
            Variant::V11 => Features { wake_list: true, ..off },
            Variant::V12 => Features { whole_chain: true, ..off },
            _ => off,
        }
    }

    /// What tasks and interrupts do in this variant.
    pub(super) fn habits(self) -> Habits {
        let quiet = Habits { mutexes: 1, wakes: 4, ..Habits::default() };
        let everywhere = Habits { everywhere: true, ..quiet };
        match self {
            Variant::Minimal => quiet,
            Variant::V1 | Variant::V3 | Variant::V8 | Variant::V11 => everywhere,
            Variant::V2 => Habits { interruptible: 50, signals: 30, ..everywhere },
            Variant::V4 => Habits { wakes: 1, ..everywhere },
            Variant::V5 => Habits { mutexes: 2, wounds: 30, deaths: 20, nested: 50, ..everywhere },
            Variant::V6 => Habits { preempts: 50, naps: 30, ..everywhere },
            Variant::V7 => Habits { wakes: 8, ..everywhere },
            Variant::V9 => Habits { ticks: 30, ..everywhere },
            Variant::V10 => Habits { naps: 30, ..everywhere },
            Variant::V12 => Habits { mutexes: 2, nested: 50, ..everywhere },
            Variant::V13 => Habits { pushes: 30, wide: true, ..everywhere },
            Variant::S20 => Habits { waits: 100, wakes: 1, ..everywhere },
            Variant::All => Habits {
                mutexes: 2,
                interruptible: 30,
                signals: 10,
                wounds: 10,
                deaths: 5,
                preempts: 20,
                naps: 5,
                waits: 10,
                nested: 10,
                ticks: 5,
                pushes: 0,
                ..everywhere
            },
        }
    }
}

impl fmt::Display for Variant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Variant {
    type Err = String;

    fn from_str(text: &str) -> Result<Variant, String> {
        Variant::ALL.into_iter().find(|variant| variant.name().eq_ignore_ascii_case(text)).ok_or_else(|| {
            format!("unknown variant '{text}'; known are {}", Variant::ALL.map(Variant::name).join(", "))
        })
    }
}

/// What tasks and interrupts do. Shares are in per cent.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Habits {
    /// The number of mutexes.
    pub mutexes: usize,
    /// Whether every CPU has tasks; otherwise only the first has.
    pub everywhere: bool,
    /// Whether every task may run on every CPU; otherwise only where it starts.
    pub wide: bool,
    /// Share of the locks taken in an interruptible sleep.
    pub interruptible: u32,
    /// Share of the critical sections in which the owner sleeps.
    pub naps: u32,
    /// Share of the critical sections of the first mutex in which the owner takes the second, too.
    pub nested: u32,
    /// Share of the locks with an earlier wait loop, whose condition was true.
    pub waits: u32,
    /// Share of the blocking episodes with a preemption between the stores and schedule().
    pub preempts: u32,
    /// Share of the interrupts that send a signal.
    pub signals: u32,
    /// Share of the remaining interrupts that wound a task.
    pub wounds: u32,
    /// Share of the remaining interrupts that make a waiter die.
    pub deaths: u32,
    /// Share of the remaining interrupts that ask the CPU to reschedule.
    pub ticks: u32,
    /// Share of the remaining interrupts that push a task to the next CPU.
    pub pushes: u32,
    /// A busy CPU takes an interrupt once in this many steps, on average.
    pub wakes: u32,
}

/// The settings of a run.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The kernel version.
    pub profile: Profile,
    /// The planted fault, if any.
    pub mutant: Option<Mutant>,
    /// How blocked_on is stored.
    pub store: BlockedOnStore,
    /// The interleavings to look for.
    pub variant: Variant,
    /// The layout of task_struct; one of [`LAYOUTS`].
    pub layout: &'static str,
    /// The host CPU for each CPU of the protocol. Several CPUs of the protocol may share one.
    pub cpus: Vec<usize>,
    /// The number of tasks on each CPU that has tasks.
    pub tasks: usize,
    /// The duration of the run.
    pub duration: Duration,
    /// If a task is not switched to for this long, the run ends.
    pub watchdog: Duration,
    /// The seed of the random choices of tasks and interrupts.
    pub seed: u64,
}
