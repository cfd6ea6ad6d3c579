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

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};

use crate::error::{EXIT_BAD_INPUT, Error, Result};
use crate::terminal;

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

/// The whole program: reads the arguments, runs the subcommand, says what went wrong; the exit status.
pub fn main() -> u8 {
    let cli = match parse() {
        Ok(cli) => cli,
        Err(error) => return refuse_arguments(&error),
    };
    // Whoever writes more than RLIMIT_FSIZE allows is told so by the system call too, and lives to say it.
    let told = Arc::new(AtomicBool::new(false));
    let watching =
        signal_hook::flag::register(signal_hook::consts::SIGXFSZ, told).map_err(Error::io("watching for SIGXFSZ"));
    match watching.and_then(|_| dispatch(cli)) {
        Ok(status) => status,
        Err(error) => {
            complain(&error);
            EXIT_BAD_INPUT
        }
    }
}

/// The arguments, with what only clap knows of them.
fn parse() -> std::result::Result<Cli, clap::Error> {
    let mut command = Cli::command();
    let matches = command.try_get_matches_from_mut(std::env::args_os())?;
    let mut cli = Cli::from_arg_matches(&matches).map_err(|error| error.format(&mut command))?;
    if let (Command::Run(args), Some((name, matches))) = (&mut cli.command, matches.subcommand())
        && let Some(command) = command.find_subcommand(name)
    {
        args.note(command, matches);
    }
    Ok(cli)
}

/// What clap says: help and version as they are, refusals as words that quote what was given. A reader that went away is no error.
fn refuse_arguments(error: &clap::Error) -> u8 {
    if error.use_stderr() {
        terminal::err(&error.render().to_string());
    } else {
        let _ = error.print();
    }
    u8::try_from(error.exit_code()).unwrap_or(EXIT_BAD_INPUT)
}

/// Runs a subcommand; the exit status.
///
/// # Errors
/// Bad input, or a host that cannot do it; the exit status is then [`EXIT_BAD_INPUT`].
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

/// An error in words. Those in litmus files come with their source line and begin with `error:` already.
pub fn explain(error: &Error) -> String {
    match error {
        Error::Litmus(diagnostic) => diagnostic.to_string(),
        other => format!("error: {other}"),
    }
}

fn complain(error: &Error) {
    terminal::err(&format!("{}\n", explain(error)));
}
