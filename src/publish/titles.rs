//! Tests and outcomes in the kernel's words, for readers who do not know the tests by their names.
//!
//! These words are here and not in the headers of the scenarios: a record identifies a test by the hash of its file, so a
//! new word in a header would make every earlier record one of another test.

use std::collections::BTreeMap;

use crate::record::FinalValue;

/// The shipped tests, each with a title that fits into a line of a chart.
const TITLES: &[(&str, &str)] = &[
    ("S01-as-is", "the wakeup as in the kernel"),
    ("S01-core", "its two stores and two loads alone"),
    ("S01f-full-waker", "with the whole waker"),
    ("S01p-plain-access", "blocked_on with plain C accesses"),
    ("S12-heal", "the race, and schedule() that heals it"),
    ("S14-third-cpu", "a third CPU relays the state"),
    ("S20-stale-match", "the waker matched an earlier wait"),
    ("S02-wmb", "smp_wmb() between the two stores"),
    ("S03-store-release", "__state stored with release"),
    ("S04-locked-read", "blocked_on read under blocked_lock"),
    ("S04b-locked-read-no-rmb", "read under blocked_lock, no smp_rmb()"),
    ("S05b-swapped-locked-read", "stores swapped, read under the lock"),
    ("S06c-unlock-lock-between", "unlock and lock between the stores"),
    ("S07b-release-acquire", "release and acquire, no smp_rmb()"),
    ("S18-is_blocked", "is_blocked under the runqueue's lock"),
    ("S05-swapped", "the two stores swapped"),
    ("S06-unlock-between", "blocked_lock dropped between the stores"),
    ("S06b-blocked_on-before-lock", "blocked_on stored before the lock"),
    ("S07-wmb-no-rmb", "smp_wmb(), but no smp_rmb()"),
    ("S08b-no-store_mb", "no barrier in set_current_state()"),
    ("S08c-no-mb-after-spinlock", "no smp_mb__after_spinlock()"),
    ("S09b-on_rq-no-rmb", "no smp_rmb() before on_rq"),
    ("S13b-bail-out", "the waker looks before and after"),
    ("S17b-signal-no-mb", "no smp_mb__after_spinlock()"),
    ("S08-lost-wakeup", "condition and state both missed"),
    ("S09-on_rq", "state matched, on_rq missed"),
    ("S12c-still-blocked", "race missed by schedule() too"),
    ("S16-off-runqueue", "blocked_on behind on_rq = 0"),
    ("S17-signal", "signal and state both missed"),
    ("S19-unlocker", "the unlocker as the waker"),
    ("S25-pi_blocked_on", "pi_blocked_on under pi_lock"),
    ("S21-is_blocked-pi_lock", "is_blocked under pi_lock only"),
    ("S21b-is_blocked-list", "is_blocked and the owner's list"),
    ("S22-two-words", "blocked_on as two words"),
    ("S22b-two-words-locked", "two words copied under the lock"),
    ("S23-sleeping-owner", "a waiter put on a woken owner's list"),
    ("S23b-sleeping-owner-recheck", "the same with on_rq tested again"),
    ("S24-hung_task-blocker", "khungtaskd reads without a lock"),
    ("CoRR", "two reads of one variable in order"),
    ("MP", "message passing without barriers"),
    ("MP+nt", "message passing, non-temporal store"),
    ("S01-as-is+nt", "the wakeup with a weakly ordered store"),
    ("S01-core+nt", "the same accesses, one store non-temporal"),
    ("S01-core+nt+wmb", "the weakly ordered store and wmb()"),
    ("S01-core+nt+xchg", "the weakly ordered store and xchg"),
    ("SB", "store buffering"),
    ("SB+mbs", "store buffering with full barriers"),
];

/// What a test is about, in a few words; `None` for a test that wakerace does not ship.
pub(super) fn title(scenario: &str) -> Option<&'static str> {
    TITLES.iter().find(|(name, _)| *name == scenario).map(|(_, title)| *title)
}

/// The outcomes of tests with the same threads: the tests, and each outcome with its words.
type Family = (&'static [&'static str], &'static [(&'static [(&'static str, &'static str)], &'static str)]);

/// The tests whose P1 reads `__state` into r0 and `blocked_on` into r1.
const WAKEUPS: [&str; 20] = [
    "S01-as-is",
    "S01-core",
    "S01f-full-waker",
    "S01p-plain-access",
    "S02-wmb",
    "S03-store-release",
    "S04-locked-read",
    "S04b-locked-read-no-rmb",
    "S05-swapped",
    "S05b-swapped-locked-read",
    "S06-unlock-between",
    "S06b-blocked_on-before-lock",
    "S06c-unlock-lock-between",
    "S07-wmb-no-rmb",
    "S07b-release-acquire",
    "S01-as-is+nt",
    "S01-core+nt",
    "S01-core+nt+wmb",
    "S01-core+nt+xchg",
    "S24-hung_task-blocker",
];

const FAMILIES: [Family; 3] = [
    (
        &WAKEUPS,
        &[
            (&[("1:r0", "2"), ("1:r1", "0")], "woken, and blocked_on seen empty"),
            (&[("1:r0", "2"), ("1:r1", "&mutex")], "woken, and blocked_on seen"),
            (&[("1:r0", "0"), ("1:r1", "0")], "not woken: the waker came too early"),
            (&[("1:r0", "0"), ("1:r1", "&mutex")], "not woken, though blocked_on was seen"),
        ],
    ),
    (
        &["SB", "SB+mbs"],
        &[
            (&[("0:r0", "0"), ("1:r0", "0")], "each thread missed the other's store"),
            (&[("0:r0", "0"), ("1:r0", "1")], "P0 came first"),
            (&[("0:r0", "1"), ("1:r0", "0")], "P1 came first"),
            (&[("0:r0", "1"), ("1:r0", "1")], "each thread saw the other's store"),
        ],
    ),
    (
        &["MP", "MP+nt"],
        &[
            (&[("1:r0", "1"), ("1:r1", "0")], "flag seen, message missed"),
            (&[("1:r0", "1"), ("1:r1", "1")], "flag and message seen"),
            (&[("1:r0", "0"), ("1:r1", "0")], "neither seen yet"),
            (&[("1:r0", "0"), ("1:r1", "1")], "message seen before the flag"),
        ],
    ),
];

/// The values of an outcome with the names that its test has today. Earlier versions of these tests called the mutex `lock`.
pub(super) fn current(scenario: &str, values: &BTreeMap<String, FinalValue>) -> BTreeMap<String, FinalValue> {
    let renamed = |value: &FinalValue| match value {
        FinalValue::Address(name) if name == "&lock" && WAKEUPS.contains(&scenario) => {
            FinalValue::Address("&mutex".to_owned())
        }
        other => other.clone(),
    };
    values.iter().map(|(name, value)| (name.clone(), renamed(value))).collect()
}

/// An outcome in words, such as `woken, and blocked_on seen empty`; `None` if the test has no words for it.
pub(super) fn outcome(scenario: &str, values: &BTreeMap<String, FinalValue>) -> Option<&'static str> {
    let (_, outcomes) = FAMILIES.iter().find(|(tests, _)| tests.contains(&scenario))?;
    let same = |wanted: &[(&str, &str)]| {
        let has = |(name, value): &(&str, &str)| values.get(*name).is_some_and(|found| found.to_string() == *value);
        values.len() == wanted.len() && wanted.iter().all(has)
    };
    outcomes.iter().find(|(wanted, _)| same(wanted)).map(|(_, words)| *words)
}

/// The race of a test in words, whether or not it was seen; `None` if its condition is another one.
pub(super) fn race(scenario: &str, condition: &str) -> Option<&'static str> {
    let (_, outcomes) = FAMILIES.iter().find(|(tests, _)| tests.contains(&scenario))?;
    let (values, words) = outcomes[0];
    let each: Vec<String> = values.iter().map(|(name, value)| format!("{name}={value}")).collect();
    (condition == format!("exists ({})", each.join(" /\\ "))).then_some(words)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalogue;

    #[test]
    fn every_shipped_test_has_a_title_that_fits() {
        for scenario in catalogue::all().unwrap() {
            let title = title(&scenario.name).unwrap_or_else(|| panic!("{} has no title", scenario.name));
            assert!(title.len() <= 42, "{title}");
        }
    }

    #[test]
    fn words_belong_to_outcomes_that_the_test_can_have() {
        for (tests, outcomes) in FAMILIES {
            for name in tests {
                let scenario = catalogue::named(name).unwrap();
                let text = scenario.program.condition_text();
                assert_eq!(race(name, &text), Some(outcomes[0].1), "{name}: {text}");
            }
        }
        let of = |name: &str, values: &[(&str, i64)]| {
            let values = values.iter().map(|(name, value)| ((*name).to_owned(), FinalValue::Int(*value))).collect();
            outcome(name, &values)
        };
        assert_eq!(of("S01-as-is", &[("1:r0", 2), ("1:r1", 0)]), Some("woken, and blocked_on seen empty"));
        assert_eq!(of("S01-as-is", &[("1:r0", 2), ("1:r1", 0), ("x", 1)]), None);
        let address = |name: &str| BTreeMap::from([("1:r1".to_owned(), FinalValue::Address(name.to_owned()))]);
        assert_eq!(current("S01-as-is", &address("&lock")), address("&mutex"));
        assert_eq!(current("S01-as-is", &address("&other")), address("&other"));
        assert_eq!(current("a-test-of-mine", &address("&lock")), address("&lock"));
        assert_eq!(
            (of("S01-as-is", &[("1:r0", 7), ("1:r1", 0)]), of("else", &[("1:r0", 2), ("1:r1", 0)])),
            (None, None)
        );
    }
}
