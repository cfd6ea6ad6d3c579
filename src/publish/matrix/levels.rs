//! Splits the results of a test into what can be compared: the parts at each distance between the CPUs, or whole results.

use crate::publish::compare::{LONG_ENOUGH_S, had_neighbours, is_at_one_distance, is_measured, strata};
use crate::publish::distances::{distance, distance_without_neighbour, several};
use crate::record::{CountRecord, ScenarioResult, StratumRecord, WithoutNeighbourRecord};
use crate::stats::apart;

/// A result, or a part of it.
#[derive(Clone, Copy)]
pub(super) struct Part<'a> {
    /// The number of its record.
    pub record: usize,
    pub result: &'a ScenarioResult,
    /// Its distance, if it is compared at one.
    pub stratum: Option<&'a StratumRecord>,
    counts: Counts<'a>,
}

/// What a part counts.
#[derive(Clone, Copy)]
enum Counts<'a> {
    All,
    AtDistance(&'a StratumRecord),
    WithoutNeighbour(&'a WithoutNeighbourRecord),
}

impl<'a> Part<'a> {
    fn whole(&(record, result): &(usize, &'a ScenarioResult)) -> Part<'a> {
        Part { record, result, stratum: None, counts: Counts::All }
    }

    /// The same part, but only what it counted without a neighbour; `None` if it did not look for any.
    fn without_neighbour(self) -> Option<Part<'a>> {
        let part = self.stratum?.without_neighbour.as_ref()?;
        Some(Part { counts: Counts::WithoutNeighbour(part), ..self })
    }

    /// The time that it counted without a neighbour, in seconds.
    fn quiet_s(&self) -> f64 {
        self.stratum.and_then(|stratum| stratum.without_neighbour.as_ref()).map_or(0.0, |part| part.in_batches_s)
    }

    /// The counts of each run.
    pub fn repeats(&self) -> Vec<CountRecord> {
        match self.counts {
            Counts::All => self.result.as_repeats(),
            Counts::AtDistance(stratum) => stratum.as_repeats(),
            Counts::WithoutNeighbour(part) => part.as_repeats(),
        }
    }

    /// The number of runs.
    pub fn runs(&self) -> usize {
        match self.counts {
            Counts::All => self.result.runs(),
            _ => self.repeats().len().min(self.result.runs()),
        }
    }

    /// The races, and the design effect of their rate.
    pub fn races(&self) -> (u64, f64) {
        match self.counts {
            Counts::All => (self.result.races, self.result.effect()),
            Counts::AtDistance(stratum) => (stratum.races, stratum.effect()),
            Counts::WithoutNeighbour(part) => (part.races, part.effect()),
        }
    }

    /// Whether its rate is that of a mixture of distances.
    pub fn is_mixed(&self) -> bool {
        self.stratum.is_none() && !several(self.result).is_empty()
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
    /// The distance, if they are compared at one.
    pub at: Option<At>,
    pub parts: Vec<Part<'a>>,
}

/// The results of a test on one placement class, each with the number of its record, in parts that can be compared: those at each distance,
/// nearest first. Whole results are compared if none has a race, and if some do not say at which distance they were. `side` says whose
/// line a record belongs to.
pub(super) fn levels<'a>(
    found: &[(usize, &'a ScenarioResult)],
    side: impl Fn(usize) -> Option<usize>,
) -> Vec<Level<'a>> {
    let side = |part: &Part<'_>| side(part.record);
    let whole = || Level { at: None, parts: found.iter().map(Part::whole).collect() };
    if found.iter().all(|(_, result)| result.races == 0) {
        return vec![whole()];
    }
    let groups = at_one_distance(found.iter().flat_map(parts_at).collect());
    let at_each: Vec<Level<'a>> = groups.iter().flat_map(|group| of_group(group, side)).collect();
    let compares = |level: &&Level<'_>| level.parts.iter().any(|part| side(part) != side(&level.parts[0]));
    if found.iter().all(|(_, result)| is_measured(result)) && !at_each.is_empty() {
        return at_each;
    }
    let compared = at_each.iter().filter(compares).count() > 0;
    std::iter::once(whole()).chain(if compared { at_each } else { Vec::new() }).collect()
}

/// The parts of a result at each of its distances.
fn parts_at<'a>(found: &(usize, &'a ScenarioResult)) -> Vec<Part<'a>> {
    let all = is_at_one_distance(found.1);
    let counts = |stratum| if all { Counts::All } else { Counts::AtDistance(stratum) };
    let part = |stratum| Part { stratum: Some(stratum), counts: counts(stratum), ..Part::whole(found) };
    strata(found.1).into_iter().map(part).collect()
}

/// The distance of a part, in nanoseconds.
fn ns(part: &Part<'_>) -> f64 {
    part.stratum.map_or(0.0, |stratum| stratum.ns)
}

/// Groups of parts at one distance, nearest first: the closest ones are joined first, and a group has at most one part of each result, as in
/// [`crate::stats::matched`].
fn at_one_distance(mut parts: Vec<Part<'_>>) -> Vec<Vec<Part<'_>>> {
    parts.sort_by(|a, b| ns(a).total_cmp(&ns(b)));
    let mut groups: Vec<Vec<Part<'_>>> = parts.into_iter().map(|part| vec![part]).collect();
    let join = |a: &[Part<'_>], b: &[Part<'_>]| {
        let both = a.iter().any(|a| b.iter().any(|b| std::ptr::eq(a.result, b.result)));
        (!both && !apart(ns(&a[0]), ns(&b[b.len() - 1]))).then(|| mean(b) / mean(a))
    };
    loop {
        let pairs = groups.windows(2).enumerate();
        let possible = pairs.filter_map(|(at, pair)| Some((at, join(&pair[0], &pair[1])?)));
        let Some((at, _)) = possible.min_by(|a, b| a.1.total_cmp(&b.1)) else { return groups };
        let next = groups.remove(at + 1);
        groups[at].extend(next);
    }
}

/// The mean distance of a group, in nanoseconds.
fn mean(group: &[Part<'_>]) -> f64 {
    (group.iter().map(|part| ns(part).ln()).sum::<f64>() / group.len() as f64).exp()
}

/// What is compared at one distance. If there were neighbours for a while, and several sides have enough time without one, only that is
/// compared. If other sides do not have enough, everything is compared too.
fn of_group<'a>(group: &[Part<'a>], side: impl Fn(&Part<'_>) -> Option<usize>) -> Vec<Level<'a>> {
    let has_quiet = |part: &Part<'a>| {
        let own = group.iter().filter(|other| side(other) == side(part));
        own.clone().all(|part| part.without_neighbour().is_some())
            && own.map(Part::quiet_s).sum::<f64>() >= LONG_ENOUGH_S
    };
    let (quiet, rest): (Vec<Part<'a>>, Vec<Part<'a>>) = group.iter().partition(|part| has_quiet(part));
    let had = group.iter().any(|part| part.stratum.is_some_and(|stratum| had_neighbours(part.result, stratum)));
    let several = quiet.iter().any(|part| side(part) != side(&quiet[0]));
    let level = |parts: Vec<Part<'a>>, without_neighbour| Level {
        // A tenth of a nanosecond is more than a distance is known to.
        at: Some(At { ns: (10.0 * mean(group)).round() / 10.0, without_neighbour }),
        parts,
    };
    if !had || !several {
        return vec![level(group.to_vec(), false)];
    }
    let quiet = level(quiet.into_iter().filter_map(Part::without_neighbour).collect(), true);
    if rest.is_empty() { vec![quiet] } else { vec![level(group.to_vec(), false), quiet] }
}
