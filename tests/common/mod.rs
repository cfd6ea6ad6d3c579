//! Helpers for several test files: commands that run wakerace, the shipped records, programs and outcomes of litmus tests, sections
//! of docs/primitives.md, and the tests of tests/verdicts.

#![allow(dead_code)] // no test file uses all helpers

pub mod many;
pub mod mnemonics;
pub mod mutate;
pub mod small;
pub mod targets;
pub mod x86;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use wakerace::arch::Atomics;
use wakerace::catalogue::Scenario;
use wakerace::isa;
use wakerace::litmus::{Source, parse};
use wakerace::model::{self, Bounds, Model, Outcome};
use wakerace::program::{Program, lower};
use wakerace::publish::{self, Entry, Publish as _};
use wakerace::record::{self, AnyRecord, ProtocolRecord, Record};

/// The paths of all shipped records below results/, sorted by file name.
///
/// These are the records that git tracks, because local runs write their records there too. If git is not
/// available, these are all records in the folder.
pub fn records() -> Vec<PathBuf> {
    let tree = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut all = known_to_git(tree).unwrap_or_else(|| {
        let mut all = Vec::new();
        find(&tree.join("results"), &[".json"], &mut all);
        all
    });
    all.sort_by_key(|path| path.file_name().map(std::ffi::OsStr::to_owned));
    all
}

fn known_to_git(tree: &Path) -> Option<Vec<PathBuf>> {
    let output = Command::new("git").arg("-C").arg(tree).args(["ls-files", "results/*.json"]).output().ok()?;
    let names = String::from_utf8(output.stdout).ok().filter(|names| output.status.success() && !names.is_empty())?;
    Some(names.lines().map(|name| tree.join(name)).filter(|path| path.exists()).collect())
}

/// Finds the files below a folder whose names end in one of `ends`. Build output, git's folder and records below it
/// are left out.
pub fn find(folder: &Path, ends: &[&str], out: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if path.is_dir() {
            if !matches!(name.as_str(), "target" | "dist" | ".git" | "results") {
                find(&path, ends, out);
            }
        } else if ends.iter().any(|end| name.ends_with(end)) {
            out.push(path);
        }
    }
}

/// Copies files of this tree to the same places below a folder.
pub fn copies(files: &[PathBuf], folder: &Path) {
    for file in files {
        let copy = folder.join(file.strip_prefix(env!("CARGO_MANIFEST_DIR")).unwrap());
        fs::create_dir_all(copy.parent().unwrap()).unwrap();
        fs::copy(file, copy).unwrap();
    }
}

/// The same paths, sorted by folder and file name, as the program finds them.
pub fn sorted_by_path() -> Vec<PathBuf> {
    let mut all = records();
    all.sort();
    all
}

fn is_protocol(path: &Path) -> bool {
    path.to_string_lossy().ends_with(".protocol.json")
}

/// The path and the text of the newest shipped record of `wakerace run` without arguments.
pub fn shipped() -> (PathBuf, String) {
    let all = records().into_iter().rev().filter(|path| !is_protocol(path));
    let mut texts = all.map(|path| (fs::read_to_string(&path).unwrap(), path));
    let (text, path) = texts.find(|(text, _)| run(text).command == ["wakerace", "run"]).expect("a shipped record");
    (path, text)
}

/// The newest shipped record of `wakerace run` without arguments that a version without ids wrote.
pub fn shipped_without_id() -> Record {
    let all = records().into_iter().rev().filter(|path| !is_protocol(path));
    let mut runs = all.map(|path| run(&fs::read_to_string(path).unwrap()));
    runs.find(|record| record.id.is_empty() && record.command == ["wakerace", "run"]).expect("a shipped record")
}

/// The path and the content of the newest shipped record of `wakerace protocol`.
pub fn shipped_protocol() -> (PathBuf, ProtocolRecord) {
    let path = records().into_iter().rfind(|path| is_protocol(path)).expect("a shipped record of the protocol");
    match record::read_file(&path).unwrap() {
        AnyRecord::Protocol(record) => (path, *record),
        _ => panic!("{} is not a record of `wakerace protocol`", path.display()),
    }
}

/// Parses a record of `wakerace run`.
pub fn run(text: &str) -> Record {
    match record::read("test", text).unwrap_or_else(|error| panic!("{error}")) {
        AnyRecord::Run(record) => *record,
        other => panic!("this is a record of `wakerace {}`", other.command()),
    }
}

/// The tests of a file of tests/verdicts, each with herd7's verdict.
pub fn verdicts(name: &str) -> Vec<(String, String)> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/verdicts/{name}.txt"));
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

/// A command that runs wakerace, under the emulator that $WAKERACE_RUNNER names if it is set.
pub fn wakerace() -> Command {
    let binary = env!("CARGO_BIN_EXE_wakerace");
    let runner = std::env::var_os("WAKERACE_RUNNER");
    let mut command = Command::new(runner.as_deref().unwrap_or(binary.as_ref()));
    // The width of the caller's terminal changes tables, and what was found before changes runs. Nothing can be below a file.
    command.env_remove("COLUMNS");
    for variable in ["XDG_CACHE_HOME", "XDG_CONFIG_HOME"] {
        command.env(variable, concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml/none"));
    }
    command.args(runner.is_some().then_some(binary));
    command
}

/// The same, with `folder` as its current folder. What it keeps is there too.
pub fn wakerace_in(folder: &Path) -> Command {
    let mut command = wakerace();
    command
        .current_dir(folder)
        .env("XDG_CACHE_HOME", folder.join(".cache"))
        .env("XDG_CONFIG_HOME", folder.join(".config"));
    command
}

/// The page of a record.
pub fn page(record: &Record) -> String {
    publish::page(&[Entry { name: "r.json".to_owned(), record: record.any() }]).unwrap()
}

/// The lowered form of a litmus test.
pub fn program(text: &str) -> Program {
    lower(&parse(&Source::new("test.litmus", text)).unwrap_or_else(|error| panic!("{error}")))
        .unwrap_or_else(|error| panic!("{error}"))
}

/// A scenario from its text.
#[track_caller]
pub fn scenario(text: &str) -> Scenario {
    Scenario::new(&Source::new("t.litmus", text), "").unwrap_or_else(|error| panic!("{error}\n{text}"))
}

/// What a model says about a test in C.
#[track_caller]
pub fn outcome(text: &str, model: Model) -> Outcome {
    let code = isa::code_for(scenario(text).judged(), model, Atomics::Lse).unwrap();
    model::check(&code, model, Bounds::default()).unwrap_or_else(|error| panic!("{error}\n{text}"))
}

/// Compares the section of docs/primitives.md that tests/`test`.rs writes with the wanted text. With UPDATE_DOCS=1 in the
/// environment, it writes the section instead.
#[track_caller]
pub fn section(test: &str, wanted: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/primitives.md");
    let text = fs::read_to_string(&path).unwrap();
    let marker = |end: &str| format!("<!-- written by tests/{test}.rs: {end} -->\n");
    let (begin, end) = (marker("begin"), marker("end"));
    let (head, rest) = text.split_once(&begin).expect("docs/primitives.md has the marker of the beginning");
    let (shown, tail) = rest.split_once(&end).expect("docs/primitives.md has the marker of the end");
    let wanted = format!("\n{wanted}\n");
    if std::env::var_os("UPDATE_DOCS").is_some() {
        fs::write(&path, format!("{head}{begin}{wanted}{end}{tail}")).unwrap();
        return;
    }
    assert!(shown == wanted, "run: UPDATE_DOCS=1 cargo test --test {test} the_document");
}
