//! Tests in which another context acts in the middle of a function: at the re-checks and waits, and S20, by
//! which the draft loses a task.

use super::harm::Harm;
use super::heal::Healer;
use super::proxy::Proxy;
use super::sched::{Wake, WakeEnd};
use super::*;

/// Calls find_proxy_task() with the runqueue's lock. Checks that this lock is held afterwards and that all
/// others are free.
fn find_proxy_task(bench: &Bench, donor: TaskId) -> Proxy {
    bench.rqs[CPU0].lock.lock(CPU0);
    let proxy = bench.find_proxy_task(CPU0, donor);
    assert!(bench.rqs[CPU0].lock.is_held_by(CPU0));
    bench.rqs[CPU0].lock.unlock();
    assert!([M, N].iter().all(|mutex| bench.mutexes[*mutex].wait_lock.holder().is_none()));
    assert!([P, OWNER, Q].iter().all(|task| bench.tasks[*task].fields.blocked_lock().holder().is_none()));
    assert!([P, OWNER, Q].iter().all(|task| bench.tasks[*task].fields.pi_lock().holder().is_none()));
    assert!(bench.rqs[CPU1].lock.holder().is_none());
    proxy
}

/// P is blocked, and CPU 0 has switched to Q. P is a donor on CPU 0's runqueue.
fn donor(profile: Profile) -> Bench {
    let bench = Bench::blocked(profile);
    assert_eq!(bench.__schedule(CPU0, false), Q);
    bench
}

fn queue(bench: &Bench, cpu: Cpu) -> Vec<TaskId> {
    bench.rqs[cpu].lock.lock(WAKER);
    let queue = bench.rqs[cpu].with(WAKER, |inner| inner.queue.iter().copied().collect());
    bench.rqs[cpu].lock.unlock();
    queue
}

fn on_rq(bench: &Bench, task: TaskId) -> u32 {
    bench.tasks[task].fields.on_rq().load(Ordering::Relaxed)
}

fn set_on_rq(bench: &Bench, task: TaskId, value: u32) {
    bench.tasks[task].fields.on_rq().store(value, Ordering::Relaxed);
}

fn set_blocked_on(bench: &Bench, task: TaskId, value: usize) {
    bench.tasks[task].fields.blocked_on().store(value, Ordering::Relaxed);
}

fn set_state(bench: &Bench, task: TaskId, value: u32) {
    bench.tasks[task].fields.state().store(value, Ordering::Relaxed);
}

fn set_cpu(bench: &Bench, task: TaskId, cpu: Cpu) {
    bench.tasks[task].other.cpu.store(cpu, Ordering::Relaxed);
}

/// Frees mutex M; its waiters stay.
fn free(bench: &Bench) {
    bench.mutexes[M].owner.store(1, Ordering::Relaxed);
}

#[test]
fn a_wakeup_waits_until_the_cpu_has_left_the_task() {
    for profile in Profile::ALL {
        let bench = Bench::running(profile);
        bench.set_current_state(CPU0, P, TASK_UNINTERRUPTIBLE);
        bench.__schedule(CPU0, false);
        // The CPU has not finished switching away from P.
        bench.tasks[P].other.on_cpu.store(1, Ordering::Relaxed);
        let leaves = |bench: &Bench| {
            assert!((on_rq(bench, P), bench.state(P)) == (0, TASK_WAKING), "the wakeup did not wait for on_cpu");
            bench.tasks[P].other.on_cpu.store(0, Ordering::Relaxed);
        };
        let wake =
            bench.between("R.acquire p.on_cpu", 5, leaves, |bench| bench.try_to_wake_up(WAKER, None, P, TASK_NORMAL));
        assert_eq!((wake.end, on_rq(&bench, P)), (WakeEnd::Activated, TASK_ON_RQ_QUEUED), "{profile}");
    }
}

#[test]
fn a_wakeup_follows_a_task_that_moves_to_another_runqueue() {
    let bench = donor(Profile::V71);
    let moves = |bench: &Bench| {
        bench.rqs[CPU0].lock.lock(CPU0);
        bench.dequeue_task(CPU0, CPU0, P);
        bench.rqs[CPU0].lock.unlock();
        bench.__set_task_cpu(P, CPU1);
        bench.rqs[CPU1].lock.lock(CPU0);
        bench.activate_task(CPU0, CPU1, P);
        bench.rqs[CPU1].lock.unlock();
    };
    // P moves after the waker has read its CPU and before the waker has that runqueue's lock.
    let home = bench.between("LOCK rq0.lock", 1, moves, |bench| bench.__task_rq_lock(WAKER, P));
    assert_eq!(home, CPU1);
    assert!(bench.rqs[CPU1].lock.is_held_by(WAKER) && bench.rqs[CPU0].lock.holder().is_none());
    bench.rqs[CPU1].lock.unlock();
    // The waker waits while P is between two runqueues.
    set_on_rq(&bench, P, TASK_ON_RQ_MIGRATING);
    let arrives = |bench: &Bench| set_on_rq(bench, P, TASK_ON_RQ_QUEUED);
    assert_eq!(bench.between("LOCK rq1.lock", 4, arrives, |bench| bench.__task_rq_lock(WAKER, P)), CPU1);
    bench.rqs[CPU1].lock.unlock();
}

#[test]
fn a_wakeup_that_finds_the_task_gone_from_the_runqueue_goes_the_long_way() {
    let bench = donor(Profile::V71);
    let sleeps = |bench: &Bench| {
        bench.rqs[CPU0].lock.lock(CPU0);
        bench.block_task(CPU0, CPU0, P);
        bench.rqs[CPU0].lock.unlock();
    };
    let wake = bench.between("LOCK rq0.lock", 1, sleeps, |bench| bench.try_to_wake_up(WAKER, None, P, TASK_NORMAL));
    assert_eq!((wake.end, bench.state(P)), (WakeEnd::Activated, TASK_RUNNING));
    assert_eq!(queue(&bench, CPU0).iter().filter(|task| **task == P).count(), 1);
}

#[test]
fn find_proxy_task_looks_again_with_the_locks_held() {
    for profile in Profile::ALL {
        let bench = donor(profile);
        let other = |bench: &Bench| set_blocked_on(bench, P, mutex_address(N));
        assert_eq!(bench.between("LOCK p.blocked_lock", 1, other, |bench| find_proxy_task(bench, P)), Proxy::PickAgain);
        assert_eq!(
            (bench.harms(), bench.tasks[P].other.cpu.load(Ordering::Relaxed)),
            (vec![], CPU0),
            "find_proxy_task() went on: {profile}"
        );
        // blocked_on is cleared after the pick test, before find_proxy_task() reads it.
        let bench = donor(profile);
        let cleared = |bench: &Bench| set_blocked_on(bench, P, NULL);
        let nth = if profile == Profile::V72 { 1 } else { 2 };
        let proxy = bench.between("R p.blocked_on", nth, cleared, |bench| find_proxy_task(bench, P));
        assert_eq!(proxy, Proxy::PickAgain, "{profile}");
        // In v7.2 the unlocker is about to wake P, so P is taken off the runqueue until then.
        assert_eq!(on_rq(&bench, P) == 0, profile == Profile::V72);
    }
    let careless = Bench::with(Config {
        profile: Profile::V71,
        mutant: Some(Mutant::NoRecheck),
        store: BlockedOnStore::Plain,
        spins: 0,
    });
    careless.__schedule(CPU0, false);
    careless.lock(P, CPU0, TASK_UNINTERRUPTIBLE, &mut LockStage::Start);
    careless.__schedule(CPU0, false);
    let other = |bench: &Bench| set_blocked_on(bench, P, mutex_address(N));
    careless.between("LOCK p.blocked_lock", 1, other, |bench| find_proxy_task(bench, P));
    assert_eq!(careless.harms(), [(Harm::D, 1)]);
}

#[test]
fn a_donor_follows_its_owner_to_another_cpu() {
    for profile in Profile::ALL {
        let bench = donor(profile);
        bench.rqs[CPU0].lock.lock(CPU0);
        let (proxy, steps) = bench.steps(|bench| bench.find_proxy_task(CPU0, P));
        bench.rqs[CPU0].lock.unlock();
        assert_eq!(proxy, Proxy::PickAgain);
        let test = if profile == Profile::V72 { "R p.is_blocked" } else { "R p.blocked_on" };
        assert_steps(
            &steps,
            &format!(
                "{test}; R p.blocked_on; LOCK m.wait_lock; LOCK p.blocked_lock; R p.blocked_on; R p.blocked_on; R m.owner; R owner.on_rq; \
                 R owner.cpu; UNLOCK p.blocked_lock; UNLOCK m.wait_lock; W p.on_rq = 0x2; RMW rq0.nr_running 0x1; smp_wmb; W p.cpu = 0x1; \
                 UNLOCK rq0.lock; LOCK rq1.lock; RMW rq1.nr_running 0x1; W p.on_rq = 0x1; UNLOCK rq1.lock; LOCK rq0.lock"
            ),
        );
        assert_eq!((queue(&bench, CPU0), queue(&bench, CPU1)), (vec![Q], vec![OWNER, P]));
    }
}

#[test]
fn what_a_donors_chain_comes_to() {
    for profile in Profile::ALL {
        // The owner is on the same CPU and runs in the donor's place.
        let here = |bench: &Bench| set_cpu(bench, OWNER, CPU0);
        let bench = donor(profile);
        here(&bench);
        assert_eq!(find_proxy_task(&bench, P), Proxy::Run(OWNER));
        assert_eq!(bench.harms(), []);
        set_state(&bench, P, TASK_RUNNING);
        find_proxy_task(&bench, P);
        assert!(bench.harms().iter().any(|(harm, _)| *harm == Harm::H5), "{profile}: a RUNNING donor");
        // The owner is between two runqueues, or has an unknown on_rq.
        for (value, wanted) in [(TASK_ON_RQ_MIGRATING, Proxy::Idle), (3, Proxy::PickAgain)] {
            let bench = donor(profile);
            here(&bench);
            set_on_rq(&bench, OWNER, value);
            assert_eq!(find_proxy_task(&bench, P), wanted);
        }
        // The mutex was handed to P itself, and P is about to be woken.
        let bench = donor(profile);
        bench.mutexes[M].owner.store((P + 1) << 3 | 5, Ordering::Relaxed);
        assert_eq!(find_proxy_task(&bench, P), Proxy::Idle);
        // The owner sleeps.
        let bench = donor(profile);
        set_on_rq(&bench, OWNER, 0);
        assert_eq!((find_proxy_task(&bench, P), on_rq(&bench, P)), (Proxy::PickAgain, 0), "{profile}");
        // The owner is blocked itself. The chain continues to the owner of its mutex.
        let bench = donor(profile);
        here(&bench);
        set_blocked_on(&bench, OWNER, mutex_address(N));
        bench.tasks[OWNER].other.is_blocked.store(true, Ordering::Relaxed);
        bench.mutexes[N].owner.store((Q + 1) << 3, Ordering::Relaxed);
        assert_eq!(find_proxy_task(&bench, P), Proxy::Run(Q));
    }
}

#[test]
fn a_current_task_is_not_taken_from_its_cpu() {
    for profile in Profile::ALL {
        let current = || {
            let bench = Bench::blocked(profile);
            bench.tasks[P].other.is_blocked.store(true, Ordering::Relaxed);
            bench
        };
        // The owner is on another CPU, or sleeps. The CPU idles.
        let bench = current();
        assert_eq!(find_proxy_task(&bench, P), Proxy::Idle);
        set_on_rq(&bench, OWNER, 0);
        assert_eq!((find_proxy_task(&bench, P), on_rq(&bench, P)), (Proxy::Idle, TASK_ON_RQ_QUEUED));
        // The mutex is free. P runs, with blocked_on cleared.
        free(&bench);
        assert_eq!((find_proxy_task(&bench, P), bench.blocked_on(P)), (Proxy::Run(P), NULL));
        assert!(!bench.tasks[P].other.is_blocked.load(Ordering::Relaxed) || profile != Profile::V72);
        // The mutex is being released to P.
        let bench = current();
        set_blocked_on(&bench, P, PROXY_WAKING);
        assert_eq!((find_proxy_task(&bench, P), bench.blocked_on(P)), (Proxy::Run(P), NULL));
        if profile == Profile::V72 {
            let bench = current();
            set_blocked_on(&bench, P, NULL);
            assert_eq!(find_proxy_task(&bench, P), Proxy::Run(P));
            assert!(!bench.tasks[P].other.is_blocked.load(Ordering::Relaxed));
        }
    }
}

/// Runs find_proxy_task() for donor P in `state` whose mutex is free (and, if `released`, PROXY_WAKING).
/// Returns whether P stays queued.
fn returned(profile: Profile, state: u32, signal: bool, released: bool) -> (Bench, bool) {
    let bench = donor(profile);
    set_state(&bench, P, state);
    bench.tasks[P].other.sigpending.store(signal, Ordering::Relaxed);
    free(&bench);
    if released {
        set_blocked_on(&bench, P, PROXY_WAKING);
    }
    assert_eq!(find_proxy_task(&bench, P), Proxy::PickAgain);
    let queued = on_rq(&bench, P) == TASK_ON_RQ_QUEUED;
    assert_eq!(queue(&bench, CPU0).contains(&P), queued);
    (bench, queued)
}

#[test]
fn a_donor_that_may_go_is_returned_or_deactivated_as_the_profile_has_it() {
    for released in [false, true] {
        for profile in Profile::ALL {
            // P sleeps. v7.1 returns it even so. The others deactivate it until it is woken.
            let (bench, queued) = returned(profile, TASK_UNINTERRUPTIBLE, false, released);
            assert_eq!(queued, profile == Profile::V71, "{profile}");
            assert_eq!(bench.blocked_on(P) == NULL, profile == Profile::V71);
            assert_eq!(bench.harms(), []);
            // P was woken already. The draft deactivates it while it is RUNNING.
            let (bench, queued) = returned(profile, TASK_RUNNING, false, released);
            assert_eq!(queued, profile != Profile::Draft, "{profile}");
            let harms: &[(Harm, u64)] = if profile == Profile::Draft { &[(Harm::H6, 1)] } else { &[] };
            assert_eq!(bench.harms(), harms, "{profile}");
            assert_eq!(bench.blocked_on(P) == NULL, profile != Profile::Draft);
            // P has a signal. No profile deactivates it at once. The profiles with a forced return return it.
            let (bench, queued) = returned(profile, TASK_INTERRUPTIBLE, true, released);
            assert!(queued, "{profile}");
            let cleared = matches!(profile, Profile::V71 | Profile::DraftChecked | Profile::V72);
            assert_eq!(bench.blocked_on(P) == NULL, cleared, "{profile}");
        }
    }
}

#[test]
fn a_signal_that_was_given_and_not_seen_is_counted() {
    let bench = Bench::running(Profile::V71);
    assert_eq!(bench.lock(P, CPU0, TASK_INTERRUPTIBLE, &mut LockStage::Start), Locked::Schedule);
    bench.__schedule(CPU0, false);
    assert_eq!(bench.send_signal(WAKER, None, P).end, WakeEnd::Runnable);
    free(&bench);
    find_proxy_task(&bench, P);
    assert_eq!(bench.harms(), [(Harm::H8, 1)]);
    // An ordinary wakeup is not counted as H8.
    let bench = donor(Profile::V71);
    bench.try_to_wake_up(WAKER, None, P, TASK_NORMAL);
    free(&bench);
    find_proxy_task(&bench, P);
    assert_eq!(bench.harms(), []);
}

#[test]
fn a_forced_return_looks_again_when_it_has_the_locks() {
    let forced = |act: fn(&Bench)| {
        let bench = donor(Profile::V71);
        free(&bench);
        let proxy = bench.between("LOCK p.pi_lock", 1, act, |bench| find_proxy_task(bench, P));
        assert_eq!(proxy, Proxy::PickAgain);
        bench
    };
    let gone = forced(|bench| {
        bench.rqs[CPU0].lock.lock(WAKER);
        bench.block_task(WAKER, CPU0, P);
        bench.rqs[CPU0].lock.unlock();
    });
    assert_eq!((on_rq(&gone, P), gone.blocked_on(P)), (0, mutex_address(M)));
    let elsewhere = forced(|bench| {
        bench.rqs[CPU0].lock.lock(WAKER);
        bench.dequeue_task(WAKER, CPU0, P);
        bench.rqs[CPU0].lock.unlock();
        bench.__set_task_cpu(P, CPU1);
        bench.rqs[CPU1].lock.lock(WAKER);
        bench.activate_task(WAKER, CPU1, P);
        bench.rqs[CPU1].lock.unlock();
    });
    assert_eq!((queue(&elsewhere, CPU0), queue(&elsewhere, CPU1)), (vec![Q], vec![OWNER, P]));
    assert_eq!(elsewhere.blocked_on(P), mutex_address(M));
    let current = forced(|bench| {
        bench.rqs[CPU0].lock.lock(WAKER);
        bench.rqs[CPU0].with(WAKER, |inner| inner.curr = P);
        bench.rqs[CPU0].lock.unlock();
    });
    assert_eq!(current.blocked_on(P), mutex_address(M));
    // Without disturbance P goes back to CPU 0's runqueue, with blocked_on cleared.
    let bench = forced(|_| ());
    assert_eq!((queue(&bench, CPU0), bench.blocked_on(P)), (vec![Q, P], NULL));
    // A donor on a CPU outside its mask returns to a CPU in its mask.
    let bench = donor(Profile::V71);
    find_proxy_task(&bench, P);
    free(&bench);
    bench.rqs[CPU1].lock.lock(CPU1);
    assert_eq!(bench.find_proxy_task(CPU1, P), Proxy::PickAgain);
    bench.rqs[CPU1].lock.unlock();
    assert_eq!((queue(&bench, CPU0), queue(&bench, CPU1)), (vec![Q, P], vec![OWNER]));
    assert_eq!(bench.tasks[P].other.cpu.load(Ordering::Relaxed), CPU0);
}

#[test]
fn a_lock_that_was_handed_over_is_nobody_elses() {
    let bench = Bench::blocked(Profile::V71);
    let mut stage = LockStage::Scheduled;
    // The first waiter fails a second time and asks for a handoff.
    assert_eq!(bench.lock(P, CPU0, TASK_UNINTERRUPTIBLE, &mut stage), Locked::Schedule);
    bench.mutex_unlock(CPU1, OWNER, M);
    assert_eq!((bench.handed_to(M), bench.__mutex_owner(M)), (Some(P), Some(P)));
    assert!(!bench.__mutex_trylock(OWNER, M) && !bench.__mutex_trylock(Q, M));
    assert!(bench.__mutex_trylock(P, M));
    assert_eq!((bench.handed_to(M), bench.__mutex_owner(M)), (None, Some(P)));
    assert!(!bench.__mutex_trylock(P, M), "P has taken the mutex a second time");
    // Without a handoff the mutex is free, and any task may take it.
    let bench = Bench::blocked(Profile::V71);
    bench.mutex_unlock(CPU1, OWNER, M);
    assert_eq!(bench.handed_to(M), None);
    assert!(bench.__mutex_trylock(Q, M));
}

#[test]
fn an_unlocker_that_comes_between_the_stores_and_the_second_try_leaves_the_lock_to_it() {
    for profile in Profile::ALL {
        let bench = Bench::running(profile);
        // The blocker holds wait_lock, so the unlock's slow path waits there. It has freed the owner's word
        // before.
        let frees = |bench: &Bench| free(bench);
        let locked = bench
            .between("R m.owner", 3, frees, |bench| bench.lock(P, CPU0, TASK_UNINTERRUPTIBLE, &mut LockStage::Start));
        assert_eq!((locked, bench.blocked_on(P), bench.state(P)), (Locked::Acquired, NULL, TASK_RUNNING));
        assert_eq!(bench.harms(), []);
    }
}

#[test]
fn a_spinner_stops_when_the_owner_is_off_its_cpu() {
    let bench = Bench::with(Config { profile: Profile::V72, mutant: None, store: BlockedOnStore::Plain, spins: 5 });
    bench.__schedule(CPU0, false);
    let looks = |bench: &Bench| {
        let lock = |bench: &Bench| bench.lock(P, CPU0, TASK_UNINTERRUPTIBLE, &mut LockStage::Start);
        bench.steps(lock).1.iter().filter(|step| *step == "R owner.on_cpu").count()
    };
    bench.tasks[OWNER].other.on_cpu.store(0, Ordering::Relaxed);
    assert_eq!(looks(&bench), 1);
    // A mutex that is freed during the spin is taken without sleeping.
    let bench = Bench::with(Config { profile: Profile::V72, mutant: None, store: BlockedOnStore::Plain, spins: 5 });
    bench.__schedule(CPU0, false);
    let frees = |bench: &Bench| bench.mutexes[M].owner.store(0, Ordering::Relaxed);
    let lock = |bench: &Bench| bench.lock(P, CPU0, TASK_UNINTERRUPTIBLE, &mut LockStage::Start);
    assert_eq!(bench.between("R owner.on_cpu", 3, frees, lock), Locked::Acquired);
    assert_eq!((bench.blocked_on(P), bench.waiters_of(CPU0, M)), (NULL, vec![]));
}

/// S20 (docs/kernel.md, section 8): the waker matches the state of an earlier wait, reads NULL, and its
/// RUNNING overwrites the state that the blocker has stored since. This is sequentially consistent, so it
/// does not count as the race.
fn s20(profile: Profile) -> (Bench, Wake) {
    let bench = Bench::running(profile);
    bench.set_current_state(CPU0, P, TASK_INTERRUPTIBLE);
    let blocks = |bench: &Bench| {
        bench.__set_current_state(CPU0, P, TASK_RUNNING);
        assert_eq!(bench.lock(P, CPU0, TASK_UNINTERRUPTIBLE, &mut LockStage::Start), Locked::Schedule);
    };
    let wake = bench.between("W p.__state = 0x0", 1, blocks, |bench| bench.try_to_wake_up(WAKER, None, P, TASK_NORMAL));
    assert!(bench.retains_blocked_on(P));
    // Both sides continue: the blocker to schedule(), the owner to its unlock.
    assert_eq!(bench.__schedule(CPU0, false), Q);
    bench.mutex_unlock(CPU1, OWNER, M);
    bench.__schedule(CPU0, true);
    (bench, wake)
}

#[test]
fn the_draft_loses_a_task_without_any_reordering_and_no_other_profile_does() {
    for profile in Profile::ALL {
        let (bench, wake) = s20(profile);
        assert_eq!((wake.end, wake.race), (WakeEnd::Runnable, false), "{profile}");
        let lost = bench.state(P) == TASK_RUNNING && on_rq(&bench, P) == 0;
        assert_eq!(lost, profile == Profile::Draft, "{profile}");
        assert_eq!(bench.harms.of(Harm::H6), u64::from(profile == Profile::Draft), "{profile}");
    }
}

/// A waker that sees the state of the first episode without its blocked_on, as a weakly ordered CPU may show
/// them.
fn raced(profile: Profile) -> (Bench, Wake) {
    let bench = donor(profile);
    set_blocked_on(&bench, P, NULL);
    let wake = bench.try_to_wake_up(WAKER, None, P, TASK_NORMAL);
    set_blocked_on(&bench, P, mutex_address(M));
    (bench, wake)
}

#[test]
fn a_store_that_was_not_seen_is_a_race_and_one_that_was_cleared_is_none() {
    for profile in Profile::ALL {
        let (bench, wake) = raced(profile);
        assert!(wake.null && wake.race, "{profile}: {wake:?}");
        assert_ne!(bench.tasks[P].probe.raced_at.load(std::sync::atomic::Ordering::Relaxed), 0);
        let harms: &[(Harm, u64)] = if profile.is_draft() { &[(Harm::H1, 1)] } else { &[] };
        assert_eq!(bench.harms(), harms, "{profile}");
        // blocked_on was cleared, so NULL is the current value.
        let bench = donor(profile);
        bench.rqs[CPU0].lock.lock(WAKER);
        bench.clear_task_blocked_on(WAKER, P, None, Healer::Waker);
        bench.rqs[CPU0].lock.unlock();
        let wake = bench.try_to_wake_up(WAKER, None, P, TASK_NORMAL);
        assert!(wake.null && !wake.race, "{profile}: {wake:?}");
        // A waker that was off its CPU for too many episodes cannot tell, and reports no race.
        let bench = donor(profile);
        set_blocked_on(&bench, P, NULL);
        let sleeps = |bench: &Bench| {
            bench.tasks[P].probe.began.fetch_add(1 << 14, std::sync::atomic::Ordering::Relaxed);
        };
        let wake =
            bench.between("R p.blocked_on", 1, sleeps, |bench| bench.try_to_wake_up(WAKER, None, P, TASK_NORMAL));
        assert!(wake.null && !wake.race, "{profile}: {wake:?}");
    }
}

#[test]
fn who_puts_blocked_on_right_is_told_and_how_long_it_took() {
    let healed = |bench: &Bench| bench.heals.total().0;
    // Healed by the task itself, in its next pass.
    let (bench, _) = raced(Profile::V71);
    std::thread::sleep(std::time::Duration::from_millis(2));
    bench.lock(P, CPU0, TASK_UNINTERRUPTIBLE, &mut LockStage::Scheduled);
    let (by, ticks) = bench.heals.total();
    assert_eq!((by, ticks.len()), ([1, 0, 0, 0], 1));
    let clock = crate::machine::Clock::calibrate();
    assert!(clock.nanos_of(ticks.max() as f64).0 >= 1_900_000.0, "{:?}", clock.nanos_of(ticks.max() as f64));
    // It is counted once.
    bench.lock(P, CPU0, TASK_UNINTERRUPTIBLE, &mut LockStage::Scheduled);
    assert_eq!(healed(&bench), [1, 0, 0, 0]);
    // Healed by a forced return.
    let (bench, _) = raced(Profile::V71);
    free(&bench);
    find_proxy_task(&bench, P);
    assert_eq!(healed(&bench), [0, 0, 1, 0]);
    // Healed by find_proxy_task(), which finds the task current.
    let (bench, _) = raced(Profile::V71);
    free(&bench);
    bench.rqs[CPU0].lock.lock(CPU0);
    bench.rqs[CPU0].with(CPU0, |inner| inner.curr = P);
    bench.rqs[CPU0].lock.unlock();
    assert_eq!(find_proxy_task(&bench, P), Proxy::Run(P));
    assert_eq!(healed(&bench), [0, 1, 0, 0]);
    // Healed by the unlock of v7.2.
    let (bench, _) = raced(Profile::V72);
    bench.mutex_unlock(CPU1, OWNER, M);
    assert_eq!(healed(&bench), [0, 0, 0, 1]);
}
