//! The check at the end of a run: which tasks sleep for ever. It also finds tasks for which the watchdog had
//! no time.
//!
//! All CPUs have stopped, so the check is exact. First it looks for tasks that sleep although their mutex is
//! free or was handed to them: a wakeup that was due did not happen. Then one thread resumes the CPUs in
//! turn, without interrupts, until every task has acquired its mutex once more. A task that has done so rests,
//! so that no task starves: the unlock of v7.2 prefers the task that boosts to the one that has waited longest.
//! A task that does not acquire its mutex is stuck: it sleeps, or is runnable and never picked.
//!
//! A lost wakeup also stops the tasks that wait for the same mutex behind the task that lost it. These are told apart, so that
//! one lost wakeup is counted once.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::threads::{End, Threads};
use super::workload::{Random, Wakes};
use super::world::{Processor, World};
use crate::error::Result;
use crate::kernel::task::TaskLayout;
use crate::kernel::{Kernel, TASK_RUNNING, TASK_WAKING, TaskId};

/// The number of turns that each CPU gets per task.
///
/// A waiter that finds the mutex taken again asks for a handoff. So it has the mutex one or two turns after
/// the tasks before it. The largest number that a test of all profiles and variants needed is 3.
const TURNS_PER_TASK: usize = 100;

/// The result of the check.
#[derive(Debug)]
pub(super) enum Settled {
    /// The tasks that lost a wakeup or their turn, each with the reason. Empty if every task acquired its mutex again. Tasks
    /// that wait behind one of these are not among them.
    Lost(BTreeMap<TaskId, String>),
    /// A CPU did not end its turn.
    Hangs,
    /// A CPU panicked, with this message.
    Panicked(String),
}

/// Checks all tasks. All CPUs must have stopped, and the locks of [`World::contexts`] must be free: no CPU is
/// inside a task.
///
/// # Errors
/// If a thread cannot be started.
pub(super) fn settle<T: TaskLayout + 'static>(world: &Arc<World<T>>) -> Result<Settled> {
    let mut lost = asleep(&world.kernel);
    // Only a lost task keeps the tasks behind it from their mutex.
    let behind = if lost.is_empty() { BTreeSet::new() } else { waiters(&world.kernel) };
    let stuck = Arc::new(std::sync::Mutex::new(Vec::new()));
    let mut threads = Threads::new();
    let (own, out) = (Arc::clone(world), Arc::clone(&stuck));
    threads.start("the check at the end".to_owned(), None, move || {
        let left = resume(&own);
        *out.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = left;
        Ok(())
    })?;
    if !threads.wait(PATIENCE) {
        threads.leave(PATIENCE);
    }
    match threads.join().pop() {
        Some(End::Done) => {}
        Some(End::Failed(error)) => return Err(error),
        Some(End::Panicked(text)) => return Ok(Settled::Panicked(text)),
        Some(End::Left | End::Running) | None => return Ok(Settled::Hangs),
    }
    let mut stuck = stuck.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    for task in stuck.drain(..).filter(|task| !behind.contains(task)) {
        lost.entry(task)
            .or_insert_with(|| format!("task {task} does not acquire its mutex, although every CPU is resumed"));
    }
    Ok(Settled::Lost(lost))
}

/// The time limit of the check. The check takes some microseconds, so this is enough even on a busy host.
const PATIENCE: std::time::Duration = std::time::Duration::from_secs(30);

/// The tasks that wait for a mutex.
fn waiters<T: TaskLayout>(kernel: &Kernel<T>) -> BTreeSet<TaskId> {
    (0..kernel.mutexes.len()).flat_map(|mutex| kernel.waiters_of(kernel.rqs.len(), mutex)).collect()
}

/// The tasks that sleep although nothing prevents them from running, with the reasons: of the waiters of one mutex, the one
/// that lost its wakeup. No CPU may be running.
fn asleep<T: TaskLayout>(kernel: &Kernel<T>) -> BTreeMap<TaskId, String> {
    let mut lost = BTreeMap::new();
    // A task on a wake list is in TASK_WAKING. It is on no runqueue, but its wakeup has happened.
    let off = |task: TaskId| kernel.tasks[task].fields.on_rq().load(Ordering::Relaxed) == 0;
    let sleeps = |task: TaskId| (off(task) && kernel.state(task) != TASK_WAKING) || kernel.sched_delayed(task);
    for task in kernel.rqs.len()..kernel.tasks.len() {
        if off(task) && kernel.state(task) == TASK_RUNNING {
            lost.insert(task, format!("task {task} is RUNNING and on no runqueue"));
        }
    }
    for mutex in 0..kernel.mutexes.len() {
        if let Some(task) = kernel.handed_to(mutex)
            && sleeps(task)
        {
            lost.entry(task).or_insert_with(|| format!("task {task} sleeps though mutex {mutex} was handed to it"));
        }
        // Only one waiter is woken. If any waiter is awake, it takes the mutex and later wakes the next one. If all sleep,
        // the one that is RUNNING lost the wakeup, or else the first one.
        let waiters = kernel.waiters_of(kernel.rqs.len(), mutex);
        if kernel.__mutex_owner(mutex).is_none()
            && waiters.iter().all(|task| sleeps(*task) && !lost.contains_key(task))
            && let Some(first) = waiters.first()
        {
            lost.insert(*first, format!("task {first} sleeps though mutex {mutex} is free"));
        }
    }
    lost
}

/// Resumes all CPUs in turn. Returns the tasks that did not acquire their mutex again.
fn resume<T: TaskLayout>(world: &World<T>) -> Vec<TaskId> {
    let had = |task: TaskId| world.contexts[task].lock().map_or(0, |context| context.acquired());
    let before: Vec<u64> = world.tasks().map(had).collect();
    let waits = || world.tasks().zip(&before).filter(|(task, before)| had(*task) == **before).map(|(task, _)| task);
    for task in world.tasks() {
        if let Ok(mut context) = world.contexts[task].lock() {
            context.rest_after_one_more();
        }
    }
    // Separate counts, because the run is over.
    let wakes = Wakes::default();
    let mut processors: Vec<Processor> =
        (0..world.kernel.rqs.len()).map(|cpu| Processor::new(world, cpu, Random::new(0, cpu as u64))).collect();
    world.quiet.store(true, Ordering::Relaxed);
    for _ in 0..TURNS_PER_TASK * world.tasks().len() {
        if waits().next().is_none() {
            break;
        }
        processors.iter_mut().for_each(|processor| processor.turn(world, &wakes));
    }
    waits().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::harm::Harm;
    use crate::kernel::task::LayoutPacked;
    use crate::kernel::{BlockedOnStore, Mutant, Profile};
    use crate::protocol::plan::Plan;
    use crate::protocol::{Variant, threads};

    fn plan(profile: Profile, variant: Variant, seed: u64) -> Plan {
        Plan {
            profile,
            mutant: None,
            store: BlockedOnStore::Plain,
            variant,
            layout: "packed",
            cpus: vec![0; 2 + seed as usize % 3],
            tasks: 1 + seed as usize % 4,
            duration: std::time::Duration::ZERO,
            watchdog: std::time::Duration::ZERO,
            seed,
        }
    }

    /// A world whose CPUs have had `turns` turns each, one CPU after the other, with interrupts.
    fn after(plan: &Plan, turns: usize) -> Arc<World<LayoutPacked>> {
        let world = World::new(plan, threads::Threads::new().stop_flag());
        let random = |cpu: usize| Random::new(plan.seed, 1000 + cpu as u64);
        let mut processors: Vec<Processor> =
            (0..plan.cpus.len()).map(|cpu| Processor::new(&world, cpu, random(cpu))).collect();
        for _ in 0..turns {
            for processor in &mut processors {
                let cpu = processor.cpu;
                processor.turn(&world, &world.wakes[cpu]);
            }
        }
        Arc::new(world)
    }

    fn lost(world: &Arc<World<LayoutPacked>>) -> Vec<String> {
        match settle(world).unwrap() {
            Settled::Lost(lost) => lost.into_values().collect(),
            other => panic!("{other:?}"),
        }
    }

    /// Makes every task of a world sleep, and frees its only mutex. Returns the waiters.
    fn put_to_sleep(world: &World<LayoutPacked>) -> Vec<TaskId> {
        let kernel = &world.kernel;
        for task in world.tasks() {
            let (state, on_rq) = (kernel.tasks[task].fields.state(), kernel.tasks[task].fields.on_rq());
            state.store(crate::kernel::TASK_UNINTERRUPTIBLE, Ordering::Relaxed);
            on_rq.store(0, Ordering::Relaxed);
        }
        kernel.mutexes[0].owner.store(1, Ordering::Relaxed);
        kernel.waiters_of(world.monitor(), 0)
    }

    /// A world with a task that waits for a mutex off its runqueue, and that task. In v7.2 a donor whose
    /// owner sleeps does so.
    fn sleeper() -> (Arc<World<LayoutPacked>>, TaskId) {
        for seed in 1.. {
            for turns in 1..30 {
                let world = after(&plan(Profile::V72, Variant::All, seed), turns);
                let off = |task: &TaskId| world.kernel.tasks[*task].fields.on_rq().load(Ordering::Relaxed) == 0;
                let waits = |task: &TaskId| world.kernel.waiters_of(world.monitor(), 0).contains(task);
                if let Some(task) = world.tasks().find(|task| off(task) && waits(task)) {
                    return (world, task);
                }
            }
        }
        unreachable!()
    }

    #[test]
    fn every_task_comes_to_its_lock_again_whatever_the_profile_and_the_variant() {
        for (profile, mutant) in [(Profile::V71, None), (Profile::Draft, Some(Mutant::Check)), (Profile::V72, None)] {
            for variant in Variant::ALL {
                for seed in 0..12 {
                    let world = after(&Plan { mutant, ..plan(profile, variant, seed) }, 40);
                    assert_eq!(lost(&world), Vec::<String>::new(), "{profile} {variant} {seed}");
                    let mut harms = world.kernel.harms.unexpected(profile, mutant);
                    // With delayed dequeue v7.1 may run a task outside its mask.
                    harms.retain(|harm| *harm != Harm::H7 || profile != Profile::V71 || variant != Variant::V10);
                    assert_eq!(harms, [], "{profile} {variant} {seed}");
                    assert!(world.wakes.iter().all(|wakes| wakes.issued.load(Ordering::Relaxed) > 0));
                }
            }
        }
    }

    #[test]
    fn who_sleeps_on_a_free_lock_is_lost() {
        let (world, _) = sleeper();
        // The mutex is free, but the wakeup of its waiter did not happen.
        let kernel = &world.kernel;
        let first = put_to_sleep(&world)[0];
        assert_eq!(asleep(kernel)[&first], format!("task {first} sleeps though mutex 0 is free"));
        // A waiter that is awake takes the mutex and wakes the others.
        kernel.tasks[first].fields.on_rq().store(1, Ordering::Relaxed);
        assert!(!asleep(kernel).values().any(|text| text.contains("mutex 0")), "{:?}", asleep(kernel));
    }

    #[test]
    fn one_lost_wakeup_is_one_however_many_tasks_wait_behind_it() {
        // Three tasks wait for the mutex.
        let worlds = (1..).flat_map(|seed| (5..30).map(move |turns| (seed, turns)));
        let mut worlds =
            worlds.map(|(seed, turns)| after(&Plan { tasks: 4, ..plan(Profile::V72, Variant::Minimal, seed) }, turns));
        let world = worlds.find(|world| world.kernel.waiters_of(world.monitor(), 0).len() >= 3).unwrap();
        let waiters = put_to_sleep(&world);
        assert_eq!(asleep(&world.kernel).into_keys().collect::<Vec<_>>(), [waiters[0]]);
        // The wakeup of the second one was lost: it is RUNNING, as the draft leaves a task.
        world.kernel.tasks[waiters[1]].fields.state().store(TASK_RUNNING, Ordering::Relaxed);
        assert_eq!(asleep(&world.kernel).into_keys().collect::<Vec<_>>(), [waiters[1]]);
    }

    #[test]
    fn who_sleeps_on_a_lock_that_was_handed_to_it_is_lost() {
        let (world, task) = sleeper();
        // The owner's number with the flags WAITERS and PICKUP.
        world.kernel.mutexes[0].owner.store((task + 1) << 3 | 5, Ordering::Relaxed);
        assert_eq!(asleep(&world.kernel)[&task], format!("task {task} sleeps though mutex 0 was handed to it"));
        // Without PICKUP the task is an owner that sleeps. A sleeping owner alone is not lost.
        world.kernel.mutexes[0].owner.store((task + 1) << 3 | 1, Ordering::Relaxed);
        assert!(!asleep(&world.kernel).contains_key(&task));
    }

    #[test]
    fn who_is_running_off_the_runqueue_is_lost() {
        let (world, task) = sleeper();
        world.kernel.tasks[task].fields.state().store(TASK_RUNNING, Ordering::Relaxed);
        assert_eq!(asleep(&world.kernel)[&task], format!("task {task} is RUNNING and on no runqueue"));
        assert!(lost(&world).contains(&format!("task {task} is RUNNING and on no runqueue")));
    }

    #[test]
    fn who_is_runnable_and_never_picked_is_lost() {
        let world = after(&plan(Profile::V71, Variant::V3, 2), 10);
        let home = |task: &TaskId| world.kernel.tasks[*task].other.cpu.load(Ordering::Relaxed);
        let runnable = |task: &TaskId| {
            let current = world.kernel.__current(home(task));
            current != *task
                && world.kernel.state(*task) == TASK_RUNNING
                && world.kernel.tasks[*task].fields.on_rq().load(Ordering::Relaxed) == 1
        };
        let task = world.tasks().find(runnable).expect("a task is queued and not current");
        let rq = &world.kernel.rqs[home(&task)];
        rq.lock.lock(world.monitor());
        rq.with(world.monitor(), |inner| inner.queue.retain(|queued| *queued != task));
        rq.lock.unlock();
        assert!(
            lost(&world).contains(&format!("task {task} does not acquire its mutex, although every CPU is resumed"))
        );
    }

    #[test]
    fn a_wakeup_that_was_dropped_leaves_its_task_lost() {
        let plan = Plan { mutant: Some(Mutant::LoseWakeup), ..plan(Profile::V72, Variant::Minimal, 3) };
        let world = after(&plan, 400);
        let dropped: u64 = world.wakes.iter().map(|wakes| wakes.dropped.load(Ordering::Relaxed)).sum();
        assert!(dropped > 0, "too few turns for the thousandth episode");
        let lost = lost(&world);
        assert!(lost.iter().any(|text| text.contains(" sleeps though mutex 0 ")), "{lost:?}");
        // The other tasks only wait behind it.
        assert_eq!((world.tasks().len(), lost.len()), (4, 1), "{lost:?}");
    }

    #[test]
    fn a_lock_that_nobody_frees_does_not_hang_the_check() {
        let world = after(&plan(Profile::V71, Variant::Minimal, 1), 3);
        world.kernel.mutexes[0].wait_lock.lock(0);
        let ended = std::thread::scope(|scope| {
            let check = scope.spawn(|| resume_and_leave(&world));
            check.join().unwrap()
        });
        assert!(ended);
        assert_eq!(world.kernel.harms.of(Harm::H4), 0);
    }

    /// As [`settle`], but tells the thread to leave after 50 ms. Returns whether it left.
    fn resume_and_leave(world: &Arc<World<LayoutPacked>>) -> bool {
        let mut threads = Threads::new();
        let own = Arc::clone(world);
        let body = move || {
            resume(&own);
            Ok(())
        };
        threads.start("check".to_owned(), None, body).unwrap();
        assert!(!threads.wait(std::time::Duration::from_millis(50)));
        threads.leave(PATIENCE) && matches!(threads.join()[..], [End::Left])
    }
}
