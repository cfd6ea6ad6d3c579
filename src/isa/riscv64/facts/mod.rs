//! Facts about 64-bit RISC-V.

mod barriers;
mod cpus;
#[cfg(target_arch = "riscv64")]
pub(crate) mod native;

use capstone::prelude::*;

use crate::arch::disassembler::Disassembler;
use crate::arch::facts::{Controls, Counter, Cpus, Facts, TaskStruct};
use crate::arch::lock::Lock;

pub(super) const FACTS: Facts = Facts {
    name: "riscv64gc",
    kernel_name: "riscv64",
    task_struct: TaskStruct { layout: "kernel-riscv64gc", line: 64, offsets: [72, 152, 2068, 2112, 2120] },
    controls: Controls { always: &["SB", "MP", "SB+mbs"], of_two_stores: "MP", otherwise: "MP" },
    has_nontemporal_store: false,
    has_two_atomics: false,
    locks: &[Lock::Qspinlock, Lock::Ticket],
    counter: TIME,
    cpus: Cpus {
        own_key: "hart",
        name_keys: &["uarch", "isa"],
        id_keys: &["isa", "uarch", "mvendorid", "marchid", "mimpid"],
        numbers: Some(cpus::NUMBERS),
    },
    line_fills: &[],
    has_cpuid: false,
    // QEMU's own CPU models have vendor 0; KVM shows the vendor of the host's CPUs (mvendorid, RISC-V privileged
    // architecture, section "Machine Vendor ID Register").
    translated_by_qemu: |machine| {
        machine.cpuinfo.lines().any(|line| line.starts_with("mvendorid") && line.ends_with(": 0x0"))
    },
    disassembler: Disassembler::Capstone(|| {
        // The emitters write no compressed instruction, but the compiler does in src/kernel.
        let compressed = [arch::riscv::ArchExtraMode::RiscVC].into_iter();
        Capstone::new().riscv().mode(arch::riscv::ArchMode::RiscV64).extra_mode(compressed).build()
    }),
    disassembles_distances: true,
    lists_numbers: true,
    barriers: barriers::BARRIERS,
    load_acquire: Some(barriers::load_acquire!()),
    lock_attempt: Some(barriers::lock!()),
};

/// The time CSR.
///
/// It has a constant rate within a small error, and the counters of all harts are within one tick of each other (RISC-V
/// unprivileged ISA, "Zicntr").
const TIME: Counter = Counter { name: "time CSR", clocksource: "riscv_clocksource", forbidden: None };

/// The lock that riscv_spinlock_init() (arch/riscv/kernel/setup.c, v7.2) chooses on CPUs with this /proc/cpuinfo: the queued
/// spinlock if all of them have Ziccrse, or all of them Zabha and Zacas. The kernel prints the extensions of each CPU in the
/// line `isa`, and those that all CPUs have decide.
#[cfg(any(target_arch = "riscv64", test))]
fn lock_for(cpuinfo: &str) -> Lock {
    let isa = |line: &'_ str| -> Option<String> {
        line.split_once(':').filter(|(key, _)| key.trim() == "isa").map(|(_, isa)| isa.trim().to_owned())
    };
    let cpus: Vec<String> = cpuinfo.lines().filter_map(isa).collect();
    let all = |extension: &str| cpus.iter().all(|isa| isa.split('_').any(|word| word == extension));
    if all("ziccrse") || all("zabha") && all("zacas") { Lock::Qspinlock } else { Lock::Ticket }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lock_is_that_of_the_extensions_of_all_cpus() {
        let cpu = |isa: &str| format!("processor\t: 0\nhart\t\t: 1\nisa\t\t: {isa}\nmmu\t\t: sv57\n\n");
        let without = cpu("rv64imafdc_zicntr_zicsr_zifencei_zba");
        let ziccrse = cpu("rv64imafdcv_zicbom_ziccrse_zihintpause");
        let zabha_zacas = cpu("rv64imafdc_zabha_zacas");
        for (text, lock) in [
            (without.clone(), Lock::Ticket),
            (ziccrse.clone(), Lock::Qspinlock),
            (cpu("rv64imafdc_zacas"), Lock::Ticket),
            (cpu("rv64imafdc_zabha"), Lock::Ticket),
            (zabha_zacas.clone(), Lock::Qspinlock),
            (format!("{ziccrse}{without}"), Lock::Ticket),
            // Each CPU could have the queued spinlock for its own reason, but no reason holds for all.
            (format!("{ziccrse}{zabha_zacas}"), Lock::Ticket),
        ] {
            assert_eq!(lock_for(&text), lock, "{text}");
        }
    }
}
