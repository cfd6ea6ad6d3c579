//! Names of CPUs.
//!
//! Most kernels print a name. For those that print numbers, the architecture's facts have a table.

use std::collections::BTreeMap;

use super::cpuinfo::{cpuinfo, of_cpu};
use super::tree::Tree;
use crate::arch::Arch;
use crate::arch::facts::CpuNumbers;

/// How each architecture whose kernel prints numbers turns them into names. All are tried, because under an emulator the
/// text may be that of another architecture's kernel.
fn numbers() -> impl Iterator<Item = CpuNumbers> {
    Arch::ALL.into_iter().filter_map(|arch| arch.facts().cpus.numbers)
}

/// The kinds of core among these CPUs, each with its CPUs.
pub fn core_types(tree: &Tree, online: &[usize], info: &str) -> BTreeMap<String, Vec<usize>> {
    let mut types: BTreeMap<String, Vec<usize>> = BTreeMap::new();
    for &cpu in online {
        let by_register = |numbers: CpuNumbers| {
            let text = tree.read(&format!("sys/devices/system/cpu/cpu{cpu}/{}", numbers.register))?;
            u64::from_str_radix(text.trim_start_matches("0x"), 16).ok().map(numbers.name_of_register)
        };
        let name = numbers().find_map(by_register).unwrap_or_else(|| stated(of_cpu(info, cpu)));
        types.entry(name).or_default().push(cpu);
    }
    types
}

/// The name that /proc/cpuinfo states for the first CPU in the text.
fn stated(info: &str) -> String {
    let hexadecimal = |key| u32::from_str_radix(cpuinfo(info, key)?.trim_start_matches("0x"), 16).ok();
    let by_numbers = |numbers: CpuNumbers| {
        let [first, second] = numbers.keys.map(hexadecimal);
        Some((numbers.name)(first?, second?))
    };
    let keys = || Arch::ALL.into_iter().flat_map(|arch| arch.facts().cpus.name_keys);
    let name = numbers().find_map(by_numbers).or_else(|| keys().find_map(|key| cpuinfo(info, key)));
    name.unwrap_or_else(|| "unknown".to_owned())
}

/// One name for the machine: the names of all kinds of core, the most frequent kind first.
pub fn model(info: &str, types: &BTreeMap<String, Vec<usize>>) -> String {
    let mut names: Vec<(&String, usize)> = types.iter().map(|(name, cpus)| (name, cpus.len())).collect();
    names.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    let names: Vec<&str> = names.iter().map(|(name, _)| name.as_str()).collect();
    if names.is_empty() { stated(info) } else { names.join(" + ") }
}

#[cfg(test)]
mod tests {
    use super::*;

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
        let types = BTreeMap::from([("big".to_owned(), vec![2]), ("LITTLE".to_owned(), vec![0, 1])]);
        assert_eq!(model("", &types), "LITTLE + big");
    }
}
