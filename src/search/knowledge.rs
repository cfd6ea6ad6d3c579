//! What the searches of a run have found, for the tests after them on the same CPUs, and what was found before it.

use std::collections::HashMap;

use super::Arm;
use crate::stats::{apart, same_distance};

/// What an arm is worth, relative to one that a test profited from before the run, if nothing else is known of it.
const OTHERS: f64 = 0.5;

/// What was chosen for a test on some CPUs.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Chosen {
    /// The arm.
    pub arm: Arm,
    /// The period at which it was left, in ticks; 0 if free.
    pub period_ticks: f64,
    /// The period with the most races in a run at these settings, in ticks; `None` if it is not known.
    pub best_period_ticks: Option<f64>,
    /// The factor of the width of its sweep of skews.
    pub reach: u32,
    /// The distance between the CPUs that it was chosen at, in nanoseconds; `None` if none was measured.
    pub distance_ns: Option<f64>,
}

/// Settings whose best period is known.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Settled {
    /// The settings.
    pub chosen: Chosen,
    /// How long the run was that found the period, in seconds.
    pub elapsed_s: f64,
}

/// What was chosen before a run.
#[derive(Debug)]
struct Given {
    chosen: Chosen,
    /// Where it comes from, in words.
    source: String,
}

/// What an arm was worth to a test.
#[derive(Debug, Clone, Copy)]
struct Value {
    /// Races per second, relative to the best arm.
    relative: f64,
    /// The distance between the CPUs, in nanoseconds.
    ns: Option<f64>,
}

/// Whether two settings are the same arm for the same distance.
fn alike(a: &Chosen, b: &Chosen) -> bool {
    a.arm == b.arm && same_distance(a.distance_ns, b.distance_ns)
}

/// What the searches of a run have found. CPUs are those of the threads, in order.
#[derive(Debug, Default)]
pub struct Knowledge {
    /// The values of each arm.
    values: HashMap<(Vec<usize>, Arm), Vec<Value>>,
    /// The arms that tests which raced had before this run, and for which distance.
    recalled: HashMap<Vec<usize>, Vec<(Arm, Option<f64>)>>,
    /// What was chosen, in order of time, by the hash of the test's source.
    chosen: HashMap<(Vec<usize>, String), Vec<Chosen>>,
    /// The time of the search for each of these, in seconds.
    searched_s: HashMap<(Vec<usize>, String), Vec<f64>>,
    /// What was chosen before this run, in the same form, the latest first.
    given: HashMap<(Vec<usize>, String), Vec<Given>>,
    /// What the first run of each test began with.
    begun: HashMap<(Vec<usize>, String), Chosen>,
    /// What runs found to be the period with the most races.
    settled: HashMap<(Vec<usize>, String), Vec<Settled>>,
}

impl Knowledge {
    /// What an arm was worth to the tests before on these CPUs: the mean of its values relative to the best. Those at a distance like
    /// `ns` nanoseconds count, or all if there are none. Where this run has learned nothing, what was recalled is worth more than
    /// the others.
    pub fn value(&self, cpus: &[usize], arm: Arm, ns: Option<f64>) -> Option<f64> {
        let here = |at: Option<f64>| at.zip(ns).is_some_and(|(at, ns)| !apart(at, ns));
        let Some(known) = self.values.get(&(cpus.to_vec(), arm)) else {
            let recalled = self.recalled.get(cpus)?;
            return Some(
                if recalled.contains(&(arm, None)) || recalled.iter().any(|&(known, at)| known == arm && here(at)) {
                    1.0
                } else {
                    OTHERS
                },
            );
        };
        let is_here = |value: &&Value| here(value.ns);
        let mean = |values: &[f64]| (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64);
        let [here, all]: [Vec<f64>; 2] = [
            known.iter().filter(is_here).map(|value| value.relative).collect(),
            known.iter().map(|value| value.relative).collect(),
        ];
        mean(&here).or_else(|| mean(&all))
    }

    /// Notes the arm that a test which raced had before this run, at a distance of `ns` nanoseconds.
    pub fn recall(&mut self, cpus: &[usize], arm: Arm, ns: Option<f64>) {
        self.recalled.entry(cpus.to_vec()).or_default().push((arm, ns));
    }

    /// Notes what an arm was worth to a test at a distance of `ns` nanoseconds.
    pub fn learn(&mut self, cpus: &[usize], arm: Arm, ns: Option<f64>, relative: f64) {
        self.values.entry((cpus.to_vec(), arm)).or_default().push(Value { relative, ns });
    }

    /// What the first run of a test on these CPUs began with. Its repeats begin with it too, so that the first part of each has the same
    /// machine code.
    pub fn begun(&self, cpus: &[usize], test: &str) -> Option<Chosen> {
        let begun = self.begun.get(&(cpus.to_vec(), test.to_owned())).copied();
        begun.map(|chosen| self.with_period(cpus, test, chosen))
    }

    /// Notes what a run of a test begins with. Later runs change nothing.
    pub fn begin(&mut self, cpus: &[usize], test: &str, chosen: Chosen) {
        self.begun.entry((cpus.to_vec(), test.to_owned())).or_insert(chosen);
    }

    /// What was chosen for a test at a distance like this one, in nanoseconds, by this run or else before it.
    pub fn chosen_at(&self, cpus: &[usize], test: &str, ns: f64) -> Option<Chosen> {
        let here = |chosen: &&Chosen| chosen.distance_ns.is_some_and(|known| !apart(known, ns));
        let own = self.chosen(cpus, test).iter().rfind(here);
        let chosen = own.or_else(|| self.given(cpus, test).find(here)).copied();
        chosen.map(|chosen| self.with_period(cpus, test, chosen))
    }

    /// The same settings with the best period that a run has found for them.
    fn with_period(&self, cpus: &[usize], test: &str, chosen: Chosen) -> Chosen {
        let mut settled = self.settled(cpus, test).iter().map(|settled| settled.chosen);
        let found = settled.find(|settled| alike(settled, &chosen));
        let found = found.and_then(|settled| settled.best_period_ticks);
        Chosen { best_period_ticks: chosen.best_period_ticks.or(found), ..chosen }
    }

    /// All that this run chose for a test on these CPUs, in order of time.
    pub fn chosen(&self, cpus: &[usize], test: &str) -> &[Chosen] {
        self.chosen.get(&(cpus.to_vec(), test.to_owned())).map_or(&[], Vec::as_slice)
    }

    /// All that was chosen for a test on these CPUs before this run, the latest first.
    pub fn given(&self, cpus: &[usize], test: &str) -> impl Iterator<Item = &Chosen> {
        self.with_sources(cpus, test).iter().map(|given| &given.chosen)
    }

    fn with_sources(&self, cpus: &[usize], test: &str) -> &[Given] {
        self.given.get(&(cpus.to_vec(), test.to_owned())).map_or(&[], Vec::as_slice)
    }

    /// Where the settings come from that a run of a test uses, if they were chosen before this run.
    pub fn source(&self, cpus: &[usize], test: &str, used: &Chosen) -> Option<&str> {
        let here = self.chosen(cpus, test).iter().any(|chosen| alike(chosen, used));
        let mut given = self.with_sources(cpus, test).iter();
        given.find(|given| !here && alike(&given.chosen, used)).map(|given| given.source.as_str())
    }

    /// All that this run chose for a test on these CPUs, each with the time of its search in seconds.
    pub fn searched(&self, cpus: &[usize], test: &str) -> impl Iterator<Item = (&Chosen, f64)> {
        let seconds = self.searched_s.get(&(cpus.to_vec(), test.to_owned())).map_or(&[][..], Vec::as_slice);
        self.chosen(cpus, test).iter().zip(seconds.iter().copied())
    }

    /// Notes what was chosen for a test, and how long the search took there, in seconds.
    pub fn choose(&mut self, cpus: &[usize], test: &str, chosen: Chosen, seconds: f64) {
        let key = (cpus.to_vec(), test.to_owned());
        self.searched_s.entry(key.clone()).or_default().push(seconds);
        self.chosen.entry(key).or_default().push(chosen);
    }

    /// Notes the best period of a run of a test. At each distance the longest run decides.
    pub fn settle(&mut self, cpus: &[usize], test: &str, settled: Settled) {
        let all = self.settled.entry((cpus.to_vec(), test.to_owned())).or_default();
        match all.iter_mut().find(|known| alike(&known.chosen, &settled.chosen)) {
            Some(known) if known.elapsed_s < settled.elapsed_s => *known = settled,
            Some(_) => (),
            None => all.push(settled),
        }
    }

    /// What runs of a test on these CPUs settled on.
    pub fn settled(&self, cpus: &[usize], test: &str) -> &[Settled] {
        self.settled.get(&(cpus.to_vec(), test.to_owned())).map_or(&[], Vec::as_slice)
    }

    /// Notes what was chosen for a test before this run, and its source in words; the latest first.
    pub fn give(&mut self, cpus: &[usize], test: &str, chosen: Chosen, source: &str) {
        self.given
            .entry((cpus.to_vec(), test.to_owned()))
            .or_default()
            .push(Given { chosen, source: source.to_owned() });
    }
}
