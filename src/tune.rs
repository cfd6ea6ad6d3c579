//! Tuning: compares the settings that a long search has found with the default ones.
//!
//! The search is that of `wakerace run` ([`crate::search`]), with more time and more settings. Its winner and the default
//! settings then run in turns. The winner is kept only if it is clearly better.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::error::Result;
use crate::harness::Limits;
use crate::profile::Settings;
use crate::stats::median;

/// Minimum duration of a turn.
const SHORTEST_TURN: Duration = Duration::from_millis(80);
/// Share of the time of a test for the finals. The search has the rest.
pub const FINALS: f64 = 0.3;
/// How often winner and default alternate in the finals.
const TURNS: usize = 5;
/// The winner must be better by this factor. A smaller difference counts as chance, and the default stays.
const WORTH: f64 = 1.05;

/// Result of the finals.
#[derive(Debug, Clone, PartialEq)]
pub struct Found {
    /// The better settings. These are the default settings if the winner of the search is not clearly better.
    pub settings: Settings,
    /// Races per second with these settings: the median of the finals.
    pub races_per_s: f64,
    /// Races per second with the default settings: the median of the finals.
    pub default_races_per_s: f64,
    /// The lowest and the highest ratio of the two in a turn of the finals. `None` if the default won, or had no race in a turn.
    pub times_default: Option<[f64; 2]>,
}

/// Runs the control with the given settings until the limits or the interrupt end it. Returns the races per second.
pub type Run<'a> = dyn FnMut(&Settings, Limits) -> Result<f64> + 'a;

/// Runs the winner of a search and the default settings in turns, within a time budget.
///
/// # Errors
/// Those of `run`.
pub fn finals(winner: Settings, budget: Duration, interrupt: &AtomicBool, run: &mut Run<'_>) -> Result<Found> {
    let default = Settings::default_paced();
    let turn = budget.div_f64((2 * TURNS) as f64).max(SHORTEST_TURN);
    let limits = Limits { duration: Some(turn), ..Limits::default() };
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for _ in 0..TURNS {
        // The caller discards the result after an interrupt.
        if interrupt.load(Ordering::Relaxed) {
            break;
        }
        ours.push(run(&winner, limits)?);
        theirs.push(if winner == default { ours[ours.len() - 1] } else { run(&default, limits)? });
    }
    let ratios: Vec<f64> = ours.iter().zip(&theirs).map(|(ours, theirs)| ours / theirs).collect();
    let all_raced = theirs.iter().all(|rate| *rate > 0.0);
    let ends = [ratios.iter().copied().fold(f64::INFINITY, f64::min), ratios.iter().copied().fold(0.0, f64::max)];
    let (ours, theirs) = (median(ours), median(theirs));
    let wins = ours > WORTH * theirs;
    Ok(Found {
        settings: if wins { winner } else { default },
        races_per_s: if wins { ours } else { theirs },
        default_races_per_s: theirs,
        times_default: Some(ends).filter(|_| wins && all_raced),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_winner_must_win_by_more_than_chance() {
        let none = AtomicBool::new(false);
        for (times, wins) in [(0.5, false), (1.04, false), (1.06, true)] {
            let ours = Settings { group: Some(8), ..Settings::default_paced() };
            let mut run = |settings: &Settings, limits: Limits| {
                assert_eq!(limits.duration, Some(Duration::from_millis(100)));
                Ok(if *settings == ours { 1e6 * times } else { 1e6 })
            };
            let found = finals(ours.clone(), Duration::from_secs(1), &none, &mut run).unwrap();
            assert_eq!(found.settings == ours, wins, "{times}");
            assert_eq!((found.races_per_s, found.default_races_per_s), (if wins { 1e6 * times } else { 1e6 }, 1e6));
            assert_eq!(found.times_default, wins.then_some([times; 2]), "{times}");
        }
        // The ends of the ratios are those of single turns.
        let ours = Settings { group: Some(8), ..Settings::default_paced() };
        let mut rates = [3e6, 1e6, 2e6, 1e6, 4e6, 2e6, 9e6, 2e6, 3e6, 1e6].into_iter();
        let mut run = |_: &Settings, _: Limits| Ok(rates.next().unwrap());
        let found = finals(ours.clone(), Duration::from_secs(1), &none, &mut run).unwrap();
        assert_eq!((found.races_per_s, found.times_default), (3e6, Some([2.0, 4.5])));
        for rates in [[1e6, 0.0, 1e6, 0.0], [2e6, 1e6, 0.0, 0.0]] {
            let mut rates = rates.into_iter().cycle();
            let run = &mut |_: &Settings, _: Limits| Ok(rates.next().unwrap());
            let found = finals(ours.clone(), Duration::from_secs(1), &none, run).unwrap();
            assert_eq!((found.settings == ours, found.times_default), (true, None));
        }
    }

    #[test]
    fn an_interrupt_ends_the_finals_with_the_turn_at_hand() {
        let (stop, mut runs) = (AtomicBool::new(false), 0);
        let mut run = |_: &Settings, _: Limits| {
            runs += 1;
            stop.store(runs >= 3, Ordering::Relaxed);
            Ok(1.0)
        };
        let ours = Settings { group: Some(8), ..Settings::default_paced() };
        finals(ours, Duration::from_millis(100), &stop, &mut run).unwrap();
        assert!(runs <= 4, "{runs}: at most one turn of both");
        // If the search found nothing better, the default settings run once a turn.
        let (none, mut runs) = (AtomicBool::new(false), 0);
        let mut run = |_: &Settings, _: Limits| {
            runs += 1;
            Ok(f64::from(runs))
        };
        let found = finals(Settings::default_paced(), Duration::from_millis(100), &none, &mut run).unwrap();
        assert_eq!((found.races_per_s, found.settings, runs), (3.0, Settings::default_paced(), TURNS as i32));
    }
}
