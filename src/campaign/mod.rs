//! Campaigns: every test of a corpus, on every class of placement, until a budget, a reproducibility or an interrupt ends it.
//!
//! `corpus` reads and judges the tests, with the mutants of `mutate`; `schedule` decides what runs next; `machine` runs it with
//! one of the `settings`; `journal` keeps every slice; `ledger` adds them up. `conformance` has the tests
//! for emulators.

mod conformance;
mod corpus;
mod journal;
mod ledger;
mod machine;
mod mutate;
mod schedule;
mod settings;

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

pub use conformance::conformance;
pub use corpus::{Corpus, Selection, Shard, Test, family};
pub use journal::{Begin, Journal, Line, Slice as JournalSlice};
pub use ledger::{Books, Ledger};
pub use machine::{Machine, Slice, ThisHost};
pub use schedule::{Arm, Pull, Schedule, Subject};
pub use settings::{SETTINGS, Setting};

use crate::error::Result;
use crate::litmus::Verdict;

/// Which outcomes a campaign looks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Aim {
    /// Outcomes that the architecture allows: what can this machine show?
    Allowed,
    /// Outcomes that the architecture forbids: does this machine do what it must not do?
    Forbidden,
}

/// The tests as the schedule sees them. `usable` has the settings that can be used for each test on each placement.
pub fn subjects(tests: &[Test], usable: &[Vec<Vec<usize>>], aim: Aim) -> Vec<Subject> {
    let each = tests.iter().zip(usable).map(|(test, usable)| Subject {
        is_wanted: match aim {
            Aim::Allowed => test.is_allowed(),
            Aim::Forbidden => test.expectation.race == Some(Verdict::Never),
        },
        places: test.places.iter().zip(usable).map(|(place, usable)| (place.class, usable.clone())).collect(),
    });
    each.collect()
}

/// How far a campaign is.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Progress {
    /// Wall-clock time so far, in seconds.
    pub spent_s: f64,
    /// Slices in this process.
    pub slices: u64,
    /// Tests whose outcome is allowed, and those of them that were seen.
    pub allowed: usize,
    /// Those that were seen.
    pub seen: usize,
    /// Tests whose outcome is forbidden and was seen.
    pub forbidden_seen: usize,
}

/// Runs a campaign until the budget is spent, the wanted reproducibility is reached, or `interrupt` is set. `watch` gets the
/// progress after every slice.
///
/// # Errors
/// If the journal cannot be written. What was measured before is in it.
pub fn run(
    (tests, books): (&[Test], &mut Books<'_>),
    schedule: &mut Schedule,
    (machine, journal): (&mut dyn Machine, &mut Journal),
    (budget, interrupt): (Option<Duration>, &AtomicBool),
    mut watch: impl FnMut(&Progress),
) -> Result<()> {
    let begun = Instant::now();
    let before = books.spent_s;
    let mut progress = Progress {
        allowed: tests.iter().filter(|test| test.is_allowed()).count(),
        seen: (tests.iter().zip(&books.ledgers))
            .filter(|(test, ledger)| test.is_allowed() && ledger.races() > 0)
            .count(),
        ..Progress::default()
    };
    while !interrupt.load(Ordering::Relaxed) && !schedule.is_done() {
        let left = budget.map(|budget| budget.saturating_sub(Duration::from_secs_f64(books.spent_s)));
        if left.is_some_and(|left| left.is_zero()) {
            break;
        }
        let Some((arm, time)) = schedule.next_slice() else { break };
        let time = left.map_or(time, |left| time.min(left));
        let test = &tests[arm.test];
        let sha256 = test.scenario.sha256.to_string();
        let slice = machine.pull(arm, time, interrupt);
        let spent_s = before + begun.elapsed().as_secs_f64();
        books.spent_s = spent_s;
        match slice {
            Ok(slice) => {
                let first = books.ledgers[arm.test].races() == 0 && slice.races > 0;
                progress.seen += usize::from(first && test.is_allowed());
                progress.forbidden_seen += usize::from(first && test.expectation.race == Some(Verdict::Never));
                journal.append(&Line::Slice(written(sha256, test, arm, &slice, spent_s)))?;
                books.add(arm, &slice, schedule);
            }
            Err(error) => {
                let reason = error.to_string();
                books.ledgers[arm.test].fail(reason.clone());
                schedule.fail(arm.test);
                journal.append(&Line::Failed { test: sha256, reason, spent_s })?;
            }
        }
        progress.slices += 1;
        progress.spent_s = spent_s;
        watch(&progress);
    }
    Ok(())
}

fn written(test: String, of: &Test, arm: Arm, slice: &Slice, spent_s: f64) -> JournalSlice {
    let Slice { iterations, filtered, races, sightings, elapsed_s, outcomes } = slice.clone();
    JournalSlice {
        test,
        cpus: of.places[arm.place].cpus.clone(),
        setting: SETTINGS[arm.setting].name.to_owned(),
        iterations,
        filtered,
        races,
        sightings,
        elapsed_s,
        spent_s,
        outcomes,
    }
}
