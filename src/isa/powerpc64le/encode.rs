//! Encodes the instructions of PPC litmus tests as they stand (Power ISA 3.1B, Books I and II).

use super::assembly::{register_name, upper_half};
use crate::codegen::assembly::{Encoder, Jump, Piece, Places, named, signed_field, unknown_form, words};
use crate::model::assembly::parse_int;
use crate::program::{END, Instruction};

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
const DISPLACED: [(&str, u32, Option<u32>); 18] = [
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
    ("lwzu", 33, None),
    ("lbzu", 35, None),
    ("stwu", 37, None),
    ("stbu", 39, None),
    ("lhzu", 41, None),
    ("sthu", 45, None),
    ("ldu", 58, Some(1)),
    ("stdu", 62, Some(1)),
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
/// Operations whose target is the second field: the name and the extended opcode. A dot at the end of a name sets the lowest bit.
const LOGICAL: [(&str, u32); 4] = [("and", 28), ("nor", 124), ("or", 444), ("xor", 316)];
/// Operations whose target is the first field. `sub` has its operands the other way round.
const ARITHMETIC: [(&str, u32); 4] = [("add", 266), ("subf", 40), ("sub", 40), ("mullw", 235)];
const LOGICAL_IMMEDIATE: [(&str, u32); 3] = [("ori", 24), ("xori", 26), ("andi.", 28)];
/// Conditional branches: the name, BO and BI (a bit of cr0).
const BRANCHES: [(&str, u32, u32); 8] = [
    ("beq", 12, 2),
    ("bne", 4, 2),
    ("blt", 12, 0),
    ("bge", 4, 0),
    ("bnl", 4, 0),
    ("bgt", 12, 1),
    ("ble", 4, 1),
    ("bng", 4, 1),
];

fn encode(instruction: &Instruction, places: &Places<'_>) -> Result<Piece, String> {
    let name = instruction.mnemonic.as_str();
    let operands: Vec<&str> = instruction.operands.iter().map(String::as_str).collect();
    let operands = match operands.as_slice() {
        ["cr0", rest @ ..] => rest,
        all => all,
    };
    // The code of the next instance follows that of the thread.
    if let ("blr", []) = (name, operands) {
        return Ok(Piece::Jump(Jump::word(END, |distance| Some(18 << 26 | signed_field(distance, 26)? & !3))));
    }
    if let [label] = operands
        && let Some(jump) = jump(name, label)
    {
        return Ok(Piece::Jump(jump));
    }
    let word = match operands {
        [] => named(&BARE, name).ok_or_else(unknown_form)?,
        [first, second] => two(name, first, second, places)?,
        [first, second, third] => three(name, [first, second, third], places)?,
        [target, source, count, first, last] => {
            let registers = [register(target, places)?, register(source, places)?];
            let fields = [field(count)?, field(first)?, field(last)?];
            match name.strip_suffix('.').unwrap_or(name) {
                "rlwinm" => rotated(registers, fields) | recorded(name),
                // Opcode 20 in place of 21.
                "rlwimi" => (rotated(registers, fields) ^ (20 ^ 21) << 26) | recorded(name),
                _ => return Err(unknown_form()),
            }
        }
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
        "neg" | "neg." => {
            let (target, source) = (register(first, places)?, register(second, places)?);
            31 << 26 | target << 21 | source << 16 | 104 << 1 | u32::from(name.ends_with('.'))
        }
        "lis" => 15 << 26 | register(first, places)? << 21 | high(second)?,
        "extsb" | "extsb." | "extsh" | "extsh." | "extsw" | "extsw." => {
            let extended = match name.trim_end_matches('.') {
                "extsb" => 954,
                "extsh" => 922,
                _ => 986,
            };
            let (target, source) = (register(first, places)?, register(second, places)?);
            31 << 26 | source << 21 | target << 16 | extended << 1 | recorded(name)
        }
        "cmplw" => 31 << 26 | register(first, places)? << 16 | register(second, places)? << 11 | 32 << 1,
        "cmplwi" => {
            let value = parse_int(second).and_then(|value| u16::try_from(value).ok()).ok_or_else(unknown_form)?;
            10 << 26 | register(first, places)? << 16 | u32::from(value)
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
    let (plain, records) = name.strip_suffix('.').map_or((name, 0), |plain| (plain, 1));
    if let Some(extended) = named(&LOGICAL, plain) {
        let (left, right) = (register(second, places)?, register(third, places)?);
        return Ok(31 << 26 | left << 21 | first << 16 | right << 11 | extended << 1 | records);
    }
    if let Some(extended) = named(&ARITHMETIC, plain) {
        let (mut left, mut right) = (register(second, places)?, register(third, places)?);
        if plain == "sub" {
            std::mem::swap(&mut left, &mut right);
        }
        return Ok(31 << 26 | first << 21 | left << 16 | right << 11 | extended << 1 | records);
    }
    if let Some(opcode) = named(&LOGICAL_IMMEDIATE, name) {
        let value = parse_int(third).and_then(|value| u16::try_from(value).ok()).ok_or_else(unknown_form)?;
        return Ok(opcode << 26 | register(second, places)? << 21 | first << 16 | u32::from(value));
    }
    match name {
        "addi" | "subi" => {
            let value = parse_int(third).ok_or_else(unknown_form)?;
            let value = signed(if name == "subi" { value.wrapping_neg() } else { value })?;
            Ok(14 << 26 | first << 21 | base_register(second, places)? << 16 | value)
        }
        "addis" => Ok(15 << 26 | first << 21 | base_register(second, places)? << 16 | high(third)?),
        // rldicl without a rotation: the highest bit of the count of 6 bits stands last (MD form).
        "clrldi" | "clrldi." => {
            let count = parse_int(third).and_then(|value| u32::try_from(value).ok()).filter(|count| *count < 64);
            let count = count.ok_or_else(unknown_form)?;
            let count = (count & 31) << 6 | (count >> 5) << 5;
            Ok(30 << 26 | register(second, places)? << 21 | first << 16 | count | recorded(name))
        }
        "clrlwi" | "clrlwi." => {
            Ok(rotated([first, register(second, places)?], [0, field(third)?, 31]) | recorded(name))
        }
        "mulli" => {
            let value = signed(parse_int(third).ok_or_else(unknown_form)?)?;
            Ok(7 << 26 | first << 21 | register(second, places)? << 16 | value)
        }
        "srawi" => Ok(31 << 26 | register(second, places)? << 21 | first << 16 | field(third)? << 11 | 824 << 1),
        "slwi" => {
            let count = field(third)?;
            Ok(rotated([first, register(second, places)?], [count, 0, 31 - count]))
        }
        "srwi" => {
            let count = field(third)?;
            Ok(rotated([first, register(second, places)?], [(32 - count) & 31, count, 31]))
        }
        _ => Err(unknown_form()),
    }
}

/// rlwinm: rotates a word to the left and keeps the bits from `first` to `last`.
fn rotated([target, source]: [u32; 2], [count, first, last]: [u32; 3]) -> u32 {
    21 << 26 | source << 21 | target << 16 | count << 11 | first << 6 | last << 1
}

/// The lowest bit, which is set if the result is compared with 0: a dot at the end of the name.
fn recorded(name: &str) -> u32 {
    u32::from(name.ends_with('.'))
}

/// The 16 bits of the constant of `lis` and `addis`.
fn high(text: &str) -> Result<u32, String> {
    upper_half(text).map(|value| u32::from(value.cast_unsigned())).ok_or_else(unknown_form)
}

/// A field of 5 bits: the number of a bit of a word.
fn field(text: &str) -> Result<u32, String> {
    let number = parse_int(text).and_then(|value| u32::try_from(value).ok());
    number.filter(|number| *number < 32).ok_or_else(unknown_form)
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
