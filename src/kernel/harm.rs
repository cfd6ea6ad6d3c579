//! The harms that must never happen (docs/kernel.md, section 8) and the claims about blocked_on (section 1).
//!
//! The protocol checks each one at the place where it can be violated, and counts the violations.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};

use super::{Mutant, Profile};

/// A harm (H1 to H11, M, D) or a broken claim about blocked_on (C1 to C6). See [`Harm::text`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[allow(missing_docs)] // `text` describes each variant
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
    H11,
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
    /// All harms and claims. Two claims have no variant: C7 (a lockless look is safe) is refuted by the race,
    /// which is counted elsewhere; C8 (a wakeup is still due) is H4.
    pub const ALL: [Harm; 19] = [
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
        Harm::H11,
        Harm::M,
        Harm::D,
        Harm::C1,
        Harm::C2,
        Harm::C3,
        Harm::C4,
        Harm::C5,
        Harm::C6,
    ];

    /// A description; records and tables contain it.
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
            Harm::H11 => "a task deactivated before its work was flushed",
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

    /// Whether this harm is known to occur in a profile, with a mutant if there is one.
    ///
    /// H1 is the race, seen by a wakeup that tests blocked_on (the draft). H5 occurs where a wakeup leaves
    /// blocked_on set. H6, and with it H4, occurs in the draft (the open question of docs/kernel.md,
    /// section 8) unless it checks for RUNNING tasks. H8 occurs where donors do not look at signals: in v7.1
    /// and the draft. H11 occurs where a preempted task counts as a donor: in v7.1 and the draft. C4 does not
    /// hold in v7.2, whose unlock clears blocked_on under blocked_lock alone. C5 does not hold in v7.2, for
    /// the same reason, nor in the draft, whose wakeup clears it.
    pub fn expected(self, profile: Profile, mutant: Option<Mutant>) -> bool {
        match self {
            Harm::H1 => profile == Profile::Draft,
            Harm::H5 | Harm::H8 | Harm::H11 => profile != Profile::V72,
            Harm::H4 | Harm::H6 => profile == Profile::Draft && mutant != Some(Mutant::Check),
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

/// One count per harm.
#[derive(Debug, Default)]
pub struct Harms {
    counts: [AtomicU64; Harm::ALL.len()],
}

impl Harms {
    /// All counts are 0.
    pub fn new() -> Harms {
        Harms::default()
    }

    /// Counts one occurrence. Returns whether it is the first of this harm.
    pub fn count(&self, harm: Harm) -> bool {
        self.counts[harm as usize].fetch_add(1, Ordering::Relaxed) == 0
    }

    /// The number of occurrences of this harm.
    pub fn of(&self, harm: Harm) -> u64 {
        self.counts[harm as usize].load(Ordering::Relaxed)
    }

    /// The harms that occurred although they are not expected in this profile with this mutant.
    pub fn unexpected(&self, profile: Profile, mutant: Option<Mutant>) -> Vec<Harm> {
        Harm::ALL.into_iter().filter(|harm| self.of(*harm) > 0 && !harm.expected(profile, mutant)).collect()
    }
}
