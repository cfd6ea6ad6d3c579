//! The page's part about runs of the protocol.

use serde::Serialize;

use super::figures::{Figure, Legend, id};
use super::histograms::{percentile_chart, percentiles};
use super::runs::Run;
use crate::publish::Publish;
use crate::publish::chart::Look;
use crate::publish::protocol::verdict;

/// The results of a run of the protocol.
#[derive(Serialize)]
pub(super) struct Protocol {
    letter: String,
    classes: String,
    emulated: bool,
    verdict: String,
    table: Vec<Vec<String>>,
    words: String,
    pub(super) figures: Vec<Figure>,
}

/// The runs of the protocol: table, summary and healing times. Emulated runs have no charts.
pub(super) fn protocols(runs: &[Run<'_>]) -> Vec<Protocol> {
    runs.iter()
        .filter_map(|run| {
            let record = run.protocol()?;
            let emulated = run.host().emulated;
            let mut lines = Vec::new();
            let mut legends = Vec::new();
            let mut most = 0;
            for (number, result) in record.results.iter().enumerate() {
                let look = Look { colour: number, dash: 0 };
                let name = format!("{}, {}, {}", result.profile, result.variant, result.blocked_on_store);
                if let Some(line) = percentiles(&result.heal_ns, look, &name) {
                    lines.push(line);
                    legends.push(Legend { classes: look.classes(), text: name });
                    most = most.max(result.heal_ns.count);
                }
            }
            let figures = if lines.is_empty() || emulated {
                Vec::new()
            } else {
                let chart = percentile_chart("Healing times".to_owned(), "time to heal, ns", most, lines);
                let caption = "How long a task was RUNNING with blocked_on set".to_owned();
                vec![Figure {
                    id: id(&["healing", &run.letter]),
                    test: String::new(),
                    caption,
                    note: "Half of the races healed within the value at 50 %.".to_owned(),
                    race: false,
                    svg: chart.svg(),
                    legend: legends,
                }]
            };
            Some(Protocol {
                letter: run.letter.clone(),
                classes: run.look.classes(),
                emulated,
                verdict: verdict(&[record]),
                table: record.results.iter().map(|result| crate::publish::protocol::cells(result).to_vec()).collect(),
                words: record.summary(),
                figures,
            })
        })
        .collect()
}
