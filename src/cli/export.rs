//! `wakerace export`

use std::path::PathBuf;

use clap::Args;

use crate::catalogue;
use crate::error::{EXIT_OK, Error, Result};
use crate::publish;
use crate::record::{self, AnyRecord};

/// Arguments of `export`.
#[derive(Debug, Args)]
pub struct ExportArgs {
    /// A scenario's litmus file, for herd7, litmus7 and klitmus7
    #[arg(long, value_name = "SCENARIO", conflicts_with = "hgrm", required_unless_present = "hgrm")]
    litmus: Option<String>,
    /// A record's histogram as a percentile distribution, for HdrHistogram's plotters
    #[arg(long, value_name = "RECORD")]
    hgrm: Option<PathBuf>,
    /// Which result of the record: a scenario's name, or a profile's; the first with a histogram if not given
    #[arg(long, value_name = "NAME", requires = "hgrm")]
    result: Option<String>,
    /// Where it goes; standard output if not given
    #[arg(short = 'o', long, value_name = "FILE")]
    output: Option<PathBuf>,
}

/// Writes a scenario or a record in a format that others read.
pub fn export(args: &ExportArgs) -> Result<u8> {
    let text = match (&args.litmus, &args.hgrm) {
        (Some(name), _) => litmus(name)?,
        (None, Some(path)) => hgrm(path, args.result.as_deref())?,
        (None, None) => return Err(Error::Usage("nothing to export: --litmus SCENARIO or --hgrm RECORD".to_owned())),
    };
    match &args.output {
        Some(path) if path.as_os_str() != "-" => record::write_atomically(path, text.as_bytes())?,
        _ => super::print(&text)?,
    }
    Ok(EXIT_OK)
}

/// The source itself: a scenario is a file that herd7 and klitmus7 take unchanged.
fn litmus(name: &str) -> Result<String> {
    match catalogue::resolve_sources(&[name.to_owned()])?.as_slice() {
        [(source, _)] => Ok(source.text().to_owned()),
        several => Err(Error::Usage(format!("--litmus: '{name}' is {} scenarios; name one", several.len()))),
    }
}

fn hgrm(path: &std::path::Path, wanted: Option<&str>) -> Result<String> {
    let named: Vec<(String, record::Gaps)> = match record::read_file(path)? {
        AnyRecord::Run(record) => record.results.into_iter().map(|result| (result.scenario, result.gaps)).collect(),
        AnyRecord::Protocol(record) => {
            record.results.into_iter().map(|result| (result.profile, result.heal_ns)).collect()
        }
    };
    let shown = path.display();
    let known = named.iter().any(|(name, _)| wanted.is_none_or(|wanted| wanted == name));
    if !known {
        let names: Vec<&str> = named.iter().map(|(name, _)| name.as_str()).collect();
        return Err(Error::Usage(format!("--result: {shown} has {}", names.join(", "))));
    }
    for (name, gaps) in named.iter().filter(|(name, _)| wanted.is_none_or(|wanted| wanted == name)) {
        let histogram = record::histogram(gaps);
        let histogram = histogram.map_err(|error| Error::Usage(format!("{shown}: {name}: {error}")))?;
        if let Some(histogram) = histogram {
            return Ok(publish::hgrm(&histogram));
        }
    }
    Err(Error::Usage(format!("{shown}: no histogram there: nothing was seen twice")))
}
