//! `wakerace compare`: compares the rates of several records.

use std::path::PathBuf;

use clap::Args;

use crate::error::{EXIT_FORBIDDEN, EXIT_OK, Error, Result};
use crate::publish;
use crate::record::{self, Record};
use crate::{shown, terminal};

/// Arguments of `compare`.
#[derive(Debug, Args)]
pub struct CompareArgs {
    /// Records of `wakerace run`; each one is compared with the first
    #[arg(required = true, num_args = 2..)]
    files: Vec<PathBuf>,
    /// Print the table as Markdown
    #[arg(long)]
    markdown: bool,
    /// Exit with status 1 if any rate differs by more than chance
    #[arg(long)]
    fail_on_difference: bool,
}

/// Prints the comparison and returns the exit status.
pub fn compare(args: &CompareArgs) -> Result<u8> {
    let mut records: Vec<Record> = Vec::new();
    let mut names = Vec::new();
    for path in &args.files {
        let name = shown::path(path);
        let record = record::read_valid_run(path, "can be compared")?;
        if records.first().is_some_and(|first| first.host.emulated != record.host.emulated) {
            return Err(Error::Usage(format!(
                "{name}: an emulated run says nothing about weak outcomes; it cannot be compared with a run on real hardware"
            )));
        }
        let host = &record.host;
        let by = record.tool.measured_by().map_or(String::new(), |by| format!(", {by}"));
        let (machine, label) = (host.named(), host.labelled());
        names.push(format!("{name} ({} {}{machine}, {}{by}{label})", host.architecture, host.cpu_model, host.kernel));
        records.push(record);
    }
    let comparisons = publish::compare(&records);
    if comparisons.is_empty() {
        return Err(Error::Usage(
            "these records share no test on the same placement class and the same kinds of core".to_owned(),
        ));
    }
    let render = if args.markdown { publish::comparison_markdown } else { publish::comparison_table };
    terminal::out(&render(&names, &comparisons))?;
    let differs = comparisons.iter().filter_map(|comparison| comparison.ratio).any(publish::Ratio::differs);
    Ok(if differs && args.fail_on_difference { EXIT_FORBIDDEN } else { EXIT_OK })
}
