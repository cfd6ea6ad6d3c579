//! Translates a test into events. A `Machine` says which events each kernel primitive becomes.
//!
//! There is one machine per architecture, beside its emitter (`crate::isa`), and one for the kernel's own model
//! (`lkmm`).

mod lkmm;

use super::code::{BranchOn, Change, Code, CodeThread, Step, Update, UpdateResult};
use super::event::Tags;
use super::{Model, ModelError, Result};
use crate::program::{
    Access, Address, Composite, Const, Fence, Op, Operand, Order, Program, Rcu, RegisterId, RmwOp, RmwResult, Thread,
    Type,
};

/// What an update is used for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum UpdateKind {
    /// xchg
    Exchange(Order),
    /// atomic_fetch_add, atomic_add_return and their family
    Fetch(Order),
    /// atomic_add and its family: no value is returned
    NoReturn,
    /// cmpxchg
    Compare(Order),
    /// spin_lock
    Lock,
    /// spin_trylock
    Trylock,
}

/// The events of one update.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Parts {
    /// The barrier in front that is always executed.
    pub enter: Option<Tags>,
    /// Tags of the read if the write happens.
    pub read: Tags,
    /// Tags of the read if the write does not happen.
    pub failed: Tags,
    /// Tags of the write.
    pub write: Tags,
    /// The barrier behind that is executed only if the write happens.
    pub after: Option<Tags>,
    /// What the branches inside the update depend on.
    pub branch: Option<BranchOn>,
    /// Whether the result of an update that wrote has only a "pick" dependency on the value read.
    pub picks: bool,
}

/// The events that the kernel's primitives become on one machine.
pub(crate) trait Machine {
    /// Whether a branch controls only the steps up to the place where its two arms meet.
    const SCOPED: bool = false;

    /// The tags of a barrier; `None` if it takes no instruction.
    fn fence(&self, fence: Fence) -> Option<Tags>;
    /// The tags of a load, and the barrier behind it.
    fn load(&self, access: Access) -> (Tags, Option<Tags>);
    /// The barrier in front of a store, and the tags of the store.
    fn store(&self, access: Access) -> (Option<Tags>, Tags);
    /// smp_store_mb as one locked instruction; `None` if it is a store and a barrier.
    fn store_mb(&self) -> Option<Parts> {
        None
    }
    /// The ordering of a read-modify-write that the kernel's text has, if it differs from that of the name: operation,
    /// result, and whether it has 64 bits.
    fn order(&self, _kind: (RmwOp, RmwResult, bool), order: Order) -> Order {
        order
    }
    /// The parts of a read-modify-write.
    fn update(&self, used: UpdateKind) -> Parts;
    /// atomic_add_unless as one update; `None` if it is a loop of simpler primitives.
    fn add_unless(&self) -> Option<Parts> {
        None
    }
    /// spin_unlock: the barrier in front, and the tags of the store.
    fn unlock(&self) -> (Option<Tags>, Tags) {
        self.store(Access::Release)
    }
    /// spin_unlock as one update that replaces 1 by 0; `None` if it is a store.
    fn unlock_update(&self) -> Option<Parts> {
        None
    }
    /// The tags of the read with which spin_unlock finds the value to store; `None` if it does not read.
    fn unlock_read(&self) -> Option<Tags> {
        None
    }
    /// Whether spin_is_locked is an event of its own kind.
    fn is_locked_is_special(&self) -> bool {
        false
    }
}

/// Translates a test for the kernel's model and for sequential consistency: the C view.
///
/// # Errors
/// If the test has a non-temporal store, or one of the primitives that only the kernel's model has and the model is another.
pub(crate) fn c_view(program: &Program, model: Model) -> Result<Code> {
    if model != Model::Lkmm {
        refuse_grace_periods(program)?;
    }
    refuse_nontemporal(program)?;
    let operands = if model == Model::Lkmm { Operands::Unordered } else { Operands::InOrder };
    Ok(translate(program, &lkmm::Lkmm, operands))
}

/// Translates a test into the events of a machine.
///
/// # Errors
/// If the test has a non-temporal store, which the models do not cover, or one of the primitives that only the kernel's model has.
pub(crate) fn events<M: Machine>(program: &Program, machine: &M) -> Result<Code> {
    refuse_grace_periods(program)?;
    refuse_nontemporal(program)?;
    Ok(translate(program, machine, Operands::InOrder))
}

fn refuse_nontemporal(program: &Program) -> Result<()> {
    let nontemporal = |op: &Op| matches!(op, Op::Store { access: Access::NonTemporal, .. });
    if program.threads.iter().any(|thread| thread.ops.iter().any(nontemporal)) {
        return Err(ModelError::NotModelled("non-temporal stores are outside of the published models"));
    }
    Ok(())
}

fn refuse_grace_periods(program: &Program) -> Result<()> {
    match program.judged_only() {
        Some(_) => Err(ModelError::NotModelled("only the kernel's model has grace periods and SRCU")),
        None => Ok(()),
    }
}

/// The accesses of a test as sequential consistency sees them: one event for most primitives. A non-temporal
/// store is an ordinary store here. Callers use this to ask which accesses there are, not what orders them.
pub fn accesses(program: &Program) -> Code {
    translate(program, &lkmm::Lkmm, Operands::InOrder)
}

/// Whether the operands of an expression have an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Operands {
    /// From left to right, as in the emitted code.
    InOrder,
    /// They have none, as in C.
    Unordered,
}

fn translate<M: Machine>(program: &Program, machine: &M, operands: Operands) -> Code {
    Code {
        name: program.name.clone(),
        names: program.locations.iter().map(|location| location.name.clone()).collect(),
        init: program.locations.iter().map(|location| location.init).collect(),
        bytes: None,
        threads: program.threads.iter().map(|thread| Translation::of(thread, machine, operands)).collect(),
        columns: program.columns.clone(),
        types: Vec::new(),
        displayed: program.displayed.clone(),
        alone: program.alone.clone(),
        elements: Vec::new(),
        arrays: program.arrays.clone(),
        quantifier: program.quantifier,
        condition: program.condition.clone(),
        filter: program.filter.clone(),
    }
}

struct Translation<'a, M> {
    thread: &'a Thread,
    machine: &'a M,
    steps: Vec<Step>,
}

impl<'a, M: Machine> Translation<'a, M> {
    fn of(thread: &'a Thread, machine: &'a M, operands: Operands) -> CodeThread {
        let mut translation = Translation { thread, machine, steps: Vec::new() };
        let mut at = 0;
        // The expressions that are not translated yet.
        let mut next = if operands == Operands::Unordered { thread.expressions.as_slice() } else { &[] };
        let mut expressions = Vec::with_capacity(next.len());
        let mut first = 0;
        while let Some(op) = thread.ops.get(at) {
            if next.first().is_some_and(|expression| expression.start == at) {
                first = translation.steps.len();
            }
            match (thread.composites.iter().find(|composite| composite.first == at), machine.add_unless()) {
                (Some(composite), Some(parts)) => {
                    translation.add_unless(composite, parts);
                    at = composite.end;
                }
                _ => {
                    translation.op(op);
                    at += 1;
                }
            }
            if let Some(([expression], others)) = next.split_first_chunk()
                && expression.end == at
            {
                expressions.push(first..translation.steps.len());
                next = others;
            }
        }
        CodeThread {
            registers: vec![Const::Int(0); thread.registers.len()],
            names: thread.registers.iter().map(|register| register.name.clone()).collect(),
            steps: translation.steps,
            scoped: M::SCOPED,
            expressions,
        }
    }

    fn fence(&mut self, fence: Option<Tags>) {
        self.steps.extend(fence.map(Step::Fence));
    }

    fn ty(&self, register: RegisterId) -> Type {
        self.thread.registers[register].ty
    }

    fn op(&mut self, op: &Op) {
        match *op {
            Op::Load { dst, address, ty, access } => {
                let (tags, after) = self.machine.load(access);
                self.steps.push(Step::Read { dst: Some(dst), address, ty, tags });
                self.fence(after);
            }
            Op::Store { address, value, ty, access } => {
                let (before, tags) = self.machine.store(access);
                self.fence(before);
                self.steps.push(Step::Write { address, value, ty, tags });
            }
            Op::StoreMb { address, value, ty } => match self.machine.store_mb() {
                Some(parts) => self.update(None, address, ty, Change::Op(RmwOp::Xchg, value), UpdateResult::Old, parts),
                None => {
                    let (before, tags) = self.machine.store(Access::Once);
                    self.fence(before);
                    self.steps.push(Step::Write { address, value, ty, tags });
                    self.fence(self.machine.fence(Fence::Mb));
                }
            },
            Op::Fence(fence) => self.fence(self.machine.fence(fence)),
            Op::Rmw { dst, address, value, ty, op, result, order } => {
                let used = match (op, result) {
                    (RmwOp::Xchg, _) => UpdateKind::Exchange(order),
                    (_, RmwResult::None) => UpdateKind::NoReturn,
                    _ => UpdateKind::Fetch(self.machine.order((op, result, ty.bytes() == 8), order)),
                };
                let gives = match result {
                    RmwResult::None | RmwResult::Old => UpdateResult::Old,
                    RmwResult::New => UpdateResult::New,
                    RmwResult::NewIsZero => UpdateResult::NewIsZero,
                    RmwResult::NewIsNegative => UpdateResult::NewIsNegative,
                };
                self.update(dst, address, ty, Change::Op(op, value), gives, self.machine.update(used));
            }
            Op::Cmpxchg { dst, address, expected, new, ty, order } => {
                let change = Change::IfEqual { expected, new };
                self.update(
                    Some(dst),
                    address,
                    ty,
                    change,
                    UpdateResult::Old,
                    self.machine.update(UpdateKind::Compare(order)),
                );
            }
            Op::SpinLock { address } => {
                self.update(
                    None,
                    address,
                    Type::Spinlock,
                    TAKE,
                    UpdateResult::Done,
                    self.machine.update(UpdateKind::Lock),
                );
                // spin_lock loops until it takes the lock.
                if let Some(Step::Update(update)) = self.steps.last_mut() {
                    update.until_done = true;
                }
            }
            Op::SpinTrylock { dst, address } => {
                let parts = self.machine.update(UpdateKind::Trylock);
                self.update(Some(dst), address, Type::Spinlock, TAKE, UpdateResult::Done, parts);
            }
            Op::SpinUnlock { address } => {
                if let Some(parts) = self.machine.unlock_update() {
                    self.update(None, address, Type::Spinlock, RELEASE, UpdateResult::Done, parts);
                    return;
                }
                if let Some(tags) = self.machine.unlock_read() {
                    self.steps.push(Step::Read { dst: None, address, ty: Type::Spinlock, tags });
                }
                let (before, tags) = self.machine.unlock();
                self.fence(before);
                let value = Operand::Const(Const::Int(0));
                self.steps.push(Step::Write { address, value, ty: Type::Spinlock, tags });
            }
            Op::SpinIsLocked { dst, address } if self.machine.is_locked_is_special() => {
                self.steps.push(Step::IsLocked { dst, address });
            }
            Op::SpinIsLocked { dst, address } => {
                let (tags, after) = self.machine.load(Access::Once);
                self.steps.push(Step::Read { dst: Some(dst), address, ty: Type::Spinlock, tags });
                self.fence(after);
                let (left, right) = (Operand::Register(dst), Operand::Const(Const::Int(0)));
                let op = crate::program::Binary::Compare(crate::program::Compare::Ne);
                self.steps.push(Step::Binary { dst, op, left, right, ty: Type::INT });
            }
            Op::RcuFence(Rcu::MbAfterSrcuReadUnlock) => self.fence(Some(Tags::AFTER_SRCU_READ_UNLOCK)),
            Op::RcuFence(_) => self.fence(Some(Tags::SYNC_RCU)),
            Op::SrcuLock { dst, address } => {
                self.steps.push(Step::Read { dst: Some(dst), address, ty: Type::INT, tags: Tags::SRCU_LOCK });
            }
            Op::SrcuUnlock { address, value } => {
                self.steps.push(Step::Write { address, value, ty: Type::INT, tags: Tags::SRCU_UNLOCK });
            }
            Op::SynchronizeSrcu { address } => self.steps.push(Step::GracePeriod { domain: address }),
            Op::Move { dst, src } => self.steps.push(Step::Move { dst, src, ty: self.ty(dst) }),
            Op::Extend { dst, src, from } => self.steps.push(Step::Move { dst, src, ty: from }),
            Op::Unary { dst, op, src, bits } => {
                let ty = Type::Int { bits, signed: self.ty(dst).signed() };
                self.steps.push(Step::Unary { dst, op, src, ty });
            }
            Op::Binary { dst, op, left, right, bits, signed } => {
                self.steps.push(Step::Binary { dst, op, left, right, ty: Type::Int { bits, signed } });
            }
            Op::Branch { compare, left, right, bits, signed, target } => {
                self.steps.push(Step::Branch { compare, left, right, ty: Type::Int { bits, signed }, target });
            }
            Op::Jump { target } => self.steps.push(Step::Jump(target)),
            Op::Label(label) => self.steps.push(Step::Label(label)),
        }
    }

    fn add_unless(&mut self, composite: &Composite, parts: Parts) {
        let Composite { dst, fetch, address, ty, amount, unwanted, .. } = *composite;
        let gives = if fetch { UpdateResult::Old } else { UpdateResult::Done };
        self.update(Some(dst), address, ty, Change::Unless { unwanted, amount }, gives, parts);
    }

    fn update(
        &mut self,
        dst: Option<RegisterId>,
        address: Address,
        ty: Type,
        change: Change,
        gives: UpdateResult,
        parts: Parts,
    ) {
        self.fence(parts.enter);
        self.steps.push(Step::Update(Update {
            dst,
            gives,
            address,
            ty,
            change,
            read: parts.read,
            failed: parts.failed,
            write: parts.write,
            after: parts.after,
            branch: parts.branch.unwrap_or(BranchOn::Nothing),
            until_done: false,
            picks: parts.picks,
        }));
    }
}

/// The change that takes a lock: 0 becomes 1.
const TAKE: Change = Change::IfEqual { expected: Operand::Const(Const::Int(0)), new: Operand::Const(Const::Int(1)) };

/// The change of an unlock that is one update: 1 becomes 0.
const RELEASE: Change = Change::IfEqual { expected: Operand::Const(Const::Int(1)), new: Operand::Const(Const::Int(0)) };
