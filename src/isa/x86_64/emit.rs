//! Emitter for x86-64. Each primitive becomes exactly the instructions of the kernel's arch/x86.
//!
//! x86-TSO keeps loads in order with loads and stores in order with stores. So smp_rmb, smp_wmb, acquire and
//! release emit no instruction. A full barrier is `lock addl $0,-4(%rsp)`, and every locked instruction is a
//! full barrier too.
//!
//! Use of registers and stack while a batch runs:
//!
//! | register | content |
//! |---|---|
//! | rdi | address of the current instance |
//! | rsi | address of the current record |
//! | rcx | number of instances left; in paced code, left in the group |
//! | r8 | clock value at which the current instance starts (paced code); with `Pace::Edges` at which the next span starts |
//! | rax, rdx | scratch within one primitive; values of a test that needs no scratch, loaded behind the wait |
//! | rbx, rbp, r9 to r15 | values of the test |
//! | [rsp] | the period |
//! | [rsp+8] | number of instances that started late (paced code) |
//! | [rsp+16] | address of the arguments |
//! | xmm0 to xmm4 | what rcx, rsi, rdi and r8 hold for the loop, while they hold values of a thread that has many |

// dynasm adds `.into()` to dynamic registers and `as` to immediates.
#![allow(clippy::useless_conversion, clippy::unnecessary_cast)]

use dynasm::dynasm;
use dynasmrt::x64::X64Relocation;
use dynasmrt::{DynamicLabel, DynasmApi, DynasmLabelApi, VecAssembler};

use super::encode::ENCODER;
use crate::arch::Arch;
use crate::arch::lock::Lock;
use crate::codegen::aside::Aside;
use crate::codegen::assembly::{self, Pieces};
use crate::codegen::registers::{Allocation, Wanted, allocate_all};
use crate::codegen::{Pace, Part, SaveRecord, ThreadCode, displacement, low_word};
use crate::layout::Layout;
use crate::program::{
    Access, Address, Binary, Compare, Const, Fence, Op, Operand, RmwOp, RmwResult, Thread, Type, Unary,
};

/// Hardware numbers of the registers that hold values of the test.
const POOL: [u8; 9] = [3, 5, 9, 10, 11, 12, 13, 14, 15];
/// Registers that a thread in C with many values borrows from the loop: r8, rcx and rsi. If no operation needs a scratch
/// register, also rdx and rax.
const BORROWED: [u8; 5] = [RDX, RAX, 8, 1, RSI];
const RAX: u8 = 0;
const RDX: u8 = 2;
const RSI: u8 = 6;
const RDI: u8 = 7;

/// Linux's number of the system call sched_yield (arch/x86/entry/syscalls/syscall_64.tbl).
const SYS_SCHED_YIELD: i32 = 24;
/// How often a waiter polls a contended lock before it yields the CPU.
///
/// One turn is a pause and a load. A pause takes about 10 cycles on older CPUs and up to 140 since Skylake (Intel 64 and IA-32
/// Architectures Optimization Reference Manual, "Pause Latency in Skylake Client Microarchitecture"), so the wait is some
/// 5 to 50 us. That is longer than any other thread of the test holds a lock, unless that thread has lost its CPU.
const SPINS_BEFORE_YIELD: i32 = 1000;

/// A memory operand: base register and displacement.
type Memory = (u8, i32);

struct Emitter<'a> {
    ops: VecAssembler<X64Relocation>,
    lock: Lock,
    thread: &'a Thread,
    layout: &'a Layout,
    allocation: Allocation,
    /// The registers of the loop that hold values of the thread during an instance.
    aside: Aside,
    labels: Vec<DynamicLabel>,
    marks: Vec<(usize, Part)>,
    /// Contended locks, whose code is emitted out of line: the lock, the entry label, and the label for the
    /// next attempt.
    waiters: Vec<(Memory, DynamicLabel, DynamicLabel)>,
    /// The instructions of a thread in assembly.
    pieces: Option<Pieces>,
    /// For each instruction that a backward jump of the thread goes to: its index, the offset of the detour to it, and
    /// its label.
    detours: Vec<(usize, usize, DynamicLabel)>,
}

macro_rules! asm {
    ($emitter:expr ; $($code:tt)*) => { dynasm!($emitter.ops ; .arch x64 ; $($code)*) };
}

/// Emits one instruction with a memory operand, given the tokens before and after the operand.
///
/// The registers that most accesses use are spelled out, because dynasm needs two more bytes for a base
/// register that is known only at run time.
macro_rules! at {
    ($emitter:expr, $memory:expr, [$($before:tt)*] [$($after:tt)*]) => {
        match $memory {
            (RDI, 0) => asm!($emitter ; $($before)* [rdi] $($after)*),
            (RDI, offset) => asm!($emitter ; $($before)* [rdi + offset] $($after)*),
            (RSI, 0) => asm!($emitter ; $($before)* [rsi] $($after)*),
            (RSI, offset) => asm!($emitter ; $($before)* [rsi + offset] $($after)*),
            (base, offset) => asm!($emitter ; $($before)* [Rq(base) + offset] $($after)*),
        }
    };
}

/// Emits the code of one thread; on failure returns the reason.
pub fn emit(lock: Lock, thread: &Thread, layout: &Layout, pace: Pace) -> Result<ThreadCode, String> {
    let (allocation, borrowed, pieces) = match &thread.assembly {
        None => {
            let borrowed = if needs_scratch(thread) { &BORROWED[2..] } else { &BORROWED };
            (allocate_all(thread, (&wanted(thread), &[]), &POOL, borrowed)?, borrowed, None)
        }
        Some(own) => {
            let (allocation, pieces) = assembly::prepare(thread, own, &layout.offsets, &ENCODER)?;
            (allocation, (ENCODER.borrowed)(own), Some(pieces))
        }
    };
    // The loop keeps nothing in rax and rdx across an instance.
    let kept: Vec<u8> = borrowed.iter().copied().filter(|register| !matches!(*register, RAX | RDX)).collect();
    let aside = Aside::new(&allocation, &kept);
    let mut ops = VecAssembler::new(0);
    let labels = (0..thread.labels).map(|_| ops.new_dynamic_label()).collect();
    let (marks, waiters, detours) = (Vec::new(), Vec::new(), Vec::new());
    let mut emitter = Emitter { ops, lock, thread, layout, allocation, aside, labels, marks, waiters, pieces, detours };
    emitter.function(pace)?;
    let Emitter { ops, marks, .. } = emitter;
    let bytes = ops.finalize().map_err(|error| format!("cannot be assembled: {error}"))?;
    Ok(ThreadCode { arch: Arch::X86_64, bytes, marks })
}

/// The constants that operations take in registers, each with the index of the operation.
fn wanted(thread: &Thread) -> Vec<Wanted> {
    let mut wanted = Vec::new();
    for (index, op) in thread.ops.iter().enumerate() {
        // movnti takes only a register. Nothing that loads a register must stand between two stores.
        let (all, wide) = match op {
            Op::Store { access, ty, .. } => (*access == Access::NonTemporal, ty.bytes() == 8),
            _ => (false, false),
        };
        let in_register = op.constants().filter(|constant| match *constant {
            Const::Address(_) => true,
            Const::Int(value) => all || wide && i32::try_from(value).is_err(),
        });
        wanted.extend(in_register.map(|constant| (constant, index)));
    }
    wanted
}

/// Whether an operation of the thread uses rax or rdx.
fn needs_scratch(thread: &Thread) -> bool {
    let plain = |op: &Op| {
        matches!(
            op,
            Op::Load { .. } | Op::Store { .. } | Op::Fence(_) | Op::Move { .. } | Op::Jump { .. } | Op::Label(_)
        )
    };
    !thread.ops.iter().all(plain)
}

impl Emitter<'_> {
    fn mark(&mut self, part: Part) {
        self.marks.push((self.ops.offset().0, part));
    }

    fn function(&mut self, pace: Pace) -> Result<(), String> {
        let record = SaveRecord::new(self.thread);
        let stride = displacement(self.layout.stride)?;
        let [next, group, over, done, give_up, late, go] = std::array::from_fn(|_| self.ops.new_dynamic_label());
        let chain_alone = self.ops.new_dynamic_label();
        self.mark(Part::Prologue);
        asm!(self
            ; push rbx ; push rbp ; push r12 ; push r13 ; push r14 ; push r15
            ; push rdi
            ; push 0
            ; push QWORD [rdi + 32]
            ; mov rsi, [rdi + 8]
            ; mov rcx, [rdi + 16]
            ; mov r8, [rdi + 24]
            ; mov rdi, [rdi]
            ; xor eax, eax
            ; test rcx, rcx
        );
        match pace {
            Pace::Edges { .. } => asm!(self ; jz =>chain_alone),
            Pace::Free | Pace::Paced => asm!(self ; jz =>done),
        }
        self.detours(give_up);
        match pace {
            Pace::Free => {
                self.wait();
                self.mark(Part::Prologue);
                asm!(self ; .align 32 ; =>next);
                self.mark(Part::Setup);
                self.setup()?;
                self.instance(&record, stride)?;
                asm!(self ; dec rcx ; jnz =>next);
            }
            Pace::Paced => {
                asm!(self ; .align 32 ; =>group);
                self.mark(Part::Group);
                self.begin_group()?;
                self.mark(Part::Setup);
                self.setup()?;
                self.wait_counting(late, go);
                self.instance(&record, stride)?;
                asm!(self ; dec rcx ; jz =>over);
                self.mark(Part::Setup);
                self.setup()?;
                asm!(self ; jmp =>go);
                self.mark(Part::Next);
                asm!(self
                    ; =>over
                    ; add r8, [rsp]
                    ; mov rax, [rsp + 16]
                    ; cmp QWORD [rax + 16], 0
                    ; jnz =>group
                );
            }
            Pace::Edges { coarse_bits } => {
                asm!(self ; .align 32 ; =>group);
                self.mark(Part::Group);
                self.begin_group()?;
                self.wait_for_edge(coarse_bits, late);
                asm!(self ; =>go);
                self.mark(Part::Setup);
                self.setup()?;
                self.instance(&record, stride)?;
                asm!(self
                    ; dec rcx
                    ; jnz =>go
                    ; mov rax, [rsp + 16]
                    ; cmp QWORD [rax + 16], 0
                    ; jnz =>group
                );
            }
        }
        asm!(self ; xor eax, eax);
        self.mark(Part::Epilogue);
        asm!(self ; =>done);
        if self.stores_around_the_caches() {
            // A non-temporal store may still be in a write-combining buffer, and later ordinary stores do not
            // wait for it (Intel SDM 11.3.1, AMD APM 7.4.2). It must not reach memory after the instance was
            // classified or reset. Every exit of the function passes here.
            asm!(self ; sfence);
        }
        asm!(self
            ; pop rdx
            ; pop rdx
            ; pop rdi
            ; mov [rdi + 48], rdx
            ; pop r15 ; pop r14 ; pop r13 ; pop r12 ; pop rbp ; pop rbx
            ; ret
        );
        self.mark(Part::Cold);
        match pace {
            Pace::Free => {}
            Pace::Paced => asm!(self ; =>late ; inc QWORD [rsp + 8] ; jmp =>go),
            Pace::Edges { .. } => {
                asm!(self ; =>late);
                self.late_for_edge();
                asm!(self ; jmp =>go ; =>chain_alone ; mov rax, [rsp + 16] ; mov rax, [rax + 96]);
                self.chain();
                asm!(self ; xor eax, eax ; jmp =>done);
            }
        }
        if !self.waiters.is_empty() || !self.detours.is_empty() {
            self.contended_locks(give_up);
            asm!(self ; =>give_up ; mov eax, 1 ; jmp =>done);
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
        for (register, vector) in self.aside.pairs() {
            asm!(self ; movq Rq(register), Rx(vector));
        }
        self.mark(Part::Next);
        asm!(self ; add rdi, stride);
        if record.stride > 0 {
            let stride = displacement(record.stride)?;
            asm!(self ; add rsi, stride);
        }
        Ok(())
    }

    /// Whether the wait or the loop still needs a register when the values of the test are loaded.
    fn is_late(&self, register: u8) -> bool {
        matches!(register, RAX | RDX) || self.aside.vector(register).is_some()
    }

    /// Puts aside what the loop has in the borrowed registers, and loads the values of the test that are in them or in those
    /// that the wait has used.
    fn put_aside(&mut self) -> Result<(), String> {
        self.mark(Part::Setup);
        for (register, vector) in self.aside.pairs() {
            asm!(self ; movq Rx(vector), Rq(register));
        }
        // Addresses are computed from rdi, which comes last.
        let late = self.allocation.initial(self.thread).into_iter().filter(|(register, _)| self.is_late(*register));
        let (arena, others): (Vec<_>, Vec<_>) = late.partition(|(register, _)| *register == RDI);
        others.into_iter().chain(arena).try_for_each(|(register, value)| self.load_initial(register, value))
    }

    /// Stores the observed registers to the record.
    fn save(&mut self, record: &SaveRecord) -> Result<(), String> {
        let parked = self.aside.spare(0);
        if let Some(vector) = self.aside.vector(RSI) {
            asm!(self ; movq Rx(parked), rsi ; movq rsi, Rx(vector));
        }
        // What was in rsi comes behind the others, because it goes through rax.
        let mut slots: Vec<_> =
            record.slots.iter().map(|slot| (self.allocation.register(slot.register), *slot)).collect();
        slots.sort_by_key(|(register, _)| *register == Some(RSI));
        for (register, slot) in slots {
            let memory = (RSI, displacement(slot.offset)?);
            match register {
                Some(RSI) => {
                    asm!(self ; movq rax, Rx(parked));
                    self.store_register(memory, RAX, slot.bytes);
                }
                Some(register) => self.store_register(memory, register, slot.bytes),
                // The register is declared and observed but never written, so its value is 0.
                None => self.store_immediate(memory, 0, slot.bytes),
            }
        }
        Ok(())
    }

    /// Whether the thread has a non-temporal store.
    fn stores_around_the_caches(&self) -> bool {
        let instructions = self.thread.assembly.iter().flat_map(|assembly| &assembly.instructions);
        self.thread.ops.iter().any(|op| matches!(op, Op::Store { access: Access::NonTemporal, .. }))
            || instructions
                .into_iter()
                .any(|instruction| instruction.mnemonic.to_ascii_lowercase().starts_with("movnt"))
    }

    /// Emits the instructions of a thread in assembly, as the test has them.
    fn instructions(&mut self) -> Result<(), String> {
        let Some(pieces) = self.pieces.take() else { return Ok(()) };
        let detour = |to: usize| self.detours.iter().find(|(head, ..)| *head == to).map(|(_, offset, _)| *offset);
        let bytes = pieces.place(self.ops.offset().0, &detour)?;
        for (index, bytes) in bytes.iter().enumerate() {
            if let Some((.., label)) = self.detours.iter().find(|(head, ..)| *head == index) {
                let label = *label;
                asm!(self ; =>label);
            }
            self.mark(Part::Op(index));
            self.ops.extend(bytes);
        }
        Ok(())
    }

    /// Emits the detours of backward jumps: each looks whether the thread must give up, and goes on to the label. They
    /// change no flags and no register.
    fn detours(&mut self, give_up: DynamicLabel) {
        let heads = self.pieces.as_ref().map_or_else(Vec::new, Pieces::loops);
        if heads.is_empty() {
            return;
        }
        let over = self.ops.new_dynamic_label();
        asm!(self ; jmp =>over);
        self.mark(Part::Cold);
        for head in heads {
            let (back, go_on) = (self.ops.new_dynamic_label(), self.ops.new_dynamic_label());
            self.detours.push((head, self.ops.offset().0, back));
            asm!(self
                ; push rcx
                ; mov rcx, [rsp + 24]
                ; mov rcx, [rcx + 40]
                ; movzx ecx, BYTE [rcx]
                ; jrcxz =>go_on
                ; pop rcx
                ; jmp =>give_up
                ; =>go_on
                ; pop rcx
                ; jmp =>back
            );
        }
        self.mark(Part::Prologue);
        asm!(self ; =>over);
    }

    /// Moves the instances of a group from those left into rcx, and prefetches the group's lines: first those that the thread
    /// stores to, or with `prefetch_ahead` those of a later group, and then the others.
    fn begin_group(&mut self) -> Result<(), String> {
        let fetched = self.ops.new_dynamic_label();
        asm!(self
            ; mov rax, [rsp + 16]
            ; mov rdx, [rax + 16]
            ; mov rcx, [rax + 56]
            ; cmp rcx, rdx
            ; cmova rcx, rdx
            ; sub rdx, rcx
            ; mov [rax + 16], rdx
        );
        for (locations, own) in crate::codegen::prefetches(self.thread) {
            let again = self.ops.new_dynamic_label();
            asm!(self ; mov rdx, [rsp + 16] ; mov rax, [rdx + 64] ; test rax, rax ; jz =>fetched);
            if own {
                asm!(self ; mov rdx, [rdx + 112] ; add rdx, rdi);
            } else {
                asm!(self ; mov rdx, rdi);
            }
            asm!(self ; =>again);
            for location in locations {
                let offset = displacement(self.layout.offsets[location])?;
                if own {
                    asm!(self ; prefetchw QWORD [rdx + offset]);
                } else {
                    asm!(self ; prefetcht0 BYTE [rdx + offset]);
                }
            }
            let step = displacement(crate::codegen::prefetch_step(self.layout))?;
            asm!(self ; add rdx, step ; dec rax ; jnz =>again);
        }
        asm!(self ; =>fetched);
        Ok(())
    }

    /// Spins until the time-stamp counter reaches r8. rdtsc may execute before older loads, but no older load
    /// belongs to the test.
    fn wait(&mut self) {
        self.mark(Part::Pace);
        let again = self.ops.new_dynamic_label();
        asm!(self ; =>again);
        self.read_clock();
        asm!(self ; cmp rax, r8 ; jb =>again);
    }

    /// Spins like [`Emitter::wait`] in paced code. If the start time has already passed, the instance counts as
    /// late. The code that counts is out of line.
    fn wait_counting(&mut self, late: DynamicLabel, go: DynamicLabel) {
        self.mark(Part::Pace);
        let again = self.ops.new_dynamic_label();
        self.read_clock();
        asm!(self ; cmp rax, r8 ; jae =>late ; =>again);
        self.read_clock();
        asm!(self ; cmp rax, r8 ; jb =>again ; =>go);
    }

    /// Emits the start of a group: the first group of a span waits for the edge at r8 and then runs the chain for its delay,
    /// the others run the chain for their gap. r8 becomes the time of the next span.
    ///
    /// The edge is the first reading that is at least r8, as in [`Emitter::wait_counting`]; here the counter stands still
    /// between two edges, and all CPUs see an edge at the same moment.
    fn wait_for_edge(&mut self, coarse_bits: u8, late: DynamicLabel) {
        self.mark(Part::Pace);
        let [again, follows, chain] = std::array::from_fn(|_| self.ops.new_dynamic_label());
        asm!(self
            ; mov rax, [rsp + 16]
            ; dec QWORD [rax + 80]
            ; jnz =>follows
            ; mov rdx, [rax + 72]
            ; mov [rax + 80], rdx
        );
        self.read_coarse_clock(coarse_bits);
        asm!(self ; cmp rax, r8 ; jae =>late ; =>again);
        self.read_coarse_clock(coarse_bits);
        asm!(self
            ; cmp rax, r8
            ; jb =>again
            ; mov rdx, [rsp + 16]
            ; mov rax, [rdx + 96]
            ; mov [rdx + 104], rax
            ; add r8, [rsp]
            ; mov rax, [rdx + 88]
            ; jmp =>chain
            ; =>follows
            ; mov rax, [rax + 104]
            ; =>chain
        );
        self.mark(Part::Delay);
        self.chain();
    }

    /// Counts a span that starts late, without a delay. Its gaps stay as they are, because the other threads keep theirs; but a
    /// thread that is late by a whole span or more catches up without gaps. rax holds the reading.
    fn late_for_edge(&mut self) {
        asm!(self
            ; inc QWORD [rsp + 8]
            ; add r8, [rsp]
            ; mov rdx, [rsp + 16]
            ; cmp rax, r8
            ; sbb rax, rax
            ; and rax, [rdx + 96]
            ; mov [rdx + 104], rax
        );
    }

    /// Emits a chain of rax steps: dependent multiplications of 0, 3 cycles each on every x86-64 CPU since 2008 and a constant
    /// time on all (Agner Fog, Instruction tables). The loops need far less time than the chain, so they have been left when it
    /// ends, and a mispredicted branch at their end costs nothing. Eight steps a round take few entries of the reorder
    /// buffer, so that a chain can run while a load of the group before it is still on its way.
    ///
    /// The chain begins and ends with the address of the instance: it takes 0 out of rdi (`and` with 0 is not recognised as
    /// independent of its operand, as `xor` with itself is), and adds 0 to it. So a chain begins when the one before has ended,
    /// and no access of the test is executed before its chain has ended, although its address does not change.
    fn chain(&mut self) {
        let [eight, rest, step, over] = std::array::from_fn(|_| self.ops.new_dynamic_label());
        asm!(self
            ; mov rdx, rdi
            ; and rdx, 0
            ; sub rax, 8
            ; jb =>rest
            ; =>eight
            ; imul rdx, rdx
            ; imul rdx, rdx
            ; imul rdx, rdx
            ; imul rdx, rdx
            ; imul rdx, rdx
            ; imul rdx, rdx
            ; imul rdx, rdx
            ; imul rdx, rdx
            ; sub rax, 8
            ; jae =>eight
            ; =>rest
            ; add rax, 8
            ; jz =>over
            ; =>step
            ; imul rdx, rdx
            ; dec rax
            ; jnz =>step
            ; =>over
            ; add rdi, rdx
        );
    }

    /// Reads the time-stamp counter into rax and clears its low bits.
    fn read_coarse_clock(&mut self, coarse_bits: u8) {
        self.read_clock();
        if coarse_bits > 0 {
            let mask = -1_i32 << coarse_bits;
            asm!(self ; and rax, mask);
        }
    }

    /// Reads the time-stamp counter into rax.
    fn read_clock(&mut self) {
        asm!(self ; rdtsc ; shl rdx, 32 ; or rax, rdx);
    }

    /// Loads the values of the test, but for those in registers that are needed until the instance begins.
    fn setup(&mut self) -> Result<(), String> {
        let mut early = self.allocation.initial(self.thread);
        early.retain(|(register, _)| !self.is_late(*register));
        early.into_iter().try_for_each(|(register, value)| self.load_initial(register, value))
    }

    fn load_initial(&mut self, register: u8, value: Option<Const>) -> Result<(), String> {
        match value {
            Some(constant) => self.load_constant(register, constant),
            None => {
                asm!(self ; xor Rd(register), Rd(register));
                Ok(())
            }
        }
    }

    fn load_constant(&mut self, register: u8, constant: Const) -> Result<(), String> {
        match constant {
            Const::Address(location) => {
                let offset = displacement(self.layout.offsets[location])?;
                asm!(self ; lea Rq(register), [rdi + offset]);
            }
            Const::Int(value) => self.load_integer(register, value),
        }
        Ok(())
    }

    /// Loads an integer without changing the flags, so that it may stand before a conditional jump.
    fn load_integer(&mut self, register: u8, value: i64) {
        if let Ok(value) = u32::try_from(value) {
            asm!(self ; mov Rd(register), value.cast_signed());
        } else if let Ok(value) = i32::try_from(value) {
            asm!(self ; mov Rq(register), value);
        } else {
            asm!(self ; mov Rq(register), QWORD value);
        }
    }

    fn memory(&self, address: Address) -> Result<Memory, String> {
        match address {
            Address::Location(location) => Ok((RDI, displacement(self.layout.offsets[location])?)),
            Address::Register(register) => Ok((self.register(register)?, 0)),
        }
    }

    fn register(&self, register: usize) -> Result<u8, String> {
        self.allocation.register(register).ok_or_else(|| "uses a register that was not allocated".to_owned())
    }

    /// The hardware register that holds an operand. A constant without a register is loaded into `scratch`.
    fn operand(&mut self, operand: Operand, scratch: u8) -> Result<u8, String> {
        match operand {
            Operand::Register(register) => self.register(register),
            Operand::Const(constant) => match self.allocation.constant(constant) {
                Some(register) => Ok(register),
                None => {
                    self.load_constant(scratch, constant)?;
                    Ok(scratch)
                }
            },
        }
    }

    /// Loads an operand into a given register.
    fn operand_into(&mut self, operand: Operand, target: u8) -> Result<(), String> {
        let from = self.operand(operand, target)?;
        if from != target {
            asm!(self ; mov Rq(target), Rq(from));
        }
        Ok(())
    }

    /// The operand as a sign-extended 32-bit immediate, if it fits.
    fn immediate(operand: Operand, bytes: usize) -> Option<i32> {
        match operand {
            Operand::Const(Const::Int(value)) if bytes <= 4 => Some(low_word(value)),
            Operand::Const(Const::Int(value)) => i32::try_from(value).ok(),
            _ => None,
        }
    }

    fn store_register(&mut self, memory: Memory, register: u8, bytes: usize) {
        match bytes {
            1 => at!(self, memory, [mov] [, Rb(register)]),
            2 => at!(self, memory, [mov] [, Rw(register)]),
            4 => at!(self, memory, [mov] [, Rd(register)]),
            _ => at!(self, memory, [mov] [, Rq(register)]),
        }
    }

    fn store_immediate(&mut self, memory: Memory, value: i32, bytes: usize) {
        let [first, second, ..] = value.to_le_bytes();
        match bytes {
            1 => at!(self, memory, [mov BYTE] [, first.cast_signed()]),
            2 => at!(self, memory, [mov WORD] [, i16::from_le_bytes([first, second])]),
            4 => at!(self, memory, [mov DWORD] [, value]),
            _ => at!(self, memory, [mov QWORD] [, value]),
        }
    }

    /// Loads a value. 8-bit and 16-bit values are extended to 64 bits, because lowering uses them as values of
    /// any wider type.
    fn load(&mut self, register: u8, memory: Memory, ty: Type) {
        match (ty.bytes(), ty.signed()) {
            (1, true) => at!(self, memory, [movsx Rq(register), BYTE] []),
            (1, false) => at!(self, memory, [movzx Rd(register), BYTE] []),
            (2, true) => at!(self, memory, [movsx Rq(register), WORD] []),
            (2, false) => at!(self, memory, [movzx Rd(register), WORD] []),
            (4, _) => at!(self, memory, [mov Rd(register),] []),
            _ => at!(self, memory, [mov Rq(register),] []),
        }
    }

    fn op(&mut self, op: &Op) -> Result<(), String> {
        match *op {
            // smp_load_acquire is a plain mov: x86 keeps loads in order.
            Op::Load { dst, address, ty, .. } => {
                let (register, memory) = (self.register(dst)?, self.memory(address)?);
                self.load(register, memory, ty);
            }
            Op::Store { address, value, ty, access } => self.store(address, value, ty, access)?,
            Op::StoreMb { address, value, ty } => {
                let memory = self.memory(address)?;
                self.operand_into(value, RAX)?;
                match ty.bytes() {
                    1 => at!(self, memory, [xchg] [, al]),
                    2 => at!(self, memory, [xchg] [, ax]),
                    4 => at!(self, memory, [xchg] [, eax]),
                    _ => at!(self, memory, [xchg] [, rax]),
                }
            }
            Op::Fence(fence) => self.fence(fence),
            Op::Rmw { dst, address, value, ty, op, result, .. } => {
                let memory = self.memory(address)?;
                let dst = dst.map(|dst| self.register(dst)).transpose()?;
                self.rmw(dst, memory, value, ty.bytes() == 8, op, result)?;
            }
            Op::Cmpxchg { dst, address, expected, new, ty, .. } => {
                let memory = self.memory(address)?;
                let dst = self.register(dst)?;
                let new = self.operand(new, RDX)?;
                self.operand_into(expected, RAX)?;
                if ty.bytes() == 8 {
                    at!(self, memory, [lock cmpxchg] [, Rq(new)]);
                    asm!(self ; mov Rq(dst), rax);
                } else {
                    at!(self, memory, [lock cmpxchg] [, Rd(new)]);
                    asm!(self ; mov Rd(dst), eax);
                }
            }
            Op::SpinLock { address } => self.spin_lock(address)?,
            Op::SpinUnlock { address } => {
                let memory = self.memory(address)?;
                if self.lock == Lock::Paravirt {
                    // PV_UNLOCK_ASM in arch/x86/include/asm/qspinlock_paravirt.h. The kernel's branch to the slow path is
                    // left out: the byte is _Q_LOCKED_VAL, because no waiter here halts.
                    asm!(self ; mov eax, 1 ; xor edx, edx);
                    at!(self, memory, [lock cmpxchg BYTE] [, dl]);
                } else {
                    at!(self, memory, [mov BYTE] [, 0]);
                }
            }
            Op::SpinTrylock { dst, address } => self.spin_trylock(dst, address)?,
            Op::SpinIsLocked { dst, address } => {
                let (memory, dst) = (self.memory(address)?, self.register(dst)?);
                at!(self, memory, [mov eax,] []);
                asm!(self ; test eax, eax ; setne al ; movzx Rd(dst), al);
            }
            Op::RcuFence(_) | Op::SrcuLock { .. } | Op::SrcuUnlock { .. } | Op::SynchronizeSrcu { .. } => {
                return Err(op.judged_only().unwrap_or_default());
            }
            Op::Move { dst, src } => {
                let dst = self.register(dst)?;
                self.operand_into(src, dst)?;
            }
            Op::Extend { dst, src, from } => {
                let dst = self.register(dst)?;
                let src = self.operand(src, RAX)?;
                match (from.bytes(), from.signed()) {
                    (1, true) => asm!(self ; movsx Rq(dst), Rb(src)),
                    (1, false) => asm!(self ; movzx Rd(dst), Rb(src)),
                    (2, true) => asm!(self ; movsx Rq(dst), Rw(src)),
                    (2, false) => asm!(self ; movzx Rd(dst), Rw(src)),
                    (4, true) => asm!(self ; movsxd Rq(dst), Rd(src)),
                    (4, false) => asm!(self ; mov Rd(dst), Rd(src)),
                    _ => asm!(self ; mov Rq(dst), Rq(src)),
                }
            }
            Op::Unary { dst, op, src, .. } => {
                let dst = self.register(dst)?;
                self.operand_into(src, dst)?;
                match op {
                    Unary::Negate => asm!(self ; neg Rq(dst)),
                    Unary::Invert => asm!(self ; not Rq(dst)),
                    Unary::Not => return Err("has a logical not that was not lowered".to_owned()),
                }
            }
            Op::Binary { dst, op, left, right, bits, signed } => self.binary(dst, op, left, right, bits, signed)?,
            Op::Branch { compare, left, right, bits, signed, target } => {
                self.compare(left, right, bits)?;
                let target = self.labels[target];
                match (compare, signed) {
                    (Compare::Eq, _) => asm!(self ; je =>target),
                    (Compare::Ne, _) => asm!(self ; jne =>target),
                    (Compare::Lt, true) => asm!(self ; jl =>target),
                    (Compare::Le, true) => asm!(self ; jle =>target),
                    (Compare::Gt, true) => asm!(self ; jg =>target),
                    (Compare::Ge, true) => asm!(self ; jge =>target),
                    (Compare::Lt, false) => asm!(self ; jb =>target),
                    (Compare::Le, false) => asm!(self ; jbe =>target),
                    (Compare::Gt, false) => asm!(self ; ja =>target),
                    (Compare::Ge, false) => asm!(self ; jae =>target),
                }
            }
            Op::Jump { target } => {
                let target = self.labels[target];
                asm!(self ; jmp =>target);
            }
            Op::Label(label) => {
                let label = self.labels[label];
                asm!(self ; =>label);
            }
        }
        Ok(())
    }

    fn store(&mut self, address: Address, value: Operand, ty: Type, access: Access) -> Result<(), String> {
        let memory = self.memory(address)?;
        let bytes = ty.bytes();
        if access == Access::NonTemporal {
            let register = self.operand(value, RAX)?;
            if bytes == 8 {
                at!(self, memory, [movnti] [, Rq(register)]);
            } else {
                at!(self, memory, [movnti] [, Rd(register)]);
            }
            return Ok(());
        }
        // smp_store_release is a plain mov: x86 keeps stores in order with older loads and stores.
        match Self::immediate(value, bytes) {
            Some(value) => self.store_immediate(memory, value, bytes),
            None => {
                let register = self.operand(value, RAX)?;
                self.store_register(memory, register, bytes);
            }
        }
        Ok(())
    }

    fn fence(&mut self, fence: Fence) {
        match fence {
            Fence::Mb => asm!(self ; lock add DWORD [rsp - 4], BYTE 0),
            Fence::MandatoryMb => asm!(self ; mfence),
            Fence::MandatoryRmb => asm!(self ; lfence),
            Fence::MandatoryWmb => asm!(self ; sfence),
            // These only restrict the compiler, and no compiler is involved here.
            Fence::Rmb
            | Fence::Wmb
            | Fence::MbBeforeAtomic
            | Fence::MbAfterAtomic
            | Fence::MbAfterSpinlock
            | Fence::MbAfterUnlockLock
            | Fence::AcquireAfterCtrlDep
            | Fence::Barrier
            | Fence::RcuReadLock
            | Fence::RcuReadUnlock => {}
        }
    }

    /// Emits a read-modify-write. Every locked instruction is fully ordered, so the requested order makes no
    /// difference.
    fn rmw(
        &mut self,
        dst: Option<u8>,
        memory: Memory,
        value: Operand,
        wide: bool,
        op: RmwOp,
        result: RmwResult,
    ) -> Result<(), String> {
        match (op, result) {
            (RmwOp::Xchg, _) => {
                self.operand_into(value, RAX)?;
                if wide {
                    at!(self, memory, [xchg] [, rax]);
                } else {
                    at!(self, memory, [xchg] [, eax]);
                }
                self.result(dst, RAX);
            }
            (_, RmwResult::None | RmwResult::NewIsZero | RmwResult::NewIsNegative) => {
                self.locked(memory, value, wide, op)?;
                match (result, dst) {
                    (RmwResult::NewIsZero, Some(dst)) => asm!(self ; sete al ; movzx Rd(dst), al),
                    (RmwResult::NewIsNegative, Some(dst)) => asm!(self ; sets al ; movzx Rd(dst), al),
                    _ => {}
                }
            }
            (RmwOp::Add | RmwOp::Sub, _) => {
                self.operand_into(value, RAX)?;
                if op == RmwOp::Sub {
                    asm!(self ; neg rax);
                }
                if result == RmwResult::New {
                    asm!(self ; mov rdx, rax);
                }
                if wide {
                    at!(self, memory, [lock xadd] [, rax]);
                } else {
                    at!(self, memory, [lock xadd] [, eax]);
                }
                if result == RmwResult::New {
                    asm!(self ; add rax, rdx);
                }
                self.result(dst, RAX);
            }
            _ => {
                // The kernel's atomic_fetch_and and similar: read, compute, compare and exchange; repeat if the
                // value has changed.
                let again = self.ops.new_dynamic_label();
                let ty = Type::Int { bits: if wide { 64 } else { 32 }, signed: true };
                self.load(RAX, memory, ty);
                asm!(self ; =>again);
                self.operand_into(value, RDX)?;
                match op {
                    RmwOp::And => asm!(self ; and rdx, rax),
                    RmwOp::Or => asm!(self ; or rdx, rax),
                    RmwOp::Xor => asm!(self ; xor rdx, rax),
                    _ => asm!(self ; not rdx ; and rdx, rax),
                }
                if wide {
                    at!(self, memory, [lock cmpxchg] [, rdx]);
                } else {
                    at!(self, memory, [lock cmpxchg] [, edx]);
                }
                asm!(self ; jne =>again);
                self.result(dst, RAX);
            }
        }
        Ok(())
    }

    fn result(&mut self, dst: Option<u8>, from: u8) {
        if let Some(dst) = dst {
            asm!(self ; mov Rq(dst), Rq(from));
        }
    }

    /// Emits one locked instruction on memory. Only the flags are used, not the value.
    fn locked(&mut self, memory: Memory, value: Operand, wide: bool, op: RmwOp) -> Result<(), String> {
        let bytes = if wide { 8 } else { 4 };
        let immediate = Self::immediate(value, bytes);
        if let (RmwOp::Add | RmwOp::Sub, Some(1)) = (op, immediate) {
            match (op, wide) {
                (RmwOp::Add, true) => at!(self, memory, [lock inc QWORD] []),
                (RmwOp::Add, false) => at!(self, memory, [lock inc DWORD] []),
                (_, true) => at!(self, memory, [lock dec QWORD] []),
                (_, false) => at!(self, memory, [lock dec DWORD] []),
            }
            return Ok(());
        }
        let register = match (op, immediate) {
            (RmwOp::AndNot, Some(value)) => {
                self.load_integer(RAX, i64::from(!value));
                RAX
            }
            (RmwOp::AndNot, None) => {
                self.operand_into(value, RAX)?;
                asm!(self ; not rax);
                RAX
            }
            _ => self.operand(value, RAX)?,
        };
        match (op, wide) {
            (RmwOp::Add, true) => at!(self, memory, [lock add] [, Rq(register)]),
            (RmwOp::Add, false) => at!(self, memory, [lock add] [, Rd(register)]),
            (RmwOp::Sub, true) => at!(self, memory, [lock sub] [, Rq(register)]),
            (RmwOp::Sub, false) => at!(self, memory, [lock sub] [, Rd(register)]),
            (RmwOp::And | RmwOp::AndNot, true) => at!(self, memory, [lock and] [, Rq(register)]),
            (RmwOp::And | RmwOp::AndNot, false) => at!(self, memory, [lock and] [, Rd(register)]),
            (RmwOp::Or, true) => at!(self, memory, [lock or] [, Rq(register)]),
            (RmwOp::Or, false) => at!(self, memory, [lock or] [, Rd(register)]),
            (RmwOp::Xor, true) => at!(self, memory, [lock xor] [, Rq(register)]),
            (RmwOp::Xor, false) => at!(self, memory, [lock xor] [, Rd(register)]),
            (RmwOp::Xchg, _) => return Err("has an exchange without a result".to_owned()),
        }
        Ok(())
    }

    /// Emits queued_spin_lock's fast path: compare and exchange 0 for _Q_LOCKED_VAL (1). The wait is out of line.
    fn spin_lock(&mut self, address: Address) -> Result<(), String> {
        let memory = self.memory(address)?;
        let (again, wait) = (self.ops.new_dynamic_label(), self.ops.new_dynamic_label());
        asm!(self
            ; =>again
            ; xor eax, eax
            ; mov edx, 1
        );
        at!(self, memory, [lock cmpxchg] [, edx]);
        asm!(self ; jne =>wait);
        self.waiters.push((memory, wait, again));
        Ok(())
    }

    /// Emits queued_spin_trylock: reads the lock first and tries to take it only if it is free.
    fn spin_trylock(&mut self, dst: usize, address: Address) -> Result<(), String> {
        let (memory, dst) = (self.memory(address)?, self.register(dst)?);
        let out = self.ops.new_dynamic_label();
        at!(self, memory, [mov eax,] []);
        asm!(self ; test eax, eax ; jne =>out ; mov edx, 1);
        at!(self, memory, [lock cmpxchg] [, edx]);
        asm!(self
            ; =>out
            ; sete al
            ; movzx Rd(dst), al
        );
        Ok(())
    }

    /// Emits the wait for a contended lock. It polls the lock, yields the CPU regularly (the holder may have
    /// lost its CPU), and gives up if `stop` is set, so that a test that deadlocks ends.
    fn contended_locks(&mut self, give_up: DynamicLabel) {
        for (memory, wait, again) in std::mem::take(&mut self.waiters) {
            let watch = self.ops.new_dynamic_label();
            asm!(self
                ; =>wait
                ; mov edx, SPINS_BEFORE_YIELD
                ; =>watch
                ; pause
            );
            at!(self, memory, [cmp DWORD] [, 0]);
            asm!(self
                ; je =>again
                ; dec edx
                ; jnz =>watch
                ; mov rax, [rsp + 16]
                ; mov rax, [rax + 40]
                ; cmp BYTE [rax], 0
                ; jne =>give_up
                ; push rcx
                ; push r11
                ; mov eax, SYS_SCHED_YIELD
                ; syscall
                ; pop r11
                ; pop rcx
                ; jmp =>wait
            );
        }
    }

    fn compare(&mut self, left: Operand, right: Operand, bits: u8) -> Result<(), String> {
        let left = self.operand(left, RAX)?;
        let wide = bits == 64;
        match Self::immediate(right, usize::from(bits / 8)) {
            Some(0) if wide => asm!(self ; test Rq(left), Rq(left)),
            Some(0) => asm!(self ; test Rd(left), Rd(left)),
            Some(value) if wide => asm!(self ; cmp Rq(left), value),
            Some(value) => asm!(self ; cmp Rd(left), value),
            None => {
                let right = self.operand(right, RDX)?;
                if wide {
                    asm!(self ; cmp Rq(left), Rq(right));
                } else {
                    asm!(self ; cmp Rd(left), Rd(right));
                }
            }
        }
        Ok(())
    }

    fn binary(
        &mut self,
        dst: usize,
        op: Binary,
        left: Operand,
        right: Operand,
        bits: u8,
        signed: bool,
    ) -> Result<(), String> {
        let dst = self.register(dst)?;
        if let Binary::Compare(compare) = op {
            self.compare(left, right, bits)?;
            match (compare, signed) {
                (Compare::Eq, _) => asm!(self ; sete al),
                (Compare::Ne, _) => asm!(self ; setne al),
                (Compare::Lt, true) => asm!(self ; setl al),
                (Compare::Le, true) => asm!(self ; setle al),
                (Compare::Gt, true) => asm!(self ; setg al),
                (Compare::Ge, true) => asm!(self ; setge al),
                (Compare::Lt, false) => asm!(self ; setb al),
                (Compare::Le, false) => asm!(self ; setbe al),
                (Compare::Gt, false) => asm!(self ; seta al),
                (Compare::Ge, false) => asm!(self ; setae al),
            }
            asm!(self ; movzx Rd(dst), al);
            return Ok(());
        }
        // The result goes through rax, so that dst may be either operand.
        let wide = bits == 64;
        self.operand_into(left, RAX)?;
        if let (Binary::ShiftLeft | Binary::ShiftRight, Some(count)) = (op, Self::immediate(right, 4)) {
            let count = i8::try_from(count).map_err(|_| format!("has a shift by {count}"))?;
            match (op, signed, wide) {
                (Binary::ShiftLeft, _, true) => asm!(self ; shl rax, count),
                (Binary::ShiftLeft, _, false) => asm!(self ; shl eax, count),
                (_, true, true) => asm!(self ; sar rax, count),
                (_, true, false) => asm!(self ; sar eax, count),
                (_, false, true) => asm!(self ; shr rax, count),
                (_, false, false) => asm!(self ; shr eax, count),
            }
        } else {
            let right = self.operand(right, RDX)?;
            match op {
                Binary::Add => asm!(self ; add rax, Rq(right)),
                Binary::Sub => asm!(self ; sub rax, Rq(right)),
                Binary::Mul => asm!(self ; imul rax, Rq(right)),
                Binary::And => asm!(self ; and rax, Rq(right)),
                Binary::Or => asm!(self ; or rax, Rq(right)),
                Binary::Xor => asm!(self ; xor rax, Rq(right)),
                _ => return Err("has a shift by a variable".to_owned()),
            }
        }
        if wide {
            asm!(self ; mov Rq(dst), rax);
        } else {
            asm!(self ; mov Rd(dst), eax);
        }
        Ok(())
    }
}
