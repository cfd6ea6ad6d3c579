//! What a model runs: a test as steps of memory accesses, barriers and dataflow, one list per thread.
//!
//! The same steps carry the kernel model's view of a test (one event for READ_ONCE), an architecture's (the instructions
//! that are emitted for it), and assembly tests as they are written.

use super::event::Tags;
use crate::program::{
    Address, Binary, Column, Compare, Const, LabelId, Operand, Prop, Quantifier, RegisterId, RmwOp, Type, Unary,
};

/// A test in steps.
#[derive(Debug, Clone)]
pub struct Code {
    /// The test's name.
    pub name: String,
    /// The shared variables' names.
    pub names: Vec<String>,
    /// Their values at the beginning.
    pub init: Vec<Const>,
    /// The threads.
    pub threads: Vec<CodeThread>,
    /// What a state is: the registers and variables that the condition looks at.
    pub columns: Vec<Column>,
    /// How the condition quantifies.
    pub quantifier: Quantifier,
    /// The condition.
    pub condition: Prop,
    /// States that do not satisfy it are left out.
    pub filter: Option<Prop>,
}

/// A thread in steps.
#[derive(Debug, Clone, Default)]
pub struct CodeThread {
    /// The registers' values at the beginning.
    pub registers: Vec<Const>,
    /// The registers' names.
    pub names: Vec<String>,
    /// What it does.
    pub steps: Vec<Step>,
    /// Whether a branch controls only what stands between it and the place where its two ways meet again, as in the
    /// kernel's model, and not everything behind it, as on hardware.
    pub scoped: bool,
}

/// One step.
#[derive(Debug, Clone, PartialEq)]
pub enum Step {
    /// dst = *address
    Read {
        /// Where the value goes.
        dst: Option<RegisterId>,
        /// What is read.
        address: Address,
        /// Its type.
        ty: Type,
        /// What is special about the access.
        tags: Tags,
    },
    /// *address = value
    Write {
        /// What is written.
        address: Address,
        /// The value.
        value: Operand,
        /// Its type.
        ty: Type,
        /// What is special about the access.
        tags: Tags,
    },
    /// A read and a write that nothing comes between.
    Update(Update),
    /// A store-conditional: it is done or it fails, and says which.
    StoreConditional {
        /// Where that is said: 0 when it was done, 1 when it failed.
        status: RegisterId,
        /// Whether what depends on the status depends on this store (RISC-V: yes; Armv8: no).
        carries: bool,
        /// What is written.
        address: Address,
        /// The value.
        value: Operand,
        /// Its type.
        ty: Type,
        /// What is special about the access.
        tags: Tags,
    },
    /// spin_is_locked, in the kernel's model: dst = (*address != 0)
    IsLocked {
        /// Where the answer goes.
        dst: RegisterId,
        /// The lock.
        address: Address,
    },
    /// A barrier.
    Fence(Tags),
    /// dst = src
    Move {
        /// Where it goes.
        dst: RegisterId,
        /// What.
        src: Operand,
        /// Taken as this type.
        ty: Type,
    },
    /// dst = op src
    Unary {
        /// Where it goes.
        dst: RegisterId,
        /// Which operation.
        op: Unary,
        /// On what.
        src: Operand,
        /// The result's type.
        ty: Type,
    },
    /// dst = left op right
    Binary {
        /// Where it goes.
        dst: RegisterId,
        /// Which operation.
        op: Binary,
        /// The left side.
        left: Operand,
        /// The right side.
        right: Operand,
        /// The type in which it is computed; that of the result too.
        ty: Type,
    },
    /// Go to `target` if left and right compare so.
    Branch {
        /// How.
        compare: Compare,
        /// The left side.
        left: Operand,
        /// The right side.
        right: Operand,
        /// The type in which they are compared.
        ty: Type,
        /// Where to.
        target: LabelId,
    },
    /// Go to `target`.
    Jump(LabelId),
    /// A place to go to.
    Label(LabelId),
}

/// A read-modify-write as one step.
#[derive(Debug, Clone, PartialEq)]
pub struct Update {
    /// Where the result goes.
    pub dst: Option<RegisterId>,
    /// What the result is.
    pub gives: Gives,
    /// What is updated.
    pub address: Address,
    /// Its type.
    pub ty: Type,
    /// How.
    pub change: Change,
    /// What is special about the read when the write happens.
    pub read: Tags,
    /// What is special about the read when it does not.
    pub failed: Tags,
    /// What is special about the write.
    pub write: Tags,
    /// The barrier in front, when the write happens.
    pub before: Option<Tags>,
    /// The barrier behind, when the write happens.
    pub after: Option<Tags>,
    /// What a branch within it depends on, so that all that follows is controlled by it.
    pub branch: BranchOn,
    /// Whether it is tried until the write happens, so that failures are not looked at.
    pub until_done: bool,
    /// Whether a result of an update that wrote was only compared with what was read, and depends on it no more than that:
    /// compare-and-swap of AArch64.
    pub picks: bool,
}

/// How an update changes the value.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Change {
    /// By an operation.
    Op(RmwOp, Operand),
    /// To `new`, if it was `expected`.
    IfEqual {
        /// What it must have been.
        expected: Operand,
        /// What it becomes.
        new: Operand,
    },
    /// By adding `amount`, if it was not `unwanted`.
    Unless {
        /// What it must not have been.
        unwanted: Operand,
        /// What is added.
        amount: Operand,
    },
}

/// What an update gives back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Gives {
    /// The value before.
    Old,
    /// The value after.
    New,
    /// Whether the value after is 0.
    NewIsZero,
    /// Whether the value after is negative.
    NewIsNegative,
    /// Whether the write happened.
    Done,
}

/// What the branches inside an update depend on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BranchOn {
    /// There are none.
    Nothing,
    /// On the value read.
    Read,
    /// On the store-conditional's status, on machines where that is a dependency.
    Write,
    /// On both.
    Both,
}

impl CodeThread {
    /// Where a label stands.
    pub fn position(&self, label: LabelId) -> usize {
        self.steps.iter().position(|step| *step == Step::Label(label)).unwrap_or(self.steps.len())
    }

    /// For every step the next one that every way from it comes through: its immediate postdominator. Jumps go forward.
    pub fn joins(&self) -> Vec<usize> {
        let end = self.steps.len();
        let mut joins = vec![end; end + 1];
        for (at, step) in self.steps.iter().enumerate().rev() {
            joins[at] = match step {
                Step::Jump(target) => self.position(*target),
                Step::Branch { target, .. } => {
                    let (mut a, mut b) = (at + 1, self.position(*target));
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
