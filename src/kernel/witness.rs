//! Atomics for the unit tests: they report each access and barrier to a watcher, in program order.
//!
//! At run time x86 hides a missing barrier, and other faults show only by chance. Here one thread drives the
//! protocol. Its watcher sees each access before it takes place and may let another context act at that
//! point. The watcher sees the accesses of the source, not the order in which a CPU performs them.

#![allow(missing_docs)] // the methods are those of std's atomics

use std::cell::RefCell;
use std::sync::atomic::{self, Ordering};

/// An access or a barrier. The first number is the address of the word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// A load.
    Read(usize, Ordering),
    /// A store of a value.
    Write(usize, Ordering, u64),
    /// A read-modify-write with its operand; for a compare_exchange the new value.
    Update(usize, Ordering, u64),
    /// raw_spin_lock().
    Lock(usize),
    /// raw_spin_unlock()
    Unlock(usize),
    /// A barrier, with its kernel name.
    Barrier(&'static str),
}

type Watcher = Box<dyn FnMut(Access)>;

thread_local! {
    static WATCHER: RefCell<Option<Watcher>> = const { RefCell::new(None) };
}

/// Calls `watcher` before each access that `f` makes. The watcher's own accesses are not reported.
pub fn watch<R>(watcher: impl FnMut(Access) + 'static, f: impl FnOnce() -> R) -> R {
    WATCHER.with(|own| *own.borrow_mut() = Some(Box::new(watcher)));
    let result = f();
    WATCHER.with(|own| *own.borrow_mut() = None);
    result
}

/// Reports an access to this thread's watcher, if there is one.
pub fn tell(access: Access) {
    let taken = WATCHER.with(|own| own.borrow_mut().take());
    if let Some(mut watcher) = taken {
        watcher(access);
        WATCHER.with(|own| *own.borrow_mut() = Some(watcher));
    }
}

macro_rules! told {
    ($name:ident, $value:ty) => {
        /// The std atomic of the same name, with each access reported.
        #[derive(Debug)]
        #[repr(transparent)]
        pub struct $name(atomic::$name);

        #[allow(dead_code)] // not every type uses all methods
        impl $name {
            pub const fn new(value: $value) -> $name {
                $name(atomic::$name::new(value))
            }

            fn at(&self) -> usize {
                std::ptr::from_ref(self) as usize
            }

            pub fn as_ptr(&self) -> *mut $value {
                self.0.as_ptr()
            }

            pub fn load(&self, order: Ordering) -> $value {
                tell(Access::Read(self.at(), order));
                self.0.load(order)
            }

            pub fn store(&self, value: $value, order: Ordering) {
                tell(Access::Write(self.at(), order, value as u64));
                self.0.store(value, order);
            }

            pub fn swap(&self, value: $value, order: Ordering) -> $value {
                tell(Access::Update(self.at(), order, value as u64));
                self.0.swap(value, order)
            }

            pub fn compare_exchange(
                &self,
                current: $value,
                new: $value,
                success: Ordering,
                failure: Ordering,
            ) -> Result<$value, $value> {
                tell(Access::Update(self.at(), success, new as u64));
                self.0.compare_exchange(current, new, success, failure)
            }

            pub fn fetch_or(&self, value: $value, order: Ordering) -> $value {
                tell(Access::Update(self.at(), order, value as u64));
                self.0.fetch_or(value, order)
            }

            pub fn fetch_and(&self, value: $value, order: Ordering) -> $value {
                tell(Access::Update(self.at(), order, value as u64));
                self.0.fetch_and(value, order)
            }
        }
    };
}

told!(AtomicBool, bool);
told!(AtomicU32, u32);
told!(AtomicUsize, usize);

impl AtomicU32 {
    pub fn fetch_add(&self, value: u32, order: Ordering) -> u32 {
        tell(Access::Update(self.at(), order, value.into()));
        self.0.fetch_add(value, order)
    }

    pub fn fetch_sub(&self, value: u32, order: Ordering) -> u32 {
        tell(Access::Update(self.at(), order, value.into()));
        self.0.fetch_sub(value, order)
    }
}
