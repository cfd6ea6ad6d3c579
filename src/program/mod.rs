//! The lowered form of a litmus test, shared by code generation and the models.
//!
//! [`lower`] is the entry point. Names become numbers, types are checked, and expressions become operations
//! on numbered registers. A thread is a list of [`Op`]s. Jumps only go forward, so each operation executes at
//! most once.
//!
//! Invariant that [`lower`] establishes and code generation relies on: when an access through an
//! [`Address::Register`] is reached, the register holds the address of a location of the accessed type. This
//! follows from four rules. A pointer comes only from the name of a shared variable. It is stored only in
//! variables and registers of the same pointer type. To a pointer only a value is added that is 0 whatever was
//! read (`r0 & 0`). A pointer that may be NULL is dereferenced only where a test has shown that it is not NULL.
//!
//! herd7 has no types. [`lower_to_judge`] reads what herd7 reads: a test that breaks these rules is lowered too, but it is
//! marked ([`Program::cannot_run`]), and no code is generated for it.

mod assembly;
mod display;
mod loops;
mod lower;
mod registers;
mod threads;
mod variables;

use std::ops::Range;

use crate::arch::Arch;
pub use crate::litmus::ast::{Binary, Compare, Name, Quantifier, Unary};
pub use crate::litmus::primitive::{Access, Fence, Order, Rcu, RmwOp, RmwResult};
pub(crate) use assembly::END;
pub use assembly::{Assembly, Instruction};
pub use display::outcome;
pub use lower::{Forms, forms, lower, lower_to_judge};

use crate::litmus::Diagnostic;

/// What a test is lowered for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Purpose {
    /// Code generation: every access is known to be safe.
    Run,
    /// The models: a value is an integer or an address, whatever its type.
    Judge,
}

/// Maximum number of threads of a test that runs.
pub const MAX_RUN_THREADS: usize = 16;

/// The number of a shared variable: its index in [`Program::locations`].
pub type LocationId = usize;
/// The number of a register: its index in [`Thread::registers`].
pub type RegisterId = usize;
/// The number of a jump target within a thread.
pub type LabelId = usize;

/// A lowered litmus test, ready for code generation or for a model.
#[derive(Debug, Clone)]
pub struct Program {
    /// The test's name.
    pub name: String,
    /// The architecture whose assembly the test is written in; `None` for a test in C.
    pub language: Option<Arch>,
    /// The shared variables.
    pub locations: Vec<Location>,
    /// The threads, P0 first.
    pub threads: Vec<Thread>,
    /// The columns of an outcome: the registers and variables that are read at the end of an instance.
    pub columns: Vec<Column>,
    /// The columns that the condition and `locations` name, by number. herd7 and litmus7 print these. Only
    /// the filter or Match names the other columns.
    pub displayed: Vec<usize>,
    /// Those of them that are displayed by themselves, and not only as elements of an array.
    pub alone: Vec<usize>,
    /// The arrays that are displayed as a whole: the name, and the columns of the elements.
    pub arrays: Vec<(String, Vec<usize>)>,
    /// The quantifier of the condition.
    pub quantifier: Quantifier,
    /// The condition, over columns.
    pub condition: Prop,
    /// The filter: outcomes that do not satisfy it are not counted.
    pub filter: Option<Prop>,
    /// The Match event, which the race is a fraction of.
    pub match_event: Option<Prop>,
    /// The reason why no code may be generated, if the test breaks a rule of [`lower`].
    pub cannot_run: Option<Diagnostic>,
}

impl Program {
    /// Whether a thread has an operation on a spinlock.
    pub fn takes_lock(&self) -> bool {
        let on_lock = |op: &Op| {
            matches!(op, Op::SpinLock { .. } | Op::SpinUnlock { .. } | Op::SpinTrylock { .. } | Op::SpinIsLocked { .. })
        };
        self.threads.iter().any(|thread| thread.ops.iter().any(on_lock))
    }

    /// The first call of a primitive that only the kernel's model has, if there is one.
    pub fn judged_only(&self) -> Option<&JudgedOnly> {
        self.threads.iter().find_map(|thread| thread.judged_only.as_ref())
    }

    /// Whether a thread has a loop that is left after some rounds although its condition holds. The models judge such a test
    /// by what [`lower_to_judge`] makes of it.
    pub fn cuts_loops(&self) -> bool {
        self.threads.iter().any(|thread| thread.cut.is_some())
    }

    /// Whether an outcome is a race: it passes the filter, and it satisfies the condition of an `exists` or
    /// `~exists`, or violates that of a `forall`.
    pub fn is_race(&self, row: &[Const]) -> bool {
        let interesting = self.condition.holds(row) == (self.quantifier != Quantifier::Forall);
        interesting && self.passes(row)
    }

    /// Whether an outcome passes the filter. Without a filter every outcome passes.
    pub fn passes(&self, row: &[Const]) -> bool {
        self.filter.as_ref().is_none_or(|filter| filter.holds(row))
    }

    /// Whether an outcome is a match; `None` if the header declares no Match event.
    pub fn is_match(&self, row: &[Const]) -> Option<bool> {
        self.match_event.as_ref().map(|event| self.passes(row) && event.holds(row))
    }

    /// For each location, whether any thread may read or write it. Of the other locations only the addresses
    /// are used; they keep their initial values.
    pub fn reached(&self) -> Vec<bool> {
        let mut reached = vec![false; self.locations.len()];
        for number in 0..self.threads.len() {
            reached.iter_mut().zip(self.reached_by(number)).for_each(|(any, own)| *any |= own);
        }
        reached
    }

    /// For each location, whether a thread may read or write it.
    pub fn reached_by(&self, number: usize) -> Vec<bool> {
        let thread = &self.threads[number];
        let named = |id: usize| match &thread.assembly {
            Some(assembly) => assembly.touched.iter().any(|(known, _)| *known == id),
            None => thread.ops.iter().filter_map(Op::address).any(|address| match address {
                Address::Location(known) => known == id,
                // A register may hold the address of any location.
                Address::Register(_) => true,
            }),
        };
        (0..self.locations.len()).map(named).collect()
    }

    /// The name of a column in herd7's format: `1:r0` or `x`.
    pub fn column_name(&self, column: usize) -> String {
        match self.columns[column] {
            Column::Register { thread, register } => {
                format!("{thread}:{}", self.threads[thread].registers[register].name)
            }
            Column::Location(location) => self.locations[location].name.clone(),
        }
    }
}

/// The type of a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Type {
    /// An integer of 8, 16, 32 or 64 bits.
    Int {
        /// The width: 8, 16, 32 or 64.
        bits: u8,
        /// Whether it is signed.
        signed: bool,
    },
    /// The address of a shared variable, or NULL.
    Pointer,
    /// A spinlock. The emitted code uses 32 bits, as the kernel's queued spinlock does.
    Spinlock,
}

impl Type {
    /// `int`
    pub const INT: Type = Type::Int { bits: 32, signed: true };

    /// Size in memory, in bytes.
    pub const fn bytes(self) -> usize {
        match self {
            Type::Int { bits, .. } => bits as usize / 8,
            Type::Pointer => 8,
            Type::Spinlock => 4,
        }
    }

    /// Size in bits.
    pub const fn bits(self) -> u8 {
        self.bytes() as u8 * 8
    }

    /// A number of the same size, with a sign or without one.
    pub const fn with_sign(self, signed: bool) -> Type {
        Type::Int { bits: self.bits(), signed }
    }

    /// Whether a value narrower than a register is sign-extended.
    pub const fn signed(self) -> bool {
        matches!(self, Type::Int { signed: true, .. })
    }
}

/// A shared variable.
#[derive(Debug, Clone)]
pub struct Location {
    /// Its name.
    pub name: String,
    /// Its type.
    pub ty: Type,
    /// Its value at the start of an instance.
    pub init: Const,
}

/// A constant: an integer, or the address of a shared variable of the same instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Const {
    /// An integer; NULL is 0.
    Int(i64),
    /// The address of a shared variable.
    Address(LocationId),
}

/// One thread.
#[derive(Debug, Clone)]
pub struct Thread {
    /// The registers: the declared ones first, then temporaries.
    pub registers: Vec<Register>,
    /// The operations; none if the thread is in assembly.
    pub ops: Vec<Op>,
    /// The instructions of a thread in assembly.
    pub assembly: Option<Assembly>,
    /// The number of labels that its jumps use.
    pub labels: usize,
    /// Registers that some path reads before it writes them. They start as 0.
    pub zeroed: Vec<RegisterId>,
    /// The ranges of `ops` that stand for one primitive of the kernel, in order.
    pub composites: Vec<Composite>,
    /// The ranges of `ops` that stand for one expression, or for one statement without its branches, if they access memory
    /// more than once.
    pub expressions: Vec<Range<usize>>,
    /// The first call of a primitive that only the kernel's model has, if there is one. Such a test is judged, but no code is
    /// generated for it.
    pub judged_only: Option<JudgedOnly>,
    /// The register that is 1 if a loop whose rounds depend on what is read had more rounds than are followed. The filter of
    /// the program excludes such an instance.
    pub cut: Option<RegisterId>,
}

/// A call of a primitive that only the kernel's model has.
#[derive(Debug, Clone)]
pub struct JudgedOnly {
    /// The name in the text.
    pub name: Name,
    /// The primitive.
    pub primitive: Rcu,
}

/// The operations of one atomic_add_unless or a related primitive. They are the kernel's loop, unrolled: one
/// cmpxchg, plus one for each write of another thread that can make a cmpxchg fail. The kernel's model has a
/// single event for the primitive.
#[derive(Debug, Clone, PartialEq)]
pub struct Composite {
    /// The index of the first operation.
    pub first: usize,
    /// The index behind the last operation.
    pub end: usize,
    /// The register for the result.
    pub dst: RegisterId,
    /// Whether the result is the old value. If not, it says whether the amount was added.
    pub fetch: bool,
    /// The address of the variable.
    pub address: Address,
    /// The type of the variable.
    pub ty: Type,
    /// The amount.
    pub amount: Operand,
    /// The value to which nothing is added.
    pub unwanted: Operand,
}

/// A register of a thread.
#[derive(Debug, Clone)]
pub struct Register {
    /// The declared name, or `t0`, `t1`, ... for a temporary.
    pub name: String,
    /// Its type.
    pub ty: Type,
    /// Whether the condition names the register, so that its value must be kept to the end.
    pub observed: bool,
}

/// An input of an operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Operand {
    /// A register.
    Register(RegisterId),
    /// A constant.
    Const(Const),
}

/// The memory that an operation accesses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Address {
    /// A shared variable, by number.
    Location(LocationId),
    /// The shared variable whose address a register holds.
    Register(RegisterId),
}

/// One operation. A field `ty` is the type of the memory that is accessed.
#[derive(Debug, Clone, PartialEq)]
#[allow(missing_docs)] // the fields are named for what they are
pub enum Op {
    /// `dst = *address`
    Load { dst: RegisterId, address: Address, ty: Type, access: Access },
    /// `*address = value`
    Store { address: Address, value: Operand, ty: Type, access: Access },
    /// smp_store_mb
    StoreMb { address: Address, value: Operand, ty: Type },
    /// A barrier.
    Fence(Fence),
    /// A read-modify-write.
    Rmw {
        dst: Option<RegisterId>,
        address: Address,
        value: Operand,
        ty: Type,
        op: RmwOp,
        result: RmwResult,
        order: Order,
    },
    /// `dst = *address`; if `dst == expected`, then `*address = new`
    Cmpxchg { dst: RegisterId, address: Address, expected: Operand, new: Operand, ty: Type, order: Order },
    /// spin_lock
    SpinLock { address: Address },
    /// spin_unlock
    SpinUnlock { address: Address },
    /// `dst` = whether the lock was taken
    SpinTrylock { dst: RegisterId, address: Address },
    /// `dst` = whether the lock is held
    SpinIsLocked { dst: RegisterId, address: Address },
    /// synchronize_rcu or smp_mb__after_srcu_read_unlock: judged only
    RcuFence(Rcu),
    /// srcu_read_lock, `dst` = the index: judged only
    SrcuLock { dst: RegisterId, address: Address },
    /// srcu_read_unlock with the index: judged only
    SrcuUnlock { address: Address, value: Operand },
    /// synchronize_srcu: judged only
    SynchronizeSrcu { address: Address },
    /// `dst = src`, of the same width
    Move { dst: RegisterId, src: Operand },
    /// `dst = src`, taken as a value of type `from` and extended to the width of `dst`
    Extend { dst: RegisterId, src: Operand, from: Type },
    /// `dst = op src`; `bits` is 32 or 64
    Unary { dst: RegisterId, op: Unary, src: Operand, bits: u8 },
    /// `dst = left op right`; `bits` is 32 or 64
    Binary { dst: RegisterId, op: Binary, left: Operand, right: Operand, bits: u8, signed: bool },
    /// A jump to `target` if the comparison of `left` and `right` holds.
    Branch { compare: Compare, left: Operand, right: Operand, bits: u8, signed: bool, target: LabelId },
    /// A jump to `target`.
    Jump { target: LabelId },
    /// The position of a label. It comes after every jump to it.
    Label(LabelId),
}

/// How an operation uses a register, for [`Op::visit`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RegisterUse {
    /// It is read.
    Read,
    /// It is written.
    Write,
}

impl Op {
    /// Why no machine code can be generated for the operation, if only the kernel's model has it.
    pub fn judged_only(&self) -> Option<String> {
        let primitive = match self {
            Op::RcuFence(primitive) => *primitive,
            Op::SrcuLock { .. } => Rcu::SrcuLock,
            Op::SrcuUnlock { .. } => Rcu::SrcuUnlock,
            Op::SynchronizeSrcu { .. } => Rcu::SynchronizeSrcu,
            _ => return None,
        };
        Some(format!("uses {}(), which only `check` judges", primitive.name()))
    }

    /// The address that the operation accesses; `None` if it accesses no memory.
    pub fn address(&self) -> Option<Address> {
        match *self {
            Op::Load { address, .. }
            | Op::Store { address, .. }
            | Op::StoreMb { address, .. }
            | Op::Rmw { address, .. }
            | Op::Cmpxchg { address, .. }
            | Op::SpinLock { address }
            | Op::SpinUnlock { address }
            | Op::SpinTrylock { address, .. }
            | Op::SpinIsLocked { address, .. }
            | Op::SrcuLock { address, .. }
            | Op::SrcuUnlock { address, .. }
            | Op::SynchronizeSrcu { address } => Some(address),
            _ => None,
        }
    }

    /// Calls `see` for every register that this operation reads, then for the register that it writes.
    pub fn visit(&self, mut see: impl FnMut(RegisterUse, RegisterId)) {
        let (address, reads, write): (Option<Address>, [Option<Operand>; 2], Option<RegisterId>) = match *self {
            Op::Load { dst, address, .. } => (Some(address), [None, None], Some(dst)),
            Op::Store { address, value, .. }
            | Op::StoreMb { address, value, .. }
            | Op::SrcuUnlock { address, value } => (Some(address), [Some(value), None], None),
            Op::Rmw { dst, address, value, .. } => (Some(address), [Some(value), None], dst),
            Op::Cmpxchg { dst, address, expected, new, .. } => (Some(address), [Some(expected), Some(new)], Some(dst)),
            Op::SpinLock { address } | Op::SpinUnlock { address } | Op::SynchronizeSrcu { address } => {
                (Some(address), [None, None], None)
            }
            Op::SpinTrylock { dst, address } | Op::SpinIsLocked { dst, address } | Op::SrcuLock { dst, address } => {
                (Some(address), [None, None], Some(dst))
            }
            Op::Move { dst, src } | Op::Extend { dst, src, .. } | Op::Unary { dst, src, .. } => {
                (None, [Some(src), None], Some(dst))
            }
            Op::Binary { dst, left, right, .. } => (None, [Some(left), Some(right)], Some(dst)),
            Op::Branch { left, right, .. } => (None, [Some(left), Some(right)], None),
            Op::Fence(_) | Op::RcuFence(_) | Op::Jump { .. } | Op::Label(_) => (None, [None, None], None),
        };
        if let Some(Address::Register(register)) = address {
            see(RegisterUse::Read, register);
        }
        for operand in reads.into_iter().flatten() {
            if let Operand::Register(register) = operand {
                see(RegisterUse::Read, register);
            }
        }
        if let Some(register) = write {
            see(RegisterUse::Write, register);
        }
    }

    /// The constant inputs of this operation.
    pub fn constants(&self) -> impl Iterator<Item = Const> {
        let operands = match *self {
            Op::Store { value, .. }
            | Op::StoreMb { value, .. }
            | Op::Rmw { value, .. }
            | Op::SrcuUnlock { value, .. } => [Some(value), None],
            Op::Cmpxchg { expected, new, .. } => [Some(expected), Some(new)],
            Op::Move { src, .. } | Op::Extend { src, .. } | Op::Unary { src, .. } => [Some(src), None],
            Op::Binary { left, right, .. } | Op::Branch { left, right, .. } => [Some(left), Some(right)],
            _ => [None, None],
        };
        operands.into_iter().flatten().filter_map(|operand| match operand {
            Operand::Const(constant) => Some(constant),
            Operand::Register(_) => None,
        })
    }
}

/// A column of an outcome: a register or variable that is read at the end of an instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Column {
    /// A register of a thread.
    Register {
        /// The thread.
        thread: usize,
        /// The register.
        register: RegisterId,
    },
    /// A shared variable.
    Location(LocationId),
}

/// A proposition over the columns of an outcome.
#[derive(Debug, Clone)]
pub enum Prop {
    /// Always true or always false.
    Const(bool),
    /// A column equals a value.
    Equal {
        /// The number of the column.
        column: usize,
        /// The value.
        value: Const,
    },
    /// Two columns have the same value.
    Same(usize, usize),
    /// Negation.
    Not(Box<Prop>),
    /// Conjunction.
    And(Box<Prop>, Box<Prop>),
    /// Disjunction.
    Or(Box<Prop>, Box<Prop>),
}

impl Prop {
    /// Whether it holds for an outcome, given as one value per column.
    pub fn holds(&self, row: &[Const]) -> bool {
        match self {
            Prop::Const(value) => *value,
            Prop::Equal { column, value } => row[*column] == *value,
            Prop::Same(left, right) => row[*left] == row[*right],
            Prop::Not(inner) => !inner.holds(row),
            Prop::And(left, right) => left.holds(row) && right.holds(row),
            Prop::Or(left, right) => left.holds(row) || right.holds(row),
        }
    }
}
