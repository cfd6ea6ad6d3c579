//! Another context acts in the middle of a function: the re-checks, the waits, and the road by which the draft loses a task.

use super::harm::Harm;
use super::heal::Healer;
use super::proxy::Proxy;
use super::sched::{Wake, WakeEnd};
use super::*;

/// find_proxy_task() with the runqueue's lock, which it must hold again afterwards.
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

/// P blocked and switched away from: a donor on CPU 0's runqueue.
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

/// The mutex without an owner, its waiters left.
fn free(bench: &Bench) {
    bench.mutexes[M].owner.store(1, Ordering::Relaxed);
}

#[test]
fn a_wakeup_waits_until_the_cpu_has_left_the_task() {
    for profile in Profile::ALL {
        let bench = Bench::running(profile);
        bench.set_current_state(CPU0, P, TASK_UNINTERRUPTIBLE);
        bench.__schedule(CPU0, false);
        // The CPU has not quite left it.
        bench.tasks[P].other.on_cpu.store(1, Ordering::Relaxed);
        let leaves = |bench: &Bench| {
            assert!((on_rq(bench, P), bench.state(P)) == (0, TASK_WAKING), "it did not wait");
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
    // Between its look at the CPU and the lock of that CPU's runqueue.
    let home = bench.between("LOCK rq0.lock", 1, moves, |bench| bench.__task_rq_lock(WAKER, P));
    assert_eq!(home, CPU1);
    assert!(bench.rqs[CPU1].lock.is_held_by(WAKER) && bench.rqs[CPU0].lock.holder().is_none());
    bench.rqs[CPU1].lock.unlock();
    // Under way, it is waited for.
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
            "it went on: {profile}"
        );
        // Cleared between the pick test and the look.
        let bench = donor(profile);
        let cleared = |bench: &Bench| set_blocked_on(bench, P, NULL);
        let nth = if profile == Profile::V72 { 1 } else { 2 };
        let proxy = bench.between("R p.blocked_on", nth, cleared, |bench| find_proxy_task(bench, P));
        assert_eq!(proxy, Proxy::PickAgain, "{profile}");
        // v7.2: the unlocker is about to wake it, so it sleeps until then.
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
        // The owner is here: it runs in the donor's place.
        let here = |bench: &Bench| set_cpu(bench, OWNER, CPU0);
        let bench = donor(profile);
        here(&bench);
        assert_eq!(find_proxy_task(&bench, P), Proxy::Run(OWNER));
        assert_eq!(bench.harms(), []);
        set_state(&bench, P, TASK_RUNNING);
        find_proxy_task(&bench, P);
        assert!(bench.harms().iter().any(|(harm, _)| *harm == Harm::H5), "{profile}: a RUNNING donor");
        // On its way, or somewhere between.
        for (value, wanted) in [(TASK_ON_RQ_MIGRATING, Proxy::Idle), (3, Proxy::PickAgain)] {
            let bench = donor(profile);
            here(&bench);
            set_on_rq(&bench, OWNER, value);
            assert_eq!(find_proxy_task(&bench, P), wanted);
        }
        // It has the lock itself, and is about to be woken.
        let bench = donor(profile);
        bench.mutexes[M].owner.store((P + 1) << 3 | 5, Ordering::Relaxed);
        assert_eq!(find_proxy_task(&bench, P), Proxy::Idle);
        // The owner sleeps.
        let bench = donor(profile);
        set_on_rq(&bench, OWNER, 0);
        assert_eq!((find_proxy_task(&bench, P), on_rq(&bench, P)), (Proxy::PickAgain, 0), "{profile}");
        // The chain goes on through an owner that is blocked itself.
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
        // Owner elsewhere, or asleep: it idles.
        let bench = current();
        assert_eq!(find_proxy_task(&bench, P), Proxy::Idle);
        set_on_rq(&bench, OWNER, 0);
        assert_eq!((find_proxy_task(&bench, P), on_rq(&bench, P)), (Proxy::Idle, TASK_ON_RQ_QUEUED));
        // Nobody has the lock: it runs, with blocked_on cleared.
        free(&bench);
        assert_eq!((find_proxy_task(&bench, P), bench.blocked_on(P)), (Proxy::Run(P), NULL));
        assert!(!bench.tasks[P].other.is_blocked.load(Ordering::Relaxed) || profile != Profile::V72);
        // It is being released.
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

/// What becomes of a donor whose lock is free, or that is being released, if its state is this one: whether it stays on a runqueue.
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
            // It sleeps: v7.1 returns it all the same; the others let it sleep until it is woken.
            let (bench, queued) = returned(profile, TASK_UNINTERRUPTIBLE, false, released);
            assert_eq!(queued, profile == Profile::V71, "{profile}");
            assert_eq!(bench.blocked_on(P) == NULL, profile == Profile::V71);
            assert_eq!(bench.harms(), []);
            // It was woken already: the draft takes it off, RUNNING.
            let (bench, queued) = returned(profile, TASK_RUNNING, false, released);
            assert_eq!(queued, profile != Profile::Draft, "{profile}");
            let harms: &[(Harm, u64)] = if profile == Profile::Draft { &[(Harm::H6, 1)] } else { &[] };
            assert_eq!(bench.harms(), harms, "{profile}");
            assert_eq!(bench.blocked_on(P) == NULL, profile != Profile::Draft);
            // It has a signal: nobody takes it off at once, and who has a way back returns it.
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
    // An ordinary wakeup is none.
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
    // Undisturbed it goes home, and is woken by nobody: its lock is free.
    let bench = forced(|_| ());
    assert_eq!((queue(&bench, CPU0), bench.blocked_on(P)), (vec![Q, P], NULL));
    // From where it must not run it goes to where it may.
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
    // The first waiter fails again and asks for it.
    assert_eq!(bench.lock(P, CPU0, TASK_UNINTERRUPTIBLE, &mut stage), Locked::Schedule);
    bench.mutex_unlock(CPU1, OWNER, M);
    assert_eq!((bench.handed_to(M), bench.__mutex_owner(M)), (Some(P), Some(P)));
    assert!(!bench.__mutex_trylock(OWNER, M) && !bench.__mutex_trylock(Q, M));
    assert!(bench.__mutex_trylock(P, M));
    assert_eq!((bench.handed_to(M), bench.__mutex_owner(M)), (None, Some(P)));
    assert!(!bench.__mutex_trylock(P, M), "a lock is taken once");
    // Without the asking it is free, and whoever comes first has it.
    let bench = Bench::blocked(Profile::V71);
    bench.mutex_unlock(CPU1, OWNER, M);
    assert_eq!(bench.handed_to(M), None);
    assert!(bench.__mutex_trylock(Q, M));
}

#[test]
fn an_unlocker_that_comes_between_the_stores_and_the_second_try_leaves_the_lock_to_it() {
    for profile in Profile::ALL {
        let bench = Bench::running(profile);
        // With wait_lock held by the blocker the slow path cannot pass; the owner's word is freed in front of it.
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
    // It takes a lock that is freed while it spins, without a sleep.
    let bench = Bench::with(Config { profile: Profile::V72, mutant: None, store: BlockedOnStore::Plain, spins: 5 });
    bench.__schedule(CPU0, false);
    let frees = |bench: &Bench| bench.mutexes[M].owner.store(0, Ordering::Relaxed);
    let lock = |bench: &Bench| bench.lock(P, CPU0, TASK_UNINTERRUPTIBLE, &mut LockStage::Start);
    assert_eq!(bench.between("R owner.on_cpu", 3, frees, lock), Locked::Acquired);
    assert_eq!((bench.blocked_on(P), bench.waiters_of(CPU0, M)), (NULL, vec![]));
}

/// S20: the waker matches the state of an earlier wait, reads NULL, and its RUNNING lands on top of the blocker's stores. Sequentially
/// consistent, so no race.
fn s20(profile: Profile) -> (Bench, Wake) {
    let bench = Bench::running(profile);
    bench.set_current_state(CPU0, P, TASK_INTERRUPTIBLE);
    let blocks = |bench: &Bench| {
        bench.__set_current_state(CPU0, P, TASK_RUNNING);
        assert_eq!(bench.lock(P, CPU0, TASK_UNINTERRUPTIBLE, &mut LockStage::Start), Locked::Schedule);
    };
    let wake = bench.between("W p.__state = 0x0", 1, blocks, |bench| bench.try_to_wake_up(WAKER, None, P, TASK_NORMAL));
    assert!(bench.retains_blocked_on(P));
    // Both run on: the blocker to schedule(), the owner to its unlock.
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

/// A waker that finds the state of the first episode without its blocked_on, as a weak machine may show it.
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
        // Somebody cleared it: NULL is what it is.
        let bench = donor(profile);
        bench.rqs[CPU0].lock.lock(WAKER);
        bench.clear_task_blocked_on(WAKER, P, None, Healer::Waker);
        bench.rqs[CPU0].lock.unlock();
        let wake = bench.try_to_wake_up(WAKER, None, P, TASK_NORMAL);
        assert!(wake.null && !wake.race, "{profile}: {wake:?}");
        // A waker that was away for long enough cannot tell.
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
    // The task itself, on its next pass.
    let (bench, _) = raced(Profile::V71);
    std::thread::sleep(std::time::Duration::from_millis(2));
    bench.lock(P, CPU0, TASK_UNINTERRUPTIBLE, &mut LockStage::Scheduled);
    let (by, ticks) = bench.heals.total();
    assert_eq!((by, ticks.len()), ([1, 0, 0, 0], 1));
    let clock = crate::machine::Clock::calibrate();
    assert!(clock.ns(ticks.max() as f64) >= 1_900_000.0, "{} ns", clock.ns(ticks.max() as f64));
    // It is told once.
    bench.lock(P, CPU0, TASK_UNINTERRUPTIBLE, &mut LockStage::Scheduled);
    assert_eq!(healed(&bench), [1, 0, 0, 0]);
    // A forced return.
    let (bench, _) = raced(Profile::V71);
    free(&bench);
    find_proxy_task(&bench, P);
    assert_eq!(healed(&bench), [0, 0, 1, 0]);
    // find_proxy_task(), which finds it current.
    let (bench, _) = raced(Profile::V71);
    free(&bench);
    bench.rqs[CPU0].lock.lock(CPU0);
    bench.rqs[CPU0].with(CPU0, |inner| inner.curr = P);
    bench.rqs[CPU0].lock.unlock();
    assert_eq!(find_proxy_task(&bench, P), Proxy::Run(P));
    assert_eq!(healed(&bench), [0, 1, 0, 0]);
    // The unlock of v7.2, which clears it.
    let (bench, _) = raced(Profile::V72);
    bench.mutex_unlock(CPU1, OWNER, M);
    assert_eq!(healed(&bench), [0, 0, 0, 1]);
}
