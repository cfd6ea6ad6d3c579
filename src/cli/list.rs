//! `wakerace list`: prints the scenarios and their expected verdicts.

use clap::Args;

use crate::arch::Arch;
use crate::arch::lock::Lock;
use crate::catalogue::{self, Scenario};
use crate::error::Result;
use crate::litmus::ast::Header;
use crate::{publish, shown, terminal};

/// Arguments of `list`.
#[derive(Debug, Args)]
pub struct ListArgs {
    /// Litmus files, folders, scenario names or groups (race, fixes, mutants, guards, fields, controls)
    /// [default: all scenarios]
    scenarios: Vec<String>,
}

/// Prints the scenarios with their verdicts and returns the exit status.
pub fn list(args: &ListArgs) -> Result<u8> {
    let scenarios = if args.scenarios.is_empty() { catalogue::all()? } else { catalogue::resolve(&args.scenarios)? };
    let mut headings = vec!["group", "scenario", "CPUs", "LKMM"];
    headings.extend(Arch::ALL.map(Arch::name));
    headings.push("asks");
    let rows: Vec<Vec<String>> = scenarios.iter().map(row).collect();
    terminal::out(&text(&headings, rows, terminal::width()))?;
    Ok(crate::error::EXIT_OK)
}

/// The table. If it does not fit, what a scenario asks stands below its line, and the group is left out.
fn text(headings: &[&str], rows: Vec<Vec<String>>, width: Option<usize>) -> String {
    let whole = publish::table_with_notes(headings, rows.clone(), &[], None, &[]);
    if width.is_none_or(|width| whole.lines().all(|line| line.chars().count() <= width)) {
        return whole;
    }
    let last = headings.len() - 1;
    let notes: Vec<String> = rows.iter().map(|row| row[last].clone()).collect();
    let rows = rows.iter().map(|row| row[1..last].to_vec()).collect();
    publish::table_with_notes(&headings[1..last], rows, &notes, width, &[])
}

fn row(scenario: &Scenario) -> Vec<String> {
    let header = &scenario.test.header;
    let unknown = || "-".to_owned();
    let mut row = vec![
        scenario.group.clone(),
        scenario.name.clone(),
        scenario.program.threads.len().to_string(),
        header.result.map_or_else(unknown, |verdict| verdict.to_string()),
    ];
    row.extend(Arch::ALL.map(|arch| expected(header, arch).unwrap_or_else(unknown)));
    // The title, and the first sentence of the header, which says what the scenario asks.
    let summary = header.summary();
    let ends = ["? ", ". ", ": "].into_iter().filter_map(|end| summary.find(end)).map(|at| at + 1);
    let end = ends.min().unwrap_or(summary.len());
    let asks = summary[..end].trim_end_matches(['.', ':']);
    row.push(match header.naming.title.as_deref() {
        Some(title) if asks.is_empty() => title.to_owned(),
        Some(title) => format!("{title}: {asks}"),
        None => asks.to_owned(),
    });
    row.iter().map(|cell| shown::line(cell).into_owned()).collect()
}

/// The verdict on an architecture; behind it, those of the locks with which it is another one.
fn expected(header: &Header, arch: Arch) -> Option<String> {
    let verdict = header.expected(arch, Lock::Qspinlock)?;
    let others = Lock::of(arch).iter().filter_map(|&lock| Some((lock, header.expected(arch, lock)?)));
    let others = others.filter(|(_, other)| *other != verdict).map(|(lock, other)| format!(", {other} with {lock}"));
    Some(verdict.to_string() + &others.collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_fits_and_keeps_what_each_scenario_asks() {
        let scenarios = catalogue::all().unwrap();
        let mut headings = vec!["group", "scenario", "CPUs", "LKMM"];
        headings.extend(Arch::ALL.map(Arch::name));
        headings.push("asks");
        let of = |width| text(&headings, scenarios.iter().map(row).collect(), width);
        assert_eq!(of(None).lines().count(), 1 + scenarios.len());
        for width in [60, 80, 120] {
            let narrow = of(Some(width));
            let wide = narrow.lines().find(|line| line.chars().count() > width);
            assert_eq!(wide, None, "{width}");
            let words = narrow.split_whitespace().collect::<Vec<_>>().join(" ");
            for scenario in &scenarios {
                let row = row(scenario);
                let asks = row.last().unwrap().split_whitespace().collect::<Vec<_>>().join(" ");
                assert!(words.contains(&asks) && words.contains(&scenario.name), "{width}: {asks}");
            }
        }
    }
}
