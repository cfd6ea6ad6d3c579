//! What is run: which tasks, what they do, who disturbs them.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use crate::kernel::{BlockedOnStore, Mutant, Profile};

/// The layouts of task_struct, by name.
pub const LAYOUTS: [&str; 6] =
    ["kernel-x86_64", "kernel-aarch64", "kernel-powerpc64le", "kernel-riscv64gc", "packed", "padded"];

/// Which interleavings are sought (KERNEL.md, 8).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Variant {
    /// Two tasks on one CPU that contend, the other CPUs wake them: the most rounds.
    Minimal,
    /// Woken in the gap of the optimistic spin.
    V1,
    /// A signal to an interruptible donor.
    V2,
    /// Handoff with a stale foreign wakeup.
    V3,
    /// Two wakers.
    V4,
    /// A ww wound of an owner that is about to block elsewhere.
    V5,
    /// Preemption between the stores and schedule().
    V6,
    /// Owners on other CPUs: donors migrate and are deactivated.
    V7,
    /// Every layout of task_struct in turn.
    V8,
    /// All of them at once.
    All,
}

impl Variant {
    /// All of them.
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

    /// Its name.
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

    /// How often mutex_optimistic_spin() looks.
    pub const fn spins(self) -> u32 {
        match self {
            Variant::V1 | Variant::All => 20,
            _ => 0,
        }
    }

    /// What tasks and interrupts do.
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

/// What tasks and interrupts do; shares in per cent.
#[derive(Debug, Clone, Copy)]
pub(super) struct Habits {
    /// Mutexes that are contended for.
    pub mutexes: usize,
    /// Whether every CPU has tasks, or only the first.
    pub everywhere: bool,
    /// Locks taken interruptibly.
    pub interruptible: u32,
    /// Interrupts that send a signal.
    pub signals: u32,
    /// Interrupts that wound.
    pub wounds: u32,
    /// Blocks with a preemption between the stores and schedule().
    pub preempts: u32,
    /// A busy CPU takes an interrupt once in so many steps.
    pub wakes: u32,
}

/// Everything that is decided before a run.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Which kernel.
    pub profile: Profile,
    /// What is left out.
    pub mutant: Option<Mutant>,
    /// How blocked_on is stored.
    pub store: BlockedOnStore,
    /// Which interleavings.
    pub variant: Variant,
    /// The layout of task_struct; one of [`LAYOUTS`].
    pub layout: &'static str,
    /// The host's CPUs; each is one of the protocol's.
    pub cpus: Vec<usize>,
    /// Tasks per CPU that has any.
    pub tasks: usize,
    /// How long it runs.
    pub duration: Duration,
    /// A task that has not moved for so long ends it.
    pub watchdog: Duration,
    /// Seed of what tasks and interrupts do.
    pub seed: u64,
}
