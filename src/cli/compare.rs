//! `wakerace compare`: compares the rates of several records.

use std::path::PathBuf;

use clap::Args;

use crate::error::{EXIT_FORBIDDEN, EXIT_OK, Error, Result};
use crate::publish;
use crate::record::{self, AnyRecord, Record};
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
        let AnyRecord::Run(record) = record::read_file(path)? else {
            return Err(Error::Usage(format!(
                "{name}: a record of `wakerace protocol`; only records of `wakerace run` can be compared"
            )));
        };
        if let Some(problem) = record::problems(&record).first() {
            return Err(Error::Usage(format!("{name}: {problem}")));
        }
        if records.first().is_some_and(|first| first.host.emulated != record.host.emulated) {
            return Err(Error::Usage(format!(
                "{name}: an emulated run says nothing about weak outcomes; it cannot be compared with a run on real hardware"
            )));
        }
        let host = &record.host;
        let by = record.tool.measured_by().map_or(String::new(), |by| format!(", {by}"));
        let machine = Some(host.names.in_words()).filter(|names| !names.is_empty());
        let machine = machine.map_or(String::new(), |names| format!(", {names}"));
        let label = host.label.as_ref().map_or(String::new(), |label| format!(", labelled \"{label}\""));
        names.push(format!("{name} ({} {}{machine}, {}{by}{label})", host.architecture, host.cpu_model, host.kernel));
        records.push(*record);
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
