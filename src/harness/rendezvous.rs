//! Rendezvous of the threads of a run, two or three times per batch. Threads spin, because sleeping and waking
//! up takes far longer than a batch.
//!
//! P0 leads. It waits until the other threads are ready, and publishes the next batch. The plan of a batch is
//! in one cache line, and each thread's report is in a line of its own, so that a rendezvous transfers as few
//! lines as possible. At the end of a batch there is no decision, so each thread waits for every other thread
//! directly.
//!
//! Who writes what, and when it may be read:
//!
//! * P0 writes the plan of batch n, after all threads are ready for n and before it stores the number n
//!   (release). The others read the plan after they see the number (acquire).
//! * Each thread writes its report of batch n before it stores that it is done with n (release). All threads
//!   may read it from then (acquire) until they are ready for n + 1.
//! * Each thread writes its counts before it stores that it is ready for n + 1 (release). P0 reads them before
//!   it publishes n + 1.

use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU32, AtomicU64, Ordering};

use crossbeam_utils::CachePadded;

use super::convert::size;
use super::distance::Slot;

/// Number of spins before a thread yields its CPU, if each thread has its own CPU. Long compared with the
/// imbalance of a batch, short compared with a scheduler time slice.
const SPINS: u32 = 20_000;
/// The same if threads share a CPU: a spinning thread then keeps the awaited thread from running.
const SPINS_SHARED: u32 = 100;

/// Plan of one batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Batch {
    /// Number of instances.
    pub count: usize,
    /// Clock value at which the batch starts, in ticks.
    pub start: u64,
    /// Period in ticks, from one group to the next.
    pub period: u64,
    /// Index of the skew.
    pub skew: usize,
    /// Index of the memory region.
    pub region: usize,
    /// Whether lines are prefetched.
    pub prefetch: bool,
    /// Whether the batch is discarded if it is disturbed.
    pub discardable: bool,
}

/// A thread's report of a batch that it has run.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Report {
    /// Clock value when the thread was done, in ticks.
    pub end: u64,
    /// Number of groups that started late.
    pub late: u64,
    /// Slack: how many ticks before its start time the thread was ready; negative if it was late.
    pub slack: i32,
    /// Whether the thread lost its CPU.
    pub disturbed: bool,
    /// Whether the thread was on a CPU other than its own.
    pub moved: bool,
}

/// What was wrong with a batch, from the reports of all threads.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Flaws {
    /// A thread lost its CPU.
    pub disturbed: bool,
    /// A thread was not on its CPU.
    pub moved: bool,
}

impl Batch {
    /// Whether the batch counts. All threads use this rule on the same data, so either all count the batch or
    /// none does.
    pub fn kept(&self, flaws: Flaws) -> bool {
        !(flaws.moved || flaws.disturbed && self.discardable)
    }
}

/// What the threads do next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// Run a batch.
    Run(Batch),
    /// Measure the distances between the CPUs (module `look`).
    Look,
    /// End.
    End,
}

/// What P0 gives out at a rendezvous.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Order {
    /// What to do.
    pub step: Step,
    /// Before that: where to add the counts since the look before the last one (module `distance`).
    pub settle: Option<Slot>,
}

/// A thread has ended early, and the others must stop waiting for it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Broken;

/// The cache line with the plan: 56 bytes.
#[derive(Debug, Default)]
#[repr(C)]
struct BatchLine {
    /// Number of the batch, from 1. Written last.
    number: AtomicU64,
    /// Number of instances. 0 ends the run, [`LOOK`] is a look.
    count: AtomicU64,
    start: AtomicU64,
    period: AtomicU64,
    skew: AtomicU64,
    region: AtomicU64,
    prefetch: AtomicBool,
    discardable: AtomicBool,
    broken: AtomicBool,
    /// Where to settle, plus 1; 0 if nothing is settled.
    settle: AtomicU32,
}

/// The value of `count` for a look.
const LOOK: u64 = u64::MAX;

/// The cache line of a thread: 62 bytes.
#[derive(Debug, Default)]
#[repr(C)]
struct Post {
    /// The batch that it is ready for.
    ready: AtomicU64,
    /// The last batch that it has run.
    done: AtomicU64,
    /// The last batch that it has classified. Used only where others wait for that.
    counted: AtomicU64,
    end: AtomicU64,
    late: AtomicU64,
    iterations: AtomicU64,
    races: AtomicU64,
    slack: AtomicI32,
    disturbed: AtomicBool,
    moved: AtomicBool,
}

/// The rendezvous of a fixed number of threads.
#[derive(Debug)]
pub(super) struct Rendezvous {
    batch: CachePadded<BatchLine>,
    posts: Vec<CachePadded<Post>>,
    spins: u32,
}

impl Rendezvous {
    /// Creates a rendezvous for `threads` threads. `own_cpus` says whether each has its own CPU.
    pub fn new(threads: usize, own_cpus: bool) -> Rendezvous {
        Rendezvous {
            batch: CachePadded::default(),
            posts: (0..threads).map(|_| CachePadded::default()).collect(),
            spins: if own_cpus { SPINS } else { SPINS_SHARED },
        }
    }

    /// The addresses of all that its threads write.
    #[cfg(test)]
    pub fn written(&self) -> Vec<std::ops::Range<usize>> {
        let of = |start: usize, bytes: usize| start..start + bytes;
        let posts = self.posts.iter().map(|post| of((&raw const *post).addr(), size_of_val(post)));
        std::iter::once(of((&raw const self.batch).addr(), size_of_val(&self.batch))).chain(posts).collect()
    }

    /// Announces that a thread is ready for batch `number`, counted from 1, and its total counts so far.
    pub fn ready(&self, thread: usize, number: u64, iterations: u64, races: u64) {
        let post = &self.posts[thread];
        post.iterations.store(iterations, Ordering::Relaxed);
        post.races.store(races, Ordering::Relaxed);
        post.ready.store(number, Ordering::Release);
    }

    /// Waits until all threads are ready for batch `number`. P0 calls this before [`Rendezvous::give_out`].
    ///
    /// # Errors
    /// [`Broken`] after [`Rendezvous::break_up`]. The same holds for the other functions that wait.
    pub fn assemble(&self, number: u64) -> Result<(), Broken> {
        self.all(|post| &post.ready, number)
    }

    /// Publishes step `number`.
    pub fn give_out(&self, number: u64, order: Order) {
        let line = &self.batch;
        if let Step::Run(batch) = order.step {
            line.start.store(batch.start, Ordering::Relaxed);
            line.period.store(batch.period, Ordering::Relaxed);
            line.skew.store(batch.skew as u64, Ordering::Relaxed);
            line.region.store(batch.region as u64, Ordering::Relaxed);
            line.prefetch.store(batch.prefetch, Ordering::Relaxed);
            line.discardable.store(batch.discardable, Ordering::Relaxed);
        }
        let count = match order.step {
            Step::Run(batch) => batch.count as u64,
            Step::Look => LOOK,
            Step::End => 0,
        };
        line.count.store(count, Ordering::Relaxed);
        line.settle.store(order.settle.map_or(0, |slot| u32::from(slot) + 1), Ordering::Relaxed);
        line.number.store(number, Ordering::Release);
    }

    /// Waits for step `number`.
    pub fn take(&self, number: u64) -> Result<Order, Broken> {
        let line = &self.batch;
        self.until(|| line.number.load(Ordering::Acquire) == number)?;
        let settle = line.settle.load(Ordering::Relaxed).checked_sub(1).and_then(|slot| Slot::try_from(slot).ok());
        let count = line.count.load(Ordering::Relaxed);
        if matches!(count, 0 | LOOK) {
            return Ok(Order { step: if count == 0 { Step::End } else { Step::Look }, settle });
        }
        let batch = Batch {
            count: size(count),
            start: line.start.load(Ordering::Relaxed),
            period: line.period.load(Ordering::Relaxed),
            skew: size(line.skew.load(Ordering::Relaxed)),
            region: size(line.region.load(Ordering::Relaxed)),
            prefetch: line.prefetch.load(Ordering::Relaxed),
            discardable: line.discardable.load(Ordering::Relaxed),
        };
        Ok(Order { step: Step::Run(batch), settle })
    }

    /// Announces that a thread has run batch `number`, and waits for the other threads. Returns what was wrong
    /// with the batch.
    pub fn done(&self, thread: usize, number: u64, report: Report) -> Result<Flaws, Broken> {
        self.say_done(thread, number, report);
        self.all(|post| &post.done, number)?;
        Ok(self.flaws())
    }

    /// The first half of [`Rendezvous::done`]: announces without waiting.
    pub fn say_done(&self, thread: usize, number: u64, report: Report) {
        let post = &self.posts[thread];
        post.end.store(report.end, Ordering::Relaxed);
        post.late.store(report.late, Ordering::Relaxed);
        post.slack.store(report.slack, Ordering::Relaxed);
        post.disturbed.store(report.disturbed, Ordering::Relaxed);
        post.moved.store(report.moved, Ordering::Relaxed);
        post.done.store(number, Ordering::Release);
    }

    /// What was wrong with the last batch.
    pub fn flaws(&self) -> Flaws {
        self.reports().fold(Flaws::default(), |flaws, report| Flaws {
            disturbed: flaws.disturbed | report.disturbed,
            moved: flaws.moved | report.moved,
        })
    }

    /// Announces that a thread has classified its part of batch `number`, and waits for the other threads.
    pub fn counted(&self, thread: usize, number: u64) -> Result<(), Broken> {
        self.posts[thread].counted.store(number, Ordering::Release);
        self.all(|post| &post.counted, number)
    }

    /// Reports of the last batch, in thread order.
    pub fn reports(&self) -> impl Iterator<Item = Report> {
        self.posts.iter().map(|post| Report {
            end: post.end.load(Ordering::Relaxed),
            late: post.late.load(Ordering::Relaxed),
            slack: post.slack.load(Ordering::Relaxed),
            disturbed: post.disturbed.load(Ordering::Relaxed),
            moved: post.moved.load(Ordering::Relaxed),
        })
    }

    /// A number that grows with every batch that a thread runs, whether the batch counts or is discarded. Any
    /// thread may call this at any time.
    pub fn progress(&self) -> u64 {
        self.posts.iter().map(|post| post.done.load(Ordering::Relaxed)).sum()
    }

    /// Total iterations and races counted so far by all threads. Any thread may call this at any time.
    pub fn sums(&self) -> (u64, u64) {
        let sum = |of: fn(&Post) -> &AtomicU64| self.posts.iter().map(|post| of(post).load(Ordering::Relaxed)).sum();
        (sum(|post| &post.iterations), sum(|post| &post.races))
    }

    /// Makes all current and future waits return [`Broken`].
    pub fn break_up(&self) {
        self.batch.broken.store(true, Ordering::Relaxed);
    }

    /// Waits until the field `with` of every thread has reached batch `number`.
    fn all(&self, with: fn(&Post) -> &AtomicU64, number: u64) -> Result<(), Broken> {
        self.posts.iter().try_for_each(|post| self.until(|| with(post).load(Ordering::Acquire) == number))
    }

    /// Waits until a condition holds.
    #[inline]
    pub fn until(&self, seen: impl Fn() -> bool) -> Result<(), Broken> {
        let mut spins = 0_u32;
        while !seen() {
            if self.batch.broken.load(Ordering::Relaxed) {
                return Err(Broken);
            }
            spins += 1;
            if spins.is_multiple_of(self.spins) {
                std::thread::yield_now();
            } else {
                std::hint::spin_loop();
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BATCH: Batch =
        Batch { count: 5, start: 6, period: 7, skew: 8, region: 9, prefetch: true, discardable: false };

    #[test]
    fn all_run_what_was_given_out_and_nobody_goes_on_before_all_are_done() {
        let settled =
            |number: u64| number.is_multiple_of(7).then_some(if number.is_multiple_of(2) { 0 } else { Slot::MAX });
        for own_cpus in [true, false] {
            let (rendezvous, run) = (Rendezvous::new(3, own_cpus), AtomicU64::new(0));
            std::thread::scope(|scope| {
                for thread in 0..3 {
                    let (rendezvous, run) = (&rendezvous, &run);
                    scope.spawn(move || {
                        for number in 1..200 {
                            rendezvous.ready(thread, number, number - 1, 2);
                            let batch = Batch { start: number, ..BATCH };
                            if thread == 0 {
                                rendezvous.assemble(number).unwrap();
                                assert_eq!(rendezvous.sums(), (3 * (number - 1), 6));
                                rendezvous.give_out(number, Order { step: Step::Run(batch), settle: settled(number) });
                            } else {
                                let order = Order { step: Step::Run(batch), settle: settled(number) };
                                assert_eq!(rendezvous.take(number), Ok(order));
                            }
                            run.fetch_add(1, Ordering::Relaxed);
                            let (disturbed, moved) = (thread == 2 && number == 7, thread == 1 && number == 9);
                            let report = Report { end: number, late: 1, slack: -3, disturbed, moved };
                            let flaws = Flaws { disturbed: number == 7, moved: number == 9 };
                            assert_eq!(rendezvous.done(thread, number, report), Ok(flaws));
                            rendezvous.counted(thread, number).unwrap();
                            assert_eq!(run.load(Ordering::Relaxed), 3 * number);
                            assert!(rendezvous.reports().all(|report| (report.end, report.slack) == (number, -3)));
                        }
                        for (number, step) in [(200, Step::Look), (201, Step::End)] {
                            let order = Order { step, settle: settled(number) };
                            rendezvous.ready(thread, number, 0, 0);
                            if thread == 0 {
                                rendezvous.assemble(number).unwrap();
                                rendezvous.give_out(number, order);
                            } else {
                                assert_eq!(rendezvous.take(number), Ok(order));
                            }
                        }
                    });
                }
            });
        }
    }

    #[test]
    fn a_batch_counts_unless_it_is_disturbed_and_may_go_or_a_thread_was_moved() {
        let of = |discardable, disturbed, moved| Batch { discardable, ..BATCH }.kept(Flaws { disturbed, moved });
        assert!(of(true, false, false) && of(false, false, false) && of(false, true, false));
        assert!(!of(true, true, false) && !of(true, false, true) && !of(false, false, true) && !of(false, true, true));
    }

    #[test]
    fn every_batch_that_a_thread_ran_is_progress() {
        let rendezvous = Rendezvous::new(2, true);
        assert_eq!(rendezvous.progress(), 0);
        for (thread, number, progress) in [(0, 1, 1), (1, 1, 2), (1, 2, 3)] {
            rendezvous.say_done(thread, number, Report { disturbed: true, moved: true, ..Report::default() });
            assert_eq!(rendezvous.progress(), progress);
        }
        assert_eq!(rendezvous.flaws(), Flaws { disturbed: true, moved: true });
    }

    #[test]
    fn a_broken_meeting_lets_everyone_go() {
        let rendezvous = Rendezvous::new(2, true);
        std::thread::scope(|scope| {
            let waiter = scope.spawn(|| rendezvous.take(1));
            let other = scope.spawn(|| rendezvous.done(1, 1, Report::default()));
            rendezvous.break_up();
            assert_eq!(waiter.join().unwrap(), Err(Broken));
            assert_eq!(other.join().unwrap(), Err(Broken));
            assert_eq!(rendezvous.assemble(1), Err(Broken));
        });
    }
}
