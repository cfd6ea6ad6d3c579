//! The calling thread's share of its CPU where others want it too.

/// What measuring threads ask for unless told otherwise: enough to keep nine tenths of a CPU that one other wants (sched_prio_to_weight:
/// 9548 against 1024).
pub const PREFERRED_NICE: i32 = -10;

/// Sets the nice value of the calling thread, if the system grants it, and gives the one it has then. On Linux a nice value is a
/// thread's own.
pub fn set_nice(nice: i32) -> i32 {
    // SAFETY: both calls take numbers only; 0 is the calling thread. errno tells an error from a nice value of -1, and nothing
    // else looks at it.
    unsafe {
        // Without the right to it this fails and changes nothing.
        let _ = libc::setpriority(libc::PRIO_PROCESS, 0, nice);
        libc::getpriority(libc::PRIO_PROCESS, 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_may_always_be_nicer() {
        let before = std::thread::spawn(|| set_nice(5)).join().unwrap();
        assert!(before >= 5, "{before}");
        // What was granted, not what was asked for: the kernel grants no more than 19.
        assert_eq!(std::thread::spawn(|| set_nice(1000)).join().unwrap(), 19);
        // Another thread's is its own.
        let other = std::thread::spawn(|| set_nice(3)).join().unwrap();
        assert!(other >= 3, "{other}");
    }
}
