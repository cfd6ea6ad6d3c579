//! The plan of a run: which tasks there are, what they do, and which interrupts disturb them.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use crate::kernel::{BlockedOnStore, Mutant, Profile};

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
    /// A ww wound of an owner that is about to block on another mutex.
    V5,
    /// A preemption between the stores and schedule().
    V6,
    /// Owners on other CPUs, so that donors migrate and are deactivated.
    V7,
    /// Every layout of task_struct in turn.
    V8,
    /// All interleavings at once.
    All,
}

impl Variant {
    /// All variants.
    pub const ALL: [Variant; 10] = [
        Variant::Minimal,
        Variant::V1,
        Variant::V2,
        Variant::V3,
        Variant::V4,
        Variant::V5,
        Variant::V6,
        Variant::V7,
        Variant::V8,
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
            Variant::All => "all",
        }
    }

    /// How many times mutex_optimistic_spin() looks at the owner; 0 disables the spin.
    pub const fn spins(self) -> u32 {
        match self {
            Variant::V1 | Variant::All => 20,
            _ => 0,
        }
    }

    /// What tasks and interrupts do in this variant.
    pub(super) fn habits(self) -> Habits {
        let quiet =
            Habits { mutexes: 1, everywhere: false, interruptible: 0, signals: 0, wounds: 0, preempts: 0, wakes: 4 };
        match self {
            Variant::Minimal => quiet,
            Variant::V1 | Variant::V3 | Variant::V8 => Habits { everywhere: true, ..quiet },
            Variant::V2 => Habits { everywhere: true, interruptible: 50, signals: 30, ..quiet },
            Variant::V4 => Habits { everywhere: true, wakes: 1, ..quiet },
            Variant::V5 => Habits { everywhere: true, mutexes: 2, wounds: 30, ..quiet },
            Variant::V6 => Habits { everywhere: true, preempts: 50, ..quiet },
            Variant::V7 => Habits { everywhere: true, wakes: 8, ..quiet },
            Variant::All => Habits {
                mutexes: 2,
                everywhere: true,
                interruptible: 30,
                signals: 10,
                wounds: 10,
                preempts: 20,
                wakes: 4,
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
#[derive(Debug, Clone, Copy)]
pub(super) struct Habits {
    /// The number of mutexes.
    pub mutexes: usize,
    /// Whether every CPU has tasks; otherwise only the first has.
    pub everywhere: bool,
    /// Share of the locks taken in an interruptible sleep.
    pub interruptible: u32,
    /// Share of the interrupts that send a signal.
    pub signals: u32,
    /// Share of the remaining interrupts that wound a task.
    pub wounds: u32,
    /// Share of the blocking episodes with a preemption between the stores and schedule().
    pub preempts: u32,
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
