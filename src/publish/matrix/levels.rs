//! What is compared with what: the results of a test as a whole, or their parts at each distance.

use crate::publish::compare::{enough_without_neighbour, had_neighbours, strata};
use crate::publish::distances::{distance, distance_without_neighbour, several};
use crate::record::{CountRecord, ScenarioResult, StratumRecord, WithoutNeighbourRecord};
use crate::stats::apart;

/// A result, or a part of it.
#[derive(Clone, Copy)]
pub(super) struct Part<'a> {
    /// The number of its record.
    pub record: usize,
    pub result: &'a ScenarioResult,
    /// Its distance, if it is what the result counted at one.
    pub stratum: Option<&'a StratumRecord>,
    /// What of that was counted without a neighbour, if it is only that.
    without_neighbour: Option<&'a WithoutNeighbourRecord>,
}

impl Part<'_> {
    /// The counts of each run.
    pub fn repeats(&self) -> Vec<CountRecord> {
        match (self.stratum, self.without_neighbour) {
            (None, _) => self.result.as_repeats(),
            (Some(stratum), None) => stratum.as_repeats(),
            (Some(_), Some(part)) => part.as_repeats(),
        }
    }

    /// The number of runs.
    pub fn runs(&self) -> usize {
        if self.stratum.is_none() { self.result.runs() } else { self.repeats().len().min(self.result.runs()) }
    }

    /// The races, and the design effect of their rate.
    pub fn races(&self) -> (u64, f64) {
        match (self.stratum, self.without_neighbour) {
            (None, _) => (self.result.races, self.result.effect()),
            (Some(stratum), None) => (stratum.races, stratum.effect()),
            (Some(_), Some(part)) => (part.races, part.effect()),
        }
    }

    /// Whether its rate is that of a mixture of distances. No race is none at any distance.
    pub fn is_mixed(&self) -> bool {
        self.stratum.is_none() && self.result.races > 0 && !several(self.result).is_empty()
    }
}

/// A distance at which rates are compared.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct At {
    /// In nanoseconds.
    pub ns: f64,
    /// Whether only what was counted without a neighbour is compared.
    pub without_neighbour: bool,
}

impl At {
    /// `28 ns`, or `28 ns without a neighbour`.
    pub fn words(self) -> String {
        if self.without_neighbour { distance_without_neighbour(self.ns) } else { distance(self.ns) }
    }
}

/// Results, or parts of results, that are compared with each other.
pub(super) struct Level<'a> {
    /// The distance, if they are parts at one.
    pub at: Option<At>,
    pub parts: Vec<Part<'a>>,
}

/// The results of a test on one placement class, each with the number of its record, in parts that can be compared. If the CPUs of
/// one of them that raced were at several distances, and the distances of all were measured, these are the parts at each distance, nearest
/// first. Otherwise they are the whole results. `side` says whose line a record belongs to.
pub(super) fn levels<'a>(
    found: &[(usize, &'a ScenarioResult)],
    side: impl Fn(usize) -> Option<usize>,
) -> Vec<Level<'a>> {
    let whole = |&(record, result): &(usize, &'a ScenarioResult)| Part {
        record,
        result,
        stratum: None,
        without_neighbour: None,
    };
    let parts: Vec<Part<'a>> = found.iter().map(whole).collect();
    if !parts.iter().any(Part::is_mixed) || found.iter().any(|(_, result)| strata(result).is_empty()) {
        return vec![Level { at: None, parts }];
    }
    let at_each = |part: &Part<'a>| {
        let strata = strata(part.result).into_iter();
        strata.map(|stratum| (stratum, Part { stratum: Some(stratum), ..*part })).collect::<Vec<_>>()
    };
    let mut all: Vec<(&StratumRecord, Part<'a>)> = parts.iter().flat_map(at_each).collect();
    all.sort_by(|(a, _), (b, _)| a.ns.total_cmp(&b.ns));
    // The distances of one result are further apart than those of a group.
    let mut groups: Vec<Vec<(&StratumRecord, Part<'a>)>> = Vec::new();
    for next in all {
        match groups.last_mut() {
            Some(group) if !apart(group[0].0.ns, next.0.ns) => group.push(next),
            _ => groups.push(vec![next]),
        }
    }
    groups.iter().map(|group| level(group, &side)).collect()
}

/// The parts at one distance. If they are of several sides, there were neighbours for a while, and each side has enough that was counted
/// without one, only that is compared.
fn level<'a>(group: &[(&'a StratumRecord, Part<'a>)], side: impl Fn(usize) -> Option<usize>) -> Level<'a> {
    let ns = (group.iter().map(|(stratum, _)| stratum.ns.ln()).sum::<f64>() / group.len() as f64).exp();
    let had = group.iter().any(|(stratum, part)| had_neighbours(part.result, stratum));
    let quiet: Vec<Part<'a>> = (group.iter())
        .filter_map(|(stratum, part)| {
            Some(Part { without_neighbour: Some(enough_without_neighbour(stratum)?), ..*part })
        })
        .collect();
    let several = group.iter().any(|(_, part)| side(part.record) != side(group[0].1.record));
    let has_quiet = |(_, part): &(_, Part<'_>)| quiet.iter().any(|other| side(other.record) == side(part.record));
    if several && had && group.iter().all(has_quiet) {
        return Level { at: Some(At { ns, without_neighbour: true }), parts: quiet };
    }
    Level { at: Some(At { ns, without_neighbour: false }), parts: group.iter().map(|(_, part)| *part).collect() }
}
