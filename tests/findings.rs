//! Tests of the evidence for zeros: from the command line, in tables and on pages.

mod common;

use serde_json::json;
use wakerace::publish::{self, Entry, Publish as _, page};
use wakerace::record::{self, AnyRecord, Finding, Record, ScenarioResult};

use common::{run, shipped, wakerace};

/// Threads that share a CPU cannot see reordering of each other. If threads of S14 share one, its zero is
/// inconclusive, even if controls fired on two CPUs.
#[test]
fn threads_that_share_a_cpu_have_no_control() {
    let allowed = wakerace::machine::allowed_cpus().unwrap();
    let two: Vec<String> = allowed.iter().take(2).map(usize::to_string).collect();
    let folder = tempfile::tempdir().unwrap();
    let mut command = wakerace();
    command.current_dir(folder.path()).env("XDG_CONFIG_HOME", folder.path());
    command.args(["run", "S14", "--oversubscribe", "-n", "20000", "--no-save", "-q", "--export-json", "r.json", "-c"]);
    let output = command.arg(two.join(",")).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let record = run(&std::fs::read_to_string(folder.path().join("r.json")).unwrap());
    assert_eq!(record::problems(&record), Vec::<String>::new());
    let relayed = record.results.iter().find(|result| result.scenario == "S14-third-cpu").unwrap();
    assert_eq!(relayed.placement.cpus.len(), 3);
    if relayed.races == 0 {
        assert_eq!((relayed.finding, &relayed.controls_fired), (Finding::Inconclusive, &Vec::new()));
    }
    let needs = relayed.evidence.as_ref().unwrap().needs.as_ref().unwrap();
    assert_eq!(serde_json::to_value(needs).unwrap(), json!([["store-store"], ["load-load"], ["load-store"]]));
}

/// The shipped default run with this evidence for the zero of S01-as-is, judged again.
fn with_evidence(evidence: &serde_json::Value, controls_fired: &[&str]) -> Record {
    let mut record = run(&shipped().1);
    let zero = of_race(&mut record);
    zero.evidence = Some(serde_json::from_value(evidence.clone()).unwrap());
    zero.controls_fired = controls_fired.iter().map(|&name| name.to_owned()).collect();
    zero.finding = Finding::judge(zero.races, zero.iterations, zero.expected, zero.zero_counts());
    record
}

fn of_race(record: &mut Record) -> &mut ScenarioResult {
    record.results.iter_mut().find(|result| result.scenario == "S01-as-is").unwrap()
}

fn in_page(record: &Record) -> String {
    let entry = Entry { name: "r.json".into(), record: AnyRecord::Run(Box::new(record.clone())) };
    page(&[entry]).unwrap().replace('\u{a0}', " ")
}

#[test]
fn a_zero_says_why_it_says_nothing() {
    let passing = json!([["store-store"], ["load-load"]]);
    let of = |seen: serde_json::Value, controls: serde_json::Value, looked: u64| json!({"needs": passing, "seen": seen, "controls": controls, "looked": looked, "needed": 1000});
    let only = "only store buffering was seen here, and the race needs store-store or load-load reordering";
    let cases = [
        (of(json!(["store-load"]), json!([]), 50_000), &["SB"][..], only),
        (of(json!([]), json!([]), 50_000), &[], "no control fired"),
        (of(json!([]), json!([]), 50_000), &["SB"], "controls fired on some of these CPUs only (SB)"),
        (
            of(json!(["store-store", "load-load"]), json!(["S01-core+nt"]), 1),
            &["S01-core+nt"],
            "too few matches at skews where the threads ran at the same time: 1 of the 1,000 that are needed",
        ),
    ];
    for (evidence, controls_fired, words) in cases {
        let record = with_evidence(&evidence, controls_fired);
        let summary = record.summary();
        let line = match words.split_once(": 1 of the 1,000") {
            Some((why, _)) => format!(
                "CPUs 0,1 (core): {why}, so the zero of S01-as-is (1 of 1,000 needed) is inconclusive. A longer run (-d) gives more."
            ),
            None => format!("CPUs 0,1 (core): {words}, so the zero of S01-as-is is inconclusive."),
        };
        assert!(summary.contains(&line), "{line}\n{summary}");
        let row = record.table().lines().find(|line| line.contains("S01-as-is ")).unwrap().to_owned();
        assert!(row.ends_with("inconclusive"), "{row}");
        let page = in_page(&record);
        assert!(page.contains(&format!("but this zero is inconclusive: {words}.")), "{words}");
    }
    let fine = with_evidence(&of(json!(["store-store"]), json!(["S01-core+nt"]), 1000), &["S01-core+nt", "SB"]);
    assert!(
        fine.summary().contains("CPUs 0,1 (core): the controls fired (") && !fine.summary().contains("the zero of")
    );
    let control = fine.results.iter().find(|result| result.scenario == "S01-core+nt").unwrap();
    let rate = publish::rate(control.rate.unwrap()).replace('\u{a0}', " ");
    let sentence = format!("On these CPUs the control S01-core+nt {rate} (at these settings) showed in the same run");
    assert!(in_page(&fine).contains(&sentence), "{sentence}");
    // A record is not valid if a finding does not follow from its evidence.
    let mut wrong = run(&shipped().1);
    assert_eq!(of_race(&mut wrong).finding, Finding::NotObserved);
    of_race(&mut wrong).finding = Finding::Inconclusive;
    let problems = record::problems(&wrong);
    let wanted = "finding: is \"inconclusive\"; the record's other fields give \"not observed\"";
    assert!(problems.iter().any(|problem| problem.ends_with(wanted)), "{problems:?}");
}

/// In records of earlier versions any control that fired was enough. If they are judged again, nothing
/// changes.
#[test]
fn shipped_findings_stay_what_they_were() {
    for path in common::records() {
        let Ok(AnyRecord::Run(record)) = record::read_file(&path) else { continue };
        let mut again = record.results.clone();
        record::judge(&mut again);
        for (again, result) in again.iter().zip(&record.results).filter(|(_, result)| result.evidence.is_none()) {
            assert_eq!(again.finding, result.finding, "{} {}", path.display(), result.scenario);
        }
    }
}

/// The zero of a sum rests on the evidence that both parts share.
#[test]
fn a_sum_rests_on_what_its_parts_share() {
    let evidence = |seen: &[&str], controls: &[&str], looked: u64, needed: u64| json!({"needs": [["store-store"], ["load-load"]], "seen": seen, "controls": controls, "looked": looked, "needed": needed});
    let nt = ["S01-core+nt", "SB"];
    let sum = |a: &serde_json::Value, b: &serde_json::Value| {
        let mut other = with_evidence(b, &nt);
        other.id = "0".repeat(32);
        let mut merger = record::Merger::new("a", with_evidence(a, &nt)).unwrap();
        merger.add("b", other).unwrap();
        let mut record = merger.finish();
        assert_eq!(record::problems(&record), Vec::<String>::new());
        of_race(&mut record).clone()
    };
    let all = ["store-store", "load-load", "store-load"];
    let added = sum(&evidence(&all, &["S01-core+nt"], 600, 1000), &evidence(&all, &["S01-core+nt"], 500, 900));
    let evidence_of_sum = added.evidence.unwrap();
    assert_eq!((evidence_of_sum.looked, evidence_of_sum.needed, added.finding), (1100, 1000, Finding::NotObserved));
    let none = sum(&evidence(&all, &["S01-core+nt"], 9000, 1000), &evidence(&["store-load"], &[], 9000, 1000));
    let evidence_of_sum = none.evidence.unwrap();
    assert_eq!(
        (evidence_of_sum.controls.len(), evidence_of_sum.seen.len(), none.finding),
        (0, 1, Finding::Inconclusive)
    );
}

/// Race windows as text: the peak is the highest rate, not the highest count; a column without iterations is
/// blank; the matches are below the races.
#[test]
fn a_window_says_where_its_peak_is() {
    let mut record = run(&shipped().1);
    let skew = |skew_ns: f64, iterations: u64, matches: Option<u64>, races: u64| record::SkewRecord {
        skew_ns,
        iterations,
        matches,
        races,
        outcomes: Vec::new(),
    };
    let sb = record.results.iter_mut().find(|result| result.scenario == "SB").unwrap();
    sb.skews = vec![
        skew(-10.0, 10_000, None, 1000),
        skew(0.0, 1000, None, 900),
        skew(10.0, 0, None, 0),
        skew(20.0, 10, None, 0),
    ];
    let zero = of_race(&mut record);
    zero.skews = vec![skew(-20.0, 1000, Some(10), 0), skew(20.0, 1000, Some(1000), 0)];
    let of = |name: &str| wakerace::publish::windows(&record, None, |result| result.scenario == name);
    let lines = of("SB");
    let lines: Vec<&str> = lines.lines().collect();
    assert_eq!(lines[0], "SB  races   |\u{2581}\u{2588} .| up to 90.0 % at +0 ns");
    assert_eq!(lines[1..], ["             -10 ns+20 ns  groups of 8"]);
    let lines = of("S01-as-is");
    let lines: Vec<&str> = lines.lines().collect();
    assert_eq!(lines[0], "S01-as-is  races   |..| none seen");
    assert_eq!(lines[1], "           matches |\u{2581}\u{2588}| up to 100.0 % at +20 ns");
}
