//! Calibration: chooses the group size and the shortest period that the threads can keep.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::arena::Memory;
use super::convert::whole;
use super::period::{LONGEST_PERIOD, SHORTEST_PERIOD};
use super::plan::{Adapt, Job, Limits, RunPlan};
use super::run::run_in;
use crate::error::Result;
use crate::units::Ticks;

/// Duration of one trial.
const TRIAL: Duration = Duration::from_millis(2);
/// The first period to try, as a fraction of the time per group when no thread waits for a tick. Unsynchronized
/// threads take longer per group than synchronized threads, so the fraction is well below 1.
const FIRST: f64 = 0.15;
/// Maximum share of instances that may start late. Measured: it is a few hundredths where the threads keep up,
/// and several tenths where they do not.
const LATE: f64 = 0.06;
/// Ratio of each period to the one tried before it.
const STEP: f64 = 1.3;

/// The group size to compare with 1 if the user gives none. Measured on store buffering: four instances take
/// little longer than one, and nearly all of them have the weak outcome; with eight, the threads drift apart.
const GROUP: usize = 4;
/// Groups are used if they give at least this many times the instances per second of single instances. The
/// instances of a group then overlap. If a barrier or a lock keeps them apart, a group only blurs the skew.
const OVERLAP: f64 = 1.7;
/// Duration of each measurement when the two group sizes are compared.
const COMPARE: Duration = Duration::from_millis(12);

/// Decides whether to run instances in groups, and sets the group and the period of the plan.
///
/// If `interrupt` is set, the function stops early and uses the best result so far.
///
/// # Errors
/// As [`run`](super::run()).
pub fn choose_group((job, memory): (Job<'_>, &mut Memory), plan: &mut RunPlan, interrupt: &AtomicBool) -> Result<()> {
    let choices = [1, GROUP];
    if plan.batch < 2 * GROUP {
        // With a single group per batch, the period would not matter.
        (plan.group, plan.period) = (1, choose_pace((job, memory), &RunPlan { group: 1, ..plan.clone() }, interrupt)?);
        return Ok(());
    }
    // Any measurement counts, even one whose batches were all disturbed.
    let mut best = [(f64::NEG_INFINITY, plan.period); 2];
    // The two choices alternate, and the better result of each counts: a thread that loses its CPU for a moment
    // spoils only one measurement.
    for round in 0..2 * choices.len() {
        if interrupt.load(Ordering::Relaxed) {
            break;
        }
        let at = round % choices.len();
        let mut candidate =
            RunPlan { group: choices[at], adapt: Adapt::Kept, focus: false, skews: vec![Ticks(0)], ..plan.clone() };
        candidate.period = choose_pace((job, &mut *memory), &candidate, interrupt)?;
        candidate.limits = Limits { duration: Some(COMPARE), ..Limits::default() };
        let measured = run_in(memory, job, &candidate, interrupt, |_| ())?;
        let speed = measured.tally.instances() as f64 / measured.elapsed.as_secs_f64().max(1e-9);
        if speed > best[at].0 {
            best[at] = (speed, job.clock.ticks(measured.period).max(Ticks(1)));
        }
    }
    let chosen = usize::from(best[1].0 > OVERLAP * best[0].0);
    (plan.group, plan.period) = (choices[chosen], best[chosen].1);
    Ok(())
}

/// Finds the shortest period at which the threads keep up with the clock. Tries periods from short
/// to long.
///
/// `job` must hold paced code. The search takes tens of milliseconds. When `interrupt` is set, it ends after
/// the current trial and returns the period of the plan.
///
/// # Errors
/// As [`run`](super::run()).
pub fn choose_pace((job, memory): (Job<'_>, &mut Memory), plan: &RunPlan, interrupt: &AtomicBool) -> Result<Ticks> {
    let ticks = |seconds: f64| Ticks::from(whole((seconds * job.clock.frequency_hz).max(1.0)));
    let mut trial = |period: Ticks| {
        let plan = RunPlan {
            period,
            adapt: Adapt::Never,
            focus: false,
            skews: vec![Ticks(0)],
            limits: Limits { duration: Some(TRIAL), ..Limits::default() },
            ..plan.clone()
        };
        run_in(memory, job, &plan, interrupt, |_| ())
    };
    let interrupted = || interrupt.load(Ordering::Relaxed);
    // A period of one tick has always passed, so no thread waits for a tick.
    let rushed = trial(Ticks(1))?;
    let groups = (rushed.tally.instances() / plan.group as u64).max(1);
    let mut seconds = (FIRST * rushed.in_batches.as_secs_f64() / groups as f64).max(SHORTEST_PERIOD.as_secs_f64());
    while seconds < LONGEST_PERIOD.as_secs_f64() {
        let period = ticks(seconds);
        // A thread that loses its CPU for a moment makes one trial late. That this happens twice is less
        // likely.
        for _ in 0..2 {
            let late = trial(period)?.late;
            if interrupted() {
                return Ok(plan.period.max(Ticks(1)));
            }
            if late <= LATE {
                return Ok(period);
            }
        }
        seconds *= STEP;
    }
    Ok(ticks(LONGEST_PERIOD.as_secs_f64()))
}
