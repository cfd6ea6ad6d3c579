//! The states a model allows a test to end in.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::axioms::{self, Judgement};
use super::code::Code;
use super::event::{Kind, Tags};
use super::execution::{Execution, Fit, Witness};
use super::trace::{Trace, traces};
use super::{Bounds, Model, ModelError, Result};
use crate::litmus::Verdict;
use crate::program::{Column, Const, LocationId, Quantifier};

/// What a model says about a test.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// The states it may end in: a value per column.
    pub states: BTreeSet<Vec<Const>>,
    /// In how many of them, of all executions, the condition holds: never, sometimes, always. For a `forall`, too, it
    /// is about the condition, as herd7 has it.
    pub verdict: Verdict,
    /// Candidate executions that were looked at.
    pub candidates: u64,
    /// Whether the kernel's model sees a data race: accesses, one of them plain, that nothing orders.
    pub data_race: bool,
}

impl Outcome {
    /// The verdict on what is counted as a race: the condition, and for a `forall` its violation.
    pub fn on_race(&self, quantifier: Quantifier) -> Verdict {
        match (quantifier, self.verdict) {
            (Quantifier::Forall, Verdict::Never) => Verdict::Always,
            (Quantifier::Forall, Verdict::Always) => Verdict::Never,
            (_, verdict) => verdict,
        }
    }
}

/// Everything a test can do, by what its threads do.
pub struct Candidates<'a> {
    code: &'a Code,
    traces: Vec<Vec<Trace>>,
    bounds: Bounds,
}

impl<'a> Candidates<'a> {
    /// Finds what each thread can do: which values a location can have is not known at first, so the threads are run
    /// with the values known so far until they write nothing new.
    ///
    /// # Errors
    /// If there is too much, or the test does something that cannot be followed.
    pub fn new(code: &'a Code, bounds: Bounds) -> Result<Candidates<'a>> {
        let mut values: Vec<BTreeSet<Const>> = code.init.iter().map(|init| BTreeSet::from([*init])).collect();
        // A value comes from an initial one through as many writes as an execution has, at most; one that needs more
        // would have to come out of itself.
        let writes: usize = code.threads.iter().map(|thread| thread.steps.len()).sum();
        let mut all = Vec::new();
        for _ in 0..=writes {
            let lists: Vec<Vec<Const>> = values.iter().map(|set| set.iter().copied().collect()).collect();
            all = (0..code.threads.len())
                .map(|thread| traces(code, thread, &lists, bounds.traces))
                .collect::<Result<Vec<_>>>()?;
            let before: usize = values.iter().map(BTreeSet::len).sum();
            for event in all.iter().flatten().flat_map(|trace| &trace.events) {
                if let Kind::Write(location, value) = event.kind {
                    values[location].insert(value);
                }
            }
            if values.iter().map(BTreeSet::len).sum::<usize>() == before {
                break;
            }
        }
        Ok(Candidates { code, traces: all, bounds })
    }

    /// Shows every execution whose reads can all find their values.
    ///
    /// # Errors
    /// What `see` returns, or if an execution has too many events.
    pub fn executions(&self, mut see: impl FnMut(&Execution) -> Result<()>) -> Result<()> {
        let mut numbers: HashMap<(LocationId, Const), usize> = HashMap::new();
        let mut number = |location, value| {
            let next = numbers.len();
            *numbers.entry((location, value)).or_insert(next)
        };
        let initial: Vec<usize> = (self.code.init.iter().enumerate()).map(|(at, value)| number(at, *value)).collect();
        let mut wants: Vec<Vec<[Vec<usize>; 2]>> = Vec::new();
        for list in &self.traces {
            let mut each = Vec::new();
            for trace in list {
                let mut sides = [Vec::new(), Vec::new()];
                for event in &trace.events {
                    match event.kind {
                        Kind::Read(location, value) => sides[0].push(number(location, value)),
                        Kind::Write(location, value) => sides[1].push(number(location, value)),
                        Kind::Fence => {}
                    }
                }
                each.push(sides);
            }
            wants.push(each);
        }
        let mut supply = vec![0u32; numbers.len()];
        for value in initial {
            supply[value] += 1;
        }
        let mut chosen = vec![0; self.traces.len()];
        let mut steps = 0;
        self.choose(0, &wants, &mut supply, &mut chosen, &mut steps, &mut see)
    }

    fn choose(
        &self,
        thread: usize,
        wants: &[Vec<[Vec<usize>; 2]>],
        supply: &mut [u32],
        chosen: &mut [usize],
        steps: &mut u64,
        see: &mut impl FnMut(&Execution) -> Result<()>,
    ) -> Result<()> {
        if thread == self.traces.len() {
            *steps += 1;
            if *steps > self.bounds.candidates {
                return Err(ModelError::TooLarge { what: "ways for the threads to run together", count: *steps });
            }
            let found =
                chosen.iter().zip(wants).all(|(pick, each)| each[*pick][0].iter().all(|value| supply[*value] > 0));
            if !found {
                return Ok(());
            }
            let traces: Vec<&Trace> = chosen.iter().zip(&self.traces).map(|(pick, list)| &list[*pick]).collect();
            return see(&Execution::new(&self.code.init, &traces)?);
        }
        for pick in 0..self.traces[thread].len() {
            chosen[thread] = pick;
            for value in &wants[thread][pick][1] {
                supply[*value] += 1;
            }
            self.choose(thread + 1, wants, supply, chosen, steps, see)?;
            for value in &wants[thread][pick][1] {
                supply[*value] -= 1;
            }
        }
        Ok(())
    }
}

/// Goes through every choice of one fit per location.
pub struct Choices<'f> {
    fits: &'f [Vec<Fit>],
    at: Option<Vec<usize>>,
}

impl<'f> Choices<'f> {
    /// All choices, none if a location has no fit.
    pub fn new(fits: &'f [Vec<Fit>]) -> Choices<'f> {
        let some = fits.iter().all(|list| !list.is_empty());
        Choices { fits, at: some.then(|| vec![0; fits.len()]) }
    }

    /// How many there are.
    pub fn total(&self) -> u64 {
        self.fits.iter().fold(1, |count, list| count.saturating_mul(list.len() as u64))
    }
}

impl<'f> Iterator for Choices<'f> {
    type Item = Vec<&'f Fit>;

    fn next(&mut self) -> Option<Self::Item> {
        let at = self.at.as_mut()?;
        let choice = at.iter().zip(self.fits).map(|(pick, list)| &list[*pick]).collect();
        let mut digit = 0;
        while digit < at.len() {
            at[digit] += 1;
            if at[digit] < self.fits[digit].len() {
                return Some(choice);
            }
            at[digit] = 0;
            digit += 1;
        }
        self.at = None;
        Some(choice)
    }
}

/// Judges a test by a model.
///
/// # Errors
/// If the test is too large or cannot be followed.
pub fn check(code: &Code, model: Model, bounds: Bounds) -> Result<Outcome> {
    let candidates = Candidates::new(code, bounds)?;
    // Whether there is a data race takes a look at every execution, and only plain accesses have any.
    let plain =
        candidates.traces.iter().flatten().flat_map(|trace| &trace.events).any(|event| event.tags.any(Tags::PLAIN));
    let races = plain && model == Model::Lkmm;
    let on_memory = code.columns.iter().any(|column| matches!(column, Column::Location(_)));
    let mut states = BTreeMap::new();
    let mut looked_at = 0u64;
    let mut data_race = false;
    candidates.executions(|execution| {
        let fits = execution.fits(true, bounds.candidates)?;
        let choices = Choices::new(&fits);
        looked_at = looked_at.saturating_add(choices.total());
        if looked_at > bounds.candidates {
            return Err(ModelError::TooLarge { what: "candidate executions", count: looked_at });
        }
        let mut judge = None;
        for choice in choices {
            let state = execution.state(&code.columns, |location| choice[location]);
            if states.contains_key(&state) && !races {
                if on_memory {
                    continue;
                }
                break;
            }
            let witness: Witness = execution.witness(choice.iter().copied());
            let judge = judge.get_or_insert_with(|| axioms::judge(model, execution));
            if let Judgement::Allowed { race, .. } = judge(&witness) {
                let kept = code.filter.as_ref().is_none_or(|filter| filter.holds(&state));
                data_race |= race && kept;
                states.insert(state, kept);
            }
        }
        Ok(())
    })?;
    let states: BTreeSet<Vec<Const>> = states.into_iter().filter(|(_, kept)| *kept).map(|(state, _)| state).collect();
    let holding = states.iter().filter(|state| code.condition.holds(state)).count();
    let verdict = match holding {
        0 => Verdict::Never,
        some if some == states.len() => Verdict::Always,
        _ => Verdict::Sometimes,
    };
    Ok(Outcome { states, verdict, candidates: looked_at, data_race })
}
