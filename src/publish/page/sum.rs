//! Groups of results that the page shows together: one test on one placement class in one run.

use std::ops::Deref;

use super::runs::Run;
use crate::machine::in_order;
use crate::publish::chart::{DASHES, Look};
use crate::publish::sums;
use crate::record::ScenarioResult;

/// A sum of results of one run.
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
    /// The placement in words: `core, CPUs 0,1 (31 ns transfer)` or `core, 120 placements`.
    pub(super) fn placement(&self) -> String {
        let placement = &self.first().placement;
        match self.results.len() {
            1 => {
                let way = self.transfer().map_or(String::new(), |ns| format!(" ({ns} ns transfer)"));
                format!("{}, CPUs {}{way}", placement.class_and_kinds(), in_order(&placement.cpus))
            }
            several => format!("{}, {several} placements", placement.class_and_kinds()),
        }
    }

    /// How long a line takes between the CPUs of the first result, in ns: `44`, or `41 to 247` if the distance changed.
    fn transfer(&self) -> Option<String> {
        let strata = self.first().distances.iter().flat_map(|distances| &distances.strata);
        let ns: Vec<f64> = strata.map(|stratum| stratum.ns).collect();
        match ns[..] {
            [near, .., far] => Some(format!("{near:.0} to {far:.0}")),
            _ => self.first().line_transfer_ns.map(|ns| format!("{ns:.0}")),
        }
    }

    /// A sum that holds only one of the results of this one.
    pub(super) fn of_one(&self, result: &'a ScenarioResult) -> Sum<'a> {
        Sum { run: self.run, counts: sums::Sum::new(vec![result]) }
    }

    pub(super) fn look(&self) -> Look {
        self.run.look
    }
}

/// The looks of the lines of one chart. The first line of a run has the run's look; its lines on other placement classes have
/// the same colour and patterns of their own.
pub(super) fn looks(sums: &[&Sum<'_>]) -> Vec<Look> {
    let mut out: Vec<Look> = Vec::new();
    let mut taken: Vec<Look> = sums.iter().map(|sum| sum.look()).collect();
    for (number, sum) in sums.iter().enumerate() {
        let own = sum.look();
        let again = sums[..number].iter().any(|other| other.run.letter == sum.run.letter);
        let is_free = |look: &Look| taken.iter().all(|other| other.classes() != look.classes());
        let free = || (0..DASHES).map(|dash| Look { dash, ..own }).find(is_free);
        let look = if again { free().unwrap_or(own) } else { own };
        taken.push(look);
        out.push(look);
    }
    out
}

/// The results of several runs. Controls come last, and the runs of one test are next to each other.
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
