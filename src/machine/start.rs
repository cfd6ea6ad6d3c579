//! Starts threads. A limit on processes or memory may refuse any thread; the run must then end instead of
//! waiting for it.

use std::thread::{Builder, JoinHandle, Scope, ScopedJoinHandle};

use crate::error::{Error, Result};

/// Starts a scoped thread. `ps -L` and `top -H` show `name`, at most 15 bytes of it.
///
/// # Errors
/// If the system refuses to start the thread.
pub fn start<'scope, 'env, T: Send + 'scope>(
    scope: &'scope Scope<'scope, 'env>,
    name: &str,
    body: impl FnOnce() -> T + Send + 'scope,
) -> Result<ScopedJoinHandle<'scope, T>> {
    let builder = Builder::new().name(name.to_owned());
    allowed().and_then(|()| builder.spawn_scoped(scope, body)).map_err(refused(name))
}

/// Starts a thread that may outlive its caller.
///
/// # Errors
/// If the system refuses to start the thread.
pub fn start_alone<T: Send + 'static>(name: &str, body: impl FnOnce() -> T + Send + 'static) -> Result<JoinHandle<T>> {
    let builder = Builder::new().name(name.to_owned());
    allowed().and_then(|()| builder.spawn(body)).map_err(refused(name))
}

fn refused(name: &str) -> impl FnOnce(std::io::Error) -> Error {
    Error::io(format!(
        "cannot start a thread for {name} (check the limits: ulimit -u, ulimit -v, pids.max of the control group)"
    ))
}

#[cfg(not(test))]
fn allowed() -> std::io::Result<()> {
    Ok(())
}

#[cfg(test)]
fn allowed() -> std::io::Result<()> {
    tests::LEFT.with(|left| match left.get() {
        Some(0) => Err(std::io::Error::from_raw_os_error(libc::EAGAIN)),
        Some(more) => {
            left.set(Some(more - 1));
            Ok(())
        }
        None => Ok(()),
    })
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use std::cell::Cell;

    thread_local! {
        /// How many more threads the calling thread may start; `None` means no limit.
        pub(super) static LEFT: Cell<Option<usize>> = const { Cell::new(None) };
    }

    /// Runs `body` while the calling thread may start at most `threads` threads.
    pub(crate) fn with_at_most<T>(threads: usize, body: impl FnOnce() -> T) -> T {
        LEFT.set(Some(threads));
        let result = body();
        LEFT.set(None);
        result
    }

    #[test]
    fn a_thread_that_is_refused_is_named() {
        let started = |most| {
            with_at_most(most, || {
                std::thread::scope(|scope| start(scope, "P7", || 5).map(|thread| thread.join().unwrap()))
            })
        };
        assert_eq!(started(1).unwrap(), 5);
        let message = started(0).unwrap_err().to_string();
        assert!(message.contains("P7") && message.contains("ulimit -u"), "{message}");
        assert!(with_at_most(0, || start_alone("stress", || ())).is_err());
        start_alone("stress", || ()).unwrap().join().unwrap();
    }
}
