//! Tests of outputs: files, pipes and devices, closed pipes, full disks, and names with escape sequences.

mod common;

use std::ffi::CStr;
use std::fs::{self, File};
use std::io::Read;
use std::os::fd::{FromRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt, symlink};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use common::{shipped, small, wakerace_in as wakerace};
use wakerace::publish::Publish as _;
use wakerace::record::Record;
use wakerace::shown;

fn folder() -> tempfile::TempDir {
    tempfile::tempdir().unwrap()
}

/// The names of a folder's entries, sorted.
fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> = (fs::read_dir(folder).unwrap())
        .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}

/// An `export --csv` command for the shipped record. It writes its output without measuring anything.
fn export(folder: &Path, to: impl AsRef<Path>) -> Command {
    let mut command = wakerace(folder);
    command.args(["export", "--csv"]).arg(shipped().0).arg("-o").arg(to.as_ref());
    command
}

/// The output of [`export`].
fn exported(folder: &Path) -> String {
    String::from_utf8(export(folder, "-").output().unwrap().stdout).unwrap()
}

/// A command that runs the given tests for a short time.
fn run(folder: &Path, tests: &[&str]) -> Command {
    let mut command = wakerace(folder);
    command.arg("run").args(tests).args(["-n", "1000", "--no-controls", "--oversubscribe"]);
    command
}

fn fifo(path: &Path) {
    let name = std::ffi::CString::new(path.as_os_str().as_bytes()).unwrap();
    // SAFETY: the name is a NUL-terminated string that outlives the call.
    assert_eq!(unsafe { libc::mkfifo(name.as_ptr(), 0o600) }, 0);
}

fn status(output: &Output) -> (Option<i32>, String) {
    (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
}

/// Runs a command through a shell script, so that limits and descriptors apply only to this command. In the
/// script, `"$@"` is the command.
fn shell(script: &str, command: &Command) -> Command {
    let mut shell = Command::new("sh");
    shell.args(["-c", script, "sh"]).arg(command.get_program()).args(command.get_args());
    shell.current_dir(command.get_current_dir().unwrap());
    shell.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
    shell
}

#[test]
fn a_fifo_is_written_into_once_and_stays_one() {
    let folder = folder();
    let path = folder.path().join("pipe");
    fifo(&path);
    let reader = std::thread::spawn({
        let path = path.clone();
        move || fs::read_to_string(path).unwrap()
    });
    let output =
        run(folder.path(), &["SB", "MP", "SB+mbs"]).args(["--no-save", "--export-json", "pipe"]).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{:?}", status(&output));
    let record: Record = serde_json::from_str(&reader.join().unwrap()).unwrap();
    assert_eq!(record.results.len(), 3);
    assert!(fs::metadata(&path).unwrap().file_type().is_fifo());
    assert_eq!(names(folder.path()), ["pipe"]);
    // A reader closes the pipe too early. The incomplete export is an error, but the table is still printed.
    let reader = std::thread::spawn(move || drop(File::open(path).unwrap()));
    let output = run(folder.path(), &["SB"]).args(["--no-save", "--export-json", "pipe"]).output().unwrap();
    reader.join().unwrap();
    let (code, words) = status(&output);
    assert!(code == Some(2) && words.contains("writing pipe: Broken pipe"), "{code:?} {words}");
    assert!(String::from_utf8_lossy(&output.stdout).contains("SB "), "the table");
}

#[test]
fn links_are_followed_wherever_they_lead() {
    let folder = folder();
    let at = |name: &str| folder.path().join(name);
    fs::create_dir_all(at("a/b")).unwrap();
    fs::write(at("there"), "old").unwrap();
    symlink("there", at("direct")).unwrap();
    symlink("a/b/inner", at("outer")).unwrap();
    symlink("../later", at("a/b/inner")).unwrap();
    symlink("loop", at("loop")).unwrap();
    symlink("missing/x", at("astray")).unwrap();
    let expected = exported(folder.path());
    for (link, target) in [("direct", "there"), ("outer", "a/later")] {
        // The first time the target does not exist, the second time it does.
        for _ in 0..2 {
            assert_eq!(status(&export(folder.path(), link).output().unwrap()), (Some(0), String::new()), "{link}");
            assert!(fs::symlink_metadata(at(link)).unwrap().is_symlink(), "{link}");
            assert_eq!(fs::read_to_string(at(target)).unwrap(), expected, "{link}");
        }
    }
    for (link, words) in [("loop", "symbolic links"), ("astray", "does not exist")] {
        let (code, message) = status(&export(folder.path(), link).output().unwrap());
        assert!(code == Some(2) && message.contains(words), "{link}: {message}");
    }
    assert_eq!(names(folder.path()), ["a", "astray", "direct", "loop", "outer", "there"]);
}

#[test]
fn modes_are_kept_and_new_files_obey_the_umask() {
    let folder = folder();
    let at = |name: &str| folder.path().join(name);
    let mode = |name: &str| fs::metadata(at(name)).unwrap().permissions().mode() & 0o7777;
    for (name, kept) in [("private", 0o600), ("group", 0o660), ("odd", 0o755)] {
        fs::write(at(name), "").unwrap();
        fs::set_permissions(at(name), fs::Permissions::from_mode(kept)).unwrap();
        assert!(export(folder.path(), name).status().unwrap().success());
        assert_eq!(mode(name), kept, "{name}");
    }
    for (mask, made) in [("000", 0o666), ("022", 0o644), ("027", 0o640), ("077", 0o600)] {
        let export = export(folder.path(), mask);
        assert!(shell(&format!("umask {mask} && exec \"$@\""), &export).status().unwrap().success());
        assert_eq!(mode(mask), made, "{mask}");
        // The same holds for the record and page that a run saves, and for their folders.
        let own = tempfile::tempdir_in(folder.path()).unwrap();
        let mut run = run(own.path(), &["SB"]);
        run.args(["-q"]);
        assert!(shell(&format!("umask {mask} && exec \"$@\""), &run).stdout(Stdio::null()).status().unwrap().success());
        let kept = below(own.path());
        assert_eq!(kept.iter().filter(|path| path.is_file()).count(), 2, "{kept:?}");
        for path in kept {
            let wanted = if path.is_dir() { made | made >> 2 & 0o111 } else { made };
            assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, wanted, "{mask}: {}", path.display());
        }
    }
}

/// The paths of everything below a folder.
fn below(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut open = vec![folder.to_owned()];
    while let Some(folder) = open.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                open.push(path.clone());
            }
            found.push(path);
        }
    }
    found
}

#[test]
fn standard_output_by_any_name_is_written_into() {
    let folder = folder();
    let expected = exported(folder.path());
    assert!(expected.lines().count() > 3);
    for name in ["/dev/stdout", "/dev/fd/1", "/proc/self/fd/1"] {
        // Standard output is a pipe.
        let output = export(folder.path(), name).output().unwrap();
        assert_eq!(
            (status(&output), String::from_utf8(output.stdout).unwrap()),
            ((Some(0), String::new()), expected.clone())
        );
        // Standard output is a file. It must be appended to, not replaced.
        let path = folder.path().join("out");
        fs::write(&path, "before\n").unwrap();
        let file = File::options().append(true).open(&path).unwrap();
        assert!(export(folder.path(), name).stdout(file).status().unwrap().success());
        assert_eq!(fs::read_to_string(&path).unwrap(), format!("before\n{expected}"), "{name}");
    }
    // Another descriptor, such as that of a shell's `>(cmd)`. It is first a pipe, then a deleted file.
    let through = |script: &str| {
        let output = shell(script, &export(folder.path(), "/dev/fd/3")).output().unwrap();
        assert_eq!(status(&output), (Some(0), String::new()), "{script}");
        String::from_utf8(output.stdout).unwrap()
    };
    assert_eq!(through("{ \"$@\" 3>&1 >&4 | cat; } 4>&2"), expected);
    assert_eq!(through("exec 3>gone 4<gone; rm gone; \"$@\"; cat <&4"), expected);
    // If the record goes to standard output, the table goes to standard error.
    let output = run(folder.path(), &["SB"]).args(["--no-save", "--export-json", "/dev/stdout"]).output().unwrap();
    let record: Record = serde_json::from_slice(&output.stdout).unwrap();
    assert!(record.results.len() == 1 && String::from_utf8_lossy(&output.stderr).contains("SB "));
    assert_eq!(names(folder.path()), ["out"]);
}

/// Opens a new pseudo-terminal. Returns its master, its slave, and the path of the slave. Text written to the
/// slave can be read from the master.
fn terminal() -> (File, OwnedFd, PathBuf) {
    let (mut master, mut slave, mut name) = (0, 0, [0 as libc::c_char; 64]);
    let (no_settings, no_size) = (std::ptr::null(), std::ptr::null());
    let (name_at, first, second) = (name.as_mut_ptr(), &raw mut master, &raw mut slave);
    // SAFETY: the call writes only to the two descriptor numbers and to the buffer, which is longer than any
    // name of a terminal. Null pointers for settings and size are allowed.
    let opened = unsafe { libc::openpty(first, second, name_at, no_settings, no_size) };
    assert_eq!(opened, 0);
    // SAFETY: the name is NUL-terminated, and nothing else owns the two descriptors, because they were just
    // opened.
    unsafe {
        let path = PathBuf::from(CStr::from_ptr(name.as_ptr()).to_str().unwrap());
        (File::from_raw_fd(master), OwnedFd::from_raw_fd(slave), path)
    }
}

/// Reads from the master everything that was written to a pseudo-terminal, until all its slaves are closed.
fn read_all(mut master: File) -> String {
    let (mut all, mut some) = (Vec::new(), [0; 4096]);
    // The end of a terminal's output is an error (EIO), not a read of length 0.
    while let Ok(count @ 1..) = master.read(&mut some) {
        all.extend_from_slice(&some[..count]);
    }
    String::from_utf8_lossy(&all).into_owned()
}

#[test]
fn a_device_is_written_into_and_stays_one() {
    let folder = folder();
    let (master, slave, path) = terminal();
    let reader = std::thread::spawn(move || read_all(master));
    let before = fs::metadata(&path).unwrap();
    let output = export(folder.path(), &path).output().unwrap();
    assert_eq!(status(&output), (Some(0), String::new()));
    let after = fs::metadata(&path).unwrap();
    assert!(after.file_type().is_char_device() && (before.rdev(), before.ino()) == (after.rdev(), after.ino()));
    drop(slave);
    assert_eq!(reader.join().unwrap().replace("\r\n", "\n"), exported(folder.path()));
}

#[test]
fn a_place_that_is_none_for_a_file_is_refused_and_nothing_is_made() {
    let folder = folder();
    let (record, _) = shipped();
    let record = record.to_str().unwrap();
    let _socket = UnixListener::bind(folder.path().join("socket")).unwrap();
    fs::create_dir(folder.path().join("folder")).unwrap();
    fs::write(folder.path().join("file"), "").unwrap();
    let before = names(folder.path());
    let commands: [&[&str]; 9] = [
        &["export", "--csv", record, "-o"],
        &["report", record, "-o"],
        &["merge", record, "-o"],
        &["check", "SB", "--model", "sc", "--svg"],
        &["tune", "SB", "-d", "100ms", "-o"],
        &["run", "SB", "-n", "1000", "--no-save", "--export-json"],
        &["run", "SB", "-n", "1000", "--no-save", "--export-html"],
        &["run", "SB", "-n", "1000", "--export-csv"],
        &["protocol", "-d", "100ms", "--no-save", "--export-markdown"],
    ];
    for command in commands {
        for (path, words) in [
            ("missing/x", "missing/x: the folder missing does not exist"),
            ("missing/deep/x", "the folder missing/deep does not exist"),
            ("folder", "folder is a folder"),
            ("new/", "does not exist"),
            ("socket", "socket is a socket"),
            ("file/x", "Not a directory"),
        ] {
            let output = wakerace(folder.path()).args(command).arg(path).output().unwrap();
            let (code, message) = status(&output);
            let words = if path == "new/" { "new/ is a folder" } else { words };
            assert!(code == Some(2) && message.contains(words), "{command:?} {path}: {code:?} {message}");
            assert!(output.stdout.is_empty(), "{command:?} {path}");
        }
    }
    let output = wakerace(folder.path()).args(["index", "missing"]).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert_eq!(names(folder.path()), before);
    // A run creates only the folders results/ARCHITECTURE/CPU.
    assert!(run(folder.path(), &["SB"]).output().unwrap().status.success());
    let made: Vec<PathBuf> = below(&folder.path().join("results")).into_iter().filter(|path| path.is_dir()).collect();
    assert_eq!((made.len(), names(folder.path()).len()), (2, before.len() + 1), "{made:?}");
}

/// The unit of `ulimit -f` is 512 or 1024 bytes, depending on the shell.
#[test]
fn a_file_that_grows_too_large_is_an_error_and_leaves_nothing() {
    let folder = folder();
    let (record, _) = shipped();
    let old = "x".repeat(5000);
    fs::write(folder.path().join("page.html"), &old).unwrap();
    let mut report = wakerace(folder.path());
    report.arg("report").arg(record).args(["-o", "page.html"]);
    let (code, message) = status(&shell("ulimit -f 8; exec \"$@\"", &report).output().unwrap());
    assert!(code == Some(2) && message.contains("writing page.html: File too large"), "{code:?} {message}");
    assert_eq!(fs::read_to_string(folder.path().join("page.html")).unwrap(), old);
    assert_eq!(names(folder.path()), ["page.html"]);
    // A run prints its results, and then an error for the files that could not be written.
    for more in [&["--export-json", "r.json"][..], &["--no-save", "--export-json", "r.json"], &[]] {
        let mut run = run(folder.path(), &["SB", "MP", "SB+mbs"]);
        run.args(more);
        let output = shell("ulimit -f 1; exec \"$@\"", &run).output().unwrap();
        let (code, message) = status(&output);
        assert!(code == Some(2) && message.trim_end().ends_with("File too large (os error 27)"), "{code:?} {message}");
        let table = String::from_utf8_lossy(&output.stdout);
        assert!(["SB ", "MP ", "SB+mbs "].iter().all(|name| table.contains(name)), "{table}");
        assert!(!table.contains("record: "), "{table}");
        let files: Vec<PathBuf> = below(folder.path()).into_iter().filter(|path| path.is_file()).collect();
        assert_eq!(files, [folder.path().join("page.html")]);
    }
}

#[test]
fn behind_a_test_that_deadlocks_the_others_are_run_and_all_are_printed() {
    let folder = folder();
    let fine = |name: &str| {
        format!(
            "C {name}\n{{}}\nP0(int *x) {{ WRITE_ONCE(*x, 1); }}\nP1(int *x) {{ int r0; r0 = READ_ONCE(*x); }}\nexists (x=1)"
        )
    };
    let dead = "C dead\n{}\nP0(int *x, spinlock_t *l) { spin_lock(l); }\nP1(int *x, spinlock_t *l) { spin_lock(l); WRITE_ONCE(*x, 1); }\nexists (x=1)";
    for (name, text) in [("a", fine("first")), ("b", dead.to_owned()), ("c", fine("third"))] {
        fs::write(folder.path().join(format!("{name}.litmus")), text).unwrap();
    }
    let output =
        run(folder.path(), &["a.litmus", "b.litmus", "c.litmus"]).args(["--export-json", "r.json"]).output().unwrap();
    let (code, message) = status(&output);
    let table = String::from_utf8_lossy(&output.stdout);
    assert_eq!(code, Some(2), "{message}{table}");
    let last = message.lines().rev().find(|line| line.starts_with("error: ")).unwrap_or_else(|| panic!("{message}"));
    assert!(last.contains("dead") && last.contains("deadlock"), "{message}");
    assert!(table.contains("first ") && table.contains("third ") && table.contains("record: "), "{table}");
    let record: Record = serde_json::from_str(&fs::read_to_string(folder.path().join("r.json")).unwrap()).unwrap();
    let names: Vec<&str> = record.results.iter().map(|result| result.scenario.as_str()).collect();
    assert_eq!(names, ["first", "third"]);
}

/// Text with escape sequences that set a window's title and colours, and with bidirectional controls. It ends
/// in a letter, so that it does not end next to a hyphen.
const EVIL: &str = "evil\u{1b}]0;owned\u{7}\u{1b}[31m\u{9b}2J\u{202e}\u{2066}z";

/// Checks that printed text contains no hidden character, and that it quotes [`EVIL`].
fn assert_plain(what: &str, text: &str) {
    assert!(text.contains("evil"), "{what} does not quote it: {text}");
    let obeyed = text.chars().find(|c| shown::is_hidden(*c) && !matches!(c, '\n' | '\t'));
    assert!(obeyed.is_none(), "{what}: {obeyed:?} in {text:?}");
}

#[test]
fn names_and_comments_of_tests_reach_no_terminal_raw() {
    let folder = folder();
    let good = format!(
        "C {EVIL}\n(* Does {EVIL} happen? *)\n{{}}\nP0(int *x) {{ WRITE_ONCE(*x, 1); }}\nP1(int *x) {{ int r0; r0 = READ_ONCE(*x); }}\nexists (x=1)\n"
    );
    let bad = format!("C bad\n{{}}\nP0(int *x) {{ WRITE_ONCE(*x, {EVIL}); }}\nexists (x=1)\n");
    let (good_name, bad_name) = (format!("{EVIL}.litmus"), format!("bad-{EVIL}.litmus"));
    fs::write(folder.path().join(&good_name), good).unwrap();
    fs::write(folder.path().join(&bad_name), bad).unwrap();
    let cases: [(&[&str], i32); 12] = [
        (&["list", &good_name], 0),
        (&["show", &good_name], 0),
        (&["check", &good_name, "--explain", "--states"], 0),
        (&["check", &good_name, "--model", "sc", "--svg", EVIL], 0),
        (&["run", &good_name, "-n", "1000", "--oversubscribe", "--no-controls", "--no-save", "--window"], 0),
        (&["run", &bad_name], 2),
        (&["list", &bad_name], 2),
        (&["run", EVIL], 2),
        (&["run", "--stress", EVIL], 2),
        (&["run", "SB", "--no-save", "--export-json", &format!("missing/{EVIL}")], 2),
        (&["validate", &good_name], 2),
        (&[EVIL], 2),
    ];
    for (args, code) in cases {
        let output = wakerace(folder.path()).args(args).output().unwrap();
        let both = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert_eq!(output.status.code(), Some(code), "{args:?}: {both}");
        assert_plain(&format!("{args:?}"), &both);
    }
    // The progress bar, which uses escape sequences itself.
    let (master, slave, _) = terminal();
    let reader = std::thread::spawn(move || read_all(master));
    let mut command = wakerace(folder.path());
    command.args(["run", &good_name, "-d", "700ms", "--oversubscribe", "--no-controls", "--no-save"]);
    assert!(command.stdout(Stdio::null()).stderr(slave).status().unwrap().success());
    drop(command);
    let drawn = reader.join().unwrap();
    assert!(drawn.contains(r"evil\u{1b}]0;owned\u{7}") && drawn.contains("iterations"), "{drawn:?}");
    assert!(!drawn.contains("evil\u{1b}") && !drawn.contains(['\u{7}', '\u{9b}', '\u{202e}']), "{drawn:?}");
}

#[test]
fn a_record_cannot_carry_commands_to_whoever_looks_at_it() {
    let folder = folder();
    let (_, text) = shipped();
    let mut value: serde_json::Value = serde_json::from_str(&text).unwrap();
    value["host"]["cpu_model"] = format!("{EVIL}\nline").into();
    value["host"]["kernel"] = EVIL.into();
    fs::write(folder.path().join("host.json"), value.to_string()).unwrap();
    for result in value["results"].as_array_mut().unwrap() {
        for field in ["scenario", "group", "condition", "match_event"] {
            result[field] = format!("{EVIL}|<b>{}", result["scenario"].as_str().unwrap()).into();
        }
    }
    fs::write(folder.path().join("names.json"), value.to_string()).unwrap();
    value["schema"] = EVIL.into();
    fs::write(folder.path().join("schema.json"), value.to_string()).unwrap();
    for record in ["host.json", "names.json", "schema.json"] {
        let cases: [&[&str]; 12] = [
            &["validate", record],
            &["compare", record, record],
            &["compare", "--markdown", record, record],
            &["merge", record, "-o", "-"],
            &["merge", record, "-o", "sum.json"],
            &["report", record, "-o", "-"],
            &["export", "--csv", record],
            &["export", "--window-csv", record],
            &["export", "--markdown", record],
            &["export", "--log", record],
            &["export", "--hlog", record],
            &["export", "--hgrm", record, "--result", "none"],
        ];
        for args in cases {
            let output = wakerace(folder.path()).args(args).output().unwrap();
            let both =
                format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
            // Some subcommands refuse the record. Their output must be plain in both cases.
            assert!(matches!(output.status.code(), Some(0 | 2)), "{args:?}: {both}");
            assert_plain(&format!("{args:?}"), &format!("{both}evil"));
            if record == "host.json" && output.status.success() && args[0] == "export" && args[1] != "--hgrm" {
                assert!(both.contains("evil"), "{args:?}: {both}");
            }
        }
    }
    // The escaped JSON still holds the same text.
    let output = wakerace(folder.path()).args(["merge", "host.json", "-o", "-"]).output().unwrap();
    let sum: Record = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(sum.host.kernel, EVIL);
}

#[test]
fn a_reader_that_goes_away_costs_nothing() {
    let folder = folder();
    let kept =
        |folder: &Path| below(folder).into_iter().filter(|path| path.extension().is_some_and(|e| e == "json")).count();
    // Both pipes are closed before the program prints anything.
    let mut child = run(folder.path(), &["SB", "MP"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop((child.stdout.take(), child.stderr.take()));
    assert_eq!(child.wait().unwrap().code(), Some(0));
    assert_eq!(kept(folder.path()), 1);
    // The cases cover closed descriptors, full devices, and pipes that are closed after some output.
    let cases = [
        (">&- 2>&-", 0, 2),
        ("2>/dev/full", 0, 3),
        (">/dev/full", 2, 4),
        (">/dev/full 2>/dev/full", 2, 5),
        ("| head -n 1 >&2", 0, 6),
        ("2>&1 >&3 3>&- | head -c 1 >&2", 0, 7),
    ];
    for (redirected, code, records) in cases {
        let script = match redirected.split_once('|') {
            Some((before, after)) => {
                format!("{{ {{ \"$@\" {before}; echo $? >code; }} | {after}; }} 3>&1; exit $(cat code)")
            }
            None => format!("\"$@\" {redirected}"),
        };
        // Each run saves its own record, even if two runs begin in the same second.
        let output = shell(&script, &run(folder.path(), &["SB", "MP"])).output().unwrap();
        let (found, words) = status(&output);
        assert_eq!((found, words.contains("panicked")), (Some(code), false), "{redirected}: {words}");
        assert_eq!(kept(folder.path()), records, "{redirected}: {words}");
        if redirected == ">/dev/full" {
            assert!(words.contains("writing to standard output: No space left"), "{words}");
        }
    }
    for path in below(folder.path()).iter().filter(|path| path.extension().is_some_and(|e| e == "json")) {
        let record: Record = serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap();
        assert_eq!(record.results.len(), 2, "{}", path.display());
    }
    // The same for the other subcommands.
    let (record, _) = shipped();
    let record = record.to_str().unwrap();
    let commands: [&[&str]; 9] = [
        &["list"],
        &["show", "SB"],
        &["check", "SB"],
        &["topology"],
        &["validate", record],
        &["compare", record, record],
        &["export", "--csv", record],
        &["report", record, "-o", "-"],
        &["--help"],
    ];
    for args in commands {
        let mut command = wakerace(folder.path());
        command.args(args);
        for (redirected, codes) in
            [(">&- 2>&-", &[0][..]), (">/dev/full", &[0, 2]), (">/dev/full 2>/dev/full", &[0, 2])]
        {
            let (code, words) = status(&shell(&format!("\"$@\" {redirected}"), &command).output().unwrap());
            assert!(
                codes.contains(&code.unwrap_or(-1)) && !words.contains("panicked"),
                "{args:?} {redirected}: {code:?} {words}"
            );
        }
    }
}

#[test]
fn runs_that_begin_together_keep_a_record_each() {
    let folder = folder();
    let children: Vec<_> = (0..4)
        .map(|_| run(folder.path(), &["SB"]).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap())
        .collect();
    let mut said = Vec::new();
    for child in children {
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success());
        let table = String::from_utf8(output.stdout).unwrap();
        said.extend(table.lines().filter_map(|line| line.strip_prefix("record: ")).map(str::to_owned));
        said.extend(table.lines().filter_map(|line| line.strip_prefix("page:   ")).map(str::to_owned));
    }
    said.sort();
    let mut kept: Vec<String> = (below(folder.path()).into_iter().filter(|path| path.is_file()))
        .map(|path| path.strip_prefix(folder.path()).unwrap().display().to_string())
        .collect();
    kept.sort();
    assert_eq!((kept.len(), &kept), (8, &said));
    let commands: std::collections::BTreeSet<String> =
        kept.iter().filter(|name| name.ends_with(".html")).map(|name| name.replace(".html", ".json")).collect();
    assert!(commands.iter().all(|record| kept.contains(record)), "each page has the name of its record: {kept:?}");
}

/// scripts/kill-test does the same 200 times.
#[test]
fn kill_9_at_random_moments_leaves_only_whole_records() {
    let folder = folder();
    let begun = Instant::now();
    let mut killed = 0;
    for round in 0..12 {
        let mut command = run(folder.path(), &["SB", "MP", "SB+mbs", "S02", "S03"]);
        command.args(["--export-json", "r.json", "--export-csv", "r.csv", "--export-html", "r.html"]);
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        std::thread::sleep(Duration::from_millis(fastrand::u64(0..60 * (round + 1))));
        killed += usize::from(child.try_wait().unwrap().is_none());
        let _ = child.kill();
        child.wait().unwrap();
        for path in below(folder.path()) {
            match path.extension().and_then(|extension| extension.to_str()) {
                Some("json") => {
                    serde_json::from_str::<Record>(&fs::read_to_string(&path).unwrap()).unwrap();
                }
                Some("html") => assert!(fs::read_to_string(&path).unwrap().trim_end().ends_with("</html>")),
                _ => {}
            }
        }
        if begun.elapsed() > Duration::from_secs(40) {
            break;
        }
    }
    assert!(killed > 0, "no run was killed, although the first one is killed within 60 ms");
    // The next run removes all temporary files that are left.
    assert!(
        run(folder.path(), &["SB"]).args(["--export-json", "r.json"]).stdout(Stdio::null()).status().unwrap().success()
    );
    let left: Vec<PathBuf> =
        below(folder.path()).into_iter().filter(|path| path.to_string_lossy().contains(".wakerace-")).collect();
    assert!(left.is_empty(), "{left:?}");
}

/// Writes to a full tmpfs of 4 kB and to a mount point, in a private mount namespace.
#[test]
#[ignore = "needs root and unshare (util-linux)"]
fn a_full_disk_and_a_mounted_file() {
    let folder = folder();
    for name in ["small", "there"] {
        fs::create_dir(folder.path().join(name)).unwrap();
    }
    for name in ["mounted", "other"] {
        fs::write(folder.path().join(name), "old").unwrap();
    }
    let inside = |script: &str, command: &Command| {
        let mut unshare = Command::new("unshare");
        unshare.args(["-m", "sh", "-ec", script, "sh"]).arg(command.get_program()).args(command.get_args());
        unshare.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
        unshare.current_dir(folder.path()).output().unwrap()
    };
    let mut full = run(folder.path(), &["SB", "MP", "SB+mbs"]);
    full.args(["--no-save", "--export-json", "small/r.json"]);
    let output =
        inside("mount -t tmpfs -o size=4k none small; \"$@\" || code=$?; ls -A small >&2; exit ${code:-0}", &full);
    let (code, message) = status(&output);
    assert!(code == Some(2) && message.contains("writing small/r.json: No space left on device"), "{code:?} {message}");
    assert!(message.trim_end().ends_with("(os error 28)"), "nothing is left in the folder: {message}");
    let table = String::from_utf8_lossy(&output.stdout);
    assert!(["SB ", "MP ", "SB+mbs "].iter().all(|name| table.contains(name)), "{table}");
    // A mount point cannot be replaced, so it is overwritten in place.
    let output = inside("mount --bind other mounted; \"$@\"", &export(folder.path(), "mounted"));
    assert_eq!(status(&output), (Some(0), String::new()));
    assert_eq!(fs::read_to_string(folder.path().join("other")).unwrap(), exported(folder.path()));
    assert_eq!(names(folder.path()), ["mounted", "other", "small", "there"]);
}

/// The output of a command must not replace one of its inputs, whatever path leads there.
#[test]
fn an_output_never_replaces_an_input_or_another_output() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let record = small::run().json().unwrap();
    fs::write(path("r.json"), &record).unwrap();
    fs::write(path("other.json"), &record).unwrap();
    fs::create_dir(path("deep")).unwrap();
    symlink("r.json", path("link")).unwrap();
    symlink("../r.json", path("deep/index.html")).unwrap();
    symlink("../r.json", path("deep/again.json")).unwrap();
    let test = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios/controls/SB.litmus")).unwrap();
    fs::write(path("SB.litmus"), &test).unwrap();
    fs::write(path("again.litmus"), format!("{test}\n")).unwrap();
    let refused = [
        "report r.json -o r.json",
        "report other.json r.json -o ./deep/../link",
        "report . -o other.json",
        "export --csv r.json -o r.json",
        "export --mail link -o r.json",
        "export --litmus SB.litmus -o SB.litmus",
        "export --klitmus . SB.litmus",
        "merge other.json r.json -o link",
        "badge r.json -o link",
        "cite r.json --author A -o r.json",
        "index deep",
        "check SB.litmus --model x86-tso --svg SB.litmus",
        "check SB.litmus again.litmus --model x86-tso --svg pictures",
        "run SB.litmus -n 1000 --no-controls --no-save --export-json SB.litmus",
        "run SB -n 1000 --no-controls --no-save --export-json same --export-html ./same",
        "run SB -n 1000 --no-controls --no-save --export-csv deep/same --export-markdown deep/../deep/same",
        "report r.json -o page.png --url https://example.org/page",
    ];
    for arguments in refused {
        let output = wakerace(folder.path()).args(arguments.split(' ')).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{arguments}: {said}");
        assert!(said.contains("name another file for"), "{arguments}: {said}");
        for name in ["r.json", "other.json"] {
            assert_eq!(fs::read_to_string(path(name)).unwrap(), record, "{arguments}: {name}");
        }
        assert_eq!(fs::read_to_string(path("SB.litmus")).unwrap(), test, "{arguments}");
        assert!(!path("same").exists() && !path("deep/same").exists() && !path("page.png").exists(), "{arguments}");
    }
    // A record that is no input may be replaced, and so may an older page.
    for arguments in ["report other.json -o r.json", "report other.json -o r.json", "export --csv other.json -o r.json"]
    {
        let output = wakerace(folder.path()).args(arguments.split(' ')).output().unwrap();
        assert!(output.status.success(), "{arguments}: {}", String::from_utf8_lossy(&output.stderr));
    }
}
