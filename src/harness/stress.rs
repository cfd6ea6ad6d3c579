//! Pressure on the memory system beside a test: threads on the CPUs that the test does not use. Where it uses all, they share its CPUs, as politely
//! as the system lets them, and take time from it.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use super::arena::Arena;
use crate::error::Result;
use crate::machine::{allowed_cpus, pin_to, set_nice, start_alone};

/// What the threads do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum StressKind {
    /// Write through memory much larger than the caches: the path to memory is busy.
    Memory,
    /// Read lines that fall into the same few sets of the caches: they are thrown out all the time.
    Sets,
}

impl fmt::Display for StressKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            StressKind::Memory => "memory",
            StressKind::Sets => "sets",
        })
    }
}

impl FromStr for StressKind {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<Self, String> {
        match text {
            "memory" => Ok(StressKind::Memory),
            "sets" => Ok(StressKind::Sets),
            _ => Err(format!("unknown stress '{text}'; known are memory, sets")),
        }
    }
}

/// Bytes a thread goes through: more than its share of any last-level cache.
const BYTES: usize = 64 << 20;
/// From one line to the next: for memory the next; for sets as far as the index of a large second-level cache reaches.
const LINE: usize = 64;
const SET: usize = 64 << 10;

impl StressKind {
    /// All of them.
    pub const ALL: [StressKind; 2] = [StressKind::Memory, StressKind::Sets];
}

/// Threads that press until this is dropped.
#[derive(Debug)]
pub struct Stress {
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl Stress {
    /// Begins to press beside a test on these CPUs.
    ///
    /// # Errors
    /// If memory or threads run out, or the process's CPUs cannot be read.
    pub fn begin(kind: StressKind, used: &[usize]) -> Result<Stress> {
        let allowed = allowed_cpus()?;
        let others: Vec<usize> = allowed.iter().copied().filter(|cpu| !used.contains(cpu)).collect();
        let cpus = if others.is_empty() { used.to_vec() } else { others };
        let mut stress = Stress { stop: Arc::default(), threads: Vec::new() };
        for cpu in cpus {
            let mut arena = Arena::new(BYTES)?;
            let stop = Arc::clone(&stress.stop);
            stress.threads.push(start_alone("stress", move || {
                // Unpinned pressure is pressure too.
                let _ = pin_to(cpu);
                set_nice(19);
                let step = if kind == StressKind::Memory { LINE } else { SET };
                let base = arena.pointer();
                while !stop.load(Ordering::Relaxed) {
                    for at in (0..BYTES).step_by(step) {
                        // SAFETY: within the arena, which this thread alone has; volatile, so that it is not left out.
                        unsafe {
                            let place = base.add(at).cast::<u64>();
                            if kind == StressKind::Memory {
                                place.write_volatile(at as u64);
                            } else {
                                place.read_volatile();
                            }
                        }
                    }
                }
            })?);
        }
        Ok(stress)
    }
}

impl Drop for Stress {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            // A thread that panicked pressed less.
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_that_is_not_started_ends_the_others() {
        let begin = |most| crate::machine::with_at_most(most, || Stress::begin(StressKind::Sets, &[]));
        let error = begin(0).unwrap_err();
        assert!(error.to_string().contains("no thread for stress"), "{error}");
        // The first is joined when the second is refused, where there is a second.
        assert_eq!(begin(1).is_err(), allowed_cpus().unwrap().len() > 1);
    }

    #[test]
    fn pressure_begins_and_ends() {
        for kind in StressKind::ALL {
            assert_eq!(kind.to_string().parse(), Ok(kind));
            let stress = Stress::begin(kind, &allowed_cpus().unwrap()[..1]).unwrap();
            assert!(!stress.threads.is_empty());
            std::thread::sleep(std::time::Duration::from_millis(5));
            drop(stress);
        }
        assert!("heat".parse::<StressKind>().is_err());
    }
}
