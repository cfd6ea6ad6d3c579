//! Tests of intervals on machines that drift: blocks, repeats, sums, and their output.

mod common;

use std::fs;

use assert_cmd::assert::OutputAssertExt;
use predicates::prelude::*;
use predicates::str::contains;
use wakerace::publish::{self, Publish as _, Verdict};
use wakerace::record::{self, CountRecord, Merger, Record, ScenarioResult};
use wakerace::stats::interval;

use common::{run, shipped, wakerace};

fn sb(record: &mut Record) -> &mut ScenarioResult {
    record.results.iter_mut().find(|result| result.scenario == "SB").unwrap()
}

/// The shipped run with these counts for SB.
fn with(races: u64, iterations: u64, blocks: &[(u64, u64)]) -> Record {
    let mut record = run(&shipped().1);
    record.id = format!("{races:032x}");
    let sb = sb(&mut record);
    (sb.skews, sb.last_writers, sb.distances, sb.phases) = (Vec::new(), Vec::new(), None, None);
    let at = sb.outcomes.iter().position(|outcome| outcome.satisfies).unwrap();
    let mut raced = sb.outcomes.remove(at);
    sb.outcomes.truncate(1);
    (sb.outcomes[0].count, sb.outcomes[0].satisfies) = (iterations - races, false);
    (raced.count, raced.satisfies) = (races, true);
    sb.outcomes.push(raced);
    (sb.races, sb.iterations) = (races, iterations);
    sb.gaps = record::Gaps::new(&wakerace::harness::gap_histogram());
    sb.drift = None;
    sb.blocks = blocks.iter().map(|&(races, iterations)| CountRecord { races, iterations, matches: None }).collect();
    record::compute(sb);
    record::judge(&mut record.results);
    record
}

/// A run of four repeats with nearly the same rate.
fn repeated(races: u64) -> Record {
    let mut record = with(races, 1_000_000, &[]);
    let sb = sb(&mut record);
    sb.repeats = [races / 4 - 20, races / 4 + 20, races / 4 - 10, races / 4 + 10]
        .map(|races| CountRecord { races, iterations: 250_000, matches: None })
        .to_vec();
    record::compute(sb);
    record::judge(&mut record.results);
    record
}

/// A run with 64 blocks of 10,000 iterations: 30 % races in the first half, 40 % in the second.
fn drifting() -> Record {
    let blocks: Vec<(u64, u64)> = (0..64).map(|at| (if at < 32 { 3000 } else { 4000 }, 10_000)).collect();
    with(224_000, 640_000, &blocks)
}

#[test]
fn a_run_that_drifted_has_a_wider_interval_and_says_so() {
    let mut record = drifting();
    assert_eq!(record::problems(&record), Vec::<String>::new());
    let row = record.csv().unwrap().lines().find(|line| line.contains(",SB,")).unwrap().to_owned();
    let header = record.csv().unwrap().lines().next().unwrap().to_owned();
    let column = header.split(',').position(|name| name == "effective_iterations").unwrap();
    let result = sb(&mut record).clone();
    let (own, plain) = (result.interval.unwrap(), interval(224_000, 640_000).unwrap());
    assert!(own.low < 0.30 && own.high > 0.40, "{own:?}");
    assert!(plain.high - plain.low < 0.01);
    let effective = result.effective_iterations.unwrap();
    assert!(effective < 60.0 && effective > 2.0, "{effective}");
    assert_eq!(result.effect() * effective, 640_000.0);
    let rate = csv_field(&row, column);
    assert!((rate.parse::<f64>().unwrap() - effective).abs() < 1e-9 * effective, "{rate}");
    let words =
        "SB on CPUs 0,1: the rate varied during the run, so the 640,000 iterations determine it only as precisely as";
    assert!(record.summary().contains(words), "{}", record.summary());
    // If blocks differ by no more than chance, the interval stays the same.
    let mut still = with(224_000, 640_000, &[(3500, 10_000); 64]);
    assert_eq!(sb(&mut still).interval, Some(plain));
    assert_eq!(sb(&mut still).effective_iterations, Some(640_000.0));
    assert!(!still.summary().contains("SB on CPUs 0,1: the rate varied"), "{}", still.summary());
}

/// A field of a CSV line. Fields before it may have quoted commas.
fn csv_field(line: &str, column: usize) -> String {
    let mut reader = csv::ReaderBuilder::new().has_headers(false).from_reader(line.as_bytes());
    reader.records().next().unwrap().unwrap()[column].to_owned()
}

#[test]
fn a_sum_is_as_wide_as_its_parts_differ() {
    let sum = |parts: &[(u64, u64)]| {
        let mut parts = parts.iter().map(|&(races, iterations)| with(races, iterations, &[(races, iterations)]));
        let mut merger = Merger::new("a", parts.next().unwrap()).unwrap();
        parts.for_each(|part| merger.add("b", part).unwrap());
        let mut record = merger.finish();
        assert_eq!(record::problems(&record), Vec::<String>::new());
        sb(&mut record).clone()
    };
    // Rates of 35.5 %, 38.6 % and 37.0 %.
    let apart = sum(&[(355_000, 1_000_000), (386_001, 1_000_000), (370_002, 1_000_000)]);
    assert_eq!(apart.repeats.len(), 3);
    assert_eq!(apart.repeats[1], CountRecord { races: 386_001, iterations: 1_000_000, matches: None });
    assert!(apart.blocks.is_empty());
    let own = apart.interval.unwrap();
    assert!(own.low < 0.335 && own.high > 0.405, "{own:?}");
    let alike = sum(&[(355_000, 1_000_000), (355_001, 1_000_000), (355_002, 1_000_000)]);
    assert_eq!(alike.interval, interval(1_065_003, 3_000_000));
    // A sum of sums keeps every part.
    let (mut a, mut b) = (with(100, 1000, &[]), with(201, 1000, &[]));
    let c = with(302, 1000, &[]);
    sb(&mut a).repeats.clear();
    sb(&mut b).repeats.clear();
    let mut merger = Merger::new("a", a).unwrap();
    merger.add("b", b).unwrap();
    let two = merger.finish();
    let mut merger = Merger::new("c", c).unwrap();
    merger.add("two", two).unwrap();
    let mut three = merger.finish();
    assert_eq!(sb(&mut three).repeats.iter().map(|part| part.races).collect::<Vec<_>>(), [302, 100, 201]);
}

#[test]
fn what_intervals_follow_from_is_checked() {
    let wrong = |edit: fn(&mut ScenarioResult), message: &str| {
        let mut record = drifting();
        edit(sb(&mut record));
        let problems = record::problems(&record);
        assert!(problems.iter().any(|problem| problem.contains(message)), "{message}: {problems:?}");
    };
    wrong(|sb| sb.interval = interval(sb.races, sb.iterations), "interval.low");
    wrong(|sb| sb.effective_iterations = Some(640_000.0), "effective_iterations");
    wrong(|sb| sb.effective_iterations = None, "effective_iterations");
    wrong(|sb| sb.blocks[0].iterations = 10_001, "has more iterations than the result, which has 640000");
    wrong(|sb| sb.blocks[0].races = 10_001, "blocks[0].races");
    let repeat = |races, iterations| CountRecord { races, iterations, matches: None };
    let two = move |sb: &mut ScenarioResult, more: u64| {
        sb.repeats = vec![repeat(112_000, 320_000), repeat(112_000, 320_000 + more)];
    };
    let mut record = drifting();
    two(sb(&mut record), 1);
    let problems = record::problems(&record);
    assert!(problems.iter().any(|problem| problem.contains("repeats: the iterations")), "{problems:?}");
}

/// The first file is A, and the ratio is the rate of the other file divided by the rate of A.
#[test]
fn comparing_says_how_many_times_the_first_the_other_is() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, record: &Record| {
        let path = folder.path().join(name);
        fs::write(&path, serde_json::to_string(record).unwrap()).unwrap();
        path
    };
    let rare = write("rare.json", &repeated(100_000));
    let often = write("often.json", &repeated(400_000));
    let line = |a: &std::path::Path, b: &std::path::Path, code: i32| {
        let mut command = wakerace();
        let output = command.arg("compare").arg(a).arg(b).arg("--fail-on-difference").assert().code(code);
        let output = output.get_output();
        let text = String::from_utf8(output.stdout.clone()).unwrap();
        let line = text.lines().find(|line| line.trim_start().starts_with("SB ")).unwrap().to_owned();
        (line, text, String::from_utf8(output.stderr.clone()).unwrap())
    };
    let (up, ..) = line(&rare, &often, 1);
    assert!(up.contains(" 4.00 [") && up.ends_with("yes"), "{up}");
    assert!(up.find("10.0 %").unwrap() < up.find("40.0 %").unwrap(), "{up}");
    let (down, ..) = line(&often, &rare, 1);
    assert!(down.contains(" 0.250 [") && down.ends_with("yes"), "{down}");
    let (same, _, errors) = line(&rare, &rare, 0);
    assert!(
        same.contains(" 1.00 [") && same.ends_with("no") && errors.contains("2 of 3 comparisons cannot show"),
        "{same}{errors}"
    );
    // Single runs. The spread between runs is unknown, so the output names the assumption, and no difference is certain.
    let once = write("once.json", &with(100_000, 1_000_000, &[]));
    let near = write("near.json", &with(110_000, 1_000_000, &[]));
    let far = write("far.json", &with(400_000, 1_000_000, &[]));
    let why =
        "error: --fail-on-difference: no comparison of these records can show a difference: a single run does not show";
    let (close, text, errors) = line(&once, &near, 2);
    assert!(close.contains(" 1.10 [") && close.ends_with("no") && errors.starts_with(why), "{close}{errors}");
    assert!(text.contains("20 % (one standard deviation) is assumed. `wakerace run --repeat 5` measures it"), "{text}");
    for (a, b) in [(&once, &far), (&once, &often), (&rare, &far)] {
        let (apart, _, errors) = line(a, b, 2);
        assert!(apart.contains(" 4.00 [") && apart.ends_with("unknown: single run"), "{apart}");
        assert!(errors.starts_with(why), "{errors}");
    }
    // Also in many columns.
    let csv = |a: &std::path::Path, b: &std::path::Path, code: i32| {
        let mut command = wakerace();
        let output = command.arg("compare").arg(a).arg(b).args(["--csv", "--fail-on-difference"]).assert().code(code);
        let output = output.get_output();
        assert!(!output.stdout.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout.clone()).unwrap()
    };
    assert!(csv(&rare, &often, 1).contains(",false,true,false,false,,false,false\n"));
    assert!(csv(&once, &far, 2).contains(",true,unknown,false,false,,false,false\n"));
    // Rates at different distances are not compared, so no difference could be found.
    let at = |ns: f64, mut record: Record| {
        let result = sb(&mut record);
        let stratum = serde_json::json!({
            "ns": ns, "low_ns": ns, "high_ns": ns, "looks": 9, "elapsed_s": 1.0, "in_batches_s": 1.0,
            "iterations": result.iterations, "races": result.races, "repeats": result.repeats,
            "rate": result.rate, "interval": result.interval
        });
        let strata = vec![serde_json::from_value(stratum).unwrap()];
        result.distances = Some(record::DistancesRecord { looks: 9, strata, ..Default::default() });
        write(&format!("at-{ns}.json"), &record)
    };
    let (near, far) = (at(28.0, repeated(100_000)), at(180.0, repeated(400_000)));
    let csv = csv(&near, &far, 2);
    let lines: Vec<&str> = csv.lines().filter(|line| line.starts_with("SB,")).collect();
    assert!(
        matches!(&lines[..], [near, far] if near.ends_with(",,,,,,false,false,2.8e1,false,false")
        && far.ends_with(",,,,,,false,false,1.8e2,false,false")),
        "{csv}"
    );
    let also_near = at(29.0, repeated(100_000));
    let mut command = wakerace();
    let output = command.arg("compare").args([&near, &also_near, &far]).arg("--fail-on-difference").assert().code(0);
    let errors = String::from_utf8(output.get_output().stderr.clone()).unwrap();
    assert!(errors.contains("5 of 6 comparisons cannot show"), "{errors}");
}

/// The search of each run may choose other settings. Repeats have those of the first one, so their spread has no part of that.
#[test]
fn other_settings_are_named_and_no_certain_difference() {
    let dense = repeated(100_000);
    let mut padded = repeated(400_000);
    let result = sb(&mut padded);
    (result.layout.kind, result.pace.group) = ("padded".to_owned(), 3);
    result.code_sha256 = "0".repeat(64);
    let ours = sb(&mut dense.clone()).clone();
    let words = format!("different settings: {} {} against padded 3", ours.layout.kind, ours.pace.group);
    let names = ["a".to_owned(), "b".to_owned()];
    let of = |other: &Record, width: Option<usize>| {
        let comparisons = publish::compare(&[dense.clone(), other.clone()]);
        let one = comparisons.iter().find(|one| one.scenario == "SB").unwrap();
        (publish::comparison_table(&names, &comparisons, width), one.verdict().unwrap())
    };
    let (wide, verdict) = of(&padded, None);
    assert!(wide.contains(&format!("unknown, {words}\n")) && verdict == Verdict::Unknown, "{wide}");
    let (narrow, _) = of(&padded, Some(80));
    let listed = format!("\n(+): {}\n  SB: {}\n", "different settings:", words.split_once(": ").unwrap().1);
    assert!(narrow.contains("unknown (+)") && narrow.contains(&listed), "{narrow}");
    // Another version of the program, other instructions or another host: the settings are not the only reason.
    let changed = |change: fn(&mut Record)| {
        let mut other = padded.clone();
        change(&mut other);
        other
    };
    for other in [
        changed(|record| record.tool.commit = "other".to_owned()),
        changed(|record| sb(record).atomics = Some("LSE".to_owned())),
        changed(|record| record.host.cpu_model = "other".to_owned()),
        changed(|record| {
            let ours = sb(&mut repeated(1000)).clone();
            (sb(record).layout, sb(record).pace) = (ours.layout, ours.pace);
        }),
    ] {
        let (table, verdict) = of(&other, None);
        assert!(table.contains("yes, different machine code") && verdict == Verdict::Yes, "{table}");
    }
}

/// If a record has a test on several pairs of CPUs, each pair is compared with the same pair.
#[test]
fn comparing_takes_the_same_cpus() {
    let pairs = |races: [u64; 2]| {
        let mut record = with(races[0], 1_000_000, &[]);
        let mut other = with(races[1], 1_000_000, &[]);
        let mut second = sb(&mut other).clone();
        second.placement.cpus = vec![2, 3];
        record.results = vec![sb(&mut record).clone(), second];
        record
    };
    let (a, mut b) = (pairs([100_000, 400_000]), pairs([100_000, 400_000]));
    b.results.reverse();
    let comparisons = publish::compare(&[a, b]);
    let values: Vec<f64> = comparisons.iter().map(|comparison| comparison.ratio.unwrap().value).collect();
    assert_eq!(values, [1.0, 1.0]);
}

/// `--repeat` runs all tests several times in turns. Each result has the counts of its repeats.
#[test]
fn repeats_run_in_turns_and_are_kept_apart() {
    let folder = tempfile::tempdir().unwrap();
    let mut command = wakerace();
    command.current_dir(folder.path()).env("XDG_CONFIG_HOME", folder.path());
    command.args(["run", "SB", "S02", "--no-controls", "--oversubscribe", "-n", "3000", "--repeat", "3", "--no-save"]);
    let output = command.args(["--export-json", "r.json"]).assert().success();
    let output = output.get_output();
    let text = [&output.stdout, &output.stderr].map(|bytes| String::from_utf8_lossy(bytes).into_owned()).concat();
    let record = run(&fs::read_to_string(folder.path().join("r.json")).unwrap());
    assert_eq!(record::problems(&record), Vec::<String>::new());
    for result in &record.results {
        assert_eq!((result.repeats.len(), result.blocks.len()), (3, 0), "{}", result.scenario);
        assert!(result.repeats.iter().all(|part| part.iterations == 3000), "{:?}", result.repeats);
        assert_eq!(
            result.repeats.iter().map(|part| part.matches).all(|matches| matches.is_some()),
            result.matches.is_some()
        );
        assert_eq!(result.iterations, 9000);
    }
    // The output has one line per repeat, in turns.
    let lines: Vec<&str> = text.lines().filter(|line| line.contains(" 3,000 iterations")).collect();
    let names: Vec<bool> = lines.iter().map(|line| line.contains("SB on CPUs")).collect();
    let placements = record.results.iter().filter(|result| result.scenario == "SB").count();
    assert_eq!(names.len(), 3 * record.results.len());
    assert!(
        names.chunks(record.results.len()).all(|turn| turn.iter().filter(|sb| **sb).count() == placements),
        "{text}"
    );
    wakerace()
        .args(["run", "SB", "--repeat", "0"])
        .assert()
        .code(2)
        .stderr(contains("--repeat").and(contains("from 1 to 1000")));
}
