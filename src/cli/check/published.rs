//! Published verdicts that `check --against` compares with: a CSV file, or a log of herd7.

use std::collections::{BTreeSet, HashMap};
use std::path::Path;

use super::judge::{Judged, Kind, Report};
use crate::error::{Error, Result};
use crate::input::{Limit, read_text};
use crate::litmus::Verdict;
use crate::model::{Model, herd_log};
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
    /// The states and whether there is a data race, if the file has them.
    log: Option<(BTreeSet<String>, bool)>,
}

/// How a verdict compares with the published one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Compared {
    /// Nothing is published about the test.
    Unknown,
    Agrees,
    Differs,
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
            for herd_log::Logged { name, verdict, states, data_race } in herd_log::read(&text) {
                published.add(name, Entry { model: None, verdict, log: Some((states, data_race)) });
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

    /// Compares one verdict. The message says what differs.
    fn compare(&self, report: &Report, model: Model, judged: &Judged) -> (Compared, String) {
        let own = |entry: &&Entry| entry.model.unwrap_or(report.language) == model;
        let Some(entry) = self.tests.get(&report.name).and_then(|entries| entries.iter().find(own)) else {
            return (Compared::Unknown, String::new());
        };
        let (name, file) = (&report.name, &self.file);
        let outcome = &judged.outcome;
        if entry.verdict != outcome.verdict {
            return (
                Compared::Differs,
                format!("{name}, {model}: {}, but {} in {file}", outcome.verdict, entry.verdict),
            );
        }
        let Some((states, race)) = &entry.log else { return (Compared::Agrees, String::new()) };
        if model == Model::Lkmm && *race != outcome.data_race {
            let says = |race: bool| if race { "a data race" } else { "no data race" };
            let words = format!("{name}, {model}: {}, but {} in {file}", says(outcome.data_race), says(*race));
            return (Compared::Differs, words);
        }
        let here: BTreeSet<String> = judged.states.iter().cloned().collect();
        if here == *states {
            return (Compared::Agrees, String::new());
        }
        let only = |a: &BTreeSet<String>, b: &BTreeSet<String>| {
            let list: Vec<&str> = a.difference(b).map(String::as_str).take(3).collect();
            if list.is_empty() { "none".to_owned() } else { list.join(" or ") }
        };
        let (ours, theirs) = (only(&here, states), only(states, &here));
        (Compared::Differs, format!("{name}, {model}: the states differ; only here: {ours}; only in {file}: {theirs}"))
    }

    /// Compares one test.
    pub fn compared(&self, report: &Report, model: Model, judged: &Judged) -> Compared {
        self.compare(report, model, judged).0
    }

    /// Everything that differs, one message each.
    pub fn differences(&self, reports: &[Report], models: &[Model]) -> Vec<String> {
        let mut all = Vec::new();
        for report in reports {
            for (model, finding) in models.iter().zip(&report.findings) {
                if let Some(Kind::Judged(judged)) = finding.as_ref().map(|finding| &finding.kind)
                    && let (Compared::Differs, words) = self.compare(report, *model, judged)
                {
                    all.push(words);
                }
            }
        }
        all
    }
}
