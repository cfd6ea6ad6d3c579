//! Compares records: the ratio of rates of each test, and whether the rates differ by more than chance.

use std::borrow::Borrow;

use super::cpus::letter;
use super::distances::{SOME_NEIGHBOURS, at_no_distance, distance, distance_without_neighbour};
use super::fit::{Cells, DIFFERENT_CODE, DIFFERENT_SETTINGS, OTHER_CODE, OTHER_SETTINGS, comparison, wrapped_lines};
use super::markdown::{self, sentences};
use super::numbers::rate_with_interval;
use super::settings;
use crate::machine::{Class, class_and_kinds};
use crate::record::{CountRecord, Record, ScenarioResult, StratumRecord, WithoutNeighbourRecord};
use crate::shown;
use crate::stats::{interval_of, matched};

/// One test in the first record and in another record.
#[derive(Debug, Clone, PartialEq)]
pub struct Comparison {
    /// The test.
    pub scenario: String,
    /// The placement class, and the kinds of core if a host has several.
    pub class: String,
    /// The number of the other record, from 1.
    pub other: usize,
    /// The two rates as text, with their intervals.
    pub rates: [String; 2],
    /// The other rate divided by the first; `None` if neither record has a race.
    pub ratio: Option<Ratio>,
    /// How the machine code of the two records differs.
    pub code: Code,
    /// The distance between the CPUs, if it was measured: one distance, or one of each record.
    pub distance: Option<String>,
    /// Why there is no ratio, if the CPUs of the two records were not at the same distance.
    pub note: Option<String>,
}

impl Comparison {
    /// What the comparison says about a difference; `None` if neither record has a race.
    pub fn verdict(&self) -> Option<Verdict> {
        let of = |ratio: Ratio| ratio.verdict(&self.code);
        if self.note.is_some() { Some(Verdict::Unknown) } else { self.ratio.map(of) }
    }
}

/// How the machine code of two results of a test differs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Code {
    /// It is the same.
    Same,
    /// The same program ran the test with other settings, in words: `dense 8 against padded 1`. A search or an option chose
    /// them.
    Settings(String),
    /// Anything else: another version of the program, other instructions, another architecture.
    Different,
}

impl Code {
    /// Compares the code of two results, each with its record: all of it, or that at a distance of each in nanoseconds.
    pub(super) fn of(
        (first, ours): (&Record, &ScenarioResult),
        (other, theirs): (&Record, &ScenarioResult),
        at: Option<[f64; 2]>,
    ) -> Code {
        let [own, others] = match at {
            None => [ours.codes(), theirs.codes()],
            Some([a, b]) => [ours.codes_at(a), theirs.codes_at(b)],
        };
        if own == others {
            return settings::given(ours, theirs).map_or(Code::Same, Code::Settings);
        }
        let same_program = first.tool == other.tool && !first.tool.is_foreign();
        let same_host =
            first.host.architecture == other.host.architecture && first.host.cpu_model == other.host.cpu_model;
        let alike = same_program && same_host && ours.atomics == theirs.atomics && ours.lock == theirs.lock;
        let settings = match settings::differing(ours, theirs) {
            // The first parts of the runs have the same code, but a later part of one run has other code.
            None if ours.code_sha256 == theirs.code_sha256 => {
                Some("another pace or layout after the CPUs moved".to_owned())
            }
            found => found,
        };
        settings.filter(|_| alike).map_or(Code::Different, Code::Settings)
    }

    /// What the last column adds to the verdict.
    pub(super) fn words(&self) -> String {
        match self {
            Code::Same => String::new(),
            Code::Settings(words) => format!("{DIFFERENT_SETTINGS}{words}"),
            Code::Different => DIFFERENT_CODE.to_owned(),
        }
    }
}

/// Whether two rates differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// By more than chance.
    Yes,
    /// By no more than chance.
    No,
    /// The rates are apart, but one of them is of a single run, or the settings differ, or the distances between the CPUs do
    /// (docs/decisions/0021-comparisons.md).
    Unknown,
}

/// A ratio of rates with its 95 % interval; the ends may be 0 and infinite.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Ratio {
    /// The other rate divided by the first; infinite if only the other record has races.
    pub value: f64,
    /// The lower end.
    pub low: f64,
    /// The upper end.
    pub high: f64,
    /// Whether one of the rates is from a single run, so that the spread between runs is assumed
    /// ([`BETWEEN_RUNS`]).
    pub assumed: bool,
}

impl Ratio {
    /// Whether the interval excludes 1, that is, equal rates.
    pub fn differs(self) -> bool {
        self.low > 1.0 || self.high < 1.0
    }

    /// Whether the rates differ by more than chance. The spread between runs has to be measured for that, and the settings
    /// must be the same: neither an assumed spread nor one of repeats with the same settings bounds what another choice does.
    pub fn verdict(self, code: &Code) -> Verdict {
        match self.differs() {
            false => Verdict::No,
            true if self.can_differ(code) => Verdict::Yes,
            true => Verdict::Unknown,
        }
    }

    /// Whether a difference could be told from the spread between runs.
    pub fn can_differ(self, code: &Code) -> bool {
        !self.assumed && !matches!(code, Code::Settings(_))
    }

    /// The verdict for the table.
    pub(super) fn in_words(self, code: &Code) -> &'static str {
        match self.verdict(code) {
            Verdict::Yes => "yes",
            Verdict::No => "no",
            Verdict::Unknown if self.assumed => UNKNOWN_SINGLE,
            Verdict::Unknown => "unknown",
        }
    }
}

/// The verdict if the rates are apart, but the spread between runs is only assumed.
pub(super) const UNKNOWN_SINGLE: &str = "unknown: single run";

/// The assumed spread between runs on one machine, if it was not measured: the standard deviation of the
/// logarithm of a rate. Five alternating runs on a quiet machine differed by 2 to 40 % (docs/performance.md).
pub const BETWEEN_RUNS: f64 = 0.2;
/// The 97.5 % point of the standard normal distribution.
const Z: f64 = 1.96;

/// A rate for a comparison.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rate {
    /// How often the race was seen.
    pub seen: u64,
    /// Iterations.
    pub trials: u64,
    /// The design effect: the variance relative to that of independent iterations
    /// ([`ScenarioResult::effect`]).
    pub effect: f64,
    /// Whether the rate is from several runs, so that the effect includes the spread between runs.
    pub repeated: bool,
}

impl Rate {
    fn of(result: &ScenarioResult) -> Rate {
        Rate { seen: result.races, trials: result.iterations, effect: result.effect(), repeated: result.runs() > 1 }
    }

    fn at(result: &ScenarioResult, stratum: &StratumRecord) -> Rate {
        let StratumRecord { races, iterations, repeats, .. } = stratum;
        Rate::of_part(result, (*races, *iterations), stratum.effect(), repeats)
    }

    fn without_neighbour(result: &ScenarioResult, part: &WithoutNeighbourRecord) -> Rate {
        let WithoutNeighbourRecord { races, iterations, repeats, .. } = part;
        Rate::of_part(result, (*races, *iterations), part.effect(), repeats)
    }

    fn of_part(result: &ScenarioResult, (seen, trials): (u64, u64), effect: f64, repeats: &[CountRecord]) -> Rate {
        Rate { seen, trials, effect, repeated: result.runs() > 1 && repeats.len() > 1 }
    }

    /// The effective number of races: as many independent races would have the same relative variance.
    fn effective(self) -> f64 {
        self.seen as f64 / self.effect.max(1.0)
    }
}

/// The ratio of the other rate to the first, with its interval.
///
/// The total number of races is taken as given. The other's share of them is then binomially distributed,
/// with a probability that follows from the ratio (the conditional test of two Poisson rates: Przyborowski
/// and Wilenski, Biometrika 31, 1940). This is exact for rare races. Counts of frequent races vary less, so
/// for these the interval is too wide rather than too narrow. Races and trials are divided by the design
/// effect ([`crate::stats::interval_with`]). The effect of a rate from several runs includes the spread
/// between runs; for a single run [`BETWEEN_RUNS`] is added.
pub fn ratio(first: Rate, other: Rate) -> Option<Ratio> {
    if first.trials == 0 || other.trials == 0 || first.seen == 0 && other.seen == 0 {
        return None;
    }
    let (ours, theirs) = (first.effective(), other.effective());
    let share = interval_of(theirs, ours + theirs);
    // The design effect divides the trials too.
    let trials = |rate: Rate| rate.trials as f64 / rate.effect.max(1.0);
    let scale = trials(first) / trials(other);
    let odds = |p: f64| if p >= 1.0 { f64::INFINITY } else { p / (1.0 - p) * scale };
    let value = if first.seen == 0 { f64::INFINITY } else { theirs / ours * scale };
    let single = [first, other].iter().filter(|rate| !rate.repeated).count();
    let more = Z * BETWEEN_RUNS * (single as f64).sqrt();
    let (low, high) = (odds(share.low), odds(share.high));
    // Independent parts of the spread of a logarithm add up as squares. If an end is 0 or infinite, only
    // `more` is left.
    let wider = |end: f64| {
        let own = (end / value).ln().abs();
        if own.is_finite() { own.hypot(more) } else { more }
    };
    let (down, up) = ((-wider(low)).exp(), wider(high).exp());
    Some(Ratio {
        value,
        low: if value.is_finite() && low > 0.0 { value * down } else { low * (-more).exp() },
        high: if value > 0.0 && high.is_finite() { value * up } else { high * more.exp() },
        assumed: single > 0,
    })
}

/// The results of another record to compare with: the same test on the same placement class and, if a host has several
/// kinds of core, on the same kinds. If a record has several of these, the CPUs must be the same too. The log of another program does not say where its threads
/// ran, so these are compared on every placement.
fn counterparts<'a>(result: &ScenarioResult, first: &Record, other: &'a Record) -> Vec<&'a ScenarioResult> {
    let same_test = |known: &&ScenarioResult| known.test_key() == result.test_key();
    if [first, other].iter().any(|record| record.tool.is_foreign()) {
        return other.results.iter().filter(same_test).collect();
    }
    let alike = |record: &Record, known: &ScenarioResult| {
        let same_class = known.placement.class == result.placement.class;
        same_test(&known) && same_class && alike_cores(first, result, record, known)
    };
    let several =
        [first, other].iter().any(|record| record.results.iter().filter(|known| alike(record, known)).count() > 1);
    let mut all = other.results.iter().filter(|known| alike(other, known));
    all.find(|known| !several || known.placement.cpus == result.placement.cpus).into_iter().collect()
}

/// Whether two results of two hosts can be compared as to their cores. Hosts with one kind of core each always can. If one
/// has several kinds, both tests must have run on the same ones.
fn alike_cores(first: &Record, ours: &ScenarioResult, other: &Record, theirs: &ScenarioResult) -> bool {
    if ours.placement.kinds.is_empty() && theirs.placement.kinds.is_empty() {
        return true;
    }
    // A host with one kind of core has no kinds in its placements.
    let kinds = |record: &Record, result: &ScenarioResult| {
        let only = record.host.core_types.keys().next().cloned().unwrap_or_default();
        let known = &result.placement.kinds;
        if known.is_empty() { vec![only; result.placement.cpus.len()] } else { known.clone() }
    };
    kinds(first, ours) == kinds(other, theirs)
}

/// The placement class and the kinds of core of a pair of results: those that are known.
fn class(result: &ScenarioResult, theirs: &ScenarioResult) -> String {
    let [ours, theirs] = [result, theirs].map(|result| &result.placement);
    let class = if ours.class == Class::Unknown { theirs.class } else { ours.class };
    class_and_kinds(class, if ours.kinds.is_empty() { &theirs.kinds } else { &ours.kinds })
}

/// Compares every test of the first record with the same test of each other record, by source and placement
/// class.
pub fn compare(records: &[impl Borrow<Record>]) -> Vec<Comparison> {
    let Some((first, others)) = records.split_first() else { return Vec::new() };
    let first = first.borrow();
    let mut out = Vec::new();
    for result in &first.results {
        for (number, other) in others.iter().map(Borrow::borrow).enumerate() {
            let pairs = counterparts(result, first, other).into_iter();
            out.extend(pairs.flat_map(|theirs| compared((first, result), (other, theirs), number + 1)));
        }
    }
    out
}

/// Compares two results of a test, each with its record. If their CPUs were at several distances, like is compared with like:
/// the rates at each distance that both have. If each was at one distance, and not at the same one, nothing is compared.
fn compared(first: (&Record, &ScenarioResult), second: (&Record, &ScenarioResult), other: usize) -> Vec<Comparison> {
    let (result, theirs) = (first.1, second.1);
    let whole = Comparison {
        scenario: result.scenario.clone(),
        class: class(result, theirs),
        other,
        rates: [result, theirs].map(|result| rate_with_interval(result.rate, result.interval)),
        ratio: ratio(Rate::of(result), Rate::of(theirs)),
        code: Code::of(first, second, None),
        distance: None,
        note: None,
    };
    let [ours, others] = [result, theirs].map(strata);
    let ns = |strata: &[&StratumRecord]| strata.iter().map(|stratum| stratum.ns).collect::<Vec<f64>>();
    let pairs = matched(&ns(&ours), &ns(&others));
    let letter = letter(other);
    let one = |ns: f64, name: &str| format!("{name} at {}", distance(ns));
    // Distances that were not measured say nothing.
    if ![result, theirs].into_iter().all(is_measured) {
        return vec![whole];
    }
    if ours.is_empty() && others.is_empty() {
        let note = Some("counted at no distance".to_owned());
        return vec![Comparison { ratio: None, note, ..whole }];
    }
    if let ([a], [b], true) = (&ours[..], &others[..], is_at_one_distance(result) && is_at_one_distance(theirs)) {
        let whole = match pairs.len() {
            1 => {
                let at = (a.ns * b.ns).sqrt();
                without_neighbour((result, a), (theirs, b), at, &whole)
                    .unwrap_or(Comparison { distance: Some(distance(at)), ..whole })
            }
            _ => Comparison {
                ratio: None,
                distance: Some(format!("{}, {}", one(a.ns, "A"), one(b.ns, &letter))),
                note: Some("not compared".to_owned()),
                ..whole
            },
        };
        return vec![whole];
    }
    let at = |ours: Option<&StratumRecord>, theirs: Option<&StratumRecord>| {
        let sides = [ours, theirs];
        let known: Vec<f64> = sides.into_iter().flatten().map(|stratum| stratum.ns).collect();
        let middle = (known.iter().map(|ns| ns.ln()).sum::<f64>() / known.len() as f64).exp();
        let rate = |side: Option<&StratumRecord>| {
            side.map_or("-".to_owned(), |stratum| rate_with_interval(stratum.rate, stratum.interval))
        };
        let only = if ours.is_some() { "A" } else { &letter };
        let comparison = Comparison {
            rates: sides.map(rate),
            ratio: ours
                .zip(theirs)
                .and_then(|(ours, theirs)| ratio(Rate::at(first.1, ours), Rate::at(second.1, theirs))),
            distance: Some(distance(middle)),
            note: (known.len() == 1).then(|| format!("only {only} has counts there")),
            code: ours.zip(theirs).map_or(whole.code.clone(), |(a, b)| Code::of(first, second, Some([a.ns, b.ns]))),
            ..whole.clone()
        };
        let own =
            ours.zip(theirs).and_then(|(a, b)| without_neighbour((first.1, a), (second.1, b), middle, &comparison));
        (middle, own.unwrap_or(comparison))
    };
    let paired = pairs.iter().map(|&(a, b)| at(Some(ours[a]), Some(others[b])));
    let ours_alone = (0..ours.len()).filter(|at| pairs.iter().all(|(a, _)| a != at)).map(|a| at(Some(ours[a]), None));
    let theirs_alone =
        (0..others.len()).filter(|at| pairs.iter().all(|(_, b)| b != at)).map(|b| at(None, Some(others[b])));
    let mut all: Vec<(f64, Comparison)> = paired.chain(ours_alone).chain(theirs_alone).collect();
    all.sort_by(|a, b| a.0.total_cmp(&b.0));
    all.into_iter().map(|(_, comparison)| comparison).collect()
}

/// The shortest time without a neighbour that is compared, in seconds: several looks.
pub(super) const LONG_ENOUGH_S: f64 = 0.2;

/// Whether the cores of a result had a neighbour for a while at one of its distances. If a side of a sum did not look for any, the rest of its
/// counts may have had none.
pub(super) fn had_neighbours(result: &ScenarioResult, stratum: &StratumRecord) -> bool {
    let looked = result.distances.as_ref().is_some_and(|distances| distances.neighbours.is_some());
    looked && stratum.share_without_neighbour().is_some_and(|share| share < 1.0 - SOME_NEIGHBOURS)
}

/// Compares what two strata counted without a neighbour, if there were neighbours in one of the results, and both were without one for a while.
fn without_neighbour(
    (result, ours): (&ScenarioResult, &StratumRecord),
    (other, theirs): (&ScenarioResult, &StratumRecord),
    ns: f64,
    all: &Comparison,
) -> Option<Comparison> {
    let enough = |part: &&WithoutNeighbourRecord| part.iterations > 0 && part.in_batches_s >= LONG_ENOUGH_S;
    let [a, b] = [ours, theirs].map(|stratum| stratum.without_neighbour.as_ref().filter(enough));
    let (a, b) = a.zip(b)?;
    let had = had_neighbours(result, ours) || had_neighbours(other, theirs);
    had.then(|| Comparison {
        rates: [a, b].map(|part| rate_with_interval(part.rate, part.interval)),
        ratio: ratio(Rate::without_neighbour(result, a), Rate::without_neighbour(other, b)),
        distance: Some(distance_without_neighbour(ns)),
        ..all.clone()
    })
}

/// Why rates are not compared, if the CPUs of some records were at other distances; empty if all were at the same.
pub fn distance_note(records: &[Record], comparisons: &[Comparison]) -> String {
    let compared = comparisons.iter().all(|comparison| comparison.note.is_none());
    if compared { String::new() } else { not_compared(records) }
}

/// Why rates at different distances are not compared, and what can be done.
pub(super) fn not_compared(records: &[Record]) -> String {
    let mut hypervisors: Vec<&str> = records.iter().filter_map(|record| record.host.virtualised.as_deref()).collect();
    hypervisors.sort_unstable();
    hypervisors.dedup();
    let moved = if hypervisors.is_empty() {
        String::new()
    } else {
        format!(
            " A hypervisor ({}) probably moved the virtual CPUs to other CPUs between or during the runs.",
            hypervisors.join(", ")
        )
    };
    format!(
        "\nA rate depends on the distance between the CPUs (the time of a cache-line transfer), so rates at different distances \
         are not compared.{moved} A run has counts at a distance for which it has chosen settings. Measure again, until both have some \
         at the same one: `wakerace topology --latency` shows the present distance.\n"
    )
}

/// The distances of a result.
fn all_strata(result: &ScenarioResult) -> &[StratumRecord] {
    result.distances.as_ref().map_or(&[], |distances| &distances.strata)
}

/// Whether a result says at which distances its CPUs were.
pub(super) fn is_measured(result: &ScenarioResult) -> bool {
    !all_strata(result).is_empty()
}

/// Whether nearly all counts of a result are at one distance.
pub(super) fn is_at_one_distance(result: &ScenarioResult) -> bool {
    all_strata(result).len() == 1 && at_no_distance(result).is_none()
}

/// The distances of a result at which something was counted, with settings for it.
pub(super) fn strata(result: &ScenarioResult) -> Vec<&StratumRecord> {
    all_strata(result).iter().filter(|stratum| stratum.iterations > 0).collect()
}

/// The headings. If there are only two records, the other one is B.
fn headings(several: bool) -> Vec<String> {
    let other = if several { "other" } else { "B" };
    let (rate, ratio) = (format!("{other} [95 %]"), format!("{other} / A [95 %]"));
    ["scenario", "class", "distance", "A [95 %]", &rate, &ratio, "differs"].map(str::to_owned).to_vec()
}

/// A ratio in words: three digits, or a power of ten far from 1. More digits would be noise.
pub(super) fn times(value: f64) -> String {
    match value {
        value if value.is_infinite() => "inf".to_owned(),
        value if (0.01..0.9995).contains(&value) => format!("{value:.3}"),
        value if (0.9995..9.995).contains(&value) => format!("{value:.2}"),
        value if (9.995..99.95).contains(&value) => format!("{value:.1}"),
        value if (99.95..999.5).contains(&value) => format!("{value:.0}"),
        0.0 => "0".to_owned(),
        value => format!("{value:.1e}"),
    }
}

fn cells(comparison: &Comparison, several: bool) -> Vec<String> {
    let letter = letter(comparison.other);
    let name = if several { format!("{letter}: ") } else { String::new() };
    let (ratio, differs) = match comparison.ratio {
        None => ("-".to_owned(), comparison.note.clone().unwrap_or("-".to_owned())),
        Some(ratio) => (
            format!("{} [{}, {}]", times(ratio.value), times(ratio.low), times(ratio.high)),
            ratio.in_words(&comparison.code).to_owned(),
        ),
    };
    let [first, other] = comparison.rates.clone();
    let distance = comparison.distance.clone().unwrap_or("-".to_owned());
    let differs = differs + &comparison.code.words();
    vec![comparison.scenario.clone(), comparison.class.clone(), distance, first, name + &other, ratio, differs]
}

fn table(names: &[String], comparisons: &[Comparison]) -> Cells {
    let several = names.len() > 2;
    let lines = comparisons.iter().map(|comparison| cells(comparison, several)).collect();
    Cells { headings: headings(several), lines, right: Vec::new() }.without_if_empty("distance")
}

/// The table for a terminal of `width` columns, or of any width, with the legend of A, B, ...
pub fn comparison_table(names: &[String], comparisons: &[Comparison], width: Option<usize>) -> String {
    framed(&legend(names), table(names, comparisons), &footnote(&ratios(comparisons)), width)
}

/// A table of comparisons between its legend and its notes, fitted into the width.
pub(super) fn framed(legend: &str, table: Cells, notes: &str, width: Option<usize>) -> String {
    let [legend, notes] = [legend, notes].map(|text| wrapped_lines(text, width));
    let Some(width) = width else { return format!("{legend}\n{}\n{notes}", table.text()) };
    let settings = wrapped_lines(&of_settings(&table), Some(width));
    let table = comparison(table, width);
    let mut marks = String::new();
    if table.contains(OTHER_CODE) {
        marks.push_str(&format!("\n{OTHER_CODE}: different machine code.\n"));
    }
    if table.contains(OTHER_SETTINGS) {
        marks.push_str(&format!("\n{OTHER_SETTINGS}: different settings:\n{settings}"));
    }
    format!("{legend}\n{table}\n{marks}{notes}")
}

/// The different settings of each line of a table, with the line's test.
fn of_settings(table: &Cells) -> String {
    let mut test = "";
    let mut text = String::new();
    for line in &table.lines {
        let [first, .., last] = &line[..] else { continue };
        test = if first.is_empty() { test } else { first };
        if let Some((_, words)) = last.split_once(DIFFERENT_SETTINGS) {
            text.push_str(&format!("  {}: {words}\n", shown::line(test)));
        }
    }
    text
}

/// The table in Markdown, with the legend of A, B, ...
pub fn comparison_markdown(names: &[String], comparisons: &[Comparison]) -> String {
    let Cells { headings, lines, .. } = table(names, comparisons);
    let table = markdown::table(&headings, lines, &[]);
    format!("{}\n\n{table}{}", sentences(&legend(names)), footnote(&ratios(comparisons)))
}

fn ratios(comparisons: &[Comparison]) -> Vec<Ratio> {
    comparisons.iter().filter_map(|comparison| comparison.ratio).collect()
}

/// The assumption about the spread between runs, if one was needed.
pub(super) fn footnote(ratios: &[Ratio]) -> String {
    let percent = BETWEEN_RUNS * 100.0;
    if ratios.iter().any(|ratio| ratio.assumed) {
        format!(
            "\nA single run does not show how much runs differ: {percent:.0} % (one standard deviation) is assumed. \
             `wakerace run --repeat 5` measures it. Until then no difference of a single run is certain.\n"
        )
    } else {
        String::new()
    }
}

/// The legend: the file names of A, B, ...
fn legend(names: &[String]) -> String {
    let line = |(number, name): (usize, &String)| format!("{}: {}\n", letter(number), shown::line(name));
    names.iter().enumerate().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A rate from several runs that differ by no more than chance.
    fn many(seen: u64, trials: u64) -> Rate {
        Rate { seen, trials, effect: 1.0, repeated: true }
    }

    fn once(seen: u64, trials: u64) -> Rate {
        Rate { repeated: false, ..many(seen, trials) }
    }

    #[test]
    fn ratios_have_three_digits() {
        let words = [0.0, 0.0123, 0.25, 0.9999, 1.118, 10.01, 779.6, 1400.0, f64::INFINITY].map(times);
        assert_eq!(words, ["0", "0.012", "0.250", "1.00", "1.12", "10.0", "780", "1.4e3", "inf"]);
    }

    #[test]
    fn ratios_know_chance_from_difference() {
        let close = ratio(many(1000, 1_000_000), many(1040, 1_000_000)).unwrap();
        assert!((close.value - 1.04).abs() < 1e-9 && !close.differs() && !close.assumed, "{close:?}");
        let apart = ratio(many(1000, 1_000_000), many(1300, 1_000_000)).unwrap();
        assert!(apart.differs() && apart.low > 1.1 && apart.high < 1.5, "{apart:?}");
        // The ratio is other / first: a smaller other rate gives a ratio below 1.
        let below = ratio(many(1300, 1_000_000), many(1000, 1_000_000)).unwrap();
        assert!(below.differs() && below.high < 1.0 && below.low > 0.6, "{below:?}");
        assert!((below.low * apart.high - 1.0).abs() < 1e-9 && (below.high * apart.low - 1.0).abs() < 1e-9);
        // With twice as many trials the rate is half as high.
        let scaled = ratio(many(1000, 1_000_000), many(1000, 2_000_000)).unwrap();
        assert!((scaled.value - 0.5).abs() < 1e-9 && scaled.differs(), "{scaled:?}");
        assert_eq!(ratio(many(0, 10), many(0, 10)), None);
        assert_eq!((ratio(many(0, 0), many(1, 10)), ratio(many(1, 10), many(0, 0))), (None, None));
        let only_there = ratio(many(0, 1_000_000), many(50, 1_000_000)).unwrap();
        assert!(only_there.value.is_infinite() && only_there.high.is_infinite() && only_there.low > 10.0);
        assert!(!ratio(many(0, 1_000_000), many(1, 1_000_000)).unwrap().differs());
        let gone = ratio(many(50, 1_000_000), many(0, 1_000_000)).unwrap();
        assert!(gone.value == 0.0 && gone.high < 0.1 && gone.differs());
    }

    /// Two runs on one machine: 35.5 % and 38.6 % of tens of millions of iterations.
    #[test]
    fn two_runs_of_a_drifting_box_are_no_difference() {
        let runs = [(35_500_000, 100_000_000), (38_600_000, 100_000_000)];
        let [a, b] = runs.map(|(seen, trials)| once(seen, trials));
        let single = ratio(a, b).unwrap();
        assert!(!single.differs() && single.assumed && (single.value - 386.0 / 355.0).abs() < 1e-9, "{single:?}");
        // If iterations were independent, even a very small difference would be significant.
        let [a, b] = runs.map(|(seen, trials)| many(seen, trials));
        assert!(ratio(a, b).unwrap().differs());
        // The spread between repeats decides.
        let [a, b] = [a, b].map(|rate| Rate { effect: 200_000.0, ..rate });
        let spread = ratio(a, b).unwrap();
        assert!(!spread.differs() && !spread.assumed, "{spread:?}");
        assert!(ratio(a, Rate { seen: 90_000_000, ..b }).unwrap().differs());
        // Even with the assumed spread, a rate three times as high differs, and so does a rate of zero.
        let times = ratio(once(1_000_000, 100_000_000), once(3_000_000, 100_000_000)).unwrap();
        assert!(times.differs() && times.low > 1.7 && times.high < 5.3, "{times:?}");
        let gone = ratio(once(1000, 1_000_000), once(0, 1_000_000)).unwrap();
        assert!(
            gone.differs() && gone.value == 0.0 && gone.low == 0.0 && gone.high > 0.004 && gone.high < 0.01,
            "{gone:?}"
        );
        // If one side has repeats, only the spread of the other side is assumed.
        let one = ratio(once(1_000_000, 100_000_000), many(1_000_000, 100_000_000)).unwrap();
        let width = (one.high / one.low).ln() / 2.0;
        assert!(one.assumed && (width - Z * BETWEEN_RUNS).abs() < 1e-3, "{one:?}");
    }

    #[test]
    fn a_difference_is_certain_only_between_rates_of_several_runs_with_the_same_settings() {
        let (few, often) = ((1_000_000, 100_000_000), (30_000_000, 100_000_000));
        let of =
            |a: fn(u64, u64) -> Rate, b: fn(u64, u64) -> Rate| ratio(a(few.0, few.1), b(often.0, often.1)).unwrap();
        let settings = Code::Settings("dense 8 against padded 1".to_owned());
        assert!(of(once, once).differs());
        assert_eq!(of(many, many).verdict(&Code::Same), Verdict::Yes);
        assert_eq!(of(many, many).verdict(&Code::Different), Verdict::Yes);
        for one in [of(once, once), of(once, many), of(many, once)] {
            assert_eq!((one.verdict(&Code::Same), one.in_words(&Code::Same)), (Verdict::Unknown, UNKNOWN_SINGLE));
        }
        let searched = of(many, many);
        assert_eq!((searched.verdict(&settings), searched.in_words(&settings)), (Verdict::Unknown, "unknown"));
        let alike = ratio(many(1000, 1_000_000), many(1000, 1_000_000)).unwrap();
        assert_eq!((alike.verdict(&settings), alike.in_words(&Code::Same)), (Verdict::No, "no"));
    }

    #[test]
    fn an_effect_counts_races_for_fewer_on_its_own_side() {
        let width = |a: f64, b: f64| {
            let of = |effect| Rate { effect, ..many(10_000, 1_000_000) };
            let found = ratio(of(a), of(b)).unwrap();
            assert!((found.value - 1.0).abs() < 1e-9, "{found:?}");
            (found.high / found.low).ln() / (2.0 * Z)
        };
        // The variance of the logarithm of a count k is 1/k.
        for (a, b, wanted) in [(1.0, 1.0, 2e-4), (100.0, 1.0, 101e-4), (1.0, 100.0, 101e-4), (50.0, 100.0, 150e-4)] {
            let variance: f64 = width(a, b).powi(2);
            assert!((variance / wanted - 1.0).abs() < 0.1, "{a} {b}: {variance}");
        }
    }
}
