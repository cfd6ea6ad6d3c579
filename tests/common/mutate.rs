//! Changes valid records in a few places that input bytes select, and runs everything that reads records on
//! the result. The fuzz target and the test suite share this file.

use serde_json::{Number, Value, json};
use wakerace::publish::{
    Entry, Publish, Tagged, compare, comparison_markdown, comparison_table, hgrm, hlog, last_writers_csv, litmus_log,
    page, window_csv, windows,
};
use wakerace::record::{self, AnyRecord, Merger, Record};

use super::small;

/// A stream of input bytes. After its end it yields zeros.
pub struct Bytes<'a>(pub &'a [u8]);

impl Bytes<'_> {
    fn byte(&mut self) -> usize {
        let Some((first, rest)) = self.0.split_first() else { return 0 };
        self.0 = rest;
        usize::from(*first)
    }

    fn word(&mut self) -> u64 {
        (0..8).fold(0, |word, _| word << 8 | self.byte() as u64)
    }

    fn pick<'a, T>(&mut self, all: &'a [T]) -> &'a T {
        // One byte cannot select among more than 256 items.
        let number = if all.len() > 256 { self.byte() << 8 | self.byte() } else { self.byte() };
        &all[number % all.len()]
    }
}

/// The valid records to change: a run, a run with one result, a merged record, and a record of the protocol.
pub fn wholes() -> Vec<Value> {
    let run = small::run();
    let mut one = run.clone();
    one.results.truncate(1);
    // A record without the test's source is read faster.
    one.results[0].source.clear();
    let mut merger = Merger::new("a", run.clone()).unwrap();
    merger.add("b", small::another(run.clone())).unwrap();
    let value = |record: &Record| serde_json::to_value(record).unwrap();
    vec![value(&run), value(&one), value(&merger.finish()), serde_json::to_value(small::protocol()).unwrap()]
}

/// Appends the JSON pointers of everything inside a value, without the value itself.
fn paths(value: &Value, at: &str, out: &mut Vec<String>) {
    let mut below = |name: String, value: &Value| {
        let path = format!("{at}/{}", name.replace('~', "~0").replace('/', "~1"));
        out.push(path.clone());
        paths(value, &path, out);
    };
    match value {
        Value::Array(all) => all.iter().enumerate().for_each(|(number, one)| below(number.to_string(), one)),
        Value::Object(all) => all.iter().for_each(|(name, one)| below(name.clone(), one)),
        _ => {}
    }
}

/// Texts that have a meaning somewhere in a record, and some that are likely to cause errors.
const TEXTS: [&str; 24] = [
    "",
    "SB",
    "S01-as-is",
    "free",
    "paced",
    "auto",
    "given",
    "P0",
    "P9",
    "&mutex",
    "ns",
    "iterations",
    "x86_64",
    "aarch64",
    "Never",
    "Always",
    "observed",
    "v7.1",
    "controls",
    "~exists (x=1)",
    "forall (x=1)",
    "\u{1b}[2J\r\n,\"<>&|",
    "2026-11-26T01:02:03Z",
    "AAAA",
];

/// Changes one place in a value.
fn change(value: &mut Value, bytes: &mut Bytes<'_>) {
    let mut all = Vec::new();
    paths(value, "", &mut all);
    if all.is_empty() {
        return;
    }
    let path = bytes.pick(&all).clone();
    let other = bytes.pick(&all).clone();
    let (above, name) = path.rsplit_once('/').expect("paths begin with a slash");
    let replaced = match bytes.byte() % 12 {
        0 => Value::Null,
        1 => json!(bytes.word()),
        2 => json!(bytes.byte()),
        3 => Number::from_f64(f64::from_bits(bytes.word())).map_or(Value::Null, Value::Number),
        4 => json!(-(bytes.byte() as f64) / 8.0),
        5 => (*bytes.pick(&TEXTS)).into(),
        6 => bytes.byte().is_multiple_of(2).into(),
        // Numbers near the old one, twice the old one, and extreme numbers.
        7 => match value.pointer(&path).and_then(Value::as_u64) {
            Some(number) => json!(*bytes.pick(&[
                number.wrapping_add(1),
                number.wrapping_sub(1),
                number.wrapping_mul(2),
                u64::MAX,
                1 << 63,
                0
            ])),
            None => Value::Null,
        },
        8 => value.pointer(&other).cloned().unwrap_or(Value::Null),
        // A list gets one element more or less.
        9 | 10 => match value.pointer(&path).cloned() {
            Some(Value::Array(mut all)) if !all.is_empty() => {
                let at = bytes.byte() % all.len();
                if bytes.byte().is_multiple_of(2) {
                    drop(all.remove(at))
                } else {
                    all.insert(at, all[at].clone())
                }
                Value::Array(all)
            }
            other => other.unwrap_or(Value::Null),
        },
        _ => {
            if let Some(Value::Object(all)) = value.pointer_mut(above) {
                all.remove(name);
            }
            return;
        }
    };
    if let Some(place) = value.pointer_mut(&path) {
        *place = replaced;
    }
}

/// A copy of one of the valid records with up to seven changes. The bytes select the record and the changes.
pub fn changed(wholes: &[Value], bytes: &mut Bytes<'_>) -> Value {
    let mut value = bytes.pick(wholes).clone();
    for _ in 0..bytes.byte() % 8 {
        change(&mut value, bytes);
    }
    value
}

/// Reads a text as a record and, whether it is valid or not, does with it what `what` selects: export, print,
/// compare, merge, ...
pub fn use_it(text: &str, what: usize) {
    let name = "fuzz.json".to_owned();
    match record::read(&name, text) {
        Ok(AnyRecord::Run(mut record)) => {
            if what & 64 != 0 {
                // Recomputing the derived fields, as a run does, makes more of the changed records valid.
                record.results.iter_mut().for_each(record::compute);
                record::judge(&mut record.results);
            }
            run(*record, name, what);
        }
        Ok(AnyRecord::Campaign(record)) => {
            let valid = record::campaign_problems(&record).is_empty();
            match what % 3 {
                0 => drop(record.csv().expect("CSV of whatever reads")),
                1 => drop((record.table(), record.summary(), record.markdown(), record.mail())),
                _ => drop(page(&[Entry { name, record: record.any() }])),
            }
            let again = small::read(&*record);
            assert_eq!(again.problems().is_empty(), valid, "writing and reading a record does not change its validity");
        }
        Ok(AnyRecord::Protocol(record)) => {
            let valid = record::protocol_problems(&record).is_empty();
            match what % 4 {
                0 => drop(record.csv().expect("CSV of whatever reads")),
                1 => drop((record.table(), record.summary(), record.markdown())),
                2 => drop(page(&[Entry { name, record: record.any() }])),
                _ => {
                    let all: Vec<_> = (record.results.iter())
                        .filter_map(|result| tagged(&result.profile, result.elapsed_s, &result.heal_ns))
                        .collect();
                    drop(hlog(&record.host, &record.started, "ns", &all).expect("a log of whatever reads"));
                }
            }
            let again = small::read(&*record);
            assert_eq!(again.problems().is_empty(), valid, "writing and reading a record does not change its validity");
        }
        Err(error) => drop(error.to_string()),
    }
}

fn tagged(name: &str, elapsed_s: f64, gaps: &record::Gaps) -> Option<Tagged> {
    let histogram = record::histogram(gaps).ok()?;
    histogram.iter().for_each(|histogram| drop(hgrm(histogram)));
    Some(Tagged { name: name.to_owned(), elapsed_s, histogram })
}

fn run(record: Record, name: String, what: usize) {
    let problems = record::problems(&record);
    match what % 8 {
        0 => drop(record.csv().expect("CSV of whatever reads")),
        1 => drop((record.table(), record.summary(), record.markdown())),
        2 => drop((litmus_log(&record), windows(&record, Some(40), |_| true))),
        3 => drop((window_csv(&record).expect("as above"), last_writers_csv(&record).expect("as above"))),
        4 => drop(page(&[Entry { name, record: record.any() }])),
        5 => {
            let names = [name.clone(), name];
            let compared = compare(&[record.clone(), small::another(small::run())]);
            drop((comparison_table(&names, &compared, Some(80)), comparison_markdown(&names, &compared)));
        }
        6 => {
            let all: Vec<_> = (record.results.iter())
                .filter_map(|result| tagged(&result.scenario, result.elapsed_s, &result.gaps))
                .collect();
            drop(hlog(&record.host, &record.started, "iterations", &all).expect("a log of whatever reads"));
        }
        _ => {
            let mut other = record.clone();
            other.id = "0".repeat(31) + "1";
            other.parts.clear();
            let Ok(mut merger) = Merger::new("a", record) else { return };
            let added = merger.add("b", other);
            let sum = merger.finish();
            if problems.is_empty() && added.is_ok() {
                assert_eq!(record::problems(&sum), Vec::<String>::new(), "the sum of two valid records is valid");
            }
        }
    }
}
