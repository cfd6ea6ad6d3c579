//! Leader: P0 decides on the next batch at every rendezvous, and keeps the totals of the run.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::convert::{size, whole};
use super::distance::{Distances, Look, Slot};
use super::history::{Block, History};
use super::measurement::Stop;
use super::offsets::Offsets;
use super::period::{AT_FIRST, LONGEST_PERIOD, PeriodControl, SHORTEST_PERIOD};
use super::plan::{Adapt, LOOK_AGAIN, Prefetch, RunPlan, delay};
use super::rendezvous::{Batch, Order, Rendezvous, Step};
use crate::codegen::Pace;
use crate::machine::Clock;
use crate::units::Nanos;

/// Maximum duration of a batch, if it has more than [`SHORTEST_BATCH`] instances. A shared machine
/// takes a CPU away every few milliseconds. Batches are much shorter, so that few of them are interrupted.
const LONGEST_BATCH: Duration = Duration::from_micros(150);
const SHORTEST_BATCH: u64 = 16;
/// Weight of each batch in the moving average of the time per instance.
const FOLLOW: f64 = 0.1;
/// Maximum duration of any batch with more than one group, so that limits and Ctrl-C are noticed in
/// time.
const SEEN_WITHIN: Duration = Duration::from_millis(20);
/// For how long threads may be off their CPUs in consecutive batches before the run ends.
pub(super) const LASTS: Duration = Duration::from_secs(1);
/// Head start: how far in the future the start of a batch is planned. Its initial value and its
/// maximum.
const HEAD_START: Duration = Duration::from_micros(2);
const LONGEST_HEAD_START: Duration = Duration::from_micros(20);
/// Target slack: how long before the start the last thread should be ready. The head start adapts
/// to it: it grows by the factor [`HURRY`] if the slack is smaller, and shrinks by the fraction [`EASE`] of the
/// excess if it is larger.
const TARGET_SLACK: Duration = Duration::from_nanos(60);
const HURRY: f64 = 1.25;
const EASE: f64 = 0.02;

/// Limits for discarded instances: at most this many times the kept instances, plus [`FIRST_DISCARDED`]. Beyond
/// that, disturbed batches are kept and only counted.
const AT_MOST_DISCARDED: u64 = 4;
const FIRST_DISCARDED: u64 = 200_000;

/// Share of the batches that use all skews equally often after skews were selected: one in this many.
const SWEEP_EACH: u64 = 4;
/// Skews are selected when each has had this many batches, and again each time that number has grown by [`AGAIN`].
const FIRST_ROUNDS: u64 = 2;
const AGAIN: f64 = 1.5;

/// A run ends early if so many looks in a row find the CPUs at another distance than its plan is for, and at least so much of its
/// time is left.
const LEAVES_AFTER: u32 = 20;
const LEAST_LEFT: Duration = Duration::from_secs(1);

/// The settings at one level of the distance, which follow what the machine does at it.
#[derive(Debug)]
struct Regime {
    /// Controls the period.
    control: PeriodControl,
    /// Period. It has a fraction, so that small steps add up on a coarse clock too.
    period_ticks: f64,
    /// Time per instance of a free run: moving average with weight [`FOLLOW`].
    instance_ticks: f64,
}

impl Regime {
    /// The settings at a distance of `far` times that at which the plan was made, and of `ns` nanoseconds if that is known.
    fn new(plan: &RunPlan, clock: Clock, (far, ns): (f64, Option<f64>)) -> Regime {
        let [shortest, longest] =
            [SHORTEST_PERIOD, LONGEST_PERIOD].map(|period| period.as_secs_f64() * clock.frequency_hz);
        let given = plan.period.0 as f64;
        // The first look may have been disturbed, so that it says less than the plan.
        let is_elsewhere = match (plan.only_at, ns) {
            (Some(Nanos(at)), Some(ns)) => crate::stats::apart(at, ns),
            _ => crate::stats::apart(far, 1.0),
        };
        let is_known = plan.adapt == Adapt::Known && !is_elsewhere;
        let period = if plan.adapt == Adapt::Never || is_known {
            given
        } else {
            (given * far).clamp(shortest.min(given), longest.max(given))
        };
        // At another distance the period is a guess.
        let control = if is_known { PeriodControl::knowing } else { PeriodControl::new };
        Regime { control: control(period, shortest, longest), period_ticks: period, instance_ticks: 0.0 }
    }
}

/// The choice of skews at one level of the distance. At first all skews are used equally often. Then most batches use the
/// selected ones.
#[derive(Debug, Default)]
struct Sweep {
    /// Skews still to be used before the next shuffle: of all, and of the selected ones.
    all: Vec<usize>,
    own: Vec<usize>,
    /// The selected skews; empty before the first selection.
    selected: Vec<usize>,
    /// Number of batches, and of those among all skews; the number of skews, and the number of batches among all skews at
    /// which skews are selected next.
    batches: u64,
    swept: u64,
    next: u64,
}

impl Sweep {
    fn is_due(&self) -> bool {
        self.next > 0 && self.swept >= self.next
    }

    fn select(&mut self, skews: Vec<usize>) {
        self.next = whole((self.swept as f64 * AGAIN).max(1.0));
        (self.selected, self.own) = (skews, Vec::new());
    }

    /// The skew of the next batch of `skews`, and whether it is among the selected ones.
    fn draw(&mut self, skews: usize, random: &mut fastrand::Rng) -> (usize, bool) {
        if self.next == 0 {
            self.next = FIRST_ROUNDS * skews as u64;
        }
        self.batches += 1;
        let focused = !self.selected.is_empty() && !self.batches.is_multiple_of(SWEEP_EACH);
        self.swept += u64::from(!focused);
        let order = if focused { &mut self.own } else { &mut self.all };
        if order.is_empty() {
            *order = if focused { self.selected.clone() } else { (0..skews).collect() };
            random.shuffle(order);
        }
        (order.pop().expect("the list was just filled"), focused)
    }
}

/// State of the leader.
pub(super) struct Leader<'a> {
    plan: &'a RunPlan,
    clock: Clock,
    threads: usize,
    interrupt: &'a AtomicBool,
    /// Random numbers for orders that a seed must reproduce.
    random: fastrand::Rng,
    /// The settings at the present distance.
    regime: Regime,
    /// Head start of the next batch.
    head_start_ticks: f64,
    /// The batch published last, until it is accounted for.
    last: Option<Batch>,
    /// When the tick after its last one is due.
    due: u64,
    /// A batch that was discarded and is to be repeated.
    again: Option<Batch>,
    /// The distances between the CPUs; `None` if they are not measured.
    pub distances: Option<Distances>,
    /// The offsets of the other threads' counters.
    pub offsets: Offsets,
    /// Where the counts before the last look belong, until it is given out.
    settle: Option<Slot>,
    /// Number of looks since the CPUs were last at the distance that the plan is for.
    elsewhere: u32,
    /// The choice of skews at each level of the distance, and the level that batches run at.
    sweeps: Vec<Sweep>,
    level: usize,
    /// The settings of the levels that batches do not run at now.
    parked: HashMap<usize, Regime>,
    /// Whether the last batch ran at a selected skew.
    focused: bool,
    iterations_before: u64,
    races_before: u64,
    /// Since when threads are off their CPUs (`None` if they are not), and how long that may last (`lasts`).
    away: Option<Instant>,
    pub lasts: Duration,
    begun: Option<(Instant, u64)>,
    /// The number of iterations from which on the goal is looked at again.
    look_at: f64,
    totals: RunTotals,
}

/// Totals of a run, apart from its outcome counts.
#[derive(Debug, Default)]
pub(super) struct RunTotals {
    /// Number of instances in the batches that count.
    pub planned: u64,
    /// Sum of the periods of all these instances. With edges, of the mean periods of their spans.
    pub paced_ticks: f64,
    /// Time inside the batches that count.
    pub in_batches_ticks: u64,
    /// Number of groups of all threads in these batches, and number of groups that started late (`late`). With edges, of
    /// spans.
    pub groups: u64,
    pub late: u64,
    /// Sum of the end spreads (time between the first and the last thread's end, corrected for the skew),
    /// and the number of batches in the sum (`counted`).
    pub end_spread_ticks: u64,
    pub counted: u64,
    /// Number of discarded instances, and number of disturbed batches (`disturbances`).
    pub discarded: u64,
    pub disturbances: u64,
    /// Number of instances discarded because a thread was not on its CPU, and whether the run ended for this
    /// reason (`stranded`).
    pub moved: u64,
    pub stranded: bool,
    /// Race rates batch by batch: at a period that was chosen if it is `settled`, else of the batches so far.
    pub history: History,
    /// See `history`.
    pub settled: bool,
    /// The distances between the CPUs, if they were measured, and how often an offset between their counters changed.
    pub distances: Option<Distances>,
    pub offset_changes: u64,
    /// For each distance in nanoseconds the period with the most races, in ticks, if enough races were compared there.
    pub best_periods: Vec<(Option<f64>, f64)>,
    /// Time from the first batch to the last.
    pub elapsed: Duration,
    pub interrupted: bool,
    /// Whether the run ended because of what it found: its goal or its number of races.
    pub found: bool,
    /// Whether it ended because the CPUs were at another distance than its plan is for.
    pub left: bool,
}

impl RunTotals {
    /// Why the run ended.
    pub fn stop(&self) -> Stop {
        match (self.interrupted, self.found, self.left) {
            (true, ..) => Stop::Interrupted,
            (_, true, _) => Stop::Found,
            (_, _, true) => Stop::Left,
            _ => Stop::Limit,
        }
    }
}

impl<'a> Leader<'a> {
    pub fn new(plan: &'a RunPlan, clock: Clock, threads: usize, interrupt: &'a AtomicBool) -> Leader<'a> {
        Leader {
            plan,
            clock,
            threads,
            interrupt,
            random: fastrand::Rng::with_seed(plan.seed),
            regime: Regime::new(plan, clock, (1.0, None)),
            head_start_ticks: HEAD_START.as_secs_f64() * clock.frequency_hz,
            last: None,
            due: 0,
            again: None,
            distances: None,
            offsets: Offsets::new((1..threads).map(|thread| plan.counter_offset(thread))),
            settle: None,
            elsewhere: 0,
            sweeps: Vec::new(),
            level: 0,
            parked: HashMap::new(),
            focused: false,
            iterations_before: 0,
            races_before: 0,
            away: None,
            lasts: LASTS,
            begun: None,
            look_at: 0.0,
            totals: RunTotals::default(),
        }
    }

    /// The totals of the run.
    pub fn into_totals(mut self) -> RunTotals {
        let distances = self.distances.as_ref().filter(|distances| distances.level().is_some());
        let regimes = self.parked.iter().map(|(level, regime)| (*level, regime)).chain([(self.level, &self.regime)]);
        let best = |(level, regime): (usize, &Regime)| {
            Some((distances.map(|distances| distances.typical(level)), regime.control.found()?))
        };
        self.totals.best_periods = regimes.filter_map(best).collect();
        self.totals.distances = self.distances;
        self.totals.offset_changes = self.offsets.changes();
        self.totals
    }

    /// Adds a look.
    pub fn looked(&mut self, look: &Look) {
        let now = self.plan.now(self.clock);
        let Some(distances) = &mut self.distances else { return };
        self.settle = distances.look(now, look);
        let Some(level) = distances.level() else { return };
        let apart = |Nanos(at)| crate::stats::apart(at, distances.typical(level));
        self.elsewhere = if self.plan.only_at.is_some_and(apart) { self.elsewhere + 1 } else { 0 };
        if level != self.level {
            self.change_level(level);
        }
    }

    /// Parks the settings of the last level and takes those of another one. A level that is new starts with the period
    /// of the plan, in proportion to its distance: the plan was made at that of the first look.
    fn change_level(&mut self, level: usize) {
        let Some(distances) = &self.distances else { return };
        let ns = distances.typical(level);
        let far = (ns / distances.typical(0), Some(ns));
        let regime = self.parked.remove(&level).unwrap_or_else(|| Regime::new(self.plan, self.clock, far));
        let last = std::mem::replace(&mut self.regime, regime);
        self.parked.insert(self.level, last);
        self.level = level;
    }

    /// Whether the skews of the present level are to be selected now.
    pub fn selects(&self) -> bool {
        self.plan.focus && self.plan.skews.len() > 1 && self.sweeps.get(self.level).is_some_and(Sweep::is_due)
    }

    /// The slots whose counts the skews are selected by: those of the present level. None if no distances are measured, or if no batches of
    /// it are settled.
    pub fn slots(&self) -> Vec<Slot> {
        self.distances.as_ref().map_or(Vec::new(), |distances| distances.slots_of(self.level))
    }

    /// Selects skews at the present level, by index.
    pub fn select(&mut self, skews: Vec<usize>) {
        // The history restarts once, because rates at all skews are not those at the selected ones.
        if self.sweeps.iter().all(|sweep| sweep.selected.is_empty()) {
            self.totals.history.clear();
            self.totals.settled = false;
            self.distances.iter_mut().for_each(Distances::forget_rates);
        }
        if self.sweeps[self.level].selected != skews {
            self.regime.control.other_skews();
        }
        self.sweeps[self.level].select(skews);
    }

    /// Plans the next step. Called when all threads are ready for it.
    pub fn next(&mut self, rendezvous: &Rendezvous) -> Order {
        let step = self.step(rendezvous);
        Order { step, settle: self.settle.take() }
    }

    fn step(&mut self, rendezvous: &Rendezvous) -> Step {
        let mut now = self.plan.now(self.clock);
        let (since, begun) = *self.begun.get_or_insert_with(|| (Instant::now(), now));
        if let Some(batch) = self.last.take() {
            self.due = self.due(batch);
            self.again = self.account(batch, rendezvous, rendezvous.sums());
        }
        let look = |distances: &Option<Distances>, now, over| {
            distances.as_ref().is_some_and(|distances| distances.is_due(now, over))
        };
        if look(&self.distances, now, false) {
            return Step::Look;
        }
        // The period also holds from the last tick of a batch to the first tick of the next. For batches of a
        // single group it has no other effect. The leader waits for it here, because the emitted code checks
        // neither limits nor Ctrl-C.
        loop {
            if self.over(now.saturating_sub(begun)) {
                self.totals.elapsed = since.elapsed();
                return if look(&self.distances, now, true) { Step::Look } else { Step::End };
            }
            if now + whole(self.head_start_ticks) >= self.due {
                break;
            }
            std::hint::spin_loop();
            now = self.plan.now(self.clock);
        }
        if self.plan.adapt != Adapt::Never
            && let Some(period) = self.regime.control.look(self.regime.period_ticks)
        {
            self.regime.period_ticks = period;
        }
        let period = whole(self.regime.period_ticks.round().max(1.0));
        let count = self.left().min(self.batch());
        // If nearly every batch is disturbed, disturbed batches are kept. Otherwise no batch would be left.
        let discardable = self.totals.discarded <= AT_MOST_DISCARDED * self.totals.planned + FIRST_DISCARDED;
        self.totals.planned += count;
        self.totals.paced_ticks += self.plan.mean_period(self.clock, period) * count as f64;
        // A discarded batch is repeated with the same skew, region and prefetch, so that a seed gives the same
        // order on a busy machine too.
        let (skew, region, prefetch) =
            self.again.take().map_or_else(|| self.draw(), |batch| (batch.skew, batch.region, batch.prefetch));
        let batch = Batch { count: size(count), start: self.start(), period, skew, region, prefetch, discardable };
        self.last = Some(batch);
        Step::Run(batch)
    }

    /// When the next batch starts: the head start from now, and at an edge if the pace has edges.
    fn start(&self) -> u64 {
        let earliest = self.plan.now(self.clock) + whole(self.head_start_ticks);
        self.plan.edges.as_ref().map_or(earliest, |plan| plan.edges.next(earliest))
    }

    /// Whether the run is over, after the given number of ticks.
    fn over(&mut self, ticks: u64) -> bool {
        let limits = self.plan.limits;
        let seconds = ticks as f64 / self.clock.frequency_hz;
        self.totals.interrupted = self.interrupt.load(Ordering::Relaxed);
        self.totals.left = self.elsewhere >= LEAVES_AFTER
            && limits.duration.is_none_or(|limit| seconds + LEAST_LEFT.as_secs_f64() <= limit.as_secs_f64());
        self.totals.interrupted
            || self.totals.left
            || self.totals.stranded
            || self.left() == 0
            || limits.duration.is_some_and(|limit| seconds >= limit.as_secs_f64())
            || self.totals.found
    }

    /// Number of instances still to run.
    fn left(&self) -> u64 {
        self.plan.limits.iterations.map_or(u64::MAX, |limit| limit.saturating_sub(self.totals.planned))
    }

    /// Time of the tick after a batch's last one, in clock ticks. 0 in a free run.
    fn due(&self, batch: Batch) -> u64 {
        match self.plan.pace {
            Pace::Free => 0,
            Pace::Paced | Pace::Edges { .. } => {
                batch.start.saturating_add(self.plan.length(self.clock, batch.count, batch.period).0)
            }
        }
    }

    /// Adds a batch to the totals, after all threads have run and classified it. `iterations` and `races` are
    /// the sums after it. Returns the batch if it was discarded.
    fn account(&mut self, batch: Batch, rendezvous: &Rendezvous, (iterations, races): (u64, u64)) -> Option<Batch> {
        let totals = &mut self.totals;
        let ends = || rendezvous.reports().map(|report| report.end);
        let flaws = rendezvous.flaws();
        totals.disturbances += u64::from(flaws.disturbed);
        let count = batch.count as u64;
        if flaws.moved {
            totals.moved += count;
            totals.stranded = self.away.get_or_insert_with(Instant::now).elapsed() >= self.lasts;
        } else {
            self.away = None;
        }
        if !batch.kept(flaws) {
            totals.discarded += if flaws.moved { 0 } else { count };
            totals.planned -= count;
            totals.paced_ticks -= self.plan.mean_period(self.clock, batch.period) * count as f64;
            return Some(batch);
        }
        let ticks = ends().max().unwrap_or(0).saturating_sub(batch.start);
        totals.in_batches_ticks += ticks;
        let late: u64 = rendezvous.reports().map(|report| report.late).sum();
        let groups = self.plan.length(self.clock, batch.count, batch.period).1 * self.threads as u64;
        totals.late += late;
        totals.groups += groups;
        let (passed, more) = (iterations - self.iterations_before, races - self.races_before);
        // Batches among all skews say nothing about the rate at the selected ones.
        let focusing = |sweep: &Sweep| !sweep.selected.is_empty();
        let alike = self.focused || !self.sweeps.iter().any(focusing);
        // Until the period is chosen, rates describe the period too. A run that ends before that has no others.
        let settled = self.plan.adapt == Adapt::Never || self.regime.control.settled();
        if alike && settled && !totals.settled {
            totals.settled = true;
            totals.history.clear();
            self.distances.iter_mut().for_each(Distances::forget_rates);
        }
        let shows = alike && passed > 0 && settled == totals.settled;
        if shows {
            totals.history.push(more, passed);
        }
        if let Some(distances) = &mut self.distances {
            distances.batch(ticks, count, self.plan.mean_period(self.clock, batch.period) * count as f64);
            if shows {
                distances.shows(Block { iterations: passed, races: more });
            }
        }
        (self.iterations_before, self.races_before) = (iterations, races);
        totals.found = self.plan.limits.races.is_some_and(|limit| races >= limit);
        if let Some(goal) = self.plan.limits.goal
            && iterations as f64 >= self.look_at
        {
            self.look_at = LOOK_AGAIN * iterations as f64;
            // The rate of periods that nobody chose is no rate to know.
            let blocks = if totals.settled { totals.history.blocks() } else { &[] };
            totals.found |= goal.is_reached(races, iterations, blocks);
        }
        // A disturbed batch does not show what the machine can keep.
        if !flaws.disturbed {
            let slack = rendezvous.reports().map(|report| report.slack).min().map_or(0.0, f64::from);
            let spare = slack - TARGET_SLACK.as_secs_f64() * self.clock.frequency_hz;
            self.head_start_ticks =
                if spare < 0.0 { HURRY * self.head_start_ticks } else { self.head_start_ticks - EASE * spare };
            self.head_start_ticks =
                self.head_start_ticks.clamp(1.0, LONGEST_HEAD_START.as_secs_f64() * self.clock.frequency_hz);
            let skew = self.plan.skews[batch.skew];
            let level = |(number, end): (usize, u64)| end.saturating_add_signed(-delay(skew, number, self.threads).0);
            let (first, last) = (ends().enumerate().map(level).min(), ends().enumerate().map(level).max());
            totals.end_spread_ticks += last.unwrap_or(0) - first.unwrap_or(0);
            totals.counted += 1;
            let each = ticks as f64 / batch.count as f64;
            self.regime.instance_ticks = if self.regime.instance_ticks == 0.0 {
                each
            } else {
                self.regime.instance_ticks + FOLLOW * (each - self.regime.instance_ticks)
            };
            if self.focused || !self.sweeps.get(self.level).is_some_and(focusing) {
                self.regime.control.batch(late.saturating_sub(AT_FIRST) as f64 / groups as f64, more, ticks);
            }
        }
        None
    }

    /// Chooses the next batch's skew, region and prefetch.
    fn draw(&mut self) -> (usize, usize, bool) {
        if self.sweeps.len() <= self.level {
            self.sweeps.resize_with(self.level + 1, Sweep::default);
        }
        let (skew, focused) = self.sweeps[self.level].draw(self.plan.skews.len(), &mut self.random);
        self.focused = focused;
        // Before skews are selected, races say more about the skew than about the period.
        let by_races = matches!(self.plan.adapt, Adapt::Races | Adapt::Known);
        if by_races && (focused || self.plan.skews.len() == 1) {
            self.regime.control.comparable();
        }
        let region = self.random.usize(..self.plan.regions());
        let prefetch = match self.plan.prefetch {
            Prefetch::On | Prefetch::Ahead => true,
            Prefetch::Off => false,
            Prefetch::Turns => self.random.bool(),
        };
        (skew, region, prefetch)
    }

    /// Number of instances in the next batch. Fewer if instances take long, so that limits and Ctrl-C are
    /// noticed in time.
    fn batch(&self) -> u64 {
        let most = self.plan.batch as u64;
        let ticks = match self.plan.pace {
            Pace::Free => self.regime.instance_ticks,
            Pace::Paced | Pace::Edges { .. } => self.regime.period_ticks,
        };
        let group = self.plan.per_tick();
        let seconds = ticks.max(1.0) / self.clock.frequency_hz;
        // Whole groups, if the batch has room for at least one.
        let fitting = whole(LONGEST_BATCH.as_secs_f64() / seconds).max(SHORTEST_BATCH.div_ceil(group));
        let in_time = whole(SEEN_WITHIN.as_secs_f64() / seconds).max(1);
        most.min((most / group).max(1).min(fitting).min(in_time) * group)
    }
}

#[cfg(test)]
mod tests {
    use super::super::goal::Goal;
    use super::super::plan::Limits;
    use super::super::rendezvous::Report;
    use super::*;
    use crate::units::Ticks;

    /// A clock with the host's counter, declared as 1 GHz. Where the counter is slower, the tests take longer.
    const CLOCK: Clock = Clock { frequency_hz: 1e9, resolution_ticks: 1, read_ticks: 20 };

    /// Looks that take long come seldom: no other one in a test.
    fn look(transfer_ticks: Option<f64>) -> Look {
        Look { transfer_ticks, cost_ticks: 1e12, ratios: None }
    }

    fn plan() -> RunPlan {
        RunPlan {
            pace: Pace::Paced,
            period: Ticks(100),
            group: 1,
            prefetch: Prefetch::Turns,
            adapt: Adapt::Never,
            skews: vec![Ticks(0)],
            counter_offsets: Vec::new(),
            edges: None,
            focus: false,
            only_at: None,
            finds_neighbours: true,
            nice: 0,
            event: None,
            batch: 100,
            seed: 1,
            limits: Limits::default(),
        }
    }

    /// A leader with a single simulated thread, which reports what the test tells it to.
    struct Led<'a> {
        leader: Leader<'a>,
        rendezvous: Rendezvous,
        number: u64,
        iterations: u64,
        races: u64,
    }

    impl<'a> Led<'a> {
        fn new(plan: &'a RunPlan, interrupt: &'a AtomicBool) -> Led<'a> {
            let leader = Leader::new(plan, CLOCK, 1, interrupt);
            Led { leader, rendezvous: Rendezvous::new(1, true), number: 0, iterations: 0, races: 0 }
        }

        /// The next batch, if there is one.
        fn next(&mut self) -> Option<Batch> {
            self.number += 1;
            self.rendezvous.ready(0, self.number, self.iterations, self.races);
            let order = self.leader.next(&self.rendezvous);
            self.rendezvous.give_out(self.number, order);
            match order.step {
                Step::Run(batch) => Some(batch),
                Step::Look | Step::End => None,
            }
        }

        /// Completes the last batch. Either all of its instances raced or none.
        fn done(&mut self, batch: Batch, report: Report, raced: bool) {
            let report = Report { end: batch.start + 10 * batch.count as u64, ..report };
            let flaws = self.rendezvous.done(0, self.number, report).unwrap();
            if batch.kept(flaws) {
                self.iterations += batch.count as u64;
                self.races += if raced { batch.count as u64 } else { 0 };
            }
        }
    }

    const FINE: Report = Report { end: 0, late: 0, slack: 100, disturbed: false, moved: false };

    #[test]
    fn what_is_thrown_away_is_run_again_and_counted_nowhere_else() {
        let limits = Limits { iterations: Some(1234), ..Limits::default() };
        let (plan, go) = (RunPlan { limits, skews: [-5, 0, 5].map(Ticks).to_vec(), ..plan() }, AtomicBool::new(false));
        let mut led = Led::new(&plan, &go);
        let (mut run, mut before) = (0, None);
        while let Some(batch) = led.next() {
            if let Some(before) = before.take() {
                assert_eq!((batch.skew, batch.region, batch.prefetch), before, "the batch is repeated unchanged");
            }
            run += batch.count as u64;
            // Two of three batches are discarded: one disturbed, one moved.
            let report =
                Report { disturbed: led.number.is_multiple_of(3), moved: led.number % 3 == 1, late: 7, ..FINE };
            if report.disturbed || report.moved {
                before = Some((batch.skew, batch.region, batch.prefetch));
            }
            led.done(batch, report, false);
        }
        assert_eq!(led.iterations, 1234);
        let batches = led.number - 1;
        let totals = led.leader.into_totals();
        assert_eq!(totals.planned, 1234);
        assert_eq!(totals.planned + totals.discarded + totals.moved, run);
        assert!(totals.discarded > 0 && totals.moved > 0);
        // One group per instance and thread, in the batches that count. Each batch reported seven late groups.
        let kept = batches.div_ceil(3);
        assert_eq!(
            (totals.groups, totals.late, totals.counted, totals.disturbances),
            (1234, 7 * kept, kept, batches / 3)
        );
        assert_eq!(totals.in_batches_ticks, 10 * 1234);
        assert_eq!(totals.paced_ticks, 100.0 * 1234.0);
        assert_eq!(totals.history.rates().len() as u64, kept);
        assert_eq!(totals.stop(), Stop::Limit);
    }

    #[test]
    fn groups_are_counted_and_not_their_instances() {
        let limits = Limits { iterations: Some(1001), ..Limits::default() };
        let (plan, go) = (RunPlan { group: 4, limits, ..plan() }, AtomicBool::new(false));
        let mut led = Led::new(&plan, &go);
        while let Some(batch) = led.next() {
            led.done(batch, Report { late: 5, ..FINE }, false);
        }
        // Ten batches of 25 groups, and one batch of a single instance.
        let totals = led.leader.into_totals();
        assert_eq!((totals.planned, totals.groups, totals.late), (1001, 251, 55));
    }

    #[test]
    fn disturbed_batches_are_kept_where_there_is_hardly_another_but_never_moved_ones() {
        let (plan, go) = (plan(), AtomicBool::new(false));
        let mut led = Led::new(&plan, &go);
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
        let (plan, go) = (plan(), AtomicBool::new(false));
        let mut led = Led::new(&plan, &go);
        let away = Report { moved: true, ..FINE };
        assert_eq!(led.leader.lasts, LASTS);
        led.leader.lasts = Duration::from_millis(200);
        let begun = Instant::now();
        // The thread is back each time before the limit. Then it stays away once.
        while begun.elapsed() < Duration::from_millis(300) {
            let batch = led.next().expect("the thread is back in time");
            led.done(batch, if led.number.is_multiple_of(2) { away } else { FINE }, false);
        }
        let (kept, away_since) = (led.iterations, Instant::now());
        while let Some(batch) = led.next() {
            led.done(batch, away, false);
            assert!(away_since.elapsed() < Duration::from_secs(60));
        }
        assert!(away_since.elapsed() >= Duration::from_millis(200));
        assert!(led.leader.totals.stranded && led.iterations == kept);
    }

    #[test]
    fn limits_are_reached_exactly_and_the_first_of_them_ends_it() {
        let run = |limits: Limits, stop_after: Option<u64>| {
            let (plan, go) = (RunPlan { limits, ..plan() }, AtomicBool::new(false));
            let mut led = Led::new(&plan, &go);
            while let Some(batch) = led.next() {
                led.done(batch, FINE, true);
                go.store(stop_after.is_some_and(|after| led.number >= after), Ordering::Relaxed);
            }
            let (number, iterations) = (led.number, led.iterations);
            let totals = led.leader.into_totals();
            (iterations, number - 1, totals.stop(), totals.elapsed)
        };
        let iterations = |limit| Limits { iterations: Some(limit), ..Limits::default() };
        for limit in [1, 99, 100, 101, 250] {
            let (seen, batches, stop, _) = run(iterations(limit), None);
            assert_eq!((seen, batches, stop), (limit, limit.div_ceil(100), Stop::Limit));
        }
        // The batch that reaches the race limit is completed.
        for (limit, batches) in [(1, 1), (100, 1), (101, 2)] {
            assert_eq!(run(Limits { races: Some(limit), ..Limits::default() }, None).1, batches);
        }
        assert_eq!(run(Limits { races: Some(100), ..iterations(50) }, None).0, 50);
        assert_eq!(run(Limits { races: Some(100), ..Limits::default() }, None).2, Stop::Found);
        // Every instance races, so the rate is 1 and above any bound: decided with the sixth batch, at 0.9807.
        let goal = |goal| run(Limits { goal: Some(goal), ..iterations(5000) }, None);
        assert_eq!(goal(Goal::BoundBelow(0.98)).0, 600);
        assert_eq!(goal(Goal::BoundBelow(0.98)).2, Stop::Found);
        assert_eq!(goal(Goal::RateKnown(0.01)).2, Stop::Found);
        let (seen, _, stop, _) = goal(Goal::RateKnown(1e-6));
        assert_eq!((seen, stop), (5000, Stop::Limit));
        let time = Duration::from_millis(20);
        let (.., stop, elapsed) = run(Limits { duration: Some(time), ..Limits::default() }, None);
        assert_eq!(stop, Stop::Limit);
        // If the counter does not run at 1 GHz, the limit is another time.
        assert!(elapsed > Duration::from_millis(1), "{elapsed:?}");
        let (_, batches, stop, _) = run(Limits::default(), Some(3));
        assert_eq!((batches, stop), (3, Stop::Interrupted));
    }

    #[test]
    fn batches_are_whole_groups_and_a_period_holds_between_them_too() {
        let go = AtomicBool::new(false);
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
            let plan = RunPlan { period: Ticks::from(period), group, batch, ..plan() };
            let mut led = Led::new(&plan, &go);
            let first = led.next().unwrap();
            assert_eq!((first.count as u64, first.period), (count, period), "{period} {group} {batch}");
            led.done(first, FINE, false);
            let second = led.next().unwrap();
            let ticks = first.count.div_ceil(group) as u64;
            assert!(second.start >= first.start + ticks * period, "{period} {group} {batch}");
            // An interrupt ends the wait for a tick far in the future.
            led.done(second, FINE, false);
            go.store(true, Ordering::Relaxed);
            assert_eq!(led.next(), None);
            go.store(false, Ordering::Relaxed);
        }
        // A free run has no ticks to wait for.
        let plan = RunPlan { pace: Pace::Free, period: Ticks(i64::MAX / 2), batch: 1, ..plan() };
        let mut led = Led::new(&plan, &go);
        for _ in 0..3 {
            let batch = led.next().unwrap();
            led.done(batch, FINE, false);
        }
    }

    /// A run that ends before its period is chosen still shows how its rate varies; after that only what follows counts.
    #[test]
    fn the_history_begins_with_the_run_and_again_when_the_period_is_chosen() {
        let (plan, go) = (RunPlan { adapt: Adapt::Kept, ..plan() }, AtomicBool::new(false));
        let mut led = Led::new(&plan, &go);
        let mut lengths = Vec::new();
        for _ in 0..1000 {
            let batch = led.next().unwrap();
            lengths.push((led.leader.totals.settled, led.leader.totals.history.rates().len()));
            led.done(batch, FINE, false);
        }
        let chosen = lengths.iter().position(|(settled, _)| *settled).unwrap();
        assert!(chosen > 2, "{chosen}");
        assert_eq!(lengths[chosen - 1], (false, chosen - 1));
        assert_eq!(lengths[chosen], (true, 1));
    }

    #[test]
    fn a_rate_is_known_only_at_a_period_that_was_chosen() {
        let limits = Limits { goal: Some(Goal::RateKnown(0.5)), ..Limits::default() };
        let (plan, go) = (RunPlan { adapt: Adapt::Kept, limits, ..plan() }, AtomicBool::new(false));
        let mut led = Led::new(&plan, &go);
        while let Some(batch) = led.next() {
            led.done(batch, FINE, true);
        }
        assert!(led.leader.totals.settled && led.number > 16, "{}", led.number);
    }

    /// Where skews are selected, the period is chosen anew at these. Until it is, the history has what there is at them.
    #[test]
    fn the_history_goes_on_while_a_period_for_the_selected_skews_is_chosen() {
        let skews = [-10, 0, 10].map(Ticks).to_vec();
        let plan = RunPlan { skews, focus: true, adapt: Adapt::Races, ..plan() };
        let go = AtomicBool::new(false);
        let mut led = Led::new(&plan, &go);
        for _ in 0..200 {
            let batch = led.next().unwrap();
            led.done(batch, FINE, true);
            if led.leader.selects() && led.leader.sweeps[0].selected.is_empty() {
                led.leader.select(vec![1]);
                assert!(led.leader.totals.history.rates().is_empty() && !led.leader.totals.settled);
                break;
            }
        }
        for _ in 0..6 {
            let batch = led.next().unwrap();
            led.done(batch, FINE, true);
        }
        assert!(!led.leader.totals.history.rates().is_empty());
    }

    #[test]
    fn skews_come_up_equally_often_and_then_mostly_those_that_are_worth_it() {
        let (plan, go) = (
            RunPlan { skews: [-20, -10, 0, 10, 20].map(Ticks).to_vec(), focus: true, ..plan() },
            AtomicBool::new(false),
        );
        let mut led = Led::new(&plan, &go);
        let draw = |led: &mut Led<'_>, batches: usize| {
            let mut seen = [0; 5];
            for _ in 0..batches {
                let batch = led.next().unwrap();
                seen[batch.skew] += 1;
                led.done(batch, FINE, false);
            }
            (seen, led.leader.totals.history.rates().len())
        };
        assert!(!led.leader.selects());
        assert_eq!(draw(&mut led, 10), ([2; 5], 9));
        assert!(led.leader.selects(), "each skew has had two batches");
        led.leader.select(vec![1, 4]);
        assert!(!led.leader.selects());
        // A quarter of the batches goes on with all skews. The history restarts, and these batches are not in it: their
        // rates are no drift.
        assert_eq!(draw(&mut led, 21), ([1, 1 + 8, 1, 1, 1 + 8], 15));
        // After half as many sweeps again, the skews are selected again.
        assert_eq!((led.leader.selects(), led.leader.sweeps[0].swept), (true, 15));
        led.leader.select(vec![2]);
        assert_eq!(draw(&mut led, 20).0[2], 16);
        assert!(RunPlan { focus: false, ..plan.clone() } != plan && led.leader.slots().is_empty());
    }

    /// The period and the skews of one distance are there again when the CPUs are at it again.
    #[test]
    fn each_distance_has_its_own_settings() {
        let (plan, go) = (
            RunPlan { adapt: Adapt::Kept, skews: [-5, 0, 5].map(Ticks).to_vec(), focus: true, ..plan() },
            AtomicBool::new(false),
        );
        let mut led = Led::new(&plan, &go);
        led.leader.distances = Some(Distances::new(CLOCK));
        led.leader.looked(&look(Some(40.0)));
        assert_eq!((led.leader.level, led.leader.regime.period_ticks), (0, 100.0));
        let run = |led: &mut Led<'_>, batches: usize| {
            for _ in 0..batches {
                let batch = led.next().unwrap();
                led.done(batch, FINE, false);
            }
        };
        run(&mut led, 6);
        led.leader.select(vec![1]);
        let near = led.leader.regime.period_ticks;
        assert!(near < 100.0, "the search begins with shorter periods: {near}");
        // Five times as far: the period of the plan in proportion, and all skews again.
        led.leader.looked(&look(Some(200.0)));
        assert!(
            (led.leader.regime.period_ticks - 500.0).abs() < 1e-6 && !led.leader.selects() && led.leader.level == 1
        );
        run(&mut led, 6);
        assert!(led.leader.selects() && led.leader.regime.period_ticks < 500.0);
        led.leader.looked(&look(Some(41.0)));
        assert_eq!((led.leader.level, led.leader.regime.period_ticks), (0, near));
        assert_eq!(led.leader.sweeps[0].selected, [1]);
        // A given period stays, whatever the distance.
        let plan = RunPlan { adapt: Adapt::Never, ..plan.clone() };
        assert_eq!(Regime::new(&plan, CLOCK, (5.0, None)).period_ticks, 100.0);
        // What is known at a distance is a guess at another one.
        let known = RunPlan { adapt: Adapt::Known, ..plan.clone() };
        let is_known = |plan: &RunPlan, far| Regime::new(plan, CLOCK, (far, None)).control.is_known();
        assert_eq!([0.7, 1.0, 1.5, 5.0].map(|far| is_known(&known, far)), [true, true, true, false]);
        assert!(!is_known(&RunPlan { adapt: Adapt::Races, ..known.clone() }, 1.0));
        // The distance of the plan counts, and not that of a first look that was disturbed.
        let near = RunPlan { only_at: Some(Nanos(30.0)), ..known };
        let at = |far, ns| {
            let regime = Regime::new(&near, CLOCK, (far, Some(ns)));
            (regime.control.is_known(), regime.period_ticks)
        };
        assert_eq!((at(0.1, 31.0), at(1.0, 300.0).0), ((true, 100.0), false));
        // The period of the plan is in the range of the control.
        let plan = RunPlan { adapt: Adapt::Kept, ..plan };
        let [shortest, longest] = [1e-9, 1e9].map(|far| Regime::new(&plan, CLOCK, (far, None)).period_ticks);
        assert!((shortest - 30.0).abs() < 1e-6 && (longest - 5000.0).abs() < 1e-6, "{shortest} {longest}");
    }

    /// A run for one distance ends if the CPUs stay at another one, unless hardly any time is left.
    #[test]
    fn a_run_ends_where_the_cpus_stay_away() {
        let go = AtomicBool::new(false);
        let run = |only_at: Option<f64>, duration: Duration, looks: &[f64]| {
            let limits = Limits { duration: Some(duration), ..Limits::default() };
            let plan = RunPlan { only_at: only_at.map(Nanos), limits, ..plan() };
            let mut led = Led::new(&plan, &go);
            led.leader.distances = Some(Distances::new(CLOCK));
            let mut batches = 0;
            for &ns in looks {
                led.leader.looked(&look(Some(ns)));
                let Some(batch) = led.next() else { break };
                led.done(batch, FINE, false);
                batches += 1;
            }
            led.next();
            (batches, led.leader.into_totals().stop())
        };
        let long = Duration::from_secs(3600);
        let (near, far) = (vec![40.0; 5], vec![150.0; 20]);
        let all = [near.clone(), far.clone(), near.clone()].concat();
        assert_eq!(run(Some(40.0), long, &all), (5 + 19, Stop::Left));
        assert_eq!(run(Some(150.0), long, &[far.clone(), vec![40.0; 30]].concat()), (20 + 19, Stop::Left));
        // Back in time, within a factor of 1.6, at any distance, and too late.
        let back = [&far[1..], &near[..1], &far[1..], &near[..1]].concat();
        assert_eq!(run(Some(40.0), long, &back), (40, Stop::Limit));
        assert_eq!(run(Some(94.0), long, &far), (20, Stop::Limit));
        assert_eq!(run(None, long, &all), (30, Stop::Limit));
        assert_eq!(run(Some(40.0), Duration::from_millis(900), &all).1, Stop::Limit);
    }

    #[test]
    fn batches_prefetch_as_asked_for() {
        let go = AtomicBool::new(false);
        let on = [Prefetch::On, Prefetch::Ahead].map(|prefetch| (prefetch, 400, 400));
        for (prefetch, least, most) in on.into_iter().chain([(Prefetch::Off, 0, 0), (Prefetch::Turns, 100, 300)]) {
            let plan = RunPlan { prefetch, ..plan() };
            let mut led = Led::new(&plan, &go);
            let mut seen = 0;
            for _ in 0..400 {
                let batch = led.next().unwrap();
                seen += u64::from(batch.prefetch);
                led.done(batch, FINE, false);
            }
            assert!((least..=most).contains(&seen), "{prefetch}: {seen}");
        }
    }
}
