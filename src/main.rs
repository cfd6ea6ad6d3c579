//! The wakerace binary: calls the library's command line and returns its exit status.

use std::process::ExitCode;

fn main() -> ExitCode {
    ExitCode::from(wakerace::cli::main())
}
