//! The page of many records: each kind of CPU has one mark a test, with the median and the spread of its runs.

use serde::Serialize;

use super::forest::{chart_of, ground, in_order_of, role};
use super::runs::{self, Run, Symbol};
use super::sum::{Sum, sums};
use super::{Entry, Front, Page, Report, compared, fill};
use crate::error::Result;
use crate::publish::chart::{Look, Mark, Row, escape};
use crate::publish::{count, cpus, rate};
use crate::stats::{interval, median};

/// More records than this are drawn by kind of CPU, unless one page with every run is asked for.
pub const FLEET: usize = 12;
/// A run is unlike the others of its kind of CPU if its rate is more than this many times theirs, or less than one part in so
/// many. Five runs on one quiet machine differed by up to 40 % (docs/performance.md).
const UNLIKE: f64 = 3.0;
/// The most runs that are named as unlike the others.
const NAMED: usize = 5;

/// A kind of CPU with its runs.
struct Kind<'a> {
    name: String,
    look: Look,
    runs: Vec<&'a Run<'a>>,
}

/// The rates of one test on one kind of CPU.
struct Spread<'a> {
    first: &'a Sum<'a>,
    runs: usize,
    iterations: u64,
    races: u64,
    /// The rates that are not zero, ascending, each with the letter of its run.
    seen: Vec<(f64, &'a str)>,
}

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
    groups: Vec<Group>,
    records: usize,
    emulated: usize,
}

/// Writes the page of many records. `pages` has the address of the page of each record, if these pages exist.
///
/// # Errors
/// Only an internal one.
pub fn fleet_page(entries: &[Entry], front: &Front, pages: Option<&[String]>) -> Result<Page> {
    let runs = runs::runs(entries);
    let real: Vec<&Run<'_>> = runs.iter().filter(|run| !run.host().emulated).collect();
    let sums = sums(&real);
    let kinds = kinds(&real);
    let spreads: Vec<Vec<(&Kind<'_>, Spread<'_>)>> =
        in_order_of(&sums, &compared(&sums)).into_iter().map(|sums| spread(sums, &kinds)).collect();
    let rows: Vec<Row> = spreads.iter().filter_map(|spreads| row(spreads)).collect();
    let (report, picture) = Report::new(&runs, &sums, chart_of(rows), front);
    let letters: Vec<&str> = runs.iter().map(|run| run.letter.as_str()).collect();
    let context = Context {
        report,
        lines: spreads.iter().flatten().map(|(kind, spread)| line(kind, spread)).collect(),
        groups: kinds.iter().map(|kind| group(kind, &letters, pages)).collect(),
        records: entries.len(),
        emulated: runs.len() - real.len(),
    };
    Ok(Page { html: fill("fleet.html", &context)?, picture })
}

/// The kinds of CPU, in the order in which they come first.
fn kinds<'a>(runs: &[&'a Run<'a>]) -> Vec<Kind<'a>> {
    let kinds = cpus::by_cpu(runs.iter().copied(), |run| run.host()).into_iter().enumerate();
    kinds.map(|(colour, (name, runs))| Kind { name, look: Look { colour, dash: 0 }, runs }).collect()
}

/// The rates of one test, by kind of CPU. Placement classes of one run count as runs.
fn spread<'a, 'b>(sums: &'a [Sum<'a>], kinds: &'b [Kind<'a>]) -> Vec<(&'b Kind<'a>, Spread<'a>)> {
    let mut out = Vec::new();
    for kind in kinds {
        let of_kind: Vec<&Sum<'_>> = (sums.iter())
            .filter(|sum| sum.iterations > 0 && cpus::same_cpu(sum.run.host(), kind.runs[0].host()))
            .collect();
        let Some(&first) = of_kind.first() else { continue };
        let mut seen: Vec<(f64, &str)> = (of_kind.iter())
            .filter_map(|sum| Some((sum.rate().filter(|rate| *rate > 0.0)?, sum.run.letter.as_str())))
            .collect();
        seen.sort_by(|a, b| a.0.total_cmp(&b.0));
        let add = |of: fn(&Sum<'_>) -> u64| of_kind.iter().fold(0u64, |sum, one| sum.saturating_add(of(one)));
        let (iterations, races) = (add(|sum| sum.iterations), add(|sum| sum.races));
        out.push((kind, Spread { first, runs: of_kind.len(), iterations, races, seen }));
    }
    out
}

impl Spread<'_> {
    fn median(&self) -> Option<f64> {
        (!self.seen.is_empty()).then(|| median(self.seen.iter().map(|(rate, _)| *rate).collect()))
    }

    /// The lowest and the highest rate; without races, the interval of all iterations together.
    fn ends(&self) -> (f64, f64) {
        match (self.seen.first(), self.seen.last()) {
            (Some((low, _)), Some((high, _))) => (*low, *high),
            _ => interval(self.races, self.iterations).map_or((0.0, 1.0), |interval| (interval.low, interval.high)),
        }
    }

    fn words(&self) -> String {
        let (low, high) = self.ends();
        match self.median() {
            Some(median) if self.seen.len() > 1 => format!("{} ({} to {})", rate(median), rate(low), rate(high)),
            Some(median) => rate(median),
            None => format!("< {high:.1e}"),
        }
    }

    /// The runs whose rates are far from the median.
    fn unlike(&self) -> Vec<String> {
        let Some(median) = self.median() else { return Vec::new() };
        let far = self.seen.iter().filter(|(rate, _)| *rate > UNLIKE * median || *rate < median / UNLIKE);
        far.map(|(seen, letter)| format!("{letter} {}", rate(*seen))).collect()
    }
}

fn row(spreads: &[(&Kind<'_>, Spread<'_>)]) -> Option<Row> {
    let result = spreads.first()?.1.first.first();
    let mark = |(kind, spread): &(&Kind<'_>, Spread<'_>)| {
        let (low, high) = spread.ends();
        let share = format!("seen in {} of {} runs", spread.seen.len(), spread.runs);
        Mark {
            look: kind.look,
            name: String::new(),
            value: spread.median(),
            interval: (low, high),
            words: spread.words(),
            ground: ground(spread.first.first()),
            note: format!("{}, {}: {share}, {}", result.scenario, kind.name, spread.words()),
            data: format!(
                " data-test=\"{}\" data-cpu=\"{}\" data-runs=\"{}\" data-seen=\"{}\" data-of=\"{}\"",
                escape(&result.scenario),
                escape(&kind.name),
                spread.runs,
                spread.races,
                spread.iterations
            ),
        }
    };
    Some(Row { label: result.scenario.clone(), role: role(result), marks: spreads.iter().map(mark).collect() })
}

fn line(kind: &Kind<'_>, spread: &Spread<'_>) -> Line {
    let mut unlike = spread.unlike();
    let more = unlike.len().saturating_sub(NAMED);
    unlike.truncate(NAMED);
    if more > 0 {
        unlike.push(format!("and {more} more"));
    }
    let (low, high) = spread.ends();
    Line {
        scenario: spread.first.first().scenario.clone(),
        symbol: Symbol::of(kind.look),
        cpu: kind.name.clone(),
        seen: format!("{} of {}", spread.seen.len(), count(spread.runs as u64)),
        median: spread.median().map_or("-".to_owned(), rate),
        spread: if spread.seen.is_empty() {
            format!("< {high:.1e}")
        } else {
            format!("{} to {}", rate(low), rate(high))
        },
        unlike: unlike.join(", "),
    }
}

fn group(kind: &Kind<'_>, letters: &[&str], pages: Option<&[String]>) -> Group {
    let host = |run: &&Run<'_>| {
        let at = letters.iter().position(|letter| *letter == run.letter);
        let href = pages.zip(at).and_then(|(pages, at)| pages.get(at).cloned());
        Host { letter: run.letter.clone(), name: run.entry_name().to_owned(), about: run.about(), href }
    };
    Group { symbol: Symbol::of(kind.look), name: kind.name.clone(), hosts: kind.runs.iter().map(host).collect() }
}
