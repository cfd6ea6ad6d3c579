//! The rates of each test by kind of CPU: median, spread, and the runs that are unlike the others.

use super::forest::ground;
use super::runs::{Run, Symbol};
use super::sum::Sum;
use crate::publish::chart::{Ground, Look};
use crate::publish::numbers::upper_bound;
use crate::publish::{cpus, rate};
use crate::stats::{interval, median};

/// A run is unlike the others of its kind of CPU if its rate is more than this many times theirs, or less than one part in so
/// many. Five runs on one quiet machine differed by up to 40 % (docs/performance.md).
const UNLIKE: f64 = 3.0;

/// A kind of CPU with its runs.
pub(super) struct Kind<'a> {
    pub(super) name: String,
    pub(super) look: Look,
    pub(super) runs: Vec<&'a Run<'a>>,
}

impl Kind<'_> {
    pub(super) fn symbol(&self) -> Symbol {
        Symbol::of(self.look)
    }
}

/// The kinds of CPU, in the order in which they come first.
pub(super) fn kinds<'a>(runs: &[&'a Run<'a>]) -> Vec<Kind<'a>> {
    let kinds = cpus::by_cpu(runs.iter().copied(), |run| run.host()).into_iter().enumerate();
    kinds.map(|(colour, (name, runs))| Kind { name, look: Look::numbered(colour), runs }).collect()
}

/// The rate of one run, or its upper bound.
pub(super) struct One<'a> {
    /// The letter of the run.
    pub(super) letter: &'a str,
    /// The rate; `None` if nothing was seen.
    pub(super) rate: Option<f64>,
    /// The upper end of the interval.
    pub(super) high: f64,
}

/// The rates of one test on one kind of CPU.
pub(super) struct Spread<'a> {
    first: &'a Sum<'a>,
    pub(super) iterations: u64,
    pub(super) races: u64,
    /// The runs, by rate. Those that saw nothing come first. Placement classes of one run count as runs.
    pub(super) runs: Vec<One<'a>>,
}

/// The rates of one test, by kind of CPU.
pub(super) fn spreads<'a, 'b>(sums: &'a [Sum<'a>], kinds: &'b [Kind<'a>]) -> Vec<(&'b Kind<'a>, Spread<'a>)> {
    let mut out = Vec::new();
    for kind in kinds {
        let of_kind: Vec<&Sum<'_>> = (sums.iter())
            .filter(|sum| sum.iterations > 0 && cpus::same_cpu(sum.run.host(), kind.runs[0].host()))
            .collect();
        let Some(&first) = of_kind.first() else { continue };
        let one = |sum: &&'a Sum<'a>| One {
            letter: sum.run.letter.as_str(),
            rate: sum.rate().filter(|rate| *rate > 0.0),
            high: sum.interval().map_or(1.0, |interval| interval.high),
        };
        let mut runs: Vec<One<'_>> = of_kind.iter().map(one).collect();
        runs.sort_by(|a, b| a.rate.unwrap_or(0.0).total_cmp(&b.rate.unwrap_or(0.0)));
        let add = |of: fn(&Sum<'_>) -> u64| of_kind.iter().fold(0u64, |sum, one| sum.saturating_add(of(one)));
        let (iterations, races) = (add(|sum| sum.iterations), add(|sum| sum.races));
        out.push((kind, Spread { first, iterations, races, runs }));
    }
    out
}

impl Spread<'_> {
    /// The test.
    pub(super) fn scenario(&self) -> &str {
        &self.first.first().scenario
    }

    pub(super) fn result(&self) -> &crate::record::ScenarioResult {
        self.first.first()
    }

    pub(super) fn ground(&self) -> Ground {
        ground(self.first.first())
    }

    /// The rates that are not zero, ascending.
    pub(super) fn seen(&self) -> Vec<f64> {
        self.runs.iter().filter_map(|one| one.rate).collect()
    }

    /// The median of the runs that saw the race.
    pub(super) fn median(&self) -> Option<f64> {
        let seen = self.seen();
        (!seen.is_empty()).then(|| median(seen))
    }

    /// The lowest and the highest rate; without races, the interval of all iterations together.
    pub(super) fn ends(&self) -> (f64, f64) {
        match self.seen().as_slice() {
            [low, .., high] => (*low, *high),
            [one] => (*one, *one),
            [] => interval(self.races, self.iterations).map_or((0.0, 1.0), |interval| (interval.low, interval.high)),
        }
    }

    pub(super) fn words(&self) -> String {
        let (low, high) = self.ends();
        match self.median() {
            Some(median) if low < high => format!("{} ({} to {})", rate(median), rate(low), rate(high)),
            Some(median) => rate(median),
            None => upper_bound(high),
        }
    }

    /// Whether the rate of a run is far from the median. A run that saw nothing is far from it if its upper bound is.
    pub(super) fn is_unlike(&self, one: &One<'_>) -> bool {
        let Some(median) = self.median() else { return false };
        match one.rate {
            Some(rate) => rate > UNLIKE * median || rate < median / UNLIKE,
            None => one.high < median / UNLIKE,
        }
    }

    /// The runs whose rates are far from the median, with their rates.
    pub(super) fn unlike(&self) -> Vec<String> {
        let far = self.runs.iter().filter(|one| self.is_unlike(one));
        far.map(|one| format!("{} {}", one.letter, one.rate.map_or_else(|| upper_bound(one.high), rate))).collect()
    }
}
