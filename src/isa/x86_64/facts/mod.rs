//! Facts about x86-64.

mod barriers;
#[cfg(target_arch = "x86_64")]
pub(crate) mod native;

use crate::arch::disassembler::Disassembler;
use crate::arch::facts::{Controls, Counter, Cpus, Facts, HardwareEvent, LineFills, TaskStruct};
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
    line_fills: &[INTEL_FILLS, AMD_FILLS],
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

/// Loads whose line another core had modified: XSNP_HITM, event D2h, mask 04h, from Sandy Bridge to Emerald Rapids (Intel SDM vol. 3B,
/// chapter 20, and tools/perf/pmu-events/arch/x86 of the kernel; since Ice Lake it is called XSNP_FWD). The models are those of the
/// kernel's intel-family.h without Atom and without CPUs of two kinds of core, whose kinds have counters of their own.
const INTEL_FILLS: LineFills = LineFills {
    vendor: "GenuineIntel",
    families: &[6],
    models: Some(&[
        0x2a, 0x2d, 0x3a, 0x3e, 0x3c, 0x3f, 0x45, 0x46, 0x3d, 0x47, 0x4f, 0x56, 0x4e, 0x5e, 0x55, 0x8e, 0x9e, 0xa5,
        0xa6, 0x7d, 0x7e, 0x6a, 0x6c, 0xa7, 0x8c, 0x8d, 0x8f, 0xcf,
    ]),
    event: HardwareEvent { name: "mem_load_l3_hit_retired.xsnp_hitm", kind: 4, config: 0x04d2 },
};

/// Lines that came into the L1 cache from the L3 cache, from another L2 cache beside it (mask 02h), or from another core complex of this
/// node (04h) or of another one (10h): event 44h of Zen 3 to Zen 5 (AMD PPR for family 19h, PMCx044, and
/// tools/perf/pmu-events/arch/x86/amdzen3 to amdzen5 of the kernel). The L3 cache cannot be told from the other L2 caches.
const AMD_FILLS: LineFills = LineFills {
    vendor: "AuthenticAMD",
    families: &[0x19, 0x1a],
    models: None,
    event: HardwareEvent { name: "ls_any_fills_from_sys (caches outside of the core)", kind: 4, config: 0x1644 },
};

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::{AMD_FILLS, INTEL_FILLS};
    use crate::arch::Arch;

    #[test]
    fn the_event_that_counts_lines_is_that_of_the_design() {
        let of = |vendor: &str, family: &str, model: &str| {
            let ids = [("vendor_id", vendor), ("cpu family", family), ("model", model), ("stepping", "1")];
            let ids: BTreeMap<String, String> = ids.map(|(key, value)| (key.to_owned(), value.to_owned())).into();
            let by_arch = |arch: Arch| arch.line_fills(&ids);
            assert_eq!([Arch::Aarch64, Arch::Powerpc64le, Arch::Riscv64gc].map(by_arch), [None; 3]);
            by_arch(Arch::X86_64)
        };
        // Sapphire Rapids, Skylake-SP, Zen 4, Zen 5.
        assert_eq!([("6", "143"), ("6", "85")].map(|(f, m)| of("GenuineIntel", f, m)), [Some(INTEL_FILLS.event); 2]);
        assert_eq!([("25", "17"), ("26", "2")].map(|(f, m)| of("AuthenticAMD", f, m)), [Some(AMD_FILLS.event); 2]);
        // Denverton, Alder Lake, Zen, another vendor, and nothing.
        assert_eq!([("6", "95"), ("6", "151"), ("25", "17")].map(|(f, m)| of("GenuineIntel", f, m)), [None; 3]);
        assert_eq!([of("AuthenticAMD", "23", "1"), of("HygonGenuine", "24", "0"), of("", "", "")], [None; 3]);
        assert_eq!(Arch::X86_64.line_fills(&BTreeMap::new()), None);
    }
}
