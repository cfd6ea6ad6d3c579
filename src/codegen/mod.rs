//! Program and layout in, machine code out: one function per thread, and a listing of it.
//!
//! The emitted function walks the instances of a batch: wait for the clock if paced, run the test's body, save the
//! observed registers, go to the next instance. Between the first and the last access of a body stand exactly the
//! instructions that the kernel's primitives take on that architecture (one file each); addresses and constants that need
//! a register of their own are put there before the wait.

// An offset or a constant that is cut makes code that touches the wrong memory: every conversion that could lose something
// is checked, or says why it cannot lose what matters.
#![warn(clippy::cast_possible_truncation, clippy::cast_possible_wrap, clippy::cast_sign_loss)]

mod aarch64;
mod executable;
mod listing;
mod powerpc64le;
mod registers;
mod risc;
mod riscv64;
mod x86_64;

use crate::arch::Arch;
pub use crate::arch::Atomics;
use crate::error::{Error, Result};
use crate::layout::Layout;
use crate::program::{Access, Address, Column, Op, Program, Thread};

pub use executable::{Executable, ThreadArgs};
pub use listing::{Instruction, disassemble, listing};

/// Whether instances follow each other freely or by the clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Pace {
    /// The threads wait for the clock once, at the start of a batch.
    Free,
    /// Group g of instances begins at start + g * period on the clock. A group is one instance, unless asked otherwise.
    Paced,
}

/// From one piece of a group of instances that is fetched ahead of its tick to the next, in bytes: a line, or an instance
/// where that is more. Lines are 64 bytes and more on every CPU this is for; fetching one twice costs little.
pub fn warm_step(layout: &Layout) -> usize {
    layout.stride.max(64)
}

/// The locations that a thread names, once each, and whether it stores there through the caches.
fn touched(thread: &Thread) -> Vec<(usize, bool)> {
    let mut out: Vec<(usize, bool)> = Vec::new();
    for op in &thread.ops {
        let Some(Address::Location(location)) = op.address() else { continue };
        let owns = match op {
            Op::Load { .. } | Op::SpinIsLocked { .. } => false,
            Op::Store { access, .. } => *access != Access::NonTemporal,
            _ => true,
        };
        match out.iter_mut().find(|(known, _)| *known == location) {
            Some((_, known)) => *known |= owns,
            None => out.push((location, owns)),
        }
    }
    out
}

/// An offset in an instance or in a record as an instruction's displacement. A [`Layout`] and a [`SaveRecord`] stay within
/// what fits; the reason for the person at the terminal if something does not.
fn displacement(bytes: usize) -> std::result::Result<i32, String> {
    i32::try_from(bytes).map_err(|_| {
        format!("has an offset of {bytes} bytes, more than the {} that an instruction's displacement reaches", i32::MAX)
    })
}

/// The low 32 bits of a constant: what a 32-bit operation takes of it. 0xffffffff and -1 are the same there.
#[expect(clippy::cast_possible_truncation, reason = "the low half is what is asked for")]
const fn low_word(value: i64) -> i32 {
    value as i32
}

/// One saved register: where it lies in a thread's record of an instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Slot {
    /// Which register.
    pub register: usize,
    /// Byte offset in the record, aligned to `bytes`.
    pub offset: usize,
    /// Its size.
    pub bytes: usize,
}

/// What a thread saves of each instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SaveRecord {
    /// The observed registers.
    pub slots: Vec<Slot>,
    /// Bytes from one instance's record to the next; 0 if nothing is saved.
    pub stride: usize,
}

impl SaveRecord {
    /// The record for a thread, eight-byte registers first so that nothing needs filling.
    pub fn new(thread: &Thread) -> SaveRecord {
        let mut observed: Vec<usize> = (0..thread.registers.len()).filter(|&r| thread.registers[r].observed).collect();
        observed.sort_by_key(|&register| std::cmp::Reverse(thread.registers[register].ty.bytes()));
        let mut slots = Vec::new();
        let (mut end, mut align) = (0, 1);
        for register in observed {
            let bytes = thread.registers[register].ty.bytes();
            slots.push(Slot { register, offset: end, bytes });
            end += bytes;
            align = align.max(bytes);
        }
        SaveRecord { slots, stride: end.next_multiple_of(align) }
    }

    /// The slot of a column, if it is a register of thread `thread`.
    pub fn slot(&self, column: Column, thread: usize) -> Option<Slot> {
        match column {
            Column::Register { thread: t, register } if t == thread => {
                self.slots.iter().copied().find(|slot| slot.register == register)
            }
            _ => None,
        }
    }
}

/// What code is emitted for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Target {
    /// The architecture.
    pub arch: Arch,
    /// Its atomics; only arm64 looks at this.
    pub atomics: Atomics,
}

impl From<Arch> for Target {
    fn from(arch: Arch) -> Target {
        Target { arch, atomics: Atomics::Lse }
    }
}

/// What a stretch of emitted code is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// Entry: callee-saved registers, arguments.
    Prologue,
    /// How many instances the next group has; its lines are fetched.
    Group,
    /// Constants and addresses into registers.
    Setup,
    /// Waiting for the clock.
    Pace,
    /// The operation with this number, of the test itself.
    Op(usize),
    /// Observed registers to the record.
    Save,
    /// On to the next instance.
    Next,
    /// Return.
    Epilogue,
    /// Out of line: counting late instances, and what a contended lock does.
    Cold,
}

/// The code of one thread. Position independent.
#[derive(Debug, Clone)]
pub struct ThreadCode {
    /// The architecture it is for.
    pub arch: Arch,
    /// The instructions.
    pub bytes: Vec<u8>,
    /// Where each part begins, in order of offset.
    pub marks: Vec<(usize, Part)>,
}

/// Emits the code of every thread of a program.
///
/// # Errors
/// [`Error::Host`] if the architecture has no such operation, or if a thread needs more registers at once than there are.
pub fn emit(target: impl Into<Target>, program: &Program, layout: &Layout, pace: Pace) -> Result<Vec<ThreadCode>> {
    let Target { arch, atomics } = target.into();
    let each = program.threads.iter().enumerate().map(|(number, thread)| {
        let code = match arch {
            Arch::X86_64 => x86_64::emit(thread, layout, pace),
            Arch::Aarch64 => risc::emit(aarch64::Aarch64::new(atomics), thread, layout, pace),
            Arch::Powerpc64le => risc::emit(powerpc64le::Powerpc64le::new(), thread, layout, pace),
            Arch::Riscv64gc => risc::emit(riscv64::Riscv64::new(), thread, layout, pace),
        };
        code.map_err(|reason| Error::Host(format!("{}: P{number} {reason}", program.name)))
    });
    each.collect()
}

/// The SHA-256 of the code of all threads, in hexadecimal: two runs with the same hash ran the same instructions.
pub fn hash(code: &[ThreadCode]) -> String {
    hash_of_bytes(code.iter().map(|thread| thread.bytes.as_slice()))
}

/// The same, of the machine code of each thread.
pub fn hash_of_bytes<'a>(threads: impl Iterator<Item = &'a [u8]>) -> String {
    let mut hasher = crate::hash::Sha256::default();
    for bytes in threads {
        hasher.update(&(bytes.len() as u64).to_le_bytes());
        hasher.update(bytes);
    }
    hasher.finish()
}
