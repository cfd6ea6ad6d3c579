//! The records of results/, for tests.

use std::path::Path;

use super::{AnyRecord, Record, read_file};

/// The record of `wakerace run` that began at this time, such as `2026-11-25T174425Z`.
pub(crate) fn shipped(started: &str) -> Record {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("results/x86_64");
    let hosts = std::fs::read_dir(folder).unwrap().map(|host| host.unwrap().path());
    let path = hosts.map(|host| host.join(format!("{started}.json"))).find(|path| path.exists()).unwrap();
    let AnyRecord::Run(record) = read_file(&path).unwrap() else { panic!("{} is not of a run", path.display()) };
    *record
}
