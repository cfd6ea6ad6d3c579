//! POWER, as in "Herding Cats".
//!
//! Sources: J. Alglave, L. Maranget, M. Tautschnig, "Herding Cats: Modelling, Simulation, Testing, and Data
//! Mining for Weak Memory", TOPLAS 36(2), 2014, figures 18 and 25; herd's ppc.cat with ppc-checks.cat. In
//! ppc-checks.cat, propagation uses only the communications between different threads.
//!
//! Not modelled: mixed sizes, and memory that is not ordinary cacheable memory.

use super::route::Route;
use super::{Demand, Detail, Judge, allowed, forbidden, forbidden_by_route, is_sequential};
use crate::model::event::Tags;
use crate::model::execution::{Execution, Witness};
use crate::model::relation::{Relation, Set};

/// no-thin-air, propagation, observation.
pub fn judge(execution: &Execution) -> Judge<'_> {
    let Execution { po, po_loc, addr, data, ctrl, r, w, ext, int, .. } = execution;
    let (r, w) = (*r, *w);
    let m = r | w;
    let marked = |tags| execution.tagged(tags);
    let sync = m >> execution.fencerel(marked(Tags::SYNC)) >> m;
    let lwsync = m >> execution.fencerel(marked(Tags::LWSYNC)) >> m;
    let eieio = w >> execution.fencerel(marked(Tags::EIEIO)) >> w;
    // lwsync does not order a write before a read.
    let light = (&lwsync - (w >> &lwsync >> r)) | eieio;
    let fence = &sync | &light;
    let dd = addr | data;
    let ctrlisync = (ctrl >> marked(Tags::ISYNC)) >> po >> m;
    let cc0 = ((&dd | po_loc) | (ctrl >> m)) | (addr >> po >> m);
    // The accesses of load-reserve/store-conditional pairs stay in program order.
    let exclusive = marked(Tags::EXCLUSIVE);
    let xx = exclusive >> po >> exclusive;
    // Most candidates have nothing else in their preserved program order.
    let fixed = preserved(&dd, &ctrlisync, &cc0, r, w);
    Box::new(move |witness, detail| {
        if detail == Detail::Verdict && is_sequential(execution, witness) {
            return allowed(execution.none());
        }
        let Witness { rf, co, fr } = witness;
        let (rfe, fre, coe, rfi) = (rf & ext, fr & ext, co & ext, rf & int);
        let rdw = po_loc & (&fre >> &rfe);
        let detour = po_loc & (&coe >> &rfe);
        let ppo = if rfi.is_empty() && rdw.is_empty() && detour.is_empty() {
            fixed.clone()
        } else {
            preserved(&((&dd | &rfi) | rdw), &(&ctrlisync | detour), &cc0, r, w)
        };

        let hb = (&ppo | &fence) | &rfe;
        if !hb.is_acyclic() {
            return forbidden(detail, ("no thin air", Demand::Acyclic), hb, || {
                vec![("rfe", rfe), ("sync", sync.clone()), ("fence", fence.clone()), ("ppo", ppo)]
            });
        }
        let hbstar = hb.star();
        let propbase = (&fence | (&rfe >> &fence)) >> &hbstar;
        let chapo = (((&rfe | &fre) | &coe) | (&fre >> &rfe)) | (&coe >> &rfe);
        let strong = if sync.is_empty() { sync.clone() } else { chapo.maybe() >> propbase.star() >> &sync >> &hbstar };
        let prop = (w >> &propbase >> w) | strong;
        let order = co | &prop;
        let route = || {
            let stay = execution.id(execution.select(|_| true));
            let mut hops = vec![
                // Start: rfe, fre or coe; fre or coe followed by rfe; or nothing.
                (0, "rfe", rfe.clone(), 1),
                (0, "fre", fre.clone(), 1),
                (0, "coe", coe.clone(), 1),
                (0, "fre", fre.clone(), 5),
                (0, "coe", coe.clone(), 5),
                (5, "rfe", rfe.clone(), 1),
                (0, "", stay.clone(), 1),
                // Then fences, each with or without a read-from before it, and hb steps after it.
                (1, "rfe", rfe.clone(), 2),
                (1, "fence", fence.clone(), 3),
                (2, "fence", fence.clone(), 3),
                (3, "", stay.clone(), 1),
                // Then the sync of the strong part.
                (1, "sync", sync.clone(), 4),
                // Or, from write to write: a fence and hb steps after it.
                (0, "rfe", rfe.clone(), 6),
                (0, "fence", fence.clone(), 7),
                (6, "fence", fence.clone(), 7),
            ];
            for state in [3, 4, 7] {
                hops.extend(
                    [("ppo", &ppo), ("fence", &fence), ("rfe", &rfe)].map(|(n, r)| (state, n, r.clone(), state)),
                );
            }
            vec![("prop", Route { hops, ends: &[4, 7] })]
        };
        if !order.is_acyclic() {
            let parts = || (vec![("co", co.clone()), ("prop", prop.clone())], route());
            return forbidden_by_route(detail, ("propagation", Demand::Acyclic), order, parts);
        }
        let seen = (&fre >> &prop) >> &hbstar;
        if !seen.is_irreflexive() {
            let parts = || (vec![("fre", fre.clone()), ("prop", prop.clone()), ("hb", hb.clone())], route());
            return forbidden_by_route(detail, ("observation", Demand::Irreflexive), seen, parts);
        }
        if !(co | &xx).is_acyclic() {
            let parts = || vec![("co", co.clone()), ("po", xx.clone())];
            return forbidden(detail, ("reservations in order", Demand::Acyclic), co | &xx, parts);
        }
        allowed(hb)
    })
}

/// Preserved program order: the least solution of four mutually recursive equations between the beginnings
/// (i) and completions (c) of accesses.
fn preserved(ii0: &Relation, ci0: &Relation, cc0: &Relation, r: Set, w: Set) -> Relation {
    if ii0.is_empty() && ci0.is_empty() {
        // Then ii and ci stay empty, and ic becomes cc.
        return r >> cc0.plus() >> w;
    }
    let (mut ii, mut ic, mut ci, mut cc) = (ii0.clone(), Relation::empty(ii0.events()), ci0.clone(), cc0.clone());
    loop {
        let next_ii = ((ii0 | &ci) | (&ic >> &ci)) | (&ii >> &ii);
        let next_ic = ((&ii | &cc) | (&ic >> &cc)) | (&ii >> &ic);
        let next_ci = (ci0 | (&ci >> &ii)) | (&cc >> &ci);
        let next_cc = ((cc0 | &ci) | (&ci >> &ic)) | (&cc >> &cc);
        if next_ii == ii && next_ic == ic && next_ci == ci && next_cc == cc {
            return (r >> &ii >> r) | (r >> &ic >> w);
        }
        (ii, ic, ci, cc) = (next_ii, next_ic, next_ci, next_cc);
    }
}
