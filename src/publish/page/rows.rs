//! What belongs together: the results of one test on one class of placement in one run.

use serde::Serialize;

use super::runs::Run;
use super::words;
use crate::publish::chart::Look;
use crate::publish::{count, rate_with_interval};
use crate::record::{Finding, ScenarioResult};
use crate::stats::{Interval, interval};

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

/// Results that are added up.
pub(super) struct Sum<'a> {
    pub(super) run: &'a Run<'a>,
    /// All of them: the same test, on the same class.
    pub(super) results: Vec<&'a ScenarioResult>,
    pub(super) iterations: u64,
    pub(super) races: u64,
    pub(super) matches: Option<u64>,
}

impl<'a> Sum<'a> {
    fn new(run: &'a Run<'a>, results: Vec<&'a ScenarioResult>) -> Sum<'a> {
        // Counts that overflow are no record that validates; the page shows the edge rather than nothing.
        let sum =
            |of: fn(&ScenarioResult) -> u64| results.iter().fold(0u64, |sum, result| sum.saturating_add(of(result)));
        let matched = results.iter().all(|result| result.matches.is_some());
        Sum {
            iterations: sum(|result| result.iterations),
            races: sum(|result| result.races),
            matches: matched.then(|| sum(|result| result.matches.unwrap_or(0))),
            run,
            results,
        }
    }

    pub(super) fn first(&self) -> &'a ScenarioResult {
        self.results[0]
    }

    pub(super) fn rate(&self) -> Option<f64> {
        (self.iterations > 0).then(|| self.races as f64 / self.iterations as f64)
    }

    pub(super) fn interval(&self) -> Option<Interval> {
        interval(self.races, self.iterations)
    }

    /// `core, CPUs 0,1`, or `core, 120 placements`.
    pub(super) fn placement(&self) -> String {
        let placement = &self.first().placement;
        match self.results.len() {
            1 => {
                let cpus: Vec<String> = placement.cpus.iter().map(usize::to_string).collect();
                let way = self.first().line_transfer_ns.map_or(String::new(), |ns| format!(" ({ns:.0} ns apart)"));
                format!("{}, CPUs {}{way}", placement.class, cpus.join(","))
            }
            several => format!("{}, {several} placements", placement.class),
        }
    }

    /// The strongest thing that one of the results says.
    pub(super) fn finding(&self) -> Finding {
        let has = |finding| self.results.iter().any(|result| result.finding == finding);
        [Finding::ForbiddenObserved, Finding::Observed, Finding::Inconclusive]
            .into_iter()
            .find(|finding| has(*finding))
            .unwrap_or(Finding::NotObserved)
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
        let mut groups: Vec<Vec<&'a ScenarioResult>> = Vec::new();
        for result in crate::publish::table::reading_order(record) {
            let same = |group: &&mut Vec<&ScenarioResult>| {
                group[0].source_sha256 == result.source_sha256 && group[0].placement.class == result.placement.class
            };
            match groups.iter_mut().find(same) {
                Some(group) => group.push(result),
                None => groups.push(vec![result]),
            }
        }
        out.extend(groups.into_iter().map(|results| Sum::new(run, results)));
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
pub(super) fn rows<'a>(runs: &[&'a Run<'a>]) -> impl Iterator<Item = Row> {
    const ALONE: usize = 3;
    sums(runs).into_iter().flat_map(|sum| {
        if sum.results.len() > ALONE {
            vec![sum.row()]
        } else {
            sum.results.iter().map(|result| Sum::new(sum.run, vec![result]).row()).collect()
        }
    })
}
