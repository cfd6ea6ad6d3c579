//! Who decides on the next batch: P0's side of every meeting.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

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
    races_before: u64,
    begun: Option<(Instant, u64)>,
    books: Books,
}

/// What comes out of a run beside its counts.
#[derive(Debug, Default)]
pub(super) struct Books {
    /// Iterations in the batches that count.
    pub planned: u64,
    /// The sum of every instance's period, in ticks.
    pub paced: f64,
    /// Ticks inside batches.
    pub in_batches: u64,
    /// Groups of all threads in all batches, and those that began late.
    pub groups: u64,
    pub late: u64,
    /// The sum of how far apart threads ended, in ticks, and of how many batches.
    pub apart: u64,
    pub counted: u64,
    /// Instances thrown away, and disturbed batches.
    pub discarded: u64,
    pub disturbances: u64,
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
            races_before: 0,
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
        let now = self.clock.now();
        let begun = self.begun.get_or_insert_with(|| (Instant::now(), now)).1;
        let races = meeting.sums().1;
        let discarded = self.last.take().and_then(|batch| self.account(batch, meeting, races));
        let limits = self.plan.limits;
        self.books.interrupted = self.interrupt.load(Ordering::Relaxed);
        let left = limits.iterations.map_or(u64::MAX, |limit| limit.saturating_sub(self.books.planned));
        let seconds = now.saturating_sub(begun) as f64 / self.clock.frequency_hz;
        let enough = self.books.interrupted
            || left == 0
            || limits.duration.is_some_and(|limit| seconds >= limit.as_secs_f64())
            || limits.races.is_some_and(|limit| races >= limit);
        if enough {
            self.books.elapsed = self.begun.map_or(Duration::ZERO, |(begun, _)| begun.elapsed());
            return None;
        }
        if self.plan.adapt != Adapt::Never
            && let Some(period) = self.control.look(self.period)
        {
            self.period = period;
        }
        let period = self.period.round().max(1.0) as u64;
        let count = left.min(self.batch());
        // Where nearly every batch is disturbed, nothing would be left.
        let discardable = self.books.discarded <= AT_MOST_DISCARDED * self.books.planned + FIRST_DISCARDED;
        self.books.planned += count;
        self.books.paced += period as f64 * count as f64;
        // A batch that was thrown away is run again as it was, so that a seed gives the same order on a busy box too.
        let (skew, stretch, warm) =
            discarded.map_or_else(|| self.draw(), |batch| (batch.skew, batch.stretch, batch.warm));
        let batch = Batch {
            count: count as usize,
            start: self.clock.now() + self.head_start as u64,
            period,
            skew,
            stretch,
            warm,
            discardable,
        };
        self.last = Some(batch);
        self.last
    }

    /// Takes account of a batch that all have run and counted; gives it back if it was thrown away.
    fn account(&mut self, batch: Batch, meeting: &Meeting, races: u64) -> Option<Batch> {
        let books = &mut self.books;
        let ends = || meeting.reports().map(|report| report.end);
        let ticks = ends().max().unwrap_or(0).saturating_sub(batch.start);
        books.in_batches += ticks;
        let late: u64 = meeting.reports().map(|report| report.late).sum();
        let groups = (batch.count.div_ceil(self.plan.group) * self.threads) as u64;
        books.late += late;
        books.groups += groups;
        let disturbed = meeting.reports().any(|report| report.disturbed);
        books.disturbances += u64::from(disturbed);
        let count = batch.count as u64;
        if disturbed && batch.discardable {
            books.discarded += count;
            books.planned -= count;
            books.paced -= batch.period as f64 * count as f64;
            return Some(batch);
        }
        let more = races - self.races_before;
        if self.plan.adapt == Adapt::Never || self.control.settled() {
            books.history.push(more, count);
        }
        self.races_before = races;
        // A disturbed one says nothing about what the machine can keep.
        if !disturbed {
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
        let (ticks, group) = match self.plan.pace {
            Pace::Free => (self.each, 1),
            Pace::Paced => (self.period, self.plan.group as u64),
        };
        let seconds = ticks.max(1.0) / self.clock.frequency_hz;
        let fitting = (LONGEST_BATCH / seconds) as u64 * group;
        let in_time = (SEEN_WITHIN / seconds) as u64 * group;
        most.min(fitting.max(SHORTEST_BATCH)).min(in_time.max(1))
    }
}
