//! Tests of the order of operations (docs/kernel.md, section 3). The lists include the reads of the harm
//! counters.

use super::*;

/// The two stores of the race and the barrier after them. The read is the kernel's WARN check.
const STORES: &str = "LOCK p.blocked_lock; R p.blocked_on; W p.blocked_on = m; MB p.__state = 0x2";
/// __clear_task_blocked_on(), called by the task itself.
const CLEARS: &str = "R p.blocked_on; R p.on_rq; W p.blocked_on = NULL";
/// try_to_wake_up() up to its read of ->on_rq.
const MATCHES: &str = "LOCK p.pi_lock; smp_mb__after_spinlock; R p.__state; smp_rmb; R p.on_rq";
/// __task_rq_lock(), which reads the CPU twice, then the read of ->on_rq in ttwu_runnable().
const QUEUED: &str = "R p.cpu; LOCK rq0.lock; R p.on_rq; R p.cpu; R p.on_rq";
/// Another context clears blocked_on under blocked_lock. The harm counters read ->on_rq and the CPU (C4, C5).
const CLEARED: &str =
    "LOCK p.blocked_lock; R p.blocked_on; R p.on_rq; R p.cpu; W p.blocked_on = NULL; UNLOCK p.blocked_lock";
/// The end of a wakeup that found the task queued.
const RUNNABLE: &str = "W p.__state = 0x0; UNLOCK rq0.lock; UNLOCK p.pi_lock";
/// The end of a wakeup that enqueues the task, after the read of on_cpu.
const ENQUEUED: &str = "LOCK rq0.lock; RMW rq0.nr_running 0x1; W p.on_rq = 0x1;";
/// The beginning of schedule().
const SCHEDULE: &str = "LOCK rq0.lock; smp_mb__after_spinlock; R p.__state";
/// The switch from P to Q. P's on_cpu is released last, because a wakeup of P waits for it.
const SWITCH: &str = "W rq0.need_resched = 0x0; W q.on_cpu = 0x1; UNLOCK rq0.lock; W.release p.on_cpu = 0x0";
/// The last steps of a waiter: it leaves the list. The list is empty then, so the flags are cleared.
const LEAVES: &str = "RMW m.owner 0xfffffffffffffff8; UNLOCK m.wait_lock; R p.blocked_on";

/// How __schedule() of a profile picks Q: v7.2 forgets its donor, and each tests whether Q is blocked.
fn picks_q(profile: Profile) -> &'static str {
    if profile == Profile::V72 { "W q.blocked_donor = 0x0; R q.is_blocked" } else { "R q.blocked_on" }
}

/// What ttwu_do_wakeup() of a profile does before it stores RUNNING.
fn unblocks(profile: Profile) -> &'static str {
    if profile == Profile::V72 { "W p.is_blocked = 0x0;" } else { "" }
}

#[test]
fn the_blocker_stores_blocked_on_then_its_state_and_tries_again_behind_a_barrier() {
    for profile in Profile::ALL {
        let bench = Bench::running(profile);
        let mut stage = LockStage::Start;
        let (locked, steps) = bench.steps(|bench| bench.lock(P, CPU0, TASK_UNINTERRUPTIBLE, &mut stage));
        assert_eq!((locked, stage), (Locked::Schedule, LockStage::Scheduled));
        assert_steps(
            &steps,
            &format!(
                "R m.owner; LOCK m.wait_lock; R m.owner; RMW m.owner 0x1; {STORES}; R m.owner; UNLOCK p.blocked_lock; R p.wounded; \
                 UNLOCK m.wait_lock"
            ),
        );
        // The second waiter does not set the WAITERS flag again.
        bench.__schedule(CPU0, SM_NONE);
        let (_, steps) = bench.steps(|bench| bench.lock(Q, CPU0, TASK_UNINTERRUPTIBLE, &mut LockStage::Start));
        assert!(!steps.iter().any(|step| step.starts_with("RMW ")), "{steps:?}");
    }
}

#[test]
fn woken_it_stores_both_again_and_asks_for_a_handoff() {
    for profile in Profile::ALL {
        let bench = Bench::blocked(profile);
        let mut stage = LockStage::Scheduled;
        let (locked, steps) = bench.steps(|bench| bench.lock(P, CPU0, TASK_UNINTERRUPTIBLE, &mut stage));
        assert_eq!(locked, Locked::Schedule);
        assert_steps(
            &steps,
            &format!(
                "LOCK m.wait_lock; {STORES}; R m.owner; RMW.acquire m.owner 3:3; R m.owner; UNLOCK p.blocked_lock; R p.wounded; \
                 UNLOCK m.wait_lock"
            ),
        );
        // The waiter has asked for a handoff, so the unlock leaves the owner's word to __mutex_handoff().
        let (wake, steps) = bench.steps(|bench| bench.mutex_unlock(CPU1, OWNER, M).unwrap());
        assert_eq!(wake.end, wake::WakeEnd::Runnable);
        let (boosted, waking, own) = match profile {
            Profile::V72 => (
                "R owner.blocked_donor;",
                format!("LOCK owner.blocked_lock; R owner.blocked_donor; {CLEARED}"),
                "UNLOCK owner.blocked_lock;",
            ),
            _ => {
                let waking =
                    "LOCK p.blocked_lock; R p.blocked_on; W p.blocked_on = PROXY_WAKING; UNLOCK p.blocked_lock";
                ("", waking.to_owned(), "")
            }
        };
        // P is current, so the draft only clears blocked_on, and v7.2 has nothing to look at.
        let looks = match profile {
            Profile::V71 => String::new(),
            Profile::Draft => format!("R p.blocked_on; {CLEARED};"),
            Profile::V72 => format!("R p.is_blocked; {}", unblocks(profile)),
        };
        assert_steps(
            &steps,
            &format!(
                "RMW.release m.owner 0x0; R m.owner; {boosted} LOCK m.wait_lock; {waking}; R m.owner; RMW.release m.owner 2:5; {own} \
                 UNLOCK m.wait_lock; {MATCHES}; {QUEUED}; {looks} {RUNNABLE}"
            ),
        );
        let (locked, steps) = bench.steps(|bench| bench.lock(P, CPU0, TASK_UNINTERRUPTIBLE, &mut stage));
        assert_eq!((locked, stage), (Locked::Acquired, LockStage::Start));
        assert_steps(
            &steps,
            &format!(
                "LOCK m.wait_lock; {STORES}; R m.owner; RMW.acquire m.owner 2:1; {CLEARS}; W p.__state = 0x0; UNLOCK p.blocked_lock; {LEAVES}"
            ),
        );
        assert_eq!(bench.mutexes[M].owner.load(Ordering::Relaxed), (P + 1) << 3);
        assert!(bench.waiters_of(CPU0, M).is_empty());
    }
}

#[test]
fn the_unlock_frees_the_owner_before_it_wakes_the_first_waiter() {
    for profile in Profile::ALL {
        let bench = Bench::blocked(profile);
        let (_, steps) = bench.steps(|bench| bench.mutex_unlock(CPU1, OWNER, M).unwrap());
        let at = |step: &str| steps.iter().position(|seen| seen == step).unwrap_or_else(|| panic!("{step}: {steps:?}"));
        let mut begins = vec!["RMW.release m.owner 0x0", "R m.owner", "RMW.release m.owner 0x1", "LOCK m.wait_lock"];
        if profile == Profile::V72 {
            begins.insert(2, "R owner.blocked_donor");
        }
        assert_eq!(steps[..begins.len()], begins);
        assert!(at("UNLOCK m.wait_lock") < at("LOCK p.pi_lock"), "the wakeup is issued without wait_lock");
        assert_eq!(bench.__mutex_owner(M), None);
        // Without waiters the unlock wakes nobody.
        let alone = Bench::new(profile);
        let (wake, steps) = alone.steps(|bench| bench.mutex_unlock(CPU1, OWNER, M));
        assert_eq!(wake, None);
        assert_steps(&steps, "RMW.release m.owner 0x0");
    }
}

#[test]
fn a_lock_that_is_free_is_taken_with_acquire_and_nothing_else() {
    let bench = Bench::running(Profile::V71);
    let (locked, steps) =
        bench.steps(|bench| bench.__mutex_lock_common(CPU0, P, N, TASK_UNINTERRUPTIBLE, &mut LockStage::Start));
    assert_eq!(locked, Locked::Acquired);
    assert_steps(&steps, "R n.owner; RMW.acquire n.owner 2:0");
}

#[test]
fn a_wakeup_of_a_queued_task() {
    for profile in Profile::ALL {
        let bench = Bench::blocked(profile);
        bench.schedule(CPU0, P);
        let (wake, steps) = bench.steps(|bench| bench.try_to_wake_up(WAKER, None, P, TASK_NORMAL));
        assert_eq!((wake.null, wake.race), (false, false));
        // v7.1 and v7.2 do not read blocked_on. The draft takes the donor off and enqueues it anew.
        let rest = match profile {
            Profile::V71 => RUNNABLE.to_owned(),
            Profile::Draft => format!(
                "R p.blocked_on; {CLEARED}; RMW rq0.nr_running 0x1; W.release p.on_rq = 0x0; UNLOCK rq0.lock; \
                 smp_acquire__after_ctrl_dep; W p.__state = 0x200; R p.blocked_on; R.acquire p.on_cpu; R p.wake_cpu; R p.cpu; {ENQUEUED} \
                 {RUNNABLE}"
            ),
            Profile::V72 => format!("R p.is_blocked; R p.cpu; R p.wake_cpu; W p.is_blocked = 0x0; {RUNNABLE}"),
        };
        assert_steps(&steps, &format!("{MATCHES}; {QUEUED}; {rest}"));
        let end = if profile == Profile::Draft { wake::WakeEnd::Activated } else { wake::WakeEnd::Runnable };
        assert_eq!((wake.end, bench.state(P)), (end, TASK_RUNNING));
        assert_eq!(bench.blocked_on(P) == NULL, profile == Profile::Draft, "{profile}");
        // A second wakeup finds RUNNING, which does not match.
        let (wake, steps) = bench.steps(|bench| bench.try_to_wake_up(WAKER, None, P, TASK_NORMAL));
        assert_eq!(wake.end, wake::WakeEnd::NoMatch);
        assert_steps(&steps, "LOCK p.pi_lock; smp_mb__after_spinlock; R p.__state; UNLOCK p.pi_lock");
    }
}

#[test]
fn a_wakeup_of_a_task_off_the_runqueue() {
    for profile in Profile::ALL {
        let bench = Bench::running(profile);
        bench.set_current_state(CPU0, P, TASK_UNINTERRUPTIBLE);
        assert_eq!(bench.__schedule(CPU0, SM_NONE), Q);
        // v7.2 marks every task that sleeps, until its wakeup is complete.
        assert_eq!(bench.tasks[P].other.is_blocked.load(Ordering::Relaxed), profile == Profile::V72);
        let (wake, steps) = bench.steps(|bench| bench.try_to_wake_up(WAKER, None, P, TASK_NORMAL));
        assert_eq!((wake.end, wake.race), (wake::WakeEnd::Activated, false));
        let looks = if profile == Profile::Draft { "R p.blocked_on;" } else { "" };
        assert_steps(
            &steps,
            &format!(
                "{MATCHES}; smp_acquire__after_ctrl_dep; W p.__state = 0x200; {looks} R.acquire p.on_cpu; R p.wake_cpu; R p.cpu; \
                 {ENQUEUED} {} {RUNNABLE}",
                unblocks(profile)
            ),
        );
        // If blocked_on is set, only the draft clears it.
        let bench = Bench::blocked(profile);
        bench.schedule(CPU0, P);
        bench.rqs[CPU0].lock.lock(CPU0);
        bench.block_task(CPU0, CPU0, P, TASK_UNINTERRUPTIBLE);
        bench.rqs[CPU0].lock.unlock();
        bench.try_to_wake_up(WAKER, None, P, TASK_NORMAL);
        assert_eq!(bench.blocked_on(P) == NULL, profile == Profile::Draft, "{profile}");
    }
}

#[test]
fn a_task_wakes_itself_without_a_lock_and_only_if_its_state_matches() {
    for profile in Profile::ALL {
        let bench = Bench::running(profile);
        let wakes = |mask| bench.steps(|bench| bench.try_to_wake_up(CPU0, Some(P), P, mask));
        bench.__set_current_state(CPU0, P, TASK_INTERRUPTIBLE);
        // v7.2 clears blocked_on first, whether the state matches or not.
        let clears =
            if profile == Profile::V72 { "LOCK p.blocked_lock; R p.blocked_on; UNLOCK p.blocked_lock;" } else { "" };
        let (wake, steps) = wakes(TASK_UNINTERRUPTIBLE);
        assert_eq!(wake.end, wake::WakeEnd::NoMatch);
        assert_steps(&steps, &format!("{clears} R p.__state"));
        let (wake, steps) = wakes(TASK_NORMAL);
        assert_eq!(wake.end, wake::WakeEnd::Current);
        assert_steps(&steps, &format!("{clears} R p.__state; {} W p.__state = 0x0", unblocks(profile)));
        let bench = Bench::blocked(profile);
        bench.try_to_wake_up(CPU0, Some(P), P, TASK_INTERRUPTIBLE);
        assert_eq!(bench.blocked_on(P) == NULL, profile == Profile::V72, "{profile}");
    }
}

#[test]
fn a_donor_that_was_migrated_is_taken_back() {
    for profile in Profile::ALL {
        let bench = Bench::blocked(profile);
        assert_eq!(bench.schedule(CPU0, P), Q);
        // P is picked and migrates to its owner's CPU 1. Q runs on.
        assert_eq!(bench.__schedule(CPU0, SM_PREEMPT), Q);
        let place = |bench: &Bench| {
            let other = &bench.tasks[P].other;
            (other.cpu.load(Ordering::Relaxed), other.wake_cpu.load(Ordering::Relaxed))
        };
        assert_eq!(place(&bench), (CPU1, CPU0));
        let (wake, steps) = bench.steps(|bench| bench.try_to_wake_up(WAKER, None, P, TASK_NORMAL));
        let queued = "R p.cpu; LOCK rq1.lock; R p.on_rq; R p.cpu; R p.on_rq";
        if profile == Profile::V71 {
            // find_proxy_task() returns P when it is picked.
            assert_steps(&steps, &format!("{MATCHES}; {queued}; W p.__state = 0x0; UNLOCK rq1.lock; UNLOCK p.pi_lock"));
            assert_eq!(place(&bench), (CPU1, CPU0));
            continue;
        }
        let looks = match profile {
            Profile::Draft => "R p.blocked_on",
            _ => "R p.is_blocked; R p.cpu; R p.wake_cpu",
        };
        let again = if profile == Profile::Draft { "R p.blocked_on;" } else { "" };
        assert_eq!(wake.end, wake::WakeEnd::Activated);
        assert_steps(
            &steps,
            &format!(
                "{MATCHES}; {queued}; {looks}; {CLEARED}; RMW rq1.nr_running 0x1; W.release p.on_rq = 0x0; UNLOCK rq1.lock; \
                 smp_acquire__after_ctrl_dep; W p.__state = 0x200; {again} R.acquire p.on_cpu; R p.wake_cpu; R p.cpu; smp_wmb; \
                 W p.cpu = 0x0; W p.wake_cpu = 0x0; {ENQUEUED} {} {RUNNABLE}",
                unblocks(profile)
            ),
        );
        assert_eq!((place(&bench), bench.blocked_on(P)), ((CPU0, CPU0), NULL));
        assert_eq!(bench.rqs[CPU1].nr_running.load(Ordering::Relaxed), 1);
    }
}

#[test]
fn a_donor_that_cpu_1_lends_from_is_replaced_when_it_is_taken_back() {
    for profile in [Profile::Draft, Profile::V72] {
        let bench = Bench::blocked(profile);
        bench.schedule(CPU0, P);
        bench.__schedule(CPU0, SM_PREEMPT);
        // CPU 1 picks P and runs its owner in P's place.
        bench.__schedule(CPU1, SM_PREEMPT);
        let donor = |bench: &Bench| {
            bench.rqs[CPU1].lock.lock(WAKER);
            let donor = bench.rqs[CPU1].with(WAKER, |inner| (inner.curr, inner.donor));
            bench.rqs[CPU1].lock.unlock();
            donor
        };
        while donor(&bench) != (OWNER, P) {
            assert_eq!(bench.__schedule(CPU1, SM_PREEMPT), OWNER);
        }
        bench.try_to_wake_up(WAKER, None, P, TASK_NORMAL);
        // The draft leaves the idle task as the donor. v7.2 makes it the current task and picks again.
        let wanted = if profile == Profile::V72 { (OWNER, OWNER) } else { (OWNER, CPU1) };
        assert_eq!((donor(&bench), bench.rqs[CPU1].need_resched()), (wanted, profile == Profile::V72));
    }
}

#[test]
fn v7_2_hands_the_mutex_to_the_task_that_boosts() {
    // P and Q wait for the mutex, P first. CPU 1 lends the owner the turn of Q.
    let bench = Bench::blocked(Profile::V72);
    bench.schedule(CPU0, P);
    let mut stage = LockStage::Start;
    bench.lock(Q, CPU0, TASK_UNINTERRUPTIBLE, &mut stage);
    bench.tasks[OWNER].other.blocked_donor.store(Q + 1, Ordering::Relaxed);
    let (wake, steps) = bench.steps(|bench| bench.mutex_unlock(CPU1, OWNER, M).unwrap());
    assert_steps(
        &steps[..16],
        "RMW.release m.owner 0x0; R m.owner; R owner.blocked_donor; LOCK m.wait_lock; LOCK owner.blocked_lock; R owner.blocked_donor; \
         LOCK q.blocked_lock; R q.blocked_on; R q.blocked_on; R q.on_rq; R q.cpu; W q.blocked_on = NULL; W owner.blocked_donor = 0x0; \
         UNLOCK q.blocked_lock; R m.owner; RMW.release m.owner 4:5",
    );
    assert_eq!((bench.handed_to(M), wake.end), (Some(Q), wake::WakeEnd::Runnable));
    assert_eq!(bench.lock(Q, CPU0, TASK_UNINTERRUPTIBLE, &mut stage), Locked::Acquired);
    // A donor that waits for another mutex gets nothing: the first waiter gets the mutex by handoff.
    let bench = Bench::blocked(Profile::V72);
    bench.schedule(CPU0, P);
    bench.tasks[OWNER].other.blocked_donor.store(Q + 1, Ordering::Relaxed);
    bench.mutex_unlock(CPU1, OWNER, M).unwrap();
    assert_eq!((bench.handed_to(M), bench.blocked_on(P)), (Some(P), NULL));
}

#[test]
fn need_resched_ends_a_spin_with_the_state_running() {
    for profile in Profile::ALL {
        let bench = Bench::running_with(Config { spins: 5, ..Config::new(profile) });
        bench.rqs[CPU0].resched_curr();
        let mut stage = LockStage::Start;
        let (locked, steps) = bench.steps(|bench| bench.lock(P, CPU0, TASK_UNINTERRUPTIBLE, &mut stage));
        assert_eq!((locked, stage), (Locked::Resched, LockStage::Spun));
        let ends = "R m.owner; R m.owner; R owner.on_cpu; R rq0.need_resched; R rq0.need_resched; W p.__state = 0x0";
        assert_steps(&steps, &format!("R m.owner; {ends}"));
        // P goes on with wait_lock, without another spin.
        let (locked, steps) = bench.steps(|bench| bench.lock(P, CPU0, TASK_UNINTERRUPTIBLE, &mut stage));
        assert_eq!((locked, steps[0].as_str()), (Locked::Schedule, "LOCK m.wait_lock"));
        // The first waiter's spin ends in the same way. Then only v7.2 sets the state again, so in the others
        // P is RUNNING with blocked_on set.
        let (locked, steps) = bench.steps(|bench| bench.lock(P, CPU0, TASK_UNINTERRUPTIBLE, &mut stage));
        assert_eq!((locked, stage), (Locked::Resched, LockStage::WaiterSpun));
        let ends = ends.split(';').count();
        assert_eq!(steps[steps.len() - ends - 1], "UNLOCK m.wait_lock");
        assert_eq!((bench.blocked_on(P), bench.state(P)), (NULL, TASK_RUNNING));
        let (_, steps) = bench.steps(|bench| bench.lock(P, CPU0, TASK_UNINTERRUPTIBLE, &mut stage));
        let again = if profile == Profile::V72 { "; MB p.__state = 0x2" } else { "" };
        assert_steps(
            &steps,
            &format!(
                "LOCK m.wait_lock; LOCK p.blocked_lock; R p.blocked_on; W p.blocked_on = m{again}; R m.owner; UNLOCK p.blocked_lock; \
                 R p.wounded; UNLOCK m.wait_lock"
            ),
        );
        assert_eq!(bench.retains_blocked_on(P), profile != Profile::V72, "{profile}");
    }
}

#[test]
fn a_signal_is_marked_before_it_wakes_and_wakes_only_who_may_be_interrupted() {
    for profile in Profile::ALL {
        let bench = Bench::running(profile);
        let mut stage = LockStage::Start;
        assert_eq!(bench.lock(P, CPU0, TASK_INTERRUPTIBLE, &mut stage), Locked::Schedule);
        let (wake, steps) = bench.steps(|bench| bench.send_signal(WAKER, None, P));
        assert_eq!(wake.end, wake::WakeEnd::Runnable);
        assert_eq!(&steps[..2], ["W p.sigpending = 0x1", "LOCK p.pi_lock"]);
        // P gives up: it clears blocked_on under blocked_lock, sets its state, then leaves the list.
        let (locked, steps) = bench.steps(|bench| bench.lock(P, CPU0, TASK_INTERRUPTIBLE, &mut stage));
        assert_eq!((locked, stage), (Locked::Interrupted, LockStage::Start));
        let stores = STORES.replace("0x2", "0x1");
        assert_steps(
            &steps,
            &format!(
                "LOCK m.wait_lock; {stores}; R m.owner; RMW.acquire m.owner 3:3; R m.owner; UNLOCK p.blocked_lock; R p.wounded; \
                 R p.sigpending; LOCK p.blocked_lock; {CLEARS}; UNLOCK p.blocked_lock; W p.__state = 0x0; {LEAVES}"
            ),
        );
        let deaf = Bench::blocked(profile);
        assert_eq!(deaf.send_signal(WAKER, None, P).end, wake::WakeEnd::NoMatch);
        assert_eq!(deaf.lock(P, CPU0, TASK_UNINTERRUPTIBLE, &mut LockStage::Scheduled), Locked::Schedule);
    }
}

#[test]
fn a_wound_is_marked_then_takes_blocked_on_then_wakes() {
    for profile in Profile::ALL {
        let bench = Bench::blocked(profile);
        let (wake, steps) = bench.steps(|bench| bench.ww_wound(WAKER, None, P));
        assert_eq!(wake.end, wake::WakeEnd::Runnable);
        let takes = match profile {
            Profile::V72 => CLEARED,
            _ => "LOCK p.blocked_lock; R p.blocked_on; W p.blocked_on = PROXY_WAKING; UNLOCK p.blocked_lock",
        };
        let wanted = format!("W p.wounded = 0x1; {takes}; {MATCHES}");
        assert_steps(&steps[..wanted.split(';').count()], &wanted);
        let mut stage = LockStage::Scheduled;
        let (locked, steps) = bench.steps(|bench| bench.lock(P, CPU0, TASK_UNINTERRUPTIBLE, &mut stage));
        assert_eq!(locked, Locked::Interrupted);
        let end = format!(
            "UNLOCK p.blocked_lock; R p.wounded; LOCK p.blocked_lock; {CLEARS}; UNLOCK p.blocked_lock; W p.__state = 0x0; {LEAVES}"
        );
        assert_steps(&steps[steps.len() - end.split(';').count()..], &end);
        // A task that is not blocked yet: the wound bails out on NULL, and no state matches. The task gives
        // up when it blocks.
        let early = Bench::running(profile);
        let (wake, _) = early.steps(|bench| bench.ww_wound(WAKER, None, P));
        assert_eq!((wake.end, early.blocked_on(P)), (wake::WakeEnd::NoMatch, NULL));
        assert_eq!(early.lock(P, CPU0, TASK_UNINTERRUPTIBLE, &mut LockStage::Start), Locked::Interrupted);
    }
}

#[test]
fn schedule_looks_at_the_state_behind_a_barrier() {
    for profile in Profile::ALL {
        let q = picks_q(profile);
        // A RUNNING task stays queued.
        let bench = Bench::running(profile);
        let (next, steps) = bench.steps(|bench| bench.__schedule(CPU0, SM_NONE));
        assert_eq!(next, Q);
        assert_steps(&steps, &format!("{SCHEDULE}; {q}; {SWITCH}"));
        // A sleeping task is taken off. After the release store a waker may enqueue it elsewhere.
        let marks = if profile == Profile::V72 { "W p.is_blocked = 0x1;" } else { "" };
        let bench = Bench::running(profile);
        bench.__set_current_state(CPU0, P, TASK_UNINTERRUPTIBLE);
        let (_, steps) = bench.steps(|bench| bench.__schedule(CPU0, SM_NONE));
        assert_steps(
            &steps,
            &format!(
                "{SCHEDULE}; R p.blocked_on; {marks} RMW rq0.nr_running 0x1; W.release p.on_rq = 0x0; {q}; {SWITCH}"
            ),
        );
        // A mutex-blocked task stays queued as a donor.
        let bench = Bench::blocked(profile);
        let (_, steps) = bench.steps(|bench| bench.schedule(CPU0, P));
        assert_steps(&steps, &format!("{SCHEDULE}; R p.blocked_on; {marks} {q}; {SWITCH}"));
        // A preempted task stays queued in every state.
        let bench = Bench::blocked(profile);
        let (_, steps) = bench.steps(|bench| bench.__schedule(CPU0, SM_PREEMPT));
        assert_steps(&steps, &format!("{SCHEDULE}; {q}; {SWITCH}"));
        // A task with a pending signal does not sleep.
        let bench = Bench::running(profile);
        assert_eq!(bench.lock(P, CPU0, TASK_INTERRUPTIBLE, &mut LockStage::Start), Locked::Schedule);
        bench.tasks[P].other.sigpending.store(true, Ordering::Relaxed);
        let (_, steps) = bench.steps(|bench| bench.__schedule(CPU0, SM_NONE));
        let clears = match profile {
            Profile::V72 => format!("LOCK p.blocked_lock; {CLEARS}; UNLOCK p.blocked_lock"),
            _ => "LOCK p.blocked_lock; R p.blocked_on; W p.blocked_on = PROXY_WAKING; UNLOCK p.blocked_lock".to_owned(),
        };
        assert_steps(
            &steps,
            &format!("{SCHEDULE}; R p.blocked_on; R p.sigpending; W p.__state = 0x0; {clears}; {q}; {SWITCH}"),
        );
    }
}

#[test]
fn in_the_gap_of_the_spin_blocked_on_is_clear_and_v7_2_alone_sets_the_state_again() {
    for profile in Profile::ALL {
        let bench = Bench::running_with(Config { spins: 1, ..Config::new(profile) });
        assert_eq!(bench.lock(P, CPU0, TASK_UNINTERRUPTIBLE, &mut LockStage::Start), Locked::Schedule);
        let (_, steps) = bench.steps(|bench| bench.lock(P, CPU0, TASK_UNINTERRUPTIBLE, &mut LockStage::Scheduled));
        let again = if profile == Profile::V72 { "; MB p.__state = 0x2" } else { "" };
        assert_steps(
            &steps,
            &format!(
                "LOCK m.wait_lock; {STORES}; R m.owner; RMW.acquire m.owner 3:3; {CLEARS}; UNLOCK p.blocked_lock; UNLOCK m.wait_lock; \
                 R m.owner; R m.owner; R owner.on_cpu; R rq0.need_resched; R rq0.need_resched; LOCK m.wait_lock; LOCK p.blocked_lock; \
                 R p.blocked_on; W p.blocked_on = m{again}; \
                 R m.owner; UNLOCK p.blocked_lock; R p.wounded; UNLOCK m.wait_lock"
            ),
        );
    }
}
