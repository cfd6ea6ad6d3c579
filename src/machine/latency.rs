//! Cache-line transfer latency between two CPUs: the physical limit of how fast two threads can interact.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::{Duration, Instant};

use crossbeam_utils::CachePadded;

use super::Clock;
use super::duet::duet;
use crate::error::Result;
use crate::stats::median;
use crate::units::{Nanos, Ticks};

/// Duration of a part of a measurement.
const EACH: Duration = Duration::from_millis(2);
/// Round trips in a block.
const BLOCK: u32 = 50;
/// A block is disturbed if it took this many times as long as the lower quartile of the blocks.
const LONG: f64 = 2.0;
/// The share of disturbed blocks from which on a measurement is disturbed. Of the time that is lost to other load, much more
/// than this share is gone then, because a block is some 20 µs long and a thread that loses its CPU loses milliseconds.
const DISTURBED: f64 = 0.1;
/// How often a disturbed measurement is repeated.
const REPEATS: usize = 3;

/// A measured cache-line transfer latency.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Transfer {
    /// The latency: the median of the blocks.
    pub ns: Nanos,
    /// The share of the blocks that took more than twice as long as the lower quartile.
    pub long: f64,
}

impl Transfer {
    /// Whether other load took part in the result.
    pub fn is_disturbed(self) -> bool {
        self.long > DISTURBED
    }

    /// The transfer from the latencies of blocks, in nanoseconds.
    fn of(mut blocks: Vec<f64>) -> Transfer {
        blocks.sort_unstable_by(f64::total_cmp);
        let quartile = blocks.get(blocks.len() / 4).copied().unwrap_or(0.0);
        let long = blocks.iter().filter(|ns| **ns > LONG * quartile).count() as f64 / blocks.len().max(1) as f64;
        Transfer { ns: Nanos(median(blocks)), long }
    }
}

/// Cache-line transfer latency from one CPU to the other.
///
/// Two threads write one line in turn. The latency is half of a round trip: the line moves to the other CPU and its
/// thread sees the new value. The result is the median over blocks of 50 round trips in `count` times 2 ms: if other load
/// takes a CPU away, that makes one block long. A measurement with many long blocks is repeated up to three times. The
/// result is the one with the fewest; it may still be disturbed.
///
/// # Errors
/// If a thread cannot be started or cannot be pinned to its CPU.
pub fn line_transfer(a: usize, b: usize, clock: Clock, count: usize) -> Result<Transfer> {
    undisturbed(|| one(a, b, clock, count))
}

/// Measures until a measurement is not disturbed, at most `1 + REPEATS` times. Returns the least disturbed one.
fn undisturbed(mut measure: impl FnMut() -> Result<Transfer>) -> Result<Transfer> {
    let mut best = measure()?;
    for _ in 0..REPEATS {
        if !best.is_disturbed() {
            break;
        }
        let again = measure()?;
        if again.long < best.long {
            best = again;
        }
    }
    Ok(best)
}

fn one(a: usize, b: usize, clock: Clock, count: usize) -> Result<Transfer> {
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

/// The latency over all blocks.
fn rounds(line: &AtomicU32, clock: Clock, count: usize) -> Transfer {
    let mut turn: u32 = 0;
    let mut blocks = Vec::new();
    for _ in 0..count {
        let begun = Instant::now();
        while begun.elapsed() < EACH {
            let (start, first) = (clock.now(), turn);
            for _ in 0..BLOCK {
                line.store(turn.wrapping_add(1), Ordering::Release);
                turn = turn.wrapping_add(2);
                while line.load(Ordering::Acquire) != turn {
                    std::hint::spin_loop();
                }
            }
            blocks.push(per_handover(clock, clock.now().saturating_sub(start).into(), first, turn).0);
        }
    }
    Transfer::of(blocks)
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

    /// A CPU that is taken away makes a block a hundred times as long. The mean over 2 ms would be a multiple of the latency.
    #[test]
    fn blocks_that_lost_a_cpu_do_not_change_the_latency_and_many_of_them_are_a_disturbance() {
        let blocks = |long: usize| (0..100).map(|n| if n < long { 40_000.0 } else { 200.0 }).collect::<Vec<f64>>();
        let few = Transfer::of(blocks(10));
        assert_eq!((few, few.is_disturbed()), (Transfer { ns: Nanos(200.0), long: 0.1 }, false));
        let many = Transfer::of(blocks(40));
        assert_eq!((many, many.is_disturbed()), (Transfer { ns: Nanos(200.0), long: 0.4 }, true));
        // A disturbed measurement is repeated, and the least disturbed one remains.
        for (shares, left, calls) in
            [(vec![0.05, 0.9], 0.05, 1), (vec![0.4, 0.0, 0.9], 0.0, 2), (vec![0.4, 0.2, 0.5, 0.3, 0.1], 0.2, 4)]
        {
            let mut next = 0;
            let found = undisturbed(|| {
                next += 1;
                Ok(Transfer { ns: Nanos(1.0), long: shares[next - 1] })
            });
            assert_eq!((found.unwrap().long, next), (left, calls), "{shares:?}");
        }
    }

    #[test]
    fn a_line_takes_some_time_and_a_cpu_that_is_not_there_is_named() {
        let allowed = crate::machine::allowed_cpus().unwrap();
        let clock = Clock::calibrate();
        if let [a, b, ..] = allowed[..] {
            let Nanos(ns) = line_transfer(a, b, clock, 3).unwrap().ns;
            assert!(ns > 0.0 && ns.is_finite(), "{ns}");
        }
        assert!(line_transfer(allowed[0], 1_000_000, clock, 1).is_err());
        assert!(line_transfer(1_000_000, allowed[0], clock, 1).is_err());
    }
}
