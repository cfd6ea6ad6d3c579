//! The kernel's barriers and ordered accesses, with the kernel's instructions (KERNEL.md, 5).
//!
//! Rust's own differ where it matters: a release fence is a full `dmb ish` on arm64, an acquiring load is a branch and isync on
//! POWER and may be ldapr on arm64. So the barriers are written out. Under loom they are C11 fences at least as strong as
//! the kernel's model wants: smp_wmb a release fence, smp_rmb an acquire fence, smp_mb a sequentially consistent one.
//!
//! Each instruction stands once, in a macro that makes both the function and its row of [`TABLE`]; tests on any host hold the table against
//! KERNEL.md and against what the emitters write for the same primitive.

use super::sync::{AtomicU32, AtomicUsize, Ordering};

/// What a barrier is on one architecture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Row {
    /// The kernel's name of it.
    pub primitive: &'static str,
    /// `target_arch`
    pub arch: &'static str,
    /// The text of the assembly; empty where only the compiler is held back.
    pub text: &'static str,
    /// Whether the compiler may keep data below the stack pointer across it: it is told that the text leaves the stack alone.
    pub nostack: bool,
}

/// Defines barriers: a function each, and a table of all of them.
macro_rules! barriers {
    ($($(#[$doc:meta])* $name:ident, $fence:ident: { $($arch:literal => $text:literal $($nostack:ident)?),* $(,)? })*) => {
        $(
            $(#[$doc])*
            #[inline(always)]
            pub fn $name() {
                $(
                    #[cfg(all(target_arch = $arch, not(loom)))]
                    // SAFETY: the instruction orders memory accesses and changes no register. Where it writes to the stack (on x86 it adds 0
                    // to the word below the stack pointer) `nostack` is not claimed, so that the compiler keeps nothing there. Without
                    // `nomem` the compiler takes it for an access to all memory and moves none across it.
                    unsafe {
                        std::arch::asm!($text, options($($nostack)?));
                    }
                )*
                #[cfg(not(any($(target_arch = $arch,)* loom)))]
                std::sync::atomic::fence(Ordering::$fence);
                #[cfg(loom)]
                loom::sync::atomic::fence(Ordering::$fence);
                #[cfg(all(test, not(loom)))]
                super::witness::tell(super::witness::Access::Barrier(stringify!($name)));
            }
        )*

        /// Every barrier on every architecture.
        pub const TABLE: &[Row] = &[$($(
            Row { primitive: stringify!($name), arch: $arch, text: $text, nostack: !stringify!($($nostack)?).is_empty() },
        )*)*];
    };
}

barriers! {
    /// smp_mb()
    smp_mb, SeqCst: {
        "x86_64" => "lock add dword ptr [rsp - 4], 0",
        "aarch64" => "dmb ish" nostack,
        "powerpc64" => "sync" nostack,
        "riscv64" => "fence rw, rw" nostack,
    }
    /// smp_rmb()
    smp_rmb, Acquire: {
        "x86_64" => "" nostack,
        "aarch64" => "dmb ishld" nostack,
        "powerpc64" => "lwsync" nostack,
        "riscv64" => "fence r, r" nostack,
    }
    /// smp_wmb()
    smp_wmb, Release: {
        "x86_64" => "" nostack,
        "aarch64" => "dmb ishst" nostack,
        "powerpc64" => "lwsync" nostack,
        "riscv64" => "fence w, w" nostack,
    }
    /// smp_mb__after_spinlock()
    smp_mb__after_spinlock, SeqCst: {
        "x86_64" => "" nostack,
        "aarch64" => "dmb ish" nostack,
        "powerpc64" => "sync" nostack,
        "riscv64" => "fence iorw, iorw" nostack,
    }
    /// smp_acquire__after_ctrl_dep()
    smp_acquire__after_ctrl_dep, Acquire: {
        "x86_64" => "" nostack,
        "aarch64" => "dmb ishld" nostack,
        "powerpc64" => "lwsync" nostack,
        "riscv64" => "fence r, r" nostack,
    }
    /// What stands behind the load of smp_load_acquire() where the load itself has no order; arm64's does.
    acquire_after_load, Acquire: {
        "x86_64" => "" nostack,
        "aarch64" => "" nostack,
        "powerpc64" => "lwsync" nostack,
        "riscv64" => "fence r, rw" nostack,
    }
    /// Waits until non-temporal stores are where others see them: sfence on x86. Without it the store that releases a lock
    /// passes them, and what was written under the lock lands after its release. Elsewhere a release orders every store.
    drain_nontemporal, Release: {
        "x86_64" => "sfence" nostack,
        "aarch64" => "" nostack,
        "powerpc64" => "" nostack,
        "riscv64" => "" nostack,
    }
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

/// The load of smp_load_acquire() on arm64; a macro, because assembly takes literals only.
macro_rules! ldar {
    () => {
        "ldar {0:w}, [{1}]"
    };
}

/// The same, for tests: `{0}` is the value, `{1}` the address.
pub const LDAR: &str = ldar!();

/// READ_ONCE() of a word whose later accesses must not come before it, as smp_load_acquire() has it.
#[inline(always)]
pub fn smp_load_acquire(place: &AtomicU32) -> u32 {
    #[cfg(all(target_arch = "aarch64", not(loom)))]
    {
        #[cfg(test)]
        super::witness::tell(super::witness::Access::Read(place.as_ptr() as usize, Ordering::Acquire));
        let value;
        // SAFETY: an aligned load from a live atomic.
        unsafe { std::arch::asm!(ldar!(), out(reg) value, in(reg) place.as_ptr(), options(nostack)) };
        value
    }
    #[cfg(all(any(target_arch = "powerpc64", target_arch = "riscv64"), not(loom)))]
    {
        let value = place.load(Ordering::Relaxed);
        acquire_after_load();
        value
    }
    #[cfg(any(not(any(target_arch = "aarch64", target_arch = "powerpc64", target_arch = "riscv64")), loom))]
    place.load(Ordering::Acquire)
}

/// A non-temporal store, weakly ordered even on x86: nothing there orders it before a later store but sfence or a locked
/// instruction. Elsewhere, where every store is weakly ordered, an ordinary one.
#[inline(always)]
pub fn nontemporal_store(place: &AtomicUsize, value: usize) {
    #[cfg(all(test, target_arch = "x86_64", not(loom)))]
    super::witness::tell(super::witness::Access::Write(place.as_ptr() as usize, Ordering::Relaxed, value as u64));
    #[cfg(all(target_arch = "x86_64", not(loom)))]
    // SAFETY: an aligned 8-byte store to a live atomic. Others may read it meanwhile; they see the old value or the new one,
    // as movnti of 8 aligned bytes is a single access (Intel SDM 8.1.1, AMD APM 7.3.2).
    unsafe {
        std::arch::asm!("movnti [{0}], {1}", in(reg) place.as_ptr(), in(reg) value, options(nostack));
    }
    #[cfg(any(not(target_arch = "x86_64"), loom))]
    place.store(value, Ordering::Relaxed);
}
