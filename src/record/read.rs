//! Reading records: every version ever written, and a plain word about those that are none.

use std::path::Path;

use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::{PROTOCOL_SCHEMA, ProtocolRecord, Record, SCHEMA, problems, protocol_problems};
use crate::error::{Error, Result};
use crate::input::{Limit, read_text};
use crate::machine::Host;
use crate::shown;

/// A default run is some 70 kB, and a sum of a thousand boxes a few MB.
const LARGEST: Limit = Limit { bytes: 256 * 1024 * 1024, why: "a record is a JSON file of some kB to some MB" };

/// A record of either kind.
#[derive(Debug, Clone, PartialEq)]
pub enum AnyRecord {
    /// Of `wakerace run`.
    Run(Box<Record>),
    /// Of `wakerace protocol`.
    Protocol(Box<ProtocolRecord>),
}

impl AnyRecord {
    /// The box.
    pub fn host(&self) -> &Host {
        match self {
            AnyRecord::Run(record) => &record.host,
            AnyRecord::Protocol(record) => &record.host,
        }
    }

    /// When it began, RFC 3339.
    pub fn started(&self) -> &str {
        match self {
            AnyRecord::Run(record) => &record.started,
            AnyRecord::Protocol(record) => &record.started,
        }
    }

    /// What is wrong with it; nothing, if it is whole.
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

/// Reads a record from text; `name` is for errors.
///
/// # Errors
/// If it is no JSON, no record, cut short, or of a version that this program does not know.
pub fn read(name: &str, text: &str) -> Result<AnyRecord> {
    let Versioned { schema } = parse(name, text)?;
    match schema.as_str() {
        SCHEMA => Ok(AnyRecord::Run(Box::new(parse(name, text)?))),
        PROTOCOL_SCHEMA => Ok(AnyRecord::Protocol(Box::new(parse(name, text)?))),
        other => {
            let known = format!("this wakerace reads {SCHEMA} and {PROTOCOL_SCHEMA}");
            let newer = ["wakerace/", "wakerace-protocol/"].iter().any(|kind| other.starts_with(kind));
            let hint = if newer { "; a newer one wrote it" } else { "" };
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

/// Reads a record from a file whose numbers are to be used.
///
/// # Errors
/// As [`read_file`], or if it cannot be true: the first of its problems.
pub fn read_valid(path: &Path) -> Result<AnyRecord> {
    let record = read_file(path)?;
    match record.problems().first() {
        Some(problem) => Err(Error::Usage(format!("{}: {problem}", shown::path(path)))),
        None => Ok(record),
    }
}

fn parse<T: DeserializeOwned>(name: &str, text: &str) -> Result<T> {
    serde_json::from_str(text).map_err(|error| {
        let what = if error.is_eof() { "it is cut short" } else { "it is no record of wakerace" };
        Error::Usage(format!("{name}:{}:{}: {what}: {error}", error.line(), error.column()))
    })
}
