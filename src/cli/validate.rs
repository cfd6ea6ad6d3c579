//! `wakerace validate` checks records; `wakerace merge` adds them up.

use std::path::PathBuf;

use clap::Args;

use super::records::{self, RecordFile};
use crate::error::{EXIT_BAD_INPUT, EXIT_FORBIDDEN, EXIT_OK, Error, Result};
use crate::files::Sink;
use crate::publish::{self, Entry, Publish};
use crate::record::{self, AnyRecord, CampaignMerger, Merger};
use crate::{shown, terminal};

/// Arguments of `validate`.
#[derive(Debug, Args)]
pub struct ValidateArgs {
    /// Records to check, or folders to search for records
    #[arg(required_unless_present = "print_schema", value_name = "PATH")]
    files: Vec<PathBuf>,
    /// Also say what the records lack as a contribution to results/; exit with status 1 if they lack something
    #[arg(long, conflicts_with = "print_schema")]
    contribution: bool,
    /// Print the JSON Schema of records and check nothing
    #[arg(long)]
    print_schema: bool,
}

/// Checks that each record is readable and consistent, prints the problems, and returns the exit status.
pub fn validate(args: &ValidateArgs) -> Result<u8> {
    if args.print_schema {
        terminal::data(&record::json_schema()?)?;
        return Ok(EXIT_OK);
    }
    let mut status = EXIT_OK;
    let mut entries = Vec::new();
    for RecordFile { path, .. } in &records::files(&args.files)? {
        let name = shown::path(path);
        let record = match record::read_file(path) {
            Ok(record) => record,
            Err(error) => {
                terminal::err(&format!("error: {error}\n"));
                status = EXIT_BAD_INPUT;
                continue;
            }
        };
        let problems = record.problems();
        for problem in &problems {
            terminal::err(&format!("error: {name}: {}\n", shown::line(problem)));
        }
        if problems.is_empty() {
            terminal::out(&format!("{name}: valid\n"))?;
            entries.push(Entry { name: path.display().to_string(), record });
        } else {
            status = EXIT_BAD_INPUT;
        }
    }
    if args.contribution && !lacks_nothing(&entries)? && status == EXIT_OK {
        status = EXIT_FORBIDDEN;
    }
    Ok(status)
}

/// Says what records lack as a contribution. Returns whether they lack nothing.
fn lacks_nothing(entries: &[Entry]) -> Result<bool> {
    let missing = publish::missing(entries);
    if missing.is_empty() {
        terminal::out(
            "Nothing is missing. Run `wakerace index`, commit the records and the index, and open a pull request.\n",
        )?;
    } else {
        let lines: String = missing.iter().map(|words| format!("  {}\n", shown::line(words))).collect();
        terminal::out(&format!("\nMissing for a contribution (CONTRIBUTING.md):\n{lines}"))?;
    }
    Ok(missing.is_empty())
}

/// Arguments of `merge`.
#[derive(Debug, Args)]
pub struct MergeArgs {
    /// Records of `wakerace run`, or records of `wakerace campaign`; or folders to search for records
    #[arg(required = true, value_name = "PATH")]
    files: Vec<PathBuf>,
    /// Output file of the merged record; `-` is standard output
    #[arg(short = 'o', long, value_name = "FILE")]
    output: PathBuf,
}

/// Adds up records, writes the merged record and returns the exit status.
pub fn merge(args: &MergeArgs) -> Result<u8> {
    let output = Sink::open(&args.output)?;
    let mut merger: Option<AnyMerger> = None;
    for RecordFile { path, in_folder } in &records::files(&args.files)? {
        let name = shown::path(path);
        let read = record::read_valid(path)?;
        let command = read.command();
        match (&mut merger, read) {
            // The records of the protocol lie beside those of runs.
            (_, AnyRecord::Protocol(_)) if *in_folder => {
                terminal::err(&format!("left out: {name}, a record of `wakerace protocol`\n"));
            }
            (None, AnyRecord::Run(record)) => merger = Some(AnyMerger::Run(Merger::new(&name, *record)?)),
            (None, AnyRecord::Campaign(record)) => {
                merger = Some(AnyMerger::Campaign(CampaignMerger::new(&name, *record)?));
            }
            (Some(AnyMerger::Run(merger)), AnyRecord::Run(record)) => merger.add(&name, *record)?,
            (Some(AnyMerger::Campaign(merger)), AnyRecord::Campaign(record)) => merger.add(&name, *record)?,
            _ => {
                return Err(Error::Usage(format!(
                    "{name}: a record of `wakerace {command}`; only records of `wakerace run`, or only records of \
                     `wakerace campaign`, can be merged"
                )));
            }
        }
    }
    match merger {
        None => Err(Error::Usage("no record of `wakerace run` or `wakerace campaign` is there".to_owned())),
        Some(AnyMerger::Run(merger)) => write(args, &output, &merger.finish()),
        Some(AnyMerger::Campaign(merger)) => write(args, &output, &merger.finish()),
    }
}

/// A sum of records of one kind.
enum AnyMerger {
    Run(Merger),
    Campaign(CampaignMerger),
}

/// Writes a sum and prints its table.
fn write(args: &MergeArgs, output: &Sink, merged: &impl Publish) -> Result<u8> {
    let json = merged.json()?;
    output.write(&json)?;
    if output.is_stdout() {
        let (table, _) = super::output::table_and_summary(merged, terminal::error_width());
        terminal::err(&format!("\n{table}\n"));
    } else {
        let place = shown::path(&args.output);
        let (table, summary) = super::output::table_and_summary(merged, terminal::width());
        terminal::out(&format!("\n{table}\n{summary}\n\nrecord: {place}\n"))?;
    }
    Ok(EXIT_OK)
}
