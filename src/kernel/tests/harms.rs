//! Tests that provoke each harm: it is counted once, and no other harm is counted with it.

use std::sync::atomic::Ordering as ProbeOrdering;

use super::harm::Harm;
use super::heal::Healer;
use super::*;

fn without(profile: Profile, mutant: Mutant) -> Bench {
    Bench::running_with(Config { mutant: Some(mutant), ..Config::new(profile) })
}

fn set(bench: &Bench, value: usize) {
    bench.tasks[P].fields.blocked_on().store(value, Ordering::Relaxed);
}

/// Locks the mutex for P in two passes, with the owner's unlock and schedule() between them.
fn through(bench: &Bench) {
    let mut stage = LockStage::Start;
    assert_eq!(bench.lock(P, CPU0, TASK_UNINTERRUPTIBLE, &mut stage), Locked::Schedule);
    bench.mutex_unlock(CPU1, OWNER, M);
    assert_eq!(bench.schedule(CPU0, P), Q);
    assert!((0..3).any(|_| bench.__schedule(CPU0, SM_PREEMPT) == P), "P is not picked");
    assert_eq!(bench.lock(P, CPU0, TASK_UNINTERRUPTIBLE, &mut stage), Locked::Acquired);
}

#[test]
fn a_whole_round_does_no_harm_but_the_claims_that_are_known() {
    for profile in Profile::ALL {
        let bench = Bench::running(profile);
        through(&bench);
        // The unlock of v7.2 clears blocked_on of a queued task under blocked_lock alone.
        let wanted: &[(Harm, u64)] = if profile == Profile::V72 { &[(Harm::C4, 1)] } else { &[] };
        assert_eq!(bench.harms(), wanted, "{profile}");
    }
}

#[test]
fn blocked_on_left_after_return() {
    let bench = without(Profile::V72, Mutant::NoCleanup);
    through(&bench);
    assert_eq!(bench.harms.of(Harm::H2), 1);
    // PROXY_WAKING that is left over is H3. Here it is set before mutex_lock() returns, and the mutant does
    // not clear it.
    let bench = without(Profile::V71, Mutant::NoCleanup);
    let mut stage = LockStage::Start;
    bench.lock(P, CPU0, TASK_UNINTERRUPTIBLE, &mut stage);
    bench.mutexes[M].owner.store(1, Ordering::Relaxed);
    let waking = |bench: &Bench| set(bench, PROXY_WAKING);
    let pass = |bench: &Bench| bench.lock(P, CPU0, TASK_UNINTERRUPTIBLE, &mut stage);
    assert_eq!(bench.between("UNLOCK m.wait_lock", 1, waking, pass), Locked::Acquired);
    assert_eq!(bench.harms(), [(Harm::H3, 1)]);
}

#[test]
fn a_mutex_stored_over_another_value() {
    for (value, wanted) in [
        (PROXY_WAKING, &[(Harm::H3, 1)][..]),
        (mutex_address(N), &[(Harm::C1, 1)]),
        (mutex_address(M), &[]),
        (NULL, &[]),
    ] {
        let bench = Bench::running(Profile::V71);
        set(&bench, value);
        bench.tasks[P].fields.blocked_lock().lock(CPU0);
        bench.__set_task_blocked_on(CPU0, P, M);
        assert_eq!(bench.harms(), wanted, "{value:#x}");
    }
}

#[test]
fn a_change_without_blocked_lock_or_by_somebody_else() {
    let bench = Bench::running(Profile::V71);
    bench.__set_task_blocked_on(CPU0, P, M);
    assert_eq!(bench.harms(), [(Harm::C3, 1)]);
    bench.__clear_task_blocked_on(CPU0, P, Some(M), Healer::Task);
    assert_eq!(bench.harms(), [(Harm::C3, 2)]);
    // A lock held by another CPU does not count as held.
    bench.tasks[P].fields.blocked_lock().lock(CPU1);
    bench.__set_task_blocked_on(CPU0, P, M);
    assert_eq!(bench.harms(), [(Harm::C3, 3)]);
    let bench = Bench::running(Profile::V71);
    bench.tasks[P].fields.blocked_lock().lock(CPU1);
    bench.__set_task_blocked_on(CPU1, P, M);
    assert_eq!(bench.harms(), [(Harm::C6, 1)]);
    let bench = without(Profile::V71, Mutant::ClearUnlocked);
    set(&bench, mutex_address(M));
    bench.clear_task_blocked_on(CPU0, P, None, Healer::Task);
    assert_eq!(bench.harms(), [(Harm::C3, 1)]);
}

#[test]
fn another_mutexs_blocked_on_cleared() {
    let clear = |value: usize, mutex| {
        let bench = Bench::running(Profile::V71);
        set(&bench, value);
        bench.clear_task_blocked_on(CPU0, P, mutex, Healer::Task);
        assert_eq!(bench.blocked_on(P), NULL);
        bench.harms()
    };
    assert_eq!(clear(mutex_address(N), Some(M)), [(Harm::H9, 1)]);
    for (value, mutex) in
        [(mutex_address(M), Some(M)), (PROXY_WAKING, Some(M)), (NULL, Some(M)), (mutex_address(N), None)]
    {
        assert_eq!(clear(value, mutex), [], "{value:#x}");
    }
    let waking = |profile, value: usize, mutex| {
        let bench = Bench::running(profile);
        set(&bench, value);
        bench.set_task_blocked_on_waking(CPU0, P, mutex);
        (bench.harms(), bench.blocked_on(P))
    };
    assert_eq!(waking(Profile::V71, mutex_address(N), Some(M)), (vec![(Harm::H9, 1)], PROXY_WAKING));
    assert_eq!(waking(Profile::V71, mutex_address(N), None), (vec![], PROXY_WAKING));
    assert_eq!(waking(Profile::V71, mutex_address(M), Some(M)), (vec![], PROXY_WAKING));
    assert_eq!(waking(Profile::V71, PROXY_WAKING, Some(M)), (vec![], PROXY_WAKING));
    // set_task_blocked_on_waking() bails out on NULL.
    assert_eq!(waking(Profile::V71, NULL, Some(M)), (vec![], NULL));
    assert_eq!(waking(Profile::Draft, NULL, None), (vec![], NULL));
    assert_eq!(waking(Profile::V72, mutex_address(M), Some(M)), (vec![], NULL));
    assert_eq!(waking(Profile::V72, mutex_address(N), Some(M)), (vec![(Harm::H9, 1)], NULL));
    let bench = without(Profile::V71, Mutant::NoBailOut);
    bench.set_task_blocked_on_waking(CPU0, P, Some(M));
    assert_eq!((bench.harms(), bench.blocked_on(P)), (vec![(Harm::C2, 1)], PROXY_WAKING));
}

#[test]
fn cleared_by_somebody_else() {
    let clear = |context, lock: bool, sleeps: bool| {
        let bench = Bench::blocked(Profile::V71);
        bench.schedule(CPU0, P);
        if sleeps {
            bench.rqs[CPU0].lock.lock(WAKER);
            bench.block_task(WAKER, CPU0, P, TASK_UNINTERRUPTIBLE);
            bench.rqs[CPU0].lock.unlock();
        }
        if lock {
            bench.rqs[CPU0].lock.lock(context);
        }
        bench.clear_task_blocked_on(context, P, None, Healer::Waker);
        bench.harms()
    };
    assert_eq!(clear(WAKER, false, false), [(Harm::C4, 1)]);
    assert_eq!(clear(WAKER, true, false), []);
    assert_eq!(clear(WAKER, false, true), [(Harm::C5, 1)]);
    // The running task itself needs only blocked_lock.
    let bench = Bench::blocked(Profile::V71);
    bench.clear_task_blocked_on(CPU0, P, None, Healer::Task);
    assert_eq!(bench.harms(), []);
}

#[test]
fn a_running_task_deactivated() {
    for (state, wanted) in [
        (TASK_RUNNING, &[(Harm::H6, 1)][..]),
        (TASK_UNINTERRUPTIBLE, &[]),
        (TASK_INTERRUPTIBLE, &[]),
        (TASK_WAKING, &[]),
    ] {
        let bench = Bench::running(Profile::V71);
        bench.rqs[CPU0].lock.lock(CPU0);
        bench.block_task(CPU0, CPU0, P, state);
        assert_eq!(bench.harms(), wanted);
    }
}

/// P is preempted between its stores and schedule(), so its work is not flushed. Then the owner sleeps, and
/// CPU 0 picks P.
fn preempted(profile: Profile, mutant: Option<Mutant>) -> Bench {
    let bench = Bench::running_with(Config { mutant, ..Config::new(profile) });
    assert_eq!(bench.lock(P, CPU0, TASK_UNINTERRUPTIBLE, &mut LockStage::Start), Locked::Schedule);
    assert_eq!(bench.__schedule(CPU0, SM_PREEMPT), Q);
    bench.set_current_state(CPU1, OWNER, TASK_UNINTERRUPTIBLE);
    assert_eq!(bench.schedule(CPU1, OWNER), CPU1);
    bench.__schedule(CPU0, SM_PREEMPT);
    bench
}

#[test]
fn a_task_deactivated_before_its_work_was_flushed() {
    for profile in Profile::ALL {
        let bench = preempted(profile, None);
        let harms: &[(Harm, u64)] = if profile == Profile::V72 { &[] } else { &[(Harm::H11, 1)] };
        assert_eq!(bench.harms(), harms, "{profile}");
        // v7.2 does not treat P as blocked before P itself has called schedule(), and runs it.
        let runs = bench.__current(CPU0) == P;
        assert_eq!(runs, profile == Profile::V72, "{profile}");
        // Flushed in schedule(), P may be deactivated.
        let bench = Bench::blocked(profile);
        assert_eq!(bench.schedule(CPU0, P), Q);
        bench.set_current_state(CPU1, OWNER, TASK_UNINTERRUPTIBLE);
        bench.schedule(CPU1, OWNER);
        assert_eq!(bench.__schedule(CPU0, SM_PREEMPT), Q);
        assert_eq!(bench.tasks[P].fields.on_rq().load(Ordering::Relaxed), 0);
        assert_eq!(bench.harms(), [], "{profile}");
    }
    // is_blocked helps because a preemption does not set it.
    assert_eq!(preempted(Profile::V72, Some(Mutant::BlockPreempted)).harms(), [(Harm::H11, 1)]);
}

#[test]
fn a_task_run_where_it_must_not_or_twice() {
    // P may run only on CPU 0.
    let bench = Bench::new(Profile::V71);
    bench.rqs[CPU1].lock.lock(WAKER);
    bench.activate_task(WAKER, CPU1, P);
    bench.rqs[CPU1].lock.unlock();
    assert_eq!(bench.__schedule(CPU1, SM_NONE), OWNER);
    assert_eq!(bench.__schedule(CPU1, SM_NONE), P);
    assert_eq!(bench.harms(), [(Harm::H7, 1)]);
    // P is also on CPU 0's runqueue.
    assert_eq!(bench.__schedule(CPU0, SM_NONE), P);
    assert_eq!(bench.harms(), [(Harm::H7, 1), (Harm::H10, 1)]);
    // After a CPU has switched away from P, P may run again.
    let bench = Bench::running(Profile::V71);
    bench.__schedule(CPU0, SM_NONE);
    assert_eq!(bench.tasks[P].probe.running.load(ProbeOrdering::Relaxed), 0);
    assert_eq!(bench.tasks[Q].probe.running.load(ProbeOrdering::Relaxed), CPU0 as u32 + 1);
    assert_eq!(bench.__schedule(CPU0, SM_NONE), P);
    assert_eq!(bench.harms(), []);
}

#[test]
fn the_first_of_each_is_told_and_one_that_nobody_expects_stops_the_trace() {
    let bench = Bench::running(Profile::Draft);
    assert!(bench.harms.count(Harm::H1) && !bench.harms.count(Harm::H1));
    assert_eq!(bench.harms.of(Harm::H1), 2);
    let entries = || bench.trace.entries().len();
    let before = entries();
    bench.harm(CPU0, P, Harm::H6);
    bench.harm(CPU0, P, Harm::H6);
    assert_eq!(entries(), before + 1);
    bench.harm(CPU0, P, Harm::H9);
    let frozen = entries();
    bench.harm(CPU0, P, Harm::H7);
    assert_eq!((frozen, entries()), (before + 2, before + 2));
    assert_eq!(bench.harms.unexpected(Profile::Draft, None), [Harm::H7, Harm::H9]);
    assert_eq!(bench.harms.unexpected(Profile::V72, None), [Harm::H1, Harm::H6, Harm::H7, Harm::H9]);
}
