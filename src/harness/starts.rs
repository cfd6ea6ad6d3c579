//! Who wrote an instance's lines last before it begins.
//!
//! That decides in whose caches they are, and so how long each first access takes: on weakly ordered CPUs a store whose line is far away is
//! passed by the next one. So the threads take turns in writing initial values, every choice of them comes up equally often, and races are
//! counted for each.

use crate::layout::Layout;
use crate::program::Program;

/// Lines that one thread resets in a row: few enough that free-running threads stay together, enough for the stores to stream. With 4
/// they take twice as long; in a dense layout 4 lines, 64 instances, instead of 32 cost a twelfth of all iterations.
const BLOCK: usize = 64;
/// The shortest line of the CPUs that this is for, in bytes.
const LINE: usize = 64;
/// On so many lines of an instance it is mixed who resets them; the next so many are as these.
const MIXED: usize = 3;
/// On fewer, if there would be more than this many choices.
const MOST_KINDS: usize = 64;

/// Who may have written which line of an instance last: every choice is a kind, and a number.
#[derive(Debug, Clone)]
pub struct Starts {
    /// Instances in a row that are of one kind: a multiple of [`Starts::ALIKE`].
    block: usize,
    kinds: usize,
    /// The thread that writes each location, kind by kind; none where no thread of the test ever goes.
    writers: Vec<Option<usize>>,
    locations: usize,
}

impl Starts {
    /// So many instances, from a multiple of this on, are of one kind.
    pub const ALIKE: usize = BLOCK;

    /// Those of a program's instances in a layout.
    pub fn new(program: &Program, layout: &Layout, threads: usize) -> Starts {
        let reached = program.reached();
        let lines: Vec<Option<usize>> =
            layout.lines().into_iter().zip(reached).map(|(line, reached)| reached.then_some(line)).collect();
        // Numbered anew, so that neighbours are mixed.
        let mut used: Vec<usize> = lines.iter().copied().flatten().collect();
        used.sort_unstable();
        used.dedup();
        let power = |exponent: usize| (0..exponent).fold(1_usize, |power, _| power * threads);
        let fits = |&mixed: &usize| power(mixed) <= MOST_KINDS;
        let mixed = (1..=MIXED.min(used.len())).rev().find(fits).unwrap_or(1);
        let kinds = power(mixed);
        // The number's digits, to the base of the threads, are the writers of the lines.
        let writer = |kind: usize, line: usize| {
            let digit = used.binary_search(&line).unwrap_or(0) % mixed;
            kind / power(digit) % threads
        };
        let of_kind = |kind: usize| lines.iter().map(move |line| line.map(|line| writer(kind, line)));
        let writers = (0..kinds).flat_map(of_kind).collect();
        Starts { block: BLOCK * (LINE / layout.stride).max(1), kinds, writers, locations: lines.len() }
    }

    /// How many kinds there are.
    pub fn kinds(&self) -> usize {
        self.kinds
    }

    /// The thread that writes each location of an instance of this kind, in the order of the program's locations; none where no thread of
    /// the test ever goes.
    pub fn writers(&self, kind: usize) -> &[Option<usize>] {
        &self.writers[kind * self.locations..(kind + 1) * self.locations]
    }

    /// A stretch of memory for so many instances; `round` is where the order of their kinds begins.
    pub fn stretch(&self, instances: usize, round: usize) -> Stretch<'_> {
        let mut stretch = Stretch { starts: self, instances, kinds: vec![0; instances.div_ceil(self.block)] };
        stretch.turn(instances, round);
        stretch
    }
}

/// Of which kind each instance of a stretch of memory is. Every thread keeps its own account, and all come to the same.
#[derive(Debug, Clone)]
pub struct Stretch<'a> {
    starts: &'a Starts,
    instances: usize,
    /// Block by block.
    kinds: Vec<usize>,
}

impl Stretch<'_> {
    /// The kind of an instance.
    #[inline]
    pub fn kind(&self, instance: usize) -> usize {
        self.kinds[instance / self.starts.block]
    }

    /// Other kinds for the first `count` instances, before they are reset: with every round the next, so that in time each place has had
    /// every kind. A block of which more is left than that stays what it is.
    pub fn turn(&mut self, count: usize, round: usize) {
        let whole = if count == self.instances { self.kinds.len() } else { count / self.starts.block };
        for (at, kind) in self.kinds[..whole].iter_mut().enumerate() {
            *kind = (at + round) % self.starts.kinds;
        }
    }

    /// Those of the first `count` instances, in runs, in which a thread writes this location.
    pub fn of(&self, number: usize, location: usize, count: usize) -> impl Iterator<Item = std::ops::Range<usize>> {
        let block = self.starts.block;
        (self.kinds[..count.div_ceil(block)].iter().enumerate())
            .filter(move |(_, kind)| self.starts.writers(**kind)[location] == Some(number))
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
        // Of w, only the address is used.
        let text = "C t\n{}\nP0(int *x, int *y, int *z, int *w, int **v) { WRITE_ONCE(*x, 1); WRITE_ONCE(*y, 1); WRITE_ONCE(*z, 1); \
                    WRITE_ONCE(*v, w); }\nexists (x=1)";
        let program = lower(&parse(&Source::new("t", text)).unwrap()).unwrap();
        for kind in [LayoutKind::Padded, LayoutKind::Dense, LayoutKind::Packed] {
            let layout = Layout::for_batch(kind, &program, 64, Some(100_000)).unwrap();
            for threads in [1, 2, 3, 4, 7, 8, 9, 39] {
                let starts = Starts::new(&program, &layout, threads);
                let lines = if kind == LayoutKind::Packed { 1 } else { 3 };
                assert!(starts.kinds() <= MOST_KINDS.max(threads) && starts.kinds() >= threads.min(40), "{threads}");
                if threads <= 4 {
                    assert_eq!(starts.kinds(), threads.pow(lines));
                }
                let mut stretch = starts.stretch(10_000, 0);
                // Every place has had every kind after so many rounds; a block that is not reset whole stays.
                let mut had = vec![std::collections::BTreeSet::new(); stretch.kinds.len()];
                for round in 0..starts.kinds() {
                    stretch.turn(9_999, round);
                    for (at, had) in had.iter_mut().enumerate() {
                        had.insert(stretch.kind(at * starts.block));
                    }
                }
                let whole = 9_999 / starts.block;
                assert!(had[..whole].iter().all(|had| had.len() == starts.kinds()));
                assert!(had[whole..].iter().all(|had| had.len() == 1));
                let w = program.locations.iter().position(|location| location.name == "w").unwrap();
                assert!((0..starts.kinds()).all(|kind| starts.writers(kind)[w].is_none()));
                for location in 0..layout.offsets.len() {
                    for thread in 0..threads {
                        for range in stretch.of(thread, location, 10_000) {
                            for instance in [range.start, range.end - 1] {
                                assert_eq!(starts.writers(stretch.kind(instance))[location], Some(thread));
                            }
                        }
                    }
                }
            }
        }
    }
}
