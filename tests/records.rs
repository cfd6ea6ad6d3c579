//! Records as a format: what is whole reads, what is not is refused, sums are right.

mod common;

use std::fs;
use std::path::Path;

use assert_cmd::assert::OutputAssertExt;
use predicates::prelude::*;
use predicates::str::contains;
use serde_json::Value;
use wakerace::publish::{Entry, Publish as _};
use wakerace::record::{self, AnyRecord, Merger, ScenarioResult};

use common::{run, shipped, wakerace};

/// A change to a record.
type Edit = fn(&mut Value);

fn edited(text: &str, edit: impl FnOnce(&mut Value)) -> String {
    let mut value: Value = serde_json::from_str(text).unwrap();
    edit(&mut value);
    serde_json::to_string(&value).unwrap()
}

#[test]
fn a_shipped_record_is_valid_and_reads_back_the_same() {
    let (path, text) = shipped();
    let read = run(&text);
    assert_eq!(record::problems(&read), Vec::<String>::new());
    let again = run(&serde_json::to_string(&read).unwrap());
    assert_eq!(read, again);
    wakerace().arg("validate").arg(&path).assert().success().stdout(contains(": valid"));
}

#[test]
fn every_number_reads_back_as_it_was_written() {
    let (_, text) = shipped();
    // A double that a parser that is not exact to the last bit reads as its neighbour.
    for value in [2.974_951_262_008_279e-77, 195.221_906_853_713_2, 0.1 + 0.2, f64::MIN_POSITIVE, 1.0 / 3.0] {
        let mut record = run(&text);
        record.elapsed_s = value;
        assert_eq!(run(&serde_json::to_string(&record).unwrap()).elapsed_s.to_bits(), value.to_bits(), "{value}");
    }
}

#[test]
fn what_later_versions_add_is_kept() {
    let (_, text) = shipped();
    let text = edited(&text, |value| {
        value["colour"] = "green".into();
        value["results"][0]["temperature_c"] = 41.5.into();
    });
    let written = serde_json::to_value(run(&text)).unwrap();
    assert_eq!((&written["colour"], &written["results"][0]["temperature_c"]), (&"green".into(), &41.5.into()));
}

#[test]
fn a_record_cut_anywhere_is_refused_and_never_a_panic() {
    let (_, text) = shipped();
    let end = text.trim_end().len();
    for at in (0..end).step_by(97).chain(end - 40..end) {
        if text.is_char_boundary(at) {
            let error = record::read("cut.json", &text[..at]).unwrap_err().to_string();
            assert!(error.contains("cut.json:"), "{at}: {error}");
        }
    }
}

#[test]
fn other_versions_and_other_files_are_refused_by_name() {
    let (_, text) = shipped();
    let future = edited(&text, |value| {
        value["schema"] = "wakerace/9".into();
        value["version"] = 9.into();
    });
    let torn = edited(&text, |value| {
        value["schema"] = "wakerace/2".into();
        value["version"] = 7.into();
    });
    let other = edited(&text, |value| value["schema"] = "wakerace-profile/1".into());
    let cases = [
        (
            future.as_str(),
            "version 9 of the record format; this wakerace reads versions 1 and 2; a newer version of wakerace wrote this file",
        ),
        (torn.as_str(), "schema is 'wakerace/2', but version is 7"),
        (other.as_str(), "unknown schema 'wakerace-profile/1'"),
        ("{}", "missing field `schema`"),
        ("[1", "file.json:1:2: not a wakerace record: invalid type: integer `1`, expected a string\n"),
        ("3", "file.json:1:1: not a wakerace record: invalid type: integer `3`, expected an object\n"),
        ("nil", "not JSON: expected a value\n"),
        ("", "cut short"),
    ];
    let folder = tempfile::tempdir().unwrap();
    for (text, message) in cases {
        let path = folder.path().join("file.json");
        fs::write(&path, text).unwrap();
        wakerace().arg("validate").arg(&path).assert().code(2).stderr(contains(message).and(contains("file.json")));
    }
    wakerace().arg("validate").arg(folder.path().join("none.json")).assert().code(2).stderr(contains("none.json"));
}

#[test]
fn a_sum_counts_everything_once() {
    let (_, text) = shipped();
    let one = run(&text);
    let again = |id: char| record::Record { id: id.to_string().repeat(32), ..one.clone() };
    let mut merger = Merger::new("a", one.clone()).unwrap();
    merger.add("b", again('b')).unwrap();
    merger.add("c", again('c')).unwrap();
    let sum = merger.finish();
    assert_eq!(record::problems(&sum), Vec::<String>::new());
    assert_eq!(sum.parts.len(), 3);
    assert_eq!(sum.parts[1].host, one.host);
    for (sum, one) in sum.results.iter().zip(&one.results) {
        assert_eq!((sum.iterations, sum.races), (3 * one.iterations, 3 * one.races));
        assert_eq!(sum.gaps.count, 3 * one.gaps.count);
        assert_eq!(sum.skews.len(), one.skews.len());
        assert_eq!(sum.last_writers.len(), one.last_writers.len());
        for (sum, one) in sum.last_writers.iter().zip(&one.last_writers) {
            assert_eq!((sum.prefetched, &sum.writers), (one.prefetched, &one.writers));
            assert_eq!((sum.iterations, sum.races), (3 * one.iterations, 3 * one.races));
        }
        let (Some(wide), Some(narrow)) = (one.interval, sum.interval) else { panic!("no interval") };
        assert!(narrow.high - narrow.low < wide.high - wide.low, "{}", one.scenario);
    }
    // A run that did not count them makes the sum one that did not.
    let mut older = again('d');
    older.results.iter_mut().for_each(|result| result.last_writers.clear());
    let mut merger = Merger::new("a", one.clone()).unwrap();
    merger.add("older", older.clone()).unwrap();
    let other = merger.finish();
    assert!(other.results.iter().all(|result| result.last_writers.is_empty()));
    // Sums of sums keep all their parts.
    let mut merger = Merger::new("sum", sum).unwrap();
    merger.add("older", older).unwrap();
    assert_eq!(merger.finish().parts.len(), 4);
}

#[test]
fn what_was_not_made_alike_is_not_added() {
    let (path, text) = shipped();
    let folder = tempfile::tempdir().unwrap();
    let cases: [(Edit, &str); 3] = [
        (|value| value["results"][0]["pace"]["given_period_ns"] = 300.0.into(), "the period of"),
        (|value| value["results"][0]["pace"]["given_skews"] = true.into(), "the sweep of"),
        (|value| value["host"]["emulated"] = true.into(), "emulated is true in "),
    ];
    let out = folder.path().join("sum.json");
    for (edit, message) in cases {
        let other = folder.path().join("other.json");
        let another_run = |value: &mut Value| {
            edit(value);
            value["id"] = "e".repeat(32).into();
        };
        fs::write(&other, edited(&text, another_run)).unwrap();
        let mut command = wakerace();
        command.arg("merge").arg(&path).arg(&other).arg("-o").arg(&out);
        command.assert().code(2).stderr(contains(message).and(contains("other.json")));
        assert!(!out.exists(), "nothing is written");
    }
}

#[test]
fn comparing_tells_difference_from_chance() {
    let (path, text) = shipped();
    let folder = tempfile::tempdir().unwrap();
    let same = || {
        let mut command = wakerace();
        command.arg("compare").arg(&path).arg(&path);
        command
    };
    same().assert().success().stdout(contains("SB").and(contains("1.00 [")));
    same().arg("--markdown").assert().success().stdout(contains("| scenario | class |"));
    // A record whose store buffering was seen a tenth as often, and adds up.
    let mut record = run(&text);
    let sb = record.results.iter_mut().find(|result| result.scenario == "SB").unwrap();
    for outcome in &mut sb.outcomes {
        outcome.count = if outcome.satisfies { outcome.count / 10 } else { outcome.count };
    }
    (sb.distances, sb.phases) = (None, None);
    sb.skews.clear();
    sb.last_writers.clear();
    sb.blocks.clear();
    sb.distances = None;
    sb.races = sb.outcomes.iter().filter(|outcome| outcome.satisfies).map(|outcome| outcome.count).sum();
    sb.iterations = sb.outcomes.iter().map(|outcome| outcome.count).sum();
    sb.gaps = record::Gaps { unit: "iterations".to_owned(), ..record::Gaps::default() };
    common::small::complete(&mut record);
    assert_eq!(record::problems(&record), Vec::<String>::new());
    let other = folder.path().join("other.json");
    fs::write(&other, serde_json::to_string(&record).unwrap()).unwrap();
    let mut command = wakerace();
    command.arg("compare").arg(&path).arg(&other).arg("--fail-on-difference");
    command
        .assert()
        .code(2)
        .stdout(contains("unknown: single run"))
        .stderr(contains("no comparison of these records can"));
    record.host.emulated = true;
    fs::write(&other, serde_json::to_string(&record).unwrap()).unwrap();
    let mut command = wakerace();
    command.arg("compare").arg(&path).arg(&other);
    command.assert().code(2).stderr(contains("it cannot be compared with a run on real hardware"));
}

#[test]
fn what_others_read_is_exported() {
    let (path, text) = shipped();
    let source = include_str!("../scenarios/race/S01-as-is.litmus");
    wakerace().args(["export", "--litmus", "S01-as-is"]).assert().success().stdout(source);
    wakerace().args(["export", "--litmus", "fixes"]).assert().code(2).stderr(contains("scenarios; name one"));
    let record = run(&text);
    let result = record.results.iter().find(|result| result.scenario == "SB").unwrap();
    let mut command = wakerace();
    command.args(["export", "--result", "SB", "--hgrm"]).arg(&path);
    let total = format!("Total count    = {:12}]", result.gaps.count);
    command.assert().success().stdout(contains(total).and(contains("1/(1-Percentile)")));
    let mut command = wakerace();
    command.args(["export", "--result", "nothing", "--hgrm"]).arg(&path);
    command.assert().code(2).stderr(contains("--result:").and(contains("SB")));
    wakerace().arg("export").assert().code(2);
}

#[test]
fn pairs_of_one_class_are_added_pair_by_pair() {
    let (_, text) = shipped();
    let mut record = run(&text);
    let mut other = record.results[0].clone();
    other.placement.cpus.reverse();
    record.results.push(other);
    let count = record.results.len();
    let mut merger = Merger::new("a", record.clone()).unwrap();
    record.results.reverse();
    record.id = "b".repeat(32);
    merger.add("b", record.clone()).unwrap();
    let sum = merger.finish();
    assert_eq!(sum.results.len(), count);
    for result in &sum.results {
        let known = |one: &&ScenarioResult| one.scenario == result.scenario && one.placement == result.placement;
        let one = record.results.iter().find(known).unwrap();
        assert_eq!(result.iterations, 2 * one.iterations, "{}", result.scenario);
    }
}

/// Runs `export` on a record.
fn exported(path: &Path, form: &str) -> String {
    let output = wakerace().args(["export", form]).arg(path).output().unwrap();
    assert!(output.status.success(), "{form}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// The header line and the lines of a CSV that is exported from a record.
fn table(path: &Path, form: &str) -> (csv::StringRecord, Vec<csv::StringRecord>) {
    let lines = exported(path, form);
    let mut reader = csv::Reader::from_reader(lines.as_bytes());
    (reader.headers().unwrap().clone(), reader.records().map(Result::unwrap).collect())
}

#[test]
fn csv_and_markdown_lose_no_count() {
    let (path, text) = shipped();
    let record = run(&text);
    let (headings, rows) = table(&path, "--csv");
    let column = |name: &str| headings.iter().position(|heading| heading == name).unwrap();
    assert_eq!(rows.len(), record.results.len());
    let markdown = exported(&path, "--markdown");
    for (row, result) in rows.iter().zip(&record.results) {
        assert_eq!(&row[column("scenario")], result.scenario);
        assert_eq!(row[column("iterations")].parse(), Ok(result.iterations));
        assert_eq!(row[column("races")].parse(), Ok(result.races));
        assert_eq!(row[column("matches")].parse().ok(), result.matches);
        let counts: Vec<u64> = (row[column("outcomes")].split(" | "))
            .map(|outcome| outcome.split(' ').next().unwrap().parse().unwrap())
            .collect();
        assert_eq!(counts, result.outcomes.iter().map(|outcome| outcome.count).collect::<Vec<_>>());
        let line = markdown.lines().find(|line| line.starts_with(&format!("| {} |", result.scenario))).unwrap();
        for count in [Some(result.iterations), Some(result.races), result.matches].into_iter().flatten() {
            assert!(line.contains(&wakerace::publish::count(count)), "{line}");
        }
    }
}

#[test]
fn windows_as_csv_lose_no_count() {
    let (path, text) = shipped();
    let (_, rows) = table(&path, "--window-csv");
    for result in &run(&text).results {
        let of_result = || rows.iter().filter(|row| row[3] == result.scenario);
        let sum = |race: Option<&str>| -> u64 {
            of_result()
                .filter(|row| race.is_none_or(|race| &row[8] == race))
                .map(|row| row[9].parse::<u64>().unwrap())
                .sum()
        };
        assert_eq!((sum(None), sum(Some("true"))), (result.iterations, result.races), "{}", result.scenario);
        let wanted = result.skews.len() * result.skews[0].outcomes.len().max(2);
        assert_eq!(of_result().count(), wanted, "{}", result.scenario);
    }
}

#[test]
fn last_writers_as_csv_lose_no_count() {
    let (path, text) = shipped();
    let (_, rows) = table(&path, "--last-writers-csv");
    for result in &run(&text).results {
        let of_result = || rows.iter().filter(|row| row[3] == result.scenario);
        let sum = |column: usize| -> u64 { of_result().map(|row| row[column].parse::<u64>().unwrap()).sum() };
        assert_eq!((sum(8), sum(9)), (result.iterations, result.races), "{}", result.scenario);
        let kinds: std::collections::BTreeSet<(&str, &str)> = of_result().map(|row| (&row[6], &row[7])).collect();
        assert_eq!(kinds.len(), result.last_writers.len(), "{}", result.scenario);
        assert!(kinds.iter().all(|(writers, _)| writers.contains("=P0") || writers.contains("=P1")), "{kinds:?}");
    }
}

#[test]
fn last_writers_without_races_are_a_bound() {
    let (_, text) = shipped();
    let mut record = run(&text);
    let swapped = record.results.iter_mut().find(|result| result.scenario == "S05-swapped").unwrap();
    let moved = std::mem::take(&mut swapped.last_writers[0].races);
    swapped.last_writers[1].races += moved;
    record::compute(swapped);
    let bound = wakerace::stats::interval(0, swapped.last_writers[0].iterations).unwrap().high;
    assert_eq!(record::problems(&record), Vec::<String>::new());
    let said = format!("< {bound:.1e} where the last writers were");
    assert!(record.summary().contains(&said), "{said}: {}", record.summary());
    let entry = Entry { name: "r.json".to_owned(), record: AnyRecord::Run(Box::new(record)) };
    let drawn = wakerace::publish::page(&[entry]).unwrap();
    let start = drawn.find("<section class=\"folded\" id=\"last-writers\">").unwrap();
    assert!(drawn[start..].contains(&format!("&lt; {bound:.1e}")), "{bound}");
}

#[test]
fn histograms_come_back_whole_from_an_interval_log() {
    use hdrhistogram::serialization::interval_log::{IntervalLogIterator, LogEntry};
    let (path, text) = shipped();
    let log = exported(&path, "--hlog");
    let mut found = 0;
    for entry in IntervalLogIterator::new(log.as_bytes()) {
        let LogEntry::Interval(interval) = entry.unwrap() else { continue };
        let name = interval.tag().unwrap();
        let record = run(&text);
        let result = record.results.iter().find(|result| result.scenario == name.as_str()).unwrap();
        let gaps = record::Gaps { hdr_v2: interval.encoded_histogram().to_owned(), ..result.gaps.clone() };
        let histogram = record::histogram(&gaps).unwrap().unwrap();
        assert_eq!(Some(histogram), record::histogram(&result.gaps).unwrap(), "{}", name.as_str());
        found += 1;
    }
    assert_eq!(found, run(&text).results.iter().filter(|result| result.gaps.count > 0).count());
    assert!(found > 1);
}

#[test]
fn a_litmus_log_gives_every_count_back() {
    let (path, text) = shipped();
    let log = exported(&path, "--log");
    // Read as herdtools reads it: tests end with an empty line, and a test's next line must not be taken for more of it.
    let tests: Vec<&str> = log.split("\nTest ").skip(1).collect();
    let record = run(&text);
    assert_eq!(tests.len(), record.results.len());
    for test in tests {
        let name = test.split(' ').next().unwrap();
        let result = record.results.iter().find(|result| result.scenario == name).unwrap();
        let mut counts: Vec<u64> = Vec::new();
        for line in test.lines() {
            if let Some((count, _)) = line.split_once("*>").or_else(|| line.split_once(":>")) {
                counts.push(count.trim().parse().unwrap());
            }
        }
        counts.sort_unstable();
        let mut wanted: Vec<u64> = result.outcomes.iter().map(|outcome| outcome.count).collect();
        wanted.sort_unstable();
        assert_eq!(counts, wanted, "{name}");
        let observed = format!("{} {}", result.races, result.iterations - result.races);
        assert!(test.contains(&observed) && test.ends_with('\n'), "{name}: {test}");
    }
}

#[test]
fn reports_are_drawn_and_what_cannot_be_is_named() {
    let (path, text) = shipped();
    let folder = tempfile::tempdir().unwrap();
    let page = folder.path().join("page.html");
    let report = |from: &Path| {
        let mut command = wakerace();
        command.arg("report").arg(from).arg("-o").arg(&page);
        command
    };
    report(&path).assert().success().stdout(contains("page of 1 record"));
    assert!(fs::read_to_string(&page).unwrap().contains("Race windows"));
    fs::remove_file(&page).unwrap();
    report(folder.path()).assert().code(2).stderr(contains("no record (*.json) in this folder"));
    let broken = folder.path().join("broken.json");
    fs::write(&broken, edited(&text, |value| value["results"][0]["iterations"] = 7.into())).unwrap();
    report(&broken).assert().code(2).stderr(contains("broken.json: results[0].races: is "));
    assert!(!page.exists(), "nothing is written");
    let emulated = folder.path().join("lib/x86_64/cpu/emulated.json");
    fs::create_dir_all(emulated.parent().unwrap()).unwrap();
    fs::write(&emulated, edited(&text, |value| value["host"]["emulated"] = true.into())).unwrap();
    let mut command = wakerace();
    command.arg("index").arg(folder.path().join("lib"));
    command.assert().code(2).stderr(contains("this record is from an emulated run"));
}

#[test]
fn the_schema_in_docs_is_that_of_the_types() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/record.schema.json");
    let shown = fs::read_to_string(path).unwrap();
    let wanted = record::json_schema().unwrap();
    assert!(shown == wanted, "run: wakerace validate --print-schema > docs/record.schema.json");
}
