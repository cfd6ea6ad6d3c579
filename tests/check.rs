//! `wakerace check` over folders, beside published verdicts, as JSON, and in the format of herd7's logs.

mod common;

use std::fs;
use std::io::Read as _;
use std::path::Path;
use std::process::Stdio;

use serde_json::Value;

const MP: &str = "C MP\n(*\n * Result: Sometimes\n *)\n{}\nP0(int *x, int *y) { WRITE_ONCE(*x, 1); WRITE_ONCE(*y, 1); }\n\
                  P1(int *x, int *y) { int r0; int r1; r0 = READ_ONCE(*y); r1 = READ_ONCE(*x); }\n\
                  exists (1:r0=1 /\\ 1:r1=0)\n";
const SB: &str = "PPC SB\n{ 0:r1=x; 0:r2=y; 1:r1=y; 1:r2=x; }\n P0 | P1 ;\n li r3,1 | li r3,1 ;\n stw r3,0(r1) | stw r3,0(r1) ;\n \
                  lwz r4,0(r2) | lwz r4,0(r2) ;\nexists (0:r4=0 /\\ 1:r4=0)\n";

/// Runs `check` in a folder. Returns the exit status, standard output and standard error.
fn check(folder: &Path, args: &[&str]) -> (Option<i32>, String, String) {
    let output = common::wakerace_in(folder).arg("check").args(args).output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

/// A folder `t` with these files, in a temporary folder.
fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("t")).unwrap();
    for (name, text) in files {
        fs::write(folder.path().join("t").join(name), text).unwrap();
    }
    folder
}

/// The row of a model in the table at the end, without the time.
#[track_caller]
fn row(output: &str, model: &str) -> Vec<String> {
    let (_, end) = output.split_once(" model ").unwrap_or_else(|| panic!("no table at the end: {output}"));
    let line = end.lines().find(|line| line.trim_start().starts_with(model)).unwrap_or_else(|| panic!("{output}"));
    let mut words: Vec<String> = line.split_whitespace().skip(1).map(str::to_owned).collect();
    words.truncate(words.len() - 2);
    words
}

#[test]
fn models_that_apply_to_no_test_are_left_out_unless_asked_for() {
    let (ppc, both) = (folder(&[("sb.litmus", SB)]), folder(&[("sb.litmus", SB), ("mp.litmus", MP)]));
    let headings = |folder: &Path, args: &[&str]| {
        let (status, out, err) = check(folder, args);
        assert_eq!(status, Some(0), "{out}{err}");
        let words: Vec<String> = out.lines().next().unwrap().split_whitespace().map(str::to_owned).collect();
        (words, out)
    };
    let (words, out) = headings(ppc.path(), &["t"]);
    assert_eq!(words, ["test", "SC", "POWER"], "{out}");
    // The verdicts stand below their models, and the table at the end has these models only.
    let line = out.lines().find(|line| line.trim_start().starts_with("SB ")).unwrap();
    assert_eq!(line.split_whitespace().collect::<Vec<_>>(), ["SB", "Never", "3", "Sometimes", "4"], "{out}");
    let heads = out.lines().next().unwrap();
    assert_eq!([line.find("Never"), line.find("Sometimes")], [heads.find("SC"), heads.find("POWER")], "{out}");
    assert!(!out.contains("RVWMO") && row(&out, "POWER")[0] == "1", "{out}");
    let all = ["test", "LKMM", "SC", "x86-TSO", "ARMv8", "POWER", "RVWMO"];
    assert_eq!(headings(both.path(), &["t"]).0, all);
    assert_eq!(headings(ppc.path(), &["--model", "all", "t"]).0, all);
}

#[test]
fn a_file_of_a_folder_that_cannot_be_read_is_named_and_ends_with_an_error() {
    let folder = folder(&[("mp.litmus", MP)]);
    std::os::unix::fs::symlink("nowhere", folder.path().join("t/gone.litmus")).unwrap();
    let (status, out, err) = check(folder.path(), &["--model", "lkmm", "t"]);
    assert_eq!(row(&out, "LKMM"), ["2", "1", "1", "0", "1", "0", "0"], "{out}");
    assert_eq!(err, "error: opening t/gone.litmus: No such file or directory (os error 2)\n");
    assert_eq!(status, Some(2));
    // Its name is in the reason already.
    assert!(out.contains("1  opening t/gone.litmus: No such file or directory (os error 2)\n"), "{out}");
    // A file that is named by itself does not stop the others either. This one cannot be read by any user.
    std::os::unix::fs::symlink("/proc/self/mem", folder.path().join("memory.litmus")).unwrap();
    let (status, out, err) = check(folder.path(), &["--model", "lkmm", "memory.litmus", "t/mp.litmus"]);
    assert!(out.contains("Sometimes 4"), "{out}");
    assert_eq!(err, "error: reading memory.litmus: Input/output error (os error 5)\n");
    assert_eq!(status, Some(2));
    // A wrong option and a test that does not exist do.
    for wrong in ["--models", "t/nothing.litmus"] {
        let (status, out, _) = check(folder.path(), &[wrong, "t/mp.litmus"]);
        assert_eq!((status, out.as_str()), (Some(2), ""), "{wrong}");
    }
    let (_, help, _) = check(folder.path(), &["--help"]);
    let help = help.split_whitespace().collect::<Vec<_>>().join(" ");
    let words = "2 Nothing was checked: an option is wrong, or there is no such test. Or all else was checked and printed: a file \
                 cannot be read;";
    assert!(help.contains(words), "{help}");
}

#[test]
fn a_folder_is_checked_past_what_cannot_be_read() {
    let frob = |reg: &str| SB.replacen("stw r3", &format!("frob {reg}"), 1);
    let mixed = SB.replacen("lwz r4", "ld r4", 1);
    let (one, two) = (frob("r7"), frob("r8"));
    let files = [("a.litmus", MP), ("b.litmus", SB), ("c.litmus", &one), ("d.litmus", &two), ("e.litmus", &mixed)];
    let folder = folder(&files);
    fs::write(folder.path().join("t/f.litmus"), b"C \xff\xfe").unwrap();
    let (code, out, err) = check(folder.path(), &["t", "--model", "lkmm,power"]);
    assert_eq!((code, err.as_str()), (Some(0), ""), "{out}{err}");
    // Tests, judged, as the header, not as the header, refused, too large, not modelled.
    assert_eq!(row(&out, "LKMM"), ["2", "1", "1", "0", "1", "0", "0"], "{out}");
    assert_eq!(row(&out, "POWER"), ["6", "2", "0", "0", "4", "0", "0"], "{out}");
    assert!(out.contains("2  `frob` is not a supported instruction; the first is t/c.litmus"), "{out}");
    assert!(out.contains("1  mixed-size access; the first is t/e.litmus"), "{out}");
    assert!(out.contains("MP          Sometimes 4  Sometimes 4") && out.contains("t/c.litmus"), "{out}");
    // A refused test that is named by itself is an error; the others are judged all the same.
    let (code, out, err) = check(folder.path(), &["t/a.litmus", "t/c.litmus", "--model", "lkmm"]);
    assert_eq!(code, Some(0), "LKMM does not apply to PPC: {err}");
    assert!(!out.contains("refused"), "{out}");
    let (code, out, err) = check(folder.path(), &["t/a.litmus", "t/c.litmus", "--model", "power"]);
    assert_eq!(code, Some(2));
    assert!(out.contains("MP") && err.contains("`frob r7,0(r1)` is not a supported instruction"), "{out}{err}");
    // Too large, and a header that is wrong.
    let (code, out, _) = check(folder.path(), &["t", "--model", "lkmm", "--limit", "2"]);
    assert_eq!((code, row(&out, "LKMM")[5].as_str()), (Some(2), "1"), "nothing is judged: {out}");
    fs::write(folder.path().join("t/g.litmus"), MP.replace("Sometimes", "Never").replace("MP", "wrong")).unwrap();
    let (code, out, err) = check(folder.path(), &["t", "--model", "lkmm"]);
    assert_eq!((code, row(&out, "LKMM")[3].as_str()), (Some(2), "1"), "{out}");
    assert!(err.contains("wrong: its header says Never (Result:), but LKMM says Sometimes"), "{err}");
}

/// With the pv lock, x86-TSO has more candidates than the other models.
#[test]
fn a_test_that_is_too_large_for_one_model_keeps_the_verdicts_of_the_others() {
    let folder = folder(&[("b.litmus", SB)]);
    let (code, out, err) = check(folder.path(), &["S01-as-is", "--limit", "30"]);
    assert_eq!(code, Some(2), "{out}{err}");
    assert!(out.contains("S01-as-is  Sometimes 4  Never 3  too large  Sometimes 4"), "{out}");
    assert!(err.contains("S01-as-is, x86-TSO: too large to be judged"), "{err}");
    // Without any verdict there is no row.
    let (code, out, err) = check(folder.path(), &["S01-as-is", "--limit", "30", "--model", "x86-tso"]);
    assert!(code == Some(2) && out.is_empty() && err.contains("too large"), "{out}{err}");
    // A test to which no model applies has a row without verdicts.
    let (code, out, err) = check(folder.path(), &["t/b.litmus", "--model", "lkmm"]);
    assert!(code == Some(0) && out.contains(" SB") && err.is_empty(), "{out}{err}");
}

#[test]
fn published_verdicts_are_compared() {
    let folder = folder(&[("a.litmus", MP), ("b.litmus", SB)]);
    let write = |text: &str| fs::write(folder.path().join("known.csv"), text).unwrap();
    let against = |args: &[&str]| check(folder.path(), &[&["t", "--against", "known.csv"], args].concat());
    write("test,verdict\nMP,Sometimes\nSB, Sometimes\nother,Never\n");
    let (code, out, err) = against(&[]);
    assert_eq!((code, err.as_str()), (Some(0), ""), "{out}");
    // Behind the header's two columns: as published, not as published.
    assert_eq!(row(&out, "LKMM")[4..6], ["1", "0"], "{out}");
    assert_eq!(row(&out, "POWER")[4..6], ["1", "0"], "the C test has no published verdict on POWER: {out}");
    assert_eq!(row(&out, "SC")[4..6], ["0", "0"], "{out}");
    write("Model,Verdict,Test\nlkmm,Never,MP\nsc,Never,MP\npower,Sometimes,MP\n,Never,SB\n");
    let (code, out, err) = against(&[]);
    assert_eq!(code, Some(2));
    assert_eq!(
        (&row(&out, "LKMM")[4..6], &row(&out, "SC")[4..6]),
        (&["0", "1"].map(String::from)[..], &["1", "0"].map(String::from)[..])
    );
    assert_eq!(row(&out, "POWER")[4..6], ["1", "1"], "{out}");
    assert!(
        err.contains("MP, LKMM: Sometimes, but Never in known.csv") && err.contains("SB, POWER: Sometimes"),
        "{err}"
    );
    assert_eq!(err.lines().count(), 2, "{err}");
    for (text, words) in [
        ("name,verdict\nMP,Never\n", "expected a CSV file with the columns `test` and `verdict`"),
        ("test,verdict\nMP,Seldom\n", "line 2: 'Seldom' is not a verdict"),
        ("test,verdict,model\nMP,Never,vax\n", "line 2: unknown model 'vax'"),
    ] {
        write(text);
        let (code, out, err) = against(&[]);
        assert!(code == Some(2) && err.contains(words) && out.is_empty(), "{out}{err}");
    }
}

/// A comparison of nothing is no agreement.
#[test]
fn a_file_that_says_nothing_about_the_tests_is_refused() {
    let folder = folder(&[("a.litmus", MP)]);
    let write = |text: &str| fs::write(folder.path().join("known"), text).unwrap();
    write("test,verdict\nother,Never\n");
    for more in [&[][..], &["--json"]] {
        let (code, out, err) = check(folder.path(), &[&["t", "--against", "known"], more].concat());
        assert!(code == Some(2) && err.contains("--against known: nothing was compared"), "{more:?}: {out}{err}");
    }
    write("Test MP Allowed\nStates 0\nOk\nObservation MP Sometimes 1 3\n");
    let (code, out, err) = check(folder.path(), &["t", "--model", "x86_64", "--against", "known"]);
    assert!(code == Some(2) && err.contains("nothing was compared") && err.contains("lkmm for C"), "{out}{err}");
    let (code, _, err) = check(folder.path(), &["t", "--against", "nowhere"]);
    assert!(code == Some(2) && err.contains("--against: opening nowhere: "), "{err}");
}

/// A test that displays nothing has one state without a value. herd7 prints an empty line for it.
#[test]
fn a_state_without_values_is_the_same_here_and_in_a_log() {
    for condition in ["exists (true)", "forall (false)"] {
        let folder = folder(&[("a.litmus", &MP.replace("exists (1:r0=1 /\\ 1:r1=0)", condition))]);
        let test = fs::read_to_string(folder.path().join("t/a.litmus")).unwrap().replace("Result: Sometimes", "");
        fs::write(folder.path().join("t/a.litmus"), test).unwrap();
        let (code, log, err) = check(folder.path(), &["t/a.litmus", "--model", "lkmm", "--states"]);
        assert!(code == Some(0) && log.contains("States 1\n\n"), "{log}{err}");
        for log in [log.clone(), log.replace("States 1\n\n", "States 1\n")] {
            fs::write(folder.path().join("herd.log"), &log).unwrap();
            let (code, out, err) = check(folder.path(), &["t", "--model", "lkmm", "--against", "herd.log"]);
            assert_eq!((code, err.as_str()), (Some(0), ""), "{condition}: {out}{log}");
        }
    }
}

#[test]
fn states_are_printed_as_herd7_prints_them_and_compared() {
    let folder = folder(&[("a.litmus", MP)]);
    let (code, out, _) = check(folder.path(), &["t/a.litmus", "--model", "lkmm", "--states"]);
    assert_eq!(code, Some(0));
    let log = "Test MP Allowed\nStates 4\n1:r0=0; 1:r1=0;\n1:r0=0; 1:r1=1;\n1:r0=1; 1:r1=0;\n1:r0=1; 1:r1=1;\nOk\nWitnesses\n\
               Positive: 1 Negative: 3\nCondition exists (1:r0=1 /\\ 1:r1=0)\nObservation MP Sometimes 1 3\nTime MP 0.0";
    assert!(out.contains(log), "{out}");
    // The same log is a list of published verdicts.
    let against = |log: &str| {
        fs::write(folder.path().join("herd.log"), log).unwrap();
        check(folder.path(), &["t", "--model", "lkmm", "--against", "herd.log"])
    };
    assert_eq!(against(&out).0, Some(0));
    for (from, to, words) in [
        ("1:r0=0; 1:r1=1;\n", "", "the states differ; only here: 1:r0=0; 1:r1=1;; only in herd.log: none"),
        ("1:r0=0; 1:r1=1;\n", "1:r0=0; 1:r1=7;\n", "only in herd.log: 1:r0=0; 1:r1=7;"),
        ("Condition", "Flag data-race\nCondition", "MP, LKMM: no data race, but a data race in herd.log"),
        ("MP Sometimes", "MP Always", "MP, LKMM: Sometimes, but Always in herd.log"),
    ] {
        let (code, table, err) = against(&out.replace(from, to));
        assert!(code == Some(2) && err.contains(words), "{words}: {err}");
        assert_eq!(row(&table, "LKMM")[4..6], ["0", "1"], "{table}");
    }
    // Kinds, memory, addresses, the order of registers, and a filter's own column, which is not printed.
    let all = "C t\n{ int *p = &x; }\nP0(int **p, int *x, int *y) { int *r2; int r10; r2 = READ_ONCE(*p); r10 = READ_ONCE(*y); WRITE_ONCE(*x, 2); }\n\
               P1(int *y) { WRITE_ONCE(*y, 1); }\nlocations [0:r10; 0:r2;]\nfilter (y=1)\n~exists (x=3 \\/ ~(x=2 /\\ p=x))\n";
    fs::write(folder.path().join("all.litmus"), all).unwrap();
    let (_, out, _) = check(folder.path(), &["all.litmus", "--model", "lkmm", "--states"]);
    let log = "Test t Forbidden\nStates 2\n0:r2=x; 0:r10=0; [p]=x; [x]=2;\n0:r2=x; 0:r10=1; [p]=x; [x]=2;\nOk\nWitnesses\nPositive: 0 Negative: 2\n\
               Condition ~exists ([x]=3 \\/ not ([x]=2 /\\ [p]=x))\nObservation t Never 0 2\n";
    assert!(out.contains(log) && out.contains("Never 2"), "{out}");
    fs::write(folder.path().join("all.litmus"), all.replace("~exists", "forall")).unwrap();
    let (_, out, _) = check(folder.path(), &["all.litmus", "--model", "lkmm", "--states"]);
    assert!(out.contains("Test t Required") && out.contains("\nNo\nWitnesses"), "{out}");
}

#[test]
fn the_results_are_json_if_asked_for() {
    let bad = SB.replacen("stw r3", "frob r3", 1);
    let folder = folder(&[("a.litmus", MP), ("b.litmus", SB), ("c.litmus", &bad)]);
    fs::write(folder.path().join("known.csv"), "test,verdict\nMP,Never\n").unwrap();
    let (code, out, _) =
        check(folder.path(), &["t", "--json", "--states", "--model", "lkmm,power", "--against", "known.csv"]);
    assert_eq!(code, Some(2), "one verdict differs");
    let value: Value = serde_json::from_str(&out).unwrap_or_else(|error| panic!("{error}: {out}"));
    let tests = value["tests"].as_array().unwrap();
    let find = |test: &str, model: &str| tests.iter().find(|t| t["test"] == test && t["model"] == model).unwrap();
    assert_eq!(tests.len(), 4);
    let mp = find("MP", "LKMM");
    assert_eq!((&mp["verdict"], &mp["states"], &mp["finding"]), (&"Sometimes".into(), &4.into(), &"judged".into()));
    assert_eq!((&mp["as_header"], &mp["as_published"]), (&true.into(), &false.into()));
    assert_eq!(mp["final_states"].as_array().unwrap().len(), 4);
    assert_eq!(find("MP", "POWER").get("as_published"), None);
    let bad = find("t/c.litmus", "POWER");
    assert_eq!((&bad["finding"], bad.get("verdict")), (&"refused".into(), None));
    assert_eq!(bad["reason"], "`frob` is not a supported instruction");
    let summary = &value["summary"][1];
    assert_eq!((&summary["model"], &summary["judged"], &summary["refused"]), (&"POWER".into(), &2.into(), &1.into()));
    assert_eq!(value["refused"][0]["tests"], 1);
    // Every model gives the reason, but the error is told once.
    let (_, out, err) = check(folder.path(), &["t/c.litmus", "--json", "--model", "power,sc"]);
    let value: Value = serde_json::from_str(&out).unwrap_or_else(|error| panic!("{error}: {out}"));
    let reasons: Vec<&Value> = value["tests"].as_array().unwrap().iter().map(|test| &test["reason"]).collect();
    assert_eq!(reasons, ["`frob` is not a supported instruction"; 2]);
    assert_eq!(err.matches("`frob r3,0(r1)` is not a supported instruction").count(), 1, "{err}");
}

/// Runs `check` over a folder. Returns what it says and the most memory that it had, in MB.
#[expect(clippy::zombie_processes, reason = "wait4 waits for the child")]
fn memory(folder: &Path) -> (String, i64) {
    let mut command = common::wakerace_in(folder);
    command.args(["check", "t", "--model", "sc", "--json"]).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = command.spawn().unwrap();
    let mut said = String::new();
    child.stdout.as_mut().unwrap().read_to_string(&mut said).unwrap();
    // SAFETY: every field is a number, and 0 is one.
    let (mut status, mut usage) = (0, unsafe { std::mem::zeroed::<libc::rusage>() });
    // SAFETY: the child was not waited for yet, and both pointers are to values of this function. Nothing waits for it later.
    let waited = unsafe { libc::wait4(child.id().cast_signed(), &mut status, 0, &mut usage) };
    assert_eq!(waited, child.id().cast_signed());
    (said, usage.ru_maxrss / 1024)
}

#[test]
fn tests_that_are_too_large_take_less_than_500_megabytes() {
    // Many ways for each thread to run.
    let thread = |number: usize| {
        let lines: String =
            (0..13).map(|at| format!("if (READ_ONCE(*x) == {}) WRITE_ONCE(*y, {at});", at + 1)).collect();
        format!("P{number}(int *x, int *y) {{ {lines} {} }}\n", "WRITE_ONCE(*y, 99);".repeat(90))
    };
    let threads: String = (0..4).map(thread).collect();
    let ways = |name: &str| format!("C {name}\n{{}}\n{threads}exists (x=1)\n");
    // A path with many branches.
    let branches: String = (0..3000).map(|at| format!(" CBZ W0,L{at} ;\n L{at}: ;\n")).collect();
    let deep = format!("AArch64 deep\n{{0:X1=x;}}\n P0 ;\n LDR W0,[X1] ;\n{branches}exists (x=1)\n");
    let files = [("a.litmus", &*ways("a")), ("b.litmus", &ways("b")), ("c.litmus", &ways("c")), ("d.litmus", &deep)];
    let (said, megabytes) = memory(folder(&files).path());
    let said: Value = serde_json::from_str(&said).unwrap();
    let reasons: Vec<&str> =
        said["tests"].as_array().unwrap().iter().map(|test| test["reason"].as_str().unwrap()).collect();
    for reason in &reasons[..3] {
        assert!(reason.contains("too large to be judged: 150") && reason.contains("bytes for the ways"), "{reason}");
        assert!(reason.contains("--limit raises the bound"), "{reason}");
    }
    assert!(reasons[3].contains("bytes for the ways to run or more"), "{}", reasons[3]);
    assert!((100..500).contains(&megabytes), "{megabytes} MB: {said}");
    // What no limit raises, because the stack is as large as it is.
    let (status, _, err) = check(folder(&files[3..]).path(), &["t/d.litmus", "--model", "sc", "--limit", "1e8"]);
    assert!(err.contains("2001 branches on one path or more; the most is 2000\n") && status == Some(2), "{err}");
}
