//! Sequential consistency: all accesses take effect in one order that respects the program order of each
//! thread.
//!
//! Sources: L. Lamport, "How to Make a Multiprocessor Computer That Correctly Executes Multiprocess
//! Programs", IEEE Transactions on Computers C-28(9), 1979; as an axiom in J. Alglave, L. Maranget, M.
//! Tautschnig, "Herding Cats", TOPLAS 36(2), 2014, figure 21.

use super::{Demand, Judge, Reserved, allowed, forbidden};
use crate::model::execution::{Execution, Witness};

/// `acyclic po | rf | co | fr`
pub fn judge(execution: &Execution) -> Judge<'_> {
    let m = execution.m();
    let po = m >> &execution.po >> m;
    let reserved = Reserved::new(execution);
    Box::new(move |Witness { rf, co, fr }, detail| {
        // An access takes effect as a whole.
        let mut order = ((&po | rf) | co) | fr;
        reserved.add_to(&mut order, (rf, fr), &execution.ext);
        let order = execution.to_whole(&order);
        if order.is_acyclic() {
            return allowed(order);
        }
        forbidden(detail, ("sc", Demand::Acyclic), order, || {
            let parts = [("rf", rf), ("fr", fr), ("co", co), ("po", &po)];
            parts.map(|(name, part)| (name, execution.to_whole(part))).into()
        })
    })
}
