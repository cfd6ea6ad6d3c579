//! Adding records up: the same tests, run by the same code, on as many boxes and as often as one likes.

use std::collections::BTreeMap;

use hdrhistogram::Histogram;

use super::validate::{MOST_COUNTS, histogram};
use super::{
    Evidence, FinalValue, Finding, Gaps, OutcomeRecord, PaceRecord, Part, Record, ScenarioResult, SkewRecord,
    StartRecord,
};
use crate::error::{Error, Result};
use crate::stats::{interval, reproducibility, share};

/// Adds records up as they come.
#[derive(Debug)]
pub struct Merger {
    record: Record,
    gaps: Vec<Option<Histogram<u64>>>,
    first: String,
}

impl Merger {
    /// Begins with a record; `name` is for errors.
    ///
    /// # Errors
    /// If a histogram in it does not read.
    pub fn new(name: &str, mut record: Record) -> Result<Merger> {
        let gaps = record.results.iter().map(|result| gaps_of(name, result)).collect::<Result<_>>()?;
        if record.parts.is_empty() {
            record.parts.push(part(&record));
        }
        Ok(Merger { record, gaps, first: name.to_owned() })
    }

    /// Adds one.
    ///
    /// # Errors
    /// If it was not made by the same tests, code, architecture and plan, with the first difference.
    pub fn add(&mut self, name: &str, record: Record) -> Result<()> {
        let differ = |what: &str, ours: &str, theirs: &str| {
            Err(Error::Usage(format!(
                "{name} cannot be added to {}: {what} is {theirs} there and {ours} here",
                self.first
            )))
        };
        let (ours, theirs) = (&self.record.host, &record.host);
        if ours.architecture != theirs.architecture {
            return differ("the architecture", &ours.architecture, &theirs.architecture);
        }
        if ours.emulated != theirs.emulated {
            return differ("emulated", &ours.emulated.to_string(), &theirs.emulated.to_string());
        }
        // All is compared before anything is added.
        let mut places = Vec::new();
        for result in &record.results {
            let place = counterpart(&self.record.results, result, &record.results);
            let difference = place.and_then(|place| differences(&self.record.results[place], result));
            if let Some((what, ours, theirs)) = difference {
                return differ(&format!("{what} of {}", result.scenario), &ours, &theirs);
            }
            places.push((place, gaps_of(name, result)?));
        }
        let more = if record.parts.is_empty() { vec![part(&record)] } else { record.parts.clone() };
        self.record.parts.extend(more);
        self.record.elapsed_s += record.elapsed_s;
        self.record.interrupted |= record.interrupted;
        for (result, (place, gaps)) in record.results.into_iter().zip(places) {
            match place {
                None => {
                    self.record.results.push(result);
                    self.gaps.push(gaps);
                }
                Some(place) => {
                    add(&mut self.record.results[place], result).map_err(|what| too_many(name, what))?;
                    match (&mut self.gaps[place], gaps) {
                        (Some(sum), Some(more)) => {
                            if sum.len() + more.len() > MOST_COUNTS {
                                return Err(too_many(name, "the gaps"));
                            }
                            sum.add(&more).map_err(|error| Error::Internal(format!("adding histograms: {error}")))?;
                        }
                        (sum @ None, more) => *sum = more,
                        (Some(_), None) => {}
                    }
                }
            }
        }
        Ok(())
    }

    /// The sum, with every number that follows from the counts computed again.
    pub fn finish(mut self) -> Record {
        for (result, gaps) in self.record.results.iter_mut().zip(&self.gaps) {
            let ScenarioResult { races, iterations, matches, .. } = *result;
            result.rate = share(races, iterations);
            result.interval = interval(races, iterations);
            result.rate_per_match = matches.and_then(|matches| share(races, matches));
            result.interval_per_match = matches.and_then(|matches| interval(races, matches));
            result.iterations_per_s = if result.elapsed_s > 0.0 { iterations as f64 / result.elapsed_s } else { 0.0 };
            if let Some(gaps) = gaps {
                let unit = std::mem::take(&mut result.gaps.unit);
                result.gaps = Gaps { unit, ..Gaps::new(gaps) };
            }
            result.reproducibility = (races > 0).then(|| reproducibility(races));
            // The parts' histories are not in their records.
            result.drift = None;
            if let Some(sensitivity) = &mut result.sensitivity {
                sensitivity.bound = result.interval.map_or(1.0, |interval| interval.high) / sensitivity.rate;
            }
            result.sensitivity.take_if(|_| races > 0);
            result.finding = Finding::judge(races, iterations, result.expected, result.zero_counts());
        }
        self.record
    }
}

/// Which of `ours` a result of theirs belongs to: the same test on the same class. Where a record has several of these, pair by pair
/// of a large machine, it is the one on the same CPUs.
fn counterpart(ours: &[ScenarioResult], result: &ScenarioResult, theirs: &[ScenarioResult]) -> Option<usize> {
    let alike =
        |known: &ScenarioResult| known.scenario == result.scenario && known.placement.class == result.placement.class;
    let several = [ours, theirs].iter().any(|all| all.iter().filter(|known| alike(known)).count() > 1);
    ours.iter().position(|known| alike(known) && (!several || known.placement.cpus == result.placement.cpus))
}

fn too_many(name: &str, what: &str) -> Error {
    Error::Usage(format!("{name}: with it, {what} would be more than 2^64"))
}

fn gaps_of(name: &str, result: &ScenarioResult) -> Result<Option<Histogram<u64>>> {
    histogram(&result.gaps)
        .map_err(|error| Error::Usage(format!("{name}: the histogram of {} does not read: {error}", result.scenario)))
}

/// What is kept of a record that goes into a sum.
fn part(record: &Record) -> Part {
    Part {
        tool: record.tool.clone(),
        command: record.command.clone(),
        started: record.started.clone(),
        elapsed_s: record.elapsed_s,
        host: record.host.clone(),
    }
}

/// In what two results differ that must not: what, ours, theirs.
fn differences(ours: &ScenarioResult, theirs: &ScenarioResult) -> Option<(&'static str, String, String)> {
    let text = |result: &ScenarioResult| {
        [
            ("the source", result.source_sha256.clone()),
            ("the code", result.code_sha256.clone()),
            ("the condition", result.condition.clone()),
            ("the match event", format!("{:?}", result.match_event)),
            ("the pace", result.pace.mode.clone()),
            ("the group", given_group(result)),
            ("the warmth", warmth(result)),
            ("the stress", format!("{:?}", result.stress)),
            ("focused", result.pace.focused.to_string()),
            (
                "the period",
                result.pace.given_period_ns.map_or("left to wakerace".to_owned(), |ns| format!("{ns:.1} ns")),
            ),
            ("the sweep", given_skews(result)),
            ("the layout", format!("{:?}", result.layout)),
            ("the batch", result.batch.to_string()),
            ("the atomics", format!("{:?}", result.atomics)),
            ("the expectation", format!("{:?}", result.expected)),
        ]
    };
    let pairs = text(ours).into_iter().zip(text(theirs));
    pairs.map(|((what, ours), (_, theirs))| (what, ours, theirs)).find(|(_, ours, theirs)| ours != theirs)
}

/// The skews of a result, if they were given; where wakerace chooses them, they follow the machine.
fn given_skews(result: &ScenarioResult) -> String {
    let skews: Vec<String> = result.skews.iter().map(|skew| format!("{:.0}", skew.skew_ns)).collect();
    if result.pace.given_skews { format!("{} ns", skews.join(", ")) } else { "left to wakerace".to_owned() }
}

/// The group of a result, if it was given.
fn given_group(result: &ScenarioResult) -> String {
    let PaceRecord { given_group, group, .. } = result.pace;
    if given_group { group.to_string() } else { "left to wakerace".to_owned() }
}

/// The warmth of a result. Free runs have none, whatever earlier versions wrote.
fn warmth(result: &ScenarioResult) -> String {
    if result.pace.mode == "free" { "none".to_owned() } else { result.pace.warm.to_string() }
}

/// The values of outcomes, in their order.
fn order(outcomes: &[OutcomeRecord]) -> Vec<BTreeMap<String, FinalValue>> {
    outcomes.iter().map(|outcome| outcome.values.clone()).collect()
}

/// A sum, or what was too much for it.
fn plus(a: u64, b: u64, what: &'static str) -> std::result::Result<u64, &'static str> {
    a.checked_add(b).ok_or(what)
}

/// Adds the counts by how the lines lay; where one side has none, the sum has none.
fn add_starts(sum: &mut ScenarioResult, more: Vec<StartRecord>) -> std::result::Result<(), &'static str> {
    if sum.starts.is_empty() || more.is_empty() {
        sum.starts.clear();
        return Ok(());
    }
    for more in more {
        match sum.starts.iter_mut().find(|known| known.warm == more.warm && known.last_writers == more.last_writers) {
            Some(known) => {
                known.iterations = plus(known.iterations, more.iterations, "the iterations of a start")?;
                known.races = plus(known.races, more.races, "the races of a start")?;
            }
            None => sum.starts.push(more),
        }
    }
    Ok(())
}

/// What a sum's zero rests on: only what holds in both parts. A part without, of a version that asked for less, leaves the sum none.
fn add_evidence(sum: Option<Evidence>, more: Option<Evidence>) -> Option<Evidence> {
    let (mut sum, more) = sum.zip(more)?;
    if sum.needs != more.needs {
        sum.needs = None;
    }
    sum.seen.retain(|kind| more.seen.contains(kind));
    sum.controls.retain(|control| more.controls.contains(control));
    sum.looked = sum.looked.saturating_add(more.looked);
    sum.needed = sum.needed.max(more.needed);
    Some(sum)
}

fn add(sum: &mut ScenarioResult, more: ScenarioResult) -> std::result::Result<(), &'static str> {
    sum.iterations = plus(sum.iterations, more.iterations, "the iterations")?;
    sum.races = plus(sum.races, more.races, "the races")?;
    sum.matches = match (sum.matches, more.matches) {
        (Some(a), Some(b)) => Some(plus(a, b, "the matches")?),
        _ => None,
    };
    sum.discarded = plus(sum.discarded, more.discarded, "the discarded iterations")?;
    sum.disturbances = plus(sum.disturbances, more.disturbances, "the disturbances")?;
    // The weaker control's word is what holds for both.
    sum.sensitivity = sum.sensitivity.take().zip(more.sensitivity).map(|(a, b)| if a.rate <= b.rate { a } else { b });
    // One run's mood is not the sum's.
    sum.line_transfer_ns = None;
    sum.elapsed_s += more.elapsed_s;
    sum.in_batches_s += more.in_batches_s;
    let orders = [&sum.outcomes, &more.outcomes].map(|outcomes| order(outcomes));
    let mut outcomes: BTreeMap<_, OutcomeRecord> =
        std::mem::take(&mut sum.outcomes).into_iter().map(|outcome| (outcome.values.clone(), outcome)).collect();
    for outcome in more.outcomes {
        match outcomes.get_mut(&outcome.values) {
            Some(known) => known.count = plus(known.count, outcome.count, "the outcomes")?,
            None => drop(outcomes.insert(outcome.values.clone(), outcome)),
        }
    }
    sum.outcomes = outcomes.into_values().collect();
    // Both sides' counts per skew in the order of all outcomes.
    let mut more_skews = more.skews;
    for (skews, order) in [&mut sum.skews, &mut more_skews].into_iter().zip(orders) {
        for skew in skews.iter_mut().filter(|skew| skew.outcomes.len() == order.len()) {
            let known: BTreeMap<_, u64> = order.iter().zip(std::mem::take(&mut skew.outcomes)).collect();
            let counts = sum.outcomes.iter().map(|outcome| known.get(&outcome.values).copied().unwrap_or(0));
            skew.outcomes = if known.is_empty() { Vec::new() } else { counts.collect() };
        }
    }
    // Skews are told apart to a tenth of a nanosecond, finer than any clock here counts.
    let key = |skew: &SkewRecord| (skew.skew_ns * 10.0).round() as i64;
    let mut skews: BTreeMap<i64, SkewRecord> =
        std::mem::take(&mut sum.skews).into_iter().map(|skew| (key(&skew), skew)).collect();
    for skew in more_skews {
        match skews.get_mut(&key(&skew)) {
            Some(known) => {
                known.iterations = plus(known.iterations, skew.iterations, "a skew's iterations")?;
                known.races = plus(known.races, skew.races, "a skew's races")?;
                known.matches = match (known.matches, skew.matches) {
                    (Some(a), Some(b)) => Some(plus(a, b, "a skew's matches")?),
                    _ => None,
                };
                if known.outcomes.len() == skew.outcomes.len() {
                    for (sum, more) in known.outcomes.iter_mut().zip(&skew.outcomes) {
                        *sum = plus(*sum, *more, "a skew's outcomes")?;
                    }
                } else {
                    known.outcomes.clear();
                }
            }
            None => drop(skews.insert(key(&skew), skew)),
        }
    }
    sum.skews = skews.into_values().collect();
    add_starts(sum, more.starts)?;
    // A zero is worth what its weakest part is: only controls that fired in all of them speak for the sum.
    sum.controls_fired.retain(|control| more.controls_fired.contains(control));
    sum.evidence = add_evidence(sum.evidence.take(), more.evidence);
    Ok(())
}
