//! The syntax tree of a litmus test: what the file says, with spans, names not yet resolved.

use super::diagnostic::{Source, Span};
use super::verdict::Verdict;
use crate::arch::Arch;

/// A whole file.
#[derive(Debug, Clone)]
pub struct Test {
    /// The text all spans point into.
    pub source: Source,
    /// The name on the first line.
    pub name: String,
    /// What the comments before the initial values declare.
    pub header: Header,
    /// The initial values, in order.
    pub init: Vec<Init>,
    /// P0, P1, ... in order.
    pub threads: Vec<Thread>,
    /// The `locations [...]` list: values to show beside those of the condition.
    pub locations: Vec<Observable>,
    /// `filter (...)`: executions that do not satisfy it do not count.
    pub filter: Option<Prop>,
    /// The final condition.
    pub condition: Condition,
}

/// The declarations of the opening comment.
#[derive(Debug, Clone, Default)]
pub struct Header {
    /// `Result:`, the kernel model's verdict.
    pub result: Option<Verdict>,
    /// Whether the result says `DATARACE`: the kernel's model sees one, and then the verdict means nothing.
    pub data_race: bool,
    /// The verdict per architecture.
    pub architectures: Vec<(Arch, Verdict)>,
    /// `Match:`, the event that the race is a fraction of.
    pub match_event: Option<Prop>,
    /// `Control:`, the architectures on which this test must fire if the harness can see anything.
    pub control: Vec<Arch>,
    /// The rest: what the test asks, a line each.
    pub prose: Vec<String>,
}

impl Header {
    /// The declared verdict for an architecture. Where the header gives none: every execution of an architecture the kernel
    /// runs on is one the kernel's model allows, so its Never and Always hold there too; its Sometimes says nothing,
    /// because stronger hardware may forbid what the model allows.
    pub fn expected(&self, arch: Arch) -> Option<Verdict> {
        let declared = self.architectures.iter().find(|(a, _)| *a == arch).map(|(_, verdict)| *verdict);
        declared.or(self.result.filter(|result| *result != Verdict::Sometimes && !self.data_race))
    }

    /// The first paragraph of the prose, on one line.
    pub fn summary(&self) -> String {
        let start = self.prose.iter().position(|line| !line.is_empty()).unwrap_or(self.prose.len());
        let lines = self.prose[start..].iter().take_while(|line| !line.is_empty());
        lines.map(String::as_str).collect::<Vec<_>>().join(" ")
    }
}

/// A name with the place where it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Name {
    /// The identifier.
    pub text: String,
    /// Where it stands.
    pub span: Span,
}

/// The base of a C type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Base {
    /// An integer of this many bits.
    Int {
        /// 8, 16, 32 or 64.
        bits: u8,
        /// Whether it is signed.
        signed: bool,
    },
    /// `atomic_t` (32 bits) or `atomic64_t`, `atomic_long_t` (64 bits).
    Atomic {
        /// 32 or 64.
        bits: u8,
    },
    /// `spinlock_t`.
    Spinlock,
    /// `void`, which makes sense only behind a pointer.
    Void,
}

/// A C type: a base behind some number of pointers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CType {
    /// What is at the end of the pointers.
    pub base: Base,
    /// How many `*`.
    pub pointers: u8,
}

impl CType {
    /// Plain `int`, what a shared variable is when nothing says otherwise.
    pub const INT: CType = CType { base: Base::Int { bits: 32, signed: true }, pointers: 0 };
}

/// One initial value: `int x = 1;`, `p = &x;`, `spinlock_t l;`, `0:r1 = x;`.
#[derive(Debug, Clone)]
pub struct Init {
    /// The declared type, if any.
    pub ty: Option<CType>,
    /// For a register, the thread it belongs to.
    pub thread: Option<(usize, Span)>,
    /// The variable or register.
    pub name: Name,
    /// Its value; 0 when absent.
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
    /// The parameters: the shared variables this thread names.
    pub params: Vec<(CType, Name)>,
    /// The statements.
    pub body: Vec<Stmt>,
    /// The span of `P0`.
    pub span: Span,
}

/// A statement.
#[derive(Debug, Clone)]
pub enum Stmt {
    /// `int r0 = e;`: one per declared name.
    Declare {
        /// Its type.
        ty: CType,
        /// The register.
        name: Name,
        /// Its first value.
        value: Option<Expr>,
    },
    /// `lhs = rhs;`, where lhs is a register or `*p`.
    Assign {
        /// Where to.
        target: Expr,
        /// What.
        value: Expr,
    },
    /// A call for its effect.
    Effect(Expr),
    /// `if (c) ... else ...`.
    If {
        /// The condition.
        condition: Expr,
        /// When it is not zero.
        then: Vec<Stmt>,
        /// When it is zero.
        otherwise: Vec<Stmt>,
    },
}

/// An expression and where it stands.
#[derive(Debug, Clone)]
pub struct Expr {
    /// What it is.
    pub kind: ExprKind,
    /// Where it stands.
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
    /// `a + b` and friends.
    Binary(Binary, Box<Expr>, Box<Expr>),
    /// `a && b`, `a || b`: the right side only if needed.
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

/// Operators on one value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unary {
    /// `-`
    Negate,
    /// `~`
    Invert,
    /// `!`
    Not,
}

/// Operators on two values.
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
    /// A comparison, which yields 0 or 1.
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

/// How the condition quantifies over executions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Quantifier {
    /// `exists`: is there one?
    Exists,
    /// `~exists`: there must be none.
    NotExists,
    /// `forall`: every one must.
    Forall,
}

/// The final condition of a test.
#[derive(Debug, Clone)]
pub struct Condition {
    /// The quantifier.
    pub quantifier: Quantifier,
    /// The proposition.
    pub prop: Prop,
    /// The whole clause.
    pub span: Span,
}

/// A proposition over final registers and memory.
#[derive(Debug, Clone)]
pub enum Prop {
    /// `true` or `false`.
    Const(bool),
    /// `1:r0=1`, `x=2`; with `equal` false, `1:r0<>1`.
    Atom {
        /// The left side.
        left: Observable,
        /// Whether it must be equal.
        equal: bool,
        /// The right side.
        value: Value,
    },
    /// `~p`
    Not(Box<Prop>),
    /// `p /\ q`
    And(Box<Prop>, Box<Prop>),
    /// `p \/ q`
    Or(Box<Prop>, Box<Prop>),
}

/// Something with a value at the end: a register of a thread, or a shared variable.
#[derive(Debug, Clone)]
pub struct Observable {
    /// The thread, for a register.
    pub thread: Option<(usize, Span)>,
    /// The name of the register or variable.
    pub name: Name,
}
