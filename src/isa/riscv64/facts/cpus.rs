//! Names of RISC-V cores whose kernel prints the numbers of the machine-mode registers.

use crate::arch::facts::CpuNumbers;

/// The numbers that the kernel prints. /sys shows no register.
pub(super) const NUMBERS: CpuNumbers = CpuNumbers { keys: ["mvendorid", "marchid"], name, register: None };

/// mvendorid, marchid and name of cores. Sources: /proc/cpuinfo of boards (SpacemiT K1 and K3), and
/// llvm/lib/Target/RISCV/RISCVProcessors.td of LLVM. T-Head's older cores (C910 and C920 of SG2042) state marchid 0, so
/// these and the C920 of SG2044 have the name that the device tree gives (`uarch`).
const CORES: [(u64, u64, &str); 6] = [
    (0x489, 0x8000_0000_0000_0007, "SiFive U74"),
    (0x489, 0x8000_0000_0000_0008, "SiFive P550"),
    (0x710, 0x8000_0000_5800_0001, "SpacemiT X60"),
    (0x710, 0x8000_0000_5800_0002, "SpacemiT X100"),
    (0x710, 0x8000_0000_4100_0001, "SpacemiT A60"),
    (0x710, 0x8000_0000_4100_0002, "SpacemiT A100"),
];

/// The name of a core, if the table has it.
fn name(vendor: u64, arch: u64) -> Option<String> {
    let known = CORES.iter().find(|(v, a, _)| (*v, *a) == (vendor, arch));
    known.map(|(.., name)| (*name).to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_core_in_the_table_has_its_name_and_no_other() {
        for (vendor, arch, wanted) in [
            (0x489, 0x8000_0000_0000_0007, Some("SiFive U74")),
            (0x489, 0x8000_0000_0000_0008, Some("SiFive P550")),
            (0x710, 0x8000_0000_5800_0001, Some("SpacemiT X60")),
            (0x710, 0x8000_0000_5800_0002, Some("SpacemiT X100")),
            (0x710, 0x8000_0000_4100_0001, Some("SpacemiT A60")),
            (0x710, 0x8000_0000_4100_0002, Some("SpacemiT A100")),
            (0x5b7, 0, None),
            (0x489, 0x8000_0000_5800_0001, None),
        ] {
            assert_eq!(name(vendor, arch).as_deref(), wanted, "{vendor:#x} {arch:#x}");
        }
    }
}
