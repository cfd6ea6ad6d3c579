//! The monitor of a run: it checks that every task makes progress, and finds lost tasks.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::dump::dump;
use super::plan::Plan;
use super::run::{LOOK, Stuck, unexpected};
use super::world::World;
use crate::kernel::harm::Harm;
use crate::kernel::task::TaskLayout;
use crate::kernel::{TASK_RUNNING, TaskId};

/// Checks regularly that every task is switched to, and counts lost tasks.
pub(super) struct Monitor<'w, T: TaskLayout> {
    world: &'w World<T>,
    watchdog: Duration,
    /// For each task its number of switches when that number last changed, and the time of that look.
    moved: Vec<(u64, Instant)>,
    /// The number of lost tasks that were put back onto a runqueue.
    pub rescued: u64,
    /// How many of these tasks were lost with a race that nobody had healed.
    pub rescued_races: u64,
}

impl<'w, T: TaskLayout> Monitor<'w, T> {
    /// A monitor that starts now.
    pub fn new(world: &'w World<T>, plan: &Plan) -> Monitor<'w, T> {
        let moved = vec![(0, Instant::now()); world.kernel.tasks.len()];
        Monitor { world, watchdog: plan.watchdog, moved, rescued: 0, rescued_races: 0 }
    }

    /// Looks at every task. Returns the reason to end the run, if there is one.
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
            // A task that runs alone on its CPU is never switched to. So only a task that does not run counts
            // as stuck.
            if still > self.watchdog && kernel.tasks[task].probe.running.load(Ordering::Relaxed) == 0 {
                kernel.trace.freeze();
                let what = format!("task {task} has not been switched to for {:.1} s", still.as_secs_f64());
                return Some(Stuck { what, state: dump(kernel) });
            }
        }
        unexpected(kernel)
    }

    /// Counts H4 for a task that is off the runqueue yet RUNNING: no wakeup will match it. In the draft the
    /// task is put back onto a runqueue, so that the run can continue. It still counts as lost.
    fn lost(&mut self, task: TaskId) {
        let kernel = &self.world.kernel;
        let context = self.world.monitor();
        let fields = &kernel.tasks[task].fields;
        // While this context holds pi_lock, no wakeup is in progress. If pi_lock is taken, the next look
        // tries again.
        if !fields.pi_lock().try_lock(context) {
            return;
        }
        if self.is_lost(task) && self.stays_lost(task) {
            kernel.harm(context, task, Harm::H4);
            if Harm::H4.expected(kernel.config.profile, kernel.config.mutant) {
                self.rescue(task);
            }
        }
        fields.pi_lock().unlock();
    }

    /// Whether a task is lost. The order of the reads matters: a task that is on no CPU and on no runqueue
    /// stays there without a wakeup, so its state, which is read last, cannot change.
    fn is_lost(&self, task: TaskId) -> bool {
        let kernel = &self.world.kernel;
        let asleep = kernel.tasks[task].other.on_cpu.load(Ordering::Acquire) == 0
            && kernel.tasks[task].fields.on_rq().load(Ordering::Acquire) == 0;
        asleep && kernel.state(task) == TASK_RUNNING
    }

    /// Whether a task is still lost with its runqueue's lock held: the CPU that completes a wakeup from its
    /// wake list holds this lock, but not pi_lock.
    fn stays_lost(&self, task: TaskId) -> bool {
        let home = self.world.kernel.__task_rq_lock(self.world.monitor(), task);
        let lost = self.is_lost(task);
        self.world.kernel.rqs[home].lock.unlock();
        lost
    }

    /// Puts a lost task back onto a runqueue, with blocked_on cleared.
    fn rescue(&mut self, task: TaskId) {
        let kernel = &self.world.kernel;
        let context = self.world.monitor();
        // A race that ends here counts as healed by nobody.
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

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::kernel::task::{LayoutPacked, NULL};
    use crate::kernel::{Mutant, Profile, TASK_UNINTERRUPTIBLE};
    use crate::protocol::Variant;
    use crate::protocol::world::tests::plan;

    /// A world with one task that is RUNNING and on no runqueue, as the draft leaves it after a race.
    fn losing(profile: Profile, mutant: Option<Mutant>) -> (Plan, World<LayoutPacked>, TaskId) {
        let plan = Plan { mutant, ..plan(profile, Variant::Minimal, 1) };
        let world: World<LayoutPacked> = World::new(&plan, Arc::default());
        let (kernel, context, task) = (&world.kernel, world.monitor(), world.tasks().start);
        let home = kernel.tasks[task].other.cpu.load(Ordering::Relaxed);
        kernel.rqs[home].lock.lock(context);
        kernel.dequeue_task(context, home, task);
        kernel.rqs[home].lock.unlock();
        kernel.tasks[task].fields.on_rq().store(0, Ordering::Relaxed);
        kernel.tasks[task].fields.blocked_on().store(1, Ordering::Relaxed);
        kernel.raced(task);
        (plan, world, task)
    }

    fn look(world: &World<LayoutPacked>, plan: &Plan, task: TaskId) -> (u64, u64, u64) {
        let mut monitor = Monitor::new(world, plan);
        monitor.lost(task);
        assert!(world.kernel.tasks[task].fields.pi_lock().holder().is_none());
        (world.kernel.harms.of(Harm::H4), monitor.rescued, monitor.rescued_races)
    }

    #[test]
    fn a_rescue_is_a_loss_and_heals_nothing() {
        let (plan, world, task) = losing(Profile::Draft, None);
        assert_eq!(look(&world, &plan, task), (1, 1, 1));
        let fields = &world.kernel.tasks[task].fields;
        assert_eq!((fields.on_rq().load(Ordering::Relaxed), world.kernel.blocked_on(task)), (1, NULL));
        let (healed, ticks) = world.kernel.heals.total();
        assert_eq!((healed, ticks.len()), ([0; 4], 0));
        // The task is back on a runqueue, so there is no second loss.
        assert_eq!(look(&world, &plan, task), (1, 0, 0));
        // A task that was lost without a race does not count as an unhealed race.
        let (plan, world, task) = losing(Profile::Draft, None);
        world.kernel.tasks[task].probe.raced_at.store(0, Ordering::Relaxed);
        assert_eq!(look(&world, &plan, task), (1, 1, 0));
    }

    #[test]
    fn the_draft_alone_is_rescued() {
        for (profile, mutant) in [(Profile::V71, None), (Profile::Draft, Some(Mutant::Check)), (Profile::V72, None)] {
            let (plan, world, task) = losing(profile, mutant);
            assert_eq!(look(&world, &plan, task), (1, 0, 0), "{profile}");
            let stuck = unexpected(&world.kernel).unwrap();
            assert!(
                stuck.what.starts_with("H4: lost wakeup") && stuck.state.contains("mutex 0: owner"),
                "{}",
                stuck.what
            );
        }
    }

    #[test]
    fn who_runs_is_queued_sleeps_or_is_being_woken_is_not_lost() {
        let not_lost = |act: fn(&World<LayoutPacked>, TaskId)| {
            let (plan, world, task) = losing(Profile::V71, None);
            act(&world, task);
            Monitor::new(&world, &plan).lost(task);
            assert_eq!(world.kernel.harms.of(Harm::H4), 0);
        };
        not_lost(|world, task| world.kernel.tasks[task].other.on_cpu.store(1, Ordering::Relaxed));
        not_lost(|world, task| world.kernel.tasks[task].fields.on_rq().store(1, Ordering::Relaxed));
        not_lost(|world, task| world.kernel.tasks[task].fields.state().store(TASK_UNINTERRUPTIBLE, Ordering::Relaxed));
        not_lost(|world, task| world.kernel.tasks[task].fields.pi_lock().lock(0));
    }

    #[test]
    fn who_does_not_move_for_as_long_as_the_watchdog_ends_the_run() {
        let (plan, world, _) = losing(Profile::Draft, None);
        let patient = Plan { watchdog: Duration::from_secs(3600), ..plan.clone() };
        assert!(Monitor::new(&world, &patient).look().is_none());
        let impatient = Plan { watchdog: Duration::ZERO, ..plan };
        let mut monitor = Monitor::new(&world, &impatient);
        std::thread::sleep(Duration::from_millis(2));
        let stuck = monitor.look().unwrap();
        assert!(stuck.what.contains(" has not been switched to for 0.0 s"), "{}", stuck.what);
        // A task that was switched to is not stuck.
        let mut monitor = Monitor::new(&world, &impatient);
        for task in world.tasks() {
            world.kernel.tasks[task].probe.switches.fetch_add(1, Ordering::Relaxed);
        }
        assert!(monitor.look().is_none());
    }
}
