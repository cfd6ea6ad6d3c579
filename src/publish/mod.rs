//! Records to what people and other programs read.

mod csv;
mod markdown;
mod numbers;
mod table;

pub use csv::csv;
pub use markdown::markdown;
pub use numbers::{count, rate, rate_with_interval};
pub use table::{summary, table};

use crate::error::{Error, Result};
use crate::record::Record;

/// A record as JSON.
///
/// # Errors
/// None that a record can cause.
pub fn json(record: &Record) -> Result<String> {
    let mut text = serde_json::to_string_pretty(record).map_err(|error| Error::Internal(error.to_string()))?;
    text.push('\n');
    Ok(text)
}
