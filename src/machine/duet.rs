//! Runs two threads on two CPUs: one thread measures, the other thread answers it.

use std::sync::atomic::{AtomicBool, Ordering};

use super::{PREFERRED_NICE, pin_to, set_nice, start};
use crate::error::{Error, Result};

/// Runs `answer` on CPU `b` until its stop flag is set and `measure` on CPU `a` meanwhile; returns the result
/// of `measure`.
///
/// # Errors
/// If a thread cannot be started or cannot be pinned to its CPU. Both threads have ended when this returns.
pub fn duet<T: Send>(
    a: usize,
    b: usize,
    answer: impl FnOnce(&AtomicBool) + Send,
    measure: impl FnOnce() -> T + Send,
) -> Result<T> {
    let stop = &AtomicBool::new(false);
    let (ready, pinned) = std::sync::mpsc::channel();
    let panicked = || Error::Internal("a thread that measures between two CPUs panicked".to_owned());
    std::thread::scope(|scope| {
        let answering = move || {
            let result = pin_to(b);
            set_nice(PREFERRED_NICE);
            let there = result.is_ok();
            // The receiver lives until it has received this message.
            let _ = ready.send(result);
            if there {
                answer(stop);
            }
        };
        let measuring = move || {
            let other = pinned.recv().unwrap_or_else(|_| Err(panicked()));
            let measured = other.and_then(|()| pin_to(a)).map(|()| {
                set_nice(PREFERRED_NICE);
                measure()
            });
            stop.store(true, Ordering::Relaxed);
            measured
        };
        let partner = start(scope, "answers", answering)?;
        let measuring = start(scope, "measures", measuring);
        let measured = measuring.and_then(|thread| thread.join().unwrap_or_else(|_| Err(panicked())));
        // The measuring thread does not set the flag if it could not be started or if it panicked.
        stop.store(true, Ordering::Relaxed);
        partner.join().map_err(|_| panicked())?;
        measured
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::machine::allowed_cpus;

    #[test]
    fn each_side_is_on_its_cpu_and_both_end() {
        let allowed = allowed_cpus().unwrap();
        let (a, b) = (allowed[0], *allowed.last().unwrap());
        let there = std::sync::Mutex::new(Vec::new());
        let answer = |stop: &AtomicBool| {
            *there.lock().unwrap() = allowed_cpus().unwrap();
            while !stop.load(Ordering::Relaxed) {
                std::thread::yield_now();
            }
        };
        assert_eq!(duet(a, b, answer, || allowed_cpus().unwrap()).unwrap(), [a]);
        assert_eq!(*there.lock().unwrap(), [b]);
        assert!(duet(a, 1_000_000, |_| (), || ()).unwrap_err().to_string().contains("1000000"));
        assert!(duet(1_000_000, b, |_| (), || ()).unwrap_err().to_string().contains("1000000"));
        assert!(duet(a, b, |_| (), || panic!("a measurement that panics")).is_err());
    }
}
