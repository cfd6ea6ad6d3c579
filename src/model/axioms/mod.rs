//! The axioms: one file per model, in the order and with the names of the published axioms.
//!
//! Every model demands two more things: each location by itself is sequentially consistent, and no write
//! comes between the halves of a read-modify-write. With `coherent` set, [`super::search`] makes only
//! candidates that satisfy both. [`coherence`] checks candidates that were made without it.
//!
//! A model may judge a candidate that is still growing: some reads have no source yet, and some locations
//! have no order yet. A candidate that is forbidden must stay forbidden when its relations grow. So an axiom
//! must not subtract pairs because a relation is larger.

mod armv8;
mod lkmm;
mod power;
pub mod route;
mod rvwmo;
mod sc;
mod x86_tso;

use super::code::Code;
use super::event::Tags;
use super::execution::{Execution, Witness};
use super::flags::Flags;
use super::relation::Relation;
use super::{Model, ModelError, Result};
use crate::program::{Const, LocationId};
use route::Route;

/// What a model says about one candidate.
#[derive(Debug, Clone)]
pub enum Judgement {
    /// The model allows the candidate.
    Allowed {
        /// The order of the events that the model demands: the union of its ordering relations.
        order: Relation,
        /// What the kernel's model warns about in the candidate, besides the flags of [`Warnings`].
        flags: Flags,
        /// The SRCU sections, if they are not in [`Warnings::sections`] because they depend on the candidate.
        sections: Vec<(usize, usize)>,
    },
    /// The model forbids the candidate.
    Forbidden(Violation),
}

/// The axiom that forbids a candidate, and how.
#[derive(Debug, Clone)]
pub struct Violation {
    /// The published name of the axiom.
    pub axiom: &'static str,
    /// What the axiom demands of `relation`.
    pub demand: Demand,
    /// The relation that violates the demand.
    pub relation: Relation,
    /// The named parts of that relation, the most informative first.
    pub parts: Vec<(&'static str, Relation)>,
    /// How one step of a compound part is composed of simpler relations.
    pub routes: Vec<(&'static str, Route)>,
}

/// What an axiom demands of a relation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Demand {
    /// The relation has no cycle.
    Acyclic,
    /// No event is related to itself.
    Irreflexive,
    /// The relation has no pair.
    Empty,
}

/// What is asked about a candidate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Detail {
    /// Whether the model allows it, with its flags. The order, the parts and the routes may be left out.
    Verdict,
    /// Also why.
    Why,
}

/// A function that judges the candidates of one execution.
pub type Judge<'e> = Box<dyn Fn(&Witness, Detail) -> Judgement + 'e>;

/// The named parts of a relation that violates an axiom.
type Parts = Vec<(&'static str, Relation)>;

/// Prepares a model for the candidates of an execution. What does not depend on the candidate is computed
/// once.
pub fn judge(model: Model, execution: &Execution) -> Judge<'_> {
    match model {
        Model::Lkmm => lkmm::judge(execution),
        Model::Sc => sc::judge(execution),
        Model::X86Tso => x86_tso::judge(execution),
        Model::Armv8 => armv8::judge(execution),
        Model::Power => power::judge(execution),
        Model::Rvwmo => rvwmo::judge(execution),
    }
}

/// What a model warns about in the candidates of an execution that it allows.
#[derive(Debug, Clone, Default)]
pub struct Warnings {
    /// The flags of every candidate.
    pub certain: Flags,
    /// The flags that depend on the candidate; [`Judgement::Allowed`] has those that a candidate has.
    pub possible: Flags,
    /// Pairs of srcu_read_lock and srcu_read_unlock, if they do not depend on the candidate. A candidate in which the values of a pair differ has the flag
    /// [`Flags::SRCU_BAD_VALUE_MATCH`].
    pub sections: Vec<(usize, usize)>,
}

/// The warnings of a model about an execution. Only the kernel's model has any.
pub fn warnings(model: Model, execution: &Execution) -> Warnings {
    match model {
        Model::Lkmm => lkmm::warnings(execution),
        _ => Warnings::default(),
    }
}

/// Why a model cannot judge an execution, if it cannot.
///
/// # Errors
/// On POWER if accesses have different sizes. In the kernel's model if a lock is also accessed as a variable, or starts locked.
pub fn refuse(model: Model, code: &Code, execution: &Execution) -> Result<()> {
    let reason = match model {
        Model::Power if execution.mixes_sizes() => "accesses of mixed sizes are not modelled for POWER".to_owned(),
        Model::Lkmm if execution.all_tags().any(Tags::OF_LOCKS) => {
            let name = |cell: LocationId| &code.names[execution.cells[cell].location];
            let locks = execution.locks();
            if let Some(lock) = lkmm::misused_lock(execution) {
                let name = name(lock);
                format!("`{name}` is a lock, and it is also read or written as a variable (mixed-lock-accesses)")
            } else if let Some(lock) =
                locks.iter().find(|lock| code.init[execution.cells[*lock].location] != Const::Int(0))
            {
                format!("the lock `{}` must start unlocked, that is as 0", name(lock))
            } else {
                return Ok(());
            }
        }
        _ => return Ok(()),
    };
    Err(ModelError::Unsupported(reason))
}

/// The read-modify-writes that no write of another thread may divide.
///
/// herd's aarch64.cat does not demand it of a pair of exclusives with a store of its own thread to the same location between them.
pub fn undivided(model: Model, execution: &Execution) -> Relation {
    let Execution { rmw, po_loc, w, .. } = execution;
    match model {
        Model::Armv8 => rmw - (po_loc >> *w >> po_loc),
        _ => rmw.clone(),
    }
}

/// Checks what every model demands first: `acyclic po-loc | rf | co | fr` and `empty rmw & (fre; coe)`, where `rmw` is
/// [`undivided`].
pub fn coherence(model: Model, execution: &Execution, witness: &Witness) -> Option<Violation> {
    let Witness { rf, co, fr } = witness;
    let relation = ((&execution.po_loc | rf) | co) | fr;
    if !relation.is_acyclic() {
        let parts =
            vec![("rf", rf.clone()), ("fr", fr.clone()), ("co", co.clone()), ("po-loc", execution.po_loc.clone())];
        return Some(Violation {
            axiom: "coherence (sc per location)",
            demand: Demand::Acyclic,
            relation,
            parts,
            routes: Vec::new(),
        });
    }
    let undivided = undivided(model, execution);
    let relation = &undivided & ((fr & &execution.ext) >> (co & &execution.ext));
    if !relation.is_empty() {
        let parts = vec![("rmw", undivided)];
        return Some(Violation { axiom: "atomic", demand: Demand::Empty, relation, parts, routes: Vec::new() });
    }
    None
}

/// Pairs of a load-reserve and its store-conditional, in an execution of mixed sizes: every event of the one and every event of the other.
/// The store-conditional may write only a part of what was read.
struct Reserved(Option<Relation>);

impl Reserved {
    fn new(execution: &Execution) -> Reserved {
        let access = || execution.access.maybe();
        let exclusive = execution.tagged(Tags::EXCLUSIVE);
        Reserved(execution.mixes_sizes().then(|| access() >> (exclusive >> &execution.rmw) >> access()))
    }

    /// Adds atomicity to an order: what was read comes before the store-conditional, and what other threads write over it comes after.
    fn add_to(&self, order: &mut Relation, (rf, fr): (&Relation, &Relation), ext: &Relation) {
        if let Some(pairs) = &self.0 {
            order.add(&(rf >> pairs));
            order.add(&(pairs.inverse() >> (fr & ext)));
        }
    }
}

/// The judgement that a relation violates an axiom. The parts are computed only if they are asked for.
fn forbidden(
    detail: Detail,
    (axiom, demand): (&'static str, Demand),
    relation: Relation,
    parts: impl FnOnce() -> Parts,
) -> Judgement {
    forbidden_by_route(detail, (axiom, demand), relation, || (parts(), Vec::new()))
}

/// A violation with routes that explain its compound parts.
fn forbidden_by_route(
    detail: Detail,
    (axiom, demand): (&'static str, Demand),
    relation: Relation,
    parts: impl FnOnce() -> (Parts, Vec<(&'static str, Route)>),
) -> Judgement {
    let (parts, routes) = if detail == Detail::Why { parts() } else { Default::default() };
    Judgement::Forbidden(Violation { axiom, demand, relation, parts, routes })
}

/// Whether the candidate is sequentially consistent. The other models allow such a candidate, if it has no grace periods.
fn is_sequential(execution: &Execution, Witness { rf, co, fr }: &Witness) -> bool {
    let mut order = execution.po.clone();
    [rf, co, fr].into_iter().for_each(|relation| order.add(relation));
    order.is_acyclic()
}

fn allowed(order: Relation) -> Judgement {
    Judgement::Allowed { order, flags: Flags::NONE, sections: Vec::new() }
}
