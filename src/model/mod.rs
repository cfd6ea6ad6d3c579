//! Memory models: which final states an architecture, or the Linux kernel's model, allows a test to end in.
//!
//! ```text
//! Program --isa::code_for--> Code --trace--> Traces --search, axioms--> the states that are allowed
//! assembly test --isa::parse_assembly--^
//! ```
//!
//! The search finds every execution that a model allows. It combines the paths of each thread, the orders of
//! the writes to each location, and the source of each read. The values follow from these choices. [`axioms`]
//! has one file per model, so that each can be compared with the published model line by line.
//!
//! Not modelled: non-temporal stores, instruction fetch, address translation, and memory that is not ordinary cacheable
//! memory. docs/models.md lists per model what
//! is left out.

pub mod assembly;
pub mod axioms;
mod bits;
mod budget;
pub mod code;
mod condition_flags;
pub mod event;
pub mod execution;
pub mod explain;
pub mod extent;
pub mod flags;
mod flow;
pub mod herd_log;
pub mod machine;
pub mod operands;
pub mod places;
pub mod reach;
pub mod relation;
pub mod reordering;
pub mod search;
mod sizes;
pub mod states;
pub mod svg;
pub mod trace;
mod values;

pub use flags::Flags;
pub use reordering::{Needs, Reordering};
pub use states::{Outcome, check};

use std::fmt;
use std::str::FromStr;

use crate::arch::Arch;

/// A memory model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Model {
    /// The Linux-kernel memory model.
    Lkmm,
    /// Sequential consistency.
    Sc,
    /// x86-TSO.
    X86Tso,
    /// Armv8, AArch64.
    Armv8,
    /// POWER, as in "Herding Cats" (TOPLAS 2014).
    Power,
    /// RVWMO, the weak memory ordering of RISC-V.
    Rvwmo,
}

impl Model {
    /// All models, in the order of the tables.
    pub const ALL: [Model; 6] = [Model::Lkmm, Model::Sc, Model::X86Tso, Model::Armv8, Model::Power, Model::Rvwmo];

    /// The model's name in tables.
    pub const fn name(self) -> &'static str {
        match self {
            Model::Lkmm => "LKMM",
            Model::Sc => "SC",
            Model::X86Tso => "x86-TSO",
            Model::Armv8 => "ARMv8",
            Model::Power => "POWER",
            Model::Rvwmo => "RVWMO",
        }
    }

    /// The model of an architecture's hardware.
    pub const fn of(arch: Arch) -> Model {
        match arch {
            Arch::X86_64 => Model::X86Tso,
            Arch::Aarch64 => Model::Armv8,
            Arch::Powerpc64le => Model::Power,
            Arch::Riscv64gc => Model::Rvwmo,
        }
    }

    /// The architecture whose hardware this model describes; `None` for LKMM and SC.
    pub const fn arch(self) -> Option<Arch> {
        match self {
            Model::Lkmm | Model::Sc => None,
            Model::X86Tso => Some(Arch::X86_64),
            Model::Armv8 => Some(Arch::Aarch64),
            Model::Power => Some(Arch::Powerpc64le),
            Model::Rvwmo => Some(Arch::Riscv64gc),
        }
    }
}

impl fmt::Display for Model {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Model {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<Model, String> {
        let wanted = text.to_ascii_lowercase();
        let arch = Arch::named(&wanted).ok();
        let known =
            |model: &Model| model.name().eq_ignore_ascii_case(&wanted) || arch.is_some() && model.arch() == arch;
        Model::ALL.into_iter().find(known).ok_or_else(|| {
            format!(
                "unknown model '{text}'; known are {}, and the names of architectures",
                Model::ALL.map(|model| model.name().to_lowercase()).join(", ")
            )
        })
    }
}

/// Limits on the search. A test that exceeds one is refused as too large.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// Maximum number of paths of one thread.
    pub traces: usize,
    /// Maximum number of search steps, that is of partial executions.
    pub candidates: u64,
    /// Maximum number of operations. It bounds the time: a step takes more of them where a test has many events.
    pub operations: u64,
    /// Maximum memory of the paths and of the final states, in bytes.
    pub bytes: usize,
}

impl Default for Bounds {
    /// Tests of one page stay far below these limits. The largest scenarios in the tree have some thousand
    /// candidates. A process that judges tests at these limits takes less than 500 MB (tests/check.rs).
    fn default() -> Bounds {
        Bounds { traces: 50_000, candidates: 20_000_000, operations: 1_500_000_000, bytes: 150_000_000 }
    }
}

impl Bounds {
    /// The bounds for a limit on the search steps. A limit above the default raises the other bounds too.
    pub fn of_limit(candidates: u64) -> Bounds {
        let known = Bounds::default();
        if candidates <= known.candidates {
            return Bounds { candidates, ..known };
        }
        let traces = usize::try_from(candidates).unwrap_or(usize::MAX);
        let factor = candidates.div_ceil(known.candidates);
        let bytes = known.bytes.saturating_mul(usize::try_from(factor).unwrap_or(usize::MAX));
        Bounds { traces, candidates, operations: known.operations.saturating_mul(factor), bytes }
    }
}

/// Why a test has no verdict.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ModelError {
    /// The test uses something that the published models do not cover.
    #[error("not modelled: {0}")]
    NotModelled(&'static str),
    /// The test does something that no model here can follow.
    #[error("cannot be judged: {0}")]
    Unsupported(String),
    /// The search exceeded one of the [`Bounds`].
    #[error("too large to be judged: {count} {what} or more")]
    TooLarge {
        /// What was counted.
        what: &'static str,
        /// The count when the search stopped.
        count: u64,
    },
    /// A thread or an execution is too long. No bound raises this limit.
    #[error("too large to be judged: {count} {what} or more; the most is {most}")]
    TooLong {
        /// What was counted.
        what: &'static str,
        /// The count when the search stopped.
        count: u64,
        /// The largest count that can be followed.
        most: u64,
    },
}

/// A result with [`ModelError`].
pub type Result<T> = std::result::Result<T, ModelError>;
