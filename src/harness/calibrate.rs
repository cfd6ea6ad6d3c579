//! Choosing a period: the shortest that the threads can keep.

use std::sync::atomic::AtomicBool;
use std::time::Duration;

use super::run::{Job, LONGEST_PERIOD, Limits, Plan, SHORTEST_PERIOD, run};
use crate::codegen::Pace;
use crate::error::Result;

/// Time for one trial.
const TRIAL: Duration = Duration::from_millis(1);
/// The first period tried, as a part of what a group takes when nothing is waited for: threads that are out of step, as they are then, take
/// longer than threads in step.
const FIRST: f64 = 0.15;
/// The share of instances that may begin late. Where threads keep up it is a few hundredths, where they do not several
/// tenths.
const LATE: f64 = 0.06;
/// From one period to the next longer one.
const STEP: f64 = 1.3;

/// Finds the shortest period, in ticks, at which the threads keep to the clock, trying from short to long.
///
/// `job` must hold paced code. Takes some ten milliseconds.
///
/// # Errors
/// As [`run`].
pub fn choose_pace(job: Job<'_>, plan: &Plan) -> Result<u64> {
    let hz = job.clock.frequency_hz;
    let trial = |period: u64| {
        let plan = Plan {
            pace: Pace::Paced,
            period,
            adapt: false,
            focus: false,
            skews: vec![0],
            limits: Limits { duration: Some(TRIAL), ..Limits::default() },
            ..plan.clone()
        };
        run(job, &plan, &AtomicBool::new(false), |_| ())
    };
    // A period of one tick is always over.
    let rushed = trial(1)?;
    let groups = (rushed.tally.iterations / plan.group as u64).max(1);
    let mut seconds = (FIRST * rushed.in_batches.as_secs_f64() / groups as f64).max(SHORTEST_PERIOD);
    while seconds < LONGEST_PERIOD {
        let period = (seconds * hz).max(1.0) as u64;
        // A thread that loses its CPU for a moment makes one trial late; that it happens twice is less likely.
        for _ in 0..2 {
            if trial(period)?.late <= LATE {
                return Ok(period);
            }
        }
        seconds *= STEP;
    }
    Ok((LONGEST_PERIOD * hz) as u64)
}
