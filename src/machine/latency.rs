//! How long a cache line takes from one CPU to another: the physical limit of everything here.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::{Duration, Instant};

use crossbeam_utils::CachePadded;

use super::{Clock, PREFERRED_NICE, pin_to, set_nice};
use crate::error::{Error, Result};
use crate::stats::median;

/// Time for one measurement.
const EACH: Duration = Duration::from_millis(2);
/// Handovers of one side between two looks at the clock.
const STRIDE: u32 = 200;

/// How long a line takes from one of two CPUs to the other and is seen there, in nanoseconds: half of a round trip of a line that both
/// write in turn. The median of `count` rounds of 2 ms, because a shared box takes CPUs away.
///
/// # Errors
/// If a CPU cannot be had.
pub fn line_transfer(a: usize, b: usize, clock: Clock, count: usize) -> Result<f64> {
    let line = CachePadded::new(AtomicU32::new(0));
    let stop = CachePadded::new(AtomicBool::new(false));
    let (ready, pinned) = std::sync::mpsc::channel();
    let panicked = || Error::Internal("measuring a line transfer panicked".to_owned());
    std::thread::scope(|scope| {
        let (line, stop) = (&line, &stop);
        // Stores even numbers in answer to odd ones, until it is told to stop.
        let partner = scope.spawn(move || {
            let result = pin_to(b);
            set_nice(PREFERRED_NICE);
            let waited_for = result.is_ok();
            // The other side is there until it has heard.
            let _ = ready.send(result);
            let mut turn: u32 = 1;
            while waited_for && !stop.load(Ordering::Relaxed) {
                if line.load(Ordering::Acquire) == turn {
                    line.store(turn.wrapping_add(1), Ordering::Release);
                    turn = turn.wrapping_add(2);
                }
                std::hint::spin_loop();
            }
        });
        let measuring = scope.spawn(move || {
            let other = pinned.recv().unwrap_or_else(|_| Err(panicked()));
            let measured = other.and_then(|()| pin_to(a)).map(|()| rounds(line, clock, count.max(1)));
            stop.store(true, Ordering::Relaxed);
            measured
        });
        let measured = measuring.join().unwrap_or_else(|_| Err(panicked()));
        partner.join().map_err(|_| panicked())?;
        measured
    })
}

/// The median time of a handover over all rounds, in nanoseconds.
fn rounds(line: &AtomicU32, clock: Clock, count: usize) -> f64 {
    set_nice(PREFERRED_NICE);
    let mut turn: u32 = 0;
    let mut rounds = Vec::new();
    while rounds.len() < count {
        let (begun, start, mut handovers) = (Instant::now(), clock.now(), 0u32);
        while begun.elapsed() < EACH {
            for _ in 0..STRIDE {
                line.store(turn.wrapping_add(1), Ordering::Release);
                turn = turn.wrapping_add(2);
                while line.load(Ordering::Acquire) != turn {
                    std::hint::spin_loop();
                }
            }
            handovers += 2 * STRIDE;
        }
        rounds.push(clock.ns(clock.now().saturating_sub(start) as f64) / f64::from(handovers));
    }
    median(rounds)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_takes_some_time_and_a_cpu_that_is_not_there_is_named() {
        let allowed = crate::machine::allowed_cpus().unwrap();
        let clock = Clock::calibrate();
        if let [a, b, ..] = allowed[..] {
            let ns = line_transfer(a, b, clock, 3).unwrap();
            assert!(ns > 0.0 && ns.is_finite(), "{ns}");
        }
        assert!(line_transfer(allowed[0], 1_000_000, clock, 1).is_err());
        assert!(line_transfer(1_000_000, allowed[0], clock, 1).is_err());
    }
}
