//! The barriers and the lock of src/kernel on RISC-V (arch/riscv/include/asm/barrier.h; the lock is the queued spinlock of
//! include/asm-generic/qspinlock.h).
//!
//! drain_nontemporal() is empty: a release orders every earlier store. The macros exist because `asm!` takes only
//! literals.

crate::arch::facts::barriers! {
    "riscv64":
    smp_mb => "fence rw, rw" nostack;
    smp_rmb => "fence r, r" nostack;
    smp_wmb => "fence w, w" nostack;
    smp_mb__after_spinlock => "fence iorw, iorw" nostack;
    smp_acquire__after_ctrl_dep => "fence r, r" nostack;
    drain_nontemporal => "" nostack;
}

/// smp_load_acquire().
macro_rules! load_acquire {
    () => {
        "lw {0}, 0({1})
         fence r, rw"
    };
}
pub(super) use load_acquire;

/// One attempt of raw_spin_lock(), as the queued spinlock makes it.
macro_rules! lock {
    () => {
        "2: lr.w {seen}, ({place})
         bnez {seen}, 3f
         sc.w {failed}, {holder}, ({place})
         bnez {failed}, 2b
         fence r, rw
         3:"
    };
}
pub(super) use lock;
