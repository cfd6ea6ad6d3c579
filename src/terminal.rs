//! Writes to standard output and standard error. No other module prints.
//!
//! Messages may contain file names and text from untrusted records, so all of them go through [`shown`].
//! Printing must not fail a run: a closed pipe is not an error, and failures on standard error are ignored,
//! because they cannot be reported anywhere.

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

fn write(bytes: &[u8]) -> Result<()> {
    let mut out = io::stdout().lock();
    match out.write_all(bytes).and_then(|()| out.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(Error::io("writing to standard output")(error)),
        _ => Ok(()),
    }
}
