//! `wakerace import`: makes a record of logs that litmus7 or klitmus7 wrote.

use std::path::{Path, PathBuf};

use clap::Args;

use super::units::{parse_line, parse_timestamp};
use crate::arch::Arch;
use crate::error::{EXIT_OK, Error, Result};
use crate::files::Sink;
use crate::input::{Limit, read_text};
use crate::publish::Publish;
use crate::record::{self, About};
use crate::shown;

/// The largest log that is read, in bytes. A log has a page of text per test.
const LARGEST: usize = 64 * 1024 * 1024;

/// Arguments of `import`.
#[derive(Debug, Args)]
pub struct ImportArgs {
    /// Logs of litmus7 or klitmus7; logs of the same test are repeats
    #[arg(required = true, value_name = "LOG")]
    logs: Vec<PathBuf>,
    /// The program that wrote the logs, if they do not say so: litmus7 or klitmus7
    #[arg(long, value_name = "NAME", value_parser = ["litmus7", "klitmus7"])]
    tool: Option<String>,
    /// The architecture of the machine that the tests ran on [default: that of the tests in a log of litmus7]
    #[arg(long, value_parser = Arch::named)]
    arch: Option<Arch>,
    /// The name of the CPU [default: the log's `model name`, or unknown]
    #[arg(long, value_name = "TEXT", value_parser = parse_line)]
    cpu: Option<String>,
    /// The kernel [default: the log's `uname -r`, or unknown]
    #[arg(long, value_name = "TEXT", value_parser = parse_line)]
    kernel: Option<String>,
    /// When the tests ran, in RFC 3339 [default: the time of the first log file]
    #[arg(long, value_name = "TIME", value_parser = parse_timestamp)]
    started: Option<jiff::Timestamp>,
    /// Output file [default: standard output]
    #[arg(short = 'o', long, value_name = "FILE")]
    output: Option<PathBuf>,
}

/// Makes a record of logs, writes it, and returns the exit status.
pub fn import(args: &ImportArgs) -> Result<u8> {
    let output = Sink::open(args.output.as_deref().unwrap_or(Path::new("-")))?;
    let mut logs = Vec::new();
    for path in &args.logs {
        let text = read_text(path, Limit { bytes: LARGEST, why: "a log has a page of text per test" })?;
        logs.push((shown::path(path), text));
    }
    let started = match args.started {
        Some(started) => started,
        None => changed(&args.logs[0])?,
    };
    let (tool, arch, cpu, kernel) = (args.tool.clone(), args.arch, args.cpu.clone(), args.kernel.clone());
    let record = record::import(&logs, &About { tool, arch, cpu, kernel, started })?;
    if let [first, ..] = record::problems(&record).as_slice() {
        return Err(Error::Usage(format!("{}: no valid record can be made of it: {first}", logs[0].0)));
    }
    output.write(&record.json()?)?;
    Ok(EXIT_OK)
}

/// When a file was changed.
fn changed(path: &Path) -> Result<jiff::Timestamp> {
    let modified = std::fs::metadata(path).and_then(|file| file.modified());
    let modified = modified.map_err(Error::io(format!("reading {}", shown::path(path))))?;
    jiff::Timestamp::try_from(modified)
        .map_err(|error| Error::Usage(format!("{}: its time: {error}", shown::path(path))))
}
