//! Runs a plan: one thread per CPU, and a monitor that checks that every task makes progress.

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
use crate::kernel::task::{TaskLayout, WithLayout, with_layout};
use crate::kernel::{Cpu, Kernel};
use crate::machine;

/// The counts so far, for a progress display.
#[derive(Debug, Clone, Copy, Default)]
pub struct Progress {
    /// The time since the start of the run.
    pub elapsed: Duration,
    /// Times that a task went to sleep on a mutex.
    pub rounds: u64,
    /// Wakeups issued.
    pub wakes: u64,
    /// Races seen.
    pub races: u64,
}

/// The result of a run.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// The time from the start of the run to its end.
    pub elapsed: Duration,
    /// Times that a task went to sleep on a mutex.
    pub rounds: u64,
    /// Locks acquired.
    pub acquired: u64,
    /// Wakeups issued. The next four counts say how they ended.
    pub issued: u64,
    /// Wakeups whose state did not match.
    pub no_match: u64,
    /// Wakeups that found the task still queued, or that the task gave itself.
    pub runnable: u64,
    /// Wakeups that put the task on a runqueue.
    pub activated: u64,
    /// Wakeups that a mutant dropped.
    pub dropped: u64,
    /// Matches that read blocked_on as NULL, for any reason.
    pub nulls: u64,
    /// How many of these are races: the waker saw the state but missed the earlier store of blocked_on.
    pub races: u64,
    /// Healed races, by healer. These are races of tasks that were still queued; they leave a RUNNING task
    /// with blocked_on set.
    pub healed: [u64; Healer::ALL.len()],
    /// The times from such a race to its healing, in ticks.
    pub heal_ticks: Histogram<u64>,
    /// Races that nobody healed: the task kept blocked_on to the end, or was lost and put back by the
    /// monitor.
    pub unhealed: u64,
    /// The count of each harm and broken claim.
    pub harms: Vec<(Harm, u64)>,
    /// Lost tasks that the monitor put back onto a runqueue; only in the draft.
    pub rescued: u64,
    /// Why the run failed, if a task or CPU was stuck, a CPU panicked, or an unexpected harm was counted.
    pub stuck: Option<Stuck>,
    /// CPUs whose threads could be neither stopped nor made to leave. They keep running and disturb later
    /// runs.
    pub running: Vec<Cpu>,
    /// Whether the user interrupted the run.
    pub interrupted: bool,
}

/// Why a run failed, with the state at that time.
#[derive(Debug, Clone)]
pub struct Stuck {
    /// What happened.
    pub what: String,
    /// The state of CPUs, tasks and locks, and the last events.
    pub state: String,
}

/// The time between two looks of the monitor.
pub(super) const LOOK: Duration = Duration::from_millis(50);
/// How long the tasks run without interrupts at the end of a run, so that the task that was woken last can
/// heal its race.
const SETTLING: Duration = Duration::from_millis(20);
/// The longest such time while a race is not healed. On a busy host a thread may have to wait for its CPU.
const HEALING: Duration = Duration::from_millis(500);

/// Runs a plan. `watch` is called with the counts about 20 times a second. Setting `interrupt` ends the run.
///
/// # Errors
/// If the layout is unknown, or threads cannot be started or pinned.
pub fn run(plan: &Plan, interrupt: &AtomicBool, watch: impl FnMut(&Progress)) -> Result<Outcome> {
    struct Run<'a, W> {
        plan: &'a Plan,
        interrupt: &'a AtomicBool,
        watch: W,
    }
    impl<W: FnMut(&Progress)> WithLayout for Run<'_, W> {
        type Output = Result<Outcome>;
        fn with<T: TaskLayout + 'static>(self) -> Result<Outcome> {
            run_with::<T>(self.plan, self.interrupt, self.watch)
        }
    }
    with_layout(plan.layout, Run { plan, interrupt, watch })
        .unwrap_or_else(|| Err(Error::Usage(format!("--layout: unknown layout '{}'", plan.layout))))
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
        // Dump the state before the threads leave their waits; it shows where they wait.
        stuck.get_or_insert_with(|| Stuck {
            what: "a CPU of the protocol has not stopped within 3 s".to_owned(),
            state: dump(&world.kernel),
        });
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

/// How the threads of all CPUs ended.
struct Ended {
    /// All threads ended normally, so no operation is half done.
    whole: bool,
    panicked: Option<String>,
    running: Vec<Cpu>,
}

impl Ended {
    /// Combines the ends of the threads, in the order of the CPUs.
    ///
    /// # Errors
    /// If a thread could not be pinned.
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

/// The check at the end: counts every lost wakeup as H4. Returns a failure if the profile does not expect
/// H4, or if the check itself hangs or panics.
fn look_after<T: TaskLayout + 'static>(world: &Arc<World<T>>) -> Result<Option<Stuck>> {
    let kernel = &world.kernel;
    let state = dump(kernel);
    // The CPUs were stopped, so the healing times from here on mean nothing and are not recorded.
    for task in &kernel.tasks {
        task.probe.raced_at.store(0, Ordering::Relaxed);
    }
    let what = match settle(world)? {
        Settled::Lost(lost) => {
            for task in lost.keys() {
                kernel.harm(world.monitor(), *task, Harm::H4);
            }
            let what: Vec<String> = lost.into_values().collect();
            if what.is_empty() || Harm::H4.expected(kernel.config.profile, kernel.config.mutant) {
                return Ok(None);
            }
            format!("{}: when the run ended {}", Harm::H4, what.join(", "))
        }
        Settled::Hangs => "the check after the run has not ended within 30 s: a CPU of the protocol hangs".to_owned(),
        Settled::Panicked(text) => format!("after the run a CPU panicked: {text}"),
    };
    Ok(Some(Stuck { what, state }))
}

/// The number of tasks with a race that is not healed.
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

/// A failure for the first harm that the profile does not expect, if there is one.
pub(super) fn unexpected<T: TaskLayout>(kernel: &Kernel<T>) -> Option<Stuck> {
    let harm = kernel.harms.unexpected(kernel.config.profile, kernel.config.mutant).first().copied()?;
    Some(Stuck { what: format!("{harm}: {}", harm.text()), state: dump(kernel) })
}
