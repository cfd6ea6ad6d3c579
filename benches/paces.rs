//! Compares free-running and paced runs: iterations and weak outcomes per second, and their ratios.
//!
//! All settings are measured in every round, so that a drift in the speed of the machine affects all of them
//! equally. The bench prints the median of the rounds. Run it on an otherwise idle machine with at least two
//! CPUs.

mod common;

use std::sync::atomic::AtomicBool;
use std::time::Duration;

use wakerace::arch::Arch;
use wakerace::catalogue;
use wakerace::codegen::Pace;
use wakerace::harness::{self, Adapt, Job, Limits, Prefetch, RunPlan};
use wakerace::isa::emit;
use wakerace::layout::{Layout, LayoutKind};
use wakerace::machine::Clock;
use wakerace::units::{Nanos, Ticks};

const ROUNDS: usize = 5;
const EACH: Duration = Duration::from_millis(300);

/// One way to run a test.
struct Setting {
    scenario: &'static str,
    name: &'static str,
    layout: LayoutKind,
    /// Instances per batch; `None` for the default.
    batch: Option<usize>,
    /// `None`: free-running. Otherwise the period in nanoseconds (`None`: found by calibration) and the skew in
    /// nanoseconds.
    paced: Option<(Option<f64>, f64)>,
}

const fn free(scenario: &'static str, name: &'static str, batch: usize) -> Setting {
    Setting { scenario, name, layout: LayoutKind::Padded, batch: Some(batch), paced: None }
}

const fn paced(scenario: &'static str, name: &'static str, period: Option<f64>, skew: f64) -> Setting {
    Setting { scenario, name, layout: LayoutKind::Padded, batch: None, paced: Some((period, skew)) }
}

const SETTINGS: [Setting; 10] = [
    free("SB", "free, K 256", 256),
    free("SB", "free, K 1024", 1024),
    free("SB", "free, K 4096", 4096),
    Setting { scenario: "SB", name: "free, packed", layout: LayoutKind::Packed, batch: Some(1024), paced: None },
    paced("SB", "paced, 60 ns", Some(60.0), 0.0),
    paced("SB", "paced, calibrated", None, 0.0),
    free("S01-core", "free, K 1024", 1024),
    free("S01-as-is", "free, K 400", 400),
    paced("S01-core+nt", "paced, skew +80 ns", None, 80.0),
    paced("S01-core+nt+wmb", "paced, skew +80 ns", None, 80.0),
];

fn main() {
    let Some(placement) = common::two_cpus() else { return };
    let clock = Clock::calibrate();
    println!("CPUs {placement}; medians of {ROUNDS} rounds of {} ms per setting\n", EACH.as_millis());
    let mut samples = vec![Vec::new(); SETTINGS.len()];
    for _ in 0..ROUNDS {
        for (setting, samples) in SETTINGS.iter().zip(&mut samples) {
            samples.push(measure(setting, &placement.cpus, clock));
        }
    }
    println!(
        "{:<18} {:<20} {:>10} {:>12} {:>8} {:>10} {:>6}",
        "scenario", "setting", "M it/s", "M races/s", "races", "spread", "late"
    );
    let mut medians = Vec::new();
    for (setting, samples) in SETTINGS.iter().zip(&samples) {
        let column = |of: fn(&Sample) -> f64| {
            let mut values: Vec<f64> = samples.iter().map(of).collect();
            values.sort_by(f64::total_cmp);
            values
        };
        let (iterations, races) = (column(|s| s.iterations_per_s), column(|s| s.races_per_s));
        let middle = ROUNDS / 2;
        let spread = (iterations[ROUNDS - 1] - iterations[0]) / iterations[middle];
        println!(
            "{:<18} {:<20} {:>10.2} {:>12.3} {:>7.2}% {:>9.0}% {:>5.1}%",
            setting.scenario,
            setting.name,
            iterations[middle] / 1e6,
            races[middle] / 1e6,
            100.0 * races[middle] / iterations[middle],
            100.0 * spread,
            100.0 * column(|s| s.late)[middle],
        );
        medians.push((iterations[middle], races[middle]));
    }
    let best =
        |range: std::ops::Range<usize>, of: fn(&(f64, f64)) -> f64| medians[range].iter().map(of).fold(0.0, f64::max);
    // The packed layout is not comparable with the padded one, so the ratios use only the padded settings.
    let (free_iterations, free_races) = (best(0..3, |m| m.0), best(0..3, |m| m.1));
    let (paced_iterations, paced_races) = (best(4..6, |m| m.0), best(4..6, |m| m.1));
    println!(
        "\nSB, best setting of each pace: paced / free iterations/s {:.2}, weak outcomes/s {:.2}",
        paced_iterations / free_iterations,
        paced_races / free_races
    );
    println!(
        "weak outcomes/s of paced over iterations/s of free: {:.3} (0.133 if paced gives 4 M/s and free gives 30 M/s)",
        paced_races / free_iterations
    );
    println!("S01-core free / SB free iterations/s {:.2}", medians[6].0 / free_iterations);
}

#[derive(Clone)]
struct Sample {
    iterations_per_s: f64,
    races_per_s: f64,
    late: f64,
}

fn measure(setting: &Setting, cpus: &[usize], clock: Clock) -> Sample {
    let scenario = catalogue::named(setting.scenario).expect("in the catalogue");
    let program = &scenario.program;
    let layout = Layout::new(setting.layout, program, 128).unwrap();
    let pace = if setting.paced.is_some() { Pace::Paced } else { Pace::Free };
    let arch = Arch::host().expect("an architecture with a back end");
    let code = emit(arch, program, &layout, pace).expect("the catalogue's tests can be emitted");
    let job = Job { program, layout: &layout, code: &code, cpus, clock };
    let mut plan = RunPlan {
        pace,
        period: Ticks(0),
        group: 1,
        prefetch: Prefetch::Off,
        focus: false,
        nice: 0,
        event: None,
        adapt: Adapt::Never,
        skews: vec![Ticks(0)],
        counter_offsets: Vec::new(),
        edges: None,
        batch: setting.batch.unwrap_or_else(|| harness::default_batch(&layout, pace)),
        seed: 1,
        only_at: None,
        finds_neighbours: false,
        limits: Limits { duration: Some(EACH), ..Limits::default() },
    };
    if let Some((period, skew)) = setting.paced {
        plan.skews = vec![clock.ticks(Nanos(skew))];
        if period.is_none() {
            plan.adapt = Adapt::Races;
        }
        plan.period = match period {
            Some(ns) => clock.ticks(Nanos(ns)),
            None => harness::choose_pace((job, &mut harness::Memory::default()), &plan, &AtomicBool::new(false))
                .expect("the host can run it"),
        };
    }
    let measured = harness::run(job, &plan, &AtomicBool::new(false), |_| ()).expect("the host can run it");
    let seconds = measured.elapsed.as_secs_f64();
    let races = harness::races(program, &measured.tally.outcomes());
    Sample {
        iterations_per_s: measured.tally.iterations as f64 / seconds,
        races_per_s: races as f64 / seconds,
        late: measured.late,
    }
}
