//! What belongs together: the results of one test on one class of placement in one run.

use std::ops::Deref;

use serde::Serialize;

use super::runs::Run;
use super::words;
use crate::machine::in_order;
use crate::publish::chart::Look;
use crate::publish::{count, rate_with_interval, sums};
use crate::record::Finding;

/// A line of the page's table.
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

/// A sum of one run.
pub(super) struct Sum<'a> {
    pub(super) run: &'a Run<'a>,
    counts: sums::Sum<'a>,
}

impl<'a> Deref for Sum<'a> {
    type Target = sums::Sum<'a>;

    fn deref(&self) -> &sums::Sum<'a> {
        &self.counts
    }
}

impl<'a> Sum<'a> {
    /// `core, CPUs 0,1`, or `core, 120 placements`.
    pub(super) fn placement(&self) -> String {
        let placement = &self.first().placement;
        match self.results.len() {
            1 => {
                let way = self.first().line_transfer_ns.map_or(String::new(), |ns| format!(" ({ns:.0} ns apart)"));
                format!("{}, CPUs {}{way}", placement.class, in_order(&placement.cpus))
            }
            several => format!("{}, {several} placements", placement.class),
        }
    }

    pub(super) fn row(&self) -> Row {
        let finding = self.finding();
        Row {
            scenario: self.first().scenario.clone(),
            run: self.run.letter.clone(),
            classes: self.run.look.classes(),
            placement: self.placement(),
            iterations: count(self.iterations),
            matches: self.matches.map_or("-".to_owned(), count),
            races: count(self.races),
            rate: rate_with_interval(self.rate(), self.interval()),
            allowed: words::allowed(self.first(), &self.run.host().architecture),
            finding: finding.words(),
            mark: match finding {
                Finding::Observed => "seen",
                Finding::NotObserved => "unseen",
                Finding::ForbiddenObserved => "forbidden",
                Finding::Inconclusive => "unknown",
            },
            words: words::sentence(self),
        }
    }

    pub(super) fn look(&self) -> Look {
        self.run.look
    }
}

/// The results of some runs, what was asked before the controls, the runs of one test side by side.
pub(super) fn sums<'a>(runs: &[&'a Run<'a>]) -> Vec<Sum<'a>> {
    let mut out: Vec<Sum<'a>> = Vec::new();
    for run in runs {
        let Some(record) = run.record() else { continue };
        out.extend(sums::by_class(record).into_iter().map(|counts| Sum { run, counts }));
    }
    let mut order: Vec<&str> = Vec::new();
    for control in [false, true] {
        for sum in &out {
            let first = sum.first();
            if (first.group == "controls") == control && !order.contains(&first.scenario.as_str()) {
                order.push(&first.scenario);
            }
        }
    }
    let place = |sum: &Sum<'_>| order.iter().position(|name| *name == sum.first().scenario);
    out.sort_by_key(place);
    out
}

/// The lines of the table. The results of up to three placements of a class stand on their own.
pub(super) fn rows(sums: &[Sum<'_>]) -> Vec<Row> {
    const ALONE: usize = 3;
    let lines = |sum: &Sum<'_>| -> Vec<Row> {
        if sum.results.len() > ALONE {
            vec![sum.row()]
        } else {
            sum.results.iter().map(|result| Sum { run: sum.run, counts: sums::Sum::new(vec![result]) }.row()).collect()
        }
    };
    sums.iter().flat_map(lines).collect()
}
