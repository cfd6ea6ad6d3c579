//! Instructions of RISCV litmus tests.

use crate::model::Model;
use crate::model::assembly::{
    Assembler, BYTE, Dialect, HALF, LONG, Named, SIGNED_WORD, WORD, ZERO, parse_int, register_number,
};
use crate::model::code::{Change, Step};
use crate::model::event::Tags;
use crate::program::{Address, Binary, Compare, Const, Operand, RegisterId, RmwOp, Type};

pub(super) const DIALECTS: [Dialect; 1] = [Dialect {
    word: "RISCV",
    model: Model::Rvwmo,
    register: register_name,
    instruction: assemble,
    names_locations: false,
    turned_round: false,
}];

/// `x0` to `x31`, or the names of the calling convention: `zero`, `ra`, `sp`, `gp`, `tp`, `t0` to `t6`, `s0` (`fp`) to
/// `s11`, `a0` to `a7`.
pub(super) fn register_name(text: &str) -> Option<Named> {
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

fn kinds(text: &str, read: Tags, write: Tags) -> Option<Tags> {
    Some(match text {
        "r" => read,
        "w" => write,
        // Devices are not modelled, so their letters add nothing.
        "rw" | "iorw" => read | write,
        _ => return None,
    })
}

/// The type that the letters behind `l`, `s` or an atomic's name give. `u` extends by zeros.
fn width(letters: &str) -> Option<Type> {
    match letters {
        "b" => Some(Type::Int { bits: 8, signed: true }),
        "h" => Some(Type::Int { bits: 16, signed: true }),
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
        ("li", [dst, src]) | ("mv", [dst, src]) => {
            let src = operand(a, src)?;
            let dst = a.register(dst)?;
            a.mov(dst, src, LONG);
        }
        (
            "ori" | "addi" | "xori" | "andi" | "slli" | "or" | "add" | "xor" | "and" | "sub" | "sll",
            [dst, left, right],
        ) => {
            let (left, right) = (operand(a, left)?, operand(a, right)?);
            let op = match mnemonic.trim_end_matches('i') {
                "or" => Binary::Or,
                "add" => Binary::Add,
                "xor" => Binary::Xor,
                "and" => Binary::And,
                "sub" => Binary::Sub,
                _ => Binary::ShiftLeft,
            };
            if op == Binary::ShiftLeft && !matches!(right, Operand::Const(Const::Int(0..64))) {
                return None;
            }
            let dst = a.register(dst)?;
            a.binary(op, dst, left, right, LONG);
        }
        ("beq" | "bne" | "blt" | "bge" | "bltu" | "bgeu", [left, right, label]) => {
            let (left, right) = (operand(a, left)?, operand(a, right)?);
            let compare = match mnemonic {
                "beq" => Compare::Eq,
                "bne" => Compare::Ne,
                "blt" | "bltu" => Compare::Lt,
                _ => Compare::Ge,
            };
            let ty = Type::Int { bits: 64, signed: !mnemonic.ends_with('u') };
            a.branch(compare, left, right, ty, label)?;
        }
        ("beqz" | "bnez", [left, label]) => {
            let left = operand(a, left)?;
            let compare = if mnemonic == "beqz" { Compare::Eq } else { Compare::Ne };
            a.branch(compare, left, ZERO, LONG, label)?;
        }
        ("j", [label]) => a.jump(label)?,
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
            a.steps.push(Step::StoreConditional { status, carries: true, address, value, ty, tags });
        }
        ([name, size, rest @ ..], [dst, src, place]) if name.starts_with("amo") => {
            let op = match *name {
                "amoswap" => RmwOp::Xchg,
                "amoadd" => RmwOp::Add,
                "amoor" => RmwOp::Or,
                "amoand" => RmwOp::And,
                "amoxor" => RmwOp::Xor,
                _ => return None,
            };
            let (address, value, dst) = (direct(a, place)?, operand(a, src)?, target(a, dst)?);
            let tags = marks(rest)? | Tags::AMO;
            a.atomic(dst, address, atomic_width(size)?, Change::Op(op, value), [tags, tags]);
        }
        _ => return None,
    }
    Some(())
}
