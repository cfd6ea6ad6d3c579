//! What an arm64 host does.

use std::arch::asm;

pub(crate) use super::barriers::{
    drain_nontemporal, smp_acquire__after_ctrl_dep, smp_mb, smp_mb__after_spinlock, smp_rmb, smp_wmb,
};
use crate::arch::lock::Lock;
use crate::arch::portable::is_inside;
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

crate::arch::facts::additions!(
    "add {a}, {a}, {a}" "add {b}, {b}, {b}" "add {c}, {c}, {c}" "add {d}, {d}, {d}" "add {e}, {e}, {e}" "add {f}, {f}, {f}"
);

/// Whether a reading behind [`order_counter`] waits for additions before it. ISB waits for all earlier instructions.
pub(crate) const COUNTER_WAITS_FOR_ADDITIONS: bool = true;

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

/// The widest load and store of one instruction that [`load`] and [`store`] know, in bytes.
pub(crate) const WIDEST_ACCESS: usize = 16;

/// Loads `SIZE` bytes with one instruction: ldr of a general register, or of a vector register for 16. The rest of the result is 0.
///
/// # Safety
/// `place` must be the address of `SIZE` bytes that live. Other threads may write them at the same time.
#[inline(always)]
pub(crate) unsafe fn load<const SIZE: usize>(place: *const u8) -> u128 {
    // SAFETY: a load from bytes that live, as the caller promises. Linux allows any alignment for normal memory.
    unsafe {
        match SIZE {
            4 => {
                let value: u32;
                asm!("ldr {0:w}, [{1}]", out(reg) value, in(reg) place, options(nostack, preserves_flags));
                value.into()
            }
            8 => {
                let value: u64;
                asm!("ldr {0}, [{1}]", out(reg) value, in(reg) place, options(nostack, preserves_flags));
                value.into()
            }
            16 => {
                let value: std::arch::aarch64::uint8x16_t;
                asm!("ldr {0:q}, [{1}]", out(vreg) value, in(reg) place, options(nostack, preserves_flags));
                std::mem::transmute::<std::arch::aarch64::uint8x16_t, u128>(value)
            }
            _ => unreachable!("an access of 4, 8 or 16 bytes"),
        }
    }
}

/// Stores the lowest `SIZE` bytes of `value` with one instruction: str of a general register, or of a vector register for 16.
///
/// # Safety
/// `place` must be the address of `SIZE` bytes that live and are only accessed by [`load`] and [`store`].
#[inline(always)]
pub(crate) unsafe fn store<const SIZE: usize>(place: *mut u8, value: u128) {
    // SAFETY: a store to bytes that live, as the caller promises. Linux allows any alignment for normal memory.
    unsafe {
        match SIZE {
            4 => asm!("str {0:w}, [{1}]", in(reg) value as u32, in(reg) place, options(nostack, preserves_flags)),
            8 => asm!("str {0}, [{1}]", in(reg) value as u64, in(reg) place, options(nostack, preserves_flags)),
            16 => {
                let value = std::mem::transmute::<u128, std::arch::aarch64::uint8x16_t>(value);
                asm!("str {0:q}, [{1}]", in(vreg) value, in(reg) place, options(nostack, preserves_flags));
            }
            _ => unreachable!("an access of 4, 8 or 16 bytes"),
        }
    }
}

/// Whether the architecture guarantees that a load or store of `size` bytes at `offset` in a line is one access, which is
/// never seen in part: an aligned one of up to 8 bytes, and with FEAT_LSE2 any inside 16 aligned bytes (Arm ARM, B2.2.1). For
/// 16 bytes in a vector register nothing is relied upon here.
pub(crate) fn is_single_access(size: usize, offset: usize) -> bool {
    let inside = std::arch::is_aarch64_feature_detected!("lse2") && is_inside(size, offset, 16);
    size <= 8 && (offset.is_multiple_of(size) || inside)
}
