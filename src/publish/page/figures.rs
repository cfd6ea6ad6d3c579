//! Chooses the charts of a page and fills them with data.

use serde::Serialize;

use super::runs::{self, Run};
use super::sum::Sum;
use crate::publish::chart::{Axis, Bar, Bars, Cell, Heat, Line, Lines, Look, Point};
use crate::publish::last_writers::{prefetch_in_words, writers_in_words};
use crate::publish::numbers::{tick_count, tick_percent, tick_rate, tick_scientific};
use crate::publish::{Publish, count, rate_with_interval};
use crate::record::{FinalValue, Gaps, OutcomeRecord, ScenarioResult, SkewRecord, histogram};
use crate::stats::{interval, share};

/// The level of detail of a page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Detail {
    /// Every point of a race's line is marked and has a tooltip with its counts. The page lists the code.
    Full,
    /// Only lines and bounds are drawn.
    Lines,
}

/// A chart with its caption.
#[derive(Serialize)]
pub(super) struct Figure {
    pub(super) caption: String,
    /// Whether the chart shows the race. If so, the caption has a mark.
    race: bool,
    pub(super) svg: String,
    legend: Vec<Legend>,
}

/// An entry of a chart's legend.
#[derive(Serialize, PartialEq)]
pub(super) struct Legend {
    classes: String,
    text: String,
}

/// The charts of one test.
#[derive(Serialize)]
pub(super) struct Section {
    pub(super) heading: String,
    note: String,
    pub(super) figures: Vec<Figure>,
}

/// The results of a run of the protocol.
#[derive(Serialize)]
pub(super) struct Protocol {
    letter: String,
    classes: String,
    emulated: bool,
    table: Vec<Vec<String>>,
    words: String,
    figures: Vec<Figure>,
}

fn legend(sum: &Sum<'_>) -> Legend {
    let host = runs::name(sum.run.host());
    Legend { classes: sum.look().classes(), text: format!("{} {host}, {}", sum.run.letter, sum.placement()) }
}

fn values(outcome: &OutcomeRecord) -> String {
    let value = |(name, value): (&String, &FinalValue)| format!("{name}={value}");
    outcome.values.iter().map(value).collect::<Vec<_>>().join("; ")
}

/// What a chart of a race window counts.
#[derive(Clone, PartialEq)]
enum Counted {
    Races,
    Matches,
    Outcome(std::collections::BTreeMap<String, FinalValue>),
}

impl Counted {
    fn at(&self, result: &ScenarioResult, skew: &SkewRecord) -> Option<u64> {
        match self {
            Counted::Races => Some(skew.races),
            Counted::Matches => skew.matches,
            Counted::Outcome(_) if skew.outcomes.is_empty() => None,
            Counted::Outcome(values) => {
                let at = result.outcomes.iter().position(|outcome| &outcome.values == values);
                Some(at.and_then(|at| skew.outcomes.get(at).copied()).unwrap_or(0))
            }
        }
    }
}

/// The race windows: for every test with more than one skew, a chart per outcome. Each chart has a line per
/// run.
pub(super) fn windows(sums: &[Sum<'_>], detail: Detail) -> Vec<Section> {
    let mut out = Vec::new();
    for sums in sums.chunk_by(|a, b| a.first().scenario == b.first().scenario) {
        // Results of several placements are not added up, because the window of each is at other skews.
        let swept: Vec<(&Sum<'_>, &ScenarioResult)> = (sums.iter())
            .filter(|sum| sum.results.len() == 1 && sum.first().skews.len() > 1)
            .map(|sum| (sum, sum.first()))
            .collect();
        if swept.is_empty() {
            continue;
        }
        let panels = panels(&swept);
        let figures = panels.iter().map(|(counted, caption)| window(&swept, counted, caption, detail)).collect();
        let first = swept[0].1;
        out.push(Section {
            heading: first.scenario.clone(),
            note: format!("{}. The race is the outcome that the condition asks about.", first.condition),
            figures,
        });
    }
    out
}

/// The charts of a race window: first the race, then every outcome that is not already the race's chart.
fn panels(swept: &[(&Sum<'_>, &ScenarioResult)]) -> Vec<(Counted, String)> {
    let mut outcomes: Vec<&OutcomeRecord> = Vec::new();
    for outcome in swept.iter().flat_map(|(_, result)| &result.outcomes) {
        if !outcomes.iter().any(|known| known.values == outcome.values) {
            outcomes.push(outcome);
        }
    }
    outcomes.sort_by_key(|outcome| &outcome.values);
    let racing: Vec<&&OutcomeRecord> = outcomes.iter().filter(|outcome| outcome.satisfies).collect();
    let name = match racing.as_slice() {
        [one] => format!("the race: {}", values(one)),
        _ => "the race".to_owned(),
    };
    let mut out = vec![(Counted::Races, name)];
    let known = swept.iter().any(|(_, result)| result.skews.iter().any(|skew| !skew.outcomes.is_empty()));
    if known {
        let others = outcomes.iter().filter(|outcome| !(outcome.satisfies && racing.len() == 1));
        out.extend(others.map(|outcome| (Counted::Outcome(outcome.values.clone()), values(outcome))));
    } else if let Some(event) = swept.iter().find_map(|(_, result)| result.match_event.as_ref()) {
        out.push((Counted::Matches, format!("matches: {event}")));
    }
    out
}

fn window(swept: &[(&Sum<'_>, &ScenarioResult)], counted: &Counted, caption: &str, detail: Detail) -> Figure {
    let race = *counted == Counted::Races;
    let lines: Vec<Line> = (swept.iter())
        .map(|(sum, result)| {
            let point = |skew: &SkewRecord| {
                let seen = counted.at(result, skew)?;
                let rate = share(seen, skew.iterations);
                let interval = interval(seen, skew.iterations)?;
                Some(Point {
                    x: skew.skew_ns,
                    y: rate.filter(|_| seen > 0),
                    interval: Some((interval.low, interval.high)),
                    note: format!(
                        "{}, {:+.1} ns: {} in {}, {}",
                        sum.run.letter,
                        skew.skew_ns,
                        count(seen),
                        count(skew.iterations),
                        rate_with_interval(rate, Some(interval))
                    ),
                    data: format!(
                        " data-x=\"{:e}\" data-seen=\"{seen}\" data-of=\"{}\"",
                        skew.skew_ns, skew.iterations
                    ),
                })
            };
            Line {
                look: sum.look(),
                name: sum.run.letter.clone(),
                points: result.skews.iter().filter_map(point).collect(),
                marked: race && detail == Detail::Full,
            }
        })
        .collect();
    let points = || lines.iter().flat_map(|line| &line.points);
    let top = points().filter_map(|point| point.interval).map(|(_, high)| high).fold(0.0, f64::max);
    let (left, right) = points().fold((0.0f64, 0.0f64), |(low, high), point| (low.min(point.x), high.max(point.x)));
    let chart = Lines {
        name: format!("{}: probability of {caption} against skew", swept[0].1.scenario),
        x: Axis::linear(left, right, "skew: start delay of the last thread relative to P0, ns"),
        x_tick: |value| format!("{value}"),
        y: Axis::linear(0.0, top.min(1.0), "probability per iteration, 95 % band"),
        y_tick: if top >= 1e-3 { tick_percent } else { tick_scientific },
        lines,
    };
    let legend = swept.iter().map(|(sum, _)| legend(sum)).collect();
    Figure { caption: caption.to_owned(), race, svg: chart.svg(), legend }
}

/// The rates per placement class: a chart per group of tests.
pub(super) fn rates(sums: &[Sum<'_>]) -> Vec<Figure> {
    let measured: Vec<&Sum<'_>> = sums.iter().filter(|sum| sum.iterations > 0).collect();
    let low = measured.iter().map(|sum| lowest(sum.races, sum.iterations)).fold(1.0, f64::min);
    let mut groups: Vec<&str> = Vec::new();
    for sum in &measured {
        let group = sum.first().group.as_str();
        if !groups.contains(&group) {
            groups.push(group);
        }
    }
    groups
        .into_iter()
        .map(|group| {
            let of_group = || measured.iter().filter(|sum| sum.first().group == group);
            let bars = (of_group())
                .map(|sum| {
                    let label = format!("{} · {}", sum.placement(), sum.run.letter);
                    bar(sum.first().scenario.clone(), label, sum.look(), sum.races, sum.iterations)
                })
                .collect();
            let chart = Bars {
                name: format!("Rates of the tests in {group}, per placement class"),
                axis: Axis::log(low, 1.0, "races per iteration, 95 % whiskers"),
                tick: tick_rate,
                bars,
            };
            let mut legends = Vec::new();
            for sum in of_group() {
                let host = runs::name(sum.run.host());
                let legend = Legend { classes: sum.look().classes(), text: format!("{} {host}", sum.run.letter) };
                if !legends.contains(&legend) {
                    legends.push(legend);
                }
            }
            Figure { caption: group.to_owned(), race: false, svg: chart.svg(), legend: legends }
        })
        .collect()
}

/// A bar for the rate of races. Its interval assumes that iterations are independent.
fn bar(heading: String, label: String, look: Look, races: u64, iterations: u64) -> Bar {
    let (rate, interval) = (share(races, iterations), interval(races, iterations));
    Bar {
        heading,
        label,
        words: rate_with_interval(rate, interval),
        look,
        value: rate.filter(|rate| *rate > 0.0),
        interval: interval.map_or((0.0, 1.0), |interval| (interval.low, interval.high)),
        data: format!(" data-seen=\"{races}\" data-of=\"{iterations}\""),
    }
}

/// The lowest value that the axis must contain for such a bar.
fn lowest(races: u64, iterations: u64) -> f64 {
    interval(races, iterations).map_or(1.0, |interval| if races > 0 { interval.low } else { interval.high })
}

/// The most bars in a chart of cache-line ownership. Three threads and three variables would give 54.
const MOST_BARS: usize = 16;

/// The rates by cache-line ownership: a chart per test and run that has races.
pub(super) fn last_writers(sums: &[Sum<'_>]) -> Vec<Figure> {
    let alone = sums.iter().filter(|sum| sum.results.len() == 1 && sum.races > 0 && sum.first().last_writers.len() > 1);
    alone
        .map(|sum| {
            let result = sum.first();
            let mut known: Vec<_> = result.last_writers.iter().filter(|entry| entry.iterations > 0).collect();
            let all = known.len();
            if all > MOST_BARS {
                known.sort_by(|a, b| b.rate().total_cmp(&a.rate()));
                known.truncate(MOST_BARS);
            }
            // The bars with and without prefetch of the same last writers come under one heading.
            known.sort_by(|a, b| (&a.writers, a.prefetched).cmp(&(&b.writers, b.prefetched)));
            let low = known.iter().map(|entry| lowest(entry.races, entry.iterations)).fold(1.0, f64::min);
            let bars: Vec<Bar> = (known.into_iter())
                .map(|entry| {
                    bar(
                        writers_in_words(entry),
                        prefetch_in_words(entry).to_owned(),
                        sum.look(),
                        entry.races,
                        entry.iterations,
                    )
                })
                .collect();
            let high = bars.iter().map(|bar| bar.interval.1).fold(0.0, f64::max);
            let shown =
                if all > bars.len() { format!(", the {} most frequent of {all}", bars.len()) } else { String::new() };
            let chart = Bars {
                name: format!("{}: rates by the thread that last wrote each variable", result.scenario),
                axis: Axis::log(low.min(high), high, "races per iteration, 95 % whiskers"),
                tick: tick_rate,
                bars,
            };
            Figure {
                caption: format!("{}{shown}", result.scenario),
                race: false,
                svg: chart.svg(),
                legend: vec![legend(sum)],
            }
        })
        .collect()
}

/// The percentile distribution of a histogram as a line; `None` with fewer than two values.
fn percentiles(gaps: &Gaps, look: Look, name: &str) -> Option<Line> {
    let histogram = histogram(gaps).ok().flatten().filter(|histogram| histogram.len() > 1)?;
    let points = (histogram.iter_quantiles(3))
        .map(|value| Point {
            x: value.quantile_iterated_to(),
            y: Some(value.value_iterated_to().max(1) as f64),
            interval: None,
            note: String::new(),
            data: String::new(),
        })
        .collect();
    Some(Line { look, name: name.to_owned(), points, marked: false })
}

fn percentile_chart(name: String, unit: &str, most: u64, lines: Vec<Line>) -> Lines {
    let values = || lines.iter().flat_map(|line| &line.points).filter_map(|point| point.y);
    let (low, high) = (values().fold(f64::MAX, f64::min), values().fold(1.0, f64::max));
    Lines {
        name,
        x: Axis::nines(most, "percentile: each step is ten times rarer"),
        x_tick: |quantile| {
            let percent = format!("{:.13}", quantile * 100.0);
            percent.trim_end_matches('0').trim_end_matches('.').to_owned() + " %"
        },
        y: Axis::log(low.min(high), high, unit),
        y_tick: tick_count,
        lines,
    }
}

/// The gaps between races: a chart per test that has at least two gaps.
pub(super) fn gaps(sums: &[Sum<'_>]) -> Vec<Figure> {
    let mut out = Vec::new();
    for sums in sums.chunk_by(|a, b| a.first().scenario == b.first().scenario) {
        let mut lines = Vec::new();
        let mut legends = Vec::new();
        let mut most = 0;
        for sum in sums.iter().filter(|sum| sum.results.len() == 1) {
            let gaps = &sum.first().gaps;
            if let Some(line) = percentiles(gaps, sum.look(), &sum.run.letter) {
                lines.push(line);
                legends.push(legend(sum));
                most = most.max(gaps.count);
            }
        }
        if lines.is_empty() {
            continue;
        }
        let scenario = sums[0].first().scenario.clone();
        let chart = percentile_chart(format!("{scenario}: gaps between races"), "gap, iterations", most, lines);
        out.push(Figure { caption: scenario, race: false, svg: chart.svg(), legend: legends });
    }
    out
}

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
                out.push(Figure { caption, race: false, svg, legend: Vec::new() });
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

/// The runs of the protocol: table, summary and healing times. Emulated runs have no charts.
pub(super) fn protocols(runs: &[Run<'_>]) -> Vec<Protocol> {
    runs.iter()
        .filter_map(|run| {
            let record = run.protocol()?;
            let emulated = run.host().emulated;
            let mut lines = Vec::new();
            let mut legends = Vec::new();
            let mut most = 0;
            for (number, result) in record.results.iter().enumerate() {
                let look = Look { colour: number, dash: 0 };
                let name = format!("{}, {}, {}", result.profile, result.variant, result.blocked_on_store);
                if let Some(line) = percentiles(&result.heal_ns, look, &name) {
                    lines.push(line);
                    legends.push(Legend { classes: look.classes(), text: name });
                    most = most.max(result.heal_ns.count);
                }
            }
            let figures = if lines.is_empty() || emulated {
                Vec::new()
            } else {
                let chart = percentile_chart("Healing times".to_owned(), "time to heal, ns", most, lines);
                let caption = "How long a task was RUNNING with blocked_on set".to_owned();
                vec![Figure { caption, race: false, svg: chart.svg(), legend: legends }]
            };
            Some(Protocol {
                letter: run.letter.clone(),
                classes: run.look.classes(),
                emulated,
                table: record.results.iter().map(|result| crate::publish::protocol::cells(result).to_vec()).collect(),
                words: record.summary(),
                figures,
            })
        })
        .collect()
}
