//! The wakerace binary: arguments in, exit status out.

use std::process::ExitCode;

fn main() -> ExitCode {
    ExitCode::from(wakerace::cli::main())
}
