//! The kernel's barriers and ordered accesses, with the kernel's instructions (KERNEL.md, 5).
//!
//! Rust's own differ where it matters: a release fence is a full `dmb ish` on arm64, an acquiring load is a branch and isync on
//! POWER and may be ldapr on arm64. So the barriers are written out. Under loom they are C11 fences at least as strong as
//! the kernel's model wants: smp_wmb a release fence, smp_rmb an acquire fence, smp_mb a sequentially consistent one.

use super::sync::{AtomicU32, AtomicUsize, Ordering};

/// Writes one instruction that orders memory; the compiler moves no access across it.
#[cfg(not(loom))]
macro_rules! ordering {
    ($($arch:literal => $text:literal),* $(,)?) => {
        $(
            #[cfg(target_arch = $arch)]
            // SAFETY: the instruction orders memory accesses and changes neither registers nor memory (on x86 it adds 0 to
            // the word below the stack pointer, in the red zone, that is it rewrites what is there). Without `nomem` the
            // compiler takes it for an access to all memory.
            unsafe {
                std::arch::asm!($text, options(nostack));
            }
        )*
        #[cfg(not(any($(target_arch = $arch),*)))]
        std::sync::atomic::fence(Ordering::SeqCst);
    };
}

/// smp_mb()
#[inline(always)]
pub fn smp_mb() {
    #[cfg(not(loom))]
    {
        // The stack's red zone may be in use: the word is added 0, so its value stays.
        ordering!("x86_64" => "lock add dword ptr [rsp - 4], 0", "aarch64" => "dmb ish", "powerpc64" => "sync",
            "riscv64" => "fence rw,rw");
    }
    #[cfg(loom)]
    loom::sync::atomic::fence(Ordering::SeqCst);
}

/// smp_rmb()
#[inline(always)]
pub fn smp_rmb() {
    #[cfg(not(loom))]
    {
        ordering!("x86_64" => "", "aarch64" => "dmb ishld", "powerpc64" => "lwsync", "riscv64" => "fence r,r");
    }
    #[cfg(loom)]
    loom::sync::atomic::fence(Ordering::Acquire);
}

/// smp_wmb()
#[inline(always)]
pub fn smp_wmb() {
    #[cfg(not(loom))]
    {
        ordering!("x86_64" => "", "aarch64" => "dmb ishst", "powerpc64" => "lwsync", "riscv64" => "fence w,w");
    }
    #[cfg(loom)]
    loom::sync::atomic::fence(Ordering::Release);
}

/// smp_mb__after_spinlock()
#[inline(always)]
pub fn smp_mb__after_spinlock() {
    #[cfg(not(loom))]
    {
        ordering!("x86_64" => "", "aarch64" => "dmb ish", "powerpc64" => "sync", "riscv64" => "fence iorw,iorw");
    }
    #[cfg(loom)]
    loom::sync::atomic::fence(Ordering::SeqCst);
}

/// smp_acquire__after_ctrl_dep()
#[inline(always)]
pub fn smp_acquire__after_ctrl_dep() {
    smp_rmb();
}

/// smp_store_mb() of a task's state: one xchg on x86, a store and a barrier elsewhere.
#[inline(always)]
pub fn smp_store_mb(place: &AtomicU32, value: u32) {
    #[cfg(all(target_arch = "x86_64", not(loom)))]
    place.swap(value, Ordering::SeqCst);
    #[cfg(any(not(target_arch = "x86_64"), loom))]
    {
        place.store(value, Ordering::Relaxed);
        smp_mb();
    }
}

/// READ_ONCE() of a word whose later accesses must not come before it, as smp_load_acquire() has it.
#[inline(always)]
pub fn smp_load_acquire(place: &AtomicU32) -> u32 {
    #[cfg(all(target_arch = "aarch64", not(loom)))]
    {
        let value;
        // SAFETY: an aligned load from a live atomic.
        unsafe { std::arch::asm!("ldar {0:w}, [{1}]", out(reg) value, in(reg) place.as_ptr(), options(nostack)) };
        value
    }
    #[cfg(all(any(target_arch = "powerpc64", target_arch = "riscv64"), not(loom)))]
    {
        let value = place.load(Ordering::Relaxed);
        #[cfg(target_arch = "powerpc64")]
        ordering!("powerpc64" => "lwsync");
        #[cfg(target_arch = "riscv64")]
        ordering!("riscv64" => "fence r,rw");
        value
    }
    #[cfg(any(not(any(target_arch = "aarch64", target_arch = "powerpc64", target_arch = "riscv64")), loom))]
    place.load(Ordering::Acquire)
}

/// A non-temporal store, weakly ordered even on x86: nothing there orders it before a later store but sfence or a locked
/// instruction. Elsewhere, where every store is weakly ordered, an ordinary one.
#[inline(always)]
pub fn nontemporal_store(place: &AtomicUsize, value: usize) {
    #[cfg(all(target_arch = "x86_64", not(loom)))]
    // SAFETY: an aligned 8-byte store to a live atomic. Others may read it meanwhile; they see the old value or the new one,
    // as movnti of 8 aligned bytes is a single access (Intel SDM 8.1.1, AMD APM 7.3.2).
    unsafe {
        std::arch::asm!("movnti [{0}], {1}", in(reg) place.as_ptr(), in(reg) value, options(nostack));
    }
    #[cfg(any(not(target_arch = "x86_64"), loom))]
    place.store(value, Ordering::Relaxed);
}

/// Waits until non-temporal stores are where others see them: sfence on x86. Without it the store that releases a lock
/// passes them, and what was written under the lock lands after its release. Elsewhere a release orders every store.
#[inline(always)]
pub fn drain_nontemporal() {
    #[cfg(all(target_arch = "x86_64", not(loom)))]
    ordering!("x86_64" => "sfence");
}
