//! Facts about 64-bit Arm.

mod barriers;
mod cpus;
#[cfg(target_arch = "aarch64")]
pub(crate) mod native;

use capstone::prelude::*;

use crate::arch::facts::{Controls, Counter, Cpus, Facts, TaskStruct};
use crate::arch::lock::Lock;

pub(super) const FACTS: Facts = Facts {
    name: "aarch64",
    kernel_name: "aarch64",
    task_struct: TaskStruct { layout: "kernel-aarch64", line: 64, offsets: [24, 104, 2060, 2104, 2112] },
    controls: Controls { always: &["SB", "MP", "SB+mbs"], of_two_stores: "MP", otherwise: "MP" },
    has_nontemporal_store: false,
    has_two_atomics: true,
    locks: &[Lock::Qspinlock],
    counter: CNTVCT,
    cpus: Cpus {
        name_keys: &[],
        id_keys: &["CPU implementer", "CPU architecture", "CPU variant", "CPU part", "CPU revision"],
        numbers: Some(cpus::NUMBERS),
    },
    has_cpuid: false,
    disassembler: || Capstone::new().arm64().mode(arch::arm64::ArchMode::Arm).build(),
    barriers: barriers::BARRIERS,
    load_acquire: Some(barriers::ldar!()),
    lock_attempt: None,
};

/// The virtual counter.
///
/// There is one system counter for all CPUs, always on, at a constant rate that CNTFRQ_EL0 states (Arm ARM D12.1 "The
/// Generic Timer"). A hypervisor may give each virtual CPU its own offset (CNTVOFF_EL2); Linux gives all virtual CPUs of a
/// guest the same one.
const CNTVCT: Counter = Counter { name: "CNTVCT_EL0", clocksource: "arch_sys_counter", forbidden: None };
