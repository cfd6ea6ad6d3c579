//! The models: one file each, in the order and with the names of the published axioms.
//!
//! That every location by itself is sequentially consistent and that nothing comes between the halves of a
//! read-modify-write is demanded by all of them alike and holds already when candidates are made
//! ([`super::search`]); [`coherence`] says so of those that are made without.
//!
//! A candidate may be judged while it still grows, with some reads without a source and some locations without an order:
//! what is forbidden then stays forbidden. So an axiom must not take anything away because a relation is larger.

mod armv8;
mod lkmm;
mod power;
pub mod route;
mod rvwmo;
mod sc;
mod x86_tso;

use super::Model;
use super::execution::{Execution, Witness};
use super::relation::Relation;
use route::Route;

/// What a model says of one candidate.
#[derive(Debug, Clone)]
pub enum Judgement {
    /// It may happen.
    Allowed {
        /// What comes before what, in every way the model knows.
        order: Relation,
        /// Whether the kernel's model sees a data race in it.
        race: bool,
    },
    /// It cannot happen.
    Forbidden(Violation),
}

/// Which axiom forbids a candidate.
#[derive(Debug, Clone)]
pub struct Violation {
    /// Its published name.
    pub axiom: &'static str,
    /// What it demands of `relation`.
    pub demand: Demand,
    /// The relation that is not as demanded.
    pub relation: Relation,
    /// What that relation is made of, by name, the most telling first.
    pub parts: Vec<(&'static str, Relation)>,
    /// How steps of the compound ones among them are made.
    pub routes: Vec<(&'static str, Route)>,
}

/// What an axiom demands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Demand {
    /// No cycle.
    Acyclic,
    /// No event related to itself.
    Irreflexive,
    /// No pair at all.
    Empty,
}

/// Judges the candidates of one execution.
pub type Judge<'e> = Box<dyn Fn(&Witness) -> Judgement + 'e>;

/// A model, ready for the candidates of an execution: what does not depend on the candidate is computed once.
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

/// What every model demands first: `acyclic po-loc | rf | co | fr` and `empty rmw & (fre; coe)`.
pub fn coherence(execution: &Execution, witness: &Witness) -> Option<Violation> {
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
    let relation = &execution.rmw & ((fr & &execution.ext) >> (co & &execution.ext));
    if !relation.is_empty() {
        let parts = vec![("rmw", execution.rmw.clone())];
        return Some(Violation { axiom: "atomic", demand: Demand::Empty, relation, parts, routes: Vec::new() });
    }
    None
}

fn forbidden(
    axiom: &'static str,
    demand: Demand,
    relation: Relation,
    parts: Vec<(&'static str, Relation)>,
) -> Judgement {
    Judgement::Forbidden(Violation { axiom, demand, relation, parts, routes: Vec::new() })
}

/// The same with an explanation of its compound parts.
fn forbidden_by_route(
    axiom: &'static str,
    demand: Demand,
    relation: Relation,
    parts: Vec<(&'static str, Relation)>,
    routes: Vec<(&'static str, Route)>,
) -> Judgement {
    Judgement::Forbidden(Violation { axiom, demand, relation, parts, routes })
}

fn allowed(order: Relation) -> Judgement {
    Judgement::Allowed { order, race: false }
}
