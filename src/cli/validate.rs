//! `wakerace validate` and `wakerace merge`

use std::path::PathBuf;

use clap::Args;

use crate::error::{EXIT_BAD_INPUT, EXIT_OK, Error, Result};
use crate::publish::Publish;
use crate::record::{self, AnyRecord, Merger};

/// Arguments of `validate`.
#[derive(Debug, Args)]
pub struct ValidateArgs {
    /// Records
    #[arg(required_unless_present = "print_schema")]
    files: Vec<PathBuf>,
    /// Print the JSON Schema of records instead
    #[arg(long)]
    print_schema: bool,
}

/// Says of each record whether it reads and adds up.
pub fn validate(args: &ValidateArgs) -> Result<u8> {
    if args.print_schema {
        super::print(&record::json_schema()?)?;
        return Ok(EXIT_OK);
    }
    let mut status = EXIT_OK;
    for path in &args.files {
        let name = path.display();
        let problems = match record::read_file(path) {
            Ok(record) => record.problems(),
            Err(error) => {
                eprintln!("error: {error}");
                status = EXIT_BAD_INPUT;
                continue;
            }
        };
        for problem in &problems {
            eprintln!("error: {name}: {problem}");
        }
        if problems.is_empty() {
            super::print(&format!("{name}: valid\n"))?;
        } else {
            status = EXIT_BAD_INPUT;
        }
    }
    Ok(status)
}

/// Arguments of `merge`.
#[derive(Debug, Args)]
pub struct MergeArgs {
    /// Records of `wakerace run`
    #[arg(required = true)]
    files: Vec<PathBuf>,
    /// Where the sum goes; `-` is standard output
    #[arg(short = 'o', long, value_name = "FILE")]
    output: PathBuf,
}

/// Adds records up.
pub fn merge(args: &MergeArgs) -> Result<u8> {
    let piped = args.output.as_os_str() == "-";
    if !piped {
        record::check_writable(&args.output)?;
    }
    let mut merger: Option<Merger> = None;
    for path in &args.files {
        let name = path.display().to_string();
        let AnyRecord::Run(record) = record::read_valid(path)? else {
            return Err(Error::Usage(format!("{name}: records of the protocol are not added up")));
        };
        match &mut merger {
            None => merger = Some(Merger::new(&name, *record)?),
            Some(merger) => merger.add(&name, *record)?,
        }
    }
    let Some(merger) = merger else { return Ok(EXIT_OK) };
    let merged = merger.finish();
    let json = merged.json()?;
    if piped {
        eprint!("\n{}\n", merged.table());
        super::print(&json)?;
    } else {
        record::write_atomically(&args.output, json.as_bytes())?;
        super::print(&format!("\n{}\n{}\n\nrecord: {}\n", merged.table(), merged.summary(), args.output.display()))?;
    }
    Ok(EXIT_OK)
}
