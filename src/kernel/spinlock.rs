//! raw_spinlock_t, as a word that names the context that holds it.

// The word is a std atomic even under loom. There it is not part of the protocol, so loom need not branch at
// it.
use std::sync::atomic::{AtomicU32, Ordering};

use super::Cpu;
#[cfg(not(loom))]
use super::sync::Spin;

/// One attempt of raw_spin_lock() on POWER, as a running kernel executes it: PPC_ACQUIRE_BARRIER is patched
/// to lwsync on every CPU that has lwsync (docs/kernel.md, section 5). A macro, because `asm!` takes only
/// literals.
macro_rules! powerpc64_lock {
    () => {
        "2: lwarx {seen}, 0, {place}, 1
         cmpwi {seen}, 0
         bne- 3f
         stwcx. {holder}, 0, {place}
         bne- 2b
         lwsync
         3:"
    };
}

/// One attempt of raw_spin_lock() on RISC-V, as the queued spinlock makes it.
macro_rules! riscv64_lock {
    () => {
        "2: lr.w {seen}, ({place})
         bnez {seen}, 3f
         sc.w {failed}, {holder}, ({place})
         bnez {failed}, 2b
         fence r, rw
         3:"
    };
}

/// The attempts that are written in assembly, by `target_arch`, for tests. x86-64 and arm64 use Rust's
/// compare_exchange with acquire ordering instead: it compiles to `lock cmpxchg`, and to casa or ldaxr and
/// stxr.
pub const ATTEMPTS: [(&str, &str); 2] = [("powerpc64", powerpc64_lock!()), ("riscv64", riscv64_lock!())];

/// A spinlock. The word is 0 if the lock is free, otherwise the number of the context that holds it plus one.
/// So every function that needs the lock can check that it is held, as lockdep_assert_held() does.
#[derive(Debug)]
pub struct RawSpinlock {
    word: AtomicU32,
    /// Under loom the lock is loom's mutex, which does not spin. The word only names the holder.
    #[cfg(loom)]
    inner: loom::sync::Mutex<()>,
    /// The address of loom's boxed guard; unlock() takes it out and drops it.
    #[cfg(loom)]
    guard: std::sync::atomic::AtomicUsize,
}

impl Default for RawSpinlock {
    fn default() -> RawSpinlock {
        RawSpinlock::new()
    }
}

impl RawSpinlock {
    /// A free lock.
    pub fn new() -> RawSpinlock {
        RawSpinlock {
            word: AtomicU32::new(0),
            #[cfg(loom)]
            inner: loom::sync::Mutex::new(()),
            #[cfg(loom)]
            guard: std::sync::atomic::AtomicUsize::new(0),
        }
    }

    /// raw_spin_lock(): waits for the lock and takes it. `cpu` becomes its holder.
    #[cfg(not(loom))]
    #[inline(always)]
    pub fn lock(&self, cpu: Cpu) {
        #[cfg(test)]
        super::witness::tell(super::witness::Access::Lock(std::ptr::from_ref(self) as usize));
        let mut spin = Spin::new();
        while !self.try_take(cpu as u32 + 1) {
            while self.word.load(Ordering::Relaxed) != 0 {
                spin.turn();
            }
        }
    }

    /// raw_spin_trylock(): returns whether the lock was taken.
    #[cfg(not(loom))]
    pub fn try_lock(&self, cpu: Cpu) -> bool {
        self.word.load(Ordering::Relaxed) == 0 && self.try_take(cpu as u32 + 1)
    }

    /// Makes one attempt, with the instructions of the kernel's uncontended path. Returns whether the lock
    /// was taken.
    #[cfg(not(loom))]
    #[inline(always)]
    fn try_take(&self, holder: u32) -> bool {
        #[cfg(target_arch = "powerpc64")]
        {
            let seen: u32;
            // SAFETY: a reservation loop on a live, aligned atomic word. It ends either with the word's
            // nonzero value in `seen`, or with `seen` 0 and the word set to `holder` (Power ISA 3.1B, II
            // B.2.1.1). cr0 is declared clobbered.
            unsafe {
                std::arch::asm!(
                    powerpc64_lock!(),
                    seen = out(reg) seen, place = in(reg_nonzero) self.word.as_ptr(), holder = in(reg) holder,
                    out("cr0") _, options(nostack)
                );
            }
            seen == 0
        }
        #[cfg(target_arch = "riscv64")]
        {
            let seen: u32;
            // SAFETY: as for powerpc64, with lr/sc (RISC-V ISA manual, "Zalrsc"). The loop is a constrained
            // LR/SC loop.
            unsafe {
                std::arch::asm!(
                    riscv64_lock!(),
                    seen = out(reg) seen, failed = out(reg) _, place = in(reg) self.word.as_ptr(), holder = in(reg) holder,
                    options(nostack)
                );
            }
            seen == 0
        }
        #[cfg(not(any(target_arch = "powerpc64", target_arch = "riscv64")))]
        self.word.compare_exchange(0, holder, Ordering::Acquire, Ordering::Relaxed).is_ok()
    }

    /// raw_spin_unlock(): releases the lock.
    #[cfg(not(loom))]
    #[inline(always)]
    pub fn unlock(&self) {
        #[cfg(test)]
        super::witness::tell(super::witness::Access::Unlock(std::ptr::from_ref(self) as usize));
        self.word.store(0, Ordering::Release);
    }

    /// raw_spin_trylock(). Only the monitor calls it, and loom explores no monitor.
    #[cfg(loom)]
    pub fn try_lock(&self, cpu: Cpu) -> bool {
        self.lock(cpu);
        true
    }

    /// Whether the context `cpu` holds the lock; for assertions like lockdep_assert_held().
    #[inline(always)]
    pub fn is_held_by(&self, cpu: Cpu) -> bool {
        self.word.load(Ordering::Relaxed) == cpu as u32 + 1
    }

    /// raw_spin_lock(): waits for the lock and takes it. `cpu` becomes its holder.
    #[cfg(loom)]
    pub fn lock(&self, cpu: Cpu) {
        let guard = self.inner.lock().expect("no thread may panic while it holds a lock");
        self.guard.store(Box::into_raw(Box::new(guard)) as usize, Ordering::Relaxed);
        self.word.store(cpu as u32 + 1, Ordering::Relaxed);
    }

    /// raw_spin_unlock(): releases the lock.
    #[cfg(loom)]
    pub fn unlock(&self) {
        self.word.store(0, Ordering::Relaxed);
        let guard = self.guard.swap(0, Ordering::Relaxed) as *mut loom::sync::MutexGuard<'_, ()>;
        // SAFETY: the address came from `lock`, which boxed the guard. It is taken out once. The guard
        // belongs to this lock.
        drop(unsafe { Box::from_raw(guard) });
    }

    /// The context that holds the lock, or `None` if it is free.
    pub fn holder(&self) -> Option<Cpu> {
        (self.word.load(Ordering::Relaxed) as usize).checked_sub(1)
    }
}
