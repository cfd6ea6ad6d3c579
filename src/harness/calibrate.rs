//! Calibration: chooses the group size and the shortest period that the threads can keep.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::arena::Memory;
use super::convert::whole;
use super::period::{LONGEST_PERIOD, SHORTEST_PERIOD};
use super::plan::{Adapt, Job, Limits, RunPlan};
use super::run::{run_briefly, run_in};
use crate::error::{Error, Result};
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

/// How often a trial is made at most if none of its batches counts.
const AGAIN: u32 = 8;
/// The most time for all trials. They take some ten milliseconds, and many times as long on a machine whose CPUs are busy. The
/// period adapts during the run anyway.
const ALL_TRIALS: Duration = Duration::from_millis(250);

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
        let measured = run_in(memory, job, &candidate, interrupt, &mut |_| ())?;
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
    let hz = job.clock.frequency_hz;
    let begun = Instant::now();
    let chosen = shortest_kept(
        hz,
        || begun.elapsed() >= ALL_TRIALS,
        |period| {
            let plan = RunPlan {
                period,
                adapt: Adapt::Never,
                focus: false,
                skews: vec![Ticks(0)],
                limits: Limits { duration: Some(TRIAL), ..Limits::default() },
                ..plan.clone()
            };
            let measured = run_briefly(memory, job, &plan, interrupt)?;
            let groups = measured.groups(plan.group);
            let trial = Trial { groups, seconds: measured.in_batches.as_secs_f64(), late: measured.late };
            Ok((!interrupt.load(Ordering::Relaxed)).then_some(trial))
        },
    )?;
    Ok(chosen.unwrap_or(plan.period.max(Ticks(1))))
}

/// What was counted at one period.
#[derive(Debug, Clone, Copy)]
struct Trial {
    /// Number of groups. 0 if a thread lost its CPU in every batch.
    groups: u64,
    /// Time in their batches, in seconds.
    seconds: f64,
    /// Share of the groups that started late.
    late: f64,
}

/// Finds the shortest period that is kept, by trials of a few milliseconds, on a clock of `hz` ticks per second. If the time is
/// over, the period that was to be tried next. `None` if a trial says that the search is to end.
fn shortest_kept(
    hz: f64,
    over: impl Fn() -> bool,
    mut trial: impl FnMut(Ticks) -> Result<Option<Trial>>,
) -> Result<Option<Ticks>> {
    let ticks = |seconds: f64| Ticks::from(whole((seconds * hz).round().max(1.0)));
    // On a busy machine nothing may have counted in so short a time. That says nothing about the period.
    let mut counted = |period: Ticks| {
        let mut last = trial(period)?;
        for _ in 1..AGAIN {
            if last.is_none_or(|trial| trial.groups > 0) || over() {
                break;
            }
            last = trial(period)?;
        }
        Ok::<_, Error>(last)
    };
    // A period of one tick has always passed, so no thread waits for a tick.
    let Some(rushed) = counted(Ticks(1))? else { return Ok(None) };
    let mut seconds = (FIRST * rushed.seconds / rushed.groups.max(1) as f64).max(SHORTEST_PERIOD.as_secs_f64());
    while seconds < LONGEST_PERIOD.as_secs_f64() {
        let period = ticks(seconds);
        // A thread that loses its CPU for a moment makes one trial late. That this happens twice is less
        // likely.
        for _ in 0..2 {
            if over() {
                return Ok(Some(period));
            }
            let Some(trial) = counted(period)? else { return Ok(None) };
            if trial.groups > 0 && trial.late <= LATE {
                return Ok(Some(period));
            }
        }
        seconds *= STEP;
    }
    Ok(Some(ticks(LONGEST_PERIOD.as_secs_f64())))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A machine that keeps periods of 400 ns, and on which one trial of `every` counts anything. It is interrupted after some
    /// trials, or the time is over. Returns the period and the number of trials.
    fn on_a_busy_machine(every: usize, interrupted: usize, over: usize) -> (Option<Ticks>, usize) {
        let trials = std::cell::Cell::new(0);
        let trial = |period: Ticks| {
            trials.set(trials.get() + 1);
            if trials.get() > interrupted {
                return Ok(None);
            }
            let groups = if trials.get().is_multiple_of(every) { 1000 } else { 0 };
            // Nothing is late where nothing is counted.
            let late = if groups > 0 && period.0 < 400 { 0.9 } else { 0.0 };
            Ok(Some(Trial { groups, seconds: groups as f64 * 600e-9, late }))
        };
        (shortest_kept(1e9, || trials.get() >= over, trial).unwrap(), trials.get())
    }

    #[test]
    fn a_trial_that_counted_nothing_says_nothing() {
        let (Some(Ticks(period)), trials) = on_a_busy_machine(3, usize::MAX, usize::MAX) else { panic!("no period") };
        assert!((400..520).contains(&period) && trials > 20, "{period}");
        // Now and then a period has no trial that counts.
        let (Some(Ticks(period)), _) = on_a_busy_machine(19, usize::MAX, usize::MAX) else { panic!("no period") };
        assert!(period >= 400, "{period}");
        assert_eq!(on_a_busy_machine(3, 10, usize::MAX), (None, 11));
        // 600 ns, times 0.15, times 1.3: the period that was to be tried next.
        assert_eq!(on_a_busy_machine(3, usize::MAX, 9), (Some(Ticks(117)), 9));
        assert_eq!(on_a_busy_machine(3, usize::MAX, 1), (Some(Ticks(30)), 1));
    }
}
