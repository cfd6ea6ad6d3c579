//! Parsers for values with units on the command line.

use std::time::Duration;

use crate::machine::{Clock, Edges};
use crate::units::{Nanos, Ticks};

/// The largest count, 1e18. A run of 1e9 iterations per second needs 30 years for it.
const MOST: u64 = 1_000_000_000_000_000_000;

/// Parses a count: a whole number from 1 to 1e18, written as `4e9`, `4000000000` or `4_000_000_000`.
pub fn parse_count(text: &str) -> Result<u64, String> {
    let plain = text.replace('_', "");
    let wrong = || format!("'{text}' is not a count; expected a whole number from 1 to 1e18, such as 4e9");
    let count = match plain.parse::<u64>() {
        Ok(count) => count,
        Err(_) => match plain.parse::<f64>() {
            // Values above 1e18 are refused below, so u64::MAX can stand for all of them.
            Ok(value) if value > 1e18 && (value.is_finite() || plain.starts_with(|c: char| c.is_ascii_digit())) => {
                u64::MAX
            }
            // Above 2^53 every f64 is whole, but not every whole number is an f64: such a number is rounded.
            Ok(value) if (1.0..=1e18).contains(&value) && value.fract() == 0.0 => value as u64,
            _ => return Err(wrong()),
        },
    };
    match count {
        0 => Err(wrong()),
        1..=MOST => Ok(count),
        _ => Err(format!("'{text}' is too large; a count is at most 1e18")),
    }
}

/// The longest duration, in seconds: one year.
const LONGEST: f64 = 365.0 * 86_400.0;
/// The shortest duration, in seconds.
const SHORTEST: f64 = 0.001;

/// Parses a duration from 1ms to 365d: `10s`, `2m`, `1h`, `500ms`, `1d`, or a number of seconds without a
/// unit, such as `1e3`.
pub fn parse_duration(text: &str) -> Result<Duration, String> {
    let wrong = || format!("'{text}' is not a duration; expected one such as 10s, 2m or 500ms");
    // The order matters: `ms` must come before `s`, because `ms` ends with `s`; and the empty unit must come
    // last.
    let units = [("ms", 1e-3), ("min", 60.0), ("s", 1.0), ("m", 60.0), ("h", 3600.0), ("d", 86_400.0), ("", 1.0)];
    let found = units.into_iter().find_map(|(unit, scale)| Some((text.strip_suffix(unit)?, scale)));
    let number = found.and_then(|(number, scale)| Some(number.parse::<f64>().ok()? * scale));
    match number.filter(|seconds| seconds.is_finite()) {
        None => Err(wrong()),
        Some(seconds) if seconds < 0.0 => Err(wrong()),
        Some(seconds) if seconds < SHORTEST => Err(format!("'{text}' is too short; a duration is at least 1ms")),
        Some(seconds) if seconds > LONGEST => Err(format!("'{text}' is too long; a duration is at most 365d")),
        Some(seconds) => Ok(Duration::from_secs_f64(seconds)),
    }
}

/// A time on the pacing clock, in the unit that was given.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum ClockTime {
    /// Nanoseconds.
    Nanos(Nanos),
    /// Ticks of the clock. A fraction is cut off.
    Ticks(f64),
}

impl ClockTime {
    /// Converts the time to whole ticks of a clock.
    pub fn ticks(self, clock: &Clock) -> Ticks {
        self.units(clock, None)
    }

    /// Converts the time to the units of a clock's edges, or to its ticks if it has none.
    pub fn units(self, clock: &Clock, edges: Option<Edges>) -> Ticks {
        match (self, edges) {
            (ClockTime::Nanos(time), None) => clock.ticks(time),
            (ClockTime::Nanos(time), Some(edges)) => edges.units(*clock).ticks(time),
            (ClockTime::Ticks(ticks), None) => Ticks(ticks as i64),
            (ClockTime::Ticks(ticks), Some(edges)) => Ticks((ticks as i64) << edges.finer),
        }
    }

    fn parse(text: &str) -> Result<ClockTime, Unreadable> {
        let (number, make): (&str, fn(f64) -> ClockTime) = if let Some(number) = text.strip_suffix("ticks") {
            (number, ClockTime::Ticks)
        } else if let Some(number) = text.strip_suffix("us") {
            (number, |us| ClockTime::Nanos(Nanos(us * 1e3)))
        } else if let Some(number) = text.strip_suffix("ms") {
            (number, |ms| ClockTime::Nanos(Nanos(ms * 1e6)))
        } else if let Some(number) = text.strip_suffix("ns") {
            (number, |ns| ClockTime::Nanos(Nanos(ns)))
        } else if let Some(number) = text.strip_suffix('s') {
            (number, |s| ClockTime::Nanos(Nanos(s * 1e9)))
        } else {
            (text, |ns| ClockTime::Nanos(Nanos(ns)))
        };
        let time = make(number.trim().parse::<f64>().ok().filter(|number| !number.is_nan()).ok_or(Unreadable::Wrong)?);
        // At most 1 s: longer than any useful period, and short enough to wait for after Ctrl-C.
        let (ClockTime::Nanos(Nanos(value)) | ClockTime::Ticks(value)) = time;
        if value.abs() <= 1e9 { Ok(time) } else { Err(Unreadable::TooLarge) }
    }
}

/// Why a text is not a valid time on the clock.
enum Unreadable {
    Wrong,
    TooLarge,
}

impl Unreadable {
    /// The message. `wrong` makes the message for a text that is not a time at all; it says what is expected.
    fn words(&self, text: &str, wrong: impl FnOnce() -> String) -> String {
        match self {
            Unreadable::Wrong => wrong(),
            Unreadable::TooLarge => {
                format!("'{text}' is too large; expected at most 1e9 nanoseconds (1 s) or 1e9 ticks")
            }
        }
    }
}

/// Parses the step of a clock, which is positive: `40ns`, `1us` or `128ticks`.
pub fn parse_clock_step(text: &str) -> Result<ClockTime, String> {
    parse_positive(text, || format!("'{text}' is not a step of a clock; expected a time above 0, such as 40ns or 1us"))
}

/// Parses a period, which is positive: `100` (nanoseconds), `100ns`, `0.1us` or `250ticks`.
pub fn parse_period(text: &str) -> Result<ClockTime, String> {
    parse_positive(text, || format!("'{text}' is not a period; expected a time above 0, such as 100ns or 250ticks"))
}

/// Parses a positive time on a clock. `wrong` makes the message for a text that is none.
fn parse_positive(text: &str, wrong: impl FnOnce() -> String) -> Result<ClockTime, String> {
    match ClockTime::parse(text) {
        Ok(time @ (ClockTime::Nanos(Nanos(value)) | ClockTime::Ticks(value))) if value > 0.0 => Ok(time),
        Ok(_) => Err(wrong()),
        Err(error) => Err(error.words(text, wrong)),
    }
}

/// The skews that an option names.
#[derive(Debug, Clone, PartialEq)]
pub enum Skews {
    /// A list of skews.
    List(Vec<ClockTime>),
    /// The first skew, the last skew, and the number of skews, which are spaced evenly between the two.
    Range(ClockTime, ClockTime, usize),
}

/// The most skews at once: more than the columns of a screen.
const MAX_SKEWS: usize = 1001;

impl Skews {
    /// The skews in whole ticks of a clock, ascending and without duplicates.
    pub fn ticks(&self, clock: &Clock) -> Vec<Ticks> {
        self.units(clock, None)
    }

    /// The skews in the units of a clock's edges, or in its ticks if it has none, ascending and without duplicates.
    pub fn units(&self, clock: &Clock, edges: Option<Edges>) -> Vec<Ticks> {
        let units = |time: &ClockTime| time.units(clock, edges);
        let mut ticks: Vec<Ticks> = match self {
            Skews::List(list) => list.iter().map(units).collect(),
            Skews::Range(from, to, steps) => {
                let (from, to) = (units(from).0 as f64, units(to).0 as f64);
                let last = (*steps - 1).max(1) as f64;
                let at = |step: usize| Ticks((from + (to - from) * step as f64 / last).round() as i64);
                (0..*steps).map(at).collect()
            }
        };
        ticks.sort_unstable();
        ticks.dedup();
        ticks
    }
}

/// Parses one skew `0`, a list `-20ns,0,20ns`, or a range `-100..100` with an optional number of skews
/// `-100..100/41`.
pub fn parse_skews(text: &str) -> Result<Skews, String> {
    let wrong = || {
        format!(
            "'{text}' is not a skew; expected one such as 20ns, a list such as -20,0,20, or a range such as -100..100/21"
        )
    };
    let many = || format!("'{text}' has too many skews; expected at most {MAX_SKEWS}");
    let time = |part: &str| ClockTime::parse(part).map_err(|error| error.words(part, wrong));
    if let Some((from, rest)) = text.split_once("..") {
        let (to, steps) = rest.split_once('/').unwrap_or((rest, "21"));
        let steps = steps.parse::<usize>().ok().filter(|steps| *steps >= 2).ok_or_else(wrong)?;
        return if steps <= MAX_SKEWS { Ok(Skews::Range(time(from)?, time(to)?, steps)) } else { Err(many()) };
    }
    let list = text.split(',').map(time).collect::<Result<Vec<_>, _>>()?;
    if list.len() <= MAX_SKEWS { Ok(Skews::List(list)) } else { Err(many()) }
}

/// Which pairs of CPUs an option selects.
#[derive(Debug, Clone, Copy)]
pub enum Pairs {
    /// All pairs.
    All,
    /// At most this number of pairs of each placement class.
    Each(usize),
}

impl Pairs {
    /// The most pairs of each placement class; `None` for all.
    pub fn most(self) -> Option<usize> {
        match self {
            Pairs::All => None,
            Pairs::Each(count) => Some(count),
        }
    }
}

/// Parses one line of text.
pub fn parse_line(text: &str) -> Result<String, String> {
    if text.trim().is_empty() {
        return Err("it is empty; expected one line of text".to_owned());
    }
    match text.chars().find(|c| c.is_control()) {
        Some(hidden) => {
            Err(format!("it has the control character {}; expected one line of text", hidden.escape_unicode()))
        }
        None => Ok(text.trim().to_owned()),
    }
}

/// Parses the address of a page: an absolute URL of http or https.
pub fn parse_url(text: &str) -> Result<String, String> {
    let has_host = |uri: &fluent_uri::Uri<&str>| uri.authority().is_some_and(|authority| !authority.host().is_empty());
    let of_web = |uri: &fluent_uri::Uri<&str>| {
        ["http", "https"].iter().any(|scheme| uri.scheme().as_str().eq_ignore_ascii_case(scheme))
    };
    match fluent_uri::Uri::parse(text) {
        Ok(uri) if of_web(&uri) && has_host(&uri) => Ok(text.to_owned()),
        _ => Err(format!("'{text}' is not the address of a page; expected one such as https://example.org/race.html")),
    }
}

/// Parses a time in RFC 3339.
pub fn parse_timestamp(text: &str) -> Result<jiff::Timestamp, String> {
    text.parse().map_err(|_| format!("'{text}' is not a time in RFC 3339; expected one such as 2026-11-25T17:44:25Z"))
}

/// Parses a number of pairs per placement class, or `all`.
pub fn parse_pairs(text: &str) -> Result<Pairs, String> {
    if text == "all" {
        return Ok(Pairs::All);
    }
    let count = text.parse().ok().filter(|count| *count > 0);
    count.map(Pairs::Each).ok_or_else(|| {
        format!("'{text}' is not a number of pairs; expected `all`, or a whole number from 1 on, such as 16")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_lines_and_times() {
        for good in ["https://example.org/race.html", "http://[::1]:8080/a?b#c", "HTTPS://example.org"] {
            assert_eq!(parse_url(good).unwrap(), good);
        }
        for bad in [
            "nonsense",
            "",
            "ftp://a/b",
            "https://",
            "https:///a",
            "//a/b",
            "/a",
            "https://a b",
            "https://a/<b>",
            "http:a",
        ] {
            assert!(parse_url(bad).is_err_and(|words| words.contains("https://example.org")), "{bad}");
        }
        assert_eq!(parse_line(" Doe, Jane ").unwrap(), "Doe, Jane");
        for bad in ["", " ", "a\nb", "a\u{1b}[31m"] {
            assert!(parse_line(bad).is_err_and(|words| words.contains("one line of text")), "{bad}");
        }
        assert!(parse_timestamp("2026-11-25T17:44:25Z").is_ok());
        for bad in ["yesterday", "2026-11-25", "2026-13-25T17:44:25Z", ""] {
            assert!(parse_timestamp(bad).is_err_and(|words| words.contains("2026-11-25T17:44:25Z")), "{bad}");
        }
    }

    #[test]
    fn counts() {
        for (text, count) in [
            ("1", 1),
            ("4e9", 4_000_000_000),
            ("1_000", 1000),
            ("1e18", MOST),
            ("1000000000000000000", MOST),
            ("2.5e3", 2500),
        ] {
            assert_eq!(parse_count(text), Ok(count), "{text}");
        }
        for bad in ["0", "-1", "1.5", "x", "", "nan", "inf", "-4e18", "0.5"] {
            assert!(parse_count(bad).is_err_and(|words| words.contains("is not a count")), "{bad}");
        }
        // Every notation has the same limit, and the message names it.
        for large in ["4e18", "1000000000000000001", "4000000000000000000", "99999999999999999999", "1e30", "1e999"] {
            let words = parse_count(large).unwrap_err();
            assert!(words.contains("too large") && words.contains("at most 1e18"), "{large}: {words}");
        }
    }

    #[test]
    fn durations() {
        for (text, ms) in [
            ("10s", 10_000),
            ("2m", 120_000),
            ("2min", 120_000),
            ("1h", 3_600_000),
            ("1d", 86_400_000),
            ("500ms", 500),
            ("1ms", 1),
            ("3", 3000),
            ("1e3", 1_000_000),
            ("1e-1s", 100),
            ("0.5", 500),
            ("365d", 31_536_000_000),
        ] {
            assert_eq!(parse_duration(text), Ok(Duration::from_millis(ms)), "{text}");
        }
        for bad in ["-1s", "10x", "s", "", "nans", "infs", "1 hour", "ms"] {
            assert!(parse_duration(bad).is_err_and(|words| words.contains("is not a duration;")), "{bad}");
        }
        for (bad, limit) in [
            ("0s", "1ms"),
            ("0.9ms", "1ms"),
            ("1e8", "at most 365d"),
            ("366d", "at most 365d"),
            ("1e99s", "at most 365d"),
        ] {
            assert!(parse_duration(bad).is_err_and(|words| words.contains(limit)), "{bad}: {:?}", parse_duration(bad));
        }
    }

    #[test]
    fn clock_times() {
        let clock = Clock { frequency_hz: 2.5e9, resolution_ticks: 1, read_ticks: 20 };
        assert_eq!(parse_period("100ns").unwrap().ticks(&clock), Ticks(250));
        assert_eq!(parse_period("250ticks").unwrap().ticks(&clock), Ticks(250));
        assert!(parse_period("0").is_err() && parse_period("-5ns").is_err() && parse_period("nan").is_err());
        assert_eq!(parse_skews("-20,0,20ns").unwrap().ticks(&clock), [-50, 0, 50].map(Ticks));
        assert_eq!(parse_skews("-100..100/5").unwrap().ticks(&clock), [-250, -125, 0, 125, 250].map(Ticks));
        assert_eq!(parse_skews("5ticks..5ticks").unwrap().ticks(&clock), [Ticks(5)]);
        assert_eq!(parse_skews("-1ms,1s").unwrap().ticks(&clock), [-2_500_000, 2_500_000_000].map(Ticks));
        for bad in ["", "..", "1..2/1", "a", "s", "1ks", "1,,2", "nan", "nan..2"] {
            assert!(parse_skews(bad).is_err_and(|words| words.contains("is not a skew")), "{bad}");
        }
        assert_eq!(parse_skews("0..1000ticks/1001").unwrap().ticks(&clock).len(), 1001);
        let list = vec!["1"; 1002].join(",");
        for (bad, limit) in [
            ("1..2/1002", "at most 1001"),
            (&list, "at most 1001"),
            ("2e9", "(1 s)"),
            ("0,-2e9ticks", "(1 s)"),
            ("0..1001000us", "(1 s)"),
            ("9999999s", "'9999999s' is too large; expected at most 1e9 nanoseconds (1 s)"),
            ("1001ms", "(1 s)"),
        ] {
            assert!(parse_skews(bad).is_err_and(|words| words.contains(limit)), "{bad}: {:?}", parse_skews(bad));
        }
        assert_eq!(parse_period("1000000us").unwrap().ticks(&clock), Ticks(2_500_000_000));
        assert!(parse_period("1000001us").is_err_and(|words| words.contains("at most 1e9")));
        assert!(parse_period("inf").is_err() && parse_period("0.1us").unwrap().ticks(&clock) == Ticks(250));
    }
}
