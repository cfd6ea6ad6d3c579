//! `wakerace list`: prints the scenarios and their expected verdicts.

use clap::Args;

use crate::arch::Arch;
use crate::arch::lock::Lock;
use crate::catalogue::{self, Scenario};
use crate::error::Result;
use crate::litmus::ast::Header;
use crate::{shown, tables, terminal};

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
    let mut table = tables::plain();
    let arches = Arch::ALL.map(|arch| arch.name().to_owned());
    let mut headings = vec!["group".to_owned(), "scenario".to_owned(), "CPUs".to_owned(), "LKMM".to_owned()];
    headings.extend(arches);
    headings.push("asks".to_owned());
    table.set_header(headings);
    for scenario in &scenarios {
        table.add_row(row(scenario));
    }
    terminal::out(&format!("{}\n", tables::text(&table)))?;
    Ok(crate::error::EXIT_OK)
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
    // The first sentence of a header says what the scenario asks.
    let summary = header.summary();
    let ends = ["? ", ". ", ": "].into_iter().filter_map(|end| summary.find(end)).map(|at| at + 1);
    let end = ends.min().unwrap_or(summary.len());
    row.push(summary[..end].trim_end_matches(['.', ':']).to_owned());
    row.iter().map(|cell| shown::line(cell).into_owned()).collect()
}

/// The verdict on an architecture; behind it, those of the locks with which it is another one.
fn expected(header: &Header, arch: Arch) -> Option<String> {
    let verdict = header.expected(arch, Lock::Qspinlock)?;
    let others = Lock::of(arch).iter().filter_map(|&lock| Some((lock, header.expected(arch, lock)?)));
    let others = others.filter(|(_, other)| *other != verdict).map(|(lock, other)| format!(", {other} with {lock}"));
    Some(verdict.to_string() + &others.collect::<String>())
}
