//! find_proxy_task() and its results: run the owner, idle, deactivate, force a return, migrate, or pick
//! again.

use std::sync::atomic::Ordering as ProbeOrdering;

use super::harm::Harm;
use super::heal::Healer;
use super::sync::Ordering;
use super::task::{NULL, PROXY_WAKING, TaskLayout, mutex_address};
use super::trace::What;
use super::{Cpu, Kernel, Mutant, MutexId, Profile, TASK_ON_RQ_MIGRATING, TASK_ON_RQ_QUEUED, TASK_RUNNING, TaskId};

/// What the CPU runs in place of a blocked task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Proxy {
    /// This task: the owner at the end of the chain, or the blocked task itself.
    Run(TaskId),
    /// The idle task, for now.
    Idle,
    /// Something has changed. The scheduler must pick again.
    PickAgain,
}

/// What is left to do after wait_lock and blocked_lock are released.
enum Action {
    Done(Proxy),
    /// The task's mutex has no owner, or is being released to the task. v7.1 returns the task to a CPU where
    /// it may run. The others deactivate it, because a wakeup must follow.
    Free(TaskId),
    /// The owner of the task's mutex sleeps.
    OwnerSleeps(TaskId),
    Migrate(TaskId, Cpu),
}

/// One link of a chain: a task that is blocked on a mutex.
#[derive(Clone, Copy)]
struct Link {
    p: TaskId,
    mutex: MutexId,
    /// Whether the task runs on this CPU.
    is_current: bool,
    /// Whether the task or one before it in the chain runs on this CPU.
    current_in_chain: bool,
}

impl<T: TaskLayout> Kernel<T> {
    /// Whether the scheduler must not run a queued task itself but looks for its owner.
    ///
    /// v7.1 and the draft read blocked_on without blocked_lock. v7.2 reads is_blocked under the runqueue's
    /// lock.
    pub fn is_donor(&self, p: TaskId) -> bool {
        match self.config.profile {
            Profile::V71 | Profile::Draft => self.task_is_blocked(p),
            Profile::V72 => self.tasks[p].other.is_blocked.load(Ordering::Relaxed),
        }
    }

    /// find_proxy_task(): follows the chain of task, mutex and owner to a task that can run.
    ///
    /// `cpu` must hold the lock of its runqueue. It holds it again on return; it may have released it in
    /// between.
    pub fn find_proxy_task(&self, cpu: Cpu, donor: TaskId) -> Proxy {
        match self.follow(cpu, donor) {
            Action::Done(Proxy::Idle) => {
                self.proxy_resched_idle(cpu, cpu);
                self.trace.note(cpu, donor, What::ProxyIdles);
                Proxy::Idle
            }
            Action::Done(Proxy::Run(owner)) => {
                if owner != donor {
                    if self.state(donor) == TASK_RUNNING {
                        self.harm(cpu, donor, Harm::H5);
                    }
                    self.trace.note(cpu, donor, What::ProxyRuns(owner));
                }
                Proxy::Run(owner)
            }
            Action::Done(Proxy::PickAgain) => Proxy::PickAgain,
            Action::Free(p) => {
                // A signal has already woken the task. It would have handled the signal if it had been
                // allowed to run.
                let signalled = self.tasks[p].probe.signalled.swap(false, ProbeOrdering::Relaxed);
                if signalled && self.state(p) == TASK_RUNNING {
                    self.harm(cpu, p, Harm::H8);
                }
                match self.config.profile {
                    Profile::V71 => self.proxy_force_return(cpu, p),
                    Profile::Draft | Profile::V72 => self.proxy_deactivate(cpu, p),
                }
                Proxy::PickAgain
            }
            Action::OwnerSleeps(p) => {
                self.proxy_deactivate(cpu, p);
                Proxy::PickAgain
            }
            Action::Migrate(p, to) => {
                self.proxy_migrate_task(cpu, p, to);
                Proxy::PickAgain
            }
        }
    }

    /// Follows the chain and says what to do.
    fn follow(&self, cpu: Cpu, donor: TaskId) -> Action {
        let current = self.rqs[cpu].with(cpu, |inner| inner.curr);
        let mut current_in_chain = false;
        let mut p = donor;
        // A chain that leads back to itself never ends.
        #[cfg(not(loom))]
        let mut patience = super::leave::Patience::default();
        loop {
            let v72 = self.config.profile == Profile::V72;
            if v72 && !self.is_donor(p) {
                return Action::Done(Proxy::Run(p));
            }
            let is_current = current == p;
            // Read without blocked_lock, as the kernel does (claim C7).
            let seen = self.blocked_on(p);
            if seen == NULL && !v72 {
                // The end of the chain. If it is its beginning, too, something has changed.
                return Action::Done(if p == donor { Proxy::PickAgain } else { Proxy::Run(p) });
            }
            if seen == NULL || seen == PROXY_WAKING {
                // The unlocker has released the mutex to the task and is about to wake it.
                if v72 || is_current {
                    self.clear_task_blocked_on(cpu, p, None, Healer::FindProxyTask);
                }
                return self.runs_if_current(p, is_current);
            }
            let mutex = seen - 1;
            let lock = &self.mutexes[mutex];
            let blocked_lock = self.tasks[p].fields.blocked_lock();
            lock.wait_lock.lock(cpu);
            blocked_lock.lock(cpu);
            current_in_chain |= is_current;
            let action = self.look(cpu, Link { p, mutex, is_current, current_in_chain });
            blocked_lock.unlock();
            lock.wait_lock.unlock();
            match action {
                Ok(owner) => p = owner,
                Err(action) => return action,
            }
            #[cfg(not(loom))]
            patience.turn();
        }
    }

    /// The current task runs on, and v7.2 clears its is_blocked. Another task is free to go.
    fn runs_if_current(&self, p: TaskId, is_current: bool) -> Action {
        if !is_current {
            return Action::Free(p);
        }
        if self.config.profile == Profile::V72 {
            self.tasks[p].other.is_blocked.store(false, Ordering::Relaxed);
        }
        Action::Done(Proxy::Run(p))
    }

    /// Examines one link of the chain, with wait_lock and blocked_lock held. Returns the owner, with which
    /// the chain continues, or what to do.
    fn look(&self, cpu: Cpu, link: Link) -> Result<TaskId, Action> {
        let Link { p, mutex, is_current, current_in_chain } = link;
        // Read blocked_on again. Now it cannot change.
        if self.blocked_on(p) != mutex_address(mutex) && !self.has(Mutant::NoRecheck) {
            return Err(Action::Done(Proxy::PickAgain));
        }
        if self.blocked_on(p) != mutex_address(mutex) {
            self.harm(cpu, p, Harm::D);
        }
        let profile = self.config.profile;
        let Some(owner) = self.__mutex_owner(mutex) else {
            if is_current || profile == Profile::V72 {
                self.__clear_task_blocked_on(cpu, p, Some(mutex), Healer::FindProxyTask);
            }
            return Err(self.runs_if_current(p, is_current));
        };
        let owner_task = &self.tasks[owner];
        if owner_task.fields.on_rq().load(Ordering::Relaxed) == 0 || self.sched_delayed(owner) {
            // The owner sleeps, so it cannot run in the donor's place.
            if current_in_chain {
                return Err(Action::Done(Proxy::Idle));
            }
            if profile != Profile::Draft {
                self.__clear_task_blocked_on(cpu, p, Some(mutex), Healer::FindProxyTask);
            }
            return Err(Action::OwnerSleeps(p));
        }
        let owner_cpu = owner_task.other.cpu.load(Ordering::Relaxed);
        if owner_cpu != cpu {
            return Err(if current_in_chain { Action::Done(Proxy::Idle) } else { Action::Migrate(p, owner_cpu) });
        }
        match owner_task.fields.on_rq().load(Ordering::Relaxed) {
            TASK_ON_RQ_MIGRATING => return Err(Action::Done(Proxy::Idle)),
            // Between the reads the owner may have been woken onto another CPU.
            TASK_ON_RQ_QUEUED if owner_task.other.cpu.load(Ordering::Relaxed) == cpu => {}
            _ => return Err(Action::Done(Proxy::PickAgain)),
        }
        if owner == p {
            // The task was handed the mutex and is about to be woken.
            return Err(Action::Done(Proxy::Idle));
        }
        if profile == Profile::V72 {
            owner_task.other.blocked_donor.store(p + 1, Ordering::Relaxed);
        }
        Ok(owner)
    }

    /// proxy_deactivate(): takes the donor off the runqueue until it is woken.
    ///
    /// v7.1 returns a donor that is already RUNNING, or has a signal, to a CPU where it may run. The draft
    /// and v7.2 warn about a RUNNING donor and take every donor off; [`Kernel::block_task`] counts the
    /// warning as H6.
    fn proxy_deactivate(&self, cpu: Cpu, p: TaskId) {
        let state = self.state(p);
        let looks = self.config.profile == Profile::V71 || self.has(Mutant::Check);
        if looks && state == TASK_RUNNING {
            self.proxy_force_return(cpu, p);
            return;
        }
        self.trace.note(cpu, p, What::ProxyDeactivates);
        self.proxy_resched_idle(cpu, cpu);
        if !looks {
            self.block_task(cpu, cpu, p, state);
        } else if !self.try_to_block_task(cpu, p, state, true) {
            self.proxy_force_return(cpu, p);
        }
    }

    /// proxy_resched_idle(): makes the idle task the donor of `home`. `cpu` must hold the lock of that
    /// runqueue.
    pub(super) fn proxy_resched_idle(&self, cpu: Cpu, home: Cpu) {
        self.rqs[home].with(cpu, |inner| inner.donor = inner.idle);
    }

    /// proxy_migrate_task(): moves the task to its owner's CPU, even if the task may not run there. With
    /// [`super::Features::whole_chain`] the tasks that wait for it move with it.
    fn proxy_migrate_task(&self, cpu: Cpu, p: TaskId, to: Cpu) {
        self.proxy_resched_idle(cpu, cpu);
        let whole = self.config.features.whole_chain && self.config.profile == Profile::V72;
        let before = |task: &TaskId| if whole { self.blocked_donor(*task) } else { None };
        let chain = || std::iter::successors(Some(p), before);
        for task in chain() {
            self.trace.note(cpu, task, What::ProxyMigrates(to));
            self.deactivate_task(cpu, cpu, task);
            self.proxy_set_task_cpu(task, to);
        }
        self.rqs[cpu].lock.unlock();
        self.rqs[to].lock.lock(cpu);
        // blocked_donor of the chain does not change: no CPU can pick a task that is on no runqueue.
        for task in chain() {
            self.activate_task(cpu, to, task);
        }
        self.rqs[to].lock.unlock();
        self.rqs[cpu].lock.lock(cpu);
    }

    /// proxy_force_return() of v7.1: clears blocked_on and moves the task to a CPU where it may run. It does
    /// not exist in the draft and in v7.2.
    fn proxy_force_return(&self, cpu: Cpu, p: TaskId) {
        let task = &self.tasks[p];
        self.rqs[cpu].lock.unlock();
        task.fields.pi_lock().lock(cpu);
        let home = self.__task_rq_lock(cpu, p);
        let queued = task.fields.on_rq().load(Ordering::Relaxed) == TASK_ON_RQ_QUEUED;
        // The locks were released in between. If the task has moved, has left the runqueue or is current,
        // another context deals with it.
        let ours = home == cpu && queued && self.rqs[home].with(cpu, |inner| inner.curr != p);
        if !ours {
            self.rqs[home].lock.unlock();
            task.fields.pi_lock().unlock();
            self.rqs[cpu].lock.lock(cpu);
            return;
        }
        self.proxy_resched_idle(cpu, cpu);
        let target = self.select_task_rq(p);
        self.trace.note(cpu, p, What::ForcesReturn(target));
        self.deactivate_task(cpu, home, p);
        self.__set_task_cpu(p, target);
        self.clear_task_blocked_on(cpu, p, None, Healer::ForceReturn);
        self.rqs[home].lock.unlock();
        task.fields.pi_lock().unlock();
        self.rqs[target].lock.lock(cpu);
        self.activate_task(cpu, target, p);
        self.rqs[target].lock.unlock();
        self.rqs[cpu].lock.lock(cpu);
    }
}
