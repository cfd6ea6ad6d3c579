//! What a zero rests on: which reorderings the race needs, which of them controls showed on these CPUs, and how often it was looked for.

use std::collections::BTreeSet;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{ScenarioResult, SkewRecord};
use crate::model::Reordering;
use crate::stats::LEVEL;

/// The least number of matches that a finding *not observed* takes, however often a control fired: it bounds the race at 0.3 % of the matches
/// with 95 % confidence.
pub const LEAST_MATCHES: u64 = 1000;
/// At a skew where more than this share of instances ended in one and the same outcome, and that was no race, the threads hardly met.
const APART: f64 = 0.99;

/// What a zero rests on.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Evidence {
    /// The sets of reorderings that are each enough for the race, derived from the test: one of them must happen. An empty set: the
    /// race needs none. No set: no execution ends so, whatever is reordered. Absent: the test is too large to be derived.
    pub needs: Option<Vec<Vec<Reordering>>>,
    /// What the controls that fired on these CPUs need, one kind at a time: what was seen here.
    pub seen: Vec<Reordering>,
    /// Those of `controls_fired` that showed a reordering of a kind that the race needs.
    pub controls: Vec<String>,
    /// Matches at the skews where the threads met; iterations, where the test declares no Match event.
    pub looked: u64,
    /// How many of them a finding takes: had the race been as frequent as the control, the run would have shown it with 95 %.
    pub needed: u64,
}

impl Evidence {
    /// Whether a zero says anything.
    pub fn is_enough(&self) -> bool {
        !self.controls.is_empty() && self.looked >= self.needed
    }

    /// The sets of `needs`. A test that is too large to be derived is taken to need both what message passing and what store buffering needs.
    pub(super) fn sets(&self) -> Vec<BTreeSet<Reordering>> {
        match &self.needs {
            Some(needs) if needs.is_empty() => vec![BTreeSet::new()],
            Some(needs) => needs.iter().map(|set| set.iter().copied().collect()).collect(),
            None => vec![
                [Reordering::StoreStore, Reordering::StoreLoad].into(),
                [Reordering::LoadLoad, Reordering::StoreLoad].into(),
            ],
        }
    }

    /// The kinds of reordering that are each enough for the race.
    pub(super) fn alone(&self) -> BTreeSet<Reordering> {
        let sets = self.needs.iter().flatten().filter(|set| set.len() == 1);
        sets.flatten().copied().collect()
    }
}

impl ScenarioResult {
    /// Whether a zero of this result says anything. In records of versions that did not ask for more, any control that fired was enough.
    pub fn zero_counts(&self) -> bool {
        self.evidence.as_ref().map_or(!self.controls_fired.is_empty(), Evidence::is_enough)
    }

    /// Matches at the skews where the threads met, and the races there; iterations, where the test declares no Match event.
    pub fn looked(&self) -> (u64, u64) {
        let met = self.skews.iter().filter(|skew| self.met(skew));
        met.fold((0, 0), |(looked, races), skew| {
            let more = if self.match_event.is_some() { skew.matches.unwrap_or(0) } else { skew.iterations };
            (looked.saturating_add(more), races.saturating_add(skew.races))
        })
    }

    /// Whether the threads met at a skew: no outcome other than the race took nearly all instances.
    fn met(&self, skew: &SkewRecord) -> bool {
        let counts = self.outcomes.iter().zip(&skew.outcomes);
        let most = counts.filter(|(outcome, _)| !outcome.satisfies).map(|(_, count)| *count).max().unwrap_or(0);
        skew.iterations > 0 && !skew.outcomes.is_empty() && most as f64 <= APART * skew.iterations as f64
    }
}

/// How many matches show a race with 95 %, if that share of them races; at least [`LEAST_MATCHES`].
pub fn matches_needed(rate: f64) -> u64 {
    if rate <= 0.0 {
        return u64::MAX;
    }
    let needed = (1.0 - LEVEL).ln() / (-rate.min(1.0)).ln_1p();
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // a positive float as an integer saturates
    let needed = needed.ceil() as u64;
    needed.max(LEAST_MATCHES)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_many_matches_are_needed_as_show_the_controls_rate_with_95_per_cent() {
        // 0.95 = 1 - (1 - rate)^n
        assert_eq!(matches_needed(1e-3), 2995);
        assert_eq!(matches_needed(1e-9), 2_995_732_273);
        for rate in [1e-3, 1e-4, 3e-7] {
            let missed = |n: u64| (n as f64 * f64::ln_1p(-rate)).exp();
            let needed = matches_needed(rate);
            assert!(missed(needed) <= 0.05 && missed(needed - 1) > 0.05, "{rate} {needed}");
        }
        assert_eq!([1.0, 0.5, 0.003].map(matches_needed), [1000; 3]);
        assert_eq!(matches_needed(0.0), u64::MAX);
    }

    #[test]
    fn a_zero_counts_from_the_number_that_is_needed_on() {
        let evidence = |looked, controls: &[&str]| Evidence {
            controls: controls.iter().map(|&name| name.to_owned()).collect(),
            looked,
            needed: 1000,
            ..Evidence::default()
        };
        assert!(evidence(1000, &["SB"]).is_enough());
        assert!(!evidence(999, &["SB"]).is_enough() && !evidence(1000, &[]).is_enough());
    }
}
