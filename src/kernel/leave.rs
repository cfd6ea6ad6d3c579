//! Leaving a wait that nothing ends.
//!
//! A CPU of the protocol that waits for a lock which nobody frees would spin for ever. Its thread is told to leave: every wait of the
//! protocol looks at the flag now and then, and unwinds out of whatever it is in. What it leaves behind is for reading only.

use std::cell::RefCell;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// What a thread that was told to leave unwinds with. It is no panic: no message is printed.
#[derive(Debug)]
pub struct Left;

/// Turns of a loop between two looks at the flag.
pub const LOOK_EVERY: u32 = 1000;

thread_local! {
    static FLAG: RefCell<Option<Arc<AtomicBool>>> = const { RefCell::new(None) };
}

/// From now on the calling thread leaves the protocol's waits once the flag is set. Its caller catches the unwinding.
pub fn leave_when(flag: Arc<AtomicBool>) {
    FLAG.with(|own| *own.borrow_mut() = Some(flag));
}

/// Unwinds with [`Left`] if the calling thread was told to.
pub fn leave_if_told() {
    let told = FLAG.with(|own| own.borrow().as_ref().is_some_and(|flag| flag.load(Ordering::Relaxed)));
    if told {
        std::panic::resume_unwind(Box::new(Left));
    }
}

/// Counts the turns of a loop that has no wait in it, and leaves it if told to.
#[derive(Debug, Default)]
pub struct Patience {
    turns: u32,
}

impl Patience {
    /// One turn; true where it looked at the flag.
    pub fn turn(&mut self) -> bool {
        self.turns = self.turns.wrapping_add(1);
        let looks = self.turns.is_multiple_of(LOOK_EVERY);
        if looks {
            leave_if_told();
        }
        looks
    }
}
