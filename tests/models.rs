//! Compares the models with published verdicts.

use std::fs;
use std::path::{Path, PathBuf};

use wakerace::arch::lock::{Choices, Lock};
use wakerace::arch::{Arch, Atomics};
use wakerace::catalogue::{self, Scenario};
use wakerace::isa;
use wakerace::litmus::{Source, Verdict};
use wakerace::model::explain::{self, Reason};
use wakerace::model::{self, Bounds, Model, Outcome, svg};
use wakerace::verdict;

/// The verdict of every scenario on LKMM, x86-TSO, ARMv8, POWER and RVWMO: A is allowed, - is forbidden.
const TABLE: [(&str, &str); 36] = [
    ("S01", "A-AAA"),
    ("S01f", "A-AAA"),
    ("S02", "-----"),
    ("S03", "-----"),
    ("S04", "-----"),
    ("S04b", "-----"),
    ("S05", "AAAAA"),
    ("S05b", "-----"),
    ("S06", "A-A--"),
    ("S06b", "A-A-A"),
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
    ("S20", "AAAAA"),
    ("S21", "A-AAA"),
    ("S21b", "-----"),
    ("S22", "A-AAA"),
    ("S22b", "-----"),
    ("S23", "AAAAA"),
    ("S23b", "-----"),
    ("S24", "A-AAA"),
    ("S25", "-----"),
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

/// The scenario's id: `S12` for `S12-heal-...`. A simplified test such as `S16s` asks the same as its id;
/// `S12s` asks what S12c asks.
fn id(name: &str) -> &str {
    match name.split('-').next().unwrap() {
        "S12s" => "S12c",
        "S12s2" => "S12",
        id => id.trim_end_matches('s'),
    }
}

fn assembly(path: &Path) -> (String, Model, Outcome) {
    let (code, model) = isa::parse_assembly(&source(path)).unwrap_or_else(|error| panic!("{error}"));
    let outcome =
        model::check(&code, model, Bounds::default()).unwrap_or_else(|error| panic!("{}: {error}", code.name));
    (code.name, model, outcome)
}

#[test]
fn the_kernels_model_says_of_every_scenario_what_it_says_in_herd() {
    for path in files("lkmm") {
        let scenario = catalogue::load_file(&path).unwrap();
        let code = isa::code_for(&scenario.program, Model::Lkmm, Atomics::Lse).unwrap();
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
            // The acquire barrier of the file is isync, as the kernel is compiled. With lwsync, as the kernel runs
            // (S06b-bo-before-lock-patched), the verdict is that of the table.
            let compiled = name == "S06b-bo-before-lock" && model == Model::Power;
            let wanted = if compiled { Verdict::Sometimes } else { published(id(&name), model) };
            assert_eq!(outcome.verdict, wanted, "{folder}/{name}: {:?}", outcome.states);
        }
    }
}

#[test]
fn every_header_says_what_the_models_say() {
    for scenario in catalogue::all().unwrap() {
        for model in COLUMNS {
            let locks = model.arch().map_or(&[Lock::Qspinlock][..], Lock::of);
            for choices in [Atomics::Lse, Atomics::Llsc]
                .into_iter()
                .flat_map(|atomics| locks.iter().map(move |&lock| Choices { atomics, lock }))
            {
                match verdict::judge(&scenario, model, choices, Bounds::default()).unwrap() {
                    Some(outcome) => verdict::agrees(&scenario, model, choices.lock, &outcome).unwrap(),
                    None => assert!(scenario.name.contains("+nt"), "{} is modelled", scenario.name),
                }
            }
        }
    }
}

/// docs/kernel.md, section 7: the ticket lock takes its ticket with a fully ordered atomic, so what stands before the lock
/// is ordered with what stands behind it. Every other verdict is the same with each lock.
#[test]
fn the_ticket_lock_forbids_three_races_and_no_other_lock_matters() {
    let mut differ = Vec::new();
    for scenario in catalogue::all().unwrap() {
        for arch in Arch::ALL {
            let of = |lock| {
                let choices = Choices { atomics: Atomics::Lse, lock };
                verdict::judge(&scenario, Model::of(arch), choices, Bounds::default()).unwrap().map(|o| o.verdict)
            };
            let first = of(Lock::Qspinlock);
            let others = Lock::of(arch).iter().map(|&lock| (lock, of(lock))).filter(|(_, verdict)| *verdict != first);
            differ.extend(others.map(|(lock, verdict)| (id(&scenario.name).to_owned(), arch, lock, first, verdict)));
        }
    }
    let never = |id: &str| {
        let [from, to] = [Verdict::Sometimes, Verdict::Never].map(Some);
        (id.to_owned(), Arch::Riscv64gc, Lock::Ticket, from, to)
    };
    assert_eq!(differ, ["S06b", "S08c", "S17b"].map(never));
}

#[test]
fn the_c_scenarios_get_the_verdicts_of_the_table() {
    let mut rows = Vec::new();
    for scenario in catalogue::all().unwrap() {
        let id = scenario.name.split('-').next().unwrap();
        if !TABLE.iter().any(|(known, _)| *known == id) || scenario.name.contains("+nt") {
            continue;
        }
        for model in COLUMNS {
            let outcome = verdict::judge(&scenario, model, Atomics::Lse, Bounds::default()).unwrap().unwrap();
            assert_eq!(outcome.verdict, published(id, model), "{} on {model}", scenario.name);
        }
        rows.push(id.to_owned());
    }
    rows.dedup();
    assert!(TABLE.iter().all(|(id, _)| rows.iter().any(|row| row == id)), "every row has a scenario: {rows:?}");
}

#[test]
fn an_explanation_is_an_execution_that_fits_its_verdict() {
    for folder in ["lkmm", "aarch64", "ppc"] {
        for path in files(folder) {
            let (code, model) = if folder == "lkmm" {
                let scenario = catalogue::load_file(&path).unwrap();
                (isa::code_for(&scenario.program, Model::Lkmm, Atomics::Lse).unwrap(), Model::Lkmm)
            } else {
                isa::parse_assembly(&source(&path)).unwrap()
            };
            let outcome = model::check(&code, model, Bounds::default()).unwrap();
            let explanation = explain::explain(&code, model, Bounds::default()).unwrap();
            let allowed = matches!(&explanation, Some(found) if matches!(found.reason, Reason::Allowed { .. }));
            assert_eq!(allowed, outcome.verdict != Verdict::Never, "{}", code.name);
            let Some(found) = &explanation else { continue };
            assert!(code.condition.holds(&found.state), "{}", code.name);
            if let Reason::Forbidden { cycle, .. } = &found.reason {
                assert!(cycle.len() >= 2, "{}: {cycle:?}", code.name);
                // Every step of the cycle has an existing event and a label.
                assert!(cycle.iter().all(|(event, label)| found.execution.events.len() > *event && !label.is_empty()));
            }
            let text = explain::text(&code, model, explanation.as_ref());
            assert!(text.contains(if allowed { "allowed" } else { "forbidden" }), "{text}");
            let picture = svg::svg(&code, model, found);
            assert!(picture.starts_with("<svg") && picture.ends_with("</svg>\n"), "{}", code.name);
            assert_eq!(
                picture.matches("<rect").count(),
                found.execution.events.iter().filter(|e| e.thread.is_some()).count()
            );
        }
    }
}

#[test]
fn a_test_that_is_too_large_is_refused_with_the_count() {
    let mut text = String::from("C large\n{}\n");
    for thread in 0..4 {
        let body: String =
            (0..6).map(|i| format!("r{i} = READ_ONCE(*x); WRITE_ONCE(*x, {});", 6 * thread + i + 1)).collect();
        let registers: String = (0..6).map(|i| format!("int r{i}; ")).collect();
        text.push_str(&format!("P{thread}(int *x) {{ {registers}{body} }}\n"));
    }
    text.push_str("exists (x=1)\n");
    let scenario = Scenario::new(&Source::new("large", text), "").unwrap();
    let some = Bounds { candidates: 5_000, ..Bounds::default() };
    let error = verdict::judge(&scenario, Model::Sc, Atomics::Lse, some).unwrap_err().to_string();
    assert!(error.contains("too large to be judged: 5001 partial executions or more"), "{error}");
    // The time of a step depends on the number of events, so operations are counted too.
    let operations = |error: &str| error.contains("too large to be judged: ") && error.contains(" operations or more");
    let some = Bounds { operations: 1_000_000, ..Bounds::default() };
    let error = verdict::judge(&scenario, Model::Sc, Atomics::Lse, some).unwrap_err().to_string();
    assert!(operations(&error), "{error}");
    let ifs: String = (0..16).map(|value| format!("if (r0 == {value}) r1 = 1;")).collect();
    let text = format!("C ways\n{{}}\nP0(int *x) {{ int r0 = READ_ONCE(*x); int r1; {ifs} }}\nexists (x=1)");
    let scenario = Scenario::new(&Source::new("ways", text), "").unwrap();
    let error = verdict::judge(&scenario, Model::Sc, Atomics::Lse, Bounds::default()).unwrap_err().to_string();
    assert!(error.contains("too large to be judged: 50001 ways for one thread to run"), "{error}");
    let few = Bounds { operations: 1_000_000, ..Bounds::default() };
    let error = verdict::judge(&scenario, Model::Sc, Atomics::Lse, few).unwrap_err().to_string();
    assert!(operations(&error), "{error}");
    let sb = catalogue::named("SB").unwrap();
    let few = Bounds { candidates: 3, ..Bounds::default() };
    let error = verdict::judge(&sb, Model::Sc, Atomics::Lse, few).unwrap_err().to_string();
    assert!(error.contains("SB, SC: too large to be judged: 4 partial executions or more"), "{error}");
}

#[test]
fn assembly_that_is_wrong_is_an_error_at_its_place() {
    let cases = [
        (
            "AArch64 t\n{ 0:X1=x; }\n P0 ;\n FROB W0,[X1] ;\nexists (0:X0=1)\n",
            "`FROB W0,[X1]` is not a supported instruction",
            "4:",
        ),
        ("AArch64 t\n{ 0:Q1=x; }\n P0 ;\n LDR W0,[X1] ;\nexists (0:X0=1)\n", "this is not a register", "2:"),
        ("AArch64 t\n{ 3:X1=x; }\n P0 ;\n LDR W0,[X1] ;\nexists (0:X0=1)\n", "there is no such thread", "2:"),
        (
            "AArch64 t\n{ x y:X1=x; }\n P0 ;\n NOP ;\nexists (0:X0=1)\n",
            "expected the number of a thread before `:`",
            "2:",
        ),
        ("AArch64 t\n{ }\n P0 ;\n NOP ;\nexists (4:X0=1)\n", "there is no thread 4", "5:"),
        ("PPC t\n{ }\n P0 | P1 ;\n li r1,1 | li r1,1 | li r1,1 ;\nexists (0:r1=1)\n", "this line has 3 columns", "3:"),
        ("RISCV t\n P0 ;\nexists (0:x1=1)\n", "no `{ ... }` with initial values", "1:"),
        ("RISCV t\n{}\n P0 ;\nL: nop ;\n beq x0,x0,M ;\nexists (0:x1=1)\n", "P0 has no label `M`", "5:"),
    ];
    for (text, message, line) in cases {
        let error = isa::parse_assembly(&Source::new("t.litmus", text)).unwrap_err().to_string();
        assert!(error.contains(message) && error.contains(&format!("t.litmus:{line}")), "{error}");
    }
}

/// Whatever the file contains, the result is a verdict or an error.
#[test]
fn damaged_assembly_never_panics() {
    let mut seed = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = move |below: usize| {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        (seed % below as u64) as usize
    };
    let few = Bounds { candidates: 20_000, traces: 2_000, ..Bounds::default() };
    let texts: Vec<String> = ["x86", "aarch64", "aarch64-llsc", "ppc", "riscv"]
        .into_iter()
        .flat_map(files)
        .map(|path| fs::read_to_string(path).unwrap())
        .collect();
    for _ in 0..3000 {
        let mut bytes = texts[next(texts.len())].clone().into_bytes();
        for _ in 0..1 + next(4) {
            let at = next(bytes.len().max(1)).min(bytes.len().saturating_sub(1));
            if bytes.is_empty() {
                break;
            }
            match next(3) {
                0 => drop(bytes.remove(at)),
                1 => bytes[at] = b"01xX,;|:[](){}= \nr$%"[next(20)],
                _ => bytes.truncate(at.max(1)),
            }
        }
        let Ok(text) = String::from_utf8(bytes) else { continue };
        if let Ok((code, model)) = isa::parse_assembly(&Source::new("damaged", text)) {
            let _ = model::check(&code, model, few);
            let _ = explain::explain(&code, model, few);
        }
    }
}

#[test]
fn final_states_take_memory() {
    let sb = catalogue::named("SB").unwrap();
    let bounds = |bytes| Bounds { bytes, ..Bounds::default() };
    let judge =
        |bytes| verdict::judge(&sb, Model::Lkmm, Atomics::Lse, bounds(bytes)).map_err(|error| error.to_string());
    let enough = (1..100).map(|kilobytes| 100 * kilobytes).find(|bytes| judge(*bytes).is_ok()).unwrap();
    let error = judge(enough - 100).unwrap_err();
    assert!(error.contains("bytes for the ways to run and the final states or more"), "{error}");
    assert!(judge(100).unwrap_err().contains("bytes for the ways to run or more"));
}

/// A judgement takes as many operations as there are pairs of events: 36, as SB has 6 events with the initial writes. There is one
/// for each of the 4 states.
#[test]
fn judgements_take_operations() {
    let sb = catalogue::named("SB").unwrap();
    let judge = |operations| {
        let bounds = Bounds { operations, ..Bounds::default() };
        verdict::judge(&sb, Model::Lkmm, Atomics::Lse, bounds).is_ok()
    };
    let least = (1..).find(|operations| judge(*operations)).unwrap();
    assert!((350..450).contains(&least), "{least}");
}

#[test]
fn a_limit_above_the_default_raises_every_bound() {
    let known = Bounds::default();
    assert_eq!(Bounds::of_limit(7), Bounds { candidates: 7, ..known });
    let twice = 2 * known.candidates;
    let (operations, bytes) = (2 * known.operations, 2 * known.bytes);
    let raised = Bounds { traces: twice as usize, candidates: twice, operations, bytes };
    assert_eq!(Bounds::of_limit(twice), raised);
}

/// Among the executions that no model allows, a variable may hold the address of another one, and an increment computes with it.
#[test]
fn what_no_execution_ends_with_is_explained_beside_pointers() {
    let text = "C t\n{ int *pp=&x; }\nP0(int *x) { atomic_inc(x); }\nexists (x=5)\n";
    let scenario = Scenario::new(&Source::new("t", text), "").unwrap();
    for model in [Model::Lkmm, Model::Armv8] {
        let code = isa::code_for(scenario.judged(), model, Atomics::Lse).unwrap();
        let explanation = explain::explain(&code, model, Bounds::default()).unwrap();
        assert!(explanation.is_none(), "{model}");
    }
}

/// The address computed with in P1 is read only behind message passing that fails, which the barriers forbid.
#[test]
fn what_only_a_forbidden_execution_computes_is_no_reason_to_refuse() {
    let text = "C t\n{ int *p=&x; int d; }\nP0(int *a, int *b) { WRITE_ONCE(*a, 1); smp_mb(); WRITE_ONCE(*b, 1); }\n\
        P1(int *a, int *b, int *c, int **p, int *d) { int r0; int r1; int r2; int *r3; r1 = READ_ONCE(*b); smp_mb(); \
        r0 = READ_ONCE(*a); if (r1 == 1) { if (r0 == 0) { r2 = READ_ONCE(*c); r3 = READ_ONCE(*p); \
        WRITE_ONCE(*d, r3 + r2); } } }\nP2(int *c, int **p, int *y) { WRITE_ONCE(*c, 1); WRITE_ONCE(*p, y); }\nexists (d=1)\n";
    let of = |text: &str| {
        let scenario = Scenario::new(&Source::new("t", text), "").unwrap();
        let code = isa::code_for(scenario.judged(), Model::Lkmm, Atomics::Lse).unwrap();
        model::check(&code, Model::Lkmm, Bounds::default())
    };
    let outcome = of(text).unwrap();
    assert_eq!((outcome.verdict, outcome.states.len()), (Verdict::Never, 1));
    // Without the barriers it is executed.
    assert!(of(&text.replace("smp_mb();", "")).unwrap_err().to_string().contains("computes with an address"));
}
