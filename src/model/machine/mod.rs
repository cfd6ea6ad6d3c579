//! A test as the events that its emitted instructions make: per architecture what each kernel primitive becomes
//! (docs/kernel.md, section 5), and once more as the kernel's own model has it.
//!
//! [`crate::codegen`] emits the instructions; tests hold its code against what stands here, instruction by instruction.

mod aarch64;
mod lkmm;
mod powerpc64le;
mod riscv64;
mod x86_64;

use super::code::{BranchOn, Change, Code, CodeThread, Gives, Step, Update};
use super::event::Tags;
use super::{Model, ModelError, Result};
use crate::arch::{Arch, Atomics};
use crate::program::{
    Access, Address, Composite, Const, Fence, Op, Operand, Order, Program, RegisterId, RmwOp, RmwResult, Thread, Type,
};

/// An update, by what it is used for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Use {
    /// xchg
    Exchange(Order),
    /// atomic_fetch_add, atomic_add_return and their family
    Fetch(Order),
    /// atomic_add and its family: nothing is given back
    NoReturn,
    /// cmpxchg
    Compare(Order),
    /// spin_lock
    Lock,
    /// spin_trylock
    Trylock,
}

/// The events of an update.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Parts {
    /// A barrier in front, in any case.
    pub enter: Option<Tags>,
    /// A barrier in front, if the write happens.
    pub before: Option<Tags>,
    /// The read when the write happens.
    pub read: Tags,
    /// The read when it does not.
    pub failed: Tags,
    /// The write.
    pub write: Tags,
    /// A barrier behind, if the write happens.
    pub after: Option<Tags>,
    /// What branches inside depend on.
    pub branch: Option<BranchOn>,
    /// Whether the result of one that wrote was only compared with what was read.
    pub picks: bool,
}

/// What the kernel's primitives become.
pub(crate) trait Machine {
    /// Whether a branch controls only what stands between it and the place where its ways meet.
    const SCOPED: bool = false;

    /// A barrier; `None` where it takes no instruction.
    fn fence(&self, fence: Fence) -> Option<Tags>;
    /// A load, and the barrier behind it.
    fn load(&self, access: Access) -> (Tags, Option<Tags>);
    /// A store, and the barrier in front of it.
    fn store(&self, access: Access) -> (Option<Tags>, Tags);
    /// smp_store_mb as one locked instruction, where it is one.
    fn store_mb(&self) -> Option<Parts> {
        None
    }
    /// A read-modify-write.
    fn update(&self, used: Use) -> Parts;
    /// atomic_add_unless as one event, where it is one.
    fn add_unless(&self) -> Option<Parts> {
        None
    }
    /// spin_unlock: a store, and the barrier in front of it.
    fn unlock(&self) -> (Option<Tags>, Tags) {
        self.store(Access::Release)
    }
    /// spin_is_locked as an event of its own.
    fn is_locked_is_special(&self) -> bool {
        false
    }
}

/// A test as a model sees it: as the instructions of the model's architecture, or as the kernel's model and sequential
/// consistency see the C. `atomics` matters on Armv8 alone.
///
/// # Errors
/// If it has a non-temporal store, which is outside of these models.
pub fn code(program: &Program, model: Model, atomics: Atomics) -> Result<Code> {
    let nontemporal = |op: &Op| matches!(op, Op::Store { access: Access::NonTemporal, .. });
    if program.threads.iter().any(|thread| thread.ops.iter().any(nontemporal)) {
        return Err(ModelError::NotModelled("non-temporal stores are outside of the published models"));
    }
    Ok(match model.arch() {
        None => translate(program, &lkmm::Lkmm),
        Some(Arch::X86_64) => translate(program, &x86_64::X86),
        Some(Arch::Aarch64) => translate(program, &aarch64::Aarch64(atomics)),
        Some(Arch::Powerpc64le) => translate(program, &powerpc64le::Power),
        Some(Arch::Riscv64gc) => translate(program, &riscv64::Riscv),
    })
}

/// A test's accesses as sequential consistency sees them: one event for most primitives. A non-temporal store is a store like any other here,
/// for whoever asks which accesses there are and not what orders them.
pub fn accesses(program: &Program) -> Code {
    translate(program, &lkmm::Lkmm)
}

fn translate<M: Machine>(program: &Program, machine: &M) -> Code {
    Code {
        name: program.name.clone(),
        names: program.locations.iter().map(|location| location.name.clone()).collect(),
        init: program.locations.iter().map(|location| location.init).collect(),
        threads: program.threads.iter().map(|thread| Translation::of(thread, machine)).collect(),
        columns: program.columns.clone(),
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
    fn of(thread: &'a Thread, machine: &'a M) -> CodeThread {
        let mut translation = Translation { thread, machine, steps: Vec::new() };
        let mut at = 0;
        while let Some(op) = thread.ops.get(at) {
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
        }
        CodeThread {
            registers: vec![Const::Int(0); thread.registers.len()],
            names: thread.registers.iter().map(|register| register.name.clone()).collect(),
            steps: translation.steps,
            scoped: M::SCOPED,
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
                Some(parts) => self.update(None, address, ty, Change::Op(RmwOp::Xchg, value), Gives::Old, parts),
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
                    (RmwOp::Xchg, _) => Use::Exchange(order),
                    (_, RmwResult::None) => Use::NoReturn,
                    _ => Use::Fetch(order),
                };
                let gives = match result {
                    RmwResult::None | RmwResult::Old => Gives::Old,
                    RmwResult::New => Gives::New,
                    RmwResult::NewIsZero => Gives::NewIsZero,
                    RmwResult::NewIsNegative => Gives::NewIsNegative,
                };
                self.update(dst, address, ty, Change::Op(op, value), gives, self.machine.update(used));
            }
            Op::Cmpxchg { dst, address, expected, new, ty, order } => {
                let change = Change::IfEqual { expected, new };
                self.update(Some(dst), address, ty, change, Gives::Old, self.machine.update(Use::Compare(order)));
            }
            Op::SpinLock { address } => {
                self.update(None, address, Type::Spinlock, TAKE, Gives::Done, self.machine.update(Use::Lock));
                // The loop around it ends when it is taken.
                if let Some(Step::Update(update)) = self.steps.last_mut() {
                    update.until_done = true;
                }
            }
            Op::SpinTrylock { dst, address } => {
                let parts = self.machine.update(Use::Trylock);
                self.update(Some(dst), address, Type::Spinlock, TAKE, Gives::Done, parts);
            }
            Op::SpinUnlock { address } => {
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
        let gives = if fetch { Gives::Old } else { Gives::Done };
        self.update(Some(dst), address, ty, Change::Unless { unwanted, amount }, gives, parts);
    }

    fn update(
        &mut self,
        dst: Option<RegisterId>,
        address: Address,
        ty: Type,
        change: Change,
        gives: Gives,
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
            before: parts.before,
            after: parts.after,
            branch: parts.branch.unwrap_or(BranchOn::Nothing),
            until_done: false,
            picks: parts.picks,
        }));
    }
}

/// Taking a lock.
const TAKE: Change = Change::IfEqual { expected: Operand::Const(Const::Int(0)), new: Operand::Const(Const::Int(1)) };
