//! Progress of a run: a bar with live counts on a terminal; otherwise a line every 15 seconds.

use std::io::IsTerminal;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

use crate::catalogue::Scenario;
use crate::harness::{Limits, Tally, races};
use crate::machine::Placement;
use crate::program;
use crate::publish::{count, counted};
use crate::{shown, terminal};

/// Time between two progress lines if standard error is not a terminal.
const PLAIN_EVERY: Duration = Duration::from_secs(15);
/// The number of outcomes that are shown live. For the rest, only their number is shown.
const SHOWN: usize = 4;

/// A progress bar on a terminal; otherwise a line every 15 seconds.
pub struct Bar {
    bar: Option<ProgressBar>,
    name: String,
    printed: Instant,
    quiet: bool,
}

impl Bar {
    /// Begins to show the progress of `name`; shows nothing if `quiet`.
    pub fn new(name: &str, quiet: bool) -> Bar {
        let name = shown::line(name).into_owned();
        let terminal = std::io::stderr().is_terminal() && !quiet;
        let bar = terminal.then(|| {
            let bar = ProgressBar::new(1000);
            // The template is a constant that indicatif accepts.
            if let Ok(style) = ProgressStyle::with_template("{bar:20} {elapsed:>4} {wide_msg}") {
                bar.set_style(style);
            }
            bar.set_message(name.clone());
            bar
        });
        Bar { bar, name, printed: Instant::now(), quiet }
    }

    /// Shows a message and the share that is done, from 0 to 1.
    pub fn update(&mut self, share: f64, message: impl FnOnce() -> String) {
        if self.quiet {
            return;
        }
        if let Some(bar) = &self.bar {
            bar.set_position((1000.0 * share.clamp(0.0, 1.0)) as u64);
            bar.set_message(format!("{}: {}", self.name, shown::line(&message())));
        } else if self.printed.elapsed() >= PLAIN_EVERY {
            terminal::err(&format!("{}: {}\n", self.name, message()));
            self.printed = Instant::now();
        }
    }

    /// Removes the bar.
    pub fn finish(self) {
        if let Some(bar) = self.bar {
            bar.finish_and_clear();
        }
    }
}

/// The progress of one scenario on one placement.
pub struct Progress {
    bar: Bar,
    /// The test and its CPUs.
    test: String,
    begun: Instant,
    limits: Limits,
    turn: Turn,
}

/// Which of the run's tests a test is.
#[derive(Debug, Clone, Copy)]
pub struct Turn {
    /// Its number, from 1.
    pub number: usize,
    /// How many there are.
    pub of: usize,
    /// The time of the tests after it, if a duration ends each one.
    pub after: Option<Duration>,
}

/// The time left in words, behind a comma; empty if it is not known.
fn left(elapsed: Duration, limits: Limits, turn: Turn) -> String {
    let this = limits.duration.map(|duration| duration.saturating_sub(elapsed));
    let known = this.zip(turn.after).map(|(this, after)| this + after);
    known.map_or(String::new(), |left| format!(", {} s left", left.as_secs()))
}

/// What stands in front of the counts. A narrow terminal cuts lines at their end, so the time left comes first.
fn heading(turn: Turn, left: &str, test: &str) -> String {
    format!("{} of {}{left}: {test}", turn.number, turn.of)
}

impl Progress {
    /// Begins to show the progress of one scenario.
    pub fn new(scenario: &Scenario, placement: &Placement, limits: Limits, turn: Turn, quiet: bool) -> Progress {
        let test = shown::line(&format!("{} on CPUs {placement}", scenario.name)).into_owned();
        let bar = Bar::new(&heading(turn, &left(Duration::ZERO, limits, turn), &test), quiet);
        Progress { bar, test, begun: Instant::now(), limits, turn }
    }

    /// Shows the counts so far.
    pub fn update(&mut self, scenario: &Scenario, tally: &Tally) {
        if self.bar.quiet {
            return;
        }
        let program = &scenario.program;
        let outcomes = tally.outcomes();
        let races = races(program, &outcomes);
        self.bar.name = heading(self.turn, &left(self.begun.elapsed(), self.limits, self.turn), &self.test);
        let share = share(self.begun.elapsed(), tally.instances(), races, self.limits);
        self.bar.update(share, || {
            let mut most: Vec<_> = outcomes.iter().collect();
            most.sort_by_key(|(row, count)| (!program.is_race(row), std::cmp::Reverse(**count)));
            let shown: Vec<String> = most
                .iter()
                .take(SHOWN)
                .map(|(row, seen)| {
                    let mark = if program.is_race(row) { "*" } else { "" };
                    format!("{mark}{} {}", count(**seen), program::outcome(program, row))
                })
                .collect();
            let more = most.len().saturating_sub(SHOWN);
            let more = if more > 0 { format!(" | {more} more") } else { String::new() };
            let iterations = count(tally.iterations);
            format!("{iterations} iterations, {} | {}{more}", counted(races, "race"), shown.join(" | "))
        });
    }

    /// Removes the bar.
    pub fn finish(self) {
        self.bar.finish();
    }
}

/// The share of the run that is done, from 0 to 1, by the limit that is nearest.
fn share(elapsed: Duration, iterations: u64, races: u64, limits: Limits) -> f64 {
    let of = |done: f64, limit: Option<f64>| limit.map_or(0.0, |limit| done / limit.max(1e-9));
    let time = of(elapsed.as_secs_f64(), limits.duration.map(|limit| limit.as_secs_f64()));
    let iterations = of(iterations as f64, limits.iterations.map(|limit| limit as f64));
    let races = of(races as f64, limits.races.map(|limit| limit as f64));
    time.max(iterations).max(races).min(1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_left_is_that_of_all_tests() {
        let limits = Limits { duration: Some(Duration::from_secs(10)), ..Limits::default() };
        let turn = Turn { number: 3, of: 7, after: Some(Duration::from_secs(40)) };
        assert_eq!(left(Duration::from_secs(4), limits, turn), ", 46 s left");
        assert_eq!(left(Duration::from_secs(14), limits, turn), ", 40 s left");
        assert_eq!(left(Duration::ZERO, Limits::default(), turn), "");
        assert_eq!(left(Duration::ZERO, limits, Turn { after: None, ..turn }), "");
        let left = left(Duration::from_secs(4), limits, turn);
        assert_eq!(heading(turn, &left, "SB on CPUs 0,1 (core)"), "3 of 7, 46 s left: SB on CPUs 0,1 (core)");
    }

    #[test]
    fn the_nearest_limit_says_how_much_is_done() {
        let limits =
            Limits { duration: Some(Duration::from_secs(10)), iterations: Some(1000), races: Some(50), goal: None };
        let of = |seconds, iterations, races| share(Duration::from_secs(seconds), iterations, races, limits);
        assert_eq!([of(5, 0, 0), of(1, 300, 0), of(1, 300, 20), of(99, 0, 0)], [0.5, 0.3, 0.4, 1.0]);
        assert_eq!(share(Duration::from_secs(5), 9, 9, Limits::default()), 0.0);
    }
}
