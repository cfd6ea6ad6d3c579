//! One scenario on one placement: pace it, run it, and put what was counted into a result.

use std::collections::BTreeMap;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use crate::arch::Arch;
use crate::catalogue::Scenario;
use crate::codegen::{self, Pace, Target, ThreadCode};
use crate::error::{Error, Result};
use crate::harness::{self, Adapt, Job, Limits, Plan, StartTally, Stop, StressKind, Tally, Warm};
use crate::layout::{Layout, LayoutKind};
use crate::machine::{self, Clock, Placement};
use crate::program::{Const, Program};
use crate::record::{
    Evidence, FinalValue, Finding, Gaps, LayoutRecord, OutcomeRecord, PaceRecord, PlacementRecord, ScenarioResult,
    SkewRecord, StartRecord, compute,
};
use crate::stats::drift;
use crate::verdict::Expectation;

/// A scenario with everything settled that can be before it runs.
#[derive(Debug, Clone)]
pub struct Experiment<'a> {
    /// What is run.
    pub scenario: &'a Scenario,
    /// Where.
    pub placement: Placement,
    /// Where its variables lie.
    pub layout: Layout,
    /// How it is run.
    pub choice: Choice,
    /// What it has in common with the others of its run.
    pub common: Common,
    /// What may be seen of it here.
    pub expectation: Expectation,
    /// Its code for that pace, one per thread.
    pub code: Vec<ThreadCode>,
}

/// What the experiments of a run have in common.
#[derive(Debug, Clone, Copy)]
pub struct Common {
    /// What code is emitted for.
    pub target: Target,
    /// The host's clock.
    pub clock: Clock,
    /// The distance at which variables no longer disturb each other, in bytes.
    pub line: usize,
    /// Seed of the order of skews.
    pub seed: u64,
    /// When each ends.
    pub limits: Limits,
    /// The nice value that threads ask for.
    pub nice: i32,
    /// Whether all skews are taken equally often to the end.
    pub window: bool,
    /// Whether they may run beside others of their scenario on other CPUs.
    pub side_by_side: bool,
}

/// The most instances at a tick.
pub const LARGEST_GROUP: usize = 4096;
/// The most instances in a batch: 2^20 padded ones of six variables are 768 MiB.
pub const LARGEST_BATCH: usize = 1 << 20;

/// How one scenario is run on one placement.
#[derive(Debug, Clone)]
pub struct Choice {
    /// How instances follow each other.
    pub pace: PaceChoice,
    /// Where variables lie.
    pub layout: LayoutKind,
    /// Instances per batch, if given.
    pub batch: Option<usize>,
    /// Instances at each tick; chosen by trying if absent.
    pub group: Option<usize>,
    /// Whether their lines are fetched before it.
    pub warm: Warm,
    /// What presses on the memory system beside it.
    pub stress: Option<StressKind>,
    /// The profile it is from.
    pub profile: Option<String>,
}

impl<'a> Experiment<'a> {
    /// Settles everything that can be before it runs: its code is emitted, so that whatever cannot be is said now.
    ///
    /// # Errors
    /// If there is no such code.
    pub fn new(
        scenario: &'a Scenario,
        placement: Placement,
        choice: Choice,
        expectation: Expectation,
        common: &Common,
    ) -> Result<Experiment<'a>> {
        let layout = Layout::for_batch(choice.layout, &scenario.program, common.line, choice.batch)?;
        let code = codegen::emit(common.target, &scenario.program, &layout, choice.pace.kind())?;
        Ok(Experiment { scenario, placement, layout, choice, common: *common, expectation, code })
    }
}

/// How an experiment is to be paced.
#[derive(Debug, Clone, PartialEq)]
pub enum PaceChoice {
    /// As fast as it can.
    Free {
        /// Whether somebody asked for it.
        given: bool,
    },
    /// By the clock.
    Paced {
        /// Whether somebody asked for it.
        given: bool,
        /// Ticks from one instance to the next; measured if absent.
        period: Option<u64>,
        /// Skews in ticks; a sweep as wide as one instance takes if absent.
        skews: Option<Vec<i64>>,
    },
}

impl PaceChoice {
    /// Which code it takes.
    pub fn kind(&self) -> Pace {
        match self {
            PaceChoice::Free { .. } => Pace::Free,
            PaceChoice::Paced { .. } => Pace::Paced,
        }
    }
}

/// What came out of an experiment.
#[derive(Debug)]
pub struct Finished {
    /// The result; its finding is not yet judged.
    pub result: ScenarioResult,
    /// Why it ended.
    pub stop: Stop,
}

/// Skews in a sweep: odd, so that 0 is among them, and enough that no window is stepped over: the narrowest seen was
/// 25 ns wide, which is a twentieth of the widest sweep.
const SWEEP_POINTS: i64 = 49;
/// The narrowest and widest default sweep to either side, in nanoseconds. The far end covers a line's way between two
/// sockets.
const SWEEP_NS: std::ops::RangeInclusive<f64> = 60.0..=240.0;

/// Runs of this length and more measure how long a line takes first.
const LONG: Duration = Duration::from_secs(1);
/// Where a period begins that nothing was measured for, in nanoseconds: a few line transfers on any CPU.
const GUESS_NS: f64 = 300.0;

/// Runs an experiment. `watch` sees the counts a few times a second.
///
/// # Errors
/// As [`harness::run`].
pub fn run(experiment: &Experiment<'_>, interrupt: &AtomicBool, watch: impl FnMut(&Tally)) -> Result<Finished> {
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
    let mut plan = Plan {
        pace,
        period: 0,
        group: experiment.choice.group.unwrap_or(1),
        // Only who waits for a tick has time to fetch.
        warm: if pace == Pace::Paced { experiment.choice.warm } else { Warm::Off },
        focus: false,
        nice: experiment.common.nice,
        adapt: Adapt::Never,
        skews: vec![0],
        ahead: Vec::new(),
        batch: experiment.choice.batch.unwrap_or_else(|| harness::default_batch(&experiment.layout, pace)),
        seed: experiment.common.seed,
        limits: experiment.common.limits,
    };
    if let PaceChoice::Paced { period, skews, .. } = &experiment.choice.pace {
        let free_to_choose =
            experiment.choice.group.is_none() && period.is_none() && skews.is_none() && !experiment.common.window;
        let measured = if experiment.common.limits.races.is_some() && period.is_none() {
            // Whoever waits for the first races is better off with races now than with more of them later.
            experiment.common.clock.ticks(GUESS_NS) as u64
        } else if free_to_choose {
            harness::choose_group(job, &mut plan)?;
            plan.period
        } else if period.is_none() || skews.is_none() {
            harness::choose_pace(job, &plan)?
        } else {
            0
        };
        plan.period = period.unwrap_or(measured);
        if period.is_none() {
            plan.adapt = Adapt::Races;
        }
        plan.focus = skews.is_none() && !experiment.common.window;
        plan.skews = skews.clone().unwrap_or_else(|| sweep(experiment.common.clock, measured));
    }
    let line_transfer_ns = line_transfer(experiment)?;
    let stress = experiment.choice.stress.map(|kind| harness::Stress::begin(kind, job.cpus)).transpose()?;
    let measurement = harness::run(job, &plan, interrupt, watch)?;
    drop(stress);
    let mut result = result(experiment, &plan, code, &measurement)?;
    result.line_transfer_ns = line_transfer_ns;
    Ok(Finished { result, stop: measurement.stop })
}

/// Runs experiments at the same time; no two may share a CPU. `watch` sees the counts of the first.
///
/// # Errors
/// That of the first that fails; the others run to their ends.
pub fn run_side_by_side(
    experiments: &[&Experiment<'_>],
    interrupt: &AtomicBool,
    watch: impl FnMut(&Tally),
) -> Result<Vec<Finished>> {
    let Some((first, others)) = experiments.split_first() else { return Ok(Vec::new()) };
    std::thread::scope(|scope| {
        let others: Vec<_> =
            others.iter().map(|experiment| scope.spawn(move || run(experiment, interrupt, |_| ()))).collect();
        let mut finished = vec![run(first, interrupt, watch)];
        for other in others {
            let panicked = || Err(Error::Internal("a run panicked".to_owned()));
            finished.push(other.join().unwrap_or_else(|_| panicked()));
        }
        finished.into_iter().collect()
    })
}

/// The way of a line between the first two CPUs, if the run is long enough that measuring it does not matter.
fn line_transfer(experiment: &Experiment<'_>) -> Result<Option<f64>> {
    let long = experiment.common.limits.duration.is_some_and(|limit| limit >= LONG);
    match experiment.placement.cpus[..] {
        [a, b, ..] if long && a != b => machine::line_transfer(a, b, experiment.common.clock, 5).map(Some),
        _ => Ok(None),
    }
}

/// A sweep about as wide to either side as one instance takes, in ticks.
fn sweep(clock: Clock, instance: u64) -> Vec<i64> {
    let width = clock.ns(instance as f64).clamp(*SWEEP_NS.start(), *SWEEP_NS.end());
    let half = SWEEP_POINTS / 2;
    let mut skews: Vec<i64> =
        (-half..=half).map(|step| clock.ticks(width * step as f64 / half as f64) as i64).collect();
    skews.dedup();
    skews
}

fn result(
    experiment: &Experiment<'_>,
    plan: &Plan,
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
        source_sha256: scenario.sha256.clone(),
        code_sha256: codegen::hash(code),
        source: scenario.test.source.text().to_owned(),
        listing,
        condition: format!("{} ({})", program.quantifier, program.prop(&program.condition)),
        match_event: program.match_event.as_ref().map(|event| program.prop(event)),
        placement: PlacementRecord { cpus: placement.cpus.clone(), class: placement.class },
        pace: PaceRecord {
            mode: if paced { "paced" } else { "free" }.to_owned(),
            chosen: if given { "given" } else { "auto" }.to_owned(),
            period_ticks: paced.then_some(measurement.period.round() as u64),
            period_ns: paced.then(|| clock.ns(measurement.period)),
            given_period_ns: given_period.map(|ticks| clock.ns(ticks as f64)),
            given_skews,
            profile: experiment.choice.profile.clone(),
            group: plan.group,
            given_group: experiment.choice.group.is_some(),
            warm: plan.warm,
            focused: plan.focus,
            apart_ns: measurement.apart,
            late: paced.then_some(measurement.late),
        },
        layout: LayoutRecord { kind: layout.kind.to_string(), line_bytes: layout.line, stride_bytes: layout.stride },
        batch: plan.batch,
        seed: plan.seed,
        // Only arm64 has a choice.
        atomics: (target.arch == Arch::Aarch64).then(|| target.atomics.to_string()),
        iterations,
        elapsed_s,
        in_batches_s: measurement.in_batches.as_secs_f64(),
        iterations_per_s: 0.0,
        outcomes: outcomes.iter().map(|(row, count)| outcome(program, row, *count)).collect(),
        matches,
        races,
        rate: None,
        interval: None,
        rate_per_match: None,
        interval_per_match: None,
        reproducibility: None,
        drift: if races > 0 { drift(&measurement.history) } else { None },
        sensitivity: None,
        discarded: measurement.discarded,
        disturbances: measurement.disturbances,
        line_transfer_ns: None,
        nice: measurement.nice,
        stress: experiment.choice.stress.map(|kind| kind.to_string()),
        skews: measurement
            .tally
            .skews
            .iter()
            .map(|tally| SkewRecord {
                skew_ns: clock.ns(tally.skew as f64),
                iterations: tally.iterations(),
                matches: harness::matches(program, &tally.outcomes),
                races: harness::races(program, &tally.outcomes),
                outcomes: outcomes.keys().map(|row| tally.outcomes.get(row).copied().unwrap_or(0)).collect(),
            })
            .collect(),
        starts: measurement
            .tally
            .starts
            .iter()
            .filter(|start| start.iterations > 0)
            .map(|tally| start(program, tally))
            .collect(),
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
        extra: BTreeMap::new(),
    };
    compute(&mut result);
    Ok(result)
}

fn start(program: &Program, tally: &StartTally) -> StartRecord {
    let named = program.locations.iter().zip(&tally.last_writers);
    StartRecord {
        warm: tally.warm,
        last_writers: named
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
