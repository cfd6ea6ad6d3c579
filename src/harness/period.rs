//! Period control: adapts the period of a paced run to the machine.
//!
//! If the period is too short, the threads fall behind the clock and may lose synchronization. If it is too
//! long, time is wasted. Two numbers are known of each batch: the share of ticks for which a thread was late,
//! and the number of races. On a shared machine the cache-line transfer latency doubles and halves within
//! seconds, so the period is checked again and again.
//!
//! Where races are rare, lateness decides: the shortest period that the threads keep is used. But cache lines
//! that move back and forth can keep threads synchronized without a clock, at half of the period that they can
//! keep. In other tests such a short period leaves no races. So where races are frequent, races decide: from
//! time to time shorter periods, and one tick (no waiting), are tried, and the one with the most races per clock
//! tick is used. Batches differ much, because their skews and prefetches do and because the machine does. So what
//! earlier trials have shown counts too, until the machine changes.
//!
//! Words: a *look* is one decision about the period, after a few batches. A period is *kept* if the threads keep up
//! with it. A batch is *lost* if too many of its instances start late. A *ladder* is a sequence of shorter and shorter
//! trial periods, its *rungs*. They are powers of 1/`RUNG`, the same in all ladders of all runs without a known period: where several periods are
//! about as good, two runs choose the same one or the next.
//!
//! A *known* period had the most races in an earlier run. The rungs are shifted so that it is one of them, and another one takes its place
//! only with far more races. Where the machine changes every few seconds, runs that choose anew spend their time at different periods that
//! are about as good.

use std::collections::BTreeMap;
use std::time::Duration;

use super::convert::whole;

/// Number of batches between two looks.
const ADAPT_EVERY: u32 = 10;
/// A batch is lost if more than this share of its instances start late. Measured: the share is a few hundredths
/// where the threads keep up, and most of the instances where they do not.
const TOO_LATE: f64 = 0.06;
/// The period grows by the factor [`LONGER`] if more than this many of [`ADAPT_EVERY`] batches are lost. One or
/// two batches can be lost to another process that takes the CPU, and a longer period does not help against
/// that.
const LOST: u32 = 2;
const LONGER: f64 = 1.25;
/// The period shrinks by the factor [`SHORTER`] if no more than this share of the instances of a look started
/// late. [`AT_FIRST`] instances of each batch are not counted: they are late when the rendezvous releases a
/// thread late. The goal is that the threads run close together, not that they run many instances: at the
/// shortest period that can just be kept, they are not close together.
const LATE_SHARE: f64 = 0.02;
pub(super) const AT_FIRST: u64 = 2;
const SHORTER: f64 = 0.98;
/// A short disturbance can make the period grow many times over. After it, the period returns in large steps of
/// this factor until it is [`NEAR`] times the kept period.
const BACK: f64 = 0.7;
const NEAR: f64 = 1.5;
/// At the beginning of a run the period shrinks by the factor [`SEARCH`] every [`FEW`] batches, until half of
/// these are lost: the calibration before the run is too short to be trusted.
const FEW: u32 = 4;
const SEARCH: f64 = 0.8;
/// After this many consecutive looks with hardly any late instance, the steps are large again.
const EASY: u32 = 5;
/// Each time the period grows, the kept period grows by this factor, because the machine may have become slower
/// for good.
const FORGET: f64 = 1.03;

/// Number of looks after which all shorter periods are tried again; also tried at the end of the search.
///
/// There can be two regimes: a fast one, and a slow one in which lines are fetched, lost and fetched again.
/// Periods between the two cannot be kept in either, and in the slow regime instances are a little late at
/// every period. So small steps do not lead from the slow regime to the fast one. The number doubles each time
/// no shorter period is better.
const PATIENCE: u32 = 10;
const LONGEST_PATIENCE: u32 = 80;
/// Ratio of each period of a ladder to the one before, and of the last period to the first. After the last
/// one, a period of one tick (no waiting) is tried if races are compared.
const RUNG: f64 = 0.82;
const LAST_RUNG: f64 = 0.15;
/// Number of batches per rung, where races are compared.
const ENOUGH_BATCHES: u32 = 6;
/// Number of batches at a rung with this share of the highest rate, if it has this many races.
const MORE_BATCHES: u32 = 18;
const PROMISING: f64 = 0.7;
const SOME_RACES: f64 = 10.0;
/// With fewer races than this in all batches of a ladder, races are not compared.
const ENOUGH_RACES: u64 = 200;
/// Number of looks for which a period chosen by its races is kept. It doubles each time the next ladder gives
/// the same period. The period is given up earlier if its race rate differs by more than the factor [`CHANGED`]
/// from the rate at which it was chosen, in [`TWICE`] consecutive looks.
const HOLD: u32 = 40;
const LONGEST_HOLD: u32 = 640;
const CHANGED: f64 = 1.4;
const TWICE: u32 = 2;
/// The next ladder then starts at this many times the last kept period, or the chosen one if that is longer, because the machine
/// may have become slower.
const ABOVE: f64 = 1.6;
/// The first ladder where races decide starts at this many times the kept period. S05-swapped has five times the races per second at
/// four times the period that it keeps.
const FAR_ABOVE: f64 = 5.0;
/// Each ladder multiplies the weight of what was seen before by this factor. What has less than the weight of one batch counts for
/// nothing, and so does all that was seen before a rate changed or other skews were selected.
const PAST: f64 = 0.7;
/// The last period chosen by its races is chosen again unless another one has this many times its rate.
const CLEARLY: f64 = 1.08;
/// A known period is chosen unless another one has this many times its rate.
const FAR_MORE: f64 = 1.4;
/// Batches at a rung from which on its races in the whole run count: those of three ladders in which it may be the best one.
const THREE_LADDERS: f64 = 3.0 * MORE_BATCHES as f64;

/// The shortest period that threads are asked to keep. About the time of two clock reads.
pub(super) const SHORTEST_PERIOD: Duration = Duration::from_nanos(30);
/// The longest period that the adaptation chooses: several times the time of a contended lock
/// between two sockets. A thread that needs longer has lost its CPU; a longer period does not help.
pub(super) const LONGEST_PERIOD: Duration = Duration::from_micros(5);

/// Controls the period of a run. All periods are in ticks, with a fraction, so that small steps add up.
#[derive(Debug, Clone)]
pub(super) struct PeriodControl {
    shortest: f64,
    longest: f64,
    mode: Mode,
    /// The shortest period that was kept.
    kept: f64,
    /// Whether batches are similar enough for their races to be compared.
    comparable: bool,
    /// Whether all shorter periods were tried since `comparable` was set.
    tried: bool,
    /// If set, a new ladder starts at this period, because the batches of the last one were not comparable, and the races of these.
    anew: Option<(f64, u64)>,
    /// Number of looks since the last ladder, and the number after which the next ladder starts (`patience`).
    waited: u32,
    patience: u32,
    /// Number of consecutive looks with hardly any late instance.
    easy: u32,
    /// The last period chosen by its races, if there was one, and the number of looks for which it is kept (`hold`).
    best: Option<f64>,
    hold: u32,
    /// What was seen at the rungs since a rate has changed, by the power of 1/[`RUNG`] nearest to each.
    past: BTreeMap<u64, Past>,
    /// What was seen at the rungs in the whole run.
    all: BTreeMap<u64, Past>,
    /// The known period, if there is one, and the rungs, of which it is one.
    known: Option<f64>,
    rungs: Rungs,
    seen: Seen,
}

/// Batches, races and ticks at a period, those of long ago with less weight.
#[derive(Debug, Clone, Copy, Default)]
struct Past {
    batches: f64,
    races: f64,
    ticks: f64,
}

impl Past {
    fn add(&mut self, seen: Seen) {
        self.batches += f64::from(seen.batches);
        self.races += seen.races as f64;
        self.ticks += seen.ticks as f64;
    }

    fn fade(&mut self) {
        self.batches *= PAST;
        self.races *= PAST;
        self.ticks *= PAST;
    }

    fn rate(self) -> f64 {
        self.races / self.ticks.max(1.0)
    }
}

/// The periods that ladders try: powers of 1/[`RUNG`], all longer by the same factor if one of them is to be a known period.
#[derive(Debug, Clone, Copy, Default)]
struct Rungs {
    /// The logarithm of the factor to the base 1/[`RUNG`]; from 0 to 1.
    shift: f64,
}

impl Rungs {
    /// Rungs of which one is this period of at least a tick.
    fn with(period: f64) -> Rungs {
        Rungs { shift: log(period).fract() }
    }

    /// The number of the rung nearest to a period of at least a tick.
    fn nearest(self, period: f64) -> u64 {
        whole((log(period) - self.shift).round())
    }

    /// The period of a rung.
    fn period(self, number: u64) -> f64 {
        RUNG.powf(-(number as f64 + self.shift))
    }

    /// The shortest rung that is no shorter than a period of at least a tick.
    fn above(self, period: f64) -> f64 {
        // A period that is a rung itself may differ from it by rounding.
        const ROUNDING: f64 = 1e-6;
        self.period(whole((log(period) - self.shift - ROUNDING).ceil()))
    }
}

/// The logarithm of a period to the base 1/[`RUNG`].
fn log(period: f64) -> f64 {
    period.ln() / -RUNG.ln()
}

/// Totals since the last look.
#[derive(Debug, Clone, Copy, Default)]
struct Seen {
    batches: u32,
    /// Number of lost batches, and the sum of the late shares of all batches (`late`).
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
    /// Shortening the period at the beginning of a run. `failed`: the last look found too many lost batches.
    Search { failed: bool },
    /// Using the shortest period that is kept.
    Follow,
    /// Trying the periods from `before` down to `last`. `rungs` has the periods tried so far and their totals.
    Ladder { before: f64, last: f64, rungs: Vec<(f64, Seen)> },
    /// Using the period with the most races. `rate`: races per tick when it was chosen. `looks`: number of
    /// looks left. `changed`: number of consecutive looks with another rate. `kept`: the shortest period that
    /// was kept.
    Races { rate: f64, looks: u32, changed: u32, kept: f64 },
}

impl PeriodControl {
    /// Starts with `period`. Periods are later chosen between `shortest` and `longest`.
    pub(super) fn new(period: f64, shortest: f64, longest: f64) -> PeriodControl {
        PeriodControl {
            // A coarse clock cannot measure less than one tick.
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
            best: None,
            hold: HOLD,
            past: BTreeMap::new(),
            all: BTreeMap::new(),
            known: None,
            rungs: Rungs::default(),
            seen: Seen::default(),
        }
    }

    /// Starts with a known period.
    pub(super) fn knowing(period: f64, shortest: f64, longest: f64) -> PeriodControl {
        let (known, rungs) = (Some(period), Rungs::with(period.max(1.0)));
        PeriodControl { known, best: known, rungs, ..PeriodControl::new(period, shortest, longest) }
    }

    /// The period that had the most races per tick in the ladders of the whole run. `None` if there were too few.
    pub(super) fn found(&self) -> Option<f64> {
        let known = self.all.iter().filter(|(_, all)| all.batches >= THREE_LADDERS);
        let best = known.max_by(|a, b| a.1.rate().total_cmp(&b.1.rate()));
        best.filter(|(_, all)| all.races >= ENOUGH_RACES as f64).map(|(&rung, _)| self.rungs.period(rung))
    }

    /// Whether it started with a known period.
    #[cfg(test)]
    pub(super) fn is_known(&self) -> bool {
        self.known.is_some()
    }

    /// Says that the batches are comparable from now on: all are at skews with similar race rates.
    pub(super) fn comparable(&mut self) {
        if !self.comparable {
            (self.comparable, self.tried, self.waited) = (true, false, self.patience);
            if let Mode::Ladder { before, rungs, .. } = &self.mode {
                let races = rungs.iter().map(|(_, seen)| seen.races).sum();
                self.anew = Some((*before, races));
            }
        }
    }

    /// Says that other skews are selected from now on, which have other race rates.
    pub(super) fn other_skews(&mut self) {
        self.past.clear();
        self.all.clear();
    }

    /// Whether the choice of the period is complete for now. If not, race rates describe the period more than
    /// the test.
    pub(super) fn settled(&self) -> bool {
        matches!(self.mode, Mode::Follow | Mode::Races { .. }) && (self.tried || !self.comparable)
    }

    /// Adds a batch: the share of its ticks for which a thread was late, its number of races, and its duration
    /// in ticks.
    pub(super) fn batch(&mut self, late: f64, races: u64, ticks: u64) {
        self.seen.batches += 1;
        self.seen.lost += u32::from(late > TOO_LATE);
        self.seen.late += late;
        self.seen.races += races;
        self.seen.ticks += ticks;
    }

    /// Decides on the period to follow `period`. Returns `None` if there are too few batches yet.
    pub(super) fn look(&mut self, period: f64) -> Option<f64> {
        if let Some((before, races)) = self.anew.take() {
            self.seen = Seen::default();
            return Some(self.ladder_from_kept(before, races));
        }
        let enough = match self.mode {
            Mode::Ladder { .. } if self.comparable => self.batches_at(period),
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
            Mode::Ladder { before, last, mut rungs } => {
                rungs.push((period, seen));
                if self.comparable {
                    let rung = self.rungs.nearest(period);
                    self.past.entry(rung).or_default().add(seen);
                    self.all.entry(rung).or_default().add(seen);
                }
                self.climb(period, (before, last), rungs)
            }
            Mode::Races { rate, looks, changed, kept } => {
                let alike = (rate / CHANGED..rate * CHANGED).contains(&seen.rate());
                let changed = if alike { 0 } else { changed + 1 };
                if changed >= TWICE {
                    self.hold = HOLD;
                    self.past.clear();
                }
                if looks == 0 || changed >= TWICE {
                    self.ladder((ABOVE * kept.max(period)).min(self.longest), ABOVE * kept)
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

    /// One step of the search at the beginning of a run.
    fn search(&mut self, period: f64, seen: Seen, failed: bool) -> f64 {
        if seen.lost < seen.batches / 2 && period > self.shortest {
            self.kept = self.kept.min(period);
            self.mode = Mode::Search { failed: false };
            return (SEARCH * period).max(self.shortest);
        }
        // The cause may be a thread that has only just started, or another process. So the period gets a second
        // look.
        if !failed && period > self.shortest {
            self.mode = Mode::Search { failed: true };
            return period;
        }
        let long = period * LONGER / SEARCH;
        self.ladder(long, long)
    }

    /// Number of batches at a rung: more if it may be the best one.
    fn batches_at(&self, period: f64) -> u32 {
        let rung = self.rungs.nearest(period);
        let mut own = self.past.get(&rung).copied().unwrap_or_default();
        own.add(self.seen);
        let others = self.past.iter().filter(|(other, _)| **other != rung).map(|(_, past)| past.rate());
        let best = others.fold(0.0, f64::max);
        if own.races >= SOME_RACES && own.rate() >= PROMISING * best { MORE_BATCHES } else { ENOUGH_BATCHES }
    }

    /// Starts a ladder at a period that is kept. Where races decide for the first time, the best period may be much longer.
    fn ladder_from_kept(&mut self, kept: f64, races: u64) -> f64 {
        let first = self.comparable && self.best.is_none() && races >= ENOUGH_RACES;
        let far = if first { FAR_ABOVE } else { 1.0 };
        self.ladder((far * kept).min(self.longest), kept)
    }

    /// Starts a ladder: tries all rungs from the one above `from` down to a share of `kept`. Returns the first of them.
    fn ladder(&mut self, from: f64, kept: f64) -> f64 {
        // A known period is among the rungs, wherever the threads are now.
        let known = self.known.filter(|_| self.comparable);
        let from = known.map_or(from, |known| from.max(known));
        let last = known.map_or(LAST_RUNG * kept, |known| (LAST_RUNG * kept).min(known));
        let above = self.rungs.above(from);
        let from = if above > self.longest { RUNG * self.rungs.above(self.longest) } else { above };
        self.waited = 0;
        self.past.values_mut().for_each(Past::fade);
        self.past.retain(|_, past| past.batches >= 1.0);
        self.mode = Mode::Ladder { before: from, last, rungs: Vec::new() };
        from
    }

    /// The next period of a ladder. After the last period, decides which one to use.
    fn climb(&mut self, period: f64, (before, last): (f64, f64), rungs: Vec<(f64, Seen)>) -> f64 {
        let next = RUNG * period;
        if next >= last.max(self.shortest) {
            self.mode = Mode::Ladder { before, last, rungs };
            return next;
        }
        // A period of one tick is tried only where races decide.
        if self.comparable && period > 1.0 {
            self.mode = Mode::Ladder { before, last, rungs };
            return 1.0;
        }
        self.tried = true;
        let kept = rungs.iter().rfind(|(_, seen)| seen.lost < seen.batches / 2).map(|rung| rung.0);
        let races: u64 = rungs.iter().map(|(_, seen)| seen.races).sum();
        if self.comparable && races >= ENOUGH_RACES {
            let rate = |period: f64| self.past.get(&self.rungs.nearest(period)).map_or(0.0, |past| past.rate());
            let best = rungs.iter().map(|rung| rung.0).max_by(|a, b| rate(*a).total_cmp(&rate(*b)));
            // The last one and the known one need not be rungs of this ladder.
            let best = best.map(|best| {
                let known = self.known.filter(|known| FAR_MORE * rate(*known) >= rate(best));
                known.or(self.best.filter(|last| CLEARLY * rate(*last) >= rate(best))).unwrap_or(best)
            });
            // If the longest period of the ladder has the most races and none was kept, longer ones may be
            // better, so none is chosen by its races.
            if let Some(best) = best.filter(|best| kept.is_some() || *best < before) {
                let same = self.best.is_some_and(|last| (RUNG * RUNG..1.0 / RUNG / RUNG).contains(&(best / last)));
                // If none was kept, the next ladder starts at a longer period, and soon.
                self.hold = if same && kept.is_some() { (2 * self.hold).min(LONGEST_HOLD) } else { HOLD };
                self.best = Some(best);
                let kept = kept.unwrap_or(before);
                self.mode = Mode::Races { rate: rate(best), looks: self.hold, changed: 0, kept };
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
        let in_time = seen.late <= LATE_SHARE * f64::from(seen.batches);
        if self.waited > self.patience && (!in_time || self.comparable && seen.races >= ENOUGH_RACES) {
            return self.ladder_from_kept(period, seen.races);
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

    /// Runs batches on a simulated machine. `machine` gives the late share and the races of a batch at a
    /// period. Returns the periods.
    fn run(start: f64, batches: u32, machine: impl Fn(u32, f64) -> (f64, u64)) -> Vec<f64> {
        run_with(&mut PeriodControl::new(start, 20.0, 5000.0), start, batches, machine)
    }

    fn run_with(
        control: &mut PeriodControl,
        start: f64,
        batches: u32,
        machine: impl Fn(u32, f64) -> (f64, u64),
    ) -> Vec<f64> {
        let mut period = start;
        let one = |batch| {
            if batch == batches / 4 {
                control.comparable();
            }
            let (late, races) = machine(batch, period);
            control.batch(late, races, 1000 * whole(period.max(40.0)));
            period = control.look(period).unwrap_or(period);
            period
        };
        (0..batches).map(one).collect()
    }

    /// Share of the second half of the periods that is in a range.
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

    /// Around the best period the races per tick hardly differ, but the races per iteration do.
    #[test]
    fn runs_that_begin_with_other_periods_choose_the_same_one() {
        let machine = |_, period: f64| {
            let late = if period < 70.0 { 0.9 } else { 0.0 };
            let from_best = (period / 100.0).ln();
            (late, whole(1000.0 * period * (-from_best * from_best).exp()))
        };
        let chosen = |start: f64| {
            let periods = run(start, 4000, machine);
            periods[periods.len() * 3 / 4]
        };
        let first = chosen(80.0);
        assert!((85.0..118.0).contains(&first), "{first}");
        for start in [83.0, 90.0, 101.0, 131.0, 300.0] {
            assert!((chosen(start) / first - 1.0).abs() < 1e-9, "{start}: {} and {first}", chosen(start));
        }
        let mut control = PeriodControl::new(4000.0, 20.0, 5000.0);
        let from = control.ladder(9000.0, 4000.0);
        let rungs = Rungs::default();
        assert!(from > RUNG * 5000.0 && from <= 5000.0 && (rungs.above(from) / from - 1.0).abs() < 1e-9, "{from}");
        for period in [1.0, 83.0, 100.0, 5000.0] {
            let rung = rungs.above(period);
            assert!((period..period / RUNG).contains(&(rung * (1.0 + 1e-9))), "{period} {rung}");
            assert!(
                (rungs.above(rung * (1.0 + 1e-12)) / rung - 1.0).abs() < 1e-9
                    && rungs.nearest(rung) == rungs.nearest(rung * 1.05)
            );
        }
    }

    /// Races per tick have a peak at 150 ticks, as high as this in units of those at 100 ticks.
    fn peak(height: f64) -> impl Fn(u32, f64) -> (f64, u64) {
        move |_, period: f64| {
            let at = |peak: f64| (-((period.max(1.0) / peak).ln() / 0.15).powi(2)).exp();
            (if period < 70.0 { 0.9 } else { 0.01 }, whole(10.0 * period.max(40.0) * (at(100.0) + height * at(150.0))))
        }
    }

    #[test]
    fn a_known_period_stays_unless_another_has_far_more_races() {
        for (known, height, wanted) in [(true, 1.3, 100.0), (true, 1.6, 150.0), (false, 1.3, 150.0)] {
            let new = if known { PeriodControl::knowing } else { PeriodControl::new };
            let periods = run_with(&mut new(100.0, 20.0, 5000.0), 100.0, 8000, peak(height));
            let there = share(&periods, wanted / 1.1..wanted * 1.1);
            assert!(there > 0.8, "{known} {height}: {there}");
            // It is one of the rungs, so that it is measured itself.
            let same = periods[6000..].iter().filter(|period| (**period / 100.0 - 1.0).abs() < 1e-9).count();
            assert_eq!(same > 0, known, "{height}");
        }
        // A known period is tried wherever the kept ones are: at four times the shortest of them, and without waiting.
        for known in [1.0, 280.0] {
            let machine = |_, period: f64| {
                let at = |peak: f64| (-((period.max(1.0) / peak).ln() / 0.1).powi(2)).exp();
                let rate = at(known) + 0.5 * at(100.0);
                (if period < 70.0 { 0.9 } else { 0.01 }, whole(10.0 * period.max(40.0) * rate))
            };
            let periods = run_with(&mut PeriodControl::knowing(known, 20.0, 5000.0), known, 8000, machine);
            let there = share(&periods, known / 1.05..known * 1.05);
            assert!(there > 0.7, "{known}: {there}");
        }
        for known in [1.0, 83.0, 100.0, 250.3] {
            let rungs = Rungs::with(known);
            let number = rungs.nearest(known);
            assert!(
                (rungs.period(number) / known - 1.0).abs() < 1e-9 && (rungs.above(known) / known - 1.0).abs() < 1e-9
            );
            assert_eq!((rungs.nearest(1.0), rungs.nearest(known * 1.08)), (0, number), "{known}");
        }
    }

    #[test]
    fn the_period_with_the_most_races_of_the_whole_run_is_found() {
        let found = |machine: &dyn Fn(u32, f64) -> (f64, u64), batches| {
            let mut control = PeriodControl::new(150.0, 20.0, 5000.0);
            run_with(&mut control, 150.0, batches, machine);
            control.found()
        };
        let (long, short) = (peak(1.6), peak(0.5));
        // In the last quarter of the run another period has the most.
        let best =
            found(&|batch, period| if batch < 9000 { long(batch, period) } else { short(batch, period) }, 12_000);
        assert!(best.is_some_and(|best| (135.0..165.0).contains(&best)), "{best:?}");
        // Nothing races, or there was one ladder.
        assert_eq!(found(&|_, period| (if period < 70.0 { 0.9 } else { 0.03 }, 0), 40_000), None);
        assert_eq!(found(&long, 200), None);
        // At other skews the rates are others.
        let mut control = PeriodControl::new(150.0, 20.0, 5000.0);
        run_with(&mut control, 150.0, 8000, &long);
        assert!(control.found().is_some());
        control.other_skews();
        assert_eq!(control.found(), None);
    }

    #[test]
    fn a_slow_regime_is_left_for_a_fast_one_behind_it() {
        // Between 70 and 200 no period can be kept. Below and above it can, with a few late instances.
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
        // Late at short periods, but with as many races per instance: the shortest period is the best.
        let together = run(100.0, 20_000, |_, period| (if period < 50.0 { 0.9 } else { 0.01 }, 500));
        assert!(share(&together, 0.0..45.0) > 0.8);
        // Late at short periods, and with almost no races there.
        let lost = run(100.0, 20_000, |_, period| if period < 50.0 { (0.9, 1) } else { (0.01, 500) });
        assert!(share(&lost, 45.0..75.0) > 0.8, "{:?}", &lost[19_000..19_100]);
        // The machine becomes four times slower, and almost no races are left at shorter periods.
        let slower = run(100.0, 40_000, |batch, period| match (batch < 15_000, period) {
            (true, period) => (if period < 50.0 { 0.9 } else { 0.01 }, 500),
            (false, period) if period < 200.0 => (0.9, 20),
            _ => (0.01, 500),
        });
        assert!(share(&slower, 190.0..300.0) > 0.7, "{:?}", &slower[39_000..39_100]);
    }

    /// The share of the possible races per tick that a run has on a machine whose batches differ by a factor of six, by chance.
    fn yielded(seed: u64) -> f64 {
        let mut random = fastrand::Rng::with_seed(seed);
        // Most races at 60 ticks, a tenth less at the rungs beside it.
        let rate = |period: f64| 1.0 / (1.0 + ((period.max(1.0) / 60.0).ln() / 0.6).powi(2));
        let mut control = PeriodControl::new(150.0, 20.0, 5000.0);
        control.comparable();
        let (mut period, mut sum) = (150.0_f64, 0.0);
        for batch in 0..8000 {
            let ticks = 1000.0 * period.max(20.0);
            let races = 0.005 * ticks * rate(period) * [0.3, 1.0, 1.7][random.usize(..3)];
            let late = if period < 80.0 { 0.9 } else { 0.01 };
            control.batch(late, whole(races), whole(ticks));
            sum += if batch >= 1000 { rate(period) } else { 0.0 };
            period = control.look(period).unwrap_or(period);
        }
        sum / 7000.0
    }

    #[test]
    fn batches_that_differ_by_chance_do_not_choose_the_period() {
        // The ladders themselves cost a twentieth, and the rungs beside the peak a fiftieth. When a ladder's own batches decided alone, the
        // mean was 0.878.
        let all: Vec<f64> = (0..200).map(yielded).collect();
        let mean = all.iter().sum::<f64>() / 200.0;
        let least = all.iter().copied().fold(1.0, f64::min);
        assert!(mean > 0.895 && least > 0.81, "{mean}, {least}");
    }

    /// Where nothing races a ladder is short: it has lost batches, whose zeros say little.
    #[test]
    fn a_ladder_without_races_has_few_batches_a_rung() {
        let machine = |_, period: f64| (if period < 100.0 { 0.9 } else { 0.03 }, 0);
        let periods = run(300.0, 4000, machine);
        let lost = periods[1000..].iter().filter(|period| **period < 95.0).count();
        assert!(lost > 0 && lost < 240, "{lost}");
    }

    /// The first ladder has no period to prefer. One tick, with which skews mean nothing, must be the best to be chosen.
    #[test]
    fn the_first_ladder_prefers_no_period() {
        let machine = |_, period: f64| {
            let rate = if period <= 1.0 { 0.95 } else { 1.0 / (1.0 + ((period / 60.0).ln() / 0.6).powi(2)) };
            (if period < 100.0 { 0.9 } else { 0.01 }, whole(50.0 * period.max(40.0) * rate))
        };
        let periods = run(200.0, 4000, machine);
        assert!(
            share(&periods, 0.0..2.0) < 0.05 && share(&periods, 50.0..75.0) > 0.8,
            "{}",
            share(&periods, 50.0..75.0)
        );
    }

    /// The period with the most races may be several times the shortest one that is kept. The first ladder finds it, and from a long one a
    /// ladder leads down to it.
    #[test]
    fn a_period_far_above_the_kept_one_is_found_and_left_again() {
        let machine = |best: f64| {
            move |period: f64| {
                let rate = 0.1 + 1.0 / (1.0 + ((period / best).ln() / 0.4).powi(2));
                (if period < 70.0 { 0.9 } else { 0.01 }, whole(50.0 * period.max(40.0) * rate))
            }
        };
        let found = share(&run(100.0, 3000, |_, period| machine(280.0)(period)), 220.0..350.0);
        assert!(found > 0.8, "{found}");
        // Then the best period becomes much shorter, and less remains of the old one than there is between the two.
        let change = |batch, period: f64| {
            let at = |peak: f64| 1.0 / (1.0 + ((period / peak).ln() / 0.2).powi(2));
            let rate = if batch < 3000 { at(1600.0) } else { 0.4 * at(1600.0) + at(230.0) };
            (if period < 70.0 { 0.9 } else { 0.01 }, whole(50.0 * period.max(40.0) * rate))
        };
        let left = share(&run(100.0, 6000, change), 180.0..290.0);
        assert!(left > 0.84, "{left}");
    }

    /// What was seen before the machine changed says nothing about the best period after it.
    #[test]
    fn what_was_seen_before_a_change_is_forgotten() {
        let peak = |batch| if batch < 4000 { 40.0 } else { 160.0_f64 };
        let machine = |batch, period: f64| {
            let rate = 1.0 / (1.0 + ((period.max(1.0) / peak(batch)).ln() / 0.4).powi(2));
            (0.01, whole(5.0 * period.max(40.0) * rate))
        };
        let periods = run(100.0, 8000, machine);
        let share = share(&periods, 130.0..200.0);
        assert!(share > 0.65, "{share}");
    }

    #[test]
    fn a_clock_of_40_ns_is_no_trap() {
        // Periods below four (or three) ticks cannot be kept, and the machine has whole ticks only.
        for least in [3.0, 4.0] {
            for races in [0, 500] {
                let mut control = PeriodControl::new(8.0, 0.75, 125.0);
                control.comparable();
                let (mut period, mut kept, mut settled) = (8.0_f64, 0, 0);
                for batch in 0..20_000 {
                    let ticks = period.round().max(1.0);
                    let lost = ticks < least;
                    control.batch(if lost { 0.9 } else { 0.01 }, if lost { 1 } else { races }, 1000 * whole(ticks));
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
        for batch in 0..2000 {
            if batch == 500 {
                control.comparable();
            }
            control.batch(if period < 80.0 { 0.9 } else { 0.03 }, 100, 1000);
            period = control.look(period).unwrap_or(period);
            settled.push(control.settled());
        }
        // Not settled at the beginning, nor right after batches become comparable. Settled most of the
        // remaining time.
        let often = |range: std::ops::Range<usize>| settled[range].iter().filter(|settled| **settled).count();
        assert_eq!((often(0..10), often(500..530)), (0, 0));
        assert!(often(100..500) > 200 && often(1000..2000) > 700, "{}", often(1000..2000));
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
