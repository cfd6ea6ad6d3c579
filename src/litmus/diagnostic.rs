//! Errors that point to a place in a source file.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use annotate_snippets::renderer::DecorStyle;
use annotate_snippets::{AnnotationKind, Group, Level, Origin, Renderer, Snippet};

/// A range of a source file, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Span {
    /// The first byte.
    pub start: usize,
    /// One past the last byte.
    pub end: usize,
}

impl Span {
    /// The span of the single byte at `offset`.
    pub fn at(offset: usize) -> Span {
        Span { start: offset, end: offset + 1 }
    }

    /// The span from the start of `self` to the end of `other`.
    pub fn to(self, other: Span) -> Span {
        Span { start: self.start, end: other.end.max(self.start) }
    }
}

/// A source text with a name, which errors point into. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Source {
    name: Arc<str>,
    text: Arc<str>,
}

impl Source {
    /// Makes a source. Errors print the name, which is usually a path.
    pub fn new(name: impl Into<Arc<str>>, text: impl Into<Arc<str>>) -> Source {
        Source { name: name.into(), text: text.into() }
    }

    /// The name that errors print.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The text.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The text, to keep.
    pub fn shared_text(&self) -> Arc<str> {
        self.text.clone()
    }

    /// An error at `span`. `label` is printed under the source line and may be empty.
    pub fn error(&self, span: Span, message: impl Into<String>, label: impl Into<String>) -> Diagnostic {
        Diagnostic { source: self.clone(), span, message: message.into(), label: label.into(), more: Vec::new() }
    }

    /// Line and column of a byte offset. Both count from 1; the column counts characters.
    pub fn line_column(&self, offset: usize) -> (usize, usize) {
        let line = self.line_range(offset);
        let number = self.text[..line.start].matches('\n').count() + 1;
        let before = floor_char_boundary(&self.text, offset.min(line.end));
        (number, self.text[line.start..before].chars().count() + 1)
    }

    /// The byte range of the line that contains `offset`, without its newline.
    fn line_range(&self, offset: usize) -> Range<usize> {
        let offset = floor_char_boundary(&self.text, offset.min(self.text.len()));
        let start = self.text[..offset].rfind('\n').map_or(0, |newline| newline + 1);
        let end = self.text[offset..].find('\n').map_or(self.text.len(), |newline| offset + newline);
        start..end
    }
}

fn floor_char_boundary(text: &str, offset: usize) -> usize {
    let mut offset = offset.min(text.len());
    while !text.is_char_boundary(offset) {
        offset -= 1;
    }
    offset
}

/// An error in a litmus file: what is wrong, and where.
#[derive(Debug, Clone)]
pub struct Diagnostic {
    source: Source,
    span: Span,
    message: String,
    label: String,
    /// Lines below the source line.
    more: Vec<(Below, String)>,
}

/// The kind of a line below the source line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Below {
    Help,
    Note,
}

impl Diagnostic {
    /// Adds a line that says what else holds for the test.
    pub fn note(mut self, note: impl Into<String>) -> Diagnostic {
        self.more.push((Below::Note, note.into()));
        self
    }

    /// Adds a line that says how to correct the error.
    pub fn help(mut self, help: impl Into<String>) -> Diagnostic {
        self.more.push((Below::Help, help.into()));
        self
    }

    /// The message without file name, position and source line.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// The message without what is particular to one test, so that errors of the same kind have the same text: a
    /// quoted instruction is shortened to its first word.
    pub fn reason(&self) -> String {
        let mut out = String::new();
        for (at, part) in self.message.split('`').enumerate() {
            match at % 2 {
                0 => out.push_str(part),
                _ => out.push_str(&format!("`{}`", part.split_whitespace().next().unwrap_or(""))),
            }
        }
        // Behind a colon stand the particulars of one test.
        out.split(": ").next().unwrap_or(&out).to_owned()
    }

    /// Line and column, both counted from 1.
    pub fn line_column(&self) -> (usize, usize) {
        self.source.line_column(self.span.start)
    }
}

/// Source lines longer than this (in bytes) are not printed in the message: no test needs them, and a
/// terminal cannot show them.
const LONGEST_LINE_SHOWN: usize = 240;

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = self.source.text();
        let line = self.source.line_range(self.span.start);
        let (number, column) = self.line_column();
        let mut group = Group::with_title(Level::ERROR.no_name().primary_title(self.message.as_str()));
        if line.len() <= LONGEST_LINE_SHOWN {
            let start = floor_char_boundary(text, self.span.start.min(line.end));
            let end = floor_char_boundary(text, self.span.end.clamp(start, line.end));
            let annotation = AnnotationKind::Primary.span(start - line.start..end - line.start);
            let annotation = if self.label.is_empty() { annotation } else { annotation.label(self.label.as_str()) };
            group = group.element(
                Snippet::source(&text[line]).path(self.source.name()).line_start(number).annotation(annotation),
            );
        } else {
            group = group.element(Origin::path(self.source.name()).line(number).char_column(column));
            if !self.label.is_empty() {
                group = group.element(Level::NOTE.message(self.label.as_str()));
            }
        }
        for (kind, text) in &self.more {
            let level = if *kind == Below::Help { Level::HELP } else { Level::NOTE };
            group = group.element(level.message(text.as_str()));
        }
        let renderer = Renderer::plain().decor_style(DecorStyle::Ascii);
        f.write_str(&renderer.render(&[group]))
    }
}

impl std::error::Error for Diagnostic {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_survive_any_offset() {
        let source = Source::new("t", "a\nbcé\n");
        assert_eq!(source.line_column(0), (1, 1));
        assert_eq!(source.line_column(2), (2, 1));
        assert_eq!(source.line_column(5), (2, 3)); // inside the two-byte letter
        assert_eq!(source.line_column(1000), (3, 1));
        for offset in 0..20 {
            let shown = source.error(Span::at(offset), "wrong", "here").help("do right").to_string();
            assert!(shown.contains("wrong") && shown.contains("t:"), "{shown}");
        }
    }

    #[test]
    fn long_lines_are_named_but_not_printed() {
        let source = Source::new("t", "x".repeat(10_000));
        let shown = source.error(Span::at(9_000), "wrong", "").to_string();
        assert!(shown.contains("t:1:9001") && shown.len() < 200, "{shown}");
    }
}
