//! What an x86-64 host does.

use raw_cpuid::Hypervisor;

pub(crate) use super::barriers::{
    drain_nontemporal, smp_acquire__after_ctrl_dep, smp_mb, smp_mb__after_spinlock, smp_rmb, smp_wmb,
};
use crate::arch::lock::Lock;
use crate::arch::portable::is_inside;
// load_acquire compiles to mov, try_lock to lock cmpxchg.
pub(crate) use crate::arch::portable::{load_acquire, try_lock};
use crate::arch::{Arch, Atomics};

/// The architecture of this host.
pub(crate) const ARCH: Option<Arch> = Some(Arch::X86_64);

/// Whether smp_store_mb() is one atomic exchange; otherwise it is a store and smp_mb().
pub(crate) const STORE_MB_IS_ONE_EXCHANGE: bool = true;

/// The atomics that the kernel chooses on this CPU. There is only one kind.
pub(crate) fn atomics() -> Atomics {
    Atomics::Lse
}

/// The spinlock that the kernel chooses on this machine. A guest of KVM whose host offers PV_UNHALT, and gives no hint that
/// virtual CPUs are never preempted, has the paravirtual one (kvm_spinlock_init() in arch/x86/kernel/kvm.c;
/// Documentation/virt/kvm/x86/cpuid.rst: leaf 0x40000001, bit 7 of EAX and bit 0 of EDX). Guests of other hypervisors are not
/// recognized.
pub(crate) fn lock() -> Lock {
    let kvm = raw_cpuid::CpuId::new().get_hypervisor_info().is_some_and(|info| info.identify() == Hypervisor::KVM);
    if !kvm {
        return Lock::Qspinlock;
    }
    let features = raw_cpuid::cpuid!(0x4000_0001);
    let (unhalt, realtime) = (features.eax >> 7 & 1 == 1, features.edx & 1 == 1);
    if unhalt && !realtime { Lock::Paravirt } else { Lock::Qspinlock }
}

/// Reads the counter, in ticks.
#[inline]
pub(crate) fn read_counter() -> u64 {
    // SAFETY: every x86-64 has rdtsc. If the process may not use it (prctl PR_SET_TSC), `machine::require_counter` has
    // already ended the program.
    unsafe { std::arch::x86_64::_rdtsc() }
}

crate::arch::facts::additions!("add {a}, {a}" "add {b}, {b}" "add {c}, {c}" "add {d}, {d}" "add {e}, {e}" "add {f}, {f}");

/// Whether a reading behind [`order_counter`] waits for additions before it. LFENCE waits for all earlier instructions.
pub(crate) const COUNTER_WAITS_FOR_ADDITIONS: bool = true;

/// Orders loads and counter readings: none of them crosses this point in either direction.
#[inline]
pub(crate) fn order_counter() {
    // SAFETY: every x86-64 has SSE2. LFENCE waits for all earlier instructions and delays all later ones; RDTSC alone is
    // not ordered (Intel SDM vol. 2B, "RDTSC"; on AMD, Linux makes LFENCE do so by setting DE_CFG bit 1).
    unsafe { std::arch::x86_64::_mm_lfence() };
}

/// Whether the hardware states a constant rate of the counter: CPUID's invariant TSC.
pub(crate) fn counter_is_invariant() -> Option<bool> {
    raw_cpuid::CpuId::new().get_advanced_power_mgmt_info().map(|info| info.has_invariant_tsc())
}

/// The counter's frequency as a register states it, in Hz. x86-64 has no such register.
pub(crate) fn stated_hz() -> Option<f64> {
    None
}

/// The name of the hypervisor according to CPUID.
pub(crate) fn hypervisor() -> Option<String> {
    raw_cpuid::CpuId::new().get_hypervisor_info().map(|hypervisor| format!("{:?}", hypervisor.identify()))
}

/// The data cache's writeback granule in bytes; 0 if it is unknown. /sys states the line size.
pub(crate) fn writeback_granule() -> usize {
    0
}

/// Makes code that was written as data visible to the instruction fetch of every CPU. On x86 it always is (Intel SDM
/// vol. 3A, "Self-Modifying Code"; AMD APM vol. 2, 7.6.1).
pub(crate) fn make_visible(_code: &[u8]) {}

/// Discards instructions that this CPU fetched before the code was written. On x86 nothing needs to be done.
#[inline]
pub(crate) fn forget_prefetched() {}

/// A non-temporal store.
///
/// # Safety
/// `place` must be the address of a live atomic of 8 bytes, aligned.
#[inline(always)]
pub(crate) unsafe fn nontemporal_store(place: *mut usize, value: usize) {
    // SAFETY: an aligned 8-byte store to a live atomic. Other threads may read it at the same time. They see the old
    // value or the new one, because movnti of 8 aligned bytes is a single access (Intel SDM 8.1.1, AMD APM 7.3.2).
    unsafe { std::arch::asm!("movnti [{0}], {1}", in(reg) place, in(reg) value, options(nostack)) };
}

/// The widest load and store of one instruction that [`load`] and [`store`] know, in bytes.
pub(crate) const WIDEST_ACCESS: usize = 16;

/// Loads `SIZE` bytes with one instruction: mov, or movdqu for 16. The rest of the result is 0.
///
/// # Safety
/// `place` must be the address of `SIZE` bytes that live. Other threads may write them at the same time.
#[inline(always)]
pub(crate) unsafe fn load<const SIZE: usize>(place: *const u8) -> u128 {
    // SAFETY: a load from bytes that live, as the caller promises. x86 allows any alignment for these instructions.
    unsafe {
        match SIZE {
            4 => {
                let value: u32;
                std::arch::asm!("mov {0:e}, dword ptr [{1}]", out(reg) value, in(reg) place, options(nostack, preserves_flags));
                value.into()
            }
            8 => {
                let value: u64;
                std::arch::asm!("mov {0}, qword ptr [{1}]", out(reg) value, in(reg) place, options(nostack, preserves_flags));
                value.into()
            }
            16 => {
                let value: std::arch::x86_64::__m128i;
                std::arch::asm!("movdqu {0}, xmmword ptr [{1}]", out(xmm_reg) value, in(reg) place, options(nostack, preserves_flags));
                std::mem::transmute::<std::arch::x86_64::__m128i, u128>(value)
            }
            _ => unreachable!("an access of 4, 8 or 16 bytes"),
        }
    }
}

/// Stores the lowest `SIZE` bytes of `value` with one instruction: mov, or movdqu for 16.
///
/// # Safety
/// `place` must be the address of `SIZE` bytes that live and are only accessed by [`load`] and [`store`].
#[inline(always)]
pub(crate) unsafe fn store<const SIZE: usize>(place: *mut u8, value: u128) {
    // SAFETY: a store to bytes that live, as the caller promises. x86 allows any alignment for these instructions.
    unsafe {
        match SIZE {
            4 => {
                std::arch::asm!("mov dword ptr [{1}], {0:e}", in(reg) value as u32, in(reg) place, options(nostack, preserves_flags));
            }
            8 => {
                std::arch::asm!("mov qword ptr [{1}], {0}", in(reg) value as u64, in(reg) place, options(nostack, preserves_flags));
            }
            16 => {
                let value = std::mem::transmute::<u128, std::arch::x86_64::__m128i>(value);
                std::arch::asm!("movdqu xmmword ptr [{1}], {0}", in(xmm_reg) value, in(reg) place, options(nostack, preserves_flags));
            }
            _ => unreachable!("an access of 4, 8 or 16 bytes"),
        }
    }
}

/// Whether the architecture guarantees that a load or store of `size` bytes at `offset` in a line of 64 bytes is one access,
/// which is never seen in part. AMD guarantees accesses inside 8 aligned bytes (APM vol. 2, 7.3.2), and Intel those of up to 8
/// bytes inside a line (SDM vol. 3A, 8.1.1). Both guarantee 16 aligned bytes on CPUs with AVX.
pub(crate) fn is_single_access(size: usize, offset: usize) -> bool {
    let cpuid = raw_cpuid::CpuId::new();
    let intel = cpuid.get_vendor_info().is_some_and(|vendor| vendor.as_str() == "GenuineIntel");
    match size {
        16 => offset.is_multiple_of(16) && cpuid.get_feature_info().is_some_and(|features| features.has_avx()),
        _ => is_inside(size, offset, if intel { 64 } else { 8 }),
    }
}
