//! The journal of a campaign: a line of JSON per slice, appended when the slice is over. A campaign that is killed loses at
//! most the slice that was running. The same command with the same journal goes on where it ended.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::files::Appended;
use crate::machine::Host;
use crate::record::{CAMPAIGN_SCHEMA, FinalValue};
use crate::shown;

/// A line of a journal.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Line {
    /// The first line.
    Begin(Box<Begin>),
    /// What a slice gave.
    Slice(Slice),
    /// A test that cannot go on.
    Failed {
        /// SHA-256 of the test's source.
        test: String,
        /// The reason.
        reason: String,
        /// As [`Slice::spent_s`].
        spent_s: f64,
    },
}

/// What must be the same when a campaign goes on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Begin {
    /// The schema of the record that the journal becomes.
    pub schema: String,
    /// The id of the record.
    pub id: String,
    /// The start time, RFC 3339 in UTC.
    pub started: String,
    /// The host.
    pub host: Host,
    /// Atomics and lock of the code, in words.
    pub target: String,
    /// The part of the corpus.
    pub shard: Option<String>,
}

/// The counts of one slice.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Slice {
    /// SHA-256 of the test's source.
    pub test: String,
    /// The CPUs of the placement.
    pub cpus: Vec<usize>,
    /// The name of the setting.
    pub setting: String,
    /// Iterations.
    pub iterations: u64,
    /// Instances that the filter excludes.
    pub filtered: u64,
    /// Races.
    pub races: u64,
    /// Blocks of batches with a race.
    pub sightings: u64,
    /// Measuring time, in seconds.
    pub elapsed_s: f64,
    /// Wall-clock time of the campaign up to the end of the slice, in seconds.
    pub spent_s: f64,
    /// The values of an outcome, in the order of the program's columns, and their counts.
    pub outcomes: Vec<(Vec<FinalValue>, u64)>,
}

impl Begin {
    /// Why a campaign that began so cannot go on as `now`, if it cannot.
    fn differs(&self, now: &Begin) -> Option<String> {
        let pairs = [
            ("the schema", self.schema.clone(), now.schema.clone()),
            ("the architecture", self.host.architecture.clone(), now.host.architecture.clone()),
            ("the CPU", self.host.cpu_model.clone(), now.host.cpu_model.clone()),
            ("emulated", self.host.emulated.to_string(), now.host.emulated.to_string()),
            ("the code", self.target.clone(), now.target.clone()),
            ("the shard", self.shard.clone().unwrap_or_default(), now.shard.clone().unwrap_or_default()),
        ];
        let found = pairs.into_iter().find(|(_, then, now)| then != now);
        found.map(|(what, then, now)| format!("{what} was '{then}' and is now '{now}'"))
    }
}

/// The most instances of a slice: more than any machine runs in the hours that a slice never has.
const MOST_INSTANCES: u64 = 1 << 40;

impl Line {
    fn spent_s(&self) -> f64 {
        match self {
            Line::Begin(_) => 0.0,
            Line::Slice(Slice { spent_s, .. }) | Line::Failed { spent_s, .. } => *spent_s,
        }
    }

    /// What is wrong with a line behind one at `before` seconds of the campaign, if something is. What needs the test, the
    /// ledger checks.
    fn problem(&self, before: f64) -> Option<String> {
        let spent_s = self.spent_s();
        if !(spent_s >= before && spent_s.is_finite()) {
            return Some(format!(
                "spent_s is {spent_s}; the line before has {before}, and the time of a campaign grows"
            ));
        }
        match self {
            Line::Begin(_) => Some("a second beginning".to_owned()),
            Line::Failed { .. } => None,
            Line::Slice(slice) => slice.problem(spent_s - before),
        }
    }
}

impl Slice {
    /// What is wrong with a slice that took at most so long, in seconds.
    fn problem(&self, most_s: f64) -> Option<String> {
        let &Slice { iterations, filtered, races, sightings, .. } = self;
        let sum = self.outcomes.iter().try_fold(0u64, |sum, (_, count)| sum.checked_add(*count));
        // The clocks of the slice and of the campaign differ a little.
        let most_s = most_s * 1.1 + 0.01;
        let wrong = if iterations.max(filtered) > MOST_INSTANCES {
            format!("it has {} instances", iterations.max(filtered))
        } else if sum != Some(iterations) {
            format!("the counts of its outcomes do not add up to its {iterations} iterations")
        } else if races > iterations || sightings > races || (sightings == 0 && races > 0) {
            format!("it has {races} races in {iterations} iterations and {sightings} sightings")
        } else if !(0.0..=most_s).contains(&self.elapsed_s) {
            format!("elapsed_s is {}; spent_s leaves it at most {most_s}", self.elapsed_s)
        } else if iterations > 0 && most_s <= 0.01 {
            "spent_s is that of the line before, so the slice is there twice".to_owned()
        } else {
            return None;
        };
        Some(wrong)
    }
}

/// An open journal.
#[derive(Debug)]
pub struct Journal {
    /// Absent if no journal is kept.
    file: Option<Appended>,
    begin: Begin,
}

impl Journal {
    /// A journal that is kept nowhere.
    pub fn unkept(now: Begin) -> Journal {
        Journal { file: None, begin: now }
    }

    /// Begins a journal in a file that does not exist yet, and returns the file's path. If a file has the wanted name, or a
    /// record or a page beside it, the name gets a number.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn create(wanted: &Path, now: Begin) -> Result<(Journal, PathBuf)> {
        let (file, path) = Appended::create(wanted, &["json", "html"])?;
        Ok((Journal::begun(file, now)?, path))
    }

    fn begun(file: Appended, now: Begin) -> Result<Journal> {
        let mut journal = Journal { file: Some(file), begin: now.clone() };
        journal.append(&Line::Begin(Box::new(now)))?;
        Ok(journal)
    }

    /// Opens a journal, or begins one with `now`. Gives every complete line behind the first to `read`, which may say what is
    /// wrong with it.
    ///
    /// # Errors
    /// If the file cannot be read or written, if another process writes it, if it is no journal, if a line of it contradicts
    /// itself or the line before, or if it is that of another host, another part of the corpus, or another version.
    pub fn open(
        path: &Path,
        now: Begin,
        mut read: impl FnMut(Line) -> std::result::Result<(), String>,
    ) -> Result<Journal> {
        let name = shown::path(path);
        let wrong = |number: usize, why: String| {
            Error::Usage(format!(
                "{name}:{number}: {why}; --journal needs a new file or the journal of such a campaign"
            ))
        };
        let mut begin: Option<Begin> = None;
        let (mut number, mut spent_s) = (0, 0.0);
        let file = Appended::open(path, |text| {
            number += 1;
            let line: Line = serde_json::from_str(text)
                .map_err(|error| wrong(number, format!("not a line of a campaign's journal: {error}")))?;
            match (line, &begin) {
                (Line::Begin(first), None) if first.schema == CAMPAIGN_SCHEMA => begin = Some(*first),
                (Line::Begin(first), None) => return Err(wrong(number, format!("a journal of {}", first.schema))),
                (_, None) => return Err(wrong(number, "the first line is not that of a journal".to_owned())),
                (line, Some(_)) => {
                    line.problem(spent_s).map_or(Ok(()), |problem| Err(wrong(number, problem)))?;
                    spent_s = line.spent_s();
                    read(line).map_err(|problem| wrong(number, problem))?;
                }
            }
            Ok(())
        })?;
        match begin {
            None => Journal::begun(file, now),
            Some(begin) => match begin.differs(&now) {
                Some(why) => Err(Error::Usage(format!("{name}: this campaign cannot go on: {why}"))),
                None => Ok(Journal { file: Some(file), begin }),
            },
        }
    }

    /// How the campaign began.
    pub fn begin(&self) -> &Begin {
        &self.begin
    }

    /// Appends a line.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn append(&mut self, line: &Line) -> Result<()> {
        let text = serde_json::to_string(line).map_err(|error| Error::Internal(error.to_string()))?;
        self.file.as_mut().map_or(Ok(()), |file| file.append(&text))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn slice() -> Slice {
        let outcomes = vec![(vec![FinalValue::Int(0)], 4), (vec![FinalValue::Int(1)], 6)];
        Slice {
            test: String::new(),
            cpus: vec![0, 1],
            setting: "paced".to_owned(),
            iterations: 10,
            filtered: 0,
            races: 4,
            sightings: 1,
            elapsed_s: 0.1,
            spent_s: 1.5,
            outcomes,
        }
    }

    #[test]
    fn a_slice_that_contradicts_itself_or_the_time_is_refused() {
        assert_eq!(Line::Slice(slice()).problem(1.0), None);
        let refused = |before: f64, fault: fn(&mut Slice), wanted: &str| {
            let mut slice = slice();
            fault(&mut slice);
            let problem = Line::Slice(slice).problem(before).unwrap_or_else(|| panic!("{wanted}"));
            assert!(problem.contains(wanted), "{wanted}: {problem}");
        };
        refused(1.0, |slice| slice.races = 1_000_000_000, "races");
        refused(1.0, |slice| slice.sightings = 0, "sightings");
        refused(1.0, |slice| slice.sightings = 5, "sightings");
        refused(1.0, |slice| slice.iterations = 11, "add up to its 11 iterations");
        refused(1.0, |slice| slice.outcomes[0].1 = u64::MAX, "add up");
        refused(1.0, |slice| slice.filtered = u64::MAX, "instances");
        refused(1.0, |slice| slice.spent_s = -100.0, "spent_s is -100");
        refused(1.0, |slice| slice.spent_s = f64::NAN, "spent_s");
        refused(1.0, |slice| slice.elapsed_s = 0.9, "elapsed_s is 0.9");
        refused(1.0, |slice| slice.elapsed_s = -0.1, "elapsed_s is -0.1");
        refused(1.6, |_| {}, "the line before has 1.6");
        // The same slice again.
        refused(1.5, |_| {}, "elapsed_s is 0.1");
        refused(1.5, |slice| slice.elapsed_s = 0.001, "twice");
        let failed = |spent_s| Line::Failed { test: String::new(), reason: String::new(), spent_s };
        assert!(failed(1.0).problem(1.0).is_none() && failed(0.5).problem(1.0).is_some());
    }
}
