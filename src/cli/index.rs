//! `wakerace index`: writes the index page of a folder of records, or a whole site of them.

use std::path::{Path, PathBuf};

use clap::Args;

use super::report::{Site, with_picture_ending};
use crate::error::{EXIT_OK, Error, Result};
use crate::files::{Sink, write_own, write_own_bytes};
use crate::parallel::in_parallel;
use crate::publish::{self, Entry, FLEET, Front};
use crate::{shown, terminal};

/// Arguments of `index`.
#[derive(Debug, Args)]
pub struct IndexArgs {
    /// Folder with records at ARCHITECTURE/CPU/TIME.json; index.html is written there
    #[arg(default_value = "results")]
    folder: PathBuf,
    /// Write a site into another folder: the index, the page of each host and copies of the records
    #[arg(long, value_name = "FOLDER")]
    site: Option<PathBuf>,
    /// Address that the site will have, such as https://example.org/races/. Each page then has the picture that chats and sites
    /// show for a link to it
    #[arg(long, value_name = "URL", requires = "site", value_parser = super::units::parse_url)]
    url: Option<String>,
}

/// Writes the index page of a folder of records and returns the exit status.
pub fn index(args: &IndexArgs) -> Result<u8> {
    let entries = super::records::entries_without_sums(std::slice::from_ref(&args.folder))?;
    let path = match &args.site {
        Some(site) => write_site(&args.folder, site, args.url.as_deref(), &entries)?,
        None => {
            let path = args.folder.join("index.html");
            let output = Sink::open(&path)?;
            output.write(&publish::index(&args.folder, &entries, &Front::default(), |_| None)?.html)?;
            path
        }
    };
    let plural = if entries.len() == 1 { "" } else { "s" };
    terminal::out(&format!("index of {} record{plural}: {}\n", entries.len(), shown::path(&path)))?;
    Ok(EXIT_OK)
}

/// Writes the site and returns the path of its index.
fn write_site(folder: &Path, site: &Path, url: Option<&str>, entries: &[Entry]) -> Result<PathBuf> {
    // The address names a folder, with or without a slash at its end.
    let published = url.map(|url| Site::of_page(&format!("{}/", url.trim_end_matches('/')))).transpose()?;
    let front = |page: &str| {
        let address = |name: &str| published.as_ref().map(|site| site.address(name));
        Front { url: address(page), image: address(&with_picture_ending(page)), ..Front::default() }
    };
    let address = |first: usize| {
        let record = Path::new(&entries[first].name);
        record.strip_prefix(folder).unwrap_or(record).with_extension("host.html").to_string_lossy().into_owned()
    };
    let index = publish::index(folder, entries, &front("index.html"), |first| Some(address(first)))?;
    for entry in entries {
        let name = Path::new(&entry.name);
        let text = std::fs::read_to_string(name).map_err(Error::io(format!("reading {}", entry.name)))?;
        write_own(&site.join(name.strip_prefix(folder).unwrap_or(name)), &text)?;
    }
    let pages = in_parallel(&publish::hosts(entries), |numbers| {
        let of_host: Vec<Entry> = numbers.iter().map(|number| entries[*number].clone()).collect();
        // The index links to the campaigns of the host themselves.
        let (of_host, _) = publish::of_one_kind(of_host);
        let front = front(&address(numbers[0]));
        let page = if of_host.len() > FLEET {
            publish::fleet_page(&of_host, &front)?
        } else {
            publish::signed_page(&of_host, &front)?
        };
        Ok((address(numbers[0]), page))
    })?;
    for (address, page) in pages.into_iter().chain([("index.html".to_owned(), index)]) {
        write_own(&site.join(&address), &page.html)?;
        if let Some(picture) = page.picture {
            write_own_bytes(&site.join(with_picture_ending(&address)), &picture)?;
        }
    }
    Ok(site.join("index.html"))
}
