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
        let (ticks, count) = (ticks as f64, count.max(1) as f64);
        if self.usual == 0.0 {
            self.usual = ticks / count;
        }
        let over_usual = (ticks - UNUSUAL * self.usual * count) / self.clock.frequency_hz;
        let over = planned.map_or(over_usual, |planned| (ticks - planned as f64) / self.clock.frequency_hz);
        let disturbed = over >= SUSPICIOUS && (self.switched() || over.min(over_usual) > STOLEN);
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

    #[test]
    fn what_is_late_without_a_reason_is_disturbed_only_if_very_late() {
        let clock = Clock { frequency_hz: 1e9, resolution_ticks: 1, read_ticks: 20 };
        let mut watcher = Watcher::new(clock);
        assert!(!watcher.batch(100_000, Some(100_000), 1000) && !watcher.batch(50_000, Some(100_000), 1000));
        assert!(watcher.batch(1_100_000, Some(100_000), 1000), "a millisecond late");
        assert!(!watcher.batch(120_000, None, 1000));
        assert!(watcher.batch(1_000_000, None, 1000), "ten times what is usual");
        assert!(!watcher.batch(100_000, None, 1000), "and what is usual stays");
        // A machine that has become slower for good.
        let thrown_away = (0..1000).filter(|_| watcher.batch(1_000_000, None, 1000)).count();
        assert!((10..60).contains(&thrown_away), "{thrown_away}");
        // A period that nobody can keep.
        let mut watcher = Watcher::new(clock);
        assert!((0..10).all(|_| !watcher.batch(1_000_000, Some(1000), 1000)));
    }
}
