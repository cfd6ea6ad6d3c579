//! One race window, or the first chart, as an SVG file of its own, for READMEs, mails and articles.

use super::figures::Detail;
use super::runs::{Run, runs};
use super::spread::kinds;
use super::sum::sums;
use super::windows::windows;
use super::{FLEET, STYLE, compared, fleet, forest};
use crate::error::{Error, Result};
use crate::publish::Entry;

/// Draws the race window of one test of a record: the chart that the page shows, with the page's style. Without a name
/// it draws the first test that raced, or the first one if none did.
///
/// # Errors
/// If the record has no window of that name. The message lists the names that it has.
pub fn picture(entry: &Entry, name: Option<&str>) -> Result<String> {
    let runs = runs(std::slice::from_ref(entry));
    let of_runs: Vec<&Run<'_>> = runs.iter().collect();
    let sums = sums(&of_runs);
    let windows = windows(&sums, Detail::FULL);
    let raced = |name: &str| sums.iter().any(|sum| sum.first().scenario == name && sum.first().races > 0);
    let wanted = match name {
        Some(name) => windows.iter().find(|window| window.heading == name),
        None => windows.iter().find(|window| raced(&window.heading)).or(windows.first()),
    };
    let chart = wanted.and_then(|window| window.figures.first()).ok_or_else(|| {
        let names: Vec<&str> = windows.iter().map(|window| window.heading.as_str()).collect();
        Error::Usage(match name {
            _ if names.is_empty() => format!("{}: no test was measured at more than one skew", entry.name),
            Some(name) => format!("--result: no window of '{name}'; the record has {}", names.join(", ")),
            None => format!("{}: no race window", entry.name),
        })
    })?;
    Ok(own_file(&chart.svg, 2.0))
}

/// Draws the first chart of the page of some records as an SVG file of its own; `None` if the page has none: it has only runs of the
/// protocol, campaigns or emulated runs.
pub fn rates_picture(entries: &[Entry]) -> Option<String> {
    let runs = runs(entries);
    let real: Vec<&Run<'_>> = runs.iter().filter(|run| !run.host().emulated).collect();
    let sums = sums(&real);
    let chart = if entries.len() > FLEET {
        let kinds = kinds(&real);
        fleet::chart(&fleet::by_test(&sums, &kinds))
    } else {
        forest::chart(&sums, &compared(&sums))
    };
    // The page shows this form in wide windows only; the file has no other.
    let svg = chart?.forest.svg().replacen("<svg ", "<svg style=\"display: block\" ", 1);
    Some(own_file(&svg, 1.0))
}

/// A chart of the page as an SVG file of its own, so many times as large as on the page.
pub(in crate::publish) fn own_file(svg: &str, scale: f64) -> String {
    // The style of the page's charts uses the page's colours, which are defined for the root element. In a file of its
    // own the chart is the root.
    let style = format!("<style>{STYLE}\nsvg {{ background: var(--paper); }}</style>");
    let (open, rest) = svg.split_once('>').unwrap_or((svg, ""));
    let sides = open.split_once("viewBox=\"0 0 ").and_then(|(_, rest)| rest.split_once('"'));
    let sides = sides.and_then(|(sides, _)| sides.split_once(' '));
    let number = |text: &str| text.parse::<f64>().unwrap_or(0.0) * scale;
    let size = sides.map_or(String::new(), |(width, height)| {
        format!(" width=\"{:.0}\" height=\"{:.0}\"", number(width), number(height))
    });
    format!("{open}{size}>\n{style}{rest}\n")
}
