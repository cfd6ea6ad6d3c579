//! The clock that paces instances: a counter every CPU can read in user space.

use std::time::{Duration, Instant};

/// The host's counter and how fast it runs.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Clock {
    /// Ticks per second, calibrated against the system's monotonic clock.
    pub frequency_hz: f64,
    /// The smallest step seen between two different readings, in ticks.
    pub resolution_ticks: u64,
    /// What one reading costs, in ticks.
    pub read_ticks: u64,
}

/// How long to calibrate. Two readings of the system's clock are off by well under a microsecond together, so the
/// frequency is good to about one part in 10,000.
const CALIBRATION: Duration = Duration::from_millis(10);

/// Reads the counter of this CPU, in ticks.
#[inline]
pub fn now() -> u64 {
    read()
}

#[cfg(target_arch = "x86_64")]
fn read() -> u64 {
    // SAFETY: rdtsc exists on every x86-64; a system that forbids it to user space (prctl PR_SET_TSC) ends the process.
    unsafe { std::arch::x86_64::_rdtsc() }
}

/// Until this architecture's counter is read directly: nanoseconds of the system's monotonic clock.
#[cfg(not(target_arch = "x86_64"))]
fn read() -> u64 {
    use std::sync::OnceLock;
    static START: OnceLock<Instant> = OnceLock::new();
    START.get_or_init(Instant::now).elapsed().as_nanos() as u64
}

impl Clock {
    /// The counter's name for people.
    pub const NAME: &str = if cfg!(target_arch = "x86_64") { "TSC" } else { "monotonic" };

    /// Measures the host's clock; takes about 10 ms.
    pub fn calibrate() -> Clock {
        let (start, start_ticks) = (Instant::now(), now());
        let mut previous = start_ticks;
        let (mut readings, mut resolution) = (0_u64, u64::MAX);
        let elapsed = loop {
            // In blocks, so that the system's clock costs little beside the counter.
            for _ in 0..64 {
                let ticks = now();
                if ticks > previous {
                    resolution = resolution.min(ticks - previous);
                }
                previous = ticks;
            }
            readings += 64;
            let elapsed = start.elapsed();
            if elapsed >= CALIBRATION {
                break elapsed;
            }
        };
        let ticks = now().saturating_sub(start_ticks).max(1);
        Clock {
            frequency_hz: ticks as f64 / elapsed.as_secs_f64(),
            resolution_ticks: resolution,
            read_ticks: (ticks / readings).max(1),
        }
    }

    /// The counter now, in ticks.
    #[inline]
    pub fn now(&self) -> u64 {
        now()
    }

    /// Nanoseconds to ticks, rounded.
    pub fn ticks(&self, ns: f64) -> f64 {
        (ns * self.frequency_hz / 1e9).round()
    }

    /// Ticks to nanoseconds.
    pub fn ns(&self, ticks: f64) -> f64 {
        ticks * 1e9 / self.frequency_hz
    }
}
