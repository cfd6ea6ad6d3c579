//! Atomic instructions of AArch64.

use super::access::{access_width, narrow};
use super::operand::{memory, source, target};
use super::register_name;
use crate::model::assembly::{Assembler, WORD};
use crate::model::code::{Change, Step};
use crate::model::event::Tags;
use crate::program::{Compare, Operand, RmwOp};

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
    type Make = fn(Operand) -> Change;
    const OPERATIONS: [(&str, Make); 9] = [
        ("SWP", |value| Change::Op(RmwOp::Xchg, value)),
        ("LDADD", |value| Change::Op(RmwOp::Add, value)),
        ("LDSET", |value| Change::Op(RmwOp::Or, value)),
        ("LDCLR", |value| Change::Op(RmwOp::AndNot, value)),
        ("LDEOR", |value| Change::Op(RmwOp::Xor, value)),
        ("LDSMAX", |value| Change::Extreme(Compare::Gt, value)),
        ("LDUMAX", |value| Change::Extreme(Compare::Gt, value)),
        ("LDSMIN", |value| Change::Extreme(Compare::Lt, value)),
        ("LDUMIN", |value| Change::Extreme(Compare::Lt, value)),
    ];
    let (mnemonic, narrow) = narrow(mnemonic);
    // STADD and its family are LDADD to the zero register. They have no acquiring forms.
    let stored = mnemonic.strip_prefix("ST").filter(|rest| matches!(rest.len(), 3..=5) && !rest.ends_with('A'));
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
        let (name, change) = OPERATIONS.into_iter().find(|(name, _)| mnemonic.starts_with(name))?;
        let (value, width) = source(a, first)?;
        let (dst, ty) = target(a, second)?;
        if width != ty {
            return None;
        }
        let ty = access_width(narrow, ty)?;
        let ty = match name {
            "LDSMAX" | "LDSMIN" => ty.with_sign(true),
            "LDUMAX" | "LDUMIN" => ty.with_sign(false),
            _ => ty,
        };
        (change(value), dst, ty, &mnemonic[name.len()..])
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
    // A value that is compared with its sign is not extended by it.
    if let (Change::Extreme(..), Some(dst)) = (change, dst)
        && ty.bits() < 64
    {
        a.mov(dst, Operand::Register(dst), ty.with_sign(false));
    }
    Some(())
}
