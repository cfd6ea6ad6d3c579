//! Tests in which another context acts in the middle of a function: at the re-checks and waits, and S20, by
//! which the draft loses a task.

use super::harm::Harm;
use super::heal::Healer;
use super::proxy::Proxy;
use super::wake::{Wake, WakeEnd};
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
    donor_with(Config::new(profile))
}

fn donor_with(config: Config) -> Bench {
    let bench = Bench::running_with(config);
    assert_eq!(bench.lock(P, CPU0, TASK_UNINTERRUPTIBLE, &mut LockStage::Start), Locked::Schedule);
    assert_eq!(bench.schedule(CPU0, P), Q);
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
        bench.__schedule(CPU0, SM_NONE);
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
        bench.block_task(CPU0, CPU0, P, TASK_UNINTERRUPTIBLE);
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
        let proxy = bench.between("R p.blocked_on", 1, cleared, |bench| find_proxy_task(bench, P));
        assert_eq!(proxy, Proxy::PickAgain, "{profile}");
        // In v7.2 the unlocker is about to wake P, so P is taken off the runqueue until then.
        assert_eq!(on_rq(&bench, P) == 0, profile == Profile::V72);
    }
    let careless = donor_with(Config { mutant: Some(Mutant::NoRecheck), ..Config::new(Profile::V71) });
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
        let test = if profile == Profile::V72 { "R p.is_blocked;" } else { "" };
        // proxy_set_task_cpu() keeps ->wake_cpu.
        assert_steps(
            &steps,
            &format!(
                "{test} R p.blocked_on; LOCK m.wait_lock; LOCK p.blocked_lock; R p.blocked_on; R p.blocked_on; R m.owner; R owner.on_rq; \
                 R owner.cpu; UNLOCK p.blocked_lock; UNLOCK m.wait_lock; W p.on_rq = 0x2; RMW rq0.nr_running 0x1; R p.wake_cpu; smp_wmb; \
                 W p.cpu = 0x1; W p.wake_cpu = 0x1; W p.wake_cpu = 0x0; UNLOCK rq0.lock; LOCK rq1.lock; RMW rq1.nr_running 0x1; W p.on_rq = 0x1; UNLOCK rq1.lock; LOCK rq0.lock"
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
        // The owner sleeps. Only the draft leaves blocked_on set.
        let bench = donor(profile);
        set_on_rq(&bench, OWNER, 0);
        assert_eq!((find_proxy_task(&bench, P), on_rq(&bench, P)), (Proxy::PickAgain, 0), "{profile}");
        assert_eq!(bench.blocked_on(P) == NULL, profile != Profile::Draft, "{profile}");
        // The owner's dequeue is delayed, so it sleeps, too.
        let bench = donor_with(Config {
            features: Features { delay_dequeue: 7, ..Features::default() },
            ..Config::new(profile)
        });
        here(&bench);
        bench.tasks[OWNER].other.sched_delayed.store(true, Ordering::Relaxed);
        assert_eq!((find_proxy_task(&bench, P), on_rq(&bench, P)), (Proxy::PickAgain, 0), "{profile}");
        // The owner is woken onto another CPU between the reads.
        let bench = donor(profile);
        here(&bench);
        let leaves = |bench: &Bench| set_cpu(bench, OWNER, CPU1);
        assert_eq!(bench.between("R owner.cpu", 2, leaves, |bench| find_proxy_task(bench, P)), Proxy::PickAgain);
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

/// Runs find_proxy_task() for donor P in `state` whose mutex is free (and, if `released`, was released to P).
/// Returns whether P stays queued.
fn returned(config: Config, state: u32, signal: bool, released: bool) -> (Bench, bool) {
    let bench = donor_with(config);
    set_state(&bench, P, state);
    bench.tasks[P].other.sigpending.store(signal, Ordering::Relaxed);
    free(&bench);
    if released {
        set_blocked_on(&bench, P, if config.profile == Profile::V72 { NULL } else { PROXY_WAKING });
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
            // v7.1 returns P in every state. The draft and v7.2 deactivate it in every state, without a look
            // at signals, and warn if it is RUNNING.
            let returns = profile == Profile::V71;
            for (state, signal) in
                [(TASK_UNINTERRUPTIBLE, false), (TASK_RUNNING, false), (TASK_INTERRUPTIBLE, true), (TASK_RUNNING, true)]
            {
                let (bench, queued) = returned(Config::new(profile), state, signal, released);
                assert_eq!(queued, returns, "{profile} {state} {signal}");
                assert_eq!(bench.blocked_on(P) == NULL, profile != Profile::Draft, "{profile} {state} {signal}");
                let warns: &[(Harm, u64)] = if state == TASK_RUNNING && !returns { &[(Harm::H6, 1)] } else { &[] };
                assert_eq!(bench.harms(), warns, "{profile} {state} {signal}");
            }
        }
        // What would help the draft: a task that is RUNNING, or has a signal, is returned.
        let check = Config { mutant: Some(Mutant::Check), ..Config::new(Profile::Draft) };
        for (state, signal, stays) in
            [(TASK_UNINTERRUPTIBLE, false, false), (TASK_RUNNING, false, true), (TASK_INTERRUPTIBLE, true, true)]
        {
            let (bench, queued) = returned(check, state, signal, released);
            assert_eq!((queued, bench.blocked_on(P) == NULL), (stays, stays), "{state} {signal}");
            assert_eq!(bench.harms(), []);
        }
    }
}

#[test]
fn a_delayed_dequeue_is_undone_by_a_wakeup_or_completed_by_the_next_pick() {
    for profile in Profile::ALL {
        let config = Config { features: Features { delay_dequeue: 1, ..Features::default() }, ..Config::new(profile) };
        let asleep = || {
            let bench = Bench::running_with(config);
            bench.set_current_state(CPU0, P, TASK_UNINTERRUPTIBLE);
            assert_eq!(bench.schedule(CPU0, P), Q);
            assert!(bench.sched_delayed(P) && on_rq(&bench, P) == TASK_ON_RQ_QUEUED);
            bench
        };
        let bench = asleep();
        assert_eq!(bench.try_to_wake_up(WAKER, None, P, TASK_NORMAL).end, WakeEnd::Runnable);
        assert_eq!(
            (bench.sched_delayed(P), bench.state(P), on_rq(&bench, P)),
            (false, TASK_RUNNING, TASK_ON_RQ_QUEUED)
        );
        let bench = asleep();
        assert_eq!(bench.__schedule(CPU0, SM_PREEMPT), Q);
        assert_eq!((bench.sched_delayed(P), on_rq(&bench, P), queue(&bench, CPU0)), (false, 0, vec![Q]));
        assert_eq!(bench.try_to_wake_up(WAKER, None, P, TASK_NORMAL).end, WakeEnd::Activated);
        // TASK_WAKING and TASK_DEAD are never delayed.
        let bench = Bench::with(config);
        bench.rqs[CPU0].lock.lock(CPU0);
        bench.block_task(CPU0, CPU0, P, TASK_WAKING);
        bench.block_task(CPU0, CPU0, Q, TASK_DEAD);
        bench.rqs[CPU0].lock.unlock();
        assert_eq!((on_rq(&bench, P), on_rq(&bench, Q)), (0, 0));
    }
}

/// P is a donor on its owner's CPU 1, where it may not run. The owner sleeps, so CPU 1 deactivates P. The
/// dequeue is delayed, so the wakeup of P finds it queued there.
#[test]
fn a_donor_whose_dequeue_is_delayed_runs_where_it_must_not_in_v7_1() {
    for profile in Profile::ALL {
        let features = Features { delay_dequeue: 1, ..Features::default() };
        let bench = donor_with(Config { features, ..Config::new(profile) });
        assert_eq!(bench.__schedule(CPU0, SM_PREEMPT), Q);
        assert_eq!(queue(&bench, CPU1), [OWNER, P]);
        set_on_rq(&bench, OWNER, 0);
        bench.rqs[CPU1].lock.lock(CPU1);
        assert_eq!(bench.find_proxy_task(CPU1, P), Proxy::PickAgain);
        bench.rqs[CPU1].lock.unlock();
        assert!(bench.sched_delayed(P) && on_rq(&bench, P) == TASK_ON_RQ_QUEUED, "{profile}");
        bench.try_to_wake_up(WAKER, None, P, TASK_NORMAL);
        assert_eq!((bench.state(P), bench.sched_delayed(P)), (TASK_RUNNING, false));
        // The draft finds blocked_on set, and v7.2 is_blocked. Both return P. v7.1 has cleared blocked_on and
        // looks at nothing.
        let strays = queue(&bench, CPU1).contains(&P);
        assert_eq!(strays, profile == Profile::V71, "{profile}");
        set_on_rq(&bench, OWNER, TASK_ON_RQ_QUEUED);
        let runs = (0..3).any(|_| bench.__schedule(CPU1, SM_PREEMPT) == P);
        let harms: &[(Harm, u64)] = if runs { &[(Harm::H7, 1)] } else { &[] };
        assert_eq!((runs, bench.harms().as_slice()), (strays, harms), "{profile}");
    }
}

#[test]
fn a_wakeup_for_another_cpu_is_completed_there() {
    for profile in Profile::ALL {
        let features = Features { wake_list: true, ..Features::default() };
        let bench = Bench::running_with(Config { features, ..Config::new(profile) });
        bench.set_current_state(CPU0, P, TASK_UNINTERRUPTIBLE);
        bench.schedule(CPU0, P);
        // The waker does not wait for a CPU that has not finished switching away from P.
        bench.tasks[P].other.on_cpu.store(1, Ordering::Relaxed);
        assert_eq!(bench.try_to_wake_up(CPU1, None, P, TASK_NORMAL).end, WakeEnd::Activated);
        assert_eq!((on_rq(&bench, P), bench.state(P)), (0, TASK_WAKING));
        assert!(bench.tasks[P].fields.pi_lock().holder().is_none());
        // Until then no other wakeup matches, and v7.2 keeps is_blocked set.
        assert_eq!(bench.try_to_wake_up(WAKER, None, P, TASK_NORMAL).end, WakeEnd::NoMatch);
        assert_eq!(bench.tasks[P].other.is_blocked.load(Ordering::Relaxed), profile == Profile::V72);
        let leaves = |bench: &Bench| bench.tasks[P].other.on_cpu.store(0, Ordering::Relaxed);
        bench.between("R.acquire p.on_cpu", 3, leaves, |bench| bench.sched_ttwu_pending(CPU0));
        assert_eq!((queue(&bench, CPU0), bench.state(P)), (vec![Q, P], TASK_RUNNING));
        assert!(!bench.tasks[P].other.is_blocked.load(Ordering::Relaxed));
        assert!(!bench.rqs[CPU0].wake_list.pending.load(Ordering::Relaxed));
        // A wakeup for the waker's own CPU needs no list.
        bench.set_current_state(CPU0, P, TASK_UNINTERRUPTIBLE);
        bench.rqs[CPU0].lock.lock(CPU0);
        bench.block_task(CPU0, CPU0, P, TASK_UNINTERRUPTIBLE);
        bench.rqs[CPU0].lock.unlock();
        bench.try_to_wake_up(CPU0, None, P, TASK_NORMAL);
        assert_eq!(bench.state(P), TASK_RUNNING);
    }
}

#[test]
fn a_running_task_that_kept_blocked_on_is_not_pushed_and_not_lost() {
    for profile in Profile::ALL {
        let push = |retains: bool, blocked: bool, mask: u64| {
            let kernel: Kernel<LayoutPadded> = Kernel::new(Config::new(profile), 2, 3, &[1, mask], 1);
            for task in [P, OWNER] {
                let home = kernel.tasks[task].other.cpu.load(Ordering::Relaxed);
                assert_eq!(home, CPU0);
                kernel.wake_up_new_task(WAKER, task);
            }
            assert_eq!(kernel.__schedule(CPU0, SM_NONE), P);
            if retains || blocked {
                kernel.tasks[OWNER].fields.blocked_on().store(mutex_address(M), Ordering::Relaxed);
            }
            if blocked {
                kernel.tasks[OWNER].fields.state().store(TASK_UNINTERRUPTIBLE, Ordering::Relaxed);
            }
            let pushed = kernel.push_rt_task(CPU0, CPU1);
            let cpu = kernel.tasks[OWNER].other.cpu.load(Ordering::Relaxed);
            assert!(kernel.rqs.iter().all(|rq| rq.lock.holder().is_none()));
            assert_eq!(kernel.tasks[OWNER].fields.on_rq().load(Ordering::Relaxed), TASK_ON_RQ_QUEUED, "lost");
            (pushed, cpu, kernel.rqs[CPU1].need_resched())
        };
        assert_eq!(push(false, false, 3), (Some(OWNER), CPU1, true), "{profile}");
        // Blocked, or RUNNING with blocked_on kept: it stays where it is.
        assert_eq!(push(false, true, 3), (None, CPU0, false), "{profile}");
        assert_eq!(push(true, false, 3), (None, CPU0, false), "{profile}");
        // It may not run there.
        assert_eq!(push(false, false, 1), (None, CPU0, false), "{profile}");
    }
}

#[test]
fn a_waiter_that_must_die_gives_up_and_another_task_does_not() {
    for profile in Profile::ALL {
        let bench = donor(profile);
        assert_eq!(bench.ww_die(WAKER, None, M, Q), None);
        assert!(!bench.tasks[Q].other.wounded.load(Ordering::Relaxed));
        // The wakeup is issued without wait_lock, so it can be late: here P has blocked again before.
        let late = |bench: &Bench| assert!(bench.mutexes[M].wait_lock.holder().is_none());
        let wake = bench.between("LOCK p.pi_lock", 1, late, |bench| bench.ww_die(WAKER, None, M, P));
        assert_ne!(wake.unwrap().end, WakeEnd::NoMatch);
        assert_eq!(bench.state(P), TASK_RUNNING);
        let mut stage = LockStage::Scheduled;
        bench.rqs[CPU0].lock.lock(CPU0);
        bench.rqs[CPU0].with(CPU0, |inner| inner.curr = P);
        bench.rqs[CPU0].lock.unlock();
        bench.tasks[P].probe.running.store(1, std::sync::atomic::Ordering::Relaxed);
        let before = bench.blocked_on(P);
        assert_eq!(before, if profile == Profile::V71 { PROXY_WAKING } else { NULL }, "{profile}");
        set_blocked_on(&bench, P, NULL);
        assert_eq!(bench.lock(P, CPU0, TASK_UNINTERRUPTIBLE, &mut stage), Locked::Interrupted);
        assert_eq!((bench.blocked_on(P), bench.waiters_of(CPU0, M)), (NULL, vec![]));
    }
}

/// A chain: P waits for M, whose owner on CPU 0 is Q. Q waits for N, whose owner is OWNER on CPU 1.
fn chain(config: Config) -> Bench {
    let bench = Bench::running_with(config);
    bench.mutexes[M].owner.store((Q + 1) << 3, Ordering::Relaxed);
    bench.mutexes[N].owner.store((OWNER + 1) << 3, Ordering::Relaxed);
    assert_eq!(bench.lock(P, CPU0, TASK_UNINTERRUPTIBLE, &mut LockStage::Start), Locked::Schedule);
    assert_eq!(bench.schedule(CPU0, P), Q);
    let mut stage = LockStage::Start;
    assert_eq!(bench.__mutex_lock_common(CPU0, Q, N, TASK_UNINTERRUPTIBLE, &mut stage), Locked::Schedule);
    bench
}

#[test]
fn a_chain_migrates_link_by_link_or_as_a_whole() {
    let where_are = |bench: &Bench| [P, Q].map(|task| bench.tasks[task].other.cpu.load(Ordering::Relaxed));
    for profile in Profile::ALL {
        // CPU 0 picks P. Q is current and in the chain, so nothing moves yet; CPU 0 idles. Then P is picked
        // again. The link whose owner is on the other CPU is Q's, so Q moves; P follows when it is picked.
        let bench = chain(Config::new(profile));
        assert_eq!(bench.schedule(CPU0, Q), CPU0);
        assert_eq!(where_are(&bench), [CPU0, CPU0], "{profile}");
        bench.rqs[CPU0].lock.lock(CPU0);
        assert_eq!(bench.find_proxy_task(CPU0, P), Proxy::PickAgain);
        assert_eq!(where_are(&bench), [CPU0, CPU1], "{profile}");
        assert_eq!(bench.find_proxy_task(CPU0, P), Proxy::PickAgain);
        assert_eq!(where_are(&bench), [CPU1, CPU1], "{profile}");
        bench.rqs[CPU0].lock.unlock();
        // With the change of version 29 both move at once. It needs blocked_donor.
        let features = Features { whole_chain: true, ..Features::default() };
        let bench = chain(Config { features, ..Config::new(profile) });
        assert_eq!(bench.schedule(CPU0, Q), CPU0);
        bench.rqs[CPU0].lock.lock(CPU0);
        assert_eq!(bench.find_proxy_task(CPU0, P), Proxy::PickAgain);
        bench.rqs[CPU0].lock.unlock();
        let wanted = if profile == Profile::V72 { [CPU1, CPU1] } else { [CPU0, CPU1] };
        assert_eq!(where_are(&bench), wanted, "{profile}");
        assert_eq!(bench.harms(), []);
    }
}

#[test]
fn a_signal_that_was_given_and_not_seen_is_counted() {
    let bench = Bench::running(Profile::V71);
    assert_eq!(bench.lock(P, CPU0, TASK_INTERRUPTIBLE, &mut LockStage::Start), Locked::Schedule);
    bench.schedule(CPU0, P);
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
        bench.block_task(WAKER, CPU0, P, TASK_UNINTERRUPTIBLE);
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
    let bench = Bench::running_with(Config { spins: 5, ..Config::new(Profile::V72) });
    let looks = |bench: &Bench| {
        let lock = |bench: &Bench| bench.lock(P, CPU0, TASK_UNINTERRUPTIBLE, &mut LockStage::Start);
        bench.steps(lock).1.iter().filter(|step| *step == "R owner.on_cpu").count()
    };
    bench.tasks[OWNER].other.on_cpu.store(0, Ordering::Relaxed);
    assert_eq!(looks(&bench), 1);
    // A mutex that is freed during the spin is taken without sleeping.
    let bench = Bench::running_with(Config { spins: 5, ..Config::new(Profile::V72) });
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
    assert_eq!(bench.schedule(CPU0, P), Q);
    bench.mutex_unlock(CPU1, OWNER, M);
    bench.__schedule(CPU0, SM_PREEMPT);
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
    raced_with(Config::new(profile))
}

fn raced_with(config: Config) -> (Bench, Wake) {
    let bench = donor_with(config);
    set_blocked_on(&bench, P, NULL);
    let wake = bench.try_to_wake_up(WAKER, None, P, TASK_NORMAL);
    set_blocked_on(&bench, P, mutex_address(M));
    (bench, wake)
}

#[test]
fn a_store_that_was_not_seen_is_a_race_and_one_that_was_cleared_is_none() {
    // Only the draft reads blocked_on in a wakeup.
    for profile in [Profile::V71, Profile::V72] {
        let (bench, wake) = raced(profile);
        assert!(!wake.null && !wake.race, "{profile}: {wake:?}");
        assert_eq!(bench.harms(), [], "{profile}");
    }
    let (bench, wake) = raced(Profile::Draft);
    assert!(wake.null && wake.race, "{wake:?}");
    assert_ne!(bench.tasks[P].probe.raced_at.load(std::sync::atomic::Ordering::Relaxed), 0);
    assert_eq!(bench.harms(), [(Harm::H1, 1)]);
    // blocked_on was cleared, so NULL is the current value.
    let bench = donor(Profile::Draft);
    bench.rqs[CPU0].lock.lock(WAKER);
    bench.clear_task_blocked_on(WAKER, P, None, Healer::Waker);
    bench.rqs[CPU0].lock.unlock();
    let wake = bench.try_to_wake_up(WAKER, None, P, TASK_NORMAL);
    assert!(wake.null && !wake.race, "{wake:?}");
    // A wakeup that clears blocked_on and then reads its own NULL has not missed anything.
    let bench = donor(Profile::Draft);
    let wake = bench.try_to_wake_up(WAKER, None, P, TASK_NORMAL);
    assert!(!wake.null && !wake.race && wake.end == WakeEnd::Activated, "{wake:?}");
    // A waker that was off its CPU for too many episodes cannot tell, and reports no race.
    let bench = donor(Profile::Draft);
    set_blocked_on(&bench, P, NULL);
    let sleeps = |bench: &Bench| {
        bench.tasks[P].episodes.began.fetch_add(1 << 14, std::sync::atomic::Ordering::Relaxed);
    };
    let wake = bench.between("R p.blocked_on", 1, sleeps, |bench| bench.try_to_wake_up(WAKER, None, P, TASK_NORMAL));
    assert!(wake.null && !wake.race, "{wake:?}");
}

#[test]
fn who_puts_blocked_on_right_is_told_and_how_long_it_took() {
    let healed = |bench: &Bench| bench.heals.total().0;
    // Healed by the task itself, in its next pass.
    let (bench, _) = raced(Profile::Draft);
    std::thread::sleep(std::time::Duration::from_millis(2));
    bench.lock(P, CPU0, TASK_UNINTERRUPTIBLE, &mut LockStage::Scheduled);
    let (by, ticks) = bench.heals.total();
    assert_eq!((by, ticks.len()), ([1, 0, 0, 0], 1));
    let clock = crate::machine::Clock::calibrate();
    assert!(clock.nanos_of(ticks.max() as f64).0 >= 1_900_000.0, "{:?}", clock.nanos_of(ticks.max() as f64));
    // It is counted once.
    bench.lock(P, CPU0, TASK_UNINTERRUPTIBLE, &mut LockStage::Scheduled);
    assert_eq!(healed(&bench), [1, 0, 0, 0]);
    // Healed by a forced return, which only the draft with the check has.
    let bench = raced_with(Config { mutant: Some(Mutant::Check), ..Config::new(Profile::Draft) }).0;
    free(&bench);
    find_proxy_task(&bench, P);
    assert_eq!(healed(&bench), [0, 0, 1, 0]);
    // Healed by find_proxy_task(), which finds the task current.
    let (bench, _) = raced(Profile::Draft);
    free(&bench);
    bench.rqs[CPU0].lock.lock(CPU0);
    bench.rqs[CPU0].with(CPU0, |inner| inner.curr = P);
    bench.rqs[CPU0].lock.unlock();
    assert_eq!(find_proxy_task(&bench, P), Proxy::Run(P));
    assert_eq!(healed(&bench), [0, 1, 0, 0]);
    // Healed by a later wakeup.
    let (bench, _) = raced(Profile::Draft);
    set_state(&bench, P, TASK_UNINTERRUPTIBLE);
    bench.try_to_wake_up(WAKER, None, P, TASK_NORMAL);
    assert_eq!(healed(&bench), [0, 0, 0, 1]);
}
