//! The barriers of src/kernel on x86-64 (arch/x86/include/asm/barrier.h).
//!
//! smp_mb__after_spinlock() is empty, because taking a lock is a full barrier. drain_nontemporal() is sfence.

crate::arch::facts::barriers! {
    "x86_64":
    smp_mb => "lock add dword ptr [rsp - 4], 0";
    smp_rmb => "" nostack;
    smp_wmb => "" nostack;
    smp_mb__after_spinlock => "" nostack;
    smp_acquire__after_ctrl_dep => "" nostack;
    drain_nontemporal => "sfence" nostack;
}
