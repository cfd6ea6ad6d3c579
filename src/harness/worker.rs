//! A thread of a run: runs, counts and resets batches until the leader ends the run. The head of `run` gives the
//! order of its steps, and says which thread accesses which memory when.

use std::sync::atomic::Ordering;

use super::classify::{BatchContext, Counter, Memory};
use super::convert::{nanoseconds, size};
use super::distance::{Look, longest_look};
use super::disturbance::Watcher;
use super::edges::{ChainWatch, EdgePlan, Span, Timing};
use super::focus::focus;
use super::last_writers::Region;
use super::leader::{Leader, RunTotals};
use super::look::{self, Timer};
use super::neighbours::Probe;
use super::phases::PhaseTicks;
use super::plan::{Prefetch, RunPlan};
use super::rendezvous::{Batch, Broken, Order, Report, Step};
use super::run::Shared;
use crate::codegen::{ThreadArgs, prefetch_step};
use crate::error::Error;
use crate::layout::Layout;
use crate::machine::{HardwareCounter, ordered_ticks, pin_to, set_nice};
use crate::units::Ticks;

/// Wakes the caller when its thread ends. If the thread panics, it breaks the rendezvous, so that the other
/// threads end too.
struct Guard<'a>(&'a Shared<'a>);

impl Drop for Guard<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.rendezvous.break_up();
        }
        self.0.ended.fetch_add(1, Ordering::Release);
        self.0.caller.unpark();
    }
}

/// Body of a thread of the run. P0 also leads, and returns the totals.
pub(super) fn worker(shared: &Shared<'_>, number: usize, mut leader: Option<Leader<'_>>) -> Option<RunTotals> {
    let _guard = Guard(shared);
    if let Err(error) = pin_to(shared.job.cpus[number]) {
        shared.fail(error);
        return None;
    }
    shared.nice.fetch_max(set_nice(shared.plan.nice), Ordering::Relaxed);
    let mut hardware = shared.plan.event.and_then(|event| HardwareCounter::open(event).ok());
    let counter = batches(shared, number, leader.as_mut()).ok()?;
    let count = hardware.as_mut().and_then(|hardware| hardware.read().ok().flatten());
    shared.event_counts.lock().expect("no thread panics while holding this lock").push(count);
    *shared.counters[number].lock().expect("no thread panics while holding this lock") = counter;
    leader.map(Leader::into_totals)
}

/// Number of prefetch steps for the lines of a group.
pub(super) fn pieces(plan: &RunPlan, layout: &Layout) -> u64 {
    ((plan.group - 1) * layout.stride + 1).div_ceil(prefetch_step(layout)) as u64
}

/// Bytes from the lines of a group to those that are prefetched for writing before it: those of the next group. In a dense layout
/// groups may share a line, and a line that the group itself uses must not be taken from its reader. So it is a multiple of a line, with
/// one more line if a group may begin anywhere in its line.
///
/// The first lines of a batch are not prefetched for writing. Its last groups fetch lines behind it, which move to another cache; they are at
/// most the first ones of the next region.
pub(super) fn ahead(plan: &RunPlan, layout: &Layout) -> u64 {
    if plan.prefetch != Prefetch::Ahead {
        return 0;
    }
    let (group, line) = (plan.group * layout.stride, layout.line);
    let aligned = group.is_multiple_of(line) || line.is_multiple_of(group);
    (group.next_multiple_of(line) + if aligned { 0 } else { line }) as u64
}

/// Runs batches until the run is over. Returns the thread's counts.
fn batches(
    shared: &Shared<'_>,
    number: usize,
    mut leader: Option<&mut Leader<'_>>,
) -> std::result::Result<Counter, Broken> {
    let rendezvous = &shared.rendezvous;
    let mut worker = Worker::new(shared, number);
    let mut batch_number = 0;
    for step_number in 1_u64.. {
        rendezvous.ready(number, step_number, worker.counter.seen(), worker.counter.races());
        let Order { step, settle } = match &mut leader {
            Some(leader) => {
                rendezvous.assemble(step_number)?;
                let order = leader.next(rendezvous);
                rendezvous.give_out(step_number, order);
                order
            }
            None => rendezvous.take(step_number)?,
        };
        settle.into_iter().for_each(|slot| worker.counter.settle(slot));
        let batch = match (step, &mut leader) {
            (Step::Run(batch), _) => batch,
            (Step::Look, leader) => {
                let from = worker.now();
                match leader {
                    Some(leader) => worker.ask(leader)?,
                    None => worker.answer()?,
                }
                worker.phases.looks += worker.now().saturating_sub(from);
                continue;
            }
            (Step::End, _) => break,
        };
        worker.follow_offset();
        batch_number += 1;
        let report = worker.run(&batch, batch_number)?;
        let ran = worker.now();
        worker.encode(&batch);
        let encoded = worker.now();
        let kept = batch.kept(rendezvous.done(number, step_number, report)?);
        let over = worker.now();
        if kept {
            worker.count(&batch, step_number)?;
        }
        let counted = worker.now();
        worker.reset(&batch, batch_number);
        worker.phases.classification += encoded.saturating_sub(ran) + counted.saturating_sub(over);
        worker.phases.reset += worker.now().saturating_sub(counted);
        worker.look_at_chain(&batch);
        if kept {
            worker.hand_over();
        }
        // P0 has counted a part of each batch. It knows the best skews well enough.
        if let Some(leader) = leader.as_mut().filter(|leader| leader.selects()) {
            let counts = shared.classifier.by_skew(&worker.counter, &leader.slots(), &shared.plan.skews);
            leader.select(focus(shared.job.program, &counts));
        }
    }
    shared.phases.lock().expect("no thread panics while holding this lock").push(worker.phases);
    if let Some(watch) = worker.chain {
        let mut chains = shared.chains.lock().expect("no thread panics while holding this lock");
        chains[number] = (watch.chain, watch.drifts);
    }
    Ok(worker.counter)
}

/// What a thread keeps from batch to batch.
struct Worker<'a> {
    shared: &'a Shared<'a>,
    number: usize,
    /// The records of all threads, and their parts of the indices.
    records: Vec<*mut u8>,
    parts: Vec<*mut u8>,
    /// The kinds of last-writer patterns of each memory region.
    regions: Vec<Region<'a>>,
    /// For each skew, the time that this thread adds to the start of a batch.
    delays: Vec<Ticks>,
    /// Number of prefetch steps for a group, and how far ahead of it lines are prefetched for writing.
    pieces: u64,
    ahead: u64,
    /// Whether outcomes are read from the instances, so that all threads wait for each other before the reset.
    reads_memory: bool,
    watcher: Watcher,
    /// The chain that delays this thread, if the pace has edges.
    chain: Option<ChainWatch>,
    counter: Counter,
    /// The time of this thread in each phase.
    phases: PhaseTicks,
    /// How it probes its core in a look, if the clock can.
    probe: Option<Probe>,
    /// How much further this thread's counter is ahead of P0's than it was before the run.
    shift: i64,
    /// The last request for a copy of the counts that was answered.
    epoch: u64,
}

impl<'a> Worker<'a> {
    /// Writes this thread's part of the initial values of all regions.
    fn new(shared: &'a Shared<'a>, number: usize) -> Worker<'a> {
        let Shared { plan, job, .. } = shared;
        let regions: Vec<_> = (0..plan.regions()).map(|round| shared.last_writers.region(plan.batch, round)).collect();
        for (at, region) in regions.iter().enumerate() {
            // SAFETY: the arena holds that many regions of `plan.batch` instances. Until the first rendezvous
            // each thread resets its own part of them, and P0 writes what needs to be written only once.
            unsafe {
                let arena = shared.arena.0.add(at * shared.region_bytes);
                if number == 0 {
                    shared.initial.settle(arena, shared.last_writers, plan.batch);
                }
                shared.initial.reset(arena, region, plan.batch, number);
            }
        }
        Worker {
            shared,
            number,
            records: shared.records.iter().map(|pointer| pointer.0).collect(),
            parts: shared.parts.iter().map(|pointer| pointer.0).collect(),
            regions,
            delays: plan.delays(number, job.cpus.len()),
            pieces: pieces(plan, job.layout),
            ahead: ahead(plan, job.layout),
            reads_memory: shared.classifier.reads_memory() && job.cpus.len() > 1,
            watcher: Watcher::new(job.clock),
            chain: (plan.edges.as_ref()).map(|edges| ChainWatch::new(edges.chains[number], edges.edges, job.clock)),
            counter: shared.classifier.counter(plan.skews.len()),
            phases: PhaseTicks::default(),
            probe: plan.finds_neighbours.then(|| Probe::here(job.clock)).flatten(),
            shift: 0,
            epoch: 0,
        }
    }

    /// The time now on this thread's CPU, in ticks or in the units of the edges.
    #[inline]
    fn now(&self) -> u64 {
        self.shared.plan.now(self.shared.job.clock)
    }

    /// The first instance of a batch.
    #[inline]
    fn arena(shared: &Shared<'_>, batch: &Batch) -> *mut u8 {
        // SAFETY: the arena holds this region, as in `new`.
        unsafe { shared.arena.0.add(batch.region * shared.region_bytes) }
    }

    /// Runs the emitted code over a batch.
    ///
    /// # Errors
    /// [`Broken`] if the test deadlocks. The failure is then in `shared`.
    #[inline]
    fn run(&mut self, batch: &Batch, batch_number: u64) -> std::result::Result<Report, Broken> {
        let Worker { shared, number, .. } = *self;
        let Shared { plan, job, .. } = shared;
        let start = batch.start.saturating_add_signed(self.delays[batch.skew].0 + self.shift);
        let timing = match (&plan.edges, &self.chain) {
            (Some(EdgePlan { edges, gap, .. }), Some(watch)) => {
                Timing::by_edges((*edges, *gap), Span::of((*edges, *gap), job.clock, batch.period), start, watch.chain)
            }
            _ => Timing::by_ticks(start, batch.period),
        };
        let mut args = ThreadArgs {
            arena: Worker::arena(shared, batch),
            records: self.records[number],
            count: batch.count as u64,
            start: timing.start,
            period: timing.period,
            stop: shared.give_up.as_ptr().cast_const(),
            late: 0,
            group: plan.group as u64,
            prefetch_steps: if batch.prefetch { self.pieces } else { 0 },
            prefetch_ahead: self.ahead,
            span_groups: timing.span_groups,
            span_left: 1,
            delay: timing.delay,
            gap: timing.gap,
            span_gap: 0,
        };
        let arrival = plan.now(job.clock);
        let slack = start.wrapping_sub(arrival).cast_signed();
        // SAFETY: the arena and this thread's records hold `plan.batch` instances, which is at least `count`.
        // `reset` has initialised them before the rendezvous. Until the next rendezvous only emitted code
        // accesses them. `give_up` lives as long as `shared`.
        let finished = unsafe { shared.executables[number].run(&mut args) };
        let end = plan.now(job.clock);
        if !finished {
            shared.fail(self.deadlocked());
            return Err(Broken);
        }
        self.phases.run += end.saturating_sub(start.max(arrival));
        let here = (shared.cpu)(number, batch_number);
        let moved = here != Some(job.cpus[number]);
        if moved {
            *shared.moved.lock().expect("no thread panics while holding this lock") = Some((number, here));
        }
        let disturbed = shared.watched
            && self.watcher.batch(
                end.saturating_sub(start),
                plan.pace.is_paced().then(|| plan.length(job.clock, batch.count, batch.period).0),
                batch.count,
            );
        let disturbed = (shared.disturbed)(number, batch_number, disturbed);
        let slack = i32::try_from(slack).unwrap_or(if slack < 0 { i32::MIN } else { i32::MAX });
        // P0 compares the end times of all threads, so each is converted to P0's counter.
        let end = end.saturating_add_signed(-plan.counter_offset(number).0 - self.shift);
        Ok(Report { end, late: args.late, slack, disturbed, moved })
    }

    /// P0's part of a look: measures the distance to each other thread, and whether its counter is as far ahead as it was.
    ///
    /// # Errors
    /// [`Broken`] if another thread has ended early.
    fn ask(&self, leader: &mut Leader<'_>) -> std::result::Result<(), Broken> {
        let Shared { plan, job, rendezvous, lines, .. } = self.shared;
        let clock = job.clock;
        let now = || plan.now(clock);
        // On a coarse clock a few round trips say nothing about the counters.
        let ordered: Option<&dyn Fn() -> u64> = if plan.edges.is_none() { Some(&ordered_ticks) } else { None };
        let timer = Timer {
            now: &now,
            ordered,
            probes: self.probe.is_some(),
            step: clock.resolution_ticks,
            read: clock.read_ticks,
            longest: longest_look(clock),
        };
        let (mut farthest, mut cost) = (0.0_f64, 0.0);
        let mut ratios = vec![self.probe()];
        for (thread, line) in (1..).zip(lines) {
            let seen = look::ask(line, &timer, rendezvous)?;
            farthest = farthest.max(seen.transfer_ticks);
            cost += seen.cost_ticks();
            ratios.push(seen.ratio);
            if let Some(offset) = seen.ahead.and_then(|bounds| leader.offsets.look(thread, bounds)) {
                self.shared.offsets[thread].store(offset - plan.counter_offset(thread).0, Ordering::Relaxed);
            }
        }
        leader.looked(&Look {
            transfer_ticks: (farthest > 0.0).then_some(farthest),
            cost_ticks: cost,
            ratios: ratios.into_iter().collect(),
        });
        Ok(())
    }

    /// The part of another thread in a look.
    ///
    /// # Errors
    /// [`Broken`] if another thread has ended early.
    fn answer(&self) -> std::result::Result<(), Broken> {
        let line = &self.shared.lines[self.number - 1];
        look::answer(line, ordered_ticks, || self.probe(), &self.shared.rendezvous)
    }

    /// Probes the core of this thread.
    fn probe(&self) -> Option<f64> {
        self.probe?.measure(ordered_ticks)
    }

    /// Takes over the offset of this thread's counter that the last look found.
    #[inline]
    fn follow_offset(&mut self) {
        self.shift = self.shared.offsets[self.number].load(Ordering::Relaxed);
    }

    /// The error of a test that deadlocks.
    fn deadlocked(&self) -> Error {
        if self.shared.job.program.language.is_some() {
            return Error::Host(format!(
                "{}: P{} went round a loop for {} s: it waits for something that does not happen (or the thread that would \
                 do it got no CPU time)",
                self.shared.job.program.name,
                self.number,
                self.shared.deadlock.as_secs()
            ));
        }
        Error::Host(format!(
            "{}: P{} waited {} s for a spinlock that was never released: the test deadlocks (or the thread that holds \
             the lock got no CPU time)",
            self.shared.job.program.name,
            self.number,
            self.shared.deadlock.as_secs()
        ))
    }

    /// Encodes this thread's save records of a batch that it has run.
    #[inline]
    fn encode(&self, batch: &Batch) {
        let Worker { shared, number, records, parts, .. } = self;
        let memory = Memory { arena: Worker::arena(shared, batch), records, parts };
        // SAFETY: this thread has run the batch, and its records hold it. From the rendezvous before the batch to the one after
        // it, only this thread accesses its records and its parts.
        unsafe { shared.classifier.encode(memory, *number, batch.count) };
    }

    /// Classifies this thread's share of a batch that counts.
    ///
    /// # Errors
    /// [`Broken`] if another thread has ended early.
    #[inline]
    fn count(&mut self, batch: &Batch, step_number: u64) -> std::result::Result<(), Broken> {
        let Worker { shared, regions, records, parts, .. } = self;
        let memory = Memory { arena: Worker::arena(shared, batch), records, parts };
        // SAFETY: the batch is over, and all threads have encoded it. Until the next rendezvous the records and the parts are
        // only read. If outcomes are read from the instances, these are only read too, because all threads wait for each other
        // before the reset.
        unsafe {
            shared.classifier.count(
                memory,
                shared.classifier.share(batch.count, self.number),
                BatchContext { skew: batch.skew, prefetch: batch.prefetch, region: &regions[batch.region] },
                &mut self.counter,
            )
        };
        if self.reads_memory { shared.rendezvous.counted(self.number, step_number) } else { Ok(()) }
    }

    /// Writes this thread's part of the initial values of a batch, in the next last-writer pattern.
    #[inline]
    fn reset(&mut self, batch: &Batch, batch_number: u64) {
        let (shared, arena) = (self.shared, Worker::arena(self.shared, batch));
        let region = &mut self.regions[batch.region];
        region.turn(batch.count, size(batch_number % shared.last_writers.kinds() as u64));
        // SAFETY: the batch is over and counted. Until the next rendezvous each thread resets its own part of
        // it. All threads ran the same batches, so their copies of the last-writer patterns are equal.
        unsafe { shared.initial.reset(arena, region, batch.count, self.number) };
    }

    /// Looks at the chain of this thread, if the pace has edges and the last look is long ago.
    #[inline]
    fn look_at_chain(&mut self, batch: &Batch) {
        if let Some(watch) = &mut self.chain {
            watch.look(batch.start, &self.shared.executables[self.number]);
        }
    }

    /// Copies the counts for the thread that watches the run, if it asks for them.
    #[inline]
    fn hand_over(&mut self) {
        let shared = self.shared;
        if shared.first.load(Ordering::Relaxed) == u64::MAX {
            shared.first.fetch_min(nanoseconds(shared.begun.elapsed()), Ordering::Relaxed);
        }
        let asked = shared.epoch.load(Ordering::Relaxed);
        if asked != self.epoch {
            self.epoch = asked;
            let mut copy = shared.counters[self.number].lock().expect("no thread panics while holding this lock");
            copy.clone_from(&self.counter);
        }
    }
}
