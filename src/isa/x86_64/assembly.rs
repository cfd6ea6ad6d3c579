//! Instructions of X86_64 litmus tests, in AT&T syntax (`movl $1,(x)`) or in herd's syntax (`mov [x],$1`).

use super::updates;
use crate::model::Model;
use crate::model::assembly::{Assembler, Dialect, LONG, Named, WORD, parse_int};
use crate::model::code::{Change, Step};
use crate::model::event::Tags;
use crate::program::{Address, Const, Operand, RmwOp, Type};

pub(super) const DIALECT: Dialect = Dialect {
    words: &["X86_64", "X86"],
    model: Model::X86Tso,
    register: register_name,
    instruction: assemble,
    names_locations: true,
};

const LEGACY: [&str; 8] = ["ax", "bx", "cx", "dx", "si", "di", "bp", "sp"];

/// `eax`, `rax`, `r8d`, `r8`, with or without `%`.
pub(super) fn register_name(text: &str) -> Option<Named> {
    let text = text.trim_start_matches('%').to_ascii_lowercase();
    for name in LEGACY {
        if text == format!("e{name}") {
            return Some((format!("r{name}"), WORD));
        }
        if text == format!("r{name}") {
            return Some((text, LONG));
        }
    }
    let (number, ty) = text.strip_suffix('d').map_or((text.as_str(), LONG), |number| (number, WORD));
    let digits = number.strip_prefix('r')?.parse::<u8>().ok()?;
    (8..16).contains(&digits).then(|| (number.to_owned(), ty))
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
    let inner = text.trim_matches(['(', ')', '[', ']']);
    if inner.len() < text.len() {
        if let Some(register) = a.register(inner) {
            return Some(Place::Memory(Address::Register(register)));
        }
        return Some(Place::Memory(Address::Location(names.iter().position(|known| known == inner)?)));
    }
    a.typed(text).map(|(register, ty)| Place::Register(register, ty))
}

fn assemble(a: &mut Assembler, mnemonic: &str, operands: &[&str], names: &[String]) -> Option<()> {
    let mnemonic = mnemonic.to_ascii_lowercase();
    // AT&T: `movl source,target`, with a suffix for the width. herd's syntax: `mov target,source`.
    let (base, ty, att) = match mnemonic.as_str() {
        "movl" | "xchgl" => (&mnemonic[..mnemonic.len() - 1], WORD, true),
        "movq" | "xchgq" => (&mnemonic[..mnemonic.len() - 1], LONG, true),
        other => (other, WORD, false),
    };
    match (base, operands) {
        ("mfence", []) => a.steps.push(Step::Fence(Tags::MFENCE)),
        // lfence and sfence order nothing between accesses to ordinary memory.
        ("lfence" | "sfence" | "nop", []) => {}
        ("mov", [first, second]) => {
            let (source, target) = if att { (first, second) } else { (second, first) };
            match (place(a, target, names)?, place(a, source, names)?) {
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
            }
        }
        ("xchg", [first, second]) => {
            let (register, address, ty) = match (place(a, first, names)?, place(a, second, names)?) {
                (Place::Register(register, ty), Place::Memory(address))
                | (Place::Memory(address), Place::Register(register, ty)) => (register, address, ty),
                _ => return None,
            };
            a.atomic(
                Some(register),
                address,
                ty,
                Change::Op(RmwOp::Xchg, Operand::Register(register)),
                [Tags::AMO, Tags::AMO],
            );
        }
        ("jmp", [label]) => a.jump(label)?,
        _ => return updates::assemble(a, &mnemonic, operands, names),
    }
    Some(())
}
