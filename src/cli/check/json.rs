//! The results of `check` as JSON.

use std::collections::BTreeSet;

use serde::Serialize;

use super::judge::{Kind, ModelReport, Report};
use super::published::Compared;
use super::summary::{self, Counts};
use crate::error::{Error, Result};
use crate::litmus::Verdict;
use crate::model::Model;

#[derive(Serialize)]
struct Output<'r> {
    tests: Vec<Test<'r>>,
    summary: Vec<Summary>,
    refused: Vec<Refused>,
}

/// One test on one model.
#[derive(Serialize)]
struct Test<'r> {
    test: &'r str,
    file: &'r str,
    model: &'static str,
    /// `judged`, `refused`, `too large` or `not modelled`.
    finding: &'static str,
    #[serde(flatten)]
    judged: Option<Judged<'r>>,
    /// Why there is no verdict.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    /// The time that reading and judging took.
    seconds: f64,
}

#[derive(Serialize)]
struct Judged<'r> {
    verdict: Verdict,
    /// The number of final states.
    states: usize,
    data_race: bool,
    /// What else the kernel's model warns about, with herd7's names.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    flags: Vec<&'static str>,
    /// Whether the state that the test asks about occurs only out of thin air.
    thin_air: bool,
    /// Whether any execution finishes.
    finishes: bool,
    /// Whether a loop was followed only so often, so that executions are missing.
    cuts_loops: bool,
    /// Whether the header agrees, if it declares a verdict.
    #[serde(skip_serializing_if = "Option::is_none")]
    as_header: Option<bool>,
    /// Whether the published verdict is the same, if there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    as_published: Option<bool>,
    /// The final states as herd7 prints them; with `--states`.
    #[serde(skip_serializing_if = "Option::is_none")]
    final_states: Option<&'r BTreeSet<String>>,
}

#[derive(Serialize)]
struct Summary {
    model: &'static str,
    #[serde(flatten)]
    counts: Counts,
}

#[derive(Serialize)]
struct Refused {
    reason: String,
    tests: u64,
    first: String,
}

/// The results as JSON text.
pub(super) fn text(reports: &[Report], models: &[Model]) -> Result<String> {
    let mut tests = Vec::new();
    for report in reports {
        for (model, finding) in models.iter().zip(&report.findings) {
            tests.extend(finding.as_ref().map(|finding| test(report, *model, finding)));
        }
    }
    let summary = models
        .iter()
        .enumerate()
        .map(|(at, model)| Summary { model: model.name(), counts: summary::count(reports, at) });
    let refused = summary::reasons(reports).into_iter();
    let refused = refused.map(|(tests, reason, first)| Refused { reason, tests, first }).collect();
    let output = Output { tests, summary: summary.collect(), refused };
    let text = serde_json::to_string_pretty(&output).map_err(|error| Error::Internal(error.to_string()))?;
    Ok(crate::shown::json(text) + "\n")
}

fn test<'r>(report: &'r Report, model: Model, finding: &'r ModelReport) -> Test<'r> {
    let (kind, reason) = match &finding.kind {
        Kind::Judged(_) => ("judged", None),
        Kind::Refused { reason, .. } => ("refused", Some(reason.clone())),
        Kind::TooLarge(error) => ("too large", Some(error.to_string())),
        Kind::NotModelled(what) => ("not modelled", Some((*what).to_owned())),
    };
    let judged = match &finding.kind {
        Kind::Judged(judged) => Some(Judged {
            verdict: judged.outcome.verdict,
            states: judged.states,
            data_race: judged.outcome.data_race,
            flags: judged.outcome.flags.names().collect(),
            thin_air: judged.outcome.thin_air,
            finishes: judged.outcome.finishes,
            cuts_loops: judged.outcome.cuts_loops,
            as_header: judged.header.as_ref().map(|agrees| agrees.is_ok()),
            as_published: judged.published.as_ref().map(|compared| *compared == Compared::Agrees),
            final_states: judged.final_states.as_ref(),
        }),
        _ => None,
    };
    let seconds = finding.seconds;
    Test { test: &report.name, file: &report.file, model: model.name(), finding: kind, judged, reason, seconds }
}
