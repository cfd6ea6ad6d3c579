//! The operands of AArch64 instructions.

use super::register_name;
use crate::model::assembly::{Assembler, BYTE, HALF, LONG, SIGNED_BYTE, SIGNED_HALF, WORD, ZERO, int, parse_int};
use crate::program::{Address, Binary, Operand, RegisterId, Type};

/// Whether a second operand is that of a sum or of a bitwise operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Second {
    /// A constant may be shifted by 12, a register may be extended or shifted.
    OfSum,
    /// A register may be shifted or rotated.
    OfBits,
}

fn is_zero(text: &str) -> bool {
    text.eq_ignore_ascii_case("wzr") || text.eq_ignore_ascii_case("xzr")
}

/// A source register and its width. The zero register reads as 0.
pub(super) fn source(a: &mut Assembler, text: &str) -> Option<(Operand, Type)> {
    let ty = register_name(text)?.1;
    if is_zero(text) {
        return Some((ZERO, ty));
    }
    Some((Operand::Register(a.register(text)?), ty))
}

/// A source register of this width.
pub(super) fn source_of(a: &mut Assembler, text: &str, ty: Type) -> Option<Operand> {
    source(a, text).filter(|(_, own)| *own == ty).map(|(value, _)| value)
}

/// The value of an operand `#value`.
pub(super) fn constant(text: &str) -> Option<i64> {
    text.strip_prefix('#').and_then(parse_int)
}

/// An operand: a register of this width, or `#value`, which has no more bits.
pub(super) fn operand_of(a: &mut Assembler, text: &str, ty: Type) -> Option<Operand> {
    match constant(text) {
        Some(value) => (ty == LONG || (-(1 << 31)..1 << 32).contains(&value)).then(|| int(value)),
        None => source_of(a, text, ty),
    }
}

/// A target register and its width; `None` for the zero register, which discards the value.
pub(super) fn target(a: &mut Assembler, text: &str) -> Option<(Option<RegisterId>, Type)> {
    let ty = register_name(text)?.1;
    if is_zero(text) {
        return Some((None, ty));
    }
    Some((Some(a.register(text)?), ty))
}

/// As [`target`], for steps that need a register: the zero register becomes a temporary.
pub(super) fn sink(a: &mut Assembler, text: &str) -> Option<(RegisterId, Type)> {
    let (register, ty) = target(a, text)?;
    Some((register.unwrap_or_else(|| a.temporary()), ty))
}

/// The second operand of a computation of this width: `#1`, `#1,LSL #12`, `X1`, `X1,ASR #2` or `W1,SXTW`.
pub(super) fn second(a: &mut Assembler, parts: &[&str], ty: Type, kind: Second) -> Option<Operand> {
    match *parts {
        [operand] => operand_of(a, operand, ty),
        [first, extension] => {
            let (name, count) = split_extension(extension)?;
            match (constant(first), kind) {
                (Some(value), Second::OfSum) => {
                    (name == "LSL" && matches!(count, 0 | 12) && (-4095..4096).contains(&value))
                        .then(|| int(value << count))
                }
                (Some(_), Second::OfBits) => None,
                (None, _) if matches!(name.as_str(), "LSR" | "ASR" | "ROR") || name == "LSL" => {
                    if name == "ROR" && kind == Second::OfSum {
                        return None;
                    }
                    let value = source_of(a, first, ty)?;
                    let count = (0..i64::from(ty.bits())).contains(&count).then(|| int(count))?;
                    Some(Operand::Register(shifted(a, &name, value, count, ty)?))
                }
                (None, Second::OfSum) => extended(a, first, &name, count, ty),
                (None, Second::OfBits) => None,
            }
        }
        _ => None,
    }
}

/// The name of a shift or of an extension, and the number of bits.
fn split_extension(text: &str) -> Option<(String, i64)> {
    let text = text.to_ascii_uppercase();
    let is_shift = matches!(text.as_str(), "LSL" | "LSR" | "ASR" | "ROR");
    let (name, count) = text.split_once('#').or((!is_shift).then_some((text.as_str(), "0")))?;
    Some((name.to_owned(), parse_int(count)?))
}

/// A value of this width after LSL, LSR, ASR or ROR by fewer bits than it has.
pub(super) fn shifted(a: &mut Assembler, name: &str, value: Operand, count: Operand, ty: Type) -> Option<RegisterId> {
    let (op, from) = match name {
        "LSL" => (Binary::ShiftLeft, ty.with_sign(false)),
        "LSR" => (Binary::ShiftRight, ty.with_sign(false)),
        "ASR" => (Binary::ShiftRight, ty.with_sign(true)),
        "ROR" => return Some(rotated(a, value, count, ty)),
        _ => return None,
    };
    let dst = a.temporary();
    a.mov(dst, value, from);
    a.binary(op, dst, Operand::Register(dst), count, from);
    Some(dst)
}

fn rotated(a: &mut Assembler, value: Operand, count: Operand, ty: Type) -> RegisterId {
    let bits = i64::from(ty.bits());
    let (right, left, back) = (a.temporary(), a.temporary(), a.temporary());
    a.mov(right, value, ty.with_sign(false));
    a.binary(Binary::ShiftRight, right, Operand::Register(right), count, ty.with_sign(false));
    // Without a count both parts are the value.
    a.binary(Binary::Sub, back, int(bits), count, LONG);
    a.binary(Binary::And, back, Operand::Register(back), int(bits - 1), LONG);
    a.binary(Binary::ShiftLeft, left, value, Operand::Register(back), ty.with_sign(false));
    a.binary(Binary::Or, right, Operand::Register(right), Operand::Register(left), ty.with_sign(false));
    right
}

/// A register that is extended to this width, and shifted by up to 4 bits. As in herd7, the register may have the name of
/// 64 bits where only its lower bits count.
fn extended(a: &mut Assembler, text: &str, name: &str, count: i64, ty: Type) -> Option<Operand> {
    let from = match name {
        "SXTB" => SIGNED_BYTE,
        "SXTH" => SIGNED_HALF,
        "SXTW" => Type::INT,
        "UXTB" => BYTE,
        "UXTH" => HALF,
        "UXTW" => WORD,
        "SXTX" | "UXTX" => LONG,
        _ => return None,
    };
    let (value, own) = source(a, text)?;
    if from == LONG && own != LONG || !(0..=4).contains(&count) {
        return None;
    }
    let dst = a.temporary();
    a.mov(dst, value, from);
    if count != 0 {
        a.binary(Binary::ShiftLeft, dst, Operand::Register(dst), int(count), ty);
    }
    Some(Operand::Register(dst))
}

/// A memory operand: `[X0]`, `[X0,#0]`, `[X0,X1]`, `[X0,W1,SXTW]`, `[X0,X1,LSL #2]`. The base is 64 bits wide.
pub(super) fn memory(a: &mut Assembler, text: &str) -> Option<Address> {
    let inner = text.strip_prefix('[')?.strip_suffix(']')?;
    let mut parts = inner.split(',');
    let base = parts.next()?;
    if register_name(base)?.1 != LONG || is_zero(base) {
        return None;
    }
    let base = a.register(base)?;
    let (index, extension) = (parts.next(), parts.next());
    if parts.next().is_some() {
        return None;
    }
    let index = match (index, extension) {
        (None, _) => ZERO,
        (Some(index), None) => operand_of(a, index, LONG)?,
        (Some(index), Some(extension)) => {
            let (name, _) = split_extension(extension)?;
            // The others do not extend an index.
            if constant(index).is_some() || !matches!(name.as_str(), "LSL" | "UXTW" | "SXTW" | "UXTX" | "SXTX") {
                return None;
            }
            second(a, &[index, extension], LONG, Second::OfSum)?
        }
    };
    Some(a.indexed(base, index))
}
