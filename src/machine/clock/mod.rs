//! The clock that paces instances: a counter that every CPU can read in user space.

mod calibrate;
mod check;
mod probe;

pub use calibrate::Calibration;
pub use check::ClockCheck;
pub use probe::require_counter;

/// The frequency, resolution and cost of the host's counter.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
pub struct Clock {
    /// Ticks per second, calibrated against the system's monotonic clock.
    pub frequency_hz: f64,
    /// The smallest step seen between two different readings, in ticks.
    pub resolution_ticks: u64,
    /// The cost of one reading, in ticks.
    pub read_ticks: u64,
}

/// Reads the counter of this CPU, in ticks.
#[inline]
pub fn now() -> u64 {
    read()
}

/// Reads the counter after every earlier load and before every later store.
///
/// So a reading lies between what this thread saw before it and what other threads see after it.
pub(super) fn ordered_now() -> u64 {
    order();
    let ticks = read();
    order();
    ticks
}

/// Orders loads and counter readings: none of them crosses this point in either direction.
#[inline]
fn order() {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: every x86-64 has SSE2. LFENCE waits for all earlier instructions and delays all later ones; RDTSC
    // alone is not ordered (Intel SDM vol. 2B, "RDTSC"; on AMD, Linux makes LFENCE do so by setting DE_CFG bit
    // 1).
    unsafe {
        std::arch::x86_64::_mm_lfence()
    };
    #[cfg(target_arch = "aarch64")]
    // SAFETY: a barrier. Without ISB the CPU may read CNTVCT out of order with earlier and later instructions
    // (Arm ARM D12.2.1).
    unsafe {
        std::arch::asm!("isb", options(nostack, preserves_flags))
    };
    #[cfg(target_arch = "powerpc64")]
    // SAFETY: barriers. sync completes earlier loads; isync keeps later instructions from starting before that.
    unsafe {
        std::arch::asm!("sync", "isync", options(nostack, preserves_flags))
    };
    #[cfg(target_arch = "riscv64")]
    // SAFETY: a barrier. Reading the time CSR counts as device input (unprivileged ISA, "Zicsr", CSR access
    // ordering), so the `i` in the fence orders it.
    unsafe {
        std::arch::asm!("fence iorw, iorw", options(nostack, preserves_flags))
    };
}

#[cfg(target_arch = "x86_64")]
fn read() -> u64 {
    // SAFETY: every x86-64 has rdtsc. If the process may not use it (prctl PR_SET_TSC), `require_counter` has already
    // ended the program.
    unsafe { std::arch::x86_64::_rdtsc() }
}

#[cfg(target_arch = "aarch64")]
fn read() -> u64 {
    let ticks: u64;
    // SAFETY: reads a counter that Linux lets user space read (the vDSO does so). The options leave out `pure`,
    // so that the compiler does not merge two readings, and `nomem`, so that it does not move a reading across
    // memory accesses.
    unsafe { std::arch::asm!("mrs {}, cntvct_el0", out(reg) ticks, options(nostack, preserves_flags)) };
    ticks
}

#[cfg(target_arch = "powerpc64")]
fn read() -> u64 {
    let ticks: u64;
    // SAFETY: reads the timebase, which user space may read. Options as on arm64.
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

/// wakerace runs no test on other architectures. This function lets it build there and offer the commands that
/// run nothing.
#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64", target_arch = "powerpc64", target_arch = "riscv64")))]
fn read() -> u64 {
    0
}

impl Clock {
    /// The name of the counter for display.
    pub const NAME: &str = if cfg!(target_arch = "x86_64") {
        "TSC"
    } else if cfg!(target_arch = "aarch64") {
        "CNTVCT_EL0"
    } else if cfg!(target_arch = "powerpc64") {
        "timebase"
    } else {
        "time CSR"
    };
    /// The coarsest resolution at which pacing helps, in nanoseconds: race windows are some tens of nanoseconds wide.
    const FINE_ENOUGH_NS: f64 = 25.0;

    /// Whether the clock is fine enough to pace instances. The steps of a coarser clock are wider than a race
    /// window, so pacing by it does not help.
    pub fn can_pace(&self) -> bool {
        self.ns(self.resolution_ticks as f64) <= Clock::FINE_ENOUGH_NS
    }

    /// Measures the clock of the host. This takes about 20 ms.
    pub fn calibrate() -> Clock {
        Calibration::new().clock
    }

    /// The current value of the counter, in ticks.
    #[inline]
    pub fn now(&self) -> u64 {
        now()
    }

    /// Converts nanoseconds to ticks, rounded.
    pub fn ticks(&self, ns: f64) -> f64 {
        (ns * self.frequency_hz / 1e9).round()
    }

    /// Converts ticks to nanoseconds.
    pub fn ns(&self, ticks: f64) -> f64 {
        ticks * 1e9 / self.frequency_hz
    }
}
