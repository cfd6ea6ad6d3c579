//! Writes outcomes as a litmus7 log, for mcompare7.
//!
//! The tools of herdtools7 read (herdtools7, tools/lexLog_tools.mll): a line `Test NAME KIND`, a histogram, a line that
//! says whether the condition is validated, the witnesses, and lines of the form `KEY NAME ...` up to an
//! empty line. Without the empty line they take the first line of the next test for one of these lines, so
//! every test ends with an empty line.
//!
//! The log has no `Hash=` line. herdtools computes the hash from its own print-out of the program. mcompare7
//! accepts a test without one; mdiff7 does not.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::sums::by_test;
use crate::record::{CampaignRecord, FinalValue, OutcomeRecord, Record, RunRecord};
use crate::shown;

/// Writes a record as a litmus7 log. The placements of a test are added up.
pub fn litmus_log(record: &Record) -> String {
    let mut text = head(record, &super::table::title(record));
    for sum in by_test(record) {
        let first = sum.first();
        let results = &sum.results;
        test(
            &mut text,
            Logged {
                name: &first.scenario,
                condition: &first.condition,
                outcomes: results.iter().map(|result| (&result.displayed[..], &result.outcomes[..])).collect(),
                iterations: sum.iterations,
                races: sum.races,
                seconds: results.iter().map(|result| result.elapsed_s).sum(),
            },
        );
    }
    shown::text(&text).into_owned()
}

/// Writes a record of a campaign as a litmus7 log.
pub fn campaign_log(record: &CampaignRecord) -> String {
    let mut text = head(record, &record.host.cpu_model);
    for result in record.results.iter().filter(|result| result.iterations > 0) {
        test(
            &mut text,
            Logged {
                name: &result.test,
                condition: &result.condition,
                outcomes: vec![(&result.displayed, &result.outcomes)],
                iterations: result.iterations,
                races: result.races,
                seconds: result.elapsed_s,
            },
        );
    }
    shown::text(&text).into_owned()
}

/// The lines in front of the first test. `wakerace import` reads them; the tools of herdtools7 skip them.
fn head<R>(record: &RunRecord<R>, title: &str) -> String {
    let RunRecord { tool, host, .. } = record;
    let release = host.kernel.strip_prefix("Linux ").unwrap_or(&host.kernel);
    format!(
        "{} {} ({})\n{}\narchitecture: {}\nmodel name: {}\nuname -r={}\n\n",
        tool.name,
        tool.version,
        tool.commit,
        shown::line(title),
        shown::line(&host.architecture),
        shown::line(&host.cpu_model),
        shown::line(release)
    )
}

/// What the log says about a test.
struct Logged<'a> {
    name: &'a str,
    condition: &'a str,
    /// The outcomes of each result, behind the names of those values that are displayed; no names mean all.
    outcomes: Vec<(&'a [String], &'a [OutcomeRecord])>,
    iterations: u64,
    races: u64,
    seconds: f64,
}

/// Writes the log of one test. Errors of `writeln!` are ignored, because writing to a string cannot fail.
fn test(text: &mut String, logged: Logged<'_>) {
    let Logged { name, condition, outcomes: all, iterations, races, seconds } = logged;
    let (quantifier, _) = condition.split_once(' ').unwrap_or(("exists", ""));
    let kind = match quantifier {
        "~exists" => "Forbidden",
        "forall" => "Required",
        _ => "Allowed",
    };
    let others = iterations.saturating_sub(races);
    let mut outcomes: BTreeMap<BTreeMap<&String, &FinalValue>, (u64, bool)> = BTreeMap::new();
    for (names, outcome) in all.iter().flat_map(|(names, outcomes)| outcomes.iter().map(move |one| (names, one))) {
        // As in herd7's output, values that only the filter or Match event uses are left out.
        let displayed = |name: &String| names.is_empty() || names.contains(name);
        let values = outcome.values.iter().filter(|(name, _)| displayed(name)).collect();
        let known = outcomes.entry(values).or_insert((0, outcome.satisfies));
        known.0 = known.0.saturating_add(outcome.count);
    }
    let name = &shown::line(name);
    let _ = writeln!(text, "Test {name} {kind}\nHistogram ({} states)", outcomes.len());
    for (values, (count, satisfies)) in &outcomes {
        let mark = if *satisfies { '*' } else { ':' };
        let value = |(place, value): (&&String, &&FinalValue)| {
            // Registers are written as they are, variables in brackets.
            let place = if place.contains(':') { (*place).clone() } else { format!("[{place}]") };
            match value {
                FinalValue::Int(value) => format!("{place}={value};"),
                FinalValue::Address(name) => format!("{place}={};", name.trim_start_matches('&')),
            }
        };
        let _ = writeln!(text, "{count:<6}{mark}>{}", values.iter().map(value).collect::<Vec<_>>().join(" "));
    }
    // A race is an iteration in which the proposition of the condition holds. For `forall` it is one in which
    // it does not.
    let validated = match quantifier {
        "exists" => races > 0,
        _ => races == 0,
    };
    let (positive, negative) = if quantifier == "exists" { (races, others) } else { (others, races) };
    let (holds, fails) = if quantifier == "forall" { (others, races) } else { (races, others) };
    let observation = match (holds, fails) {
        (0, _) => "Never",
        (_, 0) => "Always",
        _ => "Sometimes",
    };
    let _ = writeln!(
        text,
        "{}\n\nWitnesses\nPositive: {positive}, Negative: {negative}\nCondition {} is {}validated\n\
         Observation {name} {observation} {holds} {fails}\nTime {name} {seconds:.2}\n",
        if validated { "Ok" } else { "No" },
        condition,
        if validated { "" } else { "NOT " },
    );
}
