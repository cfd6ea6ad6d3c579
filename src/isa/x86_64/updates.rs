//! Instructions of X86_64 litmus tests that read and change memory or set the flags: arithmetic on memory, with and
//! without `lock`, CMPXCHG, XADD, MOVNTI and the conditional jumps.

use super::assembly::{Place, merged, narrow_place, place, set};
use super::mnemonic::Mnemonic;
use crate::model::assembly::{Assembler, BYTE, HALF, LONG, Signs, WORD};
use crate::model::code::{Change, Step};
use crate::model::event::Tags;
use crate::program::{Binary, Compare, Const, Operand, RmwOp, Type};

/// Adds the steps of one of these instructions. The mnemonic is in lower case.
pub(super) fn assemble(a: &mut Assembler, mnemonic: &str, operands: &[&str], names: &[String]) -> Option<()> {
    if let (Some(condition), [label]) = (mnemonic.strip_prefix('j'), operands) {
        return a.branch_if(self::condition(condition)?, label);
    }
    let Mnemonic { lock: locked, name, suffix } = Mnemonic::of(mnemonic);
    let given = match suffix {
        None => None,
        Some(4) => Some(WORD),
        Some(8) => Some(LONG),
        Some(1) => Some(BYTE),
        Some(_) => Some(HALF),
    };
    let mut places = Vec::new();
    for text in operands {
        places.push(match given {
            Some(ty) if ty.bits() < 32 => narrow_place(a, text, ty, names)?,
            _ => place(a, text, names)?,
        });
    }
    places.reverse();
    if matches!(places.as_slice(), [Place::Value(_), _]) {
        a.hint = Some("the target stands last in X86_64 tests and first in X86 tests");
        return None;
    }
    // Only memory can be the target of these, in either order of the operands.
    if matches!(
        (name, places.as_slice()),
        ("xchg" | "cmpxchg" | "xadd" | "movnti", [Place::Register(..), Place::Memory(_)])
    ) {
        places.reverse();
    }
    let width = places.iter().find_map(|place| match place {
        Place::Register(_, ty) => Some(*ty),
        _ => None,
    });
    let ty = width.or(given).unwrap_or(WORD);
    // Target first from here on.
    let target = places.first()?;
    let value = match places.get(1) {
        None => None,
        Some(Place::Value(value)) => Some(Operand::Const(Const::Int(*value))),
        Some(place) => Some(read(a, place, ty)?),
    };
    match (name, target, value) {
        ("movnti", Place::Memory(address), Some(value @ Operand::Register(_))) if ty.bits() >= 32 => {
            a.not_modelled = Some("non-temporal stores are outside of the published models");
            a.steps.push(Step::Write { address: *address, value, ty, tags: Tags::NONE });
        }
        ("xchg", Place::Memory(address), Some(Operand::Register(register))) => {
            let (old, change) = (a.temporary(), Change::Op(RmwOp::Xchg, Operand::Register(register)));
            a.atomic(Some(old), *address, ty, change, [Tags::AMO, Tags::AMO]);
            set(a, register, Operand::Register(old), ty);
        }
        ("xadd", Place::Memory(address), Some(value @ Operand::Register(register))) if locked => {
            // The register gets the old value, and the flags are those of the sum.
            let (old, sum) = (a.temporary(), a.temporary());
            let change = Change::Op(RmwOp::Add, value);
            a.atomic(Some(old), *address, ty, change, [Tags::AMO, Tags::AMO]);
            a.binary(Binary::Add, sum, Operand::Register(old), value, ty);
            set(a, register, Operand::Register(old), ty);
            a.compare_with_zero(Operand::Register(sum), ty);
        }
        ("cmpxchg", Place::Memory(address), Some(new @ Operand::Register(_))) if locked => {
            let (rax, expected, old) = (a.register("eax")?, a.temporary(), a.temporary());
            a.mov(expected, Operand::Register(rax), ty);
            let change = Change::IfEqual { expected: Operand::Register(expected), new };
            let [read, compared, kept] = [old, expected, rax].map(Operand::Register);
            a.atomic(Some(old), *address, ty, change, [Tags::AMO, Tags::AMO]);
            // rax is compared with the memory, in this order (Intel SDM, CMPXCHG).
            a.compare(compared, read, ty);
            // rax is written only if the values differ: its upper half stays where they are equal.
            let replaced = merged(a, rax, read, ty);
            a.select(rax, (Compare::Eq, Signs::Signed), kept, replaced);
        }
        // In place of the locked step, a read and then a write, which is done in each case: the old value goes back if the
        // comparison fails (Intel SDM and AMD APM, CMPXCHG).
        ("cmpxchg", Place::Memory(address), Some(new @ Operand::Register(_))) => {
            let (rax, old, written) = (a.register("eax")?, a.temporary(), a.temporary());
            a.steps.push(Step::Read { dst: Some(old), address: *address, ty, tags: Tags::NONE });
            let [read, kept] = [old, rax].map(Operand::Register);
            a.compare(kept, read, ty);
            let equal = (Compare::Eq, Signs::Signed);
            a.select(written, equal, new, read);
            let value = Operand::Register(written);
            a.steps.push(Step::Write { address: *address, value, ty, tags: Tags::NONE });
            let replaced = merged(a, rax, read, ty);
            a.select(rax, equal, kept, replaced);
        }
        ("shl" | "sal" | "shr" | "sar", _, Some(Operand::Const(Const::Int(count)))) if !locked => {
            shift(a, name, target, count, ty)?;
        }
        ("shl" | "sal" | "shr" | "sar", _, None) if !locked => shift(a, name, target, 1, ty)?,
        ("cmp" | "test", _, Some(right)) => {
            let left = read(a, target, ty)?;
            compare(a, name, left, right, ty);
        }
        _ => return change(a, (name, locked), target, value, ty),
    }
    Some(())
}

/// The value of a register or of memory.
fn read(a: &mut Assembler, target: &Place, ty: Type) -> Option<Operand> {
    Some(match target {
        Place::Register(register, _) => Operand::Register(*register),
        Place::Memory(address) => {
            let dst = a.temporary();
            a.steps.push(Step::Read { dst: Some(dst), address: *address, ty, tags: Tags::NONE });
            Operand::Register(dst)
        }
        Place::Value(_) => return None,
    })
}

fn compare(a: &mut Assembler, name: &str, left: Operand, right: Operand, ty: Type) {
    if name == "cmp" {
        return a.compare(left, right, ty);
    }
    let dst = a.temporary();
    a.binary(Binary::And, dst, left, right, ty);
    a.compare_with_zero(Operand::Register(dst), ty);
}

/// An operation that changes its target: a register, memory, or memory in one locked step.
fn change(
    a: &mut Assembler,
    (name, locked): (&str, bool),
    target: &Place,
    value: Option<Operand>,
    ty: Type,
) -> Option<()> {
    let one = Operand::Const(Const::Int(1));
    let (op, rmw, value) = match (name, value) {
        ("add", Some(value)) => (Binary::Add, RmwOp::Add, value),
        ("sub", Some(value)) => (Binary::Sub, RmwOp::Sub, value),
        ("and", Some(value)) => (Binary::And, RmwOp::And, value),
        ("or", Some(value)) => (Binary::Or, RmwOp::Or, value),
        ("xor", Some(value)) => (Binary::Xor, RmwOp::Xor, value),
        ("inc", None) => (Binary::Add, RmwOp::Add, one),
        ("dec", None) => (Binary::Sub, RmwOp::Sub, one),
        _ => return None,
    };
    let new = match (target, locked) {
        (Place::Register(register, _), false) => {
            let new = a.temporary();
            a.binary(op, new, Operand::Register(*register), value, ty);
            set(a, *register, Operand::Register(new), ty);
            new
        }
        (Place::Memory(address), _) => {
            let (old, new) = (a.temporary(), a.temporary());
            if locked {
                a.atomic(Some(old), *address, ty, Change::Op(rmw, value), [Tags::AMO, Tags::AMO]);
                a.binary(op, new, Operand::Register(old), value, ty);
            } else {
                a.steps.push(Step::Read { dst: Some(old), address: *address, ty, tags: Tags::NONE });
                a.binary(op, new, Operand::Register(old), value, ty);
                let value = Operand::Register(new);
                a.steps.push(Step::Write { address: *address, value, ty, tags: Tags::NONE });
            }
            new
        }
        _ => return None,
    };
    a.compare_with_zero(Operand::Register(new), ty);
    Some(())
}

/// A shift by a constant. The flags are those of the result; a shift by 0 sets none.
fn shift(a: &mut Assembler, name: &str, target: &Place, count: i64, ty: Type) -> Option<()> {
    if !(0..i64::from(ty.bits())).contains(&count) {
        return None;
    }
    let old = read(a, target, ty)?;
    let (op, extended) = match name {
        "sar" => (Binary::ShiftRight, ty.with_sign(true)),
        "shr" => (Binary::ShiftRight, ty.with_sign(false)),
        _ => (Binary::ShiftLeft, ty),
    };
    let (low, new) = (a.temporary(), a.temporary());
    a.mov(low, old, extended);
    a.binary(op, new, Operand::Register(low), Operand::Const(Const::Int(count)), extended);
    let value = Operand::Register(new);
    match target {
        Place::Register(register, _) => set(a, *register, value, ty),
        Place::Memory(address) => {
            a.steps.push(Step::Write { address: *address, value, ty, tags: Tags::NONE });
        }
        Place::Value(_) => return None,
    }
    if count > 0 {
        a.compare_with_zero(value, ty);
    }
    Some(())
}

/// The condition of a conditional jump. That on overflow alone is not followed.
fn condition(suffix: &str) -> Option<(Compare, Signs)> {
    Some(match suffix {
        "e" | "z" => (Compare::Eq, Signs::Signed),
        "ne" | "nz" => (Compare::Ne, Signs::Signed),
        // `lt` and `gt` are herd7's names.
        "l" | "nge" | "lt" => (Compare::Lt, Signs::Signed),
        "le" | "ng" => (Compare::Le, Signs::Signed),
        "g" | "nle" | "gt" => (Compare::Gt, Signs::Signed),
        "ge" | "nl" => (Compare::Ge, Signs::Signed),
        "b" | "c" | "nae" => (Compare::Lt, Signs::Unsigned),
        "be" | "na" => (Compare::Le, Signs::Unsigned),
        "a" | "nbe" => (Compare::Gt, Signs::Unsigned),
        "ae" | "nb" | "nc" => (Compare::Ge, Signs::Unsigned),
        "s" => (Compare::Lt, Signs::OfResult),
        "ns" => (Compare::Ge, Signs::OfResult),
        _ => return None,
    })
}
