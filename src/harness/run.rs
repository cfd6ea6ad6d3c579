//! The run itself: threads, batches, and whoever watches them.
//!
//! A batch goes like this, on every thread:
//!
//! 1. meet; P0 decides whether to go on, how many instances, which skew, and the clock to start at (`leader`);
//! 2. run the emitted code over the batch;
//! 3. meet; classify a share of the batch's instances;
//! 4. write a part of the initial values again, after one more meeting if outcomes are in the instances themselves.
//!
//! Everything shared between threads outside the emitted code is ordered by the meetings (`meeting`).

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU8, AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crossbeam_utils::CachePadded;

use super::arena::Arena;
use super::classify::{Classifier, Counter, Memory, Under};
use super::disturbance::Watcher;
use super::focus::focus;
use super::initial::InitialState;
use super::leader::{Books, Leader};
use super::meeting::{Broken, Meeting, Report};
use super::plan::{Job, Measurement, Plan};
use super::starts::Starts;
use super::tally::Tally;
use crate::codegen::{Executable, Pace, SaveRecord, ThreadArgs, warm_step};
use crate::error::{Error, Result};
use crate::machine::{pin_to, set_nice};

/// For how long no batch may be finished before a waiting lock is taken for a deadlock. Looks are counted, not time, because a
/// machine that was suspended makes time pass for all alike.
const DEADLOCK: Duration = Duration::from_secs(5);
/// How often the calling thread looks up, and shows the counts: less often would look slow, and in a short run often enough to find
/// the worthwhile skews in time.
const WATCH: Duration = Duration::from_millis(200);
const WATCH_LEAST: Duration = Duration::from_millis(5);
/// The part of a run in which all skews are taken equally often, if it is to find the worthwhile ones.
const SWEEP_SHARE: f64 = 0.25;

/// What the threads of a run share.
struct Shared<'a> {
    job: Job<'a>,
    plan: &'a Plan,
    classifier: Classifier<'a>,
    initial: InitialState,
    starts: &'a Starts,
    executables: Vec<Executable>,
    arena: Pointer,
    /// From one stretch of the arena to the next.
    stretch_bytes: usize,
    records: Vec<Pointer>,
    meeting: Meeting,
    /// Whether to look for lost CPUs: threads that share one take it from each other all the time.
    watched: bool,
    /// Tells threads that wait for a lock to give up.
    give_up: CachePadded<AtomicU8>,
    /// When the first outcome was counted, in nanoseconds after the beginning.
    first: AtomicU64,
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
// the meetings: see the head of this file.
unsafe impl Send for Pointer {}
// SAFETY: as above.
unsafe impl Sync for Pointer {}

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
    let stretch_bytes = job.layout.bytes(plan.batch)?;
    let mut arena = Arena::new(stretch_bytes.saturating_mul(plan.stretches()))?;
    let strides = job.program.threads.iter().map(|thread| SaveRecord::new(thread).stride);
    let mut record_arenas =
        strides.map(|stride| Arena::new(plan.batch.saturating_mul(stride))).collect::<Result<Vec<_>>>()?;
    let starts = Starts::new(job.program, job.layout, threads);
    let classifier = Classifier::new(job.program, job.layout, &starts);
    let own_cpus = distinct(job.cpus);
    let shared = Shared {
        job,
        plan,
        executables: job.code.iter().map(Executable::new).collect::<Result<Vec<_>>>()?,
        arena: Pointer(arena.pointer()),
        stretch_bytes,
        records: record_arenas.iter_mut().map(|arena| Pointer(arena.pointer())).collect(),
        meeting: Meeting::new(threads, own_cpus),
        watched: threads > 1 && own_cpus,
        give_up: CachePadded::default(),
        first: AtomicU64::new(u64::MAX),
        epoch: CachePadded::default(),
        counters: (0..threads).map(|_| Mutex::new(classifier.counter(plan.skews.len()))).collect(),
        failure: Mutex::new(None),
        classifier,
        initial: InitialState::new(job.program, job.layout),
        starts: &starts,
        begun,
        nice: AtomicI32::new(i32::MIN),
        ended: AtomicUsize::new(0),
        caller: std::thread::current(),
    };
    let hot = Mutex::new(Vec::new());
    let leader = Leader::new(plan, job.clock, threads, interrupt, &hot);

    let books = std::thread::scope(|scope| {
        let shared = &shared;
        let p0 = scope.spawn(move || worker(shared, 0, Some(leader)));
        for number in 1..threads {
            scope.spawn(move || worker(shared, number, None));
        }
        let (mut last, mut unchanged) = (0, 0);
        let every = plan.limits.duration.map_or(WATCH, |limit| (limit / 16).clamp(WATCH_LEAST, WATCH));
        let deadlock = (DEADLOCK.as_secs_f64() / every.as_secs_f64()) as u32;
        let mut sweeping = plan.focus && plan.skews.len() > 1;
        // Not `is_finished`, which is still false while a thread's last destructor wakes this one.
        while shared.ended.load(Ordering::Acquire) < threads {
            std::thread::park_timeout(every);
            let iterations = shared.meeting.sums().0;
            unchanged = if iterations == last { unchanged + 1 } else { 0 };
            last = iterations;
            shared.give_up.store(u8::from(unchanged >= deadlock), Ordering::Relaxed);
            shared.epoch.fetch_add(1, Ordering::Relaxed);
            let tally = shared.tally();
            if sweeping && shared.progress() >= SWEEP_SHARE && tally.iterations > 0 {
                *hot.lock().expect("no thread panics holding it") = focus(job.program, &tally);
                sweeping = false;
            }
            watch(&tally);
        }
        p0.join()
    });

    if let Some(error) = shared.failure.lock().expect("no thread panics holding it").take() {
        return Err(error);
    }
    let Ok(Some(books)) = books else { return Err(Error::Internal("P0 ended before its time".to_owned())) };
    let mut tally = shared.tally();
    tally.iterations = shared.meeting.sums().0;
    let counted: u64 = tally.outcomes().values().sum();
    if counted != tally.iterations {
        return Err(Error::Internal(format!("{} iterations but {counted} outcomes", tally.iterations)));
    }
    Ok(Measurement {
        tally,
        elapsed: books.elapsed,
        in_batches: Duration::from_nanos(job.clock.ns(books.in_batches as f64) as u64),
        period: books.paced / (books.planned.max(1) as f64),
        late: books.late as f64 / books.groups.max(1) as f64,
        apart: job.clock.ns(books.apart as f64 / books.counted.max(1) as f64),
        discarded: books.discarded,
        disturbances: books.disturbances,
        nice: shared.nice.load(Ordering::Relaxed),
        history: books.history.rates().to_vec(),
        first_outcome: Duration::from_nanos(shared.first.load(Ordering::Relaxed)),
        stop: books.stop(),
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
        let (iterations, races) = self.meeting.sums();
        let time = limits.duration.map_or(0.0, |limit| self.begun.elapsed().as_secs_f64() / limit.as_secs_f64());
        let share = |done: u64, limit: Option<u64>| limit.map_or(0.0, |limit| done as f64 / limit.max(1) as f64);
        time.max(share(iterations, limits.iterations)).max(share(races, limits.races))
    }

    fn fail(&self, error: Error) {
        self.failure.lock().expect("no thread panics holding it").get_or_insert(error);
        self.meeting.break_up();
    }
}

/// Whether no two threads share a CPU.
fn distinct(cpus: &[usize]) -> bool {
    cpus.iter().enumerate().all(|(at, cpu)| !cpus[..at].contains(cpu))
}

/// Wakes the caller when its thread ends, and breaks the meeting up if it panics, so that the others end too.
struct Guard<'a>(&'a Shared<'a>);

impl Drop for Guard<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.meeting.break_up();
        }
        self.0.ended.fetch_add(1, Ordering::Release);
        self.0.caller.unpark();
    }
}

/// A thread of the run; P0 leads and gives back what it has written down.
fn worker(shared: &Shared<'_>, number: usize, mut leader: Option<Leader<'_>>) -> Option<Books> {
    let _guard = Guard(shared);
    if let Err(error) = pin_to(shared.job.cpus[number]) {
        shared.fail(error);
        return None;
    }
    shared.nice.fetch_max(set_nice(shared.plan.nice), Ordering::Relaxed);
    let counter = batches(shared, number, leader.as_mut()).ok()?;
    *shared.counters[number].lock().expect("no thread panics holding it") = counter;
    leader.map(Leader::into_books)
}

/// Runs batches until there are to be no more; what was counted.
fn batches(
    shared: &Shared<'_>,
    number: usize,
    mut leader: Option<&mut Leader<'_>>,
) -> std::result::Result<Counter, Broken> {
    let Shared { plan, job, meeting, .. } = shared;
    let threads = job.cpus.len();
    let stretch_bytes = shared.stretch_bytes;
    let records: Vec<*mut u8> = shared.records.iter().map(|pointer| pointer.0).collect();
    let mut stretches: Vec<_> = (0..plan.stretches()).map(|round| shared.starts.stretch(plan.batch, round)).collect();
    for (at, stretch) in stretches.iter().enumerate() {
        // SAFETY: the arena holds that many stretches of `batch` instances, and until the first meeting each thread does its
        // part of resetting them, and P0 what needs it only once.
        unsafe {
            let arena = shared.arena.0.add(at * stretch_bytes);
            if number == 0 {
                shared.initial.settle(arena, shared.starts, plan.batch);
            }
            shared.initial.reset(arena, stretch, plan.batch, number);
        }
    }
    let delays = plan.delays(number, threads);
    let group_bytes = (plan.group - 1) * job.layout.stride + 1;
    let pieces = group_bytes.div_ceil(warm_step(job.layout)) as u64;
    let mut counter = shared.classifier.counter(plan.skews.len());
    let reads_memory = shared.classifier.reads_memory() && threads > 1;
    let mut epoch = 0;
    let mut watcher = Watcher::new(job.clock);
    for batch_number in 1.. {
        meeting.ready(number, batch_number, counter.seen(), counter.races());
        let next = match &mut leader {
            Some(leader) => {
                meeting.assemble(batch_number)?;
                let next = leader.next(meeting);
                meeting.give_out(batch_number, next);
                next
            }
            None => meeting.take(batch_number)?,
        };
        let Some(batch) = next else { break };
        let stretch = &mut stretches[batch.stretch];
        // SAFETY: within the arena, as above.
        let arena = unsafe { shared.arena.0.add(batch.stretch * stretch_bytes) };
        let mut args = ThreadArgs {
            arena,
            records: records[number],
            count: batch.count as u64,
            start: batch.start.saturating_add_signed(delays[batch.skew]),
            period: batch.period,
            stop: shared.give_up.as_ptr().cast_const(),
            late: 0,
            group: plan.group as u64,
            warm: if batch.warm { pieces } else { 0 },
        };
        let early = args.start.wrapping_sub(job.clock.now()) as i64;
        // SAFETY: the arena and this thread's records hold `batch` >= `count` instances, initialised by `reset` before
        // the meeting; until the next one only emitted code touches them; `give_up` lives as long as `shared`.
        let finished = unsafe { shared.executables[number].run(&mut args) };
        let end = job.clock.now();
        if !finished {
            shared.fail(Error::Host(format!(
                "{}: P{number} waited {} s for a spinlock that nobody released: the test deadlocks (or its lock's holder \
                 was never given a CPU)",
                job.program.name,
                DEADLOCK.as_secs()
            )));
            return Err(Broken);
        }
        let disturbed = shared.watched
            && watcher.batch(
                end.saturating_sub(args.start),
                (plan.pace == Pace::Paced).then_some(batch.count.div_ceil(plan.group) as u64 * args.period),
                batch.count,
            );
        let early = early.clamp(i32::MIN.into(), i32::MAX.into()) as i32;
        // P0 compares the ends, so they are given as its counter has them.
        let end = end.saturating_add_signed(-plan.ahead(number));
        let report = Report { end, late: args.late, early, disturbed };
        let any_disturbed = meeting.done(number, batch_number, report)?;
        let kept = !(any_disturbed && batch.discardable);
        if kept {
            // SAFETY: the batch is over, and until the next meeting the records are only read, and so are the instances if outcomes are
            // in them: then resetting them waits for all.
            unsafe {
                shared.classifier.count(
                    Memory { arena, records: &records },
                    shared.classifier.share(batch.count, number),
                    Under { skew: batch.skew, warm: args.warm > 0, stretch },
                    &mut counter,
                )
            };
            if reads_memory {
                meeting.counted(number, batch_number)?;
            }
        }
        stretch.turn(batch.count, batch_number as usize);
        // SAFETY: the batch is over and counted, and until the next meeting each thread does its part of resetting it; all threads ran the
        // same batches, so their accounts of who writes what are the same.
        unsafe { shared.initial.reset(arena, stretch, batch.count, number) };
        if !kept {
            continue;
        }
        if shared.first.load(Ordering::Relaxed) == u64::MAX {
            shared.first.fetch_min(shared.begun.elapsed().as_nanos() as u64, Ordering::Relaxed);
        }
        let asked = shared.epoch.load(Ordering::Relaxed);
        if asked != epoch {
            epoch = asked;
            shared.counters[number].lock().expect("no thread panics holding it").clone_from(&counter);
        }
    }
    Ok(counter)
}
