//! One interface to the two libraries that disassemble: iced-x86 for x86-64, capstone for the other architectures.
//!
//! Capstone's tables of x86-64 take 2.3 MB of a binary, those of iced-x86 without vector extensions 0.2 MB. Both write the
//! same text for every instruction that is emitted: tests/instructions.rs and tests/code.rs compare them.

use capstone::{Capstone, CsResult};
use iced_x86::{
    Code, Decoder, DecoderOptions, Formatter as _, Instruction, IntelFormatter, MemorySizeOptions, Mnemonic,
};

/// The disassembler of an architecture.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Disassembler {
    /// Capstone, as this function makes it.
    Capstone(fn() -> CsResult<Capstone>),
    /// iced-x86 for 64-bit code, in capstone's spelling.
    Iced,
}

/// One decoded instruction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Decoded {
    /// The offset from the first byte, in bytes.
    pub offset: usize,
    /// The length in bytes.
    pub length: usize,
    /// The mnemonic, with its prefixes.
    pub mnemonic: String,
    /// The operands.
    pub operands: String,
}

impl Disassembler {
    /// Decodes at most `most` instructions (at least one), up to the first bytes that are none. `address` is that of the first byte.
    ///
    /// # Errors
    /// The library's message if it cannot be set up.
    pub(crate) fn decode(self, bytes: &[u8], address: u64, most: usize) -> Result<Vec<Decoded>, String> {
        match self {
            Disassembler::Capstone(make) => with_capstone(make, bytes, address, most),
            Disassembler::Iced => Ok(with_iced(bytes, address, most)),
        }
    }
}

fn with_capstone(
    make: fn() -> CsResult<Capstone>,
    bytes: &[u8],
    address: u64,
    most: usize,
) -> Result<Vec<Decoded>, String> {
    let wrong = |error: capstone::Error| format!("capstone: {error}");
    let engine = make().map_err(wrong)?;
    let found = engine.disasm_count(bytes, address, most).map_err(wrong)?;
    let (mut decoded, mut offset) = (Vec::new(), 0);
    for one in found.iter() {
        let (length, mnemonic, operands) = (one.bytes().len(), one.mnemonic(), one.op_str());
        let text = |part: Option<&str>| part.unwrap_or("").to_owned();
        decoded.push(Decoded { offset, length, mnemonic: text(mnemonic), operands: text(operands) });
        offset += length;
    }
    Ok(decoded)
}

fn with_iced(bytes: &[u8], address: u64, most: usize) -> Vec<Decoded> {
    let mut decoder = Decoder::with_ip(64, bytes, address, DecoderOptions::NONE);
    let mut formatter = IntelFormatter::new();
    let options = formatter.options_mut();
    options.set_space_after_operand_separator(true);
    options.set_space_between_memory_add_operators(true);
    options.set_uppercase_hex(false);
    options.set_hex_prefix("0x");
    options.set_hex_suffix("");
    options.set_branch_leading_zeros(false);
    options.set_show_branch_size(false);
    options.set_memory_size_options(MemorySizeOptions::Always);
    let mut instructions = Vec::new();
    while instructions.len() < most && decoder.can_decode() {
        let offset = decoder.position();
        let one = decoder.decode();
        if one.is_invalid() {
            break;
        }
        formatter.options_mut().set_signed_immediate_operands(signed(&one));
        let (mut mnemonic, mut operands) = (String::new(), String::new());
        formatter.format_mnemonic(&one, &mut mnemonic);
        formatter.format_all_operands(&one, &mut operands);
        if one.code() == Code::Mov_r64_imm64 {
            // As binutils and capstone call the only instruction with a constant of 64 bits.
            "movabs".clone_into(&mut mnemonic);
        }
        instructions.push(Decoded { offset, length: one.len(), mnemonic, operands });
    }
    instructions
}

/// Whether capstone writes a negative constant of this instruction with a sign. It writes the bits of masks and of moves.
fn signed(instruction: &Instruction) -> bool {
    !matches!(instruction.mnemonic(), Mnemonic::And | Mnemonic::Or | Mnemonic::Xor | Mnemonic::Test | Mnemonic::Mov)
}
