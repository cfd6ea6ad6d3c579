//! Where to look: the skews at which a race is most frequent, or, if none was seen, at which the two sides really meet.

use super::tally::{Tally, races};
use crate::program::Program;

/// Fewer races than this do not say where their peak lies.
const ENOUGH: u64 = 50;
/// A skew belongs to the window if it is worth at least this share of the best.
const WORTH: f64 = 0.75;

/// The skews worth most of the time, as positions in the tally; all of them, if nothing tells them apart.
///
/// With races in sight these are the skews around their peak. Without, they are those at which the most different outcomes come up: where one
/// side is always done before the other begins there is one outcome, and nothing to be seen.
pub fn focus(program: &Program, tally: &Tally) -> Vec<usize> {
    let seen: u64 = tally.skews.iter().map(|skew| races(program, &skew.outcomes)).sum();
    let worth: Vec<f64> = (tally.skews.iter())
        .map(|skew| {
            let all = skew.iterations() as f64;
            if all == 0.0 {
                0.0
            } else if seen >= ENOUGH {
                races(program, &skew.outcomes) as f64 / all
            } else {
                // The chance that two instances end differently.
                1.0 - skew.outcomes.values().map(|count| (*count as f64 / all).powi(2)).sum::<f64>()
            }
        })
        .collect();
    let best = worth.iter().copied().fold(0.0, f64::max);
    (0..worth.len()).filter(|&at| worth[at] >= WORTH * best).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::litmus::{Source, parse};
    use crate::program::{Const, lower};

    #[test]
    fn the_peak_is_found_with_races_and_the_meeting_without() {
        let text = "C t\n{}\nP0(int *x) { int r0; r0 = READ_ONCE(*x); }\nexists (0:r0=1)";
        let program = lower(&parse(&Source::new("t", text)).unwrap()).unwrap();
        let tally = |counts: [[u64; 3]; 4]| {
            let mut tally = Tally::new(&[0, 1, 2, 3]);
            for (skew, counts) in counts.iter().enumerate() {
                for (value, &count) in (0_i64..).zip(counts).filter(|(_, count)| **count > 0) {
                    tally.add(skew, vec![Const::Int(value)], count);
                }
            }
            tally
        };
        // Outcomes 0, 1 (the race) and 2.
        assert_eq!(focus(&program, &tally([[900, 0, 100], [400, 600, 0], [300, 700, 0], [990, 10, 0]])), [1, 2]);
        assert_eq!(focus(&program, &tally([[1000, 0, 0], [900, 0, 100], [500, 0, 500], [0, 0, 1000]])), [2]);
        assert_eq!(focus(&program, &tally([[10, 0, 0]; 4])), [0, 1, 2, 3]);
    }
}
