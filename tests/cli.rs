//! Tests of the command line: what the program prints, writes and refuses, and how it ends when it is
//! interrupted or killed.

mod common;

use std::fs;
use std::io::Read;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use assert_cmd::assert::OutputAssertExt;
use common::wakerace_in as wakerace;
use predicates::prelude::*;
use predicates::str::contains;
use serde_json::Value;
use wakerace::arch::Arch;
use wakerace::harness::Goal;
use wakerace::machine::allowed_cpus;
use wakerace::record::{Record, ScenarioResult, Warning};

/// The architecture these tests run on.
fn arch() -> Arch {
    Arch::host().unwrap()
}

/// Options that make a run short and leave no results behind.
const SHORT: [&str; 4] = ["-n", "20000", "--no-save", "--oversubscribe"];

fn folder() -> tempfile::TempDir {
    tempfile::tempdir().unwrap()
}

fn write(folder: &Path, name: &str, text: impl AsRef<[u8]>) -> String {
    let path = folder.join(name);
    fs::write(&path, text).unwrap();
    path.display().to_string()
}

const ALWAYS: &str = "P0(int *x) { WRITE_ONCE(*x, 1); }\nP1(int *x) { int r0; r0 = READ_ONCE(*x); }\nexists (x=1)";

/// Reads a record as plain JSON and through its types, checks that its counts add up, and returns it.
fn check_record(path: &Path) -> Record {
    let text = fs::read_to_string(path).unwrap();
    let plain: Value = serde_json::from_str(&text).unwrap();
    assert_eq!((plain["schema"].as_str(), plain["version"].as_u64()), (Some("wakerace/2"), Some(2)));
    let record: Record = serde_json::from_str(&text).unwrap();
    for result in &record.results {
        let sum: u64 = result.outcomes.iter().map(|outcome| outcome.count).sum();
        assert_eq!(sum, result.iterations, "{}", result.scenario);
        let races: u64 = result.outcomes.iter().filter(|outcome| outcome.satisfies).map(|outcome| outcome.count).sum();
        assert_eq!(races, result.races, "{}", result.scenario);
        let by_skew: u64 = result.skews.iter().map(|skew| skew.iterations).sum();
        assert_eq!(by_skew, result.iterations, "{}", result.scenario);
    }
    record
}

fn saved_records(folder: &Path) -> Vec<std::path::PathBuf> {
    let mut found = Vec::new();
    let mut open = vec![folder.join("results")];
    while let Some(path) = open.pop() {
        for entry in fs::read_dir(path).into_iter().flatten().flatten() {
            if entry.path().is_dir() { open.push(entry.path()) } else { found.push(entry.path()) }
        }
    }
    found
}

#[test]
fn list_show_and_topology_print_what_they_should() {
    let folder = folder();
    wakerace(folder.path())
        .arg("list")
        .assert()
        .success()
        .stdout(contains("S01-as-is").and(contains("S02-wmb")).and(contains("x86_64")).and(contains("Sometimes")));
    wakerace(folder.path()).args(["list", "fixes"]).assert().success().stdout(contains("S01-as-is").not());
    wakerace(folder.path()).args(["show", "S01-as-is"]).assert().success().stdout(
        contains("WRITE_ONCE(*blocked_on, mutex);")
            .and(contains("store_once(blocked_on, &mutex)"))
            .and(contains("wait for the clock"))
            .and(contains("out of line")),
    );
    wakerace(folder.path())
        .args(["show", "S01-as-is", "--pace", "free", "--layout", "kernel-aarch64"])
        .assert()
        .success();
    wakerace(folder.path()).args(["show", "S01-as-is", "--arch", "z80"]).assert().code(2).stderr(contains("aarch64"));
    wakerace(folder.path()).arg("topology").assert().success().stdout(contains("placements").and(contains("clock")));
}

#[test]
fn every_scenario_runs_and_no_forbidden_outcome_is_seen() {
    let folder = folder();
    let path = folder.path().join("all.json");
    let groups = wakerace::catalogue::GROUPS;
    let paced: &[&str] = &["--pace", "paced", "--period", "300ns", "--skew", "-60..60/7"];
    for (pace, options) in [("free", &["--pace", "free"][..]), ("paced", paced)] {
        let mut command = wakerace(folder.path());
        command.arg("run").args(groups).args(SHORT).args(options).arg("--export-json").arg(&path);
        command.assert().success();
        let record = check_record(&path);
        let here = wakerace::catalogue::all().unwrap();
        assert_eq!(record.results.len(), here.iter().filter(|scenario| scenario.refused_by(arch()).is_none()).count());
        assert!(record.results.iter().all(|result| result.iterations == 20_000 && result.pace.mode == pace));
    }
}

#[test]
fn the_table_and_all_exports_tell_the_same() {
    let folder = folder();
    let (csv, markdown) = (folder.path().join("r.csv"), folder.path().join("r.md"));
    let mut command = wakerace(folder.path());
    command.args(["run", "SB", "S01-as-is", "-q", "-n", "1e5", "--no-save", "--oversubscribe", "--export-json", "-"]);
    command.arg("--export-csv").arg(&csv).arg("--export-markdown").arg(&markdown);
    let output = command.output().unwrap();
    assert!(output.status.success());
    // With an export on standard output, the table goes to standard error.
    let record: Record = serde_json::from_slice(&output.stdout).unwrap();
    let table = String::from_utf8(output.stderr).unwrap();
    let csv = fs::read_to_string(csv).unwrap();
    let markdown = fs::read_to_string(markdown).unwrap();
    assert_eq!(csv.lines().count(), record.results.len() + 1);
    for result in &record.results {
        let races = wakerace::publish::count(result.races);
        let line =
            |text: &str| text.lines().find(|line| line.contains(&format!("{} ", result.scenario))).map(str::to_owned);
        assert!(line(&table).unwrap().contains(&races), "{table}");
        assert!(line(&markdown).unwrap().contains(&races), "{markdown}");
        assert!(csv.contains(&format!(",{},{},", result.scenario, result.group)), "{csv}");
    }
    assert_eq!(record.command[1], "run");
    assert_eq!(record.tool.version, env!("CARGO_PKG_VERSION"));
    assert!(!record.host.kernel.is_empty() && !record.host.cpus_online.is_empty());
}

#[test]
fn a_run_is_kept_by_default_and_says_where() {
    let folder = folder();
    let mut command = wakerace(folder.path());
    command.args(["run", "SB", "-n", "1000", "--no-controls", "--oversubscribe"]);
    command.assert().success().stdout(contains(format!("record: results/{}/", arch())));
    let saved = saved_records(folder.path());
    let named = |extension: &str| {
        let mut found = saved.iter().filter(|path| path.extension().is_some_and(|known| known == extension));
        let only = found.next().unwrap_or_else(|| panic!("no {extension}: {saved:?}"));
        assert!(found.next().is_none(), "{saved:?}");
        only
    };
    assert_eq!(check_record(named("json")).results.len(), 1);
    let page = fs::read_to_string(named("html")).unwrap();
    assert!(
        page.contains("1,000") && page.contains(&named("json").file_name().unwrap().to_string_lossy().into_owned())
    );
}

/// The number of CPUs this process may use; panics if there are fewer than two.
fn two_cpus() -> usize {
    let cpus = std::thread::available_parallelism().unwrap().get();
    assert!(cpus >= 2, "this test needs two CPUs, and this process may use {cpus}");
    cpus
}

#[test]
#[cfg_attr(not(two_cpus), ignore = "needs two CPUs")]
fn pairs_of_cpus_run_side_by_side() {
    let folder = folder();
    let path = folder.path().join("r.json");
    let cpus = two_cpus();
    let mut command = wakerace(folder.path());
    command
        .args(["run", "SB", "--no-controls", "--pairs", "all", "-n", "5000", "--no-save", "--export-json"])
        .arg(&path);
    command.assert().success();
    let record = check_record(&path);
    assert!(record.results.len() <= cpus * (cpus - 1) / 2 && !record.results.is_empty());
    assert!(record.results.iter().all(|result| result.iterations == 5000));
    let mut pairs: Vec<_> = record.results.iter().map(|result| result.placement.cpus.clone()).collect();
    pairs.sort();
    pairs.dedup();
    assert_eq!(pairs.len(), record.results.len(), "each pair once");
}

#[test]
fn pairs_that_cannot_be_are_refused() {
    let folder = folder();
    let mut command = wakerace(folder.path());
    command.args(["run", "SB", "--pairs", "none"]).assert().code(2).stderr(contains("is not a number of pairs"));
    let mut command = confined(folder.path());
    command.args(["run", "SB", "--pairs", "all"]).assert().code(2).stderr(contains("--pairs needs two CPUs"));
}

#[test]
fn a_window_is_swept_evenly_and_drawn() {
    let folder = folder();
    let path = folder.path().join("r.json");
    let mut command = wakerace(folder.path());
    command.args([
        "run",
        "SB",
        "--no-controls",
        "--oversubscribe",
        "--window=-40..40/5",
        "--batch",
        "16",
        "-n",
        "1600",
    ]);
    command.args(["--period", "2us", "--no-save", "--export-json"]).arg(&path);
    command.assert().success().stdout(contains("race windows:").and(contains("races   |")));
    let record = check_record(&path);
    let each: Vec<u64> = record.results[0].skews.iter().map(|skew| skew.iterations).collect();
    assert_eq!(each.iter().sum::<u64>(), 1600);
    // 320 each. Where the distance between the CPUs changes, the sweep begins anew.
    assert!(each.len() == 5 && each.iter().all(|count| (240..=400).contains(count)), "{each:?}");
    assert!(!record.results[0].pace.focused && record.results[0].pace.given_skews);
}

#[test]
fn instances_run_in_groups_and_densely_lose_none() {
    let folder = folder();
    let path = folder.path().join("r.json");
    for layout in ["padded", "packed", "dense"] {
        for (group, prefetch) in [("1", false), ("7", true), ("64", true)] {
            let mut command = wakerace(folder.path());
            command.args([
                "run",
                "S01-as-is",
                "--no-controls",
                "--oversubscribe",
                "--pace",
                "paced",
                "--period",
                "5us",
            ]);
            command
                .args(["--layout", layout, "--group", group, "-n", "12345", "--no-save", "--export-json"])
                .arg(&path);
            command.args(prefetch.then_some("--prefetch")).assert().success();
            let record = check_record(&path);
            assert_eq!((record.results[0].iterations, record.results[0].races), (12_345, 0), "{layout} {group}");
            assert_eq!(record.results[0].pace.group.to_string(), group);
        }
    }
}

#[test]
#[cfg_attr(not(two_cpus), ignore = "needs two CPUs")]
fn a_tuned_profile_is_taken_named_and_refused_elsewhere() {
    two_cpus();
    let folder = folder();
    let (profile, path) = (folder.path().join("profile.json"), folder.path().join("r.json"));
    // With too little time nothing is compared, and nothing is saved.
    let mut command = wakerace(folder.path());
    command.args(["tune", "SB", "-d", "20ms", "-q", "-o"]).arg(&profile);
    command.assert().code(2).stderr(contains("-d 20ms: too short"));
    assert!(!profile.exists());
    // A busy machine needs more time for the same number of turns.
    let tuned = |home: &Path, more: &[&str]| {
        let mut tries = ["300ms", "1s", "4s", "16s"].into_iter().map(|time| {
            let mut command = wakerace(folder.path());
            command.env("XDG_CONFIG_HOME", home).args(["tune", "SB", "-q", "-d", time]).args(more);
            command.output().unwrap()
        });
        let output = tries.find(|output| output.status.success()).expect("enough time for two turns");
        String::from_utf8(output.stdout).unwrap()
    };
    let words = tuned(folder.path(), &["-o", profile.to_str().unwrap()]);
    assert!(words.contains("tuned on SB") && words.contains("profile.json"), "{words}");
    // The words of `run`, and the distance if it was measured.
    assert!(words.contains("per tick") || words.contains("free") || words.contains("the default settings"), "{words}");
    assert!(!words.contains("group "), "{words}");
    let run = |more: &[&str]| {
        let mut command = wakerace(folder.path());
        command.args(["run", "SB", "--no-controls", "-n", "50000", "--no-save", "--export-json"]).arg(&path);
        command.arg("--profile").arg(&profile).args(more);
        command
    };
    run(&[]).assert().success().stderr(contains("run may use settings that `tune` or earlier runs found"));
    let record = check_record(&path);
    assert!(record.results[0].pace.profile.as_ref().is_some_and(|profile| profile.starts_with("tuned on SB")));
    // A run begins with what `tune` has chosen, and searches only where the CPUs are at another distance.
    let saved = wakerace::profile::TuningProfile::read(&profile, &record.host).unwrap();
    let wanted = &saved.tuned[0];
    assert!(wanted.distance_ns.is_some() && wanted.reach.is_some(), "{wanted:?}");
    fs::remove_file(&path).unwrap();
    run(&[]).assert().success();
    let result = &check_record(&path).results[0];
    assert!(result.search.is_none() && result.layout.kind == wanted.settings.layout, "{wanted:?}");
    assert_eq!((&result.pace.mode, result.pace.searched), (&wanted.settings.pace, wanted.distance_ns.is_some()));
    assert!(wanted.settings.group.is_none_or(|group| result.pace.group == group), "{wanted:?}");
    for option in [
        "--window",
        "--window=-9..9/3",
        "--atomics=llsc",
        "--pace=free",
        "--layout=padded",
        "--batch=64",
        "--prefetch=on",
    ] {
        let long = option.split('=').next().unwrap();
        run(&[option]).assert().code(2).stderr(contains("--profile").and(contains(long)));
    }
    // If an option conflicts with the host's own profile, wakerace does not use the profile and says so.
    let own = folder.path().join("home");
    tuned(&own, &[]);
    for (more, taken) in [(&[][..], true), (&["--window=-9ns..9ns/3"], false), (&["--profile", "none"], false)] {
        let mut command = wakerace(folder.path());
        command.env("XDG_CONFIG_HOME", &own).args(["run", "SB", "--no-controls", "-n", "2e4", "--no-save"]);
        let output = command.args(["--export-json"]).arg(&path).args(more).output().unwrap();
        let words = String::from_utf8(output.stderr).unwrap();
        let record = check_record(&path);
        assert_eq!(record.results[0].pace.profile.is_some(), taken, "{more:?}: {words}");
        assert_eq!(words.contains("profile is not used, because of --window"), more.len() == 1, "{words}");
        if more.len() == 1 {
            assert_eq!(record.results[0].skews.len(), 3);
        }
    }
    run(&["--group", "2"]).assert().code(2).stderr(contains("--profile").and(contains("--group")));
    let text = fs::read_to_string(&profile).unwrap();
    fs::write(&profile, text.replace("\"host\": \"", "\"host\": \"not-")).unwrap();
    run(&[]).assert().code(2).stderr(contains("and this host is"));
    fs::write(&profile, "{").unwrap();
    run(&[]).assert().code(2).stderr(contains("profile.json:1:"));
}

/// A run keeps what its search found, for the runs after it. Where the CPUs are at another distance by then, these search too.
#[test]
#[cfg_attr(not(two_cpus), ignore = "needs two CPUs")]
fn what_a_search_found_is_kept_for_later_runs() {
    two_cpus();
    let folder = folder();
    let path = folder.path().join("r.json");
    let cache = folder.path().join(".cache/wakerace");
    let run = |more: &[&str]| {
        let _ = fs::remove_file(&path);
        let mut command = wakerace(folder.path());
        command.args(["run", "SB", "--no-controls", "-d", "1s", "--export-json"]).arg(&path).args(more);
        let output = command.assert().success().get_output().clone();
        let words = String::from_utf8(output.stderr).unwrap();
        let result = check_record(&path).results.swap_remove(0);
        (result, words.contains("1 run may use settings that `tune` or earlier runs found"), words)
    };
    let kept = || -> Option<(PathBuf, wakerace::profile::kept::KeptSettings)> {
        // A lock is beside it.
        let mut files = fs::read_dir(&cache).ok()?.map(|entry| entry.unwrap().path());
        let file = files.find(|path| path.extension().is_some_and(|extension| extension == "json"))?;
        let host = check_record(&path).host;
        Some((file.clone(), wakerace::profile::kept::KeptSettings::read(&file, &host).unwrap()))
    };
    // Neither a run that saves nothing nor one with a setting of its own keeps what it found.
    for more in [&["--no-save"][..], &["--layout", "padded"]] {
        let (result, used, words) = run(more);
        assert!(result.search.is_some() && !used && kept().is_none(), "{more:?}: {words}");
    }
    let (first, used, words) = run(&[]);
    assert!(first.search.is_some() && !used, "{words}");
    let (file, all) = kept().expect("what was found is kept");
    let found = &all.kept[0];
    assert_eq!((found.scenario.as_str(), &found.source_sha256), ("SB", &first.source_sha256));
    // It had half of its time at this distance, or more.
    assert!(found.cpus == first.placement.cpus && found.searched_s >= 0.1, "{found:?}");
    let distance = first.search.as_ref().unwrap().distance_ns;
    assert!(all.kept.iter().any(|kept| kept.distance_ns == distance && kept.settings.layout == first.layout.kind));
    let (second, used, words) = run(&[]);
    assert!(used, "{words}");
    // A run that searched, because the CPUs are elsewhere, has nothing of the earlier one.
    assert_eq!(second.pace.profile.as_deref(), second.search.is_none().then_some("found by an earlier run"));
    if second.search.is_none() {
        let begun = |kept: &&wakerace::profile::kept::Kept| kept.settings.layout == second.layout.kind;
        assert!(all.kept.iter().any(|kept| begun(&kept)), "{all:?}");
    }
    // An older search is known, and a search that is asked for replaces it.
    let (third, used, _) = run(&["--profile", "none"]);
    assert!(!used && third.search.is_some() && third.pace.profile.is_none());
    let now = kept().unwrap().1;
    assert!(now.kept.iter().any(|kept| kept.when > found.when), "{now:?}");
    // A search of a much shorter time does not stand for a longer one.
    let mut short = now.clone();
    short.kept.iter_mut().for_each(|kept| kept.searched_s = 0.05);
    short.write(&file).unwrap();
    let (long, used, _) = run(&[]);
    assert!(!used && long.search.is_some());
    assert!(kept().unwrap().1.kept.iter().any(|kept| kept.searched_s >= 0.1));
    // Neither a run of a number of instances nor one that ends early uses it.
    for more in [&["-n", "20000"][..], &["--stop-after-races", "1000000000"]] {
        assert!(!run(more).1, "{more:?}");
    }
    // What cannot be read is named, and made again.
    for (text, wrong) in [("{", ":1:1: the file is cut short"), ("[]", ":1:2: not a file of kept settings")] {
        fs::write(&file, text).unwrap();
        let (_, used, words) = run(&[]);
        assert!(!used && words.contains("what earlier runs found is not used: ") && words.contains(wrong), "{words}");
        assert!(!kept().unwrap().1.kept.is_empty());
    }
    let mut wrong = now.clone();
    wrong.kept[0].settings.layout = "round".to_owned();
    wrong.write(&file).unwrap();
    // The settings of other tests stay, and those that cannot be used are replaced.
    wrong.kept.push(wakerace::profile::kept::Kept { source_sha256: "0".repeat(64), ..now.kept[0].clone() });
    wrong.write(&file).unwrap();
    let (_, _, words) = run(&[]);
    assert!(words.contains("what earlier runs found is not used: ") && words.contains("SB: unknown layout"), "{words}");
    assert!(kept().unwrap().1.kept.iter().any(|kept| kept.source_sha256 == "0".repeat(64)));
    // Without a place for it, it is not kept, and the run is none the worse.
    fs::remove_dir_all(&cache).unwrap();
    fs::write(&cache, "").unwrap();
    assert!(run(&[]).2.contains("what the searches found is not kept for later runs: "));
}

#[test]
fn line_transfers_and_stress_are_measured_and_recorded() {
    let folder = folder();
    let mut command = wakerace(folder.path());
    command.args(["topology", "--latency=1"]).assert().success().stdout(contains("cache-line transfer latency"));
    let mut command = wakerace(folder.path());
    command.args(["topology", "--latency", "--pairs", "all", "--export-csv", "m.csv", "--export-svg", "m.svg"]);
    command.assert().success();
    let matrix = fs::read_to_string(folder.path().join("m.csv")).unwrap();
    for (number, line) in matrix.lines().enumerate() {
        let cells: Vec<&str> = line.split(',').collect();
        assert_eq!(cells.len(), matrix.lines().count(), "{matrix}");
        let values = cells.iter().filter(|cell| cell.parse::<f64>().is_ok_and(|ns| ns > 0.0)).count();
        assert!(values == number && cells[number..].iter().all(|cell| cell.is_empty()), "{matrix}");
    }
    assert!(fs::read_to_string(folder.path().join("m.svg")).unwrap().starts_with("<svg "));
    wakerace(folder.path()).args(["topology", "--pairs", "2"]).assert().code(2).stderr(contains("--latency"));
    let path = folder.path().join("r.json");
    let mut command = wakerace(folder.path());
    command.args(["run", "SB", "--no-controls", "--oversubscribe", "-n", "1000", "--stress", "memory", "--no-save"]);
    command.arg("--export-json").arg(&path).assert().success();
    assert_eq!(check_record(&path).results[0].stress.as_deref(), Some("memory"));
    let mut command = wakerace(folder.path());
    command.args(["run", "--stress", "heat"]).assert().code(2).stderr(contains("known are memory, sets"));
}

#[test]
fn every_architecture_is_shown_on_every_host() {
    let folder = folder();
    for (arch, words) in
        [("x86_64", "lock cmpxchg"), ("aarch64", "casa"), ("powerpc64le", "lwarx"), ("riscv64gc", "lr.w")]
    {
        let mut command = wakerace(folder.path());
        command.args(["show", "--arch", arch, "--atomics", "lse", "S01-as-is"]);
        command.assert().success().stdout(contains(words));
    }
    let mut command = wakerace(folder.path());
    command.args(["show", "--arch", "aarch64", "--atomics", "llsc", "S01-as-is"]);
    command.assert().success().stdout(contains("ldaxr").and(contains("casa").not()));
    let mut command = wakerace(folder.path());
    command.args(["show", "--arch", "powerpc64le", "S01-core+nt"]);
    command.assert().code(2).stderr(contains("non-temporal store").and(contains("powerpc64le")));
}

#[test]
fn the_lock_is_a_choice() {
    let folder = folder();
    let of = |args: &[&str]| wakerace(folder.path()).args(args).assert();
    of(&["show", "--arch", "riscv64gc", "--lock", "ticket", "S01-as-is"])
        .success()
        .stdout(contains("== lock ticket").and(contains("amoadd.w.aqrl")).and(contains("lr.w").not()));
    of(&["show", "--arch", "riscv64gc", "--lock", "qspinlock", "S01-as-is"])
        .success()
        .stdout(contains("== lock qspinlock").and(contains("lr.w")).and(contains("amoadd").not()));
    of(&["show", "--arch", "x86_64", "--lock", "native", "S01-as-is"]).success().stdout(contains("== lock qspinlock"));
    of(&["show", "--arch", "x86_64", "--lock", "pv", "S01-as-is"]).success().stdout(contains("== lock pv"));
    // A test without a lock, and an architecture with one kind, have no such line.
    of(&["show", "--arch", "x86_64", "--lock", "pv", "SB"]).success().stdout(contains("== lock").not());
    of(&["show", "--arch", "aarch64", "S01-as-is"]).success().stdout(contains("== lock").not());
    of(&["show", "--arch", "aarch64", "--lock", "ticket", "S01-as-is"])
        .code(2)
        .stderr(contains("--lock ticket: the kernel of aarch64 has no such lock; it has qspinlock"));
    of(&["show", "--lock", "mcs", "S01-as-is"]).code(2).stderr(contains("known are qspinlock"));
    // check computes each lock's verdict, and compares it with the header.
    of(&["check", "S06b", "--model", "rvwmo"]).success().stdout(contains("Sometimes 4, Never 3 with ticket"));
    of(&["check", "S06b", "--model", "rvwmo", "--lock", "ticket"])
        .success()
        .stdout(contains("Never 3").and(contains("with").not()));
    of(&["check", "S06b", "--model", "rvwmo", "--lock", "qspinlock"]).success().stdout(contains("Sometimes 4\n"));
    of(&["list", "S06b"]).success().stdout(contains("Sometimes, Never with ticket"));
    let source = fs::read_to_string(
        Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios/mutants/S06b-blocked_on-before-lock.litmus"),
    );
    let wrong = source.unwrap().replace("riscv64gc ticket: Never", "riscv64gc ticket: Sometimes");
    let file = write(folder.path(), "wrong.litmus", wrong);
    of(&["check", &file, "--model", "rvwmo"])
        .code(2)
        .stderr(contains("its header says Sometimes (riscv64gc ticket:), but RVWMO says Never"));
}

/// The lock of a run is recorded, unless the test has none, and results with different locks are not added.
#[test]
#[cfg(target_arch = "x86_64")]
fn the_lock_of_a_run_is_recorded() {
    let folder = folder();
    for (lock, recorded) in [("native", "qspinlock"), ("pv", "pv")] {
        let out = format!("{lock}.json");
        // Whether a control fired decides the exit status, and does not matter here.
        let run = wakerace(folder.path())
            .args(["run", "S01-as-is", "SB", "--lock", lock, "--no-controls", "-q", "--export-json", &out])
            .args(SHORT)
            .output();
        assert!(run.is_ok());
        let value: serde_json::Value = serde_json::from_slice(&fs::read(folder.path().join(&out)).unwrap()).unwrap();
        let of = |name: &str| {
            let results = value["results"].as_array().unwrap();
            results.iter().find(|result| result["scenario"] == name).unwrap()["lock"].clone()
        };
        assert_eq!((of("S01-as-is"), of("SB")), (recorded.into(), serde_json::Value::Null), "{lock}");
    }
    wakerace(folder.path())
        .args(["run", "SB", "--lock", "ticket", "-n", "1"])
        .assert()
        .code(2)
        .stderr(contains("it has qspinlock and pv"));
}

#[test]
fn an_emulated_run_says_so_by_itself() {
    let folder = folder();
    let mut command = wakerace(folder.path());
    command.args(["run", "SB", "--no-controls", "--export-json", "r.json"]).args(SHORT);
    let output = command.output().unwrap();
    assert!(output.status.success());
    let record = check_record(&folder.path().join("r.json"));
    let table = String::from_utf8(output.stdout).unwrap();
    assert_eq!(table.contains("EMULATED"), record.host.emulated, "{table}");
    if std::env::var_os("WAKERACE_RUNNER").is_some() {
        assert!(record.host.emulated);
    }
}

#[test]
fn a_forbidden_outcome_is_exit_1_and_loud() {
    let folder = folder();
    // No hardware does what its model forbids. So these tests have too many executions for the models, and
    // wakerace takes the verdict from their headers.
    let large = ALWAYS.replace("r0 = READ_ONCE(*x); ", &"if (READ_ONCE(*x)) smp_mb(); ".repeat(16));
    let file = write(folder.path(), "never.litmus", format!("C never\n(* {}: Never *)\n{{}}\n{large}", arch()));
    wakerace(folder.path()).args(["run", &file]).args(SHORT).assert().code(1).stdout(
        contains("FORBIDDEN OBSERVED: never must never happen")
            .and(contains("*          20,000  x=1"))
            .and(contains("P1 on CPU"))
            .and(contains("wait for the clock"))
            .and(contains("code sha256"))
            .and(contains("forbidden observed")),
    );
    let file = write(folder.path(), "always.litmus", format!("C always\n(* {}: Always *)\n{{}}\n{ALWAYS}", arch()));
    wakerace(folder.path()).args(["run", &file]).args(SHORT).assert().success().stdout(contains("observed"));
    // For `forall`, a race is a counterexample. The verdict applies to the condition, as in herd7.
    for (condition, status) in [("x=0", 1), ("x=1", 0)] {
        let text = large.replace("exists (x=1)", &format!("forall ({condition})"));
        let file = write(folder.path(), "all.litmus", format!("C all\n(* {}: Always *)\n{{}}\n{text}", arch()));
        wakerace(folder.path()).args(["run", &file]).args(SHORT).assert().code(status);
    }
}

/// Every thread resets a part of all instances. All outcomes in memory must be classified before that, by
/// whichever thread.
#[test]
fn outcomes_in_memory_are_counted_before_memory_is_reset() {
    let folder = folder();
    for (name, threads) in [("two", 2), ("three", 3)] {
        let mut text = format!("C {name}\n{{}}\n");
        let locations = ["x", "y", "z"];
        for (number, location) in locations[..threads].iter().enumerate() {
            text.push_str(&format!("P{number}(int *{location}) {{ WRITE_ONCE(*{location}, 1); }}\n"));
        }
        let all = locations[..threads].iter().map(|location| format!("{location}=1")).collect::<Vec<_>>();
        text.push_str(&format!("forall ({})\n", all.join(" /\\ ")));
        let file = write(folder.path(), &format!("{name}.litmus"), text);
        for layout in ["padded", "packed", "dense"] {
            wakerace(folder.path())
                .args(["run", &file, "--no-controls", "--pace", "free", "--layout", layout])
                .args(SHORT)
                .assert()
                .success();
        }
    }
}

#[test]
fn a_header_that_disagrees_with_the_model_is_refused_before_anything_runs() {
    let folder = folder();
    let file = write(folder.path(), "never.litmus", format!("C never\n(* {}: Never *)\n{{}}\n{ALWAYS}", arch()));
    let message = format!("never: its header says Never ({}:), but", arch());
    wakerace(folder.path()).args(["run", &file]).args(SHORT).assert().code(2).stderr(contains(&*message));
    wakerace(folder.path())
        .args(["check", &file])
        .assert()
        .code(2)
        .stderr(contains(&*message))
        .stdout(contains("never"));
}

#[test]
fn check_says_what_is_allowed_and_why() {
    let folder = folder();
    wakerace(folder.path()).args(["check", "S01-core", "--model", "all"]).assert().success().stdout(
        contains("LKMM")
            .and(contains("S01-core  Sometimes 4  Never 3  Never 3  Sometimes 4  Sometimes 4  Sometimes 4")),
    );
    let of = |args: &[&str]| wakerace(folder.path()).arg("check").args(args).assert();
    of(&["S12c", "--model", "power", "--explain", "--states"])
        .success()
        .stdout(contains("Never 7").and(contains("States 7")).and(contains("forbidden")).and(contains("--sync-->")));
    of(&["SB", "--model", "x86-tso", "--explain"]).success().stdout(contains("take effect in the order"));
    of(&["S01-core+nt", "--model", "x86_64"]).success().stdout(contains("not modelled"));
    of(&["SB", "MP", "--svg", "out.svg", "--model", "lkmm"]).success().stdout(contains("out-SB-lkmm.svg"));
    let picture = fs::read_to_string(folder.path().join("out-MP-lkmm.svg")).unwrap();
    assert!(picture.contains("WRITE") || picture.contains("W "), "{picture}");
    of(&["SB", "--model", "vax"]).code(2).stderr(contains("unknown model 'vax'"));
    of(&["SB", "--limit", "2"])
        .code(2)
        .stderr(contains("too large to be judged: 3 partial executions or more; --limit"));
    // Tests in assembly are checked against the model of their architecture and against sequential
    // consistency.
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/litmus/ppc");
    of(&[&root.display().to_string(), "--model", "power,sc,lkmm"])
        .success()
        .stdout(contains("S06-unlock-between").and(contains("Sometimes 7   Never 6")));
    let bad = write(folder.path(), "bad.litmus", "PPC t\n{}\n P0 ;\n frob r1 ;\nexists (0:r1=1)\n");
    of(&[&bad]).code(2).stderr(contains("`frob r1` is not a supported instruction").and(contains("bad.litmus:4:2")));
    wakerace(folder.path()).args(["run", &bad]).assert().code(2);
}

#[test]
fn without_a_control_a_zero_is_inconclusive() {
    let folder = folder();
    wakerace(folder.path()).args(["run", "S01-as-is", "--no-controls"]).args(SHORT).assert().success().stdout(
        contains("inconclusive").and(contains("the zeros here are inconclusive").or(contains("Run under an emulator"))),
    );
}

#[test]
fn a_tearing_map_has_every_offset_and_its_csv_the_same_counts() {
    let folder = folder();
    let csv = folder.path().join("map.csv");
    let mut command = wakerace(folder.path());
    command.args(["tearing", "--size", "4,8", "-d", "500ms", "-q", "--export-csv"]).arg(&csv);
    let output = command.output().unwrap();
    if wakerace::machine::allowed_cpus().unwrap().len() < 2 {
        assert_eq!(output.status.code(), Some(2));
        return;
    }
    assert_eq!((output.status.code(), String::from_utf8(output.stderr).unwrap().as_str()), (Some(0), ""));
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("aligned") && text.contains("crosses the line") && text.contains("guaranteed"), "{text}");
    let csv = fs::read_to_string(csv).unwrap();
    let rows: Vec<Vec<&str>> = csv.lines().skip(1).map(|line| line.split(',').collect()).collect();
    let line = rows.len() / 2;
    assert!(rows.len() == 2 * line && line.is_power_of_two(), "{csv}");
    for (number, row) in rows.iter().enumerate() {
        assert_eq!((row[0], row[1]), (if number < line { "4" } else { "8" }, &*(number % line).to_string()));
        let [loads, torn] = [4, 6].map(|column| row[column].parse::<u64>().unwrap());
        assert!(loads >= 5 * 256 && torn <= loads, "{row:?}");
        assert!(torn == 0 || row[3] == "false", "{row:?}");
    }
}

/// A bound is a goal for what was asked, and the answer is about that too.
#[test]
fn controls_that_a_run_adds_are_no_goal_and_no_answer() {
    let folder = folder();
    let (json, html) = (folder.path().join("r.json"), folder.path().join("r.html"));
    let mut command = wakerace(folder.path());
    command.args(["run", "CoRR", "-d", "30ms", "--stop-when", "bound below 0.5", "--oversubscribe", "--no-save"]);
    command.arg("--export-json").arg(&json).arg("--export-html").arg(&html).assert().success();
    let record = check_record(&json);
    assert!(record.results.len() > 2, "{:?}", record.results);
    for result in &record.results {
        let goal = (result.scenario == "CoRR").then_some("bound below 5e-1");
        assert_eq!(result.goal.map(String::from).as_deref(), goal, "{}", result.scenario);
        assert_eq!(result.stopped_by.as_deref(), goal, "{}", result.scenario);
    }
    let page = fs::read_to_string(html).unwrap();
    let headline = page.split("<h1>").nth(1).and_then(|rest| rest.split("</h1>").next()).unwrap();
    assert!(headline.contains("CoRR"), "{headline}");
}

#[test]
fn limits_are_kept() {
    let folder = folder();
    let file = write(folder.path(), "often.litmus", format!("C often\n{{}}\n{ALWAYS}"));
    let path = folder.path().join("r.json");
    let run = |args: &[&str]| {
        let mut command = wakerace(folder.path());
        command.args([
            "run",
            &file,
            "--no-controls",
            "--no-save",
            "--oversubscribe",
            "--batch",
            "100",
            "--export-json",
        ]);
        command.arg(&path).args(args).assert().success();
        check_record(&path).results[0].clone()
    };
    // Every instance races, so the batch that reaches the limit is the last. A batch holds at most 100
    // instances, fewer if an instance takes long.
    let races = run(&["--stop-after-races", "150"]).races;
    assert!((150..250).contains(&races), "{races}");
    let known = run(&["--stop-when", "rate known to 5 %"]);
    assert_eq!(known.stopped_by.as_deref(), Some("rate known to 5 %"));
    let (fixed, sequence) = (known.interval.unwrap(), known.sequence.unwrap());
    assert!(sequence.low < fixed.low && sequence.high - sequence.low <= 0.1 * known.rate.unwrap());
    let decided = run(&["--stop-when", "bound below 0.9"]);
    assert!(decided.stopped_by.is_some() && decided.sequence.unwrap().low > 0.9, "{decided:?}");
    assert_eq!(run(&["-n", "12345"]).iterations, 12_345);
    let (goal, warning) = (Some(Goal::BoundBelow(0.9)), Warning::GoalNotReached);
    assert!(decided.goal == goal && !decided.warnings.contains(&warning), "{decided:?}");
    assert_eq!((run(&["-n", "12345"]).stopped_by, run(&["-n", "12345"]).goal), (None, None));
    let missed = run(&["-n", "12345", "--stop-when", "rate known to 0.000001 %"]);
    assert!(missed.stopped_by.is_none() && missed.warnings.contains(&warning), "{missed:?}");
    assert_eq!(run(&["-n", "1"]).iterations, 1);
    let begun = Instant::now();
    // The run reads the limit from the counter, whose calibration may be wrong by 0.1 % (more than that only
    // under an emulator, where the record's elapsed time comes from another clock).
    let elapsed = run(&["-d", "200ms"]).elapsed_s;
    assert!(elapsed >= 0.198, "{elapsed}");
    assert!(begun.elapsed() < Duration::from_secs(20));
}

#[test]
fn the_same_seed_and_source_give_the_same_code() {
    let folder = folder();
    let path = folder.path().join("r.json");
    let run = || {
        let mut command = wakerace(folder.path());
        command.args([
            "run",
            "SB",
            "--no-controls",
            "--period",
            "200ns",
            "--batch",
            "128",
            "--skew",
            "-20..20/5",
            "--seed",
            "9",
            "--export-json",
        ]);
        command.arg(&path).args(SHORT).assert().success();
        check_record(&path).results[0].clone()
    };
    let undisturbed = |result: &ScenarioResult| result.discarded == 0 && result.moved == 0;
    let per_skew = |result: &ScenarioResult| result.skews.iter().map(|skew| skew.iterations).collect::<Vec<_>>();
    // A batch in which a thread lost its CPU is run again, so such runs may differ. On a busy machine all pairs may be disturbed.
    for _ in 0..10 {
        let (one, two) = (run(), run());
        assert_eq!(one.code_sha256, two.code_sha256);
        assert_eq!((one.skews.len(), two.skews.len()), (5, 5));
        if undisturbed(&one) && undisturbed(&two) {
            assert_eq!(per_skew(&one), per_skew(&two));
            break;
        }
    }
}

#[test]
fn bad_files_give_exit_2_and_one_clear_message() {
    let folder = folder();
    let cases: Vec<(&str, Vec<u8>, &str)> = vec![
        ("empty", b"".to_vec(), "the file is empty"),
        ("comment", b"C t\n(* no end".to_vec(), "never ends"),
        ("unknown", b"C t\n{}\nP0(int *x) { READ_TWICE(*x); }\nexists (x=1)".to_vec(), "unknown primitive"),
        ("register", b"C t\n{}\nP0(int *x) { *x = r; }\nexists (x=1)".to_vec(), "not declared"),
        ("thread", b"C t\n{}\nP0(int *x) { WRITE_ONCE(*x, 1); }\nexists (3:r=1)".to_vec(), "no thread P3"),
        ("rcu", b"C t\n{}\nP0(int *x) {\n  synchronize_rcu();\n}\nexists (x=1)".to_vec(), ":4:3"),
        (
            "many",
            format!("C t\n{{}}\n{}exists (x=1)", (0..17).map(|n| format!("P{n}(int *x) {{ }}\n")).collect::<String>())
                .into(),
            "at most 16 threads",
        ),
        ("junk", (0..=255_u8).cycle().take(5000).collect(), "not a text file"),
        ("nul", vec![0; 100], "not a C litmus test"),
        ("huge", vec![b'x'; 10 << 20], "larger than"),
    ];
    for (name, bytes, words) in cases {
        let file = write(folder.path(), &format!("{name}.litmus"), bytes);
        for subcommand in ["run", "show", "list"] {
            let output = wakerace(folder.path()).args([subcommand, &file]).output().unwrap();
            let message = String::from_utf8(output.stderr).unwrap();
            assert_eq!(output.status.code(), Some(2), "{name}: {message}");
            assert!(message.contains(words) && message.contains(&format!("{name}.litmus")), "{name}: {message}");
            assert!(message.contains("error") || message.contains(".litmus:"), "{message}");
            assert!(!message.contains("panicked") && output.stdout.is_empty(), "{name}: {message}");
        }
    }
    assert!(!folder.path().join("results").exists());
}

#[test]
fn bad_arguments_give_exit_2_and_one_clear_message() {
    let folder = folder();
    let first = allowed_cpus().unwrap()[0].to_string();
    let twice = format!("{first},{first}");
    let empty = folder.path().join("empty");
    fs::create_dir(&empty).unwrap();
    let cases: Vec<(Vec<&str>, &str)> = vec![
        (vec!["run", "no-such-scenario"], "there is no file, folder or scenario"),
        (vec!["run", "S01"], "ambiguous"),
        (vec!["run", "empty"], "contains no *.litmus file"),
        (vec!["run", "-c", "7777"], "CPU 7777 does not exist"),
        (vec!["run", "-c", &twice], "listed twice"),
        (vec!["run", "-c", "3-1"], "runs backwards"),
        (vec!["run", "-c", &first], "2 threads, but only 1 CPU may be used"),
        (vec!["run", "-d", "0s"], "'0s' is too short; a duration is at least 1ms"),
        (vec!["run", "-d", "1e8"], "'--duration <TIME>': '1e8' is too long; a duration is at most 365d"),
        (vec!["run", "-n", "4e18"], "'--iterations <COUNT>': '4e18' is too large; a count is at most 1e18"),
        (vec!["tearing", "--size", "5"], "'--size <BYTES>': '5' is not a size; known are 4, 8 and 16"),
        (
            vec!["tearing", "-c", "0"],
            "the map needs 2 threads, but only 1 CPU may be used (0); allow more CPUs with -c",
        ),
        (vec!["run", "--stop-when", "bound below 2"], "'--stop-when <GOAL>': 'bound below 2' is not a goal; expected "),
        (vec!["run", "--stop-after-races", "4e18"], "'--stop-after-races <COUNT>': '4e18' is too large"),
        (vec!["run", "--period", "2000ms"], "'2000ms' is too large; expected at most 1e9 nanoseconds (1 s)"),
        (vec!["run", "--period", "2e9"], "at most 1e9 nanoseconds"),
        (vec!["run", "--group", "5000"], "4096"),
        (vec!["run", "--nice", "20"], "from -20 to 19"),
        (vec!["run", "-n", "0"], "not a count"),
        (vec!["run", "--placement", "galaxy"], "unknown placement class"),
        (vec!["run", "--layout", "round"], "unknown layout"),
        (vec!["run", "--period", "-4ns"], "not a period"),
        (vec!["run", "--skew", "x"], "not a skew"),
        (vec!["run", "--pace", "free", "--skew", "3ns"], "apply only to paced runs"),
        (vec!["run", "--batch", "1e9"], "--batch"),
        (vec!["run", "--export-json", "-", "--export-csv", "-"], "only one --export"),
        (vec!["run", "--export-json", "empty"], "is a folder"),
        (vec!["run", "--export-json", "/proc/nowhere/x.json"], "/proc/nowhere"),
        (vec!["run", "--export-json", "/dev/stdout", "--export-csv", "-"], "only one --export"),
        (vec!["run", "--pairs", "all", "--placement", "core"], "cannot be used with"),
        (vec!["run", "--pairs", "all", "--oversubscribe"], "cannot be used with"),
        (vec!["run", "--pairs", "all", "--stress", "sets"], "cannot be used with"),
        (vec!["run", "--window", "--skew", "3ns"], "cannot be used with"),
        (vec!["run", "--pace", "free", "--window"], "apply only to paced runs"),
        (vec!["run", "--pace", "free", "--period", "9"], "apply only to paced runs"),
        (vec!["run", "--pace", "free", "--group", "2"], "apply only to paced runs"),
        (vec!["run", "--pace", "free", "--prefetch"], "apply only to paced runs"),
        (vec!["run", "--group", "0"], "from 1 to 4096"),
        (vec!["run", "--nice=-21"], "from -20 to 19"),
        (vec!["run", "--batch", "1048577"], "1048577 is more than 1048576"),
        (vec!["run", "--profile", "empty/none.json"], "opening empty/none.json"),
        (vec!["run", "--profile", "x", "--window"], "conflicts with --window;"),
        (vec!["run", "--profile", "x", "--group", "2", "--layout", "dense"], "--group, --layout"),
        (vec!["export", "--csv", "x", "--log", "y"], "cannot be used with"),
        (vec!["export", "--csv", "x", "--result", "y"], "--hgrm"),
        (vec!["compare"], "PATH"),
        (vec!["compare", "x", "--csv", "--markdown"], "cannot be used with"),
        (vec!["merge", "x"], "--output"),
        (vec!["frobnicate"], "unrecognized subcommand"),
    ];
    for (args, words) in cases {
        let output = wakerace(folder.path()).args(&args).output().unwrap();
        let message = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{args:?}: {message}");
        assert!(message.contains(words), "{args:?}: {message}");
        assert!(!message.contains("panicked") && output.stdout.is_empty(), "{args:?}: {message}");
    }
    assert!(!folder.path().join("results").exists(), "nothing is written for a run that never began");
}

#[test]
fn what_was_thrown_away_is_shown_where_it_is_much() {
    let folder = folder();
    let (_, text) = common::shipped();
    let mut record: Record = serde_json::from_str(&text).unwrap();
    let iterations = record.results[0].iterations;
    let mut shown = |discarded: u64| {
        record.results[0].discarded = discarded;
        wakerace::record::compute(&mut record.results[0]);
        let path = write(folder.path(), "r.json", serde_json::to_string(&record).unwrap());
        let output = wakerace(folder.path()).args(["export", "--markdown", &path]).output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    // As many iterations are discarded as are kept: one half.
    assert!(shown(iterations).contains("50.0 % of the iterations were discarded"));
    assert!(shown(iterations / 20).contains("4.76 % of the iterations were discarded"));
    assert!(!shown(iterations / 40).contains("were discarded"));
}

#[test]
fn quiet_prints_only_the_table_and_a_mail_fits_its_columns() {
    let folder = folder();
    let run_at = |columns: &str, more: &[&str]| {
        let args = ["run", "SB", "-n", "20000", "--no-save", "--no-controls", "--oversubscribe"];
        let output = wakerace(folder.path()).args(args).args(more).env("COLUMNS", columns).output().unwrap();
        assert!(output.status.success());
        String::from_utf8(output.stdout).unwrap()
    };
    let run = |more: &[&str]| run_at("200", more);
    let narrow = run_at("60", &["-q"]);
    assert!(narrow.lines().all(|line| line.chars().count() <= 60) && narrow.contains("SB "), "{narrow}");
    let quiet = run(&["-q"]);
    // Where the distance between the CPUs changed, each distance has a line of its own.
    let of_distance = |line: &&str| line.trim_start().starts_with("at ");
    let lines: Vec<&str> = quiet.lines().filter(|line| !line.is_empty() && !of_distance(line)).collect();
    // The host, the headings and the test.
    assert!(lines.len() == 3 && lines[1].contains("iterations") && lines[2].contains("SB"), "{quiet}");
    assert!(!quiet.contains('\u{1b}'), "no colours in a file");
    let mail = run(&["--mail"]);
    assert!(mail.lines().all(|line| line.chars().count() <= wakerace::publish::MAIL_WIDTH), "{mail}");
    assert!(mail.contains("\nhost: ") && mail.contains("\nrun: wakerace run SB"), "{mail}");
    let (path, _) = common::shipped();
    let output = wakerace(folder.path()).args(["export", "--mail"]).arg(&path).output().unwrap();
    assert!(String::from_utf8(output.stdout).unwrap().starts_with("On AMD EPYC the race was not seen in "));
}

#[test]
fn architectures_have_the_names_that_people_type() {
    let folder = folder();
    let show = |arch: &str, layout: &str| {
        let args = ["show", "S01-as-is", "--arch", arch, "--layout", layout];
        let output = wakerace(folder.path()).args(args).output().unwrap();
        assert!(output.status.success(), "{arch} {layout}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    for (alias, name) in [
        ("arm64", "aarch64"),
        ("ppc64le", "powerpc64le"),
        ("power", "powerpc64le"),
        ("riscv64", "riscv64gc"),
        ("x86-64", "x86_64"),
    ] {
        assert_eq!(show(alias, &format!("kernel-{alias}")), show(name, &format!("kernel-{name}")), "{alias}");
        let check =
            |model: &str| wakerace(folder.path()).args(["check", "SB", "--model", model]).output().unwrap().stdout;
        assert_eq!(check(alias), check(name), "{alias}");
        let layout = format!("kernel-{alias}");
        let mut protocol = wakerace(folder.path());
        let args = ["protocol", "--layout", &layout, "--profile", "v7.2", "-d", "20ms", "--no-save", "-q"];
        protocol.args(args).assert().stderr(contains("unknown layout").not());
    }
    let mut unknown = wakerace(folder.path());
    unknown
        .args(["show", "SB", "--arch", "vax"])
        .assert()
        .code(2)
        .stderr(contains("unknown architecture 'vax'; known are"));
}

#[test]
fn a_profile_reads_back_as_it_was_written() {
    use wakerace::harness::{Prefetch, StressKind};
    use wakerace::machine::Class;
    use wakerace::profile::{Settings, Tuned, TuningProfile};
    let folder = folder();
    let path = folder.path().join("deep/p.json");
    let host = common::run(&common::shipped().1).host;
    let tuned = |scenario: &str, class: Class, races_per_s: f64| Tuned {
        scenario: scenario.to_owned(),
        mutant: format!("{scenario}+nt"),
        class,
        kinds: Vec::new(),
        settings: Settings {
            pace: "paced".to_owned(),
            layout: "packed".to_owned(),
            group: Some(4),
            prefetch: Prefetch::Off,
            batch: Some(77),
            stress: Some(StressKind::Memory),
        },
        distance_ns: Some(30.0),
        period_ns: Some(70.5),
        reach: Some(2),
        races_per_s,
        default_races_per_s: 3.5,
        when: "2026-01-02T03:04:05Z".to_owned(),
    };
    let mut profile = TuningProfile::new(&host);
    for (scenario, class, rate) in
        [("SB", Class::Core, 1.0), ("MP", Class::Core, 2.0), ("SB", Class::Smt, 3.0), ("SB", Class::Core, 4.0)]
    {
        profile.put(tuned(scenario, class, rate));
    }
    // Settings for other kinds of core are other settings.
    let kinds = ["P-core", "E-core"].map(str::to_owned);
    let mixed = || Tuned { kinds: kinds.to_vec(), ..tuned("MP", Class::Core, 7.0) };
    profile.put(mixed());
    profile.put(mixed());
    // So are those for another distance.
    let at = |ns: Option<f64>, rate| Tuned { distance_ns: ns, ..tuned("MP", Class::Smt, rate) };
    for (ns, rate) in [(None, 1.0), (Some(30.0), 2.0), (Some(150.0), 3.0), (Some(47.0), 4.0)] {
        profile.put(at(ns, rate));
    }
    profile.write(&path).unwrap();
    let read = TuningProfile::read(&path, &host).unwrap();
    assert_eq!(read, profile);
    let rates = |scenario: &str, class, kinds: &[String]| -> Vec<f64> {
        read.find(scenario, class, kinds).map(|tuned| tuned.races_per_s).collect()
    };
    assert_eq!(
        (read.tuned.len(), rates("SB", Class::Core, &[]), rates("SB", Class::Smt, &[])),
        (6, vec![4.0], vec![3.0])
    );
    assert_eq!(rates("MP", Class::Core, &kinds), [7.0]);
    assert_eq!((rates("MP", Class::Core, &[]), rates("LB", Class::Core, &[])), (vec![2.0], vec![]));
    // The latest first, and one for any distance replaces all.
    assert_eq!(rates("MP", Class::Smt, &[]), [4.0, 3.0]);
    profile.put(at(None, 5.0));
    assert_eq!(profile.find("MP", Class::Smt, &[]).map(|tuned| tuned.races_per_s).collect::<Vec<_>>(), [5.0]);
    let mut other = host.clone();
    other.cpu_model.push_str(" v2");
    assert!(TuningProfile::read(&path, &other).unwrap_err().to_string().contains("and this host is"));
    let text = fs::read_to_string(&path).unwrap().replace("wakerace-profile/1", "wakerace-profile/9");
    fs::write(&path, text).unwrap();
    assert!(TuningProfile::read(&path, &host).unwrap_err().to_string().contains("unknown schema 'wakerace-profile/9'"));
}

/// A command whose process may use only the first of this process's CPUs, as in a container with a restricted
/// cpuset.
fn confined(folder: &Path) -> Command {
    let cpu = allowed_cpus().unwrap()[0];
    let mut command = wakerace(folder);
    // SAFETY: between fork and exec only the async-signal-safe sched_setaffinity is called, on a local mask.
    unsafe {
        command.pre_exec(move || {
            let mut mask: libc::cpu_set_t = std::mem::zeroed();
            libc::CPU_SET(cpu, &mut mask);
            match libc::sched_setaffinity(0, size_of_val(&mask), &raw const mask) {
                0 => Ok(()),
                _ => Err(std::io::Error::last_os_error()),
            }
        });
    }
    command
}

#[test]
fn a_restricted_cpuset_is_respected_and_named() {
    let folder = folder();
    let allowed = allowed_cpus().unwrap();
    let words = format!("only 1 CPU may be used ({})", allowed[0]);
    confined(folder.path())
        .args(["run", "SB"])
        .assert()
        .code(2)
        .stderr(contains(words.as_str()).and(contains("--oversubscribe")));
    if let Some(other) = allowed.get(1) {
        let words = format!("CPU {other} is not allowed to this process");
        confined(folder.path())
            .args(["run", "SB", "-c", &format!("{},{other}", allowed[0])])
            .assert()
            .code(2)
            .stderr(contains(words.as_str()));
    }
    confined(folder.path()).args(["run", "SB", "--no-controls"]).args(SHORT).assert().success();
    confined(folder.path()).arg("topology").assert().success();
}

/// Starts a long run of several scenarios and waits until the result of the first one is on disk.
fn long_run(folder: &Path) -> (Child, std::path::PathBuf) {
    let mut command = wakerace(folder);
    command.args(["run", "S02", "S03", "--no-controls", "--oversubscribe", "-d", "1s", "--export-json", "r.json"]);
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let path = folder.join("r.json");
    wait_until("nothing was written", || path.exists());
    (child, path)
}

/// Waits until `seen` returns true; panics with the message `otherwise` after a minute.
fn wait_until(otherwise: &str, seen: impl Fn() -> bool) {
    let begun = Instant::now();
    while !seen() {
        assert!(begun.elapsed() < Duration::from_secs(60), "{otherwise}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Waits until a process has installed its SIGINT handler, as /proc shows it. On a busy machine, starting
/// takes a while.
fn wait_for_handler(child: &Child) {
    wait_until("no handler after a minute", || {
        let status = fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap_or_default();
        let mask = status.lines().find_map(|line| line.strip_prefix("SigCgt:")).unwrap_or_default();
        u64::from_str_radix(mask.trim(), 16).is_ok_and(|mask| mask >> (libc::SIGINT - 1) & 1 == 1)
    });
}

fn signal(child: &Child, signal: i32) {
    // SAFETY: the call only sends a signal. The child has not been waited for, so its process ID is not
    // reused.
    assert_eq!(unsafe { libc::kill(child.id() as i32, signal) }, 0);
}

#[test]
fn ctrl_c_keeps_what_was_measured() {
    let folder = folder();
    let (mut child, path) = long_run(folder.path());
    std::thread::sleep(Duration::from_millis(100));
    signal(&child, libc::SIGINT);
    let status = child.wait().unwrap();
    let mut table = String::new();
    child.stdout.take().unwrap().read_to_string(&mut table).unwrap();
    let record = check_record(&path);
    // The signal may arrive after the last batch. Then the run is complete.
    if record.interrupted {
        assert_eq!(status.code(), Some(130));
        assert!(table.contains("Interrupted"), "{table}");
        assert_eq!(record.results[0].scenario, "S02-wmb");
    } else {
        assert_eq!(record.results.len(), 2);
    }
    // The two files are the record and its page.
    assert_eq!(saved_records(folder.path()).len(), 2);
}

#[test]
fn an_interrupted_tune_says_what_is_saved() {
    let folder = folder();
    let profile = folder.path().join("profile.json");
    let mut command = wakerace(folder.path());
    command.args(["tune", "SB", "-q", "-d", "60s", "-o"]).arg(&profile);
    let child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    wait_for_handler(&child);
    signal(&child, libc::SIGINT);
    let done = child.wait_with_output().unwrap();
    let said = String::from_utf8(done.stderr).unwrap();
    // With a single CPU nothing is tuned.
    if wakerace::machine::allowed_cpus().unwrap().len() > 1 {
        assert_eq!(done.status.code(), Some(130), "{said}");
        assert!(said.contains("interrupted while SB was tuned; nothing was saved\n") && !profile.exists(), "{said}");
    }
}

#[test]
fn an_interrupted_run_says_so_and_names_the_tests_that_were_not_run() {
    // With -q on standard error, otherwise in the summary.
    for (option, quiet) in [(Some("-q"), true), (None, false)] {
        let folder = folder();
        let mut command = wakerace(folder.path());
        command.args(["run", "S02", "S03", "SB", "--no-controls", "--oversubscribe", "--no-save", "-d", "60s"]);
        let child = command.args(option).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        wait_for_handler(&child);
        std::thread::sleep(Duration::from_millis(500));
        signal(&child, libc::SIGINT);
        let done = child.wait_with_output().unwrap();
        assert_eq!(done.status.code(), Some(130));
        let said = String::from_utf8(if quiet { done.stderr } else { done.stdout }).unwrap();
        assert!(said.contains("Interrupted: the counts are those up to the interruption.\n"), "{said}");
        let rest = said.split("not run, because the run was interrupted: ").nth(1).unwrap_or_else(|| panic!("{said}"));
        let names = rest.lines().next().unwrap();
        assert!(names.ends_with("S03-store-release, SB") || names.ends_with("S02-wmb, S03-store-release"), "{said}");
    }
}

#[test]
fn kill_9_leaves_whole_files() {
    let folder = folder();
    let (mut child, path) = long_run(folder.path());
    signal(&child, libc::SIGKILL);
    child.wait().unwrap();
    assert_eq!(check_record(&path).results[0].scenario, "S02-wmb");
    for saved in saved_records(folder.path()) {
        if saved.extension().is_some_and(|extension| extension == "json") {
            check_record(&saved);
        }
    }
}

#[test]
fn a_second_ctrl_c_ends_at_once() {
    let folder = folder();
    // The period is 1 s, so the first Ctrl-C has to wait for the batch.
    let mut command = wakerace(folder.path());
    command.args([
        "run",
        "SB",
        "--no-controls",
        "--no-save",
        "--oversubscribe",
        "-d",
        "60s",
        "--period",
        "1000000us",
        "--skew",
        "0",
    ]);
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    wait_for_handler(&child);
    // By now the measurement has begun, or begins soon.
    std::thread::sleep(Duration::from_millis(1000));
    let begun = Instant::now();
    signal(&child, libc::SIGINT);
    std::thread::sleep(Duration::from_millis(50));
    // The result is ignored, because the child may have ended already.
    // SAFETY: the call only sends a signal. The child has not been waited for, so its process ID is not
    // reused.
    unsafe { libc::kill(child.id() as i32, libc::SIGINT) };
    assert_eq!(child.wait().unwrap().code(), Some(130));
    assert!(begun.elapsed() < Duration::from_secs(20));
}

#[test]
fn a_closed_pipe_is_no_error() {
    let mut child =
        wakerace(folder().path()).arg("list").stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    let mut words = String::new();
    child.stderr.take().unwrap().read_to_string(&mut words).unwrap();
    assert_eq!((child.wait().unwrap().code(), words.as_str()), (Some(0), ""));
}

/// The subcommands that `wakerace --help` lists.
fn subcommands() -> Vec<String> {
    let output = wakerace(folder().path()).arg("--help").output().unwrap();
    let help = String::from_utf8(output.stdout).unwrap();
    let commands = help.lines().skip_while(|line| *line != "Commands:").skip(1).take_while(|line| !line.is_empty());
    let names = commands.filter(|line| line.starts_with("  ") && !line.starts_with("   "));
    names.map(|line| line.split_whitespace().next().unwrap().to_owned()).filter(|name| name != "help").collect()
}

#[test]
fn completions_know_every_subcommand_and_option() {
    let folder = folder();
    let names = subcommands();
    assert!(names.len() >= 15, "{names:?}");
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = wakerace(folder.path()).args(["completions", shell]).assert().success();
        let script = String::from_utf8(script.get_output().stdout.clone()).unwrap();
        for name in names.iter().map(String::as_str).chain(["stop-after-races", "blocked-on-store"]) {
            assert!(script.contains(name), "{shell}: {name}");
        }
    }
    wakerace(folder.path()).args(["completions", "tcl"]).assert().code(2).stderr(contains("bash"));
}

/// A command, an input of it that ends with 0, if one is quick, and one that ends with 2.
type Statuses = (&'static str, Option<&'static [&'static str]>, &'static [&'static str]);

const STATUSES: [Statuses; 23] = [
    ("run", Some(&["--dry-run"]), &["nothing-here"]),
    ("campaign", None, &["nothing-here"]),
    ("conform", None, &["--binary", "nothing-here", "--", "true"]),
    ("tune", None, &["nothing-here"]),
    ("protocol", None, &["--profile", "nothing-here"]),
    ("tearing", None, &["--size", "3"]),
    ("check", Some(&["SB"]), &["nothing-here"]),
    ("generate", Some(&["--arch", "c", "--size", "4", "--list"]), &["--arch", "c", "--cycle", "nothing-here"]),
    ("validate", Some(&["--print-schema"]), &["nothing-here"]),
    ("merge", None, &["nothing-here", "-o", "-"]),
    ("compare", None, &["nothing-here"]),
    ("expect", None, &["nothing-here"]),
    ("report", None, &["nothing-here", "-o", "page.html"]),
    ("index", None, &["nothing-here"]),
    ("badge", None, &["nothing-here"]),
    ("cite", None, &["--author", "A", "nothing-here"]),
    ("export", Some(&["--litmus", "SB"]), &["--csv", "nothing-here"]),
    ("import", None, &["nothing-here"]),
    ("list", Some(&[]), &["nothing-here"]),
    ("show", Some(&["SB"]), &["nothing-here"]),
    ("topology", Some(&[]), &["--topology", "nothing-here"]),
    ("completions", Some(&["bash"]), &["tcl"]),
    ("man", Some(&[]), &["-o", "nothing-here"]),
];

#[test]
fn every_command_ends_with_the_statuses_that_its_help_gives() {
    let folder = folder();
    let mut names: Vec<String> = STATUSES.iter().map(|(name, ..)| (*name).to_owned()).collect();
    names.sort();
    let mut all = subcommands();
    all.sort();
    assert_eq!(names, all);
    for (name, good, bad) in STATUSES {
        if let Some(good) = good {
            wakerace(folder.path()).arg(name).args(good).assert().code(0);
        }
        wakerace(folder.path()).arg(name).args(bad).assert().code(2);
        for flag in ["-h", "--help"] {
            let help = wakerace(folder.path()).args([name, flag]).assert().code(0);
            let help = String::from_utf8(help.get_output().stdout.clone()).unwrap();
            assert!(help.contains("\nExit status:\n  0 ") && help.contains("\nEnvironment:\n"), "{name}: {help}");
        }
    }
    for (args, status) in [(&["help", "check"][..], 0), (&["--help"], 0), (&[], 2)] {
        let output = wakerace(folder.path()).args(args).assert().code(status).get_output().clone();
        let help = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
        assert!(help.contains("\nExit status:\n  0 "), "{args:?}: {help}");
    }
}

#[test]
fn what_is_given_is_shown_before_a_run_and_a_bad_folder_is_all_that_is_said() {
    let folder = folder();
    let out = |args: &[&str]| {
        let output = wakerace(folder.path()).args(args).output().unwrap();
        (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap())
    };
    let (text, _) = out(&["run", "--dry-run", "--oversubscribe", "SB", "--window=-200..200", "--group", "2"]);
    assert!(text.contains("\nsettings: --group 2, --window -200..200\n"), "{text}");
    let (text, _) = out(&["run", "--dry-run", "--oversubscribe", "SB", "--skew", "-20,0,20"]);
    assert!(text.contains("\nsettings: --skew -20,0,20\n"), "{text}");
    let (text, _) = out(&["run", "--dry-run", "--oversubscribe", "SB", "-d", "2"]);
    assert!(!text.contains("settings"), "{text}");
    std::fs::create_dir(folder.path().join("no-tests")).unwrap();
    let (text, errors) = out(&["campaign", "no-tests"]);
    assert!(text.is_empty() && errors.starts_with("error: ") && errors.contains("no-tests"), "{text}{errors}");
    assert_eq!(errors.lines().count(), 1, "{errors}");
    let family = |option| out(&["generate", "--arch", "c", "--size", "4", "--list", option, "3"]).0;
    assert_eq!((family("--count").lines().count(), family("--count")), (3, family("--sample")));
    for (command, words) in [
        ("run", "seconds without a unit"),
        ("run", "nanoseconds without a unit"),
        ("campaign", "seconds without a unit"),
    ] {
        let help = out(&[command, "--help"]).0.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(help.contains(words), "{command}: {help}");
    }
    let (text, _) = out(&["topology"]);
    let cpus = text.lines().find(|line| line.starts_with("CPUs ")).unwrap();
    assert!(!cpus.contains(';') || cpus.ends_with("node") || cpus.ends_with("nodes"), "{cpus}");
}

#[test]
fn a_record_shows_the_settings_and_the_code_of_its_results() {
    let folder = folder();
    let (shipped, text) = common::shipped();
    let record = common::run(&text);
    let shown = |args: &[&str]| {
        let output = wakerace(folder.path()).arg("show").arg(&shipped).args(args).assert().success();
        String::from_utf8(output.get_output().stdout.clone()).unwrap()
    };
    let all = shown(&[]);
    for result in &record.results {
        assert!(all.contains(&format!("\n== {} on CPUs ", result.scenario)), "{}", result.scenario);
        let code = format!("sha256 {})\n{}", result.code_sha256, result.listing);
        assert_eq!(all.matches(&code).count(), 1, "{}", result.scenario);
    }
    // A record need not end in .json.
    std::fs::write(folder.path().join("a-record"), format!("\n {text}")).unwrap();
    wakerace(folder.path()).args(["show", "a-record"]).assert().success().stdout(all.clone());
    let one = shown(&["SB"]);
    let result = record.results.iter().find(|result| result.scenario == "SB").unwrap();
    assert!(one.contains(&result.listing) && !one.contains("S01"), "{one}");
    let settings = format!("; {} races; code {}\n", wakerace::publish::count(result.races), &result.code_sha256[..7]);
    assert!(one.contains(&settings.replacen("; ", ", ", 1)), "{settings}");
    for (args, words) in [
        (&["Nothing"][..], "no result of 'Nothing'; it has S01-as-is, "),
        (&["SB", "--pace", "free"], "--pace: a record has the code that ran"),
    ] {
        wakerace(folder.path()).arg("show").arg(&shipped).args(args).assert().code(2).stderr(contains(words));
    }
    wakerace(folder.path()).args(["show", "SB", "MP"]).assert().code(2).stderr(contains("'MP': a second argument"));
    let log = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/logs/litmus7-x86_64.log");
    wakerace(folder.path()).args(["import", log, "--arch", "x86_64", "-o", "k.json"]).assert().success();
    let refused = wakerace(folder.path()).args(["show", "k.json"]).assert().code(2);
    refused.stderr(
        contains("k.json: measured by litmus7").and(contains("such a log has neither settings nor machine code")),
    );
}

#[test]
fn nonsense_is_refused_with_what_is_allowed() {
    let folder = folder();
    let (shipped, _) = common::shipped();
    let record = shipped.to_str().unwrap();
    let cases: [(&[&str], &[&str]); 28] = [
        (
            &["run", "--skew", "9999999s"],
            &["--skew", "'9999999s' is too large; expected at most 1e9 nanoseconds (1 s)"],
        ),
        (&["run", "iriw"], &["error: there is no file", "--cycle 'Rfe PodRR Fre Rfe PodRR Fre' -o tests` makes IRIW"]),
        (&["run", concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml")], &["error: this is not a C litmus test"]),
        (&["report", record], &["--output: the page needs a file", " -o page.html`"]),
        (&["topology", "--latency", "0"], &["--latency", "`all`, or a whole number from 1 on"]),
        (&["topology", "--latency", "-1"], &["--latency", "`all`, or a whole number from 1 on"]),
        (&["topology", "--latency", "some"], &["--latency", "`all`, or a whole number from 1 on"]),
        (&["run", "--pairs", "0"], &["--pairs", "`all`, or a whole number from 1 on"]),
        (&["run", "--repeat", "0"], &["--repeat", "expected a whole number from 1 to 1000"]),
        (&["run", "--group", "5000"], &["--group", "expected a whole number from 1 to 4096"]),
        (&["run", "--nice", "-30"], &["--nice", "expected a whole number from -20 to 19"]),
        (
            &["run", "--lock", if cfg!(target_arch = "riscv64") { "pv" } else { "ticket" }, "--dry-run"],
            &["no such lock; it has"],
        ),
        (&["run", "SB", "-c", "0"], &["allow more CPUs with -c, or add --oversubscribe"]),
        (&["run", "--period", "0"], &["--period", "expected a time above 0"]),
        (&["run", "--profile", "nothing", "--dry-run"], &["--profile", "nothing"]),
        (&["campaign", "--iterations", "0"], &["--iterations", "from 1 to 1e18"]),
        (&["generate", "--arch", "c", "--size", "1"], &["--size: expected a whole number from 2 on"]),
        (&["generate", "--arch", "c", "--sample", "0"], &["--sample: expected a whole number from 1 on"]),
        (&["expect", "-d", "0"], &["--duration", "at least 1ms"]),
        (&["cite", record, "--author", ","], &["--author", "'Family, Given'"]),
        (&["cite", record, "--author", ""], &["--author", "one line of text"]),
        (&["cite", record, "--author", "A", "--title", ""], &["--title", "one line of text"]),
        (&["cite", record, "--author", "A", "--license", "nonsense"], &["--license", "SPDX License List", "CC-BY-4.0"]),
        (&["report", record, "-o", "p.html", "--url", "nonsense"], &["--url", "https://example.org/race.html"]),
        (&["report", record, "-o", "p.html", "--author", " "], &["--author", "one line of text"]),
        (&["report", record, "-o", "p.html", "--cite", "a\nb"], &["--cite", "one line of text"]),
        (&["import", record, "--started", "yesterday"], &["--started", "2026-11-25T17:44:25Z"]),
        (&["import", record, "--cpu", ""], &["--cpu", "one line of text"]),
    ];
    for (args, words) in cases {
        let output = wakerace(folder.path()).args(args).assert().code(2);
        let error = String::from_utf8(output.get_output().stderr.clone()).unwrap();
        for words in words {
            assert!(error.contains(words), "{args:?} does not say '{words}': {error}");
        }
        assert!(output.get_output().stdout.is_empty(), "{args:?}");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0, "{args:?} leaves a file");
    }
}

#[test]
fn columns_gives_the_width_where_there_is_no_terminal() {
    let folder = folder();
    let (shipped, _) = common::shipped();
    let widest = |columns: Option<&str>, args: &[&str]| {
        let mut command = wakerace(folder.path());
        command.args(args).env_remove("COLUMNS");
        columns.map(|columns| command.env("COLUMNS", columns));
        let output = command.assert().code(0);
        let text = String::from_utf8(output.get_output().stdout.clone()).unwrap();
        // A path is not broken.
        let lines = text.lines().filter(|line| line.split_whitespace().count() > 1);
        lines.map(|line| line.chars().count()).max().unwrap()
    };
    let shipped = shipped.to_str().unwrap();
    let folder_of_records = concat!(env!("CARGO_MANIFEST_DIR"), "/results");
    let tables: [&[&str]; 6] = [
        &["list"],
        &["check", "S01-as-is", "SB"],
        &["compare", folder_of_records],
        &["compare", "--all", folder_of_records],
        &["expect", shipped],
        &["run", "--dry-run", "--oversubscribe"],
    ];
    for args in tables {
        let free = widest(None, args);
        assert!(free > 80, "{args:?}: {free}");
        for columns in ["80", "100"] {
            let fitted = widest(Some(columns), args);
            assert!(fitted <= columns.parse().unwrap(), "{args:?}: {fitted} at {columns}");
        }
        for nonsense in ["0", "-1", "wide", ""] {
            assert_eq!(widest(Some(nonsense), args), free, "{args:?}: {nonsense}");
        }
    }
}

#[test]
fn every_subcommand_has_a_manual_page() {
    let folder = folder();
    wakerace(folder.path()).args(["man", "-o", "."]).assert().success();
    let page = |name: &str| fs::read_to_string(folder.path().join(name)).unwrap();
    let main = page("wakerace.1");
    for name in subcommands() {
        assert!(main.contains(&format!("wakerace\\-{name}(1)")), "{name}");
        let own = page(&format!("wakerace-{name}.1"));
        for words in [".SH \"EXIT STATUS\"", "\\fB2\\fR", ".SH ENVIRONMENT", "NO_COLOR"] {
            assert_eq!(own.matches(words).count(), 1, "{name}: {words}");
        }
        assert!(page(&format!("wakerace-{name}.1")).contains(&format!("wakerace\\-{name}")), "{name}");
    }
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), subcommands().len() + 1);
    for words in [".SH \"EXIT STATUS\"", ".SH ENVIRONMENT", "\\fB130\\fR", "XDG_CONFIG_HOME"] {
        assert!(main.contains(words), "{words}");
    }
    assert!(page("wakerace-run.1").contains("stop\\-after\\-races"));
    wakerace(folder.path()).args(["man", "-o", "nowhere"]).assert().code(2).stderr(contains("nowhere"));
}

#[test]
fn the_cpus_of_a_large_machine_fit_a_narrow_terminal() {
    let folder = folder();
    // Two sockets of 256 cores with two threads each; the second threads have the numbers from 512 on. Eight cores share a cache.
    let cpus = folder.path().join("large/sys/devices/system/cpu");
    let range =
        |first: usize, of: usize| format!("{0}-{1},{2}-{3}", first, first + of - 1, first + 512, first + 511 + of);
    for cpu in 0..1024 {
        let (at, core) = (cpus.join(format!("cpu{cpu}")), cpu % 512);
        fs::create_dir_all(at.join("topology")).unwrap();
        fs::create_dir_all(at.join("cache/index0")).unwrap();
        for (file, text) in [
            ("topology/core_cpus_list", format!("{core},{}", core + 512)),
            ("topology/package_cpus_list", range(core / 256 * 256, 256)),
            ("cache/index0/level", "3".to_owned()),
            ("cache/index0/type", "Unified".to_owned()),
            ("cache/index0/shared_cpu_list", range(core / 8 * 8, 8)),
        ] {
            fs::write(at.join(file), text).unwrap();
        }
    }
    fs::write(cpus.join("online"), "0-1023\n").unwrap();
    let shown = |width: &str| {
        let mut command = wakerace(folder.path());
        let output = command.args(["topology", "--topology", "large"]).env("COLUMNS", width).assert().success();
        String::from_utf8(output.get_output().stdout.clone()).unwrap()
    };
    let rows = [
        " CPUs             core               last-level cache                socket           node",
        " 0-255,512-767    0,512 ... 255,767  0-7,512-519 ... 248-255,760-767  0-255,512-767    -",
        " 256-511,768-1023 256,768 ... 511,1023",
    ];
    let wide = shown("120");
    let words = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    let table: Vec<Vec<String>> = wide.lines().skip(2).take(3).map(words).collect();
    assert_eq!(table[..2], rows[..2].iter().map(|row| words(row)).collect::<Vec<_>>(), "{wide}");
    assert!(table[2].starts_with(&words(rows[2])), "{wide}");
    for (width, text) in [(60, shown("60")), (120, wide)] {
        assert!(text.lines().all(|line| line.chars().count() <= width), "{width}:\n{text}");
        assert!(text.lines().count() < 25, "{text}");
        for kept in ["0-255,512-767", "256,768 ... 511,1023", "504-511,1016-1023", "2 threads: CPUs 1,256 (socket); "] {
            assert!(text.contains(kept), "{kept}: {text}");
        }
    }
}

#[test]
fn a_capture_shows_the_same_cpus_elsewhere() {
    let folder = folder();
    wakerace(folder.path()).args(["topology", "--capture", "box.json"]).assert().success();
    let shown = |args: &[&str]| {
        let output = wakerace(folder.path()).arg("topology").args(args).assert().success();
        let text = String::from_utf8(output.get_output().stdout.clone()).unwrap();
        let begin = text.find(" CPUs  core").unwrap();
        text[begin..].lines().take_while(|line| !line.starts_with("counters")).collect::<Vec<_>>().join("\n")
    };
    let (here, there) = (shown(&[]), shown(&["--topology", "box.json"]));
    assert_eq!(there.trim_end(), here.trim_end());

    // A folder with a copy of another machine's files.
    let other = folder.path().join("other/sys/devices/system/cpu");
    fs::create_dir_all(other.join("cpu7/topology")).unwrap();
    fs::create_dir_all(other.join("cpu9/topology")).unwrap();
    fs::write(other.join("online"), "7,9\n").unwrap();
    for cpu in ["cpu7", "cpu9"] {
        fs::write(other.join(cpu).join("topology/core_cpus_list"), "7,9\n").unwrap();
        fs::write(other.join(cpu).join("topology/package_cpus_list"), "7,9\n").unwrap();
    }
    assert!(shown(&["--topology", "other"]).contains("2 threads: CPUs 7,9 (smt)"));

    let wrong = |path: &str, words: &str| {
        wakerace(folder.path()).args(["topology", "--topology", path]).assert().code(2).stderr(contains(words));
    };
    wrong("nothing", "nothing");
    write(folder.path(), "no.json", "{}");
    wrong("no.json", "not a capture");
    fs::create_dir(folder.path().join("empty")).unwrap();
    wrong("empty", "no sys/devices/system/cpu/online below it");
}

#[cfg_attr(not(two_cpus), ignore = "needs two CPUs")]
#[test]
fn a_test_without_a_place_does_not_stop_the_others() {
    let folder = folder();
    let cpus = allowed_cpus().unwrap();
    let two = format!("{},{}", cpus[0], cpus[1]);
    let run = |names: &[&str]| {
        let options = ["run", "-c", &two, "-n", "20000", "--no-save", "-q", "--no-controls"];
        wakerace(folder.path()).args(options).args(names).assert()
    };
    let words = "2 not run, because the CPUs that may be used";
    let both =
        contains(words).and(contains("S09-on_rq (3 threads), S14-third-cpu (3 threads)")).and(contains("SB+mbs"));
    run(&["S09-on_rq", "SB+mbs", "S14-third-cpu"]).success().stdout(both);
    run(&["S09-on_rq"]).code(2).stderr(contains("S09-on_rq: the test has 3 threads, but only 2 CPUs may be used"));
    run(&["SB+mbs"]).success().stdout(contains("not run").not());
}

#[test]
fn a_file_that_is_no_test_does_not_stop_the_others() {
    let folder = folder();
    fs::create_dir(folder.path().join("mine")).unwrap();
    write(folder.path(), "mine/good.litmus", format!("C good\n\n{{}}\n\n{ALWAYS}\n"));
    write(folder.path(), "mine/bad.litmus", "C bad\n\n{}\n\nP0(int *x) { WRITE_ONCE(*x 1); }\nexists (x=1)\n");
    write(folder.path(), "mine/binary.litmus", [0xff_u8, 0xfe, 0]);
    let run = wakerace(folder.path()).args(["run", "mine", "--no-controls"]).args(SHORT).assert().code(2);
    run.stdout(contains("good")).stderr(
        contains("bad.litmus:5").and(contains("binary.litmus")).and(contains("2 files that were named are not run")),
    );
    // Where nothing is left, the first reason is the error.
    fs::remove_file(folder.path().join("mine/good.litmus")).unwrap();
    let nothing = wakerace(folder.path()).args(["run", "mine"]).args(SHORT).assert().code(2);
    nothing.stderr(contains("bad.litmus:5").and(contains("were named").not()));
}

#[test]
#[cfg_attr(not(two_cpus), ignore = "needs two CPUs")]
fn a_wrong_value_is_told_by_its_option() {
    let folder = folder();
    for (words, said) in [
        ("run SB -d -1s", "'-1s' is not a duration"),
        ("run SB -n -5", "'-5' is not a count"),
        ("protocol --duration -1s", "'-1s' is not a duration"),
        ("run SB --seed 1e23-sized", "'1e23-sized' for '--seed <SEED>': expected a whole number"),
        ("run SB --seed 99999999999999999999", "the number is too large"),
        ("run SB --nice x", "expected a whole number"),
        ("run SB --profile /nonexist", "--profile: opening /nonexist: "),
        ("run SB --topology /nonexist", "--topology: opening /nonexist: "),
        ("topology --topology /nonexist", "--topology: opening /nonexist: "),
        (
            "cite r.json --author A --license x,y",
            "for '--license <ID>': 'x,y' is not an identifier of the SPDX License List",
        ),
        ("cite r.json --author A --doi foo", "for '--doi <DOI>': not a DOI"),
    ] {
        let output = wakerace(folder.path()).args(words.split(' ')).output().unwrap();
        let message = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{words}: {message}");
        assert!(message.contains(said) && !message.contains("use '--"), "{words}: {message}");
        assert!(!message.contains("invalid digit"), "{words}: {message}");
    }
}
