//! `wakerace show RECORD`: prints the settings and the machine code of the results of a record.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::Path;

use crate::error::{Error, Result};
use crate::machine::in_order;
use crate::publish;
use crate::record::{self, Code, ScenarioResult};
use crate::shown;

/// As many digits of a hash tell the codes of a record apart.
const SHORT: usize = 7;

/// The settings of each result of a record, and the code that ran with them, each once. `tests` are the names of the tests that are
/// shown; without any, all are.
///
/// # Errors
/// If the file is no record of `wakerace run`, or has no test of one of these names.
pub(super) fn show(path: &Path, tests: &[String]) -> Result<String> {
    let record = record::read_valid_run(path, "have machine code")?;
    if let Some(by) = record.tool.measured_by() {
        return Err(Error::Usage(format!(
            "{}: {by}; such a log has neither settings nor machine code",
            shown::path(path)
        )));
    }
    let names = || record.results.iter().map(|result| result.scenario.as_str());
    if let Some(unknown) = tests.iter().find(|test| names().all(|name| name != *test)) {
        let known: BTreeSet<&str> = names().collect();
        let known: Vec<&str> = known.into_iter().collect();
        return Err(Error::Usage(format!(
            "{}: no result of '{}'; it has {}",
            shown::path(path),
            shown::line(unknown),
            shown::line(&known.join(", "))
        )));
    }
    let host = format!("{} {}, {}", record.host.architecture, record.host.cpu_model, record.started);
    let mut text = format!("{}\n", shown::line(&host));
    if record.parts.len() > 1 {
        let _ = writeln!(
            text,
            "A sum of {} runs. Settings that a search chose are those of the first run.",
            record.parts.len()
        );
    }
    let mut printed: Vec<&str> = Vec::new();
    let wanted = |result: &&ScenarioResult| tests.is_empty() || tests.contains(&result.scenario);
    for result in record.results.iter().filter(wanted) {
        let _ = writeln!(text, "\n{}", shown::line(&heading(result)));
        for part in publish::settings_parts(result) {
            let _ = writeln!(text, "   {}; code {}", shown::line(&part.words), short(part.code));
        }
        let _ = writeln!(text, "   {}", shown::line(&publish::other_settings(result)));
        if result.listing.is_empty() {
            text.push_str("   The record has no listing of this code; early versions wrote none.\n");
        }
        for code in result.each_code().filter(|code| !code.listing.is_empty()) {
            // Tests with the same code may have it from other operations.
            if !printed.contains(&code.listing) {
                printed.push(code.listing);
                text.push_str(&listing(&code));
            }
        }
    }
    Ok(text)
}

fn heading(result: &ScenarioResult) -> String {
    let placement = &result.placement;
    format!("== {} on CPUs {} ({})", result.scenario, in_order(&placement.cpus), placement.class_and_kinds())
}

fn listing(code: &Code<'_>) -> String {
    format!(
        "\n== code {} ({}, {}; sha256 {})\n{}",
        short(code.sha256),
        code.pace,
        code.layout,
        code.sha256,
        code.listing
    )
}

fn short(sha256: &str) -> &str {
    sha256.get(..SHORT).unwrap_or(sha256)
}
