//! The kernel's barriers and ordered accesses, with the kernel's instructions (docs/kernel.md, section 5).
//!
//! Rust's fences and atomics compile to other instructions: a release fence is a full `dmb ish` on arm64; an
//! acquire load is a branch and isync on POWER and may be ldapr on arm64. So this file writes the barriers in
//! assembly. Under loom the barriers are C11 fences that are at least as strong as the kernel's model
//! requires: smp_wmb is a release fence, smp_rmb an acquire fence, smp_mb a sequentially consistent fence.
//!
//! Each instruction is written once, in a macro that makes both the function and its row of [`TABLE`]. Tests
//! on any host compare the table with docs/kernel.md and with the emitters' code for the same primitive.

use super::sync::{AtomicU32, AtomicUsize, Ordering};

/// The instruction of one barrier on one architecture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Row {
    /// The kernel's name for the barrier.
    pub primitive: &'static str,
    /// The architecture, as in `target_arch`.
    pub arch: &'static str,
    /// The assembly text; empty for a barrier that only stops the compiler from reordering.
    pub text: &'static str,
    /// Whether the assembly claims `nostack`: it does not touch the stack, so the compiler may keep data
    /// below the stack pointer across it.
    pub nostack: bool,
}

/// Defines one function per barrier, and [`TABLE`].
macro_rules! barriers {
    ($($(#[$doc:meta])* $name:ident, $fence:ident: { $($arch:literal => $text:literal $($nostack:ident)?),* $(,)? })*) => {
        $(
            $(#[$doc])*
            #[inline(always)]
            pub fn $name() {
                $(
                    #[cfg(all(target_arch = $arch, not(loom)))]
                    // SAFETY: the instruction orders memory accesses and changes no register. smp_mb() of x86
                    // adds 0 to the word below the stack pointer. It does not claim `nostack`, so the
                    // compiler keeps no data there. Without `nomem` the compiler assumes an access to all
                    // memory and moves no access across it.
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
    /// smp_mb(): a full barrier.
    smp_mb, SeqCst: {
        "x86_64" => "lock add dword ptr [rsp - 4], 0",
        "aarch64" => "dmb ish" nostack,
        "powerpc64" => "sync" nostack,
        "riscv64" => "fence rw, rw" nostack,
    }
    /// smp_rmb(): orders loads against later loads.
    smp_rmb, Acquire: {
        "x86_64" => "" nostack,
        "aarch64" => "dmb ishld" nostack,
        "powerpc64" => "lwsync" nostack,
        "riscv64" => "fence r, r" nostack,
    }
    /// smp_wmb(): orders stores against later stores.
    smp_wmb, Release: {
        "x86_64" => "" nostack,
        "aarch64" => "dmb ishst" nostack,
        "powerpc64" => "lwsync" nostack,
        "riscv64" => "fence w, w" nostack,
    }
    /// smp_mb__after_spinlock(): a full barrier after a lock was taken. Empty on x86, where taking a lock is
    /// one.
    smp_mb__after_spinlock, SeqCst: {
        "x86_64" => "" nostack,
        "aarch64" => "dmb ish" nostack,
        "powerpc64" => "sync" nostack,
        "riscv64" => "fence iorw, iorw" nostack,
    }
    /// smp_acquire__after_ctrl_dep(): turns a control dependency from a load into acquire ordering.
    smp_acquire__after_ctrl_dep, Acquire: {
        "x86_64" => "" nostack,
        "aarch64" => "dmb ishld" nostack,
        "powerpc64" => "lwsync" nostack,
        "riscv64" => "fence r, r" nostack,
    }
    /// The barrier after the load of smp_load_acquire(), where the load itself is not ordered. On arm64 it is
    /// empty, because ldar is ordered.
    acquire_after_load, Acquire: {
        "x86_64" => "" nostack,
        "aarch64" => "" nostack,
        "powerpc64" => "lwsync" nostack,
        "riscv64" => "fence r, rw" nostack,
    }
    /// Waits until earlier non-temporal stores are visible to other CPUs: sfence on x86. Without it the store
    /// that releases a lock passes them, and data written under the lock becomes visible after the release.
    /// Empty on the other architectures, where a release orders every store.
    drain_nontemporal, Release: {
        "x86_64" => "sfence" nostack,
        "aarch64" => "" nostack,
        "powerpc64" => "" nostack,
        "riscv64" => "" nostack,
    }
}

/// smp_store_mb() of a task's state: one xchg on x86, a store and a full barrier elsewhere.
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

/// The load of smp_load_acquire() on arm64. A macro, because `asm!` takes only literals.
macro_rules! ldar {
    () => {
        "ldar {0:w}, [{1}]"
    };
}

/// The text of that load, for tests: `{0}` is the value, `{1}` the address.
pub const LDAR: &str = ldar!();

/// smp_load_acquire(): no later access of this thread takes effect before this load.
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

/// A non-temporal store, which is weakly ordered even on x86. Only sfence or a locked instruction orders it
/// before a later store. On the other architectures, where every store is weakly ordered, this is an ordinary
/// store.
#[inline(always)]
pub fn nontemporal_store(place: &AtomicUsize, value: usize) {
    #[cfg(all(test, target_arch = "x86_64", not(loom)))]
    super::witness::tell(super::witness::Access::Write(place.as_ptr() as usize, Ordering::Relaxed, value as u64));
    #[cfg(all(target_arch = "x86_64", not(loom)))]
    // SAFETY: an aligned 8-byte store to a live atomic. Other threads may read it at the same time. They see
    // the old value or the new one, because movnti of 8 aligned bytes is a single access (Intel SDM 8.1.1,
    // AMD APM 7.3.2).
    unsafe {
        std::arch::asm!("movnti [{0}], {1}", in(reg) place.as_ptr(), in(reg) value, options(nostack));
    }
    #[cfg(any(not(target_arch = "x86_64"), loom))]
    place.store(value, Ordering::Relaxed);
}
