//! Detects that a thread lost its CPU in the middle of a batch.
//!
//! The clock shows that a batch took much longer than it should. The kernel's count of involuntary context
//! switches shows why. If one thread did not run for part of a batch, the batch measures nothing about the
//! other threads, so it is discarded and counted.

use std::time::Duration;

use crate::machine::Clock;

/// If a batch ends this much too late, its context switches are checked. Long compared with a
/// cache-line transfer, short compared with a scheduler time slice.
const SUSPICIOUS: Duration = Duration::from_micros(20);
/// If a batch ends this much too late, it counts as disturbed without a context switch: when a
/// hypervisor takes the CPU, the guest kernel does not know it.
const STOLEN: Duration = Duration::from_micros(300);
/// A free-running batch is late if it takes more than this many times the usual time.
const UNUSUAL: f64 = 2.0;
/// Weight of each batch in the moving average of the usual time. If the machine becomes ten times slower, the
/// average reaches the new level after about 50 batches.
const FOLLOW: f64 = 0.05;

/// Detects disturbances of one thread.
#[derive(Debug)]
pub struct Watcher {
    clock: Clock,
    /// Involuntary context switches at the last check.
    switches: i64,
    /// Usual ticks per instance (moving average); 0 before the first batch.
    usual_ticks: f64,
}

impl Watcher {
    /// Starts watching the calling thread.
    pub fn new(clock: Clock) -> Watcher {
        Watcher { clock, switches: switches(), usual_ticks: 0.0 }
    }

    /// Whether a batch of `count` instances that took `ticks` was disturbed.
    ///
    /// `planned` is the planned duration of a paced batch in ticks. If the period is shorter than the threads
    /// can keep, the plan says nothing about disturbances, so the usual duration counts too.
    pub fn batch(&mut self, ticks: u64, planned: Option<u64>, count: usize) -> bool {
        self.judge(ticks, planned, count, Watcher::switched)
    }

    /// Same as [`Watcher::batch`]. `switched` tells whether the kernel took the CPU away since the last call.
    /// It is called only if the batch was late.
    fn judge(
        &mut self,
        ticks: u64,
        planned: Option<u64>,
        count: usize,
        switched: impl FnOnce(&mut Watcher) -> bool,
    ) -> bool {
        let (ticks, count) = (ticks as f64, count.max(1) as f64);
        if self.usual_ticks == 0.0 {
            self.usual_ticks = ticks / count;
        }
        let over_usual_s = (ticks - UNUSUAL * self.usual_ticks * count) / self.clock.frequency_hz;
        let over_s = planned.map_or(over_usual_s, |planned| (ticks - planned as f64) / self.clock.frequency_hz);
        let disturbed =
            over_s >= SUSPICIOUS.as_secs_f64() && (switched(self) || over_s.min(over_usual_s) > STOLEN.as_secs_f64());
        // One batch changes the average only by a limited amount. A single bad batch is forgotten, and a
        // machine that became slower for good is learned.
        self.usual_ticks += FOLLOW * ((ticks / count).min(UNUSUAL * self.usual_ticks) - self.usual_ticks);
        disturbed
    }

    fn switched(&mut self) -> bool {
        let now = switches();
        now > std::mem::replace(&mut self.switches, now)
    }
}

/// Number of involuntary context switches of the calling thread.
#[allow(clippy::unnecessary_cast)] // c_long is narrower on 32-bit hosts
fn switches() -> i64 {
    let mut usage = std::mem::MaybeUninit::<libc::rusage>::zeroed();
    // SAFETY: getrusage writes a whole rusage. All its fields are integers, for which all-zero bytes are a
    // valid value.
    unsafe {
        libc::getrusage(libc::RUSAGE_THREAD, usage.as_mut_ptr());
        usage.assume_init().ru_nivcsw as i64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CLOCK: Clock = Clock { frequency_hz: 1e9, resolution_ticks: 1, read_ticks: 20 };

    /// Reports no context switch. Tests do not use the real count, because it depends on chance.
    fn kept(_: &mut Watcher) -> bool {
        false
    }

    fn lost(_: &mut Watcher) -> bool {
        true
    }

    #[test]
    fn what_is_late_without_a_reason_is_disturbed_only_if_very_late() {
        let mut watcher = Watcher::new(CLOCK);
        assert!(
            !watcher.judge(100_000, Some(100_000), 1000, kept) && !watcher.judge(50_000, Some(100_000), 1000, kept)
        );
        assert!(!watcher.judge(300_000, Some(100_000), 1000, kept), "0.2 ms late");
        assert!(watcher.judge(1_100_000, Some(100_000), 1000, kept), "1 ms late");
        assert!(!watcher.judge(120_000, None, 1000, kept));
        assert!(watcher.judge(1_000_000, None, 1000, kept), "ten times the usual time");
        assert!(!watcher.judge(100_000, None, 1000, kept), "the usual time has hardly changed");
        // The machine becomes slower for good.
        let thrown_away = (0..1000).filter(|_| watcher.judge(1_000_000, None, 1000, kept)).count();
        assert!((10..60).contains(&thrown_away), "{thrown_away}");
        // A period that no thread can keep.
        let mut watcher = Watcher::new(CLOCK);
        assert!((0..10).all(|_| !watcher.judge(1_000_000, Some(1000), 1000, kept)));
    }

    #[test]
    fn a_lost_cpu_disturbs_what_was_late_and_nothing_else() {
        let mut watcher = Watcher::new(CLOCK);
        assert!(!watcher.judge(100_000, Some(100_000), 1000, lost), "in time, in spite of a context switch");
        assert!(!watcher.judge(110_000, Some(100_000), 1000, lost), "10 us late is not suspicious");
        assert!(watcher.judge(130_000, Some(100_000), 1000, lost));
        assert!(!watcher.judge(130_000, None, 1000, lost), "less than twice the usual time");
        assert!(watcher.judge(300_000, None, 1000, lost));
    }

    #[test]
    fn threads_that_share_a_cpu_are_seen_to_lose_it() {
        let cpu = core_affinity::get_core_ids().expect("a list of CPUs")[0];
        let both = std::sync::Barrier::new(2);
        let seen = std::sync::atomic::AtomicUsize::new(0);
        std::thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    core_affinity::set_for_current(cpu);
                    let mut watcher = Watcher::new(CLOCK);
                    both.wait();
                    // Both threads keep running until both have seen a switch, so there is always another
                    // thread that takes the CPU.
                    let began = std::time::Instant::now();
                    while !watcher.switched() {
                        assert!(
                            began.elapsed() < std::time::Duration::from_secs(60),
                            "two threads shared one CPU for a minute, and no context switch was seen"
                        );
                    }
                    seen.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                    while seen.load(std::sync::atomic::Ordering::Relaxed) < 2 {
                        std::hint::spin_loop();
                    }
                });
            }
        });
    }
}
