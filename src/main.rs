//! The wakerace binary: arguments in, exit status out.

use std::process::ExitCode;

use clap::Parser;
use wakerace::cli::{Cli, dispatch};
use wakerace::error::EXIT_BAD_INPUT;

fn main() -> ExitCode {
    // clap reports bad arguments itself, with the same exit status.
    let cli = Cli::parse();
    match dispatch(cli) {
        Ok(status) => ExitCode::from(status),
        Err(error) => {
            eprintln!("{}", wakerace::cli::explain(&error));
            ExitCode::from(EXIT_BAD_INPUT)
        }
    }
}
