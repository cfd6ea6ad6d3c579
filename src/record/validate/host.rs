//! Validates the host in a record.

use super::Problems;
use crate::machine::{Cache, Clock, ClockCheck, Host};

/// More CPUs, NUMA nodes or sharers of a cache than Linux supports: CONFIG_NR_CPUS is at most 8192 on x86-64.
pub(super) const MOST_CPUS: usize = 1 << 16;

/// The possible sizes of a cache line, in bytes: from a word to a page.
const LINE_BYTES: std::ops::RangeInclusive<usize> = 4..=4096;

pub(super) fn host(host: &Host, problems: &mut Problems) {
    let Host {
        caches, false_sharing_bytes, threads_per_core, sockets, numa_nodes, clock_measured, clock_check, ..
    } = host;
    problems.range("false_sharing_bytes", *false_sharing_bytes, LINE_BYTES);
    problems.range("threads_per_core", *threads_per_core, 1..=MOST_CPUS);
    problems.range("sockets", *sockets, 0..=MOST_CPUS);
    problems.range("numa_nodes", *numa_nodes, 0..=MOST_CPUS);
    problems.each("caches", caches, |problems, cache| {
        let Cache { level, kind: _, size: _, line_bytes, shared_by } = cache;
        problems.range("level", *level, 1..=9);
        problems.range("line_bytes", *line_bytes, LINE_BYTES);
        problems.range("shared_by", *shared_by, 1..=MOST_CPUS);
    });
    problems.within("clock_measured", |problems| {
        let Clock { frequency_hz, resolution_ticks, read_ticks } = clock_measured;
        // From a slow timer of an embedded board to ten times the clock of the fastest CPU.
        problems.range("frequency_hz", *frequency_hz, 1e3..=1e11);
        // At most one second at the highest frequency.
        problems.range("resolution_ticks", *resolution_ticks, 0..=100_000_000_000);
        problems.range("read_ticks", *read_ticks, 0..=100_000_000_000);
    });
    for what in clock_check.iter().flat_map(ClockCheck::problems) {
        problems.say("clock_check", what);
    }
    if let Some(ClockCheck { passes_differ, calibration_s, stated_hz, .. }) = clock_check {
        problems.within("clock_check", |problems| {
            problems.range("passes_differ", *passes_differ, 0.0..=1e6);
            problems.range("calibration_s", *calibration_s, 0.0..=3600.0);
            problems.range("stated_hz", stated_hz.unwrap_or(1.0), 1.0..=1e12);
        });
    }
}
