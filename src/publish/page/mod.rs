//! Writes records as one self-contained HTML page. The page has no scripts and loads nothing. It has a light,
//! a dark and a print style.
//!
//! The first screen is `answer` (the sentence) and `forest` (one chart of all rates). Below it are the race windows of the
//! race and of its control; everything else is folded. `runs` gives runs letters and colours, `sum` and `rows` add up
//! results of one test and class, `words` writes the sentences. Each kind of chart has its module. minijinja fills in
//! the templates and escapes the text of records: page.html and fleet.html extend report.html, which extends base.html as
//! index.html does.

mod answer;
mod badge;
mod distances;
mod embed;
mod figures;
mod fleet;
mod forest;
mod histograms;
mod index;
mod ownership;
mod pairs;
mod passes;
mod picture;
mod protocols;
mod rows;
mod runs;
mod spread;
mod sum;
mod windows;
mod words;

use minijinja::value::Serde;
use minijinja::{Environment, UndefinedBehavior, Value, escape_formatter};
use serde::Serialize;

use crate::error::{Error, Result};
use crate::publish::campaign_page;
use crate::record::{AnyRecord, CampaignRecord, Record};
use crate::shown;
use answer::RACE;
pub use badge::badge;
use figures::Detail;
pub use fleet::{FLEET, fleet_page};
pub use index::{hosts, index};
pub(super) use picture::own_file;
pub use picture::picture;
use runs::Run;
use words::title;

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

/// What the author of a page adds to it.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Front {
    /// Who publishes the page.
    pub author: Option<String>,
    /// How to cite it.
    pub cite: Option<String>,
    /// The address that the page will have. The picture of a link is then a file beside it, as most sites want it.
    pub url: Option<String>,
}

/// A page with the picture that a link to it shows.
#[derive(Debug, Clone, PartialEq)]
pub struct Page {
    /// The page.
    pub html: String,
    /// The picture, an SVG file.
    pub picture: String,
    /// What is left out to keep the page below [`LARGEST`] bytes.
    pub folded: Vec<&'static str>,
}

/// The name of the picture's file: that of the page's file with another ending.
pub const PICTURE_ENDING: &str = "svg";

/// Writes the page of some records, without an author. See [`signed_page`].
///
/// # Errors
/// As [`signed_page`].
pub fn page(entries: &[Entry]) -> Result<String> {
    signed_page(entries, &Front::default()).map(|page| page.html)
}

/// Writes the page of some records. Emulated records are listed separately and have no charts.
///
/// # Errors
/// If there are no records, or if the page exceeds [`LARGEST`] bytes even with the least detail.
pub fn signed_page(entries: &[Entry], front: &Front) -> Result<Page> {
    if entries.is_empty() {
        return Err(Error::Usage("no records to report on; name at least one file".to_owned()));
    }
    if let Some(html) = campaigns(entries)? {
        return Ok(Page { html, picture: String::new(), folded: Vec::new() });
    }
    let mut size = 0;
    for detail in details(entries) {
        let page = render(entries, front, detail)?;
        if page.html.len() < LARGEST {
            return Ok(page);
        }
        size = page.html.len();
    }
    Err(Error::Usage(format!(
        "a page of {} record{} would have {size} bytes, more than {LARGEST}; name fewer, merge those of one host, or leave out --one-page",
        entries.len(),
        if entries.len() == 1 { "" } else { "s" }
    )))
}

/// The details that a page of some records may have, the fullest first. One that cannot fit is left out, because drawing it
/// takes long: a test with a race window takes at least 15 kB in full and 3 kB with lines alone.
fn details(entries: &[Entry]) -> Vec<Detail> {
    let records = entries.iter().filter_map(|entry| match &entry.record {
        AnyRecord::Run(record) if !record.host.emulated => Some(record),
        _ => None,
    });
    let windows: usize = records
        .flat_map(|record| super::sums::by_class(record))
        .filter(|sum| sum.results.len() == 1 && sum.first().skews.len() > 1)
        .count();
    let fits = |detail: &Detail| match detail {
        Detail::Full => windows * 15_000 < LARGEST,
        Detail::Lines => windows * 3_000 < LARGEST,
        Detail::Least => true,
    };
    [Detail::Full, Detail::Lines, Detail::Least].into_iter().filter(fits).collect()
}

/// Separates the campaigns from the other records, because a page is of one kind. If there are only campaigns, they stay
/// where they are and the second list is empty.
pub fn of_one_kind(entries: Vec<Entry>) -> (Vec<Entry>, Vec<Entry>) {
    let (campaigns, others): (Vec<Entry>, Vec<Entry>) =
        entries.into_iter().partition(|entry| matches!(entry.record, AnyRecord::Campaign(_)));
    if others.is_empty() { (campaigns, others) } else { (others, campaigns) }
}

/// The page of campaigns, if the records are campaigns.
///
/// # Errors
/// If some are campaigns and others are not.
fn campaigns(entries: &[Entry]) -> Result<Option<String>> {
    let campaign = |entry: &Entry| matches!(entry.record, AnyRecord::Campaign(_));
    let (Some(first), Some(other)) =
        (entries.iter().find(|entry| campaign(entry)), entries.iter().find(|entry| !campaign(entry)))
    else {
        let all: Vec<(String, &CampaignRecord)> = (entries.iter())
            .filter_map(|entry| match &entry.record {
                AnyRecord::Campaign(record) => Some((entry.name.clone(), &**record)),
                AnyRecord::Run(_) | AnyRecord::Protocol(_) => None,
            })
            .collect();
        return if all.is_empty() { Ok(None) } else { campaign_page(&all).map(Some) };
    };
    Err(Error::Usage(format!(
        "{} is a record of `wakerace campaign` and {} of `wakerace {}`; make a page of each kind",
        shown::line(&first.name),
        shown::line(&other.name),
        other.record.command()
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
    /// The runs that ran it, if the page has several: `runs A and C`.
    runs: String,
}

fn render(entries: &[Entry], front: &Front, detail: Detail) -> Result<Page> {
    let runs = runs::runs(entries);
    let (emulated, real): (Vec<&Run<'_>>, Vec<&Run<'_>>) = runs.iter().partition(|run| run.host().emulated);
    let sums = sum::sums(&real);
    let first = compared(&sums);
    let (report, picture) = Report::new(&runs, &sums, forest::chart(&sums, &first), front);
    let (full, drawn) = (detail == Detail::Full, detail != Detail::Least);
    let heats = || pairs::heats(&real).into_iter().chain(pairs::latencies(&real)).collect();
    let mut room = embed::Room::of(full);
    let context = Context {
        report,
        lede: words::lede(&runs),
        downloads: if full { embed::downloads(entries)? } else { Vec::new() },
        pair: windows::side_by_side(&sums, &first, detail),
        runs: views(&runs),
        summed: sums.iter().any(|sum| sum.results.len() > 1),
        protocol_headings: super::protocol::HEADINGS,
        rows: rows::rows(&sums),
        emulated_rows: rows::rows(&sum::sums(&emulated)),
        asked: asked(&runs),
        windows: if drawn { windows::windows(&sums, detail) } else { Vec::new() },
        last_writers: if full { ownership::last_writers(&sums) } else { Vec::new() },
        distances: if drawn { distances::distances(&sums) } else { Vec::new() },
        passes: if full { passes::passes(&sums) } else { Vec::new() },
        gaps: if drawn { histograms::gaps(&sums, &mut room) } else { Vec::new() },
        heats: if drawn { heats() } else { Vec::new() },
        healing: protocols::healing(&real),
        protocols: protocols::protocols(&runs, &mut room),
        logs: histograms::logs(&real, &mut room)?,
        codes: if full { codes(&runs) } else { Vec::new() },
    };
    Ok(Page { html: fill("page.html", &context)?, picture, folded: detail.left_out() })
}

/// The values for report.html, which the page of some runs and that of many have in common.
#[derive(Serialize)]
struct Report<'a> {
    style: &'static str,
    title: String,
    /// The program and its version.
    tool: String,
    front: &'a Front,
    image: String,
    answer: answer::Answer,
    chart: Option<forest::Chart>,
}

impl<'a> Report<'a> {
    /// The values, and the picture that a link to the page shows. `sums` are those of the runs on real hardware.
    fn new(
        runs: &[Run<'_>],
        sums: &[sum::Sum<'_>],
        chart: Option<forest::Chart>,
        front: &'a Front,
    ) -> (Report<'a>, String) {
        let answer = answer::answer(runs, sums);
        let picture = embed::picture(&answer, chart.as_ref());
        let report = Report {
            style: STYLE,
            title: title(runs),
            tool: tool(),
            front,
            image: image(front, &picture),
            answer,
            chart,
        };
        (report, picture)
    }
}

/// The program and its version.
pub(super) fn tool() -> String {
    format!("wakerace {} ({})", env!("CARGO_PKG_VERSION"), env!("WAKERACE_COMMIT"))
}

/// The address of the picture that a link to the page shows.
fn image(front: &Front, picture: &str) -> String {
    front.url.as_ref().map_or_else(|| embed::inline(picture), |url| beside(url))
}

/// The first sentences of the page of one record.
pub(super) fn answer_of(record: &Record) -> Vec<String> {
    let entry = Entry { name: String::new(), record: AnyRecord::Run(Box::new(record.clone())) };
    answer_of_all(std::slice::from_ref(&entry))
}

/// The first sentences of the page of some records.
pub(super) fn answer_of_all(entries: &[Entry]) -> Vec<String> {
    let runs = runs::runs(entries);
    let real: Vec<&Run<'_>> = runs.iter().filter(|run| !run.host().emulated).collect();
    let answer = answer::answer(&runs, &sum::sums(&real));
    std::iter::once(answer.headline).chain(answer.lines).collect()
}

/// The address of the picture beside a page: the page's address with the ending of a picture.
fn beside(url: &str) -> String {
    let (folder, name) = url.rsplit_once('/').map_or(("", url), |(folder, name)| (folder, name));
    let stem = name.rsplit_once('.').map_or(name, |(stem, _)| stem);
    let slash = if folder.is_empty() { "" } else { "/" };
    format!("{folder}{slash}{}.{PICTURE_ENDING}", if stem.is_empty() { "index" } else { stem })
}

/// The tests whose windows the page shows unfolded: the answer's, and the control that it is compared with.
fn compared<'a>(sums: &'a [sum::Sum<'a>]) -> Vec<&'a str> {
    let Some(subject) = answer::subject(sums) else { return Vec::new() };
    let mut out = vec![subject];
    let zero = sums.iter().find(|sum| sum.first().scenario == subject && sum.races == 0);
    let control = zero.and_then(|zero| words::best_control(sums, zero)).or_else(|| {
        let controls = sums.iter().filter(|sum| sum.first().is_control && sum.races > 0);
        controls.max_by(|a, b| a.rate().unwrap_or(0.0).total_cmp(&b.rate().unwrap_or(0.0)))
    });
    out.extend(control.map(|sum| sum.first().scenario.as_str()).filter(|name| *name != subject));
    out
}

/// The style of all pages and pictures.
pub(super) const STYLE: &str = include_str!("style.css");

/// The templates by name.
const TEMPLATES: [(&str, &str); 7] = [
    ("base.html", include_str!("base.html")),
    ("parts.html", include_str!("parts.html")),
    ("report.html", include_str!("report.html")),
    ("page.html", include_str!("page.html")),
    ("fleet.html", include_str!("fleet.html")),
    ("index.html", include_str!("index.html")),
    ("campaign.html", include_str!("../campaign/campaign.html")),
];

/// Fills in a template. A name that the context lacks is an error.
pub(super) fn fill(name: &str, context: &impl Serialize) -> Result<String> {
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    // `shown::text` comes before the escape of markup, because characters that change the text direction work
    // in HTML too.
    environment.set_formatter(|out, state, value| match value.as_str().filter(|_| !value.is_safe()) {
        Some(text) => escape_formatter(out, state, &Value::from(shown::text(text))),
        None => escape_formatter(out, state, value),
    });
    let added = TEMPLATES.into_iter().try_for_each(|(name, text)| environment.add_template(name, text));
    let filled = added.and_then(|()| environment.get_template(name)?.render(Serde(context)));
    filled.map_err(|error| Error::Internal(format!("making the page: {error:#}")))
}

/// The values for page.html.
#[derive(Serialize)]
struct Context<'a> {
    #[serde(flatten)]
    report: Report<'a>,
    lede: &'static str,
    downloads: Vec<embed::Download>,
    pair: Vec<figures::Figure>,
    runs: Vec<runs::View>,
    /// Whether some results are sums of several placements, which have no race windows.
    summed: bool,
    protocol_headings: [&'static str; 10],
    rows: Vec<rows::Row>,
    emulated_rows: Vec<rows::Row>,
    asked: Vec<Asked>,
    windows: Vec<figures::Section>,
    distances: Vec<figures::Figure>,
    last_writers: Vec<figures::Figure>,
    /// Where the time goes.
    passes: Vec<passes::Passes>,
    gaps: Vec<figures::Figure>,
    heats: Vec<figures::Figure>,
    /// The healing times of several runs of the protocol together.
    healing: Vec<figures::Figure>,
    protocols: Vec<protocols::Protocol>,
    /// The histograms of each run as an interval log.
    logs: Vec<embed::Download>,
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

/// What the page prints about the runs. Chips that would be alike have the time of day.
fn views(runs: &[Run<'_>]) -> Vec<runs::View> {
    let alike = |run: &Run<'_>| runs.iter().filter(|other| other.about() == run.about()).count() > 1;
    runs.iter().map(|run| run.view(alike(run))).collect()
}

/// The machine code of every test, each distinct code once.
fn codes(runs: &[Run<'_>]) -> Vec<Code> {
    let mut out: Vec<(Code, Vec<&str>)> = Vec::new();
    let with_record = || runs.iter().filter_map(|run| Some((run, run.record()?)));
    for (run, record) in with_record() {
        for result in super::sums::reading_order(record) {
            let known = |(code, _): &&mut (Code, Vec<&str>)| {
                code.code_sha256 == result.code_sha256 && code.name == result.scenario
            };
            if let Some((_, letters)) = out.iter_mut().find(known) {
                if !letters.contains(&run.letter.as_str()) {
                    letters.push(&run.letter);
                }
                continue;
            }
            let code = Code {
                name: result.scenario.clone(),
                architecture: record.host.architecture.clone(),
                pace: result.pace.mode.clone(),
                source: result.source.clone(),
                listing: result.listing.clone(),
                source_sha256: result.source_sha256.clone(),
                code_sha256: result.code_sha256.clone(),
                runs: String::new(),
            };
            out.push((code, vec![&run.letter]));
        }
    }
    if with_record().count() > 1 {
        for (code, letters) in &mut out {
            code.runs = format!("run{} {}", if letters.len() == 1 { "" } else { "s" }, letters.join(", "));
        }
    }
    out.into_iter().map(|(code, _)| code).collect()
}
