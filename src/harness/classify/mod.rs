//! Classification: turns saved registers and final memory into outcome counts.
//!
//! A column has few different values: those that the test stores. Each value gets a small code. The codes of a
//! row form an index, and the indices are counted (`rows`). Values outside the expected set are counted in a
//! map. They come from tests that compute values, from broken code or from broken hardware.
//!
//! When a batch is over, each thread encodes its own save records: it writes what its registers add to the index of each row
//! ([`Classifier::encode`]). Then each thread counts a share of the rows ([`Classifier::count`]). It reads these parts, which take one or two bytes
//! a row, in place of the other threads' records. So fewer lines move between the CPUs, and the records stay in
//! the cache of the CPU that writes them.

mod masks;
mod rows;

use std::collections::HashMap;
use std::ops::Range;

use super::distance::Slot;
use super::gaps::RaceGaps;
use super::last_writers::{LastWriters, Region};
use super::tally::{LastWriterTally, SkewTally, SlotTally, Tally};
use crate::codegen::SaveRecord;
use crate::layout::Layout;
use crate::program::{Binary, Column, Const, Op, Program, Type};
use crate::units::Ticks;
use masks::{BASE, Compare, WORD};
use rows::{CHUNK, COMPARED, Coding, Place, compare, look_up};

/// Integers from 0 to below this are expected if the text of the test contains them. Other values are counted
/// in the map.
const EXPECTED: i64 = 16;
/// Maximum number of outcomes in the table. A test with more is counted in the map.
const TABLE: usize = 1 << 12;

/// Classifies the instances of one test. Immutable and shared by the threads.
#[derive(Debug)]
pub struct Classifier<'a> {
    program: &'a Program,
    layout: &'a Layout,
    last_writers: &'a LastWriters,
    columns: Vec<Coding>,
    /// Number of outcomes in the table; 0 if there would be more than [`TABLE`].
    table: usize,
    /// The threads that write parts of the index, because they have columns.
    encoded: Vec<usize>,
    /// Whether each index is a race, and the list of the indices that are.
    is_race: Vec<bool>,
    races: Vec<usize>,
    /// The same for the outcomes that the filter excludes.
    is_excluded: Vec<bool>,
    excluded: Vec<usize>,
    /// The wide vectors of this CPU, if it has them.
    #[cfg(target_arch = "x86_64")]
    wide: Option<masks::wide::Wide>,
}

/// Memory of a batch.
#[derive(Debug, Clone, Copy)]
pub struct Memory<'a> {
    /// Its first instance.
    pub arena: *const u8,
    /// The first save record of each thread.
    pub records: &'a [*mut u8],
    /// For each thread, the memory for its parts of the indices: [`PART_BYTES`] for each instance, aligned to that.
    pub parts: &'a [*mut u8],
}

/// The most bytes that a thread's part of an index takes.
pub const PART_BYTES: usize = 2;

/// What all instances of a batch have in common.
#[derive(Debug, Clone, Copy)]
pub struct BatchContext<'a> {
    /// Index of their skew.
    pub skew: usize,
    /// Whether their lines were prefetched.
    pub prefetch: bool,
    /// The last writers of their lines.
    pub region: &'a Region<'a>,
}

/// Counts of some batches.
#[derive(Debug, Clone)]
struct Counts {
    /// One outcome table per skew, one after the other.
    table: Vec<u64>,
    /// Counts of rows without a table entry, by skew and outcome.
    rare: HashMap<(usize, Vec<Const>), u64>,
    /// Iterations and races for each last-writer pattern: first without prefetch, then with prefetch.
    by_last_writers: Vec<[u64; 2]>,
}

/// Counts of one thread.
#[derive(Debug, Clone)]
pub struct Counter {
    /// Counts that belong to no slot yet (module `distance`).
    open: Counts,
    /// For each skew, whether `open` has counts in the table.
    used: Vec<bool>,
    /// The counts of each slot that has any.
    slots: Vec<Option<Counts>>,
    /// Gaps along the instances that pass the filter.
    gaps: RaceGaps,
    races: u64,
}

impl Counter {
    /// Moves the counts since the last call to a slot.
    pub fn settle(&mut self, slot: Slot) {
        let at = usize::from(slot);
        if self.slots.len() <= at {
            self.slots.resize(at + 1, None);
        }
        let open = &mut self.open;
        let counts = self.slots[at].get_or_insert_with(|| Counts {
            table: vec![0; open.table.len()],
            rare: HashMap::new(),
            by_last_writers: vec![[0; 2]; open.by_last_writers.len()],
        });
        let size = open.table.len() / self.used.len().max(1);
        for skew in (0..self.used.len()).filter(|&skew| std::mem::take(&mut self.used[skew])) {
            let own = skew * size..(skew + 1) * size;
            for (sum, count) in counts.table[own.clone()].iter_mut().zip(&mut open.table[own]) {
                *sum += std::mem::take(count);
            }
        }
        for (row, count) in open.rare.drain() {
            *counts.rare.entry(row).or_default() += count;
        }
        for (sum, count) in counts.by_last_writers.iter_mut().zip(&mut open.by_last_writers) {
            let [iterations, races] = std::mem::take(count);
            sum[0] += iterations;
            sum[1] += races;
        }
    }

    /// Number of counted instances that pass the filter.
    pub fn seen(&self) -> u64 {
        self.gaps.seen()
    }

    /// Number of races among them.
    pub fn races(&self) -> u64 {
        self.races
    }
}

impl<'a> Classifier<'a> {
    /// A classifier for a program, the layout of its instances and their last-writer patterns.
    pub fn new(program: &'a Program, layout: &'a Layout, last_writers: &'a LastWriters) -> Classifier<'a> {
        let records: Vec<SaveRecord> = program.threads.iter().map(SaveRecord::new).collect();
        let [integers, pointers] = [false, true].map(|pointers| expected(program, pointers));
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
            let values = if place.ty == Type::Pointer { pointers.clone() } else { integers.clone() };
            let size = values.len();
            columns.push(Coding::new(place, values, weight.min(TABLE)));
            weight = weight.saturating_mul(size);
        }
        let table = if weight <= TABLE && columns.iter().all(Coding::complete) { weight } else { 0 };
        let has_columns = |number: &usize| columns.iter().any(|column| column.place.thread == Some(*number));
        let encoded = (0..records.len()).filter(|number| table > 0 && has_columns(number)).collect();
        let mut classifier = Classifier {
            program,
            layout,
            last_writers,
            columns,
            table,
            encoded,
            is_race: Vec::new(),
            races: Vec::new(),
            is_excluded: Vec::new(),
            excluded: Vec::new(),
            #[cfg(target_arch = "x86_64")]
            wide: masks::wide::Wide::detect(),
        };
        classifier.is_race = (0..table).map(|index| program.is_race(&classifier.row_of(index))).collect();
        classifier.races = (0..table).filter(|&index| classifier.is_race[index]).collect();
        classifier.is_excluded = (0..table).map(|index| !program.passes(&classifier.row_of(index))).collect();
        classifier.excluded = (0..table).filter(|&index| classifier.is_excluded[index]).collect();
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

    /// Whether outcomes are read from the instances in the arena. If so, they must be classified before they
    /// are reset.
    pub fn reads_memory(&self) -> bool {
        self.columns.iter().any(|column| column.place.thread.is_none())
    }

    /// An empty counter for the given number of skews.
    pub fn counter(&self, skews: usize) -> Counter {
        Counter {
            open: Counts {
                table: vec![0; self.table * skews],
                rare: HashMap::new(),
                by_last_writers: vec![[0; 2]; 2 * self.last_writers.kinds()],
            },
            used: vec![false; skews],
            slots: Vec::new(),
            gaps: RaceGaps::new(),
            races: 0,
        }
    }

    /// The part of a batch that thread `number` classifies. The parts of all threads make up the batch.
    ///
    /// Parts begin at multiples of [`LastWriters::ALIKE`]. All instances between two such multiples have the same
    /// last-writer pattern, so [`Classifier::count`] looks it up once per word and not once per instance.
    pub fn share(&self, batch: usize, number: usize) -> Range<usize> {
        let threads = self.program.threads.len();
        // P0 has the last part, which is never empty: it selects skews by what it counted.
        let number = threads - 1 - number;
        let begin = |number: usize| batch * number / threads / LastWriters::ALIKE * LastWriters::ALIKE;
        begin(number)..if number + 1 == threads { batch } else { begin(number + 1) }
    }

    /// Encodes the first `count` save records of thread `number`, for [`Classifier::count`].
    ///
    /// # Safety
    /// `memory` must hold the records of a finished batch of at least `count` instances. During the call nothing else may access this
    /// thread's parts, and nothing may write to its records.
    pub unsafe fn encode(&self, memory: Memory<'_>, number: usize, count: usize) {
        if !self.encoded.contains(&number) {
            return;
        }
        #[cfg(target_arch = "x86_64")]
        if self.wide.is_some() {
            // SAFETY: `wide` says that this CPU has the instructions. The caller guarantees the rest.
            unsafe { self.encode_wide(memory, number, count) };
            return;
        }
        // SAFETY: guaranteed by the caller.
        unsafe { self.encode_in(memory, number, count) };
    }

    /// [`Classifier::encode`], compiled for 32-byte vectors.
    ///
    /// # Safety
    /// As [`Classifier::encode`]. In addition, the CPU must have what [`masks::wide::Wide`] says.
    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "avx2,popcnt,lzcnt,bmi1,bmi2")]
    unsafe fn encode_wide(&self, memory: Memory<'_>, number: usize, count: usize) {
        // SAFETY: guaranteed by the caller.
        unsafe { self.encode_in(memory, number, count) };
    }

    /// [`Classifier::encode`], compiled for the vector instructions of the function it is inlined into.
    ///
    /// # Safety
    /// As [`Classifier::encode`].
    #[inline(always)]
    unsafe fn encode_in(&self, memory: Memory<'_>, number: usize, count: usize) {
        // SAFETY: guaranteed by the caller.
        unsafe {
            match self.table {
                0..=0xff => self.encode_all::<u8>(memory, number, count),
                _ => self.encode_all::<u16>(memory, number, count),
            }
        }
    }

    /// Adds the outcomes of the instances in `range` to `counter`. The range is a thread's share, or starts at
    /// a multiple of [`LastWriters::ALIKE`] like one.
    ///
    /// # Safety
    /// `memory` must hold the instances and records of a finished batch, and all threads must have encoded these instances. Nothing
    /// may write to them during the call.
    pub unsafe fn count(
        &self,
        memory: Memory<'_>,
        range: Range<usize>,
        context: BatchContext<'_>,
        counter: &mut Counter,
    ) {
        #[cfg(target_arch = "x86_64")]
        if let Some(wide) = self.wide {
            // SAFETY: `wide` says that this CPU has the instructions. The caller guarantees the rest.
            unsafe { self.count_wide(memory, range, context, counter, wide) };
            return;
        }
        // SAFETY: guaranteed by the caller.
        unsafe { self.count_all(memory, range, context, counter, BASE) };
    }

    /// [`Classifier::count`], compiled for 32-byte vectors.
    ///
    /// # Safety
    /// As [`Classifier::count`]. In addition, the CPU must have what [`masks::wide::Wide`] says.
    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "avx2,popcnt,lzcnt,bmi1,bmi2")]
    unsafe fn count_wide(
        &self,
        memory: Memory<'_>,
        range: Range<usize>,
        context: BatchContext<'_>,
        counter: &mut Counter,
        wide: masks::wide::Wide,
    ) {
        // SAFETY: guaranteed by the caller.
        unsafe { self.count_all(memory, range, context, counter, wide) };
    }

    /// [`Classifier::count`], compiled for the vector instructions of the function it is inlined into.
    ///
    /// # Safety
    /// As [`Classifier::count`].
    #[inline(always)]
    unsafe fn count_all(
        &self,
        memory: Memory<'_>,
        range: Range<usize>,
        context: BatchContext<'_>,
        counter: &mut Counter,
        comparison: impl Compare,
    ) {
        let BatchContext { skew, prefetch, region } = context;
        let first = if prefetch { self.last_writers.kinds() } else { 0 };
        let Counter { open, used, gaps, races: all_races, .. } = counter;
        used[skew] = true;
        for from in range.clone().step_by(CHUNK) {
            let rows = CHUNK.min(range.end - from);
            let table = &mut open.table[skew * self.table..(skew + 1) * self.table];
            // SAFETY: guaranteed by the caller.
            let mut chunk = unsafe {
                match self.table {
                    0 => rows::Chunk::unknown(rows),
                    size if size <= COMPARED => {
                        self.chunk(memory, from, rows, |words| compare(words, table, comparison), comparison)
                    }
                    size if size <= 0xff => {
                        self.chunk(memory, from, rows, |words| look_up::<u8>(words, table), comparison)
                    }
                    _ => self.chunk(memory, from, rows, |words| look_up::<u16>(words, table), comparison),
                }
            };
            for word in 0..rows.div_ceil(WORD) {
                let mut left = chunk.unknown[word];
                while left != 0 {
                    let row = left.trailing_zeros();
                    // SAFETY: guaranteed by the caller.
                    let values = unsafe { self.row(memory, from + WORD * word + row as usize) };
                    chunk.races[word] |= u64::from(self.program.is_race(&values)) << row;
                    chunk.excluded[word] |= u64::from(!self.program.passes(&values)) << row;
                    *open.rare.entry((skew, values)).or_default() += 1;
                    left &= left - 1;
                }
            }
            for (word, (&races, &excluded)) in
                chunk.races.iter().zip(&chunk.excluded).enumerate().take(rows.div_ceil(WORD))
            {
                let rows = (rows - WORD * word).min(WORD);
                let (races, rows) = if excluded == 0 { (races, rows) } else { passing(races, excluded, rows) };
                let raced = u64::from(races.count_ones());
                let start = &mut open.by_last_writers[first + region.kind(from + WORD * word)];
                start[0] += rows as u64;
                start[1] += raced;
                *all_races += raced;
                gaps.note(races, rows);
            }
        }
    }

    /// Reads the values of one instance without codes or vectors.
    ///
    /// # Safety
    /// As [`Classifier::count`].
    unsafe fn row(&self, memory: Memory<'_>, instance: usize) -> Vec<Const> {
        let value = |column: &Coding| {
            let place = column.place;
            // SAFETY: guaranteed by the caller.
            unsafe {
                let at = place.first(memory).add(instance * place.stride);
                match (place.ty, place.ty.bytes(), place.ty.signed()) {
                    (Type::Pointer, ..) => {
                        let bits = at.cast::<u64>().read();
                        let base = memory.arena as u64 + (instance * self.layout.stride) as u64;
                        let offset = bits.wrapping_sub(base);
                        let known = self.layout.offsets.iter().position(|&known| known as u64 == offset);
                        known.filter(|_| bits != 0).map_or(Const::Int(bits.cast_signed()), Const::Address)
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

    /// Adds the counts of a counter to a tally.
    pub fn add_to(&self, counter: &Counter, tally: &mut Tally) {
        tally.filtered += self.add_counts(&counter.open, &mut tally.skews, &mut tally.last_writers);
        for (at, counts) in counter.slots.iter().enumerate() {
            let Some(counts) = counts else { continue };
            tally.filtered += self.add_counts(counts, &mut tally.skews, &mut tally.last_writers);
            let SlotTally { skews, last_writers } = tally.slot(at);
            self.add_counts(counts, skews, last_writers);
        }
        counter.gaps.add_to(&mut tally.gaps);
    }

    /// The counts by skew of some slots, and of what is not settled yet.
    pub fn by_skew(&self, counter: &Counter, slots: &[Slot], skews: &[Ticks]) -> Vec<SkewTally> {
        let mut tally = SlotTally::new(skews.iter().copied());
        let settled = slots.iter().filter_map(|slot| counter.slots.get(usize::from(*slot))?.as_ref());
        for counts in settled.chain([&counter.open]) {
            self.add_counts(counts, &mut tally.skews, &mut tally.last_writers);
        }
        tally.skews
    }

    /// Adds counts to those by skew and by last writers. Returns the number of instances that the filter excludes.
    fn add_counts(&self, counts: &Counts, skews: &mut [SkewTally], writers: &mut Vec<LastWriterTally>) -> u64 {
        let mut filtered = 0;
        let mut add = |skew: usize, row: Vec<Const>, count: u64| {
            *skews[skew].outcomes.entry(row).or_default() += count;
        };
        for (at, &count) in counts.table.iter().enumerate().filter(|(_, count)| **count > 0) {
            if self.is_excluded[at % self.table] {
                filtered += count;
            } else {
                add(at / self.table, self.row_of(at % self.table), count);
            }
        }
        for ((skew, row), &count) in &counts.rare {
            if self.program.passes(row) {
                add(*skew, row.clone(), count);
            } else {
                filtered += count;
            }
        }
        if writers.is_empty() {
            let kinds = self.last_writers.kinds();
            let none = |at: usize| LastWriterTally {
                prefetched: at >= kinds,
                writers: self.last_writers.writers(at % kinds).to_vec(),
                iterations: 0,
                races: 0,
            };
            *writers = (0..2 * kinds).map(none).collect();
        }
        for (sum, [iterations, races]) in writers.iter_mut().zip(&counts.by_last_writers) {
            sum.iterations += iterations;
            sum.races += races;
        }
        filtered
    }
}

/// Removes the rows that fail the filter from at most 64 rows. Returns one bit per remaining row, set if the
/// row raced, and the number of remaining rows.
#[cold]
fn passing(races: u64, excluded: u64, rows: usize) -> (u64, usize) {
    let (mut moved, mut passed) = (0, 0);
    for row in (0..rows).filter(|row| excluded >> row & 1 == 0) {
        moved |= (races >> row & 1) << passed;
        passed += 1;
    }
    (moved, passed)
}

/// The values that the text of the test makes likely, in ascending order: constants that it stores or compares
/// with, initial values, and 0 and 1 (for pointers: NULL).
fn expected(program: &Program, pointers: bool) -> Vec<Const> {
    let mut values = if pointers { vec![Const::Int(0)] } else { vec![Const::Int(0), Const::Int(1)] };
    for thread in &program.threads {
        for op in &thread.ops {
            // Operands of arithmetic seldom appear unchanged in a register or variable.
            if !matches!(op, Op::Binary { op: Binary::Add | Binary::Sub | Binary::Mul, .. }) {
                values.extend(op.constants());
            }
        }
    }
    let assembly = program.threads.iter().filter_map(|thread| thread.assembly.as_ref());
    values.extend(assembly.flat_map(|assembly| assembly.values.iter().chain(assembly.initial.iter().map(|(_, v)| v))));
    values.extend(program.locations.iter().map(|location| location.init));
    values.retain(|value| match *value {
        Const::Int(value) => {
            if pointers {
                value == 0
            } else {
                (0..EXPECTED).contains(&value)
            }
        }
        Const::Address(_) => pointers,
    });
    values.sort_unstable();
    values.dedup();
    values
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::harness::initial::InitialState;
    use crate::layout::LayoutKind;
    use crate::litmus::{Source, parse};
    use crate::program::lower;

    /// `instances` instances with their initial values, and as many save records of P0.
    fn fresh(program: &Program, layout: &Layout, instances: usize) -> (Vec<u64>, Vec<u64>) {
        let mut arena = vec![0_u64; layout.bytes(instances).unwrap() / 8];
        let (state, last_writers) = (InitialState::new(program, layout), LastWriters::new(program, layout, 1));
        // SAFETY: the vector is large enough.
        unsafe {
            state.settle(arena.as_mut_ptr().cast(), &last_writers, instances);
            state.reset(arena.as_mut_ptr().cast(), &last_writers.region(instances, 0), instances, 0);
        }
        (arena, vec![0_u64; SaveRecord::new(&program.threads[0]).stride * instances / 8 + 1])
    }

    /// The classifiers to compare: the default one (32-byte vectors where the CPU has them), and one without
    /// them.
    fn ways<'a>(program: &'a Program, layout: &'a Layout, last_writers: &'a LastWriters) -> Vec<Classifier<'a>> {
        #[allow(unused_mut, reason = "only x86-64 has a choice")]
        let mut narrow = Classifier::new(program, layout, last_writers);
        #[cfg(target_arch = "x86_64")]
        {
            narrow.wide = None;
        }
        vec![Classifier::new(program, layout, last_writers), narrow]
    }

    /// Encodes the records of all threads, then counts a range of the instances.
    ///
    /// # Safety
    /// As [`Classifier::count`], but for the parts.
    unsafe fn count(
        classifier: &Classifier<'_>,
        (arena, records): (*const u8, &[*mut u8]),
        range: Range<usize>,
        context: BatchContext<'_>,
        counter: &mut Counter,
    ) {
        let mut parts = vec![vec![0_u16; range.end]; records.len()];
        let parts: Vec<*mut u8> = parts.iter_mut().map(|parts| parts.as_mut_ptr().cast()).collect();
        let memory = Memory { arena, records, parts: &parts };
        // SAFETY: the parts hold all instances up to the end of the range. The caller guarantees the rest.
        unsafe {
            (0..records.len()).for_each(|number| classifier.encode(memory, number, range.end));
            classifier.count(memory, range, context, counter);
        }
    }

    /// The context of a batch without prefetch, at the only skew.
    fn context<'a>(region: &'a Region<'a>) -> BatchContext<'a> {
        BatchContext { skew: 0, prefetch: false, region }
    }

    /// Classifies hand-made memory of a test that has a pointer, an integer and a final value of a variable.
    #[test]
    fn rows_come_out_as_they_went_in() {
        let text = "C t\n{ p=&x; int z = 7; }\nP0(int *x, int **p, int *z) { int *r0; int r1; r0 = READ_ONCE(*p); \
                    r1 = READ_ONCE(*x); WRITE_ONCE(*z, 3); }\nexists (0:r0=x /\\ 0:r1=1 /\\ z=3)";
        let program = lower(&parse(&Source::new("t", text)).unwrap()).unwrap();
        for kind in [LayoutKind::Padded, LayoutKind::Packed, LayoutKind::Dense] {
            let instances = 1000;
            let layout = Layout::for_batch(kind, &program, 64, Some(instances)).unwrap();
            let last_writers = LastWriters::new(&program, &layout, program.threads.len());
            let classifier = Classifier::new(&program, &layout, &last_writers);
            let record = SaveRecord::new(&program.threads[0]);
            let (mut arena, mut records) = fresh(&program, &layout, instances);
            let (pointer, saved) = (arena.as_mut_ptr().cast::<u8>(), records.as_mut_ptr().cast::<u8>());
            let x = program.locations.iter().position(|location| location.name == "x").unwrap();
            for instance in 0..instances {
                let address = pointer as u64 + (instance * layout.stride + layout.offsets[x]) as u64;
                let (r0, r1) = match instance % 4 {
                    0 => (address, 1_i32),
                    1 => (0, 0),
                    2 => (address, -5),       // an integer that is not expected
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
            unsafe {
                count(
                    &classifier,
                    (pointer, &[saved]),
                    0..instances,
                    context(&last_writers.region(instances, 0)),
                    &mut counter,
                )
            };
            let mut tally = Tally::new(&[Ticks(0)]);
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

    /// The counts of a batch go to the slot that is named after it, and the sum has all of them.
    #[test]
    fn counts_are_settled_once_and_the_sum_has_them_all() {
        let text = "C t\n{}\nP0(int *x) { int r0; r0 = READ_ONCE(*x); }\nexists (0:r0=1)";
        let program = lower(&parse(&Source::new("t", text)).unwrap()).unwrap();
        let layout = Layout::new(LayoutKind::Padded, &program, 64).unwrap();
        let last_writers = LastWriters::new(&program, &layout, program.threads.len());
        let classifier = Classifier::new(&program, &layout, &last_writers);
        let region = last_writers.region(1000, 0);
        let mut counter = classifier.counter(2);
        // 0, 1 (the race), and a value that has no place in the table.
        let mut batch = |skew: usize, races: usize, strange: usize, slot: Option<Slot>| {
            let mut saved = vec![0_u32; 1000];
            saved[..races].fill(1);
            saved[races..races + strange].fill(77);
            let records = [saved.as_mut_ptr().cast::<u8>()];
            let memory = (std::ptr::null(), &records[..]);
            // SAFETY: the records hold 1000 instances of four bytes, and nothing is read from the instances.
            unsafe { count(&classifier, memory, 0..1000, BatchContext { skew, ..context(&region) }, &mut counter) };
            slot.into_iter().for_each(|slot| counter.settle(slot));
        };
        batch(0, 10, 1, Some(2));
        batch(1, 20, 0, None);
        batch(0, 30, 2, Some(1));
        batch(1, 40, 3, Some(2));
        batch(1, 50, 0, None);
        let mut tally = Tally::new(&[0, 5].map(Ticks));
        classifier.add_to(&counter, &mut tally);
        let counts = |skews: &[SkewTally]| {
            let of = |skew: &SkewTally, value| skew.outcomes.get(&vec![Const::Int(value)]).copied().unwrap_or(0);
            skews.iter().map(|skew| [0, 1, 77].map(|value| of(skew, value))).collect::<Vec<_>>()
        };
        assert_eq!(counts(&tally.skews), [[1957, 40, 3], [2887, 110, 3]]);
        assert_eq!(
            tally.slots.iter().map(|slot| counts(&slot.skews)).collect::<Vec<_>>(),
            [[[0, 0, 0], [0, 0, 0]], [[968, 30, 2], [980, 20, 0]], [[989, 10, 1], [957, 40, 3]],]
        );
        let writers = |writers: &[LastWriterTally]| {
            writers.iter().fold((0, 0), |sum, start| (sum.0 + start.iterations, sum.1 + start.races))
        };
        let skews = [0, 5].map(Ticks);
        assert_eq!(counts(&classifier.by_skew(&counter, &[2], &skews)), [[989, 10, 1], [1907, 90, 3]]);
        assert_eq!(counts(&classifier.by_skew(&counter, &[], &skews)), [[0, 0, 0], [950, 50, 0]]);
        assert_eq!(writers(&tally.last_writers), (5000, 150));
        assert_eq!(
            tally.slots.iter().map(|slot| writers(&slot.last_writers)).collect::<Vec<_>>(),
            [(0, 0), (2000, 50), (2000, 50),]
        );
    }

    #[test]
    fn gaps_are_counted_between_races() {
        let text = "C t\n{}\nP0(int *x) { int r0; r0 = READ_ONCE(*x); }\nexists (0:r0=1)";
        let program = lower(&parse(&Source::new("t", text)).unwrap()).unwrap();
        let layout = Layout::new(LayoutKind::Padded, &program, 64).unwrap();
        let last_writers = LastWriters::new(&program, &layout, program.threads.len());
        let classifier = Classifier::new(&program, &layout, &last_writers);
        let mut saved = vec![0_u32; 4000];
        for at in [0, 1, 3, 2003, 3999] {
            saved[at] = 1;
        }
        let records = [saved.as_mut_ptr().cast::<u8>()];
        let mut counter = classifier.counter(1);
        let memory = (std::ptr::null(), &records[..]);
        let region = last_writers.region(4000, 0);
        // SAFETY: no column is a location, so the arena is not read. The records hold 4000 instances.
        unsafe {
            count(&classifier, memory, 0..2000, context(&region), &mut counter);
            count(&classifier, memory, 2000..4000, context(&region), &mut counter);
        }
        let mut tally = Tally::new(&[Ticks(0)]);
        classifier.add_to(&counter, &mut tally);
        assert_eq!(tally.gaps.len(), 4);
        assert_eq!((tally.gaps.count_at(1), tally.gaps.count_at(2)), (1, 1));
        assert_eq!(tally.gaps.count_between(1990, 2010), 2);
        assert_eq!(counter.races(), 5);
    }

    #[test]
    fn races_are_counted_by_how_their_instances_began() {
        let text = "C t\n{}\nP0(int *x, int *y) { int r0; r0 = READ_ONCE(*x); }\n\
                    P1(int *x, int *y) { int r0; r0 = READ_ONCE(*y); }\nexists (0:r0=1 /\\ 1:r0=0)";
        let program = lower(&parse(&Source::new("t", text)).unwrap()).unwrap();
        let layout = Layout::new(LayoutKind::Padded, &program, 64).unwrap();
        let last_writers = LastWriters::new(&program, &layout, program.threads.len());
        let classifier = Classifier::new(&program, &layout, &last_writers);
        let batch = 1000;
        let regions = [5, 6].map(|round| last_writers.region(batch, round));
        let raced = |instance: usize| instance.is_multiple_of(7) || instance.is_multiple_of(64);
        let mut saved = [(0..batch).map(|at| u32::from(raced(at))).collect(), vec![0_u32; batch]];
        let records = saved.each_mut().map(|saved| saved.as_mut_ptr().cast::<u8>());
        let mut tally = Tally::new(&[Ticks(0)]);
        for number in 0..2 {
            let mut counter = classifier.counter(1);
            for prefetch in [false, true, true] {
                let context = BatchContext { skew: 0, prefetch, region: &regions[usize::from(prefetch)] };
                let memory = (std::ptr::null(), &records[..]);
                // SAFETY: no column is a location, so the arena is not read. The records hold `batch`
                // instances.
                unsafe { count(&classifier, memory, classifier.share(batch, number), context, &mut counter) };
            }
            classifier.add_to(&counter, &mut tally);
        }
        assert_eq!(tally.last_writers.len(), 2 * 4);
        for start in &tally.last_writers {
            let kind = |at| regions[usize::from(start.prefetched)].kind(at);
            let alike = || (0..batch).filter(|&at| last_writers.writers(kind(at)) == start.writers);
            let batches = if start.prefetched { 2 } else { 1 };
            assert_eq!(start.iterations, batches * alike().count() as u64, "{start:?}");
            assert_eq!(start.races, batches * alike().filter(|&at| raced(at)).count() as u64, "{start:?}");
        }
    }

    /// Instances that fail the filter are counted as filtered and nowhere else, whether their outcome is in the
    /// table or not. Gaps are counted along the instances that pass.
    #[test]
    fn what_the_filter_excludes_is_no_iteration() {
        let text = "C t\n{}\nP0(int *x, int *y) { int r0; int r1; r0 = READ_ONCE(*x); r1 = READ_ONCE(*y); }\n\
                    filter (0:r0=1)\nexists (0:r1=1)";
        let program = lower(&parse(&Source::new("t", text)).unwrap()).unwrap();
        let layout = Layout::new(LayoutKind::Padded, &program, 64).unwrap();
        let last_writers = LastWriters::new(&program, &layout, 1);
        let batch = 1000;
        // Two values with a code, and one without.
        let r0 = |at: usize| [1, 0, 7_777, 1, 1][at % 5];
        let r1 = |at: usize| u32::from(at.is_multiple_of(3));
        let record = SaveRecord::new(&program.threads[0]);
        let mut saved = vec![0_u32; record.stride * batch / 4];
        for at in 0..batch {
            for slot in &record.slots {
                let name = &program.threads[0].registers[slot.register].name;
                saved[(at * record.stride + slot.offset) / 4] = if name == "r0" { r0(at) } else { r1(at) };
            }
        }
        let passed: Vec<usize> = (0..batch).filter(|&at| r0(at) == 1).collect();
        let raced: Vec<usize> = (0..passed.len()).filter(|&at| r1(passed[at]) == 1).collect();
        let mut gaps = crate::harness::gap_histogram();
        raced.windows(2).for_each(|pair| gaps.record((pair[1] - pair[0]) as u64).unwrap());
        for classifier in ways(&program, &layout, &last_writers) {
            let mut counter = classifier.counter(1);
            let records = [saved.as_mut_ptr().cast::<u8>()];
            let memory = (std::ptr::null(), &records[..]);
            // SAFETY: no column is a location, so the arena is not read. The records hold `batch` instances.
            unsafe { count(&classifier, memory, 0..batch, context(&last_writers.region(batch, 0)), &mut counter) };
            let mut tally = Tally::new(&[Ticks(0)]);
            classifier.add_to(&counter, &mut tally);
            assert_eq!(tally.filtered, 400);
            assert_eq!((counter.seen(), counter.races()), (600, raced.len() as u64));
            let outcomes = tally.outcomes();
            assert_eq!(outcomes.values().sum::<u64>(), 600);
            assert!(outcomes.keys().all(|row| program.passes(row)), "{outcomes:?}");
            let sums = tally
                .last_writers
                .iter()
                .fold((0, 0), |(all, races), start| (all + start.iterations, races + start.races));
            assert_eq!(sums, (600, raced.len() as u64));
            assert!(tally.gaps == gaps);
        }
    }

    /// Classifies random rows of two threads in tables of the sizes at which another way of counting begins. P0 has a pointer, P1 an integer. Counts
    /// and last writers are those of a classification row by row.
    #[test]
    fn tables_of_every_width_are_counted_as_one_by_one() {
        use std::fmt::Write as _;
        for (targets, integers, table) in [(5, 4, 24), (4, 5, 25), (126, 2, 254), (16, 15, 255), (127, 2, 256)] {
            let (mut parameters, mut init, mut stores) = ("int **p, int *v".to_owned(), String::new(), String::new());
            for target in 0..targets {
                write!(parameters, ", int *t{target}").unwrap();
                write!(init, "int *q{target}=&t{target}; ").unwrap();
            }
            (0..integers).for_each(|value| write!(stores, "WRITE_ONCE(*v, {value}); ").unwrap());
            let text = format!(
                "C t\n{{ {init} }}\nP0({parameters}) {{ int *r0; {stores} r0 = READ_ONCE(*p); }}\n\
                 P1(int *v) {{ int r1; r1 = READ_ONCE(*v); }}\nfilter (1:r1=0 \\/ 1:r1=1)\nexists (0:r0=0 /\\ 1:r1=1)"
            );
            let program = lower(&parse(&Source::new("t", text.as_str())).unwrap()).unwrap();
            let layout = Layout::new(LayoutKind::Packed, &program, 64).unwrap();
            let last_writers = LastWriters::new(&program, &layout, 2);
            let ways = ways(&program, &layout, &last_writers);
            assert_eq!(ways[0].table, table);
            for rows in [1, 63, 65, 1025, 2112] {
                rows_of_two_threads(&program, &layout, &ways, (rows, integers, table as u64));
            }
        }
    }

    /// Random rows of the test above, of which a tenth have values that have no code.
    fn rows_of_two_threads(
        program: &Program,
        layout: &Layout,
        ways: &[Classifier<'_>],
        (rows, integers, seed): (usize, u32, u64),
    ) {
        let mut random = fastrand::Rng::with_seed(seed);
        let (mut arena, mut pointers) = fresh(program, layout, rows);
        let base = arena.as_mut_ptr().cast::<u8>();
        let strange = |random: &mut fastrand::Rng| random.u8(..10) == 0;
        for (row, pointer) in pointers.iter_mut().enumerate() {
            let target = random.usize(..=layout.offsets.len());
            let address = |offset: usize| base as u64 + (row * layout.stride + offset) as u64;
            *pointer = match target.checked_sub(1) {
                _ if strange(&mut random) => address(0) + 3,
                None => 0,
                Some(at) => address(layout.offsets[at]),
            };
        }
        let value = |random: &mut fastrand::Rng| if strange(random) { 255 } else { random.u32(..integers) };
        let mut values: Vec<u32> = (0..rows).map(|_| value(&mut random)).collect();
        let records = [pointers.as_mut_ptr().cast::<u8>(), values.as_mut_ptr().cast::<u8>()];
        let region = ways[0].last_writers.region(rows, 3);
        let mut expected = crate::harness::OutcomeCounts::new();
        let mut by_writers = vec![[0; 2]; 2 * ways[0].last_writers.kinds()];
        for instance in 0..rows {
            // SAFETY: the arena and the records hold all rows.
            let row = unsafe { ways[0].row(Memory { arena: base, records: &records, parts: &[] }, instance) };
            if program.passes(&row) {
                let writers = &mut by_writers[region.kind(instance)];
                writers[0] += 1;
                writers[1] += u64::from(program.is_race(&row));
                *expected.entry(row).or_default() += 1;
            }
        }
        for classifier in ways {
            let mut counter = classifier.counter(1);
            for number in 0..2 {
                let share = classifier.share(rows, number);
                // SAFETY: as above.
                unsafe { count(classifier, (base, &records), share, context(&region), &mut counter) };
            }
            let mut tally = Tally::new(&[Ticks(0)]);
            classifier.add_to(&counter, &mut tally);
            assert_eq!(tally.outcomes(), expected, "{} outcomes, {rows} rows", classifier.table);
            assert_eq!(counter.open.by_last_writers, by_writers);
        }
    }

    proptest::proptest! {
        /// For any memory contents, counting many rows at once gives the same result as reading them one by
        /// one. Covers narrow and wide indices, outcomes counted by comparison and by table, tests too large
        /// for a table, values without a code, and batches of any length.
        #[test]
        fn many_rows_are_counted_as_one_by_one(
            columns in proptest::collection::vec(0_usize..6, 1..5),
            constants in 1_usize..16,
            cells in proptest::collection::vec(0_usize..40, 1..2500),
            cuts in proptest::collection::vec(1_usize..2200, 1..4),
        ) {
            use std::fmt::Write as _;
            let types = ["int", "unsigned int", "long", "short", "char", "int *"];
            let mut body = String::new();
            let mut condition = vec!["true".to_owned()];
            for (number, &column) in columns.iter().enumerate() {
                let ty = types[column];
                let source = if column == 5 { "p".to_owned() } else { format!("v{column}") };
                write!(body, "{ty} r{number}; r{number} = READ_ONCE(*{source}); ").unwrap();
                let value = if column == 5 { "v0" } else { "1" };
                condition.push(format!("(0:r{number}={value} \\/ 0:r{number}=0)"));
            }
            for constant in 0..constants {
                write!(body, "WRITE_ONCE(*v0, {constant}); ").unwrap();
            }
            let text = format!(
                "C t\n{{ p=&v0; }}\nP0(int *v0, unsigned int *v1, long *v2, short *v3, char *v4, int **p) {{ {body} }}\n\
                 exists ({} /\\ v0=0)",
                condition.join(" /\\ ")
            );
            let program = lower(&parse(&Source::new("t", text.as_str())).unwrap()).unwrap();
            let instances = cells.len();
            let layout = Layout::new(LayoutKind::Packed, &program, 64).unwrap();
            let last_writers = LastWriters::new(&program, &layout, program.threads.len());
            let ways = ways(&program, &layout, &last_writers);
            let record = SaveRecord::new(&program.threads[0]);
            let (mut arena, mut saved) = fresh(&program, &layout, instances);
            let base = arena.as_mut_ptr().cast::<u8>();
            let records = [saved.as_mut_ptr().cast::<u8>()];
            let v0 = program.locations.iter().position(|location| location.name == "v0").unwrap();
            for (instance, &cell) in cells.iter().enumerate() {
                for (number, slot) in record.slots.iter().enumerate() {
                    let own = base as u64 + (instance * layout.stride + layout.offsets[v0]) as u64;
                    let odd = [u64::MAX, 255, 256, 1 << 40, 254, own + 64, own + (1 << 32)];
                    let value = match (cell >> number) % 20 {
                        which if which < 16 && slot.bytes == 8 && which % 2 == 1 => own,
                        which if which < 16 => which as u64,
                        which => odd[(which + instance) % odd.len()],
                    };
                    let bytes = value.to_ne_bytes();
                    // SAFETY: inside the records. All supported architectures are little-endian.
                    unsafe {
                        let at = records[0].add(instance * record.stride + slot.offset);
                        at.copy_from_nonoverlapping(bytes.as_ptr(), slot.bytes);
                    }
                }
            }
            let memory = (base.cast_const(), &records[..]);
            let (mut expected, mut raced, mut gaps) = (crate::harness::OutcomeCounts::new(), Vec::new(), crate::harness::gap_histogram());
            for instance in 0..instances {
                // SAFETY: both vectors hold `instances` instances.
                let row = unsafe { ways[0].row(Memory { arena: memory.0, records: memory.1, parts: &[] }, instance) };
                if program.is_race(&row) {
                    raced.push(instance);
                }
                *expected.entry(row).or_default() += 1;
            }
            raced.windows(2).for_each(|pair| gaps.record((pair[1] - pair[0]) as u64).unwrap());
            let races = raced.len() as u64;
            for classifier in ways {
                // All counts belong to the second of three skews. The tables of the others must stay empty.
                let mut counter = classifier.counter(3);
                let region = last_writers.region(instances, 0);
                let (mut from, mut cuts) = (0, cuts.iter().cycle());
                while from < instances {
                    let to = (from + cuts.next().unwrap()).min(instances);
                    let context = BatchContext { skew: 1, ..context(&region) };
                    // SAFETY: as above.
                    unsafe { count(&classifier, memory, from..to, context, &mut counter) };
                    from = to;
                }
                let mut tally = Tally::new(&[-5, 0, 5].map(Ticks));
                classifier.add_to(&counter, &mut tally);
                proptest::prop_assert_eq!(&tally.skews[1].outcomes, &expected);
                proptest::prop_assert!(tally.skews[0].outcomes.is_empty() && tally.skews[2].outcomes.is_empty());
                proptest::prop_assert_eq!((counter.races(), counter.seen(), tally.filtered), (races, instances as u64, 0));
                let by_writers: u64 = tally.last_writers.iter().map(|start| start.races).sum();
                proptest::prop_assert_eq!(by_writers, races);
                proptest::prop_assert!(tally.gaps == gaps);
            }
        }
    }
}
