//! Where the time goes: the iterations per second against the line transfers that an iteration needs, drawn as in the roofline
//! model, and the share of each phase.

use serde::Serialize;

use super::figures::{Figure, Legend, id};
use super::runs;
use super::sum::Sum;
use crate::publish::chart::{Axis, Line, Lines, Look, Point, escape};
use crate::publish::distances::distance;
use crate::publish::numbers::tick_count;
use crate::record::{Pass, PhasesRecord, ScenarioResult};
use crate::stats::APART;

/// A run: its chart, and a line for each test and distance.
#[derive(Serialize)]
pub(super) struct Passes {
    figure: Figure,
    headings: [&'static str; 11],
    lines: Vec<Vec<String>>,
}

const HEADINGS: [&str; 11] = [
    "test",
    "distance",
    "ns per iteration",
    "line transfers",
    "one by one",
    "clock",
    "emitted code",
    "rendezvous",
    "classification",
    "reset",
    "looks",
];

/// The charts of all runs with phases.
pub(super) fn passes(sums: &[Sum<'_>]) -> Vec<Passes> {
    let mut out: Vec<(&str, Vec<&Sum<'_>>)> = Vec::new();
    for sum in sums.iter().filter(|sum| sum.results.iter().any(|result| !result.passes().is_empty())) {
        match out.iter_mut().find(|(letter, _)| *letter == sum.run.letter) {
            Some((_, own)) => own.push(sum),
            None => out.push((&sum.run.letter, vec![sum])),
        }
    }
    let all: Vec<Passed<'_>> = out.iter().flat_map(|(_, sums)| passed(sums)).collect();
    let axes = axes(&all);
    out.iter().map(|(letter, sums)| of_run(letter, sums, &axes)).collect()
}

/// A result with its phases and its speed at one distance.
type Passed<'a> = (&'a ScenarioResult, &'a PhasesRecord, Pass);

/// The results of a run that have phases, at each of their distances.
fn passed<'a>(sums: &[&Sum<'a>]) -> Vec<Passed<'a>> {
    let results = sums.iter().flat_map(|sum| sum.results.iter().copied());
    results
        .filter_map(|result| Some((result, result.phases.as_ref()?)))
        .flat_map(|(result, phases)| result.passes().into_iter().map(move |pass| (result, phases, pass)))
        .collect()
}

fn of_run(letter: &str, sums: &[&Sum<'_>], axes: &[Axis; 2]) -> Passes {
    let all = passed(sums);
    let (host, look) = (runs::name(sums[0].run.host()), sums[0].look());
    let roofs = roofs(&all);
    let distances: Vec<String> = roofs.iter().map(|ns| distance(*ns)).collect();
    let figure = Figure {
        id: id(&["passes", letter]),
        caption: format!("{letter} {host}"),
        note: format!(
            "A point above the {} has several line transfers under way at once; one below it spends its time on something else. \
             The names of the points are in the table.",
            if roofs.len() > 1 { "line of its distance" } else { "line" }
        ),
        svg: chart(letter, &all, &roofs, look, axes.clone()).svg(),
        legend: vec![Legend {
            classes: Look { dash: 1, ..look }.classes(),
            text: format!("one line transfer after another, at {}", distances.join(" and at ")),
        }],
        ..Figure::default()
    };
    Passes { figure, headings: HEADINGS, lines: all.iter().map(line).collect() }
}

/// The distances at which a roof is drawn: the shortest, and the longest if it is as far from it as two strata are.
fn roofs(all: &[Passed<'_>]) -> Vec<f64> {
    let (low, high) = span(all.iter().map(|(_, _, pass)| pass.distance_ns));
    if high > low * APART { vec![low, high] } else { vec![(low * high).sqrt()] }
}

/// The lowest and the highest of some positive values.
fn span(values: impl Iterator<Item = f64>) -> (f64, f64) {
    values.fold((f64::INFINITY, 0.0_f64), |(low, high), value| (low.min(value), high.max(value)))
}

/// Iterations per second if their line transfers come one after another.
fn roof(transfers: f64, ns: f64) -> f64 {
    1e9 / (transfers * ns)
}

/// A point without an interval.
fn point(x: f64, y: f64) -> Point {
    Point { x, y: Some(y), interval: None, sparse: false, note: String::new(), data: String::new() }
}

/// Iterations per second.
fn speed(pass: &Pass) -> f64 {
    1e9 / pass.iteration_ns
}

/// The results that have a place in the chart: a test whose threads share no line needs no transfer.
fn points<'a, 'b>(all: &'b [Passed<'a>]) -> impl Iterator<Item = &'b Passed<'a>> {
    all.iter().filter(|(_, phases, _)| phases.line_transfers > 0.0)
}

/// The axes for all of these results. The charts of all runs have the same ones.
fn axes(all: &[Passed<'_>]) -> [Axis; 2] {
    let (least, most) = span(points(all).map(|(_, phases, _)| phases.line_transfers));
    let (slow, fast) = span(points(all).map(|(_, _, pass)| speed(pass)));
    [
        Axis::log(least.min(1.0), most.max(1.0), "cache-line transfers per iteration"),
        Axis::log(slow.min(fast), fast.max(slow), "iterations per second in batches"),
    ]
}

fn chart(letter: &str, all: &[Passed<'_>], roofs: &[f64], look: Look, [x, y]: [Axis; 2]) -> Lines {
    let of_roof = |&ns: &f64| Line {
        look: Look { dash: 1, ..look },
        name: format!("one transfer after another at {}", distance(ns)),
        points: clipped(ns, &x, &y),
        marked: false,
    };
    let of_test = |(result, phases, pass): &Passed<'_>| {
        let (name, speed) = (&result.scenario, speed(pass));
        let note = format!("{name} at {}: {} iterations per second", distance(pass.distance_ns), tick_count(speed));
        let data = format!(" data-test=\"{}\" data-ns=\"{:.3}\"", escape(name), pass.iteration_ns);
        let points = vec![Point { note, data, ..point(phases.line_transfers, speed) }];
        Line { look, name: name.clone(), points, marked: true }
    };
    let lines = roofs.iter().map(of_roof).chain(points(all).map(of_test)).collect();
    let name = format!("{letter}: iterations per second against line transfers");
    Lines { name, x, x_tick: tick_number, y, y_tick: tick_count, lines }
}

/// The part of a roof that is inside the chart.
fn clipped(ns: f64, x: &Axis, y: &Axis) -> Vec<Point> {
    // The speed falls as the transfers rise, so the top of the chart cuts the left end and the bottom the right one.
    let from = x.low.max(roof(y.high, ns));
    let to = x.high.min(roof(y.low, ns));
    if from < to { [from, to].map(|x| point(x, roof(x, ns))).into() } else { Vec::new() }
}

/// A number of transfers: `0.1`, `1`, `10`.
fn tick_number(value: f64) -> String {
    format!("{value}")
}

fn line((result, phases, pass): &Passed<'_>) -> Vec<String> {
    let total = phases.total_s();
    let share = |seconds: f64| if total > 0.0 { format!("{:.0} %", 100.0 * seconds / total) } else { "-".to_owned() };
    let settings = format!("{} ({}, {})", result.scenario, result.pace.mode, result.layout.kind);
    let mut cells = vec![
        settings,
        distance(pass.distance_ns),
        format!("{:.1}", pass.iteration_ns),
        format!("{:.3}", phases.line_transfers).trim_end_matches('0').trim_end_matches('.').to_owned(),
        format!("{:.1} ns", pass.transfers_ns),
    ];
    cells.extend(phases.named().map(|(_, seconds)| share(seconds)));
    cells
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::shipped;

    #[test]
    fn a_hostile_name_is_no_markup() {
        let mut result = shipped("2026-11-25T174425Z").results.remove(0);
        result.scenario = "\"><script>".to_owned();
        let phases = PhasesRecord {
            run_s: 1.0,
            clock_s: 0.0,
            rendezvous_s: 0.0,
            classification_s: 0.0,
            reset_s: 0.0,
            looks_s: 0.0,
            line_transfers: 4.0,
        };
        let pass = Pass { distance_ns: 40.0, iteration_ns: 20.0, transfers_ns: 160.0 };
        let all = [(&result, &phases, pass)];
        let svg = chart("A", &all, &[40.0], Look::default(), axes(&all)).svg();
        assert!(svg.contains("data-ns=\"20.000\"") && !svg.contains("<script"), "{svg}");
    }

    #[test]
    fn a_roof_is_cut_at_the_edges_of_the_chart() {
        let ends = |ns, x: &Axis, y: &Axis| -> Vec<(f64, f64)> {
            clipped(ns, x, y).iter().map(|point| (point.x.round(), point.y.unwrap_or(0.0).round())).collect()
        };
        let (x, y) = (Axis::log(1.0, 100.0, ""), Axis::log(1e6, 1e8, ""));
        assert_eq!(ends(100.0, &x, &y), [(1.0, 1e7), (10.0, 1e6)]);
        assert_eq!(ends(1.0, &x, &y), [(10.0, 1e8), (100.0, 1e7)]);
        assert_eq!(ends(1e4, &x, &y), []);
    }
}
