//! task_struct: its fields, their layout in memory, and the functions that change ->blocked_on.

use std::sync::atomic::{
    AtomicBool as ProbeBool, AtomicU32 as ProbeU32, AtomicU64 as ProbeU64, Ordering as ProbeOrdering,
};

use super::barrier::{drain_nontemporal, nontemporal_store, smp_mb, smp_store_mb};
use super::harm::Harm;
use super::heal::Healer;
use super::spinlock::RawSpinlock;
use super::sync::{AtomicBool, AtomicU32, AtomicUsize, Ordering};
use super::trace::What;
use super::{BlockedOnStore, Cpu, Kernel, Mutant, MutexId, Profile, TASK_RUNNING, TaskId};
use crate::arch::{Arch, architectures};

/// `->blocked_on` of a task that is blocked on nothing.
pub const NULL: usize = 0;
/// `->blocked_on` of a task whose mutex is being released to it: (struct mutex *)-1.
pub const PROXY_WAKING: usize = usize::MAX;

/// The value that stands for a mutex's address in `->blocked_on`.
pub const fn mutex_address(mutex: MutexId) -> usize {
    mutex + 1
}

/// The state in a value of `->__state`.
///
/// The upper half of the value is the number of the blocking episode. With it a waker that read blocked_on as
/// NULL can tell whether blocked_on was cleared since. Only the stored value differs from the kernel's, not
/// the accesses.
pub const fn state_of(word: u32) -> u32 {
    word & 0xffff
}

/// The blocking episode in a value of `->__state`, modulo 2^16.
///
/// 0 means that the state belongs to no episode. One episode in 2^16 has the number 0, too; it is never
/// reported as a race.
pub const fn episode_of(word: u32) -> u16 {
    (word >> 16) as u16
}

/// The fields of task_struct that take part in the race, independent of their layout.
pub trait TaskLayout: Default + Send + Sync {
    /// The name of the layout on the command line and in records.
    const NAME: &'static str;
    /// ->__state
    fn state(&self) -> &AtomicU32;
    /// ->on_rq
    fn on_rq(&self) -> &AtomicU32;
    /// ->pi_lock
    fn pi_lock(&self) -> &RawSpinlock;
    /// ->blocked_on
    fn blocked_on(&self) -> &AtomicUsize;
    /// ->blocked_lock
    fn blocked_lock(&self) -> &RawSpinlock;
}

/// The padding before each field, in bytes, so that the fields lie at these offsets. blocked_on has 8 bytes, the others 4.
const fn padding(offsets: [usize; 5]) -> [usize; 5] {
    let [state, on_rq, pi_lock, blocked_on, blocked_lock] = offsets;
    [state, on_rq - state - 4, pi_lock - on_rq - 4, blocked_on - pi_lock - 4, blocked_lock - blocked_on - 8]
}

/// Defines a layout with the offsets of its fields in bytes: __state, on_rq, pi_lock, blocked_on, blocked_lock. It is aligned
/// to 128 bytes, the longest cache line of the supported CPUs.
macro_rules! layout {
    ($(#[$doc:meta])* $name:ident, $text:expr, $offsets:expr) => {
        $(#[$doc])*
        #[repr(C, align(128))]
        pub struct $name {
            _a: [u8; padding($offsets)[0]],
            state: AtomicU32,
            _b: [u8; padding($offsets)[1]],
            on_rq: AtomicU32,
            _c: [u8; padding($offsets)[2]],
            pi_lock: RawSpinlock,
            _d: [u8; padding($offsets)[3]],
            blocked_on: AtomicUsize,
            _e: [u8; padding($offsets)[4]],
            blocked_lock: RawSpinlock,
        }

        impl Default for $name {
            fn default() -> $name {
                $name {
                    _a: [0; padding($offsets)[0]],
                    state: AtomicU32::new(0),
                    _b: [0; padding($offsets)[1]],
                    on_rq: AtomicU32::new(0),
                    _c: [0; padding($offsets)[2]],
                    pi_lock: RawSpinlock::new(),
                    _d: [0; padding($offsets)[3]],
                    blocked_on: AtomicUsize::new(NULL),
                    _e: [0; padding($offsets)[4]],
                    blocked_lock: RawSpinlock::new(),
                }
            }
        }

        impl TaskLayout for $name {
            const NAME: &'static str = $text;
            fn state(&self) -> &AtomicU32 {
                &self.state
            }
            fn on_rq(&self) -> &AtomicU32 {
                &self.on_rq
            }
            fn pi_lock(&self) -> &RawSpinlock {
                &self.pi_lock
            }
            fn blocked_on(&self) -> &AtomicUsize {
                &self.blocked_on
            }
            fn blocked_lock(&self) -> &RawSpinlock {
                &self.blocked_lock
            }
        }
    };
}

layout!(
    /// All fields in one cache line.
    LayoutPacked, "packed", [0, 4, 8, 16, 24]
);
layout!(
    /// Each field on its own cache lines.
    LayoutPadded, "padded", [0, 256, 512, 768, 1024]
);

/// What is done with a layout whose type the caller does not know.
pub trait WithLayout {
    /// The result.
    type Output;
    /// Does it.
    fn with<T: TaskLayout + 'static>(self) -> Self::Output;
}

/// Defines the layout of each architecture's kernel, and the choice of a layout by its name.
macro_rules! kernel_layouts {
    ($($arch:ident)*) => {
        /// The layouts of the architectures' kernels, named like the variants of [`Arch`].
        pub mod kernels {
            use super::*;

            $(layout!(
                /// The layout of this architecture's kernel.
                $arch, Arch::$arch.facts().task_struct.layout, Arch::$arch.facts().task_struct.offsets
            );)*
        }

        /// The names of all layouts.
        pub const LAYOUTS: [&str; Arch::ALL.len() + 2] =
            [$(kernels::$arch::NAME,)* LayoutPacked::NAME, LayoutPadded::NAME];

        /// Calls `action` with the type of a layout; `None` if no layout has this name.
        pub fn with_layout<W: WithLayout>(name: &str, action: W) -> Option<W::Output> {
            match name {
                $(kernels::$arch::NAME => Some(action.with::<kernels::$arch>()),)*
                LayoutPacked::NAME => Some(action.with::<LayoutPacked>()),
                LayoutPadded::NAME => Some(action.with::<LayoutPadded>()),
                _ => None,
            }
        }
    };
}
architectures!(kernel_layouts);

/// A task.
pub struct Task<T> {
    /// The fields that take part in the race.
    pub fields: T,
    /// The other fields.
    pub other: crossbeam_utils::CachePadded<Other>,
    /// What the measurement records; not part of the protocol.
    pub probe: crossbeam_utils::CachePadded<Probe>,
    /// More of it. Padded: the draft's wakers read it without a lock, and each switch writes `probe`.
    pub episodes: crossbeam_utils::CachePadded<Episodes>,
}

/// Fields of task_struct that do not take part in the race.
#[derive(Debug)]
pub struct Other {
    /// ->on_cpu: a CPU runs the task, or has not finished switching away from it.
    pub on_cpu: AtomicU32,
    /// task_cpu(): the CPU on whose runqueue the task is or was last
    pub cpu: AtomicUsize,
    /// ->wake_cpu: the CPU where the task ran last
    pub wake_cpu: AtomicUsize,
    /// ->cpus_mask: the CPUs where the task may run
    pub cpus_mask: u64,
    /// ->is_blocked of v7.2, protected by the runqueue's lock
    pub is_blocked: AtomicBool,
    /// ->se.sched_delayed: the task sleeps but is still queued
    pub sched_delayed: AtomicBool,
    /// ->blocked_donor of v7.2: the task that lends its turn to this one, plus one; 0 for none
    pub blocked_donor: AtomicUsize,
    /// TIF_SIGPENDING: the task has a pending signal
    pub sigpending: AtomicBool,
    /// ctx->wounded: a ww wound has told the task to give up
    pub wounded: AtomicBool,
}

/// What the measurement records about a task. These are std atomics even under loom.
#[derive(Debug, Default)]
pub struct Probe {
    /// The time in ticks at which a wakeup missed blocked_on, until blocked_on is cleared or set again; 0
    /// otherwise.
    pub raced_at: ProbeU64,
    /// Whether a signal has woken the task from an interruptible sleep and the task has not run since.
    pub signalled: ProbeBool,
    /// Whether the task is about to sleep on a mutex and has not flushed its work in schedule().
    pub unflushed: ProbeBool,
    /// The number of switches to the task; the watchdog reads it.
    pub switches: ProbeU64,
    /// The CPU that runs the task, plus one; 0 if none does.
    pub running: ProbeU32,
}

/// What the measurement records about a task's blocking episodes. These are std atomics even under loom.
#[derive(Debug, Default)]
pub struct Episodes {
    /// The number of episodes begun; counted before blocked_on is stored.
    pub began: ProbeU32,
    /// The value of `began` when blocked_on was last cleared; stored before blocked_on is cleared.
    pub cleared: ProbeU32,
}

impl<T: TaskLayout> Task<T> {
    /// A task on CPU `cpu` that may run on the CPUs of `mask`. An idle task is running from the start.
    pub fn new(cpu: Cpu, mask: u64, idle: bool) -> Task<T> {
        let other = Other {
            on_cpu: AtomicU32::new(idle.into()),
            cpu: AtomicUsize::new(cpu),
            wake_cpu: AtomicUsize::new(cpu),
            cpus_mask: mask,
            is_blocked: AtomicBool::new(false),
            sched_delayed: AtomicBool::new(false),
            blocked_donor: AtomicUsize::new(0),
            sigpending: AtomicBool::new(false),
            wounded: AtomicBool::new(false),
        };
        Task { fields: T::default(), other: other.into(), probe: Default::default(), episodes: Default::default() }
    }
}

impl<T: TaskLayout> Kernel<T> {
    /// Counts a harm. The first of its kind goes into the trace. One that the profile does not expect freezes
    /// the trace.
    pub fn harm(&self, cpu: Cpu, task: TaskId, harm: Harm) {
        let first = self.harms.count(harm);
        if first || cfg!(loom) {
            self.trace.note(cpu, task, What::Harm(harm));
        }
        if first && !harm.expected(self.config.profile, self.config.mutant) {
            self.trace.freeze();
        }
    }

    /// READ_ONCE(p->__state): the state, without the episode.
    pub fn state(&self, p: TaskId) -> u32 {
        state_of(self.tasks[p].fields.state().load(Ordering::Relaxed))
    }

    /// __set_current_state(): stores the state, without a barrier.
    pub fn __set_current_state(&self, cpu: Cpu, current: TaskId, state: u32) {
        self.tasks[current].fields.state().store(state, Ordering::Relaxed);
        self.trace.note(cpu, current, What::SetState(state));
    }

    /// set_current_state(): the store, then a full barrier
    pub fn set_current_state(&self, cpu: Cpu, current: TaskId, state: u32) {
        smp_store_mb(self.tasks[current].fields.state(), state);
        self.trace.note(cpu, current, What::SetState(state));
    }

    /// READ_ONCE(p->blocked_on)
    pub fn blocked_on(&self, p: TaskId) -> usize {
        self.tasks[p].fields.blocked_on().load(Ordering::Relaxed)
    }

    /// task_is_blocked(): whether blocked_on is set, read without blocked_lock.
    pub fn task_is_blocked(&self, p: TaskId) -> bool {
        self.blocked_on(p) != NULL
    }

    /// __set_task_blocked_on(), then the store of __state. These are the two stores of the race.
    pub fn __set_task_blocked_on_and_state(&self, cpu: Cpu, current: TaskId, mutex: MutexId, state: u32) {
        let began = self.tasks[current].episodes.began.load(ProbeOrdering::Relaxed) as u16;
        let word = u32::from(began.wrapping_add(1)) << 16 | state;
        self.store_blocked_on(cpu, current, mutex);
        match self.config.store {
            BlockedOnStore::Plain => smp_store_mb(self.tasks[current].fields.state(), word),
            // On x86 smp_store_mb() is one xchg. It would drain the earlier non-temporal store and so prevent
            // the race.
            BlockedOnStore::Nontemporal => {
                self.tasks[current].fields.state().store(word, Ordering::Relaxed);
                smp_mb();
            }
        }
        self.trace.note(cpu, current, What::SetBlockedOn(mutex));
        self.trace.note(cpu, current, What::SetState(state));
    }

    /// __set_task_blocked_on(): stores blocked_on alone, without __state. blocked_lock must be held.
    pub fn __set_task_blocked_on(&self, cpu: Cpu, current: TaskId, mutex: MutexId) {
        self.store_blocked_on(cpu, current, mutex);
        // No barrier follows here, and blocked_lock is released next. The race to be forced is between the
        // stores of blocked_on and __state, not between critical sections. So the non-temporal store is
        // drained.
        if self.config.store == BlockedOnStore::Nontemporal {
            drain_nontemporal();
        }
        self.trace.note(cpu, current, What::SetBlockedOn(mutex));
    }

    /// Checks C1, C3, C6 and H3, begins a new episode and stores blocked_on.
    fn store_blocked_on(&self, cpu: Cpu, current: TaskId, mutex: MutexId) {
        let task = &self.tasks[current];
        if !task.fields.blocked_lock().is_held_by(cpu) {
            self.harm(cpu, current, Harm::C3);
        }
        if task.probe.running.load(ProbeOrdering::Relaxed) != cpu as u32 + 1 {
            self.harm(cpu, current, Harm::C6);
        }
        // The kernel's WARN check. The read also brings the cache line in.
        match self.blocked_on(current) {
            NULL => {}
            PROXY_WAKING => self.harm(cpu, current, Harm::H3),
            set if set == mutex_address(mutex) => {}
            _ => self.harm(cpu, current, Harm::C1),
        }
        self.healed(cpu, current, Healer::Task);
        task.episodes.began.fetch_add(1, ProbeOrdering::Release);
        match self.config.store {
            BlockedOnStore::Plain => task.fields.blocked_on().store(mutex_address(mutex), Ordering::Relaxed),
            BlockedOnStore::Nontemporal => nontemporal_store(task.fields.blocked_on(), mutex_address(mutex)),
        }
    }

    /// __clear_task_blocked_on(p, mutex). blocked_lock must be held. `None` clears any value.
    pub fn __clear_task_blocked_on(&self, cpu: Cpu, p: TaskId, mutex: Option<MutexId>, healer: Healer) {
        let task = &self.tasks[p];
        if !task.fields.blocked_lock().is_held_by(cpu) {
            self.harm(cpu, p, Harm::C3);
        }
        let set = self.blocked_on(p);
        if mutex.is_some_and(|mutex| ![NULL, PROXY_WAKING, mutex_address(mutex)].contains(&set)) {
            self.harm(cpu, p, Harm::H9);
        }
        if set != NULL {
            self.cleared(cpu, p, healer);
        }
    }

    /// Checks C4 and C5, notes the episode and clears blocked_on.
    fn cleared(&self, cpu: Cpu, p: TaskId, healer: Healer) {
        let task = &self.tasks[p];
        let by_itself = task.probe.running.load(ProbeOrdering::Relaxed) == cpu as u32 + 1;
        let on_rq = task.fields.on_rq().load(Ordering::Relaxed);
        if !by_itself && on_rq == 0 {
            self.harm(cpu, p, Harm::C5);
        }
        let queued = on_rq == super::TASK_ON_RQ_QUEUED;
        if !by_itself && queued && !self.rqs[task.other.cpu.load(Ordering::Relaxed)].lock.is_held_by(cpu) {
            self.harm(cpu, p, Harm::C4);
        }
        self.healed(cpu, p, healer);
        let episodes = &task.episodes;
        episodes.cleared.store(episodes.began.load(ProbeOrdering::Relaxed), ProbeOrdering::Release);
        task.fields.blocked_on().store(NULL, Ordering::Relaxed);
        self.trace.note(cpu, p, What::ClearBlockedOn);
    }

    /// clear_task_blocked_on(): clears blocked_on under blocked_lock.
    pub fn clear_task_blocked_on(&self, cpu: Cpu, p: TaskId, mutex: Option<MutexId>, healer: Healer) {
        let lock = self.tasks[p].fields.blocked_lock();
        if self.has(Mutant::ClearUnlocked) {
            self.__clear_task_blocked_on(cpu, p, mutex, healer);
            return;
        }
        lock.lock(cpu);
        self.__clear_task_blocked_on(cpu, p, mutex, healer);
        lock.unlock();
    }

    /// set_task_blocked_on_waking(): sets PROXY_WAKING, unless the task is blocked on nothing. v7.2 has no
    /// PROXY_WAKING and calls clear_task_blocked_on() in its place.
    ///
    /// The ww wound passes `None`, because its victim may be blocked on another mutex.
    pub fn set_task_blocked_on_waking(&self, cpu: Cpu, p: TaskId, mutex: Option<MutexId>) {
        if self.config.profile == Profile::V72 {
            self.clear_task_blocked_on(cpu, p, mutex, Healer::Waker);
            return;
        }
        let task = &self.tasks[p];
        let lock = task.fields.blocked_lock();
        lock.lock(cpu);
        let set = self.blocked_on(p);
        if set != NULL || self.has(Mutant::NoBailOut) {
            if set == NULL {
                self.harm(cpu, p, Harm::C2);
            } else if mutex.is_some_and(|mutex| ![PROXY_WAKING, mutex_address(mutex)].contains(&set)) {
                self.harm(cpu, p, Harm::H9);
            }
            task.fields.blocked_on().store(PROXY_WAKING, Ordering::Relaxed);
            self.trace.note(cpu, p, What::SetWaking);
        }
        lock.unlock();
    }

    /// Notes the time at which a wakeup missed blocked_on of a task that is still queued.
    pub fn raced(&self, p: TaskId) {
        #[cfg(not(loom))]
        self.tasks[p].probe.raced_at.store(crate::machine::ticks().max(1), ProbeOrdering::Relaxed);
        #[cfg(loom)]
        let _ = p;
    }

    /// Ends a race of this task, if there is one: records the healer and the time since [`Kernel::raced`].
    fn healed(&self, cpu: Cpu, p: TaskId, healer: Healer) {
        #[cfg(not(loom))]
        {
            let probe = &self.tasks[p].probe;
            if probe.raced_at.load(ProbeOrdering::Relaxed) != 0 {
                let since = probe.raced_at.swap(0, ProbeOrdering::Relaxed);
                self.heals.record(cpu, healer, crate::machine::ticks().saturating_sub(since));
            }
        }
        #[cfg(loom)]
        let _ = (cpu, p, healer);
    }

    /// Whether a task has the state RUNNING and blocked_on still set.
    pub fn retains_blocked_on(&self, p: TaskId) -> bool {
        self.state(p) == TASK_RUNNING && self.blocked_on(p) != NULL
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    fn offsets<T: TaskLayout>() -> [usize; 5] {
        let task = T::default();
        let base = std::ptr::from_ref(&task) as usize;
        let at = |place: usize| place - base;
        [
            at(std::ptr::from_ref(task.state()) as usize),
            at(std::ptr::from_ref(task.on_rq()) as usize),
            at(std::ptr::from_ref(task.pi_lock()) as usize),
            at(std::ptr::from_ref(task.blocked_on()) as usize),
            at(std::ptr::from_ref(task.blocked_lock()) as usize),
        ]
    }

    /// A non-temporal store under blocked_lock is drained before the lock is released, so a later holder sees
    /// it. The test reads the compiled function, because the hardware shows a violation too rarely.
    #[cfg(target_arch = "x86_64")] // the test reads x86-64 code
    #[test]
    fn a_nontemporal_store_is_drained_before_its_lock_is_released() {
        use capstone::prelude::*;
        let function: fn(&Kernel<kernels::X86_64>, Cpu, TaskId, MutexId) = Kernel::__set_task_blocked_on;
        let engine = Capstone::new().x86().mode(arch::x86::ArchMode::Mode64).build().unwrap();
        let (mut at, mut furthest, mut mnemonics) = (function as usize, 0, Vec::new());
        loop {
            // SAFETY: reads the function's code, instruction by instruction up to its end. No instruction is
            // longer than 15 bytes. After the last function of a program follows its unwinding information,
            // so the read stays inside.
            let bytes = unsafe { std::slice::from_raw_parts(at as *const u8, 15) };
            let decoded = engine.disasm_count(bytes, at as u64, 1).unwrap();
            let instruction = decoded.first().expect("an instruction");
            let mnemonic = instruction.mnemonic().unwrap().to_owned();
            at += instruction.bytes().len();
            if mnemonic.starts_with('j') {
                let target = instruction.op_str().unwrap().trim_start_matches("0x");
                furthest = usize::from_str_radix(target, 16).unwrap_or(0).max(furthest);
            }
            let leaves = matches!(mnemonic.as_str(), "ret" | "jmp" | "ud2");
            mnemonics.push(mnemonic);
            if leaves && at > furthest {
                break;
            }
        }
        assert!(mnemonics.iter().any(|mnemonic| mnemonic == "sfence"), "{mnemonics:?}");
    }

    #[test]
    fn the_layouts_are_the_compiled_kernels() {
        struct Offsets;
        impl WithLayout for Offsets {
            type Output = [usize; 5];
            fn with<T: TaskLayout + 'static>(self) -> [usize; 5] {
                offsets::<T>()
            }
        }
        // The table of docs/kernel.md, section 4.
        let known = [
            ("kernel-x86_64", [24, 104, 2348, 2392, 2400]),
            ("kernel-aarch64", [24, 104, 2060, 2104, 2112]),
            ("kernel-powerpc64le", [256, 336, 2492, 2536, 2544]),
            ("kernel-riscv64gc", [72, 152, 2068, 2112, 2120]),
        ];
        for (name, offsets) in known {
            assert_eq!(with_layout(name, Offsets), Some(offsets), "{name}");
        }
        assert_eq!(LAYOUTS[..4], known.map(|(name, _)| name));
        assert_eq!(LAYOUTS[4..], ["packed", "padded"]);
        assert_eq!(with_layout("kernel-", Offsets), None);
        assert!(offsets::<LayoutPacked>().iter().all(|offset| *offset < 64));
        let lines: std::collections::BTreeSet<usize> = offsets::<LayoutPadded>().iter().map(|o| o / 128).collect();
        assert_eq!(lines.len(), 5);
    }
}
