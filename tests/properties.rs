//! Properties of the memory models on random tests, and a check that this host's outcomes are within its
//! architecture's model.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use proptest::prelude::*;
use wakerace::arch::{Arch, Atomics};
use wakerace::catalogue;
use wakerace::isa;
use wakerace::model::code::{Code, CodeThread, Step};
use wakerace::model::event::Tags;
use wakerace::model::{self, Bounds, Model, explain};
use wakerace::program::{Address, Column, Const, Operand, Prop, Quantifier, Type};

/// An access of a random test: whether it is a write, which of three locations it accesses, and the value
/// that a write stores.
type Access = (bool, usize, i64);

/// Makes a test without barriers. Every read has its own register. A final state holds all registers and all
/// locations.
fn code(threads: &[Vec<Access>]) -> Code {
    let mut columns: Vec<Column> = (0..3).map(Column::Location).collect();
    let threads = (threads.iter().enumerate())
        .map(|(thread, accesses)| {
            let mut steps = Vec::new();
            for (register, (writes, location, value)) in accesses.iter().enumerate() {
                let (address, ty, tags) = (Address::Location(*location), Type::INT, Tags::NONE);
                if *writes {
                    let value = Operand::Const(Const::Int(*value));
                    steps.push(Step::Write { address, value, ty, tags });
                } else {
                    steps.push(Step::Read { dst: Some(register), address, ty, tags });
                }
                columns.push(Column::Register { thread, register });
            }
            let names = (0..accesses.len()).map(|register| format!("r{register}")).collect();
            CodeThread {
                registers: vec![Const::Int(0); accesses.len()],
                names,
                steps,
                scoped: false,
                expressions: Vec::new(),
            }
        })
        .collect();
    Code {
        elements: Vec::new(),
        arrays: Vec::new(),
        alone: Vec::new(),
        displayed: Vec::new(),
        name: "random".to_owned(),
        names: ["x", "y", "z"].map(str::to_owned).to_vec(),
        init: vec![Const::Int(0); 3],
        bytes: None,
        threads,
        columns,
        types: Vec::new(),
        quantifier: Quantifier::Exists,
        condition: Prop::Const(true),
        filter: None,
    }
}

fn states(code: &Code, model: Model) -> BTreeSet<Vec<Const>> {
    model::check(code, model, Bounds::default()).unwrap().states
}

fn accesses() -> impl Strategy<Value = Vec<Vec<Access>>> {
    prop::collection::vec(prop::collection::vec((any::<bool>(), 0usize..3, 1i64..3), 1..4), 2..4)
}

/// The barriers of a model, strongest first.
fn barriers(model: Model) -> &'static [Tags] {
    match model {
        Model::Lkmm => &[Tags::MB, Tags::RMB, Tags::WMB],
        Model::Sc => &[],
        Model::X86Tso => &[Tags::MFENCE],
        Model::Armv8 => &[Tags::DMB_FULL, Tags::DMB_LD, Tags::DMB_ST, Tags::ISYNC],
        Model::Power => &[Tags::SYNC, Tags::LWSYNC, Tags::EIEIO, Tags::ISYNC],
        Model::Rvwmo => &[Tags::FENCE_RW_RW, Tags::FENCE_RW_W, Tags::FENCE_R_RW, Tags::FENCE_R_R, Tags::FENCE_W_W],
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, ..ProptestConfig::default() })]

    #[test]
    fn without_barriers_weaker_models_allow_more(threads in accesses()) {
        let code = code(&threads);
        let all = Model::ALL.map(|model| (model, states(&code, model)));
        let of = |model| &all.iter().find(|(known, _)| *known == model).unwrap().1;
        let chains = [
            (Model::Sc, Model::X86Tso),
            (Model::X86Tso, Model::Armv8),
            (Model::X86Tso, Model::Rvwmo),
            (Model::Armv8, Model::Lkmm),
            (Model::Rvwmo, Model::Lkmm),
            (Model::Power, Model::Lkmm),
            (Model::Armv8, Model::Power),
        ];
        prop_assert!(!of(Model::Sc).is_empty());
        for (strong, weak) in chains {
            let extra: Vec<_> = of(strong).difference(of(weak)).collect();
            prop_assert!(extra.is_empty(), "{strong} allows what {weak} forbids: {extra:?}");
        }
    }

    #[test]
    fn a_barrier_adds_no_outcome_and_full_ones_leave_only_those_of_sc(threads in accesses(), at in 0usize..3, thread in 0usize..3) {
        let plain = code(&threads);
        let sequential = states(&plain, Model::Sc);
        for model in Model::ALL {
            let before = states(&plain, model);
            for tags in barriers(model) {
                let mut fenced = plain.clone();
                let thread = thread % fenced.threads.len();
                let steps = &mut fenced.threads[thread].steps;
                steps.insert(at.min(steps.len()), Step::Fence(*tags));
                let after = states(&fenced, model);
                prop_assert!(after.is_subset(&before), "{model} with {tags:?}");
            }
            if let Some(full) = barriers(model).first() {
                let mut fenced = plain.clone();
                for thread in &mut fenced.threads {
                    thread.steps = thread.steps.drain(..).flat_map(|step| [step, Step::Fence(*full)]).collect();
                }
                prop_assert_eq!(&states(&fenced, model), &sequential, "{} with full barriers everywhere", model);
            }
        }
    }

    #[test]
    fn names_and_the_order_of_threads_change_nothing(threads in accesses()) {
        let plain = code(&threads);
        // The second test has its locations rotated and its threads in reverse order. Its states are then
        // mapped back.
        let turned: Vec<Vec<Access>> = threads.iter().rev()
            .map(|accesses| accesses.iter().map(|(w, location, value)| (*w, (location + 1) % 3, *value)).collect())
            .collect();
        let turned = code(&turned);
        let last = threads.len() - 1;
        let back: Vec<usize> = plain.columns.iter().map(|column| {
            let wanted = match *column {
                Column::Location(location) => Column::Location((location + 1) % 3),
                Column::Register { thread, register } => Column::Register { thread: last - thread, register },
            };
            turned.columns.iter().position(|known| *known == wanted).unwrap()
        }).collect();
        for model in Model::ALL {
            let put_back: BTreeSet<Vec<Const>> =
                states(&turned, model).iter().map(|state| back.iter().map(|at| state[*at]).collect()).collect();
            prop_assert_eq!(&states(&plain, model), &put_back, "{}", model);
        }
    }
}

#[test]
fn no_outcome_of_a_scenario_on_this_host_lies_outside_of_its_model() {
    let Some(arch) = Arch::host() else { return };
    let binary = env!("CARGO_BIN_EXE_wakerace");
    let runner = std::env::var_os("WAKERACE_RUNNER");
    let mut command = Command::new(runner.as_deref().unwrap_or(binary.as_ref()));
    command.args(runner.is_some().then_some(binary));
    let none = concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml/none");
    let output = command
        .envs(["XDG_CACHE_HOME", "XDG_CONFIG_HOME"].map(|variable| (variable, none)))
        .arg("run")
        .args(catalogue::GROUPS)
        .args(["-n", "100000", "--no-save", "-q"])
        .args(["--no-controls", "--oversubscribe", "--export-json", "-"])
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let start = text.find('{').expect("a record");
    let mut documents = serde_json::Deserializer::from_str(&text[start..]).into_iter::<serde_json::Value>();
    let record = documents.next().unwrap().unwrap();
    let mut compared = 0;
    for result in record["results"].as_array().unwrap() {
        let scenario = catalogue::named(result["scenario"].as_str().unwrap()).unwrap();
        let Ok(code) = isa::code_for(&scenario.program, Model::of(arch), Atomics::of_host()) else { continue };
        let allowed: BTreeSet<BTreeMap<String, String>> = states(&code, Model::of(arch))
            .iter()
            .map(|state| {
                let pairs = explain::end(&code, state);
                pairs.split(' ').filter_map(|pair| pair.split_once('=')).map(|(k, v)| (k.into(), v.into())).collect()
            })
            .collect();
        for outcome in result["outcomes"].as_array().unwrap() {
            let values: BTreeMap<String, String> = outcome["values"]
                .as_object()
                .unwrap()
                .iter()
                .map(|(name, value)| (name.clone(), value.as_str().map_or_else(|| value.to_string(), str::to_owned)))
                .collect();
            assert!(allowed.contains(&values), "{} showed {values:?}, allowed are {allowed:?}", scenario.name);
            compared += 1;
        }
    }
    assert!(compared > 50, "only {compared} outcomes compared:\n{text}");
}
