//! Adds up records of campaigns: shards of one corpus, or the same tests on several machines.

use std::collections::BTreeMap;

use super::{hold, parts, too_many};
use crate::error::{Error, Result};
use crate::record::{CampaignAbout, CampaignArm, CampaignCell, CampaignRecord, CampaignTest, OutcomeRecord, identity};

/// A sum of records of campaigns, built one record at a time.
#[derive(Debug)]
pub struct CampaignMerger {
    record: CampaignRecord,
    /// The file that each run of the sum came from, by the identity of the run.
    held: BTreeMap<String, String>,
    first: String,
}

impl CampaignMerger {
    /// Starts a sum with a record. `name` is its name in error messages.
    ///
    /// # Errors
    /// If it contains a run twice.
    pub fn new(name: &str, mut record: CampaignRecord) -> Result<CampaignMerger> {
        let mut held = BTreeMap::new();
        hold(&mut held, name, &record)?;
        record.parts = parts(&record);
        record.conditions = None;
        Ok(CampaignMerger { record, held, first: name.to_owned() })
    }

    /// Adds a record.
    ///
    /// # Errors
    /// If the architecture or a verdict differs, if only one is from an emulator, if both contain the same run, or if a count
    /// would exceed 2^64. Nothing of the record is added then.
    pub fn add(&mut self, name: &str, record: CampaignRecord) -> Result<()> {
        let differ = |what: &str, ours: &str, theirs: &str| {
            Error::Usage(format!(
                "{name} cannot be added to {first}: {what} is {theirs} in {name} and {ours} in {first}",
                first = self.first
            ))
        };
        let (ours, theirs) = (&self.record.host, &record.host);
        if ours.architecture != theirs.architecture {
            return Err(differ("the architecture", &ours.architecture, &theirs.architecture));
        }
        if ours.emulated != theirs.emulated {
            return Err(differ("emulated", &ours.emulated.to_string(), &theirs.emulated.to_string()));
        }
        let mut held = self.held.clone();
        hold(&mut held, name, &record)?;
        let mut results: BTreeMap<String, CampaignTest> =
            self.record.results.iter().map(|test| (test.source_sha256.clone(), test.clone())).collect();
        let more_parts = parts(&record);
        for test in record.results.iter().cloned() {
            match results.get_mut(&test.source_sha256) {
                Some(known) if known.expected != test.expected => {
                    let words = |test: &CampaignTest| test.expected.map_or("none".to_owned(), |it| it.to_string());
                    return Err(differ(&format!("the verdict of {}", test.test), &words(known), &words(&test)));
                }
                Some(known) => add(known, test).ok_or_else(|| too_many(name, "a count"))?,
                None => {
                    results.insert(test.source_sha256.clone(), test);
                }
            }
        }
        self.held = held;
        self.record.results = results.into_values().collect();
        self.record.parts.extend(more_parts);
        self.record.elapsed_s += record.elapsed_s;
        self.record.interrupted |= record.interrupted;
        // This version does not know how to add a field of another version.
        self.record.extra.clear();
        add_about(&mut self.record, record.about());
        Ok(())
    }

    /// Returns the sum, with the tests in the order of one campaign.
    pub fn finish(mut self) -> CampaignRecord {
        self.record.id = identity::of_sum(&self.record.held());
        for test in &mut self.record.results {
            test.settle();
        }
        self.record
            .results
            .sort_by(|a, b| (&a.family, &a.test, &a.source_sha256).cmp(&(&b.family, &b.test, &b.source_sha256)));
        self.record
    }
}

fn add_about(record: &mut CampaignRecord, more: CampaignAbout) {
    let mut about = record.about();
    about.spent_s += more.spent_s;
    if about.confidence != more.confidence {
        about.confidence = None;
    }
    about.shards.extend(more.shards);
    about.shards.sort_unstable();
    about.shards.dedup();
    for setting in more.settings {
        if !about.settings.iter().any(|known| known.name == setting.name) {
            about.settings.push(setting);
        }
    }
    if about.emulator != more.emulator {
        about.emulator = None;
    }
    about.refused.extend(more.refused);
    about.refused.sort_unstable();
    about.refused.dedup();
    record.campaign = Some(Box::new(about));
}

/// Adds the counts of a test. `None` if one would exceed 2^64.
fn add(known: &mut CampaignTest, test: CampaignTest) -> Option<()> {
    known.filtered = known.filtered.checked_add(test.filtered)?;
    known.first_seen_s = [known.first_seen_s, test.first_seen_s].into_iter().flatten().reduce(f64::min);
    if known.failed.is_none() {
        known.failed = test.failed;
    }
    if known.title.is_empty() && known.named_outcomes.is_empty() {
        (known.title, known.named_outcomes) = (test.title, test.named_outcomes);
    }
    for (ours, theirs) in [(&mut known.source, test.source), (&mut known.listing, test.listing)] {
        if ours.is_empty() {
            *ours = theirs;
        }
    }
    for cell in test.cells {
        match known.cells.iter_mut().find(|known| known.placement.is_like(&cell.placement)) {
            Some(known) => add_cell(known, cell)?,
            None => known.cells.push(cell),
        }
    }
    for outcome in test.outcomes {
        match known.outcomes.iter_mut().find(|known| known.values == outcome.values) {
            Some(OutcomeRecord { count, .. }) => *count = count.checked_add(outcome.count)?,
            None => known.outcomes.push(outcome),
        }
    }
    Some(())
}

fn add_cell(known: &mut CampaignCell, cell: CampaignCell) -> Option<()> {
    for arm in cell.settings {
        let Some(ours) = known.settings.iter_mut().find(|known| known.setting == arm.setting) else {
            known.settings.push(arm);
            continue;
        };
        let CampaignArm { setting: _, slices, seen, sightings, iterations, races, elapsed_s } = arm;
        ours.slices = ours.slices.checked_add(slices)?;
        ours.seen = ours.seen.checked_add(seen)?;
        ours.sightings = ours.sightings.checked_add(sightings)?;
        ours.iterations = ours.iterations.checked_add(iterations)?;
        ours.races = ours.races.checked_add(races)?;
        ours.elapsed_s += elapsed_s;
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::litmus::Verdict;
    use crate::machine::{self, Calibration, Topology};
    use crate::record::{CAMPAIGN_SCHEMA, SettingRecord, Standing, campaign_problems, campaign_test};

    fn record(tests: Vec<CampaignTest>) -> CampaignRecord {
        let host = machine::describe(&Topology::read().unwrap(), &machine::allowed_cpus().unwrap(), Calibration::new());
        let mut record = CampaignRecord::begin(CAMPAIGN_SCHEMA, jiff::Timestamp::now(), host).unwrap();
        let settings = vec![SettingRecord { name: "paced".to_owned(), words: "paced".to_owned() }];
        record.campaign = Some(Box::new(CampaignAbout { spent_s: 1.0, settings, ..CampaignAbout::default() }));
        record.results = tests;
        record
    }

    #[test]
    fn counts_are_added_and_new_tests_join() {
        let a = record(vec![campaign_test("SB", Some(Verdict::Sometimes), [1000, 0])]);
        let mut b = record(vec![
            campaign_test("SB", Some(Verdict::Sometimes), [500, 5]),
            campaign_test("MP", Some(Verdict::Never), [10, 0]),
        ]);
        // An earlier version, which wrote no titles, wrote the other record.
        b.results[0].title = "store buffering".to_owned();
        let mut merger = CampaignMerger::new("a", a).unwrap();
        merger.add("b", b).unwrap();
        let sum = merger.finish();
        assert_eq!(campaign_problems(&sum), Vec::<String>::new());
        let names: Vec<&str> = sum.results.iter().map(|test| test.test.as_str()).collect();
        assert_eq!(names, ["MP", "SB"]);
        let both = &sum.results[1];
        assert_eq!(both.title, "store buffering");
        assert_eq!((both.iterations, both.races, both.standing), (1500, 5, Standing::AllowedSeen));
        assert_eq!((both.cells.len(), both.arms().map(|arm| arm.slices).sum::<u64>()), (1, 4));
        assert_eq!((sum.about().spent_s, sum.parts.len()), (2.0, 2));
    }

    #[test]
    fn what_cannot_be_added_leaves_the_sum_as_it_was() {
        let a = record(vec![campaign_test("SB", Some(Verdict::Sometimes), [1000, 0])]);
        let mut merger = CampaignMerger::new("a", a.clone()).unwrap();
        let refuse = |merger: &mut CampaignMerger, record: CampaignRecord, wanted: &str| {
            let error = merger.add("b", record).unwrap_err().to_string();
            assert!(error.contains(wanted), "{error}");
        };
        refuse(&mut merger, a.clone(), "count it twice");
        refuse(
            &mut merger,
            record(vec![campaign_test("SB", Some(Verdict::Never), [9, 0])]),
            "the verdict of SB is Never",
        );
        let mut emulated = record(Vec::new());
        emulated.host.emulated = !a.host.emulated;
        refuse(&mut merger, emulated, "emulated");
        assert_eq!(merger.finish().results, a.results);
    }
}
