//! Selects the skews of the measured part of a run: those where races are most frequent or, if there are too
//! few races to tell, those where the threads overlap most.

use super::tally::{SkewTally, races};
use crate::program::Program;

/// With fewer races than this, neither the position of their peak is known nor which settings have more of them.
pub const ENOUGH: u64 = 50;
/// A skew is selected if its value is at least this share of the best value.
const WORTH: f64 = 0.75;

/// Selects the skews to spend most of the run on, as indices into `skews`. Returns all of them if
/// their values do not differ.
///
/// With [`ENOUGH`] races, the value of a skew is its race rate. With fewer, it is the variety of its outcomes
/// (Gini impurity): at a skew where one thread always finishes before the other starts there is only one
/// outcome, and no race can be seen.
pub fn focus(program: &Program, skews: &[SkewTally]) -> Vec<usize> {
    let seen: u64 = skews.iter().map(|skew| races(program, &skew.outcomes)).sum();
    let worth: Vec<f64> = (skews.iter())
        .map(|skew| {
            if seen >= ENOUGH {
                races(program, &skew.outcomes) as f64 / skew.iterations().max(1) as f64
            } else {
                skew.impurity()
            }
        })
        .collect();
    let best = worth.iter().copied().fold(0.0, f64::max);
    (0..worth.len()).filter(|&at| worth[at] >= WORTH * best).collect()
}

/// The number of skews that are an end of a sweep.
const END: usize = 3;
/// The races at an end must be this many times as frequent as at the best place inside.
const MORE: f64 = 1.1;

/// Whether races are more frequent at an end of a sweep than in its inner three quarters, so that their peak may lie outside. An end
/// with few races says nothing.
pub fn peaks_at_an_end(program: &Program, skews: &[SkewTally]) -> bool {
    let races = |part: &[SkewTally]| part.iter().map(|skew| races(program, &skew.outcomes)).sum::<u64>();
    let rate =
        |part: &[SkewTally]| races(part) as f64 / part.iter().map(SkewTally::iterations).sum::<u64>().max(1) as f64;
    let (ends, margin) = (skews.len().saturating_sub(END), skews.len() / 8);
    if margin < END {
        return false;
    }
    let inner = skews[margin..skews.len() - margin].windows(END).map(rate).fold(0.0, f64::max);
    [&skews[..END], &skews[ends..]].into_iter().any(|end| races(end) >= ENOUGH && rate(end) > MORE * inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::harness::tally::Tally;
    use crate::litmus::{Source, parse};
    use crate::program::{Const, lower};
    use crate::units::Ticks;

    #[test]
    fn the_peak_is_found_with_races_and_the_meeting_without() {
        let text = "C t\n{}\nP0(int *x) { int r0; r0 = READ_ONCE(*x); }\nexists (0:r0=1)";
        let program = lower(&parse(&Source::new("t", text)).unwrap()).unwrap();
        let tally = |counts: [[u64; 3]; 4]| {
            let mut tally = Tally::new(&[0, 1, 2, 3].map(Ticks));
            for (skew, counts) in counts.iter().enumerate() {
                for (value, &count) in (0_i64..).zip(counts).filter(|(_, count)| **count > 0) {
                    tally.add(skew, vec![Const::Int(value)], count);
                }
            }
            tally.skews
        };
        // Counts of the outcomes 0, 1 (the race) and 2 at four skews.
        assert_eq!(focus(&program, &tally([[900, 0, 100], [400, 600, 0], [300, 700, 0], [990, 10, 0]])), [1, 2]);
        assert_eq!(focus(&program, &tally([[1000, 0, 0], [900, 0, 100], [500, 0, 500], [0, 0, 1000]])), [2]);
        assert_eq!(focus(&program, &tally([[10, 0, 0]; 4])), [0, 1, 2, 3]);
    }

    #[test]
    fn a_peak_outside_of_a_sweep_is_seen_at_its_end() {
        let text = "C t\n{}\nP0(int *x) { int r0; r0 = READ_ONCE(*x); }\nexists (0:r0=1)";
        let program = lower(&parse(&Source::new("t", text)).unwrap()).unwrap();
        // The races of each skew, among 1000 instances.
        let at_an_end = |skews: i64, races: &dyn Fn(i64) -> u64| {
            let mut tally = Tally::new(&(0..skews).map(Ticks).collect::<Vec<_>>());
            for (at, skew) in (0..skews).zip(&mut tally.skews) {
                let (races, outcomes) = (races(at), &mut skew.outcomes);
                outcomes.extend([(vec![Const::Int(1)], races), (vec![Const::Int(0)], 1000 - races)]);
            }
            peaks_at_an_end(&program, &tally.skews)
        };
        let rising = |at: i64| 10 * at.unsigned_abs();
        assert!(at_an_end(49, &rising) && at_an_end(49, &|at| rising(48 - at)));
        // The highest rate is at an end, but hardly higher than inside.
        assert!(!at_an_end(49, &|at| 500 + at.unsigned_abs()) && !at_an_end(49, &|_| 900));
        // The peak is inside, or three skews of the end are no higher than others.
        assert!(
            !at_an_end(49, &|at| rising(48 - (at - 40).abs()))
                && !at_an_end(49, &|at| if at == 48 { 600 } else { 500 })
        );
        assert!(!at_an_end(49, &|at| u64::from(at == 48)) && !at_an_end(12, &rising));
    }
}
