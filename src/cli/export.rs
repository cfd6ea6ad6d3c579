//! `wakerace export`: converts a scenario or a record to a format that other tools read.

use std::path::{Path, PathBuf};

use clap::Args;

use super::records;
use crate::catalogue;
use crate::error::{EXIT_OK, Error, Result};
use crate::files::Sink;
use crate::publish::{self, Entry, Publish};
use crate::record::{self, AnyRecord, Gaps, Record};
use crate::shown;

/// Arguments of `export`.
#[derive(Debug, Args)]
#[command(override_usage = "wakerace export --FORMAT RECORD [-o FILE]
       wakerace export --csv|--outcomes-csv|--markdown|--mail|--png PATH...
       wakerace export --litmus SCENARIO [-o FILE]
       wakerace export --klitmus DIR [SCENARIOS]...")]
pub struct ExportArgs {
    #[command(flatten)]
    what: What,
    /// With --klitmus: litmus files, folders, scenario names or groups [default: all scenarios]
    scenarios: Vec<String>,
    /// With --hgrm or --svg: the scenario or profile whose result to export [default: the first with a histogram, or the
    /// first that raced]
    #[arg(long, value_name = "NAME")]
    result: Option<String>,
    /// Output file [default: standard output]
    #[arg(short = 'o', long, value_name = "FILE")]
    output: Option<PathBuf>,
}

#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
struct What {
    /// The litmus file of a scenario, for herd7, litmus7 and klitmus7
    #[arg(long, value_name = "SCENARIO")]
    litmus: Option<String>,
    /// A folder of scenarios for klitmus7, which makes kernel modules of them: those given by name, or all
    #[arg(long, value_name = "DIR")]
    klitmus: Option<PathBuf>,
    /// The outcomes in litmus7's log format, for mcompare7
    #[arg(long, value_name = "RECORD")]
    log: Option<PathBuf>,
    /// CSV for spreadsheets: one line per result of records, or of the records in folders
    #[arg(long, value_name = "PATH", num_args = 1..)]
    csv: Vec<PathBuf>,
    /// CSV of the outcomes of records, or of the records in folders: one line per result and outcome
    #[arg(long, value_name = "PATH", num_args = 1..)]
    outcomes_csv: Vec<PathBuf>,
    /// CSV of the race windows: one line per result, skew and outcome
    #[arg(long, value_name = "RECORD")]
    window_csv: Option<PathBuf>,
    /// CSV of cache-line ownership: one line per result, prefetch and combination of last writers
    #[arg(long, alias = "starts-csv", value_name = "RECORD")]
    last_writers_csv: Option<PathBuf>,
    /// The table and the summary in Markdown, of records or of the records in folders, each with its path above it if there are
    /// several. With -o FILE.md the chart of all tests is beside it as FILE.svg, and the text shows it
    #[arg(long, value_name = "PATH", num_args = 1..)]
    markdown: Vec<PathBuf>,
    /// The results of records, or of the records in folders, as a mail: at most 72 columns, the answer first
    #[arg(long, value_name = "PATH", num_args = 1..)]
    mail: Vec<PathBuf>,
    /// One race window as an SVG picture
    #[arg(long, value_name = "RECORD")]
    svg: Option<PathBuf>,
    /// The answer and the first chart of records, or of the records in folders, as a PNG picture of 1200x630 pixels, as chats and sites show a link
    #[arg(long, value_name = "PATH", num_args = 1..)]
    png: Vec<PathBuf>,
    /// One histogram as a percentile distribution, for HdrHistogram's plotters
    #[arg(long, value_name = "RECORD")]
    hgrm: Option<PathBuf>,
    /// All histograms as an interval log with one tag per result, for HdrHistogram's log tools
    #[arg(long, value_name = "RECORD")]
    hlog: Option<PathBuf>,
}

/// Writes a scenario or a record in a format that other tools read, and returns the exit status.
pub fn export(args: &ExportArgs) -> Result<u8> {
    if args.result.is_some() && args.what.hgrm.is_none() && args.what.svg.is_none() {
        return Err(Error::Usage(
            "--result: only --hgrm and --svg export a single result; add --hgrm RECORD or --svg RECORD".to_owned(),
        ));
    }
    if let Some(folder) = &args.what.klitmus {
        if args.output.is_some() {
            return Err(Error::Usage("--output: --klitmus writes into the folder that it names".to_owned()));
        }
        return super::klitmus::write(folder, &args.scenarios);
    }
    if let [first, ..] = args.scenarios.as_slice() {
        let first = shown::line(first);
        return Err(Error::Usage(format!(
            "'{first}': only --klitmus DIR takes scenarios; --litmus {first} exports one"
        )));
    }
    let output = Sink::open(args.output.as_deref().unwrap_or(Path::new("-")))?;
    let What {
        litmus: name,
        klitmus: _,
        log,
        csv,
        outcomes_csv,
        window_csv,
        last_writers_csv,
        markdown,
        mail,
        svg,
        png,
        hgrm: one,
        hlog: all,
    } = &args.what;
    if !png.is_empty() {
        output.write_bytes(&publish::preview_of(&records::entries_without_sums(png)?)?)?;
        return Ok(EXIT_OK);
    }
    // A folder with one record stands for it.
    let given = [("--log", log), ("--window-csv", window_csv), ("--last-writers-csv", last_writers_csv)];
    let given = given.into_iter().chain([("--svg", svg), ("--hgrm", one), ("--hlog", all)]);
    let single =
        given.filter_map(|(option, path)| Some(records::single(option, path.as_deref()?))).next().transpose()?;
    let [log, window_csv, last_writers_csv, svg, one, all] =
        [log, window_csv, last_writers_csv, svg, one, all].map(|path| path.as_ref().and(single.as_ref()));
    let text = if let Some(name) = name {
        litmus(name)?
    } else if let Some(path) = log {
        match record::read_valid(path)? {
            AnyRecord::Campaign(record) => publish::campaign_log(&record),
            _ => publish::litmus_log(&of_a_run(path)?),
        }
    } else if let Some(path) = window_csv {
        publish::window_csv(&of_a_run(path)?)?
    } else if let Some(path) = last_writers_csv {
        publish::last_writers_csv(&of_a_run(path)?)?
    } else if let [path] = csv.as_slice()
        && !path.is_dir()
    {
        Any::Csv.of_any(&record::read_valid(path)?)?
    } else if !csv.is_empty() {
        publish::csv_of(&of_runs(csv)?)?
    } else if !outcomes_csv.is_empty() {
        publish::outcomes_csv(&of_runs(outcomes_csv)?)?
    } else if !markdown.is_empty() {
        let entries = records::entries(markdown)?;
        let text = each(&entries, &Any::Markdown)?;
        let file = args.output.as_deref().filter(|_| output.is_replaced());
        match file.map(|file| chart_beside(file, &entries)).transpose()?.flatten() {
            Some(line) => format!("{line}\n\n{text}"),
            None => text,
        }
    } else if !mail.is_empty() {
        each(&records::entries(mail)?, &Any::Mail)?
    } else if let Some(path) = svg {
        let entry = Entry { name: shown::path(path), record: AnyRecord::Run(Box::new(of_a_run(path)?)) };
        publish::picture(&entry, args.result.as_deref())?
    } else if let Some(path) = one {
        hgrm(path, args.result.as_deref())?
    } else if let Some(path) = all {
        hlog(path)?
    } else {
        return Err(Error::Usage("nothing to export; choose a format, such as --csv RECORD".to_owned()));
    };
    output.write(&text)?;
    Ok(EXIT_OK)
}

/// The source of a scenario, unchanged: herd7 and klitmus7 accept it as it is.
fn litmus(name: &str) -> Result<String> {
    match catalogue::resolve_sources(&[name.to_owned()])?.as_slice() {
        [(source, _)] => Ok(source.text().to_owned()),
        several => Err(Error::Usage(format!("--litmus: '{name}' names {} scenarios; name one", several.len()))),
    }
}

fn of_a_run(path: &Path) -> Result<Record> {
    record::read_valid_run(path, "hold outcomes and race windows")
}

fn of_runs(paths: &[PathBuf]) -> Result<Vec<Record>> {
    let runs = records::of_runs_once(paths, "have these columns")?;
    Ok(runs.into_iter().map(|(_, record)| record).collect())
}

/// Writes the chart of all tests beside a Markdown file, and returns the line that shows it; `None` if there is no chart.
fn chart_beside(file: &Path, entries: &[Entry]) -> Result<Option<String>> {
    let Some(chart) = publish::rates_picture(entries) else { return Ok(None) };
    let path = file.with_extension("svg");
    Sink::open(&path)?.write(&chart)?;
    let name = path.file_name().map_or(String::new(), |name| name.to_string_lossy().into_owned());
    // An address in Markdown has no spaces and no parentheses.
    let address: String = name.bytes().map(escaped).collect();
    Ok(Some(format!("![Rate of each test on each host]({address})")))
}

/// A byte of a name in an address.
pub(super) fn escaped(byte: u8) -> String {
    let plain = byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte);
    if plain { char::from(byte).to_string() } else { format!("%{byte:02X}") }
}

/// The text of each record. With several, its path stands above it.
fn each(entries: &[Entry], form: &Any) -> Result<String> {
    if let [one] = entries {
        return form.of_any(&one.record);
    }
    let text = |entry: &Entry| Ok(format!("{}\n\n{}", form.heading(&entry.name), form.of_any(&entry.record)?));
    let texts: Vec<String> = entries.iter().map(text).collect::<Result<_>>()?;
    Ok(texts.join("\n"))
}

/// The formats that every kind of record has.
enum Any {
    Csv,
    Markdown,
    Mail,
}

impl Any {
    fn of_any(&self, record: &AnyRecord) -> Result<String> {
        match record {
            AnyRecord::Run(record) => self.of(&**record),
            AnyRecord::Protocol(record) => self.of(&**record),
            AnyRecord::Campaign(record) => self.of(&**record),
        }
    }

    /// The line above a record with this path.
    fn heading(&self, path: &str) -> String {
        let path = shown::line(path);
        match self {
            Any::Markdown => format!("## `{}`", path.replace('`', "'")),
            // The end of a path says most.
            Any::Mail | Any::Csv => {
                let most = publish::MAIL_WIDTH - 3;
                let cut = path.chars().count().saturating_sub(most);
                let rest: String = path.chars().skip(if cut > 0 { cut + 2 } else { 0 }).collect();
                format!("== {}{rest}", if cut > 0 { ".." } else { "" })
            }
        }
    }

    fn of(&self, record: &impl Publish) -> Result<String> {
        match self {
            Any::Csv => record.csv(),
            Any::Markdown => Ok(record.markdown()),
            Any::Mail => Ok(record.mail()),
        }
    }
}

/// A result's name, its duration in seconds, and its histogram as recorded.
type Named = (String, f64, Gaps);

fn histograms(record: AnyRecord) -> Vec<Named> {
    match record {
        AnyRecord::Run(record) => {
            record.results.into_iter().map(|result| (result.scenario, result.elapsed_s, result.gaps)).collect()
        }
        AnyRecord::Protocol(record) => {
            record.results.into_iter().map(|result| (result.profile, result.elapsed_s, result.heal_ns)).collect()
        }
        // Campaigns keep no histograms.
        AnyRecord::Campaign(_) => Vec::new(),
    }
}

fn hgrm(path: &Path, wanted: Option<&str>) -> Result<String> {
    let named = histograms(record::read_valid(path)?);
    let shown = shown::path(path);
    let known = named.iter().any(|(name, ..)| wanted.is_none_or(|wanted| wanted == name));
    if !known {
        let names: Vec<&str> = named.iter().map(|(name, ..)| name.as_str()).collect();
        return Err(Error::Usage(format!(
            "--result: {shown} holds no result of this name; its results are {}",
            names.join(", ")
        )));
    }
    for (name, _, gaps) in named.iter().filter(|(name, ..)| wanted.is_none_or(|wanted| wanted == name)) {
        let histogram = record::histogram(gaps);
        let histogram = histogram.map_err(|error| Error::Usage(format!("{shown}: {name}: {error}")))?;
        if let Some(histogram) = histogram {
            return Ok(publish::hgrm(&histogram));
        }
    }
    let of = wanted.map_or(String::new(), |name| format!(" of {name}"));
    let with: Vec<&str> = named.iter().filter(|(_, _, gaps)| gaps.count > 0).map(|(name, ..)| name.as_str()).collect();
    let others = if with.is_empty() { String::new() } else { format!("; it holds histograms of {}", with.join(", ")) };
    Err(Error::Usage(format!("{shown}: holds no histogram{of}, because nothing was seen twice{others}")))
}

fn hlog(path: &Path) -> Result<String> {
    let shown = shown::path(path);
    let record = record::read_valid(path)?;
    let (host, started) = (record.host().clone(), record.started().to_owned());
    let unit = histograms(record.clone()).first().map_or(String::new(), |(.., gaps)| gaps.unit.clone());
    let all = publish::tagged(&record).map_err(|error| Error::Usage(format!("{shown}: {error}")))?;
    publish::hlog(&host, &started, &unit, &all)
}
