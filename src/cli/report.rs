//! `wakerace report`: draws records as one HTML page.

use std::path::{Path, PathBuf};

use clap::Args;

use super::records;
use crate::error::{EXIT_OK, Error, Result};
use crate::files::Sink;
use crate::parallel::in_parallel;
use crate::publish::{self, Entry, FLEET, Front};
use crate::{shown, terminal};

/// Arguments of `report`.
#[derive(Debug, Args)]
pub struct ReportArgs {
    /// Records, or folders to search for records
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// Output file of the page; `-` is standard output
    #[arg(short = 'o', long, value_name = "FILE")]
    output: PathBuf,
    /// Draw every run on the page, however many records there are. Details that do not fit into 1 MB are left out and named; a page
    /// that is larger without them is an error [default: more than 12 records, and those of --pages, are drawn by kind of CPU]
    #[arg(long)]
    one_page: bool,
    /// Also write the page of each record into a folder, which must exist, and link to it from the page of many records
    #[arg(long, value_name = "FOLDER", conflicts_with = "one_page")]
    pages: Option<PathBuf>,
    /// Who publishes the page
    #[arg(long, value_name = "NAME")]
    author: Option<String>,
    /// How to cite the page, in one line
    #[arg(long, value_name = "TEXT")]
    cite: Option<String>,
    /// Address that the page will have; the picture that a link to it shows is then written beside the page, as FILE.svg
    #[arg(long, value_name = "URL")]
    url: Option<String>,
}

/// Draws records as a page and returns the exit status.
pub fn report(args: &ReportArgs) -> Result<u8> {
    let output = Sink::open(&args.output)?;
    let picture = match &args.url {
        Some(_) if output.is_stdout() => {
            return Err(Error::Usage(
                "--url: the picture goes beside the page, so -o must name a file and not standard output".to_owned(),
            ));
        }
        Some(_) => Some(Sink::open(&args.output.with_extension(publish::PICTURE_ENDING))?),
        None => None,
    };
    let (entries, left_out) = kept_and_left_out(&args.paths)?;
    let front = Front { author: args.author.clone(), cite: args.cite.clone(), url: args.url.clone() };
    let pages = args.pages.as_deref().map(|folder| write_pages(folder, &args.output, &entries)).transpose()?;
    let fleet = !args.one_page && (entries.len() > FLEET || pages.is_some());
    let page = if fleet {
        publish::fleet_page(&entries, &front, pages.as_deref())?
    } else {
        publish::signed_page(&entries, &front)?
    };
    output.write(&page.html)?;
    if let Some(picture) = picture {
        picture.write(&page.picture)?;
    }
    if !output.is_stdout() {
        let plural = if entries.len() == 1 { "" } else { "s" };
        terminal::out(&format!("page of {} record{plural}: {}\n", entries.len(), shown::path(&args.output)))?;
        if !page.folded.is_empty() {
            terminal::out(&format!(
                "Left out, because the page would be larger than {} MB: {}. --pages FOLDER writes a page of each record with them.\n",
                publish::LARGEST / 1_000_000,
                page.folded.join(", ")
            ))?;
        }
        if !left_out.is_empty() {
            terminal::out(&words_of_left_out(&left_out))?;
        }
        if fleet && pages.is_none() {
            terminal::out(
                "Each kind of CPU is one mark a test. --pages FOLDER also writes the page of each record; --one-page draws every \
                 run.\n",
            )?;
        }
    }
    Ok(EXIT_OK)
}

/// The records that the page is of, and the campaigns of folders that hold both kinds. A campaign that was named by itself
/// stays, so that drawing it with records of another kind is an error.
fn kept_and_left_out(paths: &[PathBuf]) -> Result<(Vec<Entry>, Vec<Entry>)> {
    let entries = records::entries(paths)?;
    let is_named = |entry: &Entry| paths.iter().any(|path| path.as_path() == Path::new(&entry.name));
    let (of_page, campaigns) = publish::of_one_kind(entries);
    let (named, left_out): (Vec<Entry>, Vec<Entry>) = campaigns.into_iter().partition(is_named);
    Ok((of_page.into_iter().chain(named).collect(), left_out))
}

/// Says which campaigns are not on the page, and how to draw them.
fn words_of_left_out(left_out: &[Entry]) -> String {
    let names: Vec<_> = left_out.iter().map(|entry| shown::line(&entry.name)).collect();
    let plural = if names.len() == 1 { "" } else { "s" };
    format!(
        "Left out: {} record{plural} of `wakerace campaign`, which has a page of its own kind. To draw it: wakerace report -o FILE {}\n",
        names.len(),
        names.join(" ")
    )
}

/// Writes the page of each record into a folder. Returns the addresses of the pages as seen from the page of many.
fn write_pages(folder: &Path, output: &Path, entries: &[Entry]) -> Result<Vec<String>> {
    let near = output.parent().and_then(|parent| folder.strip_prefix(parent).ok()).unwrap_or(folder);
    let numbered: Vec<(usize, &Entry)> = entries.iter().enumerate().collect();
    in_parallel(&numbered, |(number, entry)| {
        let stem = Path::new(&entry.name).file_stem().map_or("record".into(), |stem| stem.to_string_lossy());
        let name = format!("{:04}-{stem}.html", number + 1);
        Sink::open(&folder.join(&name))?.write(&publish::page(std::slice::from_ref(entry))?)?;
        Ok(near.join(name).to_string_lossy().into_owned())
    })
}
