//! The charts of percentiles: gaps between races.

use super::embed::{Download, Room};
use super::figures::{Figure, id, legend};
use super::runs::Run;
use super::sum::{Sum, looks};
use crate::error::Result;
use crate::publish::chart::{Axis, Line, Lines, Look, Point};
use crate::publish::hlog::tagged;
use crate::publish::numbers::{count, tick_count};
use crate::publish::{hgrm, hlog};
use crate::record::{Gaps, histogram};

/// The percentile distribution of a histogram as a line; `None` with fewer than two values.
pub(super) fn percentiles(gaps: &Gaps, look: Look, name: &str) -> Option<Line> {
    let histogram = histogram(gaps).ok().flatten().filter(|histogram| histogram.len() > 1)?;
    let points = (histogram.iter_quantiles(3))
        .map(|value| Point {
            x: value.quantile_iterated_to(),
            y: Some(value.value_iterated_to().max(1) as f64),
            interval: None,
            sparse: false,
            note: String::new(),
            data: String::new(),
        })
        .collect();
    Some(Line { look, name: name.to_owned(), points, marked: false })
}

/// What the axes of percentile charts must hold. The charts of one quantity have the same axes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Reach {
    /// The number of values of the largest histogram.
    most: u64,
    low: f64,
    high: f64,
}

impl Reach {
    /// The reach of no line.
    pub(super) const NONE: Reach = Reach { most: 0, low: f64::MAX, high: 1.0 };

    /// Adds the line of a histogram with `count` values.
    pub(super) fn add(&mut self, line: &Line, count: u64) {
        let values = || line.points.iter().filter_map(|point| point.y);
        self.most = self.most.max(count);
        self.low = values().fold(self.low, f64::min);
        self.high = values().fold(self.high, f64::max);
    }
}

pub(super) fn percentile_chart(name: String, unit: &str, Reach { most, low, high }: Reach, lines: Vec<Line>) -> Lines {
    Lines {
        name,
        x: Axis::nines(most, "percentile (logarithmic in what is left above it)"),
        x_tick: |quantile| {
            let percent = format!("{:.13}", quantile * 100.0);
            percent.trim_end_matches('0').trim_end_matches('.').to_owned() + " %"
        },
        y: Axis::log(low.min(high), high, unit),
        y_tick: tick_count,
        lines,
    }
}

/// The percentile distribution of a histogram as a file of HdrHistogram's plotters; `None` without values or without room.
pub(super) fn raw(gaps: &Gaps, name: &str, room: &mut Room) -> Option<Download> {
    let histogram = histogram(gaps).ok().flatten()?;
    room.file(format!("{}.hgrm", id(&[name])), &hgrm(&histogram))
}

/// The histograms of each run on real hardware as an interval log.
///
/// # Errors
/// Only an internal one.
pub(super) fn logs(runs: &[&Run<'_>], room: &mut Room) -> Result<Vec<Download>> {
    let mut out = Vec::new();
    for run in runs {
        let Ok(all) = tagged(run.any()) else { continue };
        if all.iter().any(|tagged| tagged.histogram.is_some()) {
            let text = hlog(run.host(), run.any().started(), run.unit(), &all)?;
            out.extend(room.file(format!("{}.hlog", run.letter), &text));
        }
    }
    Ok(out)
}

/// The gaps between races: a chart per test that has at least two gaps.
pub(super) fn gaps(sums: &[Sum<'_>], room: &mut Room) -> Vec<Figure> {
    let mut out: Vec<(Figure, Vec<Line>)> = Vec::new();
    let mut reach = Reach::NONE;
    for sums in sums.chunk_by(|a, b| a.first().scenario == b.first().scenario) {
        let mut lines = Vec::new();
        let mut legends = Vec::new();
        let (mut medians, mut files) = (Vec::new(), Vec::new());
        let alone: Vec<&Sum<'_>> = sums.iter().filter(|sum| sum.results.len() == 1).collect();
        for (sum, look) in alone.iter().zip(looks(&alone)) {
            let gaps = &sum.first().gaps;
            if let Some(line) = percentiles(gaps, look, &sum.run.letter) {
                reach.add(&line, gaps.count);
                lines.push(line);
                legends.push(legend(sum, look));
                let alone = sum.rate().filter(|rate| *rate > 0.0).map_or(String::new(), |rate| {
                    let independent = (std::f64::consts::LN_2 / rate).ceil().max(1.0);
                    format!(" (of independent races: {})", count(independent as u64))
                });
                medians.push(format!("{}: {}{alone}", sum.run.letter, count(gaps.p50)));
                files.extend(raw(gaps, &format!("{}-{}", sum.first().scenario, sum.run.letter), room));
            }
        }
        if lines.is_empty() {
            continue;
        }
        let scenario = sums[0].first().scenario.clone();
        let figure = Figure {
            id: id(&["gaps", &scenario]),
            test: scenario.clone(),
            caption: scenario,
            note: format!("Median gap, in iterations: {}.", medians.join(", ")),
            legend: legends,
            raw: files,
            ..Figure::default()
        };
        out.push((figure, lines));
    }
    let draw = |(figure, lines): (Figure, Vec<Line>)| {
        let chart = percentile_chart(format!("{}: gaps between races", figure.test), "gap, iterations", reach, lines);
        Figure { svg: chart.svg(), ..figure }
    };
    out.into_iter().map(draw).collect()
}
