//! raw_spinlock_t, as a word that names the context that holds it.

// The word is a std atomic even under loom. There it is not part of the protocol, so loom need not branch at
// it.
use std::sync::atomic::{AtomicU32, Ordering};

use super::Cpu;
#[cfg(not(loom))]
use super::sync::Spin;
#[cfg(not(loom))]
use crate::arch::native;

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

    /// Makes one attempt, with the instructions of the kernel's uncontended path (`src/isa/ARCH/facts/`). Returns whether
    /// the lock was taken.
    #[cfg(not(loom))]
    #[inline(always)]
    fn try_take(&self, holder: u32) -> bool {
        // SAFETY: the address of a live atomic.
        unsafe { native::try_lock(self.word.as_ptr(), holder) }
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
