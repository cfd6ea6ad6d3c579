//! One line per scenario and placement, for spreadsheets.

use crate::error::{Error, Result};
use crate::machine::in_order;
use crate::record::{OutcomeRecord, Record, ScenarioResult};

const COLUMNS: [&str; 23] = [
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
    "outcomes",
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
    let mut lines = vec![COLUMNS.map(str::to_owned).to_vec()];
    let number = |value: Option<f64>| value.map_or(String::new(), |value| format!("{value:e}"));
    for result in &record.results {
        let fields: [String; COLUMNS.len()] = [
            record.host.architecture.clone(),
            record.host.cpu_model.clone(),
            record.host.emulated.to_string(),
            result.scenario.clone(),
            result.group.clone(),
            cpus(result),
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
            outcomes(result),
            number(result.rate),
            number(result.interval.map(|interval| interval.low)),
            number(result.interval.map(|interval| interval.high)),
            result.expected.map_or(String::new(), |expected| expected.to_string()),
            result.finding.words().to_owned(),
            result.source_sha256.clone(),
        ];
        lines.push(fields.to_vec());
    }
    render(&lines)
}

/// Lines as CSV.
///
/// # Errors
/// If a line has another number of fields than the first.
pub(super) fn render(lines: &[Vec<String>]) -> Result<String> {
    let wrong = |error: String| Error::Internal(format!("writing CSV: {error}"));
    let mut writer = csv::Writer::from_writer(Vec::new());
    for line in lines {
        writer.write_record(line).map_err(|error| wrong(error.to_string()))?;
    }
    let bytes = writer.into_inner().map_err(|error| wrong(error.to_string()))?;
    String::from_utf8(bytes).map_err(|error| wrong(error.to_string()))
}

/// Every outcome with its count, the outcome that was asked about with a star: `31 1:r0=2 1:r1=0 * | 5 1:r0=0 1:r1=0`.
fn outcomes(result: &ScenarioResult) -> String {
    let one = |outcome: &OutcomeRecord| {
        let star = if outcome.satisfies { " *" } else { "" };
        format!("{} {}{star}", outcome.count, values(outcome))
    };
    result.outcomes.iter().map(one).collect::<Vec<_>>().join(" | ")
}

fn values(outcome: &OutcomeRecord) -> String {
    outcome.values.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join(" ")
}

/// What a line of a part of a result begins with.
const ABOUT: [&str; 6] = ["architecture", "cpu_model", "emulated", "scenario", "cpus", "class"];

/// Those of a result, before some more fields.
fn about<const N: usize>(record: &Record, result: &ScenarioResult, more: [String; N]) -> Vec<String> {
    let fields: [String; ABOUT.len()] = [
        record.host.architecture.clone(),
        record.host.cpu_model.clone(),
        record.host.emulated.to_string(),
        result.scenario.clone(),
        cpus(result),
        result.placement.class.to_string(),
    ];
    fields.into_iter().chain(more).collect()
}

/// The CPUs of a result; a comma would have to be quoted.
fn cpus(result: &ScenarioResult) -> String {
    in_order(&result.placement.cpus).replace(',', " ")
}

/// The header line of lines that [`about`] makes.
fn header<const N: usize>(more: [&str; N]) -> Vec<String> {
    ABOUT.into_iter().chain(more).map(str::to_owned).collect()
}

/// Race windows as CSV: a line per result, skew and outcome, with a header line. Records of versions that did not count
/// outcomes at each skew have two outcomes, `race` and `other`.
///
/// # Errors
/// None that a record can cause.
pub fn window_csv(record: &Record) -> Result<String> {
    let mut lines = vec![header(["skew_ns", "outcome", "race", "count"])];
    for result in &record.results {
        for skew in &result.skews {
            let mut line = |outcome: String, race: bool, count: u64| {
                let fields = [format!("{:.3}", skew.skew_ns), outcome, race.to_string(), count.to_string()];
                lines.push(about(record, result, fields));
            };
            if skew.outcomes.len() == result.outcomes.len() {
                for (outcome, count) in result.outcomes.iter().zip(&skew.outcomes) {
                    line(values(outcome), outcome.satisfies, *count);
                }
            } else {
                line("race".to_owned(), true, skew.races);
                line("other".to_owned(), false, skew.iterations.saturating_sub(skew.races));
            }
        }
    }
    render(&lines)
}

/// Counts by whose the variables' lines were as CSV: a line per result, choice and warmth, with a header line. `last_written` is like
/// `__state=P0 blocked_on=P1`.
///
/// # Errors
/// None that a record can cause.
pub fn starts_csv(record: &Record) -> Result<String> {
    let mut lines = vec![header(["last_written", "fetched", "iterations", "races"])];
    for result in &record.results {
        for start in &result.starts {
            let writers = start.last_writers.iter().map(|(location, thread)| format!("{location}={thread}"));
            let writers = writers.collect::<Vec<_>>().join(" ");
            let fields = [writers, start.warm.to_string(), start.iterations.to_string(), start.races.to_string()];
            lines.push(about(record, result, fields));
        }
    }
    render(&lines)
}
