//! The threads that act as the protocol's CPUs.
//!
//! If one thread cannot be started, the others are stopped. All threads are stopped at the end, and each
//! reports how it ended.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{Builder, JoinHandle};
use std::time::{Duration, Instant};

use crate::error::{Error, Result};
use crate::kernel::leave::{Left, leave_when};

/// How a thread ended.
#[derive(Debug)]
pub enum End {
    /// The thread ended normally.
    Done,
    /// The thread waited for something that did not happen, and left when it was told to.
    Left,
    /// The thread could not do its work.
    Failed(Error),
    /// The thread panicked, with this message.
    Panicked(String),
    /// The thread could be neither stopped nor made to leave. It is still running.
    Running,
}

/// Threads that run concurrently until they are stopped.
#[derive(Debug, Default)]
pub struct Threads {
    stop: Arc<AtomicBool>,
    leave: Arc<AtomicBool>,
    handles: Vec<JoinHandle<End>>,
}

impl Threads {
    /// No threads yet.
    pub fn new() -> Threads {
        Threads::default()
    }

    /// The flag that asks every thread to end.
    pub fn stop_flag(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.stop)
    }

    /// Starts one more thread. If the system refuses, the threads that run already are stopped.
    ///
    /// `stack` is the size of the stack in bytes; `None` means the default size.
    ///
    /// # Errors
    /// If the thread cannot be started.
    pub fn start(
        &mut self,
        name: String,
        stack: Option<usize>,
        body: impl FnOnce() -> Result<()> + Send + 'static,
    ) -> Result<()> {
        let leave = Arc::clone(&self.leave);
        let whole = move || {
            leave_when(leave);
            match catch_unwind(AssertUnwindSafe(body)) {
                Ok(Ok(())) => End::Done,
                Ok(Err(error)) => End::Failed(error),
                Err(payload) if payload.is::<Left>() => End::Left,
                Err(payload) => End::Panicked(message(&*payload)),
            }
        };
        let mut builder = Builder::new().name(name.clone());
        if let Some(bytes) = stack {
            builder = builder.stack_size(bytes);
        }
        match builder.spawn(whole) {
            Ok(handle) => {
                self.handles.push(handle);
                Ok(())
            }
            Err(error) => {
                self.stop(ENDING);
                let started = self.handles.len();
                let what =
                    format!("starting a thread for {name} ({started} were started before it; see ulimit -u and -v)");
                Err(Error::io(what)(error))
            }
        }
    }

    /// Whether any thread has ended.
    pub fn any_ended(&self) -> bool {
        self.handles.iter().any(JoinHandle::is_finished)
    }

    /// Asks all threads to stop and waits for at most `patience`. Returns whether all have ended.
    pub fn stop(&self, patience: Duration) -> bool {
        self.stop.store(true, Ordering::Relaxed);
        self.wait(patience)
    }

    /// Tells the threads that are still in a wait to leave it, and waits for at most `patience`. Returns
    /// whether all have ended.
    pub fn leave(&self, patience: Duration) -> bool {
        self.leave.store(true, Ordering::Relaxed);
        self.wait(patience)
    }

    /// Waits until all threads have ended, for at most `patience`. Returns whether they have.
    pub fn wait(&self, patience: Duration) -> bool {
        let asked = Instant::now();
        while !self.handles.iter().all(JoinHandle::is_finished) {
            if asked.elapsed() >= patience {
                return false;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        true
    }

    /// How each thread ended, in the order in which they were started.
    pub fn join(self) -> Vec<End> {
        let end = |handle: JoinHandle<End>| {
            if !handle.is_finished() {
                return End::Running;
            }
            handle.join().unwrap_or_else(|payload| End::Panicked(message(&*payload)))
        };
        self.handles.into_iter().map(end).collect()
    }
}

/// The time that threads get to stop, and again to leave their waits.
pub const ENDING: Duration = Duration::from_secs(3);

/// The message of a panic.
fn message(payload: &(dyn std::any::Any + Send)) -> String {
    let text = payload.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| payload.downcast_ref::<String>().cloned()).unwrap_or_else(|| "a panic without a message".to_owned())
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;

    use super::*;
    use crate::kernel::spinlock::RawSpinlock;

    const LONG: Duration = Duration::from_secs(60);

    /// Starts a thread that works until it is asked to stop.
    fn obedient(threads: &mut Threads, ended: &Arc<AtomicUsize>) -> Result<()> {
        let (stop, ended) = (threads.stop_flag(), Arc::clone(ended));
        threads.start("obedient".to_owned(), None, move || {
            while !stop.load(Ordering::Relaxed) {
                std::thread::yield_now();
            }
            ended.fetch_add(1, Ordering::Relaxed);
            Ok(())
        })
    }

    #[test]
    fn a_panic_is_told_with_its_message_and_the_others_are_joined() {
        let (mut threads, ended) = (Threads::new(), Arc::default());
        obedient(&mut threads, &ended).unwrap();
        // The compiler does not know this number, so the panic's payload is a String. For a constant message
        // it is a &str.
        let task = threads.handles.len() + 2;
        threads.start("panics".to_owned(), None, move || panic!("task {task} is not itself")).unwrap();
        threads.start("panics, too".to_owned(), None, || panic!("constant")).unwrap();
        while !threads.any_ended() {
            std::thread::yield_now();
        }
        assert!(threads.stop(LONG));
        let ends = threads.join();
        assert!(matches!(ends[0], End::Done), "{ends:?}");
        assert!(matches!(&ends[1], End::Panicked(text) if text == "task 3 is not itself"), "{ends:?}");
        assert!(matches!(&ends[2], End::Panicked(text) if text == "constant"), "{ends:?}");
    }

    #[test]
    fn a_thread_that_waits_for_a_lock_which_nobody_frees_is_made_to_leave() {
        let mut threads = Threads::new();
        let lock = Arc::new(RawSpinlock::new());
        lock.lock(7);
        let own = Arc::clone(&lock);
        let body = move || {
            own.lock(0);
            Ok(())
        };
        threads.start("waits".to_owned(), None, body).unwrap();
        // The thread is asked to stop but cannot.
        assert!(!threads.stop(Duration::from_millis(20)));
        assert!(threads.leave(LONG));
        assert!(matches!(threads.join()[..], [End::Left]));
        assert_eq!(lock.holder(), Some(7));
    }

    #[test]
    fn a_thread_that_obeys_nothing_is_said_to_run_on() {
        let mut threads = Threads::new();
        let end = Arc::new(AtomicBool::new(false));
        let own = Arc::clone(&end);
        let body = move || {
            while !own.load(Ordering::Relaxed) {
                std::thread::yield_now();
            }
            Ok(())
        };
        threads.start("deaf".to_owned(), None, body).unwrap();
        assert!(!threads.stop(Duration::ZERO) && !threads.leave(Duration::ZERO));
        assert!(matches!(threads.join()[..], [End::Running]));
        end.store(true, Ordering::Relaxed);
    }

    #[test]
    fn if_one_cannot_be_started_the_others_are_stopped_and_it_is_an_error() {
        let (mut threads, ended) = (Threads::new(), Arc::default());
        for _ in 0..3 {
            obedient(&mut threads, &ended).unwrap();
        }
        // A stack of this size fits into no address space.
        let error = threads.start("CPU 3".to_owned(), Some(1 << 62), || Ok(())).unwrap_err();
        assert!(error.to_string().starts_with("starting a thread for CPU 3 (3 were started before it"), "{error}");
        assert!(threads.wait(LONG), "the other threads keep spinning");
        assert_eq!(ended.load(Ordering::Relaxed), 3);
    }

    #[test]
    fn an_error_of_a_thread_is_kept() {
        let mut threads = Threads::new();
        threads.start("fails".to_owned(), None, || Err(Error::Host("no such CPU".to_owned()))).unwrap();
        assert!(threads.wait(LONG));
        assert!(matches!(&threads.join()[..], [End::Failed(error)] if error.to_string() == "no such CPU"));
    }
}
