//! The states of a test in the format of herd7's logs, which mcompare7 and its relatives read.
//!
//! herd7 counts executions behind `Positive:`, `Negative:` and `Observation`; here the numbers count states. mcompare7
//! does not compare them. The log has no `Hash=` line.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use super::code::Code;
use super::{Flags, Outcome};
use crate::litmus::Verdict;
use crate::program::{Column, Const, Prop, Quantifier};

/// The states as herd7 prints them, one line each, without those columns that only the filter names.
pub fn states(code: &Code, outcome: &Outcome) -> BTreeSet<String> {
    let order = columns(code);
    outcome.states.iter().map(|state| line(code, &order, state)).collect()
}

/// The number of states that herd7 prints: those that differ only in columns that it does not print count once.
pub fn count(code: &Code, outcome: &Outcome) -> usize {
    if code.displayed.len() == code.columns.len() {
        return outcome.states.len();
    }
    let displayed = |state: &Vec<Const>| code.displayed.iter().map(|column| state[*column]).collect::<Vec<_>>();
    outcome.states.iter().map(displayed).collect::<BTreeSet<_>>().len()
}

/// The log of one test on one model. `seconds` is the time that judging it took.
pub fn log(code: &Code, outcome: &Outcome, seconds: f64) -> String {
    let order = columns(code);
    let mut positive = BTreeSet::new();
    let mut negative = BTreeSet::new();
    for state in &outcome.states {
        let side = if code.condition.holds(state) { &mut positive } else { &mut negative };
        side.insert(line(code, &order, state));
    }
    let all: BTreeSet<&String> = positive.iter().chain(&negative).collect();
    let (kind, holds) = match code.quantifier {
        Quantifier::Exists => ("Allowed", !positive.is_empty()),
        Quantifier::NotExists => ("Forbidden", positive.is_empty()),
        Quantifier::Forall => ("Required", negative.is_empty()),
    };
    let mut out = format!("Test {} {kind}\nStates {}\n", code.name, all.len());
    for state in all {
        out.push_str(state);
        out.push('\n');
    }
    let (yes, no) = (positive.len(), negative.len());
    let cut = if outcome.cuts_loops { "Loop " } else { "" };
    let _ = writeln!(out, "{cut}{}\nWitnesses\nPositive: {yes} Negative: {no}", if holds { "Ok" } else { "No" });
    for name in (Flags::DATA_RACE.when(outcome.data_race) | outcome.flags).names() {
        let _ = writeln!(out, "Flag {name}");
    }
    let condition = proposition(code, &code.condition, false);
    let _ = writeln!(out, "Condition {} ({condition})", code.quantifier);
    let _ = writeln!(out, "Observation {} {} {yes} {no}", code.name, outcome.verdict);
    let _ = writeln!(out, "Time {} {seconds:.2}\n", code.name);
    out
}

/// What is displayed of each state.
struct Shown {
    name: String,
    /// Several for an array that is displayed as a whole.
    columns: Vec<usize>,
    is_array: bool,
}

/// What is displayed, in herd7's order: registers by thread and name, then locations by name.
fn columns(code: &Code) -> Vec<Shown> {
    let array = |(name, columns): &(String, Vec<usize>)| {
        // As in herd7, an array of one element is displayed as a variable.
        let is_array = columns.len() > 1;
        ((usize::MAX, natural(name)), Shown { name: name.clone(), columns: columns.clone(), is_array })
    };
    let single = |&column: &usize| {
        let key = match code.columns[column] {
            Column::Register { thread, register } => (thread, natural(&code.threads[thread].names[register])),
            Column::Location(_) => (usize::MAX, natural(&code.column_name(column))),
        };
        (key, Shown { name: name(code, column), columns: vec![column], is_array: false })
    };
    let singles = code.alone.iter().map(single);
    let mut all: Vec<_> = code.arrays.iter().map(array).chain(singles).collect();
    all.sort_unstable_by(|(a, _), (b, _)| a.cmp(b));
    all.into_iter().map(|(_, shown)| shown).collect()
}

/// A key that sorts `r2` before `r10`.
fn natural(name: &str) -> (String, usize, String) {
    let digits = name.len() - name.trim_end_matches(|c: char| c.is_ascii_digit()).len();
    let (word, number) = name.split_at(name.len() - digits);
    (word.to_owned(), number.parse().unwrap_or(0), number.to_owned())
}

/// The name of a column; that of a location in brackets, unless it is an element of an array.
fn name(code: &Code, column: usize) -> String {
    let name = code.column_name(column);
    let bare = matches!(code.columns[column], Column::Register { .. }) || name.ends_with(']');
    if bare { name } else { format!("[{name}]") }
}

/// The value of a column.
fn value(code: &Code, column: usize, value: Const) -> String {
    let ty = code.types.get(column);
    match value {
        Const::Int(value) if ty.is_some_and(|ty| !ty.signed()) => value.cast_unsigned().to_string(),
        Const::Int(value) => value.to_string(),
        // The address of an array is that of its first element, which is a variable of its own in a C test.
        Const::Address(location) => {
            let name = &code.names[location];
            name.strip_suffix("[0]").unwrap_or(name).to_owned()
        }
    }
}

fn line(code: &Code, order: &[Shown], state: &[Const]) -> String {
    let mut out = String::new();
    for Shown { name, columns, is_array } in order {
        let blank = if out.is_empty() { "" } else { " " };
        let _ = match columns.as_slice() {
            [column] if !is_array => write!(out, "{blank}{name}={};", value(code, *column, state[*column])),
            all => {
                let values: Vec<String> = all.iter().map(|column| value(code, *column, state[*column])).collect();
                write!(out, "{blank}{name}={{{}}};", values.join(","))
            }
        };
    }
    out
}

fn proposition(code: &Code, prop: &Prop, inside: bool) -> String {
    let chain = |left: &Prop, right: &Prop, operator: &str| {
        let text = format!("{} {operator} {}", proposition(code, left, true), proposition(code, right, true));
        if inside { format!("({text})") } else { text }
    };
    match prop {
        Prop::Const(value) => value.to_string(),
        Prop::Equal { column, value: wanted } => format!("{}={}", name(code, *column), value(code, *column, *wanted)),
        Prop::Same(left, right) => format!("{}={}", name(code, *left), name(code, *right)),
        Prop::Not(inner) => format!("not ({})", proposition(code, inner, false)),
        Prop::And(left, right) => chain(left, right, "/\\"),
        Prop::Or(left, right) => chain(left, right, "\\/"),
    }
}

/// What a log of herd7 says about one test.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Logged {
    /// The test's name.
    pub name: String,
    /// The verdict behind `Observation`.
    pub verdict: Verdict,
    /// The lines of the states.
    pub states: BTreeSet<String>,
    /// The flags that this program knows too.
    pub flags: Flags,
}

/// Reads a log of herd7. Lines that belong to no test are skipped, and so are tests without an `Observation`.
pub fn read(text: &str) -> Vec<Logged> {
    let mut tests = Vec::new();
    let (mut states, mut flags, mut inside) = (BTreeSet::new(), Flags::NONE, false);
    for line in text.lines() {
        let mut words = line.split_whitespace();
        match (words.next(), words.next(), words.next()) {
            (Some("Test"), Some(_), Some("Allowed" | "Forbidden" | "Required")) => {
                (states, flags) = (BTreeSet::new(), Flags::NONE);
            }
            (Some("States"), Some(_), None) => inside = true,
            (Some("Ok" | "No" | "Undef"), None, None) | (Some("Loop"), Some("Ok" | "No"), None) => inside = false,
            (Some("Flag"), Some(name), None) => flags = flags | Flags::named(name).unwrap_or_default(),
            (Some("Observation"), Some(name), Some(word)) => {
                if let Ok(verdict) = word.parse() {
                    tests.push(Logged { name: name.to_owned(), verdict, states: std::mem::take(&mut states), flags });
                }
            }
            (Some(_), ..) if inside => {
                states.insert(line.trim_end().to_owned());
            }
            _ => {}
        }
    }
    tests
}
