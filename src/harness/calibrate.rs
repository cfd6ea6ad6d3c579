//! Choosing a period: the shortest that the threads can keep.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::convert::whole;
use super::period::{LONGEST_PERIOD, SHORTEST_PERIOD};
use super::plan::{Adapt, Job, Limits, Plan};
use super::run::run;
use crate::codegen::Pace;
use crate::error::Result;

/// Time for one trial.
const TRIAL: Duration = Duration::from_millis(2);
/// The first period tried, as a part of what a group takes when nothing is waited for: threads that are out of step, as they are then, take
/// longer than threads in step.
const FIRST: f64 = 0.15;
/// The share of instances that may begin late. Where threads keep up it is a few hundredths, where they do not several
/// tenths.
const LATE: f64 = 0.06;
/// From one period to the next longer one.
const STEP: f64 = 1.3;

/// Instances of a group, if their number is left to wakerace and it is not one. Measured on store buffering: four take little longer than one,
/// and nearly all of them are as weak; eight drift apart.
const GROUP: usize = 4;
/// Groups are taken if they give at least so many times the instances per second of one instance at a time. Then the instances of a group overlap;
/// where a barrier or a lock keeps them apart, a group would only blur the skew.
const OVERLAP: f64 = 1.7;
/// Time to compare the two, each.
const COMPARE: Duration = Duration::from_millis(12);

/// Whether instances are better run in groups; sets the plan's group and period. `interrupt` ends it, with the best so far.
///
/// # Errors
/// As [`run`].
pub fn choose_group(job: Job<'_>, plan: &mut Plan, interrupt: &AtomicBool) -> Result<()> {
    let choices = [1, GROUP];
    if plan.batch < 2 * GROUP {
        // A batch of one group would have no period.
        (plan.group, plan.period) = (1, choose_pace(job, &Plan { group: 1, ..plan.clone() }, interrupt)?);
        return Ok(());
    }
    let mut best = [(0.0, plan.period); 2];
    // In turns, and the better of each: a thread that loses its CPU for a moment spoils one.
    for round in 0..2 * choices.len() {
        if interrupt.load(Ordering::Relaxed) {
            break;
        }
        let at = round % choices.len();
        let mut candidate =
            Plan { group: choices[at], adapt: Adapt::Kept, focus: false, skews: vec![0], ..plan.clone() };
        candidate.period = choose_pace(job, &candidate, interrupt)?;
        candidate.limits = Limits { duration: Some(COMPARE), ..Limits::default() };
        let measured = run(job, &candidate, interrupt, |_| ())?;
        let speed = measured.tally.instances() as f64 / measured.elapsed.as_secs_f64().max(1e-9);
        if speed > best[at].0 {
            best[at] = (speed, whole(measured.period.round().max(1.0)));
        }
    }
    let chosen = usize::from(best[1].0 > OVERLAP * best[0].0);
    (plan.group, plan.period) = (choices[chosen], best[chosen].1);
    Ok(())
}

/// Finds the shortest period, in ticks, at which the threads keep to the clock, trying from short to long.
///
/// `job` must hold paced code. Takes some ten milliseconds; when `interrupt` is set, no longer than the trial at hand, and the plan's period
/// is as good as another.
///
/// # Errors
/// As [`run`].
pub fn choose_pace(job: Job<'_>, plan: &Plan, interrupt: &AtomicBool) -> Result<u64> {
    let hz = job.clock.frequency_hz;
    let trial = |period: u64| {
        let plan = Plan {
            pace: Pace::Paced,
            period,
            adapt: Adapt::Never,
            focus: false,
            skews: vec![0],
            limits: Limits { duration: Some(TRIAL), ..Limits::default() },
            ..plan.clone()
        };
        run(job, &plan, interrupt, |_| ())
    };
    let interrupted = || interrupt.load(Ordering::Relaxed);
    // A period of one tick is always over.
    let rushed = trial(1)?;
    let groups = (rushed.tally.instances() / plan.group as u64).max(1);
    let mut seconds = (FIRST * rushed.in_batches.as_secs_f64() / groups as f64).max(SHORTEST_PERIOD);
    while seconds < LONGEST_PERIOD {
        let period = whole((seconds * hz).max(1.0));
        // A thread that loses its CPU for a moment makes one trial late; that it happens twice is less likely.
        for _ in 0..2 {
            let late = trial(period)?.late;
            if interrupted() {
                return Ok(plan.period.max(1));
            }
            if late <= LATE {
                return Ok(period);
            }
        }
        seconds *= STEP;
    }
    Ok(whole(LONGEST_PERIOD * hz))
}
