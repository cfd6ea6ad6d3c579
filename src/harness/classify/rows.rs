//! Classifies many instances at once, in loops without branches that the compiler turns into vector
//! instructions, and with the comparisons of `masks`.
//!
//! A test can run a thousand million instances per second, so a quarter of a nanosecond per instance is slow.
//! Types are as narrow as possible, so that a vector holds more rows.

use super::masks::{self, Compare, MOST, WORD, bits};
use super::{Classifier, LastWriters, Memory};
use crate::program::{Const, Type};

/// Rows per chunk. Their intermediate data stays in the first-level cache.
pub(super) const CHUNK: usize = 1024;
const _: () = assert!(CHUNK.is_multiple_of(WORD) && CHUNK / WORD <= MOST && LastWriters::ALIKE.is_multiple_of(WORD));
/// Up to this many outcomes are counted by comparing each index with each outcome. More are counted with a
/// table.
pub(super) const COMPARED: usize = 24;
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
    /// Rows with a value that has no code. They are not counted yet.
    pub unknown: [u64; CHUNK / WORD],
}

impl Chunk {
    const NONE: Chunk = Chunk { races: [0; CHUNK / WORD], excluded: [0; CHUNK / WORD], unknown: [0; CHUNK / WORD] };

    /// A chunk of `rows` rows that are all unknown.
    pub fn unknown(rows: usize) -> Chunk {
        let unknown = std::array::from_fn(|word| match rows.saturating_sub(WORD * word) {
            0 => 0,
            here @ 1..WORD => (1 << here) - 1,
            WORD.. => u64::MAX,
        });
        Chunk { unknown, ..Chunk::NONE }
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
    /// One bit for each index, set if it is one of the wanted ones.
    fn find(indices: &[Self; WORD], wanted: &[usize], comparison: impl Compare) -> u64;
}

macro_rules! index {
    ($type:ty, $find:expr) => {
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
            fn find(indices: &[$type; WORD], wanted: &[usize], comparison: impl Compare) -> u64 {
                $find(comparison, indices, wanted.iter().map(|&wanted| <$type>::new(wanted)))
            }
        }
    };
}
index!(u8, Compare::find);
index!(u16, |_, indices, wanted| masks::find(indices, wanted));

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

    /// Counts `rows` rows from instance `from` on. The parts of the threads are in `memory`. `count` adds the indices to a table and returns
    /// how many it has added; it leaves out those that are [`Index::UNKNOWN`].
    ///
    /// # Safety
    /// As [`Classifier::count`].
    #[inline(always)]
    pub(super) unsafe fn chunk<I: Index>(
        &self,
        memory: Memory<'_>,
        from: usize,
        rows: usize,
        count: impl FnOnce(&[[I; WORD]]) -> usize,
        comparison: impl Compare,
    ) -> Chunk {
        let mut indices = [I::ZERO; CHUNK];
        // SAFETY: guaranteed by the caller.
        unsafe { self.sum(memory, from, &mut indices[..rows]) };
        indices[rows..].fill(I::UNKNOWN);
        let words = &indices.as_chunks().0[..rows.div_ceil(WORD)];
        let mut chunk = Chunk::NONE;
        if count(words) < rows {
            // The rows behind the last one look unknown too.
            let (found, all) = (found(words, &[I::UNKNOWN.index()], &[], comparison), Chunk::unknown(rows).unknown);
            chunk.unknown = std::array::from_fn(|word| found[word] & all[word]);
        }
        chunk.races = found(words, &self.races, &self.is_race, comparison);
        if !self.excluded.is_empty() {
            chunk.excluded = found(words, &self.excluded, &self.is_excluded, comparison);
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

    /// Adds to the index of each row what the columns of one thread add to it; with `None`, what those of the variables add.
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
                    add_column(column, indices, |row| {
                        // SAFETY: see above.
                        $code(unsafe { at.add(row * $stride).cast::<$type>().read() })
                    })
                };
            }
            let narrow = |value: u32| value.min(STRANGE.into()) as u8;
            match (place.ty, place.ty.bytes(), place.stride) {
                (Type::Pointer, ..) => {
                    let mut codes = [STRANGE; CHUNK];
                    // SAFETY: guaranteed by the caller.
                    unsafe { self.pointers(column, memory, from, &mut codes[..indices.len()]) };
                    add_column(column, indices, |row| codes[row]);
                }
                (_, 1, stride) => each!(u8, stride, |value| value),
                (_, 2, stride) => each!(u16, stride, |value: u16| narrow(value.into())),
                (_, 4, 4) => each!(u32, 4, narrow),
                (_, 4, 8) => each!(u32, 8, narrow),
                (_, 4, 16) => each!(u32, 16, narrow),
                (_, 4, stride) => each!(u32, stride, narrow),
                (_, _, stride) => each!(u64, stride, |value: u64| value.min(STRANGE.into()) as u8),
            }
        }
    }

    /// Writes the codes of a column of pointers in the rows from instance `first` on.
    ///
    /// # Safety
    /// As [`Classifier::encode`] or [`Classifier::count`].
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

/// Adds to the index of each row what its value in a column adds. The codes of a block of rows stay in registers.
#[inline(always)]
fn add_column<I: Index>(column: &Coding, indices: &mut [I], code: impl Fn(usize) -> u8) {
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
            for row in 0..BLOCK {
                steps[row] = if codes[row] == wanted { I::new(step) } else { steps[row] };
            }
        }
        for row in 0..BLOCK {
            block[row] = block[row].plus(steps[row]);
        }
    }
    for (row, index) in (whole..).zip(rest) {
        let code = code(row);
        let found = column.steps.iter().find(|(wanted, _)| *wanted == code);
        *index = index.plus(found.map_or(I::UNKNOWN, |&(_, step)| I::new(step)));
    }
}

/// One bit per row, set if its index is one of the wanted ones. These are given both as a list and as flags by
/// index.
#[inline(always)]
fn found<I: Index>(
    words: &[[I; WORD]],
    list: &[usize],
    by_index: &[bool],
    comparison: impl Compare,
) -> [u64; CHUNK / WORD] {
    let mut found = [0; CHUNK / WORD];
    for (found, indices) in found.iter_mut().zip(words) {
        *found = if list.len() <= COMPARED {
            I::find(indices, list, comparison)
        } else {
            bits(&indices.map(|index| by_index.get(index.index()).copied().unwrap_or(false).into()))
        };
    }
    found
}

/// Counts how often each outcome's index occurs, by comparing every index with every outcome. Returns how many
/// indices were the index of an outcome.
#[inline(always)]
pub(super) fn compare(words: &[[u8; WORD]], table: &mut [u64], comparison: impl Compare) -> usize {
    let mut counted = 0;
    for (outcome, count) in table.iter_mut().enumerate() {
        let here = comparison.count(words, u8::new(outcome));
        *count += u64::from(here);
        counted += here as usize;
    }
    counted
}

/// The same for many outcomes, by looking up each index.
#[inline(always)]
pub(super) fn look_up<I: Index>(words: &[[I; WORD]], table: &mut [u64]) -> usize {
    let mut counted = 0;
    for index in words.iter().flatten() {
        if let Some(count) = table.get_mut(index.index()) {
            *count += 1;
            counted += 1;
        }
    }
    counted
}
