//! The kernel's barriers and ordered accesses, with the kernel's instructions (docs/kernel.md, section 5).
//!
//! Rust's fences and atomics compile to other instructions: a release fence is a full `dmb ish` on arm64; an
//! acquire load is a branch and isync on POWER and may be ldapr on arm64. So the barriers are written in assembly, in
//! `src/isa/ARCH/facts/barriers.rs`. Under loom the barriers are C11 fences that are at least as strong as the kernel's model
//! requires: smp_wmb is a release fence, smp_rmb an acquire fence, smp_mb a sequentially consistent fence.

use super::sync::{AtomicU32, AtomicUsize, Ordering};
#[cfg(not(loom))]
use crate::arch::native;

/// Defines one function per barrier: the host's instruction, and under loom a fence.
macro_rules! barriers {
    ($($(#[$doc:meta])* $name:ident, $fence:ident;)*) => {
        $(
            $(#[$doc])*
            #[inline(always)]
            pub fn $name() {
                #[cfg(not(loom))]
                native::$name();
                #[cfg(loom)]
                loom::sync::atomic::fence(Ordering::$fence);
                #[cfg(all(test, not(loom)))]
                super::witness::tell(super::witness::Access::Barrier(stringify!($name)));
            }
        )*
    };
}

barriers! {
    /// smp_mb(): a full barrier.
    smp_mb, SeqCst;
    /// smp_rmb(): orders loads against later loads.
    smp_rmb, Acquire;
    /// smp_wmb(): orders stores against later stores.
    smp_wmb, Release;
    /// smp_mb__after_spinlock(): a full barrier after a lock was taken. Empty on x86, where taking a lock is
    /// one.
    smp_mb__after_spinlock, SeqCst;
    /// smp_acquire__after_ctrl_dep(): turns a control dependency from a load into acquire ordering.
    smp_acquire__after_ctrl_dep, Acquire;
    /// Waits until earlier non-temporal stores are visible to other CPUs: sfence on x86. Without it the store
    /// that releases a lock passes them, and data written under the lock becomes visible after the release.
    /// Empty on the other architectures, where a release orders every store.
    drain_nontemporal, Release;
}

/// smp_store_mb() of a task's state: one xchg on x86, a store and a full barrier elsewhere.
#[inline(always)]
pub fn smp_store_mb(place: &AtomicU32, value: u32) {
    #[cfg(not(loom))]
    if native::STORE_MB_IS_ONE_EXCHANGE {
        place.swap(value, Ordering::SeqCst);
        return;
    }
    place.store(value, Ordering::Relaxed);
    smp_mb();
}

/// smp_load_acquire(): no later access of this thread takes effect before this load.
#[inline(always)]
pub fn smp_load_acquire(place: &AtomicU32) -> u32 {
    #[cfg(not(loom))]
    {
        #[cfg(test)]
        super::witness::tell(super::witness::Access::Read(place.as_ptr() as usize, Ordering::Acquire));
        // SAFETY: the address of a live atomic.
        unsafe { native::load_acquire(place.as_ptr()) }
    }
    #[cfg(loom)]
    place.load(Ordering::Acquire)
}

/// A non-temporal store, which is weakly ordered even on x86. Only sfence or a locked instruction orders it
/// before a later store. On the other architectures, where every store is weakly ordered, this is an ordinary
/// store.
#[inline(always)]
pub fn nontemporal_store(place: &AtomicUsize, value: usize) {
    #[cfg(not(loom))]
    {
        #[cfg(test)]
        super::witness::tell(super::witness::Access::Write(place.as_ptr() as usize, Ordering::Relaxed, value as u64));
        // SAFETY: the address of a live, aligned atomic of 8 bytes.
        unsafe { native::nontemporal_store(place.as_ptr(), value) };
    }
    #[cfg(loom)]
    place.store(value, Ordering::Relaxed);
}
