//! The clock that paces instances: a counter every CPU can read in user space.

use std::time::{Duration, Instant};

/// The host's counter and how fast it runs.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
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

#[cfg(target_arch = "aarch64")]
fn read() -> u64 {
    let ticks: u64;
    // SAFETY: reads a counter that Linux lets user space read (the vDSO does so). Not `pure`, so that two readings are
    // not merged, and with memory, so that it is not moved over accesses.
    unsafe { std::arch::asm!("mrs {}, cntvct_el0", out(reg) ticks, options(nostack, preserves_flags)) };
    ticks
}

#[cfg(target_arch = "powerpc64")]
fn read() -> u64 {
    let ticks: u64;
    // SAFETY: reads the timebase, which user space may. Options as on arm64.
    unsafe { std::arch::asm!("mfspr {}, 268", out(reg) ticks, options(nostack, preserves_flags)) };
    ticks
}

#[cfg(target_arch = "riscv64")]
fn read() -> u64 {
    let ticks: u64;
    // SAFETY: reads the time CSR, which Linux lets user space read. Options as on arm64.
    unsafe { std::arch::asm!("rdtime {}", out(reg) ticks, options(nostack, preserves_flags)) };
    ticks
}

/// On other architectures nothing runs; this lets the program build, list and show there.
#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64", target_arch = "powerpc64", target_arch = "riscv64")))]
fn read() -> u64 {
    0
}

impl Clock {
    /// The counter's name for people.
    pub const NAME: &str = if cfg!(target_arch = "x86_64") {
        "TSC"
    } else if cfg!(target_arch = "aarch64") {
        "CNTVCT_EL0"
    } else if cfg!(target_arch = "powerpc64") {
        "timebase"
    } else {
        "time CSR"
    };
    /// The coarsest clock that can hold threads within a race's window: windows are some tens of nanoseconds wide.
    const FINE_ENOUGH_NS: f64 = 25.0;

    /// Whether the clock is fine enough to pace instances by. One that is not is better left alone: its steps are wider
    /// than the races looked for.
    pub fn can_pace(&self) -> bool {
        self.ns(self.resolution_ticks as f64) <= Clock::FINE_ENOUGH_NS
    }

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
