//! Validates the distances of a result.

use super::Problems;
use super::scenario::sum;
use crate::record::{
    CountRecord, DistancesRecord, LastWriterRecord, ScenarioResult, SettingsRecord, SkewRecord, StratumRecord,
    WithoutNeighbourRecord,
};
use crate::stats::{APART, Drift};

/// The longest time of a cache-line transfer, in nanoseconds: a second.
const LONGEST_TRANSFER_NS: f64 = 1e9;
/// Rounding of times and of geometric means.
const ROUNDING: f64 = 1.0 + 1e-9;

/// Checks the range of every field, and that the counts add up to those of the result.
pub(super) fn distances(distances: &DistancesRecord, result: &ScenarioResult, problems: &mut Problems) {
    let DistancesRecord { looks, lost, neighbours, offset_changes: _, strata, between, settings } = distances;
    problems.range("lost", *lost, 0..=*looks);
    problems.range("neighbours", neighbours.unwrap_or(0), 0..=*looks);
    if result.repeats.is_empty() && neighbours.is_none() && strata.iter().any(|at| at.without_neighbour.is_some()) {
        problems.say("neighbours", "expected a count: the strata have counts without a neighbour");
    }
    let in_strata = sum(strata.iter().map(|stratum| stratum.looks));
    if in_strata.is_none_or(|in_strata| in_strata > looks - lost.min(looks)) {
        problems
            .say("strata", format!("has more looks than there were; {} measured a distance", looks - lost.min(looks)));
    }
    if let Some(at) = strata.windows(2).position(|pair| pair[1].ns * ROUNDING < APART * pair[0].ns) {
        let (a, b) = (strata[at].ns, strata[at + 1].ns);
        // Sums can have closer ones: those of different parts.
        if result.repeats.is_empty() || b < a {
            problems.say("strata", format!("has {a} ns before {b} ns; expected ascending, a factor of {APART} apart"));
        }
    }
    let CountRecord { iterations, races, matches } = *between;
    problems.range("between.races", races, 0..=iterations);
    problems.range("between.matches", matches.unwrap_or(0), 0..=iterations);
    let total = |of: fn(&StratumRecord) -> u64, between: u64| sum(strata.iter().map(of).chain([between]));
    for (what, found, wanted) in [
        ("iterations", total(|stratum| stratum.iterations, iterations), Some(result.iterations)),
        ("races", total(|stratum| stratum.races, races), Some(result.races)),
        ("matches", total(|stratum| stratum.matches.unwrap_or(0), matches.unwrap_or(0)), result.matches),
    ] {
        if let Some(wanted) = wanted {
            problems.adds_up("strata", &format!("the {what}, with those of between,"), found, wanted, what);
        }
    }
    problems.each("strata", strata, |problems, stratum| one(stratum, result, problems));
    problems.each("settings", settings, |problems, part| {
        let SettingsRecord { distance_ns, pace, group, batch, prefetch: _, period_ns, elapsed_s, .. } = part;
        let SettingsRecord { iterations, races, code, .. } = part;
        pace.iter().for_each(|pace| problems.one_of("pace", pace, &["free", "paced"]));
        distance_ns.iter().for_each(|ns| problems.range("distance_ns", *ns, f64::MIN_POSITIVE..=LONGEST_TRANSFER_NS));
        problems.range("group", *group, 1..=super::scenario::MOST_INSTANCES);
        batch.iter().for_each(|batch| problems.range("batch", *batch, 1..=super::scenario::MOST_INSTANCES));
        period_ns.iter().for_each(|ns| problems.range("period_ns", *ns, 0.0..=super::scenario::LONGEST_NS));
        problems.range("elapsed_s", *elapsed_s, 0.0..=result.elapsed_s * ROUNDING);
        problems.range("races", *races, 0..=*iterations);
        problems.within("code", |problems| code.iter().for_each(|code| super::scenario::code(code, problems)));
    });
    for (what, of, most) in [("iterations", 0, result.iterations), ("races", 1, result.races)] {
        let found = sum(settings.iter().map(|part| [part.iterations, part.races][of]));
        if found.is_none_or(|found| found > most) {
            problems.say("settings", format!("has more {what} than the result, which has {most}"));
        }
    }
    for (field, whole) in [("elapsed_s", result.elapsed_s), ("in_batches_s", result.in_batches_s)] {
        let part: f64 = strata.iter().map(|at| if field == "elapsed_s" { at.elapsed_s } else { at.in_batches_s }).sum();
        // A run's first and last look are outside of its batches.
        if part > whole * 1.02 + 1e-2 {
            problems.say("strata", format!("has {part} s for {field}; the result has {whole} s"));
        }
    }
}

fn one(stratum: &StratumRecord, result: &ScenarioResult, problems: &mut Problems) {
    let StratumRecord {
        ns,
        low_ns,
        high_ns,
        looks,
        elapsed_s,
        in_batches_s,
        period_ns,
        iterations,
        matches,
        races,
        rate: _, // computed()
        interval: _,
        drift,
        skews,
        last_writers,
        blocks,
        repeats,
        without_neighbour,
    } = stratum;
    problems.range("low_ns", *low_ns, f64::MIN_POSITIVE..=LONGEST_TRANSFER_NS);
    problems.range("ns", *ns, low_ns / ROUNDING..=high_ns * ROUNDING);
    problems.range("high_ns", *high_ns, *low_ns..=LONGEST_TRANSFER_NS);
    problems.range("looks", *looks, 1..=u64::MAX);
    problems.range("elapsed_s", *elapsed_s, 0.0..=f64::MAX);
    problems.range("in_batches_s", *in_batches_s, 0.0..=elapsed_s * 1.02 + 1e-2);
    if let Some(ns) = period_ns {
        problems.range("period_ns", *ns, 0.0..=super::scenario::LONGEST_NS);
    }
    problems.range("races", *races, 0..=*iterations);
    problems.range("matches", matches.unwrap_or(0), 0..=*iterations);
    if matches.is_some() != result.match_event.is_some() {
        problems.say("matches", "expected a count if the test has a match event, and none otherwise");
    }
    if let Some(Drift { statistic, p }) = drift {
        problems.range("drift.statistic", *statistic, 0.0..=1.0);
        problems.range("drift.p", *p, 0.0..=1.0);
    }
    parts(
        "skews",
        skews.iter().map(|SkewRecord { iterations, races, .. }| [*iterations, *races]),
        [*iterations, *races],
        problems,
    );
    let entries = last_writers.iter().map(|LastWriterRecord { iterations, races, .. }| [*iterations, *races]);
    parts("last_writers", entries, [*iterations, *races], problems);
    parts("repeats", repeats.iter().map(|part| [part.iterations, part.races]), [*iterations, *races], problems);
    at_most("blocks", blocks, [*iterations, *races], problems);
    problems.within("without_neighbour", |problems| {
        without_neighbour.iter().for_each(|part| self::part(part, stratum, result, problems));
    });
}

/// Checks the part of a stratum without a neighbour: it is no more than the whole, and what is left has no more races than iterations.
fn part(part: &WithoutNeighbourRecord, stratum: &StratumRecord, result: &ScenarioResult, problems: &mut Problems) {
    let WithoutNeighbourRecord { elapsed_s, in_batches_s, iterations, matches, races, .. } = part;
    let WithoutNeighbourRecord { blocks, repeats, rate: _, interval: _, .. } = part;
    problems.range("elapsed_s", *elapsed_s, 0.0..=stratum.elapsed_s * ROUNDING);
    problems.range("in_batches_s", *in_batches_s, 0.0..=stratum.in_batches_s * ROUNDING);
    problems.range("iterations", *iterations, 0..=stratum.iterations);
    let left = stratum.iterations.saturating_sub(*iterations);
    let range = |all: u64| all.saturating_sub(left)..=all.min(*iterations);
    problems.range("races", *races, range(stratum.races));
    problems.range("matches", matches.unwrap_or(0), range(stratum.matches.unwrap_or(0)));
    if matches.is_some() != result.match_event.is_some() {
        problems.say("matches", "expected a count if the test has a match event, and none otherwise");
    }
    parts("repeats", repeats.iter().map(|part| [part.iterations, part.races]), [*iterations, *races], problems);
    at_most("blocks", blocks, [*iterations, *races], problems);
}

/// Checks that blocks have no more iterations and races than what they are of.
fn at_most(field: &str, blocks: &[CountRecord], most: [u64; 2], problems: &mut Problems) {
    for (what, of) in [("iterations", 0), ("races", 1)] {
        let found = sum(blocks.iter().map(|block| [block.iterations, block.races][of]));
        if found.is_none_or(|found| found > most[of]) {
            problems.say(field, format!("has more {what} than what it is of, which has {}", most[of]));
        }
    }
}

/// Checks that the iterations and races of parts add up to those of a stratum, if there are any parts.
fn parts(field: &str, counts: impl Iterator<Item = [u64; 2]>, all: [u64; 2], problems: &mut Problems) {
    let counts: Vec<[u64; 2]> = counts.collect();
    if counts.is_empty() {
        return;
    }
    if counts.iter().any(|[iterations, races]| races > iterations) {
        problems.say(field, "has more races than iterations");
    }
    let [iterations, races] = [0, 1].map(|of| sum(counts.iter().map(|part| part[of])));
    problems.adds_up(field, "the iterations", iterations, all[0], "iterations");
    problems.adds_up(field, "the races", races, all[1], "races");
}
