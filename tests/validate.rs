//! Tests of `validate`: it names the path of every invented value, and accepts measured records.

mod common;

use std::fs;

use assert_cmd::assert::OutputAssertExt;
use predicates::prelude::*;
use predicates::str::contains;
use serde_json::{Value, json};
use wakerace::record::{self, Record};

use common::small;
use common::{records, wakerace};

fn problems(value: &Value) -> Result<Vec<String>, String> {
    let text = serde_json::to_string(value).unwrap();
    record::read("r.json", &text).map(|record| record.problems()).map_err(|error| error.to_string())
}

/// A change to a record, and the beginning of the problem that validation finds.
type Case = (fn(&mut Value), &'static str);

fn each_is_named(record: &impl serde::Serialize, cases: &[Case]) {
    let whole = serde_json::to_value(record).unwrap();
    assert_eq!(problems(&whole), Ok(Vec::new()));
    for (edit, wanted) in cases {
        let mut value = whole.clone();
        edit(&mut value);
        assert_ne!(value, whole, "{wanted}: the edit changes nothing");
        let found = problems(&value).unwrap_or_else(|error| panic!("{wanted}: {error}"));
        assert!(found.iter().any(|problem| problem.starts_with(wanted)), "{wanted}: {found:#?}");
    }
}

#[test]
fn shipped_records_are_valid() {
    for path in records() {
        let record = record::read_file(&path).unwrap();
        assert_eq!(record.problems(), Vec::<String>::new(), "{}", path.display());
    }
}

#[test]
fn what_does_not_follow_is_named_by_its_path() {
    each_is_named(
        &small::run(),
        &[
            (
                |r| r["results"][2]["interval"]["high"] = 1e-30.into(),
                "results[2].interval.high: is 1e-30; the record's other fields give 0.0009",
            ),
            (|r| r["results"][1]["interval"]["low"] = 0.0.into(), "results[1].interval.low: is 0.0; "),
            (|r| r["results"][1]["interval"]["level"] = 0.9.into(), "results[1].interval.level: is 0.9; "),
            (|r| r["results"][1]["interval"] = Value::Null, "results[1].interval: is absent; "),
            (
                |r| r["results"][1]["rate"] = 0.75.into(),
                "results[1].rate: is 0.75; the record's other fields give 0.0415",
            ),
            (|r| r["results"][1]["rate"] = Value::Null, "results[1].rate: is absent; "),
            (|r| r["results"][1]["rate_per_match"] = 0.5.into(), "results[1].rate_per_match: is 0.5; "),
            (
                |r| r["results"][1]["interval_per_match"]["high"] = 0.5.into(),
                "results[1].interval_per_match.high: is 0.5; ",
            ),
            (
                |r| r["results"][0]["rate_per_match"] = 0.5.into(),
                "results[0].rate_per_match: is 0.5; the record's other fields give absent",
            ),
            (|r| r["results"][1]["iterations_per_s"] = 1e6.into(), "results[1].iterations_per_s: is 1000000.0; "),
            (|r| r["results"][1]["reproducibility"] = 0.5.into(), "results[1].reproducibility: is 0.5; "),
            (
                |r| drop(r["results"][1].as_object_mut().unwrap().remove("reproducibility")),
                "results[1].reproducibility: is absent; ",
            ),
            (
                |r| r["results"][2]["controls_fired"] = json!(["MP", "SB"]),
                "results[2].controls_fired: is [\"MP\",\"SB\"]; ",
            ),
            (|r| r["results"][2]["controls_fired"] = json!([]), "results[2].controls_fired: is []; "),
            (
                |r| r["results"][1]["finding"] = "forbidden observed".into(),
                "results[1].finding: is \"forbidden observed\"; ",
            ),
            (|r| r["results"][1]["finding"] = "not observed".into(), "results[1].finding: is \"not observed\"; "),
            (|r| r["results"][1]["listing"] = "nop".into(), "results[1].listing: is not a listing of machine code"),
            (
                |r| r["results"][1]["listing"] = "P0\n      0:  90                     nop\n".into(),
                "results[1].listing: has the SHA-256 ",
            ),
            (|r| r["results"][1]["source"] = "C other".into(), "results[1].source: has the SHA-256 "),
            (|r| r["results"][1]["source_sha256"] = "0".repeat(64).into(), "results[1].source: has the SHA-256 "),
            (
                |r| r["results"][1]["source_sha256"] = "00".into(),
                "results[1].source_sha256: is '00'; expected 64 hexadecimal digits",
            ),
            (|r| r["results"][1]["code_sha256"] = "A".repeat(64).into(), "results[1].code_sha256: is '"),
            (
                |r| r["results"][1]["condition"] = "exists (x=1)".into(),
                "results[1].condition: is \"exists (x=1)\"; its source gives",
            ),
            (|r| r["results"][1]["match_event"] = "1:r0=0".into(), "results[1].match_event: is "),
            (|r| r["results"][1]["scenario"] = "S05".into(), "results[1].scenario: is \"S05\"; its source gives"),
            (
                |r| r["results"][1]["placement"]["cpus"] = json!([0, 1, 2]),
                "results[1].placement.cpus: has 3 CPUs; the test has 2 threads",
            ),
            (
                |r| {
                    let again = r["results"][1].clone();
                    r["results"].as_array_mut().unwrap().push(again);
                },
                "results[3]: is the same test on the same CPUs by the same code as results[1]",
            ),
            (|r| r["results"][1]["gaps"]["p50"] = 40.into(), "results[1].gaps.p50: is 40; its histogram gives 41"),
            (|r| r["results"][1]["gaps"]["p90"] = 1.into(), "results[1].gaps.p90: is 1; "),
            (|r| r["results"][1]["gaps"]["p99"] = 1.into(), "results[1].gaps.p99: is 1; "),
            (|r| r["results"][1]["gaps"]["p999"] = 1.into(), "results[1].gaps.p999: is 1; "),
            (|r| r["results"][1]["gaps"]["max"] = 1.into(), "results[1].gaps.max: is 1; "),
            (|r| r["results"][1]["gaps"]["count"] = 6.into(), "results[1].gaps.count: is 6; its histogram gives 5"),
            (|r| r["results"][1]["gaps"]["unit"] = "ns".into(), "results[1].gaps.unit: is \"ns\"; "),
            (|r| r["results"][1]["gaps"]["hdr_v2"] = "AAAA".into(), "results[1].gaps.hdr_v2: cannot be decoded: "),
            (|r| r["results"][1]["gaps"]["hdr_v2"] = "".into(), "results[1].gaps.count: is 5; its histogram gives 0"),
            (
                |r| r["results"][1]["gaps"] = serde_json::to_value(small::gaps("iterations", &[1; 84])).unwrap(),
                "results[1].gaps.count: is 84; there are only 83 to count",
            ),
        ],
    );
}

#[test]
fn counts_add_up_however_they_are_divided() {
    each_is_named(
        &small::run(),
        &[
            (
                |r| r["results"][1]["iterations"] = 2001.into(),
                "results[1].outcomes: the counts add up to 2000; iterations is 2001",
            ),
            (
                |r| r["results"][1]["races"] = 84.into(),
                "results[1].outcomes: those that satisfy add up to 83; races is 84",
            ),
            (
                |r| r["results"][1]["matches"] = 884.into(),
                "results[1].outcomes: those that match add up to 883; matches is 884",
            ),
            (
                |r| r["results"][1]["matches"] = 884.into(),
                "results[1].skews: the matches add up to 883; matches is 884",
            ),
            (|r| r["results"][1]["matches"] = Value::Null, "results[1].matches: expected a count"),
            (
                |r| r["results"][1]["outcomes"][1]["count"] = 18.into(),
                "results[1].outcomes[1].count: the skews' counts of it add up to 17; it is 18",
            ),
            (
                |r| r["results"][1]["outcomes"][1]["count"] = u64::MAX.into(),
                "results[1].outcomes: the counts add up to more than 2^64",
            ),
            (
                |r| r["results"][1]["outcomes"][1]["satisfies"] = true.into(),
                "results[1].outcomes[1].satisfies: is true; its condition gives false",
            ),
            (
                |r| r["results"][1]["outcomes"][1]["values"]["1:r1"] = 0.into(),
                "results[1].outcomes[1]: is the same outcome as outcomes[0]",
            ),
            (
                |r| r["results"][1]["outcomes"][1]["values"]["1:r2"] = 0.into(),
                "results[1].outcomes[1].values: names other registers or variables",
            ),
            (
                |r| r["results"][1]["outcomes"][1]["values"]["1:r1"] = "&nothing".into(),
                "results[1].outcomes[1].values: do not fit the registers and variables of the test",
            ),
            (
                |r| r["results"][1]["skews"][0]["iterations"] = 901.into(),
                "results[1].skews: the iterations add up to 2001; iterations is 2000",
            ),
            (
                |r| r["results"][1]["skews"][0]["iterations"] = 901.into(),
                "results[1].skews[0].outcomes: the counts add up to 900; iterations is 901",
            ),
            (
                |r| r["results"][1]["skews"][0]["races"] = 4.into(),
                "results[1].skews: the races add up to 84; races is 83",
            ),
            (
                |r| r["results"][1]["skews"][0]["races"] = 4.into(),
                "results[1].skews[0].outcomes: those that satisfy add up to 3; races is 4",
            ),
            (|r| r["results"][1]["skews"][0]["matches"] = 394.into(), "results[1].skews: the matches add up to 884"),
            (
                |r| r["results"][1]["skews"][0]["outcomes"] = json!([500, 7, 393]),
                "results[1].skews[0].outcomes: has 3 counts; there are 4 outcomes",
            ),
            (
                |r| r["results"][1]["skews"][0]["outcomes"] = json!([501, 6, 3, 390]),
                "results[1].outcomes[0].count: the skews' counts of it add up to 1101",
            ),
            (
                |r| r["results"][1]["skews"][1]["skew_ns"] = (-60.0).into(),
                "results[1].skews[1]: is the same skew as skews[0]",
            ),
            (
                |r| r["results"][1]["last_writers"][0]["iterations"] = 7.into(),
                "results[1].last_writers: the iterations add up to",
            ),
            (
                |r| r["results"][1]["last_writers"][0]["races"] = 7.into(),
                "results[1].last_writers: the races add up to",
            ),
            (
                |r| r["results"][1]["last_writers"][0]["races"] = 951.into(),
                "results[1].last_writers[0].races: is 951; expected 0 to 950",
            ),
            (
                |r| r["results"][1]["last_writers"][0]["writers"]["__state"] = "P2".into(),
                "results[1].last_writers[0].writers.__state: is 'P2'; expected P0 to P1",
            ),
            (
                |r| {
                    let first = r["results"][1]["last_writers"][0].clone();
                    r["results"][1]["last_writers"][1]["prefetched"] = first["prefetched"].clone();
                    r["results"][1]["last_writers"][1]["writers"] = first["writers"].clone();
                },
                "results[1].last_writers[1]: is the same choice of last writers and prefetch as last_writers[0]",
            ),
        ],
    );
}

#[test]
fn every_field_has_a_range() {
    each_is_named(
        &small::run(),
        &[
            (|r| r["elapsed_s"] = (-5).into(), "elapsed_s: is -5.0; expected 0.0 to "),
            (|r| r["elapsed_s"] = 1e11.into(), "elapsed_s: is 100000000000.0; "),
            (|r| r["elapsed_s"] = 3.0.into(), "results[2].elapsed_s: is 3.5; expected 0.0 to 3.001"),
            (|r| r["id"] = "x".into(), "id: is 'x'; expected 32 hexadecimal digits"),
            (|r| r["started"] = "yesterday".into(), "started: is 'yesterday'; expected a time"),
            (|r| r["host"]["sockets"] = 1_000_000.into(), "host.sockets: is 1000000; "),
            (|r| r["host"]["numa_nodes"] = 1_000_000.into(), "host.numa_nodes: is "),
            (|r| r["host"]["threads_per_core"] = 0.into(), "host.threads_per_core: is 0; "),
            (|r| r["host"]["false_sharing_bytes"] = 0.into(), "host.false_sharing_bytes: is 0; "),
            (|r| r["host"]["caches"][0]["level"] = 0.into(), "host.caches[0].level: is 0; "),
            (|r| r["host"]["caches"][0]["line_bytes"] = 0.into(), "host.caches[0].line_bytes: is 0; "),
            (|r| r["host"]["caches"][0]["shared_by"] = 0.into(), "host.caches[0].shared_by: is 0; "),
            (|r| r["host"]["clock_measured"]["frequency_hz"] = 0.into(), "host.clock_measured.frequency_hz: is 0.0; "),
            (
                |r| r["host"]["clock_measured"]["resolution_ticks"] = u64::MAX.into(),
                "host.clock_measured.resolution_ticks: is ",
            ),
            (|r| r["host"]["clock_measured"]["read_ticks"] = u64::MAX.into(), "host.clock_measured.read_ticks: is "),
            (|r| r["results"][1]["elapsed_s"] = (-5).into(), "results[1].elapsed_s: is -5.0; expected 0.0 to "),
            (|r| r["results"][1]["elapsed_s"] = 0.into(), "results[1].elapsed_s: is 0, with 2000 iterations"),
            (|r| r["results"][1]["elapsed_s"] = 1e-10.into(), "results[1].iterations_per_s: is "),
            (
                |r| r["results"][0]["is_control"] = false.into(),
                "results[0].is_control: is false; the record's other fields give true",
            ),
            (
                |r| r["results"][1]["is_control"] = true.into(),
                "results[1].is_control: is true; the record's other fields give false",
            ),
            (
                |r| r["results"][1]["warnings"] = json!([]),
                "results[1].warnings: is absent; the record's other fields give",
            ),
            (|r| r["results"][1]["question"] = "Why?".into(), "results[1].question: is \"Why?\"; its source gives"),
            (|r| r["results"][1]["in_batches_s"] = (-0.1).into(), "results[1].in_batches_s: is -0.1; "),
            (|r| r["results"][1]["in_batches_s"] = 2.6.into(), "results[1].in_batches_s: is 2.6; "),
            (
                |r| r["unmeasured"] = json!([{"scenario": "", "threads": 2, "cpus": [0, 2], "reason": "no-batch"}]),
                "unmeasured[0].scenario: is empty",
            ),
            (
                |r| r["unmeasured"] = json!([{"scenario": "SB", "threads": 0, "cpus": [0, 2], "reason": "no-batch"}]),
                "unmeasured[0].threads: is 0; ",
            ),
            (|r| r["results"][1]["phases"]["run_s"] = 2.6.into(), "results[1].phases.run_s: is 2.6; "),
            (|r| r["results"][1]["phases"]["looks_s"] = 2.6.into(), "results[1].phases.looks_s: is 2.6; "),
            (|r| r["results"][1]["phases"]["reset_s"] = (-0.1).into(), "results[1].phases.reset_s: is -0.1; "),
            (
                |r| r["results"][1]["phases"]["clock_s"] = 2.3.into(),
                "results[1].phases.clock_s: is 2.3; expected 0.0 to 2.25",
            ),
            (
                |r| r["results"][1]["phases"]["classification_s"] = 2.0.into(),
                "results[1].phases.run_s: the phases together take 4.42",
            ),
            (
                |r| r["results"][1]["phases"]["line_transfers"] = (-1).into(),
                "results[1].phases.line_transfers: is -1.0; ",
            ),
            (|r| r["results"][1]["races"] = 3000.into(), "results[1].races: is 3000; expected 0 to 2000"),
            (|r| r["results"][1]["matches"] = 3000.into(), "results[1].matches: is 3000; expected 0 to 2000"),
            (|r| r["results"][1]["scenario"] = "".into(), "results[1].scenario: is empty"),
            (
                |r| r["results"][1]["displayed"] = json!(["2:r0"]),
                "results[1].displayed: has 2:r0, which no outcome has",
            ),
            (|r| r["results"][1]["batch"] = 0.into(), "results[1].batch: is 0; "),
            (|r| r["results"][1]["batch"] = 1_048_577.into(), "results[1].batch: is 1048577; "),
            (|r| r["results"][1]["nice"] = 20.into(), "results[1].nice: is 20; expected -20 to 19"),
            (|r| r["results"][1]["nice"] = (-21).into(), "results[1].nice: is -21; "),
            (|r| r["results"][1]["line_transfer_ns"] = (-1).into(), "results[1].line_transfer_ns: is -1.0; "),
            (
                |r| r["results"][1]["counters"][0]["cpu"] = 1.into(),
                "results[1].counters: counter offsets are given for CPUs [1]",
            ),
            (
                |r| r["results"][1]["counters"][0]["offset_ns"] = 1e13.into(),
                "results[1].counters[0].offset_ns: is 10000000000000.0; ",
            ),
            (
                |r| r["results"][1]["counters"][0]["error_ns"] = (-1).into(),
                "results[1].counters[0].error_ns: is -1.0; ",
            ),
            (|r| r["host"]["clock_check"]["passes_differ"] = (-1).into(), "host.clock_check.passes_differ: is -1.0; "),
            (|r| r["host"]["clock_check"]["calibration_s"] = (-1).into(), "host.clock_check.calibration_s: is -1.0; "),
            (|r| r["host"]["clock_check"]["stated_hz"] = 0.into(), "host.clock_check.stated_hz: is 0.0; "),
            (|r| r["results"][1]["drift"]["statistic"] = 1.5.into(), "results[1].drift.statistic: is 1.5; "),
            (|r| r["results"][1]["drift"]["p"] = (-0.5).into(), "results[1].drift.p: is -0.5; "),
            (|r| r["results"][1]["placement"]["cpus"] = json!([]), "results[1].placement.cpus: is 0; "),
            (
                |r| r["results"][1]["placement"]["cpus"] = json!([0, 70_000]),
                "results[1].placement.cpus: has CPU 70000; ",
            ),
            (|r| r["results"][1]["layout"]["line_bytes"] = 0.into(), "results[1].layout.line_bytes: is 0; "),
            (|r| r["results"][1]["layout"]["stride_bytes"] = 0.into(), "results[1].layout.stride_bytes: is 0; "),
            (
                |r| r["results"][1]["outcomes"][1]["count"] = 0.into(),
                "results[1].outcomes[1].count: is 0; expected 1 to 2000",
            ),
            (|r| r["results"][1]["skews"][0]["skew_ns"] = 1e300.into(), "results[1].skews[0].skew_ns: is 1e300; "),
            (
                |r| r["results"][1]["skews"][0]["races"] = 901.into(),
                "results[1].skews[0].races: is 901; expected 0 to 900",
            ),
            (
                |r| r["results"][1]["skews"][0]["matches"] = 901.into(),
                "results[1].skews[0].matches: is 901; expected 0 to 900",
            ),
            (
                |r| r["results"][1]["pace"]["mode"] = "fast".into(),
                "results[1].pace.mode: is 'fast'; expected free or paced",
            ),
            (
                |r| r["results"][1]["pace"]["mode"] = "free".into(),
                "results[1].pace.period_ns: expected a period if it is paced",
            ),
            (|r| r["results"][1]["pace"]["chosen"] = "luck".into(), "results[1].pace.chosen: is 'luck'; "),
            (
                |r| r["results"][1]["pace"]["period_ticks"] = 304.into(),
                "results[1].pace.period_ns: is 120.8; 304 ticks of its clock are 121.6",
            ),
            (|r| r["results"][1]["pace"]["period_ticks"] = Value::Null, "results[1].pace.period_ticks: expected ticks"),
            (|r| r["results"][1]["pace"]["period_ns"] = (-1).into(), "results[1].pace.period_ns: is -1.0; "),
            (|r| r["results"][1]["pace"]["period_ns"] = Value::Null, "results[1].pace.period_ns: expected a period"),
            (|r| r["results"][1]["pace"]["given_period_ns"] = 0.into(), "results[1].pace.given_period_ns: is 0.0; "),
            (|r| r["results"][1]["pace"]["group"] = 0.into(), "results[1].pace.group: is 0; "),
            (
                |r| r["results"][1]["pace"]["given"] = json!(["batch"]),
                "results[1].pace.given: expected none; no search",
            ),
            (|r| r["results"][1]["pace"]["end_spread_ns"] = (-1).into(), "results[1].pace.end_spread_ns: is -1.0; "),
            (|r| r["results"][1]["pace"]["late"] = 1.5.into(), "results[1].pace.late: is 1.5; expected 0.0 to 1.0"),
            (
                |r| r["results"][1]["pace"]["free_because"] = "the clock".into(),
                "results[1].pace.free_because: expected none; ",
            ),
            (
                |r| r["results"][1]["pace"]["edges"] = json!({"step_ticks": 128, "step_ns": 51.3, "simulated": true}),
                "results[1].pace.edges.step_ns: is 51.3; 128 ticks of its clock are 51.2",
            ),
            (
                |r| r["results"][1]["pace"]["edges"] = json!({"step_ticks": 100, "step_ns": 40, "simulated": true}),
                "results[1].pace.edges.step_ticks: is 100; a simulated step is a power of two",
            ),
            (
                |r| {
                    r["results"][1]["pace"]["edges"] =
                        json!({"step_ticks": 100, "step_ns": 40, "simulated": false, "gap_share": 1.5});
                },
                "results[1].pace.edges.gap_share: is 1.5; ",
            ),
            (
                |r| r["results"][1]["pace"]["edges"] = json!({"step_ticks": 0, "step_ns": 0, "simulated": false}),
                "results[1].pace.edges.step_ticks: is 0; ",
            ),
            (
                |r| {
                    let delay = json!({"cpu": 99, "step_ns": 1.0, "passes_differ": 0.0});
                    r["results"][1]["pace"]["edges"] =
                        json!({"step_ticks": 100, "step_ns": 40, "simulated": false, "delays": [delay]});
                },
                "results[1].pace.edges.delays: is given for CPUs [99], but the threads ran on CPUs [",
            ),
            (
                |r| {
                    let cpus = r["results"][1]["placement"]["cpus"].as_array().unwrap().clone();
                    let delay = |cpu| json!({"cpu": cpu, "step_ns": 0, "passes_differ": 2});
                    let delays: Vec<Value> = cpus.into_iter().map(delay).collect();
                    r["results"][1]["pace"]["edges"] =
                        json!({"step_ticks": 100, "step_ns": 40, "simulated": false, "delays": delays});
                },
                "results[1].pace.edges.delays[0].step_ns: is 0.0; ",
            ),
        ],
    );
}

/// Collects the paths of all numbers in a value.
fn numbers(value: &Value, at: &str, out: &mut Vec<String>) {
    match value {
        Value::Number(_) => out.push(at.to_owned()),
        Value::Array(all) => {
            all.iter().enumerate().for_each(|(number, one)| numbers(one, &format!("{at}/{number}"), out))
        }
        Value::Object(all) => all
            .iter()
            .for_each(|(name, one)| numbers(one, &format!("{at}/{}", name.replace('~', "~0").replace('/', "~1")), out)),
        _ => {}
    }
}

/// Replaces each number of a record by absurd ones. The reader or `validate` must reject each, also in fields
/// of later versions. `any` lists the fields that may have any large count.
fn absurd_numbers_are_noticed(record: &impl serde::Serialize, any: &[&str]) {
    let whole = serde_json::to_value(record).unwrap();
    let mut all = Vec::new();
    numbers(&whole, "", &mut all);
    assert!(all.len() > 50, "{}", all.len());
    // A register may have any value.
    for path in all.into_iter().filter(|path| !path.contains("/values/")) {
        let absurd = [json!(-1e15), json!(-7), json!(1e300), json!(u64::MAX)];
        for (number, absurd) in absurd.into_iter().enumerate() {
            let mut value = whole.clone();
            *value.pointer_mut(&path).unwrap() = absurd.clone();
            let noticed = problems(&value).map_or(true, |problems| !problems.is_empty());
            let field = path.rsplit('/').next().unwrap();
            let free = any.contains(&field) && number == 3
                || field == "nice" && number == 1
                || ["skew_ns", "offset_ns"].contains(&field) && number == 1;
            assert!(noticed || free, "{path}: {absurd} is taken for true");
        }
    }
}

#[test]
fn no_absurd_number_is_taken_for_true() {
    // Counts without an upper limit: a busy or a fast machine can give any number. Seeds are any number.
    absurd_numbers_are_noticed(&small::run(), &["seed", "discarded", "disturbances", "moved", "filtered"]);
    absurd_numbers_are_noticed(&small::protocol(), &["seed", "acquired", "rescued", "unhealed", "count"]);
}

#[test]
fn a_sum_is_held_against_its_parts() {
    let a = small::run();
    let b = small::another(small::run());
    let mut merger = record::Merger::new("a", a).unwrap();
    merger.add("b", b).unwrap();
    each_is_named(
        &merger.finish(),
        &[
            (|r| r["id"] = "0".repeat(32).into(), "id: is 00000000000000000000000000000000; its parts give "),
            (|r| r["elapsed_s"] = 1.0.into(), "elapsed_s: is 1.0; its parts give 15.5"),
            (|r| r["parts"][1]["id"] = r["parts"][0]["id"].clone(), "parts[1]: is the same run as parts[0]"),
            (|r| r["parts"][1]["id"] = "x".into(), "parts[1].id: is 'x'; "),
            (|r| r["parts"][1]["elapsed_s"] = (-1).into(), "parts[1].elapsed_s: is -1.0; "),
            (|r| r["parts"][1]["started"] = "".into(), "parts[1].started: is ''; "),
            (|r| r["parts"][1]["host"]["sockets"] = 1_000_000.into(), "parts[1].host.sockets: is "),
            (
                |r| r["results"][2]["controls_fired"] = json!(["MP"]),
                "results[2].controls_fired: has MP, which did not race in this record",
            ),
            (
                |r| r["results"][1]["finding"] = "not observed".into(),
                "results[1].finding: is 'not observed', with 166 races",
            ),
            (|r| r["results"][1]["rate"] = 0.5.into(), "results[1].rate: is 0.5; "),
            (|r| r["results"][0]["is_control"] = false.into(), "results[0].is_control: is false; "),
        ],
    );
}

/// Records of earlier versions had other rules for findings. Only checks that hold under all rules apply to
/// them.
#[test]
fn records_of_earlier_versions_hold_what_they_claim() {
    let mut old = small::run();
    old.id.clear();
    old.results.iter_mut().for_each(|result| result.reproducibility = None);
    each_is_named(
        &old,
        &[
            (|r| r["results"][2]["interval"]["high"] = 1e-30.into(), "results[2].interval.high: is 1e-30; "),
            (|r| r["results"][2]["controls_fired"] = json!(["MP"]), "results[2].controls_fired: "),
            (|r| r["results"][1]["finding"] = "not observed".into(), "results[1].finding: "),
            (|r| r["elapsed_s"] = (-5).into(), "elapsed_s: is -5.0; "),
        ],
    );
}

#[test]
fn records_of_the_protocol_are_held_to_the_same() {
    each_is_named(
        &small::protocol(),
        &[
            (|r| r["elapsed_s"] = (-5).into(), "elapsed_s: is -5.0; "),
            (|r| r["host"]["sockets"] = 1_000_000.into(), "host.sockets: is 1000000; "),
            (|r| r["results"][1]["profile"] = "v9".into(), "results[1].profile: is 'v9'; expected v7.1 or "),
            (|r| r["results"][0]["reconstruction"] = true.into(), "results[0].reconstruction: is true; "),
            (|r| r["results"][1]["mutant"] = "x".into(), "results[1].mutant: is 'x'; "),
            (|r| r["results"][1]["blocked_on_store"] = "x".into(), "results[1].blocked_on_store: is 'x'; "),
            (|r| r["results"][1]["cpus"] = json!([]), "results[1].cpus: is 0; "),
            (|r| r["results"][1]["cpus"] = json!([70_000]), "results[1].cpus: has CPU 70000; "),
            (|r| r["results"][1]["tasks_per_cpu"] = 0.into(), "results[1].tasks_per_cpu: is 0; "),
            (|r| r["results"][1]["elapsed_s"] = (-5).into(), "results[1].elapsed_s: is -5.0; "),
            (|r| r["results"][1]["elapsed_s"] = 0.into(), "results[1].elapsed_s: is 0, with 84 rounds"),
            (|r| r["results"][1]["elapsed_s"] = 7.0.into(), "results[1].elapsed_s: is 7.0; expected 0.0 to 6.751"),
            (
                |r| r["results"][1]["rounds"] = 85.into(),
                "results[1].rounds_per_s: is 21.0; the record's other fields give 21.25",
            ),
            (
                |r| r["results"][1]["rounds_per_s"] = 1e13.into(),
                "results[1].rounds_per_s: is 10000000000000.0; expected",
            ),
            (
                |r| r["results"][1]["wakes"]["no_match"] = 1101.into(),
                "results[1].wakes: the ends of wakeups add up to 2001; issued is 2000",
            ),
            (
                |r| r["results"][1]["wakes"]["unaccounted"] = 1.into(),
                "results[1].wakes: the ends of wakeups add up to 2001; issued is 2000",
            ),
            (
                |r| r["results"][1]["wakes"]["dropped"] = u64::MAX.into(),
                "results[1].wakes: the ends of wakeups add up to more than 2^64",
            ),
            (
                |r| r["results"][1]["wakes"]["activated"] = 531.into(),
                "results[1].wakes: runnable and activated add up to 901; matches is 900",
            ),
            (|r| r["results"][1]["matches"] = 2001.into(), "results[1].matches: is 2001; expected 0 to 2000"),
            (|r| r["results"][1]["nulls"] = 901.into(), "results[1].nulls: is 901; expected 0 to 900"),
            (|r| r["results"][1]["races"] = 28.into(), "results[1].races: is 28; expected 0 to 27"),
            (|r| r["results"][1]["races"] = 14.into(), "results[1].rate: is 0.0144"),
            (|r| r["results"][1]["rate"] = 0.5.into(), "results[1].rate: is 0.5; "),
            (|r| r["results"][1]["interval"]["high"] = 0.5.into(), "results[1].interval.high: is 0.5; "),
            (
                |r| r["results"][1]["healed"][0]["count"] = 4.into(),
                "results[1].healed: the counts add up to 6; heal_ns.count is 5",
            ),
            (
                |r| r["results"][1]["healed"][1]["by"] = r["results"][1]["healed"][0]["by"].clone(),
                "results[1].healed[1]: is the same healer",
            ),
            (
                |r| r["results"][1]["heal_ns"]["unit"] = "iterations".into(),
                "results[1].heal_ns.unit: is \"iterations\"; its histogram gives \"ns\"",
            ),
            (|r| r["results"][1]["heal_ns"]["p99"] = 1.into(), "results[1].heal_ns.p99: is 1; "),
            (|r| r["results"][1]["harms"][1]["id"] = "H1".into(), "results[1].harms[1]: is the same harm as harms[0]"),
            (|r| r["results"][0]["harms"][1]["expected"] = true.into(), "results[0].harms[1].expected: is true; "),
            (
                |r| {
                    let again = r["results"][1].clone();
                    r["results"].as_array_mut().unwrap().push(again);
                },
                "results[2]: is the same profile, variant, store and layout as results[1]",
            ),
        ],
    );
}

#[test]
fn validate_names_the_file_and_every_field() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("invented.json");
    let mut record: Record = small::run();
    record.elapsed_s = -5.0;
    record.results[1].rate = Some(0.5);
    fs::write(&path, serde_json::to_string(&record).unwrap()).unwrap();
    let said = contains("invented.json: elapsed_s: is -5.0").and(contains("invented.json: results[1].rate: is 0.5"));
    wakerace().arg("validate").arg(&path).assert().code(2).stderr(said).stdout("");
    // No command uses the numbers of an invalid record.
    for arguments in
        [vec!["export", "--csv"], vec!["report", "-o", "-"], vec!["merge", "-o", "-"], vec!["export", "--hlog"]]
    {
        wakerace().args(arguments).arg(&path).assert().code(2).stderr(contains("elapsed_s: is -5.0")).stdout("");
    }
}

#[test]
fn a_file_without_an_end_is_refused() {
    let readers: [&[&str]; 3] =
        [&["validate", "/dev/zero"], &["check", "/dev/zero"], &["run", "--no-save", "--profile", "/dev/zero", "SB"]];
    for arguments in readers {
        wakerace().args(arguments).assert().code(2).stderr(contains("/dev/zero: larger than").and(contains("bytes")));
    }
    // A record can be read from a pipe.
    let record = serde_json::to_string(&small::run()).unwrap();
    let mut command = assert_cmd::Command::from_std(wakerace());
    command.args(["validate", "/dev/stdin"]).write_stdin(record).assert().success().stdout("/dev/stdin: valid\n");
}

/// Two symbolic links to the folder itself give 2^40 paths, so each folder must be searched only once.
#[test]
fn folders_that_lead_back_to_themselves_are_searched_once() {
    let folder = tempfile::tempdir().unwrap();
    let library = folder.path().join("library");
    let inner = library.join("x86_64/cpu");
    fs::create_dir_all(&inner).unwrap();
    for name in ["a", "b"] {
        std::os::unix::fs::symlink(&library, library.join(name)).unwrap();
        std::os::unix::fs::symlink("..", inner.join(name)).unwrap();
    }
    fs::write(inner.join("one.json"), serde_json::to_string(&small::run()).unwrap()).unwrap();
    fs::write(library.join("two.json"), serde_json::to_string(&small::protocol()).unwrap()).unwrap();
    let page = folder.path().join("page.html");
    wakerace()
        .arg("report")
        .arg(&library)
        .arg("-o")
        .arg(&page)
        .assert()
        .success()
        .stdout(contains("page of 2 records"));
    fs::write(library.join("test.litmus"), wakerace::catalogue::named("SB").unwrap().test.source.text()).unwrap();
    wakerace().arg("check").arg(&library).assert().success().stdout(contains("SB"));
    fs::remove_file(library.join("two.json")).unwrap();
    wakerace().arg("index").arg(&library).assert().success().stdout(contains("index of 1 record:"));
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig { cases: 300, failure_persistence: None, ..Default::default() })]

    /// A nearly valid record is judged, added up and printed, or refused, without a panic. fuzz/ does the
    /// same for longer.
    #[test]
    fn nothing_that_reads_is_a_panic(bytes in proptest::collection::vec(proptest::num::u8::ANY, 2..120)) {
        let wholes = WHOLES.get_or_init(common::mutate::wholes);
        let value = common::mutate::changed(wholes, &mut common::mutate::Bytes(&bytes[1..]));
        common::mutate::use_it(&value.to_string(), usize::from(bytes[0]));
    }
}

static WHOLES: std::sync::OnceLock<Vec<Value>> = std::sync::OnceLock::new();
