//! What the flags mean that a conditional jump or select of an assembly test reads.
//!
//! Every instruction that sets flags leaves two operands in the same two registers, so a reader sees those of the last one
//! on its path. What the operands mean depends on that instruction. If a condition does not mean the same for every
//! instruction that may have set the flags last, each of them leaves the answer.

use std::collections::BTreeSet;

use super::assembly::{Condition, Sets, Signs, ZERO, int};
use super::code::{CodeThread, Step};
use super::flow::{self, Entries};
use crate::litmus::Span;
use crate::program::{Binary, Compare, Const, Operand, RegisterId, Type, Unary};

/// An instruction that sets the flags.
#[derive(Debug, Clone, Copy)]
pub(super) struct Setter {
    /// Its step that sets them.
    pub step: usize,
    /// The type of its operands.
    pub ty: Type,
    /// What it sets them by.
    pub sets: Sets,
}

/// An instruction that reads the flags.
#[derive(Debug, Clone, Copy)]
pub(super) struct Reader {
    /// Its step that compares. [`connect`] gives it the operands that it compares.
    pub step: usize,
    /// What it asks.
    pub condition: Condition,
}

/// Why a condition on the flags is not followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reason {
    /// On some path no instruction has set the flags.
    NotSet,
    /// It is about a flag that is not followed, of the instruction with this step.
    NotFollowed(usize),
}

/// A condition on the flags that is not followed.
#[derive(Debug)]
pub(super) struct Refused {
    /// The step of the reader.
    pub step: usize,
    /// Why.
    pub reason: Reason,
    /// The steps of the instructions that may have set the flags, in order.
    pub setters: Vec<usize>,
}

/// How the operands that an instruction leaves answer a condition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    /// The condition compares them.
    Operands,
    /// The condition is about the flags N, Z, C and V, which are computed from them.
    Flags(Sets),
}

impl Way {
    /// The way for the operands of an instruction; `None` if the condition is not followed.
    fn of(sets: Sets, (compare, signs): Condition) -> Option<Way> {
        let is_equality = matches!(compare, Compare::Eq | Compare::Ne);
        Some(match (sets, signs) {
            (Sets::Sum, _) => Way::Flags(Sets::Sum),
            (_, Signs::OfResult) => Way::Flags(Sets::Difference),
            (Sets::Difference | Sets::Bits, Signs::Overflow) => Way::Flags(sets),
            (_, Signs::Signed | Signs::Unsigned) if is_equality => Way::Operands,
            (Sets::Difference, _) | (Sets::Bits, Signs::Signed) => Way::Operands,
            (Sets::Bits, _) => Way::Flags(Sets::Bits),
            (Sets::Result, _) => return None,
        })
    }
}

/// What a reader compares: a comparison, its operands and their type.
type Comparison = (Compare, Operand, Operand, Type);

/// Gives each reader the comparison that its condition is. Steps that compute the flags are added in front of it, or behind
/// what sets them. `operands` are the registers with the operands.
///
/// # Errors
/// The first condition that is not followed.
pub(super) fn connect(
    thread: &mut CodeThread,
    spans: &mut Vec<Span>,
    operands: [RegisterId; 2],
    setters: &[Setter],
    readers: &[Reader],
) -> Result<(), Refused> {
    if readers.is_empty() {
        return Ok(());
    }
    let last = last_setters(thread, setters, readers);
    let operands = operands.map(Operand::Register);
    // Steps, the place where they are added, and the step whose span they have.
    let mut added = Vec::new();
    for (reader, last) in readers.iter().zip(last) {
        let known: Vec<&Setter> = last.iter().flatten().map(|setter| &setters[*setter]).collect();
        let refused = |reason| {
            let setters = known.iter().map(|setter| setter.step).collect();
            Err(Refused { step: reader.step, reason, setters })
        };
        if last.contains(&None) {
            return refused(Reason::NotSet);
        }
        let mut ways = Vec::new();
        for setter in &known {
            let Some(way) = Way::of(setter.sets, reader.condition) else {
                return refused(Reason::NotFollowed(setter.step));
            };
            // The operands are extended, so a comparison of them is the same for all widths.
            ways.push((way, setter.ty));
        }
        // Without a first one no path leads to the reader.
        let Some(&(first, ty)) = ways.first() else { continue };
        let comparison = if ways.iter().all(|(way, _)| *way == Way::Operands) {
            continue;
        } else if ways.iter().all(|way| *way == (first, ty)) {
            let mut steps = Steps { thread, steps: Vec::new(), ty };
            let comparison = steps.comparison(first, operands, reader.condition);
            added.push((reader.step, reader.step, steps.steps));
            comparison
        } else {
            let mut steps = Steps { thread, steps: Vec::new(), ty };
            let answer = steps.register();
            for (setter, (way, ty)) in known.iter().zip(ways) {
                let mut steps = Steps { thread, steps: Vec::new(), ty };
                let (compare, left, right, ty) = steps.comparison(way, operands, reader.condition);
                let op = Binary::Compare(compare);
                steps.steps.push(Step::Binary { dst: answer, op, left, right, ty });
                added.push((setter.step + 1, setter.step, steps.steps));
            }
            (Compare::Ne, Operand::Register(answer), ZERO, Type::Int { bits: 64, signed: true })
        };
        if let Step::Branch { compare, left, right, ty, .. } | Step::Select { compare, left, right, ty, .. } =
            &mut thread.steps[reader.step]
        {
            (*compare, *left, *right, *ty) = comparison;
        }
    }
    // From the last one on, so that the numbers of the steps in front stay.
    added.sort_by_key(|(at, ..)| *at);
    for (at, of, steps) in added.into_iter().rev() {
        let span = spans[of];
        spans.splice(at..at, steps.iter().map(|_| span));
        thread.steps.splice(at..at, steps);
    }
    Ok(())
}

/// Steps that compute flags.
struct Steps<'t> {
    thread: &'t mut CodeThread,
    steps: Vec<Step>,
    /// The type of the operands and of everything computed.
    ty: Type,
}

impl Steps<'_> {
    /// A new register.
    fn register(&mut self) -> RegisterId {
        self.thread.names.push(format!("flags.{}", self.thread.names.len()));
        self.thread.registers.push(Const::Int(0));
        self.thread.names.len() - 1
    }

    fn binary(&mut self, left: Operand, op: Binary, right: Operand) -> Operand {
        self.typed(left, op, right, self.ty)
    }

    fn typed(&mut self, left: Operand, op: Binary, right: Operand, ty: Type) -> Operand {
        let dst = self.register();
        self.steps.push(Step::Binary { dst, op, left, right, ty });
        Operand::Register(dst)
    }

    fn inverted(&mut self, src: Operand) -> Operand {
        let dst = self.register();
        self.steps.push(Step::Unary { dst, op: Unary::Invert, src, ty: self.ty });
        Operand::Register(dst)
    }

    /// -1 if a value is negative, else 0.
    fn sign(&mut self, value: Operand) -> Operand {
        let bits = i64::from(self.ty.bits());
        self.binary(value, Binary::ShiftRight, int(bits - 1))
    }

    /// A value that is not negative, and 0 if `value` is 0.
    fn other_than_zero(&mut self, value: Operand) -> Operand {
        let unsigned = self.ty.with_sign(false);
        let upper = self.typed(value, Binary::ShiftRight, int(1), unsigned);
        let lowest = self.binary(value, Binary::And, int(1));
        self.binary(upper, Binary::Or, lowest)
    }

    /// The carry of a sum: its sign. Of a bitwise result, whose second operand is 0, it is 0.
    fn carry(&mut self, [left, right]: [Operand; 2], result: Operand) -> Operand {
        let both = self.binary(left, Binary::And, right);
        let any = self.binary(left, Binary::Or, right);
        let lost = self.inverted(result);
        let carried = self.binary(any, Binary::And, lost);
        self.binary(both, Binary::Or, carried)
    }

    /// The overflow of a sum or of a difference: its sign. Of a bitwise result it is 0.
    fn overflow(&mut self, sets: Sets, [left, right]: [Operand; 2], result: Operand) -> Operand {
        let differ = self.binary(left, Binary::Xor, right);
        let may = if sets == Sets::Sum { self.inverted(differ) } else { differ };
        let changed = self.binary(left, Binary::Xor, result);
        self.binary(may, Binary::And, changed)
    }

    /// The comparison that a condition on the flags is.
    fn comparison(&mut self, way: Way, operands: [Operand; 2], (compare, signs): Condition) -> Comparison {
        let [left, right] = operands;
        let Way::Flags(sets) = way else {
            return (compare, left, right, Type::Int { bits: 64, signed: signs == Signs::Signed });
        };
        let is_order = matches!(compare, Compare::Gt | Compare::Le);
        let is_equality = matches!(compare, Compare::Eq | Compare::Ne);
        let op = if sets == Sets::Sum { Binary::Add } else { Binary::Sub };
        let result = self.binary(left, op, right);
        let (compare, value) = match signs {
            Signs::OfResult => (compare, result),
            Signs::Signed | Signs::Unsigned if is_equality => (compare, result),
            Signs::Overflow => {
                let overflow = self.overflow(sets, operands, result);
                (compare, self.sign(overflow))
            }
            // Of the exact result, whose sign is N if there is no overflow.
            Signs::Signed => {
                let overflow = self.overflow(sets, operands, result);
                let exact = self.binary(result, Binary::Xor, overflow);
                if is_order {
                    let (sign, other) = (self.sign(exact), self.other_than_zero(result));
                    (compare, self.binary(sign, Binary::Or, other))
                } else {
                    (compare, exact)
                }
            }
            // "Above" is a carry and a result other than 0, "at least" is a carry.
            Signs::Unsigned => {
                let carry = self.carry(operands, result);
                let sign = self.sign(carry);
                let value = if is_order {
                    let other = self.other_than_zero(result);
                    self.binary(sign, Binary::And, other)
                } else {
                    sign
                };
                let holds = matches!(compare, Compare::Gt | Compare::Ge);
                (if holds { Compare::Ne } else { Compare::Eq }, value)
            }
        };
        (compare, value, ZERO, self.ty)
    }
}

/// For each reader, which setters may be the last ones before it; `None` is the start of the thread.
fn last_setters(thread: &CodeThread, setters: &[Setter], readers: &[Reader]) -> Vec<BTreeSet<Option<usize>>> {
    let mut last = vec![BTreeSet::new(); readers.len()];
    let mut entries = Entries::new();
    // The sets at the labels only grow, so the loop ends.
    loop {
        let before = entries.clone();
        let start = vec![BTreeSet::from([None])];
        let join = |into: &mut BTreeSet<Option<usize>>, other: &BTreeSet<Option<usize>>| into.extend(other);
        flow::follow(thread, start, &mut entries, join, |at, _, flags| {
            for (_, last) in readers.iter().zip(&mut last).filter(|(reader, _)| reader.step == at) {
                last.extend(&flags[0]);
            }
            if let Some(setter) = setters.iter().position(|setter| setter.step == at) {
                flags[0] = BTreeSet::from([Some(setter)]);
            }
        });
        if entries == before {
            return last;
        }
    }
}
