//! struct mutex and kernel/locking/mutex.c: lock and unlock with their slow paths, handoff, and optimistic
//! spinning.
//!
//! The order of operations is that of docs/kernel.md, section 3.

use std::collections::VecDeque;

use super::harm::Harm;
use super::heal::Healer;
use super::spinlock::RawSpinlock;
use super::sync::{AtomicUsize, Guarded, Ordering, Spin};
use super::task::{TaskLayout, mutex_address};
use super::trace::What;
use super::wake::{Wake, WakeQ};
use super::{Cpu, Kernel, Mutant, MutexId, Profile, TASK_INTERRUPTIBLE, TASK_RUNNING, TaskId};

/// The mutex has waiters, so unlock must take the slow path.
const MUTEX_FLAG_WAITERS: usize = 1;
/// Unlock must hand the mutex to the first waiter.
const MUTEX_FLAG_HANDOFF: usize = 2;
/// The mutex was handed to the task in the owner field, which has not taken it yet.
const MUTEX_FLAG_PICKUP: usize = 4;
const MUTEX_FLAGS: usize = 7;

/// A mutex: a word with the owner and the flags, and the list of waiters, first in, first out.
#[derive(Debug)]
pub struct Mutex {
    /// The owner's [`TaskId`] plus one, times 8, plus the flags. Without an owner only the flags.
    pub owner: AtomicUsize,
    /// ->wait_lock: protects the list of waiters.
    pub wait_lock: RawSpinlock,
    wait_list: Guarded<VecDeque<TaskId>>,
}

impl Default for Mutex {
    fn default() -> Mutex {
        Mutex::new()
    }
}

impl Mutex {
    /// A free mutex.
    pub fn new() -> Mutex {
        Mutex {
            owner: AtomicUsize::new(0),
            wait_lock: RawSpinlock::new(),
            wait_list: Guarded::new(VecDeque::with_capacity(64)),
        }
    }

    /// Calls `f` with the list of waiters. `cpu` must hold wait_lock.
    pub(super) fn waiters<R>(&self, cpu: Cpu, f: impl FnOnce(&mut VecDeque<TaskId>) -> R) -> R {
        assert!(self.wait_lock.is_held_by(cpu), "wait_lock must be held");
        // SAFETY: wait_lock protects the list, and the assertion has just checked that this context holds it.
        unsafe { self.wait_list.with(f) }
    }
}

/// The owner in a value of `->owner`.
fn owner_task(owner: usize) -> Option<TaskId> {
    (owner >> 3).checked_sub(1)
}

/// The point that a task has reached in mutex_lock(). The task keeps it while it sleeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LockStage {
    /// mutex_lock() has not begun.
    #[default]
    Start,
    /// need_resched() ended the first spin. The task continues with wait_lock.
    Spun,
    /// The task continues after the schedule() of its wait.
    Scheduled,
    /// need_resched() ended the first waiter's spin. The task continues with wait_lock.
    WaiterSpun,
}

/// How a call of mutex_lock() ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Locked {
    /// The task has the mutex.
    Acquired,
    /// The task gave up because of a signal or a wound.
    Interrupted,
    /// The task is in schedule(), to sleep. The caller must call again when the task runs again.
    Schedule,
    /// The task is in schedule(), RUNNING: need_resched() ended its spin. The caller must call again when the
    /// task runs again.
    Resched,
}

/// How an optimistic spin ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Spun {
    /// The task has the mutex.
    Acquired,
    /// The owner does not run, or has run for too long.
    GaveUp,
    /// need_resched(): the task is RUNNING and must call schedule().
    Resched,
}

impl<T: TaskLayout> Kernel<T> {
    /// __mutex_owner(): the task in the owner field, if any.
    pub fn __mutex_owner(&self, mutex: MutexId) -> Option<TaskId> {
        owner_task(self.mutexes[mutex].owner.load(Ordering::Relaxed))
    }

    /// The task to which the mutex was handed and which has not taken it yet.
    pub fn handed_to(&self, mutex: MutexId) -> Option<TaskId> {
        let owner = self.mutexes[mutex].owner.load(Ordering::Relaxed);
        owner_task(owner).filter(|_| owner & MUTEX_FLAG_PICKUP != 0)
    }

    /// The tasks that wait for a mutex, in the order of the list.
    pub fn waiters_of(&self, cpu: Cpu, mutex: MutexId) -> Vec<TaskId> {
        let lock = &self.mutexes[mutex];
        lock.wait_lock.lock(cpu);
        let waiters = lock.waiters(cpu, |waiters| waiters.iter().copied().collect());
        lock.wait_lock.unlock();
        waiters
    }

    /// __mutex_trylock_common(): one attempt to take the mutex. With `handoff` a failed attempt sets HANDOFF.
    fn __mutex_trylock_common(&self, current: TaskId, mutex: MutexId, handoff: bool) -> bool {
        let word = &self.mutexes[mutex].owner;
        let own = (current + 1) << 3;
        let mut owner = word.load(Ordering::Relaxed);
        loop {
            let mut flags = owner & MUTEX_FLAGS;
            let mut task = owner & !MUTEX_FLAGS;
            if task != 0 {
                if flags & MUTEX_FLAG_PICKUP != 0 {
                    if task != own {
                        return false;
                    }
                    flags &= !MUTEX_FLAG_PICKUP;
                } else if handoff {
                    if flags & MUTEX_FLAG_HANDOFF != 0 {
                        return false;
                    }
                    flags |= MUTEX_FLAG_HANDOFF;
                } else {
                    return false;
                }
            } else {
                task = own;
            }
            match word.compare_exchange(owner, task | flags, Ordering::Acquire, Ordering::Relaxed) {
                Ok(_) => return task == own,
                Err(seen) => owner = seen,
            }
        }
    }

    /// __mutex_trylock(): returns whether `current` has taken the mutex.
    pub fn __mutex_trylock(&self, current: TaskId, mutex: MutexId) -> bool {
        self.__mutex_trylock_common(current, mutex, false)
    }

    /// mutex_optimistic_spin(): spins as long as the owner is running and the CPU need not reschedule.
    ///
    /// The number of looks is limited here; the kernel has no limit.
    fn mutex_optimistic_spin(&self, cpu: Cpu, current: TaskId, mutex: MutexId) -> Spun {
        if self.config.spins == 0 {
            return Spun::GaveUp;
        }
        let mut spin = Spin::new();
        for _ in 0..self.config.spins {
            if self.__mutex_trylock(current, mutex) {
                return Spun::Acquired;
            }
            let owner = self.__mutex_owner(mutex);
            let gone = owner.is_some_and(|owner| self.tasks[owner].other.on_cpu.load(Ordering::Relaxed) == 0);
            if gone || self.rqs[cpu].need_resched() {
                break;
            }
            spin.turn();
        }
        if !self.rqs[cpu].need_resched() {
            return Spun::GaveUp;
        }
        self.__set_current_state(cpu, current, TASK_RUNNING);
        Spun::Resched
    }

    /// __mutex_lock_common(), up to the point where it sleeps or ends.
    ///
    /// `state` is the state in which the task sleeps. `stage` belongs to the task and must be kept between
    /// calls.
    pub fn __mutex_lock_common(
        &self,
        cpu: Cpu,
        current: TaskId,
        mutex: MutexId,
        state: u32,
        stage: &mut LockStage,
    ) -> Locked {
        let begun = match *stage {
            LockStage::Start => self.try_or_spin(cpu, current, mutex, stage),
            _ => None,
        };
        let ended = begun.or_else(|| match *stage {
            LockStage::Start | LockStage::Spun => self.join(cpu, current, mutex, state),
            LockStage::Scheduled => self.try_again(cpu, current, mutex, state, stage),
            LockStage::WaiterSpun => self.set_again(cpu, current, mutex, state, Spun::GaveUp),
        });
        let locked = ended.unwrap_or_else(|| self.wait(cpu, current, mutex, state));
        match locked {
            Locked::Schedule => *stage = LockStage::Scheduled,
            Locked::Resched => {}
            Locked::Acquired | Locked::Interrupted => *stage = LockStage::Start,
        }
        locked
    }

    /// The first trylock and the first spin. `None`: the task must wait.
    fn try_or_spin(&self, cpu: Cpu, current: TaskId, mutex: MutexId, stage: &mut LockStage) -> Option<Locked> {
        self.tasks[current].probe.signalled.store(false, std::sync::atomic::Ordering::Relaxed);
        if self.__mutex_trylock(current, mutex) {
            self.trace.note(cpu, current, What::Acquired(mutex));
            return Some(Locked::Acquired);
        }
        match self.mutex_optimistic_spin(cpu, current, mutex) {
            Spun::Acquired => {
                self.trace.note(cpu, current, What::Acquired(mutex));
                Some(Locked::Acquired)
            }
            Spun::Resched => {
                *stage = LockStage::Spun;
                Some(Locked::Resched)
            }
            Spun::GaveUp => None,
        }
    }

    /// Joins the list of waiters and stores blocked_on and __state. `None`: the task waits, with wait_lock
    /// and blocked_lock held.
    fn join(&self, cpu: Cpu, current: TaskId, mutex: MutexId, state: u32) -> Option<Locked> {
        let lock = &self.mutexes[mutex];
        lock.wait_lock.lock(cpu);
        if self.__mutex_trylock(current, mutex) {
            lock.wait_lock.unlock();
            self.trace.note(cpu, current, What::Acquired(mutex));
            return Some(Locked::Acquired);
        }
        let first = lock.waiters(cpu, |waiters| {
            waiters.push_back(current);
            waiters.len() == 1
        });
        if first {
            lock.owner.fetch_or(MUTEX_FLAG_WAITERS, Ordering::Relaxed);
        }
        self.tasks[current].fields.blocked_lock().lock(cpu);
        self.__set_task_blocked_on_and_state(cpu, current, mutex, state);
        None
    }

    /// The part after schedule(): stores both again, tries to take the mutex or asks for a handoff; the first
    /// waiter spins. `None`: the task waits, with wait_lock and blocked_lock held.
    fn try_again(
        &self,
        cpu: Cpu,
        current: TaskId,
        mutex: MutexId,
        state: u32,
        stage: &mut LockStage,
    ) -> Option<Locked> {
        let lock = &self.mutexes[mutex];
        let blocked_lock = self.tasks[current].fields.blocked_lock();
        lock.wait_lock.lock(cpu);
        let first = lock.waiters(cpu, |waiters| waiters.front() == Some(&current));
        blocked_lock.lock(cpu);
        self.__set_task_blocked_on_and_state(cpu, current, mutex, state);
        if self.__mutex_trylock_common(current, mutex, first) {
            return Some(self.acquired(cpu, current, mutex));
        }
        if !first || self.config.spins == 0 {
            return None;
        }
        self.__clear_task_blocked_on(cpu, current, Some(mutex), Healer::Task);
        blocked_lock.unlock();
        lock.wait_lock.unlock();
        let spun = self.mutex_optimistic_spin(cpu, current, mutex);
        if spun == Spun::Resched {
            *stage = LockStage::WaiterSpun;
            return Some(Locked::Resched);
        }
        self.set_again(cpu, current, mutex, state, spun)
    }

    /// The end of the first waiter's spin: takes both locks and sets blocked_on again. v7.1 does not set the
    /// state again (bdaf235913e1 does). If a wakeup or need_resched() has made the task RUNNING during the
    /// spin, it is RUNNING with blocked_on set.
    fn set_again(&self, cpu: Cpu, current: TaskId, mutex: MutexId, state: u32, spun: Spun) -> Option<Locked> {
        self.mutexes[mutex].wait_lock.lock(cpu);
        self.tasks[current].fields.blocked_lock().lock(cpu);
        match self.config.profile {
            Profile::V72 => self.__set_task_blocked_on_and_state(cpu, current, mutex, state),
            Profile::V71 | Profile::Draft => self.__set_task_blocked_on(cpu, current, mutex),
        }
        (spun == Spun::Acquired).then(|| self.acquired(cpu, current, mutex))
    }

    /// The beginning of the loop: one more trylock, then the task gives up or goes to sleep. wait_lock and
    /// blocked_lock are held, and released.
    fn wait(&self, cpu: Cpu, current: TaskId, mutex: MutexId, state: u32) -> Locked {
        let lock = &self.mutexes[mutex];
        let task = &self.tasks[current];
        if self.__mutex_trylock(current, mutex) {
            return self.acquired(cpu, current, mutex);
        }
        task.fields.blocked_lock().unlock();
        let wounded = task.other.wounded.load(Ordering::Relaxed);
        if wounded || self.signal_pending_state(current, state) {
            self.clear_task_blocked_on(cpu, current, Some(mutex), Healer::Task);
            self.__set_current_state(cpu, current, TASK_RUNNING);
            self.__mutex_remove_waiter(cpu, current, mutex);
            lock.wait_lock.unlock();
            self.trace.note(cpu, current, What::Interrupted(mutex));
            self.check_after_return(cpu, current);
            return Locked::Interrupted;
        }
        lock.wait_lock.unlock();
        // From here to schedule() the task can be preempted with its work not flushed (H11).
        task.probe.unflushed.store(true, std::sync::atomic::Ordering::Relaxed);
        Locked::Schedule
    }

    /// The label "acquired" of __mutex_lock_common(). wait_lock and blocked_lock are held.
    fn acquired(&self, cpu: Cpu, current: TaskId, mutex: MutexId) -> Locked {
        let blocked_lock = self.tasks[current].fields.blocked_lock();
        if self.has(Mutant::ClearUnlocked) {
            blocked_lock.unlock();
            self.__clear_task_blocked_on(cpu, current, Some(mutex), Healer::Task);
            blocked_lock.lock(cpu);
        } else if !self.has(Mutant::NoCleanup) {
            self.__clear_task_blocked_on(cpu, current, Some(mutex), Healer::Task);
        }
        self.__set_current_state(cpu, current, TASK_RUNNING);
        blocked_lock.unlock();
        self.__mutex_remove_waiter(cpu, current, mutex);
        self.mutexes[mutex].wait_lock.unlock();
        self.trace.note(cpu, current, What::Acquired(mutex));
        self.check_after_return(cpu, current);
        Locked::Acquired
    }

    /// Counts a harm if blocked_on is still set when mutex_lock() returns (H2, H3).
    fn check_after_return(&self, cpu: Cpu, current: TaskId) {
        match self.blocked_on(current) {
            super::task::NULL => {}
            super::task::PROXY_WAKING => self.harm(cpu, current, Harm::H3),
            _ => self.harm(cpu, current, Harm::H2),
        }
    }

    /// __mutex_remove_waiter(): removes `current` from the list; clears the flags if the list is empty.
    fn __mutex_remove_waiter(&self, cpu: Cpu, current: TaskId, mutex: MutexId) {
        let lock = &self.mutexes[mutex];
        let empty = lock.waiters(cpu, |waiters| {
            waiters.retain(|waiter| *waiter != current);
            waiters.is_empty()
        });
        if empty {
            lock.owner.fetch_and(!MUTEX_FLAGS, Ordering::Relaxed);
        }
    }

    /// signal_pending_state(): whether `p` has a signal that interrupts a sleep in `state`.
    pub fn signal_pending_state(&self, p: TaskId, state: u32) -> bool {
        state & TASK_INTERRUPTIBLE != 0 && self.tasks[p].other.sigpending.load(Ordering::Relaxed)
    }

    /// mutex_unlock(): the fast path, then __mutex_unlock_slowpath().
    ///
    /// Returns how the wakeup of the next owner ended, if there was one.
    pub fn mutex_unlock(&self, cpu: Cpu, current: TaskId, mutex: MutexId) -> Option<Wake> {
        let lock = &self.mutexes[mutex];
        let own = (current + 1) << 3;
        if lock.owner.compare_exchange(own, 0, Ordering::Release, Ordering::Relaxed).is_ok() {
            return None;
        }
        self.trace.note(cpu, current, What::Unlocks(mutex));
        let boosts = self.config.profile == Profile::V72;
        let mut owner = lock.owner.load(Ordering::Relaxed);
        loop {
            assert_eq!(owner_task(owner), Some(current), "only the owner may unlock a mutex");
            if boosts && self.blocked_donor(current).is_some() {
                // A task boosts this one, so the mutex is handed over.
                owner = MUTEX_FLAG_HANDOFF;
                break;
            }
            if owner & MUTEX_FLAG_HANDOFF != 0 {
                break;
            }
            match lock.owner.compare_exchange(owner, owner & MUTEX_FLAGS, Ordering::Release, Ordering::Relaxed) {
                Ok(_) if owner & MUTEX_FLAG_WAITERS == 0 => return None,
                Ok(_) => break,
                Err(seen) => owner = seen,
            }
        }
        let mut wake_q = WakeQ::new();
        lock.wait_lock.lock(cpu);
        let next = match self.config.profile {
            Profile::V71 | Profile::Draft => self.first_waiter_waking(cpu, mutex),
            Profile::V72 => self.donor_or_first_waiter(cpu, current, mutex),
        };
        if let Some(next) = next {
            wake_q.add(next);
        }
        if owner & MUTEX_FLAG_HANDOFF != 0 {
            self.__mutex_handoff(cpu, current, mutex, next);
        }
        if boosts {
            self.tasks[current].fields.blocked_lock().unlock();
        }
        lock.wait_lock.unlock();
        self.wake_up_q(cpu, Some(current), &wake_q)
    }

    /// The first waiter, whose blocked_on becomes PROXY_WAKING. wait_lock is held.
    fn first_waiter_waking(&self, cpu: Cpu, mutex: MutexId) -> Option<TaskId> {
        let next = self.mutexes[mutex].waiters(cpu, |waiters| waiters.front().copied())?;
        self.set_task_blocked_on_waking(cpu, next, Some(mutex));
        Some(next)
    }

    /// v7.2: the task that boosts the current one along this mutex; without one the first waiter. Its
    /// blocked_on is cleared. wait_lock is held. Takes the current task's blocked_lock and keeps it.
    fn donor_or_first_waiter(&self, cpu: Cpu, current: TaskId, mutex: MutexId) -> Option<TaskId> {
        self.tasks[current].fields.blocked_lock().lock(cpu);
        let mut next = None;
        if let Some(donor) = self.blocked_donor(current) {
            let blocked_lock = self.tasks[donor].fields.blocked_lock();
            blocked_lock.lock(cpu);
            if self.blocked_on(donor) == mutex_address(mutex) {
                self.__clear_task_blocked_on(cpu, donor, Some(mutex), Healer::Waker);
                self.tasks[current].other.blocked_donor.store(0, Ordering::Relaxed);
                next = Some(donor);
            }
            blocked_lock.unlock();
        }
        next.or_else(|| {
            let first = self.mutexes[mutex].waiters(cpu, |waiters| waiters.front().copied())?;
            self.clear_task_blocked_on(cpu, first, Some(mutex), Healer::Waker);
            Some(first)
        })
    }

    /// ->blocked_donor: the task that lends its turn to this one, as find_proxy_task() of v7.2 noted it.
    pub(super) fn blocked_donor(&self, task: TaskId) -> Option<TaskId> {
        self.tasks[task].other.blocked_donor.load(Ordering::Relaxed).checked_sub(1)
    }

    /// __mutex_handoff(): makes `to` the owner, with PICKUP set; without a waiter the mutex becomes free.
    fn __mutex_handoff(&self, cpu: Cpu, current: TaskId, mutex: MutexId, to: Option<TaskId>) {
        let word = &self.mutexes[mutex].owner;
        let mut owner = word.load(Ordering::Relaxed);
        loop {
            let mut new = owner & MUTEX_FLAG_WAITERS;
            if let Some(task) = to {
                new |= (task + 1) << 3 | MUTEX_FLAG_PICKUP;
            }
            match word.compare_exchange(owner, new, Ordering::Release, Ordering::Relaxed) {
                Ok(_) => break,
                Err(seen) => owner = seen,
            }
        }
        self.trace.note(cpu, to.unwrap_or(current), What::Handoff(mutex));
    }
}
