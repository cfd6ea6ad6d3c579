//! The time of a search, and of its finals.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::candidate::TURN;
use crate::harness::Limits;
use crate::search::{Allowed, Knowledge};

/// Share of a run's time for the search, and the most time that it takes.
const SHARE: f64 = 0.2;
const LONGEST: Duration = Duration::from_secs(5);
/// The largest share of the rest of a run for a search at another distance.
const SHARE_OF_REST: f64 = 0.5;
/// With less time than for this many turns, there is no search.
const LEAST_TURNS: u32 = 6;
/// Share of the time at a distance for the finals, the most arms in them, and the shortest one: a measurement needs this long to find its
/// period and its skews.
const FINALS: f64 = 0.25;
pub(super) const FINALISTS: u32 = 3;
pub(super) const LEAST_FINAL: Duration = Duration::from_millis(60);
/// The most time of a search whose CPUs move, in units of the time that it has at one distance.
const MOVED: f64 = 2.0;

/// How the settings of an experiment are searched.
#[derive(Debug, Clone)]
pub struct Searching {
    /// What may be varied.
    pub allowed: Allowed,
    /// What the searches of this run have found so far.
    pub knowledge: Arc<Mutex<Knowledge>>,
    /// Time for the search, if it is not a share of the run's.
    pub budget: Option<Duration>,
}

impl Searching {
    /// The time for the search of a run with these limits. `None` if the run is too short, or is to end as soon as it has seen or done
    /// something. `moved` is for the rest of a run whose CPUs have moved: the time that the search of the whole run had at a distance.
    pub(in super::super) fn time(&self, limits: &Limits, moved: Option<Duration>) -> Option<Time> {
        let of_run = |duration: Duration| match moved {
            None => Time::new(duration.mul_f64(SHARE).min(LONGEST), duration),
            Some(here) => Time::new(here, duration.mul_f64(SHARE_OF_REST)),
        };
        let timed = limits.duration.filter(|_| limits.iterations.is_none() && limits.races.is_none());
        let time = self.budget.map(|budget| Time::new(budget, budget)).or(timed.map(of_run));
        time.filter(|time| time.here >= LEAST_TURNS * TURN)
    }

    /// The time for the search of a run with these limits at one distance, in seconds; `None` if there is none.
    pub fn seconds(&self, limits: &Limits) -> Option<f64> {
        self.time(limits, None).map(|time| time.here.as_secs_f64())
    }

    /// Whether the chosen settings stay where the CPUs move to another distance. Those of a search with a budget are for a profile. A
    /// goal is about one run, and other limits may be near.
    pub(in super::super) fn stays(&self, limits: &Limits) -> bool {
        let timed_alone =
            limits.duration.is_some() && limits.iterations.is_none() && limits.races.is_none() && limits.goal.is_none();
        self.budget.is_some() || !timed_alone
    }
}

/// The time for a search.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) struct Time {
    /// At one distance.
    pub here: Duration,
    /// At all distances, if the CPUs move.
    pub most: Duration,
}

impl Time {
    pub(super) fn new(here: Duration, most: Duration) -> Time {
        Time { here: here.min(most), most: here.mul_f64(MOVED).min(most) }
    }

    /// The time of a final, if there is enough.
    pub(super) fn of_final(self) -> Option<Duration> {
        Some(self.here.mul_f64(FINALS) / FINALISTS).filter(|time| *time >= LEAST_FINAL)
    }

    /// The time for turns at one distance.
    pub(super) fn of_turns(self) -> Duration {
        self.here.saturating_sub(self.of_final().unwrap_or_default() * FINALISTS)
    }
}

/// The time of a run that is left after a search that was to take at most `time`. On a busy machine it may take longer, at the cost of
/// the whole and not of what is measured.
pub(super) fn rest(duration: Duration, searched: Duration, time: Duration) -> Duration {
    duration.saturating_sub(searched.min(time))
}
