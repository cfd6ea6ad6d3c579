//! The spread of a result's rate over the time of the run and between repeats, and the intervals that follow.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::ScenarioResult;
use crate::stats::{
    Count, Interval, effect_between, effect_in_time, effect_per_match, interval_with, sequence_with, share,
};

/// The counts of a part of a result: of a block in time, or of a repeat.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CountRecord {
    /// Iterations.
    pub iterations: u64,
    /// Races among them.
    pub races: u64,
    /// Matches among them. Absent in blocks, and if the test declares no Match event.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub matches: Option<u64>,
}

fn among_iterations(parts: &[CountRecord]) -> Vec<Count> {
    parts.iter().map(|part| Count { seen: part.races, of: part.iterations }).collect()
}

impl ScenarioResult {
    /// The repeats that this result adds to a sum: its own repeats, or itself as one repeat.
    pub fn as_repeats(&self) -> Vec<CountRecord> {
        let ScenarioResult { iterations, races, matches, .. } = *self;
        if self.repeats.is_empty() { vec![CountRecord { iterations, races, matches }] } else { self.repeats.clone() }
    }

    /// The design effect of the rate ([`crate::stats::interval_with`]): the variance that the blocks and
    /// repeats show, divided by that of independent iterations. 1 without blocks and repeats.
    pub fn effect(&self) -> f64 {
        effect_in_time(&among_iterations(&self.blocks)).max(effect_between(&among_iterations(&self.repeats)))
    }

    /// The number of independent iterations that would give the rate with the same precision. `None` without
    /// races, and without blocks and repeats, because then the spread is unknown.
    pub fn effective(&self) -> Option<f64> {
        let spread = self.blocks.len() > 1 || self.repeats.len() > 1;
        (spread && self.races > 0).then(|| self.iterations as f64 / self.effect())
    }

    /// The 95 % interval of the rate.
    pub fn interval_of_rate(&self) -> Option<Interval> {
        interval_with(self.races, self.iterations, self.effect())
    }

    /// The 95 % confidence sequence of the rate.
    pub fn sequence_of_rate(&self) -> Option<Interval> {
        sequence_with(self.races, self.iterations, self.effect())
    }

    /// The 95 % interval of the rate per match. Repeats have counts of matches. Blocks have only counts of
    /// races, so the spread of the races is used for the rate per match too.
    pub fn interval_of_rate_per_match(&self) -> Option<Interval> {
        let matches = self.matches?;
        let within = effect_in_time(&among_iterations(&self.blocks));
        let rates = share(self.races, self.iterations).zip(share(self.races, matches));
        let within = rates.map_or(1.0, |(rate, per_match)| effect_per_match(within, rate, per_match));
        let repeats = self.repeats.iter().map(|part| Some(Count { seen: part.races, of: part.matches? }));
        let between = repeats.collect::<Option<Vec<Count>>>().map_or(1.0, |repeats| effect_between(&repeats));
        interval_with(self.races, matches, within.max(between))
    }

    /// The rates of the first fifth and of the last tenth of the blocks, which the drift test compares.
    /// `None` with fewer than ten blocks.
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
