//! A trace of the last events of each context, printed when something went wrong.

use std::fmt::Write as _;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

use super::harm::Harm;
use super::{Cpu, MutexId, TaskId};

/// An event of the protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)] // `text` describes each variant
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
    Returns,
    Delays,
    QueuedFor(Cpu),
    Dies,
    Pushes(Cpu),
}

impl What {
    /// The event as a code and an argument, to be packed into a word of the ring.
    fn encode(self) -> (u16, u32) {
        match self {
            What::SetBlockedOn(value) => (0, value as u32),
            What::SetState(value) => (1, value),
            What::ClearBlockedOn => (2, 0),
            What::SetWaking => (3, 0),
            What::Acquired(value) => (4, value as u32),
            What::Interrupted(value) => (5, value as u32),
            What::Unlocks(value) => (6, value as u32),
            What::Handoff(value) => (7, value as u32),
            What::Wakes => (8, 0),
            What::NoMatch(value) => (9, value),
            What::SeesBlockedOn(value) => (10, value.into()),
            What::WokenQueued => (11, 0),
            What::WokenOnto(value) => (12, value as u32),
            What::EntersSchedule(value) => (13, value),
            What::Deactivates => (14, 0),
            What::Picks => (15, 0),
            What::ProxyRuns(value) => (16, value as u32),
            What::ProxyIdles => (17, 0),
            What::ProxyMigrates(value) => (18, value as u32),
            What::ProxyDeactivates => (19, 0),
            What::ForcesReturn(value) => (20, value as u32),
            What::SwitchesTo => (21, 0),
            What::Signals => (22, 0),
            What::Wounds => (23, 0),
            What::Harm(harm) => (24, harm as u32),
            What::Returns => (25, 0),
            What::Delays => (26, 0),
            What::QueuedFor(value) => (27, value as u32),
            What::Dies => (28, 0),
            What::Pushes(value) => (29, value as u32),
        }
    }

    /// The inverse of `encode`; `None` for an unknown code.
    fn decode(code: u16, arg: u32) -> Option<What> {
        Some(match code {
            0 => What::SetBlockedOn(arg as usize),
            1 => What::SetState(arg),
            2 => What::ClearBlockedOn,
            3 => What::SetWaking,
            4 => What::Acquired(arg as usize),
            5 => What::Interrupted(arg as usize),
            6 => What::Unlocks(arg as usize),
            7 => What::Handoff(arg as usize),
            8 => What::Wakes,
            9 => What::NoMatch(arg),
            10 => What::SeesBlockedOn(arg != 0),
            11 => What::WokenQueued,
            12 => What::WokenOnto(arg as usize),
            13 => What::EntersSchedule(arg),
            14 => What::Deactivates,
            15 => What::Picks,
            16 => What::ProxyRuns(arg as usize),
            17 => What::ProxyIdles,
            18 => What::ProxyMigrates(arg as usize),
            19 => What::ProxyDeactivates,
            20 => What::ForcesReturn(arg as usize),
            21 => What::SwitchesTo,
            22 => What::Signals,
            23 => What::Wounds,
            24 => What::Harm(*Harm::ALL.get(arg as usize)?),
            25 => What::Returns,
            26 => What::Delays,
            27 => What::QueuedFor(arg as usize),
            28 => What::Dies,
            29 => What::Pushes(arg as usize),
            _ => return None,
        })
    }

    /// The event in words, as the listing prints it.
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
            What::Harm(harm) => format!("*** {harm}"),
            What::Returns => "proxy_needs_return(): must be enqueued anew".to_owned(),
            What::Delays => "sleeps, its dequeue is delayed".to_owned(),
            What::QueuedFor(cpu) => format!("goes to the wake list of CPU {cpu}"),
            What::Dies => "must die".to_owned(),
            What::Pushes(cpu) => format!("is pushed to CPU {cpu}"),
        }
    }
}

/// An event with its context, task and time.
#[derive(Debug, Clone, Copy)]
pub struct Entry {
    /// The context that did it: a CPU, an interrupt or the monitor.
    pub cpu: Cpu,
    /// The task that the event is about.
    pub task: TaskId,
    /// The event.
    pub what: What,
    /// The time in ticks of the clock; under loom a count of events. See [`Trace::note`].
    pub at: u64,
}

/// The number of entries that each context keeps.
const KEPT: usize = if cfg!(loom) { 400 } else { 64 };

/// A context's entries. Only that context writes the words: the time, and the rest packed.
///
/// A reader during a write may see a torn entry. So readers wait until the trace is frozen or the threads
/// have ended.
#[derive(Debug)]
struct Ring {
    words: Vec<[AtomicU64; 2]>,
    next: AtomicUsize,
    /// The time of the last entry.
    last: AtomicU64,
}

/// The last events of all contexts.
#[derive(Debug)]
pub struct Trace {
    rings: Vec<crossbeam_utils::CachePadded<Ring>>,
    frozen: AtomicBool,
    #[cfg(loom)]
    count: AtomicU64,
}

impl Trace {
    /// An empty trace for `contexts` contexts.
    pub fn new(contexts: usize) -> Trace {
        let ring = || Ring {
            words: (0..KEPT).map(|_| [AtomicU64::new(0), AtomicU64::new(0)]).collect(),
            next: AtomicUsize::new(0),
            last: AtomicU64::new(0),
        };
        Trace {
            rings: (0..contexts).map(|_| ring().into()).collect(),
            frozen: AtomicBool::new(false),
            #[cfg(loom)]
            count: AtomicU64::new(0),
        }
    }

    /// Stops the recording, so that the events before a fault are kept.
    pub fn freeze(&self) {
        self.frozen.store(true, Ordering::Relaxed);
    }

    /// Records an event, unless the trace is frozen.
    #[inline]
    pub fn note(&self, cpu: Cpu, task: TaskId, what: What) {
        if self.frozen.load(Ordering::Relaxed) {
            return;
        }
        #[cfg(loom)]
        let at = self.count.fetch_add(1, Ordering::Relaxed);
        let ring = &self.rings[cpu];
        // Reading the clock takes longer than the rest of this function. So only the events that begin
        // something read it. The events that follow on the same CPU get the next ticks and are sorted
        // directly after.
        #[cfg(not(loom))]
        let at = match what {
            What::EntersSchedule(_) | What::Wakes | What::Harm(_) | What::Unlocks(_) => crate::machine::ticks(),
            _ => ring.last.load(Ordering::Relaxed) + 1,
        };
        ring.last.store(at, Ordering::Relaxed);
        let (code, arg) = what.encode();
        let next = ring.next.load(Ordering::Relaxed);
        let [when, packed] = &ring.words[next % KEPT];
        when.store(at + 1, Ordering::Relaxed);
        packed.store(u64::from(code) << 48 | (task as u64 & 0xffff) << 32 | u64::from(arg), Ordering::Relaxed);
        ring.next.store(next + 1, Ordering::Relaxed);
    }

    /// All entries, ordered by time.
    pub fn entries(&self) -> Vec<Entry> {
        let mut all = Vec::new();
        for (cpu, ring) in self.rings.iter().enumerate() {
            for [when, packed] in &ring.words {
                let (at, packed) = (when.load(Ordering::Relaxed), packed.load(Ordering::Relaxed));
                let what = What::decode((packed >> 48) as u16, packed as u32);
                if let (1.., Some(what)) = (at, what) {
                    all.push(Entry { cpu, task: (packed >> 32 & 0xffff) as usize, what, at: at - 1 });
                }
            }
        }
        all.sort_by_key(|entry| entry.at);
        all
    }
}

/// A numbered listing with one column per context. `name` gives the heading of a context's column.
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
    let harm = |entry: &Entry| if let What::Harm(harm) = entry.what { Some(harm) } else { None };
    let mut harms: Vec<Harm> = entries.iter().filter_map(harm).collect();
    harms.sort_unstable();
    harms.dedup();
    for harm in harms {
        let _ = writeln!(out, "     *** {harm}: {}", harm.text());
    }
    out
}
