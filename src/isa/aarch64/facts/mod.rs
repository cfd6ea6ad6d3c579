//! Facts about 64-bit Arm.

mod barriers;
mod cpus;
#[cfg(target_arch = "aarch64")]
pub(crate) mod native;

use capstone::prelude::*;

use crate::arch::disassembler::Disassembler;
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
        own_key: "CPU implementer",
        name_keys: &[],
        id_keys: &["CPU implementer", "CPU architecture", "CPU variant", "CPU part", "CPU revision"],
        numbers: Some(cpus::NUMBERS),
    },
    line_fills: &[],
    has_cpuid: false,
    translated_by_qemu: |machine| machine.counter_hz == Some(QEMU_COUNTER_HZ),
    disassembler: Disassembler::Capstone(|| Capstone::new().arm64().mode(arch::arm64::ArchMode::Arm).build()),
    disassembles_distances: false,
    lists_numbers: true,
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

/// The frequency that QEMU's code generator gives the counter of every CPU model up to Armv8.5, in Hz (GTIMER_BACKCOMPAT_HZ
/// in target/arm/internals.h). Under KVM the register holds the host's frequency. Newer models have 1 GHz, as hardware from
/// Armv8.6 on, and cannot be told apart by it.
const QEMU_COUNTER_HZ: f64 = 62_500_000.0;
