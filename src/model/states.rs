//! The states a model allows a test to end in.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;

use super::axioms::{self, Judgement};
use super::code::Code;
use super::search::Search;
use super::{Bounds, Model, Result};
use crate::litmus::Verdict;
use crate::program::{Const, Quantifier};

/// What a model says about a test.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// The states it may end in: a value per column.
    pub states: BTreeSet<Vec<Const>>,
    /// In how many of them, of all executions, the condition holds: never, sometimes, always. For a `forall`, too, it
    /// is about the condition, as herd7 has it.
    pub verdict: Verdict,
    /// Steps in which candidate executions were grown.
    pub looked_at: u64,
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

/// Judges a test by a model.
///
/// # Errors
/// If the test is too large or cannot be followed.
pub fn check(code: &Code, model: Model, bounds: Bounds) -> Result<Outcome> {
    let search = Search::new(code, bounds)?;
    // Whether there is a data race takes a look at every execution, and only plain accesses have any.
    let races = model == Model::Lkmm && search.has_plain();
    let mut states = BTreeMap::new();
    let mut data_race = false;
    let looked_at = search.run(Some(model), true, &mut |candidate| {
        let kept = code.filter.as_ref().is_none_or(|filter| filter.holds(&candidate.state));
        if races && kept && !data_race {
            let judgement = axioms::judge(model, candidate.execution)(candidate.witness);
            data_race = matches!(judgement, Judgement::Allowed { race: true, .. });
        }
        states.insert(candidate.state, kept);
        ControlFlow::Continue(())
    })?;
    let states: BTreeSet<Vec<Const>> = states.into_iter().filter(|(_, kept)| *kept).map(|(state, _)| state).collect();
    let holding = states.iter().filter(|state| code.condition.holds(state)).count();
    let verdict = match holding {
        0 => Verdict::Never,
        some if some == states.len() => Verdict::Always,
        _ => Verdict::Sometimes,
    };
    Ok(Outcome { states, verdict, looked_at, data_race })
}
