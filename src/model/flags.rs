//! Flags: what the kernel's model warns about in executions that it allows. herd7 prints them as `Flag data-race`.

use super::bits::named_bits;

/// A set of flags.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash)]
pub struct Flags(u16);

// In the order of their names, as herd7 prints them.
named_bits! {
    Flags:
    /// Two unordered accesses of different threads to one location, at least one of them plain and one a write.
    DATA_RACE = 0, "data-race";
    /// synchronize_srcu in a read-side section of RCU, which must not sleep.
    INVALID_SLEEP = 1, "invalid-sleep";
    /// A lock or an SRCU domain whose final value is asked for.
    LOCK_FINAL = 2, "lock-final";
    /// A plain write and a marked access to one location without a barrier between them.
    MIXED_ACCESSES = 3, "mixed-accesses";
    /// An SRCU domain that is also read or written as a variable. A lock that is used so is refused.
    MIXED_LOCK_ACCESSES = 4, "mixed-lock-accesses";
    /// An srcu_read_unlock whose index comes from several srcu_read_lock.
    MULTIPLE_SRCU_MATCHES = 5, "multiple-srcu-matches";
    /// An srcu_read_unlock with another index than that of its srcu_read_lock.
    SRCU_BAD_VALUE_MATCH = 6, "srcu-bad-value-match";
    /// A rcu_read_lock without its rcu_read_unlock.
    UNMATCHED_RCU_LOCK = 7, "unmatched-rcu-lock";
    /// A rcu_read_unlock without its rcu_read_lock.
    UNMATCHED_RCU_UNLOCK = 8, "unmatched-rcu-unlock";
    /// An srcu_read_lock whose index no srcu_read_unlock gets.
    UNMATCHED_SRCU_LOCK = 9, "unmatched-srcu-lock";
    /// An srcu_read_unlock whose index comes from no srcu_read_lock.
    UNMATCHED_SRCU_UNLOCK = 10, "unmatched-srcu-unlock";
    /// A spin_unlock by a thread that does not hold the lock.
    UNMATCHED_UNLOCK = 11, "unmatched-unlock";
}

impl Flags {
    /// Whether the set contains all of `others`.
    pub const fn contains(self, others: Flags) -> bool {
        self.0 & others.0 == others.0
    }

    /// The set without `others`.
    pub const fn without(self, others: Flags) -> Flags {
        Flags(self.0 & !others.0)
    }

    /// The flag if it is raised.
    pub const fn when(self, raised: bool) -> Flags {
        if raised { self } else { Flags::NONE }
    }

    /// The names in herd7's logs, in alphabetical order.
    pub fn names(self) -> impl Iterator<Item = &'static str> {
        Flags::WORDS.iter().filter(move |(flag, _)| self.contains(*flag)).map(|(_, word)| *word)
    }

    /// The flag with a name in herd7's logs.
    pub fn named(name: &str) -> Option<Flags> {
        Flags::WORDS.iter().find(|(_, word)| *word == name).map(|(flag, _)| *flag)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_flag_has_its_name_and_the_names_are_in_order() {
        let all = Flags::WORDS.iter().fold(Flags::NONE, |all, (flag, _)| all | *flag);
        let names: Vec<&str> = all.names().collect();
        assert_eq!(names.len(), 12);
        assert!(names.is_sorted(), "{names:?}");
        for (flag, name) in Flags::WORDS {
            assert_eq!(Flags::named(name), Some(*flag));
        }
        assert_eq!(Flags::named("unknown"), None);
        assert!(!Flags::DATA_RACE.contains(all) && all.contains(Flags::DATA_RACE));
        assert!(!all.without(Flags::DATA_RACE).contains(Flags::DATA_RACE));
    }
}
