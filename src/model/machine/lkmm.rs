//! The kernel model's view of a test: one event for most primitives
//! (tools/memory-model/Documentation/herd-representation.txt).

use super::{Machine, Parts, UpdateKind};
use crate::model::event::Tags;
use crate::program::{Access, Fence, Order};

pub struct Lkmm;

/// linux-kernel.bell, FailedRMW: an update that does not write does not acquire and is not a full barrier.
const CONDITIONAL: Parts = Parts {
    enter: None,
    read: Tags::NONE,
    failed: Tags::FAILED,
    write: Tags::NONE,
    after: None,
    branch: None,
    picks: false,
};

/// linux-kernel.cat: a fully ordered update acts as though smp_mb() enclosed it.
const FULL: Parts = Parts { read: Tags::MB, write: Tags::MB, ..CONDITIONAL };

impl Machine for Lkmm {
    /// explanation.txt: a control dependency reaches only the accesses inside the arms of the `if`.
    const SCOPED: bool = true;

    fn fence(&self, fence: Fence) -> Option<Tags> {
        match fence {
            Fence::Mb | Fence::MandatoryMb => Some(Tags::MB),
            // include/asm-generic/barrier.h defines smp_acquire__after_ctrl_dep as smp_rmb; the model has no
            // event of its own for it.
            Fence::Rmb | Fence::MandatoryRmb | Fence::AcquireAfterCtrlDep => Some(Tags::RMB),
            Fence::Wmb | Fence::MandatoryWmb => Some(Tags::WMB),
            Fence::MbBeforeAtomic => Some(Tags::BEFORE_ATOMIC),
            Fence::MbAfterAtomic => Some(Tags::AFTER_ATOMIC),
            Fence::MbAfterSpinlock => Some(Tags::AFTER_SPINLOCK),
            Fence::MbAfterUnlockLock => Some(Tags::AFTER_UNLOCK_LOCK),
            Fence::Barrier => Some(Tags::BARRIER),
            Fence::RcuReadLock => Some(Tags::RCU_LOCK),
            Fence::RcuReadUnlock => Some(Tags::RCU_UNLOCK),
        }
    }

    fn load(&self, access: Access) -> (Tags, Option<Tags>) {
        let tags = match access {
            Access::Acquire => Tags::ACQUIRE,
            Access::Plain => Tags::PLAIN,
            Access::Once | Access::Release | Access::NonTemporal => Tags::NONE,
        };
        (tags, None)
    }

    fn store(&self, access: Access) -> (Option<Tags>, Tags) {
        let tags = match access {
            Access::Release => Tags::RELEASE,
            Access::Plain => Tags::PLAIN,
            Access::Once | Access::Acquire | Access::NonTemporal => Tags::NONE,
        };
        (None, tags)
    }

    fn update(&self, used: UpdateKind) -> Parts {
        let plain = CONDITIONAL;
        match used {
            UpdateKind::Lock => Parts { read: Tags::LKR, write: Tags::LKW, ..Parts::default() },
            UpdateKind::Trylock => Parts { read: Tags::LKR, failed: Tags::LF, write: Tags::LKW, ..Parts::default() },
            UpdateKind::NoReturn => Parts { read: Tags::NORETURN, ..Parts::default() },
            UpdateKind::Exchange(order) | UpdateKind::Fetch(order) | UpdateKind::Compare(order) => match order {
                Order::Relaxed => plain,
                Order::Acquire => Parts { read: Tags::ACQUIRE, ..plain },
                Order::Release => Parts { write: Tags::RELEASE, ..plain },
                Order::Full => FULL,
            },
        }
    }

    /// linux-kernel.def: fully ordered if it adds.
    fn add_unless(&self) -> Option<Parts> {
        Some(FULL)
    }

    fn unlock(&self) -> (Option<Tags>, Tags) {
        (None, Tags::UL)
    }

    fn is_locked_is_special(&self) -> bool {
        true
    }
}
