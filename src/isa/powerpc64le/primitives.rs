//! The primitives on little-endian 64-bit POWER.
//!
//! The acquire barrier is the lwsync that the kernel patches over isync at boot (docs/kernel.md, section 5). The lock is
//! the queued spinlock of arch/powerpc.

use crate::isa::primitives::{COMPILER, FALLBACK, GENERIC_BARRIER, Primitive, RCUPDATE, RWONCE, barrier, long, word};

const ATOMIC: &str = "arch/powerpc/include/asm/atomic.h";
const BARRIER: &str = "arch/powerpc/include/asm/barrier.h";
const CMPXCHG: &str = "arch/powerpc/include/asm/cmpxchg.h";
const QSPINLOCK: &str = "arch/powerpc/include/asm/qspinlock.h";
const SPINLOCK: &str = "arch/powerpc/include/asm/spinlock.h";

/// Every primitive, one row a line.
#[rustfmt::skip]
pub(super) const PRIMITIVES: &[Primitive] = &[
    // Barriers.
    barrier("smp_mb", "sync", "F[sync]", BARRIER),
    barrier("smp_rmb", "lwsync", "F[lwsync]", BARRIER),
    barrier("smp_wmb", "lwsync", "F[lwsync]", BARRIER),
    barrier("smp_mb__before_atomic", "sync", "F[sync]", GENERIC_BARRIER),
    barrier("smp_mb__after_atomic", "sync", "F[sync]", GENERIC_BARRIER),
    barrier("smp_mb__after_spinlock", "sync", "F[sync]", SPINLOCK),
    barrier("smp_mb__after_unlock_lock", "sync", "F[sync]", RCUPDATE),
    barrier("smp_acquire__after_ctrl_dep", "lwsync", "F[lwsync]", GENERIC_BARRIER),
    barrier("barrier", "", "", COMPILER),
    barrier("rcu_read_lock", "", "", RCUPDATE),
    barrier("rcu_read_unlock", "", "", RCUPDATE),
    barrier("mb", "sync", "F[sync]", BARRIER),
    barrier("rmb", "sync", "F[sync]", BARRIER),
    barrier("wmb", "sync", "F[sync]", BARRIER),
    // Loads and stores.
    word("READ_ONCE", "lwz", "R", RWONCE),
    word("WRITE_ONCE", "stw", "W", RWONCE),
    word("smp_load_acquire", "lwz; lwsync", "R; F[lwsync]", BARRIER),
    word("smp_store_release", "lwsync; stw", "F[lwsync]; W", BARRIER),
    word("smp_store_mb", "stw; sync", "W; F[sync]", GENERIC_BARRIER),
    long("READ_ONCE", "ld", "R", RWONCE),
    long("WRITE_ONCE", "std", "W", RWONCE),
    long("smp_load_acquire", "ld; lwsync", "R; F[lwsync]", BARRIER),
    long("smp_store_release", "lwsync; std", "F[lwsync]; W", BARRIER),
    long("smp_store_mb", "std; sync", "W; F[sync]", GENERIC_BARRIER),
    // Locks: the uncontended path.
    word("spin_lock", "lwarx 1; andc.; bne; and; or; stwcx.; bne; lwsync", "R[x]; W[x]; F[lwsync]", QSPINLOCK),
    word("spin_unlock", "lwsync; sth", "F[lwsync]; W", QSPINLOCK),
    word("spin_trylock", "lwarx 1; andc.; bne; and; or; stwcx.; bne; lwsync; cmpwi; beq", "R[x]; W[x]; F[lwsync] else R[x]", QSPINLOCK),
    word("spin_is_locked", "lwz; cmpw; bne", "R", QSPINLOCK),
    // Exchanges.
    word("xchg", "sync; lwarx; stwcx.; bne; sync", "F[sync]; R[x]; W[x]; F[sync]", CMPXCHG),
    word("xchg_relaxed", "lwarx; stwcx.; bne", "R[x]; W[x]", CMPXCHG),
    word("xchg_acquire", "lwarx; stwcx.; bne; lwsync", "R[x]; W[x]; F[lwsync]", CMPXCHG),
    word("xchg_release", "lwsync; lwarx; stwcx.; bne", "F[lwsync]; R[x]; W[x]", CMPXCHG),
    long("xchg", "sync; ldarx; stdcx.; bne; sync", "F[sync]; R[x]; W[x]; F[sync]", CMPXCHG),
    long("xchg_relaxed", "ldarx; stdcx.; bne", "R[x]; W[x]", CMPXCHG),
    long("xchg_acquire", "ldarx; stdcx.; bne; lwsync", "R[x]; W[x]; F[lwsync]", CMPXCHG),
    long("xchg_release", "lwsync; ldarx; stdcx.; bne", "F[lwsync]; R[x]; W[x]", CMPXCHG),
    word("cmpxchg", "sync; lwarx; cmpw; bne; stwcx.; bne; sync", "F[sync]; R[x]; W[x]; F[sync] else F[sync]; R[x]", CMPXCHG),
    word("cmpxchg_relaxed", "lwarx; cmpw; bne; stwcx.; bne", "R[x]; W[x] else R[x]", CMPXCHG),
    word("cmpxchg_acquire", "lwarx; cmpw; bne; stwcx.; bne; lwsync", "R[x]; W[x]; F[lwsync] else R[x]", CMPXCHG),
    word("cmpxchg_release", "lwsync; lwarx; cmpw; bne; stwcx.; bne", "F[lwsync]; R[x]; W[x] else F[lwsync]; R[x]", CMPXCHG),
    long("cmpxchg", "sync; ldarx; cmpd; bne; stdcx.; bne; sync", "F[sync]; R[x]; W[x]; F[sync] else F[sync]; R[x]", CMPXCHG),
    long("cmpxchg_relaxed", "ldarx; cmpd; bne; stdcx.; bne", "R[x]; W[x] else R[x]", CMPXCHG),
    long("cmpxchg_acquire", "ldarx; cmpd; bne; stdcx.; bne; lwsync", "R[x]; W[x]; F[lwsync] else R[x]", CMPXCHG),
    long("cmpxchg_release", "lwsync; ldarx; cmpd; bne; stdcx.; bne", "F[lwsync]; R[x]; W[x] else F[lwsync]; R[x]", CMPXCHG),
    // atomic_t.
    word("atomic_add", "lwarx; addc; stwcx.; bne", "R[x]; W[x]", ATOMIC),
    word("atomic_sub", "lwarx; subfc; stwcx.; bne", "R[x]; W[x]", ATOMIC),
    word("atomic_inc", "lwarx; addc; stwcx.; bne", "R[x]; W[x]", ATOMIC),
    word("atomic_dec", "lwarx; subfc; stwcx.; bne", "R[x]; W[x]", ATOMIC),
    word("atomic_and", "lwarx; and.; stwcx.; bne", "R[x]; W[x]", ATOMIC),
    word("atomic_or", "lwarx; or; stwcx.; bne", "R[x]; W[x]", ATOMIC),
    word("atomic_xor", "lwarx; xor; stwcx.; bne", "R[x]; W[x]", ATOMIC),
    word("atomic_andnot", "nor; lwarx; and.; stwcx.; bne", "R[x]; W[x]", ATOMIC),
    word("atomic_fetch_add", "sync; lwarx; addc; stwcx.; bne; sync", "F[sync]; R[x]; W[x]; F[sync]", ATOMIC),
    word("atomic_fetch_add_relaxed", "lwarx; addc; stwcx.; bne", "R[x]; W[x]", ATOMIC),
    word("atomic_fetch_add_acquire", "lwarx; addc; stwcx.; bne; lwsync", "R[x]; W[x]; F[lwsync]", ATOMIC),
    word("atomic_fetch_add_release", "lwsync; lwarx; addc; stwcx.; bne", "F[lwsync]; R[x]; W[x]", ATOMIC),
    word("atomic_fetch_sub", "sync; lwarx; subfc; stwcx.; bne; sync", "F[sync]; R[x]; W[x]; F[sync]", ATOMIC),
    word("atomic_fetch_sub_relaxed", "lwarx; subfc; stwcx.; bne", "R[x]; W[x]", ATOMIC),
    word("atomic_fetch_sub_acquire", "lwarx; subfc; stwcx.; bne; lwsync", "R[x]; W[x]; F[lwsync]", ATOMIC),
    word("atomic_fetch_sub_release", "lwsync; lwarx; subfc; stwcx.; bne", "F[lwsync]; R[x]; W[x]", ATOMIC),
    word("atomic_fetch_and", "sync; lwarx; and.; stwcx.; bne; sync", "F[sync]; R[x]; W[x]; F[sync]", ATOMIC),
    word("atomic_fetch_and_relaxed", "lwarx; and.; stwcx.; bne", "R[x]; W[x]", ATOMIC),
    word("atomic_fetch_and_acquire", "lwarx; and.; stwcx.; bne; lwsync", "R[x]; W[x]; F[lwsync]", ATOMIC),
    word("atomic_fetch_and_release", "lwsync; lwarx; and.; stwcx.; bne", "F[lwsync]; R[x]; W[x]", ATOMIC),
    word("atomic_fetch_or", "sync; lwarx; or; stwcx.; bne; sync", "F[sync]; R[x]; W[x]; F[sync]", ATOMIC),
    word("atomic_fetch_or_relaxed", "lwarx; or; stwcx.; bne", "R[x]; W[x]", ATOMIC),
    word("atomic_fetch_or_acquire", "lwarx; or; stwcx.; bne; lwsync", "R[x]; W[x]; F[lwsync]", ATOMIC),
    word("atomic_fetch_or_release", "lwsync; lwarx; or; stwcx.; bne", "F[lwsync]; R[x]; W[x]", ATOMIC),
    word("atomic_fetch_xor", "sync; lwarx; xor; stwcx.; bne; sync", "F[sync]; R[x]; W[x]; F[sync]", ATOMIC),
    word("atomic_fetch_xor_relaxed", "lwarx; xor; stwcx.; bne", "R[x]; W[x]", ATOMIC),
    word("atomic_fetch_xor_acquire", "lwarx; xor; stwcx.; bne; lwsync", "R[x]; W[x]; F[lwsync]", ATOMIC),
    word("atomic_fetch_xor_release", "lwsync; lwarx; xor; stwcx.; bne", "F[lwsync]; R[x]; W[x]", ATOMIC),
    word("atomic_fetch_andnot", "sync; nor; lwarx; and.; stwcx.; bne; sync", "F[sync]; R[x]; W[x]; F[sync]", ATOMIC),
    word("atomic_fetch_andnot_relaxed", "nor; lwarx; and.; stwcx.; bne", "R[x]; W[x]", ATOMIC),
    word("atomic_fetch_andnot_acquire", "nor; lwarx; and.; stwcx.; bne; lwsync", "R[x]; W[x]; F[lwsync]", ATOMIC),
    word("atomic_fetch_andnot_release", "lwsync; nor; lwarx; and.; stwcx.; bne", "F[lwsync]; R[x]; W[x]", ATOMIC),
    word("atomic_add_return", "sync; lwarx; addc; stwcx.; bne; sync", "F[sync]; R[x]; W[x]; F[sync]", ATOMIC),
    word("atomic_add_return_relaxed", "lwarx; addc; stwcx.; bne", "R[x]; W[x]", ATOMIC),
    word("atomic_add_return_acquire", "lwarx; addc; stwcx.; bne; lwsync", "R[x]; W[x]; F[lwsync]", ATOMIC),
    word("atomic_add_return_release", "lwsync; lwarx; addc; stwcx.; bne", "F[lwsync]; R[x]; W[x]", ATOMIC),
    word("atomic_sub_return", "sync; lwarx; subfc; stwcx.; bne; sync", "F[sync]; R[x]; W[x]; F[sync]", ATOMIC),
    word("atomic_sub_return_relaxed", "lwarx; subfc; stwcx.; bne", "R[x]; W[x]", ATOMIC),
    word("atomic_sub_return_acquire", "lwarx; subfc; stwcx.; bne; lwsync", "R[x]; W[x]; F[lwsync]", ATOMIC),
    word("atomic_sub_return_release", "lwsync; lwarx; subfc; stwcx.; bne", "F[lwsync]; R[x]; W[x]", ATOMIC),
    word("atomic_sub_and_test", "sync; lwarx; subfc; stwcx.; bne; sync; cmpwi; beq", "F[sync]; R[x]; W[x]; F[sync]", FALLBACK),
    word("atomic_inc_and_test", "sync; lwarx; addc; stwcx.; bne; sync; cmpwi; beq", "F[sync]; R[x]; W[x]; F[sync]", FALLBACK),
    word("atomic_dec_and_test", "sync; lwarx; subfc; stwcx.; bne; sync; cmpwi; beq", "F[sync]; R[x]; W[x]; F[sync]", FALLBACK),
    word("atomic_add_negative", "sync; lwarx; addc; stwcx.; bne; sync; cmpwi; blt", "F[sync]; R[x]; W[x]; F[sync]", FALLBACK),
];
