//! The operands of an expression of C, which have no order.
//!
//! C does not say which operand of an expression, or which argument of a call, is evaluated first. herd7 has no `po` between
//! them. An access comes after those that its address or its value is computed from, and `a && b` and `a || b` evaluate their
//! right side after the left one.
//!
//! As in herd7, what uses the value of an update comes after its read, but not after its write, unless it is an operand of
//! another update that is not an arithmetic one.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use super::code::{Change, CodeThread, Step, Update};
use super::event::{Event, Kind};
use crate::program::{Address, LabelId, Operand, RegisterId, RmwOp};

/// The pairs of accesses of one expression that program order does not relate, the earlier step first.
#[derive(Debug, Default)]
pub(super) struct Unordered(BTreeSet<(Access, Access)>);

/// The step of an access, and whether it is the write of an update.
type Access = (usize, bool);

impl Unordered {
    /// The pairs of a thread.
    pub fn of(code: &CodeThread) -> Unordered {
        let mut pairs = BTreeSet::new();
        for expression in &code.expressions {
            Expression::of(code, expression.clone()).add_pairs(&mut pairs);
        }
        Unordered(pairs)
    }

    /// The pairs of events of a path that program order does not relate, by number.
    pub fn among(&self, events: &[Event]) -> Vec<(usize, usize)> {
        if self.0.is_empty() {
            return Vec::new();
        }
        let access = |event: &Event| (event.step, matches!(event.kind, Kind::Write(..)));
        let mut pairs = Vec::new();
        for (number, event) in events.iter().enumerate() {
            let earlier = events[..number].iter().enumerate();
            let related = earlier.filter(|(_, earlier)| self.0.contains(&(access(earlier), access(event))));
            pairs.extend(related.map(|(earlier, _)| (earlier, number)));
        }
        pairs
    }
}

/// What a value is computed from.
#[derive(Debug, Clone, Default)]
struct Origin {
    /// The accesses that it comes after.
    value: BTreeSet<Access>,
    /// These, and the writes of the updates among them.
    whole: BTreeSet<Access>,
}

impl Origin {
    fn add(&mut self, other: &Origin) {
        self.value.extend(&other.value);
        self.whole.extend(&other.whole);
    }
}

/// One expression.
#[derive(Default)]
struct Expression {
    registers: BTreeMap<RegisterId, Origin>,
    /// The left sides of `&&` and `||` that the following steps are behind, each with the label where that ends.
    left: Vec<(Origin, LabelId)>,
    /// Each access, with those that come before it.
    accesses: Vec<(Access, BTreeSet<Access>)>,
}

impl Expression {
    fn of(code: &CodeThread, steps: Range<usize>) -> Expression {
        let mut expression = Expression::default();
        steps.for_each(|at| expression.step(at, &code.steps[at]));
        expression
    }

    fn add_pairs(&self, pairs: &mut BTreeSet<(Access, Access)>) {
        for (number, (access, before)) in self.accesses.iter().enumerate() {
            let earlier = self.accesses[..number].iter().map(|(earlier, _)| *earlier);
            pairs.extend(earlier.filter(|earlier| !before.contains(earlier)).map(|earlier| (earlier, *access)));
        }
    }

    fn origin<const COUNT: usize>(&self, operands: [Operand; COUNT]) -> Origin {
        let mut all = Origin::default();
        self.left.iter().for_each(|(left, _)| all.add(left));
        for operand in operands {
            if let Operand::Register(register) = operand
                && let Some(origin) = self.registers.get(&register)
            {
                all.add(origin);
            }
        }
        all
    }

    fn address(&self, address: Address) -> Origin {
        match address {
            Address::Register(register) => self.origin([Operand::Register(register)]),
            Address::Location(_) => self.origin([]),
        }
    }

    /// Adds an access behind what it is computed from, and returns what is behind it.
    fn access(&mut self, access: Access, mut origin: Origin) -> Origin {
        self.accesses.push((access, origin.value.clone()));
        origin.value.insert(access);
        origin.whole.insert(access);
        origin
    }

    fn step(&mut self, at: usize, step: &Step) {
        match *step {
            Step::Read { dst, address, .. } => {
                let origin = self.access((at, false), self.address(address));
                self.set(dst, origin);
            }
            Step::IsLocked { dst, address } => {
                let origin = self.access((at, false), self.address(address));
                self.set(Some(dst), origin);
            }
            Step::Write { address, value, .. } | Step::StoreConditional { address, value, .. } => {
                let mut origin = self.address(address);
                origin.add(&self.origin([value]));
                self.access((at, true), origin);
            }
            Step::Update(ref update) => self.update(at, update),
            Step::GracePeriod { domain } => drop(self.access((at, false), self.address(domain))),
            Step::Fence(_) => {
                let mut origin = Origin::default();
                origin.value.extend(self.accesses.iter().map(|(access, _)| *access));
                origin.whole.clone_from(&origin.value);
                let origin = self.access((at, false), origin);
                // All steps behind a barrier come after it.
                self.left.push((origin, LabelId::MAX));
            }
            Step::Move { dst, src, .. } | Step::Unary { dst, src, .. } => self.set(Some(dst), self.origin([src])),
            Step::Binary { dst, left, right, .. } => self.set(Some(dst), self.origin([left, right])),
            Step::Select { dst, left, right, then, otherwise, .. } => {
                self.set(Some(dst), self.origin([left, right, then, otherwise]));
            }
            Step::Branch { left, right, target, .. } => {
                let Origin { whole, .. } = self.origin([left, right]);
                self.left.push((Origin { value: whole.clone(), whole }, target));
            }
            Step::Label(label) => self.left.retain(|(_, end)| *end != label),
            Step::Jump(_) => {}
        }
    }

    /// The value of a register. One that was written on the way through the left side only is kept too.
    fn set(&mut self, register: Option<RegisterId>, origin: Origin) {
        if let Some(register) = register {
            self.registers.entry(register).or_default().add(&origin);
        }
    }

    fn update(&mut self, at: usize, update: &Update) {
        let address = self.address(update.address);
        let read = self.access((at, false), address.clone());
        let operands = match update.change {
            Change::Op(_, operand) | Change::Extreme(_, operand) => self.origin([operand]),
            Change::IfEqual { expected, new } => self.origin([expected, new]),
            Change::Unless { unwanted, amount } => self.origin([unwanted, amount]),
        };
        let mut written = read.clone();
        written.add(&operands);
        if !matches!(update.change, Change::Op(op, _) if op != RmwOp::Xchg) {
            written.value.extend(&operands.whole);
        }
        let Origin { whole, .. } = self.access((at, true), written);
        // The accesses that the result comes after.
        let kept = match update.change {
            Change::Op(RmwOp::Xchg, _) | Change::IfEqual { .. } => Origin::default(),
            Change::Op(..) | Change::Extreme(..) => operands,
            Change::Unless { unwanted, .. } => self.origin([unwanted]),
        };
        let mut result = read;
        result.value.extend(kept.value);
        result.whole = whole;
        self.set(update.dst, result);
    }
}
