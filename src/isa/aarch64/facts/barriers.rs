//! The barriers of src/kernel on arm64 (arch/arm64/include/asm/barrier.h; smp_mb__after_spinlock() in spinlock.h).
//!
//! drain_nontemporal() is empty: a release orders every earlier store.

crate::arch::facts::barriers! {
    "aarch64":
    smp_mb => "dmb ish" nostack;
    smp_rmb => "dmb ishld" nostack;
    smp_wmb => "dmb ishst" nostack;
    smp_mb__after_spinlock => "dmb ish" nostack;
    smp_acquire__after_ctrl_dep => "dmb ishld" nostack;
    drain_nontemporal => "" nostack;
}

/// The load of smp_load_acquire(). Rust's acquire load may be ldapr, which is weaker. A macro, because `asm!` takes only
/// literals.
macro_rules! ldar {
    () => {
        "ldar {0:w}, [{1}]"
    };
}
pub(super) use ldar;
