//! For the unit tests: the protocol's atomics and barriers tell what is done with them, in the order of the program.
//!
//! x86 hides a barrier that is missing, and chance hides the rest. Here one thread drives the protocol, sees each access before it takes
//! place, and may let another context act at that very point. What it sees is what the source says, not what a CPU makes of it.

#![allow(missing_docs)] // the methods are those of the atomics

use std::cell::RefCell;
use std::sync::atomic::{self, Ordering};

/// What is done, and to which word: its address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// A load.
    Read(usize, Ordering),
    /// A store of a value.
    Write(usize, Ordering, u64),
    /// A read-modify-write; for a compare_exchange the value that it wants to store.
    Update(usize, Ordering, u64),
    /// raw_spin_lock(), or an attempt at it.
    Lock(usize),
    /// raw_spin_unlock()
    Unlock(usize),
    /// A barrier, by its kernel name.
    Barrier(&'static str),
}

type Watcher = Box<dyn FnMut(Access)>;

thread_local! {
    static WATCHER: RefCell<Option<Watcher>> = const { RefCell::new(None) };
}

/// Calls `watcher` before each access that `f` makes. What the watcher itself does is not seen.
pub fn watch<R>(watcher: impl FnMut(Access) + 'static, f: impl FnOnce() -> R) -> R {
    WATCHER.with(|own| *own.borrow_mut() = Some(Box::new(watcher)));
    let result = f();
    WATCHER.with(|own| *own.borrow_mut() = None);
    result
}

/// Tells the watcher, if there is one.
pub fn tell(access: Access) {
    let taken = WATCHER.with(|own| own.borrow_mut().take());
    if let Some(mut watcher) = taken {
        watcher(access);
        WATCHER.with(|own| *own.borrow_mut() = Some(watcher));
    }
}

macro_rules! told {
    ($name:ident, $value:ty) => {
        /// The atomic of the same name, which tells.
        #[derive(Debug)]
        #[repr(transparent)]
        pub struct $name(atomic::$name);

        #[allow(dead_code)] // not every type needs all of them
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
