//! Runs whose settings follow the distance between the CPUs: if the hypervisor moves them, the rest of the run has settings that
//! are chosen at the new distance.
//!
//! A search at another distance may choose another pace or layout, which is other machine code. The record has the code of such a part
//! beside its settings. With `--window` all parts have the same code.

use std::sync::atomic::AtomicBool;
use std::time::Duration;

use super::explore::{Explored, Moved, explore};
use super::request::{Common, Experiment};
use super::result::Finished;
use super::run::{Measured, run_with};
use crate::error::{Error, Result};
use crate::harness::{BestPeriod, Limits, Memory, Stop, Tally};
use crate::machine::Clock;
use crate::record::{self, CodeRecord, GivenSetting, ScenarioResult, SettingsRecord};
use crate::search::{Allowed, Chosen, Settled};
use crate::stats::same_distance;
use crate::units::Nanos;

/// The most parts of a run. The last one runs to the end at any distance.
const MOST_PARTS: usize = 32;

/// Runs an experiment as [`super::run_until`] does, at the settings that a search chose for it.
///
/// # Errors
/// As [`super::run`].
pub(super) fn follow<'a>(
    base: &Experiment<'a>,
    first: Explored<'a>,
    measured: &Measured<'_>,
    (memory, flags): (&mut Memory, [&AtomicBool; 2]),
    watch: &mut dyn FnMut(&Tally),
) -> Result<Finished> {
    let arm = first.chosen.arm;
    let mut stays = base.choice.searching.as_ref().is_none_or(|searching| searching.stays(&base.common.limits));
    let time = base.choice.searching.as_ref().and_then(|searching| searching.time(&base.common.limits, None));
    let mut parts = Parts::default();
    let mut part = first;
    let mut seen: Option<Tally> = None;
    loop {
        let Explored { experiment, chosen, record } = part;
        let only_at = chosen.distance_ns.filter(|_| !stays && parts.number() + 1 < MOST_PARTS).map(Nanos);
        let mut show = |tally: &Tally| match &seen {
            Some(seen) => watch(&seen.with(tally)),
            None => watch(tally),
        };
        let (mut finished, measurement) = run_with(&experiment, measured, (memory, only_at), flags, &mut show)?;
        let stop = finished.stop;
        (finished.result.pace.given_group, finished.result.pace.searched) = (false, true);
        if let Some(searching) = &base.choice.searching {
            finished.result.pace.given = given(&searching.allowed);
            // Where the CPUs are elsewhere, the settings are others than those that were found before the run.
            let knowledge = searching.knowledge.lock().expect("no thread panics while holding this lock");
            let source = knowledge.source(&base.placement.cpus, &base.scenario.sha256, &chosen);
            finished.result.pace.profile = source.map(str::to_owned);
        }
        finished.result.search = record;
        let best = (measurement.best_periods.as_slice(), measurement.elapsed);
        let settled = settled(chosen, best, base.common.units());
        if let (Some(searching), Some(settled)) = (&base.choice.searching, settled) {
            let mut knowledge = searching.knowledge.lock().expect("no thread panics while holding this lock");
            knowledge.settle(&base.placement.cpus, &base.scenario.sha256, settled);
        }
        parts.add(finished, chosen.distance_ns);
        let distance = measurement.distances.as_ref().and_then(|distances| distances.last);
        let left = experiment.common.limits.duration.map(|limit| limit.saturating_sub(measurement.elapsed));
        let (Stop::Left, Some(Nanos(ns)), Some(left)) = (stop, distance, left) else {
            return parts.finish(stop, stays);
        };
        let all = seen.map_or_else(|| measurement.tally.clone(), |seen| seen.with(&measurement.tally));
        let mut show = |tally: &Tally| watch(&all.with(tally));
        let rest = lasting(base.clone(), left);
        let moved = Moved { arm, ns, time: time.map_or(Duration::ZERO, |time| time.here) };
        part = match explore(&rest, Some(moved), measured, (memory, flags[0]), &mut show)? {
            Some(explored) => explored,
            // There is nothing to vary, so these settings are those for any distance.
            None => {
                stays = true;
                let chosen = Chosen { distance_ns: None, best_period_ticks: None, ..chosen };
                let experiment = Experiment { known_period: None, ..lasting(experiment, left) };
                Explored { experiment, chosen, record: None }
            }
        };
        seen = Some(all);
    }
}

/// The settings of a part with the best period at their distance, if that is news. `best` are the best periods at each distance, and how long the
/// part was.
fn settled(chosen: Chosen, (best, elapsed): (&[BestPeriod], Duration), units: Clock) -> Option<Settled> {
    let here = |best: &&BestPeriod| same_distance(best.distance.map(|Nanos(ns)| ns), chosen.distance_ns);
    // A distance may have several levels.
    let apart_by =
        |best: &BestPeriod| best.distance.zip(chosen.distance_ns).map_or(0.0, |(at, ns)| (at.0 / ns).ln().abs());
    let nearest = best.iter().filter(here).min_by(|a, b| apart_by(a).total_cmp(&apart_by(b)));
    let found = nearest.filter(|_| chosen.best_period_ticks.is_none())?;
    let best_period_ticks = Some(units.ticks(found.period).0 as f64);
    Some(Settled { chosen: Chosen { best_period_ticks, ..chosen }, elapsed_s: elapsed.as_secs_f64() })
}

/// The experiment with another duration.
fn lasting(experiment: Experiment<'_>, duration: Duration) -> Experiment<'_> {
    let Common { limits, .. } = experiment.common;
    let limits = Limits { duration: Some(duration), ..limits };
    Experiment { common: Common { limits, ..experiment.common }, ..experiment }
}

/// The parts of a run, each with the distance that its settings were chosen at.
#[derive(Default)]
struct Parts {
    parts: Vec<(ScenarioResult, Option<f64>)>,
}

impl Parts {
    fn number(&self) -> usize {
        self.parts.len()
    }

    fn add(&mut self, Finished { result, .. }: Finished, distance_ns: Option<f64>) {
        self.parts.push((result, distance_ns));
    }

    /// The settings of each part.
    fn settings(&self) -> Vec<SettingsRecord> {
        let mut listed: Vec<&str> =
            self.parts.first().map(|(first, _)| first.code_sha256.as_str()).into_iter().collect();
        let mut settings = Vec::new();
        for (part, distance_ns) in &self.parts {
            let is_first = listed.first() == Some(&part.code_sha256.as_str());
            // A listing comes once.
            let is_listed = listed.contains(&part.code_sha256.as_str());
            listed.push(&part.code_sha256);
            let code = || CodeRecord {
                layout: part.layout.clone(),
                code_sha256: part.code_sha256.clone(),
                listing: if is_listed { String::new() } else { part.listing.clone() },
            };
            settings.push(SettingsRecord {
                distance_ns: *distance_ns,
                pace: Some(part.pace.mode.clone()),
                group: part.pace.group,
                prefetch: part.pace.prefetch,
                period_ns: part.pace.period_ns,
                elapsed_s: part.elapsed_s,
                iterations: part.iterations,
                races: part.races,
                batch: Some(part.batch),
                code: (!is_first).then(code),
            });
        }
        settings
    }

    /// The result of the run, which ended because of `stop`. A stratum has the counts of those parts whose settings were chosen for it, as
    /// rates at one distance are compared with those of other runs. In a run of one part that was to keep its settings at any
    /// distance (`stays`) all counts are where they were.
    fn finish(self, stop: Stop, stays: bool) -> Result<Finished> {
        let settings = self.settings();
        let several = self.number() > 1;
        let counts_anywhere = stays && !several;
        let mut parts = self.parts.into_iter().map(|(mut part, distance_ns)| {
            if let (false, Some(ns), Some(distances)) = (counts_anywhere, distance_ns, &mut part.distances) {
                distances.count_only_at(ns);
            }
            part
        });
        let no_part = || Error::Internal("a run without a part has no result".to_owned());
        let mut sum = parts.next().ok_or_else(no_part)?;
        for part in parts {
            // These fields of the first part tell how the run began. A part without a batch adds no more than what its search has seen.
            let (transfer, counters) = (sum.line_transfer_ns, std::mem::take(&mut sum.counters));
            if part.iterations + part.filtered > 0 {
                record::add_repeat(&mut sum, part)?;
            } else if let Some(search) = part.search {
                record::add_search(&mut sum, search)?;
            }
            (sum.line_transfer_ns, sum.counters) = (transfer, counters);
        }
        if several && let Some(distances) = &mut sum.distances {
            distances.settings = settings;
        }
        Ok(Finished { result: sum, stop })
    }
}

/// The settings that the search did not choose, because they were given.
fn given(allowed: &Allowed) -> Vec<GivenSetting> {
    let group = allowed.group.map(|_| GivenSetting::Group);
    let prefetch = allowed.prefetch.map(|_| GivenSetting::Prefetch);
    let batch = allowed.batch.map(|_| GivenSetting::Batch);
    group.into_iter().chain(prefetch).chain(batch).collect()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::catalogue;
    use crate::experiment::explore::{Searching, tests as tests_of_explore, with_settings};
    use crate::experiment::request::Choice;
    use crate::harness::Prefetch;
    use crate::layout::LayoutKind;
    use crate::machine;
    use crate::record::{ArmRecord, DistancesRecord, SearchRecord, StratumRecord};
    use crate::search::{Arm, Measure};

    #[test]
    fn parts_are_added_with_their_settings() {
        let part = |iterations: u64| {
            let mut result = record::shipped("2026-11-26T093808Z").results.swap_remove(0);
            result.pace.group = 4;
            result.elapsed_s = 0.5;
            (result.iterations, result.filtered) = (iterations, 0);
            result.distances = Some(DistancesRecord::default());
            result
        };
        let whole = part(0).outcomes.iter().map(|outcome| outcome.count).sum::<u64>();
        let add = |parts: &mut Parts, result, ns| parts.add(Finished { result, stop: Stop::Left }, ns);
        let mut parts = Parts::default();
        add(&mut parts, part(whole), Some(30.0));
        let mut alone = Parts::default();
        add(&mut alone, part(whole), Some(30.0));
        let result = alone.finish(Stop::Limit, false).unwrap().result;
        assert!(result.repeats.is_empty() && result.distances.unwrap().settings.is_empty());
        add(&mut parts, part(whole), None);
        // A part that ended before its first batch.
        add(&mut parts, part(0), Some(150.0));
        let mut other = part(whole);
        (other.code_sha256, other.layout.kind, other.batch) = ("0".repeat(64), "dense".to_owned(), 77);
        add(&mut parts, other.clone(), Some(150.0));
        // A part that ended before its first batch, and whose search saw races.
        let arm = ArmRecord { turns: 1, iterations: 9, races: 5, elapsed_s: 0.1, ..ArmRecord::untried(Arm::FIRST) };
        let search =
            SearchRecord { elapsed_s: 0.2, measure: Measure::Races, distance_ns: None, chosen: 0, arms: vec![arm] };
        add(&mut parts, ScenarioResult { iterations: 0, search: Some(search), ..other }, None);
        let Finished { result, stop } = parts.finish(Stop::Limit, false).unwrap();
        assert_eq!((stop, result.iterations, result.repeats.len()), (Stop::Limit, 3 * whole, 3));
        assert_eq!(result.seen().1 - result.races, 5);
        assert_eq!(result.line_transfer_ns, part(0).line_transfer_ns);
        let settings = result.distances.unwrap().settings;
        let found: Vec<_> = settings.iter().map(|part| (part.distance_ns, part.group, part.iterations)).collect();
        let [near, far] = [30.0, 150.0].map(Some);
        assert_eq!(found, [(near, 4, whole), (None, 4, whole), (far, 4, 0), (far, 4, whole), (None, 4, 0)]);
        // The code is that of the first part, and the others say so if theirs is another. Its listing comes once.
        let codes: Vec<_> =
            settings.iter().map(|part| part.code.as_ref().map(|code| code.listing.is_empty())).collect();
        assert_eq!((result.code_sha256, codes), (part(0).code_sha256, vec![None, None, None, Some(false), Some(true)]));
        assert_eq!(settings.iter().map(|part| part.batch).collect::<Vec<_>>()[2..4], [Some(part(0).batch), Some(77)]);
        let code = settings[3].code.as_ref().unwrap();
        assert_eq!((&code.code_sha256, code.layout.kind.as_str()), (&"0".repeat(64), "dense"));
        assert_eq!(code.listing, result.listing);
    }

    #[test]
    fn a_distance_has_the_counts_of_the_parts_that_are_for_it() {
        let part = |ns: f64| {
            let mut result = record::shipped("2026-11-26T093808Z").results.swap_remove(0);
            let (iterations, races) = (result.iterations, result.races);
            let stratum = |ns: f64, iterations, races| {
                let value = serde_json::json!({
                    "ns": ns, "low_ns": ns, "high_ns": ns, "looks": 9, "elapsed_s": 0.1, "in_batches_s": 0.1,
                    "iterations": iterations, "matches": result.matches, "races": races
                });
                serde_json::from_value::<StratumRecord>(value).unwrap()
            };
            let strata = vec![stratum(30.0, iterations - 7, races - 3), stratum(150.0, 7, 3)];
            result.distances = Some(DistancesRecord { looks: 18, strata, ..DistancesRecord::default() });
            (Finished { result, stop: Stop::Left }, Some(ns))
        };
        let found = |parts: &[f64], stays| {
            let mut all = Parts::default();
            for ns in parts {
                let (finished, ns) = part(*ns);
                all.add(finished, ns);
            }
            let distances = all.finish(Stop::Limit, stays).unwrap().result.distances.unwrap();
            let races: Vec<u64> = distances.strata.iter().map(|stratum| stratum.races).collect();
            (races, distances.between.races, distances.settings.len())
        };
        let races = part(30.0).0.result.races;
        assert_eq!(found(&[30.0], true), (vec![races - 3, 3], 0, 0));
        assert_eq!(found(&[30.0], false), (vec![races - 3, 0], 3, 0));
        for stays in [false, true] {
            assert_eq!(found(&[30.0, 150.0], stays), (vec![races - 3, 3], races, 2));
            assert_eq!(found(&[30.0, 150.0, 31.0], stays), (vec![2 * (races - 3), 3], races + 3, 3));
        }
    }

    #[test]
    fn a_part_settles_on_a_period_that_was_not_known() {
        let clock = Clock { frequency_hz: 2e9, resolution_ticks: 1, read_ticks: 20 };
        let searched =
            Chosen { arm: Arm::FIRST, period_ticks: 90.0, best_period_ticks: None, reach: 2, distance_ns: Some(30.0) };
        let at = |ns: Option<f64>, period| BestPeriod { distance: ns.map(Nanos), period: Nanos(period) };
        let found = |chosen, best: &[BestPeriod]| settled(chosen, (best, Duration::from_secs(3)), clock);
        let wanted = Chosen { best_period_ticks: Some(150.0), ..searched };
        // The part was elsewhere for a while.
        let best = [at(Some(150.0), 400.0), at(Some(40.0), 90.0), at(Some(31.0), 75.0)];
        assert_eq!(found(searched, &best), Some(Settled { chosen: wanted, elapsed_s: 3.0 }));
        assert_eq!([found(searched, &[]), found(searched, &best[..1]), found(wanted, &best)], [None; 3]);
        assert_eq!(found(searched, &[at(None, 75.0)]), None);
        let anywhere = Chosen { distance_ns: None, ..searched };
        assert_eq!(
            found(anywhere, &[at(None, 75.0)]).map(|settled| settled.chosen.best_period_ticks),
            Some(Some(150.0))
        );
    }

    /// Settings that are the only ones there are count at any distance.
    #[test]
    fn the_only_settings_count_at_every_distance() {
        let scenario = catalogue::named("SB").unwrap();
        let limits = Limits { duration: Some(Duration::from_millis(1800)), ..Limits::default() };
        let flag = AtomicBool::new(false);
        let measured = Measured { counters: &[], edges: None };
        let only = Allowed { free: false, group: Some(4), layouts: vec![LayoutKind::Padded], ..Allowed::all() };
        let searching = Searching { allowed: only, knowledge: Arc::default(), budget: None };
        let base = tests_of_explore::experiment(&scenario, limits, &searching);
        let arm = Arm { group: 4, prefetch: Prefetch::Off, ..Arm::FIRST };
        let searching =
            Searching { allowed: Allowed { prefetch: Some(arm.prefetch), ..searching.allowed }, ..searching };
        let base = Experiment { choice: Choice { searching: Some(searching), ..base.choice }, ..base };
        let chosen = Chosen { arm, period_ticks: 1000.0, best_period_ticks: None, reach: 1, distance_ns: Some(9000.0) };
        let experiment = with_settings(&base, arm, Some(crate::units::Ticks(1000))).unwrap();
        let first = Explored { experiment, chosen, record: None };
        let mut memory = Memory::default();
        // In a window the period is not varied.
        let base = Experiment { common: Common { window: true, ..base.common }, ..base };
        let result = follow(&base, first, &measured, (&mut memory, [&flag; 2]), &mut |_| ()).unwrap().result;
        assert_eq!(result.pace.given, [GivenSetting::Group, GivenSetting::Prefetch]);
        // With one CPU no distance is measured, and on a busy machine perhaps too few.
        let Some(DistancesRecord { settings, strata, .. }) = &result.distances else { return };
        if let [first, second] = &settings[..] {
            assert_eq!((first.distance_ns, second.distance_ns), (Some(9000.0), None));
            assert_eq!(strata.iter().any(|stratum| stratum.iterations > 0), second.iterations > 0, "{strata:?}");
        } else {
            assert!(settings.is_empty(), "{settings:?}");
        }
    }

    /// The run begins with settings for a distance that the CPUs are not at.
    #[test]
    fn a_run_whose_cpus_are_elsewhere_goes_on_at_other_settings() {
        let scenario = catalogue::named("SB").unwrap();
        let limits = Limits { duration: Some(Duration::from_millis(2500)), ..Limits::default() };
        let flag = AtomicBool::new(false);
        let measured = Measured { counters: &[], edges: None };
        let arm = Arm { group: 4, ..Arm::FIRST };
        for (number, stays) in [false, true].into_iter().enumerate() {
            // The settings of a search with a budget stay.
            let budget = stays.then_some(Duration::from_millis(500));
            let searching = Searching { allowed: Allowed::all(), knowledge: Arc::default(), budget };
            let base = tests_of_explore::experiment(&scenario, limits, &searching);
            let chosen =
                Chosen { arm, period_ticks: 1000.0, best_period_ticks: None, reach: 1, distance_ns: Some(9000.0) };
            // The profile of the request may be for another distance.
            let base = Experiment { choice: Choice { profile: Some("tuned".to_owned()), ..base.choice }, ..base };
            let before = "found by an earlier run";
            searching.knowledge.lock().unwrap().give(&base.placement.cpus, &scenario.sha256, chosen, before);
            let experiment = with_settings(&base, arm, Some(crate::units::Ticks(1000))).unwrap();
            let first = Explored { experiment, chosen, record: None };
            let mut shown = 0;
            let mut watch = |tally: &Tally| {
                assert!(tally.iterations >= shown / 2, "the counts shown fell from {shown} to {}", tally.iterations);
                shown = shown.max(tally.iterations);
            };
            let mut memory = Memory::default();
            let finished = follow(&base, first, &measured, (&mut memory, [&flag; 2]), &mut watch).unwrap();
            let result = finished.result;
            assert_eq!((finished.stop, result.layout.kind.as_str()), (Stop::Limit, "padded"));
            // With one CPU no distance is measured, and on a busy machine perhaps too few.
            let Some(distances) = &result.distances else { continue };
            let parts = &distances.settings;
            // What a search has chosen was not found before. On a busy machine a part may have no batch.
            let searched = parts.iter().skip(1).any(|part| part.iterations > 0);
            assert_eq!(result.pace.profile.as_deref(), (stays || !searched).then_some(before));
            if stays || parts.is_empty() {
                assert!(parts.is_empty() && result.repeats.is_empty(), "{number}");
                continue;
            }
            assert_eq!((parts[0].group, parts[0].distance_ns), (4, Some(9000.0)));
            let sum = |of: fn(&SettingsRecord) -> u64| parts.iter().map(of).sum::<u64>();
            assert_eq!((sum(|part| part.iterations), sum(|part| part.races)), (result.iterations, result.races));
            assert_eq!(result.repeats.len(), parts.iter().filter(|part| part.iterations > 0).count());
            // The search of the second part is recorded. Its turns have any pace and layout.
            let search = result.search.as_ref().expect("the second part was searched");
            for (pace, layout) in [("paced", "padded"), ("paced", "dense"), ("free", "padded"), ("free", "dense")] {
                assert!(search.arms.iter().any(|arm| arm.pace == pace && arm.layout == layout), "{search:?}");
            }
            let free: u64 =
                parts.iter().filter(|part| part.pace.as_deref() == Some("free")).map(|p| p.iterations).sum();
            assert_eq!(result.free.as_ref().map_or(0, |free| free.iterations), free);
            for part in parts {
                let other = part.code.as_ref().is_some_and(|code| code.code_sha256 != result.code_sha256);
                assert_eq!(other, part.code.is_some(), "{part:?}");
            }
            assert!(parts[1].distance_ns.is_none_or(|ns| ns < 9000.0), "{parts:?}");
            assert!(parts.iter().map(|part| part.elapsed_s).sum::<f64>() <= 2.6 + search.elapsed_s);
            assert_eq!(machine::allowed_cpus().unwrap().len().min(2), 2);
        }
    }
}
