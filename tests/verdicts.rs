//! Compares every model with herd7 on some hundred generated tests. tests/verdicts/README.md says how they
//! were made.

mod common;

use wakerace::isa;
use wakerace::litmus::Source;
use wakerace::model::{self, Bounds, Flags, Model, Outcome};

fn judged(test: &str, model: Model) -> Outcome {
    if model == Model::Lkmm {
        return common::outcome(test, model);
    }
    let (code, of) = isa::parse_assembly(&Source::new("test", test)).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(of, model, "{test}");
    model::check(&code, model, Bounds::default()).unwrap_or_else(|error| panic!("{error}\n{test}"))
}

/// Compares a model with herd7 on every test of a file of tests/verdicts, and checks the number of tests.
fn agree(name: &str, model: Model, count: usize) {
    let tests = common::verdicts(name);
    let wrong: Vec<String> = tests
        .iter()
        .filter_map(|(verdict, test)| {
            let outcome = judged(test, model);
            let race = if outcome.data_race { ", data race" } else { "" };
            // mixed-accesses is not in the files.
            let flags = outcome.flags.without(Flags::MIXED_ACCESSES).names();
            let flags: String = flags.map(|name| format!(", {name}")).collect();
            let found = format!("{}{race}{flags}", outcome.verdict);
            (found != *verdict).then(|| format!("{model} says {found}, herd7 says {verdict}:\n{test}"))
        })
        .collect();
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), tests.len(), wrong.join("\n"));
    assert_eq!(tests.len(), count, "{name} has all of its tests");
}

#[test]
fn armv8_says_what_herd7_says() {
    agree("armv8", Model::Armv8, 294);
}

#[test]
fn armv8_says_what_herd7_says_about_mixed_sizes() {
    agree("armv8-mixed", Model::Armv8, 155);
}

#[test]
fn power_says_what_herd7_says() {
    agree("power", Model::Power, 272);
}

#[test]
fn rvwmo_says_what_herd7_says() {
    agree("rvwmo", Model::Rvwmo, 290);
}

#[test]
fn x86_tso_says_what_herd7_says() {
    agree("x86-tso", Model::X86Tso, 113);
}

#[test]
fn the_kernels_model_says_what_herd7_says() {
    agree("lkmm", Model::Lkmm, 763);
}

#[test]
fn the_kernels_model_says_what_herd7_says_about_rcu() {
    agree("rcu", Model::Lkmm, 326);
}

/// Tests in the style of published ones, which herd7 reads without types: addresses in integers, undeclared registers,
/// false dependencies, loops.
#[test]
fn the_kernels_model_says_what_herd7_says_of_untyped_tests() {
    agree("lkmm-untyped", Model::Lkmm, 258);
}
