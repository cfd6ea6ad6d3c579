//! Armv8-A, AArch64: other-multi-copy-atomic.
//!
//! Arm Architecture Reference Manual (DDI 0487), B2.3, "Definition of the Armv8 memory model"; as axioms herd's
//! aarch64.cat, and C. Pulte et al., "Simplifying ARM Concurrency", POPL 2018. All observers are in one inner-shareable
//! domain; dsb is taken as dmb, but for dsb st, which orders writes before everything behind it. Left out: instruction fetch, translation, mixed sizes, tags, "pick" dependencies (a CAS
//! or conditional select whose result depends on a comparison orders here like data).

use super::{Demand, Judge, allowed, forbidden};
use crate::model::event::Tags;
use crate::model::execution::{Execution, Witness};

/// `irreflexive ob`
pub fn judge(execution: &Execution) -> Judge<'_> {
    let Execution { po, addr, data, ctrl, rmw, r, w, ext, int, .. } = execution;
    let (r, w) = (*r, *w);
    let marked = |tags| execution.tagged(tags);
    let (a, q, l) = (r & marked(Tags::ACQUIRE), r & marked(Tags::ACQUIRE_PC), w & marked(Tags::RELEASE));
    let noret = r & marked(Tags::NORETURN);
    let amo = rmw >> (w & marked(Tags::AMO));
    let (full, ld, st) = (marked(Tags::DMB_FULL), marked(Tags::DMB_LD), marked(Tags::DMB_ST));
    let dsb_st = marked(Tags::DSB_ST);
    let isb = marked(Tags::ISYNC);

    // Dependency-ordered-before, but for what goes through a local read.
    let dob = addr | data | (ctrl >> w) | ((((ctrl | (addr >> po)) >> isb) >> po) >> r) | ((addr >> po) >> w);
    // Barrier-ordered-before
    let bob = ((po >> full) >> po)
        | (((r - noret) >> po >> ld) >> po)
        | (((w >> po >> st) >> po) >> w)
        | ((w >> po >> dsb_st) >> po)
        // An atomic instruction that acquires and releases is a barrier for what follows it.
        | ((a >> amo >> l).range() >> po)
        | (l >> po >> a)
        | ((a | q) >> po)
        | (po >> l);
    Box::new(move |Witness { rf, co, fr }| {
        let (rfe, rfi) = (rf & ext, rf & int);
        let obs = (&rfe | (co & ext)) | (fr & ext);
        let coi = co & int;
        let local = (&dob | ((ctrl | data) >> &coi)) | ((addr | data) >> &rfi);
        // Atomic-ordered-before: a read that acquires is after the update whose value it got, even from its own thread.
        let aob = rmw | ((rmw >> &rfi) >> (a | q));
        let released = (po >> l) >> &coi;
        let order = (((&obs | &local) | &aob) | &bob) | &released;
        let ob = order.plus();
        if ob.is_irreflexive() {
            return allowed(order);
        }
        let parts = vec![
            ("rfe", rfe),
            ("fre", fr & ext),
            ("coe", co & ext),
            ("aob", aob),
            ("dob", local),
            ("bob", &bob | released),
        ];
        forbidden("external", Demand::Acyclic, order, parts)
    })
}
