//! Emitter for arm64. Each primitive becomes exactly the instructions of the kernel's arch/arm64, with LSE
//! atomics or LL/SC.
//!
//! | register | content |
//! |---|---|
//! | x1, x2, x3 | current instance, current record, number of instances left |
//! | x4, x5, x6 | start time of the instance, period, number of instances that started late |
//! | x7 | address of the arguments |
//! | x0, x8, x9, x10 | scratch within one primitive |
//! | x11 to x17, x19 to x28 | values of the test |
//! | d16 to d31 | what x2 to x7 hold for the loop, while they hold values of a thread that has many |
//!
//! x18 is reserved for the platform. x30 is saved and then holds the status of a store-exclusive.

// dynasm adds `.into()` to dynamic registers and `as` to immediates.
#![allow(clippy::useless_conversion, clippy::unnecessary_cast)]

use dynasm::dynasm;
use dynasmrt::aarch64::Aarch64Relocation;
use dynasmrt::{DynamicLabel, DynasmApi, DynasmLabelApi, VecAssembler};

use crate::arch::Arch;
use crate::codegen::assembly::Encoder;
use crate::codegen::risc::{CmpxchgParts, Comparison, Fixed, Risc, RmwParts, Shift};
use crate::codegen::{Atomics, low_word};
use crate::program::{Binary, Compare, Fence, Order, RmwOp, RmwResult, Type, Unary};

/// Linux's number of the system call sched_yield (include/uapi/asm-generic/unistd.h).
const SYS_SCHED_YIELD: u32 = 124;

macro_rules! asm {
    ($assembler:expr ; $($code:tt)*) => { dynasm!($assembler.ops ; .arch aarch64 ; $($code)*) };
}

/// The assembler.
pub struct Aarch64 {
    ops: VecAssembler<Aarch64Relocation>,
    atomics: Atomics,
}

impl Aarch64 {
    /// Creates an empty assembler that uses these atomics.
    pub fn new(atomics: Atomics) -> Aarch64 {
        Aarch64 { ops: VecAssembler::new(0), atomics }
    }

    fn lse(&self) -> bool {
        self.atomics == Atomics::Lse
    }

    /// prfm pstl1strm, [base] (operation 17; Arm ARM, PRFM (immediate)). Each LL/SC sequence of the kernel starts
    /// with it (arch/arm64/include/asm/atomic_ll_sc.h and cmpxchg.h).
    fn prefetch_exclusive(&mut self, base: u8) {
        self.ops.push_u32(0xf980_0000 | u32::from(base) << 5 | 17);
    }

    /// rd = [base], load-exclusive, with acquire semantics if `acquire` is set.
    fn load_exclusive(&mut self, rd: u8, base: u8, wide: bool, acquire: bool) {
        match (wide, acquire) {
            (false, false) => asm!(self ; ldxr W(rd), [X(base)]),
            (false, true) => asm!(self ; ldaxr W(rd), [X(base)]),
            (true, false) => asm!(self ; ldxr X(rd), [X(base)]),
            (true, true) => asm!(self ; ldaxr X(rd), [X(base)]),
        }
    }

    /// [base] = rs if the exclusive access still holds, with the status in `failed`; with release semantics if
    /// `release` is set.
    fn store_exclusive(&mut self, failed: u8, rs: u8, base: u8, wide: bool, release: bool) {
        match (wide, release) {
            (false, false) => asm!(self ; stxr W(failed), W(rs), [X(base)]),
            (false, true) => asm!(self ; stlxr W(failed), W(rs), [X(base)]),
            (true, false) => asm!(self ; stxr W(failed), X(rs), [X(base)]),
            (true, true) => asm!(self ; stlxr W(failed), X(rs), [X(base)]),
        }
    }

    fn compare_registers(&mut self, bits: u8, ra: u8, rb: u8) {
        if bits == 64 {
            asm!(self ; cmp X(ra), X(rb));
        } else {
            asm!(self ; cmp W(ra), W(rb));
        }
    }

    /// Emits the LSE instruction that returns the old value. `value` holds the operand, already inverted or
    /// negated if the instruction requires it.
    fn lse_fetch(&mut self, op: RmwOp, order: Order, value: u8, old: u8, base: u8, wide: bool) {
        macro_rules! by_order {
            ($relaxed:ident, $acquire:ident, $release:ident, $full:ident) => {
                match (order, wide) {
                    (Order::Relaxed, false) => asm!(self ; $relaxed W(value), W(old), [X(base)]),
                    (Order::Relaxed, true) => asm!(self ; $relaxed X(value), X(old), [X(base)]),
                    (Order::Acquire, false) => asm!(self ; $acquire W(value), W(old), [X(base)]),
                    (Order::Acquire, true) => asm!(self ; $acquire X(value), X(old), [X(base)]),
                    (Order::Release, false) => asm!(self ; $release W(value), W(old), [X(base)]),
                    (Order::Release, true) => asm!(self ; $release X(value), X(old), [X(base)]),
                    (Order::Full, false) => asm!(self ; $full W(value), W(old), [X(base)]),
                    (Order::Full, true) => asm!(self ; $full X(value), X(old), [X(base)]),
                }
            };
        }
        match op {
            RmwOp::Xchg => by_order!(swp, swpa, swpl, swpal),
            RmwOp::Add | RmwOp::Sub => by_order!(ldadd, ldadda, ldaddl, ldaddal),
            RmwOp::And | RmwOp::AndNot => by_order!(ldclr, ldclra, ldclrl, ldclral),
            RmwOp::Or => by_order!(ldset, ldseta, ldsetl, ldsetal),
            RmwOp::Xor => by_order!(ldeor, ldeora, ldeorl, ldeoral),
        }
    }

    /// Takes the lock or jumps to `busy`. w0 is 0 if the lock was taken.
    fn take_lock(&mut self, base: u8, one: u8, busy: DynamicLabel) {
        if self.lse() {
            asm!(self ; mov w0, wzr ; casa w0, W(one), [X(base)] ; cbnz w0, =>busy);
        } else {
            let again = self.label();
            self.prefetch_exclusive(base);
            asm!(self
                ; =>again
                ; ldaxr w0, [X(base)]
                ; eor w8, w0, wzr
                ; cbnz w8, =>busy
                ; stxr w8, W(one), [X(base)]
                ; cbnz w8, =>again
            );
        }
    }

    /// rd = old op value.
    fn compute(&mut self, op: RmwOp, rd: u8, old: u8, value: u8) {
        match op {
            RmwOp::Xchg => asm!(self ; mov X(rd), X(value)),
            RmwOp::Add => asm!(self ; add X(rd), X(old), X(value)),
            RmwOp::Sub => asm!(self ; sub X(rd), X(old), X(value)),
            RmwOp::And => asm!(self ; and X(rd), X(old), X(value)),
            RmwOp::Or => asm!(self ; orr X(rd), X(old), X(value)),
            RmwOp::Xor => asm!(self ; eor X(rd), X(old), X(value)),
            RmwOp::AndNot => asm!(self ; bic X(rd), X(old), X(value)),
        }
    }

    /// Writes the result of a read-modify-write, given the old and the new value.
    fn give_back(&mut self, parts: RmwParts, old: u8, new: u8) {
        let Some(rd) = parts.dst else { return };
        match parts.result {
            RmwResult::None => {}
            RmwResult::Old => asm!(self ; mov X(rd), X(old)),
            RmwResult::New => asm!(self ; mov X(rd), X(new)),
            RmwResult::NewIsZero => {
                let bits = if parts.wide { 64 } else { 32 };
                self.set(Comparison { compare: Compare::Eq, bits, signed: true }, rd, new, 31);
            }
            RmwResult::NewIsNegative => {
                let bits = if parts.wide { 64 } else { 32 };
                self.set(Comparison { compare: Compare::Lt, bits, signed: true }, rd, new, 31);
            }
        }
    }
}

impl Risc for Aarch64 {
    type Label = DynamicLabel;

    const ARCH: Arch = Arch::Aarch64;
    const ENCODER: Encoder = super::encode::ENCODER;
    const FIXED: Fixed = Fixed {
        arena: 1,
        record: 2,
        count: 3,
        start: 4,
        period: 5,
        late: 6,
        args: 7,
        scratch: [0, 8, 9, 10],
        pool: &[11, 12, 13, 14, 15, 16, 17, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28],
        borrowed: &[6, 5, 4, 7, 3, 2],
        zero: Some(31),
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
        asm!(self
            ; stp x19, x20, [sp, #-96]!
            ; stp x21, x22, [sp, #16]
            ; stp x23, x24, [sp, #32]
            ; stp x25, x26, [sp, #48]
            ; stp x27, x28, [sp, #64]
            ; str x30, [sp, #80]
            ; mov x7, x0
            ; ldp x1, x2, [x7]
            ; ldp x3, x4, [x7, #16]
            ; ldr x5, [x7, #32]
            ; mov x6, xzr
        );
    }

    fn epilogue(&mut self) {
        asm!(self
            ; str x6, [x7, #48]
            ; ldp x21, x22, [sp, #16]
            ; ldp x23, x24, [sp, #32]
            ; ldp x25, x26, [sp, #48]
            ; ldp x27, x28, [sp, #64]
            ; ldr x30, [sp, #80]
            ; ldp x19, x20, [sp], #96
            ; ret
        );
    }

    fn put_aside(&mut self, vector: u8, rs: u8) {
        // fmov d16+n, x (Arm ARM C7.2, FMOV (general)). AAPCS64 leaves v16 to v31 to the function.
        self.ops.push_u32(0x9e67_0000 | u32::from(rs) << 5 | u32::from(16 + vector));
    }

    fn take_back(&mut self, rd: u8, vector: u8) {
        // fmov x, d16+n
        self.ops.push_u32(0x9e66_0000 | u32::from(16 + vector) << 5 | u32::from(rd));
    }

    fn mov(&mut self, rd: u8, rs: u8, bits: u8) {
        if bits == 64 {
            asm!(self ; mov X(rd), X(rs));
        } else {
            asm!(self ; mov W(rd), W(rs));
        }
    }

    fn constant(&mut self, rd: u8, value: i64) {
        // movz (movn for negative values) sets the first half-word; a movk follows for each other half-word
        // that differs from the fill (Arm ARM C6.2).
        let negative = value < 0;
        let fill = if negative { 0xffff } else { 0 };
        let half = |at: u32| low_word(value >> (16 * at)).cast_unsigned() & 0xffff;
        let first = (0..4).find(|&at| half(at) != fill).unwrap_or(0);
        let (opcode, payload) =
            if negative { (0x9280_0000, !half(first) & 0xffff) } else { (0xd280_0000, half(first)) };
        self.ops.push_u32(opcode | first << 21 | payload << 5 | u32::from(rd));
        for at in (first + 1..4).filter(|&at| half(at) != fill) {
            self.ops.push_u32(0xf280_0000 | at << 21 | half(at) << 5 | u32::from(rd));
        }
    }

    fn add_constant(&mut self, rd: u8, rs: u8, value: i32) {
        let size = value.unsigned_abs();
        match (value >= 0, size < 4096) {
            (true, true) => asm!(self ; add XSP(rd), XSP(rs), size),
            (false, true) => asm!(self ; sub XSP(rd), XSP(rs), size),
            _ => {
                self.constant(10, value.into());
                asm!(self ; add X(rd), X(rs), x10);
            }
        }
    }

    fn reaches(&self, offset: i32, bytes: usize) -> bool {
        // The offset is an unsigned 12-bit multiple of the size.
        usize::try_from(offset).is_ok_and(|offset| offset < 4096 * bytes && offset.is_multiple_of(bytes))
    }

    fn load(&mut self, rd: u8, base: u8, offset: i32, ty: Type) {
        let offset = offset.cast_unsigned();
        match (ty.bytes(), ty.signed()) {
            (1, true) => asm!(self ; ldrsb X(rd), [X(base), offset]),
            (1, false) => asm!(self ; ldrb W(rd), [X(base), offset]),
            (2, true) => asm!(self ; ldrsh X(rd), [X(base), offset]),
            (2, false) => asm!(self ; ldrh W(rd), [X(base), offset]),
            (4, _) => asm!(self ; ldr W(rd), [X(base), offset]),
            _ => asm!(self ; ldr X(rd), [X(base), offset]),
        }
    }

    fn store(&mut self, rs: u8, base: u8, offset: i32, bytes: usize) {
        let offset = offset.cast_unsigned();
        match bytes {
            1 => asm!(self ; strb W(rs), [X(base), offset]),
            2 => asm!(self ; strh W(rs), [X(base), offset]),
            4 => asm!(self ; str W(rs), [X(base), offset]),
            _ => asm!(self ; str X(rs), [X(base), offset]),
        }
    }

    fn binary(&mut self, op: Binary, rd: u8, ra: u8, rb: u8, bits: u8) {
        match (op, bits) {
            (Binary::Add, 64) => asm!(self ; add X(rd), X(ra), X(rb)),
            (Binary::Add, _) => asm!(self ; add W(rd), W(ra), W(rb)),
            (Binary::Sub, 64) => asm!(self ; sub X(rd), X(ra), X(rb)),
            (Binary::Sub, _) => asm!(self ; sub W(rd), W(ra), W(rb)),
            (Binary::Mul, 64) => asm!(self ; mul X(rd), X(ra), X(rb)),
            (Binary::Mul, _) => asm!(self ; mul W(rd), W(ra), W(rb)),
            (Binary::And, _) => asm!(self ; and X(rd), X(ra), X(rb)),
            (Binary::Or, _) => asm!(self ; orr X(rd), X(ra), X(rb)),
            _ => asm!(self ; eor X(rd), X(ra), X(rb)),
        }
    }

    fn shift(&mut self, shift: Shift, rd: u8, rs: u8, count: u8, bits: u8) {
        let count = u32::from(count);
        match (shift, bits) {
            (Shift::Left, 64) => asm!(self ; lsl X(rd), X(rs), count),
            (Shift::Left, _) => asm!(self ; lsl W(rd), W(rs), count),
            (Shift::RightArithmetic, 64) => asm!(self ; asr X(rd), X(rs), count),
            (Shift::RightArithmetic, _) => asm!(self ; asr W(rd), W(rs), count),
            (Shift::RightLogical, 64) => asm!(self ; lsr X(rd), X(rs), count),
            (Shift::RightLogical, _) => asm!(self ; lsr W(rd), W(rs), count),
        }
    }

    fn unary(&mut self, op: Unary, rd: u8, rs: u8, _bits: u8) {
        if op == Unary::Negate {
            asm!(self ; neg X(rd), X(rs));
        } else {
            asm!(self ; mvn X(rd), X(rs));
        }
    }

    fn extend(&mut self, rd: u8, rs: u8, from: Type) {
        match (from.bytes(), from.signed()) {
            (1, true) => asm!(self ; sxtb X(rd), W(rs)),
            (1, false) => asm!(self ; uxtb W(rd), W(rs)),
            (2, true) => asm!(self ; sxth X(rd), W(rs)),
            (2, false) => asm!(self ; uxth W(rd), W(rs)),
            (4, true) => asm!(self ; sxtw X(rd), W(rs)),
            (4, false) => asm!(self ; mov W(rd), W(rs)),
            _ => asm!(self ; mov X(rd), X(rs)),
        }
    }

    fn set(&mut self, Comparison { compare, bits, signed }: Comparison, rd: u8, ra: u8, rb: u8) {
        self.compare_registers(bits, ra, rb);
        match (compare, signed) {
            (Compare::Eq, _) => asm!(self ; cset W(rd), eq),
            (Compare::Ne, _) => asm!(self ; cset W(rd), ne),
            (Compare::Lt, true) => asm!(self ; cset W(rd), lt),
            (Compare::Le, true) => asm!(self ; cset W(rd), le),
            (Compare::Gt, true) => asm!(self ; cset W(rd), gt),
            (Compare::Ge, true) => asm!(self ; cset W(rd), ge),
            (Compare::Lt, false) => asm!(self ; cset W(rd), lo),
            (Compare::Le, false) => asm!(self ; cset W(rd), ls),
            (Compare::Gt, false) => asm!(self ; cset W(rd), hi),
            (Compare::Ge, false) => asm!(self ; cset W(rd), hs),
        }
    }

    fn branch(&mut self, Comparison { compare, bits, signed }: Comparison, ra: u8, rb: u8, target: DynamicLabel) {
        match (compare, rb, bits) {
            (Compare::Eq, 31, 64) => return asm!(self ; cbz X(ra), =>target),
            (Compare::Eq, 31, _) => return asm!(self ; cbz W(ra), =>target),
            (Compare::Ne, 31, 64) => return asm!(self ; cbnz X(ra), =>target),
            (Compare::Ne, 31, _) => return asm!(self ; cbnz W(ra), =>target),
            _ => {}
        }
        self.compare_registers(bits, ra, rb);
        match (compare, signed) {
            (Compare::Eq, _) => asm!(self ; b.eq =>target),
            (Compare::Ne, _) => asm!(self ; b.ne =>target),
            (Compare::Lt, true) => asm!(self ; b.lt =>target),
            (Compare::Le, true) => asm!(self ; b.le =>target),
            (Compare::Gt, true) => asm!(self ; b.gt =>target),
            (Compare::Ge, true) => asm!(self ; b.ge =>target),
            (Compare::Lt, false) => asm!(self ; b.lo =>target),
            (Compare::Le, false) => asm!(self ; b.ls =>target),
            (Compare::Gt, false) => asm!(self ; b.hi =>target),
            (Compare::Ge, false) => asm!(self ; b.hs =>target),
        }
    }

    fn jump(&mut self, target: DynamicLabel) {
        asm!(self ; b =>target);
    }

    fn clock(&mut self, rd: u8) {
        // mrs Xd, CNTVCT_EL0 (Arm ARM D24.10: op0 3, op1 3, CRn 14, CRm 0, op2 2).
        self.ops.push_u32(0xd53b_e040 | u32::from(rd));
    }

    fn prefetch(&mut self, base: u8, owns: bool) {
        // PRFM operations pstl1keep (16) and pldl1keep (0) (Arm ARM, PRFM).
        if owns {
            asm!(self ; prfm 16, [X(base), xzr]);
        } else {
            asm!(self ; prfm 0, [X(base), xzr]);
        }
    }

    fn relax(&mut self) {
        asm!(self ; yield);
    }

    fn yield_cpu(&mut self) {
        // The kernel preserves every register except x0.
        asm!(self ; mov w8, SYS_SCHED_YIELD ; svc 0);
    }

    fn fence(&mut self, fence: Fence) {
        match fence {
            Fence::Mb | Fence::MbBeforeAtomic | Fence::MbAfterAtomic | Fence::MbAfterSpinlock => asm!(self ; dmb ish),
            Fence::Rmb | Fence::AcquireAfterCtrlDep => asm!(self ; dmb ishld),
            Fence::Wmb => asm!(self ; dmb ishst),
            Fence::MandatoryMb => asm!(self ; dsb sy),
            Fence::MandatoryRmb => asm!(self ; dsb ld),
            Fence::MandatoryWmb => asm!(self ; dsb st),
            // Only POWER and RISC-V need a further barrier between an unlock and a lock.
            Fence::MbAfterUnlockLock | Fence::Barrier | Fence::RcuReadLock | Fence::RcuReadUnlock => {}
        }
    }

    fn load_acquire(&mut self, rd: u8, base: u8, ty: Type) {
        match ty.bytes() {
            1 => asm!(self ; ldarb W(rd), [X(base)]),
            2 => asm!(self ; ldarh W(rd), [X(base)]),
            4 => asm!(self ; ldar W(rd), [X(base)]),
            _ => asm!(self ; ldar X(rd), [X(base)]),
        }
        if ty.bytes() < 4 && ty.signed() {
            self.extend(rd, rd, ty);
        }
    }

    fn store_release(&mut self, rs: u8, base: u8, bytes: usize) {
        match bytes {
            1 => asm!(self ; stlrb W(rs), [X(base)]),
            2 => asm!(self ; stlrh W(rs), [X(base)]),
            4 => asm!(self ; stlr W(rs), [X(base)]),
            _ => asm!(self ; stlr X(rs), [X(base)]),
        }
    }

    fn rmw(&mut self, parts: RmwParts) {
        let RmwParts { base, value, wide, op, result, order, .. } = parts;
        let order = super::order(self.atomics, (op, result, wide), order);
        let (old, new) = (0, 8);
        if self.lse() {
            // There is no LSE instruction for sub or and. As in the kernel, the operand is negated for ldadd or
            // inverted for ldclr.
            let operand = match op {
                RmwOp::Sub => {
                    asm!(self ; neg x9, X(value));
                    9
                }
                RmwOp::And => {
                    asm!(self ; mvn x9, X(value));
                    9
                }
                _ => value,
            };
            // Without a result the instruction is the store form (stadd is ldadd to the zero register).
            let target = if result == RmwResult::None { 31 } else { old };
            self.lse_fetch(op, order, operand, target, base, wide);
            if matches!(result, RmwResult::New | RmwResult::NewIsZero | RmwResult::NewIsNegative) {
                self.compute(op, new, old, value);
            }
        } else {
            let again = self.label();
            self.prefetch_exclusive(base);
            self.bind(again);
            // As in the kernel, the fully ordered form is a plain load-exclusive, a store-release-exclusive,
            // and a barrier.
            self.load_exclusive(old, base, wide, order == Order::Acquire);
            let stored = if op == RmwOp::Xchg {
                value
            } else {
                self.compute(op, new, old, value);
                new
            };
            self.store_exclusive(30, stored, base, wide, matches!(order, Order::Release | Order::Full));
            asm!(self ; cbnz w30, =>again);
            if order == Order::Full {
                asm!(self ; dmb ish);
            }
        }
        self.give_back(parts, old, new);
    }

    fn cmpxchg(&mut self, CmpxchgParts { dst, base, expected, new, wide, order }: CmpxchgParts) {
        if self.lse() {
            asm!(self ; mov x0, X(expected));
            match (order, wide) {
                (Order::Relaxed, false) => asm!(self ; cas w0, W(new), [X(base)]),
                (Order::Relaxed, true) => asm!(self ; cas x0, X(new), [X(base)]),
                (Order::Acquire, false) => asm!(self ; casa w0, W(new), [X(base)]),
                (Order::Acquire, true) => asm!(self ; casa x0, X(new), [X(base)]),
                (Order::Release, false) => asm!(self ; casl w0, W(new), [X(base)]),
                (Order::Release, true) => asm!(self ; casl x0, X(new), [X(base)]),
                (Order::Full, false) => asm!(self ; casal w0, W(new), [X(base)]),
                (Order::Full, true) => asm!(self ; casal x0, X(new), [X(base)]),
            }
        } else {
            // Scratch registers 1 to 3 may hold the operands, and scratch register 0 takes the old value. x30
            // is free, because this function calls no other one and has saved x30 on the stack. As in the kernel,
            // eor compares.
            let (again, out) = (self.label(), self.label());
            self.prefetch_exclusive(base);
            self.bind(again);
            self.load_exclusive(0, base, wide, order == Order::Acquire);
            if wide {
                asm!(self ; eor x30, x0, X(expected) ; cbnz x30, =>out);
            } else {
                asm!(self ; eor w30, w0, W(expected) ; cbnz w30, =>out);
            }
            self.store_exclusive(30, new, base, wide, matches!(order, Order::Release | Order::Full));
            asm!(self ; cbnz w30, =>again);
            if order == Order::Full {
                asm!(self ; dmb ish);
            }
            self.bind(out);
        }
        asm!(self ; mov X(dst), x0);
    }

    fn spin_lock(&mut self, base: u8, one: u8, wait: DynamicLabel) {
        self.take_lock(base, one, wait);
    }

    fn spin_trylock(&mut self, rd: u8, base: u8, one: u8) {
        // queued_spin_trylock reads the lock first and tries to take it only if it is free.
        let out = self.label();
        asm!(self ; ldr w0, [X(base)] ; cbnz w0, =>out);
        self.take_lock(base, one, out);
        asm!(self ; =>out ; cmp w0, 0 ; cset W(rd), eq);
    }

    fn spin_unlock(&mut self, base: u8) {
        asm!(self ; stlrb wzr, [X(base)]);
    }
}
