//! Interpreter for arm64, as capstone writes it. Register number 31 is the stack pointer; the zero register has
//! no number.

use super::{Core, Fallible, Place, RETURN, Step, number, sign_extend, split, unknown, zero_extend};

const SYS_SCHED_YIELD: u64 = 124;

/// The number of a register (`None` for the zero register) and its size in bytes.
fn register(name: &str) -> Fallible<(Option<usize>, usize)> {
    match name {
        "sp" => return Ok((Some(31), 8)),
        "xzr" => return Ok((None, 8)),
        "wzr" => return Ok((None, 4)),
        _ => {}
    }
    let bytes = match name.as_bytes().first() {
        Some(b'x') => 8,
        Some(b'w') => 4,
        _ => return Err(format!("not a register: {name}")),
    };
    let number = name[1..].parse().ok().filter(|number: &usize| *number < 31);
    Ok((Some(number.ok_or_else(|| format!("not a register: {name}"))?), bytes))
}

/// A general register of 64 bits, or a vector register.
fn place(name: &str) -> Fallible<Place> {
    if let Some(number) = name.strip_prefix('d').and_then(|digits| digits.parse().ok()) {
        return Ok(Place::Vector(number));
    }
    match register(name)? {
        (Some(number), 8) if number < 31 => Ok(Place::General(number)),
        _ => Err(unknown()),
    }
}

fn get(core: &Core, name: &str) -> Fallible<u64> {
    let (number, bytes) = register(name)?;
    Ok(number.map_or(0, |number| zero_extend(core.x[number], bytes)))
}

fn set(core: &mut Core, name: &str, value: u64) -> Fallible<()> {
    let (number, bytes) = register(name)?;
    if let Some(number) = number {
        core.x[number] = zero_extend(value, bytes);
    }
    Ok(())
}

/// The value of a register or of a constant.
fn value(core: &Core, text: &str) -> Fallible<u64> {
    if text.starts_with('#') { number(text) } else { get(core, text) }
}

fn size(name: &str) -> Fallible<usize> {
    register(name).map(|(_, bytes)| bytes)
}

/// The address of an operand such as `[x1]`, `[x1, #0x10]`, `[sp, #-0x60]!`, or `[sp]` and `#0x60`. If the text
/// says so, the base register is updated.
fn address(core: &mut Core, operands: &[&str]) -> Fallible<u64> {
    let text = operands[0];
    let before = text.ends_with('!');
    let inner = text.trim_end_matches('!').trim_start_matches('[').trim_end_matches(']');
    let (base, offset) = inner.split_once(',').unwrap_or((inner, "#0"));
    let start = get(core, base)?;
    if base == "sp" && start % 16 != 0 {
        return Err("the stack pointer is not aligned to 16".to_owned());
    }
    let at = start.wrapping_add(value(core, offset.trim())?);
    if before {
        set(core, base, at)?;
        core.memory.stack_floor = core.x[31];
    }
    if let Some(after) = operands.get(1) {
        let moved = start.wrapping_add(value(core, after)?);
        set(core, base, moved)?;
    }
    Ok(at)
}

fn condition(core: &Core, name: &str) -> Option<bool> {
    Some(match name {
        "eq" => core.zero,
        "ne" => !core.zero,
        "lo" => !core.carry,
        "hs" => core.carry,
        "ls" => !core.carry || core.zero,
        "hi" => core.carry && !core.zero,
        "lt" => core.negative != core.overflow,
        "ge" => core.negative == core.overflow,
        "le" => core.zero || core.negative != core.overflow,
        "gt" => !core.zero && core.negative == core.overflow,
        _ => return None,
    })
}

fn compare(core: &mut Core, left: u64, right: u64, bytes: usize) {
    let difference = left.wrapping_sub(right);
    let sign = |value: u64| sign_extend(value, bytes) >> 63 == 1;
    core.zero = zero_extend(difference, bytes) == 0;
    core.negative = sign(difference);
    // On arm64, carry means that no borrow occurred.
    core.carry = zero_extend(left, bytes) >= zero_extend(right, bytes);
    core.overflow = sign(left) != sign(right) && sign(difference) != sign(left);
}

/// The mnemonic of an atomic without its order letters.
fn atomic(word: &str) -> Option<&'static str> {
    ["cas", "swp", "ldadd", "ldclr", "ldset", "ldeor", "stadd", "stclr", "stset", "steor"]
        .into_iter()
        .find(|stem| word.strip_prefix(stem).is_some_and(|order| matches!(order, "" | "a" | "l" | "al")))
}

pub fn step(core: &mut Core, text: &str, _pc: u64, _next: u64) -> Fallible<Step> {
    let (word, operands) = split(text);
    let ops = operands.as_slice();
    if let Some(stem) = atomic(word) {
        let (source, target, place) = match (stem, ops) {
            ("stadd" | "stclr" | "stset" | "steor", [source, place]) => (*source, "xzr", place),
            (_, [source, target, place]) => (*source, *target, place),
            _ => return Err(unknown()),
        };
        let bytes = size(source)?;
        let at = address(core, &[place])?;
        let operand = get(core, source)?;
        if stem == "cas" {
            // The first register holds the expected value and receives the old one. The second holds the new value.
            let new = get(core, target)?;
            let old = core.update(at, bytes, |old| (old == operand).then_some(new))?;
            return set(core, source, old).map(|()| Step::Next);
        }
        let old = core.update(at, bytes, |old| {
            Some(match &stem[2..] {
                "p" => operand,
                "add" => old.wrapping_add(operand),
                "clr" => old & !operand,
                "set" => old | operand,
                _ => old ^ operand,
            })
        })?;
        return set(core, target, old).map(|()| Step::Next);
    }
    match (word, ops) {
        ("dmb" | "dsb" | "nop" | "yield", _) => {}
        ("ret", []) => {
            return if core.x[30] == RETURN { Ok(Step::Return) } else { Err(format!("returns to {:#x}", core.x[30])) };
        }
        ("mov", [target, source]) => {
            let value = value(core, source)?;
            set(core, target, value)?;
        }
        ("fmov", [target, source]) => core.copy(place(target)?, place(source)?)?,
        ("movk", [target, half, shift]) => {
            let shift = number(shift.trim_start_matches("lsl "))?;
            let value = get(core, target)? & !(0xffff << shift) | number(half)? << shift;
            set(core, target, value)?;
        }
        ("neg" | "mvn", [target, source]) => {
            let value = get(core, source)?;
            set(core, target, if word == "neg" { value.wrapping_neg() } else { !value })?;
        }
        ("add" | "sub" | "and" | "orr" | "eor" | "bic" | "mul" | "lsl" | "lsr" | "asr", [target, left, right]) => {
            let bytes = size(target)?;
            let (left, right) = (get(core, left)?, value(core, right)?);
            let value = match word {
                "add" => left.wrapping_add(right),
                "sub" => left.wrapping_sub(right),
                "and" => left & right,
                "orr" => left | right,
                "eor" => left ^ right,
                "bic" => left & !right,
                "mul" => left.wrapping_mul(right),
                "lsl" => left << right,
                "lsr" => left >> right,
                _ => (sign_extend(left, bytes) as i64 >> right) as u64,
            };
            set(core, target, value)?;
        }
        ("sxtb" | "sxth" | "sxtw" | "uxtb" | "uxth", [target, source]) => {
            let bytes = match &word[3..] {
                "b" => 1,
                "h" => 2,
                _ => 4,
            };
            let value = get(core, source)?;
            set(
                core,
                target,
                if word.starts_with('s') { sign_extend(value, bytes) } else { zero_extend(value, bytes) },
            )?;
        }
        ("cmp", [left, right]) => {
            let bytes = size(left)?;
            let (left, right) = (get(core, left)?, value(core, right)?);
            compare(core, left, right, bytes);
        }
        ("cset", [target, name]) => {
            let holds = condition(core, name).ok_or_else(unknown)?;
            set(core, target, holds.into())?;
        }
        ("ldr" | "ldrb" | "ldrh" | "ldrsb" | "ldrsh" | "ldar" | "ldarb" | "ldarh", [target, ..]) => {
            let bytes = if word.ends_with('b') {
                1
            } else if word.ends_with('h') {
                2
            } else {
                size(target)?
            };
            let at = address(core, &ops[1..])?;
            let value = core.memory.load(at, bytes)?;
            set(core, target, if word.starts_with("ldrs") { sign_extend(value, bytes) } else { value })?;
        }
        ("str" | "strb" | "strh" | "stlr" | "stlrb" | "stlrh", [source, ..]) => {
            let bytes = if word.ends_with('b') {
                1
            } else if word.ends_with('h') {
                2
            } else {
                size(source)?
            };
            let value = get(core, source)?;
            let at = address(core, &ops[1..])?;
            core.memory.store(at, bytes, value)?;
        }
        ("ldp", [first, second, ..]) => {
            let at = address(core, &ops[2..])?;
            for (name, at) in [(first, at), (second, at + 8)] {
                let value = core.memory.load(at, 8)?;
                set(core, name, value)?;
            }
        }
        ("stp", [first, second, ..]) => {
            let values = [get(core, first)?, get(core, second)?];
            let at = address(core, &ops[2..])?;
            core.memory.store(at, 8, values[0])?;
            core.memory.store(at + 8, 8, values[1])?;
        }
        ("ldxr" | "ldaxr", [target, place]) => {
            let at = address(core, &[place])?;
            let value = core.load_reserved(at, size(target)?)?;
            set(core, target, value)?;
        }
        ("stxr" | "stlxr", [status, source, place]) => {
            // The status register must not be one of the operands (Arm ARM, STXR: constrained unpredictable).
            if register(status)?.0 == register(source)?.0 || place.contains(&format!("x{}", &status[1..])) {
                return Err("the status register is an operand".to_owned());
            }
            let at = address(core, &[place])?;
            let value = get(core, source)?;
            let done = core.store_conditional(at, size(source)?, value)?;
            set(core, status, (!done).into())?;
        }
        ("prfm", [kind, place]) => {
            let at = address(core, &[place])?;
            match *kind {
                "pstl1keep" => core.memory.prefetch(at, true),
                "pldl1keep" => core.memory.prefetch(at, false),
                // A hint in front of an exclusive pair. It is no access of its own.
                "pstl1strm" => {}
                _ => return Err(unknown()),
            }
        }
        ("mrs", [target, "cntvct_el0"]) => {
            let now = core.read_clock();
            set(core, target, now)?;
        }
        ("svc", ["#0"]) => {
            core.system_call(core.x[8], SYS_SCHED_YIELD)?;
            core.x[0] = 0;
        }
        ("b", [target]) => return Ok(Step::Jump(number(target)?)),
        ("cbz" | "cbnz", [name, target]) => {
            let jumps = (get(core, name)? == 0) == (word == "cbz");
            return Ok(if jumps { Step::Jump(number(target)?) } else { Step::Next });
        }
        (word, [target]) if word.starts_with("b.") => {
            let jumps = condition(core, &word[2..]).ok_or_else(unknown)?;
            return Ok(if jumps { Step::Jump(number(target)?) } else { Step::Next });
        }
        _ => return Err(unknown()),
    }
    Ok(Step::Next)
}
