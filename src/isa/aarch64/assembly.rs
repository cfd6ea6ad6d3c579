//! Instructions of AArch64 litmus tests.

use crate::model::Model;
use crate::model::assembly::{
    Assembler, BYTE, Condition, Dialect, HALF, LONG, Named, Signs, WORD, ZERO, parse_int, register_number,
};
use crate::model::code::{Change, StatusOf, Step};
use crate::model::event::Tags;
use crate::program::{Address, Binary, Compare, Const, Operand, RegisterId, RmwOp, Type, Unary};

pub(super) const DIALECTS: [Dialect; 1] = [Dialect {
    word: "AArch64",
    model: Model::Armv8,
    register: register_name,
    register_bits: 64,
    instruction: assemble,
    respell,
    has_dotted_labels: true,
    names_locations: false,
    turned_round: false,
}];

/// The canonical names of the general registers.
const REGISTERS: [&str; 31] = [
    "X0", "X1", "X2", "X3", "X4", "X5", "X6", "X7", "X8", "X9", "X10", "X11", "X12", "X13", "X14", "X15", "X16", "X17",
    "X18", "X19", "X20", "X21", "X22", "X23", "X24", "X25", "X26", "X27", "X28", "X29", "X30",
];

/// `B.AL` is `B`, and a constant may have no `#`.
fn respell(mnemonic: &str, operands: &str) -> Option<(String, String)> {
    if mnemonic.eq_ignore_ascii_case("B.AL") {
        return Some(("B".to_owned(), operands.to_owned()));
    }
    // A shift or an extension may stand before a constant.
    const BEFORE: [&str; 12] =
        ["LSL", "LSR", "ASR", "ROR", "SXTB", "SXTH", "SXTW", "SXTX", "UXTB", "UXTH", "UXTW", "UXTX"];
    let (first, rest) = operands.split_once(',')?;
    let mut spelled = first.to_owned();
    for operand in rest.split(',') {
        let end = operand.trim_end_matches(['!', ']']).len();
        let word = BEFORE.iter().find(|word| operand.get(..word.len()).is_some_and(|w| w.eq_ignore_ascii_case(word)));
        let start = word.map_or(0, |word| word.len());
        let digits = operand[start..end].strip_prefix('-').unwrap_or(&operand[start..end]);
        let is_constant = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
        spelled.push(',');
        spelled.push_str(&operand[..start]);
        spelled.push_str(if is_constant { "#" } else { "" });
        spelled.push_str(&operand[start..]);
    }
    // A label may look like a shift.
    let jumps = matches!(mnemonic.as_bytes(), [b'B' | b'b', ..])
        || mnemonic.get(..2).is_some_and(|w| w.eq_ignore_ascii_case("CB"));
    (!jumps && spelled != operands).then(|| (mnemonic.to_owned(), spelled))
}

/// `W0` to `W30`, `X0` to `X30`, `WZR`, `XZR`.
pub(super) fn register_name(text: &str) -> Option<Named> {
    let (ty, rest) = match text.split_at_checked(1)? {
        ("W" | "w", rest) => (WORD, rest),
        ("X" | "x", rest) => (LONG, rest),
        _ => return None,
    };
    if rest.eq_ignore_ascii_case("zr") {
        return Some(("XZR", ty));
    }
    Some((*REGISTERS.get(register_number(rest)?)?, ty))
}

fn is_zero(text: &str) -> bool {
    text.eq_ignore_ascii_case("wzr") || text.eq_ignore_ascii_case("xzr")
}

/// A source register and its width. The zero register reads as 0.
fn source(a: &mut Assembler, text: &str) -> Option<(Operand, Type)> {
    let ty = register_name(text)?.1;
    if is_zero(text) {
        return Some((ZERO, ty));
    }
    Some((Operand::Register(a.register(text)?), ty))
}

/// An operand: a register or `#value`.
fn operand(a: &mut Assembler, text: &str) -> Option<Operand> {
    if let Some(value) = text.strip_prefix('#').and_then(parse_int) {
        return Some(Operand::Const(Const::Int(value)));
    }
    source(a, text).map(|(value, _)| value)
}

/// As [`operand`], but a register has this width.
fn operand_of(a: &mut Assembler, text: &str, ty: Type) -> Option<Operand> {
    if text.starts_with('#') {
        return operand(a, text);
    }
    source(a, text).filter(|(_, own)| *own == ty).map(|(value, _)| value)
}

/// A target register and its width; `None` for the zero register, which discards the value.
fn target(a: &mut Assembler, text: &str) -> Option<(Option<RegisterId>, Type)> {
    let ty = register_name(text)?.1;
    if is_zero(text) {
        return Some((None, ty));
    }
    Some((Some(a.register(text)?), ty))
}

/// As [`target`], for steps that need a register: the zero register becomes a temporary.
fn sink(a: &mut Assembler, text: &str) -> Option<(RegisterId, Type)> {
    let (register, ty) = target(a, text)?;
    Some((register.unwrap_or_else(|| a.temporary()), ty))
}

const SIGNED_BYTE: Type = Type::Int { bits: 8, signed: true };
const SIGNED_HALF: Type = Type::Int { bits: 16, signed: true };

/// A register with an extension or a shift, such as `W1,SXTW` or `X1,LSL #2`, as a value of 64 bits. An extended
/// register is 32 bits wide, a shifted one 64 bits.
fn extended(a: &mut Assembler, text: &str, extension: &str) -> Option<Operand> {
    let extension = extension.to_ascii_uppercase();
    let (kind, shift) = extension.split_once('#').unwrap_or((&extension, "0"));
    let shift = parse_int(shift).filter(|shift| (0..64).contains(shift))?;
    let (width, from) = match kind {
        "SXTB" => (WORD, SIGNED_BYTE),
        "SXTH" => (WORD, SIGNED_HALF),
        "SXTW" => (WORD, Type::INT),
        "UXTB" => (WORD, BYTE),
        "UXTH" => (WORD, HALF),
        "UXTW" => (WORD, WORD),
        "LSL" | "SXTX" | "UXTX" => (LONG, LONG),
        _ => return None,
    };
    let (value, _) = source(a, text).filter(|(_, ty)| *ty == width)?;
    let dst = a.temporary();
    a.mov(dst, value, from);
    // Behind an extension a shift is at most 4.
    if kind != "LSL" && shift > 4 {
        return None;
    }
    let count = Operand::Const(Const::Int(shift));
    if shift != 0 {
        a.binary(Binary::ShiftLeft, dst, Operand::Register(dst), count, LONG);
    }
    Some(Operand::Register(dst))
}

/// A memory operand: `[X0]`, `[X0,#0]`, `[X0,X1]`, `[X0,W1,SXTW]`, `[X0,X1,LSL #2]`. The base is 64 bits wide.
fn memory(a: &mut Assembler, text: &str) -> Option<Address> {
    let inner = text.strip_prefix('[')?.strip_suffix(']')?;
    let mut parts = inner.split(',');
    let base = parts.next()?;
    if register_name(base)?.1 != LONG || is_zero(base) {
        return None;
    }
    let base = a.register(base)?;
    let (index, extension) = (parts.next(), parts.next());
    if parts.next().is_some() {
        return None;
    }
    let index = match (index, extension) {
        (None, _) => ZERO,
        (Some(immediate), None) if immediate.starts_with('#') => operand(a, immediate)?,
        (Some(index), None) => source(a, index).filter(|(_, ty)| *ty == LONG)?.0,
        // Bytes and half-words do not extend an index.
        (Some(_), Some(extension))
            if extension.to_ascii_uppercase().as_bytes().get(3).is_some_and(|c| b"BH".contains(c)) =>
        {
            return None;
        }
        (Some(index), Some(extension)) => extended(a, index, extension)?,
    };
    Some(a.indexed(base, index))
}

/// The tags of the read and of the write, from the ordering suffix of an atomic instruction.
fn letters(text: &str) -> Option<(Tags, Tags)> {
    Some(match text {
        "" => (Tags::NONE, Tags::NONE),
        "A" => (Tags::ACQUIRE, Tags::NONE),
        "L" => (Tags::NONE, Tags::RELEASE),
        "AL" => (Tags::ACQUIRE, Tags::RELEASE),
        _ => return None,
    })
}

/// Splits the width off a mnemonic: `B` or `H`. Without it an access is as wide as its register.
fn narrow(mnemonic: &str) -> (&str, Option<Type>) {
    if let Some(base) = mnemonic.strip_suffix('B') {
        return (base, Some(BYTE));
    }
    mnemonic.strip_suffix('H').map_or((mnemonic, None), |base| (base, Some(HALF)))
}

/// The width of an access to or from a register. Bytes and half-words use the 32-bit names of the registers.
fn access_width(narrow: Option<Type>, register: Type) -> Option<Type> {
    match narrow {
        None => Some(register),
        Some(ty) => (register == WORD).then_some(ty),
    }
}

fn atomic(a: &mut Assembler, mnemonic: &str, operands: &[&str]) -> Option<()> {
    const OPERATIONS: [(&str, RmwOp); 5] = [
        ("SWP", RmwOp::Xchg),
        ("LDADD", RmwOp::Add),
        ("LDSET", RmwOp::Or),
        ("LDCLR", RmwOp::AndNot),
        ("LDEOR", RmwOp::Xor),
    ];
    let (mnemonic, narrow) = narrow(mnemonic);
    // STADD and its family are LDADD to the zero register. They have no acquiring forms.
    let stored = mnemonic.strip_prefix("ST").filter(|rest| matches!(rest.len(), 3 | 4) && !rest.ends_with('A'));
    let loading = stored.map(|rest| format!("LD{rest}"));
    let mnemonic = loading.as_deref().unwrap_or(mnemonic);
    let (first, second, place) = match (operands, stored) {
        ([first, second, place], None) => (*first, *second, *place),
        ([first, place], Some(_)) => (*first, if register_name(first)?.1 == WORD { "WZR" } else { "XZR" }, *place),
        _ => return None,
    };
    let address = memory(a, place)?;
    let (change, dst, ty, order) = if let Some(order) = mnemonic.strip_prefix("CAS") {
        let (expected, ty) = source(a, first)?;
        let (new, width) = source(a, second)?;
        if width != ty {
            return None;
        }
        (Change::IfEqual { expected, new }, target(a, first)?.0, access_width(narrow, ty)?, order)
    } else {
        let (name, op) = OPERATIONS.into_iter().find(|(name, _)| mnemonic.starts_with(name))?;
        let (value, width) = source(a, first)?;
        let (dst, ty) = target(a, second)?;
        if width != ty {
            return None;
        }
        (Change::Op(op, value), dst, access_width(narrow, ty)?, &mnemonic[name.len()..])
    };
    let (acquires, releases) = letters(order)?;
    // If the value read goes to the zero register, barriers for loads do not wait for the read, and the read
    // does not acquire.
    let read = if dst.is_some() { acquires } else { Tags::NORETURN };
    a.atomic(dst, address, ty, change, [Tags::AMO | read, Tags::AMO | releases]);
    if let (Change::IfEqual { .. }, Some(Step::Update(update))) = (change, a.steps.last_mut()) {
        // The result of cas has only a "pick" dependency on the value read, as in `events`.
        update.picks = true;
    }
    Some(())
}

/// Loads and stores; `None` if the mnemonic or its operands are not those of one.
fn access(a: &mut Assembler, mnemonic: &str, operands: &[&str]) -> Option<()> {
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
        // Pre-indexed and post-indexed: the base register moves on.
        ("LDR" | "STR", [value, place]) if place.ends_with('!') => {
            let place = place.strip_suffix('!')?;
            return moved_on(a, mnemonic, value, place, None);
        }
        ("LDR" | "STR", [value, place, distance]) if distance.starts_with('#') => {
            return moved_on(a, mnemonic, value, place, Some(distance));
        }
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
        ("LDP" | "LDPSW" | "STP", [first, second, place]) if narrow.is_none() => {
            return pair(a, base, [first, second], place);
        }
        // The hint that the data is not used again orders nothing.
        ("LDNP" | "STNP", [first, second, place]) if narrow.is_none() => {
            return pair(a, if base == "LDNP" { "LDP" } else { "STP" }, [first, second], place);
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
fn moved_on(a: &mut Assembler, mnemonic: &str, value: &str, place: &str, distance: Option<&str>) -> Option<()> {
    let base = place.strip_prefix('[')?.split([',', ']']).next()?;
    // The manual leaves open what happens if the base register is loaded or stored.
    if register_name(base)?.0 == register_name(value)?.0 {
        return None;
    }
    let base = a.register(base)?;
    // A displacement of 9 bits.
    let constant = |text: &str| {
        let distance = text.strip_prefix('#').and_then(parse_int).filter(|distance| (-256..256).contains(distance));
        distance.map(|distance| Operand::Const(Const::Int(distance)))
    };
    match distance {
        Some(distance) => {
            if place.contains(',') {
                return None;
            }
            let distance = constant(distance)?;
            access(a, mnemonic, &[value, place])?;
            a.moved_on.push((base, a.steps.len()));
            a.binary(Binary::Add, base, Operand::Register(base), distance, LONG);
        }
        None => {
            // Computed before the access, as its address.
            let inner = place.strip_suffix(']')?;
            let distance = constant(inner.split_once(',')?.1)?;
            a.binary(Binary::Add, base, Operand::Register(base), distance, LONG);
            access(a, mnemonic, &[value, &format!("[{}]", place.strip_prefix('[')?.split(',').next()?)])?;
        }
    }
    Some(())
}

/// LDP, LDPSW and STP: two accesses side by side. herd7 has no program order between them; Armv8 orders two plain accesses
/// to different bytes no more than that.
fn pair(a: &mut Assembler, name: &str, registers: [&str; 2], place: &str) -> Option<()> {
    // The model has no form with a register as the index.
    let has_index = place.split_once(',').is_some_and(|(_, index)| !index.trim_start().starts_with('#'));
    let [ty, other] = registers.map(|register| register_name(register).map(|(_, ty)| ty));
    if has_index || ty? != other? || name == "LDPSW" && ty != Some(LONG) {
        return None;
    }
    let ty = if name == "LDPSW" { Type::INT } else { ty? };
    let Address::Register(base) = memory(a, place)? else { return None };
    // Before the first access: a load may overwrite the base register.
    let bytes = i64::try_from(ty.bytes()).ok()?;
    let behind = a.indexed(base, Operand::Const(Const::Int(bytes)));
    for (register, address) in registers.into_iter().zip([Address::Register(base), behind]) {
        let tags = Tags::NONE;
        let step = if name == "STP" {
            Step::Write { address, value: source(a, register)?.0, ty, tags }
        } else {
            Step::Read { dst: target(a, register)?.0, address, ty, tags }
        };
        a.steps.push(step);
    }
    Some(())
}

/// Splits a load that extends by sign into its name and the type that it reads.
fn sign_extending(mnemonic: &str) -> Option<(&str, Type)> {
    const TYPES: [(&str, u8); 3] = [("SB", 8), ("SH", 16), ("SW", 32)];
    let (base, bits) =
        TYPES.iter().find_map(|(suffix, bits)| mnemonic.strip_suffix(suffix).map(|base| (base, *bits)))?;
    matches!(base, "LDR" | "LDUR" | "LDAPUR").then_some((base, Type::Int { bits, signed: true }))
}

fn assemble(a: &mut Assembler, mnemonic: &str, operands: &[&str], _: &[String]) -> Option<()> {
    let mnemonic = mnemonic.to_ascii_uppercase();
    match (mnemonic.as_str(), operands) {
        ("DMB" | "DSB", [domain]) => a.steps.push(Step::Fence(match domain.to_ascii_uppercase().as_str() {
            "SY" | "ISH" | "OSH" => Tags::DMB_FULL,
            "LD" | "ISHLD" | "OSHLD" => Tags::DMB_LD,
            "ST" | "ISHST" | "OSHST" if mnemonic == "DSB" => Tags::DSB_ST,
            "ST" | "ISHST" | "OSHST" => Tags::DMB_ST,
            _ => return None,
        })),
        ("ISB", []) => a.steps.push(Step::Fence(Tags::ISYNC)),
        ("NOP", []) => {}
        ("MOV", [dst, src]) => {
            let src = operand_of(a, src, register_name(dst)?.1)?;
            let (dst, ty) = sink(a, dst)?;
            a.mov(dst, src, ty);
        }
        ("MVN" | "NEG", [dst, src]) => {
            let (src, _) = source(a, src).filter(|(_, ty)| register_name(dst).is_some_and(|(_, own)| own == *ty))?;
            let (dst, ty) = sink(a, dst)?;
            let op = if mnemonic == "MVN" { Unary::Invert } else { Unary::Negate };
            a.steps.push(Step::Unary { dst, op, src, ty });
        }
        ("SXTB" | "SXTH" | "SXTW" | "UXTB" | "UXTH", [dst, src]) => {
            let (src, _) = source(a, src).filter(|(_, ty)| *ty == WORD)?;
            let from = match mnemonic.as_str() {
                "SXTB" => SIGNED_BYTE,
                "SXTH" => SIGNED_HALF,
                "SXTW" => Type::INT,
                "UXTB" => BYTE,
                _ => HALF,
            };
            // SXTW has a target of 64 bits, the extensions by zeros one of 32.
            let (dst, ty) = sink(a, dst)?;
            let fits = if mnemonic.starts_with('U') { ty == WORD } else { ty == LONG || mnemonic != "SXTW" };
            fits.then_some(())?;
            a.mov(dst, src, from);
            if ty == WORD {
                a.mov(dst, Operand::Register(dst), WORD);
            }
        }
        ("CMP", [left, right]) => {
            let (left, ty) = source(a, left)?;
            let right = operand_of(a, right, ty)?;
            a.compare(left, right, ty);
        }
        ("TST", [left, right]) => {
            let (left, ty) = source(a, left)?;
            let right = operand_of(a, right, ty)?;
            let dst = a.temporary();
            a.binary(Binary::And, dst, left, right, ty);
            a.compare_with_zero(Operand::Register(dst), ty);
        }
        ("CBZ" | "CBNZ", [register, label]) => {
            let (value, ty) = source(a, register)?;
            let compare = if mnemonic == "CBZ" { Compare::Eq } else { Compare::Ne };
            a.branch(compare, value, ZERO, ty, label)?;
        }
        ("TBZ" | "TBNZ", [register, bit, label]) => {
            let (value, ty) = source(a, register)?;
            let bit =
                bit.strip_prefix('#').and_then(parse_int).filter(|bit| (0..i64::from(ty.bits())).contains(bit))?;
            let tested = a.temporary();
            a.binary(Binary::And, tested, value, Operand::Const(Const::Int(1 << bit)), LONG);
            let compare = if mnemonic == "TBZ" { Compare::Eq } else { Compare::Ne };
            a.branch(compare, Operand::Register(tested), ZERO, LONG, label)?;
        }
        ("B", [label]) => a.jump(label)?,
        _ if access(a, &mnemonic, operands).is_some() => {}
        _ => return arithmetic(a, &mnemonic, operands),
    }
    Some(())
}

/// The condition that a suffix such as `EQ` names. That on overflow alone is not followed.
fn condition(text: &str) -> Option<Condition> {
    Some(match text.to_ascii_uppercase().as_str() {
        "EQ" => (Compare::Eq, Signs::Signed),
        "NE" => (Compare::Ne, Signs::Signed),
        "LT" => (Compare::Lt, Signs::Signed),
        "LE" => (Compare::Le, Signs::Signed),
        "GT" => (Compare::Gt, Signs::Signed),
        "GE" => (Compare::Ge, Signs::Signed),
        "LO" | "CC" => (Compare::Lt, Signs::Unsigned),
        "LS" => (Compare::Le, Signs::Unsigned),
        "HI" => (Compare::Gt, Signs::Unsigned),
        "HS" | "CS" => (Compare::Ge, Signs::Unsigned),
        "MI" => (Compare::Lt, Signs::OfResult),
        "PL" => (Compare::Ge, Signs::OfResult),
        _ => return None,
    })
}

/// Arithmetic of two operands, and what depends on the flags.
fn arithmetic(a: &mut Assembler, mnemonic: &str, operands: &[&str]) -> Option<()> {
    if let Some(suffix) = mnemonic.strip_prefix("B.") {
        let [label] = operands else { return None };
        return a.branch_if(condition(suffix)?, label);
    }
    match (mnemonic, operands) {
        ("CSEL" | "CSINC" | "CSINV" | "CSNEG", [dst, then, otherwise, suffix]) => {
            let ((then, width), (otherwise, ty)) = (source(a, then)?, source(a, otherwise)?);
            let otherwise = changed(a, &mnemonic[2..], otherwise, ty);
            let (dst, own) = sink(a, dst)?;
            (width == ty && own == ty).then_some(())?;
            select(a, (dst, own), suffix, then, otherwise)
        }
        ("CSET" | "CSETM", [dst, suffix]) => {
            let dst = sink(a, dst)?;
            let one = Operand::Const(Const::Int(if mnemonic == "CSET" { 1 } else { -1 }));
            select(a, dst, suffix, one, ZERO)
        }
        (_, [_, left, right @ ..]) if !right.is_empty() => {
            let (name, sets_flags) = mnemonic.strip_suffix('S').map_or((mnemonic, false), |name| (name, true));
            let op = match name {
                "ADD" => Binary::Add,
                "SUB" => Binary::Sub,
                "AND" | "BIC" => Binary::And,
                "EOR" | "EON" if !sets_flags => Binary::Xor,
                "ORR" | "ORN" if !sets_flags => Binary::Or,
                "MUL" if !sets_flags => Binary::Mul,
                "LSL" | "LSR" | "ASR" if !sets_flags => return shift(a, name, operands),
                _ => return atomic(a, mnemonic, operands),
            };
            let (left, width) = source(a, left)?;
            let is_sum = matches!(op, Binary::Add | Binary::Sub);
            let right = match right {
                [right] if right.starts_with('#') => {
                    (!matches!(name, "MUL" | "EON" | "ORN")).then(|| operand(a, right))??
                }
                [right] => operand_of(a, right, width)?,
                // Only sums extend an operand; the others shift it.
                [right, extension] if name != "MUL" && (is_sum || is_shift(extension)) => {
                    extended(a, right, extension)?
                }
                _ => return None,
            };
            let (dst, ty) = sink(a, operands[0]).filter(|(_, ty)| *ty == width)?;
            let right = if matches!(name, "BIC" | "EON" | "ORN") { changed(a, "INV", right, ty) } else { right };
            if sets_flags && op == Binary::Sub {
                a.compare(left, right, ty);
            }
            a.binary(op, dst, left, right, ty);
            if sets_flags && op != Binary::Sub {
                a.compare_with_zero(Operand::Register(dst), ty);
            }
            Some(())
        }
        _ => atomic(a, mnemonic, operands),
    }
}

/// One of two values in a register. With a name of 32 bits the register keeps no upper half of the value.
fn select(
    a: &mut Assembler,
    (dst, ty): (RegisterId, Type),
    suffix: &str,
    then: Operand,
    otherwise: Operand,
) -> Option<()> {
    a.select(dst, condition(suffix)?, then, otherwise);
    if ty == WORD {
        a.mov(dst, Operand::Register(dst), WORD);
    }
    Some(())
}

/// Whether an extension is a plain shift.
fn is_shift(extension: &str) -> bool {
    extension.get(..3).is_some_and(|kind| kind.eq_ignore_ascii_case("LSL"))
}

/// LSL, LSR and ASR by a constant or by a register, of which only the lowest 5 or 6 bits count.
fn shift(a: &mut Assembler, name: &str, operands: &[&str]) -> Option<()> {
    let [dst, left, right] = operands else { return None };
    let (left, ty) = source(a, left)?;
    let bits = i64::from(ty.bits());
    let count = match operand_of(a, right, ty)? {
        Operand::Const(Const::Int(count)) if !(0..bits).contains(&count) => return None,
        Operand::Register(register) => {
            let count = a.temporary();
            let lowest = Operand::Const(Const::Int(bits - 1));
            a.binary(Binary::And, count, Operand::Register(register), lowest, LONG);
            Operand::Register(count)
        }
        constant @ Operand::Const(_) => constant,
    };
    let (dst, own) = sink(a, dst)?;
    let (op, from) = match name {
        "LSL" => (Binary::ShiftLeft, ty),
        "LSR" => (Binary::ShiftRight, Type::Int { bits: ty.bits(), signed: false }),
        _ => (Binary::ShiftRight, Type::Int { bits: ty.bits(), signed: true }),
    };
    (own == ty).then_some(())?;
    let value = a.temporary();
    a.mov(value, left, from);
    a.binary(op, dst, Operand::Register(value), count, from);
    if ty == WORD {
        a.mov(dst, Operand::Register(dst), WORD);
    }
    Some(())
}

/// The second value of CSEL, CSINC, CSINV or CSNEG: as it is, plus one, inverted or negated.
fn changed(a: &mut Assembler, kind: &str, value: Operand, ty: Type) -> Operand {
    let dst = a.temporary();
    match kind {
        "INC" => a.binary(Binary::Add, dst, value, Operand::Const(Const::Int(1)), ty),
        "INV" => a.steps.push(Step::Unary { dst, op: Unary::Invert, src: value, ty }),
        "NEG" => a.steps.push(Step::Unary { dst, op: Unary::Negate, src: value, ty }),
        _ => return value,
    }
    Operand::Register(dst)
}
