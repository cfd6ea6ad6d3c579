//! The charts of rates by distance: the rate of a test at each distance that there was between its CPUs.

use super::figures::{Figure, id, legend, on_one_axis_a_test};
use super::sum::Sum;
use crate::publish::chart::{Axis, Bar, Bars};
use crate::publish::distances::{Part, WHY_NONE, at_no_distance, in_words, neighbours_in_words, parts, share_of_time};
use crate::publish::numbers::{rate, short_count, tick_rate};
use crate::publish::rate_with_interval;
use crate::record::{SkewRecord, StratumRecord};

/// A chart per test and run whose CPUs were at several distances, or whose rate neighbours changed.
pub(super) fn distances(sums: &[Sum<'_>]) -> Vec<Figure> {
    on_one_axis_a_test(sums.iter().filter(|sum| sum.results.len() == 1).filter_map(chart).collect())
}

fn chart(sum: &Sum<'_>) -> Option<(Figure, Bars)> {
    let result = sum.first();
    let parts = parts(result);
    if parts.is_empty() {
        return None;
    }
    let bar = |part: &Part<'_>| {
        let (counts, (of, interval)) = (part.counts(), part.rate());
        Bar {
            heading: format!("{}, {} iterations", part.heading(), short_count(counts.iterations)),
            label: if part.is_all() { label(part.stratum) } else { String::new() },
            words: rate_with_interval(of, interval),
            look: sum.look(),
            value: of.filter(|rate| *rate > 0.0),
            interval: interval.map_or((0.0, 1.0), |interval| (interval.low, interval.high)),
            data: format!(" data-seen=\"{}\" data-of=\"{}\"", counts.races, counts.iterations),
        }
    };
    let bars: Vec<Bar> = parts.iter().map(bar).collect();
    let lowest = |bar: &Bar| if bar.value.is_some() { bar.interval.0 } else { bar.interval.1 };
    let low = bars.iter().map(lowest).fold(1.0, f64::min);
    let high = bars.iter().map(|bar| bar.interval.1).fold(0.0, f64::max);
    let chart = Bars {
        name: format!("{}: rates at each distance between the CPUs", result.scenario),
        axis: Axis::log(low.min(high), high, "races per iteration, 95 % whiskers"),
        tick: tick_rate,
        bars,
    };
    let none = at_no_distance(result)
        .map_or(String::new(), |share| format!(" {} of the iterations are at none, {WHY_NONE}.", share_of_time(share)));
    let neighbours =
        result.distances.as_ref().and_then(neighbours_in_words).map_or(String::new(), |words| format!(" {words}"));
    let figure = Figure {
        id: id(&["distances", &result.scenario, &sum.run.letter, &result.placement.class_and_kinds()]),
        test: result.scenario.clone(),
        caption: result.scenario.clone(),
        note: result
            .distances
            .as_ref()
            .and_then(in_words)
            .map_or(String::new(), |words| format!("{words}.{neighbours}{none}")),
        legend: vec![legend(sum, sum.look())],
        ..Figure::default()
    };
    Some((figure, chart))
}

/// How a distance was run, and the best skew there: `period 110 ns, best at +45 ns 8.44 %`.
fn label(stratum: &StratumRecord) -> String {
    let period = stratum.period_ns.map(|ns| format!("period {ns:.0} ns"));
    let best = stratum.skews.iter().max_by(|a, b| a.rate().total_cmp(&b.rate())).filter(|best| best.races > 0);
    let words = |best: &SkewRecord| format!("best at {:+.0} ns {}", best.skew_ns, rate(best.rate()));
    period.into_iter().chain(best.map(words)).collect::<Vec<_>>().join(", ")
}
