//! Measures the frequency of the counter against the system's monotonic clock.

use std::time::{Duration, Instant};

use super::{Clock, now};

/// Length of the first calibration pass. Both ends are known to well under 1 us, so the pass is accurate to 0.01 %.
const FIRST_LOOK: Duration = Duration::from_millis(10);
/// Largest relative difference at which two successive passes agree.
pub const AGREE: f64 = 1e-3;
/// Passes become twice as long until two agree, or until all passes together have taken this long.
const LONGEST: Duration = Duration::from_millis(300);
/// How often each end of a pass is read. The fastest reading counts, because the thread may lose its CPU during one.
const TRIES: usize = 16;

/// Readings of the counter between two readings of the system's clock.
const BLOCK: u64 = 64;

/// The result of a calibration.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Calibration {
    /// The calibrated clock.
    pub clock: Clock,
    /// Relative difference between the frequencies of the last two passes.
    pub passes_differ: f64,
    /// Duration of all passes together.
    pub took: Duration,
}

/// What one calibration pass measured.
#[derive(Debug, Clone, Copy)]
struct Look {
    ticks: u64,
    elapsed: Duration,
}

impl Look {
    fn hz(self) -> f64 {
        self.ticks.max(1) as f64 / self.elapsed.as_secs_f64()
    }
}

impl Calibration {
    /// Measures the host's clock. Takes about 20 ms if the first two passes agree, and at most half a second.
    pub fn new() -> Calibration {
        let (mut fastest, mut resolution) = (u64::MAX, u64::MAX);
        let (frequency_hz, passes_differ, took) = settle(|length| {
            let (begun, first) = stamp();
            let mut previous = now();
            while begun.elapsed() < length {
                // The fastest block of readings gives the cost of one reading.
                let block = previous;
                for _ in 0..BLOCK {
                    let ticks = now();
                    if ticks > previous {
                        resolution = resolution.min(ticks - previous);
                    }
                    previous = ticks;
                }
                fastest = fastest.min(previous.saturating_sub(block));
                previous = now();
            }
            let (ended, last) = stamp();
            Look { ticks: last.saturating_sub(first), elapsed: ended.duration_since(begun) }
        });
        let read_ticks = (fastest / BLOCK).max(1);
        let clock = Clock { frequency_hz, resolution_ticks: resolution, read_ticks };
        Calibration { clock, passes_differ, took }
    }
}

impl Default for Calibration {
    fn default() -> Calibration {
        Calibration::new()
    }
}

/// Runs passes until two successive ones agree. Returns the frequency over both, their relative difference, and the
/// total duration.
fn settle(mut look: impl FnMut(Duration) -> Look) -> (f64, f64, Duration) {
    let mut length = FIRST_LOOK;
    let mut before = look(length);
    let mut took = before.elapsed;
    loop {
        let after = look(length);
        took += after.elapsed;
        let both = Look { ticks: before.ticks + after.ticks, elapsed: before.elapsed + after.elapsed };
        let differ = (after.hz() - before.hz()).abs() / both.hz();
        if differ <= AGREE || took >= LONGEST {
            return (both.hz(), differ, took);
        }
        (before, length) = (after, 2 * length);
    }
}

/// Reads both clocks at the same moment.
fn stamp() -> (Instant, u64) {
    let one = |_| {
        let before = now();
        let instant = Instant::now();
        let after = now();
        (after.saturating_sub(before), instant, before + after.saturating_sub(before) / 2)
    };
    let best = (0..TRIES).map(one).min_by_key(|(width, ..)| *width);
    best.map_or_else(|| (Instant::now(), now()), |(_, instant, ticks)| (instant, ticks))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Simulates passes over a counter that runs at the given rate in each pass.
    fn at(rates: &[f64]) -> (f64, f64, Duration, usize) {
        let mut number = 0;
        let (hz, differ, took) = settle(|elapsed| {
            let rate = rates[number.min(rates.len() - 1)];
            number += 1;
            Look { ticks: (rate * elapsed.as_secs_f64()) as u64, elapsed }
        });
        (hz, differ, took, number)
    }

    #[test]
    fn two_looks_that_agree_are_enough() {
        let (hz, differ, took, looks) = at(&[1e9, 1.0005e9]);
        assert_eq!((looks, took), (2, 2 * FIRST_LOOK));
        assert!((hz - 1.00025e9).abs() < 1e3 && (differ - 5e-4).abs() < 1e-6, "{hz} {differ}");
        // A disturbed pass is followed by longer ones.
        let (hz, differ, took, looks) = at(&[1.3e9, 1e9, 1e9]);
        assert_eq!((looks, took), (3, 4 * FIRST_LOOK));
        assert!((hz - 1e9).abs() < 1e3 && differ < 1e-6, "{hz} {differ}");
        // Passes agree up to a difference of 0.1 %, and not above it.
        assert_eq!(at(&[1e9, 1.0009e9]).3, 2);
        assert_eq!(at(&[1e9, 1.0012e9, 1.0012e9]).3, 3);
    }

    #[test]
    fn a_rate_that_changes_ends_with_its_error() {
        let rates: Vec<f64> = (0..100).map(|look| if look % 2 == 0 { 2e9 } else { 3e9 }).collect();
        let (_, differ, took, looks) = at(&rates);
        assert!(differ > 0.3, "{differ}");
        assert!(looks < 8 && took >= LONGEST && took <= 3 * LONGEST, "{looks} looks, {took:?}");
    }

    #[test]
    fn the_host_is_calibrated() {
        let calibration = Calibration::new();
        let Calibration { clock, took, .. } = calibration;
        assert!(clock.frequency_hz > 1e5 && clock.read_ticks >= 1 && clock.resolution_ticks >= 1, "{calibration:?}");
        assert!(took >= 2 * FIRST_LOOK, "{took:?}");
    }
}
