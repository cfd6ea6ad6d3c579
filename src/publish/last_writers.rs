//! Explains in words how the rate depends on cache-line ownership: which thread last wrote each variable
//! before an instance began, and whether the lines were then prefetched.

use crate::record::LastWriterRecord;

/// The number of characters that fit into a line of a chart.
const ROOM: usize = 52;

/// Which thread last wrote which variables, such as `P0: __state; P1: blocked_on`. If the text is longer than
/// [`ROOM`], the variables of the thread that wrote most of them become "the rest".
pub(super) fn writers_in_words(entry: &LastWriterRecord) -> String {
    let mut threads: Vec<&String> = entry.writers.values().collect();
    threads.sort_by_key(|thread| (thread.len(), *thread));
    threads.dedup();
    let of = |thread: &String| -> Vec<&str> {
        let own = entry.writers.iter().filter(|(_, writer)| *writer == thread);
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

/// Whether the lines were prefetched, in words.
pub(super) fn prefetch_in_words(entry: &LastWriterRecord) -> &'static str {
    if entry.prefetched { "prefetched" } else { "not prefetched" }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(writers: &[(&str, &str)]) -> LastWriterRecord {
        let last_writers =
            writers.iter().map(|(location, thread)| ((*location).to_owned(), (*thread).to_owned())).collect();
        LastWriterRecord { prefetched: false, writers: last_writers, iterations: 1, races: 0 }
    }

    #[test]
    fn writers_are_named_as_far_as_there_is_room() {
        assert_eq!(writers_in_words(&entry(&[("x", "P0"), ("y", "P1")])), "P0: x; P1: y");
        assert_eq!(writers_in_words(&entry(&[("x", "P1"), ("y", "P1")])), "P1: x, y");
        assert_eq!(writers_in_words(&entry(&[("a", "P10"), ("b", "P2")])), "P2: b; P10: a");
        let many = [
            ("__state", "P0"),
            ("on_rq", "P1"),
            ("pi_lock", "P1"),
            ("blocked_on", "P0"),
            ("blocked_lock", "P1"),
            ("rq_lock", "P1"),
        ];
        assert_eq!(writers_in_words(&entry(&many)), "P0: __state, blocked_on; P1: the rest");
    }
}
