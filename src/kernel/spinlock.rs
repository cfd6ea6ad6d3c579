//! raw_spinlock_t: a word that holds who has it.

// The word that says who has it is the processor's even under loom: no part of the protocol, so no place to branch.
use std::sync::atomic::{AtomicU32, Ordering};

use super::Cpu;
#[cfg(not(loom))]
use super::sync::Spin;

/// raw_spin_lock() on POWER, one attempt, as a running kernel has it: PPC_ACQUIRE_BARRIER is lwsync on every CPU that knows it. A macro,
/// because assembly takes literals only.
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

/// raw_spin_lock() on RISC-V, one attempt, as the queued spinlock takes it.
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

/// The attempts that are written in assembly, by `target_arch`, for tests. x86-64 and arm64 take the compare-and-exchange of the
/// language with acquire semantics: `lock cmpxchg`; casa, or ldaxr and stxr.
pub const ATTEMPTS: [(&str, &str); 2] = [("powerpc64", powerpc64_lock!()), ("riscv64", riscv64_lock!())];

/// A spinlock. The word is 0 when it is free, otherwise the context that holds it plus one, so that every place that
/// needs a lock can check that it is held, as lockdep_assert_held() does.
#[derive(Debug)]
pub struct RawSpinlock {
    word: AtomicU32,
    /// Under loom a lock is loom's, which does not spin; the word only says who has it.
    #[cfg(loom)]
    inner: loom::sync::Mutex<()>,
    /// loom's guard, boxed, as an address: unlock() gives it back.
    #[cfg(loom)]
    guard: std::sync::atomic::AtomicUsize,
}

impl Default for RawSpinlock {
    fn default() -> RawSpinlock {
        RawSpinlock::new()
    }
}

impl RawSpinlock {
    /// A free one.
    pub fn new() -> RawSpinlock {
        RawSpinlock {
            word: AtomicU32::new(0),
            #[cfg(loom)]
            inner: loom::sync::Mutex::new(()),
            #[cfg(loom)]
            guard: std::sync::atomic::AtomicUsize::new(0),
        }
    }

    /// raw_spin_lock()
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

    /// raw_spin_trylock()
    #[cfg(not(loom))]
    pub fn try_lock(&self, cpu: Cpu) -> bool {
        self.word.load(Ordering::Relaxed) == 0 && self.try_take(cpu as u32 + 1)
    }

    /// One attempt, with the instructions of the kernel's uncontended path.
    #[cfg(not(loom))]
    #[inline(always)]
    fn try_take(&self, holder: u32) -> bool {
        #[cfg(target_arch = "powerpc64")]
        {
            let seen: u32;
            // SAFETY: a reservation loop on a live, aligned atomic word; it leaves with `seen` as it was when the word was
            // not 0, and otherwise with the word set to `holder` (Power ISA 3.1B, II B.2.1.1). cr0 is declared clobbered.
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
            // SAFETY: as above, with lr/sc (RISC-V ISA manual, "Zalrsc"); the loop is of the constrained form.
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

    /// raw_spin_unlock()
    #[cfg(not(loom))]
    #[inline(always)]
    pub fn unlock(&self) {
        #[cfg(test)]
        super::witness::tell(super::witness::Access::Unlock(std::ptr::from_ref(self) as usize));
        self.word.store(0, Ordering::Release);
    }

    /// raw_spin_trylock(); loom explores no monitor, which is who calls it.
    #[cfg(loom)]
    pub fn try_lock(&self, cpu: Cpu) -> bool {
        self.lock(cpu);
        true
    }

    /// Whether a context holds it: lockdep_assert_held().
    #[inline(always)]
    pub fn is_held_by(&self, cpu: Cpu) -> bool {
        self.word.load(Ordering::Relaxed) == cpu as u32 + 1
    }

    /// raw_spin_lock()
    #[cfg(loom)]
    pub fn lock(&self, cpu: Cpu) {
        let guard = self.inner.lock().expect("no thread panics with a lock");
        self.guard.store(Box::into_raw(Box::new(guard)) as usize, Ordering::Relaxed);
        self.word.store(cpu as u32 + 1, Ordering::Relaxed);
    }

    /// raw_spin_unlock()
    #[cfg(loom)]
    pub fn unlock(&self) {
        self.word.store(0, Ordering::Relaxed);
        let guard = self.guard.swap(0, Ordering::Relaxed) as *mut loom::sync::MutexGuard<'_, ()>;
        // SAFETY: it came from `lock`, which boxed it, and it is taken out once; the lock it belongs to is this one.
        drop(unsafe { Box::from_raw(guard) });
    }

    /// The context that holds it, if any does.
    pub fn holder(&self) -> Option<Cpu> {
        (self.word.load(Ordering::Relaxed) as usize).checked_sub(1)
    }
}
