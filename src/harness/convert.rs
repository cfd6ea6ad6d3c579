//! Conversions between number types. Each function defines what happens to values that do not fit.

/// Converts a count or a time to a whole number, rounded down. Negative values and NaN give 0; values that are
/// too large give `u64::MAX`.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a value that does not fit saturates")]
pub fn whole(value: f64) -> u64 {
    value as u64
}

/// Converts a count of objects in memory to `usize`. It fits, because it was a `usize` before.
pub(super) fn size(count: u64) -> usize {
    usize::try_from(count).expect("a count of objects in memory fits usize")
}

/// Nanoseconds of a duration. Saturates after more than five centuries.
pub(super) fn nanoseconds(duration: std::time::Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_fit_is_taken_to_the_nearest_end() {
        assert_eq!([2.9, -1.0, f64::NAN, 1e30].map(whole), [2, 0, 0, u64::MAX]);
        assert_eq!(nanoseconds(std::time::Duration::MAX), u64::MAX);
        assert_eq!((nanoseconds(std::time::Duration::from_micros(3)), size(7)), (3000, 7));
    }
}
