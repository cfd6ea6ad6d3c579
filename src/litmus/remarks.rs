//! Lines `Key=value` in front of the initial values. Most are remarks of the tools that wrote a test. `Unroll=` and `Variant=` change
//! how herd7 judges the test (herd/parseTest.ml of herdtools7 7.58), so a test with one of these is refused, not misread.

use super::diagnostic::{Diagnostic, Source, Span};

/// Variants of herd7 with which published tests have the verdicts that they have here.
const HARMLESS: [&str; 5] = ["dontcheckmixed", "fatal", "mixed", "s128", "telechat"];

/// Refuses a line that changes what the test means. `text` has the offsets of the source; comments may be blanked in it.
///
/// # Errors
/// For `Unroll=`, and for a `Variant=` with another tag than those above.
pub(crate) fn check(source: &Source, text: &str, line: Span) -> Result<(), Diagnostic> {
    let line_text = &text[line.start..line.end];
    let Some((key, _)) = line_text.split_once('=') else { return Ok(()) };
    if key.trim().eq_ignore_ascii_case("unroll") {
        return Err(source
            .error(line, "`Unroll=` is not followed", "herd7 would follow loops for so many rounds")
            .help("without this line, a loop is followed for two rounds, or for as many as constants decide"));
    }
    let unknown = |tag: &&str| !HARMLESS.contains(&tag.to_ascii_lowercase().as_str());
    match tags(line_text).and_then(|mut tags| tags.find(unknown)) {
        Some(tag) => Err(source.error(
            line,
            format!("the variant `{tag}` of herd7 is not modelled"),
            "the test may mean something else with it",
        )),
        None => Ok(()),
    }
}

/// As [`check`], for all lines in front of the initial values, which begin at `open`. Returns whether the threads are
/// compiled functions, which end by returning (`Variant=telechat`).
///
/// # Errors
/// As [`check`].
pub(crate) fn check_all(source: &Source, text: &str, open: usize) -> Result<bool, Diagnostic> {
    let (mut at, mut is_compiled) = (0, false);
    for line in text[..open].split_inclusive('\n') {
        check(source, text, Span { start: at, end: at + line.trim_end().len() })?;
        is_compiled |= tags(line).is_some_and(|mut tags| tags.any(|tag| tag.eq_ignore_ascii_case("telechat")));
        at += line.len();
    }
    Ok(is_compiled)
}

/// The tags of a line `Variant=`.
fn tags(line: &str) -> Option<impl Iterator<Item = &str>> {
    let (key, value) = line.split_once('=')?;
    // A comment may follow.
    let value = value.split(['/', '(']).next().unwrap_or_default();
    let tags = value.split(|c: char| c == ',' || c.is_whitespace()).filter(|tag| !tag.is_empty());
    key.trim().eq_ignore_ascii_case("variant").then_some(tags)
}
