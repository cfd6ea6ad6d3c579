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
use crate::harness::{Limits, Memory, Stop, Tally};
use crate::record::{self, CodeRecord, ScenarioResult, SettingsRecord};
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
        finished.result.search = record;
        parts.add(finished, chosen.distance_ns)?;
        let distance = measurement.distances.as_ref().and_then(|distances| distances.last);
        let left = experiment.common.limits.duration.map(|limit| limit.saturating_sub(measurement.elapsed));
        let (Stop::Left, Some(Nanos(ns)), Some(left)) = (stop, distance, left) else { return parts.finish(stop) };
        let all = seen.map_or_else(|| measurement.tally.clone(), |seen| seen.with(&measurement.tally));
        let mut show = |tally: &Tally| watch(&all.with(tally));
        let rest = lasting(base.clone(), left);
        let moved = Moved { arm, ns, time: time.unwrap_or_default() };
        part = match explore(&rest, Some(moved), measured, (memory, flags[0]), &mut show)? {
            Some(explored) => explored,
            // There is nothing to vary.
            None => {
                stays = true;
                Explored { experiment: lasting(experiment, left), chosen, record: None }
            }
        };
        seen = Some(all);
    }
}

/// The experiment with another duration.
fn lasting(experiment: Experiment<'_>, duration: Duration) -> Experiment<'_> {
    let Common { limits, .. } = experiment.common;
    let limits = Limits { duration: Some(duration), ..limits };
    Experiment { common: Common { limits, ..experiment.common }, ..experiment }
}

/// The parts of a run, added up.
#[derive(Default)]
struct Parts {
    sum: Option<ScenarioResult>,
    settings: Vec<SettingsRecord>,
}

impl Parts {
    fn number(&self) -> usize {
        self.settings.len()
    }

    /// The code of a part, if it is not that of the first one.
    fn other_code(&self, part: &ScenarioResult) -> Option<CodeRecord> {
        self.sum.as_ref().filter(|first| first.code_sha256 != part.code_sha256)?;
        let known = self.settings.iter().filter_map(|part| part.code.as_ref());
        let listed = known.map(|code| &code.code_sha256).any(|known| *known == part.code_sha256);
        Some(CodeRecord {
            layout: part.layout.clone(),
            code_sha256: part.code_sha256.clone(),
            listing: if listed { String::new() } else { part.listing.clone() },
        })
    }

    /// Adds a part. `distance_ns` is the distance that its settings were chosen at.
    fn add(&mut self, Finished { result, .. }: Finished, distance_ns: Option<f64>) -> Result<()> {
        self.settings.push(SettingsRecord {
            distance_ns,
            pace: Some(result.pace.mode.clone()),
            group: result.pace.group,
            prefetch: result.pace.prefetch,
            period_ns: result.pace.period_ns,
            elapsed_s: result.elapsed_s,
            iterations: result.iterations,
            races: result.races,
            batch: Some(result.batch),
            code: self.other_code(&result),
        });
        let Some(sum) = &mut self.sum else {
            self.sum = Some(result);
            return Ok(());
        };
        // These fields of the first part tell how the run began. A part without a batch adds no more than what its search has seen.
        let (transfer, counters) = (sum.line_transfer_ns, std::mem::take(&mut sum.counters));
        if result.iterations + result.filtered > 0 {
            record::add_repeat(sum, result)?;
        } else if let Some(search) = result.search {
            record::add_search(sum, search)?;
        }
        (sum.line_transfer_ns, sum.counters) = (transfer, counters);
        Ok(())
    }

    /// The result of the run, which ended because of `stop`.
    fn finish(self, stop: Stop) -> Result<Finished> {
        let no_part = || Error::Internal("a run without a part has no result".to_owned());
        let mut result = self.sum.ok_or_else(no_part)?;
        if self.settings.len() > 1
            && let Some(distances) = &mut result.distances
        {
            distances.settings = self.settings;
        }
        Ok(Finished { result, stop })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::catalogue;
    use crate::experiment::explore::{Searching, tests as tests_of_explore, with_settings};
    use crate::machine;
    use crate::record::{ArmRecord, DistancesRecord, SearchRecord};
    use crate::search::{Allowed, Arm, Chosen, Measure};

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
        add(&mut parts, part(whole), Some(30.0)).unwrap();
        let mut alone = Parts::default();
        add(&mut alone, part(whole), Some(30.0)).unwrap();
        let result = alone.finish(Stop::Limit).unwrap().result;
        assert!(result.repeats.is_empty() && result.distances.unwrap().settings.is_empty());
        add(&mut parts, part(whole), None).unwrap();
        // A part that ended before its first batch.
        add(&mut parts, part(0), Some(150.0)).unwrap();
        let mut other = part(whole);
        (other.code_sha256, other.layout.kind, other.batch) = ("0".repeat(64), "dense".to_owned(), 77);
        add(&mut parts, other.clone(), Some(150.0)).unwrap();
        // A part that ended before its first batch, and whose search saw races.
        let arm = ArmRecord { turns: 1, iterations: 9, races: 5, elapsed_s: 0.1, ..ArmRecord::untried(Arm::FIRST) };
        let search =
            SearchRecord { elapsed_s: 0.2, measure: Measure::Races, distance_ns: None, chosen: 0, arms: vec![arm] };
        add(&mut parts, ScenarioResult { iterations: 0, search: Some(search), ..other }, None).unwrap();
        let Finished { result, stop } = parts.finish(Stop::Limit).unwrap();
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
            let chosen = Chosen { arm, period_ticks: 1000.0, reach: 1, distance_ns: Some(9000.0) };
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
