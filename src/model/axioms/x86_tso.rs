//! x86-TSO: a store may be overtaken by later loads of its own thread; everything else stays in order.
//!
//! Sources: S. Owens, S. Sarkar, P. Sewell, "A Better x86 Memory Model: x86-TSO", TPHOLs 2009; as axioms,
//! herd's x86tso.cat (Herding Cats, 2014, figure 21).
//!
//! Not modelled: non-temporal stores, and memory types other than write-back. In write-back memory sfence and
//! lfence add no order.

use super::{Demand, Judge, allowed, forbidden};
use crate::model::event::Tags;
use crate::model::execution::{Execution, Witness};

/// `acyclic mfence | implied | po_ghb | rfe | fr | co`
pub fn judge(execution: &Execution) -> Judge<'_> {
    let Execution { po, r, w, ext, .. } = execution;
    let (r, w) = (*r, *w);
    let m = r | w;
    let locked = execution.tagged(Tags::AMO);
    // Program order, except a write before a read.
    let po_ghb = (w >> po >> w) | (r >> po >> m);
    let mfence = m >> execution.fencerel(execution.tagged(Tags::MFENCE)) >> m;
    // A locked instruction drains the store buffer before and after it.
    let implied = ((w & locked) >> po >> r) | (w >> po >> (r & locked));
    let local = po_ghb | mfence | implied;
    Box::new(move |Witness { rf, co, fr }| {
        let rfe = rf & ext;
        let order = ((&local | &rfe) | co) | fr;
        if order.is_acyclic() {
            return allowed(order);
        }
        let parts = vec![("rfe", rfe), ("fr", fr.clone()), ("co", co.clone()), ("ppo", local.clone())];
        forbidden("tso", Demand::Acyclic, order, parts)
    })
}
