//! Ctrl-C.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use crate::error::{EXIT_INTERRUPTED, Error, Result};

/// A flag that the first Ctrl-C (or SIGTERM) sets; the second ends the program at once.
pub(super) fn interrupt_flag() -> Result<Arc<AtomicBool>> {
    let flag = Arc::new(AtomicBool::new(false));
    for signal in [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM] {
        // In this order: the first signal finds the flag still unset.
        signal_hook::flag::register_conditional_shutdown(signal, i32::from(EXIT_INTERRUPTED), Arc::clone(&flag))
            .and_then(|_| signal_hook::flag::register(signal, Arc::clone(&flag)))
            .map_err(Error::io("watching for Ctrl-C"))?;
    }
    Ok(flag)
}
