//! The records under results/ are what runs really printed, and this program reads them.

mod common;

use std::fs;
use std::path::Path;

use wakerace::publish::{self, Entry, Publish};
use wakerace::record::{self, AnyRecord, Finding, Judgement, PROTOCOL_SCHEMA, SCHEMA, VERSION};

#[test]
fn every_shipped_record_reads_and_adds_up() {
    let results = Path::new(env!("CARGO_MANIFEST_DIR")).join("results");
    let readme = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md")).unwrap();
    let mut quoted = false;
    for path in common::records() {
        let shown = path.display();
        let read = record::read_file(&path).unwrap();
        if path.to_string_lossy().ends_with(".protocol.json") {
            let AnyRecord::Protocol(record) = read else { panic!("{shown}: not a record of the protocol") };
            assert_eq!((record.schema.as_str(), record.version), (PROTOCOL_SCHEMA, VERSION), "{shown}");
            assert!(!record.host.emulated && !record.tool.commit.contains("dirty"), "{shown}");
            assert!(path.starts_with(results.join(&record.host.architecture)), "{shown}");
            for result in &record.results {
                // v7.1 lends the turns of RUNNING tasks (H5), the drafts leave blocked_on behind or lose a task: known, but no "clean".
                let judged = if result.profile == "v7.2" { Judgement::Clean } else { Judgement::AsExpected };
                assert_eq!(result.judgement(), judged, "{shown} {}", result.profile);
            }
            continue;
        }
        let AnyRecord::Run(record) = read else { panic!("{shown}: not a record of a run") };
        assert_eq!((record.schema.as_str(), record.version), (SCHEMA, VERSION), "{shown}");
        assert!(!record.host.emulated, "{shown}: emulated runs are not results");
        assert!(!record.tool.commit.contains("dirty"), "{shown}: made by a program that no commit is");
        assert!(
            path.starts_with(results.join(&record.host.architecture)),
            "{shown} is in another architecture's folder"
        );
        for result in &record.results {
            let sum: u64 = result.outcomes.iter().map(|outcome| outcome.count).sum();
            assert_eq!(sum, result.iterations, "{shown} {}", result.scenario);
            let by_skew: u64 = result.skews.iter().map(|skew| skew.iterations).sum();
            assert_eq!(by_skew, result.iterations, "{shown} {}", result.scenario);
            assert_ne!(result.finding, Finding::ForbiddenObserved, "{shown} {}", result.scenario);
        }
        quoted |= record.table().lines().filter(|line| !line.is_empty()).all(|line| readme.contains(line));
    }
    assert!(quoted, "the README's table is that of none of them");
}

#[test]
fn the_index_is_that_of_the_records() {
    let results = Path::new(env!("CARGO_MANIFEST_DIR")).join("results");
    let entries: Vec<Entry> = (common::sorted_by_path().into_iter())
        .map(|path| Entry { name: path.display().to_string(), record: record::read_file(&path).unwrap() })
        .collect();
    let wanted = publish::index(&results, &entries).unwrap();
    let shown = fs::read_to_string(results.join("index.html")).unwrap();
    assert!(shown == wanted, "run: wakerace index");
}
