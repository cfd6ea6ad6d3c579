//! Cache-line transfer latency between two CPUs: the physical limit of how fast two threads can interact.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::{Duration, Instant};

use crossbeam_utils::CachePadded;

use super::Clock;
use super::duet::duet;
use crate::error::Result;
use crate::stats::median;
use crate::units::{Nanos, Ticks};

/// Duration of one measurement.
const EACH: Duration = Duration::from_millis(2);
/// Round trips between two readings of the system's clock.
const STRIDE: u32 = 200;

/// Cache-line transfer latency from one CPU to the other.
///
/// Two threads write one line in turn. The latency is half of a round trip: the line moves to the other CPU and its
/// thread sees the new value. The result is the median of `count` measurements of 2 ms each, because other load on
/// the host can take a CPU away.
///
/// # Errors
/// If a thread cannot be started or cannot be pinned to its CPU.
pub fn line_transfer(a: usize, b: usize, clock: Clock, count: usize) -> Result<Nanos> {
    let line = CachePadded::new(AtomicU32::new(0));
    let answer = |stop: &AtomicBool| {
        // Answers each odd number with the next even one.
        let mut turn: u32 = 1;
        while !stop.load(Ordering::Relaxed) {
            if line.load(Ordering::Acquire) == turn {
                line.store(turn.wrapping_add(1), Ordering::Release);
                turn = turn.wrapping_add(2);
            }
            std::hint::spin_loop();
        }
    };
    duet(a, b, answer, || rounds(&line, clock, count.max(1)))
}

/// The median time of one line transfer over all measurements.
fn rounds(line: &AtomicU32, clock: Clock, count: usize) -> Nanos {
    let mut turn: u32 = 0;
    let mut rounds = Vec::new();
    while rounds.len() < count {
        let (begun, start, first) = (Instant::now(), clock.now(), turn);
        while begun.elapsed() < EACH {
            for _ in 0..STRIDE {
                line.store(turn.wrapping_add(1), Ordering::Release);
                turn = turn.wrapping_add(2);
                while line.load(Ordering::Acquire) != turn {
                    std::hint::spin_loop();
                }
            }
        }
        rounds.push(per_handover(clock, clock.now().saturating_sub(start).into(), first, turn).0);
    }
    Nanos(median(rounds))
}

/// The time of one line transfer. Each transfer adds 1 to the value in the line, so a round
/// trip adds 2.
fn per_handover(clock: Clock, ticks: Ticks, first: u32, last: u32) -> Nanos {
    Nanos(clock.nanos(ticks).0 / f64::from(last.wrapping_sub(first).max(1)))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// If either thread cannot be started, the measurement ends with an error that names the thread.
    #[test]
    fn a_thread_that_is_not_started_ends_it() {
        let cpu = crate::machine::allowed_cpus().unwrap()[0];
        let clock = Clock { frequency_hz: 1e9, resolution_ticks: 1, read_ticks: 1 };
        for (most, name) in [(0, "answers"), (1, "measures")] {
            let error = crate::machine::with_at_most(most, || line_transfer(cpu, cpu, clock, 1)).unwrap_err();
            assert!(error.to_string().contains(name), "{error}");
        }
    }

    #[test]
    fn a_handover_is_half_a_round_trip() {
        let clock = Clock { frequency_hz: 2e9, resolution_ticks: 1, read_ticks: 20 };
        // 1000 round trips take 200,000 ticks of 0.5 ns, so one round trip takes 100 ns.
        assert_eq!(per_handover(clock, Ticks(200_000), 10, 2010), Nanos(50.0));
        assert_eq!(per_handover(clock, Ticks(200_000), u32::MAX - 1999, 0), Nanos(50.0));
    }

    #[test]
    fn a_line_takes_some_time_and_a_cpu_that_is_not_there_is_named() {
        let allowed = crate::machine::allowed_cpus().unwrap();
        let clock = Clock::calibrate();
        if let [a, b, ..] = allowed[..] {
            let Nanos(ns) = line_transfer(a, b, clock, 3).unwrap();
            assert!(ns > 0.0 && ns.is_finite(), "{ns}");
        }
        assert!(line_transfer(allowed[0], 1_000_000, clock, 1).is_err());
        assert!(line_transfer(1_000_000, allowed[0], clock, 1).is_err());
    }
}
