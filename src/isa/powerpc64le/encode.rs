//! Encodes the instructions of PPC litmus tests as they stand (Power ISA 3.1B, Books I and II).

use super::assembly::register_name;
use crate::codegen::assembly::{Encoder, Jump, Piece, Places, named, signed_field, unknown_form, words};
use crate::model::assembly::parse_int;
use crate::program::Instruction;

pub(super) const ENCODER: Encoder = Encoder {
    pool: &[21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31, 4, 5, 6, 7, 8],
    // All but r1, r2 and r13, which belong to the platform, r0, which reads as 0 in an address, and r12, which computes
    // addresses.
    borrowed: |_| &[19, 18, 17, 20, 16, 15, 9, 10, 11, 3, 14],
    fixed: |_, _| None,
    number: |name| name.strip_prefix('r')?.parse().ok(),
    encode,
};

/// Instructions without operands.
const BARE: [(&str, u32); 6] = [
    ("sync", 0x7c00_04ac),
    ("hwsync", 0x7c00_04ac),
    ("lwsync", 0x7c20_04ac),
    ("eieio", 0x7c00_06ac),
    ("isync", 0x4c00_012c),
    ("nop", 0x6000_0000),
];
/// Accesses with a displacement: the name, the opcode, and the lowest bits of a displacement that is a multiple of 4.
const DISPLACED: [(&str, u32, Option<u32>); 10] = [
    ("lwz", 32, None),
    ("lbz", 34, None),
    ("stw", 36, None),
    ("stb", 38, None),
    ("lhz", 40, None),
    ("lha", 42, None),
    ("sth", 44, None),
    ("ld", 58, Some(0)),
    ("lwa", 58, Some(2)),
    ("std", 62, Some(0)),
];
/// Accesses at the sum of two registers: the name and the extended opcode, with the bit behind it.
const INDEXED: [(&str, u32); 18] = [
    ("lwzx", 23 << 1),
    ("ldx", 21 << 1),
    ("lbzx", 87 << 1),
    ("lhzx", 279 << 1),
    ("lhax", 343 << 1),
    ("lwax", 341 << 1),
    ("stwx", 151 << 1),
    ("stdx", 149 << 1),
    ("stbx", 215 << 1),
    ("sthx", 407 << 1),
    ("lwarx", 20 << 1),
    ("ldarx", 84 << 1),
    ("lbarx", 52 << 1),
    ("lharx", 116 << 1),
    ("stwcx.", 150 << 1 | 1),
    ("stdcx.", 214 << 1 | 1),
    ("stbcx.", 694 << 1 | 1),
    ("sthcx.", 726 << 1 | 1),
];
/// Operations whose target is the second field: the name and the extended opcode.
const LOGICAL: [(&str, u32); 3] = [("and", 28), ("or", 444), ("xor", 316)];
const LOGICAL_IMMEDIATE: [(&str, u32); 3] = [("ori", 24), ("xori", 26), ("andi.", 28)];
/// Conditional branches: the name, BO and BI (a bit of cr0).
const BRANCHES: [(&str, u32, u32); 6] =
    [("beq", 12, 2), ("bne", 4, 2), ("blt", 12, 0), ("bge", 4, 0), ("bgt", 12, 1), ("ble", 4, 1)];

fn encode(instruction: &Instruction, places: &Places<'_>) -> Result<Piece, String> {
    let name = instruction.mnemonic.as_str();
    let operands: Vec<&str> = instruction.operands.iter().map(String::as_str).collect();
    let operands = match operands.as_slice() {
        ["cr0", rest @ ..] => rest,
        all => all,
    };
    if let [label] = operands
        && let Some(jump) = jump(name, label)
    {
        return Ok(Piece::Jump(jump));
    }
    let word = match operands {
        [] => named(&BARE, name).ok_or_else(unknown_form)?,
        [first, second] => two(name, first, second, places)?,
        [first, second, third] => three(name, [first, second, third], places)?,
        _ => return Err(unknown_form()),
    };
    Ok(words(&[word]))
}

fn two(name: &str, first: &str, second: &str, places: &Places<'_>) -> Result<u32, String> {
    if let Some((_, opcode, low)) = DISPLACED.into_iter().find(|(known, ..)| *known == name) {
        let parts = second.strip_suffix(')').and_then(|text| text.split_once('('));
        let (offset, base) = parts.ok_or_else(unknown_form)?;
        let offset = signed(parse_int(offset).ok_or_else(unknown_form)?)?;
        if low.is_some() && offset & 3 != 0 {
            return Err("the displacement must be a multiple of 4".to_owned());
        }
        let (target, base) = (register(first, places)?, base_register(base, places)?);
        return Ok(opcode << 26 | target << 21 | base << 16 | offset | low.unwrap_or(0));
    }
    Ok(match name {
        "li" => 14 << 26 | register(first, places)? << 21 | signed(parse_int(second).ok_or_else(unknown_form)?)?,
        "mr" => {
            let (target, source) = (register(first, places)?, register(second, places)?);
            31 << 26 | source << 21 | target << 16 | source << 11 | 444 << 1
        }
        "cmpw" | "cmpd" => {
            let long = u32::from(name == "cmpd");
            31 << 26 | long << 21 | register(first, places)? << 16 | register(second, places)? << 11
        }
        "cmpwi" | "cmpdi" => {
            let long = u32::from(name == "cmpdi");
            let value = signed(parse_int(second).ok_or_else(unknown_form)?)?;
            11 << 26 | long << 21 | register(first, places)? << 16 | value
        }
        _ => return Err(unknown_form()),
    })
}

fn three(name: &str, [first, second, third]: [&str; 3], places: &Places<'_>) -> Result<u32, String> {
    let first = register(first, places)?;
    if let Some(low) = named(&INDEXED, name) {
        return Ok(31 << 26
            | first << 21
            | base_register(second, places)? << 16
            | register(third, places)? << 11
            | low);
    }
    if let Some(extended) = named(&LOGICAL, name) {
        let (left, right) = (register(second, places)?, register(third, places)?);
        return Ok(31 << 26 | left << 21 | first << 16 | right << 11 | extended << 1);
    }
    if let Some(opcode) = named(&LOGICAL_IMMEDIATE, name) {
        let value = parse_int(third).and_then(|value| u16::try_from(value).ok()).ok_or_else(unknown_form)?;
        return Ok(opcode << 26 | register(second, places)? << 21 | first << 16 | u32::from(value));
    }
    match name {
        "addi" => {
            let value = signed(parse_int(third).ok_or_else(unknown_form)?)?;
            Ok(14 << 26 | first << 21 | base_register(second, places)? << 16 | value)
        }
        "add" => {
            Ok(31 << 26 | first << 21 | register(second, places)? << 16 | register(third, places)? << 11 | 266 << 1)
        }
        _ => Err(unknown_form()),
    }
}

/// The 16 bits of a signed constant.
fn signed(value: i64) -> Result<u32, String> {
    signed_field(value, 16).ok_or_else(|| format!("the constant {value} does not fit 16 bits"))
}

fn register(text: &str, places: &Places<'_>) -> Result<u32, String> {
    let (name, _) = register_name(text).ok_or_else(|| format!("`{text}` is not a register"))?;
    places.register(name).map(u32::from)
}

/// The first operand of an address or of addi, where 0 and r0 stand for the number 0.
fn base_register(text: &str, places: &Places<'_>) -> Result<u32, String> {
    if matches!(text, "r0" | "0") { Ok(0) } else { register(text, places) }
}

fn jump(name: &str, label: &str) -> Option<Jump> {
    if name == "b" {
        return Some(Jump::word(label, |distance| Some(18 << 26 | signed_field(distance, 26)? & !3)));
    }
    let (_, how, bit) = BRANCHES.into_iter().find(|(known, ..)| *known == name)?;
    Some(Jump::word(label, move |distance| Some(16 << 26 | how << 21 | bit << 16 | signed_field(distance, 16)? & !3)))
}
