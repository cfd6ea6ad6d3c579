//! Computes which accesses must be reordered with respect to program order before the race of a test can
//! happen.
//!
//! The search looks at all executions that end in the race, as if the program had no barriers. An execution
//! is sequentially consistent if the union of program order, reads-from, coherence and from-read has no cycle
//! (D. Shasha, M. Snir, "Efficient and Correct Execution of Parallel Programs that Share Memory", TOPLAS
//! 10(2), 1988). If there is a cycle, a CPU must reorder pairs of program order in it. A set of kinds of
//! pairs is sufficient for the race if some execution that ends in it has no cycle without the pairs of those
//! kinds.
//!
//! Message passing needs two stores or two loads reordered. Store buffering needs a store reordered with a
//! later load. So a control that shows one kind says nothing about another kind, however often it fires.

use std::collections::BTreeSet;
use std::fmt;
use std::ops::ControlFlow;

use super::code::Code;
use super::execution::{Execution, Witness};
use super::relation::Relation;
use super::search::{Candidate, Search, Visitor};
use super::{Bounds, Result};
use crate::program::Const;

/// A kind of pair of accesses in program order.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum Reordering {
    /// Two stores.
    StoreStore,
    /// Two loads.
    LoadLoad,
    /// A store and a later load: the reordering of a store buffer.
    StoreLoad,
    /// A load and a later store.
    LoadStore,
}

impl Reordering {
    /// All kinds.
    pub const ALL: [Reordering; 4] =
        [Reordering::StoreStore, Reordering::LoadLoad, Reordering::StoreLoad, Reordering::LoadStore];

    /// The name in records and tables.
    pub const fn name(self) -> &'static str {
        match self {
            Reordering::StoreStore => "store-store",
            Reordering::LoadLoad => "load-load",
            Reordering::StoreLoad => "store-load",
            Reordering::LoadStore => "load-store",
        }
    }
}

impl fmt::Display for Reordering {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// The minimal sets of reorderings, each sufficient for a test's race. If the only set is empty, the race
/// needs no reordering: sequential consistency allows it. If there is no set, no execution ends in the race,
/// whatever is reordered.
pub type Needs = BTreeSet<BTreeSet<Reordering>>;

/// Computes which reorderings the race of a test needs; see the module head. `code` is the test as sequential
/// consistency sees it ([`super::machine::accesses`]).
///
/// # Errors
/// If the test is too large, or does something that the search cannot follow.
pub fn needs(code: &Code, bounds: Bounds) -> Result<Needs> {
    let search = Search::new(code, bounds)?;
    let sets = subsets();
    // Look at incoherent executions only if no coherent one ends in the race: they reorder accesses to one
    // location.
    for coherent in [true, false] {
        let mut looking = Looking { code, sets: &sets, coherent, enough: BTreeSet::new() };
        search.run(None, coherent, &mut looking)?;
        let mut enough = looking.enough;
        if !enough.is_empty() {
            let all = enough.clone();
            enough.retain(|set| !all.iter().any(|other| other != set && other.is_subset(set)));
            return Ok(enough);
        }
    }
    Ok(BTreeSet::new())
}

/// Collects the sets that are sufficient for some execution that ends in the race.
struct Looking<'c> {
    code: &'c Code,
    sets: &'c [BTreeSet<Reordering>],
    coherent: bool,
    enough: Needs,
}

impl Visitor for Looking<'_> {
    fn wants(&self, state: &[Const], _thin_air: bool) -> bool {
        self.code.is_race(state)
    }

    fn take(&mut self, candidate: Candidate<'_>) -> ControlFlow<()> {
        for set in self.sets {
            // Skip a set that contains a set already known to be sufficient.
            let known = self.enough.iter().any(|known| known.is_subset(set));
            if !known && is_enough(candidate.execution, candidate.witness, set, self.coherent) {
                self.enough.insert(set.clone());
            }
        }
        if self.enough.contains(&BTreeSet::new()) { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }
}

/// All subsets of the kinds, the smaller ones first.
fn subsets() -> Vec<BTreeSet<Reordering>> {
    let of = |bits: usize| {
        let chosen = Reordering::ALL.into_iter().enumerate().filter(|(at, _)| bits >> at & 1 == 1);
        chosen.map(|(_, kind)| kind).collect()
    };
    let mut all: Vec<BTreeSet<Reordering>> = (0..1 << Reordering::ALL.len()).map(of).collect();
    all.sort_by_key(BTreeSet::len);
    all
}

/// Whether an execution has no cycle if the pairs of these kinds are not ordered. The halves of a
/// read-modify-write stay ordered, and so do accesses to one location if `coherent` is set.
fn is_enough(execution: &Execution, witness: &Witness, kinds: &BTreeSet<Reordering>, coherent: bool) -> bool {
    let Execution { po, po_loc, rmw, r, w, .. } = execution;
    let mut order: Relation = rmw.clone();
    if coherent {
        order = &order | po_loc;
    }
    for kind in Reordering::ALL.into_iter().filter(|kind| !kinds.contains(kind)) {
        let (from, to) = match kind {
            Reordering::StoreStore => (w, w),
            Reordering::LoadLoad => (r, r),
            Reordering::StoreLoad => (w, r),
            Reordering::LoadStore => (r, w),
        };
        order = &order | &po.from(*from).to(*to);
    }
    let Witness { rf, co, fr } = witness;
    (((&order | rf) | co) | fr).is_acyclic()
}

#[cfg(test)]
mod tests {
    use super::Reordering::{LoadLoad, LoadStore, StoreLoad, StoreStore};
    use super::*;
    use crate::litmus::{Source, parse};
    use crate::model::machine::accesses;
    use crate::program::lower;

    fn of(text: &str) -> Needs {
        let program = lower(&parse(&Source::new("t", text)).unwrap()).unwrap();
        needs(&accesses(&program), Bounds::default()).unwrap()
    }

    fn sets(sets: &[&[Reordering]]) -> Needs {
        sets.iter().map(|set| set.iter().copied().collect()).collect()
    }

    fn two(p0: &str, p1: &str, condition: &str) -> Needs {
        of(&format!(
            "C t\n{{}}\nP0(int *x, int *y) {{ int r0; int r1; {p0} }}\nP1(int *x, int *y) {{ int r0; int r1; {p1} }}\n{condition}"
        ))
    }

    const STORES: &str = "WRITE_ONCE(*x, 1); WRITE_ONCE(*y, 1);";
    const LOADS: &str = "r0 = READ_ONCE(*y); r1 = READ_ONCE(*x);";

    #[test]
    fn the_classic_shapes_need_what_they_are_named_after() {
        assert_eq!(two(STORES, LOADS, "exists (1:r0=1 /\\ 1:r1=0)"), sets(&[&[StoreStore], &[LoadLoad]]));
        let (p0, p1) = ("WRITE_ONCE(*x, 1); r0 = READ_ONCE(*y);", "WRITE_ONCE(*y, 1); r0 = READ_ONCE(*x);");
        assert_eq!(two(p0, p1, "exists (0:r0=0 /\\ 1:r0=0)"), sets(&[&[StoreLoad]]));
        let (p0, p1) = ("r0 = READ_ONCE(*x); WRITE_ONCE(*y, 1);", "r0 = READ_ONCE(*y); WRITE_ONCE(*x, 1);");
        assert_eq!(two(p0, p1, "exists (0:r0=1 /\\ 1:r0=1)"), sets(&[&[LoadStore]]));
        let (p0, p1) = ("WRITE_ONCE(*x, 1); WRITE_ONCE(*y, 2);", "WRITE_ONCE(*y, 1); WRITE_ONCE(*x, 2);");
        assert_eq!(two(p0, p1, "exists (x=1 /\\ y=1)"), sets(&[&[StoreStore]]));
        let p1 = "WRITE_ONCE(*y, 2); r0 = READ_ONCE(*x);";
        assert_eq!(two(STORES, p1, "exists (y=2 /\\ 1:r0=0)"), sets(&[&[StoreStore], &[StoreLoad]]));
        let p1 = "r0 = READ_ONCE(*y); WRITE_ONCE(*x, 2);";
        assert_eq!(two(STORES, p1, "exists (1:r0=1 /\\ x=1)"), sets(&[&[StoreStore], &[LoadStore]]));
    }

    /// Two cycles at once: message passing in one direction and store buffering in the other. One kind is not
    /// sufficient.
    #[test]
    fn a_race_of_two_cycles_needs_both_kinds() {
        let text = "C t\n{}\nP0(int *x, int *y, int *a, int *b) { int r0; WRITE_ONCE(*x, 1); WRITE_ONCE(*y, 1); \
                    WRITE_ONCE(*a, 1); r0 = READ_ONCE(*b); }\nP1(int *x, int *y, int *a, int *b) { int r0; int r1; int r2; \
                    r0 = READ_ONCE(*y); r1 = READ_ONCE(*x); WRITE_ONCE(*b, 1); r2 = READ_ONCE(*a); }\n\
                    exists (1:r0=1 /\\ 1:r1=0 /\\ 0:r0=0 /\\ 1:r2=0)";
        let needs = of(text);
        assert!(needs.iter().all(|set| set.contains(&StoreLoad) && set.len() == 2), "{needs:?}");
        assert!(needs.contains(&[StoreStore, StoreLoad].into()) && needs.contains(&[LoadLoad, StoreLoad].into()));
    }

    #[test]
    fn barriers_change_nothing_of_what_is_needed() {
        let (p0, p1) = (
            "WRITE_ONCE(*x, 1); smp_mb(); smp_store_release(y, 1);",
            "r0 = smp_load_acquire(y); smp_rmb(); r1 = READ_ONCE(*x);",
        );
        assert_eq!(two(p0, p1, "exists (1:r0=1 /\\ 1:r1=0)"), sets(&[&[StoreStore], &[LoadLoad]]));
    }

    #[test]
    fn what_sequential_consistency_allows_needs_nothing() {
        assert_eq!(two(STORES, LOADS, "exists (1:r0=0 /\\ 1:r1=1)"), sets(&[&[]]));
        // The race of a `forall` is that its condition does not hold.
        assert_eq!(two(STORES, LOADS, "forall (1:r0=0 \\/ 1:r1=1)"), sets(&[&[StoreStore], &[LoadLoad]]));
        // No write stores that value.
        assert_eq!(two(STORES, LOADS, "exists (1:r0=7)"), sets(&[]));
        // Only outcomes that pass the filter belong to the test.
        let filtered = two(STORES, LOADS, "filter (1:r0=1)\nexists (1:r1=0)");
        assert_eq!(filtered, sets(&[&[StoreStore], &[LoadLoad]]));
    }

    #[test]
    fn one_location_is_reordered_only_where_nothing_else_explains_the_outcome() {
        let p1 = "r0 = READ_ONCE(*x); r1 = READ_ONCE(*x);";
        assert_eq!(two("WRITE_ONCE(*x, 1);", p1, "exists (1:r0=1 /\\ 1:r1=0)"), sets(&[&[LoadLoad]]));
        // With y in between, the loads of x stay in order, and the order of the stores to x does not matter.
        let p1 = "r0 = READ_ONCE(*y); r1 = READ_ONCE(*x);";
        assert_eq!(
            two("WRITE_ONCE(*x, 1); WRITE_ONCE(*x, 2); WRITE_ONCE(*y, 1);", p1, "exists (1:r0=1 /\\ 1:r1=1)"),
            sets(&[&[StoreStore], &[LoadLoad]])
        );
    }

    /// The reorderings that each scenario needs. This guards against counting a control of another kind: once
    /// a zero was accepted because store buffering had fired.
    #[test]
    fn each_scenario_needs_what_its_race_is_made_of() {
        let passing = sets(&[&[StoreStore], &[LoadLoad]]);
        let buffering = sets(&[&[StoreLoad]]);
        let needs = |name: &str| {
            let scenario = crate::catalogue::named(name).unwrap();
            needs(&accesses(&scenario.program), Bounds::default()).unwrap()
        };
        for name in ["MP", "MP+nt", "S01-core+nt", "S01-core+nt+wmb", "S01-core", "S01-as-is"] {
            assert_eq!(needs(name), passing, "{name}");
        }
        for name in ["SB", "SB+mbs", "S08-lost-wakeup", "S08b-no-store_mb", "S08c-no-mb-after-spinlock"] {
            assert_eq!(needs(name), buffering, "{name}");
        }
        for name in ["S05-swapped", "S13b-bail-out"] {
            assert_eq!(needs(name), sets(&[&[]]), "{name}");
        }
        assert_eq!(needs("S14-third-cpu"), sets(&[&[StoreStore], &[LoadLoad], &[LoadStore]]));
        assert_eq!(needs("S09-on_rq"), sets(&[&[LoadStore], &[LoadLoad]]));
        for name in ["S01f-full-waker", "S02-wmb", "S03-store-release", "S04-locked-read", "S12-heal", "S19-unlocker"] {
            let needs = needs(name);
            assert!(needs.contains(&[StoreStore].into()) && !needs.contains(&[StoreLoad].into()), "{name} {needs:?}");
        }
    }
}
