//! The atomics and cells of the protocol: those of std, of loom, or of the unit tests.
//!
//! The unit tests' atomics report each access (src/kernel/witness.rs).

#[cfg(all(test, not(loom)))]
pub use super::witness::{AtomicBool, AtomicU32, AtomicUsize};
#[cfg(loom)]
pub use loom::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering};
#[cfg(not(loom))]
pub use std::sync::atomic::Ordering;
#[cfg(not(any(loom, test)))]
pub use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize};

/// Data that a lock, or the protocol itself, protects. Natively nothing checks this. Under loom an access
/// that is not ordered with all other accesses ends the exploration.
#[derive(Debug)]
pub struct Guarded<T> {
    #[cfg(not(loom))]
    inner: std::cell::UnsafeCell<T>,
    #[cfg(loom)]
    inner: loom::cell::UnsafeCell<T>,
}

// SAFETY: `with` is unsafe. Its callers promise that no two of them use the value at the same time.
unsafe impl<T: Send> Sync for Guarded<T> {}

impl<T> Guarded<T> {
    /// Wraps a value.
    pub fn new(value: T) -> Guarded<T> {
        #[cfg(not(loom))]
        let inner = std::cell::UnsafeCell::new(value);
        #[cfg(loom)]
        let inner = loom::cell::UnsafeCell::new(value);
        Guarded { inner }
    }

    /// Calls `f` with the value.
    ///
    /// # Safety
    /// Nobody else may use the value at the same time: the caller must hold the lock that protects it, or run
    /// the task that it belongs to.
    pub unsafe fn with<R>(&self, f: impl FnOnce(&mut T) -> R) -> R {
        #[cfg(not(loom))]
        // SAFETY: promised by the caller.
        let result = f(unsafe { &mut *self.inner.get() });
        #[cfg(loom)]
        // SAFETY: promised by the caller, and checked by loom.
        let result = self.inner.with_mut(|value| f(unsafe { &mut *value }));
        result
    }
}

/// cpu_relax() for waiting loops, with a yield every [`super::leave::LOOK_EVERY`] turns.
///
/// The yield is for hosts with fewer CPUs than threads: the thread that the loop waits for must get a CPU. A
/// thread that was told to leave does so here ([`super::leave`]).
#[derive(Debug, Default)]
pub struct Spin {
    #[cfg(not(loom))]
    patience: super::leave::Patience,
}

impl Spin {
    /// Starts a wait.
    pub fn new() -> Spin {
        Spin::default()
    }

    /// Waits for one turn of the loop.
    pub fn turn(&mut self) {
        #[cfg(not(loom))]
        if self.patience.turn() {
            std::thread::yield_now();
        } else {
            std::hint::spin_loop();
        }
        #[cfg(loom)]
        loom::thread::yield_now();
    }
}
