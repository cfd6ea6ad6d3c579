//! The page's part about runs of the protocol.

use serde::Serialize;

use super::embed::Room;
use super::figures::{Figure, Legend, id};
use super::histograms::{Reach, percentile_chart, percentiles, raw};
use super::runs::{self, Run};
use crate::publish::Publish;
use crate::publish::chart::{Line, Look};
use crate::publish::numbers::short_time;
use crate::publish::protocol::{self, verdict};

/// The results of a run of the protocol.
#[derive(Serialize)]
pub(super) struct Protocol {
    letter: String,
    classes: String,
    emulated: bool,
    verdict: String,
    headings: [&'static str; 10],
    table: Vec<Vec<String>>,
    words: String,
    pub(super) figures: Vec<Figure>,
}

/// The runs of the protocol: table, summary and healing times. Emulated runs have no charts.
/// All charts of healing times on a page have the axes of `reach`.
pub(super) fn protocols(runs: &[Run<'_>], reach: Reach, room: &mut Room) -> Vec<Protocol> {
    runs.iter()
        .filter_map(|run| {
            let record = run.protocol()?;
            let emulated = run.host().emulated;
            let mut lines = Vec::new();
            let (mut legends, mut files) = (Vec::new(), Vec::new());
            for (number, result) in record.results.iter().enumerate() {
                let look = Look::numbered(number);
                let name = format!("{}, {}, {}", result.profile, result.variant, result.blocked_on_store);
                if let Some(line) = percentiles(&result.heal_ns, look, &name) {
                    lines.push(line);
                    files.extend(raw(&result.heal_ns, &format!("healing-{}-{name}", run.letter), room));
                    legends.push(Legend { classes: look.classes(), text: name });
                }
            }
            let figures = if lines.is_empty() || emulated {
                Vec::new()
            } else {
                let chart = percentile_chart("Healing times".to_owned(), "time to heal, ns", reach, lines);
                let caption = "How long a task was RUNNING with blocked_on set".to_owned();
                vec![Figure {
                    id: id(&["healing", &run.letter]),
                    test: String::new(),
                    caption,
                    note: "Half of the races healed within the value at 50 %.".to_owned(),
                    svg: chart.svg(),
                    legend: legends,
                    raw: files,
                    ..Figure::default()
                }]
            };
            Some(Protocol {
                letter: run.letter.clone(),
                classes: run.look.classes(),
                emulated,
                verdict: verdict(&[record]),
                headings: protocol::HEADINGS,
                table: record.results.iter().map(|result| crate::publish::protocol::cells(result).to_vec()).collect(),
                words: record.summary(),
                figures,
            })
        })
        .collect()
}

/// What the axes of all charts of healing times must hold.
pub(super) fn reach(runs: &[&Run<'_>]) -> Reach {
    let mut reach = Reach::NONE;
    for result in runs.iter().filter_map(|run| run.protocol()).flat_map(|record| &record.results) {
        if let Some(line) = percentiles(&result.heal_ns, Look::default(), "") {
            reach.add(&line, result.heal_ns.count);
        }
    }
    reach
}

/// The healing times of several runs on real hardware: a chart for each profile that two of them have, with a line per run.
pub(super) fn healing(runs: &[&Run<'_>], reach: Reach) -> Vec<Figure> {
    let mut out: Vec<Healing> = Vec::new();
    for run in runs {
        let Some(record) = run.protocol() else { continue };
        for result in &record.results {
            let profile = protocol::name(result);
            let name = format!("{profile}, {}, {}, {}", result.variant, result.blocked_on_store, result.layout);
            let Some(line) = percentiles(&result.heal_ns, run.look, &run.letter) else { continue };
            let host = format!("{} {}", run.letter, runs::name(run.host()));
            let legend = Legend { classes: run.look.classes(), text: host };
            let median = format!("{}: {}", run.letter, short_time(result.heal_ns.p50));
            let at = out.iter().position(|known| known.name == name).unwrap_or_else(|| {
                out.push(Healing { name, lines: Vec::new(), legend: Vec::new(), medians: Vec::new() });
                out.len() - 1
            });
            let known = &mut out[at];
            known.lines.push(line);
            known.legend.push(legend);
            known.medians.push(median);
        }
    }
    out.retain(|healing| healing.lines.len() > 1);
    out.into_iter().map(|healing| healing.figure(reach)).collect()
}

/// The healing times of one profile on several hosts.
struct Healing {
    name: String,
    lines: Vec<Line>,
    legend: Vec<Legend>,
    medians: Vec<String>,
}

impl Healing {
    fn figure(self, reach: Reach) -> Figure {
        let chart = percentile_chart(format!("Healing times, {}", self.name), "time to heal, ns", reach, self.lines);
        Figure {
            id: id(&["healing", &self.name]),
            caption: self.name,
            note: format!("Half of the races healed within: {}.", self.medians.join(", ")),
            svg: chart.svg(),
            legend: self.legend,
            ..Figure::default()
        }
    }
}
