//! Records side by side: how many times more often, and whether that is more than chance.

use comfy_table::{ContentArrangement, Table, presets};

use super::markdown::{row, sentences};
use super::numbers::rate_with_interval;
use crate::record::{Record, ScenarioResult};
use crate::shown;
use crate::stats::interval_of;

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
    /// The other's rate over the first's; infinite if only the other shows races.
    pub value: f64,
    /// The lower end.
    pub low: f64,
    /// The upper end.
    pub high: f64,
    /// Whether a side is one run, so that what runs differ by had to be assumed ([`BETWEEN_RUNS`]).
    pub assumed: bool,
}

impl Ratio {
    /// Whether equal rates would be a surprise.
    pub fn differs(self) -> bool {
        self.low > 1.0 || self.high < 1.0
    }
}

/// What two runs of one box differ by if nobody measured it: the standard deviation of the logarithm of a rate. Five runs in turns on a quiet
/// box differed by 2 to 40 % (docs/performance.md).
pub const BETWEEN_RUNS: f64 = 0.2;
/// The 97.5 % point of the standard normal distribution.
const Z: f64 = 1.96;

/// A rate to be compared.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rate {
    /// How often the race was seen.
    pub seen: u64,
    /// Iterations.
    pub trials: u64,
    /// How many times the variance of independent iterations its parts show ([`ScenarioResult::effect`]).
    pub effect: f64,
    /// Whether it is of several runs, so that the effect covers what runs differ by.
    pub repeated: bool,
}

impl Rate {
    fn of(result: &ScenarioResult) -> Rate {
        Rate {
            seen: result.races,
            trials: result.iterations,
            effect: result.effect(),
            repeated: result.repeats.len() > 1,
        }
    }

    /// Its races as so many independent ones.
    fn effective(self) -> f64 {
        self.seen as f64 / self.effect.max(1.0)
    }
}

/// How many times the first rate the other is.
///
/// Given how many races there were in all, those of the other are binomially distributed, with a share that follows from the
/// ratio (the conditional test of two Poisson rates: Przyborowski and Wilenski, Biometrika 31, 1940). That is exact for rare
/// races; for frequent ones, whose counts vary less, the interval is too wide rather than too narrow. Races count for as many as they are worth
/// ([`crate::stats::interval_with`]). What runs differ by is in that where a rate is of several runs, and [`BETWEEN_RUNS`] is added where not.
pub fn ratio(first: Rate, other: Rate) -> Option<Ratio> {
    if first.trials == 0 || other.trials == 0 || first.seen == 0 && other.seen == 0 {
        return None;
    }
    let (ours, theirs) = (first.effective(), other.effective());
    let share = interval_of(theirs, ours + theirs);
    // The trials that these races are among are as many fewer.
    let trials = |rate: Rate| rate.trials as f64 / rate.effect.max(1.0);
    let scale = trials(first) / trials(other);
    let odds = |p: f64| if p >= 1.0 { f64::INFINITY } else { p / (1.0 - p) * scale };
    let value = if first.seen == 0 { f64::INFINITY } else { theirs / ours * scale };
    let single = [first, other].iter().filter(|rate| !rate.repeated).count();
    let more = Z * BETWEEN_RUNS * (single as f64).sqrt();
    let (low, high) = (odds(share.low), odds(share.high));
    // Independent parts of a logarithm's spread add up as squares; beside 0 and infinity there is only one.
    let wider = |end: f64| {
        let own = (end / value).ln().abs();
        if own.is_finite() { own.hypot(more) } else { more }
    };
    let (down, up) = ((-wider(low)).exp(), wider(high).exp());
    Some(Ratio {
        value,
        low: if value.is_finite() && low > 0.0 { value * down } else { low * (-more).exp() },
        high: if value > 0.0 && high.is_finite() { value * up } else { high * more.exp() },
        assumed: single > 0,
    })
}

/// The result of another record that is to stand beside one: the same source on the same placement class, and where a record has several of
/// these, on the same CPUs.
fn counterpart<'a>(result: &ScenarioResult, first: &Record, other: &'a Record) -> Option<&'a ScenarioResult> {
    let alike = |known: &&ScenarioResult| {
        known.source_sha256 == result.source_sha256 && known.placement.class == result.placement.class
    };
    let several = [first, other].iter().any(|record| record.results.iter().filter(alike).count() > 1);
    other.results.iter().filter(alike).find(|known| !several || known.placement.cpus == result.placement.cpus)
}

/// Every test of the first record that another has too, by source and placement class.
pub fn compare(records: &[Record]) -> Vec<Comparison> {
    let Some((first, others)) = records.split_first() else { return Vec::new() };
    let mut out = Vec::new();
    for result in &first.results {
        for (number, other) in others.iter().enumerate() {
            let Some(theirs) = counterpart(result, first, other) else { continue };
            out.push(Comparison {
                scenario: result.scenario.clone(),
                class: result.placement.class.to_string(),
                other: number + 1,
                rates: [result, theirs].map(|result| rate_with_interval(result.rate, result.interval)),
                ratio: ratio(Rate::of(result), Rate::of(theirs)),
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
    format!("{}\n{}\n{}", legend(names), lines.join("\n"), footnote(comparisons))
}

/// The same in Markdown.
pub fn comparison_markdown(names: &[String], comparisons: &[Comparison]) -> String {
    let mut text = format!("{}\n\n{}", sentences(&legend(names)), row(&HEADINGS.map(str::to_owned)));
    text.push_str(&row(&HEADINGS.map(|_| "---".to_owned())));
    for comparison in comparisons {
        text.push_str(&row(&cells(comparison, names.len() > 2)));
    }
    text + &footnote(comparisons)
}

/// What had to be assumed.
fn footnote(comparisons: &[Comparison]) -> String {
    let assumed = comparisons.iter().filter_map(|comparison| comparison.ratio).any(|ratio| ratio.assumed);
    let percent = BETWEEN_RUNS * 100.0;
    if assumed {
        format!(
            "\nA rate of one run does not say what runs differ by: {percent:.0} % (one standard deviation) is assumed. `wakerace run --repeat 5` \
             measures it.\n"
        )
    } else {
        String::new()
    }
}

/// What A, B, ... are.
fn legend(names: &[String]) -> String {
    let line = |(number, name): (usize, &String)| {
        format!("{}: {}\n", char::from(b'A' + number.min(25) as u8), shown::line(name))
    };
    names.iter().enumerate().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of several runs that differ by no more than chance.
    fn many(seen: u64, trials: u64) -> Rate {
        Rate { seen, trials, effect: 1.0, repeated: true }
    }

    fn once(seen: u64, trials: u64) -> Rate {
        Rate { repeated: false, ..many(seen, trials) }
    }

    #[test]
    fn ratios_know_chance_from_difference() {
        let close = ratio(many(1000, 1_000_000), many(1040, 1_000_000)).unwrap();
        assert!((close.value - 1.04).abs() < 1e-9 && !close.differs() && !close.assumed, "{close:?}");
        let apart = ratio(many(1000, 1_000_000), many(1300, 1_000_000)).unwrap();
        assert!(apart.differs() && apart.low > 1.1 && apart.high < 1.5, "{apart:?}");
        // The other over the first: a smaller rate there is below one.
        let below = ratio(many(1300, 1_000_000), many(1000, 1_000_000)).unwrap();
        assert!(below.differs() && below.high < 1.0 && below.low > 0.6, "{below:?}");
        assert!((below.low * apart.high - 1.0).abs() < 1e-9 && (below.high * apart.low - 1.0).abs() < 1e-9);
        // Twice the trials halve the rate.
        let scaled = ratio(many(1000, 1_000_000), many(1000, 2_000_000)).unwrap();
        assert!((scaled.value - 0.5).abs() < 1e-9 && scaled.differs(), "{scaled:?}");
        assert_eq!(ratio(many(0, 10), many(0, 10)), None);
        assert_eq!((ratio(many(0, 0), many(1, 10)), ratio(many(1, 10), many(0, 0))), (None, None));
        let only_there = ratio(many(0, 1_000_000), many(50, 1_000_000)).unwrap();
        assert!(only_there.value.is_infinite() && only_there.high.is_infinite() && only_there.low > 10.0);
        assert!(!ratio(many(0, 1_000_000), many(1, 1_000_000)).unwrap().differs());
        let gone = ratio(many(50, 1_000_000), many(0, 1_000_000)).unwrap();
        assert!(gone.value == 0.0 && gone.high < 0.1 && gone.differs());
    }

    /// Two runs of one box: 35.5 % against 38.6 % of tens of millions of iterations.
    #[test]
    fn two_runs_of_a_drifting_box_are_no_difference() {
        let runs = [(35_500_000, 100_000_000), (38_600_000, 100_000_000)];
        let [a, b] = runs.map(|(seen, trials)| once(seen, trials));
        let single = ratio(a, b).unwrap();
        assert!(!single.differs() && single.assumed && (single.value - 386.0 / 355.0).abs() < 1e-9, "{single:?}");
        // As if iterations were independent, the smallest difference would do.
        let [a, b] = runs.map(|(seen, trials)| many(seen, trials));
        assert!(ratio(a, b).unwrap().differs());
        // What repeats differ by decides.
        let [a, b] = [a, b].map(|rate| Rate { effect: 200_000.0, ..rate });
        let spread = ratio(a, b).unwrap();
        assert!(!spread.differs() && !spread.assumed, "{spread:?}");
        assert!(ratio(a, Rate { seen: 90_000_000, ..b }).unwrap().differs());
        // Assumed or not, three times as many are more, and none at all is fewer.
        let times = ratio(once(1_000_000, 100_000_000), once(3_000_000, 100_000_000)).unwrap();
        assert!(times.differs() && times.low > 1.7 && times.high < 5.3, "{times:?}");
        let gone = ratio(once(1000, 1_000_000), once(0, 1_000_000)).unwrap();
        assert!(
            gone.differs() && gone.value == 0.0 && gone.low == 0.0 && gone.high > 0.004 && gone.high < 0.01,
            "{gone:?}"
        );
        // One side repeated: the other's share of the spread alone is assumed.
        let one = ratio(once(1_000_000, 100_000_000), many(1_000_000, 100_000_000)).unwrap();
        let width = (one.high / one.low).ln() / 2.0;
        assert!(one.assumed && (width - Z * BETWEEN_RUNS).abs() < 1e-3, "{one:?}");
    }

    #[test]
    fn an_effect_counts_races_for_fewer_on_its_own_side() {
        let width = |a: f64, b: f64| {
            let of = |effect| Rate { effect, ..many(10_000, 1_000_000) };
            let found = ratio(of(a), of(b)).unwrap();
            assert!((found.value - 1.0).abs() < 1e-9, "{found:?}");
            (found.high / found.low).ln() / (2.0 * Z)
        };
        // Variances of logarithms: 1/k each.
        for (a, b, wanted) in [(1.0, 1.0, 2e-4), (100.0, 1.0, 101e-4), (1.0, 100.0, 101e-4), (50.0, 100.0, 150e-4)] {
            let variance: f64 = width(a, b).powi(2);
            assert!((variance / wanted - 1.0).abs() < 0.1, "{a} {b}: {variance}");
        }
    }
}
