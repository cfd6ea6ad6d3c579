//! The atomics and cells the protocol is written with: the processor's, or loom's, or those of the unit tests, which tell each access.

#[cfg(all(test, not(loom)))]
pub use super::witness::{AtomicBool, AtomicU32, AtomicUsize};
#[cfg(loom)]
pub use loom::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering};
#[cfg(not(loom))]
pub use std::sync::atomic::Ordering;
#[cfg(not(any(loom, test)))]
pub use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize};

/// Data that a lock or the protocol itself protects. Natively nobody checks; under loom every access that is not ordered with
/// all others ends the exploration.
#[derive(Debug)]
pub struct Guarded<T> {
    #[cfg(not(loom))]
    inner: std::cell::UnsafeCell<T>,
    #[cfg(loom)]
    inner: loom::cell::UnsafeCell<T>,
}

// SAFETY: `with` is unsafe, and its callers promise that no two of them are inside at once.
unsafe impl<T: Send> Sync for Guarded<T> {}

impl<T> Guarded<T> {
    /// Holds a value.
    pub fn new(value: T) -> Guarded<T> {
        #[cfg(not(loom))]
        let inner = std::cell::UnsafeCell::new(value);
        #[cfg(loom)]
        let inner = loom::cell::UnsafeCell::new(value);
        Guarded { inner }
    }

    /// Uses the value.
    ///
    /// # Safety
    /// Nobody else uses it at the same time: the caller holds the lock that protects it, or runs the task it belongs to.
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

/// cpu_relax(), and a yield now and then: on a host with fewer CPUs than threads, whoever is waited for must get to run. A thread that
/// was told to leave does so here ([`super::leave`]).
#[derive(Debug, Default)]
pub struct Spin {
    #[cfg(not(loom))]
    patience: super::leave::Patience,
}

impl Spin {
    /// Starts to wait.
    pub fn new() -> Spin {
        Spin::default()
    }

    /// Waits a moment.
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
