//! x86-TSO: a store may be passed by younger loads of its own thread, and nothing else.
//!
//! S. Owens, S. Sarkar, P. Sewell, "A Better x86 Memory Model: x86-TSO", TPHOLs 2009; as axioms herd's x86tso.cat
//! (Herding Cats, 2014, figure 21). Memory is ordinary write-back memory: sfence and lfence order nothing more there, and
//! non-temporal stores are outside of the model.

use super::{Demand, Judge, allowed, forbidden};
use crate::model::event::Tags;
use crate::model::execution::{Execution, Witness};

/// `acyclic mfence | implied | po_ghb | rfe | fr | co`
pub fn judge(execution: &Execution) -> Judge<'_> {
    let Execution { po, r, w, ext, .. } = execution;
    let (r, w) = (*r, *w);
    let m = r | w;
    let locked = execution.tagged(Tags::AMO);
    // Everything in program order but a write before a read.
    let po_ghb = (w >> po >> w) | (r >> po >> m);
    let mfence = m >> execution.fencerel(execution.tagged(Tags::MFENCE)) >> m;
    // A locked instruction drains the store buffer on both of its sides.
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
