//! What all emitters of machine code share: one function per thread, and a listing of it.
//!
//! The function of a thread loops over the instances of a batch. For each instance it runs the thread's
//! operations, saves the observed registers, and moves to the next instance. Paced code waits for the clock
//! before each group of instances (by default a group is one instance). Between the first and the last access
//! of an instance the code contains exactly the instructions that the kernel's primitives use on that
//! architecture ([`crate::isa`] has a folder per architecture). Addresses and constants that need a register are
//! loaded before the wait, or behind it in a register that the wait or the loop needs (`aside`).

// A truncated offset or constant would make code that accesses the wrong memory. So every conversion that could
// lose a value is checked, or states why it cannot lose anything that matters.
#![warn(clippy::cast_possible_truncation, clippy::cast_possible_wrap, clippy::cast_sign_loss)]

pub(crate) mod aside;
pub(crate) mod assembly;
mod executable;
mod listing;
pub(crate) mod registers;
pub(crate) mod risc;

use crate::arch::Arch;
pub use crate::arch::Atomics;
use crate::arch::lock::{Choices, Lock};
use crate::layout::Layout;
use crate::program::{Access, Address, Column, Op, Thread};

pub use executable::{Executable, ThreadArgs};
pub use listing::{Instruction, disassemble, listing};

/// Whether instances run back to back or start at given times of the clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Pace {
    /// The threads wait for the clock only once, at the start of a batch.
    Free,
    /// Group g of instances starts when the clock reaches start + g * period. By default a group is one instance.
    Paced,
    /// For a clock whose steps are longer than a race window. Span s of groups starts when the clock reaches
    /// start + s * period, and then after a delay; the other groups of the span start after a gap each. Delay and gap are
    /// steps of a chain of dependent instructions ([`ThreadArgs::delay`]).
    Edges {
        /// Number of low bits of the clock that the code clears before it uses a reading: 0, but for a run that simulates a
        /// coarse clock (`--clock-step`). At most 30.
        coarse_bits: u8,
    },
}

impl Pace {
    /// Whether groups of instances wait for the clock.
    pub fn is_paced(self) -> bool {
        self != Pace::Free
    }
}

/// The shortest cache line of the supported CPUs, in bytes.
///
/// x86-64: 64 (Intel SDM vol. 3A, 12.1 "Internal Caches, TLBs, and Buffers"; AMD APM vol. 2, 7.1). arm64: 64 in all Neoverse
/// and in nearly all Cortex-A cores; the kernel's L1_CACHE_BYTES is 64 too (arch/arm64/include/asm/cache.h). POWER: 128
/// (arch/powerpc/include/asm/cache.h, L1_CACHE_SHIFT 7). RISC-V: 64 from the RVA22 profile on (Zic64b).
pub(crate) const SHORTEST_LINE: usize = 64;

/// The step between two prefetches of one variable in a group, in bytes: a cache line, or an instance if that
/// is larger.
///
/// Prefetching a line twice costs little, so the step is the shortest line (`SHORTEST_LINE`).
pub fn prefetch_step(layout: &Layout) -> usize {
    layout.stride.max(SHORTEST_LINE)
}

/// The locations that a thread names, each once, and whether the thread writes the location through the caches.
fn touched(thread: &Thread) -> Vec<(usize, bool)> {
    if let Some(assembly) = &thread.assembly {
        return assembly.touched.clone();
    }
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

/// The locations whose lines a group prefetches, in the order of the code: those that the thread stores to, for writing (`true`), and then
/// the others. Without those that there are none of.
pub(crate) fn prefetches(thread: &Thread) -> Vec<(Vec<usize>, bool)> {
    let touched = touched(thread);
    let of = |kind| touched.iter().filter(|(_, owns)| *owns == kind).map(|(location, _)| *location).collect();
    [true, false]
        .map(|kind| (of(kind), kind))
        .into_iter()
        .filter(|(locations, _): &(Vec<_>, _)| !locations.is_empty())
        .collect()
}

/// Converts an offset in an instance or in a record to an instruction's displacement.
///
/// [`Layout`] and [`SaveRecord`] keep offsets within the limit. If one exceeds it, the error text is for the user.
pub(crate) fn displacement(bytes: usize) -> std::result::Result<i32, String> {
    i32::try_from(bytes).map_err(|_| {
        format!("has an offset of {bytes} bytes, more than the {} that an instruction's displacement reaches", i32::MAX)
    })
}

/// The low 32 bits of a constant, as a 32-bit operation uses them. 0xffffffff and -1 give the same value.
#[expect(clippy::cast_possible_truncation, reason = "the low half is what is asked for")]
pub(crate) const fn low_word(value: i64) -> i32 {
    value as i32
}

/// A saved register and its place in a thread's record of an instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Slot {
    /// The number of the register.
    pub register: usize,
    /// The byte offset in the record, aligned to `bytes`.
    pub offset: usize,
    /// The size in bytes.
    pub bytes: usize,
}

/// The layout of what a thread saves for each instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SaveRecord {
    /// The observed registers with their places.
    pub slots: Vec<Slot>,
    /// The number of bytes from one instance's record to the next; 0 if nothing is saved.
    pub stride: usize,
}

impl SaveRecord {
    /// The record layout for a thread. Eight-byte registers come first, so no padding is needed between registers.
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

    /// The slot of a column, if the column is a register of thread `thread`.
    pub fn slot(&self, column: Column, thread: usize) -> Option<Slot> {
        match column {
            Column::Register { thread: t, register } if t == thread => {
                self.slots.iter().copied().find(|slot| slot.register == register)
            }
            _ => None,
        }
    }
}

/// The architecture and variant to generate code for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Target {
    /// The architecture.
    pub arch: Arch,
    /// How it performs atomic operations; used only for arm64.
    pub atomics: Atomics,
    /// Its spinlock; used only for x86-64 and riscv64.
    pub lock: Lock,
}

impl Target {
    /// Code as this host's kernel has it; `None` if wakerace does not support the host's architecture.
    pub fn of_host() -> Option<Target> {
        Arch::host().map(|arch| Target { arch, atomics: Atomics::of_host(), lock: Lock::of_host() })
    }

    /// What the kernel selects at boot.
    pub const fn choices(self) -> Choices {
        Choices { atomics: self.atomics, lock: self.lock }
    }
}

impl From<Arch> for Target {
    fn from(arch: Arch) -> Target {
        Target { arch, atomics: Atomics::Lse, lock: Lock::Qspinlock }
    }
}

/// The purpose of a region of emitted code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// Function entry: saves callee-saved registers and loads the arguments.
    Prologue,
    /// Computes the number of instances in the next group and prefetches their lines.
    Group,
    /// Loads constants and addresses into registers.
    Setup,
    /// Waits for the clock.
    Pace,
    /// Runs the chain of dependent instructions that delays a group.
    Delay,
    /// The operation, or the instruction, of the test with this index.
    Op(usize),
    /// Stores the observed registers to the record.
    Save,
    /// Moves to the next instance.
    Next,
    /// Returns.
    Epilogue,
    /// Out-of-line code: counts late instances and waits for contended locks.
    Cold,
}

/// The machine code of one thread. It is position independent.
#[derive(Debug, Clone)]
pub struct ThreadCode {
    /// The architecture that the code is for.
    pub arch: Arch,
    /// The instructions.
    pub bytes: Vec<u8>,
    /// The offset at which each part begins, in ascending order.
    pub marks: Vec<(usize, Part)>,
}

/// The SHA-256 of the code of all threads, in hexadecimal. Two runs with the same hash ran the same instructions.
pub fn hash(code: &[ThreadCode]) -> String {
    hash_of_bytes(code.iter().map(|thread| thread.bytes.as_slice()))
}

/// The same hash, from the bytes of each thread's code.
pub fn hash_of_bytes<'a>(threads: impl Iterator<Item = &'a [u8]>) -> String {
    let mut hasher = crate::hash::Sha256::default();
    for bytes in threads {
        hasher.update(&(bytes.len() as u64).to_le_bytes());
        hasher.update(bytes);
    }
    hasher.finish()
}
