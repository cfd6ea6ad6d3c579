//! What the page holds beside its text: its records and histograms as downloads.

use std::io::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use flate2::{Compression, GzBuilder};
use serde::Serialize;

use super::Entry;
use crate::error::{Error, Result};
use crate::publish::Publish;
use crate::record::AnyRecord;

/// The most bytes of records in a page. A compressed record of a default run has 30 to 90 kB.
const MOST: usize = 1_200_000;

/// The most bytes of other files in a page: histograms. Those of a default run have about 20 kB.
const MOST_RAW: usize = 250_000;

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

/// The records, compressed with gzip; `None` if they are too large for the page.
///
/// # Errors
/// Only an internal one.
pub(super) fn downloads(entries: &[Entry]) -> Result<Option<Vec<Download>>> {
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
        let Some(rest) = left.checked_sub(href.len()) else { return Ok(None) };
        left = rest;
        let name = entry.name.rsplit(['/', '\\']).next().unwrap_or_default();
        let name = if name.ends_with(".json") { name.to_owned() } else { "record.json".to_owned() };
        out.push(Download { name: name + ".gz", href, size: format!("{} kB", packed.len().div_ceil(1000)) });
    }
    Ok(Some(out))
}

/// Compresses bytes. The same bytes give the same file: there is no time in it.
fn gzip(bytes: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut writer = GzBuilder::new().write(Vec::new(), Compression::best());
    writer.write_all(bytes)?;
    writer.finish()
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
