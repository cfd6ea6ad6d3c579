//! Validates the results of `wakerace run`.

use std::collections::BTreeMap;

use super::distances::distances;
use super::host::{self, MOST_CPUS};
use super::{Problems, gaps, longest_s};
use crate::arch::Arch;
use crate::arch::lock::Lock;
use crate::catalogue::{self, Scenario};
use crate::codegen;
use crate::litmus::Source;
use crate::litmus::naming::MOST_CHARACTERS;
use crate::machine::{CounterOffset, offset_problems};
use crate::program::{Const, Program};
use crate::record::condition::asks_for;
use crate::record::{
    ArmRecord, CodeRecord, CountRecord, DelayRecord, EdgesRecord, Evidence, FinalValue, Finding, FreeRecord,
    LEAST_MATCHES, LastWriterRecord, LayoutRecord, NamedOutcomeRecord, OutcomeRecord, PaceRecord, PhasesRecord,
    PlacementRecord, Record, ScenarioResult, SearchRecord, Sensitivity, SkewRecord, compute, judge, judge::settle,
    kinds_on, naming_of,
};
use crate::stats::Drift;

/// The most instances of a batch that any version allowed. The instances of a tick are fewer.
pub(super) const MOST_INSTANCES: usize = 1 << 20;
/// The largest multiple of the shortest period that a search may try.
const LARGEST_STRETCH: u32 = 64;
/// More iterations per second than a thousand CPUs can complete. Two CPUs reached 180 million per second,
/// which would be 90 billion on a thousand.
const MOST_PER_SECOND: f64 = 1e12;
/// More line transfers than an iteration can need: one for each thread and location of the largest test.
const MOST_TRANSFERS: f64 = 1e6;
/// The longest time between instances, in nanoseconds: an hour.
pub(super) const LONGEST_NS: f64 = 3.6e12;
/// The relative error of a clock that was calibrated while other programs were running, and of times measured
/// by it.
const CLOCKS_DIFFER: f64 = 0.01;

pub(super) fn results(record: &Record, problems: &mut Problems) {
    let results = &record.results;
    let foreign = record.tool.is_foreign();
    // A sum may have results of hosts with other kinds of core on the same CPUs.
    let keys: Vec<_> = results
        .iter()
        .map(|result| {
            let PlacementRecord { cpus, class: _, kinds } = &result.placement;
            (result.test_key(), &result.code_sha256, cpus, kinds)
        })
        .collect();
    problems.distinct("results", "test on the same CPUs by the same code", &keys);
    let single = record.parts.is_empty();
    problems.each("results", results, |problems, result| {
        ranges(result, single, problems);
        kinds(record, result, problems);
        counts(result, problems);
        hashes(result, foreign, problems);
        problems.within("gaps", |problems| gaps(&result.gaps, "iterations", result.races, problems));
        if foreign {
            stars(result, problems);
        }
        if single {
            one_run(record, result, problems);
        }
        // Earlier versions may have parsed and printed the source differently.
        if !record.id.is_empty() {
            source(result, problems);
        }
    });
    computed(record, problems);
}

/// Checks the fields that follow from other fields of the record.
fn computed(record: &Record, problems: &mut Problems) {
    let mut wanted = record.results.clone();
    wanted.iter_mut().for_each(compute);
    let arch: Option<Arch> = record.host.architecture.parse().ok();
    let arch = arch.filter(|_| record.results.iter().all(is_of_this_catalogue));
    for (result, arch) in wanted.iter_mut().zip(arch.into_iter().cycle()) {
        result.is_control = catalogue::is_control(&result.scenario, &result.source_sha256, arch);
    }
    if arch.is_some() && record.parts.is_empty() {
        judge(&mut wanted);
    } else {
        problems.each("results", &record.results, |problems, result| claims(result, &record.results, problems));
        wanted.iter_mut().for_each(settle);
    }
    for (number, (found, wanted)) in record.results.iter().zip(&mut wanted).enumerate() {
        // Early versions did not write this field.
        if record.id.is_empty() && found.reproducibility.is_none() {
            wanted.reproducibility = None;
        }
        problems.within(&format!("results[{number}]"), |problems| {
            problems.differences(found, wanted, "the record's other fields give");
        });
    }
}

/// Whether a test with the name of a test of the catalogue has the same source. Which tests are controls
/// depends on the catalogue, and the catalogue of another version may have other controls.
fn is_of_this_catalogue(result: &ScenarioResult) -> bool {
    catalogue::named(&result.scenario).map_or(true, |known| known.sha256 == result.source_sha256)
}

/// Checks what holds under the rules of every version, and for sums, which do not contain all results of
/// their parts' controls.
fn claims(result: &ScenarioResult, all: &[ScenarioResult], problems: &mut Problems) {
    for control in &result.controls_fired {
        if !all.iter().any(|other| other.scenario == *control && other.races > 0) {
            problems.say("controls_fired", format!("has {control}, which did not race in this record"));
        }
    }
    let races = result.seen().1;
    let possible: &[Finding] = match races {
        0 if result.controls_fired.is_empty() => &[Finding::Inconclusive, Finding::ForbiddenObserved],
        0 => &[Finding::NotObserved, Finding::Inconclusive, Finding::ForbiddenObserved],
        _ => &[Finding::Observed, Finding::ForbiddenObserved],
    };
    if !possible.contains(&result.finding) {
        problems.say("finding", format!("is '{}', with {races} races", result.finding.words()));
    }
    if let Some(Sensitivity { control, rate, bound }) = &result.sensitivity {
        if !result.controls_fired.contains(control) {
            problems.say("sensitivity.control", format!("is {control}, which is not in controls_fired"));
        }
        let high = result.interval.map_or(1.0, |interval| interval.high);
        problems.near("sensitivity.bound", *bound, high / rate, "its interval and that rate give");
    }
}

/// Checks every field that does not follow from other fields.
fn ranges(result: &ScenarioResult, single: bool, problems: &mut Problems) {
    let ScenarioResult {
        scenario,
        group: _,
        question: _, // source()
        title,
        named_outcomes,
        is_control: _,    // computed()
        source_sha256: _, // hashes()
        code_sha256: _,
        source: _,
        listing: _,
        condition: _, // source()
        match_event,
        placement: PlacementRecord { cpus, class: _, kinds: _ }, // kinds()
        pace,
        layout,
        batch,
        seed: _, // any number
        atomics: _,
        lock,
        iterations,
        filtered: _, // any count
        elapsed_s,
        in_batches_s,
        phases,
        iterations_per_s,
        outcomes,
        displayed,
        matches,
        races,
        sightings,
        rate: _, // computed()
        interval: _,
        rate_per_match: _,
        interval_per_match: _,
        effective_iterations: _,
        stopped_by: _,
        goal: _,
        sequence: _,
        reproducibility: _,
        drift,
        sensitivity,
        discarded: _, // any count
        disturbances: _,
        moved: _,
        line_transfer_ns,
        distances: _, // counts()
        counters,
        nice,
        line_fills: _, // computed()
        stress: _,
        search,
        skews,
        free,
        last_writers,
        blocks,
        repeats,
        gaps: _,
        expected: _,
        expected_from: _,
        lkmm: _,
        controls_fired: _,
        evidence,
        finding: _,
        warnings: _,
        former_meanings: _, // only an earlier version's reader adds one
        extra: _,
    } = result;
    if scenario.is_empty() {
        problems.say("scenario", "is empty; expected the test's name");
    }
    if let Some(lock) = lock
        && lock.parse().map(Lock::name) != Ok(lock.as_str())
    {
        problems.say("lock", format!("is '{lock}'; expected qspinlock, ticket or pv"));
    }
    naming(title, named_outcomes, problems);
    problems.range("placement.cpus", cpus.len(), 1..=MOST_CPUS);
    host::cpus("placement.cpus", cpus, problems);
    problems.within("pace", |problems| pace_ranges(pace, cpus, problems));
    problems.within("search", |problems| {
        search.iter().for_each(|search| search_ranges(result, search, single, problems));
    });
    layout_ranges(layout, problems);
    problems.range("batch", *batch, 1..=MOST_INSTANCES);
    problems.range("elapsed_s", *elapsed_s, 0.0..=longest_s(single));
    let most = elapsed_s * (1.0 + CLOCKS_DIFFER) + 1e-3;
    problems.range("in_batches_s", *in_batches_s, 0.0..=most);
    problems.within("phases", |problems| {
        phases.iter().for_each(|phases| phase_ranges(phases, most, problems));
    });
    problems.range("iterations_per_s", *iterations_per_s, 0.0..=MOST_PER_SECOND);
    if *elapsed_s == 0.0 && *iterations > 0 {
        problems.say("elapsed_s", format!("is 0, with {iterations} iterations"));
    }
    problems.range("races", *races, 0..=*iterations);
    if let Some(matches) = matches {
        problems.range("matches", *matches, 0..=*iterations);
    }
    if matches.is_some() != match_event.is_some() {
        problems.say("matches", "expected a count if the test has a match event, and none otherwise");
    }
    if let Some(Drift { statistic, p }) = drift {
        problems.range("drift.statistic", *statistic, 0.0..=1.0);
        problems.range("drift.p", *p, 0.0..=1.0);
    }
    if let Some(Sensitivity { control: _, rate, bound: _ }) = sensitivity {
        problems.range("sensitivity.rate", *rate, f64::MIN_POSITIVE..=1.0);
        if *races > 0 {
            problems.say(
                "sensitivity",
                format!("expected none; there are {races} races, and only a zero has a sensitivity"),
            );
        }
    }
    if let Some(Evidence { needs: _, seen: _, controls: _, looked, needed }) = evidence {
        problems.range("evidence.looked", *looked, 0..=*iterations);
        problems.range("evidence.needed", *needed, LEAST_MATCHES..=u64::MAX);
    }
    if let Some(ns) = line_transfer_ns {
        problems.range("line_transfer_ns", *ns, 0.0..=1e9);
    }
    for what in offset_problems(counters, cpus) {
        problems.say("counters", what);
    }
    problems.each("counters", counters, |problems, counter| {
        let CounterOffset { cpu: _, offset_ns, error_ns, corrected: _, problem: _ } = counter;
        problems.range("offset_ns", offset_ns.unwrap_or(0.0), -LONGEST_NS..=LONGEST_NS);
        problems.range("error_ns", error_ns.unwrap_or(0.0), 0.0..=LONGEST_NS);
    });
    problems.range("nice", *nice, -20..=19);
    problems.range("sightings", sightings.unwrap_or(0), 0..=*races);
    if *sightings == Some(0) && *races > 0 {
        problems.say("sightings", format!("is 0, with {races} races"));
    }
    let places = outcomes.first().map(|outcome| &outcome.values);
    if let Some(place) = displayed.iter().find(|place| places.is_some_and(|places| !places.contains_key(*place))) {
        problems.say("displayed", format!("has {place}, which no outcome has"));
    }
    problems.each("outcomes", outcomes, |problems, outcome| {
        let OutcomeRecord { values: _, count, satisfies: _ } = outcome;
        problems.range("count", *count, 1..=*iterations);
    });
    problems.each("skews", skews, |problems, skew| {
        let SkewRecord { skew_ns, iterations, matches, races, outcomes: _ } = skew;
        problems.range("skew_ns", *skew_ns, -LONGEST_NS..=LONGEST_NS);
        problems.range("races", *races, 0..=*iterations);
        problems.range("matches", matches.unwrap_or(0), 0..=*iterations);
    });
    if let Some(FreeRecord { iterations, matches, races, outcomes: _ }) = free {
        problems.range("free.races", *races, 0..=*iterations);
        problems.range("free.matches", matches.unwrap_or(0), 0..=*iterations);
    }
    for (field, parts) in [("blocks", blocks), ("repeats", repeats)] {
        problems.each(field, parts, |problems, part| {
            let CountRecord { iterations, races, matches } = part;
            problems.range("races", *races, 0..=*iterations);
            problems.range("matches", matches.unwrap_or(0), 0..=*iterations);
        });
    }
    problems.each("last_writers", last_writers, |problems, entry| {
        let LastWriterRecord { prefetched: _, writers, iterations, races } = entry;
        problems.range("races", *races, 0..=*iterations);
        for (location, thread) in writers {
            let number = thread.strip_prefix('P').and_then(|number| number.parse::<usize>().ok());
            if number.is_none_or(|number| number >= cpus.len()) {
                problems.say(
                    &format!("writers.{location}"),
                    format!("is '{thread}'; expected P0 to P{}", cpus.len().saturating_sub(1)),
                );
            }
        }
    });
}

/// Checks that the kinds of core are those of the host's CPUs. A result of a sum may be from another host than the first
/// part's, whose description the sum has.
fn kinds(record: &Record, result: &ScenarioResult, problems: &mut Problems) {
    let PlacementRecord { cpus, class: _, kinds } = &result.placement;
    let wanted = if record.parts.is_empty() { kinds_on(&record.host, cpus) } else { kinds.clone() };
    if !kinds.is_empty() && kinds.len() != cpus.len() {
        problems.say("placement.kinds", format!("has {} kinds; there are {} CPUs", kinds.len(), cpus.len()));
    } else if *kinds != wanted {
        let shown = |kinds: &[String]| if kinds.is_empty() { "absent".to_owned() } else { kinds.join(", ") };
        problems.say("placement.kinds", format!("is {}; host.core_types gives {}", shown(kinds), shown(&wanted)));
    }
}

fn pace_ranges(pace: &PaceRecord, cpus: &[usize], problems: &mut Problems) {
    let PaceRecord {
        mode,
        chosen,
        period_ticks: _, // one_run()
        period_ns,
        given_period_ns,
        given_skews: _,
        profile: _,
        group,
        given_group,
        searched,
        given,
        prefetch: _,
        focused: _,
        end_spread_ns,
        late,
        edges,
        free_because,
    } = pace;
    problems.one_of("mode", mode, &["free", "paced"]);
    problems.one_of("chosen", chosen, &["auto", "given"]);
    let paced = mode == "paced";
    if period_ns.is_some() != paced {
        problems.say("period_ns", "expected a period if it is paced, and none otherwise");
    }
    for (field, ns) in [("period_ns", period_ns), ("given_period_ns", given_period_ns)] {
        if let Some(ns) = ns {
            problems.range(field, *ns, f64::MIN_POSITIVE..=LONGEST_NS);
        }
    }
    problems.range("group", *group, 1..=MOST_INSTANCES);
    if *searched && *given_group {
        problems.say("given_group", "expected false; a search chose the settings");
    }
    if !*searched && !given.is_empty() {
        problems.say("given", "expected none; no search chose the other settings");
    }
    if let Some(ns) = end_spread_ns {
        problems.range("end_spread_ns", *ns, 0.0..=LONGEST_NS);
    }
    if let Some(late) = late {
        problems.range("late", *late, 0.0..=1.0);
    }
    if edges.is_some() && !paced {
        problems.say("edges", "expected none; the instances ran free");
    }
    if free_because.is_some() && (paced || chosen != "auto") {
        problems.say("free_because", "expected none; only instances that were to be paced and ran free have a reason");
    }
    problems.within("edges", |problems| edges.iter().for_each(|edges| edges_ranges(edges, cpus, problems)));
}

/// Checks the phases of a result, which together take at most `most` seconds.
fn phase_ranges(phases: &PhasesRecord, most: f64, problems: &mut Problems) {
    let PhasesRecord { run_s, clock_s, rendezvous_s, classification_s, reset_s, looks_s, line_transfers } = phases;
    let named = [
        ("run_s", run_s),
        ("rendezvous_s", rendezvous_s),
        ("classification_s", classification_s),
        ("reset_s", reset_s),
        ("looks_s", looks_s),
    ];
    for (name, seconds) in named {
        problems.range(name, *seconds, 0.0..=most);
    }
    problems.range("clock_s", *clock_s, 0.0..=run_s * (1.0 + 1e-9));
    problems.range("line_transfers", *line_transfers, 0.0..=MOST_TRANSFERS);
    let together = phases.total_s();
    if together > most {
        problems.say("run_s", format!("the phases together take {together} s; expected at most {most}"));
    }
}

/// Checks a search, and that its chosen settings are those of the result. In a sum they are those of the first part.
fn search_ranges(result: &ScenarioResult, search: &SearchRecord, single: bool, problems: &mut Problems) {
    let SearchRecord { elapsed_s, measure: _, distance_ns, chosen, arms } = search;
    problems.range("elapsed_s", *elapsed_s, 0.0..=longest_s(single));
    distance_ns.iter().for_each(|ns| problems.range("distance_ns", *ns, f64::MIN_POSITIVE..=LONGEST_NS));
    problems.each("arms", arms, |problems, arm| {
        let ArmRecord { pace, layout: _, group, prefetch: _, batch, stress: _, stretch, turns, .. } = arm;
        let ArmRecord { iterations, races, elapsed_s, at_distance, period_ns, .. } = arm;
        problems.one_of("pace", pace, &["free", "paced"]);
        problems.range("group", *group, 1..=MOST_INSTANCES);
        batch.iter().for_each(|batch| problems.range("batch", *batch, 1..=MOST_INSTANCES));
        problems.range("stretch", *stretch, 1..=LARGEST_STRETCH);
        period_ns.iter().for_each(|ns| problems.range("period_ns", *ns, f64::MIN_POSITIVE..=LONGEST_NS));
        problems.range("elapsed_s", *elapsed_s, 0.0..=search.elapsed_s + 1e-3);
        problems.range("races", *races, 0..=*iterations);
        if *turns == 0 && *iterations > 0 {
            problems.say("turns", format!("is 0, with {iterations} iterations"));
        }
        if let Some(here) = at_distance {
            problems.range("at_distance.turns", here.turns, 0..=*turns);
            problems.range("at_distance.iterations", here.iterations, 0..=*iterations);
            problems.range("at_distance.races", here.races, 0..=here.iterations.min(*races));
            problems.range("at_distance.elapsed_s", here.elapsed_s, 0.0..=elapsed_s * (1.0 + 1e-9));
        }
    });
    let own = |arm: &ArmRecord| {
        (arm.pace == result.pace.mode && arm.layout == result.layout.kind)
            && (arm.pace == "free" || arm.group == result.pace.group)
    };
    match arms.get(*chosen) {
        None => problems.say("chosen", format!("is {chosen}; there are {} arms", arms.len())),
        Some(arm) if single && result.repeats.is_empty() && !own(arm) => {
            problems.say("chosen", "has other settings than the result");
        }
        Some(_) => {}
    }
}

fn edges_ranges(edges: &EdgesRecord, cpus: &[usize], problems: &mut Problems) {
    let EdgesRecord { step_ticks, step_ns, simulated, gap_share, delays, drifts: _ } = edges;
    problems.range("step_ticks", *step_ticks, 1..=100_000_000_000);
    problems.range("step_ns", *step_ns, f64::MIN_POSITIVE..=LONGEST_NS);
    gap_share.iter().for_each(|share| problems.range("gap_share", *share, 0.0..=1.0));
    if *simulated && !step_ticks.is_power_of_two() {
        problems.say("step_ticks", format!("is {step_ticks}; a simulated step is a power of two"));
    }
    let named: Vec<usize> = delays.iter().map(|delay| delay.cpu).collect();
    if !delays.is_empty() && named != cpus {
        problems.say("delays", format!("is given for CPUs {named:?}, but the threads ran on CPUs {cpus:?}"));
    }
    problems.each("delays", delays, |problems, delay| {
        let DelayRecord { cpu: _, step_ns, passes_differ } = delay;
        problems.range("step_ns", *step_ns, f64::MIN_POSITIVE..=1e3);
        problems.range("passes_differ", *passes_differ, 0.0..=1.0);
    });
}

/// Checks what holds for one run but not for a sum: all times are by one clock, and no result took longer
/// than the run.
fn one_run(record: &Record, result: &ScenarioResult, problems: &mut Problems) {
    problems.range("elapsed_s", result.elapsed_s, 0.0..=record.elapsed_s + 1e-3);
    // Each repeat has its own period, and the mean is not a whole number of ticks.
    if !result.repeats.is_empty() {
        return;
    }
    let ns = result.pace.period_ns;
    let ticks = result.pace.period_ticks;
    if ticks.is_some() != ns.is_some() {
        problems.say("pace.period_ticks", "expected ticks where there are nanoseconds, and none otherwise");
    }
    let tick_ns = 1e9 / record.host.clock_measured.frequency_hz;
    if let Some(EdgesRecord { step_ticks, step_ns, .. }) = result.pace.edges
        && (step_ns / tick_ns / step_ticks as f64 - 1.0).abs() > 1e-6
    {
        problems.say(
            "pace.edges.step_ns",
            format!("is {step_ns:?}; {step_ticks} ticks of its clock are {:?}", step_ticks as f64 * tick_ns),
        );
    }
    if let Some((ticks, ns)) = ticks.zip(ns) {
        // The number of ticks is rounded.
        if (ns / tick_ns - ticks as f64).abs() > 0.5 + 1e-6 * ticks as f64 {
            problems.say(
                "pace.period_ns",
                format!("is {ns:?}; {ticks} ticks of its clock are {:?}", ticks as f64 * tick_ns),
            );
        }
    }
}

/// Checks that counts add up: by outcome, skew, start, block, repeat and distance.
fn counts(result: &ScenarioResult, problems: &mut Problems) {
    let ScenarioResult { iterations, races, matches, ref outcomes, ref last_writers, .. } = *result;
    problems.adds_up(
        "outcomes",
        "the counts",
        sum(outcomes.iter().map(|outcome| outcome.count)),
        iterations,
        "iterations",
    );
    let satisfying = || outcomes.iter().filter(|outcome| outcome.satisfies);
    problems.adds_up("outcomes", "those that satisfy", sum(satisfying().map(|outcome| outcome.count)), races, "races");
    let values: Vec<_> = outcomes.iter().map(|outcome| &outcome.values).collect();
    problems.distinct("outcomes", "outcome", &values);
    if let Some((first, others)) = values.split_first() {
        let names = |values: &BTreeMap<String, FinalValue>| values.keys().cloned().collect::<Vec<_>>();
        for (number, _) in others.iter().enumerate().filter(|(_, other)| names(other) != names(first)) {
            problems.say(
                &format!("outcomes[{}].values", number + 1),
                "names other registers or variables than outcomes[0]",
            );
        }
    }
    by_skew(result, problems);
    let ScenarioResult { ref blocks, ref repeats, .. } = *result;
    // Only batches at the final skews and periods are in blocks, so the sums may be smaller.
    for (what, found, most) in [
        ("iterations", sum(blocks.iter().map(|block| block.iterations)), iterations),
        ("races", sum(blocks.iter().map(|block| block.races)), races),
    ] {
        if found.is_none_or(|found| found > most) {
            problems.say("blocks", format!("has more {what} than the result, which has {most}"));
        }
    }
    if !repeats.is_empty() {
        let each = sum(repeats.iter().map(|part| part.iterations));
        problems.adds_up("repeats", "the iterations", each, iterations, "iterations");
        problems.adds_up("repeats", "the races", sum(repeats.iter().map(|part| part.races)), races, "races");
        let each = repeats.iter().map(|part| part.matches).collect::<Option<Vec<u64>>>();
        if let (Some(matches), Some(each)) = (matches, each) {
            problems.adds_up("repeats", "the matches", sum(each.into_iter()), matches, "matches");
        }
    }
    if !last_writers.is_empty() {
        problems.adds_up(
            "last_writers",
            "the iterations",
            sum(last_writers.iter().map(|entry| entry.iterations)),
            iterations,
            "iterations",
        );
        problems.adds_up(
            "last_writers",
            "the races",
            sum(last_writers.iter().map(|entry| entry.races)),
            races,
            "races",
        );
        let keys: Vec<_> = last_writers.iter().map(|entry| (entry.prefetched, &entry.writers)).collect();
        problems.distinct("last_writers", "choice of last writers and prefetch", &keys);
    }
    if let Some(found) = &result.distances {
        problems.within("distances", |problems| distances(found, result, problems));
    }
}

/// Checks that the counts at the skews, with those of what ran free, add up to those of the result.
fn by_skew(result: &ScenarioResult, problems: &mut Problems) {
    let ScenarioResult { iterations, races, matches, ref outcomes, ref skews, ref free, .. } = *result;
    let what = if free.is_some() { "skews and free" } else { "skews" };
    if !skews.is_empty() || free.is_some() {
        let all = |at: fn(&SkewRecord) -> u64, free_too: fn(&FreeRecord) -> u64| {
            sum(skews.iter().map(at).chain(free.iter().map(free_too)))
        };
        let each = all(|skew| skew.iterations, |free| free.iterations);
        problems.adds_up(what, "the iterations", each, iterations, "iterations");
        problems.adds_up(what, "the races", all(|skew| skew.races, |free| free.races), races, "races");
        if let Some(matches) = matches {
            let each = all(|skew| skew.matches.unwrap_or(0), |free| free.matches.unwrap_or(0));
            problems.adds_up(what, "the matches", each, matches, "matches");
        }
        let keys: Vec<_> = skews.iter().map(|skew| skew.skew_ns.to_bits()).collect();
        problems.distinct("skews", "skew", &keys);
    }
    let counted = || skews.iter().map(|skew| &skew.outcomes).chain(free.iter().map(|free| &free.outcomes));
    let divided = counted().next().is_some() && counted().all(|counts| counts.len() == outcomes.len());
    for (column, outcome) in outcomes.iter().enumerate().filter(|_| divided) {
        let each = sum(counted().map(|counts| counts[column]));
        let field = format!("outcomes[{column}].count");
        problems.adds_up(&field, "the skews' counts of it", each, outcome.count, "it");
    }
    problems.each("skews", skews, |problems, skew| {
        by_outcome(&skew.outcomes, [skew.iterations, skew.races], outcomes, problems);
    });
    let of_pace = |pace: &str| {
        let parts = result.parts().filter(|part| part.pace.as_deref() == Some(pace));
        sum(parts.map(|part| part.iterations)).unwrap_or(u64::MAX)
    };
    let all_free = if result.pace.mode == "free" { iterations } else { 0 };
    let ran_free = free.as_ref().map_or(all_free, |free| free.iterations);
    let counted =
        [("free", "free", "ran free", ran_free), ("paced", "skews", "were paced", iterations.saturating_sub(ran_free))];
    for (pace, field, words, all) in counted {
        let of_parts = of_pace(pace);
        if of_parts > all {
            problems.say(field, format!("has {all} iterations; {of_parts} of the parts in settings {words}"));
        }
    }
    problems.within("free", |problems| {
        free.iter().for_each(|free| by_outcome(&free.outcomes, [free.iterations, free.races], outcomes, problems));
    });
}

/// Checks that the counts of the outcomes add up.
fn by_outcome(counts: &[u64], [iterations, races]: [u64; 2], outcomes: &[OutcomeRecord], problems: &mut Problems) {
    if counts.is_empty() {
        return;
    }
    if counts.len() != outcomes.len() {
        let found = counts.len();
        problems.say("outcomes", format!("has {found} counts; there are {} outcomes", outcomes.len()));
        return;
    }
    problems.adds_up("outcomes", "the counts", sum(counts.iter().copied()), iterations, "iterations");
    let racing = counts.iter().zip(outcomes).filter(|(_, outcome)| outcome.satisfies);
    problems.adds_up("outcomes", "those that satisfy", sum(racing.map(|(count, _)| *count)), races, "races");
}

/// The sum; `None` if it exceeds 2^64.
pub(super) fn sum(mut counts: impl Iterator<Item = u64>) -> Option<u64> {
    counts.try_fold(0, u64::checked_add)
}

/// Checks the hashes of the source and the code. An imported record has no code, and no source of a test that
/// the catalogue does not have.
fn hashes(result: &ScenarioResult, foreign: bool, problems: &mut Problems) {
    if foreign && !result.code_sha256.is_empty() {
        problems.say("code_sha256", "expected none; the record is made of another program's log");
    }
    for (field, hash) in [("source_sha256", &result.source_sha256), ("code_sha256", &result.code_sha256)] {
        if !(foreign && hash.is_empty()) {
            sha256(field, hash, problems);
        }
    }
    if !result.source.is_empty() {
        let found = super::hashes_of_source(&result.source);
        if !found.contains(&result.source_sha256) {
            problems.say("source", format!("has the SHA-256 {}; source_sha256 is {}", found[0], result.source_sha256));
        }
    }
    if !result.listing.is_empty() {
        listing(&result.listing, &result.code_sha256, problems);
    }
}

fn sha256(field: &str, hash: &str, problems: &mut Problems) {
    if hash.len() != 64 || !hash.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')) {
        problems.say(field, format!("is '{hash}'; expected 64 hexadecimal digits"));
    }
}

/// Checks that a listing is that of the code with this hash.
fn listing(listing: &str, code_sha256: &str, problems: &mut Problems) {
    match hashes_of_listing(listing) {
        Some(found) if found.iter().any(|hash| hash == code_sha256) => {}
        Some([found, _]) => {
            problems.say("listing", format!("has the SHA-256 {found}; code_sha256 is {code_sha256}"));
        }
        None => problems.say("listing", "is not a listing of machine code"),
    }
}

fn layout_ranges(layout: &LayoutRecord, problems: &mut Problems) {
    let LayoutRecord { kind: _, line_bytes, stride_bytes } = layout;
    problems.range("layout.line_bytes", *line_bytes, 1..=4096);
    problems.range("layout.stride_bytes", *stride_bytes, 1..=1 << 30);
}

/// Checks the code of a part of a run.
pub(super) fn code(code: &CodeRecord, problems: &mut Problems) {
    layout_ranges(&code.layout, problems);
    sha256("code_sha256", &code.code_sha256, problems);
    if !code.listing.is_empty() {
        listing(&code.listing, &code.code_sha256, problems);
    }
}

/// The hash of the code in a listing, and the hash if each instruction is one little-endian number; `None` if it has no
/// code. Listings of AArch64 and RISC-V have such numbers, as objdump's; earlier versions listed the bytes in order.
fn hashes_of_listing(listing: &str) -> Option<[String; 2]> {
    let mut threads: Vec<[Vec<u8>; 2]> = Vec::new();
    for line in listing.lines() {
        if let Some(number) = line.strip_prefix('P') {
            if number.parse() != Ok(threads.len()) {
                return None;
            }
            threads.push(Default::default());
            continue;
        }
        // Headings do not begin with an offset.
        let Some((offset, rest)) = line.trim_start().split_once(':') else { continue };
        let Ok(offset) = usize::from_str_radix(offset, 16) else { continue };
        let [in_order, as_numbers] = threads.last_mut()?;
        if offset != in_order.len() {
            return None;
        }
        let bytes = listed_bytes(rest)?;
        as_numbers.extend(bytes.iter().rev());
        in_order.extend(bytes);
    }
    let hash = |of: usize| codegen::hash_of_bytes(threads.iter().map(|thread| thread[of].as_slice()));
    (!threads.is_empty()).then(|| [hash(0), hash(1)])
}

/// The bytes of an instruction in a listing: pairs of digits with a space between them, which end at two spaces, or one
/// word.
fn listed_bytes(text: &str) -> Option<Vec<u8>> {
    let words: Vec<&str> = text.trim_start().split("  ").next()?.split_whitespace().collect();
    let pairs = if words.first()?.len() == 2 { &words[..] } else { &words[..1] };
    let digits = pairs.concat();
    let pair = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
    digits.as_bytes().chunks(2).map(pair).collect()
}

/// Checks a result against the source of its test, if the record has the source and this version can parse
/// it.
fn source(result: &ScenarioResult, problems: &mut Problems) {
    let text = Source::new("source", result.source.as_str());
    let Ok(scenario) = Scenario::new(&text, &result.group) else { return };
    let program = &scenario.program;
    let mut wanted = result.clone();
    wanted.scenario.clone_from(&scenario.name);
    wanted.question = scenario.test.header.summary();
    // Earlier versions did not keep the names.
    if !result.title.is_empty() || !result.named_outcomes.is_empty() {
        (wanted.title, wanted.named_outcomes) = naming_of(&scenario);
    }
    wanted.condition = program.condition_text();
    wanted.match_event = program.match_event.as_ref().map(|event| program.prop(event));
    problems.differences(result, &wanted, "its source gives");
    let threads = program.threads.len();
    if result.placement.cpus.len() != threads {
        let cpus = result.placement.cpus.len();
        problems.say("placement.cpus", format!("has {cpus} CPUs; the test has {threads} threads"));
    }
    problems.each("outcomes", &result.outcomes, |problems, outcome| match row(program, outcome) {
        Some(row) if program.is_race(&row) == outcome.satisfies => {}
        Some(_) => {
            problems.say("satisfies", format!("is {}; its condition gives {}", outcome.satisfies, !outcome.satisfies))
        }
        None => problems.say("values", "do not fit the registers and variables of the test"),
    });
    let matches = result.outcomes.iter().try_fold(0u64, |sum, outcome| {
        let is_match = row(program, outcome).and_then(|row| program.is_match(&row)).unwrap_or(false);
        if is_match { sum.checked_add(outcome.count) } else { Some(sum) }
    });
    if let Some(wanted) = result.matches {
        problems.adds_up("outcomes", "those that match", matches, wanted, "matches");
    }
}

/// Checks the outcomes of an imported log, which has no source.
fn stars(result: &ScenarioResult, problems: &mut Problems) {
    problems.each("outcomes", &result.outcomes, |problems, outcome| {
        if asks_for(&result.condition, &outcome.values) == Some(!outcome.satisfies) {
            problems.say("satisfies", format!("is {}; the condition gives {}", outcome.satisfies, !outcome.satisfies));
        }
    });
}

/// An outcome as values in the order of the program's columns; `None` if it names other registers or
/// variables.
fn row(program: &Program, outcome: &OutcomeRecord) -> Option<Vec<Const>> {
    let value = |column| match outcome.values.get(&program.column_name(column))? {
        FinalValue::Int(value) => Some(Const::Int(*value)),
        FinalValue::Address(name) => {
            let name = name.strip_prefix('&')?;
            program.locations.iter().position(|location| location.name == name).map(Const::Address)
        }
    };
    let row: Option<Vec<Const>> = (0..program.columns.len()).map(value).collect();
    row.filter(|row| row.len() == outcome.values.len())
}

/// Checks the words of a test and of its outcomes.
pub(super) fn naming(title: &str, named_outcomes: &[NamedOutcomeRecord], problems: &mut Problems) {
    if title.chars().any(char::is_control) || title.chars().count() > MOST_CHARACTERS {
        problems.say("title", format!("expected at most {MOST_CHARACTERS} printable characters"));
    }
    problems.each("named_outcomes", named_outcomes, |problems, outcome| {
        let NamedOutcomeRecord { values, words } = outcome;
        if values.is_empty() {
            problems.say("values", "is empty; expected registers and variables with values");
        }
        if words.is_empty() || words.chars().any(char::is_control) || words.chars().count() > MOST_CHARACTERS {
            problems.say("words", format!("expected 1 to {MOST_CHARACTERS} printable characters"));
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listing_of_every_form_has_the_hash_of_its_code() {
        let arm = [0x2b, 0x80, 0x40, 0xb9, 0x2c, 0x00, 0x40, 0xb9];
        let x86 = [0x48, 0x89, 0xd8, 0xc3];
        let hash = |code: &[u8]| codegen::hash_of_bytes([code].into_iter());
        // Two heads: a comment and a label with a colon.
        let old = "P0\n  * r1 = x: y\n     0:  2b8040b9               ldr w11, [x1]\n     4:  2c0040b9               ldr w12\n";
        let new = "P0\n     0:  b940802b  ldr w11, [x1]\n     4:  b940002c  ldr w12\n";
        let bytes = "P0\n     0:  48 89 d8  mov rax, rbx\n     3:  c3        ret\n";
        assert_eq!(hashes_of_listing(old).unwrap()[0], hash(&arm));
        assert_eq!(hashes_of_listing(new).unwrap()[1], hash(&arm));
        assert_eq!(hashes_of_listing(bytes).unwrap()[0], hash(&x86));
        assert_eq!(hashes_of_listing("P0\n     1:  c3  ret\n"), None);
    }
}
