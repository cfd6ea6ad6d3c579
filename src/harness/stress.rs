//! Load on the memory system beside a test, from threads on the CPUs that the test does not use.
//!
//! If the test uses all allowed CPUs, the stress threads share them at nice 19 and take some CPU time from the
//! test.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use super::arena::Arena;
use crate::codegen::SHORTEST_LINE;
use crate::error::Result;
use crate::machine::{allowed_cpus, pin_to, set_nice, start_alone};

/// What the stress threads do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum StressKind {
    /// Write through memory much larger than the caches. This keeps the path to memory busy.
    Memory,
    /// Read lines that map to the same few cache sets. This evicts those sets all the time.
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

/// Bytes that each thread goes through. This is more than its share of any last-level cache.
const BYTES: usize = 64 << 20;
/// Distance in bytes between two accesses: for [`StressKind::Memory`] the next line, for [`StressKind::Sets`]
/// as far as the set index of a large second-level cache reaches.
const LINE: usize = SHORTEST_LINE;
const SET: usize = 64 << 10;

impl StressKind {
    /// All kinds.
    pub const ALL: [StressKind; 2] = [StressKind::Memory, StressKind::Sets];
}

/// Stress threads. They run until this value is dropped.
#[derive(Debug)]
pub struct Stress {
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl Stress {
    /// Starts the stress threads beside a test that runs on the CPUs `used`.
    ///
    /// # Errors
    /// If there is not enough memory, if a thread cannot be started, or if the CPUs of the process cannot be
    /// read.
    pub fn begin(kind: StressKind, used: &[usize]) -> Result<Stress> {
        let allowed = allowed_cpus()?;
        let others: Vec<usize> = allowed.iter().copied().filter(|cpu| !used.contains(cpu)).collect();
        let cpus = if others.is_empty() { used.to_vec() } else { others };
        let mut stress = Stress { stop: Arc::default(), threads: Vec::new() };
        for cpu in cpus {
            let mut arena = Arena::new(BYTES)?;
            let stop = Arc::clone(&stress.stop);
            stress.threads.push(start_alone("stress", move || {
                // An unpinned thread puts load on the memory system too.
                let _ = pin_to(cpu);
                set_nice(19);
                let step = if kind == StressKind::Memory { LINE } else { SET };
                let base = arena.pointer();
                while !stop.load(Ordering::Relaxed) {
                    for at in (0..BYTES).step_by(step) {
                        // SAFETY: inside the arena, which only this thread uses. Volatile, so that the compiler
                        // keeps the access.
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
            // A thread that panicked only made less load.
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
        assert!(error.to_string().contains("cannot start a thread for stress"), "{error}");
        // If there is a second CPU, its thread is refused, and the first thread is joined then.
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
