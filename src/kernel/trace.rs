//! The last things each CPU did, to be read when something went wrong.

use std::fmt::Write as _;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use super::harm::Harm;
use super::{Cpu, MutexId, TaskId};

/// Something that happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)] // the texts below say what they are
pub enum What {
    SetBlockedOn(MutexId),
    SetState(u32),
    ClearBlockedOn,
    SetWaking,
    Acquired(MutexId),
    Interrupted(MutexId),
    Unlocks(MutexId),
    Handoff(MutexId),
    Wakes,
    NoMatch(u32),
    SeesBlockedOn(bool),
    WokenQueued,
    WokenOnto(Cpu),
    EntersSchedule(u32),
    Deactivates,
    Picks,
    ProxyRuns(TaskId),
    ProxyIdles,
    ProxyMigrates(Cpu),
    ProxyDeactivates,
    ForcesReturn(Cpu),
    SwitchesTo,
    Signals,
    Wounds,
    Harm(Harm),
}

impl What {
    fn text(self) -> String {
        match self {
            What::SetBlockedOn(mutex) => format!("[W] blocked_on = mutex {mutex}"),
            What::SetState(state) => format!("[W] __state = {state}"),
            What::ClearBlockedOn => "[W] blocked_on = NULL".to_owned(),
            What::SetWaking => "[W] blocked_on = PROXY_WAKING".to_owned(),
            What::Acquired(mutex) => format!("acquires mutex {mutex}"),
            What::Interrupted(mutex) => format!("gives up mutex {mutex} (signal or wound)"),
            What::Unlocks(mutex) => format!("unlocks mutex {mutex}"),
            What::Handoff(mutex) => format!("hands mutex {mutex} over"),
            What::Wakes => "try_to_wake_up()".to_owned(),
            What::NoMatch(state) => format!("[R] __state = {state}: no match"),
            What::SeesBlockedOn(true) => "state matches; [R] blocked_on: set".to_owned(),
            What::SeesBlockedOn(false) => "state matches; [R] blocked_on: NULL".to_owned(),
            What::WokenQueued => "[W] __state = RUNNING, still queued".to_owned(),
            What::WokenOnto(cpu) => format!("[W] __state = RUNNING, enqueued on CPU {cpu}"),
            What::EntersSchedule(state) => format!("__schedule(), [R] __state = {state}"),
            What::Deactivates => "is taken off the runqueue".to_owned(),
            What::Picks => "is picked".to_owned(),
            What::ProxyRuns(owner) => format!("find_proxy_task(): runs its owner, task {owner}"),
            What::ProxyIdles => "find_proxy_task(): idle".to_owned(),
            What::ProxyMigrates(cpu) => format!("find_proxy_task(): migrated to its owner's CPU {cpu}"),
            What::ProxyDeactivates => "find_proxy_task(): deactivate".to_owned(),
            What::ForcesReturn(cpu) => format!("find_proxy_task(): force_return to CPU {cpu}"),
            What::SwitchesTo => "runs".to_owned(),
            What::Signals => "gets a signal".to_owned(),
            What::Wounds => "is wounded".to_owned(),
            What::Harm(harm) => format!("*** {harm}: {}", harm.text()),
        }
    }
}

/// Something that happened, where and to whom.
#[derive(Debug, Clone, Copy)]
pub struct Entry {
    /// The context that did it: a CPU, or an interrupt.
    pub cpu: Cpu,
    /// To which task.
    pub task: TaskId,
    /// What.
    pub what: What,
    /// When, in ticks of the clock; under loom a count.
    pub at: u64,
}

/// How many entries a CPU keeps.
const KEPT: usize = 64;

#[derive(Debug)]
struct Ring {
    entries: Vec<Entry>,
    next: usize,
}

/// What all contexts did last.
#[derive(Debug)]
pub struct Trace {
    rings: Vec<Mutex<Ring>>,
    frozen: AtomicBool,
    enabled: AtomicBool,
    #[cfg(loom)]
    count: std::sync::atomic::AtomicU64,
}

impl Trace {
    /// For a number of contexts.
    pub fn new(contexts: usize) -> Trace {
        let ring = || Mutex::new(Ring { entries: Vec::with_capacity(KEPT), next: 0 });
        Trace {
            rings: (0..contexts).map(|_| ring()).collect(),
            frozen: AtomicBool::new(false),
            enabled: AtomicBool::new(true),
            #[cfg(loom)]
            count: std::sync::atomic::AtomicU64::new(0),
        }
    }

    /// Keeps no entries from now on, for the last few nanoseconds of speed.
    pub fn disable(&self) {
        self.enabled.store(false, Ordering::Relaxed);
    }

    /// Keeps what there is: something went wrong.
    pub fn freeze(&self) {
        self.frozen.store(true, Ordering::Relaxed);
    }

    /// Notes something.
    #[inline]
    pub fn note(&self, cpu: Cpu, task: TaskId, what: What) {
        if !self.enabled.load(Ordering::Relaxed) || self.frozen.load(Ordering::Relaxed) {
            return;
        }
        #[cfg(loom)]
        let at = self.count.fetch_add(1, Ordering::Relaxed);
        #[cfg(not(loom))]
        let at = crate::machine::ticks();
        let entry = Entry { cpu, task, what, at };
        // Each context has a ring of its own, so the lock is never contended while it runs.
        let Ok(mut ring) = self.rings[cpu].lock() else { return };
        let next = ring.next;
        if ring.entries.len() < KEPT {
            ring.entries.push(entry);
        } else {
            ring.entries[next] = entry;
        }
        ring.next = (next + 1) % KEPT;
    }

    /// Everything kept, in the order of time.
    pub fn entries(&self) -> Vec<Entry> {
        let lists = self.rings.iter().filter_map(|ring| ring.lock().ok().map(|ring| ring.entries.clone()));
        let mut all: Vec<Entry> = lists.flatten().collect();
        all.sort_by_key(|entry| entry.at);
        all
    }
}

/// A numbered listing with a column per context; `name` says what a context is called.
pub fn listing(entries: &[Entry], name: impl Fn(Cpu) -> String) -> String {
    let mut contexts: Vec<Cpu> = entries.iter().map(|entry| entry.cpu).collect();
    contexts.sort_unstable();
    contexts.dedup();
    let cell = |entry: &Entry| format!("task {}: {}", entry.task, entry.what.text());
    let width = entries.iter().map(|entry| cell(entry).len()).max().unwrap_or(0) + 2;
    let mut out = String::from("     ");
    for context in &contexts {
        let _ = write!(out, "{:width$}", name(*context));
    }
    out = format!("{}\n", out.trim_end());
    for (number, entry) in entries.iter().enumerate() {
        let column = contexts.iter().position(|context| *context == entry.cpu).unwrap_or(0);
        let _ = writeln!(out, "{:3}  {}{}", number + 1, " ".repeat(width * column), cell(entry));
    }
    out
}
