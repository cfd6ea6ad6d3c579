//! The journal of a campaign: a line of JSON per slice, appended when the slice is over. A campaign that is killed loses at
//! most the slice that was running. The same command with the same journal goes on where it ended.

use std::path::Path;

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

/// An open journal.
#[derive(Debug)]
pub struct Journal {
    file: Appended,
    begin: Begin,
}

impl Journal {
    /// Opens a journal, or begins one with `now`. Gives every complete line behind the first to `read`.
    ///
    /// # Errors
    /// If the file cannot be read or written, if another process writes it, if it is no journal, or if it is that of another
    /// host, another part of the corpus, or another version.
    pub fn open(path: &Path, now: Begin, mut read: impl FnMut(Line)) -> Result<Journal> {
        let name = shown::path(path);
        let wrong = |number: usize, why: String| {
            Error::Usage(format!(
                "{name}:{number}: {why}; --journal needs a new file or the journal of such a campaign"
            ))
        };
        let mut begin: Option<Begin> = None;
        let mut number = 0;
        let file = Appended::open(path, |text| {
            number += 1;
            let line: Line = serde_json::from_str(text)
                .map_err(|error| wrong(number, format!("not a line of a campaign's journal: {error}")))?;
            match (line, &begin) {
                (Line::Begin(first), None) if first.schema == CAMPAIGN_SCHEMA => begin = Some(*first),
                (Line::Begin(first), None) => return Err(wrong(number, format!("a journal of {}", first.schema))),
                (_, None) => return Err(wrong(number, "the first line is not that of a journal".to_owned())),
                (line, Some(_)) => read(line),
            }
            Ok(())
        })?;
        if let Some(begin) = begin {
            return match begin.differs(&now) {
                Some(why) => Err(Error::Usage(format!("{name}: this campaign cannot go on: {why}"))),
                None => Ok(Journal { file, begin }),
            };
        }
        let mut journal = Journal { file, begin: now.clone() };
        journal.append(&Line::Begin(Box::new(now)))?;
        Ok(journal)
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
        self.file.append(&text)
    }
}
