//! The flags of linux-kernel.bell, linux-kernel.cat and lock.cat that this program computes, but for the data race.

use super::super::Warnings;
use super::rcu::sections;
use crate::model::event::Tags;
use crate::model::execution::Execution;
use crate::model::flags::Flags;
use crate::model::relation::{Relation, Set};
use crate::program::LocationId;

/// The flags of an execution, as far as they do not depend on where its reads get their values.
pub fn warnings(execution: &Execution) -> Warnings {
    let tags = execution.all_tags();
    let mut warnings = Warnings::default();
    if tags.any(Tags::RCU_LOCK | Tags::RCU_UNLOCK) {
        warnings.certain = of_rcu(execution);
    }
    if tags.any(Tags::SRCU_LOCK | Tags::SRCU_UNLOCK) {
        (warnings.possible, warnings.sections) = of_srcu(execution);
    }
    if tags.any(Tags::OF_SRCU) {
        let mixed = of_variables(execution, Tags::OF_SRCU);
        warnings.certain = warnings.certain | Flags::MIXED_LOCK_ACCESSES.when(!mixed.is_empty());
    }
    if tags.any(Tags::UL) {
        let unmatched = execution.tagged(Tags::UL) - critical(execution).range();
        warnings.certain = warnings.certain | Flags::UNMATCHED_UNLOCK.when(!unmatched.is_empty());
    }
    if tags.any(Tags::PLAIN) {
        warnings.certain = warnings.certain | Flags::MIXED_ACCESSES.when(mixes(execution));
        warnings.possible = warnings.possible | Flags::DATA_RACE.when(may_race(execution));
    }
    warnings
}

/// Whether an execution has two accesses that may race.
fn may_race(execution: &Execution) -> bool {
    let Execution { ext, loc, w, .. } = execution;
    let plain = execution.tagged(Tags::PLAIN);
    let others = execution.m() - execution.iw;
    let written = |event: usize, others: Set| {
        let others = loc.row(event) & ext.row(event) & others;
        !(if w.has(event) { others } else { others & *w }).is_empty()
    };
    plain.iter().any(|event| written(event, others))
}

/// The first lock that an execution also reads or writes as a variable. lock.cat flags that (mixed-lock-accesses), and it gives the
/// events of locks no values, so that the other accesses have none to read.
pub fn misused_lock(execution: &Execution) -> Option<LocationId> {
    of_variables(execution, Tags::OF_LOCKS).iter().next()
}

/// The cells that the events of locks or SRCU domains and other accesses share.
fn of_variables(execution: &Execution, special: Tags) -> Set {
    let others = execution.m() - execution.iw - execution.tagged(Tags::OF_LOCKS | Tags::OF_SRCU);
    execution.cells_of(execution.tagged(special)) & execution.cells_of(others)
}

/// The flags about the sections of RCU.
fn of_rcu(execution: &Execution) -> Flags {
    let tagged = |tags| execution.tagged(tags);
    let rcu = sections(execution);
    let sleeps = (&execution.po >> tagged(Tags::SYNC_SRCU)) >> &execution.po;
    Flags::UNMATCHED_RCU_LOCK.when(!(tagged(Tags::RCU_LOCK) - rcu.domain()).is_empty())
        | Flags::UNMATCHED_RCU_UNLOCK.when(!(tagged(Tags::RCU_UNLOCK) - rcu.range()).is_empty())
        | Flags::INVALID_SLEEP.when(!(rcu & sleeps).is_empty())
}

/// The flags about SRCU that a candidate may have, and the sections. If every srcu_read_unlock gets its index in a register from
/// one srcu_read_lock of its own, the sections do not depend on the candidate. Else there are no sections here, and any flag is
/// possible.
fn of_srcu(execution: &Execution) -> (Flags, Vec<(usize, usize)>) {
    let (locks, unlocks) = (execution.tagged(Tags::SRCU_LOCK), execution.tagged(Tags::SRCU_UNLOCK));
    let sources = execution.data.inverse();
    let mut sections = Vec::new();
    let mut closed = Set::EMPTY;
    for unlock in unlocks.iter() {
        let from = sources.row(unlock);
        let mut all = from.iter();
        if let (Some(lock), None) = (all.next(), all.next())
            && locks.has(lock)
            && !closed.has(lock)
            && execution.loc.has(lock, unlock)
        {
            closed.insert(lock);
            sections.push((lock, unlock));
        }
    }
    if closed == locks && sections.len() == unlocks.iter().count() {
        return (Flags::NONE, sections);
    }
    let any = [Flags::UNMATCHED_SRCU_LOCK, Flags::UNMATCHED_SRCU_UNLOCK, Flags::MULTIPLE_SRCU_MATCHES];
    (any.into_iter().fold(Flags::SRCU_BAD_VALUE_MATCH, |all, flag| all | flag), Vec::new())
}

/// Whether the SRCU sections depend on the candidate.
pub(super) fn sections_vary(execution: &Execution) -> bool {
    execution.all_tags().any(Tags::SRCU_LOCK | Tags::SRCU_UNLOCK) && of_srcu(execution).0 != Flags::NONE
}

/// The flags about the SRCU sections of a candidate but for the one about values, and the sections.
pub(super) fn of_sections(execution: &Execution, sections: &Relation) -> (Flags, Vec<(usize, usize)>) {
    let (locks, unlocks) = (execution.tagged(Tags::SRCU_LOCK), execution.tagged(Tags::SRCU_UNLOCK));
    let several = (sections.inverse() >> sections) - execution.id(unlocks);
    let flags = Flags::UNMATCHED_SRCU_LOCK.when(!(locks - sections.domain()).is_empty())
        | Flags::UNMATCHED_SRCU_UNLOCK.when(!(unlocks - sections.range()).is_empty())
        | Flags::MULTIPLE_SRCU_MATCHES.when(!several.is_empty());
    (flags, sections.pairs().collect())
}

/// critical: from each write that takes a lock to the write of its thread that frees it.
fn critical(execution: &Execution) -> Relation {
    let (taken, freed) = (execution.tagged(Tags::LKW), execution.tagged(Tags::UL));
    let po_loc = &execution.po_loc;
    ((taken >> po_loc) >> freed) - ((po_loc >> (taken | freed)) >> po_loc)
}

/// mixed-accesses: a plain write and a marked access to one location without a barrier between them.
fn mixes(execution: &Execution) -> bool {
    let tagged = |tags| execution.tagged(tags);
    let plain = execution.w & tagged(Tags::PLAIN);
    if plain.is_empty() {
        return false;
    }
    let Execution { po, r, w, .. } = execution;
    let marked = execution.select(|event| !event.tags.any(Tags::PLAIN));
    let failed = tagged(Tags::FAILED);
    let acquire = *r & ((tagged(Tags::ACQUIRE) | tagged(Tags::LKR)) - failed);
    let release = *w & ((tagged(Tags::RELEASE) | tagged(Tags::UL)) - failed);
    let fences = tagged(
        Tags::BARRIER
            | Tags::RMB
            | Tags::WMB
            | Tags::SYNC_RCU
            | Tags::SYNC_SRCU
            | Tags::BEFORE_ATOMIC
            | Tags::AFTER_ATOMIC
            | Tags::RCU_LOCK
            | Tags::RCU_UNLOCK
            | Tags::SRCU_LOCK
            | Tags::SRCU_UNLOCK,
    );
    let between = (fences | (tagged(Tags::MB) - failed)) | (acquire | release);
    let barrier = (execution.fencerel(between) | (po >> release)) | (acquire >> po);
    let open = &execution.po_loc - barrier;
    let pairs = ((plain >> &open) >> marked) | ((marked >> open) >> plain);
    !pairs.is_empty()
}
