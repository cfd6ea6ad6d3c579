//! Tests of `wakerace protocol` from the command line: no task is lost, no unexpected harm is counted, and
//! mutants are noticed.

use std::path::Path;
use std::process::Command;

use assert_cmd::assert::OutputAssertExt;
use predicates::prelude::*;
use predicates::str::contains;
use wakerace::arch::Arch;
use wakerace::kernel::Profile;
use wakerace::kernel::harm::Harm;
use wakerace::protocol::Variant;
use wakerace::record::{Judgement, PROTOCOL_SCHEMA, ProtocolRecord};

/// The command `wakerace protocol` in a folder; through an emulator if WAKERACE_RUNNER names one.
fn protocol(folder: &Path, args: &[&str]) -> Command {
    let binary = env!("CARGO_BIN_EXE_wakerace");
    let runner = std::env::var_os("WAKERACE_RUNNER");
    let mut command = Command::new(runner.as_deref().unwrap_or(binary.as_ref()));
    command.args(runner.is_some().then_some(binary)).arg("protocol").args(args).current_dir(folder);
    command
}

/// Runs the command, checks its exit status and reads the record that it prints. On a busy machine a short run may end
/// before its first round. Then it is run again, ten times as long.
fn record(folder: &Path, args: &[&str], status: i32) -> ProtocolRecord {
    let first = once(folder, args, status);
    let Some(at) = args.iter().position(|arg| *arg == "-d").map(|at| at + 1) else { return first };
    if first.results.iter().all(|result| result.rounds > 0 && result.acquired > 0) {
        return first;
    }
    let longer = args[at].replace("ms", "0ms");
    let again: Vec<&str> = args.iter().enumerate().map(|(n, arg)| if n == at { &longer } else { *arg }).collect();
    once(folder, &again, status)
}

fn once(folder: &Path, args: &[&str], status: i32) -> ProtocolRecord {
    let output = protocol(folder, args).args(["--no-save", "-q", "--export-json", "-"]).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(status), "{args:?}: {errors}");
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}\n{errors}"))
}

/// Checks what must hold in every run, independent of chance.
fn adds_up(record: &ProtocolRecord) {
    assert_eq!(record.schema, PROTOCOL_SCHEMA);
    for result in &record.results {
        let wakes = &result.wakes;
        let ended = wakes.no_match + wakes.runnable + wakes.activated + wakes.dropped;
        assert_eq!((wakes.issued, wakes.unaccounted), (ended, 0), "{}", result.profile);
        assert!(result.rounds > 0 && result.acquired > 0, "{} ran no round or acquired no lock", result.profile);
        assert!(result.races <= result.nulls && result.nulls <= result.matches, "{}", result.profile);
        let healed: u64 = result.healed.iter().map(|healed| healed.count).sum();
        assert_eq!(healed, result.heal_ns.count, "{}", result.profile);
        assert!(healed <= result.races, "{}", result.profile);
    }
}

#[test]
fn every_profile_loses_nothing_and_harms_nobody() {
    let folder = tempfile::tempdir().unwrap();
    for variant in ["minimal", "all"] {
        let record = record(folder.path(), &["-d", "700ms", "--variant", variant], 0);
        adds_up(&record);
        let profiles: Vec<&str> = record.results.iter().map(|result| result.profile.as_str()).collect();
        assert_eq!(profiles, Profile::ALL.map(Profile::name));
        for result in &record.results {
            assert_ne!(result.judgement(), Judgement::Unexpected, "{result:?}");
            for harm in [
                Harm::H2,
                Harm::H3,
                Harm::H7,
                Harm::H9,
                Harm::H10,
                Harm::M,
                Harm::D,
                Harm::C1,
                Harm::C2,
                Harm::C3,
                Harm::C6,
            ] {
                assert_eq!(result.harm(harm), 0, "{} {harm}", result.profile);
            }
            if result.profile != "draft" {
                assert_eq!((result.harm(Harm::H4), result.harm(Harm::H6)), (0, 0), "{}", result.profile);
            }
            // x86-TSO forbids the race. An emulator on x86 cannot show it either.
            if Arch::host() == Some(Arch::X86_64) {
                assert_eq!(result.races, 0, "{}", result.profile);
            }
        }
    }
}

#[test]
fn a_forced_race_is_seen_by_the_draft_alone_and_healed_with_the_check() {
    let folder = tempfile::tempdir().unwrap();
    let forced = ["-d", "700ms", "--variant", "minimal", "--blocked-on-store", "nontemporal"];
    if Arch::host() != Some(Arch::X86_64) {
        protocol(folder.path(), &forced).assert().code(2).stderr(contains("works only on x86-64"));
        return;
    }
    // A wakeup of v7.1 and v7.2 does not read blocked_on, so it cannot miss it.
    let kernels = record(folder.path(), &[&forced[..], &["--profile", "v7.1,v7.2"]].concat(), 0);
    adds_up(&kernels);
    for result in &kernels.results {
        assert_eq!((result.races, result.nulls, result.unhealed), (0, 0, 0), "{result:?}");
    }
    // The number of races depends on chance. All of them must be healed.
    let check = record(folder.path(), &[&forced[..], &["--profile", "draft", "--mutant", "check"]].concat(), 0);
    adds_up(&check);
    let result = &check.results[0];
    assert_eq!((result.unhealed, result.harm(Harm::H4), result.harm(Harm::H6)), (0, 0, 0), "{result:?}");
    assert_ne!(result.judgement(), Judgement::Unexpected);
}

#[test]
fn every_variant_runs_and_expects_what_it_finds() {
    let folder = tempfile::tempdir().unwrap();
    for variant in Variant::ALL {
        // With delayed dequeue v7.1 may run a task outside its mask.
        let profiles = if variant == Variant::V10 { "draft,v7.2" } else { "v7.1,draft,v7.2" };
        let record = record(folder.path(), &["-d", "200ms", "--variant", variant.name(), "--profile", profiles], 0);
        adds_up(&record);
        for result in &record.results {
            assert_ne!(result.judgement(), Judgement::Unexpected, "{variant} {result:?}");
        }
    }
}

#[test]
fn every_layout_runs() {
    let folder = tempfile::tempdir().unwrap();
    let record = record(folder.path(), &["-d", "900ms", "--variant", "V8", "--profile", "v7.2"], 0);
    adds_up(&record);
    let layouts: Vec<&str> = record.results.iter().map(|result| result.layout.as_str()).collect();
    assert_eq!(layouts, wakerace::protocol::LAYOUTS);
}

#[test]
fn more_threads_than_cpus_do_not_hang() {
    let folder = tempfile::tempdir().unwrap();
    let record = record(folder.path(), &["-d", "700ms", "--threads", "9", "--profile", "v7.1,v7.2"], 0);
    adds_up(&record);
    assert_eq!(record.results[0].cpus.len(), 9);
}

#[test]
fn a_lost_wakeup_is_noticed_with_the_state_of_everything() {
    let folder = tempfile::tempdir().unwrap();
    // v7.1 survives this: find_proxy_task() forces the return of a task that is PROXY_WAKING, whether it was
    // woken or not.
    let args =
        ["-d", "60s", "--variant", "minimal", "--profile", "v7.2", "--mutant", "lose-wakeup", "--watchdog", "1s"];
    protocol(folder.path(), &args).args(["--no-save", "-q"]).assert().code(1).stdout(
        contains("has not been switched to for")
            .and(contains("harm nobody expects"))
            .and(contains("CPU 0: nr_running"))
            .and(contains("mutex 0: owner"))
            .and(contains("the last events:")),
    );
}

#[test]
fn a_run_that_is_shorter_than_its_watchdog_counts_who_sleeps_at_its_end() {
    let folder = tempfile::tempdir().unwrap();
    // All wakeups of the thousandth blocking episode of a task are dropped, so that task never runs again.
    let args =
        ["-d", "4s", "--variant", "minimal", "--profile", "v7.2", "--mutant", "lose-wakeup", "--watchdog", "10min"];
    let record = record(folder.path(), &args, 1);
    adds_up(&record);
    let result = &record.results[0];
    assert!(result.harm(Harm::H4) > 0, "{result:?}");
    assert_eq!(result.judgement(), Judgement::Unexpected);
    assert!(result.stuck.as_ref().is_some_and(|stuck| stuck.starts_with("H4: when the run ended task ")), "{result:?}");
}

#[test]
fn a_wakeup_that_is_dropped_is_harm_even_if_its_task_survives() {
    let folder = tempfile::tempdir().unwrap();
    // In v7.1 the task survives: its return is forced when it is PROXY_WAKING, whether it was woken or not.
    let args = ["-d", "3s", "--variant", "minimal", "--profile", "v7.1", "--mutant", "lose-wakeup"];
    let record = record(folder.path(), &args, 1);
    assert!(record.results[0].wakes.dropped > 0);
    assert_eq!(record.results[0].judgement(), Judgement::Unexpected);
}

#[test]
fn a_thread_that_cannot_be_started_is_exit_2() {
    let folder = tempfile::tempdir().unwrap();
    // A stack of this size fits into no address space.
    let mut command = protocol(folder.path(), &["-d", "1s", "--no-save", "-q"]);
    command.env("RUST_MIN_STACK", (1u64 << 62).to_string());
    command.assert().code(2).stderr(contains("starting a thread for CPU 0 (0 were started before it"));
}

#[test]
fn mutants_end_a_run_with_the_harm_they_do() {
    let folder = tempfile::tempdir().unwrap();
    for (mutant, harm) in [("no-cleanup", "H2"), ("clear-unlocked", "C3")] {
        // A few seconds are usually enough. The time depends on chance and on the host.
        let args = ["-d", "120s", "--variant", "minimal", "--profile", "v7.1,v7.2", "--mutant", mutant];
        let record = record(folder.path(), &args, 1);
        for result in &record.results {
            assert!(result.stuck.as_ref().is_some_and(|stuck| stuck.starts_with(harm)), "{mutant}: {:?}", result.stuck);
            assert!(result.elapsed_s < 110.0, "{mutant} was noticed, but the run went on");
        }
    }
}

#[test]
fn exports_and_the_kept_record_tell_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let args = ["-d", "300ms", "--profile", "v7.2", "--export-csv", "out.csv", "--export-markdown", "out.md"];
    let assert = protocol(folder.path(), &args).assert().success().stdout(contains("record: results/"));
    let text = String::from_utf8(assert.get_output().stdout.clone()).unwrap();
    let path = text.lines().find_map(|line| line.strip_prefix("record: ")).unwrap();
    assert!(path.ends_with(".protocol.json"), "{path}");
    let kept: ProtocolRecord =
        serde_json::from_str(&std::fs::read_to_string(folder.path().join(path)).unwrap()).unwrap();
    adds_up(&kept);
    let issued = kept.results[0].wakes.issued.to_string();
    let csv = std::fs::read_to_string(folder.path().join("out.csv")).unwrap();
    assert!(csv.lines().nth(1).unwrap().split(',').any(|cell| cell == issued), "{csv}");
    let markdown = std::fs::read_to_string(folder.path().join("out.md")).unwrap();
    assert!(markdown.contains("| v7.2 | all | plain |"), "{markdown}");
}

#[test]
fn bad_arguments_say_what_would_be_right() {
    let folder = tempfile::tempdir().unwrap();
    let cases: [(&[&str], &str); 9] = [
        (&["--profile", "v8"], "known are v7.1, draft, v7.2"),
        (&["--profile", "draft+check"], "no kernel but a mutant of the draft: --profile draft --mutant check"),
        (&["--mutant", "check"], "--mutant check: it changes the profile draft only; add --profile draft"),
        (&["--mutant", "block-preempted", "--profile", "v7.1"], "it changes the profile v7.2 only"),
        (&["--variant", "V99"], "known are minimal, V1"),
        (&["--layout", "flat"], "--layout: unknown layout 'flat'"),
        (&["--threads", "1"], "--threads: 1 CPUs; expected 2 to 64"),
        (&["--tasks", "0"], "--tasks: 0 tasks per CPU; expected 1 to 16"),
        (&["-c", "9999"], "--cpus:"),
    ];
    for (args, message) in cases {
        protocol(folder.path(), args).assert().code(2).stderr(contains(message));
    }
}
