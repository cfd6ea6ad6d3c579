//! The lowered form of a litmus test, shared by code generation and models.
//!
//! [`lower`] is the one entry: names become numbers, types are checked, expressions become operations on numbered
//! registers. A thread is a list of [`Op`]s whose jumps all go forward, so it ends after at most one pass.
//!
//! What lowering promises, and code generation relies on: every [`Address::Register`] holds the address of a location
//! of the accessed type whenever the access is reached. Pointers come only from the names of shared variables, live
//! only in variables and registers of the same pointer type, take no arithmetic, and one that may be NULL is
//! dereferenced only where a test has shown that it is not.

mod display;
mod lower;
mod registers;
mod threads;
mod variables;

pub use crate::litmus::ast::{Binary, Compare, Quantifier, Unary};
pub use crate::litmus::primitive::{Access, Fence, Order, RmwOp, RmwResult};
pub use display::outcome;
pub use lower::lower;

/// Number of a shared variable in [`Program::locations`].
pub type LocationId = usize;
/// Number of a register in [`Thread::registers`].
pub type RegisterId = usize;
/// Number of a jump target within a thread.
pub type LabelId = usize;

/// A litmus test ready to be turned into code or judged by a model.
#[derive(Debug, Clone)]
pub struct Program {
    /// The test's name.
    pub name: String,
    /// The shared variables.
    pub locations: Vec<Location>,
    /// The threads, P0 first.
    pub threads: Vec<Thread>,
    /// What is looked at when an instance is over: the columns of an outcome.
    pub columns: Vec<Column>,
    /// Those of them that the condition and `locations` name, which are what herd7 and litmus7 print. The others are the filter's and
    /// Match's.
    pub displayed: Vec<usize>,
    /// How the condition quantifies.
    pub quantifier: Quantifier,
    /// The condition, over columns.
    pub condition: Prop,
    /// Executions that do not satisfy this do not count at all.
    pub filter: Option<Prop>,
    /// The event that the race is a fraction of.
    pub match_event: Option<Prop>,
}

impl Program {
    /// Whether an outcome is one the test asks about: it passes the filter and satisfies the condition of an
    /// `exists` or `~exists`, or violates that of a `forall`.
    pub fn is_race(&self, row: &[Const]) -> bool {
        let interesting = self.condition.holds(row) == (self.quantifier != Quantifier::Forall);
        interesting && self.passes(row)
    }

    /// Whether an outcome passes the filter, as it does where there is none.
    pub fn passes(&self, row: &[Const]) -> bool {
        self.filter.as_ref().is_none_or(|filter| filter.holds(row))
    }

    /// Whether an outcome is a match; `None` where the header declares no Match event.
    pub fn is_match(&self, row: &[Const]) -> Option<bool> {
        self.match_event.as_ref().map(|event| self.passes(row) && event.holds(row))
    }

    /// For each location, whether any thread may read or write it. Others have only their addresses used, and keep their initial values.
    pub fn reached(&self) -> Vec<bool> {
        let addresses = || self.threads.iter().flat_map(|thread| &thread.ops).filter_map(Op::address);
        // A register may hold any location's address.
        let anywhere = addresses().any(|address| matches!(address, Address::Register(_)));
        let named = |id| addresses().any(|address| matches!(address, Address::Location(known) if known == id));
        (0..self.locations.len()).map(|id| anywhere || named(id)).collect()
    }

    /// The heading of a column, as herd7 writes it: `1:r0` or `x`.
    pub fn column_name(&self, column: usize) -> String {
        match self.columns[column] {
            Column::Register { thread, register } => {
                format!("{thread}:{}", self.threads[thread].registers[register].name)
            }
            Column::Location(location) => self.locations[location].name.clone(),
        }
    }
}

/// A type of value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Type {
    /// An integer of 8, 16, 32 or 64 bits.
    Int {
        /// Its width.
        bits: u8,
        /// Whether it is signed.
        signed: bool,
    },
    /// The address of a shared variable, or NULL.
    Pointer,
    /// A spinlock; the emitted code gives it 32 bits, as the kernel's queued spinlock has.
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

    /// Whether a value narrower than a register is extended by its sign.
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
    /// Its value when an instance begins.
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
    /// Its registers: the declared ones first, then temporaries.
    pub registers: Vec<Register>,
    /// What it does.
    pub ops: Vec<Op>,
    /// How many labels its jumps use.
    pub labels: usize,
    /// Registers that some path reads before it has written them; they start as 0.
    pub zeroed: Vec<RegisterId>,
    /// Stretches of `ops` that stand for one primitive of the kernel, in order.
    pub composites: Vec<Composite>,
}

/// atomic_add_unless and its kind: `ops` tries a cmpxchg as often as other threads' writes can make it fail, and one time
/// more, which is the kernel's loop. The kernel's own model has one event of its own for it.
#[derive(Debug, Clone, PartialEq)]
pub struct Composite {
    /// Its first operation.
    pub first: usize,
    /// The operation behind its last.
    pub end: usize,
    /// Where the result goes.
    pub dst: RegisterId,
    /// Whether the result is the old value, and not whether it was added to.
    pub fetch: bool,
    /// What is added to.
    pub address: Address,
    /// Its type.
    pub ty: Type,
    /// How much is added.
    pub amount: Operand,
    /// The value that is left alone.
    pub unwanted: Operand,
}

/// A register of a thread.
#[derive(Debug, Clone)]
pub struct Register {
    /// The declared name, or `t0`, `t1`, ... for a temporary.
    pub name: String,
    /// Its type.
    pub ty: Type,
    /// Whether the condition looks at it, so that it must live to the end.
    pub observed: bool,
}

/// A value an operation takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Operand {
    /// A register.
    Register(RegisterId),
    /// A constant.
    Const(Const),
}

/// The memory an operation touches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Address {
    /// A shared variable by name.
    Location(LocationId),
    /// The shared variable whose address is in a register.
    Register(RegisterId),
}

/// One operation. Fields named `ty` give the type of the memory accessed.
#[derive(Debug, Clone, PartialEq)]
#[allow(missing_docs)] // the fields are named for what they are
pub enum Op {
    /// dst = *address
    Load { dst: RegisterId, address: Address, ty: Type, access: Access },
    /// *address = value
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
    /// dst = *address; if dst == expected then *address = new
    Cmpxchg { dst: RegisterId, address: Address, expected: Operand, new: Operand, ty: Type, order: Order },
    /// spin_lock
    SpinLock { address: Address },
    /// spin_unlock
    SpinUnlock { address: Address },
    /// dst = whether the lock was taken
    SpinTrylock { dst: RegisterId, address: Address },
    /// dst = whether the lock is held
    SpinIsLocked { dst: RegisterId, address: Address },
    /// dst = src, of the same width
    Move { dst: RegisterId, src: Operand },
    /// dst = src taken as a value of type `from` and extended to the width of dst
    Extend { dst: RegisterId, src: Operand, from: Type },
    /// dst = op src; `bits` is 32 or 64
    Unary { dst: RegisterId, op: Unary, src: Operand, bits: u8 },
    /// dst = left op right; `bits` is 32 or 64
    Binary { dst: RegisterId, op: Binary, left: Operand, right: Operand, bits: u8, signed: bool },
    /// Go to `target` if left and right compare so.
    Branch { compare: Compare, left: Operand, right: Operand, bits: u8, signed: bool, target: LabelId },
    /// Go to `target`.
    Jump { target: LabelId },
    /// A place to go to; it comes after every jump to it.
    Label(LabelId),
}

/// What calls to [`Op::visit`] are told about a register.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Use {
    /// It is read.
    Read,
    /// It is written.
    Write,
}

impl Op {
    /// The address in memory that it goes to, if it does.
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
            | Op::SpinIsLocked { address, .. } => Some(address),
            _ => None,
        }
    }

    /// Calls `see` for every register this operation reads, then for the one it writes.
    pub fn visit(&self, mut see: impl FnMut(Use, RegisterId)) {
        let (address, reads, write): (Option<Address>, [Option<Operand>; 2], Option<RegisterId>) = match *self {
            Op::Load { dst, address, .. } => (Some(address), [None, None], Some(dst)),
            Op::Store { address, value, .. } | Op::StoreMb { address, value, .. } => {
                (Some(address), [Some(value), None], None)
            }
            Op::Rmw { dst, address, value, .. } => (Some(address), [Some(value), None], dst),
            Op::Cmpxchg { dst, address, expected, new, .. } => (Some(address), [Some(expected), Some(new)], Some(dst)),
            Op::SpinLock { address } | Op::SpinUnlock { address } => (Some(address), [None, None], None),
            Op::SpinTrylock { dst, address } | Op::SpinIsLocked { dst, address } => {
                (Some(address), [None, None], Some(dst))
            }
            Op::Move { dst, src } | Op::Extend { dst, src, .. } | Op::Unary { dst, src, .. } => {
                (None, [Some(src), None], Some(dst))
            }
            Op::Binary { dst, left, right, .. } => (None, [Some(left), Some(right)], Some(dst)),
            Op::Branch { left, right, .. } => (None, [Some(left), Some(right)], None),
            Op::Fence(_) | Op::Jump { .. } | Op::Label(_) => (None, [None, None], None),
        };
        if let Some(Address::Register(register)) = address {
            see(Use::Read, register);
        }
        for operand in reads.into_iter().flatten() {
            if let Operand::Register(register) = operand {
                see(Use::Read, register);
            }
        }
        if let Some(register) = write {
            see(Use::Write, register);
        }
    }

    /// The values this operation takes that are constants.
    pub fn constants(&self) -> impl Iterator<Item = Const> {
        let operands = match *self {
            Op::Store { value, .. } | Op::StoreMb { value, .. } | Op::Rmw { value, .. } => [Some(value), None],
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

/// A column of an outcome: something with a value when an instance is over.
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
    /// True or false whatever happens.
    Const(bool),
    /// A column has a value.
    Equal {
        /// Which column.
        column: usize,
        /// Which value.
        value: Const,
    },
    /// Not.
    Not(Box<Prop>),
    /// Both.
    And(Box<Prop>, Box<Prop>),
    /// Either.
    Or(Box<Prop>, Box<Prop>),
}

impl Prop {
    /// Whether it holds of a row: one value per column.
    pub fn holds(&self, row: &[Const]) -> bool {
        match self {
            Prop::Const(value) => *value,
            Prop::Equal { column, value } => row[*column] == *value,
            Prop::Not(inner) => !inner.holds(row),
            Prop::And(left, right) => left.holds(row) && right.holds(row),
            Prop::Or(left, right) => left.holds(row) || right.holds(row),
        }
    }
}
