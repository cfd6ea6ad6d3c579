//! Where records go: a file that is kept, and the exports that the command line names.

use std::path::{Path, PathBuf};

use clap::Args;

use crate::error::{EXIT_FORBIDDEN, EXIT_INTERRUPTED, EXIT_OK, Error, Result};
use crate::files::{Fresh, Sink};
use crate::publish::{self, Entry, Publish};
use crate::{shown, terminal};

/// Options of everything that makes a record.
#[derive(Debug, Args)]
pub struct OutputArgs {
    /// Print only the final table
    #[arg(short = 'q', long)]
    pub quiet: bool,
    /// Write the record to a file, or to standard output with `-`
    #[arg(long, value_name = "FILE")]
    export_json: Option<PathBuf>,
    /// Write the results as CSV
    #[arg(long, value_name = "FILE")]
    export_csv: Option<PathBuf>,
    /// Write the table as Markdown
    #[arg(long, value_name = "FILE")]
    export_markdown: Option<PathBuf>,
    /// Write the page that `report` draws
    #[arg(long, value_name = "FILE")]
    export_html: Option<PathBuf>,
    /// Do not keep the record and its page under results/
    #[arg(long)]
    no_save: bool,
}

/// What an export is written as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Json,
    Csv,
    Markdown,
    Html,
}

impl Form {
    /// `kept` is the name of the record's own file, if it has one.
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

/// Where words and files go.
pub struct Output {
    quiet: bool,
    /// The record that is kept without being asked for; its page gets the same name.
    kept: Option<Fresh>,
    /// Written whole after every result, so that a run that is killed has them.
    files: Vec<(Sink, Form)>,
    /// Written once, at the end: what cannot be written again, and pages, because drawing takes longer than a scenario may.
    at_end: Vec<(Sink, Form)>,
}

impl Output {
    /// Checks that every file can be written before anything runs; `kept` is where the record is kept.
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
            return Err(Error::Usage("only one --export can go to standard output".to_owned()));
        }
        Ok(Output { quiet: args.quiet, kept, files, at_end })
    }

    /// Words on the way; not with -q.
    pub fn say(&self, text: &str) {
        if !self.quiet {
            terminal::err(text);
        }
    }

    /// Writes every file that can be written again, whole.
    ///
    /// # Errors
    /// The first; the others are written all the same.
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

    /// Writes all files, then prints the table, what it means, `evidence`, and where the files are, then `failures`, and those of writing.
    ///
    /// # Errors
    /// The last failure; those before it were printed.
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
        // A run of which nothing is left has only its errors to show.
        if !record.is_empty() || failures.is_empty() {
            let text = format!("\n{}\n{}\n{evidence}{places}", record.table(), record.summary());
            if piped.is_empty() {
                failures.extend(terminal::out(&text).err());
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

/// The exit status of what made a record. `bad` says more than an error, which is printed then.
///
/// # Errors
/// What `finished` holds.
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

/// Writes the page of a record that is kept; its path.
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
