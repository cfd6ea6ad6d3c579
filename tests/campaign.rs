//! Tests of `wakerace campaign`: what it refuses, what a killed campaign keeps, and how parts become a whole.

mod common;

use std::fs;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use common::wakerace_in as wakerace;
use wakerace::arch::Arch;
use wakerace::record::{self, AnyRecord, CampaignRecord, Standing};

/// An outcome that every execution has, on every architecture.
const ALWAYS: &str = "P0(int *x) { WRITE_ONCE(*x, 1); }\nP1(int *x) { int r0; r0 = READ_ONCE(*x); }\nexists (x=1)\n";
/// An outcome that no execution has.
const NEVER: &str = "P0(int *x) { WRITE_ONCE(*x, 1); }\nP1(int *x) { int r0; r0 = READ_ONCE(*x); }\nexists (x=2)\n";

/// A folder with some tests, one of them wrong in its third line, and one for another architecture.
fn corpus() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let tests = folder.path().join("corpus");
    fs::create_dir(&tests).unwrap();
    for (name, body) in [("A+one", ALWAYS), ("A+two", ALWAYS), ("B+one", NEVER), ("B+two", NEVER), ("C", ALWAYS)] {
        // The comment makes the sources differ.
        fs::write(tests.join(format!("{name}.litmus")), format!("C {name}\n(* {name} *)\n{{}}\n{body}")).unwrap();
    }
    fs::write(tests.join("wrong.litmus"), "C wrong\n{}\nP0(int *x) { nonsense(; }\nexists (x=1)\n").unwrap();
    let other = if cfg!(target_arch = "x86_64") {
        "AArch64 other\n{ 0:X1=x; }\n P0 ;\n LDR W0,[X1] ;\nexists (0:X0=0)\n"
    } else {
        "X86_64 other\n{}\n P0 ;\n movl (x),%eax ;\nexists (0:rax=0)\n"
    };
    fs::write(tests.join("other.litmus"), other).unwrap();
    folder
}

fn read(path: &Path) -> CampaignRecord {
    match record::read_valid(path).unwrap_or_else(|error| panic!("{error}")) {
        AnyRecord::Campaign(record) => *record,
        other => panic!("a record of {}", other.command()),
    }
}

/// Runs a campaign over the folder's tests and returns its record and what it printed.
fn run(folder: &Path, more: &[&str]) -> (CampaignRecord, String) {
    let output = wakerace(folder)
        .args(["campaign", "corpus", "--no-save", "--oversubscribe", "--export-json", "r.json"])
        .args(more)
        .output()
        .unwrap();
    let text = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert_eq!(output.status.code(), Some(0), "{text}");
    (read(&folder.join("r.json")), text)
}

fn names(record: &CampaignRecord) -> Vec<&str> {
    record.results.iter().map(|test| test.test.as_str()).collect()
}

#[test]
fn what_cannot_run_is_named_and_everything_else_is_judged_and_written() {
    let folder = corpus();
    let files = ["--export-csv", "r.csv", "--export-html", "r.html", "--export-log", "r.log", "--journal", "j"];
    let (record, text) = run(folder.path(), &[&files[..], &["-d", "2s"]].concat());
    assert_eq!(names(&record), ["A+one", "A+two", "B+one", "B+two", "C"]);
    for test in &record.results {
        let wanted = if test.family == "B" { Standing::ForbiddenNotSeen } else { Standing::AllowedSeen };
        // A machine without a moment for a test may have run nothing of it.
        assert!([wanted, Standing::NotRun].contains(&test.standing), "{test:?}");
    }
    assert!(record.results.iter().any(|test| test.standing != Standing::NotRun));
    let refused = &record.campaign.as_ref().unwrap().refused;
    assert_eq!(refused.iter().map(|refused| refused.line).collect::<Vec<_>>(), [None, Some(3)], "{refused:?}");
    assert!(text.contains("not run: corpus/wrong.litmus:3: ") && text.contains("assembly of"), "{text}");
    assert!(
        text.contains("forbidden, not seen") && text.contains("weak outcomes that the architecture allows"),
        "{text}"
    );
    let page = fs::read_to_string(folder.path().join("r.html")).unwrap();
    assert!(page.trim_end().ends_with("</html>") && page.contains("wrong.litmus"));
    let rows = fs::read_to_string(folder.path().join("r.csv")).unwrap().lines().count();
    assert_eq!(rows, 1 + record.results.iter().flat_map(|test| test.arms()).filter(|arm| arm.slices > 0).count());
    // A folder that holds runs too has a page of them, and the site has a page of each host.
    let here = format!("mixed/{}/cpu", Arch::host().unwrap().name());
    fs::create_dir_all(folder.path().join(&here)).unwrap();
    fs::copy(folder.path().join("r.json"), folder.path().join(&here).join("r.campaign.json")).unwrap();
    let command = |words: &str| {
        let output = wakerace(folder.path()).args(words.split(' ')).output().unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (output.status.code(), text(&output.stdout), text(&output.stderr))
    };
    let run = command(&format!("run SB -n 1000 --no-controls --oversubscribe --no-save --export-json {here}/run.json"));
    assert_eq!(run.0, Some(0), "{}", run.2);
    let (code, out, err) = command("report mixed -o mixed.html");
    assert!(code == Some(0) && out.contains("page of 1 record: mixed.html"), "{out}{err}");
    assert!(out.contains("Left out: 1 record of `wakerace campaign`") && out.contains("/r.campaign.json"), "{out}");
    let (code, out, err) = command("index mixed --site site");
    assert!(code == Some(0) && out.contains("index of 2 records"), "{out}{err}");
    // Named by itself, a campaign is not left out.
    let (code, out, err) = command(&format!("report {here}/r.campaign.json {here}/run.json -o mixed.html"));
    assert!(code == Some(2) && err.contains("make a page of each kind"), "{out}{err}");
    // The log is one that litmus7's tools read, and so does `import`.
    let imported = wakerace(folder.path()).args(["import", "r.log", "-o", "i.json"]).output().unwrap();
    assert!(imported.status.success(), "{}", String::from_utf8_lossy(&imported.stderr));
    let AnyRecord::Run(imported) = record::read_valid(&folder.path().join("i.json")).unwrap() else { panic!() };
    for result in &imported.results {
        let test = record.results.iter().find(|test| test.test == result.scenario).unwrap();
        assert_eq!((result.iterations, result.races), (test.iterations, test.races));
    }
}

#[test]
fn a_killed_campaign_keeps_every_slice_that_was_over() {
    let folder = corpus();
    let journal = folder.path().join("j");
    let lines = || fs::read_to_string(&journal).unwrap_or_default().matches('\n').count();
    let mut child = wakerace(folder.path())
        .args(["campaign", "corpus", "--no-save", "--oversubscribe", "-d", "600s", "--journal", "j"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let begun = Instant::now();
    while lines() < 12 && begun.elapsed() < Duration::from_secs(120) {
        std::thread::sleep(Duration::from_millis(20));
    }
    // A second process must not write the same journal.
    let second = wakerace(folder.path()).args(["campaign", "corpus", "--journal", "j", "-q"]).output().unwrap();
    let complaint = String::from_utf8_lossy(&second.stderr).into_owned();
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(second.status.code(), Some(2), "{complaint}");
    assert!(complaint.contains("another process is writing"), "{complaint}");

    let text = fs::read_to_string(&journal).unwrap();
    let complete = &text[..text.rfind('\n').unwrap() + 1];
    let slices: Vec<serde_json::Value> =
        complete.lines().skip(1).map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(slices.len() >= 10, "{text}");
    let sum = |field: &str| slices.iter().map(|line| line["slice"][field].as_u64().unwrap()).sum::<u64>();
    // What a kill in the middle of a line leaves is cut off.
    fs::write(&journal, format!("{complete}{{\"slice\":{{\"test\":\"ab")).unwrap();
    // The time is over, so that the record is that of the journal alone.
    let (record, printed) = run(folder.path(), &["-d", "1ms", "--journal", "j"]);
    assert!(printed.contains(&format!("going on with {} slices", slices.len())), "{printed}");
    let of = |count: fn(&record::CampaignTest) -> u64| record.results.iter().map(count).sum::<u64>();
    assert_eq!(of(|test| test.iterations), sum("iterations"));
    assert_eq!(of(|test| test.races), sum("races"));
    assert_eq!(of(|test| test.arms().map(|arm| arm.slices).sum()), slices.len() as u64);
    assert_eq!(fs::read_to_string(&journal).unwrap(), complete);
    // It is the same campaign, so that no sum counts it twice.
    let (again, _) = run(folder.path(), &["-d", "1ms", "--journal", "j"]);
    assert_eq!((again.id.clone(), again.started.clone()), (record.id.clone(), record.started.clone()));
    // Another part of the corpus is another campaign.
    let other = wakerace(folder.path())
        .args(["campaign", "corpus", "--no-save", "--journal", "j", "--shard", "1/2"])
        .output()
        .unwrap();
    assert!(String::from_utf8_lossy(&other.stderr).contains("the shard was ''"), "{other:?}");
    contradictions_are_refused(folder.path(), complete, &slices);
}

/// Changes the first slice with a race in a journal, and expects that the change is refused with its line.
fn contradictions_are_refused(folder: &Path, journal: &str, slices: &[serde_json::Value]) {
    // A machine without a moment for the tests saw no race.
    let Some(at) = slices.iter().position(|line| line["slice"]["races"].as_u64() > Some(1)) else { return };
    let refused = |change: &dyn Fn(&mut serde_json::Value), wanted: &str| {
        let mut lines: Vec<String> = journal.lines().map(str::to_owned).collect();
        let mut line = slices[at].clone();
        change(&mut line["slice"]);
        lines[at + 1] = line.to_string();
        fs::write(folder.join("changed"), lines.join("\n") + "\n").unwrap();
        let output = wakerace(folder)
            .args(["campaign", "corpus", "--no-save", "--oversubscribe", "-d", "1ms", "--journal", "changed"])
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{text}");
        assert!(text.contains(&format!("changed:{}: ", at + 2)) && text.contains(wanted), "{wanted}: {text}");
    };
    refused(&|slice| slice["races"] = 1_000_000_000.into(), "1000000000 races");
    refused(&|slice| slice["spent_s"] = (-100).into(), "spent_s is -100");
    // Each of these fits the rest of the slice and not the test.
    refused(&|slice| (slice["races"], slice["sightings"]) = (1.into(), 1.into()), "its outcomes have");
    refused(&|slice| slice["outcomes"] = serde_json::json!([[[], slice["iterations"]]]), "is no outcome of");
    let address = serde_json::json!("&nothing");
    refused(
        &|slice| {
            let row = slice["outcomes"][0][0].as_array().unwrap().len();
            slice["outcomes"] = serde_json::json!([[vec![address.clone(); row], slice["iterations"]]]);
        },
        "is no outcome of",
    );
}

#[test]
fn campaigns_that_begin_in_the_same_second_have_a_record_and_a_journal_each() {
    let folder = corpus();
    let begin = |more: &[&str]| {
        let mut command = wakerace(folder.path());
        command.args(["campaign", "corpus/A+one.litmus", "--oversubscribe", "-q", "-d", "20ms"]).args(more);
        command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap()
    };
    let children = [begin(&[]), begin(&["--shard", "1/1"]), begin(&[]), begin(&["--no-save"])];
    for child in children {
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
    let results = folder.path().join("results");
    let with = |ending: &str| wakerace::input::find_files(&results, ending).unwrap();
    let (records, journals) = (with("json"), with("journal"));
    assert_eq!((records.len(), journals.len()), (3, 3), "{records:?} {journals:?}");
    let mut ids: Vec<String> = records.iter().map(|path| read(path).id).collect();
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), 3);
    for (record, journal) in records.iter().zip(&journals) {
        assert_eq!(&record.with_extension("journal"), journal);
        assert!(fs::read_to_string(journal).unwrap().contains(&read(record).id));
    }
}

#[test]
fn two_shards_merged_are_the_list_of_one_run() {
    let folder = corpus();
    let (whole, _) = run(folder.path(), &["-d", "1ms", "--journal", "whole"]);
    for shard in ["1", "2"] {
        let journal = format!("j{shard}");
        let (part, _) = run(folder.path(), &["-d", "1s", "--journal", &journal, "--shard", &format!("{shard}/2")]);
        assert!(part.results.len() < whole.results.len(), "{:?}", names(&part));
        fs::rename(folder.path().join("r.json"), folder.path().join(format!("r{shard}.json"))).unwrap();
    }
    let merge =
        |files: &[&str]| wakerace(folder.path()).args(["merge", "-o", "sum.json"]).args(files).output().unwrap();
    let merged = merge(&["r2.json", "r1.json"]);
    assert!(merged.status.success(), "{}", String::from_utf8_lossy(&merged.stderr));
    let sum = read(&folder.path().join("sum.json"));
    assert_eq!(names(&sum), names(&whole));
    let about = |record: &CampaignRecord| record.campaign.as_ref().unwrap().refused.clone();
    assert_eq!(about(&sum), about(&whole));
    assert_eq!(sum.campaign.as_ref().unwrap().shards, ["1/2", "2/2"]);
    let parts = ["r1.json", "r2.json"].map(|name| read(&folder.path().join(name)));
    let iterations = |record: &CampaignRecord| record.results.iter().map(|test| test.iterations).sum::<u64>();
    assert_eq!(iterations(&sum), parts.iter().map(iterations).sum::<u64>());
    let twice = merge(&["r1.json", "r1.json"]);
    assert!(String::from_utf8_lossy(&twice.stderr).contains("count it twice"), "{twice:?}");
    let most =
        wakerace(folder.path()).args(["campaign", "corpus", "--no-save", "--shard", "1/99999999999"]).output().unwrap();
    assert_eq!(most.status.code(), Some(2));
    assert!(
        String::from_utf8_lossy(&most.stderr).contains("7 tests cannot be divided into 99999999999 parts"),
        "{most:?}"
    );
    // Hosts as columns, on the terminal and on a page.
    let compared = wakerace(folder.path()).args(["compare", "r1.json", "sum.json"]).output().unwrap();
    assert!(String::from_utf8_lossy(&compared.stdout).contains("allowed and seen"), "{compared:?}");
    // A run beside a campaign is refused, in either order.
    fs::write(folder.path().join("run.json"), common::shipped().1).unwrap();
    for files in [["r1.json", "run.json"], ["run.json", "r1.json"]] {
        let mixed = wakerace(folder.path()).arg("compare").args(files).output().unwrap();
        let errors = String::from_utf8_lossy(&mixed.stderr);
        assert!(mixed.status.code() == Some(2) && errors.lines().count() == 1, "{mixed:?}");
        assert!(errors.starts_with(&format!("error: {}: a record of `wakerace ", files[1])), "{errors}");
        assert!(errors.ends_with("; runs and campaigns are not compared with each other\n"), "{errors}");
    }
    let page = wakerace(folder.path()).args(["report", "r1.json", "r2.json", "-o", "p.html"]).output().unwrap();
    assert!(page.status.success(), "{}", String::from_utf8_lossy(&page.stderr));
    assert!(fs::read_to_string(folder.path().join("p.html")).unwrap().contains("<th>B</th>"));
}

#[test]
fn a_reproducibility_ends_a_campaign_and_mutants_are_killed() {
    let folder = corpus();
    let (record, text) = run(folder.path(), &["--confidence", "0.9", "--journal", "j", "-d", "120s"]);
    let open = record.results.iter().filter(|test| test.is_allowed());
    // Only a machine without any time for the threads ends by its limit.
    if record.campaign.as_ref().unwrap().spent_s < 119.0 {
        assert!(open.clone().all(|test| test.reproducibility >= Some(0.9)), "{text}");
        assert!(text.contains("sees 3 of them, each with a probability of at least 90 %."), "{text}");
    }
    let wrong = wakerace(folder.path()).args(["campaign", "corpus", "--confidence", "1"]).output().unwrap();
    assert_eq!(wrong.status.code(), Some(2));
    // A forbidden test of the catalogue has mutants.
    let output = wakerace(folder.path())
        .args(["campaign", "SB+mbs", "--mutants", "--no-save", "--oversubscribe", "-d", "1ms", "--journal", "m"])
        .args(["--export-json", "m.json"])
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let mutants = read(&folder.path().join("m.json"));
    let changes: Vec<&str> =
        mutants.results.iter().filter_map(|test| Some(test.mutant.as_ref()?.change.as_str())).collect();
    assert!(changes.iter().any(|change| change.ends_with("smp_mb() left out")), "{changes:?}");
    // A mutant is not what the title says.
    for test in &mutants.results {
        assert_eq!(test.title.is_empty(), test.mutant.is_some(), "{}: '{}'", test.test, test.title);
    }
}

#[test]
fn a_number_of_iterations_ends_a_campaign_when_every_test_has_it() {
    let folder = corpus();
    let (record, text) = run(folder.path(), &["--iterations", "3000"]);
    assert_eq!(record.results.len(), 5, "{text}");
    for test in &record.results {
        assert!(test.iterations >= 3000, "{}: {}", test.test, test.iterations);
        assert_eq!(test.outcomes.iter().map(|outcome| outcome.count).sum::<u64>(), test.iterations);
    }
    assert!(!record.interrupted);
}

/// What runs the program in place of an emulator: the emulator of the tests, or `env`, which runs it as it is.
fn emulator() -> String {
    std::env::var("WAKERACE_RUNNER").unwrap_or_else(|_| "env".to_owned())
}

#[test]
fn an_emulator_is_judged_by_name_and_version() {
    let folder = tempfile::tempdir().unwrap();
    let conform = |binary: &str, more: &[&str]| {
        let mut command = wakerace(folder.path());
        command.args(["conform", "--binary", binary, "-d", "2s", "--no-save", "--export-json", "c.json"]);
        command.args(more).args(["--", &emulator()]);
        command.output().unwrap()
    };
    let output = conform(env!("CARGO_BIN_EXE_wakerace"), &[]);
    let text = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    // An emulator may show what it must not; `env` is none.
    let status = output.status.code().unwrap();
    assert!(status == 0 || status == 1 && emulator() != "env", "{text}");
    let record = read(&folder.path().join("c.json"));
    let about = record.campaign.clone().unwrap();
    assert!(record.host.emulated);
    // A machine of one CPU has no place for tests of two threads.
    assert_eq!(record.results.len() + about.refused.len(), 31);
    let named = about.emulator.unwrap();
    let own = Path::new(&emulator()).file_name().unwrap().to_string_lossy().into_owned();
    assert!(named.starts_with(&own), "{named}");
    assert!(text.contains(&format!("The program ran under {named}")), "{text}");
    // Without the program for the other architecture there is nothing to run.
    let missing = conform("nowhere", &[]);
    assert_eq!(missing.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&missing.stderr).contains("built for the architecture that is emulated"));
    fs::write(folder.path().join("empty"), "").unwrap();
    let wrong = conform("empty", &[]);
    assert_eq!(wrong.status.code(), Some(2), "{}", String::from_utf8_lossy(&wrong.stderr));
}
