//! The clock that paces instances: a counter every CPU can read in user space.

mod calibrate;
mod check;
mod probe;

pub use calibrate::Calibration;
pub use check::ClockCheck;
pub use probe::require_counter;

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

/// Reads the counter of this CPU, in ticks.
#[inline]
pub fn now() -> u64 {
    read()
}

/// Reads the counter after every earlier load and before every later store, so that a reading is between what was seen before it and what
/// others see after it.
pub(super) fn ordered_now() -> u64 {
    order();
    let ticks = read();
    order();
    ticks
}

/// Neither loads nor the counter are read across it in either direction.
#[inline]
fn order() {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: SSE2 is in every x86-64. LFENCE waits for all earlier instructions and holds up all later ones; RDTSC alone is not ordered
    // (Intel SDM vol. 2B, "RDTSC"; AMD since Linux sets DE_CFG bit 1).
    unsafe {
        std::arch::x86_64::_mm_lfence()
    };
    #[cfg(target_arch = "aarch64")]
    // SAFETY: a barrier. CNTVCT may be read out of order with what is before and after unless ISB stands between (Arm ARM D12.2.1).
    unsafe {
        std::arch::asm!("isb", options(nostack, preserves_flags))
    };
    #[cfg(target_arch = "powerpc64")]
    // SAFETY: barriers. sync completes earlier loads, isync keeps what follows from beginning before.
    unsafe {
        std::arch::asm!("sync", "isync", options(nostack, preserves_flags))
    };
    #[cfg(target_arch = "riscv64")]
    // SAFETY: a barrier. Reading the time CSR counts as device input (unprivileged ISA, "Zicsr", CSR access ordering), so that `i` orders it.
    unsafe {
        std::arch::asm!("fence iorw, iorw", options(nostack, preserves_flags))
    };
}

#[cfg(target_arch = "x86_64")]
fn read() -> u64 {
    // SAFETY: rdtsc exists on every x86-64; where it is forbidden (prctl PR_SET_TSC) `require_counter` has ended the program before.
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

    /// Measures the host's clock; takes about 20 ms.
    pub fn calibrate() -> Clock {
        Calibration::new().clock
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
