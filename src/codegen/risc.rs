//! The part that the three load/store architectures share: the loop over instances, registers, operands, jumps.
//!
//! An architecture implements [`Risc`], with one method for each thing that it does in its own way. The
//! kernel's primitives are among these methods, so each architecture's file can be compared with the table in
//! docs/kernel.md, section 5. Constants and addresses that an instruction takes in a register are loaded before
//! the wait for the clock.

use std::mem::offset_of;

use super::aside::Aside;
use super::assembly::{self, Encoder, Pieces};
use super::registers::{Allocation, Wanted, allocate_all};
use super::{Pace, Part, SaveRecord, ThreadArgs, ThreadCode, displacement, low_word};
use crate::arch::Arch;
use crate::layout::Layout;
use crate::program::{
    Access, Address, Binary, Compare, Const, Fence, Op, Operand, Order, RmwOp, RmwResult, Thread, Type, Unary,
};

/// The numbers of the hardware registers that the loop uses.
#[derive(Debug, Clone, Copy)]
pub struct Fixed {
    /// Address of the current instance.
    pub arena: u8,
    /// Address of the current record.
    pub record: u8,
    /// Number of instances left; in paced code, left in the group.
    pub count: u8,
    /// Clock value at which the current instance starts, in ticks; with [`Pace::Edges`] that at which the next span starts.
    pub start: u8,
    /// Period of the pace, in ticks.
    pub period: u8,
    /// Number of instances that started late.
    pub late: u8,
    /// Address of the arguments.
    pub args: u8,
    /// Scratch registers for use within one primitive. The last one may hold an address while the primitive runs.
    pub scratch: [u8; 4],
    /// Registers for the values of the test.
    pub pool: &'static [u8],
    /// Registers of the loop that a thread in C with many values borrows during an instance (`aside`).
    pub borrowed: &'static [u8],
    /// The register that always reads as 0, if the architecture has one.
    pub zero: Option<u8>,
}

/// A read-modify-write with its operands in registers. `dst` may be `value` or `base`.
#[derive(Debug, Clone, Copy)]
pub struct RmwParts {
    /// The register for the result, if the result is used.
    pub dst: Option<u8>,
    /// The register that holds the address.
    pub base: u8,
    /// The register that holds the operand.
    pub value: u8,
    /// Whether the operation has 64 bits; otherwise 32.
    pub wide: bool,
    /// The operation.
    pub op: RmwOp,
    /// Which value the operation returns.
    pub result: RmwResult,
    /// The memory ordering.
    pub order: Order,
}

/// A compare-and-exchange with its operands in registers. `dst` may be any of them.
#[derive(Debug, Clone, Copy)]
pub struct CmpxchgParts {
    /// The register for the old value.
    pub dst: u8,
    /// The register that holds the address.
    pub base: u8,
    /// The register that holds the value that memory must have.
    pub expected: u8,
    /// The register that holds the value to store in that case.
    pub new: u8,
    /// Whether the operation has 64 bits; otherwise 32.
    pub wide: bool,
    /// The memory ordering.
    pub order: Order,
}

/// A comparison of two registers.
#[derive(Debug, Clone, Copy)]
pub struct Comparison {
    /// The relation.
    pub compare: Compare,
    /// The width: 32 or 64.
    pub bits: u8,
    /// Whether the values are signed.
    pub signed: bool,
}

impl Comparison {
    /// A comparison of 64-bit unsigned values, such as clock values and counters.
    pub const fn of_words(compare: Compare) -> Comparison {
        Comparison { compare, bits: 64, signed: false }
    }
}

/// A shift by a constant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shift {
    /// To the left.
    Left,
    /// To the right; zeros come in.
    RightLogical,
    /// To the right; the sign comes in.
    RightArithmetic,
}

/// An assembler for one architecture.
pub trait Risc {
    /// A jump target.
    type Label: Copy;

    /// The architecture.
    const ARCH: Arch;
    /// The registers that the loop uses.
    const FIXED: Fixed;
    /// Encodes the instructions of tests in assembly.
    const ENCODER: Encoder;

    /// The number of bytes emitted so far.
    fn offset(&self) -> usize;
    /// Creates a label.
    fn label(&mut self) -> Self::Label;
    /// Binds the label to the current offset.
    fn bind(&mut self, label: Self::Label);
    /// Appends machine code.
    fn append(&mut self, bytes: &[u8]);
    /// Returns the finished code, or the reason if a jump is too far.
    fn finish(self) -> Result<Vec<u8>, String>;

    /// Keeps the flags that a comparison of [`Risc::branch`] changes, where a test in assembly may still need them.
    fn keep_flags(&mut self) {}
    /// Restores the flags that [`Risc::keep_flags`] kept.
    fn restore_flags(&mut self) {}

    /// Saves the callee-saved registers, loads the arguments into their registers, and sets `late` to 0.
    fn prologue(&mut self);
    /// Stores `late`, restores the saved registers, and returns the first scratch register.
    fn epilogue(&mut self);

    /// Copies a register into vector register `vector`, one of those that a function need not preserve. There are at least 16
    /// of them, or 14 on POWER.
    fn put_aside(&mut self, vector: u8, rs: u8);
    /// rd = what [`Risc::put_aside`] has copied into `vector`.
    fn take_back(&mut self, rd: u8, vector: u8);

    /// rd = rs. For 32 bits, the upper half of rd gets the form in which the architecture keeps 32-bit values.
    fn mov(&mut self, rd: u8, rs: u8, bits: u8);
    /// rd = value
    fn constant(&mut self, rd: u8, value: i64);
    /// rd = rs + value. May use the last scratch register, which may be rd.
    fn add_constant(&mut self, rd: u8, rs: u8, value: i32);
    /// Whether a load or store can have this offset from its base register.
    fn reaches(&self, offset: i32, bytes: usize) -> bool;
    /// A plain load. 8-bit and 16-bit values are extended to 64 bits, because lowering uses them as values of
    /// any wider type.
    fn load(&mut self, rd: u8, base: u8, offset: i32, ty: Type);
    /// A plain store.
    fn store(&mut self, rs: u8, base: u8, offset: i32, bytes: usize);
    /// rd = ra op rb. [`Risc::shift`] handles shifts and [`Risc::set`] handles comparisons.
    fn binary(&mut self, op: Binary, rd: u8, ra: u8, rb: u8, bits: u8);
    /// rd = rs shifted by `count`.
    fn shift(&mut self, shift: Shift, rd: u8, rs: u8, count: u8, bits: u8);
    /// rd = -rs or ~rs
    fn unary(&mut self, op: Unary, rd: u8, rs: u8, bits: u8);
    /// rd = the low part of rs, extended.
    fn extend(&mut self, rd: u8, rs: u8, from: Type);
    /// rd = 1 if the comparison holds, else 0; rd may be ra or rb.
    fn set(&mut self, comparison: Comparison, rd: u8, ra: u8, rb: u8);
    /// Jumps if the comparison holds.
    fn branch(&mut self, comparison: Comparison, ra: u8, rb: u8, target: Self::Label);
    /// Jumps.
    fn jump(&mut self, target: Self::Label);
    /// rd = the clock.
    fn clock(&mut self, rd: u8);
    /// Prefetches the line at the address in a register, for a store if `owns` is set, else for a load. Changes
    /// no state.
    fn prefetch(&mut self, base: u8, owns: bool);
    /// Tells the CPU that the code is in a spin loop.
    fn relax(&mut self);
    /// Calls sched_yield(2). Preserves every register except the scratch registers.
    fn yield_cpu(&mut self);

    /// Emits a kernel barrier.
    fn fence(&mut self, fence: Fence);
    /// smp_load_acquire. `base` holds the address.
    fn load_acquire(&mut self, rd: u8, base: u8, ty: Type);
    /// smp_store_release. `base` holds the address.
    fn store_release(&mut self, rs: u8, base: u8, bytes: usize);
    /// Emits an atomic read-modify-write.
    fn rmw(&mut self, parts: RmwParts);
    /// cmpxchg.
    fn cmpxchg(&mut self, parts: CmpxchgParts);
    /// The fast path of spin_lock: takes the lock or jumps to `wait`. `one` holds 1.
    fn spin_lock(&mut self, base: u8, one: u8, wait: Self::Label);
    /// spin_trylock. `one` holds 1.
    fn spin_trylock(&mut self, rd: u8, base: u8, one: u8);
    /// spin_unlock.
    fn spin_unlock(&mut self, base: u8);

    /// Whether the lock is a ticket lock. Only then the next three methods are called.
    fn has_tickets(&self) -> bool {
        false
    }
    /// Jumps if the value of the lock in `seen` serves the ticket that spin_lock has taken. May change `seen`.
    fn ticket_is_served(&mut self, _seen: u8, _served: Self::Label) {}
    /// The barriers behind the wait for a ticket.
    fn after_waiting(&mut self) {}
    /// rd = whether the ticket lock whose value rd holds is taken.
    fn tickets_differ(&mut self, _rd: u8) {}
}

/// Offsets in [`ThreadArgs`] that code reads behind the prologue: instances left, group size, prefetch steps, how far ahead lines are
/// prefetched for writing, and the flag that makes waiters give up.
const ARGS_COUNT: i32 = displacement_of(offset_of!(ThreadArgs, count));
const ARGS_GROUP: i32 = displacement_of(offset_of!(ThreadArgs, group));
const ARGS_PREFETCH_STEPS: i32 = displacement_of(offset_of!(ThreadArgs, prefetch_steps));
const ARGS_PREFETCH_AHEAD: i32 = displacement_of(offset_of!(ThreadArgs, prefetch_ahead));
const ARGS_STOP: i32 = displacement_of(offset_of!(ThreadArgs, stop));
/// Offsets of the fields of [`Pace::Edges`].
const ARGS_SPAN_GROUPS: i32 = displacement_of(offset_of!(ThreadArgs, span_groups));
const ARGS_SPAN_LEFT: i32 = displacement_of(offset_of!(ThreadArgs, span_left));
const ARGS_DELAY: i32 = displacement_of(offset_of!(ThreadArgs, delay));
const ARGS_GAP: i32 = displacement_of(offset_of!(ThreadArgs, gap));
const ARGS_SPAN_GAP: i32 = displacement_of(offset_of!(ThreadArgs, span_gap));

/// Steps of a chain in one round of its loop.
const STEPS_A_ROUND: i32 = 8;
const WORD: Type = Type::Int { bits: 64, signed: false };

/// The displacement of a field of [`ThreadArgs`] from its offset.
#[expect(clippy::cast_possible_truncation, clippy::cast_possible_wrap, reason = "the structure is small")]
const fn displacement_of(offset: usize) -> i32 {
    assert!(offset < size_of::<ThreadArgs>());
    offset as i32
}

/// How often a waiter polls a contended lock before it yields the CPU: as often as on x86-64 (`src/isa/x86_64/emit.rs`). The
/// hints for spin loops (yield, or 31,31,31, pause) promise no delay, so the wait may be as short as some microseconds.
const SPINS_BEFORE_YIELD: i64 = 1000;

struct Driver<'a, A: Risc> {
    asm: A,
    thread: &'a Thread,
    layout: &'a Layout,
    allocation: Allocation,
    /// The registers of the loop that hold values of the thread during an instance.
    aside: Aside,
    labels: Vec<A::Label>,
    marks: Vec<(usize, Part)>,
    /// Contended locks, whose code is emitted out of line: the lock, the entry label, and the label for the
    /// next attempt, or for a ticket lock the one behind the lock.
    waiters: Vec<(Address, A::Label, A::Label)>,
    /// The instructions of a thread in assembly.
    pieces: Option<Pieces>,
    /// For each instruction that a backward jump of the thread goes to: its index, the offset of the detour to it, and
    /// its label.
    detours: Vec<(usize, usize, A::Label)>,
}

/// Emits the code of one thread; on failure returns the reason.
pub fn emit<A: Risc>(mut asm: A, thread: &Thread, layout: &Layout, pace: Pace) -> Result<ThreadCode, String> {
    let thread = &with_signed_words(thread);
    let (allocation, borrowed, pieces) = match &thread.assembly {
        None => {
            let Fixed { pool, borrowed, .. } = A::FIXED;
            let (computing, wanted): (Vec<Wanted>, Vec<Wanted>) =
                wanted::<A>(thread).into_iter().partition(|(_, index)| thread.ops[*index].address().is_none());
            let optional = [computing, far(&asm, thread, layout)?].concat();
            (allocate_all(thread, (&wanted, &optional), pool, borrowed)?, borrowed, None)
        }
        Some(own) => {
            let (allocation, pieces) = assembly::prepare(thread, own, &layout.offsets, &A::ENCODER)?;
            (allocation, (A::ENCODER.borrowed)(own), Some(pieces))
        }
    };
    let aside = Aside::new(&allocation, borrowed);
    let labels = (0..thread.labels).map(|_| asm.label()).collect();
    let (marks, waiters, detours) = (Vec::new(), Vec::new(), Vec::new());
    let mut driver = Driver { asm, thread, layout, allocation, aside, labels, marks, waiters, pieces, detours };
    driver.function(pace)?;
    let Driver { asm, marks, .. } = driver;
    let bytes = asm.finish()?;
    Ok(ThreadCode { arch: A::ARCH, bytes, marks })
}

/// The thread with the constants of its 32-bit operations sign-extended.
///
/// riscv64 keeps 32-bit values sign-extended, unsigned ones too, and compares them as 64-bit values. The other
/// architectures use only the low half.
fn with_signed_words(thread: &Thread) -> Thread {
    fn word(operand: &mut Operand) {
        if let Operand::Const(Const::Int(value)) = operand {
            *value = low_word(*value).into();
        }
    }
    let mut thread = thread.clone();
    for op in &mut thread.ops {
        match op {
            Op::Rmw { value, ty, .. } if ty.bytes() == 4 => word(value),
            Op::Cmpxchg { expected, new, ty, .. } if ty.bytes() == 4 => [expected, new].into_iter().for_each(word),
            Op::Move { dst, src } if thread.registers[*dst].ty.bits() <= 32 => word(src),
            Op::Unary { src, bits: 32, .. } => word(src),
            Op::Binary { left, right, bits: 32, .. } | Op::Branch { left, right, bits: 32, .. } => {
                [left, right].into_iter().for_each(word);
            }
            _ => {}
        }
    }
    thread
}

/// The addresses of locations that no displacement reaches from the address of the instance, each with the index of an
/// operation that accesses it.
fn far<A: Risc>(asm: &A, thread: &Thread, layout: &Layout) -> Result<Vec<Wanted>, String> {
    let mut far = Vec::new();
    for (index, op) in thread.ops.iter().enumerate() {
        let Some(Address::Location(location)) = op.address() else { continue };
        let bytes = match op {
            Op::Load { ty, .. } | Op::Store { ty, .. } | Op::StoreMb { ty, .. } => ty.bytes(),
            _ => 4,
        };
        if !asm.reaches(displacement(layout.offsets[location])?, bytes) {
            far.push((Const::Address(location), index));
        }
    }
    Ok(far)
}

/// The constants that operations take in registers, each with the index of the operation.
fn wanted<A: Risc>(thread: &Thread) -> Vec<Wanted> {
    let mut wanted = Vec::new();
    for (index, op) in thread.ops.iter().enumerate() {
        let by_address = match *op {
            Op::Load { address, access: Access::Acquire, .. }
            | Op::Store { address, access: Access::Release, .. }
            | Op::Rmw { address, .. }
            | Op::Cmpxchg { address, .. }
            | Op::SpinLock { address }
            | Op::SpinUnlock { address }
            | Op::SpinTrylock { address, .. } => Some(address),
            _ => None,
        };
        if let Some(Address::Location(location)) = by_address {
            wanted.push((Const::Address(location), index));
        }
        if matches!(op, Op::SpinLock { .. } | Op::SpinTrylock { .. }) {
            wanted.push((Const::Int(1), index));
        }
        let free = |constant: &Const| *constant == Const::Int(0) && A::FIXED.zero.is_some();
        let shift = matches!(op, Op::Binary { op: Binary::ShiftLeft | Binary::ShiftRight, .. });
        if !shift {
            wanted.extend(op.constants().filter(|constant| !free(constant)).map(|constant| (constant, index)));
        }
    }
    wanted
}

impl<A: Risc> Driver<'_, A> {
    const F: Fixed = A::FIXED;

    fn mark(&mut self, part: Part) {
        self.marks.push((self.asm.offset(), part));
    }

    fn function(&mut self, pace: Pace) -> Result<(), String> {
        let record = SaveRecord::new(self.thread);
        let stride = displacement(self.layout.stride)?;
        let [next, group, over, done, give_up, late, go] = std::array::from_fn(|_| self.asm.label());
        let chain_alone = self.asm.label();
        let result = Self::F.scratch[0];
        self.mark(Part::Prologue);
        self.asm.prologue();
        let zero = self.zero(1);
        self.asm.constant(result, 0);
        let empty = if matches!(pace, Pace::Edges { .. }) { chain_alone } else { done };
        self.asm.branch(Comparison::of_words(Compare::Eq), Self::F.count, zero, empty);
        self.detours(give_up);
        if pace == Pace::Free {
            self.mark(Part::Pace);
            self.wait();
        }
        match pace {
            Pace::Free => {
                self.asm.bind(next);
                self.mark(Part::Setup);
                self.setup()?;
                self.instance(&record, stride)?;
                let zero = self.zero(1);
                self.asm.branch(Comparison::of_words(Compare::Ne), Self::F.count, zero, next);
            }
            Pace::Paced => {
                self.asm.bind(group);
                self.mark(Part::Group);
                self.begin_group()?;
                self.mark(Part::Setup);
                self.setup()?;
                self.mark(Part::Pace);
                let clock = Self::F.scratch[0];
                self.asm.clock(clock);
                self.asm.branch(Comparison::of_words(Compare::Ge), clock, Self::F.start, late);
                self.wait();
                self.asm.bind(go);
                self.instance(&record, stride)?;
                let zero = self.zero(1);
                self.asm.branch(Comparison::of_words(Compare::Eq), Self::F.count, zero, over);
                self.mark(Part::Setup);
                self.setup()?;
                self.asm.jump(go);
                self.mark(Part::Next);
                self.asm.bind(over);
                self.asm.binary(Binary::Add, Self::F.start, Self::F.start, Self::F.period, 64);
                let left = Self::F.scratch[0];
                self.asm.load(left, Self::F.args, ARGS_COUNT, WORD);
                let zero = self.zero(1);
                self.asm.branch(Comparison::of_words(Compare::Ne), left, zero, group);
            }
            Pace::Edges { coarse_bits } => {
                self.asm.bind(group);
                self.mark(Part::Group);
                self.begin_group()?;
                self.wait_for_edge(coarse_bits, late);
                self.asm.bind(go);
                self.mark(Part::Setup);
                self.setup()?;
                self.instance(&record, stride)?;
                let zero = self.zero(1);
                self.asm.branch(Comparison::of_words(Compare::Ne), Self::F.count, zero, go);
                let left = Self::F.scratch[0];
                self.asm.load(left, Self::F.args, ARGS_COUNT, WORD);
                let zero = self.zero(1);
                self.asm.branch(Comparison::of_words(Compare::Ne), left, zero, group);
            }
        }
        self.asm.constant(result, 0);
        self.mark(Part::Epilogue);
        self.asm.bind(done);
        self.asm.epilogue();
        self.mark(Part::Cold);
        match pace {
            Pace::Free => {}
            Pace::Paced => {
                self.asm.bind(late);
                self.asm.add_constant(Self::F.late, Self::F.late, 1);
                self.asm.jump(go);
            }
            Pace::Edges { .. } => {
                self.asm.bind(late);
                self.late_for_edge();
                self.asm.jump(go);
                self.asm.bind(chain_alone);
                self.asm.load(result, Self::F.args, ARGS_GAP, WORD);
                self.chain();
                self.asm.constant(result, 0);
                self.asm.jump(done);
            }
        }
        if !self.waiters.is_empty() || !self.detours.is_empty() {
            self.contended_locks(give_up)?;
            self.asm.bind(give_up);
            self.take_back();
            self.asm.constant(result, 1);
            self.asm.jump(done);
        }
        Ok(())
    }

    /// Emits the operations of one instance, the saves, and the step to the next instance.
    fn instance(&mut self, record: &SaveRecord, stride: i32) -> Result<(), String> {
        self.put_aside()?;
        for index in 0..self.thread.ops.len() {
            self.mark(Part::Op(index));
            self.op(&self.thread.ops[index].clone())?;
        }
        self.instructions()?;
        self.mark(Part::Save);
        self.save(record)?;
        self.take_back();
        self.mark(Part::Next);
        self.asm.add_constant(Self::F.arena, Self::F.arena, stride);
        if record.stride > 0 {
            self.asm.add_constant(Self::F.record, Self::F.record, displacement(record.stride)?);
        }
        self.asm.add_constant(Self::F.count, Self::F.count, -1);
        Ok(())
    }

    /// Puts aside what the loop has in the borrowed registers, and loads the values of the test that are in them.
    fn put_aside(&mut self) -> Result<(), String> {
        let pairs: Vec<(u8, u8)> = self.aside.pairs().collect();
        if pairs.is_empty() {
            return Ok(());
        }
        self.mark(Part::Setup);
        for &(register, vector) in &pairs {
            self.asm.put_aside(vector, register);
        }
        // Addresses are computed from that of the instance, so its register comes last.
        let (arena, others): (Vec<_>, Vec<_>) =
            self.allocation.initial(self.thread).into_iter().partition(|(register, _)| *register == Self::F.arena);
        for (register, value) in others.into_iter().chain(arena) {
            if self.aside.vector(register).is_some() {
                self.load_constant(register, value.unwrap_or(Const::Int(0)))?;
            }
        }
        Ok(())
    }

    /// Takes back what the loop has in the borrowed registers.
    fn take_back(&mut self) {
        for (register, vector) in self.aside.pairs() {
            self.asm.take_back(register, vector);
        }
    }

    /// Stores the observed registers to the record.
    fn save(&mut self, record: &SaveRecord) -> Result<(), String> {
        let base = Self::F.record;
        let parked = self.aside.spare(0);
        if let Some(vector) = self.aside.vector(base) {
            self.asm.put_aside(parked, base);
            self.asm.take_back(base, vector);
        }
        // What was in the register of the record comes behind the others, because it goes through a scratch register.
        let in_base = |register: Option<u8>| register == Some(base);
        let mut slots: Vec<_> =
            record.slots.iter().map(|slot| (self.allocation.register(slot.register), *slot)).collect();
        slots.sort_by_key(|(register, _)| (in_base(*register), register.is_none()));
        for (register, slot) in slots {
            let register = match register {
                None => self.zero(0),
                Some(register) if register == base => {
                    let scratch = Self::F.scratch[0];
                    self.asm.take_back(scratch, parked);
                    scratch
                }
                Some(register) => register,
            };
            self.asm.store(register, base, displacement(slot.offset)?, slot.bytes);
        }
        Ok(())
    }

    /// Emits the instructions of a thread in assembly, as the test has them.
    fn instructions(&mut self) -> Result<(), String> {
        let Some(pieces) = self.pieces.take() else { return Ok(()) };
        let detour = |to: usize| self.detours.iter().find(|(head, ..)| *head == to).map(|(_, offset, _)| *offset);
        let bytes = pieces.place(self.asm.offset(), &detour)?;
        for (index, bytes) in bytes.iter().enumerate() {
            if let Some(&(.., label)) = self.detours.iter().find(|(head, ..)| *head == index) {
                self.asm.bind(label);
            }
            self.mark(Part::Op(index));
            self.asm.append(bytes);
        }
        Ok(())
    }

    /// Emits the detours of backward jumps: each looks whether the thread must give up, and goes on to the label. They
    /// change no flags and no register of the test.
    fn detours(&mut self, give_up: A::Label) {
        let heads = self.pieces.as_ref().map_or_else(Vec::new, Pieces::loops);
        if heads.is_empty() {
            return;
        }
        let over = self.asm.label();
        self.asm.jump(over);
        self.mark(Part::Cold);
        let [seen, second, ..] = Self::F.scratch;
        let lent: Vec<(u8, u8)> = [(seen, self.aside.spare(0)), (second, self.aside.spare(1))]
            .into_iter()
            .filter(|(register, _)| self.aside.vector(*register).is_some())
            .collect();
        for head in heads {
            let back = self.asm.label();
            self.detours.push((head, self.asm.offset(), back));
            for &(register, vector) in &lent {
                self.asm.put_aside(vector, register);
            }
            self.asm.keep_flags();
            let zero = self.zero(1);
            self.give_up_if_told(seen, zero, give_up);
            self.asm.restore_flags();
            for &(register, vector) in &lent {
                self.asm.take_back(register, vector);
            }
            self.asm.jump(back);
        }
        self.mark(Part::Prologue);
        self.asm.bind(over);
    }

    /// Moves the instances of a group from those left into the count, and prefetches the group's lines: first those that the
    /// thread stores to, or with `prefetch_ahead` those of a later group, and then the others.
    fn begin_group(&mut self) -> Result<(), String> {
        let [left, address, pieces, _] = Self::F.scratch;
        let [all, fetched] = std::array::from_fn(|_| self.asm.label());
        self.asm.load(left, Self::F.args, ARGS_COUNT, WORD);
        self.asm.load(Self::F.count, Self::F.args, ARGS_GROUP, WORD);
        self.asm.branch(Comparison::of_words(Compare::Le), Self::F.count, left, all);
        self.asm.mov(Self::F.count, left, 64);
        self.asm.bind(all);
        self.asm.binary(Binary::Sub, left, left, Self::F.count, 64);
        self.asm.store(left, Self::F.args, ARGS_COUNT, 8);
        for (locations, own) in super::prefetches(self.thread) {
            let again = self.asm.label();
            self.asm.load(pieces, Self::F.args, ARGS_PREFETCH_STEPS, WORD);
            let zero = self.zero(0);
            self.asm.branch(Comparison::of_words(Compare::Eq), pieces, zero, fetched);
            self.asm.mov(address, Self::F.arena, 64);
            if own {
                // Nothing is in the first scratch register now.
                self.asm.load(left, Self::F.args, ARGS_PREFETCH_AHEAD, WORD);
                self.asm.binary(Binary::Add, address, address, left, 64);
            }
            self.asm.bind(again);
            for location in locations {
                // This uses the last scratch register, because add_constant may need it too.
                let at = Self::F.scratch[3];
                self.asm.add_constant(at, address, displacement(self.layout.offsets[location])?);
                self.asm.prefetch(at, own);
            }
            self.asm.add_constant(address, address, displacement(super::prefetch_step(self.layout))?);
            self.asm.add_constant(pieces, pieces, -1);
            let zero = self.zero(0);
            self.asm.branch(Comparison::of_words(Compare::Ne), pieces, zero, again);
        }
        self.asm.bind(fetched);
        Ok(())
    }

    /// A register that holds 0: the architecture's zero register, or the given scratch register set to 0.
    fn zero(&mut self, scratch: usize) -> u8 {
        Self::F.zero.unwrap_or_else(|| {
            let register = Self::F.scratch[scratch];
            self.asm.constant(register, 0);
            register
        })
    }

    /// Spins until the clock reaches the start time.
    fn wait(&mut self) {
        let again = self.asm.label();
        let clock = Self::F.scratch[0];
        self.asm.bind(again);
        self.asm.clock(clock);
        self.asm.branch(Comparison::of_words(Compare::Lt), clock, Self::F.start, again);
    }

    /// Emits the start of a group: the first group of a span waits for the edge at the start time and then runs the chain for
    /// its delay, the others run the chain for their gap. The start time becomes that of the next span.
    ///
    /// The edge is the first reading that is not before the start time, as in [`Driver::wait`]; here the clock stands still
    /// between two edges, and all CPUs see an edge at the same moment.
    fn wait_for_edge(&mut self, coarse_bits: u8, late: A::Label) {
        self.mark(Part::Pace);
        let [again, follows, chain] = std::array::from_fn(|_| self.asm.label());
        let [first, second, ..] = Self::F.scratch;
        self.asm.load(first, Self::F.args, ARGS_SPAN_LEFT, WORD);
        self.asm.add_constant(first, first, -1);
        self.asm.store(first, Self::F.args, ARGS_SPAN_LEFT, 8);
        let zero = self.zero(1);
        self.asm.branch(Comparison::of_words(Compare::Ne), first, zero, follows);
        self.asm.load(first, Self::F.args, ARGS_SPAN_GROUPS, WORD);
        self.asm.store(first, Self::F.args, ARGS_SPAN_LEFT, 8);
        self.coarse_clock(first, coarse_bits);
        self.asm.branch(Comparison::of_words(Compare::Ge), first, Self::F.start, late);
        self.asm.bind(again);
        self.coarse_clock(first, coarse_bits);
        self.asm.branch(Comparison::of_words(Compare::Lt), first, Self::F.start, again);
        self.asm.load(second, Self::F.args, ARGS_GAP, WORD);
        self.asm.store(second, Self::F.args, ARGS_SPAN_GAP, 8);
        self.asm.binary(Binary::Add, Self::F.start, Self::F.start, Self::F.period, 64);
        self.asm.load(first, Self::F.args, ARGS_DELAY, WORD);
        self.asm.jump(chain);
        self.asm.bind(follows);
        self.asm.load(first, Self::F.args, ARGS_SPAN_GAP, WORD);
        self.asm.bind(chain);
        self.mark(Part::Delay);
        self.chain();
    }

    /// Counts a span that starts late, without a delay. Its gaps stay as they are, because the other threads keep theirs; but a
    /// thread that is late by a whole span or more catches up without gaps. The first scratch register holds the reading.
    fn late_for_edge(&mut self) {
        let [reading, gap, ..] = Self::F.scratch;
        let within = self.asm.label();
        self.asm.add_constant(Self::F.late, Self::F.late, 1);
        self.asm.binary(Binary::Add, Self::F.start, Self::F.start, Self::F.period, 64);
        self.asm.load(gap, Self::F.args, ARGS_GAP, WORD);
        self.asm.branch(Comparison::of_words(Compare::Lt), reading, Self::F.start, within);
        self.asm.constant(gap, 0);
        self.asm.bind(within);
        self.asm.store(gap, Self::F.args, ARGS_SPAN_GAP, 8);
    }

    /// Emits a chain of as many steps as the first scratch register holds: dependent multiplications of 0. A multiplication
    /// takes the same number of cycles each time, on most cores 2 to 5, which calibration measures. The loops need far less
    /// time, so an out-of-order core has left them when the chain ends, and a mispredicted branch at their end costs nothing.
    /// Eight steps a round take few entries of the reorder buffer, so that a chain can run while a load of the group before it
    /// is still on its way.
    ///
    /// The chain begins and ends with the address of the instance: it takes 0 out of it (a subtraction, which the three
    /// architectures must not treat as independent of its operands, because an address may depend on it), and adds 0 to it.
    /// So a chain begins when the one before has ended, and no access of the test is executed before its chain has ended,
    /// although its address does not change.
    fn chain(&mut self) {
        let [steps, value, ..] = Self::F.scratch;
        let [eight, rest, step, over] = std::array::from_fn(|_| self.asm.label());
        self.asm.binary(Binary::Sub, value, Self::F.arena, Self::F.arena, 64);
        let zero = self.zero(2);
        let signed = |compare| Comparison { compare, bits: 64, signed: true };
        self.asm.add_constant(steps, steps, -STEPS_A_ROUND);
        self.asm.branch(signed(Compare::Lt), steps, zero, rest);
        self.asm.bind(eight);
        for _ in 0..STEPS_A_ROUND {
            self.asm.binary(Binary::Mul, value, value, value, 32);
        }
        self.asm.add_constant(steps, steps, -STEPS_A_ROUND);
        self.asm.branch(signed(Compare::Ge), steps, zero, eight);
        self.asm.bind(rest);
        self.asm.add_constant(steps, steps, STEPS_A_ROUND);
        self.asm.branch(Comparison::of_words(Compare::Eq), steps, zero, over);
        self.asm.bind(step);
        self.asm.binary(Binary::Mul, value, value, value, 32);
        self.asm.add_constant(steps, steps, -1);
        self.asm.branch(Comparison::of_words(Compare::Ne), steps, zero, step);
        self.asm.bind(over);
        self.asm.binary(Binary::Add, Self::F.arena, Self::F.arena, value, 64);
    }

    /// Reads the clock and clears its low bits.
    fn coarse_clock(&mut self, rd: u8, coarse_bits: u8) {
        self.asm.clock(rd);
        if coarse_bits > 0 {
            self.asm.shift(Shift::RightLogical, rd, rd, coarse_bits, 64);
            self.asm.shift(Shift::Left, rd, rd, coarse_bits, 64);
        }
    }

    /// Loads the values of the test, but for those in registers that the loop still needs.
    fn setup(&mut self) -> Result<(), String> {
        for (register, value) in self.allocation.initial(self.thread) {
            if self.aside.vector(register).is_none() {
                self.load_constant(register, value.unwrap_or(Const::Int(0)))?;
            }
        }
        Ok(())
    }

    fn load_constant(&mut self, register: u8, constant: Const) -> Result<(), String> {
        match constant {
            Const::Address(location) => {
                self.asm.add_constant(register, Self::F.arena, displacement(self.layout.offsets[location])?);
            }
            Const::Int(value) => self.asm.constant(register, value),
        }
        Ok(())
    }

    fn register(&self, register: usize) -> Result<u8, String> {
        self.allocation.register(register).ok_or_else(|| "uses a register that was not allocated".to_owned())
    }

    /// The hardware register that holds an operand. A constant without a register is loaded into the given
    /// scratch register.
    fn operand(&mut self, operand: Operand, scratch: usize) -> Result<u8, String> {
        match (operand, Self::F.zero) {
            (Operand::Register(register), _) => self.register(register),
            (Operand::Const(Const::Int(0)), Some(zero)) => Ok(zero),
            (Operand::Const(constant), _) => match self.allocation.constant(constant) {
                Some(register) => Ok(register),
                None => {
                    let register = Self::F.scratch[scratch];
                    self.load_constant(register, constant)?;
                    Ok(register)
                }
            },
        }
    }

    /// The register that holds an address.
    fn address(&mut self, address: Address) -> Result<u8, String> {
        match address {
            Address::Register(register) => self.register(register),
            Address::Location(location) => self.operand(Operand::Const(Const::Address(location)), 3),
        }
    }

    /// The base register and the displacement of an address.
    fn place(&mut self, address: Address, bytes: usize) -> Result<(u8, i32), String> {
        if let Address::Location(location) = address {
            let offset = displacement(self.layout.offsets[location])?;
            if self.asm.reaches(offset, bytes) {
                return Ok((Self::F.arena, offset));
            }
        }
        Ok((self.address(address)?, 0))
    }

    fn op(&mut self, op: &Op) -> Result<(), String> {
        match *op {
            Op::Load { dst, address, ty, access: Access::Acquire } => {
                let (rd, base) = (self.register(dst)?, self.address(address)?);
                self.asm.load_acquire(rd, base, ty);
            }
            Op::Load { dst, address, ty, .. } => {
                let (rd, (base, offset)) = (self.register(dst)?, self.place(address, ty.bytes())?);
                self.asm.load(rd, base, offset, ty);
            }
            Op::Store { access: Access::NonTemporal, .. } => {
                return Err(format!(
                    "has a non-temporal store, which is a control for x86-64 and has no counterpart on {}",
                    A::ARCH
                ));
            }
            Op::Store { address, value, ty, access: Access::Release } => {
                let (rs, base) = (self.operand(value, 0)?, self.address(address)?);
                self.asm.store_release(rs, base, ty.bytes());
            }
            Op::Store { address, value, ty, .. } => {
                let (rs, (base, offset)) = (self.operand(value, 0)?, self.place(address, ty.bytes())?);
                self.asm.store(rs, base, offset, ty.bytes());
            }
            // smp_store_mb is WRITE_ONCE followed by smp_mb on all three architectures.
            Op::StoreMb { address, value, ty } => {
                let (rs, (base, offset)) = (self.operand(value, 0)?, self.place(address, ty.bytes())?);
                self.asm.store(rs, base, offset, ty.bytes());
                self.asm.fence(Fence::Mb);
            }
            Op::Fence(fence) => self.asm.fence(fence),
            Op::Rmw { dst, address, value, ty, op, result, order } => {
                let dst = dst.map(|dst| self.register(dst)).transpose()?;
                let (value, base) = (self.operand(value, 2)?, self.address(address)?);
                self.asm.rmw(RmwParts { dst, base, value, wide: ty.bytes() == 8, op, result, order });
            }
            Op::Cmpxchg { dst, address, expected, new, ty, order } => {
                let dst = self.register(dst)?;
                let (expected, new) = (self.operand(expected, 1)?, self.operand(new, 2)?);
                let base = self.address(address)?;
                self.asm.cmpxchg(CmpxchgParts { dst, base, expected, new, wide: ty.bytes() == 8, order });
            }
            Op::SpinLock { address } => {
                let (again, wait) = (self.asm.label(), self.asm.label());
                self.asm.bind(again);
                let (one, base) = (self.operand(Operand::Const(Const::Int(1)), 2)?, self.address(address)?);
                self.asm.spin_lock(base, one, wait);
                if self.asm.has_tickets() {
                    // A ticket is taken only once: who has waited goes on behind the lock.
                    let taken = self.asm.label();
                    self.asm.bind(taken);
                    self.waiters.push((address, wait, taken));
                } else {
                    self.waiters.push((address, wait, again));
                }
            }
            Op::SpinUnlock { address } => {
                let base = self.address(address)?;
                self.asm.spin_unlock(base);
            }
            Op::SpinTrylock { dst, address } => {
                let (rd, one) = (self.register(dst)?, self.operand(Operand::Const(Const::Int(1)), 2)?);
                let base = self.address(address)?;
                self.asm.spin_trylock(rd, base, one);
            }
            Op::SpinIsLocked { dst, address } => {
                let (rd, (base, offset)) = (self.register(dst)?, self.place(address, 4)?);
                self.asm.load(rd, base, offset, Type::INT);
                if self.asm.has_tickets() {
                    self.asm.tickets_differ(rd);
                    return Ok(());
                }
                let zero = self.zero(1);
                self.asm.set(Comparison { compare: Compare::Ne, bits: 32, signed: true }, rd, rd, zero);
            }
            Op::Move { dst, src } => {
                let bits = self.thread.registers[dst].ty.bits().max(32);
                let (rd, rs) = (self.register(dst)?, self.operand(src, 0)?);
                self.asm.mov(rd, rs, bits);
            }
            Op::Extend { dst, src, from } => {
                let (rd, rs) = (self.register(dst)?, self.operand(src, 0)?);
                self.asm.extend(rd, rs, from);
            }
            Op::Unary { dst, op, src, bits } => {
                let (rd, rs) = (self.register(dst)?, self.operand(src, 0)?);
                self.asm.unary(op, rd, rs, bits);
            }
            Op::Binary { dst, op, left, right, bits, signed } => {
                let (rd, ra) = (self.register(dst)?, self.operand(left, 0)?);
                match (op, right) {
                    (Binary::ShiftLeft | Binary::ShiftRight, Operand::Const(Const::Int(count))) => {
                        let count = u8::try_from(count).map_err(|_| format!("has a shift by {count}"))?;
                        let shift = match (op, signed) {
                            (Binary::ShiftLeft, _) => Shift::Left,
                            (_, true) => Shift::RightArithmetic,
                            (_, false) => Shift::RightLogical,
                        };
                        self.asm.shift(shift, rd, ra, count, bits);
                    }
                    (Binary::ShiftLeft | Binary::ShiftRight, _) => {
                        return Err("has a shift by a variable".to_owned());
                    }
                    (Binary::Compare(compare), _) => {
                        let rb = self.operand(right, 1)?;
                        self.asm.set(Comparison { compare, bits, signed }, rd, ra, rb);
                    }
                    _ => {
                        let rb = self.operand(right, 1)?;
                        self.asm.binary(op, rd, ra, rb, bits);
                    }
                }
            }
            Op::Branch { compare, left, right, bits, signed, target } => {
                let (ra, rb) = (self.operand(left, 0)?, self.operand(right, 1)?);
                self.asm.branch(Comparison { compare, bits, signed }, ra, rb, self.labels[target]);
            }
            Op::RcuFence(_) | Op::SrcuLock { .. } | Op::SrcuUnlock { .. } | Op::SynchronizeSrcu { .. } => {
                return Err(op.judged_only().unwrap_or_default());
            }
            Op::Jump { target } => self.asm.jump(self.labels[target]),
            Op::Label(label) => self.asm.bind(self.labels[label]),
        }
        Ok(())
    }

    /// Jumps to `give_up` if the run has told the threads to give up. `seen` is a scratch register; `zero` holds 0.
    fn give_up_if_told(&mut self, seen: u8, zero: u8, give_up: A::Label) {
        let args = match self.aside.vector(Self::F.args) {
            Some(vector) => {
                self.asm.take_back(seen, vector);
                seen
            }
            None => Self::F.args,
        };
        self.asm.load(seen, args, ARGS_STOP, Type::Pointer);
        self.asm.load(seen, seen, 0, Type::Int { bits: 8, signed: false });
        self.asm.branch(Comparison::of_words(Compare::Ne), seen, zero, give_up);
    }

    /// Emits the wait for a contended lock. It polls the lock, yields the CPU regularly (the holder may have
    /// lost its CPU), and gives up if `stop` is set, so that a test that deadlocks ends.
    fn contended_locks(&mut self, give_up: A::Label) -> Result<(), String> {
        let [spins, seen, ..] = Self::F.scratch;
        for (address, wait, again) in std::mem::take(&mut self.waiters) {
            let watch = self.asm.label();
            self.asm.bind(wait);
            self.asm.constant(spins, SPINS_BEFORE_YIELD);
            self.asm.bind(watch);
            self.asm.relax();
            let (base, offset) = self.place(address, 4)?;
            self.asm.load(seen, base, offset, Type::INT);
            let (zero, served) = (self.zero(2), self.asm.label());
            if self.asm.has_tickets() {
                self.asm.ticket_is_served(seen, served);
            } else {
                self.asm.branch(Comparison { compare: Compare::Eq, bits: 32, signed: true }, seen, zero, again);
            }
            self.asm.add_constant(spins, spins, -1);
            self.asm.branch(Comparison::of_words(Compare::Ne), spins, zero, watch);
            self.give_up_if_told(seen, zero, give_up);
            self.asm.yield_cpu();
            self.asm.jump(wait);
            if self.asm.has_tickets() {
                self.asm.bind(served);
                self.asm.after_waiting();
                self.asm.jump(again);
            }
        }
        Ok(())
    }
}
