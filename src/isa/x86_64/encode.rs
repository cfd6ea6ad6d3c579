//! Encodes the instructions of X86_64 litmus tests as they stand.
//!
//! Each instruction gets the form that GNU as chooses for it: the shortest displacement and immediate, the short jump
//! where it reaches. Encodings: Intel SDM vol. 2. A test's registers are renamed to those that the loop over instances
//! leaves free. A location that an operand names becomes a displacement from the address of the instance.

use super::assembly::{Indexed, REGISTERS, SCALES, SHORT_REGISTERS, displaced, register_name};
use super::mnemonic::{Mnemonic, Width};
use crate::codegen::assembly::{Encoder, Jump, Piece, Places, unknown_form};
use crate::codegen::displacement;
use crate::model::assembly::parse_int;
use crate::program::{Assembly, END, Instruction};

pub(super) const ENCODER: Encoder = Encoder {
    // rax and rdx come last: the wait for the clock uses them, so they are loaded behind it.
    pool: &[3, 5, 9, 10, 11, 12, 13, 14, 15, 2, RAX],
    borrowed,
    fixed,
    number,
    encode,
};

const RAX: u8 = 0;
/// Holds the address of the instance.
const RDI: u8 = 7;

/// r8, rcx and rsi. An operand that names a location needs rdi, else that is the fourth.
fn borrowed(assembly: &Assembly) -> &'static [u8] {
    const ALL: [u8; 4] = [8, 1, 6, RDI];
    let is_word = |character: char| character.is_alphanumeric() || character == '_';
    let names = |operand: &String| {
        operand.split(|character| !is_word(character)).any(|word| assembly.locations.iter().any(|known| known == word))
    };
    let needs_arena = assembly.instructions.iter().flat_map(|instruction| &instruction.operands).any(names);
    if needs_arena { &ALL[..3] } else { &ALL }
}

/// CMPXCHG compares with rax.
fn fixed(assembly: &Assembly, register: &str) -> Option<u8> {
    let compares = |instruction: &Instruction| instruction.mnemonic.to_ascii_lowercase().contains("cmpxchg");
    (number(register) == Some(RAX) && assembly.instructions.iter().any(compares)).then_some(RAX)
}

/// The number of a register in a ModRM byte.
fn number(name: &str) -> Option<u8> {
    let place = |names: &[&str]| names.iter().position(|known| *known == name);
    place(&REGISTERS).or_else(|| place(&SHORT_REGISTERS)).and_then(|number| u8::try_from(number).ok())
}

#[derive(Debug, Clone, Copy)]
enum Operand {
    Register(u8, Width),
    Immediate(i64),
    Memory { base: u8, index: Option<Scaled>, offset: i32 },
}

/// The register of an index, and the power of 2 that it is multiplied by.
type Scaled = (u8, u8);

/// Arithmetic with two operands: the name and the number in the opcode.
const ARITHMETIC: [(&str, u8); 6] = [("add", 0), ("or", 1), ("and", 4), ("sub", 5), ("xor", 6), ("cmp", 7)];
/// Operations on one operand: the name, the opcode, and the number in the ModRM byte.
const UNARY: [(&str, u8, u8); 4] = [("inc", 0xfe, 0), ("dec", 0xfe, 1), ("not", 0xf6, 2), ("neg", 0xf6, 3)];
/// Instructions of two bytes, which take the register as the second operand: the name and the second byte.
const EXCHANGES: [(&str, u8); 2] = [("cmpxchg", 0xb0), ("xadd", 0xc0)];
/// Conditional jumps: the suffixes and the number of the condition (Intel SDM vol. 1, appendix B).
const CONDITIONS: [(&[&str], u8); 14] = [
    (&["o"], 0),
    (&["no"], 1),
    (&["b", "c", "nae"], 2),
    (&["ae", "nb", "nc"], 3),
    (&["e", "z"], 4),
    (&["ne", "nz"], 5),
    (&["be", "na"], 6),
    (&["a", "nbe"], 7),
    (&["s"], 8),
    (&["ns"], 9),
    (&["l", "nge", "lt"], 12),
    (&["ge", "nl"], 13),
    (&["le", "ng"], 14),
    (&["g", "nle", "gt"], 15),
];

fn encode(instruction: &Instruction, places: &Places<'_>) -> Result<Piece, String> {
    let mnemonic = instruction.mnemonic.to_ascii_lowercase();
    let Mnemonic { lock, name, suffix } = Mnemonic::of(&mnemonic);
    if let Some(jump) = jump(name, &instruction.operands) {
        return Ok(Piece::Jump(jump));
    }
    // The code of the next instance follows that of the thread.
    if let (false, "ret", []) = (lock, name, instruction.operands.as_slice()) {
        return jump("jmp", &[END.to_owned()]).map(Piece::Jump).ok_or_else(unknown_form);
    }
    let operands: Vec<Operand> =
        instruction.operands.iter().map(|text| operand(text, places)).collect::<Result<_, _>>()?;
    if let Some(bytes) = zero_extended(name, &operands) {
        return Ok(Piece::Bytes(bytes));
    }
    // Registers give the width; a suffix must fit them. Without either, memory and a constant have 32 bits, as in herd7.
    let mut widths = operands.iter().filter_map(|operand| match operand {
        Operand::Register(_, width) => Some(*width),
        _ => None,
    });
    let width = widths.next().or(suffix).unwrap_or(4);
    if widths.any(|other| other != width) || suffix.is_some_and(|suffix| suffix != width) {
        return Err("its operands have different widths".to_owned());
    }
    let mut code = Code { bytes: if lock { vec![0xf0] } else { Vec::new() }, width };
    // Target first from here on.
    let operands = match operands.as_slice() {
        // Only memory can be the target of these, in either order of the operands.
        [first @ Operand::Memory { .. }, second @ Operand::Register(..)]
            if matches!(name, "xchg" | "cmpxchg" | "xadd" | "movnti") =>
        {
            vec![*first, *second]
        }
        [source, target] => vec![*target, *source],
        other => other.to_vec(),
    };
    let locks = matches!(operands.first(), Some(Operand::Memory { .. })) && !matches!(name, "mov" | "cmp" | "test");
    if lock && !locks && name != "xchg" {
        return Err("`lock` needs an instruction that changes memory".to_owned());
    }
    code.instruction(name, &operands)?;
    Ok(Piece::Bytes(code.bytes))
}

/// `movzbl`, `movzwq` and the others: a load of 8 or 16 bits that extends by zeros.
fn zero_extended(name: &str, operands: &[Operand]) -> Option<Vec<u8>> {
    let (second, width) = match name.strip_prefix("movz")? {
        "bl" => (0xb6, 4),
        "bq" => (0xb6, 8),
        "wl" => (0xb7, 4),
        "wq" => (0xb7, 8),
        _ => return None,
    };
    let [source @ Operand::Memory { .. }, Operand::Register(target, own)] = operands else { return None };
    let mut code = Code { bytes: Vec::new(), width };
    code.modrm(&[0x0f, second], *target, *source);
    (*own == width).then_some(code.bytes)
}

/// A jump: short if it reaches, else with 32 bits.
fn jump(name: &str, operands: &[String]) -> Option<Jump> {
    let [label] = operands else { return None };
    let suffix = name.strip_prefix('j')?;
    let (short, long): (u8, Vec<u8>) = if suffix == "mp" {
        (0xeb, vec![0xe9])
    } else {
        let (_, number) = CONDITIONS.iter().find(|(names, _)| names.contains(&suffix))?;
        (0x70 | number, vec![0x0f, 0x80 | number])
    };
    let bytes = move |distance: i64| {
        if let Ok(near) = i8::try_from(distance - 2) {
            return Some(vec![short, near.cast_unsigned()]);
        }
        let behind = i64::try_from(long.len() + 4).ok()?;
        let far = i32::try_from(distance - behind).ok()?;
        Some([long.as_slice(), &far.to_le_bytes()].concat())
    };
    Some(Jump { label: label.clone(), bytes: Box::new(bytes) })
}

/// The number of a shift in the ModRM byte.
fn shift(name: &str) -> u8 {
    match name {
        "shr" => 5,
        "sar" => 7,
        _ => 4,
    }
}

fn operand(text: &str, places: &Places<'_>) -> Result<Operand, String> {
    if let Some(value) = text.strip_prefix('$').or(Some(text)).and_then(parse_int) {
        return Ok(Operand::Immediate(value));
    }
    if text.contains(':') {
        return Err("a segment is not encoded".to_owned());
    }
    let (offset, text) = displaced(text);
    let inner = text.trim_matches(['(', ')', '[', ']']);
    if inner.len() == text.len() {
        let (name, width) = register(text).ok_or_else(|| format!("`{text}` is no operand that is known"))?;
        return Ok(Operand::Register(hardware(&name, places)?, width));
    }
    let address = |name: &str| match register_name(name) {
        Some((_, ty)) if ty.bytes() != 8 => {
            Err(format!("the address in `{text}` has {} bits; expected a register of 64", ty.bits()))
        }
        Some((name, _)) => hardware(name, places),
        None => Err(format!("`{name}` is not a register")),
    };
    let indexed = Indexed::of(inner);
    if indexed.is_some() || register_name(inner).is_some() {
        let offset = i32::try_from(offset).map_err(|_| format!("the displacement {offset} does not fit 32 bits"))?;
        let Some(Indexed { base, index, scale }) = indexed else {
            return Ok(Operand::Memory { base: address(inner)?, index: None, offset });
        };
        let power = SCALES.iter().zip(0_u8..).find(|(known, _)| **known == scale).map(|(_, power)| power);
        let power = power.ok_or_else(|| format!("the scale is {scale}; expected 1, 2, 4 or 8"))?;
        return Ok(Operand::Memory { base: address(base)?, index: Some((address(index)?, power)), offset });
    }
    if offset != 0 {
        return Err(format!("a displacement needs a register, and `{inner}` is none"));
    }
    let offset = places.location(inner).ok_or_else(|| format!("there is no location `{inner}`"))?;
    Ok(Operand::Memory { base: RDI, index: None, offset: displacement(offset)? })
}

/// A register operand: its canonical name and its width. `al`, `sil` and `r8b` are the low bytes of registers, `ax` and
/// `r8w` their low words.
fn register(text: &str) -> Option<(String, Width)> {
    if let Some((name, ty)) = register_name(text) {
        return Some((name.to_owned(), ty.bytes()));
    }
    let text = text.trim_start_matches('%').to_ascii_lowercase();
    let numbered =
        |suffix: char| text.strip_suffix(suffix).filter(|name| number(name).is_some_and(|number| number > 7));
    for (suffix, width) in [('b', 1), ('w', 2)] {
        if let Some(name) = numbered(suffix) {
            return Some((name.to_owned(), width));
        }
    }
    for legacy in &REGISTERS[..8] {
        let short = legacy.trim_start_matches('r');
        let low = format!("{}l", short.strip_suffix('x').unwrap_or(short));
        if text == low || text == short {
            return Some(((*legacy).to_owned(), if text == low { 1 } else { 2 }));
        }
    }
    None
}

fn hardware(name: &str, places: &Places<'_>) -> Result<u8, String> {
    if name == "rsp" {
        return Err("rsp holds the stack of the thread that runs the test".to_owned());
    }
    // An X86 test names it `EAX` and not `rax`.
    let short = number(name).and_then(|number| SHORT_REGISTERS.get(usize::from(number)));
    places.register(name).or_else(|error| short.ok_or(error).and_then(|short| places.register(short)))
}

/// The bytes of one instruction.
struct Code {
    bytes: Vec<u8>,
    width: Width,
}

impl Code {
    /// Encodes an instruction, its target first.
    fn instruction(&mut self, name: &str, operands: &[Operand]) -> Result<(), String> {
        use Operand::{Immediate, Memory, Register};
        match (name, operands) {
            ("mfence", []) => self.bytes.extend([0x0f, 0xae, 0xf0]),
            ("lfence", []) => self.bytes.extend([0x0f, 0xae, 0xe8]),
            ("sfence", []) => self.bytes.extend([0x0f, 0xae, 0xf8]),
            ("nop", []) => self.bytes.push(0x90),
            ("nop", [place @ (Register(..) | Memory { .. })]) if self.width > 1 => self.modrm(&[0x0f, 0x1f], 0, *place),
            ("endbr64", []) => self.bytes.extend([0xf3, 0x0f, 0x1e, 0xfa]),
            ("shl" | "sal" | "shr" | "sar", [target @ (Register(..) | Memory { .. })]) => {
                self.modrm(&[self.sized(0xd0)], shift(name), *target);
            }
            ("shl" | "sal" | "shr" | "sar", [target @ (Register(..) | Memory { .. }), Immediate(count)]) => {
                // A shift by 1 has a form of its own.
                if *count == 1 {
                    self.modrm(&[self.sized(0xd0)], shift(name), *target);
                } else {
                    self.modrm(&[self.sized(0xc0)], shift(name), *target);
                    self.immediate(*count, 1)?;
                }
            }
            ("mov", [target @ (Register(..) | Memory { .. }), Register(source, _)]) => {
                self.modrm(&[self.sized(0x88)], *source, *target);
            }
            ("mov", [Register(target, _), source @ Memory { .. }]) => self.modrm(&[self.sized(0x8a)], *target, *source),
            ("mov", [Register(target, _), Immediate(value)]) => self.load(*target, *value)?,
            ("mov", [target @ Memory { .. }, Immediate(value)]) => {
                self.modrm(&[self.sized(0xc6)], 0, *target);
                self.immediate(*value, self.width.min(4))?;
            }
            ("movnti", [target @ Memory { .. }, Register(source, 4 | 8)]) => {
                self.modrm(&[0x0f, 0xc3], *source, *target);
            }
            ("xchg", [target @ Memory { .. }, Register(source, _)] | [Register(source, _), target @ Memory { .. }]) => {
                self.modrm(&[self.sized(0x86)], *source, *target);
            }
            // The short form exchanges with rax; `nop` has the bytes of that of eax with itself.
            ("xchg", [Register(RAX, _), Register(other, _)] | [Register(other, _), Register(RAX, _)])
                if self.width > 2 && *other != RAX =>
            {
                self.rex(0, *other);
                self.bytes.push(0x90 | other & 7);
            }
            ("xchg", [target @ Register(..), Register(source, _)]) if self.width > 2 => {
                self.modrm(&[self.sized(0x86)], *source, *target);
            }
            ("test", [target, Register(source, _)]) => self.modrm(&[self.sized(0x84)], *source, *target),
            ("test", [target, Immediate(value)]) => {
                match target {
                    Register(RAX, _) => self.opcode(&[self.sized(0xa8)]),
                    _ => self.modrm(&[self.sized(0xf6)], 0, *target),
                }
                self.immediate(*value, self.width.min(4))?;
            }
            _ => return self.arithmetic(name, operands),
        }
        Ok(())
    }

    fn arithmetic(&mut self, name: &str, operands: &[Operand]) -> Result<(), String> {
        use Operand::{Immediate, Memory, Register};
        let number = ARITHMETIC.iter().find(|(known, _)| *known == name).map(|(_, number)| *number);
        let unary = UNARY.iter().find(|(known, ..)| *known == name);
        let exchange = EXCHANGES.iter().find(|(known, _)| *known == name);
        match (operands, number, unary, exchange) {
            ([target @ (Register(..) | Memory { .. }), Register(source, _)], Some(number), ..) => {
                self.modrm(&[self.sized(number << 3)], *source, *target);
            }
            ([Register(target, _), source @ Memory { .. }], Some(number), ..) => {
                self.modrm(&[self.sized(number << 3 | 2)], *target, *source);
            }
            ([target @ (Register(..) | Memory { .. }), Immediate(value)], Some(number), ..) => {
                self.with_constant(number, *target, *value)?;
            }
            ([target @ (Register(..) | Memory { .. })], _, Some((_, opcode, number)), _) => {
                self.modrm(&[self.sized(*opcode)], *number, *target);
            }
            ([target @ Memory { .. }, Register(source, _)], .., Some((_, second))) => {
                self.modrm(&[0x0f, self.sized(*second)], *source, *target);
            }
            _ => return Err(unknown_form()),
        }
        Ok(())
    }

    /// Arithmetic with a constant: with 8 bits if the constant fits, and without a ModRM byte for rax if it does not.
    fn with_constant(&mut self, number: u8, target: Operand, value: i64) -> Result<(), String> {
        let short = i8::try_from(self.signed(value)).is_ok();
        let accumulator = matches!(target, Operand::Register(RAX, _));
        match (self.width, short, accumulator) {
            (1, _, true) | (2.., false, true) => self.opcode(&[self.sized(number << 3 | 4)]),
            (1, ..) => self.modrm(&[0x80], number, target),
            (_, true, _) => {
                self.modrm(&[0x83], number, target);
                return self.immediate(value, 1);
            }
            _ => self.modrm(&[0x81], number, target),
        }
        self.immediate(value, self.width.min(4))
    }

    /// mov of a constant to a register.
    fn load(&mut self, target: u8, value: i64) -> Result<(), String> {
        if self.width == 8 {
            if i32::try_from(value).is_ok() {
                self.modrm(&[0xc7], 0, Operand::Register(target, 8));
                return self.immediate(value, 4);
            }
            self.rex(0, target);
            self.bytes.push(0xb8 | target & 7);
            self.bytes.extend(value.to_le_bytes());
            return Ok(());
        }
        self.prefix();
        self.rex(0, target);
        self.bytes.push(if self.width == 1 { 0xb0 } else { 0xb8 } | target & 7);
        self.immediate(value, self.width)
    }

    /// A value as an instruction of this width sees it: 0xffffffff and -1 are the same 32 bits.
    fn signed(&self, value: i64) -> i64 {
        let unused = 64 - 8 * self.width;
        value << unused >> unused
    }

    /// Appends a constant of so many bytes.
    fn immediate(&mut self, value: i64, bytes: usize) -> Result<(), String> {
        let unsigned_limit = if self.width == 8 { 0 } else { 1_i64 << (8 * self.width) };
        let fits = self.signed(value) == value || (0..unsigned_limit).contains(&value);
        let value = self.signed(value);
        let unused = 64 - 8 * bytes;
        if !fits || value << unused >> unused != value {
            return Err(format!("the constant {value} does not fit the instruction"));
        }
        self.bytes.extend(&value.to_le_bytes()[..bytes]);
        Ok(())
    }

    /// The opcode for this width: the next one for more than a byte.
    fn sized(&self, opcode: u8) -> u8 {
        opcode | u8::from(self.width > 1)
    }

    /// The prefix of an operand of 16 bits. It stands before that of `lock`, as GNU as writes them.
    fn prefix(&mut self) {
        if self.width == 2 {
            self.bytes.insert(0, 0x66);
        }
    }

    /// The REX prefix for registers in the fields reg and rm, if one is needed.
    fn rex(&mut self, reg: u8, rm: u8) {
        self.rex_indexed(reg, 0, rm);
    }

    /// The same with an index.
    fn rex_indexed(&mut self, reg: u8, index: u8, rm: u8) {
        let wide = u8::from(self.width == 8) << 3;
        let rex = 0x40 | wide | (reg >> 3) << 2 | (index >> 3) << 1 | rm >> 3;
        if rex != 0x40 {
            self.bytes.push(rex);
        }
    }

    /// An opcode without a ModRM byte.
    fn opcode(&mut self, opcode: &[u8]) {
        self.prefix();
        self.rex(0, 0);
        self.bytes.extend(opcode);
    }

    /// Prefixes, opcode, ModRM byte and displacement.
    fn modrm(&mut self, opcode: &[u8], reg: u8, rm: Operand) {
        self.prefix();
        let base = match rm {
            Operand::Register(register, _) => register,
            Operand::Memory { base, .. } => base,
            Operand::Immediate(_) => RAX,
        };
        // Without a REX prefix the numbers 4 to 7 name ah to bh and not spl to dil.
        let bytes_of_low = self.width == 1
            && ((4..8).contains(&reg) && !matches!(opcode, [0x80 | 0xc0 | 0xc6 | 0xd0 | 0xf6 | 0xfe])
                || matches!(rm, Operand::Register(4..8, _)));
        let before = self.bytes.len();
        let scaled = if let Operand::Memory { index, .. } = rm { index } else { None };
        self.rex_indexed(reg, scaled.map_or(0, |(index, _)| index), base);
        if bytes_of_low && self.bytes.len() == before {
            self.bytes.push(0x40);
        }
        self.bytes.extend(opcode);
        let Operand::Memory { offset, .. } = rm else {
            self.bytes.push(0xc0 | (reg & 7) << 3 | base & 7);
            return;
        };
        // rbp and r13 as a base need a displacement; rsp and r12, and an index, need a SIB byte.
        let sib = match scaled {
            Some((index, power)) => Some(power << 6 | (index & 7) << 3 | base & 7),
            None => (base & 7 == 4).then_some(0x24),
        };
        let fields = (reg & 7) << 3 | if sib.is_some() { 4 } else { base & 7 };
        match (offset, i8::try_from(offset)) {
            (0, _) if base & 7 != 5 => {
                self.bytes.push(fields);
                self.bytes.extend(sib);
            }
            (_, Ok(short)) => {
                self.bytes.push(0x40 | fields);
                self.bytes.extend(sib);
                self.bytes.push(short.cast_unsigned());
            }
            (_, Err(_)) => {
                self.bytes.push(0x80 | fields);
                self.bytes.extend(sib);
                self.bytes.extend(offset.to_le_bytes());
            }
        }
    }
}
