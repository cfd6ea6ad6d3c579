//! Compares exported files literally: every column with its unit, and every header line.

mod common;

use std::fs;
use std::path::{Path, PathBuf};

use hdrhistogram::serialization::interval_log::{IntervalLogIterator, LogEntry};
use wakerace::publish::Publish as _;
use wakerace::record;

use common::{small, wakerace};

/// Writes the small record of a run and that of the protocol to files.
fn files(folder: &Path) -> [PathBuf; 2] {
    let put = |name: &str, json: String| {
        let path = folder.join(name);
        fs::write(&path, json).unwrap();
        path
    };
    [put("run.json", small::run().json().unwrap()), put("protocol.json", small::protocol().json().unwrap())]
}

fn exported(arguments: &[&str], path: &Path) -> String {
    let output = wakerace().arg("export").args(arguments).arg(path).output().unwrap();
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

fn lines(text: &str) -> Vec<Vec<String>> {
    let mut reader = csv::ReaderBuilder::new().has_headers(false).from_reader(text.as_bytes());
    reader.records().map(|line| line.unwrap().iter().map(str::to_owned).collect()).collect()
}

#[test]
fn every_column_of_results() {
    let folder = tempfile::tempdir().unwrap();
    let [run, _] = files(folder.path());
    let all = lines(&exported(&["--csv"], &run));
    let result = &small::run().results[1];
    let interval = result.interval.unwrap();
    let wanted: Vec<(&str, String)> = [
        ("architecture", "x86_64"),
        ("cpu_model", "Example 9000"),
        ("emulated", "false"),
        ("scenario", "S05-swapped"),
        ("group", "mutants"),
        ("cpus", "0 2"),
        ("class", "core"),
        ("pace", "paced"),
        ("period_ns", "120.800"),
        ("layout", "padded"),
        ("batch", "409"),
        ("iterations", "2000"),
        ("elapsed_s", "2.500000"),
        ("iterations_per_s", "800.0"),
        ("matches", "883"),
        ("races", "83"),
        ("outcomes", "1100 1:r0=0 1:r1=0 | 17 1:r0=0 1:r1=&mutex | 83 1:r0=2 1:r1=0 * | 800 1:r0=2 1:r1=&mutex"),
        ("rate", "4.15e-2"),
        ("rate_low", &format!("{:e}", interval.low)),
        ("rate_high", &format!("{:e}", interval.high)),
        ("expected", "Sometimes"),
        ("finding", "observed"),
        ("source_sha256", &result.source_sha256),
        ("code_sha256", &format!("{:064x}", 2)),
        ("in_batches_s", "2.250000"),
        ("discarded", "2002"),
        ("disturbances", "32"),
        ("moved", "402"),
        ("filtered", "5002"),
        ("line_transfer_ns", "33.500"),
        ("nice", "-7"),
        ("seed", "71"),
        ("started", "2026-11-25T17:44:25.503233779Z"),
        ("commit", "0123456789ab"),
        ("command", "wakerace run --seed 71"),
        ("id", "0123456789abcdef0123456789abcdef"),
    ]
    .map(|(heading, value)| (heading, value.to_owned()))
    .to_vec();
    let found: Vec<(&str, String)> = all[0].iter().map(String::as_str).zip(all[2].iter().cloned()).collect();
    for wanted in &wanted {
        let of_heading: Vec<_> = found.iter().filter(|(heading, _)| *heading == wanted.0).collect();
        assert_eq!(of_heading, [wanted]);
    }
    assert!(all.iter().all(|line| line.len() == all[0].len()) && all.len() == 4);
    // A test without a Match event, and one that never raced.
    let column = |name: &str| all[0].iter().position(|heading| heading == name).unwrap();
    assert_eq!((all[1][column("matches")].as_str(), all[1][column("races")].as_str()), ("", "600"));
    assert_eq!((all[3][column("rate")].as_str(), all[3][column("rate_low")].as_str()), ("0e0", "0e0"));
    assert_eq!((all[3][column("expected")].as_str(), all[3][column("finding")].as_str()), ("Never", "not observed"));
}

#[test]
fn every_line_of_a_window() {
    let folder = tempfile::tempdir().unwrap();
    let [run, _] = files(folder.path());
    let all = lines(&exported(&["--window-csv"], &run));
    let head = "architecture,cpu_model,emulated,scenario,cpus,class,skew_ns,outcome,race,count";
    assert_eq!(all[0].join(","), head);
    let found: Vec<String> = all.iter().filter(|line| line[3] == "S05-swapped").map(|line| line.join(",")).collect();
    let about = "x86_64,Example 9000,false,S05-swapped,0 2,core";
    let wanted = [
        "-60.000,1:r0=0 1:r1=0,false,500",
        "-60.000,1:r0=0 1:r1=&mutex,false,7",
        "-60.000,1:r0=2 1:r1=0,true,3",
        "-60.000,1:r0=2 1:r1=&mutex,false,390",
        "45.200,1:r0=0 1:r1=0,false,600",
        "45.200,1:r0=0 1:r1=&mutex,false,10",
        "45.200,1:r0=2 1:r1=0,true,80",
        "45.200,1:r0=2 1:r1=&mutex,false,410",
    ];
    assert_eq!(found, wanted.map(|line| format!("{about},{line}")));
    // Records of versions that did not count outcomes at each skew.
    let mut old = small::run();
    old.results[1].skews.iter_mut().for_each(|skew| skew.outcomes.clear());
    small::complete(&mut old);
    let path = folder.path().join("old.json");
    fs::write(&path, old.json().unwrap()).unwrap();
    let all = lines(&exported(&["--window-csv"], &path));
    let found: Vec<String> =
        all.iter().filter(|line| line[3] == "S05-swapped").map(|line| line[6..].join(",")).collect();
    assert_eq!(
        found,
        ["-60.000,race,true,3", "-60.000,other,false,897", "45.200,race,true,80", "45.200,other,false,1020"]
    );
}

#[test]
fn every_line_of_last_writers() {
    let folder = tempfile::tempdir().unwrap();
    let [run, _] = files(folder.path());
    let all = lines(&exported(&["--last-writers-csv"], &run));
    let wanted = [
        "architecture,cpu_model,emulated,scenario,cpus,class,last_writers,prefetched,iterations,races",
        "x86_64,Example 9000,false,SB,0 2,core,x=P0 y=P1,false,300,201",
        "x86_64,Example 9000,false,SB,0 2,core,x=P1 y=P0,true,700,399",
        "x86_64,Example 9000,false,S05-swapped,0 2,core,__state=P0 blocked_on=P0,false,950,33",
        "x86_64,Example 9000,false,S05-swapped,0 2,core,__state=P0 blocked_on=P1,true,1050,50",
        "x86_64,Example 9000,false,S02-wmb,0 2,core,__state=P0 blocked_on=P1,false,3000,0",
    ];
    assert_eq!(all.iter().map(|line| line.join(",")).collect::<Vec<_>>(), wanted);
}

#[test]
fn every_column_of_the_protocol() {
    let folder = tempfile::tempdir().unwrap();
    let [_, protocol] = files(folder.path());
    let all = lines(&exported(&["--csv"], &protocol));
    let draft = &small::protocol().results[1];
    let wanted = [
        ("architecture", "x86_64"),
        ("cpu_model", "Example 9000"),
        ("emulated", "false"),
        ("profile", "draft"),
        ("mutant", ""),
        ("variant", "all"),
        ("store", "plain"),
        ("layout", "kernel-x86_64"),
        ("cpus", "0 2"),
        ("elapsed_s", "4"),
        ("rounds", "84"),
        ("acquired", "130"),
        ("issued", "2000"),
        ("no_match", "1100"),
        ("runnable", "370"),
        ("activated", "530"),
        ("dropped", "0"),
        ("matches", "900"),
        ("nulls", "27"),
        ("races", "13"),
        ("healed", "5"),
        ("unhealed", "1"),
        ("heal_p50_ns", &draft.heal_ns.p50.to_string()),
        ("heal_p99_ns", &draft.heal_ns.p99.to_string()),
        ("heal_max_ns", &draft.heal_ns.max.to_string()),
        ("rescued", "6"),
        ("stuck", ""),
        ("H1", "0"),
        ("H4", "6"),
        ("H6", "15"),
    ];
    for (heading, value) in wanted {
        let column = all[0].iter().position(|known| known == heading).unwrap_or_else(|| panic!("no {heading}"));
        assert_eq!(all[2][column], value, "{heading}");
    }
    assert_eq!(draft.heal_ns.p50.abs_diff(900), 3, "two significant digits are kept: {}", draft.heal_ns.p50);
}

#[test]
fn a_percentile_distribution_has_its_head_and_its_unit() {
    let folder = tempfile::tempdir().unwrap();
    let [run, protocol] = files(folder.path());
    let text = exported(&["--result", "S05-swapped", "--hgrm"], &run);
    let rows: Vec<&str> = text.lines().collect();
    assert_eq!(rows[0], "       Value     Percentile TotalCount 1/(1-Percentile)");
    assert_eq!((rows[1], rows[2]), ("", "      20.000 0.000000000000          1           1.00"));
    assert!(rows.contains(&"   12351.000 1.000000000000          5"), "{text}");
    assert!(text.contains("#[Max     =    12351.000, Total count    =            5]\n"), "{text}");
    // For the protocol, values are in nanoseconds.
    let text = exported(&["--result", "draft", "--hgrm"], &protocol);
    let max = small::protocol().results[1].heal_ns.max;
    assert!(text.contains(&format!("{:12.3} 1.000000000000          5\n", max as f64)), "{text}");
    // Without --result, the first result with a histogram is exported.
    assert_eq!(exported(&["--hgrm"], &run), exported(&["--result", "SB", "--hgrm"], &run));
}

#[test]
fn an_interval_log_says_what_its_values_are_and_when_they_were() {
    let folder = tempfile::tempdir().unwrap();
    let [run, protocol] = files(folder.path());
    let mut record = small::run();
    // The first result has no histogram. The lines of later results still begin at their own start times.
    record.results.swap(0, 2);
    small::complete(&mut record);
    fs::write(&run, record.json().unwrap()).unwrap();
    for (path, unit, wanted) in [
        (&run, "iterations", &[("S05-swapped", 3.5, 2.5, 12_351.0, 5), ("SB", 6.0, 1.5, 1003.0, 8)][..]),
        (&protocol, "ns", &[("draft", 2.5, 4.0, small::protocol().results[1].heal_ns.max as f64, 5)]),
    ] {
        let text = exported(&["--hlog"], path);
        let head = format!("#x86_64 Example 9000; values are {unit}\n");
        assert!(text.starts_with(&head), "{text}");
        let mut found = Vec::new();
        let mut started = None;
        for entry in IntervalLogIterator::new(text.as_bytes()) {
            match entry.unwrap() {
                LogEntry::StartTime(time) => started = Some(time.as_secs()),
                LogEntry::Interval(interval) => {
                    let gaps = record::Gaps { hdr_v2: interval.encoded_histogram().to_owned(), ..Default::default() };
                    let histogram = record::histogram(&gaps).unwrap().unwrap();
                    let name = interval.tag().unwrap().as_str().to_owned();
                    let (start, took) = (interval.start_timestamp().as_secs_f64(), interval.duration().as_secs_f64());
                    found.push((name, start, took, interval.max(), histogram.len()));
                }
                LogEntry::BaseTime(_) => {}
            }
        }
        let wanted: Vec<_> = wanted
            .iter()
            .map(|(name, start, took, max, count)| ((*name).to_owned(), *start, *took, *max, *count))
            .collect();
        assert_eq!(found, wanted);
        let seconds = if unit == "ns" { 1_795_458_741 } else { 1_795_628_665 };
        assert!(started.is_some_and(|started| started.abs_diff(seconds) <= 1), "{started:?}");
    }
}

#[test]
fn a_litmus_log_to_the_letter() {
    let folder = tempfile::tempdir().unwrap();
    let [run, _] = files(folder.path());
    let text = exported(&["--log"], &run);
    assert!(text.starts_with("wakerace 0.1.0 (0123456789ab)\n"), "{text}");
    // `import` needs no option for a log of wakerace.
    let log = folder.path().join("own.log");
    std::fs::write(&log, &text).unwrap();
    let read = common::wakerace_in(folder.path()).arg("import").arg(&log).output().unwrap();
    assert!(read.status.success(), "{}", String::from_utf8_lossy(&read.stderr));
    let record: serde_json::Value = serde_json::from_slice(&read.stdout).unwrap();
    let written: serde_json::Value = serde_json::from_str(&std::fs::read_to_string(&run).unwrap()).unwrap();
    for field in ["architecture", "cpu_model", "kernel"] {
        assert_eq!(record["host"][field], written["host"][field], "{field}");
    }
    let wanted = "Test S05-swapped Allowed\nHistogram (4 states)\n1100  :>1:r0=0; 1:r1=0;\n17    :>1:r0=0; 1:r1=mutex;\n\
                  83    *>1:r0=2; 1:r1=0;\n800   :>1:r0=2; 1:r1=mutex;\nOk\n\nWitnesses\nPositive: 83, Negative: 1917\n\
                  Condition exists (1:r0=2 /\\ 1:r1=0) is validated\nObservation S05-swapped Sometimes 83 1917\nTime S05-swapped 2.50\n\n";
    assert!(text.contains(wanted), "{text}");
    let zero = "No\n\nWitnesses\nPositive: 0, Negative: 3000\nCondition exists (1:r0=2 /\\ 1:r1=0) is NOT validated\n\
                Observation S02-wmb Never 0 3000\nTime S02-wmb 3.50\n\n";
    assert!(text.contains(zero), "{text}");
}

/// Every field that is written is read back.
#[test]
fn every_field_survives_writing_and_reading() {
    let value = serde_json::to_value(small::run()).unwrap();
    let read = small::read(&small::run());
    let record::AnyRecord::Run(read) = read else { panic!("a run") };
    assert_eq!(serde_json::to_value(&read).unwrap(), value);
    let seed = (read.results[1].seed, read.results[1].nice, read.results[1].line_transfer_ns);
    assert_eq!(seed, (71, -7, Some(33.5)));
    assert_eq!((read.tool.commit.as_str(), read.command.len()), ("0123456789ab", 4));
    let again = small::read(&small::protocol());
    let record::AnyRecord::Protocol(again) = again else { panic!("a record of the protocol") };
    assert_eq!(*again, small::protocol());
}

#[test]
fn a_page_with_an_address_has_the_picture_of_its_links_beside_it() {
    let folder = tempfile::tempdir().unwrap();
    let (record, _) = common::shipped();
    let wakerace = |args: &[&str]| common::wakerace_in(folder.path()).args(args).output().unwrap();
    let record = record.display().to_string();
    std::fs::create_dir(folder.path().join("pages")).unwrap();
    let report =
        |args: &[&str]| wakerace(&[&["report", &record, "-o", "page.html", "--pages", "pages"], args].concat());
    let output = report(&["--url", "https://example.org/races/page.html"]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let read = |name: &str| std::fs::read(folder.path().join(name)).unwrap();
    let stem = std::path::Path::new(&record).file_stem().unwrap().to_string_lossy().into_owned();
    let own = format!("pages/0001-{stem}");
    for page in ["page", &own] {
        let text = String::from_utf8(read(&format!("{page}.html"))).unwrap().replace("&#x2f;", "/");
        assert!(text.contains(&format!("og:image\" content=\"https://example.org/races/{page}.png\"")), "{page}");
        assert!(read(&format!("{page}.png")).starts_with(b"\x89PNG"), "{page}");
    }
    // A page of one record is drawn as without --pages, and links to the page of the record.
    let page = String::from_utf8(read("page.html")).unwrap();
    assert!(
        page.contains("id=\"windows\"")
            && page.replace("&#x2f;", "/").contains(&format!("<a href=\"{own}.html\">AMD EPYC"))
    );
    // The same picture by itself.
    assert_eq!(wakerace(&["export", "--png", &record]).stdout, read("page.png"));
    std::fs::remove_file(folder.path().join("page.png")).unwrap();
    let refused = report(&["--url", "page.html"]);
    let said = String::from_utf8_lossy(&refused.stderr);
    assert!(refused.status.code() == Some(2) && said.contains("'page.html' is not the address"), "{said}");
    assert!(!folder.path().join("page.png").exists());
}

#[test]
fn a_file_of_markdown_has_the_chart_beside_it() {
    let folder = tempfile::tempdir().unwrap();
    let (record, _) = common::shipped();
    let export = |args: &[&str]| {
        let output =
            common::wakerace_in(folder.path()).args(["export", "--markdown"]).arg(&record).args(args).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    let text = export(&[]);
    assert!(!text.contains("![") && text.contains("| SB |"), "{text}");
    export(&["-o", "an answer.md"]);
    let read = |name: &str| std::fs::read_to_string(folder.path().join(name)).unwrap();
    assert_eq!(read("an answer.md"), format!("![Rate of each test on each host](an%20answer.svg)\n\n{text}"));
    let chart = read("an answer.svg");
    assert!(chart.contains("width=\"1160\"") && chart.contains("data-test=\"SB\"") && chart.contains("--paper"));
}

#[test]
fn a_race_window_is_a_picture_of_its_own() {
    let folder = tempfile::tempdir().unwrap();
    let (newest, text) = common::shipped();
    let export = |args: &[&str]| {
        common::wakerace_in(folder.path()).args(["export", "--svg"]).arg(&newest).args(args).output().unwrap()
    };
    let picture = String::from_utf8(export(&["--result", "SB"]).stdout).unwrap();
    assert!(picture.starts_with("<svg ") && picture.trim_end().ends_with("</svg>"), "{}", &picture[..200]);
    assert!(picture.contains("SB: probability of the race"));
    assert!(picture.contains("width=\"800\"") && picture.contains("<style>") && picture.contains("--paper"));
    // The same points as the page: one for each skew that was measured and seen.
    let record: serde_json::Value = serde_json::from_str(&text).unwrap();
    let sb = record["results"].as_array().unwrap().iter().find(|result| result["scenario"] == "SB").unwrap();
    let seen = sb["skews"].as_array().unwrap().iter().filter(|skew| skew["races"].as_u64() > Some(0));
    for skew in seen {
        let point = format!("data-seen=\"{}\" data-of=\"{}\"", skew["races"], skew["iterations"]);
        assert!(picture.contains(&point), "{point}");
    }
    // Without a name: the first test that raced.
    let first = String::from_utf8(export(&[]).stdout).unwrap();
    assert!(first.contains("S05-swapped: probability of the race"));
    let wrong = export(&["--result", "nobody"]);
    let words = String::from_utf8(wrong.stderr).unwrap();
    assert!(
        wrong.status.code() == Some(2) && words.contains("no window of 'nobody'; the record has S01-as-is"),
        "{words}"
    );
}

#[test]
fn the_picture_of_the_readme_is_what_export_draws_of_the_record_of_its_table() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let record = "results/x86_64/amd-epyc-cpu-family-25-model-1-stepping-1/2026-11-26T093808Z.json";
    let readme = std::fs::read_to_string(root.join("README.md")).unwrap();
    let run = common::run(&std::fs::read_to_string(root.join(record)).unwrap());
    for result in &run.results {
        assert!(readme.contains(&wakerace::publish::count(result.iterations)), "the table has {}", result.scenario);
    }
    let output = common::wakerace()
        .current_dir(root)
        .args(["export", "--result", "S01-core+nt", "--svg", record])
        .output()
        .unwrap();
    let drawn = String::from_utf8(output.stdout).unwrap();
    let image = std::fs::read_to_string(root.join("docs/images/race-window.svg")).unwrap();
    assert!(
        drawn == image,
        "draw it anew: wakerace export --svg {record} --result S01-core+nt -o docs/images/race-window.svg"
    );
}

#[test]
fn csv_of_many_records_has_one_header_and_every_outcome_a_line() {
    let paths: Vec<_> =
        common::records().into_iter().filter(|path| !path.to_string_lossy().contains("protocol")).collect();
    let of = |option: &str| {
        let output = common::wakerace().args(["export", option]).args(&paths).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let mut reader = csv::Reader::from_reader(output.stdout.as_slice());
        let headings = reader.headers().unwrap().clone();
        (headings, reader.records().map(Result::unwrap).collect::<Vec<_>>())
    };
    let records: Vec<_> = paths.iter().map(|path| common::run(&std::fs::read_to_string(path).unwrap())).collect();
    let results = || records.iter().flat_map(|record| record.results.iter().map(move |result| (record, result)));
    let (headings, lines) = of("--csv");
    assert_eq!(lines.len(), results().count());
    let at = |heading: &str| headings.iter().position(|known| known == heading).unwrap();
    for (line, (record, result)) in lines.iter().zip(results()) {
        assert_eq!(
            (&line[at("scenario")], &line[at("kernel")]),
            (result.scenario.as_str(), record.host.kernel.as_str())
        );
        assert!(line[at("cpu_ids")].contains("cpu family=25; model="));
    }
    let (headings, lines) = of("--outcomes-csv");
    let at = |heading: &str| headings.iter().position(|known| known == heading).unwrap();
    let counts: Vec<String> =
        results().flat_map(|(_, result)| &result.outcomes).map(|one| one.count.to_string()).collect();
    assert_eq!(lines.iter().map(|line| line[at("count")].to_owned()).collect::<Vec<_>>(), counts);
    let raced =
        lines.iter().find(|line| &line[at("scenario")] == "S01-core+nt" && &line[at("race")] == "true").unwrap();
    assert_eq!((&raced[at("outcome")], &raced[at("words")]), ("1:r0=2 1:r1=0", "woken, and blocked_on seen empty"));
}

#[test]
fn every_command_that_takes_records_takes_folders() {
    let folder = tempfile::tempdir().unwrap();
    let runs = common::records().into_iter().filter(|path| !path.to_string_lossy().ends_with(".protocol.json"));
    let runs: Vec<PathBuf> = runs.rev().take(2).collect();
    fs::create_dir_all(folder.path().join("many/deeper")).unwrap();
    fs::create_dir(folder.path().join("one")).unwrap();
    fs::create_dir(folder.path().join("none")).unwrap();
    let copies = ["many/a.json", "many/deeper/b.json"].map(|name| folder.path().join(name));
    for (path, copy) in runs.iter().zip(&copies) {
        fs::copy(path, copy).unwrap();
    }
    fs::copy(common::shipped_protocol().0, folder.path().join("many/c.protocol.json")).unwrap();
    fs::copy(&runs[0], folder.path().join("one/a.json")).unwrap();
    let said = |args: &[&str]| {
        let output = common::wakerace_in(folder.path()).args(args).output().unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (output.status.code(), text(&output.stdout), text(&output.stderr))
    };
    let good = |args: &[&str]| {
        let (status, text, errors) = said(args);
        assert_eq!(status, Some(0), "{args:?}: {errors}");
        (text, errors)
    };
    for option in ["--csv", "--outcomes-csv"] {
        let (text, errors) = good(&["export", option, "many"]);
        assert_eq!(text, good(&["export", option, "many/a.json", "many/deeper/b.json"]).0, "{option}");
        // A file that is named twice is exported once.
        assert_eq!(text, good(&["export", option, "many", "many/a.json"]).0, "{option}");
        assert!(errors.contains("left out: 1 record of other commands"), "{errors}");
        let named = said(&["export", option, "many/a.json", "many/c.protocol.json"]);
        assert!(
            named.0 == Some(2) && named.2.contains("c.protocol.json: a record of `wakerace protocol`"),
            "{named:?}"
        );
    }
    for option in ["--mail", "--markdown"] {
        let (text, _) = good(&["export", option, "many"]);
        for one in ["many/a.json", "many/deeper/b.json", "many/c.protocol.json"] {
            assert!(text.contains(&good(&["export", option, one]).0) && text.contains(one), "{option} {one}: {text}");
        }
        assert_eq!(good(&["export", option, "one"]), good(&["export", option, "one/a.json"]));
    }
    for option in ["--log", "--window-csv", "--last-writers-csv", "--hgrm", "--hlog", "--svg"] {
        assert_eq!(good(&["export", option, "one"]).0, good(&["export", option, "one/a.json"]).0, "{option}");
        let many = said(&["export", option, "many"]);
        assert!(many.0 == Some(2) && many.2.contains(&format!("{option}: many holds 3 records")), "{many:?}");
    }
    let (first, second) = (good(&["merge", "one", "-o", "m.json"]), good(&["merge", "one/a.json", "-o", "m.json"]));
    assert_eq!(first, second);
    good(&["compare", "many"]);
    good(&["validate", "many"]);
    good(&["badge", "many"]);
    good(&["expect", "one"]);
    for args in [
        &["export", "--csv", "none"][..],
        &["export", "--mail", "none"],
        &["export", "--hlog", "none"],
        &["merge", "none", "-o", "m.json"],
        &["compare", "none"],
        &["report", "none", "-o", "page.html"],
    ] {
        let (status, _, errors) = said(args);
        assert!(status == Some(2) && errors.contains("none: no record (*.json) in this folder"), "{args:?}: {errors}");
    }
}
