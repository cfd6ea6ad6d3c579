//! What the page holds beside its text: its records as downloads, and the picture that a link to it shows.

use std::io::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use flate2::{Compression, GzBuilder};
use serde::Serialize;

use super::answer::Answer;
use super::forest::Chart;
use super::{Entry, STYLE};
use crate::error::{Error, Result};
use crate::publish::Publish;
use crate::publish::chart::{WIDE, escape};
use crate::publish::fit::broken;
use crate::record::AnyRecord;
use crate::shown;

/// The most bytes of records in a page. A compressed record of a default run has about 30 kB.
const MOST: usize = 400_000;

/// The most bytes of other files in a page: histograms. One has about 7 kB.
const MOST_RAW: usize = 150_000;

/// The room that a page has for files other than its records.
pub(super) struct Room {
    left: usize,
}

impl Room {
    /// The room of a page, or no room at all.
    pub(super) fn of(full: bool) -> Room {
        Room { left: if full { MOST_RAW } else { 0 } }
    }

    /// A text as a download; `None` if there is no room for it.
    pub(super) fn file(&mut self, name: String, text: &str) -> Option<Download> {
        let href = format!("data:text/plain;base64,{}", STANDARD.encode(text));
        self.left = self.left.checked_sub(href.len())?;
        Some(Download { name, href, size: format!("{} kB", text.len().div_ceil(1000)) })
    }
}

/// A file in the page.
#[derive(Serialize)]
pub(super) struct Download {
    name: String,
    href: String,
    /// The size of the file, in kB.
    size: String,
}

/// The records, compressed with gzip; empty if they are too large for the page.
///
/// # Errors
/// Only an internal one.
pub(super) fn downloads(entries: &[Entry]) -> Result<Vec<Download>> {
    let mut out = Vec::new();
    let mut left = MOST;
    for entry in entries {
        let json = match &entry.record {
            AnyRecord::Run(record) => record.json()?,
            AnyRecord::Protocol(record) => record.json()?,
            AnyRecord::Campaign(record) => record.json()?,
        };
        let packed = gzip(json.as_bytes()).map_err(Error::io("compressing a record"))?;
        let href = format!("data:application/gzip;base64,{}", STANDARD.encode(&packed));
        let Some(rest) = left.checked_sub(href.len()) else { return Ok(Vec::new()) };
        left = rest;
        let name = entry.name.rsplit(['/', '\\']).next().unwrap_or_default();
        let name = if name.ends_with(".json") { name.to_owned() } else { "record.json".to_owned() };
        out.push(Download { name: name + ".gz", href, size: format!("{} kB", packed.len().div_ceil(1000)) });
    }
    Ok(out)
}

/// Compresses bytes. The same bytes give the same file: there is no time in it.
fn gzip(bytes: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut writer = GzBuilder::new().write(Vec::new(), Compression::default());
    writer.write_all(bytes)?;
    writer.finish()
}

/// The width and height of the picture of a link, in pixels: what most sites show.
const PICTURE: (f64, f64) = (1200.0, 630.0);

/// The answer and the chart as an SVG file of its own.
pub(super) fn picture(answer: &Answer, chart: Option<&Chart>) -> String {
    let (width, height) = PICTURE;
    // The page's style depends on the reader's colours. A picture on another page is always light.
    let style = STYLE.split("@media").next().unwrap_or_default();
    let charts = STYLE.split("/* charts */").nth(1).and_then(|rest| rest.split("@media").next());
    let mut text = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" viewBox=\"0 0 {width} {height}\" role=\"img\" \
         aria-label=\"{}\">\n<style>{style}{}</style>\n<rect width=\"{width}\" height=\"{height}\" style=\"fill:var(--paper)\"/>\n",
        escape(&answer.headline),
        charts.unwrap_or_default()
    );
    let mut y = 26.0;
    for line in broken(&shown::line(&answer.headline), 62, "").into_iter().take(4) {
        y += 36.0;
        text.push_str(&format!(
            "<text x=\"24\" y=\"{y}\" style=\"font:700 30px system-ui,sans-serif;fill:var(--ink)\">{}</text>\n",
            escape(&line)
        ));
    }
    if let Some(chart) = chart {
        let (top, room) = (y + 24.0, height - y - 64.0);
        let place =
            format!("<svg x=\"20\" y=\"{top}\" width=\"{WIDE}\" height=\"{room}\" preserveAspectRatio=\"xMidYMin\" ");
        text.push_str(&chart.wide.replacen("<svg ", &place, 1));
    }
    let foot = "wakerace: memory-ordering races of the Linux kernel's wakeup path";
    let y = height - 16.0;
    text.push_str(&format!(
        "\n<text x=\"24\" y=\"{y}\" style=\"font:18px system-ui,sans-serif;fill:var(--soft)\">{foot}</text>\n</svg>\n"
    ));
    text
}

/// A picture as an address that needs no file.
pub(super) fn inline(svg: &str) -> String {
    format!("data:image/svg+xml;base64,{}", STANDARD.encode(svg))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_in_the_page_is_the_same_every_time() {
        let once = gzip(b"{}").unwrap();
        assert_eq!(once, gzip(b"{}").unwrap());
        assert_eq!(&once[4..8], [0; 4], "no time");
    }
}
