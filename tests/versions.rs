//! Versions of the record format: what earlier versions wrote still reads, and means what it meant.

mod common;

use std::fs;
use std::path::Path;

use assert_cmd::assert::OutputAssertExt;
use predicates::str::contains;
use serde_json::{Value, json};
use wakerace::harness::Prefetch;
use wakerace::record::{self, AnyRecord, FormerMeaning, Merger, Record};

use common::{records, run, small, wakerace};

/// The names of version 1 for fields that have another name now, outermost first.
const RENAMED: [(&str, &str); 2] = [("last_writers", "starts"), ("end_spread_ns", "apart_ns")];

/// A record as a program of version 1 wrote it.
fn as_v1(record: &Record) -> Value {
    let mut value = serde_json::to_value(record).unwrap();
    value["schema"] = "wakerace/1".into();
    value.as_object_mut().unwrap().remove("version");
    let rename = |value: &mut Value, new: &str, old: &str| {
        if let Some(moved) = value.as_object_mut().unwrap().remove(new) {
            value[old] = moved;
        }
    };
    rename(&mut value["host"]["clock_check"], "passes_differ", "looks_differ");
    for result in value["results"].as_array_mut().unwrap() {
        for (new, old) in RENAMED {
            rename(result, new, old);
            rename(&mut result["pace"], new, old);
        }
        rename(&mut result["pace"], "prefetch", "warm");
        for entry in result["starts"].as_array_mut().unwrap() {
            rename(entry, "writers", "last_writers");
            rename(entry, "prefetched", "warm");
        }
        for added in ["question", "is_control", "warnings"] {
            result.as_object_mut().unwrap().remove(added);
        }
    }
    value
}

fn read(value: &Value) -> Record {
    run(&value.to_string())
}

/// Merges two records, in this order.
fn sum(a: Record, b: Record) -> Result<Record, String> {
    let mut merger = Merger::new("a.json", a).unwrap();
    merger.add("b.json", b).map(|()| merger.finish()).map_err(|error| error.to_string())
}

#[test]
fn every_shipped_record_of_version_1_reads_validates_and_merges() {
    let (mut runs, mut protocols) = (0, 0);
    for path in records() {
        let shown = path.display();
        let text = fs::read_to_string(&path).unwrap();
        let raw: Value = serde_json::from_str(&text).unwrap();
        if raw.get("version").is_some() {
            continue;
        }
        let any = record::read_valid(&path).unwrap_or_else(|error| panic!("{error}"));
        let AnyRecord::Run(record) = any else {
            protocols += 1;
            continue;
        };
        runs += 1;
        assert_eq!((record.schema.as_str(), record.version), (record::SCHEMA, record::VERSION), "{shown}");
        for (result, raw) in record.results.iter().zip(raw["results"].as_array().unwrap()) {
            assert_eq!(json!(result.in_batches_s), raw["in_batches_s"], "{shown}");
            let starts = raw.get("starts").and_then(Value::as_array).map_or(0, Vec::len);
            assert_eq!(result.last_writers.len(), starts, "{shown}");
            let spread = raw["pace"].get("apart_ns").and_then(Value::as_f64).filter(|ns| *ns > 0.0);
            assert_eq!(result.pace.end_spread_ns, spread, "{shown}");
            let former = result.former_meanings.contains(&FormerMeaning::InBatchesFromHeadStart);
            assert_eq!(former, raw.get("id").is_none() && record.id.is_empty(), "{shown}");
            assert!(!result.question.is_empty() || result.source.is_empty(), "{shown} {}", result.scenario);
        }
        assert!(record.results.iter().any(|result| result.is_control), "{shown}");
        // Written again it is a record of this version, and it is the same.
        let again = run(&serde_json::to_string(&record).unwrap());
        assert_eq!(again, *record, "{shown}");
        // Another run of the same tests.
        let mut other = (*record).clone();
        if other.id.is_empty() {
            other.started = "2026-11-20T00:00:00Z".to_owned()
        } else {
            other.id = "e".repeat(32)
        }
        let sum = sum((*record).clone(), other).unwrap_or_else(|error| panic!("{shown}: {error}"));
        assert_eq!(record::problems(&sum), Vec::<String>::new(), "{shown}");
        assert_eq!(sum.results[0].iterations, 2 * record.results[0].iterations, "{shown}");
    }
    assert!(runs >= 5 && protocols >= 3, "{runs} {protocols}");
}

#[test]
fn version_2_reads_back_and_has_no_old_name() {
    let record = small::run();
    let text = serde_json::to_string(&record).unwrap();
    assert_eq!(run(&text), record);
    let value: Value = serde_json::from_str(&text).unwrap();
    assert_eq!((&value["schema"], &value["version"]), (&json!("wakerace/2"), &json!(2)));
    for old in ["starts", "warm", "apart_ns", "looks_differ"] {
        assert!(!text.contains(&format!("\"{old}\"")), "{old}");
    }
    let protocol = serde_json::to_value(small::protocol()).unwrap();
    assert_eq!((&protocol["schema"], &protocol["version"]), (&json!("wakerace-protocol/2"), &json!(2)));
}

#[test]
fn version_1_with_todays_meanings_is_the_same_record() {
    let record = small::run();
    assert_eq!(read(&as_v1(&record)), record);
    let other = small::another(small::run());
    let both = sum(record.clone(), other.clone()).unwrap();
    assert_eq!(sum(read(&as_v1(&record)), other.clone()).unwrap(), both);
    assert_eq!(sum(record, read(&as_v1(&other))).unwrap(), both);
}

#[test]
fn a_record_before_ids_counts_time_in_batches_otherwise() {
    let mut old = as_v1(&small::run());
    old.as_object_mut().unwrap().remove("id");
    let old = read(&old);
    assert!(old.results.iter().all(|one| one.former_meanings == [FormerMeaning::InBatchesFromHeadStart]));
    let refused = sum(small::run(), old.clone()).unwrap_err();
    assert!(
        refused.contains("the meaning of in_batches_s of SB is from 2 us before the first tick in b.json"),
        "{refused}"
    );
    // The reader of a sum sees it too.
    let mut another = as_v1(&small::run());
    another.as_object_mut().unwrap().remove("id");
    another["started"] = "2026-11-24T01:02:03Z".into();
    let both = sum(old, read(&another)).unwrap();
    let mut of_v1 = as_v1(&both);
    for result in of_v1["results"].as_array_mut().unwrap() {
        result.as_object_mut().unwrap().remove("former_meanings");
    }
    assert_eq!(read(&of_v1), both);
}

#[test]
fn a_record_before_filters_counts_what_they_exclude() {
    let without = |source: &str| {
        let mut old = as_v1(&small::run());
        let result = &mut old["results"][0];
        result.as_object_mut().unwrap().remove("filtered");
        result["source"] = source.into();
        read(&old).results[0].former_meanings.clone()
    };
    let sb = small::run().results[0].source.clone();
    assert_eq!(without(&sb), []);
    let filtered = sb.replace("exists", "filter (x=1)\nexists");
    assert_ne!(filtered, sb);
    assert_eq!(without(&filtered), [FormerMeaning::FilteredAreIterations]);
    // The program does not know this test and cannot parse it, so it may have a filter.
    let mut unknown = as_v1(&small::run());
    let result = unknown["results"][0].as_object_mut().unwrap();
    result.remove("filtered");
    result.insert("source_sha256".to_owned(), "0".repeat(64).into());
    result.insert("source".to_owned(), "".into());
    assert_eq!(read(&unknown).results[0].former_meanings, [FormerMeaning::FilteredAreIterations]);
}

#[test]
fn values_of_version_1_that_say_nothing_are_absent() {
    let mut old = as_v1(&small::run());
    old["results"][0]["pace"]["apart_ns"] = 0.0.into();
    old["results"][1]["pace"]["mode"] = "free".into();
    old["results"][2]["pace"].as_object_mut().unwrap().remove("warm");
    let results = read(&old).results;
    assert_eq!((results[0].pace.end_spread_ns, results[1].pace.end_spread_ns), (None, Some(13.5)));
    let prefetch: Vec<Prefetch> = results.iter().map(|result| result.pace.prefetch).collect();
    assert_eq!(prefetch, [Prefetch::Turns, Prefetch::Off, Prefetch::Off]);
}

#[test]
fn protocol_records_before_ids_count_rescued_tasks_as_healed() {
    let of = |id: Option<&str>| {
        let mut old = serde_json::to_value(small::protocol()).unwrap();
        old["schema"] = "wakerace-protocol/1".into();
        let fields = old.as_object_mut().unwrap();
        fields.remove("version");
        fields.remove("id");
        fields.extend(id.map(|id| ("id".to_owned(), id.into())));
        match record::read("p.json", &old.to_string()).unwrap() {
            AnyRecord::Protocol(record) => record,
            _ => panic!("a record of the protocol"),
        }
    };
    let known = of(Some("fedcba9876543210fedcba9876543210"));
    assert_eq!(*known, small::protocol());
    let old = of(None);
    assert!(old.results.iter().all(|result| result.former_meanings == [FormerMeaning::RescuedAreHealed]));
}

#[test]
fn old_option_names_work_and_are_not_in_the_help() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("r.json");
    fs::write(&path, serde_json::to_string(&small::run()).unwrap()).unwrap();
    let export = |option: &str, path: &Path| wakerace().args(["export", option]).arg(path).output().unwrap();
    let (old, new) = (export("--starts-csv", &path), export("--last-writers-csv", &path));
    assert!(new.status.success() && !new.stdout.is_empty());
    assert_eq!(old.stdout, new.stdout);
    for (command, old, new) in [("export", "starts-csv", "--last-writers-csv"), ("run", "--warm", "--prefetch")] {
        let help = wakerace().args([command, "--help"]).output().unwrap();
        let help = String::from_utf8(help.stdout).unwrap();
        assert!(help.contains(new) && !help.contains(old), "{command}: {help}");
    }
    // The old name is read as the new one, and messages use the new one.
    let mut refused = wakerace();
    refused.args(["run", "SB", "--pace", "free", "--warm=on", "--no-save"]);
    refused.assert().code(2).stderr(contains("--group and --prefetch apply only to paced runs"));
}
