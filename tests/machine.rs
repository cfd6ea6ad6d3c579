//! wakerace on hosts that lack something, and what a record states about the host and about the run's settings.

use std::collections::HashSet;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::AtomicBool;

use assert_cmd::assert::OutputAssertExt;
use predicates::prelude::*;
use predicates::str::contains;
use wakerace::catalogue;
use wakerace::codegen::Target;
use wakerace::experiment::{self, Choice, Common, Experiment, PaceChoice};
use wakerace::harness::{Limits, Prefetch};
use wakerace::layout::LayoutKind;
use wakerace::machine::{Class, Clock, CounterOffset, Placement, Topology, allowed_cpus, exactly};
use wakerace::record::{CountRecord, Record, ScenarioResult, problems};
use wakerace::units::{Nanos, Ticks};
use wakerace::verdict;

/// The wakerace command in this folder, run through an emulator if WAKERACE_RUNNER names one.
fn wakerace(folder: &Path) -> Command {
    let binary = env!("CARGO_BIN_EXE_wakerace");
    let mut command = match std::env::var_os("WAKERACE_RUNNER") {
        Some(runner) => {
            let mut command = Command::new(runner);
            command.arg(binary);
            command
        }
        None => Command::new(binary),
    };
    command.current_dir(folder).env("XDG_CACHE_HOME", folder.join(".cache")).env("XDG_CONFIG_HOME", folder);
    command
}

/// The CPUs for two threads: two different ones if the host has two.
fn two_cpus() -> [usize; 2] {
    let allowed = allowed_cpus().unwrap();
    [allowed[0], allowed[1 % allowed.len()]]
}

/// A thread that may not read the TSC gets SIGSEGV at every rdtsc.
///
/// The flag belongs to a thread, so the rest of this process is not affected. The test sets it in this process
/// and not before a program starts, because glibc's dynamic linker reads the TSC before main and would crash.
/// The static binaries that scripts/build-static makes do not have this problem.
#[cfg(target_arch = "x86_64")]
#[test]
fn a_forbidden_counter_is_an_error_in_words() {
    use clap::Parser;
    use wakerace::cli::{Cli, dispatch, explain};

    // The values are from include/uapi/linux/prctl.h.
    const PR_SET_TSC: libc::c_int = 26;
    const PR_TSC_ENABLE: libc::c_ulong = 1;
    const PR_TSC_SIGSEGV: libc::c_ulong = 2;
    fn forbid(how: libc::c_ulong) {
        // SAFETY: sets a flag of the calling thread.
        assert_eq!(unsafe { libc::prctl(PR_SET_TSC, how, 0, 0, 0) }, 0);
    }

    let folder = tempfile::tempdir().unwrap();
    let profile = folder.path().join("p.json").display().to_string();
    let commands: [&[&str]; 4] = [
        &["run", "SB", "-n", "1000", "--no-save", "--oversubscribe"],
        &["topology"],
        &["tune", "SB", "-d", "100ms", "-o", &profile],
        &["protocol", "-d", "100ms", "--no-save"],
    ];
    for words in commands {
        let line = Cli::parse_from(std::iter::once(&"wakerace").chain(words));
        let one = || {
            forbid(PR_TSC_SIGSEGV);
            let result = dispatch(line);
            forbid(PR_TSC_ENABLE);
            result.map_err(|error| explain(&error))
        };
        // Spawning a scoped thread does not read the clock.
        let error = std::thread::scope(|scope| scope.spawn(one).join().unwrap()).unwrap_err();
        assert!(
            error.contains("TSC") && error.contains("SIGSEGV") && error.contains("PR_SET_TSC"),
            "{words:?}: {error}"
        );
    }
}

/// The wakerace command in a mount namespace without /sys.
fn without_sys(folder: &Path) -> Command {
    use std::os::unix::process::CommandExt;
    let mut command = wakerace(folder);
    // SAFETY: between fork and exec the closure only makes system calls, on strings that are part of the binary.
    unsafe {
        command.pre_exec(|| {
            let done = |result: libc::c_int| if result == 0 { Ok(()) } else { Err(std::io::Error::last_os_error()) };
            let flags = if libc::geteuid() == 0 { libc::CLONE_NEWNS } else { libc::CLONE_NEWNS | libc::CLONE_NEWUSER };
            done(libc::unshare(flags))?;
            let (none, nothing) = (c"none".as_ptr(), std::ptr::null());
            done(libc::mount(none, c"/".as_ptr(), nothing, libc::MS_REC | libc::MS_PRIVATE, nothing.cast()))?;
            done(libc::mount(none, c"/sys".as_ptr(), c"tmpfs".as_ptr(), libc::MS_RDONLY, nothing.cast()))
        });
    }
    command
}

#[test]
#[ignore = "needs a mount namespace: root, or user namespaces that may mount"]
fn a_host_without_sys_runs_and_says_what_it_does_not_know() {
    let folder = tempfile::tempdir().unwrap();
    let [a, b] = two_cpus();
    assert_ne!(a, b, "this test needs two CPUs");
    without_sys(folder.path()).arg("topology").assert().success().stdout(
        contains("note: /sys/devices/system/cpu/online: No such file")
            .and(contains("/sys does not say which CPUs share a core"))
            .and(contains(format!("{a},{b} (unknown)"))),
    );
    let path = folder.path().join("r.json");
    let mut command = without_sys(folder.path());
    command.args(["run", "SB", "--no-controls", "-n", "20000", "--no-save", "-c", &format!("{a},{b}")]);
    command.arg("--export-json").arg(&path).assert().success();
    let record: Record = serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
    assert_eq!(record.results[0].placement.class, Class::Unknown);
    assert_eq!(record.results[0].placement.cpus, [a, b]);
    assert!(record.host.unread[0].contains("cpu/online"), "{:?}", record.host.unread);
    wakerace(folder.path()).args(["validate", "r.json"]).assert().success();
    let mut command = without_sys(folder.path());
    command.args(["protocol", "-d", "200ms", "--profile", "v7.1", "--no-save"]).assert().success();
}

#[test]
fn the_clock_is_checked_shown_and_recorded() {
    let folder = tempfile::tempdir().unwrap();
    wakerace(folder.path())
        .arg("topology")
        .assert()
        .success()
        .stdout(contains("MHz ± ").and(contains("the kernel's clocksource is")));
    let path = folder.path().join("r.json");
    let mut command = wakerace(folder.path());
    command.args(["run", "SB", "--no-controls", "-n", "20000", "--no-save", "--oversubscribe", "--export-json"]);
    command.arg(&path).assert().success();
    let record: Record = serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
    let check = record.host.clock_check.as_ref().expect("it was checked");
    assert_eq!(check.unfit.is_some(), check.passes_differ > 1e-3, "{check:?}");
    assert!(check.calibration_s >= 0.02, "{check:?}");
    let current = fs::read_to_string("/sys/devices/system/clocksource/clocksource0/current_clocksource");
    assert_eq!(check.clocksource.as_deref(), current.ok().as_deref().map(str::trim));
    let [a, b] = two_cpus();
    let result = &record.results[0];
    assert_eq!(result.counters.len(), usize::from(a != b));
    for offset in &result.counters {
        assert_eq!(offset.cpu, result.placement.cpus[1]);
        assert_eq!(offset.offset_ns.is_none(), offset.problem.is_some(), "{offset:?}");
        assert!(offset.error_ns.is_none_or(|error| error > 0.0), "{offset:?}");
    }
    // Impossible values are reported.
    assert_eq!(problems(&record), Vec::<String>::new());
    let mut wrong = record;
    wrong.host.clock_check.as_mut().unwrap().passes_differ = -1.0;
    let elsewhere =
        CounterOffset { cpu: 4097, offset_ns: Some(1.0), error_ns: Some(2.0), corrected: false, problem: None };
    wrong.results[0].counters = vec![elsewhere];
    let said = problems(&wrong).join("\n");
    assert!(said.contains("host.clock_check: two calibration passes differ by -1"), "{said}");
    assert!(said.contains("results[0].counters: counter offsets are given for CPUs [4097]"), "{said}");
}

/// Runs SB paced on two CPUs.
fn sb(common: impl FnOnce(&mut Common), skews: Vec<i64>, batch: usize) -> ScenarioResult {
    let scenario = catalogue::named("SB").unwrap();
    let target = Target::of_host().unwrap();
    let mut settings = Common {
        target,
        clock: Clock::calibrate(),
        edges: None,
        line: 128,
        seed: 1,
        limits: Limits { iterations: Some(1000), ..Limits::default() },
        nice: 0,
        event: None,
        window: true,
        side_by_side: false,
    };
    common(&mut settings);
    let choice = Choice {
        pace: PaceChoice::Paced {
            given: true,
            period: Some(settings.clock.ticks(Nanos(1000.0))),
            skews: Some(skews.into_iter().map(Ticks).collect()),
        },
        layout: LayoutKind::Padded,
        batch: Some(batch),
        group: Some(1),
        prefetch: Prefetch::Off,
        stress: None,
        profile: None,
        searching: None,
    };
    let cpus = two_cpus();
    let placement = match exactly(&Topology::read().unwrap(), &cpus) {
        Placement { cpus, kinds, .. } if cpus[0] == cpus[1] => Placement { cpus, class: Class::Shared, kinds },
        placement => placement,
    };
    let expectation = verdict::expectation(&scenario, target.arch, target.atomics).unwrap();
    let experiment = Experiment::new(&scenario, placement, choice, expectation, &settings).unwrap();
    experiment::run(&experiment, &AtomicBool::new(false), |_| ()).unwrap().result
}

#[test]
fn the_nice_value_is_the_one_that_was_granted() {
    // The kernel grants at most 19.
    assert_eq!(sb(|common| common.nice = 100, vec![0], 100).nice, 19);
}

/// Each level of the distance has its own order of skews, so this holds for a run within one level: one with no look between
/// its first and its last.
#[test]
fn a_seed_decides_the_order_of_skews_and_is_recorded() {
    let run = |seed| {
        let limits = Limits { iterations: Some(4), ..Limits::default() };
        let result =
            sb(|common| (common.seed, common.limits) = (seed, limits), (0..16).map(|step| 50 * step).collect(), 1);
        assert_eq!(result.seed, seed);
        result
    };
    let taken = |seed| {
        let within_a_level =
            |result: &ScenarioResult| result.distances.as_ref().is_none_or(|distances| distances.looks <= 2);
        let result =
            (0..1000).map(|_| run(seed)).find(within_a_level).expect("most runs of four iterations take microseconds");
        let run: Vec<i64> =
            result.skews.iter().filter(|skew| skew.iterations > 0).map(|skew| skew.skew_ns.round() as i64).collect();
        assert_eq!(run.len(), 4, "none is taken twice before all were: {:?}", result.distances);
        run
    };
    let first = taken(1);
    // Skews are in ticks. Each calibration changes the length of a tick by about a millionth, which rounding hides.
    assert_eq!(taken(1), first);
    let seeds: HashSet<Vec<i64>> = (1..6).map(taken).collect();
    assert!(seeds.len() > 1, "{first:?} whatever the seed");
}

/// However short a run is, its distances have all its counts.
#[test]
fn distances_are_measured_in_every_run_and_recorded() {
    let [a, b] = two_cpus();
    for iterations in [1, 1000, 300_000] {
        let limits = Limits { iterations: Some(iterations), ..Limits::default() };
        let result = sb(|common| common.limits = limits, vec![-50, 0, 50], 100);
        assert_eq!(result.distances.is_some(), a != b);
        let text = serde_json::to_string(&result).unwrap();
        let again: ScenarioResult = serde_json::from_str(&text).unwrap();
        assert_eq!(again, result);
        let Some(distances) = result.distances else { continue };
        // A cache-line transfer takes more than 1 ns and less than 10 us.
        assert!(result.line_transfer_ns.is_none_or(|ns| ns > 1.0 && ns < 1e4), "{:?}", result.line_transfer_ns);
        // One look before the first batch and one after the last.
        assert!(distances.looks >= 2, "{distances:?}");
        let sum = |of: fn(&CountRecord) -> u64| -> u64 {
            let counts = distances.strata.iter().map(|at| CountRecord {
                iterations: at.iterations,
                races: at.races,
                matches: None,
            });
            counts.chain([distances.between]).map(|counts| of(&counts)).sum()
        };
        assert_eq!((sum(|counts| counts.iterations), sum(|counts| counts.races)), (iterations, result.races));
        let time: f64 = distances.strata.iter().map(|at| at.in_batches_s).sum();
        assert!(time <= result.in_batches_s * 1.01 + 1e-6 && result.in_batches_s > 0.0, "{time}");
        for at in &distances.strata {
            assert!(at.low_ns <= at.ns && at.ns <= at.high_ns * 1.000_001 && at.period_ns.is_some(), "{at:?}");
            let several = distances.strata.len() > 1;
            assert_eq!((at.skews.len(), at.last_writers.is_empty()), if several { (3, false) } else { (0, true) });
        }
    }
}

#[test]
fn a_sum_has_no_counters_of_its_own() {
    let folder = tempfile::tempdir().unwrap();
    for (name, seed) in [("a.json", "1"), ("b.json", "2")] {
        let mut command = wakerace(folder.path());
        command.args(["run", "SB", "--no-controls", "-n", "5000", "--no-save", "--oversubscribe", "--seed", seed]);
        command.args(["--export-json", name]).assert().success();
    }
    wakerace(folder.path()).args(["merge", "a.json", "b.json", "-o", "sum.json"]).assert().success();
    let sum: Record = serde_json::from_str(&fs::read_to_string(folder.path().join("sum.json")).unwrap()).unwrap();
    assert_eq!(sum.results[0].counters, []);
    assert_eq!(sum.results[0].iterations, 10_000);
    assert!(sum.host.clock_check.is_some());
}
