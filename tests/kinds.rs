//! Kinds of core: what `wakerace run` plans on machines that have several, and how results on them are shown, read, compared
//! and added up.

mod common;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use assert_cmd::assert::OutputAssertExt;
use predicates::prelude::*;
use predicates::str::contains;
use wakerace::machine::Capture;
use wakerace::publish::{self, Publish as _};
use wakerace::record::{self, AnyRecord, Merger, Record};

use common::small::{self, another};
use common::{page, wakerace_in as wakerace};

/// Writes a capture of an arm64 machine in which every core has the last-level cache of its socket.
fn arm64(folder: &Path, name: &str, cpus: usize, socket: usize, midr: impl Fn(usize) -> (&'static str, u32)) {
    let block = |cpu: usize| format!("{}-{}", cpu / socket * socket, cpu / socket * socket + socket - 1);
    let online = format!("0-{}", cpus - 1);
    let mut files = BTreeMap::from([
        ("sys/devices/system/cpu/online".to_owned(), online.clone()),
        ("proc/sys/kernel/arch".to_owned(), "aarch64".to_owned()),
    ]);
    for cpu in 0..cpus {
        let (midr, capacity) = midr(cpu);
        for (file, text) in [
            ("topology/core_cpus_list", cpu.to_string()),
            ("topology/package_cpus_list", block(cpu)),
            ("cache/index0/level", "3".to_owned()),
            ("cache/index0/type", "Unified".to_owned()),
            ("cache/index0/shared_cpu_list", block(cpu)),
            ("regs/identification/midr_el1", midr.to_owned()),
            ("cpu_capacity", capacity.to_string()),
        ] {
            files.insert(format!("sys/devices/system/cpu/cpu{cpu}/{file}"), text);
        }
    }
    let capture = Capture { wakerace_capture: Capture::VERSION, allowed: online, files };
    fs::write(folder.join(name), serde_json::to_string(&capture).unwrap()).unwrap();
}

const X925: (&str, u32) = ("0x410fd851", 1024);
const A725: (&str, u32) = ("0x411fd871", 780);
const A520: (&str, u32) = ("0x411fd801", 260);

/// Writes the capture phone.json: four Cortex-A520, and four bigger cores, of which the last `big` are Cortex-X925.
fn phone(folder: &Path, big: usize) {
    arm64(folder, "phone.json", 8, 8, |cpu| match cpu {
        0..4 => A520,
        _ if cpu < 8 - big => A725,
        _ => X925,
    });
}

/// What `wakerace run` with these arguments says it would do.
fn plan(folder: &Path, args: &[&str]) -> String {
    let output = wakerace(folder).arg("run").args(args).assert().success();
    String::from_utf8(output.get_output().stdout.clone()).unwrap()
}

#[test]
fn a_dry_run_says_what_runs_where_on_each_kind() {
    let folder = tempfile::tempdir().unwrap();
    phone(folder.path(), 1);
    let text = plan(folder.path(), &["--topology", "phone.json"]);
    let first = "phone.json: aarch64, 8 CPUs online; nothing is measured\n7 tests, 56 runs, about 28 s\n";
    assert!(text.starts_with(first), "{text}");
    let lines: Vec<&str> = text.lines().skip(2).collect();
    let named = "SB, MP, SB+mbs, S01-as-is, S02-wmb, S03-store-release, S05-swapped";
    assert_eq!(lines[0], format!("  CPUs 7,4 (core, Cortex-X925 + Cortex-A725): {named}"));
    assert_eq!(lines[7], format!("  CPUs 1,2 (core, Cortex-A520): {named}"));
    assert_eq!(
        lines[8],
        "5 of 28 pairs of CPUs are used, one for each placement class and combination of kinds; --pairs 16 or --pairs all use more"
    );
    // Nothing was run, so nothing was saved.
    assert!(!folder.path().join("results").exists());

    let shown = wakerace(folder.path()).args(["topology", "--topology", "phone.json"]).assert().success();
    shown.stdout(
        contains("kinds of core, the biggest first:\n  Cortex-X925: CPUs 7\n  Cortex-A725: CPUs 4-6\n")
            .and(contains("2 threads: CPUs 7,4 (core, Cortex-X925 + Cortex-A725); 4,7 (core,")),
    );
}

#[test]
fn kinds_are_selected_by_name() {
    let folder = tempfile::tempdir().unwrap();
    phone(folder.path(), 1);
    let with =
        |args: &[&str]| plan(folder.path(), &[&["SB", "--no-controls", "--topology", "phone.json"], args].concat());
    let lines = |text: &str| text.lines().filter(|line| line.starts_with("  CPUs")).count();
    let text = with(&["--kinds", "a520+x925,A725"]);
    assert!(text.contains("CPUs 1,7 (core, Cortex-A520 + Cortex-X925): SB"), "{text}");
    assert!(text.contains("CPUs 4,5 (core, Cortex-A725): SB") && lines(&text) == 2, "{text}");
    // Pairs of CPUs of these kinds alone, P0 on the first.
    let text = with(&["--kinds", "A725+A520", "--pairs", "all"]);
    assert!(text.contains("CPUs 4,0 (core, Cortex-A725 + Cortex-A520): SB") && lines(&text) == 12, "{text}");
    let text = with(&["--pairs", "all"]);
    assert!(text.contains("CPUs 7,0 (core, Cortex-X925 + Cortex-A520): SB") && lines(&text) == 28, "{text}");
    // The pairs of each of two tests take at least seven rounds.
    let text = plan(folder.path(), &["SB", "MP", "--no-controls", "--topology", "phone.json", "--pairs", "all"]);
    let rounds = text.split(", in ").nth(1).and_then(|rest| rest.split(' ').next()).unwrap();
    assert!(text.contains("2 tests, 56 runs, in ") && rounds.parse::<usize>().unwrap() >= 14, "{text}");
    assert_eq!(lines(&with(&["--pairs", "1"])), 5, "one pair for each class and pair of kinds");
    let wrong = |args: &[&str], words: &str| {
        let all = [&["run", "SB", "--topology", "phone.json"], args].concat();
        wakerace(folder.path()).args(all).assert().code(2).stderr(contains(words));
    };
    wrong(&["--kinds", "A78"], "SB: --kinds: there is no kind of core 'A78'");
    wrong(&["--kinds", "Cortex"], "'Cortex' is ambiguous; the kinds are Cortex-X925, Cortex-A725, Cortex-A520");
    wrong(&["--kinds", "X925"], "2 threads need CPUs of placement class");
    wrong(&["--kinds", "X925", "--pairs", "all"], "--kinds selects no pair of CPUs");
    wrong(&["-c", "9"], "CPU 9 does not exist or is offline");
}

/// The default run ends in about half a minute on any machine, and says what it left out.
#[test]
fn the_default_run_leaves_out_what_does_not_fit() {
    let folder = tempfile::tempdir().unwrap();
    arm64(folder.path(), "server.json", 192, 96, |_| ("0x413fd0c1", 1024));
    let text = plan(folder.path(), &["--topology", "server.json"]);
    assert!(text.contains("7 tests, 14 runs, about 28 s\n"), "{text}");
    assert!(text.contains("2 of 18,336 pairs of CPUs are used, one for each placement class"), "{text}");
    // All pairs take a while, and it is said how long.
    let text = plan(folder.path(), &["--topology", "server.json", "SB", "--no-controls", "--pairs", "all", "-d", "1s"]);
    let line = text.lines().nth(1).unwrap();
    let number = |before: &str| -> usize {
        let rest = &line[line.find(before).unwrap() + before.len()..];
        rest.split(' ').next().unwrap().parse().unwrap()
    };
    // A round has at most 96 pairs. The search needs at most twice the fewest rounds.
    assert!(line.starts_with("1 test, 18,336 runs, in ") && (191..=382).contains(&number(", in ")), "{line}");
    assert_eq!(number(", about "), (number(", in ") as f64 / 60.0).round() as usize, "{line}");
    assert!(text.contains("and 18,236 more runs"), "{text}");

    // Nine combinations of kinds for each of seven tests would take 32 s.
    phone(folder.path(), 2);
    let text = plan(folder.path(), &["--topology", "phone.json"]);
    assert!(text.contains("7 tests, 56 runs, about 28 s\n"), "{text}");
    let left_out = "left out, to end in about half a minute: CPUs 1,4 (core, Cortex-A520 + Cortex-A725); -d, --placement or \
                    --kinds select them\n";
    assert!(text.contains(left_out), "{text}");
    for args in [&["-d", "1s"][..], &["-n", "1e6"], &["SB", "MP", "S01-as-is", "S02-wmb", "S05-swapped", "S12-heal"]] {
        let text = plan(folder.path(), &[&["--topology", "phone.json"], args].concat());
        assert!(!text.contains("left out") && text.contains("CPUs 1,4 (core,"), "{args:?}: {text}");
    }
}

#[test]
fn a_dry_run_of_this_host_measures_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let run =
        wakerace(folder.path()).args(["run", "--dry-run", "--oversubscribe", "SB", "-d", "100h"]).assert().success();
    run.stdout(contains("this host: ").and(contains("nothing is measured")).and(contains("hours\n")));
    assert!(!folder.path().join("results").exists());
    let absent = wakerace(folder.path()).args(["run", "--topology", "absent.json"]).assert();
    absent.code(2).stderr(contains("absent.json"));
}

/// A record of a host with two kinds of core. The first test ran on one of each, the others on two big ones.
fn two_kinds() -> Record {
    let mut record = small::run();
    record.host.core_types =
        BTreeMap::from([("Big-1".to_owned(), "0-2".to_owned()), ("Little-1".to_owned(), "3".to_owned())]);
    for (number, result) in record.results.iter_mut().enumerate() {
        let (cpus, kinds) = if number == 0 { ([3, 0], ["Little-1", "Big-1"]) } else { ([0, 2], ["Big-1", "Big-1"]) };
        result.placement.cpus = cpus.to_vec();
        result.placement.kinds = kinds.map(str::to_owned).to_vec();
        result.counters.iter_mut().for_each(|counter| counter.cpu = cpus[1]);
    }
    small::complete(&mut record);
    assert_eq!(record::problems(&record), Vec::<String>::new());
    record
}

#[test]
fn kinds_are_named_where_there_are_several() {
    let record = two_kinds();
    for text in [record.table(), record.markdown()] {
        assert!(text.contains("3,0 core (Little-1 + Big-1)") && text.contains("0,2 core (Big-1)"), "{text}");
    }
    assert!(record.summary().contains("CPUs 0,2 (core, Big-1)"), "{}", record.summary());
    let html = page(&record);
    assert!(html.contains("core, Little-1 + Big-1, CPUs 3,0") && html.contains("core, Big-1, CPUs 0,2"));
    let csv = record.csv().unwrap();
    let kinds: Vec<&str> = csv.lines().skip(1).map(|line| line.rsplit(',').nth(6).unwrap()).collect();
    assert!(csv.lines().next().unwrap().ends_with(",machine,label"), "{csv}");
    assert_eq!(kinds, ["Little-1 + Big-1", "Big-1 + Big-1", "Big-1 + Big-1"]);
    // A host with one kind of core has no kinds anywhere.
    let one = small::run();
    for text in [one.table(), one.markdown(), one.summary(), one.json().unwrap()] {
        assert!(!text.contains("\"kinds\"") && !text.contains("core ("), "{text}");
    }
    assert!(page(&one).contains("core, CPUs 0,2"));
}

#[test]
fn kinds_are_those_of_the_host() {
    let record = two_kinds();
    // A program that did not write them: they follow from the host.
    let mut old = serde_json::to_value(&record).unwrap();
    for result in old["results"].as_array_mut().unwrap() {
        result["placement"].as_object_mut().unwrap().remove("kinds");
    }
    let AnyRecord::Run(read) = record::read("old.json", &old.to_string()).unwrap() else { panic!("a run") };
    assert_eq!(*read, record);
    let problem = |kinds: &[&str]| {
        let mut wrong = record.clone();
        wrong.results[0].placement.kinds = kinds.iter().map(|kind| (*kind).to_owned()).collect();
        record::problems(&wrong).join("\n")
    };
    let swapped = problem(&["Big-1", "Little-1"]);
    let words = "results[0].placement.kinds: is Big-1, Little-1; host.core_types gives Little-1, Big-1";
    assert!(swapped.contains(words), "{swapped}");
    assert!(problem(&["Little-1"]).contains("results[0].placement.kinds: has 1 kinds; there are 2 CPUs"));
    assert!(problem(&[]).contains("results[0].placement.kinds: is absent"));
}

#[test]
fn like_is_compared_with_like() {
    let classes = |a: &Record, b: &Record| {
        let compared = publish::compare(&[a.clone(), b.clone()]);
        compared.into_iter().map(|c| (c.scenario, c.class)).collect::<Vec<_>>()
    };
    let line = |scenario: &str, class: &str| (scenario.to_owned(), class.to_owned());
    let both = two_kinds();
    let all =
        [line("SB", "core, Little-1 + Big-1"), line("S05-swapped", "core, Big-1"), line("S02-wmb", "core, Big-1")];
    assert_eq!(classes(&both, &both), all);
    // P0 on the other kind is another placement.
    let mut reverse = both.clone();
    reverse.results[0].placement.cpus.reverse();
    reverse.results[0].placement.kinds.reverse();
    assert_eq!(classes(&both, &reverse), all[1..]);
    // A host whose only kind is one of them is compared with that one.
    let mut big = small::run();
    big.host.core_types = BTreeMap::from([("Big-1".to_owned(), "0-3".to_owned())]);
    for (a, b) in [(&both, &big), (&big, &both)] {
        assert_eq!(classes(a, b), all[1..]);
    }
    // Hosts of one kind each are always compared, whatever they are.
    let mut other = small::run();
    other.host.core_types = BTreeMap::from([("Other-9".to_owned(), "0-3".to_owned())]);
    assert_eq!(classes(&big, &other).len(), 3);
    assert_eq!(classes(&big, &other)[0], line("SB", "core"));
    assert_eq!(classes(&both, &other), []);
}

#[test]
fn a_sum_has_a_result_for_each_combination_of_kinds() {
    let both = two_kinds();
    let mut merger = Merger::new("a.json", both.clone()).unwrap();
    merger.add("b.json", another(both.clone())).unwrap();
    let mut single = another(another(small::run()));
    single.id = "1".repeat(32);
    merger.add("c.json", single).unwrap();
    let sum = merger.finish();
    assert_eq!(record::problems(&sum), Vec::<String>::new());
    let of = |kinds: &[&str]| {
        let results = sum.results.iter().filter(|result| result.placement.kinds == kinds);
        results.map(|result| (result.scenario.clone(), result.repeats.len())).collect::<Vec<_>>()
    };
    let line = |scenario: &str, parts| (scenario.to_owned(), parts);
    assert_eq!(of(&["Little-1", "Big-1"]), [line("SB", 2)]);
    assert_eq!(of(&["Big-1", "Big-1"]), [line("S05-swapped", 2), line("S02-wmb", 2)]);
    assert_eq!(of(&[]), [line("SB", 0), line("S05-swapped", 0), line("S02-wmb", 0)]);
    let AnyRecord::Run(read) = record::read("sum.json", &serde_json::to_string(&sum).unwrap()).unwrap() else {
        panic!()
    };
    assert_eq!(*read, sum, "the kinds of a sum are not derived from the first host");
}
