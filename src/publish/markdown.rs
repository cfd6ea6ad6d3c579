//! The table in Markdown.

use super::table::{NUMERIC, headings, lines, summary, title};
use crate::record::Record;

/// A record's table, with its title before and what it means after.
pub fn markdown(record: &Record) -> String {
    let row = |cells: &[String]| {
        let escaped: Vec<String> = cells.iter().map(|cell| cell.replace('|', "\\|")).collect();
        format!("| {} |\n", escaped.join(" | "))
    };
    let headings = headings(record);
    let rule: Vec<String> =
        (0..headings.len()).map(|column| if NUMERIC.contains(&column) { "---:" } else { "---" }.to_owned()).collect();
    let mut text = format!("{}\n\n{}{}", title(record), row(&headings), row(&rule));
    for line in lines(record) {
        text.push_str(&row(&line));
    }
    format!("{text}\n{}\n", summary(record))
}
