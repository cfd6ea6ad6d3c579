//! One scenario on one placement: calibrates its pace, runs it, and makes a result of its counts.

use std::collections::{BTreeMap, HashSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::catalogue::{self, Scenario};
use crate::codegen::{self, Pace, Target, ThreadCode};
use crate::error::{Error, Result};
use crate::harness::{self, Adapt, Job, LastWriterTally, Limits, Prefetch, RunPlan, Stop, StressKind, Tally};
use crate::isa;
use crate::layout::{Layout, LayoutKind};
use crate::machine::{self, Clock, Counters, Placement};
use crate::program::{Const, Program};
use crate::record::{
    CountRecord, Evidence, FinalValue, Finding, Gaps, LastWriterRecord, LayoutRecord, OutcomeRecord, PaceRecord,
    PlacementRecord, ScenarioResult, SkewRecord, compute,
};
use crate::stats::drift;
use crate::units::{Nanos, Ticks};
use crate::verdict::Expectation;

/// A scenario with all settings that can be decided before it runs.
#[derive(Debug, Clone)]
pub struct Experiment<'a> {
    /// The scenario.
    pub scenario: &'a Scenario,
    /// The CPUs it runs on.
    pub placement: Placement,
    /// Placement of its variables in memory.
    pub layout: Layout,
    /// How it is run.
    pub choice: Choice,
    /// Settings that all experiments of a run share.
    pub common: Common,
    /// The expected verdicts on this architecture, shown beside the measurement.
    pub expectation: Expectation,
    /// Machine code for the chosen pace, one function per thread.
    pub code: Vec<ThreadCode>,
}

/// Settings that all experiments of a run share.
#[derive(Debug, Clone, Copy)]
pub struct Common {
    /// Target that code is emitted for.
    pub target: Target,
    /// The host's clock.
    pub clock: Clock,
    /// Distance in bytes at which variables share no line and do not disturb each other.
    pub line: usize,
    /// Seed for the order of the skews.
    pub seed: u64,
    /// When each experiment ends.
    pub limits: Limits,
    /// The nice value that threads request.
    pub nice: i32,
    /// Whether all skews are used equally often to the end.
    pub window: bool,
    /// Whether experiments of the same scenario may run at the same time on other CPUs.
    pub side_by_side: bool,
}

/// Maximum number of instances per tick.
pub const LARGEST_GROUP: usize = 4096;
/// Maximum number of instances per batch. 2^20 padded instances of six variables take 768 MiB.
pub const LARGEST_BATCH: usize = 1 << 20;

/// How one scenario is run on one placement.
#[derive(Debug, Clone)]
pub struct Choice {
    /// Free-running or paced.
    pub pace: PaceChoice,
    /// How variables are placed in memory.
    pub layout: LayoutKind,
    /// Instances per batch, if the user gives a number.
    pub batch: Option<usize>,
    /// Instances per tick; if absent, calibration chooses the number.
    pub group: Option<usize>,
    /// Whether the lines of a group are prefetched before its tick.
    pub prefetch: Prefetch,
    /// Load on the memory system beside the experiment, if any.
    pub stress: Option<StressKind>,
    /// Name of the profile that the settings come from, if any.
    pub profile: Option<String>,
}

impl<'a> Experiment<'a> {
    /// Prepares an experiment. Emits the code, so that a scenario that cannot be emitted is reported before
    /// anything runs.
    ///
    /// # Errors
    /// If the layout does not fit, or if the code cannot be emitted.
    pub fn new(
        scenario: &'a Scenario,
        placement: Placement,
        choice: Choice,
        expectation: Expectation,
        common: &Common,
    ) -> Result<Experiment<'a>> {
        let layout = Layout::for_batch(choice.layout, &scenario.program, common.line, choice.batch)?;
        let code = isa::emit(common.target, &scenario.program, &layout, choice.pace.kind())?;
        Ok(Experiment { scenario, placement, layout, choice, common: *common, expectation, code })
    }
}

/// How an experiment is paced.
#[derive(Debug, Clone, PartialEq)]
pub enum PaceChoice {
    /// Free-running: as fast as possible.
    Free {
        /// Whether the user asked for it.
        given: bool,
    },
    /// Paced: each group starts at a tick of the clock.
    Paced {
        /// Whether the user asked for it.
        given: bool,
        /// Period; if absent, calibration chooses it.
        period: Option<Ticks>,
        /// Skews; if absent, a sweep about as wide to either side as one instance takes.
        skews: Option<Vec<Ticks>>,
    },
}

impl PaceChoice {
    /// The pace that the code is emitted for.
    pub fn kind(&self) -> Pace {
        match self {
            PaceChoice::Free { .. } => Pace::Free,
            PaceChoice::Paced { .. } => Pace::Paced,
        }
    }
}

/// Result of an experiment.
#[derive(Debug)]
pub struct Finished {
    /// The result. Its finding is not decided yet.
    pub result: ScenarioResult,
    /// Why the run ended.
    pub stop: Stop,
}

/// Number of skews in a sweep. It is odd, so that 0 is one of them. It is large enough that no window falls
/// between two skews: the narrowest window seen is 25 ns wide, which is a twentieth of the widest sweep.
const SWEEP_POINTS: i64 = 49;
/// The narrowest and the widest default sweep to either side. The widest covers a cache-line
/// transfer between two sockets.
const SWEEP: [Nanos; 2] = [Nanos(60.0), Nanos(240.0)];

/// Only runs of at least this length measure the cache-line transfer latency first.
const LONG: Duration = Duration::from_secs(1);
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
    run_until(experiment, interrupt, interrupt, watch)
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
    let counters = if interrupt.load(Ordering::Relaxed) { Vec::new() } else { counters(experiment)? };
    match free_fallback(experiment, &counters)? {
        Some(free) => run_with(&free, &counters, interrupt, enough, watch),
        None => run_with(experiment, &counters, interrupt, enough, watch),
    }
}

/// Measures how far the counter of each thread's CPU is ahead of P0's. Empty if threads share a CPU.
fn counters(experiment: &Experiment<'_>) -> Result<Vec<Counters>> {
    let cpus = &experiment.placement.cpus;
    let Some((&first, others)) = cpus.split_first() else { return Ok(Vec::new()) };
    if cpus.iter().collect::<HashSet<_>>().len() < cpus.len() {
        return Ok(Vec::new());
    }
    others.iter().map(|&cpu| machine::counters(first, cpu, experiment.common.clock)).collect()
}

/// The free-running experiment to run if the counters make paced starts meaningless; `None` if they do not.
fn free_fallback<'a>(experiment: &Experiment<'a>, counters: &[Counters]) -> Result<Option<Experiment<'a>>> {
    let PaceChoice::Paced { given, period, skews } = &experiment.choice.pace else { return Ok(None) };
    let Some(at) = counters.iter().position(|counters| counters.contradict()) else { return Ok(None) };
    let Experiment { scenario, placement, choice, common, expectation, .. } = experiment;
    if *given || period.is_some() || skews.is_some() || common.window {
        let (first, other) = (placement.cpus[0], placement.cpus[at + 1]);
        let problem = counters[at].record(other, common.clock).problem.unwrap_or_default();
        return Err(Error::Host(format!(
            "{}: threads on CPUs {first} and {other} cannot be paced: {problem}. Without --pace paced, --period, --skew and --window, \
             instances run free",
            scenario.name
        )));
    }
    let choice = Choice { pace: PaceChoice::Free { given: false }, group: None, profile: None, ..choice.clone() };
    Experiment::new(scenario, placement.clone(), choice, expectation.clone(), common).map(Some)
}

fn run_with(
    experiment: &Experiment<'_>,
    counters: &[Counters],
    interrupt: &AtomicBool,
    enough: &AtomicBool,
    watch: impl FnMut(&Tally),
) -> Result<Finished> {
    let program = &experiment.scenario.program;
    let code = &experiment.code;
    let job = Job {
        program,
        layout: &experiment.layout,
        code,
        cpus: &experiment.placement.cpus,
        clock: experiment.common.clock,
    };
    let pace = experiment.choice.pace.kind();
    let mut plan = RunPlan {
        pace,
        period: Ticks(0),
        group: experiment.choice.group.unwrap_or(1),
        // Only a thread that waits for a tick has time to prefetch.
        prefetch: if pace == Pace::Paced { experiment.choice.prefetch } else { Prefetch::Off },
        focus: false,
        nice: experiment.common.nice,
        adapt: Adapt::Never,
        skews: vec![Ticks(0)],
        counter_offsets: std::iter::once(Ticks(0))
            .chain(counters.iter().map(|counters| counters.correction()))
            .collect(),
        batch: experiment.choice.batch.unwrap_or_else(|| harness::default_batch(&experiment.layout, pace)),
        seed: experiment.common.seed,
        limits: experiment.common.limits,
    };
    if let PaceChoice::Paced { period, skews, .. } = &experiment.choice.pace {
        let free_to_choose =
            experiment.choice.group.is_none() && period.is_none() && skews.is_none() && !experiment.common.window;
        let measured = if experiment.common.limits.races.is_some() && period.is_none() {
            // With a limit on races the calibration is skipped: the first races come sooner without it, although a
            // calibrated period would give more of them later.
            experiment.common.clock.ticks(GUESS)
        } else if free_to_choose {
            harness::choose_group(job, &mut plan, interrupt)?;
            plan.period
        } else if period.is_none() || skews.is_none() {
            harness::choose_pace(job, &plan, interrupt)?
        } else {
            Ticks(0)
        };
        plan.period = period.unwrap_or(measured);
        if period.is_none() {
            plan.adapt = Adapt::Races;
        }
        plan.focus = skews.is_none() && !experiment.common.window;
        plan.skews = skews.clone().unwrap_or_else(|| sweep(experiment.common.clock, measured));
    }
    let line_transfer = if interrupt.load(Ordering::Relaxed) { None } else { line_transfer(experiment)? };
    let stress = experiment.choice.stress.map(|kind| harness::Stress::begin(kind, job.cpus)).transpose()?;
    let measurement = harness::run(job, &plan, enough, watch)?;
    drop(stress);
    let mut result = result(experiment, &plan, code, &measurement)?;
    result.line_transfer_ns = line_transfer.map(|Nanos(ns)| ns);
    let others = experiment.placement.cpus.iter().skip(1);
    result.counters =
        counters.iter().zip(others).map(|(counters, &cpu)| counters.record(cpu, experiment.common.clock)).collect();
    Ok(Finished { result, stop: measurement.stop })
}

/// Runs experiments at the same time. No two of them may share a CPU. `watch` gets the counts of the first one.
///
/// Each ends by itself, and the result of each is returned even if another one fails. If one cannot be started,
/// none runs.
pub fn run_side_by_side(
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
        let mut finished = vec![run(first, interrupt, watch)];
        for other in others {
            let panicked = || Err(Error::Internal("the thread of an experiment panicked".to_owned()));
            finished.push(other.join().unwrap_or_else(|_| panicked()));
        }
        finished
    })
}

/// Cache-line transfer latency between the first two CPUs; measured only in runs of at least 1 s
/// ([`LONG`]).
fn line_transfer(experiment: &Experiment<'_>) -> Result<Option<Nanos>> {
    let long = experiment.common.limits.duration.is_some_and(|limit| limit >= LONG);
    match experiment.placement.cpus[..] {
        [a, b, ..] if long && a != b => machine::line_transfer(a, b, experiment.common.clock, 5).map(Some),
        _ => Ok(None),
    }
}

/// A sweep that is about as wide to either side as one instance takes.
fn sweep(clock: Clock, instance: Ticks) -> Vec<Ticks> {
    let [narrowest, widest] = SWEEP;
    let Nanos(width) = clock.nanos(instance);
    let width = width.clamp(narrowest.0, widest.0);
    let half = SWEEP_POINTS / 2;
    let mut skews: Vec<Ticks> =
        (-half..=half).map(|step| clock.ticks(Nanos(width * step as f64 / half as f64))).collect();
    skews.dedup();
    skews
}

fn result(
    experiment: &Experiment<'_>,
    plan: &RunPlan,
    code: &[ThreadCode],
    measurement: &harness::Measurement,
) -> Result<ScenarioResult> {
    let Experiment { scenario, placement, layout, common: Common { target, clock, .. }, .. } = experiment;
    let program = &scenario.program;
    let outcomes = measurement.tally.outcomes();
    let iterations = measurement.tally.iterations;
    let races = harness::races(program, &outcomes);
    let matches = harness::matches(program, &outcomes);
    let (given, given_period, given_skews) = match &experiment.choice.pace {
        PaceChoice::Free { given } => (*given, None, false),
        PaceChoice::Paced { given, period, skews } => (*given, *period, skews.is_some()),
    };
    let paced = plan.pace == Pace::Paced;
    let elapsed_s = measurement.elapsed.as_secs_f64();
    let mut listing = String::new();
    for (number, (thread, code)) in program.threads.iter().zip(code).enumerate() {
        listing.push_str(&format!("P{number}\n{}", codegen::listing(program, thread, code)?));
    }
    let mut result = ScenarioResult {
        scenario: scenario.name.clone(),
        group: scenario.group.clone(),
        question: scenario.test.header.summary(),
        is_control: catalogue::is_control(&scenario.name, &scenario.sha256, target.arch),
        source_sha256: scenario.sha256.clone(),
        code_sha256: codegen::hash(code),
        source: scenario.test.source.text().to_owned(),
        listing,
        condition: program.condition_text(),
        match_event: program.match_event.as_ref().map(|event| program.prop(event)),
        placement: PlacementRecord { cpus: placement.cpus.clone(), class: placement.class },
        pace: PaceRecord {
            mode: if paced { "paced" } else { "free" }.to_owned(),
            chosen: if given { "given" } else { "auto" }.to_owned(),
            period_ticks: paced.then(|| clock.ticks(measurement.period).unsigned()),
            period_ns: paced.then_some(measurement.period.0),
            given_period_ns: given_period.map(|period| clock.nanos(period).0),
            given_skews,
            profile: experiment.choice.profile.clone(),
            group: plan.group,
            given_group: experiment.choice.group.is_some(),
            prefetch: plan.prefetch,
            focused: plan.focus,
            end_spread_ns: Some(measurement.end_spread.0),
            late: paced.then_some(measurement.late),
        },
        layout: LayoutRecord { kind: layout.kind.to_string(), line_bytes: layout.line, stride_bytes: layout.stride },
        batch: plan.batch,
        seed: plan.seed,
        atomics: target.arch.has_two_atomics().then(|| target.atomics.to_string()),
        iterations,
        filtered: measurement.tally.filtered,
        elapsed_s,
        in_batches_s: measurement.in_batches.as_secs_f64(),
        iterations_per_s: 0.0,
        outcomes: outcomes.iter().map(|(row, count)| outcome(program, row, *count)).collect(),
        displayed: program.displayed.iter().map(|&column| program.column_name(column)).collect(),
        matches,
        races,
        rate: None,
        interval: None,
        rate_per_match: None,
        interval_per_match: None,
        effective_iterations: None,
        reproducibility: None,
        drift: if races > 0 { drift(&measurement.history) } else { None },
        sensitivity: None,
        discarded: measurement.discarded,
        disturbances: measurement.disturbances,
        moved: measurement.moved,
        line_transfer_ns: None,
        counters: Vec::new(),
        nice: measurement.nice,
        stress: experiment.choice.stress.map(|kind| kind.to_string()),
        skews: measurement
            .tally
            .skews
            .iter()
            .map(|tally| SkewRecord {
                skew_ns: clock.nanos(tally.skew).0,
                iterations: tally.iterations(),
                matches: harness::matches(program, &tally.outcomes),
                races: harness::races(program, &tally.outcomes),
                outcomes: outcomes.keys().map(|row| tally.outcomes.get(row).copied().unwrap_or(0)).collect(),
            })
            .collect(),
        last_writers: measurement
            .tally
            .last_writers
            .iter()
            .filter(|tally| tally.iterations > 0)
            .map(|tally| last_writers(program, tally))
            .collect(),
        blocks: (measurement.blocks.iter())
            .map(|&harness::Block { iterations, races }| CountRecord { iterations, races, matches: None })
            .collect(),
        repeats: Vec::new(),
        gaps: Gaps::new(&measurement.tally.gaps),
        expected: experiment.expectation.race,
        expected_from: experiment.expectation.source,
        lkmm: experiment.expectation.lkmm,
        controls_fired: Vec::new(),
        evidence: Some(Evidence {
            needs: experiment
                .expectation
                .needs
                .as_ref()
                .map(|needs| needs.iter().map(|set| set.iter().copied().collect()).collect()),
            ..Evidence::default()
        }),
        finding: Finding::Inconclusive,
        former_meanings: Vec::new(),
        extra: BTreeMap::new(),
    };
    compute(&mut result);
    Ok(result)
}

fn last_writers(program: &Program, tally: &LastWriterTally) -> LastWriterRecord {
    let named = program.locations.iter().zip(&tally.writers);
    LastWriterRecord {
        prefetched: tally.prefetched,
        writers: named
            .filter_map(|(location, thread)| thread.map(|thread| (location.name.clone(), format!("P{thread}"))))
            .collect(),
        iterations: tally.iterations,
        races: tally.races,
    }
}

fn outcome(program: &Program, row: &[Const], count: u64) -> OutcomeRecord {
    let values: BTreeMap<String, FinalValue> = row
        .iter()
        .enumerate()
        .map(|(column, value)| {
            let value = match *value {
                Const::Int(value) => FinalValue::Int(value),
                Const::Address(_) => FinalValue::Address(program.constant(*value)),
            };
            (program.column_name(column), value)
        })
        .collect();
    OutcomeRecord { values, count, satisfies: program.is_race(row) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::machine::Class;

    /// An experiment on CPUs that this host may not have.
    fn experiment(scenario: &Scenario, pace: PaceChoice) -> Experiment<'_> {
        let target = Target { arch: crate::arch::Arch::host().unwrap(), atomics: codegen::Atomics::of_host() };
        let common = Common {
            target,
            clock: Clock { frequency_hz: 1e9, resolution_ticks: 1, read_ticks: 20 },
            line: 128,
            seed: 1,
            limits: Limits::default(),
            nice: 0,
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
        };
        let expectation = crate::verdict::expectation(scenario, target.arch, target.atomics).unwrap();
        let placement = Placement { cpus: vec![4, 7], class: Class::Core };
        Experiment::new(scenario, placement, choice, expectation, &common).unwrap()
    }

    #[test]
    fn counters_that_do_not_run_alike_pace_nothing() {
        let scenario = crate::catalogue::named("SB").unwrap();
        let paced = |given, period, skews| experiment(&scenario, PaceChoice::Paced { given, period, skews });
        let apart = [Counters::Contradiction(Ticks(70))];
        let free = free_fallback(&paced(false, None, None), &apart).unwrap().unwrap();
        assert_eq!(free.choice.pace, PaceChoice::Free { given: false });
        assert_eq!(free.choice.profile, None);
        // The code is that of a free run.
        let emitted = isa::emit(free.common.target, &scenario.program, &free.layout, Pace::Free).unwrap();
        assert_eq!(codegen::hash(&free.code), codegen::hash(&emitted));
        for asked in
            [paced(true, None, None), paced(false, Some(Ticks(100)), None), paced(false, None, Some(vec![Ticks(0)]))]
        {
            let error = free_fallback(&asked, &apart).unwrap_err().to_string();
            assert!(
                error.contains("CPUs 4 and 7") && error.contains("by 70 ns") && error.contains("--pace"),
                "{error}"
            );
        }
        for fine in [Counters::Within(Ticks(-5), Ticks(9)), Counters::Within(Ticks(100), Ticks(200)), Counters::Untold]
        {
            assert!(free_fallback(&paced(true, None, None), &[fine]).unwrap().is_none(), "{fine:?}");
        }
        let free = experiment(&scenario, PaceChoice::Free { given: true });
        assert!(free_fallback(&free, &apart).unwrap().is_none());
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
        let finished = run_with(&experiment, &[Counters::Within(offset, offset)], &flag, &flag, |_| ()).unwrap();
        assert!(finished.result.elapsed_s > 5.0 * 0.018, "{} s", finished.result.elapsed_s);
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
