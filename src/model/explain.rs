//! Explains a verdict: one execution that the test asks about, and what allows or forbids it.

use std::fmt::Write as _;
use std::ops::ControlFlow;

use super::axioms::{self, Demand, Detail, Judgement, Violation};
use super::code::Code;
use super::execution::{Execution, Witness};
use super::relation::Relation;
use super::search::{Candidate, Search, Visitor};
use super::{Bounds, Model, ModelError, Result};
use crate::program::Const;

/// An execution and what a model says about it.
#[derive(Debug, Clone)]
pub struct Explanation {
    /// The events.
    pub execution: Execution,
    /// Reads-from, coherence, from-read.
    pub witness: Witness,
    /// The values of the columns at the end of the execution.
    pub state: Vec<Const>,
    /// Why the model allows or forbids it.
    pub reason: Reason,
}

/// Why a model allows or forbids an execution.
#[derive(Debug, Clone)]
pub enum Reason {
    /// Allowed: no axiom is violated if the accesses take effect in this order.
    Allowed {
        /// The reads and writes of the threads, in that order.
        order: Vec<usize>,
        /// Whether every read returns the last write before it in that order. If not, threads see the writes
        /// at different times, no single order explains the execution, and this order only respects what the
        /// model orders.
        single: bool,
    },
    /// Forbidden: an axiom is violated.
    Forbidden {
        /// The published name of the axiom.
        axiom: &'static str,
        /// A cycle: each event with the name of the relation that leads to the next event. The last leads to
        /// the first.
        cycle: Vec<(usize, &'static str)>,
    },
}

/// Looks for an execution whose final state satisfies the condition; for a `forall`, one that violates it.
/// Returns an allowed execution if there is one, else the forbidden one with the shortest cycle, else `None`:
/// no execution ends with these values.
///
/// # Errors
/// As [`super::check`].
pub fn explain(code: &Code, model: Model, bounds: Bounds) -> Result<Option<Explanation>> {
    let mut search = Search::new(code, bounds)?;
    let mut allowing = Allowing { code, model, found: None };
    search.run(Some(model), true, &mut allowing)?;
    if allowing.found.is_some() {
        return Ok(allowing.found);
    }
    // No execution is allowed. First look at the coherent ones, because every model demands coherence. If
    // there are none, the missing coherence is the reason. Every cycle is a valid explanation, so a search
    // that exceeds its limit returns the shortest cycle so far.
    search.limit(bounds.candidates.min(200_000));
    let mut forbidding = Forbidding { code, model, shortest: None };
    for coherent in [true, false] {
        let end = search.run(None, coherent, &mut forbidding);
        match end {
            Err(error @ ModelError::TooLarge { .. }) if forbidding.shortest.is_none() => return Err(error),
            Err(ModelError::TooLarge { .. }) | Ok(_) => {}
            Err(error) => return Err(error),
        }
        if forbidding.shortest.is_some() {
            break;
        }
    }
    Ok(forbidding.shortest.map(|(_, explanation)| explanation))
}

fn explanation(candidate: Candidate<'_>, reason: Reason) -> Explanation {
    let execution = Execution { events: candidate.events(), ..candidate.execution.clone() };
    Explanation { execution, witness: candidate.witness.clone(), state: candidate.state.to_vec(), reason }
}

/// Keeps the first allowed execution; prefers one without thin-air values.
struct Allowing<'c> {
    code: &'c Code,
    model: Model,
    found: Option<Explanation>,
}

impl Visitor for Allowing<'_> {
    fn wants(&self, state: &[Const], thin_air: bool) -> bool {
        self.code.is_race(state) && (self.found.is_none() || !thin_air)
    }

    fn take(&mut self, candidate: Candidate<'_>) -> ControlFlow<()> {
        let judgement = axioms::judge(self.model, candidate.execution)(candidate.witness, Detail::Why);
        let Judgement::Allowed { order, .. } = judgement else { return ControlFlow::Continue(()) };
        let reason = allowed(candidate.execution, candidate.witness, &order);
        let end = if candidate.thin_air { ControlFlow::Continue(()) } else { ControlFlow::Break(()) };
        self.found = Some(explanation(candidate, reason));
        end
    }
}

/// Keeps the forbidden execution with the shortest cycle, and the length of that cycle.
struct Forbidding<'c> {
    code: &'c Code,
    model: Model,
    shortest: Option<(usize, Explanation)>,
}

impl Visitor for Forbidding<'_> {
    fn wants(&self, state: &[Const], _thin_air: bool) -> bool {
        self.code.is_race(state)
    }

    fn take(&mut self, candidate: Candidate<'_>) -> ControlFlow<()> {
        let incoherent = axioms::coherence(self.model, candidate.execution, candidate.witness);
        let violation = incoherent.or_else(|| {
            match axioms::judge(self.model, candidate.execution)(candidate.witness, Detail::Why) {
                Judgement::Forbidden(violation) => Some(violation),
                Judgement::Allowed { .. } => None,
            }
        });
        if let Some((reason, length)) = violation.map(|violation| forbidden(candidate.execution, violation))
            && self.shortest.as_ref().is_none_or(|(shortest, _)| length < *shortest)
        {
            self.shortest = Some((length, explanation(candidate, reason)));
        }
        ControlFlow::Continue(())
    }
}

fn allowed(execution: &Execution, witness: &Witness, order: &Relation) -> Reason {
    let shown = execution.m() - execution.iw;
    let Witness { rf, co, fr } = witness;
    let with_communication = ((order | rf) | co) | fr;
    let (all, single) = match with_communication.linearised() {
        Some(all) => (all, true),
        None => (order.linearised().unwrap_or_default(), false),
    };
    Reason::Allowed { order: all.into_iter().filter(|event| shown.has(*event)).collect(), single }
}

/// The reason, and the number of steps of its cycle.
fn forbidden(execution: &Execution, violation: Violation) -> (Reason, usize) {
    let Violation { axiom, demand, relation, parts, routes } = violation;
    let whole = match demand {
        Demand::Acyclic => relation.clone(),
        Demand::Irreflexive | Demand::Empty => parts.iter().fold(execution.none(), |all, (_, part)| all | part),
    };
    let events = match demand {
        Demand::Acyclic => whole.cycle(),
        Demand::Irreflexive => (0..relation.events())
            .filter(|event| relation.has(*event, *event))
            .filter_map(|event| whole.path(event, event))
            .min_by_key(Vec::len)
            .unwrap_or_default(),
        Demand::Empty => relation.pairs().next().map_or_else(Vec::new, |(from, to)| vec![from, to]),
    };
    let label =
        |from: usize, to: usize| parts.iter().find(|(_, part)| part.has(from, to)).map_or("before", |(name, _)| *name);
    let next = |at: usize| events[(at + 1) % events.len()];
    let mut cycle = Vec::new();
    for (at, event) in events.iter().enumerate() {
        let (name, next) = (label(*event, next(at)), next(at));
        // Replace a compound step by the simpler steps it consists of.
        let route = routes.iter().find(|(known, _)| *known == name);
        match route.and_then(|(_, route)| route.walk(*event, next)) {
            Some(walk) => cycle.extend(walk),
            None => cycle.push((*event, name)),
        }
    }
    let length = cycle.len();
    (Reason::Forbidden { axiom, cycle }, length)
}

/// The name of an event in text and pictures: `a`, `b`, ... in order; initial writes by the name of their cell.
pub fn letter(execution: &Execution, cells: &[String], event: usize) -> String {
    let initial = execution.iw.iter().count();
    match event.checked_sub(initial) {
        None => format!("init {}", cells[event]),
        Some(number) if number < 26 => char::from(b'a' + number as u8).to_string(),
        Some(number) => format!("{}{}", char::from(b'a' + (number % 26) as u8), number / 26),
    }
}

/// The explanation as text.
pub fn text(code: &Code, model: Model, explanation: Option<&Explanation>) -> String {
    let Some(Explanation { execution, witness, state, reason }) = explanation else {
        return format!("{} on {model}: no execution ends with the values of the condition.\n", code.name);
    };
    let cells = execution.cell_names(code);
    let letter = |event: usize| letter(execution, &cells, event);
    let mut out = String::new();
    let verdict = match reason {
        Reason::Allowed { .. } => "allowed",
        Reason::Forbidden { .. } => "forbidden",
    };
    let _ = writeln!(out, "{} on {model}: {verdict}. An execution that ends with {}:\n", code.name, end(code, state));
    let cells: Vec<Vec<String>> = (0..code.threads.len())
        .map(|thread| {
            let own = execution.events.iter().enumerate().filter(|(_, event)| event.thread == Some(thread));
            own.map(|(number, event)| format!("{}: {}", letter(number), event.describe(&cells, &code.names))).collect()
        })
        .collect();
    let width = cells.iter().flatten().map(String::len).max().unwrap_or(0).max(8) + 3;
    let heading: String = (0..cells.len()).map(|thread| format!("{:width$}", format!("P{thread}"))).collect();
    let _ = writeln!(out, "  {}", heading.trim_end());
    for row in 0..cells.iter().map(Vec::len).max().unwrap_or(0) {
        let line: String =
            cells.iter().map(|column| format!("{:width$}", column.get(row).map_or("", |cell| cell))).collect();
        let _ = writeln!(out, "  {}", line.trim_end());
    }
    out.push('\n');
    for name in ["rf", "co", "fr"] {
        let shown = shown(execution, witness, name);
        if !shown.is_empty() {
            let list: Vec<String> =
                shown.iter().map(|(from, to)| format!("{} -> {}", letter(*from), letter(*to))).collect();
            let _ = writeln!(out, "  {name}: {}", list.join(", "));
        }
    }
    match reason {
        Reason::Allowed { order, single } => {
            let list: Vec<String> = order.iter().map(|event| letter(*event)).collect();
            let list = list.join(", ");
            let _ = match single {
                true => {
                    writeln!(out, "\n  No axiom forbids it. The accesses can take effect in the order {list}.")
                }
                false => writeln!(
                    out,
                    "\n  No axiom forbids it. No single order explains it: threads see the writes at different times. \
                     The order {list} respects everything that the model orders."
                ),
            };
        }
        Reason::Forbidden { axiom, cycle } => {
            let steps: Vec<String> =
                cycle.iter().map(|(event, label)| format!("{} --{label}-->", letter(*event))).collect();
            let back = cycle.first().map_or_else(String::new, |(event, _)| letter(*event));
            let _ = writeln!(out, "\n  Forbidden by \"{axiom}\": {} {back}", steps.join(" "));
        }
    }
    out
}

/// The edges worth drawing: coherence only between neighbours and not from initial writes, from-read only to
/// the next write.
pub fn shown(execution: &Execution, witness: &Witness, name: &str) -> Vec<(usize, usize)> {
    let Witness { rf, co, fr } = witness;
    let relation = match name {
        "rf" => rf,
        "co" => co,
        _ => fr,
    };
    let initial = execution.iw;
    let direct = |(from, to): &(usize, usize)| match name {
        "co" => !initial.has(*from) && !co.row(*from).iter().any(|via| co.has(via, *to)),
        "fr" => !relation.row(*from).iter().any(|via| co.has(via, *to)),
        _ => true,
    };
    relation.pairs().filter(direct).collect()
}

/// The state as text: `1:r0=2 1:r1=0`.
pub fn end(code: &Code, state: &[Const]) -> String {
    let column = |(column, value): (usize, &Const)| {
        let name = code.column_name(column);
        match value {
            Const::Int(value) => format!("{name}={value}"),
            Const::Address(location) => format!("{name}=&{}", code.names[*location]),
        }
    };
    // The bits of a place are a column behind that of its value.
    let shown = |(column, _): &(usize, &Const)| !code.columns[..*column].contains(&code.columns[*column]);
    state.iter().enumerate().filter(shown).map(column).collect::<Vec<_>>().join(" ")
}
