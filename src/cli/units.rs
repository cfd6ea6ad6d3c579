//! Values with units on the command line.

use std::time::Duration;

use crate::machine::Clock;

/// A number that may be written `4e9`, `4000000000` or `4_000_000_000`; whole and at least 1.
pub fn parse_count(text: &str) -> Result<u64, String> {
    let plain = text.replace('_', "");
    let wrong = || format!("'{text}' is not a count; expected a whole number of at least 1, such as 4e9");
    if let Ok(count) = plain.parse::<u64>() {
        return if count > 0 { Ok(count) } else { Err(wrong()) };
    }
    match plain.parse::<f64>() {
        // Above 2^53 a float is whole, but not every whole number; 10^18 is as far as anyone will get.
        Ok(value) if (1.0..=1e18).contains(&value) && value.fract() == 0.0 => Ok(value as u64),
        _ => Err(wrong()),
    }
}

/// `10s`, `2m`, `1h`, `500ms`, or plain seconds.
pub fn parse_duration(text: &str) -> Result<Duration, String> {
    let split = text.find(|c: char| c.is_ascii_alphabetic()).unwrap_or(text.len());
    let scale = match &text[split..] {
        "ms" => 1e-3,
        "" | "s" => 1.0,
        "m" | "min" => 60.0,
        "h" => 3600.0,
        "d" => 86_400.0,
        _ => f64::NAN,
    };
    let seconds = text[..split].parse::<f64>().map_or(f64::NAN, |value| value * scale);
    if (0.001..=1e8).contains(&seconds) {
        Ok(Duration::from_secs_f64(seconds))
    } else {
        Err(format!("'{text}' is not a duration; expected one such as 10s, 2m or 500ms"))
    }
}

/// A time on the pacing clock: nanoseconds, or ticks of the clock.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum ClockTime {
    /// Nanoseconds.
    Ns(f64),
    /// Ticks.
    Ticks(f64),
}

impl ClockTime {
    /// In whole ticks of a clock.
    pub fn ticks(self, clock: &Clock) -> i64 {
        match self {
            ClockTime::Ns(ns) => clock.ticks(ns) as i64,
            ClockTime::Ticks(ticks) => ticks as i64,
        }
    }

    fn parse(text: &str) -> Option<ClockTime> {
        let (number, make): (&str, fn(f64) -> ClockTime) = if let Some(number) = text.strip_suffix("ticks") {
            (number, ClockTime::Ticks)
        } else if let Some(number) = text.strip_suffix("us") {
            (number, |us| ClockTime::Ns(us * 1e3))
        } else {
            (text.strip_suffix("ns").unwrap_or(text), ClockTime::Ns)
        };
        let time = make(number.trim().parse::<f64>().ok()?);
        // A second is longer than anything that is paced, and short enough to wait for after Ctrl-C.
        let (ClockTime::Ns(value) | ClockTime::Ticks(value)) = time;
        (value.abs() <= 1e9).then_some(time)
    }
}

/// `100`, `100ns`, `0.1us` or `250ticks`; positive.
pub fn parse_period(text: &str) -> Result<ClockTime, String> {
    match ClockTime::parse(text) {
        Some(time @ (ClockTime::Ns(value) | ClockTime::Ticks(value))) if value > 0.0 => Ok(time),
        _ => Err(format!("'{text}' is not a period; expected one such as 100ns or 250ticks")),
    }
}

/// The skews a person asks for.
#[derive(Debug, Clone, PartialEq)]
pub enum Skews {
    /// These.
    List(Vec<ClockTime>),
    /// So many, evenly between two.
    Range(ClockTime, ClockTime, usize),
}

/// The most skews at once: more than any screen has columns.
const MAX_SKEWS: usize = 1001;

impl Skews {
    /// In whole ticks, ascending, each once.
    pub fn ticks(&self, clock: &Clock) -> Vec<i64> {
        let mut ticks: Vec<i64> = match self {
            Skews::List(list) => list.iter().map(|time| time.ticks(clock)).collect(),
            Skews::Range(from, to, steps) => {
                let (from, to) = (from.ticks(clock) as f64, to.ticks(clock) as f64);
                let last = (*steps - 1).max(1) as f64;
                (0..*steps).map(|step| (from + (to - from) * step as f64 / last).round() as i64).collect()
            }
        };
        ticks.sort_unstable();
        ticks.dedup();
        ticks
    }
}

/// `0`, `-20ns,0,20ns`, or a range `-100..100` with an optional number of points `-100..100/41`.
pub fn parse_skews(text: &str) -> Result<Skews, String> {
    let wrong = || {
        format!(
            "'{text}' is not a skew; expected one such as 20ns, a list such as -20,0,20, or a range such as -100..100/21"
        )
    };
    if let Some((from, rest)) = text.split_once("..") {
        let (to, steps) = rest.split_once('/').unwrap_or((rest, "21"));
        let steps = steps.parse::<usize>().ok().filter(|steps| (2..=MAX_SKEWS).contains(steps)).ok_or_else(wrong)?;
        let (from, to) = (ClockTime::parse(from).ok_or_else(wrong)?, ClockTime::parse(to).ok_or_else(wrong)?);
        return Ok(Skews::Range(from, to, steps));
    }
    let list: Option<Vec<ClockTime>> = text.split(',').map(ClockTime::parse).collect();
    list.filter(|list| list.len() <= MAX_SKEWS).map(Skews::List).ok_or_else(wrong)
}

/// Which pairs of CPUs.
#[derive(Debug, Clone, Copy)]
pub enum Pairs {
    /// All there are.
    All,
    /// So many of each class at most.
    Each(usize),
}

impl Pairs {
    /// How many of each class at most.
    pub fn most(self) -> Option<usize> {
        match self {
            Pairs::All => None,
            Pairs::Each(count) => Some(count),
        }
    }
}

/// A number of pairs of each class, or `all`.
pub fn parse_pairs(text: &str) -> Result<Pairs, String> {
    if text == "all" {
        return Ok(Pairs::All);
    }
    let count = text.parse().ok().filter(|count| *count > 0);
    count.map(Pairs::Each).ok_or_else(|| format!("'{text}' is no number of pairs; such as 16, or all"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts() {
        assert_eq!(parse_count("4e9"), Ok(4_000_000_000));
        assert_eq!(parse_count("1_000"), Ok(1000));
        for bad in ["0", "-1", "1.5", "x", "", "1e30", "nan", "inf"] {
            assert!(parse_count(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn durations() {
        assert_eq!(parse_duration("10s"), Ok(Duration::from_secs(10)));
        assert_eq!(parse_duration("2m"), Ok(Duration::from_secs(120)));
        assert_eq!(parse_duration("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(parse_duration("3"), Ok(Duration::from_secs(3)));
        for bad in ["0s", "-1s", "10x", "s", "", "1e99s", "nans"] {
            assert!(parse_duration(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn clock_times() {
        let clock = Clock { frequency_hz: 2.5e9, resolution_ticks: 1, read_ticks: 20 };
        assert_eq!(parse_period("100ns").unwrap().ticks(&clock), 250);
        assert_eq!(parse_period("250ticks").unwrap().ticks(&clock), 250);
        assert!(parse_period("0").is_err() && parse_period("-5ns").is_err() && parse_period("nan").is_err());
        assert_eq!(parse_skews("-20,0,20ns").unwrap().ticks(&clock), [-50, 0, 50]);
        assert_eq!(parse_skews("-100..100/5").unwrap().ticks(&clock), [-250, -125, 0, 125, 250]);
        assert_eq!(parse_skews("5ticks..5ticks").unwrap().ticks(&clock), [5]);
        for bad in ["", "..", "1..2/1", "1..2/99999", "a", "1,,2"] {
            assert!(parse_skews(bad).is_err(), "{bad}");
        }
    }
}
