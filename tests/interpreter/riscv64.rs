//! Interpreter for riscv64, as wakerace lists it: as capstone writes it, with the targets of jumps in place of distances.

use super::{Core, Fallible, Place, RETURN, Step, number, sign_extend, split, unknown, zero_extend};

const SYS_SCHED_YIELD: u64 = 124;

fn register(name: &str) -> Fallible<usize> {
    let digits = || name[1..].parse::<usize>().map_err(|_| format!("not a register: {name}"));
    Ok(match name {
        "zero" => 0,
        "ra" => 1,
        "sp" => 2,
        "gp" => 3,
        "tp" => 4,
        "fp" => 8,
        _ => match (name.as_bytes().first(), digits()?) {
            (Some(b't'), number @ 0..=2) => 5 + number,
            (Some(b't'), number @ 3..=6) => 25 + number,
            (Some(b's'), number @ 0..=1) => 8 + number,
            (Some(b's'), number @ 2..=11) => 16 + number,
            (Some(b'a'), number @ 0..=7) => 10 + number,
            _ => return Err(format!("not a register: {name}")),
        },
    })
}

/// The number of a floating-point register.
fn vector(name: &str) -> Fallible<usize> {
    let digits = |prefix| name.strip_prefix(prefix).and_then(|digits: &str| digits.parse::<usize>().ok());
    let temporary = digits("ft").map(|number| if number < 8 { number } else { 20 + number });
    temporary.or(digits("fa").map(|number| 10 + number)).ok_or_else(unknown)
}

fn set(core: &mut Core, name: &str, value: u64) -> Fallible<()> {
    let number = register(name)?;
    if number != 0 {
        core.x[number] = value;
    }
    Ok(())
}

/// The address of an operand such as `0x10(a1)` or `(a1)`.
fn place(core: &Core, text: &str) -> Fallible<u64> {
    let (offset, base) = text.trim_end_matches(')').split_once('(').ok_or_else(unknown)?;
    let offset = if offset.is_empty() { 0 } else { number(offset)? };
    Ok(core.x[register(base)?].wrapping_add(offset))
}

/// The mnemonic of an atomic without its order suffix, and its width in bytes.
fn atomic(word: &str) -> Option<(&str, usize)> {
    let mut parts = word.split('.');
    let stem = parts.next()?;
    let bytes = match parts.next()? {
        "w" => 4,
        "d" => 8,
        _ => return None,
    };
    matches!(parts.next(), None | Some("aq" | "rl" | "aqrl")).then_some((stem, bytes))
}

pub fn step(core: &mut Core, text: &str, _pc: u64, _next: u64) -> Fallible<Step> {
    let (word, operands) = split(text);
    let ops = operands.as_slice();
    let x = core.x;
    let jump = |jumps: bool, target: &str| -> Fallible<Step> {
        Ok(if jumps { Step::Jump(number(target)?) } else { Step::Next })
    };
    match (atomic(word), ops) {
        (Some(("lr", bytes)), [target, at]) => {
            let value = core.load_reserved(place(core, at)?, bytes)?;
            return set(core, target, sign_extend(value, bytes)).map(|()| Step::Next);
        }
        (Some(("sc", bytes)), [status, source, at]) => {
            let done = core.store_conditional(place(core, at)?, bytes, x[register(source)?])?;
            return set(core, status, (!done).into()).map(|()| Step::Next);
        }
        (Some((stem, bytes)), [target, source, at]) if stem.starts_with("amo") => {
            let operand = x[register(source)?];
            let known = matches!(stem, "amoadd" | "amoand" | "amoor" | "amoxor" | "amoswap");
            let old = core.update(place(core, at)?, bytes, |old| {
                Some(match stem {
                    "amoadd" => old.wrapping_add(operand),
                    "amoand" => old & operand,
                    "amoor" => old | operand,
                    "amoxor" => old ^ operand,
                    _ => operand,
                })
            })?;
            if !known {
                return Err(unknown());
            }
            return set(core, target, sign_extend(old, bytes)).map(|()| Step::Next);
        }
        _ => {}
    }
    match (word, ops) {
        ("fence" | "nop", _) => {}
        ("ret", []) => {
            return if core.x[1] == RETURN { Ok(Step::Return) } else { Err(format!("returns to {:#x}", core.x[1])) };
        }
        ("mv" | "neg" | "negw" | "not" | "seqz" | "snez" | "sltz" | "sgtz" | "sext.w", [target, source]) => {
            let value = x[register(source)?];
            let result = match word {
                "mv" => value,
                "neg" => value.wrapping_neg(),
                "negw" => sign_extend(value.wrapping_neg(), 4),
                "not" => !value,
                "seqz" => (value == 0).into(),
                "snez" => (value != 0).into(),
                "sltz" => value >> 63,
                "sgtz" => (value as i64 > 0).into(),
                _ => sign_extend(value, 4),
            };
            set(core, target, result)?;
        }
        ("fmv.d.x", [target, source]) => {
            core.copy(Place::Vector(vector(target)?), Place::General(register(source)?))?;
        }
        ("fmv.x.d", [target, source]) => {
            core.copy(Place::General(register(target)?), Place::Vector(vector(source)?))?;
        }
        ("lui", [target, high]) => set(core, target, sign_extend(number(high)? << 12, 4))?,
        // prefetch.r and prefetch.w (Zicbop) are encoded as ori to the zero register.
        ("ori", ["zero", base, kind]) => match number(kind)? {
            1 => core.memory.prefetch(x[register(base)?], false),
            3 => core.memory.prefetch(x[register(base)?], true),
            _ => return Err(unknown()),
        },
        (
            "addi" | "addiw" | "andi" | "ori" | "xori" | "slli" | "srli" | "srai" | "slliw" | "srliw" | "sraiw",
            [target, source, constant],
        ) => {
            let (left, right) = (x[register(source)?], number(constant)?);
            let result = match word {
                "addi" => left.wrapping_add(right),
                "addiw" => sign_extend(left.wrapping_add(right), 4),
                "andi" => left & right,
                "ori" => left | right,
                "xori" => left ^ right,
                "slli" => left << right,
                "srli" => left >> right,
                "srai" => (left as i64 >> right) as u64,
                "slliw" => sign_extend(left << right, 4),
                "srliw" => sign_extend(zero_extend(left, 4) >> right, 4),
                _ => (sign_extend(left, 4) as i64 >> right) as u64,
            };
            set(core, target, result)?;
        }
        ("add" | "addw" | "sub" | "subw" | "mul" | "mulw" | "and" | "or" | "xor" | "slt" | "sltu", [target, a, b]) => {
            let (left, right) = (x[register(a)?], x[register(b)?]);
            let result = match word {
                "add" => left.wrapping_add(right),
                "addw" => sign_extend(left.wrapping_add(right), 4),
                "sub" => left.wrapping_sub(right),
                "subw" => sign_extend(left.wrapping_sub(right), 4),
                "mul" => left.wrapping_mul(right),
                "mulw" => sign_extend(left.wrapping_mul(right), 4),
                "and" => left & right,
                "or" => left | right,
                "xor" => left ^ right,
                "slt" => ((left as i64) < right as i64).into(),
                _ => (left < right).into(),
            };
            set(core, target, result)?;
        }
        ("lb" | "lbu" | "lh" | "lhu" | "lw" | "ld", [target, at]) => {
            let bytes = match word.trim_end_matches('u') {
                "lb" => 1,
                "lh" => 2,
                "lw" => 4,
                _ => 8,
            };
            let value = core.memory.load(place(core, at)?, bytes)?;
            set(core, target, if word.ends_with('u') { value } else { sign_extend(value, bytes) })?;
        }
        ("sb" | "sh" | "sw" | "sd", [source, at]) => {
            let bytes = match word {
                "sb" => 1,
                "sh" => 2,
                "sw" => 4,
                _ => 8,
            };
            core.memory.store(place(core, at)?, bytes, x[register(source)?])?;
        }
        ("rdtime", [target]) => {
            let now = core.read_clock();
            set(core, target, now)?;
        }
        ("ecall", []) => {
            core.system_call(x[17], SYS_SCHED_YIELD)?;
            core.x[10] = 0;
        }
        ("j", [target]) => return jump(true, target),
        ("beqz", [a, target]) => return jump(x[register(a)?] == 0, target),
        ("bnez", [a, target]) => return jump(x[register(a)?] != 0, target),
        ("bltz", [a, target]) => return jump((x[register(a)?] as i64) < 0, target),
        ("bgez", [a, target]) => return jump(x[register(a)?] as i64 >= 0, target),
        ("blez", [a, target]) => return jump(x[register(a)?] as i64 <= 0, target),
        ("bgtz", [a, target]) => return jump(x[register(a)?] as i64 > 0, target),
        ("beq" | "bne" | "blt" | "bge" | "bltu" | "bgeu", [a, b, target]) => {
            let (left, right) = (x[register(a)?], x[register(b)?]);
            let jumps = match word {
                "beq" => left == right,
                "bne" => left != right,
                "blt" => (left as i64) < right as i64,
                "bge" => left as i64 >= right as i64,
                "bltu" => left < right,
                _ => left >= right,
            };
            return jump(jumps, target);
        }
        _ => return Err(unknown()),
    }
    Ok(Step::Next)
}
