//! What runs of the protocol came to, for people and spreadsheets.

use std::fmt::Write as _;

use comfy_table::{ContentArrangement, Table, presets};

use super::numbers::{count, rate_with_interval};
use crate::error::Result;
use crate::machine::in_order;
use crate::record::{ProtocolRecord, ProtocolResult};

pub(super) const HEADINGS: [&str; 10] =
    ["profile", "variant", "store", "layout", "rounds", "wakes", "matches", "races", "rate [95 %]", "result"];

/// One line of the table.
pub(super) fn cells(result: &ProtocolResult) -> [String; 10] {
    let verdict = match (&result.stuck, result.is_clean()) {
        (Some(_), _) => "STUCK",
        (None, true) => "clean",
        (None, false) => "HARM",
    };
    [
        result.profile.clone()
            + result.mutant.as_deref().map_or(String::new(), |mutant| format!(" -{mutant}")).as_str(),
        result.variant.clone(),
        result.blocked_on_store.clone(),
        result.layout.clone(),
        count(result.rounds),
        count(result.wakes.issued),
        count(result.matches),
        count(result.races),
        rate_with_interval(result.rate, result.interval),
        verdict.to_owned(),
    ]
}

/// The table for a terminal.
pub fn table(record: &ProtocolRecord) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
    table.set_header(HEADINGS);
    for result in &record.results {
        table.add_row(cells(result));
    }
    let lines: Vec<String> = table.lines().map(|line| line.trim_end().to_owned()).collect();
    lines.join("\n")
}

/// What each result comes to, in words.
pub fn summary(record: &ProtocolRecord) -> String {
    let mut text = String::new();
    for result in &record.results {
        let _ = writeln!(
            text,
            "{}, {}, {}{}: {} rounds/s; of {} wakeups {} found no match, {} a queued task, {} put one on a runqueue, {} are lost",
            result.profile,
            result.variant,
            result.layout,
            if result.reconstruction { " (a reconstruction: the mail's diff is not archived)" } else { "" },
            count(result.rounds_per_s.round() as u64),
            count(result.wakes.issued),
            count(result.wakes.no_match),
            count(result.wakes.runnable),
            count(result.wakes.activated),
            count(result.wakes.unaccounted + result.wakes.dropped),
        );
        let healed: u64 = result.healed.iter().map(|healed| healed.count).sum();
        if result.races > 0 || healed > 0 {
            let by: Vec<String> = (result.healed.iter().filter(|healed| healed.count > 0))
                .map(|healed| format!("{} by {}", count(healed.count), healed.by))
                .collect();
            let _ = writeln!(
                text,
                "  {} races left a queued task RUNNING with blocked_on set: {}{}; after {} ns (median), {} (99 %), {} (longest)",
                count(healed + result.unhealed),
                if by.is_empty() { "none healed".to_owned() } else { by.join(", ") },
                if result.unhealed > 0 { format!(", {} not yet", count(result.unhealed)) } else { String::new() },
                count(result.heal_ns.p50),
                count(result.heal_ns.p99),
                count(result.heal_ns.max),
            );
        }
        for harm in result.harms.iter().filter(|harm| harm.count > 0) {
            let expected = if harm.expected { "may be in this profile" } else { "MUST NOT BE" };
            let _ = writeln!(text, "  {} {}: {} ({expected})", harm.id, harm.text, count(harm.count));
        }
        if result.rescued > 0 {
            let _ = writeln!(
                text,
                "  {} lost tasks were put back by the monitor so that it could go on",
                count(result.rescued)
            );
        }
        if let Some(stuck) = &result.stuck {
            let _ = writeln!(text, "  ended early: {stuck}");
        }
    }
    if record.host.emulated {
        text.push_str(
            "Run under an emulator: it shows that the protocol works, nothing about how often the race happens.\n",
        );
    }
    text
}

/// The table in Markdown.
pub fn markdown(record: &ProtocolRecord) -> String {
    let row = |cells: &[String]| format!("| {} |\n", cells.join(" | "));
    let mut text = format!(
        "{} {}, Linux {}\n\n{}",
        record.host.architecture,
        record.host.cpu_model,
        record.host.kernel,
        row(&HEADINGS.map(str::to_owned))
    );
    text.push_str(&row(&HEADINGS.map(|_| "---".to_owned())));
    for result in &record.results {
        text.push_str(&row(&cells(result)));
    }
    format!("{text}\n{}", summary(record))
}

/// One line per result, harms in columns of their own.
///
/// # Errors
/// None that a record can cause.
pub fn csv(record: &ProtocolRecord) -> Result<String> {
    let fixed = [
        "architecture",
        "cpu_model",
        "emulated",
        "profile",
        "mutant",
        "variant",
        "store",
        "layout",
        "cpus",
        "elapsed_s",
        "rounds",
        "acquired",
        "issued",
        "no_match",
        "runnable",
        "activated",
        "dropped",
        "matches",
        "nulls",
        "races",
        "healed",
        "unhealed",
        "heal_p50_ns",
        "heal_p99_ns",
        "heal_max_ns",
        "rescued",
        "stuck",
    ];
    let ids = record
        .results
        .first()
        .map_or_else(Vec::new, |result| result.harms.iter().map(|harm| harm.id.clone()).collect::<Vec<_>>());
    let mut lines = vec![fixed.into_iter().map(str::to_owned).chain(ids).collect()];
    for result in &record.results {
        let mut line = vec![
            record.host.architecture.clone(),
            record.host.cpu_model.clone(),
            record.host.emulated.to_string(),
            result.profile.clone(),
            result.mutant.clone().unwrap_or_default(),
            result.variant.clone(),
            result.blocked_on_store.clone(),
            result.layout.clone(),
            in_order(&result.cpus).replace(',', " "),
            result.elapsed_s.to_string(),
        ];
        let numbers = [
            result.rounds,
            result.acquired,
            result.wakes.issued,
            result.wakes.no_match,
            result.wakes.runnable,
            result.wakes.activated,
            result.wakes.dropped,
            result.matches,
            result.nulls,
            result.races,
            result.healed.iter().map(|healed| healed.count).sum(),
            result.unhealed,
            result.heal_ns.p50,
            result.heal_ns.p99,
            result.heal_ns.max,
            result.rescued,
        ];
        line.extend(numbers.iter().map(u64::to_string));
        line.push(result.stuck.clone().unwrap_or_default());
        line.extend(result.harms.iter().map(|harm| harm.count.to_string()));
        lines.push(line);
    }
    super::csv::render(&lines)
}
