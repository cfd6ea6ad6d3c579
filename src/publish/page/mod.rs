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
mod meta;
mod ownership;
mod pairs;
mod passes;
mod picture;
mod preview;
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
use crate::publish::campaign::campaign_preview;
use crate::publish::chart::Look;
use crate::publish::{campaign_page, cpus};
use crate::record::{AnyRecord, CampaignRecord, Record, ScenarioResult};
use crate::shown;
pub(super) use answer::RACE;
pub use badge::badge;
use figures::{Detail, Part};
pub use fleet::{FLEET, fleet_page};
pub use index::{hosts, index};
pub(super) use meta::Meta;
pub(super) use picture::own_file;
pub use picture::{picture, rates_picture};
pub use preview::PICTURE_ENDING;
pub(super) use preview::Preview;
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

/// The largest page, in bytes: small enough for a mail attachment and for a phone, and large enough for twelve default runs with
/// all their parts.
pub const LARGEST: usize = 4_000_000;

/// What the author of a page adds to it.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Front {
    /// Who publishes the page.
    pub author: Option<String>,
    /// How to cite it.
    pub cite: Option<String>,
    /// The address that the page will have.
    pub url: Option<String>,
    /// The address that the picture of a link to the page will have. The page is drawn with its picture if there is one.
    pub image: Option<String>,
    /// The addresses of the pages of the records, if each has a page of its own.
    pub pages: Vec<String>,
}

/// A page with the picture that a link to it shows.
#[derive(Debug, Clone, PartialEq)]
pub struct Page {
    /// The page.
    pub html: String,
    /// The picture, a PNG file, if the page names its address ([`Front::image`]).
    pub picture: Option<Vec<u8>>,
    /// What is left out to keep the page below [`LARGEST`] bytes.
    pub folded: Vec<&'static str>,
}

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
    if let Some(campaigns) = campaigns(entries)? {
        return campaign_page(&campaigns, front);
    }
    let full = render(entries, front, Detail::FULL)?;
    if full.html.len() < LARGEST {
        return Ok(full);
    }
    let picture = full.picture;
    let mut best = render(entries, front, Detail::LEAST)?;
    if best.html.len() >= LARGEST {
        return Err(Error::Usage(format!(
            "a page of {} record{} would have {} bytes, more than {LARGEST}; name fewer, merge those of one host, or leave out --one-page",
            entries.len(),
            if entries.len() == 1 { "" } else { "s" },
            best.html.len()
        )));
    }
    // The most detail that fits: fewer parts are never larger.
    let (mut more, mut less) = (Detail::FULL, Detail::LEAST);
    while let Some(detail) = Detail::between(more, less) {
        let page = render(entries, front, detail)?;
        if page.html.len() < LARGEST {
            (best, less) = (page, detail);
        } else {
            more = detail;
        }
    }
    Ok(Page { picture, ..best })
}

/// Separates the campaigns from the other records, because a page is of one kind. If there are only campaigns, they stay
/// where they are and the second list is empty.
pub fn of_one_kind(entries: Vec<Entry>) -> (Vec<Entry>, Vec<Entry>) {
    let (campaigns, others): (Vec<Entry>, Vec<Entry>) =
        entries.into_iter().partition(|entry| matches!(entry.record, AnyRecord::Campaign(_)));
    if others.is_empty() { (campaigns, others) } else { (others, campaigns) }
}

/// The campaigns with their names, if the records are campaigns.
///
/// # Errors
/// If some are campaigns and others are not.
fn campaigns(entries: &[Entry]) -> Result<Option<Vec<(String, &CampaignRecord)>>> {
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
        return Ok((!all.is_empty()).then_some(all));
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
    layout: String,
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
    let report = Report::new(&runs, &sums, forest::chart(&sums, &first), front);
    // Only the page that fits needs its picture.
    let picture = if detail == Detail::FULL { report.picture(hosts_of_runs(&runs))? } else { None };
    let has = |part| detail.has(part);
    let heats = || pairs::heats(&real).into_iter().chain(pairs::latencies(&real)).collect();
    let mut room = embed::Room::of(has(Part::Records));
    let downloads = if has(Part::Records) { embed::downloads(entries)? } else { None };
    let mut left_out = detail.left_out();
    if has(Part::Records) && downloads.is_none() {
        left_out.push(Part::Records.words());
    }
    let healing_reach = protocols::reach(&real);
    let context = Context {
        report,
        lede: words::lede(&runs),
        downloads: downloads.unwrap_or_default(),
        pair: windows::side_by_side(&sums, &first, detail),
        placements: windows::by_placement(&sums, &first, detail),
        runs: views(&runs, &front.pages),
        rows: rows::rows(&sums),
        emulated_rows: rows::rows(&sum::sums(&emulated)),
        asked: asked(&runs),
        windows: if has(Part::Windows) { windows::windows(&sums, detail) } else { Vec::new() },
        last_writers: if has(Part::Ownership) { ownership::last_writers(&sums) } else { Vec::new() },
        distances: if has(Part::Pairs) { distances::distances(&sums) } else { Vec::new() },
        passes: if has(Part::Time) { passes::passes(&sums) } else { Vec::new() },
        gaps: if has(Part::Gaps) { histograms::gaps(&sums, &mut room) } else { Vec::new() },
        heats: if has(Part::Pairs) { heats() } else { Vec::new() },
        healing: protocols::healing(&real, healing_reach),
        protocols: protocols::protocols(&runs, healing_reach, &mut room),
        logs: histograms::logs(&real, &mut room)?,
        codes: if has(Part::Code) { codes(&runs) } else { Vec::new() },
        left_out: left_out.clone(),
        largest_mb: LARGEST / 1_000_000,
    };
    Ok(Page { html: fill("page.html", &context)?, picture, folded: left_out })
}

/// The values for report.html, which the page of some runs and that of many have in common.
#[derive(Serialize)]
struct Report<'a> {
    style: &'static str,
    meta: Meta,
    front: &'a Front,
    answer: answer::Answer,
    chart: Option<forest::Chart>,
}

impl<'a> Report<'a> {
    /// `sums` are those of the runs on real hardware.
    fn new(runs: &[Run<'_>], sums: &[sum::Sum<'_>], chart: Option<forest::Chart>, front: &'a Front) -> Report<'a> {
        let answer = answer::answer(runs, sums);
        let meta = Meta::new(&title(runs), &answer.headline, front);
        Report { style: STYLE, meta, front, answer, chart }
    }

    /// The picture that a link to the page shows, if the page names one.
    fn picture(&self, hosts: Vec<(Option<Look>, String)>) -> Result<Option<Vec<u8>>> {
        self.front.image.as_ref().map(|_| self.preview(hosts)).transpose()
    }

    fn preview(&self, hosts: Vec<(Option<Look>, String)>) -> Result<Vec<u8>> {
        let chart = self.chart.as_ref().map(|chart| &chart.forest);
        Preview { headline: &self.answer.headline, lines: &self.answer.lines, hosts, chart }.png()
    }
}

/// The hosts of a page with a letter for each run. A single run has room for more about its host.
fn hosts_of_runs(runs: &[Run<'_>]) -> Vec<(Option<Look>, String)> {
    match runs {
        [one] => vec![(None, format!("{}: {}", cpus::cpu(one.host()), one.about()))],
        many => many.iter().map(|run| (Some(run.look), format!("{} {}", run.letter, cpus::cpu(run.host())))).collect(),
    }
}

/// Draws the picture that a link to the page of some records shows, as a PNG file: the answer, the hosts and the first chart.
///
/// # Errors
/// If there are no records, or records of campaigns and others.
pub fn preview_of(entries: &[Entry]) -> Result<Vec<u8>> {
    if entries.is_empty() {
        return Err(Error::Usage("no records to draw; name at least one file".to_owned()));
    }
    if let Some(campaigns) = campaigns(entries)? {
        return campaign_preview(&campaigns);
    }
    let front = Front::default();
    if entries.len() > FLEET {
        return fleet::preview_of(entries, &front);
    }
    let runs = runs::runs(entries);
    let real: Vec<&Run<'_>> = runs.iter().filter(|run| !run.host().emulated).collect();
    let sums = sum::sums(&real);
    let first = compared(&sums);
    Report::new(&runs, &sums, forest::chart(&sums, &first), &front).preview(hosts_of_runs(&runs))
}

/// The program and its version. Not its commit: the index page in the tree must not change with each commit.
pub(super) fn tool() -> String {
    format!("wakerace {}", env!("CARGO_PKG_VERSION"))
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
const TEMPLATES: [(&str, &str); 8] = [
    ("base.html", include_str!("base.html")),
    ("meta.html", include_str!("meta.html")),
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
    /// The race windows of the race and its control on each of several placements.
    placements: windows::Placements,
    runs: Vec<runs::View>,
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
    /// What the page leaves out to be smaller than this.
    left_out: Vec<&'static str>,
    largest_mb: usize,
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
fn views(runs: &[Run<'_>], pages: &[String]) -> Vec<runs::View> {
    let alike = |run: &Run<'_>| runs.iter().filter(|other| other.about() == run.about()).count() > 1;
    runs.iter().enumerate().map(|(number, run)| run.view(alike(run), pages.get(number).cloned())).collect()
}

/// The machine code of every test, each distinct code once.
fn codes<'a>(runs: &'a [Run<'_>]) -> Vec<Code> {
    let mut out: Vec<(Code, Vec<&str>)> = Vec::new();
    let with_record = || runs.iter().filter_map(|run| Some((run, run.record()?)));
    for (run, record) in with_record() {
        let of = |result: &'a ScenarioResult| result.each_code().map(move |code| (result, code));
        for (result, ran) in super::sums::reading_order(record).into_iter().flat_map(of) {
            let known =
                |(code, _): &&mut (Code, Vec<&str>)| code.code_sha256 == ran.sha256 && code.name == result.scenario;
            if let Some((_, letters)) = out.iter_mut().find(known) {
                if !letters.contains(&run.letter.as_str()) {
                    letters.push(&run.letter);
                }
                continue;
            }
            let code = Code {
                name: result.scenario.clone(),
                architecture: record.host.architecture.clone(),
                pace: ran.pace.to_owned(),
                layout: ran.layout.to_owned(),
                source: result.source.clone(),
                listing: ran.listing.to_owned(),
                source_sha256: result.source_sha256.clone(),
                code_sha256: ran.sha256.to_owned(),
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
