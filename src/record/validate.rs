//! Whether a record adds up: every number in it that follows from others is computed again.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hdrhistogram::Histogram;
use hdrhistogram::serialization::Deserializer;

use super::{Finding, Gaps, ProtocolRecord, ProtocolResult, Record, ScenarioResult, identity};
use crate::machine::{ClockCheck, Host, offset_problems};
use crate::stats::{Interval, interval};

/// What is wrong with a record; nothing, if it is whole.
pub fn problems(record: &Record) -> Vec<String> {
    let mut out = Vec::new();
    if !record.id.is_empty() && !identity::is_id(&record.id) {
        out.push(format!("id: is '{}'; expected 32 hexadecimal digits", record.id));
    }
    clock(&record.host, &mut out);
    for (number, result) in record.results.iter().enumerate() {
        let mut say = |what: String| out.push(format!("results[{number}] ({}): {what}", result.scenario));
        scenario(result, &mut say);
        offset_problems(&result.counters, &result.placement.cpus).into_iter().for_each(say);
    }
    out
}

/// The same for a record of the protocol.
pub fn protocol_problems(record: &ProtocolRecord) -> Vec<String> {
    let mut out = Vec::new();
    clock(&record.host, &mut out);
    for (number, result) in record.results.iter().enumerate() {
        let mut say = |what: String| out.push(format!("results[{number}] ({}): {what}", result.profile));
        protocol(result, &mut say);
    }
    out
}

fn clock(host: &Host, out: &mut Vec<String>) {
    let problems = host.clock_check.iter().flat_map(ClockCheck::problems);
    out.extend(problems.map(|what| format!("host.clock_check: {what}")));
}

fn scenario(result: &ScenarioResult, say: &mut impl FnMut(String)) {
    let ScenarioResult { iterations, races, matches, .. } = *result;
    let mut equal = |what: &str, found: Option<u64>, wanted: u64| {
        if found != Some(wanted) {
            let found = found.map_or("more than 2^64".to_owned(), |found| found.to_string());
            say(format!("{what} add up to {found}, not {wanted}"));
        }
    };
    equal("the outcomes", sum(result.outcomes.iter().map(|outcome| outcome.count)), iterations);
    let satisfying = result.outcomes.iter().filter(|outcome| outcome.satisfies);
    equal("the outcomes that satisfy", sum(satisfying.map(|outcome| outcome.count)), races);
    if !result.skews.is_empty() {
        equal("the skews' iterations", sum(result.skews.iter().map(|skew| skew.iterations)), iterations);
        equal("the skews' races", sum(result.skews.iter().map(|skew| skew.races)), races);
        if let Some(matches) = matches {
            let each = sum(result.skews.iter().map(|skew| skew.matches.unwrap_or(0)));
            equal("the skews' matches", each, matches);
        }
    }
    if !result.starts.is_empty() {
        equal("the starts' iterations", sum(result.starts.iter().map(|start| start.iterations)), iterations);
        equal("the starts' races", sum(result.starts.iter().map(|start| start.races)), races);
    }
    if result.starts.iter().any(|start| start.races > start.iterations) {
        say("a start has more races than iterations".to_owned());
    }
    for skew in result.skews.iter().filter(|skew| !skew.outcomes.is_empty()) {
        if skew.outcomes.len() != result.outcomes.len() {
            say(format!("at skew {} ns there are {} outcomes", skew.skew_ns, skew.outcomes.len()));
        } else if sum(skew.outcomes.iter().copied()) != Some(skew.iterations) {
            say(format!("the outcomes at skew {} ns do not add up to {}", skew.skew_ns, skew.iterations));
        }
    }
    if matches.is_some_and(|matches| matches > iterations) {
        say("more matches than iterations".to_owned());
    }
    follows("rate", result.rate, result.interval, races, Some(iterations), say);
    follows("rate_per_match", result.rate_per_match, result.interval_per_match, races, matches, say);
    gaps(&result.gaps, say);
    let judged = Finding::judge(races, iterations, result.expected, result.zero_counts());
    if judged != result.finding {
        say(format!("its finding is '{}', but the counts say '{}'", result.finding.words(), judged.words()));
    }
}

fn protocol(result: &ProtocolResult, say: &mut impl FnMut(String)) {
    let wakes = &result.wakes;
    let ends = [wakes.no_match, wakes.runnable, wakes.activated, wakes.dropped, wakes.unaccounted];
    let sum = ends.into_iter().try_fold(0u64, u64::checked_add);
    if sum != Some(wakes.issued) {
        say(format!("the ends of wakeups do not add up to {}", wakes.issued));
    }
    if wakes.runnable.checked_add(wakes.activated) != Some(result.matches) {
        say("matches are not those wakeups that found a task queued or put one on a runqueue".to_owned());
    }
    if result.races > result.nulls || result.nulls > result.matches {
        say("races, nulls and matches are not each among the next".to_owned());
    }
    follows("rate", result.rate, result.interval, result.races, Some(result.matches), say);
    gaps(&result.heal_ns, say);
    let healed = result.healed.iter().map(|healed| healed.count).try_fold(0u64, u64::checked_add);
    if healed != Some(result.heal_ns.count) {
        say(format!("the healers' counts do not add up to {}", result.heal_ns.count));
    }
}

/// The sum, if it fits.
fn sum(mut counts: impl Iterator<Item = u64>) -> Option<u64> {
    counts.try_fold(0, u64::checked_add)
}

/// Whether a rate and its interval are those of the counts.
fn follows(
    name: &str,
    rate: Option<f64>,
    shown: Option<Interval>,
    races: u64,
    of: Option<u64>,
    say: &mut impl FnMut(String),
) {
    let of = of.unwrap_or(0);
    let wanted = (of > 0).then(|| races as f64 / of as f64);
    let near = |a: Option<f64>, b: Option<f64>| match (a, b) {
        (Some(a), Some(b)) => (a - b).abs() <= 1e-6 * b.abs().max(1e-300) || a == b,
        (a, b) => a == b,
    };
    if !near(rate, wanted) {
        say(format!("{name} is {rate:?}, not {wanted:?}"));
    }
    let interval = interval(races, of);
    let ends = |interval: Option<Interval>| (interval.map(|i| i.low), interval.map(|i| i.high));
    let ((low, high), (wanted_low, wanted_high)) = (ends(shown), ends(interval));
    if !near(low, wanted_low) || !near(high, wanted_high) {
        say(format!("the interval of {name} is not that of {races} in {of}"));
    }
}

fn gaps(gaps: &Gaps, say: &mut impl FnMut(String)) {
    match histogram(gaps) {
        Err(error) => say(format!("its histogram does not read: {error}")),
        Ok(None) if gaps.count > 0 => say("it has no histogram of its gaps".to_owned()),
        Ok(Some(histogram)) if histogram.len() != gaps.count => {
            say(format!("its histogram counts {}, not {}", histogram.len(), gaps.count));
        }
        Ok(_) => {}
    }
}

/// The histogram in a record; `None` if it is empty.
///
/// # Errors
/// What is wrong with it.
pub fn histogram(gaps: &Gaps) -> Result<Option<Histogram<u64>>, String> {
    if gaps.hdr_v2.is_empty() {
        return Ok(None);
    }
    let bytes = STANDARD.decode(&gaps.hdr_v2).map_err(|error| error.to_string())?;
    let read = Deserializer::new().deserialize(&mut bytes.as_slice());
    let histogram: Histogram<u64> = read.map_err(|error| format!("{error:?}"))?;
    // The library's totals saturate or overflow; what gets near is no measurement.
    if histogram.len() > MOST_COUNTS {
        return Err(format!("it counts more than {MOST_COUNTS}"));
    }
    Ok(Some(histogram))
}

/// The most that a histogram may count: centuries of races.
pub const MOST_COUNTS: u64 = 1 << 60;
