//! What is written for herdtools7 is read by herdtools7 itself. These tests are ignored unless asked for, because they need its
//! programs. scripts/rootfs has them, and WAKERACE_HERDTOOLS is a command that runs a command where they are and this tree is at /srv:
//!
//!     WAKERACE_HERDTOOLS=scripts/in-rootfs cargo test --test herdtools -- --ignored
//!
//! Without the programs they fail.

mod common;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use wakerace::publish::{Publish, litmus_log};

use common::{run, shipped};

/// Runs a shell command where herdtools7 is, in this tree.
fn herdtools(command: &str) -> String {
    let runner =
        std::env::var_os("WAKERACE_HERDTOOLS").expect("WAKERACE_HERDTOOLS is not set; see the head of this file");
    let output = Command::new(runner).args(["sh", "-c", command]).output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{command}: {errors}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn tree() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// A folder that both this program and herdtools7 see, with its name over there.
fn exchange(name: &str) -> (PathBuf, String) {
    let inside = format!("target/tmp/herdtools-{name}");
    let folder = tree().join(&inside);
    fs::create_dir_all(&folder).unwrap();
    (folder, format!("/srv/{inside}"))
}

#[test]
#[ignore = "needs herdtools7"]
fn klitmus7_takes_every_scenario_unchanged() {
    let said = herdtools(
        "mkdir /tmp/out && klitmus7 -o /tmp/out scenarios/*/*.litmus 2>&1 && ls /tmp/out/*.c | wc -l && ls scenarios/*/*.litmus | wc -l",
    );
    let numbers: Vec<&str> = said.split_whitespace().collect();
    // It exits with 0 whatever it makes of a test, and names what it cannot read.
    assert!(numbers.len() == 2 && numbers[0] == numbers[1] && numbers[0] != "0", "{said}");
}

#[test]
#[ignore = "needs herdtools7"]
fn herd7_reads_what_names_a_test_and_its_outcomes() {
    let (folder, there) = exchange("names");
    let test = "X86_64 SB\n{}\n P0 | P1 ;\n movl $1,(x) | movl $1,(y) ;\n movl (y),%eax | movl (x),%eax ;\n\
                exists (0:rax=0 /\\ 1:rax=0)\n";
    let names = "Title=what it is: a { test (* of \"mine\nOutcome1=0:rax=0; 1:rax=0: both // missed\nOutcome2=0:rax=1: P1 first\n";
    fs::write(folder.join("plain.litmus"), test).unwrap();
    fs::write(folder.join("named.litmus"), test.replacen("{}", &format!("{names}{{}}"), 1)).unwrap();
    let said = |name: &str| {
        let lines = herdtools(&format!("herd7 {there}/{name}.litmus 2>&1"));
        let kept: Vec<String> = lines.lines().filter(|line| !line.starts_with("Time")).map(str::to_owned).collect();
        kept.join("\n")
    };
    let plain = said("plain");
    // The hash of the test is one of the lines.
    assert!(plain.contains("Hash=") && plain.contains("Observation SB Sometimes"), "{plain}");
    assert_eq!(said("named"), plain);
}

#[test]
#[ignore = "needs herdtools7"]
fn mcompare7_finds_every_test_and_every_count_of_our_log() {
    let record = run(&shipped().1);
    let (folder, there) = exchange("log");
    fs::write(folder.join("ours.log"), litmus_log(&record)).unwrap();
    // Joined, as people join logs: no test may be swallowed by the one before.
    fs::write(folder.join("twice.log"), litmus_log(&record) + &litmus_log(&record)).unwrap();
    let states = herdtools(&format!("mcompare7 -show s {there}/ours.log"));
    let twice = herdtools(&format!("mcompare7 -v {there}/twice.log 2>&1"));
    for result in &record.results {
        assert!(states.contains(&result.scenario), "{}: {states}", result.scenario);
        for outcome in &result.outcomes {
            let values: String = (outcome.values.iter())
                .map(|(name, value)| format!("{name}={};", value.to_string().trim_start_matches('&')))
                .collect::<Vec<_>>()
                .join(" ");
            let wanted = format!("[{values}]<{}>", outcome.count);
            assert!(states.contains(&wanted), "{wanted}: {states}");
        }
    }
    assert!(twice.contains(&format!("Found {} tests", 2 * record.results.len())), "{twice}");
    assert!(!record.is_empty());
}

#[test]
#[ignore = "needs herdtools7"]
fn mcompare7_sets_our_log_beside_one_with_a_hash() {
    let record = run(&shipped().1);
    let (folder, there) = exchange("beside");
    fs::write(folder.join("ours.log"), litmus_log(&record)).unwrap();
    let theirs = "X86_64 SB\n{}\n P0 | P1 ;\n movl $1,(x) | movl $1,(y) ;\n movl (y),%eax | movl (x),%eax ;\n\
                  exists (0:rax=0 /\\ 1:rax=0)\n";
    fs::write(folder.join("SB.litmus"), theirs).unwrap();
    let command = format!(
        "cd {there} && herd7 SB.litmus > /tmp/theirs.log && grep Hash= /tmp/theirs.log && \
                           mcompare7 -show V /tmp/theirs.log ours.log"
    );
    let said = herdtools(&command);
    assert!(said.contains("Hash="), "{said}");
    let line = said.lines().find(|line| line.starts_with("SB ")).unwrap_or_else(|| panic!("{said}"));
    // The kind, theirs, ours.
    assert_eq!(line.matches("Allow").count(), 3, "{said}");
}

/// The first tests of a file of tests/verdicts, without those that herd7 takes differently (docs/models.md).
fn sample(model: &str, count: usize) -> Vec<String> {
    let tests = common::verdicts(model).into_iter().map(|(_, test)| test);
    tests.filter(|test| !test.contains("xchg")).take(count).collect()
}

#[test]
#[ignore = "needs herdtools7"]
fn herd7_and_check_agree_on_verdicts_and_states() {
    let samples = [("armv8", 30), ("armv8-mixed", 40), ("power", 80), ("rvwmo", 80), ("x86-tso", 30)];
    for (file, count) in samples {
        let model = file.trim_end_matches("-mixed");
        let variant = if file == model { "" } else { "-variant mixed" };
        let (folder, there) = exchange(&format!("models-{file}"));
        fs::remove_dir_all(&folder).unwrap();
        fs::create_dir(&folder).unwrap();
        for (number, test) in sample(file, count).iter().enumerate() {
            fs::write(folder.join(format!("{number:03}.litmus")), test).unwrap();
        }
        fs::write(folder.join("herd.log"), herdtools(&format!("herd7 {variant} -timeout 60 {there}/*.litmus")))
            .unwrap();
        let check = |args: &[&str]| {
            let mut command = common::wakerace_in(&folder);
            let output = command.args(["check", ".", "--model", model]).args(args).output().unwrap();
            let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
            assert!(output.status.success(), "{model}: {}{}", text(&output.stdout), text(&output.stderr));
            text(&output.stdout)
        };
        let summary: serde_json::Value = serde_json::from_str(&check(&["--json", "--against", "herd.log"])).unwrap();
        let summary = &summary["summary"][0];
        assert_eq!((&summary["judged"], &summary["published_agrees"]), (&count.into(), &count.into()), "{summary}");
        // mcompare7 marks what only one log has with `+[` or `-[`.
        fs::write(folder.join("ours.log"), check(&["--states"])).unwrap();
        let said = herdtools(&format!("mcompare7 {there}/herd.log {there}/ours.log"));
        assert!(said.matches("==").count() >= count && !said.contains("+[") && !said.contains("-["), "{model}: {said}");
    }
}

/// A family of `wakerace generate` in a folder, as names and cycles.
fn generated(folder: &Path, arch: &str, more: &[&str]) -> Vec<(String, String)> {
    let run = |last: &[&str]| {
        let mut command = common::wakerace_in(folder);
        let output = command.args(["generate", "--arch", arch]).args(more).args(last).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    run(&["-o", "."]);
    let split = |line: &str| line.split_once(": ").map(|(name, cycle)| (name.to_owned(), cycle.to_owned()));
    run(&["--list"]).lines().map(|line| split(line).unwrap()).collect()
}

/// An empty folder that both see.
fn emptied(name: &str) -> (PathBuf, String) {
    let (folder, there) = exchange(name);
    fs::remove_dir_all(&folder).unwrap();
    fs::create_dir(&folder).unwrap();
    (folder, there)
}

#[test]
#[ignore = "needs herdtools7"]
fn generated_tests_have_the_names_that_diyone7_gives_their_cycles() {
    let families: [(&str, &str, &[&str]); 5] = [
        ("x86_64", "X86_64", &["--size", "6", "--sample", "25"]),
        ("aarch64", "AArch64", &["--size", "6", "--sample", "40"]),
        (
            "aarch64",
            "AArch64 -variant mixed",
            &["--size", "4", "--vary", "h0,h2,w0,L.w0", "--safe", "Pod**,Rfe,Fre,Coe", "--sample", "25"],
        ),
        ("ppc", "PPC", &["--size", "6", "--sample", "25"]),
        ("riscv", "RISCV", &["--size", "6", "--sample", "25"]),
    ];
    for (number, (arch, theirs, more)) in families.into_iter().enumerate() {
        let (folder, there) = emptied(&format!("names-{number}"));
        let tests = generated(&folder, arch, more);
        let cycles: String = tests.iter().map(|(_, cycle)| format!("{cycle}\n")).collect();
        fs::write(folder.join("cycles"), cycles).unwrap();
        let command = format!(
            "cd $(mktemp -d) && while read c; do rm -f *.litmus; \
             diyone7 -norm -arch {theirs} $c >/dev/null 2>&1 && head -q -n 1 *.litmus || echo - -; done < {there}/cycles"
        );
        let named = herdtools(&command);
        let named: Vec<&str> = named.lines().filter_map(|line| line.split(' ').nth(1)).collect();
        assert_eq!(named.len(), tests.len(), "{arch}");
        // diyone7 refuses cycles that need an observer.
        let pairs = || named.iter().zip(&tests).filter(|(theirs, _)| **theirs != "-");
        assert!(pairs().count() * 3 > tests.len() * 2, "{arch}: {named:?}");
        // Where diy7 has one name for two cycles, the second has a number here.
        let differs = |(theirs, (ours, _)): &(&&str, &(String, String))| {
            **theirs != ours
                && ours.rsplit_once('-').is_none_or(|(stem, number)| stem != **theirs || number.parse::<u8>().is_err())
        };
        let differ: Vec<_> = pairs().filter(differs).collect();
        assert!(differ.is_empty(), "{arch}: {differ:?}");
    }
}

#[test]
#[ignore = "needs herdtools7"]
fn herd7_and_check_agree_on_generated_tests() {
    let mixed = [
        "--size",
        "4",
        "--threads",
        "2",
        "--vary",
        "h0,h2,w0,q0",
        "--safe",
        "PodRR,DMB.STdWW,DpDatadW,PodWR,Rfe,Fre,Coe",
    ];
    let no_rmw = ["--safe", "Rfe,Fre,Coe,Rfi,Pod**,MFenced**"];
    let families: [(&str, &str, &str, &[&str]); 5] = [
        ("x86_64", "x86-tso", "", &no_rmw),
        ("aarch64", "armv8", "", &[]),
        ("aarch64", "armv8", "-variant mixed", &mixed),
        ("ppc", "power", "", &[]),
        ("riscv", "rvwmo", "", &[]),
    ];
    for (number, (arch, model, variant, more)) in families.into_iter().enumerate() {
        let (folder, there) = emptied(&format!("generated-{number}"));
        let count = generated(&folder, arch, &[&["--sample", "25"], more].concat()).len();
        fs::write(folder.join("herd.log"), herdtools(&format!("herd7 {variant} -timeout 60 {there}/@all"))).unwrap();
        let mut check = common::wakerace_in(&folder);
        let output = check.args(["check", ".", "--model", model, "--json", "--against", "herd.log"]).output().unwrap();
        let json: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        let summary = &json["summary"][0];
        let expected: serde_json::Value = count.into();
        assert_eq!((&summary["judged"], &summary["published_agrees"]), (&expected, &expected), "{arch}: {summary}");
    }
}

#[test]
#[ignore = "needs herdtools7"]
fn herd7_and_check_agree_on_random_programs() {
    for (arch, model) in [("x86_64", "x86-tso"), ("aarch64", "armv8"), ("ppc", "power"), ("riscv", "rvwmo")] {
        let (folder, there) = emptied(&format!("random-{arch}"));
        let script = tree().join("scripts/random-programs");
        let written = Command::new(script).args([arch, "20"]).arg(&folder).arg("2").status().unwrap();
        assert!(written.success());
        let log = herdtools(&format!("herd7 -timeout 5 {there}/*.litmus"));
        fs::write(folder.join("herd.log"), log).unwrap();
        let mut check = common::wakerace_in(&folder);
        let output = check.args(["check", ".", "--model", model, "--json", "--against", "herd.log"]).output().unwrap();
        let json: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        let summary = &json["summary"][0];
        assert_eq!((&summary["judged"], &summary["published_differs"]), (&20.into(), &0.into()), "{arch}: {summary}");
        // herd7 needs more than 5 s for a few of them.
        assert!(summary["published_agrees"].as_u64().unwrap() >= 12, "{arch}: {summary}");
    }
}
