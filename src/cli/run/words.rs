//! What `wakerace run` prints beside the table: the lines before a run, a line per result, and the evidence for a
//! forbidden outcome.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::time::Duration;

use super::rounds::Round;
use crate::cli::topology::host_lines;
use crate::experiment::{Experiment, PaceChoice};
use crate::machine::{self, Clock, Edges, Host};
use crate::record::Code;
use crate::units::Nanos;
use crate::{publish, record};

/// The lines that are printed before a run: the host, how instances run, and how many runs there are.
pub(super) fn opening(host: &Host, experiments: &[Experiment<'_>], rounds: &[Round<'_, '_>], repeat: u32) -> String {
    let time: Option<Duration> = rounds.iter().map(|round| round[0].common.limits.duration).sum();
    let time = time.map(|time| time * repeat);
    let about = time.map_or(String::new(), |time| format!(", about {} s", time.as_secs_f64().round().max(1.0)));
    let tuned = experiments.iter().filter(|experiment| experiment.choice.profile.is_some()).count();
    let tuned = if tuned > 0 {
        let use_ = if tuned == 1 { "run may use" } else { "runs may use" };
        format!("{tuned} {use_} settings that `tune` or earlier runs found; --profile none searches anew\n")
    } else {
        String::new()
    };
    let unfit = host.clock_check.as_ref().is_some_and(|check| check.unfit.is_some());
    let paced = experiments.iter().find(|experiment| matches!(experiment.choice.pace, PaceChoice::Paced { .. }));
    let edges = paced.and_then(|experiment| Some((experiment.common.edges?, experiment.common.clock)));
    let coarse = if unfit {
        // The reason is among the host's lines.
        "instances run free, because the clock is not fit to pace by\n".to_owned()
    } else {
        edges.map_or(String::new(), |(edges, clock)| edges_line(edges, clock))
    };
    let times = if repeat > 1 { format!(", each {repeat} times in turns") } else { String::new() };
    let tests = experiments.iter().map(|experiment| &experiment.scenario.name).collect::<BTreeSet<_>>().len();
    let tests = publish::counted(tests as u64, "test");
    let runs = publish::counted(experiments.len() as u64, "run");
    format!("{}{coarse}{tuned}{tests}, {runs}{times}{about}\n", host_lines(host))
}

/// How instances are paced by a coarse clock.
fn edges_line(edges: Edges, clock: Clock) -> String {
    let (ticks, Nanos(ns)) = (edges.step, clock.nanos(edges.step.into()));
    if edges.simulated() {
        format!(
            "warning: --clock-step: the clock is made coarse, with steps of {ticks} ticks ({ns:.1} ns); the results are tests of \
             wakerace, not of this machine\n"
        )
    } else {
        format!(
            "the clock has steps of {ns:.1} ns; instances are paced by its edges, and measured delays divide the steps\n"
        )
    }
}

/// The lines about the tests that have no result.
pub(super) fn unmeasured_lines(tests: &[record::Unmeasured]) -> String {
    publish::unmeasured(tests).into_iter().map(|line| line + "\n").collect()
}

/// The note about a result that ran free although it was to be paced.
pub(super) fn pace_note(result: &record::ScenarioResult) -> String {
    let note = |reason| format!("note: {} ran free, because it could not be paced: {reason}\n", result.scenario);
    result.pace.free_because.as_ref().map_or(String::new(), note)
}

/// The line that is printed when a result is known.
pub(super) fn one_line(result: &record::ScenarioResult) -> String {
    format!(
        "{} on CPUs {} ({}): {} iterations{}, {}, {}\n",
        result.scenario,
        machine::in_order(&result.placement.cpus),
        result.placement.class_and_kinds(),
        publish::count(result.iterations),
        if result.filtered > 0 {
            format!(" ({} more that the filter excludes)", publish::count(result.filtered))
        } else {
            String::new()
        },
        publish::counted(result.races, "race"),
        publish::rate_with_interval(result.rate, result.interval),
    )
}

/// Notes about the counters of a result's CPUs: one line for each counter that differs from P0's, or whose
/// offset is unknown.
pub(super) fn counters_note(result: &record::ScenarioResult) -> String {
    let first = result.placement.cpus.first().copied().unwrap_or(0);
    let mut text = String::new();
    for offset in &result.counters {
        let cpu = offset.cpu;
        // Writing to a string cannot fail.
        let _ = match (&offset.problem, offset.offset_ns, offset.error_ns) {
            (Some(problem), ..) => {
                writeln!(text, "note: the offset between the counters of CPUs {first} and {cpu} is unknown: {problem}")
            }
            (None, Some(ns), Some(error)) if offset.corrected => writeln!(
                text,
                "note: the counter of CPU {cpu} is {ns:.0} ± {error:.0} ns ahead of that of CPU {first}; start times are corrected by this"
            ),
            _ => Ok(()),
        };
    }
    text
}

/// The evidence for a forbidden outcome: all outcomes, the code that ran, and the host.
pub(super) fn evidence_for(result: &record::ScenarioResult, host: &Host) -> String {
    let mut text = format!("\n{}: {}\n", result.scenario, result.condition);
    // Writing to a string cannot fail.
    for outcome in &result.outcomes {
        let values: Vec<String> = outcome.values.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let mark = if outcome.satisfies { "*" } else { " " };
        let _ = writeln!(text, "  {mark} {:>15}  {}", publish::count(outcome.count), values.join("; "));
    }
    let threads = result.placement.cpus.iter().enumerate().map(|(number, cpu)| format!("P{number} on CPU {cpu}"));
    let _ = writeln!(text, "{}:", threads.collect::<Vec<_>>().join(", "));
    // A listing that an earlier part has is not repeated.
    for Code { pace, layout, sha256, listing } in result.each_code().filter(|code| !code.listing.is_empty()) {
        let _ = writeln!(text, "{}\n{pace}, {layout}: code sha256 {sha256}", listing.trim_end());
    }
    let _ = writeln!(text, "source sha256 {}", result.source_sha256);
    text.push_str(&host_lines(host));
    text
}
