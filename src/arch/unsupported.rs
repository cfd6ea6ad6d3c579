//! The host's code on an architecture that wakerace does not support: it runs no test there.

#![allow(non_snake_case)] // the kernel's names

use std::sync::atomic::{Ordering, fence};

pub(crate) use super::portable::{load_acquire, nontemporal_store, try_lock};
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

pub(crate) const COUNTER_WAITS_FOR_ADDITIONS: bool = false;

pub(crate) fn dependent_additions(_number: u64) {}

pub(crate) fn independent_additions(_number: u64) {}

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

pub(crate) const WIDEST_ACCESS: usize = 0;

/// # Safety
/// Nothing is accessed.
pub(crate) unsafe fn load<const SIZE: usize>(_place: *const u8) -> u128 {
    0
}

/// # Safety
/// Nothing is accessed.
pub(crate) unsafe fn store<const SIZE: usize>(_place: *mut u8, _value: u128) {}

pub(crate) fn is_single_access(_size: usize, _offset: usize) -> bool {
    false
}
