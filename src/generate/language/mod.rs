//! The languages that tests are written in: what diy7 calls an architecture. One file each.

mod aarch64;
mod assembly;
mod c;
mod ppc;
mod riscv;
mod x86_64;

use super::edge::{Dir, Mark};
use super::plan::Plan;

pub(super) use assembly::Body;

/// Which accesses an annotation, or the end of a dependency, may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Targets {
    Reads,
    Writes,
    Both,
}

/// An annotation of an access.
#[derive(Debug)]
pub(super) struct MarkKind {
    /// diy7's name.
    pub name: &'static str,
    pub on: Targets,
}

/// A barrier.
#[derive(Debug)]
pub(super) struct Fence {
    /// diy7's name: the part of an edge in front of `dWR`.
    pub name: &'static str,
    /// As the test writes it.
    pub code: &'static str,
}

/// How an access depends on the read before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Through {
    Address,
    Data,
    /// A branch; `then` is a barrier behind it.
    Control {
        then: Option<&'static str>,
    },
}

/// A dependency.
#[derive(Debug)]
pub(super) struct Dep {
    /// diy7's name: the part of an edge between `Dp` and `dW`.
    pub name: &'static str,
    pub targets: Targets,
    pub through: Through,
    /// Whether the value passes a conditional select.
    pub selects: bool,
}

impl Dep {
    /// Through the address of an access.
    pub const ADDR: Dep = Dep { name: "Addr", targets: Targets::Both, through: Through::Address, selects: false };
    /// Through the value of a write.
    pub const DATA: Dep = Dep { name: "Data", targets: Targets::Writes, through: Through::Data, selects: false };
    /// Through a branch.
    pub const CTRL: Dep = Dep::control("Ctrl", None);

    /// Through a branch, with a barrier behind it if one is given.
    pub const fn control(name: &'static str, then: Option<&'static str>) -> Dep {
        Dep { name, targets: Targets::Both, through: Through::Control { then }, selects: false }
    }
}

/// A read-modify-write.
#[derive(Debug)]
pub(super) struct Rmw {
    /// diy7's name of the edge.
    pub name: &'static str,
    /// Its part of a test's name.
    pub short: &'static str,
    /// What it makes of the value that it reads and its operand.
    pub change: Change,
    /// Whether the value that it reads goes to a register.
    pub returns: bool,
    /// The beginning of the instruction or of the macro.
    pub code: &'static str,
}

/// What a read-modify-write stores.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Change {
    /// The operand.
    Swap,
    /// The operand, if the value read is the expected one.
    Compare,
    Add,
    Set,
    Clear,
    Xor,
    /// The operand, by a load and a store that are paired.
    Exclusive,
}

impl Change {
    /// The new value for the value read and the operand.
    pub const fn apply(self, old: u64, operand: u64) -> u64 {
        match self {
            Change::Swap | Change::Compare | Change::Exclusive => operand,
            Change::Add => old + operand,
            Change::Set => old | operand,
            Change::Clear => old & !operand,
            Change::Xor => old ^ operand,
        }
    }
}

/// A language that tests are written in.
#[derive(Debug)]
pub struct Language {
    /// The first word of a test.
    pub(super) word: &'static str,
    /// The annotations. The first is what an access without one has.
    pub(super) marks: &'static [MarkKind],
    /// Whether names always tell the annotations, as those of the Linux kernel's litmus tests do.
    pub(super) always_marked: bool,
    /// The barriers, in the order in which diy7 names the threads of a symmetric test.
    pub(super) fences: &'static [Fence],
    /// The strongest barrier, which `Fenced` means.
    pub(super) strong: usize,
    pub(super) deps: &'static [Dep],
    pub(super) rmws: &'static [Rmw],
    /// Whether accesses may have sizes.
    pub(super) sizes: bool,
    /// The relaxations of a family whose relaxations are not given.
    pub(super) usual: &'static str,
    /// Writes the initial values, the threads and the condition.
    pub(super) write: fn(&Language, &Plan) -> Result<Body, String>,
}

impl Language {
    /// All languages.
    pub const ALL: [&'static Language; 5] =
        [&x86_64::LANGUAGE, &aarch64::LANGUAGE, &ppc::LANGUAGE, &riscv::LANGUAGE, &c::LANGUAGE];
    /// The C of the Linux kernel.
    pub const C: &'static Language = &c::LANGUAGE;

    /// The language whose tests begin with this word: `AArch64`, `PPC`, `RISCV`, `X86_64` or `C`.
    pub fn named(word: &str) -> Option<&'static Language> {
        Language::ALL.into_iter().find(|language| language.word == word)
    }

    /// The first word of its tests.
    pub const fn word(&self) -> &'static str {
        self.word
    }

    /// Whether an access of this kind may have the annotation.
    pub(super) fn takes(&self, mark: Mark, dir: Dir) -> bool {
        match self.marks[mark.order].on {
            Targets::Both => true,
            Targets::Reads => dir == Dir::R,
            Targets::Writes => dir == Dir::W,
        }
    }
}

impl PartialEq for Language {
    fn eq(&self, other: &Language) -> bool {
        self.word == other.word
    }
}
