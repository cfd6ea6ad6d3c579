//! Runs a plan: a thread per CPU, and a monitor that watches that every task moves.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crossbeam_utils::CachePadded;
use hdrhistogram::Histogram;

use super::dump::dump;
use super::plan::{Habits, Plan};
use super::workload::{Context, Next, Random, Wakes, interrupt};
use crate::error::{Error, Result};
use crate::kernel::harm::Harm;
use crate::kernel::heal::Healer;
use crate::kernel::sync::{Guarded, Spin};
use crate::kernel::task::{LayoutArm64, LayoutPacked, LayoutPadded, LayoutPpc, LayoutRiscv, LayoutX86, TaskLayout};
use crate::kernel::{Config, Cpu, Kernel, Profile, TASK_RUNNING};
use crate::machine;

/// Counts so far.
#[derive(Debug, Clone, Copy, Default)]
pub struct Progress {
    /// Since the beginning.
    pub elapsed: Duration,
    /// Times that a task went to sleep on a mutex.
    pub rounds: u64,
    /// Wakeups issued.
    pub wakes: u64,
    /// Races.
    pub races: u64,
}

/// What came out.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// Since the beginning.
    pub elapsed: Duration,
    /// Times that a task went to sleep on a mutex.
    pub rounds: u64,
    /// Locks acquired.
    pub acquired: u64,
    /// Wakeups issued, and how they ended.
    pub issued: u64,
    /// The state did not match.
    pub no_match: u64,
    /// The task was queued still.
    pub runnable: u64,
    /// The task was put on a runqueue.
    pub activated: u64,
    /// Dropped by a mutant.
    pub dropped: u64,
    /// Matches with blocked_on read as NULL, for whatever reason.
    pub nulls: u64,
    /// Of these, the race: its store was not seen though the state behind it was.
    pub races: u64,
    /// Races of tasks that were queued still, which leave blocked_on behind a RUNNING task, by who healed them.
    pub healed: [u64; Healer::ALL.len()],
    /// How long that took, in ticks.
    pub heal_ticks: Histogram<u64>,
    /// Tasks that were not healed when it ended.
    pub unhealed: u64,
    /// Harms and broken claims.
    pub harms: Vec<(Harm, u64)>,
    /// Tasks that the monitor put back onto a runqueue after they were lost; in the draft alone.
    pub rescued: u64,
    /// Why it ended early, if a task was stuck or a harm was seen that must not be.
    pub stuck: Option<Stuck>,
    /// Whether it was interrupted.
    pub interrupted: bool,
}

/// Why a run ended early, with everything there is to know.
#[derive(Debug, Clone)]
pub struct Stuck {
    /// What happened.
    pub what: String,
    /// The state of CPUs, tasks and locks, and the last events.
    pub state: String,
}

/// How often the monitor looks.
const LOOK: Duration = Duration::from_millis(50);
/// How long tasks run on without interrupts before a run ends, so that who was just woken gets to heal.
const SETTLING: Duration = Duration::from_millis(20);
/// How long the threads get to end by themselves.
const ENDING: Duration = Duration::from_secs(3);
/// Steps of a task between two looks at whether to stop.
const STEPS: u32 = 64;

struct World<T: TaskLayout> {
    kernel: Kernel<T>,
    contexts: Vec<Guarded<Context>>,
    inside: Vec<AtomicU64>,
    wakes: Vec<CachePadded<Wakes>>,
    stop: AtomicBool,
    /// No more interrupts: what is under way comes to its end.
    quiet: AtomicBool,
    ended: AtomicUsize,
    failed: AtomicBool,
}

/// Runs a plan. `watch` sees the counts a few times a second.
///
/// # Errors
/// If threads cannot be started or pinned.
pub fn run(plan: &Plan, interrupt: &AtomicBool, watch: impl FnMut(&Progress)) -> Result<Outcome> {
    match plan.layout {
        LayoutX86::NAME => run_with::<LayoutX86>(plan, interrupt, watch),
        LayoutArm64::NAME => run_with::<LayoutArm64>(plan, interrupt, watch),
        LayoutPpc::NAME => run_with::<LayoutPpc>(plan, interrupt, watch),
        LayoutRiscv::NAME => run_with::<LayoutRiscv>(plan, interrupt, watch),
        LayoutPacked::NAME => run_with::<LayoutPacked>(plan, interrupt, watch),
        LayoutPadded::NAME => run_with::<LayoutPadded>(plan, interrupt, watch),
        other => Err(Error::Usage(format!("--layout: unknown layout '{other}'"))),
    }
}

fn run_with<T: TaskLayout + 'static>(
    plan: &Plan,
    interrupt: &AtomicBool,
    mut watch: impl FnMut(&Progress),
) -> Result<Outcome> {
    let habits = plan.variant.habits();
    let cpus = plan.cpus.len();
    let config = Config { profile: plan.profile, mutant: plan.mutant, store: plan.store, spins: plan.variant.spins() };
    let with_tasks = if habits.everywhere { cpus } else { 1 };
    let homes: Vec<u64> = (0..with_tasks * plan.tasks).map(|task| 1 << (task % with_tasks)).collect();
    // The monitor is a context of its own.
    let kernel: Kernel<T> = Kernel::new(config, cpus, cpus + 1, &homes, habits.mutexes);
    let world = Arc::new(World {
        contexts: (0..kernel.tasks.len()).map(|task| Guarded::new(Context::new(plan.seed, task))).collect(),
        inside: (0..habits.mutexes).map(|_| AtomicU64::new(0)).collect(),
        wakes: (0..cpus).map(|_| CachePadded::default()).collect(),
        stop: AtomicBool::new(false),
        quiet: AtomicBool::new(false),
        ended: AtomicUsize::new(0),
        failed: AtomicBool::new(false),
        kernel,
    });
    for task in cpus..world.kernel.tasks.len() {
        world.kernel.wake_up_new_task(cpus, task);
    }
    let started = Instant::now();
    let mut threads = Vec::new();
    for (cpu, host_cpu) in plan.cpus.iter().copied().enumerate() {
        let world = Arc::clone(&world);
        let random = Random::new(plan.seed, 1000 + cpu as u64);
        let body = move || {
            if machine::pin_to(host_cpu).is_err() {
                world.failed.store(true, Ordering::Relaxed);
                world.stop.store(true, Ordering::Relaxed);
            } else {
                cpu_loop(&world, cpu, &habits, random);
            }
            world.ended.fetch_add(1, Ordering::Release);
        };
        let spawned = std::thread::Builder::new().name(format!("CPU {cpu}")).spawn(body);
        threads.push(spawned.map_err(Error::io("starting a thread"))?);
    }

    let mut monitor = Monitor::new(&world, plan);
    let mut stuck = None;
    let mut interrupted = false;
    while stuck.is_none() && started.elapsed() < plan.duration && !world.stop.load(Ordering::Relaxed) {
        std::thread::sleep(LOOK.min(plan.duration.saturating_sub(started.elapsed())));
        watch(&progress(&world, started));
        interrupted = interrupt.load(Ordering::Relaxed);
        if interrupted {
            break;
        }
        stuck = monitor.look();
    }
    let elapsed = started.elapsed();
    world.quiet.store(true, Ordering::Relaxed);
    std::thread::sleep(SETTLING);
    world.stop.store(true, Ordering::Relaxed);
    // A thread that waits for a lock nobody frees never ends; then what it holds is not waited for.
    let asked = Instant::now();
    while world.ended.load(Ordering::Acquire) < cpus && asked.elapsed() < ENDING {
        std::thread::sleep(Duration::from_millis(1));
    }
    if world.failed.load(Ordering::Relaxed) {
        return Err(Error::Host(format!("cannot pin to the CPUs {}", machine::format_cpu_list(&plan.cpus))));
    }
    if world.ended.load(Ordering::Acquire) == cpus {
        for thread in threads {
            let joined = thread.join();
            joined.map_err(|_| Error::Internal("a thread of the protocol panicked".to_owned()))?;
        }
    } else if stuck.is_none() {
        stuck = Some(Stuck { what: "a CPU does not come back".to_owned(), state: dump(&world.kernel) });
    }
    if stuck.is_none() {
        stuck = unexpected(&world.kernel);
    }
    let mut outcome = collect(&world, elapsed, monitor.rescued);
    outcome.stuck = stuck;
    outcome.interrupted = interrupted;
    Ok(outcome)
}

fn cpu_loop<T: TaskLayout>(world: &World<T>, cpu: Cpu, habits: &Habits, mut random: Random) {
    let World { kernel, wakes, .. } = world;
    let wakes: &Wakes = &wakes[cpu];
    let mut current = cpu;
    let mut spin = Spin::new();
    while !world.stop.load(Ordering::Relaxed) {
        if kernel.is_idle(current) {
            if kernel.rqs[cpu].nr_running.load(Ordering::Relaxed) > 0 {
                current = kernel.__schedule(cpu, false);
            }
            if !world.quiet.load(Ordering::Relaxed) {
                interrupt(kernel, cpu, None, habits, &mut random, wakes);
            }
            spin.turn();
            continue;
        }
        for _ in 0..STEPS {
            // SAFETY: a task's context belongs to the CPU that runs it; on_cpu hands it from one to the next, and H10
            // counts if it ever had two.
            let next = unsafe {
                world.contexts[current].with(|own| own.step(kernel, cpu, current, habits, &world.inside, wakes))
            };
            match next {
                Next::Continue => {}
                Next::Schedule => current = kernel.__schedule(cpu, false),
                Next::Preempt => current = kernel.__schedule(cpu, true),
            }
            if kernel.is_idle(current) {
                break;
            }
            let disturbed = habits.everywhere && !world.quiet.load(Ordering::Relaxed);
            if disturbed && random.below(habits.wakes as usize) == 0 {
                interrupt(kernel, cpu, Some(current), habits, &mut random, wakes);
            }
        }
    }
}

fn sum<T: TaskLayout>(world: &World<T>, of: impl Fn(&Wakes) -> &AtomicU64) -> u64 {
    world.wakes.iter().map(|wakes| of(wakes).load(Ordering::Relaxed)).sum()
}

fn progress<T: TaskLayout>(world: &World<T>, started: Instant) -> Progress {
    Progress {
        elapsed: started.elapsed(),
        rounds: sum(world, |w| &w.rounds),
        wakes: sum(world, |w| &w.issued),
        races: sum(world, |w| &w.races),
    }
}

fn collect<T: TaskLayout>(world: &World<T>, elapsed: Duration, rescued: u64) -> Outcome {
    let kernel = &world.kernel;
    let (healed, heal_ticks) = kernel.heals.total();
    let unhealed = kernel.tasks.iter().filter(|task| task.probe.raced_at.load(Ordering::Relaxed) != 0).count();
    Outcome {
        elapsed,
        rounds: sum(world, |w| &w.rounds),
        acquired: sum(world, |w| &w.acquired),
        issued: sum(world, |w| &w.issued),
        no_match: sum(world, |w| &w.no_match),
        runnable: sum(world, |w| &w.runnable),
        activated: sum(world, |w| &w.activated),
        dropped: sum(world, |w| &w.dropped),
        nulls: sum(world, |w| &w.nulls),
        races: sum(world, |w| &w.races),
        healed,
        heal_ticks,
        unhealed: unhealed as u64,
        harms: Harm::ALL.into_iter().map(|harm| (harm, kernel.harms.of(harm))).collect(),
        rescued,
        stuck: None,
        interrupted: false,
    }
}

fn unexpected<T: TaskLayout>(kernel: &Kernel<T>) -> Option<Stuck> {
    let harm = kernel.harms.unexpected(kernel.config.profile).first().copied()?;
    Some(Stuck { what: format!("{harm}: {}", harm.text()), state: dump(kernel) })
}

/// Watches that every task moves.
struct Monitor<'w, T: TaskLayout> {
    world: &'w World<T>,
    watchdog: Duration,
    /// The switches of each task when it was last seen to move, and when.
    moved: Vec<(u64, Instant)>,
    rescued: u64,
}

impl<'w, T: TaskLayout> Monitor<'w, T> {
    fn new(world: &'w World<T>, plan: &Plan) -> Monitor<'w, T> {
        let moved = vec![(0, Instant::now()); world.kernel.tasks.len()];
        Monitor { world, watchdog: plan.watchdog, moved, rescued: 0 }
    }

    fn look(&mut self) -> Option<Stuck> {
        let kernel = &self.world.kernel;
        for task in kernel.rqs.len()..kernel.tasks.len() {
            let switches = kernel.tasks[task].probe.switches.load(Ordering::Relaxed);
            let (before, since) = self.moved[task];
            if switches != before {
                self.moved[task] = (switches, Instant::now());
                continue;
            }
            let still = since.elapsed();
            // Off the runqueue, yet RUNNING: nothing will ever wake it.
            if still > 4 * LOOK && self.is_lost(task) {
                kernel.harm(kernel.rqs.len(), task, Harm::H4);
                if kernel.config.profile != Profile::Draft {
                    break;
                }
                self.rescue(task);
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

    fn is_lost(&self, task: usize) -> bool {
        use crate::kernel::sync::Ordering;
        let kernel = &self.world.kernel;
        let fields = &kernel.tasks[task].fields;
        kernel.state(task) == TASK_RUNNING
            && fields.on_rq().load(Ordering::Relaxed) == 0
            && kernel.tasks[task].other.on_cpu.load(Ordering::Relaxed) == 0
    }

    /// Puts a lost task back, so that the run can go on and count more.
    fn rescue(&mut self, task: usize) {
        let kernel = &self.world.kernel;
        let context = kernel.rqs.len();
        let fields = &kernel.tasks[task].fields;
        fields.pi_lock().lock(context);
        if self.is_lost(task) {
            let target = kernel.select_task_rq(task);
            kernel.clear_task_blocked_on(context, task, None, Healer::Waker);
            kernel.__set_task_cpu(task, target);
            kernel.rqs[target].lock.lock(context);
            kernel.activate_task(context, target, task);
            kernel.rqs[target].lock.unlock();
            self.rescued += 1;
        }
        fields.pi_lock().unlock();
    }
}
