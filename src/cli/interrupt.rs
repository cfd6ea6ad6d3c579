//! Handling of Ctrl-C, SIGTERM and SIGHUP.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

use crate::error::{EXIT_INTERRUPTED, Error, Result};

/// Returns a flag that the first Ctrl-C, SIGTERM or SIGHUP sets. The second signal ends the program at once.
///
/// If the program was started with SIGHUP ignored, for example by nohup, SIGHUP stays ignored.
pub(super) fn interrupt_flag() -> Result<Arc<AtomicBool>> {
    let flag = Arc::new(AtomicBool::new(false));
    let hangup = (!is_ignored(SIGHUP)).then_some(SIGHUP);
    for signal in [SIGINT, SIGTERM].into_iter().chain(hangup) {
        // The shutdown handler must be registered first: at the first signal it must find the flag unset.
        signal_hook::flag::register_conditional_shutdown(signal, i32::from(EXIT_INTERRUPTED), Arc::clone(&flag))
            .and_then(|_| signal_hook::flag::register(signal, Arc::clone(&flag)))
            .map_err(Error::io("installing a handler for Ctrl-C"))?;
    }
    Ok(flag)
}

/// Whether the process was started to ignore a signal.
fn is_ignored(signal: i32) -> bool {
    let mut action = std::mem::MaybeUninit::<libc::sigaction>::zeroed();
    // SAFETY: the new action is null, so sigaction only writes the present action, completely, to the given
    // place, which has the size of one action. All fields of an action are integers and an optional function,
    // so zero is a valid value of each.
    unsafe {
        let known = libc::sigaction(signal, std::ptr::null(), action.as_mut_ptr()) == 0;
        known && action.assume_init().sa_sigaction == libc::SIG_IGN
    }
}
