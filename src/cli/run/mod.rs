//! `wakerace run`: runs scenarios on this host, with controls, and prints the table.
//!
//! `args` has the options and checks them. `placements` says what runs where, on the `kinds` of core that were asked for;
//! `clock` checks the options against the host's clock, `experiments` makes the experiments, and `kept` has what earlier runs found. `rounds` runs them, and
//! `words` has the lines that are printed beside the table. `dry_run` only says what would run.

mod args;
mod clock;
mod dry_run;
mod experiments;
mod kept;
mod kinds;
mod placements;
mod rounds;
mod words;

use std::time::Instant;

pub use args::RunArgs;

use super::interrupt::interrupt_flag;
use super::output::{Output, status};
use super::topology::cpus_to_use;
use crate::arch::Arch;
use crate::error::{Error, Result};
use crate::experiment::Bench;
use crate::machine::{self, Calibration, Conditions};
use crate::record::{self, Finding, NoResult, Record, ScenarioResult};
use crate::{publish, terminal};
use experiments::experiments;
use placements::{Planned, chosen_scenarios, planned};
use rounds::{Session, rounds};
use words::{evidence_for, opening, unmeasured_lines};

/// Runs scenarios, prints the table and returns the exit status.
pub fn run(args: &RunArgs) -> Result<u8> {
    if args.dry_run || args.topology.is_some() {
        return dry_run::dry_run(args);
    }
    measured(args).map(|(status, _)| status)
}

/// Runs scenarios and prints the table. Returns the exit status and the record.
///
/// # Errors
/// If nothing can be run, or if an output cannot be written.
pub fn measured(args: &RunArgs) -> Result<(u8, Record)> {
    args.validate()?;
    machine::require_counter()?;
    let arch =
        Arch::host().ok_or_else(|| Error::Host("wakerace has no code generator for this architecture".to_owned()))?;
    let (started, begun) = (jiff::Timestamp::now(), Instant::now());
    let interrupt = interrupt_flag()?;
    let mut chosen = chosen_scenarios(args, arch)?;
    let unreadable = chosen.unreadable.take();
    let (topology, allowed, cpus) = cpus_to_use(args.cpus.as_deref())?;
    let Planned { runs, left_out, not_run } = planned(args, arch, &topology, &cpus, &chosen)?;
    if args.pairs.is_some() && !args.output.quiet {
        // Making the code of many thousand runs takes a while, so the time is said before.
        terminal::err(&format!("{}\n", dry_run::schedule(args, &runs)));
    }
    let mut host = machine::describe(&topology, &allowed, Calibration::new());
    host.label.clone_from(&args.output.label);
    let experiments = experiments(args, arch, &host, (&runs, |scenario| chosen.names(scenario)))?;

    let mut output = Output::new(&args.output, record::default_path(&host, started))?;
    let rounds = rounds(&experiments);
    output.say(&opening(&host, &experiments, &rounds, args.repeat));
    output.say(&left_out);
    output.say(&unmeasured_lines(&not_run));
    let mut record = Record::begin(record::SCHEMA, started, host)?;
    record.conditions = Some(Conditions::begin());
    record.unmeasured = not_run;
    let failures = unreadable.into_iter().collect();
    let mut session = Session { record, failures, begun, bench: Bench::default(), lost: String::new() };
    session.run(args, &rounds, &interrupt, &mut output);
    kept::keep(args, &session.record, &experiments);

    // The summary has them too, and -q leaves it out.
    let mut shown = String::new();
    if args.output.quiet {
        let (interrupted, others): (Vec<_>, Vec<_>) =
            session.record.unmeasured.iter().cloned().partition(|test| test.reason == NoResult::Interrupted);
        shown.push_str(&unmeasured_lines(&others));
        output.say_interrupted(session.record.interrupted, &unmeasured_lines(&interrupted));
    }
    if !args.output.quiet {
        shown.push_str(&windows(args, &session.record));
    }
    shown.push_str(&evidence(&session.record));
    let Session { record, mut failures, .. } = session;
    if failures.is_empty() {
        failures.extend(nothing_measured(&record));
    }
    let finished = output.finish(&record, &shown, failures);
    let forbidden = record.results.iter().any(|result| result.finding == Finding::ForbiddenObserved);
    Ok((status(finished, forbidden, record.interrupted)?, record))
}

/// The error of a run in which no test has a result, unless it was interrupted.
fn nothing_measured(record: &Record) -> Option<Error> {
    let nothing = record.results.is_empty() && !record.interrupted;
    nothing.then(|| {
        Error::Host("nothing was measured: no batch was completed in the time; give it more with -d".to_owned())
    })
}

/// The race windows that are drawn: with `--window` all of them, otherwise those of the race and of the controls
/// that fired.
fn windows(args: &RunArgs, record: &Record) -> String {
    let drawn = |result: &ScenarioResult| {
        args.measure.window.is_some() || result.group == "race" || result.group == "controls" && result.races > 0
    };
    let windows = publish::windows(record, terminal::width(), drawn);
    if windows.is_empty() { String::new() } else { format!("\nrace windows:\n{windows}") }
}

/// The evidence for each forbidden outcome that was observed.
fn evidence(record: &Record) -> String {
    let forbidden = record.results.iter().filter(|result| result.finding == Finding::ForbiddenObserved);
    forbidden.map(|result| evidence_for(result, &record.host)).collect()
}
