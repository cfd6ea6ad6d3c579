//! Writes histograms as a `.hlog` interval log: one line per result that has a histogram, with its name as
//! the tag.

use std::time::{Duration, SystemTime};

use hdrhistogram::Histogram;
use hdrhistogram::serialization::V2DeflateSerializer;
use hdrhistogram::serialization::interval_log::{IntervalLogWriterBuilder, Tag};

use crate::error::{Error, Result};
use crate::machine::Host;
use crate::record::{AnyRecord, Gaps, histogram};
use crate::shown;

/// A histogram with its name and its duration.
#[derive(Debug, Clone)]
pub struct Tagged {
    /// The name of the result.
    pub name: String,
    /// The time that it took to fill the histogram, in seconds.
    pub elapsed_s: f64,
    /// The counts. Without counts there is no line, but its time still delays the start of later lines.
    pub histogram: Option<Histogram<u64>>,
}

/// The histograms of a record, by the names of its tests or profiles.
///
/// # Errors
/// If a histogram cannot be read: its name and the reason.
pub fn tagged(record: &AnyRecord) -> std::result::Result<Vec<Tagged>, String> {
    let of = |name: &str, elapsed_s: f64, gaps: &Gaps| {
        let histogram = histogram(gaps).map_err(|error| format!("{name}: {error}"))?;
        Ok(Tagged { name: name.to_owned(), elapsed_s, histogram })
    };
    match record {
        AnyRecord::Run(record) => {
            record.results.iter().map(|result| of(&result.scenario, result.elapsed_s, &result.gaps)).collect()
        }
        AnyRecord::Protocol(record) => {
            record.results.iter().map(|result| of(&result.profile, result.elapsed_s, &result.heal_ns)).collect()
        }
        // Campaigns keep no histograms.
        AnyRecord::Campaign(_) => Ok(Vec::new()),
    }
}

/// Writes an interval log of histograms that were filled one after the other from the time `started` (RFC
/// 3339).
///
/// # Errors
/// Only an internal one; no record causes it.
pub fn hlog(host: &Host, started: &str, unit: &str, all: &[Tagged]) -> Result<String> {
    let wrong = |error: String| Error::Internal(format!("writing an interval log: {error}"));
    let began = started.parse::<jiff::Timestamp>().map_or(SystemTime::UNIX_EPOCH, SystemTime::from);
    let began = began.max(SystemTime::UNIX_EPOCH);
    let mut bytes = Vec::new();
    let mut serializer = V2DeflateSerializer::new();
    let mut log = IntervalLogWriterBuilder::new()
        .add_comment(&format!("{} {}; values are {unit}", host.architecture, shown::line(&host.cpu_model)))
        .with_start_time(began)
        .with_base_time(began)
        .with_max_value_divisor(1.0)
        .begin_log_with(&mut bytes, &mut serializer)
        .map_err(|error| wrong(error.to_string()))?;
    let mut at = Duration::ZERO;
    for Tagged { name, elapsed_s, histogram } in all {
        let took = Duration::try_from_secs_f64(*elapsed_s).unwrap_or(Duration::ZERO);
        // These characters end a tag.
        let name = shown::line(&name.replace([',', ' ', '\t', '\n', '\r'], "_")).into_owned();
        if let Some(histogram) = histogram {
            log.write_histogram(histogram, at, took, Tag::new(&name)).map_err(|error| wrong(error.to_string()))?;
        }
        at = at.saturating_add(took);
    }
    String::from_utf8(bytes).map_err(|error| wrong(error.to_string()))
}
