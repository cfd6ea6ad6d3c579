//! The host's code on an architecture that wakerace does not support: it runs no test there.

#![allow(non_snake_case)] // the kernel's names

use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering, fence};

use super::{Arch, Atomics};

pub(crate) const ARCH: Option<Arch> = None;
pub(crate) const STORE_MB_IS_ONE_EXCHANGE: bool = false;

pub(crate) fn atomics() -> Atomics {
    Atomics::Lse
}

pub(crate) fn lock() -> super::lock::Lock {
    super::lock::Lock::Qspinlock
}

pub(crate) fn read_counter() -> u64 {
    0
}

pub(crate) fn order_counter() {}

pub(crate) fn counter_is_invariant() -> Option<bool> {
    None
}

pub(crate) fn stated_hz() -> Option<f64> {
    None
}

pub(crate) fn hypervisor() -> Option<String> {
    None
}

pub(crate) fn writeback_granule() -> usize {
    0
}

pub(crate) fn make_visible(_code: &[u8]) {}

pub(crate) fn forget_prefetched() {}

pub(crate) fn smp_mb() {
    fence(Ordering::SeqCst);
}

pub(crate) fn smp_rmb() {
    fence(Ordering::Acquire);
}

pub(crate) fn smp_wmb() {
    fence(Ordering::Release);
}

pub(crate) fn smp_mb__after_spinlock() {
    fence(Ordering::SeqCst);
}

pub(crate) fn smp_acquire__after_ctrl_dep() {
    fence(Ordering::Acquire);
}

pub(crate) fn drain_nontemporal() {
    fence(Ordering::Release);
}

/// # Safety
/// `place` must be the address of a live atomic.
pub(crate) unsafe fn load_acquire(place: *mut u32) -> u32 {
    // SAFETY: promised by the caller.
    unsafe { AtomicU32::from_ptr(place) }.load(Ordering::Acquire)
}

/// # Safety
/// `place` must be the address of a live atomic.
pub(crate) unsafe fn nontemporal_store(place: *mut usize, value: usize) {
    // SAFETY: promised by the caller.
    unsafe { AtomicUsize::from_ptr(place) }.store(value, Ordering::Relaxed);
}

/// # Safety
/// `word` must be the address of a live atomic.
pub(crate) unsafe fn try_lock(word: *mut u32, holder: u32) -> bool {
    // SAFETY: promised by the caller.
    unsafe { AtomicU32::from_ptr(word) }.compare_exchange(0, holder, Ordering::Acquire, Ordering::Relaxed).is_ok()
}
