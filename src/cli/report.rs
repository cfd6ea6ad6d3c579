//! `wakerace report`: draws records as one HTML page.

use std::path::{Path, PathBuf};

use clap::Args;

use super::records;
use super::units::{parse_line, parse_url};
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
    output: Option<PathBuf>,
    /// Draw every run on the page, however many records there are. Parts that do not fit into 4 MB are left out and named; a page
    /// that is larger without them is an error [default: more than 12 records are drawn by kind of CPU]
    #[arg(long)]
    one_page: bool,
    /// Also write the page of each record into a folder, which must exist, and link to it from the page
    #[arg(long, value_name = "FOLDER")]
    pages: Option<PathBuf>,
    /// Who publishes the page
    #[arg(long, value_name = "NAME", value_parser = parse_line)]
    author: Option<String>,
    /// How to cite the page, in one line
    #[arg(long, value_name = "TEXT", value_parser = parse_line)]
    cite: Option<String>,
    /// Address that the page will have, such as https://example.org/page.html. The picture that chats and sites show for a link
    /// to it is then written beside the page, as FILE.png, and belongs beside it there too
    #[arg(long, value_name = "URL", value_parser = parse_url)]
    url: Option<String>,
}

/// The file of the page. There is none by default: `run` has written a page beside each record already, and that page is kept.
fn output_of(args: &ReportArgs) -> Result<&Path> {
    let wanted = || {
        let paths: Vec<String> = args.paths.iter().map(|path| shown::path(path).to_string()).collect();
        let page = args.paths[0].with_extension("html");
        let there = if page.is_file() {
            format!("; the page that was written with the record is {}", shown::path(&page))
        } else {
            String::new()
        };
        Error::Usage(format!(
            "--output: the page needs a file, such as `wakerace report {} -o page.html`{there}",
            paths.join(" ")
        ))
    };
    args.output.as_deref().ok_or_else(wanted)
}

/// Draws records as a page and returns the exit status.
pub fn report(args: &ReportArgs) -> Result<u8> {
    let path = output_of(args)?;
    let output = Sink::open(path)?;
    let picture = match &args.url {
        Some(_) if output.is_stdout() => {
            return Err(Error::Usage(
                "--url: the picture goes beside the page, so -o must name a file and not standard output".to_owned(),
            ));
        }
        Some(_) => Some(Sink::open(&path.with_extension(publish::PICTURE_ENDING))?),
        None => None,
    };
    let site = args.url.as_deref().map(Site::of_page).transpose()?;
    let (entries, left_out) = kept_and_left_out(&args.paths)?;
    let own = path.file_name().map_or(String::new(), |name| name.to_string_lossy().into_owned());
    let front = Front {
        author: args.author.clone(),
        cite: args.cite.clone(),
        url: args.url.clone(),
        image: site.as_ref().map(|site| site.address(&with_picture_ending(&own))),
        pages: Vec::new(),
    };
    let pages =
        args.pages.as_deref().map(|folder| write_pages(folder, path, &entries, site.as_ref(), &front)).transpose()?;
    let front = Front { pages: pages.unwrap_or_default(), ..front };
    let fleet = !args.one_page && entries.len() > FLEET;
    let page = if fleet { publish::fleet_page(&entries, &front)? } else { publish::signed_page(&entries, &front)? };
    output.write(&page.html)?;
    if let Some((sink, picture)) = picture.zip(page.picture) {
        sink.write_bytes(&picture)?;
    }
    if !output.is_stdout() {
        let plural = if entries.len() == 1 { "" } else { "s" };
        terminal::out(&format!("page of {} record{plural}: {}\n", entries.len(), shown::path(path)))?;
        if !page.folded.is_empty() {
            terminal::out(&format!(
                "Left out, because the page would be larger than {} MB: {}.{}\n",
                publish::LARGEST / 1_000_000,
                page.folded.join(", "),
                if front.pages.is_empty() {
                    " --pages FOLDER writes a page of each record with them."
                } else {
                    " The pages of the records have them."
                }
            ))?;
        }
        if !left_out.is_empty() {
            terminal::out(&words_of_left_out(&left_out))?;
        }
        if fleet && front.pages.is_empty() {
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
    let entries = records::entries_without_sums(paths)?;
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
/// Where the page of many has an address, those below its folder have one too, and pictures beside them.
fn write_pages(
    folder: &Path,
    output: &Path,
    entries: &[Entry],
    site: Option<&Site>,
    front: &Front,
) -> Result<Vec<String>> {
    let below = output.parent().and_then(|parent| folder.strip_prefix(parent).ok());
    let near = below.unwrap_or(folder);
    let numbered: Vec<(usize, &Entry)> = entries.iter().enumerate().collect();
    in_parallel(&numbered, |(number, entry)| {
        let stem = Path::new(&entry.name).file_stem().map_or("record".into(), |stem| stem.to_string_lossy());
        let name = format!("{:04}-{stem}.html", number + 1);
        let link = near.join(&name).to_string_lossy().into_owned();
        let site = site.filter(|_| below.is_some_and(Path::is_relative));
        let address = |name: &str| site.map(|site| site.address(name));
        let front = Front { url: address(&link), image: address(&with_picture_ending(&link)), ..front.clone() };
        let page = publish::signed_page(std::slice::from_ref(entry), &front)?;
        Sink::open(&folder.join(&name))?.write(&page.html)?;
        if let Some(picture) = page.picture {
            Sink::open(&folder.join(with_picture_ending(&name)))?.write_bytes(&picture)?;
        }
        Ok(link)
    })
}

/// The folder of a site that is published.
pub(super) struct Site {
    /// The address, with a slash at its end.
    base: String,
}

impl Site {
    /// The folder of a page with this address.
    ///
    /// # Errors
    /// If the address is not absolute: sites take no other for the picture of a link.
    pub(super) fn of_page(url: &str) -> Result<Site> {
        let url = parse_url(url).map_err(|words| Error::Usage(format!("--url: {}", shown::line(&words))))?;
        let plain = url.split(['?', '#']).next().unwrap_or_default();
        // The first slash of the path; those of the scheme come before it.
        let host = plain.find("://").map_or(0, |scheme| scheme + "://".len());
        let end = plain[host..].rfind('/').map_or(plain.len(), |slash| host + slash);
        Ok(Site { base: format!("{}/", &plain[..end]) })
    }

    /// The address of a file of the site. `path` is relative to its folder.
    pub(super) fn address(&self, path: &str) -> String {
        self.base.clone() + &path.bytes().map(super::export::escaped).collect::<String>()
    }
}

/// The name of the picture beside a page.
pub(super) fn with_picture_ending(page: &str) -> String {
    Path::new(page).with_extension(publish::PICTURE_ENDING).to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_files_of_a_site_have_whole_addresses() {
        let of = |url: &str| Site::of_page(url).map(|site| site.address("a b/0001.png"));
        assert_eq!(of("https://example.org/races/page.html?x=1").unwrap(), "https://example.org/races/a%20b/0001.png");
        assert_eq!(of("https://example.org/races/").unwrap(), "https://example.org/races/a%20b/0001.png");
        assert_eq!(of("http://example.org").unwrap(), "http://example.org/a%20b/0001.png");
        for wrong in ["page.html", "//example.org/x", "https://", "https:///x", "ftp://example.org/x", "https://a b/x"]
        {
            let error = of(wrong).unwrap_err().to_string();
            assert!(error.contains(wrong) && error.contains("https://example.org/"), "{error}");
        }
    }
}
