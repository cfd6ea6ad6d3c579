//! Validates the results of `wakerace campaign`.

use super::host::{self, MOST_CPUS};
use super::scenario::naming;
use super::{Problems, longest_s};
use crate::record::{
    CampaignAbout, CampaignArm, CampaignCell, CampaignRecord, CampaignTest, MutantRecord, PlacementRecord, RefusedTest,
    SettingRecord, Standing,
};

pub(super) fn results(record: &CampaignRecord, problems: &mut Problems) {
    let Some(about) = record.campaign.as_deref() else {
        problems.say("campaign", "is absent; expected what the campaign knows besides its results");
        return;
    };
    problems.within("campaign", |problems| self::about(about, record.parts.is_empty(), problems));
    let keys: Vec<&String> = record.results.iter().map(|test| &test.source_sha256).collect();
    problems.distinct("results", "test", &keys);
    problems.each("results", &record.results, |problems, test| {
        let settled = |test: &CampaignTest| {
            let mut settled = test.clone();
            settled.settle();
            settled
        };
        problems.differences(test, &settled(test), "its cells give");
        counts(test, problems);
        cells(test, about, problems);
        evidence(test, problems);
    });
}

fn about(about: &CampaignAbout, single: bool, problems: &mut Problems) {
    let CampaignAbout { spent_s, confidence, shards, settings, emulator: _, refused } = about;
    problems.range("spent_s", *spent_s, 0.0..=longest_s(single));
    if let Some(confidence) = confidence {
        problems.range("confidence", *confidence, 0.0..=1.0);
    }
    problems.distinct("shards", "shard", shards);
    problems.each("shards", shards, |problems, shard| {
        let parts =
            shard.split_once('/').and_then(|(number, of)| Some((number.parse().ok()?, of.parse::<u64>().ok()?)));
        if !parts.is_some_and(|(number, of)| (1..=of).contains(&number)) {
            problems.say("", format!("is '{shard}'; expected NUMBER/OF"));
        }
    });
    let names: Vec<&String> = settings.iter().map(|SettingRecord { name, words: _ }| name).collect();
    problems.distinct("settings", "setting", &names);
    problems.distinct("refused", "file with this reason", refused);
    problems.each("refused", refused, |problems, RefusedTest { file: _, line, reason: _ }| {
        if *line == Some(0) {
            problems.say("line", "is 0; lines are counted from 1");
        }
    });
}

/// Checks the fields of a test that do not follow from its cells.
fn counts(test: &CampaignTest, problems: &mut Problems) {
    let CampaignTest {
        test: _,
        title,
        named_outcomes,
        family: _,
        source_sha256,
        threads,
        condition: _,
        mutant,
        expected: _,
        expected_from: _,
        lkmm: _,
        standing: _, // settled, as the other sums
        iterations,
        filtered: _,
        races,
        sightings,
        reproducibility: _,
        bound: _,
        elapsed_s,
        first_seen_s,
        cells: _,
        outcomes,
        displayed: _,
        failed: _,
        source: _,
        listing: _,
        extra: _,
    } = test;
    if source_sha256.len() != 64 || !source_sha256.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')) {
        problems.say("source_sha256", format!("is '{source_sha256}'; expected 64 hexadecimal digits"));
    }
    naming(title, named_outcomes, problems);
    problems.range("threads", *threads, 1..=MOST_CPUS);
    if let Some(MutantRecord { of, change }) = mutant
        && (of.is_empty() || change.is_empty())
    {
        problems.say("mutant", "has no test or no change");
    }
    problems.range("races", *races, 0..=*iterations);
    problems.range("sightings", *sightings, u64::from(*races > 0)..=*races);
    problems.range("elapsed_s", *elapsed_s, 0.0..=longest_s(false));
    if first_seen_s.is_some() != (*races > 0) {
        problems.say("first_seen_s", format!("does not fit {races} races"));
    }
    if let Some(first) = first_seen_s {
        problems.range("first_seen_s", *first, 0.0..=elapsed_s + 1e-6);
    }
    let sum = |wanted: fn(bool) -> bool| {
        let mut counts = outcomes.iter().filter(|outcome| wanted(outcome.satisfies)).map(|outcome| outcome.count);
        counts.try_fold(0u64, u64::checked_add)
    };
    problems.adds_up("outcomes", "the counts", sum(|_| true), *iterations, "iterations");
    problems.adds_up("outcomes", "the counts of races", sum(|satisfies| satisfies), *races, "races");
}

fn cells(test: &CampaignTest, about: &CampaignAbout, problems: &mut Problems) {
    problems.each("cells", &test.cells, |problems, CampaignCell { placement, settings }| {
        let PlacementRecord { cpus, class: _, kinds } = placement;
        if cpus.len() != test.threads {
            problems.say("placement.cpus", format!("has {} CPUs; the test has {} threads", cpus.len(), test.threads));
        }
        host::cpus("placement.cpus", cpus, problems);
        if !kinds.is_empty() && kinds.len() != cpus.len() {
            problems.say("placement.kinds", format!("has {} kinds for {} CPUs", kinds.len(), cpus.len()));
        }
        let names: Vec<&String> = settings.iter().map(|arm| &arm.setting).collect();
        problems.distinct("settings", "setting", &names);
        problems.each("settings", settings, |problems, arm| {
            let CampaignArm { setting, slices, seen, sightings, iterations, races, elapsed_s } = arm;
            if !about.settings.iter().any(|known| known.name == *setting) {
                problems.say("setting", format!("is '{setting}', which campaign.settings does not have"));
            }
            problems.range("seen", *seen, u64::from(*races > 0)..=*slices);
            problems.range("sightings", *sightings, *seen..=*races);
            problems.range("races", *races, 0..=*iterations);
            problems.range("elapsed_s", *elapsed_s, 0.0..=longest_s(false));
            if *slices == 0 && *iterations > 0 {
                problems.say("slices", format!("is 0, with {iterations} iterations"));
            }
        });
    });
}

/// A forbidden outcome comes with its source and its code.
fn evidence(test: &CampaignTest, problems: &mut Problems) {
    if test.standing == Standing::ForbiddenSeen {
        for (field, text) in [("source", &test.source), ("listing", &test.listing)] {
            if text.is_empty() {
                problems.say(field, "is empty, although a forbidden outcome was seen");
            }
        }
        if !test.source.is_empty() && !super::hashes_of_source(&test.source).contains(&test.source_sha256) {
            problems.say("source_sha256", "is not the hash of the source");
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::litmus::Verdict;
    use crate::machine::{self, Calibration, Topology};
    use crate::record::{
        CAMPAIGN_SCHEMA, CampaignAbout, CampaignRecord, RefusedTest, SettingRecord, campaign_problems, campaign_test,
    };

    fn record() -> CampaignRecord {
        let host = machine::describe(&Topology::read().unwrap(), &machine::allowed_cpus().unwrap(), Calibration::new());
        let mut record = CampaignRecord::begin(CAMPAIGN_SCHEMA, jiff::Timestamp::now(), host).unwrap();
        let settings = vec![SettingRecord { name: "paced".to_owned(), words: "paced".to_owned() }];
        let refused = vec![RefusedTest { file: "x".to_owned(), line: Some(3), reason: "why".to_owned() }];
        record.campaign = Some(Box::new(CampaignAbout { settings, refused, ..CampaignAbout::default() }));
        record.results = vec![
            campaign_test("MP", Some(Verdict::Sometimes), [1000, 5]),
            campaign_test("MP+mbs", Some(Verdict::Never), [1000, 0]),
        ];
        record
    }

    #[test]
    fn a_record_of_a_campaign_is_valid_and_each_fault_is_found() {
        assert_eq!(campaign_problems(&record()), Vec::<String>::new());
        let wrong = |fault: fn(&mut CampaignRecord), wanted: &str| {
            let mut record = record();
            fault(&mut record);
            let problems = campaign_problems(&record);
            assert!(problems.iter().any(|problem| problem.contains(wanted)), "{wanted}: {problems:?}");
        };
        wrong(|record| record.campaign = None, "campaign: is absent");
        wrong(|record| record.results[0].title = "two\nlines".to_owned(), "title: expected at most 80");
        wrong(|record| record.results[0].races = 6, "results[0].races");
        wrong(|record| record.results[0].outcomes[0].count = 6, "the counts add up");
        wrong(|record| record.results[0].cells[0].settings[0].setting = "odd".to_owned(), "which campaign.settings");
        wrong(|record| record.results[0].cells[0].placement.cpus = vec![1], "the test has 2 threads");
        wrong(|record| record.results[0].first_seen_s = None, "first_seen_s");
        wrong(|record| record.results[1].bound = Some(0.5), "results[1].bound");
        wrong(|record| record.results[1].source_sha256 = "x".to_owned(), "64 hexadecimal digits");
        wrong(|record| record.campaign.as_mut().unwrap().shards = vec!["3/2".to_owned()], "expected NUMBER/OF");
        wrong(|record| record.campaign.as_mut().unwrap().refused[0].line = Some(0), "counted from 1");
        wrong(
            |record| {
                record.results[1] = campaign_test("MP+mbs", Some(Verdict::Never), [1000, 1]);
            },
            "results[1].source: is empty, although a forbidden outcome was seen",
        );
    }
}
