//! Pinning a thread to a CPU, and knowing that it is there.

use crate::error::{Error, Result};

/// The CPUs this process may run on, ascending.
///
/// core_affinity lists only what `sched_getaffinity` gives for CPUs below 1024 and hides isolated ones, so the mask is
/// read here.
///
/// # Errors
/// If the system call fails.
pub fn allowed_cpus() -> Result<Vec<usize>> {
    const WORDS: usize = 8192 / 64;
    let mut mask = [0_u64; WORDS];
    // SAFETY: the kernel writes at most the given number of bytes into `mask`, which is that large; cpu_set_t is only
    // the C name for such an array.
    let result = unsafe { libc::sched_getaffinity(0, size_of_val(&mask), mask.as_mut_ptr().cast()) };
    if result != 0 {
        return Err(Error::io("reading the CPUs this process may use")(std::io::Error::last_os_error()));
    }
    let bits = mask
        .iter()
        .enumerate()
        .flat_map(|(word, bits)| (0..64).filter(move |bit| bits >> bit & 1 == 1).map(move |bit| word * 64 + bit));
    Ok(bits.collect())
}

/// Pins the calling thread to one CPU and reads back that it is there.
///
/// # Errors
/// If the system refuses, or the thread is somewhere else afterwards.
pub fn pin_to(cpu: usize) -> Result<()> {
    // libc's cpu_set_t, which core_affinity fills, ends there.
    if cpu >= 1024 {
        return Err(Error::Host(format!("CPU {cpu} cannot be used: pinning works for CPUs 0 to 1023")));
    }
    let accepted = core_affinity::set_for_current(core_affinity::CoreId { id: cpu });
    if !accepted {
        return Err(Error::Host(format!("the system refused to pin a thread to CPU {cpu}")));
    }
    confirm(cpu, &allowed_cpus()?, current_cpu())
}

/// Whether a thread that was pinned to `cpu` is there and may be nowhere else.
fn confirm(cpu: usize, allowed: &[usize], here: Option<usize>) -> Result<()> {
    if allowed != [cpu] || here != Some(cpu) {
        let here = here.map_or("one that the system does not name".to_owned(), |here| here.to_string());
        return Err(Error::Host(format!("a thread pinned to CPU {cpu} is on CPU {here}, allowed on {allowed:?}")));
    }
    Ok(())
}

/// The CPU that the calling thread is on; `None` where the system does not say. Through the vDSO or the thread's rseq area, so without a
/// system call: some nanoseconds.
pub fn current_cpu() -> Option<usize> {
    // SAFETY: takes no argument and only returns a number, negative if there is none.
    usize::try_from(unsafe { libc::sched_getcpu() }).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pinned_thread_is_on_its_cpu_and_may_be_nowhere_else() {
        for cpu in allowed_cpus().unwrap() {
            let there = std::thread::spawn(move || {
                pin_to(cpu).unwrap();
                (allowed_cpus().unwrap(), current_cpu())
            });
            assert_eq!(there.join().unwrap(), (vec![cpu], Some(cpu)));
        }
        assert!(
            std::thread::spawn(|| pin_to(1023)).join().unwrap().is_err() || allowed_cpus().unwrap().contains(&1023)
        );
        assert!(std::thread::spawn(|| pin_to(1024)).join().unwrap().unwrap_err().to_string().contains("0 to 1023"));
    }

    #[test]
    fn a_thread_that_is_elsewhere_is_not_taken_for_pinned() {
        assert!(confirm(3, &[3], Some(3)).is_ok());
        for (allowed, here) in [(&[3, 4][..], Some(3)), (&[3], Some(4)), (&[4], Some(4)), (&[], Some(3)), (&[3], None)]
        {
            let name = here.map_or("one that".to_owned(), |here| here.to_string());
            let error = confirm(3, allowed, here).unwrap_err().to_string();
            assert!(error.contains("pinned to CPU 3") && error.contains(&format!("is on CPU {name}")), "{error}");
        }
    }

    /// The mask as the kernel's status file has it.
    #[test]
    fn the_allowed_cpus_are_those_of_the_kernel() {
        let status = std::fs::read_to_string("/proc/thread-self/status").unwrap();
        let list = status.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:")).unwrap();
        assert_eq!(allowed_cpus().unwrap(), crate::machine::parse_cpu_list(list).unwrap());
    }
}
