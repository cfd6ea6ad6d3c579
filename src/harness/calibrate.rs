//! Choosing a period: the shortest that the threads can keep.

use std::sync::atomic::AtomicBool;
use std::time::Duration;

use super::run::{Job, LONGEST_PERIOD, Limits, Plan, SHORTEST_PERIOD, run};
use crate::codegen::Pace;
use crate::error::Result;

/// Time for one trial.
const TRIAL: Duration = Duration::from_millis(2);
/// The share of instances that may begin late. Where threads keep up it is a few hundredths, where they do not several
/// tenths.
const LATE: f64 = 0.06;
/// From one period to the next longer one.
const STEP: f64 = 1.3;

/// Finds the shortest period, in ticks, at which the threads keep to the clock, trying from short to long.
///
/// `job` must hold paced code. Takes some tens of milliseconds.
///
/// # Errors
/// As [`run`].
pub fn choose_pace(job: Job<'_>, plan: &Plan) -> Result<u64> {
    let hz = job.clock.frequency_hz;
    let mut seconds = SHORTEST_PERIOD;
    while seconds < LONGEST_PERIOD {
        let period = (seconds * hz).max(1.0) as u64;
        let trial = Plan {
            pace: Pace::Paced,
            period,
            adapt: false,
            skews: vec![0],
            limits: Limits { duration: Some(TRIAL), ..Limits::default() },
            ..plan.clone()
        };
        // A thread that loses its CPU for a moment makes one trial late; that it happens twice is less likely.
        for _ in 0..2 {
            if run(job, &trial, &AtomicBool::new(false), |_| ())?.late <= LATE {
                return Ok(period);
            }
        }
        seconds *= STEP;
    }
    Ok((LONGEST_PERIOD * hz) as u64)
}
