//! Computes the states in which a model allows a test to end.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;

use super::budget::Budget;
use super::code::Code;
use super::flags::Flags;
use super::search::{Candidate, Search, Visitor};
use super::{Bounds, Model, Result};
use crate::litmus::Verdict;
use crate::program::{Const, Quantifier};

/// What a model says about a test.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// The final states that the model allows: one value per column.
    pub states: BTreeSet<Vec<Const>>,
    /// Whether the condition holds in none, some or all of these states. As in herd7, this is about the
    /// condition, also for a `forall`.
    pub verdict: Verdict,
    /// The number of search steps.
    pub looked_at: u64,
    /// Whether any execution finishes, whether or not it passes the filter. None does if every path waits for a
    /// lock that its own thread holds.
    pub finishes: bool,
    /// Whether a loop was followed only so often ([`super::trace::BACKWARD`]) that executions may be missing.
    pub cuts_loops: bool,
    /// Whether the kernel's model sees a data race: two unordered accesses, at least one of them plain.
    pub data_race: bool,
    /// What else the kernel's model warns about.
    pub flags: Flags,
    /// Whether the state that the test asks about occurs only out of thin air: in executions in which a value
    /// depends on itself.
    pub thin_air: bool,
}

impl Outcome {
    /// The verdict on the race: on the condition, and for a `forall` on its violation. Where no state passes the filter,
    /// neither is ever seen.
    pub fn on_race(&self, quantifier: Quantifier) -> Verdict {
        match (quantifier, self.verdict) {
            (Quantifier::Forall, Verdict::Never) if !self.states.is_empty() => Verdict::Always,
            (Quantifier::Forall, Verdict::Always) => Verdict::Never,
            (_, verdict) => verdict,
        }
    }
}

/// Judges a test by a model.
///
/// # Errors
/// If the test is too large, or does something that the search cannot follow.
pub fn check(code: &Code, model: Model, bounds: Bounds) -> Result<Outcome> {
    let search = Search::new(code, bounds)?;
    let budget = search.budget();
    let mut seen = Seen { code, budget, states: BTreeMap::new(), flags: Flags::NONE, finishes: false, end: Ok(()) };
    let looked_at = search.run(Some(model), true, &mut seen)?;
    let Seen { states, flags, finishes, end, .. } = seen;
    end?;
    let holding = states.keys().filter(|state| code.condition.holds(state)).count();
    let verdict = match holding {
        0 => Verdict::Never,
        some if some == states.len() => Verdict::Always,
        _ => Verdict::Sometimes,
    };
    let mut origins = states.iter().filter(|(state, _)| code.is_race(state)).map(|(_, thin_air)| *thin_air).peekable();
    let thin_air = origins.peek().is_some() && origins.all(|thin_air| thin_air);
    Ok(Outcome {
        states: states.into_keys().collect(),
        verdict,
        looked_at,
        finishes,
        cuts_loops: search.cuts_loops(model),
        data_race: flags.contains(Flags::DATA_RACE),
        flags: flags.without(Flags::DATA_RACE),
        thin_air,
    })
}

/// The states found so far.
struct Seen<'c> {
    code: &'c Code,
    budget: &'c Budget,
    /// The states that pass the filter, each with whether every execution that ends there has a thin-air
    /// value.
    states: BTreeMap<Vec<Const>, bool>,
    flags: Flags,
    finishes: bool,
    /// An error if there are too many states.
    end: Result<()>,
}

impl Seen<'_> {
    /// Counts the memory of a new state. It is held twice: `check` also makes a line of text of it.
    fn count(&self, state: &[Const]) -> Result<()> {
        let bytes = 2 * (size_of::<Vec<Const>>() + size_of_val(state) + 32);
        self.budget.take(bytes, "bytes for the ways to run and the final states")
    }
}

impl Visitor for Seen<'_> {
    fn wants(&self, state: &[Const], thin_air: bool) -> bool {
        if !self.code.passes(state) {
            return !self.finishes;
        }
        self.states.get(state).is_none_or(|known_thin_air| *known_thin_air && !thin_air)
    }

    /// To find a flag, every execution that may have it must be examined.
    fn wants_flags(&self, state: &[Const], flags: Flags) -> bool {
        !self.flags.contains(flags) && self.code.passes(state)
    }

    fn take(&mut self, candidate: Candidate<'_>) -> ControlFlow<()> {
        self.finishes = true;
        if !self.code.passes(candidate.state) {
            return ControlFlow::Continue(());
        }
        self.flags = self.flags | candidate.flags;
        match self.states.get_mut(candidate.state) {
            Some(known) => *known &= candidate.thin_air,
            None => {
                self.end = self.count(candidate.state);
                self.states.insert(candidate.state.to_vec(), candidate.thin_air);
            }
        }
        if self.end.is_ok() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    }
}
