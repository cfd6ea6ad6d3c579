//! What a POWER host does.

use std::arch::asm;

pub(crate) use super::barriers::{
    drain_nontemporal, smp_acquire__after_ctrl_dep, smp_mb, smp_mb__after_spinlock, smp_rmb, smp_wmb,
};
use crate::arch::lock::Lock;
// Every ordinary store is weakly ordered.
pub(crate) use crate::arch::portable::nontemporal_store;
use crate::arch::{Arch, Atomics};

/// The architecture of this host.
pub(crate) const ARCH: Option<Arch> = Some(Arch::Powerpc64le);

/// Whether smp_store_mb() is one atomic exchange; otherwise it is a store and smp_mb().
pub(crate) const STORE_MB_IS_ONE_EXCHANGE: bool = false;

/// The atomics that the kernel chooses on this CPU. There is only one kind.
pub(crate) fn atomics() -> Atomics {
    Atomics::Lse
}

/// The spinlock that the kernel chooses on this machine. There is only one kind.
pub(crate) fn lock() -> Lock {
    Lock::Qspinlock
}

/// Reads the counter, in ticks.
#[inline]
pub(crate) fn read_counter() -> u64 {
    let ticks: u64;
    // SAFETY: reads the timebase (SPR 268), which user space may read (Power ISA, Book II 6.2.1). The options leave out
    // `pure`, so that the compiler does not merge two readings, and `nomem`, so that it does not move a reading across
    // memory accesses.
    unsafe { asm!("mfspr {}, 268", out(reg) ticks, options(nostack, preserves_flags)) };
    ticks
}

crate::arch::facts::additions!(
    "add {a}, {a}, {a}" "add {b}, {b}, {b}" "add {c}, {c}, {c}" "add {d}, {d}, {d}" "add {e}, {e}, {e}" "add {f}, {f}, {f}"
);

/// Whether a reading behind [`order_counter`] waits for additions before it. isync waits for all earlier instructions.
pub(crate) const COUNTER_WAITS_FOR_ADDITIONS: bool = true;

/// Orders loads and counter readings: none of them crosses this point in either direction.
#[inline]
pub(crate) fn order_counter() {
    // SAFETY: barriers. sync completes earlier loads; isync keeps later instructions from starting before that.
    unsafe { asm!("sync", "isync", options(nostack, preserves_flags)) };
}

/// Whether the hardware states a constant rate of the counter. POWER has no such statement.
pub(crate) fn counter_is_invariant() -> Option<bool> {
    None
}

/// The counter's frequency as a register states it, in Hz. POWER has no such register; /proc/cpuinfo has the device
/// tree's value.
pub(crate) fn stated_hz() -> Option<f64> {
    None
}

/// The name of the hypervisor according to the CPU. POWER has no such statement.
pub(crate) fn hypervisor() -> Option<String> {
    None
}

/// The data cache's block size in bytes from the auxiliary vector; 0 if it is not there.
pub(crate) fn writeback_granule() -> usize {
    /// The entry's number (arch/powerpc/include/uapi/asm/auxvec.h).
    const AT_DCACHEBSIZE: libc::c_ulong = 19;
    // SAFETY: looks up a number in the process's own auxiliary vector.
    unsafe { libc::getauxval(AT_DCACHEBSIZE) as usize }
}

/// The bytes between two blocks that are flushed. The caches of the 64-bit CPUs have blocks of 128 bytes; 32 is the smallest
/// block of any PowerPC (arch/powerpc/include/asm/cache.h, L1_CACHE_SHIFT 5).
const BLOCK: usize = 32;

/// Makes code that was written as data visible to the instruction fetch of every CPU (Power ISA, Book II 4.3: dcbst, sync,
/// icbi, isync).
pub(crate) fn make_visible(code: &[u8]) {
    // SAFETY: the addresses lie in `code`. The instructions change no memory and no register.
    unsafe {
        for block in code.chunks(BLOCK) {
            asm!("dcbst 0,{0}", in(reg_nonzero) block.as_ptr());
        }
        asm!("sync");
        for block in code.chunks(BLOCK) {
            asm!("icbi 0,{0}", in(reg_nonzero) block.as_ptr());
        }
        asm!("sync", "isync");
    }
}

/// Discards instructions that this CPU fetched before the code was written.
#[inline]
pub(crate) fn forget_prefetched() {
    // SAFETY: isync only orders the CPU's own instruction fetch.
    unsafe { asm!("isync", options(nostack, preserves_flags)) };
}

/// The access of smp_load_acquire().
///
/// # Safety
/// `place` must be the address of a live atomic.
#[inline(always)]
pub(crate) unsafe fn load_acquire(place: *mut u32) -> u32 {
    let value;
    // SAFETY: an aligned load from a live atomic, as the caller promises.
    unsafe { asm!(super::barriers::load_acquire!(), out(reg) value, in(reg_nonzero) place, options(nostack)) };
    value
}

/// One attempt of raw_spin_lock(): takes the lock if the word is 0, and returns whether it did.
///
/// # Safety
/// `word` must be the address of a live atomic.
#[inline(always)]
pub(crate) unsafe fn try_lock(word: *mut u32, holder: u32) -> bool {
    let seen: u32;
    // SAFETY: a reservation loop on a live, aligned atomic word. It ends either with the word's nonzero value in `seen`, or
    // with `seen` 0 and the word set to `holder` (Power ISA 3.1B, II B.2.1.1). cr0 is declared clobbered.
    unsafe {
        asm!(
            super::barriers::lock!(),
            seen = out(reg) seen, place = in(reg_nonzero) word, holder = in(reg) holder,
            out("cr0") _, options(nostack)
        );
    }
    seen == 0
}

/// The widest load and store of one instruction that [`load`] and [`store`] know, in bytes.
pub(crate) const WIDEST_ACCESS: usize = 8;

/// Loads `SIZE` bytes with one instruction: lwz or ld. The rest of the result is 0.
///
/// # Safety
/// `place` must be the address of `SIZE` bytes that live. Other threads may write them at the same time.
#[inline(always)]
pub(crate) unsafe fn load<const SIZE: usize>(place: *const u8) -> u128 {
    // SAFETY: a load from bytes that live, as the caller promises. POWER allows any alignment in ordinary memory.
    unsafe {
        match SIZE {
            4 => {
                let value: u64;
                asm!("lwz {0}, 0({1})", out(reg) value, in(reg_nonzero) place, options(nostack, preserves_flags));
                (value as u32).into()
            }
            8 => {
                let value: u64;
                asm!("ld {0}, 0({1})", out(reg) value, in(reg_nonzero) place, options(nostack, preserves_flags));
                value.into()
            }
            _ => unreachable!("an access of 4 or 8 bytes"),
        }
    }
}

/// Stores the lowest `SIZE` bytes of `value` with one instruction: stw or std.
///
/// # Safety
/// `place` must be the address of `SIZE` bytes that live and are only accessed by [`load`] and [`store`].
#[inline(always)]
pub(crate) unsafe fn store<const SIZE: usize>(place: *mut u8, value: u128) {
    // SAFETY: a store to bytes that live, as the caller promises. POWER allows any alignment in ordinary memory.
    unsafe {
        match SIZE {
            4 => {
                asm!("stw {0}, 0({1})", in(reg) value as u64, in(reg_nonzero) place, options(nostack, preserves_flags))
            }
            8 => {
                asm!("std {0}, 0({1})", in(reg) value as u64, in(reg_nonzero) place, options(nostack, preserves_flags))
            }
            _ => unreachable!("an access of 4 or 8 bytes"),
        }
    }
}

/// Whether the architecture guarantees that a load or store of `size` bytes at `offset` in a line is one access, which is
/// never seen in part: an aligned one (Power ISA, Book II, 1.4).
pub(crate) fn is_single_access(size: usize, offset: usize) -> bool {
    offset.is_multiple_of(size)
}
