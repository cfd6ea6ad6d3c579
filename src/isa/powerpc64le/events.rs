//! POWER: events of the emitted instructions, lwarx/stwcx. loops with barriers around them.

use crate::model::code::BranchOn;
use crate::model::event::Tags;
use crate::model::machine::{Machine, Parts, UpdateKind};
use crate::program::{Access, Fence, Order};

pub struct Power;

impl Machine for Power {
    fn fence(&self, fence: Fence) -> Option<Tags> {
        match fence {
            Fence::Mb
            | Fence::MbBeforeAtomic
            | Fence::MbAfterAtomic
            | Fence::MbAfterSpinlock
            | Fence::MbAfterUnlockLock
            | Fence::MandatoryMb
            | Fence::MandatoryRmb
            | Fence::MandatoryWmb => Some(Tags::SYNC),
            Fence::Rmb | Fence::Wmb | Fence::AcquireAfterCtrlDep => Some(Tags::LWSYNC),
            Fence::Barrier | Fence::RcuReadLock | Fence::RcuReadUnlock => None,
        }
    }

    fn load(&self, access: Access) -> (Tags, Option<Tags>) {
        (Tags::NONE, (access == Access::Acquire).then_some(Tags::LWSYNC))
    }

    fn store(&self, access: Access) -> (Option<Tags>, Tags) {
        ((access == Access::Release).then_some(Tags::LWSYNC), Tags::NONE)
    }

    fn update(&self, used: UpdateKind) -> Parts {
        let order = match used {
            UpdateKind::Exchange(order) | UpdateKind::Fetch(order) | UpdateKind::Compare(order) => order,
            UpdateKind::NoReturn => Order::Relaxed,
            UpdateKind::Lock | UpdateKind::Trylock => Order::Acquire,
        };
        let enter = match order {
            Order::Release => Some(Tags::LWSYNC),
            Order::Full => Some(Tags::SYNC),
            Order::Relaxed | Order::Acquire => None,
        };
        let after = match order {
            // PPC_ACQUIRE_BARRIER, as patched at boot.
            Order::Acquire => Some(Tags::LWSYNC),
            Order::Full => Some(Tags::SYNC),
            Order::Relaxed | Order::Release => None,
        };
        // The branch behind stwcx. is resolved only if the reservation was held, so lwarx has read by then.
        // Everything behind the branch is controlled by that read, whether or not its value was compared.
        let (read, write) = (Tags::EXCLUSIVE, Tags::EXCLUSIVE);
        Parts { enter, read, failed: read, write, after, branch: Some(BranchOn::Read), ..Parts::default() }
    }
}
