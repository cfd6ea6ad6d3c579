//! The heat maps of pairs of CPUs.

use std::collections::BTreeMap;

use super::figures::{Figure, id};
use super::runs::Run;
use super::spread::Kind;
use crate::machine::Class;
use crate::publish::Latencies;
use crate::publish::chart::{Axis, Cell, Heat};
use crate::publish::numbers::tick_rate;
use crate::publish::{count, rate, rate_with_interval};
use crate::record::ScenarioResult;
use crate::stats::median;

/// The rates per pair of CPUs: a heat map per test and run that measured more than one pair.
pub(super) fn heats<'a>(runs: &[&'a Run<'a>]) -> Vec<Figure> {
    let mut out: Vec<Map> = Vec::new();
    for run in runs {
        let Some(record) = run.record() else { continue };
        let results = crate::publish::sums::reading_order(record);
        let mut scenarios: Vec<&str> = results.iter().map(|result| result.scenario.as_str()).collect();
        scenarios.dedup();
        for scenario in scenarios {
            let pairs: Vec<&&ScenarioResult> = (results.iter())
                .filter(|result| {
                    result.scenario == scenario && result.placement.cpus.len() == 2 && result.iterations > 0
                })
                .collect();
            if pairs.len() > 1 {
                let cells = pairs.iter().map(|result| cell(result)).collect();
                let caption = format!("{scenario}, run {}", run.letter);
                let raced = pairs.iter().filter(|result| result.races > 0).count();
                let figure = Figure {
                    id: id(&["pairs", scenario, &run.letter]),
                    test: scenario.to_owned(),
                    caption,
                    note: format!("Seen on {raced} of {} pairs.", pairs.len()),
                    ..Figure::default()
                };
                out.push((figure, cells));
            }
        }
    }
    drawn(out)
}

/// A heat map that is not drawn yet.
type Map = (Figure, Vec<Cell>);

/// Draws heat maps of rates with one scale of colours: the same colour is the same rate in all of them.
fn drawn(maps: Vec<Map>) -> Vec<Figure> {
    let rates = || maps.iter().flat_map(|(_, cells)| cells).filter_map(|cell| cell.value);
    let (low, high) = (rates().fold(1.0, f64::min), rates().fold(0.0, f64::max));
    let axis =
        Axis::log(if high > 0.0 { low } else { 0.1 }, if high > 0.0 { high } else { 1.0 }, "races per iteration");
    let draw = |(figure, cells): Map| Figure { svg: heat(&figure.test, cells, axis.clone()), ..figure };
    maps.into_iter().map(draw).collect()
}

/// The cache-line transfer latencies: a heat map per run that measured more than one pair. A pair that several tests ran on
/// has the median of their measurements.
pub(super) fn latencies<'a>(runs: &[&'a Run<'a>]) -> Vec<Figure> {
    let mut out: Vec<(Figure, Latencies)> = Vec::new();
    for run in runs {
        let Some(record) = run.record() else { continue };
        let mut measured: BTreeMap<(usize, usize), (Class, Vec<f64>)> = BTreeMap::new();
        for result in &record.results {
            let (Some(ns), [a, b]) = (result.line_transfer_ns, &result.placement.cpus[..]) else { continue };
            let pair = measured.entry((*a.max(b), *a.min(b))).or_insert((result.placement.class, Vec::new()));
            pair.1.push(ns);
        }
        let mut latencies = Latencies::default();
        for (cpus, (class, all)) in measured {
            latencies.put(cpus, class, median(all));
        }
        if latencies.len() > 1 {
            let figure = Figure {
                id: id(&["latency", &run.letter]),
                test: String::new(),
                caption: format!("Cache-line transfer latency, run {}", run.letter),
                note: format!("Between {} pairs of CPUs, measured just before the tests.", latencies.len()),
                ..Figure::default()
            };
            out.push((figure, latencies));
        }
    }
    let ends = out.iter().map(|(_, latencies)| latencies.ends());
    let (low, high) = ends.fold((f64::MAX, 0.0), |(low, high): (f64, f64), (a, b)| (low.min(a), high.max(b)));
    out.into_iter().map(|(figure, latencies)| Figure { svg: latencies.heat((low, high)), ..figure }).collect()
}

/// The most cells in the heat maps of one page. A cell has about 250 bytes.
const MOST_CELLS: usize = 8_000;

/// The rates per pair of CPUs over a fleet: a heat map per kind of CPU and test. A cell is the median of the runs that saw the
/// race on this pair. Tests come in the given order; also returned are the names of those that there was no room for.
pub(super) fn of_kinds(kinds: &[Kind<'_>], order: &[&str]) -> (Vec<Figure>, Vec<String>) {
    let (mut out, mut without): (Vec<Map>, Vec<String>) = (Vec::new(), Vec::new());
    let mut left = MOST_CELLS;
    for scenario in order {
        for kind in kinds {
            let pairs = pairs_of(kind, scenario);
            if pairs.len() < 2 {
                continue;
            }
            match left.checked_sub(pairs.len()) {
                Some(rest) => left = rest,
                None => {
                    without.push((*scenario).to_owned());
                    continue;
                }
            }
            let raced = pairs.iter().filter(|pair| !pair.rates.is_empty()).count();
            let runs = pairs.iter().map(|pair| pair.runs).max().unwrap_or(0);
            let figure = Figure {
                id: id(&["pairs", scenario, &kind.name]),
                test: (*scenario).to_owned(),
                caption: format!("{scenario}, {}", kind.name),
                note: format!("Seen on {raced} of {} pairs, in up to {} runs a pair.", pairs.len(), count(runs as u64)),
                ..Figure::default()
            };
            out.push((figure, pairs.iter().map(Pair::cell).collect()));
        }
    }
    without.dedup();
    (drawn(out), without)
}

/// A pair of CPUs of one kind, over some runs.
struct Pair {
    cpus: (usize, usize),
    place: String,
    runs: usize,
    /// The rates that are not zero.
    rates: Vec<f64>,
    races: u64,
    iterations: u64,
}

impl Pair {
    fn cell(&self) -> Cell {
        let value = (!self.rates.is_empty()).then(|| median(self.rates.clone()));
        let words = value.map_or("-".to_owned(), rate);
        Cell {
            x: self.cpus.0,
            y: self.cpus.1,
            value,
            note: format!(
                "P0 on CPU {}, P1 on CPU {} ({}): seen in {} of {} runs, median {words}",
                self.cpus.0,
                self.cpus.1,
                self.place,
                self.rates.len(),
                self.runs
            ),
            data: data(self.cpus, self.races, self.iterations),
        }
    }
}

fn pairs_of(kind: &Kind<'_>, scenario: &str) -> Vec<Pair> {
    let mut pairs: BTreeMap<(usize, usize), Pair> = BTreeMap::new();
    let results = kind.runs.iter().filter_map(|run| run.record()).flat_map(|record| &record.results);
    for result in results.filter(|result| result.scenario == scenario && result.iterations > 0) {
        let [p0, p1] = result.placement.cpus[..] else { continue };
        let place = || result.placement.class_and_kinds();
        let new = || Pair { cpus: (p0, p1), place: place(), runs: 0, rates: Vec::new(), races: 0, iterations: 0 };
        let pair = pairs.entry((p0, p1)).or_insert_with(new);
        pair.runs += 1;
        pair.rates.extend(result.rate.filter(|rate| *rate > 0.0));
        pair.races = pair.races.saturating_add(result.races);
        pair.iterations = pair.iterations.saturating_add(result.iterations);
    }
    pairs.into_values().collect()
}

fn data((p0, p1): (usize, usize), races: u64, iterations: u64) -> String {
    format!(" data-p0=\"{p0}\" data-p1=\"{p1}\" data-seen=\"{races}\" data-of=\"{iterations}\"")
}

/// The cell of a result on two CPUs.
fn cell(result: &ScenarioResult) -> Cell {
    let cpus = &result.placement.cpus;
    Cell {
        x: cpus[0],
        y: cpus[1],
        value: result.rate.filter(|rate| *rate > 0.0),
        note: format!(
            "P0 on CPU {}, P1 on CPU {} ({}): {} in {}, {}",
            cpus[0],
            cpus[1],
            result.placement.class_and_kinds(),
            count(result.races),
            count(result.iterations),
            rate_with_interval(result.rate, result.stated_interval())
        ),
        data: data((cpus[0], cpus[1]), result.races, result.iterations),
    }
}

fn heat(scenario: &str, cells: Vec<Cell>, axis: Axis) -> String {
    let mut cpus: Vec<usize> = cells.iter().flat_map(|cell| [cell.x, cell.y]).collect();
    cpus.sort_unstable();
    cpus.dedup();
    let chart = Heat {
        name: format!("{scenario}: rate per pair of CPUs"),
        cells,
        cpus,
        across: "P0 on CPU →".to_owned(),
        down: "P1 ↓".to_owned(),
        axis,
        tick: tick_rate,
    };
    chart.svg()
}
