//! loom explores the protocol: every interleaving of a few CPUs, tasks and wakers within a bound on
//! preemptions, and every value that relaxed loads may return.
//!
//! scripts/loom runs these tests; an ordinary `cargo test` leaves them out.
//!
//! What loom models: a store that is delayed past later stores of the same thread appears as loads that
//! return old values. Sequentially consistent fences are modelled. What it does not model: loads are never
//! satisfied early, so load buffering is not seen. The code uses no sequentially consistent accesses. Spins
//! are yields. A lock is loom's mutex.
//!
//! A setup can be restricted to sequentially consistent executions: then every load returns the last value.
//!
//! Why a bound on preemptions is enough: a preemption is a switch away from a thread that could go on. Waits
//! and ends of threads cost none. Each known way to a lost task needs one: the waker stops after its
//! reads, and the blocker goes on. The weak-memory race needs none at all beyond stale reads. The bound
//! leaves room for one or two more.
#![cfg(loom)]

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering as Std};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use wakerace::kernel::harm::Harm;
use wakerace::kernel::mutex::{LockStage, Locked};
use wakerace::kernel::sched::SchedMode;
use wakerace::kernel::sync::{AtomicBool, Guarded, Ordering, sequential};
use wakerace::kernel::task::{LayoutPacked, TaskLayout};
use wakerace::kernel::trace::{Entry, listing};
use wakerace::kernel::{
    Config, Features, Kernel, Mutant, Profile, TASK_DEAD, TASK_INTERRUPTIBLE, TASK_NORMAL, TASK_RUNNING,
    TASK_UNINTERRUPTIBLE, TaskId,
};

/// What a task does. It does it once and then exits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Job {
    /// Locks and unlocks mutex 0; sleeps in this state.
    Lock(u32),
    /// As `Lock`, after an earlier wait loop: set_current_state(TASK_INTERRUPTIBLE), the condition is true,
    /// __set_current_state(TASK_RUNNING).
    WaitThenLock,
    /// Owns mutex 0 from the start and unlocks it.
    Unlock,
    /// Owns mutex 0 from the start; sleeps until the interrupt `WakeOwner`, then unlocks it.
    SleepThenUnlock,
    /// Owns mutex 0 from the start; locks and unlocks mutex 1, then unlocks mutex 0.
    LockOther,
    /// Owns mutex 1 from the start and unlocks it.
    UnlockOther,
    /// __set_current_state(TASK_INTERRUPTIBLE); schedule()
    WaitForSignal,
}

impl Job {
    /// The mutex that the task owns from the start.
    fn owns(self) -> Option<usize> {
        match self {
            Job::Lock(_) | Job::WaitThenLock | Job::WaitForSignal => None,
            Job::Unlock | Job::SleepThenUnlock | Job::LockOther => Some(0),
            Job::UnlockOther => Some(1),
        }
    }
}

/// What an interrupt does. Each interrupt runs once, in a separate thread. It acts on the first task, unless
/// it says otherwise.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Interrupt {
    Wake,
    Signal,
    Wound,
    Die,
    /// Wakes the second task.
    WakeOwner,
    /// resched_curr() of the first task's CPU.
    Resched,
}

/// The configuration of one exploration.
#[derive(Debug, Clone)]
struct Setup {
    config: Config,
    /// The tasks: the CPU of each, and what it does.
    tasks: Vec<(usize, Job)>,
    interrupts: Vec<Interrupt>,
    /// The most preemptions in an execution.
    preemptions: usize,
    /// Whether only sequentially consistent executions are explored.
    sequential: bool,
}

struct Context {
    job: Job,
    stage: LockStage,
    step: u32,
    /// The task was preempted when it was about to call schedule().
    schedules: bool,
}

struct World {
    kernel: Kernel<LayoutPacked>,
    contexts: Vec<Guarded<Context>>,
    cpus: usize,
    /// What the owner of `SleepThenUnlock` waits for.
    awake: AtomicBool,
    races: AtomicU64,
    nulls: AtomicU64,
}

impl World {
    fn new(setup: &Setup) -> World {
        let cpus = setup.tasks.iter().map(|(cpu, _)| cpu + 1).max().unwrap();
        let homes: Vec<u64> = setup.tasks.iter().map(|(cpu, _)| 1 << cpu).collect();
        let kernel = Kernel::new(setup.config, cpus, cpus + setup.interrupts.len() + 1, &homes, 2);
        let idle = (0..cpus).map(|_| Job::Unlock);
        let jobs = idle.chain(setup.tasks.iter().map(|(_, job)| *job));
        let contexts =
            jobs.map(|job| Guarded::new(Context { job, stage: LockStage::Start, step: 0, schedules: false })).collect();
        let world = World {
            kernel,
            contexts,
            cpus,
            awake: AtomicBool::new(false),
            races: AtomicU64::new(0),
            nulls: AtomicU64::new(0),
        };
        // An owner already runs on its CPU, unless another runs there. The other tasks are queued after it.
        let mut order: Vec<usize> = (0..setup.tasks.len()).collect();
        order.sort_by_key(|task| setup.tasks[*task].1.owns().is_none());
        for task in order {
            let (cpu, job) = setup.tasks[task];
            world.kernel.wake_up_new_task(cpu, cpus + task);
            if let Some(mutex) = job.owns() {
                assert!(world.kernel.__mutex_trylock(cpus + task, mutex));
                world.kernel.__schedule(cpu, SchedMode::None);
            }
        }
        world
    }

    /// Runs a CPU until it has nothing left to do.
    fn cpu(&self, cpu: usize) {
        let kernel = &self.kernel;
        let mut current = kernel.__current(cpu);
        let mut looks = 0;
        loop {
            kernel.sched_ttwu_pending(cpu);
            if kernel.is_idle(current) {
                // The CPU looks several times, so that a wakeup may also arrive while it idles.
                if kernel.rqs[cpu].nr_running.load(Ordering::Relaxed) == 0 || looks > 6 {
                    return;
                }
                looks += 1;
                current = kernel.__schedule(cpu, SchedMode::None);
                if kernel.is_idle(current) {
                    loom::thread::yield_now();
                }
                continue;
            }
            // SAFETY: only the CPU that runs a task uses its context. loom checks this.
            let mode = unsafe { self.contexts[current].with(|own| self.turn(cpu, current, own)) };
            current = match mode {
                None => current,
                Some(SchedMode::None) => kernel.schedule(cpu, current),
                Some(SchedMode::Preempt) => kernel.__schedule(cpu, SchedMode::Preempt),
            };
        }
    }

    /// Runs one step of a task. Returns how the task leaves the CPU afterwards, if it does. A task that is
    /// about to call schedule() can be preempted, too.
    fn turn(&self, cpu: usize, me: TaskId, own: &mut Context) -> Option<SchedMode> {
        let schedules = std::mem::take(&mut own.schedules) || self.step(cpu, me, own);
        if self.kernel.rqs[cpu].need_resched() {
            own.schedules = schedules;
            return Some(SchedMode::Preempt);
        }
        schedules.then_some(SchedMode::None)
    }

    /// Runs one step of a task. Returns whether the task calls schedule() next.
    fn step(&self, cpu: usize, me: TaskId, own: &mut Context) -> bool {
        let kernel = &self.kernel;
        match (own.job, own.step) {
            (Job::WaitThenLock, 0) => {
                kernel.set_current_state(cpu, me, TASK_INTERRUPTIBLE);
                kernel.__set_current_state(cpu, me, TASK_RUNNING);
                own.job = Job::Lock(TASK_UNINTERRUPTIBLE);
                false
            }
            (Job::Lock(state), 0) => self.lock(cpu, me, 0, state, own),
            (Job::LockOther, 0) => self.lock(cpu, me, 1, TASK_UNINTERRUPTIBLE, own),
            (Job::SleepThenUnlock, 0) => {
                kernel.set_current_state(cpu, me, TASK_UNINTERRUPTIBLE);
                if self.awake.load(Ordering::Relaxed) {
                    kernel.__set_current_state(cpu, me, TASK_RUNNING);
                    own.step = 1;
                    return false;
                }
                true
            }
            (Job::LockOther, 1) | (Job::UnlockOther, 0) => {
                kernel.mutex_unlock(cpu, me, 1);
                own.step = 2;
                false
            }
            (Job::Lock(_) | Job::SleepThenUnlock, 1) | (Job::Unlock, 0) | (Job::LockOther, 2) => {
                kernel.mutex_unlock(cpu, me, 0);
                own.step = 3;
                false
            }
            (Job::WaitForSignal, 0) => {
                kernel.__set_current_state(cpu, me, TASK_INTERRUPTIBLE);
                own.step = 3;
                true
            }
            _ => {
                kernel.tasks[me].fields.state().store(TASK_DEAD, Ordering::Relaxed);
                true
            }
        }
    }

    /// Goes on in mutex_lock(). Returns whether the task calls schedule() next.
    fn lock(&self, cpu: usize, me: TaskId, mutex: usize, state: u32, own: &mut Context) -> bool {
        match self.kernel.__mutex_lock_common(cpu, me, mutex, state, &mut own.stage) {
            Locked::Schedule | Locked::Resched => return true,
            Locked::Acquired => own.step = 1,
            // A task that gives up and holds the other mutex unlocks that.
            Locked::Interrupted => own.step = if mutex == 1 { 2 } else { 3 },
        }
        false
    }

    fn interrupt(&self, context: usize, what: Interrupt) {
        let (kernel, first) = (&self.kernel, self.cpus);
        let wake = match what {
            Interrupt::Wake => Some(kernel.try_to_wake_up(context, None, first, TASK_NORMAL)),
            Interrupt::Signal => Some(kernel.send_signal(context, None, first)),
            Interrupt::Wound => Some(kernel.ww_wound(context, None, first)),
            Interrupt::Die => kernel.ww_die(context, None, 0, first),
            Interrupt::WakeOwner => {
                self.awake.store(true, Ordering::Relaxed);
                Some(kernel.try_to_wake_up(context, None, first + 1, TASK_NORMAL))
            }
            Interrupt::Resched => {
                kernel.rqs[0].resched_curr();
                None
            }
        };
        if let Some(wake) = wake {
            self.races.fetch_add(wake.race.into(), Std::Relaxed);
            self.nulls.fetch_add(wake.null.into(), Std::Relaxed);
        }
    }

    /// Runs all CPUs, one after the other, until no task can make progress.
    fn drain(&self) {
        for _ in 0..12 {
            (0..self.cpus).for_each(|cpu| self.cpu(cpu));
        }
    }

    /// The tasks that have not exited.
    fn lost(&self) -> Vec<TaskId> {
        (self.cpus..self.kernel.tasks.len()).filter(|task| self.kernel.state(*task) != TASK_DEAD).collect()
    }
}

/// The result of an exploration. The counts are numbers of executions.
#[derive(Debug, Default, Clone)]
struct Found {
    executions: u64,
    races: u64,
    nulls: u64,
    retained: u64,
    /// For each harm the number of executions that show it, and the shortest of their traces.
    harms: BTreeMap<Harm, (u64, Vec<Entry>)>,
    /// How many of these executions have no race: no wakeup missed a store of blocked_on.
    without_race: BTreeMap<Harm, u64>,
    seconds: f64,
    /// Whether all executions within the bound were explored.
    whole: bool,
}

/// The time limit of one exploration, if WAKERACE_LOOM_SECONDS sets one. By default there is none: a busy host
/// only takes longer.
fn longest() -> Option<Duration> {
    let seconds = std::env::var("WAKERACE_LOOM_SECONDS").ok()?;
    Some(Duration::from_secs(seconds.parse().expect("WAKERACE_LOOM_SECONDS is a number of seconds")))
}

fn explore(setup: &Setup) -> Found {
    let found = Arc::new(Mutex::new(Found::default()));
    let seen = Arc::clone(&found);
    let own = setup.clone();
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(setup.preemptions);
    builder.max_branches = 20_000;
    builder.max_duration = longest();
    sequential(setup.sequential);
    let begun = Instant::now();
    builder.check(move || {
        let setup = &own;
        let world = Arc::new(World::new(setup));
        let mut threads = Vec::new();
        for cpu in 0..world.cpus {
            let world = Arc::clone(&world);
            threads.push(loom::thread::spawn(move || world.cpu(cpu)));
        }
        for (number, what) in setup.interrupts.iter().copied().enumerate() {
            let world = Arc::clone(&world);
            let context = world.cpus + number;
            threads.push(loom::thread::spawn(move || world.interrupt(context, what)));
        }
        for thread in threads {
            thread.join().unwrap();
        }
        let kernel = &world.kernel;
        let retained = (world.cpus..kernel.tasks.len()).filter(|task| kernel.retains_blocked_on(*task)).count();
        world.drain();
        for task in world.lost() {
            kernel.harm(world.cpus + setup.interrupts.len(), task, Harm::H4);
        }
        let mut found = seen.lock().unwrap();
        found.executions += 1;
        found.races += u64::from(world.races.load(Std::Relaxed) > 0);
        found.nulls += u64::from(world.nulls.load(Std::Relaxed) > 0);
        found.retained += u64::from(retained > 0);
        let trace = kernel.trace.entries();
        for harm in Harm::ALL.into_iter().filter(|harm| kernel.harms.of(*harm) > 0) {
            if world.races.load(Std::Relaxed) == 0 {
                *found.without_race.entry(harm).or_default() += 1;
            }
            let (count, shortest) = found.harms.entry(harm).or_default();
            *count += 1;
            if shortest.is_empty() || trace.len() < shortest.len() {
                shortest.clone_from(&trace);
            }
        }
    });
    let mut found = found.lock().unwrap().clone();
    found.seconds = begun.elapsed().as_secs_f64();
    found.whole = longest().is_none_or(|limit| begun.elapsed() < limit);
    found
}

/// Whether an exploration shows something, and that is right. One that reached its time limit decides nothing by not
/// showing something; `say` prints that it did.
fn agrees(found: &Found, shows: bool, wanted: bool) -> bool {
    shows == wanted || (wanted && !found.whole)
}

fn say(name: &str, setup: &Setup, found: &Found) {
    let without = |harm: &Harm| found.without_race.get(harm).copied().unwrap_or(0);
    let harm =
        |(harm, (count, _)): (&Harm, &(u64, _))| format!("{harm} in {count} ({} without the race)", without(harm));
    let harms: Vec<String> = found.harms.iter().map(harm).collect();
    let sign = |mutant: Mutant| if mutant.adds() { '+' } else { '-' };
    println!(
        "{name}, {}{}, at most {} preemptions{}: {} executions{} in {:.1} s; {} with the race, {} with blocked_on kept; {}",
        setup.config.profile,
        setup.config.mutant.map_or(String::new(), |mutant| format!(" {}{mutant}", sign(mutant))),
        setup.preemptions,
        if setup.sequential { ", sequentially consistent" } else { "" },
        found.executions,
        if found.whole { " (all within the bound)" } else { " (time limit reached, not all explored)" },
        found.seconds,
        found.races,
        found.retained,
        if harms.is_empty() { "no harm".to_owned() } else { harms.join(", ") },
    );
}

fn unexpected(setup: &Setup, found: &Found) -> Vec<Harm> {
    let Config { profile, mutant, .. } = setup.config;
    found.harms.keys().copied().filter(|harm| !harm.expected(profile, mutant)).collect()
}

fn show(setup: &Setup, found: &Found, harm: Harm) {
    let cpus = setup.tasks.iter().map(|(cpu, _)| cpu + 1).max().unwrap();
    let name = |context: usize| match context {
        cpu if cpu < cpus => format!("CPU {cpu}"),
        context if context < cpus + setup.interrupts.len() => "waker".to_owned(),
        _ => "at the end".to_owned(),
    };
    println!("{}", listing(&found.harms[&harm].1, name));
}

const LOCK: Job = Job::Lock(TASK_UNINTERRUPTIBLE);

/// The setup of the mail: a blocker on CPU 0, the owner on CPU 1, and a foreign wakeup.
fn race(profile: Profile) -> Setup {
    Setup {
        config: Config::new(profile),
        tasks: vec![(0, LOCK), (1, Job::Unlock)],
        interrupts: vec![Interrupt::Wake],
        preemptions: 2,
        sequential: false,
    }
}

/// The draft with the change that would help.
fn draft_with_check() -> Setup {
    let config = Config { mutant: Some(Mutant::Check), ..Config::new(Profile::Draft) };
    Setup { config, ..race(Profile::Draft) }
}

/// S20: the blocker has been in another wait loop before.
fn s20(setup: Setup) -> Setup {
    Setup { tasks: vec![(0, Job::WaitThenLock), (1, Job::Unlock)], sequential: true, preemptions: 3, ..setup }
}

/// Explores a setup. No harm may be found that the profile does not expect. Without a time limit all
/// executions within the bound are explored.
fn clean(name: &str, setup: &Setup) -> Found {
    let found = explore(setup);
    say(name, setup, &found);
    let unexpected = unexpected(setup, &found);
    if let Some(harm) = unexpected.first() {
        show(setup, &found, *harm);
    }
    assert!(unexpected.is_empty(), "{name} {}: {unexpected:?}", setup.config.profile);
    found
}

/// The setups that every profile must pass, each with the interleaving that it looks for.
fn setups(race: &Setup) -> Vec<(&'static str, Setup)> {
    let with = |features: Features, spins: u32| Config { features, spins, ..race.config };
    let off = Features::default();
    vec![
        ("owner on the same CPU", Setup { tasks: vec![(0, LOCK), (0, Job::Unlock)], preemptions: 3, ..race.clone() }),
        ("V1: woken in the spin gap", Setup { config: with(off, 1), ..race.clone() }),
        (
            "V2: a signal to an interruptible donor",
            Setup {
                tasks: vec![(0, Job::Lock(TASK_INTERRUPTIBLE)), (1, Job::Unlock)],
                interrupts: vec![Interrupt::Signal],
                ..race.clone()
            },
        ),
        (
            "V3: handoff with a stale wakeup",
            Setup { tasks: vec![(0, LOCK), (0, LOCK), (1, Job::Unlock)], ..race.clone() },
        ),
        ("V4: two wakers", Setup { interrupts: vec![Interrupt::Wake; 2], preemptions: 1, ..race.clone() }),
        ("V5: a wound", Setup { interrupts: vec![Interrupt::Wound], ..race.clone() }),
        ("V5: a death", Setup { interrupts: vec![Interrupt::Die], ..race.clone() }),
        (
            "V6: preempted between the stores and schedule(), the owner sleeps",
            Setup {
                tasks: vec![(0, LOCK), (1, Job::SleepThenUnlock)],
                interrupts: vec![Interrupt::Resched, Interrupt::WakeOwner],
                ..race.clone()
            },
        ),
        ("V7: nobody wakes but the owner", Setup { interrupts: Vec::new(), preemptions: 3, ..race.clone() }),
        (
            "V9: need_resched() ends the spin",
            Setup { config: with(off, 1), interrupts: vec![Interrupt::Wake, Interrupt::Resched], ..race.clone() },
        ),
        (
            "V10: delayed dequeue, the owner sleeps",
            Setup {
                config: with(Features { delay_dequeue: 1, ..off }, 0),
                tasks: vec![(0, LOCK), (1, Job::SleepThenUnlock)],
                interrupts: vec![Interrupt::WakeOwner],
                ..race.clone()
            },
        ),
        ("V11: the wake list", Setup { config: with(Features { wake_list: true, ..off }, 0), ..race.clone() }),
        (
            "V12: a chain",
            Setup {
                config: with(Features { whole_chain: true, ..off }, 0),
                tasks: vec![(0, LOCK), (0, Job::LockOther), (1, Job::UnlockOther)],
                preemptions: 1,
                ..race.clone()
            },
        ),
    ]
}

#[test]
fn the_race_is_found_in_the_draft_alone_and_loses_a_task_there() {
    for setup in [race(Profile::V71), race(Profile::Draft), draft_with_check(), race(Profile::V72)] {
        let profile = setup.config.profile;
        let found = clean("blocker, owner, foreign wakeup", &setup);
        // Only a wakeup that reads blocked_on can miss it.
        assert!(agrees(&found, found.races > 0, profile == Profile::Draft), "{profile}: {} races", found.races);
        // The open question of the draft (docs/kernel.md, section 8): can a RUNNING task that kept blocked_on
        // be deactivated and sleep for ever?
        let lost = found.harms.contains_key(&Harm::H6) && found.harms.contains_key(&Harm::H4);
        let wanted = profile == Profile::Draft && setup.config.mutant.is_none();
        assert!(agrees(&found, lost, wanted), "{profile}: a task sleeps for ever: {lost}");
        if lost {
            println!("the shortest execution in which a task sleeps for ever in the draft:");
            show(&setup, &found, Harm::H4);
        }
    }
}

#[test]
fn the_stale_match_loses_a_task_in_the_draft_with_sequential_consistency() {
    for setup in [race(Profile::V71), race(Profile::Draft), draft_with_check(), race(Profile::V72)] {
        let setup = s20(setup);
        let profile = setup.config.profile;
        let found = clean("S20: a stale match", &setup);
        assert_eq!(found.races, 0, "a sequentially consistent waker has missed a store");
        let lost = found.harms.contains_key(&Harm::H6) && found.harms.contains_key(&Harm::H4);
        let wanted = profile == Profile::Draft && setup.config.mutant.is_none();
        assert!(agrees(&found, lost, wanted), "{profile}: a task sleeps for ever: {lost}");
        if lost {
            println!("the shortest execution in which a task sleeps for ever without any reordering:");
            show(&setup, &found, Harm::H4);
        }
    }
}

fn all_setups(race: &Setup) {
    for (name, setup) in setups(race) {
        let found = clean(name, &setup);
        let Config { profile, mutant, .. } = setup.config;
        let has = |harm: Harm| found.harms.contains_key(&harm);
        // The harm that upstream found: a task deactivated before its work was flushed.
        if name.starts_with("V6") {
            assert!(agrees(&found, has(Harm::H11), profile != Profile::V72), "{name} {profile}");
        }
        // The state that need_resched() leaves RUNNING loses tasks in the draft, with or without the race.
        if name.starts_with("V9") && profile == Profile::Draft && mutant.is_none() {
            let lost = has(Harm::H4) && found.without_race.contains_key(&Harm::H6);
            assert!(agrees(&found, lost, true), "{name} {profile}");
        }
    }
}

#[test]
fn v7_1_does_no_harm() {
    all_setups(&race(Profile::V71));
}

#[test]
fn v7_2_does_no_harm() {
    all_setups(&race(Profile::V72));
}

#[test]
fn the_draft_does_no_other_harm_than_the_one_in_question() {
    all_setups(&race(Profile::Draft));
}

#[test]
fn the_draft_that_returns_running_tasks_does_no_harm() {
    all_setups(&draft_with_check());
}

#[test]
fn mutants_are_caught() {
    let waits = Setup {
        tasks: vec![(0, Job::WaitForSignal)],
        interrupts: vec![Interrupt::Signal],
        preemptions: 3,
        ..race(Profile::V71)
    };
    clean("a signal against schedule()", &waits);
    let wounded = Setup { interrupts: vec![Interrupt::Wound], ..race(Profile::V71) };
    let preempted = Setup {
        tasks: vec![(0, LOCK), (1, Job::SleepThenUnlock)],
        interrupts: vec![Interrupt::Resched, Interrupt::WakeOwner],
        ..race(Profile::V72)
    };
    let cases = [
        (Mutant::NoMbAfterSpinlock, waits, Harm::H4),
        (Mutant::NoCleanup, race(Profile::V71), Harm::H2),
        (Mutant::NoBailOut, race(Profile::V71), Harm::C2),
        (Mutant::ClearUnlocked, race(Profile::V71), Harm::C3),
        (Mutant::NoRecheck, wounded, Harm::D),
        (Mutant::BlockPreempted, preempted, Harm::H11),
    ];
    for (mutant, setup, harm) in cases {
        let setup = Setup { config: Config { mutant: Some(mutant), ..setup.config }, ..setup };
        let found = explore(&setup);
        say("mutant", &setup, &found);
        let caught = found.harms.contains_key(&harm);
        assert!(agrees(&found, caught, true), "{mutant} is not caught: {:?}", found.harms.keys());
    }
}
