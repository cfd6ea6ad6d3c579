//! What a RISC-V host does.

use std::arch::asm;

pub(crate) use super::barriers::{
    drain_nontemporal, smp_acquire__after_ctrl_dep, smp_mb, smp_mb__after_spinlock, smp_rmb, smp_wmb,
};
use crate::arch::lock::Lock;
// Every ordinary store is weakly ordered.
pub(crate) use crate::arch::portable::nontemporal_store;
use crate::arch::{Arch, Atomics};

/// The architecture of this host.
pub(crate) const ARCH: Option<Arch> = Some(Arch::Riscv64gc);

/// Whether smp_store_mb() is one atomic exchange; otherwise it is a store and smp_mb().
pub(crate) const STORE_MB_IS_ONE_EXCHANGE: bool = false;

/// The atomics that the kernel chooses on this CPU. There is only one kind.
pub(crate) fn atomics() -> Atomics {
    Atomics::Lse
}

/// The spinlock that the kernel chooses on these CPUs.
pub(crate) fn lock() -> Lock {
    std::fs::read_to_string("/proc/cpuinfo").map_or(Lock::Qspinlock, |text| super::lock_for(&text))
}

/// Reads the counter, in ticks.
#[inline]
pub(crate) fn read_counter() -> u64 {
    let ticks: u64;
    // SAFETY: reads the time CSR, which Linux lets user space read. The options leave out `pure`, so that the compiler does
    // not merge two readings, and `nomem`, so that it does not move a reading across memory accesses.
    unsafe { asm!("rdtime {}", out(reg) ticks, options(nostack, preserves_flags)) };
    ticks
}

crate::arch::facts::additions!(
    "add {a}, {a}, {a}" "add {b}, {b}, {b}" "add {c}, {c}, {c}" "add {d}, {d}, {d}" "add {e}, {e}, {e}" "add {f}, {f}, {f}"
);

/// Whether a reading behind [`order_counter`] waits for additions before it. The fence orders memory accesses and the reading, and no additions.
pub(crate) const COUNTER_WAITS_FOR_ADDITIONS: bool = false;

/// Orders loads and counter readings: none of them crosses this point in either direction.
#[inline]
pub(crate) fn order_counter() {
    // SAFETY: a barrier. Reading the time CSR counts as device input (unprivileged ISA, "Zicsr", CSR access ordering), so the
    // `i` in the fence orders it.
    unsafe { asm!("fence iorw, iorw", options(nostack, preserves_flags)) };
}

/// Whether the hardware states a constant rate of the counter. The ISA demands it, so
/// there is nothing to read.
pub(crate) fn counter_is_invariant() -> Option<bool> {
    None
}

/// The counter's frequency as a register states it, in Hz. RISC-V has no such register.
pub(crate) fn stated_hz() -> Option<f64> {
    None
}

/// The name of the hypervisor according to the CPU. RISC-V has no such statement.
pub(crate) fn hypervisor() -> Option<String> {
    None
}

/// The data cache's writeback granule in bytes; 0 if it is unknown. /sys states the line size.
pub(crate) fn writeback_granule() -> usize {
    0
}

/// Makes code that was written as data visible to the instruction fetch of every CPU.
pub(crate) fn make_visible(code: &[u8]) {
    /// The number of riscv_flush_icache(2), which acts for all threads of the process (arch/riscv/include/uapi/asm/unistd.h).
    const SYS_RISCV_FLUSH_ICACHE: libc::c_long = 259;
    let range = code.as_ptr_range();
    // SAFETY: the call takes two addresses and a number. It writes no memory of this process.
    unsafe { libc::syscall(SYS_RISCV_FLUSH_ICACHE, range.start, range.end, 0) };
}

/// Discards instructions that this CPU fetched before the code was written. riscv_flush_icache(2) has done it.
#[inline]
pub(crate) fn forget_prefetched() {}

/// The access of smp_load_acquire().
///
/// # Safety
/// `place` must be the address of a live atomic.
#[inline(always)]
pub(crate) unsafe fn load_acquire(place: *mut u32) -> u32 {
    let value;
    // SAFETY: an aligned load from a live atomic, as the caller promises.
    unsafe { asm!(super::barriers::load_acquire!(), out(reg) value, in(reg) place, options(nostack)) };
    value
}

/// One attempt of raw_spin_lock(): takes the lock if the word is 0, and returns whether it did.
///
/// # Safety
/// `word` must be the address of a live atomic.
#[inline(always)]
pub(crate) unsafe fn try_lock(word: *mut u32, holder: u32) -> bool {
    let seen: u32;
    // SAFETY: a reservation loop on a live, aligned atomic word, and a constrained LR/SC loop (RISC-V ISA manual, "Zalrsc").
    // It ends either with the word's nonzero value in `seen`, or with `seen` 0 and the word set to `holder`.
    unsafe {
        asm!(
            super::barriers::lock!(),
            seen = out(reg) seen, failed = out(reg) _, place = in(reg) word, holder = in(reg) holder,
            options(nostack)
        );
    }
    seen == 0
}

/// The widest load and store of one instruction that [`load`] and [`store`] know, in bytes.
pub(crate) const WIDEST_ACCESS: usize = 8;

/// Loads `SIZE` bytes with one instruction: lw or ld. The rest of the result is 0.
///
/// # Safety
/// `place` must be the address of `SIZE` bytes that live. Other threads may write them at the same time.
#[inline(always)]
pub(crate) unsafe fn load<const SIZE: usize>(place: *const u8) -> u128 {
    // SAFETY: a load from bytes that live, as the caller promises. Where the CPU does not take this alignment, the kernel or the firmware emulates the access.
    unsafe {
        match SIZE {
            4 => {
                let value: u64;
                asm!("lw {0}, 0({1})", out(reg) value, in(reg) place, options(nostack, preserves_flags));
                (value as u32).into()
            }
            8 => {
                let value: u64;
                asm!("ld {0}, 0({1})", out(reg) value, in(reg) place, options(nostack, preserves_flags));
                value.into()
            }
            _ => unreachable!("an access of 4 or 8 bytes"),
        }
    }
}

/// Stores the lowest `SIZE` bytes of `value` with one instruction: sw or sd.
///
/// # Safety
/// `place` must be the address of `SIZE` bytes that live and are only accessed by [`load`] and [`store`].
#[inline(always)]
pub(crate) unsafe fn store<const SIZE: usize>(place: *mut u8, value: u128) {
    // SAFETY: a store to bytes that live, as the caller promises. Where the CPU does not take this alignment, the kernel or the firmware emulates the access.
    unsafe {
        match SIZE {
            4 => asm!("sw {0}, 0({1})", in(reg) value as u64, in(reg) place, options(nostack, preserves_flags)),
            8 => asm!("sd {0}, 0({1})", in(reg) value as u64, in(reg) place, options(nostack, preserves_flags)),
            _ => unreachable!("an access of 4 or 8 bytes"),
        }
    }
}

/// Whether the architecture guarantees that a load or store of `size` bytes at `offset` in a line is one access, which is
/// never seen in part: an aligned one (RISC-V unprivileged ISA, RVWMO, "Memory Model Primitives").
pub(crate) fn is_single_access(size: usize, offset: usize) -> bool {
    offset.is_multiple_of(size)
}
