//! What the documentation and the comments point at exists.

mod common;

use std::fs;
use std::path::Path;

use common::find;

const FOLDERS: [&str; 8] = ["benches/", "docs/", "fuzz/", "results/", "scenarios/", "scripts/", "src/", "tests/"];

fn tree() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn shown(path: &Path) -> String {
    path.strip_prefix(tree()).unwrap().display().to_string()
}

/// A word of a text that is a path in the tree: it begins with one of its folders. Words with capitals only or with a `*` in
/// a component stand for something else (`results/ARCHITECTURE/CPU/TIME.json`).
fn paths(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !(c.is_ascii_alphanumeric() || "_./+-*".contains(c)))
        .filter(|word| FOLDERS.iter().any(|folder| word.starts_with(folder)))
        .map(|word| word.trim_end_matches(['.', '-', '+']))
        .filter(|word| !word.contains('*') && !word.split('/').any(stands_for_something))
}

fn stands_for_something(component: &str) -> bool {
    let stem = component.split('.').next().unwrap();
    stem.len() > 2 && !stem.starts_with("README") && stem.chars().all(|c| c.is_ascii_uppercase())
}

#[test]
fn what_is_a_path_and_what_is_not() {
    let text = "see src/lib.rs, (docs/decisions/), `results/ARCHITECTURE/CPU/TIME.json`, results/*/*.json, tools/src/x, tests/x.";
    assert_eq!(paths(text).collect::<Vec<_>>(), ["src/lib.rs", "docs/decisions/", "tests/x"]);
}

#[test]
fn every_link_of_a_document_leads_somewhere() {
    let mut documents = Vec::new();
    find(tree(), &[".md"], &mut documents);
    assert!(documents.len() > 20, "{documents:?}");
    let mut broken = Vec::new();
    for document in documents {
        let text = fs::read_to_string(&document).unwrap();
        for link in text.split("](").skip(1).map(|rest| rest.split(')').next().unwrap()) {
            let target = link.split('#').next().unwrap();
            if target.is_empty() || target.contains("://") {
                continue;
            }
            if !document.parent().unwrap().join(target).exists() {
                broken.push(format!("{}: {link}", shown(&document)));
            }
        }
    }
    assert!(broken.is_empty(), "{broken:#?}");
}

#[test]
fn every_path_that_is_named_exists() {
    let mut files = vec![tree().join(".ci/run"), tree().join("Cargo.toml")];
    find(tree(), &[".md", ".rs", ".sh"], &mut files);
    find(&tree().join("scripts"), &[""], &mut files);
    let mut missing = Vec::new();
    // This file names paths that are none.
    for file in files.into_iter().filter(|file| !file.ends_with("tests/docs.rs")) {
        let Ok(text) = fs::read_to_string(&file) else { continue };
        for (number, line) in text.lines().enumerate() {
            for path in paths(line).filter(|path| !tree().join(path).exists()) {
                missing.push(format!("{}:{}: {path}", shown(&file), number + 1));
            }
        }
    }
    assert!(missing.is_empty(), "{missing:#?}");
}

#[test]
fn the_documents_name_what_is_in_the_tree() {
    let mut files = Vec::new();
    find(tree(), &[".md", ".rs", ".toml"], &mut files);
    find(&tree().join("scripts"), &[""], &mut files);
    let elsewhere = ["KERNEL", "DESIGN", "STYLE"].map(|name| format!("{name}.md"));
    for file in files {
        let Ok(text) = fs::read_to_string(&file) else { continue };
        for name in &elsewhere {
            assert!(!text.contains(name.as_str()), "{} names {name}, which is not in the tree", shown(&file));
        }
    }
}
