//! kernel/sched/core.c: wakeups (try_to_wake_up() and its parts) and schedule().

use std::collections::VecDeque;
use std::sync::atomic::Ordering as ProbeOrdering;

use super::barrier::{smp_acquire__after_ctrl_dep, smp_load_acquire, smp_mb__after_spinlock, smp_rmb, smp_wmb};
use super::harm::Harm;
use super::heal::Healer;
use super::proxy::Proxy;
use super::spinlock::RawSpinlock;
use super::sync::{AtomicU32, Guarded, Ordering, Spin};
use super::task::{NULL, TaskLayout, episode_of, state_of};
use super::trace::What;
use super::{
    Cpu, Kernel, Mutant, Profile, TASK_DEAD, TASK_NORMAL, TASK_ON_RQ_MIGRATING, TASK_ON_RQ_QUEUED, TASK_RUNNING,
    TASK_WAKING, TaskId,
};

/// A runqueue.
#[derive(Debug)]
pub struct Rq {
    /// ->__lock: protects the rest of the runqueue.
    pub lock: RawSpinlock,
    /// ->nr_running: number of queued tasks. May be read without the lock.
    pub nr_running: AtomicU32,
    inner: Guarded<RqInner>,
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
}

impl Rq {
    /// An empty runqueue; the CPU runs its idle task.
    pub fn new(cpu: Cpu) -> Rq {
        let inner = RqInner { queue: VecDeque::with_capacity(64), curr: cpu, donor: cpu, idle: cpu };
        Rq { lock: RawSpinlock::new(), nr_running: AtomicU32::new(0), inner: Guarded::new(inner) }
    }

    /// Calls `f` with the part that the lock protects. `cpu` must hold the lock.
    pub fn with<R>(&self, cpu: Cpu, f: impl FnOnce(&mut RqInner) -> R) -> R {
        assert!(self.lock.is_held_by(cpu), "the runqueue's lock must be held");
        // SAFETY: the lock protects `inner`, and the assertion has just checked that this context holds the
        // lock.
        unsafe { self.inner.with(f) }
    }
}

/// wake_q: the task to wake after the locks are released. The unlock of a mutex queues at most one.
#[derive(Debug, Default)]
pub struct WakeQ(Option<TaskId>);

impl WakeQ {
    /// An empty wake_q.
    pub const fn new() -> WakeQ {
        WakeQ(None)
    }

    /// wake_q_add(): queues the wakeup of a task.
    pub fn add(&mut self, task: TaskId) {
        self.0 = Some(task);
    }
}

/// How a wakeup ended, and what it read from blocked_on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wake {
    /// How the wakeup ended.
    pub end: WakeEnd,
    /// Whether the state matched and blocked_on was read as NULL.
    pub null: bool,
    /// Whether that NULL is the race: the waker saw the state but missed the earlier store of blocked_on.
    pub race: bool,
}

/// What a waker knows about the blocking episode that it saw.
#[derive(Debug, Clone, Copy)]
struct Episode {
    /// The episode of the state that matched, modulo 2^16; 0 for none.
    of_state: u16,
    /// The number of episodes that had begun before the waker read the state.
    began: u32,
}

/// How a wakeup ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WakeEnd {
    /// The state did not match.
    NoMatch,
    /// The task woke itself.
    Current,
    /// The task was still queued; it is RUNNING now.
    Runnable,
    /// The task was put on a runqueue.
    Activated,
    /// The mutant [`Mutant::LoseWakeup`] dropped the wakeup.
    Dropped,
}

impl Wake {
    const fn plain(end: WakeEnd) -> Wake {
        Wake { end, null: false, race: false }
    }
}

impl<T: TaskLayout> Kernel<T> {
    /// wake_up_q(): wakes the queued task, if there is one.
    pub fn wake_up_q(&self, cpu: Cpu, current: Option<TaskId>, wake_q: &WakeQ) -> Option<Wake> {
        wake_q.0.map(|task| self.try_to_wake_up(cpu, current, task, TASK_NORMAL))
    }

    /// signal_wake_up(): sets TIF_SIGPENDING, then wakes an interruptible sleeper.
    pub fn send_signal(&self, cpu: Cpu, current: Option<TaskId>, p: TaskId) -> Wake {
        self.tasks[p].other.sigpending.store(true, Ordering::Relaxed);
        self.trace.note(cpu, p, What::Signals);
        self.try_to_wake_up(cpu, current, p, super::TASK_INTERRUPTIBLE)
    }

    /// try_to_wake_up(): the order is that of docs/kernel.md, section 3. `current` is the task that the
    /// caller's CPU runs.
    pub fn try_to_wake_up(&self, cpu: Cpu, current: Option<TaskId>, p: TaskId, mask: u32) -> Wake {
        let task = &self.tasks[p];
        if current == Some(p) {
            if self.state(p) & mask == 0 {
                return Wake::plain(WakeEnd::NoMatch);
            }
            self.__set_current_state(cpu, p, TASK_RUNNING);
            return Wake::plain(WakeEnd::Current);
        }
        let began = task.probe.began.load(ProbeOrdering::Relaxed);
        task.fields.pi_lock().lock(cpu);
        smp_mb__after_spinlock();
        let word = task.fields.state().load(Ordering::Relaxed);
        if state_of(word) & mask == 0 {
            task.fields.pi_lock().unlock();
            return Wake::plain(WakeEnd::NoMatch);
        }
        let episode = Episode { of_state: episode_of(word), began };
        if self.has(Mutant::LoseWakeup) && episode.of_state % 1000 == 999 {
            task.fields.pi_lock().unlock();
            return Wake::plain(WakeEnd::Dropped);
        }
        self.trace.note(cpu, p, What::Wakes);
        smp_rmb();
        let mut wake = Wake::plain(WakeEnd::Activated);
        if task.fields.on_rq().load(Ordering::Relaxed) != 0 && self.ttwu_runnable(cpu, p, mask, episode, &mut wake) {
            task.fields.pi_lock().unlock();
            return wake;
        }
        smp_acquire__after_ctrl_dep();
        task.fields.state().store(TASK_WAKING, Ordering::Relaxed);
        if self.config.profile.is_draft() {
            self.test_and_clear_blocked_on(cpu, p, episode, &mut wake);
        }
        let mut spin = Spin::new();
        while smp_load_acquire(&task.other.on_cpu) != 0 {
            spin.turn();
        }
        let target = self.select_task_rq(p);
        self.__set_task_cpu(p, target);
        let rq = &self.rqs[target];
        rq.lock.lock(cpu);
        self.activate_task(cpu, target, p);
        task.fields.state().store(TASK_RUNNING, Ordering::Relaxed);
        rq.lock.unlock();
        task.fields.pi_lock().unlock();
        self.trace.note(cpu, p, What::WokenOnto(target));
        wake
    }

    /// ttwu_runnable(): a task that is still queued only needs its state set. Returns false if the task must
    /// be enqueued.
    fn ttwu_runnable(&self, cpu: Cpu, p: TaskId, mask: u32, episode: Episode, wake: &mut Wake) -> bool {
        let task = &self.tasks[p];
        let home = self.__task_rq_lock(cpu, p);
        let rq = &self.rqs[home];
        let queued = task.fields.on_rq().load(Ordering::Relaxed) == TASK_ON_RQ_QUEUED;
        let mut runnable = queued;
        if queued {
            // The lockless read of blocked_on that the mail is about. The kernels v7.1 and v7.2 do not read
            // it here; in their profiles the measurement does.
            let was_blocked = self.test_and_clear_blocked_on(cpu, p, episode, wake);
            let must_return = match self.config.profile {
                Profile::V71 => false,
                Profile::Draft | Profile::DraftChecked => was_blocked,
                Profile::V72 => task.other.is_blocked.swap(false, Ordering::Relaxed),
            };
            // A donor may have been migrated to a CPU where it must not run. It is taken off, and the caller
            // chooses a CPU again.
            let elsewhere = task.other.cpus_mask >> home & 1 == 0;
            if must_return && elsewhere && rq.with(cpu, |inner| inner.curr != p) {
                self.take_off(cpu, home, p);
                runnable = false;
            } else {
                task.fields.state().store(TASK_RUNNING, Ordering::Relaxed);
                wake.end = WakeEnd::Runnable;
                // In this replica only signals wake with this mask.
                task.probe.signalled.store(mask == super::TASK_INTERRUPTIBLE, ProbeOrdering::Relaxed);
                self.trace.note(cpu, p, What::WokenQueued);
                if wake.race {
                    self.raced(p);
                    if self.config.profile.is_draft() {
                        self.harm(cpu, p, Harm::H1);
                    }
                }
            }
        }
        rq.lock.unlock();
        runnable
    }

    /// Reads blocked_on without blocked_lock. In the draft, clears it under blocked_lock if it is set.
    /// Returns whether it was set, and notes in `wake` a NULL and whether that is the race.
    fn test_and_clear_blocked_on(&self, cpu: Cpu, p: TaskId, episode: Episode, wake: &mut Wake) -> bool {
        let set = self.blocked_on(p) != NULL;
        wake.null = !set;
        if !set && episode.of_state != 0 {
            // The state that matched was stored after the blocked_on of the same episode. If nobody has
            // cleared that blocked_on, the waker has missed its store.
            smp_rmb();
            let probe = &self.tasks[p].probe;
            let cleared = probe.cleared.load(ProbeOrdering::Acquire) as u16;
            let passed = probe.began.load(ProbeOrdering::Relaxed).wrapping_sub(episode.began);
            // Episodes count modulo 2^16. A waker that the host took off its CPU for thousands of episodes
            // cannot tell any more, so it reports no race.
            wake.race = passed < 1 << 14 && (episode.of_state.wrapping_sub(cleared) as i16) > 0;
        }
        self.trace.note(cpu, p, What::SeesBlockedOn(set));
        if set && self.config.profile.is_draft() {
            self.clear_task_blocked_on(cpu, p, None, Healer::Waker);
        }
        set
    }

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
        smp_wmb();
        self.tasks[p].other.cpu.store(cpu, Ordering::Relaxed);
    }

    /// select_task_rq(): the CPU where the task ran last, if it may run there; otherwise the lowest CPU of
    /// its mask.
    pub fn select_task_rq(&self, p: TaskId) -> Cpu {
        let other = &self.tasks[p].other;
        let last = other.wake_cpu.load(Ordering::Relaxed);
        if other.cpus_mask >> last & 1 == 1 { last } else { other.cpus_mask.trailing_zeros() as usize }
    }

    /// activate_task(): puts a task on the runqueue of `target`. `cpu` must hold its lock.
    pub fn activate_task(&self, cpu: Cpu, target: Cpu, p: TaskId) {
        let rq = &self.rqs[target];
        rq.with(cpu, |inner| inner.queue.push_back(p));
        rq.nr_running.fetch_add(1, Ordering::Relaxed);
        self.tasks[p].fields.on_rq().store(TASK_ON_RQ_QUEUED, Ordering::Relaxed);
    }

    /// dequeue_task(): takes a task off the runqueue of `home`. `cpu` must hold its lock.
    pub fn dequeue_task(&self, cpu: Cpu, home: Cpu, p: TaskId) {
        let rq = &self.rqs[home];
        rq.with(cpu, |inner| inner.queue.retain(|task| *task != p));
        rq.nr_running.fetch_sub(1, Ordering::Relaxed);
    }

    /// block_task(): takes the task off its runqueue until it is woken. After the store of on_rq a wakeup may
    /// enqueue it.
    pub fn block_task(&self, cpu: Cpu, home: Cpu, p: TaskId) {
        if self.state(p) == TASK_RUNNING {
            self.harm(cpu, p, Harm::H6);
        }
        self.take_off(cpu, home, p);
    }

    /// Takes a task off its runqueue and clears on_rq. A waker that has matched its state puts it on a
    /// runqueue again.
    fn take_off(&self, cpu: Cpu, home: Cpu, p: TaskId) {
        self.trace.note(cpu, p, What::Deactivates);
        self.tasks[p].other.is_blocked.store(false, Ordering::Relaxed);
        self.dequeue_task(cpu, home, p);
        self.tasks[p].fields.on_rq().store(0, Ordering::Release);
    }

    /// try_to_block_task(): returns whether the task was taken off the runqueue.
    pub fn try_to_block_task(&self, cpu: Cpu, home: Cpu, p: TaskId, state: u32, should_block: bool) -> bool {
        if self.signal_pending_state(p, state) {
            self.tasks[p].fields.state().store(TASK_RUNNING, Ordering::Relaxed);
            if self.config.profile == Profile::V72 {
                self.tasks[p].other.is_blocked.store(false, Ordering::Relaxed);
            } else {
                self.set_task_blocked_on_waking(cpu, p, None);
            }
            return false;
        }
        if !should_block {
            return false;
        }
        self.block_task(cpu, home, p);
        true
    }

    /// __schedule(): picks the task that runs next on this CPU, switches to it and returns it.
    ///
    /// `preempt` is SM_PREEMPT: the current task did not call schedule() itself.
    pub fn __schedule(&self, cpu: Cpu, preempt: bool) -> TaskId {
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
        if !preempt && state != TASK_RUNNING {
            // A mutex-blocked task stays queued as a donor: when it is picked, the owner runs in its place.
            let blocked = state != TASK_DEAD && self.blocked_on(prev) != NULL;
            let kept = !self.try_to_block_task(cpu, cpu, prev, state, !blocked);
            if kept && blocked && self.config.profile == Profile::V72 && self.state(prev) != TASK_RUNNING {
                self.tasks[prev].other.is_blocked.store(true, Ordering::Relaxed);
            }
        }
        #[cfg(loom)]
        let mut picks = 0;
        #[cfg(not(loom))]
        let mut patience = super::leave::Patience::default();
        let next = loop {
            #[cfg(not(loom))]
            patience.turn();
            #[cfg(loom)]
            {
                picks += 1;
                let what = || super::trace::listing(&self.trace.entries(), |cpu| format!("context {cpu}"));
                assert!(picks < 100, "CPU {cpu} has picked 100 times without a result:\n{}", what());
            }
            let next = rq.with(cpu, |inner| {
                let next = inner.queue.pop_front();
                inner.queue.extend(next);
                let next = next.unwrap_or(inner.idle);
                inner.donor = next;
                next
            });
            if self.is_idle(next) || !self.task_is_blocked(next) {
                break next;
            }
            self.trace.note(cpu, next, What::Picks);
            match self.find_proxy_task(cpu, next) {
                Proxy::Run(owner) => break owner,
                Proxy::Idle => break rq.with(cpu, |inner| inner.idle),
                Proxy::PickAgain => {}
            }
        };
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

    /// Makes `next` the current task of the CPU, and checks H7 (outside its mask) and H10 (run by two CPUs).
    fn switch(&self, cpu: Cpu, next: TaskId) {
        self.rqs[cpu].with(cpu, |inner| inner.curr = next);
        let task = &self.tasks[next];
        task.other.on_cpu.store(1, Ordering::Relaxed);
        if self.is_idle(next) {
            return;
        }
        task.other.wake_cpu.store(cpu, Ordering::Relaxed);
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
