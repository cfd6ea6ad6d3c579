//! The run itself: threads, batches, when to stop.
//!
//! A batch goes like this, on every thread:
//!
//! 1. meet; the last to arrive decides whether to go on, how many instances, which skew, and the clock to start at;
//! 2. run the emitted code over the batch;
//! 3. meet; classify a share of the batch's instances and write their initial values again.
//!
//! Everything shared between threads outside the emitted code is ordered by the barrier.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU8, AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crossbeam_utils::CachePadded;

use super::arena::Arena;
use super::barrier::SpinBarrier;
use super::classify::{Classifier, Counter};
use super::disturbance::Watcher;
use super::focus::focus;
use super::history::History;
use super::period::{AT_FIRST, LONGEST_PERIOD, PeriodControl, SHORTEST_PERIOD};
use super::tally::Tally;
use crate::codegen::{Executable, Pace, SaveRecord, ThreadArgs, ThreadCode, warm_step};
use crate::error::{Error, Result};
use crate::layout::Layout;
use crate::machine::{Clock, pin_to, set_nice};
use crate::program::Program;

/// What is to be run where.
#[derive(Debug, Clone, Copy)]
pub struct Job<'a> {
    /// The test.
    pub program: &'a Program,
    /// Where its variables lie.
    pub layout: &'a Layout,
    /// Its code for this host, one per thread, emitted for the plan's pace and this layout.
    pub code: &'a [ThreadCode],
    /// The CPU of each thread.
    pub cpus: &'a [usize],
    /// The host's clock.
    pub clock: Clock,
}

/// How it is to be run.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    /// Free or paced.
    pub pace: Pace,
    /// Ticks from one group of instances to the next, if paced.
    pub period: u64,
    /// Instances that follow each other freely at each tick, if paced.
    pub group: usize,
    /// Whether a group's lines are fetched before its tick.
    pub warm: Warm,
    /// Whether the period may follow the machine: longer while instances begin late, shorter while they do not.
    pub adapt: bool,
    /// How much later the last thread begins than P0, in ticks; the threads between are spread evenly. One of these
    /// is taken for each batch, in random order.
    pub skews: Vec<i64>,
    /// Whether the skews are all taken equally often to the end, or, after a first part of the run, only those that are worth it.
    pub focus: bool,
    /// The nice value that threads ask for: a lower one keeps more of a CPU that others want too.
    pub nice: i32,
    /// Instances per batch.
    pub batch: usize,
    /// Seed of the order of skews.
    pub seed: u64,
    /// When to stop.
    pub limits: Limits,
}

/// Whether a thread fetches the lines of a group before its tick: those it stores to as its own, the others to read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Warm {
    /// It does.
    On,
    /// It does not.
    Off,
    /// In every other batch, at random.
    Turns,
}

/// When a run ends; the first that is reached.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Limits {
    /// Wall-clock time.
    pub duration: Option<Duration>,
    /// Iterations, reached exactly.
    pub iterations: Option<u64>,
    /// Races: the batch that reaches them is finished.
    pub races: Option<u64>,
}

/// Why a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stop {
    /// A limit was reached.
    Limit,
    /// Somebody asked for it.
    Interrupted,
}

/// What a run gives.
#[derive(Debug)]
pub struct Measurement {
    /// The counts.
    pub tally: Tally,
    /// Wall-clock time from the first batch to the last.
    pub elapsed: Duration,
    /// The part of it spent inside batches, by the clock of P0's CPU.
    pub in_batches: Duration,
    /// The period in ticks: the mean over all instances, if it adapts. 0 for a free run.
    pub period: f64,
    /// The share of groups of instances, over all threads, that began after their time because their thread was still busy with
    /// an earlier one. 0 for a free run.
    pub late: f64,
    /// How far apart the first and the last thread were at the ends of batches, the skew taken off, in nanoseconds: the mean over all
    /// batches that count. In a free run it is what they drift apart in a batch.
    pub apart: f64,
    /// Instances of batches in which a thread lost its CPU: they were run and thrown away.
    pub discarded: u64,
    /// How many such batches there were, counting those that were kept because there was hardly another.
    pub disturbances: u64,
    /// The nice value that the threads were granted.
    pub nice: i32,
    /// The share of instances that raced, batch by batch, in order; after a sweep that finds the worthwhile skews, only those.
    pub history: Vec<f32>,
    /// How long after the call the first batch was counted.
    pub first_outcome: Duration,
    /// Why it ended.
    pub stop: Stop,
}

/// How much memory a batch's instances take by default: two threads' shares stay in the second-level caches of every
/// CPU this was written for (256 KiB and more each), so that what is timed is lines moving between cores and not
/// capacity misses. Measured, not derived: see docs/decisions.
const BATCH_BYTES: usize = 256 << 10;
/// The longest paced batch, in seconds, if it has more than [`SHORTEST_BATCH`] instances: short against the milliseconds
/// between two moments in which a shared machine takes a CPU away, so that few batches hold one.
const LONGEST_BATCH: f64 = 150e-6;
const SHORTEST_BATCH: u64 = 16;
/// The longest any batch of more than one instance may take, in seconds, so that limits and Ctrl-C are seen in time.
const SEEN_WITHIN: f64 = 20e-3;
/// How many stretches of memory paced batches take turns in, at random. Where a stretch happens to lie decides how fast its lines
/// move, so one run must not stand on one of them; together they fit a second-level cache of 1 MiB. Measured with 1, 4 and 8 of them:
/// docs/performance.md. Free-running batches stay in one, which stays in the caches.
const STRETCHES: usize = 4;
/// What a batch start is planned ahead by, in seconds: longer than it takes all threads to leave the barrier.
const HEAD_START: f64 = 2e-6;
/// For how long no batch may be finished before a waiting lock is taken for a deadlock. Looks are counted, not time, because a
/// machine that was suspended makes time pass for all alike.
const DEADLOCK: Duration = Duration::from_secs(5);
/// How often the calling thread looks up, and shows the counts: less often would look slow, and in a short run often enough to find
/// the worthwhile skews in time.
const WATCH: Duration = Duration::from_millis(200);
const WATCH_LEAST: Duration = Duration::from_millis(5);

/// So many times the instances that are kept may be thrown away because a thread lost its CPU, and so many in any case; after that
/// disturbed batches are kept and only counted.
const AT_MOST_DISCARDED: u64 = 4;
const FIRST_DISCARDED: u64 = 200_000;

/// The part of a run in which all skews are taken equally often, if it is to find the worthwhile ones.
const SWEEP_SHARE: f64 = 0.25;

/// Instances per batch for a layout: as many as fit 256 KiB, within reason.
pub fn default_batch(layout: &Layout) -> usize {
    layout.most.unwrap_or_else(|| (BATCH_BYTES / layout.stride).clamp(64, 8192))
}

/// Stretches of memory for a plan.
fn stretches(plan: &Plan) -> usize {
    if plan.pace == Pace::Paced { STRETCHES } else { 1 }
}

/// What the threads of a run share.
struct Shared<'a> {
    job: Job<'a>,
    plan: &'a Plan,
    classifier: Classifier<'a>,
    executables: Vec<Executable>,
    arena: Pointer,
    records: Vec<Pointer>,
    barrier: SpinBarrier,
    /// The batch to run, written by the last thread to reach the barrier.
    count: CachePadded<AtomicUsize>,
    start: AtomicU64,
    period: AtomicU64,
    skew: AtomicUsize,
    stretch: AtomicUsize,
    warm: AtomicBool,
    stopping: AtomicBool,
    /// The clock at the end of each thread's batch, less its delay.
    ends: Vec<CachePadded<AtomicU64>>,
    /// Whether a thread lost its CPU in the batch, and whether the batch is thrown away for that.
    disturbed: CachePadded<AtomicBool>,
    discard: AtomicBool,
    /// Whether to look: threads that share a CPU take it from each other all the time.
    watched: bool,
    /// Tells threads that wait for a lock to give up.
    give_up: CachePadded<AtomicU8>,
    interrupt: &'a AtomicBool,
    /// Instances and races counted so far.
    iterations: CachePadded<AtomicU64>,
    races: CachePadded<AtomicU64>,
    late: CachePadded<AtomicU64>,
    first: AtomicU64,
    leader: Mutex<Leader>,
    /// The skews that are taken from now on; all while empty.
    hot: Mutex<Vec<usize>>,
    /// Asks each thread for a copy of its counts.
    epoch: CachePadded<AtomicU64>,
    counters: Vec<Mutex<Counter>>,
    failure: Mutex<Option<Error>>,
    begun: Instant,
    /// The highest nice value that a thread was granted.
    nice: AtomicI32,
    /// How many threads have ended, and who waits for them.
    ended: AtomicUsize,
    caller: std::thread::Thread,
}

/// A pointer that may be handed to threads.
#[derive(Clone, Copy)]
struct Pointer(*mut u8);

// SAFETY: the memory behind it outlives the scope of the threads, and who touches which part of it when is settled by
// the barrier: see the head of this file.
unsafe impl Send for Pointer {}
// SAFETY: as above.
unsafe impl Sync for Pointer {}

/// State of whoever decides on the next batch.
struct Leader {
    begun: Option<Instant>,
    ended: Option<Instant>,
    /// Iterations in the batches handed out.
    planned: u64,
    in_batches: u64,
    batch_start: u64,
    /// The sum of every instance's period, in ticks.
    paced: f64,
    /// What the period follows.
    control: PeriodControl,
    /// Ticks of all threads in all batches.
    ticks: u64,
    /// Instances of the current batch, and late ticks of all before.
    batch: u64,
    late_before: u64,
    /// The sum of how far apart threads ended, in ticks, and of how many batches.
    apart: u64,
    counted: u64,
    /// Instances thrown away, and disturbed batches.
    discarded: u64,
    disturbances: u64,
    /// Races and batches before the current one.
    races_before: u64,
    history: History,
    /// Whether the hot skews are taken already.
    focused: bool,
    order: Vec<usize>,
    random: Random,
    interrupted: bool,
}

/// A small generator (xorshift64*, Vigna 2016) for orders that must be repeatable from a seed.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) as usize % bound
    }
}

/// Runs a job. `watch` is called a few times a second with the counts so far.
///
/// # Errors
/// If a thread cannot be pinned, memory runs out, the test deadlocks, or the counts do not add up.
pub fn run(job: Job<'_>, plan: &Plan, interrupt: &AtomicBool, mut watch: impl FnMut(&Tally)) -> Result<Measurement> {
    let begun = Instant::now();
    let threads = job.program.threads.len();
    // A skew's number is its position in ascending order, here, in the counters and in the tally.
    let mut plan = plan.clone();
    plan.skews.sort_unstable();
    let plan = &plan;
    let too_many = job.layout.most.is_some_and(|most| plan.batch > most);
    if job.cpus.len() != threads
        || job.code.len() != threads
        || plan.batch == 0
        || plan.skews.is_empty()
        || plan.group == 0
        || too_many
    {
        return Err(Error::Internal("the plan does not fit the program".to_owned()));
    }
    let mut arena = Arena::new(stretches(plan) * job.layout.bytes(plan.batch))?;
    let strides = job.program.threads.iter().map(|thread| SaveRecord::new(thread).stride);
    let mut record_arenas = strides.map(|stride| Arena::new(plan.batch * stride)).collect::<Result<Vec<_>>>()?;
    let classifier = Classifier::new(job.program, job.layout);
    let counters = (0..threads).map(|_| Mutex::new(classifier.counter(plan.skews.len()))).collect();
    let shared = Shared {
        job,
        plan,
        executables: job.code.iter().map(Executable::new).collect::<Result<Vec<_>>>()?,
        arena: Pointer(arena.pointer()),
        records: record_arenas.iter_mut().map(|arena| Pointer(arena.pointer())).collect(),
        barrier: SpinBarrier::new(threads),
        count: CachePadded::default(),
        start: AtomicU64::default(),
        period: AtomicU64::new(plan.period),
        skew: AtomicUsize::default(),
        stretch: AtomicUsize::default(),
        warm: AtomicBool::default(),
        stopping: AtomicBool::default(),
        ends: (0..threads).map(|_| CachePadded::default()).collect(),
        disturbed: CachePadded::default(),
        discard: AtomicBool::default(),
        watched: threads > 1 && distinct(job.cpus),
        give_up: CachePadded::default(),
        interrupt,
        iterations: CachePadded::default(),
        races: CachePadded::default(),
        late: CachePadded::default(),
        first: AtomicU64::new(u64::MAX),
        leader: Mutex::new(Leader {
            begun: None,
            ended: None,
            planned: 0,
            in_batches: 0,
            batch_start: 0,
            paced: 0.0,
            control: PeriodControl::new(plan.period as f64),
            ticks: 0,
            batch: 0,
            late_before: 0,
            apart: 0,
            counted: 0,
            discarded: 0,
            disturbances: 0,
            races_before: 0,
            history: History::default(),
            focused: false,
            order: Vec::new(),
            // Any seed will do, but xorshift stays at 0 for ever.
            random: Random(plan.seed | 1 << 63),
            interrupted: false,
        }),
        hot: Mutex::new(Vec::new()),
        epoch: CachePadded::default(),
        counters,
        failure: Mutex::new(None),
        classifier,
        begun,
        nice: AtomicI32::new(i32::MIN),
        ended: AtomicUsize::new(0),
        caller: std::thread::current(),
    };

    std::thread::scope(|scope| {
        for number in 0..threads {
            let shared = &shared;
            scope.spawn(move || worker(shared, number));
        }
        let (mut last, mut unchanged) = (0, 0);
        let every = plan.limits.duration.map_or(WATCH, |limit| (limit / 16).clamp(WATCH_LEAST, WATCH));
        let deadlock = (DEADLOCK.as_secs_f64() / every.as_secs_f64()) as u32;
        let mut sweeping = plan.focus && plan.skews.len() > 1;
        // Not `is_finished`, which is still false while a thread's last destructor wakes this one.
        while shared.ended.load(Ordering::Acquire) < threads {
            std::thread::park_timeout(every);
            let iterations = shared.iterations.load(Ordering::Relaxed);
            unchanged = if iterations == last { unchanged + 1 } else { 0 };
            last = iterations;
            shared.give_up.store(u8::from(unchanged >= deadlock), Ordering::Relaxed);
            shared.epoch.fetch_add(1, Ordering::Relaxed);
            let tally = shared.tally();
            if sweeping && shared.progress() >= SWEEP_SHARE && tally.iterations > 0 {
                *shared.hot.lock().expect("no thread panics holding it") = focus(job.program, &tally);
                sweeping = false;
            }
            watch(&tally);
        }
    });

    if let Some(error) = shared.failure.lock().expect("no thread panics holding it").take() {
        return Err(error);
    }
    let mut tally = shared.tally();
    tally.iterations = shared.iterations.load(Ordering::Relaxed);
    let counted: u64 = tally.outcomes().values().sum();
    if counted != tally.iterations {
        return Err(Error::Internal(format!("{} iterations but {counted} outcomes", tally.iterations)));
    }
    let leader = shared.leader.lock().expect("no thread panics holding it");
    let elapsed = match (leader.begun, leader.ended) {
        (Some(begun), Some(ended)) => ended - begun,
        _ => Duration::ZERO,
    };
    let first = shared.first.load(Ordering::Relaxed);
    Ok(Measurement {
        tally,
        elapsed,
        in_batches: Duration::from_nanos(job.clock.ns(leader.in_batches as f64) as u64),
        period: leader.paced / (leader.planned.max(1) as f64),
        late: shared.late.load(Ordering::Relaxed) as f64 / leader.ticks.max(1) as f64,
        apart: job.clock.ns(leader.apart as f64 / leader.counted.max(1) as f64),
        discarded: leader.discarded,
        disturbances: leader.disturbances,
        nice: shared.nice.load(Ordering::Relaxed),
        history: leader.history.rates().to_vec(),
        first_outcome: Duration::from_nanos(first),
        stop: if leader.interrupted { Stop::Interrupted } else { Stop::Limit },
    })
}

impl Shared<'_> {
    /// The counts that the threads have handed over.
    fn tally(&self) -> Tally {
        let mut tally = Tally::new(&self.plan.skews);
        for counter in &self.counters {
            let counter = counter.lock().expect("no thread panics holding it");
            self.classifier.add_to(&counter, &mut tally);
        }
        tally.iterations = tally.skews.iter().map(super::SkewTally::iterations).sum();
        tally
    }

    /// How much of the run is over, from 0 to 1, by whichever limit is nearest.
    fn progress(&self) -> f64 {
        let limits = self.plan.limits;
        let time = limits.duration.map_or(0.0, |limit| self.begun.elapsed().as_secs_f64() / limit.as_secs_f64());
        let share = |done: &AtomicU64, limit: Option<u64>| {
            limit.map_or(0.0, |limit| done.load(Ordering::Relaxed) as f64 / limit.max(1) as f64)
        };
        time.max(share(&self.iterations, limits.iterations)).max(share(&self.races, limits.races))
    }

    fn fail(&self, error: Error) {
        self.failure.lock().expect("no thread panics holding it").get_or_insert(error);
        self.barrier.break_up();
    }

    /// Decides on the next batch. Only the last thread at the barrier is here.
    fn next_batch(&self) {
        let mut leader = self.leader.lock().expect("no thread panics holding it");
        let now = Instant::now();
        let begun = *leader.begun.get_or_insert(now);
        // All threads have counted their shares of the last batch.
        let races = self.races.load(Ordering::Relaxed);
        if leader.batch > 0 && !self.discard.load(Ordering::Relaxed) {
            let more = races - leader.races_before;
            let instances = leader.batch;
            leader.history.push(more, instances);
        }
        leader.races_before = races;
        let limits = self.plan.limits;
        leader.interrupted = self.interrupt.load(Ordering::Relaxed);
        let left = limits.iterations.map_or(u64::MAX, |limit| limit.saturating_sub(leader.planned));
        let enough = leader.interrupted
            || left == 0
            || limits.duration.is_some_and(|limit| now - begun >= limit)
            || limits.races.is_some_and(|limit| races >= limit);
        if enough {
            leader.ended = Some(now);
            self.stopping.store(true, Ordering::Relaxed);
            return;
        }
        if self.plan.adapt {
            let before = self.period.load(Ordering::Relaxed) as f64;
            if let Some(period) = leader.control.look(before) {
                let hz = self.job.clock.frequency_hz;
                let period = period.clamp(SHORTEST_PERIOD * hz, LONGEST_PERIOD * hz);
                self.period.store(period.max(1.0) as u64, Ordering::Relaxed);
            }
        }
        let count = left.min(self.batch());
        leader.planned += count;
        leader.batch = count;
        leader.paced += self.period.load(Ordering::Relaxed) as f64 * count as f64;
        self.count.store(count as usize, Ordering::Relaxed);
        // A batch that was thrown away is run again as it was, so that a seed gives the same order on a busy box too.
        if !self.discard.load(Ordering::Relaxed) {
            self.skew.store(self.draw(&mut leader), Ordering::Relaxed);
            self.stretch.store(leader.random.below(stretches(self.plan)), Ordering::Relaxed);
            let warm = match self.plan.warm {
                Warm::On => true,
                Warm::Off => false,
                Warm::Turns => leader.random.below(2) == 1,
            };
            self.warm.store(warm, Ordering::Relaxed);
        }
        leader.batch_start = self.job.clock.now();
        let head_start = HEAD_START * self.job.clock.frequency_hz;
        self.start.store(leader.batch_start + head_start as u64, Ordering::Relaxed);
    }

    /// The next batch's skew.
    fn draw(&self, leader: &mut Leader) -> usize {
        if leader.order.is_empty() {
            let hot = self.hot.lock().expect("no thread panics holding it");
            if !hot.is_empty() && !leader.focused {
                leader.focused = true;
                leader.history.clear();
            }
            leader.order = if hot.is_empty() { (0..self.plan.skews.len()).collect() } else { hot.clone() };
            for at in (1..leader.order.len()).rev() {
                let other = leader.random.below(at + 1);
                leader.order.swap(at, other);
            }
        }
        leader.order.pop().expect("just filled")
    }

    /// Instances in the next batch: fewer at a long period, but never so many that Ctrl-C is not seen in time.
    fn batch(&self) -> u64 {
        let most = self.plan.batch as u64;
        if self.plan.pace == Pace::Free {
            return most;
        }
        let period = self.period.load(Ordering::Relaxed).max(1) as f64 / self.job.clock.frequency_hz;
        let group = self.plan.group as u64;
        let fitting = (LONGEST_BATCH / period) as u64 * group;
        let in_time = (SEEN_WITHIN / period) as u64 * group;
        most.min(fitting.max(SHORTEST_BATCH)).min(in_time.max(1))
    }

    /// Notes the end of a batch. Only the last thread at the barrier is here.
    fn batch_done(&self) {
        let mut leader = self.leader.lock().expect("no thread panics holding it");
        leader.in_batches += self.job.clock.now().saturating_sub(leader.batch_start);
        let late = self.late.load(Ordering::Relaxed);
        let ticks = leader.batch.div_ceil(self.plan.group as u64) * self.job.cpus.len() as u64;
        leader.ticks += ticks;
        let share = (late - leader.late_before).saturating_sub(AT_FIRST) as f64 / ticks as f64;
        leader.late_before = late;
        let disturbed = self.disturbed.load(Ordering::Relaxed);
        self.disturbed.store(false, Ordering::Relaxed);
        leader.disturbances += u64::from(disturbed);
        // Where nearly every batch is disturbed, nothing would be left.
        let discard =
            disturbed && leader.discarded <= AT_MOST_DISCARDED * (leader.planned - leader.batch) + FIRST_DISCARDED;
        self.discard.store(discard, Ordering::Relaxed);
        if discard {
            leader.discarded += leader.batch;
            leader.planned -= leader.batch;
            leader.paced -= self.period.load(Ordering::Relaxed) as f64 * leader.batch as f64;
        }
        if disturbed {
            // Says nothing about the period.
            return;
        }
        let ends = || self.ends.iter().map(|end| end.load(Ordering::Relaxed));
        leader.apart += ends().max().unwrap_or(0).saturating_sub(ends().min().unwrap_or(0));
        leader.counted += 1;
        leader.control.batch(share);
    }
}

/// Whether no two threads share a CPU.
fn distinct(cpus: &[usize]) -> bool {
    cpus.iter().enumerate().all(|(at, cpu)| !cpus[..at].contains(cpu))
}

/// Wakes the caller when its thread ends, and breaks the barrier if it panics, so that the others end too.
struct Guard<'a>(&'a Shared<'a>);

impl Drop for Guard<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.barrier.break_up();
        }
        self.0.ended.fetch_add(1, Ordering::Release);
        self.0.caller.unpark();
    }
}

fn worker(shared: &Shared<'_>, number: usize) {
    let _guard = Guard(shared);
    if let Err(error) = pin_to(shared.job.cpus[number]) {
        shared.fail(error);
        return;
    }
    shared.nice.fetch_max(set_nice(shared.plan.nice), Ordering::Relaxed);
    let threads = shared.job.cpus.len();
    let stretch_bytes = shared.job.layout.bytes(shared.plan.batch);
    let records: Vec<*mut u8> = shared.records.iter().map(|pointer| pointer.0).collect();
    let share = |count: usize| count * number / threads..count * (number + 1) / threads;
    for stretch in 0..stretches(shared.plan) {
        // SAFETY: the arena holds that many stretches of `batch` instances, and each thread writes only its share of each
        // until the barrier.
        unsafe { shared.classifier.reset(shared.arena.0.add(stretch * stretch_bytes), share(shared.plan.batch)) };
    }
    let skews = &shared.plan.skews;
    let delays: Vec<i64> = skews.iter().map(|skew| delay(*skew, number, threads)).collect();
    let group_bytes = (shared.plan.group - 1) * shared.job.layout.stride + 1;
    let pieces = group_bytes.div_ceil(warm_step(shared.job.layout)) as u64;
    let mut counter = shared.classifier.counter(skews.len());
    let (mut races_before, mut epoch) = (0, 0);
    let mut watcher = Watcher::new(shared.job.clock);
    loop {
        if shared.barrier.wait(|| shared.next_batch()).is_err() {
            return;
        }
        if shared.stopping.load(Ordering::Relaxed) {
            break;
        }
        let count = shared.count.load(Ordering::Relaxed);
        let skew = shared.skew.load(Ordering::Relaxed);
        // SAFETY: within the arena, as above.
        let arena = unsafe { shared.arena.0.add(shared.stretch.load(Ordering::Relaxed) * stretch_bytes) };
        let mut args = ThreadArgs {
            arena,
            records: records[number],
            count: count as u64,
            start: shared.start.load(Ordering::Relaxed).saturating_add_signed(delays[skew]),
            period: shared.period.load(Ordering::Relaxed),
            stop: shared.give_up.as_ptr().cast_const(),
            late: 0,
            group: shared.plan.group as u64,
            warm: if shared.warm.load(Ordering::Relaxed) { pieces } else { 0 },
        };
        // SAFETY: the arena and this thread's records hold `batch` >= `count` instances, initialised by `reset` before
        // the barrier; between the two barriers only emitted code touches them; `give_up` lives as long as `shared`.
        let finished = unsafe { shared.executables[number].run(&mut args) };
        let end = shared.job.clock.now();
        shared.ends[number].store(end.saturating_add_signed(-delays[skew]), Ordering::Relaxed);
        if !finished {
            shared.fail(Error::Host(format!(
                "{}: P{number} waited {} s for a spinlock that nobody released: the test deadlocks (or its lock's holder \
                 was never given a CPU)",
                shared.job.program.name,
                DEADLOCK.as_secs()
            )));
            return;
        }
        shared.late.fetch_add(args.late, Ordering::Relaxed);
        if shared.watched {
            let disturbed = match shared.plan.pace {
                Pace::Free => watcher.free(end.saturating_sub(args.start), count),
                Pace::Paced => {
                    let ticks = count.div_ceil(shared.plan.group) as u64;
                    watcher.paced(end, args.start + ticks * args.period)
                }
            };
            if disturbed {
                shared.disturbed.store(true, Ordering::Relaxed);
            }
        }
        if shared.barrier.wait(|| shared.batch_done()).is_err() {
            return;
        }
        let range = share(count);
        if shared.discard.load(Ordering::Relaxed) {
            // SAFETY: as below.
            unsafe { shared.classifier.reset(arena, range) };
            continue;
        }
        // SAFETY: the batch is over, and until the next barrier the records are only read, and each thread reads and
        // writes only its share of the instances.
        unsafe {
            shared.classifier.count(arena, &records, range.clone(), skew, &mut counter);
            shared.classifier.reset(arena, range.clone());
        }
        let races = counter.races();
        shared.races.fetch_add(races - races_before, Ordering::Relaxed);
        races_before = races;
        let before = shared.iterations.fetch_add(range.len() as u64, Ordering::Relaxed);
        if before == 0 {
            shared.first.fetch_min(shared.begun.elapsed().as_nanos() as u64, Ordering::Relaxed);
        }
        let asked = shared.epoch.load(Ordering::Relaxed);
        if asked != epoch {
            epoch = asked;
            shared.counters[number].lock().expect("no thread panics holding it").clone_from(&counter);
        }
    }
    *shared.counters[number].lock().expect("no thread panics holding it") = counter;
}

/// When thread `number` begins after P0, in ticks, or before it if negative: half of a negative skew cannot be waited
/// for, so P0 waits instead.
fn delay(skew: i64, number: usize, threads: usize) -> i64 {
    let steps = threads.saturating_sub(1).max(1) as i64;
    let own = skew * number as i64 / steps;
    // The earliest thread begins at 0.
    own - skew.min(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn skews_delay_whoever_is_later() {
        assert_eq!([delay(30, 0, 2), delay(30, 1, 2)], [0, 30]);
        assert_eq!([delay(-30, 0, 2), delay(-30, 1, 2)], [30, 0]);
        assert_eq!([delay(30, 0, 3), delay(30, 1, 3), delay(30, 2, 3)], [0, 15, 30]);
        assert_eq!([delay(-30, 0, 3), delay(-30, 1, 3), delay(-30, 2, 3)], [30, 15, 0]);
        assert_eq!(delay(30, 0, 1), 0);
    }
}
