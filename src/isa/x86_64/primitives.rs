//! The primitives on x86-64.
//!
//! x86-TSO keeps loads in order with loads and stores in order with stores, so most barriers, acquire and release take
//! no instruction. The lock is the queued spinlock, with the unlock of a kernel on bare hardware or of
//! a paravirtualized guest.

use crate::isa::primitives::Variant::{Paravirt, Queued};
use crate::isa::primitives::{
    COMPILER, GENERIC_BARRIER, GENERIC_QSPINLOCK, LINUX_SPINLOCK, Primitive, RCUPDATE, RWONCE, barrier, long, word,
};

const ATOMIC: &str = "arch/x86/include/asm/atomic.h";
const BARRIER: &str = "arch/x86/include/asm/barrier.h";
const CLANG: &str = "no primitive of the kernel: a builtin of clang";
const CMPXCHG: &str = "arch/x86/include/asm/cmpxchg.h";
const PARAVIRT: &str = "arch/x86/include/asm/paravirt-spinlock.h";
const QSPINLOCK_PARAVIRT: &str = "arch/x86/include/asm/qspinlock_paravirt.h";

/// Every primitive, one row a line.
#[rustfmt::skip]
pub(super) const PRIMITIVES: &[Primitive] = &[
    // Barriers.
    barrier("smp_mb", "lock add", "F[mfence]", BARRIER),
    barrier("smp_rmb", "", "", BARRIER),
    barrier("smp_wmb", "", "", BARRIER),
    barrier("smp_mb__before_atomic", "", "", BARRIER),
    barrier("smp_mb__after_atomic", "", "", BARRIER),
    barrier("smp_mb__after_spinlock", "", "", LINUX_SPINLOCK),
    barrier("smp_mb__after_unlock_lock", "", "", RCUPDATE),
    barrier("smp_acquire__after_ctrl_dep", "", "", GENERIC_BARRIER),
    barrier("barrier", "", "", COMPILER),
    barrier("rcu_read_lock", "", "", RCUPDATE),
    barrier("rcu_read_unlock", "", "", RCUPDATE),
    barrier("mb", "mfence", "F[mfence]", BARRIER),
    barrier("rmb", "lfence", "", BARRIER),
    barrier("wmb", "sfence", "", BARRIER),
    // Loads and stores.
    word("READ_ONCE", "mov", "R", RWONCE),
    word("WRITE_ONCE", "mov", "W", RWONCE),
    word("smp_load_acquire", "mov", "R", BARRIER),
    word("smp_store_release", "mov", "W", BARRIER),
    word("smp_store_mb", "xchg", "R[amo]; W[amo]", BARRIER),
    long("READ_ONCE", "mov", "R", RWONCE),
    long("WRITE_ONCE", "mov", "W", RWONCE),
    long("smp_load_acquire", "mov", "R", BARRIER),
    long("smp_store_release", "mov", "W", BARRIER),
    long("smp_store_mb", "xchg", "R[amo]; W[amo]", BARRIER),
    word("__builtin_nontemporal_store", "movnti", "not modelled", CLANG),
    long("__builtin_nontemporal_store", "movnti", "not modelled", CLANG),
    // Locks: the uncontended path.
    word("spin_lock", "lock cmpxchg; jne", "R[amo]; W[amo]", GENERIC_QSPINLOCK),
    word("spin_unlock", "mov", "W", PARAVIRT).only(Queued),
    word("spin_unlock", "lock cmpxchg", "R[amo]; W[amo] else R[amo]", QSPINLOCK_PARAVIRT).only(Paravirt),
    word("spin_trylock", "mov; test; jne; lock cmpxchg; sete; movzx", "R[amo]; W[amo] else R", GENERIC_QSPINLOCK),
    word("spin_is_locked", "mov; test; setne; movzx", "R", GENERIC_QSPINLOCK),
    // Exchanges.
    word("xchg", "xchg", "R[amo]; W[amo]", CMPXCHG),
    word("xchg_relaxed", "xchg", "R[amo]; W[amo]", CMPXCHG),
    word("xchg_acquire", "xchg", "R[amo]; W[amo]", CMPXCHG),
    word("xchg_release", "xchg", "R[amo]; W[amo]", CMPXCHG),
    long("xchg", "xchg", "R[amo]; W[amo]", CMPXCHG),
    long("xchg_relaxed", "xchg", "R[amo]; W[amo]", CMPXCHG),
    long("xchg_acquire", "xchg", "R[amo]; W[amo]", CMPXCHG),
    long("xchg_release", "xchg", "R[amo]; W[amo]", CMPXCHG),
    word("cmpxchg", "lock cmpxchg", "R[amo]; W[amo] else R[amo]", CMPXCHG),
    word("cmpxchg_relaxed", "lock cmpxchg", "R[amo]; W[amo] else R[amo]", CMPXCHG),
    word("cmpxchg_acquire", "lock cmpxchg", "R[amo]; W[amo] else R[amo]", CMPXCHG),
    word("cmpxchg_release", "lock cmpxchg", "R[amo]; W[amo] else R[amo]", CMPXCHG),
    long("cmpxchg", "lock cmpxchg", "R[amo]; W[amo] else R[amo]", CMPXCHG),
    long("cmpxchg_relaxed", "lock cmpxchg", "R[amo]; W[amo] else R[amo]", CMPXCHG),
    long("cmpxchg_acquire", "lock cmpxchg", "R[amo]; W[amo] else R[amo]", CMPXCHG),
    long("cmpxchg_release", "lock cmpxchg", "R[amo]; W[amo] else R[amo]", CMPXCHG),
    // atomic_t.
    word("atomic_add", "lock add", "R[amo]; W[amo]", ATOMIC),
    word("atomic_sub", "lock sub", "R[amo]; W[amo]", ATOMIC),
    word("atomic_inc", "lock inc", "R[amo]; W[amo]", ATOMIC),
    word("atomic_dec", "lock dec", "R[amo]; W[amo]", ATOMIC),
    word("atomic_and", "lock and", "R[amo]; W[amo]", ATOMIC),
    word("atomic_or", "lock or", "R[amo]; W[amo]", ATOMIC),
    word("atomic_xor", "lock xor", "R[amo]; W[amo]", ATOMIC),
    word("atomic_andnot", "not; lock and", "R[amo]; W[amo]", ATOMIC),
    word("atomic_fetch_add", "lock xadd", "R[amo]; W[amo]", ATOMIC),
    word("atomic_fetch_add_relaxed", "lock xadd", "R[amo]; W[amo]", ATOMIC),
    word("atomic_fetch_add_acquire", "lock xadd", "R[amo]; W[amo]", ATOMIC),
    word("atomic_fetch_add_release", "lock xadd", "R[amo]; W[amo]", ATOMIC),
    word("atomic_fetch_sub", "neg; lock xadd", "R[amo]; W[amo]", ATOMIC),
    word("atomic_fetch_sub_relaxed", "neg; lock xadd", "R[amo]; W[amo]", ATOMIC),
    word("atomic_fetch_sub_acquire", "neg; lock xadd", "R[amo]; W[amo]", ATOMIC),
    word("atomic_fetch_sub_release", "neg; lock xadd", "R[amo]; W[amo]", ATOMIC),
    word("atomic_fetch_and", "mov; and; lock cmpxchg; jne", "R[amo]; W[amo]", ATOMIC),
    word("atomic_fetch_and_relaxed", "mov; and; lock cmpxchg; jne", "R[amo]; W[amo]", ATOMIC),
    word("atomic_fetch_and_acquire", "mov; and; lock cmpxchg; jne", "R[amo]; W[amo]", ATOMIC),
    word("atomic_fetch_and_release", "mov; and; lock cmpxchg; jne", "R[amo]; W[amo]", ATOMIC),
    word("atomic_fetch_or", "mov; or; lock cmpxchg; jne", "R[amo]; W[amo]", ATOMIC),
    word("atomic_fetch_or_relaxed", "mov; or; lock cmpxchg; jne", "R[amo]; W[amo]", ATOMIC),
    word("atomic_fetch_or_acquire", "mov; or; lock cmpxchg; jne", "R[amo]; W[amo]", ATOMIC),
    word("atomic_fetch_or_release", "mov; or; lock cmpxchg; jne", "R[amo]; W[amo]", ATOMIC),
    word("atomic_fetch_xor", "mov; xor; lock cmpxchg; jne", "R[amo]; W[amo]", ATOMIC),
    word("atomic_fetch_xor_relaxed", "mov; xor; lock cmpxchg; jne", "R[amo]; W[amo]", ATOMIC),
    word("atomic_fetch_xor_acquire", "mov; xor; lock cmpxchg; jne", "R[amo]; W[amo]", ATOMIC),
    word("atomic_fetch_xor_release", "mov; xor; lock cmpxchg; jne", "R[amo]; W[amo]", ATOMIC),
    word("atomic_fetch_andnot", "mov; not; and; lock cmpxchg; jne", "R[amo]; W[amo]", ATOMIC),
    word("atomic_fetch_andnot_relaxed", "mov; not; and; lock cmpxchg; jne", "R[amo]; W[amo]", ATOMIC),
    word("atomic_fetch_andnot_acquire", "mov; not; and; lock cmpxchg; jne", "R[amo]; W[amo]", ATOMIC),
    word("atomic_fetch_andnot_release", "mov; not; and; lock cmpxchg; jne", "R[amo]; W[amo]", ATOMIC),
    word("atomic_add_return", "lock xadd; add", "R[amo]; W[amo]", ATOMIC),
    word("atomic_add_return_relaxed", "lock xadd; add", "R[amo]; W[amo]", ATOMIC),
    word("atomic_add_return_acquire", "lock xadd; add", "R[amo]; W[amo]", ATOMIC),
    word("atomic_add_return_release", "lock xadd; add", "R[amo]; W[amo]", ATOMIC),
    word("atomic_sub_return", "neg; lock xadd; add", "R[amo]; W[amo]", ATOMIC),
    word("atomic_sub_return_relaxed", "neg; lock xadd; add", "R[amo]; W[amo]", ATOMIC),
    word("atomic_sub_return_acquire", "neg; lock xadd; add", "R[amo]; W[amo]", ATOMIC),
    word("atomic_sub_return_release", "neg; lock xadd; add", "R[amo]; W[amo]", ATOMIC),
    word("atomic_sub_and_test", "lock sub; sete; movzx", "R[amo]; W[amo]", ATOMIC),
    word("atomic_inc_and_test", "lock inc; sete; movzx", "R[amo]; W[amo]", ATOMIC),
    word("atomic_dec_and_test", "lock dec; sete; movzx", "R[amo]; W[amo]", ATOMIC),
    word("atomic_add_negative", "lock add; sets; movzx", "R[amo]; W[amo]", ATOMIC),
];
