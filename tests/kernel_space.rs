//! The scenarios for klitmus7, which runs them in the kernel. scripts/klitmus-modules compiles them with Debian's kernel headers.

mod common;

use std::collections::BTreeMap;
use std::fs;

use assert_cmd::assert::OutputAssertExt;
use predicates::prelude::*;
use predicates::str::contains;
use wakerace::catalogue;
use wakerace::machine::Class;
use wakerace::publish::compare;
use wakerace::record::{FinalValue, Finding, PlacementRecord, Record, ScenarioResult};

use common::wakerace;

fn names(folder: &std::path::Path) -> Vec<String> {
    let mut names: Vec<String> =
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn all_scenarios_are_exported_but_those_with_a_builtin_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let into = folder.path().join("new/tests");
    let run = wakerace().args(["export", "--klitmus"]).arg(&into).assert().success();
    run.stderr(contains("left out: S01-core+nt: __builtin_nontemporal_store()").and(contains("SB").not()));
    let all = catalogue::all().unwrap();
    let mut wanted: Vec<String> =
        all.iter().filter(|one| !one.name.contains("+nt")).map(|one| format!("{}.litmus", one.name)).collect();
    wanted.sort();
    assert_eq!(names(&into), wanted);
    for name in wanted {
        let text = fs::read_to_string(into.join(&name)).unwrap();
        assert!(!text.contains("**") && !text.contains("__builtin"), "{name}: {text}");
    }
}

#[test]
fn what_is_asked_for_by_name_is_exported_whole_or_not_at_all() {
    let folder = tempfile::tempdir().unwrap();
    let into = folder.path().join("tests");
    let export = |names: &[&str]| {
        let mut command = wakerace();
        command.args(["export", "--klitmus"]).arg(&into).args(names);
        command.assert()
    };
    export(&["S12", "S01-core+nt"]).code(2).stderr(contains("cannot be called in kernel space"));
    assert!(!into.exists());
    export(&["S12", "fields"]).success().stdout(contains("8 tests"));
    assert_eq!(names(&into)[0], "S12-heal.litmus");
    assert_eq!(names(&into).len(), 8);
    export(&["S99"]).code(2).stderr(contains("S99"));
    // Only this format takes scenarios, and it takes no file.
    wakerace().args(["export", "--litmus", "SB", "MP"]).assert().code(2).stderr(contains("only --klitmus"));
    wakerace().args(["export", "-o", "x", "--klitmus"]).arg(&into).assert().code(2).stderr(contains("--output"));
}

const LOG: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/logs/litmus7-x86_64.log");

/// What a klitmus7 module prints, taken from the C file that klitmus7 7.58 makes of S01-as-is and from its run.sh.
const KLITMUS: &str = "Thu Nov 26 08:00:00 UTC 2026\nCompilation command: \"klitmus7 -o modules S01-as-is.litmus\"\nOPT=size=100000\n\
    uname -r=7.2.12\n\nTest S01-as-is Allowed\nHistogram (3 states)\n600     :>1:r0=0; 1:r1=0;\n45      *>1:r0=2; 1:r1=0;\n\
    355     :>1:r0=2; 1:r1=1;\nOk\n\nWitnesses\nPositive: 45, Negative: 955\nCondition exists (1:r0=2 /\\ 1:r1=0) is validated\n\
    Hash=e20762f54bf1a30ec684ff8b9abb344f\nObservation S01-as-is Sometimes 45 955\nTime S01-as-is 0.00\n\nThu Nov 26 08:00:01 UTC 2026\n";

fn imported(args: &[&str]) -> Record {
    let output = wakerace().arg("import").args(args).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn a_real_log_of_litmus7_becomes_a_valid_record_that_says_so() {
    let record = imported(&[LOG]);
    let tool = &record.tool;
    assert_eq!((&*tool.name, &*tool.version, &*record.host.cpu_model), ("litmus7", "7.58", "AMD EPYC"));
    assert_eq!((&*record.host.architecture, &*record.host.cpus_online), ("x86_64", "0-1"));
    let found: Vec<_> =
        record.results.iter().map(|one| (&*one.scenario, one.races, one.iterations, one.outcomes.len())).collect();
    assert_eq!(found, [("SB", 34, 100_000, 3), ("SB+mfences", 0, 100_000, 3), ("2+2W", 0, 100_000, 3)]);
    // SB is in the catalogue, the others are not. No machine code is known, and no zero says anything.
    let sb = &record.results[0];
    assert_eq!((&*sb.source_sha256, &*sb.group), (&*catalogue::named("SB").unwrap().sha256, "controls"));
    assert!(record.results.iter().all(|one| one.code_sha256.is_empty() && one.finding != Finding::NotObserved));
    assert!(record.results[1].source_sha256.is_empty());
    // The same log is the same run.
    assert_eq!(imported(&[LOG]).id, record.id);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("r.json");
    wakerace().args(["import", LOG, "-o"]).arg(&path).assert().success();
    wakerace().arg("validate").arg(&path).assert().success();
    wakerace().args(["export", "--csv"]).arg(&path).assert().success().stdout(contains("imported: litmus7 7.58"));
    wakerace()
        .args(["export", "--markdown"])
        .arg(&path)
        .assert()
        .success()
        .stdout(contains("measured by litmus7 7.58"));
    let page = folder.path().join("p.html");
    wakerace().arg("report").arg(&path).arg("-o").arg(&page).assert().success();
    assert!(fs::read_to_string(page).unwrap().contains("measured by litmus7 7.58 and imported"));
}

/// The states of a test: the values, how often they were seen, and whether they satisfy the condition.
type States = Vec<(BTreeMap<String, FinalValue>, u64, bool)>;

/// The states of each test of a record, by name.
fn counts(record: &Record) -> BTreeMap<&str, States> {
    let states = |one: &ScenarioResult| {
        let mut states: States =
            one.outcomes.iter().map(|state| (state.values.clone(), state.count, state.satisfies)).collect();
        states.sort();
        states
    };
    record.results.iter().map(|one| (&*one.scenario, states(one))).collect()
}

#[test]
fn imported_tests_that_the_catalogue_lacks_stay_apart() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &[u8]| {
        let path = folder.path().join(name);
        fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    // SB+mfences and 2+2W have no hash. The log and the page have each of them once.
    let record = imported(&[LOG]);
    assert_eq!(record.results.iter().filter(|one| one.source_sha256.is_empty()).count(), 2);
    let path = write("r.json", &serde_json::to_vec(&record).unwrap());
    let exported = wakerace().args(["export", "--log", &path]).output().unwrap();
    let again = imported(&[&write("again.log", &exported.stdout), "--arch", "x86_64", "--tool", "litmus7"]);
    assert_eq!(again.results.len(), 3);
    assert_eq!(counts(&again), counts(&record));
    let drawn = common::page(&record);
    assert!(drawn.contains("2+2W") && !drawn.contains("2 placements"), "{drawn}");
    // Each is compared with itself, although all ran on the same thread numbers.
    let text = fs::read_to_string(LOG).unwrap();
    let raced = text
        .replace("17    :>[x]=2; [y]=2;", "17    *>[x]=2; [y]=2;")
        .replace("Positive: 100000, Negative: 0\nCondition forall", "Positive: 99983, Negative: 17\nCondition forall")
        .replace("Condition forall ([x]=2 \\/ [y]=2)", "Condition forall (~([x]=2 /\\ [y]=2))");
    let raced = imported(&[&write("raced.log", raced.as_bytes())]);
    assert_eq!(raced.results[2].races, 17);
    let comparisons = compare(&[record, raced]);
    let found: Vec<_> = comparisons.iter().map(|one| (&*one.scenario, one.ratio.map(|ratio| ratio.value))).collect();
    assert_eq!(found, [("SB", Some(1.0)), ("SB+mfences", None), ("2+2W", Some(f64::INFINITY))]);
}

#[test]
fn an_imported_test_is_compared_with_every_placement() {
    let theirs = imported(&[LOG]);
    assert_eq!(theirs.results[0].placement.cpus, [0, 1]);
    // None of ours ran on the CPUs whose numbers are those of the threads.
    let mut ours = common::small::run();
    let sb = ours.results[0].clone();
    ours.results = [(vec![2, 3], Class::Core), (vec![4, 6], Class::Llc), (vec![5, 7], Class::Llc)]
        .into_iter()
        .map(|(cpus, class)| ScenarioResult {
            placement: PlacementRecord { cpus, class, kinds: Vec::new() },
            ..sb.clone()
        })
        .collect();
    let found = |records: &[Record]| -> Vec<(String, String)> {
        compare(records).into_iter().map(|one| (one.scenario, one.class)).collect()
    };
    let wanted = ["core", "llc", "llc"].map(|class| ("SB".to_owned(), class.to_owned()));
    assert_eq!(found(&[ours.clone(), theirs.clone()]), wanted);
    assert_eq!(found(&[theirs, ours.clone()]), wanted);
    // Two records of wakerace are compared on the same CPUs.
    let moved = Record { results: ours.results[1..].to_vec(), ..ours.clone() };
    assert_eq!(found(&[ours, moved]), wanted[1..]);
}

#[test]
fn kernel_space_counts_stand_beside_ours_and_are_never_added_to_them() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| {
        let path = folder.path().join(name);
        fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let log = write("k.log", KLITMUS);
    wakerace().args(["import", &log]).assert().code(2).stderr(contains("--arch"));
    let record = imported(&[&log, "--arch", "x86_64", "--cpu", "Example"]);
    assert_eq!((&*record.tool.name, &*record.host.kernel), ("klitmus7", "Linux 7.2.12"));
    assert_eq!((record.results[0].races, record.results[0].iterations), (45, 1000));
    // A record whose condition contradicts its counts is invalid.
    let wrong = serde_json::to_string(&record).unwrap().replace("exists (1:r0=2 ", "exists (1:r0=0 ");
    let wrong = write("wrong.json", &wrong);
    wakerace()
        .args(["validate", &wrong])
        .assert()
        .code(2)
        .stderr(contains("satisfies: is false; the condition gives true"));
    // The same log again is refused; another run of the same test is a repeat, and no sum counts one of them twice.
    let again = write("copy.log", KLITMUS);
    let twice = wakerace().args(["import", &log, &again, "--arch", "x86_64"]).assert().code(2);
    twice.stderr(contains("copy.log is the same log as").and(contains("count it twice")));
    let other = write("other.log", &KLITMUS.replace("Time S01-as-is 0.00", "Time S01-as-is 0.01"));
    let twice = imported(&[&log, &other, "--arch", "x86_64"]);
    assert_eq!((twice.results[0].races, twice.results[0].repeats.len(), twice.parts.len()), (90, 2, 2));
    let both = write("both.json", &serde_json::to_string(&twice).unwrap());
    wakerace().args(["validate", &both]).assert().success();
    let one = write("one.json", &serde_json::to_string(&record).unwrap());
    wakerace().args(["merge", &one, &both, "-o", "-"]).assert().code(2).stderr(contains("count it twice"));
    let theirs = write("k.json", &serde_json::to_string(&record).unwrap());
    let ours = folder.path().join("ours.json");
    let run = ["run", "S01-as-is", "-n", "1e5", "--no-controls", "--oversubscribe", "--no-save", "-q", "--export-json"];
    wakerace().args(run).arg(&ours).assert().success();
    if cfg!(target_arch = "x86_64") {
        let both = wakerace().arg("compare").arg(&ours).arg(&theirs).assert().success();
        both.stdout(
            contains("measured by klitmus7").and(contains("S01-as-is")).and(contains("different machine code")),
        );
        let sum = wakerace().args(["merge", "-o", "-"]).arg(&ours).arg(&theirs).assert().code(2);
        sum.stderr(contains("the program that measured is klitmus7"));
    }
    // Our own log gives the same counts again.
    let exported = wakerace().args(["export", "--log"]).arg(&ours).output().unwrap();
    let again = imported(&[&write("o.log", &String::from_utf8(exported.stdout).unwrap()), "--arch", "x86_64"]);
    let ours: Record = serde_json::from_str(&fs::read_to_string(&ours).unwrap()).unwrap();
    assert_eq!(counts(&again), counts(&ours));
    assert!(again.tool.is_foreign());
}

#[test]
fn a_malformed_log_is_an_error_with_its_line() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("bad.log");
    let cases = [
        ("Positive: 45", "Positive: 46", "14: counts 46 and 955 witnesses; the histogram gives 45 and 955"),
        ("45      *>", "4x      *>", "9: is '4x"),
        ("(3 states)", "(4 states)", "11: is 'Ok'; expected a state"),
        ("(3 states)", "(2 states)", "10: is '355"),
        ("Time S01-as-is 0.00", "Time S01-as-is soon", "18: is 'Time S01-as-is soon'"),
        ("Test S01-as-is Allowed", "Test S01-as-is", "1: holds no line `Test NAME Allowed`"),
        ("355     :>1:r0=2; 1:r1=1;", "355     :>1:r0=0; 1:r1=0;", "10: is a state that the histogram has already"),
        (
            "Condition exists (1:r0=2 /\\ 1:r1=0)",
            "Condition exists (1:r0=0 /\\ 1:r1=0)",
            "15: the state `1:r0=0; 1:r1=0;` of the histogram has no star; the condition 'exists (1:r0=0 /\\ 1:r1=0)' gives it one",
        ),
    ];
    for (find, replace, message) in cases {
        assert_eq!(KLITMUS.matches(find).count(), 1, "{find}");
        fs::write(&path, KLITMUS.replace(find, replace)).unwrap();
        let failed = wakerace().args(["import", "--arch", "aarch64"]).arg(&path).assert().code(2);
        failed.stderr(contains(format!("bad.log:{message}")));
    }
    // A log that ends anywhere in a test is refused, never a panic.
    let start = KLITMUS.find("Test ").unwrap() + 5;
    let end = KLITMUS.find("Time ").unwrap();
    for cut in (start..end).step_by(7) {
        fs::write(&path, &KLITMUS[..cut]).unwrap();
        wakerace().args(["import", "--arch", "aarch64"]).arg(&path).assert().code(2);
    }
}
