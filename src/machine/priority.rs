//! The nice value of the calling thread: its share of a CPU when other threads want that CPU too.

/// Default nice value of measuring threads. It keeps nine tenths of a CPU that one other thread wants
/// (the kernel's sched_prio_to_weight: 9548 against 1024).
pub const PREFERRED_NICE: i32 = -10;

/// Sets the nice value of the calling thread, if the system permits it, and returns the value that then applies.
///
/// On Linux each thread has its own nice value.
pub fn set_nice(nice: i32) -> i32 {
    // SAFETY: both calls take only numbers; 0 means the calling thread. A return value of -1 can be an error or
    // a nice value of -1; only errno tells them apart, and no caller needs to.
    unsafe {
        // Without the privilege this call fails and changes nothing.
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
        // The result is the granted value, not the requested one: the kernel grants at most 19.
        assert_eq!(std::thread::spawn(|| set_nice(1000)).join().unwrap(), 19);
        // Each thread has its own nice value.
        let other = std::thread::spawn(|| set_nice(3)).join().unwrap();
        assert!(other >= 3, "{other}");
    }
}
