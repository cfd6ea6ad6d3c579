//! The distances between the CPUs in words, and the lines of the table for each of them.

use super::numbers::{count, first_few, rate, rate_with_interval};
use crate::machine::in_order;
use crate::record::{
    CountRecord, DistancesRecord, Record, ScenarioResult, SkewRecord, StratumRecord, WithoutNeighbourRecord,
};
use crate::stats::{Interval, apart, share};

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

/// Which iterations the race window of a result counts, if not all: `the paced 5 % of the iterations`.
pub(super) fn in_window(result: &ScenarioResult) -> Option<String> {
    result.paced_share().map(|share| format!("the paced {} of the iterations", share_of_time(share)))
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

/// If more than this share of a result's iterations are at no distance, its rate is not that of a distance.
const AT_NONE: f64 = 0.01;

/// The share of a result's iterations that are at no distance; `None` if it is small, or none was measured.
pub(super) fn at_no_distance(result: &ScenarioResult) -> Option<f64> {
    notable(result.distances.as_ref()?.between.iterations, result.iterations)
}

/// The share of some iterations that are at no distance; `None` if it is small.
fn notable(none: u64, all: u64) -> Option<f64> {
    share(none, all).filter(|share| *share > AT_NONE)
}

/// The strata of a result that count something, with their shares of the time; none if one has nearly all counts.
pub(super) fn several(result: &ScenarioResult) -> Vec<(&StratumRecord, f64)> {
    let apart = |distances: &&DistancesRecord| distances.strata.len() > 1 || at_no_distance(result).is_some();
    let distances = result.distances.as_ref().filter(apart);
    let all = distances.into_iter().flat_map(|distances| distances.strata.iter().zip(distances.shares()));
    all.filter(|(stratum, _)| stratum.iterations > 0).collect()
}

/// The rates of a run whose settings followed the distance between its CPUs, at each distance that counts: `18.2 % [18.1, 18.3] at 30 ns,
/// 56.3 % [56.2, 56.4] at 186 ns`. `None` if it kept its settings. The rate of such a run only says how long it was at each distance.
pub(super) fn rates(result: &ScenarioResult) -> Option<String> {
    let rates: Vec<String> = (several(result).into_iter())
        .map(|(stratum, _)| {
            format!("{} at {}", rate_with_interval(stratum.rate, stratum.interval), distance(stratum.ns))
        })
        .collect();
    (result.has_followed() && !rates.is_empty()).then(|| rates.join(", "))
}

/// A part of a result: what it counted at a distance, or what of that without a neighbour.
pub(super) struct Part<'a> {
    /// Its distance.
    pub stratum: &'a StratumRecord,
    /// The counts without a neighbour, if it has these.
    pub without_neighbour: Option<&'a WithoutNeighbourRecord>,
    /// Its share of the time, or of the result's iterations if many of these are at no distance. A share of the time would then
    /// promise more than it counted.
    pub share: f64,
    /// What the share is of.
    pub of: &'static str,
}

impl Part<'_> {
    /// `30 ns, 40 % of the time`, or `30 ns without a neighbour, 12 % of the time`.
    pub fn heading(&self) -> String {
        let ns = self.stratum.ns;
        let at = if self.is_all() { distance(ns) } else { distance_without_neighbour(ns) };
        format!("{at}, {} of the {}", share_of_time(self.share), self.of)
    }

    /// Whether it is all that was counted at its distance.
    pub fn is_all(&self) -> bool {
        self.without_neighbour.is_none()
    }

    /// Iterations, matches and races.
    pub fn counts(&self) -> CountRecord {
        let StratumRecord { iterations, matches, races, .. } = *self.stratum;
        let of_part = |part: &WithoutNeighbourRecord| CountRecord {
            iterations: part.iterations,
            matches: part.matches,
            races: part.races,
        };
        self.without_neighbour.map_or(CountRecord { iterations, matches, races }, of_part)
    }

    /// The rate and its interval.
    pub fn rate(&self) -> (Option<f64>, Option<Interval>) {
        self.without_neighbour.map_or((self.stratum.rate, self.stratum.interval), |part| (part.rate, part.interval))
    }
}

/// A distance while the cores had no neighbour: `30 ns without a neighbour`.
pub(super) fn distance_without_neighbour(ns: f64) -> String {
    format!("{} without a neighbour", distance(ns))
}

/// If a smaller share of the looks found a neighbour, it may be by mistake: one of twenty looks at a core without one does.
pub(super) const SOME_NEIGHBOURS: f64 = 0.1;

/// The share of looks that found a neighbour, if it is notable. `None` also if a side of a sum did not look for any.
pub(super) fn neighbours(distances: &DistancesRecord) -> Option<f64> {
    share(distances.neighbours?, distances.looks).filter(|share| *share > SOME_NEIGHBOURS)
}

/// What was counted at a distance without a neighbour, if its rate is another one: the intervals do not overlap.
fn changed_by_neighbours(stratum: &StratumRecord) -> Option<&WithoutNeighbourRecord> {
    let part = stratum.without_neighbour.as_ref()?;
    let (all, own) = (stratum.interval?, part.interval?);
    (own.low > all.high || own.high < all.low).then_some(part)
}

/// The parts of a result whose rates differ: those at each distance and, if neighbours changed its rate, what of it was without one. None
/// if the rate of the result says all.
pub(super) fn parts(result: &ScenarioResult) -> Vec<Part<'_>> {
    let Some(distances) = &result.distances else { return Vec::new() };
    let looked = neighbours(distances).is_some();
    let mut parts = Vec::new();
    let some_at_none = at_no_distance(result).is_some();
    let mut push = |stratum, without_neighbour, share_of_time| {
        let part = Part { stratum, without_neighbour, share: share_of_time, of: "time" };
        parts.push(match share(part.counts().iterations, result.iterations) {
            Some(share) if some_at_none => Part { share, of: "iterations", ..part },
            _ => part,
        });
    };
    for (stratum, share) in distances.strata.iter().zip(distances.shares()).filter(|(at, _)| at.iterations > 0) {
        push(stratum, None, share);
        if let Some(part) = changed_by_neighbours(stratum).filter(|_| looked) {
            let share = if stratum.elapsed_s > 0.0 { share * part.elapsed_s / stratum.elapsed_s } else { 0.0 };
            push(stratum, Some(part), share);
        }
    }
    let says_more = parts.iter().any(|part| !part.is_all()) || !several(result).is_empty();
    if says_more { parts } else { Vec::new() }
}

/// The distance of a result that counted at one only, if other results of the record counted at others.
pub(super) fn only(record: &Record, result: &ScenarioResult) -> Option<String> {
    let own = result.distances_of_iterations();
    let [ns] = own[..] else { return None };
    let mut all = record.results.iter().flat_map(ScenarioResult::distances_of_iterations);
    let apart = all.any(|other| apart(ns, other));
    (apart && several(result).is_empty()).then(|| distance(ns))
}

/// The lines of the table for the parts of a result, below its own line.
pub(super) fn lines(result: &ScenarioResult) -> Vec<Vec<String>> {
    let line = |part: Part<'_>| {
        let CountRecord { iterations, matches, races } = part.counts();
        let (rate, interval) = part.rate();
        vec![
            String::new(),
            format!("at {}", part.heading()),
            count(iterations),
            matches.map_or("-".to_owned(), count),
            count(races),
            rate_with_interval(rate, interval),
            if part.is_all() { best_skew(part.stratum) } else { "-".to_owned() },
            String::new(),
            String::new(),
        ]
    };
    // The only stratum has the line of the result.
    let apart = !several(result).is_empty();
    parts(result).into_iter().filter(|part| apart || !part.is_all()).map(line).collect()
}

fn best_skew(stratum: &StratumRecord) -> String {
    let best = stratum.skews.iter().max_by(|a, b| a.rate().total_cmp(&b.rate())).filter(|best| best.races > 0);
    best.filter(|_| stratum.skews.len() > 1).map_or("-".to_owned(), at_skew)
}

/// A skew and its rate: `+77 ns 92.1 %`.
pub(super) fn at_skew(skew: &SkewRecord) -> String {
    format!("{:+.0} ns {}", skew.skew_ns, rate(skew.rate()))
}

/// How often the cores had a neighbour, in words; `None` if that is not notable.
pub(super) fn neighbours_in_words(distances: &DistancesRecord) -> Option<String> {
    let share = share_of_time(neighbours(distances)?);
    Some(format!("Their cores had a neighbour (another program on the core) {share} of the time."))
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
        let neighbours = neighbours_in_words(distances).map_or(String::new(), |words| format!(" {words}"));
        Some(format!("CPUs {}: {words}{moved}.{neighbours}", in_order(cpus)))
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
    lines.extend(at_none(record));
    lines
}

/// The most tests that are named.
const NAMED: usize = 3;

/// The tests with a share of their iterations at no distance, the largest share first, in one line; `None` if there are only small ones.
fn at_none(record: &Record) -> Option<String> {
    let mut tests: Vec<(&str, u64, u64)> = Vec::new();
    for result in &record.results {
        let Some(distances) = &result.distances else { continue };
        let (more, of) = (distances.between.iterations, result.iterations);
        match tests.iter_mut().find(|(name, ..)| *name == result.scenario) {
            Some((_, none, all)) => (*none, *all) = (none.saturating_add(more), all.saturating_add(of)),
            None => tests.push((&result.scenario, more, of)),
        }
    }
    let mut shares: Vec<(f64, &str)> =
        tests.into_iter().filter_map(|(name, none, all)| Some((notable(none, all)?, name))).collect();
    shares.sort_by(|a, b| b.0.total_cmp(&a.0));
    let of = |at: usize| if at == 0 { "of the iterations of" } else { "of" };
    let each =
        shares.iter().enumerate().map(|(at, (share, name))| format!("{} {} {name}", share_of_time(*share), of(at)));
    let each: Vec<String> = each.collect();
    (!each.is_empty()).then(|| format!("Counted at no distance, {WHY_NONE}: {}.", first_few(&each, NAMED)))
}

/// Why iterations are at no distance.
pub(super) const WHY_NONE: &str =
    "because the CPUs were moving, the settings were for another distance, or none was measured";

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::harness::Prefetch;
    use crate::record::{FreeRecord, SettingsRecord, Warning};

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
            without_neighbour: None,
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

    /// A record of one test, whose run was paced at 30 ns for a tenth of its iterations, and then free at 180 ns.
    pub(in super::super) fn moved() -> Record {
        let mut record = crate::record::shipped("2026-11-25T174425Z");
        record.results.retain(|result| result.scenario == "SB");
        let result = &mut record.results[0];
        let part = |distance_ns| SettingsRecord {
            distance_ns: Some(distance_ns),
            pace: None,
            group: 1,
            batch: None,
            prefetch: Prefetch::On,
            period_ns: None,
            elapsed_s: 1.0,
            iterations: 1,
            races: 1,
            code: None,
        };
        result.free =
            Some(FreeRecord { iterations: 9 * result.iterations, matches: None, races: 0, outcomes: Vec::new() });
        result.iterations *= 10;
        let near = Some(Interval { low: 0.09, high: 0.11, level: 0.95 });
        let far = Some(Interval { low: 0.4, high: 0.6, level: 0.95 });
        let strata = vec![
            StratumRecord { interval: near, ..stratum(30.0, 1.0) },
            StratumRecord { rate: Some(0.5), interval: far, ..stratum(180.0, 9.0) },
        ];
        let between = CountRecord { iterations: result.iterations / 20, races: 1, matches: None };
        let settings = vec![part(30.0), part(180.0)];
        result.distances = Some(DistancesRecord { strata, between, settings, ..DistancesRecord::default() });
        result.warnings = vec![Warning::RateVaried];
        record
    }

    #[test]
    fn what_is_of_the_paced_part_alone_says_so() {
        let mut record = moved();
        let best = |record: &Record| super::super::table::lines(record)[0][6].clone();
        let drawn = |record: &Record| super::super::windows(record, Some(100), |_| true);
        assert!(best(&record).ends_with(" % (paced)"), "{}", best(&record));
        assert!(
            drawn(&record).trim_end().ends_with("\n             the paced 10 % of the iterations"),
            "{}",
            drawn(&record)
        );
        record.results[0].free = None;
        assert!(!best(&record).contains("paced") && !drawn(&record).contains("paced"));
        // Nothing was paced.
        record.results[0].free = moved().results[0].free.clone();
        record.results[0].skews.clear();
        assert_eq!(record.results[0].paced_share(), None);
    }

    #[test]
    fn a_run_that_followed_has_a_rate_at_each_distance() {
        let mut record = moved();
        assert_eq!(rates(&record.results[0]).unwrap(), "10.0 % [9.0, 11.0] at 30 ns, 50.0 % [40.0, 60.0] at 180 ns");
        let at_none = "Counted at no distance, because the CPUs were moving, the settings were for another distance, or none was measured: 5 % of the iterations of SB.";
        assert_eq!(summary(&record).last().unwrap(), at_none);
        let html = super::super::page(&[super::super::Entry {
            name: "a.json".to_owned(),
            record: crate::record::AnyRecord::Run(Box::new(moved())),
        }])
        .unwrap();
        let plain = html.replace('\u{a0}', " ");
        let seen = "with settings for each distance between the CPUs 10.0 % [9.0, 11.0] at 30 ns, 50.0 % [40.0, 60.0] at 180 ns.";
        assert!(plain.contains(seen) && plain.contains("5 % of the iterations are at none, because"), "{plain:.3000}");
        // A result at one distance has it in its own line, if others were elsewhere.
        let mut two = record.clone();
        let mut other = two.results[0].clone();
        other.scenario = "MP".to_owned();
        let strata = |result: &mut ScenarioResult, strata| result.distances.as_mut().unwrap().strata = strata;
        strata(&mut other, vec![stratum(31.0, 1.0)]);
        other.distances.as_mut().unwrap().between.iterations = 0;
        two.results.push(other);
        assert_eq!([only(&two, &two.results[0]), only(&two, &two.results[1])], [None, Some("31 ns".to_owned())]);
        assert!(super::super::table::table(&two).contains("0,1 core, 31 ns"), "{}", super::super::table::table(&two));
        two.results.swap_remove(0);
        assert_eq!(only(&two, &two.results[0]), None);
        let advises = |record: &Record| super::super::table::summary(record).contains("To do about a rate");
        assert!(!advises(&record));
        let answer = super::super::page::answer_of(&record);
        let sure = "With settings for each distance between the CPUs, the rate is 10.0 % [9.0, 11.0] at 30 ns, 50.0 % [40.0, 60.0] at 180 ns. Most";
        assert!(answer.iter().any(|line| line.replace('\u{a0}', " ").starts_with(sure)), "{answer:?}");
        let distances = record.results[0].distances.as_mut().unwrap();
        (distances.settings, distances.between.iterations) = (Vec::new(), 1);
        assert_eq!((rates(&record.results[0]), summary(&record).len()), (None, 1));
        assert!(advises(&record));
        // Two placements of a test are one test, and a single stratum has a line if it has not all counts.
        record.results.push(moved().results.swap_remove(0));
        record.results[1].placement.cpus.reverse();
        assert!(summary(&record).last().unwrap().ends_with(" 3 % of the iterations of SB."), "{:?}", summary(&record));
        let distances = record.results[1].distances.as_mut().unwrap();
        distances.strata.truncate(1);
        assert_eq!(lines(&record.results[1]).len(), 1);
        record.results[1].distances.as_mut().unwrap().between.iterations = 1;
        assert_eq!(lines(&record.results[1]).len(), 0);
        // At one of the two nothing was counted: the other has its line.
        record = moved();
        record.results[0].distances.as_mut().unwrap().strata[0].iterations = 0;
        assert_eq!(rates(&record.results[0]).unwrap(), "50.0 % [40.0, 60.0] at 180 ns");
        let places: Vec<String> = lines(&record.results[0]).into_iter().map(|mut cells| cells.swap_remove(1)).collect();
        assert_eq!(places, ["at 180 ns, < 1 % of the iterations"]);
    }
}
