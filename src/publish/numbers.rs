//! Numbers as people read them.

use crate::stats::Interval;

/// A count with its thousands apart: `32,145,920`.
pub fn count(value: u64) -> String {
    let digits = value.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A probability: in per cent from a thousandth up, in scientific notation below.
pub fn rate(value: f64) -> String {
    if value == 0.0 {
        "0".to_owned()
    } else if value >= 0.0995 {
        format!("{:.1} %", value * 100.0)
    } else if value >= 0.001 {
        format!("{:.2} %", value * 100.0)
    } else {
        format!("{value:.1e}")
    }
}

/// A rate with what is known of it: `26.0 % [25.9, 26.1]`, or for an event never seen only the upper bound.
pub fn rate_with_interval(value: Option<f64>, interval: Option<Interval>) -> String {
    match (value, interval) {
        (Some(0.0), Some(interval)) => format!("< {:.1e}", interval.high),
        (Some(value), Some(Interval { low, high, .. })) => {
            if value >= 0.001 {
                let digits = if value >= 0.0995 { 1 } else { 2 };
                format!("{} [{:.digits$}, {:.digits$}]", rate(value), low * 100.0, high * 100.0)
            } else {
                format!("{} [{low:.1e}, {high:.1e}]", rate(value))
            }
        }
        _ => "-".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::interval;

    #[test]
    fn numbers_read_well() {
        assert_eq!([0, 999, 1000, 32_145_920].map(count), ["0", "999", "1,000", "32,145,920"]);
        assert_eq!([0.0, 0.953, 0.0123, 3.2e-5].map(rate), ["0", "95.3 %", "1.23 %", "3.2e-5"]);
        let shown = |k, n| rate_with_interval(Some(k as f64 / n as f64), interval(k, n));
        assert_eq!(shown(0, 100_000_000), "< 3.0e-8");
        assert_eq!(shown(260_000, 1_000_000), "26.0 % [25.9, 26.1]");
        assert_eq!(shown(3, 1_000_000_000), "3.0e-9 [6.2e-10, 8.8e-9]");
        assert_eq!(rate_with_interval(None, None), "-");
    }
}
