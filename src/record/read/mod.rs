//! Reads records of every version of the format, and reports files that are not records.
//!
//! Each version has a reader ([`READERS`]). A reader returns the record in the current types, with the current
//! meaning of every field. Where the record does not tell a value in the current meaning, the value is absent,
//! or the result says so ([`super::FormerMeaning`]).

mod v1;
mod v2;

use std::path::Path;

use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::{CampaignRecord, ProtocolRecord, Record, campaign_problems, kinds_on, problems, protocol_problems};
use crate::error::{Error, Result};
use crate::input::{Limit, parse_json, read_text};
use crate::machine::Host;
use crate::shown;

/// The largest file that is read. A default run is about 70 kB, and a sum of a thousand machines is a few MB.
const LARGEST: Limit = Limit { bytes: 256 * 1024 * 1024, why: "a record is a JSON file of a few kB to a few MB" };

/// A record of any kind.
#[derive(Debug, Clone, PartialEq)]
pub enum AnyRecord {
    /// A record of `wakerace run`.
    Run(Box<Record>),
    /// A record of `wakerace protocol`.
    Protocol(Box<ProtocolRecord>),
    /// A record of `wakerace campaign`.
    Campaign(Box<CampaignRecord>),
}

impl AnyRecord {
    /// The host.
    pub fn host(&self) -> &Host {
        match self {
            AnyRecord::Run(record) => &record.host,
            AnyRecord::Protocol(record) => &record.host,
            AnyRecord::Campaign(record) => &record.host,
        }
    }

    /// The start time, RFC 3339.
    pub fn started(&self) -> &str {
        match self {
            AnyRecord::Run(record) => &record.started,
            AnyRecord::Protocol(record) => &record.started,
            AnyRecord::Campaign(record) => &record.started,
        }
    }

    /// The ids of the runs whose counts are in the record ([`super::RunRecord::held`]).
    pub fn held(&self) -> Vec<String> {
        match self {
            AnyRecord::Run(record) => record.held(),
            AnyRecord::Protocol(record) => record.held(),
            AnyRecord::Campaign(record) => record.held(),
        }
    }

    /// The problems that validation finds; empty if the record is valid.
    pub fn problems(&self) -> Vec<String> {
        match self {
            AnyRecord::Run(record) => problems(record),
            AnyRecord::Protocol(record) => protocol_problems(record),
            AnyRecord::Campaign(record) => campaign_problems(record),
        }
    }

    /// The subcommand that writes records of this kind, for messages.
    pub fn command(&self) -> &'static str {
        match self {
            AnyRecord::Run(_) => "run",
            AnyRecord::Protocol(_) => "protocol",
            AnyRecord::Campaign(_) => "campaign",
        }
    }
}

/// The reader of one version of the format.
struct Reader {
    version: u32,
    run: fn(&str, &str) -> Result<Record>,
    protocol: fn(&str, &str) -> Result<ProtocolRecord>,
    /// Absent in versions that had no campaigns.
    campaign: Option<fn(&str, &str) -> Result<CampaignRecord>>,
}

/// The readers, by version. The last one reads the version that this program writes.
const READERS: [Reader; 2] = [
    Reader { version: 1, run: v1::run, protocol: v1::protocol, campaign: None },
    Reader { version: super::VERSION, run: v2::run, protocol: v2::protocol, campaign: Some(v2::campaign) },
];

/// The fields that tell the kind and the version of a record. Every version has `schema`; version 1 has no
/// `version`.
#[derive(Deserialize)]
struct Head {
    schema: String,
    version: Option<u32>,
}

/// The kind of a record.
#[derive(Clone, Copy)]
enum Kind {
    Run,
    Protocol,
    Campaign,
}

impl Head {
    /// The kind and the version.
    ///
    /// # Errors
    /// If the schema is not one of wakerace's, or if it contradicts `version`. The message gives the reason.
    fn kind_and_version(&self) -> std::result::Result<(Kind, u32), String> {
        let schema = &self.schema;
        let unknown = || {
            format!(
                "unknown schema '{schema}'; expected wakerace/VERSION, wakerace-protocol/VERSION or wakerace-campaign/VERSION"
            )
        };
        let (kind, number) = schema.split_once('/').ok_or_else(unknown)?;
        let kind = match kind {
            "wakerace" => Kind::Run,
            "wakerace-protocol" => Kind::Protocol,
            "wakerace-campaign" => Kind::Campaign,
            _ => return Err(unknown()),
        };
        let number = number.parse().map_err(|_| unknown())?;
        match self.version {
            Some(version) if version != number => {
                Err(format!("schema is '{schema}', but version is {version}; expected the same number in both"))
            }
            _ => Ok((kind, number)),
        }
    }
}

/// Reads a record from text. `name` is the name of the file in error messages.
///
/// # Errors
/// If the text is not JSON, not a record, cut short, or of a version that this program does not know. The last
/// message names the versions that it reads.
///
/// ```
/// use wakerace::machine::{self, Calibration, Topology};
/// use wakerace::record::{self, AnyRecord, Record};
///
/// let host = machine::describe(&Topology::read()?, &machine::allowed_cpus()?, Calibration::new());
/// let written = Record::begin(record::SCHEMA, jiff::Timestamp::now(), host)?;
/// let text = serde_json::to_string(&written).expect("a record is JSON");
/// assert_eq!(record::read("run.json", &text)?, AnyRecord::Run(Box::new(written)));
///
/// let newer = record::read("new.json", r#"{"schema": "wakerace/9", "version": 9}"#).unwrap_err();
/// assert!(newer.to_string().contains("this wakerace reads versions 1 and 2"));
/// # Ok::<(), wakerace::error::Error>(())
/// ```
pub fn read(name: &str, text: &str) -> Result<AnyRecord> {
    let head: Head = parse(name, text)?;
    let (kind, version) = head.kind_and_version().map_err(|reason| Error::Usage(format!("{name}: {reason}")))?;
    let reader = READERS.iter().find(|reader| reader.version == version).ok_or_else(|| {
        let known: Vec<String> = READERS.iter().map(|reader| reader.version.to_string()).collect();
        let newer = if version > super::VERSION { "; a newer version of wakerace wrote this file" } else { "" };
        Error::Usage(format!(
            "{name}: version {version} of the record format; this wakerace reads versions {}{newer}",
            known.join(" and ")
        ))
    })?;
    match kind {
        Kind::Run => Ok(AnyRecord::Run(Box::new(with_kinds((reader.run)(name, text)?)))),
        Kind::Protocol => Ok(AnyRecord::Protocol(Box::new((reader.protocol)(name, text)?))),
        Kind::Campaign => match reader.campaign {
            Some(campaign) => Ok(AnyRecord::Campaign(Box::new(campaign(name, text)?))),
            None => Err(Error::Usage(format!("{name}: version {version} of the record format has no campaigns"))),
        },
    }
}

/// Adds the kinds of core to placements of programs that did not write them. They follow from the host, but not in a sum,
/// which may have results of several hosts.
fn with_kinds(mut record: Record) -> Record {
    if !record.parts.is_empty() {
        return record;
    }
    for placement in record.results.iter_mut().map(|result| &mut result.placement) {
        if placement.kinds.is_empty() {
            placement.kinds = kinds_on(&record.host, &placement.cpus);
        }
    }
    record
}

/// Reads a record from a file.
///
/// # Errors
/// As [`read`], or if the file cannot be read.
pub fn read_file(path: &Path) -> Result<AnyRecord> {
    let text = read_text(path, LARGEST)?;
    read(&shown::path(path), &text)
}

/// Reads a record from a file and validates it.
///
/// # Errors
/// As [`read_file`], or if the record is not valid: the first of its problems.
pub fn read_valid(path: &Path) -> Result<AnyRecord> {
    let record = read_file(path)?;
    match record.problems().first() {
        Some(problem) => Err(Error::Usage(format!("{}: {problem}", shown::path(path)))),
        None => Ok(record),
    }
}

/// Reads a record of `wakerace run` from a file and validates it. `only` says what only such records can, such as
/// `can be merged`.
///
/// # Errors
/// As [`read_valid`], or if another subcommand wrote it.
pub fn read_valid_run(path: &Path, only: &str) -> Result<Record> {
    match read_valid(path)? {
        AnyRecord::Run(record) => Ok(*record),
        other => Err(Error::Usage(format!(
            "{}: a record of `wakerace {}`; only records of `wakerace run` {only}",
            shown::path(path),
            other.command()
        ))),
    }
}

fn parse<T: DeserializeOwned>(name: &str, text: &str) -> Result<T> {
    parse_json(name, text, "a wakerace record")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kind_and_the_version_are_those_of_the_head() {
        let of = |schema: &str, version| {
            let head = Head { schema: schema.to_owned(), version };
            head.kind_and_version().map(|(kind, version)| (matches!(kind, Kind::Protocol), version))
        };
        assert_eq!(of("wakerace/1", None), Ok((false, 1)));
        assert_eq!(of("wakerace-protocol/2", Some(2)), Ok((true, 2)));
        assert!(of("wakerace/2", Some(3)).is_err_and(|words| words.contains("version is 3")));
        for unknown in ["wakerace", "wakerace/x", "wakerace-profile/1", "other/1", ""] {
            assert!(of(unknown, None).is_err_and(|words| words.contains(&format!("'{unknown}'"))), "{unknown}");
        }
    }

    #[test]
    fn the_newest_reader_is_that_of_the_version_that_is_written() {
        assert_eq!(READERS.last().map(|reader| reader.version), Some(crate::record::VERSION));
        assert!(READERS.is_sorted_by(|a, b| a.version < b.version));
    }
}
