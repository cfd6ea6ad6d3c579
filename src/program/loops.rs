//! Lowers loops by unrolling them.
//!
//! The rounds of a loop are counted while it is lowered, if they do not depend on what the test reads. Other loops are
//! followed as herd7 follows them, for [`ROUNDS_FOLLOWED`] rounds. The models do not examine executions with more rounds, and
//! the outcome says so. In what runs, a register tells that a loop was left after these rounds although its condition held. The
//! program's filter excludes such an instance, so that what is counted is what the models judge.

use crate::litmus::ast::{Base, Binary, CType, Expr, ExprKind, Stmt, Unary};
use crate::litmus::{Diagnostic, Span};

use super::threads::{Fact, ThreadLowering};
use super::{Const, Op, Operand, RegisterId, Type};

/// Maximum number of rounds of all loops of a thread.
const MOST_ROUNDS: usize = 256;

/// Maximum number of operations of a thread with loops.
const MOST_OPS: usize = 10_000;

/// The number of rounds after which a path is cut, as in herd7 without its option `-unroll`.
const ROUNDS_FOLLOWED: usize = 2;

impl ThreadLowering<'_> {
    /// Lowers `while`, `do` or `for`.
    pub(super) fn loop_statement(
        &mut self,
        condition: Option<&Expr>,
        tested_first: bool,
        body: &[Stmt],
        span: Span,
    ) -> Result<(), Diagnostic> {
        for rounds in 0.. {
            if let Some(condition) = condition.filter(|_| tested_first || rounds > 0) {
                match self.constant_of(condition) {
                    Some(0) => break,
                    Some(_) => {}
                    None => return self.follow(condition, ROUNDS_FOLLOWED.saturating_sub(rounds), body, span),
                }
            }
            self.round(body, span)?;
        }
        Ok(())
    }

    /// Lowers one round.
    fn round(&mut self, body: &[Stmt], span: Span) -> Result<(), Diagnostic> {
        self.rounds += 1;
        if self.rounds > MOST_ROUNDS || self.thread.ops.len() > MOST_OPS {
            let message =
                format!("the loops of P{} have more than {MOST_ROUNDS} rounds, or too many operations", self.number);
            return Err(self.source.error(span, message, "unrolled here"));
        }
        self.block(body)
    }

    /// Lowers a loop whose condition depends on what is read: some rounds, and a cut.
    fn follow(&mut self, condition: &Expr, rounds: usize, body: &[Stmt], span: Span) -> Result<(), Diagnostic> {
        let end = self.new_label();
        let mut exits: Vec<Vec<Fact>> = Vec::new();
        for round in 0..=rounds {
            self.condition(condition, end)?;
            exits.push(self.facts.clone());
            if round < rounds {
                self.round(body, span)?;
            }
        }
        if self.judges() {
            // A path that jumps here again and again is cut.
            let cut = self.new_label();
            self.thread.ops.extend([Op::Label(cut), Op::Jump { target: cut }]);
        } else {
            // The thread goes on behind the loop, so that it releases the locks that it holds.
            let cut = self.cut();
            self.thread.ops.push(Op::Move { dst: cut, src: Operand::Const(Const::Int(1)) });
            exits.push(self.facts.clone());
        }
        self.thread.ops.push(Op::Label(end));
        let known = self.facts.len();
        exits.iter_mut().for_each(|facts| facts.resize(known, Fact::NONE));
        if let Some(last) = exits.pop() {
            self.facts = last;
        }
        exits.iter().for_each(|facts| self.meet(facts));
        Ok(())
    }

    /// The register that is 1 if a loop of this thread was left although its condition held, and otherwise 0. Its name is a
    /// word of C, which no register of a test can have.
    fn cut(&mut self) -> RegisterId {
        if let Some(known) = self.thread.cut {
            return known;
        }
        let register = self.new_register("while".to_owned(), Type::INT, CType::INT);
        self.thread.zeroed.push(register);
        self.thread.cut = Some(register);
        register
    }

    /// The value of an expression of signed integers that does not depend on what was read; `None` if it does, or if it
    /// does not fit an `int`.
    pub(super) fn constant_of(&self, expr: &Expr) -> Option<i64> {
        let value = match &expr.kind {
            ExprKind::Int(value) => *value,
            ExprKind::Name(name) => {
                let register = *self.names.get(name)?;
                self.facts[register].constant.filter(|_| is_signed(self.ctypes[register]))?
            }
            ExprKind::Cast(ty, inner) if is_signed(*ty) => self.constant_of(inner)?,
            ExprKind::Unary(op, inner) => {
                let value = self.constant_of(inner)?;
                match op {
                    Unary::Negate => value.checked_neg()?,
                    Unary::Invert => !value,
                    Unary::Not => i64::from(value == 0),
                }
            }
            ExprKind::Binary(op, left, right) => arithmetic(*op, self.constant_of(left)?, self.constant_of(right)?)?,
            ExprKind::Logical { and, left, right } => match (and, self.constant_of(left)? != 0) {
                (true, false) => 0,
                (false, true) => 1,
                _ => i64::from(self.constant_of(right)? != 0),
            },
            _ => return None,
        };
        i32::try_from(value).ok().map(i64::from)
    }
}

fn is_signed(ty: CType) -> bool {
    matches!(ty, CType { base: Base::Int { bits: 32 | 64, signed: true }, pointers: 0 })
}

/// The result of an operation on two values that fit an `int`.
fn arithmetic(op: Binary, left: i64, right: i64) -> Option<i64> {
    Some(match op {
        Binary::Add => left + right,
        Binary::Sub => left - right,
        Binary::Mul => left * right,
        Binary::And => left & right,
        Binary::Or => left | right,
        Binary::Xor => left ^ right,
        Binary::ShiftLeft => left.checked_mul(1 << u32::try_from(right).ok().filter(|count| *count < 31)?)?,
        Binary::ShiftRight => left >> u32::try_from(right).ok().filter(|count| *count < 31)?,
        Binary::Compare(compare) => i64::from(compare.holds(left.cmp(&right))),
    })
}
