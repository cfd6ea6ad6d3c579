//! Compares runs on this machine's fine clock with runs on simulated coarse clocks (`--clock-step`): races per second, and
//! where the race window has its peak.
//!
//! In every round each clock is measured once, in turns, and the ratio to the fine clock of the same round is taken, so that a
//! change of the machine's speed affects all clocks alike. The bench prints medians over the rounds. Goals: at 40 ns at least
//! 0.8 of the races/s of the fine clock and a peak within 3 ns of its peak, at 1 us at least 0.5.
//!
//! `cargo bench --bench clocks -- ROUNDS MS` runs ROUNDS rounds (default 9) of MS milliseconds a measurement (default 1000).

mod common;

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use wakerace::arch::Arch;
use wakerace::codegen::Target;
use wakerace::experiment::{self, Choice, Common, Experiment, PaceChoice, Searching};
use wakerace::harness::{Limits, Prefetch};
use wakerace::layout::LayoutKind;
use wakerace::machine::{self, Clock, Edges, Placement};
use wakerace::record::ScenarioResult;
use wakerace::search::Allowed;
use wakerace::units::{Nanos, Ticks};
use wakerace::{catalogue, verdict};

/// The clocks: a name, and the step to simulate in nanoseconds.
const CLOCKS: [(&str, Option<f64>); 4] =
    [("fine", None), ("40 ns", Some(40.0)), ("250 ns", Some(250.0)), ("1 us", Some(1000.0))];
/// The tests. MP+nt exists only on x86-64; the other architectures race in MP.
const TESTS: [&str; 3] = ["SB", "MP+nt", "MP"];
/// The widest skew of a window, and the distance between two skews, in nanoseconds.
const WIDEST: i64 = 240;
const STEP: i64 = 2;
/// The period of all windows, in nanoseconds: where the peak lies depends on it, and clocks are compared here, not periods.
const WINDOW_PERIOD: f64 = 500.0;
/// How often a measurement is tried.
const ATTEMPTS: u32 = 5;

struct Bench {
    placement: Placement,
    clock: Clock,
    target: Target,
    each: Duration,
}

fn main() {
    let numbers: Vec<usize> = std::env::args().filter_map(|word| word.parse().ok()).collect();
    let (rounds, ms) = (numbers.first().copied().unwrap_or(9).max(1), numbers.get(1).copied().unwrap_or(1000));
    let Some(placement) = common::two_cpus() else { return };
    let target = Target::of_host().expect("an architecture with a back end");
    let arch = target.arch;
    let bench = Bench { placement, clock: Clock::calibrate(), target, each: Duration::from_millis(ms as u64) };
    println!("CPUs {}; medians of {rounds} rounds of {ms} ms; ratios within a round", bench.placement);
    if Edges::of(&bench.clock, None).is_some() {
        println!("this machine's own clock is coarse, so no clock here is fine");
    }
    for (name, step) in CLOCKS {
        if let Some(edges) = bench.edges(step) {
            println!("{name}: steps of {} ticks, {:.1} ns", edges.step, bench.clock.nanos(Ticks::from(edges.step)).0);
        }
    }
    for test in TESTS {
        let scenario = catalogue::named(test).expect("in the catalogue");
        if scenario.refused_by(arch).is_none() && !(test == "MP" && arch == Arch::X86_64) {
            bench.races(test, rounds);
            bench.peaks(test, rounds);
        }
    }
}

impl Bench {
    fn edges(&self, step: Option<f64>) -> Option<Edges> {
        Edges::of(&self.clock, step.map(Nanos))
    }

    /// Prints the races per second by clock.
    fn races(&self, test: &str, rounds: usize) {
        let mut found: Vec<Vec<ScenarioResult>> = vec![Vec::new(); CLOCKS.len()];
        for _ in 0..rounds {
            for ((_, step), found) in CLOCKS.iter().zip(&mut found) {
                found.push(self.measure(test, *step, None));
            }
        }
        println!(
            "\n{:<8}{:<8} {:>12} {:>8} {:>10} {:>7} {:>10}",
            test, "clock", "M races/s", "races", "period", "late", "of fine"
        );
        let rate = |result: &ScenarioResult| result.races as f64 / result.elapsed_s;
        for ((name, _), results) in CLOCKS.iter().zip(&found) {
            let of = |value: &dyn Fn(&ScenarioResult) -> f64| median(results.iter().map(value).collect());
            let ratios = results.iter().zip(&found[0]).map(|(result, fine)| rate(result) / rate(fine)).collect();
            println!(
                "{:<8}{name:<8} {:>12.3} {:>7.1}% {:>7.1} ns {:>6.1}% {:>10.2}",
                "",
                of(&|result| rate(result) / 1e6),
                of(&|result| 100.0 * result.rate.unwrap_or(0.0)),
                of(&|result| result.pace.period_ns.unwrap_or(0.0)),
                of(&|result| 100.0 * result.pace.late.unwrap_or(0.0)),
                median(ratios),
            );
        }
    }

    /// Prints where the window has its peak by clock.
    fn peaks(&self, test: &str, rounds: usize) {
        let skews: Vec<f64> = (-WIDEST / STEP..=WIDEST / STEP).map(|step| (step * STEP) as f64).collect();
        let mut found: Vec<Vec<(f64, f64)>> = vec![Vec::new(); CLOCKS.len()];
        for _ in 0..rounds {
            for ((_, step), found) in CLOCKS.iter().zip(&mut found) {
                found.push(peak(&self.measure(test, *step, Some(&skews))));
            }
        }
        println!("{:<8}{:<8} {:>12} {:>10} {:>14}", "window", "clock", "peak", "rate", "peak - fine's");
        for ((name, _), peaks) in CLOCKS.iter().zip(&found) {
            println!(
                "{:<8}{name:<8} {:>9.1} ns {:>9.1}% {:>11.1} ns",
                "",
                median(peaks.iter().map(|peak| peak.0).collect()),
                100.0 * median(peaks.iter().map(|peak| peak.1).collect()),
                median(peaks.iter().zip(&found[0]).map(|(peak, fine)| peak.0 - fine.0).collect()),
            );
        }
    }

    fn measure(&self, test: &str, step: Option<f64>, skews: Option<&[f64]>) -> ScenarioResult {
        let scenario = catalogue::named(test).expect("in the catalogue");
        let common = Common {
            target: self.target,
            clock: self.clock,
            edges: self.edges(step),
            line: 128,
            seed: 1,
            limits: Limits { duration: Some(self.each), ..Limits::default() },
            nice: machine::PREFERRED_NICE,
            event: None,
            window: skews.is_some(),
            side_by_side: false,
        };
        let units = common.units();
        let drawn = skews.is_some();
        let skews = skews.map(|skews| skews.iter().map(|&ns| units.ticks(Nanos(ns))).collect());
        let choice = Choice {
            pace: PaceChoice::Paced { given: true, period: drawn.then(|| units.ticks(Nanos(WINDOW_PERIOD))), skews },
            layout: LayoutKind::Padded,
            batch: None,
            group: drawn.then_some(1),
            prefetch: Prefetch::default(),
            stress: None,
            profile: None,
            searching: searching(!drawn),
        };
        let expectation =
            verdict::expectation(&scenario, self.target.arch, self.target.choices()).expect("it is valid");
        let experiment = Experiment::new(&scenario, self.placement.clone(), choice, expectation, &common);
        let experiment = experiment.expect("it can be emitted");
        let attempt = |number| match experiment::run(&experiment, &AtomicBool::new(false), |_| ()) {
            Ok(finished) => Some(finished.result),
            // On a busy machine the delay that divides a step sometimes cannot be measured.
            Err(error) => {
                println!("attempt {number}: {error}");
                None
            }
        };
        (1..=ATTEMPTS).find_map(attempt).expect("the host can run it")
    }
}

/// How races are searched for: as `wakerace run` does without options. Windows are drawn here with one instance per tick, so that the
/// skew is that of every instance.
fn searching(races: bool) -> Option<Searching> {
    let allowed = Allowed { free: false, ..Allowed::all() };
    races.then(|| Searching { allowed, knowledge: Arc::default(), budget: None })
}

/// The centre of the part of a window that is above half of its highest rate, weighted by the excess, and the highest rate.
fn peak(result: &ScenarioResult) -> (f64, f64) {
    let rates: Vec<(f64, f64)> =
        result.skews.iter().map(|skew| (skew.skew_ns, skew.races as f64 / skew.iterations.max(1) as f64)).collect();
    let highest = rates.iter().map(|rate| rate.1).fold(0.0, f64::max);
    let (mut moment, mut weight) = (0.0, f64::MIN_POSITIVE);
    for (ns, rate) in rates {
        let excess = (rate - highest / 2.0).max(0.0);
        (moment, weight) = (moment + ns * excess, weight + excess);
    }
    (moment / weight, highest)
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(0.0)
}
