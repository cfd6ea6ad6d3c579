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
    let mask = allowed_cpus()?;
    // SAFETY: takes no argument and only returns a number.
    let here = unsafe { libc::sched_getcpu() };
    if mask != [cpu] || usize::try_from(here) != Ok(cpu) {
        return Err(Error::Host(format!("a thread pinned to CPU {cpu} is on CPU {here}, allowed on {mask:?}")));
    }
    Ok(())
}
