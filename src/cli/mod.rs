//! The command line: one file a subcommand.

mod check;
mod compare;
mod export;
mod index;
mod interrupt;
mod list;
mod output;
mod progress;
mod protocol;
mod report;
mod run;
mod settings;
mod show;
mod topology;
mod tune;
mod units;
mod validate;

use std::io::{self, Write};

use clap::{Parser, Subcommand};

use crate::error::{Error, Result};

/// Measures memory-ordering races of the Linux kernel's wakeup path on the CPU in front of you.
#[derive(Debug, Parser)]
#[command(name = "wakerace", version, about, max_term_width = 100)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run scenarios on this host and say what was seen
    Run(Box<run::RunArgs>),
    /// Search the settings at which races are most frequent here, and keep them for `run`
    Tune(tune::TuneArgs),
    /// Run the kernel's mutex and wakeup protocol, and see whether the race does harm
    Protocol(protocol::ProtocolArgs),
    /// Say what the architectures and the kernel's model allow of a test, and why
    Check(check::CheckArgs),
    /// Say whether records read and add up
    Validate(validate::ValidateArgs),
    /// Add up records of the same tests and the same code, from as many boxes as there are
    Merge(validate::MergeArgs),
    /// Set records side by side: how many times more often, and whether that is more than chance
    Compare(compare::CompareArgs),
    /// Draw records as one HTML page that needs nothing else to be read
    Report(report::ReportArgs),
    /// Write the index page of a folder of records
    Index(index::IndexArgs),
    /// Write a scenario or a record in a format that others read
    Export(export::ExportArgs),
    /// List the scenarios and what this architecture allows
    List(list::ListArgs),
    /// Show a scenario's source, its lowered form and the machine code that is run
    Show(show::ShowArgs),
    /// Show what was found out about this host's CPUs, and where threads would be placed
    Topology(topology::TopologyArgs),
}

/// Runs a subcommand; the exit status.
///
/// # Errors
/// Bad input, or a host that cannot do it; the exit status is then [`crate::error::EXIT_BAD_INPUT`].
pub fn dispatch(cli: Cli) -> Result<u8> {
    match cli.command {
        Command::Run(args) => run::run(&args),
        Command::Tune(args) => tune::tune(&args),
        Command::Protocol(args) => protocol::protocol(&args),
        Command::Check(args) => check::check(&args),
        Command::Validate(args) => validate::validate(&args),
        Command::Merge(args) => validate::merge(&args),
        Command::Compare(args) => compare::compare(&args),
        Command::Report(args) => report::report(&args),
        Command::Index(args) => index::index(&args),
        Command::Export(args) => export::export(&args),
        Command::List(args) => list::list(&args),
        Command::Show(args) => show::show(&args),
        Command::Topology(args) => topology::topology(&args),
    }
}

/// An error as the person at the terminal should see it. Errors in litmus files come with their source line and begin
/// with `error:` already.
pub fn explain(error: &Error) -> String {
    match error {
        Error::Litmus(diagnostic) => diagnostic.to_string(),
        other => format!("error: {other}"),
    }
}

/// Prints to standard output. A reader that went away (`wakerace list | head`) is no error.
fn print(text: &str) -> Result<()> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(Error::io("writing to standard output")(error)),
        _ => Ok(()),
    }
}
