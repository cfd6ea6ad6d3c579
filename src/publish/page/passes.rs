//! Where the time goes: the iterations per second against the line transfers that an iteration needs, drawn as in the roofline
//! model, and the share of each phase.

use serde::Serialize;

use super::figures::{Figure, Legend, id};
use super::runs;
use super::sum::Sum;
use crate::publish::chart::{Axis, Line, Lines, Look, Point};
use crate::publish::distances::distance;
use crate::publish::numbers::tick_count;
use crate::record::{Pass, PhasesRecord, ScenarioResult};

/// Two distances are drawn as two roofs if they differ by this factor, which is also the least between two strata.
const APART: f64 = 1.6;

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
    out.iter().map(|(letter, sums)| of_run(letter, sums)).collect()
}

/// A result with its phases and its speed at one distance.
type Passed<'a> = (&'a ScenarioResult, &'a PhasesRecord, Pass);

fn of_run(letter: &str, sums: &[&Sum<'_>]) -> Passes {
    let results = sums.iter().flat_map(|sum| sum.results.iter().copied());
    let of_result = |result: &'_ ScenarioResult| result.passes();
    let all: Vec<Passed<'_>> = results
        .filter_map(|result| Some((result, result.phases.as_ref()?)))
        .flat_map(|(result, phases)| of_result(result).into_iter().map(move |pass| (result, phases, pass)))
        .collect();
    let host = runs::name(sums[0].run.host());
    let figure = Figure {
        id: id(&["passes", letter]),
        caption: format!("{letter} {host}"),
        note: "A point above the line has several line transfers under way at once; one below it spends its time on something else."
            .to_owned(),
        svg: chart(letter, &all, sums[0].look()).svg(),
        legend: vec![Legend {
            classes: Look { colour: sums[0].look().colour, dash: 1 }.classes(),
            text: format!("one line transfer after another, at {}", roofs(&all).iter().map(|ns| distance(*ns)).collect::<Vec<_>>().join(" and at ")),
        }],
        ..Figure::default()
    };
    Passes { figure, headings: HEADINGS, lines: all.iter().map(line).collect() }
}

/// The distances at which a roof is drawn: the shortest, and the longest if it is another one.
fn roofs(all: &[Passed<'_>]) -> Vec<f64> {
    let distances = all.iter().map(|(_, _, pass)| pass.distance_ns);
    let (low, high) = distances.fold((f64::INFINITY, 0.0_f64), |(low, high), ns| (low.min(ns), high.max(ns)));
    if high > low * APART { vec![low, high] } else { vec![(low * high).sqrt()] }
}

fn chart(letter: &str, all: &[Passed<'_>], look: Look) -> Lines {
    let speed = |pass: &Pass| 1e9 / pass.iteration_ns;
    let needs = |phases: &PhasesRecord| phases.line_transfers;
    // A test whose threads share no line needs no transfer, so it has no place on the axis.
    let points = || all.iter().filter(|(_, phases, _)| needs(phases) > 0.0);
    let span = |values: &mut dyn Iterator<Item = f64>| {
        values.fold((f64::INFINITY, 0.0_f64), |(low, high), value| (low.min(value), high.max(value)))
    };
    let (least, most) = span(&mut points().map(|(_, phases, _)| needs(phases)));
    let x = Axis::log(least.min(1.0), most.max(1.0), "cache-line transfers per iteration");
    let roof = |transfers: f64, ns: f64| 1e9 / (transfers * ns);
    let (slow, fast) = span(&mut points().map(|(_, _, pass)| speed(pass)));
    let y = Axis::log(slow.min(fast), fast.max(slow), "iterations per second in batches");
    let mut lines: Vec<Line> = roofs(all)
        .into_iter()
        .map(|ns| Line {
            look: Look { dash: 1, ..look },
            name: format!("one transfer after another at {}", distance(ns)),
            points: clipped(ns, &x, &y, roof),
            marked: false,
        })
        .collect();
    lines.extend(points().map(|(result, phases, pass)| Line {
        look,
        name: result.scenario.clone(),
        points: vec![Point {
            x: needs(phases),
            y: Some(speed(pass)),
            interval: None,
            sparse: false,
            note: format!(
                "{} at {}: {} iterations per second",
                result.scenario,
                distance(pass.distance_ns),
                tick_count(speed(pass))
            ),
            data: format!(" data-test=\"{}\" data-ns=\"{:.3}\"", result.scenario, pass.iteration_ns),
        }],
        marked: true,
    }));
    Lines {
        name: format!("{letter}: iterations per second against line transfers"),
        x,
        x_tick: tick_number,
        y,
        y_tick: tick_count,
        lines,
    }
}

/// The part of a roof that is inside the chart.
fn clipped(ns: f64, x: &Axis, y: &Axis, roof: impl Fn(f64, f64) -> f64) -> Vec<Point> {
    // The speed falls as the transfers rise, so the top of the chart cuts the left end and the bottom the right one.
    let from = x.low.max(roof(y.high, ns));
    let to = x.high.min(roof(y.low, ns));
    let point = |x: f64| Point {
        x,
        y: Some(roof(x, ns)),
        interval: None,
        sparse: false,
        note: String::new(),
        data: String::new(),
    };
    if from < to { vec![point(from), point(to)] } else { Vec::new() }
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

    #[test]
    fn a_roof_is_cut_at_the_edges_of_the_chart() {
        let roof = |transfers: f64, ns: f64| 1e9 / (transfers * ns);
        let ends = |ns, x: &Axis, y: &Axis| -> Vec<(f64, f64)> {
            clipped(ns, x, y, roof).iter().map(|point| (point.x.round(), point.y.unwrap_or(0.0).round())).collect()
        };
        let (x, y) = (Axis::log(1.0, 100.0, ""), Axis::log(1e6, 1e8, ""));
        assert_eq!(ends(100.0, &x, &y), [(1.0, 1e7), (10.0, 1e6)]);
        assert_eq!(ends(1.0, &x, &y), [(10.0, 1e8), (100.0, 1e7)]);
        assert_eq!(ends(1e4, &x, &y), []);
    }
}
