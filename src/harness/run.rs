//! The run: its shared state, and the calling thread that starts the threads and watches them. `worker` has what
//! each thread does.
//!
//! Each thread does the following for each batch:
//!
//! 1. Rendezvous. P0 decides whether the run goes on, the number of instances, the skew, and the start time
//!    (`leader`).
//! 2. Run the emitted code over the batch.
//! 3. Read the number of the current CPU. Encode its own records. Rendezvous. Classify a share of the batch's instances, unless a
//!    thread was on another CPU or lost its CPU.
//! 4. If outcomes are read from the instances, rendezvous again. Then write a part of the initial values.
//!
//! Every 15 ms a step is a look instead: the threads measure how far apart their CPUs are (`look`, `distance`).
//!
//! Apart from the emitted code, the rendezvous order every access to memory that the threads share (module `rendezvous`).

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicI64, AtomicU8, AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crossbeam_utils::CachePadded;

use super::arena::Memory;
use super::classify::{Classifier, Counter, PART_BYTES};
use super::convert::whole;
use super::distance::Distances;
use super::edges::Chain;
use super::initial::InitialState;
use super::last_writers::LastWriters;
use super::leader::{LASTS, Leader, RunTotals};
use super::look::Line;
use super::measurement::{BestPeriod, Measurement};
use super::phases::{PhaseTicks, Phases};
use super::plan::{Job, RunPlan};
use super::rendezvous::Rendezvous;
use super::strata::DistanceCounts;
use super::tally::Tally;
use super::worker::worker;
use crate::codegen::{Executable, Pace, SaveRecord};
use crate::error::{Error, Result};
use crate::machine::{current_cpu, start};

/// For how long no thread may finish a batch before a thread that waits for a spinlock gives up: the test then
/// counts as deadlocked. The watchdog counts looks and not time, because time passes for all threads while the
/// machine is suspended.
const DEADLOCK: Duration = Duration::from_secs(5);
/// Interval at which the calling thread wakes up and shows the counts. A longer interval would make the display look
/// slow. Short runs use a shorter one, but at least [`WATCH_LEAST`].
const WATCH: Duration = Duration::from_millis(200);
const WATCH_LEAST: Duration = Duration::from_millis(5);

/// What a run learns from the system while it runs. Tests replace these functions.
struct Probes<'a> {
    /// The CPU that a thread is on after a batch. Arguments: thread number, batch number.
    cpu: &'a (dyn Fn(usize, u64) -> Option<usize> + Sync),
    /// Whether a thread was disturbed in a batch. The last argument is the result of its watcher.
    disturbed: &'a (dyn Fn(usize, u64, bool) -> bool + Sync),
    /// Called at every look with whether threads that wait for a lock must give up.
    looked: &'a dyn Fn(bool),
    /// Whether distances are measured.
    looks: bool,
    /// [`DEADLOCK`] and [`LASTS`], or other values in tests.
    deadlock: Duration,
    lasts: Duration,
    /// Whether each thread writes its number instead of the initial values.
    #[cfg(test)]
    writes_thread_number: bool,
}

impl Probes<'_> {
    /// The real system.
    fn system() -> Probes<'static> {
        Probes {
            cpu: &|_, _| current_cpu(),
            disturbed: &|_, _, found| found,
            looked: &|_| (),
            looks: true,
            deadlock: DEADLOCK,
            lasts: LASTS,
            #[cfg(test)]
            writes_thread_number: false,
        }
    }
}

/// Checks at each look whether the threads make progress.
struct Watchdog {
    progress: u64,
    unchanged: u64,
    patience: u64,
}

impl Watchdog {
    /// A watchdog that gives up after `deadlock`, if it looks once per `every`.
    fn new(deadlock: Duration, every: Duration) -> Watchdog {
        Watchdog { progress: 0, unchanged: 0, patience: whole(deadlock.as_secs_f64() / every.as_secs_f64()) }
    }

    /// Whether threads that wait for a lock must give up. `progress` is the current value of
    /// [`Rendezvous::progress`].
    fn look(&mut self, progress: u64) -> bool {
        self.unchanged = if progress == self.progress { self.unchanged + 1 } else { 0 };
        self.progress = progress;
        self.unchanged >= self.patience
    }
}

/// Distance that keeps data of different threads on different lines, in bytes: CPUs fetch lines in pairs, or have lines of 128.
const LINE_APART: usize = align_of::<CachePadded<u8>>();

/// State that the threads of a run share.
pub(super) struct Shared<'a> {
    pub(super) job: Job<'a>,
    /// The functions of [`Probes`] that the threads call. The caller keeps `looked`.
    pub(super) cpu: &'a (dyn Fn(usize, u64) -> Option<usize> + Sync),
    pub(super) disturbed: &'a (dyn Fn(usize, u64, bool) -> bool + Sync),
    pub(super) deadlock: Duration,
    pub(super) plan: &'a RunPlan,
    pub(super) classifier: Classifier<'a>,
    pub(super) initial: InitialState,
    pub(super) last_writers: &'a LastWriters,
    pub(super) executables: Vec<Executable>,
    pub(super) arena: Pointer,
    /// Distance from one memory region of the arena to the next, in bytes.
    pub(super) region_bytes: usize,
    pub(super) records: Vec<Pointer>,
    /// For each thread, the memory for its parts of the indices (`classify`).
    pub(super) parts: Vec<Pointer>,
    pub(super) rendezvous: Rendezvous,
    /// The line that P0 shares with each other thread in a look.
    pub(super) lines: Vec<CachePadded<Line>>,
    /// For each thread, how much further its counter is ahead of P0's than it was before the run.
    pub(super) offsets: Vec<AtomicI64>,
    /// Whether to watch for lost CPUs, and to measure distances. Not done if threads share a CPU, because they take it from
    /// each other all the time.
    pub(super) watched: bool,
    /// Tells threads that wait for a lock to give up.
    pub(super) give_up: CachePadded<AtomicU8>,
    /// Time of the first counted outcome, in nanoseconds after `begun`.
    pub(super) first: AtomicU64,
    /// Increased to ask each thread for a copy of its counts.
    pub(super) epoch: CachePadded<AtomicU64>,
    pub(super) counters: Vec<Mutex<Counter>>,
    /// The chain of each thread, and how often it was measured again; written when the thread ends.
    pub(super) chains: Mutex<Vec<(Chain, u64)>>,
    /// The time of each thread in each phase; written when the thread ends.
    pub(super) phases: Mutex<Vec<PhaseTicks>>,
    pub(super) failure: Mutex<Option<Error>>,
    /// The thread that was found off its CPU last, and the CPU it was on (`None` if unknown).
    pub(super) moved: Mutex<Option<(usize, Option<usize>)>>,
    pub(super) begun: Instant,
    /// The highest nice value that a thread was granted.
    pub(super) nice: AtomicI32,
    /// What each thread counted of the plan's event, if it had a counter.
    pub(super) event_counts: Mutex<Vec<Option<u64>>>,
    /// Number of threads that have ended, and the thread that waits for them (`caller`).
    pub(super) ended: AtomicUsize,
    pub(super) caller: std::thread::Thread,
}

/// A pointer that may be passed to other threads.
#[derive(Clone, Copy)]
pub(super) struct Pointer(pub(super) *mut u8);

// SAFETY: the memory behind the pointer outlives the scope of the threads. The rendezvous define which thread
// accesses which part of it, and when: see the head of this file.
unsafe impl Send for Pointer {}
// SAFETY: as for `Send`.
unsafe impl Sync for Pointer {}

/// Runs a job. Calls `watch` a few times per second with the counts so far.
///
/// # Errors
/// If a thread cannot be started or pinned, if a thread is moved off its CPU for good, if there is not enough
/// memory, if the test deadlocks, or if the counts are inconsistent.
pub fn run(job: Job<'_>, plan: &RunPlan, interrupt: &AtomicBool, mut watch: impl FnMut(&Tally)) -> Result<Measurement> {
    run_with((job, &mut Memory::default()), plan, interrupt, &mut watch, &Probes::system())
}

/// As [`run`], in memory that was mapped before.
///
/// # Errors
/// As [`run`].
pub fn run_in(
    memory: &mut Memory,
    job: Job<'_>,
    plan: &RunPlan,
    interrupt: &AtomicBool,
    watch: &mut dyn FnMut(&Tally),
) -> Result<Measurement> {
    run_with((job, memory), plan, interrupt, watch, &Probes::system())
}

/// As [`run_in`], without looks at the distance between the CPUs: on a busy machine they take longer than a short run.
///
/// # Errors
/// As [`run`].
pub fn run_briefly(memory: &mut Memory, job: Job<'_>, plan: &RunPlan, interrupt: &AtomicBool) -> Result<Measurement> {
    run_with((job, memory), plan, interrupt, &mut |_| (), &Probes { looks: false, ..Probes::system() })
}

fn run_with(
    (job, memory): (Job<'_>, &mut Memory),
    plan: &RunPlan,
    interrupt: &AtomicBool,
    watch: &mut dyn FnMut(&Tally),
    probes: &Probes<'_>,
) -> Result<Measurement> {
    let begun = Instant::now();
    // The number of a skew is its index in ascending order. This function, the counters and the tally all use
    // it.
    let mut plan = plan.clone();
    plan.skews.sort_unstable();
    let plan = &plan;
    if !fits(job, plan) {
        return Err(Error::Internal("the plan does not fit the program".to_owned()));
    }
    let arenas = Arenas::new(memory, job, plan)?;
    let threads = job.program.threads.len();
    let last_writers = LastWriters::new(job.program, job.layout, threads);
    let shared = Shared { begun, ..Shared::new(job, plan, arenas, &last_writers, probes)? };
    let mut leader = Leader::new(plan, job.clock, threads, interrupt);
    leader.lasts = probes.lasts;
    let distances = || match plan.finds_neighbours {
        true => Distances::new(job.clock).on(job.cpus),
        false => Distances::new(job.clock),
    };
    leader.distances = (shared.watched && probes.looks).then(distances);

    let totals = std::thread::scope(|scope| {
        let shared = &shared;
        let (mut leader, mut p0, mut started) = (Some(leader), None, 0);
        for number in 0..threads {
            let leader = leader.take();
            match start(scope, &format!("P{number}"), move || worker(shared, number, leader)) {
                Ok(thread) => {
                    started += 1;
                    p0 = p0.or(Some(thread));
                }
                // The threads that were started wait for this one until `fail` tells them to stop.
                Err(error) => {
                    shared.fail(error);
                    break;
                }
            }
        }
        shared.supervise(started, probes, watch);
        p0.map(|thread| thread.join())
    });

    if let Some(error) = shared.failure.lock().expect("no thread panics while holding this lock").take() {
        return Err(error);
    }
    let Some(Ok(Some(totals))) = totals else {
        return Err(Error::Internal("P0 ended early without an error".to_owned()));
    };
    totals.distances.iter().for_each(Distances::keep_cores);
    if totals.stranded { Err(shared.stranded(&totals)) } else { shared.measurement(&totals) }
}

/// Whether a plan fits a job.
fn fits(job: Job<'_>, plan: &RunPlan) -> bool {
    let threads = job.program.threads.len();
    let too_many = job.layout.most.is_some_and(|most| plan.batch > most);
    job.cpus.len() == threads
        && job.code.len() == threads
        && plan.batch > 0
        && !plan.skews.is_empty()
        && plan.group > 0
        && plan.edges.is_some() == matches!(plan.pace, Pace::Edges { .. })
        && plan.edges.as_ref().is_none_or(|edges| edges.chains.len() == threads)
        && !too_many
}

/// The memory of a run: the regions of instances, and for each thread its records and behind them its parts of the indices. The
/// [`Memory`] that it is in outlives the threads.
struct Arenas {
    instances: Pointer,
    /// Size of a region, in bytes.
    region_bytes: usize,
    records: Vec<Pointer>,
    parts: Vec<Pointer>,
}

impl Arenas {
    fn new(memory: &mut Memory, job: Job<'_>, plan: &RunPlan) -> Result<Arenas> {
        let region_bytes = job.layout.bytes(plan.batch)?;
        let strides = job.program.threads.iter().map(|thread| SaveRecord::new(thread).stride);
        // Parts begin at a line of their own, because other threads read them.
        let records: Vec<usize> = strides
            .map(|stride| plan.batch.saturating_mul(stride).saturating_add(LINE_APART - 1) / LINE_APART * LINE_APART)
            .collect();
        let with_parts = records.iter().map(|bytes| bytes.saturating_add(plan.batch.saturating_mul(PART_BYTES)));
        let sizes: Vec<usize> =
            std::iter::once(region_bytes.saturating_mul(plan.regions())).chain(with_parts).collect();
        let mut pointers = memory.zeroed(&sizes)?.into_iter();
        let instances = Pointer(pointers.next().expect("the first size is that of the instances"));
        let (records, parts) = pointers
            .zip(records)
            // SAFETY: the parts lie behind the records, inside the memory of the same size as above.
            .map(|(pointer, bytes)| (Pointer(pointer), Pointer(unsafe { pointer.add(bytes) })))
            .unzip();
        Ok(Arenas { instances, region_bytes, records, parts })
    }
}

impl<'a> Shared<'a> {
    /// The state at the beginning of a run. `arenas` must outlive the threads.
    fn new(
        job: Job<'a>,
        plan: &'a RunPlan,
        arenas: Arenas,
        last_writers: &'a LastWriters,
        probes: &Probes<'a>,
    ) -> Result<Shared<'a>> {
        let threads = job.program.threads.len();
        let classifier = Classifier::new(job.program, job.layout, last_writers);
        let own_cpus = distinct(job.cpus);
        Ok(Shared {
            job,
            cpu: probes.cpu,
            disturbed: probes.disturbed,
            deadlock: probes.deadlock,
            plan,
            executables: job.code.iter().map(Executable::new).collect::<Result<Vec<_>>>()?,
            arena: arenas.instances,
            region_bytes: arenas.region_bytes,
            records: arenas.records,
            parts: arenas.parts,
            rendezvous: Rendezvous::new(threads, own_cpus),
            lines: (1..threads).map(|_| CachePadded::default()).collect(),
            offsets: (0..threads).map(|_| AtomicI64::new(0)).collect(),
            watched: threads > 1 && own_cpus,
            give_up: CachePadded::default(),
            first: AtomicU64::new(u64::MAX),
            epoch: CachePadded::default(),
            counters: (0..threads).map(|_| Mutex::new(classifier.counter(plan.skews.len()))).collect(),
            chains: Mutex::new(
                plan.edges.iter().flat_map(|edges| edges.chains.iter()).map(|&chain| (chain, 0)).collect(),
            ),
            phases: Mutex::new(Vec::with_capacity(threads)),
            failure: Mutex::new(None),
            moved: Mutex::new(None),
            classifier,
            initial: initial_state(job, probes),
            last_writers,
            begun: Instant::now(),
            nice: AtomicI32::new(i32::MIN),
            event_counts: Mutex::new(Vec::with_capacity(threads)),
            ended: AtomicUsize::new(0),
            caller: std::thread::current(),
        })
    }

    /// Watches the threads until all that were `started` have ended: shows the counts, and ends deadlocks.
    fn supervise(&self, started: usize, probes: &Probes<'_>, watch: &mut dyn FnMut(&Tally)) {
        let every = self.plan.limits.duration.map_or(WATCH, |limit| (limit / 16).clamp(WATCH_LEAST, WATCH));
        let mut watchdog = Watchdog::new(probes.deadlock, every);
        // `is_finished` does not work here: it is still false while the last destructor of a thread wakes this
        // thread.
        while self.ended.load(Ordering::Acquire) < started {
            std::thread::park_timeout(every);
            let give_up = watchdog.look(self.rendezvous.progress());
            self.give_up.store(give_up.into(), Ordering::Relaxed);
            (probes.looked)(give_up);
            self.epoch.fetch_add(1, Ordering::Relaxed);
            watch(&self.tally());
        }
    }

    /// The result of a run, after all threads have ended.
    ///
    /// # Errors
    /// If the counts are inconsistent.
    fn measurement(&self, totals: &RunTotals) -> Result<Measurement> {
        let clock = self.job.clock;
        let chains = self.chains.lock().expect("no thread panics while holding this lock");
        let mut tally = self.tally();
        tally.iterations = self.rendezvous.sums().0;
        let counted: u64 = tally.outcomes().values().sum();
        if counted != tally.iterations || tally.instances() != totals.planned {
            return Err(Error::Internal(format!(
                "the counts are inconsistent: {} iterations but {counted} outcomes, {} instances excluded by the filter, {} instances run",
                tally.iterations, tally.filtered, totals.planned
            )));
        }
        Ok(Measurement {
            elapsed: totals.elapsed,
            in_batches: Duration::from_nanos(whole(clock.nanos(totals.in_batches_ticks.into()).0)),
            phases: {
                let threads = self.phases.lock().expect("no thread panics while holding this lock");
                Phases::new(&threads, totals.elapsed, if self.plan.pace.is_paced() { totals.groups } else { 0 }, clock)
            },
            period: clock.nanos_of(totals.paced_ticks / (totals.planned.max(1) as f64)),
            best_periods: (totals.best_periods.iter())
                .map(|&(ns, ticks)| BestPeriod { distance: ns.map(crate::units::Nanos), period: clock.nanos_of(ticks) })
                .collect(),
            late: totals.late as f64 / totals.groups.max(1) as f64,
            end_spread: clock.nanos_of(totals.end_spread_ticks as f64 / totals.counted.max(1) as f64),
            discarded: totals.discarded,
            disturbances: totals.disturbances,
            moved: totals.moved,
            nice: self.nice.load(Ordering::Relaxed),
            event_count: {
                let counts = self.event_counts.lock().expect("no thread panics while holding this lock");
                counts.iter().copied().try_fold(0, |sum: u64, count| Some(sum.saturating_add(count?)))
            },
            distances: (totals.distances.as_ref())
                .map(|distances| DistanceCounts::new(distances, totals.offset_changes, &tally, clock))
                .map(|counts| if totals.settled { counts } else { counts.without_history() }),
            // Rates at periods that were tried tell of no drift.
            history: if totals.settled { totals.history.rates().to_vec() } else { Vec::new() },
            blocks: totals.history.blocks().to_vec(),
            chains: chains.iter().map(|(chain, _)| *chain).collect(),
            chain_drifts: chains.iter().map(|(_, drifts)| drifts).sum(),
            first_outcome: Duration::from_nanos(self.first.load(Ordering::Relaxed)),
            stop: totals.stop(),
            tally,
        })
    }

    /// The counts that the threads have handed over so far.
    fn tally(&self) -> Tally {
        let mut tally = Tally::new(&self.plan.skews);
        for counter in &self.counters {
            let counter = counter.lock().expect("no thread panics while holding this lock");
            self.classifier.add_to(&counter, &mut tally);
        }
        tally.iterations = tally.skews.iter().map(super::SkewTally::iterations).sum();
        tally
    }

    /// Keeps the first error, and makes all threads stop.
    pub(super) fn fail(&self, error: Error) {
        self.failure.lock().expect("no thread panics while holding this lock").get_or_insert(error);
        self.rendezvous.break_up();
    }

    /// The error of a run that ended because a thread was no longer on its CPU.
    fn stranded(&self, totals: &RunTotals) -> Error {
        let moved = self.moved.lock().expect("no thread panics while holding this lock").take();
        let (number, here) = moved.unwrap_or((0, None));
        let here = here.map_or("another one".to_owned(), |here| format!("CPU {here}"));
        Error::Host(format!(
            "{}: P{number} was moved from CPU {} to {here} in mid-run and stays there (by taskset -a, by a cpuset that shrank, or because \
             the CPU went offline). What ran since then measures nothing: {} instances were discarded. Do not move the threads, or \
             choose other CPUs with -c",
            self.job.program.name, self.job.cpus[number], totals.moved
        ))
    }
}

#[cfg(not(test))]
fn initial_state(job: Job<'_>, _: &Probes<'_>) -> InitialState {
    InitialState::new(job.program, job.layout)
}

#[cfg(test)]
fn initial_state(job: Job<'_>, probes: &Probes<'_>) -> InitialState {
    let new = if probes.writes_thread_number { InitialState::with_thread_number } else { InitialState::new };
    new(job.program, job.layout)
}

/// Whether every thread has its own CPU.
fn distinct(cpus: &[usize]) -> bool {
    cpus.iter().enumerate().all(|(at, cpu)| !cpus[..at].contains(cpu))
}

#[cfg(test)]
mod tests {
    use super::super::Stop;
    use super::super::plan::{Adapt, Limits, Prefetch};
    use super::super::worker::{ahead, pieces};
    use super::super::{choose_group, choose_pace};
    use super::*;
    use crate::arch::HardwareEvent;
    use crate::codegen::{Target, ThreadCode, prefetch_step};
    use crate::isa::emit;
    use crate::layout::{Layout, LayoutKind};
    use crate::litmus::{Source, parse};
    use crate::machine::{Clock, HardwareCounter, TASK_CLOCK, allowed_cpus, with_at_most, without_counters};
    use crate::program::{Const, Program, lower};
    use crate::units::{Nanos, Ticks};

    fn program(text: &str) -> Program {
        lower(&parse(&Source::new("t", text)).unwrap()).unwrap()
    }

    /// Both threads read x and y, and no thread stores.
    fn looking() -> Program {
        program(
            "C t\n{}\nP0(int *x, int *y) { int r0; int r1; r0 = READ_ONCE(*x); r1 = READ_ONCE(*y); }\n\
             P1(int *x, int *y) { int r0; int r1; r0 = READ_ONCE(*x); r1 = READ_ONCE(*y); }\n\
             exists (0:r0=1 /\\ 0:r1=0 /\\ 1:r0=1 /\\ 1:r1=0)",
        )
    }

    /// Everything that is needed to run a program.
    struct Bench {
        program: Program,
        layout: Layout,
        code: Vec<ThreadCode>,
        cpus: Vec<usize>,
        clock: Clock,
        plan: RunPlan,
    }

    impl Bench {
        /// Each thread gets its own CPU, as far as there are enough.
        fn new(program: Program, pace: Pace, kind: LayoutKind, batch: usize) -> Bench {
            let layout = Layout::for_batch(kind, &program, 64, Some(batch)).unwrap();
            let code = emit(Target::of_host().unwrap(), &program, &layout, pace).unwrap();
            let cpus = allowed_cpus().unwrap().into_iter().cycle().take(program.threads.len()).collect();
            let plan = RunPlan {
                pace,
                period: Ticks(2000),
                group: 1,
                prefetch: Prefetch::Off,
                adapt: Adapt::Never,
                skews: vec![Ticks(0)],
                counter_offsets: Vec::new(),
                edges: None,
                focus: false,
                nice: 0,
                event: None,
                batch,
                seed: 1,
                only_at: None,
                finds_neighbours: true,
                limits: Limits::default(),
            };
            Bench { program, layout, code, cpus, clock: Clock::calibrate(), plan }
        }

        fn job(&self) -> Job<'_> {
            let Bench { program, layout, code, cpus, clock, .. } = self;
            Job { program, layout, code, cpus, clock: *clock }
        }

        fn run(&self, limits: Limits, probes: &Probes<'_>) -> Result<Measurement> {
            let plan = RunPlan { limits, ..self.plan.clone() };
            run_with((self.job(), &mut Memory::default()), &plan, &AtomicBool::new(false), &mut |_| (), probes)
        }
    }

    fn iterations(limit: u64) -> Limits {
        Limits { iterations: Some(limit), ..Limits::default() }
    }

    /// A CPU probe that always finds every thread on its own CPU, whatever the machine does.
    fn quiet(cpus: &[usize]) -> impl Fn(usize, u64) -> Option<usize> + Sync {
        move |number, _| Some(cpus[number])
    }

    /// The test reads which thread wrote last, so it can check the recorded last writer of every instance, and
    /// that every instance is reset. Some batches are discarded, because those must be reset too.
    #[test]
    fn who_wrote_a_line_last_is_who_is_said_to_have() {
        for (pace, kind, batch) in [
            (Pace::Free, LayoutKind::Padded, 1000),
            (Pace::Free, LayoutKind::Dense, 5000),
            (Pace::Paced, LayoutKind::Padded, 300),
            (Pace::Paced, LayoutKind::Packed, 300),
        ] {
            let bench = Bench::new(looking(), pace, kind, batch);
            let cpu = quiet(&bench.cpus);
            let probes = Probes {
                cpu: &cpu,
                disturbed: &|number, batch, found| found || number == 1 && batch % 3 == 0,
                writes_thread_number: true,
                ..Probes::system()
            };
            let measured = bench.run(iterations(20_000), &probes).unwrap();
            assert!(measured.discarded > 0);
            let names: Vec<&str> = bench.program.locations.iter().map(|location| location.name.as_str()).collect();
            assert_eq!(names, ["x", "y"]);
            let mut seen = 0;
            for start in measured.tally.last_writers.iter().filter(|start| start.iterations > 0) {
                // A race: both threads see that P1 wrote x and P0 wrote y.
                let all = start.writers == [Some(1), Some(0)];
                assert_eq!(start.races, if all { start.iterations } else { 0 }, "{pace:?} {kind}: {start:?}");
                seen += start.races;
            }
            let sum = super::super::races(&bench.program, &measured.tally.outcomes());
            // In a packed layout both variables are on one line, so the same thread resets both.
            assert_eq!((seen, sum > 0), (sum, kind != LayoutKind::Packed));
            let split = |row: &[Const]| row[..2] != row[2..];
            assert!(!measured.tally.outcomes().keys().any(|row| split(row)), "both threads see the same");
        }
    }

    /// The addresses of all that the threads of a run write in each batch.
    fn written(shared: &Shared<'_>, batch: usize) -> Vec<std::ops::Range<usize>> {
        let of = |start: usize, bytes: usize| start..start + bytes;
        let mut out = shared.rendezvous.written();
        out.push(of(shared.arena.0.addr(), shared.region_bytes * shared.plan.regions()));
        let strides = shared.job.program.threads.iter().map(|thread| SaveRecord::new(thread).stride);
        out.extend(shared.records.iter().zip(strides).map(|(pointer, stride)| of(pointer.0.addr(), batch * stride)));
        out.extend(shared.parts.iter().map(|pointer| of(pointer.0.addr(), batch * PART_BYTES)));
        out.push(of((&raw const shared.give_up).addr(), size_of_val(&shared.give_up)));
        out.push(of((&raw const shared.epoch).addr(), size_of_val(&shared.epoch)));
        out
    }

    /// Pairs slow each other down if they write to the same lines.
    #[test]
    fn runs_at_the_same_time_share_no_line() {
        // 128 bytes, where CPUs fetch lines in pairs or have lines of 128; 64 on RISC-V.
        const LINE: usize = align_of::<CachePadded<u8>>();
        const { assert!(LINE >= 64) };
        let bench = Bench::new(looking(), Pace::Paced, LayoutKind::Dense, 64);
        let last_writers = LastWriters::new(&bench.program, &bench.layout, 2);
        let mut memories: Vec<Memory> = (0..3).map(|_| Memory::default()).collect();
        let runs: Vec<Shared<'_>> = (memories.iter_mut())
            .map(|memory| {
                let arenas = Arenas::new(memory, bench.job(), &bench.plan).unwrap();
                Shared::new(bench.job(), &bench.plan, arenas, &last_writers, &Probes::system()).unwrap()
            })
            .collect();
        let lines = |range: &std::ops::Range<usize>| range.start / LINE..=(range.end - 1) / LINE;
        let all: Vec<(usize, std::ops::Range<usize>)> = (runs.iter().enumerate())
            .flat_map(|(number, shared)| written(shared, 64).into_iter().map(move |range| (number, range)))
            .collect();
        for (at, (number, range)) in all.iter().enumerate() {
            for (other, more) in &all[..at] {
                let apart = lines(range).end() < lines(more).start() || lines(more).end() < lines(range).start();
                assert!(apart, "{range:x?} of run {number} and {more:x?} of run {other} share a line");
            }
        }
    }

    /// Every thread counts the event of the plan, if the system lets it.
    #[test]
    fn an_event_is_counted_over_all_threads() {
        let mut bench = Bench::new(looking(), Pace::Free, LayoutKind::Padded, 128);
        let cpus = bench.cpus.clone();
        let cpu = quiet(&cpus);
        let mut count = |event| {
            bench.plan.event = event;
            let limits = Limits { duration: Some(Duration::from_millis(20)), ..Limits::default() };
            bench.run(limits, &Probes { cpu: &cpu, ..Probes::system() }).unwrap()
        };
        assert_eq!(count(None).event_count, None);
        let of_no_cpu = HardwareEvent { kind: 1, config: 1 << 40, ..TASK_CLOCK };
        assert_eq!(count(Some(of_no_cpu)).event_count, None);
        let measured = count(Some(TASK_CLOCK));
        match measured.event_count {
            Some(ns) => assert!(ns > 0 && u128::from(ns) < 3 * 10_u128.pow(9), "{ns} ns"),
            None => assert!(HardwareCounter::open(TASK_CLOCK).is_err_and(|error| without_counters(&error))),
        }
    }

    /// The phases are parts of the time, and only a paced run waits for the clock.
    #[test]
    fn the_time_of_a_run_is_that_of_its_phases() {
        for pace in [Pace::Free, Pace::Paced] {
            let bench = Bench::new(looking(), pace, LayoutKind::Padded, 128);
            let cpu = quiet(&bench.cpus);
            let measured = bench.run(iterations(5000), &Probes { cpu: &cpu, ..Probes::system() }).unwrap();
            let Phases { run, clock, classification, reset, looks, rendezvous } = measured.phases;
            assert!(
                run > Duration::ZERO && classification > Duration::ZERO && reset > Duration::ZERO,
                "{run:?} {reset:?}"
            );
            assert_eq!(clock > Duration::ZERO, pace.is_paced());
            // Two looks take place in the shortest run.
            assert!(looks > Duration::ZERO || bench.cpus[0] == bench.cpus[1], "{looks:?}");
            let sum = run + classification + reset + looks + rendezvous;
            // Threads begin and end a little apart.
            assert!(
                sum >= measured.elapsed && run < measured.elapsed + Duration::from_millis(50),
                "{sum:?} {:?}",
                measured.elapsed
            );
        }
    }

    #[test]
    fn so_many_instances_are_counted_as_were_asked_for_whatever_is_thrown_away() {
        for pace in [Pace::Free, Pace::Paced] {
            let bench = Bench::new(looking(), pace, LayoutKind::Padded, 128);
            for limit in [1, 127, 128, 129, 5000] {
                let cpu = quiet(&bench.cpus);
                let moved = |number: usize, batch: u64| if batch % 5 == 1 { None } else { cpu(number, batch) };
                let disturbed = |number: usize, batch: u64, found| found || number == 0 && batch % 4 == 2;
                let probes = Probes { cpu: &moved, disturbed: &disturbed, ..Probes::system() };
                let measured = bench.run(iterations(limit), &probes).unwrap();
                assert_eq!(measured.tally.iterations, limit);
                assert_eq!(measured.tally.outcomes().values().sum::<u64>(), limit);
                assert_eq!(measured.tally.last_writers.iter().map(|start| start.iterations).sum::<u64>(), limit);
                assert_eq!(measured.stop, Stop::Limit);
                // The probes make the first two batches discarded ones: the first is moved, the second
                // disturbed.
                assert!(measured.moved > 0 && measured.discarded > 0, "{} {}", measured.moved, measured.discarded);
                let batches = measured.disturbances;
                assert!(batches > 0 && measured.discarded <= batches * 128);
            }
        }
    }

    #[test]
    fn a_filter_excludes_and_the_rest_adds_up() {
        let text = |filter: &str| {
            format!(
                "C t\n{{}}\nP0(int *x) {{ WRITE_ONCE(*x, 1); }}\nP1(int *x) {{ int r0; r0 = READ_ONCE(*x); }}\n\
                 filter ({filter})\nexists (1:r0=0)"
            )
        };
        for (filter, column) in [("1:r0=0", 0), ("1:r0=1", 1)] {
            let bench = Bench::new(program(&text(filter)), Pace::Free, LayoutKind::Padded, 512);
            let measured = bench.run(iterations(20_000), &Probes::system()).unwrap();
            let tally = &measured.tally;
            assert_eq!(tally.instances(), 20_000);
            let races = super::super::races(&bench.program, &tally.outcomes());
            // Only instances that pass are counted. Of these, either all are races or none is.
            assert_eq!(races, if column == 0 { tally.iterations } else { 0 });
            assert_eq!(tally.outcomes().values().sum::<u64>(), tally.iterations);
            assert_eq!(tally.skews.iter().map(crate::harness::SkewTally::iterations).sum::<u64>(), tally.iterations);
            assert_eq!(tally.last_writers.iter().map(|start| start.iterations).sum::<u64>(), tally.iterations);
            assert!(measured.history.iter().all(|rate| *rate == if column == 0 { 1.0 } else { 0.0 }));
        }
        let bench = Bench::new(program(&text("1:r0=7")), Pace::Free, LayoutKind::Padded, 512);
        let measured = bench.run(iterations(20_000), &Probes::system()).unwrap();
        assert_eq!((measured.tally.iterations, measured.tally.filtered), (0, 20_000));
        assert!(measured.tally.outcomes().is_empty());
    }

    #[test]
    fn prefetched_batches_are_counted_as_prefetched() {
        for (prefetch, wanted) in [(Prefetch::On, (2000, 0)), (Prefetch::Off, (0, 2000))] {
            let mut bench = Bench::new(looking(), Pace::Paced, LayoutKind::Padded, 64);
            bench.plan.prefetch = prefetch;
            let measured = bench.run(iterations(2000), &Probes::system()).unwrap();
            let of = |prefetch| -> u64 {
                measured
                    .tally
                    .last_writers
                    .iter()
                    .filter(|start| start.prefetched == prefetch)
                    .map(|start| start.iterations)
                    .sum()
            };
            assert_eq!((of(true), of(false)), wanted, "{prefetch}");
        }
        let plan = |group| RunPlan { group, ..Bench::new(looking(), Pace::Paced, LayoutKind::Padded, 8).plan };
        let layout = Layout::new(LayoutKind::Padded, &looking(), 64).unwrap();
        let step = prefetch_step(&layout);
        assert_eq!(pieces(&plan(1), &layout), 1);
        for group in [2, 7, 64] {
            // The last step reaches the first byte of the last instance, and no step begins after it.
            let (pieces, last) = (usize::try_from(pieces(&plan(group), &layout)).unwrap(), (group - 1) * layout.stride);
            assert!(pieces * step > last && (pieces - 1) * step <= last, "{group}");
        }
    }

    #[test]
    fn lines_are_prefetched_for_writing_a_group_ahead_and_never_in_the_line_of_the_group() {
        let bench = Bench::new(looking(), Pace::Paced, LayoutKind::Padded, 256);
        let layout = |kind, line| Layout::new(kind, &looking(), line).unwrap();
        let of = |prefetch, group, layout: &Layout| {
            usize::try_from(ahead(&RunPlan { prefetch, group, ..bench.plan.clone() }, layout)).unwrap()
        };
        for line in [64, 128, 256] {
            let [padded, dense] = [LayoutKind::Padded, LayoutKind::Dense].map(|kind| layout(kind, line));
            for group in 1..=64 {
                assert_eq!(of(Prefetch::Ahead, group, &padded), group * padded.stride);
                let (bytes, ahead) = (group * dense.stride, of(Prefetch::Ahead, group, &dense));
                let apart = |start: usize| (start + ahead) / line > (start + bytes - 1) / line;
                assert!((0..200).all(|number| apart(number * bytes)), "{group} instances, lines of {line} bytes");
                assert!(ahead < bytes + 2 * line, "{group} instances, lines of {line} bytes: {ahead}");
            }
        }
        let dense = layout(LayoutKind::Dense, 64);
        for prefetch in [Prefetch::On, Prefetch::Off, Prefetch::Turns] {
            assert_eq!(of(prefetch, 16, &dense), 0, "{prefetch}");
        }
    }

    /// With a positive skew the last thread starts later.
    #[test]
    fn a_skew_is_how_much_later_the_last_thread_begins() {
        let text =
            "C t\n{}\nP0(int *x) { WRITE_ONCE(*x, 1); }\nP1(int *x) { int r0; r0 = READ_ONCE(*x); }\nexists (1:r0=1)";
        let mut bench = Bench::new(program(text), Pace::Paced, LayoutKind::Padded, 64);
        let far = bench.clock.ticks(Nanos(30e3));
        (bench.plan.skews, bench.plan.period) = (vec![far, -far], Ticks(3 * far.0));
        let races = |tally: &Tally, at: usize| super::super::races(&bench.program, &tally.skews[at].outcomes);
        let (mut before, mut after) = (0, 0);
        // On a busy machine a thread may be later than any skew. It is unlikely that this happens most of the
        // time.
        for _ in 0..100 {
            let measured = bench.run(iterations(512), &Probes::system()).unwrap();
            assert_eq!(measured.tally.skews.iter().map(|tally| tally.skew).collect::<Vec<_>>(), [-far, far]);
            before += races(&measured.tally, 0);
            after += races(&measured.tally, 1);
            if after > before + 1000 {
                return;
            }
        }
        panic!("P1 saw the store {before} times when it began earlier, {after} times when it began later");
    }

    /// One tick per instance is shorter than any thread can keep.
    #[test]
    fn late_instances_are_counted() {
        let mut bench = Bench::new(looking(), Pace::Paced, LayoutKind::Padded, 256);
        bench.plan.period = Ticks(1);
        let rushed = bench.run(iterations(50_000), &Probes::system()).unwrap();
        assert!(rushed.late > 0.2 && rushed.late <= 1.0, "{}", rushed.late);
        // Only the first instance of a group can be late.
        (bench.plan.group, bench.plan.batch) = (4, 256);
        let groups = bench.run(iterations(50_000), &Probes::system()).unwrap();
        assert!(groups.late > 0.2 && groups.late <= 1.0, "{}", groups.late);
        let bench = Bench::new(looking(), Pace::Free, LayoutKind::Padded, 256);
        assert_eq!(bench.run(iterations(1000), &Probes::system()).unwrap().late, 0.0);
    }

    /// Contended or not, a lock is no deadlock while batches are completed, even if all of them are discarded.
    #[test]
    fn batches_that_are_thrown_away_are_no_deadlock() {
        let text = "C t\n{}\nP0(int *x, spinlock_t *s) { spin_lock(s); WRITE_ONCE(*x, 1); spin_unlock(s); }\n\
                    P1(int *x, spinlock_t *s) { spin_lock(s); WRITE_ONCE(*x, 2); spin_unlock(s); }\nexists (x=2)";
        let bench = Bench::new(program(text), Pace::Free, LayoutKind::Padded, 64);
        // All batches are discarded for longer than the deadlock limit of this test, but batches are completed
        // all the time. If the process gets no CPU time for that long, this looks like a deadlock. It is
        // unlikely that this happens three times in a row.
        let patience = Duration::from_millis(1500);
        let attempt = || {
            let begun = Instant::now();
            let cpu = |number: usize, _: u64| (begun.elapsed() > 2 * patience).then_some(bench.cpus[number]);
            let lasts = Duration::from_secs(600);
            let gave_up = std::cell::Cell::new(false);
            let looked = |give_up: bool| gave_up.set(gave_up.get() | give_up);
            let probes = Probes { cpu: &cpu, looked: &looked, deadlock: patience, lasts, ..Probes::system() };
            let limits = Limits { duration: Some(2 * patience + patience / 2), ..Limits::default() };
            // Whether a thread waits for a lock at that moment is chance, so the test checks whether it would
            // have had to give up.
            bench.run(limits, &probes).ok().filter(|_| !gave_up.get())
        };
        let measured = (0..3).find_map(|_| attempt()).expect("no deadlock");
        assert!(measured.moved > 0 && measured.tally.iterations > 0);
        let mut dog = Watchdog::new(Duration::from_secs(5), Duration::from_millis(200));
        assert!((1..100).all(|progress| !dog.look(progress)));
        assert_eq!((0..30).position(|_| dog.look(100)), Some(25));
        assert!(!dog.look(101));
    }

    #[test]
    fn a_thread_that_is_moved_for_good_ends_the_run_and_is_named() {
        let bench = Bench::new(looking(), Pace::Free, LayoutKind::Padded, 64);
        let cpu = |number: usize, batch: u64| {
            if number == 1 && batch > 10 { Some(4321) } else { Some(bench.cpus[number]) }
        };
        let limits = Limits { duration: Some(Duration::from_secs(30)), ..Limits::default() };
        let error = bench.run(limits, &Probes { cpu: &cpu, ..Probes::system() }).unwrap_err().to_string();
        let words = format!("t: P1 was moved from CPU {} to CPU 4321", bench.cpus[1]);
        assert!(error.contains(&words), "{error}");
    }

    #[test]
    fn a_thread_that_is_not_started_ends_all() {
        let bench = Bench::new(looking(), Pace::Free, LayoutKind::Padded, 64);
        for most in [0, 1] {
            let error = with_at_most(most, || bench.run(iterations(1000), &Probes::system())).unwrap_err().to_string();
            assert!(error.contains(&format!("cannot start a thread for P{most}")), "{error}");
        }
        assert!(with_at_most(2, || bench.run(iterations(1000), &Probes::system())).is_ok());
    }

    #[test]
    fn an_interrupt_ends_what_chooses_the_pace() {
        let mut bench = Bench::new(looking(), Pace::Paced, LayoutKind::Padded, 64);
        bench.plan.period = Ticks(123_456_789);
        let (set, unset) = (AtomicBool::new(true), AtomicBool::new(false));
        assert_eq!(
            choose_pace((bench.job(), &mut Memory::default()), &bench.plan, &set).unwrap(),
            Ticks(123_456_789),
            "nothing was tried"
        );
        assert_ne!(
            choose_pace((bench.job(), &mut Memory::default()), &bench.plan, &unset).unwrap(),
            Ticks(123_456_789)
        );
        let mut plan = bench.plan.clone();
        choose_group((bench.job(), &mut Memory::default()), &mut plan, &set).unwrap();
        assert_eq!((plan.group, plan.period), (1, Ticks(123_456_789)));
        choose_group((bench.job(), &mut Memory::default()), &mut plan, &unset).unwrap();
        assert!([1, 4].contains(&plan.group) && plan.period != Ticks(123_456_789));
        // A batch that holds no more than one group of four runs one instance per tick.
        let mut small = RunPlan { batch: 5, ..plan };
        choose_group((bench.job(), &mut Memory::default()), &mut small, &unset).unwrap();
        assert_eq!(small.group, 1);
        let measured = run(bench.job(), &bench.plan, &set, |_| ()).unwrap();
        assert_eq!((measured.stop, measured.tally.iterations), (Stop::Interrupted, 0));
    }
}
