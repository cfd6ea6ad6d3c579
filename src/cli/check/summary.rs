//! The table at the end of `check` over folders: how many tests have which finding, and why tests were refused.

use std::collections::BTreeMap;

use super::judge::{Kind, Report};
use super::published::Compared;
use crate::model::Model;
use crate::{publish, shown};

/// What one model says about all tests.
#[derive(Debug, Default, serde::Serialize)]
pub(super) struct Counts {
    /// Tests that the model applies to.
    pub tests: u64,
    /// Tests with a verdict.
    pub judged: u64,
    /// Tests whose header agrees.
    pub header_agrees: u64,
    /// Tests whose header differs.
    pub header_differs: u64,
    /// Tests whose published verdict agrees.
    pub published_agrees: u64,
    /// Tests whose published verdict differs.
    pub published_differs: u64,
    /// Tests that were refused.
    pub refused: u64,
    /// Tests that are too large.
    pub too_large: u64,
    /// Tests with something that the published models do not cover.
    pub not_modelled: u64,
    /// The time that reading and judging all tests took, in seconds of CPU time.
    pub seconds: f64,
}

/// Counts what a model says. `at` is the model's place in the list of models.
pub(super) fn count(reports: &[Report], at: usize) -> Counts {
    let mut counts = Counts::default();
    for report in reports {
        let Some(finding) = &report.findings[at] else { continue };
        counts.tests += 1;
        counts.seconds += finding.seconds;
        match &finding.kind {
            Kind::Judged(judged) => {
                counts.judged += 1;
                counts.header_agrees += u64::from(matches!(judged.header, Some(Ok(()))));
                counts.header_differs += u64::from(matches!(judged.header, Some(Err(_))));
                counts.published_agrees += u64::from(matches!(judged.published, Some(Compared::Agrees)));
                counts.published_differs += u64::from(matches!(judged.published, Some(Compared::Differs(_))));
            }
            Kind::Refused { .. } => counts.refused += 1,
            Kind::TooLarge(_) => counts.too_large += 1,
            Kind::NotModelled(_) => counts.not_modelled += 1,
        }
    }
    counts
}

/// The reasons for which tests were refused, each with the number of tests and the file of the first.
pub(super) fn reasons(reports: &[Report]) -> Vec<(u64, String, String)> {
    let mut all: BTreeMap<&str, (u64, &str)> = BTreeMap::new();
    for report in reports {
        // A test that cannot be read is refused by every model, for one reason.
        let first = report.findings.iter().flatten().find_map(|finding| match &finding.kind {
            Kind::Refused { reason, .. } => Some(reason),
            _ => None,
        });
        if let Some(reason) = first {
            all.entry(reason).or_insert((0, &report.file)).0 += 1;
        }
    }
    let mut all: Vec<_> = all.into_iter().map(|(why, (n, file))| (n, why.to_owned(), file.to_owned())).collect();
    all.sort_by_key(|(count, ..)| std::cmp::Reverse(*count));
    all
}

/// The table and the reasons as text, fitted into the width of a terminal if there is one. `published` says whether there are published verdicts.
pub(super) fn text(reports: &[Report], models: &[Model], published: bool, width: Option<usize>) -> String {
    let mut rows: Vec<Vec<String>> = Vec::new();
    let mut headings = vec!["model", "tests", "judged", "as the header", "not as the header"];
    if published {
        headings.extend(["as published", "not as published"]);
    }
    headings.extend(["refused", "too large", "not modelled", "time"]);
    for (at, model) in models.iter().enumerate() {
        let counts = count(reports, at);
        if counts.tests == 0 {
            continue;
        }
        let mut numbers = vec![counts.tests, counts.judged, counts.header_agrees, counts.header_differs];
        if published {
            numbers.extend([counts.published_agrees, counts.published_differs]);
        }
        numbers.extend([counts.refused, counts.too_large, counts.not_modelled]);
        let mut row = vec![model.name().to_owned()];
        row.extend(numbers.iter().map(u64::to_string));
        row.push(format!("{:.2} s", counts.seconds));
        rows.push(row);
    }
    let table = publish::table_with_notes(&headings, rows, &[], width, &["time"]);
    let mut lines: Vec<String> = table.lines().map(str::to_owned).collect();
    let reasons = reasons(reports);
    if !reasons.is_empty() {
        lines.push("\nrefused:".to_owned());
        lines.extend(reasons.iter().map(|(count, why, file)| {
            // The reason may name the file itself.
            let first = if why.contains(file.as_str()) {
                String::new()
            } else {
                format!("; the first is {}", shown::line(file))
            };
            format!("{count:>7}  {}{first}", shown::line(why))
        }));
    }
    lines.join("\n") + "\n"
}
