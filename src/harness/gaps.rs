//! Gaps: the number of instances from one race to the next.

use hdrhistogram::Histogram;

use super::tally::gap_histogram;

/// Gaps up to this length are counted for a whole word at once. At most 63.
const AT_ONCE: usize = 4;
/// Gaps below this length are counted in an array, for speed.
const SHORT: usize = 1024;

/// Gaps of one thread. A thread classifies a contiguous part of each batch. It counts gaps only along the
/// instances it classifies, as if the instances of the other threads did not exist.
#[derive(Debug, Clone)]
pub struct RaceGaps {
    short: Vec<u64>,
    /// Longer gaps. There is at most one per [`SHORT`] instances, so the cost of recording one does not matter.
    long: Histogram<u64>,
    /// Number of instances so far.
    seen: u64,
    /// Number of the instance with the last race.
    last: Option<u64>,
    /// The last 64 instances, one bit each, set if the instance raced. The most recent is the highest bit.
    before: u64,
}

impl RaceGaps {
    /// No instances yet.
    pub fn new() -> RaceGaps {
        RaceGaps { short: vec![0; SHORT], long: gap_histogram(), seen: 0, last: None, before: 0 }
    }

    /// Number of instances so far.
    pub fn seen(&self) -> u64 {
        self.seen
    }

    /// Adds the next `rows` instances, at most 64. Bit i of `bits` is set if instance i raced.
    ///
    /// Where races are frequent, most gaps are short. Adding them one by one makes each addition wait for the
    /// previous one, so gaps up to [`AT_ONCE`] are counted for the whole word at once.
    #[inline(always)]
    pub fn note(&mut self, bits: u64, rows: usize) {
        let mut alone = bits;
        for gap in 1..=AT_ONCE {
            // Races whose `gap`-th predecessor raced too. If a race is still in `alone`, nothing between the
            // two raced.
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
                match usize::try_from(gap).ok().and_then(|gap| self.short.get_mut(gap)) {
                    Some(count) => *count += 1,
                    None => self.note_long(gap),
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

    /// Records a gap of [`SHORT`] or more. It saturates, so that recording cannot fail.
    #[cold]
    #[inline(never)]
    fn note_long(&mut self, gap: u64) {
        self.long.saturating_record(gap);
    }

    /// Adds all gaps to a histogram that has the bounds of [`gap_histogram`].
    pub fn add_to(&self, histogram: &mut Histogram<u64>) {
        for (gap, &count) in self.short.iter().enumerate().filter(|(_, count)| **count > 0) {
            histogram.saturating_record_n(gap as u64, count);
        }
        histogram.add(&self.long).expect("both histograms have the same bounds");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Long and short gaps alternate, more than a list could hold. No gap is dropped, so the percentiles are
    /// those of all gaps.
    #[test]
    fn no_number_of_long_gaps_is_too_many() {
        let mut gaps = RaceGaps::new();
        let each = 1_100_000_u64;
        gaps.note(1, 1);
        for _ in 0..each {
            gaps.note(1 << 1, 2);
            // 2,000,000 instances without a race: 64 are noted, the rest is added to the count directly.
            gaps.note(0, 64);
            gaps.seen += 2_000_000 - 64;
            gaps.note(1, 1);
        }
        let mut found = gap_histogram();
        gaps.add_to(&mut found);
        assert_eq!(found.len(), 2 * each);
        assert_eq!((found.count_at(2), found.count_at(2_000_001)), (each, each));
        assert_eq!(found.value_at_quantile(0.5), 2);
        assert!(found.equivalent(found.value_at_quantile(0.51), 2_000_001));
    }

    proptest! {
        /// For any races, cut into words in any way, the gaps are the distances between neighbouring races.
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
