//! Tuning: searches the settings at which a control races most often per second, by successive halving.
//!
//! In the first round all candidates run for a short time. The better half runs for twice as long in the next
//! round, and so on. A candidate is ended early if its race rate, with a margin for chance and drift, cannot
//! reach the best rate so far. In the finals the winner and the default settings alternate. The winner is used
//! only if it is clearly better.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::error::Result;
use crate::harness::{Limits, Prefetch, StressKind};
use crate::profile::Settings;
use crate::stats::median;

/// Minimum duration of a trial.
const SHORTEST_TRIAL: Duration = Duration::from_millis(80);
/// Share of the time budget for the finals.
const FINALS: f64 = 0.3;
/// How often winner and default alternate in the finals.
const TURNS: usize = 5;
/// The winner must be better by this factor. A smaller difference counts as chance, and the default stays.
const WORTH: f64 = 1.05;
/// A candidate is ended early if this many times its rate so far is still below the best rate. Rates vary by
/// that much.
const HOPE: f64 = 2.0;
/// Share of a trial in which no candidate is ended: the best skews are known only after the first quarter of a
/// run.
const GRACE: f64 = 0.5;

/// All candidates for the given layouts: free runs with different batch sizes, and paced runs with different
/// group sizes, with and without prefetch. If there are spare CPUs, paced runs with one and with four instances
/// per tick are also tried under stress.
pub fn candidates(layouts: &[String], spare_cpus: bool) -> Vec<Settings> {
    let mut out = vec![Settings::default_paced()];
    for layout in layouts {
        let like = |pace: &str, group, prefetch| Settings {
            pace: pace.to_owned(),
            layout: layout.clone(),
            group,
            prefetch,
            ..Settings::default_paced()
        };
        for batch in [512, 2048, 8192] {
            out.push(Settings { batch: Some(batch), ..like("free", None, Prefetch::Off) });
        }
        let groups: &[usize] = if layout == "dense" { &[1, 8, 16, 32, 64] } else { &[1, 2, 4, 8] };
        for &group in groups {
            for prefetch in [Prefetch::On, Prefetch::Off] {
                let calm = like("paced", Some(group), prefetch);
                for stress in StressKind::ALL.into_iter().filter(|_| spare_cpus && [1, 4].contains(&group)) {
                    out.push(Settings { stress: Some(stress), ..calm.clone() });
                }
                out.push(calm);
            }
        }
    }
    out
}

/// Result of a search.
#[derive(Debug, Clone, PartialEq)]
pub struct Found {
    /// The best settings. These are the default settings if nothing is clearly better.
    pub settings: Settings,
    /// Races per second with these settings: the median of the finals.
    pub races_per_s: f64,
    /// Races per second with the default settings: the median of the finals.
    pub default_races_per_s: f64,
    /// Number of trials that were run.
    pub trials: usize,
    /// Number of trials that were ended early.
    pub ended_early: usize,
}

/// Runs the control with the given settings until the limits or the flag end it. Calls its last argument from
/// time to time with the number of races so far. Returns the races per second.
pub type Run<'a> = dyn FnMut(&Settings, Limits, &AtomicBool, &mut dyn FnMut(u64)) -> Result<f64> + 'a;

/// Searches within a time budget. Calls `say` with progress messages.
///
/// # Errors
/// Those of `run`.
pub fn search(
    candidates: Vec<Settings>,
    budget: Duration,
    interrupt: &AtomicBool,
    run: &mut Run<'_>,
    say: &mut dyn FnMut(&str),
) -> Result<Found> {
    let rounds = (candidates.len() as f64).log2().ceil().max(1.0);
    let each = budget.mul_f64((1.0 - FINALS) / rounds);
    let mut left: Vec<(Settings, f64)> = candidates.into_iter().map(|settings| (settings, 0.0)).collect();
    let (mut trials, mut ended_early) = (0, 0);
    let mut trial = |settings: &Settings, time: Duration, best: f64| -> Result<(f64, bool)> {
        let flag = AtomicBool::new(false);
        let begun = Instant::now();
        let mut early = false;
        let mut watch = |races: u64| {
            let elapsed = begun.elapsed();
            let hopeless = HOPE * (races + 3) as f64 / elapsed.as_secs_f64() < best;
            if interrupt.load(Ordering::Relaxed) || (elapsed > time.mul_f64(GRACE) && hopeless) {
                early |= hopeless;
                flag.store(true, Ordering::Relaxed);
            }
        };
        let limits = Limits { duration: Some(time), ..Limits::default() };
        let rate = run(settings, limits, &flag, &mut watch)?;
        trials += 1;
        ended_early += usize::from(early);
        Ok((rate, early))
    };
    while left.len() > 1 && !interrupt.load(Ordering::Relaxed) {
        let time = each.div_f64(left.len() as f64).max(SHORTEST_TRIAL);
        let mut best: f64 = 0.0;
        for (settings, rate) in &mut left {
            let early;
            (*rate, early) = trial(settings, time, best)?;
            best = best.max(*rate);
            say(&format!("{}  {settings}{}", per_second(*rate), if early { "  (ended early)" } else { "" }));
            if interrupt.load(Ordering::Relaxed) {
                break;
            }
        }
        left.sort_by(|a, b| b.1.total_cmp(&a.1));
        left.truncate(left.len().div_ceil(2));
    }
    let default = Settings::default_paced();
    let winner = left.into_iter().next().map_or(default.clone(), |(settings, _)| settings);
    let turn = budget.mul_f64(FINALS / (2 * TURNS) as f64).max(SHORTEST_TRIAL);
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for _ in 0..TURNS {
        // The caller discards the result after an interrupt.
        if interrupt.load(Ordering::Relaxed) {
            break;
        }
        ours.push(trial(&winner, turn, 0.0)?.0);
        theirs.push(if winner == default { ours[ours.len() - 1] } else { trial(&default, turn, 0.0)?.0 });
    }
    let (ours, theirs) = (median(ours), median(theirs));
    say(&format!("finals: {}  {winner}; {}  {default}", per_second(ours), per_second(theirs)));
    let wins = ours > WORTH * theirs;
    Ok(Found {
        settings: if wins { winner } else { default },
        races_per_s: if wins { ours } else { theirs },
        default_races_per_s: theirs,
        trials,
        ended_early,
    })
}

/// A rate of races in words: `1.234e5 races/s`, or `no races`.
fn per_second(rate: f64) -> String {
    if rate > 0.0 { format!("{rate:.3e} races/s") } else { "no races".to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A simulated machine on which paced runs in groups of four are best by far, and free runs are hopeless.
    fn pretend(settings: &Settings, limits: Limits, flag: &AtomicBool, watch: &mut dyn FnMut(u64)) -> Result<f64> {
        let rate = match (settings.pace.as_str(), settings.group) {
            ("paced", Some(4)) => 4e6,
            ("paced", _) => 1e6,
            _ => 1e3,
        };
        let begun = Instant::now();
        while begun.elapsed() < limits.duration.unwrap() && !flag.load(Ordering::Relaxed) {
            std::thread::sleep(Duration::from_millis(1));
            watch((rate * begun.elapsed().as_secs_f64()) as u64);
        }
        Ok(rate)
    }

    #[test]
    fn the_best_is_found_and_the_hopeless_are_ended_early() {
        let none = AtomicBool::new(false);
        let all = candidates(&["padded".to_owned()], false);
        let found = search(all, Duration::from_secs(1), &none, &mut pretend, &mut |_| ()).unwrap();
        assert_eq!((found.settings.group, found.settings.pace.as_str()), (Some(4), "paced"));
        assert_eq!((found.races_per_s, found.default_races_per_s), (4e6, 1e6));
        assert!(found.trials > 11);
        // If nothing is better than the default settings, they stay.
        let only = vec![Settings { group: Some(8), ..Settings::default_paced() }];
        let found = search(only, Duration::from_millis(100), &none, &mut pretend, &mut |_| ()).unwrap();
        assert_eq!(found.settings, Settings::default_paced());
    }

    #[test]
    fn an_interrupt_ends_the_search_with_the_trial_at_hand() {
        for last in [1, 5, 20] {
            let (stop, mut runs) = (AtomicBool::new(false), 0);
            let mut run = |settings: &Settings, limits: Limits, flag: &AtomicBool, watch: &mut dyn FnMut(u64)| {
                runs += 1;
                stop.store(runs >= last, Ordering::Relaxed);
                pretend(settings, limits, flag, watch)
            };
            let all = candidates(&["padded".to_owned()], false);
            search(all, Duration::from_millis(200), &stop, &mut run, &mut |_| ()).unwrap();
            assert_eq!(runs, last);
        }
        // The same in the finals.
        let only = vec![Settings { group: Some(8), ..Settings::default_paced() }];
        let (stop, mut runs) = (AtomicBool::new(false), 0);
        let mut run = |settings: &Settings, limits: Limits, flag: &AtomicBool, watch: &mut dyn FnMut(u64)| {
            runs += 1;
            stop.store(runs >= 3, Ordering::Relaxed);
            pretend(settings, limits, flag, watch)
        };
        search(only, Duration::from_millis(100), &stop, &mut run, &mut |_| ()).unwrap();
        assert!(runs <= 4, "{runs}: at most one turn of both");
    }

    #[test]
    fn a_winner_must_win_by_more_than_chance() {
        let none = AtomicBool::new(false);
        for (times, wins) in [(0.5, false), (1.04, false), (1.06, true)] {
            let ours = Settings { group: Some(8), ..Settings::default_paced() };
            let all = vec![Settings::default_paced(), ours.clone()];
            let mut run = |settings: &Settings, _: Limits, _: &AtomicBool, _: &mut dyn FnMut(u64)| {
                Ok(if *settings == ours { 1e6 * times } else { 1e6 })
            };
            let found = search(all, Duration::from_millis(50), &none, &mut run, &mut |_| ()).unwrap();
            assert_eq!(found.settings == ours, wins, "{times}");
            assert_eq!((found.races_per_s, found.default_races_per_s), (if wins { 1e6 * times } else { 1e6 }, 1e6));
        }
    }

    #[test]
    fn every_layout_has_every_pace_once() {
        let layouts = ["padded".to_owned(), "dense".to_owned()];
        let all = candidates(&layouts, false);
        for layout in ["padded", "dense"] {
            for pace in ["free", "paced"] {
                assert!(all.iter().any(|one| one.layout == layout && one.pace == pace));
            }
        }
        assert_eq!(all[0], Settings::default_paced());
        assert!(all.iter().all(|one| one.stress.is_none()));
        let stressed = candidates(&layouts, true);
        let only = |kind| stressed.iter().filter(|one| one.stress == kind).count();
        assert_eq!((only(None), only(Some(StressKind::Sets))), (all.len(), only(Some(StressKind::Memory))));
        assert!(only(Some(StressKind::Sets)) > 0);
        assert!((0..all.len()).all(|at| !all[..at].contains(&all[at])));
    }
}
