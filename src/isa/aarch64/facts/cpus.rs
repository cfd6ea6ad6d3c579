//! Names of arm64 cores. The kernel prints only numbers.

use crate::arch::facts::{CpuNumbers, CpuRegister};

/// The numbers that the kernel prints: implementer and part number.
pub(super) const NUMBERS: CpuNumbers = CpuNumbers {
    keys: ["CPU implementer", "CPU part"],
    name: |implementer, part| Some(name(implementer, part)),
    register: Some(CpuRegister { file: "regs/identification/midr_el1", name: name_of_midr }),
};

/// Implementer, part number and name of arm64 cores. Sources: arch/arm64/include/asm/cputype.h of Linux v7.0 and
/// sys-utils/lscpu-arm.c of util-linux; for Apple midr.h of m1n1, the boot loader of Asahi Linux. The numbers of
/// products: NVIDIA's Grace and AWS's Graviton4 have Neoverse-V2 cores, as has Google's Axion C4A; Microsoft's Cobalt 100
/// has a number of its own.
const PARTS: [(u64, u64, &str); 80] = [
    (0x41, 0xd03, "Cortex-A53"),
    (0x41, 0xd04, "Cortex-A35"),
    (0x41, 0xd05, "Cortex-A55"),
    (0x41, 0xd06, "Cortex-A65"),
    (0x41, 0xd07, "Cortex-A57"),
    (0x41, 0xd08, "Cortex-A72"),
    (0x41, 0xd09, "Cortex-A73"),
    (0x41, 0xd0a, "Cortex-A75"),
    (0x41, 0xd0b, "Cortex-A76"),
    (0x41, 0xd0c, "Neoverse-N1"),
    (0x41, 0xd0d, "Cortex-A77"),
    (0x41, 0xd0e, "Cortex-A76AE"),
    (0x41, 0xd40, "Neoverse-V1"),
    (0x41, 0xd41, "Cortex-A78"),
    (0x41, 0xd42, "Cortex-A78AE"),
    (0x41, 0xd43, "Cortex-A65AE"),
    (0x41, 0xd44, "Cortex-X1"),
    (0x41, 0xd46, "Cortex-A510"),
    (0x41, 0xd47, "Cortex-A710"),
    (0x41, 0xd48, "Cortex-X2"),
    (0x41, 0xd49, "Neoverse-N2"),
    (0x41, 0xd4a, "Neoverse-E1"),
    (0x41, 0xd4b, "Cortex-A78C"),
    (0x41, 0xd4c, "Cortex-X1C"),
    (0x41, 0xd4d, "Cortex-A715"),
    (0x41, 0xd4e, "Cortex-X3"),
    (0x41, 0xd4f, "Neoverse-V2"),
    (0x41, 0xd80, "Cortex-A520"),
    (0x41, 0xd81, "Cortex-A720"),
    (0x41, 0xd82, "Cortex-X4"),
    (0x41, 0xd83, "Neoverse-V3AE"),
    (0x41, 0xd84, "Neoverse-V3"),
    (0x41, 0xd85, "Cortex-X925"),
    (0x41, 0xd87, "Cortex-A725"),
    (0x41, 0xd88, "Cortex-A520AE"),
    (0x41, 0xd89, "Cortex-A720AE"),
    (0x41, 0xd8a, "C1-Nano"),
    (0x41, 0xd8b, "C1-Pro"),
    (0x41, 0xd8c, "C1-Ultra"),
    (0x41, 0xd8e, "Neoverse-N3"),
    (0x41, 0xd8f, "Cortex-A320"),
    (0x41, 0xd90, "C1-Premium"),
    (0x43, 0x0af, "ThunderX2"),
    (0x46, 0x001, "A64FX"),
    (0x46, 0x003, "MONAKA"),
    (0x48, 0xd01, "Kunpeng 920"),
    (0x48, 0xd02, "HIP09"),
    (0x48, 0xd06, "HIP12"),
    (0x4e, 0x004, "Carmel"),
    (0x4e, 0x010, "Olympus"),
    (0x50, 0x000, "X-Gene"),
    (0x51, 0x001, "Oryon"),
    (0x61, 0x022, "Apple M1 Icestorm"),
    (0x61, 0x023, "Apple M1 Firestorm"),
    (0x61, 0x024, "Apple M1 Pro Icestorm"),
    (0x61, 0x025, "Apple M1 Pro Firestorm"),
    (0x61, 0x028, "Apple M1 Max Icestorm"),
    (0x61, 0x029, "Apple M1 Max Firestorm"),
    (0x61, 0x032, "Apple M2 Blizzard"),
    (0x61, 0x033, "Apple M2 Avalanche"),
    (0x61, 0x034, "Apple M2 Pro Blizzard"),
    (0x61, 0x035, "Apple M2 Pro Avalanche"),
    (0x61, 0x038, "Apple M2 Max Blizzard"),
    (0x61, 0x039, "Apple M2 Max Avalanche"),
    (0x61, 0x042, "Apple M3 Sawtooth"),
    (0x61, 0x043, "Apple M3 Everest"),
    (0x61, 0x044, "Apple M3 Pro Sawtooth"),
    (0x61, 0x045, "Apple M3 Pro Everest"),
    (0x61, 0x048, "Apple M3 Max Sawtooth"),
    (0x61, 0x049, "Apple M3 Max Everest"),
    (0x61, 0x052, "Apple M4 E-core"),
    (0x61, 0x053, "Apple M4 P-core"),
    (0x61, 0x054, "Apple M4 Pro E-core"),
    (0x61, 0x055, "Apple M4 Pro P-core"),
    (0x61, 0x058, "Apple M4 Max E-core"),
    (0x61, 0x059, "Apple M4 Max P-core"),
    (0x6d, 0xd49, "Azure Cobalt 100"),
    (0xc0, 0xac3, "Ampere-1"),
    (0xc0, 0xac4, "Ampere-1A"),
    (0xc0, 0xac5, "Ampere-1B"),
];

/// The name of a core, or its numbers if the table does not have it.
fn name(implementer: u64, part: u64) -> String {
    let known = PARTS.iter().find(|(i, p, _)| (*i, *p) == (implementer, part));
    known.map_or_else(
        || format!("arm64 implementer {implementer:#04x} part {part:#05x}"),
        |(.., name)| (*name).to_owned(),
    )
}

/// The name for a MIDR_EL1 value: implementer in bits 31 to 24, part number in bits 15 to 4 (Arm ARM D24.2.122).
fn name_of_midr(midr: u64) -> String {
    name(midr >> 24 & 0xff, midr >> 4 & 0xfff)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_core_that_is_unknown_has_its_numbers() {
        assert_eq!(name_of_midr(0x0000_0000_413f_d0c1), "Neoverse-N1");
        assert_eq!(name_of_midr(0x0000_0000_411f_d401), "Neoverse-V1");
        assert_eq!(name_of_midr(0x0000_0000_000f_0510), "arm64 implementer 0x00 part 0x051");
    }

    /// MIDR_EL1 values as /sys shows them, with some variant and revision. The part numbers are from the cores'
    /// technical reference manuals.
    #[test]
    fn every_part_in_the_table_has_its_name() {
        let known = [
            (0x410fd030, "Cortex-A53"),
            (0x411fd041, "Cortex-A35"),
            (0x412fd052, "Cortex-A55"),
            (0x411fd060, "Cortex-A65"),
            (0x413fd073, "Cortex-A57"),
            (0x414fd080, "Cortex-A72"),
            (0x410fd091, "Cortex-A73"),
            (0x411fd0a2, "Cortex-A75"),
            (0x412fd0b3, "Cortex-A76"),
            (0x413fd0c0, "Neoverse-N1"),
            (0x414fd0d1, "Cortex-A77"),
            (0x411fd0e0, "Cortex-A76AE"),
            (0x410fd402, "Neoverse-V1"),
            (0x411fd413, "Cortex-A78"),
            (0x410fd421, "Cortex-A78AE"),
            (0x411fd430, "Cortex-A65AE"),
            (0x412fd440, "Cortex-X1"),
            (0x413fd461, "Cortex-A510"),
            (0x414fd472, "Cortex-A710"),
            (0x410fd483, "Cortex-X2"),
            (0x411fd490, "Neoverse-N2"),
            (0x412fd4a1, "Neoverse-E1"),
            (0x410fd4b0, "Cortex-A78C"),
            (0x410fd4c2, "Cortex-X1C"),
            (0x413fd4d2, "Cortex-A715"),
            (0x414fd4e3, "Cortex-X3"),
            (0x410fd4f0, "Neoverse-V2"),
            (0x411fd801, "Cortex-A520"),
            (0x412fd812, "Cortex-A720"),
            (0x413fd823, "Cortex-X4"),
            (0x410fd830, "Neoverse-V3AE"),
            (0x414fd840, "Neoverse-V3"),
            (0x410fd851, "Cortex-X925"),
            (0x411fd872, "Cortex-A725"),
            (0x410fd880, "Cortex-A520AE"),
            (0x410fd891, "Cortex-A720AE"),
            (0x410fd8a0, "C1-Nano"),
            (0x410fd8b0, "C1-Pro"),
            (0x411fd8c0, "C1-Ultra"),
            (0x412fd8e3, "Neoverse-N3"),
            (0x410fd8f0, "Cortex-A320"),
            (0x410fd900, "C1-Premium"),
            (0x433f0af0, "ThunderX2"),
            (0x464f0011, "A64FX"),
            (0x460f0030, "MONAKA"),
            (0x480fd012, "Kunpeng 920"),
            (0x480fd022, "HIP09"),
            (0x480fd060, "HIP12"),
            (0x4e1f0043, "Carmel"),
            (0x4e0f0101, "Olympus"),
            (0x502f0000, "X-Gene"),
            (0x513f0011, "Oryon"),
            (0x614f0222, "Apple M1 Icestorm"),
            (0x610f0233, "Apple M1 Firestorm"),
            (0x611f0240, "Apple M1 Pro Icestorm"),
            (0x612f0251, "Apple M1 Pro Firestorm"),
            (0x613f0282, "Apple M1 Max Icestorm"),
            (0x614f0293, "Apple M1 Max Firestorm"),
            (0x610f0320, "Apple M2 Blizzard"),
            (0x611f0331, "Apple M2 Avalanche"),
            (0x611f0340, "Apple M2 Pro Blizzard"),
            (0x611f0350, "Apple M2 Pro Avalanche"),
            (0x611f0380, "Apple M2 Max Blizzard"),
            (0x611f0390, "Apple M2 Max Avalanche"),
            (0x611f0420, "Apple M3 Sawtooth"),
            (0x611f0430, "Apple M3 Everest"),
            (0x611f0440, "Apple M3 Pro Sawtooth"),
            (0x611f0450, "Apple M3 Pro Everest"),
            (0x611f0480, "Apple M3 Max Sawtooth"),
            (0x611f0490, "Apple M3 Max Everest"),
            (0x611f0520, "Apple M4 E-core"),
            (0x611f0530, "Apple M4 P-core"),
            (0x611f0540, "Apple M4 Pro E-core"),
            (0x611f0550, "Apple M4 Pro P-core"),
            (0x611f0580, "Apple M4 Max E-core"),
            (0x611f0590, "Apple M4 Max P-core"),
            (0x6d0fd490, "Azure Cobalt 100"),
            (0xc02fac32, "Ampere-1"),
            (0xc03fac43, "Ampere-1A"),
            (0xc04fac50, "Ampere-1B"),
        ];
        assert_eq!(known.len(), PARTS.len());
        for (midr, name) in known {
            assert_eq!(name_of_midr(midr), name, "{midr:#x}");
        }
    }
}
