//! Writes records as CSV, with one line per scenario and placement.

use super::titles;
use crate::error::{Error, Result};
use crate::machine::in_order;
use crate::record::{OutcomeRecord, Record, ScenarioResult, Tool};
use crate::shown;

/// A column: its heading, which ends with the unit if there is one, and the function that gives its values.
type Column = (&'static str, fn(&Record, &ScenarioResult) -> String);

/// The columns. New ones are added at the end, so that spreadsheets for earlier versions still work.
const COLUMNS: [Column; 44] = [
    ("architecture", |record, _| record.host.architecture.clone()),
    ("cpu_model", |record, _| record.host.cpu_model.clone()),
    ("emulated", |record, _| record.host.emulated.to_string()),
    ("scenario", |_, result| result.scenario.clone()),
    ("group", |_, result| result.group.clone()),
    ("cpus", |_, result| cpus(result)),
    ("class", |_, result| result.placement.class.to_string()),
    ("pace", |_, result| result.pace.mode.clone()),
    ("period_ns", |_, result| result.pace.period_ns.map_or(String::new(), |ns| format!("{ns:.3}"))),
    ("layout", |_, result| result.layout.kind.clone()),
    ("batch", |_, result| result.batch.to_string()),
    ("iterations", |_, result| result.iterations.to_string()),
    ("elapsed_s", |_, result| format!("{:.6}", result.elapsed_s)),
    ("iterations_per_s", |_, result| format!("{:.1}", result.iterations_per_s)),
    ("matches", |_, result| maybe(result.matches)),
    ("races", |_, result| result.races.to_string()),
    ("outcomes", |_, result| outcomes(result)),
    ("rate", |_, result| number(result.rate)),
    ("rate_low", |_, result| number(result.interval.map(|interval| interval.low))),
    ("rate_high", |_, result| number(result.interval.map(|interval| interval.high))),
    ("expected", |_, result| maybe(result.expected)),
    ("finding", |_, result| result.finding.words().to_owned()),
    ("source_sha256", |_, result| result.source_sha256.clone()),
    ("code_sha256", |_, result| result.code_sha256.clone()),
    ("in_batches_s", |_, result| format!("{:.6}", result.in_batches_s)),
    ("discarded", |_, result| result.discarded.to_string()),
    ("disturbances", |_, result| result.disturbances.to_string()),
    ("line_transfer_ns", |_, result| result.line_transfer_ns.map_or(String::new(), |ns| format!("{ns:.3}"))),
    ("nice", |_, result| result.nice.to_string()),
    ("seed", |_, result| result.seed.to_string()),
    ("started", |record, _| record.started.clone()),
    ("commit", |record, _| commit(&record.tool)),
    ("command", |record, _| record.command.join(" ")),
    ("id", |record, _| record.identity()),
    ("moved", |_, result| result.moved.to_string()),
    ("filtered", |_, result| result.filtered.to_string()),
    ("effective_iterations", |_, result| number(result.effective_iterations)),
    ("kinds", |_, result| result.placement.kinds.join(" + ")),
    ("kernel", |record, _| record.host.kernel.clone()),
    ("cpu_ids", |record, _| {
        record.host.cpu_ids.iter().map(|(key, id)| format!("{key}={id}")).collect::<Vec<_>>().join("; ")
    }),
    ("virtualised", |record, _| maybe(record.host.virtualised.clone())),
    ("lock", |_, result| maybe(result.lock.clone())),
    ("machine", |record, _| record.host.names.in_words()),
    ("label", |record, _| record.host.label.clone().unwrap_or_default()),
];

/// Writes a record as CSV with a header line. Missing values are empty fields.
///
/// # Errors
/// Only an internal one; no record causes it.
pub fn csv(record: &Record) -> Result<String> {
    csv_of(std::slice::from_ref(record))
}

/// Writes records as CSV with one header line and a line per result.
///
/// # Errors
/// Only an internal one; no record causes it.
pub fn csv_of(records: &[Record]) -> Result<String> {
    let mut lines = vec![COLUMNS.map(|(heading, _)| heading.to_owned()).to_vec()];
    for record in records {
        lines.extend(record.results.iter().map(|result| COLUMNS.map(|(_, field)| field(record, result)).to_vec()));
    }
    render(&lines)
}

/// Writes the outcomes of records as CSV with one header line and a line per outcome. `id` is that of [`csv_of`].
///
/// # Errors
/// Only an internal one; no record causes it.
pub fn outcomes_csv(records: &[Record]) -> Result<String> {
    let mut lines = vec![header(["id", "outcome", "words", "race", "count"])];
    for record in records {
        for result in &record.results {
            for outcome in &result.outcomes {
                let words =
                    titles::outcome(result, &titles::current(result, &outcome.values)).unwrap_or_default().to_owned();
                let fields = [
                    record.identity(),
                    values(outcome),
                    words,
                    outcome.satisfies.to_string(),
                    outcome.count.to_string(),
                ];
                lines.push(about(record, result, fields));
            }
        }
    }
    render(&lines)
}

/// The commit of wakerace, or the program that measured if the record is imported.
fn commit(tool: &Tool) -> String {
    if tool.is_foreign() { format!("imported: {} {}", tool.name, tool.version) } else { tool.commit.clone() }
}

/// A probability with all its digits; empty if it is missing.
fn number(value: Option<f64>) -> String {
    value.map_or(String::new(), |value| format!("{value:e}"))
}

/// A value; empty if it is missing.
fn maybe(value: Option<impl std::fmt::Display>) -> String {
    value.map_or(String::new(), |value| value.to_string())
}

/// Writes lines as CSV. Line breaks within fields are escaped.
///
/// # Errors
/// If a line and the first line differ in their number of fields.
pub(super) fn render(lines: &[Vec<String>]) -> Result<String> {
    let wrong = |error: String| Error::Internal(format!("writing CSV: {error}"));
    let mut writer = csv::Writer::from_writer(Vec::new());
    for line in lines {
        writer
            .write_record(line.iter().map(|field| shown::line(field).into_owned()))
            .map_err(|error| wrong(error.to_string()))?;
    }
    let bytes = writer.into_inner().map_err(|error| wrong(error.to_string()))?;
    String::from_utf8(bytes).map_err(|error| wrong(error.to_string()))
}

/// Every outcome with its count; a star marks the race: `31 1:r0=2 1:r1=0 * | 5 1:r0=0 1:r1=0`.
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

/// The first columns of [`window_csv`] and [`last_writers_csv`].
const ABOUT: [&str; 6] = ["architecture", "cpu_model", "emulated", "scenario", "cpus", "class"];

/// The values of [`ABOUT`] for a result, followed by more fields.
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

/// The CPUs of a result, with spaces between them: a field with commas needs quotes.
fn cpus(result: &ScenarioResult) -> String {
    in_order(&result.placement.cpus).replace(',', " ")
}

/// The header line for the lines that [`about`] makes.
fn header<const N: usize>(more: [&str; N]) -> Vec<String> {
    ABOUT.into_iter().chain(more).map(str::to_owned).collect()
}

/// Writes race windows as CSV with a header line and a line per result, skew and outcome. In records of
/// versions that did not count outcomes at each skew, the outcomes are `race` and `other`.
///
/// # Errors
/// Only an internal one; no record causes it.
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

/// Writes the counts by cache-line ownership as CSV: a header line, and a line per result, choice of last
/// writers and prefetch. The column `last_writers` is like `__state=P0 blocked_on=P1`; `prefetched` says whether
/// lines were prefetched.
///
/// # Errors
/// Only an internal one; no record causes it.
pub fn last_writers_csv(record: &Record) -> Result<String> {
    let mut lines = vec![header(["last_writers", "prefetched", "iterations", "races"])];
    for result in &record.results {
        for entry in &result.last_writers {
            let writers = entry.writers.iter().map(|(location, thread)| format!("{location}={thread}"));
            let writers = writers.collect::<Vec<_>>().join(" ");
            let fields = [writers, entry.prefetched.to_string(), entry.iterations.to_string(), entry.races.to_string()];
            lines.push(about(record, result, fields));
        }
    }
    render(&lines)
}
