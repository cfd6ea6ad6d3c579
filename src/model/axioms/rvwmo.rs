//! RVWMO, the weak memory ordering of RISC-V.
//!
//! Source: The RISC-V Instruction Set Manual, Volume I, chapter "RVWMO Memory Consistency Model" and its
//! formal appendix (herd's riscv.cat). Comments give the numbers of the thirteen rules of preserved program
//! order. An AMO is one operation that reads and writes: whatever orders one of its halves orders the other.
//!
//! Mixed sizes: the rules about the same address apply to each byte, and an access is one operation in the global memory
//! order.
//!
//! Not modelled: I/O, `fence.i`.

use super::{Demand, Judge, Reserved, allowed, forbidden};
use crate::model::event::Tags;
use crate::model::execution::{Execution, Witness};
use crate::model::relation::Relation;

/// `acyclic co | rfe | fr | ppo`
pub fn judge(execution: &Execution) -> Judge<'_> {
    let Execution { po, po_loc, addr, data, ctrl, rmw, r, w, ext, int, .. } = execution;
    let (r, w) = (*r, *w);
    let m = r | w;
    let marked = |tags| execution.tagged(tags);
    let (aq, rl) = (m & marked(Tags::ACQUIRE), m & marked(Tags::RELEASE));
    let rcsc = (aq | rl) & marked(Tags::AMO | Tags::EXCLUSIVE);
    let amo_or_sc = w & marked(Tags::AMO | Tags::EXCLUSIVE);
    // Rule 4: fences, by the kinds of access before and after them.
    let mut fences = execution.none();
    for (before, first) in [(Tags::FENCE_PR, r), (Tags::FENCE_PW, w)] {
        for (after, second) in [(Tags::FENCE_SR, r), (Tags::FENCE_SW, w)] {
            let these = marked(before) & marked(after);
            fences = fences | ((first >> po >> these) >> po >> second);
        }
    }
    let po_loc_no_w = po_loc - (po_loc.maybe() >> w >> po_loc);
    let fixed = (m >> po_loc >> w) // 1
        | &fences // 4
        | (aq >> po >> m) // 5
        | (m >> po >> rl) // 6
        | (rcsc >> po >> rcsc) // 7
        | rmw // 8
        | (m >> addr >> m) // 9
        | (m >> data >> w) // 10
        | (m >> ctrl >> w) // 11
        | ((m >> addr >> m) >> po >> w); // 13
    let same_location_reads = r >> &po_loc_no_w >> r;
    let to_write = m >> (addr | data) >> w;
    // The halves of an AMO stand for one event: an ordering before or after one half holds for both.
    let amo = (marked(Tags::AMO) >> rmw) >> marked(Tags::AMO);
    let halves = (&amo | amo.inverse()).maybe();
    let is_divided = !amo.is_empty() || execution.mixes_sizes();
    let same = execution.access.maybe() >> halves >> execution.access.maybe();
    let apart = same.clone();
    let whole = move |relation: &Relation| match is_divided {
        true => ((&same >> relation) >> &same) - &apart,
        false => relation.clone(),
    };
    let reserved = Reserved::new(execution);
    let has_reads_apart = !same_location_reads.is_empty();
    Box::new(move |Witness { rf, co, fr }, detail| {
        let (rfe, rfi) = (rf & ext, rf & int);
        // A read without a source may still turn out to read the same write as the other read, so rule 2
        // waits for both sources.
        let mut ppo = fixed.clone();
        if has_reads_apart {
            let (same_write, read) = (rf.inverse() >> rf, rf.range());
            ppo.add(&((read >> &same_location_reads >> read) - same_write)); // 2
        }
        ppo.add(&(amo_or_sc >> &rfi >> r)); // 3
        ppo.add_sequence(&to_write, &(&rfi >> r)); // 12
        let mut order = ((&ppo | &rfe) | co) | fr;
        reserved.add_to(&mut order, (rf, fr), ext);
        let order = whole(&order);
        if order.is_acyclic() {
            return allowed(order);
        }
        forbidden(detail, ("model", Demand::Acyclic), order, || {
            let parts = [("rfe", &rfe), ("fr", fr), ("co", co), ("fence", &fences), ("ppo", &ppo)];
            parts.map(|(name, part)| (name, whole(part))).into()
        })
    })
}
