//! Runs the code of all four back ends in an interpreter of its disassembly and compares the results with the
//! meaning of the operations.

mod common;
mod interpreter;

use common::many::{MOST, many};
use common::program;
use common::targets::TARGETS;
use interpreter::{ARENA, ARGS, Core, Disturbance, Memory, Outcome, RECORDS, STOP, Touch, TouchKind, call, reference};
use wakerace::arch::lock::Lock;
use wakerace::arch::{Arch, Atomics};
use wakerace::catalogue::Scenario;
use wakerace::codegen::{Pace, Part, SaveRecord, Target, prefetch_step};
use wakerace::isa::emit;
use wakerace::layout::{Layout, LayoutKind};
use wakerace::litmus::Source;
use wakerace::program::{Access, Address, Column, Const, Op, Operand, Order, Program, RmwOp, RmwResult};

/// The settings of a batch.
#[derive(Debug, Clone)]
struct Batch {
    pace: Pace,
    kind: LayoutKind,
    count: u64,
    /// Instances per tick of the pace.
    group: u64,
    prefetch: bool,
    /// Bytes from the lines of a group to those that are prefetched for writing.
    ahead: u64,
    /// The clock value at which the batch starts, the distance between the starts of groups, and the duration
    /// of one clock reading, in ticks.
    start: u64,
    period: u64,
    tick: u64,
    /// With edges: groups per span, and the steps of the chain after an edge and between two groups of a span.
    span_groups: u64,
    delay: u64,
    gap: u64,
    disturbances: Vec<Disturbance>,
}

/// What the waits of a batch come to.
#[derive(Debug, PartialEq, Eq)]
struct Waits {
    /// Groups or spans that start late.
    late: u64,
    /// Clock readings.
    reads: u64,
    /// Steps of the chain.
    steps: u64,
}

impl Batch {
    fn new(pace: Pace) -> Batch {
        Batch {
            pace,
            kind: LayoutKind::Padded,
            count: 2,
            group: 1,
            prefetch: false,
            ahead: 0,
            start: 1500,
            period: 40,
            tick: 7,
            span_groups: 2,
            delay: 5,
            gap: 3,
            disturbances: Vec::new(),
        }
    }

    fn layout(&self, program: &Program) -> Layout {
        Layout::for_batch(self.kind, program, 128, Some(usize::try_from(self.count.max(1)).unwrap())).unwrap()
    }

    /// Memory with all instances in their initial state.
    fn memory(&self, program: &Program, layout: &Layout, record: &SaveRecord) -> Memory {
        let count = usize::try_from(self.count).unwrap();
        let mut memory = Memory::new(layout.bytes(count).unwrap() as u64, (record.stride * count) as u64);
        for instance in 0..self.count {
            reference::initialise(program, &mut memory, ARENA + instance * layout.stride as u64, &layout.offsets);
        }
        memory
    }

    fn pieces(&self, layout: &Layout) -> u64 {
        let bytes = (self.group as usize - 1) * layout.stride + 1;
        if self.prefetch { bytes.div_ceil(prefetch_step(layout)) as u64 } else { 0 }
    }

    /// A core that is ready to call the function, with the arguments in memory.
    fn core(&self, program: &Program, layout: &Layout, record: &SaveRecord) -> Core {
        let mut memory = self.memory(program, layout, record);
        let words = [ARENA, RECORDS, self.count, self.start, self.period, STOP, 0xbad, self.group, self.pieces(layout)];
        let edges = [self.span_groups, 1, self.delay, self.gap, 0xbad];
        for (at, word) in words.into_iter().chain(edges).chain([self.ahead]).enumerate() {
            memory.poke(ARGS + 8 * at as u64, 8, word);
        }
        let mut core = Core::new(memory);
        core.tick = self.tick;
        core.disturbances = self.disturbances.iter().copied().collect();
        core
    }

    /// What the waits must come to. The clock only advances when it is read.
    fn waits(&self) -> Waits {
        if let Pace::Edges { coarse_bits } = self.pace {
            return self.waits_for_edges(coarse_bits);
        }
        let (mut clock, mut late, mut reads) = (1000, 0, 0);
        let mut look = || {
            reads += 1;
            clock += self.tick;
            clock
        };
        let groups = if self.pace == Pace::Paced { self.count.div_ceil(self.group) } else { self.count.min(1) };
        for group in 0..groups {
            let start = self.start + group * self.period;
            if self.pace == Pace::Paced && look() >= start {
                late += 1;
                continue;
            }
            while look() < start {}
        }
        Waits { late, reads, steps: 0 }
    }

    fn waits_for_edges(&self, coarse_bits: u8) -> Waits {
        let mut waits = Waits { late: 0, reads: 0, steps: if self.count == 0 { self.gap } else { 0 } };
        let (mut clock, mut start, mut left, mut gap) = (1000, self.start, 1, 0);
        for _ in 0..self.count.div_ceil(self.group) {
            left -= 1;
            if left > 0 {
                waits.steps += gap;
                continue;
            }
            left = self.span_groups;
            let mut look = || {
                waits.reads += 1;
                clock += self.tick;
                clock >> coarse_bits << coarse_bits
            };
            let (edge, first) = (start, look());
            start += self.period;
            if first >= edge {
                waits.late += 1;
                gap = if first < start { self.gap } else { 0 };
                continue;
            }
            while look() < edge {}
            gap = self.gap;
            waits.steps += self.delay;
        }
        waits
    }
}

/// Runs thread 0 of a program on an architecture and compares everything with the reference.
#[track_caller]
fn check(target: Target, program: &Program, batch: &Batch) -> Outcome {
    check_prepared(target, program, batch, None, |_| ())
}

/// As [`check`], on a machine that `prepare` has changed. `released` is a lock that is held at first, and its value once
/// the other thread has released it.
#[track_caller]
fn check_prepared(
    target: Target,
    program: &Program,
    batch: &Batch,
    released: Option<(u64, u64)>,
    prepare: impl FnOnce(&mut Core),
) -> Outcome {
    let thread = &program.threads[0];
    let (layout, record) = (batch.layout(program), SaveRecord::new(thread));
    let code = emit(target, program, &layout, batch.pace).unwrap_or_else(|error| panic!("{error}"));
    let what = format!("{} {target:?} {batch:?}", program.name);
    let mut core = batch.core(program, &layout, &record);
    prepare(&mut core);
    let outcome = call(&code[0], core).unwrap_or_else(|error| panic!("{what}: {error}"));
    let memory = &outcome.core.memory;
    assert_eq!(outcome.returned, 0, "{what}: gave up");

    let mut expected = batch.memory(program, &layout, &record);
    if let Some((lock, word)) = released {
        expected.poke(lock, 4, word);
    }
    let mut disturbances = batch.disturbances.clone();
    for instance in 0..batch.count {
        let base = ARENA + instance * layout.stride as u64;
        let registers = reference::run(thread, &mut expected, target.lock, (base, &layout.offsets), &mut disturbances);
        for slot in &record.slots {
            let at = RECORDS + instance * record.stride as u64 + slot.offset as u64;
            let value = registers.get(&slot.register).copied().unwrap_or(0);
            let name = &thread.registers[slot.register].name;
            let value = interpreter::zero_extend(value, slot.bytes);
            assert_eq!(memory.peek(at, slot.bytes), value, "{what}: {name} of instance {instance}");
        }
    }
    assert_eq!(memory.arena(), expected.arena(), "{what}: the instances");
    let found =
        Waits { late: memory.peek(ARGS + 48, 8), reads: outcome.core.clock_reads, steps: chain_steps(&outcome) };
    assert_eq!(found, batch.waits(), "{what}");
    let left = if batch.pace.is_paced() { 0 } else { batch.count };
    assert_eq!(memory.peek(ARGS + 16, 8), left, "{what}: instances left");
    check_prefetches(program, &layout, batch, &outcome, &what);
    outcome
}

/// The steps of chains that ran: multiplications outside of the test's operations.
fn chain_steps(outcome: &Outcome) -> u64 {
    let of_chain = |index: &&usize| {
        let instruction = &outcome.instructions[**index];
        matches!(instruction.part, Part::Delay | Part::Cold)
            && instruction.text.split_whitespace().next().is_some_and(|word| word.contains("mul"))
    };
    outcome.executed.iter().filter(of_chain).count() as u64
}

/// Checks that the lines of each group are prefetched once before the group: those that the thread stores to for ownership, as far
/// ahead as the batch says, and then the others.
fn check_prefetches(program: &Program, layout: &Layout, batch: &Batch, outcome: &Outcome, what: &str) {
    let mut own: Vec<(usize, bool)> = Vec::new();
    for op in &program.threads[0].ops {
        let Some(Address::Location(location)) = op.address() else { continue };
        let owns =
            !matches!(op, Op::Load { .. } | Op::SpinIsLocked { .. } | Op::Store { access: Access::NonTemporal, .. });
        match own.iter_mut().find(|(known, _)| *known == location) {
            Some((_, known)) => *known |= owns,
            None => own.push((location, owns)),
        }
    }
    let mut expected = Vec::new();
    if batch.pace.is_paced() {
        for group in 0..batch.count.div_ceil(batch.group) {
            for (owned, ahead) in [(true, batch.ahead), (false, 0)] {
                for piece in 0..batch.pieces(layout) {
                    let start =
                        ARENA + group * batch.group * layout.stride as u64 + piece * prefetch_step(layout) as u64;
                    let lines = own.iter().filter(|(_, owns)| *owns == owned);
                    expected.extend(lines.map(|&(at, owns)| (start + ahead + layout.offsets[at] as u64, owns)));
                }
            }
        }
    }
    let found: Vec<(u64, bool)> = (outcome.core.memory.touched.iter())
        .filter_map(|touch| match touch.kind {
            TouchKind::Prefetch { owns } => Some((touch.address, owns)),
            _ => None,
        })
        .collect();
    assert_eq!(found, expected, "{what}: prefetches");
}

fn everywhere(program: &Program, batch: &Batch) {
    for (_, target) in TARGETS {
        check(target, program, batch);
    }
}

/// Variables of every type, and registers of most types.
const VARIABLES: &str =
    "int *x, long *w, u8 *c, s8 *d, u16 *e, s16 *f, u32 *g, u64 *h, atomic_t *a, atomic64_t *b, spinlock_t *l, int **p";
const INITIAL: &str = "int x=5; long w=0x123456789abcdef; u8 c=200; s8 d=-3; u16 e=60000; s16 f=-300; u32 g=0xfffffff0; \
                       u64 h=0xfedcba9876543210; atomic_t a=-7; atomic64_t b=0x7fffffff00000000; p=&x;";
const REGISTERS: &str = "int r = 77; int q = 3; unsigned int u = 0xfffffff5; unsigned int t = 9; long n = -0x123456789a; long m = 6; \
                         u64 o = 0xf000000000000001; u8 k = 250; s8 j = -120; u16 y = 65000; s16 z = -32000;";

fn statements(body: &str) -> Program {
    let text = format!(
        "C t\n{{ {INITIAL} }}\nP0({VARIABLES}) {{ {REGISTERS} {body} }}\n\
         exists (0:r=1 /\\ 0:q=1 /\\ 0:n=1 /\\ 0:u=1 /\\ x=1 /\\ c=1)"
    );
    let mut program = program(&text);
    program.name = body.to_owned();
    program
}

/// Checks every statement in both paces, with near and far layouts.
fn tried(bodies: &[String]) {
    for body in bodies {
        let program = statements(body);
        everywhere(&program, &Batch::new(Pace::Free));
        everywhere(&program, &Batch { kind: LayoutKind::Packed, ..Batch::new(Pace::Paced) });
        everywhere(&program, &Batch::new(Pace::Edges { coarse_bits: 3 }));
    }
}

const ORDERS: [&str; 4] = ["", "_relaxed", "_acquire", "_release"];

/// All read-modify-writes with their operands.
fn updates() -> Vec<String> {
    let mut all = Vec::new();
    for (prefix, place, narrow) in [("atomic_", "a", "q"), ("atomic64_", "b", "n")] {
        let result = if place == "a" { "r" } else { "n" };
        for op in ["add", "sub", "and", "or", "xor", "andnot"] {
            for operand in [narrow, "5", "-1"] {
                all.push(format!("{prefix}{op}({operand}, {place});"));
            }
            for order in ORDERS {
                all.push(format!("{result} = {prefix}fetch_{op}{order}({narrow}, {place});"));
            }
        }
        for op in ["add", "sub"] {
            for order in ORDERS {
                all.push(format!("{result} = {prefix}{op}_return{order}({narrow}, {place});"));
            }
        }
        for op in ["inc", "dec"] {
            all.push(format!("{prefix}{op}({place});"));
            for order in ORDERS {
                all.push(format!("{result} = {prefix}{op}_return{order}({place});"));
                all.push(format!("{result} = {prefix}fetch_{op}{order}({place});"));
            }
        }
        for start in ["-1", "0", "1", "2", "3"] {
            all.push(format!("{prefix}set({place}, {start}); r = {prefix}sub_and_test(3, {place});"));
            all.push(format!("{prefix}set({place}, {start}); r = {prefix}dec_and_test({place});"));
            all.push(format!("{prefix}set({place}, {start}); r = {prefix}inc_and_test({place});"));
            all.push(format!("{prefix}set({place}, {start}); r = {prefix}add_negative(-2, {place});"));
        }
    }
    for (place, result, register) in [("x", "r", "q"), ("w", "n", "m"), ("g", "u", "t"), ("h", "n", "m")] {
        for order in ORDERS {
            all.push(format!("{result} = xchg{order}({place}, {register});"));
            all.push(format!("{register} = xchg{order}({place}, {register});"));
            // The first compare-and-exchange fails; the others succeed.
            all.push(format!("{result} = cmpxchg{order}({place}, {register}, 7);"));
            all.push(format!(
                "{result} = READ_ONCE(*{place}); {result} = cmpxchg{order}({place}, {result}, {register});"
            ));
            all.push(format!(
                "{result} = READ_ONCE(*{place}); {register} = cmpxchg{order}({place}, {result}, {register});"
            ));
        }
    }
    all
}

#[test]
fn every_update_computes_what_it_should() {
    tried(&updates());
}

#[test]
fn an_update_that_somebody_comes_before_is_done_again() {
    for body in updates() {
        let program = statements(&body);
        for kind in [LayoutKind::Padded, LayoutKind::Packed] {
            let plain = Batch { count: 1, kind, ..Batch::new(Pace::Free) };
            let layout = plain.layout(&program);
            let op = program.threads[0].ops.iter().rev().find(|op| matches!(op, Op::Rmw { .. } | Op::Cmpxchg { .. }));
            let Some(Address::Location(location)) = op.and_then(Op::address) else { panic!("{body}: no update") };
            let bytes = program.locations[location].ty.bytes();
            let address = ARENA + layout.offsets[location] as u64;
            // One or two disturbances, each with a different value.
            for values in [&[0x11][..], &[0xffff_ffff_ffff_fff8, 2][..]] {
                let disturbances =
                    values.iter().map(|&value| Disturbance { address, bytes, value }).collect::<Vec<_>>();
                for (_, target) in TARGETS {
                    // A single instruction can be disturbed only once, just before it takes effect.
                    let loops = match target.arch {
                        Arch::Powerpc64le => true,
                        Arch::Aarch64 => target.atomics == Atomics::Llsc,
                        _ => false,
                    };
                    let disturbances = if loops { &disturbances[..] } else { &disturbances[..1] };
                    check_disturbed(target, &program, &plain, disturbances);
                }
            }
        }
    }
}

/// Checks an update with writes by another thread before each attempt. Only the last write is visible to the update.
#[track_caller]
fn check_disturbed(target: Target, program: &Program, plain: &Batch, disturbances: &[Disturbance]) {
    let (thread, record) = (&program.threads[0], SaveRecord::new(&program.threads[0]));
    let layout = plain.layout(program);
    let code = emit(target, program, &layout, plain.pace).unwrap();
    let mut core = plain.core(program, &layout, &record);
    core.disturbances = disturbances.iter().copied().collect();
    let what = format!("{} {target:?} {:?} {disturbances:?}", program.name, plain.kind);
    let outcome = call(&code[0], core).unwrap_or_else(|error| panic!("{what}: {error}"));
    // A compare-and-exchange that already fails by the value it finds is not disturbed.
    let happened = disturbances.len() - outcome.core.disturbances.len();
    let mut last = disturbances[..happened].last().copied().into_iter().collect();
    let mut expected = plain.memory(program, &layout, &record);
    let registers = reference::run(thread, &mut expected, target.lock, (ARENA, &layout.offsets), &mut last);
    assert_eq!(outcome.core.memory.arena(), expected.arena(), "{what}");
    for slot in &record.slots {
        let value = interpreter::zero_extend(registers[&slot.register], slot.bytes);
        assert_eq!(outcome.core.memory.peek(RECORDS + slot.offset as u64, slot.bytes), value, "{what}");
    }
}

#[test]
fn every_access_has_its_variables_width() {
    let mut bodies = Vec::new();
    for (place, result) in
        [("x", "r"), ("w", "n"), ("c", "r"), ("d", "r"), ("e", "r"), ("f", "r"), ("g", "u"), ("h", "n")]
    {
        bodies.push(format!("{result} = READ_ONCE(*{place});"));
        bodies.push(format!("{result} = smp_load_acquire({place});"));
        for value in ["q", "-3", "n", "0", "77", "0x1234"] {
            bodies.push(format!("WRITE_ONCE(*{place}, {value});"));
            bodies.push(format!("smp_store_release({place}, {value}); {result} = *{place};"));
            bodies.push(format!("smp_store_mb(*{place}, {value}); {result} = *{place};"));
        }
    }
    tried(&bodies);
    for body in &bodies {
        let program = statements(body);
        let batch = Batch { count: 1, ..Batch::new(Pace::Free) };
        let layout = batch.layout(&program);
        for (_, target) in TARGETS {
            let outcome = check(target, &program, &batch);
            let expected: Vec<(Part, u64, usize)> = (program.threads[0].ops.iter().enumerate())
                .filter_map(|(index, op)| {
                    let Some(Address::Location(location)) = op.address() else { return None };
                    let at = ARENA + layout.offsets[location] as u64;
                    Some((Part::Op(index), at, program.locations[location].ty.bytes()))
                })
                .collect();
            let found: Vec<(Part, u64, usize)> = outcome
                .core
                .memory
                .touched
                .iter()
                .map(|&Touch { part, address, bytes, .. }| (part, address, bytes))
                .collect();
            assert_eq!(found, expected, "{body} on {}", target.arch);
        }
    }
}

#[test]
fn locks_arithmetic_and_jumps_come_out_as_written() {
    let mut bodies: Vec<String> = [
        "spin_lock(l); WRITE_ONCE(*x, 4); spin_unlock(l); r = spin_is_locked(l);",
        "spin_lock(l); r = spin_is_locked(l) * 10 + spin_trylock(l); spin_unlock(l);",
        "r = spin_trylock(l); q = spin_trylock(l); spin_unlock(l); u = spin_is_locked(l);",
        "smp_mb(); smp_rmb(); smp_wmb(); mb(); rmb(); wmb(); smp_mb__after_spinlock(); smp_mb__after_unlock_lock(); r = 2;",
        "WRITE_ONCE(*p, x); r = *READ_ONCE(*p); q = (*p == x);",
        "if (*x == 5) r = 1; else r = 2;",
        "if (*x != 5) r = 1; else { if (q > 2) r = 3; else r = 4; }",
        "if (q == 3 && *x == 5) r = 6; if (q == 4 || *x == 4) r = 7;",
        "r = q && *x - 5; u = q - 3 || *x;",
        "n = q; n = n + *w; r = n;",
        "n = u; r = (n > 4000000000);",
        "k = k + 10; r = k; j = j - 20; q = j; y = y + 1000; u = y; z = z - 1000; n = z;",
        "r = (u8)q; q = (s8)u; u = (u16)n; n = (s16)n;",
        "r = 70000; q = -70000; n = 0x7edcba9876543210; u = 0xffffffff;",
        "n = *d; m = *f; r = (n < 0); q = (m == -300);",
        "k = 200; n = (s8)k;",
        "j = -128; n = j; z = -32768; n = n + z;",
        "z = -32768; n = z; y = 65535; n = n + y;",
        "n = smp_load_acquire(f); m = smp_load_acquire(d); r = (n + m == -303);",
        "n = -5000000000; r = 2047; q = 2048; u = 4095;",
        "n = 0x7fffffff; r = 0x7ffff800; q = -2048; u = -2049;",
        "n = 0x800000000000; r = -0x7fffffff; q = 0x8000; u = 0xffff8000;",
        "r = ~q; q = -q; n = ~n; u = -u;",
        // Unsigned values with the highest bit set.
        "r = (u == 0xfffffff5) + (u > 5) * 10; u = (u | 0x80000000) ^ 0xff; r = r + (u > 0xf0000000) * 100;",
        "t = t | 0x90000000; r = (t == 0x90000009); q = (t < 0xa0000000); if (t == 0x90000009) u = 1;",
        "u = cmpxchg(g, 0xfffffff0, 0x80000001); t = cmpxchg(g, 0x80000001, 3); r = (t == 0x80000001);",
        "u = 0x80000000; n = u; r = (u < 0xffffffff); q = (u != 0x80000000);",
        // False address dependencies: what is added is 0 whatever was read.
        "r = *(x + (q & 0)); q = *(x + (q ^ q)); u = *((r - r) + x);",
        "int z0 = q ^ q; int *p0 = x + z0; r = READ_ONCE(*p0); WRITE_ONCE(*p0, q);",
        "long z1 = n - n; int *p1 = READ_ONCE(*p); int *p2 = p1 + z1; *p2 = 9; r = *x;",
        "int *p3 = READ_ONCE(*p); n = p3 ^ p3; r = *(x + (p3 & 0)); q = smp_load_acquire(x + n);",
        "short z2 = k & 0; r = READ_ONCE(*(x + z2)); WRITE_ONCE(*(x - z2), 3);",
        // An address in an integer of its width.
        "long p4 = (long)x; r = READ_ONCE(*(int *)p4); u64 p5 = (u64)READ_ONCE(*p); q = *(int *)p5;",
        // Loops whose rounds are counted.
        "for (q = 0; q < 3; q++) { WRITE_ONCE(*x, q); r += 2; }",
        "int i0 = 0; while (i0 < 2) { atomic_inc(a); ++i0; } r = i0;",
        "int i1 = 5; do { *x += i1; i1 -= 2; } while (i1 > 0); r = i1 << 1;",
        "for (int i2 = 1; i2 <= 8; i2 <<= 1) for (q = 0; q < 2; q++) r ^= i2; r |= 64; r &= 127; q >>= 1;",
    ]
    .map(str::to_owned)
    .to_vec();
    for (a, b, c) in [("q", "x1", "r"), ("u", "t", "u"), ("n", "m", "n"), ("m", "n", "n")] {
        let b = if b == "x1" { "*x" } else { b };
        for op in ["+", "-", "*", "&", "|", "^"] {
            bodies.push(format!("{c} = {a} {op} {b};"));
            bodies.push(format!("{c} = {a} {op} 3; {a} = 100000 {op} {a};"));
        }
        for op in ["<", "<=", ">", ">=", "==", "!="] {
            bodies.push(format!("r = {a} {op} {b};"));
            bodies.push(format!("r = {b} {op} {a}; q = {a} {op} {a};"));
            bodies.push(format!(
                "r = 1; if ({a} {op} {b}) r = 2; q = 1; if ({b} {op} {a}) q = 2; if ({a} {op} {a}) u = 2;"
            ));
            bodies.push(format!("r = 1; if ({a} {op} 0) r = 2; if ({a} {op} -1) q = 9; if ({a} {op} 70000) u = 8;"));
        }
        for count in ["0", "1", "3", "31"] {
            bodies.push(format!("{c} = {a} << {count}; {a} = {b} >> {count};"));
        }
    }
    bodies.extend(["n = n << 33 >> 40; m = m << 63;".to_owned(), "n = o >> 33; m = o << 1; r = (o > 5);".to_owned()]);
    tried(&bodies);
}

/// The executed instructions of an operation that access or order memory: mnemonics, and fences with their operands.
fn skeleton(outcome: &Outcome, index: usize) -> Vec<String> {
    let own = outcome.executed.iter().map(|&at| &outcome.instructions[at]);
    let mut out = Vec::new();
    for instruction in own.filter(|instruction| instruction.part == Part::Op(index)) {
        let text = instruction.text.as_str();
        let word = text.split_whitespace().next().unwrap_or("");
        match word {
            "lock" => out.push(text.split_whitespace().take(2).collect::<Vec<_>>().join(" ")),
            "dmb" | "dsb" | "fence" | "sync" | "lwsync" | "isync" => out.push(text.to_owned()),
            _ if text.contains(['[', '(']) || word.ends_with("arx") || word.ends_with("cx.") => {
                out.push(word.to_owned())
            }
            _ => {}
        }
    }
    out
}

/// What happens during an update.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Course {
    Done,
    /// Another thread writes once before the update takes effect.
    Again,
    /// A compare-and-exchange finds another value than it expects.
    Fails,
}

/// The instructions that the kernel executes for an update, given its order, its operand and what happens during it.
///
/// Source: the kernel's headers (docs/kernel.md, section 5): arch/x86/include/asm/{atomic,cmpxchg}.h,
/// arch/arm64/include/asm/atomic_{lse,ll_sc}.h, arch/powerpc/include/asm/{atomic,cmpxchg,synch}.h,
/// arch/riscv/include/asm/{atomic,cmpxchg}.h. A compare-and-exchange that fails leaves before the barrier
/// behind it, so it does not act as a barrier.
fn update_of_the_kernel(target: Target, op: &Op, course: Course) -> Vec<String> {
    let (rmw, result, order, wide, one) = match op {
        Op::Rmw { op, result, order, ty, value, .. } => {
            let one = *value == Operand::Const(Const::Int(1));
            (Some(*op), *result, *order, ty.bytes() == 8, one)
        }
        Op::Cmpxchg { order, ty, .. } => (None, RmwResult::Old, *order, ty.bytes() == 8, false),
        _ => panic!("no update"),
    };
    let times = if course == Course::Again { 2 } else { 1 };
    let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
    let pairs = |load: &str, store: &str| -> Vec<String> {
        if course == Course::Fails { vec![load.to_owned()] } else { words(&[load, store].repeat(times)) }
    };
    // Puts the barriers before and behind the update. A failed compare-and-exchange does not reach the barrier
    // behind it.
    let around = |before: &str, middle: Vec<String>, behind: &str| -> Vec<String> {
        let behind = if course == Course::Fails { "" } else { behind };
        let some = |word: &str| (!word.is_empty()).then(|| word.to_owned());
        some(before).into_iter().chain(middle).chain(some(behind)).collect()
    };
    let by_order = |of: [&'static str; 4]| match order {
        Order::Relaxed => of[0],
        Order::Acquire => of[1],
        Order::Release => of[2],
        Order::Full => of[3],
    };
    match target.arch {
        Arch::X86_64 => match (rmw, result) {
            (None, _) => words(&["lock cmpxchg"]),
            (Some(RmwOp::Xchg), _) => words(&["xchg"]),
            (Some(op), RmwResult::None | RmwResult::NewIsZero | RmwResult::NewIsNegative) => words(&[match op {
                RmwOp::Add if one => "lock inc",
                RmwOp::Sub if one => "lock dec",
                RmwOp::Add => "lock add",
                RmwOp::Sub => "lock sub",
                RmwOp::Or => "lock or",
                RmwOp::Xor => "lock xor",
                _ => "lock and",
            }]),
            (Some(RmwOp::Add | RmwOp::Sub), _) => words(&["lock xadd"]),
            _ => words(&[&["mov"][..], &["lock cmpxchg"].repeat(times)].concat()),
        },
        Arch::Aarch64 if target.atomics == Atomics::Lse => {
            // __lse_atomic_sub_return() of 32 bits calls a fully ordered function, whatever its own suffix.
            let full = rmw == Some(RmwOp::Sub) && result == RmwResult::New && !wide;
            let letters = if full { "al" } else { by_order(["", "a", "l", "al"]) };
            let stem = match rmw {
                None => "cas",
                Some(RmwOp::Xchg) => "swp",
                Some(RmwOp::Add | RmwOp::Sub) => "ldadd",
                Some(RmwOp::And | RmwOp::AndNot) => "ldclr",
                Some(RmwOp::Or) => "ldset",
                Some(RmwOp::Xor) => "ldeor",
            };
            // Without a result the instruction is the store form.
            let stem = if result == RmwResult::None { stem.replacen("ld", "st", 1) } else { stem.to_owned() };
            vec![format!("{stem}{letters}")]
        }
        Arch::Aarch64 => {
            let load = by_order(["ldxr", "ldaxr", "ldxr", "ldxr"]);
            let store = by_order(["stxr", "stxr", "stlxr", "stlxr"]);
            around("prfm", pairs(load, store), by_order(["", "", "", "dmb ish"]))
        }
        Arch::Powerpc64le => {
            let middle = if wide { pairs("ldarx", "stdcx.") } else { pairs("lwarx", "stwcx.") };
            // PPC_ACQUIRE_BARRIER is isync as compiled, and lwsync as a running kernel executes it.
            around(by_order(["", "", "lwsync", "sync"]), middle, by_order(["", "lwsync", "", "sync"]))
        }
        Arch::Riscv64gc => {
            let width = if wide { "d" } else { "w" };
            let before = by_order(["", "", "fence rw, w", ""]);
            match rmw {
                None => {
                    let release = by_order(["", "", "", ".rl"]);
                    let middle = pairs(&format!("lr.{width}"), &format!("sc.{width}{release}"));
                    around(before, middle, by_order(["", "fence r, rw", "", "fence rw, rw"]))
                }
                Some(op) => {
                    let stem = match op {
                        RmwOp::Add | RmwOp::Sub => "amoadd",
                        RmwOp::Or => "amoor",
                        RmwOp::Xor => "amoxor",
                        RmwOp::Xchg => "amoswap",
                        _ => "amoand",
                    };
                    let letters = by_order(["", "", "", ".aqrl"]);
                    around(before, vec![format!("{stem}.{width}{letters}")], by_order(["", "fence r, rw", "", ""]))
                }
            }
        }
    }
}

#[test]
fn every_update_executes_the_kernels_instructions_in_every_order() {
    let mut tried = 0;
    for body in updates() {
        let program = statements(&body);
        let batch = Batch { count: 1, ..Batch::new(Pace::Free) };
        let layout = batch.layout(&program);
        let ops = &program.threads[0].ops;
        let index = ops.iter().rposition(|op| matches!(op, Op::Rmw { .. } | Op::Cmpxchg { .. })).unwrap();
        let Some(Address::Location(location)) = ops[index].address() else { panic!("{body}: no update") };
        let bytes = program.locations[location].ty.bytes();
        let address = ARENA + layout.offsets[location] as u64;
        let exchange = matches!(ops[index], Op::Cmpxchg { .. });
        let fails = exchange && !body.contains("READ_ONCE");
        for (_, target) in TARGETS {
            let mut courses = vec![if fails { Course::Fails } else { Course::Done }];
            if !exchange {
                courses.push(Course::Again);
            }
            for course in courses {
                let code = emit(target, &program, &layout, batch.pace).unwrap();
                let mut core = batch.core(&program, &layout, &SaveRecord::new(&program.threads[0]));
                if course == Course::Again {
                    core.disturbances.push_back(Disturbance { address, bytes, value: 0x55 });
                }
                let what = format!("{body} on {} with {}, {course:?}", target.arch, target.atomics);
                let outcome = call(&code[0], core).unwrap_or_else(|error| panic!("{what}: {error}"));
                // A single instruction is not repeated.
                assert_eq!(skeleton(&outcome, index), update_of_the_kernel(target, &ops[index], course), "{what}");
                let own = outcome.core.memory.touched.iter().filter(|touch| touch.part == Part::Op(index));
                assert!(own.clone().count() > 0 && own.clone().all(|touch| touch.bytes == bytes), "{what}");
                tried += 1;
            }
        }
    }
    assert!(tried > 1000, "{tried}");
}

/// The number of instances is sometimes a multiple of the group size and sometimes not; some starts are late.
#[test]
fn groups_late_starts_and_fetching_are_as_asked() {
    let bodies =
        ["WRITE_ONCE(*x, 1); r = READ_ONCE(*w); u = READ_ONCE(*c);", "spin_lock(l); q = spin_is_locked(l);", "r = 3;"];
    for body in bodies {
        let program = statements(body);
        for kind in [LayoutKind::Padded, LayoutKind::Dense] {
            for (count, group) in [(0, 1), (1, 1), (5, 2), (6, 3), (4, 9)] {
                for (start, period, tick) in [(1500, 40, 7), (0, 0, 7), (1100, 20, 7), (1002, 14, 7)] {
                    for (prefetch, ahead) in [(false, 0), (true, 0), (true, 4096), (false, 4096)] {
                        let times = Batch { start, period, tick, ..Batch::new(Pace::Paced) };
                        let batch = Batch { kind, count, group, prefetch, ahead, ..times };
                        everywhere(&program, &batch);
                    }
                }
                everywhere(&program, &Batch { kind, count, ..Batch::new(Pace::Free) });
            }
        }
    }
}

/// Spans wait for edges of a fine and of a coarse clock; the last one is sometimes not full. Some start late by less than a
/// span, and some by more, after which gaps must not hold the thread up.
#[test]
fn spans_wait_for_edges_and_chains_fill_them() {
    let bodies =
        ["WRITE_ONCE(*x, 1); r = READ_ONCE(*w); u = READ_ONCE(*c);", "spin_lock(l); q = spin_is_locked(l);", "r = 3;"];
    let (mut waited, mut late, mut overtaken) = (0, 0, 0);
    for body in bodies {
        let program = statements(body);
        for coarse_bits in [0, 5] {
            for (count, group) in [(0, 1), (1, 1), (5, 2), (7, 1), (9, 2)] {
                for (start, period) in [(1504, 64), (0, 0), (1024, 32), (992, 32), (1024, 0), (1600, 512)] {
                    for (span_groups, delay, gap) in [(1, 0, 0), (1, 9, 4), (2, 0, 7), (3, 4, 1), (2, 24, 17)] {
                        let edges = Batch { span_groups, delay, gap, ..Batch::new(Pace::Edges { coarse_bits }) };
                        let batch =
                            Batch { count, group, start, period, prefetch: count == 5, ahead: 128 * group, ..edges };
                        everywhere(&program, &batch);
                        let Waits { late: now, steps, .. } = batch.waits();
                        waited += u64::from(steps > 0 && now == 0);
                        late += u64::from(steps > 0 && now > 0);
                        overtaken += u64::from(steps == 0 && now > 0 && gap > 0 && span_groups > 1);
                    }
                }
            }
        }
    }
    assert!(waited > 10 && late > 10 && overtaken > 10, "{waited} {late} {overtaken}");
}

/// A chain delays the access and not only the instructions before it: the address of the instance comes out of the chain.
#[test]
fn no_access_can_be_executed_before_its_chain_has_ended() {
    let program = statements("WRITE_ONCE(*x, 1); r = READ_ONCE(*w);");
    for (_, target) in TARGETS {
        let batch = Batch { count: 6, group: 2, ..Batch::new(Pace::Edges { coarse_bits: 4 }) };
        let outcome = check(target, &program, &batch);
        let texts = |part| -> Vec<&str> {
            (outcome.instructions.iter()).filter(|one| one.part == part).map(|one| one.text.as_str()).collect()
        };
        let arena = match target.arch {
            Arch::X86_64 => "rdi",
            Arch::Aarch64 => "x1",
            Arch::Powerpc64le => "r14",
            Arch::Riscv64gc => "a1",
        };
        let delay = texts(Part::Delay);
        let (first, last) = (delay[0], delay[delay.len() - 1]);
        assert!(first.contains(arena) && last.starts_with(&format!("add {arena}, ")), "{delay:?}");
        assert!(last != format!("add {arena}, 0"), "{delay:?}");
        // Addresses are computed after it.
        let of = |wanted| outcome.instructions.iter().position(|one| one.part == wanted);
        assert!(of(Part::Delay) < of(Part::Op(0)) && of(Part::Setup).is_none_or(|at| Some(at) > of(Part::Delay)));
    }
}

/// Variables lie as far apart as permitted, and just inside and outside the reach of each kind of displacement.
#[test]
fn far_variables_are_where_the_layout_has_them() {
    let body = "WRITE_ONCE(*w, 7); r = READ_ONCE(*x); smp_store_release(x, 8); n = atomic64_fetch_add(3, b); spin_lock(l); \
                WRITE_ONCE(*l2, 1); WRITE_ONCE(*c, 3); atomic_set(a, 9); \
                WRITE_ONCE(*h, 4); WRITE_ONCE(*p, x); spin_unlock(l); q = smp_load_acquire(e); u = *f;";
    for batch in
        [1, 8, 40, 60, 250, 255, 256, 500, 511, 512, 1000, 2040, 4000, 4090, 8180, 100_000, 1 << 20, 20_000_000]
    {
        let text = format!(
            "C far\n{{ {INITIAL} }}\nP0({VARIABLES}, long *l2) {{ {REGISTERS} {body} }}\nexists (0:r=1 /\\ 0:n=1 /\\ 0:q=1 /\\ 0:u=1)"
        );
        let program = program(&text);
        for (_, target) in TARGETS {
            for pace in [Pace::Free, Pace::Paced] {
                let layout = Layout::for_batch(LayoutKind::Dense, &program, 128, Some(batch)).unwrap();
                let record = SaveRecord::new(&program.threads[0]);
                let code = emit(target, &program, &layout, pace).unwrap();
                let plain = Batch { count: 1, prefetch: true, ..Batch::new(pace) };
                let mut core = plain.core(&program, &layout, &record);
                core.memory = core.memory.with_arena(layout.bytes(1).unwrap() as u64);
                let outcome = call(&code[0], core).unwrap_or_else(|error| panic!("{} {batch}: {error}", target.arch));
                let mut expected = Memory::new(layout.bytes(1).unwrap() as u64, 0);
                reference::initialise(&program, &mut expected, ARENA, &layout.offsets);
                reference::run(
                    &program.threads[0],
                    &mut expected,
                    target.lock,
                    (ARENA, &layout.offsets),
                    &mut Vec::new(),
                );
                assert_eq!(outcome.core.memory.arena(), expected.arena(), "{} {batch} {pace:?}", target.arch);
            }
        }
    }
}

const PACES: [Pace; 3] = [Pace::Free, Pace::Paced, Pace::Edges { coarse_bits: 3 }];

/// Between the first operation of an instance and the saves nothing stands that no operation has.
fn nothing_between(outcome: &Outcome, what: &str) -> usize {
    let parts: Vec<Part> = outcome.instructions.iter().map(|instruction| instruction.part).collect();
    let first = parts.iter().position(|part| matches!(part, Part::Op(_))).unwrap();
    let own = parts[first..].iter().take_while(|part| !matches!(part, Part::Save)).count();
    assert!(parts[first..first + own].iter().all(|part| matches!(part, Part::Op(_))), "{what}");
    own
}

/// A thread with many values borrows registers of the loop. Constants and addresses are there before the first access, and what
/// the loop had is there again behind the last one.
#[test]
fn a_thread_in_c_with_many_values_borrows_the_registers_of_the_loop() {
    for (stores, loads) in [(0, 14), (10, 12), (13, 13), (16, 14), (18, 14), (20, 14)] {
        let each = |count: usize, of: &dyn Fn(usize) -> String, between: &str| {
            (0..count).map(of).collect::<Vec<_>>().join(between)
        };
        let text = format!(
            "C many\n{{ p=&l0; {} }}\nP0(int **p, {}, {}) {{ int {}; {} {} }}\nexists ({})",
            each(loads, &|n| format!("l{n}={};", 100 + n), " "),
            each(14, &|n| format!("int *l{n}"), ", "),
            each(20, &|n| format!("int *s{n}"), ", "),
            each(loads, &|n| format!("r{n}"), ", "),
            each(stores, &|n| format!("WRITE_ONCE(*s{n}, {});", 5000 + 77 * n), " "),
            each(loads, &|n| format!("r{n} = READ_ONCE(*l{n});"), " "),
            each(loads, &|n| format!("0:r{n}=1"), " /\\ ")
        );
        let mut program = program(&text);
        program.name = format!("{stores} stores, {loads} loads");
        for (_, target) in TARGETS {
            for pace in PACES {
                let batch = Batch { count: 3, kind: LayoutKind::Packed, ..Batch::new(pace) };
                let outcome = check(target, &program, &batch);
                let own = nothing_between(&outcome, &program.name);
                assert_eq!(own, stores + loads, "{} {target:?} {pace:?}", program.name);
            }
        }
    }
}

/// The same for a lock that is waited for, and given up.
#[test]
fn a_thread_with_many_values_waits_for_a_lock_and_gives_up() {
    let loads: String = (0..10).map(|n| format!("r{n} = READ_ONCE(*l{n}); ")).collect();
    let places: String = (0..10).map(|n| format!(", int *l{n}")).collect();
    let names: Vec<String> = (0..10).map(|n| format!("r{n}")).collect();
    let condition: Vec<String> = names.iter().map(|name| format!("0:{name}=1")).collect();
    let stores: String = (0..7).map(|n| format!("WRITE_ONCE(*l{n}, {}); ", 9000 + n)).collect();
    let program = program(&format!(
        "C lock\n{{}}\nP0(spinlock_t *k{places}) {{ int {}; {loads} spin_lock(k); {stores} spin_unlock(k); }}\nexists ({})",
        names.join(", "),
        condition.join(" /\\ ")
    ));
    for (_, target) in TARGETS {
        for pace in PACES {
            check(target, &program, &Batch::new(pace));
            let batch = Batch::new(pace);
            let (layout, record) = (batch.layout(&program), SaveRecord::new(&program.threads[0]));
            let code = emit(target, &program, &layout, pace).unwrap();
            let mut core = batch.core(&program, &layout, &record);
            core.memory.poke(ARENA + layout.offsets[0] as u64, 4, 1);
            core.memory.poke(STOP, 1, 1);
            let outcome = call(&code[0], core).unwrap_or_else(|error| panic!("{target:?} {pace:?}: {error}"));
            assert_eq!(outcome.returned, 1, "{target:?} {pace:?}");
        }
    }
}

/// A thread in assembly may use nearly every register of its architecture, also in a loop.
#[test]
fn a_thread_in_assembly_borrows_the_registers_of_the_loop() {
    for (arch, most) in MOST {
        let counts = [2, most / 2, most - 4, most - 3, most - 2, most - 1, most];
        for (count, looping) in counts.into_iter().flat_map(|count| [(count, false), (count, true)]) {
            let (text, values) = many(arch, count, looping);
            let scenario = Scenario::to_run(&Source::new("many.litmus", text.as_str()), "")
                .unwrap_or_else(|error| panic!("{error}\n{text}"));
            let program = &scenario.program;
            let (target, thread) = (Target::from(arch), &program.threads[0]);
            for pace in PACES {
                let batch = Batch { count: 3, ..Batch::new(pace) };
                let what = format!("{arch} {count} {looping} {pace:?}");
                let (layout, record) = (batch.layout(program), SaveRecord::new(thread));
                let code = emit(target, program, &layout, pace).unwrap_or_else(|error| panic!("{what}: {error}"));
                let run = |stop: u64| {
                    let mut core = batch.core(program, &layout, &record);
                    core.memory.poke(STOP, 1, stop);
                    call(&code[0], core).unwrap_or_else(|error| panic!("{what}: {error}"))
                };
                let outcome = run(0);
                nothing_between(&outcome, &what);
                assert_eq!(outcome.returned, 0, "{what}");
                for (instance, slot) in
                    (0..3).flat_map(|instance| record.slots.iter().map(move |slot| (instance, slot)))
                {
                    let at = RECORDS + instance * record.stride as u64 + slot.offset as u64;
                    let value = outcome.core.memory.peek(at, slot.bytes);
                    let column = program
                        .columns
                        .iter()
                        .position(|column| *column == Column::Register { thread: 0, register: slot.register });
                    assert_eq!(
                        value,
                        values[column.unwrap()] as u64,
                        "{what}: {}",
                        thread.registers[slot.register].name
                    );
                }
                let found = Waits {
                    late: outcome.core.memory.peek(ARGS + 48, 8),
                    reads: outcome.core.clock_reads,
                    steps: chain_steps(&outcome),
                };
                assert_eq!(found, batch.waits(), "{what}");
                assert_eq!(run(1).returned, u64::from(looping), "{what}: told to give up");
            }
        }
    }
}

/// While a lock is held, the thread polls it, yields the CPU regularly, and gives up only if told to.
#[test]
fn a_contended_lock_is_waited_for_or_given_up() {
    let program = statements("spin_lock(l); WRITE_ONCE(*x, 4); r = q + *x; spin_unlock(l); WRITE_ONCE(*c, 9);");
    let location = program.locations.iter().position(|location| location.name == "l").unwrap();
    for (_, target) in TARGETS {
        // The values of the lock while another thread holds it, after that thread has released it, and while this thread
        // waits too.
        let ticket = target.lock == Lock::Ticket;
        let [held, free, waited] = if ticket { [0x1_0000, 0x1_0001, 0x2_0000] } else { [1, 0, 1] };
        for pace in [Pace::Free, Pace::Paced] {
            let batch = Batch { count: 2, group: 2, ..Batch::new(pace) };
            let layout = batch.layout(&program);
            let lock = ARENA + layout.offsets[location] as u64;
            // The lock is released after this many polls.
            for looks in [1, 2, 50, 900] {
                let outcome = check_prepared(target, &program, &batch, Some((lock, free)), |core| {
                    core.memory.poke(lock, 4, held);
                    core.memory.ticket_lock = ticket;
                    core.memory.released_after = Some((lock, looks));
                });
                assert_eq!(outcome.core.yields, 0, "{}: {looks} looks", target.arch);
            }
            // The lock is released after this many yields: odd and even numbers, because swapping two registers
            // twice hides an error.
            for yields in [1, 2] {
                let outcome = check_prepared(target, &program, &batch, Some((lock, free)), |core| {
                    core.memory.poke(lock, 4, held);
                    core.memory.ticket_lock = ticket;
                    core.released_by_yield = Some((lock, yields));
                });
                assert_eq!(outcome.core.yields, yields, "{}", target.arch);
            }
            // The lock is never released: the first instance is not finished and the second not started.
            let record = SaveRecord::new(&program.threads[0]);
            let code = emit(target, &program, &layout, pace).unwrap();
            let mut core = batch.core(&program, &layout, &record);
            core.memory.poke(lock, 4, held);
            core.memory.poke(STOP, 1, 1);
            let outcome = call(&code[0], core).unwrap_or_else(|error| panic!("{}: {error}", target.arch));
            assert_eq!((outcome.returned, outcome.core.yields), (1, 0), "{}", target.arch);
            let looks = outcome.core.memory.touched.iter().filter(|touch| touch.address == lock).count();
            assert!((1000..1010).contains(&looks), "{}: {looks} looks", target.arch);
            let mut untouched = batch.memory(&program, &layout, &record);
            untouched.poke(lock, 4, waited);
            assert_eq!(outcome.core.memory.arena(), untouched.arena(), "{}", target.arch);
            assert_eq!(outcome.core.memory.peek(ARGS + 48, 8), 0, "{}: late", target.arch);
        }
    }
}

/// All non-temporal stores have completed whenever a thread returns. The interpreter refuses to return with one
/// pending.
#[test]
fn nontemporal_stores_are_drained_on_every_way_out() {
    let x86 = Target::from(Arch::X86_64);
    for body in ["__builtin_nontemporal_store(q, x);", "__builtin_nontemporal_store(n, w); r = 4;"] {
        for pace in [Pace::Free, Pace::Paced] {
            for count in [0, 1, 2, 5] {
                check(x86, &statements(body), &Batch { count, group: 2, ..Batch::new(pace) });
            }
            let program = statements(&format!("{body} smp_rmb(); if (q == 3) spin_lock(l);"));
            let batch = Batch { count: 2, ..Batch::new(pace) };
            let (layout, record) = (batch.layout(&program), SaveRecord::new(&program.threads[0]));
            let code = emit(x86, &program, &layout, pace).unwrap();
            let location = program.locations.iter().position(|location| location.name == "l").unwrap();
            let mut core = batch.core(&program, &layout, &record);
            core.memory.poke(ARENA + layout.offsets[location] as u64, 4, 1);
            core.memory.poke(STOP, 1, 1);
            assert_eq!(call(&code[0], core).map(|outcome| outcome.returned), Ok(1));
        }
    }
    // A thread without non-temporal stores has no sfence.
    let code =
        emit(x86, &statements("WRITE_ONCE(*x, 1);"), &Batch::new(Pace::Free).layout(&statements("r = 1;")), Pace::Free);
    let instructions = wakerace::codegen::disassemble(&code.unwrap()[0]).unwrap();
    assert!(instructions.iter().all(|instruction| instruction.text != "sfence"));
}

/// The interpreter reports an instruction that it does not know.
#[test]
fn an_instruction_that_is_not_known_is_refused() {
    let program = statements("r = 1;");
    let batch = Batch::new(Pace::Free);
    let (layout, record) = (batch.layout(&program), SaveRecord::new(&program.threads[0]));
    // The instructions are cpuid, wfi, mtlr r0, wfi.
    let strange = [
        (Arch::X86_64, vec![0x0f, 0xa2]),
        (Arch::Aarch64, 0xd503_207f_u32.to_le_bytes().to_vec()),
        (Arch::Powerpc64le, 0x7c08_03a6_u32.to_le_bytes().to_vec()),
        (Arch::Riscv64gc, 0x1050_0073_u32.to_le_bytes().to_vec()),
    ];
    for (arch, bytes) in strange {
        let mut code = emit(arch, &program, &layout, Pace::Free).unwrap().remove(0);
        code.bytes.splice(..bytes.len(), bytes);
        let error = call(&code, batch.core(&program, &layout, &record)).err().expect("an error");
        assert!(error.contains("does not know"), "{arch}: {error}");
    }
}
