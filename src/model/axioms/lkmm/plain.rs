//! Plain accesses: where they must be coherent, and where they have a data race.

use super::super::{Demand, Violation};
use super::{Derived, Sets};
use crate::model::event::Tags;
use crate::model::execution::{Execution, Witness};
use crate::model::flags::Flags;
use crate::model::relation::{Relation, Set};

/// What the checks need that does not depend on the candidate.
pub(super) struct Plain {
    /// [R4rmb] ; fencerel(Rmb) ; [~Noreturn]
    rmb_before_read: Relation,
    /// [~Noreturn] ; fencerel(Rmb) ; [R4rmb]
    rmb_behind_read: Relation,
    /// Pairs of accesses that may race.
    pre_race: Relation,
    /// Marked * W
    marked_to_w: Relation,
    /// W * Marked
    w_to_marked: Relation,
}

impl Plain {
    pub(super) fn of(execution: &Execution, sets: Sets) -> Plain {
        let Sets { all, m, w, iw, plain, marked, noreturn, r4rmb } = sets;
        let rmb = execution.fencerel(execution.tagged(Tags::RMB));
        let across = |from: Set, to: Set| {
            let mut out = execution.none();
            from.iter().for_each(|event| out.insert_all(event, to));
            out
        };
        Plain {
            rmb_before_read: (r4rmb >> &rmb) >> (all - noreturn),
            rmb_behind_read: ((all - noreturn) >> &rmb) >> r4rmb,
            pre_race: &execution.ext & (across(plain, m) | across(m - iw, plain)),
            marked_to_w: across(marked, w),
            w_to_marked: across(w, marked),
        }
    }

    /// Whether a candidate has a data race; an error if plain-coherence forbids it. The fences in `derived` include rcu-fence.
    pub(super) fn race(
        &self,
        execution: &Execution,
        marked: Set,
        derived: &Derived,
        witness: &Witness,
        xbstar: &Relation,
    ) -> Result<Flags, Box<Violation>> {
        let Plain { rmb_before_read, rmb_behind_read, pre_race, marked_to_w, w_to_marked } = self;
        let Derived { addr, fence, nonrw_fence, strong_fence, cumul_fence, rmw_sequence, rfe, .. } = derived;
        let Witness { rf, co, fr } = witness;

        // Visibility
        let strong_xbstar = strong_fence >> xbstar;
        let vis = (cumul_fence.star().then(rfe) >> marked)
            >> (((strong_fence >> marked) >> xbstar) | (xbstar & &execution.int));

        // Boundaries for the lifetimes of plain accesses
        let w_pre_bounded = marked >> (addr | fence).maybe();
        let r_pre_bounded = marked >> ((addr | nonrw_fence) | rmb_before_read).maybe();
        let w_post_bounded = (fence.maybe() >> marked) >> rmw_sequence;
        let r_post_bounded = (nonrw_fence | rmb_behind_read).maybe() >> marked;

        let seen = (w_post_bounded >> &vis) | strong_xbstar;
        let ww_vis = fence | (&seen >> &w_pre_bounded);
        let wr_vis = fence | (&seen >> &r_pre_bounded);
        let rw_xbstar = fence | ((&r_post_bounded >> xbstar) >> &w_pre_bounded);

        let rw_before = rw_xbstar.inverse();
        let incoherent = ((pre_race & rf) & &rw_before)
            | ((pre_race & fr) & wr_vis.inverse())
            | ((pre_race & co) & ww_vis.inverse());
        if !incoherent.is_empty() {
            return Err(Box::new(Violation {
                axiom: "plain-coherence",
                demand: Demand::Empty,
                relation: incoherent,
                parts: vec![("rf", rf.clone()), ("co", co.clone()), ("fr", fr.clone())],
                routes: Vec::new(),
            }));
        }
        let ww_nonrace = (&ww_vis & (marked_to_w | &rw_xbstar)) & (w_to_marked | &wr_vis);
        let ww_race = (pre_race & co) - ww_nonrace;
        let wr_race = ((pre_race & rf.then_before(co)) - &wr_vis) - rw_before;
        let rw_race = (pre_race & fr) - &rw_xbstar;
        let race = !(ww_race.is_empty() && wr_race.is_empty() && rw_race.is_empty());
        Ok(Flags::DATA_RACE.when(race))
    }
}
