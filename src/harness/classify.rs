//! From saved registers and final memory to outcome counts, and the instances back to their initial values.
//!
//! A column's values are few (those the test stores), so each gets a small code, the codes of a row make an index, and what is counted is
//! indices. All of it works on chunks of rows, in loops without branches that the compiler turns into vector instructions: at hundreds of
//! millions of instances a second, a nanosecond an instance would be too much. A value outside the expected ones, which only broken
//! code or hardware could produce, or a test that computes, goes through a map.

use std::collections::HashMap;

use super::tally::Tally;
use crate::codegen::SaveRecord;
use crate::layout::Layout;
use crate::program::{Binary, Column, Const, Op, Program, Type};

/// Integers from 0 below this are expected, where the test's text names them; the rest goes through the map.
const EXPECTED: i64 = 16;
/// The index of a row with a value that has no code.
const UNKNOWN: u16 = u16::MAX;
/// The most outcomes that the table holds; a test with more is counted in the map.
const TABLE: usize = 1 << 12;
/// Up to this many outcomes are counted by comparing each index with each outcome, 16 at a time; more by a table.
const COMPARED: usize = 24;
/// Rows looked at together: their keys and indices stay in the first-level cache. A multiple of 64.
const CHUNK: usize = 256;
/// Shorter gaps between races are counted in an array, for speed.
const SHORT_GAPS: usize = 1024;
/// The key of a value that is none of the expected ones, whatever it is.
const STRANGE: u32 = u32::MAX;

/// Where a column's value lies.
#[derive(Debug, Clone, Copy)]
struct Place {
    /// The thread whose records hold it; `None` for the arena.
    thread: Option<usize>,
    /// Byte offset in the record or instance.
    offset: usize,
    /// Bytes from one instance to the next.
    stride: usize,
    ty: Type,
}

/// How a column's values are coded.
#[derive(Debug, Clone)]
struct Coding {
    place: Place,
    /// The expected values; the code of one is its position.
    values: Vec<Const>,
    /// Their keys: an integer itself, 0 for NULL, and one more than its offset for the address of a variable.
    keys: Vec<u32>,
    /// What one step of the code adds to the index.
    weight: u16,
}

/// Turns the instances of one test into counts. Immutable, shared by the threads.
#[derive(Debug)]
pub struct Classifier<'a> {
    program: &'a Program,
    layout: &'a Layout,
    columns: Vec<Coding>,
    /// Size of the table; 0 if it would be too large.
    table: usize,
    /// Which indices are races, and the same as a list.
    is_race: Vec<bool>,
    races: Vec<u16>,
    /// Whether this CPU has AVX2.
    #[cfg(target_arch = "x86_64")]
    wide: bool,
    /// What to write where to begin anew.
    initial: Vec<(usize, usize, InitialValue)>,
}

#[derive(Debug, Clone, Copy)]
enum InitialValue {
    Bits(u64),
    /// The address of the byte at this offset of the same instance.
    Address(usize),
}

impl<'a> Classifier<'a> {
    pub fn new(program: &'a Program, layout: &'a Layout) -> Classifier<'a> {
        let records: Vec<SaveRecord> = program.threads.iter().map(SaveRecord::new).collect();
        let integers = expected_integers(program);
        let mut weight = 1_usize;
        let mut columns = Vec::new();
        for &column in &program.columns {
            let place = match column {
                Column::Register { thread, register } => {
                    let slot = records[thread].slot(column, thread).expect("observed registers are saved");
                    let ty = program.threads[thread].registers[register].ty;
                    Place { thread: Some(thread), offset: slot.offset, stride: records[thread].stride, ty }
                }
                Column::Location(id) => {
                    let ty = program.locations[id].ty;
                    Place { thread: None, offset: layout.offsets[id], stride: layout.stride, ty }
                }
            };
            let values: Vec<Const> = if place.ty == Type::Pointer {
                let addresses = (0..program.locations.len()).map(Const::Address);
                std::iter::once(Const::Int(0)).chain(addresses).collect()
            } else {
                integers.iter().map(|&value| Const::Int(value)).collect()
            };
            let key = |value: &Const| match *value {
                Const::Int(value) => value as u32,
                Const::Address(id) => u32::try_from(layout.offsets[id] + 1).unwrap_or(STRANGE),
            };
            let keys = values.iter().map(key).collect();
            let size = values.len();
            columns.push(Coding { place, keys, values, weight: weight.min(TABLE) as u16 });
            weight = weight.saturating_mul(size);
        }
        let table = if weight <= TABLE { weight } else { 0 };
        let mut classifier = Classifier {
            program,
            layout,
            columns,
            table,
            is_race: Vec::new(),
            races: Vec::new(),
            #[cfg(target_arch = "x86_64")]
            wide: std::arch::is_x86_feature_detected!("avx2") && std::arch::is_x86_feature_detected!("popcnt"),
            initial: Vec::new(),
        };
        classifier.is_race = (0..table).map(|index| program.is_race(&classifier.row_of(index))).collect();
        classifier.races = (0..table as u16).filter(|&index| classifier.is_race[usize::from(index)]).collect();
        classifier.initial = program
            .locations
            .iter()
            .enumerate()
            .map(|(id, location)| {
                let value = match location.init {
                    Const::Int(value) => InitialValue::Bits(value as u64),
                    Const::Address(target) => InitialValue::Address(layout.offsets[target]),
                };
                (layout.offsets[id], location.ty.bytes(), value)
            })
            .collect();
        classifier
    }

    fn row_of(&self, mut index: usize) -> Vec<Const> {
        self.columns
            .iter()
            .map(|column| {
                let value = column.values[index % column.values.len()];
                index /= column.values.len();
                value
            })
            .collect()
    }

    /// Writes the initial values of the instances in `range`.
    ///
    /// # Safety
    /// `arena` must hold that many instances of the layout, and nothing else may touch them meanwhile.
    pub unsafe fn reset(&self, arena: *mut u8, range: std::ops::Range<usize>) {
        for &(offset, bytes, value) in &self.initial {
            // SAFETY: inside the instances by the layout, aligned to `bytes` by the layout; the caller vouches for the
            // instances.
            unsafe {
                let first = arena.add(range.start * self.layout.stride + offset);
                let (stride, count) = (self.layout.stride, range.len());
                match (value, bytes) {
                    (InitialValue::Bits(bits), 1) => fill(first, stride, count, bits as u8),
                    (InitialValue::Bits(bits), 2) => fill(first.cast(), stride, count, bits as u16),
                    (InitialValue::Bits(bits), 4) => fill(first.cast(), stride, count, bits as u32),
                    (InitialValue::Bits(bits), _) => fill(first.cast(), stride, count, bits),
                    (InitialValue::Address(target), _) => {
                        for instance in range.clone() {
                            let base = arena.add(instance * stride);
                            base.add(offset).cast::<u64>().write(base.add(target) as u64);
                        }
                    }
                }
            }
        }
    }

    /// Counts the outcomes of the instances in `range` into `counter`.
    ///
    /// # Safety
    /// `arena` and each of `records` must hold the instances and records of a finished batch, and nothing may write to
    /// them meanwhile.
    pub unsafe fn count(
        &self,
        arena: *const u8,
        records: &[*mut u8],
        range: std::ops::Range<usize>,
        skew: usize,
        counter: &mut Counter,
    ) {
        #[cfg(target_arch = "x86_64")]
        if self.wide {
            // SAFETY: `wide` says that this CPU has AVX2; the rest as the caller vouches.
            unsafe { self.count_wide(arena, records, range, skew, counter) };
            return;
        }
        // SAFETY: as the caller vouches.
        unsafe { self.count_all(arena, records, range, skew, counter) };
    }

    /// [`Classifier::count`], compiled for vectors of 32 bytes.
    ///
    /// # Safety
    /// As that, and the CPU must have AVX2.
    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "avx2,popcnt")]
    unsafe fn count_wide(
        &self,
        arena: *const u8,
        records: &[*mut u8],
        range: std::ops::Range<usize>,
        skew: usize,
        counter: &mut Counter,
    ) {
        // SAFETY: as the caller vouches.
        unsafe { self.count_all(arena, records, range, skew, counter) };
    }

    /// [`Classifier::count`] for whatever vectors the function it is inlined into has.
    ///
    /// # Safety
    /// As that.
    #[inline(always)]
    unsafe fn count_all(
        &self,
        arena: *const u8,
        records: &[*mut u8],
        range: std::ops::Range<usize>,
        skew: usize,
        counter: &mut Counter,
    ) {
        let mut from = range.start;
        while from < range.end {
            let to = (from + CHUNK).min(range.end);
            let mut indices = [UNKNOWN; CHUNK];
            if self.table > 0 {
                // SAFETY: as the caller vouches.
                unsafe { self.indices(arena, records, from, to - from, &mut indices) };
            }
            let position = counter.seen + (from - range.start) as u64;
            // A chunk that is cut short is padded with indices that are nobody's.
            let table = &mut counter.table[skew * self.table..(skew + 1) * self.table];
            let known = if self.table <= COMPARED {
                self.compare(&indices, table)
            } else {
                let mut known = 0;
                for &index in &indices[..to - from] {
                    if let Some(count) = table.get_mut(usize::from(index)) {
                        *count += 1;
                        known += 1;
                    }
                }
                known
            };
            let mut racing = [0_u64; CHUNK / 64];
            if self.table > 0 {
                self.racing(&indices, &mut racing);
            }
            if known < to - from {
                for (instance, row) in (from..to).zip(0..) {
                    if indices[row] == UNKNOWN {
                        // SAFETY: as the caller vouches.
                        let values = unsafe { self.row(arena, records, instance) };
                        racing[row / 64] |= u64::from(self.program.is_race(&values)) << (row % 64);
                        *counter.rare.entry((skew, values)).or_default() += 1;
                    }
                }
            }
            for (word, &bits) in racing.iter().enumerate() {
                counter.races += u64::from(bits.count_ones());
                let mut left = bits;
                while left != 0 {
                    counter.race_at(position + (word * 64) as u64 + u64::from(left.trailing_zeros()));
                    left &= left - 1;
                }
            }
            from = to;
        }
        counter.seen += range.len() as u64;
    }

    /// The indices of `count` rows from `first`; those of rows with an unexpected value, and those beyond, are UNKNOWN.
    ///
    /// # Safety
    /// As [`Classifier::count`].
    #[inline(always)]
    unsafe fn indices(
        &self,
        arena: *const u8,
        records: &[*mut u8],
        first: usize,
        count: usize,
        indices: &mut [u16; CHUNK],
    ) {
        let mut sums = [0_u32; CHUNK];
        let mut missing = [0_u32; CHUNK];
        missing[count..].fill(1);
        let mut keys = [STRANGE; CHUNK];
        for column in &self.columns {
            // SAFETY: as the caller vouches.
            unsafe { self.keys(column.place, arena, records, first, &mut keys[..count]) };
            let mut found = [0_u32; CHUNK];
            for (code, &wanted) in column.keys.iter().enumerate() {
                let step = code as u32 * u32::from(column.weight);
                for row in 0..CHUNK {
                    let here = u32::from(keys[row] == wanted);
                    found[row] |= here;
                    sums[row] += here * step;
                }
            }
            for row in 0..CHUNK {
                missing[row] |= 1 - found[row];
            }
        }
        for row in 0..CHUNK {
            // Sums stay below TABLE; what is missing becomes UNKNOWN.
            indices[row] = sums[row] as u16 | (missing[row] as u16).wrapping_neg();
        }
    }

    /// The keys of a column's values in the rows from `first`.
    ///
    /// # Safety
    /// As [`Classifier::count`].
    #[inline(always)]
    unsafe fn keys(&self, place: Place, arena: *const u8, records: &[*mut u8], first: usize, keys: &mut [u32]) {
        let base = place.thread.map_or(arena, |thread| records[thread].cast_const());
        // SAFETY: within the records or instances, which the caller vouches for; so are the reads below.
        let at = unsafe { base.add(first * place.stride + place.offset) };
        let narrow = |value: u64| u32::try_from(value).unwrap_or(STRANGE);
        match (place.ty, place.ty.bytes(), place.stride) {
            (Type::Pointer, ..) => {
                let (instance, stride) =
                    (arena as u64 + (first * self.layout.stride) as u64, self.layout.stride as u64);
                for (row, key) in keys.iter_mut().enumerate() {
                    // SAFETY: see above.
                    let bits = unsafe { at.add(row * place.stride).cast::<u64>().read() };
                    let offset = bits.wrapping_sub(instance + row as u64 * stride);
                    *key = if bits == 0 { 0 } else { narrow(offset.saturating_add(1)) };
                }
            }
            // Side by side: a copy.
            (_, 4, 4) => {
                for (row, key) in keys.iter_mut().enumerate() {
                    // SAFETY: see above.
                    *key = unsafe { at.cast::<u32>().add(row).read() };
                }
            }
            (_, bytes, stride) => {
                for (row, key) in keys.iter_mut().enumerate() {
                    // SAFETY: see above.
                    unsafe {
                        let at = at.add(row * stride);
                        *key = match bytes {
                            1 => at.read().into(),
                            2 => at.cast::<u16>().read().into(),
                            4 => at.cast::<u32>().read(),
                            _ => narrow(at.cast::<u64>().read()),
                        };
                    }
                }
            }
        }
    }

    /// Adds how often each outcome's index is there, by comparing all with each; how many indices were any outcome's.
    #[inline(always)]
    fn compare(&self, indices: &[u16; CHUNK], table: &mut [u64]) -> usize {
        let mut known = 0;
        for (outcome, count) in table.iter_mut().enumerate() {
            // 16 counters of 16 bits each, none of which can overflow.
            let mut lanes = [0_u16; 16];
            for block in indices.chunks_exact(16) {
                for (lane, &index) in lanes.iter_mut().zip(block) {
                    *lane += u16::from(index == outcome as u16);
                }
            }
            let here: u32 = lanes.iter().map(|&lane| u32::from(lane)).sum();
            *count += u64::from(here);
            known += here as usize;
        }
        known
    }

    /// A bit for each row whose index is a race's.
    #[inline(always)]
    fn racing(&self, indices: &[u16; CHUNK], bits: &mut [u64; CHUNK / 64]) {
        if self.races.len() > COMPARED {
            for (row, &index) in indices.iter().enumerate() {
                let race = self.is_race.get(usize::from(index)).copied().unwrap_or(false);
                bits[row / 64] |= u64::from(race) << (row % 64);
            }
            return;
        }
        let mut marks = [0_u8; CHUNK];
        for &race in &self.races {
            for (mark, &index) in marks.iter_mut().zip(indices) {
                *mark |= u8::from(index == race);
            }
        }
        for (word, marks) in bits.iter_mut().zip(marks.chunks_exact(64)) {
            for (byte, marks) in marks.chunks_exact(8).enumerate() {
                let eight = u64::from_le_bytes(marks.try_into().expect("chunks of eight"));
                // Gathers the lowest bit of each byte in the highest byte, in order.
                let gathered = eight.wrapping_mul(0x0102_0408_1020_4080) >> 56;
                *word |= gathered << (8 * byte);
            }
        }
    }

    /// The values of one instance, one by one.
    ///
    /// # Safety
    /// As [`Classifier::count`].
    unsafe fn row(&self, arena: *const u8, records: &[*mut u8], instance: usize) -> Vec<Const> {
        let value = |column: &Coding| {
            let place = column.place;
            let base = place.thread.map_or(arena, |thread| records[thread].cast_const());
            // SAFETY: as the caller vouches.
            unsafe {
                let at = base.add(instance * place.stride + place.offset);
                match (place.ty, place.ty.bytes(), place.ty.signed()) {
                    (Type::Pointer, ..) => {
                        let bits = at.cast::<u64>().read();
                        let offset = bits.wrapping_sub(arena as u64 + (instance * self.layout.stride) as u64) as i64;
                        let known = self.layout.offsets.iter().position(|&known| known as i64 == offset);
                        known.filter(|_| bits != 0).map_or(Const::Int(bits as i64), Const::Address)
                    }
                    (_, 1, true) => Const::Int(at.cast::<i8>().read().into()),
                    (_, 1, false) => Const::Int(at.read().into()),
                    (_, 2, true) => Const::Int(at.cast::<i16>().read().into()),
                    (_, 2, false) => Const::Int(at.cast::<u16>().read().into()),
                    (_, 4, true) => Const::Int(at.cast::<i32>().read().into()),
                    (_, 4, false) => Const::Int(at.cast::<u32>().read().into()),
                    _ => Const::Int(at.cast::<i64>().read()),
                }
            }
        };
        self.columns.iter().map(value).collect()
    }

    /// An empty counter for this many skews.
    pub fn counter(&self, skews: usize) -> Counter {
        Counter {
            table: vec![0; self.table * skews],
            rare: HashMap::new(),
            gaps: vec![0; SHORT_GAPS],
            long_gaps: Vec::new(),
            seen: 0,
            races: 0,
            last_race: None,
        }
    }

    /// Adds what a counter holds to a tally.
    pub fn add_to(&self, counter: &Counter, tally: &mut Tally) {
        for (at, &count) in counter.table.iter().enumerate().filter(|(_, count)| **count > 0) {
            tally.add(at / self.table, self.row_of(at % self.table), count);
        }
        for ((skew, row), &count) in &counter.rare {
            tally.add(*skew, row.clone(), count);
        }
        for (gap, &count) in counter.gaps.iter().enumerate().filter(|(_, count)| **count > 0) {
            // Saturating, so that no gap can fail to be recorded.
            tally.gaps.saturating_record_n(gap as u64, count);
        }
        for &gap in &counter.long_gaps {
            tally.gaps.saturating_record(gap);
        }
    }
}

/// Writes a value `count` times, from `first` on, `stride` bytes apart.
///
/// # Safety
/// All of these places must be there, aligned, and nobody else's meanwhile.
unsafe fn fill<T: Copy>(first: *mut T, stride: usize, count: usize, value: T) {
    if stride == size_of::<T>() {
        // SAFETY: the caller vouches for `count` values side by side, and any bits are a value of an integer type.
        unsafe { std::slice::from_raw_parts_mut(first.cast::<std::mem::MaybeUninit<T>>(), count) }
            .fill(std::mem::MaybeUninit::new(value));
    } else {
        for at in 0..count {
            // SAFETY: as the caller vouches.
            unsafe { first.cast::<u8>().add(at * stride).cast::<T>().write(value) };
        }
    }
}

/// The integers that the test's own text makes likely, in order: constants it stores or compares with, initial values,
/// and the truth values.
fn expected_integers(program: &Program) -> Vec<i64> {
    let mut values = vec![0, 1];
    let mut note = |constant: Const| {
        if let Const::Int(value) = constant {
            values.push(value);
        }
    };
    for thread in &program.threads {
        for op in &thread.ops {
            // The operands of arithmetic seldom come out unchanged.
            if !matches!(op, Op::Binary { op: Binary::Add | Binary::Sub | Binary::Mul, .. }) {
                op.constants().for_each(&mut note);
            }
        }
    }
    program.locations.iter().for_each(|location| note(location.init));
    values.retain(|value| (0..EXPECTED).contains(value));
    values.sort_unstable();
    values.dedup();
    values
}

/// One thread's counts.
#[derive(Debug, Clone)]
pub struct Counter {
    table: Vec<u64>,
    rare: HashMap<(usize, Vec<Const>), u64>,
    gaps: Vec<u64>,
    long_gaps: Vec<u64>,
    /// Instances this thread has classified.
    seen: u64,
    races: u64,
    last_race: Option<u64>,
}

impl Counter {
    /// Races among what was counted.
    pub fn races(&self) -> u64 {
        self.races
    }

    /// Notes a race at this thread's `position`-th instance. A thread classifies a run of neighbouring instances of each
    /// batch; its gaps are counted along the instances it classifies, as if the others' did not exist.
    #[inline]
    fn race_at(&mut self, position: u64) {
        if let Some(last) = self.last_race {
            let gap = position - last;
            match self.gaps.get_mut(gap as usize) {
                Some(count) => *count += 1,
                None if self.long_gaps.len() < 1 << 20 => self.long_gaps.push(gap),
                None => {}
            }
        }
        self.last_race = Some(position);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layout::LayoutKind;
    use crate::litmus::{Source, parse};
    use crate::program::lower;

    /// Classifies hand-made memory of a test with a pointer, an integer, and a variable's final value.
    #[test]
    fn rows_come_out_as_they_went_in() {
        let text = "C t\n{ p=&x; int z = 7; }\nP0(int *x, int **p, int *z) { int *r0; int r1; r0 = READ_ONCE(*p); \
                    r1 = READ_ONCE(*x); WRITE_ONCE(*z, 3); }\nexists (0:r0=x /\\ 0:r1=1 /\\ z=3)";
        let program = lower(&parse(&Source::new("t", text)).unwrap()).unwrap();
        for kind in [LayoutKind::Padded, LayoutKind::Packed, LayoutKind::Dense] {
            let instances = 1000;
            let layout = Layout::for_batch(kind, &program, 64, Some(instances));
            let classifier = Classifier::new(&program, &layout);
            let mut arena = vec![0_u64; layout.bytes(instances) / 8];
            let pointer = arena.as_mut_ptr().cast::<u8>();
            // SAFETY: the vector is that large.
            unsafe { classifier.reset(pointer, 0..instances) };
            let record = SaveRecord::new(&program.threads[0]);
            let mut records = vec![0_u64; record.stride * instances / 8 + 1];
            let saved = records.as_mut_ptr().cast::<u8>();
            let x = program.locations.iter().position(|location| location.name == "x").unwrap();
            for instance in 0..instances {
                let address = pointer as u64 + (instance * layout.stride + layout.offsets[x]) as u64;
                let (r0, r1) = match instance % 4 {
                    0 => (address, 1_i32),
                    1 => (0, 0),
                    2 => (address, -5),       // an integer nobody expects
                    _ => (address + 4096, 1), // another instance's x
                };
                for slot in &record.slots {
                    // SAFETY: inside the records.
                    unsafe {
                        let at = saved.add(instance * record.stride + slot.offset);
                        if slot.bytes == 8 { at.cast::<u64>().write(r0) } else { at.cast::<i32>().write(r1) }
                    }
                }
            }
            let mut counter = classifier.counter(1);
            // SAFETY: both vectors hold `instances` instances.
            unsafe { classifier.count(pointer, &[saved], 0..instances, 0, &mut counter) };
            let mut tally = Tally::new(&[0]);
            classifier.add_to(&counter, &mut tally);
            let outcomes = tally.outcomes();
            let seven = Const::Int(7);
            assert_eq!(outcomes[&vec![Const::Address(x), Const::Int(1), seven]], 250, "{outcomes:?}");
            assert_eq!(outcomes[&vec![Const::Int(0), Const::Int(0), seven]], 250);
            assert_eq!(outcomes[&vec![Const::Address(x), Const::Int(-5), seven]], 250);
            assert_eq!(outcomes.values().sum::<u64>(), 1000);
            assert_eq!(counter.races(), 0, "z is 7, not 3");
        }
    }

    #[test]
    fn gaps_are_counted_between_races() {
        let text = "C t\n{}\nP0(int *x) { int r0; r0 = READ_ONCE(*x); }\nexists (0:r0=1)";
        let program = lower(&parse(&Source::new("t", text)).unwrap()).unwrap();
        let layout = Layout::new(LayoutKind::Padded, &program, 64);
        let classifier = Classifier::new(&program, &layout);
        let mut saved = vec![0_u32; 4000];
        for at in [0, 1, 3, 2003, 3999] {
            saved[at] = 1;
        }
        let records = [saved.as_mut_ptr().cast::<u8>()];
        let mut counter = classifier.counter(1);
        // SAFETY: the arena is not read, since no column is a location; the records are that many.
        unsafe {
            classifier.count(std::ptr::null(), &records, 0..2000, 0, &mut counter);
            classifier.count(std::ptr::null(), &records, 2000..4000, 0, &mut counter);
        }
        let mut tally = Tally::new(&[0]);
        classifier.add_to(&counter, &mut tally);
        assert_eq!(tally.gaps.len(), 4);
        assert_eq!((tally.gaps.count_at(1), tally.gaps.count_at(2)), (1, 1));
        assert_eq!(tally.gaps.count_between(1990, 2010), 2);
        assert_eq!(counter.races(), 5);
    }
}
