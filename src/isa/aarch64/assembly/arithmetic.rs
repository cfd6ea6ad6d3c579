//! Computations of AArch64, and what depends on the flags.

use super::atomic::atomic;
use super::condition;
use super::operand::{Second, constant, operand_of, second, shifted, sink, source, source_of};
use crate::model::assembly::{Assembler, BYTE, HALF, LONG, SIGNED_BYTE, SIGNED_HALF, Sets, WORD, ZERO, int};
use crate::model::code::Step;
use crate::program::{Binary, Operand, RegisterId, Type, Unary};

/// A computation, or what depends on the flags.
pub(super) fn arithmetic(a: &mut Assembler, mnemonic: &str, operands: &[&str]) -> Option<()> {
    if let Some(suffix) = mnemonic.strip_prefix("B.") {
        let [label] = operands else { return None };
        return a.branch_if(condition(suffix)?, label);
    }
    match (mnemonic, operands) {
        ("CSEL" | "CSINC" | "CSINV" | "CSNEG", [dst, then, otherwise, suffix]) => {
            let ((then, width), (otherwise, ty)) = (source(a, then)?, source(a, otherwise)?);
            let otherwise = changed(a, &mnemonic[2..], otherwise, ty);
            let (dst, own) = sink(a, dst)?;
            (width == ty && own == ty).then_some(())?;
            select(a, (dst, own), suffix, then, otherwise)
        }
        ("CSET" | "CSETM", [dst, suffix]) => {
            let dst = sink(a, dst)?;
            select(a, dst, suffix, int(if mnemonic == "CSET" { 1 } else { -1 }), ZERO)
        }
        ("CMP" | "CMN", [left, right @ ..]) => {
            let (left, ty) = source(a, left)?;
            let right = second(a, right, ty, Second::OfSum)?;
            a.set_flags(if mnemonic == "CMP" { Sets::Difference } else { Sets::Sum }, left, right, ty);
            Some(())
        }
        ("TST", [left, right @ ..]) => {
            let (left, ty) = source(a, left)?;
            let right = second(a, right, ty, Second::OfBits)?;
            let dst = a.temporary();
            a.binary(Binary::And, dst, left, right, ty);
            a.set_flags(Sets::Bits, Operand::Register(dst), ZERO, ty);
            Some(())
        }
        ("NEG" | "NEGS" | "MVN", [dst, src @ ..]) if src.first().is_some_and(|src| constant(src).is_none()) => {
            let (dst, ty) = sink(a, dst)?;
            if mnemonic == "MVN" {
                let src = second(a, src, ty, Second::OfBits)?;
                a.steps.push(Step::Unary { dst, op: Unary::Invert, src, ty });
                return Some(());
            }
            let src = second(a, src, ty, Second::OfSum)?;
            if mnemonic == "NEGS" {
                a.compare(ZERO, src, ty);
            }
            a.steps.push(Step::Unary { dst, op: Unary::Negate, src, ty });
            Some(())
        }
        ("MOV", [dst, src]) => {
            let (dst, ty) = sink(a, dst)?;
            let src = operand_of(a, src, ty)?;
            a.mov(dst, src, ty);
            Some(())
        }
        ("MOVZ" | "MOVN" | "MOVK", [dst, value, shift @ ..]) => wide(a, mnemonic, dst, value, shift),
        ("SXTB" | "SXTH" | "SXTW" | "UXTB" | "UXTH", [dst, src]) => extend(a, mnemonic, dst, src),
        ("MUL" | "MNEG", [dst, left, right]) => product(a, mnemonic, dst, [left, right], None),
        ("MADD" | "MSUB", [dst, left, right, sum]) => product(a, mnemonic, dst, [left, right], Some(sum)),
        ("SMULL" | "UMULL" | "SMNEGL" | "UMNEGL", [dst, left, right]) => {
            long_product(a, mnemonic, dst, [left, right], None)
        }
        ("SMADDL" | "UMADDL" | "SMSUBL" | "UMSUBL", [dst, left, right, sum]) => {
            long_product(a, mnemonic, dst, [left, right], Some(sum))
        }
        ("UBFM" | "SBFM" | "BFM" | "UBFX" | "SBFX" | "BFXIL" | "UBFIZ" | "SBFIZ" | "BFI", [dst, src, first, last]) => {
            field(a, mnemonic, [dst, src], [constant(first)?, constant(last)?])
        }
        ("ABS" | "RBIT" | "REV" | "REV16" | "REV32" | "REV64", [dst, src]) => of_bits(a, mnemonic, dst, src),
        ("EXTR", [dst, upper, lower, count]) => {
            let (dst, ty) = sink(a, dst)?;
            let (upper, lower) = (source_of(a, upper, ty)?, source_of(a, lower, ty)?);
            let bits = i64::from(ty.bits());
            let count = constant(count).filter(|count| (0..bits).contains(count))?;
            let low = shifted(a, "LSR", lower, int(count), ty)?;
            if count == 0 {
                a.mov(dst, Operand::Register(low), ty);
                return Some(());
            }
            let high = shifted(a, "LSL", upper, int(bits - count), ty)?;
            a.binary(Binary::Or, dst, Operand::Register(high), Operand::Register(low), ty);
            Some(())
        }
        ("LSL" | "LSR" | "ASR" | "ROR", [dst, left, right]) => shift(a, mnemonic, [dst, left, right]),
        // What the forms with a register are called in the manual
        ("LSLV" | "LSRV" | "ASRV" | "RORV", [dst, left, right]) if constant(right).is_none() => {
            shift(a, &mnemonic[..3], [dst, left, right])
        }
        (_, [dst, left, right @ ..]) if !right.is_empty() => {
            let (name, sets_flags) = mnemonic.strip_suffix('S').map_or((mnemonic, false), |name| (name, true));
            let op = match name {
                "ADD" => Binary::Add,
                "SUB" => Binary::Sub,
                "AND" | "BIC" => Binary::And,
                "EOR" | "EON" if !sets_flags => Binary::Xor,
                "ORR" | "ORN" if !sets_flags => Binary::Or,
                _ => return atomic(a, mnemonic, operands),
            };
            let inverts = matches!(name, "BIC" | "EON" | "ORN");
            // BIC of a constant is another spelling of AND.
            if constant(right[0]).is_some() && matches!(name, "EON" | "ORN") {
                return None;
            }
            let (left, width) = source(a, left)?;
            let kind = if matches!(op, Binary::Add | Binary::Sub) { Second::OfSum } else { Second::OfBits };
            let right = second(a, right, width, kind)?;
            let (dst, ty) = sink(a, dst).filter(|(_, ty)| *ty == width)?;
            let right = if inverts { changed(a, "INV", right, ty) } else { right };
            if sets_flags && kind == Second::OfSum {
                // Before the target, which may be an operand, gets the result.
                a.set_flags(if op == Binary::Sub { Sets::Difference } else { Sets::Sum }, left, right, ty);
            }
            a.binary(op, dst, left, right, ty);
            if sets_flags && kind == Second::OfBits {
                a.set_flags(Sets::Bits, Operand::Register(dst), ZERO, ty);
            }
            Some(())
        }
        _ => atomic(a, mnemonic, operands),
    }
}

/// One of two values in a register. With a name of 32 bits the register keeps no upper half of the value.
fn select(
    a: &mut Assembler,
    (dst, ty): (RegisterId, Type),
    suffix: &str,
    then: Operand,
    otherwise: Operand,
) -> Option<()> {
    a.select(dst, condition(suffix)?, then, otherwise);
    if ty == WORD {
        a.mov(dst, Operand::Register(dst), WORD);
    }
    Some(())
}

/// The second value of CSEL, CSINC, CSINV or CSNEG: as it is, plus one, inverted or negated.
fn changed(a: &mut Assembler, kind: &str, value: Operand, ty: Type) -> Operand {
    let dst = a.temporary();
    match kind {
        "INC" => a.binary(Binary::Add, dst, value, int(1), ty),
        "INV" => a.steps.push(Step::Unary { dst, op: Unary::Invert, src: value, ty }),
        "NEG" => a.steps.push(Step::Unary { dst, op: Unary::Negate, src: value, ty }),
        _ => return value,
    }
    Operand::Register(dst)
}

/// LSL, LSR, ASR and ROR by a constant or by a register, of which only the lowest 5 or 6 bits count.
fn shift(a: &mut Assembler, name: &str, [dst, left, right]: [&str; 3]) -> Option<()> {
    let (left, ty) = source(a, left)?;
    let bits = i64::from(ty.bits());
    let count = match constant(right) {
        Some(count) => (0..bits).contains(&count).then(|| int(count))?,
        None => {
            let (count, register) = (a.temporary(), source_of(a, right, ty)?);
            a.binary(Binary::And, count, register, int(bits - 1), LONG);
            Operand::Register(count)
        }
    };
    let (dst, _) = sink(a, dst).filter(|(_, own)| *own == ty)?;
    let value = shifted(a, name, left, count, ty)?;
    a.mov(dst, Operand::Register(value), ty);
    Some(())
}

/// MOVZ, MOVN and MOVK: 16 bits at a multiple of 16. MOVK keeps the others.
fn wide(a: &mut Assembler, name: &str, dst: &str, value: &str, shift: &[&str]) -> Option<()> {
    let (dst, ty) = sink(a, dst)?;
    let value = constant(value).filter(|value| (0..1 << 16).contains(value))?;
    let at = match shift {
        [] => 0,
        [shift] => constant(shift.get(..3).filter(|kind| kind.eq_ignore_ascii_case("LSL")).map(|_| &shift[3..])?)?,
        _ => return None,
    };
    (at % 16 == 0 && (0..i64::from(ty.bits())).contains(&at)).then_some(())?;
    let (value, mask) = (value << at, 0xffff << at);
    match name {
        "MOVZ" => a.mov(dst, int(value), ty),
        "MOVN" => a.mov(dst, int(!value), ty),
        _ => {
            a.binary(Binary::And, dst, Operand::Register(dst), int(!mask), ty);
            a.binary(Binary::Or, dst, Operand::Register(dst), int(value), ty);
        }
    }
    Some(())
}

/// SXTB and the others that extend a register.
fn extend(a: &mut Assembler, name: &str, dst: &str, src: &str) -> Option<()> {
    let src = source_of(a, src, WORD)?;
    let from = match name {
        "SXTB" => SIGNED_BYTE,
        "SXTH" => SIGNED_HALF,
        "SXTW" => Type::INT,
        "UXTB" => BYTE,
        _ => HALF,
    };
    // SXTW has a target of 64 bits, the extensions by zeros one of 32.
    let (dst, ty) = sink(a, dst)?;
    let fits = if name.starts_with('U') { ty == WORD } else { ty == LONG || name != "SXTW" };
    fits.then_some(())?;
    a.mov(dst, src, from);
    if ty == WORD {
        a.mov(dst, Operand::Register(dst), WORD);
    }
    Some(())
}

/// A product that is added to a sum or subtracted from it; without a sum that is 0.
fn product(a: &mut Assembler, name: &str, dst: &str, factors: [&str; 2], sum: Option<&str>) -> Option<()> {
    let (dst, ty) = sink(a, dst)?;
    let [left, right] = factors.map(|factor| source_of(a, factor, ty));
    let sum = sum.map_or(Some(ZERO), |sum| source_of(a, sum, ty))?;
    sum_of_product(a, name, (dst, ty), [left?, right?], sum);
    Some(())
}

/// The same with factors of 32 bits and a result of 64 bits.
fn long_product(a: &mut Assembler, name: &str, dst: &str, factors: [&str; 2], sum: Option<&str>) -> Option<()> {
    let (dst, ty) = sink(a, dst).filter(|(_, ty)| *ty == LONG)?;
    let from = if name.starts_with('S') { Type::INT } else { WORD };
    let sum = sum.map_or(Some(ZERO), |sum| source_of(a, sum, LONG))?;
    let mut extended = [ZERO; 2];
    for (factor, extended) in factors.into_iter().zip(&mut extended) {
        let (value, copy) = (source_of(a, factor, WORD)?, a.temporary());
        a.mov(copy, value, from);
        *extended = Operand::Register(copy);
    }
    sum_of_product(a, name, (dst, ty), extended, sum);
    Some(())
}

fn sum_of_product(
    a: &mut Assembler,
    name: &str,
    (dst, ty): (RegisterId, Type),
    [left, right]: [Operand; 2],
    sum: Operand,
) {
    let subtracts = matches!(name, "MNEG" | "MSUB" | "SMNEGL" | "UMNEGL" | "SMSUBL" | "UMSUBL");
    if sum == ZERO && !subtracts {
        return a.binary(Binary::Mul, dst, left, right, ty);
    }
    let product = a.temporary();
    a.binary(Binary::Mul, product, left, right, ty);
    let op = if subtracts { Binary::Sub } else { Binary::Add };
    a.binary(op, dst, sum, Operand::Register(product), ty);
}

/// UBFM and its family: some bits of a register at another place, and above them zeros, the sign, or what the target has.
fn field(a: &mut Assembler, name: &str, [dst, src]: [&str; 2], [first, last]: [i64; 2]) -> Option<()> {
    let (dst, ty) = sink(a, dst)?;
    let src = source_of(a, src, ty)?;
    let bits = i64::from(ty.bits());
    // The lowest bit, the number of bits, and where they go.
    let (from, width, to) = match name {
        "UBFX" | "SBFX" | "BFXIL" => (first, last, 0),
        "UBFIZ" | "SBFIZ" | "BFI" => (0, last, first),
        _ => {
            ((0..bits).contains(&first) && (0..bits).contains(&last)).then_some(())?;
            if last >= first { (first, last - first + 1, 0) } else { (0, last + 1, bits - first) }
        }
    };
    let fits = (0..bits).contains(&from) && (0..bits).contains(&to) && (1..=bits - from.max(to)).contains(&width);
    fits.then_some(())?;
    // To the top of 64 bits, and back with zeros or with the sign.
    let value = a.temporary();
    a.binary(Binary::ShiftLeft, value, src, int(64 - from - width), LONG);
    let kind = if name.starts_with('S') { LONG } else { LONG.with_sign(false) };
    a.binary(Binary::ShiftRight, value, Operand::Register(value), int(64 - width), kind);
    a.binary(Binary::ShiftLeft, value, Operand::Register(value), int(to), LONG);
    if !name.starts_with('B') {
        a.mov(dst, Operand::Register(value), ty);
        return Some(());
    }
    let mask = (u64::MAX >> (64 - width) << to).cast_signed();
    a.binary(Binary::And, dst, Operand::Register(dst), int(!mask), ty);
    a.binary(Binary::Or, dst, Operand::Register(dst), Operand::Register(value), ty);
    Some(())
}

/// ABS, and what turns round the bits or the bytes of a register or of its parts.
fn of_bits(a: &mut Assembler, name: &str, dst: &str, src: &str) -> Option<()> {
    let (dst, ty) = sink(a, dst)?;
    let src = source_of(a, src, ty)?;
    let all = ty.bits();
    let (smallest, part) = match name {
        "ABS" => {
            // Minus one if it is negative, else zero: x ^ -1 - -1 is -x.
            let sign = shifted(a, "ASR", src, int(i64::from(all) - 1), ty)?;
            let value = a.temporary();
            a.binary(Binary::Xor, value, src, Operand::Register(sign), ty.with_sign(true));
            a.binary(Binary::Sub, dst, Operand::Register(value), Operand::Register(sign), ty);
            return Some(());
        }
        "RBIT" => (1, all),
        "REV" => (8, all),
        "REV16" => (8, 16),
        "REV32" if ty == LONG => (8, 32),
        "REV64" if ty == LONG => (8, 64),
        _ => return None,
    };
    let value = a.temporary();
    a.mov(value, src, ty.with_sign(false));
    let mut size = smallest;
    while size < part {
        swap_neighbours(a, value, size, ty);
        size *= 2;
    }
    a.mov(dst, Operand::Register(value), ty);
    Some(())
}

/// Swaps each part of `size` bits with its neighbour.
fn swap_neighbours(a: &mut Assembler, value: RegisterId, size: u8, ty: Type) {
    let lower =
        (0..64).filter(|bit| (bit / size).is_multiple_of(2)).fold(0, |mask: u64, bit| mask | 1 << bit).cast_signed();
    let (up, down) = (a.temporary(), a.temporary());
    let (value_of, count) = (Operand::Register(value), int(size.into()));
    a.binary(Binary::And, up, value_of, int(lower), ty.with_sign(false));
    a.binary(Binary::ShiftLeft, up, Operand::Register(up), count, ty.with_sign(false));
    a.binary(Binary::ShiftRight, down, value_of, count, ty.with_sign(false));
    a.binary(Binary::And, down, Operand::Register(down), int(lower), ty.with_sign(false));
    a.binary(Binary::Or, value, Operand::Register(up), Operand::Register(down), ty.with_sign(false));
}
