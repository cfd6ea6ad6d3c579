//! Runs the experiments of `wakerace run` round by round, and keeps its record.

use std::sync::atomic::AtomicBool;
use std::time::Instant;

use super::args::RunArgs;
use super::words::{counters_note, one_line, pace_note};
use crate::cli::output::Output;
use crate::cli::progress::{Progress, Turn};
use crate::error::{Error, Result};
use crate::experiment::{self, Bench, Experiment, Finished};
use crate::harness::Stop;
use crate::machine::{self, Moment, Placement};
use crate::record::{self, NoResult, Record, Unmeasured};
use crate::terminal;

/// The record of a run so far, and what failed.
pub(super) struct Session {
    pub(super) record: Record,
    pub(super) failures: Vec<Error>,
    pub(super) begun: Instant,
    pub(super) bench: Bench,
    /// What to print about the tests without a result, also with -q: a line each.
    pub(super) lost: String,
}

impl Session {
    /// Runs all experiments, as often as the options say. Judges and writes the results after every round.
    pub(super) fn run(
        &mut self,
        args: &RunArgs,
        rounds: &[Round<'_, '_>],
        interrupt: &AtomicBool,
        output: &mut Output,
    ) {
        let turns: Vec<_> = (0..args.repeat).flat_map(|_| rounds).collect();
        for (number, round) in turns.iter().enumerate() {
            let first = round[0];
            let after = turns[number + 1..].iter().map(|round| round[0].common.limits.duration).sum();
            let turn = Turn { number: number + 1, of: turns.len(), after };
            let limits = first.common.limits;
            let mut progress = Progress::new(first.scenario, &first.placement, limits, turn, args.output.quiet);
            let watch = |tally: &_| progress.update(first.scenario, tally);
            let finished = experiment::run_side_by_side(&mut self.bench, round, interrupt, watch);
            progress.finish();
            let mut words: String = finished.into_iter().map(|finished| self.take(finished)).collect();
            terminal::err(&std::mem::take(&mut self.lost));
            settle(&mut self.record);
            record::judge(&mut self.record.results);
            self.record.elapsed_s = self.begun.elapsed().as_secs_f64();
            if let Some(conditions) = &mut self.record.conditions {
                conditions.after = Moment::now();
            }
            // A failure here is not final: the files are written again after the next results and at the end.
            if let Err(error) = output.write_files(&self.record) {
                words.push_str(&format!("could not be written yet: {error}\n"));
            }
            output.say(&words);
            if self.record.interrupted {
                let rest = turns[number + 1..].iter().flat_map(|round| round.iter());
                self.record.unmeasured.extend(rest.map(|experiment| {
                    unmeasured(&experiment.scenario.name, &experiment.placement.cpus, NoResult::Interrupted)
                }));
                break;
            }
        }
        settle(&mut self.record);
    }

    /// Adds what an experiment gave to the record. Returns the lines to print.
    fn take(&mut self, finished: Result<Finished>) -> String {
        let Finished { result, stop } = match finished {
            Ok(finished) => finished,
            // A failed test, such as one that deadlocks, does not stop the tests after it.
            Err(error) => return self.fail(error),
        };
        self.record.interrupted |= stop == Stop::Interrupted;
        if result.iterations + result.filtered + result.moved == 0 {
            let reason = if stop == Stop::Interrupted { NoResult::Interrupted } else { NoResult::NoBatch };
            if reason == NoResult::NoBatch {
                self.lost.push_str(&no_batch(&result));
            }
            self.record.unmeasured.push(unmeasured(&result.scenario, &result.placement.cpus, reason));
            return String::new();
        }
        let words = one_line(&result) + &counters_note(&result) + &pace_note(&result);
        match add_result(&mut self.record.results, result) {
            Ok(()) => words,
            Err(error) => words + &self.fail(error),
        }
    }

    /// Keeps a failure for the end of the run. Returns the line to print.
    fn fail(&mut self, error: Error) -> String {
        let words = format!("failed: {error}\n");
        self.failures.push(error);
        words
    }
}

/// What is printed for a test whose time was over before its first batch.
fn no_batch(result: &record::ScenarioResult) -> String {
    let cpus = machine::in_order(&result.placement.cpus);
    format!(
        "{} on CPUs {cpus}: no batch was completed, so there is no result; give it more time with -d\n",
        result.scenario
    )
}

/// A test without a result on the CPUs that it had.
fn unmeasured(scenario: &str, cpus: &[usize], reason: NoResult) -> Unmeasured {
    Unmeasured { scenario: scenario.to_owned(), threads: cpus.len(), cpus: cpus.to_vec(), reason }
}

/// Forgets the tests without a result that have one from another repeat, and names each of the others once.
fn settle(record: &mut Record) {
    let mut rest: Vec<Unmeasured> = Vec::new();
    for test in std::mem::take(&mut record.unmeasured) {
        let measured =
            record.results.iter().any(|result| result.scenario == test.scenario && result.placement.cpus == test.cpus);
        if !measured && !rest.contains(&test) {
            rest.push(test);
        }
    }
    record.unmeasured = rest;
}

/// Adds a result to the results. If the same test already ran on the same placement, the result is added to
/// it as a repeat.
fn add_result(results: &mut Vec<record::ScenarioResult>, result: record::ScenarioResult) -> Result<()> {
    let same = |known: &&mut record::ScenarioResult| {
        known.source_sha256 == result.source_sha256 && known.placement == result.placement
    };
    match results.iter_mut().find(same) {
        Some(known) => record::add_repeat(known, result),
        None => {
            results.push(result);
            Ok(())
        }
    }
}

/// Experiments that run at the same time: experiments of one scenario that share no CPU.
pub(super) type Round<'a, 'b> = Vec<&'b Experiment<'a>>;

/// Groups experiments into rounds, in order.
pub(super) fn rounds<'a, 'b>(experiments: &'b [Experiment<'a>]) -> Vec<Round<'a, 'b>> {
    let mut out = Vec::new();
    for of_scenario in experiments
        .chunk_by(|a, b| a.scenario.sha256 == b.scenario.sha256 && a.common.side_by_side && b.common.side_by_side)
    {
        let placements: Vec<&Placement> = of_scenario.iter().map(|experiment| &experiment.placement).collect();
        let rounds = machine::rounds(&placements);
        out.extend(rounds.into_iter().map(|round| round.into_iter().map(|at| &of_scenario[at]).collect()));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_test_without_a_batch_is_named_and_a_run_without_any_fails() {
        let mut record = record::shipped("2026-11-26T093808Z");
        let mut results = std::mem::take(&mut record.results).into_iter();
        assert!(super::super::nothing_measured(&record).is_some());
        let mut session = Session {
            record,
            failures: Vec::new(),
            begun: Instant::now(),
            bench: Bench::default(),
            lost: String::new(),
        };
        let mut empty = results.next().unwrap();
        (empty.iterations, empty.filtered, empty.moved) = (0, 0, 0);
        let (name, cpus) = (empty.scenario.clone(), empty.placement.cpus.clone());
        for stop in [Stop::Interrupted, Stop::Limit] {
            assert_eq!(session.take(Ok(Finished { result: empty.clone(), stop })), "");
        }
        let known = |test: &Unmeasured| (test.scenario == name && test.cpus == cpus, test.reason);
        let reasons = [(true, NoResult::Interrupted), (true, NoResult::NoBatch)];
        assert_eq!(session.record.unmeasured.iter().map(known).collect::<Vec<_>>(), reasons);
        assert!(session.lost.starts_with(&format!("{name} on CPUs ")), "{}", session.lost);
        // It was interrupted, so that nothing was measured is no fault.
        assert!(super::super::nothing_measured(&session.record).is_none());
        session.record.interrupted = false;
        session.take(Ok(Finished { result: results.next().unwrap(), stop: Stop::Limit }));
        assert!(super::super::nothing_measured(&session.record).is_none());
    }

    #[test]
    fn a_test_has_no_result_if_no_repeat_has_one() {
        let mut record = record::shipped("2026-11-26T093808Z");
        let known = &record.results[0];
        let without = |scenario: &str, cpus: &[usize]| Unmeasured {
            scenario: scenario.to_owned(),
            threads: 2,
            cpus: cpus.to_vec(),
            reason: NoResult::NoBatch,
        };
        let (name, cpus) = (known.scenario.clone(), known.placement.cpus.clone());
        record.unmeasured =
            vec![without(&name, &cpus), without("LB", &cpus), without(&name, &[2, 3]), without("LB", &cpus)];
        settle(&mut record);
        assert_eq!(record.unmeasured, [without("LB", &cpus), without(&name, &[2, 3])]);
    }
}
