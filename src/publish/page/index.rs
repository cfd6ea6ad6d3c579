//! Writes the index page of a folder of records: which CPUs were measured, and the path of each record.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Serialize;

use super::answer::RACE;
use super::forest::{Chart, chart};
use super::rows::{self, Row};
use super::runs::{self, Run, View};
use super::sum::sums;
use super::{Entry, STYLE, fill};
use crate::error::{Error, Result};
use crate::publish::{Publish, count};
use crate::record::AnyRecord;
use crate::shown;

#[derive(Serialize)]
struct Listed {
    view: View,
    /// The path of the record, relative to the folder of the index.
    href: String,
    race: Option<Row>,
    words: String,
}

#[derive(Serialize)]
struct Cpu {
    name: String,
    runs: Vec<Listed>,
}

#[derive(Serialize)]
struct Architecture {
    name: String,
    cpus: Vec<Cpu>,
}

#[derive(Serialize)]
struct Context {
    style: &'static str,
    architectures: Vec<Architecture>,
    chart: Option<Chart>,
}

/// Writes the index page of the records below `folder`. The name of each entry is the record's path.
///
/// # Errors
/// If a record is not below the folder of its architecture, or if it is from an emulated run.
pub fn index(folder: &Path, entries: &[Entry]) -> Result<String> {
    let runs = runs::runs(entries);
    let mut architectures: BTreeMap<String, BTreeMap<String, Vec<Listed>>> = BTreeMap::new();
    for (run, entry) in runs.iter().zip(entries) {
        let outside =
            || Error::Usage(format!("{}: this record is not below the folder {}", entry.name, shown::path(folder)));
        let href = Path::new(&entry.name).strip_prefix(folder).map_err(|_| outside())?;
        let host = run.host();
        if host.emulated {
            return Err(Error::Usage(format!(
                "{}: this record is from an emulated run; an index lists only runs on real hardware",
                entry.name
            )));
        }
        let wanted = Path::new(&host.architecture);
        if !href.starts_with(wanted) {
            return Err(Error::Usage(format!(
                "{}: this is a record of {}; move it below {}",
                entry.name,
                host.architecture,
                shown::path(&folder.join(wanted))
            )));
        }
        let race = sums(&[run]).into_iter().find(|sum| sum.first().scenario == RACE).map(|sum| rows::row(&sum));
        let cpu = architectures.entry(host.architecture.clone()).or_default().entry(runs::name(host)).or_default();
        cpu.push(Listed {
            view: run.view(),
            href: href.to_string_lossy().into_owned(),
            race,
            words: words(&entry.record),
        });
    }
    let of_race =
        |run: &&Run<'_>| run.record().is_some_and(|record| record.results.iter().any(|result| result.scenario == RACE));
    let racing: Vec<&Run<'_>> = runs.iter().filter(of_race).collect();
    let mut shown = sums(&racing);
    shown.retain(|sum| ["race", "controls"].contains(&sum.first().group.as_str()));
    let context = Context {
        style: STYLE,
        architectures: (architectures.into_iter())
            .map(|(name, cpus)| Architecture {
                name,
                cpus: cpus.into_iter().map(|(name, runs)| Cpu { name, runs }).collect(),
            })
            .collect(),
        chart: chart(&shown, &[RACE]),
    };
    fill("index.html", &context)
}

/// The contents of a record in one line.
fn words(record: &AnyRecord) -> String {
    match record {
        AnyRecord::Run(record) => {
            let mut names: Vec<&str> = record.results.iter().map(|result| result.scenario.as_str()).collect();
            names.dedup();
            let iterations = record.results.iter().fold(0u64, |sum, result| sum.saturating_add(result.iterations));
            format!("{} tests, {} iterations", names.len(), count(iterations))
        }
        AnyRecord::Protocol(record) => {
            let rounds = record.results.iter().fold(0u64, |sum, result| sum.saturating_add(result.rounds));
            if record.is_empty() {
                "no results".to_owned()
            } else {
                format!("the protocol, {} rounds: {}", count(rounds), crate::publish::protocol::judged_together(record))
            }
        }
    }
}
