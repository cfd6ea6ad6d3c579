//! x86-64: locked instructions, and barriers only for the compiler otherwise.

use super::{Machine, Parts, Use};
use crate::model::event::Tags;
use crate::program::{Access, Fence};

pub struct X86;

const LOCKED: Parts = Parts {
    enter: None,
    before: None,
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
            // lock addl on the own stack, and mfence
            Fence::Mb | Fence::MandatoryMb => Some(Tags::MFENCE),
            // lfence and sfence order nothing more among accesses to ordinary memory.
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

    fn update(&self, used: Use) -> Parts {
        match used {
            // It looks first, and a lock that is seen held is left alone. (The look in front of a lock that is taken tells
            // nothing that the locked instruction behind it does not.)
            Use::Trylock => Parts { failed: Tags::NONE, ..LOCKED },
            _ => LOCKED,
        }
    }
}
