//! The search over settings: which settings get the next turn, and which are the best.
//!
//! Settings are arms of a bandit. A turn runs a test for some milliseconds with one arm. Every arm gets a turn, then those
//! that may be the best get more, and from then on a share of the turns goes to the arms with the fewest, so that no arm is given up
//! after one unlucky turn. What the search has found is only used to choose: the rate that a result quotes is measured afterwards.
//!
//! The first turn of an arm still looks for its period and its skews. If it was not hopeless the arm gets a second one, and
//! then the first no longer counts.
//!
//! The value of an arm is its number of races per second. On a virtual machine the distance between two CPUs changes, and which arm
//! is the best depends on it. So each stratum of distances has a search of its own: only turns in it are counted. The search
//! is in the stratum of the last two turns that had the same one, so a single look that was disturbed leads nowhere. A turn that
//! began with the period and the skews for another stratum says nothing about its arm.
//!
//! Where no races are seen, an arm is worth the number of instances per second whose outcome is not the one that an instance
//! without any overlap would have, measured by the variety of the outcomes, times what the arm was worth to tests that raced on the
//! same CPUs ([`Knowledge`]), if there were any. Neither is enough alone: another test may profit from settings at which the
//! threads of this one do not meet.

mod arm;
mod knowledge;

pub use arm::{Allowed, Arm, ArmPace, Change, arms, variants};
pub use knowledge::{Chosen, Knowledge, Settled};

use crate::harness::ENOUGH;

/// Every so many turns go to the arm with the fewest: the floor. It holds once no arm waits for its first turn, or for its second.
const FLOOR: usize = 4;
/// An arm whose first turn was worth less than this share of the best arm gets its second turn only by the floor.
const HOPELESS: f64 = 0.2;
/// An arm gets variants if it is worth this share of the best arm that is no variant. Measured on a Xeon: with prefetch an arm was worth
/// 1.8 times as much, and it was not the best one without.
const PROMISING: f64 = 0.5;
/// An arm is chosen only if it is better by this factor, and a standard deviation of the difference, than every arm before it, and
/// wins its finals only if it is better by this factor. A smaller difference is not worth other settings from one run to the next.
const WORTH: f64 = 1.2;
/// It is also chosen if it is better by this factor: where all values spread much, a deviation would hide most differences.
const CLEARLY: f64 = 1.5;
/// The counts of what runs free are divided by this before they are compared. Its threads meet where they happen to, which depends on what
/// else the machine does: measured on an AMD EPYC at one distance and with the same settings, 2 to 25 % of the iterations of SB raced, by whether
/// other guests of the host used the second hardware threads of the two cores, and 12 to 20 % of those that started by the clock.
const FREE: f64 = 2.0;
/// An arm may win a final if it is worth this share of the best arm.
const CONTENDER: f64 = 0.6;
/// The width of the interval in which the value of an arm is expected, in standard deviations of a mean.
const WIDTH: f64 = 2.0;
/// The relative deviation of turns of one arm as long as there are too few to measure it, and the least that is believed.
const DEVIATION: f64 = 0.3;
const LEAST_DEVIATION: f64 = 0.02;
/// What a turn has seen.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Turn {
    /// Number of iterations.
    pub iterations: u64,
    /// Number of races among them.
    pub races: u64,
    /// Number of iterations times the probability that two of them have different outcomes.
    pub variety: f64,
    /// Wall-clock time, in seconds.
    pub seconds: f64,
    /// The level of the distance between the CPUs at which it ran ([`crate::stats::Levels`]). Levels that turn out to be of one
    /// stratum are joined ([`Search::join`]).
    pub level: usize,
}

/// By what the arms are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Measure {
    /// Races per second.
    Races,
    /// As `Variety`, times the races per second of other tests on the same CPUs.
    Controls,
    /// Iterations per second, weighted by the variety of their outcomes.
    Variety,
}

/// A search over arms that are known by their numbers. The first arm has the default settings.
#[derive(Debug, Clone, Default)]
pub struct Search {
    turns: Vec<Vec<Played>>,
    known: Vec<Option<f64>>,
    /// Whether each runs free.
    free: Vec<bool>,
    /// The arm that this one is a variant of, and what differs.
    of: Vec<Option<(usize, Change)>>,
    /// For each level the first level of its stratum. Levels beyond the end are their own.
    joined: Vec<usize>,
    /// The level at which the search is.
    here: usize,
    /// The level of the last turn.
    last: Option<usize>,
}

/// A turn that was played.
#[derive(Debug, Clone, Copy)]
struct Played {
    turn: Turn,
    /// Whether it ran in the stratum that its period and its skews were for.
    tells: bool,
}

/// The turns that tell something about the arms in one stratum.
struct Seen<'s> {
    search: &'s Search,
    /// Those of each arm.
    turns: Vec<Vec<Turn>>,
}

impl Search {
    /// A search without arms.
    pub fn new() -> Search {
        Search::default()
    }

    /// Adds an arm. Nothing is known of it ([`Search::know`]).
    pub fn add(&mut self, pace: ArmPace) {
        self.push(pace, None);
    }

    /// Adds a variant of the arm `of`, as [`Search::add`]. A variant of a variant has none itself.
    pub fn add_variant(&mut self, pace: ArmPace, of: usize, change: Change) {
        self.push(pace, Some((of, change)));
    }

    fn push(&mut self, pace: ArmPace, of: Option<(usize, Change)>) {
        self.turns.push(Vec::new());
        self.known.push(None);
        self.free.push(pace == ArmPace::Free);
        self.of.push(of);
    }

    /// The variants that join now. `open` lists those that have not joined, an arm and its change each, and the result has indices into
    /// it. They are variants of one arm, the best one that has any, because they show which variants of other arms are worth a turn.
    ///
    /// Empty while an arm waits for its first turn, or one that is not hopeless for its second, unless time is `short`: then a first
    /// turn is enough. An arm that is no variant is promising if it is worth a share of `PROMISING` of the best such arm. A variant
    /// has variants if it is the best of all, and is no variant of a variant. The best of all and the best that is no variant are varied in every
    /// way, another arm in those that may do it good.
    pub fn joining(&self, open: &[(usize, Change)], short: bool) -> Vec<usize> {
        self.at(self.here).joining(open, short)
    }

    /// Number of arms.
    pub fn arms(&self) -> usize {
        self.turns.len()
    }

    /// The turns of an arm, at any distance.
    pub fn turns(&self, arm: usize) -> impl ExactSizeIterator<Item = &Turn> {
        self.turns[arm].iter().map(|played| &played.turn)
    }

    /// Begins at a level that is known before the first turn.
    pub fn begin_at(&mut self, level: usize) {
        (self.here, self.last) = (level, Some(level));
    }

    /// Notes what a turn of an arm has seen. It began with what the arm had found where the search was.
    pub fn seen(&mut self, arm: usize, turn: Turn) {
        let tells = self.last.is_none() || self.stratum(turn.level) == self.here();
        self.turns[arm].push(Played { turn, tells });
        if self.last.is_none_or(|last| self.stratum(last) == self.stratum(turn.level)) {
            self.here = turn.level;
        }
        self.last = Some(turn.level);
    }

    /// Joins the levels that belong to one stratum: `joined` has for each level the first level of its stratum.
    pub fn join(&mut self, joined: Vec<usize>) {
        self.joined = joined;
    }

    /// Sets what each arm was worth to other tests, relative to the best arm.
    pub fn know(&mut self, known: Vec<Option<f64>>) {
        self.known = known;
    }

    /// The stratum in which the search is: its first level.
    pub fn here(&self) -> usize {
        self.stratum(self.here)
    }

    /// The stratum of a level: the first level that belongs to it.
    pub fn stratum(&self, level: usize) -> usize {
        self.joined.get(level).copied().unwrap_or(level)
    }

    fn at(&self, stratum: usize) -> Seen<'_> {
        let here = |played: &&Played| played.tells && self.stratum(played.turn.level) == self.stratum(stratum);
        let of_arm = |turns: &Vec<Played>| turns.iter().filter(here).map(|played| played.turn).collect();
        Seen { search: self, turns: self.turns.iter().map(of_arm).collect() }
    }

    /// The arm that gets the next turn. `None` without arms.
    pub fn next(&self) -> Option<usize> {
        self.at(self.here).next()
    }

    /// The first of the best arms that had a turn in a stratum, and by what they were compared. The first arm without any. The
    /// order is fixed, so that two searches that have seen the same choose alike, whenever their variants joined.
    pub fn best_in(&self, stratum: usize) -> (usize, Measure) {
        self.at(stratum).best()
    }

    /// The arms that may be the best in a stratum, the one that is worth most first. None if they are not compared by races.
    pub fn contenders(&self, stratum: usize) -> Vec<usize> {
        let seen = self.at(stratum);
        let (measure, values) = seen.values();
        let enough = CONTENDER * highest(&values);
        let mut all: Vec<usize> = seen.tried().filter(|&arm| values[arm].0 >= enough && enough > 0.0).collect();
        all.sort_by(|&a, &b| values[b].0.total_cmp(&values[a].0));
        if measure == Measure::Races { all } else { Vec::new() }
    }

    /// The arm that wins the finals, in which each had some races per second. `None` if none had any. Of the arms that no other beats, the
    /// first in the order of choice wins. A final finds its period, so the stretch has no part in the order.
    pub fn winner(&self, finals: &[(usize, f64)]) -> Option<usize> {
        let worth = |&(arm, rate): &(usize, f64)| rate / self.handicap(arm);
        let best = finals.iter().map(worth).fold(0.0, f64::max);
        let won = finals.iter().filter(|final_| best > 0.0 && WORTH * worth(final_) >= best);
        let place = |arm: usize| {
            let (change, first) = self.place(arm);
            (Change { stretch: None, ..change }, first)
        };
        won.map(|(arm, _)| *arm).min_by_key(|&arm| place(arm))
    }

    /// The factor by which the races of an arm are divided before it is compared.
    fn handicap(&self, arm: usize) -> f64 {
        if self.free[arm] { FREE } else { 1.0 }
    }

    /// The place of an arm in the order of choice: first the arms of the beginning, then those with the same changes of these together.
    fn place(&self, arm: usize) -> (Change, usize) {
        let Some((of, change)) = self.of[arm] else { return (Change::default(), arm) };
        let (before, first) = self.place(of);
        (Change { from: None, ..change.after(before) }, first)
    }

    /// The value of each arm in a stratum relative to the best, if they are compared by races: what other tests can learn.
    pub fn lessons(&self, stratum: usize) -> Option<Vec<(usize, f64)>> {
        let seen = self.at(stratum);
        let (measure, values) = seen.values();
        // Another test divides by the handicap itself.
        let raced = |arm: usize| values[arm].0 * self.handicap(arm);
        let best = seen.tried().map(raced).fold(0.0, f64::max);
        (measure == Measure::Races && best > 0.0).then(|| seen.tried().map(|arm| (arm, raced(arm) / best)).collect())
    }
}

impl Seen<'_> {
    fn arms(&self) -> std::ops::Range<usize> {
        0..self.turns.len()
    }

    /// The arms that had a turn.
    fn tried(&self) -> impl Iterator<Item = usize> {
        self.arms().filter(|&arm| !self.turns[arm].is_empty())
    }

    /// See [`Search::joining`].
    fn joining(&self, open: &[(usize, Change)], short: bool) -> Vec<usize> {
        let of = &self.search.of;
        if self.tried().count() < of.len() {
            return Vec::new();
        }
        let (measure, values) = self.values();
        if !short && self.next_second(&values).is_some() {
            return Vec::new();
        }
        let plain = values.iter().zip(of).filter(|(_, of)| of.is_none()).map(|(value, _)| value);
        let (best, best_plain) = (highest(&values), highest(plain));
        let may_gain = |&at: &usize| {
            let (arm, change) = open[at];
            let value = values[arm].0;
            let (promising, is_best) = match of[arm] {
                None => (value >= PROMISING * best_plain, value >= best_plain),
                Some((first, _)) if value >= best && of[first].is_none() => (true, true),
                Some(_) => return false,
            };
            match change.stretch {
                Some(stretch) => (promising || !short) && measure == Measure::Races && self.may_stretch(arm, stretch),
                // A few turns of other arms do not tell whether a change is good for the best.
                None => promising && (is_best || self.may_do_good(change, &values)),
            }
        };
        let worth: Vec<usize> = (0..open.len()).filter(may_gain).collect();
        // `max_by` returns the last of equals; the order of the arms decides.
        let first = worth.iter().map(|&at| open[at].0).rev().max_by(|&a, &b| values[a].0.total_cmp(&values[b].0));
        worth.into_iter().filter(|&at| Some(open[at].0) == first).collect()
    }

    /// Whether a longer period may give an arm more races. It has that many times fewer iterations, of which all may race. This is no
    /// question of what the arm is worth: at a period at which the lines themselves keep the threads in step it may have no race at all.
    fn may_stretch(&self, arm: usize, stretch: u32) -> bool {
        let fewer = |turn: &Turn| turn.races.saturating_mul(stretch.into()) < turn.iterations;
        self.turns[arm].last().is_some_and(fewer)
    }

    /// Whether a change may do good to an arm that is no variant: it did to another one, or was tried on none. What it did to a
    /// variant with a longer period says nothing about a short one, and the best period itself depends on the arm.
    fn may_do_good(&self, change: Change, values: &[(f64, f64)]) -> bool {
        let of = &self.search.of;
        let alike = |variant: usize| of[variant].filter(|&(first, known)| known == change && of[first].is_none());
        let mut tried = self.tried().filter_map(|variant| Some((variant, alike(variant)?.0))).peekable();
        tried.peek().is_none() || tried.any(|(variant, first)| values[variant].0 >= values[first].0)
    }

    /// See [`Search::next`].
    fn next(&self) -> Option<usize> {
        let known = |arm: usize| self.search.known[arm].unwrap_or(0.0);
        // The first arm is the one that the others must beat, so it comes first.
        let rank = |arm: usize| if arm == 0 { f64::INFINITY } else { known(arm) };
        let untried = self.arms().filter(|&arm| self.turns[arm].is_empty());
        // `max_by` returns the last of equals; the order of the arms decides.
        if let Some(arm) = untried.rev().max_by(|&a, &b| rank(a).total_cmp(&rank(b))) {
            return Some(arm);
        }
        let values = self.values().1;
        if let Some(arm) = self.next_second(&values) {
            return Some(arm);
        }
        let taken: usize = self.turns.iter().map(Vec::len).sum();
        if taken.is_multiple_of(FLOOR) {
            return self.arms().min_by_key(|&arm| self.turns[arm].len());
        }
        let upper = |arm: usize| values[arm].0 + WIDTH * values[arm].1;
        let leader = self.arms().max_by(|&a, &b| values[a].0.total_cmp(&values[b].0))?;
        let challenger = self.arms().filter(|&arm| arm != leader).max_by(|&a, &b| upper(a).total_cmp(&upper(b)));
        // The two that matter get turns alike, so that both become known.
        Some(challenger.filter(|&arm| self.turns[arm].len() <= self.turns[leader].len()).unwrap_or(leader))
    }

    /// The next arm that had one turn and is not hopeless.
    fn next_second(&self, values: &[(f64, f64)]) -> Option<usize> {
        let best = highest(values);
        self.arms().find(|&arm| self.turns[arm].len() == 1 && values[arm].0 >= HOPELESS * best)
    }

    /// See [`Search::best_in`].
    fn best(&self) -> (usize, Measure) {
        let (measure, values) = self.values();
        let mut tried: Vec<usize> = self.tried().collect();
        tried.sort_by_key(|&arm| self.search.place(arm));
        let Some(best) = tried.iter().copied().rev().max_by(|&a, &b| values[a].0.total_cmp(&values[b].0)) else {
            return (0, measure);
        };
        // Better by less than this is not worth other settings, or chance.
        let chance = |arm: usize| values[arm].1.hypot(values[best].1);
        let enough = |arm: usize| (WORTH * values[arm].0 + chance(arm)).min(CLEARLY * values[arm].0);
        let first = tried.into_iter().find(|&arm| arm == best || values[best].0 <= enough(arm));
        (first.filter(|_| values[best].0 > 0.0).unwrap_or(0), measure)
    }

    /// The value of each arm, with the standard deviation of its mean.
    fn values(&self) -> (Measure, Vec<(f64, f64)>) {
        let races: u64 = self.turns.iter().flatten().map(|turn| turn.races).sum();
        if races >= ENOUGH {
            return (Measure::Races, self.per_second(|turn| turn.races as f64));
        }
        let varieties = self.per_second(|turn| turn.variety);
        let known = &self.search.known;
        if known.iter().all(Option::is_none) {
            return (Measure::Variety, varieties);
        }
        let weighted = |(known, (value, deviation)): (&Option<f64>, (f64, f64))| {
            let known = known.unwrap_or(0.0);
            (known * value, known * deviation)
        };
        (Measure::Controls, known.iter().zip(varieties).map(weighted).collect())
    }

    /// The counts per second of each arm by its handicap, with the standard deviation of its mean.
    fn per_second(&self, count: impl Fn(&Turn) -> f64) -> Vec<(f64, f64)> {
        let told: Vec<&[Turn]> = self.turns.iter().map(|turns| telling(turns)).collect();
        let of_arm = |turns: &&[Turn]| {
            let seconds: f64 = turns.iter().map(|turn| turn.seconds).sum();
            turns.iter().map(&count).sum::<f64>() / seconds.max(f64::MIN_POSITIVE)
        };
        let values: Vec<f64> = told.iter().map(of_arm).collect();
        let deviation = deviation(&told, &count, &values);
        let with_deviation = |(arm, (value, turns)): (usize, (f64, &&[Turn]))| {
            let value = value / self.search.handicap(arm);
            (value, value * deviation / (turns.len().max(1) as f64).sqrt())
        };
        values.into_iter().zip(&told).enumerate().map(with_deviation).collect()
    }
}

/// The highest of the values.
fn highest<'a>(values: impl IntoIterator<Item = &'a (f64, f64)>) -> f64 {
    values.into_iter().map(|value| value.0).fold(0.0, f64::max)
}

/// The turns of an arm that tell its value: not the first, if there is another.
fn telling(turns: &[Turn]) -> &[Turn] {
    if turns.len() > 1 { &turns[1..] } else { turns }
}

/// The relative deviation of a turn from the value of its arm, from all arms with several turns.
fn deviation(told: &[&[Turn]], count: impl Fn(&Turn) -> f64, values: &[f64]) -> f64 {
    let (mut squares, mut free) = (0.0, 0.0);
    for (turns, value) in told.iter().zip(values).filter(|(turns, value)| turns.len() > 1 && **value > 0.0) {
        let relative = |turn: &Turn| count(turn) / (value * turn.seconds).max(f64::MIN_POSITIVE);
        squares += turns.iter().map(|turn| (relative(turn) - 1.0).powi(2)).sum::<f64>();
        free += turns.len() as f64 - 1.0;
    }
    if free < 3.0 { DEVIATION } else { (squares / free).sqrt().max(LEAST_DEVIATION) }
}

#[cfg(test)]
mod tests;
