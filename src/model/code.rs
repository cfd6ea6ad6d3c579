//! The input of a model: a test as steps (accesses, barriers, dataflow), one list of steps per thread.
//!
//! The same steps represent three things: the kernel model's view of a C test (one event for READ_ONCE), an
//! architecture's view (the instructions that are emitted for it), and tests written in assembly.

use std::ops::Range;
use std::sync::Arc;

use super::event::Tags;
use crate::program::{
    Address, Binary, Column, Compare, Const, LabelId, LocationId, Operand, Prop, Quantifier, RegisterId, RmwOp, Type,
    Unary,
};

/// A test as steps.
#[derive(Debug, Clone)]
pub struct Code {
    /// The test's name.
    pub name: String,
    /// The names of the shared variables.
    pub names: Vec<String>,
    /// The initial values of the shared variables.
    pub init: Vec<Const>,
    /// Set if each byte of a variable is a location of its own, so that accesses of different sizes may overlap.
    pub bytes: Option<Bytes>,
    /// The threads.
    pub threads: Vec<CodeThread>,
    /// The registers and variables that the condition names. A state has one value for each.
    pub columns: Vec<Column>,
    /// The type that the value of each column is converted to at the end. Empty if the values have their types already.
    pub types: Vec<Type>,
    /// The columns that the condition and `locations` name, by number. Only the filter names the others, and
    /// herd7 does not print those.
    pub displayed: Vec<usize>,
    /// The columns that are elements of arrays, with their names.
    pub elements: Vec<(usize, String)>,
    /// The arrays that are displayed as a whole: the name, and the columns of the elements.
    pub arrays: Vec<(String, Vec<usize>)>,
    /// The columns that are displayed by themselves: those that are not only elements of such arrays.
    pub alone: Vec<usize>,
    /// How the condition is quantified.
    pub quantifier: Quantifier,
    /// The condition.
    pub condition: Prop,
    /// The filter clause. States that do not satisfy it are ignored.
    pub filter: Option<Prop>,
}

/// The variables of a test whose accesses have different sizes. Every byte is a location. A variable's bytes follow each
/// other, the lowest address first; memory is little-endian. The first byte of a variable that holds an address has that
/// address as its initial value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bytes {
    /// For each location, the locations of its variable.
    variables: Arc<[Range<LocationId>]>,
}

impl Bytes {
    /// The bytes of variables with these sizes, in order.
    pub fn new(sizes: &[usize]) -> Bytes {
        let mut variables = Vec::new();
        for &size in sizes {
            let first = variables.len();
            variables.extend(std::iter::repeat_n(first..first + size, size));
        }
        Bytes { variables: variables.into() }
    }

    /// The locations of the variable that a location is a byte of.
    pub fn variable(&self, location: LocationId) -> Range<LocationId> {
        self.variables[location].clone()
    }

    /// The location that lies `distance` bytes behind another one; `None` if it is outside of the variable.
    pub fn moved(&self, location: LocationId, distance: i64) -> Option<LocationId> {
        let target = usize::try_from(i64::try_from(location).ok()?.checked_add(distance)?).ok()?;
        self.variables[location].contains(&target).then_some(target)
    }
}

/// A thread as steps.
#[derive(Debug, Clone, Default)]
pub struct CodeThread {
    /// The initial values of the registers.
    pub registers: Vec<Const>,
    /// The names of the registers.
    pub names: Vec<String>,
    /// The steps.
    pub steps: Vec<Step>,
    /// Whether a branch controls only the steps up to the place where its two arms meet, as in the kernel's
    /// model. If false, it controls everything behind it, as on hardware.
    pub scoped: bool,
    /// The ranges of `steps` that stand for one expression whose operands have no order, as in C. Only the kernel's model
    /// has them.
    pub expressions: Vec<Range<usize>>,
}

/// One step.
#[derive(Debug, Clone, PartialEq)]
pub enum Step {
    /// `dst = *address`
    Read {
        /// Where the value goes; `None` if it is discarded.
        dst: Option<RegisterId>,
        /// The address read.
        address: Address,
        /// The type of the access.
        ty: Type,
        /// The tags of the access.
        tags: Tags,
    },
    /// `*address = value`
    Write {
        /// The address written.
        address: Address,
        /// The value.
        value: Operand,
        /// The type of the access.
        ty: Type,
        /// The tags of the access.
        tags: Tags,
    },
    /// A read-modify-write.
    Update(Update),
    /// A store-conditional: it succeeds or fails, and reports which.
    StoreConditional {
        /// The register with the result: 0 for success, 1 for failure.
        status: RegisterId,
        /// What values computed from the status depend on.
        carries: StatusOf,
        /// The address written.
        address: Address,
        /// The value.
        value: Operand,
        /// The type of the access.
        ty: Type,
        /// The tags of the access.
        tags: Tags,
    },
    /// spin_is_locked in the kernel's model: `dst = (*address != 0)`
    IsLocked {
        /// Where the answer goes.
        dst: RegisterId,
        /// The lock.
        address: Address,
    },
    /// A barrier.
    Fence(Tags),
    /// synchronize_srcu in the kernel's model
    GracePeriod {
        /// The SRCU domain.
        domain: Address,
    },
    /// `dst = src`
    Move {
        /// The target register.
        dst: RegisterId,
        /// The source.
        src: Operand,
        /// The type that the value is converted to.
        ty: Type,
    },
    /// `dst = op src`
    Unary {
        /// The target register.
        dst: RegisterId,
        /// The operation.
        op: Unary,
        /// The operand.
        src: Operand,
        /// The type of the result.
        ty: Type,
    },
    /// `dst = left op right`
    Binary {
        /// The target register.
        dst: RegisterId,
        /// The operation.
        op: Binary,
        /// The left operand.
        left: Operand,
        /// The right operand.
        right: Operand,
        /// The type of the computation and of its result.
        ty: Type,
    },
    /// `dst = then` if a comparison holds, else `dst = otherwise`. The result has a "pick" dependency on what was
    /// compared.
    Select {
        /// The target register.
        dst: RegisterId,
        /// The comparison.
        compare: Compare,
        /// The left operand of the comparison.
        left: Operand,
        /// The right operand of the comparison.
        right: Operand,
        /// The type of the comparison.
        ty: Type,
        /// The value if it holds.
        then: Operand,
        /// The value if it does not hold.
        otherwise: Operand,
    },
    /// A conditional jump to `target`.
    Branch {
        /// The comparison that must hold for the jump.
        compare: Compare,
        /// The left operand.
        left: Operand,
        /// The right operand.
        right: Operand,
        /// The type of the comparison.
        ty: Type,
        /// The target of the jump.
        target: LabelId,
    },
    /// An unconditional jump to `target`.
    Jump(LabelId),
    /// The position of a label.
    Label(LabelId),
}

/// A read-modify-write as one step.
#[derive(Debug, Clone, PartialEq)]
pub struct Update {
    /// Where the result goes; `None` if it is discarded.
    pub dst: Option<RegisterId>,
    /// What the result is.
    pub gives: UpdateResult,
    /// The address that is updated.
    pub address: Address,
    /// The type of the accesses.
    pub ty: Type,
    /// How the value changes.
    pub change: Change,
    /// The tags of the read if the write happens.
    pub read: Tags,
    /// The tags of the read if the write does not happen.
    pub failed: Tags,
    /// The tags of the write.
    pub write: Tags,
    /// The barrier behind, executed only if the write happens.
    pub after: Option<Tags>,
    /// What a branch inside the update depends on. That branch controls everything behind the update.
    pub branch: BranchOn,
    /// Whether the update is repeated until the write happens. Failed attempts then make no events.
    pub until_done: bool,
    /// Whether the result of an update that wrote has only a "pick" dependency on the value read. That is so
    /// for a compare-and-swap on AArch64: it only compares the value read.
    pub picks: bool,
}

/// How an update changes the value.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Change {
    /// Applies an operation with an operand.
    Op(RmwOp, Operand),
    /// Writes the old value if it compares in this way with the operand, else the operand: the larger or the smaller of
    /// the two, as signed or unsigned numbers of the access.
    Extreme(Compare, Operand),
    /// Writes `new` if the value equals `expected`.
    IfEqual {
        /// The value that the location must have.
        expected: Operand,
        /// The value written.
        new: Operand,
    },
    /// Adds `amount` if the value is not `unwanted`.
    Unless {
        /// The value that the location must not have.
        unwanted: Operand,
        /// The amount added.
        amount: Operand,
    },
}

/// What an update returns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UpdateResult {
    /// The value before the update.
    Old,
    /// The value after the update.
    New,
    /// Whether the value after the update is 0.
    NewIsZero,
    /// Whether the value after the update is negative.
    NewIsNegative,
    /// Whether the write happened.
    Done,
}

/// What the status of a store-conditional depends on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StatusOf {
    /// Nothing (Armv8).
    Nothing,
    /// The store (RISC-V).
    Store,
    /// The registers that the store and its load-reserve use, and not the value that the load-reserve reads (POWER, as in herd7).
    Registers,
}

/// What the branches inside an update depend on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BranchOn {
    /// There are no branches.
    Nothing,
    /// The value read.
    Read,
    /// The value read, and the status of the store-conditional on machines where that is a dependency.
    Both,
}

impl Code {
    /// Whether a state is a race: it passes the filter, and it satisfies the condition of an `exists` or `~exists`, or
    /// violates that of a `forall`.
    pub fn is_race(&self, state: &[Const]) -> bool {
        let asked = self.condition.holds(state) != (self.quantifier == Quantifier::Forall);
        asked && self.passes(state)
    }

    /// Whether a state passes the filter. Without a filter every state passes.
    pub fn passes(&self, state: &[Const]) -> bool {
        self.filter.as_ref().is_none_or(|filter| filter.holds(state))
    }

    /// The name of a column: `1:r0`, or `x`.
    pub fn column_name(&self, column: usize) -> String {
        match self.columns[column] {
            Column::Register { thread, register } => format!("{thread}:{}", self.threads[thread].names[register]),
            Column::Location(location) => {
                let element = self.elements.iter().find(|(known, _)| *known == column);
                element.map_or_else(|| self.names[location].clone(), |(_, name)| name.clone())
            }
        }
    }
}

impl CodeThread {
    /// The index of the step with each label, by label. A label without a step has the number of steps.
    pub fn positions(&self) -> Vec<usize> {
        let mut positions = Vec::new();
        for (at, step) in self.steps.iter().enumerate() {
            if let Step::Label(label) = step {
                positions.resize(positions.len().max(label + 1), self.steps.len());
                positions[*label] = at;
            }
        }
        positions
    }

    /// For every step, its immediate postdominator: the next step that every path from it passes. Only for
    /// threads whose jumps all go forward, except that a jump to the label just before it ends a path whose loop was
    /// followed often enough: for it, the step behind.
    pub fn joins(&self) -> Vec<usize> {
        let end = self.steps.len();
        let positions = self.positions();
        let position = |label: &LabelId| positions.get(*label).copied().unwrap_or(end);
        let mut joins = vec![end; end + 1];
        for (at, step) in self.steps.iter().enumerate().rev() {
            joins[at] = match step {
                Step::Jump(target) => position(target).max(at + 1),
                Step::Branch { target, .. } => {
                    let (mut a, mut b) = (at + 1, position(target));
                    while a != b {
                        if a < b {
                            a = joins[a];
                        } else {
                            b = joins[b];
                        }
                    }
                    a
                }
                _ => at + 1,
            };
        }
        joins
    }
}
