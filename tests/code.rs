//! Tests of the emitted code: it has the right instructions, as other authors' disassemblers decode them, and
//! it gives the right results when it runs.

mod common;

use std::collections::BTreeSet;
use std::io::Write;
use std::process::Command;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use common::mnemonics::mnemonic;
use common::program;
use common::targets::TARGETS;
use predicates::prelude::PredicateBooleanExt;
use wakerace::arch::Arch;
use wakerace::catalogue::{self, Scenario};
use wakerace::codegen::{Instruction, Pace, Part, Target, ThreadCode, disassemble, hash};
use wakerace::harness::{Adapt, Chain, EdgePlan, Gap, Job, Limits, Measurement, OutcomeCounts, Prefetch, RunPlan, run};
use wakerace::isa::{self, emit};
use wakerace::layout::{Layout, LayoutKind};
use wakerace::litmus::Source;
use wakerace::machine::{Clock, Edges, allowed_cpus};
use wakerace::program::{Access, Const, Op, Order, Program, RmwOp};
use wakerace::units::{Nanos, Ticks};

/// The target of this host. WAKERACE_TEST_ATOMICS selects the atomics, so that both kinds of arm64 atomics can
/// be tested. WAKERACE_TEST_LOCK selects the lock.
fn host() -> Target {
    let atomics = std::env::var("WAKERACE_TEST_ATOMICS").ok().and_then(|name| name.parse().ok());
    let lock = std::env::var("WAKERACE_TEST_LOCK").ok().and_then(|name| name.parse().ok());
    let host = Target::of_host().unwrap();
    Target { atomics: atomics.unwrap_or(host.atomics), lock: lock.unwrap_or(host.lock), ..host }
}

/// The name of an operation in the table of primitives; `None` for one that only computes or jumps.
fn primitive(op: &Op) -> Option<&'static str> {
    Some(match op {
        Op::Move { .. } | Op::Extend { .. } | Op::Unary { .. } | Op::Binary { .. } => return None,
        Op::Branch { .. } | Op::Jump { .. } | Op::Label(_) => return None,
        Op::Store { access: Access::NonTemporal, .. } => "__builtin_nontemporal_store",
        Op::Load { access: Access::Acquire, .. } => "smp_load_acquire",
        Op::Load { .. } => "READ_ONCE",
        Op::Store { access: Access::Release, .. } => "smp_store_release",
        Op::Store { .. } => "WRITE_ONCE",
        Op::StoreMb { .. } => "smp_store_mb",
        Op::Fence(fence) => fence.name(),
        Op::SpinLock { .. } => "spin_lock",
        Op::SpinUnlock { .. } => "spin_unlock",
        Op::Cmpxchg { order: Order::Acquire, .. } => "cmpxchg_acquire",
        Op::Cmpxchg { order: Order::Release, .. } => "cmpxchg_release",
        Op::Cmpxchg { order: Order::Full, .. } => "cmpxchg",
        Op::Rmw { op: RmwOp::Xchg, order, .. } => match order {
            Order::Relaxed => "xchg_relaxed",
            Order::Acquire => "xchg_acquire",
            Order::Release => "xchg_release",
            Order::Full => "xchg",
        },
        other => panic!("this test knows no name for {other:?}; add it"),
    })
}

/// Checks that the instructions of an operation are those of its row in the table of primitives. An operation that only
/// computes or jumps must access no memory and order nothing.
#[track_caller]
fn check(instructions: &[Instruction], index: usize, op: &Op, target: Target, place: &str) {
    let arch = target.arch;
    let found = found(instructions, index, arch);
    let Some(name) = primitive(op) else {
        let own = instructions.iter().filter(|instruction| instruction.part == Part::Op(index));
        let accesses = own.filter(|instruction| instruction.text.contains(['[', '(']));
        assert_eq!(accesses.count(), 0, "{place} {arch} {op:?}: {found:?}");
        let barriers = ["lock", "fence", "dmb", "dsb", "sync", "isb"];
        assert!(
            !found.iter().any(|text| barriers.iter().any(|barrier| text.contains(barrier))),
            "{place} {arch} {op:?}: {found:?}"
        );
        return;
    };
    let wide = matches!(op, Op::Load { ty, .. } | Op::Store { ty, .. } | Op::StoreMb { ty, .. } | Op::Rmw { ty, .. }
        | Op::Cmpxchg { ty, .. } if ty.bytes() == 8);
    let bits = match op {
        Op::Fence(_) => None,
        _ if wide => Some(64),
        _ => Some(32),
    };
    let row = isa::primitives(arch)
        .iter()
        .find(|row| (row.name, row.bits) == (name, bits) && row.variant.has(target.choices()));
    let row = row.unwrap_or_else(|| panic!("no row for {name} with {bits:?} bits on {arch}"));
    assert_eq!(found.join("; "), row.instructions, "{place} {arch} {op:?}");
}

/// The instructions of one operation, in the notation of the table.
fn found(instructions: &[Instruction], index: usize, arch: Arch) -> Vec<String> {
    let own = instructions.iter().filter(|instruction| instruction.part == Part::Op(index));
    own.filter_map(|instruction| mnemonic(arch, &instruction.text)).collect()
}

/// On RISC-V, objdump leaves out the `i` of an operation with a constant: `srlw a0, a0, 0x10` is srliw.
fn with_constant(text: &str) -> String {
    let is_number = |last: &str| last.trim_start_matches('-').starts_with(|first: char| first.is_ascii_digit());
    let constant = text.rsplit(' ').next().is_some_and(is_number);
    match text.split_once(' ') {
        Some((name @ ("add" | "and" | "or" | "xor" | "sll" | "srl" | "sra"), rest)) if constant => {
            format!("{name}i {rest}")
        }
        Some((name @ ("addw" | "sllw" | "srlw" | "sraw"), rest)) if constant => format!("{}iw {rest}", &name[..3]),
        _ => text.to_owned(),
    }
}

/// Disassembles the code with GNU objdump, as a second opinion.
fn objdump(code: &ThreadCode) -> Vec<Instruction> {
    let machine = match code.arch {
        Arch::X86_64 => ["-mi386:x86-64", "-Mintel"],
        Arch::Aarch64 => ["-maarch64", "-EL"],
        Arch::Powerpc64le => ["-mpowerpc:common64", "-EL"],
        Arch::Riscv64gc => ["-mriscv:rv64", "-EL"],
    };
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(&code.bytes).unwrap();
    let mut command = Command::new("objdump");
    command.args(["-D", "-z", "-bbinary", "--no-show-raw-insn"]).args(machine).arg(file.path());
    let output = command.output().expect("objdump is there");
    assert!(output.status.success(), "objdump does not know {}: binutils-multiarch does", code.arch);
    let text = String::from_utf8(output.stdout).unwrap();
    let mut instructions = Vec::new();
    for line in text.lines() {
        let Some((offset, text)) = line.split_once(":\t") else { continue };
        let Ok(offset) = usize::from_str_radix(offset.trim(), 16) else { continue };
        let part = code.marks.iter().take_while(|(start, _)| *start <= offset).last().map_or(Part::Prologue, |m| m.1);
        // objdump writes some mnemonics and operands differently.
        let text = text.split(['#', '<']).next().unwrap_or("").split_whitespace().collect::<Vec<_>>().join(" ");
        let text = text.replace("hwsync", "sync").replace(',', ", ").replace(",  ", ", ");
        let text = if code.arch == Arch::Riscv64gc { with_constant(&text) } else { text };
        instructions.push(Instruction { offset, bytes: Vec::new(), text, part });
    }
    instructions
}

/// iced-x86 reads x86-64 code and writes it as capstone does, so listings and records of all versions have one spelling.
#[test]
fn x86_64_code_is_listed_as_capstone_writes_it() {
    let mut seen = BTreeSet::new();
    for scenario in catalogue::all().unwrap() {
        for kind in [LayoutKind::Padded, LayoutKind::Packed, LayoutKind::Kernel(Arch::X86_64)] {
            let layout = Layout::new(kind, &scenario.program, 128).unwrap();
            for (_, target) in TARGETS.into_iter().filter(|(_, target)| target.arch == Arch::X86_64) {
                for pace in [Pace::Free, Pace::Paced, Pace::Edges { coarse_bits: 7 }] {
                    for code in emit(target, &scenario.program, &layout, pace).unwrap() {
                        let listed = disassemble(&code).unwrap().into_iter().map(|instruction| instruction.text);
                        let listed: Vec<String> = listed.collect();
                        assert_eq!(listed, common::x86::capstone(&code.bytes), "{} {kind} {pace:?}", scenario.name);
                        seen.extend(listed);
                    }
                }
            }
        }
    }
    assert!(seen.len() > 200, "{}", seen.len());
}

#[test]
#[ignore = "needs objdump of binutils-multiarch"]
fn a_second_disassembler_agrees() {
    for scenario in catalogue::all().unwrap() {
        let program = &scenario.program;
        let layout = Layout::new(LayoutKind::Padded, program, 128).unwrap();
        for (_, column @ Target { arch, .. }) in TARGETS {
            for pace in [Pace::Paced, Pace::Edges { coarse_bits: 7 }] {
                let Ok(code) = emit(column, program, &layout, pace) else { continue };
                for (thread, code) in program.threads.iter().zip(&code) {
                    let instructions = objdump(code);
                    let offsets = |all: &[Instruction]| all.iter().map(|i| i.offset).collect::<Vec<_>>();
                    assert_eq!(
                        offsets(&instructions),
                        offsets(&disassemble(code).unwrap()),
                        "{} {arch}",
                        scenario.name
                    );
                    for (index, op) in thread.ops.iter().enumerate() {
                        check(&instructions, index, op, column, &scenario.name);
                    }
                }
            }
        }
    }
}

/// Records are merged only if their code is the same, so a test must have the same code in every run.
#[test]
fn a_test_always_has_the_same_code() {
    for scenario in catalogue::all().unwrap() {
        let layout = Layout::new(LayoutKind::Padded, &scenario.program, 128).unwrap();
        for (_, target @ Target { arch, .. }) in TARGETS {
            let code = || emit(target, &scenario.program, &layout, Pace::Paced).ok();
            let Some(first) = code() else { continue };
            for _ in 0..8 {
                assert_eq!(hash(&code().unwrap()), hash(&first), "{} {arch}", scenario.name);
            }
        }
    }
}

#[test]
fn every_scenario_is_the_kernels_instructions_and_nothing_else() {
    for scenario in catalogue::all().unwrap() {
        let program = &scenario.program;
        let kernels = Arch::ALL.map(LayoutKind::Kernel);
        for kind in [LayoutKind::Padded, LayoutKind::Packed].into_iter().chain(kernels) {
            let layout = Layout::new(kind, program, 128).unwrap();
            for (_, column @ Target { arch, .. }) in TARGETS {
                for pace in [Pace::Free, Pace::Paced, Pace::Edges { coarse_bits: 7 }] {
                    let code = match (emit(column, program, &layout, pace), scenario.refused_by(arch)) {
                        (Ok(code), None) => code,
                        (Err(error), Some(_)) => {
                            assert!(error.to_string().contains("non-temporal store"), "{error}");
                            continue;
                        }
                        (Ok(_), Some(reason)) => panic!("{} on {arch}: {reason}", scenario.name),
                        (Err(error), None) => panic!("{error}"),
                    };
                    for (thread, code) in program.threads.iter().zip(&code) {
                        let instructions = disassemble(code).unwrap();
                        for (index, op) in thread.ops.iter().enumerate() {
                            check(&instructions, index, op, column, &format!("{} {kind} {pace:?}", scenario.name));
                        }
                        // Only the test's own operations stand between its first and its last operation.
                        let parts: Vec<Part> = instructions.iter().map(|instruction| instruction.part).collect();
                        let is_op = |part: &Part| matches!(part, Part::Op(_));
                        let first = parts.iter().position(is_op).unwrap();
                        let last = parts.iter().rposition(is_op).unwrap();
                        assert!(parts[first..=last].iter().all(is_op), "{}", scenario.name);
                    }
                }
            }
        }
    }
}

#[test]
fn the_barrier_and_the_lock_are_the_kernels_to_the_operand() {
    let text = "C t\n{}\nP0(int *x, spinlock_t *l, int **p) { smp_mb(); spin_lock(l); WRITE_ONCE(*p, x); spin_unlock(l); __builtin_nontemporal_store(7, x); }\nexists (x=1)";
    let program = program(text);
    let layout = Layout::new(LayoutKind::Padded, &program, 128).unwrap();
    let code = emit(Arch::X86_64, &program, &layout, Pace::Paced).unwrap();
    let instructions = disassemble(&code[0]).unwrap();
    let of = |index| -> Vec<&str> {
        instructions.iter().filter(|i| i.part == Part::Op(index)).map(|i| i.text.as_str()).collect()
    };
    assert_eq!(of(0), ["lock add dword ptr [rsp - 4], 0"]);
    assert_eq!(of(1)[..3], ["xor eax, eax", "mov edx, 1", "lock cmpxchg dword ptr [rdi + 0x80], edx"]);
    // The address was loaded into a register before the wait.
    assert_eq!(of(2), ["mov qword ptr [rdi + 0x100], rbx"]);
    assert_eq!(of(3), ["mov byte ptr [rdi + 0x80], 0"]);
    assert_eq!(of(4), ["movnti dword ptr [rdi], rbp"].map(|text| text.replace("rbp", "ebp")));
}

#[test]
fn emitted_memory_is_never_writable_and_executable() {
    use wakerace::codegen::Executable;
    let program = program("C t\n{}\nP0(int *x) { WRITE_ONCE(*x, 1); }\nexists (x=1)");
    let layout = Layout::new(LayoutKind::Padded, &program, 128).unwrap();
    let code = emit(host(), &program, &layout, Pace::Free).unwrap();
    let _executable = Executable::new(&code[0]).unwrap();
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
    assert!(
        !maps.lines().any(|line| line.split_whitespace().nth(1).is_some_and(|mode| mode.starts_with("rwx"))),
        "{maps}"
    );
}

/// The edges of code for a pace by edges.
fn edges(pace: Pace) -> Option<Edges> {
    let Pace::Edges { coarse_bits } = pace else { return None };
    Some(Edges { step: 1 << coarse_bits, finer: 0, coarse_bits })
}

/// Runs a program on the available CPUs.
fn measure(program: &Program, pace: Pace, kind: LayoutKind, batch: usize, limits: Limits) -> Measurement {
    let allowed = allowed_cpus().unwrap();
    let cpus: Vec<usize> = (0..program.threads.len()).map(|thread| allowed[thread % allowed.len()]).collect();
    let layout = Layout::new(kind, program, 128).unwrap();
    let code = emit(host(), program, &layout, pace).unwrap();
    let (clock, edges) = (Clock::calibrate(), edges(pace));
    let units = edges.map_or(clock, |edges| edges.units(clock));
    let job = Job { program, layout: &layout, code: &code, cpus: &cpus, clock: units };
    let chain = Chain { units: 3.0, passes_differ: 0.0 };
    let plan = RunPlan {
        pace,
        period: Ticks(500),
        group: 1,
        prefetch: Prefetch::Off,
        focus: false,
        nice: 0,
        event: None,
        adapt: Adapt::Never,
        skews: [-50, 0, 50].map(Ticks).to_vec(),
        counter_offsets: Vec::new(),
        edges: edges.map(|edges| EdgePlan { edges, chains: vec![chain; cpus.len()], gap: Gap::Even }),
        batch,
        seed: 1,
        only_at: None,
        finds_neighbours: false,
        limits,
    };
    run(job, &plan, &AtomicBool::new(false), |_| ()).unwrap()
}

/// Runs a program for this many iterations and returns the outcomes.
fn outcomes(program: &Program, pace: Pace, kind: LayoutKind, iterations: u64) -> OutcomeCounts {
    let limits = Limits { iterations: Some(iterations), ..Limits::default() };
    let measured = measure(program, pace, kind, 100, limits);
    assert_eq!(measured.tally.iterations, iterations);
    let outcomes = measured.tally.outcomes();
    assert_eq!(outcomes.values().sum::<u64>(), iterations);
    outcomes
}

/// Coherence requires that the only store to a location gives its final value. The batches are short, because
/// only the last instances of a batch can violate this.
#[test]
fn a_nontemporal_store_has_landed_when_its_batch_ends() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/litmus/cases/nt-final.litmus");
    let program = program(&std::fs::read_to_string(path).unwrap());
    if Arch::host() != Some(Arch::X86_64) {
        let layout = Layout::new(LayoutKind::Padded, &program, 128).unwrap();
        let error = emit(host(), &program, &layout, Pace::Free).unwrap_err().to_string();
        assert!(error.contains("non-temporal store"), "{error}");
        return;
    }
    // The run is limited by time: if other programs use the CPUs, each rendezvous of the threads takes a time slice.
    let limits = Limits { duration: Some(Duration::from_secs(1)), ..Limits::default() };
    for pace in [Pace::Free, Pace::Paced, Pace::Edges { coarse_bits: 6 }] {
        let measured = measure(&program, pace, LayoutKind::Padded, 64, limits);
        let outcomes: Vec<_> = measured.tally.outcomes().into_keys().collect();
        assert_eq!(outcomes, [vec![Const::Int(1)]], "{pace:?}");
    }
}

/// An offset that does not fit an instruction is refused before anything runs. The message names the size and
/// the remedy.
#[test]
fn variables_too_far_apart_are_refused() {
    let parameters: Vec<String> = (0..260).map(|n| format!("long *v{n}")).collect();
    let text = format!("C far\n{{}}\nP0({}) {{ WRITE_ONCE(*v259, 1); }}\nexists (v259=0)\n", parameters.join(", "));
    let program = program(&text);
    // Each variable takes an array of 2^20 longs and one line.
    let bytes = 260 * ((8_u64 << 20) + 128);
    let error = Layout::for_batch(LayoutKind::Dense, &program, 128, Some(1 << 20)).unwrap_err().to_string();
    for part in ["--layout dense", "--batch", "1048576", &bytes.to_string(), "2147483647"] {
        assert!(error.contains(part), "{part}: {error}");
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("far.litmus");
    std::fs::write(&path, text).unwrap();
    assert_cmd::Command::cargo_bin("wakerace")
        .unwrap()
        .current_dir(folder.path())
        .args(["run", "--no-controls", "--no-save", "-n", "1", "--layout", "dense", "--batch", "1048576"])
        .arg(&path)
        .assert()
        .code(2)
        .stderr(predicates::str::contains("--batch").and(predicates::str::contains(bytes.to_string())));
    // Half as many instances fit.
    let near = Layout::for_batch(LayoutKind::Dense, &program, 128, Some(1 << 19)).unwrap();
    assert_eq!(near.offsets[259], 259 * ((4 << 20) + 128));
}

/// Runs statements on one thread and checks that every instance ends with the expected `r`, in every pace and layout.
#[track_caller]
fn computes(declarations: &str, body: &str, expected: i64) {
    let text = format!(
        "C t\n{{ int x=5; atomic_t a=10; long w=0x100000000; u8 b=200; s8 s=-3; p=&x; }}\n\
         P0(int *x, int *y, atomic_t *a, long *w, u8 *b, s8 *s, spinlock_t *l, int **p) {{ {declarations} {body} }}\nexists (0:r=1)"
    );
    let program = program(&text);
    for pace in [Pace::Free, Pace::Paced, Pace::Edges { coarse_bits: 6 }] {
        for kind in [LayoutKind::Padded, LayoutKind::Packed] {
            let seen = outcomes(&program, pace, kind, 250);
            let only: Vec<_> = seen.into_iter().collect();
            assert_eq!(only, [(vec![Const::Int(expected)], 250)], "{body} ({pace:?}, {kind})");
        }
    }
}

#[test]
fn every_primitive_computes_what_it_should() {
    let int = "int r = 77; int q = 3;";
    for (body, expected) in [
        ("r = READ_ONCE(*x);", 5),
        ("WRITE_ONCE(*x, 9); r = READ_ONCE(*x);", 9),
        ("smp_store_release(x, 8); r = smp_load_acquire(x);", 8),
        ("smp_store_mb(*x, 7); smp_mb(); r = *x;", 7),
        ("*x = q; r = *x + *x;", 6),
        ("r = xchg(x, 6);", 5),
        ("xchg(x, 6); r = *x;", 6),
        ("r = xchg_release(x, q); r = r * 100 + *x;", 503),
        ("r = cmpxchg(x, 5, 6); r = r * 100 + *x;", 506),
        ("r = cmpxchg(x, 4, 6); r = r * 100 + *x;", 505),
        ("r = cmpxchg_relaxed(x, q + 2, q); r = r * 100 + *x;", 503),
        ("r = atomic_read(a); atomic_set(a, 1); r = r * 100 + atomic_read(a);", 1001),
        ("atomic_add(q, a); atomic_inc(a); atomic_sub(1, a); atomic_dec(a); r = atomic_read(a);", 12),
        ("atomic_and(6, a); r = atomic_read(a);", 2),
        ("atomic_or(5, a); r = atomic_read(a);", 15),
        ("atomic_xor(3, a); r = atomic_read(a);", 9),
        ("atomic_andnot(2, a); r = atomic_read(a);", 8),
        ("atomic_andnot(q, a); r = atomic_read(a);", 8),
        ("r = atomic_add_return(q, a);", 13),
        ("r = atomic_sub_return(4, a);", 6),
        ("r = atomic_inc_return_acquire(a) * 100 + atomic_dec_return(a);", 1110),
        ("r = atomic_fetch_add(4, a) * 100 + atomic_read(a);", 1014),
        ("r = atomic_fetch_sub(q, a) * 100 + atomic_read(a);", 1007),
        ("r = atomic_fetch_and(6, a) * 100 + atomic_read(a);", 1002),
        ("r = atomic_fetch_or(q, a) * 100 + atomic_read(a);", 1011),
        ("r = atomic_fetch_xor_release(q, a) * 100 + atomic_read(a);", 1009),
        ("r = atomic_fetch_andnot(q, a) * 100 + atomic_read(a);", 1008),
        ("r = atomic_sub_and_test(10, a);", 1),
        ("r = atomic_dec_and_test(a);", 0),
        ("r = atomic_add_negative(-11, a);", 1),
        ("r = atomic_add_negative(1, a);", 0),
        ("r = atomic_xchg(a, 4) * 100 + atomic_cmpxchg(a, 4, 5); r = r * 100 + atomic_read(a);", 100_405),
        ("spin_lock(l); r = spin_is_locked(l) * 10 + spin_trylock(l); spin_unlock(l);", 10),
        ("r = spin_is_locked(l) * 10 + spin_trylock(l); r = r * 10 + spin_is_locked(l);", 11),
        ("spin_lock(l); spin_unlock(l); spin_lock(l); spin_unlock(l); r = 4;", 4),
        ("mb(); wmb(); rmb(); smp_mb(); smp_mb__after_unlock_lock(); r = 2;", 2),
        ("rcu_read_lock(); r = *rcu_dereference(*p); rcu_read_unlock();", 5),
        ("rcu_assign_pointer(*p, y); WRITE_ONCE(*y, 6); r = *READ_ONCE(*p);", 6),
    ] {
        computes(int, body, expected);
    }
    if Arch::host() == Some(Arch::X86_64) {
        computes(int, "__builtin_nontemporal_store(9, x); mb(); r = *x;", 9);
        computes(int, "__builtin_nontemporal_store(q, x); wmb(); rmb(); smp_mb(); r = *x;", 3);
    }
}

#[test]
fn arithmetic_is_cs() {
    let int = "int r = 77; int q = 3; unsigned int u = 1; long n = 7; u8 c;";
    for (body, expected) in [
        ("r = q - 10;", -7),
        ("r = 10 - q;", 7),
        ("q = 10 - q; r = q;", 7),
        ("r = q * q + (q & 6) + (q | 4) + (q ^ 1);", 9 + 2 + 7 + 2),
        ("r = ~q; r = -r;", 4),
        ("r = q << 4 >> 2;", 12),
        ("r = q - 19 >> 2;", -4),
        ("r = !q * 10 + !!q;", 1),
        ("r = (q == 3) + (q != 3) * 10 + (q < 4) * 100 + (q <= 2) * 1000;", 101),
        ("r = (q > 2) + (q >= 4) * 10 + (-1 < q) * 100;", 101),
        // Unsigned comparison and shift: -1 becomes the largest unsigned int.
        ("r = (u - 2 > 5) * 10 + (u - 2 >> 31);", 11),
        ("r = q && *x - 5;", 0),
        ("r = q - 3 || *x;", 1),
        ("r = 2 + 3 * 4 - (1 << 3);", 6),
        // 8-bit variables wrap around and are extended according to their sign,
        ("c = 300; r = c + *b + *s;", 44 + 200 - 3),
        ("*b = 260; *s = 130; r = *b * 1000 + *s;", 4000 - 126),
        // to the width of the variable they are assigned to.
        ("n = *s; r = (n == -3);", 1),
        ("q = 200; n = (s8)q; r = (n == -56) + (n < 0) * 10;", 11),
        ("q = 40000; n = (s16)q; r = (n == -25536);", 1),
        // 64-bit arithmetic is narrowed on assignment.
        ("n = *w + n; r = n;", 7),
        ("n = *w; r = (n > 4000000000) + (n == 4294967296) * 2;", 3),
        ("n = q; *w = -n; r = (*w == -3);", 1),
        ("if (q == 3) r = 1; else r = 2;", 1),
        ("if (!q) r = 1; else { if (q > 5) r = 2; else r = 3; }", 3),
        ("if (q == 3 && *x == 5) r = 6;", 6),
        ("if (q == 4 || *x == 4) r = 6;", 77),
        ("if (p) r = 8;", 8),
        ("r = (*p == x) * 10 + (*p != y);", 11),
        ("r = (int)*w + (u8)(q + 254);", 1),
    ] {
        computes(int, body, expected);
    }
    // A register that only one path writes is 0 on the other path.
    computes("int r;", "if (*x == 4) r = 9;", 0);
}

#[test]
fn locks_exclude() {
    // Each of two threads makes a million increments. If one is lost, some instance ends with 1.
    let increment = "spin_lock(l); r = *x; *x = r + 1; spin_unlock(l);";
    let pair: String = (0..2).map(|n| format!("P{n}(int *x, spinlock_t *l) {{ int r; {increment} }}\n")).collect();
    let pair = program(&format!("C t\n{{}}\n{pair}exists (x=2)"));
    let seen: Vec<_> = outcomes(&pair, Pace::Free, LayoutKind::Padded, 1_000_000).into_iter().collect();
    assert_eq!(seen, [(vec![Const::Int(2)], 1_000_000)]);

    // Three threads can be more than this host has CPUs.
    let critical = "spin_lock(l); r = *x; *x = r + 1; spin_unlock(l);";
    let threads: String = (0..3).map(|n| format!("P{n}(int *x, spinlock_t *l) {{ int r; {critical} }}\n")).collect();
    let program = program(&format!("C t\n{{}}\n{threads}exists (x=3)"));
    for kind in [LayoutKind::Padded, LayoutKind::Packed] {
        let seen: Vec<_> = outcomes(&program, Pace::Free, kind, 20_000).into_iter().collect();
        assert_eq!(seen, [(vec![Const::Int(3)], 20_000)]);
    }
}

#[test]
fn atomics_lose_nothing_between_threads() {
    let body = "atomic_inc(a); xchg(x, 1); r = cmpxchg(y, 0, 1);";
    let threads: String = (0..2).map(|n| format!("P{n}(atomic_t *a, int *x, int *y) {{ int r; {body} }}\n")).collect();
    let program = program(&format!("C t\n{{}}\n{threads}exists (a=2 /\\ x=1 /\\ y=1 /\\ 0:r=1 /\\ 1:r=0)"));
    for row in outcomes(&program, Pace::Free, LayoutKind::Packed, 50_000).keys() {
        // The columns are a, x, y, and the two results of the exchange, of which exactly one succeeded.
        assert_eq!(row[..3], [2, 1, 1].map(Const::Int));
        assert!(row[3..] == [1, 0].map(Const::Int) || row[3..] == [0, 1].map(Const::Int), "{row:?}");
    }
}

#[test]
fn more_values_than_registers_are_refused_by_name() {
    for (arch, most) in MOST_RESULTS {
        for (count, fits) in [(most, true), (most + 1, false)] {
            let program = program(&loads(count));
            let layout = Layout::new(LayoutKind::Padded, &program, 128).unwrap();
            match emit(arch, &program, &layout, Pace::Free) {
                Ok(_) => assert!(fits, "{arch} {count}"),
                Err(error) => {
                    let words = format!("many: P0 needs more than the {most} registers");
                    assert!(!fits && error.to_string().contains(&words), "{arch} {count}: {error}");
                }
            }
        }
    }
    // A whole test is refused at the thread.
    let text = loads(60);
    let scenario = Scenario::to_run(&Source::new("many.litmus", text), "").unwrap();
    let error = scenario.has_code(host(), 64).unwrap_err().to_string();
    assert!(error.contains("many.litmus:3") && error.contains("needs more than"), "{error}");
}

/// How many loads with a result each a thread in C can have.
const MOST_RESULTS: [(Arch, usize); 4] =
    [(Arch::X86_64, 14), (Arch::Aarch64, 23), (Arch::Powerpc64le, 22), (Arch::Riscv64gc, 20)];

/// A thread with so many loads, each of a variable of its own and with a result.
fn loads(count: usize) -> String {
    let each = |word: fn(usize) -> String, between: &str| (0..count).map(word).collect::<Vec<_>>().join(between);
    format!(
        "C many\n{{ {} }}\nP0({}) {{ int {}; {} }}\nexists ({})",
        each(|n| format!("v{n}={};", 100 + n), " "),
        each(|n| format!("int *v{n}"), ", "),
        each(|n| format!("r{n}"), ", "),
        each(|n| format!("r{n} = READ_ONCE(*v{n});"), " "),
        each(|n| format!("0:r{n}={}", 100 + n), " /\\ ")
    )
}

/// The loop over instances gives its registers to the test and gets them back, in every pace and layout.
#[test]
fn a_thread_with_as_many_results_as_registers_runs() {
    let most = MOST_RESULTS.iter().find(|(arch, _)| *arch == host().arch).unwrap().1;
    let program = program(&loads(most));
    let wanted: Vec<Const> = (0..most).map(|n| Const::Int(100 + n as i64)).collect();
    for pace in [Pace::Free, Pace::Paced, Pace::Edges { coarse_bits: 3 }] {
        for kind in [LayoutKind::Padded, LayoutKind::Packed] {
            let seen: Vec<_> = outcomes(&program, pace, kind, 2000).into_iter().collect();
            assert_eq!(seen, [(wanted.clone(), 2000)], "{pace:?} {kind:?}");
        }
    }
}

#[test]
fn a_test_that_deadlocks_ends_with_an_error() {
    let program = program(
        "C stuck\n{}\nP0(int *x, spinlock_t *l) { spin_lock(l); spin_lock(l); WRITE_ONCE(*x, 1); }\nexists (x=1)",
    );
    let layout = Layout::new(LayoutKind::Padded, &program, 128).unwrap();
    let code = emit(host(), &program, &layout, Pace::Free).unwrap();
    let cpus = &allowed_cpus().unwrap()[..1];
    let job = Job { program: &program, layout: &layout, code: &code, cpus, clock: Clock::calibrate() };
    let limits = Limits { iterations: Some(1), ..Limits::default() };
    let plan = RunPlan {
        pace: Pace::Free,
        period: Ticks(0),
        group: 1,
        prefetch: Prefetch::Off,
        focus: false,
        nice: 0,
        event: None,
        adapt: Adapt::Never,
        skews: vec![Ticks(0)],
        counter_offsets: Vec::new(),
        edges: None,
        batch: 1,
        seed: 1,
        only_at: None,
        finds_neighbours: false,
        limits,
    };
    let error = run(job, &plan, &AtomicBool::new(false), |_| ()).unwrap_err().to_string();
    assert!(error.contains("stuck: P0 waited 5 s for a spinlock"), "{error}");
}

#[test]
fn ends_are_compared_as_the_counter_of_p0_has_them() {
    let program =
        program("C two\n{}\nP0(int *x) { WRITE_ONCE(*x, 1); }\nP1(int *x) { WRITE_ONCE(*x, 2); }\nexists (x=1)");
    let layout = Layout::new(LayoutKind::Padded, &program, 128).unwrap();
    let code = emit(host(), &program, &layout, Pace::Paced).unwrap();
    // Threads that share a CPU have no looks, which would find that the offset is false.
    let cpus = [allowed_cpus().unwrap()[0]; 2];
    let clock = Clock::calibrate();
    let job = Job { program: &program, layout: &layout, code: &code, cpus: &cpus, clock };
    // The counters agree. A plan that states an offset makes P1 start that much later.
    let ahead_ns = 300e6;
    let plan = RunPlan {
        pace: Pace::Paced,
        period: clock.ticks(Nanos(1000.0)),
        group: 1,
        prefetch: Prefetch::Off,
        focus: false,
        nice: 0,
        event: None,
        adapt: Adapt::Never,
        skews: vec![Ticks(0)],
        counter_offsets: vec![Ticks(0), clock.ticks(Nanos(ahead_ns))],
        edges: None,
        batch: 1,
        seed: 1,
        only_at: None,
        finds_neighbours: false,
        limits: Limits { iterations: Some(3), ..Limits::default() },
    };
    let measurement = run(job, &plan, &AtomicBool::new(false), |_| ()).unwrap();
    assert!(measurement.elapsed.as_secs_f64() > 3.0 * 0.9e-9 * ahead_ns, "{:?}", measurement.elapsed);
    // A thread that has to wait for its CPU ends late, but not by this much in every batch.
    assert!(measurement.end_spread < Nanos(ahead_ns / 2.0), "{:?}", measurement.end_spread);
}
