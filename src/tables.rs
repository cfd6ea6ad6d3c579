//! Tables of plain text, without borders.

use comfy_table::{ContentArrangement, Table, presets};

/// An empty table without borders. Its columns are as wide as their cells.
pub fn plain() -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
    table
}

/// The lines of a table, without spaces at their ends. The last one has no line feed.
pub fn text(table: &Table) -> String {
    table.lines().map(|line| line.trim_end().to_owned()).collect::<Vec<_>>().join("\n")
}
