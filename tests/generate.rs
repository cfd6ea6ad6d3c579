//! `wakerace generate`: one test, products, families, files, and what the other commands make of them.

mod common;

use std::fs;
use std::path::Path;

/// Runs `generate` in a folder. Returns the exit status, standard output and standard error.
fn generate(folder: &Path, args: &[&str]) -> (Option<i32>, String, String) {
    let output = common::wakerace_in(folder).arg("generate").args(args).output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

fn files(folder: &Path) -> Vec<String> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let mut names: Vec<String> =
        entries.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

#[test]
fn one_test_goes_to_standard_output() {
    let folder = tempfile::tempdir().unwrap();
    let (code, out, err) = generate(folder.path(), &["--arch", "arm64", "--cycle", "Rfe DpAddrdR Fre DMB.SYdWW"]);
    assert_eq!((code, err.as_str()), (Some(0), ""), "{out}");
    assert!(out.starts_with("AArch64 MP+dmb.sy+addr\n") && out.ends_with("exists (1:X1=1 /\\ 1:X4=0)\n"), "{out}");
    // Several need a folder, and the message says how.
    let (code, out, err) = generate(folder.path(), &["--arch", "x86_64", "--cross", "PodWR,MFencedWR Fre PodWR Fre"]);
    assert_eq!((code, out.as_str()), (Some(2), ""));
    assert!(err.contains("SB, SB+mfence+po") && err.contains("-o FOLDER"), "{err}");
}

#[test]
fn a_folder_gets_a_file_a_test_and_the_list_of_them() {
    let folder = tempfile::tempdir().unwrap();
    let args =
        ["--arch", "ppc", "--relax", "LwSyncdWW", "--safe", "Rfe,Fre,PodRR,DpAddrdR", "--size", "4", "-o", "new/t"];
    let (code, out, err) = generate(folder.path(), &args);
    assert_eq!((code, err.as_str()), (Some(0), ""), "{out}");
    assert!(out.contains("2 tests in new/t; next: wakerace check new/t"), "{out}");
    let names = files(&folder.path().join("new/t"));
    assert_eq!(names, ["@all", "MP+lwsync+addr.litmus", "MP+lwsync+po.litmus"]);
    let all = fs::read_to_string(folder.path().join("new/t/@all")).unwrap();
    assert_eq!(all, "MP+lwsync+po.litmus\nMP+lwsync+addr.litmus\n");
    let output = common::wakerace_in(folder.path()).args(["check", "new/t", "--model", "power"]).output().unwrap();
    let told = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{told}");
    assert!(told.contains("MP+lwsync+addr  Never 3") && told.contains("MP+lwsync+po    Sometimes 4"), "{told}");
}

#[test]
fn nothing_is_written_if_a_cycle_is_wrong() {
    let folder = tempfile::tempdir().unwrap();
    let args = ["--arch", "riscv", "--cycle", "PodRW Rfe PodRW Rfe", "--cycle", "PodRW Rfe PodWW Rfe", "-o", "t"];
    let (code, _, err) = generate(folder.path(), &args);
    assert_eq!(code, Some(2));
    assert!(
        err.contains("the cycle 'PodRW Rfe PodWW Rfe': Rfe ends in a read, and PodWW begins with a write"),
        "{err}"
    );
    fs::write(folder.path().join("cycles"), "# two\nLB: PodRW Rfe PodRW Rfe\n\nPodRW Rfe PodRX Rfe\n").unwrap();
    let (code, _, err) = generate(folder.path(), &["--arch", "riscv", "--cycles", "cycles", "-o", "t"]);
    assert_eq!(code, Some(2));
    assert!(err.contains("cycles:4: the cycle 'PodRW Rfe PodRX Rfe': 'PodRX' is not a relaxation of RISCV"), "{err}");
    // A family without cycles leaves no folder either.
    let (code, _, err) = generate(folder.path(), &["--arch", "riscv", "--safe", "Rfe", "-o", "t"]);
    assert!(code == Some(2) && err.contains("no cycle of these relaxations"), "{err}");
    assert_eq!(files(folder.path()), ["cycles"]);
}

#[test]
fn what_list_prints_cycles_reads() {
    let folder = tempfile::tempdir().unwrap();
    for arch in ["x86_64", "aarch64", "ppc", "riscv", "c"] {
        let family = ["--arch", arch, "--size", "4", "--threads", "2"];
        let (code, listed, err) = generate(folder.path(), &[&family[..], &["--list"]].concat());
        assert_eq!((code, err.as_str()), (Some(0), ""), "{arch}");
        assert!(listed.lines().count() > 10, "{listed}");
        fs::write(folder.path().join("cycles"), &listed).unwrap();
        let (_, again, err) = generate(folder.path(), &["--arch", arch, "--cycles", "cycles", "--list"]);
        assert_eq!((again, err.as_str()), (listed, ""), "{arch}");
    }
}

#[test]
fn a_test_keeps_the_name_of_its_line_and_what_comes_again_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let list = |lines: &str| {
        fs::write(folder.path().join("cycles"), lines).unwrap();
        generate(folder.path(), &["--arch", "riscv", "--cycles", "cycles", "--list"])
    };
    let lines = "mine: PodRW Rfe PodRW Rfe\nPodRW Rfe PodRW Rfe\nSB: PodWR Fre PodWR Fre\nRfe PodRW Rfe PodRW\n\
                 yours: Rfe PodRW Rfe PodRW\nmine: PodRW Rfe PodRW Rfe\nPodWR Fre PodWR Fre\nRfe PodRR Fre PodWW\n";
    let (code, listed, err) = list(lines);
    assert_eq!(code, Some(0), "{err}");
    let names: Vec<&str> = listed.lines().map(|line| line.split(':').next().unwrap()).collect();
    assert_eq!(names, ["mine", "SB", "yours", "MP"], "{listed}");
    let again: Vec<&str> = err.lines().map(|line| line.split(": ").next().unwrap()).collect();
    assert_eq!(again, ["cycles:2", "cycles:4", "cycles:6", "cycles:7"], "{err}");
    // A name that is made up never is one that a line gives.
    let (_, listed, _) = list("LB: Rfe PodRR Fre PodWW\nPodRW Rfe PodRW Rfe\n");
    assert!(listed.starts_with("LB: ") && listed.contains("\nLB-2: "), "{listed}");
    for (lines, wanted) in [
        ("a: PodRW Rfe PodRW Rfe\na: Rfe PodRR Fre PodWW\n", "cycles:2: the name 'a' is that of another cycle already"),
        ("a/b: PodRW Rfe PodRW Rfe\n", "cycles:1: the name 'a/b' is no name of a test"),
        (": PodRW Rfe PodRW Rfe\n", "cycles:1: the name '' is no name of a test"),
    ] {
        let (code, _, err) = list(lines);
        assert!(code == Some(2) && err.contains(wanted), "{wanted}: {err}");
    }
}

#[test]
fn check_reads_every_language_and_mixed_sizes() {
    let folder = tempfile::tempdir().unwrap();
    let mixed = ["--vary", "w0,h0,h2,q0", "--safe", "Pod**,Rfe,Fre,Coe", "--size", "4", "--threads", "2"];
    for arch in ["x86_64", "aarch64", "riscv", "c"] {
        let model = match arch {
            "x86_64" => "x86-tso",
            "aarch64" => "armv8",
            "riscv" => "rvwmo",
            _ => "lkmm",
        };
        for (name, more) in [("plain", &["--size", "5"][..]), ("mixed", &mixed[..])] {
            if (arch, name) == ("c", "mixed") {
                continue;
            }
            let target = format!("{arch}-{name}");
            let sample = ["--arch", arch, "--sample", "12", "-o", &target];
            let (code, out, err) = generate(folder.path(), &[&sample[..], more].concat());
            assert_eq!((code, err.as_str()), (Some(0), ""), "{target}: {out}");
            let mut check = common::wakerace_in(folder.path());
            let output = check.args(["check", &target, "--model", model, "--json"]).output().unwrap();
            let json: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
            let summary = &json["summary"][0];
            assert_eq!((&summary["tests"], &summary["judged"]), (&12.into(), &12.into()), "{target}: {summary}");
        }
    }
}

#[test]
fn the_vocabulary_can_be_generated() {
    let folder = tempfile::tempdir().unwrap();
    let (code, out, _) = generate(folder.path(), &["--arch", "aarch64", "--vocabulary"]);
    assert_eq!(code, Some(0));
    let relaxations = out.lines().next().unwrap().strip_prefix("relaxations: ").unwrap();
    let listed: Vec<&str> = relaxations.split(' ').collect();
    assert!(listed.contains(&"DMB.SYdWR") && listed.contains(&"Amo.StClr") && listed.len() > 80, "{out}");
    assert!(out.contains("annotations: P A Q L"), "{out}");
    // Each edge from a read to a write is part of a cycle.
    let from_read_to_write = |word: &&&str| word.ends_with("dRW") || word.starts_with("Dp") && word.ends_with("dW");
    let edges: Vec<&str> = listed.iter().filter(from_read_to_write).copied().collect();
    let product = format!("{} Rfe PodRW Rfe", edges.join(","));
    let (code, names, err) = generate(folder.path(), &["--arch", "aarch64", "--cross", &product, "--list"]);
    assert_eq!((code, names.lines().count(), err.as_str()), (Some(0), edges.len(), ""), "{names}");
}
