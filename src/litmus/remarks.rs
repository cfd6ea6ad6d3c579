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
    let Some((key, value)) = text[line.start..line.end].split_once('=') else { return Ok(()) };
    match key.trim().to_ascii_lowercase().as_str() {
        "unroll" => Err(source
            .error(line, "`Unroll=` is not followed", "herd7 would follow loops for so many rounds")
            .help("without this line, a loop is followed for two rounds, or for as many as constants decide")),
        "variant" => {
            // A comment may follow.
            let tags = value.split(['/', '(']).next().unwrap_or_default();
            let tags = tags.split([',', ' ', '\t', '\r']).filter(|tag| !tag.is_empty());
            let mut unknown = tags.filter(|tag| !HARMLESS.contains(&tag.to_ascii_lowercase().as_str()));
            match unknown.next() {
                Some(tag) => Err(source.error(
                    line,
                    format!("the variant `{tag}` of herd7 is not modelled"),
                    "the test may mean something else with it",
                )),
                None => Ok(()),
            }
        }
        _ => Ok(()),
    }
}

/// As [`check`], for all lines in front of the initial values, which begin at `open`.
///
/// # Errors
/// As [`check`].
pub(crate) fn check_all(source: &Source, text: &str, open: usize) -> Result<(), Diagnostic> {
    let mut at = 0;
    for line in text[..open].split_inclusive('\n') {
        check(source, text, Span { start: at, end: at + line.trim_end().len() })?;
        at += line.len();
    }
    Ok(())
}
