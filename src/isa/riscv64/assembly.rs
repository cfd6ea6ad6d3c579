//! Instructions of RISCV litmus tests.

use crate::model::Model;
use crate::model::assembly::{
    Assembler, BYTE, Dialect, HALF, LONG, SIGNED_BYTE, SIGNED_HALF, SIGNED_WORD, WORD, ZERO, parse_int,
    register_number, symbolic_name,
};
use crate::model::code::{Change, StatusOf, Step};
use crate::model::event::Tags;
use crate::program::{Address, Binary, Compare, Const, Operand, RegisterId, RmwOp, Type};

pub(super) const DIALECTS: [Dialect; 1] = [Dialect {
    word: "RISCV",
    model: Model::Rvwmo,
    register: register_name,
    register_bits: 64,
    instruction: assemble,
    respell: |_, _| None,
    has_dotted_labels: false,
    names_locations: false,
    link: Some("x1"),
    jumps_by: None,
    turned_round: false,
}];

/// `x0` to `x31`, or the names of the calling convention: `zero`, `ra`, `sp`, `gp`, `tp`, `t0` to `t6`, `s0` (`fp`) to
/// `s11`, `a0` to `a7`, or a symbolic register `%name`.
pub(super) fn register_name(text: &str) -> Option<(&str, Type)> {
    if let Some(name) = symbolic_name(text) {
        return Some((name, LONG));
    }
    let number = |prefix: &str| text.strip_prefix(prefix).and_then(register_number);
    let number = match text {
        "zero" => 0,
        "ra" => 1,
        "sp" => 2,
        "gp" => 3,
        "tp" => 4,
        "fp" => 8,
        _ => match (number("x"), number("t"), number("s"), number("a")) {
            (Some(x @ 0..32), ..) => x,
            (_, Some(t @ 0..3), ..) => t + 5,
            (_, Some(t @ 3..7), ..) => t + 25,
            (_, _, Some(s @ 0..2), _) => s + 8,
            (_, _, Some(s @ 2..12), _) => s + 16,
            (_, _, _, Some(a @ 0..8)) => a + 10,
            _ => return None,
        },
    };
    Some((REGISTERS[number], LONG))
}

/// The canonical names of the general registers.
const REGISTERS: [&str; 32] = [
    "x0", "x1", "x2", "x3", "x4", "x5", "x6", "x7", "x8", "x9", "x10", "x11", "x12", "x13", "x14", "x15", "x16", "x17",
    "x18", "x19", "x20", "x21", "x22", "x23", "x24", "x25", "x26", "x27", "x28", "x29", "x30", "x31",
];

fn is_zero(text: &str) -> bool {
    matches!(text, "x0" | "zero")
}

fn operand(a: &mut Assembler, text: &str) -> Option<Operand> {
    if is_zero(text) {
        return Some(ZERO);
    }
    parse_int(text).map(|value| Operand::Const(Const::Int(value))).or_else(|| a.register(text).map(Operand::Register))
}

/// A register that is read; x0 is 0.
fn source(a: &mut Assembler, text: &str) -> Option<Operand> {
    if is_zero(text) { Some(ZERO) } else { a.register(text).map(Operand::Register) }
}

/// A target register; `None` for x0, which discards the value.
fn target(a: &mut Assembler, text: &str) -> Option<Option<RegisterId>> {
    if is_zero(text) { Some(None) } else { a.register(text).map(Some) }
}

/// A memory operand: `8(x1)` or `(x1)`.
fn memory(a: &mut Assembler, text: &str) -> Option<Address> {
    let (offset, base) = text.strip_suffix(')')?.split_once('(')?;
    let base = a.register(base)?;
    let offset = if offset.is_empty() { 0 } else { parse_int(offset)? };
    Some(a.indexed(base, Operand::Const(Const::Int(offset))))
}

/// The memory operand of an atomic instruction, which has no offset: `0(x1)` or `(x1)`.
fn direct(a: &mut Assembler, text: &str) -> Option<Address> {
    let (offset, _) = text.split_once('(')?;
    (offset.is_empty() || parse_int(offset)? == 0).then(|| memory(a, text))?
}

/// The tags of a mnemonic's suffix: `.aq`, `.rl`, `.aqrl`.
fn marks(parts: &[&str]) -> Option<Tags> {
    Some(match parts {
        [] => Tags::NONE,
        ["aq"] => Tags::ACQUIRE,
        ["rl"] => Tags::RELEASE,
        ["aqrl"] | ["aq", "rl"] => Tags::ACQUIRE | Tags::RELEASE,
        _ => return None,
    })
}

/// The tags, if they are not only this one. The manual (chapter "A" Extension) promises no more order for `lr.rl` and `sc.aq`
/// than for `lr` and `sc`.
fn unless_alone(tags: Tags, one: Tags) -> Tags {
    if tags == one { Tags::NONE } else { tags }
}

/// One set of a fence. Devices are not modelled, so their letters `i` and `o` add nothing.
fn kinds(text: &str, read: Tags, write: Tags) -> Option<Tags> {
    let letters = ["i", "o", "r", "w"];
    let rest = letters.iter().fold(text, |rest, letter| rest.strip_prefix(letter).unwrap_or(rest));
    let tags = |letter, tags| if text.contains(letter) { tags } else { Tags::NONE };
    (rest.is_empty() && !text.is_empty()).then(|| tags('r', read) | tags('w', write))
}

/// 64 bits that are compared or shifted as an unsigned number.
const UNSIGNED: Type = Type::Int { bits: 64, signed: false };

/// Arithmetic: the name, the name of the form with a constant, the operation, and the type of its operands.
#[rustfmt::skip]
const ARITHMETIC: [(&str, &str, Binary, Type); 15] = [
    ("add",  "addi",  Binary::Add,                  LONG),
    ("sub",  "",      Binary::Sub,                  LONG),
    ("and",  "andi",  Binary::And,                  LONG),
    ("or",   "ori",   Binary::Or,                   LONG),
    ("xor",  "xori",  Binary::Xor,                  LONG),
    ("sll",  "slli",  Binary::ShiftLeft,            LONG),
    ("srl",  "srli",  Binary::ShiftRight,           UNSIGNED),
    ("sra",  "srai",  Binary::ShiftRight,           LONG),
    ("slt",  "slti",  Binary::Compare(Compare::Lt), LONG),
    ("sltu", "sltiu", Binary::Compare(Compare::Lt), UNSIGNED),
    ("addw", "addiw", Binary::Add,                  SIGNED_WORD),
    ("subw", "",      Binary::Sub,                  SIGNED_WORD),
    ("sllw", "slliw", Binary::ShiftLeft,            SIGNED_WORD),
    ("srlw", "srliw", Binary::ShiftRight,           WORD),
    ("sraw", "sraiw", Binary::ShiftRight,           SIGNED_WORD),
];

/// The operand of `lui`: 20 bits without a sign, as GNU as takes them.
pub(super) fn upper_bits(text: &str) -> Option<i64> {
    parse_int(text).filter(|value| (0..1 << 20).contains(value))
}

/// An operation of two operands. As GNU as does, it takes a constant without the `i` of its name too.
fn arithmetic(a: &mut Assembler, name: &str, [dst, left, right]: [&str; 3]) -> Option<()> {
    let (plain, with_constant, op, ty) =
        ARITHMETIC.into_iter().find(|(plain, with_constant, ..)| [*plain, *with_constant].contains(&name))?;
    let is_constant = parse_int(right).is_some();
    if is_constant && with_constant.is_empty() || !is_constant && name != plain {
        return None;
    }
    let left = source(a, left)?;
    let mut right = operand(a, right)?;
    let is_shift = matches!(op, Binary::ShiftLeft | Binary::ShiftRight);
    if is_shift {
        let most = Operand::Const(Const::Int(i64::from(ty.bits()) - 1));
        match right {
            Operand::Const(Const::Int(count)) if !(0..i64::from(ty.bits())).contains(&count) => return None,
            Operand::Const(_) => {}
            Operand::Register(_) => {
                let count = a.temporary();
                a.binary(Binary::And, count, right, most, LONG);
                right = Operand::Register(count);
            }
        }
    }
    // A shift to the right takes the low half of its operand.
    let left = if is_shift && ty.bits() == 32 {
        let low = a.temporary();
        a.mov(low, left, ty);
        Operand::Register(low)
    } else {
        left
    };
    // x0 discards the result.
    let Some(dst) = target(a, dst)? else { return Some(()) };
    a.binary(op, dst, left, right, ty);
    // Every result of 32 bits is extended by its sign.
    if ty == WORD {
        a.mov(dst, Operand::Register(dst), SIGNED_WORD);
    }
    Some(())
}

/// What the names for common forms of other instructions stand for (the manual's chapter "RISC-V Assembly Programmer's
/// Handbook").
pub(super) fn meant<'a>(name: &'a str, operands: Vec<&'a str>) -> (&'a str, Vec<&'a str>) {
    let (name, operands) = match (name, operands.as_slice()) {
        ("neg", [dst, src]) => ("sub", vec![*dst, "x0", *src]),
        ("negw", [dst, src]) => ("subw", vec![*dst, "x0", *src]),
        ("not", [dst, src]) => ("xori", vec![*dst, *src, "-1"]),
        ("seqz", [dst, src]) => ("sltiu", vec![*dst, *src, "1"]),
        ("snez", [dst, src]) => ("sltu", vec![*dst, "x0", *src]),
        ("sext.w", [dst, src]) => ("addiw", vec![*dst, *src, "0"]),
        ("zext.b", [dst, src]) => ("andi", vec![*dst, *src, "255"]),
        // herd7 takes these in upper case too.
        ("MV", _) => ("mv", operands),
        ("NOP", _) => ("nop", operands),
        ("RET", _) => ("ret", operands),
        ("bgt", [left, right, label]) => ("blt", vec![*right, *left, *label]),
        ("ble", [left, right, label]) => ("bge", vec![*right, *left, *label]),
        ("bgtu", [left, right, label]) => ("bltu", vec![*right, *left, *label]),
        ("bleu", [left, right, label]) => ("bgeu", vec![*right, *left, *label]),
        ("beqz" | "bnez" | "bltz" | "bgez", [left, label]) => (&name[..3], vec![*left, "x0", *label]),
        ("bgtz", [left, label]) => ("blt", vec!["x0", *left, *label]),
        ("blez", [left, label]) => ("bge", vec!["x0", *left, *label]),
        _ => (name, operands),
    };
    (name, operands)
}

fn branch(a: &mut Assembler, mnemonic: &str, [left, right]: [&str; 2], label: &str) -> Option<()> {
    let compare = match mnemonic {
        "beq" => Compare::Eq,
        "bne" => Compare::Ne,
        "blt" | "bltu" => Compare::Lt,
        "bge" | "bgeu" => Compare::Ge,
        _ => return None,
    };
    let (left, right) = (source(a, left)?, source(a, right)?);
    let ty = Type::Int { bits: 64, signed: !mnemonic.ends_with('u') };
    a.branch(compare, left, right, ty, label)
}

/// The type that the letters behind `l`, `s` or an atomic's name give. `u` extends by zeros.
fn width(letters: &str) -> Option<Type> {
    match letters {
        "b" => Some(SIGNED_BYTE),
        "h" => Some(SIGNED_HALF),
        "bu" => Some(BYTE),
        "hu" => Some(HALF),
        "wu" => Some(WORD),
        "w" => Some(SIGNED_WORD),
        "d" => Some(LONG),
        _ => None,
    }
}

/// Atomic accesses have 32 or 64 bits.
fn atomic_width(letter: &str) -> Option<Type> {
    matches!(letter, "w" | "d").then(|| width(letter))?
}

fn assemble(a: &mut Assembler, mnemonic: &str, operands: &[&str], _: &[String]) -> Option<()> {
    let (mnemonic, operands) = meant(mnemonic, operands.to_vec());
    let operands = operands.as_slice();
    match (mnemonic, operands) {
        ("fence", [before, after]) => {
            let tags = kinds(before, Tags::FENCE_PR, Tags::FENCE_PW)? | kinds(after, Tags::FENCE_SR, Tags::FENCE_SW)?;
            a.steps.push(Step::Fence(tags));
        }
        // Without operands it is `fence iorw,iorw`.
        ("fence", []) => a.steps.push(Step::Fence(Tags::FENCE_RW_RW)),
        // fence.tso orders everything except a write before a read.
        ("fence.tso", []) | ("fence", ["tso"]) => {
            a.steps.push(Step::Fence(Tags::FENCE_R_RW));
            a.steps.push(Step::Fence(Tags::FENCE_W_W));
        }
        // fence.i orders instruction fetches, not accesses.
        ("fence.i" | "nop", []) => {}
        ("li" | "mv", [dst, src]) => {
            let constant = parse_int(src).map(|value| Operand::Const(Const::Int(value)));
            let src = if mnemonic == "li" { constant? } else { source(a, src)? };
            if let Some(dst) = target(a, dst)? {
                a.mov(dst, src, LONG);
            }
        }
        ("lui", [dst, value]) => {
            // The 20 bits become the upper ones of a word, which is extended by its sign.
            let value = upper_bits(value)?;
            if let Some(dst) = target(a, dst)? {
                a.mov(dst, Operand::Const(Const::Int(value << 12)), SIGNED_WORD);
            }
        }
        ("j", [label]) => a.jump(label)?,
        ("ret", []) => a.end(),
        (_, [dst, left, right]) if arithmetic(a, mnemonic, [dst, left, right]).is_some() => {}
        (_, [left, right, label]) if branch(a, mnemonic, [left, right], label).is_some() => {}
        _ => return access(a, mnemonic, operands),
    }
    Some(())
}

fn access(a: &mut Assembler, mnemonic: &str, operands: &[&str]) -> Option<()> {
    let parts: Vec<&str> = mnemonic.split('.').collect();
    match (parts.as_slice(), operands) {
        (["lb" | "lbu" | "lh" | "lhu" | "lw" | "lwu" | "ld", rest @ ..], [dst, place]) => {
            let (address, dst, tags) = (memory(a, place)?, target(a, dst)?, marks(rest)?);
            a.steps.push(Step::Read { dst, address, ty: width(&parts[0][1..])?, tags });
        }
        (["sb" | "sh" | "sw" | "sd", rest @ ..], [src, place]) => {
            let (address, value, tags) = (memory(a, place)?, operand(a, src)?, marks(rest)?);
            a.steps.push(Step::Write { address, value, ty: width(&parts[0][1..])?, tags });
        }
        (["lr", size, rest @ ..], [dst, place]) => {
            let (address, dst) = (direct(a, place)?, target(a, dst)?);
            let tags = marks(rest).map(|tags| unless_alone(tags, Tags::RELEASE))? | Tags::EXCLUSIVE;
            a.steps.push(Step::Read { dst, address, ty: atomic_width(size)?, tags });
        }
        (["sc", size, rest @ ..], [status, src, place]) => {
            let (address, value, status) = (direct(a, place)?, operand(a, src)?, a.register(status)?);
            let ty = atomic_width(size)?;
            let tags = marks(rest).map(|tags| unless_alone(tags, Tags::ACQUIRE))? | Tags::EXCLUSIVE;
            a.steps.push(Step::StoreConditional { status, carries: StatusOf::Store, address, value, ty, tags });
        }
        ([name, size, rest @ ..], [dst, src, place]) if name.starts_with("amo") => {
            let (address, value, dst) = (direct(a, place)?, operand(a, src)?, target(a, dst)?);
            let (tags, ty) = (marks(rest)? | Tags::AMO, atomic_width(size)?);
            let change = match *name {
                "amoswap" => Change::Op(RmwOp::Xchg, value),
                "amoadd" => Change::Op(RmwOp::Add, value),
                "amoor" => Change::Op(RmwOp::Or, value),
                "amoand" => Change::Op(RmwOp::And, value),
                "amoxor" => Change::Op(RmwOp::Xor, value),
                "amomax" | "amomaxu" => Change::Extreme(Compare::Gt, value),
                "amomin" | "amominu" => Change::Extreme(Compare::Lt, value),
                _ => return None,
            };
            let compared = ty.with_sign(!name.ends_with('u'));
            a.atomic(dst, address, compared, change, [tags, tags]);
            // The register gets the old word extended by its sign, also where it was compared without one.
            if let Some(dst) = dst.filter(|_| compared == WORD) {
                a.mov(dst, Operand::Register(dst), SIGNED_WORD);
            }
        }
        _ => return None,
    }
    Some(())
}
