//! The error type for every failure that is reported to the user, and the exit statuses.

use crate::litmus::Diagnostic;

/// A failure, with a message for the user.
///
/// Every variant ends the program with exit status [`EXIT_BAD_INPUT`]. The message says what is wrong, where
/// (the file and line, or the option), and what is expected.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A litmus file is not a valid test. The message points at the line.
    #[error("{0}")]
    Litmus(Box<Diagnostic>),
    /// An option, an argument, a scenario name or a record is wrong.
    #[error("{0}")]
    Usage(String),
    /// The input is fine but this host cannot do it.
    #[error("{0}")]
    Host(String),
    /// The operating system refused a file operation.
    #[error("{what}: {source}")]
    Io {
        /// The operation that failed, with the path.
        what: String,
        /// The error from the operating system.
        source: std::io::Error,
    },
    /// An invariant of this program is broken. This is a bug in wakerace, never the user's fault.
    #[error("internal error (please report it): {0}")]
    Internal(String),
}

impl Error {
    /// The same failure, with the name of the option whose file it is about.
    pub fn of_option(self, option: &str) -> Error {
        match self {
            Error::Usage(words) if !words.starts_with(option) => Error::Usage(format!("{option}: {words}")),
            Error::Io { what, source } => Error::Io { what: format!("{option}: {what}"), source },
            other => other,
        }
    }

    /// Returns a function for `map_err` that adds to an I/O error the operation that failed.
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

/// The result of an operation that may fail with a message for the user.
pub type Result<T> = std::result::Result<T, Error>;

/// Exit status: all outcomes are as the architecture requires.
pub const EXIT_OK: u8 = 0;
/// Exit status: an outcome that the architecture forbids was observed, the protocol did unexpected harm, or
/// `compare --fail-on-difference` found a difference.
pub const EXIT_FORBIDDEN: u8 = 1;
/// Exit status: the input is bad, or the host cannot do what was asked.
pub const EXIT_BAD_INPUT: u8 = 2;
/// Exit status: ended by Ctrl-C, SIGTERM or SIGHUP; all results so far are written. The value is 128 + SIGINT
/// for all three.
pub const EXIT_INTERRUPTED: u8 = 130;
