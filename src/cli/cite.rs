//! `wakerace cite`: writes how to cite a set of records.

use std::path::PathBuf;

use clap::Args;

use super::units::parse_line;
use crate::error::{EXIT_OK, Result};
use crate::files::Sink;
use crate::publish::{self, Citation};

/// Arguments of `cite`.
#[derive(Debug, Args)]
pub struct CiteArgs {
    /// Records, or folders to search for records
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// An author as 'Family, Given', or the name of a group; repeat it for several
    #[arg(long, value_name = "NAME", required = true, value_parser = parse_author)]
    author: Vec<String>,
    /// Title of the set [default: made of the CPUs]
    #[arg(long, value_name = "TEXT", value_parser = parse_line)]
    title: Option<String>,
    /// Licence of the set as an identifier of the SPDX License List, such as CC-BY-4.0
    #[arg(long, value_name = "ID", value_parser = parse_license)]
    license: Option<String>,
    /// DOI of the set, if it has one
    #[arg(long, value_name = "DOI", value_parser = parse_doi)]
    doi: Option<String>,
    /// Write metadata for a deposit at Zenodo (.zenodo.json) in place of CITATION.cff
    #[arg(long)]
    zenodo: bool,
    /// Output file; `-` is standard output
    #[arg(short = 'o', long, value_name = "FILE", default_value = "-")]
    output: PathBuf,
}

/// Checks the form of an author.
fn parse_author(text: &str) -> std::result::Result<String, String> {
    let name = parse_line(text)?;
    match name.split_once(',') {
        Some((family, given)) if family.trim().is_empty() || given.trim().is_empty() => {
            Err(format!("'{text}' lacks a part of the name; expected 'Family, Given', or the name of a group"))
        }
        _ => Ok(name),
    }
}

/// Checks that a text is an identifier of the SPDX License List. Neither CITATION.cff nor Zenodo take an expression of several.
fn parse_license(text: &str) -> std::result::Result<String, String> {
    if spdx::license_id(text).is_some() {
        return Ok(text.to_owned());
    }
    if spdx::Expression::parse(text).is_ok() {
        return Err(format!("'{text}' is an expression; a citation has one licence, such as CC-BY-4.0"));
    }
    let near = spdx::imprecise_license_id(text).filter(|(_, length)| *length == text.len());
    Err(match near {
        Some((license, _)) => {
            format!("'{text}' is not an identifier of the SPDX License List; did you mean {}?", license.name)
        }
        None => format!("'{text}' is not an identifier of the SPDX License List; expected one such as CC-BY-4.0"),
    })
}

/// Checks the form of a DOI: `10.`, the number of who registered it, a slash and a name without spaces.
fn parse_doi(text: &str) -> std::result::Result<String, String> {
    let parts = text.strip_prefix("10.").and_then(|rest| rest.split_once('/'));
    let fits = |(who, name): (&str, &str)| {
        let number = who.split('.').all(|part| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit()));
        number && who.len() >= 4 && !name.is_empty() && !name.contains(|c: char| c.is_whitespace() || c.is_control())
    };
    if parts.is_some_and(fits) {
        return Ok(text.to_owned());
    }
    Err("not a DOI; expected one such as 10.5281/zenodo.1234567, without https://doi.org/".to_owned())
}

/// Writes how to cite a set of records and returns the exit status.
pub fn cite(args: &CiteArgs) -> Result<u8> {
    let output = Sink::open(&args.output)?;
    let entries = super::records::entries(&args.paths)?;
    let citation = Citation {
        authors: args.author.clone(),
        title: args.title.clone(),
        license: args.license.clone(),
        doi: args.doi.clone(),
    };
    let text = if args.zenodo { publish::zenodo(&entries, &citation)? } else { publish::cff(&entries, &citation)? };
    output.write(&text)?;
    Ok(EXIT_OK)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_licence_and_a_doi_have_their_form() {
        for good in ["CC-BY-4.0", "CC0-1.0", "MIT", "GPL-2.0+", "0BSD"] {
            assert_eq!(parse_license(good).unwrap(), good);
        }
        for bad in ["nonsense", "x y", "", "-", "MIT/Apache", "CC\u{a0}BY", "mit", "LicenseRef-mine"] {
            assert!(parse_license(bad).is_err(), "{bad}");
        }
        assert!(parse_license("nonsense").is_err_and(|words| words.contains("CC-BY-4.0")));
        assert!(parse_license("MIT OR Apache-2.0").is_err_and(|words| words.contains("one licence")));
        assert!(parse_license("mit").is_err_and(|words| words.contains("did you mean MIT?")));
        for good in ["Doe, Jane", "The Testers"] {
            assert_eq!(parse_author(good).unwrap(), good);
        }
        for bad in ["", ",", "Doe,", ", Jane", "a\nb"] {
            assert!(parse_author(bad).is_err_and(|words| words.contains("expected")), "{bad}");
        }
        for good in ["10.5281/zenodo.1234567", "10.1000.10/a/b"] {
            assert_eq!(parse_doi(good).unwrap(), good);
        }
        for bad in
            ["foo", "https://doi.org/10.5281/zenodo.1", "10.5281/", "10.5281", "10./x", "10.52a1/x", "10.5281/x y", ""]
        {
            assert!(parse_doi(bad).is_err_and(|words| words.contains("10.5281")), "{bad}");
        }
    }
}
