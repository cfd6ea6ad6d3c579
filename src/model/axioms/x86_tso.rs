//! x86-TSO: a store may be overtaken by later loads of its own thread; everything else stays in order.
//!
//! Sources: S. Owens, S. Sarkar, P. Sewell, "A Better x86 Memory Model: x86-TSO", TPHOLs 2009; as axioms,
//! herd's x86tso.cat (Herding Cats, 2014, figure 21).
//!
//! Mixed sizes: as in herd's x86tso-mixed.cat, what is observed of a part of an access holds for the whole access.
//!
//! Not modelled: non-temporal stores, and memory types other than write-back. In write-back memory sfence and
//! lfence add no order.

use super::{Demand, Judge, allowed, forbidden};
use crate::model::event::Tags;
use crate::model::execution::{Execution, Witness};

/// `acyclic mfence | implied | po_ghb | rfe | fr | co`
pub fn judge(execution: &Execution) -> Judge<'_> {
    let Execution { po, rmw, r, w, ext, .. } = execution;
    let (r, w) = (*r, *w);
    let m = r | w;
    let locked = execution.tagged(Tags::AMO);
    // Program order, except a write before a read.
    let po_ghb = (w >> po >> w) | (r >> po >> m);
    let mfence = m >> execution.fencerel(execution.tagged(Tags::MFENCE)) >> m;
    // A locked instruction drains the store buffer before and after it.
    let implied = ((w & locked) >> po >> r) | (w >> po >> (r & locked));
    let local = po_ghb | mfence | implied;
    if execution.mixes_sizes() {
        // What is observed of a part of an access holds for the whole access, and for both halves of a locked one.
        let half = (rmw | rmw.inverse()).maybe();
        let access = || execution.access.maybe();
        let whole = access() >> half >> access();
        // A locked instruction reads before its own write, which is one event with its read.
        let own = access() >> rmw >> access();
        return Box::new(move |Witness { rf, co, fr }, detail| {
            let [rfe, fr, co] = [&(rf & ext), &(fr - &own), co].map(|relation| relation >> &whole);
            let order = ((&local | &rfe) | &co) | &fr;
            if order.is_acyclic() {
                return allowed(order);
            }
            forbidden(detail, ("tso", Demand::Acyclic), order, || {
                vec![("rfe", rfe), ("fr", fr), ("co", co), ("ppo", local.clone())]
            })
        });
    }
    Box::new(move |Witness { rf, co, fr }, detail| {
        let mut order = local.clone();
        order.add_common(rf, ext);
        order.add(co);
        order.add(fr);
        if order.is_acyclic() {
            return allowed(order);
        }
        forbidden(detail, ("tso", Demand::Acyclic), order, || {
            vec![("rfe", rf & ext), ("fr", fr.clone()), ("co", co.clone()), ("ppo", local.clone())]
        })
    })
}
