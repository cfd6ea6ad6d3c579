//! The distances between the CPUs in words, and the lines of the table for each of them.

use super::numbers::{count, rate, rate_with_interval};
use crate::machine::in_order;
use crate::record::{DistancesRecord, Record, ScenarioResult, SkewRecord, StratumRecord};

/// A distance: `17 ns`; below 10 ns with a digit after the point.
pub(super) fn distance(ns: f64) -> String {
    if ns < 9.95 { format!("{ns:.1} ns") } else { format!("{ns:.0} ns") }
}

/// A share of the time: `42 %`; never 0 % or 100 % of several.
pub(super) fn share_of_time(share: f64) -> String {
    let percent = (100.0 * share).round();
    match percent {
        percent if percent < 1.0 => "< 1 %".to_owned(),
        percent if percent > 99.0 && share < 1.0 => "> 99 %".to_owned(),
        percent => format!("{percent:.0} %"),
    }
}

/// The distances in words: `2 distances: 17 ns 42 % of the time, 230 ns 58 %`, or `one distance: 38 ns`. `None` if no look
/// measured one.
pub(super) fn in_words(distances: &DistancesRecord) -> Option<String> {
    let strata = &distances.strata;
    let of_the_time = |at: usize| if at == 0 { " of the time" } else { "" };
    let each = |(at, (stratum, share)): (usize, (&StratumRecord, f64))| {
        format!("{} {}{}", distance(stratum.ns), share_of_time(share), of_the_time(at))
    };
    match &strata[..] {
        [] => None,
        [only] => Some(format!("one distance: {}", distance(only.ns))),
        several => {
            let each: Vec<String> = several.iter().zip(distances.shares()).enumerate().map(each).collect();
            Some(format!("{} distances: {}", several.len(), each.join(", ")))
        }
    }
}

/// The strata of a result that count something, with their shares of the time, if there are several.
pub(super) fn several(result: &ScenarioResult) -> Vec<(&StratumRecord, f64)> {
    let Some(distances) = &result.distances else { return Vec::new() };
    let strata: Vec<_> =
        distances.strata.iter().zip(distances.shares()).filter(|(stratum, _)| stratum.iterations > 0).collect();
    if strata.len() > 1 { strata } else { Vec::new() }
}

/// The lines of the table for the distances of a result, below its own line; none if there is only one.
pub(super) fn lines(result: &ScenarioResult) -> Vec<Vec<String>> {
    let line = |(stratum, share): (&StratumRecord, f64)| {
        vec![
            String::new(),
            format!("at {}, {} of the time", distance(stratum.ns), share_of_time(share)),
            count(stratum.iterations),
            stratum.matches.map_or("-".to_owned(), count),
            count(stratum.races),
            rate_with_interval(stratum.rate, stratum.interval),
            best_skew(stratum),
            String::new(),
            String::new(),
        ]
    };
    several(result).into_iter().map(line).collect()
}

fn best_skew(stratum: &StratumRecord) -> String {
    let best = stratum.skews.iter().max_by(|a, b| a.rate().total_cmp(&b.rate())).filter(|best| best.races > 0);
    let words = |best: &SkewRecord| format!("{:+.0} ns {}", best.skew_ns, rate(best.rate()));
    best.filter(|_| stratum.skews.len() > 1).map_or("-".to_owned(), words)
}

/// The most placements whose distances are named one by one.
const ALONE: usize = 6;

/// A line for each placement: the distances between its CPUs, over all its tests.
pub(super) fn summary(record: &Record) -> Vec<String> {
    let mut placements: Vec<(&Vec<usize>, DistancesRecord)> = Vec::new();
    for result in &record.results {
        let Some(distances) = &result.distances else { continue };
        match placements.iter_mut().find(|(cpus, _)| **cpus == result.placement.cpus) {
            Some((_, sum)) => sum.add_looks(distances),
            None => placements.push((&result.placement.cpus, distances.clone())),
        }
    }
    let words = |(cpus, distances): &(&Vec<usize>, DistancesRecord)| {
        let words = in_words(distances)?;
        let moved = if distances.strata.len() > 1 {
            ". The distance changed during the run, as it does if a hypervisor moves CPUs; compare rates at the same distance"
        } else {
            ""
        };
        Some(format!("CPUs {}: {words}{moved}.", in_order(cpus)))
    };
    let mut lines: Vec<String> = placements.iter().take(ALONE).filter_map(words).collect();
    let more = placements.get(ALONE..).unwrap_or_default();
    let changing = more.iter().filter(|(_, distances)| distances.strata.len() > 1).count();
    if !more.is_empty() {
        lines.push(match changing {
            0 => format!("{} more placements: one distance each.", more.len()),
            some => format!("{} more placements: {some} of them with several distances.", more.len()),
        });
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stratum(ns: f64, elapsed_s: f64) -> StratumRecord {
        StratumRecord {
            ns,
            low_ns: ns,
            high_ns: ns,
            looks: 10,
            elapsed_s,
            in_batches_s: elapsed_s,
            period_ns: None,
            iterations: 100,
            matches: None,
            races: 10,
            rate: Some(0.1),
            interval: None,
            drift: None,
            skews: Vec::new(),
            last_writers: Vec::new(),
            blocks: Vec::new(),
            repeats: Vec::new(),
        }
    }

    #[test]
    fn distances_are_named_with_their_share_of_the_time() {
        let words = |strata: &[(f64, f64)]| {
            let strata = strata.iter().map(|&(ns, s)| stratum(ns, s)).collect();
            in_words(&DistancesRecord { strata, ..DistancesRecord::default() })
        };
        assert_eq!(words(&[]), None);
        assert_eq!(words(&[(38.4, 2.0)]).unwrap(), "one distance: 38 ns");
        assert_eq!(words(&[(8.25, 0.0)]).unwrap(), "one distance: 8.2 ns");
        let two = words(&[(17.2, 4.2), (230.0, 5.8)]).unwrap();
        assert_eq!(two, "2 distances: 17 ns 42 % of the time, 230 ns 58 %");
        let three = words(&[(17.0, 0.001), (40.0, 100.0), (230.0, 0.001)]).unwrap();
        assert_eq!(three, "3 distances: 17 ns < 1 % of the time, 40 ns > 99 %, 230 ns < 1 %");
    }

    #[test]
    fn the_distances_of_all_tests_on_a_placement_are_one() {
        let mut sum = DistancesRecord { strata: vec![stratum(17.0, 1.0)], ..DistancesRecord::default() };
        sum.add_looks(&DistancesRecord {
            looks: 7,
            strata: vec![stratum(19.0, 1.0), stratum(230.0, 2.0)],
            ..DistancesRecord::default()
        });
        assert_eq!(in_words(&sum).unwrap(), "2 distances: 18 ns 50 % of the time, 230 ns 50 %");
        assert_eq!((sum.looks, sum.strata[0].looks), (7, 20));
    }
}
