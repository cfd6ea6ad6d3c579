//! Adds the counts at each distance between the CPUs.

use super::{Summed, Weights, add_last_writers, add_skew, plus, plus_if_both};
use crate::record::{CountRecord, DistancesRecord, ScenarioResult, SkewRecord, StratumRecord, WithoutNeighbourRecord};
use crate::stats::matched;

/// The distances of a sum. Strata of the two sides that are less than a factor of 1.6 apart are the same. If neither side
/// measured distances, the sum has none.
pub(super) fn add_distances(a: &ScenarioResult, b: &ScenarioResult) -> Summed<Option<DistancesRecord>> {
    if a.distances.is_none() && b.distances.is_none() {
        return Ok(None);
    }
    let (ours, theirs) = (measured(a), measured(b));
    let ns = |strata: &[StratumRecord]| strata.iter().map(|stratum| stratum.ns).collect::<Vec<f64>>();
    let pairs = matched(&ns(&ours.strata), &ns(&theirs.strata));
    let other = |at: usize| pairs.iter().find(|(known, _)| *known == at).map(|&(_, other)| other);
    let alone = |at: &usize| pairs.iter().all(|(_, known)| known != at);
    let mut strata = Vec::new();
    for (at, stratum) in ours.strata.iter().enumerate() {
        strata.push(match other(at) {
            Some(other) => add_strata(stratum.clone(), theirs.strata[other].clone())?,
            None => one_side(stratum),
        });
    }
    strata.extend((0..theirs.strata.len()).filter(alone).map(|at| one_side(&theirs.strata[at])));
    strata.sort_by(|a, b| a.ns.total_cmp(&b.ns));
    if let [only] = &mut strata[..] {
        (only.skews, only.last_writers) = (Vec::new(), Vec::new());
    }
    Ok(Some(DistancesRecord {
        looks: plus(ours.looks, theirs.looks, "the looks")?,
        lost: plus(ours.lost, theirs.lost, "the looks that measured nothing")?,
        neighbours: match [&ours, &theirs].map(|side| side.strata.is_empty()) {
            // A side that has measured no distance has no counts of which something must be known.
            [true, _] => theirs.neighbours,
            [_, true] => ours.neighbours,
            _ => plus_if_both(ours.neighbours, theirs.neighbours, "the looks that found a neighbour")?,
        },
        offset_changes: plus(ours.offset_changes, theirs.offset_changes, "the changes of offsets")?,
        strata,
        between: add_counts(ours.between, theirs.between)?,
        settings: [ours.settings, theirs.settings].concat(),
    }))
}

/// The distances of a result. If it measured none, all its counts are between distances. A single stratum that has all
/// counts has the window and the ownership of the result.
fn measured(result: &ScenarioResult) -> DistancesRecord {
    let ScenarioResult { iterations, races, matches, .. } = *result;
    let unknown =
        || DistancesRecord { between: CountRecord { iterations, races, matches }, ..DistancesRecord::default() };
    let mut distances = result.distances.clone().unwrap_or_else(unknown);
    if let [only] = &mut distances.strata[..]
        && only.iterations == iterations
    {
        // Those of a result of which a part ran free do not add up to the stratum.
        let skews = result.skews.iter().filter(|_| result.free.is_none());
        only.skews = skews.map(|skew| SkewRecord { outcomes: Vec::new(), ..skew.clone() }).collect();
        only.last_writers.clone_from(&result.last_writers);
    }
    distances
}

/// A stratum that only one side has. Its blocks show how its rate changed.
fn one_side(stratum: &StratumRecord) -> StratumRecord {
    let without_neighbour = stratum.without_neighbour.as_ref().map(part_of_one);
    StratumRecord { repeats: stratum.as_repeats(), without_neighbour, ..stratum.clone() }
}

/// The part without a neighbour that only one side has.
fn part_of_one(part: &WithoutNeighbourRecord) -> WithoutNeighbourRecord {
    WithoutNeighbourRecord { repeats: part.as_repeats(), ..part.clone() }
}

/// The parts of two strata without a neighbour. A side that did not look for neighbours adds nothing.
fn add_parts(
    a: Option<WithoutNeighbourRecord>,
    b: Option<WithoutNeighbourRecord>,
) -> Summed<Option<WithoutNeighbourRecord>> {
    let (a, b) = match (a, b) {
        (Some(a), Some(b)) => (a, b),
        (a, b) => return Ok(a.or(b).as_ref().map(part_of_one)),
    };
    let repeats = [a.as_repeats(), b.as_repeats()].concat();
    Ok(Some(WithoutNeighbourRecord {
        elapsed_s: a.elapsed_s + b.elapsed_s,
        in_batches_s: a.in_batches_s + b.in_batches_s,
        iterations: plus(a.iterations, b.iterations, "the iterations without a neighbour")?,
        matches: plus_if_both(a.matches, b.matches, "the matches without a neighbour")?,
        races: plus(a.races, b.races, "the races without a neighbour")?,
        rate: None,
        interval: None,
        // As those of the stratum.
        blocks: match (a.iterations, b.iterations) {
            (0, _) => b.blocks,
            (_, 0) => a.blocks,
            _ => Vec::new(),
        },
        repeats,
    }))
}

fn add_strata(a: StratumRecord, b: StratumRecord) -> Summed<StratumRecord> {
    let by_time = Weights(a.elapsed_s, b.elapsed_s);
    let by_iterations = Weights(a.iterations as f64, b.iterations as f64);
    let (low_ns, high_ns) = (a.low_ns.min(b.low_ns), a.high_ns.max(b.high_ns));
    let repeats = [a.as_repeats(), b.as_repeats()].concat();
    let without_neighbour = add_parts(a.without_neighbour, b.without_neighbour)?;
    // A side that counted nothing has no period and no window. If both counted, the spread of the sum is that between its parts.
    let (period_ns, skews, last_writers, drift, blocks) = match (a.iterations, b.iterations) {
        (0, _) => (b.period_ns, b.skews, b.last_writers, b.drift, b.blocks),
        (_, 0) => (a.period_ns, a.skews, a.last_writers, a.drift, a.blocks),
        _ => (
            a.period_ns.zip(b.period_ns).map(|(a, b)| by_iterations.mean(a, b)),
            add_skews(a.skews, b.skews)?,
            add_last_writers(a.last_writers, b.last_writers)?,
            None,
            Vec::new(),
        ),
    };
    Ok(StratumRecord {
        // Rounding may lead out of the range.
        ns: by_time.mean(a.ns.ln(), b.ns.ln()).exp().max(low_ns).min(high_ns),
        low_ns,
        high_ns,
        looks: plus(a.looks, b.looks, "the looks")?,
        elapsed_s: a.elapsed_s + b.elapsed_s,
        in_batches_s: a.in_batches_s + b.in_batches_s,
        period_ns,
        iterations: plus(a.iterations, b.iterations, "a distance's iterations")?,
        matches: plus_if_both(a.matches, b.matches, "a distance's matches")?,
        races: plus(a.races, b.races, "a distance's races")?,
        repeats,
        without_neighbour,
        skews,
        last_writers,
        drift,
        blocks,
        // `compute` gives the rate and its interval.
        rate: a.rate,
        interval: a.interval,
    })
}

/// The counts by skew of two windows. If one side has none, the sum has none.
fn add_skews(ours: Vec<SkewRecord>, theirs: Vec<SkewRecord>) -> Summed<Vec<SkewRecord>> {
    if ours.is_empty() || theirs.is_empty() {
        return Ok(Vec::new());
    }
    let mut sum = ours;
    for skew in theirs {
        match sum.iter_mut().find(|known| known.is_at(skew.skew_ns)) {
            Some(known) => add_skew(known, skew)?,
            None => sum.push(skew),
        }
    }
    sum.sort_unstable_by(|a, b| a.skew_ns.total_cmp(&b.skew_ns));
    Ok(sum)
}

fn add_counts(a: CountRecord, b: CountRecord) -> Summed<CountRecord> {
    Ok(CountRecord {
        iterations: plus(a.iterations, b.iterations, "the iterations between distances")?,
        races: plus(a.races, b.races, "the races between distances")?,
        matches: plus_if_both(a.matches, b.matches, "the matches between distances")?,
    })
}
