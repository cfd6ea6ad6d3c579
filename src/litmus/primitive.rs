//! The kernel primitives that a litmus test may call, by name.
//!
//! This table gives the meaning of each name. [`crate::codegen`] decides which instructions it needs on an
//! architecture. Names and argument orders are those of the kernel's include/linux/atomic and
//! tools/memory-model.

/// The ordering of a read-modify-write.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Order {
    /// No ordering (`_relaxed`, and atomics that return nothing).
    Relaxed,
    /// `_acquire`
    Acquire,
    /// `_release`
    Release,
    /// Full ordering: no suffix.
    Full,
}

/// The ordering of a load or store, and whether the access is marked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Access {
    /// A plain C access. It emits the same instruction as `Once`; only the models distinguish the two.
    Plain,
    /// READ_ONCE, WRITE_ONCE.
    Once,
    /// smp_load_acquire.
    Acquire,
    /// smp_store_release.
    Release,
    /// `__builtin_nontemporal_store`: bypasses the caches, and is weakly ordered even on x86.
    NonTemporal,
}

/// The barriers. Each kernel name has its own variant, because the architectures differ on each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Fence {
    /// smp_mb
    Mb,
    /// smp_rmb
    Rmb,
    /// smp_wmb
    Wmb,
    /// smp_mb__before_atomic
    MbBeforeAtomic,
    /// smp_mb__after_atomic
    MbAfterAtomic,
    /// smp_mb__after_spinlock
    MbAfterSpinlock,
    /// smp_mb__after_unlock_lock
    MbAfterUnlockLock,
    /// smp_acquire__after_ctrl_dep
    AcquireAfterCtrlDep,
    /// barrier: restrains only the compiler
    Barrier,
    /// rcu_read_lock; no instruction if the kernel is not preemptible
    RcuReadLock,
    /// rcu_read_unlock
    RcuReadUnlock,
    /// mb: mandatory, also orders accesses to devices
    MandatoryMb,
    /// rmb
    MandatoryRmb,
    /// wmb
    MandatoryWmb,
}

impl Fence {
    /// The kernel's name of the barrier.
    pub const fn name(self) -> &'static str {
        match self {
            Fence::Mb => "smp_mb",
            Fence::Rmb => "smp_rmb",
            Fence::Wmb => "smp_wmb",
            Fence::MbBeforeAtomic => "smp_mb__before_atomic",
            Fence::MbAfterAtomic => "smp_mb__after_atomic",
            Fence::MbAfterSpinlock => "smp_mb__after_spinlock",
            Fence::MbAfterUnlockLock => "smp_mb__after_unlock_lock",
            Fence::AcquireAfterCtrlDep => "smp_acquire__after_ctrl_dep",
            Fence::Barrier => "barrier",
            Fence::RcuReadLock => "rcu_read_lock",
            Fence::RcuReadUnlock => "rcu_read_unlock",
            Fence::MandatoryMb => "mb",
            Fence::MandatoryRmb => "rmb",
            Fence::MandatoryWmb => "wmb",
        }
    }

    const ALL: [Fence; 14] = [
        Fence::Mb,
        Fence::Rmb,
        Fence::Wmb,
        Fence::MbBeforeAtomic,
        Fence::MbAfterAtomic,
        Fence::MbAfterSpinlock,
        Fence::MbAfterUnlockLock,
        Fence::AcquireAfterCtrlDep,
        Fence::Barrier,
        Fence::RcuReadLock,
        Fence::RcuReadUnlock,
        Fence::MandatoryMb,
        Fence::MandatoryRmb,
        Fence::MandatoryWmb,
    ];
}

/// The operation of a read-modify-write.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RmwOp {
    /// Replaces the value.
    Xchg,
    /// Adds.
    Add,
    /// Subtracts.
    Sub,
    /// Bitwise and.
    And,
    /// Bitwise or.
    Or,
    /// Bitwise exclusive or.
    Xor,
    /// Clears the bits that the operand has.
    AndNot,
}

/// The value that a read-modify-write returns.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RmwResult {
    /// Nothing: `atomic_add`.
    None,
    /// The value before the update: `atomic_fetch_add`, `xchg`.
    Old,
    /// The value after the update: `atomic_add_return`.
    New,
    /// Whether the value after the update is 0: `atomic_dec_and_test`.
    NewIsZero,
    /// Whether the value after the update is negative: `atomic_add_negative`.
    NewIsNegative,
}

/// The primitives of RCU and SRCU that only the kernel's model has: grace periods, and everything about SRCU. A test with one
/// is judged by `check`; no machine code is generated for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Rcu {
    /// synchronize_rcu, synchronize_rcu_expedited
    Synchronize,
    /// srcu_read_lock, srcu_down_read
    SrcuLock,
    /// srcu_read_unlock, srcu_up_read
    SrcuUnlock,
    /// synchronize_srcu, synchronize_srcu_expedited
    SynchronizeSrcu,
    /// smp_mb__after_srcu_read_unlock
    MbAfterSrcuReadUnlock,
}

impl Rcu {
    /// The name of the primitive, without its variants.
    pub const fn name(self) -> &'static str {
        match self {
            Rcu::Synchronize => "synchronize_rcu",
            Rcu::SrcuLock => "srcu_read_lock",
            Rcu::SrcuUnlock => "srcu_read_unlock",
            Rcu::SynchronizeSrcu => "synchronize_srcu",
            Rcu::MbAfterSrcuReadUnlock => "smp_mb__after_srcu_read_unlock",
        }
    }

    /// What `run` lacks for this primitive.
    pub const fn missing(self) -> &'static str {
        match self {
            Rcu::Synchronize => "grace periods",
            _ => "SRCU",
        }
    }
}

/// The form of an argument.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Arg {
    /// A memory location as a C lvalue: `*x`.
    Place,
    /// A pointer to a memory location: `x`.
    Pointer,
    /// A value.
    Value,
}

/// The effect of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// A load.
    Load(Access),
    /// A store.
    Store(Access),
    /// A store and then a full barrier (one instruction on x86).
    StoreMb,
    /// A barrier.
    Fence(Fence),
    /// A read-modify-write. `amount` is the operand if the name implies it.
    Rmw {
        /// The operation.
        op: RmwOp,
        /// The value it returns.
        result: RmwResult,
        /// The ordering.
        order: Order,
        /// The operand of inc and dec.
        amount: Option<i64>,
    },
    /// Compare and exchange; the arguments are place, expected, new.
    Cmpxchg(Order),
    /// Adds unless the value equals an unwanted value. Fully ordered if it adds.
    AddUnless {
        /// Whether it returns the old value. If not, it returns whether it added.
        fetch: bool,
        /// The amount and the unwanted value, if the name implies them.
        fixed: Option<(i64, i64)>,
    },
    /// spin_lock
    SpinLock,
    /// spin_unlock
    SpinUnlock,
    /// spin_trylock
    SpinTrylock,
    /// spin_is_locked
    SpinIsLocked,
    /// A grace period, or a part of SRCU.
    Rcu(Rcu),
}

/// A primitive: its effect and its arguments.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Primitive {
    /// The effect.
    pub action: Action,
    /// The forms of the arguments.
    pub args: &'static [Arg],
    /// The width in bits for the atomic_t families (32 or 64); `None` for other primitives.
    pub atomic_bits: Option<u8>,
}

impl Primitive {
    /// Whether a call returns a value.
    pub fn has_value(&self) -> bool {
        match self.action {
            Action::Load(_)
            | Action::Cmpxchg(_)
            | Action::AddUnless { .. }
            | Action::SpinTrylock
            | Action::SpinIsLocked
            | Action::Rcu(Rcu::SrcuLock) => true,
            Action::Rmw { result, .. } => result != RmwResult::None,
            _ => false,
        }
    }
}

/// The reason why a primitive of the kernel can neither be judged nor run, if it is one that tests are likely to use.
pub fn refusal(name: &str) -> Option<&'static str> {
    match name {
        "call_rcu" | "call_srcu" | "rcu_barrier" | "srcu_barrier" | "kfree_rcu" => {
            Some("the kernel's model has no RCU callbacks")
        }
        "rcu_read_lock_bh" | "rcu_read_unlock_bh" | "rcu_read_lock_sched" | "rcu_read_unlock_sched" => {
            Some("the kernel's model has only rcu_read_lock and rcu_read_unlock")
        }
        "spin_lock_irqsave" | "spin_unlock_irqrestore" | "spin_lock_irq" | "spin_unlock_irq" => {
            Some("the kernel's model has no interrupts; use spin_lock and spin_unlock")
        }
        _ => None,
    }
}

/// The names of the primitives that only the kernel's model has.
pub const JUDGED_ONLY: [&str; 9] = [
    "synchronize_rcu",
    "synchronize_rcu_expedited",
    "srcu_read_lock",
    "srcu_read_unlock",
    "srcu_down_read",
    "srcu_up_read",
    "synchronize_srcu",
    "synchronize_srcu_expedited",
    "smp_mb__after_srcu_read_unlock",
];

/// Finds a primitive by its name.
pub fn find(name: &str) -> Option<Primitive> {
    use Arg::{Place, Pointer, Value};
    let simple = |action, args| Some(Primitive { action, args, atomic_bits: None });
    if let Some(fence) = Fence::ALL.into_iter().find(|fence| fence.name() == name) {
        return simple(Action::Fence(fence), &[]);
    }
    match name {
        "smp_read_barrier_depends" => simple(Action::Fence(Fence::Barrier), &[]),
        // Older kernels had a name for a read whose value is an address, and a barrier behind it. Since Linux 4.15 every
        // READ_ONCE orders what depends on its value, and the barrier is gone.
        "READ_ONCE" | "rcu_dereference" | "lockless_dereference" => simple(Action::Load(Access::Once), &[Place]),
        "WRITE_ONCE" => simple(Action::Store(Access::Once), &[Place, Value]),
        "smp_load_acquire" => simple(Action::Load(Access::Acquire), &[Pointer]),
        "smp_store_release" => simple(Action::Store(Access::Release), &[Pointer, Value]),
        "rcu_assign_pointer" => simple(Action::Store(Access::Release), &[Place, Value]),
        "smp_store_mb" => simple(Action::StoreMb, &[Place, Value]),
        "__builtin_nontemporal_store" => simple(Action::Store(Access::NonTemporal), &[Value, Pointer]),
        "spin_lock" | "raw_spin_lock" => simple(Action::SpinLock, &[Pointer]),
        "spin_unlock" | "raw_spin_unlock" => simple(Action::SpinUnlock, &[Pointer]),
        "spin_trylock" | "raw_spin_trylock" => simple(Action::SpinTrylock, &[Pointer]),
        "spin_is_locked" | "raw_spin_is_locked" => simple(Action::SpinIsLocked, &[Pointer]),
        "synchronize_rcu" | "synchronize_rcu_expedited" => simple(Action::Rcu(Rcu::Synchronize), &[]),
        "srcu_read_lock" | "srcu_down_read" => simple(Action::Rcu(Rcu::SrcuLock), &[Pointer]),
        "srcu_read_unlock" | "srcu_up_read" => simple(Action::Rcu(Rcu::SrcuUnlock), &[Pointer, Value]),
        "synchronize_srcu" | "synchronize_srcu_expedited" => simple(Action::Rcu(Rcu::SynchronizeSrcu), &[Pointer]),
        "smp_mb__after_srcu_read_unlock" => simple(Action::Rcu(Rcu::MbAfterSrcuReadUnlock), &[]),
        _ => {
            let atomic = [("atomic_long_", 64), ("atomic64_", 64), ("atomic_", 32)]
                .into_iter()
                .find_map(|(prefix, bits)| Some((name.strip_prefix(prefix)?, bits)));
            match atomic {
                Some((rest, bits)) => {
                    atomic_family(rest).map(|primitive| Primitive { atomic_bits: Some(bits), ..primitive })
                }
                None => exchange(name),
            }
        }
    }
}

/// Splits a name into its base and its ordering.
fn split_order(name: &str) -> (&str, Order) {
    for (suffix, order) in [("_relaxed", Order::Relaxed), ("_acquire", Order::Acquire), ("_release", Order::Release)] {
        if let Some(base) = name.strip_suffix(suffix) {
            return (base, order);
        }
    }
    (name, Order::Full)
}

/// `xchg` and `cmpxchg` with their suffixes, with or without the prefix `atomic_`.
fn exchange(name: &str) -> Option<Primitive> {
    let (base, order) = split_order(name);
    let action = match base {
        "xchg" => Action::Rmw { op: RmwOp::Xchg, result: RmwResult::Old, order, amount: None },
        "cmpxchg" => Action::Cmpxchg(order),
        _ => return None,
    };
    let args: &[Arg] =
        if base == "xchg" { &[Arg::Pointer, Arg::Value] } else { &[Arg::Pointer, Arg::Value, Arg::Value] };
    Some(Primitive { action, args, atomic_bits: None })
}

/// The rest of a name behind `atomic_`, `atomic64_` or `atomic_long_`.
fn atomic_family(rest: &str) -> Option<Primitive> {
    use Arg::{Pointer, Value};
    let make = |action, args| Some(Primitive { action, args, atomic_bits: None });
    match rest {
        "read" => return make(Action::Load(Access::Once), &[Pointer]),
        "read_acquire" => return make(Action::Load(Access::Acquire), &[Pointer]),
        "set" => return make(Action::Store(Access::Once), &[Pointer, Value]),
        "set_release" => return make(Action::Store(Access::Release), &[Pointer, Value]),
        "add_unless" => return make(Action::AddUnless { fetch: false, fixed: None }, &[Pointer, Value, Value]),
        "fetch_add_unless" => return make(Action::AddUnless { fetch: true, fixed: None }, &[Pointer, Value, Value]),
        "inc_not_zero" => return make(Action::AddUnless { fetch: false, fixed: Some((1, 0)) }, &[Pointer]),
        _ => {}
    }
    if let Some(found) = exchange(rest) {
        return Some(found);
    }
    let (base, order) = split_order(rest);
    let suffixed = base.len() != rest.len();
    let (word, result) = if let Some(word) = base.strip_prefix("fetch_") {
        (word, RmwResult::Old)
    } else if let Some(word) = base.strip_suffix("_return") {
        (word, RmwResult::New)
    } else if let Some(word) = base.strip_suffix("_and_test") {
        (word, RmwResult::NewIsZero)
    } else if let Some(word) = base.strip_suffix("_negative") {
        (word, RmwResult::NewIsNegative)
    } else {
        (base, RmwResult::None)
    };
    let (op, amount) = match word {
        "add" => (RmwOp::Add, None),
        "sub" => (RmwOp::Sub, None),
        "inc" => (RmwOp::Add, Some(1)),
        "dec" => (RmwOp::Sub, Some(1)),
        "and" => (RmwOp::And, None),
        "or" => (RmwOp::Or, None),
        "xor" => (RmwOp::Xor, None),
        "andnot" => (RmwOp::AndNot, None),
        _ => return None,
    };
    let arithmetic = matches!(op, RmwOp::Add | RmwOp::Sub);
    // The kernel has no atomic_and_return, atomic_or_and_test, atomic_sub_negative or atomic_add_and_test.
    // The `_and_test` forms and the void forms take no ordering suffix.
    let known = match result {
        RmwResult::None => !suffixed,
        RmwResult::Old => true,
        RmwResult::New => arithmetic,
        RmwResult::NewIsZero => !suffixed && arithmetic && word != "add",
        RmwResult::NewIsNegative => word == "add",
    };
    let order = if result == RmwResult::None { Order::Relaxed } else { order };
    let args: &[Arg] = if amount.is_some() { &[Pointer] } else { &[Value, Pointer] };
    known.then_some(Primitive { action: Action::Rmw { op, result, order, amount }, args, atomic_bits: None })
}

/// The names that are suggested for a misspelt one.
pub fn names() -> impl Iterator<Item = &'static str> {
    const OTHERS: [&str; 26] = [
        "READ_ONCE",
        "WRITE_ONCE",
        "smp_load_acquire",
        "smp_store_release",
        "smp_store_mb",
        "rcu_dereference",
        "rcu_assign_pointer",
        "__builtin_nontemporal_store",
        "xchg",
        "xchg_relaxed",
        "xchg_acquire",
        "xchg_release",
        "cmpxchg",
        "cmpxchg_relaxed",
        "cmpxchg_acquire",
        "cmpxchg_release",
        "spin_lock",
        "spin_unlock",
        "spin_trylock",
        "spin_is_locked",
        "atomic_read",
        "atomic_set",
        "atomic_add_return",
        "atomic_dec_and_test",
        "atomic_add_unless",
        "atomic_inc_not_zero",
    ];
    Fence::ALL.into_iter().map(Fence::name).chain(OTHERS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_suggested_name_exists() {
        for name in names().chain(JUDGED_ONLY) {
            assert!(find(name).is_some(), "{name}");
        }
        for name in JUDGED_ONLY {
            assert!(matches!(find(name).unwrap().action, Action::Rcu(_)), "{name}");
        }
    }

    #[test]
    fn the_atomic_family_is_the_kernels() {
        for name in [
            "atomic_inc",
            "atomic_fetch_andnot_release",
            "atomic64_add_return",
            "atomic_long_xchg_acquire",
            "atomic64_fetch_add_unless",
        ] {
            assert!(find(name).is_some(), "{name}");
        }
        for name in [
            "atomic_and_return",
            "atomic_add_and_test",
            "atomic_inc_relaxed",
            "atomic_",
            "atomic_fetch_",
            "atomic_add_unless_acquire",
        ] {
            assert!(find(name).is_none(), "{name}");
        }
    }
}
