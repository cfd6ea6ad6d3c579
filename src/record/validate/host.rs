//! Validates the host in a record.

use super::Problems;
use crate::machine::{Cache, Clock, ClockCheck, Frequency, Host, Moment, label_problem, parse_cpu_list};

/// More CPUs, NUMA nodes or sharers of a cache than Linux supports: CONFIG_NR_CPUS is at most 8192 on x86-64.
pub(super) const MOST_CPUS: usize = 1 << 16;

/// The possible sizes of a cache line, in bytes: from a word to a page.
const LINE_BYTES: std::ops::RangeInclusive<usize> = 4..=4096;

/// Ten times the frequency of the fastest CPU, in kHz.
const MOST_KHZ: u64 = 100_000_000;

/// Checks the numbers of CPUs.
pub(super) fn cpus(field: &str, cpus: &[usize], problems: &mut Problems) {
    if let Some(cpu) = cpus.iter().find(|cpu| **cpu >= MOST_CPUS) {
        problems.say(field, format!("has CPU {cpu}; expected less than {MOST_CPUS}"));
    }
}

/// Checks the conditions at one moment.
pub(super) fn moment(moment: &Moment, problems: &mut Problems) {
    let Moment { mhz, celsius, throttled: _, steal_s } = moment; // any count
    problems.range("mhz", mhz.unwrap_or(1.0), 0.0..=MOST_KHZ as f64 / 1e3);
    // From absolute zero to where silicon no longer conducts as a semiconductor.
    problems.range("celsius", celsius.unwrap_or(0.0), -273.15..=400.0);
    // A century on as many CPUs as Linux supports.
    problems.range("steal_s", steal_s.unwrap_or(0.0), 0.0..=3.2e9 * MOST_CPUS as f64);
}

pub(super) fn host(host: &Host, problems: &mut Problems) {
    let Host {
        caches,
        false_sharing_bytes,
        threads_per_core,
        sockets,
        numa_nodes,
        clock_measured,
        clock_check,
        label,
        frequencies,
        ..
    } = host;
    if let Some(problem) = label.as_deref().and_then(label_problem) {
        problems.say("label", problem);
    }
    problems.each("frequencies", frequencies, |problems, frequency| {
        let Frequency { cpus, driver: _, governor: _, min_khz, max_khz } = frequency;
        if let Err(problem) = parse_cpu_list(cpus) {
            problems.say("cpus", problem);
        }
        problems.range("max_khz", *max_khz, 0..=MOST_KHZ);
        problems.range("min_khz", *min_khz, 0..=*max_khz);
    });
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
