//! Counts the memory that a search holds, so that a test that needs too much is refused by the number of bytes.
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

/// The memory that one search may hold.
pub struct Budget {
    most: usize,
    held: Cell<usize>,
    turn: RefCell<Option<Turn>>,
}

impl Budget {
    /// A budget of this many bytes.
    pub fn new(most: usize) -> Budget {
        Budget { most, held: Cell::new(0), turn: RefCell::new(None) }
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
        let budget = Budget::new(100);
        for _ in 0..5 {
            budget.take(90, "bytes").unwrap();
            budget.give(90);
        }
        budget.take(60, "bytes").unwrap();
        assert_eq!(budget.take(50, "bytes"), Err(ModelError::TooLarge { what: "bytes", count: 110 }));
    }

    #[test]
    fn one_thread_may_be_large_at_a_time() {
        let large = Budget::new(usize::MAX);
        large.take(SMALL + 1, "bytes").unwrap();
        // A second search of this thread does not wait for the first.
        let nested = Budget::new(usize::MAX);
        nested.take(SMALL + 1, "bytes").unwrap();
        drop(nested);
        let (send, receive) = std::sync::mpsc::channel();
        let other = std::thread::spawn(move || {
            let other = Budget::new(usize::MAX);
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
