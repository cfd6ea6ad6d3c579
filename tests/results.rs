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
    let wanted = publish::index(&results, &entries, &publish::Front::default(), |_| None).unwrap().html;
    let shown = fs::read_to_string(results.join("index.html")).unwrap();
    assert!(shown == wanted, "run: wakerace index");
}

#[test]
fn a_folder_of_records_is_compared_cited_and_drawn_as_a_badge() {
    // A copy, because whoever has measured in this tree has more records in it.
    let folder = tempfile::tempdir().unwrap();
    common::copies(&common::records(), folder.path());
    let wakerace = |args: &[&str]| {
        let output = common::wakerace_in(folder.path()).args(args).output().unwrap();
        let (out, err) = (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
        (output.status.code(), out, err)
    };
    // Two kinds of CPU: a line each.
    let (status, text, _) = wakerace(&["compare", "results"]);
    assert!(status == Some(0) && text.contains("A: AMD EPYC (model ") && text.contains("\nB: "), "{text}");
    assert!(!text.contains("\nC: "), "{text}");
    // The lines of a test have names that differ.
    let of_race = text.lines().skip_while(|line| !line.trim_start().starts_with("S01-as-is ")).take(2);
    let models: Vec<bool> = of_race.map(|line| line.contains(" AMD EPYC (model 1) ")).collect();
    assert!(models == [true, false] && text.contains(" AMD EPYC (model 17) "), "{text}");
    // One kind of CPU: a line for each record, but those of the protocol.
    const ONE: &str = "results/x86_64/amd-epyc-cpu-family-25-model-1-stepping-1";
    let of_one = common::records().into_iter().filter(|path| path.to_string_lossy().contains(ONE));
    let runs = of_one.filter(|path| !path.to_string_lossy().ends_with(".protocol.json")).count();
    let (_, all, _) = wakerace(&["compare", "--csv", ONE]);
    let lines = all.lines().filter(|line| line.starts_with("S01-as-is,")).count();
    assert!(lines == runs && all.starts_with("scenario,class,line,name,runs,"), "{all}");
    let (status, _, error) = wakerace(&["compare", &common::records()[0].display().to_string()]);
    assert!(status == Some(2) && !error.is_empty(), "{error}");
    let shipped = common::shipped().0.display().to_string();
    let (_, badge, _) = wakerace(&["badge", &shipped]);
    assert!(badge.starts_with("<svg ") && badge.contains("wakerace: race &lt; "), "{badge}");
    let (_, cff, _) = wakerace(&["cite", &shipped, "--author", "The wakerace developers"]);
    assert!(cff.contains("  - name: \"The wakerace developers\"\n") && cff.contains("on 1 kind of CPU"), "{cff}");
    let (status, words, _) = wakerace(&["validate", "--contribution", &shipped]);
    assert!(status == Some(1) && words.contains("run with -d 60s"), "{words}");
}

#[test]
fn a_site_has_a_row_and_a_page_for_each_host() {
    let folder = tempfile::tempdir().unwrap();
    let site = folder.path().join("public");
    let tree = Path::new(env!("CARGO_MANIFEST_DIR"));
    let records = [common::shipped().0, common::shipped_protocol().0];
    common::copies(&records, folder.path());
    let mut command = common::wakerace_in(folder.path());
    let output =
        command.args(["index", "results", "--url", "https://example.org/races", "--site"]).arg(&site).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let index = fs::read_to_string(site.join("index.html")).unwrap();
    assert!(index.contains("<h1>On AMD EPYC the race was not seen"), "{}", &index[..2000]);
    let addresses = |end: &str| -> Vec<String> {
        let all = index.split("href=\"").skip(1).map(|rest| rest.split('"').next().unwrap().replace("&#x2f;", "/"));
        all.filter(|address| address.ends_with(end)).collect()
    };
    // Each record is linked and there, and each host has a page that names its records.
    assert_eq!(addresses(".json").len(), records.len());
    for record in addresses(".json") {
        let original = tree.join("results").join(&record);
        assert_eq!(fs::read(site.join(&record)).unwrap(), fs::read(original).unwrap(), "{record}");
    }
    let pages = addresses(".host.html");
    assert_eq!(index.matches("<td data-label=\"host\">").count(), pages.len());
    assert!((1..=records.len()).contains(&pages.len()), "{pages:?}");
    for page in pages {
        let html = fs::read_to_string(site.join(&page)).unwrap();
        assert!(html.contains("Every number is in the records"), "{page}");
        // The picture of a link to the page is beside it.
        let picture = page.replace(".html", ".png");
        let address = format!("https:&#x2f;&#x2f;example.org&#x2f;races&#x2f;{}", picture.replace('/', "&#x2f;"));
        assert!(html.contains(&format!("og:image\" content=\"{address}\"")), "{address}");
        assert!(fs::read(site.join(&picture)).unwrap().starts_with(b"\x89PNG"), "{picture}");
    }
    assert!(index.contains("og:image\" content=\"https:&#x2f;&#x2f;example.org&#x2f;races&#x2f;index.png\""));
    assert!(fs::read(site.join("index.png")).unwrap().starts_with(b"\x89PNG"));
}
