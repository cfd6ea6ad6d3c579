//! Passes two facts to the build: the commit, and whether the build host has two CPUs.
//!
//! The commit (`WAKERACE_COMMIT`) goes into every record, so that a record can be traced to its source.
//! Without `cfg(two_cpus)`, tests that need two CPUs are ignored and listed as such; they do not pass without
//! testing anything.

use std::process::Command;

fn main() {
    let git = |args: &[&str]| {
        let output = Command::new("git").args(args).output().ok().filter(|output| output.status.success())?;
        Some(String::from_utf8_lossy(&output.stdout).trim().to_owned()).filter(|text| !text.is_empty())
    };
    println!("cargo:rustc-check-cfg=cfg(two_cpus)");
    if std::thread::available_parallelism().is_ok_and(|cpus| cpus.get() >= 2) {
        println!("cargo:rustc-cfg=two_cpus");
    }
    // The variable is set where git is not available, for example in the root file system in which foreign
    // binaries are built.
    println!("cargo:rerun-if-env-changed=WAKERACE_COMMIT");
    if let Ok(commit) = std::env::var("WAKERACE_COMMIT") {
        println!("cargo:rustc-env=WAKERACE_COMMIT={commit}");
        return;
    }
    let commit = git(&["rev-parse", "--short=12", "HEAD"]).unwrap_or_else(|| "unknown".to_owned());
    let dirty = git(&["status", "--porcelain", "--untracked-files=no", "src", "Cargo.toml", "Cargo.lock", "scenarios"]);
    println!("cargo:rustc-env=WAKERACE_COMMIT={commit}{}", if dirty.is_some() { "-dirty" } else { "" });
    println!("cargo:rerun-if-changed=src");
    println!("cargo:rerun-if-changed=scenarios");
    if let Some(head) = git(&["rev-parse", "--git-path", "logs/HEAD"]) {
        println!("cargo:rerun-if-changed={head}");
    }
}
