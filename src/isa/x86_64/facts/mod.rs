//! Facts about x86-64.

mod barriers;
#[cfg(target_arch = "x86_64")]
pub(crate) mod native;

use crate::arch::disassembler::Disassembler;
use crate::arch::facts::{Controls, Counter, Cpus, Facts, TaskStruct};
use crate::arch::lock::Lock;

pub(super) const FACTS: Facts = Facts {
    name: "x86_64",
    kernel_name: "x86_64",
    task_struct: TaskStruct { layout: "kernel-x86_64", line: 64, offsets: [24, 104, 2348, 2392, 2400] },
    controls: Controls {
        always: &["SB", "S01-core+nt", "S01-core+nt+wmb"],
        // x86-TSO keeps two stores in order, unless one of them is non-temporal.
        of_two_stores: "S01-core+nt",
        otherwise: "SB",
    },
    has_nontemporal_store: true,
    has_two_atomics: false,
    locks: &[Lock::Qspinlock, Lock::Paravirt],
    counter: TSC,
    cpus: Cpus {
        own_key: "vendor_id",
        name_keys: &["model name"],
        id_keys: &["vendor_id", "cpu family", "model", "stepping"],
        numbers: None,
    },
    has_cpuid: true,
    // CPUID says it.
    translated_by_qemu: |_| false,
    disassembler: Disassembler::Iced,
    disassembles_distances: false,
    lists_numbers: false,
    barriers: barriers::BARRIERS,
    load_acquire: None,
    lock_attempt: None,
};

/// The time-stamp counter.
///
/// It runs at a constant rate in all ACPI P-, C- and T-states if CPUID 8000_0007h EDX bit 8 is set (Intel SDM vol. 3B,
/// 19.17.1 "Invariant TSC"; AMD APM vol. 3, appendix E.4.7 "TscInvariant"). Nothing guarantees that the counters of two CPUs
/// agree; Linux tests it when a CPU comes up (arch/x86/kernel/tsc_sync.c). Under a hypervisor a cleared bit means nothing:
/// KVM hides invariance by default, because a migrated guest may resume at another rate, and Linux then prefers kvm-clock,
/// which is the scaled TSC.
const TSC: Counter = Counter {
    name: "TSC",
    clocksource: "tsc",
    forbidden: Some(
        "this process may not read it (prctl PR_SET_TSC, or a sandbox that sets it): start wakerace outside the sandbox",
    ),
};
