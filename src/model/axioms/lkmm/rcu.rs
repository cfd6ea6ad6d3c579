//! RCU and SRCU: read-side sections, grace periods, and the order that they make together.

use crate::model::event::Tags;
use crate::model::execution::Execution;
use crate::model::relation::{Relation, Set};

/// The part of RCU and SRCU that an execution has.
pub(super) struct Rcu {
    /// synchronize_rcu
    gp: Set,
    /// synchronize_srcu
    srcu_gp: Set,
    srcu_lock: Set,
    srcu_unlock: Set,
    /// rcu-rscsi: from each rcu_read_unlock to its rcu_read_lock.
    rscsi: Relation,
    /// Data dependencies, without those to an srcu_read_unlock.
    carried: Relation,
}

impl Rcu {
    pub(super) fn of(execution: &Execution) -> Rcu {
        let tagged = |tags| execution.tagged(tags);
        let srcu_unlock = tagged(Tags::SRCU_UNLOCK);
        let all = execution.select(|_| true);
        Rcu {
            gp: tagged(Tags::SYNC_RCU),
            srcu_gp: tagged(Tags::SYNC_SRCU),
            srcu_lock: tagged(Tags::SRCU_LOCK),
            srcu_unlock,
            rscsi: sections(execution).inverse(),
            carried: execution.data.to(all - srcu_unlock),
        }
    }

    /// The data dependencies through which other dependencies are carried: those to an srcu_read_unlock are not among them.
    pub(super) fn carried(&self) -> &Relation {
        &self.carried
    }

    /// The strong fences of RCU: `gp`, and smp_mb__after_srcu_read_unlock. `m` has the reads and writes.
    pub(super) fn strong_fence(&self, execution: &Execution, m: Set) -> Relation {
        let after = execution.tagged(Tags::AFTER_SRCU_READ_UNLOCK);
        if (self.gp | self.srcu_gp | after).is_empty() {
            return execution.none();
        }
        let maybe = execution.po.maybe();
        let gp = (&execution.po >> (self.gp | self.srcu_gp)) >> &maybe;
        gp | ((((m >> maybe) >> self.srcu_unlock) >> execution.fencerel(after)) >> m)
    }

    /// Whether any grace period can end up in [`Rcu::order`].
    pub(super) fn has_grace_periods(&self) -> bool {
        !(self.gp | self.srcu_gp).is_empty()
    }

    /// srcu-rscs: from each srcu_read_lock to the srcu_read_unlock that gets its index, directly or through memory.
    pub(super) fn srcu_sections(&self, execution: &Execution, rf: &Relation) -> Relation {
        if self.srcu_lock.is_empty() {
            return execution.none();
        }
        let carry = (&self.carried >> rf).star();
        (((self.srcu_lock >> carry) >> &execution.data) >> self.srcu_unlock) & &execution.loc
    }

    /// rcu-order: any sequence with at least as many grace periods as read-side sections, joined by `link`. A section and
    /// the grace period that stands against it belong to the same domain.
    pub(super) fn order(&self, execution: &Execution, rf: &Relation, link: &Relation) -> Relation {
        let srcu_rscsi = self.srcu_sections(execution, rf).inverse();
        let around =
            |through: &Relation, gp: Set, rscsi: &Relation| ((through.from(gp)) >> rscsi) | (rscsi >> through.to(gp));
        let mut order = execution.id(self.gp | self.srcu_gp);
        loop {
            let through = link | ((link >> &order) >> link);
            let next = ((&order | around(&through, self.gp, &self.rscsi))
                | (around(&through, self.srcu_gp, &srcu_rscsi) & &execution.loc))
                | ((&order >> link) >> &order);
            if next == order {
                return order;
            }
            order = next;
        }
    }
}

/// rcu-rscs: from each rcu_read_lock to its rcu_read_unlock; sections nest.
pub(super) fn sections(execution: &Execution) -> Relation {
    let mut out = execution.none();
    let mut open: Vec<usize> = Vec::new();
    let mut thread = None;
    for (number, event) in execution.events.iter().enumerate() {
        if event.thread != thread {
            thread = event.thread;
            open.clear();
        }
        if event.tags.any(Tags::RCU_LOCK) {
            open.push(number);
        } else if event.tags.any(Tags::RCU_UNLOCK)
            && let Some(lock) = open.pop()
        {
            out.insert(lock, number);
        }
    }
    out
}
