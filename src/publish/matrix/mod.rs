//! Compares many records: a group of lines for each test and placement class, with a line for each kind of CPU or for each
//! record.

mod levels;

use std::collections::{BTreeMap, BTreeSet};

use super::compare::{Code, Rate, Ratio, Verdict, footnote, framed, not_compared, ratio, times};
use super::cpus::{by_cpu, columns, cpu, letter, told_apart};
use super::fit::Cells;
use super::markdown::{self, sentences};
use super::numbers::rate_with_interval;
use super::{csv, power, sums};
use crate::error::Result;
use crate::machine::{Class, Host, class_and_kinds};
use crate::record::{Record, ScenarioResult};
use crate::shown;
use crate::stats::{Count, effect_between, interval_with, share};
use levels::{At, Level, Part, levels};

/// What a line of the comparison is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Line {
    /// A kind of CPU: the records of all its hosts together.
    Cpu,
    /// A record.
    Record,
}

/// A kind of CPU with its records, or one record.
#[derive(Debug, Clone, PartialEq)]
struct Side {
    letter: String,
    name: String,
    /// The name in the table. No two sides have the same one.
    short: String,
    records: Vec<usize>,
}

/// One test on one side.
#[derive(Debug, Clone, PartialEq)]
struct Entry {
    side: usize,
    /// The distance whose counts these are; `None` if they are all.
    at: Option<At>,
    /// The runs whose counts are added up.
    runs: usize,
    rate: Rate,
    /// Whether the CPUs of one of the runs moved: then the rate is that of a mixture of distances.
    mixed: bool,
    /// Whether results with different machine code or different given settings are added up.
    mixed_code: bool,
    /// Whether no other line is at its distance.
    is_alone: bool,
    /// The rate divided by that of the first line at its distance; `None` on that line, and if neither has a race.
    ratio: Option<Ratio>,
    /// How the machine code differs from that of the first line. Other architectures always have other code; it counts as the
    /// same.
    code: Code,
}

/// The lines of one test on one placement class, at each distance if the CPUs were at several.
#[derive(Debug, Clone, PartialEq)]
struct Group {
    scenario: String,
    class: String,
    entries: Vec<Entry>,
}

impl Group {
    /// Whether it has lines of more than one side.
    fn compares(&self) -> bool {
        self.entries.iter().any(|entry| entry.side != self.entries[0].side)
    }
}

/// The comparison of many records.
#[derive(Debug, Clone, PartialEq)]
pub struct Matrix {
    sides: Vec<Side>,
    groups: Vec<Group>,
    /// The results that no other line can be compared with, in words; empty if there are none.
    left_out: String,
    /// The testing power of the sides in words.
    power: String,
    /// Why lines are compared with nothing; empty if none is.
    not_compared: String,
}

/// If more records have results that are left out, their number stands for the rest.
const NAMED: usize = 5;

/// What the results of a group have in common: the test, the placement class and the kinds of core. The log of another
/// program does not say where its threads ran, so it has no placement.
#[derive(PartialEq)]
struct Key<'a> {
    test: (&'a str, &'a str),
    placement: Option<(Class, Vec<String>)>,
}

/// A result with the number of its record.
type Found<'a> = (usize, &'a ScenarioResult);

impl Matrix {
    /// Compares records, each with its name. Groups with a single line are left out.
    pub fn of(records: &[Record], names: &[String], line: Line) -> Matrix {
        let sides = match line {
            Line::Cpu => of_cpus(records),
            Line::Record => of_records(names, records),
        };
        let found = found(records);
        let groups: Vec<Group> = found.iter().map(|(key, found)| group(key, found, &sides, records)).collect();
        let alone = found.iter().zip(&groups).filter(|(_, group)| !group.compares());
        let left_out = left_out(alone.flat_map(|((_, found), _)| found), &groups, names);
        let groups: Vec<Group> = groups.into_iter().filter(Group::compares).collect();
        let power = power::of_sides(
            sides
                .iter()
                .map(|side| (side.letter.clone(), side.records.iter().map(|&number| &records[number]).collect())),
        );
        let mut matrix = Matrix { groups, left_out, power, sides, not_compared: String::new() };
        if matrix.alone() > 0 {
            matrix.not_compared = not_compared(records);
        }
        matrix
    }

    /// The results that are not compared, in words; empty if there are none.
    pub fn left_out(&self) -> &str {
        &self.left_out
    }

    /// Whether no two lines can be compared.
    pub fn is_empty(&self) -> bool {
        self.groups.is_empty()
    }

    /// The ratios of all lines with a ratio, each with how the machine code differs.
    pub fn compared(&self) -> impl Iterator<Item = (Ratio, &Code)> {
        self.groups.iter().flat_map(|group| &group.entries).filter_map(|entry| Some((entry.ratio?, &entry.code)))
    }

    /// The number of lines that are compared with nothing, because no other line of the test is at their distance.
    pub fn alone(&self) -> usize {
        self.groups.iter().flat_map(|group| &group.entries).filter(|entry| entry.is_alone).count()
    }

    /// The ratios of all lines.
    pub fn ratios(&self) -> impl Iterator<Item = Ratio> {
        self.groups.iter().flat_map(|group| &group.entries).filter_map(|entry| entry.ratio)
    }

    /// The table for a terminal of `width` columns, or of any width, with the legend of A, B, ...
    pub fn text(&self, width: Option<usize>) -> String {
        framed(&self.legend(), self.table(), &self.notes(), width)
    }

    /// The table in Markdown, with the legend of A, B, ...
    pub fn markdown(&self) -> String {
        let Cells { headings, lines, right } = self.table();
        let table = markdown::table(&headings, lines, &right);
        format!("{}\n\n{table}{}", sentences(&self.legend()), self.notes())
    }

    /// CSV with a header line and a line per test, placement class, distance and side. Missing values are empty fields.
    ///
    /// # Errors
    /// Only an internal one; no record causes it.
    pub fn csv(&self) -> Result<String> {
        let mut lines = vec![COLUMNS.map(str::to_owned).to_vec()];
        for group in &self.groups {
            for entry in &group.entries {
                let (side, rate, interval) = (&self.sides[entry.side], entry.rate, entry.interval());
                let number = |value: Option<f64>| value.map_or(String::new(), |value| format!("{value:e}"));
                let ratio = |of: fn(Ratio) -> f64| number(entry.ratio.map(of));
                lines.push(vec![
                    group.scenario.clone(),
                    group.class.clone(),
                    side.letter.clone(),
                    side.name.clone(),
                    entry.runs.to_string(),
                    rate.trials.to_string(),
                    rate.seen.to_string(),
                    number(share(rate.seen, rate.trials)),
                    number(interval.map(|interval| interval.low)),
                    number(interval.map(|interval| interval.high)),
                    ratio(|ratio| ratio.value),
                    ratio(|ratio| ratio.low),
                    ratio(|ratio| ratio.high),
                    entry.ratio.map_or(String::new(), |ratio| ratio.assumed.to_string()),
                    entry.ratio.map_or("", |ratio| differs(ratio.verdict(&entry.code))).to_owned(),
                    (entry.code != Code::Same).to_string(),
                    entry.mixed.to_string(),
                    number(entry.at.map(|at| at.ns)),
                    entry.at.is_some_and(|at| at.without_neighbour).to_string(),
                    entry.mixed_code.to_string(),
                ]);
            }
        }
        csv::render(&lines)
    }

    fn table(&self) -> Cells {
        let headings = HEADINGS.map(str::to_owned).to_vec();
        let right = HEADINGS.iter().position(|heading| *heading == "runs").into_iter().collect();
        Cells { headings, lines: self.lines(), right }.without_if_empty("distance")
    }

    /// The cells of the table. A group's test and class stand on its first line.
    fn lines(&self) -> Vec<Vec<String>> {
        let mut out = Vec::new();
        for group in &self.groups {
            for (number, entry) in group.entries.iter().enumerate() {
                let once = |text: &String| if number == 0 { text.clone() } else { String::new() };
                let side = &self.sides[entry.side];
                let is_first = number == 0 || group.entries[number - 1].at != entry.at;
                let (ratio, differs) = match entry.ratio {
                    None if entry.is_alone => ("-".to_owned(), ALONE.to_owned()),
                    None => (if is_first { "1" } else { "-" }.to_owned(), "-".to_owned()),
                    Some(ratio) => (
                        format!("{} [{}, {}]", times(ratio.value), times(ratio.low), times(ratio.high)),
                        ratio.in_words(&entry.code).to_owned(),
                    ),
                };
                out.push(vec![
                    once(&group.scenario),
                    once(&group.class),
                    entry.at.map_or("-".to_owned(), At::words),
                    format!("{} {}", side.letter, side.short),
                    entry.runs.to_string(),
                    rate_with_interval(share(entry.rate.seen, entry.rate.trials), entry.interval())
                        + if entry.mixed { " *" } else { "" }
                        + if entry.is_marked() { " †" } else { "" },
                    ratio,
                    differs + &entry.code.words(),
                ]);
            }
        }
        out
    }

    fn legend(&self) -> String {
        let line = |side: &Side| format!("{}: {}\n", side.letter, shown::line(&side.name));
        self.sides.iter().map(line).collect()
    }

    /// What the intervals rest on, and how many differences chance alone would show.
    fn notes(&self) -> String {
        let all: Vec<Ratio> = self.ratios().collect();
        let entries = || self.groups.iter().flat_map(|group| &group.entries);
        let mut text = match entries().any(|entry| entry.at.is_some()) {
            true => {
                "\nA ratio is the rate divided by that of the first line of its test at the same distance.\n".to_owned()
            }
            false => "\nA ratio is the rate divided by that of the first line of its test.\n".to_owned(),
        };
        if all.len() >= MANY {
            text.push_str(&format!(
                "Of {} comparisons of equal rates, about {} would differ by chance.\n",
                all.len(),
                all.len() / MANY
            ));
        }
        if entries().any(|entry| entry.mixed) {
            text.push_str(
                "* The CPUs were at several distances, so this rate depends on how long they were at each.\n",
            );
        }
        if entries().any(Entry::is_marked) {
            text.push_str(
                "† Results with different machine code or settings are added up, so this rate depends on how many there are of each.\n",
            );
        }
        text + &self.not_compared + &self.left_out + &footnote(&all) + &self.power
    }
}

const HEADINGS: [&str; 8] = ["scenario", "class", "distance", "line", "runs", "rate [95 %]", "ratio [95 %]", "differs"];
const COLUMNS: [&str; 20] = [
    "scenario",
    "class",
    "line",
    "name",
    "runs",
    "iterations",
    "races",
    "rate",
    "rate_low",
    "rate_high",
    "ratio",
    "ratio_low",
    "ratio_high",
    "between_runs_assumed",
    "differs",
    "different_code",
    "several_distances",
    "distance_ns",
    "without_neighbour",
    "mixed_code",
];

/// The verdict of a line that is compared with nothing.
const ALONE: &str = "no other line there";

/// The verdict as a value of the CSV.
fn differs(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Yes => "true",
        Verdict::No => "false",
        Verdict::Unknown => "unknown",
    }
}

/// Of so many comparisons of equal rates, one differs by chance: the intervals are of 95 %.
const MANY: usize = 20;

/// The file's name in the name of a record.
fn file_name(name: &str) -> &str {
    let file = name.split(" (").next().unwrap_or_default();
    file.rsplit('/').next().unwrap_or_default()
}

impl Entry {
    /// Whether its rate depends on how many results there are of each code. A zero is one of all of them.
    fn is_marked(&self) -> bool {
        self.mixed_code && self.rate.seen > 0
    }

    fn interval(&self) -> Option<crate::stats::Interval> {
        interval_with(self.rate.seen, self.rate.trials, self.rate.effect)
    }
}

fn of_cpus(records: &[Record]) -> Vec<Side> {
    let mut out = Vec::new();
    for (number, (name, of_kind)) in
        by_cpu(records.iter().enumerate(), |(_, record)| &record.host).into_iter().enumerate()
    {
        let architecture = &of_kind[0].1.host.architecture;
        let plural = if of_kind.len() == 1 { "" } else { "s" };
        let whole = format!("{name} ({architecture}, {} record{plural})", of_kind.len());
        out.push(Side {
            letter: letter(number),
            name: whole,
            short: name,
            records: of_kind.into_iter().map(|(number, _)| number).collect(),
        });
    }
    out
}

/// A side for each record. Files of the same name in several folders are told apart by their hosts and times.
fn of_records(names: &[String], records: &[Record]) -> Vec<Side> {
    let hosts: Vec<&Host> = records.iter().map(|record| &record.host).collect();
    let cpus = hosts.iter().map(|host| cpu(host)).collect();
    let times = records.iter().map(|record| record.started.clone()).collect();
    let columns: Vec<Vec<String>> = std::iter::once(cpus).chain(columns(&hosts)).chain([times]).collect();
    let files = names.iter().map(|name| file_name(name).to_owned()).collect();
    let side = |(number, (name, short)): (usize, (&String, String))| Side {
        letter: letter(number),
        name: name.clone(),
        short,
        records: vec![number],
    };
    names.iter().zip(told_apart(files, &columns)).enumerate().map(side).collect()
}

/// The results of all records by group. Controls come last.
fn found<'a>(records: &'a [Record]) -> Vec<(Key<'a>, Vec<Found<'a>>)> {
    // A host with one kind of core has no kinds in its placements. They are only needed beside a host with several.
    let several = records.iter().flat_map(|record| &record.results).any(|result| !result.placement.kinds.is_empty());
    let mut out: Vec<(Key<'a>, Vec<Found<'a>>)> = Vec::new();
    let mut foreign: Vec<Found<'a>> = Vec::new();
    for (number, record) in records.iter().enumerate() {
        for result in sums::reading_order(record) {
            if record.tool.is_foreign() {
                foreign.push((number, result));
                continue;
            }
            let kinds = if several { kinds(&record.host, result) } else { Vec::new() };
            let key = Key { test: result.test_key(), placement: Some((result.placement.class, kinds)) };
            match out.iter_mut().find(|(known, _)| *known == key) {
                Some((_, found)) => found.push((number, result)),
                None => out.push((key, vec![(number, result)])),
            }
        }
    }
    for (number, result) in foreign {
        let test = result.test_key();
        let known = out.iter_mut().filter(|(key, _)| key.test == test);
        let added = known.map(|(_, found)| found.push((number, result))).count();
        if added == 0 {
            out.push((Key { test, placement: None }, vec![(number, result)]));
        }
    }
    let mut order: Vec<(&str, &str)> = Vec::new();
    for (key, _) in &out {
        if !order.contains(&key.test) {
            order.push(key.test);
        }
    }
    let place = |key: &Key<'_>| order.iter().position(|test| *test == key.test);
    out.sort_by_key(|(key, found)| (found[0].1.group == "controls", place(key)));
    out
}

/// The results without a counterpart in words: for each record its tests. A test whose name is compared although its source is
/// not the same is another version of it.
fn left_out<'a>(alone: impl Iterator<Item = &'a Found<'a>>, groups: &[Group], names: &[String]) -> String {
    let mut of_records: BTreeMap<usize, Vec<String>> = BTreeMap::new();
    for (record, result) in alone {
        let is_compared =
            |group: &Group| group.scenario == result.scenario && group.class == result.placement.class.to_string();
        let other = groups.iter().any(|group| group.compares() && is_compared(group));
        let version = if other { ", another version of the test" } else { "" };
        let words = format!("{} ({}{version})", result.scenario, result.placement.class);
        let tests = of_records.entry(*record).or_default();
        if !tests.contains(&words) {
            tests.push(words);
        }
    }
    if of_records.is_empty() {
        return String::new();
    }
    let line = |(record, tests): (&usize, &Vec<String>)| {
        format!("  {}: {}\n", shown::line(file_name(&names[*record])), shown::line(&tests.join(", ")))
    };
    let more = of_records.len().saturating_sub(NAMED);
    let rest = if more > 0 { format!("  and results of {more} more records\n") } else { String::new() };
    let lines: String = of_records.iter().take(NAMED).map(line).collect();
    format!("\nLeft out, because no other line has the same test on the same placement class:\n{lines}{rest}")
}

/// The kind of core of each thread.
fn kinds(host: &Host, result: &ScenarioResult) -> Vec<String> {
    let known = &result.placement.kinds;
    let only = host.core_types.keys().next().cloned().unwrap_or_default();
    if known.is_empty() { vec![only; result.placement.cpus.len()] } else { known.clone() }
}

fn group(key: &Key<'_>, found: &[Found<'_>], sides: &[Side], records: &[Record]) -> Group {
    let class = key.placement.as_ref().map_or("unknown".to_owned(), |(class, kinds)| class_and_kinds(*class, kinds));
    let side_of = |record: usize| sides.iter().position(|side| side.records.contains(&record));
    let entries = levels(found, side_of).into_iter().flat_map(|level| lines_of(&level, sides, records)).collect();
    Group { scenario: found[0].1.scenario.clone(), class, entries }
}

/// The lines of what is compared with each other.
fn lines_of(level: &Level<'_>, sides: &[Side], records: &[Record]) -> Vec<Entry> {
    let mut entries: Vec<Entry> = Vec::new();
    let mut first: Option<Part<'_>> = None;
    for (number, side) in sides.iter().enumerate() {
        let of_side: Vec<Part<'_>> =
            level.parts.iter().copied().filter(|part| side.records.contains(&part.record)).collect();
        let Some(&own) = of_side.first() else { continue };
        let (rate, runs) = pooled(&of_side);
        let base = *first.get_or_insert(own);
        let same_architecture = records[base.record].host.architecture == records[own.record].host.architecture;
        let code = |base: &Part<'_>, part: &Part<'_>| {
            let at = base.stratum.zip(part.stratum).map(|(a, b)| [a.ns, b.ns]);
            Code::of((&records[base.record], base.result), (&records[part.record], part.result), at)
        };
        let mixed_code = of_side.iter().any(|part| code(&own, part) != Code::Same);
        let code = of_side
            .iter()
            .map(|part| code(&base, part))
            .reduce(either)
            .filter(|_| same_architecture)
            .unwrap_or(Code::Same);
        entries.push(Entry {
            side: number,
            at: level.at,
            runs,
            rate,
            mixed: rate.seen > 0 && of_side.iter().any(Part::is_mixed),
            mixed_code,
            is_alone: false,
            ratio: entries.first().and_then(|first: &Entry| ratio(first.rate, rate)),
            code,
        });
    }
    if let [only] = &mut entries[..] {
        only.is_alone = true;
    }
    entries
}

/// How the machine code of several results differs from one and the same: as that of the one that differs most.
fn either(a: Code, b: Code) -> Code {
    match (a, b) {
        (Code::Different, _) | (_, Code::Different) => Code::Different,
        (Code::Settings(words), _) | (_, Code::Settings(words)) => Code::Settings(words),
        (Code::Same, Code::Same) => Code::Same,
    }
}

/// The sum of some results or parts of results, and the number of runs that it holds. The design effect includes the spread between the
/// runs.
fn pooled(found: &[Part<'_>]) -> (Rate, usize) {
    let parts: Vec<Count> =
        found.iter().flat_map(Part::repeats).map(|part| Count { seen: part.races, of: part.iterations }).collect();
    let sum = |of: fn(&Count) -> u64| parts.iter().fold(0u64, |sum, part| sum.saturating_add(of(part)));
    let (seen, trials) = (sum(|part| part.seen), sum(|part| part.of));
    let weighted: f64 = found.iter().map(Part::races).map(|(races, effect)| effect * races as f64).sum();
    let within = if seen > 0 { weighted / seen as f64 } else { 1.0 };
    let records: BTreeSet<usize> = found.iter().map(|part| part.record).collect();
    let of_record = |number: &usize| {
        let runs = found.iter().filter(|part| part.record == *number).map(Part::runs);
        runs.max().unwrap_or(1)
    };
    let runs = records.iter().map(of_record).sum();
    let rate = Rate { seen, trials, effect: effect_between(&parts).max(within), repeated: runs > 1 };
    (rate, runs)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{DistancesRecord, shipped};
    use crate::stats::interval;

    /// A record of one test on CPUs 0 and 1 of a host with this CPU.
    fn record(cpu: &str, races: u64) -> Record {
        let mut record = shipped("2026-11-25T174425Z");
        record.host.cpu_model = cpu.to_owned();
        record.results.retain(|result| result.scenario == "SB");
        let result = &mut record.results[0];
        (result.races, result.iterations) = (races, 1_000_000);
        result.rate = share(races, 1_000_000);
        result.interval = interval(races, 1_000_000);
        result.blocks.clear();
        result.repeats.clear();
        record
    }

    fn matrix(records: &[Record], line: Line) -> Matrix {
        let names: Vec<String> = (0..records.len()).map(|number| format!("a/{number}.json (x)")).collect();
        Matrix::of(records, &names, line)
    }

    #[test]
    fn runs_of_one_cpu_are_a_line_whose_interval_has_their_spread() {
        let rates = [300_000, 310_000, 290_000, 305_000, 295_000];
        let mut records: Vec<Record> = rates.iter().map(|races| record("One", *races)).collect();
        records.insert(2, record("Two", 600_000));
        let found = matrix(&records, Line::Cpu);
        let [group] = &found.groups[..] else { panic!("{found:?}") };
        let [one, two] = &group.entries[..] else { panic!("{group:?}") };
        assert_eq!((one.runs, one.rate.seen, one.rate.trials, one.ratio), (5, 1_500_000, 5_000_000, None));
        assert_eq!((two.runs, two.rate.seen), (1, 600_000));
        // The standard deviation of the five rates is 0.0079, so that of their mean is 0.0035; Student's t with 4 degrees of
        // freedom is 2.8.
        let interval = one.interval().unwrap();
        assert!((0.008..0.012).contains(&(interval.high - 0.3)), "{interval:?}");
        let ratio = two.ratio.unwrap();
        assert!((ratio.value - 2.0).abs() < 1e-9 && ratio.differs() && ratio.assumed, "{ratio:?}");
        // With a second run of the other CPU nothing is assumed.
        records.push(record("Two", 610_000));
        let measured = matrix(&records, Line::Cpu).ratios().next().unwrap();
        assert!(!measured.assumed, "{measured:?}");
    }

    #[test]
    fn a_rate_of_several_distances_is_marked() {
        let mut records = [record("One", 300_000), record("Two", 100_000)];
        let plain = matrix(&records, Line::Cpu).text(None);
        assert!(!plain.contains('*'), "{plain}");
        let stratum = |ns: f64| {
            let value = serde_json::json!({
                "ns": ns, "low_ns": ns, "high_ns": ns, "looks": 9, "elapsed_s": 0.1, "in_batches_s": 0.1,
                "iterations": 500_000, "matches": null, "races": 50_000
            });
            serde_json::from_value(value).unwrap()
        };
        let strata = vec![stratum(30.0), stratum(180.0)];
        records[1].results[0].distances = Some(DistancesRecord { looks: 18, strata, ..DistancesRecord::default() });
        let found = matrix(&records, Line::Cpu);
        let (text, csv) = (found.text(None), found.csv().unwrap());
        let marked: Vec<&str> = text.lines().filter(|line| line.contains("] *")).collect();
        assert!(marked.len() == 1 && marked[0].contains("B Two"), "{text}");
        assert!(text.contains("* The CPUs were at several distances, so this rate depends on how long"), "{text}");
        let mixed: Vec<&str> = csv.lines().map(|line| line.rsplit(',').nth(3).unwrap()).collect();
        assert_eq!(mixed, ["several_distances", "false", "true"]);
    }

    #[test]
    fn a_rate_of_different_code_is_marked() {
        let of = |cpu, code: &str| {
            let mut record = record(cpu, 300_000);
            record.results[0].code_sha256 = code.repeat(64);
            record
        };
        let plain = matrix(&[of("One", "a"), of("Two", "b"), of("Two", "b")], Line::Cpu);
        assert!(!plain.text(None).contains('†'), "{}", plain.text(None));
        let found = matrix(&[of("One", "a"), of("Two", "a"), of("Two", "b")], Line::Cpu);
        let text = found.text(None);
        let marked: Vec<&str> = text.lines().filter(|line| line.contains("] †")).collect();
        assert!(marked.len() == 1 && marked[0].contains("B Two"), "{text}");
        assert!(text.contains("† Results with different machine code or settings are added up"), "{text}");
        let csv = found.csv().unwrap();
        let mixed: Vec<&str> = csv.lines().map(|line| line.rsplit(',').next().unwrap()).collect();
        assert_eq!(mixed, ["mixed_code", "false", "true"]);
    }

    /// A record whose CPUs were at these distances, in ns, each with its races of 500,000 iterations, those of 100,000 without a neighbour, and
    /// whether there was enough of that.
    fn at(cpu: &str, distances: &[(f64, u64, u64, bool)]) -> Record {
        let mut record = record(cpu, distances.iter().map(|(_, races, ..)| races).sum());
        let result = &mut record.results[0];
        let strata = distances.iter().map(|&(ns, races, without, enough)| {
            let seconds = if enough { 0.3 } else { 0.1 };
            let value = serde_json::json!({
                "ns": ns, "low_ns": ns, "high_ns": ns, "looks": 90, "elapsed_s": 1.0, "in_batches_s": 0.9,
                "iterations": 500_000, "matches": null, "races": races, "without_neighbour": {
                    "elapsed_s": seconds, "in_batches_s": seconds, "iterations": 100_000, "matches": null, "races": without
                }
            });
            serde_json::from_value(value).unwrap()
        });
        let strata: Vec<_> = strata.collect();
        result.iterations = 500_000 * strata.len() as u64;
        result.distances =
            Some(DistancesRecord { looks: 180, strata, neighbours: Some(60), ..DistancesRecord::default() });
        record
    }

    /// A ratio to three digits.
    fn rounded(ratio: Option<Ratio>) -> Option<f64> {
        ratio.map(|ratio| (1000.0 * ratio.value).round() / 1000.0)
    }

    /// What the words of a distance say beside its number, which differs by rounding.
    fn kind_of_time(distance: &str) -> String {
        distance.split(' ').skip(1).collect::<Vec<_>>().join(" ")
    }

    /// Distance, line, runs, races, and the ratio of each line.
    fn told(found: &Matrix) -> Vec<(String, usize, usize, u64, Option<f64>)> {
        let [group] = &found.groups[..] else { panic!("{found:?}") };
        let told = |entry: &Entry| {
            let at = entry.at.map_or(String::new(), At::words);
            (at, entry.side, entry.runs, entry.rate.seen, rounded(entry.ratio))
        };
        group.entries.iter().map(told).collect()
    }

    #[test]
    fn like_is_compared_with_like() {
        let one = at("One", &[(28.0, 50_000, 20_000, false), (185.0, 10_000, 3_000, true)]);
        let again = at("One", &[(180.0, 12_000, 2_000, true)]);
        let other = at("Two", &[(30.0, 100_000, 20_000, true), (200.0, 20_000, 10_000, true), (700.0, 7, 7, true)]);
        let found = matrix(&[one, other, again], Line::Cpu);
        assert_eq!(
            told(&found),
            [
                // At 28 ns a side has too little without a neighbour.
                ("29 ns".to_owned(), 0, 1, 50_000, None),
                ("29 ns".to_owned(), 1, 1, 100_000, Some(2.0)),
                ("188 ns without a neighbour".to_owned(), 0, 2, 5_000, None),
                ("188 ns without a neighbour".to_owned(), 1, 1, 10_000, Some(4.0)),
                ("700 ns".to_owned(), 1, 1, 7, None),
            ]
        );
        let (text, csv) = (found.text(None), found.csv().unwrap());
        assert!(text.contains("the first line of its test at the same distance.") && !text.contains('*'), "{text}");
        let line = text.lines().find(|line| line.contains("188 ns without a neighbour  A One")).expect("a line");
        assert!(!line.contains("SB") && line.contains("2.50 %"), "{text}");
        let alone = text.lines().find(|line| line.contains("700 ns")).expect("a line");
        assert!(alone.trim_end().ends_with(" no other line there"), "{text}");
        assert!(text.contains("rates at different distances are not compared") && found.alone() == 1, "{text}");
        let ends: Vec<String> =
            csv.lines().map(|line| line.rsplitn(5, ',').skip(1).take(3).collect::<Vec<_>>().join(" ")).collect();
        assert_eq!(ends[0], "without_neighbour distance_ns several_distances");
        assert_eq!([&ends[1], &ends[3], &ends[5]], ["false 2.9e1 false", "true 1.881e2 false", "false 7e2 false"]);
        assert!(found.markdown().contains("| SB | core | 29 ns | A One |"), "{}", found.markdown());
    }

    /// What the comparison of two records says of the first and each other record at each distance, as [`told`] says it.
    fn in_pairs(records: &[Record]) -> Vec<(String, Option<f64>)> {
        let others = &records[1..];
        let all = others.iter().flat_map(|other| crate::publish::compare(&[&records[0], other]));
        let compared = all.filter(|comparison| comparison.ratio.is_some());
        compared
            .map(|comparison| (kind_of_time(&comparison.distance.unwrap_or_default()), rounded(comparison.ratio)))
            .collect()
    }

    #[test]
    fn many_records_are_compared_as_two_are() {
        let two = |enough| at("One", &[(28.0, 50_000, 20_000, enough), (185.0, 10_000, 3_000, enough)]);
        let stays = |ns, races| at("One", &[(ns, races, 20_000, true)]);
        let mut pairs = at("One", &[(28.0, 1_000, 900, true)]);
        let mut far = at("One", &[(185.0, 90_000, 9_000, true)]).results.remove(0);
        far.placement.cpus = vec![2, 3];
        pairs.results.push(far);
        for (number, records) in [
            vec![two(true), two(false), two(true)],
            vec![two(true), two(true), two(true)],
            vec![two(true), stays(28.0, 40_000), stays(185.0, 60_000)],
            // None of them moved, but they are not at one distance.
            vec![stays(28.0, 50_000), stays(180.0, 60_000)],
            vec![stays(28.0, 50_000), stays(30.0, 60_000)],
            // The closest belong together.
            vec![at("One", &[(45.0, 50_000, 20_000, true), (28.0, 10_000, 900, true)]), stays(40.0, 50_000)],
            // Sums of records can have distances that are close to each other. They stay apart.
            vec![at("One", &[(28.0, 10_000, 900, true), (42.0, 50_000, 20_000, true)]), stays(40.0, 50_000)],
            // No race at one distance says nothing of another.
            vec![stays(28.0, 50_000), at("One", &[(28.0, 0, 0, true), (180.0, 0, 0, true)])],
            // Counts without a distance are compared as a whole.
            vec![record("One", 10), record("One", 30), record("One", 50)],
        ]
        .into_iter()
        .enumerate()
        {
            let twice = if number == 0 { 2 } else { 0 };
            let found = matrix(&records, Line::Record);
            let of_first = found.groups.iter().flat_map(|group| &group.entries).filter(|entry| entry.ratio.is_some());
            let mut many: Vec<(String, Option<f64>)> = of_first
                .map(|entry| (kind_of_time(&entry.at.map_or(String::new(), At::words)), rounded(entry.ratio)))
                .collect();
            for of_two in in_pairs(&records) {
                let at = many.iter().position(|of_many| *of_many == of_two);
                many.remove(at.unwrap_or_else(|| panic!("{of_two:?}: {}", found.text(None))));
            }
            // A record beside another that has too little time without a neighbour is compared twice.
            assert_eq!(many.len(), twice, "{many:?}: {}", found.text(None));
        }
        // Two placements of one record at different distances are not added up.
        let found = matrix(&[pairs.clone(), pairs], Line::Record);
        let lines: Vec<u64> = told(&found).into_iter().map(|told| told.3).collect();
        assert_eq!(lines, [900, 900, 9_000, 9_000], "{found:?}");
    }

    #[test]
    fn lines_without_a_distance_are_compared_as_wholes() {
        let two = || at("One", &[(28.0, 50_000, 20_000, true), (185.0, 10_000, 3_000, true)]);
        let found = matrix(&[two(), record("Two", 10_000)], Line::Cpu);
        assert_eq!((told(&found).len(), told(&found)[0].0.as_str()), (2, ""));
        assert!(found.text(None).contains("] *"));
        // Those that have distances are compared at these too.
        let found = matrix(&[two(), record("Two", 10_000), two()], Line::Record);
        let lines: Vec<String> = told(&found).into_iter().map(|told| told.0).collect();
        let [near, far] = ["28 ns without a neighbour", "185 ns without a neighbour"];
        assert_eq!(lines, ["", "", "", near, near, far, far], "{found:?}");
        // Three short times without a neighbour are a long one. A run that did not look for any has none.
        let short = |looked: bool| {
            let mut record = at("One", &[(28.0, 50_000, 20_000, false)]);
            let distances = record.results[0].distances.as_mut().unwrap();
            distances.strata[0].without_neighbour = distances.strata[0].without_neighbour.take().filter(|_| looked);
            record
        };
        let other = || at("Two", &[(28.0, 100_000, 20_000, true)]);
        for (looked, wanted) in [(true, "28 ns without a neighbour"), (false, "28 ns")] {
            let found = matrix(&[short(true), short(true), short(looked), other()], Line::Cpu);
            assert_eq!((told(&found)[0].0.as_str(), told(&found)[0].2), (wanted, 3), "{found:?}");
        }
        // No race is compared as a whole.
        let none = || at("One", &[(28.0, 0, 0, true), (185.0, 0, 0, true)]);
        let found = matrix(&[none(), none()], Line::Record);
        assert_eq!((told(&found).len(), told(&found)[1].0.as_str()), (2, ""));
        assert!(!found.text(None).contains('*') && found.alone() == 0, "{found:?}");
    }

    #[test]
    fn each_record_has_a_line_if_all_are_wanted() {
        let records = [record("One", 300_000), record("One", 100_000), record("Two", 0), record("Two", 300_000)];
        let all = matrix(&records, Line::Record);
        assert_eq!(all.groups[0].entries.len(), 4);
        let differs: Vec<bool> = all.ratios().map(Ratio::differs).collect();
        assert_eq!(differs, [true, true, false]);
        let text = all.text(None);
        assert!(text.contains("C: a/2.json (x)") && text.contains("C 2.json"), "{text}");
        assert_eq!(text.lines().filter(|line| line.trim_start().starts_with("SB ")).count(), 1, "{text}");
        let csv = all.csv().unwrap();
        assert_eq!((csv.lines().count(), csv.lines().filter(|line| line.starts_with("SB,core,")).count()), (5, 4));
        assert!(csv.lines().nth(2).unwrap().ends_with(",true,unknown,false,false,,false,false"), "{csv}");
        let mut other = records.clone();
        other[1].results[0].code_sha256 = "0".repeat(64);
        let csv = matrix(&other, Line::Record).csv().unwrap();
        let marks: Vec<bool> = csv.lines().skip(1).map(|line| line.ends_with(",true,false,,false,false")).collect();
        assert_eq!(marks, [false, true, false, false], "{csv}");
        let markdown = all.markdown();
        assert!(markdown.contains("| SB | core | A 0.json | 1 | 30.0 % ["), "{markdown}");
        let many: Vec<Record> = (0..30).map(|_| record("One", 300_000)).collect();
        let words = matrix(&many, Line::Record).text(None);
        assert!(words.contains("Of 29 comparisons of equal rates, about 1 would differ by chance."), "{words}");
    }

    #[test]
    fn no_two_lines_have_the_same_name() {
        let mut records = [record("One", 1), record("One", 2), record("One", 3)];
        records[1].host.cpu_ids.insert("model".to_owned(), "1".to_owned());
        let cpus = matrix(&records, Line::Cpu);
        let (text, csv) = (cpus.text(None), cpus.csv().unwrap());
        assert!(text.contains("A One (model 17) ") && text.contains("B One (model 1) "), "{text}");
        assert!(
            csv.contains(",A,\"One (model 17) (x86_64, 2 records)\"") && csv.contains(",B,\"One (model 1) (x86_64"),
            "{csv}"
        );
        // Files of one name: they differ by the CPU, or else by the time.
        let names = ["a/r.json (x)", "b/r.json (x)", "c/r.json (x)"].map(str::to_owned);
        records[2].started = "2026-11-26T00:00:00Z".to_owned();
        let text = Matrix::of(&records, &names, Line::Record).text(None);
        let first = &records[0].started;
        for line in [format!("A r.json (model 17, {first})"), "B r.json (model 1)".to_owned()] {
            assert!(text.contains(&line), "{line}\n{text}");
        }
        assert!(text.contains("C r.json (model 17, 2026-11-26T00:00:00Z)"), "{text}");
    }

    #[test]
    fn a_result_that_is_left_out_is_named() {
        let mut records = vec![record("One", 10), record("One", 20), record("Two", 30)];
        assert!(!matrix(&records, Line::Cpu).text(None).contains("Left out"));
        records[1].results[0].source_sha256 = "0".repeat(64);
        let mut other = records[2].results[0].clone();
        (other.scenario, other.source_sha256) = ("MP".to_owned(), "1".repeat(64));
        records[2].results.push(other);
        for text in [matrix(&records, Line::Cpu).text(None), matrix(&records, Line::Cpu).markdown()] {
            assert!(
                text.contains(
                    "Left out, because no other line has the same test on the same placement class:\n  1.json: SB (core, another \
                     version of the test)\n  2.json: MP (core)\n"
                ),
                "{text}"
            );
        }
        // Records beyond the first five are counted.
        let mut many: Vec<Record> = (0..9).map(|_| record("One", 10)).collect();
        for (number, record) in many.iter_mut().enumerate().skip(2) {
            record.results[0].source_sha256 = number.to_string().repeat(64);
        }
        assert!(matrix(&many, Line::Record).text(None).contains("  and results of 2 more records\n"));
    }

    #[test]
    fn what_is_alone_is_not_compared() {
        let mut other = record("Two", 10);
        other.results[0].placement.class = Class::Llc;
        assert!(matrix(&[record("One", 10), other.clone()], Line::Record).is_empty());
        let moved = at("One", &[(28.0, 50_000, 20_000, true), (185.0, 10_000, 3_000, true)]);
        assert!(matrix(&[moved, other], Line::Record).is_empty());
    }
}
