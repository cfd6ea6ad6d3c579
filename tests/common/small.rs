//! Small valid records in which no two numbers are equal, so that a test notices a lost or swapped number.
//! The fuzz target starts from them too.

use hdrhistogram::Histogram;
use serde_json::{Value, json};
use wakerace::catalogue;
use wakerace::record::{self, AnyRecord, Gaps, ProtocolRecord, Record};

fn host() -> Value {
    json!({
        "architecture": "x86_64", "cpu_model": "Example 9000", "cpu_ids": {"vendor_id": "Example"}, "core_types": {"Example 9000": "0-3"},
        "microcode": "0x10", "caches": [{"level": 1, "kind": "Data", "size": "32K", "line_bytes": 64, "shared_by": 1}],
        "false_sharing_bytes": 128, "cpus_online": "0-3", "cpus_allowed": "0-2", "threads_per_core": 2, "sockets": 1, "numa_nodes": 1,
        "kernel": "Linux 6.18.0", "governor": "performance", "transparent_hugepages": "madvise", "virtualised": null, "emulated": false,
        "clock": "TSC", "clock_measured": {"frequency_hz": 2.5e9, "resolution_ticks": 1, "read_ticks": 26},
        "clock_check": {"passes_differ": 1e-4, "calibration_s": 0.02, "stated_hz": 2.5e9}
    })
}

fn tool() -> Value {
    json!({"name": "wakerace", "version": "0.1.0", "commit": "0123456789ab"})
}

/// A result of a test of the catalogue. `more` holds its counts.
fn result(name: &str, number: u32, more: Value) -> Value {
    let scenario = catalogue::named(name).unwrap();
    let program = &scenario.program;
    let number_f = f64::from(number);
    let period_ticks = 300 + number;
    let mut result = json!({
        "scenario": name, "group": scenario.group, "question": scenario.test.header.summary(), "source_sha256": *scenario.sha256,
        "code_sha256": format!("{number:064x}"), "source": scenario.test.source.text(),
        "condition": program.condition_text(),
        "match_event": program.match_event.as_ref().map(|event| program.prop(event)),
        "placement": {"cpus": [0, 2], "class": "core"},
        "pace": {
            "mode": "paced", "chosen": "auto", "period_ticks": period_ticks, "period_ns": f64::from(period_ticks) / 2.5,
            "given_skews": false, "group": 4, "given_group": false, "prefetch": "turns", "focused": true,
            "end_spread_ns": 11.5 + number_f, "late": 0.25 + number_f / 100.0
        },
        "layout": {"kind": "padded", "line_bytes": 128, "stride_bytes": 640},
        "batch": 409, "seed": 71, "atomics": null, "elapsed_s": 0.5 + number_f, "in_batches_s": 0.25 + number_f,
        "phases": {
            "run_s": 0.25 + number_f, "clock_s": 0.125, "rendezvous_s": 0.03125, "classification_s": 0.0625, "reset_s": 0.125,
            "looks_s": 0.015625, "line_transfers": 4.0
        },
        "evidence": {"needs": [["store-load"]], "seen": [], "controls": [], "looked": 0, "needed": 0},
        "iterations_per_s": 0.0, "rate": null, "interval": null, "rate_per_match": null, "interval_per_match": null,
        "drift": {"statistic": 0.125, "p": 0.5}, "discarded": 2000 + number, "disturbances": 30 + number, "moved": 400 + number, "filtered": 5000 + number,
        "line_transfer_ns": 31.5 + number_f,
        "counters": [{"cpu": 2, "offset_ns": 1.5 + number_f, "error_ns": 20.0 + number_f, "corrected": false}], "nice": -7,
        "expected": "Sometimes", "expected_from": "model", "lkmm": "Sometimes", "controls_fired": [], "finding": "inconclusive",
        "gaps": Gaps::default()
    });
    result.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    result["displayed"] = result["outcomes"][0]["values"].as_object().unwrap().keys().cloned().collect();
    result
}

/// A histogram of some values.
pub fn gaps(unit: &str, values: &[u64]) -> Gaps {
    let mut histogram = Histogram::<u64>::new_with_bounds(1, 1_000_000_000_000, 2).unwrap();
    values.iter().for_each(|value| histogram.record(*value).unwrap());
    Gaps::of(unit, &histogram)
}

/// A record of `wakerace run` with a control, a test that raced, and a test that did not race.
pub fn run() -> Record {
    let sb = json!({
        "matches": null, "iterations": 1000, "races": 600,
        "outcomes": [
            {"values": {"0:r0": 0, "1:r0": 0}, "count": 600, "satisfies": true},
            {"values": {"0:r0": 0, "1:r0": 1}, "count": 150, "satisfies": false},
            {"values": {"0:r0": 1, "1:r0": 0}, "count": 240, "satisfies": false},
            {"values": {"0:r0": 1, "1:r0": 1}, "count": 10, "satisfies": false}
        ],
        "skews": [
            {"skew_ns": -20.4, "iterations": 400, "matches": null, "races": 100, "outcomes": [100, 90, 205, 5]},
            {"skew_ns": 20.4, "iterations": 600, "matches": null, "races": 500, "outcomes": [500, 60, 35, 5]}
        ],
        "last_writers": [
            {"prefetched": false, "writers": {"x": "P0", "y": "P1"}, "iterations": 300, "races": 201},
            {"prefetched": true, "writers": {"x": "P1", "y": "P0"}, "iterations": 700, "races": 399}
        ],
        "gaps": gaps("iterations", &[1, 1, 1, 2, 3, 50, 51, 1000])
    });
    let swapped = json!({
        "matches": 883, "iterations": 2000, "races": 83,
        "outcomes": [
            {"values": {"1:r0": 0, "1:r1": 0}, "count": 1100, "satisfies": false},
            {"values": {"1:r0": 0, "1:r1": "&mutex"}, "count": 17, "satisfies": false},
            {"values": {"1:r0": 2, "1:r1": 0}, "count": 83, "satisfies": true},
            {"values": {"1:r0": 2, "1:r1": "&mutex"}, "count": 800, "satisfies": false}
        ],
        "skews": [
            {"skew_ns": -60.0, "iterations": 900, "matches": 393, "races": 3, "outcomes": [500, 7, 3, 390]},
            {"skew_ns": 45.2, "iterations": 1100, "matches": 490, "races": 80, "outcomes": [600, 10, 80, 410]}
        ],
        "last_writers": [
            {"prefetched": false, "writers": {"__state": "P0", "blocked_on": "P0"}, "iterations": 950, "races": 33},
            {"prefetched": true, "writers": {"__state": "P0", "blocked_on": "P1"}, "iterations": 1050, "races": 50}
        ],
        "gaps": gaps("iterations", &[20, 30, 41, 500, 12_345])
    });
    let wmb = json!({
        "matches": 1400, "iterations": 3000, "races": 0, "expected": "Never", "lkmm": "Never",
        "outcomes": [
            {"values": {"1:r0": 0, "1:r1": 0}, "count": 1500, "satisfies": false},
            {"values": {"1:r0": 0, "1:r1": "&mutex"}, "count": 100, "satisfies": false},
            {"values": {"1:r0": 2, "1:r1": "&mutex"}, "count": 1400, "satisfies": false}
        ],
        "skews": [{"skew_ns": 0.0, "iterations": 3000, "matches": 1400, "races": 0, "outcomes": [1500, 100, 1400]}],
        "last_writers": [{"prefetched": false, "writers": {"__state": "P0", "blocked_on": "P1"}, "iterations": 3000, "races": 0}],
        "gaps": gaps("iterations", &[]), "drift": null
    });
    let record = json!({
        "schema": record::SCHEMA, "version": record::VERSION, "id": "0123456789abcdef0123456789abcdef", "tool": tool(),
        "command": ["wakerace", "run", "--seed", "71"], "started": "2026-11-25T17:44:25.503233779Z", "elapsed_s": 7.75,
        "interrupted": false, "host": host(),
        "results": [result("SB", 1, sb), result("S05-swapped", 2, swapped), result("S02-wmb", 3, wmb)]
    });
    let mut record: Record = serde_json::from_value(record).unwrap();
    complete(&mut record);
    record
}

/// The same record with S05-swapped at two distances.
pub fn at_two_distances() -> Record {
    let mut record = run();
    let writers = |prefetched: bool, blocked_on: &str| json!({"prefetched": prefetched, "writers": {"__state": "P0", "blocked_on": blocked_on}});
    let entry = |prefetched, blocked_on, iterations: u64, races: u64| {
        let mut entry = writers(prefetched, blocked_on);
        entry
            .as_object_mut()
            .unwrap()
            .extend([("iterations".to_owned(), json!(iterations)), ("races".to_owned(), json!(races))]);
        entry
    };
    record.results[1].distances = serde_json::from_value(json!({
        "looks": 120, "lost": 3, "offset_changes": 2,
        "between": {"iterations": 100, "races": 3, "matches": 33},
        "strata": [
            {
                "ns": 17.5, "low_ns": 16.0, "high_ns": 19.5, "looks": 48, "elapsed_s": 1.05, "in_batches_s": 1.0, "period_ns": 110.0,
                "iterations": 1200, "matches": 500, "races": 53, "drift": {"statistic": 0.25, "p": 0.75},
                "skews": [
                    {"skew_ns": -60.0, "iterations": 500, "matches": 200, "races": 3},
                    {"skew_ns": 45.2, "iterations": 700, "matches": 300, "races": 50}
                ],
                "last_writers": [entry(false, "P0", 570, 21), entry(true, "P1", 630, 32)],
                "blocks": [{"iterations": 400, "races": 20}, {"iterations": 500, "races": 25}]
            },
            {
                "ns": 230.0, "low_ns": 200.0, "high_ns": 260.0, "looks": 64, "elapsed_s": 1.4, "in_batches_s": 1.25, "period_ns": 140.0,
                "iterations": 700, "matches": 350, "races": 27,
                "skews": [
                    {"skew_ns": -60.0, "iterations": 380, "matches": 180, "races": 0},
                    {"skew_ns": 45.2, "iterations": 320, "matches": 170, "races": 27}
                ],
                "last_writers": [entry(false, "P0", 330, 10), entry(true, "P1", 370, 17)],
                "blocks": [{"iterations": 300, "races": 10}, {"iterations": 350, "races": 15}]
            }
        ]
    }))
    .unwrap();
    complete(&mut record);
    record
}

/// Computes the fields that follow from the counts, as a run does.
pub fn complete(record: &mut Record) {
    record.results.iter_mut().for_each(record::compute);
    let architecture = record.host.architecture.parse().unwrap();
    for result in &mut record.results {
        result.is_control = catalogue::is_control(&result.scenario, &result.source_sha256, architecture);
    }
    record::judge(&mut record.results);
}

/// The same record with the id of another run.
pub fn another(mut record: Record) -> Record {
    let last = record.id.pop().unwrap();
    record.id.push(if last == '0' { 'f' } else { '0' });
    record
}

/// A record of `wakerace protocol` with two profiles: one that expects no harm, and one with expected harm.
pub fn protocol() -> ProtocolRecord {
    let profile = |name: &str, more: Value| {
        let profile: wakerace::kernel::Profile = name.parse().unwrap();
        let harms: Vec<Value> = (wakerace::kernel::harm::Harm::ALL.into_iter())
            .map(|harm| json!({"id": harm.to_string(), "text": harm.text(), "count": 0, "expected": harm.expected(profile, None)}))
            .collect();
        let mut result = json!({
            "profile": name, "reconstruction": profile == wakerace::kernel::Profile::Draft, "mutant": null, "variant": "all", "blocked_on_store": "plain",
            "layout": "kernel-x86_64", "cpus": [0, 2], "tasks_per_cpu": 2, "seed": 71, "harms": harms, "stuck": null
        });
        result.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        result
    };
    let quiet = json!({
        "elapsed_s": 2.5, "rounds": 50, "rounds_per_s": 20.0, "acquired": 120,
        "wakes": {"issued": 1000, "no_match": 600, "runnable": 150, "activated": 250, "dropped": 0, "unaccounted": 0},
        "matches": 400, "nulls": 9, "races": 0, "rate": 0.0, "interval": wakerace::stats::interval(0, 400),
        "healed": [{"by": "the task itself", "count": 0}, {"by": "find_proxy_task()", "count": 0}],
        "unhealed": 0, "heal_ns": gaps("ns", &[]), "rescued": 0
    });
    let mut draft = json!({
        "elapsed_s": 4.0, "rounds": 84, "rounds_per_s": 21.0, "acquired": 130,
        "wakes": {"issued": 2000, "no_match": 1100, "runnable": 370, "activated": 530, "dropped": 0, "unaccounted": 0},
        "matches": 900, "nulls": 27, "races": 13, "rate": 13.0 / 900.0, "interval": wakerace::stats::interval(13, 900),
        "healed": [{"by": "the task itself", "count": 3}, {"by": "find_proxy_task()", "count": 2}],
        "unhealed": 1, "heal_ns": gaps("ns", &[700, 800, 900, 5000, 123_456]), "rescued": 6
    });
    let harms = profile("draft", json!({}))["harms"].clone();
    draft["harms"] = harms;
    for harm in draft["harms"].as_array_mut().unwrap() {
        match harm["id"].as_str().unwrap() {
            "H4" => harm["count"] = 6.into(),
            "H6" => harm["count"] = 15.into(),
            _ => {}
        }
    }
    let record = json!({
        "schema": record::PROTOCOL_SCHEMA, "version": record::VERSION, "id": "fedcba9876543210fedcba9876543210", "tool": tool(),
        "command": ["wakerace", "protocol", "-q"], "started": "2026-11-23T18:32:21.788206909Z", "elapsed_s": 6.75,
        "interrupted": false, "host": host(),
        "results": [profile("v7.1", quiet), profile("draft", draft)]
    });
    serde_json::from_value(record).unwrap()
}

/// Writes a record and reads it again, as if from a file.
pub fn read(record: &impl serde::Serialize) -> AnyRecord {
    record::read("small.json", &serde_json::to_string(record).unwrap()).unwrap()
}
