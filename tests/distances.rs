//! Tests of the distances between CPUs: what a record, a sum, the table and `compare` make of them.

mod common;

use serde_json::{Value, json};
use wakerace::publish::{self, Code, Publish as _};
use wakerace::record::{
    self, AnyRecord, CodeRecord, DistancesRecord, FreeRecord, Merger, PhasesRecord, Record, ScenarioResult,
    StratumRecord,
};

use common::small::{self, another, at_two_distances, complete};

fn distances(record: &Record) -> &DistancesRecord {
    record.results[1].distances.as_ref().unwrap()
}

fn sum_of(records: &[Record]) -> Record {
    let mut merger = Merger::new("0.json", records[0].clone()).unwrap();
    for (number, record) in records.iter().enumerate().skip(1) {
        merger.add(&format!("{number}.json"), record.clone()).unwrap();
    }
    merger.finish()
}

/// The record with other distances: the JSON of a `DistancesRecord` is changed.
fn with(change: impl Fn(&mut Value)) -> Record {
    let mut record = another(at_two_distances());
    let mut value = serde_json::to_value(distances(&record)).unwrap();
    change(&mut value);
    record.results[1].distances = Some(serde_json::from_value(value).unwrap());
    complete(&mut record);
    record
}

#[test]
fn a_record_with_distances_is_valid_and_reads_as_it_was_written() {
    let record = at_two_distances();
    assert_eq!(record::problems(&record), Vec::<String>::new());
    assert_eq!(small::read(&record), AnyRecord::Run(Box::new(record.clone())));
    let [near, far] = &distances(&record).strata[..] else { panic!("two") };
    assert_eq!((near.rate, far.rate), (Some(53.0 / 1200.0), Some(27.0 / 700.0)));
    let interval = near.interval.unwrap();
    assert!(interval.low < 53.0 / 1200.0 && 53.0 / 1200.0 < interval.high, "{interval:?}");
    assert_eq!((near.races_per_s(), far.races_per_s()), (53.0, 21.6));
    assert_eq!(distances(&record).shares(), [1.05 / 2.45, 1.4 / 2.45]);
    // A record of a version without distances has none.
    assert!(serde_json::to_value(&small::run().results[1]).unwrap().get("distances").is_none());
}

#[test]
fn counts_that_do_not_add_up_and_impossible_distances_are_named() {
    type Change = fn(&mut Value);
    let cases: [(Change, &str); 14] = [
        (
            |d| d["strata"][0]["iterations"] = 1201.into(),
            "strata: the iterations, with those of between, add up to 2001; iterations is 2000",
        ),
        (
            |d| d["strata"][1]["races"] = 26.into(),
            "strata: the races, with those of between, add up to 82; races is 83",
        ),
        (
            |d| d["between"]["matches"] = 34.into(),
            "strata: the matches, with those of between, add up to 884; matches is 883",
        ),
        (|d| d["strata"][0]["skews"][0]["races"] = 4.into(), "strata[0].skews: the races add up to 54; races is 53"),
        (
            |d| d["strata"][1]["last_writers"][0]["iterations"] = 331.into(),
            "strata[1].last_writers: the iterations add up to 701; iterations is 700",
        ),
        (
            |d| d["strata"][1]["blocks"][0]["iterations"] = 351.into(),
            "strata[1].blocks: has more iterations than what it is of, which has 700",
        ),
        (|d| d["strata"][1]["ns"] = 300.into(), "strata[1].ns: is 300.0; expected "),
        (|d| d["strata"][0]["high_ns"] = 15.into(), "strata[0].high_ns: is 15.0; expected 16.0 to "),
        (|d| d["strata"][0]["looks"] = 60.into(), "strata: has more looks than there were; 117 measured"),
        (|d| d["lost"] = 121.into(), "lost: is 121; expected 0 to 120"),
        (
            |d| {
                (d["strata"][1]["ns"], d["strata"][1]["low_ns"], d["strata"][1]["high_ns"]) =
                    (27.into(), 26.into(), 28.into())
            },
            "strata: has 17.5 ns before 27 ns; expected ascending, a factor of 1.6 apart",
        ),
        (|d| d["strata"][1]["elapsed_s"] = 2.4.into(), "strata: has 3.45 s for elapsed_s; the result has 2.5 s"),
        (|d| d["strata"][0]["in_batches_s"] = 1.3.into(), "strata[0].in_batches_s: is 1.3; "),
        (|d| d["strata"][0]["drift"]["p"] = 2.into(), "strata[0].drift.p: is 2.0; "),
    ];
    for (change, words) in cases {
        let found = record::problems(&with(change));
        let wanted = format!("results[1].distances.{words}");
        assert!(found.iter().any(|problem| problem.starts_with(&wanted)), "{wanted}: {found:#?}");
    }
    let mut wrong = at_two_distances();
    wrong.results[1].distances.as_mut().unwrap().strata[1].rate = Some(0.5);
    let found = record::problems(&wrong);
    assert!(
        found.iter().any(|problem| problem.starts_with("results[1].distances.strata[1].rate: is 0.5; ")),
        "{found:#?}"
    );
}

/// The near distance of the other record is 1.43 times as long and so the same; its far one is another.
#[test]
fn a_sum_adds_what_was_at_the_same_distance() {
    let b = with(|d| {
        let [near, far] = [(25.0, 24.0, 26.0), (90.0, 85.0, 95.0)];
        for (at, (ns, low, high)) in [near, far].into_iter().enumerate() {
            let stratum = &mut d["strata"][at];
            (stratum["ns"], stratum["low_ns"], stratum["high_ns"]) = (ns.into(), low.into(), high.into());
        }
        (d["strata"][0]["elapsed_s"], d["strata"][0]["skews"][1]["skew_ns"]) = (1.05.into(), 50.0.into());
    });
    let sum = sum_of(&[at_two_distances(), b.clone()]);
    assert_eq!(record::problems(&sum), Vec::<String>::new());
    let found = distances(&sum);
    assert_eq!((found.looks, found.lost, found.offset_changes), (240, 6, 4));
    assert_eq!(serde_json::to_value(found.between).unwrap(), json!({"iterations": 200, "races": 6, "matches": 66}));
    let [near, middle, far] = &found.strata[..] else { panic!("{found:?}") };
    assert!((near.ns - (17.5_f64 * 25.0).sqrt()).abs() < 1e-9, "{near:?}");
    assert_eq!((near.low_ns, near.high_ns, near.looks, near.elapsed_s, near.in_batches_s), (16.0, 26.0, 96, 2.1, 2.0));
    assert_eq!((near.iterations, near.matches, near.races), (2400, Some(1000), 106));
    assert_eq!((near.period_ns, near.drift, near.blocks.len()), (Some(110.0), None, 0));
    let repeat = json!({"iterations": 1200, "races": 53, "matches": 500});
    assert_eq!(serde_json::to_value(&near.repeats).unwrap(), json!([repeat, repeat]));
    let skews: Vec<_> = near.skews.iter().map(|skew| (skew.skew_ns, skew.iterations, skew.races)).collect();
    assert_eq!(skews, [(-60.0, 1000, 6), (45.2, 700, 50), (50.0, 700, 50)]);
    assert_eq!(near.last_writers.iter().map(|entry| entry.races).collect::<Vec<_>>(), [42, 64]);
    for (one, ns) in [(middle, 90.0), (far, 230.0)] {
        assert_eq!((one.ns, one.iterations, one.races, one.repeats.len(), one.skews.len()), (ns, 700, 27, 1, 2));
    }
    // What only one side has counted is as sure as it was: its blocks show how the rate changed.
    assert_eq!(middle.blocks, distances(&b).strata[1].blocks);
    let uncounted = |ns: f64| {
        let mut record = at_two_distances();
        record.results[1].distances.as_mut().unwrap().count_only_at(ns);
        record
    };
    let [near, far] = &distances(&at_two_distances()).strata.clone()[..] else { panic!("two") };
    for records in [[uncounted(17.5), another(uncounted(230.0))], [uncounted(230.0), another(uncounted(17.5))]] {
        let sum = sum_of(&records);
        assert_eq!(record::problems(&sum), Vec::<String>::new());
        for (found, alone) in distances(&sum).strata.iter().zip([near, far]) {
            assert!(!found.blocks.is_empty() && found.interval.is_some(), "{found:?}");
            assert_eq!((&found.blocks, found.drift, found.interval), (&alone.blocks, alone.drift, alone.interval));
        }
    }
    // A part that measured no distance is between distances, as far as is known.
    let sum = sum_of(&[small::run(), b]);
    assert_eq!(record::problems(&sum), Vec::<String>::new());
    let found = distances(&sum);
    assert_eq!((found.between.iterations, found.strata.len(), found.strata[0].iterations), (2100, 2, 1200));
    assert_eq!(sum_of(&[small::run(), another(small::run())]).results[1].distances, None);
}

/// A record that has all its counts at one distance.
fn at_one(ns: f64) -> Record {
    with(|d| {
        let mut only = d["strata"][0].clone();
        (only["ns"], only["low_ns"], only["high_ns"]) = (ns.into(), ns.into(), ns.into());
        (only["iterations"], only["matches"], only["races"]) = (2000.into(), 883.into(), 83.into());
        only.as_object_mut().unwrap().retain(|key, _| key != "skews" && key != "last_writers");
        d["strata"] = json!([only]);
        d["between"] = json!({"iterations": 0, "races": 0, "matches": 0});
    })
}

#[test]
fn a_single_distance_has_its_window_in_a_sum_with_another() {
    let sum = sum_of(&[at_one(100.0), at_two_distances()]);
    assert_eq!(record::problems(&sum), Vec::<String>::new());
    let strata: Vec<(f64, usize, usize)> =
        distances(&sum).strata.iter().map(|at| (at.ns, at.skews.len(), at.last_writers.len())).collect();
    assert_eq!(strata, [(17.5, 2, 2), (100.0, 2, 2), (230.0, 2, 2)]);
    let [_, StratumRecord { skews, .. }, _] = &distances(&sum).strata[..] else { panic!() };
    assert_eq!(skews.iter().map(|skew| skew.races).collect::<Vec<_>>(), [3, 80]);
    // Two records at one and the same distance stay at one.
    let mut other = at_one(110.0);
    other.id = at_two_distances().id;
    let sum = sum_of(&[at_one(100.0), other]);
    assert_eq!(record::problems(&sum), Vec::<String>::new());
    let [only] = &distances(&sum).strata[..] else { panic!() };
    assert_eq!((only.iterations, only.skews.len(), only.repeats.len()), (4000, 0, 2));
}

#[test]
fn the_table_has_a_line_for_each_distance_and_says_when_there_is_one() {
    let record = at_two_distances();
    let table = record.table();
    let rows: Vec<&str> = table.lines().filter(|line| line.contains(" of the iterations")).collect();
    assert_eq!(rows.len(), 2, "{table}");
    assert!(
        rows[0].contains("at 18 ns, 60 % of the iterations") && rows[0].contains("1,200") && rows[0].contains("4.42 %"),
        "{table}"
    );
    assert!(rows[1].contains("at 230 ns, 35 % of the iterations") && rows[1].contains("3.86 %"), "{table}");
    assert!(rows[1].contains("+45 ns 8.44 %"), "{table}");
    let summary = record.summary();
    assert!(summary.contains("2 distances: 18 ns 43 % of the time, 230 ns 57 %. The distance changed"), "{summary}");
    assert!(record.markdown().contains("at 18 ns, 60 % of the iterations"));
    for width in [60, 80, 120] {
        assert!(record.table_in(width).contains("4.42 %"), "{width}: {}", record.table_in(width));
    }
    let one = at_one(38.0);
    assert!(
        !one.table().contains(" of the time") && one.summary().contains("one distance: 38 ns."),
        "{}",
        one.summary()
    );
    assert!(!small::run().summary().contains("distance"));
}

#[test]
fn rates_are_compared_at_the_same_distance() {
    let compared = |a: &Record, b: &Record| -> Vec<(Option<String>, Option<f64>, Option<String>)> {
        let all = publish::compare(&[a.clone(), b.clone()]).into_iter();
        let own = all.filter(|one| one.scenario == "S05-swapped");
        own.map(|one| (one.distance, one.ratio.map(|ratio| ratio.value), one.note)).collect()
    };
    let near = |found: Option<f64>, wanted: f64| (found.unwrap() / wanted - 1.0).abs() < 1e-9;
    // Three times as many races at the far distance, which is a little farther; the near one is another.
    let other = with(|d| {
        d["strata"][1]["races"] = 81.into();
        let far = &mut d["strata"][1];
        (far["ns"], far["high_ns"]) = (250.0.into(), 260.0.into());
        let near = &mut d["strata"][0];
        (near["ns"], near["low_ns"], near["high_ns"]) = (60.0.into(), 55.0.into(), 65.0.into());
    });
    let found = compared(&at_two_distances(), &other);
    assert_eq!(found.len(), 3, "{found:?}");
    let only = |who: &str| Some(format!("only {who} has counts there"));
    let at = |distance: &str| Some(distance.to_owned());
    assert_eq!(found[0], (at("18 ns"), None, only("A")));
    assert_eq!(found[1], (at("60 ns"), None, only("B")));
    assert!(found[2].0 == at("240 ns") && near(found[2].1, 3.0) && found[2].2.is_none(), "{found:?}");
    // One distance each: if it is the same, the whole results are compared; if not, nothing is.
    let found = compared(&at_one(100.0), &at_one(110.0));
    assert!(found.len() == 1 && found[0].0 == at("105 ns") && near(found[0].1, 1.0), "{found:?}");
    let found = compared(&at_one(100.0), &at_one(300.0));
    assert_eq!(found, [(at("A at 100 ns, B at 300 ns"), None, at("not compared"))]);
    // A record without distances is compared as a whole.
    let found = compared(&small::run(), &at_two_distances());
    assert!(found.len() == 1 && found[0].0.is_none() && near(found[0].1, 1.0), "{found:?}");
    // The counts of the first by settings for another distance are at none, so its rate is that of what is left.
    let one_counts = |at: usize| {
        with(|d| {
            for what in ["iterations", "matches", "races"] {
                let sum = |d: &serde_json::Value| {
                    d["between"][what].as_u64().unwrap() + d["strata"][at][what].as_u64().unwrap()
                };
                d["between"][what] = sum(d).into();
                d["strata"][at][what] = 0.into();
            }
        })
    };
    let found = compared(&one_counts(0), &one_counts(0));
    assert!(found.len() == 1 && found[0].0 == at("230 ns") && near(found[0].1, 1.0), "{found:?}");
    let rates =
        publish::compare(&[one_counts(0), at_two_distances()]).into_iter().filter(|one| one.scenario == "S05-swapped");
    let far: Vec<[String; 2]> = rates.filter(|one| one.distance == at("230 ns")).map(|one| one.rates).collect();
    assert!(far.len() == 1 && far[0][0] == far[0][1], "{far:?}");
    // So it is if that is the only distance there was.
    let left = with(|d| {
        let far = d["strata"][1].clone();
        let sum = |what: &str| d["between"][what].as_u64().unwrap() + d["strata"][0][what].as_u64().unwrap();
        let counts = ["iterations", "matches", "races"].map(|what| (what, sum(what)));
        counts.into_iter().for_each(|(what, sum)| d["between"][what] = sum.into());
        d["strata"] = json!([far]);
    });
    let found = publish::compare(&[left.clone(), left]).into_iter().find(|one| one.scenario == "S05-swapped").unwrap();
    assert_eq!((&found.rates[0], found.distance), (&far[0][0], at("230 ns")));
    let beside = publish::compare(&[at_one(230.0), one_counts(0)]);
    let beside: Vec<&String> =
        beside.iter().filter(|one| one.scenario == "S05-swapped").map(|one| &one.rates[1]).collect();
    assert_eq!(beside, [&far[0][0]]);
    let found = compared(&one_counts(0), &one_counts(1));
    assert_eq!(found, [(at("18 ns"), None, only("B")), (at("230 ns"), None, only("A"))]);
    let mut none = one_counts(0);
    none.results.iter_mut().filter_map(|result| result.distances.as_mut()).for_each(|d| d.count_only_at(9e9));
    assert_eq!(compared(&none, &none), [(None, None, at("counted at no distance"))]);
    let names = ["a".to_owned(), "b".to_owned()];
    let table = publish::comparison_table(&names, &publish::compare(&[at_two_distances(), other]), None);
    assert!(table.contains("240 ns") && table.contains("only A has counts there"), "{table}");
}

/// The distances stand in the table at any width, and below it why nothing is compared.
#[test]
fn rates_at_different_distances_are_printed_with_their_distances() {
    let names = ["a".to_owned(), "b".to_owned()];
    let mut records = [at_one(30.0), at_one(155.0)];
    let comparisons = publish::compare(&records);
    for width in [None, Some(120), Some(80)] {
        let table = publish::comparison_table(&names, &comparisons, width);
        let line =
            table.lines().find(|line| line.contains("A at 30 ns, B at 155 ns")).unwrap_or_else(|| panic!("{table}"));
        assert!(line.matches("4.15 %").count() == 2 && line.contains(" not compared"), "{table}");
        assert!(table.contains(" B / A [95 %]") && !table.contains("other"), "{table}");
        assert!(width.is_none_or(|width| table.lines().all(|line| line.chars().count() <= width)), "{table}");
    }
    for record in &mut records {
        record.host.virtualised = None;
    }
    let note = publish::distance_note(&records, &comparisons);
    assert!(note.contains("rates at different distances are not compared. A run has counts at a distance"), "{note}");
    records[1].host.virtualised = Some("KVM".to_owned());
    let note = publish::distance_note(&records, &comparisons);
    assert!(note.contains("A hypervisor (KVM) probably moved the virtual CPUs"), "{note}");
    let alike = [at_one(100.0), at_one(110.0)];
    assert_eq!(publish::distance_note(&records, &publish::compare(&alike)), "");
}

#[test]
fn the_page_has_a_chart_of_the_rates_at_each_distance() {
    let page = |record: Record| {
        let record = AnyRecord::Run(Box::new(record));
        publish::page(&[publish::Entry { name: "a.json".to_owned(), record }]).unwrap()
    };
    let several = page(at_two_distances());
    for words in [
        "id=\"distances-S05-swapped-A-core\"",
        "2 distances: 18 ns 43 % of the time, 230 ns 57 %.",
        "230 ns, 35 % of the iterations, 700 iterations",
        "period 140 ns, best at +45 ns 8.44 %",
        "data-seen=\"27\" data-of=\"700\"",
    ] {
        assert!(several.contains(words), "{words}");
    }
    assert!(!page(at_one(38.0)).contains("Distances between the CPUs"));
}

/// A record with two distances. The cores had a neighbour half of the time at the near one, and never at the far one.
fn with_neighbours(quiet_races: u64) -> Record {
    with(|d| {
        d["neighbours"] = 24.into();
        d["strata"][0]["without_neighbour"] = json!({
            "elapsed_s": 0.5, "in_batches_s": 0.45, "iterations": 600, "matches": 250, "races": quiet_races,
            "blocks": [{"iterations": 300, "races": quiet_races / 2}, {"iterations": 250, "races": quiet_races / 3}]
        });
        d["strata"][1]["without_neighbour"] = json!({"elapsed_s": 1.4, "in_batches_s": 1.25, "iterations": 700, "matches": 350, "races": 27, "blocks": d["strata"][1]["blocks"]});
    })
}

#[test]
fn the_counts_without_a_neighbour_are_a_part_of_those_at_a_distance() {
    let record = with_neighbours(12);
    assert_eq!(record::problems(&record), Vec::<String>::new());
    assert_eq!(small::read(&record), AnyRecord::Run(Box::new(record.clone())));
    let [near, far] = &distances(&record).strata[..] else { panic!("two") };
    assert_eq!((near.share_without_neighbour(), far.share_without_neighbour()), (Some(0.5), Some(1.0)));
    assert_eq!(at_two_distances().results[1].distances.as_ref().unwrap().strata[0].share_without_neighbour(), None);
    let rate = |stratum: &StratumRecord| stratum.without_neighbour.as_ref().unwrap().rate;
    assert_eq!((rate(near), rate(far)), (Some(0.02), Some(27.0 / 700.0)));
    // As sure as the blocks let it be.
    let alone = far.without_neighbour.as_ref().unwrap();
    assert_eq!((alone.effect(), alone.interval), (far.effect(), far.interval));
    type Change = fn(&mut Value);
    let cases: [(Change, &str); 10] = [
        (|d| d["neighbours"] = 121.into(), "neighbours: is 121; expected 0 to 120"),
        (
            |d| d["strata"][0]["without_neighbour"]["iterations"] = 1201.into(),
            "strata[0].without_neighbour.iterations: is 1201; ",
        ),
        (|d| d["neighbours"] = Value::Null, "neighbours: expected a count"),
        (|d| d["strata"][1]["without_neighbour"]["races"] = 26.into(), "strata[1].without_neighbour.races: is 26; "),
        (|d| d["strata"][0]["without_neighbour"]["races"] = 54.into(), "strata[0].without_neighbour.races: is 54; "),
        (
            |d| d["strata"][0]["without_neighbour"]["matches"] = 501.into(),
            "strata[0].without_neighbour.matches: is 501; ",
        ),
        (
            |d| d["strata"][0]["without_neighbour"]["matches"] = Value::Null,
            "strata[0].without_neighbour.matches: expected a count ",
        ),
        (
            |d| d["strata"][0]["without_neighbour"]["elapsed_s"] = 1.1.into(),
            "strata[0].without_neighbour.elapsed_s: is 1.1; ",
        ),
        (
            |d| d["strata"][0]["without_neighbour"]["in_batches_s"] = 1.1.into(),
            "strata[0].without_neighbour.in_batches_s: is 1.1; ",
        ),
        (
            |d| d["strata"][0]["without_neighbour"]["blocks"][0]["iterations"] = 351.into(),
            "strata[0].without_neighbour.blocks: has more iterations",
        ),
    ];
    for (change, words) in cases {
        let mut wrong = another(with_neighbours(12));
        let mut value = serde_json::to_value(distances(&wrong)).unwrap();
        change(&mut value);
        wrong.results[1].distances = Some(serde_json::from_value(value).unwrap());
        complete(&mut wrong);
        let wanted = format!("results[1].distances.{words}");
        let found = record::problems(&wrong);
        assert!(found.iter().any(|problem| problem.starts_with(&wanted)), "{wanted}: {found:#?}");
    }
    // Nothing is counted at a distance that does not count.
    let mut elsewhere = with_neighbours(12);
    elsewhere.results[1].distances.as_mut().unwrap().count_only_at(230.0);
    complete(&mut elsewhere);
    assert_eq!(record::problems(&elsewhere), Vec::<String>::new());
    let without_neighbour = distances(&elsewhere).strata[0].without_neighbour.as_ref().unwrap();
    assert_eq!(
        (without_neighbour.iterations, without_neighbour.matches, without_neighbour.elapsed_s),
        (0, Some(0), 0.5)
    );
}

#[test]
fn a_sum_adds_what_was_without_a_neighbour() {
    let sum = sum_of(&[first_with_neighbours(12), with_neighbours(18)]);
    assert_eq!(record::problems(&sum), Vec::<String>::new());
    let found = distances(&sum);
    assert_eq!(found.neighbours, Some(48));
    let [near, far] = &found.strata[..] else { panic!("{found:?}") };
    let without_neighbour = near.without_neighbour.as_ref().unwrap();
    assert_eq!(
        (without_neighbour.elapsed_s, without_neighbour.in_batches_s, without_neighbour.iterations),
        (1.0, 0.9, 1200)
    );
    assert_eq!(
        (without_neighbour.matches, without_neighbour.races, without_neighbour.blocks.len()),
        (Some(500), 30, 0)
    );
    assert_eq!(without_neighbour.repeats.iter().map(|part| part.races).collect::<Vec<_>>(), [12, 18]);
    assert_eq!((far.without_neighbour.as_ref().unwrap().iterations, far.share_without_neighbour()), (1400, Some(1.0)));
    // What one side did not measure is not known, so it is in no part without a neighbour.
    let sum = sum_of(&[at_two_distances(), with_neighbours(18)]);
    assert_eq!(record::problems(&sum), Vec::<String>::new());
    let near = distances(&sum).strata[0].without_neighbour.as_ref().unwrap();
    assert_eq!((distances(&sum).neighbours, near.iterations, near.races, near.repeats.len()), (None, 600, 18, 1));
    // It is as sure as the side that has counts: the blocks show how its rate changed.
    let all_or_nothing = |share: u64| {
        with(|d| {
            d["neighbours"] = 100.into();
            let blocks = if share > 0 { d["strata"][0]["blocks"].clone() } else { json!([]) };
            d["strata"][0]["without_neighbour"] = json!({
                "elapsed_s": 0.0, "in_batches_s": 0.0,
                "iterations": 1200 * share, "matches": 500 * share, "races": 53 * share, "blocks": blocks
            });
        })
    };
    let first = |record: Record| with_id_of(record, &at_two_distances());
    let (all, nothing) = (all_or_nothing(1), all_or_nothing(0));
    let wanted = distances(&all).strata[0].without_neighbour.clone().unwrap();
    assert_eq!(wanted.blocks.len(), 2);
    for (a, b) in [(&all, &nothing), (&nothing, &all)] {
        let sum = sum_of(&[first(a.clone()), b.clone()]);
        assert_eq!(record::problems(&sum), Vec::<String>::new());
        let found = distances(&sum).strata[0].without_neighbour.clone().unwrap();
        assert_eq!((found.iterations, &found.blocks, found.interval), (1200, &wanted.blocks, wanted.interval));
    }
    let sum = sum_of(&[first(nothing.clone()), nothing.clone()]);
    assert_eq!(record::problems(&sum), Vec::<String>::new());
    // So it is beside a side that did not look for neighbours, and beside one that measured no distance.
    for (other, neighbours) in [(at_two_distances(), None), (small::run(), Some(100))] {
        let sum = sum_of(&[other, all.clone()]);
        assert_eq!(record::problems(&sum), Vec::<String>::new());
        let found = distances(&sum).strata[0].without_neighbour.clone().unwrap();
        assert_eq!((found.iterations, &found.blocks, found.interval), (1200, &wanted.blocks, wanted.interval));
        assert_eq!(distances(&sum).neighbours, neighbours);
    }
    // A distance at which one side counted nothing.
    let mut elsewhere = first(nothing.clone());
    elsewhere.results[1].distances.as_mut().unwrap().count_only_at(230.0);
    complete(&mut elsewhere);
    assert_eq!(record::problems(&sum_of(&[elsewhere, all])), Vec::<String>::new());
}

fn first_with_neighbours(races: u64) -> Record {
    with_id_of(with_neighbours(races), &at_two_distances())
}

fn with_id_of(record: Record, other: &Record) -> Record {
    Record { id: other.id.clone(), ..record }
}

#[test]
fn a_rate_that_neighbours_change_has_a_line_without_them() {
    let rows = |record: &Record| -> Vec<String> {
        record.table().lines().filter(|line| line.contains("  at ")).map(str::to_owned).collect()
    };
    // 0.67 % [0.2, 1.7] without a neighbour, and 4.42 % [3.4, 5.7] in all.
    let record = with_neighbours(4);
    let table = rows(&record);
    assert_eq!(table.len(), 3, "{table:#?}");
    let wanted = "at 18 ns without a neighbour, 30 % of the iterations  ";
    assert!(table[1].contains(wanted) && table[1].contains(" 600 ") && table[1].contains("0.67 %"), "{table:#?}");
    assert_eq!(rows(&with_neighbours(30)).len(), 2);
    let words = "Their cores had a neighbour (another program on the core) 20 % of the time.";
    assert!(record.summary().contains(words), "{}", record.summary());
    assert!(!at_two_distances().summary().contains("neighbour"));
    let page = publish::page(&[publish::Entry { name: "a.json".to_owned(), record: AnyRecord::Run(Box::new(record)) }])
        .unwrap();
    for words in
        [words, "18 ns without a neighbour, 30 % of the iterations, 600 iterations", "data-seen=\"4\" data-of=\"600\""]
    {
        assert!(page.contains(words), "{words}");
    }
    // With one distance it is the only line.
    let mut one = at_one(38.0);
    let found = one.results[1].distances.as_mut().unwrap();
    found.neighbours = Some(30);
    let stratum = &mut found.strata[0];
    stratum.without_neighbour = distances(&with_neighbours(4)).strata[0].without_neighbour.clone();
    complete(&mut one);
    let table = rows(&one);
    assert!(table.len() == 1 && table[0].contains("at 38 ns without a neighbour, 48 % of the time"), "{table:#?}");
}

#[test]
fn rates_without_a_neighbour_are_compared_alone() {
    let compared = |a: &Record, b: &Record| -> Vec<(Option<String>, f64)> {
        let all = publish::compare(&[a.clone(), b.clone()]).into_iter().filter(|one| one.scenario == "S05-swapped");
        all.map(|one| (one.distance, one.ratio.unwrap().value)).collect()
    };
    let at = |found: &(Option<String>, f64), distance: &str, ratio: f64| {
        assert!(found.0.as_deref() == Some(distance) && (found.1 / ratio - 1.0).abs() < 1e-9, "{found:?}");
    };
    let found = compared(&with_neighbours(12), &with_neighbours(24));
    at(&found[0], "18 ns without a neighbour", 2.0);
    // Neither had a neighbour there.
    at(&found[1], "230 ns", 1.0);
    // What was not measured, and what is too short, is compared as a whole. A sum in which one side did not look for neighbours has measured it for a
    // part only.
    let sum = sum_of(&[at_two_distances(), with_neighbours(4)]);
    assert!(!sum.table().contains("without a neighbour") && !sum.summary().contains("neighbour"), "{}", sum.table());
    at(&compared(&sum, &sum)[0], "18 ns", 1.0);
    at(&compared(&at_two_distances(), &with_neighbours(24))[0], "18 ns", 1.0);
    let mut short = with_neighbours(24);
    short.results[1].distances.as_mut().unwrap().strata[0].without_neighbour.as_mut().unwrap().in_batches_s = 0.1;
    at(&compared(&with_neighbours(12), &short)[0], "18 ns", 1.0);
    let one = |races: u64| {
        let mut one = at_one(38.0);
        let found = one.results[1].distances.as_mut().unwrap();
        found.neighbours = Some(30);
        let stratum = &mut found.strata[0];
        stratum.without_neighbour = distances(&with_neighbours(races)).strata[0].without_neighbour.clone();
        complete(&mut one);
        one
    };
    at(&compared(&one(12), &one(36))[0], "38 ns without a neighbour", 3.0);
}

/// A record whose second part has other machine code: that of a test of a shipped record.
fn followed() -> (Record, CodeRecord) {
    let shipped = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/results/x86_64/amd-epyc-cpu-family-25-model-17-stepping-1/2026-11-25T174425Z.json"
    );
    let other = record::read_valid_run(shipped.as_ref(), "are read").unwrap().results.swap_remove(0);
    let code = CodeRecord { layout: other.layout, code_sha256: other.code_sha256, listing: other.listing };
    let part = |ns: f64| json!({"distance_ns": ns, "group": 1, "batch": 409, "prefetch": "turns", "elapsed_s": 1.0, "iterations": 1000, "races": 40});
    let mut record = with(|d| {
        d["settings"] = json!([part(17.5), part(230.0)]);
        d["settings"][1]["code"] = serde_json::to_value(&code).unwrap();
    });
    let repeats =
        json!([{"iterations": 1000, "races": 40, "matches": 400}, {"iterations": 1000, "races": 43, "matches": 483}]);
    record.results[1].repeats = serde_json::from_value(repeats).unwrap();
    record.results[1].drift = None;
    record.results[1].blocks.clear();
    complete(&mut record);
    (record, code)
}

/// Parts of a run can have other layouts. The record has their code, and it is checked as that of the result is.
#[test]
fn the_code_of_a_part_is_in_the_record_and_on_the_page() {
    let (record, code) = followed();
    assert_eq!(record::problems(&record), Vec::<String>::new());
    assert_eq!(small::read(&record), AnyRecord::Run(Box::new(record.clone())));
    let result = &record.results[1];
    assert_eq!(result.codes(), [result.code_sha256.as_str(), &code.code_sha256].into());
    let html = {
        let record = AnyRecord::Run(Box::new(record.clone()));
        publish::page(&[publish::Entry { name: "a.json".to_owned(), record }]).unwrap()
    };
    assert!(html.contains(&code.code_sha256));
    type Change = fn(&mut CodeRecord);
    let cases: [(Change, &str); 4] = [
        (|code| code.listing = code.listing.replacen("P1", "P7", 1), "listing: is not a listing of machine code"),
        (|code| code.code_sha256 = "0".repeat(64), "listing: has the SHA-256 "),
        (|code| code.code_sha256.truncate(9), "code_sha256: is '"),
        (|code| code.layout.stride_bytes = 0, "layout.stride_bytes: is 0; "),
    ];
    // An earlier part may have the listing.
    let mut short = record.clone();
    let settings = &mut short.results[1].distances.as_mut().unwrap().settings;
    settings[1].code.as_mut().unwrap().listing.clear();
    assert_eq!(record::problems(&short), Vec::<String>::new());
    for (change, words) in cases {
        let mut wrong = record.clone();
        change(wrong.results[1].distances.as_mut().unwrap().settings[1].code.as_mut().unwrap());
        let wanted = format!("results[1].distances.settings[1].code.{words}");
        let found = record::problems(&wrong);
        assert!(found.iter().any(|problem| problem.starts_with(&wanted)), "{wanted}: {found:#?}");
    }
}

#[test]
fn runs_whose_parts_have_other_code_have_different_settings() {
    let (record, _) = followed();
    let one = another(at_two_distances());
    assert_eq!(record.results[1].code_sha256, one.results[1].code_sha256);
    let codes = |a: &Record, b: &Record| -> Vec<Code> {
        let all = publish::compare(&[a.clone(), b.clone()]).into_iter();
        all.filter(|one| one.scenario == "S05-swapped").map(|one| one.code).collect()
    };
    let moved = Code::Settings("another pace or layout after the CPUs moved".to_owned());
    // Near, both ran the same code.
    assert_eq!(codes(&record, &one), [Code::Same, moved]);
    assert_eq!(codes(&record, &another(record.clone())), [Code::Same, Code::Same]);
    assert_eq!(record.results[1].codes_at(900.0), record.results[1].codes());
    // Some runs of this sum kept their settings.
    let sum = sum_of(&[record, at_two_distances()]);
    assert_eq!(sum.results[1].codes_at(230.0).len(), 2);
}

/// How many transfers an iteration needs depends on the layout, so parts with several have no such number for each distance.
#[test]
fn transfers_are_those_of_one_layout_or_a_mean() {
    let (mut record, code) = followed();
    let phases: PhasesRecord = serde_json::from_value(json!({
        "run_s": 1.0, "clock_s": 0.0, "rendezvous_s": 0.0, "classification_s": 0.0, "reset_s": 0.0, "looks_s": 0.0,
        "line_transfers": 4.0
    }))
    .unwrap();
    let result = &mut record.results[1];
    result.phases = Some(phases);
    assert_ne!(result.layout, code.layout);
    assert_eq!(result.passes(), []);
    result.distances.as_mut().unwrap().settings[1].code.as_mut().unwrap().layout = result.layout.clone();
    assert_eq!(result.passes().len(), 2);
    let mut other = another(record.clone());
    let dense = PhasesRecord { line_transfers: 0.25, ..phases };
    other.results[1].phases = Some(dense);
    let sum = sum_of(&[record, other]);
    assert_eq!(sum.results[1].phases.unwrap().line_transfers, 2.125);
}

/// The record, as if its instances had run free.
fn free(mut record: Record) -> Record {
    let result = &mut record.results[1];
    let mut pace = serde_json::to_value(&result.pace).unwrap();
    pace.as_object_mut().unwrap().retain(|key, _| !["period_ticks", "period_ns", "late"].contains(&key.as_str()));
    pace["mode"] = "free".into();
    result.pace = serde_json::from_value(pace).unwrap();
    let all: Vec<u64> = result.outcomes.iter().map(|outcome| outcome.count).collect();
    let skew = json!([{"skew_ns": 0.0, "iterations": 2000, "matches": 883, "races": 83, "outcomes": all}]);
    result.skews = serde_json::from_value(skew).unwrap();
    let strata = &mut result.distances.as_mut().unwrap().strata;
    let several = strata.len() > 1;
    for stratum in strata {
        stratum.period_ns = None;
        let skew = json!({"skew_ns": 0.0, "iterations": stratum.iterations, "matches": stratum.matches, "races": stratum.races});
        stratum.skews = if several { vec![serde_json::from_value(skew).unwrap()] } else { Vec::new() };
    }
    complete(&mut record);
    assert_eq!(record::problems(&record), Vec::<String>::new());
    record
}

/// The sum of these results, as of the parts of a run, in place of the result of a record.
fn of_parts(parts: &[&ScenarioResult]) -> Record {
    let mut record = at_two_distances();
    let mut sum = parts[0].clone();
    parts[1..].iter().for_each(|part| record::add_repeat(&mut sum, (*part).clone()).unwrap());
    record.elapsed_s = sum.elapsed_s;
    record.results[1] = sum;
    complete(&mut record);
    record
}

/// Instances that ran free have no skew, so those of a run that changed its pace are beside its window.
#[test]
fn the_window_of_a_run_that_changed_its_pace_is_that_of_its_paced_parts() {
    let (paced, free) = (at_two_distances().results.swap_remove(1), free(at_one(17.5)).results.swap_remove(1));
    let all: Vec<u64> = free.outcomes.iter().map(|outcome| outcome.count).collect();
    for (parts, mode, paced_parts, free_parts) in [
        (vec![&paced, &free], "paced", 1, 1),
        (vec![&free, &paced], "free", 1, 1),
        (vec![&free, &paced, &free, &free, &paced], "free", 2, 3),
    ] {
        let record = of_parts(&parts);
        assert_eq!(record::problems(&record), Vec::<String>::new());
        assert_eq!(small::read(&record), AnyRecord::Run(Box::new(record.clone())));
        let sum = &record.results[1];
        let counts: Vec<u64> = all.iter().map(|count| count * free_parts).collect();
        let wanted = FreeRecord {
            iterations: 2000 * free_parts,
            matches: Some(883 * free_parts),
            races: 83 * free_parts,
            outcomes: counts,
        };
        assert_eq!(sum.free, Some(wanted));
        let skews: Vec<_> = sum.skews.iter().map(|skew| (skew.skew_ns, skew.iterations, skew.races)).collect();
        assert_eq!(skews, [(-60.0, 900 * paced_parts, 3 * paced_parts), (45.2, 1100 * paced_parts, 80 * paced_parts)]);
        // The pace is that of the first part, and its numbers are means of the paced ones.
        assert_eq!((sum.pace.mode.as_str(), sum.pace.period_ns), (mode, parts[0].pace.period_ns));
        // A zero of it is as strong as its parts together.
        let looked = parts.iter().map(|part| part.looked().0).sum::<u64>();
        assert!(sum.looked().0 == looked && looked > 1000, "{looked}");
        // Near, some instances have no skew. Far, all have one.
        let strata: Vec<usize> = distances(&record).strata.iter().map(|stratum| stratum.skews.len()).collect();
        assert_eq!(strata, [0, 2]);
    }
    // The mean of a period is that of the paced iterations.
    let mut longer = paced.clone();
    longer.pace.period_ns = Some(240.8);
    let sum = of_parts(&[&paced, &free, &free, &longer]);
    assert_eq!(sum.results[1].pace.period_ns, Some(180.8));
    // A free run alone has its single skew, and a single distance of a mixed run no window.
    assert_eq!(of_parts(&[&free, &free]).results[1].skews.len(), 1);
    let near = at_one(17.5).results.swap_remove(1);
    let sum = of_parts(&[&near, &free, &paced]);
    assert_eq!(record::problems(&sum), Vec::<String>::new());
    assert_eq!(distances(&sum).strata[0].skews.len(), 0);
    // A first part that ran nothing takes nothing away.
    let mut nothing = free.clone();
    (nothing.iterations, nothing.matches, nothing.races, nothing.distances) = (0, Some(0), 0, None);
    nothing.outcomes.clear();
    nothing.skews.clear();
    nothing.last_writers.clear();
    let sum = of_parts(&[&nothing, &paced, &free]);
    assert_eq!(record::problems(&sum), Vec::<String>::new());
    assert_eq!(sum.results[1].free.as_ref().unwrap().outcomes, all);
    assert_eq!(sum.results[1].looked().0, free.looked().0 + paced.looked().0);
    // The single skew of a free run at several distances is no window either.
    let twice = self::free(at_two_distances()).results.swap_remove(1);
    let sum = of_parts(&[&twice, &paced]);
    assert_eq!(record::problems(&sum), Vec::<String>::new());
    assert!(distances(&sum).strata.iter().all(|stratum| stratum.skews.is_empty()));
}

#[test]
fn what_ran_free_adds_up_with_the_window() {
    let (paced, free) = (at_two_distances().results.swap_remove(1), free(at_one(17.5)).results.swap_remove(1));
    let record = of_parts(&[&paced, &free]);
    type Change = fn(&mut FreeRecord);
    let cases: [(Change, &str); 6] = [
        (|free| free.iterations = 1, "skews and free: the iterations add up to 2001; iterations is 4000"),
        (|free| free.races += 1, "skews and free: the races add up to 167; races is 166"),
        (|free| free.matches = None, "skews and free: the matches add up to 883; matches is 1766"),
        (|free| free.races = 2001, "free.races: is 2001; "),
        (|free| free.outcomes[0] += 1, "free.outcomes: the counts add up to 2001; iterations is 2000"),
        (|free| _ = free.outcomes.pop(), "free.outcomes: has "),
    ];
    for (change, words) in cases {
        let mut wrong = record.clone();
        change(wrong.results[1].free.as_mut().unwrap());
        let wanted = format!("results[1].{words}");
        let found = record::problems(&wrong);
        assert!(found.iter().any(|problem| problem.starts_with(&wanted)), "{wanted}: {found:#?}");
    }
    // Each part is in the counts of its pace.
    let mut wrong = of_parts(&[&paced, &free]);
    let part = |pace: &str, iterations: u64| json!({"distance_ns": 17.5, "pace": pace, "group": 1, "batch": 409, "prefetch": "turns", "elapsed_s": 1.0, "iterations": iterations, "races": 40});
    for (parts, words) in [
        (json!([part("paced", 2000), part("free", 2000)]), None),
        (
            json!([part("paced", 1999), part("free", 2001)]),
            Some("free: has 2000 iterations; 2001 of the parts in settings ran free"),
        ),
        (
            json!([part("paced", 2001), part("free", 1999)]),
            Some("skews: has 2000 iterations; 2001 of the parts in settings were paced"),
        ),
    ] {
        wrong.results[1].distances.as_mut().unwrap().settings = serde_json::from_value(parts).unwrap();
        let found = record::problems(&wrong);
        assert_eq!(found, words.map(|words| format!("results[1].{words}")).into_iter().collect::<Vec<_>>());
    }
    // The pace of a part is one of the two, and that of a part without one is the result's.
    let (mut record, code) = followed();
    let paces = |record: &Record| record.results[1].each_code().map(|code| code.pace.to_owned()).collect::<Vec<_>>();
    assert_eq!(paces(&record), ["paced", "paced"]);
    record.results[1].distances.as_mut().unwrap().settings[1].pace = Some("free".to_owned());
    assert_eq!(paces(&record), ["paced", "free"]);
    let html = {
        let record = AnyRecord::Run(Box::new(record.clone()));
        publish::page(&[publish::Entry { name: "a.json".to_owned(), record }]).unwrap()
    };
    assert!(html.contains(&code.code_sha256));
    record.results[1].distances.as_mut().unwrap().settings[1].pace = Some("fast".to_owned());
    let found = record::problems(&record);
    assert!(found.iter().any(|problem| problem.contains("settings[1].pace: is 'fast'")), "{found:#?}");
}

/// The settings of a part are for one distance. What it counted at others is between distances, and the time there stays.
#[test]
fn a_distance_has_the_counts_of_settings_that_are_for_it() {
    let only = |ns: f64| {
        let mut record = at_two_distances();
        record.results[1].distances.as_mut().unwrap().count_only_at(ns);
        complete(&mut record);
        assert_eq!(record::problems(&record), Vec::<String>::new());
        record
    };
    let (near, far) = (only(20.0), only(230.0));
    let counts = |record: &Record| {
        let found = distances(record);
        let strata: Vec<_> =
            found.strata.iter().map(|at| (at.iterations, at.matches, at.races, at.rate.is_some())).collect();
        (strata, (found.between.iterations, found.between.matches, found.between.races))
    };
    let (of_near, of_far, none) = ((1200, Some(500), 53, true), (700, Some(350), 27, true), (0, Some(0), 0, false));
    assert_eq!(counts(&near), (vec![of_near, none], (800, Some(383), 30)));
    assert_eq!(counts(&far), (vec![none, of_far], (1300, Some(533), 56)));
    assert_eq!(counts(&only(60.0)), (vec![none, none], (2000, Some(883), 83)));
    assert_eq!(distances(&near).shares(), distances(&at_two_distances()).shares());
    assert_eq!(distances(&near).strata[1].races_per_s(), 0.0);
    // The period and the window of each distance are those of the part whose settings are for it.
    let record = of_parts(&[&near.results[1], &far.results[1]]);
    assert_eq!(record::problems(&record), Vec::<String>::new());
    assert_eq!(counts(&record), (vec![of_near, of_far], (2100, Some(916), 86)));
    for (stratum, whole) in distances(&record).strata.iter().zip(&distances(&at_two_distances()).strata) {
        assert_eq!((&stratum.skews, &stratum.last_writers), (&whole.skews, &whole.last_writers));
        assert_eq!((stratum.elapsed_s, stratum.in_batches_s), (2.0 * whole.elapsed_s, whole.in_batches_s));
        assert_eq!(stratum.period_ns, whole.period_ns);
        assert_eq!((stratum.repeats.len(), stratum.repeats[0].races), (1, whole.races));
    }
}

/// Parts with other settings are among the repeats of a run, and are no runs.
#[test]
fn a_run_of_several_parts_is_one_run() {
    let mut result = at_two_distances().results[1].clone();
    let part = |iterations: u64| {
        let value = json!({"group": 1, "prefetch": "on", "elapsed_s": 1.0, "iterations": iterations, "races": 0});
        serde_json::from_value(value).unwrap()
    };
    assert_eq!(result.runs(), 1);
    let repeat = wakerace::record::CountRecord { iterations: 1, races: 0, matches: None };
    result.repeats = vec![repeat; 3];
    assert_eq!(result.runs(), 3);
    // A part without counts is no repeat.
    result.distances.as_mut().unwrap().settings = vec![part(1), part(0), part(1)];
    assert_eq!(result.runs(), 2);
    result.repeats.pop();
    assert_eq!(result.runs(), 1);
}
