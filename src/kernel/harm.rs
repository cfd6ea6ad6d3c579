//! What must never happen (KERNEL.md, 8), and the claims made about blocked_on (KERNEL.md, 1): each is checked at the place
//! where it would go wrong, and counted.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};

use super::Profile;

/// What must never happen, and what was claimed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[allow(missing_docs)] // the texts below say what they are
pub enum Harm {
    H1,
    H2,
    H3,
    H4,
    H5,
    H6,
    H7,
    H8,
    H9,
    H10,
    M,
    D,
    C1,
    C2,
    C3,
    C4,
    C5,
    C6,
}

impl Harm {
    /// All of them. C7, that a lockless look is safe, is what races refute, and they are counted; C8, that a wakeup is still
    /// due, is H4.
    pub const ALL: [Harm; 18] = [
        Harm::H1,
        Harm::H2,
        Harm::H3,
        Harm::H4,
        Harm::H5,
        Harm::H6,
        Harm::H7,
        Harm::H8,
        Harm::H9,
        Harm::H10,
        Harm::M,
        Harm::D,
        Harm::C1,
        Harm::C2,
        Harm::C3,
        Harm::C4,
        Harm::C5,
        Harm::C6,
    ];

    /// What it is.
    pub const fn text(self) -> &'static str {
        match self {
            Harm::H1 => "RUNNING with blocked_on set after a wakeup that tests blocked_on",
            Harm::H2 => "blocked_on set after mutex_lock() returned",
            Harm::H3 => "PROXY_WAKING left after return, or overwritten by a mutex",
            Harm::H4 => "lost wakeup: off the runqueue yet RUNNING, or a lock free and its waiter asleep",
            Harm::H5 => "a RUNNING task used as donor",
            Harm::H6 => "a RUNNING task deactivated",
            Harm::H7 => "a task run on a CPU outside its mask",
            Harm::H8 => "a signal handled only after the lock was given",
            Harm::H9 => "another mutex's blocked_on cleared",
            Harm::H10 => "two CPUs run one task",
            Harm::M => "two tasks hold one mutex",
            Harm::D => "a turn lent along a mutex that the task is not blocked on",
            Harm::C1 => "blocked_on goes from one mutex to another",
            Harm::C2 => "blocked_on goes from NULL to PROXY_WAKING",
            Harm::C3 => "blocked_on changed without blocked_lock",
            Harm::C4 => "blocked_on of a queued task cleared by another without its runqueue's lock",
            Harm::C5 => "blocked_on of a task off its runqueue cleared by another",
            Harm::C6 => "blocked_on set by somebody else than the task itself, running",
        }
    }

    /// Whether a profile may show it: H1 where the race is, H5 where a wakeup leaves blocked_on behind, H6 and with it H4 in the
    /// draft (the open question of KERNEL.md, 8), H8 in v7.1, whose donors do not look at signals; C4 in v7.2, whose
    /// unlock clears under blocked_lock alone, and C5 there and in the draft, whose wakeup clears.
    pub fn expected(self, profile: Profile) -> bool {
        match self {
            Harm::H1 => profile.is_draft(),
            Harm::H5 => profile != Profile::V72,
            Harm::H4 | Harm::H6 => profile == Profile::Draft,
            Harm::H8 => profile != Profile::V72,
            Harm::C4 => profile == Profile::V72,
            Harm::C5 => profile != Profile::V71,
            _ => false,
        }
    }
}

impl fmt::Display for Harm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!("{self:?}"))
    }
}

/// Counts, one per harm.
#[derive(Debug, Default)]
pub struct Harms {
    counts: [AtomicU64; Harm::ALL.len()],
}

impl Harms {
    /// None so far.
    pub fn new() -> Harms {
        Harms::default()
    }

    /// Counts one; whether it is the first of its kind.
    pub fn count(&self, harm: Harm) -> bool {
        self.counts[harm as usize].fetch_add(1, Ordering::Relaxed) == 0
    }

    /// How many there were.
    pub fn of(&self, harm: Harm) -> u64 {
        self.counts[harm as usize].load(Ordering::Relaxed)
    }

    /// Those that were seen though a profile must not show them.
    pub fn unexpected(&self, profile: Profile) -> Vec<Harm> {
        Harm::ALL.into_iter().filter(|harm| self.of(*harm) > 0 && !harm.expected(profile)).collect()
    }
}
