//! Atomic instructions of AArch64.

use super::access::{access_width, narrow};
use super::operand::{memory, source, target};
use super::register_name;
use crate::model::assembly::{Assembler, WORD};
use crate::model::code::{Change, Step};
use crate::model::event::Tags;
use crate::program::RmwOp;

/// The tags of the read and of the write, from the ordering suffix of an atomic instruction.
fn letters(text: &str) -> Option<(Tags, Tags)> {
    Some(match text {
        "" => (Tags::NONE, Tags::NONE),
        "A" => (Tags::ACQUIRE, Tags::NONE),
        "L" => (Tags::NONE, Tags::RELEASE),
        "AL" => (Tags::ACQUIRE, Tags::RELEASE),
        _ => return None,
    })
}

/// CAS, SWP and the operations that return the old value or, as ST, do not.
pub(super) fn atomic(a: &mut Assembler, mnemonic: &str, operands: &[&str]) -> Option<()> {
    const OPERATIONS: [(&str, RmwOp); 5] = [
        ("SWP", RmwOp::Xchg),
        ("LDADD", RmwOp::Add),
        ("LDSET", RmwOp::Or),
        ("LDCLR", RmwOp::AndNot),
        ("LDEOR", RmwOp::Xor),
    ];
    let (mnemonic, narrow) = narrow(mnemonic);
    // STADD and its family are LDADD to the zero register. They have no acquiring forms.
    let stored = mnemonic.strip_prefix("ST").filter(|rest| matches!(rest.len(), 3 | 4) && !rest.ends_with('A'));
    let loading = stored.map(|rest| format!("LD{rest}"));
    let mnemonic = loading.as_deref().unwrap_or(mnemonic);
    let (first, second, place) = match (operands, stored) {
        ([first, second, place], None) => (*first, *second, *place),
        ([first, place], Some(_)) => (*first, if register_name(first)?.1 == WORD { "WZR" } else { "XZR" }, *place),
        _ => return None,
    };
    let address = memory(a, place)?;
    let (change, dst, ty, order) = if let Some(order) = mnemonic.strip_prefix("CAS") {
        let (expected, ty) = source(a, first)?;
        let (new, width) = source(a, second)?;
        if width != ty {
            return None;
        }
        (Change::IfEqual { expected, new }, target(a, first)?.0, access_width(narrow, ty)?, order)
    } else {
        let (name, op) = OPERATIONS.into_iter().find(|(name, _)| mnemonic.starts_with(name))?;
        let (value, width) = source(a, first)?;
        let (dst, ty) = target(a, second)?;
        if width != ty {
            return None;
        }
        (Change::Op(op, value), dst, access_width(narrow, ty)?, &mnemonic[name.len()..])
    };
    let (acquires, releases) = letters(order)?;
    // If the value read goes to the zero register, barriers for loads do not wait for the read, and the read
    // does not acquire.
    let read = if dst.is_some() { acquires } else { Tags::NORETURN };
    a.atomic(dst, address, ty, change, [Tags::AMO | read, Tags::AMO | releases]);
    if let (Change::IfEqual { .. }, Some(Step::Update(update))) = (change, a.steps.last_mut()) {
        // The result of cas has only a "pick" dependency on the value read, as in `events`.
        update.picks = true;
    }
    Some(())
}
