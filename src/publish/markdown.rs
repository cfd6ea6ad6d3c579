//! Writes the table in Markdown.

use super::table::{NUMERIC, headings, lines, summary, title};
use crate::record::Record;
use crate::shown;

/// Escapes text for Markdown and puts it on one line. The result starts no cell, tag, code, link or image.
pub(super) fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in shown::line(text).chars() {
        // A link contains `](`. Other brackets are those of intervals and stay as they are.
        if matches!(c, '\\' | '|' | '<' | '`') || c == '(' && out.ends_with(']') {
            out.push('\\');
        }
        out.push(c);
    }
    out
}

/// Writes cells as a row of a table.
pub(super) fn row(cells: &[String]) -> String {
    let escaped: Vec<String> = cells.iter().map(|cell| escape(cell)).collect();
    format!("| {} |\n", escaped.join(" | "))
}

/// Escapes a text of one sentence per line.
pub(super) fn sentences(text: &str) -> String {
    text.lines().map(escape).collect::<Vec<_>>().join("\n")
}

/// Writes a record's title, table and summary.
pub fn markdown(record: &Record) -> String {
    let headings = headings(record);
    let rule: Vec<String> =
        (0..headings.len()).map(|column| if NUMERIC.contains(&column) { "---:" } else { "---" }.to_owned()).collect();
    let mut text = format!("{}\n\n{}{}", escape(&title(record)), row(&headings), row(&rule));
    for line in lines(record) {
        text.push_str(&row(&line));
    }
    format!("{text}\n{}\n", sentences(&summary(record)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_stays_text_in_its_cell() {
        assert_eq!(escape("a|b<i>`c` ![x](http://y) [0.1, 0.2]\\"), r"a\|b\<i>\`c\` ![x]\(http://y) [0.1, 0.2]\\");
        assert_eq!(escape("a\nb\u{1b}[0m"), r"a\\u{a}b\\u{1b}[0m");
        assert_eq!(row(&["x|y".to_owned(), "1".to_owned()]), "| x\\|y | 1 |\n");
    }
}
