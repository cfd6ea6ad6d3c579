//! Records side by side: how many times more often, and whether that is more than chance.

use comfy_table::{ContentArrangement, Table, presets};

use super::markdown::{row, sentences};
use super::numbers::rate_with_interval;
use crate::record::{Record, ScenarioResult};
use crate::shown;
use crate::stats::interval;

/// One test in the first record and in another.
#[derive(Debug, Clone, PartialEq)]
pub struct Comparison {
    /// The test.
    pub scenario: String,
    /// The placement class.
    pub class: String,
    /// Which of the other records, from 1 on.
    pub other: usize,
    /// The rates as they are shown.
    pub rates: [String; 2],
    /// The other's rate over the first's; `None` if neither shows any race.
    pub ratio: Option<Ratio>,
    /// Whether the two were the same machine code.
    pub same_code: bool,
}

/// A ratio of rates with its 95 % interval; the ends may be 0 and infinite.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Ratio {
    /// The ratio itself; infinite if only the other shows races.
    pub value: f64,
    /// The lower end.
    pub low: f64,
    /// The upper end.
    pub high: f64,
}

impl Ratio {
    /// Whether equal rates would be a surprise.
    pub fn differs(self) -> bool {
        self.low > 1.0 || self.high < 1.0
    }
}

/// The ratio of two rates: `seen` of `trials` in the first and in the other.
///
/// Given how many races there were in all, those of the other are binomially distributed, with a share that follows from the
/// ratio (the conditional test of two Poisson rates: Przyborowski and Wilenski, Biometrika 31, 1940). That is exact for rare
/// races; for frequent ones, whose counts vary less, the interval is too wide rather than too narrow.
pub fn ratio(seen: [u64; 2], trials: [u64; 2]) -> Option<Ratio> {
    let share = interval(seen[1], seen[0].checked_add(seen[1])?)?;
    if trials.contains(&0) {
        return None;
    }
    let scale = trials[0] as f64 / trials[1] as f64;
    let odds = |p: f64| if p >= 1.0 { f64::INFINITY } else { p / (1.0 - p) * scale };
    let value = if seen[0] == 0 { f64::INFINITY } else { seen[1] as f64 / seen[0] as f64 * scale };
    Some(Ratio { value, low: odds(share.low), high: odds(share.high) })
}

/// Every test of the first record that another has too, by source and placement class.
pub fn compare(records: &[Record]) -> Vec<Comparison> {
    let Some((first, others)) = records.split_first() else { return Vec::new() };
    let mut out = Vec::new();
    for result in &first.results {
        let same = |known: &&ScenarioResult| {
            known.source_sha256 == result.source_sha256 && known.placement.class == result.placement.class
        };
        for (number, other) in others.iter().enumerate() {
            let Some(theirs) = other.results.iter().find(same) else { continue };
            out.push(Comparison {
                scenario: result.scenario.clone(),
                class: result.placement.class.to_string(),
                other: number + 1,
                rates: [result, theirs].map(|result| rate_with_interval(result.rate, result.interval)),
                ratio: ratio([result.races, theirs.races], [result.iterations, theirs.iterations]),
                same_code: result.code_sha256 == theirs.code_sha256,
            });
        }
    }
    out
}

const HEADINGS: [&str; 6] = ["scenario", "class", "A [95 %]", "other [95 %]", "other / A [95 %]", "differs"];

fn cells(comparison: &Comparison, several: bool) -> [String; 6] {
    let times = |value: f64| match value {
        value if value.is_infinite() => "inf".to_owned(),
        value if (0.01..1000.0).contains(&value) => format!("{value:.3}"),
        0.0 => "0".to_owned(),
        value => format!("{value:.1e}"),
    };
    let letter = char::from(b'A' + comparison.other.min(25) as u8);
    let name = if several { format!("{letter}: ") } else { String::new() };
    let (ratio, differs) = match comparison.ratio {
        None => ("-".to_owned(), "-".to_owned()),
        Some(ratio) => (
            format!("{} [{}, {}]", times(ratio.value), times(ratio.low), times(ratio.high)),
            if ratio.differs() { "yes" } else { "no" }.to_owned(),
        ),
    };
    let code = if comparison.same_code { "" } else { ", other code" };
    let [first, other] = comparison.rates.clone();
    [comparison.scenario.clone(), comparison.class.clone(), first, name + &other, ratio, differs + code]
}

/// The table for a terminal, with what A, B, ... are.
pub fn comparison_table(names: &[String], comparisons: &[Comparison]) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
    table.set_header(HEADINGS);
    for comparison in comparisons {
        table.add_row(cells(comparison, names.len() > 2).map(|cell| shown::line(&cell).into_owned()));
    }
    let lines: Vec<String> = table.lines().map(|line| line.trim_end().to_owned()).collect();
    format!("{}\n{}\n", legend(names), lines.join("\n"))
}

/// The same in Markdown.
pub fn comparison_markdown(names: &[String], comparisons: &[Comparison]) -> String {
    let mut text = format!("{}\n\n{}", sentences(&legend(names)), row(&HEADINGS.map(str::to_owned)));
    text.push_str(&row(&HEADINGS.map(|_| "---".to_owned())));
    for comparison in comparisons {
        text.push_str(&row(&cells(comparison, names.len() > 2)));
    }
    text
}

fn legend(names: &[String]) -> String {
    let line = |(number, name): (usize, &String)| {
        format!("{}: {}\n", char::from(b'A' + number.min(25) as u8), shown::line(name))
    };
    names.iter().enumerate().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ratios_know_chance_from_difference() {
        let close = ratio([1000, 1040], [1_000_000, 1_000_000]).unwrap();
        assert!((close.value - 1.04).abs() < 1e-9 && !close.differs(), "{close:?}");
        let apart = ratio([1000, 1300], [1_000_000, 1_000_000]).unwrap();
        assert!(apart.differs() && apart.low > 1.1 && apart.high < 1.5, "{apart:?}");
        // Twice the trials halve the rate.
        let scaled = ratio([1000, 1000], [1_000_000, 2_000_000]).unwrap();
        assert!((scaled.value - 0.5).abs() < 1e-9 && scaled.differs(), "{scaled:?}");
        assert_eq!(ratio([0, 0], [10, 10]), None);
        let only_there = ratio([0, 50], [1_000_000, 1_000_000]).unwrap();
        assert!(only_there.value.is_infinite() && only_there.high.is_infinite() && only_there.low > 10.0);
        assert!(!ratio([0, 1], [1_000_000, 1_000_000]).unwrap().differs());
        let gone = ratio([50, 0], [1_000_000, 1_000_000]).unwrap();
        assert!(gone.value == 0.0 && gone.high < 0.1 && gone.differs());
    }
}
