//! Choosing a period: the shortest that the threads can keep.

use std::sync::atomic::AtomicBool;
use std::time::Duration;

use super::run::{Job, Limits, Plan, run};
use crate::codegen::Pace;
use crate::error::Result;

/// Time for one trial.
const TRIAL: Duration = Duration::from_millis(4);
/// How much longer than planned a batch may take and still count as kept: the threads' way into and out of the barrier.
const SLACK: f64 = 1.15;
/// The first period tried, in nanoseconds: below it even two uncontended clock reads do not fit.
const SHORTEST_NS: f64 = 60.0;
/// The longest period worth trying, in nanoseconds: slower than any line transfer between two sockets.
const LONGEST_NS: f64 = 20_000.0;

/// Finds the shortest period, in ticks, at which the threads keep to the clock, trying from short to long.
///
/// `job` must hold paced code. Takes some tens of milliseconds.
///
/// # Errors
/// As [`run`].
pub fn choose_pace(job: Job<'_>, plan: &Plan) -> Result<u64> {
    let mut ns = SHORTEST_NS;
    while ns < LONGEST_NS {
        let period = job.clock.ticks(ns).max(1.0) as u64;
        let trial = Plan {
            pace: Pace::Paced,
            period,
            skews: vec![0],
            limits: Limits { duration: Some(TRIAL), ..Limits::default() },
            ..plan.clone()
        };
        let measured = run(job, &trial, &AtomicBool::new(false), |_| ())?;
        let needed = job.clock.ns(period as f64) * measured.tally.iterations as f64;
        if measured.in_batches.as_nanos() as f64 <= needed * SLACK {
            return Ok(period);
        }
        ns *= 1.25;
    }
    Ok(job.clock.ticks(LONGEST_NS) as u64)
}
