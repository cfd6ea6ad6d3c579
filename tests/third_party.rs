//! The file THIRD-PARTY of a release, which scripts/third-party prints. The texts that come with what scripts/build-static downloads
//! are made up here.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

const ZIG: &str = "zig-0.1/lib/python3.9/site-packages/ziglang";
const MUSL: [(&str, &str); 3] = [
    ("lib/libc/musl/COPYRIGHT", "the notice of musl"),
    ("LICENSE", "the notice of Zig"),
    ("lib/libunwind/LICENSE.TXT", "the notice of libunwind"),
];
const DEBIAN: &str = "rootfs-a-1/usr/share/doc";
const GLIBC: [(&str, &str); 3] = [
    ("libc6-dev/copyright", "the notice of glibc"),
    ("libgcc-16-dev/copyright", "the notice of libgcc"),
    ("libstd-rust-dev/copyright", "the notice of Debian's library"),
];

/// A script of a tree, with this cache and these arguments: the exit status, what it prints, and its messages.
fn third_party(tree: &Path, cache: &Path, arguments: &[&str]) -> (Option<i32>, String, String) {
    let mut command = Command::new("python3");
    command.arg(tree.join("scripts/third-party")).args(arguments).env("WAKERACE_CACHE", cache);
    let output = command.output().expect("python3 is there");
    (output.status.code(), String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap())
}

fn write(folder: &Path, files: &[(&str, &str)]) {
    for (name, text) in files {
        let file = folder.join(name);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, text).unwrap();
    }
}

fn tree() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// A cache with the notices of both C libraries.
fn cache() -> tempfile::TempDir {
    let cache = tempfile::tempdir().unwrap();
    write(&cache.path().join(ZIG), &MUSL);
    write(&cache.path().join(DEBIAN), &GLIBC);
    cache
}

fn target(library: &str) -> String {
    let arch = match std::env::consts::ARCH {
        "powerpc64" => "powerpc64le",
        "riscv64" => "riscv64gc",
        same => same,
    };
    format!("{arch}-unknown-linux-{library}")
}

/// The text below the line that begins so.
fn below<'a>(printed: &'a str, name: &str) -> &'a str {
    let rule = "=".repeat(78);
    let has = |part: &&str| part.lines().any(|line| line.starts_with(name));
    printed.split(rule.as_str()).skip(1).find(has).unwrap_or_else(|| panic!("nothing about {name}"))
}

#[test]
#[ignore = "needs Python 3"]
fn every_package_and_library_of_a_binary_has_a_notice() {
    let cache = cache();
    for library in ["musl", "gnu"] {
        let (status, printed, errors) = third_party(tree(), cache.path(), &[&target(library)]);
        assert_eq!(status, Some(0), "{errors}");
        // A licence in a folder.
        let minijinja = below(&printed, "minijinja ");
        assert!(minijinja.lines().any(|line| line.ends_with("/vendor/self_cell")), "{minijinja}");
        // No file in the package.
        let dynasm = below(&printed, "dynasmrt ");
        for wanted in
            ["Alexander Stocko", "https://github.com/CensoredUsername/dynasm-rs", "Mozilla Public License Version 2.0"]
        {
            assert!(dynasm.contains(wanted), "{wanted}: {dynasm}");
        }
        let iced = below(&printed, "iced-x86 ");
        for wanted in
            ["(C) 2018-present iced project", "https://github.com/icedland/iced", "Permission is hereby granted"]
        {
            assert!(iced.contains(wanted), "{wanted}: {iced}");
        }
        assert!(below(&printed, "include_dir ").contains("Michael Bryan"));
        // Source code, and files that are not in the binary.
        for unwanted in ["fn ", "Libwhirlpool", "pub struct"] {
            assert!(!printed.contains(unwanted), "{unwanted}");
        }
        let rust = below(&printed, "The Rust standard library");
        assert!(rust.contains("Source: https://github.com/rust-lang/rust"), "{rust}");
        let notices: Vec<&str> =
            MUSL.iter().chain(&GLIBC).map(|(_, text)| *text).filter(|text| printed.contains(text)).collect();
        if library == "musl" {
            assert_eq!(notices, MUSL.map(|(_, text)| text));
            assert!(below(&printed, "The C library musl (MIT").contains("the notice of musl"));
            for wanted in ["The Rust Project Developers", "Amanieu d'Antras", "UNICODE LICENSE V3", "Apache License"] {
                assert!(rust.contains(wanted), "{wanted}: {rust}");
            }
        } else {
            assert_eq!(notices, GLIBC.map(|(_, text)| text));
            assert!(below(&printed, "The C library glibc (LGPL").contains("GNU LESSER GENERAL PUBLIC LICENSE"));
            assert!(below(&printed, "libgcc (GPL").contains("GCC RUNTIME LIBRARY EXCEPTION"));
        }
    }
}

#[test]
#[ignore = "needs Python 3"]
fn what_is_missing_is_named() {
    let empty = tempfile::tempdir().unwrap();
    let (status, printed, errors) = third_party(tree(), empty.path(), &[&target("gnu")]);
    assert_eq!((status, printed.as_str()), (Some(1), ""), "{errors}");
    assert!(errors.contains("libstd-rust-dev/copyright does not exist; scripts/build-static downloads"), "{errors}");
    assert_eq!(third_party(tree(), empty.path(), &["x86_64"]).0, Some(2));

    // A package without a licence file that the script does not know.
    let other = tempfile::tempdir().unwrap();
    for name in ["Cargo.toml", "Cargo.lock", "build.rs", "src", "benches", "tests"] {
        symlink(tree().join(name), other.path().join(name)).unwrap();
    }
    let script = fs::read_to_string(tree().join("scripts/third-party")).unwrap();
    assert!(script.contains("\"include_dir\": None"));
    write(other.path(), &[("scripts/third-party", &script.replace("\"include_dir\": None", ""))]);
    let (status, printed, errors) = third_party(other.path(), cache().path(), &[&target("gnu")]);
    assert_eq!((status, printed.as_str()), (Some(1), ""), "{errors}");
    assert!(errors.contains("the package include_dir 0.7.4 has no licence file"), "{errors}");
}
