//! Reads records of every version ever written, and reports files that are not records.

use std::path::Path;

use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::{PROTOCOL_SCHEMA, ProtocolRecord, Record, SCHEMA, problems, protocol_problems};
use crate::error::{Error, Result};
use crate::input::{Limit, read_text};
use crate::machine::Host;
use crate::shown;

/// The largest file that is read. A default run is about 70 kB, and a sum of a thousand machines is a few MB.
const LARGEST: Limit = Limit { bytes: 256 * 1024 * 1024, why: "a record is a JSON file of a few kB to a few MB" };

/// A record of either kind.
#[derive(Debug, Clone, PartialEq)]
pub enum AnyRecord {
    /// A record of `wakerace run`.
    Run(Box<Record>),
    /// A record of `wakerace protocol`.
    Protocol(Box<ProtocolRecord>),
}

impl AnyRecord {
    /// The host.
    pub fn host(&self) -> &Host {
        match self {
            AnyRecord::Run(record) => &record.host,
            AnyRecord::Protocol(record) => &record.host,
        }
    }

    /// The start time, RFC 3339.
    pub fn started(&self) -> &str {
        match self {
            AnyRecord::Run(record) => &record.started,
            AnyRecord::Protocol(record) => &record.started,
        }
    }

    /// The problems that validation finds; empty if the record is valid.
    pub fn problems(&self) -> Vec<String> {
        match self {
            AnyRecord::Run(record) => problems(record),
            AnyRecord::Protocol(record) => protocol_problems(record),
        }
    }
}

#[derive(Deserialize)]
struct Versioned {
    schema: String,
}

/// Reads a record from text. `name` is the name of the file in error messages.
///
/// # Errors
/// If the text is not JSON, not a record, cut short, or of a version that this program does not know.
pub fn read(name: &str, text: &str) -> Result<AnyRecord> {
    let Versioned { schema } = parse(name, text)?;
    match schema.as_str() {
        SCHEMA => Ok(AnyRecord::Run(Box::new(parse(name, text)?))),
        PROTOCOL_SCHEMA => Ok(AnyRecord::Protocol(Box::new(parse(name, text)?))),
        other => {
            let known = format!("this wakerace reads {SCHEMA} and {PROTOCOL_SCHEMA}");
            let newer = ["wakerace/", "wakerace-protocol/"].iter().any(|kind| other.starts_with(kind));
            let hint = if newer { "; a newer version of wakerace wrote this file" } else { "" };
            Err(Error::Usage(format!("{name}: unknown schema '{other}'; {known}{hint}")))
        }
    }
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

fn parse<T: DeserializeOwned>(name: &str, text: &str) -> Result<T> {
    serde_json::from_str(text).map_err(|error| {
        let what = if error.is_eof() { "the file is cut short" } else { "not a wakerace record" };
        Error::Usage(format!("{name}:{}:{}: {what}: {error}", error.line(), error.column()))
    })
}
