//! Classifies many instances at once, in loops without branches that the compiler turns into vector
//! instructions, and with the comparisons of `masks`.
//!
//! A test can run a thousand million instances per second, so a quarter of a nanosecond per instance is slow.
//! Types are as narrow as possible, so that a vector holds more rows.

use super::masks::{Compare, WORD, bits};
use super::{Classifier, Memory};
use crate::program::{Const, Type};

/// Rows per chunk: at most [`MOST`](super::masks::MOST) words. Their intermediate data stays in the first-level cache.
pub(super) const CHUNK: usize = 1024;
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
    /// For each value its code, or [`STRANGE`], and what it adds to the index.
    steps: Vec<(u8, usize)>,
}

impl Coding {
    /// The coding of a column. The index grows by `weight` from one value to the next.
    pub fn new(place: Place, values: Vec<Const>, weight: usize) -> Coding {
        let code = |value: &Const| match *value {
            Const::Int(value) => u8::try_from(value).unwrap_or(STRANGE),
            Const::Address(id) => u8::try_from(id + 1).unwrap_or(STRANGE),
        };
        let steps = values.iter().enumerate().map(|(position, value)| (code(value), position * weight)).collect();
        Coding { place, values, steps }
    }

    /// Whether every expected value has a code.
    pub fn complete(&self) -> bool {
        self.steps.iter().all(|&(code, _)| code != STRANGE)
    }
}

/// Results for the rows of a chunk, one bit per row.
#[derive(Debug)]
pub(super) struct Chunk {
    pub races: [u64; CHUNK / WORD],
    /// Rows that fail the filter.
    pub excluded: [u64; CHUNK / WORD],
    /// Whether all values have codes, so that nobody needs to look at `unknown`.
    pub known: bool,
    /// Rows with a value that has no code. They are not counted yet.
    pub unknown: [u64; CHUNK / WORD],
}

impl Chunk {
    /// A chunk of `rows` rows that are all unknown.
    pub fn unknown(rows: usize) -> Chunk {
        let unknown = std::array::from_fn(|word| match rows.saturating_sub(WORD * word) {
            0 => 0,
            here @ 1..WORD => (1 << here) - 1,
            WORD.. => u64::MAX,
        });
        Chunk { races: [0; CHUNK / WORD], excluded: [0; CHUNK / WORD], known: false, unknown }
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
    /// One bit for each index, set if it is `wanted`.
    fn equal(indices: &[Self; WORD], wanted: Self, way: impl Compare) -> u64;
    /// How many of the indices are `wanted`.
    fn count(indices: &[[Self; WORD]], wanted: Self, way: impl Compare) -> u32;
}

macro_rules! index {
    ($type:ty, $equal:expr, $count:expr) => {
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
            #[inline(always)]
            fn equal(indices: &[$type; WORD], wanted: $type, way: impl Compare) -> u64 {
                $equal(way, indices, wanted)
            }
            #[inline(always)]
            fn count(indices: &[[$type; WORD]], wanted: $type, way: impl Compare) -> u32 {
                $count(way, indices, wanted)
            }
        }
    };
}
index!(u8, Compare::equal, Compare::count);
index!(
    u16,
    |_, indices: &[u16; WORD], wanted| bits(&indices.map(|index| u8::from(index == wanted))),
    |_, indices: &[[u16; WORD]], wanted| indices.iter().flatten().map(|&index| u32::from(index == wanted)).sum()
);

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
            let mut indices = [I::ZERO; CHUNK];
            // SAFETY: guaranteed by the caller.
            unsafe { self.add(Some(number), memory, from, &mut indices[..rows]) };
            for (row, &index) in indices[..rows].iter().enumerate() {
                // SAFETY: the caller guarantees that the parts of `count` rows fit. The pointer is aligned.
                unsafe { parts.add(from + row).write(index) };
            }
        }
    }

    /// Counts `rows` rows from instance `from` on, in the table of one skew. The parts of the threads are in `memory`.
    ///
    /// # Safety
    /// As [`Classifier::count`].
    #[inline(always)]
    pub(super) unsafe fn chunk<I: Index>(
        &self,
        memory: Memory<'_>,
        from: usize,
        rows: usize,
        table: &mut [u64],
        way: impl Compare,
    ) -> Chunk {
        let mut indices = [I::ZERO; CHUNK];
        // SAFETY: guaranteed by the caller.
        unsafe { self.sum(memory, from, &mut indices[..rows]) };
        indices[rows..].fill(I::UNKNOWN);
        let counted = if table.len() <= COMPARED {
            compare(&indices, table, way)
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
        let mut chunk = Chunk { known: counted == rows, ..Chunk::unknown(rows) };
        if !chunk.known {
            // The rows behind the last one are marked as unknown too.
            let marks = marked(&indices, &[I::UNKNOWN.index()], &[], way);
            chunk.unknown.iter_mut().zip(marks).for_each(|(unknown, marks)| *unknown &= marks);
        }
        chunk.races = marked(&indices, &self.races, &self.is_race, way);
        if !self.excluded.is_empty() {
            chunk.excluded = marked(&indices, &self.excluded, &self.is_excluded, way);
        }
        chunk
    }

    /// Writes the indices of the rows from instance `from` on. They are 0 before.
    ///
    /// # Safety
    /// As [`Classifier::count`].
    #[inline(always)]
    unsafe fn sum<I: Index>(&self, memory: Memory<'_>, from: usize, indices: &mut [I]) {
        // SAFETY: guaranteed by the caller.
        unsafe { self.add(None, memory, from, indices) };
        for &number in &self.encoded {
            let parts = memory.parts[number].cast_const().cast::<I>();
            for (row, index) in indices.iter_mut().enumerate() {
                // SAFETY: the caller guarantees that this thread has written the parts of these rows.
                *index = index.plus(unsafe { parts.add(from + row).read() });
            }
        }
    }

    /// Adds to the index of each row what the columns of one thread add to it, or with `None` those of the variables.
    ///
    /// # Safety
    /// As [`Classifier::encode`] or [`Classifier::count`].
    #[inline(always)]
    #[allow(
        clippy::cast_possible_truncation,
        reason = "values that do not fit are first limited to STRANGE, which is no code"
    )]
    unsafe fn add<I: Index>(&self, thread: Option<usize>, memory: Memory<'_>, from: usize, indices: &mut [I]) {
        for column in self.columns.iter().filter(|column| column.place.thread == thread) {
            let place = column.place;
            // SAFETY: inside the records or instances, which the caller guarantees. The same holds for the reads
            // below.
            let at = unsafe { place.first(memory).add(from * place.stride) };
            // Loops with a constant stride are vectorized, so the common strides are written out.
            macro_rules! each {
                ($type:ty, $stride:expr, $code:expr) => {
                    step(column, indices, |row| {
                        // SAFETY: see above.
                        $code(row, unsafe { at.add(row * $stride).cast::<$type>().read() })
                    })
                };
            }
            let narrow = |_: usize, value: u32| value.min(STRANGE.into()) as u8;
            match (place.ty, place.ty.bytes(), place.stride) {
                (Type::Pointer, ..) => {
                    let mut codes = [STRANGE; CHUNK];
                    // SAFETY: guaranteed by the caller.
                    unsafe { self.pointers(column, memory, from, &mut codes[..indices.len()]) };
                    step(column, indices, |row| codes[row]);
                }
                (_, 1, stride) => each!(u8, stride, |_, value| value),
                (_, 2, stride) => each!(u16, stride, |row, value: u16| narrow(row, value.into())),
                (_, 4, 4) => each!(u32, 4, narrow),
                (_, 4, 8) => each!(u32, 8, narrow),
                (_, 4, 16) => each!(u32, 16, narrow),
                (_, 4, stride) => each!(u32, stride, narrow),
                (_, _, stride) => each!(u64, stride, |_, value: u64| value.min(STRANGE.into()) as u8),
            }
        }
    }

    /// Writes the codes of a column of pointers in the rows from instance `first` on.
    ///
    /// # Safety
    /// As [`Classifier::count`].
    #[inline(always)]
    #[allow(clippy::cast_possible_truncation, reason = "offsets in an instance fit, and others become u32::MAX")]
    unsafe fn pointers(&self, column: &Coding, memory: Memory<'_>, first: usize, codes: &mut [u8]) {
        let place = column.place;
        // SAFETY: inside the records or instances, which the caller guarantees. The same holds for the reads
        // below.
        let at = unsafe { place.first(memory).add(first * place.stride) };
        let stride = self.layout.stride as u64;
        let instance = memory.arena as u64 + first as u64 * stride;
        // The offset in the instance of the same row, plus one. NULL gives 0, and an offset that does not fit
        // gives u32::MAX.
        let offset = |row: usize, bits: u64| {
            let offset = bits.wrapping_sub(instance + row as u64 * stride);
            let fits = offset >> 32 == 0;
            if bits == 0 { 0 } else { (offset as u32 | u32::from(fits).wrapping_sub(1)).saturating_add(1) }
        };
        let mut offsets = [0_u32; CHUNK];
        macro_rules! each {
            ($stride:expr) => {
                for row in 0..codes.len() {
                    // SAFETY: see above.
                    offsets[row] = offset(row, unsafe { at.add(row * $stride).cast::<u64>().read() });
                }
            };
        }
        match place.stride {
            8 => each!(8),
            16 => each!(16),
            stride => each!(stride),
        }
        for (code, &offset) in codes.iter_mut().zip(&offsets) {
            *code = STRANGE * u8::from(offset != 0);
        }
        for (value, &(own, _)) in column.values.iter().zip(&column.steps) {
            let &Const::Address(id) = value else { continue };
            let known = self.layout.offsets[id] as u32 + 1;
            for (code, &offset) in codes.iter_mut().zip(&offsets) {
                *code = if offset == known { own } else { *code };
            }
        }
    }
}

/// Adds a column's part to the index of each row. The codes and parts of a block of rows stay in registers.
#[inline(always)]
fn step<I: Index>(column: &Coding, indices: &mut [I], code: impl Fn(usize) -> u8) {
    const BLOCK: usize = 32;
    let (blocks, rest) = indices.as_chunks_mut::<BLOCK>();
    let whole = BLOCK * blocks.len();
    for (at, block) in blocks.iter_mut().enumerate() {
        let mut codes = [0; BLOCK];
        for (row, own) in codes.iter_mut().enumerate() {
            *own = code(BLOCK * at + row);
        }
        let mut steps = [I::UNKNOWN; BLOCK];
        for &(wanted, step) in &column.steps {
            let step = I::new(step);
            for row in 0..BLOCK {
                steps[row] = if codes[row] == wanted { step } else { steps[row] };
            }
        }
        for row in 0..BLOCK {
            block[row] = block[row].plus(steps[row]);
        }
    }
    for (row, index) in (whole..).zip(rest) {
        let code = code(row);
        let step = column.steps.iter().find(|(wanted, _)| *wanted == code);
        *index = index.plus(step.map_or(I::UNKNOWN, |&(_, step)| I::new(step)));
    }
}

/// One bit per row, set if its index is one of the wanted ones. These are given both as a list and as flags by
/// index.
#[inline(always)]
fn marked<I: Index>(indices: &[I; CHUNK], list: &[usize], by_index: &[bool], way: impl Compare) -> [u64; CHUNK / WORD] {
    let mut words = [0; CHUNK / WORD];
    let (chunks, _) = indices.as_chunks::<WORD>();
    if list.len() <= COMPARED {
        for &wanted in list {
            for (word, indices) in words.iter_mut().zip(chunks) {
                *word |= I::equal(indices, I::new(wanted), way);
            }
        }
    } else {
        for (word, indices) in words.iter_mut().zip(chunks) {
            *word = bits(&indices.map(|index| by_index.get(index.index()).copied().unwrap_or(false).into()));
        }
    }
    words
}

/// Counts how often each outcome's index occurs, by comparing every index with every outcome. Returns how many
/// indices were the index of an outcome.
#[inline(always)]
fn compare<I: Index>(indices: &[I; CHUNK], table: &mut [u64], way: impl Compare) -> usize {
    let (words, _) = indices.as_chunks::<WORD>();
    let mut counted = 0;
    for (outcome, count) in table.iter_mut().enumerate() {
        let here = I::count(words, I::new(outcome), way);
        *count += u64::from(here);
        counted += here as usize;
    }
    counted
}
