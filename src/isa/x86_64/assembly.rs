//! Instructions of X86_64 litmus tests in AT&T syntax, where the target stands last (`movl $1,(x)`), with and without suffixes.
//! X86 tests, for 32 bits, have the target first (`MOV [x],$1`), with suffixes too. That is how herd7 reads the two.

use super::updates;
use crate::model::Model;
use crate::model::assembly::{Assembler, BYTE, Dialect, HALF, LONG, Named, WORD, parse_int, register_number};
use crate::model::code::{Change, Step};
use crate::model::event::Tags;
use crate::program::{Address, Binary, Const, Operand, RegisterId, RmwOp, Type};

pub(super) const DIALECTS: [Dialect; 2] = [
    Dialect {
        word: "X86_64",
        model: Model::X86Tso,
        register: register_name,
        register_bits: 64,
        instruction: assemble,
        respell: |_, _| None,
        has_dotted_labels: false,
        names_locations: true,
        link: None,
        jumps_by: None,
        turned_round: false,
    },
    Dialect {
        word: "X86",
        model: Model::X86Tso,
        register: short_register_name,
        register_bits: 32,
        instruction: assemble,
        respell: |_, _| None,
        has_dotted_labels: false,
        names_locations: true,
        link: None,
        jumps_by: None,
        turned_round: true,
    },
];

/// The general registers in the order of their numbers. The first eight have names in place of numbers.
pub(super) const REGISTERS: [&str; 16] =
    ["rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi", "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15"];

/// The names of the first eight in X86 tests.
pub(super) const SHORT_REGISTERS: [&str; 8] = ["EAX", "ECX", "EDX", "EBX", "ESP", "EBP", "ESI", "EDI"];

/// `eax`, `rax`, `r8d`, `r8`, with or without `%`.
pub(super) fn register_name(text: &str) -> Option<Named> {
    let text = text.trim_start_matches('%');
    let (letter, rest) = text.split_at_checked(1)?;
    let legacy = REGISTERS[..8].iter().find(|name| name[1..].eq_ignore_ascii_case(rest));
    match (letter, legacy) {
        ("e" | "E", Some(name)) => return Some((*name, WORD)),
        ("r" | "R", Some(name)) => return Some((*name, LONG)),
        ("r" | "R", None) => {}
        _ => return None,
    }
    let (digits, ty) = rest.strip_suffix(['d', 'D']).map_or((rest, LONG), |digits| (digits, WORD));
    let number = register_number(digits).filter(|number| *number >= 8)?;
    Some((*REGISTERS.get(number)?, ty))
}

/// `EAX`, `eax`, `%eax`
fn short_register_name(text: &str) -> Option<Named> {
    let text = text.trim_start_matches('%');
    SHORT_REGISTERS.iter().find(|name| name.eq_ignore_ascii_case(text)).map(|name| (*name, WORD))
}

/// Whether an operand is a constant, which cannot be a target.
fn is_value(text: &str) -> bool {
    text.strip_prefix('$').or(Some(text)).and_then(parse_int).is_some()
}

pub(super) enum Place {
    Register(usize, Type),
    Memory(Address),
    Value(i64),
}

pub(super) fn place(a: &mut Assembler, text: &str, names: &[String]) -> Option<Place> {
    if let Some(value) = text.strip_prefix('$').or(Some(text)).and_then(parse_int) {
        return Some(Place::Value(value));
    }
    let (offset, text) = displaced(text);
    let inner = text.trim_matches(['(', ')', '[', ']']);
    if inner.len() < text.len() {
        if let Some(Indexed { base, index, scale }) = Indexed::of(inner) {
            let ((base, own), (index, other)) = (a.typed(base)?, a.typed(index)?);
            // Both registers have the width of an address.
            if !SCALES.contains(&scale) || own != other {
                return None;
            }
            // Without a factor the index may be the address, and the base the distance.
            let mut distance = index;
            if scale != 1 {
                distance = a.temporary();
                a.binary(Binary::Mul, distance, Operand::Register(index), Operand::Const(Const::Int(scale)), LONG);
            }
            let Address::Register(sum) = a.indexed(base, Operand::Register(distance)) else { return None };
            return Some(Place::Memory(a.indexed(sum, Operand::Const(Const::Int(offset)))));
        }
        if let Some(register) = a.register(inner) {
            return Some(Place::Memory(a.indexed(register, Operand::Const(Const::Int(offset)))));
        }
        if offset != 0 {
            return None;
        }
        return Some(Place::Memory(Address::Location(names.iter().position(|known| known == inner)?)));
    }
    a.typed(text).map(|(register, ty)| Place::Register(register, ty))
}

/// The inner part of a memory operand with an index: `%rax,%rbx,4`, or `%rax,%rbx`, whose scale is 1.
pub(super) struct Indexed<'a> {
    pub base: &'a str,
    pub index: &'a str,
    pub scale: i64,
}

/// The scales that an instruction can have.
pub(super) const SCALES: [i64; 4] = [1, 2, 4, 8];

impl Indexed<'_> {
    pub fn of(inner: &str) -> Option<Indexed<'_>> {
        let (base, rest) = inner.split_once(',')?;
        let (index, scale) = match rest.split_once(',') {
            Some((index, scale)) => (index, parse_int(scale)?),
            None => (rest, 1),
        };
        Some(Indexed { base, index, scale })
    }
}

/// The displacement of a memory operand such as `2(%rbx)`, and the operand without it.
pub(super) fn displaced(text: &str) -> (i64, &str) {
    let open = text.find('(').filter(|open| *open > 0);
    open.and_then(|open| Some((parse_int(&text[..open])?, &text[open..]))).unwrap_or((0, text))
}

/// The register that the name of its low 8 or 16 bits means: `al`, `sil`, `r8b`, `ax`, `r8w`.
fn low_part(a: &mut Assembler, text: &str, ty: Type) -> Option<RegisterId> {
    let text = text.trim_start_matches('%').to_ascii_lowercase();
    let short = |name: &&str| {
        let name = &name[1..];
        match (ty == BYTE, text.strip_suffix('l')) {
            (true, low) => low == Some(name.strip_suffix('x').unwrap_or(name)),
            (false, _) => text == *name,
        }
    };
    let name = match REGISTERS.into_iter().take(8).find(short) {
        Some(name) => &format!("e{}", &name[1..]),
        None => {
            let name = text.strip_suffix(if ty == BYTE { 'b' } else { 'w' })?;
            (register_name(name).is_some_and(|(_, ty)| ty == LONG) && name.starts_with('r')).then_some(name)?
        }
    };
    a.register(name)
}

/// What a register holds if a value of this type is written to it. 32 bits clear the upper half; 8 and 16 bits keep the others.
pub(super) fn merged(a: &mut Assembler, register: RegisterId, value: Operand, ty: Type) -> Operand {
    if ty.bits() >= 32 {
        return value;
    }
    let [low, upper, whole] = std::array::from_fn(|_| a.temporary());
    a.mov(low, value, ty);
    let mask = Operand::Const(Const::Int(-1 << ty.bits()));
    a.binary(Binary::And, upper, Operand::Register(register), mask, LONG);
    a.binary(Binary::Or, whole, Operand::Register(upper), Operand::Register(low), LONG);
    Operand::Register(whole)
}

/// Writes a value of this type to a register.
pub(super) fn set(a: &mut Assembler, register: RegisterId, value: Operand, ty: Type) {
    let whole = merged(a, register, value, ty);
    a.mov(register, whole, if ty.bits() < 32 { LONG } else { ty });
}

/// An operand of 8 or 16 bits. A register of another width is none.
pub(super) fn narrow_place(a: &mut Assembler, text: &str, ty: Type, names: &[String]) -> Option<Place> {
    if let Some(register) = low_part(a, text, ty) {
        return Some(Place::Register(register, ty));
    }
    place(a, text, names).filter(|place| !matches!(place, Place::Register(..)))
}

/// Accesses of 8 and 16 bits, in AT&T syntax; `None` if the instruction is not one.
fn narrow(a: &mut Assembler, mnemonic: &str, operands: &[&str], names: &[String]) -> Option<()> {
    let [source, target] = operands else { return None };
    if let Some(letters) = mnemonic.strip_prefix("movz") {
        let ty = if letters.starts_with('b') { BYTE } else { HALF };
        let wide = match letters {
            "bl" | "wl" => WORD,
            "bq" | "wq" => LONG,
            _ => return None,
        };
        let Place::Memory(address) = place(a, source, names)? else { return None };
        let Place::Register(dst, own) = place(a, target, names)? else { return None };
        a.steps.push(Step::Read { dst: Some(dst), address, ty, tags: Tags::NONE });
        return (own == wide).then_some(());
    }
    let (base, ty) = match mnemonic.strip_suffix('b') {
        Some(base) => (base, BYTE),
        None => (mnemonic.strip_suffix('w')?, HALF),
    };
    match (base, narrow_place(a, target, ty, names)?, narrow_place(a, source, ty, names)?) {
        ("mov", Place::Memory(address), source) => {
            let value = match source {
                Place::Register(register, _) => Operand::Register(register),
                Place::Value(value) => Operand::Const(Const::Int(value)),
                Place::Memory(_) => return None,
            };
            a.steps.push(Step::Write { address, value, ty, tags: Tags::NONE });
        }
        ("mov", Place::Register(dst, _), source) => {
            let value = match source {
                Place::Register(register, _) => Operand::Register(register),
                Place::Value(value) => Operand::Const(Const::Int(value)),
                Place::Memory(address) => {
                    let read = a.temporary();
                    a.steps.push(Step::Read { dst: Some(read), address, ty, tags: Tags::NONE });
                    Operand::Register(read)
                }
            };
            set(a, dst, value, ty);
        }
        ("xchg", Place::Register(register, _), Place::Memory(address))
        | ("xchg", Place::Memory(address), Place::Register(register, _)) => {
            let read = a.temporary();
            let change = Change::Op(RmwOp::Xchg, Operand::Register(register));
            a.atomic(Some(read), address, ty, change, [Tags::AMO, Tags::AMO]);
            set(a, register, Operand::Register(read), ty);
        }
        _ => return None,
    }
    Some(())
}

fn assemble(a: &mut Assembler, mnemonic: &str, operands: &[&str], names: &[String]) -> Option<()> {
    let mnemonic = mnemonic.to_ascii_lowercase();
    // Without a suffix and without a register an access has 32 bits, as in herd7.
    let (base, ty) = match mnemonic.as_str() {
        "movl" | "xchgl" => (&mnemonic[..mnemonic.len() - 1], WORD),
        "movq" | "xchgq" => (&mnemonic[..mnemonic.len() - 1], LONG),
        other => (other, WORD),
    };
    match (base, operands) {
        ("mfence", []) => a.steps.push(Step::Fence(Tags::MFENCE)),
        // lfence and sfence order nothing between accesses to ordinary memory.
        // `endbr64` marks the target of an indirect jump.
        ("lfence" | "sfence" | "nop" | "endbr64", []) => {}
        // The operand gives a nop more bytes. It is not accessed. A segment may stand in front of it.
        ("nop" | "nopl" | "nopw", [place]) => {
            let place = place.split_once(':').map_or(*place, |(_, place)| place);
            let inner = displaced(place).1.trim_matches(['(', ')']);
            match Indexed::of(inner) {
                Some(Indexed { base, index, .. }) => drop((a.typed(base)?, a.typed(index)?)),
                None => drop(a.typed(inner)?),
            }
        }
        ("ret" | "retq", []) => a.end(),
        ("mov", [source, target]) if !is_value(target) => match (place(a, target, names)?, place(a, source, names)?) {
            (Place::Register(dst, ty), Place::Value(value)) => a.mov(dst, Operand::Const(Const::Int(value)), ty),
            (Place::Register(dst, ty), Place::Register(src, _)) => a.mov(dst, Operand::Register(src), ty),
            (Place::Register(dst, ty), Place::Memory(address)) => {
                a.steps.push(Step::Read { dst: Some(dst), address, ty, tags: Tags::NONE });
            }
            (Place::Memory(address), Place::Value(value)) => {
                let value = Operand::Const(Const::Int(value));
                a.steps.push(Step::Write { address, value, ty, tags: Tags::NONE });
            }
            (Place::Memory(address), Place::Register(register, ty)) => {
                let value = Operand::Register(register);
                a.steps.push(Step::Write { address, value, ty, tags: Tags::NONE });
            }
            _ => return None,
        },
        ("xchg", [first, second]) => match (place(a, first, names)?, place(a, second, names)?) {
            (Place::Register(register, ty), Place::Memory(address))
            | (Place::Memory(address), Place::Register(register, ty)) => a.atomic(
                Some(register),
                address,
                ty,
                Change::Op(RmwOp::Xchg, Operand::Register(register)),
                [Tags::AMO, Tags::AMO],
            ),
            (Place::Register(first, ty), Place::Register(second, other)) if ty == other => {
                let kept = a.temporary();
                a.mov(kept, Operand::Register(first), ty);
                a.mov(first, Operand::Register(second), ty);
                a.mov(second, Operand::Register(kept), ty);
            }
            _ => return None,
        },
        ("jmp", [label]) => a.jump(label)?,
        ("movb" | "movw" | "xchgb" | "xchgw" | "movzbl" | "movzwl" | "movzbq" | "movzwq", _) => {
            narrow(a, &mnemonic, operands, names)?;
        }
        _ => return updates::assemble(a, &mnemonic, operands, names),
    }
    Some(())
}
