//! The emitted code against the kernel's own text: tests/primitives/kernel.tsv, which scripts/kernel-primitives reads
//! from Debian's kernel headers.

mod common;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use common::mnemonics::mnemonic;
use common::targets::TARGETS;
use wakerace::arch::Arch;
use wakerace::codegen::{Pace, Part, Target, disassemble};
use wakerace::isa::emit;
use wakerace::layout::{Layout, LayoutKind};
use wakerace::litmus::primitive::{self, Arg};
use wakerace::program::Program;

/// A difference that stays.
struct Explained {
    /// Whether it is about this row, given what is emitted for it.
    covers: fn(&Row, &str) -> bool,
    /// A row that it is about: the architecture and the primitive.
    example: (Arch, &'static str),
    reason: &'static str,
}

const EXPLAINED: &[Explained] = &[
    Explained {
        covers: |row, _| row.primitive.starts_with("rcu_read_"),
        example: (Arch::Aarch64, "rcu_read_lock"),
        reason: "Debian's kernels are preemptible (CONFIG_PREEMPT_RCU): a counter of the current task, which no other CPU \
                 reads, is changed. wakerace emits what a kernel without preemption has: nothing.",
    },
    Explained {
        covers: |row, emitted| {
            let steps = row.primitive.contains("inc") || row.primitive.contains("dec");
            row.arch == Arch::Powerpc64le && steps && without_arithmetic(emitted) == without_arithmetic(&row.running)
        },
        example: (Arch::Powerpc64le, "atomic_inc"),
        reason: "The kernel adds the constant 1 or -1 as an immediate operand (addic). wakerace has the constant in a \
                 register. The accesses, the barriers and the dependencies are the same.",
    },
    Explained {
        covers: |row, _| {
            let unless = row.primitive.ends_with("_unless") || row.primitive.ends_with("_not_zero");
            matches!(row.arch, Arch::Powerpc64le | Arch::Riscv64gc) && unless
        },
        example: (Arch::Powerpc64le, "atomic_add_unless"),
        reason: "The kernel has one loop of load-reserved and store-conditional here. wakerace emits the loop of the other \
                 architectures (include/linux/atomic/atomic-arch-fallback.h): READ_ONCE, a branch, cmpxchg. On POWER the \
                 kernel also executes its first sync if nothing is added.",
    },
];

fn without_arithmetic(tokens: &str) -> String {
    let other = |token: &&str| !["add", "addc", "addic", "subf", "subfc"].contains(token);
    tokens.split('/').filter(other).collect::<Vec<_>>().join("/")
}

/// A row of tests/primitives/kernel.tsv.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Row {
    arch: Arch,
    primitive: String,
    bytes: u8,
    /// The choices that the row is for, for example `atomics=lse`. Empty if it is for all of them.
    choices: BTreeMap<String, String>,
    place: String,
    compiled: String,
    running: String,
}

fn table() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/primitives/kernel.tsv")
}

/// The line that names the headers, and the rows.
fn rows() -> (String, Vec<Row>) {
    let text = fs::read_to_string(table()).unwrap();
    let mut lines = text.lines();
    let headers = lines.next().unwrap().trim_start_matches("# ").to_owned();
    assert_eq!(lines.next(), Some("arch\tprimitive\tbytes\tchoice\twhere\tcompiled\trunning"));
    let empty = |text: &str| if text == "-" { String::new() } else { text.to_owned() };
    let row = |line: &str| {
        let fields: Vec<&str> = line.split('\t').collect();
        let [arch, primitive, bytes, choices, place, compiled, running] = fields[..] else { panic!("{line}") };
        let choices = empty(choices);
        let pairs = choices.split(',').filter(|pair| !pair.is_empty());
        Row {
            arch: arch.parse().unwrap(),
            primitive: primitive.to_owned(),
            bytes: bytes.parse().unwrap(),
            choices: pairs
                .map(|pair| pair.split_once('=').map(|(key, value)| (key.to_owned(), value.to_owned())).unwrap())
                .collect(),
            place: place.to_owned(),
            compiled: empty(compiled),
            running: empty(running),
        }
    };
    (headers, lines.map(row).collect())
}

/// The targets that a row is about; none if wakerace does not offer its choice.
fn targets(row: &Row) -> Vec<Target> {
    let chosen = |target: &Target| {
        let atomics = match target.arch {
            Arch::Riscv64gc => "lrsc".to_owned(),
            _ => target.atomics.to_string(),
        };
        let lock = row.choices.get("lock").is_none_or(|lock| lock.parse() == Ok(target.lock));
        target.arch == row.arch && lock && row.choices.get("atomics").is_none_or(|name| *name == atomics)
    };
    TARGETS.into_iter().map(|(_, target)| target).filter(chosen).collect()
}

/// A test that only calls a primitive.
fn program(name: &str, bytes: u8) -> Program {
    let found = primitive::find(name).unwrap_or_else(|| panic!("no primitive has the name {name}"));
    let (variable, kind) = match bytes {
        0 => ("", "int"),
        _ if name.starts_with("rcu_") => ("long **x", "long *"),
        _ if name.contains("spin_") => ("spinlock_t *x", "int"),
        8 if name.starts_with("atomic64_") => ("atomic64_t *x", "long"),
        4 if name.starts_with("atomic_") => ("atomic_t *x", "int"),
        1 => ("u8 *x", "u8"),
        2 => ("u16 *x", "u16"),
        4 => ("int *x", "int"),
        8 => ("long *x", "long"),
        _ => panic!("{name} has {bytes} bytes"),
    };
    let mut values = ["v", "w"].iter();
    let args: Vec<&str> = (found.args.iter())
        .map(|arg| match arg {
            Arg::Place => "*x",
            Arg::Pointer => "x",
            Arg::Value => values.next().unwrap(),
        })
        .collect();
    let assigned = if found.has_value() { "r = " } else { "" };
    let text = format!(
        "C {name}\n{{}}\nP0({variable}) {{ {kind} r; {kind} v; {kind} w; {assigned}{name}({}); }}\nexists (0:r=0)",
        args.join(", ")
    );
    common::program(&text)
}

/// Whether an instruction is a conditional branch.
fn is_branch(arch: Arch, name: &str) -> bool {
    match arch {
        Arch::X86_64 => name.starts_with('j') && name != "jmp",
        Arch::Aarch64 => ["b.", "cb", "tb"].iter().any(|start| name.starts_with(start)),
        Arch::Powerpc64le | Arch::Riscv64gc => name.starts_with('b') && name != "b",
    }
}

fn stores_conditionally(name: &str) -> bool {
    ["stxr", "stlxr", "stwcx.", "stdcx."].contains(&name) || name.starts_with("sc.")
}

/// The accesses to memory, barriers and branches of an emitted primitive, in the notation of the table. Between a
/// load-reserved and its store-conditional every instruction counts. A branch behind the last access or barrier counts
/// only if it repeats a store-conditional.
fn tokens(target: Target, program: &Program) -> String {
    let layout = Layout::new(LayoutKind::Padded, program, 128).unwrap();
    let code = emit(target, program, &layout, Pace::Paced).unwrap();
    let instructions = disassemble(&code[0]).unwrap();
    let own = instructions.iter().filter(|instruction| matches!(instruction.part, Part::Op(_)));
    let (mut kept, mut reserved): (Vec<(String, bool)>, bool) = (Vec::new(), false);
    for instruction in own {
        let Some(name) = mnemonic(target.arch, &instruction.text) else { continue };
        let first = name.split(' ').next().unwrap();
        let barrier =
            matches!(first, "dmb" | "dsb" | "sync" | "lwsync" | "isync" | "fence" | "mfence" | "lfence" | "sfence");
        let memory = match target.arch {
            Arch::X86_64 => instruction.text.contains('['),
            Arch::Aarch64 => instruction.text.contains('['),
            Arch::Powerpc64le => instruction.text.contains('(') || name.contains("arx") || name.ends_with("cx."),
            Arch::Riscv64gc => instruction.text.contains('('),
        };
        let branch = is_branch(target.arch, first);
        if memory || barrier || branch || reserved {
            kept.push((name.clone(), branch));
        }
        let reserves = ["ldxr", "ldaxr", "lwarx", "ldarx", "lr.w", "lr.d"].contains(&first);
        reserved = reserves || reserved && !stores_conditionally(first);
    }
    while let [.., (before, _), (_, true)] = &kept[..]
        && !stores_conditionally(before)
    {
        kept.pop();
    }
    kept.into_iter().map(|(name, _)| name).collect::<Vec<_>>().join("/")
}

/// What is emitted for a row: one entry per target.
fn emitted(row: &Row) -> BTreeSet<String> {
    let program = program(&row.primitive, row.bytes);
    targets(row).into_iter().map(|target| tokens(target, &program)).collect()
}

/// How a row compares with the emitted code.
enum Finding {
    Same,
    /// wakerace does not offer the choice that the row is for.
    NotOffered,
    /// It differs, with the number of the explanation.
    Explained(String, usize),
    /// It differs without an explanation.
    Differs(String),
}

fn finding(row: &Row) -> Finding {
    compare(row, emitted(row))
}

fn compare(row: &Row, emitted: BTreeSet<String>) -> Finding {
    if emitted.is_empty() {
        return Finding::NotOffered;
    }
    let Some(other) = emitted.into_iter().find(|tokens| *tokens != row.running) else { return Finding::Same };
    match EXPLAINED.iter().position(|explained| (explained.covers)(row, &other)) {
        Some(number) => Finding::Explained(other, number),
        None => Finding::Differs(other),
    }
}

#[test]
fn every_primitive_is_what_the_kernels_text_becomes() {
    let mut wrong = String::new();
    for row in rows().1 {
        if let Finding::Differs(emitted) = finding(&row) {
            let Row { arch, primitive, bytes, choices, running, .. } = row;
            wrong += &format!("{arch} {primitive} {bytes} {choices:?}\n  kernel:  {running}\n  emitted: {emitted}\n");
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

#[test]
fn every_explanation_is_about_a_difference() {
    let rows = rows().1;
    for (number, Explained { example: (arch, primitive), .. }) in EXPLAINED.iter().enumerate() {
        let row = rows.iter().find(|row| row.arch == *arch && row.primitive == *primitive).unwrap();
        assert!(matches!(finding(row), Finding::Explained(_, found) if found == number), "{arch} {primitive}");
    }
}

/// A comparison that notices nothing is worth nothing: each row is changed in one place.
#[test]
fn a_wrong_row_is_noticed() {
    let mut changed = 0;
    for row in rows().1 {
        let emitted = emitted(&row);
        if !matches!(compare(&row, emitted.clone()), Finding::Same) {
            continue;
        }
        let words: Vec<&str> = row.running.split('/').filter(|word| !word.is_empty()).collect();
        let mut others = vec![format!("{}/isb", row.running)];
        others.extend((0..words.len()).map(|at| {
            let mut fewer = words.clone();
            fewer.remove(at);
            fewer.join("/")
        }));
        others.push(row.running.replace("lwsync", "isync").replace("casa", "cas").replace(".aqrl", ".rl"));
        for running in others.into_iter().filter(|running| *running != row.running) {
            let wrong = Row { running, ..row.clone() };
            assert!(!matches!(compare(&wrong, emitted.clone()), Finding::Same), "{wrong:?}");
            changed += 1;
        }
    }
    assert!(changed > 2000, "{changed}");
}

/// The names that a test may call: those that diagnostics suggest, and the atomic families.
fn names() -> BTreeSet<(String, u8)> {
    let mut names = BTreeSet::new();
    let mut add = |name: &str| {
        let Some(found) = primitive::find(name) else { return };
        match (found.args.is_empty(), found.atomic_bits) {
            (true, _) => names.insert((name.to_owned(), 0)),
            (_, Some(bits)) => names.insert((name.to_owned(), bits / 8)),
            _ if name.contains("spin") => names.insert((name.to_owned(), 4)),
            _ if name.starts_with("rcu_") => names.insert((name.to_owned(), 8)),
            _ => [4, 8].map(|bytes| names.insert((name.to_owned(), bytes)))[0],
        };
    };
    primitive::names().filter(|name| !name.starts_with("__builtin")).for_each(&mut add);
    for family in ["atomic_", "atomic64_"] {
        for word in ["read", "read_acquire", "set", "set_release", "add_unless", "fetch_add_unless", "inc_not_zero"] {
            add(&format!("{family}{word}"));
        }
        for order in ["", "_relaxed", "_acquire", "_release"] {
            add(&format!("{family}xchg{order}"));
            add(&format!("{family}cmpxchg{order}"));
            for op in ["add", "sub", "inc", "dec", "and", "or", "xor", "andnot"] {
                for form in [
                    format!("fetch_{op}"),
                    format!("{op}_return"),
                    format!("{op}_and_test"),
                    format!("{op}_negative"),
                    op.to_owned(),
                ] {
                    add(&format!("{family}{form}{order}"));
                }
            }
        }
    }
    names
}

#[test]
fn every_primitive_is_read_from_the_headers_of_every_architecture() {
    let rows = rows().1;
    for arch in Arch::ALL {
        let known: BTreeSet<(String, u8)> =
            rows.iter().filter(|row| row.arch == arch).map(|row| (row.primitive.clone(), row.bytes)).collect();
        let missing: Vec<_> = names().into_iter().filter(|name| !known.contains(name)).collect();
        assert!(missing.is_empty(), "{arch}: add to scripts/kernel-primitives.c: {missing:?}");
    }
}

/// A row of the document: rows of the table that differ only in the width of the access, or in atomic_t and atomic64_t.
struct Shown {
    cells: [String; 5],
    bytes: Vec<String>,
    places: Vec<String>,
}

/// Instructions of 64 bits as those of 32 bits.
fn narrow(arch: Arch, tokens: &str) -> String {
    let word = |token: &str| match (arch, token) {
        (Arch::Powerpc64le, "ld") => "lwz".to_owned(),
        (Arch::Powerpc64le, "std") => "stw".to_owned(),
        (Arch::Powerpc64le, "stdcx.") => "stwcx.".to_owned(),
        (Arch::Powerpc64le, "ldarx" | "cmpd") => token.replace('d', "w").replace("lwwrx", "lwarx"),
        (Arch::Riscv64gc, "ld") => "lw".to_owned(),
        (Arch::Riscv64gc, "sd") => "sw".to_owned(),
        (Arch::Riscv64gc, _) => token.replace(".d", ".w"),
        _ => token.to_owned(),
    };
    tokens.split('/').map(word).collect::<Vec<_>>().join("/")
}

fn shown(rows: &[Row], arch: Arch) -> Vec<Shown> {
    let mut all: Vec<Shown> = Vec::new();
    for row in rows.iter().filter(|row| row.arch == arch) {
        let code = |tokens: &str| match tokens {
            "" => "none".to_owned(),
            tokens => format!("`{}`", narrow(arch, tokens).replace('/', "; ")),
        };
        let verdict = match finding(row) {
            Finding::Same => "same".to_owned(),
            Finding::NotOffered => "not offered".to_owned(),
            Finding::Explained(other, number) => format!("{} ({})", code(&other), number + 1),
            Finding::Differs(other) => format!("{}: **differs**", code(&other)),
        };
        let choices: Vec<String> = row.choices.iter().map(|(key, value)| format!("{key} {value}")).collect();
        let compiled = if row.compiled == row.running { "as running".to_owned() } else { code(&row.compiled) };
        let name = format!("`{}`", row.primitive.replace("atomic64_", "atomic_"));
        let cells = [name, choices.join(", "), compiled, code(&row.running), verdict];
        let at = match all.iter().position(|shown| shown.cells == cells) {
            Some(at) => at,
            None => {
                all.push(Shown { cells, bytes: Vec::new(), places: Vec::new() });
                all.len() - 1
            }
        };
        if row.bytes > 0 {
            all[at].bytes.push(row.bytes.to_string());
        }
        if !all[at].places.contains(&row.place) {
            all[at].places.push(row.place.clone());
        }
    }
    all.iter_mut().for_each(|shown| shown.bytes.sort());
    all.sort_by(|a, b| (&a.cells[0], &a.cells[1], &a.bytes).cmp(&(&b.cells[0], &b.cells[1], &b.bytes)));
    all
}

fn document() -> String {
    let (headers, rows) = rows();
    let mut text = format!("{headers}\n\nThe differences that stay:\n\n");
    for (number, explained) in EXPLAINED.iter().enumerate() {
        text += &format!("{}. {}\n", number + 1, explained.reason);
    }
    for arch in Arch::ALL {
        text +=
            &format!("\n### {arch}\n\n| primitive | bytes | choice | defined in | compiled | running | wakerace |\n");
        text += "|---|---|---|---|---|---|---|\n";
        for Shown { cells: [name, choice, compiled, running, verdict], bytes, places } in shown(&rows, arch) {
            let places: Vec<String> = places.iter().map(|place| format!("`{place}`")).collect();
            text += &format!(
                "| {name} | {} | {choice} | {} | {compiled} | {running} | {verdict} |\n",
                bytes.join(", "),
                places.join(", ")
            );
        }
    }
    text
}

/// With UPDATE_DOCS=1 in the environment, this test writes the tables instead of comparing them.
#[test]
fn the_document_shows_the_kernels_text() {
    common::section("kernel", &document());
}

/// Runs scripts/kernel-primitives --compare on a copy of the table with this change.
fn compared(change: impl Fn(&str) -> String) -> (Option<i32>, String) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("other.tsv");
    fs::write(&file, change(&fs::read_to_string(table()).unwrap())).unwrap();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/kernel-primitives");
    let output = Command::new("python3").arg(script).arg("--compare").arg(&file).output().expect("python3 is there");
    (output.status.code(), String::from_utf8(output.stdout).unwrap() + &String::from_utf8(output.stderr).unwrap())
}

#[test]
#[ignore = "needs Python 3"]
fn the_script_notices_a_wrong_row() {
    let (status, text) = compared(str::to_owned);
    assert_eq!(status, Some(0), "{text}");
    // What the kernel executes is another instruction.
    let (status, text) = compared(|table| table.replacen("\tdmb ishst\n", "\tdmb ish\n", 1));
    assert_eq!(status, Some(1), "{text}");
    assert!(
        text.contains("aarch64 smp_wmb 0 -: running is dmb ish; tests/primitives/kernel.tsv says dmb ishst"),
        "{text}"
    );
    // A primitive is gone.
    let without = |table: &str| {
        table.lines().filter(|line| !line.contains("\tsmp_rmb\t")).map(|line| format!("{line}\n")).collect::<String>()
    };
    let (status, text) = compared(without);
    assert_eq!(status, Some(1), "{text}");
    // Other headers may have other line numbers, but not other instructions.
    let other =
        |table: &str| table.replacen("linux-headers", "other linux-headers", 1).replace("barrier.h:5", "barrier.h:6");
    assert_eq!(compared(other).0, Some(0));
    assert_eq!(compared(|table| table.replace("barrier.h:5", "barrier.h:6")).0, Some(1));
    assert_eq!(compared(|table| other(table).replace("\tsync\n", "\tlwsync\n")).0, Some(1));
    // A file that is no such table.
    assert_eq!(compared(|_| "nothing\n".to_owned()).0, Some(2));
}
