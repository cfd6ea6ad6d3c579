//! Armv8-A, AArch64: an other-multi-copy-atomic model.
//!
//! Sources: Arm Architecture Reference Manual (DDI 0487), B2.3, "Definition of the Armv8 memory model"; as
//! axioms, herd's aarch64.cat; and C. Pulte et al., "Simplifying ARM Concurrency", POPL 2018.
//!
//! All observers are in one inner-shareable domain. `dsb` is treated as `dmb`, except `dsb st`, which orders
//! writes before everything behind it. "Pick" dependencies, of a compare-and-swap and of CSEL, are part of `ctrl` here;
//! `trace.rs` puts them there. Those that go through memory are added here.
//!
//! Mixed sizes: S. Flur et al., "Mixed-size Concurrency: ARM, POWER, C/C++11, and SC", POPL 2017, and herd's
//! aarch64.cat with `-variant mixed`. Each access has one event for each cell. What is observed of a part of an access
//! holds for the whole access, because an aligned access is single-copy atomic.
//!
//! Not modelled: instruction fetch, address translation, memory tagging.

use super::{Demand, Judge, allowed, forbidden};
use crate::model::event::Tags;
use crate::model::execution::{Execution, Witness};
use crate::model::relation::Relation;

/// `irreflexive ob`
pub fn judge(execution: &Execution) -> Judge<'_> {
    let Execution { po, po_loc, addr, data, ctrl, rmw, picks, r, w, ext, int, .. } = execution;
    let (r, w) = (*r, *w);
    let marked = |tags| execution.tagged(tags);
    let (a, q, l) = (r & marked(Tags::ACQUIRE), r & marked(Tags::ACQUIRE_PC), w & marked(Tags::RELEASE));
    let noret = r & marked(Tags::NORETURN);
    let amo = rmw >> (w & marked(Tags::AMO));
    let (full, ld, st) = (marked(Tags::DMB_FULL), marked(Tags::DMB_LD), marked(Tags::DMB_ST));
    let dsb_st = marked(Tags::DSB_ST);
    let isb = marked(Tags::ISYNC);

    // Dependency-ordered-before, without the part that goes through a local read.
    let dob = addr | data | (ctrl >> w) | ((((ctrl | (addr >> po)) >> isb) >> po) >> r) | ((addr >> po) >> w);
    // Barrier-ordered-before
    let bob = ((po >> full) >> po)
        | (((r - noret) >> po >> ld) >> po)
        | (((w >> po >> st) >> po) >> w)
        | ((w >> po >> dsb_st) >> po)
        // An atomic instruction with acquire and release semantics is a full barrier for the accesses behind
        // it.
        | ((a >> amo >> l).range() >> po)
        | (l >> po >> a)
        | ((a | q) >> po)
        | (po >> l);
    // Local read successor: the local write that comes last before a read of the same cell
    let lrs = || w >> (po_loc - (po_loc >> w >> po_loc)) >> r;
    // The order within a thread, as far as it does not depend on what reads read
    let local = |lrs: &Relation| {
        (((&dob | &bob) | ((addr | data) >> lrs)) | rmw)
            // An acquiring read is ordered as a whole, also if only a part of it reads what was updated.
            | execution.to_whole(&((rmw >> lrs) >> (a | q)))
            | execution.to_whole(&((r | w) >> po_loc >> w))
    };
    // Pick dependencies through memory: a write whose value a read selected, and the reads behind it that depend on that write
    let picks = (!picks.is_empty()).then(|| {
        let lrs = lrs();
        let reads = (picks >> &lrs) >> ((picks | data) >> &lrs).star();
        let control = ((&reads >> (ctrl | (addr >> po))) >> isb) >> po;
        ((&reads >> local(&lrs).plus()) >> w) | control
    });
    if execution.mixes_sizes() {
        let local = local(&lrs());
        return mixed_sizes(execution, with(local, picks));
    }
    let (ctrl_or_data, addr_or_data, po_l) = (ctrl | data, addr | data, po >> l);
    let dob = with(dob, picks);
    let fixed = (&dob | &bob) | rmw;
    Box::new(move |Witness { rf, co, fr }, detail| {
        let (rfi, coi) = (rf & int, co & int);
        let mut order = fixed.clone();
        [rf, co, fr].into_iter().for_each(|observed| order.add_common(observed, ext));
        order.add_sequence(&ctrl_or_data, &coi);
        order.add_sequence(&addr_or_data, &rfi);
        // Atomic-ordered-before: an acquiring read is ordered after the update that it reads from, even in
        // its own thread.
        order.add_sequence(rmw, &(&rfi >> (a | q)));
        order.add_sequence(&po_l, &coi);
        if order.is_acyclic() {
            return allowed(order);
        }
        forbidden(detail, ("external", Demand::Acyclic), order, || {
            vec![
                ("rfe", rf & ext),
                ("fre", fr & ext),
                ("coe", co & ext),
                ("aob", rmw | ((rmw >> &rfi) >> (a | q))),
                ("dob", (&dob | (&ctrl_or_data >> &coi)) | (&addr_or_data >> &rfi)),
                ("bob", &bob | (&po_l >> &coi)),
            ]
        })
    })
}

fn with(one: Relation, other: Option<Relation>) -> Relation {
    match other {
        Some(other) => one | other,
        None => one,
    }
}

/// `irreflexive ob` for accesses of mixed sizes. `local` is the order within the threads.
fn mixed_sizes(execution: &Execution, local: Relation) -> Judge<'_> {
    let ext = &execution.ext;
    Box::new(move |Witness { rf, co, fr }, detail| {
        let [rfe, fre, coe] = [rf, fr, co].map(|relation| execution.to_whole(&(relation & ext)));
        let order = ((&local | &rfe) | &fre) | &coe;
        if order.is_acyclic() {
            return allowed(order);
        }
        forbidden(detail, ("external", Demand::Acyclic), order, || {
            vec![("rfe", rfe), ("fre", fre), ("coe", coe), ("lob", local.clone())]
        })
    })
}
