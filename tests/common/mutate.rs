//! Records that are nearly right: a whole one, changed in some places as bytes say, and everything that reads records. The fuzz target and the
//! native suite share it.

use serde_json::{Number, Value, json};
use wakerace::publish::{
    Entry, Publish, Tagged, compare, comparison_markdown, comparison_table, hgrm, hlog, litmus_log, page, starts_csv,
    window_csv, windows,
};
use wakerace::record::{self, AnyRecord, Merger, Record};

use super::small;

/// Bytes that are used up; zeros follow.
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
        // More than 256 places take two bytes.
        let number = if all.len() > 256 { self.byte() << 8 | self.byte() } else { self.byte() };
        &all[number % all.len()]
    }
}

/// Whole records to begin with: a run, a run of one result, a sum, and one of the protocol.
pub fn wholes() -> Vec<Value> {
    let run = small::run();
    let mut one = run.clone();
    one.results.truncate(1);
    // Without its source it is read faster.
    one.results[0].source.clear();
    let mut merger = Merger::new("a", run.clone()).unwrap();
    merger.add("b", small::another(run.clone())).unwrap();
    let value = |record: &Record| serde_json::to_value(record).unwrap();
    vec![value(&run), value(&one), value(&merger.finish()), serde_json::to_value(small::protocol()).unwrap()]
}

/// The paths of everything in a value, the value itself left out.
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

/// Texts that mean something somewhere in a record, and some that mean trouble.
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

/// Changes one place.
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
        // Neighbours, twice, the largest.
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
        // A list is longer or shorter.
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

/// A record that bytes make of whole ones.
pub fn changed(wholes: &[Value], bytes: &mut Bytes<'_>) -> Value {
    let mut value = bytes.pick(wholes).clone();
    for _ in 0..bytes.byte() % 8 {
        change(&mut value, bytes);
    }
    value
}

/// Reads a text and does one of the things that are done with records, whether it is valid or not.
pub fn use_it(text: &str, what: usize) {
    let name = "fuzz.json".to_owned();
    match record::read(&name, text) {
        Ok(AnyRecord::Run(mut record)) => {
            if what & 64 != 0 {
                // As a run would have written it: more of these are valid.
                record.results.iter_mut().for_each(record::compute);
                if let Ok(arch) = record.host.architecture.parse() {
                    record::judge(&mut record.results, arch);
                }
            }
            run(*record, name, what);
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
            assert_eq!(again.problems().is_empty(), valid, "written and read again it is as valid as before");
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
        2 => drop((litmus_log(&record), windows(&record, |_| true))),
        3 => drop((window_csv(&record).expect("as above"), starts_csv(&record).expect("as above"))),
        4 => drop(page(&[Entry { name, record: record.any() }])),
        5 => {
            let names = [name.clone(), name];
            let compared = compare(&[record.clone(), small::another(small::run())]);
            drop((comparison_table(&names, &compared), comparison_markdown(&names, &compared)));
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
