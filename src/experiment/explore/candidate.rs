//! Settings that are tried, and what their turns have found.

use std::time::Duration;

use crate::experiment::request::Experiment;
use crate::experiment::run::{Measured, settings, sweep, units};
use crate::harness::{self, Adapt, Limits, Measurement, RunPlan, SkewTally, Tally};
use crate::machine::Clock;
use crate::program::Program;
use crate::record::TurnsRecord;
use crate::search::{Arm, Turn};
use crate::units::{Nanos, Ticks};

/// Length of a turn. A run of one turn completes about fifty batches, which is one for each skew of a sweep.
pub(super) const TURN: Duration = Duration::from_millis(8);
/// If more than this share of a turn's groups were late and it had hardly any races, its period was too short.
pub(super) const MOSTLY_LATE: f64 = 0.5;

/// Settings that are tried.
pub(super) struct Candidate<'a> {
    pub(super) arm: Arm,
    pub(super) experiment: Experiment<'a>,
    /// The candidate whose variant it is.
    pub(super) of: Option<usize>,
    /// How far it is tuned at each level of the distance, the last one at the end.
    pub(super) tuned: Vec<(usize, Tuned)>,
    /// What its turns and finals have counted, each with the level of the distance.
    pub(super) counted: Vec<(usize, TurnsRecord)>,
}

impl Candidate<'_> {
    pub(super) fn tune(&mut self, level: usize, tuned: Tuned) {
        self.tuned.retain(|(known, _)| *known != level);
        self.tuned.push((level, tuned));
    }
}

/// What the turns of a candidate at one distance have found.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Tuned {
    /// The period of the next turn, if one is known.
    pub(super) period: Option<Ticks>,
    /// The skews of the next turn: at first all of a sweep, then those with the most races. Empty if the next turn is to sweep. A
    /// window keeps all of them.
    pub(super) skews: Vec<Ticks>,
    /// The factor of the width of the sweep.
    pub(super) reach: u32,
}

impl Tuned {
    pub(super) fn begin(period: Option<Ticks>) -> Tuned {
        Tuned { period, skews: Vec::new(), reach: 1 }
    }

    /// What a variant begins with: the period of the arm that it varies, or a multiple of it.
    pub(super) fn of_variant(&self, arm: Arm, variant: Arm) -> Tuned {
        let period = self.period.and_then(|period| stretched(period, arm, variant));
        Tuned { period, skews: Vec::new(), reach: self.reach }
    }

    /// Chooses the skews of the next turn: the best ones of the last turn, or all of a wider sweep, if that turn was a sweep that
    /// ended before the peak.
    pub(super) fn choose_skews(
        &mut self,
        experiment: &Experiment<'_>,
        skews: &[SkewTally],
        (swept, best): (bool, &[usize]),
    ) {
        if swept && self.reaches_further(experiment, skews) {
            self.reach *= 2;
            self.skews.clear();
        } else if self.skews.len() > 1 && skews.iter().any(|skew| skew.iterations() > 0) {
            self.skews = best.iter().map(|&at| skews[at].skew).collect();
        }
    }

    /// Whether the sweep of its last turn ended before the races were most frequent, and a wider one is possible. A window stays as
    /// wide as the period: all of its skews count, so arms with other widths could not be compared.
    pub(super) fn reaches_further(&self, experiment: &Experiment<'_>, skews: &[SkewTally]) -> bool {
        let (Some(period), None) = (self.period, experiment.choice.pace.skews()) else { return false };
        if experiment.common.window {
            return false;
        }
        let end = |reach| sweep(units(experiment), period, reach).last().copied();
        end(2 * self.reach) > end(self.reach) && harness::peaks_at_an_end(&experiment.scenario.program, skews)
    }
}

/// The plan of the next turn of an experiment, which had `before` turns already. Each has its own order of skews, because a turn may
/// end before it has used all skews of a window.
pub(super) fn turn_plan(
    (experiment, arm): (&Experiment<'_>, Arm),
    tuned: &mut Tuned,
    measured: &Measured<'_>,
    before: usize,
) -> RunPlan {
    let plan = settings(experiment, measured);
    let plan = RunPlan { seed: plan.seed.wrapping_add(before as u64), ..plan };
    let limits = Limits { duration: Some(TURN), ..Limits::default() };
    if !plan.pace.is_paced() {
        return RunPlan { limits, ..plan };
    }
    let period = tuned.period.unwrap_or(Ticks(1));
    // The sweep of a window follows the period, as that of the measurement does.
    if tuned.skews.is_empty() || experiment.common.window {
        let given = experiment.choice.pace.skews().cloned();
        tuned.skews = given.unwrap_or_else(|| sweep(units(experiment), period, tuned.reach));
    }
    let adapt = if arm.stretch == 1 { Adapt::Kept } else { Adapt::Never };
    RunPlan { period, adapt, skews: tuned.skews.clone(), limits, ..plan }
}

/// The period of a variant of an arm that has this one.
pub(super) fn stretched(period: Ticks, arm: Arm, variant: Arm) -> Option<Ticks> {
    self::period(period.0 as f64 * f64::from(variant.stretch) / f64::from(arm.stretch))
}

/// The skews, by index, that count for an arm: those with the most races, because the measurement focuses on them. A window is
/// swept evenly to the end, so all its skews count.
pub(super) fn counted(experiment: &Experiment<'_>, skews: &[SkewTally]) -> Vec<usize> {
    if experiment.common.window {
        return (0..skews.len()).collect();
    }
    harness::focus(&experiment.scenario.program, skews)
}

/// How long a group took on average. At a period this long even threads that drifted apart keep up.
pub(super) fn time_of_group(measurement: &Measurement, group: usize, clock: Clock) -> Ticks {
    let groups = measurement.groups(group).max(1);
    clock.ticks(Nanos(measurement.in_batches.as_secs_f64() * 1e9 / groups as f64))
}

/// What a turn says about its arm: the races and the variety that it would have had at the skews alone that count.
pub(super) fn seen(program: &Program, tally: &Tally, seconds: f64, best: &[usize]) -> Turn {
    let at_best = || best.iter().map(|&at| &tally.skews[at]);
    let sum = |value: &dyn Fn(&SkewTally) -> f64| at_best().map(value).sum::<f64>();
    let iterations = sum(&|skew| skew.iterations() as f64);
    let share = if iterations > 0.0 { tally.iterations as f64 / iterations } else { 0.0 };
    let all = harness::races(program, &tally.outcomes());
    let races = sum(&|skew| harness::races(program, &skew.outcomes) as f64);
    Turn {
        iterations: tally.iterations,
        races: if all < harness::ENOUGH { all } else { harness::whole(races * share) },
        variety: share * sum(&|skew| skew.iterations() as f64 * skew.impurity()),
        seconds,
        level: 0,
    }
}

/// A period of at least one tick; `None` for 0.
pub(super) fn period(ticks: f64) -> Option<Ticks> {
    (ticks > 0.0).then(|| Ticks::from(harness::whole(ticks.round()).max(1)))
}

/// What a turn or a final has counted.
pub(super) fn counts(measurement: &Measurement, races: u64) -> TurnsRecord {
    let (iterations, elapsed_s) = (measurement.tally.iterations, measurement.elapsed.as_secs_f64());
    TurnsRecord { turns: 1, iterations, races, elapsed_s }
}
