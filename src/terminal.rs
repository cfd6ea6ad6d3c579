//! Writes to standard output and standard error. No other module prints.
//!
//! Messages may contain file names and text from untrusted records, so all of them go through [`shown`].
//! Printing must not fail a run: a closed pipe is not an error, and failures on standard error are ignored,
//! because they cannot be reported anywhere.

use std::ffi::OsString;
use std::io::{self, IsTerminal, Write};

use crate::error::{Error, Result};
use crate::shown;

/// Prints text to standard output. A closed pipe (`wakerace list | head -1`) is not an error.
///
/// # Errors
/// If the text cannot be written for another reason, such as a full disk.
pub fn out(words: &str) -> Result<()> {
    write(shown::text(words).as_bytes())
}

/// The width of the terminal in columns. If standard output is no terminal, or one that does not know its size, it is that of
/// `COLUMNS`, and `None` without that.
pub fn width() -> Option<usize> {
    measured(terminal_size::terminal_size_of(io::stdout())).or_else(columns)
}

/// The width of the terminal of standard error in columns, else that of `COLUMNS`.
pub fn error_width() -> Option<usize> {
    measured(terminal_size::terminal_size_of(io::stderr())).or_else(columns)
}

fn measured(size: Option<(terminal_size::Width, terminal_size::Height)>) -> Option<usize> {
    size.map(|(width, _)| usize::from(width.0)).filter(|width| *width > 0)
}

/// The number of columns that the environment gives. A value that is no such number says nothing.
fn columns() -> Option<usize> {
    std::env::var("COLUMNS").ok()?.parse().ok().filter(|columns| *columns > 0)
}

/// Words with the number of their colour (ANSI, 31 is red).
pub type Paint = [(&'static str, u8)];

/// Prints text to standard output as [`out`] does. On a terminal the last words of lines are coloured, unless `NO_COLOR` is
/// set. If several entries of `paint` fit, the first one is used.
///
/// # Errors
/// The same as [`out`].
pub fn out_painted(words: &str, paint: &Paint) -> Result<()> {
    if !has_colours(io::stdout().is_terminal(), |name| std::env::var_os(name)) {
        return out(words);
    }
    // The colours come after the escape of the text, so no text can bring its own.
    write(painted(&shown::text(words), paint).as_bytes())
}

/// Whether an output has colours: one on a terminal, unless the environment says that it has none.
fn has_colours(is_terminal: bool, variable: impl Fn(&str) -> Option<OsString>) -> bool {
    let no_color = variable("NO_COLOR").is_some_and(|value| !value.is_empty());
    let dumb = variable("TERM").is_some_and(|term| term == "dumb");
    is_terminal && !no_color && !dumb
}

fn painted(text: &str, paint: &Paint) -> String {
    let line = |line: &str| match paint.iter().find(|(words, _)| line.ends_with(&format!(" {words}"))) {
        Some((words, colour)) => {
            format!("{}\u{1b}[{colour}m{words}\u{1b}[0m", line.strip_suffix(words).unwrap_or(line))
        }
        None => line.to_owned(),
    };
    text.split('\n').map(line).collect::<Vec<_>>().join("\n")
}

/// Prints text to standard error. Failures are ignored.
pub fn err(words: &str) {
    let mut out = io::stderr().lock();
    let _ = out.write_all(shown::text(words).as_bytes()).and_then(|()| out.flush());
}

/// Writes a file's content to standard output: unchanged, or through [`shown`] if standard output is a
/// terminal.
///
/// # Errors
/// The same as [`out`].
pub fn data(content: &str) -> Result<()> {
    if io::stdout().is_terminal() { out(content) } else { write(content.as_bytes()) }
}

/// Writes content that is no text to standard output; `None` if standard output is a terminal.
///
/// # Errors
/// The same as [`out`].
pub fn bytes(content: &[u8]) -> Result<Option<()>> {
    if io::stdout().is_terminal() { Ok(None) } else { write(content).map(Some) }
}

fn write(bytes: &[u8]) -> Result<()> {
    let mut out = io::stdout().lock();
    match out.write_all(bytes).and_then(|()| out.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(Error::io("writing to standard output")(error)),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_are_for_terminals_that_want_them() {
        let with = |is_terminal, all: &[(&str, &str)]| {
            let value = |name: &str| all.iter().find(|(known, _)| *known == name).map(|(_, value)| value.into());
            has_colours(is_terminal, value)
        };
        assert!(with(true, &[]) && with(true, &[("NO_COLOR", ""), ("TERM", "xterm")]));
        assert!(!with(true, &[("NO_COLOR", "1")]) && !with(true, &[("TERM", "dumb")]) && !with(false, &[]));
    }

    #[test]
    fn only_the_last_words_of_a_line_are_coloured() {
        let paint: &Paint = &[("not observed", 32), ("observed", 33)];
        assert_eq!(
            painted("SB  observed\nS01  not observed\nobserved in\nunobserved\n", paint),
            "SB  \u{1b}[33mobserved\u{1b}[0m\nS01  \u{1b}[32mnot observed\u{1b}[0m\nobserved in\nunobserved\n"
        );
    }
}
