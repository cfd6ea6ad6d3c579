//! The page of many records: each kind of CPU has one mark a test, with the median and the spread of its runs. Below it are
//! the runs themselves as dots, and heat maps of pairs of CPUs.

use serde::Serialize;

use super::figures::{Figure, id};
use super::forest::{Chart, chart_of, in_order_of, role};
use super::runs::{self, Run, Symbol};
use super::spread::{Kind, One, Spread, kinds, spreads};
use super::sum::{Sum, sums};
use super::{Entry, Front, Page, Report, compared, fill, pairs};
use crate::error::Result;
use crate::publish::chart::{Axis, Dot, Look, Mark, Row, Strip, Strips, escape};
use crate::publish::numbers::{tick_rate, upper_bound};
use crate::publish::{count, rate, titles};

/// More records than this are drawn by kind of CPU, unless one page with every run is asked for.
pub const FLEET: usize = 12;
/// The most runs that are named as unlike the others.
const NAMED: usize = 5;
/// The charts of the runs that are not folded.
const UNFOLDED: usize = 9;

/// A test on all kinds of CPU.
type OfTest<'a, 'b> = Vec<(&'b Kind<'a>, Spread<'a>)>;

#[derive(Serialize)]
struct Line {
    scenario: String,
    symbol: Symbol,
    cpu: String,
    seen: String,
    median: String,
    spread: String,
    unlike: String,
}

#[derive(Serialize)]
struct Host {
    letter: String,
    name: String,
    about: String,
    href: Option<String>,
}

#[derive(Serialize)]
struct Group {
    symbol: Symbol,
    name: String,
    hosts: Vec<Host>,
}

#[derive(Serialize)]
struct Context<'a> {
    #[serde(flatten)]
    report: Report<'a>,
    lines: Vec<Line>,
    /// The runs of each test as dots: the first ones, and the folded ones.
    strips: [Vec<Figure>; 2],
    heats: Vec<Figure>,
    /// The tests whose heat maps are left out, because the page would be too large.
    without_heat: Vec<String>,
    groups: Vec<Group>,
    records: usize,
    emulated: usize,
}

/// Writes the page of many records.
///
/// # Errors
/// Only an internal one.
pub fn fleet_page(entries: &[Entry], front: &Front) -> Result<Page> {
    let runs = runs::runs(entries);
    let real: Vec<&Run<'_>> = runs.iter().filter(|run| !run.host().emulated).collect();
    let sums = sums(&real);
    let kinds = kinds(&real);
    let tests = by_test(&sums, &kinds);
    let report = Report::new(&runs, &sums, chart(&tests), front);
    let picture = report.picture(hosts_of_kinds(&kinds))?;
    let letters: Vec<&str> = runs.iter().map(|run| run.letter.as_str()).collect();
    let mut strips = strips(&tests);
    let folded = strips.split_off(strips.len().min(UNFOLDED));
    let order: Vec<&str> = tests.iter().map(|test| test[0].1.scenario()).collect();
    let (heats, without_heat) = pairs::of_kinds(&kinds, &order);
    let context = Context {
        report,
        lines: tests.iter().flatten().map(|(kind, spread)| line(kind, spread)).collect(),
        strips: [strips, folded],
        heats,
        without_heat,
        groups: kinds.iter().map(|kind| group(kind, &letters, &front.pages)).collect(),
        records: entries.len(),
        emulated: runs.len() - real.len(),
    };
    Ok(Page { html: fill("fleet.html", &context)?, picture, folded: Vec::new() })
}

/// The picture that a link to the page of many records shows.
///
/// # Errors
/// Only an internal one.
pub(super) fn preview_of(entries: &[Entry], front: &Front) -> Result<Vec<u8>> {
    let runs = runs::runs(entries);
    let real: Vec<&Run<'_>> = runs.iter().filter(|run| !run.host().emulated).collect();
    let (sums, kinds) = (sums(&real), kinds(&real));
    Report::new(&runs, &sums, chart(&by_test(&sums, &kinds)), front).preview(hosts_of_kinds(&kinds))
}

/// The kinds of CPU with their numbers of runs.
pub(super) fn hosts_of_kinds(kinds: &[Kind<'_>]) -> Vec<(Option<Look>, String)> {
    let words = |kind: &Kind<'_>| {
        let runs = kind.runs.len();
        format!("{}, {} run{}", kind.name, count(runs as u64), if runs == 1 { "" } else { "s" })
    };
    kinds.iter().map(|kind| (Some(kind.look), words(kind))).collect()
}

/// The tests in the order of the page, each with its rates by kind of CPU. Tests without iterations are left out.
pub(super) fn by_test<'a, 'b>(sums: &'a [Sum<'a>], kinds: &'b [Kind<'a>]) -> Vec<OfTest<'a, 'b>> {
    let tests = in_order_of(sums, &compared(sums)).into_iter().map(|sums| spreads(sums, kinds));
    tests.filter(|test| !test.is_empty()).collect()
}

/// The page's first chart: a row per test, a mark per kind of CPU.
pub(super) fn chart(tests: &[OfTest<'_, '_>]) -> Option<Chart> {
    chart_of(tests.iter().map(row).collect(), "median and range of runs")
}

fn row(test: &OfTest<'_, '_>) -> Row {
    let mark = |(kind, spread): &(&Kind<'_>, Spread<'_>)| {
        let (low, high) = spread.ends();
        let share = format!("seen in {} of {} runs", spread.seen().len(), spread.runs.len());
        Mark {
            look: kind.look,
            name: String::new(),
            value: spread.median(),
            interval: (low, high),
            words: spread.words(),
            short: spread.words(),
            ground: spread.ground(),
            note: format!("{}, {}: {share}, {}", spread.scenario(), kind.name, spread.words()),
            data: format!(" data-test=\"{}\"{}", escape(spread.scenario()), data(kind, spread)),
        }
    };
    let first = test[0].1.result();
    Row { label: first.scenario.clone(), role: role(first), marks: test.iter().map(mark).collect() }
}

fn data(kind: &Kind<'_>, spread: &Spread<'_>) -> String {
    format!(
        " data-cpu=\"{}\" data-runs=\"{}\" data-seen=\"{}\" data-of=\"{}\"",
        escape(&kind.name),
        spread.runs.len(),
        spread.races,
        spread.iterations
    )
}

/// A chart per test with a dot for each run. All have the same axis.
fn strips(tests: &[OfTest<'_, '_>]) -> Vec<Figure> {
    let all = || tests.iter().flatten().flat_map(|(_, spread)| &spread.runs);
    let low = all().map(|one| one.rate.unwrap_or(one.high / 3.0)).filter(|low| *low > 0.0).fold(1.0, f64::min);
    let axis = Axis::log(low, 1.0, "races per iteration, logarithmic");
    tests.iter().map(|test| strips_of(test, &axis)).collect()
}

fn strips_of(test: &OfTest<'_, '_>, axis: &Axis) -> Figure {
    let strip = |(kind, spread): &(&Kind<'_>, Spread<'_>)| {
        let dot = |one: &One<'_>| Dot {
            value: one.rate,
            bound: one.high,
            unlike: if spread.is_unlike(one) { one.letter.to_owned() } else { String::new() },
        };
        Strip {
            look: kind.look,
            name: kind.name.clone(),
            median: spread.median(),
            dots: spread.runs.iter().map(dot).collect(),
            ground: spread.ground(),
            data: format!(" data-cpu=\"{}\" data-runs=\"{}\"", escape(&kind.name), spread.runs.len()),
        }
    };
    let scenario = test[0].1.scenario();
    let chart = Strips {
        name: format!("{scenario}: the rate of each run"),
        axis: axis.clone(),
        tick: tick_rate,
        strips: test.iter().map(strip).collect(),
    };
    let (seen, runs) =
        test.iter().fold((0, 0), |(seen, runs), (_, spread)| (seen + spread.seen().len(), runs + spread.runs.len()));
    Figure {
        id: id(&["runs", scenario]),
        test: scenario.to_owned(),
        caption: titles::title(test[0].1.result()).map_or(scenario.to_owned(), |title| format!("{scenario}, {title}")),
        note: format!("Seen in {} of {} runs.", count(seen as u64), count(runs as u64)),
        svg: chart.svg(),
        ..Figure::default()
    }
}

fn line(kind: &Kind<'_>, spread: &Spread<'_>) -> Line {
    let mut unlike = spread.unlike();
    let more = unlike.len().saturating_sub(NAMED);
    unlike.truncate(NAMED);
    if more > 0 {
        unlike.push(format!("and {more} more"));
    }
    let (low, high) = spread.ends();
    let seen = spread.seen().len();
    Line {
        scenario: spread.scenario().to_owned(),
        symbol: kind.symbol(),
        cpu: kind.name.clone(),
        seen: format!("{} of {}", count(seen as u64), count(spread.runs.len() as u64)),
        median: spread.median().map_or("-".to_owned(), rate),
        spread: if seen == 0 { upper_bound(high) } else { format!("{} to {}", rate(low), rate(high)) },
        unlike: unlike.join(", "),
    }
}

fn group(kind: &Kind<'_>, letters: &[&str], pages: &[String]) -> Group {
    let host = |run: &&Run<'_>| {
        let at = letters.iter().position(|letter| *letter == run.letter);
        let href = at.and_then(|at| pages.get(at).cloned());
        Host { letter: run.letter.clone(), name: run.entry_name().to_owned(), about: run.about(), href }
    };
    Group { symbol: kind.symbol(), name: kind.name.clone(), hosts: kind.runs.iter().map(host).collect() }
}
