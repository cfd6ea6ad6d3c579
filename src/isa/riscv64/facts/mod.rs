//! Facts about 64-bit RISC-V.

mod barriers;
#[cfg(target_arch = "riscv64")]
pub(crate) mod native;

use capstone::prelude::*;

use crate::arch::facts::{Controls, Counter, Cpus, Facts, TaskStruct};

pub(super) const FACTS: Facts = Facts {
    name: "riscv64gc",
    kernel_name: "riscv64",
    task_struct: TaskStruct { layout: "kernel-riscv64gc", line: 64, offsets: [72, 152, 2068, 2112, 2120] },
    controls: Controls { always: &["SB", "MP", "SB+mbs"], of_two_stores: "MP", otherwise: "MP" },
    has_nontemporal_store: false,
    has_two_atomics: false,
    counter: TIME,
    cpus: Cpus {
        name_keys: &["uarch", "isa"],
        id_keys: &["isa", "uarch", "mvendorid", "marchid", "mimpid"],
        numbers: None,
    },
    has_cpuid: false,
    disassembler: || {
        // The emitters write no compressed instruction, but the compiler does in src/kernel.
        let compressed = [arch::riscv::ArchExtraMode::RiscVC].into_iter();
        Capstone::new().riscv().mode(arch::riscv::ArchMode::RiscV64).extra_mode(compressed).build()
    },
    barriers: barriers::BARRIERS,
    load_acquire: Some(barriers::load_acquire!()),
    lock_attempt: Some(barriers::lock!()),
};

/// The time CSR.
///
/// It has a constant rate within a small error, and the counters of all harts are within one tick of each other (RISC-V
/// unprivileged ISA, "Zicntr").
const TIME: Counter = Counter { name: "time CSR", clocksource: "riscv_clocksource", forbidden: None };
