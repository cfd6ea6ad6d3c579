//! Pins a thread to a CPU and checks that it runs there.

use crate::error::{Error, Result};

/// The CPUs this process may run on, in ascending order.
///
/// This function reads the affinity mask itself, because core_affinity lists only CPUs below 1024 of what
/// `sched_getaffinity` returns and hides isolated CPUs.
///
/// # Errors
/// If the system call fails.
pub fn allowed_cpus() -> Result<Vec<usize>> {
    /// Words of 64 bits for 8192 CPUs, the largest NR_CPUS (see `cpulist::MAX_CPU`).
    const WORDS: usize = 8192 / 64;
    let mut mask = [0_u64; WORDS];
    // SAFETY: the kernel writes at most the given number of bytes into `mask`, and `mask` has that size. cpu_set_t is
    // the C name of such an array.
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

/// Pins the calling thread to one CPU and reads back that it runs there.
///
/// # Errors
/// If the system refuses, or if the thread is on another CPU afterwards.
pub fn pin_to(cpu: usize) -> Result<()> {
    // core_affinity fills libc's cpu_set_t, which holds 1024 CPUs.
    if cpu >= 1024 {
        return Err(Error::Host(format!("CPU {cpu} cannot be used: pinning works for CPUs 0 to 1023")));
    }
    let accepted = core_affinity::set_for_current(core_affinity::CoreId { id: cpu });
    if !accepted {
        return Err(Error::Host(format!("the system refused to pin a thread to CPU {cpu}")));
    }
    confirm(cpu, &allowed_cpus()?, current_cpu())
}

/// Checks that a thread pinned to `cpu` runs there and may run on no other CPU.
fn confirm(cpu: usize, allowed: &[usize], here: Option<usize>) -> Result<()> {
    if allowed != [cpu] || here != Some(cpu) {
        let here = here.map_or("(unknown)".to_owned(), |here| here.to_string());
        return Err(Error::Host(format!(
            "a thread pinned to CPU {cpu} is on CPU {here}; its allowed CPUs are {allowed:?}"
        )));
    }
    Ok(())
}

/// The CPU that the calling thread is on; `None` if the system does not say.
///
/// The C library reads it through the vDSO or from the thread's rseq area. That needs no system call and takes some
/// nanoseconds.
pub fn current_cpu() -> Option<usize> {
    // SAFETY: the call takes no argument and only returns a number, which is negative on error.
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
            let name = here.map_or("(unknown)".to_owned(), |here| here.to_string());
            let error = confirm(3, allowed, here).unwrap_err().to_string();
            assert!(error.contains("pinned to CPU 3") && error.contains(&format!("is on CPU {name}")), "{error}");
        }
    }

    /// Compares the mask with the one in the kernel's status file.
    #[test]
    fn the_allowed_cpus_are_those_of_the_kernel() {
        let status = std::fs::read_to_string("/proc/thread-self/status").unwrap();
        let list = status.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:")).unwrap();
        assert_eq!(allowed_cpus().unwrap(), crate::machine::parse_cpu_list(list).unwrap());
    }
}
