//! Goals: what a run may find out before it ends.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::history::Block;
use crate::stats::{Count, Interval, effect_in_time, sequence_with};

/// The fewest blocks that tell how much the rate changes. With fewer, no rate counts as known.
const LEAST_BLOCKS: usize = 16;
/// The blocks must have at least one of so many iterations, or the rate is that of a run that still looks for its period and its skews.
const LEAST_SHARE: u64 = 4;

/// What a run must find out. The interval is the confidence sequence of the run so far ([`sequence_with`]), which allows
/// for runs that end by what they have found.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Goal {
    /// Half of the interval's width is at most this fraction of the rate.
    RateKnown(f64),
    /// The interval lies below or above this rate.
    BoundBelow(f64),
}

impl Goal {
    /// Whether a run with these counts has reached the goal. `blocks` are the counts of its parts in time.
    pub(super) fn is_reached(self, races: u64, iterations: u64, blocks: &[Block]) -> bool {
        let counts: Vec<Count> = blocks.iter().map(|block| Count { seen: block.races, of: block.iterations }).collect();
        let Some(found) = sequence_with(races, iterations, effect_in_time(&counts)) else { return false };
        // Blocks begin when the period and the skews are chosen. Before that the rate still rises.
        let in_blocks: u64 = blocks.iter().map(|block| block.iterations).sum();
        let settled = blocks.len() >= LEAST_BLOCKS && in_blocks.saturating_mul(LEAST_SHARE) >= iterations;
        let enough = !matches!(self, Goal::RateKnown(_)) || settled;
        enough && self.is_met(races as f64 / iterations as f64, found)
    }

    /// Whether a rate with this interval is what was to be found out.
    pub fn is_met(self, rate: f64, interval: Interval) -> bool {
        match self {
            Goal::RateKnown(fraction) => rate > 0.0 && (interval.high - interval.low) / 2.0 <= fraction * rate,
            Goal::BoundBelow(bound) => interval.high < bound || interval.low > bound,
        }
    }
}

/// As on the command line: `rate known to 10 %`, `bound below 1e-9`.
impl fmt::Display for Goal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            // Six digits hide that a per cent need not be an f64.
            Goal::RateKnown(fraction) => write!(f, "rate known to {} %", (fraction * 1e8).round() / 1e6),
            Goal::BoundBelow(bound) => write!(f, "bound below {bound:e}"),
        }
    }
}

impl From<Goal> for String {
    fn from(goal: Goal) -> String {
        goal.to_string()
    }
}

impl TryFrom<String> for Goal {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl FromStr for Goal {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let words: Vec<&str> = text.split_whitespace().collect();
        let wrong = || {
            format!(
                "'{text}' is not a goal; expected 'rate known to 10 %' (more than 0 and less than 100 %) or \
                 'bound below 1e-9' (more than 0 and less than 1)"
            )
        };
        let number = |text: &str| text.parse::<f64>().ok().filter(|value| *value > 0.0 && *value < 1.0);
        let percent = |text: &str| number(&format!("{text}e-2"));
        let goal = match words[..] {
            ["rate", "known", "to", value, "%"] => percent(value).map(Goal::RateKnown),
            ["rate", "known", "to", value] => value.strip_suffix('%').and_then(percent).map(Goal::RateKnown),
            ["bound", "below", value] => number(value).map(Goal::BoundBelow),
            _ => None,
        };
        goal.ok_or_else(wrong)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_goal_reads_as_it_prints() {
        for text in ["rate known to 10 %", "rate known to 0.5 %", "bound below 1e-9", "bound below 2.5e-3"] {
            assert_eq!(text.parse::<Goal>().unwrap().to_string(), text);
        }
        assert_eq!("rate  known to 7%".parse(), Ok(Goal::RateKnown(0.07)));
        let wrong = [
            "",
            "rate",
            "rate known to 0 %",
            "rate known to 100 %",
            "rate known to x %",
            "bound below 1",
            "bound below -1e-3",
            "bound below 1e-3 %",
            "bound below nan",
            "rate known to 10",
        ];
        for text in wrong {
            assert!(text.parse::<Goal>().unwrap_err().contains("expected 'rate known to 10 %'"), "{text}");
        }
    }

    /// Alternately one rate and another, in blocks of a thousand.
    fn blocks(number: usize, rates: [u64; 2]) -> Vec<Block> {
        (0..number).map(|at| Block { iterations: 1000, races: rates[at % 2] }).collect()
    }

    fn reached(goal: Goal, blocks: &[Block]) -> bool {
        let sum = |of: fn(&Block) -> u64| blocks.iter().map(of).sum();
        goal.is_reached(sum(|block| block.races), sum(|block| block.iterations), blocks)
    }

    #[test]
    fn a_rate_is_known_when_its_interval_is_narrow_and_its_changes_are_in_it() {
        let goal = Goal::RateKnown(0.1);
        assert!(reached(goal, &blocks(32, [100, 100])));
        assert!(!reached(goal, &blocks(32, [1, 1])));
        assert!(!reached(goal, &blocks(LEAST_BLOCKS - 1, [500, 500])), "too few blocks");
        assert!(reached(goal, &blocks(LEAST_BLOCKS, [500, 500])));
        assert!(!reached(goal, &blocks(32, [10, 190])), "the same sum, with a rate that changes");
        let few = blocks(32, [500, 500]);
        assert!(goal.is_reached(64_000, 128_000, &few));
        assert!(!goal.is_reached(64_000, 128_001, &few), "most iterations are of the time before the blocks");
        assert!(!reached(goal, &blocks(1000, [0, 0])), "no race says nothing about a fraction of the rate");
    }

    #[test]
    fn a_bound_is_decided_on_either_side() {
        let goal = Goal::BoundBelow(1e-3);
        assert!(!reached(goal, &blocks(2, [0, 0])));
        assert!(reached(goal, &blocks(5, [0, 0])));
        assert!(reached(goal, &blocks(5, [20, 20])), "above the bound for sure");
        assert!(!reached(goal, &blocks(5, [1, 1])));
        assert!(!goal.is_reached(0, 0, &[]));
    }
}
