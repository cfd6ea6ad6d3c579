//! The heat maps of pairs of CPUs.

use super::figures::{Figure, id};
use super::runs::Run;
use crate::publish::chart::{Axis, Cell, Heat};
use crate::publish::numbers::tick_rate;
use crate::publish::{count, rate_with_interval};
use crate::record::ScenarioResult;

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
        axis: Axis::log(if high > 0.0 { low } else { 0.1 }, if high > 0.0 { high } else { 1.0 }, "races per iteration"),
        tick: tick_rate,
    };
    chart.svg()
}
