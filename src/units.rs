//! Units of time: ticks of the clock that paces instances, and nanoseconds.
//!
//! A reading of the clock's counter stays a `u64`: it is a point in time and not a time. Durations that need no
//! counter are [`std::time::Duration`]s.

use std::ops::{Add, Neg, Sub};
use std::time::Duration;

/// A time in whole ticks of the clock's counter: the difference between two readings. Negative: earlier.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ticks(pub i64);

impl Ticks {
    /// The ticks as an unsigned number; 0 for a negative time.
    pub fn unsigned(self) -> u64 {
        u64::try_from(self.0).unwrap_or(0)
    }
}

impl From<u64> for Ticks {
    /// Saturates at 2^63 - 1 ticks, a century at 3 GHz.
    fn from(ticks: u64) -> Ticks {
        Ticks(i64::try_from(ticks).unwrap_or(i64::MAX))
    }
}

impl Add for Ticks {
    type Output = Ticks;

    fn add(self, other: Ticks) -> Ticks {
        Ticks(self.0 + other.0)
    }
}

impl Sub for Ticks {
    type Output = Ticks;

    fn sub(self, other: Ticks) -> Ticks {
        Ticks(self.0 - other.0)
    }
}

impl Neg for Ticks {
    type Output = Ticks;

    fn neg(self) -> Ticks {
        Ticks(-self.0)
    }
}

/// A time in nanoseconds, with a fraction. Negative: earlier.
#[derive(Debug, Clone, Copy, Default, PartialEq, PartialOrd)]
pub struct Nanos(pub f64);

impl From<Duration> for Nanos {
    fn from(duration: Duration) -> Nanos {
        Nanos(duration.as_secs_f64() * 1e9)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_signed_and_saturate() {
        assert_eq!((Ticks(5).unsigned(), Ticks(-5).unsigned()), (5, 0));
        assert_eq!((Ticks::from(7), Ticks::from(u64::MAX)), (Ticks(7), Ticks(i64::MAX)));
        assert_eq!((Ticks(5) + Ticks(-7), Ticks(5) - Ticks(7), -Ticks(5)), (Ticks(-2), Ticks(-2), Ticks(-5)));
    }

    #[test]
    fn a_duration_is_that_many_nanoseconds() {
        assert_eq!(Nanos::from(Duration::from_micros(3)), Nanos(3000.0));
    }
}
