//! Noticing that a thread lost its CPU in the middle of a batch.
//!
//! The clock says that a batch took much longer than it should; the kernel's count of context switches says why. A batch in which one side
//! stood still measures nothing about the other, so it is thrown away and counted.

use crate::machine::Clock;

/// A batch that ends this much after it should is looked at, in seconds: long against a line transfer, short against a time slice.
const SUSPICIOUS: f64 = 20e-6;
/// One that ends this much after it should is disturbed whatever the kernel says: a hypervisor that takes the CPU tells nobody.
const STOLEN: f64 = 300e-6;
/// A free-running batch should take no more than this many times what is usual.
const UNUSUAL: f64 = 2.0;
/// How fast "usual" follows, per batch: a machine that is ten times slower is what is usual after some fifty.
const FOLLOW: f64 = 0.05;

/// Watches one thread.
#[derive(Debug)]
pub struct Watcher {
    clock: Clock,
    /// Involuntary context switches at the last look.
    switches: i64,
    /// Usual ticks per free-running instance; 0 at first.
    usual: f64,
}

impl Watcher {
    /// Begins to watch the calling thread.
    pub fn new(clock: Clock) -> Watcher {
        Watcher { clock, switches: switches(), usual: 0.0 }
    }

    /// Whether a batch of `count` instances that took `ticks` was disturbed. It was to take `planned` if it was paced; but a period shorter
    /// than the threads can keep says nothing, so what is usual counts as well.
    pub fn batch(&mut self, ticks: u64, planned: Option<u64>, count: usize) -> bool {
        self.judge(ticks, planned, count, Watcher::switched)
    }

    /// As `batch`; `switched` says whether the kernel took the CPU away since it was last asked, which it is where the batch was late.
    fn judge(
        &mut self,
        ticks: u64,
        planned: Option<u64>,
        count: usize,
        switched: impl FnOnce(&mut Watcher) -> bool,
    ) -> bool {
        let (ticks, count) = (ticks as f64, count.max(1) as f64);
        if self.usual == 0.0 {
            self.usual = ticks / count;
        }
        let over_usual = (ticks - UNUSUAL * self.usual * count) / self.clock.frequency_hz;
        let over = planned.map_or(over_usual, |planned| (ticks - planned as f64) / self.clock.frequency_hz);
        let disturbed = over >= SUSPICIOUS && (switched(self) || over.min(over_usual) > STOLEN);
        // No faster than this, so that one bad batch is forgotten and a machine that became slower for good is not.
        self.usual += FOLLOW * ((ticks / count).min(UNUSUAL * self.usual) - self.usual);
        disturbed
    }

    fn switched(&mut self) -> bool {
        let now = switches();
        now > std::mem::replace(&mut self.switches, now)
    }
}

/// How often the calling thread was made to give its CPU up.
#[allow(clippy::unnecessary_cast)] // c_long is narrower on 32-bit hosts
fn switches() -> i64 {
    let mut usage = std::mem::MaybeUninit::<libc::rusage>::zeroed();
    // SAFETY: getrusage writes a whole rusage, and all of its bytes are integers, for which zero is a value.
    unsafe {
        libc::getrusage(libc::RUSAGE_THREAD, usage.as_mut_ptr());
        usage.assume_init().ru_nivcsw as i64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CLOCK: Clock = Clock { frequency_hz: 1e9, resolution_ticks: 1, read_ticks: 20 };

    /// The kernel took no CPU away. What it really did while a test ran is chance, so tests say it.
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
        assert!(!watcher.judge(300_000, Some(100_000), 1000, kept), "a fifth of a millisecond late");
        assert!(watcher.judge(1_100_000, Some(100_000), 1000, kept), "a millisecond late");
        assert!(!watcher.judge(120_000, None, 1000, kept));
        assert!(watcher.judge(1_000_000, None, 1000, kept), "ten times what is usual");
        assert!(!watcher.judge(100_000, None, 1000, kept), "and what is usual stays");
        // A machine that has become slower for good.
        let thrown_away = (0..1000).filter(|_| watcher.judge(1_000_000, None, 1000, kept)).count();
        assert!((10..60).contains(&thrown_away), "{thrown_away}");
        // A period that nobody can keep.
        let mut watcher = Watcher::new(CLOCK);
        assert!((0..10).all(|_| !watcher.judge(1_000_000, Some(1000), 1000, kept)));
    }

    #[test]
    fn a_lost_cpu_disturbs_what_was_late_and_nothing_else() {
        let mut watcher = Watcher::new(CLOCK);
        assert!(!watcher.judge(100_000, Some(100_000), 1000, lost), "in time, whatever happened");
        assert!(!watcher.judge(110_000, Some(100_000), 1000, lost), "10 us are not suspicious");
        assert!(watcher.judge(130_000, Some(100_000), 1000, lost));
        assert!(!watcher.judge(130_000, None, 1000, lost), "within twice what is usual");
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
                    // Neither stops before both have seen it, so there is always one to lose the CPU to.
                    let began = std::time::Instant::now();
                    while !watcher.switched() {
                        assert!(
                            began.elapsed() < std::time::Duration::from_secs(60),
                            "a minute of one CPU between two, and never lost it"
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
