//! Encodes the instructions of AArch64 litmus tests as they stand (Arm Architecture Reference Manual, DDI 0487, C4 and
//! C6).

use super::assembly::register_name;
use crate::codegen::assembly::{Encoder, Jump, Piece, Places, named, signed_field, unknown_form, words};
use crate::model::assembly::parse_int;
use crate::program::{END, Instruction};

pub(super) const ENCODER: Encoder = Encoder {
    pool: &[11, 12, 13, 14, 15, 16, 17, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28],
    // All but x18, which is the platform's, and x10, which computes addresses.
    borrowed: |_| &[6, 5, 4, 7, 3, 2, 0, 8, 9, 30, 29, 1],
    fixed: |_, _| None,
    number: |name| name.strip_prefix('X')?.parse().ok(),
    encode,
};

/// The number of the zero register.
const ZERO: u32 = 31;

/// A register operand: its number, and whether it has 64 bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Register {
    number: u32,
    wide: bool,
}

impl Register {
    /// The bit `sf` of computations.
    fn sf(self) -> u32 {
        u32::from(self.wide) << 31
    }

    /// The zero register of the same width.
    fn zero(self) -> Register {
        Register { number: ZERO, ..self }
    }
}

/// A memory operand.
enum Memory {
    /// A base register and a displacement in bytes.
    Displaced(u32, i64),
    /// A base register, an index register, the field `option`, and the shift if one is written.
    Indexed(u32, u32, u32, Option<i64>),
}

/// The conditions in the order of their numbers; some have two names.
const CONDITIONS: [&[&str]; 14] = [
    &["EQ"],
    &["NE"],
    &["HS", "CS"],
    &["LO", "CC"],
    &["MI"],
    &["PL"],
    &["VS"],
    &["VC"],
    &["HI"],
    &["LS"],
    &["GE"],
    &["LT"],
    &["GT"],
    &["LE"],
];
/// The operands of DMB and DSB: the name and CRm.
const DOMAINS: [(&str, u32); 12] = [
    ("SY", 15),
    ("ST", 14),
    ("LD", 13),
    ("ISH", 11),
    ("ISHST", 10),
    ("ISHLD", 9),
    ("NSH", 7),
    ("NSHST", 6),
    ("NSHLD", 5),
    ("OSH", 3),
    ("OSHST", 2),
    ("OSHLD", 1),
];
/// Accesses whose address is one register: the name without a width, and the bits with all unused fields set.
const ORDERED: [(&str, u32); 7] = [
    ("LDAR", 0x08df_fc00),
    ("STLR", 0x089f_fc00),
    ("LDAPR", 0x38bf_c000),
    ("LDXR", 0x085f_7c00),
    ("LDAXR", 0x085f_fc00),
    ("STXR", 0x0800_7c00),
    ("STLXR", 0x0800_fc00),
];
/// Accesses with a displacement that is not scaled.
const UNSCALED: [(&str, u32); 4] =
    [("LDUR", 0x3840_0000), ("STUR", 0x3800_0000), ("LDAPUR", 0x1940_0000), ("STLUR", 0x1900_0000)];
/// Those that extend by sign, to 64 bits.
const UNSCALED_SIGNED: [(&str, u32); 2] = [("LDUR", 0x3880_0000), ("LDAPUR", 0x1980_0000)];
/// Atomic operations that return the old value: the name and the fields `o3` and `opc`.
const ATOMICS: [(&str, u32); 9] = [
    ("LDADD", 0),
    ("LDCLR", 1),
    ("LDEOR", 2),
    ("LDSET", 3),
    ("LDSMAX", 4),
    ("LDSMIN", 5),
    ("LDUMAX", 6),
    ("LDUMIN", 7),
    ("SWP", 8),
];

/// Checks that operands have one width.
fn same_width<const COUNT: usize>(registers: [Register; COUNT]) -> Result<(), String> {
    let same = registers.windows(2).all(|pair| pair[0].wide == pair[1].wide);
    if same { Ok(()) } else { Err("its operands have different widths".to_owned()) }
}

/// The mnemonic without a suffix for 8 or 16 bits, and the field `size` that the suffix gives.
fn narrow(name: &str) -> (&str, Option<u32>) {
    match (name.strip_suffix('B'), name.strip_suffix('H')) {
        (Some(name), _) => (name, Some(0)),
        (_, Some(name)) => (name, Some(1)),
        _ => (name, None),
    }
}

/// The field `size` of an access: that of the suffix, else that of the register.
fn size(suffix: Option<u32>, register: Register) -> Result<u32, String> {
    match (suffix, register.wide) {
        (Some(_), true) => Err("a narrow access takes a W register".to_owned()),
        (Some(size), false) => Ok(size << 30),
        (None, wide) => Ok((2 + u32::from(wide)) << 30),
    }
}

fn encode(instruction: &Instruction, places: &Places<'_>) -> Result<Piece, String> {
    let name = instruction.mnemonic.to_ascii_uppercase();
    let operands: Vec<&str> = instruction.operands.iter().map(String::as_str).collect();
    if let Some(jump) = jump(&name, &operands, places)? {
        return Ok(Piece::Jump(jump));
    }
    let word = match (name.as_str(), operands.as_slice()) {
        ("NOP", []) => 0xd503_201f,
        ("ISB", [] | ["SY" | "sy"]) => 0xd503_3fdf,
        ("DMB" | "DSB", [domain]) => {
            let domain = named(&DOMAINS, &domain.to_ascii_uppercase()).ok_or_else(unknown_form)?;
            domain << 8 | if name == "DMB" { 0xd503_30bf } else { 0xd503_309f }
        }
        _ => match access(&name, &operands, places)? {
            Some(word) => word,
            None => computation(&name, &operands, places)?,
        },
    };
    Ok(words(&[word]))
}

fn jump(name: &str, operands: &[&str], places: &Places<'_>) -> Result<Option<Jump>, String> {
    // The distance of a conditional branch: 19 bits, in words.
    let near = |word: u32| move |distance: i64| Some(word | signed_field(distance, 21)? >> 2 << 5);
    Ok(Some(match (name, operands) {
        ("RET", []) => Jump::word(END, |distance| Some(0x1400_0000 | signed_field(distance, 28)? >> 2)),
        ("B", [label]) => Jump::word(label, |distance| Some(0x1400_0000 | signed_field(distance, 28)? >> 2)),
        ("CBZ" | "CBNZ", [register, label]) => {
            let register = self::register(register, places)?;
            let word = if name == "CBZ" { 0x3400_0000 } else { 0x3500_0000 };
            Jump::word(label, near(word | register.sf() | register.number))
        }
        ("TBZ" | "TBNZ", [register, bit, label]) => {
            let register = self::register(register, places)?;
            let bits = if register.wide { 64 } else { 32 };
            let bit = constant(bit).and_then(|bit| u32::try_from(bit).ok()).filter(|bit| *bit < bits);
            let bit = bit.ok_or_else(unknown_form)?;
            let word = if name == "TBZ" { 0x3600_0000 } else { 0x3700_0000 } | (bit >> 5) << 31 | (bit & 31) << 19;
            let word = word | register.number;
            Jump::word(label, move |distance| Some(word | signed_field(distance, 16)? >> 2 << 5))
        }
        (_, [label]) => match name.strip_prefix("B.") {
            Some(condition) => Jump::word(label, near(0x5400_0000 | self::condition(condition)?)),
            None => return Ok(None),
        },
        _ => return Ok(None),
    }))
}

/// Loads, stores and atomic operations; `None` if the instruction is not one.
fn access(name: &str, operands: &[&str], places: &Places<'_>) -> Result<Option<u32>, String> {
    let (base, suffix) = narrow(name);
    // Pre-indexed, or post-indexed with the distance as the last operand
    match operands {
        [values @ .., place] if place.ends_with('!') => {
            return moved_on(name, values, &place[..place.len() - 1], None, places).map(Some);
        }
        [values @ .., place, distance] if place.starts_with('[') => {
            let distance = constant(distance).ok_or_else(unknown_form)?;
            return moved_on(name, values, place, Some(distance), places).map(Some);
        }
        _ => {}
    }
    match (base, operands) {
        ("LDR" | "STR", [target, place]) => {
            let register = self::register(target, places)?;
            let opc = u32::from(base == "LDR") << 22;
            return plain(size(suffix, register)? | opc | register.number, suffix, register, place, places).map(Some);
        }
        ("LDP" | "LDPSW" | "STP", [first, second, place]) => {
            return pair(name, [first, second], place, places).map(Some);
        }
        ("LDNP" | "STNP", [first, second, place]) => {
            let name = if name == "LDNP" { "LDP" } else { "STP" };
            return pair(name, [first, second], place, places).map(|word| Some(word & !0x0100_0000));
        }
        ("LDRS", [target, place]) => {
            let register = self::register(target, places)?;
            let opc = if register.wide { 2 << 22 } else { 3 << 22 };
            let size = suffix.unwrap_or(2);
            return plain(size << 30 | opc | register.number, Some(size), register, place, places).map(Some);
        }
        ("LDRSW", [target, place]) => {
            let register = self::register(target, places)?;
            return plain(2 << 30 | 2 << 22 | register.number, Some(2), register, place, places).map(Some);
        }
        _ => {}
    }
    // The sign-extending forms: S in front of the width.
    let signed =
        base.strip_suffix('S').or_else(|| base.strip_suffix("SW")).and_then(|base| named(&UNSCALED_SIGNED, base));
    if let (Some(bits), [target, place]) = (named(&UNSCALED, base).or(signed), operands) {
        let register = self::register(target, places)?;
        let Memory::Displaced(address, offset) = memory(place, places)? else { return Err(unknown_form()) };
        let fields = unscaled(offset)? << 12 | address << 5 | register.number;
        if signed.is_none() {
            return Ok(Some(bits | size(suffix, register)? | fields));
        }
        let size = suffix.unwrap_or(2);
        if size == 2 && !register.wide {
            return Err("this load extends to an X register".to_owned());
        }
        return Ok(Some(bits | size << 30 | u32::from(!register.wide) << 22 | fields));
    }
    if let Some(bits) = named(&ORDERED, base) {
        let (status, target, place) = match (operands, base.starts_with("STX") || base.starts_with("STLX")) {
            ([target, place], false) => (None, *target, *place),
            ([status, target, place], true) => (Some(self::register(status, places)?), *target, *place),
            _ => return Err(unknown_form()),
        };
        if status.is_some_and(|status| status.wide) {
            return Err("the status of a store-exclusive goes to a W register".to_owned());
        }
        let (register, address) = (self::register(target, places)?, bare(place, places)?);
        if status.is_some_and(|status| status.number == register.number && register.number != ZERO) {
            return Err("the status and the value of a store-exclusive are the same register".to_owned());
        }
        let status = status.map_or(0, |status| status.number << 16);
        return Ok(Some(bits | size(suffix, register)? | status | address << 5 | register.number));
    }
    atomic(base, suffix, operands, places)
}

/// An access that moves its base register on: before it, or behind it by a distance.
fn moved_on(
    name: &str,
    values: &[&str],
    place: &str,
    distance: Option<i64>,
    places: &Places<'_>,
) -> Result<u32, String> {
    let Memory::Displaced(address, offset) = memory(place, places)? else { return Err(unknown_form()) };
    if distance.is_some() && offset != 0 {
        return Err(unknown_form());
    }
    let offset = distance.unwrap_or(offset);
    match (name, values) {
        ("LDP" | "LDPSW" | "STP", [first, second]) => {
            let form = if distance.is_some() { 0x0080_0000 } else { 0x0180_0000 };
            Ok(pair_at(name, [first, second], (address, offset), places)? & !0x0180_0000 | form)
        }
        (_, [target]) => {
            let register = self::register(target, places)?;
            let (base, suffix) = narrow(name);
            let kind = match base {
                "LDR" | "STR" => u32::from(base == "LDR") << 22 | size(suffix, register)?,
                "LDRS" => (2 + u32::from(!register.wide)) << 22 | suffix.unwrap_or(2) << 30,
                "LDRSW" if register.wide => 2 << 22 | 2 << 30,
                _ => return Err(unknown_form()),
            };
            let form = if distance.is_some() { 0x400 } else { 0xc00 };
            Ok(0x3800_0000 | form | kind | unscaled(offset)? << 12 | address << 5 | register.number)
        }
        _ => Err(unknown_form()),
    }
}

/// LDR and STR. As GNU as does, a displacement that is negative or no multiple of the size has the unscaled form.
fn plain(bits: u32, suffix: Option<u32>, register: Register, place: &str, places: &Places<'_>) -> Result<u32, String> {
    let scale = suffix.unwrap_or(2 + u32::from(register.wide));
    match memory(place, places)? {
        Memory::Displaced(address, offset) => {
            let scaled = u32::try_from(offset >> scale).ok().filter(|scaled| *scaled < 4096);
            match scaled.filter(|scaled| i64::from(*scaled) << scale == offset) {
                Some(scaled) => Ok(0x3900_0000 | bits | scaled << 10 | address << 5),
                None => Ok(0x3800_0000 | bits | unscaled(offset)? << 12 | address << 5),
            }
        }
        Memory::Indexed(address, index, option, shift) => {
            let shifted = match shift {
                None => 0,
                // For bytes the field says whether a shift is written.
                Some(0) => u32::from(scale == 0),
                Some(shift) if shift == i64::from(scale) => 1,
                Some(shift) => return Err(format!("the index cannot be shifted by {shift}")),
            };
            Ok(0x3820_0800 | bits | index << 16 | option << 13 | shifted << 12 | address << 5)
        }
    }
}

/// LDP, LDPSW and STP. The displacement is a multiple of the size of one register.
fn pair(name: &str, registers: [&str; 2], place: &str, places: &Places<'_>) -> Result<u32, String> {
    let Memory::Displaced(address, offset) = memory(place, places)? else { return Err(unknown_form()) };
    pair_at(name, registers, (address, offset), places)
}

fn pair_at(
    name: &str,
    registers: [&str; 2],
    (address, offset): (u32, i64),
    places: &Places<'_>,
) -> Result<u32, String> {
    let [first, second] = registers.map(|text| register(text, places));
    let (first, second) = (first?, second?);
    let signed = name == "LDPSW";
    if first.wide != second.wide || signed && !first.wide {
        return Err("the two registers do not fit this instruction".to_owned());
    }
    if name != "STP" && first.number == second.number {
        return Err("both loads go to the same register".to_owned());
    }
    let bits = match name {
        "LDPSW" => 0x6940_0000,
        "LDP" => 0x2940_0000 | first.sf(),
        _ => 0x2900_0000 | first.sf(),
    };
    let scale = if first.wide && !signed { 3 } else { 2 };
    let scaled = i32::try_from(offset >> scale).ok().filter(|scaled| (-64..64).contains(scaled));
    let scaled = scaled.filter(|scaled| i64::from(*scaled) << scale == offset);
    let scaled = scaled.ok_or_else(|| format!("the displacement {offset} does not fit the instruction"))?;
    Ok(bits | (scaled.cast_unsigned() & 0x7f) << 15 | second.number << 10 | address << 5 | first.number)
}

/// CAS, SWP and the operations that return the old value or, as ST, do not.
fn atomic(base: &str, suffix: Option<u32>, operands: &[&str], places: &Places<'_>) -> Result<Option<u32>, String> {
    let order = |letters: &str| match letters {
        "" => Some((0, 0)),
        "A" => Some((1, 0)),
        "L" => Some((0, 1)),
        "AL" => Some((1, 1)),
        _ => None,
    };
    if let (Some((acquires, releases)), [expected, new, place]) = (base.strip_prefix("CAS").and_then(order), operands) {
        let (expected, new) = (register(expected, places)?, register(new, places)?);
        same_width([expected, new])?;
        let order = acquires << 22 | releases << 15;
        let registers = expected.number << 16 | bare(place, places)? << 5 | new.number;
        return Ok(Some(0x08a0_7c00 | size(suffix, new)? | order | registers));
    }
    let loading = base.strip_prefix("ST").map(|rest| format!("LD{rest}"));
    let name = loading.as_deref().unwrap_or(base);
    let found = ATOMICS.into_iter().find_map(|(known, bits)| Some((bits, order(name.strip_prefix(known)?)?)));
    let Some((operation, (acquires, releases))) = found else { return Ok(None) };
    let (value, target, place) = match (operands, &loading) {
        ([value, target, place], None) => (register(value, places)?, Some(register(target, places)?), place),
        ([value, place], Some(_)) => (register(value, places)?, None, place),
        _ => return Ok(None),
    };
    if let Some(target) = target {
        same_width([value, target])?;
    }
    let target = target.map_or(ZERO, |target| target.number);
    let order = acquires << 23 | releases << 22;
    let registers = value.number << 16 | bare(place, places)? << 5 | target;
    Ok(Some(0x3820_0000 | size(suffix, value)? | order | operation << 12 | registers))
}

fn computation(name: &str, operands: &[&str], places: &Places<'_>) -> Result<u32, String> {
    let register = |text: &&str| self::register(text, places);
    match (name, operands) {
        ("MOV", [target, source]) => {
            let target = register(target)?;
            match constant(source) {
                Some(value) => move_constant(target, value),
                None => logical("ORR", target, target.zero(), &[*source], places),
            }
        }
        ("MOVZ" | "MOVN" | "MOVK", [target, value, shift @ ..]) => move_wide(name, register(target)?, value, shift),
        ("MVN", [target, source @ ..]) if source.first().is_some_and(|source| constant(source).is_none()) => {
            let target = register(target)?;
            logical("ORR", target, target.zero(), source, places).map(|word| word | 1 << 21)
        }
        ("NEG" | "NEGS", [target, source @ ..]) => {
            let target = register(target)?;
            add(if name == "NEG" { "SUB" } else { "SUBS" }, target, target.zero(), source, places)
        }
        ("SXTB" | "SXTH" | "SXTW" | "UXTB" | "UXTH", [target, source]) => {
            let (target, source) = (register(target)?, register(source)?);
            let last = match name.as_bytes()[3] {
                b'B' => 7,
                b'H' => 15,
                _ => 31,
            };
            let unsigned = name.starts_with('U');
            if source.wide || unsigned && target.wide || last == 31 && !target.wide {
                return Err(unknown_form());
            }
            Ok(bits_of(unsigned, target, source, [0, last]))
        }
        ("CMP" | "CMN", [left, right @ ..]) => {
            let left = register(left)?;
            add(if name == "CMP" { "SUBS" } else { "ADDS" }, left.zero(), left, right, places)
        }
        ("TST", [left, right @ ..]) => {
            let left = register(left)?;
            logical("ANDS", left.zero(), left, right, places)
        }
        ("CSEL" | "CSINC" | "CSINV" | "CSNEG", [target, then, otherwise, condition]) => {
            let all = [register(target)?, register(then)?, register(otherwise)?];
            select(name, all, self::condition(condition)?)
        }
        ("CSET" | "CSETM", [target, condition]) => {
            let target = register(target)?;
            let name = if name == "CSET" { "CSINC" } else { "CSINV" };
            select(name, [target, target.zero(), target.zero()], self::condition(condition)? ^ 1)
        }
        ("LSLV" | "LSRV" | "ASRV" | "RORV", [_, _, count]) if constant(count).is_none() => {
            computation(&name[..3], operands, places)
        }
        ("LSL" | "LSR" | "ASR" | "ROR", [target, source, count]) => {
            let (target, source) = (register(target)?, register(source)?);
            same_width([target, source])?;
            let Some(count) = constant(count) else {
                let count = register(count)?;
                same_width([target, count])?;
                let word = match name {
                    "LSL" => 0x1ac0_2000,
                    "LSR" => 0x1ac0_2400,
                    "ASR" => 0x1ac0_2800,
                    _ => 0x1ac0_2c00,
                };
                return Ok(word | target.sf() | count.number << 16 | source.number << 5 | target.number);
            };
            let bits: u32 = if target.wide { 64 } else { 32 };
            let count = u32::try_from(count).ok().filter(|count| *count < bits).ok_or_else(unknown_form)?;
            if name == "ROR" {
                return Ok(extract(target, [source, source], count));
            }
            let fields = if name == "LSL" { [(bits - count) % bits, bits - 1 - count] } else { [count, bits - 1] };
            Ok(bits_of(name != "ASR", target, source, fields))
        }
        ("MUL" | "MNEG", [target, left, right]) => {
            let all = [register(target)?, register(left)?, register(right)?, register(target)?.zero()];
            same_width(all)?;
            Ok(product(0x1b00_0000 | u32::from(name == "MNEG") << 15 | all[0].sf(), all))
        }
        ("MADD" | "MSUB", [target, left, right, sum]) => {
            let all = [register(target)?, register(left)?, register(right)?, register(sum)?];
            same_width(all)?;
            Ok(product(0x1b00_0000 | u32::from(name == "MSUB") << 15 | all[0].sf(), all))
        }
        ("SMULL" | "UMULL" | "SMNEGL" | "UMNEGL", [target, left, right]) => {
            let target = register(target)?;
            long_product(name, name.contains("NEG"), [target, register(left)?, register(right)?, target.zero()])
        }
        ("SMADDL" | "UMADDL" | "SMSUBL" | "UMSUBL", [target, left, right, sum]) => {
            let all = [register(target)?, register(left)?, register(right)?, register(sum)?];
            long_product(name, name.contains("SUB"), all)
        }
        (
            "UBFM" | "SBFM" | "BFM" | "UBFX" | "SBFX" | "BFXIL" | "UBFIZ" | "SBFIZ" | "BFI",
            [target, source, first, last],
        ) => {
            let fields = [constant(first).ok_or_else(unknown_form)?, constant(last).ok_or_else(unknown_form)?];
            field(name, register(target)?, register(source)?, fields)
        }
        ("RBIT" | "REV" | "REV16" | "REV32" | "REV64", [target, source]) => {
            let (target, source) = (register(target)?, register(source)?);
            same_width([target, source])?;
            let opcode = match (name, target.wide) {
                ("RBIT", _) => 0,
                ("REV16", _) => 1,
                ("REV", false) | ("REV32", true) => 2,
                ("REV" | "REV64", true) => 3,
                _ => return Err(unknown_form()),
            };
            Ok(0x5ac0_0000 | target.sf() | opcode << 10 | source.number << 5 | target.number)
        }
        ("EXTR", [target, upper, lower, count]) => {
            let (target, upper, lower) = (register(target)?, register(upper)?, register(lower)?);
            same_width([target, upper, lower])?;
            let bits = if target.wide { 64 } else { 32 };
            let count = constant(count).and_then(|count| u32::try_from(count).ok()).filter(|count| *count < bits);
            Ok(extract(target, [upper, lower], count.ok_or_else(unknown_form)?))
        }
        ("ADD" | "ADDS" | "SUB" | "SUBS", [target, left, right @ ..]) => {
            add(name, register(target)?, register(left)?, right, places)
        }
        ("AND" | "ANDS" | "ORR" | "EOR", [target, left, right @ ..]) => {
            logical(name, register(target)?, register(left)?, right, places)
        }
        ("BIC" | "BICS" | "ORN" | "EON", [target, left, right, ..]) if constant(right).is_none() => {
            let plain = match name {
                "BIC" => "AND",
                "BICS" => "ANDS",
                "ORN" => "ORR",
                _ => "EOR",
            };
            logical(plain, register(target)?, register(left)?, &operands[2..], places).map(|word| word | 1 << 21)
        }
        _ => Err(unknown_form()),
    }
}

/// UBFM or SBFM with the fields `immr` and `imms`.
fn bits_of(unsigned: bool, target: Register, source: Register, [immr, imms]: [u32; 2]) -> u32 {
    let word = if unsigned { 0x5300_0000 } else { 0x1300_0000 } | target.sf() | u32::from(target.wide) << 22;
    word | immr << 16 | imms << 10 | source.number << 5 | target.number
}

/// MADD and its family: the target, the factors and the sum.
fn product(bits: u32, [target, left, right, sum]: [Register; 4]) -> u32 {
    bits | right.number << 16 | sum.number << 10 | left.number << 5 | target.number
}

/// SMADDL and its family: factors of 32 bits, all else of 64 bits.
fn long_product(name: &str, subtract: bool, all: [Register; 4]) -> Result<u32, String> {
    let [target, left, right, sum] = all;
    if !target.wide || !sum.wide || left.wide || right.wide {
        return Err(unknown_form());
    }
    let bits = if name.starts_with('S') { 0x9b20_0000 } else { 0x9ba0_0000 };
    Ok(product(bits | u32::from(subtract) << 15, all))
}

/// EXTR: some bits of two registers side by side.
fn extract(target: Register, [upper, lower]: [Register; 2], count: u32) -> u32 {
    let bits = 0x1380_0000 | target.sf() | u32::from(target.wide) << 22;
    bits | lower.number << 16 | count << 10 | upper.number << 5 | target.number
}

/// UBFM, SBFM and BFM, and their spellings with a lowest bit and a width.
fn field(name: &str, target: Register, source: Register, [first, last]: [i64; 2]) -> Result<u32, String> {
    same_width([target, source])?;
    let bits: i64 = if target.wide { 64 } else { 32 };
    let (immr, imms) = match name {
        "UBFX" | "SBFX" | "BFXIL" => (first, first + last - 1),
        "UBFIZ" | "SBFIZ" | "BFI" if first + last <= bits => ((bits - first) % bits, last - 1),
        "UBFM" | "SBFM" | "BFM" => (first, last),
        _ => return Err(unknown_form()),
    };
    let fit = |field: i64| u32::try_from(field).ok().filter(|_| field < bits).ok_or_else(unknown_form);
    let word = bits_of(name.starts_with('U'), target, source, [fit(immr)?, fit(imms)?]);
    Ok(if name.starts_with('B') { word | 1 << 29 } else { word })
}

/// MOVZ, MOVN and MOVK: 16 bits, and where they go.
fn move_wide(name: &str, target: Register, value: &str, shift: &[&str]) -> Result<u32, String> {
    let at = match shift {
        [] => 0,
        [text] => extended(text).ok().filter(|(kind, _)| *kind == "LSL").ok_or_else(unknown_form)?.1,
        _ => return Err(unknown_form()),
    };
    let value = constant(value).and_then(|value| u16::try_from(value).ok()).ok_or_else(unknown_form)?;
    if at % 16 != 0 || at >= if target.wide { 64 } else { 32 } {
        return Err(unknown_form());
    }
    let word = match name {
        "MOVN" => 0x1280_0000,
        "MOVZ" => 0x5280_0000,
        _ => 0x7280_0000,
    };
    Ok(word | target.sf() | (at / 16) << 21 | u32::from(value) << 5 | target.number)
}

fn select(name: &str, [target, then, otherwise]: [Register; 3], condition: u32) -> Result<u32, String> {
    same_width([target, then, otherwise])?;
    let word = match name {
        "CSEL" => 0x1a80_0000,
        "CSINC" => 0x1a80_0400,
        "CSINV" => 0x5a80_0000,
        _ => 0x5a80_0400,
    };
    Ok(word | target.sf() | otherwise.number << 16 | condition << 12 | then.number << 5 | target.number)
}

/// Addition and subtraction: of a constant, of a shifted register, or of an extended one.
fn add(name: &str, target: Register, left: Register, right: &[&str], places: &Places<'_>) -> Result<u32, String> {
    same_width([target, left])?;
    let subtract = u32::from(name.starts_with("SUB"));
    let flags = u32::from(name.ends_with('S')) << 29;
    let common = target.sf() | flags | left.number << 5 | target.number;
    let [first, extension @ ..] = right else { return Err(unknown_form()) };
    if let Some(value) = constant(first) {
        if target.number == ZERO && flags == 0 || left.number == ZERO {
            // With a constant the number 31 means the stack pointer.
            return Err("the zero register cannot be an operand together with a constant".to_owned());
        }
        let value = match extension.first().map(|text| extended(text)).transpose()? {
            None | Some(("LSL", 0)) => value,
            Some(("LSL", 12)) if (-4095..4096).contains(&value) => value << 12,
            Some(_) => return Err(unknown_form()),
        };
        // As GNU as does: adding a negative constant subtracts.
        let (subtract, size) =
            if value < 0 { (1 - subtract, value.unsigned_abs()) } else { (subtract, value.unsigned_abs()) };
        let field = match u32::try_from(size) {
            Ok(size) if size < 4096 => size << 10,
            Ok(size) if size < 1 << 24 && size & 0xfff == 0 => 1 << 22 | (size >> 12) << 10,
            _ => return Err(format!("the constant {value} does not fit 12 bits")),
        };
        return Ok(0x1100_0000 | subtract << 30 | common | field);
    }
    let index = register(first, places)?;
    let (kind, amount) =
        extension.first().map_or(Ok((None, 0)), |text| extended(text).map(|(kind, by)| (Some(kind), by)))?;
    match kind {
        None | Some("LSL" | "LSR" | "ASR") => {
            let most = if target.wide { 64 } else { 32 };
            if index.wide != target.wide || amount >= most {
                return Err(unknown_form());
            }
            let shift = kind.and_then(|kind| named(&SHIFTS, kind)).unwrap_or(0) << 22;
            Ok(0x0b00_0000 | shift | subtract << 30 | common | index.number << 16 | amount << 10)
        }
        Some(kind) => {
            let option = option(kind).filter(|_| amount < 5).ok_or_else(unknown_form)?;
            if left.number == ZERO || target.number == ZERO && flags == 0 || index.wide != kind.ends_with('X') {
                return Err(unknown_form());
            }
            Ok(0x0b20_0000 | subtract << 30 | common | index.number << 16 | option << 13 | amount << 10)
        }
    }
}

/// AND, ORR, EOR and ANDS: of a constant, or of a register that may be shifted.
fn logical(name: &str, target: Register, left: Register, right: &[&str], places: &Places<'_>) -> Result<u32, String> {
    same_width([target, left])?;
    let opc = match name {
        "AND" => 0,
        "ORR" => 1,
        "EOR" => 2,
        _ => 3,
    } << 29;
    let common = target.sf() | opc | left.number << 5 | target.number;
    let [first, shift @ ..] = right else { return Err(unknown_form()) };
    if let Some(value) = constant(first) {
        let field = bitmask(value, target.wide).filter(|_| shift.is_empty());
        if target.number == ZERO && name != "ANDS" {
            return Err("the zero register cannot be the target together with a constant".to_owned());
        }
        return field
            .map(|field| 0x1200_0000 | common | field)
            .ok_or_else(|| format!("the constant {value} is no bit mask that the instruction can hold"));
    }
    let index = register(first, places)?;
    let (kind, amount) = match shift {
        [] => (0, 0),
        [text] => match extended(text)? {
            (kind, amount) if amount < if target.wide { 64 } else { 32 } => {
                (named(&SHIFTS, kind).ok_or_else(unknown_form)?, amount)
            }
            _ => return Err(unknown_form()),
        },
        _ => return Err(unknown_form()),
    };
    same_width([target, index])?;
    Ok(0x0a00_0000 | kind << 22 | common | index.number << 16 | amount << 10)
}

/// MOV of a constant: as GNU as does, MOVZ if one half-word is not 0, else MOVN, else ORR of a bit mask.
fn move_constant(target: Register, value: i64) -> Result<u32, String> {
    let bits = if target.wide { 64 } else { 32 };
    let value = value.cast_unsigned();
    let fits = target.wide || value >> 32 == 0 || value >> 31 == u64::MAX >> 31;
    if !fits {
        return Err(format!("the constant {value} does not fit 32 bits"));
    }
    let mask = u64::MAX >> (64 - bits);
    let single = |value: u64| {
        (0..bits / 16).find_map(|half| {
            let part = value >> (16 * half) & 0xffff;
            (value == part << (16 * half)).then(|| half << 21 | u32::try_from(part).unwrap_or(0) << 5)
        })
    };
    if let Some(field) = single(value & mask) {
        return Ok(0x5280_0000 | target.sf() | field | target.number);
    }
    if let Some(field) = single(!value & mask) {
        return Ok(0x1280_0000 | target.sf() | field | target.number);
    }
    let field = bitmask(value.cast_signed(), target.wide);
    let field = field.ok_or_else(|| format!("the constant {} needs more than one instruction", value.cast_signed()))?;
    Ok(0x3200_0000 | target.sf() | field | ZERO << 5 | target.number)
}

/// The fields N, immr and imms of a bit mask: a run of ones in an element of 2 to 64 bits, rotated and repeated; `None`
/// if the value is no such mask.
fn bitmask(value: i64, wide: bool) -> Option<u32> {
    let low = value.cast_unsigned() & 0xffff_ffff;
    let value = if wide { value.cast_unsigned() } else { low | low << 32 };
    // The smallest element that is repeated.
    let element = [2_u32, 4, 8, 16, 32, 64].into_iter().find(|size| value.rotate_right(*size % 64) == value)?;
    let mask = u64::MAX >> (64 - element);
    let part = value & mask;
    let ones = part.count_ones();
    if ones == 0 || ones == element {
        return None;
    }
    let run = u64::MAX >> (64 - ones);
    let rotated = |by: u32| if by == 0 { run } else { (run >> by | run << (element - by)) & mask };
    let rotation = (0..element).find(|by| rotated(*by) == part)?;
    // The size of the element is coded by the leading ones of imms.
    let sizes = if element == 64 { 0 } else { !(2 * element - 1) & 0x3f };
    Some(u32::from(element == 64) << 22 | rotation << 16 | (sizes | (ones - 1)) << 10)
}

fn condition(text: &str) -> Result<u32, String> {
    let text = text.to_ascii_uppercase();
    let number = CONDITIONS.iter().position(|names| names.contains(&text.as_str()));
    number.and_then(|number| u32::try_from(number).ok()).ok_or_else(|| format!("`{text}` is not a condition"))
}

/// An operand `#value`.
fn constant(text: &str) -> Option<i64> {
    text.strip_prefix('#').and_then(parse_int)
}

/// The kind and the amount of an extension or a shift: `SXTW`, `LSL#2`.
fn extended(text: &str) -> Result<(&'static str, u32), String> {
    let text = text.to_ascii_uppercase();
    let (kind, amount) = text.split_once('#').unwrap_or((&text, "0"));
    let mut known = OPTIONS.iter().chain(&SHIFTS);
    let kind = known.find(|(known, _)| *known == kind).ok_or_else(unknown_form)?.0;
    let amount = parse_int(amount).and_then(|amount| u32::try_from(amount).ok()).ok_or_else(unknown_form)?;
    Ok((kind, amount))
}

/// The shifts of a register and their field `shift`.
const SHIFTS: [(&str, u32); 4] = [("LSL", 0), ("LSR", 1), ("ASR", 2), ("ROR", 3)];

/// The extensions and their field `option`. Those of 8 and 16 bits do not extend an index.
const OPTIONS: [(&str, u32); 9] = [
    ("UXTB", 0),
    ("UXTH", 1),
    ("UXTW", 2),
    ("LSL", 3),
    ("UXTX", 3),
    ("SXTB", 4),
    ("SXTH", 5),
    ("SXTW", 6),
    ("SXTX", 7),
];

/// The field `option` of an extension.
fn option(kind: &str) -> Option<u32> {
    named(&OPTIONS, kind)
}

fn register(text: &str, places: &Places<'_>) -> Result<Register, String> {
    let (name, ty) = register_name(text).ok_or_else(|| format!("`{text}` is not a register"))?;
    let wide = ty.bytes() == 8;
    let number = if name == "XZR" { ZERO } else { places.register(name)?.into() };
    Ok(Register { number, wide })
}

/// The 9 bits of a displacement that is not scaled.
fn unscaled(offset: i64) -> Result<u32, String> {
    signed_field(offset, 9).ok_or_else(|| format!("the displacement {offset} does not fit the instruction"))
}

/// A memory operand without an index or a displacement.
fn bare(text: &str, places: &Places<'_>) -> Result<u32, String> {
    match memory(text, places)? {
        Memory::Displaced(base, 0) => Ok(base),
        _ => Err("this access takes only a base register".to_owned()),
    }
}

fn memory(text: &str, places: &Places<'_>) -> Result<Memory, String> {
    let inner = text.strip_prefix('[').and_then(|text| text.strip_suffix(']'));
    let parts: Vec<&str> = inner.ok_or_else(|| format!("`{text}` is not an address"))?.split(',').collect();
    let base = register(parts[0], places)?;
    if !base.wide || base.number == ZERO {
        return Err(format!("the address in `{text}` is not an X register"));
    }
    match parts.as_slice() {
        [_] => Ok(Memory::Displaced(base.number, 0)),
        [_, second] => match constant(second) {
            Some(offset) => Ok(Memory::Displaced(base.number, offset)),
            None => {
                let index = register(second, places)?;
                if index.wide { Ok(Memory::Indexed(base.number, index.number, 3, None)) } else { Err(unknown_form()) }
            }
        },
        [_, second, extension] => {
            let (index, (kind, amount)) = (register(second, places)?, extended(extension)?);
            if index.wide == kind.ends_with('W') {
                return Err(unknown_form());
            }
            let written = extension.contains('#').then_some(i64::from(amount));
            Ok(Memory::Indexed(base.number, index.number, option(kind).ok_or_else(unknown_form)?, written))
        }
        _ => Err(unknown_form()),
    }
}
