//! Runs slices on this host: one test, on one placement, with one setting, for some milliseconds.

use std::collections::HashMap;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use super::corpus::Test;
use super::schedule::Arm;
use super::settings::{SETTINGS, Setting};
use crate::error::Result;
use crate::experiment::{Bench, Common, Experiment};
use crate::harness::{self, Limits, Measurement};
use crate::machine::Placement;
use crate::program::{Const, Program};
use crate::record::FinalValue;
use crate::units::Nanos;
use crate::{codegen, isa, layout};

/// What a slice gave.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Slice {
    /// Iterations.
    pub iterations: u64,
    /// Instances that the filter excludes.
    pub filtered: u64,
    /// Races.
    pub races: u64,
    /// Blocks of batches with a race.
    pub sightings: u64,
    /// Measuring time, in seconds.
    pub elapsed_s: f64,
    /// The values of each outcome, in the order of the program's columns.
    pub outcomes: Vec<(Vec<FinalValue>, u64)>,
}

/// What runs slices: this host, or a simulation in tests.
pub trait Machine {
    /// Runs a slice.
    ///
    /// # Errors
    /// If the test cannot go on, such as one that deadlocks.
    fn pull(&mut self, arm: Arm, time: Duration, interrupt: &AtomicBool) -> Result<Slice>;
}

/// The first period of a setting, in nanoseconds, until slices tell a better one.
const GUESS_NS: f64 = 300.0;
/// The shortest and the longest period, in nanoseconds.
const PERIODS_NS: [f64; 2] = [40.0, 20_000.0];
/// The period grows by the first factor if more than this share of the instances started late, and shrinks by the second
/// one if less did.
const LATE: [(f64, f64); 2] = [(0.1, 1.4), (0.03, 0.8)];

/// This host.
#[derive(Debug)]
pub struct ThisHost<'a> {
    tests: &'a [Test],
    common: Common,
    bench: Bench,
    /// The period that an arm used last, adapted by what it gave, and that of the last arm with the same placement and
    /// setting, in nanoseconds.
    own: HashMap<Arm, f64>,
    last: HashMap<(Vec<usize>, usize), f64>,
}

impl<'a> ThisHost<'a> {
    /// A machine for these tests.
    pub fn new(tests: &'a [Test], common: Common) -> ThisHost<'a> {
        ThisHost { tests, common, bench: Bench::default(), own: HashMap::new(), last: HashMap::new() }
    }

    /// The settings that can be used for a test on each of its placements. Threads that share a CPU, a single thread, and
    /// CPUs whose clocks cannot be compared run free. `unfit` says that the host's clock is not fit to pace by.
    ///
    /// # Errors
    /// If the clocks cannot be compared.
    pub fn settings(&mut self, unfit: bool, interrupt: &AtomicBool) -> Result<Vec<Vec<Vec<usize>>>> {
        let mut known: HashMap<Vec<usize>, bool> = HashMap::new();
        let mut out = Vec::new();
        for (number, test) in self.tests.iter().enumerate() {
            let mut of_test = Vec::new();
            for (place, placement) in test.places.iter().enumerate() {
                let paced = match known.get(&placement.cpus) {
                    Some(paced) => *paced,
                    None => {
                        let paced = !unfit && is_apart(placement) && self.is_paceable(number, place, interrupt)?;
                        known.insert(placement.cpus.clone(), paced);
                        paced
                    }
                };
                let fits = |at: &&usize| paced || !SETTINGS[**at].is_paced();
                of_test.push(test.settings.iter().filter(fits).copied().collect());
            }
            out.push(of_test);
        }
        Ok(out)
    }

    fn is_paceable(&mut self, test: usize, place: usize, interrupt: &AtomicBool) -> Result<bool> {
        let arm = Arm { test, place, setting: 0 };
        let experiment = experiment(&self.tests[test], &self.common, arm, GUESS_NS)?;
        Ok(self.bench.unpaceable(&experiment, interrupt)?.is_none())
    }

    /// The machine code of an arm, disassembled, for a forbidden outcome.
    ///
    /// # Errors
    /// If the code cannot be disassembled.
    pub fn listing(&self, arm: Arm) -> Result<String> {
        let test = &self.tests[arm.test];
        let (program, setting) = (&test.scenario.program, &SETTINGS[arm.setting]);
        let layout = layout::Layout::new(setting.arm.layout, program, self.common.line)?;
        let code = isa::emit(self.common.target, program, &layout, setting.pace(self.common.edges))?;
        let mut text = String::new();
        for (number, (thread, code)) in program.threads.iter().zip(&code).enumerate() {
            text.push_str(&format!("P{number}\n{}", codegen::listing(program, thread, code)?));
        }
        Ok(text)
    }
}

/// Whether every thread has its own CPU, and there are at least two.
fn is_apart(placement: &Placement) -> bool {
    let cpus = &placement.cpus;
    cpus.len() > 1 && cpus.iter().enumerate().all(|(at, cpu)| !cpus[..at].contains(cpu))
}

fn experiment<'a>(test: &'a Test, common: &Common, arm: Arm, period_ns: f64) -> Result<Experiment<'a>> {
    let setting: &Setting = &SETTINGS[arm.setting];
    let units = common.units();
    let choice = setting.choice(units.ticks(Nanos(period_ns)), &units);
    Experiment::new(&test.scenario, test.places[arm.place].clone(), choice, test.expectation.clone(), common)
}

impl Machine for ThisHost<'_> {
    fn pull(&mut self, arm: Arm, time: Duration, interrupt: &AtomicBool) -> Result<Slice> {
        let test = &self.tests[arm.test];
        let place = (test.places[arm.place].cpus.clone(), arm.setting);
        let period = self.own.get(&arm).or(self.last.get(&place)).copied().unwrap_or(GUESS_NS);
        // Every slice draws another order of skews.
        let common = Common {
            limits: Limits { duration: Some(time), ..Limits::default() },
            seed: self.common.seed.wrapping_add(1),
            ..self.common
        };
        self.common.seed = common.seed;
        let measurement = self.bench.measure(&experiment(test, &common, arm, period)?, interrupt)?;
        // A slice in which nothing counted says nothing about the period.
        if SETTINGS[arm.setting].is_paced() && measurement.tally.instances() > 0 {
            let period = adapted(period, measurement.late);
            self.own.insert(arm, period);
            self.last.insert(place, period);
        }
        Ok(slice(&test.scenario.program, &measurement))
    }
}

/// The period of the next slice, in nanoseconds.
fn adapted(period: f64, late: f64) -> f64 {
    let [(much, longer), (little, shorter)] = LATE;
    let factor = if late > much { longer } else { 1.0 } * if late < little { shorter } else { 1.0 };
    (period * factor).clamp(PERIODS_NS[0], PERIODS_NS[1])
}

fn slice(program: &Program, measurement: &Measurement) -> Slice {
    let outcomes = measurement.tally.outcomes();
    let races = harness::races(program, &outcomes);
    let value = |constant: &Const| match *constant {
        Const::Int(value) => FinalValue::Int(value),
        Const::Address(_) => FinalValue::Address(program.constant(*constant)),
    };
    let blocks = measurement.blocks.iter().filter(|block| block.races > 0).count() as u64;
    Slice {
        iterations: measurement.tally.iterations,
        filtered: measurement.tally.filtered,
        races,
        sightings: blocks.max(u64::from(races > 0)).min(races),
        elapsed_s: measurement.elapsed.as_secs_f64(),
        outcomes: outcomes.iter().map(|(row, count)| (row.iter().map(value).collect(), *count)).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_period_follows_what_the_threads_keep() {
        assert!(adapted(300.0, 0.5) > 300.0 && adapted(300.0, 0.0) < 300.0);
        assert_eq!(adapted(300.0, 0.05), 300.0);
        let [shortest, longest] = PERIODS_NS;
        assert_eq!((adapted(shortest, 0.0), adapted(longest, 1.0)), (shortest, longest));
    }
}
