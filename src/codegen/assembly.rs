//! The instructions of a test in assembly as machine code: what all architectures share.
//!
//! An architecture encodes each instruction as it stands, with the test's registers renamed to those that the loop over
//! instances leaves free. This module gives each register of the test a hardware register, and places the jumps.

use super::registers::Allocation;
use crate::program::{Assembly, Instruction, RegisterId, Thread};

/// One encoded instruction.
pub(crate) enum Piece {
    /// Its bytes.
    Bytes(Vec<u8>),
    /// A jump.
    Jump(Jump),
}

/// A jump to a label of the thread.
pub(crate) struct Jump {
    /// The name of the label.
    pub label: String,
    /// The bytes of the jump for a distance from its own first byte to the label; `None` if that is too far. A longer
    /// distance never has fewer bytes.
    pub bytes: Box<dyn Fn(i64) -> Option<Vec<u8>>>,
}

impl Jump {
    /// A jump of 32 bits. `word` gives them for a distance.
    pub fn word(label: &str, word: impl Fn(i64) -> Option<u32> + 'static) -> Jump {
        let bytes = move |distance| word(distance).map(|word| word.to_le_bytes().to_vec());
        Jump { label: label.to_owned(), bytes: Box::new(bytes) }
    }
}

/// Instructions of 32 bits.
pub(crate) fn words(words: &[u32]) -> Piece {
    Piece::Bytes(words.iter().flat_map(|word| word.to_le_bytes()).collect())
}

/// The reason why an instruction is refused of which only other forms are encoded.
pub(crate) fn unknown_form() -> String {
    "this form is not encoded".to_owned()
}

/// The number of a name in a table.
pub(crate) fn named(table: &[(&str, u32)], name: &str) -> Option<u32> {
    table.iter().find(|(known, _)| *known == name).map(|(_, number)| *number)
}

/// The field of `bits` bits, at most 32, that holds a signed value; `None` if the value does not fit.
pub(crate) fn signed_field(value: i64, bits: u32) -> Option<u32> {
    let unused = 64 - bits;
    let fits = value << unused >> unused == value;
    u32::try_from(value.cast_unsigned() & u64::MAX >> unused).ok().filter(|_| fits)
}

/// Where a thread's registers and locations are.
pub(crate) struct Places<'a> {
    thread: &'a Thread,
    assembly: &'a Assembly,
    allocation: &'a Allocation,
    /// The offset of each location in an instance, in bytes.
    offsets: &'a [usize],
}

impl Places<'_> {
    /// The hardware register of a register of the test, by its canonical name.
    ///
    /// # Errors
    /// If the test does not have it.
    pub fn register(&self, name: &str) -> Result<u8, String> {
        let mut registers = self.assembly.initial.iter().map(|(register, _)| *register);
        let named = registers.find(|register| self.thread.registers[*register].name == name);
        named.and_then(|register| self.allocation.register(register)).ok_or_else(|| format!("`{name}` has no register"))
    }

    /// The offset of a location in an instance, in bytes.
    pub fn location(&self, name: &str) -> Option<usize> {
        self.assembly.locations.iter().position(|known| known == name).map(|location| self.offsets[location])
    }
}

/// How an architecture encodes one instruction. The error completes "cannot be encoded: ...".
pub(crate) type Encode = fn(&Instruction, &Places<'_>) -> Result<Piece, String>;

/// What the instructions of an architecture's tests become.
pub(crate) struct Encoder {
    /// The hardware registers that the loop over instances leaves free.
    pub pool: &'static [u8],
    /// The hardware registers that a thread with many values borrows during an instance (`aside`).
    pub borrowed: fn(&Assembly) -> &'static [u8],
    /// The registers that an instruction names implicitly.
    pub fixed: Fixed,
    /// The number of a register of the architecture, by its canonical name.
    pub number: fn(&str) -> Option<u8>,
    /// Encodes one instruction.
    pub encode: Encode,
}

/// A reason why a thread cannot be encoded, and the instruction with it.
pub(crate) struct NotEncoded {
    /// The index of the instruction.
    pub instruction: usize,
    /// The reason.
    pub reason: String,
}

/// The instructions of a thread as encoded, jumps still without distances.
pub(crate) struct Pieces {
    pieces: Vec<Piece>,
    /// For each jump, the index of the instruction that its label stands before; at the end their number.
    targets: Vec<Option<usize>>,
}

/// Encodes the instructions of a thread.
///
/// # Errors
/// The first instruction that cannot be encoded.
pub(crate) fn encode(
    thread: &Thread,
    assembly: &Assembly,
    allocation: &Allocation,
    offsets: &[usize],
    encoder: &Encoder,
) -> Result<Pieces, NotEncoded> {
    let places = Places { thread, assembly, allocation, offsets };
    let mut pieces = Vec::new();
    let mut targets = Vec::new();
    for (at, instruction) in assembly.instructions.iter().enumerate() {
        let fail = |reason: String| NotEncoded { instruction: at, reason };
        let none = Piece::Bytes(Vec::new());
        let piece = if instruction.mnemonic.is_empty() {
            none
        } else {
            (encoder.encode)(instruction, &places).map_err(fail)?
        };
        targets.push(match &piece {
            Piece::Bytes(_) => None,
            Piece::Jump(jump) => {
                let target = assembly.label(&jump.label);
                Some(target.ok_or_else(|| fail(format!("there is no label `{}`", jump.label)))?)
            }
        });
        pieces.push(piece);
    }
    Ok(Pieces { pieces, targets })
}

/// Gives the registers of a thread in assembly hardware registers, and encodes its instructions.
///
/// # Errors
/// The reason. [`crate::program::Assembly`] of a test that was lowered has none, except for offsets that are too large.
pub(crate) fn prepare(
    thread: &Thread,
    assembly: &Assembly,
    offsets: &[usize],
    encoder: &Encoder,
) -> Result<(Allocation, Pieces), String> {
    let allocation = allocate(thread, assembly, encoder)?;
    let pieces = encode(thread, assembly, &allocation, offsets, encoder)
        .map_err(|refused| format!("has `{}`: {}", assembly.instructions[refused.instruction].text, refused.reason))?;
    Ok((allocation, pieces))
}

/// The bytes of each instruction of a thread with the registers that the test names, and every location at the
/// instance's first byte.
///
/// # Errors
/// The reason.
pub(crate) fn as_written(thread: &Thread, assembly: &Assembly, encoder: &Encoder) -> Result<Vec<Vec<u8>>, String> {
    let mut allocation = Allocation::default();
    for &(register, _) in &assembly.initial {
        if let Some(number) = (encoder.number)(&thread.registers[register].name) {
            allocation.assign(register, number);
        }
    }
    let offsets = vec![0; assembly.locations.len()];
    let pieces = encode(thread, assembly, &allocation, &offsets, encoder).map_err(|refused| refused.reason)?;
    pieces.place(0, &|_| None)
}

impl Pieces {
    /// The instructions that a backward jump goes to, each once, in ascending order.
    pub fn loops(&self) -> Vec<usize> {
        let backward = |(at, target): (usize, &Option<usize>)| target.filter(|target| *target <= at);
        let mut heads: Vec<usize> = self.targets.iter().enumerate().filter_map(backward).collect();
        heads.sort_unstable();
        heads.dedup();
        heads
    }

    /// The bytes of each instruction, if the first one is at offset `base`. A backward jump to instruction `n` goes to
    /// offset `detours[n]` instead.
    ///
    /// # Errors
    /// If a jump is too far.
    pub fn place(&self, base: usize, detours: &dyn Fn(usize) -> Option<usize>) -> Result<Vec<Vec<u8>>, String> {
        let far = |label: &str| format!("has a jump to `{label}` that is too far");
        let mut all: Vec<Vec<u8>> = Vec::new();
        for piece in &self.pieces {
            all.push(match piece {
                Piece::Bytes(bytes) => bytes.clone(),
                Piece::Jump(jump) => (jump.bytes)(0).ok_or_else(|| far(&jump.label))?,
            });
        }
        // Every jump begins with its shortest form. It only grows, so this ends.
        loop {
            let starts: Vec<i64> = std::iter::once(0)
                .chain(all.iter().map(Vec::len).scan(0, |at, length| {
                    *at += length;
                    Some(*at)
                }))
                .map(|at| i64::try_from(base + at).unwrap_or(i64::MAX))
                .collect();
            let mut grew = false;
            for (at, (piece, target)) in self.pieces.iter().zip(&self.targets).enumerate() {
                let (Piece::Jump(jump), Some(target)) = (piece, *target) else { continue };
                let detour = if target <= at { detours(target) } else { None };
                let to = detour.map_or(starts[target], |offset| i64::try_from(offset).unwrap_or(i64::MAX));
                let bytes = (jump.bytes)(to - starts[at]).ok_or_else(|| far(&jump.label))?;
                grew |= bytes.len() != all[at].len();
                all[at] = bytes;
            }
            if !grew {
                return Ok(all);
            }
        }
    }
}

/// Gives each register of a thread in assembly its own hardware register, in the order in which the test names them.
///
/// # Errors
/// The reason, if the thread uses more registers than there are.
pub(crate) fn allocate(thread: &Thread, assembly: &Assembly, encoder: &Encoder) -> Result<Allocation, String> {
    let Encoder { pool, borrowed, fixed, .. } = encoder;
    let borrowed = borrowed(assembly);
    let mut allocation = Allocation::default();
    let mut free = pool.iter().chain(borrowed).copied();
    let bound: Vec<(RegisterId, u8)> = (assembly.initial.iter())
        .filter_map(|(id, _)| fixed(assembly, &thread.registers[*id].name).map(|hardware| (*id, hardware)))
        .collect();
    for &(register, _) in &assembly.initial {
        let hardware = bound.iter().find(|(id, _)| *id == register).map(|(_, hardware)| *hardware);
        let hardware = hardware.or_else(|| free.find(|hardware| bound.iter().all(|(_, taken)| taken != hardware)));
        let Some(hardware) = hardware else {
            return Err(format!(
                "uses {} registers; {} can hold values during an instance",
                assembly.initial.len(),
                pool.len() + borrowed.len()
            ));
        };
        allocation.assign(register, hardware);
    }
    Ok(allocation)
}

/// The hardware register that a register of the test must have, by its canonical name, if an instruction names it
/// implicitly.
pub(crate) type Fixed = fn(&Assembly, &str) -> Option<u8>;

#[cfg(test)]
mod tests {
    use super::signed_field;

    #[test]
    fn a_field_holds_what_fits_and_nothing_else() {
        let fields = [-2049, -2048, -1, 0, 2047, 2048].map(|value| signed_field(value, 12));
        assert_eq!(fields, [None, Some(0x800), Some(0xfff), Some(0), Some(0x7ff), None]);
        assert_eq!(signed_field(i64::MIN, 32), None);
        assert_eq!(signed_field(-1 << 31, 32), Some(0x8000_0000));
    }
}
