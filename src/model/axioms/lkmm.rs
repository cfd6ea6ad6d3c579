//! The Linux-kernel memory model.
//!
//! Sources: tools/memory-model/linux-kernel.cat, .bell and lock.cat of the kernel, as of Linux 7.2; J. Alglave, L. Maranget,
//! P. McKenney, A. Parri, A. Stern, "Frightening Small Children and Disconcerting Grown-ups: Concurrency in the Linux Kernel",
//! ASPLOS 2018.
//!
//! A lock is a location. LKR and LKW are the read and the write that take it, UL is the write that frees it.
//!
//! An SRCU domain is a location too. srcu_read_lock reads its index from it, and srcu_read_unlock writes the index back.

mod plain;
mod rcu;
mod warnings;

use super::route::Route;
use super::{Demand, Detail, Judge, Judgement, allowed, forbidden_by_route, is_sequential};
use crate::model::event::Tags;
use crate::model::execution::{Execution, Witness};
use crate::model::flags::Flags;
use crate::model::relation::{Relation, Set};
use plain::Plain;
use rcu::Rcu;

pub use warnings::{misused_lock, warnings};

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

/// happens-before, propagation, rcu, plain-coherence, and the flags.
pub fn judge(execution: &Execution) -> Judge<'_> {
    let model = Lkmm::of(execution);
    Box::new(move |witness, detail| model.judge(witness, detail))
}

impl Sets {
    fn of(execution: &Execution) -> Sets {
        let Execution { r, w, iw, .. } = *execution;
        let (m, all) = (r | w, execution.select(|_| true));
        let plain = m & execution.tagged(Tags::PLAIN);
        let noreturn = r & execution.tagged(Tags::NORETURN);
        Sets { all, m, w, iw, plain, marked: all - plain, noreturn, r4rmb: r - noreturn }
    }
}

/// An execution, and what does not depend on the candidate.
struct Lkmm<'e> {
    execution: &'e Execution,
    sets: Sets,
    rcu: Rcu,
    po_rel: Relation,
    wmb: Relation,
    /// strong-fence without the barrier smp_mb__after_unlock_lock.
    strong_fence: Relation,
    /// po ; [UL]
    unlock: Relation,
    /// [LKR] ; po
    after_lock: Relation,
    /// [After-unlock-lock] ; po ; [M]
    after_unlock_lock: Relation,
    identity: Relation,
    /// acq-po | po-rel | strong-fence without smp_mb__after_unlock_lock, and that with wmb | rmb
    fences: [Relation; 2],
    /// Whether there is a dependency.
    depends: bool,
    /// What the checks of plain accesses need, if there are any.
    plain: Option<Plain>,
    /// Whether the SRCU sections depend on the candidate.
    sections_vary: bool,
}

/// The relations of a candidate, with the names of linux-kernel.cat.
struct Derived {
    addr: Relation,
    fence: Relation,
    nonrw_fence: Relation,
    strong_fence: Relation,
    ppo: Relation,
    cumul_fence: Relation,
    rmw_sequence: Relation,
    rfe: Relation,
    prop: Relation,
    /// (prop \ id) & int
    returning: Relation,
    hb: Relation,
}

impl<'e> Lkmm<'e> {
    fn of(execution: &'e Execution) -> Lkmm<'e> {
        let Execution { po, rmw, r, w, .. } = execution;
        let (r, w) = (*r, *w);
        let tagged = |tags| execution.tagged(tags);
        let fencerel = |tags| execution.fencerel(tagged(tags));
        let sets = Sets::of(execution);
        let Sets { all, m, r4rmb, .. } = sets;
        let (lkr, lkw, ul) = (tagged(Tags::LKR), tagged(Tags::LKW), tagged(Tags::UL));
        let acquire = r & (tagged(Tags::ACQUIRE) | lkr);
        let release = w & (tagged(Tags::RELEASE) | ul);
        // The set RMW of linux-kernel.bell (6.14 and later) also holds FailedRMW: the reads of conditional
        // updates that did not write. The events of locks are not in it: lock.cat adds them to rmw only.
        let rmws = (rmw.domain() | rmw.range() | tagged(Tags::FAILED)) - (lkr | lkw);
        let rcu = Rcu::of(execution);

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
        let strong_fence = mb | rcu.strong_fence(execution, m);
        let nonrw_fence = (&strong_fence | &po_rel) | acq_po;
        let fence = (&nonrw_fence | &wmb) | &rmb;
        Lkmm {
            execution,
            sets,
            po_rel,
            wmb,
            strong_fence,
            plain: (!sets.plain.is_empty()).then(|| Plain::of(execution, sets)),
            fences: [nonrw_fence, fence],
            depends: [&execution.addr, &execution.data, &execution.ctrl].iter().any(|kind| !kind.is_empty()),
            rcu,
            unlock: po >> ul,
            after_lock: lkr >> po,
            after_unlock_lock: tagged(Tags::AFTER_UNLOCK_LOCK) >> po >> m,
            identity: execution.id(all),
            sections_vary: warnings::sections_vary(execution),
        }
    }

    /// The relations up to hb.
    fn derive(&self, Witness { rf, co, fr }: &Witness) -> Derived {
        let Execution { po, rmw, ext, int, .. } = self.execution;
        let Sets { m, w, plain, marked, .. } = self.sets;
        let Lkmm { po_rel, wmb, .. } = self;
        let (rfe, rfi) = (rf & ext, rf & int);

        // Most tests have no locks.
        let [mut strong_fence, mut nonrw_fence, mut fence] =
            [&self.strong_fence, &self.fences[0], &self.fences[1]].map(Relation::clone);
        let po_unlock_lock_po = (!self.unlock.is_empty()).then(|| {
            let po_unlock_lock_po = (&self.unlock >> (po | rf)) >> &self.after_lock;
            let after_unlock_lock = (m >> &po_unlock_lock_po) >> &self.after_unlock_lock;
            for fences in [&mut strong_fence, &mut nonrw_fence, &mut fence] {
                fences.add(&after_unlock_lock);
            }
            po_unlock_lock_po
        });

        // Preserved program order
        let overwrite = co | fr;
        let mut ppo = &overwrite & int;
        let mut addr = self.execution.addr.clone();
        if self.depends {
            // linux-kernel.bell: dependencies are carried through memory.
            let carry_dep = (self.rcu.carried() >> &rfi).plus();
            let carried = |dependency: &Relation| dependency.then_before(&carry_dep);
            let (data, ctrl);
            [addr, data, ctrl] = [&self.execution.addr, &self.execution.data, &self.execution.ctrl].map(carried);
            let dep = &addr | &data;
            let rwdep = (&dep | ctrl) >> w;
            ppo.add(&rwdep);
            ppo.add_sequence(&(&addr >> plain), wmb);
            // An address dependency of a grace period of SRCU, which is no access, orders nothing.
            ppo.add(&addr.to(m));
            ppo.add_sequence(&(&dep >> marked), &rfi);
        }
        ppo.add_common(&fence, int);
        if let Some(po_unlock_lock_po) = &po_unlock_lock_po {
            ppo.add_common(po_unlock_lock_po, int);
        }

        // Propagation: ordering from release operations and strong fences
        let to_marked = &rfe >> marked;
        let mut cumul_fence = (&strong_fence | po_rel).then_before(&to_marked);
        cumul_fence.add(wmb);
        if let Some(po_unlock_lock_po) = &po_unlock_lock_po {
            cumul_fence.add(po_unlock_lock_po);
        }
        let rmw_sequence = if rmw.is_empty() { rmw.clone() } else { (rf >> rmw).plus() };
        let cumul_fence = ((marked >> cumul_fence) >> marked).then(&rmw_sequence);
        let rmw_sequence = rmw_sequence.maybe();
        let mut prop = (marked >> (&overwrite & ext)).maybe().then(&cumul_fence.plus());
        prop = (marked >> prop >> marked).then(&rfe) >> marked;

        // Happens-before: ordering from the passage of time
        let returning = (&prop - &self.identity) & int;
        let hb = (marked >> ((&ppo | &rfe) | &returning)) >> marked;
        Derived { addr, fence, nonrw_fence, strong_fence, ppo, cumul_fence, rmw_sequence, rfe, prop, returning, hb }
    }

    fn judge(&self, witness: &Witness, detail: Detail) -> Judgement {
        let marked = self.sets.marked;
        let only_order = self.plain.is_none() && !self.rcu.has_grace_periods() && !self.sections_vary;
        if only_order && detail == Detail::Verdict && is_sequential(self.execution, witness) {
            return allowed(self.execution.none());
        }
        let mut derived = self.derive(witness);
        if !derived.hb.is_acyclic() {
            return self.hb_cycle(&derived, witness, detail);
        }
        // Every link of pb contains a strong fence.
        let links = &derived.prop >> &derived.strong_fence;
        if links.is_empty() && only_order {
            return allowed(derived.hb);
        }
        let hb_star = derived.hb.star();
        let pb = (links >> &hb_star) >> marked;
        if !pb.is_acyclic() {
            return self.pb_cycle(&derived, pb, witness, detail);
        }
        let mut order = &derived.hb | &pb;
        if self.rcu.has_grace_periods() {
            let po = &self.execution.po;
            let before = &hb_star >> pb.star();
            let link = ((po.maybe() >> &before) >> &derived.prop) >> po;
            let fence = (po >> self.rcu.order(self.execution, &witness.rf, &link)) >> po.maybe();
            let rb = ((&derived.prop >> &fence) >> before) >> marked;
            if !rb.is_irreflexive() {
                return self.rb_cycle(&derived, (pb, fence, rb), witness, detail);
            }
            order = order | rb;
            derived.fence = derived.fence | &fence;
            derived.strong_fence = derived.strong_fence | fence;
        }
        let race = match &self.plain {
            None => Flags::NONE,
            Some(plain) => match plain.race(self.execution, marked, &derived, witness, &order.star()) {
                Ok(race) => race,
                Err(violation) => return Judgement::Forbidden(*violation),
            },
        };
        let (of_sections, sections) = match self.sections_vary {
            true => warnings::of_sections(self.execution, &self.rcu.srcu_sections(self.execution, &witness.rf)),
            false => (Flags::NONE, Vec::new()),
        };
        Judgement::Allowed { order, flags: race | of_sections, sections }
    }

    /// The steps of prop, as a walk from state 0 to state 2.
    fn steps_of_prop(&self, derived: &Derived, Witness { co, fr, .. }: &Witness) -> Vec<Hop> {
        let ext = &self.execution.ext;
        vec![
            (0, "fre", fr & ext, 1),
            (0, "coe", co & ext, 1),
            (0, "", self.identity.clone(), 1),
            (1, "cumul-fence", derived.cumul_fence.clone(), 1),
            (1, "rfe", derived.rfe.clone(), 2),
            (1, "", self.identity.clone(), 2),
        ]
    }

    fn hb_cycle(&self, derived: &Derived, witness: &Witness, detail: Detail) -> Judgement {
        let Derived { hb, rfe, ppo, returning, .. } = derived;
        forbidden_by_route(detail, ("happens-before", Demand::Acyclic), hb.clone(), || {
            let routes = vec![("prop", Route { hops: self.steps_of_prop(derived, witness), ends: &[2] })];
            (vec![("rfe", rfe.clone()), ("ppo", ppo.clone()), ("prop", returning.clone())], routes)
        })
    }

    fn pb_cycle(&self, derived: &Derived, pb: Relation, witness: &Witness, detail: Detail) -> Judgement {
        forbidden_by_route(detail, ("propagation", Demand::Acyclic), pb.clone(), || {
            let mut hops = self.steps_of_prop(derived, witness);
            hops.push((2, "strong-fence", derived.strong_fence.clone(), 3));
            hops.extend(steps_of_hb(derived));
            (vec![("pb", pb)], vec![("pb", Route { hops, ends: &[3] })])
        })
    }

    fn rb_cycle(
        &self,
        derived: &Derived,
        (pb, fence, rb): (Relation, Relation, Relation),
        witness: &Witness,
        detail: Detail,
    ) -> Judgement {
        forbidden_by_route(detail, ("rcu", Demand::Irreflexive), rb.clone(), || {
            let mut hops = self.steps_of_prop(derived, witness);
            hops.push((2, "rcu-fence", fence, 3));
            hops.extend(steps_of_hb(derived));
            hops.push((3, "", self.identity.clone(), 4));
            hops.push((4, "pb", pb, 4));
            (vec![("rb", rb)], vec![("rb", Route { hops, ends: &[3, 4] })])
        })
    }
}

/// A step of a [`Route`].
type Hop = (u8, &'static str, Relation, u8);

/// The steps of hb, from state 3 to state 3.
fn steps_of_hb(derived: &Derived) -> [Hop; 3] {
    let Derived { ppo, rfe, returning, .. } = derived;
    [("ppo", ppo), ("rfe", rfe), ("prop", returning)].map(|(name, relation)| (3, name, relation.clone(), 3))
}
