//! Instructions of PPC litmus tests.

use crate::model::Model;
use crate::model::assembly::{
    Assembler, BYTE, Dialect, HALF, LONG, Named, Signs, WORD, ZERO, parse_int, register_number,
};
use crate::model::code::Step;
use crate::model::event::Tags;
use crate::program::{Address, Binary, Compare, Const, Operand, RegisterId, Type};

pub(super) const DIALECTS: [Dialect; 1] = [Dialect {
    word: "PPC",
    model: Model::Power,
    register: register_name,
    instruction: assemble,
    names_locations: false,
    turned_round: false,
}];

/// `r0` to `r31`
pub(super) fn register_name(text: &str) -> Option<Named> {
    Some((*REGISTERS.get(register_number(text.strip_prefix('r')?)?)?, WORD))
}

/// The names of the general registers.
const REGISTERS: [&str; 32] = [
    "r0", "r1", "r2", "r3", "r4", "r5", "r6", "r7", "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15", "r16", "r17",
    "r18", "r19", "r20", "r21", "r22", "r23", "r24", "r25", "r26", "r27", "r28", "r29", "r30", "r31",
];

fn value(text: &str) -> Option<Operand> {
    parse_int(text).map(|value| Operand::Const(Const::Int(value)))
}

/// A memory operand `8(r1)`.
fn displaced(a: &mut Assembler, text: &str) -> Option<Address> {
    let (offset, base) = text.strip_suffix(')')?.split_once('(')?;
    // `r0` as a base stands for the address 0.
    if base == "r0" {
        return None;
    }
    let base = a.register(base)?;
    Some(a.indexed(base, Operand::Const(Const::Int(parse_int(offset)?))))
}

/// `r1,r2` as an address. `r0` as the first operand stands for the value 0.
fn indexed(a: &mut Assembler, first: &str, second: &str) -> Option<Address> {
    let second = a.register(second)?;
    if first == "r0" || first == "0" {
        return Some(Address::Register(second));
    }
    let first = a.register(first)?;
    // Either register may hold the address.
    let (base, index) = if matches!(a.values[first], Const::Address(_)) { (first, second) } else { (second, first) };
    Some(a.indexed(base, Operand::Register(index)))
}

/// The register that holds the status of stwcx., as cr0 does.
const STATUS: &str = "cr0";

fn width(mnemonic: &str) -> Type {
    match mnemonic.trim_start_matches("st").trim_start_matches('l').as_bytes().first() {
        Some(b'b') => BYTE,
        Some(b'h') => HALF,
        Some(b'd') => LONG,
        _ => WORD,
    }
}

fn assemble(a: &mut Assembler, mnemonic: &str, operands: &[&str], _: &[String]) -> Option<()> {
    let register = |a: &mut Assembler, text: &str| -> Option<RegisterId> { a.register(text) };
    match (mnemonic, operands) {
        ("sync" | "hwsync", []) => a.steps.push(Step::Fence(Tags::SYNC)),
        ("lwsync", []) => a.steps.push(Step::Fence(Tags::LWSYNC)),
        ("eieio", []) => a.steps.push(Step::Fence(Tags::EIEIO)),
        ("isync", []) => a.steps.push(Step::Fence(Tags::ISYNC)),
        ("nop", []) => {}
        ("li", [dst, immediate]) => {
            let (dst, src) = (register(a, dst)?, value(immediate)?);
            a.mov(dst, src, LONG);
        }
        ("mr", [dst, src]) => {
            let (dst, src) = (register(a, dst)?, register(a, src)?);
            a.mov(dst, Operand::Register(src), LONG);
        }
        ("xori" | "ori", [dst, left, right]) => {
            let (left, right, dst) = (Operand::Register(register(a, left)?), value(right)?, register(a, dst)?);
            a.binary(if mnemonic == "ori" { Binary::Or } else { Binary::Xor }, dst, left, right, LONG);
        }
        ("xor" | "add" | "and" | "or", [dst, left, right]) => {
            let (left, right) = (Operand::Register(register(a, left)?), Operand::Register(register(a, right)?));
            let dst = register(a, dst)?;
            let op = match mnemonic {
                "xor" => Binary::Xor,
                "add" => Binary::Add,
                "and" => Binary::And,
                _ => Binary::Or,
            };
            a.binary(op, dst, left, right, LONG);
        }
        ("addi", [dst, left, right]) => {
            // `r0` as the first operand stands for the value 0.
            let left = if *left == "r0" { ZERO } else { Operand::Register(register(a, left)?) };
            let (right, dst) = (value(right)?, register(a, dst)?);
            a.binary(Binary::Add, dst, left, right, LONG);
        }
        ("lbz" | "lhz" | "lwz" | "ld", [dst, place]) => {
            let (address, dst) = (displaced(a, place)?, register(a, dst)?);
            a.steps.push(Step::Read { dst: Some(dst), address, ty: width(mnemonic), tags: Tags::NONE });
        }
        ("lbzx" | "lhzx" | "lwzx" | "ldx", [dst, first, second]) => {
            let (address, dst) = (indexed(a, first, second)?, register(a, dst)?);
            a.steps.push(Step::Read { dst: Some(dst), address, ty: width(mnemonic), tags: Tags::NONE });
        }
        ("lwarx" | "ldarx", [dst, first, second]) => {
            let (address, dst) = (indexed(a, first, second)?, register(a, dst)?);
            a.steps.push(Step::Read { dst: Some(dst), address, ty: width(mnemonic), tags: Tags::EXCLUSIVE });
        }
        ("stb" | "sth" | "stw" | "std", [src, place]) => {
            let (address, src) = (displaced(a, place)?, Operand::Register(register(a, src)?));
            a.steps.push(Step::Write { address, value: src, ty: width(mnemonic), tags: Tags::NONE });
        }
        ("stbx" | "sthx" | "stwx" | "stdx", [src, first, second]) => {
            let (address, src) = (indexed(a, first, second)?, Operand::Register(register(a, src)?));
            a.steps.push(Step::Write { address, value: src, ty: width(mnemonic), tags: Tags::NONE });
        }
        ("stwcx." | "stdcx.", [src, first, second]) => {
            let (address, value) = (indexed(a, first, second)?, Operand::Register(register(a, src)?));
            let status = a.number(STATUS);
            let ty = width(mnemonic);
            let tags = Tags::EXCLUSIVE;
            a.steps.push(Step::StoreConditional { status, carries: false, address, value, ty, tags });
            // "Equal" means that the store succeeded.
            a.compare(Operand::Register(status), ZERO, WORD);
        }
        ("cmpwi", ["cr0", left, right] | [left, right]) => {
            let (left, right) = (Operand::Register(register(a, left)?), value(right)?);
            a.compare(left, right, WORD);
        }
        ("cmpw", [left, right]) => {
            let (left, right) = (Operand::Register(register(a, left)?), Operand::Register(register(a, right)?));
            a.compare(left, right, WORD);
        }
        ("beq" | "bne" | "blt" | "ble" | "bgt" | "bge", ["cr0", label] | [label]) => {
            let compare = match mnemonic {
                "beq" => Compare::Eq,
                "bne" => Compare::Ne,
                "blt" => Compare::Lt,
                "ble" => Compare::Le,
                "bgt" => Compare::Gt,
                _ => Compare::Ge,
            };
            a.branch_if((compare, Signs::Signed), label)?;
        }
        ("b", [label]) => a.jump(label)?,
        _ => return None,
    }
    Some(())
}
