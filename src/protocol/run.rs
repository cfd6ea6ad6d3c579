//! Runs a plan: a thread per CPU, and a monitor that watches that every task moves.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;

use super::dump::dump;
use super::monitor::Monitor;
use super::plan::Plan;
use super::settle::{Settled, settle};
use super::threads::{ENDING, End, Threads};
use super::workload::{Random, Wakes};
use super::world::{Processor, World};
use crate::error::{Error, Result};
use crate::kernel::harm::Harm;
use crate::kernel::heal::Healer;
use crate::kernel::task::{LayoutArm64, LayoutPacked, LayoutPadded, LayoutPpc, LayoutRiscv, LayoutX86, TaskLayout};
use crate::kernel::{Cpu, Kernel};
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
    /// Races that nobody healed: their tasks kept blocked_on to the end, or were lost and put back by the monitor.
    pub unhealed: u64,
    /// Harms and broken claims.
    pub harms: Vec<(Harm, u64)>,
    /// Tasks that the monitor put back onto a runqueue after they were lost; in the draft alone.
    pub rescued: u64,
    /// Why it ended early, if a task was stuck or a harm was seen that must not be.
    pub stuck: Option<Stuck>,
    /// CPUs whose threads could be neither stopped nor made to leave: they run on beside whatever comes next.
    pub running: Vec<Cpu>,
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
pub(super) const LOOK: Duration = Duration::from_millis(50);
/// How long tasks run on without interrupts before a run ends, so that who was just woken gets to heal.
const SETTLING: Duration = Duration::from_millis(20);
/// How long they do at most, while somebody is not healed: a busy box may keep a CPU from its turn for longer.
const HEALING: Duration = Duration::from_millis(500);

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
    let mut threads = Threads::new();
    let world: Arc<World<T>> = Arc::new(World::new(plan, threads.stop_flag()));
    let started = Instant::now();
    for (cpu, host_cpu) in plan.cpus.iter().copied().enumerate() {
        let world = Arc::clone(&world);
        let random = Random::new(plan.seed, 1000 + cpu as u64);
        threads.start(format!("CPU {cpu}"), None, move || {
            machine::pin_to(host_cpu)?;
            let mut processor = Processor::new(&world, cpu, random);
            while !world.stop.load(Ordering::Relaxed) {
                processor.turn(&world, &world.wakes[cpu]);
            }
            Ok(())
        })?;
    }

    let mut monitor = Monitor::new(&world, plan);
    let mut stuck = None;
    let mut interrupted = false;
    while stuck.is_none() && started.elapsed() < plan.duration && !threads.any_ended() {
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
    let calm = Instant::now();
    while calm.elapsed() < SETTLING || (unhealed(&world.kernel) > 0 && calm.elapsed() < HEALING) {
        std::thread::sleep(Duration::from_millis(1));
    }
    if !threads.stop(ENDING) {
        // Before they leave what they wait in: it shows where they were.
        stuck.get_or_insert_with(|| Stuck { what: "a CPU does not come back".to_owned(), state: dump(&world.kernel) });
        threads.leave(ENDING);
    }
    let ended = Ended::of(threads.join(), plan)?;
    if let Some(what) = ended.panicked {
        stuck.get_or_insert_with(|| Stuck { what, state: dump(&world.kernel) });
    }
    let mut outcome = collect(&world, elapsed, &monitor);
    outcome.running = ended.running;
    stuck = stuck.or_else(|| unexpected(&world.kernel));
    if ended.whole {
        let lost = look_after(&world)?;
        stuck = stuck.or(lost);
    }
    outcome.stuck = stuck.or_else(|| unexpected(&world.kernel));
    outcome.harms = Harm::ALL.into_iter().map(|harm| (harm, world.kernel.harms.of(harm))).collect();
    outcome.interrupted = interrupted;
    Ok(outcome)
}

/// How the CPUs' threads ended, all of them together.
struct Ended {
    /// All came to their end by themselves: nothing is half done.
    whole: bool,
    panicked: Option<String>,
    running: Vec<Cpu>,
}

impl Ended {
    /// # Errors
    /// If a thread could not do its work.
    fn of(ends: Vec<End>, plan: &Plan) -> Result<Ended> {
        let mut ended = Ended { whole: true, panicked: None, running: Vec::new() };
        for (cpu, end) in ends.into_iter().enumerate() {
            ended.whole &= matches!(end, End::Done);
            match end {
                End::Done | End::Left => {}
                End::Running => ended.running.push(cpu),
                End::Panicked(text) => {
                    ended.panicked.get_or_insert_with(|| format!("CPU {cpu} panicked: {text}"));
                }
                End::Failed(error) => {
                    let cpus = machine::format_cpu_list(&plan.cpus);
                    return Err(Error::Host(format!("cannot pin to the CPUs {cpus}: {error}")));
                }
            }
        }
        Ok(ended)
    }
}

/// The check at the end: counts every task that is lost. Why the run is stuck, if that must not be in this profile.
fn look_after<T: TaskLayout + 'static>(world: &Arc<World<T>>) -> Result<Option<Stuck>> {
    let kernel = &world.kernel;
    let state = dump(kernel);
    // What heals from here on took its time because the CPUs were stopped.
    for task in &kernel.tasks {
        task.probe.raced_at.store(0, Ordering::Relaxed);
    }
    let what = match settle(world)? {
        Settled::Lost(lost) => {
            for task in lost.keys() {
                kernel.harm(world.monitor(), *task, Harm::H4);
            }
            let what: Vec<String> = lost.into_values().collect();
            if what.is_empty() || Harm::H4.expected(kernel.config.profile) {
                return Ok(None);
            }
            format!("{}: when the run ended {}", Harm::H4, what.join(", "))
        }
        Settled::Hangs => "after the run a CPU does not come back".to_owned(),
        Settled::Panicked(text) => format!("after the run a CPU panicked: {text}"),
    };
    Ok(Some(Stuck { what, state }))
}

/// Tasks whose blocked_on a wakeup has missed, and which nobody has put right.
fn unhealed<T: TaskLayout>(kernel: &Kernel<T>) -> u64 {
    kernel.tasks.iter().filter(|task| task.probe.raced_at.load(Ordering::Relaxed) != 0).count() as u64
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

fn collect<T: TaskLayout>(world: &World<T>, elapsed: Duration, monitor: &Monitor<'_, T>) -> Outcome {
    let kernel = &world.kernel;
    let (healed, heal_ticks) = kernel.heals.total();
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
        unhealed: unhealed(kernel) + monitor.rescued_races,
        harms: Vec::new(),
        rescued: monitor.rescued,
        stuck: None,
        running: Vec::new(),
        interrupted: false,
    }
}

pub(super) fn unexpected<T: TaskLayout>(kernel: &Kernel<T>) -> Option<Stuck> {
    let harm = kernel.harms.unexpected(kernel.config.profile).first().copied()?;
    Some(Stuck { what: format!("{harm}: {}", harm.text()), state: dump(kernel) })
}
