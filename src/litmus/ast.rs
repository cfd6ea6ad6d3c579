//! The syntax tree of a litmus test: the content of the file with spans. Names are not resolved yet.

use std::cmp::Ordering;

use super::diagnostic::{Source, Span};
use super::verdict::Verdict;
use crate::arch::Arch;
use crate::arch::lock::Lock;

/// A whole test.
#[derive(Debug, Clone)]
pub struct Test {
    /// The text that all spans point into.
    pub source: Source,
    /// The name on the first line.
    pub name: String,
    /// The declarations in the comments before the initial values.
    pub header: Header,
    /// The initial values, in order.
    pub init: Vec<Init>,
    /// P0, P1, ... in order.
    pub threads: Vec<Thread>,
    /// The `locations [...]` list: values that are shown in addition to those of the condition.
    pub locations: Vec<Observable>,
    /// The `filter (...)` clause: outcomes that do not satisfy it are not counted.
    pub filter: Option<Prop>,
    /// The final condition.
    pub condition: Condition,
}

/// The declarations of the opening comment.
#[derive(Debug, Clone, Default)]
pub struct Header {
    /// Whether there is a line `Result:`.
    pub has_result: bool,
    /// `Result:`, the verdict of the kernel's model.
    pub result: Option<Verdict>,
    /// Whether the result says `DATARACE`: the kernel's model sees a data race, and the verdict has no
    /// meaning.
    pub data_race: bool,
    /// Whether the result is `DEADLOCK`: no execution finishes.
    pub deadlock: bool,
    /// The declared verdicts per architecture: with a lock for kernels that have this lock, without one for the others.
    pub architectures: Vec<(Arch, Option<Lock>, Verdict)>,
    /// `Match:`, the event that the race is a fraction of.
    pub match_event: Option<Prop>,
    /// `Control:`, the architectures on which this test must fire if the harness can detect a reordering.
    pub control: Vec<Arch>,
    /// The other lines: what the test asks, one line each.
    pub prose: Vec<String>,
    /// `Title=` and `Outcome1=`, which stand outside of the comments.
    pub naming: Naming,
}

/// A test and its outcomes in plain words (see `naming.rs`).
#[derive(Debug, Clone, Default)]
pub struct Naming {
    /// `Title=`, what the test is.
    pub title: Option<String>,
    /// `Outcome1=` and the others.
    pub outcomes: Vec<OutcomeName>,
}

/// What an outcome means: `Outcome1=1:r0=2; 1:r1=0: woken, and blocked_on seen empty`.
#[derive(Debug, Clone)]
pub struct OutcomeName {
    /// The registers and variables, with their values. An outcome with these values has this name, whatever its other values are.
    pub values: Vec<(Observable, Value)>,
    /// The words.
    pub words: String,
    /// The span of the values.
    pub span: Span,
}

impl Header {
    /// The declared verdict for an architecture with this kind of lock; if there is none, what follows from the kernel's verdict.
    /// The kernel's model allows every execution of the architectures that the kernel runs on, so Never and
    /// Always of that model hold there too. Its Sometimes says nothing, because stronger hardware may forbid
    /// what the model allows.
    ///
    /// A line for the lock (`riscv64gc ticket:`) goes before the line of the architecture.
    pub fn expected(&self, arch: Arch, lock: Lock) -> Option<Verdict> {
        let declared = self.declared(arch, Some(lock)).or_else(|| self.declared(arch, None));
        declared.or(self.result.filter(|result| *result != Verdict::Sometimes && !self.data_race))
    }

    /// The verdict of the line for an architecture, or for its kernels with a lock.
    pub(super) fn declared(&self, arch: Arch, lock: Option<Lock>) -> Option<Verdict> {
        let line = self.architectures.iter().find(|(of, with, _)| (*of, *with) == (arch, lock));
        line.map(|(.., verdict)| *verdict)
    }

    /// The word in front of the verdict that [`Header::expected`] gives: `riscv64gc`, `riscv64gc ticket` or `Result`.
    pub fn key(&self, arch: Arch, lock: Lock) -> String {
        match (self.declared(arch, Some(lock)), self.declared(arch, None)) {
            (Some(_), _) => format!("{arch} {lock}"),
            (None, Some(_)) => arch.name().to_owned(),
            (None, None) => "Result".to_owned(),
        }
    }

    /// The first paragraph of the prose, on one line.
    pub fn summary(&self) -> String {
        let start = self.prose.iter().position(|line| !line.is_empty()).unwrap_or(self.prose.len());
        let lines = self.prose[start..].iter().take_while(|line| !line.is_empty());
        lines.map(String::as_str).collect::<Vec<_>>().join(" ")
    }
}

/// A name and its position.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Name {
    /// The identifier.
    pub text: String,
    /// The position.
    pub span: Span,
}

/// The base of a C type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Base {
    /// An integer of this many bits.
    Int {
        /// The width: 8, 16, 32 or 64.
        bits: u8,
        /// Whether it is signed.
        signed: bool,
    },
    /// `atomic_t` (32 bits), `atomic64_t` or `atomic_long_t` (64 bits).
    Atomic {
        /// The width: 32 or 64.
        bits: u8,
    },
    /// `spinlock_t`.
    Spinlock,
    /// `struct srcu_struct`: an SRCU domain.
    Srcu,
    /// `void`, which is only valid behind a pointer.
    Void,
}

/// A C type: a base type and a number of pointers to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CType {
    /// The base type.
    pub base: Base,
    /// The number of `*`.
    pub pointers: u8,
}

impl CType {
    /// `int`, the type of a shared variable without a declaration.
    pub const INT: CType = CType { base: Base::Int { bits: 32, signed: true }, pointers: 0 };
    /// `long`, which is as wide as an address.
    pub const LONG: CType = CType { base: Base::Int { bits: 64, signed: true }, pointers: 0 };
}

/// One initial value: `int x = 1;`, `p = &x;`, `spinlock_t l;`, `0:r1 = x;`. Each element of an array has its own, with a
/// name such as `x[1]`.
#[derive(Debug, Clone)]
pub struct Init {
    /// The declared type, if any.
    pub ty: Option<CType>,
    /// The thread, if the name is a register.
    pub thread: Option<(usize, Span)>,
    /// The variable or register.
    pub name: Name,
    /// The value; `None` means 0.
    pub value: Option<Value>,
}

/// A constant in an initial value or in a condition.
#[derive(Debug, Clone)]
pub enum Value {
    /// An integer.
    Int(i64, Span),
    /// The address of a shared variable.
    Address(Name),
}

/// One thread: `P0(int *x, spinlock_t *l) { ... }`.
#[derive(Debug, Clone)]
pub struct Thread {
    /// The parameters: the shared variables that this thread uses.
    pub params: Vec<(CType, Name)>,
    /// The statements.
    pub body: Vec<Stmt>,
    /// The span of `P0`.
    pub span: Span,
}

/// A statement.
#[derive(Debug, Clone)]
pub enum Stmt {
    /// `int r0 = e;`: one statement per declared name.
    Declare {
        /// The type.
        ty: CType,
        /// The register.
        name: Name,
        /// The initial value.
        value: Option<Expr>,
    },
    /// `lhs = rhs;`: lhs is a register or `*p`.
    Assign {
        /// The left-hand side.
        target: Expr,
        /// The right-hand side.
        value: Expr,
    },
    /// A call whose value is not used.
    Effect(Expr),
    /// `if (c) ... else ...`.
    If {
        /// The condition.
        condition: Expr,
        /// The statements if the condition is not zero.
        then: Vec<Stmt>,
        /// The statements if the condition is zero.
        otherwise: Vec<Stmt>,
    },
    /// `while`, `do ... while` or `for`. The last statement of a `for` is part of the body.
    Loop {
        /// The condition; `None` if it is always true.
        condition: Option<Expr>,
        /// Whether the condition is tested before the first round: not in a `do ... while`.
        tested_first: bool,
        /// The statements of one round.
        body: Vec<Stmt>,
        /// The span of the keyword.
        span: Span,
    },
}

/// An expression and its position.
#[derive(Debug, Clone)]
pub struct Expr {
    /// The form of the expression.
    pub kind: ExprKind,
    /// The position.
    pub span: Span,
}

/// The forms of expression.
#[derive(Debug, Clone)]
pub enum ExprKind {
    /// An integer constant.
    Int(i64),
    /// A register or parameter.
    Name(String),
    /// `*e`.
    Deref(Box<Expr>),
    /// `&e`.
    AddressOf(Box<Expr>),
    /// `-e`, `~e`, `!e`.
    Unary(Unary, Box<Expr>),
    /// `a + b` and other binary operators.
    Binary(Binary, Box<Expr>, Box<Expr>),
    /// `a && b`, `a || b`: the right side is evaluated only if needed.
    Logical {
        /// True for `&&`.
        and: bool,
        /// The left side.
        left: Box<Expr>,
        /// The right side.
        right: Box<Expr>,
    },
    /// `name(args)`.
    Call(Name, Vec<Expr>),
    /// `(type)e`.
    Cast(CType, Box<Expr>),
}

/// Operators with one operand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unary {
    /// `-`
    Negate,
    /// `~`
    Invert,
    /// `!`
    Not,
}

/// Operators with two operands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Binary {
    /// `+`
    Add,
    /// `-`
    Sub,
    /// `*`
    Mul,
    /// `&`
    And,
    /// `|`
    Or,
    /// `^`
    Xor,
    /// `<<`
    ShiftLeft,
    /// `>>`
    ShiftRight,
    /// A comparison, which gives 0 or 1.
    Compare(Compare),
}

/// The comparisons.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compare {
    /// `==`
    Eq,
    /// `!=`
    Ne,
    /// `<`
    Lt,
    /// `<=`
    Le,
    /// `>`
    Gt,
    /// `>=`
    Ge,
}

impl Compare {
    /// Whether the comparison holds between two values in this order.
    pub const fn holds(self, order: Ordering) -> bool {
        match self {
            Compare::Eq => order.is_eq(),
            Compare::Ne => order.is_ne(),
            Compare::Lt => order.is_lt(),
            Compare::Le => order.is_le(),
            Compare::Gt => order.is_gt(),
            Compare::Ge => order.is_ge(),
        }
    }
}

/// The quantifier of the condition, over executions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Quantifier {
    /// `exists`: asks whether some execution satisfies the condition.
    Exists,
    /// `~exists`: no execution may satisfy the condition.
    NotExists,
    /// `forall`: every execution must satisfy the condition.
    Forall,
}

/// The final condition of a test.
#[derive(Debug, Clone)]
pub struct Condition {
    /// The quantifier.
    pub quantifier: Quantifier,
    /// The proposition.
    pub prop: Prop,
    /// The span of the whole clause.
    pub span: Span,
    /// Whether the file has a condition. Without one it is `forall (true)`.
    pub written: bool,
}

/// A proposition over final registers and memory.
#[derive(Debug, Clone)]
pub enum Prop {
    /// `true` or `false`.
    Const(bool),
    /// `1:r0=1`, `x=2`; if `equal` is false, `1:r0<>1`.
    Atom {
        /// The left side.
        left: Observable,
        /// Whether the two sides must be equal.
        equal: bool,
        /// The right side.
        value: Value,
    },
    /// `x={1,2}`, mostly an array as a whole; if `equal` is false, `x<>{1,2}`.
    Array {
        /// The array.
        left: Observable,
        /// Whether the two sides must be equal.
        equal: bool,
        /// The values of the elements.
        values: Vec<Value>,
    },
    /// `0:r0=1:r0`; if `equal` is false, `0:r0<>1:r0`.
    Same {
        /// The left side.
        left: Observable,
        /// Whether the two sides must be equal.
        equal: bool,
        /// The right side.
        right: Observable,
    },
    /// `~p`
    Not(Box<Prop>),
    /// `p /\ q`
    And(Box<Prop>, Box<Prop>),
    /// `p \/ q`
    Or(Box<Prop>, Box<Prop>),
}

/// A part of the final state: a register of a thread, or a shared variable.
#[derive(Debug, Clone)]
pub struct Observable {
    /// The thread, if it is a register.
    pub thread: Option<(usize, Span)>,
    /// The name of the register or variable.
    pub name: Name,
}

impl Prop {
    /// The places that are compared, in order.
    pub fn places(&self) -> Vec<&Observable> {
        match self {
            Prop::Const(_) => Vec::new(),
            Prop::Atom { left, .. } | Prop::Array { left, .. } => vec![left],
            Prop::Same { left, right, .. } => vec![left, right],
            Prop::Not(inner) => inner.places(),
            Prop::And(left, right) | Prop::Or(left, right) => [left.places(), right.places()].concat(),
        }
    }

    /// The comparison of an array of so many elements with values, as one of each element. What has another number of elements
    /// never equals them. As in herd7, neither does one element, nor what is no array.
    pub fn of_elements(left: &Observable, elements: usize, equal: bool, values: &[Value]) -> Prop {
        if elements < 2 || elements != values.len() {
            return Prop::Const(!equal);
        }
        let same = values.iter().enumerate().map(|(at, value)| Prop::Atom {
            left: left.element(at),
            equal: true,
            value: value.clone(),
        });
        let all = same.reduce(|all, one| Prop::And(Box::new(all), Box::new(one))).unwrap_or(Prop::Const(true));
        if equal { all } else { Prop::Not(Box::new(all)) }
    }
}

impl Observable {
    /// An element of this array.
    pub fn element(&self, at: usize) -> Observable {
        let name = Name { text: format!("{}[{at}]", self.name.text), span: self.name.span };
        Observable { thread: None, name }
    }
}
