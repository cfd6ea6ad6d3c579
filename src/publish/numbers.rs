//! Formats numbers for people.

use crate::stats::Interval;

/// A count with commas between thousands: `32,145,920`.
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

/// A count with its noun: `1 race`, `2,000 races`. The plural of the noun ends with s.
pub fn counted(value: u64, noun: &str) -> String {
    format!("{} {noun}{}", count(value), if value == 1 { "" } else { "s" })
}

/// Names in a sentence: all of them, or the first `most` and how many more there are: `SB, MP and 7 more`.
pub(super) fn first_few<T: AsRef<str>>(names: &[T], most: usize) -> String {
    let shown: Vec<&str> = names.iter().take(most).map(AsRef::as_ref).collect();
    let more = names.len() - shown.len();
    shown.join(", ") + &if more > 0 { format!(" and {more} more") } else { String::new() }
}

/// Some words as a list: `a`, `a and b`, `a, b and c`; `None` if there are none.
pub(super) fn listed<T: AsRef<str>>(words: &[T]) -> Option<String> {
    let (last, others) = words.split_last()?;
    let others: Vec<&str> = others.iter().map(AsRef::as_ref).collect();
    let last = last.as_ref();
    Some(if others.is_empty() { last.to_owned() } else { format!("{} and {last}", others.join(", ")) })
}

/// How many times something happened: `once`, `2,000 times`.
pub fn times(value: u64) -> String {
    once_or(value, count)
}

/// As [`times`], in a sentence: `2 k times`.
pub fn short_times(value: u64) -> String {
    once_or(value, short_count)
}

fn once_or(value: u64, shown: fn(u64) -> String) -> String {
    if value == 1 { "once".to_owned() } else { format!("{} times", shown(value)) }
}

/// A count in a sentence: `999`, `39.6 M`, `1.2 G`. Three digits are enough there.
pub fn short_count(value: u64) -> String {
    let units = [(1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")];
    in_units(value, &units).map_or_else(|| value.to_string(), |text| text.replace(".0 ", " "))
}

/// Three digits of a value in the largest unit that it reaches; `None` if it reaches none. The largest unit comes first.
fn in_units(value: u64, units: &[(f64, &str)]) -> Option<String> {
    let value = value as f64;
    // The limit is where rounding gives the next unit's 1.
    let (unit, name) = units.iter().find(|(unit, _)| value >= 0.9995 * unit)?;
    let digits = if value / unit >= 99.95 { 0 } else { 1 };
    Some(format!("{:.digits$} {name}", value / unit))
}

/// A lower bound in a sentence, with two digits, rounded down: `5.6 M`, `470`.
pub fn at_least(value: f64) -> String {
    let step = 10_f64.powf(value.max(1.0).log10().floor() - 1.0).max(1.0);
    // A float that is too large saturates.
    short_count(((value / step).floor() * step) as u64)
}

/// A time in a sentence, from nanoseconds: `521 ns`, `10.8 µs`, `250 ms`.
pub fn short_time(ns: u64) -> String {
    in_units(ns, &[(1e9, "s"), (1e6, "ms"), (1e3, "µs")]).unwrap_or_else(|| format!("{ns} ns"))
}

/// A probability: in per cent from 0.001 upwards, in scientific notation below.
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

/// A probability in a sentence that begins with a verb: `in 24.9 % of its iterations`, or below 0.001
/// `once in 1.1 k iterations`.
pub fn how_often(value: f64) -> String {
    if value >= 0.001 { format!("in {} of its iterations", rate(value)) } else { once_in(value) + " iterations" }
}

/// A probability as `once in 1.1 k`.
pub fn once_in(value: f64) -> String {
    format!("once in {}", short_count((1.0 / value) as u64))
}

/// A probability on an axis that ends at 0.001 or above: `0`, `20 %`, `0.05 %`.
pub fn tick_percent(value: f64) -> String {
    let percent = format!("{:.4}", value * 100.0);
    percent.trim_end_matches('0').trim_end_matches('.').to_owned() + if value == 0.0 { "" } else { " %" }
}

/// A probability on an axis that ends below 0.001: `0`, `2.5e-5`, `1e-7`.
pub fn tick_scientific(value: f64) -> String {
    if value == 0.0 { "0".to_owned() } else { format!("{value:.1e}").replace(".0e", "e") }
}

/// A probability on a logarithmic axis: in per cent from 0.001 upwards.
pub fn tick_rate(value: f64) -> String {
    if value >= 0.000_999 { tick_percent(value) } else { tick_scientific(value) }
}

/// A count on an axis: `1`, `100`, `10 k`, `1 M`.
pub fn tick_count(value: f64) -> String {
    match value {
        value if value < 1e4 => format!("{value:.0}"),
        value if value < 1e6 => format!("{:.0} k", value / 1e3),
        value if value < 1e9 => format!("{:.0} M", value / 1e6),
        value => format!("{value:.0e}"),
    }
}

/// An upper bound of a probability, with two digits, rounded up: `< 3.1e-8`.
pub fn upper_bound(bound: f64) -> String {
    if bound.is_nan() || bound <= 0.0 {
        return format!("< {bound:.1e}");
    }
    let digit = 10_f64.powi(bound.log10().floor() as i32 - 1);
    // What was rounded before may be a little above its digits.
    format!("< {:.1e}", (bound / digit - 1e-9).ceil() * digit)
}

/// A rate with its interval: `26.0 % [25.9, 26.1]`. For an event that was never seen, only the upper bound:
/// `< 3.0e-8`.
pub fn rate_with_interval(value: Option<f64>, interval: Option<Interval>) -> String {
    match (value, interval) {
        (Some(0.0), Some(interval)) => upper_bound(interval.high),
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

    #[test]
    fn an_upper_bound_is_rounded_up() {
        let cases = [
            (1.7138e-7, "< 1.8e-7"),
            (7.6e-8, "< 7.6e-8"),
            (9.91e-8, "< 1.0e-7"),
            (3.0e-7, "< 3.0e-7"),
            (0.37, "< 3.7e-1"),
        ];
        for (bound, text) in cases {
            assert_eq!(upper_bound(bound), text);
        }
        for digits in 10..100 {
            let bound = f64::from(digits) * 1e-9;
            assert_eq!(upper_bound(bound), format!("< {bound:.1e}"), "{bound}");
        }
        assert_eq!((upper_bound(1.0), upper_bound(0.0)), ("< 1.0e0".to_owned(), "< 0.0e0".to_owned()));
    }
    use crate::stats::interval;

    #[test]
    fn numbers_read_well() {
        assert_eq!([0, 999, 1000, 32_145_920].map(count), ["0", "999", "1,000", "32,145,920"]);
        assert_eq!([0.0, 0.953, 0.0123, 3.2e-5].map(rate), ["0", "95.3 %", "1.23 %", "3.2e-5"]);
        let shown = |k, n| rate_with_interval(Some(k as f64 / n as f64), interval(k, n));
        assert_eq!(shown(0, 100_000_000), "< 3.0e-8");
        assert_eq!(shown(260_000, 1_000_000), "26.0 % [25.9, 26.1]");
        assert_eq!(shown(12_300, 1_000_000), "1.23 % [1.21, 1.25]");
        assert_eq!([0.0994, 0.001, 0.000_98, 1.0].map(rate), ["9.94 %", "0.10 %", "9.8e-4", "100.0 %"]);
        assert_eq!(
            [1, 12, 123, 1234, 12_345, 1_000_000].map(count),
            ["1", "12", "123", "1,234", "12,345", "1,000,000"]
        );
        assert_eq!(shown(3, 1_000_000_000), "3.0e-9 [6.2e-10, 8.8e-9]");
        assert_eq!(rate_with_interval(None, None), "-");
        assert_eq!([0, 1, 2000].map(|value| counted(value, "race")), ["0 races", "1 race", "2,000 races"]);
        assert_eq!([1, 2000].map(times), ["once", "2,000 times"]);
        assert_eq!([0.249, 8.9e-4].map(how_often), ["in 24.9 % of its iterations", "once in 1.1 k iterations"]);
        assert_eq!([0.2, 0.001, 2.5e-5, 1e-7].map(tick_rate), ["20 %", "0.1 %", "2.5e-5", "1e-7"]);
        assert_eq!([0.0, 5e-4, 1.0].map(tick_percent), ["0", "0.05 %", "100 %"]);
        assert_eq!(
            [7, 999, 1000, 39_581_793, 103_749_803, 999_600, 1_250_000_000].map(short_count),
            ["7", "999", "1 k", "39.6 M", "104 M", "1 M", "1.2 G"]
        );
        assert_eq!([521, 10_839, 250_085_375, 999_960].map(short_time), ["521 ns", "10.8 µs", "250 ms", "1.0 ms"]);
        assert_eq!([1.0, 1e3, 1e5, 1e7, 1e12].map(tick_count), ["1", "1000", "100 k", "10 M", "1e12"]);
    }
}
