//! `wakerace compare`: compares the rates of several records.

use std::path::{Path, PathBuf};

use clap::Args;

use super::records::{self, RecordFile};
use crate::error::{EXIT_FORBIDDEN, EXIT_OK, Error, Result};
use crate::publish::{self, Code, Line, Matrix, Ratio, Verdict};
use crate::record::{self, AnyRecord, Record};
use crate::{shown, terminal};

/// Arguments of `compare`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  wakerace compare before.json after.json   two runs
  wakerace compare results --markdown       a folder, by kind of CPU")]
pub struct CompareArgs {
    /// Records of `wakerace run`, or folders to search for them; each is compared with the first. Or only records of
    /// `wakerace campaign`, as columns
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// Give every record a line [default: if more than two records are of several kinds of CPU, each kind has one line]
    #[arg(long)]
    all: bool,
    /// Print the table as Markdown
    #[arg(long)]
    markdown: bool,
    /// Print the table as CSV, with the counts
    #[arg(long, conflicts_with = "markdown")]
    csv: bool,
    /// Exit with status 1 if any rate differs by more than chance. Only records of several runs can show that (`run --repeat`)
    #[arg(long)]
    fail_on_difference: bool,
}

/// Prints the comparison and returns the exit status.
pub fn compare(args: &CompareArgs) -> Result<u8> {
    let files = records::files(&args.paths)?;
    if let [first, ..] = files.as_slice()
        && first.path.is_file()
        && !first.in_folder
        && let AnyRecord::Campaign(_) = record::read_file(&first.path)?
    {
        return campaigns(args, &files);
    }
    let named = named(&args.paths).map_err(|error| mixed(&files).unwrap_or(error))?;
    if named.len() < 2 {
        return Err(Error::Usage("compare needs two records of `wakerace run` or more".to_owned()));
    }
    let (names, records): (Vec<String>, Vec<Record>) = named.into_iter().unzip();
    let (text, found) =
        if records.len() == 2 && !args.csv { pair(args, &names, &records)? } else { many(args, &names, &records)? };
    if args.csv {
        terminal::data(&text)?;
    } else {
        terminal::out(&text)?;
    }
    if args.fail_on_difference { found.status() } else { Ok(EXIT_OK) }
}

/// What the comparisons say about differences.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
struct Found {
    /// Rates that differ by more than chance.
    differ: usize,
    /// Comparisons that could have shown a difference.
    able: usize,
    /// Comparisons that could not: of a single run, of different settings, of different distances.
    unable: usize,
}

impl Found {
    fn add(&mut self, ratio: Ratio, code: &Code) {
        self.differ += usize::from(ratio.verdict(code) == Verdict::Yes);
        if ratio.can_differ(code) { self.able += 1 } else { self.unable += 1 }
    }

    /// The exit status with --fail-on-difference.
    fn status(self) -> Result<u8> {
        const WHY: &str = "a single run does not show how much runs differ, and rates with different settings or at different \
                           distances are not of one kind; measure with `wakerace run --repeat 5`";
        match self {
            Found { differ: 1.., .. } => Ok(EXIT_FORBIDDEN),
            Found { able: 0, unable: 1.., .. } => Err(Error::Usage(format!(
                "--fail-on-difference: no comparison of these records can show a difference: {WHY}"
            ))),
            Found { unable: 0, .. } => Ok(EXIT_OK),
            Found { able, unable, .. } => {
                let all = able + unable;
                terminal::err(&format!(
                    "--fail-on-difference: {unable} of {all} comparisons cannot show a difference: {WHY}\n"
                ));
                Ok(EXIT_OK)
            }
        }
    }
}

/// The text for two records, and what it says about differences.
fn pair(args: &CompareArgs, names: &[String], records: &[Record]) -> Result<(String, Found)> {
    let comparisons = publish::compare(records);
    if comparisons.is_empty() {
        return Err(nothing_shared());
    }
    let text = if args.markdown {
        publish::comparison_markdown(names, &comparisons)
    } else {
        publish::comparison_table(names, &comparisons, terminal::width())
    };
    // In many columns the results without a counterpart are found in the same way.
    let left_out = Matrix::of(records, names, Line::Record).left_out().to_owned();
    let mut found = Found::default();
    for comparison in &comparisons {
        match comparison.ratio {
            Some(ratio) => found.add(ratio, &comparison.code),
            None => found.unable += usize::from(comparison.note.is_some()),
        }
    }
    let notes = publish::distance_note(records, &comparisons) + &left_out + &publish::testing_powers(records);
    let width = terminal::width().filter(|_| !args.markdown);
    Ok((text + &publish::wrapped_lines(&notes, width), found))
}

/// The text for many records, and what it says about differences.
fn many(args: &CompareArgs, names: &[String], records: &[Record]) -> Result<(String, Found)> {
    let cpus = publish::kinds_of_cpu(records.iter().map(|record| &record.host));
    let line = if args.all || cpus == 1 || records.len() == 2 { Line::Record } else { Line::Cpu };
    let matrix = Matrix::of(records, names, line);
    if matrix.is_empty() {
        return Err(nothing_shared());
    }
    let text = if args.csv {
        matrix.csv()?
    } else if args.markdown {
        matrix.markdown()
    } else {
        matrix.text(terminal::width())
    };
    let mut found = Found::default();
    matrix.compared().for_each(|(ratio, code)| found.add(ratio, code));
    found.unable += matrix.alone();
    Ok((text, found))
}

fn nothing_shared() -> Error {
    Error::Usage("these records share no test on the same placement class and the same kinds of core".to_owned())
}

/// The error that names the first campaign among files that were named, if there is one.
fn mixed(files: &[RecordFile]) -> Option<Error> {
    let mut named = files.iter().filter(|file| !file.in_folder);
    let is_campaign = |file: &&RecordFile| matches!(record::read_file(&file.path), Ok(AnyRecord::Campaign(_)));
    named.find(is_campaign).map(|file| {
        let name = shown::path(&file.path);
        Error::Usage(format!("{name}: a record of `wakerace campaign`; {NOT_MIXED}"))
    })
}

/// Why a run beside a campaign is refused.
const NOT_MIXED: &str = "runs and campaigns are not compared with each other";

/// The records with their names. In folders, those of other subcommands are left out.
fn named(paths: &[PathBuf]) -> Result<Vec<(String, Record)>> {
    let mut out: Vec<(String, Record)> = Vec::new();
    for (path, record) in records::of_runs(paths, "can be compared")? {
        add(&mut out, &path, record)?;
    }
    Ok(out)
}

fn add(named: &mut Vec<(String, Record)>, path: &Path, record: Record) -> Result<()> {
    let name = shown::path(path);
    if named.first().is_some_and(|(_, first)| first.host.emulated != record.host.emulated) {
        return Err(Error::Usage(format!(
            "{name}: an emulated run says nothing about weak outcomes; it cannot be compared with a run on real hardware"
        )));
    }
    let host = &record.host;
    let by = record.tool.measured_by().map_or(String::new(), |by| format!(", {by}"));
    let (machine, label) = (host.named(), host.labelled());
    let kernel = host.kernel.split_whitespace().take(2).collect::<Vec<_>>().join(" ");
    let name = format!("{name} ({} {}{machine}, {kernel}{by}{label})", host.architecture, host.cpu_model);
    named.push((name, record));
    Ok(())
}

/// Prints campaigns as columns: by family, and the tests on which they differ.
fn campaigns(args: &CompareArgs, files: &[RecordFile]) -> Result<u8> {
    if args.markdown || args.csv || args.fail_on_difference {
        let words = "--markdown, --csv and --fail-on-difference compare records of `wakerace run`";
        return Err(Error::Usage(words.to_owned()));
    }
    let mut records = Vec::new();
    for RecordFile { path, in_folder } in files {
        let name = shown::path(path);
        match record::read_valid(path)? {
            AnyRecord::Campaign(record) => records.push((name, *record)),
            _ if *in_folder => {}
            other => {
                return Err(Error::Usage(format!(
                    "{name}: a record of `wakerace {}`; {}",
                    other.command(),
                    if let AnyRecord::Run(_) = other {
                        NOT_MIXED
                    } else {
                        "it cannot be compared with one of `wakerace campaign`"
                    }
                )));
            }
        }
    }
    let campaigns: Vec<_> = records.iter().map(|(name, record)| (name.clone(), record)).collect();
    terminal::out(&publish::campaign_comparison(&campaigns, terminal::width()))?;
    Ok(EXIT_OK)
}
