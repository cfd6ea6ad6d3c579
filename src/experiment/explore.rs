//! The search over settings at the beginning of a run: turns of some milliseconds, each with other settings.
//!
//! A turn keeps to the shortest period, and a measurement looks for the one with the most races. So in a long search the arms that may be
//! the best are measured at the end as the run would: its finals.
//!
//! If the hypervisor moves the CPUs meanwhile, the search begins again at the new distance, and goes on where it was if they come
//! back. It ends once it had its time at one distance.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use super::request::{Choice, Experiment, PaceChoice};
use super::run::{Measured, job, planned, settings, sweep, units};
use crate::error::Result;
use crate::harness::{self, Adapt, Limits, Measurement, Memory, RunPlan, SkewTally, Tally};
use crate::machine::Clock;
use crate::program::Program;
use crate::record::{ArmRecord, SearchRecord, TurnsRecord};
use crate::search::{self, Allowed, Arm, ArmPace, Change, Chosen, Knowledge, Search, Turn};
use crate::stats::Levels;
use crate::units::{Nanos, Ticks};

/// Share of a run's time for the search, and the most time that it takes.
const SHARE: f64 = 0.2;
const LONGEST: Duration = Duration::from_secs(5);
/// The largest share of the rest of a run for a search at another distance.
const SHARE_OF_REST: f64 = 0.5;
/// Length of a turn. A run of one turn completes about fifty batches, which is one for each skew of a sweep.
const TURN: Duration = Duration::from_millis(8);
/// With less time than for this many turns, there is no search.
const LEAST_TURNS: u32 = 6;
/// Share of the search after which the variants of the best arm join even if arms that are not hopeless had only one turn.
const VARIANTS_AFTER: f64 = 0.5;
/// Share of its time at a distance after which a search knows what is good there, if it ends at another one.
const KNOWN_AFTER: f64 = 0.5;
/// Share of the time at a distance for the finals, the most arms in them, and the shortest one: a measurement needs this long to find its
/// period and its skews.
const FINALS: f64 = 0.25;
const FINALISTS: u32 = 3;
const LEAST_FINAL: Duration = Duration::from_millis(60);
/// The most time of a search whose CPUs move, in units of the time that it has at one distance.
const MOVED: f64 = 2.0;
/// A group of this many more instances is tried first at a period that is longer by the period of one instance.
const OVERLAP: f64 = 8.0;
/// If more than this share of a turn's groups were late and it had hardly any races, its period was too short.
const MOSTLY_LATE: f64 = 0.5;

/// How the settings of an experiment are searched.
#[derive(Debug, Clone)]
pub struct Searching {
    /// What may be varied.
    pub allowed: Allowed,
    /// What the searches of this run have found so far.
    pub knowledge: Arc<Mutex<Knowledge>>,
    /// Time for the search, if it is not a share of the run's.
    pub budget: Option<Duration>,
}

impl Searching {
    /// The time for the search of a run with these limits. `None` if the run is too short, or is to end as soon as it has seen or done
    /// something. `moved` is for the rest of a run whose CPUs have moved: the time that the search of the whole run had at a distance.
    pub(super) fn time(&self, limits: &Limits, moved: Option<Duration>) -> Option<Time> {
        let of_run = |duration: Duration| match moved {
            None => Time::new(duration.mul_f64(SHARE).min(LONGEST), duration),
            Some(here) => Time::new(here, duration.mul_f64(SHARE_OF_REST)),
        };
        let timed = limits.duration.filter(|_| limits.iterations.is_none() && limits.races.is_none());
        let time = self.budget.map(|budget| Time::new(budget, budget)).or(timed.map(of_run));
        time.filter(|time| time.here >= LEAST_TURNS * TURN)
    }

    /// Whether the chosen settings stay where the CPUs move to another distance. Those of a search with a budget are for a profile. A
    /// goal is about one run, and other limits may be near.
    pub(super) fn stays(&self, limits: &Limits) -> bool {
        let timed_alone =
            limits.duration.is_some() && limits.iterations.is_none() && limits.races.is_none() && limits.goal.is_none();
        self.budget.is_some() || !timed_alone
    }
}

/// The time for a search.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Time {
    /// At one distance.
    pub here: Duration,
    /// At all distances, if the CPUs move.
    pub most: Duration,
}

impl Time {
    fn new(here: Duration, most: Duration) -> Time {
        Time { here: here.min(most), most: here.mul_f64(MOVED).min(most) }
    }

    /// The time of a final, if there is enough.
    fn of_final(self) -> Option<Duration> {
        Some(self.here.mul_f64(FINALS) / FINALISTS).filter(|time| *time >= LEAST_FINAL)
    }

    /// The time for turns at one distance.
    fn of_turns(self) -> Duration {
        self.here.saturating_sub(self.of_final().unwrap_or_default() * FINALISTS)
    }
}

/// A run whose CPUs have moved.
#[derive(Debug, Clone, Copy)]
pub(super) struct Moved {
    /// An arm that it has used.
    pub arm: Arm,
    /// The distance between the CPUs now, in nanoseconds.
    pub ns: f64,
    /// The time that the search of the whole run had at a distance.
    pub time: Duration,
}

/// What a search has found.
pub(super) struct Explored<'a> {
    /// The experiment with the chosen settings and what is left of its time.
    pub experiment: Experiment<'a>,
    /// The settings, and the distance that they are for.
    pub chosen: Chosen,
    /// What was tried. `None` if the settings were chosen for an earlier repeat, or an earlier part of the run.
    pub record: Option<SearchRecord>,
}

/// Searches the settings of an experiment. `None` if they are not searched. The rest of a run whose CPUs have moved is searched as long as
/// the whole run would be, but at most for a share of it. In a window its settings have the machine code of those before.
///
/// # Errors
/// As [`harness::run`].
pub(super) fn explore<'a>(
    base: &Experiment<'a>,
    moved: Option<Moved>,
    measured: &Measured<'_>,
    (memory, interrupt): (&mut Memory, &AtomicBool),
    watch: &mut dyn FnMut(&Tally),
) -> Result<Option<Explored<'a>>> {
    let Some(searching) = base.choice.searching.clone() else { return Ok(None) };
    let cpus = &base.placement.cpus;
    let knowledge = || searching.knowledge.lock().expect("no thread panics while holding this lock");
    let test = &base.scenario.sha256;
    let before = match moved {
        None => knowledge().chosen(cpus, test),
        Some(Moved { ns, .. }) => knowledge().chosen_at(cpus, test, ns),
    };
    if let Some(chosen) = before {
        let settings = with_settings(base, chosen.arm, period(chosen.period_ticks))?;
        let experiment = Experiment { reach: chosen.reach, ..settings };
        return Ok(Some(Explored { experiment, chosen, record: None }));
    }
    let allowed = match moved {
        // One curve of one code.
        Some(Moved { arm, .. }) if base.common.window => searching.allowed.with_code_of(arm),
        _ => searching.allowed.clone(),
    };
    let Some(time) = searching.time(&base.common.limits, moved.map(|moved| moved.time)) else { return Ok(None) };
    let mut explorer = Explorer {
        base,
        allowed,
        measured,
        memory,
        interrupt,
        search: Search::new(),
        candidates: Vec::new(),
        levels: Levels::default(),
        level: 0,
        spent: Vec::new(),
        time,
        finals: Vec::new(),
    };
    for arm in search::arms(&explorer.allowed) {
        explorer.add(arm, None)?;
    }
    if explorer.candidates.len() < 2 {
        return Ok(None);
    }
    let mut before = Instant::now();
    let play = |explorer: &mut Explorer<'_, 'a>, next| {
        match next {
            Play::Turn(number) => {
                explorer.guess_periods()?;
                explorer.turn(number, watch)?;
            }
            Play::Final(number, time) => explorer.run_final(number, time, watch)?,
        }
        let now = Instant::now();
        Ok(now - std::mem::replace(&mut before, now))
    };
    explorer.search(&searching.knowledge, play).map(Some)
}

/// Settings that are tried.
struct Candidate<'a> {
    arm: Arm,
    experiment: Experiment<'a>,
    /// The candidate whose variant it is.
    of: Option<usize>,
    /// How far it is tuned at each level of the distance, the last one at the end.
    tuned: Vec<(usize, Tuned)>,
    iterations: u64,
    races: u64,
    elapsed: Duration,
    /// The number of its finals.
    finals: usize,
}

impl Candidate<'_> {
    fn tune(&mut self, level: usize, tuned: Tuned) {
        self.tuned.retain(|(known, _)| *known != level);
        self.tuned.push((level, tuned));
    }
}

/// What the turns of a candidate at one distance have found.
#[derive(Debug, Clone, PartialEq)]
struct Tuned {
    /// The period of the next turn, if one is known.
    period: Option<Ticks>,
    /// The skews of the next turn: at first all of a sweep, then those with the most races. Empty if the next turn is to sweep. A
    /// window keeps all of them.
    skews: Vec<Ticks>,
    /// The factor of the width of the sweep.
    reach: u32,
}

impl Tuned {
    fn begin(period: Option<Ticks>) -> Tuned {
        Tuned { period, skews: Vec::new(), reach: 1 }
    }

    /// What a variant begins with: the period of the arm that it varies, or a multiple of it.
    fn of_variant(&self, arm: Arm, variant: Arm) -> Tuned {
        let period = self.period.and_then(|period| stretched(period, arm, variant));
        Tuned { period, skews: Vec::new(), reach: self.reach }
    }

    /// Chooses the skews of the next turn: the best ones of the last turn, or all of a wider sweep, if that turn was a sweep that
    /// ended before the peak.
    fn choose_skews(&mut self, experiment: &Experiment<'_>, skews: &[SkewTally], (swept, best): (bool, &[usize])) {
        if swept && self.reaches_further(experiment, skews) {
            self.reach *= 2;
            self.skews.clear();
        } else if self.skews.len() > 1 && skews.iter().any(|skew| skew.iterations() > 0) {
            self.skews = best.iter().map(|&at| skews[at].skew).collect();
        }
    }

    /// Whether the sweep of its last turn ended before the races were most frequent, and a wider one is possible. A window stays as
    /// wide as the period: all of its skews count, so arms with other widths could not be compared.
    fn reaches_further(&self, experiment: &Experiment<'_>, skews: &[SkewTally]) -> bool {
        let (Some(period), None) = (self.period, experiment.choice.pace.skews()) else { return false };
        if experiment.common.window {
            return false;
        }
        let end = |reach| sweep(units(experiment), period, reach).last().copied();
        end(2 * self.reach) > end(self.reach) && harness::peaks_at_an_end(&experiment.scenario.program, skews)
    }
}

/// What the search does next.
#[derive(Debug, Clone, Copy)]
enum Play {
    /// A turn of a candidate.
    Turn(usize),
    /// A final of a candidate, which takes this time.
    Final(usize, Duration),
}

struct Explorer<'e, 'a> {
    base: &'e Experiment<'a>,
    allowed: Allowed,
    measured: &'e Measured<'e>,
    memory: &'e mut Memory,
    interrupt: &'e AtomicBool,
    search: Search,
    candidates: Vec<Candidate<'a>>,
    /// The distances between the CPUs in the turns so far.
    levels: Levels,
    /// The level of the last turn.
    level: usize,
    /// The time of the search at each level.
    spent: Vec<Duration>,
    time: Time,
    /// The finals so far: the candidate, its races per second, and whether the CPUs were where it is for.
    finals: Vec<(usize, f64, bool)>,
}

impl<'a> Explorer<'_, 'a> {
    /// Searches. `play` runs a turn of a candidate and returns the time since the turn before.
    fn search(
        mut self,
        knowledge: &Mutex<Knowledge>,
        mut play: impl FnMut(&mut Self, Play) -> Result<Duration>,
    ) -> Result<Explored<'a>> {
        let knowledge = || knowledge.lock().expect("no thread panics while holding this lock");
        let mut elapsed = Duration::ZERO;
        let mut known = None;
        while self.goes_on(elapsed) && !self.interrupt.load(Ordering::Relaxed) {
            let here = self.search.here();
            known = self.known(here, &knowledge());
            if known.is_some() {
                break;
            }
            self.vary(self.had(here, VARIANTS_AFTER))?;
            self.recall(here, &knowledge());
            let Some(next) = self.search.next() else { break };
            let time = play(&mut self, Play::Turn(next))?;
            self.spend(time);
            elapsed += time;
        }
        let (here, time) = (self.search.here(), self.time.of_final());
        if let (None, Some(time), true) = (known, time, self.spent(here) >= self.time.of_turns()) {
            for finalist in self.finalists(here) {
                if self.interrupt.load(Ordering::Relaxed) {
                    break;
                }
                let time = play(&mut self, Play::Final(finalist, time))?;
                self.spend(time);
                elapsed += time;
            }
        }
        self.finish(elapsed, known, &mut knowledge())
    }

    /// The candidates of the finals in a stratum. A measurement finds its period, so those that differ in it alone are one. None if
    /// there is nothing to decide.
    fn finalists(&self, stratum: usize) -> Vec<usize> {
        let settings = |number: usize| Arm { stretch: 1, ..self.candidates[number].arm };
        let mut finalists: Vec<usize> = Vec::new();
        for number in self.search.contenders(stratum) {
            if finalists.len() < FINALISTS as usize
                && finalists.iter().all(|&finalist| settings(finalist) != settings(number))
            {
                finalists.push(number);
            }
        }
        if finalists.len() > 1 { finalists } else { Vec::new() }
    }

    /// Whether the search goes on: it had neither its time in the stratum where it is, nor all of its time.
    fn goes_on(&self, elapsed: Duration) -> bool {
        self.spent(self.search.here()) < self.time.of_turns() && elapsed < self.time.most
    }

    /// What an earlier search has chosen in a stratum, if the CPUs have moved there. A window has what was chosen for its code.
    fn known(&self, stratum: usize, knowledge: &Knowledge) -> Option<Chosen> {
        let chosen = knowledge.chosen_at(
            &self.base.placement.cpus,
            &self.base.scenario.sha256,
            self.levels.typical_in(stratum)?,
        )?;
        let Allowed { free, paced, layouts, .. } = &self.allowed;
        let allowed = if chosen.arm.pace == ArmPace::Free { *free } else { *paced };
        (allowed && layouts.contains(&chosen.arm.layout)).then_some(chosen)
    }

    /// Tells the search what its arms were worth to other tests in a stratum.
    fn recall(&mut self, stratum: usize, knowledge: &Knowledge) {
        let (cpus, ns) = (&self.base.placement.cpus, self.levels.typical_in(stratum));
        let arms = self.candidates.iter().map(|candidate| candidate.arm);
        self.search.know(arms.map(|arm| knowledge.value(cpus, arm, ns)).collect());
    }

    /// Adds an arm. `of` is the candidate whose variant it is.
    fn add(&mut self, arm: Arm, of: Option<(usize, Change)>) -> Result<()> {
        match of {
            Some((of, change)) => self.search.add_variant(of, change, None),
            None => self.search.add(None),
        }
        self.candidates.push(Candidate {
            arm,
            experiment: with_settings(self.base, arm, None)?,
            of: of.map(|(of, _)| of),
            tuned: Vec::new(),
            iterations: 0,
            races: 0,
            elapsed: Duration::ZERO,
            finals: 0,
        });
        Ok(())
    }

    /// Adds the variants that are to join now. Time is `short` if there is no time to wait for more turns.
    fn vary(&mut self, short: bool) -> Result<()> {
        let known = |arm: &Arm| self.candidates.iter().any(|candidate| candidate.arm == *arm);
        let of_candidate = |(of, candidate): (usize, &Candidate<'_>)| {
            let variants = search::variants(candidate.arm, &self.allowed).into_iter().filter(|arm| !known(arm));
            let with_change = variants.map(|arm| (of, Change::between(candidate.arm, arm), arm));
            with_change.filter(|(_, change, _)| change.stretch.is_none() || races_decide(self.base)).collect::<Vec<_>>()
        };
        let open: Vec<_> = self.candidates.iter().enumerate().flat_map(of_candidate).collect();
        let changes: Vec<_> = open.iter().map(|&(of, change, _)| (of, change)).collect();
        for at in self.search.joining(&changes, short) {
            let (of, change, arm) = open[at];
            self.add(arm, Some((of, change)))?;
        }
        Ok(())
    }

    /// Gives every candidate that is no variant a period to begin with at a distance where it has none: the shortest that the threads
    /// keep with the first paced one, longer for larger groups. The period adapts during a turn, but not from that of one test
    /// or one distance to that of another within a few.
    fn guess_periods(&mut self) -> Result<()> {
        if self.found(0, self.search.here()).is_some() {
            return Ok(());
        }
        let per_group = |arm: &Arm| 1.0 + (arm.group as f64 - 1.0) / OVERLAP;
        let first = self.candidates.iter().find(|candidate| candidate.arm.pace == ArmPace::Paced);
        let each = match first {
            Some(first) => {
                let plan = settings(&first.experiment, self.measured);
                let known = harness::choose_pace((job(&first.experiment), self.memory), &plan, self.interrupt)?;
                known.0 as f64 / per_group(&first.arm)
            }
            None => 0.0,
        };
        for candidate in self.candidates.iter_mut().filter(|candidate| candidate.of.is_none()) {
            let paced = candidate.arm.pace == ArmPace::Paced;
            let guess = period(each * per_group(&candidate.arm)).filter(|_| paced);
            candidate.tune(self.level, Tuned::begin(guess));
        }
        Ok(())
    }

    /// What the last turn of a candidate in a stratum has found.
    fn found(&self, number: usize, stratum: usize) -> Option<&Tuned> {
        let here = |(level, _): &&(usize, Tuned)| self.search.stratum(*level) == self.search.stratum(stratum);
        self.candidates[number].tuned.iter().rfind(here).map(|(_, tuned)| tuned)
    }

    /// How far a candidate is tuned in a stratum. A variant that had no turn there begins as the arm that it varies.
    fn tuned(&self, number: usize, stratum: usize) -> Tuned {
        let candidate = &self.candidates[number];
        let begins = || match candidate.of {
            Some(of) => self.tuned(of, stratum).of_variant(self.candidates[of].arm, candidate.arm),
            None => Tuned::begin(None),
        };
        self.found(number, stratum).cloned().unwrap_or_else(begins)
    }

    /// Runs one turn of a candidate.
    fn turn(&mut self, number: usize, watch: &mut dyn FnMut(&Tally)) -> Result<()> {
        let here = self.search.here();
        let mut tuned = self.tuned(number, here);
        let candidate = &mut self.candidates[number];
        let sweeps = tuned.skews.is_empty();
        let before = self.search.turns(number).len();
        let plan = turn_plan((&candidate.experiment, candidate.arm), &mut tuned, self.measured, before);
        let experiment = &candidate.experiment;
        let stress = candidate.arm.stress.map(|kind| harness::Stress::begin(kind, &experiment.placement.cpus));
        let stress = stress.transpose()?;
        let measurement = harness::run_in(self.memory, job(experiment), &plan, self.interrupt, &mut |_| ())?;
        drop(stress);
        watch(&measurement.tally);
        let program = &self.base.scenario.program;
        candidate.iterations += measurement.tally.iterations;
        let races = harness::races(program, &measurement.tally.outcomes());
        candidate.races += races;
        candidate.elapsed += measurement.elapsed;
        // A turn in which every batch was disturbed knows no period.
        if plan.pace.is_paced() && measurement.tally.iterations > 0 && candidate.arm.stretch == 1 {
            let mut period = units(experiment).ticks(measurement.period).max(Ticks(1));
            if measurement.late > MOSTLY_LATE && races < harness::ENOUGH {
                // Threads that never wait for a tick drift apart, and the period does not grow that far within a turn.
                period = period.max(time_of_group(&measurement, plan.group, units(experiment)));
            }
            tuned.period = Some(period);
        }
        let best = counted(experiment, &measurement.tally.skews);
        tuned.choose_skews(experiment, &measurement.tally.skews, (sweeps, &best));
        let turn = seen(program, &measurement.tally, measurement.elapsed.as_secs_f64(), &best);
        // A turn has one look at the distance, at its beginning.
        let distance = measurement.distances.as_ref().and_then(|distances| distances.first);
        self.note((number, tuned), distance, turn);
        Ok(())
    }

    /// Runs a final of a candidate: a measurement as that of the run, but for its length.
    fn run_final(&mut self, number: usize, time: Duration, watch: &mut dyn FnMut(&Tally)) -> Result<()> {
        let Tuned { period, reach, .. } = self.tuned(number, self.search.here());
        let candidate = &self.candidates[number];
        let experiment = Experiment { searched_period: period, reach, ..candidate.experiment.clone() };
        let limits = Limits { duration: Some(time), ..Limits::default() };
        let (job, plan) = planned(&experiment, self.measured, self.memory, self.interrupt)?;
        let plan = RunPlan { limits, ..plan };
        let stress = experiment.choice.stress.map(|kind| harness::Stress::begin(kind, &experiment.placement.cpus));
        let stress = stress.transpose()?;
        let measurement = harness::run_in(self.memory, job, &plan, self.interrupt, &mut |_| ())?;
        drop(stress);
        watch(&measurement.tally);
        let races = harness::races(&self.base.scenario.program, &measurement.tally.outcomes());
        let period = plan.pace.is_paced().then(|| units(&experiment).ticks(measurement.period).max(Ticks(1)));
        let distances = measurement.distances.as_ref();
        let distance = distances.and_then(|distances| distances.last.or(distances.first));
        let (iterations, elapsed) = (measurement.tally.iterations, measurement.elapsed);
        self.note_final((number, period), distance, (iterations, races, elapsed));
        Ok(())
    }

    /// Notes what a final of a candidate has counted, and the period that it has found.
    fn note_final(
        &mut self,
        (number, period): (usize, Option<Ticks>),
        distance: Option<Nanos>,
        (iterations, races, elapsed): (u64, u64, Duration),
    ) {
        let here = self.search.here();
        if let Some(Nanos(ns)) = distance {
            self.level = self.levels.level(ns);
            self.search.join(self.levels.joined());
        }
        let is_here = self.search.stratum(self.level) == self.search.stratum(here);
        let tuned = self.tuned(number, here);
        if is_here && iterations > 0 {
            self.candidates[number].tune(self.level, Tuned { period, ..tuned });
        }
        let candidate = &mut self.candidates[number];
        candidate.iterations += iterations;
        candidate.races += races;
        candidate.elapsed += elapsed;
        candidate.finals += 1;
        self.finals.push((number, races as f64 / elapsed.as_secs_f64().max(f64::MIN_POSITIVE), is_here));
    }

    /// The best candidate in a stratum: the winner of the finals, if they were all run there.
    fn best_in(&self, stratum: usize) -> usize {
        let ran_here = stratum == self.search.here() && self.finals.iter().all(|(_, _, is_here)| *is_here);
        let finals: Vec<(usize, f64)> = self.finals.iter().map(|&(number, rate, _)| (number, rate)).collect();
        let winner = self.search.winner(&finals).filter(|_| ran_here);
        winner.unwrap_or_else(|| self.search.best_in(stratum).0)
    }

    /// Notes what a turn of a candidate has found and seen. If the look at the distance was lost, the last one counts.
    fn note(&mut self, (number, tuned): (usize, Tuned), distance: Option<Nanos>, turn: Turn) {
        let here = self.search.here();
        if let Some(Nanos(ns)) = distance {
            self.level = self.levels.level(ns);
            self.search.join(self.levels.joined());
        }
        // What was found at another distance is nothing for this one.
        if self.search.stratum(self.level) == self.search.stratum(here) {
            self.candidates[number].tune(self.level, tuned);
        }
        self.search.seen(number, Turn { level: self.level, ..turn });
    }

    /// Notes the time of a turn, with what had to be done for it.
    fn spend(&mut self, time: Duration) {
        self.spent.resize(self.spent.len().max(self.level + 1), Duration::ZERO);
        self.spent[self.level] += time;
    }

    /// The time that the search had in a stratum.
    fn spent(&self, stratum: usize) -> Duration {
        let here = |(level, _): &(usize, &Duration)| self.search.stratum(*level) == stratum;
        self.spent.iter().enumerate().filter(here).map(|(_, time)| time).sum()
    }

    /// Whether the search had this share of its time in a stratum.
    fn had(&self, stratum: usize, share: f64) -> bool {
        self.spent(stratum) >= self.time.here.mul_f64(share)
    }

    /// The strata that there were, the one whose settings are chosen first: the one where the search had its time, or else
    /// the one where it had most.
    fn strata(&self) -> Vec<usize> {
        let mut strata: Vec<usize> = (0..self.spent.len()).map(|level| self.search.stratum(level)).collect();
        strata.sort_unstable();
        strata.dedup();
        let here = self.search.here();
        let ended_here = self.spent(here) >= self.time.of_turns();
        strata.sort_by_key(|&stratum| (stratum != here || !ended_here, std::cmp::Reverse(self.spent(stratum))));
        if strata.is_empty() { vec![here] } else { strata }
    }

    /// The chosen experiment with the time that is left, and the record of the search. `known` was chosen by an earlier search, and the
    /// CPUs are where it is for. What was found at other distances is known too, unless one curve of one code is wanted.
    fn finish(mut self, elapsed: Duration, known: Option<Chosen>, knowledge: &mut Knowledge) -> Result<Explored<'a>> {
        let (cpus, test) = (&self.base.placement.cpus, &self.base.scenario.sha256);
        let strata = self.strata();
        let answer = if known.is_some() { self.search.here() } else { strata[0] };
        let had = |stratum: &usize| self.had(*stratum, KNOWN_AFTER);
        let mut learned = vec![answer];
        learned.extend(strata.iter().copied().filter(|stratum| *stratum != answer && had(stratum)));
        for &stratum in &learned {
            self.recall(stratum, knowledge);
            let ns = self.levels.typical_in(stratum);
            for (number, value) in self.search.lessons(stratum).unwrap_or_default() {
                knowledge.learn(cpus, self.candidates[number].arm, ns, value);
            }
            let chosen_here = self.known(stratum, knowledge).is_none();
            if chosen_here && (stratum == answer || !self.base.common.window) {
                knowledge.choose(cpus, test, self.chosen(stratum));
            }
        }
        self.recall(answer, knowledge);
        let measure = self.search.best_in(answer).1;
        let settings = known.unwrap_or_else(|| self.chosen(answer));
        let is_chosen = |candidate: &Candidate<'_>| candidate.arm == settings.arm;
        if !self.candidates.iter().any(is_chosen) {
            self.add(settings.arm, None)?;
        }
        let chosen = self.candidates.iter().position(is_chosen).expect("the chosen arm is one of the candidates");
        let arms = (0..self.candidates.len()).map(|number| self.arm_record(number, answer)).collect();
        let distance_ns = settings.distance_ns;
        let record = SearchRecord { elapsed_s: elapsed.as_secs_f64(), measure, distance_ns, chosen, arms };
        let most = if strata.len() > 1 { self.time.most } else { self.time.here };
        let candidate = self.candidates.swap_remove(chosen);
        let (searched_period, reach) = (period(settings.period_ticks), settings.reach);
        let mut experiment = Experiment { searched_period, reach, ..candidate.experiment };
        let limits = &mut experiment.common.limits;
        limits.duration = limits.duration.map(|duration| rest(duration, elapsed, most));
        Ok(Explored { experiment, chosen: settings, record: Some(record) })
    }

    /// What was tried of an arm. The settings are chosen in the stratum `answer`.
    fn arm_record(&self, number: usize, answer: usize) -> ArmRecord {
        let Candidate { arm, experiment, iterations, races, elapsed, finals, .. } = &self.candidates[number];
        let turns = self.search.turns(number).len();
        let here = || self.search.turns_in(number, answer);
        let is_mixed = here().count() < turns;
        let period = self.tuned(number, answer).period.filter(|_| here().next().is_some());
        ArmRecord {
            turns: turns + finals,
            iterations: *iterations,
            races: *races,
            elapsed_s: elapsed.as_secs_f64(),
            at_distance: is_mixed.then(|| TurnsRecord {
                turns: here().count(),
                iterations: here().map(|turn| turn.iterations).sum(),
                races: here().map(|turn| turn.races).sum(),
                elapsed_s: here().map(|turn| turn.seconds).sum(),
            }),
            period_ns: period.map(|period| units(experiment).nanos(period).0),
            ..ArmRecord::untried(*arm)
        }
    }

    /// The best settings in a stratum.
    fn chosen(&self, stratum: usize) -> Chosen {
        let number = self.best_in(stratum);
        let Tuned { period, reach, .. } = self.tuned(number, stratum);
        Chosen {
            arm: self.candidates[number].arm,
            period_ticks: period.map_or(0.0, |period| period.0 as f64),
            reach,
            distance_ns: self.levels.typical_in(stratum),
        }
    }
}

/// The plan of the next turn of an experiment, which had `before` turns already. Each has its own order of skews, because a turn may
/// end before it has used all skews of a window.
fn turn_plan(
    (experiment, arm): (&Experiment<'_>, Arm),
    tuned: &mut Tuned,
    measured: &Measured<'_>,
    before: usize,
) -> RunPlan {
    let plan = settings(experiment, measured);
    let plan = RunPlan { seed: plan.seed.wrapping_add(before as u64), ..plan };
    let limits = Limits { duration: Some(TURN), ..Limits::default() };
    if !plan.pace.is_paced() {
        return RunPlan { limits, ..plan };
    }
    let period = tuned.period.unwrap_or(Ticks(1));
    // The sweep of a window follows the period, as that of the measurement does.
    if tuned.skews.is_empty() || experiment.common.window {
        let given = experiment.choice.pace.skews().cloned();
        tuned.skews = given.unwrap_or_else(|| sweep(units(experiment), period, tuned.reach));
    }
    let adapt = if arm.stretch == 1 { Adapt::Kept } else { Adapt::Never };
    RunPlan { period, adapt, skews: tuned.skews.clone(), limits, ..plan }
}

/// The period of a variant of an arm that has this one.
fn stretched(period: Ticks, arm: Arm, variant: Arm) -> Option<Ticks> {
    self::period(period.0 as f64 * f64::from(variant.stretch) / f64::from(arm.stretch))
}

/// Whether the measurement chooses its period by its races, so that a longer one than the threads need may be tried.
fn races_decide(experiment: &Experiment<'_>) -> bool {
    let skews = experiment.choice.pace.skews();
    skews.map_or(!experiment.common.window, |skews| skews.len() == 1)
}

/// The skews, by index, that count for an arm: those with the most races, because the measurement focuses on them. A window is
/// swept evenly to the end, so all its skews count.
fn counted(experiment: &Experiment<'_>, skews: &[SkewTally]) -> Vec<usize> {
    if experiment.common.window {
        return (0..skews.len()).collect();
    }
    harness::focus(&experiment.scenario.program, skews)
}

/// The time of a run that is left after a search that was to take at most `time`. On a busy machine it may take longer, at the cost of
/// the whole and not of what is measured.
fn rest(duration: Duration, searched: Duration, time: Duration) -> Duration {
    duration.saturating_sub(searched.min(time))
}

/// How long a group took on average. At a period this long even threads that drifted apart keep up.
fn time_of_group(measurement: &Measurement, group: usize, clock: Clock) -> Ticks {
    let groups = measurement.groups(group).max(1);
    clock.ticks(Nanos(measurement.in_batches.as_secs_f64() * 1e9 / groups as f64))
}

/// What a turn says about its arm: the races and the variety that it would have had at the skews alone that count.
fn seen(program: &Program, tally: &Tally, seconds: f64, best: &[usize]) -> Turn {
    let at_best = || best.iter().map(|&at| &tally.skews[at]);
    let sum = |value: &dyn Fn(&SkewTally) -> f64| at_best().map(value).sum::<f64>();
    let iterations = sum(&|skew| skew.iterations() as f64);
    let share = if iterations > 0.0 { tally.iterations as f64 / iterations } else { 0.0 };
    let all = harness::races(program, &tally.outcomes());
    let races = sum(&|skew| harness::races(program, &skew.outcomes) as f64);
    Turn {
        iterations: tally.iterations,
        races: if all < harness::ENOUGH { all } else { harness::whole(races * share) },
        variety: share * sum(&|skew| skew.iterations() as f64 * skew.impurity()),
        seconds,
        level: 0,
    }
}

/// A period of at least one tick; `None` for 0.
fn period(ticks: f64) -> Option<Ticks> {
    (ticks > 0.0).then(|| Ticks::from(harness::whole(ticks.round()).max(1)))
}

/// The experiment with other settings.
pub(super) fn with_settings<'a>(base: &Experiment<'a>, arm: Arm, period: Option<Ticks>) -> Result<Experiment<'a>> {
    let Experiment { scenario, placement, choice, common, expectation, free_because, .. } = base;
    let (PaceChoice::Free { given } | PaceChoice::Paced { given, .. }) = choice.pace;
    let Choice { profile, searching, .. } = choice.clone();
    let mut choice = Choice { profile, searching, ..Choice::of(arm, None, choice.pace.skews().cloned()) };
    match &mut choice.pace {
        PaceChoice::Free { given: own } | PaceChoice::Paced { given: own, .. } => *own = given,
    }
    let experiment = Experiment::new(scenario, placement.clone(), choice, expectation.clone(), common)?;
    Ok(Experiment { free_because: free_because.clone(), searched_period: period, ..experiment })
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::catalogue::Scenario;
    use crate::codegen::Target;
    use crate::experiment::{Common, run};
    use crate::harness::Prefetch;
    use crate::layout::LayoutKind;
    use crate::machine::{self, Class, Placement};
    use crate::record::ScenarioResult;

    /// Runs store buffering on the first two CPUs, or on one.
    fn measured(limits: Limits, searching: &Searching) -> ScenarioResult {
        let scenario = crate::catalogue::named("SB").unwrap();
        run(&experiment(&scenario, limits, searching), &AtomicBool::new(false), |_| ()).unwrap().result
    }

    /// An experiment on the first two CPUs, or on one.
    pub(in super::super) fn experiment<'a>(
        scenario: &'a Scenario,
        limits: Limits,
        searching: &Searching,
    ) -> Experiment<'a> {
        let target = Target::of_host().unwrap();
        let common = Common {
            target,
            clock: Clock::calibrate(),
            edges: None,
            line: 128,
            seed: 1,
            limits,
            nice: 0,
            event: None,
            window: false,
            side_by_side: false,
        };
        let choice = Choice {
            pace: PaceChoice::Paced { given: false, period: None, skews: None },
            layout: LayoutKind::Padded,
            batch: None,
            group: None,
            prefetch: Prefetch::Turns,
            stress: None,
            profile: None,
            searching: Some(searching.clone()),
        };
        let expectation = crate::verdict::expectation(scenario, target.arch, target.choices()).unwrap();
        let cpus = machine::allowed_cpus().unwrap();
        let placement = Placement { cpus: vec![cpus[0], cpus[1 % cpus.len()]], class: Class::Core, kinds: Vec::new() };
        Experiment::new(scenario, placement, choice, expectation, &common).unwrap()
    }

    fn time(ms: u64) -> Limits {
        Limits { duration: Some(Duration::from_millis(ms)), ..Limits::default() }
    }

    #[test]
    fn settings_stay_where_a_run_is_not_limited_by_time_alone() {
        let searching = |budget| Searching { allowed: Allowed::all(), knowledge: Arc::default(), budget };
        let stays = |limits: Limits| searching(None).stays(&limits);
        assert!(!stays(time(2000)) && searching(Some(Duration::from_secs(9))).stays(&time(2000)));
        assert!(stays(Limits { iterations: Some(1 << 40), ..time(2000) }));
        assert!(stays(Limits { races: Some(1), ..time(2000) }));
        assert!(stays(Limits { goal: Some(harness::Goal::RateKnown(0.1)), ..time(2000) }));
        assert!(stays(Limits { iterations: Some(1), ..Limits::default() }));
    }

    #[test]
    fn a_search_is_recorded_and_repeats_use_what_it_chose() {
        let searching = Searching { allowed: Allowed::all(), knowledge: Arc::default(), budget: None };
        let first = measured(time(500), &searching);
        let search = first.search.as_ref().unwrap();
        let pace = &first.pace;
        assert!((pace.searched, pace.given_group, pace.chosen.as_str()) == (true, false, "auto"), "{pace:?}");
        assert!(search.arms.len() >= 11 && search.elapsed_s >= 0.1, "{search:?}");
        assert!(search.distance_ns.is_none_or(|ns| ns > 1.0), "{search:?}");
        assert_eq!((search.arms[0].layout.as_str(), search.arms[0].group), ("padded", 1));
        let chosen = &search.arms[search.chosen];
        assert_eq!((&chosen.pace, &chosen.layout), (&pace.mode, &first.layout.kind));
        assert!(search.arms.iter().all(|arm| arm.races <= arm.iterations && (arm.turns > 0 || arm.iterations == 0)));
        // The default settings come first, so they have a turn if any have.
        assert!(search.arms[0].turns > 0 || search.arms.iter().all(|arm| arm.turns == 0));
        let again = measured(time(500), &searching);
        assert!(again.search.is_none() && again.pace.searched);
        assert_eq!((&again.layout, again.pace.group, again.batch), (&first.layout, pace.group, first.batch));
    }

    #[test]
    fn short_runs_and_those_that_end_by_what_they_do_search_nothing() {
        let searching = |budget| Searching { allowed: Allowed::all(), knowledge: Arc::default(), budget };
        let races = Limits { races: Some(1), ..time(2000) };
        let iterations = Limits { iterations: Some(1000), ..time(2000) };
        for limits in [time(30), races, iterations] {
            let result = measured(limits, &searching(None));
            assert!(result.search.is_none() && !result.pace.searched, "{limits:?}");
            assert_eq!(result.layout.kind, "padded");
        }
        let ms = Duration::from_millis;
        let of = |budget, limits: Limits, moved: Option<u64>| {
            let time = searching(budget).time(&limits, moved.map(ms));
            time.map(|Time { here, most }| [here, most].map(|time| time.as_millis()))
        };
        assert_eq!(of(None, time(1000), None), Some([200, 400]));
        assert_eq!(of(None, time(3_600_000), None), Some([5000, 10_000]));
        assert_eq!(of(None, Limits::default(), None), None);
        // The time of a search with a budget is all that there is.
        assert_eq!(of(Some(ms(7000)), Limits::default(), None), Some([7000, 7000]));
        // At another distance a search takes as long as at the first, but all of it at most half of what is left.
        let moved = [5000, 600, 300, 90].map(|left| of(None, time(left), Some(200)));
        assert_eq!(moved, [Some([200, 400]), Some([200, 300]), Some([150, 150]), None]);
        // A search that took too long does not shorten what is measured.
        assert_eq!([150, 950, 50_000].map(|searched| rest(ms(1000), ms(searched), ms(200))), [850, 800, 800].map(ms));
        // With a single possible setting there is nothing to search.
        let only = Allowed { free: false, layouts: vec![LayoutKind::Packed], group: Some(2), ..Allowed::all() };
        let result = measured(time(500), &Searching { allowed: only, ..searching(None) });
        assert!(result.search.is_none());
    }

    /// An explorer without a turn, of every arm.
    fn explorer<'e, 'a>(
        base: &'e Experiment<'a>,
        measured: &'e Measured<'e>,
        memory: &'e mut Memory,
        flag: &'e AtomicBool,
    ) -> Explorer<'e, 'a> {
        let allowed = Allowed::all();
        let (search, levels) = (Search::new(), Levels::default());
        let (candidates, spent) = (Vec::new(), Vec::new());
        let time = Time::new(Duration::from_millis(200), Duration::from_secs(1));
        let interrupt = flag;
        let mut explorer = Explorer {
            base,
            allowed,
            measured,
            memory,
            interrupt,
            search,
            candidates,
            levels,
            level: 0,
            spent,
            time,
            finals: Vec::new(),
        };
        for arm in search::arms(&Allowed::all()) {
            explorer.add(arm, None).unwrap();
        }
        explorer
    }

    impl Explorer<'_, '_> {
        /// A turn of `ms` at a distance.
        fn imagine(&mut self, number: usize, ns: f64, (ms, races): (u64, u64)) {
            let turn = Turn { iterations: 100_000, races, variety: 0.0, seconds: ms as f64 / 1e3, level: usize::MAX };
            let tuned = Tuned::begin(Some(Ticks((ns * 10.0) as i64)));
            self.note((number, tuned), Some(Nanos(ns)), turn);
            self.spend(Duration::from_millis(ms));
        }
    }

    /// The settings are those of the distance where the search had its time. What it found at others is known.
    #[test]
    fn each_distance_has_its_settings() {
        let scenario = crate::catalogue::named("SB").unwrap();
        let searching = Searching { allowed: Allowed::all(), knowledge: Arc::default(), budget: None };
        let mut base = experiment(&scenario, time(1000), &searching);
        let measured = Measured { counters: &[], edges: None };
        let flag = AtomicBool::new(false);
        let ms = Duration::from_millis;
        // Turns in three strata: the best arm is the third near, the second far, and the first where the search hardly was.
        let told = |base: &Experiment<'_>, turns: &[(f64, u64, usize)]| {
            let all: u64 = turns.iter().map(|(_, each, _)| 22 * each).sum();
            let mut memory = Memory::default();
            let mut explorer = explorer(base, &measured, &mut memory, &flag);
            for &(ns, each, best) in turns {
                // What the first turns at a distance began with is for another one.
                let arms = explorer.candidates.len();
                let turns = (0..2).flat_map(|_| 0..arms);
                for (at, arm) in [0, 0].into_iter().chain(turns).enumerate() {
                    let each = if at < 2 { 0 } else { each };
                    explorer.imagine(arm, ns * [1.0, 1.05][at % 2], (each, if arm == best { 9000 } else { 1000 }));
                }
            }
            let total = explorer.spent.iter().sum::<Duration>();
            assert_eq!(total, ms(all));
            let arms: Vec<Arm> = explorer.candidates.iter().map(|candidate| candidate.arm).collect();
            let mut knowledge = Knowledge::default();
            let explored = explorer.finish(ms(450), None, &mut knowledge).unwrap();
            let at = |arm: Arm| arms.iter().position(|known| *known == arm);
            let known = [28.0, 60.0, 175.0].map(|ns| {
                knowledge.chosen_at(&base.placement.cpus, &scenario.sha256, ns).and_then(|chosen| at(chosen.arm))
            });
            let record = explored.record.unwrap();
            assert_eq!(
                (record.distance_ns, record.chosen),
                (explored.chosen.distance_ns, at(explored.chosen.arm).unwrap())
            );
            assert_eq!(knowledge.chosen(&base.placement.cpus, &scenario.sha256), Some(explored.chosen));
            let left = explored.experiment.common.limits.duration.unwrap();
            (at(explored.chosen.arm).unwrap(), explored.chosen.distance_ns.map(f64::round), known, left)
        };
        let [near, far, odd] = [28.0, 175.0, 60.0];
        // It moved, and had its time far: 22 turns of 10 ms there, of 6 ms near, and of 1 ms elsewhere.
        let found = told(&base, &[(near, 6, 2), (odd, 1, 0), (far, 10, 1)]);
        assert_eq!(found, (1, Some(179.0), [Some(2), None, Some(1)], ms(600)));
        // It had its time nowhere: the most was near.
        let found = told(&base, &[(near, 8, 2), (odd, 1, 0), (far, 5, 1)]);
        assert_eq!(found, (2, Some(29.0), [Some(2), None, Some(1)], ms(600)));
        let found = told(&base, &[(far, 5, 1), (near, 8, 2), (odd, 1, 0)]);
        assert_eq!(found, (2, Some(29.0), [Some(2), None, Some(1)], ms(600)));
        // It did not move, and a busy machine made it longer.
        assert_eq!(told(&base, &[(near, 10, 2)]), (2, Some(29.0), [Some(2), None, None], ms(800)));
        // Of a window there is one curve.
        base.common.window = true;
        assert_eq!(told(&base, &[(near, 6, 2), (far, 10, 1)]).2, [None, None, Some(1)]);
        let mut memory = Memory::default();
        let without = explorer(&base, &measured, &mut memory, &flag);
        let explored = without.finish(ms(1), None, &mut Knowledge::default()).unwrap();
        assert_eq!((explored.chosen.distance_ns, explored.chosen.arm), (None, Arm::FIRST));
    }

    /// A search ends once it had its time at one distance, and at any once it had all of its time.
    #[test]
    fn a_search_has_its_time_at_one_distance() {
        let scenario = crate::catalogue::named("SB").unwrap();
        let searching = Searching { allowed: Allowed::all(), knowledge: Arc::default(), budget: None };
        let base = experiment(&scenario, time(1000), &searching);
        let measured = Measured { counters: &[], edges: None };
        let (mut memory, flag) = (Memory::default(), AtomicBool::new(false));
        let mut explorer = explorer(&base, &measured, &mut memory, &flag);
        let ms = Duration::from_millis;
        assert_eq!(explorer.time, Time { here: ms(200), most: ms(400) });
        let goes_on = |explorer: &Explorer<'_, '_>, elapsed| explorer.goes_on(ms(elapsed));
        // 199 ms near, 199 far, and a look in between that leads nowhere.
        (0..199).for_each(|_| explorer.imagine(0, 28.0, (1, 1)));
        assert!(goes_on(&explorer, 199));
        explorer.imagine(0, 900.0, (1, 1));
        (0..199).for_each(|_| explorer.imagine(0, 175.0, (1, 1)));
        assert!(goes_on(&explorer, 399) && !goes_on(&explorer, 400));
        // Level 3 belongs to the stratum of level 2.
        (0..2).for_each(|_| explorer.imagine(0, 175.0 * 1.32, (0, 1)));
        assert_eq!((explorer.level, explorer.search.here()), (3, 2));
        assert!(goes_on(&explorer, 399));
        explorer.imagine(0, 175.0 * 1.32, (1, 1));
        assert!(!goes_on(&explorer, 399));
        // Back near there is 1 ms of time.
        (0..2).for_each(|_| explorer.imagine(0, 28.0, (0, 1)));
        assert!(goes_on(&explorer, 399));
        explorer.imagine(0, 28.0, (1, 1));
        assert!(!goes_on(&explorer, 399));
        let shares = [0.49, 0.51].map(|share| explorer.had(0, share));
        assert_eq!((shares, explorer.had(1, 0.1), explorer.spent(2)), ([true, true], false, ms(200)));
    }

    /// A simulated machine: the distance in each millisecond, and the best arm of those that a search begins with at it. Turns take a
    /// millisecond, and one that began with what was found at another distance has a tenth of the races.
    #[test]
    fn a_search_on_a_machine_whose_cpus_move() {
        let scenario = crate::catalogue::named("SB").unwrap();
        let searching = Searching { allowed: Allowed::all(), knowledge: Arc::default(), budget: None };
        let base = experiment(&scenario, time(1000), &searching);
        let measured = Measured { counters: &[], edges: None };
        let flag = AtomicBool::new(false);
        let all = search::arms(&Allowed::all());
        let known = Chosen { arm: all[10], period_ticks: 0.0, reach: 1, distance_ns: Some(60.0) };
        // The numbers of turns, of the chosen arm, and its distance.
        let found = |distance: &dyn Fn(u64) -> f64| {
            let mut memory = Memory::default();
            let knowledge = Mutex::new(Knowledge::default());
            knowledge.lock().unwrap().choose(&base.placement.cpus, &scenario.sha256, known);
            let mut turns = 0;
            let explored = explorer(&base, &measured, &mut memory, &flag).search(&knowledge, |explorer, play| {
                let Play::Turn(number) = play else { panic!("there is no time for a final") };
                let ns = distance(turns);
                turns += 1;
                let best = if ns < 40.0 { all[2] } else { all[7] };
                let is_tuned =
                    explorer.levels.typical_in(explorer.search.here()).is_none_or(|at| (at - ns).abs() < 9.0);
                let races = if explorer.candidates[number].arm == best { 9000 } else { 1000 };
                let races = if is_tuned { races } else { races / 10 };
                let turn = Turn { iterations: 100_000, races, variety: 0.0, seconds: 1e-3, level: 0 };
                explorer.note((number, Tuned::begin(None)), Some(Nanos(ns)), turn);
                Ok(Duration::from_millis(1))
            });
            let Explored { chosen, record, .. } = explored.unwrap();
            let record = record.unwrap();
            assert_eq!(record.arms.iter().map(|arm| arm.turns as u64).sum::<u64>(), turns);
            assert!((record.elapsed_s - turns as f64 / 1e3).abs() < 1e-9);
            assert_eq!((record.arms[record.chosen].group, record.distance_ns), (chosen.arm.group, chosen.distance_ns));
            (turns, all.iter().position(|arm| *arm == chosen.arm).unwrap(), chosen.distance_ns.unwrap().round())
        };
        assert_eq!(found(&|_| 28.0), (200, 2, 28.0));
        assert_eq!(found(&|at| if at < 90 { 28.0 } else { 175.0 }), (290, 7, 175.0));
        // A look that was disturbed.
        assert_eq!(found(&|at| if at % 50 == 49 { 900.0 } else { 28.0 }), (204, 2, 28.0));
        // The CPUs move all the time. It has its time at one distance, or nowhere.
        assert_eq!(found(&|at| [28.0, 175.0, 28.0, 450.0][at as usize / 20 % 4]), (380, 2, 28.0));
        assert_eq!(found(&|at| [28.0, 175.0, 900.0][at as usize / 20 % 3]).0, 400);
        // It gets to a distance for which an earlier search has chosen.
        assert_eq!(found(&|at| if at < 90 { 28.0 } else { 60.0 }), (92, 10, 60.0));
        assert_eq!(found(&|_| 60.0), (1, 10, 60.0));
        flag.store(true, Ordering::Relaxed);
        let knowledge = Mutex::new(Knowledge::default());
        let mut memory = Memory::default();
        let stopped =
            explorer(&base, &measured, &mut memory, &flag).search(&knowledge, |_, _| panic!("a turn")).unwrap();
        assert_eq!(stopped.chosen.arm, Arm::FIRST);
    }

    /// In turns, at the shortest period, some arms seem as good as others that are better in a measurement.
    #[test]
    fn the_best_of_a_long_search_are_measured_as_the_run_would() {
        let scenario = crate::catalogue::named("SB").unwrap();
        let searching = Searching { allowed: Allowed::all(), knowledge: Arc::default(), budget: None };
        let base = experiment(&scenario, time(5000), &searching);
        let measured = Measured { counters: &[], edges: None };
        let flag = AtomicBool::new(false);
        let all = search::arms(&Allowed::all());
        let ms = Duration::from_millis;
        let time = Time::new(ms(1200), ms(4000));
        assert_eq!((time.of_final(), time.of_turns()), (Some(ms(100)), ms(900)));
        assert_eq!(Time::new(ms(719), ms(4000)).of_final(), None);
        // The finalists with their races in a final, the distance there, and what is chosen.
        let found = |turns: [u64; 5], finals: &[u64], ns: f64| {
            let (mut memory, mut played) = (Memory::default(), Vec::new());
            let knowledge = Mutex::new(Knowledge::default());
            let mut explorer = explorer(&base, &measured, &mut memory, &flag);
            explorer.time = time;
            let explored = explorer.search(&knowledge, |explorer, play| match play {
                Play::Turn(number) => {
                    let arm = Arm {
                        stretch: 1,
                        prefetch: explorer.candidates[number].arm.prefetch,
                        ..explorer.candidates[number].arm
                    };
                    let at = all.iter().position(|known| *known == arm);
                    let races = at.and_then(|at| turns.get(at)).map_or(100, |races| 10 * races);
                    let turn = Turn { iterations: 100_000, races, variety: 0.0, seconds: 1e-3, level: 0 };
                    explorer.note((number, Tuned::begin(Some(Ticks(50)))), Some(Nanos(28.0)), turn);
                    Ok(ms(1))
                }
                Play::Final(number, time) => {
                    let arm = explorer.candidates[number].arm;
                    let races = finals[played.len()];
                    played.push(all.iter().position(|known| *known == Arm { stretch: 1, ..arm }).unwrap());
                    explorer.note_final((number, Some(Ticks(70))), Some(Nanos(ns)), (1_000_000, races, time));
                    Ok(time)
                }
            });
            let Explored { chosen, record, experiment } = explored.unwrap();
            let record = record.unwrap();
            // Their counts are those of the search.
            assert_eq!(record.arms.iter().map(|arm| arm.turns).sum::<usize>(), 900 + played.len());
            let counted: u64 = finals[..played.len()].iter().sum();
            assert_eq!(record.counts(), (1_000_000 * played.len() as u64, counted));
            let period = (chosen.period_ticks, experiment.searched_period);
            assert_eq!(record.arms[record.chosen].group, chosen.arm.group);
            (played, all.iter().position(|arm| *arm == Arm { stretch: 1, ..chosen.arm }).unwrap(), period)
        };
        let (kept, after) = ((50.0, Some(Ticks(50))), (70.0, Some(Ticks(70))));
        // The best three of those that are near the best come to the finals, the best one first.
        assert_eq!(found([70, 100, 80, 59, 90], &[10, 30, 20], 28.0), (vec![1, 4, 2], 4, after));
        // Of two that are alike the first is chosen.
        assert_eq!(found([70, 100, 80, 59, 90], &[28, 30, 29], 28.0), (vec![1, 4, 2], 1, after));
        // The CPUs moved before the end.
        assert_eq!(found([40, 100, 80, 50, 50], &[10, 30], 175.0), (vec![1, 2], 1, kept));
        // There is one that is the best.
        assert_eq!(found([40, 100, 50, 50, 50], &[], 28.0), (vec![], 1, kept));
        // No final saw a race.
        assert_eq!(found([40, 100, 80, 50, 50], &[0, 0], 28.0), (vec![1, 2], 1, after));
    }

    /// What an earlier search chose for a distance is used when the CPUs get there, and stays.
    #[test]
    fn a_search_that_gets_to_a_known_distance_ends() {
        let scenario = crate::catalogue::named("SB").unwrap();
        let searching = Searching { allowed: Allowed::all(), knowledge: Arc::default(), budget: None };
        let base = experiment(&scenario, time(1000), &searching);
        let measured = Measured { counters: &[], edges: None };
        let (mut memory, flag) = (Memory::default(), AtomicBool::new(false));
        let mut explorer = explorer(&base, &measured, &mut memory, &flag);
        let (cpus, test) = (&base.placement.cpus, &scenario.sha256);
        let free = search::arms(&Allowed::all()).into_iter().find(|arm| arm.pace == ArmPace::Free).unwrap();
        let arm = Arm { batch: Some(77), ..free };
        let near = Chosen { arm, period_ticks: 0.0, reach: 4, distance_ns: Some(28.0) };
        let mut knowledge = Knowledge::default();
        knowledge.choose(cpus, test, near);
        // It is far, then near.
        for number in 0..3 {
            (0..40).for_each(|_| explorer.imagine(number, 175.0, (1, if number == 2 { 900 } else { 100 })));
        }
        assert_eq!((explorer.known(explorer.search.here(), &knowledge), explorer.search.here()), (None, 0));
        for number in 0..3 {
            (0..40).for_each(|_| explorer.imagine(number, 28.0, (1, if number == 1 { 900 } else { 100 })));
        }
        assert_eq!(explorer.known(explorer.search.here(), &knowledge), Some(near));
        for allowed in [Allowed { free: false, ..Allowed::all() }, Allowed { layouts: Vec::new(), ..Allowed::all() }] {
            explorer.allowed = allowed;
            assert_eq!(explorer.known(explorer.search.here(), &knowledge), None, "it is not allowed");
        }
        explorer.allowed = Allowed::all();
        let explored = explorer.finish(Duration::from_millis(240), Some(near), &mut knowledge).unwrap();
        assert_eq!((explored.chosen, explored.experiment.reach), (near, 4));
        assert_eq!(explored.experiment.choice.batch, Some(77));
        let record = explored.record.unwrap();
        let chosen = &record.arms[record.chosen];
        assert_eq!((chosen.batch, chosen.turns, record.distance_ns), (Some(77), 0, Some(28.0)));
        // The counts of an arm at the distance of the search are told.
        let arms = record.arms[..3].iter().map(|arm| (arm.turns, arm.at_distance.map(|here| (here.turns, here.races))));
        assert_eq!(
            arms.collect::<Vec<_>>(),
            [(80, Some((40, 4000))), (80, Some((40, 36_000))), (80, Some((40, 4000)))]
        );
        let at = |ns| knowledge.chosen_at(cpus, test, ns).unwrap();
        assert_eq!((at(28.0), at(175.0).arm), (near, search::arms(&Allowed::all())[2]));
        // What was learned at each distance is told there.
        let value = |at: usize, ns| knowledge.value(cpus, search::arms(&Allowed::all())[at], Some(ns)).unwrap();
        assert!(value(1, 28.0) == 1.0 && value(2, 28.0) < 0.2 && value(1, 175.0) < 0.2 && value(2, 175.0) == 1.0);
    }

    /// At each distance a candidate has its own period and sweep, and a variant begins as the arm that it varies.
    #[test]
    fn a_candidate_is_tuned_at_each_distance() {
        let scenario = crate::catalogue::named("SB").unwrap();
        let searching = Searching { allowed: Allowed::all(), knowledge: Arc::default(), budget: None };
        let base = experiment(&scenario, time(1000), &searching);
        let measured = Measured { counters: &[], edges: None };
        let (mut memory, flag) = (Memory::default(), AtomicBool::new(false));
        let mut explorer = explorer(&base, &measured, &mut memory, &flag);
        explorer.guess_periods().unwrap();
        let guessed = explorer.tuned(0, 0);
        assert!(guessed.period.is_some_and(|period| period > Ticks(0)) && guessed.skews.is_empty());
        assert_eq!(explorer.tuned(0, 1), Tuned::begin(None));
        let longer = Arm { stretch: 2, ..Arm::FIRST };
        explorer.add(longer, Some((0, Change::between(Arm::FIRST, longer)))).unwrap();
        let variant = explorer.candidates.len() - 1;
        explorer.candidates[0].tune(0, Tuned { period: Some(Ticks(100)), skews: vec![Ticks(3)], reach: 2 });
        explorer.candidates[0].tune(1, Tuned::begin(Some(Ticks(700))));
        // The first distance stays as it was found.
        explorer.guess_periods().unwrap();
        let begins = |stratum| explorer.tuned(variant, stratum);
        assert_eq!(begins(0), Tuned { period: Some(Ticks(200)), skews: Vec::new(), reach: 2 });
        assert_eq!(begins(1), Tuned { period: Some(Ticks(1400)), skews: Vec::new(), reach: 1 });
        let own = Tuned { period: Some(Ticks(5)), ..guessed };
        explorer.candidates[variant].tune(1, own.clone());
        assert_eq!(explorer.tuned(variant, 1), own);
        assert!((0..variant).all(|at| {
            let free = explorer.candidates[at].arm.pace == ArmPace::Free;
            explorer.found(at, 0).unwrap().period.is_none() == free
        }));
        // A level that joins a stratum brings what was found there, and takes it along if it parts again.
        explorer.candidates[0].tune(2, Tuned::begin(Some(Ticks(3))));
        explorer.search.join(vec![0, 1, 1]);
        assert_eq!([1, 2].map(|stratum| explorer.tuned(0, stratum).period), [Some(Ticks(3)); 2]);
        explorer.search.join(vec![0, 0, 2]);
        assert_eq!([0, 2].map(|stratum| explorer.tuned(0, stratum).period), [700, 3].map(|at| Some(Ticks(at))));
        explorer.candidates[0].tune(0, Tuned { period: Some(Ticks(100)), skews: vec![Ticks(3)], reach: 2 });
        assert_eq!(explorer.tuned(0, 0).period, Some(Ticks(100)), "the last turn counts");
        explorer.candidates[0].tuned.retain(|(level, _)| *level < 2);
        explorer.search.join(Vec::new());
        // Where the CPUs have moved to, there is another guess.
        [9.0, 9000.0, 9000.0].into_iter().for_each(|ns| explorer.imagine(0, ns, (1, 1)));
        assert_eq!(explorer.search.here(), 1);
        explorer.candidates.iter_mut().for_each(|candidate| candidate.tuned.retain(|(level, _)| *level != 1));
        explorer.guess_periods().unwrap();
        assert!(explorer.found(0, 1).is_some_and(|tuned| tuned.period.is_some()));
        // What a turn finds after the CPUs have left its distance is nothing for that.
        explorer.imagine(0, 9100.0, (1, 1));
        let period = |ns: i64| Some(Ticks(10 * ns));
        assert_eq!(explorer.tuned(0, 1).period, period(9100));
        let tuned = |explorer: &Explorer<'_, '_>| [0, 1].map(|stratum| explorer.tuned(0, stratum).period);
        for _ in 0..2 {
            explorer.imagine(0, 9.5, (1, 1));
            assert_eq!(tuned(&explorer), [period(9), period(9100)]);
        }
        explorer.imagine(0, 10.0, (1, 1));
        assert_eq!(tuned(&explorer), [period(10), period(9100)]);
    }

    /// A longer period than the threads need stays as it is during a turn, and is tried only where the measurement may keep it.
    #[test]
    fn a_stretched_period_is_kept_for_a_turn() {
        let scenario = crate::catalogue::named("SB").unwrap();
        let searching = Searching { allowed: Allowed::all(), knowledge: Arc::default(), budget: None };
        let mut base = experiment(&scenario, time(500), &searching);
        let measured = Measured { counters: &[], edges: None };
        let mut plans = [1, 2, 4].map(|stretch| {
            let arm = Arm { stretch, ..Arm::FIRST };
            let period = stretched(Ticks(101), Arm::FIRST, arm);
            let experiment = with_settings(&base, arm, period).unwrap();
            let plan = turn_plan((&experiment, arm), &mut Tuned::begin(period), &measured, 0);
            (plan.period, plan.adapt)
        });
        plans.sort_by_key(|(period, _)| *period);
        assert_eq!(plans, [(Ticks(101), Adapt::Kept), (Ticks(202), Adapt::Never), (Ticks(404), Adapt::Never)]);
        let [two, four] = [2, 4].map(|stretch| Arm { stretch, ..Arm::FIRST });
        assert_eq!(
            [stretched(Ticks(202), two, four), stretched(Ticks(202), two, two)],
            [404, 202].map(|at| Some(Ticks(at)))
        );
        let mut decide = |window, skews: Option<Vec<i64>>| {
            base.common.window = window;
            let skews = skews.map(|skews| skews.into_iter().map(Ticks).collect());
            base.choice.pace = PaceChoice::Paced { given: false, period: None, skews };
            races_decide(&base)
        };
        assert_eq!([decide(false, None), decide(false, Some(vec![7]))], [true; 2]);
        assert_eq!([decide(true, None), decide(false, Some(vec![0, 7])), decide(true, Some(vec![0, 7]))], [false; 3]);
    }

    /// The skews of a window are swept in every turn of the search and all count, and the chosen settings sweep them evenly.
    #[test]
    fn a_window_keeps_its_skews_while_settings_are_searched() {
        let scenario = crate::catalogue::named("SB").unwrap();
        let paced = Allowed { free: false, ..Allowed::all() };
        let searching = Searching { allowed: paced, knowledge: Arc::default(), budget: None };
        let mut base = experiment(&scenario, time(500), &searching);
        let arm = Arm { group: 4, ..Arm::FIRST };
        let all = sweep(base.common.units(), Ticks(1000), 1).len();
        let given = [-20, 0, 20].map(Ticks).to_vec();
        for (window, given, turns) in
            [(false, None, [all, 2]), (true, None, [all, all]), (true, Some(given.clone()), [3, 3])]
        {
            base.common.window = window;
            base.choice.pace = PaceChoice::Paced { given: false, period: None, skews: given.clone() };
            let experiment = with_settings(&base, arm, Some(Ticks(1000))).unwrap();
            assert_eq!(experiment.choice.pace.skews(), given.as_ref());
            let mut tuned = Tuned::begin(Some(Ticks(1000)));
            let measured = Measured { counters: &[], edges: None };
            let mut plan = |before| {
                let plan = turn_plan((&experiment, arm), &mut tuned, &measured, before);
                tuned.skews.truncate(2);
                (plan.skews.len(), plan.seed)
            };
            assert_eq!([plan(0), plan(1)], [(turns[0], 1), (turns[1], 2)], "{window} {given:?}");
            let mut tallies = Tally::new(&[0, 10, 20].map(Ticks)).skews;
            tallies[1].outcomes.insert(vec![crate::program::Const::Int(0); scenario.program.columns.len()], 1000);
            let all = if window { vec![0, 1, 2] } else { vec![1] };
            assert_eq!(counted(&experiment, &tallies), all);
        }
        // A host whose counters contradict each other has no window.
        if let Ok(finished) = run(&base, &AtomicBool::new(false), |_| ()) {
            assert!(
                finished.result.search.is_some() && finished.result.skews.len() == 3,
                "{:?}",
                finished.result.skews
            );
        }
    }

    /// The sweep of a candidate grows while the races are most frequent at its end, and the measurement sweeps as far.
    #[test]
    fn a_sweep_that_ends_before_the_peak_is_widened() {
        let scenario = crate::catalogue::named("SB").unwrap();
        let searching = Searching { allowed: Allowed::all(), knowledge: Arc::default(), budget: None };
        let mut base = experiment(&scenario, time(500), &searching);
        let program = &scenario.program;
        let measured = Measured { counters: &[], edges: None };
        let clock = base.common.units();
        let period = clock.ticks(Nanos(80.0));
        // Races come more often, the longer the last thread waits.
        let late = |skews: &[Ticks]| {
            let race = vec![crate::program::Const::Int(0); program.columns.len()];
            let other = vec![crate::program::Const::Int(1); program.columns.len()];
            let mut tally = Tally::new(skews);
            for (at, skew) in (1..).zip(&mut tally.skews) {
                skew.outcomes = [(race.clone(), 10 * at), (other.clone(), 1000 - 10 * at)].into_iter().collect();
            }
            tally.skews
        };
        fn first<'a>(base: &Experiment<'a>) -> Experiment<'a> {
            with_settings(base, Arm::FIRST, None).unwrap()
        }
        let (experiment, mut tuned) = (first(&base), Tuned::begin(Some(period)));
        for (width, reach) in [(80.0, 2), (160.0, 4), (240.0, 4)] {
            let plan = turn_plan((&experiment, Arm::FIRST), &mut tuned, &measured, 0);
            let end = clock.nanos(*plan.skews.last().unwrap()).0;
            assert!((end - width).abs() < 2.0 && plan.skews.len() == 49, "{end} {width}");
            tuned.choose_skews(&experiment, &late(&plan.skews), (true, &[47, 48]));
            assert_eq!(tuned.reach, reach);
        }
        assert_eq!(tuned.skews.len(), 2);
        // The best skews of a turn that swept nothing are no end of a sweep, and given skews stay.
        tuned.reach = 1;
        tuned.choose_skews(&experiment, &late(&(0..49).map(Ticks).collect::<Vec<_>>()), (false, &[47]));
        assert_eq!((tuned.reach, tuned.skews.as_slice()), (1, &[Ticks(47)][..]));
        base.choice.pace = PaceChoice::Paced { given: true, period: None, skews: Some((0..49).map(Ticks).collect()) };
        let (given, mut tuned) = (first(&base), Tuned::begin(Some(period)));
        let plan = turn_plan((&given, Arm::FIRST), &mut tuned, &measured, 0);
        tuned.choose_skews(&given, &late(&plan.skews), (true, &[48]));
        assert_eq!(tuned.reach, 1);
        base.choice.pace = PaceChoice::Paced { given: true, period: None, skews: None };
        base.common.window = true;
        let (window, mut tuned) = (first(&base), Tuned::begin(Some(period)));
        let plan = turn_plan((&window, Arm::FIRST), &mut tuned, &measured, 0);
        tuned.choose_skews(&window, &late(&plan.skews), (true, &[48]));
        assert_eq!(tuned.reach, 1);
    }

    /// What was chosen before is used with its sweep.
    #[test]
    fn a_repeat_reaches_as_far_as_the_search_did() {
        let scenario = crate::catalogue::named("SB").unwrap();
        let searching = Searching { allowed: Allowed::all(), knowledge: Arc::default(), budget: None };
        let base = experiment(&scenario, time(500), &searching);
        let chosen = Chosen { arm: Arm::FIRST, period_ticks: 100.0, reach: 4, distance_ns: None };
        searching.knowledge.lock().unwrap().choose(&base.placement.cpus, &scenario.sha256, chosen);
        let measured = Measured { counters: &[], edges: None };
        let flag = AtomicBool::new(false);
        let again = explore(&base, None, &measured, (&mut Memory::default(), &flag), &mut |_| ()).unwrap().unwrap();
        assert_eq!((again.experiment.reach, again.chosen, again.record), (4, chosen, None));
    }

    #[test]
    fn a_turn_counts_what_its_best_skews_would_have_given() {
        let scenario = crate::catalogue::named("SB").unwrap();
        let program = &scenario.program;
        let rows = |races: u64, others: u64| {
            let race: Vec<_> = vec![crate::program::Const::Int(0); program.columns.len()];
            let other = vec![crate::program::Const::Int(1); program.columns.len()];
            [(race, races), (other, others)].into_iter().filter(|(_, count)| *count > 0).collect()
        };
        let mut tally = Tally::new(&[0, 10].map(Ticks));
        tally.iterations = 2000;
        tally.skews[0].outcomes = rows(0, 1000);
        tally.skews[1].outcomes = rows(400, 600);
        let of = |tally: &Tally| seen(program, tally, 0.5, &[1]);
        let turn = of(&tally);
        assert_eq!((turn.iterations, turn.races, turn.seconds), (2000, 800, 0.5));
        assert!((turn.variety - 2.0 * 1000.0 * (1.0 - 0.16 - 0.36)).abs() < 1e-6, "{turn:?}");
        // Too few races say nothing about skews.
        tally.skews[1].outcomes = rows(20, 980);
        assert_eq!(of(&tally).races, 20);
    }
}
