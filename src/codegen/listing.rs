//! Disassembles emitted code. The disassemblers are libraries (`arch::disassembler`), so tables by other authors decode what
//! the emitters encoded.

use std::fmt::Write as _;
use std::ops::Range;

use super::{Part, ThreadCode};
use crate::arch::Arch;
use crate::error::{Error, Result};
use crate::program::{Op, Program, Thread};

/// One disassembled instruction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Instruction {
    /// The offset from the start of the function, in bytes.
    pub offset: usize,
    /// The encoded bytes.
    pub bytes: Vec<u8>,
    /// The mnemonic and the operands.
    pub text: String,
    /// The part of the function that it belongs to.
    pub part: Part,
}

/// Disassembles a thread's code.
///
/// # Errors
/// [`Error::Internal`] if the disassembler cannot decode all of it.
pub fn disassemble(code: &ThreadCode) -> Result<Vec<Instruction>> {
    let decoded = code.arch.facts().disassembler.decode(&code.bytes, 0, usize::MAX).map_err(Error::Internal)?;
    let mut instructions = Vec::new();
    let mut end = 0;
    for one in decoded {
        let offset = one.offset;
        let part = code
            .marks
            .iter()
            .take_while(|(start, _)| *start <= offset)
            .last()
            .map_or(Part::Prologue, |(_, part)| *part);
        let text = format!("{} {}", one.mnemonic, operands(code.arch, &one.mnemonic, &one.operands, offset));
        end = offset + one.length;
        let bytes = code.bytes[offset..end].to_vec();
        instructions.push(Instruction { offset, bytes, text: text.trim().to_owned(), part });
    }
    if end != code.bytes.len() {
        return Err(Error::Internal(format!("the disassembler stopped at byte {end} of {}", code.bytes.len())));
    }
    Ok(instructions)
}

/// The operation or instruction of a thread with this index, as text.
fn heading(program: &Program, thread: &Thread, index: usize) -> String {
    match &thread.assembly {
        None => program.op(thread, &thread.ops[index]),
        Some(assembly) => {
            let instruction = &assembly.instructions[index];
            let labels: String = instruction.labels.iter().map(|label| format!("{label}: ")).collect();
            format!("{labels}{}", instruction.text).trim_end().to_owned()
        }
    }
}

/// The operands of an instruction. Capstone gives the distance to the target of a RISC-V branch; here it is the target, as
/// in objdump's listings and as capstone gives it for the other architectures.
fn operands(arch: Arch, mnemonic: &str, text: &str, offset: usize) -> String {
    let plain = mnemonic.trim_start_matches("c.");
    let jumps = plain.starts_with('b') || matches!(plain, "j" | "jal");
    if !arch.facts().disassembles_distances || !jumps {
        return text.to_owned();
    }
    let (others, distance) = text.rsplit_once(", ").map_or(("", text), |(others, distance)| (others, distance));
    let digits = distance.trim_start_matches('-');
    let number = match digits.strip_prefix("0x") {
        Some(hexadecimal) => i64::from_str_radix(hexadecimal, 16).ok(),
        None => digits.parse().ok(),
    };
    let Some((number, offset)) = number.zip(i64::try_from(offset).ok()) else { return text.to_owned() };
    let target = offset + if distance.starts_with('-') { -number } else { number };
    if others.is_empty() { format!("{target:#x}") } else { format!("{others}, {target:#x}") }
}

/// The bytes of an instruction as objdump prints them: `48 89 d8` on x86, `b9400020` on AArch64.
fn encoded(arch: Arch, bytes: &[u8]) -> String {
    let hexadecimal = |byte: &u8| format!("{byte:02x}");
    if arch.facts().lists_numbers {
        // All instructions are little-endian.
        bytes.iter().rev().map(hexadecimal).collect()
    } else {
        bytes.iter().map(hexadecimal).collect::<Vec<_>>().join(" ")
    }
}

/// Lists the code of a thread, with a heading before each part.
///
/// ```
/// use wakerace::arch::Arch;
/// use wakerace::codegen::{Pace, listing};
/// use wakerace::layout::{Layout, LayoutKind};
/// use wakerace::{catalogue, isa};
///
/// let program = catalogue::named("S01-as-is")?.program;
/// let layout = Layout::new(LayoutKind::Padded, &program, 64)?;
/// let code = isa::emit(Arch::Riscv64gc, &program, &layout, Pace::Free)?;
/// let text = listing(&program, &program.threads[0], &code[0])?;
/// assert!(text.contains("  * ") && text.contains("fence rw, rw"), "{text}");
/// # Ok::<(), wakerace::error::Error>(())
/// ```
///
/// # Errors
/// The same as for [`disassemble`].
pub fn listing(program: &Program, thread: &Thread, code: &ThreadCode) -> Result<String> {
    let mut text = String::new();
    let mut last = None;
    let instructions = disassemble(code)?;
    let encoded = |instruction: &Instruction| encoded(code.arch, &instruction.bytes);
    let wide = instructions.iter().map(|instruction| encoded(instruction).len()).max().unwrap_or(0);
    let mut begun = 0;
    for instruction in &instructions {
        if last != Some(instruction.part) {
            let empty = without_instruction(code, &instructions, begun..instruction.offset + 1);
            // A label is no operation.
            for index in empty.filter(|index| !matches!(thread.ops.get(*index), Some(Op::Label(_)))) {
                let _ = writeln!(text, "  * {} (no instruction)", heading(program, thread, index));
            }
            begun = instruction.offset + 1;
            let heading = match instruction.part {
                Part::Prologue => "entry: arguments".to_owned(),
                Part::Group => "the next group: number of instances, prefetch of their lines".to_owned(),
                Part::Setup => "constants and addresses".to_owned(),
                Part::Pace => "wait for the clock".to_owned(),
                Part::Delay => {
                    "delay: dependent instructions, which end with 0 added to the instance's address".to_owned()
                }
                Part::Op(index) => heading(program, thread, index),
                Part::Save => "save the observed registers".to_owned(),
                Part::Next => "next instance".to_owned(),
                Part::Epilogue => "return".to_owned(),
                Part::Cold => "out of line: late instances, contended locks".to_owned(),
            };
            let mark = if matches!(instruction.part, Part::Op(_)) { "*" } else { ";" };
            // Writing to a string cannot fail.
            let _ = writeln!(text, "  {mark} {heading}");
            last = Some(instruction.part);
        }
        // Two spaces end the bytes: `record::validate` reads them.
        let _ = writeln!(text, "  {:5x}:  {:<wide$}  {}", instruction.offset, encoded(instruction), instruction.text);
    }
    Ok(text)
}

/// The operations that begin in a range of offsets and have no instruction, such as an `smp_rmb` on x86, which only stops the compiler.
fn without_instruction(
    code: &ThreadCode,
    instructions: &[Instruction],
    offsets: Range<usize>,
) -> impl Iterator<Item = usize> {
    let begin = code.marks.iter().filter(move |(start, _)| offsets.contains(start));
    begin.filter_map(move |(_, part)| match part {
        Part::Op(index) if instructions.iter().all(|instruction| instruction.part != *part) => Some(*index),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operations_without_an_instruction_are_listed_in_their_place() {
        let program = crate::catalogue::named("S02-wmb").unwrap().program;
        let layout = crate::layout::Layout::new(crate::layout::LayoutKind::Padded, &program, 128).unwrap();
        let of = |arch| {
            let code = crate::isa::emit(arch, &program, &layout, crate::codegen::Pace::Free).unwrap();
            let text = listing(&program, &program.threads[0], &code[0]).unwrap();
            let own = text.lines().filter_map(|line| line.strip_prefix("  * ")).take(4);
            own.map(str::to_owned).collect::<Vec<String>>()
        };
        let stores = ["store_once(blocked_on, &mutex)", "smp_wmb (no instruction)", "store_once(__state, 2)"];
        assert_eq!(of(Arch::X86_64)[1..], stores);
        assert_eq!(of(Arch::Aarch64)[2], "smp_wmb");
    }

    #[test]
    fn bytes_are_those_of_objdump() {
        let bytes = [0x20, 0x00, 0x40, 0xb9];
        assert_eq!(encoded(Arch::Aarch64, &bytes), "b9400020");
        assert_eq!(encoded(Arch::Riscv64gc, &bytes[..2]), "0020");
        assert_eq!(encoded(Arch::X86_64, &bytes[..3]), "20 00 40");
        assert_eq!(encoded(Arch::Powerpc64le, &bytes), "20 00 40 b9");
    }

    #[test]
    fn a_branch_of_riscv_names_its_target() {
        let of = |mnemonic, text| operands(Arch::Riscv64gc, mnemonic, text, 0x40);
        assert_eq!(of("bne", "t0, t1, -0x10"), "t0, t1, 0x30");
        assert_eq!(of("c.beqz", "a0, 8"), "a0, 0x48");
        assert_eq!(of("j", "0x1c"), "0x5c");
        assert_eq!(of("jalr", "zero, 0(ra)"), "zero, 0(ra)");
        assert_eq!(of("addi", "a0, a0, 8"), "a0, a0, 8");
        assert_eq!(operands(Arch::Aarch64, "b", "#0x50", 0x40), "#0x50");
    }
}
