//! `wakerace index`: writes the index page of a folder of records.

use std::path::PathBuf;

use clap::Args;

use crate::error::{EXIT_OK, Result};
use crate::files::Sink;
use crate::{publish, shown, terminal};

/// Arguments of `index`.
#[derive(Debug, Args)]
pub struct IndexArgs {
    /// Folder with records at ARCHITECTURE/CPU/TIME.json; index.html is written there
    #[arg(default_value = "results")]
    folder: PathBuf,
}

/// Writes the index page of a folder of records and returns the exit status.
pub fn index(args: &IndexArgs) -> Result<u8> {
    let path = args.folder.join("index.html");
    let output = Sink::open(&path)?;
    let entries = super::report::entries(std::slice::from_ref(&args.folder))?;
    let page = publish::index(&args.folder, &entries)?;
    output.write(&page)?;
    let plural = if entries.len() == 1 { "" } else { "s" };
    terminal::out(&format!("index of {} record{plural}: {}\n", entries.len(), shown::path(&path)))?;
    Ok(EXIT_OK)
}
