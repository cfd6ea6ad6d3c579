//! How a result's counts are spread over the run's time and over repeats, and the intervals that follow.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::ScenarioResult;
use crate::stats::{Count, Interval, effect_between, effect_in_time, effect_per_match, interval_with, share};

/// The counts of a part of a result.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CountRecord {
    /// Instances.
    pub iterations: u64,
    /// Races among them.
    pub races: u64,
    /// Matches among them; absent in blocks of a run, and where the test declares no Match event.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub matches: Option<u64>,
}

fn among_iterations(parts: &[CountRecord]) -> Vec<Count> {
    parts.iter().map(|part| Count { seen: part.races, of: part.iterations }).collect()
}

impl ScenarioResult {
    /// The result as a repeat of a sum: its own repeats, or it is one.
    pub(super) fn as_repeats(&self) -> Vec<CountRecord> {
        let ScenarioResult { iterations, races, matches, .. } = *self;
        if self.repeats.is_empty() { vec![CountRecord { iterations, races, matches }] } else { self.repeats.clone() }
    }

    /// The design effect of its rate ([`crate::stats::interval_with`]): how many times the variance of independent iterations its blocks
    /// and repeats show. 1 where it has neither.
    pub fn effect(&self) -> f64 {
        effect_in_time(&among_iterations(&self.blocks)).max(effect_between(&among_iterations(&self.repeats)))
    }

    /// How many independent iterations would tell its rate as well. `None` where it has neither blocks nor repeats, or no race: then there is no
    /// spread to look at.
    pub fn effective(&self) -> Option<f64> {
        let spread = self.blocks.len() > 1 || self.repeats.len() > 1;
        (spread && self.races > 0).then(|| self.iterations as f64 / self.effect())
    }

    /// The interval of its rate.
    pub fn interval_of_rate(&self) -> Option<Interval> {
        interval_with(self.races, self.iterations, self.effect())
    }

    /// The interval of its rate per match. Repeats have counted matches; what blocks show of the races is taken for the share of the matches too.
    pub fn interval_of_rate_per_match(&self) -> Option<Interval> {
        let matches = self.matches?;
        let within = effect_in_time(&among_iterations(&self.blocks));
        let rates = share(self.races, self.iterations).zip(share(self.races, matches));
        let within = rates.map_or(1.0, |(rate, per_match)| effect_per_match(within, rate, per_match));
        let repeats = self.repeats.iter().map(|part| Some(Count { seen: part.races, of: part.matches? }));
        let between = repeats.collect::<Option<Vec<Count>>>().map_or(1.0, |repeats| effect_between(&repeats));
        interval_with(self.races, matches, within.max(between))
    }

    /// The rates of the first fifth and of the last tenth of its blocks, which are what its drift compares; `None` with fewer than ten blocks.
    pub fn ends(&self) -> Option<(f64, f64)> {
        let blocks = self.blocks.len();
        let rate = |blocks: &[CountRecord]| {
            let (races, iterations) =
                blocks.iter().fold((0.0, 0.0), |(a, b), block| (a + block.races as f64, b + block.iterations as f64));
            if iterations > 0.0 { Some(races / iterations) } else { None }
        };
        if blocks < 10 {
            return None;
        }
        rate(&self.blocks[..blocks / 5]).zip(rate(&self.blocks[blocks - blocks / 10..]))
    }
}
