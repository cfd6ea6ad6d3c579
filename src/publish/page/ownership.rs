//! The charts of cache-line ownership: the rate by the thread that last wrote each variable.

use super::figures::{Figure, id, legend, on_one_axis_a_test};
use super::sum::Sum;
use crate::publish::chart::{Axis, Bar, Bars, Look};
use crate::publish::last_writers::{prefetch_in_words, writers_in_words};
use crate::publish::numbers::{rate, tick_rate};
use crate::publish::rate_with_interval;
use crate::stats::{interval, share};

/// A bar for the rate of races. Its interval assumes that iterations are independent.
fn bar(heading: String, label: String, look: Look, races: u64, iterations: u64) -> Bar {
    let (known, interval) = (share(races, iterations), interval(races, iterations));
    Bar {
        heading,
        label,
        words: rate_with_interval(known, interval),
        look,
        value: known.filter(|rate| *rate > 0.0),
        interval: interval.map_or((0.0, 1.0), |interval| (interval.low, interval.high)),
        data: format!(" data-seen=\"{races}\" data-of=\"{iterations}\""),
    }
}

/// The lowest value that the axis must contain for such a bar.
fn lowest(races: u64, iterations: u64) -> f64 {
    interval(races, iterations).map_or(1.0, |interval| if races > 0 { interval.low } else { interval.high })
}

/// What to see in the chart: how far the highest bar is from the lowest one.
fn what_matters(bars: &[Bar]) -> String {
    let values = || bars.iter().map(|bar| bar.value.unwrap_or(bar.interval.1));
    let (low, high) = (values().fold(1.0, f64::min), values().fold(0.0, f64::max));
    if high > 2.0 * low {
        format!("It matters here: from {} to {}, {:.1} times as often.", rate(low), rate(high), high / low)
    } else {
        format!("All are alike within a factor of two: {} to {}.", rate(low), rate(high))
    }
}

/// The most bars in a chart of cache-line ownership. Three threads and three variables would give 54.
const MOST_BARS: usize = 16;

/// The rates by cache-line ownership: a chart per test and run that has races.
pub(super) fn last_writers(sums: &[Sum<'_>]) -> Vec<Figure> {
    let alone = sums.iter().filter(|sum| sum.results.len() == 1 && sum.races > 0 && sum.first().last_writers.len() > 1);
    let charts = alone
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
            let note = what_matters(&bars);
            let chart = Bars {
                name: format!("{}: rates by the thread that last wrote each variable", result.scenario),
                axis: Axis::log(low.min(high), high, "races per iteration, 95 % whiskers"),
                tick: tick_rate,
                bars,
            };
            let figure = Figure {
                id: id(&["ownership", &result.scenario, &sum.run.letter]),
                test: result.scenario.clone(),
                caption: format!("{}{shown}", result.scenario),
                note,
                legend: vec![legend(sum, sum.look())],
                ..Figure::default()
            };
            (figure, chart)
        })
        .collect();
    on_one_axis_a_test(charts)
}
