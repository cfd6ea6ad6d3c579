//! find_proxy_task() and its results: run the owner, idle, deactivate, force a return, migrate, or pick
//! again.
//!
//! docs/kernel.md lists at its end what the profile v7.2 does not follow yet.

use std::sync::atomic::Ordering as ProbeOrdering;

use super::harm::Harm;
use super::heal::Healer;
use super::sync::Ordering;
use super::task::{NULL, PROXY_WAKING, TaskLayout, mutex_address};
use super::trace::What;
use super::{Cpu, Kernel, Mutant, Profile, TASK_ON_RQ_MIGRATING, TASK_ON_RQ_QUEUED, TASK_RUNNING, TaskId};

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
    Deactivate,
    ForceReturn(TaskId),
    Migrate(TaskId, Cpu),
}

impl<T: TaskLayout> Kernel<T> {
    /// find_proxy_task(): follows the chain of task, mutex and owner to a task that can run.
    ///
    /// `cpu` must hold the lock of its runqueue. It holds it again on return; it may have released it in
    /// between.
    pub fn find_proxy_task(&self, cpu: Cpu, donor: TaskId) -> Proxy {
        match self.follow(cpu, donor) {
            Action::Done(proxy) => {
                if let Proxy::Run(owner) = proxy
                    && owner != donor
                {
                    if self.state(donor) == TASK_RUNNING {
                        self.harm(cpu, donor, Harm::H5);
                    }
                    self.trace.note(cpu, donor, What::ProxyRuns(owner));
                }
                if proxy == Proxy::Idle {
                    self.trace.note(cpu, donor, What::ProxyIdles);
                }
                proxy
            }
            Action::Deactivate => self.proxy_deactivate(cpu, donor),
            Action::ForceReturn(p) => {
                // The mutex is free, or is being released to the task, and a signal has already woken the
                // task. The task would have handled the signal if it had been allowed to run.
                let signalled = self.tasks[p].probe.signalled.swap(false, ProbeOrdering::Relaxed);
                if signalled && self.state(p) == TASK_RUNNING {
                    self.harm(cpu, p, Harm::H8);
                }
                if self.config.profile == Profile::V71 {
                    self.proxy_force_return(cpu, p);
                    return Proxy::PickAgain;
                }
                // In the draft every force_return becomes a deactivate; a wakeup is expected to follow.
                self.proxy_deactivate(cpu, p)
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
        while self.task_is_blocked(p) {
            let is_current = current == p;
            current_in_chain |= is_current;
            // Read without blocked_lock, as the kernel does (claim C7).
            let seen = self.blocked_on(p);
            if seen == NULL {
                if self.config.profile != Profile::V72 {
                    return Action::Done(Proxy::PickAgain);
                }
                // is_blocked is set and blocked_on is NULL: the unlocker has cleared blocked_on and is about
                // to wake the task.
                if is_current {
                    self.tasks[p].other.is_blocked.store(false, Ordering::Relaxed);
                    return Action::Done(Proxy::Run(p));
                }
                return Action::ForceReturn(p);
            }
            if seen == PROXY_WAKING {
                if is_current {
                    self.clear_task_blocked_on(cpu, p, None, Healer::FindProxyTask);
                    return Action::Done(Proxy::Run(p));
                }
                return Action::ForceReturn(p);
            }
            let mutex = seen - 1;
            let lock = &self.mutexes[mutex];
            let blocked_lock = self.tasks[p].fields.blocked_lock();
            lock.wait_lock.lock(cpu);
            blocked_lock.lock(cpu);
            let action = self.look(cpu, p, mutex, is_current, current_in_chain);
            blocked_lock.unlock();
            lock.wait_lock.unlock();
            match action {
                Ok(owner) => p = owner,
                Err(action) => return action,
            }
            #[cfg(not(loom))]
            patience.turn();
        }
        Action::Done(Proxy::Run(p))
    }

    /// Examines one link of the chain, with wait_lock and blocked_lock held. Returns the owner, with which
    /// the chain continues, or what to do.
    fn look(
        &self,
        cpu: Cpu,
        p: TaskId,
        mutex: usize,
        is_current: bool,
        current_in_chain: bool,
    ) -> Result<TaskId, Action> {
        // Read blocked_on again. Now it cannot change.
        if self.blocked_on(p) != mutex_address(mutex) && !self.has(Mutant::NoRecheck) {
            return Err(Action::Done(Proxy::PickAgain));
        }
        if self.blocked_on(p) != mutex_address(mutex) {
            self.harm(cpu, p, Harm::D);
        }
        let Some(owner) = self.__mutex_owner(mutex) else {
            if is_current {
                self.__clear_task_blocked_on(cpu, p, Some(mutex), Healer::FindProxyTask);
                self.tasks[p].other.is_blocked.store(false, Ordering::Relaxed);
                return Err(Action::Done(Proxy::Run(p)));
            }
            return Err(Action::ForceReturn(p));
        };
        let owner_task = &self.tasks[owner];
        if owner_task.fields.on_rq().load(Ordering::Relaxed) == 0 {
            // The owner sleeps, so it cannot run in the donor's place.
            return Err(if current_in_chain { Action::Done(Proxy::Idle) } else { Action::Deactivate });
        }
        let owner_cpu = owner_task.other.cpu.load(Ordering::Relaxed);
        if owner_cpu != cpu {
            return Err(if current_in_chain { Action::Done(Proxy::Idle) } else { Action::Migrate(p, owner_cpu) });
        }
        match owner_task.fields.on_rq().load(Ordering::Relaxed) {
            TASK_ON_RQ_QUEUED => {}
            TASK_ON_RQ_MIGRATING => return Err(Action::Done(Proxy::Idle)),
            _ => return Err(Action::Done(Proxy::PickAgain)),
        }
        if owner == p {
            // The task was handed the mutex and is about to be woken.
            return Err(Action::Done(Proxy::Idle));
        }
        Ok(owner)
    }

    /// proxy_deactivate(): takes the donor off the runqueue until it is woken.
    ///
    /// A donor that is already RUNNING, or has a signal, is instead returned to a CPU where it may run. The
    /// draft has no such case.
    fn proxy_deactivate(&self, cpu: Cpu, p: TaskId) -> Proxy {
        let state = self.state(p);
        let literal = self.config.profile == Profile::Draft;
        if state == TASK_RUNNING && !literal {
            self.proxy_force_return(cpu, p);
            return Proxy::PickAgain;
        }
        self.trace.note(cpu, p, What::ProxyDeactivates);
        self.proxy_resched_idle(cpu);
        if state == TASK_RUNNING {
            // The draft's open question. block_task() counts H6.
            self.block_task(cpu, cpu, p);
        } else if !self.try_to_block_task(cpu, cpu, p, state, true) && !literal {
            self.proxy_force_return(cpu, p);
        }
        Proxy::PickAgain
    }

    /// proxy_resched_idle(): makes the idle task the donor of this CPU.
    fn proxy_resched_idle(&self, cpu: Cpu) {
        self.rqs[cpu].with(cpu, |inner| inner.donor = inner.idle);
    }

    /// proxy_migrate_task(): moves the donor to its owner's CPU, even if the donor may not run there.
    fn proxy_migrate_task(&self, cpu: Cpu, p: TaskId, to: Cpu) {
        self.trace.note(cpu, p, What::ProxyMigrates(to));
        self.proxy_resched_idle(cpu);
        self.tasks[p].fields.on_rq().store(TASK_ON_RQ_MIGRATING, Ordering::Relaxed);
        self.dequeue_task(cpu, cpu, p);
        self.__set_task_cpu(p, to);
        self.rqs[cpu].lock.unlock();
        self.rqs[to].lock.lock(cpu);
        self.activate_task(cpu, to, p);
        self.rqs[to].lock.unlock();
        self.rqs[cpu].lock.lock(cpu);
    }

    /// proxy_force_return(): clears blocked_on and moves the task to a CPU where it may run.
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
        self.proxy_resched_idle(cpu);
        let target = self.select_task_rq(p);
        self.trace.note(cpu, p, What::ForcesReturn(target));
        task.fields.on_rq().store(TASK_ON_RQ_MIGRATING, Ordering::Relaxed);
        self.dequeue_task(cpu, home, p);
        self.__set_task_cpu(p, target);
        task.other.is_blocked.store(false, Ordering::Relaxed);
        self.clear_task_blocked_on(cpu, p, None, Healer::ForceReturn);
        self.rqs[home].lock.unlock();
        task.fields.pi_lock().unlock();
        self.rqs[target].lock.lock(cpu);
        self.activate_task(cpu, target, p);
        self.rqs[target].lock.unlock();
        self.rqs[cpu].lock.lock(cpu);
    }
}
