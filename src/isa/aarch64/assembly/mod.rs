//! Instructions of AArch64 litmus tests.

mod access;
mod arithmetic;
mod atomic;
mod operand;

use access::access;
use arithmetic::arithmetic;
use operand::{constant, source};

use crate::model::Model;
use crate::model::assembly::{
    Assembler, Condition, Dialect, LONG, Signs, WORD, ZERO, int, register_number, symbolic_name,
};
use crate::model::code::Step;
use crate::model::event::Tags;
use crate::program::{Binary, Compare, Operand, Type};

pub(super) const DIALECTS: [Dialect; 1] = [Dialect {
    word: "AArch64",
    model: Model::Armv8,
    register: register_name,
    register_bits: 64,
    instruction: assemble,
    respell,
    has_dotted_labels: true,
    names_locations: false,
    link: Some("X30"),
    jumps_by: Some(4),
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
    // The label of a jump, which stands last, may look like a shift.
    let name = mnemonic.to_ascii_uppercase();
    let jumps = matches!(name.as_str(), "CBZ" | "CBNZ" | "TBZ" | "TBNZ");
    let (kept, label) = if jumps { operands.rsplit_once(',')? } else { (operands, "") };
    let (first, rest) = kept.split_once(',')?;
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
    if jumps {
        spelled.push(',');
        spelled.push_str(label);
    }
    (spelled != operands).then(|| (mnemonic.to_owned(), spelled))
}

/// `W0` to `W30`, `X0` to `X30`, `WZR`, `XZR`, `WSP`, `SP`, or a symbolic register: `%name`, `X%name`, or `W%name` for its lower
/// half.
pub(super) fn register_name(text: &str) -> Option<(&str, Type)> {
    if text.eq_ignore_ascii_case("sp") {
        return Some(("SP", LONG));
    }
    if let Some(name) = symbolic_name(text) {
        return Some((name, LONG));
    }
    let (ty, rest) = match text.split_at_checked(1)? {
        ("W" | "w", rest) => (WORD, rest),
        ("X" | "x", rest) => (LONG, rest),
        _ => return None,
    };
    if rest.eq_ignore_ascii_case("zr") {
        return Some(("XZR", ty));
    }
    if ty == WORD && rest.eq_ignore_ascii_case("sp") {
        return Some(("SP", ty));
    }
    let name = symbolic_name(rest).or_else(|| REGISTERS.get(register_number(rest)?).copied())?;
    Some((name, ty))
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
        ("CBZ" | "CBNZ", [register, label]) => {
            let (value, ty) = source(a, register)?;
            let compare = if mnemonic == "CBZ" { Compare::Eq } else { Compare::Ne };
            a.branch(compare, value, ZERO, ty, label)?;
        }
        ("TBZ" | "TBNZ", [register, bit, label]) => {
            let (value, ty) = source(a, register)?;
            let bit = constant(bit).filter(|bit| (0..i64::from(ty.bits())).contains(bit))?;
            let tested = a.temporary();
            a.binary(Binary::And, tested, value, int(1 << bit), LONG);
            let compare = if mnemonic == "TBZ" { Compare::Eq } else { Compare::Ne };
            a.branch(compare, Operand::Register(tested), ZERO, LONG, label)?;
        }
        ("B", [label]) => a.jump(label)?,
        ("RET", []) => a.end(),
        ("ADR" | "ADRP" | "BL" | "BLR" | "BR" | "RET", _) => {
            a.hint = Some("code addresses are not modelled");
            return None;
        }
        ("CASP" | "CASPA" | "CASPL" | "CASPAL" | "LDXP" | "LDAXP" | "STXP" | "STLXP", _) => {
            a.hint = Some("pairs of registers that are read or written at once are not modelled");
            return None;
        }
        _ if access(a, &mnemonic, operands).is_some() => {}
        _ => return arithmetic(a, &mnemonic, operands),
    }
    Some(())
}

/// The condition that a suffix such as `EQ` names.
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
        "VS" => (Compare::Ne, Signs::Overflow),
        "VC" => (Compare::Eq, Signs::Overflow),
        _ => return None,
    })
}
