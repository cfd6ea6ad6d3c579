//! Interpreter for POWER, as capstone writes it.

use super::{Core, Fallible, Place, RETURN, Step, number, sign_extend, split, unknown, zero_extend};

const SYS_SCHED_YIELD: u64 = 158;

fn register(name: &str) -> Fallible<usize> {
    let digits = name.strip_prefix('r').unwrap_or(name);
    digits.parse().ok().filter(|number| *number < 32).ok_or_else(|| format!("not a register: {name}"))
}

/// The number of a vector or floating-point register.
fn vector(name: &str) -> Fallible<usize> {
    let digits = name.trim_start_matches("vs").trim_start_matches('f');
    digits.parse().ok().filter(|number| *number < 32).ok_or_else(|| format!("not a vector register: {name}"))
}

/// The address of an operand such as `0x10(r1)`. r0 as the base would read as 0; no emitted code uses that.
fn place(core: &Core, text: &str) -> Fallible<u64> {
    let (offset, base) = text.trim_end_matches(')').split_once('(').ok_or_else(unknown)?;
    let base = register(base)?;
    if base == 0 {
        return Err("r0 as a base register reads as 0".to_owned());
    }
    Ok(core.x[base].wrapping_add(number(offset)?))
}

fn compare(core: &mut Core, left: u64, right: u64, bytes: usize, signed: bool) {
    let order = if signed {
        (sign_extend(left, bytes) as i64).cmp(&(sign_extend(right, bytes) as i64))
    } else {
        zero_extend(left, bytes).cmp(&zero_extend(right, bytes))
    };
    core.less = order.is_lt();
    core.greater = order.is_gt();
    core.zero = order.is_eq();
}

pub fn step(core: &mut Core, text: &str, _pc: u64, _next: u64) -> Fallible<Step> {
    let (word, operands) = split(text);
    let ops = operands.as_slice();
    let three = || -> Fallible<[usize; 3]> {
        match ops {
            [a, b, c] => Ok([register(a)?, register(b)?, register(c)?]),
            _ => Err(unknown()),
        }
    };
    let x = core.x;
    match (word, ops) {
        ("sync" | "lwsync" | "isync" | "nop", _) => {}
        ("blr", []) => {
            return if core.link == RETURN { Ok(Step::Return) } else { Err(format!("returns to {:#x}", core.link)) };
        }
        ("li", [target, value]) => core.x[register(target)?] = number(value)?,
        ("lis", [target, value]) => core.x[register(target)?] = sign_extend(number(value)? << 16, 4),
        ("addi", [target, source, value]) => {
            core.x[register(target)?] = x[register(source)?].wrapping_add(number(value)?);
        }
        ("ori", [target, source, value]) => core.x[register(target)?] = x[register(source)?] | number(value)?,
        ("oris", [target, source, value]) => core.x[register(target)?] = x[register(source)?] | number(value)? << 16,
        ("mr", [target, source]) => core.x[register(target)?] = x[register(source)?],
        // The carry of addc and subfc is not used.
        (
            "add" | "addc" | "subf" | "subfc" | "and" | "and." | "or" | "xor" | "andc." | "nor" | "mulld" | "mullw",
            [_, _, _],
        ) => {
            let [target, a, b] = three()?;
            core.x[target] = match word {
                "add" | "addc" => x[a].wrapping_add(x[b]),
                "subf" | "subfc" => x[b].wrapping_sub(x[a]),
                "and" | "and." => x[a] & x[b],
                "or" => x[a] | x[b],
                "xor" => x[a] ^ x[b],
                "andc." => x[a] & !x[b],
                "nor" => !(x[a] | x[b]),
                "mulld" => x[a].wrapping_mul(x[b]),
                _ => sign_extend(x[a], 4).wrapping_mul(sign_extend(x[b], 4)),
            };
            if word.ends_with('.') {
                compare(core, core.x[target], 0, 8, true);
            }
        }
        ("mtvsrd" | "mtfprd", [target, source]) => {
            core.copy(Place::Vector(vector(target)?), Place::General(register(source)?))?;
        }
        ("mfvsrd" | "mffprd", [target, source]) => {
            core.copy(Place::General(register(target)?), Place::Vector(vector(source)?))?;
        }
        // Of the condition register only cr0 is known.
        ("mfcr", [target]) => {
            let bit = |set: bool, at: u32| u64::from(set) << at;
            core.x[register(target)?] = bit(core.less, 31) | bit(core.greater, 30) | bit(core.zero, 29);
        }
        ("mtcrf", ["255" | "0xff", source]) | ("mtcr", [source]) => {
            let value = x[register(source)?];
            let bit = |at: u32| value >> at & 1 == 1;
            (core.less, core.greater, core.zero) = (bit(31), bit(30), bit(29));
        }
        ("neg", [target, source]) => core.x[register(target)?] = x[register(source)?].wrapping_neg(),
        ("not", [target, source]) => core.x[register(target)?] = !x[register(source)?],
        ("extsb" | "extsh" | "extsw", [target, source]) => {
            let bytes = match &word[4..] {
                "b" => 1,
                "h" => 2,
                _ => 4,
            };
            core.x[register(target)?] = sign_extend(x[register(source)?], bytes);
        }
        ("clrldi" | "sldi" | "srdi" | "sradi" | "slwi" | "srwi" | "srawi", [target, source, count]) => {
            let (value, count) = (x[register(source)?], number(count)?);
            core.x[register(target)?] = match word {
                "clrldi" => value & (u64::MAX >> count),
                "sldi" => value << count,
                "srdi" => value >> count,
                "sradi" => (value as i64 >> count) as u64,
                "slwi" => zero_extend(value << count, 4),
                "srwi" => zero_extend(value, 4) >> count,
                _ => (sign_extend(value, 4) as i64 >> count) as u64,
            };
        }
        // Rotate left and keep the bits from `begin` on. capstone writes a logical shift right in this form.
        ("rldicl", [target, source, count, begin]) => {
            let rotated = x[register(source)?].rotate_left(number(count)? as u32);
            core.x[register(target)?] = rotated & (u64::MAX >> number(begin)?);
        }
        ("cmpw" | "cmpd" | "cmplw" | "cmpld", [a, b]) => {
            let bytes = if word.ends_with('d') { 8 } else { 4 };
            compare(core, x[register(a)?], x[register(b)?], bytes, !word.starts_with("cmpl"));
        }
        ("cmpwi" | "cmpdi", [a, value]) => {
            compare(core, x[register(a)?], number(value)?, if word == "cmpdi" { 8 } else { 4 }, true);
        }
        ("lbz" | "lhz" | "lha" | "lwz" | "ld", [target, at]) => {
            let bytes = match word {
                "lbz" => 1,
                "lhz" | "lha" => 2,
                "lwz" => 4,
                _ => 8,
            };
            let value = core.memory.load(place(core, at)?, bytes)?;
            core.x[register(target)?] = if word == "lha" { sign_extend(value, 2) } else { value };
        }
        ("stb" | "sth" | "stw" | "std", [source, at]) => {
            let bytes = match word {
                "stb" => 1,
                "sth" => 2,
                "stw" => 4,
                _ => 8,
            };
            core.memory.store(place(core, at)?, bytes, x[register(source)?])?;
        }
        // EH=1 is a hint.
        ("lwarx" | "ldarx", [target, "0", base] | [target, "0", base, "1"]) => {
            let value = core.load_reserved(x[register(base)?], if word == "ldarx" { 8 } else { 4 })?;
            core.x[register(target)?] = value;
        }
        ("stwcx." | "stdcx.", [source, "0", base]) => {
            let bytes = if word == "stdcx." { 8 } else { 4 };
            let done = core.store_conditional(x[register(base)?], bytes, x[register(source)?])?;
            (core.less, core.greater, core.zero) = (false, false, done);
        }
        ("dcbtst", ["0", base]) => core.memory.prefetch(x[register(base)?], true),
        ("dcbt", ["0", base]) => core.memory.prefetch(x[register(base)?], false),
        // The timebase (special-purpose register 268).
        ("mfspr", [target, "0x10c"]) => {
            let now = core.read_clock();
            core.x[register(target)?] = now;
        }
        ("sc", []) => {
            core.system_call(x[0], SYS_SCHED_YIELD)?;
            // Linux preserves r1, r2 and r13 to r31 (Documentation/powerpc/syscall64-abi.rst).
            core.scramble([0].into_iter().chain(3..=12));
            (core.less, core.greater, core.zero) = (true, false, false);
        }
        ("b", [target]) => return Ok(Step::Jump(number(target)?)),
        ("beq" | "bne" | "blt" | "bge" | "bgt" | "ble", [target]) => {
            let jumps = match word {
                "beq" => core.zero,
                "bne" => !core.zero,
                "blt" => core.less,
                "bge" => !core.less,
                "bgt" => core.greater,
                _ => !core.greater,
            };
            return Ok(if jumps { Step::Jump(number(target)?) } else { Step::Next });
        }
        _ => return Err(unknown()),
    }
    Ok(Step::Next)
}
