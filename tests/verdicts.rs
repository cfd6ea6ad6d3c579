//! Compares every model with herd7 on some hundred generated tests. tests/verdicts/README.md says how they
//! were made.

use std::fs;
use std::path::Path;

use wakerace::arch::Atomics;
use wakerace::catalogue::Scenario;
use wakerace::isa;
use wakerace::litmus::Source;
use wakerace::model::{self, Bounds, Model, Outcome};

/// The tests of a file, each with herd7's verdict.
fn tests(name: &str) -> Vec<(String, String)> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/verdicts").join(name);
    let text = fs::read_to_string(&path).unwrap();
    let tests: Vec<(String, String)> = text
        .split("=== ")
        .skip(1)
        .map(|entry| entry.split_once('\n').unwrap())
        .map(|(verdict, test)| (verdict.to_owned(), test.to_owned()))
        .collect();
    assert_eq!(tests.len(), text.lines().filter(|line| line.starts_with("=== ")).count(), "{name}");
    tests
}

fn judged(test: &str, model: Model) -> Outcome {
    let source = Source::new("test", test);
    let code = if model == Model::Lkmm {
        let scenario = Scenario::new(&source, "").unwrap_or_else(|error| panic!("{error}"));
        isa::code_for(&scenario.program, model, Atomics::Lse).unwrap()
    } else {
        let (code, of) = isa::parse_assembly(&source).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(of, model, "{test}");
        code
    };
    model::check(&code, model, Bounds::default()).unwrap_or_else(|error| panic!("{error}\n{test}"))
}

/// Compares a model with herd7 on every test of a file, and checks the number of tests.
fn agree(name: &str, model: Model, count: usize) {
    let tests = tests(name);
    let wrong: Vec<String> = tests
        .iter()
        .filter_map(|(verdict, test)| {
            let outcome = judged(test, model);
            let race = if outcome.data_race { ", data race" } else { "" };
            let found = format!("{}{race}", outcome.verdict);
            (found != *verdict).then(|| format!("{model} says {found}, herd7 says {verdict}:\n{test}"))
        })
        .collect();
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), tests.len(), wrong.join("\n"));
    assert_eq!(tests.len(), count, "{name} has all of its tests");
}

#[test]
fn armv8_says_what_herd7_says() {
    agree("armv8.txt", Model::Armv8, 278);
}

#[test]
fn power_says_what_herd7_says() {
    agree("power.txt", Model::Power, 256);
}

#[test]
fn rvwmo_says_what_herd7_says() {
    agree("rvwmo.txt", Model::Rvwmo, 290);
}

#[test]
fn x86_tso_says_what_herd7_says() {
    agree("x86-tso.txt", Model::X86Tso, 113);
}

#[test]
fn the_kernels_model_says_what_herd7_says() {
    agree("lkmm.txt", Model::Lkmm, 725);
}
