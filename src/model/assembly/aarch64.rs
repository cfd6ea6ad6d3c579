//! AArch64.

use super::{Assembler, LONG, Named, WORD, ZERO, parse_int};
use crate::model::code::{Change, Step};
use crate::model::event::Tags;
use crate::program::{Address, Binary, Compare, Const, Operand, RegisterId, RmwOp, Type};

/// `W0` to `W30`, `X0` to `X30`, `WZR`, `XZR`.
pub fn register_name(text: &str) -> Option<Named> {
    let text = text.to_ascii_uppercase();
    let (ty, rest) = match text.split_at_checked(1)? {
        ("W", rest) => (WORD, rest),
        ("X", rest) => (LONG, rest),
        _ => return None,
    };
    (rest == "ZR" || rest.parse::<u8>().is_ok_and(|number| number < 31)).then(|| (format!("X{rest}"), ty))
}

/// A register or `#value`; the zero register is the value 0.
fn operand(a: &mut Assembler, text: &str) -> Option<Operand> {
    if let Some(value) = text.strip_prefix('#').and_then(parse_int) {
        return Some(Operand::Const(Const::Int(value)));
    }
    if text.eq_ignore_ascii_case("wzr") || text.eq_ignore_ascii_case("xzr") {
        return Some(ZERO);
    }
    a.register(text).map(Operand::Register)
}

/// A register that is written; what goes to the zero register is gone.
fn target(a: &mut Assembler, text: &str) -> Option<(Option<RegisterId>, Type)> {
    if text.eq_ignore_ascii_case("wzr") || text.eq_ignore_ascii_case("xzr") {
        return Some((None, WORD));
    }
    a.typed(text).map(|(register, ty)| (Some(register), ty))
}

/// `[X0]`, `[X0,W1,SXTW]`, `[X0,X1]`
fn memory(a: &mut Assembler, text: &str) -> Option<Address> {
    let inner = text.strip_prefix('[')?.strip_suffix(']')?;
    let mut parts = inner.split(',');
    let base = a.register(parts.next()?)?;
    let index = match parts.next() {
        None => ZERO,
        Some(index) => operand(a, index)?,
    };
    let extended = parts.next();
    (parts.next().is_none() && extended.is_none_or(|word| matches!(word, "SXTW" | "UXTW" | "sxtw" | "uxtw")))
        .then(|| a.indexed(base, index))
}

/// The orderings that the letters of an atomic instruction's name stand for.
fn letters(text: &str) -> Option<(Tags, Tags)> {
    Some(match text {
        "" => (Tags::NONE, Tags::NONE),
        "A" => (Tags::ACQUIRE, Tags::NONE),
        "L" => (Tags::NONE, Tags::RELEASE),
        "AL" => (Tags::ACQUIRE, Tags::RELEASE),
        _ => return None,
    })
}

fn atomic(a: &mut Assembler, mnemonic: &str, operands: &[&str]) -> Option<()> {
    const OPERATIONS: [(&str, RmwOp); 5] = [
        ("SWP", RmwOp::Xchg),
        ("LDADD", RmwOp::Add),
        ("LDSET", RmwOp::Or),
        ("LDCLR", RmwOp::AndNot),
        ("LDEOR", RmwOp::Xor),
    ];
    let [first, second, place] = operands else { return None };
    let address = memory(a, place)?;
    let (change, dst, ty, order) = if let Some(order) = mnemonic.strip_prefix("CAS") {
        let (dst, ty) = a.typed(first)?;
        let new = operand(a, second)?;
        (Change::IfEqual { expected: Operand::Register(dst), new }, Some(dst), ty, order)
    } else {
        let (name, op) = OPERATIONS.into_iter().find(|(name, _)| mnemonic.starts_with(name))?;
        let value = operand(a, first)?;
        let (dst, ty) = target(a, second)?;
        (Change::Op(op, value), dst, ty, &mnemonic[name.len()..])
    };
    let (acquires, releases) = letters(order)?;
    let noreturn = if dst.is_none() && matches!(change, Change::Op(op, _) if op != RmwOp::Xchg) {
        Tags::NORETURN
    } else {
        Tags::NONE
    };
    let read = Tags::AMO | acquires | noreturn;
    a.atomic(dst, address, ty, change, [read, Tags::AMO | releases]);
    Some(())
}

pub fn assemble(a: &mut Assembler, mnemonic: &str, operands: &[&str]) -> Option<()> {
    let mnemonic = mnemonic.to_ascii_uppercase();
    match (mnemonic.as_str(), operands) {
        ("DMB" | "DSB", [domain]) => a.steps.push(Step::Fence(match domain.to_ascii_uppercase().as_str() {
            "SY" | "ISH" | "OSH" => Tags::DMB_FULL,
            "LD" | "ISHLD" | "OSHLD" => Tags::DMB_LD,
            "ST" | "ISHST" | "OSHST" => Tags::DMB_ST,
            _ => return None,
        })),
        ("ISB", []) => a.steps.push(Step::Fence(Tags::ISYNC)),
        ("NOP", []) => {}
        ("MOV", [dst, src]) => {
            let src = operand(a, src)?;
            let (dst, ty) = a.typed(dst)?;
            a.mov(dst, src, ty);
        }
        ("ADD" | "SUB" | "EOR" | "AND" | "ORR", [dst, left, right]) => {
            let (left, right) = (operand(a, left)?, operand(a, right)?);
            let (dst, ty) = a.typed(dst)?;
            let op = match mnemonic.as_str() {
                "ADD" => Binary::Add,
                "SUB" => Binary::Sub,
                "EOR" => Binary::Xor,
                "AND" => Binary::And,
                _ => Binary::Or,
            };
            a.binary(op, dst, left, right, ty);
        }
        ("CMP", [left, right]) => {
            let (right, (left, ty)) = (operand(a, right)?, a.typed(left)?);
            a.flags = Some((Operand::Register(left), right, ty));
        }
        ("B.EQ" | "B.NE", [label]) => {
            let (left, right, ty) = a.flags?;
            let compare = if mnemonic == "B.EQ" { Compare::Eq } else { Compare::Ne };
            a.branch(compare, left, right, ty, label)?;
        }
        ("CBZ" | "CBNZ", [register, label]) => {
            let (register, ty) = a.typed(register)?;
            let compare = if mnemonic == "CBZ" { Compare::Eq } else { Compare::Ne };
            a.branch(compare, Operand::Register(register), ZERO, ty, label)?;
        }
        ("B", [label]) => a.jump(label)?,
        ("LDR" | "LDAR" | "LDAPR" | "LDXR" | "LDAXR", [dst, place]) => {
            let address = memory(a, place)?;
            let (dst, ty) = target(a, dst)?;
            let tags = match mnemonic.as_str() {
                "LDAR" => Tags::ACQUIRE,
                "LDAPR" => Tags::ACQUIRE_PC,
                "LDXR" => Tags::EXCLUSIVE,
                "LDAXR" => Tags::EXCLUSIVE | Tags::ACQUIRE,
                _ => Tags::NONE,
            };
            a.steps.push(Step::Read { dst, address, ty, tags });
        }
        ("STR" | "STLR", [src, place]) => {
            let address = memory(a, place)?;
            let ty = a.named(src)?.1;
            let value = operand(a, src)?;
            let tags = if mnemonic == "STLR" { Tags::RELEASE } else { Tags::NONE };
            a.steps.push(Step::Write { address, value, ty, tags });
        }
        ("STXR" | "STLXR", [status, src, place]) => {
            let address = memory(a, place)?;
            let ty = a.named(src)?.1;
            let value = operand(a, src)?;
            let status = a.register(status)?;
            let tags = if mnemonic == "STLXR" { Tags::EXCLUSIVE | Tags::RELEASE } else { Tags::EXCLUSIVE };
            a.steps.push(Step::StoreConditional { status, carries: false, address, value, ty, tags });
        }
        _ => return atomic(a, &mnemonic, operands),
    }
    Some(())
}
