//! Makes a result of what was measured.

use std::collections::BTreeMap;

use super::request::{Common, Experiment, PaceChoice};
use super::run::units;
use crate::arch::lock::Lock;
use crate::catalogue;
use crate::codegen;
use crate::error::Result;
use crate::harness::{
    self, AtDistance, DistanceCounts, EdgePlan, LastWriterTally, Limits, Measurement, OutcomeCounts, RunPlan,
    SkewTally, SlotTally, Stop,
};
use crate::machine::Clock;
use crate::program::{Const, Program};
use crate::record::{
    CountRecord, DelayRecord, DistancesRecord, EdgesRecord, Evidence, FinalValue, Finding, Gaps, LastWriterRecord,
    LayoutRecord, LineFillsRecord, OutcomeRecord, PaceRecord, PhasesRecord, PlacementRecord, ScenarioResult,
    SkewRecord, StratumRecord, WithoutNeighbourRecord, compute, naming_of,
};
use crate::stats::drift;
use crate::units::Nanos;

/// Result of an experiment.
#[derive(Debug)]
pub struct Finished {
    /// The result. Its finding is not decided yet.
    pub result: ScenarioResult,
    /// Why the run ended.
    pub stop: Stop,
}

/// The result of an experiment that ran by `plan`. What was measured before the run is not in it yet.
///
/// # Errors
/// If the code cannot be disassembled.
pub(super) fn result(experiment: &Experiment<'_>, plan: &RunPlan, measurement: &Measurement) -> Result<ScenarioResult> {
    let Experiment { scenario, placement, layout, code, common: Common { target, .. }, .. } = experiment;
    let units = units(experiment);
    let program = &scenario.program;
    let outcomes = measurement.tally.outcomes();
    let iterations = measurement.tally.iterations;
    let races = harness::races(program, &outcomes);
    let matches = harness::matches(program, &outcomes);
    let mut listing = String::new();
    for (number, (thread, code)) in program.threads.iter().zip(code).enumerate() {
        listing.push_str(&format!("P{number}\n{}", codegen::listing(program, thread, code)?));
    }
    let needs = experiment.expectation.needs.as_ref();
    let needs = needs.map(|needs| needs.iter().map(|set| set.iter().copied().collect()).collect());
    let (title, named_outcomes) = naming_of(scenario);
    let mut result = ScenarioResult {
        scenario: scenario.name.clone(),
        group: scenario.group.clone(),
        question: scenario.test.header.summary(),
        title,
        named_outcomes,
        is_control: catalogue::is_control(&scenario.name, &scenario.sha256, target.arch),
        source_sha256: scenario.sha256.to_string(),
        code_sha256: codegen::hash(code),
        source: scenario.test.source.text().to_owned(),
        listing,
        condition: program.condition_text(),
        match_event: program.match_event.as_ref().map(|event| program.prop(event)),
        placement: PlacementRecord {
            cpus: placement.cpus.clone(),
            class: placement.class,
            kinds: placement.kinds.clone(),
        },
        pace: pace(experiment, plan, measurement),
        layout: LayoutRecord { kind: layout.kind.to_string(), line_bytes: layout.line, stride_bytes: layout.stride },
        batch: plan.batch,
        seed: plan.seed,
        atomics: target.arch.has_two_atomics().then(|| target.atomics.to_string()),
        lock: (program.takes_lock() && Lock::of(target.arch).len() > 1).then(|| target.lock.to_string()),
        iterations,
        filtered: measurement.tally.filtered,
        elapsed_s: measurement.elapsed.as_secs_f64(),
        in_batches_s: measurement.in_batches.as_secs_f64(),
        phases: Some(PhasesRecord::new(&measurement.phases, harness::line_transfers(program, layout))),
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
        stopped_by: stopped_by(&experiment.common.limits, measurement.stop, races),
        goal: experiment.common.limits.goal,
        sequence: None,
        reproducibility: None,
        sightings: None,
        drift: if races > 0 { drift(&measurement.history) } else { None },
        sensitivity: None,
        discarded: measurement.discarded,
        disturbances: measurement.disturbances,
        moved: measurement.moved,
        line_transfer_ns: measurement.distances.as_ref().and_then(|distances| distances.first).map(|Nanos(ns)| ns),
        distances: measurement.distances.as_ref().map(|found| distances(program, units, found, plan.pace.is_paced())),
        counters: Vec::new(),
        nice: measurement.nice,
        line_fills: experiment.common.event.zip(measurement.event_count).map(|(event, count)| LineFillsRecord {
            event: event.name.to_owned(),
            count,
            per_instance: None,
        }),
        search: None,
        stress: experiment.choice.stress.map(|kind| kind.to_string()),
        skews: measurement.tally.skews.iter().map(|tally| skew(program, units, tally, &outcomes)).collect(),
        free: None,
        last_writers: (measurement.tally.last_writers.iter())
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
        evidence: Some(Evidence { needs, ..Evidence::default() }),
        finding: Finding::Inconclusive,
        warnings: Vec::new(),
        former_meanings: Vec::new(),
        extra: BTreeMap::new(),
    };
    compute(&mut result);
    Ok(result)
}

/// What a run found that ended it, in words. `None` if time or iterations ended it.
fn stopped_by(limits: &Limits, stop: Stop, races: u64) -> Option<String> {
    if stop != Stop::Found {
        return None;
    }
    let reached = limits.races.filter(|limit| races >= *limit);
    reached
        .map(|limit| format!("{limit} race{}", if limit == 1 { "" } else { "s" }))
        .or(limits.goal.map(|goal| goal.to_string()))
}

fn pace(experiment: &Experiment<'_>, plan: &RunPlan, measurement: &Measurement) -> PaceRecord {
    let Experiment { choice, common: Common { clock, .. }, .. } = experiment;
    let (given, given_period, given_skews) = match &choice.pace {
        PaceChoice::Free { given } => (*given, None, false),
        PaceChoice::Paced { given, period, skews } => (*given, *period, skews.is_some()),
    };
    let paced = plan.pace.is_paced();
    let units = units(experiment);
    PaceRecord {
        mode: if paced { "paced" } else { "free" }.to_owned(),
        chosen: if given { "given" } else { "auto" }.to_owned(),
        period_ticks: paced.then(|| clock.ticks(measurement.period).unsigned()),
        period_ns: paced.then_some(measurement.period.0),
        given_period_ns: given_period.map(|period| units.nanos(period).0),
        given_skews,
        profile: choice.profile.clone(),
        group: plan.group,
        given_group: choice.group.is_some(),
        searched: false,
        given: Vec::new(),
        prefetch: plan.prefetch,
        focused: plan.focus,
        end_spread_ns: Some(measurement.end_spread.0),
        late: paced.then_some(measurement.late),
        edges: plan.edges.as_ref().map(|plan| edges(experiment, plan, measurement)),
        free_because: experiment.free_because.clone(),
    }
}

fn edges(experiment: &Experiment<'_>, plan: &EdgePlan, measurement: &Measurement) -> EdgesRecord {
    let Experiment { placement, common: Common { clock, .. }, .. } = experiment;
    let (edges, units) = (plan.edges, units(experiment));
    EdgesRecord {
        step_ticks: edges.step,
        step_ns: clock.nanos(edges.step.into()).0,
        simulated: edges.simulated(),
        gap_share: Some(plan.gap.share()),
        delays: (placement.cpus.iter().zip(&measurement.chains))
            .map(|(&cpu, chain)| DelayRecord {
                cpu,
                step_ns: units.nanos_of(chain.units).0,
                passes_differ: chain.passes_differ,
            })
            .collect(),
        drifts: measurement.chain_drifts,
    }
}

/// The counts at one skew. `outcomes` gives the order of the outcomes.
fn skew(program: &Program, clock: Clock, tally: &SkewTally, outcomes: &OutcomeCounts) -> SkewRecord {
    SkewRecord {
        skew_ns: clock.nanos(tally.skew).0,
        iterations: tally.iterations(),
        matches: harness::matches(program, &tally.outcomes),
        races: harness::races(program, &tally.outcomes),
        outcomes: outcomes.keys().map(|row| tally.outcomes.get(row).copied().unwrap_or(0)).collect(),
    }
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

/// The counts at each distance between the CPUs.
fn distances(program: &Program, clock: Clock, found: &DistanceCounts, paced: bool) -> DistancesRecord {
    let several = found.strata.len() > 1;
    let block =
        |&harness::Block { iterations, races }: &harness::Block| CountRecord { iterations, races, matches: None };
    let stratum = |at: &AtDistance| {
        let CountRecord { iterations, races, matches } = counts(program, &at.counts);
        let own = if several { at.counts.clone() } else { SlotTally::default() };
        let none = OutcomeCounts::new();
        // The window and the ownership of a single distance are those of the result.
        StratumRecord {
            ns: at.distance.typical,
            low_ns: at.distance.low,
            high_ns: at.distance.high,
            looks: at.distance.looks,
            elapsed_s: at.elapsed.as_secs_f64(),
            in_batches_s: at.in_batches.as_secs_f64(),
            period_ns: paced.then_some(at.period.0),
            iterations,
            matches,
            races,
            rate: None,
            interval: None,
            drift: if races > 0 { drift(&at.history) } else { None },
            skews: own.skews.iter().map(|tally| skew(program, clock, tally, &none)).collect(),
            last_writers: (own.last_writers.iter())
                .filter(|tally| tally.iterations > 0)
                .map(|tally| last_writers(program, tally))
                .collect(),
            blocks: at.blocks.iter().map(block).collect(),
            repeats: Vec::new(),
            without_neighbour: at.without_neighbour.as_ref().map(|part| {
                let CountRecord { iterations, races, matches } = counts(program, &part.counts);
                WithoutNeighbourRecord {
                    elapsed_s: part.elapsed.as_secs_f64(),
                    in_batches_s: part.in_batches.as_secs_f64(),
                    iterations,
                    matches,
                    races,
                    blocks: part.blocks.iter().map(block).collect(),
                    ..WithoutNeighbourRecord::default()
                }
            }),
        }
    };
    DistancesRecord {
        looks: found.looks,
        lost: found.lost,
        neighbours: found.neighbours,
        offset_changes: found.offset_changes,
        strata: found.strata.iter().map(stratum).collect(),
        between: counts(program, &found.between),
        settings: Vec::new(),
    }
}

/// The sums of some counts.
fn counts(program: &Program, tally: &SlotTally) -> CountRecord {
    let sum = |of: &dyn Fn(&SkewTally) -> u64| tally.skews.iter().map(of).sum();
    CountRecord {
        iterations: sum(&SkewTally::iterations),
        races: sum(&|skew| harness::races(program, &skew.outcomes)),
        matches: program
            .match_event
            .as_ref()
            .map(|_| sum(&|skew| harness::matches(program, &skew.outcomes).unwrap_or(0))),
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
