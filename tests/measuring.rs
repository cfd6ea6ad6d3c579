//! Tests of measuring: what counts as an iteration, and how a run reacts to disturbances such as moved
//! threads, missing threads and signals.

use std::fs;
use std::io::Read;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use assert_cmd::assert::OutputAssertExt;
use predicates::prelude::*;
use predicates::str::contains;
use wakerace::machine::allowed_cpus;
use wakerace::record::{self, AnyRecord, Finding, Record};

/// A command that runs wakerace with `folder` as its current folder, under the emulator that WAKERACE_RUNNER
/// names if it is set.
fn wakerace(folder: &Path) -> Command {
    let binary = env!("CARGO_BIN_EXE_wakerace");
    let runner = std::env::var_os("WAKERACE_RUNNER");
    let mut command = Command::new(runner.as_deref().unwrap_or(binary.as_ref()));
    command.args(runner.is_some().then_some(binary)).current_dir(folder);
    command.env("XDG_CACHE_HOME", folder.join(".cache")).env("XDG_CONFIG_HOME", folder);
    command
}

fn read(path: &Path) -> Record {
    match record::read_file(path).unwrap_or_else(|error| panic!("{error}")) {
        AnyRecord::Run(record) => *record,
        other => panic!("this is a record of `wakerace {}`", other.command()),
    }
}

fn write(folder: &Path, name: &str, text: &str) -> String {
    let path = folder.join(name);
    fs::write(&path, text).unwrap();
    path.display().to_string()
}

const FILTERED: &str = "C filtered\n\n(*\n * Result: Always\n *)\n\n{}\n\nP0(int *x, int *y)\n{\n\tWRITE_ONCE(*x, 1);\n\
                        \tsmp_store_release(y, 1);\n}\n\nP1(int *x, int *y)\n{\n\tint r0; int r1;\n\tr0 = smp_load_acquire(y);\n\
                        \tr1 = READ_ONCE(*x);\n}\n\nfilter (1:r0=1)\nexists (1:r1=1)\n";

#[test]
fn what_a_filter_excludes_is_no_iteration() {
    let folder = tempfile::tempdir().unwrap();
    let file = write(folder.path(), "filtered.litmus", FILTERED);
    let run = |file: &str, more: &[&str], to: &str| {
        let mut command = wakerace(folder.path());
        command.args(["run", file, "--no-save", "--oversubscribe", "--export-json", to]).args(more);
        let said = command.output().unwrap();
        let (out, err) = (String::from_utf8(said.stdout).unwrap(), String::from_utf8(said.stderr).unwrap());
        assert_eq!(said.status.code(), Some(0), "{out}{err}");
        let record = read(&folder.path().join(to));
        assert_eq!(record::problems(&record), Vec::<String>::new());
        (out, record)
    };
    // On one CPU or on two, paced or free: every instance that passes the filter has the new value of x.
    for pace in [&["--pace", "free"][..], &["--pace", "paced", "--period", "2us", "--skew", "0"]] {
        let (said, record) = run(&file, &[&["-n", "100000"], pace].concat(), "a.json");
        let result = record.results.iter().find(|result| result.scenario == "filtered").unwrap();
        assert_eq!(result.iterations + result.filtered, 100_000);
        assert_eq!(result.races, result.iterations);
        assert_eq!(result.skews.iter().map(|skew| skew.iterations).sum::<u64>(), result.iterations);
        assert_eq!(result.rate, (result.iterations > 0).then_some(1.0));
        assert_eq!(result.displayed, ["1:r1"]);
        assert!(result.outcomes.iter().all(|outcome| outcome.values["1:r0"] == record::FinalValue::Int(1)));
        let wanted = if result.iterations > 0 { Finding::Observed } else { Finding::Inconclusive };
        assert_eq!(result.finding, wanted);
        let note = format!("excluded {} instances", wakerace::publish::count(result.filtered));
        assert_eq!(said.contains(&note), result.filtered > 0, "{said}");
    }
    // Like herd7, the log prints only the values that the condition names. Its counts add up to the
    // iterations.
    let log = wakerace(folder.path()).args(["export", "--log", "a.json"]).output().unwrap();
    let log = String::from_utf8(log.stdout).unwrap();
    let log = log.split("\n\nTest ").find(|test| test.starts_with("filtered ")).unwrap_or_else(|| panic!("{log}"));
    assert!(!log.contains("1:r0"), "{log}");
    let printed: u64 = log
        .lines()
        .filter_map(|line| line.split_once("*>1:r1=1;"))
        .map(|(count, _)| count.trim().parse::<u64>().unwrap())
        .sum();
    let record = read(&folder.path().join("a.json"));
    let filtered = record.results.iter().find(|result| result.scenario == "filtered").unwrap();
    assert_eq!(printed, filtered.iterations);

    // No instance passes the filter. The test is still in the table, and its finding is inconclusive, even if
    // controls fired.
    let none = FILTERED.replace("filter (1:r0=1)", "filter (1:r0=5)").replace("Result: Always", "Nothing passes");
    let none = write(folder.path(), "none.litmus", &none);
    let (said, record) = run(&none, &["-n", "20000"], "none.json");
    let result = record.results.iter().find(|result| result.group != "controls").unwrap();
    assert_eq!((result.iterations, result.filtered, result.races), (0, 20_000, 0));
    assert_eq!(result.finding, Finding::Inconclusive);
    let line = said.lines().rfind(|line| line.trim_start().starts_with("filtered ") && line.contains("inconclusive"));
    assert!(line.is_some() && said.contains("excluded 20,000 instances, and passed 0"), "{said}");

    // Merging adds up `moved` and `filtered`.
    let edit = |name: &str, moved: u64| {
        let path = folder.path().join(name);
        let mut record = read(&path);
        for result in &mut record.results {
            result.moved = moved;
            // The warnings follow from the counts.
            wakerace::record::compute(result);
        }
        fs::write(&path, serde_json::to_string(&record).unwrap()).unwrap();
        read(&path)
    };
    let more = ["-n", "30000", "--no-controls", "--pace", "free"];
    for to in ["b.json", "c.json"] {
        run(&file, &more, to);
    }
    let (b, c) = (edit("b.json", 5), edit("c.json", 7));
    wakerace(folder.path()).args(["merge", "b.json", "c.json", "-o", "sum.json"]).assert().success();
    let sum = read(&folder.path().join("sum.json"));
    assert_eq!((sum.results[0].moved, sum.results[0].filtered), (12, b.results[0].filtered + c.results[0].filtered));
    assert_eq!(sum.results[0].displayed, ["1:r1"]);
    // Records of earlier versions, which lack these fields, can still be read.
    let mut value = serde_json::to_value(&b).unwrap();
    for name in ["moved", "filtered", "displayed"] {
        value["results"][0].as_object_mut().unwrap().remove(name).unwrap();
    }
    let old = read(Path::new(&write(folder.path(), "old.json", &value.to_string())));
    assert_eq!((old.results[0].filtered, old.results[0].moved, old.results[0].displayed.len()), (0, 0, 0));
}

/// Waits until `seen` returns true; panics with the message `otherwise` after a minute.
fn wait_until(otherwise: &str, mut seen: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !seen() {
        assert!(begun.elapsed() < Duration::from_secs(60), "{otherwise}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// The thread ID of a child's thread with this name, if there is one.
fn thread_of(child: &Child, name: &str) -> Option<libc::pid_t> {
    let tasks = fs::read_dir(format!("/proc/{}/task", child.id())).ok()?;
    tasks.flatten().find_map(|task| {
        let comm = fs::read_to_string(task.path().join("comm")).ok()?;
        (comm.trim() == name).then(|| task.file_name().to_string_lossy().parse().unwrap())
    })
}

/// Moves a pinned thread to another CPU, as `taskset -a`, a shrinking cpuset or a CPU that goes offline can
/// do.
#[test]
fn a_thread_that_is_moved_off_its_cpu_ends_the_run_by_name() {
    let allowed = allowed_cpus().unwrap();
    let [first, second, ..] = allowed[..] else { panic!("this test needs two CPUs, and may use {allowed:?}") };
    let words = format!("SB: P1 was moved from CPU {second} to CPU {first} in mid-run");
    // If the thread is moved while it pins itself, the run ends with another error ("a thread pinned to CPU
    // ..."). The test then tries again.
    for _ in 0..20 {
        let (code, said) = moved(first, second);
        assert_eq!(code, Some(2), "{said}");
        if !said.contains("a thread pinned to CPU") {
            assert!(said.contains(&words) && !said.contains("not observed"), "{said}");
            return;
        }
    }
    panic!("in twenty attempts the thread was never seen running");
}

/// Runs a test on two CPUs and moves P1 to the CPU of P0. Returns the exit status and standard error.
fn moved(first: usize, second: usize) -> (Option<i32>, String) {
    let folder = tempfile::tempdir().unwrap();
    let mut command = wakerace(folder.path());
    command.args(["run", "SB", "--no-controls", "--no-save", "--pace", "free", "-d", "300s", "-c"]);
    command.arg(format!("{first},{second}"));
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut ended = None;
    wait_until("the run goes on with both threads on one CPU", || {
        let pinned = thread_of(&child, "P1").filter(|thread| {
            let status = fs::read_to_string(format!("/proc/{}/task/{thread}/status", child.id())).unwrap_or_default();
            status.lines().any(|line| line.split_whitespace().eq(["Cpus_allowed_list:", &second.to_string()]))
        });
        if let Some(thread) = pinned {
            // A thread checks its CPU right after it is pinned. This delay lets the check finish first.
            std::thread::sleep(Duration::from_millis(300));
            // SAFETY: fills a local mask and passes its size to the kernel. The thread belongs to a child. If
            // it has ended, the kernel refuses the call.
            unsafe {
                let mut mask: libc::cpu_set_t = std::mem::zeroed();
                libc::CPU_SET(first, &mut mask);
                libc::sched_setaffinity(thread, size_of_val(&mask), &raw const mask);
            }
        }
        ended = child.try_wait().unwrap();
        ended.is_some()
    });
    let mut said = String::new();
    child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    (ended.unwrap().code(), said)
}

/// Limits the address space of a command's process to a number of bytes.
fn limit_memory(command: &mut Command, bytes: u64) {
    // SAFETY: between fork and exec only the async-signal-safe setrlimit is called.
    unsafe {
        command.pre_exec(move || {
            let limit = libc::rlimit { rlim_cur: bytes, rlim_max: bytes };
            match libc::setrlimit(libc::RLIMIT_AS, &raw const limit) {
                0 => Ok(()),
                _ => Err(std::io::Error::last_os_error()),
            }
        });
    }
}

/// If a thread cannot be started, the run ends with a message and exit status 2, whichever thread it is.
#[test]
fn a_thread_that_cannot_be_started_ends_everything() {
    let folder = tempfile::tempdir().unwrap();
    let run = ["run", "SB", "--no-controls", "--no-save", "--oversubscribe"];
    // On two CPUs, other threads first measure the cache-line transfer latency and the counter offsets. On
    // one CPU they do not.
    let one = allowed_cpus().unwrap()[0].to_string();
    let cases: [(&[&str], &str); 5] = [
        (&["--pace", "paced", "-n", "1000", "-c", &one], "P"),
        (&["--pace", "free", "-n", "1000", "-c", &one], "P"),
        (&["--pace", "free", "-d", "2s"], ""),
        (&["--pace", "free", "-n", "1000", "--stress", "memory"], ""),
        (&["--pace", "paced", "-n", "1000", "--period", "1us", "--skew", "0", "-c", &one], "P"),
    ];
    for (options, name) in cases {
        let refused = |command: &mut Command, number: &str| {
            let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
            let mut ended = None;
            wait_until("a run goes on although a thread did not start", || {
                ended = child.try_wait().unwrap();
                ended.is_some()
            });
            let mut said = String::new();
            child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
            assert_eq!(ended.unwrap().code(), Some(2), "{options:?}: {said}");
            let name = if name.is_empty() { String::new() } else { format!("{name}{number}") };
            assert!(said.contains(&format!("cannot start a thread for {name}")), "{options:?}: {said}");
            assert!(said.contains("ulimit") && !said.contains("panicked"), "{options:?}: {said}");
        };
        // With a stack that fits no address space, no thread starts.
        let mut command = wakerace(folder.path());
        command.args(run).args(options).env("RUST_MIN_STACK", (1_u64 << 50).to_string());
        refused(&mut command, "0");
        // One stack fits the address space, and two do not. An emulator's own memory would count too, so this
        // needs a native run.
        if std::env::var_os("WAKERACE_RUNNER").is_none() {
            let mut command = wakerace(folder.path());
            command.args(run).args(options).env("RUST_MIN_STACK", (1_u64 << 30).to_string());
            limit_memory(&mut command, (1 << 30) + (700 << 20));
            refused(&mut command, "1");
        }
    }
}

/// Whether a child has installed a handler for a signal, as /proc shows it.
fn handles(child: &Child, signal: i32) -> bool {
    let status = fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigCgt:")).unwrap_or_default();
    u64::from_str_radix(mask.trim(), 16).is_ok_and(|mask| mask >> (signal - 1) & 1 == 1)
}

fn send(child: &Child, signal: i32) {
    let pid = libc::pid_t::try_from(child.id()).unwrap();
    // SAFETY: the call only sends a signal. The child has not been waited for, so its process ID is not
    // reused.
    assert_eq!(unsafe { libc::kill(pid, signal) }, 0);
}

/// Sets what a signal does to the child when it begins.
fn begin_with(command: &mut Command, signal: i32, disposition: libc::sighandler_t) {
    // SAFETY: between fork and exec only the async-signal-safe signal is called.
    unsafe {
        command.pre_exec(move || {
            libc::signal(signal, disposition);
            Ok(())
        });
    }
}

/// On SIGTERM and SIGHUP, as on Ctrl-C, a run writes the results so far.
#[test]
fn every_friendly_signal_keeps_what_was_measured() {
    for signal in [libc::SIGHUP, libc::SIGTERM, libc::SIGINT] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("r.json");
        let mut command = wakerace(folder.path());
        command.args([
            "run",
            "SB",
            "MP",
            "--no-controls",
            "--oversubscribe",
            "--no-save",
            "--pace",
            "free",
            "-n",
            "4e14",
        ]);
        command.args(["-d", "300s", "--export-json", "r.json"]);
        // Under nohup this test's own SIGHUP is ignored, and a child inherits that.
        begin_with(&mut command, signal, libc::SIG_DFL);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        wait_until("no handler", || handles(&child, signal));
        wait_until("no thread", || thread_of(&child, "P1").is_some());
        std::thread::sleep(Duration::from_millis(500));
        send(&child, signal);
        let mut ended = None;
        wait_until("it goes on after a signal", || {
            ended = child.try_wait().unwrap();
            ended.is_some()
        });
        assert_eq!(ended.unwrap().code(), Some(130), "signal {signal}");
        let record = read(&path);
        assert!(record.interrupted);
        // There may be no result, if the signal arrives before the end of the first batch.
        assert!(record.results.iter().all(|result| result.scenario == "SB" && result.iterations > 0));
    }
}

#[test]
fn under_nohup_a_hangup_stays_ignored() {
    let folder = tempfile::tempdir().unwrap();
    let mut command = wakerace(folder.path());
    command.args(["run", "SB", "--no-controls", "--oversubscribe", "--no-save", "--pace", "free", "-d", "2s"]);
    begin_with(&mut command, libc::SIGHUP, libc::SIG_IGN);
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    wait_until("no handler", || handles(&child, libc::SIGTERM));
    assert!(!handles(&child, libc::SIGHUP));
    send(&child, libc::SIGHUP);
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

/// A signal ends a search for the best settings, also while a run of the search still chooses its pace.
#[test]
fn tune_ends_when_it_is_asked_to() {
    let folder = tempfile::tempdir().unwrap();
    let cpus = allowed_cpus().unwrap();
    let [first, second, ..] = cpus[..] else { panic!("this test needs two CPUs, and may use {cpus:?}") };
    let mut command = wakerace(folder.path());
    command.args(["tune", "SB", "-d", "600s", "-q", "-o", "p.json", "-c", &format!("{first},{second}")]);
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    wait_until("no thread", || thread_of(&child, "P1").is_some());
    send(&child, libc::SIGTERM);
    let mut ended = None;
    wait_until("it goes on after a signal", || {
        ended = child.try_wait().unwrap();
        ended.is_some()
    });
    assert_eq!(ended.unwrap().code(), Some(130));
}

/// A run of SB alone, with its record in a file.
fn run_of_sb(folder: &Path, record: &Path) -> Command {
    let mut command = wakerace(folder);
    command.args(["run", "SB", "--no-controls", "--oversubscribe", "--no-save", "--export-json"]).arg(record);
    command
}

/// A period is either kept or refused, however long it is and however few instances a batch has.
#[test]
fn a_period_is_kept_or_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("r.json");
    let run = |options: &[&str]| {
        let mut command = run_of_sb(folder.path(), &path);
        command.args(["--pace", "paced", "--skew", "0"]).args(options);
        command
    };
    // N ticks take at least N - 1 periods. The factor 0.99 allows for the error of the clock's calibration.
    for (period, each, options) in [
        ("12000us", 12e-3, &["-n", "20"][..]),
        ("12000us", 12e-3, &["-n", "20", "--batch", "1"]),
        ("1000us", 1e-3, &["-n", "200", "--batch", "1"]),
        ("1000us", 1e-3, &["-n", "200", "--batch", "3"]),
        ("9000us", 9e-3, &["-n", "25"]),
        ("30000us", 30e-3, &["-n", "40", "--group", "4"]),
        ("500us", 5e-4, &["-n", "640", "--group", "64", "--batch", "64"]),
    ] {
        run(&[&["--period", period][..], options].concat()).assert().success();
        let result = read(&path).results[0].clone();
        let ticks = result.iterations.div_ceil(result.pace.group as u64);
        let least = (ticks - 1) as f64 * each;
        assert!(result.elapsed_s >= 0.99 * least, "{period} {options:?}: {ticks} ticks in {} s", result.elapsed_s);
    }
    // If the run is limited by time, there are at most as many instances as periods, plus the first one.
    run(&["--period", "12000us", "-d", "400ms"]).assert().success();
    let result = read(&path).results[0].clone();
    assert!(
        result.iterations as f64 <= 1.0 + 1.01 * result.elapsed_s / 12e-3,
        "{} in {} s",
        result.iterations,
        result.elapsed_s
    );
    for (options, words) in [
        (&["--batch", "1", "--period", "2us"][..], "--batch 1: with one group"),
        (&["--batch", "1"], "--batch 2 or more"),
        (&["--batch", "5", "--group", "4", "--period", "90us"], "--batch 8 or more"),
        (&["--batch", "5", "--group", "6", "--period", "90us"], "--batch 5 is less than --group 6"),
    ] {
        run(options).args(["-n", "10"]).assert().code(2).stderr(contains(words).and(contains("panicked").not()));
    }
}

/// A coarse clock is simulated, and the counts of such a run sum up. Where another process takes the CPU all the time, the
/// delays cannot be measured; then the run is free and says why.
#[test]
fn a_simulated_clock_is_paced_by_its_edges_and_recorded() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("r.json");
    let run = |options: &[&str]| {
        let mut command = run_of_sb(folder.path(), &path);
        command.args(options);
        command
    };
    for step in ["40ns", "250ns", "1us", "64ticks"] {
        let result = (0..20).find_map(|_| {
            let mut command = run(&["--clock-step", step, "-n", "20000"]);
            command
                .assert()
                .success()
                .stderr(contains("warning: --clock-step: the clock is made coarse, with steps of "));
            let record = read(&path);
            assert_eq!(record::problems(&record), Vec::<String>::new());
            let result = record.results[0].clone();
            assert_eq!(result.iterations, 20_000);
            assert_eq!(result.outcomes.iter().map(|outcome| outcome.count).sum::<u64>(), 20_000);
            assert_eq!(result.skews.iter().map(|skew| skew.iterations).sum::<u64>(), 20_000);
            assert_eq!(result.pace.edges.is_none(), result.pace.free_because.is_some(), "{:?}", result.pace);
            result.pace.edges.is_some().then_some((result, record.host.clock_measured))
        });
        let Some((result, clock)) = result else { continue };
        let edges = result.pace.edges.unwrap();
        assert!(edges.simulated && edges.step_ticks.is_power_of_two(), "{edges:?}");
        assert!((edges.step_ns * clock.frequency_hz / 1e9 / edges.step_ticks as f64 - 1.0).abs() < 1e-6, "{edges:?}");
        assert_eq!(edges.delays.iter().map(|delay| delay.cpu).collect::<Vec<_>>(), result.placement.cpus);
        assert!(edges.delays.iter().all(|delay| delay.step_ns > 0.0 && delay.step_ns <= 10.0), "{edges:?}");
    }
    run(&["--clock-step", "40ns", "--pace", "free", "-n", "10"])
        .assert()
        .code(2)
        .stderr(contains("--clock-step applies only to paced runs; leave out --pace free"));
    run(&["--clock-step", "0ns", "-n", "10"]).assert().code(2).stderr(contains("'0ns' is not a step of a clock"));
    // It is for tests of wakerace, so --help does not show it.
    wakerace(folder.path()).args(["run", "--help"]).assert().success().stdout(contains("clock-step").not());
}
