//! Reads /proc/cpuinfo. Its keys differ between architectures; its format does not.

use std::collections::HashMap;

/// The value of the first line in /proc/cpuinfo that has this key.
pub(super) fn cpuinfo(info: &str, key: &str) -> Option<String> {
    cpuinfo_all(info, key).next().filter(|value| !value.is_empty()).map(str::to_owned)
}

/// The values of all lines in /proc/cpuinfo that have this key.
pub(super) fn cpuinfo_all<'a>(info: &'a str, key: &'a str) -> impl Iterator<Item = &'a str> {
    let of_key = move |line: &'a str| line.split_once(':').filter(|(name, _)| name.trim() == key);
    info.lines().filter_map(of_key).map(|(_, value)| value.trim())
}

/// The text of /proc/cpuinfo, divided by CPU. It is divided once, because the text of 1,024 CPUs has megabytes.
pub(super) struct Blocks<'a> {
    whole: &'a str,
    of_cpu: HashMap<usize, &'a str>,
}

impl<'a> Blocks<'a> {
    pub(super) fn new(info: &'a str) -> Blocks<'a> {
        let numbered = |block: &'a str| Some((cpuinfo(block, "processor")?.parse().ok()?, block));
        Blocks { whole: info, of_cpu: info.split("\n\n").filter_map(numbered).collect() }
    }

    /// The block of one CPU, or the whole text if the kernel does not number the CPUs.
    pub(super) fn of(&self, cpu: usize) -> &'a str {
        self.of_cpu.get(&cpu).copied().unwrap_or(self.whole)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_found_by_their_whole_key() {
        let info = "processor\t: 0\nmodel name\t: A CPU: fast\nmodel\t\t: 17\n";
        assert_eq!(cpuinfo(info, "model").as_deref(), Some("17"));
        assert_eq!(cpuinfo(info, "model name").as_deref(), Some("A CPU: fast"));
        assert_eq!(cpuinfo(info, "microcode"), None);
    }

    #[test]
    fn each_cpu_has_its_own_part() {
        let info = "processor\t: 0\nCPU part\t: 0xd05\n\nprocessor\t: 12\nCPU part\t: 0xd41\n\nHardware\t: x\n";
        let blocks = Blocks::new(info);
        assert_eq!(cpuinfo(blocks.of(12), "CPU part").as_deref(), Some("0xd41"));
        assert_eq!(cpuinfo(blocks.of(0), "CPU part").as_deref(), Some("0xd05"));
        assert_eq!(blocks.of(1), info);
    }
}
