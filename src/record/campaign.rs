//! Records of campaigns: what the architecture says about each test of a corpus, and what this host did.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{NamedOutcomeRecord, OutcomeRecord, PlacementRecord, RunRecord};
use crate::litmus::Verdict;
use crate::stats;
use crate::verdict::VerdictSource;

/// The schema of [`CampaignRecord`].
pub const CAMPAIGN_SCHEMA: &str = "wakerace-campaign/2";

/// The record of `wakerace campaign`: a result per test.
pub type CampaignRecord = RunRecord<CampaignTest>;

/// What a campaign knows besides its results.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct CampaignAbout {
    /// Wall-clock time of the campaign without the time between two runs of it, in seconds. In a sum: of all parts.
    pub spent_s: f64,
    /// The reproducibility at which a test is done, if the campaign had one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub confidence: Option<f64>,
    /// The shards that were run, such as `3/40`; empty if the corpus was not divided.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub shards: Vec<String>,
    /// The settings that the campaign chose from.
    pub settings: Vec<SettingRecord>,
    /// The emulator that ran the program, with its version, if it was one and is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub emulator: Option<String>,
    /// The files that were not run.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub refused: Vec<RefusedTest>,
}

/// A setting: how instances are run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SettingRecord {
    /// The name, which the results use.
    pub name: String,
    /// Pace, layout, group, prefetch and skews in words.
    pub words: String,
}

/// A file that was not run.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub struct RefusedTest {
    /// The path of the file as it was found.
    pub file: String,
    /// The line that the reason points at, from 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line: Option<usize>,
    /// The reason.
    pub reason: String,
}

/// A test of a campaign.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct CampaignTest {
    /// The test's name.
    pub test: String,
    /// What the test is, in a few words: the line `Title=` of its file. Empty if it has none, and for a mutant.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub title: String,
    /// Outcomes in words: the lines `Outcome1=` and so on of its file. A mutant has none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub named_outcomes: Vec<NamedOutcomeRecord>,
    /// The family: the part of the name that says which cycle it is, such as `MP` or `2+2W`.
    pub family: String,
    /// SHA-256 of the litmus source without the lines `Title=`, `Outcome1=` and so on.
    pub source_sha256: String,
    /// The number of threads.
    pub threads: usize,
    /// The final condition.
    pub condition: String,
    /// What was changed in which test, if this is a mutant of another test of the corpus.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mutant: Option<MutantRecord>,
    /// Whether the architecture allows the outcome that the test asks about. Absent if neither its model nor the header says.
    pub expected: Option<Verdict>,
    /// Where `expected` comes from.
    pub expected_from: VerdictSource,
    /// The verdict of the kernel's model on the condition, for tests in C.
    pub lkmm: Option<Verdict>,
    /// What the verdict and the counts come to.
    pub standing: Standing,
    /// Iterations over all cells.
    pub iterations: u64,
    /// Instances that the test's filter excludes.
    #[serde(default)]
    pub filtered: u64,
    /// Races: iterations that ended in the outcome that the test asks about.
    pub races: u64,
    /// Blocks of consecutive batches with at least one race. Races of one block may have one cause.
    pub sightings: u64,
    /// The probability that as long a campaign sees the outcome again: 1 - e^-sightings. Absent if it was not seen.
    pub reproducibility: Option<f64>,
    /// The 95 % upper bound of the rate, if the outcome was not seen in any iteration.
    pub bound: Option<f64>,
    /// Measuring time, in seconds.
    pub elapsed_s: f64,
    /// Measuring time of this test until its outcome was seen first, to the end of that slice, in seconds.
    pub first_seen_s: Option<f64>,
    /// The counts on each placement.
    pub cells: Vec<CampaignCell>,
    /// Every outcome that was seen. The counts add up to `iterations`.
    pub outcomes: Vec<OutcomeRecord>,
    /// The registers and variables that the condition and `locations` name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub displayed: Vec<String>,
    /// Why the test was ended early, such as a deadlock.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failed: Option<String>,
    /// The litmus source, if a forbidden outcome was seen.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub source: String,
    /// The machine code of each thread, if a forbidden outcome was seen.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub listing: String,
    /// Fields of other versions. They are kept when the record is written again.
    #[serde(flatten)]
    pub extra: BTreeMap<String, Value>,
}

/// A change that made a test of another test.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct MutantRecord {
    /// The name of the test that was changed.
    pub of: String,
    /// The change, such as `P0 line 7: smp_mb() left out`.
    pub change: String,
}

/// The counts of a test on one placement.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct CampaignCell {
    /// The CPUs that the threads ran on.
    pub placement: PlacementRecord,
    /// The counts with each setting that can be used there. A setting without slices was not tried.
    pub settings: Vec<CampaignArm>,
}

/// The counts of a test on one placement with one setting.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct CampaignArm {
    /// The name of the setting.
    pub setting: String,
    /// Slices: how often the test was run with it.
    pub slices: u64,
    /// Slices in which the outcome was seen.
    pub seen: u64,
    /// Blocks of batches with a race.
    pub sightings: u64,
    /// Iterations.
    pub iterations: u64,
    /// Races among them.
    pub races: u64,
    /// Measuring time, in seconds.
    pub elapsed_s: f64,
}

/// What the verdict on a test and its counts come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Standing {
    /// The architecture allows the outcome, and it was seen.
    AllowedSeen,
    /// The architecture allows the outcome, and it was not seen.
    AllowedNotSeen,
    /// The architecture forbids the outcome, and it was not seen.
    ForbiddenNotSeen,
    /// The architecture forbids the outcome, and it was seen.
    ForbiddenSeen,
    /// No model gave a verdict, and the outcome was seen.
    UnjudgedSeen,
    /// No model gave a verdict, and the outcome was not seen.
    UnjudgedNotSeen,
    /// There are no iterations.
    NotRun,
}

impl Standing {
    /// All standings, in the order of tables.
    pub const ALL: [Standing; 7] = [
        Standing::AllowedSeen,
        Standing::AllowedNotSeen,
        Standing::ForbiddenNotSeen,
        Standing::ForbiddenSeen,
        Standing::UnjudgedSeen,
        Standing::UnjudgedNotSeen,
        Standing::NotRun,
    ];

    /// The standing of a test with these counts.
    pub fn of(expected: Option<Verdict>, iterations: u64, races: u64) -> Standing {
        match (expected, iterations, races) {
            (_, 0, _) => Standing::NotRun,
            (Some(Verdict::Never), _, 0) => Standing::ForbiddenNotSeen,
            (Some(Verdict::Never), ..) => Standing::ForbiddenSeen,
            (Some(Verdict::Sometimes | Verdict::Always), _, 0) => Standing::AllowedNotSeen,
            (Some(Verdict::Sometimes | Verdict::Always), ..) => Standing::AllowedSeen,
            (None, _, 0) => Standing::UnjudgedNotSeen,
            (None, ..) => Standing::UnjudgedSeen,
        }
    }

    /// The standing in tables and pages.
    pub const fn words(self) -> &'static str {
        match self {
            Standing::AllowedSeen => "allowed, seen",
            Standing::AllowedNotSeen => "allowed, not seen",
            Standing::ForbiddenNotSeen => "forbidden, not seen",
            Standing::ForbiddenSeen => "FORBIDDEN, SEEN",
            Standing::UnjudgedSeen => "no verdict, seen",
            Standing::UnjudgedNotSeen => "no verdict, not seen",
            Standing::NotRun => "not run",
        }
    }
}

impl CampaignTest {
    /// Whether the architecture allows the outcome.
    pub fn is_allowed(&self) -> bool {
        matches!(self.expected, Some(Verdict::Sometimes | Verdict::Always))
    }

    /// The counts of all settings on all placements.
    pub fn arms(&self) -> impl Iterator<Item = &CampaignArm> {
        self.cells.iter().flat_map(|cell| &cell.settings)
    }

    /// Computes every field that follows from `expected`, `cells` and `filtered`.
    pub fn settle(&mut self) {
        let sum = |of: fn(&CampaignArm) -> u64| self.arms().fold(0u64, |sum, arm| sum.saturating_add(of(arm)));
        let (iterations, races, sightings) =
            (sum(|arm| arm.iterations), sum(|arm| arm.races), sum(|arm| arm.sightings));
        self.elapsed_s = self.arms().map(|arm| arm.elapsed_s).sum();
        (self.iterations, self.races, self.sightings) = (iterations, races, sightings);
        self.reproducibility = (races > 0).then(|| stats::reproducibility(sightings));
        let zero = (races == 0 && iterations > 0).then(|| stats::interval(0, iterations)).flatten();
        self.bound = zero.map(|interval| interval.high);
        self.standing = Standing::of(self.expected, iterations, races);
    }
}

/// How many of the weak behaviours that the architecture allows a campaign saw, and how many of the mutants it killed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct TestingPower {
    /// Tests whose outcome is allowed and that are no mutants, and those of them that were seen.
    pub allowed: u64,
    /// Those that were seen.
    pub seen: u64,
    /// Those that a campaign of the same length sees again with the wanted probability.
    pub reproducible: u64,
    /// Mutants whose outcome is allowed.
    pub mutants: u64,
    /// Mutants that were seen with the wanted probability to be seen again.
    pub killed: u64,
}

/// The reproducibility at which a mutant counts as killed, if the campaign has no other: that of MC Mutants (Levine,
/// Cogumbreiro, Ferreira Pires, Sorensen, ASPLOS 2023).
pub const REPRODUCIBLE: f64 = 0.99999;

impl CampaignRecord {
    /// The campaign's own part of the record.
    pub fn about(&self) -> CampaignAbout {
        self.campaign.as_deref().cloned().unwrap_or_default()
    }

    /// The reproducibility that a test needs to be done.
    pub fn wanted(&self) -> f64 {
        self.campaign.as_ref().and_then(|about| about.confidence).unwrap_or(REPRODUCIBLE)
    }

    /// The testing power.
    pub fn power(&self) -> TestingPower {
        let wanted = self.wanted();
        let mut power = TestingPower::default();
        for test in self.results.iter().filter(|test| test.is_allowed() && test.standing != Standing::NotRun) {
            let reproducible = u64::from(test.reproducibility.is_some_and(|found| found >= wanted));
            if test.mutant.is_some() {
                power.mutants += 1;
                power.killed += reproducible;
            } else {
                power.allowed += 1;
                power.seen += u64::from(test.races > 0);
                power.reproducible += reproducible;
            }
        }
        power
    }

    /// How many combinations of test, placement and setting there are, and how many of them were never tried.
    pub fn untried(&self) -> (usize, usize) {
        let arms = || self.results.iter().flat_map(CampaignTest::arms);
        (arms().count(), arms().filter(|arm| arm.slices == 0).count())
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::machine::Class;

    /// A test with one placement and one setting.
    pub(crate) fn test(name: &str, expected: Option<Verdict>, [iterations, races]: [u64; 2]) -> CampaignTest {
        let outcome = |value, count, satisfies| OutcomeRecord {
            values: [("0:r0".to_owned(), super::super::FinalValue::Int(value))].into(),
            count,
            satisfies,
        };
        let outcomes = [outcome(0, races, true), outcome(1, iterations - races, false)];
        let placement = PlacementRecord { cpus: vec![0, 1], class: Class::Core, kinds: Vec::new() };
        let arm = CampaignArm {
            setting: "paced".to_owned(),
            slices: 2,
            seen: u64::from(races > 0),
            sightings: races.min(3),
            iterations,
            races,
            elapsed_s: 0.5,
        };
        let mut test = CampaignTest {
            test: name.to_owned(),
            title: String::new(),
            named_outcomes: Vec::new(),
            family: name.split('+').next().unwrap().to_owned(),
            source_sha256: crate::hash::sha256(name.as_bytes()),
            threads: 2,
            condition: "exists (0:r0=0)".to_owned(),
            mutant: None,
            expected,
            expected_from: VerdictSource::Model,
            lkmm: None,
            standing: Standing::NotRun,
            iterations: 0,
            filtered: 0,
            races: 0,
            sightings: 0,
            reproducibility: None,
            bound: None,
            elapsed_s: 0.0,
            first_seen_s: (races > 0).then_some(0.25),
            cells: vec![CampaignCell { placement, settings: vec![arm] }],
            outcomes: outcomes.into_iter().filter(|outcome| outcome.count > 0).collect(),
            displayed: vec!["0:r0".to_owned()],
            failed: None,
            source: String::new(),
            listing: String::new(),
            extra: BTreeMap::new(),
        };
        test.settle();
        test
    }

    #[test]
    fn a_standing_is_the_verdict_and_what_was_seen() {
        use Verdict::{Always, Never, Sometimes};
        let of = |expected, counts| test("t", expected, counts).standing;
        assert_eq!(of(Some(Sometimes), [10, 1]), Standing::AllowedSeen);
        assert_eq!(of(Some(Always), [10, 10]), Standing::AllowedSeen);
        assert_eq!(of(Some(Sometimes), [10, 0]), Standing::AllowedNotSeen);
        assert_eq!(of(Some(Never), [10, 0]), Standing::ForbiddenNotSeen);
        assert_eq!(of(Some(Never), [10, 1]), Standing::ForbiddenSeen);
        assert_eq!(of(None, [10, 1]), Standing::UnjudgedSeen);
        assert_eq!(of(None, [10, 0]), Standing::UnjudgedNotSeen);
        assert_eq!(of(Some(Never), [0, 0]), Standing::NotRun);
    }

    #[test]
    fn reproducibility_is_that_of_the_sightings_and_a_zero_has_a_bound() {
        let seen = test("t", Some(Verdict::Sometimes), [1000, 500]);
        assert_eq!((seen.sightings, seen.bound), (3, None));
        assert!((seen.reproducibility.unwrap() - 0.950_212_9).abs() < 1e-6, "{seen:?}");
        let zero = test("t", Some(Verdict::Sometimes), [1_000_000, 0]);
        assert_eq!(zero.reproducibility, None);
        assert!((2.99e-6..3.0e-6).contains(&zero.bound.unwrap()), "{zero:?}");
    }
}
