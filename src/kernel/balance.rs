//! The push path of the real-time and deadline classes: a queued task that does not run moves to another CPU.
//!
//! It reads blocked_on without blocked_lock in every version, v7.2 included: task_is_blocked() in
//! pick_next_pushable_task() and its siblings. So a task that is RUNNING and kept blocked_on set is not
//! pushed until blocked_on is cleared. It stays on its runqueue, so it is not lost.

use super::sync::Ordering;
use super::task::TaskLayout;
use super::trace::What;
use super::{Cpu, Kernel, TASK_ON_RQ_QUEUED, TaskId};

impl<T: TaskLayout> Kernel<T> {
    /// push_rt_task(): moves one task from the runqueue of `cpu` to that of `to`. Returns the task, if one
    /// could move. The caller is the CPU `cpu`; no runqueue's lock is held.
    pub fn push_rt_task(&self, cpu: Cpu, to: Cpu) -> Option<TaskId> {
        if cpu == to {
            return None;
        }
        // double_lock_balance(): the lower CPU's lock first.
        let [first, second] = if cpu < to { [cpu, to] } else { [to, cpu] };
        self.rqs[first].lock.lock(cpu);
        self.rqs[second].lock.lock(cpu);
        let task = self.pick_next_pushable_task(cpu, to);
        if let Some(p) = task {
            self.trace.note(cpu, p, What::Pushes(to));
            self.deactivate_task(cpu, cpu, p);
            self.__set_task_cpu(p, to);
            self.activate_task(cpu, to, p);
            self.rqs[to].resched_curr();
        }
        self.rqs[second].lock.unlock();
        self.rqs[first].lock.unlock();
        task
    }

    /// pick_next_pushable_task(): a queued task that neither runs nor is the donor, may run on `to`, and is
    /// not blocked on a mutex.
    fn pick_next_pushable_task(&self, cpu: Cpu, to: Cpu) -> Option<TaskId> {
        self.rqs[cpu].with(cpu, |inner| {
            let stays = [inner.curr, inner.donor];
            inner.queue.iter().copied().find(|task| {
                !stays.contains(task)
                    && self.tasks[*task].other.cpus_mask >> to & 1 == 1
                    && self.tasks[*task].other.on_cpu.load(Ordering::Relaxed) == 0
                    && self.tasks[*task].fields.on_rq().load(Ordering::Relaxed) == TASK_ON_RQ_QUEUED
                    && !self.sched_delayed(*task)
                    && !self.task_is_blocked(*task)
            })
        })
    }
}
