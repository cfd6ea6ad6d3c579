//! How an instance's lines lay when it began, in words.

use super::numbers::rate_with_interval;
use crate::record::{ScenarioResult, StartRecord};
use crate::stats::interval;

/// A rate that is so many times another's, by intervals that do not touch, is worth a sentence.
const WORTH_SAYING: f64 = 4.0;
/// Characters that a line of a chart has room for.
const ROOM: usize = 52;

/// `P0: __state; P1: blocked_on`: who wrote what last. Of many locations, those of the thread that wrote the most of them are "the rest".
pub(super) fn whose(start: &StartRecord) -> String {
    let mut threads: Vec<&String> = start.last_writers.values().collect();
    threads.sort_by_key(|thread| (thread.len(), *thread));
    threads.dedup();
    let of = |thread: &String| -> Vec<&str> {
        let own = start.last_writers.iter().filter(|(_, writer)| *writer == thread);
        own.map(|(location, _)| location.as_str()).collect()
    };
    let each = |thread: &&String| format!("{thread}: {}", of(thread).join(", "));
    let all = threads.iter().map(each).collect::<Vec<_>>().join("; ");
    if all.chars().count() <= ROOM || threads.len() < 2 {
        return all;
    }
    let most = threads.iter().copied().max_by_key(|thread| of(thread).len()).expect("two of them");
    let others = threads.iter().filter(|thread| **thread != most).map(each).collect::<Vec<_>>().join("; ");
    format!("{others}; {most}: the rest")
}

/// `fetched` or `cold`.
pub(super) fn warmth(start: &StartRecord) -> &'static str {
    if start.warm { "fetched" } else { "cold" }
}

/// Where the race was by far most and least frequent, if that depends on how the lines lay.
pub(super) fn apart(result: &ScenarioResult) -> Option<String> {
    let known: Vec<_> =
        (result.starts.iter()).filter_map(|start| Some((start, interval(start.races, start.iterations)?))).collect();
    let (most, most_interval) = known.iter().max_by(|a, b| a.1.low.total_cmp(&b.1.low))?;
    let (least, least_interval) = known.iter().min_by(|a, b| a.1.high.total_cmp(&b.1.high))?;
    (most_interval.low > WORTH_SAYING * least_interval.high).then(|| {
        let said = |start: &StartRecord, interval| {
            let rate = rate_with_interval(Some(start.rate()), Some(interval));
            format!("{rate} where the lines were {} and last written by {}", warmth(start), whose(start))
        };
        format!(
            "the rate depends on whose the lines were: {}, and {}",
            said(most, *most_interval),
            said(least, *least_interval)
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn start(writers: &[(&str, &str)]) -> StartRecord {
        let last_writers =
            writers.iter().map(|(location, thread)| ((*location).to_owned(), (*thread).to_owned())).collect();
        StartRecord { warm: false, last_writers, iterations: 1, races: 0 }
    }

    #[test]
    fn writers_are_named_as_far_as_there_is_room() {
        assert_eq!(whose(&start(&[("x", "P0"), ("y", "P1")])), "P0: x; P1: y");
        assert_eq!(whose(&start(&[("x", "P1"), ("y", "P1")])), "P1: x, y");
        assert_eq!(whose(&start(&[("a", "P10"), ("b", "P2")])), "P2: b; P10: a");
        let many = [
            ("__state", "P0"),
            ("on_rq", "P1"),
            ("pi_lock", "P1"),
            ("blocked_on", "P0"),
            ("blocked_lock", "P1"),
            ("rq_lock", "P1"),
        ];
        assert_eq!(whose(&start(&many)), "P0: __state, blocked_on; P1: the rest");
    }
}
