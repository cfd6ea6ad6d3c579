// SPDX-License-Identifier: MIT OR Apache-2.0
/*
 * One function per kernel primitive and width, named PRIMITIVE__BYTES. scripts/kernel-primitives compiles this file
 * with the kernel's headers and reads the instructions of each function. The primitives are those that a litmus test
 * of wakerace may call (src/litmus/primitive.rs); tests/kernel.rs says if one is missing.
 */
#include <linux/atomic.h>
#include <linux/rcupdate.h>
#include <linux/spinlock.h>

#define BARRIER(name) \
	void name##__0(void) { name(); }
BARRIER(smp_mb)
BARRIER(smp_rmb)
BARRIER(smp_wmb)
BARRIER(smp_mb__before_atomic)
BARRIER(smp_mb__after_atomic)
BARRIER(smp_mb__after_spinlock)
BARRIER(smp_mb__after_unlock_lock)
BARRIER(smp_acquire__after_ctrl_dep)
BARRIER(barrier)
BARRIER(rcu_read_lock)
BARRIER(rcu_read_unlock)
BARRIER(mb)
BARRIER(rmb)
BARRIER(wmb)

#define ACCESSES(bytes, type) \
	type READ_ONCE__##bytes(type *x) { return READ_ONCE(*x); } \
	void WRITE_ONCE__##bytes(type *x, type v) { WRITE_ONCE(*x, v); } \
	type smp_load_acquire__##bytes(type *x) { return smp_load_acquire(x); } \
	void smp_store_release__##bytes(type *x, type v) { smp_store_release(x, v); } \
	void smp_store_mb__##bytes(type *x, type v) { smp_store_mb(*x, v); }
ACCESSES(1, u8)
ACCESSES(2, u16)
ACCESSES(4, int)
ACCESSES(8, s64)

void *rcu_dereference__8(void **x) { return rcu_dereference(*x); }
void rcu_assign_pointer__8(void **x, void *v) { rcu_assign_pointer(*x, v); }

/* The lock itself, without preempt_disable() and lockdep. */
void spin_lock__4(arch_spinlock_t *l) { arch_spin_lock(l); }
void spin_unlock__4(arch_spinlock_t *l) { arch_spin_unlock(l); }
int spin_trylock__4(arch_spinlock_t *l) { return arch_spin_trylock(l); }
int spin_is_locked__4(arch_spinlock_t *l) { return arch_spin_is_locked(l); }

#define ORDERS(one, ...) \
	one(, __VA_ARGS__) one(_relaxed, __VA_ARGS__) one(_acquire, __VA_ARGS__) one(_release, __VA_ARGS__)
#define EXCHANGE(order, bytes, type) \
	type xchg##order##__##bytes(type *x, type v) { return xchg##order(x, v); } \
	type cmpxchg##order##__##bytes(type *x, type o, type n) { return cmpxchg##order(x, o, n); }
ORDERS(EXCHANGE, 4, int)
ORDERS(EXCHANGE, 8, s64)

#define NOTHING(fam, op, bytes, type) \
	void fam##op##__##bytes(type v, fam##t *x) { fam##op(v, x); }
#define STEP(fam, op, bytes) \
	void fam##op##__##bytes(fam##t *x) { fam##op(x); }
#define VALUE(order, fam, op, bytes, type) \
	type fam##op##order##__##bytes(type v, fam##t *x) { return fam##op##order(v, x); }
#define STEP_VALUE(order, fam, op, bytes, type) \
	type fam##op##order##__##bytes(fam##t *x) { return fam##op##order(x); }
#define ATOMIC_EXCHANGE(order, fam, bytes, type) \
	type fam##xchg##order##__##bytes(fam##t *x, type v) { return fam##xchg##order(x, v); } \
	type fam##cmpxchg##order##__##bytes(fam##t *x, type o, type n) { return fam##cmpxchg##order(x, o, n); }

#define NEGATIVE(order, fam, bytes, type) \
	bool fam##add_negative##order##__##bytes(type v, fam##t *x) { return fam##add_negative##order(v, x); }
#define FAMILY(fam, bytes, type) \
	NOTHING(fam, add, bytes, type) NOTHING(fam, sub, bytes, type) NOTHING(fam, and, bytes, type) \
	NOTHING(fam, or, bytes, type) NOTHING(fam, xor, bytes, type) NOTHING(fam, andnot, bytes, type) \
	STEP(fam, inc, bytes) STEP(fam, dec, bytes) \
	ORDERS(VALUE, fam, fetch_add, bytes, type) ORDERS(VALUE, fam, fetch_sub, bytes, type) \
	ORDERS(VALUE, fam, fetch_and, bytes, type) ORDERS(VALUE, fam, fetch_or, bytes, type) \
	ORDERS(VALUE, fam, fetch_xor, bytes, type) ORDERS(VALUE, fam, fetch_andnot, bytes, type) \
	ORDERS(STEP_VALUE, fam, fetch_inc, bytes, type) ORDERS(STEP_VALUE, fam, fetch_dec, bytes, type) \
	ORDERS(VALUE, fam, add_return, bytes, type) ORDERS(VALUE, fam, sub_return, bytes, type) \
	ORDERS(STEP_VALUE, fam, inc_return, bytes, type) ORDERS(STEP_VALUE, fam, dec_return, bytes, type) \
	ORDERS(ATOMIC_EXCHANGE, fam, bytes, type) \
	bool fam##sub_and_test__##bytes(type v, fam##t *x) { return fam##sub_and_test(v, x); } \
	bool fam##inc_and_test__##bytes(fam##t *x) { return fam##inc_and_test(x); } \
	bool fam##dec_and_test__##bytes(fam##t *x) { return fam##dec_and_test(x); } \
	ORDERS(NEGATIVE, fam, bytes, type) \
	bool fam##add_unless__##bytes(fam##t *x, type a, type u) { return fam##add_unless(x, a, u); } \
	type fam##fetch_add_unless__##bytes(fam##t *x, type a, type u) { return fam##fetch_add_unless(x, a, u); } \
	bool fam##inc_not_zero__##bytes(fam##t *x) { return fam##inc_not_zero(x); } \
	type fam##read__##bytes(fam##t *x) { return fam##read(x); } \
	type fam##read_acquire__##bytes(fam##t *x) { return fam##read_acquire(x); } \
	void fam##set__##bytes(fam##t *x, type v) { fam##set(x, v); } \
	void fam##set_release__##bytes(fam##t *x, type v) { fam##set_release(x, v); }
FAMILY(atomic_, 4, int)
FAMILY(atomic64_, 8, s64)

/* The numbers of the CPU features by which the kernel patches its code at boot. */
#define FEATURE(name) const unsigned int feature_##name = name;
#if defined(CONFIG_X86)
FEATURE(X86_FEATURE_PVUNLOCK)
/* The unlock of a paravirtualized guest, __raw_callee_save___pv_queued_spin_unlock(). */
#include <asm/qspinlock_paravirt.h>
#elif defined(CONFIG_ARM64)
FEATURE(ARM64_HAS_LSE_ATOMICS)
#elif defined(CONFIG_RISCV)
FEATURE(RISCV_ISA_EXT_ZABHA)
FEATURE(RISCV_ISA_EXT_ZACAS)
#endif
