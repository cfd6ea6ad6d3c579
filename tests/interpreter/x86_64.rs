//! Interpreter for x86-64, as capstone writes it (Intel syntax).

use super::{Core, Fallible, Place, RETURN, Step, TouchKind, number, sign_extend, split, unknown, zero_extend};

const SYS_SCHED_YIELD: u64 = 24;

/// The number and the size in bytes of a register name.
fn register(name: &str) -> Option<(usize, usize)> {
    const WIDE: [&str; 8] = ["rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi"];
    const WORD: [&str; 8] = ["ax", "cx", "dx", "bx", "sp", "bp", "si", "di"];
    const BYTE: [&str; 8] = ["al", "cl", "dl", "bl", "spl", "bpl", "sil", "dil"];
    if let Some(number) = WIDE.iter().position(|known| *known == name) {
        return Some((number, 8));
    }
    if let Some(number) = name.strip_prefix('e').and_then(|name| WORD.iter().position(|known| *known == name)) {
        return Some((number, 4));
    }
    if let Some(number) = WORD.iter().position(|known| *known == name) {
        return Some((number, 2));
    }
    if let Some(number) = BYTE.iter().position(|known| *known == name) {
        return Some((number, 1));
    }
    let name = name.strip_prefix('r')?;
    let digits = name.trim_end_matches(['d', 'w', 'b']);
    let bytes = match &name[digits.len()..] {
        "" => 8,
        "d" => 4,
        "w" => 2,
        "b" => 1,
        _ => return None,
    };
    digits.parse().ok().filter(|number| (8..16).contains(number)).map(|number| (number, bytes))
}

/// A general register of 64 bits, or a vector register.
fn place(name: &str) -> Fallible<Place> {
    if let Some(number) = name.strip_prefix("xmm").and_then(|digits| digits.parse().ok()) {
        return Ok(Place::Vector(number));
    }
    register(name).filter(|(_, bytes)| *bytes == 8).map(|(number, _)| Place::General(number)).ok_or_else(unknown)
}

enum Operand {
    Register(usize, usize),
    Memory(u64, usize),
    Immediate(u64),
}

fn operand(core: &Core, text: &str) -> Fallible<Operand> {
    if let Some((number, bytes)) = register(text) {
        return Ok(Operand::Register(number, bytes));
    }
    let Some((size, inner)) = text.split_once('[') else { return Ok(Operand::Immediate(number(text)?)) };
    let bytes = match size.trim() {
        "qword ptr" | "" => 8,
        "dword ptr" => 4,
        "word ptr" => 2,
        "byte ptr" => 1,
        _ => return Err(format!("unknown size: {size}")),
    };
    let mut address = 0_u64;
    let mut negative = false;
    for word in inner.trim_end_matches(']').split_whitespace() {
        match word {
            "+" => negative = false,
            "-" => negative = true,
            // capstone writes this for an operand without an index.
            "riz" => {}
            word => {
                let value = match register(word) {
                    Some((number, 8)) => core.x[number],
                    _ => number(word)?,
                };
                address = if negative { address.wrapping_sub(value) } else { address.wrapping_add(value) };
            }
        }
    }
    Ok(Operand::Memory(address, bytes))
}

impl Operand {
    fn bytes(&self) -> usize {
        match *self {
            Operand::Register(_, bytes) | Operand::Memory(_, bytes) => bytes,
            Operand::Immediate(_) => 8,
        }
    }

    fn read(&self, core: &mut Core) -> Fallible<u64> {
        match *self {
            Operand::Register(number, bytes) => Ok(zero_extend(core.x[number], bytes)),
            Operand::Memory(address, bytes) => core.memory.load(address, bytes),
            Operand::Immediate(value) => Ok(value),
        }
    }

    fn write(&self, core: &mut Core, value: u64) -> Fallible<()> {
        match *self {
            Operand::Register(number, bytes) => {
                // A 32-bit write clears the upper half; a narrower write preserves the other bits.
                core.x[number] = match bytes {
                    8 => value,
                    4 => zero_extend(value, 4),
                    _ => core.x[number] & !zero_extend(u64::MAX, bytes) | zero_extend(value, bytes),
                };
                Ok(())
            }
            Operand::Memory(address, bytes) => core.memory.store(address, bytes, value),
            Operand::Immediate(_) => Err("a constant as the target".to_owned()),
        }
    }
}

/// Sets the zero and sign flags from a result and clears carry and overflow, as a logical operation does.
fn logic_flags(core: &mut Core, value: u64, bytes: usize) {
    core.zero = zero_extend(value, bytes) == 0;
    core.negative = sign_extend(value, bytes) >> 63 == 1;
    core.carry = false;
    core.overflow = false;
}

fn sub_flags(core: &mut Core, left: u64, right: u64, bytes: usize) {
    let (left, right) = (zero_extend(left, bytes), zero_extend(right, bytes));
    let difference = left.wrapping_sub(right);
    logic_flags(core, difference, bytes);
    core.carry = left < right;
    let sign = |value: u64| sign_extend(value, bytes) >> 63 == 1;
    core.overflow = sign(left) != sign(right) && sign(difference) != sign(left);
}

fn add_flags(core: &mut Core, left: u64, right: u64, bytes: usize) {
    let sum = left.wrapping_add(right);
    logic_flags(core, sum, bytes);
    core.carry = zero_extend(sum, bytes) < zero_extend(left, bytes);
    let sign = |value: u64| sign_extend(value, bytes) >> 63 == 1;
    core.overflow = sign(left) == sign(right) && sign(sum) != sign(left);
}

fn condition(core: &Core, name: &str) -> Option<bool> {
    let less = core.negative != core.overflow;
    Some(match name {
        "e" => core.zero,
        "ne" => !core.zero,
        "b" => core.carry,
        "ae" => !core.carry,
        "be" => core.carry || core.zero,
        "a" => !core.carry && !core.zero,
        "l" => less,
        "ge" => !less,
        "le" => less || core.zero,
        "g" => !less && !core.zero,
        "s" => core.negative,
        _ => return None,
    })
}

/// Computes left op right and sets the flags.
fn alu(core: &mut Core, word: &str, left: u64, right: u64, bytes: usize) -> Fallible<u64> {
    Ok(match word {
        "add" => {
            add_flags(core, left, right, bytes);
            left.wrapping_add(right)
        }
        "sub" | "cmp" => {
            sub_flags(core, left, right, bytes);
            left.wrapping_sub(right)
        }
        "and" | "test" => {
            logic_flags(core, left & right, bytes);
            left & right
        }
        "or" => {
            logic_flags(core, left | right, bytes);
            left | right
        }
        "xor" => {
            logic_flags(core, left ^ right, bytes);
            left ^ right
        }
        _ => return Err(unknown()),
    })
}

fn locked(core: &mut Core, text: &str) -> Fallible<Step> {
    let (word, operands) = split(text);
    let target = operand(core, operands.first().ok_or_else(unknown)?)?;
    let Operand::Memory(address, bytes) = target else { return Err("a locked instruction without memory".to_owned()) };
    let source = operands.get(1).map(|text| operand(core, text)).transpose()?;
    let value = source.as_ref().map(|source| source.read(core)).transpose()?;
    // A locked instruction waits until the write-combining buffers are empty.
    core.nontemporal_pending = false;
    match (word, value) {
        ("cmpxchg", Some(new)) => {
            let expected = zero_extend(core.x[0], bytes);
            let old = core.update(address, bytes, |old| (old == expected).then_some(new))?;
            sub_flags(core, expected, old, bytes);
            if old != expected {
                Operand::Register(0, bytes).write(core, old)?;
            }
        }
        ("xadd", Some(value)) => {
            let old = core.update(address, bytes, |old| Some(old.wrapping_add(value)))?;
            add_flags(core, old, value, bytes);
            source.expect("it has one").write(core, old)?;
        }
        ("inc" | "dec", None) => {
            let carry = core.carry;
            let delta = if word == "inc" { 1 } else { u64::MAX };
            let old = core.update(address, bytes, |old| Some(old.wrapping_add(delta)))?;
            add_flags(core, old, delta, bytes);
            core.carry = carry;
        }
        ("add", Some(value)) if address == core.x[4].wrapping_sub(4) && value == 0 => {
            // This is smp_mb(): it adds 0 to a word of the red zone.
            core.memory.touch(TouchKind::Store, address, bytes)?;
        }
        (_, Some(value)) => {
            let mut new = Err(unknown());
            let old = {
                core.disturb()?;
                core.memory.touch(TouchKind::Update, address, bytes)?
            };
            if let Ok(result) = alu(core, word, old, value, bytes) {
                core.memory.poke(address, bytes, result);
                new = Ok(());
            }
            new?;
        }
        _ => return Err(unknown()),
    }
    Ok(Step::Next)
}

pub fn step(core: &mut Core, text: &str, _pc: u64, _next: u64) -> Fallible<Step> {
    if let Some(rest) = text.strip_prefix("lock ") {
        return locked(core, rest);
    }
    let (word, names) = split(text);
    if let ("movq", [target, source]) = (word, names.as_slice()) {
        core.copy(place(target)?, place(source)?)?;
        return Ok(Step::Next);
    }
    let mut operands = Vec::new();
    for name in &names {
        operands.push(operand(core, name)?);
    }
    match (word, operands.as_slice()) {
        ("nop" | "pause" | "lfence", _) => {}
        ("sfence" | "mfence", []) => core.nontemporal_pending = false,
        ("ret", []) => {
            let target = core.memory.peek(core.x[4], 8);
            core.x[4] += 8;
            return if target == RETURN { Ok(Step::Return) } else { Err(format!("returns to {target:#x}")) };
        }
        ("push", [source]) => {
            let value = source.read(core)?;
            core.x[4] -= 8;
            core.memory.stack_floor = core.x[4];
            core.memory.store(core.x[4], 8, value)?;
        }
        ("pop", [target]) => {
            let value = core.memory.load(core.x[4], 8)?;
            core.x[4] += 8;
            target.write(core, value)?;
        }
        ("mov" | "movabs", [target, source]) => {
            let value = source.read(core)?;
            target.write(core, value)?;
        }
        ("movnti", [target, source]) => {
            let value = source.read(core)?;
            target.write(core, value)?;
            core.nontemporal_pending = true;
        }
        ("movzx", [target, source]) => {
            let value = source.read(core)?;
            target.write(core, value)?;
        }
        ("movsx" | "movsxd", [target, source]) => {
            let value = sign_extend(source.read(core)?, source.bytes());
            target.write(core, value)?;
        }
        ("lea", [target, Operand::Memory(address, _)]) => target.write(core, *address)?,
        ("cmp" | "test", [left, right]) => {
            let (bytes, left, right) = (left.bytes(), left.read(core)?, right.read(core)?);
            alu(core, word, left, right, bytes)?;
        }
        ("add" | "sub" | "and" | "or" | "xor", [target, source]) => {
            let (bytes, left, right) = (target.bytes(), target.read(core)?, source.read(core)?);
            let value = alu(core, word, left, right, bytes)?;
            target.write(core, value)?;
        }
        ("sbb", [target, source]) => {
            let borrow = u64::from(core.carry);
            let (bytes, left, right) = (target.bytes(), target.read(core)?, source.read(core)?);
            sub_flags(core, left, right.wrapping_add(borrow), bytes);
            core.carry = u128::from(left) < u128::from(right) + u128::from(borrow);
            target.write(core, left.wrapping_sub(right).wrapping_sub(borrow))?;
        }
        ("imul", [target, source]) => {
            let value = target.read(core)?.wrapping_mul(source.read(core)?);
            target.write(core, value)?;
        }
        ("neg", [target]) => {
            let value = target.read(core)?;
            sub_flags(core, 0, value, target.bytes());
            target.write(core, value.wrapping_neg())?;
        }
        ("not", [target]) => {
            let value = target.read(core)?;
            target.write(core, !value)?;
        }
        ("inc" | "dec", [target]) => {
            let (carry, value) = (core.carry, target.read(core)?);
            let delta = if word == "inc" { 1 } else { u64::MAX };
            add_flags(core, value, delta, target.bytes());
            core.carry = carry;
            target.write(core, value.wrapping_add(delta))?;
        }
        ("shl" | "shr" | "sar", [target, Operand::Immediate(count)]) => {
            let (bytes, value) = (target.bytes(), target.read(core)?);
            target.write(
                core,
                match word {
                    "shl" => value << count,
                    "shr" => value >> count,
                    _ => (sign_extend(value, bytes) as i64 >> count) as u64,
                },
            )?;
        }
        ("shl" | "shr" | "sar", [target]) => {
            let (bytes, value) = (target.bytes(), target.read(core)?);
            target.write(
                core,
                match word {
                    "shl" => value << 1,
                    "shr" => value >> 1,
                    _ => (sign_extend(value, bytes) as i64 >> 1) as u64,
                },
            )?;
        }
        ("xchg", [Operand::Memory(address, bytes), source @ Operand::Register(..)]) => {
            core.nontemporal_pending = false;
            let new = source.read(core)?;
            let old = core.update(*address, *bytes, |_| Some(new))?;
            source.write(core, old)?;
        }
        ("rdtsc", []) => {
            let now = core.read_clock();
            core.x[0] = zero_extend(now, 4);
            core.x[2] = now >> 32;
        }
        ("cmova", [target, source]) => {
            let value = source.read(core)?;
            if condition(core, "a") == Some(true) {
                target.write(core, value)?;
            }
        }
        ("prefetchw", [Operand::Memory(address, _)]) => core.memory.prefetch(*address, true),
        ("prefetcht0", [Operand::Memory(address, _)]) => core.memory.prefetch(*address, false),
        ("syscall", []) => {
            core.system_call(core.x[0], SYS_SCHED_YIELD)?;
            core.x[0] = 0;
            core.scramble([1, 11]);
        }
        ("jrcxz", [Operand::Immediate(target)]) => {
            return Ok(if core.x[1] == 0 { Step::Jump(*target) } else { Step::Next });
        }
        ("jmp", [Operand::Immediate(target)]) => return Ok(Step::Jump(*target)),
        (word, [target]) if word.starts_with("set") => {
            let holds = condition(core, &word[3..]).ok_or_else(unknown)?;
            target.write(core, holds.into())?;
        }
        (word, [Operand::Immediate(target)]) if word.starts_with('j') => {
            let holds = condition(core, &word[1..]).ok_or_else(unknown)?;
            return Ok(if holds { Step::Jump(*target) } else { Step::Next });
        }
        _ => return Err(unknown()),
    }
    Ok(Step::Next)
}
