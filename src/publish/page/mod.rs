//! Writes records as one self-contained HTML page. The page has no scripts and loads nothing. It has a light,
//! a dark and a print style.
//!
//! `runs` gives runs letters and colours, `sum` and `rows` add up results of one test and class, `words`
//! writes the sentences, `figures` draws the charts. minijinja fills in page.html and escapes the text of
//! records.

mod figures;
mod index;
mod picture;
mod rows;
mod runs;
mod sum;
mod words;

use minijinja::value::Serde;
use minijinja::{Environment, UndefinedBehavior, Value, escape_formatter};
use serde::Serialize;

use crate::error::{Error, Result};
use crate::record::{AnyRecord, Record};
use crate::shown;
use figures::Detail;
pub use index::index;
pub use picture::picture;
use runs::Run;

/// A record with its name.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// The path of its file.
    pub name: String,
    /// The record.
    pub record: AnyRecord,
}

/// The largest page, in bytes: small enough for a mail attachment and for a phone.
pub const LARGEST: usize = 1_000_000;

/// Writes the page of some records. Emulated records are listed separately and have no charts.
///
/// # Errors
/// If there are no records, or if the page exceeds [`LARGEST`] bytes even with less detail (no marked points,
/// no code).
pub fn page(entries: &[Entry]) -> Result<String> {
    if entries.is_empty() {
        return Err(Error::Usage("no records to report on; name at least one file".to_owned()));
    }
    let mut size = 0;
    for detail in [Detail::Full, Detail::Lines] {
        let page = render(entries, detail)?;
        if page.len() < LARGEST {
            return Ok(page);
        }
        size = page.len();
    }
    Err(Error::Usage(format!(
        "a page of these {} records would have {size} bytes, more than {LARGEST}; name fewer, or merge them",
        entries.len()
    )))
}

/// A test in the page's list of tests.
#[derive(Serialize)]
struct Asked {
    name: String,
    question: String,
    condition: String,
    matched: Option<String>,
}

/// The source and the machine code of a test.
#[derive(Serialize)]
struct Code {
    name: String,
    architecture: String,
    pace: String,
    source: String,
    listing: String,
    source_sha256: String,
    code_sha256: String,
}

fn render(entries: &[Entry], detail: Detail) -> Result<String> {
    let runs = runs::runs(entries);
    let (emulated, real): (Vec<&Run<'_>>, Vec<&Run<'_>>) = runs.iter().partition(|run| run.host().emulated);
    let sums = sum::sums(&real);
    let context = Context {
        style: include_str!("style.css"),
        title: words::title(&runs),
        lede: words::lede(&runs),
        tool: format!("wakerace {} ({})", env!("CARGO_PKG_VERSION"), env!("WAKERACE_COMMIT")),
        runs: runs.iter().map(Run::view).collect(),
        protocol_headings: super::protocol::HEADINGS,
        rows: rows::rows(&sums),
        emulated_rows: rows::rows(&sum::sums(&emulated)),
        asked: asked(&runs),
        windows: figures::windows(&sums, detail),
        rates: figures::rates(&sums),
        last_writers: if detail == Detail::Full { figures::last_writers(&sums) } else { Vec::new() },
        gaps: figures::gaps(&sums),
        heats: figures::heats(&real),
        protocols: figures::protocols(&runs),
        codes: if detail == Detail::Full { codes(&runs) } else { Vec::new() },
    };
    fill("page.html", include_str!("page.html"), &context)
}

/// Fills in a template. A name that the context lacks is an error.
fn fill(name: &str, template: &str, context: &impl Serialize) -> Result<String> {
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    // `shown::text` comes before the escape of markup, because characters that change the text direction work
    // in HTML too.
    environment.set_formatter(|out, state, value| match value.as_str().filter(|_| !value.is_safe()) {
        Some(text) => escape_formatter(out, state, &Value::from(shown::text(text))),
        None => escape_formatter(out, state, value),
    });
    let filled =
        environment.add_template(name, template).and_then(|()| environment.get_template(name)?.render(Serde(context)));
    filled.map_err(|error| Error::Internal(format!("making the page: {error:#}")))
}

/// The values for page.html.
#[derive(Serialize)]
struct Context {
    style: &'static str,
    title: String,
    lede: &'static str,
    tool: String,
    runs: Vec<runs::View>,
    protocol_headings: [&'static str; 10],
    rows: Vec<rows::Row>,
    emulated_rows: Vec<rows::Row>,
    asked: Vec<Asked>,
    windows: Vec<figures::Section>,
    rates: Vec<figures::Figure>,
    last_writers: Vec<figures::Figure>,
    gaps: Vec<figures::Figure>,
    heats: Vec<figures::Figure>,
    protocols: Vec<figures::Protocol>,
    codes: Vec<Code>,
}

/// Those of the records that `wakerace run` wrote.
fn records<'a>(runs: &'a [Run<'a>]) -> impl Iterator<Item = &'a Record> {
    runs.iter().filter_map(Run::record)
}

/// Every test once, with the question from its header comment.
fn asked(runs: &[Run<'_>]) -> Vec<Asked> {
    let mut out: Vec<Asked> = Vec::new();
    for result in records(runs).flat_map(|record| super::sums::reading_order(record)) {
        if out.iter().any(|known| known.name == result.scenario) {
            continue;
        }
        out.push(Asked {
            name: result.scenario.clone(),
            question: result.question.clone(),
            condition: result.condition.clone(),
            matched: result.match_event.clone(),
        });
    }
    out
}

/// The machine code of every test, each distinct code once.
fn codes(runs: &[Run<'_>]) -> Vec<Code> {
    let mut out: Vec<Code> = Vec::new();
    for record in records(runs) {
        for result in super::sums::reading_order(record) {
            let known = |code: &Code| code.code_sha256 == result.code_sha256 && code.name == result.scenario;
            if out.iter().any(known) {
                continue;
            }
            out.push(Code {
                name: result.scenario.clone(),
                architecture: record.host.architecture.clone(),
                pace: result.pace.mode.clone(),
                source: result.source.clone(),
                listing: result.listing.clone(),
                source_sha256: result.source_sha256.clone(),
                code_sha256: result.code_sha256.clone(),
            });
        }
    }
    out
}
