//! Checks that the counter can be read at all.
//!
//! Reading it can fail in three ways. A process may not be allowed to read the TSC (prctl PR_SET_TSC: rdtsc
//! then raises SIGSEGV). An emulator may not implement the counter (SIGILL). An emulator may return a counter
//! that does not advance. A child process tries to read it, so that each failure becomes an error message and
//! not a signal. No code may read the time before this check, because the clock_gettime of the vDSO reads the
//! counter too.

use super::{Clock, now};
use crate::arch::Arch;
use crate::error::{Error, Result};

/// How long the counter may return the same value, in nanoseconds.
///
/// The slowest counters count microseconds: Armv8.0 lets the system counter run at 1 to 50 MHz (Arm ARM D12.1.2, "The system
/// counter"). 20 ms is 20,000 of their steps, and an emulator may lose its CPU for a while.
const STILL_NS: i64 = 20_000_000;

/// Exit statuses of the child: whether the counter changed.
const ADVANCES: i32 = 0;
const STANDS_STILL: i32 = 1;
/// Added to the number of the signal that ended the child.
const SIGNALLED: i32 = 128;

/// Checks that this process can read the counter.
///
/// # Errors
/// If it cannot, with the reason.
pub fn require_counter() -> Result<()> {
    if Arch::host().is_none() {
        return Err(Error::Host("wakerace supports no counter on this architecture".to_owned()));
    }
    verdict(try_in_child(now))
}

/// Reads the counter in a child process; returns the child's exit status, or `None` if no child could be started.
fn try_in_child(read: fn() -> u64) -> Option<i32> {
    // SAFETY: between fork and _exit the child calls only async-signal-safe functions and uses only its own stack, so
    // locks that other threads held at the fork do not matter.
    let child = unsafe { libc::fork() };
    if child == 0 {
        for signal in [libc::SIGSEGV, libc::SIGILL, libc::SIGBUS, libc::SIGTRAP] {
            // SAFETY: the handler only calls _exit. Without the handler the signal would leave a core file.
            unsafe { libc::signal(signal, leave as *const () as libc::sighandler_t) };
        }
        let status = if advances(read) { ADVANCES } else { STANDS_STILL };
        // SAFETY: ends the child without running the destructors of the parent's values.
        unsafe { libc::_exit(status) };
    }
    let mut status = 0;
    loop {
        // SAFETY: the kernel writes one int.
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

/// Whether the counter changes within [`STILL_NS`].
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

/// The monotonic clock in nanoseconds. It makes the system call, because the vDSO may need the counter.
#[allow(clippy::unnecessary_cast)] // both fields are narrower on 32-bit hosts
fn monotonic() -> i64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the kernel writes one timespec.
    unsafe { libc::syscall(libc::SYS_clock_gettime, libc::CLOCK_MONOTONIC, &raw mut time) };
    time.tv_sec as i64 * 1_000_000_000 + time.tv_nsec as i64
}

/// Turns a child's status into a result.
fn verdict(status: Option<i32>) -> Result<()> {
    let name = Clock::NAME;
    let what = match status {
        // Without a child nothing is known. Code that starts threads later reports why it cannot start one.
        None | Some(ADVANCES) => return Ok(()),
        Some(STANDS_STILL) => format!("it does not advance within {} ms", STILL_NS / 1_000_000),
        Some(other) => {
            let signal = match other - SIGNALLED {
                libc::SIGSEGV => "SIGSEGV".to_owned(),
                libc::SIGILL => "SIGILL".to_owned(),
                libc::SIGBUS => "SIGBUS".to_owned(),
                number => format!("signal {number}"),
            };
            let forbidden = Arch::host().and_then(|arch| arch.facts().counter.forbidden);
            let why = forbidden
                .filter(|_| other - SIGNALLED == libc::SIGSEGV)
                .unwrap_or("the kernel or an emulator does not provide it");
            format!("reading it raises {signal}; {why}")
        }
    };
    Err(Error::Host(format!(
        "the counter of this CPU ({name}), which wakerace uses for all timing, cannot be used: {what}"
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stands_still() -> u64 {
        42
    }

    fn is_unknown() -> u64 {
        // SAFETY: runs only in the child of a test, whose handler ends that child.
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
        let why = Arch::host().and_then(|arch| arch.facts().counter.forbidden);
        assert!(forbidden.contains(why.unwrap_or("does not provide it")), "{forbidden}");
        assert!(verdict(None).is_ok());
    }
}
