//! Records to what people and other programs read.

mod csv;
mod markdown;
mod numbers;
mod protocol;
mod table;

pub use csv::csv;
pub use markdown::markdown;
pub use numbers::{count, rate, rate_with_interval};
pub use protocol::{protocol_csv, protocol_markdown, protocol_summary, protocol_table};
pub use table::{summary, table};

use crate::error::{Error, Result};
use crate::record::{ProtocolRecord, Record};

/// A record as JSON.
///
/// # Errors
/// None that a record can cause.
pub fn json(record: &Record) -> Result<String> {
    pretty(record)
}

/// A record of the protocol as JSON.
///
/// # Errors
/// None that a record can cause.
pub fn protocol_json(record: &ProtocolRecord) -> Result<String> {
    pretty(record)
}

fn pretty(record: &impl serde::Serialize) -> Result<String> {
    let mut text = serde_json::to_string_pretty(record).map_err(|error| Error::Internal(error.to_string()))?;
    text.push('\n');
    Ok(text)
}
