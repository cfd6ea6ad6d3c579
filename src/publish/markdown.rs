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

/// Writes a table. The columns in `right` are right-aligned.
pub(super) fn table(headings: &[String], lines: impl IntoIterator<Item: AsRef<[String]>>, right: &[usize]) -> String {
    let rule = |column: usize| if right.contains(&column) { "---:" } else { "---" }.to_owned();
    let rule: Vec<String> = (0..headings.len()).map(rule).collect();
    let lines: String = lines.into_iter().map(|line| row(line.as_ref())).collect();
    row(headings) + &row(&rule) + &lines
}

/// Writes cells as a row of a table.
fn row(cells: &[String]) -> String {
    let escaped: Vec<String> = cells.iter().map(|cell| escape(cell)).collect();
    format!("| {} |\n", escaped.join(" | "))
}

/// A text of one sentence per line as a list, if it has several: lines that follow each other without a mark would be one paragraph. A line
/// that is indented belongs to the one above it.
pub(super) fn sentences(text: &str) -> String {
    let item = |line: &str| match line.strip_prefix("  ") {
        Some(below) => format!("  - {}", with_code(below)),
        None => format!("- {}", with_code(line)),
    };
    let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
    match lines[..] {
        [one] => with_code(one),
        _ => lines.into_iter().map(item).collect::<Vec<_>>().join("\n"),
    }
}

/// Escapes text outside of a table. What stands between two backticks is code, where nothing needs to be escaped.
fn with_code(text: &str) -> String {
    let parts: Vec<&str> = text.split('`').collect();
    let mut out = String::new();
    for (at, part) in parts.iter().enumerate() {
        match at % 2 {
            1 if at + 1 < parts.len() && !part.is_empty() => out.push_str(&format!("`{}`", shown::line(part))),
            1 if at + 1 < parts.len() => out.push_str(r"\`\`"),
            // The mark before it has no partner.
            1 => out.push_str(&escape(&format!("`{part}"))),
            _ => out.push_str(&escape(part)),
        }
    }
    out
}

/// Writes a record's title, table and summary.
pub fn markdown(record: &Record) -> String {
    let right: Vec<usize> = NUMERIC.collect();
    let table = table(&headings(record), lines(record), &right);
    format!("{}\n\n{table}\n{}\n", escape(&title(record)), sentences(&summary(record)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sentences_are_a_list_with_code() {
        let text = "One | `--repeat 5` and `a|b<i>`.\n  Below it, <b>.\n\n\tA `mark alone.";
        let list = "- One \\| `--repeat 5` and `a|b<i>`.\n  - Below it, \\<b>.\n- \\\\u{9}A \\`mark alone.";
        assert_eq!(sentences(text), list);
        assert_eq!(sentences("One `x`.\n"), "One `x`.");
        assert_eq!(with_code("``x"), r"\`\`x");
    }

    #[test]
    fn a_name_stays_text_in_its_cell() {
        assert_eq!(escape("a|b<i>`c` ![x](http://y) [0.1, 0.2]\\"), r"a\|b\<i>\`c\` ![x]\(http://y) [0.1, 0.2]\\");
        assert_eq!(escape("a\nb\u{1b}[0m"), r"a\\u{a}b\\u{1b}[0m");
        assert_eq!(row(&["x|y".to_owned(), "1".to_owned()]), "| x\\|y | 1 |\n");
    }
}
