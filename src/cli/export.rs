//! `wakerace export`

use std::path::{Path, PathBuf};

use clap::Args;

use crate::catalogue;
use crate::error::{EXIT_OK, Error, Result};
use crate::files::Sink;
use crate::publish::{self, Publish, Tagged};
use crate::record::{self, AnyRecord, Gaps, Record};
use crate::shown;

/// Arguments of `export`.
#[derive(Debug, Args)]
pub struct ExportArgs {
    #[command(flatten)]
    what: What,
    /// With --hgrm, which result of the record: a scenario's name, or a profile's; the first with a histogram if not given
    #[arg(long, value_name = "NAME", requires = "hgrm")]
    result: Option<String>,
    /// Where it goes; standard output if not given
    #[arg(short = 'o', long, value_name = "FILE")]
    output: Option<PathBuf>,
}

#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
struct What {
    /// A scenario's litmus file, for herd7, litmus7 and klitmus7
    #[arg(long, value_name = "SCENARIO")]
    litmus: Option<String>,
    /// The outcomes as litmus7 logs them, for mcompare7
    #[arg(long, value_name = "RECORD")]
    log: Option<PathBuf>,
    /// One line per result, for spreadsheets
    #[arg(long, value_name = "RECORD")]
    csv: Option<PathBuf>,
    /// One line per result, skew and outcome: the race windows
    #[arg(long, value_name = "RECORD")]
    window_csv: Option<PathBuf>,
    /// One line per result and choice of whose the variables' lines were
    #[arg(long, value_name = "RECORD")]
    starts_csv: Option<PathBuf>,
    /// The table and what it means, in Markdown
    #[arg(long, value_name = "RECORD")]
    markdown: Option<PathBuf>,
    /// A histogram as a percentile distribution, for HdrHistogram's plotters
    #[arg(long, value_name = "RECORD")]
    hgrm: Option<PathBuf>,
    /// All histograms as an interval log, a tag for each result, for HdrHistogram's log tools
    #[arg(long, value_name = "RECORD")]
    hlog: Option<PathBuf>,
}

/// Writes a scenario or a record in a format that others read.
pub fn export(args: &ExportArgs) -> Result<u8> {
    // clap lets go of `requires` where the group of formats leaves no room for what is required.
    if args.result.is_some() && args.what.hgrm.is_none() {
        return Err(Error::Usage("--result: only --hgrm takes one result of a record".to_owned()));
    }
    let output = Sink::open(args.output.as_deref().unwrap_or(Path::new("-")))?;
    let What { litmus: name, log, csv, window_csv, starts_csv, markdown, hgrm: one, hlog: all } = &args.what;
    let text = if let Some(name) = name {
        litmus(name)?
    } else if let Some(path) = log {
        publish::litmus_log(&of_a_run(path)?)
    } else if let Some(path) = window_csv {
        publish::window_csv(&of_a_run(path)?)?
    } else if let Some(path) = starts_csv {
        publish::starts_csv(&of_a_run(path)?)?
    } else if let Some(path) = csv {
        either(path, |record| record.csv(), |record| record.csv())?
    } else if let Some(path) = markdown {
        either(path, |record| Ok(record.markdown()), |record| Ok(record.markdown()))?
    } else if let Some(path) = one {
        hgrm(path, args.result.as_deref())?
    } else if let Some(path) = all {
        hlog(path)?
    } else {
        return Err(Error::Usage("nothing to export".to_owned()));
    };
    output.write(&text)?;
    Ok(EXIT_OK)
}

/// The source itself: a scenario is a file that herd7 and klitmus7 take unchanged.
fn litmus(name: &str) -> Result<String> {
    match catalogue::resolve_sources(&[name.to_owned()])?.as_slice() {
        [(source, _)] => Ok(source.text().to_owned()),
        several => Err(Error::Usage(format!("--litmus: '{name}' is {} scenarios; name one", several.len()))),
    }
}

fn of_a_run(path: &Path) -> Result<Record> {
    match record::read_valid(path)? {
        AnyRecord::Run(record) => Ok(*record),
        AnyRecord::Protocol(_) => Err(Error::Usage(format!(
            "{}: a record of the protocol; outcomes and race windows are in records of `wakerace run`",
            shown::path(path)
        ))),
    }
}

fn either(
    path: &Path,
    run: impl Fn(&Record) -> Result<String>,
    protocol: impl Fn(&record::ProtocolRecord) -> Result<String>,
) -> Result<String> {
    match record::read_valid(path)? {
        AnyRecord::Run(record) => run(&record),
        AnyRecord::Protocol(record) => protocol(&record),
    }
}

/// A result's name, how long it took in seconds, and its histogram as recorded.
type Named = (String, f64, Gaps);

fn histograms(record: AnyRecord) -> Vec<Named> {
    match record {
        AnyRecord::Run(record) => {
            record.results.into_iter().map(|result| (result.scenario, result.elapsed_s, result.gaps)).collect()
        }
        AnyRecord::Protocol(record) => {
            record.results.into_iter().map(|result| (result.profile, result.elapsed_s, result.heal_ns)).collect()
        }
    }
}

fn hgrm(path: &Path, wanted: Option<&str>) -> Result<String> {
    let named = histograms(record::read_valid(path)?);
    let shown = shown::path(path);
    let known = named.iter().any(|(name, ..)| wanted.is_none_or(|wanted| wanted == name));
    if !known {
        let names: Vec<&str> = named.iter().map(|(name, ..)| name.as_str()).collect();
        return Err(Error::Usage(format!("--result: {shown} has {}", names.join(", "))));
    }
    for (name, _, gaps) in named.iter().filter(|(name, ..)| wanted.is_none_or(|wanted| wanted == name)) {
        let histogram = record::histogram(gaps);
        let histogram = histogram.map_err(|error| Error::Usage(format!("{shown}: {name}: {error}")))?;
        if let Some(histogram) = histogram {
            return Ok(publish::hgrm(&histogram));
        }
    }
    Err(Error::Usage(format!("{shown}: no histogram there: each outcome was seen at most once")))
}

fn hlog(path: &Path) -> Result<String> {
    let shown = shown::path(path);
    let record = record::read_valid(path)?;
    let (host, started) = (record.host().clone(), record.started().to_owned());
    let named = histograms(record);
    let unit = named.first().map_or(String::new(), |(.., gaps)| gaps.unit.clone());
    let mut all = Vec::new();
    for (name, elapsed_s, gaps) in named {
        let histogram = record::histogram(&gaps);
        let histogram = histogram.map_err(|error| Error::Usage(format!("{shown}: {name}: {error}")))?;
        all.push(Tagged { name, elapsed_s, histogram });
    }
    publish::hlog(&host, &started, &unit, &all)
}
