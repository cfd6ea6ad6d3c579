//! Histograms as an interval log, `.hlog`: one line for each result that has one, with its name as the tag.

use std::time::{Duration, SystemTime};

use hdrhistogram::Histogram;
use hdrhistogram::serialization::V2DeflateSerializer;
use hdrhistogram::serialization::interval_log::{IntervalLogWriterBuilder, Tag};

use crate::error::{Error, Result};
use crate::machine::Host;
use crate::shown;

/// A histogram, and what it is of.
#[derive(Debug, Clone)]
pub struct Tagged {
    /// The name.
    pub name: String,
    /// How long it took to fill, in seconds.
    pub elapsed_s: f64,
    /// The counts; if there are none, it has no line, and those behind it begin later all the same.
    pub histogram: Option<Histogram<u64>>,
}

/// An interval log of histograms that were filled one after the other from `started` (RFC 3339) on.
///
/// # Errors
/// None that a record can cause.
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
        // A tag ends at these.
        let name = shown::line(&name.replace([',', ' ', '\t', '\n', '\r'], "_")).into_owned();
        if let Some(histogram) = histogram {
            log.write_histogram(histogram, at, took, Tag::new(&name)).map_err(|error| wrong(error.to_string()))?;
        }
        at = at.saturating_add(took);
    }
    String::from_utf8(bytes).map_err(|error| wrong(error.to_string()))
}
