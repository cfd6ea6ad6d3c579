//! The tables of primitives are what is emitted, what the models see, and what docs/primitives.md shows.

mod common;

use std::collections::BTreeSet;

use common::mnemonics::mnemonic;
use common::targets::TARGETS;
use common::wakerace;
use wakerace::arch::Arch;
use wakerace::codegen::{Pace, Part, Target, disassemble};
use wakerace::isa::primitives::{Primitive, TSV_HEADER, Variant};
use wakerace::isa::{self, emit};
use wakerace::layout::{Layout, LayoutKind};
use wakerace::litmus::primitive::{self, Arg};
use wakerace::model::Model;
use wakerace::model::code::{Change, Step};
use wakerace::model::event::Tags;
use wakerace::program::Program;

/// A test whose only operation is this primitive.
fn program(name: &str, bits: Option<u8>) -> Program {
    let found = primitive::find(name).unwrap_or_else(|| panic!("no primitive has the name {name}"));
    let wide = bits == Some(64);
    let (result, place, mut values) = if wide { ("s", "y", ["t", "u"].iter()) } else { ("r", "x", ["v", "w"].iter()) };
    let lock = name.contains("spin") && !found.args.is_empty();
    let place = if lock {
        "l"
    } else if found.atomic_bits.is_some() {
        "a"
    } else {
        place
    };
    let args: Vec<String> = (found.args.iter())
        .map(|arg| match arg {
            Arg::Place => format!("*{place}"),
            Arg::Pointer => place.to_owned(),
            Arg::Value => (*values.next().unwrap()).to_owned(),
        })
        .collect();
    let assigned = if found.has_value() { format!("{result} = ") } else { String::new() };
    let text = format!(
        "C {name}\n{{}}\nP0(int *x, long *y, spinlock_t *l, atomic_t *a) {{ int r; int v; int w; long s; long t; long u; \
         {assigned}{name}({}); }}\nexists (x=1)",
        args.join(", ")
    );
    let program = common::program(&text);
    assert_eq!(program.threads[0].ops.len(), 1, "{name}: {:?}", program.threads[0].ops);
    program
}

fn of(target: Target, row: &Primitive) -> bool {
    row.variant.has(target.choices())
}

/// The events of a program's only operation, in the notation of the tables.
fn events(program: &Program, target: Target) -> String {
    let Ok(code) = isa::code_for(program, Model::of(target.arch), target.choices()) else {
        return "not modelled".to_owned();
    };
    let event = |kind: char, tags: Tags| {
        let words = tags.words();
        if words.is_empty() { kind.to_string() } else { format!("{kind}[{words}]") }
    };
    let (mut done, mut failed) = (Vec::new(), None);
    for step in &code.threads[0].steps {
        match step {
            Step::Read { tags, .. } => done.push(event('R', *tags)),
            Step::Write { tags, .. } => done.push(event('W', *tags)),
            Step::Fence(tags) => done.push(event('F', *tags)),
            Step::Update(update) => {
                if matches!(update.change, Change::IfEqual { .. }) && !update.until_done {
                    failed = Some([done.clone(), vec![event('R', update.failed)]].concat().join("; "));
                }
                done.extend([event('R', update.read), event('W', update.write)]);
                done.extend(update.after.map(|tags| event('F', tags)));
            }
            // spin_is_locked compares the value.
            Step::Binary { .. } => {}
            other => panic!("{}: {other:?}", program.name),
        }
    }
    failed.map_or_else(|| done.join("; "), |failed| format!("{} else {failed}", done.join("; ")))
}

#[test]
fn every_row_is_what_is_emitted() {
    for (column, target) in TARGETS {
        for row in isa::primitives(target.arch).iter().filter(|row| of(target, row)) {
            let program = program(row.name, row.bits);
            let layout = Layout::new(LayoutKind::Padded, &program, 128).unwrap();
            for pace in [Pace::Free, Pace::Paced] {
                let code = emit(target, &program, &layout, pace).unwrap();
                let own = disassemble(&code[0]).unwrap().into_iter().filter(|i| i.part == Part::Op(0));
                let found: Vec<String> = own.filter_map(|i| mnemonic(target.arch, &i.text)).collect();
                assert_eq!(found.join("; "), row.instructions, "{} with {:?} bits on {column}", row.name, row.bits);
            }
        }
    }
}

#[test]
fn every_row_is_what_the_models_see() {
    for (column, target) in TARGETS {
        for row in isa::primitives(target.arch).iter().filter(|row| of(target, row)) {
            let found = events(&program(row.name, row.bits), target);
            assert_eq!(found, row.events, "{} with {:?} bits on {column}", row.name, row.bits);
        }
    }
}

/// The names and widths of all primitives: those that diagnostics suggest, and the atomic_t family.
fn all() -> BTreeSet<(String, Option<u8>)> {
    let mut all = BTreeSet::new();
    for name in primitive::names() {
        let found = primitive::find(name).unwrap();
        // The same operations under another name.
        let alias = ["rcu_dereference", "rcu_assign_pointer", "atomic_read", "atomic_set"].contains(&name);
        // A loop of READ_ONCE and cmpxchg.
        if alias || name.contains("unless") || name.contains("not_zero") {
            continue;
        }
        let fence = found.args.is_empty();
        all.insert((name.to_owned(), (!fence).then_some(32)));
        if !fence && !name.contains("spin") && found.atomic_bits.is_none() {
            all.insert((name.to_owned(), Some(64)));
        }
    }
    for op in ["add", "sub", "and", "or", "xor", "andnot", "inc", "dec"] {
        let own = |name: &String| primitive::find(name).is_some();
        let mut add = |name: String| all.insert((name, Some(32)));
        let plain = [format!("atomic_{op}"), format!("atomic_{op}_and_test"), format!("atomic_{op}_negative")];
        plain.into_iter().filter(own).for_each(|name| _ = add(name));
        // The kernel makes these from add and sub.
        if matches!(op, "inc" | "dec") {
            continue;
        }
        for order in ["", "_relaxed", "_acquire", "_release"] {
            let ordered = [format!("atomic_fetch_{op}{order}"), format!("atomic_{op}_return{order}")];
            ordered.into_iter().filter(own).for_each(|name| _ = add(name));
        }
    }
    all
}

#[test]
fn every_primitive_has_one_row_on_every_architecture() {
    for (column, target) in TARGETS {
        let mut rows = BTreeSet::new();
        for row in isa::primitives(target.arch).iter().filter(|row| of(target, row)) {
            assert!(rows.insert((row.name.to_owned(), row.bits)), "{} twice on {column}", row.name);
        }
        let mut wanted = all();
        if target.arch != Arch::X86_64 {
            wanted.retain(|(name, _)| name != "__builtin_nontemporal_store");
        }
        assert_eq!(rows, wanted, "{column}");
    }
}

#[test]
fn a_variant_differs_from_the_others() {
    for arch in Arch::ALL {
        let rows = isa::primitives(arch);
        for row in rows.iter().filter(|row| row.variant != Variant::Any) {
            let other =
                |other: &&Primitive| (other.name, other.bits) == (row.name, row.bits) && other.variant != row.variant;
            let other = rows.iter().find(other).unwrap_or_else(|| panic!("{} has one variant", row.name));
            assert_ne!((other.instructions, other.events), (row.instructions, row.events), "{}", row.name);
        }
    }
}

#[test]
fn the_table_is_printed_whole_or_for_one_architecture() {
    let printed = |args: &[&str]| {
        let output = wakerace().args(["show", "--primitives"]).args(args).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    let lines = |archs: &[Arch]| {
        let rows = archs.iter().flat_map(|&arch| isa::primitives(arch).iter().map(move |row| row.tsv(arch)));
        let all: Vec<String> = [TSV_HEADER.to_owned()].into_iter().chain(rows).collect();
        format!("{}\n", all.join("\n"))
    };
    assert_eq!(printed(&[]), lines(&Arch::ALL));
    assert_eq!(printed(&["--arch", "riscv64gc"]), lines(&[Arch::Riscv64gc]));
    let columns = TSV_HEADER.split('\t').count();
    assert!(lines(&Arch::ALL).lines().all(|line| line.split('\t').count() == columns && !line.contains("\t\t")));
    let refused = wakerace().args(["show", "SB", "--primitives"]).output().unwrap();
    assert_eq!(refused.status.code(), Some(2), "{refused:?}");
    let missing = wakerace().arg("show").output().unwrap();
    assert_eq!(missing.status.code(), Some(2), "{missing:?}");
}

/// The tables of docs/primitives.md: instructions, then events.
fn tables() -> String {
    let mut names: Vec<(&str, Option<u8>)> = Vec::new();
    for row in Arch::ALL.into_iter().flat_map(isa::primitives) {
        if !names.contains(&(row.name, row.bits)) {
            names.push((row.name, row.bits));
        }
    }
    let table = |field: fn(&Primitive) -> &'static str| {
        let mut text = "| primitive | bits |".to_owned();
        text.extend(TARGETS.map(|(column, _)| format!(" {column} |")));
        text += &format!("\n|---|---|{}\n", "---|".repeat(TARGETS.len()));
        for (name, bits) in &names {
            text += &format!("| `{name}` | {} |", bits.map_or_else(String::new, |bits| bits.to_string()));
            for (_, target) in TARGETS {
                let mut rows = isa::primitives(target.arch).iter();
                let row = rows.find(|row| (row.name, row.bits) == (name, *bits) && of(target, row));
                text += &match row.map(field) {
                    None => " not supported |".to_owned(),
                    Some("") => " none |".to_owned(),
                    Some("not modelled") => " not modelled |".to_owned(),
                    Some(field) => format!(" `{field}` |"),
                };
            }
            text.push('\n');
        }
        text
    };
    format!("### Instructions\n\n{}\n### Events\n\n{}", table(|row| row.instructions), table(|row| row.events))
}

/// With UPDATE_DOCS=1 in the environment, this test writes the tables instead of comparing them.
#[test]
fn the_document_shows_the_tables() {
    common::section("primitives", &tables());
}
