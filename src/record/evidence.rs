//! The evidence for a zero: which reorderings the race needs, which of them controls showed on these CPUs,
//! and how many matches there were.

use std::collections::BTreeSet;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::ScenarioResult;
use crate::model::Reordering;
use crate::stats::LEVEL;

/// The smallest number of matches for the finding *not observed*, however often a control fired. This number
/// bounds the race at 0.3 % of the matches with 95 % confidence.
pub const LEAST_MATCHES: u64 = 1000;
/// If more than this share of the instances at a skew had the same outcome, and it is not the race, the
/// threads hardly met at this skew, that is, they hardly ran the instance at the same time.
const APART: f64 = 0.99;

/// The evidence for a zero.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Evidence {
    /// The sets of reorderings that the race needs, derived from the test. The race needs all reorderings of
    /// at least one set. An empty set: the race needs no reordering. No set: no execution has this outcome,
    /// whatever is reordered. Absent: the test is too large for the derivation.
    pub needs: Option<Vec<Vec<Reordering>>>,
    /// The kinds of reordering that were seen on these CPUs: those that the controls need that fired there.
    pub seen: Vec<Reordering>,
    /// The controls among `controls_fired` that showed a kind of reordering that the race needs.
    pub controls: Vec<String>,
    /// Matches at the skews where the threads met; iterations, if the test declares no Match event.
    pub looked: u64,
    /// How many of them the finding *not observed* needs: if the race were as frequent as the control, this
    /// many would show it with a probability of 95 %.
    pub needed: u64,
}

impl Evidence {
    /// Whether a zero is conclusive.
    pub fn is_enough(&self) -> bool {
        !self.controls.is_empty() && self.looked >= self.needed
    }

    /// The sets of `needs`. If the test is too large for the derivation, these are the needs of message
    /// passing and store buffering together.
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

    /// The kinds of reordering that are each sufficient for the race.
    pub(super) fn alone(&self) -> BTreeSet<Reordering> {
        let sets = self.needs.iter().flatten().filter(|set| set.len() == 1);
        sets.flatten().copied().collect()
    }
}

impl ScenarioResult {
    /// Whether a zero of this result is conclusive. In records of versions without evidence, one control that
    /// fired is enough.
    pub fn zero_counts(&self) -> bool {
        self.evidence.as_ref().map_or(!self.controls_fired.is_empty(), Evidence::is_enough)
    }

    /// The matches where the threads met, and the races there: at each skew, and of the instances that ran free. If the test
    /// declares no Match event, iterations take the place of matches.
    pub fn looked(&self) -> (u64, u64) {
        let at_skews = self.skews.iter().map(|skew| (skew.iterations, skew.matches, skew.races, &skew.outcomes));
        let free = self.free.iter().map(|free| (free.iterations, free.matches, free.races, &free.outcomes));
        let met = at_skews.chain(free).filter(|(iterations, _, _, outcomes)| self.met(*iterations, outcomes));
        met.fold((0, 0), |(looked, all), (iterations, matches, races, _)| {
            let more = if self.match_event.is_some() { matches.unwrap_or(0) } else { iterations };
            (looked.saturating_add(more), all.saturating_add(races))
        })
    }

    /// Whether the threads met in these iterations: no outcome other than the race has nearly all of them ([`APART`]).
    fn met(&self, iterations: u64, outcomes: &[u64]) -> bool {
        let counts = self.outcomes.iter().zip(outcomes);
        let most = counts.filter(|(outcome, _)| !outcome.satisfies).map(|(_, count)| *count).max().unwrap_or(0);
        iterations > 0 && !outcomes.is_empty() && most as f64 <= APART * iterations as f64
    }
}

/// The number of matches that show a race with a probability of 95 %, if `rate` is the share of matches that
/// race. At least [`LEAST_MATCHES`].
pub fn matches_needed(rate: f64) -> u64 {
    if rate <= 0.0 {
        return u64::MAX;
    }
    let needed = (1.0 - LEVEL).ln() / (-rate.min(1.0)).ln_1p();
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    // the conversion of a positive float to an integer saturates
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
