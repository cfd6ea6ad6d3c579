//! The Linux-kernel memory model, without RCU's grace periods and SRCU.
//!
//! Sources: tools/memory-model/linux-kernel.cat, .bell and lock.cat of the kernel, as of Linux 7.2; J. Alglave, L. Maranget, P. McKenney, A. Parri, A. Stern, "Frightening Small Children and
//! Disconcerting Grown-ups: Concurrency in the Linux Kernel", ASPLOS 2018.
//!
//! A lock is a location. LKR and LKW are the read and the write that take it, UL is the write that frees it.
//!
//! Not modelled: RCU grace periods and SRCU. Tests that need them are refused when they are lowered. Without
//! grace periods, RCU read-side critical sections order nothing, so the RCU axiom never forbids anything. The
//! flag for plain and marked accesses in one region is not computed either.

use super::route::Route;
use super::{Demand, Judge, Judgement, allowed, forbidden, forbidden_by_route};
use crate::model::event::Tags;
use crate::model::execution::{Execution, Witness};
use crate::model::relation::{Relation, Set};

/// Sets of events, selected by their tags.
#[derive(Clone, Copy)]
struct Sets {
    all: Set,
    m: Set,
    w: Set,
    iw: Set,
    plain: Set,
    marked: Set,
    noreturn: Set,
    r4rmb: Set,
}

/// Relations that the axioms about plain accesses take from the axioms about marked accesses.
struct Ordering {
    addr: Relation,
    fence: Relation,
    nonrw_fence: Relation,
    strong_fence: Relation,
    cumul_fence: Relation,
    rmw_sequence: Relation,
    rfe: Relation,
    xbstar: Relation,
}

/// happens-before, propagation, plain-coherence, and the data-race flag.
pub fn judge(execution: &Execution) -> Judge<'_> {
    let Execution { po, rmw, r, w, iw, ext, int, .. } = execution;
    let (r, w) = (*r, *w);
    let m = r | w;
    let tagged = |tags| execution.tagged(tags);
    let plain = m & tagged(Tags::PLAIN);
    let noreturn = r & tagged(Tags::NORETURN);
    let all = execution.select(|_| true);
    let sets = Sets { all, m, w, iw: *iw, plain, marked: all - plain, noreturn, r4rmb: r - noreturn };
    let Sets { marked, r4rmb, .. } = sets;
    let (lkr, lkw, ul) = (tagged(Tags::LKR), tagged(Tags::LKW), tagged(Tags::UL));
    let acquire = r & (tagged(Tags::ACQUIRE) | lkr);
    let release = w & (tagged(Tags::RELEASE) | ul);
    // The set RMW of linux-kernel.bell (6.14 and later) also holds FailedRMW: the reads of conditional
    // updates that did not write. The events of locks are not in it: lock.cat adds them to rmw only.
    let rmws = (rmw.domain() | rmw.range() | tagged(Tags::FAILED)) - (lkr | lkw);
    let fencerel = |tags| execution.fencerel(tagged(tags));

    // Release, acquire and barriers
    let acq_po = acquire >> po >> m;
    let po_rel = m >> po >> release;
    let rmb = r4rmb >> fencerel(Tags::RMB) >> r4rmb;
    let wmb = w >> fencerel(Tags::WMB) >> w;
    let mb = (m >> fencerel(Tags::MB) >> m)
        // A fully ordered update is a full barrier before its read and behind its write.
        | (m >> po >> (r & tagged(Tags::MB)))
        | ((w & tagged(Tags::MB)) >> po >> m)
        | (((m >> fencerel(Tags::BEFORE_ATOMIC)) >> rmws) >> po.maybe() >> m)
        | (((m >> po.maybe()) >> rmws) >> fencerel(Tags::AFTER_ATOMIC) >> m)
        | (((m >> po.maybe()) >> lkw) >> fencerel(Tags::AFTER_SPINLOCK) >> m);
    let unlock = po >> ul;
    let after_lock = lkr >> po;
    let after_unlock_lock = tagged(Tags::AFTER_UNLOCK_LOCK) >> po >> m;
    let identity = execution.id(all);

    Box::new(move |Witness { rf, co, fr }| {
        let (rfe, rfi) = (rf & ext, rf & int);
        // linux-kernel.bell: dependencies are carried through memory.
        let carry_dep = (&execution.data >> &rfi).star();
        let addr = &carry_dep >> &execution.addr;
        let data = &carry_dep >> &execution.data;
        let ctrl = &carry_dep >> &execution.ctrl;

        let po_unlock_lock_po = (&unlock >> (po | rf)) >> &after_lock;
        let strong_fence = &mb | ((m >> &po_unlock_lock_po) >> &after_unlock_lock);
        let nonrw_fence = (&strong_fence | &po_rel) | &acq_po;
        let fence = (&nonrw_fence | &wmb) | &rmb;

        // Preserved program order
        let dep = &addr | &data;
        let rwdep = (&dep | ctrl) >> w;
        let overwrite = co | fr;
        let to_w = (rwdep | (&overwrite & int)) | ((&addr >> plain) >> &wmb);
        let to_r = &addr | ((&dep >> marked) >> rfi);
        let ppo = ((to_r | to_w) | (&fence & int)) | (&po_unlock_lock_po & int);

        // Propagation: ordering from release operations and strong fences
        let cumulated = (&rfe >> marked).maybe() >> (&strong_fence | &po_rel);
        let rmw_sequence = (rf >> rmw).star();
        let cumul_fence = ((marked >> ((cumulated | &wmb) | po_unlock_lock_po)) >> marked) >> &rmw_sequence;
        let prop =
            ((((marked >> (&overwrite & ext).maybe()) >> cumul_fence.star()) >> marked) >> rfe.maybe()) >> marked;

        // Happens-before: ordering from the passage of time
        let returning = (&prop - &identity) & int;
        let hb = (marked >> ((&ppo | &rfe) | &returning)) >> marked;
        let route = || {
            let (fre, coe) = (fr & ext, co & ext);
            vec![
                (0, "fre", fre, 1),
                (0, "coe", coe, 1),
                (0, "", identity.clone(), 1),
                (1, "cumul-fence", cumul_fence.clone(), 1),
                (1, "rfe", rfe.clone(), 2),
                (1, "", identity.clone(), 2),
            ]
        };
        if !hb.is_acyclic() {
            let parts = vec![("rfe", rfe.clone()), ("ppo", ppo.clone()), ("prop", returning.clone())];
            let routes = vec![("prop", Route { hops: route(), ends: &[2] })];
            return forbidden_by_route("happens-before", Demand::Acyclic, hb, parts, routes);
        }
        // Every link of pb contains a strong fence.
        let pb = ((&prop >> &strong_fence) >> hb.star()) >> marked;
        if !pb.is_acyclic() {
            let mut hops = route();
            hops.push((2, "strong-fence", strong_fence.clone(), 3));
            hops.extend([("ppo", &ppo), ("rfe", &rfe), ("prop", &returning)].map(|(n, r)| (3, n, r.clone(), 3)));
            let routes = vec![("pb", Route { hops, ends: &[3] })];
            return forbidden_by_route("propagation", Demand::Acyclic, pb.clone(), vec![("pb", pb)], routes);
        }
        let order = &hb | &pb;
        if plain.is_empty() {
            return allowed(order);
        }
        let xbstar = order.star();
        let ordering = Ordering { addr, fence, nonrw_fence, strong_fence, cumul_fence, rmw_sequence, rfe, xbstar };
        plain_accesses(execution, sets, &ordering, Witness { rf: rf.clone(), co: co.clone(), fr: fr.clone() }, order)
    })
}

/// Plain accesses: where they must be coherent, and where they have a data race.
fn plain_accesses(
    execution: &Execution,
    sets: Sets,
    ordering: &Ordering,
    witness: Witness,
    order: Relation,
) -> Judgement {
    let Execution { ext, int, .. } = execution;
    let Sets { all, m, w, iw, plain, marked, noreturn, r4rmb } = sets;
    let Ordering { addr, fence, nonrw_fence, strong_fence, cumul_fence, rmw_sequence, rfe, xbstar } = ordering;
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
    let incoherent = ((&pre_race & &rf) & rw_xbstar.inverse())
        | ((&pre_race & &fr) & wr_vis.inverse())
        | ((&pre_race & &co) & ww_vis.inverse());
    if !incoherent.is_empty() {
        let parts = vec![("rf", rf), ("co", co), ("fr", fr)];
        return forbidden("plain-coherence", Demand::Empty, incoherent, parts);
    }
    let ww_nonrace = (&ww_vis & (across(marked, w) | &rw_xbstar)) & (across(w, marked) | &wr_vis);
    let ww_race = (&pre_race & &co) - ww_nonrace;
    let wr_race = ((&pre_race & (co.maybe() >> &rf)) - &wr_vis) - rw_xbstar.inverse();
    let rw_race = (&pre_race & &fr) - &rw_xbstar;
    let race = !(ww_race.is_empty() && wr_race.is_empty() && rw_race.is_empty());
    Judgement::Allowed { order, race }
}
