//! Which test runs next, where, and with which setting.
//!
//! First every test runs once on every placement. If the campaign asks for a number of iterations of each test, the tests that
//! have fewer come next, each with the placement and setting that gave it the most in the time. Then time goes to the tests whose outcome the campaign looks for and
//! that are not done: not seen yet or, if the campaign asks for a reproducibility, not seen often enough. Among the
//! placements and settings of such a test the upper confidence bound of the probability that a slice sees the outcome
//! decides (UCB1: P. Auer, N. Cesa-Bianchi, P. Fischer, Machine Learning 47, 2002). Until the test itself tells more, the
//! probability is that of the setting in all tests on placements of the class. The bound of an arm that is not tried grows,
//! so that every arm is tried at some time.
//!
//! Every eighth slice goes to the test that has had the least time, whatever its verdict, and there to the arm that has
//! had the least. So no test and no arm starves, and the bounds of forbidden outcomes become smaller.

use std::collections::HashMap;
use std::time::Duration;

use crate::machine::Class;
use crate::record::REPRODUCIBLE;
use crate::stats::reproducibility;

/// A test, a placement of it and a setting: places in the lists of the campaign.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Arm {
    /// The test.
    pub test: usize,
    /// The placement, among those of the test.
    pub place: usize,
    /// The setting.
    pub setting: usize,
}

/// What a slice gave, as far as it matters here.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Pull {
    /// Blocks of batches with a race.
    pub sightings: u64,
    /// Time, in seconds.
    pub seconds: f64,
    /// Iterations, and instances that the filter excludes.
    pub instances: u64,
}

/// One slice in this many goes to the test with the least time.
const FLOOR: u64 = 8;
/// How many slices of this test count as much as what all tests tell about a setting.
const PRIOR: f64 = 2.0;
/// How often the first slice of a placement is tried if another process takes the CPU and no batch is left.
const ATTEMPTS: u64 = 5;
/// For how long a test is run for the number of iterations that was asked for, in seconds.
const LONGEST_FOR_ITERATIONS: f64 = 10.0;
/// The shortest and the longest slice, and the share of the test's time so far that the next slice takes.
const SHORTEST: Duration = Duration::from_millis(4);
const LONGEST: Duration = Duration::from_millis(200);
const SHARE: f64 = 0.125;

/// A test as the schedule sees it.
#[derive(Debug)]
pub struct Subject {
    /// Whether the campaign looks for its outcome.
    pub is_wanted: bool,
    /// The class of each placement, and the settings that can be used there.
    pub places: Vec<(Class, Vec<usize>)>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Counts {
    tries: u64,
    slices: u64,
    seen: u64,
    instances: u64,
    seconds: f64,
}

#[derive(Debug)]
struct State {
    is_wanted: bool,
    failed: bool,
    sightings: u64,
    instances: u64,
    seconds: f64,
    slices: u64,
    arms: Vec<(Arm, Class, Counts)>,
}

/// The schedule of a campaign.
#[derive(Debug)]
pub struct Schedule {
    tests: Vec<State>,
    /// Whether the campaign ends when all tests are done, and whether a test is done only if its outcome was seen.
    ends: bool,
    confident: bool,
    /// The sightings that an outcome needs, and the iterations that every test needs.
    sightings: u64,
    iterations: u64,
    /// Slices and slices that saw the outcome, over all tests whose outcome was seen at all.
    pooled: HashMap<(Class, usize), Counts>,
    /// Instances and seconds, over all tests.
    speeds: HashMap<(Class, usize), (u64, f64)>,
    /// The first arm of every placement of every test, the last one first.
    first: Vec<Arm>,
    turn: u64,
}

impl Schedule {
    /// A schedule of these tests. A test is done when its reproducibility reaches the `confidence`, or [`REPRODUCIBLE`], and when
    /// it has so many `iterations`.
    pub fn new(tests: &[Subject], confidence: Option<f64>, iterations: Option<u64>) -> Schedule {
        let mut first = Vec::new();
        let mut states = Vec::new();
        for (test, subject) in tests.iter().enumerate() {
            let mut arms = Vec::new();
            for (place, (class, settings)) in subject.places.iter().enumerate() {
                first.extend(settings.first().map(|&setting| Arm { test, place, setting }));
                arms.extend(settings.iter().map(|&setting| (Arm { test, place, setting }, *class, Counts::default())));
            }
            states.push(State {
                is_wanted: subject.is_wanted,
                failed: false,
                sightings: 0,
                instances: 0,
                seconds: 0.0,
                slices: 0,
                arms,
            });
        }
        first.reverse();
        let wanted = confidence.unwrap_or(REPRODUCIBLE);
        Schedule {
            tests: states,
            ends: confidence.is_some() || iterations.is_some(),
            confident: confidence.is_some(),
            sightings: (0..).find(|seen| reproducibility(*seen) >= wanted).unwrap_or(u64::MAX),
            iterations: iterations.unwrap_or(0),
            pooled: HashMap::new(),
            speeds: HashMap::new(),
            first,
            turn: 0,
        }
    }

    /// Adds what a slice gave.
    pub fn add(&mut self, arm: Arm, pull: Pull) {
        let State { arms, .. } = &mut self.tests[arm.test];
        let Some((_, class, counts)) = arms.iter_mut().find(|(known, ..)| *known == arm) else { return };
        let class = *class;
        let seen = u64::from(pull.sightings > 0);
        counts.tries += 1;
        counts.slices += u64::from(pull.instances > 0);
        counts.seen += seen;
        counts.instances += pull.instances;
        counts.seconds += pull.seconds;
        let speed = self.speeds.entry((class, arm.setting)).or_default();
        (speed.0, speed.1) = (speed.0 + pull.instances, speed.1 + pull.seconds);
        let state = &mut self.tests[arm.test];
        state.slices += u64::from(pull.instances > 0);
        state.instances += pull.instances;
        state.seconds += pull.seconds;
        let before = state.sightings;
        state.sightings += pull.sightings;
        if before == 0 && state.sightings > 0 {
            // From now on the slices of this test tell how good the settings are, also those before.
            for (arm, class, counts) in &state.arms {
                let pooled = self.pooled.entry((*class, arm.setting)).or_default();
                pooled.slices += counts.slices;
                pooled.seen += counts.seen;
            }
        } else if before > 0 {
            let pooled = self.pooled.entry((class, arm.setting)).or_default();
            pooled.slices += u64::from(pull.instances > 0);
            pooled.seen += seen;
        }
    }

    /// Ends a test that cannot go on.
    pub fn fail(&mut self, test: usize) {
        self.tests[test].failed = true;
    }

    /// Whether every test ran on every placement and has the iterations that were asked for, and, with a confidence, whether
    /// every wanted outcome was seen often enough. Never true without either.
    pub fn is_done(&self) -> bool {
        self.ends
            && self.is_brief_pass_over()
            && !self.tests.iter().any(|test| self.is_short(test) || self.confident && self.is_open(test))
    }

    /// Whether every test ran once on every placement.
    pub fn is_brief_pass_over(&self) -> bool {
        !self.first.iter().any(|arm| self.is_fresh(*arm))
    }

    fn is_fresh(&self, arm: Arm) -> bool {
        let state = &self.tests[arm.test];
        let tried = state
            .arms
            .iter()
            .any(|(known, _, counts)| known.place == arm.place && (counts.slices > 0 || counts.tries >= ATTEMPTS));
        !state.failed && !tried
    }

    /// Whether a test's outcome is still looked for.
    fn is_open(&self, test: &State) -> bool {
        test.is_wanted && !test.failed && !test.arms.is_empty() && test.sightings < self.sightings
    }

    /// Whether a test has fewer iterations than were asked for.
    fn is_short(&self, test: &State) -> bool {
        test.instances < self.iterations
            && !test.failed
            && !test.arms.is_empty()
            && test.seconds < LONGEST_FOR_ITERATIONS
    }

    /// The next arm, and for how long. `None` if no test can run.
    pub fn next_slice(&mut self) -> Option<(Arm, Duration)> {
        while let Some(arm) = self.first.last().copied() {
            if self.is_fresh(arm) {
                return Some((arm, SHORTEST));
            }
            self.first.pop();
        }
        if let Some(short) = self.least(|test| self.is_short(test)) {
            return self.fastest(short);
        }
        self.turn += 1;
        let open = if self.turn.is_multiple_of(FLOOR) { None } else { self.least(|test| self.is_open(test)) };
        let arm = match open {
            Some(test) => self.best(test),
            None => self.least(|test| !test.failed && !test.arms.is_empty()).and_then(|test| self.rarest(test)),
        }?;
        let share = Duration::try_from_secs_f64(SHARE * self.tests[arm.test].seconds).unwrap_or(LONGEST);
        Some((arm, share.clamp(SHORTEST, LONGEST)))
    }

    /// The test with the least time among those that `fits` takes.
    fn least(&self, fits: impl Fn(&State) -> bool) -> Option<usize> {
        let fitting = self.tests.iter().enumerate().filter(|(_, test)| fits(test));
        fitting.min_by(|(_, a), (_, b)| a.seconds.total_cmp(&b.seconds)).map(|(at, _)| at)
    }

    /// The arm of a test with the least time.
    fn rarest(&self, test: usize) -> Option<Arm> {
        let arms = self.tests[test].arms.iter();
        arms.min_by(|(_, _, a), (_, _, b)| a.seconds.total_cmp(&b.seconds)).map(|(arm, ..)| *arm)
    }

    /// The arm of a test with the most iterations in the time, and how long it takes for those that are missing. An arm that the
    /// test has not tried is expected to be as fast as it is in all tests, and is tried if it is new to all of them.
    fn fastest(&self, test: usize) -> Option<(Arm, Duration)> {
        let state = &self.tests[test];
        let rate = |(arm, class, counts): &(Arm, Class, Counts)| {
            let own = (counts.instances, counts.seconds);
            let pooled = self.speeds.get(&(*class, arm.setting)).copied();
            let (instances, seconds) = if counts.tries > 0 { own } else { pooled.unwrap_or((u64::MAX, 0.0)) };
            instances as f64 / seconds.max(1e-9)
        };
        let best = state.arms.iter().max_by(|a, b| rate(a).total_cmp(&rate(b)))?;
        let missing = self.iterations.saturating_sub(state.instances) as f64;
        let time = Duration::try_from_secs_f64(missing / rate(best)).unwrap_or(LONGEST);
        Some((best.0, time.clamp(SHORTEST, LONGEST)))
    }

    /// The arm of a test with the highest upper confidence bound.
    fn best(&self, test: usize) -> Option<Arm> {
        let state = &self.tests[test];
        let turns = (1.0 + state.slices as f64).ln();
        let bound = |(arm, class, counts): &(Arm, Class, Counts)| {
            let pooled = self.pooled.get(&(*class, arm.setting)).copied().unwrap_or_default();
            let prior = (1.0 + pooled.seen as f64) / (2.0 + pooled.slices as f64);
            let slices = PRIOR + counts.slices as f64;
            (counts.seen as f64 + PRIOR * prior) / slices + (turns / (2.0 * slices)).sqrt()
        };
        state.arms.iter().max_by(|a, b| bound(a).total_cmp(&bound(b))).map(|(arm, ..)| *arm)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SETTINGS: usize = 7;

    fn subjects(allowed: &[bool], places: usize) -> Vec<Subject> {
        let places = |_| vec![(Class::Core, (0..SETTINGS).collect()); places];
        allowed.iter().enumerate().map(|(at, &is_wanted)| Subject { is_wanted, places: places(at) }).collect()
    }

    /// Runs a simulated machine: `sees` says how many sightings a slice gives.
    fn run(schedule: &mut Schedule, slices: usize, mut sees: impl FnMut(Arm) -> u64) -> Vec<Arm> {
        let mut taken = Vec::new();
        for _ in 0..slices {
            if schedule.is_done() {
                break;
            }
            let Some((arm, time)) = schedule.next_slice() else { break };
            schedule.add(arm, Pull { sightings: sees(arm), seconds: time.as_secs_f64(), instances: 100 });
            taken.push(arm);
        }
        taken
    }

    #[test]
    fn every_test_runs_on_every_placement_before_any_runs_again() {
        let mut schedule = Schedule::new(&subjects(&[true, false, true], 2), None, None);
        let taken = run(&mut schedule, 6, |_| 1);
        let wanted: Vec<Arm> = (0..6).map(|at| Arm { test: at / 2, place: at % 2, setting: 0 }).collect();
        assert_eq!(taken, wanted);
        assert!(schedule.is_brief_pass_over());
    }

    #[test]
    fn the_one_arm_that_shows_an_outcome_is_found() {
        // Only one of fourteen combinations shows the outcome of test 1.
        for good in [0, 5, 13] {
            let mut schedule = Schedule::new(&subjects(&[true, true, false], 2), Some(0.99999), None);
            let odd = Arm { test: 1, place: good / SETTINGS, setting: good % SETTINGS };
            let taken = run(&mut schedule, 20_000, |arm| u64::from(arm.test == 0 || arm == odd));
            assert!(schedule.is_done(), "arm {good} was not found in {} slices", taken.len());
            // It needs twelve sightings, and the arms that show nothing get few slices once it is known.
            assert!(taken.len() < 300, "{}", taken.len());
        }
    }

    #[test]
    fn no_arm_and_no_test_starves() {
        let mut schedule = Schedule::new(&subjects(&[true, false, true, false], 2), None, None);
        // Test 0 is seen at once, test 2 never.
        let taken = run(&mut schedule, 4000, |arm| u64::from(arm.test == 0));
        for test in 0..4 {
            for place in 0..2 {
                for setting in 0..SETTINGS {
                    let arm = Arm { test, place, setting };
                    assert!(taken.contains(&arm), "{arm:?} was never taken");
                }
            }
        }
        let of = |test| taken.iter().filter(|arm| arm.test == test).count();
        assert!(
            of(2) > 8 * of(1).max(of(3)),
            "time goes to what is allowed and not seen: {} {} {}",
            of(1),
            of(2),
            of(3)
        );
    }

    #[test]
    fn what_other_tests_tell_about_a_setting_is_used() {
        let allowed = vec![true; 40];
        let mut schedule = Schedule::new(&subjects(&allowed, 1), Some(0.9), None);
        // All tests show their outcome with setting 4 and with no other.
        let taken = run(&mut schedule, 100_000, |arm| 3 * u64::from(arm.setting == 4));
        assert!(schedule.is_done());
        // Without what the others tell, a test would try half of its settings on average after the first.
        let later: Vec<&Arm> = taken.iter().skip(200).collect();
        assert!(later.len() < 40, "{}", taken.len());
    }

    #[test]
    fn a_first_slice_without_a_batch_is_tried_again_but_not_for_ever() {
        let mut schedule = Schedule::new(&subjects(&[true, false], 1), None, None);
        let empty = Pull { sightings: 0, seconds: 0.004, instances: 0 };
        let first = Arm { test: 0, place: 0, setting: 0 };
        for _ in 0..2 {
            assert_eq!(schedule.next_slice().map(|(arm, _)| arm), Some(first));
            schedule.add(first, empty);
        }
        schedule.add(first, Pull { instances: 100, ..empty });
        let second = Arm { test: 1, ..first };
        for _ in 0..ATTEMPTS {
            assert_eq!(schedule.next_slice().map(|(arm, _)| arm), Some(second));
            schedule.add(second, empty);
        }
        assert!(schedule.is_brief_pass_over());
    }

    #[test]
    fn a_test_that_failed_is_not_run_again_and_the_others_end() {
        let mut schedule = Schedule::new(&subjects(&[true, true], 1), Some(0.5), None);
        schedule.fail(0);
        let taken = run(&mut schedule, 1000, |_| 1);
        assert!(schedule.is_done() && taken.iter().all(|arm| arm.test == 1), "{taken:?}");
        let mut none = Schedule::new(&[], None, None);
        assert_eq!(none.next_slice(), None);
    }

    #[test]
    fn slices_become_longer_with_the_time_that_a_test_has_had() {
        let mut schedule = Schedule::new(&subjects(&[true], 1), None, None);
        let mut longest = Duration::ZERO;
        for _ in 0..2000 {
            let (arm, time) = schedule.next_slice().unwrap();
            assert!((SHORTEST..=LONGEST).contains(&time));
            longest = longest.max(time);
            schedule.add(arm, Pull { sightings: 0, seconds: time.as_secs_f64(), instances: 100 });
        }
        assert_eq!(longest, LONGEST);
    }

    #[test]
    fn every_test_gets_the_iterations_that_were_asked_for_by_its_fastest_arm() {
        let mut schedule = Schedule::new(&subjects(&[true, false, true], 2), None, Some(10_000));
        // Setting 5 gives ten times as many as the others; test 2 gives none, and is left after a while.
        let rate = |arm: Arm| if arm.setting == 5 { 1e6 } else { 1e5 } * if arm.test == 2 { 0.0 } else { 1.0 };
        let mut sums = [0, 0, 0];
        let mut taken = Vec::new();
        while !schedule.is_done() {
            let (arm, time) = schedule.next_slice().unwrap();
            let instances = (rate(arm) * time.as_secs_f64()) as u64;
            sums[arm.test] += instances;
            taken.push(arm);
            schedule.add(arm, Pull { sightings: 0, seconds: time.as_secs_f64(), instances });
        }
        assert!(sums[0] >= 10_000 && sums[1] >= 10_000 && sums[2] == 0, "{sums:?}");
        // After the brief pass the settings are tried once, by any test; then the fast one is known to all.
        let settings = |arms: &mut dyn Iterator<Item = &Arm>| arms.map(|arm| arm.setting).collect::<Vec<usize>>();
        let later = settings(&mut taken.iter().filter(|arm| arm.test < 2 && arm.setting > 0));
        for setting in [1, 2, 3, 4, 6] {
            assert!(later.iter().filter(|&&found| found == setting).count() <= 1, "{setting}: {later:?}");
        }
        assert!(later.contains(&5) && sums[0].max(sums[1]) < 20_000, "{later:?} {sums:?}");
        let seconds = schedule.tests[2].seconds;
        assert!((LONGEST_FOR_ITERATIONS..LONGEST_FOR_ITERATIONS + 1.0).contains(&seconds), "{seconds}");
    }
}
