//! What several test files need: shipped records, read.

#![allow(dead_code)] // no test file needs all of it

use std::fs;
use std::path::{Path, PathBuf};

use wakerace::record::{self, AnyRecord, ProtocolRecord, Record};

/// Every record below results/, by name.
pub fn records() -> Vec<PathBuf> {
    fn find(folder: &Path, out: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                find(&path, out);
            } else if path.extension().is_some_and(|extension| extension == "json") {
                out.push(path);
            }
        }
    }
    let mut all = Vec::new();
    find(&Path::new(env!("CARGO_MANIFEST_DIR")).join("results"), &mut all);
    all.sort_by_key(|path| path.file_name().map(std::ffi::OsStr::to_owned));
    all
}

/// Every record below results/, folder by folder, as the program finds them.
pub fn sorted_by_path() -> Vec<PathBuf> {
    let mut all = records();
    all.sort();
    all
}

fn is_protocol(path: &Path) -> bool {
    path.to_string_lossy().ends_with(".protocol.json")
}

/// The newest shipped record of a default `wakerace run`.
pub fn shipped() -> (PathBuf, String) {
    let all = records().into_iter().rev().filter(|path| !is_protocol(path));
    let mut texts = all.map(|path| (fs::read_to_string(&path).unwrap(), path));
    let (text, path) = texts.find(|(text, _)| run(text).command == ["wakerace", "run"]).expect("a shipped record");
    (path, text)
}

/// The newest shipped record of `wakerace protocol`.
pub fn shipped_protocol() -> (PathBuf, ProtocolRecord) {
    let path = records().into_iter().rfind(|path| is_protocol(path)).expect("a shipped record of the protocol");
    match record::read_file(&path).unwrap() {
        AnyRecord::Protocol(record) => (path, *record),
        AnyRecord::Run(_) => panic!("{} is none of the protocol", path.display()),
    }
}

/// A record of `wakerace run` from text.
pub fn run(text: &str) -> Record {
    match record::read("test", text).unwrap_or_else(|error| panic!("{error}")) {
        AnyRecord::Run(record) => *record,
        AnyRecord::Protocol(_) => panic!("a record of the protocol"),
    }
}
