//! Lines `Key=value` in front of the initial values. Most are remarks of the tools that wrote a test. Two of them change what
//! herd7 makes of it (herd/parseTest.ml of herdtools7 7.58), so a test with one of these is refused, not misread.

use super::diagnostic::{Diagnostic, Source, Span};

/// Variants of herd7 that change no verdict of what is modelled here.
const HARMLESS: [&str; 16] = [
    "acqrelasfence",
    "dontcheckmixed",
    "fatal",
    "fullscdepend",
    "lrscdiffok",
    "mixed",
    "normw",
    "optrfrmw",
    "s128",
    "specialx0",
    "splittedrmw",
    "success",
    "switchdepscresult",
    "switchdepscwrite",
    "t01",
    "telechat",
];

/// Refuses a line that changes what the test means. `text` has the offsets of the source; comments may be blanked in it.
///
/// # Errors
/// For `Unroll=`, and for a `Variant=` that is not known to change nothing.
pub(crate) fn check(source: &Source, text: &str, line: Span) -> Result<(), Diagnostic> {
    let Some((key, value)) = text[line.start..line.end].split_once('=') else { return Ok(()) };
    match key.trim().to_ascii_lowercase().as_str() {
        "unroll" => Err(source
            .error(line, "`Unroll=` is not followed", "herd7 would follow loops for so many rounds")
            .help("without this line, loops whose rounds no constant counts are followed for two rounds")),
        "variant" => {
            let tags = value.split([',', ' ', '\t', '\r']).filter(|tag| !tag.is_empty());
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
