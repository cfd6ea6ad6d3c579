//! x86-64: events of the emitted instructions. Updates are locked instructions; most barriers only restrain
//! the compiler.

use crate::arch::lock::Lock;
use crate::model::event::Tags;
use crate::model::machine::{Machine, Parts, UpdateKind};
use crate::program::{Access, Fence};

pub struct X86(pub Lock);

const LOCKED: Parts = Parts {
    enter: None,
    read: Tags::AMO,
    failed: Tags::AMO,
    write: Tags::AMO,
    after: None,
    branch: None,
    picks: false,
};

impl Machine for X86 {
    fn fence(&self, fence: Fence) -> Option<Tags> {
        match fence {
            // A locked add to the thread's own stack (smp_mb), and mfence (mb).
            Fence::Mb | Fence::MandatoryMb => Some(Tags::MFENCE),
            // lfence and sfence add no order between accesses to ordinary memory.
            Fence::MandatoryRmb | Fence::MandatoryWmb => None,
            Fence::Rmb
            | Fence::Wmb
            | Fence::MbBeforeAtomic
            | Fence::MbAfterAtomic
            | Fence::MbAfterSpinlock
            | Fence::MbAfterUnlockLock
            | Fence::AcquireAfterCtrlDep
            | Fence::Barrier
            | Fence::RcuReadLock
            | Fence::RcuReadUnlock => None,
        }
    }

    fn load(&self, _access: Access) -> (Tags, Option<Tags>) {
        (Tags::NONE, None)
    }

    fn store(&self, _access: Access) -> (Option<Tags>, Tags) {
        (None, Tags::NONE)
    }

    fn store_mb(&self) -> Option<Parts> {
        Some(LOCKED)
    }

    fn unlock_update(&self) -> Option<Parts> {
        (self.0 == Lock::Paravirt).then_some(LOCKED)
    }

    fn update(&self, used: UpdateKind) -> Parts {
        match used {
            // spin_trylock first reads the lock. If the lock is held, it does not try to take it. If the lock
            // is free, the first read adds nothing to what the locked instruction orders, so it has no event.
            UpdateKind::Trylock => Parts { failed: Tags::NONE, ..LOCKED },
            _ => LOCKED,
        }
    }
}
