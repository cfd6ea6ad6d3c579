//! What the native code of several architectures shares: accesses in plain Rust, of which each architecture uses those that
//! compile to the instructions of its kernel, and the arithmetic of their places.

#![allow(dead_code)] // no architecture uses all of it

use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};

/// Whether an access of `size` bytes at `offset` lies inside one aligned block of `block` bytes.
pub(crate) const fn is_inside(size: usize, offset: usize, block: usize) -> bool {
    offset / block == (offset + size - 1) / block
}

/// The access of smp_load_acquire().
///
/// # Safety
/// `place` must be the address of a live atomic.
#[inline(always)]
pub(crate) unsafe fn load_acquire(place: *mut u32) -> u32 {
    // SAFETY: promised by the caller.
    unsafe { AtomicU32::from_ptr(place) }.load(Ordering::Acquire)
}

/// A store that is weakly ordered, for architectures where every ordinary store is.
///
/// # Safety
/// `place` must be the address of a live atomic.
#[inline(always)]
pub(crate) unsafe fn nontemporal_store(place: *mut usize, value: usize) {
    // SAFETY: promised by the caller.
    unsafe { AtomicUsize::from_ptr(place) }.store(value, Ordering::Relaxed);
}

/// One attempt of raw_spin_lock(): takes the lock if the word is 0, and returns whether it did.
///
/// # Safety
/// `word` must be the address of a live atomic.
#[inline(always)]
pub(crate) unsafe fn try_lock(word: *mut u32, holder: u32) -> bool {
    // SAFETY: promised by the caller.
    unsafe { AtomicU32::from_ptr(word) }.compare_exchange(0, holder, Ordering::Acquire, Ordering::Relaxed).is_ok()
}
