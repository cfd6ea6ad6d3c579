//! All kinds of code that the emitters write.

use wakerace::arch::lock::Lock;
use wakerace::arch::{Arch, Atomics};
use wakerace::codegen::Target;

const fn target(arch: Arch, atomics: Atomics, lock: Lock) -> Target {
    Target { arch, atomics, lock }
}

/// Every target, with the name of its column in docs/primitives.md.
pub const TARGETS: [(&str, Target); 7] = [
    ("x86-64", target(Arch::X86_64, Atomics::Lse, Lock::Qspinlock)),
    ("x86-64 with the pv lock", target(Arch::X86_64, Atomics::Lse, Lock::Paravirt)),
    ("arm64 with LSE", target(Arch::Aarch64, Atomics::Lse, Lock::Qspinlock)),
    ("arm64 with LL/SC", target(Arch::Aarch64, Atomics::Llsc, Lock::Qspinlock)),
    ("ppc64le", target(Arch::Powerpc64le, Atomics::Lse, Lock::Qspinlock)),
    ("riscv64", target(Arch::Riscv64gc, Atomics::Lse, Lock::Qspinlock)),
    ("riscv64 with the ticket lock", target(Arch::Riscv64gc, Atomics::Lse, Lock::Ticket)),
];
