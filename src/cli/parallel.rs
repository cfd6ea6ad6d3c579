//! Works on many records at once, on all CPUs.

use std::num::NonZero;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use crate::error::{Error, Result};

/// What `work` makes of each item, in the order of the items.
///
/// # Errors
/// The error of the first item that has one. Items after it may not have been worked on.
pub(super) fn in_parallel<T: Sync, R: Send>(items: &[T], work: impl Fn(&T) -> Result<R> + Sync) -> Result<Vec<R>> {
    let threads = thread::available_parallelism().map_or(1, NonZero::get).min(items.len());
    if threads < 2 {
        return items.iter().map(work).collect();
    }
    let (next, done) = (AtomicUsize::new(0), Mutex::new(Vec::with_capacity(items.len())));
    thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let at = next.fetch_add(1, Ordering::Relaxed);
                    let Some(item) = items.get(at) else { break };
                    let result = work(item);
                    if result.is_err() {
                        // The items before it are worked on already, or will be by the threads that took them.
                        next.store(items.len(), Ordering::Relaxed);
                    }
                    done.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).push((at, result));
                }
            });
        }
    });
    let mut done =
        done.into_inner().map_err(|_| Error::Internal("a thread that worked on records ended".to_owned()))?;
    done.sort_by_key(|(at, _)| *at);
    done.into_iter().map(|(_, result)| result).collect()
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
