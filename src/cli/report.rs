//! `wakerace report`

use std::fs;
use std::path::PathBuf;

use clap::Args;

use crate::error::{EXIT_OK, Error, Result};
use crate::files::Sink;
use crate::input::find_files;
use crate::publish::{self, Entry};
use crate::{record, shown, terminal};

/// Arguments of `report`.
#[derive(Debug, Args)]
pub struct ReportArgs {
    /// Records, and folders that are searched for them
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// Where the page goes; `-` is standard output
    #[arg(short = 'o', long, value_name = "FILE")]
    output: PathBuf,
}

/// Draws records as a page.
pub fn report(args: &ReportArgs) -> Result<u8> {
    let output = Sink::open(&args.output)?;
    let entries = entries(&args.paths)?;
    let page = publish::page(&entries)?;
    output.write(&page)?;
    if !output.is_stdout() {
        let plural = if entries.len() == 1 { "" } else { "s" };
        terminal::out(&format!("page of {} record{plural}: {}\n", entries.len(), shown::path(&args.output)))?;
    }
    Ok(EXIT_OK)
}

/// The records that paths name, each once, those of a folder by name.
///
/// # Errors
/// If one does not read or does not add up, or a folder has none.
pub(super) fn entries(paths: &[PathBuf]) -> Result<Vec<Entry>> {
    let mut files = Vec::new();
    for path in paths {
        if path.is_dir() {
            let found = find_files(path, "json")?;
            if found.is_empty() {
                return Err(Error::Usage(format!("{}: no record (*.json) in this folder", shown::path(path))));
            }
            files.extend(found);
        } else {
            files.push(path.clone());
        }
    }
    let mut seen = Vec::new();
    let mut entries = Vec::new();
    for file in files {
        let name = shown::path(&file);
        let real = fs::canonicalize(&file).map_err(Error::io(format!("opening {name}")))?;
        if seen.contains(&real) {
            continue;
        }
        seen.push(real);
        let record = record::read_valid(&file)?;
        // A page links to its records, so that the name stays as it is there.
        entries.push(Entry { name: file.display().to_string(), record });
    }
    Ok(entries)
}
