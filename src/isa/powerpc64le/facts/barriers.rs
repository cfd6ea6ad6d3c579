//! The barriers and the lock of src/kernel on POWER (arch/powerpc/include/asm/barrier.h and qspinlock.h;
//! smp_mb__after_spinlock() in spinlock.h).
//!
//! drain_nontemporal() is empty: a release orders every earlier store. The macros exist because `asm!` takes only
//! literals.

crate::arch::facts::barriers! {
    "powerpc64":
    smp_mb => "sync" nostack;
    smp_rmb => "lwsync" nostack;
    smp_wmb => "lwsync" nostack;
    smp_mb__after_spinlock => "sync" nostack;
    smp_acquire__after_ctrl_dep => "lwsync" nostack;
    drain_nontemporal => "" nostack;
}

/// smp_load_acquire(). Rust's acquire load is a branch and isync instead of lwsync.
macro_rules! load_acquire {
    () => {
        "lwz {0}, 0({1})
         lwsync"
    };
}
pub(super) use load_acquire;

/// One attempt of raw_spin_lock(), as a running kernel executes it: PPC_ACQUIRE_BARRIER is patched to lwsync on every CPU
/// that has lwsync (docs/kernel.md, section 5).
macro_rules! lock {
    () => {
        "2: lwarx {seen}, 0, {place}, 1
         cmpwi {seen}, 0
         bne- 3f
         stwcx. {holder}, 0, {place}
         bne- 2b
         lwsync
         3:"
    };
}
pub(super) use lock;
