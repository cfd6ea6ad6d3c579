//! The search over settings at the beginning of a run: turns of some milliseconds, each with other settings.
//!
//! A turn keeps to the shortest period, and a measurement looks for the one with the most races. So in a long search the arms that may be
//! the best are measured at the end as the run would: its finals.
//!
//! If the hypervisor moves the CPUs meanwhile, the search begins again at the new distance, and goes on where it was if they come
//! back. It ends once it had its time at one distance.

mod candidate;
mod time;

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use self::candidate::{Candidate, MOSTLY_LATE, Tuned, counted, counts, period, seen, time_of_group, turn_plan};
pub use self::time::Searching;
pub(super) use self::time::Time;
use self::time::{FINALISTS, LEAST_FINAL, rest};
use super::request::{Choice, Experiment, PaceChoice};
use super::run::{Measured, job, planned, settings, under_stress, units};
use crate::error::Result;
use crate::harness::{self, Limits, Memory, RunPlan, Tally};
use crate::record::{ArmRecord, SearchRecord, TurnsRecord};
use crate::search::{self, Allowed, Arm, ArmPace, Change, Chosen, Knowledge, Search, Turn};
use crate::stats::Levels;
use crate::units::{Nanos, Ticks};

/// Share of the search after which the variants of the best arm join even if arms that are not hopeless had only one turn.
const VARIANTS_AFTER: f64 = 0.5;
/// Share of its time at a distance after which a search knows what is good there, if it ends at another one.
const KNOWN_AFTER: f64 = 0.5;
/// A final counts if the CPUs were at one distance for this share of its time.
const STEADY: f64 = 0.8;
/// A group of this many more instances is tried first at a period that is longer by the period of one instance.
const OVERLAP: f64 = 8.0;

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
        None => beginning((base, &searching), measured, (memory, interrupt))?,
        Some(Moved { ns, .. }) => knowledge().chosen_at(cpus, test, ns),
    };
    let begins = |explored: Explored<'a>| {
        if moved.is_none() {
            knowledge().begin(cpus, test, explored.chosen);
        }
        explored
    };
    let allowed = match moved {
        // One curve of one code.
        Some(Moved { arm, .. }) if base.common.window => searching.allowed.with_code_of(arm),
        _ => searching.allowed.clone(),
    };
    // What was given may be of a time when the counters of these CPUs allowed paced starts.
    if let Some(chosen) = before.filter(|chosen| allowed.has_code_of(chosen.arm)) {
        return Ok(Some(begins(Explored { experiment: with_chosen(base, chosen)?, chosen, record: None })));
    }
    let Some(time) = searching.time(&base.common.limits, moved.map(|moved| moved.time)) else { return Ok(None) };
    let mut explorer = Explorer::new((base, measured), allowed, (memory, interrupt), time)?;
    if let Some(Moved { ns, .. }) = moved {
        explorer.search.begin_at(explorer.levels.level(ns));
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
    explorer.search(&searching.knowledge, play).map(begins).map(Some)
}

/// What a run begins with, if it is known: what the run of the same test before it began with, or else what was given for the distance
/// at which the CPUs are now.
fn beginning(
    (base, searching): (&Experiment<'_>, &Searching),
    measured: &Measured<'_>,
    (memory, interrupt): (&mut Memory, &AtomicBool),
) -> Result<Option<Chosen>> {
    let (cpus, test) = (&base.placement.cpus, &base.scenario.sha256);
    let knowledge = || searching.knowledge.lock().expect("no thread panics while holding this lock");
    let begun = knowledge().begun(cpus, test);
    let can_run = |chosen: &&Chosen| searching.allowed.has_code_of(chosen.arm);
    let Some(latest) = begun.or_else(|| knowledge().given(cpus, test).find(can_run).copied()) else {
        return Ok(None);
    };
    // A run without a search has no time for a look either, or is to be the same each time.
    let searches = searching.time(&base.common.limits, None).is_some();
    if begun.is_some() || !searches || latest.distance_ns.is_none() {
        return Ok(Some(latest));
    }
    let experiment = with_chosen(base, latest)?;
    let mut tuned = Tuned::begin(period(latest.period_ticks));
    let plan = turn_plan((&experiment, latest.arm), &mut tuned, measured, 0);
    let look = under_stress(&experiment, (job(&experiment), memory), &plan, interrupt, &mut |_| ())?;
    // If the look was lost, a search finds out where the CPUs are.
    let distance = look.distances.and_then(|distances| distances.last);
    Ok(distance.and_then(|Nanos(ns)| knowledge().chosen_at(cpus, test, ns)))
}

/// What the search does next.
#[derive(Debug, Clone, Copy)]
enum Play {
    /// A turn of a candidate.
    Turn(usize),
    /// A final of a candidate, which takes this time.
    Final(usize, Duration),
}

/// A search with its candidates.
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

impl<'e, 'a> Explorer<'e, 'a> {
    /// A search that begins with all arms that are allowed, and had no turn.
    fn new(
        (base, measured): (&'e Experiment<'a>, &'e Measured<'e>),
        allowed: Allowed,
        (memory, interrupt): (&'e mut Memory, &'e AtomicBool),
        time: Time,
    ) -> Result<Explorer<'e, 'a>> {
        let arms = search::arms(&allowed);
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
        for arm in arms {
            explorer.add(arm, None)?;
        }
        Ok(explorer)
    }

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
        if known.is_none() && self.spent(self.search.here()) >= self.time.of_turns() {
            let finalists = self.finalists(self.search.here());
            let time = self.time_of_final(finalists.len(), elapsed);
            for finalist in finalists {
                let elsewhere = self.finals.iter().any(|(_, _, is_here)| !is_here);
                let (Some(time), false) = (time, elsewhere || self.interrupt.load(Ordering::Relaxed)) else { break };
                let time = play(&mut self, Play::Final(finalist, time))?;
                self.spend(time);
                elapsed += time;
            }
        }
        self.finish(elapsed, known, &mut knowledge())
    }

    /// The time for each of some finals after a search that took `elapsed`, if there is enough for all.
    fn time_of_final(&self, finals: usize, elapsed: Duration) -> Option<Duration> {
        let left = self.time.most.saturating_sub(elapsed) / u32::try_from(finals.max(1)).unwrap_or(u32::MAX);
        self.time.of_final().map(|time| time.min(left)).filter(|time| *time >= LEAST_FINAL)
    }

    /// The candidates of the finals in a stratum: the one that the turns would choose, and the best others. A measurement finds its period,
    /// so those that differ in it alone are one. None if there is nothing to decide.
    fn finalists(&mut self, stratum: usize) -> Vec<usize> {
        let contenders = self.search.contenders(stratum);
        let mut finalists: Vec<usize> = Vec::new();
        for number in contenders.first().map(|_| self.search.best_in(stratum).0).into_iter().chain(contenders) {
            let plain = Arm { stretch: 1, ..self.candidates[number].arm };
            let alike = |number: &usize| Arm { stretch: 1, ..self.candidates[*number].arm } == plain;
            if finalists.len() < FINALISTS as usize && !finalists.iter().any(alike) {
                let number_of_plain = self.candidates.iter().position(|candidate| candidate.arm == plain);
                // It begins with the period of the variant that came to the finals.
                let tuned = self.tuned(number, stratum);
                let finalist = number_of_plain.unwrap_or(number);
                self.candidates[finalist].tune(self.level, tuned);
                finalists.push(finalist);
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
        self.allowed.has_code_of(chosen.arm).then_some(chosen)
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
            Some((of, change)) => self.search.add_variant(arm.pace, of, change),
            None => self.search.add(arm.pace),
        }
        self.candidates.push(Candidate {
            arm,
            experiment: with_settings(self.base, arm, None)?,
            of: of.map(|(of, _)| of),
            tuned: Vec::new(),
            counted: Vec::new(),
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
        let candidate = &self.candidates[number];
        let sweeps = tuned.skews.is_empty();
        let before = self.search.turns(number).len();
        let plan = turn_plan((&candidate.experiment, candidate.arm), &mut tuned, self.measured, before);
        let experiment = &candidate.experiment;
        let job = (job(experiment), &mut *self.memory);
        let measurement = under_stress(experiment, job, &plan, self.interrupt, &mut |_| ())?;
        watch(&measurement.tally);
        let program = &self.base.scenario.program;
        let races = harness::races(program, &measurement.tally.outcomes());
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
        let counted = counts(&measurement, races);
        self.note((number, tuned), distance, (turn, counted));
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
        let measurement = under_stress(&experiment, (job, self.memory), &plan, self.interrupt, &mut |_| ())?;
        watch(&measurement.tally);
        let races = harness::races(&self.base.scenario.program, &measurement.tally.outcomes());
        let strata = measurement.distances.iter().flat_map(|distances| &distances.strata);
        let looks: Vec<(f64, Duration)> = strata.map(|at| (at.distance.typical, at.elapsed)).collect();
        self.note_final(number, &looks, counts(&measurement, races));
        Ok(())
    }

    /// Notes what a final of a candidate has counted. `times` has the time of it at each distance in nanoseconds.
    fn note_final(&mut self, number: usize, times: &[(f64, Duration)], counted: TurnsRecord) {
        let all: Duration = times.iter().map(|(_, time)| *time).sum();
        let (most, time) = times.iter().copied().max_by_key(|(_, time)| *time).unzip();
        let is_here = self.look(most.map(Nanos)) && time.is_none_or(|time| time >= all.mul_f64(STEADY));
        self.candidates[number].counted.push((self.level, counted));
        let rate = counted.races as f64 / counted.elapsed_s.max(f64::MIN_POSITIVE);
        self.finals.push((number, rate, is_here));
    }

    /// The best candidate in a stratum: the winner of the finals, if they were all run there.
    fn best_in(&self, stratum: usize) -> usize {
        let ran_here = stratum == self.search.here() && self.finals.iter().all(|(_, _, is_here)| *is_here);
        let finals: Vec<(usize, f64)> = self.finals.iter().map(|&(number, rate, _)| (number, rate)).collect();
        let winner = self.search.winner(&finals).filter(|_| ran_here);
        winner.unwrap_or_else(|| self.search.best_in(stratum).0)
    }

    /// Notes the distance that there was, or that the look was lost: then the last one counts. Whether it is where the search is.
    fn look(&mut self, distance: Option<Nanos>) -> bool {
        let here = self.search.here();
        if let Some(Nanos(ns)) = distance {
            self.level = self.levels.level(ns);
            self.search.join(self.levels.joined());
        }
        self.search.stratum(self.level) == self.search.stratum(here)
    }

    /// Notes what a turn of a candidate has found, seen and counted.
    fn note(&mut self, (number, tuned): (usize, Tuned), distance: Option<Nanos>, (turn, counted): (Turn, TurnsRecord)) {
        // A period and skews that were found at another distance do not fit this one.
        if self.look(distance) {
            self.candidates[number].tune(self.level, tuned);
        }
        self.candidates[number].counted.push((self.level, counted));
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
        // At a distance that was known it may have had a single turn.
        let mut learned: Vec<usize> =
            Some(answer).filter(|answer| known.is_none() || had(answer)).into_iter().collect();
        learned.extend(strata.iter().copied().filter(|stratum| *stratum != answer && had(stratum)));
        for &stratum in &learned {
            self.recall(stratum, knowledge);
            let ns = self.levels.typical_in(stratum);
            for (number, value) in self.search.lessons(stratum).unwrap_or_default() {
                knowledge.learn(cpus, self.candidates[number].arm, ns, value);
            }
            // A search that was cut short has chosen among too few.
            let complete = !self.interrupt.load(Ordering::Relaxed);
            let chosen_here = complete && self.known(stratum, knowledge).is_none();
            if chosen_here && (stratum == answer || !self.base.common.window) {
                knowledge.choose(cpus, test, self.chosen(stratum), self.spent(stratum).as_secs_f64());
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
        let mut experiment = with_chosen(self.base, settings)?;
        let limits = &mut experiment.common.limits;
        limits.duration = limits.duration.map(|duration| rest(duration, elapsed, most));
        Ok(Explored { experiment, chosen: settings, record: Some(record) })
    }

    /// What was tried of an arm. The settings are chosen in the stratum `answer`.
    fn arm_record(&self, number: usize, answer: usize) -> ArmRecord {
        let Candidate { arm, experiment, counted, .. } = &self.candidates[number];
        let is_here = |level: usize| self.search.stratum(level) == self.search.stratum(answer);
        let sum = |counted: &mut dyn Iterator<Item = &(usize, TurnsRecord)>| {
            counted.fold(TurnsRecord::default(), |sum, (_, one)| sum.plus(*one))
        };
        let all = sum(&mut counted.iter());
        let here = sum(&mut counted.iter().filter(|(level, _)| is_here(*level)));
        let period = self.tuned(number, answer).period.filter(|_| here.turns > 0);
        ArmRecord {
            turns: all.turns,
            iterations: all.iterations,
            races: all.races,
            elapsed_s: all.elapsed_s,
            at_distance: (here.turns < all.turns).then_some(here),
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
            best_period_ticks: None,
            reach,
            distance_ns: self.levels.typical_in(stratum),
        }
    }
}

/// Whether the measurement chooses its period by its races, so that a longer one than the threads need may be tried.
fn races_decide(experiment: &Experiment<'_>) -> bool {
    let skews = experiment.choice.pace.skews();
    skews.map_or(!experiment.common.window, |skews| skews.len() == 1)
}

/// The experiment with the settings that a search has chosen.
fn with_chosen<'a>(base: &Experiment<'a>, chosen: Chosen) -> Result<Experiment<'a>> {
    let experiment = with_settings(base, chosen.arm, period(chosen.period_ticks))?;
    Ok(Experiment { reach: chosen.reach, known_period: chosen.best_period_ticks.and_then(period), ..experiment })
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
pub(super) mod tests;
