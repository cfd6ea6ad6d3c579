//! `wakerace expect`: sets published rates beside those of this host or of a record.

use std::path::PathBuf;

use clap::{Args, Parser};

use super::run::{RunArgs, measured};
use super::units::parse_duration;
use crate::arch::Arch;
use crate::error::{EXIT_OK, Error, Result};
use crate::expect::Published;
use crate::record::{self, Record};
use crate::{publish, terminal};

/// Arguments of `expect`.
#[derive(Debug, Args)]
pub struct ExpectArgs {
    /// A record of `wakerace run` [default: run the tests that have published rates, for about half a minute]
    record: Option<PathBuf>,
    /// Time for each test on each placement, if they are run
    #[arg(short = 'd', long, value_name = "TIME", conflicts_with = "record", value_parser = checked_duration)]
    duration: Option<String>,
    /// Do not save the record of the run
    #[arg(long, conflicts_with = "record")]
    no_save: bool,
}

/// Checks a duration and keeps its text, which `run` gets.
fn checked_duration(text: &str) -> std::result::Result<String, String> {
    parse_duration(text).map(|_| text.to_owned())
}

/// A command line of `wakerace run`.
#[derive(Debug, Parser)]
struct RunLine {
    #[command(flatten)]
    args: RunArgs,
}

/// Prints the comparison and the errata, and returns the exit status.
pub fn expect(args: &ExpectArgs) -> Result<u8> {
    let published = Published::known();
    let (status, record) = match &args.record {
        Some(path) => {
            let path = super::records::single("RECORD", path)?;
            (EXIT_OK, record::read_valid_run(&path, "have rates to compare")?)
        }
        None => {
            let arch = Arch::host().map_or(std::env::consts::ARCH, Arch::name);
            let tests = published.scenarios(arch);
            if tests.is_empty() {
                terminal::out(&publish::wrapped_lines(&publish::nothing_fits(arch), terminal::width()))?;
                return Ok(EXIT_OK);
            }
            run(args, &tests)?
        }
    };
    terminal::out(&format!("\n{}", publish::expectations(&published, &record, terminal::width())))?;
    Ok(status)
}

/// Runs the tests with the controls of every run.
fn run(args: &ExpectArgs, tests: &[&str]) -> Result<(u8, Record)> {
    let mut line = vec!["run"];
    line.extend(tests);
    if let Some(duration) = &args.duration {
        line.extend(["--duration", duration]);
    }
    if args.no_save {
        line.push("--no-save");
    }
    let wrong = |error: clap::Error| Error::Usage(error.to_string().trim_start_matches("error: ").trim().to_owned());
    measured(&RunLine::try_parse_from(line).map_err(wrong)?.args)
}
