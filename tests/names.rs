//! `Title=`, `Outcome1=` and so on in the header of a test: what is refused, what identifies the test, and where the words appear.

mod common;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use wakerace::catalogue::{self, Scenario};
use wakerace::litmus::{Source, naming};
use wakerace::record::naming_of;

use common::{records, run};

/// A test in C with these lines behind its name.
fn in_c(lines: &str) -> String {
    format!(
        "C own\n{lines}\n{{}}\nP0(int **x, int *y) {{ WRITE_ONCE(*x, y); }}\nP1(int **x, int *y) {{ int *r0; int r1; r0 = READ_ONCE(*x); \
         r1 = READ_ONCE(*y); }}\nexists (1:r0=y /\\ 1:r1=0)\n"
    )
}

/// A test in assembly with these lines behind its name.
fn in_assembly(lines: &str) -> String {
    format!(
        "X86_64 own\n{lines}\n{{}}\n P0            | P1            ;\n movl $1,(x)   | movl $1,(y)   ;\n \
         movl (y),%eax | movl (x),%eax ;\nexists (0:rax=0 /\\ 1:rax=0)\n"
    )
}

fn read(text: &str) -> Result<Scenario, String> {
    Scenario::new(&Source::new("own.litmus", text), "mine").map_err(|error| error.to_string())
}

#[track_caller]
fn refused(text: &str, at: &str, words: &[&str]) {
    let error = read(text).expect_err("should be refused");
    assert!(error.contains(&format!("own.litmus:{at}")), "not at {at}:\n{error}");
    for word in words {
        assert!(error.contains(word), "does not say '{word}':\n{error}");
    }
}

fn words(text: &str) -> (String, Vec<(String, String)>) {
    let (title, outcomes) = naming_of(&read(text).unwrap_or_else(|error| panic!("{error}")));
    let values = |values: &BTreeMap<_, _>| {
        let each =
            values.iter().map(|(name, value): (&String, &wakerace::record::FinalValue)| format!("{name}={value}"));
        each.collect::<Vec<_>>().join("; ")
    };
    (title, outcomes.iter().map(|outcome| (values(&outcome.values), outcome.words.clone())).collect())
}

#[test]
fn names_are_read_in_both_languages() {
    let lines = "Title = what it is: a { test (* of \"mine\nCom=Rf Fr\n(* Title=not this *)\nOutcome1=1:r0=y; P1:r1=0x0 : seen: early\n\
                 Outcome2=1:r1=1;: late";
    let expected = [("1:r0=&y; 1:r1=0", "seen: early"), ("1:r1=1", "late")].map(|(a, b)| (a.to_owned(), b.to_owned()));
    assert_eq!(words(&in_c(lines)), ("what it is: a { test (* of \"mine".to_owned(), expected.to_vec()));
    let lines = "Title=what it is: a { test (* of \"mine\n\nOutcome1=0:eax=0; 1:rax=0: both // missed";
    let expected = [("0:rax=0; 1:rax=0".to_owned(), "both // missed".to_owned())];
    assert_eq!(words(&in_assembly(lines)), ("what it is: a { test (* of \"mine".to_owned(), expected.to_vec()));
    // What a header says in other words is read as before.
    let header = read(&in_c("Title=t\n(*\n * x86_64: Never\n * Match: 1:r0=y\n *\n * Asks. *)")).unwrap().test.header;
    assert!(header.match_event.is_some() && header.architectures.len() == 1 && header.summary() == "Asks.");
}

#[test]
fn names_of_what_the_test_does_not_observe_are_refused_at_their_place() {
    refused(&in_c("Outcome=1:r0=y; 1:r7=0: seen"), "2:17", &["1:r7", "its outcomes have 1:r0, 1:r1"]);
    refused(&in_c("Title=t\nOutcome=z=0: seen"), "3:9", &["z is no part"]);
    refused(&in_c("Outcome=1:r0=z: seen"), "2:14", &["no variable z"]);
    refused(&in_c("Outcome=1:r1=0; 1:r1=1: seen"), "2:17", &["twice"]);
    refused(&in_c("Outcome1=1:r1=0: seen\nOutcome2=1:r1=0: again"), "3:10", &["two names"]);
    refused(
        &in_c("Outcome1=1:r1=0: seen\nOutcome1=1:r1=1: other"),
        "3:1",
        &["`Outcome1=` occurs twice", "number the outcomes"],
    );
    refused(&in_c("Title=t\nTitle=u"), "3:1", &["`Title=` occurs twice"]);
    refused(&in_c("Title="), "2:7", &["no words"]);
    refused(&in_c("Outcome=1:r1=0:"), "2:16", &["no words"]);
    refused(&in_c("Outcome=1:r1=0"), "2:9", &["a colon and words"]);
    refused(&in_c("Outcome=: seen"), "2:9", &["a register such as"]);
    refused(&in_c("Outcome=1:r1: seen"), "2:13", &["expected `=`"]);
    refused(&in_c("Outcome=1:r1=0 1:r0=y: seen"), "2:16", &["expected `;` or `:`"]);
    refused(&in_c(&format!("Title={}", "é".repeat(81))), "2:7", &["81 characters"]);
    refused(&in_c("Title=a\u{1b}[31m"), "2:7", &["control character"]);
    refused(&in_assembly("Outcome=0:ebx=0: seen"), "2:9", &["0:rbx", "0:rax, 1:rax"]);
}

#[test]
fn a_wrong_name_ends_with_status_2() {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("names");
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join("own.litmus"), in_c("Outcome=1:r7=0: seen")).unwrap();
    for command in [&["run", "own.litmus", "-n", "1000"][..], &["check", "own.litmus"], &["show", "own.litmus"]] {
        let output = common::wakerace_in(&folder).args(command).output().unwrap();
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.code() == Some(2) && error.contains("own.litmus:2:9"), "{command:?}: {error}");
    }
}

#[test]
fn names_are_no_part_of_what_identifies_a_test() {
    for scenario in catalogue::all().unwrap() {
        let text = scenario.test.source.text();
        let plain: String = text
            .split_inclusive('\n')
            .filter(|line| !line.starts_with("Title=") && !line.starts_with("Outcome"))
            .collect();
        assert!(plain.len() < text.len(), "{} has no title", scenario.name);
        assert_eq!(*scenario.sha256, wakerace::hash::sha256(plain.as_bytes()), "{}", scenario.name);
        assert_eq!(naming::hash(&plain), *scenario.sha256);
    }
    let (plain, named) = (read(&in_c("")).unwrap(), read(&in_c("Title=t\nOutcome=1:r1=0: seen\n")).unwrap());
    assert_eq!(*plain.sha256, *named.sha256);
    assert_ne!(*plain.sha256, *read(&in_c("Com=Rf")).unwrap().sha256);
}

#[test]
fn the_shipped_records_are_of_the_shipped_tests() {
    // Their hashes were written before the scenarios had names in their headers.
    let texts = records().into_iter().filter(|path| !path.to_string_lossy().ends_with(".protocol.json"));
    let results: Vec<_> = texts.flat_map(|path| run(&fs::read_to_string(path).unwrap()).results).collect();
    let newest = |name: &str| results.iter().rfind(|result| result.scenario == name);
    let scenarios = catalogue::all().unwrap();
    let known = scenarios.iter().filter_map(|scenario| newest(&scenario.name).map(|result| (scenario, result)));
    let same = known.clone().filter(|(scenario, result)| *scenario.sha256 == result.source_sha256).count();
    assert!(same > 0 && same == known.count(), "{same}");
}
