//! Numbers from one type to another, with what happens to those that do not fit.

/// A count or time as a whole number, rounded down; 0 for what is below it or none, the largest for what is above.
#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a float that does not fit is taken to the nearest end"
)]
pub(super) fn whole(value: f64) -> u64 {
    value as u64
}

/// A count that fits memory, because it was that of something in memory before.
pub(super) fn size(count: u64) -> usize {
    usize::try_from(count).expect("the count of what is in memory")
}

/// Nanoseconds of a duration; five centuries are the most.
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
