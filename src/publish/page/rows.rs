//! The rows of the page's table.

use serde::Serialize;

use super::sum::Sum;
use super::words;
use crate::publish::table::name;
use crate::publish::{count, rate_with_interval};
use crate::record::Finding;

/// A row of the page's table.
#[derive(Serialize)]
pub(super) struct Row {
    scenario: String,
    run: String,
    classes: String,
    placement: String,
    iterations: String,
    matches: String,
    races: String,
    rate: String,
    allowed: String,
    finding: &'static str,
    mark: &'static str,
    words: String,
}

/// The row for one sum.
pub(super) fn row(sum: &Sum<'_>) -> Row {
    let finding = sum.finding();
    Row {
        scenario: sum.run.record().map_or_else(|| sum.first().scenario.clone(), |record| name(record, sum.first())),
        run: sum.run.letter.clone(),
        classes: sum.run.look.classes(),
        placement: sum.placement(),
        iterations: count(sum.iterations),
        matches: sum.matches.map_or("-".to_owned(), count),
        races: count(sum.races),
        rate: rate_with_interval(sum.rate(), sum.interval()),
        allowed: words::allowed(sum.first(), &sum.run.host().architecture),
        finding: finding.words(),
        mark: mark(finding),
        words: words::sentence(sum),
    }
}

/// The style of a finding.
pub(super) fn mark(finding: Finding) -> &'static str {
    match finding {
        Finding::Observed => "seen",
        Finding::NotObserved => "unseen",
        Finding::ForbiddenObserved => "forbidden",
        Finding::Inconclusive => "unknown",
    }
}

/// The rows of the table. Up to three placements of one class have a row each; more are added up to one row.
pub(super) fn rows(sums: &[Sum<'_>]) -> Vec<Row> {
    const ALONE: usize = 3;
    let lines = |sum: &Sum<'_>| -> Vec<Row> {
        if sum.results.len() > ALONE {
            vec![row(sum)]
        } else {
            sum.results.iter().map(|result| row(&sum.of_one(result))).collect()
        }
    };
    sums.iter().flat_map(lines).collect()
}
