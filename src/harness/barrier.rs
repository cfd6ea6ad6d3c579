//! A barrier that spins, because going to sleep and waking up takes far longer than a batch.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use crossbeam_utils::CachePadded;

/// How long to spin before offering the CPU to others: long against a batch's imbalance, short against a time slice.
const SPINS_BEFORE_YIELD: u32 = 20_000;

/// A reusable barrier for a fixed number of threads.
#[derive(Debug)]
pub struct SpinBarrier {
    threads: usize,
    arrived: CachePadded<AtomicUsize>,
    generation: CachePadded<AtomicUsize>,
    broken: CachePadded<AtomicBool>,
}

/// A thread of the group has gone and the barrier will never open again.
#[derive(Debug, PartialEq, Eq)]
pub struct Broken;

impl SpinBarrier {
    /// A barrier that opens when `threads` threads have arrived.
    pub fn new(threads: usize) -> SpinBarrier {
        SpinBarrier {
            threads,
            arrived: CachePadded::new(AtomicUsize::new(0)),
            generation: CachePadded::new(AtomicUsize::new(0)),
            broken: CachePadded::new(AtomicBool::new(false)),
        }
    }

    /// Waits for the others. The last to arrive runs `last` before anyone goes on; everything done before the barrier
    /// by any thread, and by `last`, is visible to all after it.
    ///
    /// # Errors
    /// [`Broken`] if a thread has called [`SpinBarrier::break_up`].
    pub fn wait(&self, last: impl FnOnce()) -> Result<(), Broken> {
        let generation = self.generation.load(Ordering::Acquire);
        if self.arrived.fetch_add(1, Ordering::AcqRel) + 1 == self.threads {
            self.arrived.store(0, Ordering::Relaxed);
            last();
            self.generation.store(generation.wrapping_add(1), Ordering::Release);
        } else {
            let mut spins = 0_u32;
            while self.generation.load(Ordering::Acquire) == generation {
                if self.broken.load(Ordering::Relaxed) {
                    return Err(Broken);
                }
                spins += 1;
                if spins.is_multiple_of(SPINS_BEFORE_YIELD) {
                    std::thread::yield_now();
                } else {
                    std::hint::spin_loop();
                }
            }
        }
        if self.broken.load(Ordering::Relaxed) { Err(Broken) } else { Ok(()) }
    }

    /// Lets everyone who waits, now or later, go with an error.
    pub fn break_up(&self) {
        self.broken.store(true, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::AtomicU64;

    #[test]
    fn nobody_passes_before_all_have_arrived() {
        let (barrier, count) = (SpinBarrier::new(3), AtomicU64::new(0));
        std::thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| {
                    for round in 1..200 {
                        count.fetch_add(1, Ordering::Relaxed);
                        barrier.wait(|| assert_eq!(count.load(Ordering::Relaxed), 3 * round)).unwrap();
                    }
                });
            }
        });
    }

    #[test]
    fn a_broken_barrier_lets_everyone_go() {
        let barrier = SpinBarrier::new(2);
        std::thread::scope(|scope| {
            let waiter = scope.spawn(|| barrier.wait(|| ()));
            barrier.break_up();
            assert_eq!(waiter.join().unwrap(), Err(Broken));
        });
    }
}
