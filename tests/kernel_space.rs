//! The scenarios for klitmus7, which runs them in the kernel. scripts/klitmus-modules compiles them with Debian's kernel headers.

mod common;

use std::fs;

use assert_cmd::assert::OutputAssertExt;
use predicates::prelude::*;
use predicates::str::contains;
use wakerace::catalogue;

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
