//! The offset between the counters of two CPUs.
//!
//! A round trip works as follows. A reads its counter and sends a request; B answers with a reading of its own
//! counter; A reads its counter again. B's reading was taken between A's two, so each round trip bounds how far
//! B's counter is ahead: from below by B's reading minus A's second reading, from above by B's reading minus
//! A's first. While the counters run at the same rate all bounds hold at once, so the tightest bounds of many
//! round trips are taken. The fastest trips in each direction decide; a thread that loses its CPU only gives
//! loose bounds (in the same way NTP's clock filter takes the round trip with the least delay, RFC 5905, 10).
//! Bounds that contradict each other prove that one counter runs at another rate or was set.

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crossbeam_utils::CachePadded;
use serde::{Deserialize, Serialize};

use super::Clock;
use super::clock::ordered_now;
use super::duet::duet;
use crate::error::Result;
use crate::units::Ticks;

/// Number of round trips, and the longest time they may take together.
const ROUND_TRIPS: usize = 2000;
const LONGEST: Duration = Duration::from_millis(200);
/// Polls of the shared line between two readings of the system's clock.
const LOOKS: u32 = 4096;

/// How far the counter of one thread's CPU is ahead of the counter of P0's CPU.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct CounterOffset {
    /// The number of the CPU.
    pub cpu: usize,
    /// The middle of the bounds, in nanoseconds. Absent if it could not be measured.
    pub offset_ns: Option<f64>,
    /// The distance from the middle to each bound, in nanoseconds.
    pub error_ns: Option<f64>,
    /// Whether each start of the thread was corrected by the offset. It is corrected if the bounds exclude 0.
    /// Otherwise the counters may be equal, and a correction would only add the error to the skew.
    pub corrected: bool,
    /// Why the offset could not be measured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
}

/// What is invalid in the counter offsets that a record states for a result on these CPUs; empty if they are valid.
pub fn offset_problems(offsets: &[CounterOffset], cpus: &[usize]) -> Vec<String> {
    let mut out = Vec::new();
    let named: Vec<usize> = offsets.iter().map(|offset| offset.cpu).collect();
    if !offsets.is_empty() && named[..] != cpus[1.min(cpus.len())..] {
        out.push(format!(
            "counter offsets are given for CPUs {named:?}, but P1 and later threads ran on CPUs {:?}",
            &cpus[1.min(cpus.len())..]
        ));
    }
    for offset in offsets {
        let cpu = offset.cpu;
        match (offset.offset_ns, offset.error_ns, &offset.problem) {
            (Some(ns), Some(error), None) => {
                if !ns.is_finite() || !error.is_finite() || error < 0.0 {
                    out.push(format!("the counter of CPU {cpu} is {ns} ns ahead with an error of {error} ns"));
                }
                // Where a bound is close to 0, rounding decides whether the bounds exclude 0.
                let differs = ns.abs() - error;
                if differs.abs() > 0.1 && offset.corrected != (differs > 0.0) {
                    let is = if offset.corrected { "is" } else { "is not" };
                    out.push(format!(
                        "the counter of CPU {cpu} {is} corrected for, at {ns} ns with an error of {error} ns"
                    ));
                }
            }
            (None, None, Some(_)) if !offset.corrected => {}
            _ => out.push(format!("the counter of CPU {cpu} must have an offset with its error, or a problem")),
        }
    }
    out
}

/// What the round trips say about the counters of two CPUs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Counters {
    /// The second CPU's counter is ahead by at least and at most these times.
    Within(Ticks, Ticks),
    /// The counters do not advance at the same rate: the bounds contradict each other by this time.
    Contradiction(Ticks),
    /// No round trip was completed in the time allowed.
    Untold,
}

impl Counters {
    /// The correction for the starts of the second CPU.
    pub fn correction(self) -> Ticks {
        match self {
            Counters::Within(Ticks(low), Ticks(high)) if low > 0 || high < 0 => Ticks(low + (high - low) / 2),
            _ => Ticks(0),
        }
    }

    /// Whether the counters contradict each other, so that starts on these two CPUs cannot be compared.
    pub fn contradict(self) -> bool {
        matches!(self, Counters::Contradiction(_))
    }

    /// The form for the record.
    pub fn record(self, cpu: usize, clock: Clock) -> CounterOffset {
        let (bounds, problem) = match self {
            Counters::Within(Ticks(low), Ticks(high)) => (Some((low, high)), None),
            Counters::Contradiction(by) => {
                let ns = clock.nanos(by).0;
                (
                    None,
                    Some(format!(
                        "round trips contradict each other by {ns:.0} ns: the two counters do not advance at the same rate"
                    )),
                )
            }
            Counters::Untold => {
                (None, Some(format!("no round trip between the two CPUs within {} ms", LONGEST.as_millis())))
            }
        };
        CounterOffset {
            cpu,
            offset_ns: bounds.map(|(low, high)| clock.nanos_of((low as f64 + high as f64) / 2.0).0),
            error_ns: bounds.map(|(low, high)| clock.nanos_of((high as f64 - low as f64) / 2.0).0),
            corrected: self.correction() != Ticks(0),
            problem,
        }
    }
}

/// The bounds from all round trips so far, in ticks.
#[derive(Debug, Clone, Copy)]
struct Bounds {
    low: i64,
    high: i64,
    /// The resolution of the counter, in ticks. A reading may be this old.
    step: i64,
    count: usize,
}

impl Bounds {
    fn new(clock: Clock) -> Bounds {
        let step = i64::try_from(clock.resolution_ticks).unwrap_or(i64::MAX / 4).min(i64::MAX / 4);
        Bounds { low: i64::MIN / 2, high: i64::MAX / 2, step, count: 0 }
    }

    /// Adds a round trip: A's counter was `asked` at the request and `heard` at the answer; B's counter was
    /// `answered`.
    fn round_trip(&mut self, asked: u64, answered: u64, heard: u64) {
        let ahead = |of: u64| answered.wrapping_sub(of) as i64;
        self.low = self.low.max(ahead(heard).saturating_sub(self.step));
        self.high = self.high.min(ahead(asked).saturating_add(self.step));
        self.count += 1;
    }

    fn counters(self) -> Counters {
        match self {
            Bounds { count: 0, .. } => Counters::Untold,
            Bounds { low, high, .. } if low > high => Counters::Contradiction(Ticks(low - high)),
            Bounds { low, high, .. } => Counters::Within(Ticks(low), Ticks(high)),
        }
    }
}

/// How far the counter of CPU `b` is ahead of the counter of CPU `a`. Takes about 1 ms, and at most 0.2 s.
///
/// # Errors
/// If a thread cannot be started or cannot be pinned to its CPU.
pub fn counters(a: usize, b: usize, clock: Clock) -> Result<Counters> {
    between(a, b, clock, ordered_now, ordered_now)
}

/// Does what [`counters`] does, with the given functions to read the counter of each CPU.
fn between(
    a: usize,
    b: usize,
    clock: Clock,
    read_a: impl Fn() -> u64 + Sync,
    read_b: impl Fn() -> u64 + Sync,
) -> Result<Counters> {
    /// One cache line: the number of the current turn, and the answer.
    struct Line {
        turn: AtomicU32,
        answer: AtomicU64,
    }
    let line = CachePadded::new(Line { turn: AtomicU32::new(0), answer: AtomicU64::new(0) });
    let answer = |stop: &AtomicBool| {
        let mut turn: u32 = 1;
        while !stop.load(Ordering::Relaxed) {
            if line.turn.load(Ordering::Acquire) == turn {
                line.answer.store(read_b(), Ordering::Relaxed);
                line.turn.store(turn + 1, Ordering::Release);
                turn += 2;
            }
            std::hint::spin_loop();
        }
    };
    let measure = || {
        let begun = Instant::now();
        let mut bounds = Bounds::new(clock);
        let mut turn: u32 = 0;
        while bounds.count < ROUND_TRIPS {
            let asked = read_a();
            line.turn.store(turn + 1, Ordering::Release);
            turn += 2;
            let mut looks = 0;
            while line.turn.load(Ordering::Acquire) != turn {
                looks += 1;
                if looks == LOOKS {
                    looks = 0;
                    if begun.elapsed() > LONGEST {
                        return bounds.counters();
                    }
                }
                std::hint::spin_loop();
            }
            let heard = read_a();
            bounds.round_trip(asked, line.answer.load(Ordering::Relaxed), heard);
        }
        bounds.counters()
    };
    duet(a, b, answer, measure)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::machine::allowed_cpus;

    const CLOCK: Clock = Clock { frequency_hz: 2e9, resolution_ticks: 1, read_ticks: 20 };

    #[test]
    fn the_tightest_bounds_of_all_round_trips_hold() {
        let mut bounds = Bounds { step: 0, ..Bounds::new(CLOCK) };
        assert_eq!(bounds.counters(), Counters::Untold);
        // B is 1000 ahead. The ways there and back take 40 and 60 ticks, then 100 and 20; then a thread loses
        // its CPU for a while.
        bounds.round_trip(5000, 6040, 5100);
        assert_eq!(bounds.counters(), Counters::Within(Ticks(940), Ticks(1040)));
        bounds.round_trip(7000, 8100, 7120);
        assert_eq!(bounds.counters(), Counters::Within(Ticks(980), Ticks(1040)));
        bounds.round_trip(9000, 19_000, 30_000);
        assert_eq!(bounds.counters(), Counters::Within(Ticks(980), Ticks(1040)));
        assert_eq!(bounds.counters().correction(), Ticks(1010));
        // The step of the counter loosens each bound by one step.
        let mut coarse = Bounds::new(Clock { resolution_ticks: 25, ..CLOCK });
        coarse.round_trip(5000, 6040, 5100);
        assert_eq!(coarse.counters(), Counters::Within(Ticks(915), Ticks(1065)));
        // B is behind by more than A has counted since 0.
        let mut behind = Bounds { step: 0, ..Bounds::new(CLOCK) };
        behind.round_trip(5000, 40, 5100);
        assert_eq!(behind.counters(), Counters::Within(Ticks(-5060), Ticks(-4960)));
        assert_eq!(behind.counters().correction(), Ticks(-5010));
    }

    #[test]
    fn bounds_that_exclude_each_other_are_a_contradiction() {
        let mut bounds = Bounds { step: 0, ..Bounds::new(CLOCK) };
        bounds.round_trip(5000, 6040, 5100);
        bounds.round_trip(7000, 8200, 7100);
        assert_eq!(bounds.counters(), Counters::Contradiction(Ticks(60)));
        assert!(bounds.counters().contradict() && bounds.counters().correction() == Ticks(0));
        let record = bounds.counters().record(3, CLOCK);
        assert_eq!((record.cpu, record.offset_ns, record.error_ns, record.corrected), (3, None, None, false));
        assert!(record.problem.unwrap().contains("contradict each other by 30 ns"));
    }

    #[test]
    fn only_what_differs_for_certain_is_corrected() {
        assert_eq!(Counters::Within(Ticks(-40), Ticks(60)).correction(), Ticks(0));
        assert_eq!(Counters::Within(Ticks(0), Ticks(60)).correction(), Ticks(0));
        assert_eq!(Counters::Within(Ticks(-60), Ticks(0)).correction(), Ticks(0));
        assert_eq!(Counters::Within(Ticks(1), Ticks(61)).correction(), Ticks(31));
        assert_eq!(Counters::Within(Ticks(-61), Ticks(-1)).correction(), Ticks(-31));
        let record = Counters::Within(Ticks(1), Ticks(61)).record(1, CLOCK);
        let expected =
            CounterOffset { cpu: 1, offset_ns: Some(15.5), error_ns: Some(15.0), corrected: true, problem: None };
        assert_eq!(record, expected);
        assert!(!Counters::Within(Ticks(-40), Ticks(60)).record(1, CLOCK).corrected);
        let untold = Counters::Untold.record(1, CLOCK);
        assert!(untold.offset_ns.is_none() && untold.problem.unwrap().contains("no round trip"));
    }

    #[test]
    fn offsets_that_cannot_be_are_named() {
        let offset = |low, high| Counters::Within(Ticks(low), Ticks(high)).record(7, CLOCK);
        let problems = |offset: CounterOffset| offset_problems(&[offset], &[4, 7]);
        for fine in [offset(-40, 60), offset(1, 61), offset(-90, -9), offset(0, 60)] {
            assert_eq!(problems(fine), Vec::<String>::new());
        }
        for told in [Counters::Untold, Counters::Contradiction(Ticks(9))] {
            assert_eq!(problems(told.record(7, CLOCK)), Vec::<String>::new());
        }
        let wrong = [
            (CounterOffset { corrected: true, ..offset(-40, 60) }, "is corrected for"),
            (CounterOffset { corrected: false, ..offset(10, 60) }, "is not corrected for"),
            (CounterOffset { error_ns: Some(-1.0), ..offset(10, 60) }, "an error of -1 ns"),
            (CounterOffset { offset_ns: None, ..offset(10, 60) }, "an offset with its error, or a problem"),
            (CounterOffset { corrected: true, ..Counters::Untold.record(7, CLOCK) }, "an offset with its error"),
            (CounterOffset { cpu: 3, ..offset(-40, 60) }, "for CPUs [3], but P1 and later threads ran on CPUs [7]"),
        ];
        for (wrong, words) in wrong {
            let problems = problems(wrong);
            assert!(problems.len() == 1 && problems[0].contains(words), "{problems:?}");
        }
        assert_eq!(offset_problems(&[], &[4, 7]), Vec::<String>::new());
        assert_eq!(offset_problems(&[offset(-40, 60)], &[4, 7, 9]).len(), 1);
        assert_eq!(offset_problems(&[offset(-40, 60)], &[]).len(), 1);
    }

    /// The first of several results that has round trips. On a host with one CPU the two threads take turns on it.
    fn told(read_b: impl Fn() -> u64 + Sync) -> Counters {
        let allowed = allowed_cpus().unwrap();
        let (a, b) = (allowed[0], allowed[1 % allowed.len()]);
        let clock = Clock::calibrate();
        let one = |_| between(a, b, clock, ordered_now, &read_b).unwrap();
        (0..50).map(one).find(|found| *found != Counters::Untold).expect("10 s without one round trip")
    }

    #[test]
    fn a_counter_that_is_moved_is_found_there() {
        // A bound is off by at most the duration of the fastest round trip. The counters of this host differ by
        // less than a second.
        let second = Clock::calibrate().frequency_hz as i64;
        for moved in [0, 100 * second, -100 * second] {
            let found = told(|| ordered_now().wrapping_add_signed(moved));
            let Counters::Within(Ticks(low), Ticks(high)) = found else {
                panic!("the counters of this host differ: {found:?}")
            };
            let near = moved - second..=moved + second;
            assert!(low <= high && near.contains(&low) && near.contains(&high), "{low} to {high}, not {moved}");
            assert_eq!(found.correction() == Ticks(0), low <= 0 && high >= 0);
        }
    }

    #[test]
    fn a_counter_that_runs_at_another_rate_is_a_contradiction() {
        let begun = ordered_now();
        // The rate is doubled, so after two round trips the counter is further ahead than one round trip is long.
        let twice = || {
            let now = ordered_now();
            now.wrapping_add(now.wrapping_sub(begun))
        };
        assert!((0..50).any(|_| told(twice).contradict()));
    }

    #[test]
    fn a_cpu_that_is_not_there_is_an_error() {
        assert!(counters(allowed_cpus().unwrap()[0], 1_000_000, CLOCK).unwrap_err().to_string().contains("1000000"));
    }
}
