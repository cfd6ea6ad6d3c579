//! Published verdicts that `check --against` compares with: a CSV file, or a log of herd7.

use std::collections::{BTreeSet, HashMap};
use std::path::Path;

use crate::error::{Error, Result};
use crate::input::{Limit, read_text};
use crate::litmus::Verdict;
use crate::model::code::Code;
use crate::model::{Flags, Model, Outcome, herd_log};
use crate::shown;

/// The largest file that is read.
const MAX_BYTES: usize = 1 << 30;

/// Published verdicts.
pub(super) struct Published {
    /// The file's name.
    pub file: String,
    tests: HashMap<String, Vec<Entry>>,
}

/// A published verdict.
struct Entry {
    /// The model; `None` for the model of the test's language: LKMM for C.
    model: Option<Model>,
    verdict: Verdict,
    /// The states and the flags, if the file has them.
    log: Option<(BTreeSet<String>, Flags)>,
}

/// How a verdict compares with the published one.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Compared {
    Agrees,
    /// The message says what differs.
    Differs(String),
}

impl Published {
    /// Reads the file.
    ///
    /// # Errors
    /// If it cannot be read, or is neither a CSV file with the columns `test` and `verdict` nor a log of herd7.
    pub fn read(path: &Path) -> Result<Published> {
        let text = read_text(path, Limit { bytes: MAX_BYTES, why: "published verdicts are smaller" })?;
        let file = shown::path(path);
        let mut published = Published { file, tests: HashMap::new() };
        if text.lines().any(|line| line.starts_with("Observation ")) {
            for herd_log::Logged { name, verdict, states, flags } in herd_log::read(&text) {
                published.add(name, Entry { model: None, verdict, log: Some((states, flags)) });
            }
        } else {
            published.read_csv(&text)?;
        }
        Ok(published)
    }

    fn add(&mut self, name: String, entry: Entry) {
        self.tests.entry(name).or_default().push(entry);
    }

    fn read_csv(&mut self, text: &str) -> Result<()> {
        let wrong = |file: &str, words: String| Error::Usage(format!("{file}: {words}"));
        let mut reader = csv::ReaderBuilder::new().trim(csv::Trim::All).flexible(true).from_reader(text.as_bytes());
        let header = reader.headers().map_err(|error| wrong(&self.file, error.to_string()))?.clone();
        let find = |name: &str| header.iter().position(|column| column.eq_ignore_ascii_case(name));
        let (Some(test), Some(verdict)) = (find("test"), find("verdict")) else {
            let words = "expected a CSV file with the columns `test` and `verdict`, or a log of herd7".to_owned();
            return Err(wrong(&self.file, words));
        };
        let model = find("model");
        for record in reader.records() {
            let record = record.map_err(|error| wrong(&self.file, error.to_string()))?;
            let line = record.position().map_or(0, csv::Position::line);
            let field = |column: usize| record.get(column).unwrap_or("");
            let bad = |words: String| wrong(&self.file, format!("line {line}: {words}"));
            let verdict = field(verdict).parse::<Verdict>().map_err(|()| {
                bad(format!("'{}' is not a verdict; expected Never, Sometimes or Always", field(verdict)))
            })?;
            let model = model.map(field).filter(|name| !name.is_empty());
            let model = model.map(|name| name.parse::<Model>().map_err(&bad)).transpose()?;
            let name = field(test).to_owned();
            self.add(name, Entry { model, verdict, log: None });
        }
        Ok(())
    }

    /// Compares a model's verdict and states of the test `name`. `own` says whether the model is that of the test's
    /// language. `None` if nothing is published.
    pub fn compare(&self, name: &str, (model, own): (Model, bool), code: &Code, outcome: &Outcome) -> Option<Compared> {
        let about = |entry: &&Entry| entry.model.map_or(own, |known| known == model);
        let entry = self.tests.get(name)?.iter().find(about)?;
        let file = &self.file;
        let differs = |words: String| Some(Compared::Differs(format!("{name}, {model}: {words}")));
        if entry.verdict != outcome.verdict {
            return differs(format!("{}, but {} in {file}", outcome.verdict, entry.verdict));
        }
        let Some((known, flags)) = &entry.log else { return Some(Compared::Agrees) };
        let race = flags.contains(Flags::DATA_RACE);
        if model == Model::Lkmm && race != outcome.data_race {
            let says = |race: bool| if race { "a data race" } else { "no data race" };
            return differs(format!("{}, but {} in {file}", says(outcome.data_race), says(race)));
        }
        // Logs of older kernels' models lack mixed-accesses.
        let theirs = flags.without(Flags::DATA_RACE | Flags::MIXED_ACCESSES);
        let ours = outcome.flags.without(Flags::MIXED_ACCESSES);
        if model == Model::Lkmm && ours != theirs {
            let list = |flags: Flags| flags.names().collect::<Vec<_>>().join(", ");
            let list =
                |flags| if flags == Flags::NONE { "no flags".to_owned() } else { format!("the flags {}", list(flags)) };
            return differs(format!("{}, but {} in {file}", list(ours), list(theirs)));
        }
        // A test that displays nothing has one state, which is an empty line here and none in a log that was read.
        let displayed = |states: &BTreeSet<String>| -> BTreeSet<String> {
            states.iter().filter(|state| !state.is_empty()).cloned().collect()
        };
        let (states, known) = (&displayed(&herd_log::states(code, outcome)), &displayed(known));
        if states == known {
            return Some(Compared::Agrees);
        }
        let only = |a: &BTreeSet<String>, b: &BTreeSet<String>| {
            let list: Vec<&str> = a.difference(b).map(String::as_str).take(3).collect();
            if list.is_empty() { "none".to_owned() } else { list.join(" or ") }
        };
        let (ours, theirs) = (only(states, known), only(known, states));
        differs(format!("the states differ; only here: {ours}; only in {file}: {theirs}"))
    }
}
