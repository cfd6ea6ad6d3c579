//! Tests that drive the protocol with one thread.
//!
//! They check which words each function accesses and in which order, and let another context act in the
//! middle of a function. So they depend neither on chance nor on the ordering that x86 adds.

mod barriers;
mod harms;
mod interleavings;
mod order;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;

use super::mutex::{LockStage, Locked};
use super::sched::SchedMode;
use super::sync::Ordering;
use super::task::{LayoutPadded, NULL, PROXY_WAKING, TaskLayout, mutex_address, state_of};
use super::witness::{Access, watch};
use super::*;

const SM_NONE: SchedMode = SchedMode::None;
const SM_PREEMPT: SchedMode = SchedMode::Preempt;

/// Two CPUs, a third context that only wakes, and three tasks.
const CPU0: Cpu = 0;
const CPU1: Cpu = 1;
const WAKER: Cpu = 2;
/// The task that blocks; it may run on CPU 0 only.
const P: TaskId = 2;
/// The task that owns mutex M; it may run on CPU 1 only.
const OWNER: TaskId = 3;
/// Another task; it may run on CPU 0 only.
const Q: TaskId = 4;
/// The mutex that P locks.
const M: MutexId = 0;
/// Another mutex.
const N: MutexId = 1;

/// A kernel and the names of its words.
#[derive(Clone)]
struct Bench {
    kernel: Arc<Kernel<LayoutPadded>>,
    names: Arc<BTreeMap<usize, String>>,
}

fn address<T>(place: &T) -> usize {
    std::ptr::from_ref(place) as usize
}

impl Bench {
    /// All tasks are queued. The owner runs on CPU 1 and has the mutex. CPU 0 is idle.
    fn new(profile: Profile) -> Bench {
        Bench::with(Config::new(profile))
    }

    fn with(config: Config) -> Bench {
        let kernel: Kernel<LayoutPadded> = Kernel::new(config, 2, 3, &[1, 2, 1], 2);
        let mut names = BTreeMap::new();
        for (task, name) in [(0, "idle0"), (1, "idle1"), (P, "p"), (OWNER, "owner"), (Q, "q")] {
            let (fields, other) = (&kernel.tasks[task].fields, &kernel.tasks[task].other);
            for (at, field) in [
                (address(fields.state()), "__state"),
                (address(fields.on_rq()), "on_rq"),
                (address(fields.pi_lock()), "pi_lock"),
                (address(fields.blocked_on()), "blocked_on"),
                (address(fields.blocked_lock()), "blocked_lock"),
                (address(&other.on_cpu), "on_cpu"),
                (address(&other.cpu), "cpu"),
                (address(&other.wake_cpu), "wake_cpu"),
                (address(&other.is_blocked), "is_blocked"),
                (address(&other.sched_delayed), "sched_delayed"),
                (address(&other.blocked_donor), "blocked_donor"),
                (address(&other.sigpending), "sigpending"),
                (address(&other.wounded), "wounded"),
            ] {
                names.insert(at, format!("{name}.{field}"));
            }
        }
        for (mutex, name) in [(M, "m"), (N, "n")] {
            names.insert(address(&kernel.mutexes[mutex].owner), format!("{name}.owner"));
            names.insert(address(&kernel.mutexes[mutex].wait_lock), format!("{name}.wait_lock"));
        }
        for cpu in [CPU0, CPU1] {
            names.insert(address(&kernel.rqs[cpu].lock), format!("rq{cpu}.lock"));
            names.insert(address(&kernel.rqs[cpu].nr_running), format!("rq{cpu}.nr_running"));
            names.insert(address(&*kernel.rqs[cpu].need_resched), format!("rq{cpu}.need_resched"));
        }
        for task in [P, OWNER, Q] {
            kernel.wake_up_new_task(WAKER, task);
        }
        assert!(kernel.__mutex_trylock(OWNER, M));
        assert_eq!(kernel.__schedule(CPU1, SM_NONE), OWNER);
        Bench { kernel: Arc::new(kernel), names: Arc::new(names) }
    }

    /// As `new`, and P runs on CPU 0, with Q queued after it.
    fn running(profile: Profile) -> Bench {
        Bench::running_with(Config::new(profile))
    }

    fn running_with(config: Config) -> Bench {
        let bench = Bench::with(config);
        assert_eq!(bench.__schedule(CPU0, SM_NONE), P);
        bench
    }

    /// As `running`, and P is blocked on the mutex and about to call schedule().
    fn blocked(profile: Profile) -> Bench {
        let bench = Bench::running(profile);
        let mut stage = LockStage::Start;
        assert_eq!(bench.lock(P, CPU0, TASK_UNINTERRUPTIBLE, &mut stage), Locked::Schedule);
        bench
    }

    fn lock(&self, task: TaskId, cpu: Cpu, state: u32, stage: &mut LockStage) -> Locked {
        self.__mutex_lock_common(cpu, task, M, state, stage)
    }

    /// An access as text, such as `W p.blocked_on = m`.
    fn text(&self, access: Access) -> String {
        let order = |order: Ordering| match order {
            Ordering::Relaxed => "",
            Ordering::Acquire => ".acquire",
            Ordering::Release => ".release",
            _ => ".full",
        };
        let name = |at: usize| self.names.get(&at).cloned().unwrap_or_else(|| "?".to_owned());
        let value = |at: usize, value: u64| match name(at).split('.').next_back() {
            Some("__state") => format!("{:#x}", state_of(value as u32)),
            Some("blocked_on") if value as usize == NULL => "NULL".to_owned(),
            Some("blocked_on") if value as usize == PROXY_WAKING => "PROXY_WAKING".to_owned(),
            Some("blocked_on") => if value as usize == mutex_address(M) { "m" } else { "n" }.to_owned(),
            // The owner's task number, then the flags.
            Some("owner") if value >> 3 > 0 && value >> 32 == 0 => format!("{}:{}", (value >> 3) - 1, value & 7),
            _ => format!("{value:#x}"),
        };
        match access {
            Access::Read(at, how) => format!("R{} {}", order(how), name(at)),
            Access::Write(at, how, new) => format!("W{} {} = {}", order(how), name(at), value(at, new)),
            Access::Update(at, how, new) => format!("RMW{} {} {}", order(how), name(at), value(at, new)),
            Access::Lock(at) => format!("LOCK {}", name(at)),
            Access::Unlock(at) => format!("UNLOCK {}", name(at)),
            Access::Barrier(name) => name.to_owned(),
        }
    }

    /// The accesses and barriers of `f`, in order. smp_store_mb() and smp_load_acquire() are one step each on
    /// every architecture.
    fn steps<R>(&self, f: impl FnOnce(&Bench) -> R) -> (R, Vec<String>) {
        let seen = Rc::new(RefCell::new(Vec::<String>::new()));
        let (own, bench) = (Rc::clone(&seen), self.clone());
        let result = watch(move |access| own.borrow_mut().push(bench.text(access)), || f(self));
        let mut steps: Vec<String> = Vec::new();
        for step in seen.borrow().iter() {
            match (steps.last_mut(), step.as_str()) {
                (Some(last), "smp_mb") if last.starts_with("W ") && last.contains("__state") => {
                    *last = last.replace("W ", "MB ")
                }
                (_, step) if step.starts_with("RMW.full ") && step.contains("__state") => {
                    let (place, value) = step["RMW.full ".len()..].split_once(' ').unwrap();
                    steps.push(format!("MB {place} = {value}"));
                }
                (_, step) => steps.push(step.to_owned()),
            }
        }
        (result, steps)
    }

    /// Runs `f`, and runs `act` once, just before `f` takes the step `at` for the `nth` time. Panics if that
    /// never happens.
    fn between<R>(&self, at: &str, nth: usize, act: impl FnOnce(&Bench) + 'static, f: impl FnOnce(&Bench) -> R) -> R {
        let (bench, wanted) = (self.clone(), at.to_owned());
        let acted = Rc::new(RefCell::new(false));
        let done = Rc::clone(&acted);
        let mut times = 0;
        let mut act = Some(act);
        let watcher = move |access| {
            times += usize::from(bench.text(access) == wanted);
            if times == nth
                && let Some(act) = act.take()
            {
                *done.borrow_mut() = true;
                act(&bench);
            }
        };
        let result = watch(watcher, || f(self));
        assert!(*acted.borrow(), "the step '{at}' was not taken {nth} times");
        result
    }

    /// The harms that were counted, with their counts.
    fn harms(&self) -> Vec<(harm::Harm, u64)> {
        harm::Harm::ALL.into_iter().map(|harm| (harm, self.harms.of(harm))).filter(|(_, count)| *count > 0).collect()
    }
}

impl std::ops::Deref for Bench {
    type Target = Kernel<LayoutPadded>;

    fn deref(&self) -> &Kernel<LayoutPadded> {
        &self.kernel
    }
}

/// Compares steps with the wanted ones, which are separated by semicolons. docs/kernel.md, section 3, gives
/// the order.
#[track_caller]
fn assert_steps(steps: &[String], wanted: &str) {
    let wanted: Vec<&str> = wanted.split(';').map(str::trim).filter(|step| !step.is_empty()).collect();
    assert!(steps == wanted, "found:\n{}\nwanted:\n{}", steps.join(";\n"), wanted.join(";\n"));
}
