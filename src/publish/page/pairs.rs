//! The heat maps of pairs of CPUs.

use std::collections::BTreeMap;

use super::figures::{Figure, id};
use super::runs::Run;
use crate::machine::Class;
use crate::publish::Latencies;
use crate::publish::chart::{Axis, Cell, Heat};
use crate::publish::numbers::tick_rate;
use crate::publish::{count, rate_with_interval};
use crate::record::ScenarioResult;
use crate::stats::median;

/// The rates per pair of CPUs: a heat map per test and run that measured more than one pair.
pub(super) fn heats<'a>(runs: &[&'a Run<'a>]) -> Vec<Figure> {
    let mut out = Vec::new();
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
                let svg = heat(scenario, &pairs);
                let caption = format!("{scenario}, run {}", run.letter);
                let raced = pairs.iter().filter(|result| result.races > 0).count();
                out.push(Figure {
                    id: id(&["pairs", scenario, &run.letter]),
                    test: scenario.to_owned(),
                    caption,
                    note: format!("Seen on {raced} of {} pairs.", pairs.len()),
                    race: false,
                    svg,
                    legend: Vec::new(),
                });
            }
        }
    }
    out
}

/// The cache-line transfer latencies: a heat map per run that measured more than one pair. A pair that several tests ran on
/// has the median of their measurements.
pub(super) fn latencies<'a>(runs: &[&'a Run<'a>]) -> Vec<Figure> {
    let mut out = Vec::new();
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
            out.push(Figure {
                id: id(&["latency", &run.letter]),
                test: String::new(),
                caption: format!("Cache-line transfer latency, run {}", run.letter),
                note: format!("Between {} pairs of CPUs, measured just before the tests.", latencies.len()),
                race: false,
                svg: latencies.heat(),
                legend: Vec::new(),
            });
        }
    }
    out
}

fn heat(scenario: &str, pairs: &[&&ScenarioResult]) -> String {
    let mut cpus: Vec<usize> = pairs.iter().flat_map(|result| result.placement.cpus.iter().copied()).collect();
    cpus.sort_unstable();
    cpus.dedup();
    let cell = |result: &&&ScenarioResult| {
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
                rate_with_interval(result.rate, result.interval)
            ),
            data: format!(
                " data-p0=\"{}\" data-p1=\"{}\" data-seen=\"{}\" data-of=\"{}\"",
                cpus[0], cpus[1], result.races, result.iterations
            ),
        }
    };
    let rates = || pairs.iter().filter_map(|result| result.rate).filter(|rate| *rate > 0.0);
    let (low, high) = (rates().fold(1.0, f64::min), rates().fold(0.0, f64::max));
    let chart = Heat {
        name: format!("{scenario}: rate per pair of CPUs"),
        cells: pairs.iter().map(cell).collect(),
        cpus,
        across: "P0 on CPU →".to_owned(),
        down: "P1 ↓".to_owned(),
        axis: Axis::log(if high > 0.0 { low } else { 0.1 }, if high > 0.0 { high } else { 1.0 }, "races per iteration"),
        tick: tick_rate,
    };
    chart.svg()
}
