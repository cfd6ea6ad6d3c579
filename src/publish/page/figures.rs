//! The parts of a page that hold charts. Each kind of chart has its own module.

use serde::Serialize;

use super::embed::Download;
use super::runs;
use super::sum::Sum;
use crate::publish::chart::{Bars, Look};

/// A part that a page leaves out if it would be too large with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    /// The race windows of outcomes other than the race.
    Outcomes,
    /// Every point of a race's line is marked and has a tooltip with its counts.
    Points,
    /// Cache-line ownership.
    Ownership,
    /// The records and the histograms as downloads.
    Records,
    /// Where the time goes.
    Time,
    /// The race windows of placements beyond the first.
    Placements,
    /// Gaps between races.
    Gaps,
    /// The race windows of all tests.
    Windows,
    /// Heat maps of pairs, and rates by distance.
    Pairs,
    /// The machine code.
    Code,
}

impl Part {
    /// All parts. Those that take the most bytes for what they tell are left out first.
    const ALL: [Part; 10] = [
        Part::Outcomes,
        Part::Points,
        Part::Ownership,
        Part::Records,
        Part::Time,
        Part::Placements,
        Part::Gaps,
        Part::Windows,
        Part::Pairs,
        Part::Code,
    ];

    /// What the part is.
    pub(super) const fn words(self) -> &'static str {
        match self {
            Part::Outcomes => "race windows of outcomes other than the race",
            Part::Points => "the counts of each point of a race window",
            Part::Ownership => "cache-line ownership",
            Part::Records => "the records and histograms as downloads",
            Part::Time => "where the time goes",
            Part::Placements => "race windows of each placement",
            Part::Gaps => "gaps between races",
            Part::Windows => "race windows of the tests below the first chart",
            Part::Pairs => "pairs of CPUs and distances",
            Part::Code => "machine code",
        }
    }
}

/// How much a page shows: all but the first parts of [`Part::ALL`]. The answer, the first chart, the race windows of the race and
/// its control, and the counts are always there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Detail {
    without: usize,
}

impl Detail {
    /// Everything.
    pub(super) const FULL: Detail = Detail { without: 0 };
    /// As little as a page can have.
    pub(super) const LEAST: Detail = Detail { without: Part::ALL.len() };

    /// The details between two, without the ends.
    pub(super) fn between(more: Detail, less: Detail) -> Option<Detail> {
        let without = usize::midpoint(more.without, less.without);
        (without > more.without).then_some(Detail { without })
    }

    /// Whether the page has a part.
    pub(super) fn has(self, part: Part) -> bool {
        Part::ALL[self.without..].contains(&part)
    }

    /// What a page of this detail leaves out, in words.
    pub(super) fn left_out(self) -> Vec<&'static str> {
        Part::ALL[..self.without].iter().map(|part| part.words()).collect()
    }
}

/// A chart with its caption.
#[derive(Serialize, Default)]
pub(super) struct Figure {
    /// The address of the chart in the page.
    pub(super) id: String,
    /// The test; empty if the chart shows several.
    pub(super) test: String,
    pub(super) caption: String,
    /// What to see here, in one line.
    pub(super) note: String,
    /// Whether the chart shows the race. If so, the caption has a mark.
    pub(super) race: bool,
    pub(super) svg: String,
    pub(super) legend: Vec<Legend>,
    /// The data behind the chart, as files.
    pub(super) raw: Vec<Download>,
}

/// An entry of a chart's legend.
#[derive(Serialize, PartialEq)]
pub(super) struct Legend {
    pub(super) classes: String,
    pub(super) text: String,
}

/// The charts of one test.
#[derive(Serialize)]
pub(super) struct Section {
    pub(super) heading: String,
    pub(super) note: String,
    pub(super) figures: Vec<Figure>,
}

/// The legend's entry for the line of a sum with this look.
pub(super) fn legend(sum: &Sum<'_>, look: Look) -> Legend {
    let host = runs::name(sum.run.host());
    Legend { classes: look.classes(), text: format!("{} {host}, {}", sum.run.letter, sum.placement()) }
}

/// Draws charts of bars, those of one test on the same axis, so that its runs and placements can be compared.
pub(super) fn on_one_axis_a_test(mut charts: Vec<(Figure, Bars)>) -> Vec<Figure> {
    let tests: Vec<String> = charts.iter().map(|(figure, _)| figure.test.clone()).collect();
    let ends: Vec<(f64, f64)> = charts.iter().map(|(_, bars)| (bars.axis.low, bars.axis.high)).collect();
    for (number, (_, bars)) in charts.iter_mut().enumerate() {
        for (test, (low, high)) in tests.iter().zip(&ends) {
            if *test == tests[number] {
                (bars.axis.low, bars.axis.high) = (bars.axis.low.min(*low), bars.axis.high.max(*high));
            }
        }
    }
    charts.into_iter().map(|(figure, bars)| Figure { svg: bars.svg(), ..figure }).collect()
}

/// An address in the page: only letters, digits and some marks, which no browser changes.
pub(super) fn id(parts: &[&str]) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() || "_.+".contains(c) { c } else { '-' };
    parts.join("-").chars().map(plain).collect()
}
