//! AArch64: events of the emitted instructions, with LSE atomics or with exclusives.

use crate::arch::Atomics;
use crate::model::code::BranchOn;
use crate::model::event::Tags;
use crate::model::machine::{Machine, Parts, UpdateKind};
use crate::program::{Access, Fence, Order, RmwOp, RmwResult};

pub struct Aarch64(pub Atomics);

impl Machine for Aarch64 {
    fn fence(&self, fence: Fence) -> Option<Tags> {
        match fence {
            Fence::Mb | Fence::MbBeforeAtomic | Fence::MbAfterAtomic | Fence::MbAfterSpinlock | Fence::MandatoryMb => {
                Some(Tags::DMB_FULL)
            }
            Fence::Rmb | Fence::AcquireAfterCtrlDep | Fence::MandatoryRmb => Some(Tags::DMB_LD),
            Fence::Wmb => Some(Tags::DMB_ST),
            // wmb() is dsb st; smp_wmb() is dmb ishst.
            Fence::MandatoryWmb => Some(Tags::DSB_ST),
            Fence::MbAfterUnlockLock | Fence::Barrier | Fence::RcuReadLock | Fence::RcuReadUnlock => None,
        }
    }

    fn load(&self, access: Access) -> (Tags, Option<Tags>) {
        (if access == Access::Acquire { Tags::ACQUIRE } else { Tags::NONE }, None)
    }

    fn store(&self, access: Access) -> (Option<Tags>, Tags) {
        (None, if access == Access::Release { Tags::RELEASE } else { Tags::NONE })
    }

    fn order(&self, kind: (RmwOp, RmwResult, bool), order: Order) -> Order {
        super::order(self.0, kind, order)
    }

    fn update(&self, used: UpdateKind) -> Parts {
        let order = match used {
            UpdateKind::Exchange(order) | UpdateKind::Fetch(order) | UpdateKind::Compare(order) => order,
            UpdateKind::NoReturn => Order::Relaxed,
            UpdateKind::Lock | UpdateKind::Trylock => Order::Acquire,
        };
        let lse = self.0 == Atomics::Lse;
        let kind = if lse { Tags::AMO } else { Tags::EXCLUSIVE };
        // Acquire: ldaxr or an acquiring LSE instruction. A fully ordered pair of exclusives reads with plain
        // ldxr.
        let acquires = order == Order::Acquire || lse && order == Order::Full;
        let releases = matches!(order, Order::Release | Order::Full);
        // stadd and its family are stores: accesses behind dmb ishld do not wait for their read.
        let noreturn = if lse && used == UpdateKind::NoReturn { Tags::NORETURN } else { Tags::NONE };
        let read = kind | noreturn | if acquires { Tags::ACQUIRE } else { Tags::NONE };
        let compares =
            matches!(used, UpdateKind::Lock | UpdateKind::Trylock) || !lse && matches!(used, UpdateKind::Compare(_));
        Parts {
            read,
            // spin_trylock first reads the lock with a plain load. If the lock is held, it does not try to
            // take it.
            failed: if used == UpdateKind::Trylock { Tags::NONE } else { read },
            write: kind | if releases { Tags::RELEASE } else { Tags::NONE },
            after: (!lse && order == Order::Full).then_some(Tags::DMB_FULL),
            branch: compares.then_some(BranchOn::Read),
            // The result of cas has only a "pick" dependency on the value read.
            picks: lse && matches!(used, UpdateKind::Compare(_) | UpdateKind::Lock | UpdateKind::Trylock),
            ..Parts::default()
        }
    }
}
