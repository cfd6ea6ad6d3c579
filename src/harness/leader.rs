//! Who decides on the next batch: P0's side of every meeting.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::convert::{size, whole};
use super::history::History;
use super::meeting::{Batch, Meeting};
use super::period::{AT_FIRST, LONGEST_PERIOD, PeriodControl, SHORTEST_PERIOD};
use super::plan::{Adapt, Plan, Stop, Warm, delay};
use crate::codegen::Pace;
use crate::machine::Clock;

/// The longest batch, in seconds, if it has more than [`SHORTEST_BATCH`] instances: short against the milliseconds
/// between two moments in which a shared machine takes a CPU away, so that few batches hold one.
const LONGEST_BATCH: f64 = 150e-6;
const SHORTEST_BATCH: u64 = 16;
/// How fast what an instance takes is followed, per batch.
const FOLLOW: f64 = 0.1;
/// The longest any batch of more than one instance may take, in seconds, so that limits and Ctrl-C are seen in time.
const SEEN_WITHIN: f64 = 20e-3;
/// For how long threads may be found off their CPUs, batch after batch, before the run is ended.
pub(super) const LASTS: Duration = Duration::from_secs(1);
/// What a batch's start is planned ahead by at first, in seconds, and at most.
const HEAD_START: f64 = 2e-6;
const LONGEST_HEAD_START: f64 = 20e-6;
/// It follows the machine, so that the last thread is there about so much earlier, in seconds: it grows by [`HURRY`] when a thread is nearly late,
/// and shrinks by a part of what was too much.
const IN_TIME: f64 = 60e-9;
const HURRY: f64 = 1.25;
const EASE: f64 = 0.02;

/// So many times the instances that are kept may be thrown away because a thread lost its CPU, and so many in any case; after that
/// disturbed batches are kept and only counted.
const AT_MOST_DISCARDED: u64 = 4;
const FIRST_DISCARDED: u64 = 200_000;

/// What it decides by, and what it keeps account of.
pub(super) struct Leader<'a> {
    plan: &'a Plan,
    clock: Clock,
    threads: usize,
    interrupt: &'a AtomicBool,
    /// The skews that are taken from now on; all while empty.
    hot: &'a Mutex<Vec<usize>>,
    /// For orders that must be repeatable from a seed.
    random: fastrand::Rng,
    /// What the period follows.
    control: PeriodControl,
    /// The period in ticks, with what a coarse clock cannot tell: small steps must add up.
    period: f64,
    /// What an instance of a free run takes, in ticks: follows by [`FOLLOW`].
    each: f64,
    /// What the next batch's start is planned ahead by, in ticks.
    head_start: f64,
    /// The batch given out last.
    last: Option<Batch>,
    /// Skews still to be taken before all are anew, and whether the hot ones are taken already.
    order: Vec<usize>,
    focused: bool,
    iterations_before: u64,
    races_before: u64,
    /// Since when threads are off their CPUs, and how long that may last.
    away: Option<Instant>,
    pub lasts: Duration,
    begun: Option<(Instant, u64)>,
    books: Books,
}

/// What comes out of a run beside its counts.
#[derive(Debug, Default)]
pub(super) struct Books {
    /// Instances in the batches that count.
    pub planned: u64,
    /// The sum of every instance's period, in ticks.
    pub paced: f64,
    /// Ticks inside the batches that count.
    pub in_batches: u64,
    /// Groups of all threads in these batches, and those that began late.
    pub groups: u64,
    pub late: u64,
    /// The sum of how far apart threads ended, in ticks, and of how many batches.
    pub apart: u64,
    pub counted: u64,
    /// Instances thrown away, and disturbed batches.
    pub discarded: u64,
    pub disturbances: u64,
    /// Instances thrown away because a thread was not on its CPU, and whether the run ended for that.
    pub moved: u64,
    pub stranded: bool,
    /// Races batch by batch, where the period had settled.
    pub history: History,
    /// From the first batch to the last.
    pub elapsed: Duration,
    pub interrupted: bool,
}

impl Books {
    /// Why it ended.
    pub fn stop(&self) -> Stop {
        if self.interrupted { Stop::Interrupted } else { Stop::Limit }
    }
}

impl<'a> Leader<'a> {
    pub fn new(
        plan: &'a Plan,
        clock: Clock,
        threads: usize,
        interrupt: &'a AtomicBool,
        hot: &'a Mutex<Vec<usize>>,
    ) -> Leader<'a> {
        Leader {
            plan,
            clock,
            threads,
            interrupt,
            hot,
            random: fastrand::Rng::with_seed(plan.seed),
            control: PeriodControl::new(
                plan.period as f64,
                SHORTEST_PERIOD * clock.frequency_hz,
                LONGEST_PERIOD * clock.frequency_hz,
            ),
            period: plan.period as f64,
            each: 0.0,
            head_start: HEAD_START * clock.frequency_hz,
            last: None,
            order: Vec::new(),
            focused: false,
            iterations_before: 0,
            races_before: 0,
            away: None,
            lasts: LASTS,
            begun: None,
            books: Books::default(),
        }
    }

    /// What was written down.
    pub fn into_books(self) -> Books {
        self.books
    }

    /// The next batch, when all threads are ready for it; `None` if there is to be none.
    pub fn next(&mut self, meeting: &Meeting) -> Option<Batch> {
        let mut now = self.clock.now();
        let (since, begun) = *self.begun.get_or_insert_with(|| (Instant::now(), now));
        let sums = meeting.sums();
        let last = self.last.take();
        // The period holds from a batch's last tick to the next one's first as well: where a batch has only one, all of it is here. Waited for
        // here and not by the emitted code, which sees neither limits nor Ctrl-C.
        let due = last.map_or(0, |batch| self.due(batch));
        let discarded = last.and_then(|batch| self.account(batch, meeting, sums));
        loop {
            if self.over(now.saturating_sub(begun), sums.1) {
                self.books.elapsed = since.elapsed();
                return None;
            }
            if now + whole(self.head_start) >= due {
                break;
            }
            std::hint::spin_loop();
            now = self.clock.now();
        }
        if self.plan.adapt != Adapt::Never
            && let Some(period) = self.control.look(self.period)
        {
            self.period = period;
        }
        let period = whole(self.period.round().max(1.0));
        let count = self.left().min(self.batch());
        // Where nearly every batch is disturbed, nothing would be left.
        let discardable = self.books.discarded <= AT_MOST_DISCARDED * self.books.planned + FIRST_DISCARDED;
        self.books.planned += count;
        self.books.paced += period as f64 * count as f64;
        // A batch that was thrown away is run again as it was, so that a seed gives the same order on a busy box too.
        let (skew, stretch, warm) =
            discarded.map_or_else(|| self.draw(), |batch| (batch.skew, batch.stretch, batch.warm));
        let batch = Batch {
            count: size(count),
            start: self.clock.now() + whole(self.head_start),
            period,
            skew,
            stretch,
            warm,
            discardable,
        };
        self.last = Some(batch);
        self.last
    }

    /// Whether there is to be no other batch, after so many ticks and races.
    fn over(&mut self, ticks: u64, races: u64) -> bool {
        let limits = self.plan.limits;
        let seconds = ticks as f64 / self.clock.frequency_hz;
        self.books.interrupted = self.interrupt.load(Ordering::Relaxed);
        self.books.interrupted
            || self.books.stranded
            || self.left() == 0
            || limits.duration.is_some_and(|limit| seconds >= limit.as_secs_f64())
            || limits.races.is_some_and(|limit| races >= limit)
    }

    /// Instances that are still to be run.
    fn left(&self) -> u64 {
        self.plan.limits.iterations.map_or(u64::MAX, |limit| limit.saturating_sub(self.books.planned))
    }

    /// The tick after a batch's last one; 0 in a free run.
    fn due(&self, batch: Batch) -> u64 {
        match self.plan.pace {
            Pace::Free => 0,
            Pace::Paced => batch.start + batch.count.div_ceil(self.plan.group) as u64 * batch.period,
        }
    }

    /// Takes account of a batch that all have run and counted, with the sums of iterations and races after it; gives it back if it was thrown
    /// away.
    fn account(&mut self, batch: Batch, meeting: &Meeting, (iterations, races): (u64, u64)) -> Option<Batch> {
        let books = &mut self.books;
        let ends = || meeting.reports().map(|report| report.end);
        let flaws = meeting.flaws();
        books.disturbances += u64::from(flaws.disturbed);
        let count = batch.count as u64;
        if flaws.moved {
            books.moved += count;
            books.stranded = self.away.get_or_insert_with(Instant::now).elapsed() >= self.lasts;
        } else {
            self.away = None;
        }
        if !batch.kept(flaws) {
            books.discarded += if flaws.moved { 0 } else { count };
            books.planned -= count;
            books.paced -= batch.period as f64 * count as f64;
            return Some(batch);
        }
        let ticks = ends().max().unwrap_or(0).saturating_sub(batch.start);
        books.in_batches += ticks;
        let late: u64 = meeting.reports().map(|report| report.late).sum();
        let groups = (batch.count.div_ceil(self.plan.group) * self.threads) as u64;
        books.late += late;
        books.groups += groups;
        let (passed, more) = (iterations - self.iterations_before, races - self.races_before);
        if passed > 0 && (self.plan.adapt == Adapt::Never || self.control.settled()) {
            books.history.push(more, passed);
        }
        (self.iterations_before, self.races_before) = (iterations, races);
        // A disturbed one says nothing about what the machine can keep.
        if !flaws.disturbed {
            let early = meeting.reports().map(|report| report.early).min().map_or(0.0, f64::from);
            let spare = early - IN_TIME * self.clock.frequency_hz;
            self.head_start = if spare < 0.0 { HURRY * self.head_start } else { self.head_start - EASE * spare };
            self.head_start = self.head_start.clamp(1.0, LONGEST_HEAD_START * self.clock.frequency_hz);
            let skew = self.plan.skews[batch.skew];
            let level = |(number, end): (usize, u64)| end.saturating_add_signed(-delay(skew, number, self.threads));
            let (first, last) = (ends().enumerate().map(level).min(), ends().enumerate().map(level).max());
            books.apart += last.unwrap_or(0) - first.unwrap_or(0);
            books.counted += 1;
            let each = ticks as f64 / batch.count as f64;
            self.each = if self.each == 0.0 { each } else { self.each + FOLLOW * (each - self.each) };
            self.control.batch(late.saturating_sub(AT_FIRST) as f64 / groups as f64, more, ticks);
        }
        None
    }

    /// The next batch's skew, stretch and warmth.
    fn draw(&mut self) -> (usize, usize, bool) {
        if self.order.is_empty() {
            let hot = self.hot.lock().expect("no thread panics holding it");
            if !hot.is_empty() && !self.focused {
                self.focused = true;
                self.books.history.clear();
            }
            if self.plan.adapt == Adapt::Races && (self.focused || self.plan.skews.len() == 1) {
                self.control.comparable();
            }
            self.order = if hot.is_empty() { (0..self.plan.skews.len()).collect() } else { hot.clone() };
            self.random.shuffle(&mut self.order);
        }
        let skew = self.order.pop().expect("just filled");
        let stretch = self.random.usize(..self.plan.stretches());
        let warm = match self.plan.warm {
            Warm::On => true,
            Warm::Off => false,
            Warm::Turns => self.random.bool(),
        };
        (skew, stretch, warm)
    }

    /// Instances in the next batch: fewer where each takes long, and never so many that Ctrl-C is not seen in time.
    fn batch(&self) -> u64 {
        let most = self.plan.batch as u64;
        let ticks = match self.plan.pace {
            Pace::Free => self.each,
            Pace::Paced => self.period,
        };
        let group = self.plan.per_tick();
        let seconds = ticks.max(1.0) / self.clock.frequency_hz;
        // In whole groups, as long as the batch has room for one.
        let fitting = whole(LONGEST_BATCH / seconds).max(SHORTEST_BATCH.div_ceil(group));
        let in_time = whole(SEEN_WITHIN / seconds).max(1);
        most.min((most / group).max(1).min(fitting).min(in_time) * group)
    }
}

#[cfg(test)]
mod tests {
    use super::super::meeting::Report;
    use super::super::plan::Limits;
    use super::*;

    /// The counter of the host as it is, taken for one of 1 GHz; where its own is slower, all of this takes longer.
    const CLOCK: Clock = Clock { frequency_hz: 1e9, resolution_ticks: 1, read_ticks: 20 };

    fn plan() -> Plan {
        Plan {
            pace: Pace::Paced,
            period: 100,
            group: 1,
            warm: Warm::Turns,
            adapt: Adapt::Never,
            skews: vec![0],
            ahead: Vec::new(),
            focus: false,
            nice: 0,
            batch: 100,
            seed: 1,
            limits: Limits::default(),
        }
    }

    /// A leader with one thread to lead, which says what it is told to.
    struct Led<'a> {
        leader: Leader<'a>,
        meeting: Meeting,
        number: u64,
        iterations: u64,
        races: u64,
    }

    impl<'a> Led<'a> {
        fn new(plan: &'a Plan, interrupt: &'a AtomicBool, hot: &'a Mutex<Vec<usize>>) -> Led<'a> {
            let leader = Leader::new(plan, CLOCK, 1, interrupt, hot);
            Led { leader, meeting: Meeting::new(1, true), number: 0, iterations: 0, races: 0 }
        }

        /// The next batch, if there is one.
        fn next(&mut self) -> Option<Batch> {
            self.number += 1;
            self.meeting.ready(0, self.number, self.iterations, self.races);
            let batch = self.leader.next(&self.meeting);
            self.meeting.give_out(self.number, batch);
            batch
        }

        /// The last batch is run, and each instance of it raced or none.
        fn done(&mut self, batch: Batch, report: Report, raced: bool) {
            let report = Report { end: batch.start + 10 * batch.count as u64, ..report };
            let flaws = self.meeting.done(0, self.number, report).unwrap();
            if batch.kept(flaws) {
                self.iterations += batch.count as u64;
                self.races += if raced { batch.count as u64 } else { 0 };
            }
        }
    }

    const FINE: Report = Report { end: 0, late: 0, early: 100, disturbed: false, moved: false };

    #[test]
    fn what_is_thrown_away_is_run_again_and_counted_nowhere_else() {
        let limits = Limits { iterations: Some(1234), ..Limits::default() };
        let (plan, go, hot) =
            (Plan { limits, skews: vec![-5, 0, 5], ..plan() }, AtomicBool::new(false), Mutex::default());
        let mut led = Led::new(&plan, &go, &hot);
        let (mut run, mut before) = (0, None);
        while let Some(batch) = led.next() {
            if let Some(before) = before.take() {
                assert_eq!((batch.skew, batch.stretch, batch.warm), before, "it is run as it was");
            }
            run += batch.count as u64;
            // Two of three: one disturbed, one moved.
            let report =
                Report { disturbed: led.number.is_multiple_of(3), moved: led.number % 3 == 1, late: 7, ..FINE };
            if report.disturbed || report.moved {
                before = Some((batch.skew, batch.stretch, batch.warm));
            }
            led.done(batch, report, false);
        }
        assert_eq!(led.iterations, 1234);
        let batches = led.number - 1;
        let books = led.leader.into_books();
        assert_eq!(books.planned, 1234);
        assert_eq!(books.planned + books.discarded + books.moved, run);
        assert!(books.discarded > 0 && books.moved > 0);
        // One group an instance and a thread, those of the batches that count; late ones were said seven a batch.
        let kept = batches.div_ceil(3);
        assert_eq!((books.groups, books.late, books.counted, books.disturbances), (1234, 7 * kept, kept, batches / 3));
        assert_eq!(books.in_batches, 10 * 1234);
        assert_eq!(books.paced, 100.0 * 1234.0);
        assert_eq!(books.history.rates().len() as u64, kept);
        assert_eq!(books.stop(), Stop::Limit);
    }

    #[test]
    fn groups_are_counted_and_not_their_instances() {
        let limits = Limits { iterations: Some(1001), ..Limits::default() };
        let (plan, go, hot) = (Plan { group: 4, limits, ..plan() }, AtomicBool::new(false), Mutex::default());
        let mut led = Led::new(&plan, &go, &hot);
        while let Some(batch) = led.next() {
            led.done(batch, Report { late: 5, ..FINE }, false);
        }
        // Ten batches of 25 groups, and one of a single instance.
        let books = led.leader.into_books();
        assert_eq!((books.planned, books.groups, books.late), (1001, 251, 55));
    }

    #[test]
    fn disturbed_batches_are_kept_where_there_is_hardly_another_but_never_moved_ones() {
        let (plan, go, hot) = (plan(), AtomicBool::new(false), Mutex::default());
        let mut led = Led::new(&plan, &go, &hot);
        let mut given = 0;
        while led.iterations == 0 {
            let batch = led.next().unwrap();
            given += batch.count as u64;
            led.done(batch, Report { disturbed: true, ..FINE }, false);
        }
        assert!(given > FIRST_DISCARDED && given < FIRST_DISCARDED + 400, "{given}");
        let before = led.iterations;
        for _ in 0..100 {
            let batch = led.next().unwrap();
            led.done(batch, Report { disturbed: true, moved: true, ..FINE }, false);
        }
        assert_eq!(led.iterations, before);
    }

    #[test]
    fn threads_that_stay_off_their_cpus_end_the_run_and_those_that_come_back_do_not() {
        let (plan, go, hot) = (plan(), AtomicBool::new(false), Mutex::default());
        let mut led = Led::new(&plan, &go, &hot);
        let away = Report { moved: true, ..FINE };
        assert_eq!(led.leader.lasts, LASTS);
        led.leader.lasts = Duration::from_millis(200);
        let begun = Instant::now();
        // Each time it is back before it has lasted, and once more after that.
        while begun.elapsed() < Duration::from_millis(300) {
            let batch = led.next().expect("it comes back");
            led.done(batch, if led.number.is_multiple_of(2) { away } else { FINE }, false);
        }
        let (kept, away_since) = (led.iterations, Instant::now());
        while let Some(batch) = led.next() {
            led.done(batch, away, false);
            assert!(away_since.elapsed() < Duration::from_secs(60));
        }
        assert!(away_since.elapsed() >= Duration::from_millis(200));
        assert!(led.leader.books.stranded && led.iterations == kept);
    }

    #[test]
    fn limits_are_reached_exactly_and_the_first_of_them_ends_it() {
        let hot = Mutex::default();
        let run = |limits: Limits, stop_after: Option<u64>| {
            let (plan, go) = (Plan { limits, ..plan() }, AtomicBool::new(false));
            let mut led = Led::new(&plan, &go, &hot);
            while let Some(batch) = led.next() {
                led.done(batch, FINE, true);
                go.store(stop_after.is_some_and(|after| led.number >= after), Ordering::Relaxed);
            }
            let (number, iterations) = (led.number, led.iterations);
            let books = led.leader.into_books();
            (iterations, number - 1, books.stop(), books.elapsed)
        };
        let iterations = |limit| Limits { iterations: Some(limit), ..Limits::default() };
        for limit in [1, 99, 100, 101, 250] {
            let (seen, batches, stop, _) = run(iterations(limit), None);
            assert_eq!((seen, batches, stop), (limit, limit.div_ceil(100), Stop::Limit));
        }
        // The batch that reaches a number of races is finished.
        for (limit, batches) in [(1, 1), (100, 1), (101, 2)] {
            assert_eq!(run(Limits { races: Some(limit), ..Limits::default() }, None).1, batches);
        }
        assert_eq!(run(Limits { races: Some(100), ..iterations(50) }, None).0, 50);
        let time = Duration::from_millis(20);
        let (.., stop, elapsed) = run(Limits { duration: Some(time), ..Limits::default() }, None);
        assert_eq!(stop, Stop::Limit);
        // Where the counter runs at another rate than 1 GHz the limit is another time.
        assert!(elapsed > Duration::from_millis(1), "{elapsed:?}");
        let (_, batches, stop, _) = run(Limits::default(), Some(3));
        assert_eq!((batches, stop), (3, Stop::Interrupted));
    }

    #[test]
    fn batches_are_whole_groups_and_a_period_holds_between_them_too() {
        let (go, hot) = (AtomicBool::new(false), Mutex::default());
        for (period, group, batch, count) in [
            (100, 1, 1000, 1000),
            (100, 1, 2000, 1500),
            (100, 64, 1000, 960),
            (100, 300, 100, 100),
            (100_000, 1, 1000, 16),
            (100_000, 64, 1000, 64),
            (3_000_000, 1, 1000, 6),
            (3_000_000, 64, 1000, 64),
            (12_000_000, 1, 1000, 1),
            (50_000_000, 4, 1000, 4),
            (1000, 1, 1, 1),
        ] {
            let plan = Plan { period, group, batch, ..plan() };
            let mut led = Led::new(&plan, &go, &hot);
            let first = led.next().unwrap();
            assert_eq!((first.count as u64, first.period), (count, period), "{period} {group} {batch}");
            led.done(first, FINE, false);
            let second = led.next().unwrap();
            let ticks = first.count.div_ceil(group) as u64;
            assert!(second.start >= first.start + ticks * period, "{period} {group} {batch}");
            // A limit ends the wait for a far tick.
            led.done(second, FINE, false);
            go.store(true, Ordering::Relaxed);
            assert_eq!(led.next(), None);
            go.store(false, Ordering::Relaxed);
        }
        // A free run has no ticks to wait for.
        let plan = Plan { pace: Pace::Free, period: u64::MAX / 4, batch: 1, ..plan() };
        let mut led = Led::new(&plan, &go, &hot);
        for _ in 0..3 {
            let batch = led.next().unwrap();
            led.done(batch, FINE, false);
        }
    }

    #[test]
    fn skews_come_up_equally_often_and_then_only_those_that_are_worth_it() {
        let (plan, go) = (Plan { skews: vec![-20, -10, 0, 10, 20], focus: true, ..plan() }, AtomicBool::new(false));
        let hot = Mutex::default();
        let mut led = Led::new(&plan, &go, &hot);
        let mut draw = |batches: usize| {
            let mut seen = [0; 5];
            for _ in 0..batches {
                let batch = led.next().unwrap();
                seen[batch.skew] += 1;
                led.done(batch, FINE, false);
            }
            (seen, led.leader.books.history.rates().len())
        };
        assert_eq!(draw(50), ([10; 5], 49));
        *hot.lock().unwrap() = vec![1, 4];
        // History begins anew, because rates at other skews are no drift.
        assert_eq!(draw(20), ([0, 10, 0, 0, 10], 19));
    }

    #[test]
    fn warmth_is_what_was_asked_for() {
        let (go, hot) = (AtomicBool::new(false), Mutex::default());
        for (warm, least, most) in [(Warm::On, 400, 400), (Warm::Off, 0, 0), (Warm::Turns, 100, 300)] {
            let plan = Plan { warm, ..plan() };
            let mut led = Led::new(&plan, &go, &hot);
            let mut seen = 0;
            for _ in 0..400 {
                let batch = led.next().unwrap();
                seen += u64::from(batch.warm);
                led.done(batch, FINE, false);
            }
            assert!((least..=most).contains(&seen), "{warm}: {seen}");
        }
    }
}
