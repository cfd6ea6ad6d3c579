//! The state that the threads of a run share, and one turn of a CPU.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, TryLockError};

use crossbeam_utils::CachePadded;

use super::plan::{Habits, Plan};
use super::workload::{Context, Next, Random, Site, Timers, Wakes, interrupt};
use crate::kernel::harm::Harm;
use crate::kernel::sched::SchedMode;
use crate::kernel::sync::Spin;
use crate::kernel::task::TaskLayout;
use crate::kernel::{Config, Cpu, Kernel, TASK_NORMAL, TaskId};

/// The number of task steps between two reads of the stop flag.
const STEPS: u32 = 64;

/// The state that the CPUs and the monitor share.
pub(super) struct World<T: TaskLayout> {
    pub kernel: Kernel<T>,
    pub habits: Habits,
    /// The state of each task between its steps. The protocol promises that only the CPU that runs a task
    /// uses its context. This promise is under test, so each context has its own lock. The lock is free as
    /// long as the promise holds.
    pub contexts: Vec<Mutex<Context>>,
    /// For each mutex the task that holds it, plus one; 0 if none does.
    pub inside: Vec<AtomicU64>,
    /// The timers of each CPU.
    pub timers: Vec<CachePadded<Timers>>,
    /// The counts of each CPU.
    pub wakes: Vec<CachePadded<Wakes>>,
    pub stop: Arc<AtomicBool>,
    /// Set at the end of a run: no more interrupts, so that everything in progress can finish.
    pub quiet: AtomicBool,
}

impl<T: TaskLayout> World<T> {
    /// The initial state of a plan, with every task on its runqueue.
    pub fn new(plan: &Plan, stop: Arc<AtomicBool>) -> World<T> {
        let habits = plan.variant.habits();
        let cpus = plan.cpus.len();
        let config = Config {
            profile: plan.profile,
            mutant: plan.mutant,
            store: plan.store,
            spins: plan.variant.spins(),
            features: plan.variant.features(),
        };
        let with_tasks = if habits.everywhere { cpus } else { 1 };
        let everywhere = u64::MAX >> (u64::BITS as usize - cpus);
        let mask = |task: usize| if habits.wide { everywhere } else { 1 << (task % with_tasks) };
        let homes: Vec<u64> = (0..with_tasks * plan.tasks).map(mask).collect();
        // The monitor is one more context.
        let kernel: Kernel<T> = Kernel::new(config, cpus, cpus + 1, &homes, habits.mutexes);
        let world = World {
            contexts: (0..kernel.tasks.len()).map(|task| Mutex::new(Context::new(plan.seed, task))).collect(),
            inside: (0..habits.mutexes).map(|_| AtomicU64::new(0)).collect(),
            timers: (0..cpus).map(|_| CachePadded::default()).collect(),
            wakes: (0..cpus).map(|_| CachePadded::default()).collect(),
            stop,
            quiet: AtomicBool::new(false),
            habits,
            kernel,
        };
        for task in world.tasks() {
            world.kernel.wake_up_new_task(world.monitor(), task);
        }
        world
    }

    /// The tasks other than the idle tasks.
    pub fn tasks(&self) -> std::ops::Range<TaskId> {
        self.kernel.rqs.len()..self.kernel.tasks.len()
    }

    /// Where the task `me` runs its steps on `cpu`.
    fn site<'w>(&'w self, cpu: Cpu, me: TaskId, wakes: &'w Wakes) -> Site<'w, T> {
        let World { kernel, habits, inside, timers, .. } = self;
        Site { kernel, habits, inside, timers: &timers[cpu], cpu, me, wakes }
    }

    /// The context number of the monitor.
    pub fn monitor(&self) -> Cpu {
        self.kernel.rqs.len()
    }
}

/// A CPU between two turns.
pub(super) struct Processor {
    pub cpu: Cpu,
    current: TaskId,
    random: Random,
    spin: Spin,
}

impl Processor {
    /// A CPU that continues with the current task of its runqueue.
    pub fn new<T: TaskLayout>(world: &World<T>, cpu: Cpu, random: Random) -> Processor {
        Processor { cpu, current: world.kernel.__current(cpu), random, spin: Spin::new() }
    }

    /// Runs some steps and counts into `wakes`. If another CPU is inside the context of the current task,
    /// this counts H10 and ends the run.
    pub fn turn<T: TaskLayout>(&mut self, world: &World<T>, wakes: &Wakes) {
        let World { kernel, habits, .. } = world;
        if kernel.is_idle(self.current) {
            self.pending(world, None, wakes);
            if kernel.rqs[self.cpu].nr_running.load(Ordering::Relaxed) > 0 {
                self.current = kernel.__schedule(self.cpu, SchedMode::None);
            }
            if !world.quiet.load(Ordering::Relaxed) {
                interrupt(kernel, self.cpu, None, habits, &mut self.random, wakes);
            }
            self.spin.turn();
            return;
        }
        let mut steps = 0;
        while steps < STEPS && !kernel.is_idle(self.current) {
            let Some(mode) = self.stay(world, wakes, &mut steps) else { return };
            self.current = match mode {
                SchedMode::None => kernel.schedule(self.cpu, self.current),
                SchedMode::Preempt => kernel.__schedule(self.cpu, SchedMode::Preempt),
            };
            self.interrupted(world, wakes);
        }
    }

    /// Runs the current task until it leaves the CPU. Returns how it leaves, or `None` if it does not leave
    /// yet.
    fn stay<T: TaskLayout>(&mut self, world: &World<T>, wakes: &Wakes, steps: &mut u32) -> Option<SchedMode> {
        let kernel = &world.kernel;
        let mut context = match world.contexts[self.current].try_lock() {
            Ok(context) => context,
            // The CPU that ran this task panicked, and the run is ending.
            Err(TryLockError::Poisoned(_)) => {
                world.stop.store(true, Ordering::Relaxed);
                return None;
            }
            Err(TryLockError::WouldBlock) => {
                kernel.harm(self.cpu, self.current, Harm::H10);
                world.stop.store(true, Ordering::Relaxed);
                return None;
            }
        };
        let site = world.site(self.cpu, self.current, wakes);
        while *steps < STEPS {
            *steps += 1;
            match context.step(&site) {
                Next::Continue => self.interrupted(world, wakes),
                Next::Schedule => return Some(SchedMode::None),
                Next::Preempt => return Some(SchedMode::Preempt),
            }
            if kernel.rqs[self.cpu].need_resched() {
                return Some(SchedMode::Preempt);
            }
        }
        None
    }

    /// Runs an interrupt between two steps of a task, once in `wakes` steps on average.
    fn interrupted<T: TaskLayout>(&mut self, world: &World<T>, wakes: &Wakes) {
        let World { kernel, habits, .. } = world;
        let current = Some(self.current).filter(|task| !kernel.is_idle(*task));
        self.pending(world, current, wakes);
        let disturbed = habits.everywhere && !world.quiet.load(Ordering::Relaxed) && current.is_some();
        if disturbed && self.random.below(habits.wakes as usize) == 0 {
            interrupt(kernel, self.cpu, current, habits, &mut self.random, wakes);
        }
    }

    /// Completes the wakeups on this CPU's wake list, and lets a timer expire.
    fn pending<T: TaskLayout>(&mut self, world: &World<T>, current: Option<TaskId>, wakes: &Wakes) {
        let World { kernel, habits, .. } = world;
        if kernel.config.features.wake_list {
            kernel.sched_ttwu_pending(self.cpu);
        }
        // A timer expires after some steps of its CPU.
        if habits.naps > 0 && self.random.below(4) == 0 {
            let expired = world.timers[self.cpu].expire();
            if let Some(task) = expired {
                wakes.counted(|| kernel.try_to_wake_up(self.cpu, current, task, TASK_NORMAL));
            }
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::kernel::task::LayoutPacked;
    use crate::kernel::{BlockedOnStore, Profile};
    use crate::protocol::Variant;

    pub(in crate::protocol) fn plan(profile: Profile, variant: Variant, seed: u64) -> Plan {
        Plan {
            profile,
            mutant: None,
            store: BlockedOnStore::Plain,
            variant,
            layout: "packed",
            cpus: vec![0, 0],
            tasks: 2,
            duration: std::time::Duration::ZERO,
            watchdog: std::time::Duration::from_secs(5),
            seed,
        }
    }

    #[test]
    fn a_second_cpu_in_a_task_is_counted_and_ends_the_run() {
        let world: World<LayoutPacked> = World::new(&plan(Profile::V71, Variant::Minimal, 1), Arc::default());
        let mut processor = Processor::new(&world, 0, Random::new(1, 1));
        processor.turn(&world, &world.wakes[0]);
        assert!(!world.kernel.is_idle(processor.current) && !world.stop.load(Ordering::Relaxed));
        let elsewhere = world.contexts[processor.current].lock().unwrap();
        let before = world.wakes[0].acquired.load(Ordering::Relaxed);
        processor.turn(&world, &world.wakes[0]);
        assert_eq!(world.kernel.harms.of(Harm::H10), 1);
        assert!(world.stop.load(Ordering::Relaxed));
        assert_eq!(world.wakes[0].acquired.load(Ordering::Relaxed), before, "the second CPU ran the task");
        drop(elsewhere);
    }
}
