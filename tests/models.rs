//! The models against published verdicts.

use std::fs;
use std::path::{Path, PathBuf};

use wakerace::arch::Atomics;
use wakerace::catalogue;
use wakerace::litmus::{Source, Verdict};
use wakerace::model::{self, Bounds, Model, Outcome, assembly};

/// The verdicts of every scenario: LKMM, x86-TSO, ARMv8, POWER, RVWMO. A is allowed, - is forbidden, ? has no test.
const TABLE: [(&str, &str); 27] = [
    ("S01", "A-AAA"),
    ("S01f", "A-AAA"),
    ("S02", "-----"),
    ("S03", "-----"),
    ("S04", "-----"),
    ("S04b", "-----"),
    ("S05", "AAAAA"),
    ("S05b", "-----"),
    ("S06", "A-A--"),
    ("S06b", "A-AAA"),
    ("S06c", "-----"),
    ("S07", "A-AAA"),
    ("S07b", "-----"),
    ("S08", "-----"),
    ("S08b", "AAAAA"),
    ("S08c", "A-AAA"),
    ("S09", "-----"),
    ("S09b", "A-AAA"),
    ("S12", "A-AAA"),
    ("S12c", "-----"),
    ("S13b", "AAAAA"),
    ("S14", "A-AAA"),
    ("S16", "-----"),
    ("S17", "-----"),
    ("S17b", "A-AAA"),
    ("S18", "-----"),
    ("S19", "-----"),
];

const COLUMNS: [Model; 5] = [Model::Lkmm, Model::X86Tso, Model::Armv8, Model::Power, Model::Rvwmo];

fn published(id: &str, model: Model) -> Verdict {
    let (_, row) = TABLE.iter().find(|(known, _)| *known == id).unwrap_or_else(|| panic!("no row {id}"));
    let column = COLUMNS.iter().position(|known| *known == model).expect("a column");
    if row.as_bytes()[column] == b'A' { Verdict::Sometimes } else { Verdict::Never }
}

fn files(folder: &str) -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/litmus").join(folder);
    let mut files: Vec<PathBuf> = fs::read_dir(root).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

fn source(path: &Path) -> Source {
    Source::new(path.display().to_string(), fs::read_to_string(path).unwrap())
}

/// `S12` of `S12-heal-...`. The simplified tests of an id, `S16s`, ask the same; `S12s` asks what S12c asks.
fn id(name: &str) -> &str {
    match name.split('-').next().unwrap() {
        "S12s" => "S12c",
        "S12s2" => "S12",
        id => id.trim_end_matches('s'),
    }
}

fn assembly(path: &Path) -> (String, Model, Outcome) {
    let (code, model) = assembly::parse(&source(path)).unwrap_or_else(|error| panic!("{error}"));
    let outcome =
        model::check(&code, model, Bounds::default()).unwrap_or_else(|error| panic!("{}: {error}", code.name));
    (code.name, model, outcome)
}

#[test]
fn the_kernels_model_says_of_every_scenario_what_it_says_in_herd() {
    for path in files("lkmm") {
        let scenario = catalogue::load_file(&path).unwrap();
        let code = model::code_for(&scenario.program, Model::Lkmm, Atomics::Lse).unwrap();
        let outcome = model::check(&code, Model::Lkmm, Bounds::default()).unwrap();
        let id = id(&scenario.name);
        let wanted = if id == "S01p" { Verdict::Sometimes } else { published(id, Model::Lkmm) };
        assert_eq!(outcome.verdict, wanted, "{}: {:?}", scenario.name, outcome.states);
        assert_eq!(outcome.data_race, id == "S01p", "{}", scenario.name);
    }
}

#[test]
fn the_assembly_forms_get_the_verdicts_of_the_table() {
    for folder in ["x86", "aarch64", "aarch64-llsc", "ppc", "riscv"] {
        for path in files(folder) {
            let (name, model, outcome) = assembly(&path);
            eprintln!("{folder} {name}: {} {} states of {}", outcome.verdict, outcome.states.len(), outcome.looked_at);
            assert_eq!(outcome.verdict, published(id(&name), model), "{folder}/{name}: {:?}", outcome.states);
        }
    }
}
