//! Makes untrusted text safe to print: escapes control characters and invisible layout characters.
//!
//! Names, comments and paths come from files that anybody may have written. An escape sequence in them could
//! move the cursor, rename the window, or make the terminal send input as if it were typed. A bidirectional
//! override reverses the order of the letters after it.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::path::Path;

/// Whether a character is hidden: a terminal interprets it or does not display it.
///
/// These are the C0, DEL and C1 controls, and the invisible characters that reorder, break or tag a line
/// (Unicode 16, 23.2 "Layout Controls" and 23.9 "Tag Characters"; see CVE-2021-42574).
pub fn is_hidden(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{61c}' | '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}'
            | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

/// Replaces each hidden character by its escape, such as `\u{1b}`.
fn replaced(text: &str, hidden: impl Fn(char) -> bool) -> Cow<'_, str> {
    // Most texts are printable ASCII, of which nothing is hidden.
    if text.bytes().all(|byte| matches!(byte, b' '..=b'~')) {
        return Cow::Borrowed(text);
    }
    let Some(first) = text.find(&hidden) else { return Cow::Borrowed(text) };
    let mut out = text[..first].to_owned();
    for c in text[first..].chars() {
        if hidden(c) { out.extend(c.escape_unicode()) } else { out.push(c) }
    }
    Cow::Owned(out)
}

/// Escapes text of several lines. Line feeds and tabs stay. A carriage return before a line feed is removed.
/// Every other hidden character is replaced by its escape, such as `\u{1b}`.
pub fn text(text: &str) -> Cow<'_, str> {
    let lines = if text.contains("\r\n") { Cow::Owned(text.replace("\r\n", "\n")) } else { Cow::Borrowed(text) };
    let hidden = |c| is_hidden(c) && !matches!(c, '\n' | '\t');
    match lines {
        Cow::Borrowed(lines) => replaced(lines, hidden),
        Cow::Owned(lines) => Cow::Owned(replaced(&lines, hidden).into_owned()),
    }
}

/// Escapes a name or a table cell. The result is always one line.
pub fn line(text: &str) -> Cow<'_, str> {
    replaced(text, is_hidden)
}

/// Escapes a path. The result is always one line.
pub fn path(path: &Path) -> String {
    line(&path.to_string_lossy()).into_owned()
}

/// Escapes hidden characters in JSON as `\u001b`.
///
/// The result is equivalent JSON, because these characters can only occur inside strings. The serialiser has
/// already escaped characters below 0x20. Line feeds between values stay.
pub fn json(text: String) -> String {
    let hidden = |c| is_hidden(c) && !matches!(c, '\n' | '\t' | '\r');
    if !text.contains(hidden) {
        return text;
    }
    let mut out = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        if hidden(c) {
            for unit in c.encode_utf16(&mut [0; 2]) {
                // Writing to a string cannot fail.
                let _ = write!(out, "\\u{unit:04x}");
            }
        } else {
            out.push(c);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    /// ESC, CSI as one C1 character, BEL, DEL, a right-to-left override, an isolate, a line separator, a tag.
    const NASTY: &str = "a\u{1b}[31m\u{9b}2J\u{7}\u{7f}\u{202e}\u{2066}\u{2028}\u{e0041}z";

    #[test]
    fn what_a_terminal_obeys_becomes_visible() {
        let shown = r"a\u{1b}[31m\u{9b}2J\u{7}\u{7f}\u{202e}\u{2066}\u{2028}\u{e0041}z";
        assert_eq!((text(NASTY), line(NASTY)), (shown.into(), shown.into()));
        assert_eq!(path(Path::new("x\u{1b}c\ny")), r"x\u{1b}c\u{a}y");
        // This loop covers every control character.
        for c in ('\0'..=char::MAX).filter(|c| c.is_control()) {
            assert!(
                !line(&c.to_string()).contains(c) && !json(c.to_string()).contains(c) || "\n\t\r".contains(c),
                "{c:?}"
            );
        }
    }

    #[test]
    fn what_is_harmless_stays_as_it_is() {
        for plain in ["", "Müller ▁▄█ µs → 日本 😀", "a\tb\nc"] {
            assert!(matches!(text(plain), Cow::Borrowed(same) if same == plain), "{plain}");
        }
        assert_eq!(text("a\r\nb\rc"), "a\nb\\u{d}c");
        assert_eq!(line("a\tb\nc"), r"a\u{9}b\u{a}c");
    }

    #[test]
    fn json_stays_the_same_json() {
        let value = serde_json::Value::from(format!("{NASTY}\n\r\t\""));
        let text = json(serde_json::to_string_pretty(&vec![value.clone()]).unwrap());
        assert!(text.chars().all(|c| c == '\n' || !is_hidden(c)), "{text}");
        assert_eq!(serde_json::from_str::<Vec<serde_json::Value>>(&text).unwrap(), [value]);
    }
}
