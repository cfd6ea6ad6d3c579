//! Follows the offsets between the counters of the CPUs during a run.
//!
//! They are measured before the run ([`crate::machine::counters`]). A hypervisor that moves a virtual CPU can change them. Each
//! look bounds the offset by a few round trips. As long as the offset in use is within these bounds, it stays. If it is not,
//! it has changed, and the new bounds give another.

use crate::machine::Counters;
use crate::units::Ticks;

/// The offset of the counter of one thread's CPU.
#[derive(Debug, Clone, Copy)]
struct Offset {
    used: i64,
    low: i64,
    high: i64,
}

/// The offsets of all threads but P0, in the order of the threads.
#[derive(Debug, Clone)]
pub(super) struct Offsets {
    offsets: Vec<Offset>,
    changes: u64,
}

impl Offsets {
    /// Starts with the offsets that starts are corrected by, from P1 on.
    pub fn new(used: impl Iterator<Item = Ticks>) -> Offsets {
        let offset = |Ticks(used)| Offset { used, low: i64::MIN, high: i64::MAX };
        Offsets { offsets: used.map(offset).collect(), changes: 0 }
    }

    /// Adds what a look says about a thread: its counter is ahead by at least `low` and at most `high`. Returns the offset to
    /// use from now on if it has changed.
    pub fn look(&mut self, thread: usize, (low, high): (i64, i64)) -> Option<i64> {
        let offset = &mut self.offsets[thread - 1];
        // The bounds of one look hold together, unless a counter was set in the middle of it.
        if low > high {
            return None;
        }
        let (tighter_low, tighter_high) = (offset.low.max(low), offset.high.min(high));
        (offset.low, offset.high) = if tighter_low <= tighter_high { (tighter_low, tighter_high) } else { (low, high) };
        if (offset.low..=offset.high).contains(&offset.used) {
            return None;
        }
        offset.used = Counters::Within(Ticks(offset.low), Ticks(offset.high)).correction().0;
        self.changes += 1;
        Some(offset.used)
    }

    /// How often an offset has changed.
    pub fn changes(&self) -> u64 {
        self.changes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_offset_stays_until_a_look_contradicts_it() {
        let mut offsets = Offsets::new([0, 700].map(Ticks).into_iter());
        for bounds in [(-300, 250), (-20, 900), (-900, 10), (0, 0)] {
            assert_eq!(offsets.look(1, bounds), None);
        }
        assert_eq!((offsets.look(2, (600, 800)), offsets.changes()), (None, 0));
        // P1's CPU moves: its counter is now 5000 ahead, and later equal again.
        assert_eq!(offsets.look(1, (4900, 5100)), Some(5000));
        assert_eq!(offsets.look(1, (4990, 6000)), None);
        assert_eq!(offsets.look(1, (-100, 100)), Some(0));
        assert_eq!((offsets.look(2, (600, 690)), offsets.changes()), (Some(645), 3));
        // Bounds that contradict themselves say nothing.
        assert_eq!((offsets.look(1, (5, -5)), offsets.changes()), (None, 3));
    }
}
