//! The atomics and cells of the protocol: those of std, of loom, or of the unit tests.
//!
//! The unit tests' atomics report each access (src/kernel/witness.rs).

#[cfg(all(test, not(loom)))]
pub use super::witness::{AtomicBool, AtomicU32, AtomicUsize};
#[cfg(loom)]
pub use explored::{AtomicBool, AtomicU32, AtomicUsize, sequential};
#[cfg(loom)]
pub use loom::sync::atomic::Ordering;
#[cfg(not(loom))]
pub use std::sync::atomic::Ordering;
#[cfg(not(any(loom, test)))]
pub use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize};

/// A count that is only a hint for its readers. Under loom it is not explored: every reader sees the last
/// value.
#[cfg(not(loom))]
pub type Hint = AtomicU32;
/// A flag that an interrupt sets on a CPU and this CPU reads. An interrupt is synchronous to the CPU that
/// takes it, so under loom every reader sees the last value.
#[cfg(not(loom))]
pub type Flag = AtomicBool;
/// A count that is only a hint for its readers: not explored.
#[cfg(loom)]
pub type Hint = std::sync::atomic::AtomicU32;
/// A flag that an interrupt sets on a CPU and this CPU reads: not explored.
#[cfg(loom)]
pub type Flag = std::sync::atomic::AtomicBool;

#[cfg(loom)]
mod explored {
    //! loom's atomics, with a mode in which every load returns the last value.

    use loom::sync::atomic::{self, Ordering};

    thread_local! {
        /// Whether the exploration on this thread is restricted to sequentially consistent executions. loom
        /// runs all threads of a model on the thread that explores it.
        static SEQUENTIAL: std::cell::Cell<bool> = const { std::cell::Cell::new(false) };
    }

    /// Restricts the next explorations of this thread to sequentially consistent executions, or lifts this.
    /// Each load and store becomes a read-modify-write, and these always see the last value in loom and in C11.
    pub fn sequential(only: bool) {
        SEQUENTIAL.set(only);
    }

    macro_rules! explored {
        ($name:ident, $value:ty, $nothing:expr) => {
            /// loom's atomic of the same name; see [`sequential`].
            #[derive(Debug)]
            pub struct $name(atomic::$name);

            #[allow(missing_docs, dead_code)] // the methods are those of std's atomics
            impl $name {
                pub fn new(value: $value) -> $name {
                    $name(atomic::$name::new(value))
                }

                pub fn load(&self, order: Ordering) -> $value {
                    match SEQUENTIAL.get() {
                        true => self.0.fetch_or($nothing, Ordering::AcqRel),
                        false => self.0.load(order),
                    }
                }

                pub fn store(&self, value: $value, order: Ordering) {
                    match SEQUENTIAL.get() {
                        true => drop(self.0.swap(value, Ordering::AcqRel)),
                        false => self.0.store(value, order),
                    }
                }

                pub fn swap(&self, value: $value, order: Ordering) -> $value {
                    self.0.swap(value, order)
                }

                pub fn compare_exchange(
                    &self,
                    current: $value,
                    new: $value,
                    success: Ordering,
                    failure: Ordering,
                ) -> Result<$value, $value> {
                    match SEQUENTIAL.get() {
                        true => self.0.compare_exchange(current, new, Ordering::AcqRel, Ordering::Acquire),
                        false => self.0.compare_exchange(current, new, success, failure),
                    }
                }

                pub fn fetch_or(&self, value: $value, order: Ordering) -> $value {
                    self.0.fetch_or(value, order)
                }

                pub fn fetch_and(&self, value: $value, order: Ordering) -> $value {
                    self.0.fetch_and(value, order)
                }
            }
        };
    }

    explored!(AtomicBool, bool, false);
    explored!(AtomicU32, u32, 0);
    explored!(AtomicUsize, usize, 0);
}

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
