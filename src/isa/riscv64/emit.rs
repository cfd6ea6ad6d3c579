//! Emitter for riscv64. Each primitive becomes exactly the instructions of the kernel's arch/riscv.
//!
//! 32-bit values, unsigned ones too, stay sign-extended in their registers, as the W instructions leave them. So one
//! 64-bit comparison works for both widths.
//!
//! | register | content |
//! |---|---|
//! | a1, a2, a3 | current instance, current record, number of instances left |
//! | a4, a5, a6 | start time of the instance, period, number of instances that started late |
//! | a0 | address of the arguments |
//! | t0, t1, t2, t3 | scratch within one primitive |
//! | t4 | status of a store-conditional |
//! | t5, t6, s0 to s11 | values of the test |
//! | ft0 to ft7, fa0 to fa7 | what a0, a2 to a6 hold for the loop, while they hold values of a thread that has many |

// dynasm adds `.into()` to dynamic registers and `as u32` to immediates, after a range check that panics.
#![allow(clippy::useless_conversion, clippy::unnecessary_cast, clippy::cast_sign_loss)]

use dynasm::dynasm;
use dynasmrt::riscv::RiscvRelocation;
use dynasmrt::{DynamicLabel, DynasmApi, DynasmLabelApi, VecAssembler};

use crate::arch::Arch;
use crate::arch::lock::Lock;
use crate::codegen::assembly::Encoder;
use crate::codegen::low_word;
use crate::codegen::risc::{CmpxchgParts, Comparison, Fixed, Risc, RmwParts, Shift};
use crate::program::{Binary, Compare, Fence, Order, RmwOp, RmwResult, Type, Unary};

/// Linux's number of the system call sched_yield (include/uapi/asm-generic/unistd.h).
const SYS_SCHED_YIELD: i64 = 124;

/// The upper half of a ticket lock is the next ticket, the lower half the one that is served. lui loads a multiple of
/// 4,096: this is 1 in the upper half.
const TICKET: i32 = 1 << 16;

/// The callee-saved registers s0 to s11.
const SAVED: [u8; 12] = [8, 9, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27];

/// The saved registers, each with its offset from the stack pointer in bytes.
fn saved() -> impl Iterator<Item = (i32, u8)> {
    (0..).step_by(8).zip(SAVED)
}

/// The number of the floating-point register with this place among ft0 to ft7 (f0 to f7) and fa0 to fa7 (f10 to f17), which a
/// function need not preserve.
fn volatile(vector: u8) -> u8 {
    if vector < 8 { vector } else { vector + 2 }
}

/// The assembler.
pub struct Riscv64 {
    ops: VecAssembler<RiscvRelocation>,
    lock: Lock,
}

macro_rules! asm {
    ($assembler:expr ; $($code:tt)*) => {
        dynasm!($assembler.ops ; .arch riscv64i ; .feature m, a, zicsr, zicntr ; $($code)*)
    };
}

impl Riscv64 {
    /// Creates an empty assembler that uses this kind of lock.
    pub fn new(lock: Lock) -> Riscv64 {
        Riscv64 { ops: VecAssembler::new(0), lock }
    }

    fn load_reserved(&mut self, rd: u8, base: u8, wide: bool) {
        if wide {
            asm!(self ; lr.d X(rd), [X(base)]);
        } else {
            asm!(self ; lr.w X(rd), [X(base)]);
        }
    }

    /// Stores if the reservation still holds, with the status in t4; with release semantics if `release` is set.
    fn store_conditional(&mut self, rs: u8, base: u8, wide: bool, release: bool) {
        match (wide, release) {
            (false, false) => asm!(self ; sc.w x29, X(rs), [X(base)]),
            (false, true) => asm!(self ; sc.w.rl x29, X(rs), [X(base)]),
            (true, false) => asm!(self ; sc.d x29, X(rs), [X(base)]),
            (true, true) => asm!(self ; sc.d.rl x29, X(rs), [X(base)]),
        }
    }

    /// Emits the fence before a read-modify-write.
    fn enter(&mut self, order: Order) {
        if order == Order::Release {
            asm!(self ; fence rw, w);
        }
    }

    /// Emits the fence after a read-modify-write that is not a single instruction.
    fn leave(&mut self, order: Order) {
        match order {
            Order::Acquire => asm!(self ; fence r, rw),
            Order::Full => asm!(self ; fence rw, rw),
            Order::Relaxed | Order::Release => {}
        }
    }

    /// ticket_spin_lock() (include/asm-generic/ticket_spinlock.h): takes a ticket, and jumps to `wait` if another one is
    /// served. The ticket is in t2 then.
    fn take_ticket(&mut self, base: u8, wait: DynamicLabel) {
        asm!(self
            ; lui x6, TICKET
            ; amoadd.w.aqrl x7, x6, [X(base)]
            ; slli x5, x7, 48
            ; srli x5, x5, 48
            ; srliw x7, x7, 16
            ; bne x7, x5, =>wait
        );
    }

    /// ticket_spin_trylock(): a fully ordered cmpxchg that takes a ticket if it would be served at once.
    fn try_ticket(&mut self, rd: u8, base: u8) {
        let [attempt, again, out] = std::array::from_fn(|_| self.label());
        asm!(self
            ; lw x5, [X(base)]
            ; srliw x6, x5, 16
            ; slli x7, x5, 48
            ; srli x7, x7, 48
            ; beq x6, x7, =>attempt
            // Any value but that of t0 says that the lock was not taken.
            ; xori x6, x5, -1
            ; j =>out
            ; =>attempt
            ; lui x7, TICKET
            ; addw x7, x5, x7
            ; =>again
            ; lr.w x6, [X(base)]
            ; bne x6, x5, =>out
            ; sc.w.rl x29, x7, [X(base)]
            ; bnez x29, =>again
            ; fence rw, rw
            ; =>out
            ; xor x6, x6, x5
            ; sltiu X(rd), x6, 1
        );
    }

    /// Takes the lock or jumps to `busy`. t0 is 0 if the lock was taken.
    fn take_lock(&mut self, base: u8, one: u8, busy: DynamicLabel) {
        let again = self.label();
        asm!(self
            ; =>again
            ; lr.w x5, [X(base)]
            ; bnez x5, =>busy
            ; sc.w x29, X(one), [X(base)]
            ; bnez x29, =>again
            ; fence r, rw
        );
    }

    fn amo(&mut self, op: RmwOp, full: bool, old: u8, value: u8, base: u8, wide: bool) {
        match (op, wide, full) {
            (RmwOp::Add | RmwOp::Sub, false, false) => asm!(self ; amoadd.w X(old), X(value), [X(base)]),
            (RmwOp::Add | RmwOp::Sub, false, true) => asm!(self ; amoadd.w.aqrl X(old), X(value), [X(base)]),
            (RmwOp::Add | RmwOp::Sub, true, false) => asm!(self ; amoadd.d X(old), X(value), [X(base)]),
            (RmwOp::Add | RmwOp::Sub, true, true) => asm!(self ; amoadd.d.aqrl X(old), X(value), [X(base)]),
            (RmwOp::And | RmwOp::AndNot, false, false) => asm!(self ; amoand.w X(old), X(value), [X(base)]),
            (RmwOp::And | RmwOp::AndNot, false, true) => asm!(self ; amoand.w.aqrl X(old), X(value), [X(base)]),
            (RmwOp::And | RmwOp::AndNot, true, false) => asm!(self ; amoand.d X(old), X(value), [X(base)]),
            (RmwOp::And | RmwOp::AndNot, true, true) => asm!(self ; amoand.d.aqrl X(old), X(value), [X(base)]),
            (RmwOp::Or, false, false) => asm!(self ; amoor.w X(old), X(value), [X(base)]),
            (RmwOp::Or, false, true) => asm!(self ; amoor.w.aqrl X(old), X(value), [X(base)]),
            (RmwOp::Or, true, false) => asm!(self ; amoor.d X(old), X(value), [X(base)]),
            (RmwOp::Or, true, true) => asm!(self ; amoor.d.aqrl X(old), X(value), [X(base)]),
            (RmwOp::Xor, false, false) => asm!(self ; amoxor.w X(old), X(value), [X(base)]),
            (RmwOp::Xor, false, true) => asm!(self ; amoxor.w.aqrl X(old), X(value), [X(base)]),
            (RmwOp::Xor, true, false) => asm!(self ; amoxor.d X(old), X(value), [X(base)]),
            (RmwOp::Xor, true, true) => asm!(self ; amoxor.d.aqrl X(old), X(value), [X(base)]),
            (RmwOp::Xchg, false, false) => asm!(self ; amoswap.w X(old), X(value), [X(base)]),
            (RmwOp::Xchg, false, true) => asm!(self ; amoswap.w.aqrl X(old), X(value), [X(base)]),
            (RmwOp::Xchg, true, false) => asm!(self ; amoswap.d X(old), X(value), [X(base)]),
            (RmwOp::Xchg, true, true) => asm!(self ; amoswap.d.aqrl X(old), X(value), [X(base)]),
        }
    }
}

impl Risc for Riscv64 {
    type Label = DynamicLabel;

    const ARCH: Arch = Arch::Riscv64gc;
    const ENCODER: Encoder = super::encode::ENCODER;
    const FIXED: Fixed = Fixed {
        arena: 11,
        record: 12,
        count: 13,
        start: 14,
        period: 15,
        late: 16,
        args: 10,
        scratch: [5, 6, 7, 28],
        pool: &[30, 31, 8, 9, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27],
        borrowed: &[16, 15, 14, 10, 13, 12],
        zero: Some(0),
    };

    fn offset(&self) -> usize {
        self.ops.offset().0
    }

    fn label(&mut self) -> DynamicLabel {
        self.ops.new_dynamic_label()
    }

    fn bind(&mut self, label: DynamicLabel) {
        asm!(self ; =>label);
    }

    fn append(&mut self, bytes: &[u8]) {
        self.ops.extend(bytes);
    }

    fn finish(self) -> Result<Vec<u8>, String> {
        self.ops.finalize().map_err(|error| format!("cannot be assembled: {error}"))
    }

    fn prologue(&mut self) {
        asm!(self ; addi sp, sp, -96);
        for (offset, register) in saved() {
            asm!(self ; sd X(register), [sp, offset]);
        }
        asm!(self
            ; ld a1, [a0]
            ; ld a2, [a0, 8]
            ; ld a3, [a0, 16]
            ; ld a4, [a0, 24]
            ; ld a5, [a0, 32]
            ; mv a6, zero
        );
    }

    fn epilogue(&mut self) {
        asm!(self ; sd a6, [a0, 48] ; mv a0, t0);
        for (offset, register) in saved() {
            asm!(self ; ld X(register), [sp, offset]);
        }
        asm!(self ; addi sp, sp, 96 ; ret);
    }

    fn put_aside(&mut self, vector: u8, rs: u8) {
        // fmv.d.x (RISC-V Unprivileged ISA, chapter "D")
        self.ops.push_u32(0xf200_0053 | u32::from(rs) << 15 | u32::from(volatile(vector)) << 7);
    }

    fn take_back(&mut self, rd: u8, vector: u8) {
        // fmv.x.d
        self.ops.push_u32(0xe200_0053 | u32::from(volatile(vector)) << 15 | u32::from(rd) << 7);
    }

    fn mov(&mut self, rd: u8, rs: u8, bits: u8) {
        if bits == 64 {
            asm!(self ; mv X(rd), X(rs));
        } else {
            asm!(self ; addiw X(rd), X(rs), 0);
        }
    }

    fn constant(&mut self, rd: u8, value: i64) {
        if let Ok(value) = i32::try_from(value) {
            if (-2048..2048).contains(&value) {
                asm!(self ; addi X(rd), zero, value);
            } else {
                // lui sets the upper 20 bits, sign-extended, and addiw adds the rest.
                let low = value << 20 >> 20;
                let high = value.wrapping_sub(low).cast_unsigned() >> 12;
                self.ops.push_u32(high << 12 | u32::from(rd) << 7 | 0x37);
                asm!(self ; addiw X(rd), X(rd), low);
            }
            return;
        }
        // The upper half is loaded first. The lower half follows in pieces of at most 11 bits, so that no ori
        // sees a negative immediate.
        self.constant(rd, value >> 32);
        let piece = |shift: u32, bits: u32| low_word(value >> shift & ((1 << bits) - 1));
        for (width, bits) in [(11, piece(21, 11)), (11, piece(10, 11)), (10, piece(0, 10))] {
            asm!(self ; slli X(rd), X(rd), width ; ori X(rd), X(rd), bits);
        }
    }

    fn add_constant(&mut self, rd: u8, rs: u8, value: i32) {
        if (-2048..2048).contains(&value) {
            asm!(self ; addi X(rd), X(rs), value);
        } else {
            self.constant(28, value.into());
            asm!(self ; add X(rd), X(rs), x28);
        }
    }

    fn reaches(&self, offset: i32, _bytes: usize) -> bool {
        (-2048..2048).contains(&offset)
    }

    fn load(&mut self, rd: u8, base: u8, offset: i32, ty: Type) {
        match (ty.bytes(), ty.signed()) {
            (1, true) => asm!(self ; lb X(rd), [X(base), offset]),
            (1, false) => asm!(self ; lbu X(rd), [X(base), offset]),
            (2, true) => asm!(self ; lh X(rd), [X(base), offset]),
            (2, false) => asm!(self ; lhu X(rd), [X(base), offset]),
            (4, _) => asm!(self ; lw X(rd), [X(base), offset]),
            _ => asm!(self ; ld X(rd), [X(base), offset]),
        }
    }

    fn store(&mut self, rs: u8, base: u8, offset: i32, bytes: usize) {
        match bytes {
            1 => asm!(self ; sb X(rs), [X(base), offset]),
            2 => asm!(self ; sh X(rs), [X(base), offset]),
            4 => asm!(self ; sw X(rs), [X(base), offset]),
            _ => asm!(self ; sd X(rs), [X(base), offset]),
        }
    }

    fn binary(&mut self, op: Binary, rd: u8, ra: u8, rb: u8, bits: u8) {
        match (op, bits) {
            (Binary::Add, 64) => asm!(self ; add X(rd), X(ra), X(rb)),
            (Binary::Add, _) => asm!(self ; addw X(rd), X(ra), X(rb)),
            (Binary::Sub, 64) => asm!(self ; sub X(rd), X(ra), X(rb)),
            (Binary::Sub, _) => asm!(self ; subw X(rd), X(ra), X(rb)),
            (Binary::Mul, 64) => asm!(self ; mul X(rd), X(ra), X(rb)),
            (Binary::Mul, _) => asm!(self ; mulw X(rd), X(ra), X(rb)),
            (Binary::And, _) => asm!(self ; and X(rd), X(ra), X(rb)),
            (Binary::Or, _) => asm!(self ; or X(rd), X(ra), X(rb)),
            _ => asm!(self ; xor X(rd), X(ra), X(rb)),
        }
    }

    fn shift(&mut self, shift: Shift, rd: u8, rs: u8, count: u8, bits: u8) {
        let count = u32::from(count);
        match (shift, bits) {
            (Shift::Left, 64) => asm!(self ; slli X(rd), X(rs), count),
            (Shift::Left, _) => asm!(self ; slliw X(rd), X(rs), count),
            (Shift::RightArithmetic, 64) => asm!(self ; srai X(rd), X(rs), count),
            (Shift::RightArithmetic, _) => asm!(self ; sraiw X(rd), X(rs), count),
            (Shift::RightLogical, 64) => asm!(self ; srli X(rd), X(rs), count),
            (Shift::RightLogical, _) => asm!(self ; srliw X(rd), X(rs), count),
        }
    }

    fn unary(&mut self, op: Unary, rd: u8, rs: u8, bits: u8) {
        match (op, bits) {
            (Unary::Negate, 64) => asm!(self ; sub X(rd), zero, X(rs)),
            (Unary::Negate, _) => asm!(self ; subw X(rd), zero, X(rs)),
            _ => asm!(self ; xori X(rd), X(rs), -1),
        }
    }

    fn extend(&mut self, rd: u8, rs: u8, from: Type) {
        let shift = 64 - u32::from(from.bits());
        match (from.bits(), from.signed()) {
            (64, _) => asm!(self ; mv X(rd), X(rs)),
            (32, true) => asm!(self ; addiw X(rd), X(rs), 0),
            (8, false) => asm!(self ; andi X(rd), X(rs), 255),
            (_, true) => asm!(self ; slli X(rd), X(rs), shift ; srai X(rd), X(rd), shift),
            (_, false) => asm!(self ; slli X(rd), X(rs), shift ; srli X(rd), X(rd), shift),
        }
    }

    fn set(&mut self, Comparison { compare, signed, .. }: Comparison, rd: u8, ra: u8, rb: u8) {
        match compare {
            Compare::Eq => asm!(self ; xor X(rd), X(ra), X(rb) ; sltiu X(rd), X(rd), 1),
            Compare::Ne => asm!(self ; xor X(rd), X(ra), X(rb) ; sltu X(rd), zero, X(rd)),
            Compare::Lt | Compare::Gt | Compare::Le | Compare::Ge => {
                let (ra, rb) = if matches!(compare, Compare::Gt | Compare::Le) { (rb, ra) } else { (ra, rb) };
                if signed {
                    asm!(self ; slt X(rd), X(ra), X(rb));
                } else {
                    asm!(self ; sltu X(rd), X(ra), X(rb));
                }
                if matches!(compare, Compare::Le | Compare::Ge) {
                    asm!(self ; xori X(rd), X(rd), 1);
                }
            }
        }
    }

    fn branch(&mut self, Comparison { compare, signed, .. }: Comparison, ra: u8, rb: u8, target: DynamicLabel) {
        match (compare, signed) {
            (Compare::Eq, _) => asm!(self ; beq X(ra), X(rb), =>target),
            (Compare::Ne, _) => asm!(self ; bne X(ra), X(rb), =>target),
            (Compare::Lt, true) => asm!(self ; blt X(ra), X(rb), =>target),
            (Compare::Ge, true) => asm!(self ; bge X(ra), X(rb), =>target),
            (Compare::Gt, true) => asm!(self ; blt X(rb), X(ra), =>target),
            (Compare::Le, true) => asm!(self ; bge X(rb), X(ra), =>target),
            (Compare::Lt, false) => asm!(self ; bltu X(ra), X(rb), =>target),
            (Compare::Ge, false) => asm!(self ; bgeu X(ra), X(rb), =>target),
            (Compare::Gt, false) => asm!(self ; bltu X(rb), X(ra), =>target),
            (Compare::Le, false) => asm!(self ; bgeu X(rb), X(ra), =>target),
        }
    }

    fn jump(&mut self, target: DynamicLabel) {
        asm!(self ; j =>target);
    }

    fn clock(&mut self, rd: u8) {
        asm!(self ; rdtime X(rd));
    }

    fn prefetch(&mut self, base: u8, owns: bool) {
        // prefetch.w and prefetch.r 0(rs1) (Zicbop). They are encoded as ori to x0, which CPUs without the
        // extension ignore.
        self.ops.push_u32(if owns { 0x0030_6013 } else { 0x0010_6013 } | u32::from(base) << 15);
    }

    fn relax(&mut self) {
        // pause (Zihintpause). It is encoded as a fence hint, which CPUs without the extension ignore.
        self.ops.push_u32(0x0100_000f);
    }

    fn yield_cpu(&mut self) {
        // The kernel preserves every register except a0.
        asm!(self ; mv t1, a0);
        self.constant(17, SYS_SCHED_YIELD);
        asm!(self ; ecall ; mv a0, t1);
    }

    fn fence(&mut self, fence: Fence) {
        match fence {
            // RISC-V selects ARCH_WEAK_RELEASE_ACQUIRE, so smp_mb__after_unlock_lock is smp_mb (include/linux/rcupdate.h).
            Fence::Mb | Fence::MbBeforeAtomic | Fence::MbAfterAtomic | Fence::MbAfterUnlockLock => {
                asm!(self ; fence rw, rw);
            }
            Fence::Rmb | Fence::AcquireAfterCtrlDep => asm!(self ; fence r, r),
            Fence::Wmb => asm!(self ; fence w, w),
            Fence::MbAfterSpinlock | Fence::MandatoryMb => asm!(self ; fence iorw, iorw),
            Fence::MandatoryRmb => asm!(self ; fence ir, ir),
            Fence::MandatoryWmb => asm!(self ; fence ow, ow),
            Fence::Barrier | Fence::RcuReadLock | Fence::RcuReadUnlock => {}
        }
    }

    fn load_acquire(&mut self, rd: u8, base: u8, ty: Type) {
        self.load(rd, base, 0, ty);
        asm!(self ; fence r, rw);
    }

    fn store_release(&mut self, rs: u8, base: u8, bytes: usize) {
        asm!(self ; fence rw, w);
        self.store(rs, base, 0, bytes);
    }

    fn rmw(&mut self, parts: RmwParts) {
        let RmwParts { dst, base, value, wide, op, result, order } = parts;
        let (old, new) = (5, 6);
        self.enter(order);
        let operand = match op {
            RmwOp::Sub => {
                asm!(self ; sub x7, zero, X(value));
                7
            }
            RmwOp::AndNot => {
                asm!(self ; xori x7, X(value), -1);
                7
            }
            _ => value,
        };
        let target = if result == RmwResult::None { 0 } else { old };
        self.amo(op, order == Order::Full, target, operand, base, wide);
        if order == Order::Acquire {
            asm!(self ; fence r, rw);
        }
        let binary = match op {
            RmwOp::Add | RmwOp::Sub | RmwOp::Xchg => Binary::Add,
            RmwOp::And | RmwOp::AndNot => Binary::And,
            RmwOp::Or => Binary::Or,
            RmwOp::Xor => Binary::Xor,
        };
        if matches!(result, RmwResult::New | RmwResult::NewIsZero | RmwResult::NewIsNegative) {
            self.binary(binary, new, old, operand, if wide { 64 } else { 32 });
        }
        let Some(rd) = dst else { return };
        match result {
            RmwResult::None => {}
            RmwResult::Old => asm!(self ; mv X(rd), X(old)),
            RmwResult::New => asm!(self ; mv X(rd), X(new)),
            RmwResult::NewIsZero => asm!(self ; sltiu X(rd), X(new), 1),
            RmwResult::NewIsNegative => asm!(self ; slt X(rd), X(new), zero),
        }
    }

    fn cmpxchg(&mut self, CmpxchgParts { dst, base, expected, new, wide, order }: CmpxchgParts) {
        let (again, out) = (self.label(), self.label());
        self.enter(order);
        self.bind(again);
        self.load_reserved(5, base, wide);
        asm!(self ; bne x5, X(expected), =>out);
        self.store_conditional(new, base, wide, order == Order::Full);
        asm!(self ; bnez x29, =>again);
        self.leave(order);
        self.bind(out);
        asm!(self ; mv X(dst), x5);
    }

    fn spin_lock(&mut self, base: u8, one: u8, wait: DynamicLabel) {
        match self.lock {
            Lock::Ticket => self.take_ticket(base, wait),
            Lock::Qspinlock | Lock::Paravirt => self.take_lock(base, one, wait),
        }
    }

    fn has_tickets(&self) -> bool {
        self.lock == Lock::Ticket
    }

    fn ticket_is_served(&mut self, seen: u8, served: DynamicLabel) {
        asm!(self ; slli X(seen), X(seen), 48 ; srli X(seen), X(seen), 48 ; beq X(seen), x7, =>served);
    }

    fn after_waiting(&mut self) {
        // atomic_cond_read_acquire() and smp_mb().
        asm!(self ; fence r, r ; fence rw, rw);
    }

    fn tickets_differ(&mut self, rd: u8) {
        asm!(self
            ; srliw x5, X(rd), 16
            ; slli X(rd), X(rd), 48
            ; srli X(rd), X(rd), 48
            ; xor X(rd), X(rd), x5
            ; sltu X(rd), zero, X(rd)
        );
    }

    fn spin_trylock(&mut self, rd: u8, base: u8, one: u8) {
        if self.lock == Lock::Ticket {
            return self.try_ticket(rd, base);
        }
        // queued_spin_trylock reads the lock first and tries to take it only if it is free.
        let out = self.label();
        asm!(self ; lw x5, [X(base)] ; bnez x5, =>out);
        self.take_lock(base, one, out);
        asm!(self ; =>out ; sltiu X(rd), x5, 1);
    }

    fn spin_unlock(&mut self, base: u8) {
        if self.lock == Lock::Ticket {
            // ticket_spin_unlock(): the next ticket is served. Only the holder writes the lower half.
            return asm!(self ; lw x5, [X(base)] ; fence rw, w ; addiw x5, x5, 1 ; sh x5, [X(base)]);
        }
        asm!(self ; fence rw, w ; sb zero, [X(base)]);
    }
}
