//! The period of a paced run, which follows the machine.
//!
//! Too short, and the threads fall behind the clock and may lose each other; too long, and time is wasted. What is known of a batch is the share
//! of ticks that a thread was late for, and how many races it had. On a shared machine what a line transfer costs doubles and halves
//! within seconds, so the period is looked at again and again.
//!
//! Lateness is the rule where races are rare: the shortest period is taken that the threads keep. But lines that go to and fro can hold threads
//! together without any clock, twice as fast as they keep it; in other tests nothing is left then. Where races are frequent they say
//! which it is: now and then all periods down to none are tried, and the one with the most races per tick is taken.

/// How many batches go by before the period is looked at again.
const ADAPT_EVERY: u32 = 10;
/// A batch in which more than this share of instances begins late has lost the clock. Measured: where threads keep up
/// it is a few hundredths, where they do not it is most of them.
const TOO_LATE: f64 = 0.06;
/// The period grows by [`LONGER`] if more batches than this are lost, out of [`ADAPT_EVERY`]. One or two are lost to
/// whoever else wants the CPU, and a longer period does not bring them back.
const LOST: u32 = 2;
const LONGER: f64 = 1.25;
/// The period shrinks by [`SHORTER`] if no more than this share began late in all the batches looked at, not counting
/// [`AT_FIRST`] instances a batch, which are late when the meeting lets a thread go late. What counts is how close the
/// threads are, not how many instances they do: at the shortest period that can be kept, they are not.
const IN_TIME: f64 = 0.02;
pub(super) const AT_FIRST: u64 = 2;
const SHORTER: f64 = 0.98;
/// A moment's disturbance lets the period grow many times over. Once it is over, the way back down to [`NEAR`] times what
/// was kept before is taken in large steps.
const BACK: f64 = 0.7;
const NEAR: f64 = 1.5;
/// At the beginning of a run the period is shortened in large steps, a few batches each, until half of these are lost: the calibration
/// before it was too short to be trusted.
const FEW: u32 = 4;
const SEARCH: f64 = 0.8;
/// After so many looks in a row that found hardly an instance late, the steps are as large again.
const EASY: u32 = 5;
/// What was kept before is forgotten slowly, by this factor each time the period grows: the machine may have become slower
/// for good.
const FORGET: f64 = 1.03;

/// There can be two regimes, a fast one and one in which lines are fetched, lost and fetched again, and what lies between can be kept in
/// neither; in the slow one instances are a little late whatever the period. So at the end of the search, and then after so many looks,
/// all shorter periods are tried. Twice as seldom each time none is better.
const PATIENCE: u32 = 10;
const LONGEST_PATIENCE: u32 = 80;
/// From one period tried to the next, and the last of them as a part of the first; after that comes none at all.
const RUNG: f64 = 0.82;
const LAST_RUNG: f64 = 0.15;
/// Batches of each, where races are compared.
const ENOUGH_BATCHES: u32 = 6;
/// Fewer races than this in all of them say nothing.
const ENOUGH_RACES: u64 = 200;
/// A period taken for its races is kept for so many looks, and twice as long each time the same comes out again, unless what it was taken for
/// has become [`CHANGED`] times more or less in [`TWICE`] looks in a row.
const HOLD: u32 = 40;
const LONGEST_HOLD: u32 = 640;
const CHANGED: f64 = 1.4;
const TWICE: u32 = 2;
/// Then all are tried again, from so many times the last period that was kept: the machine may have become slower.
const ABOVE: f64 = 1.6;

/// The shortest period that threads are asked to keep, in seconds: about what reading the clock twice costs.
pub(super) const SHORTEST_PERIOD: f64 = 30e-9;
/// The longest period that adapting arrives at, in seconds: several times what a contended lock between two sockets
/// takes. Who needs more has lost its CPU, and a longer period does not bring it back.
pub(super) const LONGEST_PERIOD: f64 = 5e-6;

/// Decides on the period. Periods are in ticks.
#[derive(Debug, Clone)]
pub(super) struct PeriodControl {
    shortest: f64,
    longest: f64,
    mode: Mode,
    /// The shortest period that was kept.
    kept: f64,
    /// Whether batches are alike enough for their races to be compared.
    comparable: bool,
    /// Whether all shorter periods were tried since then.
    tried: bool,
    /// Where to begin trying anew, if what was tried so far was not comparable.
    anew: Option<f64>,
    /// How often the period was looked at since others were tried, and how often it is before they are again.
    waited: u32,
    patience: u32,
    /// How often in a row hardly an instance was late.
    easy: u32,
    /// The period that had the most races, and how many looks it is kept for.
    best: f64,
    hold: u32,
    seen: Seen,
}

/// What was seen since the last look.
#[derive(Debug, Clone, Copy, Default)]
struct Seen {
    batches: u32,
    /// Those that lost the clock, and the sum of the late shares of all.
    lost: u32,
    late: f64,
    races: u64,
    ticks: u64,
}

impl Seen {
    fn rate(&self) -> f64 {
        self.races as f64 / self.ticks.max(1) as f64
    }
}

#[derive(Debug, Clone)]
enum Mode {
    /// On the way down from the beginning; whether the last step was one too many.
    Search { failed: bool },
    /// The shortest that is kept.
    Follow,
    /// Trying all that is shorter than a period: what was seen of which.
    Ladder { before: f64, rungs: Vec<(f64, Seen)> },
    /// The one with the most races: how many a tick, how often it is still looked at, how often in a row that had changed, and the last
    /// period that was kept.
    Races { rate: f64, looks: u32, changed: u32, kept: f64 },
}

impl PeriodControl {
    /// Begins with a period; what is asked of the threads lies between two others.
    pub(super) fn new(period: f64, shortest: f64, longest: f64) -> PeriodControl {
        PeriodControl {
            // A tick is all that a coarse clock has.
            shortest: shortest.max(1.0),
            longest,
            mode: Mode::Search { failed: false },
            kept: period,
            comparable: false,
            tried: false,
            anew: None,
            waited: 0,
            patience: PATIENCE,
            easy: 0,
            best: 0.0,
            hold: HOLD,
            seen: Seen::default(),
        }
    }

    /// Says that batches are alike from now on: all at skews where races are about as frequent.
    pub(super) fn comparable(&mut self) {
        if !self.comparable {
            (self.comparable, self.tried, self.waited) = (true, false, self.patience);
            if let Mode::Ladder { before, .. } = self.mode {
                self.anew = Some(before);
            }
        }
    }

    /// Whether the period is one to stay with, as far as can be known. While it is not, the rate of races says more of the period than of the
    /// test.
    pub(super) fn settled(&self) -> bool {
        matches!(self.mode, Mode::Follow | Mode::Races { .. }) && (self.tried || !self.comparable)
    }

    /// Notes a batch: the share of its ticks that a thread was late for, its races, and how long it took.
    pub(super) fn batch(&mut self, late: f64, races: u64, ticks: u64) {
        self.seen.batches += 1;
        self.seen.lost += u32::from(late > TOO_LATE);
        self.seen.late += late;
        self.seen.races += races;
        self.seen.ticks += ticks;
    }

    /// The next period after one; `None` if it is too early to say.
    pub(super) fn look(&mut self, period: f64) -> Option<f64> {
        if let Some(before) = self.anew.take() {
            self.seen = Seen::default();
            return Some(self.ladder(before));
        }
        let enough = match self.mode {
            Mode::Ladder { .. } if self.comparable => ENOUGH_BATCHES,
            Mode::Search { .. } | Mode::Ladder { .. } => FEW,
            Mode::Follow | Mode::Races { .. } => ADAPT_EVERY,
        };
        if self.seen.batches < enough {
            return None;
        }
        let seen = std::mem::take(&mut self.seen);
        let next = match std::mem::replace(&mut self.mode, Mode::Follow) {
            Mode::Search { failed } => self.search(period, seen, failed),
            Mode::Follow => self.follow(period, seen),
            Mode::Ladder { before, mut rungs } => {
                rungs.push((period, seen));
                self.climb(period, before, rungs)
            }
            Mode::Races { rate, looks, changed, kept } => {
                let alike = (rate / CHANGED..rate * CHANGED).contains(&seen.rate());
                let changed = if alike { 0 } else { changed + 1 };
                if changed >= TWICE {
                    self.hold = HOLD;
                }
                if looks == 0 || changed >= TWICE {
                    self.ladder(ABOVE * kept)
                } else {
                    self.mode = Mode::Races { rate, looks: looks - 1, changed, kept };
                    period
                }
            }
        };
        if next >= period {
            self.easy = 0;
        }
        Some(next.min(self.longest))
    }

    /// On the way down from the beginning.
    fn search(&mut self, period: f64, seen: Seen, failed: bool) -> f64 {
        if seen.lost < seen.batches / 2 && period > self.shortest {
            self.kept = self.kept.min(period);
            self.mode = Mode::Search { failed: false };
            return (SEARCH * period).max(self.shortest);
        }
        // A thread that was only just started, or somebody else's doing: looked at twice.
        if !failed && period > self.shortest {
            self.mode = Mode::Search { failed: true };
            return period;
        }
        self.ladder(period * LONGER / SEARCH)
    }

    /// Begins to try all periods from one down.
    fn ladder(&mut self, from: f64) -> f64 {
        self.waited = 0;
        self.mode = Mode::Ladder { before: from, rungs: Vec::new() };
        from
    }

    /// The next rung of a ladder; after the last, what it has come to.
    fn climb(&mut self, period: f64, before: f64, rungs: Vec<(f64, Seen)>) -> f64 {
        let next = RUNG * period;
        if next >= (LAST_RUNG * before).max(self.shortest) {
            self.mode = Mode::Ladder { before, rungs };
            return next;
        }
        // None at all is only for those who are judged by their races.
        if self.comparable && period > 1.0 {
            self.mode = Mode::Ladder { before, rungs };
            return 1.0;
        }
        self.tried = true;
        let kept = rungs.iter().rfind(|(_, seen)| seen.lost < seen.batches / 2).map(|rung| rung.0);
        let races: u64 = rungs.iter().map(|(_, seen)| seen.races).sum();
        if self.comparable && races >= ENOUGH_RACES {
            let best = rungs.iter().max_by(|a, b| a.1.rate().total_cmp(&b.1.rate()));
            // The longest is the best, and too short: even longer ones may be better.
            if let Some(&(best, seen)) = best.filter(|(best, _)| kept.is_some() || *best < before) {
                let same = (RUNG * RUNG..1.0 / RUNG / RUNG).contains(&(best / self.best));
                // Where none was kept the next ladder begins higher, and soon.
                self.hold = if same && kept.is_some() { (2 * self.hold).min(LONGEST_HOLD) } else { HOLD };
                self.best = best;
                let kept = kept.unwrap_or(before);
                self.mode = Mode::Races { rate: seen.rate(), looks: self.hold, changed: 0, kept };
                return best;
            }
        }
        let better = kept.filter(|kept| *kept < before);
        self.patience = if better.is_some() { PATIENCE } else { (2 * self.patience).min(LONGEST_PATIENCE) };
        kept.unwrap_or(before)
    }

    fn follow(&mut self, period: f64, seen: Seen) -> f64 {
        self.waited += 1;
        if seen.lost > LOST {
            self.kept *= FORGET;
            return LONGER * period;
        }
        let in_time = seen.late <= IN_TIME * f64::from(seen.batches);
        if self.waited > self.patience && (!in_time || self.comparable && seen.races >= ENOUGH_RACES) {
            return self.ladder(period);
        }
        if !in_time {
            return period;
        }
        let next = if period > NEAR * self.kept {
            BACK * period
        } else {
            self.kept = self.kept.min(period);
            self.easy += 1;
            if self.easy > EASY { SEARCH * period } else { SHORTER * period }
        };
        next.max(self.shortest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs batches on a machine that says how late it is at a period, and how many races a batch has there; the periods.
    fn run(start: f64, batches: u32, machine: impl Fn(u32, f64) -> (f64, u64)) -> Vec<f64> {
        let mut control = PeriodControl::new(start, 20.0, 5000.0);
        let mut period = start;
        let one = |batch| {
            if batch == batches / 4 {
                control.comparable();
            }
            let (late, races) = machine(batch, period);
            control.batch(late, races, 1000 * super::super::convert::whole(period.max(40.0)));
            period = control.look(period).unwrap_or(period);
            period
        };
        (0..batches).map(one).collect()
    }

    /// How often a period was in a range in the second half.
    fn share(periods: &[f64], range: std::ops::Range<f64>) -> f64 {
        let half = &periods[periods.len() / 2..];
        half.iter().filter(|period| range.contains(period)).count() as f64 / half.len() as f64
    }

    #[test]
    fn the_shortest_period_that_can_be_kept_is_found_from_either_side() {
        let machine = |_, period: f64| (if period < 100.0 { 0.9 } else { 0.01 }, 0);
        for start in [30.0, 120.0, 2000.0] {
            let share = share(&run(start, 20_000, machine), 95.0..130.0);
            assert!(share > 0.8, "from {start}: {share}");
        }
    }

    #[test]
    fn a_slow_regime_is_left_for_a_fast_one_behind_it() {
        // Between 70 and 200 nothing can be kept, below and above it can; both are a little late.
        let machine = |_, period: f64| match period {
            period if period < 50.0 => (0.9, 0),
            period if period < 70.0 => (0.03, 0),
            period if period < 200.0 => (0.8, 0),
            _ => (0.03, 0),
        };
        let share = share(&run(260.0, 20_000, machine), 50.0..70.0);
        assert!(share > 0.8, "{share}");
    }

    #[test]
    fn races_decide_where_there_are_some() {
        // Out of step, and yet as many races an instance: the shortest is the best.
        let together = run(100.0, 20_000, |_, period| (if period < 50.0 { 0.9 } else { 0.01 }, 500));
        assert!(share(&together, 0.0..45.0) > 0.8);
        // Out of step, and nothing left.
        let lost = run(100.0, 20_000, |_, period| if period < 50.0 { (0.9, 1) } else { (0.01, 500) });
        assert!(share(&lost, 45.0..75.0) > 0.8, "{:?}", &lost[19_000..19_100]);
        // The machine becomes four times slower, and falls apart when rushed.
        let slower = run(100.0, 40_000, |batch, period| match (batch < 15_000, period) {
            (true, period) => (if period < 50.0 { 0.9 } else { 0.01 }, 500),
            (false, period) if period < 200.0 => (0.9, 20),
            _ => (0.01, 500),
        });
        assert!(share(&slower, 190.0..300.0) > 0.7, "{:?}", &slower[39_000..39_100]);
    }

    #[test]
    fn a_clock_of_40_ns_is_no_trap() {
        // Below four ticks nothing can be kept, or below three, and the machine sees whole ticks only.
        for least in [3.0, 4.0] {
            for races in [0, 500] {
                let mut control = PeriodControl::new(8.0, 0.75, 125.0);
                control.comparable();
                let (mut period, mut kept, mut settled) = (8.0_f64, 0, 0);
                for batch in 0..20_000 {
                    let ticks = period.round().max(1.0);
                    let lost = ticks < least;
                    control.batch(
                        if lost { 0.9 } else { 0.01 },
                        if lost { 1 } else { races },
                        1000 * super::super::convert::whole(ticks),
                    );
                    period = control.look(period).unwrap_or(period);
                    if batch >= 10_000 {
                        kept += u32::from((least..least + 3.0).contains(&period.round()));
                        settled += u32::from(control.settled());
                    }
                }
                assert!(kept > 6_000 && settled > 6_000, "{least}, {races}: {kept}, {settled}");
            }
        }
    }

    #[test]
    fn it_has_settled_when_all_periods_were_tried() {
        let mut control = PeriodControl::new(100.0, 20.0, 5000.0);
        let (mut period, mut settled) = (100.0, Vec::new());
        for batch in 0..1000 {
            if batch == 500 {
                control.comparable();
            }
            control.batch(if period < 80.0 { 0.9 } else { 0.03 }, 100, 1000);
            period = control.look(period).unwrap_or(period);
            settled.push(control.settled());
        }
        // Not at first, nor after batches have become comparable; and else most of the time.
        let often = |range: std::ops::Range<usize>| settled[range].iter().filter(|settled| **settled).count();
        assert_eq!((often(0..10), often(500..530)), (0, 0));
        assert!(often(100..500) > 200 && often(700..1000) > 200);
    }

    #[test]
    fn a_disturbance_is_forgotten() {
        let periods = run(100.0, 8000, |batch, period| {
            let quiet = if period < 95.0 { 0.9 } else { 0.01 };
            (if (500..700).contains(&batch) { 0.9 } else { quiet }, 0)
        });
        assert!(share(&periods, 90.0..160.0) > 0.8);
    }
}
