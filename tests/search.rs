//! The search over settings as a user sees it: in the record, in the table, and in what options leave to it.

mod common;

use common::wakerace;
use wakerace::harness::Prefetch;
use wakerace::record::{self, ArmRecord, GivenSetting, Merger, Record, ScenarioResult, SearchRecord, TurnsRecord};
use wakerace::search::{Arm, Measure};

/// Runs store buffering with these options and returns its result and the output.
fn run(options: &[&str]) -> (ScenarioResult, String) {
    let file = tempfile::Builder::new().suffix(".json").tempfile().unwrap();
    let path = file.path().to_str().unwrap();
    let mut command = wakerace();
    command.args(["run", "SB", "--no-controls", "--no-save", "--profile", "none", "--export-json", path]).args(options);
    let output = command.output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let mut record = record::read_valid_run(file.path(), "are read").unwrap();
    (record.results.remove(0), text)
}

/// Whether threads of this machine run at the same time, without which nothing is searched.
fn several_cpus() -> bool {
    wakerace::machine::allowed_cpus().unwrap().len() > 1
}

#[test]
fn the_settings_are_searched_and_named_in_the_summary() {
    let (result, text) = run(&["-d", "500ms"]);
    assert_eq!(result.search.is_some(), several_cpus());
    assert_eq!(text.contains("Settings were searched for "), several_cpus(), "{text}");
    assert_eq!(text.contains(&format!("{}, ", result.layout.kind)), several_cpus(), "{text}");
}

#[test]
fn an_option_that_gives_a_setting_leaves_the_others_to_the_search() {
    let (result, _) = run(&["-d", "500ms", "--layout", "packed", "--group", "3"]);
    let arms = result.search.map(|search| search.arms).unwrap_or_default();
    assert_eq!(result.layout.kind, "packed");
    assert!(arms.iter().all(|arm| arm.layout == "packed" && arm.group == 3 && arm.pace == "paced"), "{arms:?}");
    for fixed in [["--period", "300ns"], ["--skew", "0"]] {
        let (result, text) = run(&["-d", "500ms", fixed[0], fixed[1]]);
        assert!(result.search.is_none() && !text.contains("Settings were searched"), "{fixed:?}");
    }
}

/// A window is swept evenly, with the settings that give the most races in it. A free run has none.
#[test]
fn the_settings_of_a_window_are_searched() {
    let (result, text) = run(&["-d", "500ms", "--window=-40ns..40ns/5"]);
    let arms = result.search.map(|search| search.arms).unwrap_or_default();
    assert_eq!(!arms.is_empty(), several_cpus(), "{text}");
    assert!(arms.iter().all(|arm| arm.pace == "paced"), "{arms:?}");
    assert_eq!((result.skews.len(), text.contains("Settings were searched for ")), (5, several_cpus()), "{text}");
}

/// A shipped record with only its first result, as another run of it would be.
fn shipped(id: &str) -> Record {
    let path = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/results/x86_64/amd-epyc-cpu-family-25-model-17-stepping-1/2026-11-25T174425Z.json"
    );
    let mut record = record::read_valid_run(path.as_ref(), "are read").unwrap();
    record.results.truncate(1);
    record.id = id.repeat(32);
    record
}

fn searched(id: &str, code: &str) -> Record {
    let mut record = shipped(id);
    let result = &mut record.results[0];
    (result.pace.searched, result.pace.given_group) = (true, false);
    let arm = ArmRecord { turns: 1, iterations: 100, races: 10, elapsed_s: 0.1, ..ArmRecord::untried(Arm::FIRST) };
    result.search =
        Some(SearchRecord { elapsed_s: 0.2, measure: Measure::Races, distance_ns: None, chosen: 0, arms: vec![arm] });
    result.code_sha256 = code.repeat(64);
    record
}

#[test]
fn runs_whose_searches_chose_other_code_are_kept_apart_in_a_sum() {
    let sum = |records: Vec<Record>| {
        let mut records = records.into_iter();
        let mut merger = Merger::new("a", records.next().unwrap()).unwrap();
        records.for_each(|record| merger.add("b", record).unwrap());
        merger.finish()
    };
    let one = shipped("1").results[0].iterations;
    let apart = sum(vec![searched("1", "a"), searched("2", "b"), searched("3", "a")]);
    let iterations: Vec<u64> = apart.results.iter().map(|result| result.iterations).collect();
    assert_eq!(iterations, [2 * one, one]);
    assert_eq!(apart.results[0].search.as_ref().unwrap().counts(), (200, 20));
    // A group, a batch or a prefetch that a search chose is no difference.
    let mut other = searched("2", "a");
    let result = &mut other.results[0];
    (result.pace.group, result.batch, result.pace.prefetch) = (result.pace.group + 7, 99, Prefetch::On);
    let together = sum(vec![searched("1", "a"), other]);
    assert_eq!((together.results.len(), together.results[0].pace.prefetch), (1, Prefetch::Turns));
    assert!(together.results[0].pace.searched);
    // Where settings come from is said of all.
    let from = |id: &str, source: Option<&str>| {
        let mut record = searched(id, "a");
        record.results[0].pace.profile = source.map(str::to_owned);
        record
    };
    let sources = |all: &[Option<&str>]| {
        let records = all.iter().zip(["1", "2", "3"]).map(|(source, id)| from(id, *source));
        sum(records.collect()).results[0].pace.profile.clone()
    };
    assert_eq!(sources(&[Some("x"), Some("y"), Some("x")]).as_deref(), Some("x and y"));
    assert_eq!(sources(&[Some("x"), Some("y and x")]).as_deref(), Some("x and y"));
    assert_eq!(sources(&[Some("x"), None]), None);
    // One that was given beside a search is.
    let mut other = searched("2", "a");
    (other.results[0].batch, other.results[0].pace.given) = (99, vec![GivenSetting::Batch]);
    let refused = Merger::new("a", searched("1", "a")).unwrap().add("b", other).unwrap_err().to_string();
    assert!(refused.contains("the batch of SB is 99 in b and chosen by wakerace in a"), "{refused}");
    // Settings that were given are.
    let mut given = shipped("2");
    given.results[0].batch += 1;
    let refused = Merger::new("a", shipped("1")).unwrap().add("b", given).unwrap_err().to_string();
    assert!(refused.contains("the batch of"), "{refused}");
}

/// What an arm has counted at the distance of the search is a part of what it has counted.
#[test]
fn the_turns_at_a_distance_are_some_of_the_turns() {
    let record = searched("1", "a");
    let with = |here: TurnsRecord| {
        let mut record = record.clone();
        let search = record.results.iter_mut().find_map(|result| result.search.as_mut()).unwrap();
        let arm = &mut search.arms[0];
        (arm.turns, arm.iterations, arm.races, arm.elapsed_s) = (4, 100, 10, 0.1);
        arm.at_distance = Some(here);
        let found = record::problems(&record).into_iter().filter(|problem| problem.contains("at_distance"));
        found.map(|problem| problem.split(".at_distance.").nth(1).unwrap().to_owned()).collect::<Vec<_>>()
    };
    let fine = TurnsRecord { turns: 3, iterations: 90, races: 9, elapsed_s: 0.05 };
    assert_eq!(with(fine), Vec::<String>::new());
    for (here, words) in [
        (TurnsRecord { turns: 5, ..fine }, "turns: is 5; "),
        (TurnsRecord { iterations: 101, ..fine }, "iterations: is 101; "),
        (TurnsRecord { races: 11, ..fine }, "races: is 11; "),
        (TurnsRecord { iterations: 8, ..fine }, "races: is 9; "),
        (TurnsRecord { elapsed_s: 0.2, ..fine }, "elapsed_s: is 0.2; "),
    ] {
        let found = with(here);
        assert!(found.len() == 1 && found[0].starts_with(words), "{words} {found:?}");
    }
}
