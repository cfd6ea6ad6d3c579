//! Cache-line ownership at the start of an instance: which thread last wrote each line.
//!
//! The last writer has the line in its cache. This decides how long each first access takes. On weakly ordered
//! CPUs, a store to a line in another core's cache can be overtaken by the next store. So the threads share the
//! writing of initial values such that every combination of writers is equally frequent, and races are counted
//! for each combination.
//!
//! A combination is called a *kind* here and has a number. The first [`MIXED`] lines of an instance get
//! independent writers. Later lines repeat the pattern.

use crate::codegen::SHORTEST_LINE;
use crate::layout::Layout;
use crate::program::Program;

/// Number of consecutive lines that one thread resets. Few enough that free-running threads stay synchronized,
/// and enough that the stores stream. With 4 lines, resetting takes twice as long. In a dense layout, 4 lines
/// (64 instances) instead of 32 lines cost a twelfth of all iterations.
const BLOCK: usize = 64;
const _: () = assert!(BLOCK.is_power_of_two());
/// Number of lines of an instance that get independent writers. Later lines repeat the pattern.
const MIXED: usize = 3;
/// Maximum number of kinds. If [`MIXED`] lines would give more, fewer lines get independent writers.
const MOST_KINDS: usize = 64;

/// All kinds of last-writer patterns of a test.
#[derive(Debug, Clone)]
pub struct LastWriters {
    /// Number of consecutive instances of the same kind: a power of two, and a multiple of [`LastWriters::ALIKE`].
    block: usize,
    kinds: usize,
    /// The thread that writes each location, for one kind after the other. `None` for locations that no thread
    /// of the test accesses.
    writers: Vec<Option<usize>>,
    locations: usize,
}

impl LastWriters {
    /// Instances from a multiple of this number up to the next multiple are of the same kind.
    pub const ALIKE: usize = BLOCK;

    /// The kinds for a program, a layout and a number of threads.
    pub fn new(program: &Program, layout: &Layout, threads: usize) -> LastWriters {
        let reached = program.reached();
        let lines: Vec<Option<usize>> =
            layout.lines().into_iter().zip(reached).map(|(line, reached)| reached.then_some(line)).collect();
        // Renumber the lines that are used, so that neighbouring lines get independent writers.
        let mut used: Vec<usize> = lines.iter().copied().flatten().collect();
        used.sort_unstable();
        used.dedup();
        let power = |exponent: usize| (0..exponent).fold(1_usize, |power, _| power * threads);
        let fits = |&mixed: &usize| power(mixed) <= MOST_KINDS;
        let mixed = (1..=MIXED.min(used.len())).rev().find(fits).unwrap_or(1);
        let kinds = power(mixed);
        // The digits of a kind's number, in base `threads`, are the writers of the lines.
        let writer = |kind: usize, line: usize| {
            let digit = used.binary_search(&line).unwrap_or(0) % mixed;
            kind / power(digit) % threads
        };
        let of_kind = |kind: usize| lines.iter().map(move |line| line.map(|line| writer(kind, line)));
        let writers = (0..kinds).flat_map(of_kind).collect();
        LastWriters {
            block: BLOCK << (SHORTEST_LINE / layout.stride).max(1).ilog2(),
            kinds,
            writers,
            locations: lines.len(),
        }
    }

    /// Number of kinds.
    pub fn kinds(&self) -> usize {
        self.kinds
    }

    /// The thread that writes each location of an instance of this kind, in the order of the program's
    /// locations. `None` for a location that no thread of the test accesses.
    pub fn writers(&self, kind: usize) -> &[Option<usize>] {
        &self.writers[kind * self.locations..(kind + 1) * self.locations]
    }

    /// A region of memory with the given number of instances. `round` is the kind of its first block.
    pub fn region(&self, instances: usize, round: usize) -> Region<'_> {
        let mut region = Region { last_writers: self, instances, kinds: vec![0; instances.div_ceil(self.block)] };
        region.turn(instances, round);
        region
    }
}

/// The kind of each instance in a region of memory. Each thread has its own copy, and all copies stay equal.
#[derive(Debug, Clone)]
pub struct Region<'a> {
    last_writers: &'a LastWriters,
    instances: usize,
    /// Kind of each block of instances.
    kinds: Vec<usize>,
}

impl Region<'_> {
    /// Kind of an instance.
    #[inline]
    pub fn kind(&self, instance: usize) -> usize {
        // Called once for 64 classified rows, which take some 50 cycles. A division takes 10 or more of them.
        self.kinds[instance >> self.last_writers.block.trailing_zeros()]
    }

    /// Changes the kinds of the first `count` instances, before they are reset. The kind of each block advances
    /// with `round`, so every block gets every kind in turn. A block that is only partly inside `count` keeps
    /// its kind.
    pub fn turn(&mut self, count: usize, round: usize) {
        let whole = if count == self.instances { self.kinds.len() } else { count / self.last_writers.block };
        for (at, kind) in self.kinds[..whole].iter_mut().enumerate() {
            *kind = (at + round) % self.last_writers.kinds;
        }
    }

    /// Ranges of the first `count` instances in which thread `number` writes `location`.
    pub fn of(&self, number: usize, location: usize, count: usize) -> impl Iterator<Item = std::ops::Range<usize>> {
        let block = self.last_writers.block;
        (self.kinds[..count.div_ceil(block)].iter().enumerate())
            .filter(move |(_, kind)| self.last_writers.writers(**kind)[location] == Some(number))
            .map(move |(at, _)| at * block..((at + 1) * block).min(count))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layout::LayoutKind;
    use crate::litmus::{Source, parse};
    use crate::program::lower;

    #[test]
    fn kinds_name_who_writes_and_are_not_too_many() {
        // Only the address of w is used.
        let text = "C t\n{}\nP0(int *x, int *y, int *z, int *w, int **v) { WRITE_ONCE(*x, 1); WRITE_ONCE(*y, 1); WRITE_ONCE(*z, 1); \
                    WRITE_ONCE(*v, w); }\nexists (x=1)";
        let program = lower(&parse(&Source::new("t", text)).unwrap()).unwrap();
        for kind in [LayoutKind::Padded, LayoutKind::Dense, LayoutKind::Packed] {
            let layout = Layout::for_batch(kind, &program, 64, Some(100_000)).unwrap();
            for threads in [1, 2, 3, 4, 7, 8, 9, 39] {
                let last_writers = LastWriters::new(&program, &layout, threads);
                let lines = if kind == LayoutKind::Packed { 1 } else { 3 };
                assert!(
                    last_writers.kinds() <= MOST_KINDS.max(threads) && last_writers.kinds() >= threads.min(40),
                    "{threads}"
                );
                if threads <= 4 {
                    assert_eq!(last_writers.kinds(), threads.pow(lines));
                }
                let mut region = last_writers.region(10_000, 0);
                // After `kinds()` rounds every block has had every kind. A block that is never reset as a whole
                // keeps its kind.
                let mut had = vec![std::collections::BTreeSet::new(); region.kinds.len()];
                for round in 0..last_writers.kinds() {
                    region.turn(9_999, round);
                    for (at, had) in had.iter_mut().enumerate() {
                        had.insert(region.kind(at * last_writers.block));
                    }
                }
                let whole = 9_999 / last_writers.block;
                assert!(had[..whole].iter().all(|had| had.len() == last_writers.kinds()));
                assert!(had[whole..].iter().all(|had| had.len() == 1));
                let w = program.locations.iter().position(|location| location.name == "w").unwrap();
                assert!((0..last_writers.kinds()).all(|kind| last_writers.writers(kind)[w].is_none()));
                for location in 0..layout.offsets.len() {
                    for thread in 0..threads {
                        for range in region.of(thread, location, 10_000) {
                            for instance in [range.start, range.end - 1] {
                                assert_eq!(last_writers.writers(region.kind(instance))[location], Some(thread));
                            }
                        }
                    }
                }
            }
        }
    }
}
