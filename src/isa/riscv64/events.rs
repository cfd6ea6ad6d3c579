//! RISC-V: events of the emitted instructions, with fences around plain accesses, lr/sc loops and AMOs.

use crate::arch::lock::Lock;
use crate::model::code::BranchOn;
use crate::model::event::Tags;
use crate::model::machine::{Machine, Parts, UpdateKind};
use crate::program::{Access, Fence, Order};

pub struct Riscv(pub Lock);

impl Machine for Riscv {
    fn fence(&self, fence: Fence) -> Option<Tags> {
        match fence {
            // The kernel's fence iorw,iorw differs from fence rw,rw only for devices.
            Fence::Mb
            | Fence::MbBeforeAtomic
            | Fence::MbAfterAtomic
            | Fence::MbAfterSpinlock
            | Fence::MbAfterUnlockLock
            | Fence::MandatoryMb => Some(Tags::FENCE_RW_RW),
            Fence::Rmb | Fence::AcquireAfterCtrlDep | Fence::MandatoryRmb => Some(Tags::FENCE_R_R),
            Fence::Wmb | Fence::MandatoryWmb => Some(Tags::FENCE_W_W),
            Fence::Barrier | Fence::RcuReadLock | Fence::RcuReadUnlock => None,
        }
    }

    fn load(&self, access: Access) -> (Tags, Option<Tags>) {
        (Tags::NONE, (access == Access::Acquire).then_some(Tags::FENCE_R_RW))
    }

    fn store(&self, access: Access) -> (Option<Tags>, Tags) {
        ((access == Access::Release).then_some(Tags::FENCE_RW_W), Tags::NONE)
    }

    fn unlock_read(&self) -> Option<Tags> {
        (self.0 == Lock::Ticket).then_some(Tags::NONE)
    }

    fn update(&self, used: UpdateKind) -> Parts {
        let (order, reserved) = match used {
            // The ticket lock takes a ticket with amoadd.w.aqrl. Its trylock is a fully ordered cmpxchg.
            UpdateKind::Lock if self.0 == Lock::Ticket => (Order::Full, false),
            UpdateKind::Trylock if self.0 == Lock::Ticket => (Order::Full, true),
            UpdateKind::Compare(order) => (order, true),
            UpdateKind::Exchange(order) | UpdateKind::Fetch(order) => (order, false),
            UpdateKind::NoReturn => (Order::Relaxed, false),
            UpdateKind::Lock | UpdateKind::Trylock => (Order::Acquire, true),
        };
        let enter = (order == Order::Release).then_some(Tags::FENCE_RW_W);
        if !reserved {
            // amoadd and its family, and amoswap; .aqrl if fully ordered.
            let marks = if order == Order::Full { Tags::ACQUIRE | Tags::RELEASE } else { Tags::NONE } | Tags::AMO;
            let after = (order == Order::Acquire).then_some(Tags::FENCE_R_RW);
            return Parts { enter, read: marks, failed: marks, write: marks, after, ..Parts::default() };
        }
        let after = match order {
            Order::Acquire => Some(Tags::FENCE_R_RW),
            Order::Full => Some(Tags::FENCE_RW_RW),
            Order::Relaxed | Order::Release => None,
        };
        // sc.rl if fully ordered.
        let write = Tags::EXCLUSIVE | if order == Order::Full { Tags::RELEASE } else { Tags::NONE };
        let read = Tags::EXCLUSIVE;
        // spin_trylock first reads the lock with a plain load. If the lock is held, it does not try to take
        // it.
        let failed = if used == UpdateKind::Trylock { Tags::NONE } else { read };
        Parts { enter, read, failed, write, after, branch: Some(BranchOn::Both), ..Parts::default() }
    }
}
