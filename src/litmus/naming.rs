//! The lines that name a test and its outcomes in plain words, for readers who do not know the test:
//!
//! ```text
//! C S01-as-is
//! Title=the wakeup as in the kernel
//! Outcome1=1:r0=2; 1:r1=0: woken, and blocked_on seen empty
//! Outcome2=1:r0=2; 1:r1=&mutex: woken, and blocked_on seen
//!
//! {}
//! ```
//!
//! They have the form `Key=value` that the litmus format has for remarks of tools. herd7, litmus7 and klitmus7 read such lines
//! between the name and the initial values and ignore keys that they do not know. They refuse a key that occurs twice, so the
//! outcomes have numbers.
//!
//! The lines do not change what runs. So they are not part of what identifies a test: its hash is that of the file without
//! them ([`hash`]).

use std::borrow::Cow;

use super::ast::{Naming, OutcomeName};
use super::diagnostic::{Diagnostic, Source, Span};
use super::lexer::{BYTE_ORDER_MARK, comment_length};
use super::parser;
use crate::hash::sha256;

/// Maximum length of a title or of an outcome's words, in characters.
pub const MOST_CHARACTERS: usize = 80;

/// What to do about two outcomes with one key.
const NUMBERS: &str = "herd7 refuses a key that occurs twice; number the outcomes: `Outcome1=`, `Outcome2=`";

/// The keys of the lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Key {
    Title,
    Outcome,
}

/// One of the lines.
#[derive(Debug, Clone, Copy)]
struct Line {
    key: Key,
    /// The key as it is written.
    word: Span,
    /// The whole line, with its newline.
    whole: Span,
    /// What stands behind the `=`, without blanks around it.
    value: Span,
}

/// The name that a test's first line gives it. herd7 drops the extension of a file's name, so that its logs do not have it.
pub fn test_name(word: &str) -> &str {
    word.strip_suffix(".litmus").filter(|name| !name.is_empty()).unwrap_or(word)
}

/// The SHA-256 that identifies a test, in hexadecimal: that of its file without the lines that name the test and its outcomes.
pub fn hash(text: &str) -> String {
    sha256(without(text).as_bytes())
}

/// A text without the lines that name the test and its outcomes.
fn without(text: &str) -> Cow<'_, str> {
    let lines = lines(text);
    if lines.is_empty() {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len());
    let mut at = 0;
    for line in lines {
        out.push_str(&text[at..line.whole.start]);
        at = line.whole.end;
    }
    out.push_str(&text[at..]);
    Cow::Owned(out)
}

/// The places of the lines in a text.
pub(crate) fn spans(text: &str) -> Vec<Span> {
    lines(text).into_iter().map(|line| line.whole).collect()
}

/// The lines of a text. They stand between the first line, which has the test's name, and the initial values.
fn lines(text: &str) -> Vec<Line> {
    let mut out = Vec::new();
    if !text.contains("Title") && !text.contains("Outcome") {
        return out;
    }
    let mut named = false;
    let mut at = if text.starts_with(BYTE_ORDER_MARK) { BYTE_ORDER_MARK.len_utf8() } else { 0 };
    loop {
        let rest = &text[at..];
        let blanks = rest.len() - rest.trim_start().len();
        let rest = rest.trim_start();
        let comment = if rest.starts_with("(*") {
            comment_length(rest)
        } else if rest.starts_with("/*") {
            rest.find("*/").map(|end| end + 2)
        } else if rest.starts_with("//") {
            Some(rest.find('\n').unwrap_or(rest.len()))
        } else if named && rest.starts_with('"') {
            rest[1..].find('"').map(|end| end + 2)
        } else {
            None
        };
        if let Some(length) = comment {
            at += blanks + length;
            continue;
        }
        let line = rest.split_inclusive('\n').next().unwrap_or("");
        if line.is_empty() {
            return out;
        }
        let content = line.trim_end();
        if named
            && let Some((key, value)) = content.split_once('=').and_then(|(key, value)| Some((key_of(key)?, value)))
        {
            let start = at + blanks;
            let end = start + content.len();
            let value = Span { start: end - value.trim_start().len(), end };
            // The blanks in front of the line are part of it.
            let whole =
                Span { start: text[..start].rfind('\n').map_or(0, |newline| newline + 1), end: start + line.len() };
            let word = Span { start, end: start + content.find('=').unwrap_or(0) };
            out.push(Line { key, word, whole, value });
        } else if named && line.contains('{') {
            return out;
        }
        named = true;
        at += blanks + line.len();
    }
}

fn key_of(word: &str) -> Option<Key> {
    let word = word.trim_end_matches([' ', '\t']);
    let is_number = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    match word.strip_prefix("Outcome") {
        Some(number) => is_number(number).then_some(Key::Outcome),
        None => (word == "Title").then_some(Key::Title),
    }
}

/// Parses the lines of a test. Whether the test has what they name is for [`crate::catalogue`] to check.
pub(super) fn read(source: &Source) -> Result<Naming, Diagnostic> {
    let mut naming = Naming::default();
    let mut known = Vec::new();
    for Line { key, word, value, .. } in lines(source.text()) {
        let text = &source.text()[value.start..value.end];
        let word_text = source.text()[word.start..word.end].trim_end();
        if known.contains(&word_text) {
            let error = source.error(word, format!("`{word_text}=` occurs twice in this header"), "second occurrence");
            return Err(if key == Key::Title { error } else { error.help(NUMBERS) });
        }
        known.push(word_text);
        match key {
            Key::Title => naming.title = Some(words(source, word_text, value)?.to_owned()),
            Key::Outcome => {
                let Some(colon) = colon(text) else {
                    let message = format!("`{word_text}=` takes values, a colon and words");
                    let help = "such as `Outcome1=1:r0=1; 1:r1=0: flag seen, message missed`";
                    return Err(source.error(some(value), message, "no colon behind the values").help(help));
                };
                let values = Span { start: value.start, end: value.start + colon };
                let behind = &text[colon + 1..];
                let start = value.end - behind.trim_start().len();
                let words = words(source, word_text, Span { start, end: value.end })?.to_owned();
                naming.outcomes.push(OutcomeName { values: parser::values_of(source, values)?, words, span: values });
            }
        }
    }
    Ok(naming)
}

/// The span of a value, or of the place where it is missing.
fn some(span: Span) -> Span {
    Span { start: span.start, end: span.end.max(span.start + 1) }
}

/// The words at a span, checked.
fn words<'a>(source: &'a Source, key: &str, span: Span) -> Result<&'a str, Diagnostic> {
    let words = &source.text()[span.start..span.end];
    if words.is_empty() {
        let what =
            if key == "Title" { "what the test is, in a few words" } else { "what the outcome means, in a few words" };
        return Err(source.error(some(span), format!("`{key}=` has no words"), format!("expected {what}")));
    }
    if words.chars().any(char::is_control) {
        return Err(source.error(span, format!("`{key}=` has a control character"), "expected printable words"));
    }
    let length = words.chars().count();
    if length > MOST_CHARACTERS {
        let message = format!("`{key}=` has {length} characters; the words of a chart have at most {MOST_CHARACTERS}");
        return Err(source.error(span, message, "too long"));
    }
    Ok(words)
}

/// The colon behind the values of `1:r0=2; 1:r1=0: words`. The colon of a register stands behind its thread.
fn colon(text: &str) -> Option<usize> {
    let mut at = 0;
    loop {
        let rest = text[at..].trim_start();
        at = text.len() - rest.len();
        let thread = rest.find(':').filter(|&end| {
            let digits = rest[..end].trim_end();
            let digits = digits.strip_prefix('P').unwrap_or(digits);
            !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit())
        });
        at += thread.map_or(0, |end| end + 1);
        at += text[at..].find([';', ':'])?;
        if text.as_bytes()[at] == b':' {
            return Some(at);
        }
        at += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEST: &str = "C t\n(* Title=no *)\n\n{}\n\nP0(int *x) { WRITE_ONCE(*x, 1); }\n\nexists (x=1)\n";

    #[test]
    fn the_hash_is_that_of_the_file_without_the_lines() {
        let plain = sha256(TEST.as_bytes());
        assert_eq!(hash(TEST), plain);
        for lines in [
            "Title=a title",
            "Title = a { title (* of \"mine",
            "  Outcome=x=1: seen",
            "Title=a title\r\nOutcome1=x=1: seen\nOutcome2 = x=0: not",
        ] {
            let named = TEST.replacen('\n', &format!("\n{lines}\n"), 1);
            assert_eq!(hash(&named), plain, "{lines}");
            let named = TEST.replace("\n\n{}", &format!("\n{lines}\n\n{{}}"));
            assert_eq!(hash(&named), plain, "{lines}");
        }
        // Other lines, and such lines elsewhere, are part of what identifies the test.
        for (from, to) in [
            ("C t\n", "C t\nTitled=a\n"),
            ("C t\n", "C t\nOutcomes=a\n"),
            ("no *)", "yes *)"),
            ("{}\n", "{}\nTitle=a\n"),
            ("C t\n", "Title=a\nC t\n"),
        ] {
            let other = TEST.replacen(from, to, 1);
            assert!(other != TEST && hash(&other) == sha256(other.as_bytes()), "{other}");
        }
        assert_eq!(hash(""), sha256(b""));
    }

    #[test]
    fn the_colon_behind_the_values_is_not_that_of_a_thread() {
        for (text, at) in [
            ("1:r0=2; 1:r1=0: a: b", Some(14)),
            ("P1:r0=2: a", Some(7)),
            ("x=1 : a", Some(4)),
            ("1:r0=2", None),
            ("", None),
            ("1:", None),
        ] {
            assert_eq!(colon(text), at, "{text}");
        }
    }
}
