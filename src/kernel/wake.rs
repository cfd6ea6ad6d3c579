//! kernel/sched/core.c: wakeups (try_to_wake_up() and its parts).

use std::sync::atomic::Ordering as ProbeOrdering;

use super::barrier::{smp_acquire__after_ctrl_dep, smp_load_acquire, smp_mb__after_spinlock, smp_rmb};
use super::harm::Harm;
use super::heal::Healer;
use super::sync::{Ordering, Spin};
use super::task::{NULL, TaskLayout, episode_of, state_of};
use super::trace::What;
use super::{
    Cpu, Kernel, Mutant, Profile, TASK_INTERRUPTIBLE, TASK_NORMAL, TASK_ON_RQ_QUEUED, TASK_RUNNING, TASK_WAKING, TaskId,
};

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
    /// Whether the state matched and blocked_on was read as NULL. Only the draft reads it.
    pub null: bool,
    /// Whether that NULL is the race: the waker saw the state but missed the earlier store of blocked_on.
    pub race: bool,
    /// Whether the wakeup has looked at blocked_on.
    looked: bool,
}

/// What a waker knows about the blocking episode that it saw.
#[derive(Debug, Clone, Copy)]
struct Episode {
    /// The episode of the state that matched, modulo 2^16; 0 for none.
    of_state: u16,
    /// The number of episodes that had begun before the waker read the state. Only the draft asks for it; 0
    /// otherwise.
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
    /// The task was put on a runqueue, or on the wake list of its CPU.
    Activated,
    /// The mutant [`Mutant::LoseWakeup`] dropped the wakeup.
    Dropped,
}

impl Wake {
    const fn plain(end: WakeEnd) -> Wake {
        Wake { end, null: false, race: false, looked: false }
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
        self.try_to_wake_up(cpu, current, p, TASK_INTERRUPTIBLE)
    }

    /// try_to_wake_up(): the order is that of docs/kernel.md, section 3. `current` is the task that the
    /// caller's CPU runs.
    pub fn try_to_wake_up(&self, cpu: Cpu, current: Option<TaskId>, p: TaskId, mask: u32) -> Wake {
        let task = &self.tasks[p];
        if current == Some(p) {
            return self.wake_current(cpu, p, mask);
        }
        let began = match self.config.profile {
            Profile::Draft => task.episodes.began.load(ProbeOrdering::Relaxed),
            Profile::V71 | Profile::V72 => 0,
        };
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
        if self.config.profile == Profile::Draft && self.sees_blocked_on(cpu, p, episode, &mut wake) {
            self.clear_task_blocked_on(cpu, p, None, Healer::Waker);
        }
        self.place(cpu, p);
        task.fields.pi_lock().unlock();
        wake
    }

    /// try_to_wake_up() of the current task: no locks, program order only. v7.2 clears blocked_on first, even
    /// if the state does not match.
    fn wake_current(&self, cpu: Cpu, p: TaskId, mask: u32) -> Wake {
        if self.config.profile == Profile::V72 {
            self.clear_task_blocked_on(cpu, p, None, Healer::Task);
        }
        if self.state(p) & mask == 0 {
            return Wake::plain(WakeEnd::NoMatch);
        }
        self.ttwu_do_wakeup(p);
        self.trace.note(cpu, p, What::SetState(TASK_RUNNING));
        Wake::plain(WakeEnd::Current)
    }

    /// The end of try_to_wake_up() for a task in TASK_WAKING: waits until no CPU runs the task, chooses a CPU
    /// and puts the task on that CPU's runqueue or wake list. pi_lock is held.
    fn place(&self, cpu: Cpu, p: TaskId) {
        let other = &self.tasks[p].other;
        if self.config.features.wake_list
            && smp_load_acquire(&other.on_cpu) != 0
            && self.ttwu_queue_wakelist(cpu, p, other.cpu.load(Ordering::Relaxed))
        {
            return;
        }
        let mut spin = Spin::new();
        while smp_load_acquire(&other.on_cpu) != 0 {
            spin.turn();
        }
        let target = self.select_task_rq(p);
        if other.cpu.load(Ordering::Relaxed) != target {
            self.__set_task_cpu(p, target);
        }
        // The kernel stores ->wake_cpu if only that differs. Here no mask changes, so it never does.
        if self.config.features.wake_list && self.ttwu_queue_wakelist(cpu, p, target) {
            return;
        }
        let rq = &self.rqs[target];
        rq.lock.lock(cpu);
        self.ttwu_do_activate(cpu, target, p);
        rq.lock.unlock();
    }

    /// ttwu_do_activate(): enqueues the task and completes its wakeup. `cpu` must hold the runqueue's lock.
    fn ttwu_do_activate(&self, cpu: Cpu, target: Cpu, p: TaskId) {
        self.activate_task(cpu, target, p);
        self.ttwu_do_wakeup(p);
        self.trace.note(cpu, p, What::WokenOnto(target));
    }

    /// ttwu_do_wakeup(): the task is RUNNING. v7.2 clears is_blocked first.
    fn ttwu_do_wakeup(&self, p: TaskId) {
        if self.config.profile == Profile::V72 {
            self.tasks[p].other.is_blocked.store(false, Ordering::Relaxed);
        }
        self.tasks[p].fields.state().store(TASK_RUNNING, Ordering::Relaxed);
    }

    /// ttwu_runnable(): a task that is still queued only needs its state set. Returns false if the task must
    /// be enqueued.
    fn ttwu_runnable(&self, cpu: Cpu, p: TaskId, mask: u32, episode: Episode, wake: &mut Wake) -> bool {
        let task = &self.tasks[p];
        let home = self.__task_rq_lock(cpu, p);
        let rq = &self.rqs[home];
        let queued = task.fields.on_rq().load(Ordering::Relaxed) == TASK_ON_RQ_QUEUED;
        if !queued || self.returns(cpu, home, p, (episode, wake)) {
            rq.lock.unlock();
            return false;
        }
        self.ttwu_do_wakeup(p);
        wake.end = WakeEnd::Runnable;
        // In this replica only signals wake with this mask.
        task.probe.signalled.store(mask == TASK_INTERRUPTIBLE, ProbeOrdering::Relaxed);
        self.trace.note(cpu, p, What::WokenQueued);
        if wake.race {
            self.raced(p);
            self.harm(cpu, p, Harm::H1);
        }
        rq.lock.unlock();
        true
    }

    /// The part of ttwu_runnable() in which the kernels differ: whether the queued task is a donor that must
    /// be taken off, so that the rest of the wakeup chooses a CPU for it.
    fn returns(&self, cpu: Cpu, home: Cpu, p: TaskId, (episode, wake): (Episode, &mut Wake)) -> bool {
        match self.config.profile {
            Profile::V71 => self.enqueue_delayed(p),
            // The lockless read that the mail is about.
            Profile::Draft => {
                if self.sees_blocked_on(cpu, p, episode, wake) && self.proxy_needs_return(cpu, home, p) {
                    return true;
                }
                self.enqueue_delayed(p);
            }
            Profile::V72 => {
                if self.tasks[p].other.is_blocked.load(Ordering::Relaxed) {
                    self.enqueue_delayed(p);
                    return self.proxy_needs_return(cpu, home, p);
                }
            }
        }
        false
    }

    /// enqueue_task() with ENQUEUE_DELAYED: a task whose dequeue is delayed is runnable again.
    fn enqueue_delayed(&self, p: TaskId) {
        if self.sched_delayed(p) {
            self.tasks[p].other.sched_delayed.store(false, Ordering::Relaxed);
        }
    }

    /// proxy_needs_return(): takes a donor off the runqueue of `home` as TASK_WAKING. Returns false for a task
    /// that may run where it is: the current one, and in v7.2 one that has not been migrated. The runqueue's
    /// lock is held.
    fn proxy_needs_return(&self, cpu: Cpu, home: Cpu, p: TaskId) -> bool {
        let other = &self.tasks[p].other;
        if self.config.profile == Profile::V72
            && other.cpu.load(Ordering::Relaxed) == other.wake_cpu.load(Ordering::Relaxed)
        {
            return false;
        }
        let blocked_lock = self.tasks[p].fields.blocked_lock();
        blocked_lock.lock(cpu);
        self.__clear_task_blocked_on(cpu, p, None, Healer::Waker);
        let (is_current, was_donor) = self.rqs[home].with(cpu, |inner| (inner.curr == p, inner.donor == p));
        if is_current {
            blocked_lock.unlock();
            return false;
        }
        if was_donor {
            self.reset_donor(cpu, home);
        }
        blocked_lock.unlock();
        self.trace.note(cpu, p, What::Returns);
        self.block_task(cpu, home, p, TASK_WAKING);
        true
    }

    /// The donor of `home` leaves. In v7.2 the current task becomes the donor and the CPU picks again
    /// (proxy_reset_donor()); in the draft the idle task becomes it (proxy_resched_idle()).
    fn reset_donor(&self, cpu: Cpu, home: Cpu) {
        if self.config.profile != Profile::V72 {
            self.proxy_resched_idle(cpu, home);
            return;
        }
        self.rqs[home].with(cpu, |inner| inner.donor = inner.curr);
        self.rqs[home].resched_curr();
    }

    /// Reads blocked_on without blocked_lock, as the draft does. Returns whether it is set. The first look of
    /// a wakeup notes what it saw in the trace, and in `wake` a NULL and whether that is the race; at a second
    /// look the wakeup has cleared blocked_on itself.
    fn sees_blocked_on(&self, cpu: Cpu, p: TaskId, episode: Episode, wake: &mut Wake) -> bool {
        let set = self.blocked_on(p) != NULL;
        if std::mem::replace(&mut wake.looked, true) {
            return set;
        }
        self.trace.note(cpu, p, What::SeesBlockedOn(set));
        wake.null = !set;
        if !set && episode.of_state != 0 {
            // The state that matched was stored after the blocked_on of the same episode. If nobody has
            // cleared that blocked_on, the waker has missed its store.
            smp_rmb();
            let episodes = &self.tasks[p].episodes;
            let cleared = episodes.cleared.load(ProbeOrdering::Acquire) as u16;
            let passed = episodes.began.load(ProbeOrdering::Relaxed).wrapping_sub(episode.began);
            // Episodes count modulo 2^16. A waker that the host took off its CPU for thousands of episodes
            // cannot tell any more, so it reports no race.
            wake.race = passed < 1 << 14 && (episode.of_state.wrapping_sub(cleared) as i16) > 0;
        }
        set
    }

    /// select_task_rq(): the CPU where the task ran last, if it may run there; otherwise the lowest CPU of
    /// its mask.
    pub fn select_task_rq(&self, p: TaskId) -> Cpu {
        let other = &self.tasks[p].other;
        let last = other.wake_cpu.load(Ordering::Relaxed);
        if other.cpus_mask >> last & 1 == 1 { last } else { other.cpus_mask.trailing_zeros() as usize }
    }

    /// ttwu_queue_wakelist(): leaves the rest of the wakeup to `target`. Returns false if this CPU must do
    /// it: the task is for this CPU or may not run on `target`.
    fn ttwu_queue_wakelist(&self, cpu: Cpu, p: TaskId, target: Cpu) -> bool {
        if target == cpu || self.tasks[p].other.cpus_mask >> target & 1 == 0 {
            return false;
        }
        let list = &self.rqs[target].wake_list;
        list.lock.lock(cpu);
        // SAFETY: the lock protects the list, and this context has just taken it.
        unsafe { list.tasks.with(|tasks| tasks.push_back(p)) };
        list.pending.store(true, Ordering::Relaxed);
        list.lock.unlock();
        self.trace.note(cpu, p, What::QueuedFor(target));
        true
    }

    /// sched_ttwu_pending(): completes the wakeups on this CPU's wake list. Nobody holds their pi_lock; the
    /// state TASK_WAKING keeps other wakers away.
    pub fn sched_ttwu_pending(&self, cpu: Cpu) {
        let list = &self.rqs[cpu].wake_list;
        if !list.pending.load(Ordering::Relaxed) {
            return;
        }
        let rq = &self.rqs[cpu];
        rq.lock.lock(cpu);
        while let Some(p) = self.next_pending(cpu) {
            let other = &self.tasks[p].other;
            let mut spin = Spin::new();
            while smp_load_acquire(&other.on_cpu) != 0 {
                spin.turn();
            }
            if other.cpu.load(Ordering::Relaxed) != cpu {
                self.__set_task_cpu(p, cpu);
            }
            self.ttwu_do_activate(cpu, cpu, p);
        }
        rq.lock.unlock();
    }

    /// Takes the first task off this CPU's wake list.
    fn next_pending(&self, cpu: Cpu) -> Option<TaskId> {
        let list = &self.rqs[cpu].wake_list;
        list.lock.lock(cpu);
        // SAFETY: the lock protects the list, and this context has just taken it.
        let next = unsafe { list.tasks.with(std::collections::VecDeque::pop_front) };
        if next.is_none() {
            list.pending.store(false, Ordering::Relaxed);
        }
        list.lock.unlock();
        next
    }
}
