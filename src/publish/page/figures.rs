//! The parts of a page that hold charts. Each kind of chart has its own module.

use serde::Serialize;

use super::embed::Download;
use super::runs;
use super::sum::Sum;
use crate::publish::chart::Look;

/// The level of detail of a page.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd)]
pub(super) enum Detail {
    /// Every point of a race's line is marked and has a tooltip with its counts. The page lists the code.
    Full,
    /// Only lines and bounds are drawn.
    Lines,
    /// Only the first charts and the counts.
    Least,
}

impl Detail {
    /// What a page of this detail leaves out.
    pub(super) fn left_out(self) -> Vec<&'static str> {
        let points = [
            "the points of race windows",
            "cache-line ownership",
            "where the time goes",
            "machine code",
            "the records themselves",
        ];
        match self {
            Detail::Full => Vec::new(),
            Detail::Lines => points.to_vec(),
            Detail::Least => {
                [&points[1..], &["race windows of all outcomes", "pairs of CPUs", "gaps between races"]].concat()
            }
        }
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

/// An address in the page: only letters, digits and some marks, which no browser changes.
pub(super) fn id(parts: &[&str]) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() || "_.+".contains(c) { c } else { '-' };
    parts.join("-").chars().map(plain).collect()
}
