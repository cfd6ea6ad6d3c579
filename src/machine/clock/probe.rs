//! Whether the counter can be read at all.
//!
//! A process may be forbidden to read the TSC (prctl PR_SET_TSC: rdtsc then raises SIGSEGV), and an emulator may know no counter (SIGILL) or
//! give one that stands still. A child process tries it, so that all of this ends in words and not in a signal. Time may not be asked for
//! before: the vDSO's clock_gettime reads the counter too.

use super::{Clock, now};
use crate::error::{Error, Result};

/// For how long a counter may stand still, in nanoseconds: the slowest ones count microseconds.
const STILL_NS: i64 = 20_000_000;

/// What the child's exit status says.
const ADVANCES: i32 = 0;
const STANDS_STILL: i32 = 1;
/// Plus the signal's number.
const SIGNALLED: i32 = 128;

/// Makes sure that this process can read the counter.
///
/// # Errors
/// If it cannot, with the reason.
pub fn require_counter() -> Result<()> {
    if cfg!(not(any(
        target_arch = "x86_64",
        target_arch = "aarch64",
        target_arch = "powerpc64",
        target_arch = "riscv64"
    ))) {
        return Err(Error::Host("wakerace knows no counter on this architecture".to_owned()));
    }
    verdict(try_in_child(now))
}

/// Reads a counter in a child process; its exit status, or `None` if there is no child to be had.
fn try_in_child(read: fn() -> u64) -> Option<i32> {
    // SAFETY: between fork and _exit the child calls only functions that are async-signal-safe and touches no memory but its own stack,
    // so it does not matter which locks other threads held.
    let child = unsafe { libc::fork() };
    if child == 0 {
        for signal in [libc::SIGSEGV, libc::SIGILL, libc::SIGBUS, libc::SIGTRAP] {
            // SAFETY: the handler calls _exit alone. Without it the signal would leave a core file.
            unsafe { libc::signal(signal, leave as *const () as libc::sighandler_t) };
        }
        let status = if advances(read) { ADVANCES } else { STANDS_STILL };
        // SAFETY: ends the child without running destructors that are the parent's.
        unsafe { libc::_exit(status) };
    }
    let mut status = 0;
    loop {
        // SAFETY: writes one int.
        let waited = unsafe { libc::waitpid(child, &mut status, 0) };
        let interrupted = waited == -1 && std::io::Error::last_os_error().raw_os_error() == Some(libc::EINTR);
        if waited == child && child > 0 {
            let signalled = libc::WIFSIGNALED(status).then(|| SIGNALLED + libc::WTERMSIG(status));
            return Some(signalled.unwrap_or_else(|| libc::WEXITSTATUS(status)));
        }
        if !interrupted {
            return None;
        }
    }
}

extern "C" fn leave(signal: libc::c_int) {
    // SAFETY: ends the child without running destructors.
    unsafe { libc::_exit(SIGNALLED + signal) };
}

/// Whether two readings within [`STILL_NS`] differ.
fn advances(read: fn() -> u64) -> bool {
    let first = read();
    let begun = monotonic();
    while read() == first {
        if monotonic() - begun > STILL_NS {
            return false;
        }
    }
    true
}

/// The system's clock in nanoseconds, by the system call: not through the vDSO, which may need the counter.
#[allow(clippy::unnecessary_cast)] // both fields are narrower on 32-bit hosts
fn monotonic() -> i64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the kernel writes one timespec.
    unsafe { libc::syscall(libc::SYS_clock_gettime, libc::CLOCK_MONOTONIC, &raw mut time) };
    time.tv_sec as i64 * 1_000_000_000 + time.tv_nsec as i64
}

/// What a child's status means.
fn verdict(status: Option<i32>) -> Result<()> {
    let name = Clock::NAME;
    let what = match status {
        // Without a child nothing is known, and whatever starts threads will say why there is none.
        None | Some(ADVANCES) => return Ok(()),
        Some(STANDS_STILL) => format!("it does not advance within {} ms", STILL_NS / 1_000_000),
        Some(other) => {
            let signal = match other - SIGNALLED {
                libc::SIGSEGV => "SIGSEGV".to_owned(),
                libc::SIGILL => "SIGILL".to_owned(),
                libc::SIGBUS => "SIGBUS".to_owned(),
                number => format!("signal {number}"),
            };
            let why = if cfg!(target_arch = "x86_64") && other - SIGNALLED == libc::SIGSEGV {
                "; the process is forbidden to (prctl PR_SET_TSC, or a sandbox that sets it): start wakerace outside of it"
            } else {
                "; the kernel or an emulator does not provide it"
            };
            format!("reading it raises {signal}{why}")
        }
    };
    Err(Error::Host(format!(
        "the counter of this CPU ({name}), which everything here is timed by, cannot be used: {what}"
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stands_still() -> u64 {
        42
    }

    fn is_unknown() -> u64 {
        // SAFETY: in the child of a test; its handler ends it.
        unsafe { libc::raise(libc::SIGILL) };
        1
    }

    #[test]
    fn a_counter_that_cannot_be_used_is_an_error_in_words() {
        require_counter().unwrap();
        assert_eq!(try_in_child(now), Some(ADVANCES));
        let still = verdict(try_in_child(stands_still)).unwrap_err().to_string();
        assert!(still.contains(Clock::NAME) && still.contains("does not advance within 20 ms"), "{still}");
        let unknown = verdict(try_in_child(is_unknown)).unwrap_err().to_string();
        assert!(unknown.contains("raises SIGILL") && unknown.contains("does not provide it"), "{unknown}");
        let forbidden = verdict(Some(SIGNALLED + libc::SIGSEGV)).unwrap_err().to_string();
        assert!(forbidden.contains("SIGSEGV"), "{forbidden}");
        assert!(!cfg!(target_arch = "x86_64") || forbidden.contains("PR_SET_TSC"), "{forbidden}");
        assert!(verdict(None).is_ok());
    }
}
