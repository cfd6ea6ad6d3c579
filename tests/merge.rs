//! Tests of sums of records: the meaning of every field in a sum, and that no run is counted twice.

mod common;

use std::fs;
use std::path::{Path, PathBuf};

use assert_cmd::assert::OutputAssertExt;
use predicates::prelude::*;
use predicates::str::contains;
use serde_json::{Value, json};
use wakerace::litmus::Verdict;
use wakerace::publish::Publish as _;
use wakerace::record::{
    self, AnyRecord, FormerMeaning, LineFillsRecord, Merger, NoResult, Record, RunRecord, ScenarioResult, Unmeasured,
    Warning,
};
use wakerace::stats::Drift;
use wakerace::verdict::VerdictSource;

use common::small::{self, another, complete};
use common::{run, shipped_without_id, wakerace};

fn sum_of(records: &[&Record]) -> Record {
    let mut merger = Merger::new("0.json", records[0].clone()).unwrap();
    for (number, record) in records.iter().enumerate().skip(1) {
        merger.add(&format!("{number}.json"), (*record).clone()).unwrap();
    }
    merger.finish()
}

/// Another run of the small record. All of its numbers are different.
fn other() -> Record {
    let mut record = another(small::run());
    record.started = "2026-11-26T01:02:03.000000004Z".to_owned();
    record.command = vec!["wakerace".to_owned(), "run".to_owned()];
    record.elapsed_s = 100.5;
    record.host.cpu_model = "Example 9001".to_owned();
    record.tool.commit = "fedcba987654".to_owned();
    let more = json!({
        "matches": 400, "iterations": 700, "races": 41,
        "outcomes": [
            {"values": {"1:r0": 0, "1:r1": 0}, "count": 300, "satisfies": false},
            {"values": {"1:r0": 2, "1:r1": 0}, "count": 41, "satisfies": true},
            {"values": {"1:r0": 2, "1:r1": "&mutex"}, "count": 359, "satisfies": false}
        ],
        "skews": [
            {"skew_ns": 45.23, "iterations": 450, "matches": 250, "races": 31, "outcomes": [200, 31, 219]},
            {"skew_ns": 60.0, "iterations": 250, "matches": 150, "races": 10, "outcomes": [100, 10, 140]}
        ],
        "last_writers": [
            {"prefetched": false, "writers": {"__state": "P0", "blocked_on": "P0"}, "iterations": 200, "races": 11},
            {"prefetched": false, "writers": {"__state": "P0", "blocked_on": "P1"}, "iterations": 500, "races": 30}
        ],
        "gaps": small::gaps("iterations", &[20, 77]),
        "blocks": [{"iterations": 300, "races": 20}, {"iterations": 310, "races": 19}],
        "discarded": 10_007, "disturbances": 507, "moved": 21, "filtered": 331, "elapsed_s": 40.0, "in_batches_s": 30.0, "line_transfer_ns": 99.0, "nice": 3, "seed": 5,
        "counters": [{"cpu": 1, "offset_ns": 5.0, "error_ns": 40.0, "corrected": false}],
        "phases": {
            "run_s": 30.0, "clock_s": 3.0, "rendezvous_s": 4.0, "classification_s": 2.0, "reset_s": 1.0, "looks_s": 0.5, "line_transfers": 2.0
        },
        "group": "elsewhere", "drift": {"statistic": 0.5, "p": 0.25}
    });
    let mut result = serde_json::to_value(&record.results[1]).unwrap();
    result.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    result["pace"]["period_ticks"] = 402.into();
    result["pace"]["period_ns"] = 160.8.into();
    result["pace"]["end_spread_ns"] = 20.0.into();
    result["pace"]["late"] = 0.5.into();
    result["placement"]["cpus"] = json!([1, 3]);
    result["counters"][0]["cpu"] = 3.into();
    record.results[1] = serde_json::from_value(result).unwrap();
    complete(&mut record);
    record
}

#[test]
fn sightings_of_the_parts_are_added() {
    let (a, b) = (small::run(), other());
    let at = |record: &Record| record.results[1].sightings();
    assert!(at(&a) > 0 && at(&b) > 0);
    let sum = sum_of(&[&a, &b]);
    assert_eq!((sum.results[1].sightings, sum.results[1].blocks.len()), (Some(at(&a) + at(&b)), 0));
    // A sum of sums keeps them.
    let third = Record { id: "7".repeat(32), ..other() };
    let whole = sum_of(&[&sum, &third]);
    assert_eq!(at(&whole), at(&a) + 2 * at(&b));
    let mut wrong = sum.clone();
    wrong.results[1].sightings = Some(wrong.results[1].races + 1);
    assert!(record::problems(&wrong)[0].contains("results[1].sightings"), "{:?}", record::problems(&wrong));
    wrong.results[1].sightings = Some(0);
    assert!(record::problems(&wrong)[0].contains("results[1].sightings: is 0"), "{:?}", record::problems(&wrong));
}

#[test]
fn small_records_are_valid() {
    for record in [small::run(), other(), sum_of(&[&small::run(), &other()])] {
        assert_eq!(record::problems(&record), Vec::<String>::new());
        assert_eq!(small::read(&record), AnyRecord::Run(Box::new(record)));
    }
    let protocol = small::protocol();
    assert_eq!(record::protocol_problems(&protocol), Vec::<String>::new());
    assert_eq!(small::read(&protocol), AnyRecord::Protocol(Box::new(protocol)));
}

/// Lines from other caches are added if both parts counted the same event.
#[test]
fn counts_of_different_events_are_not_added() {
    let with = |record: Record, event: Option<&str>| {
        let mut record = record;
        let fills = |event: &str| LineFillsRecord { event: event.to_owned(), count: 600, per_instance: None };
        record.results[1].line_fills = event.map(fills);
        record::compute(&mut record.results[1]);
        record
    };
    let sum = |events: [Option<&str>; 2]| {
        let [a, b] = events;
        sum_of(&[&with(small::run(), a), &with(other(), b)]).results[1].line_fills.clone()
    };
    let [one, two] = [small::run(), other()].map(|record| {
        let result = &record.results[1];
        result.iterations + result.filtered + result.discarded
    });
    let found = sum([Some("a"); 2]).unwrap();
    assert_eq!((found.event.as_str(), found.count, found.per_instance), ("a", 1200, Some(1200.0 / (one + two) as f64)));
    assert_eq!([sum([Some("a"), Some("b")]), sum([Some("a"), None]), sum([None; 2])], [None, None, None]);
    let mut wrong = with(small::run(), Some("a"));
    assert_eq!(record::problems(&wrong), Vec::<String>::new());
    wrong.results[1].line_fills.as_mut().unwrap().per_instance = Some(0.5);
    assert!(
        record::problems(&wrong)[0].contains("results[1].line_fills.per_instance"),
        "{:?}",
        record::problems(&wrong)
    );
}

/// Compares all fields at once. The test fails if a field is lost, taken from only one side, or wrongly
/// added.
#[test]
fn every_field_of_a_result_has_its_meaning_in_a_sum() {
    let (a, b) = (small::run(), other());
    let sum = sum_of(&[&a, &b]);
    let one = serde_json::to_value(&a.results[1]).unwrap();
    let mut wanted = one.clone();
    let more = json!({
        "matches": 1283, "iterations": 2700, "races": 124,
        "outcomes": [
            {"values": {"1:r0": 0, "1:r1": 0}, "count": 1400, "satisfies": false},
            {"values": {"1:r0": 0, "1:r1": "&mutex"}, "count": 17, "satisfies": false},
            {"values": {"1:r0": 2, "1:r1": 0}, "count": 124, "satisfies": true},
            {"values": {"1:r0": 2, "1:r1": "&mutex"}, "count": 1159, "satisfies": false}
        ],
        "skews": [
            {"skew_ns": -60.0, "iterations": 900, "matches": 393, "races": 3, "outcomes": [500, 7, 3, 390]},
            {"skew_ns": 45.2, "iterations": 1550, "matches": 740, "races": 111, "outcomes": [800, 10, 111, 629]},
            {"skew_ns": 60.0, "iterations": 250, "matches": 150, "races": 10, "outcomes": [100, 0, 10, 140]}
        ],
        "last_writers": [
            {"prefetched": false, "writers": {"__state": "P0", "blocked_on": "P0"}, "iterations": 1150, "races": 44},
            {"prefetched": true, "writers": {"__state": "P0", "blocked_on": "P1"}, "iterations": 1050, "races": 50},
            {"prefetched": false, "writers": {"__state": "P0", "blocked_on": "P1"}, "iterations": 500, "races": 30}
        ],
        "gaps": small::gaps("iterations", &[20, 30, 41, 500, 12_345, 20, 77]),
        "discarded": 12_009, "disturbances": 539, "moved": 423, "sightings": 3, "filtered": 5333, "elapsed_s": 42.5, "in_batches_s": 32.25, "nice": 3,
        "phases": {
            "run_s": 32.25, "clock_s": 3.125, "rendezvous_s": 4.03125, "classification_s": 2.0625, "reset_s": 1.125, "looks_s": 0.515625,
            "line_transfers": (4.0 * 2000.0 + 2.0 * 700.0) / 2700.0
        }
    });
    wanted.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    wanted["repeats"] =
        json!([{"iterations": 2000, "races": 83, "matches": 883}, {"iterations": 700, "races": 41, "matches": 400}]);
    for absent in ["line_transfer_ns", "counters", "drift", "blocks"] {
        wanted.as_object_mut().unwrap().remove(absent);
    }
    // In the other run the control ran on other CPUs than the test.
    wanted["controls_fired"] = json!([]);
    wanted["evidence"] = json!({"needs": [["store-load"]], "seen": [], "controls": [], "looked": 1283, "needed": 1000});
    wanted["pace"]["period_ticks"] = Value::Null;
    wanted["pace"]["period_ns"] = ((120.8 * 2000.0 + 160.8 * 700.0) / 2700.0).into();
    wanted["pace"]["end_spread_ns"] = ((13.5 * 2000.0 + 20.0 * 700.0) / 2700.0).into();
    wanted["pace"]["late"] = ((0.27 * 2000.0 + 0.5 * 700.0) / 2700.0).into();
    let mut computed: ScenarioResult = serde_json::from_value(wanted.clone()).unwrap();
    record::compute(&mut computed);
    let found = serde_json::to_value(&sum.results[1]).unwrap();
    assert_eq!(found, serde_json::to_value(&computed).unwrap(), "{found:#}");
    // The fields that follow from counts are computed again.
    assert_eq!(found["iterations_per_s"], json!(2700.0 / 42.5));
    assert_eq!(found["rate"], json!(124.0 / 2700.0));
    assert_eq!(found["rate_per_match"], json!(124.0 / 1283.0));
    // Rates of 4.2 and 5.9 % differ by more than chance, so the interval is wider than that of independent
    // iterations.
    let (sum, alone) = (sum.results[1].interval.unwrap(), wakerace::stats::interval(124, 2700).unwrap());
    assert!(sum.low < alone.low && alone.high < sum.high, "{sum:?} {alone:?}");
}

#[test]
fn every_field_of_a_record_has_its_meaning_in_a_sum() {
    let (mut a, mut b) = (small::run(), other());
    b.interrupted = true;
    let without =
        |name: &str| Unmeasured { scenario: name.to_owned(), threads: 2, cpus: vec![0, 2], reason: NoResult::NoBatch };
    // The other record has a result of one of them.
    let measured = b.results[0].scenario.clone();
    a.unmeasured = vec![without("MP"), without(&measured)];
    b.unmeasured = vec![without("LB")];
    b.extra.insert("colour".to_owned(), "green".into());
    let sum = sum_of(&[&a, &b]);
    let RunRecord {
        schema,
        version,
        id,
        tool,
        command,
        started,
        elapsed_s,
        interrupted,
        host,
        conditions,
        results,
        unmeasured,
        parts,
        campaign,
        extra,
    } = sum;
    assert_eq!(unmeasured, [without("MP"), without("LB")]);
    assert_eq!(campaign, None, "campaigns have sums of their own");
    assert_eq!(conditions, None, "those of several runs have no common beginning");
    assert_eq!(version, record::VERSION);
    assert_eq!((schema, tool, command, started, host), (a.schema, a.tool, a.command, a.started, a.host));
    assert_eq!((elapsed_s, interrupted, results.len()), (108.25, true, 3));
    assert_eq!(parts.iter().map(|part| part.id.as_str()).collect::<Vec<_>>(), [&a.id, &b.id]);
    assert!(id.len() == 32 && id != a.id && id != b.id, "{id}");
    let part = &parts[1];
    assert_eq!((&part.tool, &part.command, &part.started), (&b.tool, &b.command, &b.started));
    assert_eq!((part.elapsed_s, &part.host), (100.5, &b.host));
    assert!(extra.is_empty(), "what the field of another version means in a sum is not known");
    assert!(sum_of(&[&b, &a_third()]).interrupted && !sum_of(&[&small::run(), &a_third()]).interrupted);
}

#[test]
fn a_sum_has_no_drift_and_no_warning_of_it() {
    let mut a = small::run();
    a.results[1].drift = Some(Drift { statistic: 0.9, p: 1e-12 });
    complete(&mut a);
    assert!(a.results[1].warnings.contains(&Warning::RateDrifted));
    // A sum of one part is a sum too.
    for sum in [sum_of(&[&a, &other()]), sum_of(&[&a])] {
        assert_eq!((sum.results[1].drift, sum.results[1].warnings.contains(&Warning::RateDrifted)), (None, false));
        assert_eq!(record::problems(&sum), Vec::<String>::new());
    }
}

fn a_third() -> Record {
    let mut record = other();
    record.id = "3".repeat(32);
    record
}

#[test]
fn a_sum_is_the_same_in_whatever_order() {
    let (a, b) = (small::run(), other());
    let (one, two) = (sum_of(&[&a, &b]), sum_of(&[&b, &a]));
    assert_eq!(one.id, two.id);
    for (one, two) in one.results.iter().zip(&two.results) {
        let counts = |result: &ScenarioResult| {
            let ScenarioResult { iterations, races, matches, discarded, disturbances, rate, interval, .. } = *result;
            (iterations, races, matches, discarded, disturbances, rate, interval)
        };
        assert_eq!(counts(one), counts(two));
        assert_eq!((&one.outcomes, &one.gaps), (&two.outcomes, &two.gaps));
        assert_eq!((one.nice, one.pace.late), (two.nice, two.pace.late));
        assert_eq!(one.skews.len(), two.skews.len());
    }
    // A sum of three records equals the sum of a sum of two and the third.
    let third = a_third();
    let (flat, nested) = (sum_of(&[&a, &b, &third]), sum_of(&[&sum_of(&[&a, &b]), &third]));
    assert_eq!((flat.id, flat.parts.len()), (nested.id, nested.parts.len()));
    assert_eq!(flat.results[1].outcomes, nested.results[1].outcomes);
}

/// If only one part has a count, the sum has none. If the parts have different values, the sum has none.
#[test]
fn what_one_part_lacks_the_sum_lacks() {
    let sum = |edit: fn(&mut ScenarioResult)| {
        let mut b = other();
        edit(&mut b.results[1]);
        let (one, two) = (sum_of(&[&small::run(), &b]), sum_of(&[&b, &small::run()]));
        [one.results[1].clone(), two.results[1].clone()]
    };
    for result in sum(|b| b.last_writers.clear()) {
        assert_eq!(result.last_writers, []);
    }
    for result in sum(|b| b.displayed.clear()) {
        assert_eq!(result.displayed, ["1:r0", "1:r1"]);
    }
    for result in sum(|b| b.pace.end_spread_ns = None) {
        assert_eq!(result.pace.end_spread_ns, None);
    }
    for result in sum(|b| b.pace.late = None) {
        assert_eq!(result.pace.late, None);
    }
    for result in sum(|b| b.skews.iter_mut().for_each(|skew| skew.outcomes.clear())) {
        let lengths: Vec<usize> = result.skews.iter().map(|skew| skew.outcomes.len()).collect();
        assert_eq!(lengths, [4, 0, 0], "counted by the first part alone, by both, by the second");
    }
    for result in sum(|b| b.skews.iter_mut().for_each(|skew| skew.matches = None)) {
        let matches: Vec<Option<u64>> = result.skews.iter().map(|skew| skew.matches).collect();
        assert_eq!(matches, [Some(393), None, None]);
    }
    for result in sum(|b| b.matches = None) {
        assert_eq!((result.matches, result.rate_per_match, result.interval_per_match), (None, None, None));
    }
    for result in sum(|b| b.gaps = record::Gaps { unit: "iterations".to_owned(), ..record::Gaps::default() }) {
        assert_eq!(result.gaps, small::run().results[1].gaps);
    }
    for result in sum(|b| b.lkmm = Some(Verdict::Always)) {
        assert_eq!(result.lkmm, None);
    }
    for result in sum(|b| b.expected_from = VerdictSource::Header) {
        assert_eq!(result.expected_from, VerdictSource::Header);
    }
    for result in sum(|b| b.pace.profile = Some("tuned".to_owned())) {
        assert_eq!(result.pace.profile, None);
    }
    for result in sum(|b| b.pace.chosen = "given".to_owned()) {
        assert_eq!(result.pace.chosen, "auto");
    }
    for result in sum(|b| drop((std::mem::take(&mut b.source), std::mem::take(&mut b.listing)))) {
        assert_eq!(result.source, small::run().results[1].source);
    }
    for result in sum(|b| drop(b.extra.insert("filtered".to_owned(), 7.into()))) {
        assert!(result.extra.is_empty());
    }
    for result in sum(|b| b.nice = -20) {
        assert_eq!(result.nice, -7, "the least favourable one");
    }
    for result in sum(|b| b.pace.period_ticks = Some(302)) {
        assert_eq!(result.pace.period_ticks, Some(302));
    }
}

#[test]
fn a_control_speaks_for_a_sum_only_if_it_fired_in_all_parts() {
    let (a, mut b) = (small::run(), other());
    let zero = |record: &Record| record.results[2].clone();
    assert_eq!(zero(&a).controls_fired, ["SB"]);
    let sensitivity = zero(&a).sensitivity.unwrap();
    let both = zero(&sum_of(&[&a, &b]));
    assert_eq!(both.controls_fired, ["SB"]);
    let kept = both.sensitivity.clone().unwrap();
    assert_eq!((kept.control.as_str(), kept.rate), ("SB", sensitivity.rate));
    assert_eq!(kept.bound, both.interval.unwrap().high / kept.rate);
    assert!(kept.bound < sensitivity.bound, "twice as many iterations bound it lower");
    // The lower rate holds for both parts.
    let mut weak = b.clone();
    weak.results[2].sensitivity.as_mut().unwrap().rate = 0.125;
    for sum in [sum_of(&[&a, &weak]), sum_of(&[&weak, &a])] {
        assert_eq!(zero(&sum).sensitivity.unwrap().rate, 0.125);
    }
    let evidence = |record: &Record| zero(record).evidence.unwrap();
    let (one, two, sum) = (evidence(&a), evidence(&b), evidence(&sum_of(&[&a, &b])));
    assert_eq!((one.looked, two.looked, sum.looked), (1400, 1400, 2800));
    assert_eq!((sum.controls.as_slice(), sum.needed, &sum.needs), (["SB".to_owned()].as_slice(), 1000, &one.needs));
    assert_eq!((zero(&a).finding, both.finding), (record::Finding::NotObserved, record::Finding::NotObserved));
    let edits: [fn(&mut record::Evidence); 4] =
        [|e| e.controls.clear(), |e| e.seen.clear(), |e| e.needs = Some(Vec::new()), |e| e.needed = 5000];
    for (number, edit) in edits.into_iter().enumerate() {
        let mut b = b.clone();
        edit(b.results[2].evidence.as_mut().unwrap());
        for sum in [sum_of(&[&a, &b]), sum_of(&[&b, &a])] {
            let result = zero(&sum);
            let evidence = result.evidence.unwrap();
            match number {
                0 => assert_eq!(
                    (evidence.controls.len(), result.sensitivity, result.finding),
                    (0, None, record::Finding::Inconclusive)
                ),
                1 => assert!(evidence.seen.is_empty()),
                2 => assert_eq!(evidence.needs, None, "the parts do not agree"),
                _ => assert_eq!((evidence.needed, result.finding), (5000, record::Finding::Inconclusive)),
            }
        }
    }
    let mut older = b.clone();
    older.results[2].evidence = None;
    assert_eq!(zero(&sum_of(&[&a, &older])).evidence, None);
    assert_eq!(zero(&sum_of(&[&older, &a])).evidence, None);
    b.results[2].controls_fired = vec!["MP".to_owned()];
    b.results[2].evidence = None;
    for sum in [sum_of(&[&a, &b]), sum_of(&[&b, &a])] {
        let result = zero(&sum);
        assert!(result.controls_fired.is_empty() && result.sensitivity.is_none(), "{result:?}");
        assert_eq!(result.finding, record::Finding::Inconclusive);
    }
}

#[test]
fn results_of_one_part_alone_are_kept() {
    let (a, mut b) = (small::run(), other());
    let alone = b.results.remove(1);
    let mut renamed = alone.clone();
    renamed.scenario = "S05-other".to_owned();
    b.results.push(renamed);
    let sum = sum_of(&[&a, &b]);
    let names: Vec<&str> = sum.results.iter().map(|result| result.scenario.as_str()).collect();
    assert_eq!(names, ["SB", "S05-swapped", "S02-wmb", "S05-other"]);
    assert_eq!(sum.results[1].iterations, a.results[1].iterations);
    assert_eq!(sum.results[3].gaps, alone.gaps);
    // A result on another placement class is a separate result.
    let mut far = other();
    far.results[1].placement.class = "socket".parse().unwrap();
    assert_eq!(sum_of(&[&a, &far]).results.len(), 4);
}

/// A change to a result, and the difference that the message names.
type Difference = (fn(&mut ScenarioResult), &'static str);

#[test]
fn what_must_be_the_same_is() {
    let cases: [Difference; 19] = [
        (|b| b.source_sha256 = "0".repeat(64), "the source of S05-swapped"),
        (|b| b.code_sha256 = "0".repeat(64), "the code of S05-swapped"),
        (|b| b.condition = "exists (x=1)".to_owned(), "the condition of"),
        (|b| b.match_event = None, "the match event of"),
        (|b| b.pace.mode = "free".to_owned(), "the pace of"),
        (|b| b.pace.given_group = true, "the group of"),
        (|b| b.pace.prefetch = wakerace::harness::Prefetch::On, "the prefetch setting of"),
        (|b| b.stress = Some("memory".to_owned()), "the stress of"),
        (|b| b.pace.focused = false, "focused of"),
        (|b| b.pace.given_period_ns = Some(100.0), "the period of"),
        (|b| b.pace.given_skews = true, "the sweep of"),
        (|b| b.layout.stride_bytes = 128, "the layout of"),
        (|b| b.batch = 1, "the batch of"),
        (|b| b.atomics = Some("lse".to_owned()), "the atomics of"),
        (|b| b.lock = Some("ticket".to_owned()), "the lock of"),
        (|b| b.expected = None, "the expectation of"),
        (|b| b.gaps.unit = "ns".to_owned(), "the unit of the histogram of"),
        (
            |b| b.former_meanings = vec![FormerMeaning::InBatchesFromHeadStart],
            "the meaning of in_batches_s of S05-swapped is from 2 us before the first tick in b.json and from the first tick in a.json",
        ),
        (
            |b| b.former_meanings = vec![FormerMeaning::FilteredAreIterations],
            "the meaning of iterations of S05-swapped is with instances that the filter excludes in b.json",
        ),
    ];
    for (edit, message) in cases {
        let mut b = other();
        edit(&mut b.results[1]);
        let mut merger = Merger::new("a.json", small::run()).unwrap();
        let error = merger.add("b.json", b).unwrap_err().to_string();
        assert!(
            error.starts_with("b.json cannot be added to a.json: ") && error.contains(message),
            "{message}: {error}"
        );
        // Nothing of the record was added, not even results without a difference.
        assert_eq!(merger.finish().results, sum_of(&[&small::run()]).results, "{message}");
    }
}

/// A result without the field has the queued spinlock, as all code had before there was a choice.
#[test]
fn the_queued_spinlock_is_the_lock_of_records_without_one() {
    let mut b = other();
    b.results[1].lock = Some("qspinlock".to_owned());
    let sum = sum_of(&[&small::run(), &b]);
    assert_eq!(sum.results[1].lock.as_deref(), Some("qspinlock"));
    // The two results are one.
    let swapped = |run: &Record| run.results.iter().filter(|result| result.scenario == "S05-swapped").count();
    assert_eq!((swapped(&sum), swapped(&small::run())), (1, 1));
}

#[test]
fn boxes_of_another_kind_are_not_added() {
    type Edit = fn(&mut Record);
    let edits: [(Edit, &str); 2] = [
        (|b| b.host.architecture = "aarch64".to_owned(), "the architecture is aarch64 in b.json and x86_64 in a.json"),
        (|b| b.host.emulated = true, "emulated is true in b.json and false in a.json"),
    ];
    for (edit, message) in edits {
        let mut b = other();
        edit(&mut b);
        let error = Merger::new("a.json", small::run()).unwrap().add("b.json", b).unwrap_err().to_string();
        assert_eq!(error, format!("b.json cannot be added to a.json: {message}"));
    }
}

#[test]
fn a_sum_that_does_not_fit_is_refused_and_leaves_nothing_behind() {
    let huge: [fn(&mut ScenarioResult); 10] = [
        |b| b.moved = u64::MAX,
        |b| b.filtered = u64::MAX,
        |b| b.iterations = u64::MAX,
        |b| b.races = u64::MAX,
        |b| b.matches = Some(u64::MAX),
        |b| b.discarded = u64::MAX,
        |b| b.disturbances = u64::MAX,
        |b| b.outcomes[0].count = u64::MAX,
        |b| b.skews[0].iterations = u64::MAX,
        |b| b.last_writers[0].races = u64::MAX,
    ];
    for edit in huge {
        let mut b = other();
        edit(&mut b.results[1]);
        let mut merger = Merger::new("a.json", small::run()).unwrap();
        let error = merger.add("b.json", b).unwrap_err().to_string();
        assert!(error.contains("b.json cannot be added: ") && error.contains("would exceed 2^64"), "{error}");
        assert_eq!(merger.finish(), sum_of(&[&small::run()]));
    }
}

#[test]
fn histograms_of_other_bounds_are_added() {
    let mut b = other();
    let mut wide = hdrhistogram::Histogram::<u64>::new_with_bounds(1, 1 << 60, 2).unwrap();
    wide.record(1 << 50).unwrap();
    b.results[1].gaps = record::Gaps::new(&wide);
    let sum = sum_of(&[&small::run(), &b]);
    assert_eq!((sum.results[1].gaps.count, sum.results[1].gaps.p50), (6, 41));
    assert!(sum.results[1].gaps.max >= 1 << 50);
    assert_eq!(record::problems(&sum), Vec::<String>::new());
}

/// Writes a record into a folder.
fn put(folder: &Path, name: &str, record: &impl serde::Serialize) -> PathBuf {
    let path = folder.join(name);
    fs::write(&path, serde_json::to_string(record).unwrap()).unwrap();
    path
}

fn merge(paths: &[&PathBuf], out: &Path) -> assert_cmd::assert::Assert {
    wakerace().arg("merge").args(paths).arg("-o").arg(out).assert()
}

/// Checks that a run is in a sum only once, however sums are nested.
fn no_run_is_counted_twice(a: &Record, b: &Record, c: &Record) {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let [a, b, c] =
        [("a.json", a), ("b.json", b), ("c.json", c)].map(|(name, record)| put(folder.path(), name, record));
    let [ab, bc, abc] = ["ab.json", "bc.json", "abc.json"].map(at);
    merge(&[&a, &b], &ab).success();
    merge(&[&b, &c], &bc).success();
    merge(&[&ab, &c], &abc).success();
    let out = at("sum.json");
    // A copy of a file with another name is the same run.
    let copy = at("copy.json");
    fs::copy(&a, &copy).unwrap();
    let overlaps =
        [[&a, &a], [&a, &copy], [&a, &ab], [&ab, &a], [&ab, &bc], [&abc, &b], [&c, &abc], [&abc, &abc], [&bc, &abc]];
    for [one, two] in overlaps {
        let names = [one, two].map(|path| path.to_string_lossy().into_owned());
        let said = contains("already contains the run").and(contains(&names[0])).and(contains(&names[1]));
        merge(&[one, two], &out).code(2).stderr(said);
        assert!(!out.exists(), "nothing is written");
    }
    let again = at("again.json");
    merge(&[&c, &ab], &again).success();
    let read = |path: &Path| run(&fs::read_to_string(path).unwrap());
    assert_eq!(read(&again).id, read(&abc).id);
    assert_eq!(read(&abc).parts.len(), 3);
    for path in [&ab, &bc, &abc] {
        wakerace().arg("validate").arg(path).assert().success();
    }
}

#[test]
fn a_run_is_in_a_sum_once() {
    no_run_is_counted_twice(&small::run(), &other(), &a_third());
}

/// Records without ids are identified by their program, command, start time and host.
#[test]
fn records_without_ids_are_in_a_sum_once_too() {
    let old = shipped_without_id();
    assert_eq!((old.id.as_str(), old.identity().len()), ("", 32));
    let [mut b, mut c] = [old.clone(), old.clone()];
    b.started = "2026-11-25T17:44:25.503233780Z".to_owned();
    c.command.push("-q".to_owned());
    no_run_is_counted_twice(&old, &b, &c);
    // The unfinished record that a run wrote earlier has the same identity as the final one.
    let mut early = old.clone();
    early.results.truncate(2);
    early.elapsed_s /= 2.0;
    assert_eq!(early.identity(), old.identity());
    // The parts of a sum of a version without ids have no ids either.
    let mut sum = sum_of(&[&old, &b]);
    sum.id.clear();
    sum.parts.iter_mut().for_each(|part| part.id.clear());
    let error = Merger::new("sum.json", sum.clone()).unwrap().add("old.json", old.clone()).unwrap_err().to_string();
    assert!(error.contains("old.json cannot be added: sum.json already contains the run"), "{error}");
    assert!(Merger::new("sum.json", sum.clone()).unwrap().add("c.json", c).is_ok());
    // Such a version could add a record to itself. This sum is refused.
    sum.parts[1] = sum.parts[0].clone();
    let error = Merger::new("sum.json", sum.clone()).unwrap_err().to_string();
    assert!(error.contains("sum.json") && error.contains("already contains the run"), "{error}");
}

#[test]
fn every_part_of_what_identifies_an_old_record_counts() {
    let old = shipped_without_id();
    let edits: [fn(&mut Record); 8] = [
        |record| record.started.push('0'),
        |record| record.command.push(String::new()),
        |record| record.tool.version.push('0'),
        |record| record.tool.commit.push('0'),
        |record| record.host.cpu_model.push('0'),
        |record| record.host.kernel.push('0'),
        |record| record.host.architecture.push('0'),
        |record| record.host.cpus_allowed.push('0'),
    ];
    let mut all: Vec<String> = edits
        .iter()
        .map(|edit| {
            let mut record = old.clone();
            edit(&mut record);
            record.identity()
        })
        .collect();
    all.push(old.identity());
    all.sort();
    all.dedup();
    assert_eq!(all.len(), 9);
}

#[test]
fn two_runs_that_begin_at_once_have_ids_of_their_own() {
    let host = small::run().host;
    let now: jiff::Timestamp = "2026-11-25T17:44:25Z".parse().unwrap();
    let begin = || Record::begin(record::SCHEMA, now, host.clone()).unwrap();
    let (one, two) = (begin(), begin());
    assert_ne!(one.id, two.id);
    assert_eq!(one.identity(), one.id);
    // The identity is the same after writing and reading.
    let AnyRecord::Run(read) = small::read(&one) else { panic!("a record of a run") };
    assert_eq!(read.identity(), one.id);
    let protocol = || record::ProtocolRecord::begin(record::PROTOCOL_SCHEMA, now, host.clone()).unwrap().id;
    assert_ne!(protocol(), protocol());
}

#[test]
fn a_merge_says_what_it_wrote() {
    let folder = tempfile::tempdir().unwrap();
    let (a, b) = (put(folder.path(), "a.json", &small::run()), put(folder.path(), "b.json", &other()));
    let out = folder.path().join("sum.json");
    merge(&[&a, &b], &out).success().stdout(contains("record: ").and(contains("S05-swapped")));
    let sum = run(&fs::read_to_string(&out).unwrap());
    assert_eq!(sum, sum_of(&[&small::run(), &other()]));
    let piped = wakerace().arg("merge").args([&a, &b]).args(["-o", "-"]).output().unwrap();
    assert_eq!(String::from_utf8(piped.stdout).unwrap(), sum.json().unwrap());
    // A page of the sum and its parts has each run once.
    let page = folder.path().join("page.html");
    let report = wakerace().arg("report").arg(folder.path()).arg("-o").arg(&page).assert().success();
    report
        .stdout(contains("page of 2 records"))
        .stderr(contains("sum.json, because the other records have all of its"));
    let protocol = put(folder.path(), "protocol.json", &small::protocol());
    merge(&[&a, &protocol], &folder.path().join("none.json"))
        .code(2)
        .stderr(contains("protocol.json: a record of `wakerace protocol`"));
}
