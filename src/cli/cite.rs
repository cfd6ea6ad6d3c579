//! `wakerace cite`: writes how to cite a set of records.

use std::path::PathBuf;

use clap::Args;

use crate::error::{EXIT_OK, Result};
use crate::files::Sink;
use crate::publish::{self, Citation};

/// Arguments of `cite`.
#[derive(Debug, Args)]
pub struct CiteArgs {
    /// Records, or folders to search for records
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// An author as 'Family, Given', or the name of a group; repeat it for several
    #[arg(long, value_name = "NAME", required = true)]
    author: Vec<String>,
    /// Title of the set [default: made of the CPUs]
    #[arg(long, value_name = "TEXT")]
    title: Option<String>,
    /// Licence of the set as an SPDX identifier, such as CC-BY-4.0
    #[arg(long, value_name = "ID")]
    license: Option<String>,
    /// DOI of the set, if it has one
    #[arg(long, value_name = "DOI")]
    doi: Option<String>,
    /// Write metadata for a deposit at Zenodo (.zenodo.json) in place of CITATION.cff
    #[arg(long)]
    zenodo: bool,
    /// Output file; `-` is standard output
    #[arg(short = 'o', long, value_name = "FILE", default_value = "-")]
    output: PathBuf,
}

/// Writes how to cite a set of records and returns the exit status.
pub fn cite(args: &CiteArgs) -> Result<u8> {
    let output = Sink::open(&args.output)?;
    let entries = super::report::entries(&args.paths)?;
    let citation = Citation {
        authors: args.author.clone(),
        title: args.title.clone(),
        license: args.license.clone(),
        doi: args.doi.clone(),
    };
    let text = if args.zenodo { publish::zenodo(&entries, &citation)? } else { publish::cff(&entries, &citation)? };
    output.write(&text)?;
    Ok(EXIT_OK)
}
