//! A look: how far apart the CPUs of the threads are now, and how far their counters differ.
//!
//! P0 and another thread write one line in turn, some 64 times, in a few microseconds. The *distance* is half of a round trip,
//! as in [`crate::machine::line_transfer`]: the line moves to the other CPU and its thread sees the new value. Round trips are
//! timed in blocks, and the lower quartile of the blocks decides, so a thread that loses its CPU in the middle changes nothing.
//! The other threads wait meanwhile. With more than two threads each of them has its turn with P0, and the distance of the look is
//! the largest of theirs.
//!
//! A look also probes whether the threads have neighbours on their cores (module `neighbours`). They do so one after another:
//! two of them may share a core themselves, and one that waits needs few of its adders.
//!
//! Who writes what: P0 writes a request into `turn`, the other thread writes the answer there (both release, read with
//! acquire). `reading` is written by the other thread before its answer. A look starts and ends with `turn` at 0, and
//! the rendezvous order one look after another.

use std::sync::atomic::{AtomicU64, Ordering};

use super::rendezvous::{Broken, Rendezvous};

/// Round trips in a block, and the most and the fewest blocks.
const BLOCK: u64 = 4;
const MOST_BLOCKS: usize = 14;
const LEAST_BLOCKS: usize = 4;
/// A block lasts at least this many steps of the clock.
const STEPS: u64 = 16;
/// Round trips with a reading of the other thread's counter.
const READINGS: u64 = 8;
/// A look ends after this time, in nanoseconds, if it has [`LEAST_BLOCKS`].
pub(super) const LONGEST_NS: f64 = 8e3;
/// It ends after this many times that in any case. A thread has lost its CPU then.
const PATIENCE: u64 = 100;
/// The longest time of a line transfer, in nanoseconds: several times that between two sockets. If a look finds a longer
/// one, its threads did not run at the same time, and it has measured nothing.
pub(super) const FARTHEST_NS: f64 = 1e4;

/// Requests of P0: answer; answer with a reading of your counter; with the ratio of your core; the look is over. They are in the low bits
/// of `turn`, and the number of the round trip is above them. An answer has no request.
const PLAIN: u64 = 1;
const READ: u64 = 2;
const PROBE: u64 = 3;
const OVER: u64 = 4;
const REQUEST: u64 = 7;

/// The line that P0 and another thread write in turn.
#[derive(Debug, Default)]
pub(super) struct Line {
    turn: AtomicU64,
    reading: AtomicU64,
}

/// What a look of P0 with one other thread found.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Seen {
    /// The time of one line transfer, in ticks.
    pub transfer_ticks: f64,
    /// The ratio of the other thread's core ([`super::neighbours::Probe`]); `None` if it was not asked for, or not measured.
    pub ratio: Option<f64>,
    /// The other thread's counter is ahead of P0's by at least and at most these ticks; `None` if it was not read.
    pub ahead: Option<(i64, i64)>,
    /// Number of round trips.
    pub trips: u64,
}

impl Seen {
    /// The time that the look takes if no thread loses its CPU, in ticks.
    pub fn cost_ticks(&self) -> f64 {
        (2 * self.trips) as f64 * self.transfer_ticks
    }
}

/// How P0 times a look.
pub(super) struct Timer<'a> {
    /// Reads P0's clock.
    pub now: &'a dyn Fn() -> u64,
    /// Reads P0's counter in order with the accesses before and after, if counters are to be compared.
    pub ordered: Option<&'a dyn Fn() -> u64>,
    /// Whether cores are probed.
    pub probes: bool,
    /// The smallest step of the clock, the cost of a reading, and [`LONGEST_NS`], in ticks.
    pub step: u64,
    pub read: u64,
    pub longest: u64,
}

/// P0's part.
///
/// # Errors
/// [`Broken`] if a thread has ended early.
pub(super) fn ask(line: &Line, timer: &Timer<'_>, rendezvous: &Rendezvous) -> Result<Seen, Broken> {
    let mut turn = 0;
    let mut trip = |request: u64| {
        turn += REQUEST + 1;
        line.turn.store(turn | request, Ordering::Release);
        rendezvous.until(|| line.turn.load(Ordering::Acquire) == turn)
    };
    // The other thread may not be there yet.
    trip(PLAIN)?;
    let ratio = if timer.probes {
        trip(PROBE)?;
        Some(f64::from_bits(line.reading.load(Ordering::Relaxed))).filter(|ratio| *ratio > 0.0)
    } else {
        None
    };
    let (begun, mut blocks) = ((timer.now)(), Vec::with_capacity(MOST_BLOCKS));
    let mut before = begun;
    let enough = |blocks: usize, ticks: u64| match blocks {
        0 => false,
        1..LEAST_BLOCKS => ticks >= PATIENCE * timer.longest,
        LEAST_BLOCKS..MOST_BLOCKS => ticks >= timer.longest,
        _ => true,
    };
    while !enough(blocks.len(), before.saturating_sub(begun)) {
        let (start, mut trips) = (before, 0);
        while trips == 0 || before.saturating_sub(start) < STEPS * timer.step {
            for _ in 0..BLOCK {
                trip(PLAIN)?;
            }
            trips += BLOCK;
            before = (timer.now)();
        }
        let ticks = before.saturating_sub(start).saturating_sub(timer.read);
        blocks.push(ticks as f64 / (2 * trips) as f64);
    }
    let mut ahead = None;
    if let Some(ordered) = timer.ordered {
        for _ in 0..READINGS {
            let asked = ordered();
            trip(READ)?;
            let (reading, heard) = (line.reading.load(Ordering::Relaxed), ordered());
            let bound = |of: u64| reading.wrapping_sub(of).cast_signed();
            let step = timer.step.cast_signed();
            let (low, high) = ahead.unwrap_or((i64::MIN, i64::MAX));
            ahead = Some((low.max(bound(heard).saturating_sub(step)), high.min(bound(asked).saturating_add(step))));
        }
    }
    line.turn.store(OVER, Ordering::Release);
    Ok(Seen { transfer_ticks: quartile(blocks), ratio, ahead, trips: turn / (REQUEST + 1) })
}

/// The lower quartile of some values.
fn quartile(mut values: Vec<f64>) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    values.get(values.len() / 4).copied().unwrap_or(0.0)
}

/// The other thread's part. `read` reads its counter in order with the accesses before and after, `probe` probes its core.
///
/// # Errors
/// [`Broken`] if a thread has ended early.
pub(super) fn answer(
    line: &Line,
    read: impl Fn() -> u64,
    probe: impl Fn() -> Option<f64>,
    rendezvous: &Rendezvous,
) -> Result<(), Broken> {
    let mut seen = 0;
    loop {
        rendezvous.until(|| line.turn.load(Ordering::Acquire) != seen)?;
        let turn = line.turn.load(Ordering::Acquire);
        match turn & REQUEST {
            OVER => {
                line.turn.store(0, Ordering::Release);
                return Ok(());
            }
            READ => line.reading.store(read(), Ordering::Relaxed),
            PROBE => line.reading.store(probe().unwrap_or(0.0).to_bits(), Ordering::Relaxed),
            _ => (),
        }
        seen = turn & !REQUEST;
        line.turn.store(seen, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    /// A look of two threads. P0's clock is `now`; the other thread's counter is ahead of P0's ordered readings by `ahead`.
    fn look(now: impl Fn() -> u64, ordered: Option<u64>, ahead: u64) -> Seen {
        let (line, rendezvous, time) = (Line::default(), Rendezvous::new(2, false), AtomicU64::new(1000));
        // All readings are of one counter, which advances by 7 with each of them.
        let read = || time.fetch_add(7, Ordering::Relaxed);
        std::thread::scope(|scope| {
            let other = scope.spawn(|| answer(&line, || read() + ahead, || Some(0.3), &rendezvous));
            let ordered: Option<&dyn Fn() -> u64> = if ordered.is_some() { Some(&read) } else { None };
            let timer = Timer { now: &now, ordered, probes: ahead > 0, step: 1, read: 20, longest: 1 << 40 };
            let seen = ask(&line, &timer, &rendezvous).unwrap();
            assert_eq!(other.join().unwrap(), Ok(()));
            assert_eq!(line.turn.load(Ordering::Relaxed), 0, "ready for the next look");
            seen
        })
    }

    #[test]
    fn half_a_round_trip_is_the_distance_and_the_faster_blocks_decide() {
        // Every block of four round trips takes 820 ticks, of which 20 are the reading. Most blocks lose the CPU.
        let (reads, ticks) = (Cell::new(0), Cell::new(0));
        let now = || {
            reads.set(reads.get() + 1);
            ticks.set(ticks.get() + if reads.get() % 3 == 0 { 820 } else { 5_000_000 });
            ticks.get()
        };
        let seen = look(now, None, 0);
        assert_eq!(
            seen,
            Seen { transfer_ticks: 100.0, ratio: None, ahead: None, trips: 1 + BLOCK * MOST_BLOCKS as u64 }
        );
        assert_eq!(seen.cost_ticks(), 200.0 * seen.trips as f64);
        assert_eq!(reads.get(), MOST_BLOCKS + 1);
        assert_eq!(quartile(vec![9.0, 1.0, 8.0, 2.0]), 2.0);
    }

    #[test]
    fn a_look_ends_in_time() {
        let blocks = |ticks: u64| {
            let time = Cell::new(0);
            let now = || {
                time.set(time.get() + ticks);
                time.get()
            };
            let (line, rendezvous) = (Line::default(), Rendezvous::new(2, false));
            std::thread::scope(|scope| {
                let other = scope.spawn(|| answer(&line, || 0, || None, &rendezvous));
                let timer = Timer { now: &now, ordered: None, probes: true, step: 1, read: 0, longest: 8000 };
                let seen = ask(&line, &timer, &rendezvous).unwrap();
                assert_eq!(other.join().unwrap(), Ok(()));
                // What the other thread could not measure is not known.
                assert_eq!(seen.ratio, None);
                (seen.trips - 2) / BLOCK
            })
        };
        assert_eq!([100, 1000, 2000, 5000, 1_000_000].map(blocks), [14, 8, 4, 4, 1]);
    }

    #[test]
    fn readings_bound_how_far_a_counter_is_ahead() {
        let still = Cell::new(0);
        let now = || {
            still.set(still.get() + 1000);
            still.get()
        };
        // Three readings a round trip, 7 apart: from 7 before to 7 after, and a step of 1 on either side.
        let seen = look(now, Some(0), 500);
        assert_eq!((seen.ahead, seen.ratio), (Some((492, 508)), Some(0.3)));
    }

    #[test]
    fn a_thread_that_waits_in_a_look_is_let_go() {
        let (line, rendezvous) = (Line::default(), Rendezvous::new(2, true));
        std::thread::scope(|scope| {
            let other = scope.spawn(|| answer(&line, || 0, || None, &rendezvous));
            rendezvous.break_up();
            assert_eq!(other.join().unwrap(), Err(Broken));
        });
        let timer = Timer { now: &|| 0, ordered: None, probes: false, step: 1, read: 1, longest: 1 };
        assert_eq!(ask(&line, &timer, &rendezvous), Err(Broken));
    }
}
