//! The only place that writes to standard output and standard error.
//!
//! What is printed may name files and quote records of strangers, so all words go through [`shown`]. No print may fail a run: a reader
//! that went away is no error, and standard error is never one, because there is nobody left to be told.

use std::io::{self, IsTerminal, Write};

use crate::error::{Error, Result};
use crate::shown;

/// Words to standard output. A reader that went away (`wakerace list | head -1`) is no error.
///
/// # Errors
/// If they cannot be written for another reason, such as a full disk.
pub fn out(words: &str) -> Result<()> {
    write(shown::text(words).as_bytes())
}

/// Words to standard error; lost if nobody can take them.
pub fn err(words: &str) {
    let mut out = io::stderr().lock();
    let _ = out.write_all(shown::text(words).as_bytes()).and_then(|()| out.flush());
}

/// A file's content to standard output, as it is unless a terminal would have to show it.
///
/// # Errors
/// As [`out`].
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
