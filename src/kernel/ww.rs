//! kernel/locking/ww_mutex.h: the two ways in which a ww mutex makes another task give up.
//!
//! Here every mutex can be wounded. Stamps and contexts are left out: the caller chooses the victim, and
//! `wounded` tells it to give up.

use super::sync::Ordering;
use super::task::TaskLayout;
use super::trace::What;
use super::wake::{Wake, WakeQ};
use super::{Cpu, Kernel, MutexId, TASK_NORMAL, TaskId};

impl<T: TaskLayout> Kernel<T> {
    /// The part of __ww_mutex_wound() that acts on the owner of a lock. The owner may be about to block on
    /// another mutex, whose wait_lock is not held here.
    pub fn ww_wound(&self, cpu: Cpu, current: Option<TaskId>, victim: TaskId) -> Wake {
        self.tasks[victim].other.wounded.store(true, Ordering::Relaxed);
        self.trace.note(cpu, victim, What::Wounds);
        self.set_task_blocked_on_waking(cpu, victim, None);
        self.try_to_wake_up(cpu, current, victim, TASK_NORMAL)
    }

    /// __ww_mutex_die() of a waiter of this mutex, as an older task does it that joins the list: under
    /// wait_lock the waiter is told to give up and its wakeup is queued. The wakeup is issued without
    /// wait_lock, so it may be late. Returns `None` if the victim does not wait for the mutex.
    pub fn ww_die(&self, cpu: Cpu, current: Option<TaskId>, mutex: MutexId, victim: TaskId) -> Option<Wake> {
        let mut wake_q = WakeQ::new();
        let lock = &self.mutexes[mutex];
        lock.wait_lock.lock(cpu);
        if current != Some(victim) && lock.waiters(cpu, |waiters| waiters.contains(&victim)) {
            // In the kernel the waiter compares the stamps itself (__ww_mutex_check_kill()).
            self.tasks[victim].other.wounded.store(true, Ordering::Relaxed);
            self.trace.note(cpu, victim, What::Dies);
            self.set_task_blocked_on_waking(cpu, victim, Some(mutex));
            wake_q.add(victim);
        }
        lock.wait_lock.unlock();
        self.wake_up_q(cpu, current, &wake_q)
    }
}
