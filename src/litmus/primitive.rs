//! The kernel primitives a litmus test may call, by name.
//!
//! This table says what each name means; which instructions that takes on an architecture is [`crate::codegen`]'s
//! business. Names and argument orders are those of the kernel's include/linux/atomic and tools/memory-model.

/// The ordering a read-modify-write carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Order {
    /// None (`_relaxed`, and atomics that return nothing).
    Relaxed,
    /// `_acquire`
    Acquire,
    /// `_release`
    Release,
    /// Fully ordered: no suffix.
    Full,
}

/// How a load or store is ordered and what the compiler may do to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Access {
    /// A plain C access. The emitted instruction is that of `Once`; only the models tell them apart.
    Plain,
    /// READ_ONCE, WRITE_ONCE.
    Once,
    /// smp_load_acquire.
    Acquire,
    /// smp_store_release.
    Release,
    /// `__builtin_nontemporal_store`: past the caches, weakly ordered even on x86.
    NonTemporal,
}

/// The barriers, one per kernel name, because architectures differ on each.
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
    /// barrier: the compiler only
    Barrier,
    /// rcu_read_lock; no instruction where the kernel is not preemptible
    RcuReadLock,
    /// rcu_read_unlock
    RcuReadUnlock,
    /// mb: mandatory, also against devices
    MandatoryMb,
    /// rmb
    MandatoryRmb,
    /// wmb
    MandatoryWmb,
}

impl Fence {
    /// The kernel's name.
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

/// What a read-modify-write does to the value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RmwOp {
    /// Replaces it.
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
    /// Clears the bits of the operand.
    AndNot,
}

/// What a read-modify-write gives back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RmwResult {
    /// Nothing: `atomic_add`.
    None,
    /// The value before: `atomic_fetch_add`, `xchg`.
    Old,
    /// The value after: `atomic_add_return`.
    New,
    /// Whether the value after is 0: `atomic_dec_and_test`.
    NewIsZero,
    /// Whether the value after is negative: `atomic_add_negative`.
    NewIsNegative,
}

/// Where a call's arguments stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Arg {
    /// A memory location written as a C lvalue, `*x`.
    Place,
    /// A pointer to one, `x`.
    Pointer,
    /// A value.
    Value,
}

/// What a call does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Reads.
    Load(Access),
    /// Writes.
    Store(Access),
    /// Writes, then a full barrier (one instruction on x86).
    StoreMb,
    /// A barrier.
    Fence(Fence),
    /// A read-modify-write; `amount` is the operand where the name implies it.
    Rmw {
        /// What it computes.
        op: RmwOp,
        /// What it gives back.
        result: RmwResult,
        /// How it is ordered.
        order: Order,
        /// The operand of inc and dec.
        amount: Option<i64>,
    },
    /// Compare and exchange: place, expected, new.
    Cmpxchg(Order),
    /// Adds unless the value is one that is left alone, and fully ordered if it adds.
    AddUnless {
        /// Whether it gives the old value, and not whether it added.
        fetch: bool,
        /// How much is added, and the value that is left alone, where the name implies them.
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
}

/// A primitive: what it does and what it takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Primitive {
    /// What it does.
    pub action: Action,
    /// What it takes.
    pub args: &'static [Arg],
    /// For the atomic_t family, whether it is the 64-bit one.
    pub atomic_bits: Option<u8>,
}

impl Primitive {
    /// Whether a call yields a value.
    pub fn has_value(&self) -> bool {
        match self.action {
            Action::Load(_)
            | Action::Cmpxchg(_)
            | Action::AddUnless { .. }
            | Action::SpinTrylock
            | Action::SpinIsLocked => true,
            Action::Rmw { result, .. } => result != RmwResult::None,
            _ => false,
        }
    }
}

/// Why a name that the kernel's model knows cannot run in user space, if it is one of those.
pub fn refusal(name: &str) -> Option<&'static str> {
    let grace = "it waits for an RCU grace period, which user space does not have";
    let srcu = "SRCU lives in the kernel";
    match name {
        "synchronize_rcu" | "synchronize_rcu_expedited" | "call_rcu" | "rcu_barrier" => Some(grace),
        "srcu_read_lock"
        | "srcu_read_unlock"
        | "srcu_down_read"
        | "srcu_up_read"
        | "synchronize_srcu"
        | "synchronize_srcu_expedited"
        | "smp_mb__after_srcu_read_unlock" => Some(srcu),
        _ => None,
    }
}

/// Looks a name up.
pub fn find(name: &str) -> Option<Primitive> {
    use Arg::{Place, Pointer, Value};
    let simple = |action, args| Some(Primitive { action, args, atomic_bits: None });
    if let Some(fence) = Fence::ALL.into_iter().find(|fence| fence.name() == name) {
        return simple(Action::Fence(fence), &[]);
    }
    match name {
        "READ_ONCE" | "rcu_dereference" => simple(Action::Load(Access::Once), &[Place]),
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

/// A name without its ordering suffix, and the ordering.
fn split_order(name: &str) -> (&str, Order) {
    for (suffix, order) in [("_relaxed", Order::Relaxed), ("_acquire", Order::Acquire), ("_release", Order::Release)] {
        if let Some(base) = name.strip_suffix(suffix) {
            return (base, order);
        }
    }
    (name, Order::Full)
}

/// `xchg` and `cmpxchg` with their suffixes; the same after `atomic_`.
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

/// What follows `atomic_`, `atomic64_` or `atomic_long_`.
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
    // The kernel has no atomic_and_return, atomic_or_and_test, atomic_sub_negative or atomic_add_and_test; the tests
    // and the void forms take no ordering suffix.
    let known = match result {
        RmwResult::None => !suffixed,
        RmwResult::Old => true,
        RmwResult::New => arithmetic,
        RmwResult::NewIsZero => !suffixed && arithmetic && word != "add",
        RmwResult::NewIsNegative => !suffixed && word == "add",
    };
    let order = if result == RmwResult::None { Order::Relaxed } else { order };
    let args: &[Arg] = if amount.is_some() { &[Pointer] } else { &[Value, Pointer] };
    known.then_some(Primitive { action: Action::Rmw { op, result, order, amount }, args, atomic_bits: None })
}

/// Names to suggest for a misspelt one.
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
        for name in names() {
            assert!(find(name).is_some(), "{name}");
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
