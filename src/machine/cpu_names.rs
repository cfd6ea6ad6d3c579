//! Names of CPUs.
//!
//! Most kernels print a name. For those that print numbers, the architecture's facts have a table.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use super::cpuinfo::{Blocks, cpuinfo};
use super::topology::Kind;
use super::tree::Tree;
use crate::arch::Arch;
use crate::arch::facts::CpuNumbers;

/// How each architecture whose kernel prints numbers turns them into names. All are tried, because under an emulator the
/// text may be that of another architecture's kernel.
fn numbers() -> impl Iterator<Item = CpuNumbers> {
    Arch::ALL.into_iter().filter_map(|arch| arch.facts().cpus.numbers)
}

/// The kinds of core among these CPUs, the biggest first.
pub fn kinds(tree: &Tree, online: &[usize], info: &str) -> Vec<Kind> {
    let blocks = Blocks::new(info);
    let hybrid = Hybrid::read(tree);
    let name = |cpu: usize| {
        let by_register = |numbers: CpuNumbers| {
            let register = numbers.register?;
            let text = tree.read(&format!("sys/devices/system/cpu/cpu{cpu}/{}", register.file))?;
            u64::from_str_radix(text.trim_start_matches("0x"), 16).ok().map(register.name)
        };
        hybrid.name(cpu).or_else(|| numbers().find_map(by_register)).unwrap_or_else(|| stated(blocks.of(cpu)))
    };
    let mut by_name: BTreeMap<String, Vec<usize>> = BTreeMap::new();
    for &cpu in online {
        by_name.entry(name(cpu)).or_default().push(cpu);
    }
    let mut kinds: Vec<Kind> = by_name.into_iter().map(|(name, cpus)| Kind { name, cpus }).collect();
    if kinds.len() > 1 {
        kinds.sort_by_cached_key(|kind| Reverse((hybrid.rank(&kind.name), size(tree, &kind.cpus))));
    }
    kinds
}

/// The size of the largest of some cores: `cpu_capacity`, which is 1024 for the most capable CPU of a machine, and the
/// highest frequency in kHz. 0 stands for what /sys does not say.
fn size(tree: &Tree, cpus: &[usize]) -> (u64, u64) {
    let of = |cpu: &usize, file: &str| -> u64 {
        tree.read(&format!("sys/devices/system/cpu/cpu{cpu}/{file}")).and_then(|text| text.parse().ok()).unwrap_or(0)
    };
    let both = cpus.iter().map(|cpu| (of(cpu, "cpu_capacity"), of(cpu, "cpufreq/cpuinfo_max_freq")));
    both.max().unwrap_or_default()
}

/// The kinds of core of Intel's hybrid CPUs. /proc/cpuinfo has one name for all of them. The kernel registers the
/// counters of each kind as a device of its own (arch/x86/events/intel/core.c), whose file `cpus` lists its CPUs.
struct Hybrid(Vec<(&'static str, Vec<usize>)>);

impl Hybrid {
    /// The devices and the names of their cores, the biggest first.
    const DEVICES: [(&'static str, &'static str); 3] =
        [("cpu_core", "P-core"), ("cpu_atom", "E-core"), ("cpu_lowpower", "LP E-core")];

    fn read(tree: &Tree) -> Hybrid {
        let cpus = |device: &str| tree.cpus(&format!("sys/devices/{device}/cpus"));
        Hybrid(Hybrid::DEVICES.into_iter().filter_map(|(device, name)| Some((name, cpus(device)?))).collect())
    }

    fn name(&self, cpu: usize) -> Option<String> {
        self.0.iter().find(|(_, cpus)| cpus.contains(&cpu)).map(|(name, _)| (*name).to_owned())
    }

    /// Higher for a bigger core. 0 for a name that is none of these.
    fn rank(&self, name: &str) -> usize {
        let place = self.0.iter().position(|(known, _)| *known == name);
        place.map_or(0, |place| self.0.len() - place)
    }

    /// Whether a name is that of a kind of core and does not name a CPU.
    fn is_name(name: &str) -> bool {
        Hybrid::DEVICES.iter().any(|(_, known)| *known == name)
    }
}

/// The name that /proc/cpuinfo states for the first CPU in the text.
fn stated(info: &str) -> String {
    let hexadecimal = |key| u64::from_str_radix(cpuinfo(info, key)?.trim_start_matches("0x"), 16).ok();
    let by_numbers = |numbers: CpuNumbers| {
        let [first, second] = numbers.keys.map(hexadecimal);
        (numbers.name)(first?, second?)
    };
    let keys = || Arch::ALL.into_iter().flat_map(|arch| arch.facts().cpus.name_keys);
    let name = numbers().find_map(by_numbers).or_else(|| keys().find_map(|key| cpuinfo(info, key)));
    name.unwrap_or_else(|| "unknown".to_owned())
}

/// One name for the machine: the names of all kinds of core, the most frequent kind first. Kinds of a hybrid CPU share
/// the name in /proc/cpuinfo.
pub fn model(info: &str, kinds: &[Kind]) -> String {
    if kinds.is_empty() || kinds.iter().any(|kind| Hybrid::is_name(&kind.name)) {
        return stated(info);
    }
    let mut by_name: Vec<&Kind> = kinds.iter().collect();
    by_name.sort_unstable_by_key(|kind| (Reverse(kind.cpus.len()), &kind.name));
    by_name.iter().map(|kind| kind.name.as_str()).collect::<Vec<_>>().join(" + ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::machine::tree::made_up::MadeUp;

    #[test]
    fn cpuinfo_becomes_a_name() {
        assert_eq!(stated("CPU implementer\t: 0x41\nCPU part\t: 0xd4f\n"), "Neoverse-V2");
        // A compatibility mode of arm64 prints a name, too, which is less exact.
        let both = "model name\t: ARMv8 Processor rev 1\nCPU implementer\t: 0x41\nCPU part\t: 0xd4f\n";
        assert_eq!(stated(both), "Neoverse-V2");
        assert_eq!(stated("model name\t: AMD EPYC\nmodel\t: 17\n"), "AMD EPYC");
        assert_eq!(stated("processor\t: 0\ncpu\t\t: POWER9, altivec supported\n"), "POWER9, altivec supported");
        assert_eq!(stated("isa\t: rv64imafdc\nuarch\t: sifive,u74-mc\n"), "sifive,u74-mc");
        assert_eq!(stated("processor\t: 0\n"), "unknown");
        let kind = |name: &str, cpus: &[usize]| Kind { name: name.to_owned(), cpus: cpus.to_vec() };
        assert_eq!(model("", &[kind("big", &[2]), kind("LITTLE", &[0, 1])]), "LITTLE + big");
        let hybrid = [kind("P-core", &[0, 1]), kind("E-core", &[2, 3, 4])];
        assert_eq!(model("model name\t: 13th Gen Intel(R) Core(TM)\n", &hybrid), "13th Gen Intel(R) Core(TM)");
        // What the kernel prints for the newest POWER and RISC-V cores.
        assert_eq!(stated("cpu\t\t: Power11 (raw), altivec supported\n"), "Power11 (raw), altivec supported");
        let x60 =
            "isa\t\t: rv64imafdcv\nuarch\t\t: spacemit,x60\nmvendorid\t: 0x710\nmarchid\t\t: 0x8000000058000001\n";
        assert_eq!(stated(x60), "SpacemiT X60");
        let c920 = "isa\t\t: rv64imafdcv\nuarch\t\t: thead,c920\nmvendorid\t: 0x5b7\nmarchid\t\t: 0x0\n";
        assert_eq!(stated(c920), "thead,c920");
    }

    #[test]
    fn the_biggest_kind_comes_first() {
        let made_up = MadeUp::new();
        let midr = |cpu: usize, value: &str| {
            made_up.write(&format!("sys/devices/system/cpu/cpu{cpu}/regs/identification/midr_el1"), value);
        };
        for (cpu, value) in [(0, "0x412fd050"), (1, "0x411fd410"), (2, "0x411fd440"), (3, "0x411fd410")] {
            midr(cpu, value);
        }
        let names = || {
            let kinds = kinds(&made_up.tree(), &[0, 1, 2, 3], "");
            kinds.into_iter().map(|kind| (kind.name, kind.cpus)).collect::<Vec<_>>()
        };
        let of = |name: &str, cpus: &[usize]| (name.to_owned(), cpus.to_vec());
        let (a55, a78, x1) = (of("Cortex-A55", &[0]), of("Cortex-A78", &[1, 3]), of("Cortex-X1", &[2]));
        assert_eq!(names(), [a55.clone(), a78.clone(), x1.clone()], "by name where nothing says their size");
        for (cpu, khz) in [(0, "1800000"), (1, "2400000"), (2, "2900000"), (3, "2400000")] {
            made_up.write(&format!("sys/devices/system/cpu/cpu{cpu}/cpufreq/cpuinfo_max_freq"), khz);
        }
        assert_eq!(names(), [x1.clone(), a78.clone(), a55.clone()]);
        // The capacity counts for more than the frequency.
        for (cpu, capacity) in [(0, "250"), (1, "1024"), (2, "900"), (3, "1000")] {
            made_up.write(&format!("sys/devices/system/cpu/cpu{cpu}/cpu_capacity"), capacity);
        }
        assert_eq!(names(), [a78, x1, a55]);
    }
}
