//! A counter of the hardware that counts an event in the calling thread (perf_event_open(2)). Many virtual machines have none, and a
//! system can forbid it (/proc/sys/kernel/perf_event_paranoid), so nothing depends on it.

use std::fs::File;
use std::io::{self, Read as _};
use std::os::fd::{FromRawFd as _, OwnedFd};

use crate::arch::HardwareEvent;

/// The first 64 bytes of the kernel's `struct perf_event_attr`, which is its first published size (`PERF_ATTR_SIZE_VER0` in
/// include/uapi/linux/perf_event.h). Every kernel accepts it.
#[repr(C)]
struct Attributes {
    kind: u32,
    size: u32,
    config: u64,
    sample_period: u64,
    sample_type: u64,
    read_format: u64,
    flags: u64,
    wakeup_events: u32,
    breakpoint_kind: u32,
    breakpoint_address: u64,
}

/// `PERF_FORMAT_TOTAL_TIME_ENABLED` and `PERF_FORMAT_TOTAL_TIME_RUNNING`: the count is followed by these two times.
const WITH_TIMES: u64 = 1 | 2;
/// `exclude_kernel` and `exclude_hv`: an unprivileged process may count its own instructions alone.
const USER_ALONE: u64 = 1 << 5 | 1 << 6;
/// `PERF_FLAG_FD_CLOEXEC`.
const CLOSE_ON_EXEC: libc::c_ulong = 8;

/// Counts an event in the thread that opened it, in user mode, from then on.
#[derive(Debug)]
pub struct HardwareCounter(File);

impl HardwareCounter {
    /// Opens a counter for the calling thread.
    ///
    /// # Errors
    /// If the CPU, the hypervisor or the kernel has no such counter, or if the system forbids it.
    pub fn open(event: HardwareEvent) -> io::Result<HardwareCounter> {
        let attributes = Attributes {
            kind: event.kind,
            size: size_of::<Attributes>() as u32,
            config: event.config,
            sample_period: 0,
            sample_type: 0,
            read_format: WITH_TIMES,
            flags: USER_ALONE,
            wakeup_events: 0,
            breakpoint_kind: 0,
            breakpoint_address: 0,
        };
        let (this_thread, any_cpu, no_group): (libc::pid_t, libc::c_int, libc::c_int) = (0, -1, -1);
        // SAFETY: the kernel reads `size` bytes of the attributes, which are as many as there are, and keeps no pointer to them.
        let number = unsafe {
            libc::syscall(
                libc::SYS_perf_event_open,
                &raw const attributes,
                this_thread,
                any_cpu,
                no_group,
                CLOSE_ON_EXEC,
            )
        };
        match i32::try_from(number) {
            // SAFETY: the kernel has just made this file descriptor, and nothing else owns it.
            Ok(number) if number >= 0 => Ok(HardwareCounter(File::from(unsafe { OwnedFd::from_raw_fd(number) }))),
            _ => Err(io::Error::last_os_error()),
        }
    }

    /// The count so far. If the kernel shares the hardware among more events than it has counters, an estimate from the time that this
    /// one was counted; `None` if it never was.
    ///
    /// # Errors
    /// If the kernel cannot count the event any more.
    pub fn read(&mut self) -> io::Result<Option<u64>> {
        let mut bytes = [0; 24];
        self.0.read_exact(&mut bytes)?;
        let number = |at: usize| u64::from_ne_bytes(bytes[at..at + 8].try_into().expect("eight bytes"));
        Ok(scaled(number(0), number(8), number(16)))
    }
}

/// A count of the time `running`, for all of the time `enabled`.
fn scaled(count: u64, enabled: u64, running: u64) -> Option<u64> {
    let all = u128::from(count) * u128::from(enabled) / u128::from(running).max(1);
    (running > 0).then(|| u64::try_from(all).unwrap_or(u64::MAX))
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// An event of the kernel, which needs no hardware: the time of a thread, in nanoseconds (`PERF_TYPE_SOFTWARE`,
    /// `PERF_COUNT_SW_TASK_CLOCK`).
    pub(crate) const TASK_CLOCK: HardwareEvent = HardwareEvent { name: "task-clock", kind: 1, config: 1 };

    /// Whether this system forbids counters or has none: containers often do, and qemu-user has none.
    pub(crate) fn without_counters(error: &io::Error) -> bool {
        [libc::EACCES, libc::EPERM, libc::ENOSYS].map(Some).contains(&error.raw_os_error())
    }

    #[test]
    fn a_counter_counts_in_its_thread_and_a_wrong_event_is_an_error() {
        let mut counter = match HardwareCounter::open(TASK_CLOCK) {
            Ok(counter) => counter,
            Err(error) => return assert!(without_counters(&error), "{error}"),
        };
        let begun = std::time::Instant::now();
        let mut before = counter.read().unwrap().unwrap();
        while begun.elapsed() < std::time::Duration::from_millis(5) {
            let now = counter.read().unwrap().unwrap();
            assert!(now >= before, "{now} after {before}");
            before = now;
        }
        assert!(before > 0 && u128::from(before) <= 2 * begun.elapsed().as_nanos(), "{before} ns");
        let wrong = HardwareEvent { kind: 1, config: 1 << 40, ..TASK_CLOCK };
        assert!(HardwareCounter::open(wrong).is_err());
    }

    #[test]
    fn a_count_of_a_part_of_the_time_is_one_of_all_of_it() {
        assert_eq!(scaled(10, 0, 0), None);
        assert_eq!([scaled(10, 5, 5), scaled(10, 9, 3), scaled(0, 9, 1)], [10, 30, 0].map(Some));
        assert_eq!(scaled(u64::MAX, u64::MAX, 1), Some(u64::MAX));
    }
}
