//! Instructions of PPC litmus tests.

use crate::model::Model;
use crate::model::assembly::{
    Assembler, BYTE, Dialect, HALF, LONG, SIGNED_BYTE, SIGNED_HALF, Signs, WORD, ZERO, int, parse_int, register_number,
    symbolic_name,
};
use crate::model::code::{StatusOf, Step};
use crate::model::event::Tags;
use crate::program::{Address, Binary, Compare, Const, Operand, RegisterId, Type, Unary};

pub(super) const DIALECTS: [Dialect; 1] = [Dialect {
    word: "PPC",
    model: Model::Power,
    register: register_name,
    register_bits: 64,
    instruction: assemble,
    respell,
    has_dotted_labels: false,
    names_locations: false,
    link: None,
    jumps_by: None,
    turned_round: false,
}];

/// `r0` to `r31`, or a symbolic register `%name`.
pub(super) fn register_name(text: &str) -> Option<(&str, Type)> {
    if let Some(name) = symbolic_name(text) {
        return Some((name, WORD));
    }
    Some((*REGISTERS.get(register_number(text.strip_prefix('r')?)?)?, WORD))
}

/// The names of the general registers.
const REGISTERS: [&str; 32] = [
    "r0", "r1", "r2", "r3", "r4", "r5", "r6", "r7", "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15", "r16", "r17",
    "r18", "r19", "r20", "r21", "r22", "r23", "r24", "r25", "r26", "r27", "r28", "r29", "r30", "r31",
];

fn value(text: &str) -> Option<Operand> {
    parse_int(text).map(int)
}

/// The old form of a displacement: `lwz r1,0,r2` is `lwz r1,0(r2)`.
fn respell(mnemonic: &str, operands: &str) -> Option<(String, String)> {
    let is_displaced = DISPLACED.contains(&mnemonic);
    let (value, place) = operands.split_once(',').filter(|_| is_displaced)?;
    let (distance, base) = place.split_once(',')?;
    Some((mnemonic.to_owned(), format!("{value},{distance}({base})")))
}

/// Loads and stores with a displacement.
const DISPLACED: [&str; 18] = [
    "lbz", "lhz", "lwz", "ld", "stb", "sth", "stw", "std", "lbzu", "lhzu", "lwzu", "ldu", "stbu", "sthu", "stwu",
    "stdu", "lha", "lwa",
];

/// A memory operand `8(r1)`.
fn displaced(a: &mut Assembler, text: &str) -> Option<Address> {
    let (offset, base) = text.strip_suffix(')')?.split_once('(')?;
    if base == "r0" {
        a.hint =
            Some("r0 as a base stands for the number 0 (Power ISA, Book I, 3.3), which is the address of no variable");
        return None;
    }
    let base = a.register(base)?;
    Some(a.indexed(base, Operand::Const(Const::Int(parse_int(offset)?))))
}

/// `r1,r2` as an address. `r0` as the first operand stands for the value 0.
fn indexed(a: &mut Assembler, first: &str, second: &str) -> Option<Address> {
    let second = a.register(second)?;
    if first == "r0" || first == "0" {
        return Some(Address::Register(second));
    }
    let first = a.register(first)?;
    // Either register may hold the address.
    let (base, index) = if matches!(a.values[first], Const::Address(_)) { (first, second) } else { (second, first) };
    Some(a.indexed(base, Operand::Register(index)))
}

/// The lower half of a register, extended by zeros.
fn unsigned_word(a: &mut Assembler, text: &str) -> Option<Operand> {
    let (src, word) = (a.register(text)?, a.temporary());
    a.mov(word, Operand::Register(src), WORD);
    Some(Operand::Register(word))
}

/// The register that holds the status of stwcx., as cr0 does.
const STATUS: &str = "cr0";

fn width(mnemonic: &str) -> Type {
    match mnemonic {
        "lha" | "lhax" => return SIGNED_HALF,
        "lwa" | "lwax" => return Type::INT,
        _ => {}
    }
    match mnemonic.trim_start_matches("st").trim_start_matches('l').as_bytes().first() {
        Some(b'b') => BYTE,
        Some(b'h') => HALF,
        Some(b'd') => LONG,
        _ => WORD,
    }
}

/// An access and its update form, such as `stwu`, which leaves its address in the base register.
fn access(a: &mut Assembler, mnemonic: &str, value: &str, address: Address, base: Option<RegisterId>) -> Option<()> {
    let (ty, tags) = (width(mnemonic), Tags::NONE);
    let register = a.register(value)?;
    // A load must not replace its own base.
    if base == Some(register) && mnemonic.starts_with('l') {
        return None;
    }
    a.steps.push(match mnemonic.starts_with('l') {
        true => Step::Read { dst: Some(register), address, ty, tags },
        false => Step::Write { address, value: Operand::Register(register), ty, tags },
    });
    if let (Some(base), Address::Register(address)) = (base, address) {
        a.mov(base, Operand::Register(address), LONG);
    }
    Some(())
}

/// Operations of two registers: the name, the operation, and whether they subtract the first operand from the second.
const OPERATIONS: [(&str, Binary, bool); 8] = [
    ("add", Binary::Add, false),
    ("sub", Binary::Sub, false),
    ("subf", Binary::Sub, true),
    ("mullw", Binary::Mul, false),
    ("and", Binary::And, false),
    ("or", Binary::Or, false),
    ("nor", Binary::Or, false),
    ("xor", Binary::Xor, false),
];

/// The operand of `lis` and `addis`: 16 bits, with a sign or without one as GNU as takes them.
pub(super) fn upper_half(text: &str) -> Option<i16> {
    let value = parse_int(text).filter(|value| (-0x8000..0x1_0000).contains(value))?;
    i16::try_from(if value < 0x8000 { value } else { value - 0x1_0000 }).ok()
}

/// What `lis` and `addis` make of their constant.
fn shifted(text: &str) -> Option<Operand> {
    upper_half(text).map(|value| int(i64::from(value) << 16))
}

/// The lower half of a register, rotated to the left and repeated in the upper half; and the bits from `first` to `last` of the
/// lower half. If `last` stands before `first`, the mask goes round and has the upper half too (Power ISA, Book I, 3.3.14).
fn rotated(a: &mut Assembler, src: &str, [count, first, last]: [&str; 3]) -> Option<(Operand, i64)> {
    let src = Operand::Register(a.register(src)?);
    let bit = |text: &str| parse_int(text).filter(|bit| (0..32).contains(bit));
    let (count, first, last) = (bit(count)?, bit(first)?, bit(last)?);
    let bits = if first <= last {
        (1 << (32 - first)) - (1 << (31 - last))
    } else {
        !((1 << (31 - last)) - (1 << (32 - first)))
    };
    let [left, right, word, upper] = std::array::from_fn(|_| a.temporary());
    let of = Operand::Register;
    a.mov(word, src, WORD);
    a.binary(Binary::ShiftLeft, left, of(word), int(count), WORD);
    a.binary(Binary::ShiftRight, right, of(word), int(32 - count), LONG);
    a.binary(Binary::Or, word, of(left), of(right), LONG);
    a.binary(Binary::ShiftLeft, upper, of(word), int(32), LONG);
    a.binary(Binary::Or, word, of(word), of(upper), LONG);
    Some((of(word), bits))
}

/// Arithmetic and logic (Power ISA, Book I, chapter 3.3). A dot at the end compares the result with 0 (cr0).
fn arithmetic(a: &mut Assembler, mnemonic: &str, operands: &[&str]) -> Option<()> {
    let (name, records) = mnemonic.strip_suffix('.').map_or((mnemonic, false), |name| (name, true));
    let dst = a.register(operands.first()?)?;
    match (name, &operands[1..]) {
        ("neg", [src]) => {
            let src = a.register(src)?;
            a.binary(Binary::Sub, dst, ZERO, Operand::Register(src), LONG);
        }
        // There is no `andi` without the dot, and none of the others with it.
        ("ori" | "xori" | "andi", [left, right]) if records == (name == "andi") => {
            let (left, right) = (Operand::Register(a.register(left)?), value(right)?);
            let op = match name {
                "ori" => Binary::Or,
                "xori" => Binary::Xor,
                _ => Binary::And,
            };
            a.binary(op, dst, left, right, LONG);
        }
        // The constant stands for its 16 bits with as many zeros behind them, extended by its sign.
        ("lis", [high]) if !records => {
            let high = shifted(high)?;
            a.mov(dst, high, LONG);
        }
        ("addis", [left, high]) if !records => {
            let left = if *left == "r0" { ZERO } else { Operand::Register(a.register(left)?) };
            a.binary(Binary::Add, dst, left, shifted(high)?, LONG);
        }
        ("extsb" | "extsh" | "extsw", [src]) => {
            let src = Operand::Register(a.register(src)?);
            let ty = match name {
                "extsb" => SIGNED_BYTE,
                "extsh" => SIGNED_HALF,
                _ => Type::INT,
            };
            a.mov(dst, src, ty);
        }
        ("clrldi", [src, count]) => {
            let src = Operand::Register(a.register(src)?);
            let count = parse_int(count).filter(|count| (0..64).contains(count))?;
            a.binary(Binary::And, dst, src, int((u64::MAX >> count).cast_signed()), LONG);
        }
        ("addi" | "subi" | "mulli", [left, right]) if !records => {
            // `r0` as the first operand of a sum stands for the value 0.
            let left = if *left == "r0" && name != "mulli" { ZERO } else { Operand::Register(a.register(left)?) };
            let op = match name {
                "addi" => Binary::Add,
                "subi" => Binary::Sub,
                _ => Binary::Mul,
            };
            a.binary(op, dst, left, value(right)?, LONG);
        }
        ("srawi" | "slwi" | "srwi", [src, count]) if !records => {
            let src = Operand::Register(a.register(src)?);
            let count = parse_int(count).filter(|count| (0..32).contains(count)).map(Const::Int)?;
            let (op, ty) = match name {
                "srawi" => (Binary::ShiftRight, Type::INT),
                "slwi" => (Binary::ShiftLeft, WORD),
                _ => (Binary::ShiftRight, WORD),
            };
            let low = a.temporary();
            a.mov(low, src, ty);
            a.binary(op, dst, Operand::Register(low), Operand::Const(count), ty);
        }
        ("rlwinm", [src, count, first, last]) => {
            let (rotated, mask) = rotated(a, src, [count, first, last])?;
            a.binary(Binary::And, dst, rotated, int(mask), LONG);
        }
        ("clrlwi", [src, count]) => {
            let (rotated, mask) = rotated(a, src, ["0", count, "31"])?;
            a.binary(Binary::And, dst, rotated, int(mask), LONG);
        }
        // The other bits of the target stay, so it depends on its old value too.
        ("rlwimi", [src, count, first, last]) => {
            let (rotated, mask) = rotated(a, src, [count, first, last])?;
            let (new, old) = (a.temporary(), a.temporary());
            a.binary(Binary::And, new, rotated, int(mask), LONG);
            a.binary(Binary::And, old, Operand::Register(dst), int(!mask), LONG);
            a.binary(Binary::Or, dst, Operand::Register(old), Operand::Register(new), LONG);
        }
        (_, [left, right]) => {
            let (_, op, turned) = OPERATIONS.into_iter().find(|(known, ..)| *known == name)?;
            let mut operands = [left, right];
            if turned {
                operands.reverse();
            }
            let mut sources = [ZERO; 2];
            for (source, text) in sources.iter_mut().zip(operands) {
                *source = Operand::Register(a.register(text)?);
                // mullw multiplies the low halves, as signed numbers.
                if op == Binary::Mul {
                    let low = a.temporary();
                    a.mov(low, *source, Type::INT);
                    *source = Operand::Register(low);
                }
            }
            a.binary(op, dst, sources[0], sources[1], LONG);
            if name == "nor" {
                a.steps.push(Step::Unary { dst, op: Unary::Invert, src: Operand::Register(dst), ty: LONG });
            }
        }
        _ => return None,
    }
    if records {
        a.compare(Operand::Register(dst), ZERO, LONG);
    }
    Some(())
}

fn assemble(a: &mut Assembler, mnemonic: &str, operands: &[&str], _: &[String]) -> Option<()> {
    let register = |a: &mut Assembler, text: &str| -> Option<RegisterId> { a.register(text) };
    match (mnemonic, operands) {
        ("sync" | "hwsync", []) => a.steps.push(Step::Fence(Tags::SYNC)),
        ("lwsync", []) => a.steps.push(Step::Fence(Tags::LWSYNC)),
        ("eieio", []) => a.steps.push(Step::Fence(Tags::EIEIO)),
        ("isync", []) => a.steps.push(Step::Fence(Tags::ISYNC)),
        ("nop", []) => {}
        ("li", [dst, immediate]) => {
            let (dst, src) = (register(a, dst)?, value(immediate)?);
            a.mov(dst, src, LONG);
        }
        ("mr", [dst, src]) => {
            let (dst, src) = (register(a, dst)?, register(a, src)?);
            a.mov(dst, Operand::Register(src), LONG);
        }
        ("lbz" | "lhz" | "lha" | "lwz" | "lwa" | "ld" | "stb" | "sth" | "stw" | "std", [value, place]) => {
            let address = displaced(a, place)?;
            access(a, mnemonic, value, address, None)?;
        }
        ("lbzu" | "lhzu" | "lwzu" | "ldu" | "stbu" | "sthu" | "stwu" | "stdu", [value, place]) => {
            let base = a.register(place.strip_suffix(')')?.split_once('(')?.1)?;
            let address = displaced(a, place)?;
            access(a, mnemonic, value, address, Some(base))?;
        }
        (
            "lbzx" | "lhzx" | "lhax" | "lwzx" | "lwax" | "ldx" | "stbx" | "sthx" | "stwx" | "stdx",
            [value, first, second],
        ) => {
            let address = indexed(a, first, second)?;
            access(a, mnemonic, value, address, None)?;
        }
        ("lwarx" | "ldarx", [dst, first, second]) => {
            let (address, dst) = (indexed(a, first, second)?, register(a, dst)?);
            a.steps.push(Step::Read { dst: Some(dst), address, ty: width(mnemonic), tags: Tags::EXCLUSIVE });
        }
        ("stwcx." | "stdcx.", [src, first, second]) => {
            let (address, value) = (indexed(a, first, second)?, Operand::Register(register(a, src)?));
            let status = a.number(STATUS);
            let ty = width(mnemonic);
            let tags = Tags::EXCLUSIVE;
            a.steps.push(Step::StoreConditional { status, carries: StatusOf::Registers, address, value, ty, tags });
            // "Equal" means that the store succeeded. "Less" and "greater" are clear, which is no comparison.
            a.compare_with_zero(Operand::Register(status), WORD);
        }
        ("cmpwi", ["cr0", left, right] | [left, right]) => {
            let (left, right) = (Operand::Register(register(a, left)?), value(right)?);
            a.compare(left, right, WORD);
        }
        ("cmpw", ["cr0", left, right] | [left, right]) => {
            let (left, right) = (Operand::Register(register(a, left)?), Operand::Register(register(a, right)?));
            a.compare(left, right, WORD);
        }
        // Words without a sign keep their order as positive numbers of 64 bits.
        ("cmplwi", ["cr0", left, right] | [left, right]) => {
            let right = parse_int(right).filter(|value| (0..0x1_0000).contains(value))?;
            let left = unsigned_word(a, left)?;
            a.compare(left, int(right), LONG);
        }
        ("cmplw", ["cr0", left, right] | [left, right]) => {
            let (left, right) = (unsigned_word(a, left)?, unsigned_word(a, right)?);
            a.compare(left, right, LONG);
        }
        ("beq" | "bne" | "blt" | "ble" | "bgt" | "bge" | "bnl" | "bng", ["cr0", label] | [label]) => {
            let compare = match mnemonic {
                "beq" => Compare::Eq,
                "bne" => Compare::Ne,
                "blt" => Compare::Lt,
                "ble" | "bng" => Compare::Le,
                "bgt" => Compare::Gt,
                _ => Compare::Ge,
            };
            a.branch_if((compare, Signs::Signed), label)?;
        }
        ("b", [label]) => a.jump(label)?,
        ("blr", []) => a.end(),
        _ => return arithmetic(a, mnemonic, operands),
    }
    Some(())
}
