//! A thread that is written in assembly: its instructions as they stand in the test.
//!
//! One form serves the models and the code generator. The models translate each instruction to steps; the code
//! generator encodes it. Neither changes what the test says.

use super::{Const, LocationId, RegisterId};
use crate::litmus::Span;

/// One instruction of a test in assembly, or the labels behind the last one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Instruction {
    /// The labels in front of it.
    pub labels: Vec<String>,
    /// The mnemonic as written, with a prefix in front (`lock addl`). Empty if there are only labels.
    pub mnemonic: String,
    /// The operands without blanks.
    pub operands: Vec<String>,
    /// The instruction as written, without labels.
    pub text: String,
    /// Its place in the source.
    pub span: Span,
}

/// What a thread in assembly has in place of operations.
#[derive(Debug, Clone, PartialEq)]
pub struct Assembly {
    /// The instructions in order.
    pub instructions: Vec<Instruction>,
    /// The registers of the architecture that the thread uses, with their initial values.
    pub initial: Vec<(RegisterId, Const)>,
    /// The locations that the thread may access, each once, and whether it may write them.
    pub touched: Vec<(LocationId, bool)>,
    /// The names of the test's locations: on x86-64 an operand may name one.
    pub locations: Vec<String>,
    /// The integers that the thread may store, as far as they are known.
    pub values: Vec<Const>,
}

/// The label of the end of a thread, where a return goes. No label of a test has this name.
pub(crate) const END: &str = "@end";

impl Assembly {
    /// The index of the instruction with a label in front; for the end of the thread their number.
    pub fn label(&self, name: &str) -> Option<usize> {
        if name == END {
            return Some(self.instructions.len());
        }
        self.instructions.iter().position(|instruction| instruction.labels.iter().any(|label| label == name))
    }
}
