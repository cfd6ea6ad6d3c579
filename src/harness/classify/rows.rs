//! Classifies many instances at once, in loops without branches that the compiler turns into vector
//! instructions.
//!
//! A test can run hundreds of millions of instances per second, so one nanosecond per instance would be too
//! slow. Types are as narrow as possible, so that a vector holds more rows.

use super::{Classifier, Memory};
use crate::program::{Const, Type};

/// Rows per chunk. Their intermediate data stays in the first-level cache. Must be a multiple of 64, and at
/// most 255 * 32, so that the lanes of [`compare`] cannot overflow.
pub(super) const CHUNK: usize = 256;
/// Up to this many outcomes are counted by comparing each index with each outcome. More are counted with a
/// table.
const COMPARED: usize = 24;
/// Code of a value that is not expected.
const STRANGE: u8 = u8::MAX;

/// Where the value of a column is stored.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place {
    /// The thread whose save records hold the value; `None` if it is in the arena.
    pub thread: Option<usize>,
    /// Offset in the record or instance, in bytes.
    pub offset: usize,
    /// Distance from one instance to the next, in bytes.
    pub stride: usize,
    pub ty: Type,
}

impl Place {
    /// Pointer to the value of the first instance.
    ///
    /// # Safety
    /// `memory` must hold a batch of the test.
    pub unsafe fn first(&self, memory: Memory<'_>) -> *const u8 {
        let base = self.thread.map_or(memory.arena, |thread| memory.records[thread].cast_const());
        // SAFETY: inside the first record or instance.
        unsafe { base.add(self.offset) }
    }
}

/// How the values of a column are coded.
#[derive(Debug, Clone)]
pub(super) struct Coding {
    pub place: Place,
    /// The expected values. The code of an integer is the integer itself, the code of NULL is 0, and the code
    /// of the address of a location is its number plus one. Integers of 255 and more have no code.
    pub values: Vec<Const>,
    /// How much the index grows from one entry of `values` to the next.
    pub weight: usize,
}

impl Coding {
    /// Whether every expected value has a code.
    pub fn complete(&self) -> bool {
        self.codes().all(|code| code != STRANGE)
    }

    fn codes(&self) -> impl Iterator<Item = u8> {
        self.values.iter().map(|value| match *value {
            Const::Int(value) => u8::try_from(value).unwrap_or(STRANGE),
            Const::Address(id) => u8::try_from(id + 1).unwrap_or(STRANGE),
        })
    }
}

/// Results for the rows of a chunk, one bit per row.
#[derive(Debug)]
pub(super) struct Chunk {
    pub races: [u64; CHUNK / 64],
    /// Rows that fail the filter.
    pub excluded: [u64; CHUNK / 64],
    /// Rows with a value that has no code. They are not counted yet.
    pub unknown: [u64; CHUNK / 64],
}

impl Chunk {
    /// A chunk of `rows` rows that are all unknown.
    pub fn unknown(rows: usize) -> Chunk {
        let mut marks = [0; CHUNK];
        marks[..rows].fill(1);
        Chunk { races: [0; CHUNK / 64], excluded: [0; CHUNK / 64], unknown: bits(&marks) }
    }
}

/// Index of an outcome in the table, in the narrowest type that fits.
pub(super) trait Index: Copy + PartialEq {
    /// Index of a row with a value that has no code.
    const UNKNOWN: Self;
    const ZERO: Self;
    fn new(index: usize) -> Self;
    fn index(self) -> usize;
    /// The sum. It is [`Index::UNKNOWN`] if one of the two is.
    fn plus(self, other: Self) -> Self;
}

macro_rules! index {
    ($type:ty) => {
        impl Index for $type {
            const UNKNOWN: Self = <$type>::MAX;
            const ZERO: Self = 0;
            #[inline(always)]
            #[allow(
                clippy::cast_possible_truncation,
                reason = "the table's length selects the type, and indices are below that length"
            )]
            fn new(index: usize) -> Self {
                index as $type
            }
            #[inline(always)]
            fn index(self) -> usize {
                self.into()
            }
            #[inline(always)]
            fn plus(self, other: Self) -> Self {
                // The index of a row is less than the table's length, so only an unknown part reaches the maximum.
                self.saturating_add(other)
            }
        }
    };
}
index!(u8);
index!(u16);

impl Classifier<'_> {
    /// Writes a thread's part of the index of the first `count` rows: what its own registers add to it.
    ///
    /// # Safety
    /// As [`Classifier::encode`].
    #[inline(always)]
    pub(super) unsafe fn encode_all<I: Index>(&self, memory: Memory<'_>, number: usize, count: usize) {
        let parts = memory.parts[number].cast::<I>();
        for from in (0..count).step_by(CHUNK) {
            let rows = CHUNK.min(count - from);
            // SAFETY: guaranteed by the caller.
            let indices: [I; CHUNK] = unsafe { self.indices(Some(number), memory, from, rows) };
            for (row, &index) in indices[..rows].iter().enumerate() {
                // SAFETY: the caller guarantees that the parts of `count` rows fit. The pointer is aligned.
                unsafe { parts.add(from + row).write(index) };
            }
        }
    }

    /// Counts `rows` rows from instance `first` on, in the table of one skew. The parts of the threads are in `memory`.
    ///
    /// # Safety
    /// As [`Classifier::count`].
    #[inline(always)]
    pub(super) unsafe fn chunk<I: Index>(
        &self,
        memory: Memory<'_>,
        first: usize,
        rows: usize,
        table: &mut [u64],
    ) -> Chunk {
        // SAFETY: guaranteed by the caller.
        let mut indices: [I; CHUNK] = unsafe { self.indices(None, memory, first, rows) };
        for &number in &self.encoded {
            let parts = memory.parts[number].cast_const().cast::<I>();
            for (row, index) in indices[..rows].iter_mut().enumerate() {
                // SAFETY: the caller guarantees that this thread has written the parts of these rows.
                *index = index.plus(unsafe { parts.add(first + row).read() });
            }
        }
        indices[rows..].fill(I::UNKNOWN);
        let counted = if table.len() <= COMPARED {
            compare(&indices, table)
        } else {
            let mut counted = 0;
            for &index in &indices[..rows] {
                if let Some(count) = table.get_mut(index.index()) {
                    *count += 1;
                    counted += 1;
                }
            }
            counted
        };
        let mut chunk = Chunk { races: [0; CHUNK / 64], excluded: [0; CHUNK / 64], unknown: [0; CHUNK / 64] };
        if counted < rows {
            let mut unknown = [0_u8; CHUNK];
            for (mark, &index) in unknown[..rows].iter_mut().zip(&indices) {
                *mark = (index == I::UNKNOWN).into();
            }
            chunk.unknown = bits(&unknown);
        }
        chunk.races = marked(&indices, &self.races, &self.is_race);
        if !self.excluded.is_empty() {
            chunk.excluded = marked(&indices, &self.excluded, &self.is_excluded);
        }
        chunk
    }

    /// What the columns of one thread add to the index of each row, or with `None` those of the variables.
    ///
    /// # Safety
    /// As [`Classifier::encode`] or [`Classifier::count`].
    #[inline(always)]
    unsafe fn indices<I: Index>(
        &self,
        thread: Option<usize>,
        memory: Memory<'_>,
        first: usize,
        rows: usize,
    ) -> [I; CHUNK] {
        let mut indices = [I::ZERO; CHUNK];
        let mut codes = [STRANGE; CHUNK];
        for column in self.columns.iter().filter(|column| column.place.thread == thread) {
            // SAFETY: guaranteed by the caller.
            unsafe { self.codes(column, memory, first, &mut codes[..rows]) };
            let mut steps = [I::UNKNOWN; CHUNK];
            for (position, wanted) in column.codes().enumerate() {
                let step = I::new(position * column.weight);
                for row in 0..CHUNK {
                    steps[row] = if codes[row] == wanted { step } else { steps[row] };
                }
            }
            for row in 0..CHUNK {
                indices[row] = indices[row].plus(steps[row]);
            }
        }
        indices
    }

    /// Writes the codes of a column's values in the rows from instance `first` on.
    ///
    /// # Safety
    /// As [`Classifier::count`].
    #[inline(always)]
    #[allow(
        clippy::cast_possible_truncation,
        reason = "values that do not fit are first limited to STRANGE, which is no code"
    )]
    unsafe fn codes(&self, column: &Coding, memory: Memory<'_>, first: usize, codes: &mut [u8]) {
        let place = column.place;
        // SAFETY: inside the records or instances, which the caller guarantees. The same holds for the reads
        // below.
        let at = unsafe { place.first(memory).add(first * place.stride) };
        let narrow = |value: u32| value.min(STRANGE.into()) as u8;
        // Loops with a constant stride are vectorized, so the common strides are written out.
        macro_rules! each {
            ($type:ty, $stride:expr, $row:ident, $value:ident => $do:expr) => {
                for $row in 0..codes.len() {
                    // SAFETY: see above.
                    let $value = unsafe { at.add($row * $stride).cast::<$type>().read() };
                    $do
                }
            };
        }
        if place.ty != Type::Pointer {
            match (place.ty.bytes(), place.stride) {
                (1, stride) => each!(u8, stride, row, value => codes[row] = value),
                (2, stride) => each!(u16, stride, row, value => codes[row] = narrow(value.into())),
                (4, 4) => each!(u32, 4, row, value => codes[row] = narrow(value)),
                (4, 8) => each!(u32, 8, row, value => codes[row] = narrow(value)),
                (4, 16) => each!(u32, 16, row, value => codes[row] = narrow(value)),
                (4, stride) => each!(u32, stride, row, value => codes[row] = narrow(value)),
                (_, stride) => each!(u64, stride, row, value => codes[row] = value.min(STRANGE.into()) as u8),
            }
            return;
        }
        let stride = self.layout.stride as u64;
        let instance = memory.arena as u64 + first as u64 * stride;
        // The offset in the instance of the same row, plus one. NULL gives 0, and an offset that does not fit
        // gives u32::MAX.
        let mut offsets = [0_u32; CHUNK];
        let offset = |row: usize, bits: u64| {
            let offset = bits.wrapping_sub(instance + row as u64 * stride);
            let fits = offset >> 32 == 0;
            if bits == 0 { 0 } else { (offset as u32 | u32::from(fits).wrapping_sub(1)).saturating_add(1) }
        };
        match place.stride {
            8 => each!(u64, 8, row, bits => offsets[row] = offset(row, bits)),
            16 => each!(u64, 16, row, bits => offsets[row] = offset(row, bits)),
            stride => each!(u64, stride, row, bits => offsets[row] = offset(row, bits)),
        }
        for (code, &offset) in codes.iter_mut().zip(&offsets) {
            *code = STRANGE * u8::from(offset != 0);
        }
        for (value, own) in column.values.iter().zip(column.codes()) {
            let &Const::Address(id) = value else { continue };
            let known = self.layout.offsets[id] as u32 + 1;
            for (code, &offset) in codes.iter_mut().zip(&offsets) {
                *code = if offset == known { own } else { *code };
            }
        }
    }
}

/// One bit per row, set if its index is one of the wanted ones. These are given both as a list and as flags by
/// index.
#[inline(always)]
fn marked<I: Index>(indices: &[I; CHUNK], list: &[usize], by_index: &[bool]) -> [u64; CHUNK / 64] {
    let mut marks = [0_u8; CHUNK];
    if list.len() <= COMPARED {
        for &wanted in list {
            for (mark, &index) in marks.iter_mut().zip(indices) {
                *mark |= u8::from(index == I::new(wanted));
            }
        }
    } else {
        for (mark, &index) in marks.iter_mut().zip(indices) {
            *mark = by_index.get(index.index()).copied().unwrap_or(false).into();
        }
    }
    bits(&marks)
}

/// Counts how often each outcome's index occurs, by comparing every index with every outcome. Returns how many
/// indices were the index of an outcome.
#[inline(always)]
fn compare<I: Index>(indices: &[I; CHUNK], table: &mut [u64]) -> usize {
    let mut counted = 0;
    for (outcome, count) in table.iter_mut().enumerate() {
        let mut lanes = [0_u8; 32];
        for block in indices.chunks_exact(32) {
            for (lane, &index) in lanes.iter_mut().zip(block) {
                *lane += u8::from(index == I::new(outcome));
            }
        }
        let here: u32 = lanes.iter().map(|&lane| u32::from(lane)).sum();
        *count += u64::from(here);
        counted += here as usize;
    }
    counted
}

/// Packs bytes that are 0 or 1 into bits.
#[inline(always)]
fn bits(marks: &[u8; CHUNK]) -> [u64; CHUNK / 64] {
    let mut bits = [0; CHUNK / 64];
    for (word, marks) in bits.iter_mut().zip(marks.chunks_exact(64)) {
        for (byte, marks) in marks.chunks_exact(8).enumerate() {
            let eight = u64::from_le_bytes(marks.try_into().expect("chunks of eight"));
            // Collects the lowest bit of each byte in the highest byte, in order.
            let gathered = eight.wrapping_mul(0x0102_0408_1020_4080) >> 56;
            *word |= gathered << (8 * byte);
        }
    }
    bits
}
