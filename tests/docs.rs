//! What the documentation and the comments point at exists.

mod common;

use std::fs;
use std::path::Path;

use common::find;
use wakerace::arch::Arch;

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

/// `cargo install` takes a whole version (`3.6.1`) or a range with its operator (`^3`). It refuses `3`.
#[test]
fn scripts_name_versions_that_cargo_install_takes() {
    let mut files = Vec::new();
    find(&tree().join("scripts"), &[""], &mut files);
    find(&tree().join(".github"), &[".yml"], &mut files);
    let mut found = 0;
    for file in files {
        let Ok(text) = fs::read_to_string(&file) else { continue };
        let words = text.split([' ', '\n', ';', '"', '\'']).filter(|word| word.starts_with("cargo-"));
        for (tool, version) in words.filter_map(|word| word.split_once('@')) {
            found += 1;
            let whole = version.split('.').filter(|number| number.parse::<u32>().is_ok()).count() == 3;
            let range = version.starts_with(['^', '~', '=', '>', '<']);
            assert!(whole || range, "{}: cargo install refuses {tool}@{version}", shown(&file));
        }
    }
    assert!(found >= 2, "{found}");
}

/// The source files below src/ with their text, without comments and without the unit tests at their end.
fn sources() -> Vec<(String, String)> {
    let mut files = Vec::new();
    find(&tree().join("src"), &[".rs"], &mut files);
    let is_test = |path: &str| path.contains("/tests/") || path.ends_with("/tests.rs");
    let mut all = Vec::new();
    for file in files {
        let (path, text) = (shown(&file), fs::read_to_string(&file).unwrap());
        if is_test(&path) {
            continue;
        }
        let lines: Vec<&str> = text.lines().collect();
        let begins_tests = |at: &usize| {
            lines[*at].starts_with("#[cfg(")
                && lines[*at].contains("test")
                && lines.get(at + 1).is_some_and(|next| next.starts_with("mod "))
        };
        let end = (0..lines.len()).find(begins_tests).unwrap_or(lines.len());
        let code: Vec<&str> =
            lines[..end].iter().copied().filter(|line| !line.trim_start().starts_with("//")).collect();
        all.push((path, code.join("\n")));
    }
    assert!(all.len() > 100, "{}", all.len());
    all
}

/// Whether a file belongs to the facts of an architecture, which are a part of the module `arch`.
fn is_of_facts(path: &str) -> bool {
    path.starts_with("src/isa/") && path.contains("/facts/")
}

/// The paths in the first column of the table under a heading of docs/architecture.md.
fn table_of(heading: &str) -> Vec<String> {
    let text = fs::read_to_string(tree().join("docs/architecture.md")).unwrap();
    let section = text.split(&format!("\n{heading}\n")).nth(1).unwrap_or_else(|| panic!("no heading '{heading}'"));
    let section = section.split("\n#").next().unwrap();
    let rows = section.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next());
    rows.map(str::to_owned).collect()
}

#[test]
fn an_architecture_is_a_folder_and_five_files() {
    let touched = table_of("#### Files outside the folder");
    assert!(touched.len() <= 5, "{touched:?}");
    let own = table_of("#### Files that name an architecture for another reason");
    let names = Arch::ALL.map(|arch| format!("Arch::{arch:?}"));
    let names_one = |code: &str| code.contains("target_arch") || names.iter().any(|name| code.contains(name.as_str()));
    let mut found: Vec<String> = (sources().into_iter())
        .filter(|(path, code)| !path.starts_with("src/isa/") && names_one(code))
        .map(|(path, _)| path)
        .collect();
    found.sort();
    let unlisted: Vec<&String> = found.iter().filter(|path| !touched.contains(path) && !own.contains(path)).collect();
    assert!(
        unlisted.is_empty(),
        "docs/architecture.md does not list {unlisted:?}; move the architecture's part to src/isa"
    );
    let vain: Vec<&String> = own.iter().filter(|path| !found.contains(path)).collect();
    assert!(vain.is_empty(), "docs/architecture.md lists {vain:?}, which name no architecture");
    assert!(found.contains(&"src/arch/mod.rs".to_owned()), "{found:?}");
}

/// The modules of the crate that a text uses.
fn used(code: &str) -> impl Iterator<Item = &str> {
    let word = |rest: &'_ str| rest.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).unwrap_or(rest.len());
    code.split("crate::").skip(1).map(move |rest| &rest[..word(rest)])
}

#[test]
fn facts_use_no_other_module() {
    let facts: Vec<(String, String)> = sources().into_iter().filter(|(path, _)| is_of_facts(path)).collect();
    assert!(facts.len() >= 12, "{facts:?}");
    for (path, code) in facts {
        let others: Vec<&str> = used(&code).filter(|module| *module != "arch").collect();
        assert!(others.is_empty(), "{path} uses {others:?}");
    }
}

#[test]
fn the_modules_have_layers() {
    use std::collections::{BTreeMap, BTreeSet};
    let mut uses: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for (path, code) in sources() {
        let module = path["src/".len()..].split('/').next().unwrap().trim_end_matches(".rs");
        let module = if is_of_facts(&path) { "arch" } else { module };
        let own = uses.entry(module.to_owned()).or_default();
        own.extend(used(&code).filter(|other| *other != module).map(str::to_owned));
    }
    // Modules that use only modules that are already placed go to the next layer.
    let mut placed: BTreeSet<String> = BTreeSet::new();
    uses.retain(|module, _| !matches!(module.as_str(), "lib" | "main"));
    let all: BTreeSet<String> = uses.keys().cloned().collect();
    assert!(all.len() > 20, "{all:?}");
    while placed.len() < all.len() {
        let free = |module: &&String| uses[*module].iter().all(|used| placed.contains(used) || !all.contains(used));
        let next: Vec<String> = all.difference(&placed).filter(free).cloned().collect();
        let rest: Vec<_> = all.difference(&placed).map(|module| (module, &uses[module])).collect();
        assert!(!next.is_empty(), "these modules use each other in a circle: {rest:#?}");
        placed.extend(next);
    }
}
