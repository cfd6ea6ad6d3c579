//! Loads and stores of AArch64.

use super::operand::{constant, memory, sink, source, target};
use super::register_name;
use crate::model::assembly::{Assembler, BYTE, HALF, LONG, WORD, int};
use crate::model::code::{StatusOf, Step};
use crate::model::event::Tags;
use crate::program::{Address, Binary, Operand, Type};

/// Splits the width off a mnemonic: `B` or `H`. Without it an access is as wide as its register.
pub(super) fn narrow(mnemonic: &str) -> (&str, Option<Type>) {
    if let Some(base) = mnemonic.strip_suffix('B') {
        return (base, Some(BYTE));
    }
    mnemonic.strip_suffix('H').map_or((mnemonic, None), |base| (base, Some(HALF)))
}

/// The width of an access to or from a register. Bytes and half-words use the 32-bit names of the registers.
pub(super) fn access_width(narrow: Option<Type>, register: Type) -> Option<Type> {
    match narrow {
        None => Some(register),
        Some(ty) => (register == WORD).then_some(ty),
    }
}

/// Loads and stores; `None` if the mnemonic or its operands are not those of one.
pub(super) fn access(a: &mut Assembler, mnemonic: &str, operands: &[&str]) -> Option<()> {
    match operands {
        // Pre-indexed and post-indexed: the base register moves on.
        [values @ .., place] if place.ends_with('!') => moved_on(a, mnemonic, values, place.strip_suffix('!')?, None),
        [values @ .., place, distance] if place.starts_with('[') && distance.starts_with('#') => {
            moved_on(a, mnemonic, values, place, Some(distance))
        }
        [first, second, place] if is_pair(mnemonic) => pair(a, mnemonic, [first, second], place, false),
        _ => single(a, mnemonic, operands),
    }
}

/// An access with one address.
fn single(a: &mut Assembler, mnemonic: &str, operands: &[&str]) -> Option<()> {
    if let [dst, place] = operands
        && let Some((base, ty)) = sign_extending(mnemonic)
    {
        let tags = if base == "LDAPUR" { Tags::ACQUIRE_PC } else { Tags::NONE };
        let register = register_name(dst)?.1;
        if ty == Type::INT && register != LONG {
            return None;
        }
        let address = memory(a, place)?;
        let (dst, _) = sink(a, dst)?;
        a.steps.push(Step::Read { dst: Some(dst), address, ty, tags });
        if register == WORD {
            a.mov(dst, Operand::Register(dst), WORD);
        }
        return Some(());
    }
    let (base, narrow) = narrow(mnemonic);
    match (base, operands) {
        ("LDR" | "LDUR" | "LDAR" | "LDAPR" | "LDAPUR" | "LDXR" | "LDAXR", [dst, place]) => {
            let ty = access_width(narrow, register_name(dst)?.1)?;
            let address = memory(a, place)?;
            let (dst, _) = target(a, dst)?;
            let tags = match base {
                "LDAR" => Tags::ACQUIRE,
                "LDAPR" | "LDAPUR" => Tags::ACQUIRE_PC,
                "LDXR" => Tags::EXCLUSIVE,
                "LDAXR" => Tags::EXCLUSIVE | Tags::ACQUIRE,
                _ => Tags::NONE,
            };
            a.steps.push(Step::Read { dst, address, ty, tags });
        }
        ("STR" | "STUR" | "STLR" | "STLUR", [src, place]) => {
            let ty = access_width(narrow, register_name(src)?.1)?;
            let address = memory(a, place)?;
            let (value, _) = source(a, src)?;
            let tags = if base.starts_with("STL") { Tags::RELEASE } else { Tags::NONE };
            a.steps.push(Step::Write { address, value, ty, tags });
        }
        ("STXR" | "STLXR", [status, src, place]) => {
            let ty = access_width(narrow, register_name(src)?.1)?;
            let address = memory(a, place)?;
            let (value, _) = source(a, src)?;
            let (status, _) = sink(a, status).filter(|(_, ty)| *ty == WORD)?;
            let tags = if base == "STLXR" { Tags::EXCLUSIVE | Tags::RELEASE } else { Tags::EXCLUSIVE };
            a.steps.push(Step::StoreConditional { status, carries: StatusOf::Nothing, address, value, ty, tags });
        }
        _ => return None,
    }
    Some(())
}

/// A load or a store that leaves in its base register the address it accessed, or with a distance the one behind it.
fn moved_on(a: &mut Assembler, mnemonic: &str, values: &[&str], place: &str, distance: Option<&str>) -> Option<()> {
    let inner = place.strip_prefix('[')?.strip_suffix(']')?;
    let base = inner.split(',').next()?;
    let named = register_name(base)?;
    // The manual leaves open what happens if the base register is loaded or stored.
    if values.iter().any(|value| register_name(value).is_none_or(|value| value.0 == named.0)) {
        return None;
    }
    let ordered = matches!(mnemonic, "LDIAPP" | "STILP");
    let reaches: fn(i64, i64) -> bool = match (mnemonic, values) {
        ("LDP" | "LDPSW" | "STP", [_, _]) => {
            |distance, size| distance % size == 0 && (-64..64).contains(&(distance / size))
        }
        // These have one distance: that of the pair.
        ("LDIAPP", [_, _]) if distance.is_some() => |distance, size| distance == 2 * size,
        ("STILP", [_, _]) if distance.is_none() => |distance, size| distance == -2 * size,
        _ if sign_extending(mnemonic).is_some_and(|(base, _)| base == "LDR")
            || matches!(narrow(mnemonic).0, "LDR" | "STR") =>
        {
            |distance, _| (-256..256).contains(&distance)
        }
        _ => return None,
    };
    let size = if mnemonic == "LDPSW" || register_name(values.first()?)?.1 == WORD { 4 } else { 8 };
    let base_register = a.register(base)?;
    let forward = |text: &str| constant(text).filter(|distance| reaches(*distance, size)).map(int);
    let step = |a: &mut Assembler, place: &str| match values {
        [first, second] => pair(a, mnemonic, [first, second], place, ordered && distance.is_none()),
        [value] => single(a, mnemonic, &[value, place]),
        _ => None,
    };
    match distance {
        Some(distance) => {
            if inner != base {
                return None;
            }
            let distance = forward(distance)?;
            step(a, place)?;
            a.moved_on.push((base_register, a.steps.len()));
            a.binary(Binary::Add, base_register, Operand::Register(base_register), distance, LONG);
        }
        None => {
            // Computed before the access, as its address.
            let distance = forward(inner.split_once(',')?.1)?;
            a.binary(Binary::Add, base_register, Operand::Register(base_register), distance, LONG);
            step(a, &format!("[{base}]"))?;
        }
    }
    Some(())
}

fn is_pair(mnemonic: &str) -> bool {
    matches!(mnemonic, "LDP" | "LDPSW" | "STP" | "LDNP" | "STNP" | "LDIAPP" | "STILP")
}

/// LDP, LDPSW, STP and the others: two accesses side by side. herd7 has no program order between them; Armv8 orders two
/// plain accesses to different bytes no more than that. The hint of LDNP and STNP that the data is not used again orders
/// nothing. LDIAPP acquires and STILP releases with both accesses, in the order of the registers; STILP with an address
/// that moves has the other order (`last_first`).
fn pair(a: &mut Assembler, name: &str, registers: [&str; 2], place: &str, last_first: bool) -> Option<()> {
    // The model has no form with a register as the index.
    let has_index = place.split_once(',').is_some_and(|(_, index)| !index.trim_start().starts_with('#'));
    let [ty, other] = registers.map(|register| register_name(register).map(|(_, ty)| ty));
    if has_index || ty? != other? || name == "LDPSW" && ty != Some(LONG) {
        return None;
    }
    // The manual leaves open what two loads into one register give.
    if !name.starts_with("ST") && register_name(registers[0])?.0 == register_name(registers[1])?.0 {
        return None;
    }
    // These have no displacement.
    if matches!(name, "LDIAPP" | "STILP") && place.contains(',') {
        return None;
    }
    let ty = if name == "LDPSW" { Type::INT } else { ty? };
    let Address::Register(base) = memory(a, place)? else { return None };
    // Before the first access: a load may overwrite the base register.
    let bytes = i64::try_from(ty.bytes()).ok()?;
    let behind = a.indexed(base, int(bytes));
    let tags = match name {
        "LDIAPP" => Tags::ACQUIRE_PC,
        "STILP" => Tags::RELEASE,
        _ => Tags::NONE,
    };
    let mut steps = Vec::new();
    for (register, address) in registers.into_iter().zip([Address::Register(base), behind]) {
        steps.push(if name.starts_with("ST") {
            Step::Write { address, value: source(a, register)?.0, ty, tags }
        } else {
            Step::Read { dst: target(a, register)?.0, address, ty, tags }
        });
    }
    if last_first {
        steps.reverse();
    }
    a.steps.extend(steps);
    Some(())
}

/// Splits a load that extends by sign into its name and the type that it reads.
fn sign_extending(mnemonic: &str) -> Option<(&str, Type)> {
    const TYPES: [(&str, u8); 3] = [("SB", 8), ("SH", 16), ("SW", 32)];
    let (base, bits) =
        TYPES.iter().find_map(|(suffix, bits)| mnemonic.strip_suffix(suffix).map(|base| (base, *bits)))?;
    matches!(base, "LDR" | "LDUR" | "LDAPUR").then_some((base, Type::Int { bits, signed: true }))
}
