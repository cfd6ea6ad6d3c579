//! The one error type that reaches a person, and the exit statuses.

use crate::litmus::Diagnostic;

/// What went wrong, in words for the person at the terminal.
///
/// Every variant ends the program with exit status [`EXIT_BAD_INPUT`]. The text says what was wrong (the file and
/// line, or the option) and what would be right.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A litmus file that cannot be read as a test; points at the line.
    #[error("{0}")]
    Litmus(Box<Diagnostic>),
    /// An option, argument or scenario name that makes no sense.
    #[error("{0}")]
    Usage(String),
    /// The input is fine but this host cannot do it.
    #[error("{0}")]
    Host(String),
    /// The operating system refused a file operation.
    #[error("{what}: {source}")]
    Io {
        /// What was being done, with the path.
        what: String,
        /// What the operating system answered.
        source: std::io::Error,
    },
    /// A promise this program makes to itself was broken: a bug here, never the user's fault.
    #[error("internal error (please report it): {0}")]
    Internal(String),
}

impl Error {
    /// Wraps an I/O error with what was being done; for `map_err`.
    pub fn io(what: impl Into<String>) -> impl FnOnce(std::io::Error) -> Error {
        let what = what.into();
        move |source| Error::Io { what, source }
    }
}

impl From<Diagnostic> for Error {
    fn from(diagnostic: Diagnostic) -> Self {
        Error::Litmus(Box::new(diagnostic))
    }
}

/// The result of everything that may fail for a reason a person can act on.
pub type Result<T> = std::result::Result<T, Error>;

/// Everything came out as the architecture says it must.
pub const EXIT_OK: u8 = 0;
/// An outcome that the architecture forbids was observed.
pub const EXIT_FORBIDDEN: u8 = 1;
/// Bad input, or a host that cannot do what was asked.
pub const EXIT_BAD_INPUT: u8 = 2;
/// Ended by Ctrl-C, SIGTERM or SIGHUP, with everything measured so far written. 128 + SIGINT, whichever it was.
pub const EXIT_INTERRUPTED: u8 = 130;
