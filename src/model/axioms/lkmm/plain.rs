//! Plain accesses: where they must be coherent, and where they have a data race.

use super::super::{Demand, Violation};
use super::{Derived, Sets};
use crate::model::event::Tags;
use crate::model::execution::{Execution, Witness};
use crate::model::flags::Flags;
use crate::model::relation::{Relation, Set};

/// Whether a candidate has a data race; an error if plain-coherence forbids it. The fences in `derived` include rcu-fence.
pub(super) fn race(
    execution: &Execution,
    sets: Sets,
    derived: &Derived,
    witness: &Witness,
    xbstar: &Relation,
) -> Result<Flags, Box<Violation>> {
    let Execution { ext, int, .. } = execution;
    let Sets { all, m, w, iw, plain, marked, noreturn, r4rmb } = sets;
    let Derived { addr, fence, nonrw_fence, strong_fence, cumul_fence, rmw_sequence, rfe, .. } = derived;
    let Witness { rf, co, fr } = witness;
    let rmb = execution.fencerel(execution.tagged(Tags::RMB));
    let across = |from: Set, to: Set| {
        let mut out = execution.none();
        from.iter().for_each(|event| out.insert_all(event, to));
        out
    };

    // Visibility
    let vis =
        ((cumul_fence.star() >> rfe.maybe()) >> marked) >> (((strong_fence >> marked) >> xbstar) | (xbstar & int));

    // Boundaries for the lifetimes of plain accesses
    let w_pre_bounded = marked >> (addr | fence).maybe();
    let r_pre_bounded = marked >> ((addr | nonrw_fence) | ((r4rmb >> &rmb) >> (all - noreturn))).maybe();
    let w_post_bounded = (fence.maybe() >> marked) >> rmw_sequence;
    let r_post_bounded = (nonrw_fence | (((all - noreturn) >> &rmb) >> r4rmb)).maybe() >> marked;

    let ww_vis = (fence | ((strong_fence >> xbstar) >> &w_pre_bounded)) | ((&w_post_bounded >> &vis) >> &w_pre_bounded);
    let wr_vis = (fence | ((strong_fence >> xbstar) >> &r_pre_bounded)) | ((&w_post_bounded >> &vis) >> &r_pre_bounded);
    let rw_xbstar = fence | ((&r_post_bounded >> xbstar) >> &w_pre_bounded);

    let pre_race = ext & (across(plain, m) | across(m - iw, plain));
    let incoherent = ((&pre_race & rf) & rw_xbstar.inverse())
        | ((&pre_race & fr) & wr_vis.inverse())
        | ((&pre_race & co) & ww_vis.inverse());
    if !incoherent.is_empty() {
        return Err(Box::new(Violation {
            axiom: "plain-coherence",
            demand: Demand::Empty,
            relation: incoherent,
            parts: vec![("rf", rf.clone()), ("co", co.clone()), ("fr", fr.clone())],
            routes: Vec::new(),
        }));
    }
    let ww_nonrace = (&ww_vis & (across(marked, w) | &rw_xbstar)) & (across(w, marked) | &wr_vis);
    let ww_race = (&pre_race & co) - ww_nonrace;
    let wr_race = ((&pre_race & (co.maybe() >> rf)) - &wr_vis) - rw_xbstar.inverse();
    let rw_race = (&pre_race & fr) - &rw_xbstar;
    let race = !(ww_race.is_empty() && wr_race.is_empty() && rw_race.is_empty());
    Ok(Flags::DATA_RACE.when(race))
}
