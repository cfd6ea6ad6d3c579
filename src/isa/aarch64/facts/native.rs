//! What an arm64 host does.

use std::arch::asm;

pub(crate) use super::barriers::{
    drain_nontemporal, smp_acquire__after_ctrl_dep, smp_mb, smp_mb__after_spinlock, smp_rmb, smp_wmb,
};
use crate::arch::lock::Lock;
// Every ordinary store is weakly ordered. try_lock compiles to casa, or to ldaxr and stxr.
pub(crate) use crate::arch::portable::{nontemporal_store, try_lock};
use crate::arch::{Arch, Atomics};

/// The architecture of this host.
pub(crate) const ARCH: Option<Arch> = Some(Arch::Aarch64);

/// Whether smp_store_mb() is one atomic exchange; otherwise it is a store and smp_mb().
pub(crate) const STORE_MB_IS_ONE_EXCHANGE: bool = false;

/// The atomics that the kernel chooses on this CPU: LSE if the CPU has it.
pub(crate) fn atomics() -> Atomics {
    if std::arch::is_aarch64_feature_detected!("lse") { Atomics::Lse } else { Atomics::Llsc }
}

/// The spinlock that the kernel chooses on this machine. There is only one kind.
pub(crate) fn lock() -> Lock {
    Lock::Qspinlock
}

/// Reads the counter, in ticks.
#[inline]
pub(crate) fn read_counter() -> u64 {
    let ticks: u64;
    // SAFETY: reads a counter that Linux lets user space read (the vDSO does so). The options leave out `pure`, so that the
    // compiler does not merge two readings, and `nomem`, so that it does not move a reading across memory accesses.
    unsafe { asm!("mrs {}, cntvct_el0", out(reg) ticks, options(nostack, preserves_flags)) };
    ticks
}

/// Orders loads and counter readings: none of them crosses this point in either direction.
#[inline]
pub(crate) fn order_counter() {
    // SAFETY: a barrier. Without ISB the CPU may read CNTVCT out of order with earlier and later instructions (Arm ARM
    // D12.2.1).
    unsafe { asm!("isb", options(nostack, preserves_flags)) };
}

/// Whether the hardware states a constant rate of the counter. The architecture demands it, so there is nothing to read.
pub(crate) fn counter_is_invariant() -> Option<bool> {
    None
}

/// The counter's frequency as CNTFRQ_EL0 states it, in Hz. Firmware sets that register.
pub(crate) fn stated_hz() -> Option<f64> {
    let hz: u64;
    // SAFETY: reads a register that Linux lets user space read.
    unsafe { asm!("mrs {}, cntfrq_el0", out(reg) hz, options(nomem, nostack, preserves_flags)) };
    // Bits above 31 are reserved (Arm ARM, CNTFRQ_EL0). 0 means that firmware did not set the register.
    Some((hz & 0xffff_ffff) as f64).filter(|hz| *hz > 0.0)
}

/// The name of the hypervisor according to the CPU. arm64 has no such statement.
pub(crate) fn hypervisor() -> Option<String> {
    None
}

/// The writeback granule in CTR_EL0.CWG, in bytes: log2 of the size in words of 4 bytes; 0 if the CPU does not say (Arm
/// ARM D24.2.34).
pub(crate) fn writeback_granule() -> usize {
    let ctr: u64;
    // SAFETY: reads an identification register that Linux lets user space read.
    unsafe { asm!("mrs {}, ctr_el0", out(reg) ctr, options(nomem, nostack, preserves_flags)) };
    match ctr >> 24 & 0xf {
        0 => 0,
        log2 => 4 << log2,
    }
}

/// Makes code that was written as data visible to the instruction fetch of every CPU.
pub(crate) fn make_visible(code: &[u8]) {
    dynasmrt::cache_control::synchronize_icache(code);
}

/// Discards instructions that this CPU fetched before the code was written.
#[inline]
pub(crate) fn forget_prefetched() {
    // SAFETY: isb only orders the CPU's own instruction fetch.
    unsafe { asm!("isb", options(nostack, preserves_flags)) };
}

/// The access of smp_load_acquire().
///
/// # Safety
/// `place` must be the address of a live atomic.
#[inline(always)]
pub(crate) unsafe fn load_acquire(place: *mut u32) -> u32 {
    let value;
    // SAFETY: an aligned load from a live atomic, as the caller promises.
    unsafe { asm!(super::barriers::ldar!(), out(reg) value, in(reg) place, options(nostack)) };
    value
}
