//! Tests and outcomes in plain words, for readers who do not know the tests by their names.
//!
//! The words are those of the test's file ([`crate::litmus::naming`]), which the record keeps. A record of an earlier version
//! has none; it takes those of the shipped test of the same name.

use std::collections::{BTreeMap, HashMap};
use std::sync::OnceLock;

use crate::catalogue;
use crate::record::{FinalValue, NamedOutcomeRecord, ScenarioResult, naming_of};

/// The values of an outcome.
pub(super) type Values = BTreeMap<String, FinalValue>;

/// The words of a shipped test.
struct Shipped {
    group: String,
    sha256: String,
    title: String,
    outcomes: Vec<NamedOutcomeRecord>,
}

/// The shipped test that a result of an earlier version is of, or of an earlier version of which it is: one of the same name and
/// the same source or group.
fn shipped(result: &ScenarioResult) -> Option<&'static Shipped> {
    static ALL: OnceLock<HashMap<String, Shipped>> = OnceLock::new();
    let all = ALL.get_or_init(|| {
        // Tests make sure that all are valid.
        let scenarios = catalogue::all().unwrap_or_default().into_iter();
        let words = scenarios.map(|scenario| {
            let (title, outcomes) = naming_of(&scenario);
            (scenario.name, Shipped { group: scenario.group, sha256: scenario.sha256.to_string(), title, outcomes })
        });
        words.collect()
    });
    let of_before = result.title.is_empty() && result.named_outcomes.is_empty();
    let found = all.get(&result.scenario).filter(|_| of_before)?;
    let same = result.group == found.group || result.source_sha256 == found.sha256;
    same.then_some(found)
}

fn outcomes(result: &ScenarioResult) -> &[NamedOutcomeRecord] {
    shipped(result).map_or(&result.named_outcomes, |shipped| &shipped.outcomes)
}

/// What a test is, in a few words; `None` if its file does not say.
pub(super) fn title(result: &ScenarioResult) -> Option<&str> {
    let title = shipped(result).map_or(result.title.as_str(), |shipped| &shipped.title);
    (!title.is_empty()).then_some(title)
}

/// The values of an outcome with the names that its test has today. Earlier versions of the shipped tests called the mutex
/// `lock`.
pub(super) fn current(result: &ScenarioResult, values: &Values) -> Values {
    let mutex = FinalValue::Address("&mutex".to_owned());
    let has_mutex = |outcome: &NamedOutcomeRecord| outcome.values.values().any(|value| *value == mutex);
    let renames = shipped(result).is_some_and(|shipped| shipped.outcomes.iter().any(has_mutex));
    let renamed = |value: &FinalValue| match value {
        FinalValue::Address(name) if name == "&lock" && renames => mutex.clone(),
        other => other.clone(),
    };
    values.iter().map(|(name, value)| (name.clone(), renamed(value))).collect()
}

/// An outcome in words, such as `woken, and blocked_on seen empty`; `None` if the test has no words for it.
pub(super) fn outcome<'a>(result: &'a ScenarioResult, values: &Values) -> Option<&'a str> {
    let named = outcomes(result).iter().find(|outcome| outcome.fits(values))?;
    Some(&named.words)
}

/// The race of a test in words, whether or not it was seen; `None` if the test has no words for what its condition asks.
pub(super) fn race(result: &ScenarioResult) -> Option<&str> {
    asked(&result.condition, outcomes(result))
}

/// The words of the outcome that a condition asks about.
pub(super) fn asked<'a>(condition: &str, outcomes: &'a [NamedOutcomeRecord]) -> Option<&'a str> {
    let asked = condition.strip_prefix("exists (")?.strip_suffix(')')?;
    let mut asked: Vec<&str> = asked.split(" /\\ ").collect();
    asked.sort_unstable();
    let is_asked = |outcome: &&NamedOutcomeRecord| {
        let mut values: Vec<String> = outcome.values.iter().map(|(name, value)| format!("{name}={value}")).collect();
        values.sort_unstable();
        values == asked
    };
    outcomes.iter().find(is_asked).map(|outcome| outcome.words.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::shipped as record_of;

    /// A result of a shipped test as an earlier version wrote it.
    fn before(name: &str) -> ScenarioResult {
        let scenario = catalogue::named(name).unwrap();
        ScenarioResult {
            scenario: name.to_owned(),
            group: scenario.group.clone(),
            source_sha256: "of an earlier version".to_owned(),
            condition: scenario.program.condition_text(),
            ..record_of("2026-11-25T174425Z").results[0].clone()
        }
    }

    fn values<const N: usize>(values: [(&str, FinalValue); N]) -> Values {
        values.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
    }

    #[test]
    fn every_shipped_test_has_a_title_that_fits() {
        for scenario in catalogue::all().unwrap() {
            let result = before(&scenario.name);
            let title = title(&result).unwrap_or_else(|| panic!("{} has no title", scenario.name));
            assert!(title.len() <= 42, "{title}");
            assert!(
                scenario.outcomes.is_empty() || race(&result) == Some(&scenario.outcomes[0].words),
                "{}",
                scenario.name
            );
        }
    }

    #[test]
    fn results_of_earlier_versions_have_the_words_of_the_shipped_test() {
        use FinalValue::Int;
        let race = before("S01-as-is");
        assert_eq!(title(&race), Some("the wakeup as in the kernel"));
        let seen = values([("1:r0", Int(2)), ("1:r1", Int(0))]);
        assert_eq!(outcome(&race, &seen), Some("woken, and blocked_on seen empty"));
        assert_eq!(outcome(&race, &values([("1:r0", Int(7)), ("1:r1", Int(0))])), None);
        let address = |name: &str| values([("1:r0", Int(2)), ("1:r1", FinalValue::Address(name.to_owned()))]);
        assert_eq!(outcome(&race, &address("&mutex")), Some("woken, and blocked_on seen"));
        assert_eq!(current(&race, &address("&lock")), address("&mutex"));
        assert_eq!(current(&race, &address("&other")), address("&other"));
        // A test of a user that has the name of a shipped one has other threads.
        let own = ScenarioResult { group: "tests-of-mine".to_owned(), ..race };
        assert_eq!((title(&own), outcome(&own, &seen), super::race(&own)), (None, None, None));
        assert_eq!(current(&own, &address("&lock")), address("&lock"));
    }

    #[test]
    fn the_words_of_the_record_come_first() {
        use FinalValue::Int;
        let named = |pairs, words: &str| NamedOutcomeRecord { values: pairs, words: words.to_owned() };
        let result = ScenarioResult {
            title: "a title of mine".to_owned(),
            named_outcomes: vec![
                named(values([("1:r1", Int(0)), ("1:r0", Int(2))]), "both"),
                named(values([("1:r0", Int(2))]), "one"),
            ],
            ..before("S01-as-is")
        };
        assert_eq!((title(&result), race(&result)), (Some("a title of mine"), Some("both")));
        let of = |r0, r1| outcome(&result, &values([("1:r0", Int(r0)), ("1:r1", Int(r1)), ("x", Int(1))]));
        assert_eq!((of(2, 0), of(2, 1), of(0, 0)), (Some("both"), Some("one"), None));
        let other = ScenarioResult { condition: "exists (1:r0=2 \\/ 1:r1=0)".to_owned(), ..result };
        assert_eq!(race(&other), None);
    }
}
