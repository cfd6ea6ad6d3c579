//! Fits text and the table of results into the width of a terminal or a mail. No number is ever cut or broken.

use comfy_table::CellAlignment;

use super::numbers::short_count;
use crate::{shown, tables};

/// A table: headings and lines, and the columns that are right-aligned.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Cells {
    pub(super) headings: Vec<String>,
    pub(super) lines: Vec<Vec<String>>,
    pub(super) right: Vec<usize>,
}

impl Cells {
    /// The table as text.
    pub(super) fn text(&self) -> String {
        let mut table = tables::plain();
        table.set_header(self.headings.clone());
        for line in &self.lines {
            table.add_row(line.iter().map(|cell| shown::line(cell).into_owned()));
        }
        for column in &self.right {
            if let Some(column) = table.column_mut(*column) {
                column.set_cell_alignment(CellAlignment::Right);
            }
        }
        tables::text(&table)
    }

    pub(super) fn fits(&self, width: usize) -> bool {
        self.text().lines().all(|line| line.chars().count() <= width)
    }

    fn column(&self, heading: &str) -> Option<usize> {
        self.headings.iter().position(|known| known == heading)
    }

    /// Leaves out a column.
    pub(super) fn without(mut self, heading: &str) -> Cells {
        let Some(at) = self.column(heading) else { return self };
        self.headings.remove(at);
        for line in &mut self.lines {
            line.remove(at);
        }
        self.right.retain(|column| *column != at);
        for column in self.right.iter_mut().filter(|column| **column > at) {
            *column -= 1;
        }
        self
    }

    /// Leaves out a column in which every cell is a dash.
    pub(super) fn without_if_empty(self, heading: &str) -> Cells {
        let Some(at) = self.column(heading) else { return self };
        if self.lines.iter().all(|line| line[at] == "-") { self.without(heading) } else { self }
    }

    /// Leaves out columns, in the order of `least`, until the table fits.
    pub(super) fn shortest(self, width: usize, least: &[&str]) -> Cells {
        least.iter().fold(self, |cells, heading| if cells.fits(width) { cells } else { cells.without(heading) })
    }

    /// Leaves out a column whose cells say nothing but one thing.
    fn without_if_alike(self, heading: &str) -> Cells {
        let Some(at) = self.column(heading) else { return self };
        let mut said = self.lines.iter().map(|line| &line[at]).filter(|cell| !cell.is_empty());
        let first = said.next().cloned();
        if said.all(|cell| Some(cell) == first.as_ref()) { self.without(heading) } else { self }
    }

    /// Breaks the headings at their last space, so that columns with short cells are narrower.
    pub(super) fn with_short_headings(mut self) -> Cells {
        for heading in &mut self.headings {
            if let Some((first, last)) = heading.rsplit_once(' ') {
                *heading = format!("{first}\n{last}");
            }
        }
        self
    }

    /// Changes every cell of a column.
    pub(super) fn with(mut self, heading: &str, change: impl Fn(&str) -> String) -> Cells {
        if let Some(at) = self.column(heading) {
            for cell in self.lines.iter_mut().map(|line| &mut line[at]) {
                *cell = change(cell);
            }
        }
        self
    }

    /// Names the lines that have only a place by it: `at 37 ns`, without its share of the time.
    fn with_places_as_names(mut self) -> Cells {
        let Some(at) = self.column("CPUs") else { return self };
        for line in self.lines.iter_mut().filter(|line| line[0].is_empty()) {
            let place = line[at].split(',').next().unwrap_or_default();
            line[0] = format!("  {}", place.replace(" without a neighbour", ", no neighbour"));
        }
        self
    }

    /// Cuts the intervals off the rates of a column.
    fn without_interval(self, heading: &str) -> Cells {
        let rate = |cell: &str| cell.split(" [").next().unwrap_or_default().to_owned();
        let mut cells = self.with(heading, rate);
        if let Some(at) = cells.column(heading) {
            cells.headings[at] = rate(heading);
        }
        cells
    }

    /// Shortens the counts of a column: `39,581,793` becomes `39.6 M`.
    fn shortened(mut self, heading: &str) -> Cells {
        let Some(at) = self.column(heading) else { return self };
        for cell in self.lines.iter_mut().map(|line| &mut line[at]) {
            if let Ok(count) = cell.replace(',', "").parse() {
                *cell = short_count(count);
            }
        }
        self
    }
}

/// The table as text of at most `width` columns, if its names allow that: columns that say least are left out first, then
/// counts are shortened. At last each test's name gets a line of its own.
pub(super) fn fitted(cells: Cells, width: usize) -> String {
    type Step = fn(Cells) -> Cells;
    let steps: [Step; 6] = [
        |cells| cells.without("best skew"),
        |cells| cells.without("matches"),
        |cells| cells.shortened("iterations").shortened("races"),
        |cells| cells.without("races"),
        |cells| cells.with_places_as_names().without("CPUs"),
        |cells| cells.without("iterations"),
    ];
    let mut cells = cells;
    for step in steps {
        if cells.fits(width) {
            return cells.text();
        }
        cells = step(cells);
    }
    if cells.fits(width) { cells.text() } else { with_names_above(cells) }
}

/// What the last column of a comparison says of different machine code.
pub(super) const DIFFERENT_CODE: &str = ", different machine code";
/// The mark of different machine code in a table that has no room for the words.
pub(super) const OTHER_CODE: &str = "(*)";

/// What the last column of a comparison says of different settings; their words follow.
pub(super) const DIFFERENT_SETTINGS: &str = ", different settings: ";
/// The mark of different settings in a table that has no room for the words.
pub(super) const OTHER_SETTINGS: &str = "(+)";

/// A table of comparisons as text of at most `width` columns, if its names allow that. What the legend says too is left out
/// first, then the intervals of rates, because the ratio has its own.
pub(super) fn comparison(cells: Cells, width: usize) -> String {
    type Step = fn(Cells) -> Cells;
    let steps: [Step; 8] = [
        |cells| cells.without("runs"),
        |cells| cells.without_if_alike("class"),
        |cells| cells.with("differs", marked),
        |cells| cells.with("line", |cell| cell.split(' ').next().unwrap_or_default().to_owned()),
        |cells| cells.without_interval("A [95 %]").without_interval("B [95 %]").without_interval("other [95 %]"),
        |cells| cells.without_interval("rate [95 %]"),
        |cells| cells.with("differs", |cell| cell.replace(": single run", "")),
        |cells| cells.without("class"),
    ];
    let fits = |cells: Cells, step: &Step| if cells.fits(width) { cells } else { step(cells) };
    let cells = steps.iter().fold(cells, fits);
    if cells.fits(width) { cells.text() } else { with_names_above(cells) }
}

/// A cell of the last column with a mark in place of the words about code and settings.
fn marked(cell: &str) -> String {
    match cell.split_once(DIFFERENT_SETTINGS) {
        Some((verdict, _)) => format!("{verdict} {OTHER_SETTINGS}"),
        None => cell.replace(DIFFERENT_CODE, &format!(" {OTHER_CODE}")),
    }
}

/// A table as text, at most `width` columns wide if its words allow that. `least` names the columns that are left out first. If
/// that is not enough, the first column's cells get lines of their own, and at last every cell. Each line of the table is
/// followed by its note, if it has one, broken into lines. Without a width nothing is left out.
pub fn table_with_notes(
    headings: &[&str],
    lines: Vec<Vec<String>>,
    notes: &[String],
    width: Option<usize>,
    least: &[&str],
) -> String {
    let cells =
        Cells { headings: headings.iter().map(|heading| (*heading).to_owned()).collect(), lines, right: Vec::new() };
    let cells = if let Some(width) = width { cells.shortest(width, least) } else { cells };
    let fits = |text: &str| width.is_none_or(|width| text.lines().all(|line| line.chars().count() <= width));
    let text = cells.text();
    // The other forms are made only for a table that is too wide.
    let above = if fits(&text) { String::new() } else { with_names_above(cells.clone()) };
    let (mut out, rows): (String, Vec<String>) = if fits(&text) {
        let mut lines = text.lines().map(|line| format!("{line}\n"));
        (lines.next().unwrap_or_default(), lines.collect())
    } else if fits(&above) {
        let lines: Vec<&str> = above.lines().collect();
        let pair = |pair: &[&str]| pair.iter().map(|line| format!("{line}\n")).collect::<String>();
        let mut pairs = lines.chunks(2).map(pair);
        (pairs.next().unwrap_or_default(), pairs.collect())
    } else {
        (
            String::new(),
            cells.lines.iter().map(|line| stacked(&cells.headings, line, width.unwrap_or(usize::MAX))).collect(),
        )
    };
    for (number, row) in rows.iter().enumerate() {
        out.push_str(row);
        if let Some(note) = notes.get(number).filter(|note| !note.is_empty()) {
            let note = shown::line(note);
            let lines = broken(&note, width.map_or(usize::MAX, |width| width.saturating_sub(4)), "");
            out.extend(lines.iter().map(|line| format!("    {line}\n")));
        }
    }
    out
}

/// The cells of a line behind the first one, each with its heading.
fn stacked(headings: &[String], line: &[String], width: usize) -> String {
    let mut cells = headings.iter().zip(line).filter(|(_, cell)| !cell.is_empty());
    let first = cells.next().map_or(String::new(), |(_, cell)| format!("{}\n", shown::line(cell)));
    let room = width.saturating_sub(2);
    let pair = |(heading, cell): (&String, &String)| {
        let pair = format!("{heading}: {}", shown::line(cell));
        // What fits into a line is not broken.
        if pair.chars().count() < room { pair.replace(' ', "\u{a0}") } else { pair }
    };
    let text = cells.map(pair).collect::<Vec<_>>().join("; ");
    first + &wrapped(&text, room, "").lines().map(|line| format!("  {line}\n")).collect::<String>()
}

/// Lines of text, each broken at spaces into lines of at most `width` columns; as they are without a width. Lines keep their
/// indents, and what is broken off has two more columns.
pub fn wrapped_lines(text: &str, width: Option<usize>) -> String {
    let Some(width) = width else { return text.to_owned() };
    let each = text.lines().map(|line| {
        let indent = " ".repeat(line.chars().take_while(|c| *c == ' ').count());
        let lines = broken(line, width.max(20).saturating_sub(indent.len()), if line.is_empty() { "" } else { "  " });
        lines.iter().map(|line| format!("{indent}{line}\n")).collect::<String>().replace('\u{a0}', " ")
    });
    let text_ends = text.ends_with('\n') || text.is_empty();
    let mut out: String = each.collect();
    if !text_ends {
        out.pop();
    }
    out
}

/// A table as text of at most `width` columns, if its words allow that, with all of its columns: the first column's cells get
/// lines of their own, and at last every cell.
pub(super) fn whole(cells: Cells, width: Option<usize>) -> String {
    let fits = |text: &str| width.is_none_or(|width| text.lines().all(|line| line.chars().count() <= width));
    let text = cells.text();
    if fits(&text) {
        return text;
    }
    let above = with_names_above(cells.clone());
    if fits(&above) {
        return above;
    }
    let lines = cells.lines.iter().map(|line| stacked(&cells.headings, line, width.unwrap_or(usize::MAX)));
    lines.collect::<String>().trim_end().to_owned()
}

/// The table with the first column's cells on lines of their own.
pub(super) fn with_names_above(cells: Cells) -> String {
    let names: Vec<String> = cells.lines.iter().map(|line| shown::line(&line[0]).into_owned()).collect();
    let heading = cells.headings[0].clone();
    let text = cells.without(&heading).text();
    let mut rows = text.lines();
    let head = rows.next().unwrap_or_default();
    let each = names.iter().zip(rows).map(|(name, row)| match name.as_str() {
        "" => format!(" {row}"),
        name => format!("{name}\n {row}"),
    });
    std::iter::once(format!("{heading}\n {head}")).chain(each).collect::<Vec<_>>().join("\n")
}

/// Breaks a text at spaces into lines of at most `width` columns, if its words allow it. Lines after the first begin with
/// `indent`.
pub(super) fn broken(text: &str, width: usize, indent: &str) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    let mut line = String::new();
    for word in text.split(' ').filter(|word| !word.is_empty()) {
        if !line.trim().is_empty() && line.chars().count() + 1 + word.chars().count() > width {
            lines.push(std::mem::replace(&mut line, indent.to_owned()));
        }
        if !line.is_empty() && line != indent {
            line.push(' ');
        }
        line.push_str(word);
    }
    lines.push(line);
    lines
}

/// The lines of [`broken`] as plain text. A no-break space becomes a space that was not broken at.
pub(super) fn wrapped(text: &str, width: usize, indent: &str) -> String {
    broken(text, width, indent).join("\n").replace('\u{a0}', " ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cells() -> Cells {
        let words = |line: &str| line.split('|').map(|cell| cell.trim().to_owned()).collect::<Vec<_>>();
        Cells {
            headings: words(
                "scenario | CPUs | iterations | matches | races | rate [95 %] | best skew | x86_64 | finding",
            ),
            lines: vec![
                words(
                    "SB | 0,1 core | 108,436,480 | - | 36,822,586 | 34.0 % [28.7, 39.5] | +0 ns 36.1 % | Sometimes | observed",
                ),
                words("S01-core+nt+wmb | 0,1 core | 9,613,516 | 2,142,381 | 0 | < 3.1e-7 | - | Never | not observed"),
            ],
            right: vec![2, 3, 4, 5, 6],
        }
    }

    #[test]
    fn a_table_fits_and_keeps_its_rates_and_findings() {
        let full = cells().text();
        assert_eq!(fitted(cells(), 200), full);
        for width in [100, 80, 60, 40, 20] {
            let text = fitted(cells(), width);
            for kept in ["34.0 % [28.7, 39.5]", "< 3.1e-7", "not observed", "S01-core+nt+wmb"] {
                assert!(text.contains(kept), "{width}: {text}");
            }
            if width >= 60 {
                assert!(text.lines().all(|line| line.chars().count() <= width), "{width}:\n{text}");
            }
        }
        let narrow = fitted(cells(), 100);
        assert!(narrow.contains("0,1 core") && !narrow.contains("best skew"), "{narrow}");
        assert!(fitted(cells(), 80).contains("108 M") && !fitted(cells(), 80).contains("108,436"), "{narrow}");
        // The columns keep their alignment when others before them are gone.
        let lines: Vec<String> = narrow.lines().map(str::to_owned).collect();
        assert_eq!(lines[1].find("39.5]").map(|at| at + 5), lines[2].find("3.1e-7").map(|at| at + 6), "{narrow}");
    }

    #[test]
    fn a_line_for_a_distance_says_which_one_in_every_width() {
        let mut cells = cells();
        for place in ["at 37 ns, 62 % of the time", "at 37 ns without a neighbour, 12 % of the time"] {
            let rate = "30.0 % [28.7, 31.5]";
            let line = ["", place, "61,234", "-", "20,000", rate, "-", "", ""];
            cells.lines.insert(1, line.map(str::to_owned).to_vec());
        }
        for width in [200, 80, 60, 40, 20] {
            let text = fitted(cells.clone(), width);
            assert_eq!(text.matches("at 37 ns").count(), 2, "{width}: {text}");
            assert_eq!(text.matches("neighbour").count(), 1, "{width}: {text}");
        }
    }

    #[test]
    fn a_comparison_fits_and_keeps_its_ratio() {
        let words = |line: &str| line.split('|').map(|cell| cell.trim().to_owned()).collect::<Vec<_>>();
        let cells = Cells {
            headings: words("scenario | class | A [95 %] | B [95 %] | B / A [95 %] | differs"),
            lines: vec![
                words("S03-store-release | core | < 1.2e-5 | < 6.5e-8 | - | -, different machine code"),
                words(
                    "S05-swapped | core | 0.89 % [0.62, 1.25] | 8.95 % [7.44, 10.64] | 10.0 [5.07, 20.0] | yes, different \
                     machine code",
                ),
            ],
            right: Vec::new(),
        };
        let wide = comparison(cells.clone(), 200);
        assert!(wide.contains("different machine code") && wide.contains("core"), "{wide}");
        let narrow = comparison(cells, 80);
        assert!(narrow.lines().all(|line| line.chars().count() <= 80), "{narrow}");
        assert!(
            narrow.contains("10.0 [5.07, 20.0]") && narrow.contains("yes (*)") && !narrow.contains("core"),
            "{narrow}"
        );
        assert_eq!(wrapped_lines("aa bb\n\ncc\n", Some(20)), "aa bb\n\ncc\n");
        let indented = wrapped_lines("a:\n  one two three four five\n", Some(20));
        assert_eq!(indented, "a:\n  one two three four\n    five\n");
        assert_eq!(wrapped_lines("one two three four five", Some(20)), "one two three four\n  five");
    }

    #[test]
    fn any_table_fits_with_its_notes() {
        let line = |cells: [&str; 4]| cells.map(str::to_owned).to_vec();
        let lines = vec![
            line(["S01-as-is", "Sometimes 4", "0-3,5-7,9-11", "Never 3, Sometimes 4 with ticket"]),
            line(["SB", "Sometimes 4", "", "Never 3"]),
        ];
        let notes = ["Can the store of the state be overtaken by the load?".to_owned(), String::new()];
        let of = |width| {
            table_with_notes(&["test", "LKMM", "offsets", "x86-TSO"], lines.clone(), &notes, width, &["offsets"])
        };
        let wide = of(None);
        assert!(
            wide.contains("0-3,5-7") && wide.contains("\n    Can the store of the state be overtaken by the load?\n"),
            "{wide}"
        );
        assert_eq!((wide.lines().count(), of(Some(100))), (4, wide));
        for width in [70, 56, 40] {
            let text = of(Some(width));
            assert!(text.lines().all(|line| line.chars().count() <= width), "{width}:\n{text}");
            let words = text.split_whitespace().collect::<Vec<_>>().join(" ");
            assert!(words.contains("Never 3, Sometimes 4 with ticket") && !words.contains("0-3"), "{text}");
            assert!(words.contains("S01-as-is") && words.contains("be overtaken by the load?"), "{text}");
        }
        let narrowest = "SB\n  LKMM: Sometimes 4; x86-TSO: Never 3\n";
        assert!(of(Some(44)).ends_with(narrowest), "{}", of(Some(44)));
    }

    #[test]
    fn lines_break_at_spaces_and_never_in_a_number() {
        assert_eq!(wrapped("aa bb cc dd", 5, ""), "aa bb\ncc dd");
        assert_eq!(wrapped("aa bb cc", 6, "  "), "aa bb\n  cc");
        assert_eq!(wrapped("a 72.4\u{a0}%", 6, ""), "a\n72.4 %");
        assert_eq!(wrapped("a-word-that-is-long b", 5, "  "), "a-word-that-is-long\n  b");
        assert_eq!(broken("aa bb cc dddddd e", 5, ""), ["aa bb", "cc", "dddddd", "e"]);
        assert_eq!(broken("", 5, ""), [""]);
    }
}
