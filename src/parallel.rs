//! Works on many tests or records at once, on all CPUs.

use std::num::NonZero;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;

use crate::error::{Error, Result};

/// The models' search and the parser are recursive, as deep as a test has events; the stacks of other threads are small.
const STACK_BYTES: usize = 64 << 20;

/// What `work` makes of each item, in the order of the items.
///
/// # Errors
/// The error of the first item that has one. Items after it may not have been worked on. Also if a thread cannot be started.
pub fn in_parallel<T: Send, R: Send>(
    items: impl IntoIterator<Item = T>,
    work: impl Fn(T) -> Result<R> + Sync,
) -> Result<Vec<R>> {
    in_parallel_until(&AtomicBool::new(false), items, work)
}

/// As [`in_parallel`]. Items that are not begun when `interrupt` is set have no result.
///
/// # Errors
/// As [`in_parallel`].
pub fn in_parallel_until<T: Send, R: Send>(
    interrupt: &AtomicBool,
    items: impl IntoIterator<Item = T>,
    work: impl Fn(T) -> Result<R> + Sync,
) -> Result<Vec<R>> {
    let items: Vec<T> = items.into_iter().collect();
    let mut results: Vec<Option<Result<R>>> = items.iter().map(|_| None).collect();
    let threads = thread::available_parallelism().map_or(1, NonZero::get).min(items.len());
    let queue = Mutex::new(items.into_iter().enumerate());
    let worker = || {
        let mut done = Vec::new();
        loop {
            let next = queue.lock().unwrap_or_else(PoisonError::into_inner).next();
            let Some((at, item)) = next.filter(|_| !interrupt.load(Ordering::Relaxed)) else { return done };
            let result = work(item);
            if result.is_err() {
                // The items before it are worked on already, or are in the hands of other threads.
                queue.lock().unwrap_or_else(PoisonError::into_inner).by_ref().for_each(drop);
            }
            done.push((at, result));
        }
    };
    let done = thread::scope(|scope| {
        let start = |_| thread::Builder::new().stack_size(STACK_BYTES).spawn_scoped(scope, worker);
        let threads = (0..threads).map(start).collect::<std::io::Result<Vec<_>>>();
        let mut done = Vec::new();
        for thread in threads.map_err(Error::io("starting a thread"))? {
            done.extend(thread.join().map_err(|_| Error::Internal("a thread that shared the work ended".to_owned()))?);
        }
        Ok::<_, Error>(done)
    })?;
    done.into_iter().for_each(|(at, result)| results[at] = Some(result));
    results.into_iter().flatten().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_have_the_order_of_the_items_and_the_first_error_is_told() {
        let items: Vec<usize> = (0..500).collect();
        assert_eq!(in_parallel(&items, |at| Ok(at * 2)).unwrap(), items.iter().map(|at| at * 2).collect::<Vec<_>>());
        assert!(in_parallel(&[], |_: &usize| Ok(())).unwrap().is_empty());
        let odd = |at: &usize| if *at < 3 { Ok(()) } else { Err(Error::Usage(at.to_string())) };
        assert_eq!(in_parallel(&items, odd).unwrap_err().to_string(), "3");
    }
}
