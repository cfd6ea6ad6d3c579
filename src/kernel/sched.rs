//! kernel/sched/core.c: runqueues, schedule(), and how a task leaves its runqueue.

use std::collections::VecDeque;
use std::sync::atomic::Ordering as ProbeOrdering;

use crossbeam_utils::CachePadded;

use super::barrier::{smp_mb__after_spinlock, smp_wmb};
use super::harm::Harm;
use super::heal::Healer;
use super::proxy::Proxy;
use super::spinlock::RawSpinlock;
use super::sync::{Flag, Guarded, Hint, Ordering, Spin};
use super::task::TaskLayout;
use super::trace::What;
use super::{
    Cpu, Kernel, Mutant, Profile, TASK_DEAD, TASK_ON_RQ_MIGRATING, TASK_ON_RQ_QUEUED, TASK_RUNNING, TASK_WAKING, TaskId,
};

/// The mode of a call of __schedule().
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SchedMode {
    /// SM_NONE: the current task has called schedule().
    None,
    /// SM_PREEMPT: the current task is preempted. It stays queued whatever its state.
    Preempt,
}

/// A runqueue. The padded fields align it to a cache line, so two runqueues share none.
#[derive(Debug)]
pub struct Rq {
    /// ->__lock: protects the rest of the runqueue.
    pub lock: RawSpinlock,
    /// ->nr_running: number of queued tasks. May be read without the lock. It is only a hint.
    pub nr_running: Hint,
    /// TIF_NEED_RESCHED of the current task. Padded: its CPU reads it after each step, while wakers write the
    /// lock.
    pub need_resched: CachePadded<Flag>,
    /// The tasks whose wakeup this CPU must finish. The kernel's list needs no lock; here a lock protects it.
    /// Padded: wakers fill it without the runqueue's lock.
    pub(super) wake_list: CachePadded<WakeList>,
    inner: Guarded<RqInner>,
}

/// The wake list of a CPU (TTWU_QUEUE).
#[derive(Debug)]
pub(super) struct WakeList {
    /// Protects the tasks.
    pub lock: RawSpinlock,
    /// ->ttwu_pending: whether there are tasks. May be read without the lock.
    pub pending: Flag,
    /// The tasks, the first to be woken first.
    pub tasks: Guarded<VecDeque<TaskId>>,
}

/// The part of a runqueue that its lock protects.
#[derive(Debug)]
pub struct RqInner {
    /// The queued tasks; the front is picked next.
    pub queue: VecDeque<TaskId>,
    /// ->curr: the task whose code runs
    pub curr: TaskId,
    /// ->donor: the task that the scheduler picked; `curr` may run in its place
    pub donor: TaskId,
    /// ->idle: the idle task
    pub idle: TaskId,
    /// How many tasks have gone to sleep. It chooses those whose dequeue is delayed.
    slept: u32,
}

impl Rq {
    /// An empty runqueue; the CPU runs its idle task.
    pub fn new(cpu: Cpu) -> Rq {
        let inner = RqInner { queue: VecDeque::with_capacity(64), curr: cpu, donor: cpu, idle: cpu, slept: 0 };
        let wake_list = WakeList {
            lock: RawSpinlock::new(),
            pending: Flag::new(false),
            tasks: Guarded::new(VecDeque::with_capacity(64)),
        };
        Rq {
            lock: RawSpinlock::new(),
            nr_running: Hint::new(0),
            need_resched: Flag::new(false).into(),
            wake_list: wake_list.into(),
            inner: Guarded::new(inner),
        }
    }

    /// Calls `f` with the part that the lock protects. `cpu` must hold the lock.
    pub fn with<R>(&self, cpu: Cpu, f: impl FnOnce(&mut RqInner) -> R) -> R {
        assert!(self.lock.is_held_by(cpu), "the runqueue's lock must be held");
        // SAFETY: the lock protects `inner`, and the assertion has just checked that this context holds the
        // lock.
        unsafe { self.inner.with(f) }
    }

    /// resched_curr(): asks the CPU to call __schedule() soon.
    pub fn resched_curr(&self) {
        self.need_resched.store(true, Ordering::Relaxed);
    }

    /// need_resched(), as the CPU's current task sees it.
    pub fn need_resched(&self) -> bool {
        self.need_resched.load(Ordering::Relaxed)
    }
}

impl<T: TaskLayout> Kernel<T> {
    /// __task_rq_lock(): takes the lock of the runqueue that the task is on, and returns its CPU.
    pub fn __task_rq_lock(&self, cpu: Cpu, p: TaskId) -> Cpu {
        let task = &self.tasks[p];
        let mut spin = Spin::new();
        loop {
            // The address dependency on this load, and the lock after it, pair with smp_wmb() in
            // __set_task_cpu(): a reader that sees the new CPU sees MIGRATING. (loom does not model
            // dependencies, so there the load is an acquire. Without it, loom enqueued a task twice.)
            let home = task.other.cpu.load(if cfg!(loom) { Ordering::Acquire } else { Ordering::Relaxed });
            self.rqs[home].lock.lock(cpu);
            let migrating = task.fields.on_rq().load(Ordering::Relaxed) == TASK_ON_RQ_MIGRATING;
            if task.other.cpu.load(Ordering::Relaxed) == home && !migrating {
                return home;
            }
            self.rqs[home].lock.unlock();
            spin.turn();
        }
    }

    /// __set_task_cpu(). Its smp_wmb() pairs with the dependency in [`Kernel::__task_rq_lock`].
    pub fn __set_task_cpu(&self, p: TaskId, cpu: Cpu) {
        let other = &self.tasks[p].other;
        smp_wmb();
        other.cpu.store(cpu, Ordering::Relaxed);
        other.wake_cpu.store(cpu, Ordering::Relaxed);
    }

    /// proxy_set_task_cpu(): as __set_task_cpu(), but ->wake_cpu stays, so that the donor can be returned.
    pub fn proxy_set_task_cpu(&self, p: TaskId, cpu: Cpu) {
        let wake_cpu = &self.tasks[p].other.wake_cpu;
        let saved = wake_cpu.load(Ordering::Relaxed);
        self.__set_task_cpu(p, cpu);
        wake_cpu.store(saved, Ordering::Relaxed);
    }

    /// activate_task(): puts a task on the runqueue of `target`. `cpu` must hold its lock.
    pub fn activate_task(&self, cpu: Cpu, target: Cpu, p: TaskId) {
        let rq = &self.rqs[target];
        rq.with(cpu, |inner| inner.queue.push_back(p));
        rq.nr_running.fetch_add(1, Ordering::Relaxed);
        self.tasks[p].fields.on_rq().store(TASK_ON_RQ_QUEUED, Ordering::Relaxed);
    }

    /// deactivate_task(): takes a task off the runqueue of `home` on its way to another. `cpu` must hold the
    /// lock.
    pub fn deactivate_task(&self, cpu: Cpu, home: Cpu, p: TaskId) {
        self.tasks[p].fields.on_rq().store(TASK_ON_RQ_MIGRATING, Ordering::Relaxed);
        self.dequeue_task(cpu, home, p);
    }

    /// dequeue_task(): takes a task out of the queue of `home`. `cpu` must hold its lock.
    pub fn dequeue_task(&self, cpu: Cpu, home: Cpu, p: TaskId) {
        let rq = &self.rqs[home];
        rq.with(cpu, |inner| inner.queue.retain(|task| *task != p));
        rq.nr_running.fetch_sub(1, Ordering::Relaxed);
    }

    /// block_task(): takes the task off its runqueue until it is woken. `state` is the state in which it
    /// sleeps. After the store of on_rq a wakeup may enqueue it.
    ///
    /// The dequeue of a task may be delayed: it stays queued, and the next pick completes the dequeue. A
    /// special state, such as TASK_WAKING, prevents this.
    pub fn block_task(&self, cpu: Cpu, home: Cpu, p: TaskId, state: u32) {
        let task = &self.tasks[p];
        let unflushed = task.probe.unflushed.load(ProbeOrdering::Relaxed);
        if state == TASK_RUNNING {
            self.harm(cpu, p, Harm::H6);
        } else if state != TASK_WAKING && unflushed {
            self.harm(cpu, p, Harm::H11);
        }
        let every = self.config.features.delay_dequeue;
        if every > 0 && state & (TASK_DEAD | TASK_WAKING) == 0 {
            let slept = self.rqs[home].with(cpu, |inner| {
                inner.slept = inner.slept.wrapping_add(1);
                inner.slept
            });
            if slept.is_multiple_of(every) {
                self.trace.note(cpu, p, What::Delays);
                task.other.sched_delayed.store(true, Ordering::Relaxed);
                return;
            }
        }
        self.__block_task(cpu, home, p);
    }

    /// __block_task(): takes a task off its runqueue and clears on_rq. A waker that has matched its state
    /// puts it on a runqueue again.
    fn __block_task(&self, cpu: Cpu, home: Cpu, p: TaskId) {
        self.trace.note(cpu, p, What::Deactivates);
        self.dequeue_task(cpu, home, p);
        if self.config.features.delay_dequeue > 0 {
            self.tasks[p].other.sched_delayed.store(false, Ordering::Relaxed);
        }
        self.tasks[p].fields.on_rq().store(0, Ordering::Release);
    }

    /// Whether the dequeue of the task is delayed: it sleeps, although it is queued.
    pub fn sched_delayed(&self, p: TaskId) -> bool {
        self.config.features.delay_dequeue > 0 && self.tasks[p].other.sched_delayed.load(Ordering::Relaxed)
    }

    /// try_to_block_task(): returns whether the task was taken off the runqueue.
    ///
    /// With `should_block` false, the task is blocked on a mutex and stays queued as a donor.
    pub fn try_to_block_task(&self, cpu: Cpu, p: TaskId, state: u32, should_block: bool) -> bool {
        let task = &self.tasks[p];
        if self.signal_pending_state(p, state) {
            task.fields.state().store(TASK_RUNNING, Ordering::Relaxed);
            match self.config.profile {
                Profile::V72 => self.clear_task_blocked_on(cpu, p, None, Healer::Task),
                Profile::V71 | Profile::Draft => self.set_task_blocked_on_waking(cpu, p, None),
            }
            return false;
        }
        if self.config.profile == Profile::V72 {
            task.other.is_blocked.store(true, Ordering::Relaxed);
        }
        if !should_block {
            return false;
        }
        self.block_task(cpu, cpu, p, state);
        true
    }

    /// schedule(), called by the current task: sched_submit_work() flushes its work if it is going to sleep,
    /// then the task that runs next is picked.
    ///
    /// Preemption is on until __schedule(). So a task that has set its state can be preempted before its work
    /// is flushed (H11). The work itself, a workqueue's and the block layer's plug, is left out.
    pub fn schedule(&self, cpu: Cpu, current: TaskId) -> TaskId {
        self.tasks[current].probe.unflushed.store(false, ProbeOrdering::Relaxed);
        self.__schedule(cpu, SchedMode::None)
    }

    /// __schedule(): picks the task that runs next on this CPU, switches to it and returns it.
    pub fn __schedule(&self, cpu: Cpu, mode: SchedMode) -> TaskId {
        let rq = &self.rqs[cpu];
        rq.lock.lock(cpu);
        if !self.has(Mutant::NoMbAfterSpinlock) {
            smp_mb__after_spinlock();
        }
        let prev = rq.with(cpu, |inner| inner.curr);
        let state = self.state(prev);
        if prev != cpu {
            self.trace.note(cpu, prev, What::EntersSchedule(state));
        }
        if mode == SchedMode::None && state != TASK_RUNNING {
            // A mutex-blocked task stays queued as a donor: when it is picked, the owner runs in its place.
            // The kernel does not ask for TASK_DEAD here. Without the question the mutant no-cleanup would
            // leave an exited task as a donor for ever.
            let should_block = state == TASK_DEAD || !self.task_is_blocked(prev);
            self.try_to_block_task(cpu, prev, state, should_block);
        }
        if mode == SchedMode::Preempt && state != TASK_RUNNING && self.has(Mutant::BlockPreempted) {
            self.tasks[prev].other.is_blocked.store(true, Ordering::Relaxed);
        }
        let next = self.pick(cpu);
        rq.need_resched.store(false, Ordering::Relaxed);
        if next != prev {
            self.switch(cpu, next);
        }
        rq.lock.unlock();
        if next != prev {
            // finish_task(): from here on another CPU may run the previous task.
            self.tasks[prev].probe.running.store(0, ProbeOrdering::Relaxed);
            self.tasks[prev].other.on_cpu.store(0, Ordering::Release);
        }
        next
    }

    /// The part of __schedule() after the label pick_again: the task whose code runs next.
    fn pick(&self, cpu: Cpu) -> TaskId {
        let rq = &self.rqs[cpu];
        #[cfg(loom)]
        let mut picks = 0;
        #[cfg(not(loom))]
        let mut patience = super::leave::Patience::default();
        loop {
            #[cfg(not(loom))]
            patience.turn();
            #[cfg(loom)]
            {
                picks += 1;
                let what = || super::trace::listing(&self.trace.entries(), |cpu| format!("context {cpu}"));
                assert!(picks < 100, "CPU {cpu} has picked 100 times without a result:\n{}", what());
            }
            let next = self.pick_next_task(cpu);
            if self.config.profile == Profile::V72 {
                self.tasks[next].other.blocked_donor.store(0, Ordering::Relaxed);
            }
            if self.is_idle(next) || !self.is_donor(next) {
                return next;
            }
            self.trace.note(cpu, next, What::Picks);
            match self.find_proxy_task(cpu, next) {
                Proxy::Run(owner) => return owner,
                Proxy::Idle => return rq.with(cpu, |inner| inner.idle),
                Proxy::PickAgain => {}
            }
        }
    }

    /// pick_next_task(): the task at the front, which goes to the back and becomes the donor; the idle task
    /// if the queue is empty. Completes the delayed dequeue of tasks that it meets.
    fn pick_next_task(&self, cpu: Cpu) -> TaskId {
        loop {
            let next = self.rqs[cpu].with(cpu, |inner| {
                let next = inner.queue.pop_front();
                inner.queue.extend(next);
                let next = next.unwrap_or(inner.idle);
                inner.donor = next;
                next
            });
            if !self.sched_delayed(next) {
                return next;
            }
            self.__block_task(cpu, cpu, next);
        }
    }

    /// Makes `next` the current task of the CPU, and checks H7 (outside its mask) and H10 (run by two CPUs).
    fn switch(&self, cpu: Cpu, next: TaskId) {
        self.rqs[cpu].with(cpu, |inner| inner.curr = next);
        let task = &self.tasks[next];
        task.other.on_cpu.store(1, Ordering::Relaxed);
        if self.is_idle(next) {
            return;
        }
        if task.other.cpus_mask >> cpu & 1 == 0 {
            self.harm(cpu, next, Harm::H7);
        }
        if task.probe.running.swap(cpu as u32 + 1, ProbeOrdering::Relaxed) != 0 {
            self.harm(cpu, next, Harm::H10);
        }
        task.probe.signalled.store(false, ProbeOrdering::Relaxed);
        task.probe.switches.fetch_add(1, ProbeOrdering::Relaxed);
        self.trace.note(cpu, next, What::SwitchesTo);
    }

    /// The task that a CPU runs now.
    pub fn __current(&self, cpu: Cpu) -> TaskId {
        self.rqs[cpu].lock.lock(cpu);
        let current = self.rqs[cpu].with(cpu, |inner| inner.curr);
        self.rqs[cpu].lock.unlock();
        current
    }

    /// wake_up_new_task(): puts a new task on the runqueue of its CPU.
    pub fn wake_up_new_task(&self, cpu: Cpu, p: TaskId) {
        let home = self.tasks[p].other.cpu.load(Ordering::Relaxed);
        self.rqs[home].lock.lock(cpu);
        self.activate_task(cpu, home, p);
        self.rqs[home].lock.unlock();
    }
}
