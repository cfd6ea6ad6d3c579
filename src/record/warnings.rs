//! Warnings: what a reader of a rate must know beside its interval.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{LastWriterRecord, ScenarioResult};
use crate::harness::Goal;
use crate::litmus::Verdict;
use crate::stats::{Interval, interval};

/// The least share of discarded iterations that gives a warning.
const MUCH_DISCARDED: f64 = 0.03;
/// A rate varied much if the number of iterations is more than this many times the number of effective
/// iterations.
const MUCH_SPREAD: f64 = 100.0;
/// The rates by cache-line ownership differ much if the lower bound of the highest rate is more than this many
/// times the upper bound of the lowest rate.
const MUCH_APART: f64 = 4.0;

/// A warning about a result. It follows from the result's other fields, which have the numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Warning {
    /// The rate at the end differs from that at the start (`drift`).
    RateDrifted,
    /// The rate varied so much, in time or between repeats, that the iterations count for few
    /// (`effective_iterations`).
    RateVaried,
    /// The rate depends on which thread last wrote each variable (`last_writers`).
    RateByLastWriters,
    /// Many iterations were discarded, because a thread lost its CPU (`discarded`).
    Discarded,
    /// Iterations were discarded, because a thread was on a wrong CPU (`moved`).
    Moved,
    /// The test's filter excluded instances (`filtered`).
    Filtered,
    /// The run ended by what it had found (`stopped_by`), so `sequence` stands in place of `interval`.
    StoppedByFinding,
    /// The run ended before it reached its goal (`goal`).
    GoalNotReached,
    /// Races were seen while the settings were searched (`search`), and none afterwards.
    SeenInSearch,
}

impl Warning {
    /// All warnings, in the order in which they are printed.
    pub const ALL: [Warning; 9] = [
        Warning::RateDrifted,
        Warning::RateVaried,
        Warning::RateByLastWriters,
        Warning::Discarded,
        Warning::Moved,
        Warning::Filtered,
        Warning::StoppedByFinding,
        Warning::GoalNotReached,
        Warning::SeenInSearch,
    ];

    /// Whether the warning applies to a result.
    fn applies(self, result: &ScenarioResult) -> bool {
        match self {
            Warning::RateDrifted => result.drift.is_some_and(|drift| drift.is_flagged()),
            Warning::RateVaried => {
                result.effective().is_some_and(|effective| result.iterations as f64 > MUCH_SPREAD * effective)
            }
            Warning::RateByLastWriters => {
                result.extreme_last_writers().is_some_and(|[most, least]| most.1.low > MUCH_APART * least.1.high)
            }
            Warning::Discarded => result.discarded_share() > MUCH_DISCARDED,
            Warning::Moved => result.moved > 0,
            Warning::Filtered => result.filtered > 0,
            Warning::StoppedByFinding => result.sequence.is_some(),
            Warning::GoalNotReached => result.misses_its_goal(),
            Warning::SeenInSearch => result.races == 0 && result.seen().1 > 0,
        }
    }
}

impl ScenarioResult {
    /// The warnings that apply to this result.
    pub(super) fn current_warnings(&self) -> Vec<Warning> {
        Warning::ALL.into_iter().filter(|warning| warning.applies(self)).collect()
    }

    /// Whether the run ended before it reached its goal. Repeats and the parts of a sum may have reached it together.
    fn misses_its_goal(&self) -> bool {
        let Some(goal) = self.goal else { return false };
        let together = self.repeats.len() > 1;
        let ended_by_it = !together && self.stopped_by == Some(goal.to_string());
        let met = self.rate.zip(self.sequence_of_rate()).is_some_and(|(rate, range)| goal.is_met(rate, range));
        // A test that must not race has no rate to know, and a control was not what the goal is about.
        let must_not = self.is_control || self.expected == Some(Verdict::Never);
        let hopeless = must_not && self.races == 0 && matches!(goal, Goal::RateKnown(_));
        !ended_by_it && !met && !hopeless
    }

    /// The share of iterations that were discarded, because a thread lost its CPU.
    pub fn discarded_share(&self) -> f64 {
        self.discarded as f64 / (self.discarded as f64 + self.iterations as f64).max(1.0)
    }

    /// The counts by last writers with the highest and with the lowest rate, each with the interval of its rate.
    /// Highest: that with the highest lower bound. Lowest: that with the lowest upper bound.
    pub fn extreme_last_writers(&self) -> Option<[(&LastWriterRecord, Interval); 2]> {
        let known: Vec<_> = (self.last_writers.iter())
            .filter_map(|entry| Some((entry, interval(entry.races, entry.iterations)?)))
            .collect();
        let most = known.iter().max_by(|a, b| a.1.low.total_cmp(&b.1.low))?;
        let least = known.iter().min_by(|a, b| a.1.high.total_cmp(&b.1.high))?;
        Some([*most, *least])
    }
}
