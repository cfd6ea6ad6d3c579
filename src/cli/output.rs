//! Writes records: to their own file under results/, and to the exports that the command line names.

use std::path::{Path, PathBuf};

use clap::Args;

use crate::error::{EXIT_FORBIDDEN, EXIT_INTERRUPTED, EXIT_OK, Error, Result};
use crate::files::{Fresh, Sink};
use crate::publish::{self, Entry, Publish};
use crate::{machine, shown, terminal};

/// Options of every subcommand that makes a record.
#[derive(Debug, Args)]
pub struct OutputArgs {
    /// Print only the final table; forbidden outcomes, unexpected harm and errors are always printed
    #[arg(short = 'q', long)]
    pub quiet: bool,
    /// Print the result as a mail: at most 72 columns, the answer first
    #[arg(long)]
    mail: bool,
    /// Write the record to a file, or to standard output with `-`
    #[arg(long, value_name = "FILE")]
    export_json: Option<PathBuf>,
    /// Write the results as CSV to a file
    #[arg(long, value_name = "FILE")]
    export_csv: Option<PathBuf>,
    /// Write the table as Markdown to a file
    #[arg(long, value_name = "FILE")]
    export_markdown: Option<PathBuf>,
    /// Write the HTML page that `report` draws to a file
    #[arg(long, value_name = "FILE")]
    export_html: Option<PathBuf>,
    /// What only you know of this machine, such as a rack or a cooler; it is in the record, the table, the page and the CSV
    #[arg(long, value_name = "TEXT", value_parser = parse_label)]
    pub label: Option<String>,
    /// Do not save the record and its page under results/
    #[arg(long)]
    pub(super) no_save: bool,
}

fn parse_label(text: &str) -> std::result::Result<String, String> {
    machine::label_problem(text).map_or_else(|| Ok(text.trim().to_owned()), |problem| Err(format!("it {problem}")))
}

/// The format of an export.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Json,
    Csv,
    Markdown,
    Html,
}

impl Form {
    /// The text of a record in this format. `kept` is the path of the record's own file under results/, if it
    /// has one.
    fn of(self, record: &impl Publish, kept: Option<&Path>) -> Result<String> {
        match self {
            Form::Json => record.json(),
            Form::Csv => record.csv(),
            Form::Markdown => Ok(record.markdown()),
            Form::Html => {
                let name = kept.map_or_else(|| "this run".into(), |path| path.to_string_lossy());
                publish::page(&[Entry { name: name.into_owned(), record: record.any() }])
            }
        }
    }
}

/// The outputs of a run: messages, the saved record and the exports.
pub struct Output {
    quiet: bool,
    mail: bool,
    /// The record's own file under results/, unless --no-save is given. Its page gets the same name.
    kept: Option<Fresh>,
    /// Exports that are replaced whole after every result, so that a killed run keeps its finished results.
    files: Vec<(Sink, Form)>,
    /// Exports that are written once, at the end: streams, which cannot be rewritten, and pages, because
    /// drawing a page may take longer than running a scenario.
    at_end: Vec<(Sink, Form)>,
}

impl Output {
    /// Checks that every file can be written, before anything runs. `kept` is the path for the record's own
    /// file.
    pub fn new(args: &OutputArgs, kept: PathBuf) -> Result<Output> {
        let exports = [
            (&args.export_json, Form::Json),
            (&args.export_csv, Form::Csv),
            (&args.export_markdown, Form::Markdown),
            (&args.export_html, Form::Html),
        ];
        let kept = if args.no_save { None } else { Some(Fresh::new(kept)?) };
        let (mut files, mut at_end) = (Vec::new(), Vec::new());
        for (path, form) in exports {
            let Some(path) = path else { continue };
            let sink = Sink::open(path)?;
            if sink.is_replaced() && form != Form::Html { files.push((sink, form)) } else { at_end.push((sink, form)) }
        }
        if at_end.iter().filter(|(sink, _)| sink.is_stdout()).count() > 1 {
            return Err(Error::Usage(
                "only one --export can go to standard output; name a file for the others".to_owned(),
            ));
        }
        Ok(Output { quiet: args.quiet, mail: args.mail, kept, files, at_end })
    }

    /// Whether the record is saved under results/.
    pub fn is_kept(&self) -> bool {
        self.kept.is_some()
    }

    /// Saves the record in another file than the one that [`Output::new`] was given.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn keep_as(&mut self, path: PathBuf) -> Result<()> {
        self.kept = Some(Fresh::new(path)?);
        Ok(())
    }

    /// Prints a message to standard error while the run goes on; prints nothing with -q.
    pub fn say(&self, text: &str) {
        if !self.quiet {
            say(text);
        }
    }

    /// Says on standard error that a run was interrupted, with `rest` below it, if -q leaves out the summary, which says it
    /// otherwise.
    pub fn say_interrupted(&self, interrupted: bool, rest: &str) {
        if interrupted && self.quiet {
            say(&format!("{}\n{rest}", publish::INTERRUPTED));
        }
    }

    /// Replaces the record's own file and every export that can be rewritten.
    ///
    /// # Errors
    /// The first failure. The other files are still written.
    pub fn write_files(&mut self, record: &impl Publish) -> Result<()> {
        self.write(record).into_iter().next().map_or(Ok(()), Err)
    }

    fn write(&mut self, record: &impl Publish) -> Vec<Error> {
        let mut failed = Vec::new();
        if record.is_empty() {
            return failed;
        }
        if let Some(kept) = &mut self.kept {
            failed.extend(record.json().and_then(|json| kept.write(&json, &["html"])).err());
        }
        let name = self.kept.as_ref().map(Fresh::path);
        for (sink, form) in &self.files {
            failed.extend(form.of(record, name).and_then(|text| sink.write(&text)).err());
        }
        failed
    }

    /// Writes all files and prints the table, the summary, `evidence` and the paths of the files. Then prints
    /// `failures` and the failures of writing, except the last one, which is returned.
    ///
    /// # Errors
    /// The last failure.
    pub fn finish(&mut self, record: &impl Publish, evidence: &str, mut failures: Vec<Error>) -> Result<()> {
        failures.extend(self.write(record));
        let mut places = String::new();
        if let Some(kept) = self.kept.as_ref().filter(|kept| kept.is_made()) {
            places.push_str(&format!("\nrecord: {}\n", shown::path(kept.path())));
            match write_page(record, kept.path()) {
                Ok(path) => places.push_str(&format!("page:   {}\n", shown::path(&path))),
                Err(error) => failures.push(error),
            }
        }
        let name = self.kept.as_ref().map(Fresh::path);
        let (piped, others): (Vec<_>, Vec<_>) = self.at_end.iter().partition(|(sink, _)| sink.is_stdout());
        let write = |(sink, form): &(Sink, Form)| form.of(record, name).and_then(|text| sink.write(&text));
        if !record.is_empty() {
            failures.extend(others.into_iter().filter_map(|one| write(one).err()));
        }
        // A run without results prints only its errors.
        if !record.is_empty() || failures.is_empty() {
            let text = self.words(record, evidence, &places, piped.is_empty());
            if piped.is_empty() {
                failures.extend(terminal::out_painted(&text, &PAINT).err());
            } else {
                terminal::err(&text);
                failures.extend(piped.into_iter().filter_map(|one| write(one).err()));
            }
        }
        let Some(last) = failures.pop() else { return Ok(()) };
        for failure in &failures {
            super::complain(failure);
        }
        Err(last)
    }
}

/// The colours of findings.
const PAINT: [(&str, u8); 5] = [
    ("forbidden observed", 31),
    ("not observed", 32),
    ("inconclusive", 35),
    ("observed", 33),
    ("harm nobody expects", 31),
];

impl Output {
    /// What is printed at the end.
    fn words(&self, record: &impl Publish, evidence: &str, places: &str, to_stdout: bool) -> String {
        if self.mail {
            return record.mail();
        }
        let width = if to_stdout { terminal::width() } else { terminal::error_width() };
        let (table, summary) = table_and_summary(record, width);
        if self.quiet && !record.is_alarming() {
            return format!("\n{table}\n{evidence}");
        }
        format!("\n{table}\n{summary}\n{evidence}{places}")
    }
}

/// Prints a message to standard error, in lines that fit its terminal.
pub(super) fn say(text: &str) {
    terminal::err(&publish::wrapped_lines(text, terminal::error_width()));
}

/// The table and the summary of a record, fitted into the width of a terminal if there is one.
pub(super) fn table_and_summary(record: &impl Publish, width: Option<usize>) -> (String, String) {
    let table = width.map_or_else(|| record.table(), |width| record.table_in(width));
    (table, publish::wrapped_lines(&record.summary(), width))
}

/// The exit status of a subcommand that made a record. `bad` (a forbidden outcome or unexpected harm) takes
/// precedence over an error, which is then printed here.
///
/// # Errors
/// The error in `finished`, unless `bad` is set.
pub(super) fn status(finished: Result<()>, bad: bool, interrupted: bool) -> Result<u8> {
    match finished {
        Err(error) if bad => super::complain(&error),
        other => other?,
    }
    Ok(match (bad, interrupted) {
        (true, _) => EXIT_FORBIDDEN,
        (false, true) => EXIT_INTERRUPTED,
        (false, false) => EXIT_OK,
    })
}

/// Writes the page of a saved record beside it, and returns the page's path.
fn write_page(record: &impl Publish, kept: &Path) -> Result<PathBuf> {
    let mut page = Fresh::new(kept.with_extension("html"))?;
    page.write(&Form::Html.of(record, Some(kept))?, &[])?;
    Ok(page.path().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_seen_says_more_than_an_error_and_an_error_more_than_an_interrupt() {
        let failed = || Err(Error::Usage("a test's own".to_owned()));
        assert_eq!(status(Ok(()), false, false).unwrap(), 0);
        assert_eq!(status(Ok(()), false, true).unwrap(), 130);
        assert_eq!(status(Ok(()), true, true).unwrap(), 1);
        assert_eq!(status(failed(), true, false).unwrap(), 1);
        assert!(status(failed(), false, false).is_err() && status(failed(), false, true).is_err());
    }
}
