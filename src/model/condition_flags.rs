//! Which instructions set the flags that a conditional jump or select of an assembly test reads.
//!
//! Every instruction that sets flags leaves two operands in the same two registers, so a reader sees those of the last one
//! on its path. What the operands mean depends on that instruction. A condition is followed if it means the same for every
//! instruction that may have set the flags last.

use std::collections::BTreeSet;

use super::assembly::{Condition, Signs};
use super::code::{CodeThread, Step};
use super::flow::{self, Entries};
use crate::program::{Compare, Type};

/// An instruction that sets the flags.
#[derive(Debug, Clone, Copy)]
pub(super) struct Setter {
    /// Its step that sets them.
    pub step: usize,
    /// The type of what it compares.
    pub ty: Type,
    /// Whether they only say if the result is 0 or negative. The other conditions depend on a carry or an overflow, which
    /// is not followed.
    pub only_result: bool,
}

/// An instruction that reads the flags.
#[derive(Debug, Clone, Copy)]
pub(super) struct Reader {
    /// Its first step that reads them.
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
    /// It asks for the sign of a result. One instruction has a result of 32 bits, and another one of 64 bits.
    Widths,
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

/// Gives each reader that asks for the sign of a result the width of that result.
///
/// # Errors
/// The first condition that is not followed.
pub(super) fn connect(thread: &mut CodeThread, setters: &[Setter], readers: &[Reader]) -> Result<(), Refused> {
    if readers.is_empty() {
        return Ok(());
    }
    let last = last_setters(thread, setters, readers);
    for (reader, last) in readers.iter().zip(last) {
        let known: Vec<&Setter> = last.iter().flatten().map(|setter| &setters[*setter]).collect();
        let refused = |reason| {
            let setters = known.iter().map(|setter| setter.step).collect();
            Err(Refused { step: reader.step, reason, setters })
        };
        if last.contains(&None) {
            return refused(Reason::NotSet);
        }
        // No path leads to the reader.
        let Some(first) = known.first() else { continue };
        match reader.condition {
            (_, Signs::OfResult) => {
                if known.iter().any(|setter| setter.ty != first.ty) {
                    return refused(Reason::Widths);
                }
                if let Step::Binary { ty, .. } = &mut thread.steps[reader.step] {
                    *ty = first.ty;
                }
            }
            (Compare::Eq | Compare::Ne, _) => {}
            _ => {
                if let Some(setter) = known.iter().find(|setter| setter.only_result) {
                    return refused(Reason::NotFollowed(setter.step));
                }
            }
        }
    }
    Ok(())
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
