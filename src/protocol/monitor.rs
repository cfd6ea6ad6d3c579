//! Watches a run: whether every task moves, and who is lost.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::dump::dump;
use super::plan::Plan;
use super::run::{LOOK, Stuck, unexpected};
use super::world::World;
use crate::kernel::harm::Harm;
use crate::kernel::task::TaskLayout;
use crate::kernel::{Profile, TASK_RUNNING, TaskId};

/// Watches that every task moves.
pub(super) struct Monitor<'w, T: TaskLayout> {
    world: &'w World<T>,
    watchdog: Duration,
    /// The switches of each task when it was last seen to move, and when.
    moved: Vec<(u64, Instant)>,
    /// Tasks that were lost and put back.
    pub rescued: u64,
    /// Of these, those whose blocked_on a wakeup had missed and nobody had put right.
    pub rescued_races: u64,
}

impl<'w, T: TaskLayout> Monitor<'w, T> {
    /// Begins to watch.
    pub fn new(world: &'w World<T>, plan: &Plan) -> Monitor<'w, T> {
        let moved = vec![(0, Instant::now()); world.kernel.tasks.len()];
        Monitor { world, watchdog: plan.watchdog, moved, rescued: 0, rescued_races: 0 }
    }

    /// Looks at every task: why the run ends, if it does.
    pub fn look(&mut self) -> Option<Stuck> {
        let kernel = &self.world.kernel;
        for task in self.world.tasks() {
            let switches = kernel.tasks[task].probe.switches.load(Ordering::Relaxed);
            let (before, since) = self.moved[task];
            if switches != before {
                self.moved[task] = (switches, Instant::now());
                continue;
            }
            let still = since.elapsed();
            if still > 4 * LOOK {
                self.lost(task);
            }
            // A task that runs alone on its CPU is never switched to; somebody has to be kept from moving.
            if still > self.watchdog && kernel.tasks[task].probe.running.load(Ordering::Relaxed) == 0 {
                kernel.trace.freeze();
                let what = format!("task {task} has not moved for {:.1} s", still.as_secs_f64());
                return Some(Stuck { what, state: dump(kernel) });
            }
        }
        unexpected(kernel)
    }

    /// Counts a task that is off the runqueue, yet RUNNING: nothing will ever wake it. In the draft it is put back, so that the run can go
    /// on and count more; that does not make it less of a loss.
    fn lost(&mut self, task: TaskId) {
        let kernel = &self.world.kernel;
        let context = self.world.monitor();
        let fields = &kernel.tasks[task].fields;
        // With pi_lock no wakeup is under way; a lock that is taken is looked at again the next time.
        if !fields.pi_lock().try_lock(context) {
            return;
        }
        if self.is_lost(task) {
            kernel.harm(context, task, Harm::H4);
            if kernel.config.profile == Profile::Draft {
                self.rescue(task);
            }
        }
        fields.pi_lock().unlock();
    }

    /// In this order: who is on no CPU and on no runqueue stays so without a wakeup, and its state cannot change.
    fn is_lost(&self, task: TaskId) -> bool {
        let kernel = &self.world.kernel;
        let asleep = kernel.tasks[task].other.on_cpu.load(Ordering::Acquire) == 0
            && kernel.tasks[task].fields.on_rq().load(Ordering::Acquire) == 0;
        asleep && kernel.state(task) == TASK_RUNNING
    }

    fn rescue(&mut self, task: TaskId) {
        let kernel = &self.world.kernel;
        let context = self.world.monitor();
        // A race that ends here was healed by nobody.
        let raced = kernel.tasks[task].probe.raced_at.swap(0, Ordering::Relaxed) != 0;
        let target = kernel.select_task_rq(task);
        kernel.clear_task_blocked_on(context, task, None, crate::kernel::heal::Healer::Waker);
        kernel.__set_task_cpu(task, target);
        kernel.rqs[target].lock.lock(context);
        kernel.activate_task(context, target, task);
        kernel.rqs[target].lock.unlock();
        self.rescued += 1;
        self.rescued_races += u64::from(raced);
    }
}
