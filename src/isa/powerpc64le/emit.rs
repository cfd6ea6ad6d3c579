//! Emitter for POWER, little endian, ELFv2. Each primitive becomes exactly the instructions of the kernel's
//! arch/powerpc.
//!
//! dynasm does not support POWER, so this file contains an encoder: one method per mnemonic. The encodings are
//! from the Power ISA 3.1B. Tests decode them with capstone and binutils.
//!
//! | register | content |
//! |---|---|
//! | r14, r15, r16 | current instance, current record, number of instances left |
//! | r17, r18, r19 | start time of the instance, period, number of instances that started late |
//! | r20 | address of the arguments |
//! | r9 to r12 | scratch within one primitive |
//! | r21 to r31, r4 to r8 | values of the test |
//! | r0 | short-lived constants |
//! | f0 to f13 | what r15 to r20 hold for the loop, while they hold values of a thread that has many |
//!
//! The callee-saved registers are saved in the 288 bytes below the stack pointer. ELFv2 (2.2.3.4, protected
//! zone) leaves these bytes to functions that call no other function.

use crate::arch::Arch;
use crate::codegen::assembly::Encoder;
use crate::codegen::low_word;
use crate::codegen::risc::{CmpxchgParts, Comparison, Fixed, Risc, RmwParts, Shift};
use crate::program::{Binary, Compare, Fence, Order, RmwOp, RmwResult, Type, Unary};

/// Linux's number of the system call sched_yield (arch/powerpc/kernel/syscalls/syscall.tbl).
const SYS_SCHED_YIELD: i64 = 158;

/// The upper 16 bits of _Q_TAIL_CPU_MASK (arch/powerpc/include/asm/qspinlock_types.h), as the operand of lis.
const TAIL_HIGH: i32 = -2;

/// A bit of cr0 and the value it must have: the fields BI and BO of bc.
#[derive(Debug, Clone, Copy)]
struct Condition {
    bit: u32,
    sense: bool,
}

const EQUAL: Condition = Condition { bit: 2, sense: true };
const NOT_EQUAL: Condition = Condition { bit: 2, sense: false };

impl Condition {
    fn of(compare: Compare) -> Condition {
        match compare {
            Compare::Eq => EQUAL,
            Compare::Ne => NOT_EQUAL,
            Compare::Lt => Condition { bit: 0, sense: true },
            Compare::Ge => Condition { bit: 0, sense: false },
            Compare::Gt => Condition { bit: 1, sense: true },
            Compare::Le => Condition { bit: 1, sense: false },
        }
    }
}

/// The assembler.
pub struct Powerpc64le {
    code: Vec<u32>,
    /// The position of each label in words; `None` until the label is bound.
    labels: Vec<Option<usize>>,
    /// Jumps whose distance is filled in at the end: position in words, label.
    jumps: Vec<(usize, usize)>,
}

impl Powerpc64le {
    /// Creates an empty assembler.
    pub fn new() -> Powerpc64le {
        Powerpc64le { code: Vec::new(), labels: Vec::new(), jumps: Vec::new() }
    }

    fn word(&mut self, word: u32) {
        self.code.push(word);
    }

    /// D form: opcode, rt or rs, ra, and a signed displacement or immediate.
    fn d(&mut self, opcode: u32, rt: u8, ra: u8, immediate: i32) {
        self.word(opcode << 26 | u32::from(rt) << 21 | u32::from(ra) << 16 | (immediate.cast_unsigned() & 0xffff));
    }

    /// X and XO form under opcode 31: rt or rs, ra, rb, and the extended opcode.
    fn x(&mut self, rt: u8, ra: u8, rb: u8, extended: u32) {
        self.word(31 << 26 | u32::from(rt) << 21 | u32::from(ra) << 16 | u32::from(rb) << 11 | extended << 1);
    }

    fn addi(&mut self, rt: u8, ra: u8, immediate: i32) {
        self.d(14, rt, ra, immediate);
    }

    fn ori(&mut self, ra: u8, rs: u8, immediate: u32) {
        self.d(24, rs, ra, immediate.cast_signed());
    }

    fn oris(&mut self, ra: u8, rs: u8, immediate: u32) {
        self.d(25, rs, ra, immediate.cast_signed());
    }

    fn add(&mut self, rt: u8, ra: u8, rb: u8) {
        self.x(rt, ra, rb, 266);
    }

    /// rt = ra + rb, and the carry
    fn addc(&mut self, rt: u8, ra: u8, rb: u8) {
        self.x(rt, ra, rb, 10);
    }

    /// rt = rb - ra, and the carry
    fn subfc(&mut self, rt: u8, ra: u8, rb: u8) {
        self.x(rt, ra, rb, 8);
    }

    /// rt = rb - ra
    fn subf(&mut self, rt: u8, ra: u8, rb: u8) {
        self.x(rt, ra, rb, 40);
    }

    fn and(&mut self, ra: u8, rs: u8, rb: u8) {
        self.x(rs, ra, rb, 28);
    }

    fn or(&mut self, ra: u8, rs: u8, rb: u8) {
        self.x(rs, ra, rb, 444);
    }

    fn xor(&mut self, ra: u8, rs: u8, rb: u8) {
        self.x(rs, ra, rb, 316);
    }

    /// ra = rs & rb, and cr0
    fn and_record(&mut self, ra: u8, rs: u8, rb: u8) {
        self.and(ra, rs, rb);
        self.record();
    }

    /// ra = rs & ~rb, and cr0
    fn andc_record(&mut self, ra: u8, rs: u8, rb: u8) {
        self.x(rs, ra, rb, 60);
        self.record();
    }

    /// Sets the lowest bit of the last instruction: Rc, or EH of lwarx.
    fn record(&mut self) {
        *self.code.last_mut().expect("just emitted") |= 1;
    }

    fn mr(&mut self, ra: u8, rs: u8) {
        self.or(ra, rs, rs);
    }

    fn li(&mut self, rt: u8, immediate: i32) {
        self.addi(rt, 0, immediate);
    }

    /// MD form: rotate left, then mask from bit `begin` (rldicl) or up to bit `end` (rldicr).
    fn rotate(&mut self, ra: u8, rs: u8, count: u32, mask: u32, extended: u32) {
        self.word(
            30 << 26
                | u32::from(rs) << 21
                | u32::from(ra) << 16
                | (count & 31) << 11
                | (mask & 31) << 6
                | (mask >> 5) << 5
                | extended << 2
                | (count >> 5) << 1,
        );
    }

    fn rldicl(&mut self, ra: u8, rs: u8, count: u32, begin: u32) {
        self.rotate(ra, rs, count, begin, 0);
    }

    fn rldicr(&mut self, ra: u8, rs: u8, count: u32, end: u32) {
        self.rotate(ra, rs, count, end, 1);
    }

    fn rlwinm(&mut self, ra: u8, rs: u8, count: u32, begin: u32, end: u32) {
        self.word(21 << 26 | u32::from(rs) << 21 | u32::from(ra) << 16 | count << 11 | begin << 6 | end << 1);
    }

    fn sldi(&mut self, ra: u8, rs: u8, count: u32) {
        self.rldicr(ra, rs, count, 63 - count);
    }

    fn cmpw(&mut self, ra: u8, rb: u8) {
        self.x(0, ra, rb, 0);
    }

    fn cmpd(&mut self, ra: u8, rb: u8) {
        self.x(1, ra, rb, 0);
    }

    fn cmplw(&mut self, ra: u8, rb: u8) {
        self.x(0, ra, rb, 32);
    }

    fn cmpld(&mut self, ra: u8, rb: u8) {
        self.x(1, ra, rb, 32);
    }

    fn cmpwi(&mut self, ra: u8, immediate: i32) {
        self.d(11, 0, ra, immediate);
    }

    fn cmpdi(&mut self, ra: u8, immediate: i32) {
        self.d(11, 1, ra, immediate);
    }

    /// Jumps if the condition holds.
    fn bc(&mut self, condition: Condition, label: usize) {
        self.jumps.push((self.code.len(), label));
        let options = if condition.sense { 12 } else { 4 };
        self.word(16 << 26 | options << 21 | condition.bit << 16);
    }

    fn sync(&mut self) {
        self.word(0x7c00_04ac);
    }

    fn lwsync(&mut self) {
        self.word(0x7c20_04ac);
    }

    /// lwarx with EH=1: a hint that the word is a lock, as in the kernel's spinlocks (Power ISA 3.1B, II 4.6.2).
    fn load_reserved_lock(&mut self, rt: u8, base: u8) {
        self.load_reserved(rt, base, false);
        self.record();
    }

    /// lwarx or ldarx
    fn load_reserved(&mut self, rt: u8, base: u8, wide: bool) {
        self.x(rt, 0, base, if wide { 84 } else { 20 });
    }

    /// stwcx. or stdcx.; cr0 tells whether the store was performed.
    fn store_conditional(&mut self, rs: u8, base: u8, wide: bool) {
        self.x(rs, 0, base, if wide { 214 } else { 150 });
        self.record();
    }

    fn compare_registers(&mut self, bits: u8, signed: bool, ra: u8, rb: u8) {
        match (bits, signed) {
            (64, true) => self.cmpd(ra, rb),
            (64, false) => self.cmpld(ra, rb),
            (_, true) => self.cmpw(ra, rb),
            (_, false) => self.cmplw(ra, rb),
        }
    }

    /// rd = 1 if the condition holds, else 0.
    fn set_by(&mut self, rd: u8, condition: Condition) {
        let done = self.label();
        self.li(rd, 1);
        self.bc(condition, done);
        self.li(rd, 0);
        self.bind(done);
    }

    /// Emits the barrier before a read-modify-write: PPC_RELEASE_BARRIER or PPC_ATOMIC_ENTRY_BARRIER.
    fn enter(&mut self, order: Order) {
        match order {
            Order::Release => self.lwsync(),
            Order::Full => self.sync(),
            Order::Relaxed | Order::Acquire => {}
        }
    }

    /// Emits the barrier after a read-modify-write: PPC_ACQUIRE_BARRIER or PPC_ATOMIC_EXIT_BARRIER. The former
    /// compiles to isync, and the kernel patches it to lwsync at boot on every CPU that has lwsync
    /// (do_lwsync_fixups(), arch/powerpc/lib/feature-fixups.c).
    fn leave(&mut self, order: Order) {
        match order {
            Order::Acquire => self.lwsync(),
            Order::Full => self.sync(),
            Order::Relaxed | Order::Release => {}
        }
    }

    /// Takes the lock or jumps to `busy`. r9 is 0 if the lock was taken.
    ///
    /// __queued_spin_trylock_steal() (arch/powerpc/include/asm/qspinlock.h): the bits of the queue's tail stay, and
    /// the lock is free if the other bits are 0. There is no queue here, so the tail is 0.
    fn take_lock(&mut self, base: u8, one: u8, busy: usize) {
        let again = self.label();
        self.d(15, 10, 0, TAIL_HIGH); // lis
        self.bind(again);
        self.load_reserved_lock(9, base);
        self.andc_record(0, 9, 10);
        self.bc(NOT_EQUAL, busy);
        self.and(0, 9, 10);
        self.or(0, 0, one);
        self.store_conditional(0, base, false);
        self.bc(NOT_EQUAL, again);
        self.lwsync();
    }

    /// The nonvolatile registers, with the stack offsets where they are saved.
    fn saved() -> impl Iterator<Item = (u8, i32)> {
        (14..=31).map(|register| (register, -8 * (32 - i32::from(register))))
    }

    /// The volatile registers that hold values, with the stack offsets where they are saved across a system call.
    fn volatile() -> impl Iterator<Item = (u8, i32)> {
        (4..=8).map(|register| (register, -8 * (15 + i32::from(register))))
    }

    fn ld(&mut self, rt: u8, base: u8, offset: i32) {
        self.d(58, rt, base, offset);
    }

    fn std(&mut self, rs: u8, base: u8, offset: i32) {
        self.d(62, rs, base, offset);
    }
}

impl Risc for Powerpc64le {
    type Label = usize;

    const ARCH: Arch = Arch::Powerpc64le;
    const ENCODER: Encoder = super::encode::ENCODER;
    const FIXED: Fixed = Fixed {
        arena: 14,
        record: 15,
        count: 16,
        start: 17,
        period: 18,
        late: 19,
        args: 20,
        scratch: [9, 10, 11, 12],
        pool: &[21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31, 4, 5, 6, 7, 8],
        borrowed: &[19, 18, 17, 20, 16, 15],
        zero: None,
    };

    fn offset(&self) -> usize {
        4 * self.code.len()
    }

    fn label(&mut self) -> usize {
        self.labels.push(None);
        self.labels.len() - 1
    }

    fn bind(&mut self, label: usize) {
        self.labels[label] = Some(self.code.len());
    }

    fn append(&mut self, bytes: &[u8]) {
        for word in bytes.as_chunks::<4>().0 {
            self.word(u32::from_le_bytes(*word));
        }
    }

    fn keep_flags(&mut self) {
        // mfcr r0
        self.word(0x7c00_0026);
    }

    fn restore_flags(&mut self) {
        // mtcrf 0xff,r0
        self.word(0x7c0f_f120);
    }

    fn finish(mut self) -> Result<Vec<u8>, String> {
        for (at, label) in std::mem::take(&mut self.jumps) {
            let target = self.labels[label].ok_or("has a jump to a label that is not bound")?;
            let place = |words: usize| {
                i32::try_from(4 * words).map_err(|_| "is so long that a jump does not reach its target".to_owned())
            };
            let distance = place(target)? - place(at)?;
            let word = &mut self.code[at];
            let conditional = *word >> 26 == 16;
            let reach = if conditional { 1 << 15 } else { 1 << 25 };
            if !(-reach..reach).contains(&distance) {
                return Err("is so long that a jump does not reach its target".to_owned());
            }
            *word |= distance.cast_unsigned() & if conditional { 0xfffc } else { 0x03ff_fffc };
        }
        Ok(self.code.iter().flat_map(|word| word.to_le_bytes()).collect())
    }

    fn prologue(&mut self) {
        for (register, offset) in Self::saved() {
            self.std(register, 1, offset);
        }
        self.mr(20, 3);
        for (register, offset) in [(14, 0), (15, 8), (16, 16), (17, 24), (18, 32)] {
            self.ld(register, 3, offset);
        }
        self.li(19, 0);
    }

    fn epilogue(&mut self) {
        self.std(19, 20, 48);
        self.mr(3, 9);
        for (register, offset) in Self::saved() {
            self.ld(register, 1, offset);
        }
        self.word(0x4e80_0020); // blr
    }

    fn put_aside(&mut self, vector: u8, rs: u8) {
        // mtvsrd (Power ISA 2.07, which little-endian Linux needs). ELFv2 leaves f0 to f13 to the function.
        self.x(vector, rs, 0, 179);
    }

    fn take_back(&mut self, rd: u8, vector: u8) {
        // mfvsrd
        self.x(vector, rd, 0, 51);
    }

    fn mov(&mut self, rd: u8, rs: u8, _bits: u8) {
        self.mr(rd, rs);
    }

    fn constant(&mut self, rd: u8, value: i64) {
        let half = |at: u32| low_word(value >> at).cast_unsigned() & 0xffff;
        if let Ok(value) = i16::try_from(value) {
            self.li(rd, value.into());
        } else if let Ok(value) = i32::try_from(value) {
            self.d(15, rd, 0, value >> 16); // lis
            self.ori(rd, rd, half(0));
        } else {
            self.d(15, rd, 0, low_word(value >> 48));
            self.ori(rd, rd, half(32));
            self.sldi(rd, rd, 32);
            self.oris(rd, rd, half(16));
            self.ori(rd, rd, half(0));
        }
    }

    fn add_constant(&mut self, rd: u8, rs: u8, value: i32) {
        if i16::try_from(value).is_ok() {
            self.addi(rd, rs, value);
        } else {
            self.constant(12, value.into());
            self.add(rd, rs, 12);
        }
    }

    fn reaches(&self, offset: i32, bytes: usize) -> bool {
        // ld and std (DS form) take only multiples of 4, because the low two bits belong to the opcode.
        i16::try_from(offset).is_ok() && (bytes < 8 || offset % 4 == 0)
    }

    fn load(&mut self, rd: u8, base: u8, offset: i32, ty: Type) {
        match (ty.bytes(), ty.signed()) {
            (1, _) => self.d(34, rd, base, offset),     // lbz
            (2, false) => self.d(40, rd, base, offset), // lhz
            (2, true) => self.d(42, rd, base, offset),  // lha
            (4, _) => self.d(32, rd, base, offset),     // lwz
            _ => self.ld(rd, base, offset),
        }
        if ty.bytes() == 1 && ty.signed() {
            self.extend(rd, rd, ty);
        }
    }

    fn store(&mut self, rs: u8, base: u8, offset: i32, bytes: usize) {
        match bytes {
            1 => self.d(38, rs, base, offset), // stb
            2 => self.d(44, rs, base, offset), // sth
            4 => self.d(36, rs, base, offset), // stw
            _ => self.std(rs, base, offset),
        }
    }

    fn binary(&mut self, op: Binary, rd: u8, ra: u8, rb: u8, bits: u8) {
        match op {
            Binary::Add => self.add(rd, ra, rb),
            Binary::Sub => self.subf(rd, rb, ra),
            Binary::Mul => self.x(rd, ra, rb, if bits == 64 { 233 } else { 235 }), // mulld, mullw
            Binary::And => self.and(rd, ra, rb),
            Binary::Or => self.or(rd, ra, rb),
            _ => self.xor(rd, ra, rb),
        }
    }

    fn shift(&mut self, shift: Shift, rd: u8, rs: u8, count: u8, bits: u8) {
        let n = u32::from(count);
        match (shift, bits) {
            (Shift::Left, 64) => self.sldi(rd, rs, n),
            (Shift::Left, _) => self.rlwinm(rd, rs, n, 0, 31 - n), // slwi
            // sradi has the sixth bit of its count in a separate field. The next arm is srawi.
            (Shift::RightArithmetic, 64) => {
                self.word(
                    31 << 26 | u32::from(rs) << 21 | u32::from(rd) << 16 | (n & 31) << 11 | 413 << 2 | (n >> 5) << 1,
                );
            }
            (Shift::RightArithmetic, _) => self.x(rs, rd, count, 824),
            (Shift::RightLogical, 64) => self.rldicl(rd, rs, (64 - n) % 64, n), // srdi
            (Shift::RightLogical, _) => self.rlwinm(rd, rs, (32 - n) % 32, n, 31), // srwi
        }
    }

    fn unary(&mut self, op: Unary, rd: u8, rs: u8, _bits: u8) {
        if op == Unary::Negate {
            self.x(rd, rs, 0, 104); // neg
        } else {
            self.x(rs, rd, rs, 124); // nor with equal operands is not
        }
    }

    fn extend(&mut self, rd: u8, rs: u8, from: Type) {
        match (from.bits(), from.signed()) {
            (8, true) => self.x(rs, rd, 0, 954),  // extsb
            (16, true) => self.x(rs, rd, 0, 922), // extsh
            (32, true) => self.x(rs, rd, 0, 986), // extsw
            (64, _) => self.mr(rd, rs),
            (bits, _) => self.rldicl(rd, rs, 0, 64 - u32::from(bits)), // clrldi
        }
    }

    fn set(&mut self, Comparison { compare, bits, signed }: Comparison, rd: u8, ra: u8, rb: u8) {
        self.compare_registers(bits, signed, ra, rb);
        self.set_by(rd, Condition::of(compare));
    }

    fn branch(&mut self, Comparison { compare, bits, signed }: Comparison, ra: u8, rb: u8, target: usize) {
        self.compare_registers(bits, signed, ra, rb);
        self.bc(Condition::of(compare), target);
    }

    fn jump(&mut self, target: usize) {
        self.jumps.push((self.code.len(), target));
        self.word(18 << 26);
    }

    fn clock(&mut self, rd: u8) {
        // mftb is encoded as mfspr from 268, as every POWER since POWER4 requires.
        self.word(0x7c0c_42a6 | u32::from(rd) << 21);
    }

    fn prefetch(&mut self, base: u8, owns: bool) {
        // dcbtst 0,rb and dcbt 0,rb (Power ISA, Book II 4.3.2): extended opcodes 246 and 278, TH = 0.
        self.x(0, 0, base, if owns { 246 } else { 278 });
    }

    fn relax(&mut self) {
        // or 31,31,31 sets very low priority and or 2,2,2 sets medium priority again (Power ISA, Book II 3.2).
        self.or(31, 31, 31);
        self.or(2, 2, 2);
    }

    fn yield_cpu(&mut self) {
        for (register, offset) in Self::volatile() {
            self.std(register, 1, offset);
        }
        self.constant(0, SYS_SCHED_YIELD);
        self.word(0x4400_0002); // sc
        for (register, offset) in Self::volatile() {
            self.ld(register, 1, offset);
        }
    }

    fn fence(&mut self, fence: Fence) {
        match fence {
            Fence::Mb
            | Fence::MbBeforeAtomic
            | Fence::MbAfterAtomic
            | Fence::MbAfterSpinlock
            | Fence::MbAfterUnlockLock
            | Fence::MandatoryMb
            | Fence::MandatoryRmb
            | Fence::MandatoryWmb => self.sync(),
            Fence::Rmb | Fence::Wmb | Fence::AcquireAfterCtrlDep => self.lwsync(),
            Fence::Barrier | Fence::RcuReadLock | Fence::RcuReadUnlock => {}
        }
    }

    fn load_acquire(&mut self, rd: u8, base: u8, ty: Type) {
        self.load(rd, base, 0, ty);
        self.lwsync();
    }

    fn store_release(&mut self, rs: u8, base: u8, bytes: usize) {
        self.lwsync();
        self.store(rs, base, 0, bytes);
    }

    fn rmw(&mut self, parts: RmwParts) {
        let RmwParts { dst, base, value, wide, op, result, order } = parts;
        let (old, new) = (9, 10);
        let again = self.label();
        self.enter(order);
        // There is no atomic andnot: the kernel inverts the operand before the loop.
        let value = if op == RmwOp::AndNot { 0 } else { value };
        if op == RmwOp::AndNot {
            self.x(parts.value, 0, parts.value, 124); // not
        }
        self.bind(again);
        self.load_reserved(old, base, wide);
        // The 32-bit forms of arch/powerpc/include/asm/atomic.h set the carry or cr0; the 64-bit forms do not.
        match (op, wide) {
            (RmwOp::Xchg, _) => {}
            (RmwOp::Add, false) => self.addc(new, old, value),
            (RmwOp::Add, true) => self.add(new, old, value),
            (RmwOp::Sub, false) => self.subfc(new, value, old),
            (RmwOp::Sub, true) => self.subf(new, value, old),
            (RmwOp::And | RmwOp::AndNot, false) => self.and_record(new, old, value),
            (RmwOp::And | RmwOp::AndNot, true) => self.and(new, old, value),
            (RmwOp::Or, _) => self.or(new, old, value),
            (RmwOp::Xor, _) => self.xor(new, old, value),
        }
        let stored = if op == RmwOp::Xchg { value } else { new };
        self.store_conditional(stored, base, wide);
        self.bc(NOT_EQUAL, again);
        self.leave(order);
        let Some(rd) = dst else { return };
        match (result, wide) {
            (RmwResult::None, _) => {}
            (RmwResult::Old, _) => self.mr(rd, old),
            (RmwResult::New, _) => self.mr(rd, new),
            (test, wide) => {
                if wide {
                    self.cmpdi(new, 0);
                } else {
                    self.cmpwi(new, 0);
                }
                let compare = if test == RmwResult::NewIsZero { Compare::Eq } else { Compare::Lt };
                self.set_by(rd, Condition::of(compare));
            }
        }
    }

    fn cmpxchg(&mut self, CmpxchgParts { dst, base, expected, new, wide, order }: CmpxchgParts) {
        // A failed compare-and-exchange leaves before the exit barrier, as in the kernel.
        let (again, out) = (self.label(), self.label());
        self.enter(order);
        self.bind(again);
        self.load_reserved(9, base, wide);
        self.compare_registers(if wide { 64 } else { 32 }, true, 9, expected);
        self.bc(NOT_EQUAL, out);
        self.store_conditional(new, base, wide);
        self.bc(NOT_EQUAL, again);
        self.leave(order);
        self.bind(out);
        self.mr(dst, 9);
    }

    fn spin_lock(&mut self, base: u8, one: u8, wait: usize) {
        self.take_lock(base, one, wait);
    }

    fn spin_trylock(&mut self, rd: u8, base: u8, one: u8) {
        // The kernel's spin_trylock tries at once, without reading the lock first.
        let out = self.label();
        self.take_lock(base, one, out);
        self.bind(out);
        self.cmpwi(9, 0);
        self.set_by(rd, EQUAL);
    }

    fn spin_unlock(&mut self, base: u8) {
        self.li(0, 0);
        self.lwsync();
        self.d(44, 0, base, 0); // sth
    }
}
