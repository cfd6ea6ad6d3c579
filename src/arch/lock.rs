//! The spinlock behind spin_lock and raw_spin_lock, which some kernels select at boot.
//!
//! | architecture | locks | what selects |
//! |---|---|---|
//! | x86-64 | `qspinlock` (also named `native`), `pv` | a guest of KVM whose host offers PV_UNHALT unlocks with `lock cmpxchg` instead of `movb` |
//! | riscv64 | `qspinlock`, `ticket` | RISCV_COMBO_SPINLOCKS: the queued spinlock if the CPU has Ziccrse, or both Zabha and Zacas |
//! | arm64, ppc64le | `qspinlock` | |
//!
//! Sources: kvm_spinlock_init() in arch/x86/kernel/kvm.c, riscv_spinlock_init() in arch/riscv/kernel/setup.c (v7.2).
//! Other hypervisors' paravirtual locks (Xen, Hyper-V) are not recognized; `--lock pv` chooses the unlock there.

use std::fmt;
use std::str::FromStr;

use super::{Arch, Atomics};

/// A kind of spinlock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Lock {
    /// The queued spinlock with the native unlock.
    #[default]
    Qspinlock,
    /// The ticket lock (include/asm-generic/ticket_spinlock.h).
    Ticket,
    /// The queued spinlock with the unlock of a paravirtualized guest.
    Paravirt,
}

impl Lock {
    /// The name on the command line, in headers and in records.
    pub const fn name(self) -> &'static str {
        match self {
            Lock::Qspinlock => "qspinlock",
            Lock::Ticket => "ticket",
            Lock::Paravirt => "pv",
        }
    }

    /// The kinds that an architecture's kernel may have. The first one is the kind of code for another machine.
    pub const fn of(arch: Arch) -> &'static [Lock] {
        arch.facts().locks
    }

    /// The kind that a kernel of this host's architecture chooses on this host.
    pub fn of_host() -> Lock {
        super::native::lock()
    }
}

impl fmt::Display for Lock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Lock {
    type Err = String;

    fn from_str(text: &str) -> Result<Lock, String> {
        match text {
            "qspinlock" | "native" => Ok(Lock::Qspinlock),
            "ticket" => Ok(Lock::Ticket),
            "pv" => Ok(Lock::Paravirt),
            _ => {
                Err(format!("unknown lock '{text}'; known are qspinlock (on x86-64 also native), ticket, pv and auto"))
            }
        }
    }
}

/// A lock as the command line names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LockChoice {
    /// The kind that the kernel of this host chooses.
    #[default]
    Auto,
    /// This kind.
    Given(Lock),
}

impl LockChoice {
    /// The kind of lock for code of this architecture. `Auto` is the host's for code of the host's architecture, and
    /// the queued spinlock for other code.
    ///
    /// # Errors
    /// If the architecture's kernel does not have this kind. The text says which it has.
    pub fn on(self, arch: Arch) -> Result<Lock, String> {
        match self {
            LockChoice::Auto if Arch::host() == Some(arch) => Ok(Lock::of_host()),
            LockChoice::Auto => Ok(Lock::Qspinlock),
            LockChoice::Given(lock) if Lock::of(arch).contains(&lock) => Ok(lock),
            LockChoice::Given(lock) => {
                let known: Vec<&str> = Lock::of(arch).iter().map(|lock| lock.name()).collect();
                Err(format!("--lock {lock}: the kernel of {arch} has no such lock; it has {}", known.join(" and ")))
            }
        }
    }
}

impl FromStr for LockChoice {
    type Err = String;

    fn from_str(text: &str) -> Result<LockChoice, String> {
        if text == "auto" { Ok(LockChoice::Auto) } else { text.parse().map(LockChoice::Given) }
    }
}

/// What a kernel selects at boot and what decides the instructions of its primitives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Choices {
    /// The atomics; used only for arm64.
    pub atomics: Atomics,
    /// The spinlock.
    pub lock: Lock,
}

impl From<Atomics> for Choices {
    fn from(atomics: Atomics) -> Choices {
        Choices { atomics, lock: Lock::Qspinlock }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_is_refused_where_no_kernel_has_it() {
        let on = |text: &str, arch| text.parse::<LockChoice>().unwrap().on(arch);
        assert_eq!(on("native", Arch::X86_64), Ok(Lock::Qspinlock));
        assert_eq!(on("pv", Arch::X86_64), Ok(Lock::Paravirt));
        assert_eq!(on("ticket", Arch::Riscv64gc), Ok(Lock::Ticket));
        for (lock, arch) in [("ticket", Arch::X86_64), ("pv", Arch::Riscv64gc), ("ticket", Arch::Aarch64)] {
            let error = on(lock, arch).unwrap_err();
            assert!(error.contains(&format!("--lock {lock}")) && error.contains("qspinlock"), "{error}");
        }
        assert!("mcs".parse::<LockChoice>().unwrap_err().contains("auto"));
        let other = Arch::ALL.into_iter().find(|arch| Some(*arch) != Arch::host()).unwrap();
        assert_eq!(LockChoice::Auto.on(other), Ok(Lock::Qspinlock));
        if let Some(host) = Arch::host() {
            assert!(Lock::of(host).contains(&LockChoice::Auto.on(host).unwrap()));
        }
    }
}
