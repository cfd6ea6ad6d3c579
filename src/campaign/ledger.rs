//! What is known of each test: the sums of its slices, and its part of the record.

use std::collections::BTreeMap;

use super::corpus::{Test, family};
use super::journal::{Line, Slice as Written};
use super::machine::Slice;
use super::schedule::{Arm, Pull, Schedule};
use super::settings::{self, SETTINGS};
use crate::program::Const;
use crate::record::{
    CampaignArm, CampaignCell, CampaignTest, FinalValue, OutcomeRecord, PlacementRecord, Standing, naming_of,
};

/// The sums of a test.
#[derive(Debug, Clone, Default)]
pub struct Ledger {
    /// By placement and setting.
    arms: BTreeMap<(usize, usize), CampaignArm>,
    outcomes: BTreeMap<Vec<FinalValue>, u64>,
    filtered: u64,
    races: u64,
    seconds: f64,
    first_seen_s: Option<f64>,
    failed: Option<String>,
}

/// An arm without slices.
fn empty(setting: usize) -> CampaignArm {
    CampaignArm {
        setting: SETTINGS[setting].name.to_owned(),
        slices: 0,
        seen: 0,
        sightings: 0,
        iterations: 0,
        races: 0,
        elapsed_s: 0.0,
    }
}

impl Ledger {
    /// Adds a slice.
    pub fn add(&mut self, arm: Arm, slice: &Slice) {
        let sum = self.arms.entry((arm.place, arm.setting)).or_insert_with(|| empty(arm.setting));
        sum.slices += 1;
        sum.seen += u64::from(slice.races > 0);
        sum.sightings += slice.sightings;
        sum.iterations += slice.iterations;
        sum.races += slice.races;
        sum.elapsed_s += slice.elapsed_s;
        self.seconds += slice.elapsed_s;
        self.filtered += slice.filtered;
        self.races += slice.races;
        if slice.races > 0 {
            self.first_seen_s.get_or_insert(self.seconds);
        }
        for (row, count) in &slice.outcomes {
            *self.outcomes.entry(row.clone()).or_default() += count;
        }
    }

    /// Ends the test.
    pub fn fail(&mut self, reason: String) {
        self.failed = Some(reason);
    }

    /// The races so far.
    pub fn races(&self) -> u64 {
        self.races
    }

    /// The first arm with a race.
    pub fn racing(&self, test: usize) -> Option<Arm> {
        let found = self.arms.iter().find(|(_, arm)| arm.races > 0);
        found.map(|(&(place, setting), _)| Arm { test, place, setting })
    }

    /// The test's part of the record. `usable` has the settings that can be used on each placement.
    pub fn record(&self, test: &Test, usable: &[Vec<usize>]) -> CampaignTest {
        let program = &test.scenario.program;
        let cells = test.places.iter().enumerate().map(|(place, placement)| CampaignCell {
            placement: PlacementRecord {
                cpus: placement.cpus.clone(),
                class: placement.class,
                kinds: placement.kinds.clone(),
            },
            settings: (usable[place].iter())
                .map(|&setting| self.arms.get(&(place, setting)).cloned().unwrap_or_else(|| empty(setting)))
                .collect(),
        });
        let expectation = &test.expectation;
        let (title, named_outcomes) = naming_of(&test.scenario);
        let mut record = CampaignTest {
            test: test.scenario.name.clone(),
            title,
            named_outcomes,
            family: family(&test.scenario.name),
            source_sha256: test.scenario.sha256.to_string(),
            threads: program.threads.len(),
            condition: program.condition_text(),
            mutant: test.mutant.clone(),
            expected: expectation.race,
            expected_from: expectation.source,
            lkmm: expectation.lkmm,
            standing: Standing::NotRun,
            iterations: 0,
            filtered: self.filtered,
            races: 0,
            sightings: 0,
            reproducibility: None,
            bound: None,
            elapsed_s: 0.0,
            first_seen_s: self.first_seen_s,
            cells: cells.collect(),
            outcomes: self.outcomes.iter().map(|(row, count)| outcome(test, row, *count)).collect(),
            displayed: program.displayed.iter().map(|&column| program.column_name(column)).collect(),
            failed: self.failed.clone(),
            source: String::new(),
            listing: String::new(),
            extra: BTreeMap::new(),
        };
        record.settle();
        record
    }
}

fn outcome(test: &Test, row: &[FinalValue], count: u64) -> OutcomeRecord {
    let program = &test.scenario.program;
    let values = row.iter().enumerate().map(|(column, value)| (program.column_name(column), value.clone()));
    let satisfies = constants(test, row).is_some_and(|constants| program.is_race(&constants));
    OutcomeRecord { values: values.collect(), count, satisfies }
}

/// The values of an outcome as the program has them; `None` if they are no outcome of the test.
fn constants(test: &Test, row: &[FinalValue]) -> Option<Vec<Const>> {
    let is_whole = row.len() == test.scenario.program.columns.len();
    is_whole.then(|| row.iter().map(|value| constant(test, value)).collect()).flatten()
}

/// What is wrong with the outcomes of a slice of a test, if something is.
fn problem(test: &Test, slice: &Written) -> Option<String> {
    let mut races = 0;
    for (row, count) in &slice.outcomes {
        let Some(constants) = constants(test, row) else {
            return Some(format!("{row:?} is no outcome of {}", test.scenario.name));
        };
        races += if test.scenario.program.is_race(&constants) { *count } else { 0 };
    }
    let differs = races != slice.races;
    differs.then(|| format!("it has {} races of {}; its outcomes have {races}", slice.races, test.scenario.name))
}

/// A value as the program has it; `None` if it is the address of no variable. The journal has addresses as `&name`.
fn constant(test: &Test, value: &FinalValue) -> Option<Const> {
    let locations = &test.scenario.program.locations;
    match value {
        FinalValue::Int(value) => Some(Const::Int(*value)),
        FinalValue::Address(name) => {
            let named = |id: &usize| test.scenario.program.constant(Const::Address(*id)) == *name;
            (0..locations.len()).find(named).map(Const::Address)
        }
    }
}

/// The ledgers of all tests of a campaign, and where the tests are.
#[derive(Debug)]
pub struct Books<'a> {
    tests: &'a [Test],
    /// The place of each test, by the hash of its source.
    places: BTreeMap<&'a str, usize>,
    /// One for each test.
    pub ledgers: Vec<Ledger>,
    /// Wall-clock time of the campaign so far, in seconds.
    pub spent_s: f64,
}

impl<'a> Books<'a> {
    /// Empty ledgers.
    pub fn new(tests: &'a [Test]) -> Books<'a> {
        let places = tests.iter().enumerate().map(|(at, test)| (&*test.scenario.sha256, at)).collect();
        Books { tests, places, ledgers: vec![Ledger::default(); tests.len()], spent_s: 0.0 }
    }

    /// Adds a line of the journal of an earlier run. A test that is not in the corpus any more, or that runs elsewhere now, is
    /// left out; returns false then.
    ///
    /// # Errors
    /// If the outcomes of a slice are none of its test, or do not give its races.
    pub fn replay(&mut self, line: Line, schedule: &mut Schedule) -> std::result::Result<bool, String> {
        Ok(match line {
            Line::Begin(_) => true,
            Line::Failed { test, reason, spent_s } => {
                self.spent_s = self.spent_s.max(spent_s);
                let Some(&test) = self.places.get(test.as_str()) else { return Ok(false) };
                self.ledgers[test].fail(reason);
                schedule.fail(test);
                true
            }
            Line::Slice(written) => {
                self.spent_s = self.spent_s.max(written.spent_s);
                let Some(arm) = self.arm(&written) else { return Ok(false) };
                problem(&self.tests[arm.test], &written).map_or(Ok(()), Err)?;
                let Written { iterations, filtered, races, sightings, elapsed_s, outcomes, .. } = written;
                let slice = Slice { iterations, filtered, races, sightings, elapsed_s, outcomes };
                self.add(arm, &slice, schedule);
                true
            }
        })
    }

    fn arm(&self, written: &Written) -> Option<Arm> {
        let &test = self.places.get(written.test.as_str())?;
        let place = self.tests[test].places.iter().position(|place| place.cpus == written.cpus)?;
        Some(Arm { test, place, setting: settings::named(&written.setting)? })
    }

    /// Adds a slice.
    pub fn add(&mut self, arm: Arm, slice: &Slice, schedule: &mut Schedule) {
        self.ledgers[arm.test].add(arm, slice);
        // A slice that measured nothing took its turn all the same.
        let pull = Pull {
            sightings: slice.sightings,
            seconds: slice.elapsed_s.max(1e-3),
            instances: slice.iterations + slice.filtered,
        };
        schedule.add(arm, pull);
    }
}
