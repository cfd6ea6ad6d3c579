//! How many instances lie between one race and the next.

use hdrhistogram::Histogram;

/// Gaps up to this are counted many at a time; at most 63.
const AT_ONCE: usize = 4;
/// Shorter gaps are counted in an array, for speed.
const SHORT: usize = 1024;
/// So many longer ones are kept.
const MOST_LONG: usize = 1 << 20;

/// The gaps of one thread. It classifies a run of neighbouring instances of each batch; its gaps are counted along the instances it
/// classifies, as if the others' did not exist.
#[derive(Debug, Clone)]
pub struct RaceGaps {
    short: Vec<u64>,
    long: Vec<u64>,
    /// Instances so far.
    seen: u64,
    /// Where the last race was.
    last: Option<u64>,
    /// Which of the last 64 instances raced, the last in the highest bit.
    before: u64,
}

impl RaceGaps {
    /// None yet.
    pub fn new() -> RaceGaps {
        RaceGaps { short: vec![0; SHORT], long: Vec::new(), seen: 0, last: None, before: 0 }
    }

    /// Instances so far.
    pub fn seen(&self) -> u64 {
        self.seen
    }

    /// Notes the next `rows` instances, at most 64: a bit for each, set if it raced.
    ///
    /// Where races are frequent most gaps are short, and adding each to its place would wait for the one before; those up to
    /// [`AT_ONCE`] are counted many at a time.
    #[inline(always)]
    pub fn note(&mut self, bits: u64, rows: usize) {
        let mut alone = bits;
        for gap in 1..=AT_ONCE {
            // The instances whose `gap`-th before them raced; nothing between them did, if they are still in `alone`.
            let raced = bits << gap | self.before >> (64 - gap);
            self.short[gap] += u64::from((alone & raced).count_ones());
            alone &= !raced;
        }
        while alone != 0 {
            let row = alone.trailing_zeros();
            let earlier = bits & ((1 << row) - 1);
            let last = if earlier == 0 { self.last } else { Some(self.seen + u64::from(earlier.ilog2())) };
            if let Some(last) = last {
                let gap = self.seen + u64::from(row) - last;
                match self.short.get_mut(gap as usize) {
                    Some(count) => *count += 1,
                    None if self.long.len() < MOST_LONG => self.long.push(gap),
                    None => {}
                }
            }
            alone &= alone - 1;
        }
        if bits != 0 {
            self.last = Some(self.seen + u64::from(bits.ilog2()));
        }
        self.seen += rows as u64;
        self.before = match rows {
            0 => self.before,
            64 => bits,
            _ => self.before >> rows | bits << (64 - rows),
        };
    }

    /// Adds them to a histogram. Saturating, so that no gap can fail to be recorded.
    pub fn add_to(&self, histogram: &mut Histogram<u64>) {
        for (gap, &count) in self.short.iter().enumerate().filter(|(_, count)| **count > 0) {
            histogram.saturating_record_n(gap as u64, count);
        }
        for &gap in &self.long {
            histogram.saturating_record(gap);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::harness::gap_histogram;
    use proptest::prelude::*;

    proptest! {
        /// Whatever the races and however they are cut into words, the gaps are the distances of neighbours.
        #[test]
        fn they_are_the_distances_between_neighbours(
            dense in prop::collection::vec(prop::bool::weighted(0.4), 1..900),
            sparse in prop::collection::vec(0_usize..6000, 0..20),
            cuts in prop::collection::vec(0_usize..=64, 1..12),
        ) {
            let mut races = dense;
            races.resize(6000, false);
            sparse.into_iter().for_each(|at| races[at] = true);
            let (mut gaps, mut from, mut cuts) = (RaceGaps::new(), 0, cuts.iter().chain([&1]).cycle());
            while from < races.len() {
                let to = (from + cuts.next().unwrap()).min(races.len());
                let bits = (from..to).filter(|&at| races[at]).fold(0, |bits, at| bits | 1_u64 << (at - from));
                gaps.note(bits, to - from);
                from = to;
            }
            let at: Vec<usize> = (0..races.len()).filter(|&at| races[at]).collect();
            let (mut expected, mut found) = (gap_histogram(), gap_histogram());
            at.windows(2).for_each(|pair| expected.record((pair[1] - pair[0]) as u64).unwrap());
            gaps.add_to(&mut found);
            prop_assert!(found == expected);
            prop_assert_eq!(gaps.seen(), 6000);
        }
    }
}
