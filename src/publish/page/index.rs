//! Writes the index page of a folder of records: the answer, the chart of all tests, and a row for each host.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Serialize;

use super::answer::{self, OnCpu, RACE};
use super::fleet::{by_test, chart, hosts_of_kinds};
use super::forest::Chart;
use super::rows::mark;
use super::runs::{self, Run, Symbol};
use super::spread::{Kind, kinds};
use super::sum::{Sum, sums};
use super::{Entry, Front, Meta, Page, Preview, STYLE, fill};
use crate::error::{Error, Result};
use crate::machine::Host;
use crate::publish::{count, protocol};
use crate::record::AnyRecord;
use crate::shown;

/// A record of a host.
#[derive(Serialize)]
struct Link {
    /// The path of the record, relative to the folder of the index.
    href: String,
    name: String,
    words: String,
}

/// A host: the row of the index.
#[derive(Serialize)]
struct Row {
    symbol: Symbol,
    cpu: String,
    about: String,
    /// The days of the first and the last run.
    when: String,
    rate: String,
    finding: &'static str,
    mark: &'static str,
    protocol: String,
    /// The page of the host.
    page: Option<String>,
    records: Vec<Link>,
}

#[derive(Serialize)]
struct Context {
    style: &'static str,
    meta: Meta,
    headline: String,
    lines: Vec<String>,
    architectures: Vec<(String, Vec<Row>)>,
    chart: Option<Chart>,
    records: usize,
    hosts: usize,
}

/// Writes the index page of the records below `folder`. The name of each entry is the record's path. `page` gives the address
/// of the page of a host by the number of its first record, if there are such pages.
///
/// # Errors
/// If a record is not below the folder of its architecture, or if it is from an emulated run.
pub fn index(folder: &Path, entries: &[Entry], front: &Front, page: impl Fn(usize) -> Option<String>) -> Result<Page> {
    let hrefs = entries.iter().map(|entry| href(folder, entry)).collect::<Result<Vec<String>>>()?;
    let runs = runs::runs(entries);
    let all: Vec<&Run<'_>> = runs.iter().collect();
    let kinds = kinds(&all);
    let sums = sums(&all);
    let mut architectures: BTreeMap<String, Vec<Row>> = BTreeMap::new();
    let hosts = hosts(entries);
    for numbers in &hosts {
        let of_host: Vec<&Run<'_>> = numbers.iter().map(|number| &runs[*number]).collect();
        let records = numbers.iter().map(|number| link(&hrefs[*number], &entries[*number].record)).collect();
        let row = row(&of_host, &kinds, records, page(numbers[0]));
        architectures.entry(of_host[0].host().architecture.clone()).or_default().push(row);
    }
    let answer = answer::answer(&runs, &sums);
    let chart = chart(&by_test(&sums, &kinds));
    let forest = chart.as_ref().map(|chart| &chart.forest);
    let draw = || {
        let hosts = hosts_of_kinds(&kinds);
        Preview { headline: &answer.headline, lines: &answer.lines, hosts, chart: forest }.png()
    };
    let picture = front.image.as_ref().map(|_| draw()).transpose()?;
    let context = Context {
        style: STYLE,
        meta: Meta::new("wakerace: results", &answer.headline, front),
        headline: answer.headline,
        lines: answer.lines,
        architectures: architectures.into_iter().collect(),
        chart,
        records: entries.len(),
        hosts: hosts.len(),
    };
    Ok(Page { html: fill("index.html", &context)?, picture, folded: Vec::new() })
}

/// The records of each host, by number, in the order of the hosts' first records.
pub fn hosts(entries: &[Entry]) -> Vec<Vec<usize>> {
    let mut out: Vec<Vec<usize>> = Vec::new();
    for (number, entry) in entries.iter().enumerate() {
        let host = entry.record.host();
        match out.iter_mut().find(|known| same_host(entries[known[0]].record.host(), host)) {
            Some(known) => known.push(number),
            None => out.push(vec![number]),
        }
    }
    out
}

/// Whether two records are of one machine, or of machines that nobody can tell apart. Its kernel may be another one.
fn same_host(a: &Host, b: &Host) -> bool {
    let known = |host: &Host| (host.cpus_online.clone(), host.virtualised.clone(), host.label.clone());
    crate::publish::cpus::same_cpu(a, b) && a.names == b.names && known(a) == known(b)
}

/// The path of a record, relative to the folder of the index.
fn href(folder: &Path, entry: &Entry) -> Result<String> {
    let outside =
        || Error::Usage(format!("{}: this record is not below the folder {}", entry.name, shown::path(folder)));
    let href = Path::new(&entry.name).strip_prefix(folder).map_err(|_| outside())?;
    let host = entry.record.host();
    if host.emulated {
        return Err(Error::Usage(format!(
            "{}: this record is from an emulated run; an index lists only runs on real hardware",
            entry.name
        )));
    }
    if !href.starts_with(&host.architecture) {
        return Err(Error::Usage(format!(
            "{}: this is a record of {}; move it below {}",
            entry.name,
            host.architecture,
            shown::path(&folder.join(&host.architecture))
        )));
    }
    Ok(href.to_string_lossy().into_owned())
}

fn row(runs: &[&Run<'_>], kinds: &[Kind<'_>], records: Vec<Link>, page: Option<String>) -> Row {
    let host = runs[0].host();
    let kind = kinds.iter().find(|kind| crate::publish::cpus::same_cpu(kind.runs[0].host(), host));
    let sums = sums(runs);
    let race: Vec<&Sum<'_>> = sums.iter().filter(|sum| sum.first().scenario == RACE).collect();
    let race = (!race.is_empty()).then(|| OnCpu::of(race));
    let protocols: Vec<_> = runs.iter().filter_map(|run| run.protocol()).collect();
    let mut days: Vec<&str> = runs.iter().map(|run| run.day()).collect();
    days.sort_unstable();
    let (first, last) = (days[0], days[days.len() - 1]);
    Row {
        symbol: kind.map_or_else(|| Symbol::of(runs[0].look), Kind::symbol),
        cpu: kind.map_or(host.cpu_model.clone(), |kind| kind.name.clone()),
        about: runs[0].about_machine(),
        when: if first == last { first.to_owned() } else { format!("{first} to {last}") },
        rate: race
            .as_ref()
            .map_or("-".to_owned(), |race| if race.highest() > 0.0 { race.rates() } else { race.bound() }),
        finding: race.as_ref().map_or("", |race| race.finding().words()),
        mark: race.as_ref().map_or("", |race| mark(race.finding())),
        protocol: if protocols.is_empty() { "-".to_owned() } else { protocol::harm(&protocols).to_owned() },
        page,
        records,
    }
}

fn link(href: &str, record: &AnyRecord) -> Link {
    let name = href.rsplit('/').next().unwrap_or_default().trim_end_matches(".json").to_owned();
    Link { href: href.to_owned(), name, words: words(record) }
}

/// The contents of a record in one line.
fn words(record: &AnyRecord) -> String {
    match record {
        AnyRecord::Run(record) => {
            let mut names: Vec<&str> = record.results.iter().map(|result| result.scenario.as_str()).collect();
            names.dedup();
            let iterations = record.results.iter().fold(0u64, |sum, result| sum.saturating_add(result.iterations));
            let plural = if names.len() == 1 { "" } else { "s" };
            format!("{} test{plural}, {} iterations", names.len(), count(iterations))
        }
        AnyRecord::Campaign(record) => {
            let power = record.power();
            format!(
                "a campaign of {} tests, {} of {} allowed outcomes seen",
                record.results.len(),
                power.seen,
                power.allowed
            )
        }
        AnyRecord::Protocol(record) => {
            let rounds = record.results.iter().fold(0u64, |sum, result| sum.saturating_add(result.rounds));
            format!("the protocol, {} rounds: {}", count(rounds), protocol::judged_together(record))
        }
    }
}
