//! The testing power of a run: which of the tests that must be seen on this architecture it saw so often that as long a run
//! sees them again.

use super::{REPRODUCIBLE, Record, ScenarioResult};
use crate::litmus::Verdict;
use crate::stats::reproducibility;

/// The folder of scenarios that hold mutants.
const MUTANTS: &str = "mutants";

/// The testing power of a run.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RunPower {
    /// The controls and mutants whose outcome the architecture allows and that were killed: as long a run sees the outcome
    /// again with the probability [`REPRODUCIBLE`].
    pub killed: Vec<String>,
    /// The other ones.
    pub survived: Vec<String>,
    /// Tests whose outcome is allowed, whatever their group.
    pub allowed: usize,
    /// Those that were seen, on any placement.
    pub seen: usize,
}

impl ScenarioResult {
    /// Blocks of consecutive batches with at least one race, of which neighbours may have one cause. In a sum of records
    /// without `sightings`: the repeats with a race.
    pub fn sightings(&self) -> u64 {
        let racing = |parts: &[super::CountRecord]| parts.iter().filter(|part| part.races > 0).count() as u64;
        let counted = self.sightings.unwrap_or_else(|| racing(&self.blocks).max(racing(&self.repeats)));
        // Races outside of all blocks were seen at least once.
        counted.max(u64::from(self.races > 0)).min(self.races)
    }

    /// Whether the result tells its sightings. Records of early versions do not.
    pub fn tells_sightings(&self) -> bool {
        self.sightings.is_some() || !self.blocks.is_empty() || !self.repeats.is_empty()
    }
}

impl Record {
    /// The testing power.
    pub fn power(&self) -> RunPower {
        RunPower::of(&self.results)
    }
}

impl RunPower {
    /// The number of controls and mutants.
    pub fn mutants(&self) -> usize {
        self.killed.len() + self.survived.len()
    }

    /// The testing power of these results. The sightings of a test on all its placements count together.
    fn of(results: &[ScenarioResult]) -> RunPower {
        let mut tests: Vec<(&ScenarioResult, u64, bool)> = Vec::new();
        let allowed = |result: &&ScenarioResult| {
            result.iterations > 0 && matches!(result.expected, Some(Verdict::Sometimes | Verdict::Always))
        };
        for result in results.iter().filter(allowed) {
            let seen = result.seen().1 > 0;
            match tests.iter_mut().find(|(known, ..)| known.test_key() == result.test_key()) {
                Some((_, sightings, known)) => {
                    *sightings = sightings.saturating_add(result.sightings());
                    *known |= seen;
                }
                None => tests.push((result, result.sightings(), seen)),
            }
        }
        let mut power = RunPower { allowed: tests.len(), ..RunPower::default() };
        for (test, sightings, seen) in tests {
            power.seen += usize::from(seen);
            if test.is_control || test.group == MUTANTS {
                let killed = reproducibility(sightings) >= REPRODUCIBLE;
                let names = if killed { &mut power.killed } else { &mut power.survived };
                names.push(test.scenario.clone());
            }
        }
        power
    }
}

#[cfg(test)]
mod tests {
    use super::super::CountRecord;
    use super::super::judge::tests::result;
    use super::*;

    /// A result with so many blocks, of which the first `racing` have two races each.
    fn blocks(name: &str, blocks: usize, racing: usize) -> ScenarioResult {
        let mut result = result("SB", &[0, 1], 1000 * blocks as u64, 2 * racing as u64);
        let races = |at: usize| if at < racing { 2 } else { 0 };
        result.blocks =
            (0..blocks).map(|at| CountRecord { iterations: 1000, races: races(at), matches: None }).collect();
        result.expected = Some(Verdict::Sometimes);
        (result.scenario, result.source_sha256) = (name.to_owned(), name.to_owned());
        (result.is_control, result.evidence) = (false, None);
        result
    }

    #[test]
    fn a_mutant_is_killed_by_twelve_blocks_with_a_race_on_all_placements_together() {
        let in_group = |group: &str, result: ScenarioResult| ScenarioResult { group: group.to_owned(), ..result };
        let control = ScenarioResult { is_control: true, ..blocks("SB", 20, 12) };
        let here = in_group("mutants", blocks("two-places", 20, 7));
        let there = ScenarioResult {
            placement: super::super::PlacementRecord { cpus: vec![0, 2], ..here.placement.clone() },
            ..here.clone()
        };
        let survivor = in_group("mutants", blocks("eleven", 20, 11));
        let unseen = in_group("race", blocks("unseen", 20, 0));
        let seen = in_group("race", blocks("seen", 20, 1));
        let forbidden =
            ScenarioResult { expected: Some(Verdict::Never), ..in_group("mutants", blocks("never", 20, 0)) };
        let empty = ScenarioResult { iterations: 0, ..in_group("mutants", blocks("empty", 0, 0)) };
        let power = RunPower::of(&[control, here, survivor, there, unseen, seen, forbidden, empty]);
        assert_eq!(
            (power.killed.clone(), power.survived.clone()),
            (vec!["SB".to_owned(), "two-places".to_owned()], vec!["eleven".to_owned()])
        );
        assert_eq!((power.mutants(), power.allowed, power.seen), (3, 5, 4));
    }

    #[test]
    fn sightings_are_no_more_than_races_and_no_less_than_one_if_there_are_races() {
        let mut result = blocks("t", 10, 4);
        assert_eq!(result.sightings(), 4);
        result.blocks.clear();
        assert_eq!(result.sightings(), 1, "the races were in no block");
        result.repeats = [3, 0, 5].map(|races| CountRecord { iterations: 9, races, matches: None }).to_vec();
        assert_eq!(result.sightings(), 2);
        result.sightings = Some(40);
        assert_eq!(result.sightings(), 8, "there are eight races");
        result.races = 0;
        assert_eq!(result.sightings(), 0);
    }
}
