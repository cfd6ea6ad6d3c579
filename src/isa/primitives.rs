//! The table of primitives: what each kernel primitive becomes on each architecture.
//!
//! Each architecture has its own table in `src/isa/ARCH/primitives.rs`. A row holds the instructions that the emitter
//! writes, the events that the models see, and the kernel's file that defines the primitive. tests/primitives.rs
//! compares every row with the emitted code and with the events. docs/primitives.md shows the tables, and
//! `wakerace show --primitives` prints them.
//!
//! Not in the tables: inc and dec with a value (the kernel makes them from add and sub), atomic64_t and atomic_long_t
//! (the same instructions with 64 bits), and atomic_add_unless and its relatives, which are loops of READ_ONCE and
//! cmpxchg.

use crate::arch::lock::{Choices, Lock};
use crate::arch::{Arch, Atomics};

pub(super) const COMPILER: &str = "include/linux/compiler.h";
pub(super) const FALLBACK: &str = "include/linux/atomic/atomic-arch-fallback.h";
pub(super) const GENERIC_BARRIER: &str = "include/asm-generic/barrier.h";
pub(super) const GENERIC_QSPINLOCK: &str = "include/asm-generic/qspinlock.h";
pub(super) const GENERIC_TICKET: &str = "include/asm-generic/ticket_spinlock.h";
pub(super) const LINUX_SPINLOCK: &str = "include/linux/spinlock.h";
pub(super) const RCUPDATE: &str = "include/linux/rcupdate.h";
pub(super) const RWONCE: &str = "include/asm-generic/rwonce.h";

/// One row: a primitive on one architecture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Primitive {
    /// The kernel's name.
    pub name: &'static str,
    /// The width of the access in bits: 32 or 64. `None` for a barrier.
    pub bits: Option<u8>,
    /// The variants of the architecture that the row describes.
    pub variant: Variant,
    /// The instructions in the order of the code, separated by `; `. Empty if the primitive only restrains the compiler.
    ///
    /// Each is written as its mnemonic in the listing of `wakerace show`. Operands follow where they decide what the
    /// instruction does: the kind of a barrier, the operation of a prefetch, and the lock hint of lwarx (`lwarx 1`).
    /// `lock` counts as a part of the mnemonic. Moves between registers and loads of constants are left out.
    pub instructions: &'static str,
    /// The events that the models see, separated by `; `: `R` for a read, `W` for a write, `F` for a barrier, each
    /// with its tags. Behind ` else ` stand the events of an update whose condition does not hold. Empty if there are
    /// no events; `not modelled` if no model covers the primitive.
    pub events: &'static str,
    /// The kernel's file that defines the primitive.
    pub source: &'static str,
}

/// Which variants of an architecture a row describes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Variant {
    /// All of them.
    Any,
    /// LSE atomics only.
    Lse,
    /// Loops of load-exclusive and store-exclusive only.
    Llsc,
    /// The queued spinlock with the native unlock only.
    Queued,
    /// The ticket lock only.
    Ticket,
    /// The unlock of a paravirtualized guest only.
    Paravirt,
}

impl Variant {
    /// The name in tables; `-` for a row that describes all variants.
    pub const fn name(self) -> &'static str {
        match self {
            Variant::Any => "-",
            Variant::Lse => "lse",
            Variant::Llsc => "llsc",
            Variant::Queued => Lock::Qspinlock.name(),
            Variant::Ticket => Lock::Ticket.name(),
            Variant::Paravirt => Lock::Paravirt.name(),
        }
    }

    /// Whether the code of a kernel that made these choices belongs to the variant.
    pub fn has(self, Choices { atomics, lock }: Choices) -> bool {
        match self {
            Variant::Any => true,
            Variant::Lse => atomics == Atomics::Lse,
            Variant::Llsc => atomics == Atomics::Llsc,
            Variant::Queued => lock == Lock::Qspinlock,
            Variant::Ticket => lock == Lock::Ticket,
            Variant::Paravirt => lock == Lock::Paravirt,
        }
    }
}

/// The names of the columns that [`Primitive::tsv`] prints.
pub const TSV_HEADER: &str = "arch\tprimitive\tbits\tvariant\tinstructions\tevents\tsource";

impl Primitive {
    /// The row as tab-separated values: architecture, primitive, bits, variant, instructions, events, source. A field
    /// without content is `-`.
    ///
    /// ```
    /// use wakerace::{arch::Arch, isa};
    ///
    /// let row = isa::primitives(Arch::Aarch64).iter().find(|row| row.name == "smp_wmb").unwrap();
    /// assert_eq!(row.tsv(Arch::Aarch64), "aarch64\tsmp_wmb\t-\t-\tdmb ishst\tF[dmb.st]\tarch/arm64/include/asm/barrier.h");
    /// ```
    pub fn tsv(&self, arch: Arch) -> String {
        let or_dash = |text: &'static str| if text.is_empty() { "-" } else { text };
        let bits = self.bits.map_or_else(|| "-".to_owned(), |bits| bits.to_string());
        [
            arch.name(),
            self.name,
            &bits,
            self.variant.name(),
            or_dash(self.instructions),
            or_dash(self.events),
            self.source,
        ]
        .join("\t")
    }

    /// The same row for one variant only.
    pub(super) const fn only(self, variant: Variant) -> Primitive {
        Primitive { variant, ..self }
    }
}

const fn row(
    name: &'static str,
    bits: Option<u8>,
    instructions: &'static str,
    events: &'static str,
    source: &'static str,
) -> Primitive {
    Primitive { name, bits, variant: Variant::Any, instructions, events, source }
}

/// A row for a barrier.
pub(super) const fn barrier(
    name: &'static str,
    instructions: &'static str,
    events: &'static str,
    source: &'static str,
) -> Primitive {
    row(name, None, instructions, events, source)
}

/// A row for a primitive that accesses 32 bits.
pub(super) const fn word(
    name: &'static str,
    instructions: &'static str,
    events: &'static str,
    source: &'static str,
) -> Primitive {
    row(name, Some(32), instructions, events, source)
}

/// A row for a primitive that accesses 64 bits.
pub(super) const fn long(
    name: &'static str,
    instructions: &'static str,
    events: &'static str,
    source: &'static str,
) -> Primitive {
    row(name, Some(64), instructions, events, source)
}
