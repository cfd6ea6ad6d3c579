//! Encodes the instructions of RISCV litmus tests as they stand, each in 32 bits (RISC-V Unprivileged ISA, chapter
//! "RV32/64G Instruction Set Listings"). Compressed forms are not used: both forms of an instruction do the same.

use super::assembly::{meant, register_name, upper_bits};
use crate::codegen::assembly::{Encoder, Jump, Piece, Places, named, signed_field, unknown_form, words};
use crate::model::assembly::parse_int;
use crate::program::{END, Instruction};

pub(super) const ENCODER: Encoder = Encoder {
    pool: &[30, 31, 8, 9, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27],
    // All but sp, gp and tp, which belong to the platform, and t3, which computes addresses.
    borrowed: |_| &[16, 15, 14, 10, 13, 12, 5, 6, 7, 29, 17, 1, 11],
    fixed: |_, _| None,
    number: |name| name.strip_prefix('x')?.parse().ok(),
    encode,
};

const LOAD: u32 = 0x03;
const STORE: u32 = 0x23;
const AMO: u32 = 0x2f;
const OP_IMM: u32 = 0x13;
const OP: u32 = 0x33;
/// What the opcodes of the 32-bit forms add: OP-IMM-32 and OP-32.
const OF_32_BITS: u32 = 8;
const BRANCH: u32 = 0x63;
const LUI: u32 = 0x37;

/// The loads and stores: the name and funct3.
const LOADS: [(&str, u32); 7] = [("lb", 0), ("lh", 1), ("lw", 2), ("ld", 3), ("lbu", 4), ("lhu", 5), ("lwu", 6)];
const STORES: [(&str, u32); 4] = [("sb", 0), ("sh", 1), ("sw", 2), ("sd", 3)];
/// Arithmetic: the name, the name of the form with a constant, funct3, and funct7. Names that end with `w` are of 32 bits.
const ARITHMETIC: [(&str, &str, u32, u32); 15] = [
    ("add", "addi", 0, 0),
    ("sub", "", 0, 0x20),
    ("sll", "slli", 1, 0),
    ("slt", "slti", 2, 0),
    ("sltu", "sltiu", 3, 0),
    ("xor", "xori", 4, 0),
    ("srl", "srli", 5, 0),
    ("sra", "srai", 5, 0x20),
    ("or", "ori", 6, 0),
    ("and", "andi", 7, 0),
    ("addw", "addiw", 0, 0),
    ("subw", "", 0, 0x20),
    ("sllw", "slliw", 1, 0),
    ("srlw", "srliw", 5, 0),
    ("sraw", "sraiw", 5, 0x20),
];
const BRANCHES: [(&str, u32); 6] = [("beq", 0), ("bne", 1), ("blt", 4), ("bge", 5), ("bltu", 6), ("bgeu", 7)];
/// The atomic instructions: the name and funct5.
const ATOMICS: [(&str, u32); 11] = [
    ("lr", 2),
    ("sc", 3),
    ("amoswap", 1),
    ("amoadd", 0),
    ("amoxor", 4),
    ("amoand", 12),
    ("amoor", 8),
    ("amomin", 16),
    ("amomax", 20),
    ("amominu", 24),
    ("amomaxu", 28),
];

fn encode(instruction: &Instruction, places: &Places<'_>) -> Result<Piece, String> {
    let name = instruction.mnemonic.as_str();
    let operands: Vec<&str> = instruction.operands.iter().map(String::as_str).collect();
    let (name, operands) = meant(name, operands);
    match (name, operands.as_slice()) {
        ("j", [label]) => return Ok(Piece::Jump(jump(label))),
        // The code of the next instance follows that of the thread.
        ("ret", []) => return Ok(Piece::Jump(jump(END))),
        (_, [left, right, label]) => {
            if let Some(funct3) = named(&BRANCHES, name) {
                let (left, right) = (register(left, places)?, register(right, places)?);
                return Ok(Piece::Jump(branch(funct3, left, right, label)));
            }
        }
        _ => {}
    }
    let word = match (name, operands.as_slice()) {
        ("fence", ["tso"]) | ("fence.tso", []) => 0x8330_000f,
        ("fence", []) => 0x0ff0_000f,
        ("fence", [before, after]) => 0x0000_000f | fence_set(before)? << 24 | fence_set(after)? << 20,
        ("fence.i", []) => 0x0000_100f,
        ("nop", []) => OP_IMM,
        ("li", [dst, value]) => {
            return load_constant(register(dst, places)?, parse_int(value).ok_or_else(unknown_form)?);
        }
        ("lui", [dst, value]) => {
            let value = upper_bits(value).and_then(|value| u32::try_from(value).ok()).ok_or_else(unknown_form)?;
            LUI | register(dst, places)? << 7 | value << 12
        }
        ("mv", [dst, src]) => i_type(OP_IMM, 0, register(dst, places)?, register(src, places)?, 0)?,
        (_, [dst, left, right]) if !name.contains('.') => arithmetic(name, [dst, left, right], places)?,
        _ => match access(name, &operands, places)? {
            Some(word) => word,
            None => atomic(name, &operands, places)?,
        },
    };
    Ok(words(&[word]))
}

/// Plain loads and stores; `None` if the instruction is not one.
fn access(name: &str, operands: &[&str], places: &Places<'_>) -> Result<Option<u32>, String> {
    let [value, place] = operands else { return Ok(None) };
    if let Some(funct3) = named(&LOADS, name) {
        let (base, offset) = memory(place, places)?;
        return i_type(LOAD, funct3, register(value, places)?, base, offset).map(Some);
    }
    let Some(funct3) = named(&STORES, name) else { return Ok(None) };
    let (base, offset) = memory(place, places)?;
    let offset = immediate(offset)?;
    let value = register(value, places)?;
    Ok(Some(STORE | (offset & 31) << 7 | funct3 << 12 | base << 15 | value << 20 | (offset >> 5) << 25))
}

/// `lr.w`, `sc.d.rl`, `amoadd.w.aqrl`.
fn atomic(name: &str, operands: &[&str], places: &Places<'_>) -> Result<u32, String> {
    let parts: Vec<&str> = name.split('.').collect();
    let [base, size, order @ ..] = parts.as_slice() else { return Err(unknown_form()) };
    if named(&LOADS, base).or(named(&STORES, base)).is_some() {
        return Err("no RISC-V instruction has this name; the models take the suffix as an annotation".to_owned());
    }
    let funct5 = named(&ATOMICS, base).ok_or_else(unknown_form)?;
    let funct3 = match *size {
        "w" => 2,
        "d" => 3,
        _ => return Err(unknown_form()),
    };
    let order = match order {
        [] => 0,
        ["rl"] => 1,
        ["aq"] => 2,
        ["aqrl"] | ["aq", "rl"] => 3,
        _ => return Err(unknown_form()),
    };
    let (dst, src, place) = match (*base, operands) {
        ("lr", [dst, place]) => (dst, "x0", place),
        ("lr", _) => return Err(unknown_form()),
        (_, [dst, src, place]) => (dst, *src, place),
        _ => return Err(unknown_form()),
    };
    let (address, offset) = memory(place, places)?;
    if offset != 0 {
        return Err("an atomic access has no offset".to_owned());
    }
    let (dst, src) = (register(dst, places)?, register(src, places)?);
    Ok(AMO | dst << 7 | funct3 << 12 | address << 15 | src << 20 | order << 25 | funct5 << 27)
}

/// Arithmetic. As GNU as does, a constant as the last operand makes the form with a constant, with or without `i`.
fn arithmetic(name: &str, [dst, left, right]: [&str; 3], places: &Places<'_>) -> Result<u32, String> {
    let mut known = ARITHMETIC.into_iter();
    let known = known.find(|(plain, with_constant, ..)| [*plain, *with_constant].contains(&name));
    let (plain, with_constant, funct3, funct7) = known.ok_or_else(unknown_form)?;
    let (dst, left) = (register(dst, places)?, register(left, places)?);
    let (width, bits) = if plain.ends_with('w') { (OF_32_BITS, 32) } else { (0, 64) };
    match parse_int(right) {
        Some(_) if with_constant.is_empty() => Err(unknown_form()),
        Some(count) if matches!(funct3, 1 | 5) => {
            let count = Some(count).filter(|count| (0..bits).contains(count)).ok_or_else(unknown_form)?;
            i_type(OP_IMM | width, funct3, dst, left, count | i64::from(funct7) << 5)
        }
        Some(value) => i_type(OP_IMM | width, funct3, dst, left, value),
        None if plain == name => {
            Ok(OP | width | dst << 7 | funct3 << 12 | left << 15 | register(right, places)? << 20 | funct7 << 25)
        }
        None => Err(unknown_form()),
    }
}

/// li: one instruction for 12 bits, two for 32 bits.
fn load_constant(dst: u32, value: i64) -> Result<Piece, String> {
    if let Ok(word) = i_type(OP_IMM, 0, dst, 0, value) {
        return Ok(words(&[word]));
    }
    let value =
        i32::try_from(value).map_err(|_| format!("li of {value}, which does not fit 32 bits, is not encoded"))?;
    let low = value << 20 >> 20;
    let high = value.wrapping_sub(low).cast_unsigned();
    let lui = LUI | dst << 7 | high;
    // addiw
    let add = i_type(0x1b, 0, dst, dst, low.into())?;
    Ok(if low == 0 { words(&[lui]) } else { words(&[lui, add]) })
}

/// The 12 bits of a constant.
fn immediate(value: i64) -> Result<u32, String> {
    signed_field(value, 12).ok_or_else(|| format!("the constant {value} does not fit 12 bits"))
}

fn i_type(opcode: u32, funct3: u32, dst: u32, src: u32, value: i64) -> Result<u32, String> {
    Ok(opcode | dst << 7 | funct3 << 12 | src << 15 | immediate(value)? << 20)
}

fn fence_set(text: &str) -> Result<u32, String> {
    const BITS: [(char, u32); 4] = [('i', 8), ('o', 4), ('r', 2), ('w', 1)];
    let bit = |letter: char| BITS.iter().find(|(known, _)| *known == letter).map(|(_, bit)| *bit);
    text.chars().map(bit).try_fold(0, |all, bit| bit.map(|bit| all | bit)).ok_or_else(unknown_form)
}

fn register(text: &str, places: &Places<'_>) -> Result<u32, String> {
    let (name, _) = register_name(text).ok_or_else(|| format!("`{text}` is not a register"))?;
    if name == "x0" { Ok(0) } else { places.register(name).map(u32::from) }
}

/// A memory operand: the base register and the offset.
fn memory(text: &str, places: &Places<'_>) -> Result<(u32, i64), String> {
    let parts = text.strip_suffix(')').and_then(|text| text.split_once('('));
    let (offset, base) = parts.ok_or_else(|| format!("`{text}` is not an address"))?;
    let offset = if offset.is_empty() { Some(0) } else { parse_int(offset) };
    Ok((register(base, places)?, offset.ok_or_else(unknown_form)?))
}

fn branch(funct3: u32, left: u32, right: u32, label: &str) -> Jump {
    let word = BRANCH | funct3 << 12 | left << 15 | right << 20;
    Jump::word(label, move |distance| {
        let distance = signed_field(distance, 13)?;
        let bits = |from: u32, count: u32| distance >> from & ((1 << count) - 1);
        Some(word | bits(11, 1) << 7 | bits(1, 4) << 8 | bits(5, 6) << 25 | bits(12, 1) << 31)
    })
}

fn jump(label: &str) -> Jump {
    Jump::word(label, |distance| {
        let distance = signed_field(distance, 21)?;
        let bits = |from: u32, count: u32| distance >> from & ((1 << count) - 1);
        // jal to x0
        Some(0x6f | bits(12, 8) << 12 | bits(11, 1) << 20 | bits(1, 10) << 21 | bits(20, 1) << 31)
    })
}
