//! Where records go: a file that is kept, and the exports that the command line names.

use std::path::{Path, PathBuf};

use clap::Args;

use crate::error::{Error, Result};
use crate::publish::{self, Entry, Publish};
use crate::record;

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
    saved: Option<PathBuf>,
    files: Vec<(PathBuf, Form)>,
    /// Written once, at the end: drawing takes longer than a scenario may.
    pages: Vec<PathBuf>,
    /// What standard output is given, if it belongs to an export; words go to standard error then.
    piped: Option<Form>,
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
        let named = exports.into_iter().filter_map(|(path, form)| Some((path.clone()?, form)));
        let (piped, mut files): (Vec<_>, Vec<_>) = named.partition(|(path, _)| path.as_os_str() == "-");
        if piped.len() > 1 {
            return Err(Error::Usage("only one --export can go to standard output".to_owned()));
        }
        let saved = (!args.no_save).then_some(kept);
        files.extend(saved.clone().map(|path| (path, Form::Json)));
        let (drawn, files): (Vec<_>, Vec<_>) = files.into_iter().partition(|(_, form)| *form == Form::Html);
        let mut pages: Vec<PathBuf> = drawn.into_iter().map(|(path, _)| path).collect();
        pages.extend(saved.as_ref().map(|path| path.with_extension("html")));
        for path in files.iter().map(|(path, _)| path).chain(&pages) {
            record::check_writable(path)?;
        }
        Ok(Output { quiet: args.quiet, saved, files, pages, piped: piped.first().map(|(_, form)| *form) })
    }

    /// Words on the way; not with -q.
    pub fn say(&self, text: &str) {
        if !self.quiet {
            eprint!("{text}");
        }
    }

    /// Writes every file, whole.
    pub fn write_files(&self, record: &impl Publish) -> Result<()> {
        if record.is_empty() {
            return Ok(());
        }
        for (path, form) in &self.files {
            record::write_atomically(path, form.of(record, self.saved.as_deref())?.as_bytes())?;
        }
        Ok(())
    }

    /// The table, what it means, `evidence`, and where the files are.
    pub fn finish(&self, record: &impl Publish, evidence: &str) -> Result<()> {
        let mut text = format!("\n{}\n{}\n{evidence}", record.table(), record.summary());
        if !record.is_empty() {
            for path in &self.pages {
                let page = Form::Html.of(record, self.saved.as_deref())?;
                record::write_atomically(path, page.as_bytes())?;
            }
            if let Some(path) = &self.saved {
                text.push_str(&format!(
                    "\nrecord: {}\npage:   {}\n",
                    path.display(),
                    path.with_extension("html").display()
                ));
            }
        }
        match self.piped {
            None => super::print(&text),
            Some(form) => {
                eprint!("{text}");
                super::print(&form.of(record, self.saved.as_deref())?)
            }
        }
    }
}
