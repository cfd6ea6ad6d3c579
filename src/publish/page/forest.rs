//! Fills the page's first chart: every test with its rates on every host.

use serde::Serialize;

use super::runs::Run;
use super::sum::Sum;
use super::words;
use crate::litmus::Verdict;
use crate::publish::chart::{Axis, Forest, Form, Ground, Mark, Row};
use crate::publish::compare::{Comparison, Ratio, compare};
use crate::publish::numbers::{listed, rate, short_count, tick_rate};
use crate::publish::rate_with_interval;
use crate::publish::titles::title;
use crate::publish::zeros::{self, DOUBT};
use crate::record::{Finding, ScenarioResult};

/// The note names so many tests of two runs that differ.
const NAMED: usize = 4;

/// The chart in both forms. The page shows one of them, by the width of the window.
#[derive(Serialize)]
pub(super) struct Chart {
    wide: String,
    narrow: String,
    /// What both forms draw.
    #[serde(skip)]
    pub(super) forest: Forest,
    /// What to see in the chart.
    note: String,
    /// Whether a line has an unknown verdict.
    unknown: bool,
    /// Whether a line is a zero that is inconclusive.
    doubted: bool,
}

/// Draws the chart of some sums, with the tests in `first` on top; `None` without iterations.
pub(super) fn chart(sums: &[Sum<'_>], first: &[&str]) -> Option<Chart> {
    let mut chart = chart_of(in_order_of(sums, first).into_iter().filter_map(row).collect(), "95 % interval")?;
    for words in same_code(sums).into_iter().chain(unlike(sums)) {
        chart.note = format!("{} {words}", chart.note);
    }
    Some(chart)
}

/// Where runs of one host differ by more than usual (the interval that `wakerace compare` prints, whose verdict asks for more);
/// `None` if no host has several runs.
fn unlike(sums: &[Sum<'_>]) -> Option<String> {
    let mut runs: Vec<&Run<'_>> = Vec::new();
    for sum in sums {
        if !runs.iter().any(|run| run.letter == sum.run.letter) {
            runs.push(sum.run);
        }
    }
    let pairs: Vec<(&Run<'_>, &Run<'_>)> = (runs.iter().enumerate())
        .filter_map(|(at, other)| Some((*runs[..at].iter().find(|run| run.look.colour == other.look.colour)?, *other)))
        .collect();
    let compared: Vec<([&str; 2], Vec<Comparison>)> = (pairs.iter())
        .filter_map(|(first, other)| {
            Some(([&first.letter, &other.letter].map(String::as_str), compare(&[first.record()?, other.record()?])))
        })
        .collect();
    let differing: Vec<String> = compared.iter().filter_map(|(runs, all)| differing(*runs, all)).collect();
    let all = || compared.iter().flat_map(|(_, all)| all);
    let not_compared = all().filter(|one| one.note.is_some()).count();
    match (pairs.is_empty(), differing.is_empty()) {
        (true, _) => None,
        (_, true) if not_compared > 0 => Some(format!(
            "No rates of runs of one host that can be compared differ by more than usual; {not_compared} of {} cannot, because the CPUs were \
             at different distances (wakerace compare).",
            all().count()
        )),
        (_, true) => Some("No rates of runs of one host differ by more than usual (wakerace compare).".to_owned()),
        _ => Some(format!(
            "{} Runs of one host usually differ less; `wakerace compare` says what is known about it.",
            differing.join(" ")
        )),
    }
}

/// The tests whose rates differ between two runs: `A and B differ in SB (3.18 % [2.96, 3.41] and 6.40 % [6.06, 6.75]).`
fn differing([first, other]: [&str; 2], compared: &[Comparison]) -> Option<String> {
    let differ = |one: &&Comparison| one.ratio.is_some_and(Ratio::differs);
    let in_words =
        |Comparison { scenario, rates: [ours, theirs], .. }: &Comparison| format!("{scenario} ({ours} and {theirs})");
    let mut tests: Vec<String> = compared.iter().filter(differ).map(in_words).collect();
    let more = tests.len().saturating_sub(NAMED);
    tests.truncate(NAMED);
    tests.extend((more > 0).then(|| format!("{more} more")));
    Some(format!("{first} and {other} differ in {}.", listed(&tests)?))
}

/// What to see in the chart: how many tests raced, and whether one did that must not.
fn note(rows: &[Row]) -> String {
    let marks = || rows.iter().flat_map(|row| &row.marks);
    let what = if rows.len() == marks().count() { "tests" } else { "results" };
    // How many were seen, of how many.
    let of = |ground: Ground| {
        let of_ground = marks().filter(|mark| mark.ground == ground);
        of_ground.fold((0, 0), |(seen, all), mark| (seen + usize::from(mark.value.is_some()), all + 1))
    };
    let [allowed, forbidden, unknown] = [Ground::Allowed, Ground::Forbidden, Ground::Unknown].map(of);
    if allowed.1 > 0 && forbidden.1 > 0 && unknown.1 == 0 {
        let against = if forbidden.0 == 0 { "none".to_owned() } else { forbidden.0.to_string() };
        return format!(
            "{} of the {} {what} that the architecture allows raced, and {against} of the {} that it forbids.",
            allowed.0, allowed.1, forbidden.1
        );
    }
    let bug = match forbidden {
        (_, 0) => String::new(),
        (0, _) => " Nothing that is forbidden was seen.".to_owned(),
        (against, _) => format!(" {against} of them were seen although the architecture forbids it."),
    };
    let (seen, all) = (allowed.0 + forbidden.0 + unknown.0, allowed.1 + forbidden.1 + unknown.1);
    format!("{seen} of {all} {what} raced; the others have an upper bound.{bug}")
}

/// The sums of each test, the tests in `first` on top.
pub(super) fn in_order_of<'a>(sums: &'a [Sum<'a>], first: &[&str]) -> Vec<&'a [Sum<'a>]> {
    let mut groups: Vec<&[Sum<'_>]> = sums.chunk_by(|a, b| a.first().scenario == b.first().scenario).collect();
    groups.sort_by_key(|sums| {
        let result = sums[0].first();
        let place = first.iter().position(|name| *name == result.scenario).unwrap_or(first.len());
        (place, rank(result))
    });
    groups
}

/// The chart of some rows; `None` without marks. `lines` says what the lines beside the marks are.
pub(super) fn chart_of(rows: Vec<Row>, lines: &str) -> Option<Chart> {
    let marks = || rows.iter().flat_map(|row| &row.marks);
    marks().next()?;
    // An arrow needs room to the left of its bound.
    let lowest = |mark: &Mark| if mark.value.is_some() { mark.interval.0 } else { mark.interval.1 / 3.0 };
    let low = marks().map(lowest).filter(|low| *low > 0.0).fold(1.0, f64::min);
    let (note, unknown) = (note(&rows), marks().any(|mark| mark.ground == Ground::Unknown));
    let doubted = marks().any(|mark| mark.words.ends_with(DOUBT));
    let wide = Forest {
        name: format!("Rate of each test on each host, with its {lines}"),
        axis: Axis::log(low, 1.0, &format!("races per iteration, {lines}, logarithmic")),
        tick: tick_rate,
        rows,
        form: Form::Wide,
    };
    let narrow = Forest { form: Form::Narrow, ..wide.clone() };
    Some(Chart { wide: wide.svg(), narrow: narrow.svg(), forest: wide, note, unknown, doubted })
}

/// Which tests have the machine code of the race on these CPUs, so that their bounds differ in how long they ran only.
fn same_code(sums: &[Sum<'_>]) -> Option<String> {
    let race = sums.iter().find(|sum| sum.first().group == "race" && sum.results.len() == 1)?;
    let of_run = sums.iter().filter(|sum| sum.run.letter == race.run.letter).map(|sum| sum.first());
    zeros::same_code(race.first(), of_run, &race.run.host().architecture)
}

/// The order of the rows: the race, what must race, what must not.
fn rank(result: &ScenarioResult) -> usize {
    match result.group.as_str() {
        "race" => 0,
        "controls" if result.is_control => 1,
        "mutants" => 2,
        "fixes" => 3,
        "controls" => 5,
        _ => 4,
    }
}

/// What a test is, in front of its title: `the race: the wakeup as in the kernel`.
pub(super) fn role(result: &ScenarioResult) -> String {
    let role = match result.group.as_str() {
        "race" => "the race",
        "controls" => "control",
        "mutants" => "mutant",
        "fixes" => "fix",
        "guards" => "guard",
        "fields" => "field",
        _ => "test",
    };
    title(result).map_or(role.to_owned(), |title| format!("{role}: {title}"))
}

/// Whether the architecture allows the race of a result.
pub(super) fn ground(result: &ScenarioResult) -> Ground {
    match result.expected {
        Some(Verdict::Never) => Ground::Forbidden,
        Some(_) => Ground::Allowed,
        None => Ground::Unknown,
    }
}

fn row(sums: &[Sum<'_>]) -> Option<Row> {
    let alone = sums.iter().all(|sum| sum.run.letter == sums[0].run.letter);
    let marks: Vec<Mark> = sums.iter().filter_map(|sum| mark(sum, sums, alone)).collect();
    let first = sums[0].first();
    (!marks.is_empty()).then(|| Row { label: first.scenario.clone(), role: role(first), marks })
}

fn mark(sum: &Sum<'_>, sums: &[Sum<'_>], alone: bool) -> Option<Mark> {
    let interval = sum.interval().filter(|_| sum.iterations > 0)?;
    let run = &sum.run.letter;
    let of_run = sums.iter().filter(|other| &other.run.letter == run).count();
    let class = if of_run > 1 { sum.first().placement.class_and_kinds() } else { String::new() };
    let name = if alone { class } else { format!("{run} {class}").trim_end().to_owned() };
    let bound = rate_with_interval(sum.rate(), Some(interval));
    let words = if sum.races == 0 { format!("0 in {}: {bound}", short_count(sum.iterations)) } else { bound.clone() };
    let short = if sum.races == 0 { bound } else { sum.rate().map_or(bound, rate) };
    let doubt = if sum.finding() == Finding::Inconclusive { DOUBT } else { "" };
    let scenario = &sum.first().scenario;
    Some(Mark {
        look: sum.look(),
        name,
        value: sum.rate().filter(|rate| *rate > 0.0),
        interval: (interval.low, interval.high),
        words: words + doubt,
        short: short + doubt,
        ground: ground(sum.first()),
        note: format!("{scenario}, {run}, {}: {}", sum.placement(), words::sentence(sum)),
        data: format!(
            " data-test=\"{}\" data-run=\"{run}\" data-seen=\"{}\" data-of=\"{}\" data-low=\"{:e}\" data-high=\"{:e}\"",
            crate::publish::chart::escape(scenario),
            sum.races,
            sum.iterations,
            interval.low,
            interval.high
        ),
    })
}
