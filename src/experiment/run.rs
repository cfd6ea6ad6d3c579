//! Runs an experiment: measures the counters, calibrates the pace, and measures.

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::bench::Bench;
use super::explore::explore;
use super::follow::follow;
use super::request::{Choice, Experiment, PaceChoice};
use super::result::{Finished, result};
use crate::error::{Error, Result};
use crate::harness::{self, Adapt, Chain, EdgePlan, Gap, Job, Measurement, Memory, Prefetch, RunPlan, Tally};
use crate::machine::{self, Class, Clock, Counters, Placement};
use crate::units::{Nanos, Ticks};

/// Number of skews in a sweep. It is odd, so that 0 is one of them. It is large enough that no window falls
/// between two skews: the narrowest window seen is 25 ns wide, which is a twentieth of the widest sweep.
const SWEEP_POINTS: i64 = 49;
/// The narrowest and the widest default sweep to either side. The widest covers a cache-line
/// transfer between two sockets.
const SWEEP: [Nanos; 2] = [Nanos(60.0), Nanos(240.0)];

/// Distance between two skews of a window on a coarse clock.
const WINDOW_STEP: Nanos = Nanos(2.0);

/// Shorter runs are not calibrated: that takes between a tenth and two tenths of a second.
const SHORT: Duration = Duration::from_millis(80);
/// First period if nothing was measured: a few cache-line transfers on any CPU.
const GUESS: Nanos = Nanos(300.0);

/// Runs an experiment. Calls `watch` with the counts a few times per second.
///
/// If wakerace chose a paced run itself and the clock counters of the CPUs do not run alike, the experiment
/// runs free instead.
///
/// # Errors
/// As [`harness::run`]. Also if the user asked for a paced run and the counters of these CPUs do not allow it.
pub fn run(experiment: &Experiment<'_>, interrupt: &AtomicBool, watch: impl FnMut(&Tally)) -> Result<Finished> {
    Bench::default().run(experiment, interrupt, watch)
}

/// As [`run`], but with two flags: `enough` ends the measured run, and `interrupt` ends the calibration before
/// it.
///
/// # Errors
/// As [`run`].
pub fn run_until(
    experiment: &Experiment<'_>,
    interrupt: &AtomicBool,
    enough: &AtomicBool,
    watch: impl FnMut(&Tally),
) -> Result<Finished> {
    Bench::default().run_until(experiment, [interrupt, enough], watch)
}

/// Runs an experiment on CPUs whose counters and chains are known. The flags are those of [`run_until`].
pub(super) fn measured(
    experiment: &Experiment<'_>,
    measured: Measured<'_>,
    memory: &mut Memory,
    flags: [&AtomicBool; 2],
    watch: &mut dyn FnMut(&Tally),
) -> Result<Finished> {
    let free = free_fallback(experiment, &measured)?;
    let experiment = free.as_ref().unwrap_or(experiment);
    match explore(experiment, None, &measured, (memory, flags[0]), watch)? {
        None => Ok(run_with(experiment, &measured, (memory, None), flags, watch)?.0),
        Some(explored) => follow(experiment, explored, &measured, (memory, flags), watch),
    }
}

/// What was measured of the CPUs before a run.
#[derive(Debug, Clone)]
pub(super) struct Measured<'a> {
    /// How far the counter of each thread's CPU is ahead of P0's.
    pub(super) counters: &'a [Counters],
    /// The chains of a run that is paced by edges.
    pub(super) edges: Option<EdgePlan>,
}

/// Whether an experiment is paced by edges.
pub(super) fn has_edges(experiment: &Experiment<'_>) -> bool {
    matches!(experiment.choice.pace, PaceChoice::Paced { .. }) && experiment.common.edges.is_some()
}

/// The gap between the groups of a span. A given period and given skews, and those of a window, are kept as exactly as possible. Where
/// wakerace chooses them itself, races per second count.
fn gap(experiment: &Experiment<'_>) -> Gap {
    match &experiment.choice.pace {
        PaceChoice::Paced { period: None, skews: None, .. } if !experiment.common.window => Gap::Short,
        _ => Gap::Even,
    }
}

/// Measures the delays on the CPUs of an experiment that is paced by edges.
pub(super) fn edges(experiment: &Experiment<'_>, interrupt: &AtomicBool) -> Result<Option<EdgePlan>> {
    let Experiment { code, common, choice, .. } = experiment;
    let (PaceChoice::Paced { .. }, Some(edges)) = (&choice.pace, common.edges) else { return Ok(None) };
    let chains = if interrupt.load(Ordering::Relaxed) {
        vec![Chain { units: 1.0, passes_differ: 0.0 }; code.len()]
    } else {
        harness::chains(job(experiment), edges, common.nice)?
    };
    Ok(Some(EdgePlan { edges, chains, gap: Gap::Even }))
}

/// Measures how far the counter of each thread's CPU is ahead of P0's. Empty if threads share a CPU.
pub(super) fn counters(experiment: &Experiment<'_>) -> Result<Vec<Counters>> {
    let cpus = &experiment.placement.cpus;
    let Some((&first, others)) = cpus.split_first() else { return Ok(Vec::new()) };
    if cpus.iter().collect::<HashSet<_>>().len() < cpus.len() {
        return Ok(Vec::new());
    }
    others.iter().map(|&cpu| machine::counters(first, cpu, experiment.common.clock)).collect()
}

/// The free-running experiment to run if what was measured makes paced starts meaningless; `None` if it does not.
fn free_fallback<'a>(experiment: &Experiment<'a>, measured: &Measured<'_>) -> Result<Option<Experiment<'a>>> {
    let PaceChoice::Paced { given, period, skews } = &experiment.choice.pace else { return Ok(None) };
    let Some((cpus, problem)) = unpaceable(experiment, measured) else { return Ok(None) };
    let Experiment { scenario, placement, choice, common, expectation, .. } = experiment;
    if *given || period.is_some() || skews.is_some() || common.window {
        return Err(Error::Host(format!(
            "{}: threads on CPUs {cpus} cannot be paced: {problem}. Without --pace paced, --period, --skew and --window, \
             instances run free",
            scenario.name
        )));
    }
    let mut choice = Choice { pace: PaceChoice::Free { given: false }, group: None, profile: None, ..choice.clone() };
    if let Some(searching) = &mut choice.searching {
        searching.allowed.paced = false;
    }
    let free = Experiment::new(scenario, placement.clone(), choice, expectation.clone(), common)?;
    Ok(Some(Experiment { free_because: Some(problem), ..free }))
}

/// Why an experiment cannot be paced, after the CPUs that cannot: counters that contradict each other, or a clock that is
/// coarse and cannot be divided.
pub(super) fn unpaceable(experiment: &Experiment<'_>, measured: &Measured<'_>) -> Option<(String, String)> {
    let Experiment { placement: Placement { cpus, .. }, common, .. } = experiment;
    if let Some(at) = measured.counters.iter().position(|counters| counters.contradict()) {
        let (first, other) = (cpus[0], cpus[at + 1]);
        let problem = measured.counters[at].record(other, common.clock).problem.unwrap_or_default();
        return Some((format!("{first} and {other}"), problem));
    }
    let EdgePlan { edges, chains, .. } = measured.edges.as_ref()?;
    let problem = harness::unfit(chains, cpus, *edges, common.units())?;
    Some((machine::in_order(cpus), problem))
}

/// What an experiment runs, and how: calibrated where it leaves something open.
pub(super) fn planned<'a>(
    experiment: &'a Experiment<'_>,
    measured: &Measured<'_>,
    memory: &mut Memory,
    interrupt: &AtomicBool,
) -> Result<(Job<'a>, RunPlan)> {
    let job = job(experiment);
    let mut plan = settings(experiment, measured);
    calibrate(experiment, (job, memory), &mut plan, interrupt)?;
    Ok((job, plan))
}

/// Runs an experiment whose settings are known. `only_at` is the distance that they are for, if it ends where the CPUs leave it.
///
/// # Errors
/// As [`harness::run`].
pub(super) fn run_with(
    experiment: &Experiment<'_>,
    measured: &Measured<'_>,
    (memory, only_at): (&mut Memory, Option<Nanos>),
    [interrupt, enough]: [&AtomicBool; 2],
    watch: &mut dyn FnMut(&Tally),
) -> Result<(Finished, Measurement)> {
    let Experiment { placement, common, .. } = experiment;
    let counters = measured.counters;
    let (job, plan) = planned(experiment, measured, memory, interrupt)?;
    let plan = RunPlan { only_at, ..plan };
    let measurement = under_stress(experiment, (job, memory), &plan, enough, watch)?;
    let mut result = result(experiment, &plan, &measurement)?;
    let others = placement.cpus.iter().skip(1);
    result.counters = counters.iter().zip(others).map(|(counters, &cpu)| counters.record(cpu, common.clock)).collect();
    Ok((Finished { result, stop: measurement.stop }, measurement))
}

/// Runs a plan of an experiment under its stress, if it has one.
///
/// # Errors
/// As [`harness::run`].
pub(super) fn under_stress(
    experiment: &Experiment<'_>,
    (job, memory): (Job<'_>, &mut Memory),
    plan: &RunPlan,
    enough: &AtomicBool,
    watch: &mut dyn FnMut(&Tally),
) -> Result<Measurement> {
    let stress = experiment.choice.stress.map(|kind| harness::Stress::begin(kind, job.cpus)).transpose()?;
    let measurement = harness::run_in(memory, job, plan, enough, watch)?;
    drop(stress);
    Ok(measurement)
}

/// The code of an experiment, and where it runs.
pub(super) fn job<'e>(experiment: &'e Experiment<'_>) -> Job<'e> {
    let Experiment { scenario, layout, placement, code, .. } = experiment;
    Job { program: &scenario.program, layout, code, cpus: &placement.cpus, clock: units(experiment) }
}

/// The clock in whose ticks a run has its times.
pub(super) fn units(experiment: &Experiment<'_>) -> Clock {
    match experiment.choice.pace {
        PaceChoice::Free { .. } => experiment.common.clock,
        PaceChoice::Paced { .. } => experiment.common.units(),
    }
}

/// The plan of a run without calibration: the settings that were chosen before, the corrections of the starts, and the
/// delays.
pub(super) fn settings(experiment: &Experiment<'_>, measured: &Measured<'_>) -> RunPlan {
    let Experiment { choice, common, layout, .. } = experiment;
    let pace = choice.pace.kind(common.edges);
    let edges = measured.edges.as_ref().filter(|_| pace.is_paced());
    let finer = edges.map_or(0, |plan| plan.edges.finer);
    RunPlan {
        pace,
        period: Ticks(0),
        group: choice.group.unwrap_or(1),
        // Only a thread that waits for a tick has time to prefetch.
        prefetch: if pace.is_paced() { choice.prefetch } else { Prefetch::Off },
        focus: false,
        nice: common.nice,
        event: common.event,
        adapt: Adapt::Never,
        skews: vec![Ticks(0)],
        counter_offsets: std::iter::once(Ticks(0))
            .chain(measured.counters.iter().map(|counters| Ticks(counters.correction().0 << finer)))
            .collect(),
        edges: edges.map(|plan| EdgePlan { gap: gap(experiment), ..plan.clone() }),
        batch: choice.batch.unwrap_or_else(|| harness::default_batch(layout, pace)),
        seed: experiment.common.seed,
        only_at: None,
        finds_neighbours: finds_neighbours(experiment),
        limits: common.limits,
    }
}

/// Whether all neighbours on the cores of an experiment's threads are other programs.
fn finds_neighbours(experiment: &Experiment<'_>) -> bool {
    experiment.placement.class != Class::Smt && experiment.choice.stress.is_none()
}

/// Chooses the group, the period and the skews of a paced run, where the user gave none.
fn calibrate(
    experiment: &Experiment<'_>,
    (job, memory): (Job<'_>, &mut Memory),
    plan: &mut RunPlan,
    interrupt: &AtomicBool,
) -> Result<()> {
    let Experiment { choice, common, .. } = experiment;
    let PaceChoice::Paced { period, skews, .. } = &choice.pace else { return Ok(()) };
    let free_to_choose = choice.group.is_none() && period.is_none() && skews.is_none() && !common.window;
    let short = common.limits.duration.is_some_and(|limit| limit < SHORT);
    let measured = if let Some(period) = experiment.searched_period {
        period
    } else if (common.limits.races.is_some() || short) && period.is_none() {
        // With a limit on races the calibration is skipped: the first races come sooner without it, although a
        // calibrated period would give more of them later. In a short run it would take most of the time.
        units(experiment).ticks(GUESS)
    } else if free_to_choose {
        harness::choose_group((job, memory), plan, interrupt)?;
        plan.period
    } else if period.is_none() || skews.is_none() {
        harness::choose_pace((job, memory), plan, interrupt)?
    } else {
        Ticks(0)
    };
    plan.period = period.or(experiment.known_period).unwrap_or(measured);
    plan.adapt = match (period, experiment.known_period) {
        (Some(_), _) => Adapt::Never,
        (None, Some(_)) => Adapt::Known,
        (None, None) => Adapt::Races,
    };
    plan.focus = skews.is_none() && !common.window;
    plan.skews = skews.clone().unwrap_or_else(|| match common.edges {
        Some(_) if common.window => window(common.units(), measured),
        _ => sweep(common.units(), measured, experiment.reach),
    });
    Ok(())
}

/// Runs experiments at the same time. No two of them may share a CPU. `watch` gets the counts of the first one, which uses what
/// is on the bench.
///
/// Each ends by itself, and the result of each is returned even if another one fails. If one cannot be started,
/// none runs.
pub fn run_side_by_side(
    bench: &mut Bench,
    experiments: &[&Experiment<'_>],
    interrupt: &AtomicBool,
    watch: impl FnMut(&Tally),
) -> Vec<Result<Finished>> {
    let Some((first, others)) = experiments.split_first() else { return Vec::new() };
    std::thread::scope(|scope| {
        // No experiment begins before all threads are started. If one cannot be started, the gates are dropped
        // when this function returns, and the waiting threads end.
        let mut gates = Vec::new();
        let others = others.iter().map(|experiment| {
            let (open, gate) = std::sync::mpsc::channel::<()>();
            gates.push(open);
            machine::start(scope, "pair", move || match gate.recv() {
                Ok(()) => run(experiment, interrupt, |_| ()),
                Err(_) => Err(Error::Internal("the result of a run that did not start was used".to_owned())),
            })
        });
        let others = match others.collect::<Result<Vec<_>>>() {
            Ok(others) => others,
            Err(error) => return vec![Err(error)],
        };
        for gate in gates {
            // The send fails only if the thread has panicked, which the join below reports.
            let _ = gate.send(());
        }
        let mut finished = vec![bench.run(first, interrupt, watch)];
        for other in others {
            let panicked = || Err(Error::Internal("the thread of an experiment panicked".to_owned()));
            finished.push(other.join().unwrap_or_else(|_| panicked()));
        }
        finished
    })
}

/// A sweep that is about as wide to either side as one instance takes, and at least 60 ns; `reach` times as wide, and at most 240 ns.
pub(super) fn sweep(clock: Clock, instance: Ticks, reach: u32) -> Vec<Ticks> {
    evenly(clock, instance, reach, |_| SWEEP_POINTS / 2)
}

/// As [`sweep`], in steps of 2 ns: the window of a clock that cannot show them itself.
fn window(clock: Clock, instance: Ticks) -> Vec<Ticks> {
    evenly(clock, instance, 1, |width| (width / WINDOW_STEP.0).ceil() as i64)
}

/// Skews in even steps, about `reach` times as wide to either side as one instance takes. `half` gives the number of steps to
/// either side of 0 for a width in nanoseconds.
fn evenly(clock: Clock, instance: Ticks, reach: u32, half: impl Fn(f64) -> i64) -> Vec<Ticks> {
    let [narrowest, widest] = SWEEP;
    let Nanos(width) = clock.nanos(instance);
    let width = (width.max(narrowest.0) * f64::from(reach)).min(widest.0);
    let half = half(width);
    let mut skews: Vec<Ticks> =
        (-half..=half).map(|step| clock.ticks(Nanos(width * step as f64 / half as f64))).collect();
    skews.dedup();
    skews
}

#[cfg(test)]
mod tests {
    use super::super::request::Common;
    use super::*;
    use crate::catalogue::Scenario;
    use crate::codegen::{self, Pace, Target};
    use crate::harness::Limits;
    use crate::isa;
    use crate::layout::LayoutKind;
    use crate::machine::Edges;

    /// An experiment on CPUs that this host may not have.
    fn experiment(scenario: &Scenario, pace: PaceChoice) -> Experiment<'_> {
        let target = Target::of_host().unwrap();
        let common = Common {
            target,
            clock: Clock { frequency_hz: 1e9, resolution_ticks: 1, read_ticks: 20 },
            edges: None,
            line: 128,
            seed: 1,
            limits: Limits::default(),
            nice: 0,
            event: None,
            window: false,
            side_by_side: false,
        };
        let choice = Choice {
            pace,
            layout: LayoutKind::Padded,
            batch: None,
            group: None,
            prefetch: Prefetch::Off,
            stress: None,
            profile: Some("a profile".to_owned()),
            searching: None,
        };
        let expectation = crate::verdict::expectation(scenario, target.arch, target.choices()).unwrap();
        let placement = Placement { cpus: vec![4, 7], class: Class::Core, kinds: Vec::new() };
        Experiment::new(scenario, placement, choice, expectation, &common).unwrap()
    }

    /// Counters alone.
    fn measured(counters: &[Counters]) -> Measured<'_> {
        Measured { counters, edges: None }
    }

    #[test]
    fn counters_that_do_not_run_alike_pace_nothing() {
        let scenario = crate::catalogue::named("SB").unwrap();
        let paced = |given, period, skews| experiment(&scenario, PaceChoice::Paced { given, period, skews });
        let apart = [Counters::Contradiction(Ticks(70))];
        let free = free_fallback(&paced(false, None, None), &measured(&apart)).unwrap().unwrap();
        assert_eq!(free.choice.pace, PaceChoice::Free { given: false });
        assert_eq!(free.choice.profile, None);
        // The code is that of a free run.
        let emitted = isa::emit(free.common.target, &scenario.program, &free.layout, Pace::Free).unwrap();
        assert_eq!(codegen::hash(&free.code), codegen::hash(&emitted));
        for asked in
            [paced(true, None, None), paced(false, Some(Ticks(100)), None), paced(false, None, Some(vec![Ticks(0)]))]
        {
            let error = free_fallback(&asked, &measured(&apart)).unwrap_err().to_string();
            assert!(
                error.contains("CPUs 4 and 7") && error.contains("by 70 ns") && error.contains("--pace"),
                "{error}"
            );
        }
        for fine in [Counters::Within(Ticks(-5), Ticks(9)), Counters::Within(Ticks(100), Ticks(200)), Counters::Untold]
        {
            assert!(free_fallback(&paced(true, None, None), &measured(&[fine])).unwrap().is_none(), "{fine:?}");
        }
        let free = experiment(&scenario, PaceChoice::Free { given: true });
        assert!(free_fallback(&free, &measured(&apart)).unwrap().is_none());
    }

    /// Edges of a clock of 25 MHz, in 128 units a tick, with chains that differ by this much.
    fn edges(passes_differ: f64) -> Option<EdgePlan> {
        let chain = Chain { units: 3.0, passes_differ };
        Some(EdgePlan { edges: Edges { step: 1, finer: 7, coarse_bits: 0 }, chains: vec![chain; 2], gap: Gap::Even })
    }

    #[test]
    fn a_coarse_clock_paces_nothing_only_if_its_delays_cannot_be_measured() {
        let scenario = crate::catalogue::named("SB").unwrap();
        let with = |given, edges: Option<EdgePlan>| {
            let mut experiment = experiment(&scenario, PaceChoice::Paced { given, period: None, skews: None });
            experiment.common.clock = Clock { frequency_hz: 25e6, resolution_ticks: 1, read_ticks: 1 };
            experiment.common.edges = edges.as_ref().map(|plan| plan.edges);
            free_fallback(&experiment, &Measured { counters: &[], edges })
        };
        assert!(with(false, edges(1e-3)).unwrap().is_none());
        let free = with(false, edges(0.2)).unwrap().unwrap();
        let reason = free.free_because.clone().unwrap();
        assert!(reason.contains("not constant on CPU 4") && reason.contains("20.0 %"), "{reason}");
        assert_eq!(
            (free.choice.pace.clone(), settings(&free, &measured(&[])).pace),
            (PaceChoice::Free { given: false }, Pace::Free)
        );
        assert_eq!(units(&free).frequency_hz, 25e6);
        let error = with(true, edges(0.2)).unwrap_err().to_string();
        assert!(error.contains("CPUs 4,7") && error.contains("not constant") && error.contains("--pace"), "{error}");
    }

    #[test]
    fn groups_are_spread_evenly_only_where_times_were_given() {
        let scenario = crate::catalogue::named("SB").unwrap();
        let gap = |period, skews, window| {
            let mut experiment = experiment(&scenario, PaceChoice::Paced { given: false, period, skews });
            experiment.common.edges = edges(0.0).map(|plan| plan.edges);
            experiment.common.window = window;
            settings(&experiment, &Measured { counters: &[], edges: edges(0.0) }).edges.unwrap().gap
        };
        assert_eq!(gap(None, None, false), Gap::Short);
        assert_eq!(gap(Some(Ticks(100)), None, false), Gap::Even);
        assert_eq!(gap(None, Some(vec![Ticks(5)]), false), Gap::Even);
        assert_eq!(gap(None, None, true), Gap::Even);
    }

    #[test]
    fn a_coarse_clock_has_offsets_and_skews_in_its_units() {
        let scenario = crate::catalogue::named("SB").unwrap();
        let mut experiment = experiment(&scenario, PaceChoice::Paced { given: true, period: None, skews: None });
        let clock = Clock { frequency_hz: 25e6, resolution_ticks: 1, read_ticks: 1 };
        (experiment.common.clock, experiment.common.edges) = (clock, Edges::of(&clock, None));
        let counters = [Counters::Within(Ticks(10), Ticks(20))];
        let plan = settings(&experiment, &Measured { counters: &counters, edges: edges(0.0) });
        assert_eq!((plan.pace, plan.counter_offsets), (Pace::Edges { coarse_bits: 0 }, vec![Ticks(0), Ticks(15 << 7)]));
        assert_eq!(plan.edges, edges(0.0).map(|edges| EdgePlan { gap: Gap::Short, ..edges }));
        let units = units(&experiment);
        assert_eq!(units.frequency_hz, 128.0 * 25e6);
        // A window in steps of 2 ns, to 100 ns on either side, although a tick is 40 ns.
        let skews: Vec<f64> =
            window(units, units.ticks(Nanos(100.0))).into_iter().map(|skew| units.nanos(skew).0).collect();
        assert_eq!((skews.len(), skews[0], skews[50], skews[100]), (101, -100.0, 0.0, 100.0));
        assert!(skews.windows(2).all(|pair| (pair[1] - pair[0] - 2.0).abs() < 0.4), "{skews:?}");
        // The default sweep keeps its number of skews.
        assert_eq!(sweep(units, units.ticks(Nanos(100.0)), 1).len(), 49);
    }

    #[test]
    fn a_sweep_is_as_wide_as_an_instance_or_as_a_search_found() {
        let clock = Clock { frequency_hz: 1e9, resolution_ticks: 1, read_ticks: 20 };
        let end = |ns, reach| sweep(clock, Ticks(ns), reach).last().copied();
        for (ns, reach, width) in
            [(20, 1, 60), (100, 1, 100), (900, 1, 240), (20, 2, 120), (100, 2, 200), (100, 4, 240)]
        {
            assert_eq!(end(ns, reach), Some(Ticks(width)), "{ns} {reach}");
        }
        let scenario = crate::catalogue::named("SB").unwrap();
        let experiment = experiment(&scenario, PaceChoice::Paced { given: false, period: None, skews: None });
        let experiment = Experiment { searched_period: Some(Ticks(100)), reach: 2, ..experiment };
        let plan = planned(&experiment, &measured(&[]), &mut Memory::default(), &AtomicBool::new(false)).unwrap().1;
        assert_eq!((plan.skews.len(), plan.skews[48]), (49, Ticks(200)));
    }

    #[test]
    fn starts_are_corrected_by_what_was_measured_and_it_is_recorded() {
        let scenario = crate::catalogue::named("SB").unwrap();
        let clock = Clock::calibrate();
        let period = Some(clock.ticks(Nanos(1000.0)));
        let mut experiment =
            experiment(&scenario, PaceChoice::Paced { given: true, period, skews: Some(vec![Ticks(0)]) });
        let allowed = machine::allowed_cpus().unwrap();
        experiment.placement.cpus = vec![allowed[0], allowed[1 % allowed.len()]];
        experiment.common.clock = clock;
        experiment.common.limits = Limits { iterations: Some(5), ..Limits::default() };
        experiment.choice.batch = Some(1);
        // In fact the counters agree. With this false correction P1 starts later by the same time, in every
        // batch.
        let offset = clock.ticks(Nanos(20e6));
        let flag = AtomicBool::new(false);
        let finished = run_with(
            &experiment,
            &measured(&[Counters::Within(offset, offset)]),
            (&mut Memory::default(), None),
            [&flag; 2],
            &mut |_| (),
        )
        .unwrap()
        .0;
        match &finished.result.distances {
            // The first look finds that the correction is false.
            Some(distances) => assert!(distances.offset_changes > 0, "{distances:?}"),
            None => assert!(finished.result.elapsed_s > 5.0 * 0.018, "{} s", finished.result.elapsed_s),
        }
        let [offset] = &finished.result.counters[..] else { panic!("{:?}", finished.result.counters) };
        assert_eq!((offset.cpu, offset.corrected), (experiment.placement.cpus[1], true));
        assert!((offset.offset_ns.unwrap() - 20e6).abs() < 10.0, "{offset:?}");
        assert_eq!(finished.result.skews[0].skew_ns, 0.0);
    }

    #[test]
    fn counters_are_measured_between_different_cpus_alone() {
        let scenario = crate::catalogue::named("SB").unwrap();
        let mut experiment = experiment(&scenario, PaceChoice::Free { given: true });
        experiment.common.clock = Clock::calibrate();
        let allowed = machine::allowed_cpus().unwrap();
        experiment.placement.cpus = vec![allowed[0]; 2];
        assert_eq!(counters(&experiment).unwrap(), []);
        experiment.placement.cpus = vec![allowed[0], 1_000_000];
        assert!(counters(&experiment).unwrap_err().to_string().contains("1000000"));
    }
}
