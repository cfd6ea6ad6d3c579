//! Counts the memory that a search holds and the operations that it takes, so that a test that needs too much is refused by a
//! number that is the same on every machine.
//!
//! Several tests may be judged at a time. Each may hold [`SMALL`] bytes freely. Only one of them holds more at any time;
//! the others wait for it. So the bound holds for the process, and which tests are refused does not depend on the number
//! of CPUs.

use std::cell::{Cell, RefCell};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::{ModelError, Result};

/// A search may hold this many bytes while another search holds more.
const SMALL: usize = 4 << 20;

/// Held by the search that holds more than [`SMALL`] bytes.
static LARGE: Mutex<()> = Mutex::new(());

thread_local! {
    /// Whether a search of this thread holds [`LARGE`]. Another search of the same thread then does not wait for it.
    static IS_LARGE: Cell<bool> = const { Cell::new(false) };
}

/// The memory that one search may hold, and the operations that it may take.
pub struct Budget {
    most_operations: u64,
    operations: Cell<u64>,
    most: usize,
    held: Cell<usize>,
    turn: RefCell<Option<Turn>>,
}

impl Budget {
    /// A budget of this many bytes and operations.
    pub fn new(most: usize, most_operations: u64) -> Budget {
        let (held, turn) = (Cell::new(0), RefCell::new(None));
        Budget { most_operations, operations: Cell::new(0), most, held, turn }
    }

    /// Counts operations that the search is about to make. One is about as much as computing or comparing one value.
    ///
    /// # Errors
    /// [`ModelError::TooLarge`] if the search then made too many.
    #[inline]
    pub fn spend(&self, operations: u64) -> Result<()> {
        let made = self.operations.get() + operations;
        self.operations.set(made);
        if made > self.most_operations { Err(too_many(made)) } else { Ok(()) }
    }

    /// Forgets the operations, for another search in the same paths.
    pub fn restart(&self) {
        self.operations.set(0);
    }

    /// Counts bytes that the search is about to hold. `what` names them in the error.
    ///
    /// # Errors
    /// [`ModelError::TooLarge`] if the search then holds too much.
    pub fn take(&self, bytes: usize, what: &'static str) -> Result<()> {
        let held = self.held.get().saturating_add(bytes);
        self.held.set(held);
        if held > self.most {
            return Err(ModelError::TooLarge { what, count: held as u64 });
        }
        if held > SMALL && self.turn.borrow().is_none() {
            self.turn.replace(Turn::wait());
        }
        Ok(())
    }

    /// Counts bytes that the search no longer holds.
    pub fn give(&self, bytes: usize) {
        self.held.set(self.held.get().saturating_sub(bytes));
    }
}

/// The error for too many operations. Out of line, because [`Budget::spend`] is called at every step.
#[cold]
#[inline(never)]
fn too_many(operations: u64) -> ModelError {
    ModelError::TooLarge { what: "operations", count: operations }
}

/// The right to hold more than [`SMALL`] bytes.
struct Turn {
    _guard: MutexGuard<'static, ()>,
}

impl Turn {
    /// Waits for the other searches; `None` if this thread has the right already.
    fn wait() -> Option<Turn> {
        // A thread that panicked holds nothing any more.
        (!IS_LARGE.replace(true)).then(|| Turn { _guard: LARGE.lock().unwrap_or_else(PoisonError::into_inner) })
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        // The C library keeps freed memory for the thread that freed it. The next large search may be that of another thread.
        #[cfg(target_env = "gnu")]
        // SAFETY: malloc_trim may be called at any time from any thread.
        unsafe {
            libc::malloc_trim(0);
        }
        IS_LARGE.set(false);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_given_back_may_be_taken_again() {
        let budget = Budget::new(100, 0);
        for _ in 0..5 {
            budget.take(90, "bytes").unwrap();
            budget.give(90);
        }
        budget.take(60, "bytes").unwrap();
        assert_eq!(budget.take(50, "bytes"), Err(ModelError::TooLarge { what: "bytes", count: 110 }));
    }

    #[test]
    fn operations_are_counted_until_the_next_search() {
        let budget = Budget::new(0, 100);
        for _ in 0..3 {
            budget.restart();
            budget.spend(60).unwrap();
            budget.spend(40).unwrap();
        }
        assert_eq!(budget.spend(1), Err(ModelError::TooLarge { what: "operations", count: 101 }));
    }

    #[test]
    fn one_thread_may_be_large_at_a_time() {
        let large = Budget::new(usize::MAX, 0);
        large.take(SMALL + 1, "bytes").unwrap();
        // A second search of this thread does not wait for the first.
        let nested = Budget::new(usize::MAX, 0);
        nested.take(SMALL + 1, "bytes").unwrap();
        drop(nested);
        let (send, receive) = std::sync::mpsc::channel();
        let other = std::thread::spawn(move || {
            let other = Budget::new(usize::MAX, 0);
            other.take(SMALL, "bytes").unwrap();
            send.send("small").unwrap();
            other.take(1, "bytes").unwrap();
            send.send("large").unwrap();
        });
        assert_eq!(receive.recv(), Ok("small"));
        assert!(receive.recv_timeout(std::time::Duration::from_millis(50)).is_err());
        drop(large);
        assert_eq!(receive.recv(), Ok("large"));
        other.join().unwrap();
    }
}
