//! The command line. Each subcommand has its own file.

mod badge;
mod campaign;
mod check;
mod cite;
mod compare;
mod conform;
mod expect;
mod export;
mod generate;
mod import;
mod index;
mod interrupt;
mod klitmus;
mod list;
mod notes;
mod output;
mod progress;
mod protocol;
mod records;
mod report;
mod run;
mod settings;
mod shell;
mod show;
mod tearing;
mod topology;
mod tune;
mod units;
mod validate;

use std::ffi::OsString;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use clap::error::ErrorKind;
use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};

use crate::error::{EXIT_BAD_INPUT, Error, Result};
use crate::harness::Prefetch;
use crate::terminal;

/// Measures memory-ordering races of the Linux kernel's wakeup path on this host's CPUs
#[derive(Debug, Parser)]
#[command(name = "wakerace", version, about, max_term_width = 100)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run scenarios on this host and print which outcomes were seen, and how often
    Run(Box<run::RunArgs>),
    /// Run every test of a corpus and compare what was seen with what the architecture allows
    Campaign(Box<campaign::CampaignArgs>),
    /// Run this program, built for another architecture, under an emulator, and report what the emulator must not show
    Conform(conform::ConformArgs),
    /// Search for the settings with the most races per second on this host, and save them for `run`
    Tune(tune::TuneArgs),
    /// Run the kernel's mutex and wakeup protocol and count the harm that the race does
    Protocol(protocol::ProtocolArgs),
    /// Map which unaligned loads and stores are seen in part, at every offset of a cache line
    Tearing(tearing::TearingArgs),
    /// Print what each memory model allows for a test, and why
    Check(check::CheckArgs),
    /// Write litmus tests for cycles of relaxations, as diy7, diyone7 and diycross7 do
    Generate(generate::GenerateArgs),
    /// Check that records are readable and consistent
    Validate(validate::ValidateArgs),
    /// Add up records of the same tests and the same code, from one or more machines
    Merge(validate::MergeArgs),
    /// Compare records: the ratio of their rates, and whether they differ by more than chance
    Compare(compare::CompareArgs),
    /// Set published rates beside those of this host or of a record, and list published errata
    Expect(expect::ExpectArgs),
    /// Draw records as one self-contained HTML page
    Report(report::ReportArgs),
    /// Write the index page of a folder of records
    Index(index::IndexArgs),
    /// Draw the answer of records as a small picture for a README
    Badge(badge::BadgeArgs),
    /// Write how to cite a set of records: CITATION.cff, or metadata for Zenodo
    Cite(cite::CiteArgs),
    /// Convert a scenario or a record to a format that other tools read
    Export(export::ExportArgs),
    /// Make a record of logs of litmus7 or klitmus7, so that their counts stand beside wakerace's
    Import(import::ImportArgs),
    /// List the scenarios and the expected verdict for each architecture
    List(list::ListArgs),
    /// Show a scenario's source, its lowered form and its machine code
    Show(show::ShowArgs),
    /// Show this host's CPUs and where threads would be placed
    Topology(topology::TopologyArgs),
    /// Print a completion script for a shell
    Completions(shell::CompletionsArgs),
    /// Write the manual pages
    Man(shell::ManArgs),
}

/// Runs the whole program and returns the exit status: reads the arguments, runs the subcommand and prints
/// any error.
pub fn main() -> u8 {
    let cli = match parse() {
        Ok(cli) => cli,
        Err(error) => return refuse_arguments(&error),
    };
    // By default SIGXFSZ kills a process that writes more than RLIMIT_FSIZE allows. With a handler, the write
    // fails with EFBIG instead, and the error can be reported.
    let told = Arc::new(AtomicBool::new(false));
    let watching = signal_hook::flag::register(signal_hook::consts::SIGXFSZ, told)
        .map_err(Error::io("installing a handler for SIGXFSZ"));
    match watching.and_then(|_| dispatch(cli)) {
        Ok(status) => status,
        Err(error) => {
            complain(&error);
            EXIT_BAD_INPUT
        }
    }
}

/// Parses the arguments. For `run` it also notes which options were given, which only clap knows.
fn parse() -> std::result::Result<Cli, clap::Error> {
    let args = joined(std::env::args_os());
    let mut command = Cli::command();
    let matches = match command.try_get_matches_from_mut(&args) {
        // The notes at the end of the help are not put together for a command that runs.
        Err(error) if HELP.contains(&error.kind()) => {
            notes::with_notes(Cli::command()).try_get_matches_from_mut(&args)?
        }
        other => other?,
    };
    let mut cli = Cli::from_arg_matches(&matches).map_err(|error| error.format(&mut command))?;
    if let (Command::Run(args), Some((name, matches))) = (&mut cli.command, matches.subcommand())
        && let Some(command) = command.find_subcommand(name)
    {
        args.note(command, matches);
    }
    Ok(cli)
}

/// What clap calls a wish for help: an option or `help`, and a command that lacks its subcommand.
const HELP: [ErrorKind; 2] = [ErrorKind::DisplayHelp, ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand];

/// An option whose value may be left out, and whether a word looks like a value of it.
type OptionalValue = (&'static str, fn(&str) -> bool);

/// Options whose value may be left out. A word behind such an option that does not look like its value is an argument of its
/// own, such as a scenario.
const WITH_OPTIONAL_VALUE: [OptionalValue; 4] = [
    ("--window", |word| word.contains("..") && units::parse_skews(word).is_ok()),
    // The command takes no arguments, so a word behind the option is its value or wrong.
    ("--latency", |word| !word.starts_with('-')),
    ("--prefetch", |word| word.parse::<Prefetch>().is_ok()),
    ("--warm", |word| word.parse::<Prefetch>().is_ok()),
];

/// Joins the options of [`WITH_OPTIONAL_VALUE`] with their values, as clap needs them: `--window -9..9` becomes
/// `--window=-9..9`. A negative number behind any option is joined with it too (`-d -1s`), so that the option itself says what it
/// expects; clap would take the number for an option. Arguments after `--` stay as they are.
fn joined(args: impl Iterator<Item = OsString>) -> Vec<OsString> {
    let mut out: Vec<OsString> = Vec::new();
    let mut options = true;
    for arg in args {
        options &= arg != "--";
        let option = out.last().filter(|_| options).and_then(|last| last.to_str());
        let known = WITH_OPTIONAL_VALUE.iter().find(|(name, _)| option == Some(name));
        match known.zip(arg.to_str()).filter(|((_, fits), word)| fits(word)) {
            Some(((name, _), word)) => {
                out.pop();
                out.push(format!("{name}={word}").into());
            }
            None => {
                match option.filter(|option| takes_negative(option)).zip(arg.to_str().filter(|word| negative(word))) {
                    Some((option, word)) => {
                        let both = format!("{option}={word}");
                        out.pop();
                        out.push(both.into());
                    }
                    None => out.push(arg),
                }
            }
        }
    }
    out
}

/// Whether a word is an option without a value: `--seed` or `-n`.
fn takes_negative(option: &str) -> bool {
    let long = option.len() > 2 && option.starts_with("--") && !option.contains('=');
    long || option.len() == 2 && option.starts_with('-') && option.as_bytes()[1].is_ascii_alphabetic()
}

/// Whether a word is a negative number, with or without a unit.
fn negative(word: &str) -> bool {
    let rest = word.strip_prefix('-').unwrap_or_default();
    rest.trim_start_matches('.').starts_with(|c: char| c.is_ascii_digit())
}

/// What the standard library says of a text that is no number, and what is said in its place.
const NO_NUMBER: [(&str, &str); 5] = [
    ("invalid digit found in string", "expected a whole number"),
    ("cannot parse integer from empty string", "expected a whole number"),
    ("number too large to fit in target type", "the number is too large"),
    ("number too small to fit in target type", "the number is too small"),
    ("invalid float literal", "expected a number"),
];

/// The words of clap's error without those of the standard library.
fn plain(words: &str) -> String {
    NO_NUMBER
        .iter()
        .fold(in_range(words), |words, (theirs, ours)| words.replace(&format!(": {theirs}"), &format!(": {ours}")))
}

/// The words of clap's error with `expected a whole number from 1 to 4096` in place of `0 is not in 1..=4096`.
fn in_range(words: &str) -> String {
    let line = |line: &str| {
        let (before, range) = line.rsplit_once(" is not in ")?;
        let (low, high) = range.split_once("..=")?;
        let (option, _) = before.rsplit_once(": ")?;
        let whole = |text: &str| text.parse::<i128>().is_ok();
        (whole(low) && whole(high)).then(|| format!("{option}: expected a whole number from {low} to {high}"))
    };
    words.split('\n').map(|text| line(text).unwrap_or_else(|| text.to_owned())).collect::<Vec<_>>().join("\n")
}

/// Prints what clap reports and returns the exit status.
///
/// Help and version go to standard output unchanged. Errors quote arguments, so they go through [`terminal`].
/// A closed pipe is not an error.
fn refuse_arguments(error: &clap::Error) -> u8 {
    if error.use_stderr() {
        terminal::err(&plain(&error.render().to_string()));
    } else {
        let _ = error.print();
    }
    u8::try_from(error.exit_code()).unwrap_or(EXIT_BAD_INPUT)
}

/// Runs a subcommand and returns the exit status.
///
/// # Errors
/// If the input is bad or the host cannot do what was asked. The exit status is then [`EXIT_BAD_INPUT`].
pub fn dispatch(cli: Cli) -> Result<u8> {
    match cli.command {
        Command::Run(args) => run::run(&args),
        Command::Campaign(args) => campaign::campaign(&args),
        Command::Conform(args) => conform::conform(&args),
        Command::Tune(args) => tune::tune(&args),
        Command::Protocol(args) => protocol::protocol(&args),
        Command::Tearing(args) => tearing::tearing(&args),
        Command::Check(args) => check::check(&args),
        Command::Generate(args) => generate::generate(&args),
        Command::Validate(args) => validate::validate(&args),
        Command::Merge(args) => validate::merge(&args),
        Command::Compare(args) => compare::compare(&args),
        Command::Expect(args) => expect::expect(&args),
        Command::Report(args) => report::report(&args),
        Command::Index(args) => index::index(&args),
        Command::Badge(args) => badge::badge(&args),
        Command::Cite(args) => cite::cite(&args),
        Command::Export(args) => export::export(&args),
        Command::Import(args) => import::import(&args),
        Command::List(args) => list::list(&args),
        Command::Show(args) => show::show(&args),
        Command::Topology(args) => topology::topology(&args),
        Command::Completions(args) => shell::completions(&args, Cli::command()),
        Command::Man(args) => shell::man(&args, Cli::command()),
    }
}

/// The message for an error. Errors in litmus files show their source line.
pub fn explain(error: &Error) -> String {
    match error {
        Error::Litmus(diagnostic) => format!("error: {diagnostic}"),
        other => format!("error: {other}"),
    }
}

fn complain(error: &Error) {
    terminal::err(&format!("{}\n", explain(error)));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_joined_only_with_an_option_that_it_fits() {
        let of = |words: &str| {
            let out = joined(words.split(' ').map(OsString::from));
            out.iter().map(|word| word.to_string_lossy().into_owned()).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(of("run --window -200..200/81 SB"), "run --window=-200..200/81 SB");
        assert_eq!(of("run --window SB --prefetch off"), "run --window SB --prefetch=off");
        assert_eq!(of("run --prefetch ahead --warm turns"), "run --prefetch=ahead --warm=turns");
        assert_eq!(of("run --window 20 --prefetch SB"), "run --window 20 --prefetch SB");
        assert_eq!(of("topology --latency 3"), "topology --latency=3");
        assert_eq!(of("topology --latency 0 --pairs"), "topology --latency=0 --pairs");
        assert_eq!(of("topology --latency --latency all"), "topology --latency --latency=all");
        assert_eq!(of("run --window -- -9..9"), "run --window -- -9..9");
        assert_eq!(of("run -d -1s -n -5 --seed -.5 -q SB"), "run -d=-1s -n=-5 --seed=-.5 -q SB");
        assert_eq!(of("run -o - --nice -5 -- -1"), "run -o - --nice=-5 -- -1");
    }
}
