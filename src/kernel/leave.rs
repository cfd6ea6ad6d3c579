//! How a thread leaves a wait that never ends.
//!
//! A CPU of the protocol that waits for a lock which nobody frees spins for ever. Its thread can be told to
//! leave: every wait of the protocol reads a flag every [`LOOK_EVERY`] turns and, if the flag is set,
//! unwinds. The unwinding leaves locks taken and operations half done, so afterwards the protocol's state may
//! only be read.

use std::cell::RefCell;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// The payload of the unwinding of a thread that was told to leave. No panic message is printed.
#[derive(Debug)]
pub struct Left;

/// Number of turns of a waiting loop between two reads of the flag.
pub const LOOK_EVERY: u32 = 1000;

thread_local! {
    static FLAG: RefCell<Option<Arc<AtomicBool>>> = const { RefCell::new(None) };
}

/// Makes the calling thread leave the protocol's waits once `flag` is set. The thread's entry function must
/// catch the unwinding.
pub fn leave_when(flag: Arc<AtomicBool>) {
    FLAG.with(|own| *own.borrow_mut() = Some(flag));
}

/// Unwinds with [`Left`] if the calling thread was told to leave.
pub fn leave_if_told() {
    let told = FLAG.with(|own| own.borrow().as_ref().is_some_and(|flag| flag.load(Ordering::Relaxed)));
    if told {
        std::panic::resume_unwind(Box::new(Left));
    }
}

/// Counts the turns of a loop that could run for ever, and leaves the loop if the thread was told to.
#[derive(Debug, Default)]
pub struct Patience {
    turns: u32,
}

impl Patience {
    /// Counts one turn. Returns true if this turn read the flag.
    pub fn turn(&mut self) -> bool {
        self.turns = self.turns.wrapping_add(1);
        let looks = self.turns.is_multiple_of(LOOK_EVERY);
        if looks {
            leave_if_told();
        }
        looks
    }
}
