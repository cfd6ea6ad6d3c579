//! Facts about little-endian 64-bit POWER.

mod barriers;
#[cfg(all(target_arch = "powerpc64", target_endian = "little"))]
pub(crate) mod native;

use capstone::prelude::*;

use crate::arch::disassembler::Disassembler;
use crate::arch::facts::{Controls, Counter, Cpus, Facts, TaskStruct};
use crate::arch::lock::Lock;

pub(super) const FACTS: Facts = Facts {
    name: "powerpc64le",
    kernel_name: "ppc64le",
    task_struct: TaskStruct { layout: "kernel-powerpc64le", line: 128, offsets: [256, 336, 2492, 2536, 2544] },
    controls: Controls { always: &["SB", "MP", "SB+mbs"], of_two_stores: "MP", otherwise: "MP" },
    has_nontemporal_store: false,
    has_two_atomics: false,
    locks: &[Lock::Qspinlock],
    counter: TIMEBASE,
    // /proc/cpuinfo says "POWER9, altivec supported".
    cpus: Cpus {
        own_key: "timebase",
        name_keys: &["cpu"],
        id_keys: &["cpu", "revision", "platform", "machine"],
        numbers: None,
    },
    line_fills: &[],
    has_cpuid: false,
    // QEMU adds the node /hypervisor to a pseries machine only under KVM (spapr_build_fdt() in hw/ppc/spapr.c). It makes
    // powernv machines only with its code generator.
    translated_by_qemu: |machine| !machine.hypervisor_node,
    disassembler: Disassembler::Capstone(|| {
        Capstone::new().ppc().mode(arch::ppc::ArchMode::Mode64).endian(capstone::Endian::Little).build()
    }),
    disassembles_distances: false,
    lists_numbers: false,
    barriers: barriers::BARRIERS,
    load_acquire: Some(barriers::load_acquire!()),
    lock_attempt: Some(barriers::lock!()),
};

/// The timebase.
///
/// The rate depends on the implementation and need not be constant (Power ISA 3.0B book II, 6.1). Firmware runs it at
/// 512 MHz on POWER8 to POWER10 and sets the timebases of all CPUs alike (OPAL, PAPR).
const TIMEBASE: Counter = Counter { name: "timebase", clocksource: "timebase", forbidden: None };
