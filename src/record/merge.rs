//! Adds records up: runs of the same tests by the same machine code, from any number of machines. `campaign` adds up
//! campaigns.

mod campaign;
mod distances;

use std::collections::BTreeMap;

use hdrhistogram::Histogram;

pub use self::campaign::CampaignMerger;
use self::distances::add_distances;
use super::judge::settle;
use super::validate::{MOST_COUNTS, histogram};
use super::{
    EdgesRecord, Evidence, FinalValue, FormerMeaning, FreeRecord, Gaps, GivenSetting, LastWriterRecord,
    LineFillsRecord, OutcomeRecord, PaceRecord, Part, Record, RunRecord, ScenarioResult, SearchRecord, Sensitivity,
    SkewRecord, Unmeasured, compute, identity,
};
use crate::arch::lock::Lock;
use crate::error::{Error, Result};
use crate::verdict::VerdictSource;

/// A sum of records, built one record at a time.
#[derive(Debug)]
pub struct Merger {
    record: Record,
    gaps: Vec<Option<Histogram<u64>>>,
    /// The file that each run of the sum came from, by the identity of the run.
    held: BTreeMap<String, String>,
    first: String,
}

impl Merger {
    /// Starts a sum with a record. `name` is its name in error messages.
    ///
    /// # Errors
    /// If a histogram in it cannot be decoded, or if it contains a run twice.
    pub fn new(name: &str, mut record: Record) -> Result<Merger> {
        let gaps = record.results.iter().map(|result| gaps_of(name, result)).collect::<Result<_>>()?;
        let mut held = BTreeMap::new();
        hold(&mut held, name, &record)?;
        record.parts = parts(&record);
        record.conditions = None;
        Ok(Merger { record, gaps, held, first: name.to_owned() })
    }

    /// Adds a record.
    ///
    /// # Errors
    /// If the tests, machine code, architecture or settings differ (the message names the first
    /// difference), if both contain the same run, or if a count would exceed 2^64. Nothing of the record
    /// is added then.
    pub fn add(&mut self, name: &str, record: Record) -> Result<()> {
        let differ = |what: &str, ours: &str, theirs: &str| {
            Err(Error::Usage(format!(
                "{name} cannot be added to {first}: {what} is {theirs} in {name} and {ours} in {first}",
                first = self.first
            )))
        };
        let (ours, theirs) = (&self.record.host, &record.host);
        if ours.architecture != theirs.architecture {
            return differ("the architecture", &ours.architecture, &theirs.architecture);
        }
        if self.record.tool.name != record.tool.name {
            return differ("the program that measured", &self.record.tool.name, &record.tool.name);
        }
        if ours.emulated != theirs.emulated {
            return differ("emulated", &ours.emulated.to_string(), &theirs.emulated.to_string());
        }
        // Everything is compared and summed before the sum is changed.
        let mut held = self.held.clone();
        hold(&mut held, name, &record)?;
        let mut places = Vec::new();
        for result in &record.results {
            let place = counterpart(&self.record.results, result, &record.results);
            let difference = place.and_then(|place| differences(&self.record.results[place], result));
            if let Some((what, ours, theirs)) = difference {
                return differ(&format!("{what} of {}", result.scenario), &ours, &theirs);
            }
            places.push((place, gaps_of(name, result)?));
        }
        let (mut results, mut gaps) = (self.record.results.clone(), self.gaps.clone());
        let more_parts = parts(&record);
        for (result, (place, more)) in record.results.into_iter().zip(places) {
            match place {
                None => {
                    results.push(result);
                    gaps.push(more);
                }
                Some(place) => {
                    let known = results[place].clone();
                    results[place] = add(known, result).map_err(|what| too_many(name, what))?;
                    gaps[place] = add_gaps(name, gaps[place].take(), more)?;
                }
            }
        }
        self.gaps = gaps;
        self.held = held;
        self.record.parts.extend(more_parts);
        self.record.elapsed_s += record.elapsed_s;
        self.record.interrupted |= record.interrupted;
        let known = |test: &Unmeasured| results.iter().any(|result| result.scenario == test.scenario);
        self.record.unmeasured.extend(record.unmeasured);
        self.record.unmeasured.retain(|test| !known(test));
        // This version does not know how to add a field of another version.
        self.record.extra.clear();
        self.record.results = results;
        Ok(())
    }

    /// Returns the sum. Every number that follows from the counts is computed again.
    pub fn finish(mut self) -> Record {
        self.record.id = identity::of_sum(&self.record.held());
        for (result, gaps) in self.record.results.iter_mut().zip(&self.gaps) {
            finish(result, gaps.as_ref());
        }
        self.record
    }
}

/// Computes every number of a sum that follows from its counts. `gaps` is the sum of the histograms of the
/// parts.
fn finish(result: &mut ScenarioResult, gaps: Option<&Histogram<u64>>) {
    // Drift needs the rate of each batch in time, and the records of the parts do not have it.
    result.drift = None;
    compute(result);
    if let Some(gaps) = gaps {
        result.gaps = Gaps::of(&result.gaps.unit, gaps);
    }
    settle(result);
}

/// Adds a repeat to a result of the same experiment. The finding stays until the result is judged again.
///
/// # Errors
/// If a count would exceed 2^64.
pub fn add_repeat(sum: &mut ScenarioResult, more: ScenarioResult) -> Result<()> {
    let name = "a repeat";
    let gaps = add_gaps(name, gaps_of(name, sum)?, gaps_of(name, &more)?)?;
    *sum = add(sum.clone(), more).map_err(|what| too_many(name, what))?;
    finish(sum, gaps.as_ref());
    Ok(())
}

/// Adds what a search has seen to a result of the same experiment.
///
/// # Errors
/// As [`add_repeat`].
pub fn add_search(sum: &mut ScenarioResult, more: SearchRecord) -> Result<()> {
    sum.search = add_searches(sum.search.take(), Some(more)).map_err(|what| too_many("a search", what))?;
    Ok(())
}

/// Adds the runs of a record to the list of runs.
///
/// # Errors
/// If one of them is in the list already. The message names both files.
fn hold<R>(held: &mut BTreeMap<String, String>, name: &str, record: &RunRecord<R>) -> Result<()> {
    for id in record.held() {
        if let Some(other) = held.insert(id.clone(), name.to_owned()) {
            let other = if other == name { "it".to_owned() } else { other };
            return Err(Error::Usage(format!(
                "{name} cannot be added: {other} already contains the run {id}, so the sum would count it twice"
            )));
        }
    }
    Ok(())
}

/// The index of the result in `ours` that `result` of `theirs` is added to: the same test on the same
/// placement class and the same kinds of core. If a record has several of these (one per pair of CPUs), the CPUs must be
/// the same too. Results whose settings a search chose are only added to those of the same code; a sum can have both.
fn counterpart(ours: &[ScenarioResult], result: &ScenarioResult, theirs: &[ScenarioResult]) -> Option<usize> {
    let alike = |known: &ScenarioResult| {
        let searched = known.pace.searched || result.pace.searched;
        known.scenario == result.scenario
            && known.placement.is_like(&result.placement)
            && (!searched || known.source_sha256 != result.source_sha256 || known.code_sha256 == result.code_sha256)
    };
    let several = [ours, theirs].iter().any(|all| all.iter().filter(|known| alike(known)).count() > 1);
    ours.iter().position(|known| alike(known) && (!several || known.placement.cpus == result.placement.cpus))
}

fn too_many(name: &str, what: &str) -> Error {
    Error::Usage(format!("{name} cannot be added: {what} would exceed 2^64"))
}

fn gaps_of(name: &str, result: &ScenarioResult) -> Result<Option<Histogram<u64>>> {
    histogram(&result.gaps).map_err(|error| {
        Error::Usage(format!("{name}: the histogram of {} cannot be decoded: {error}", result.scenario))
    })
}

fn add_gaps(name: &str, sum: Option<Histogram<u64>>, more: Option<Histogram<u64>>) -> Result<Option<Histogram<u64>>> {
    let (Some(mut sum), Some(more)) = (sum.clone(), more.clone()) else { return Ok(sum.or(more)) };
    if sum.len() + more.len() > MOST_COUNTS {
        return Err(too_many(name, "the gaps"));
    }
    // The histograms of different versions have different largest values.
    sum.auto(true);
    sum.add(&more).map_err(|error| Error::Usage(format!("{name}: its histogram cannot be added: {error}")))?;
    Ok(Some(sum))
}

/// The parts that a record adds to a sum: its own parts, or the record itself if it is from one run.
fn parts<R>(record: &RunRecord<R>) -> Vec<Part> {
    if record.parts.is_empty() {
        return vec![Part {
            id: record.identity(),
            tool: record.tool.clone(),
            command: record.command.clone(),
            started: record.started.clone(),
            elapsed_s: record.elapsed_s,
            host: record.host.clone(),
        }];
    }
    record.parts.iter().map(|part| Part { id: part.identity(), ..part.clone() }).collect()
}

/// The first setting in which two results differ although a sum needs it to be the same, or the first field
/// that means different things in them: its name, ours, theirs.
fn differences(ours: &ScenarioResult, theirs: &ScenarioResult) -> Option<(&'static str, String, String)> {
    // A search may choose these differently each time, as a calibration does with the group and the period.
    let text = |result: &ScenarioResult, other: &ScenarioResult| {
        let unless_chosen = |setting, text: String| {
            if result.chosen_beside(other, setting) { "chosen by wakerace".to_owned() } else { text }
        };
        [
            ("the source", result.source_sha256.clone()),
            ("the code", result.code_sha256.clone()),
            ("the condition", result.condition.clone()),
            ("the match event", format!("{:?}", result.match_event)),
            ("the pace", result.pace.mode.clone()),
            ("the group", unless_chosen(GivenSetting::Group, given_group(result))),
            ("the prefetch setting", unless_chosen(GivenSetting::Prefetch, result.pace.prefetch.to_string())),
            ("the stress", result.stress.clone().unwrap_or_else(|| "none".to_owned())),
            ("focused", result.pace.focused.to_string()),
            (
                "the period",
                result.pace.given_period_ns.map_or("chosen by wakerace".to_owned(), |ns| format!("{ns:.1} ns")),
            ),
            ("the sweep", given_skews(result)),
            ("the layout", format!("{:?}", result.layout)),
            ("the batch", unless_chosen(GivenSetting::Batch, result.batch.to_string())),
            ("the atomics", format!("{:?}", result.atomics)),
            // Records from before the field have the queued spinlock.
            ("the lock", result.lock.clone().unwrap_or_else(|| Lock::default().to_string())),
            ("the expectation", format!("{:?}", result.expected)),
            ("the unit of the histogram", result.gaps.unit.clone()),
        ]
    };
    let settings =
        text(ours, theirs).into_iter().zip(text(theirs, ours)).map(|((what, ours), (_, theirs))| (what, ours, theirs));
    let meanings = FormerMeaning::ALL.into_iter().map(|former| {
        let of = |result: &ScenarioResult| {
            let (current, earlier) = former.meanings();
            if result.former_meanings.contains(&former) { earlier } else { current }.to_owned()
        };
        (former.field(), of(ours), of(theirs))
    });
    settings.chain(meanings).find(|(_, ours, theirs)| ours != theirs)
}

/// The skews of a result, if they were given. If wakerace chose them, they depend on the machine and may
/// differ.
fn given_skews(result: &ScenarioResult) -> String {
    result.given_skews().unwrap_or_else(|| "chosen by wakerace".to_owned())
}

/// The group size of a result, if it was given.
fn given_group(result: &ScenarioResult) -> String {
    result.given_group().map_or("chosen by wakerace".to_owned(), |group| group.to_string())
}

/// The sum of two counts, or the name of the count if it would exceed 2^64.
fn plus(a: u64, b: u64, what: &'static str) -> Summed<u64> {
    a.checked_add(b).ok_or(what)
}

/// The sum of two optional counts; `None` if one of them is missing.
fn plus_if_both(a: Option<u64>, b: Option<u64>, what: &'static str) -> Summed<Option<u64>> {
    a.zip(b).map(|(a, b)| plus(a, b, what)).transpose()
}

/// The value, if both sides have the same; otherwise `None`.
fn same<T: PartialEq>(a: Option<T>, b: Option<T>) -> Option<T> {
    if a == b { a } else { None }
}

/// Where the settings of both sides come from; `None` if a side's are from no earlier search.
fn sources(a: Option<String>, b: Option<String>) -> Option<String> {
    const BETWEEN: &str = " and ";
    let (a, b) = a.zip(b)?;
    let mut all: Vec<&str> = a.split(BETWEEN).collect();
    for source in b.split(BETWEEN) {
        if !all.contains(&source) {
            all.push(source);
        }
    }
    Some(all.join(BETWEEN))
}

/// The text of either side. One side may lack it, because its version did not write it. The hash is the same.
fn either(a: String, b: String) -> String {
    if a.is_empty() { b } else { a }
}

/// The weights for the mean of two means: the iterations of each side.
#[derive(Clone, Copy)]
pub(super) struct Weights(f64, f64);

impl Weights {
    pub(super) fn mean(self, a: f64, b: f64) -> f64 {
        let Weights(ours, theirs) = self;
        if ours + theirs > 0.0 { (a * ours + b * theirs) / (ours + theirs) } else { a }
    }
}

/// The sum of two parts, or the name of the count that would exceed 2^64.
type Summed<T> = std::result::Result<T, &'static str>;

/// The sum of two results of one test. Every field is named here, so a new field does not compile until its
/// meaning in sums is decided. Fields that follow from others keep the value of `a` until [`Merger::finish`]
/// computes them.
fn add(a: ScenarioResult, b: ScenarioResult) -> Summed<ScenarioResult> {
    let mixed = a.free.is_some() || b.free.is_some() || a.pace.mode != b.pace.mode;
    let (a, b) = if mixed { (without_skew(a), without_skew(b)) } else { (a, b) };
    let weights = Weights(a.iterations as f64, b.iterations as f64);
    let pace_weights = if mixed { Weights(a.paced() as f64, b.paced() as f64) } else { weights };
    let repeats = [a.as_repeats(), b.as_repeats()].concat();
    let distances = add_distances(&a, &b)?;
    let sightings = plus(a.sightings(), b.sightings(), "the sightings")?;
    // The names come from the source, and lines with names may differ between two sources of one test.
    let named = |result: &ScenarioResult| !result.title.is_empty() || !result.named_outcomes.is_empty();
    let (source, title, named_outcomes) = if named(&a) || !named(&b) {
        (either(a.source, b.source), a.title, a.named_outcomes)
    } else {
        (either(b.source, a.source), b.title, b.named_outcomes)
    };
    let (outcomes, skews, free) = add_outcomes((a.outcomes, a.skews, a.free), (b.outcomes, b.skews, b.free))?;
    // A zero of a sum is as weak as that of its weakest part: only controls that fired in all parts apply to
    // the sum.
    let mut controls_fired = a.controls_fired;
    controls_fired.retain(|control| b.controls_fired.contains(control));
    let evidence = add_evidence(a.evidence, b.evidence);
    let speak = evidence.as_ref().map_or(&controls_fired, |evidence| &evidence.controls);
    Ok(ScenarioResult {
        sensitivity: weaker(a.sensitivity, b.sensitivity, speak),
        evidence,
        controls_fired,
        iterations: plus(a.iterations, b.iterations, "the iterations")?,
        races: plus(a.races, b.races, "the races")?,
        matches: plus_if_both(a.matches, b.matches, "the matches")?,
        discarded: plus(a.discarded, b.discarded, "the discarded iterations")?,
        disturbances: plus(a.disturbances, b.disturbances, "the disturbances")?,
        moved: plus(a.moved, b.moved, "the iterations of moved threads")?,
        filtered: plus(a.filtered, b.filtered, "what the filter excludes")?,
        // This follows from the source, which is the same.
        displayed: if a.displayed.is_empty() { b.displayed } else { a.displayed },
        elapsed_s: a.elapsed_s + b.elapsed_s,
        in_batches_s: a.in_batches_s + b.in_batches_s,
        phases: a.phases.zip(b.phases).map(|(a, b)| a.plus(b, weights)),
        outcomes,
        skews,
        free,
        last_writers: add_last_writers(a.last_writers, b.last_writers)?,
        // The differences between the parts give the spread of the sum. The course of each part in time does
        // not.
        repeats,
        sightings: Some(sightings),
        search: add_searches(a.search, b.search)?,
        blocks: Vec::new(),
        pace: add_pace(a.pace, b.pace, pace_weights),
        // The CPUs may differ between machines. `parts` says which hosts there were.
        placement: a.placement,
        // These may differ between the runs of a sum.
        line_transfer_ns: None,
        distances,
        counters: Vec::new(),
        drift: None,
        // The least favourable value.
        nice: a.nice.max(b.nice),
        line_fills: add_line_fills(a.line_fills, b.line_fills)?,
        source,
        title,
        named_outcomes,
        listing: either(a.listing, b.listing),
        lkmm: same(a.lkmm, b.lkmm),
        expected_from: if a.expected_from == b.expected_from { a.expected_from } else { VerdictSource::Header },
        // These are the same in both, as checked before. The parts of a run can have other code (`distances.settings`).
        scenario: a.scenario,
        question: either(a.question, b.question),
        is_control: a.is_control,
        former_meanings: a.former_meanings,
        source_sha256: a.source_sha256,
        code_sha256: a.code_sha256,
        condition: a.condition,
        match_event: a.match_event,
        layout: a.layout,
        batch: a.batch,
        atomics: a.atomics,
        lock: a.lock.or(b.lock),
        stopped_by: a.stopped_by.or(b.stopped_by),
        goal: same(a.goal, b.goal),
        stress: a.stress,
        expected: a.expected,
        // The folder of the test, and the seed of the order of skews: those of the first part.
        group: a.group,
        seed: a.seed,
        // `finish` computes these.
        iterations_per_s: a.iterations_per_s,
        rate: a.rate,
        interval: a.interval,
        rate_per_match: a.rate_per_match,
        interval_per_match: a.interval_per_match,
        effective_iterations: a.effective_iterations,
        reproducibility: a.reproducibility,
        sequence: a.sequence,
        gaps: a.gaps,
        finding: a.finding,
        warnings: a.warnings,
        // This version does not know how to add a field of another version.
        extra: BTreeMap::new(),
    })
}

/// The searches of a sum.
fn add_searches(a: Option<SearchRecord>, b: Option<SearchRecord>) -> Summed<Option<SearchRecord>> {
    Ok(match (a, b) {
        (Some(a), Some(b)) => Some(a.plus(b)?),
        (a, b) => a.or(b),
    })
}

/// The lines from other caches of a sum; none if a part did not count them, or another event.
fn add_line_fills(a: Option<LineFillsRecord>, b: Option<LineFillsRecord>) -> Summed<Option<LineFillsRecord>> {
    let alike = a.zip(b).filter(|(a, b)| a.event == b.event);
    alike
        .map(|(a, b)| Ok(LineFillsRecord { count: plus(a.count, b.count, "the lines from other caches")?, ..a }))
        .transpose()
}

/// The evidence for a zero of a sum: only what holds in both parts. If a part has no evidence (from an
/// earlier version), the sum has none.
fn add_evidence(a: Option<Evidence>, b: Option<Evidence>) -> Option<Evidence> {
    let (a, b) = a.zip(b)?;
    let Evidence { needs, mut seen, mut controls, looked, needed } = a;
    seen.retain(|kind| b.seen.contains(kind));
    controls.retain(|control| b.controls.contains(control));
    Some(Evidence {
        needs: if needs == b.needs { needs } else { None },
        seen,
        controls,
        looked: looked.saturating_add(b.looked),
        needed: needed.max(b.needed),
    })
}

/// The sensitivity with the lower control rate, if this control applies to both parts.
fn weaker(a: Option<Sensitivity>, b: Option<Sensitivity>, speak: &[String]) -> Option<Sensitivity> {
    let known = |sensitivity: &Sensitivity| speak.contains(&sensitivity.control);
    let (a, b) = a.zip(b)?;
    let weaker = if a.rate <= b.rate { a } else { b };
    known(&weaker).then_some(weaker)
}

/// The result with its counts in `free`, if its instances ran free. A free run has a single skew, which means nothing.
fn without_skew(result: ScenarioResult) -> ScenarioResult {
    if result.free.is_some() || result.pace.mode != "free" {
        return result;
    }
    let ScenarioResult { iterations, matches, races, .. } = result;
    let outcomes = result.outcomes.iter().map(|outcome| outcome.count).collect();
    let free = Some(FreeRecord { iterations, matches, races, outcomes });
    let mut distances = result.distances;
    distances.iter_mut().flat_map(|distances| &mut distances.strata).for_each(|stratum| stratum.skews.clear());
    ScenarioResult { free, distances, skews: Vec::new(), ..result }
}

/// The pace of a sum: that of the first part. Settings that were given are the same in both parts. Measured values become means,
/// of the paced parts if some ran free.
fn add_pace(a: PaceRecord, b: PaceRecord, weights: Weights) -> PaceRecord {
    if a.mode != b.mode {
        return PaceRecord { searched: a.searched || b.searched, ..a };
    }
    PaceRecord {
        mode: a.mode,
        chosen: if a.chosen == b.chosen { a.chosen } else { "auto".to_owned() },
        // The mean of ticks of different clocks has no meaning.
        period_ticks: same(a.period_ticks, b.period_ticks),
        period_ns: a.period_ns.zip(b.period_ns).map(|(a, b)| weights.mean(a, b)),
        given_period_ns: a.given_period_ns,
        given_skews: a.given_skews,
        profile: sources(a.profile, b.profile),
        // If wakerace chose the group size, that of the first part.
        group: a.group,
        given_group: a.given_group,
        searched: a.searched || b.searched,
        given: a.given,
        // Searches may have chosen different ones.
        prefetch: a.prefetch.with(b.prefetch),
        focused: a.focused,
        end_spread_ns: a.end_spread_ns.zip(b.end_spread_ns).map(|(a, b)| weights.mean(a, b)),
        late: a.late.zip(b.late).map(|(a, b)| weights.mean(a, b)),
        edges: add_edges(a.edges, b.edges),
        free_because: same(a.free_because, b.free_because),
    }
}

/// The edges of a sum; none if the clocks differ. Parts with and without a simulated clock have different code.
fn add_edges(a: Option<EdgesRecord>, b: Option<EdgesRecord>) -> Option<EdgesRecord> {
    let (a, b) = a.zip(b).filter(|(a, b)| a.step_ticks == b.step_ticks && a.simulated == b.simulated)?;
    let gap_share = a.gap_share.filter(|share| b.gap_share == Some(*share));
    Some(EdgesRecord { delays: Vec::new(), drifts: a.drifts.saturating_add(b.drifts), gap_share, ..a })
}

/// Adds the counts by cache-line ownership. If one side has none, the sum has none.
fn add_last_writers(sum: Vec<LastWriterRecord>, more: Vec<LastWriterRecord>) -> Summed<Vec<LastWriterRecord>> {
    if sum.is_empty() || more.is_empty() {
        return Ok(Vec::new());
    }
    let mut last_writers: Vec<LastWriterRecord> = Vec::new();
    for entry in sum.into_iter().chain(more) {
        let LastWriterRecord { prefetched, writers, iterations, races } = &entry;
        match last_writers.iter_mut().find(|known| known.prefetched == *prefetched && known.writers == *writers) {
            Some(known) => {
                known.iterations = plus(known.iterations, *iterations, "the iterations by last writers")?;
                known.races = plus(known.races, *races, "the races by last writers")?;
            }
            None => last_writers.push(entry),
        }
    }
    Ok(last_writers)
}

/// The outcomes of a result, its counts at each skew, and those of what ran free.
type Counted = (Vec<OutcomeRecord>, Vec<SkewRecord>, Option<FreeRecord>);

/// Adds the counts of equal outcomes and of equal skews. The counts of each skew are put into the order of
/// the outcomes of the sum.
fn add_outcomes(ours: Counted, theirs: Counted) -> Summed<Counted> {
    let orders = [&ours, &theirs].map(|(outcomes, ..)| order(outcomes));
    let mut outcomes: BTreeMap<BTreeMap<String, FinalValue>, OutcomeRecord> = BTreeMap::new();
    for outcome in ours.0.into_iter().chain(theirs.0) {
        let OutcomeRecord { values, count, satisfies: _ } = &outcome;
        match outcomes.get_mut(values) {
            Some(known) => known.count = plus(known.count, *count, "the outcomes")?,
            None => drop(outcomes.insert(values.clone(), outcome)),
        }
    }
    let outcomes: Vec<OutcomeRecord> = outcomes.into_values().collect();
    let in_order = |counts: Vec<u64>, order: &[BTreeMap<String, FinalValue>]| {
        if counts.len() != order.len() {
            return Vec::new();
        }
        let known: BTreeMap<_, u64> = order.iter().zip(counts).collect();
        outcomes.iter().map(|outcome| known.get(&outcome.values).copied().unwrap_or(0)).collect()
    };
    let mut skews: Vec<SkewRecord> = Vec::new();
    let mut free: Option<FreeRecord> = None;
    for (of_skews, of_free, order) in [(ours.1, ours.2, &orders[0]), (theirs.1, theirs.2, &orders[1])] {
        for skew in of_skews {
            let skew = SkewRecord { outcomes: in_order(skew.outcomes, order), ..skew };
            match skews.iter_mut().find(|known| known.is_at(skew.skew_ns)) {
                Some(known) => add_skew(known, skew)?,
                None => skews.push(skew),
            }
        }
        let more = of_free.map(|free| FreeRecord { outcomes: in_order(free.outcomes, order), ..free });
        free = match (free, more) {
            (Some(free), Some(more)) => Some(add_free(free, more)?),
            (free, more) => free.or(more),
        };
    }
    skews.sort_unstable_by(|a, b| a.skew_ns.total_cmp(&b.skew_ns));
    Ok((outcomes, skews, free))
}

/// The values of the outcomes, in the order of the outcomes.
fn order(outcomes: &[OutcomeRecord]) -> Vec<BTreeMap<String, FinalValue>> {
    outcomes.iter().map(|outcome| outcome.values.clone()).collect()
}

fn add_skew(sum: &mut SkewRecord, more: SkewRecord) -> Summed<()> {
    let SkewRecord { skew_ns: _, iterations, matches, races, outcomes } = more;
    sum.iterations = plus(sum.iterations, iterations, "a skew's iterations")?;
    sum.races = plus(sum.races, races, "a skew's races")?;
    sum.matches = plus_if_both(sum.matches, matches, "a skew's matches")?;
    sum.outcomes = add_counts(&sum.outcomes, &outcomes, "a skew's outcomes")?;
    Ok(())
}

fn add_free(a: FreeRecord, b: FreeRecord) -> Summed<FreeRecord> {
    Ok(FreeRecord {
        iterations: plus(a.iterations, b.iterations, "the free iterations")?,
        matches: plus_if_both(a.matches, b.matches, "the free matches")?,
        races: plus(a.races, b.races, "the free races")?,
        outcomes: add_counts(&a.outcomes, &b.outcomes, "the free outcomes")?,
    })
}

/// The sums of two lists of counts; none if one of them has none.
fn add_counts(a: &[u64], b: &[u64], what: &'static str) -> Summed<Vec<u64>> {
    if a.len() != b.len() {
        return Ok(Vec::new());
    }
    a.iter().zip(b).map(|(&a, &b)| plus(a, b, what)).collect()
}
