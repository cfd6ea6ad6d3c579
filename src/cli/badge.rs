//! `wakerace badge`: draws the answer of records as a small picture.

use std::path::PathBuf;

use clap::Args;

use crate::error::{EXIT_OK, Result};
use crate::files::Sink;
use crate::publish;

/// Arguments of `badge`.
#[derive(Debug, Args)]
pub struct BadgeArgs {
    /// Records, or folders to search for records
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// The test that the badge is about [default: the race]
    #[arg(long, value_name = "NAME")]
    result: Option<String>,
    /// Output file, an SVG picture; `-` is standard output
    #[arg(short = 'o', long, value_name = "FILE", default_value = "-")]
    output: PathBuf,
}

/// Draws the badge of records and returns the exit status.
pub fn badge(args: &BadgeArgs) -> Result<u8> {
    let output = Sink::open(&args.output)?;
    output.write(&publish::badge(&super::records::entries_without_sums(&args.paths)?, args.result.as_deref())?)?;
    Ok(EXIT_OK)
}
