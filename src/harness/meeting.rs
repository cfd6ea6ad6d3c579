//! Where the threads of a run meet, two or three times a batch. They spin, because going to sleep and waking up takes far longer than a batch.
//!
//! P0 leads: it waits until the others are ready, and writes the next batch down. All that they need to know of it lies in one cache line, and all
//! that a thread says of itself in one of its own, so that a meeting moves as few lines as it can. At the end of a batch there is nothing to
//! decide, so each thread waits for each of the others.
//!
//! Who writes what, and when it may be read:
//!
//! * the plan of batch n by P0, after all are ready for it and before its number; read by the others once they see the number;
//! * what a thread says of batch n by that thread, before it says that it is done with n; read by all from then until they are ready for n + 1;
//! * what it has counted by that thread, before it says that it is ready for n + 1; read by P0 before it gives that number out.

use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU64, Ordering};

use crossbeam_utils::CachePadded;

use super::convert::size;

/// How long to spin before offering the CPU to others, where each thread has one: long against a batch's imbalance, short against a time
/// slice.
const SPINS: u32 = 20_000;
/// The same where threads share a CPU: who waits keeps the other from coming.
const SPINS_SHARED: u32 = 100;

/// A batch to run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Batch {
    /// Instances.
    pub count: usize,
    /// The clock at which it begins, in ticks.
    pub start: u64,
    /// Ticks from group to group.
    pub period: u64,
    /// Which skew.
    pub skew: usize,
    /// Which stretch of memory.
    pub stretch: usize,
    /// Whether lines are fetched ahead.
    pub warm: bool,
    /// Whether it is thrown away if it turns out disturbed.
    pub discardable: bool,
}

/// What a thread says of a batch that it has run.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Report {
    /// The clock when it was done, in ticks.
    pub end: u64,
    /// Groups that began late.
    pub late: u64,
    /// How many ticks before its time it was there to begin; negative if it came too late.
    pub early: i32,
    /// Whether it lost its CPU.
    pub disturbed: bool,
    /// Whether it is on another CPU than its own.
    pub moved: bool,
}

/// What was wrong with a batch, by what all threads say of it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Flaws {
    /// A thread lost its CPU.
    pub disturbed: bool,
    /// A thread was not on its CPU.
    pub moved: bool,
}

impl Batch {
    /// Whether it counts. All threads decide by the same, so that all count it or none.
    pub fn kept(&self, flaws: Flaws) -> bool {
        !(flaws.moved || flaws.disturbed && self.discardable)
    }
}

/// A thread has gone and the others need not wait for it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Broken;

/// The plan's line: 51 bytes.
#[derive(Debug, Default)]
#[repr(C)]
struct Plan {
    /// The number of the batch, from 1; written last.
    number: AtomicU64,
    /// 0 ends the run.
    count: AtomicU64,
    start: AtomicU64,
    period: AtomicU64,
    skew: AtomicU64,
    stretch: AtomicU64,
    warm: AtomicBool,
    discardable: AtomicBool,
    broken: AtomicBool,
}

/// A thread's line: 62 bytes.
#[derive(Debug, Default)]
#[repr(C)]
struct Post {
    /// The batch that it waits for.
    ready: AtomicU64,
    /// The batch that it has run.
    done: AtomicU64,
    /// The batch that it has counted, where others wait for that.
    counted: AtomicU64,
    end: AtomicU64,
    late: AtomicU64,
    iterations: AtomicU64,
    races: AtomicU64,
    early: AtomicI32,
    disturbed: AtomicBool,
    moved: AtomicBool,
}

/// The place, for a fixed number of threads.
#[derive(Debug)]
pub(super) struct Meeting {
    plan: CachePadded<Plan>,
    posts: Vec<CachePadded<Post>>,
    spins: u32,
}

impl Meeting {
    /// For so many threads, each on a CPU of its own or not.
    pub fn new(threads: usize, own_cpus: bool) -> Meeting {
        Meeting {
            plan: CachePadded::default(),
            posts: (0..threads).map(|_| CachePadded::default()).collect(),
            spins: if own_cpus { SPINS } else { SPINS_SHARED },
        }
    }

    /// Says that a thread is ready for batch `number`, from 1, and what it has counted in all so far.
    pub fn ready(&self, thread: usize, number: u64, iterations: u64, races: u64) {
        let post = &self.posts[thread];
        post.iterations.store(iterations, Ordering::Relaxed);
        post.races.store(races, Ordering::Relaxed);
        post.ready.store(number, Ordering::Release);
    }

    /// Waits until all are ready for batch `number`. P0 calls it, before [`Meeting::give_out`].
    ///
    /// # Errors
    /// [`Broken`] after [`Meeting::break_up`]; so do the others.
    pub fn assemble(&self, number: u64) -> Result<(), Broken> {
        self.all(|post| &post.ready, number)
    }

    /// Gives batch `number` out; nothing ends the run.
    pub fn give_out(&self, number: u64, batch: Option<Batch>) {
        let plan = &self.plan;
        if let Some(batch) = batch {
            plan.start.store(batch.start, Ordering::Relaxed);
            plan.period.store(batch.period, Ordering::Relaxed);
            plan.skew.store(batch.skew as u64, Ordering::Relaxed);
            plan.stretch.store(batch.stretch as u64, Ordering::Relaxed);
            plan.warm.store(batch.warm, Ordering::Relaxed);
            plan.discardable.store(batch.discardable, Ordering::Relaxed);
        }
        plan.count.store(batch.map_or(0, |batch| batch.count as u64), Ordering::Relaxed);
        plan.number.store(number, Ordering::Release);
    }

    /// Waits for batch `number`; nothing ends the run.
    pub fn take(&self, number: u64) -> Result<Option<Batch>, Broken> {
        let plan = &self.plan;
        self.until(|| plan.number.load(Ordering::Acquire) == number)?;
        let batch = Batch {
            count: size(plan.count.load(Ordering::Relaxed)),
            start: plan.start.load(Ordering::Relaxed),
            period: plan.period.load(Ordering::Relaxed),
            skew: size(plan.skew.load(Ordering::Relaxed)),
            stretch: size(plan.stretch.load(Ordering::Relaxed)),
            warm: plan.warm.load(Ordering::Relaxed),
            discardable: plan.discardable.load(Ordering::Relaxed),
        };
        Ok((batch.count > 0).then_some(batch))
    }

    /// Says that a thread has run batch `number`, and waits for the others; what is wrong with the batch.
    pub fn done(&self, thread: usize, number: u64, report: Report) -> Result<Flaws, Broken> {
        self.say_done(thread, number, report);
        self.all(|post| &post.done, number)?;
        Ok(self.flaws())
    }

    /// The first half of [`Meeting::done`].
    pub fn say_done(&self, thread: usize, number: u64, report: Report) {
        let post = &self.posts[thread];
        post.end.store(report.end, Ordering::Relaxed);
        post.late.store(report.late, Ordering::Relaxed);
        post.early.store(report.early, Ordering::Relaxed);
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

    /// Says that a thread has counted its share of batch `number`, and waits for the others.
    pub fn counted(&self, thread: usize, number: u64) -> Result<(), Broken> {
        self.posts[thread].counted.store(number, Ordering::Release);
        self.all(|post| &post.counted, number)
    }

    /// What the threads say of the last batch, in order.
    pub fn reports(&self) -> impl Iterator<Item = Report> {
        self.posts.iter().map(|post| Report {
            end: post.end.load(Ordering::Relaxed),
            late: post.late.load(Ordering::Relaxed),
            early: post.early.load(Ordering::Relaxed),
            disturbed: post.disturbed.load(Ordering::Relaxed),
            moved: post.moved.load(Ordering::Relaxed),
        })
    }

    /// A number that grows with every batch that a thread has run, whether it counts or is thrown away. Anyone may ask at any time.
    pub fn progress(&self) -> u64 {
        self.posts.iter().map(|post| post.done.load(Ordering::Relaxed)).sum()
    }

    /// Iterations and races counted so far, by all. Anyone may ask at any time.
    pub fn sums(&self) -> (u64, u64) {
        let sum = |of: fn(&Post) -> &AtomicU64| self.posts.iter().map(|post| of(post).load(Ordering::Relaxed)).sum();
        (sum(|post| &post.iterations), sum(|post| &post.races))
    }

    /// Lets everyone who waits, now or later, go with an error.
    pub fn break_up(&self) {
        self.plan.broken.store(true, Ordering::Relaxed);
    }

    /// Waits until all have come to batch `number` with something.
    fn all(&self, with: fn(&Post) -> &AtomicU64, number: u64) -> Result<(), Broken> {
        self.posts.iter().try_for_each(|post| self.until(|| with(post).load(Ordering::Acquire) == number))
    }

    fn until(&self, seen: impl Fn() -> bool) -> Result<(), Broken> {
        let mut spins = 0_u32;
        while !seen() {
            if self.plan.broken.load(Ordering::Relaxed) {
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

    const BATCH: Batch = Batch { count: 5, start: 6, period: 7, skew: 8, stretch: 9, warm: true, discardable: false };

    #[test]
    fn all_run_what_was_given_out_and_nobody_goes_on_before_all_are_done() {
        for own_cpus in [true, false] {
            let (meeting, run) = (Meeting::new(3, own_cpus), AtomicU64::new(0));
            std::thread::scope(|scope| {
                for thread in 0..3 {
                    let (meeting, run) = (&meeting, &run);
                    scope.spawn(move || {
                        for number in 1..200 {
                            meeting.ready(thread, number, number - 1, 2);
                            let batch = Batch { start: number, ..BATCH };
                            if thread == 0 {
                                meeting.assemble(number).unwrap();
                                assert_eq!(meeting.sums(), (3 * (number - 1), 6));
                                meeting.give_out(number, Some(batch));
                            } else {
                                assert_eq!(meeting.take(number), Ok(Some(batch)));
                            }
                            run.fetch_add(1, Ordering::Relaxed);
                            let (disturbed, moved) = (thread == 2 && number == 7, thread == 1 && number == 9);
                            let report = Report { end: number, late: 1, early: -3, disturbed, moved };
                            let flaws = Flaws { disturbed: number == 7, moved: number == 9 };
                            assert_eq!(meeting.done(thread, number, report), Ok(flaws));
                            meeting.counted(thread, number).unwrap();
                            assert_eq!(run.load(Ordering::Relaxed), 3 * number);
                            assert!(meeting.reports().all(|report| (report.end, report.early) == (number, -3)));
                        }
                        meeting.ready(thread, 200, 0, 0);
                        if thread == 0 {
                            meeting.assemble(200).unwrap();
                            meeting.give_out(200, None);
                        } else {
                            assert_eq!(meeting.take(200), Ok(None));
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
        let meeting = Meeting::new(2, true);
        assert_eq!(meeting.progress(), 0);
        for (thread, number, progress) in [(0, 1, 1), (1, 1, 2), (1, 2, 3)] {
            meeting.say_done(thread, number, Report { disturbed: true, moved: true, ..Report::default() });
            assert_eq!(meeting.progress(), progress);
        }
        assert_eq!(meeting.flaws(), Flaws { disturbed: true, moved: true });
    }

    #[test]
    fn a_broken_meeting_lets_everyone_go() {
        let meeting = Meeting::new(2, true);
        std::thread::scope(|scope| {
            let waiter = scope.spawn(|| meeting.take(1));
            let other = scope.spawn(|| meeting.done(1, 1, Report::default()));
            meeting.break_up();
            assert_eq!(waiter.join().unwrap(), Err(Broken));
            assert_eq!(other.join().unwrap(), Err(Broken));
            assert_eq!(meeting.assemble(1), Err(Broken));
        });
    }
}
