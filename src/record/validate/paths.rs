//! A list of problems with the paths of their fields: `results[3].interval.high: is 1e-30; the counts give
//! 5.3e-8`.

use std::collections::BTreeMap;
use std::fmt::{Debug, Display};
use std::ops::RangeInclusive;

use serde::Serialize;
use serde_json::Value;

/// The relative difference up to which two numbers count as equal. The logarithms of different C libraries
/// may give slightly different results.
const TOLERANCE: f64 = 1e-6;

/// The problems that were found, and the path of the field that is being checked.
#[derive(Debug, Default)]
pub(super) struct Problems {
    at: String,
    found: Vec<String>,
}

impl Problems {
    pub(super) fn found(self) -> Vec<String> {
        self.found
    }

    /// Adds a problem of a field below the current path; of the current path itself if `field` is empty.
    pub(super) fn say(&mut self, field: &str, what: impl Display) {
        let dot = if self.at.is_empty() || field.is_empty() { "" } else { "." };
        self.found.push(format!("{}{dot}{field}: {what}", self.at));
    }

    /// Checks a field: its name is part of the path while `look` runs.
    pub(super) fn within(&mut self, field: &str, look: impl FnOnce(&mut Problems)) {
        let before = self.at.len();
        if before > 0 {
            self.at.push('.');
        }
        self.at.push_str(field);
        look(self);
        self.at.truncate(before);
    }

    /// Checks each element of a list.
    pub(super) fn each<T>(&mut self, field: &str, all: &[T], mut look: impl FnMut(&mut Problems, &T)) {
        for (number, one) in all.iter().enumerate() {
            self.within(&format!("{field}[{number}]"), |problems| look(problems, one));
        }
    }

    /// Checks that a number is in a range. NaN is in no range.
    pub(super) fn range<T: PartialOrd + Debug>(&mut self, field: &str, value: T, range: RangeInclusive<T>) {
        if !range.contains(&value) {
            self.say(field, format!("is {value:?}; expected {:?} to {:?}", range.start(), range.end()));
        }
    }

    /// Checks that a text is one of the known words.
    pub(super) fn one_of(&mut self, field: &str, value: &str, known: &[&str]) {
        if !known.contains(&value) {
            self.say(field, format!("is '{value}'; expected {}", known.join(" or ")));
        }
    }

    /// Checks that counts add up to another count. `found` is their sum, or `None` if it exceeds 2^64.
    pub(super) fn adds_up(&mut self, field: &str, what: &str, found: Option<u64>, wanted: u64, of: &str) {
        if found != Some(wanted) {
            let found = found.map_or("more than 2^64".to_owned(), |found| found.to_string());
            self.say(field, format!("{what} add up to {found}; {of} is {wanted}"));
        }
    }

    /// Checks that two numbers are equal up to rounding.
    pub(super) fn near(&mut self, field: &str, value: f64, wanted: f64, source: &str) {
        if !is_near(value, wanted) {
            self.say(field, format!("is {value:?}; {source} {wanted:?}"));
        }
    }

    /// Checks that no two elements of a list are equal. `what` names the kind of element.
    pub(super) fn distinct<T: Ord + Debug>(&mut self, field: &str, what: &str, all: &[T]) {
        let mut seen = BTreeMap::new();
        for (number, one) in all.iter().enumerate() {
            if let Some(first) = seen.insert(one, number) {
                self.say(&format!("{field}[{number}]"), format!("is the same {what} as {field}[{first}]"));
            }
        }
    }

    /// Adds a problem for every field in which `found` differs from the computed value `wanted`.
    pub(super) fn differences<T: Serialize + PartialEq>(&mut self, found: &T, wanted: &T, source: &str) {
        // Most records have no differences, and this is much faster than a comparison field by field.
        if found == wanted {
            return;
        }
        match (serde_json::to_value(found), serde_json::to_value(wanted)) {
            (Ok(found), Ok(wanted)) => self.compare(&found, &wanted, source),
            (Err(error), _) | (_, Err(error)) => self.say("", error),
        }
    }

    fn compare(&mut self, found: &Value, wanted: &Value, source: &str) {
        match (found, wanted) {
            (Value::Object(found), Value::Object(wanted)) => {
                let mut names: Vec<&String> = found.keys().chain(wanted.keys()).collect();
                names.sort_unstable();
                names.dedup();
                for name in names {
                    let [found, wanted] = [found, wanted].map(|side| side.get(name).unwrap_or(&Value::Null));
                    self.within(name, |problems| problems.compare(found, wanted, source));
                }
            }
            (Value::Array(found), Value::Array(wanted)) if are_objects(found) && found.len() == wanted.len() => {
                for (number, (found, wanted)) in found.iter().zip(wanted).enumerate() {
                    let before = self.at.len();
                    self.at.push_str(&format!("[{number}]"));
                    self.compare(found, wanted, source);
                    self.at.truncate(before);
                }
            }
            _ if same(found, wanted) => {}
            _ => self.say("", format!("is {}; {source} {}", shown(found), shown(wanted))),
        }
    }
}

/// Whether a list holds objects. Their fields are compared one by one, because numbers in them are equal only up to rounding.
fn are_objects(all: &[Value]) -> bool {
    !all.is_empty() && all.iter().all(Value::is_object)
}

/// Whether two numbers, texts, or lists of these are equal. Integers are compared exactly, because a count of 2^60 has more digits than
/// an f64.
fn same(found: &Value, wanted: &Value) -> bool {
    match (found, wanted) {
        (Value::Number(a), Value::Number(b)) if a.is_f64() || b.is_f64() => {
            a.as_f64().zip(b.as_f64()).is_some_and(|(a, b)| is_near(a, b))
        }
        (Value::Array(a), Value::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b)),
        _ => found == wanted,
    }
}

fn is_near(a: f64, b: f64) -> bool {
    a == b || (a - b).abs() <= TOLERANCE * b.abs()
}

fn shown(value: &Value) -> String {
    match value {
        Value::Null => "absent".to_owned(),
        Value::Number(number) if number.is_f64() => format!("{:?}", number.as_f64().unwrap_or(f64::NAN)),
        value => value.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn found(look: impl FnOnce(&mut Problems)) -> Vec<String> {
        let mut problems = Problems::default();
        look(&mut problems);
        problems.found()
    }

    #[test]
    fn paths_lead_to_the_field() {
        let said = found(|problems| {
            problems.range("a", 7, 0..=6);
            problems.within("b", |problems| {
                problems.each("c", &[1, 2], |problems, one| problems.range("d", *one, 0..=1));
                problems.say("e", "f");
            });
        });
        assert_eq!(said, ["a: is 7; expected 0 to 6", "b.c[1].d: is 2; expected 0 to 1", "b.e: f"]);
    }

    #[test]
    fn ranges_hold_their_ends_and_no_nan() {
        let outside = |value| !found(|problems| problems.range("a", value, 0.0..=1.0)).is_empty();
        assert_eq!([0.0, 1.0, 0.5].map(outside), [false; 3]);
        assert_eq!([-1e-300, 1.0 + 1e-15, f64::NAN, f64::INFINITY].map(outside), [true; 4]);
    }

    #[test]
    fn numbers_are_compared_as_what_they_are() {
        let differ = |a: Value, b: Value| !found(|problems| problems.compare(&a, &b, "x")).is_empty();
        assert!(differ(json!(1u64 << 60), json!((1u64 << 60) + 1)));
        assert!(!differ(json!(0.1), json!(0.1 + 1e-8)) && differ(json!(0.1), json!(0.1001)));
        assert!(differ(json!(1e-30), json!(0.0)) && differ(json!(0.0), json!(1e-30)) && !differ(json!(0.0), json!(0)));
        assert!(
            differ(json!(-0.5), json!(0.5))
                && differ(json!(null), json!(0.5))
                && !differ(json!({}), json!({"a": null}))
        );
        let said = found(|problems| {
            problems.compare(&json!({"a": {"b": 1e-30}}), &json!({"a": {"b": 5.5e-8}}), "the counts give")
        });
        assert_eq!(said, ["a.b: is 1e-30; the counts give 5.5e-8"]);
        let strata = |high: f64| json!({"strata": [{"ns": 1}, {"interval": {"high": high}}]});
        assert!(!differ(strata(0.2574116444649984), strata(0.2574116444649933)));
        let said = found(|problems| problems.compare(&strata(0.3), &strata(0.2), "the counts give"));
        assert_eq!(said, ["strata[1].interval.high: is 0.3; the counts give 0.2"]);
        assert!(!differ(json!([0.1]), json!([0.1 + 1e-8])));
        assert!(differ(json!([1]), json!([1, 2])) && differ(json!(["a"]), json!(["b"])));
        let said = found(|problems| problems.compare(&json!({"a": ["x"]}), &json!({}), "the counts give"));
        assert_eq!(said, ["a: is [\"x\"]; the counts give absent"]);
    }
}
