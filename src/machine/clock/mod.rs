//! The clock that paces instances: a counter that every CPU can read in user space.

mod calibrate;
mod check;
mod edges;
mod probe;

pub use calibrate::Calibration;
pub use check::ClockCheck;
pub use edges::Edges;
pub use probe::require_counter;

use crate::arch::{Arch, native};
use crate::units::{Nanos, Ticks};

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
    native::read_counter()
}

/// Reads the counter after every earlier load and before every later store.
///
/// So a reading lies between what this thread saw before it and what other threads see after it.
pub fn ordered_now() -> u64 {
    native::order_counter();
    let ticks = now();
    native::order_counter();
    ticks
}

impl Clock {
    /// The name of the counter for display.
    pub const NAME: &str = match Arch::host() {
        Some(arch) => arch.facts().counter.name,
        None => "none",
    };
    /// Measures the clock of the host. This takes about 20 ms.
    pub fn calibrate() -> Clock {
        Calibration::new().clock
    }

    /// The current value of the counter, in ticks.
    #[inline]
    pub fn now(&self) -> u64 {
        now()
    }

    /// Converts a time to ticks, rounded. A time that is too long saturates.
    pub fn ticks(&self, time: Nanos) -> Ticks {
        Ticks((time.0 * self.frequency_hz / 1e9).round() as i64)
    }

    /// Converts ticks to nanoseconds.
    pub fn nanos(&self, ticks: Ticks) -> Nanos {
        self.nanos_of(ticks.0 as f64)
    }

    /// Converts a number of ticks with a fraction, such as a mean, to nanoseconds.
    pub fn nanos_of(&self, ticks: f64) -> Nanos {
        Nanos(ticks * 1e9 / self.frequency_hz)
    }
}
