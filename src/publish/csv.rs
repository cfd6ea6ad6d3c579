//! One line per scenario and placement, for spreadsheets.

use crate::error::{Error, Result};
use crate::record::Record;

const COLUMNS: [&str; 22] = [
    "architecture",
    "cpu_model",
    "emulated",
    "scenario",
    "group",
    "cpus",
    "class",
    "pace",
    "period_ns",
    "layout",
    "batch",
    "iterations",
    "elapsed_s",
    "iterations_per_s",
    "matches",
    "races",
    "rate",
    "rate_low",
    "rate_high",
    "expected",
    "finding",
    "source_sha256",
];

/// A record as CSV, with a header line. Missing numbers are empty.
///
/// # Errors
/// None that a record can cause.
pub fn csv(record: &Record) -> Result<String> {
    let wrong = |error: String| Error::Internal(format!("writing CSV: {error}"));
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record(COLUMNS).map_err(|error| wrong(error.to_string()))?;
    let number = |value: Option<f64>| value.map_or(String::new(), |value| format!("{value:e}"));
    for result in &record.results {
        let cpus: Vec<String> = result.placement.cpus.iter().map(usize::to_string).collect();
        let fields: [String; COLUMNS.len()] = [
            record.host.architecture.clone(),
            record.host.cpu_model.clone(),
            record.host.emulated.to_string(),
            result.scenario.clone(),
            result.group.clone(),
            cpus.join(" "),
            result.placement.class.to_string(),
            result.pace.mode.clone(),
            result.pace.period_ns.map_or(String::new(), |ns| format!("{ns:.3}")),
            result.layout.kind.clone(),
            result.batch.to_string(),
            result.iterations.to_string(),
            format!("{:.6}", result.elapsed_s),
            format!("{:.1}", result.iterations_per_s),
            result.matches.map_or(String::new(), |matches| matches.to_string()),
            result.races.to_string(),
            number(result.rate),
            number(result.interval.map(|interval| interval.low)),
            number(result.interval.map(|interval| interval.high)),
            result.expected.map_or(String::new(), |expected| expected.to_string()),
            result.finding.words().to_owned(),
            result.source_sha256.clone(),
        ];
        writer.write_record(&fields).map_err(|error| wrong(error.to_string()))?;
    }
    let bytes = writer.into_inner().map_err(|error| wrong(error.to_string()))?;
    String::from_utf8(bytes).map_err(|error| wrong(error.to_string()))
}
