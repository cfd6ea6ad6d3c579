//! Reads /proc/cpuinfo. Its keys differ between architectures; its format does not.

/// The value of the first line in /proc/cpuinfo that has this key.
pub(super) fn cpuinfo(info: &str, key: &str) -> Option<String> {
    let line = info.lines().find(|line| line.split(':').next().is_some_and(|name| name.trim() == key))?;
    line.split_once(':').map(|(_, value)| value.trim().to_owned()).filter(|value| !value.is_empty())
}

/// The block of /proc/cpuinfo for one CPU, or the whole text if the kernel does not number the CPUs.
pub(super) fn of_cpu(info: &str, cpu: usize) -> &str {
    let own = |block: &&str| cpuinfo(block, "processor").and_then(|number| number.parse().ok()) == Some(cpu);
    info.split("\n\n").find(own).unwrap_or(info)
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
        assert_eq!(cpuinfo(of_cpu(info, 12), "CPU part").as_deref(), Some("0xd41"));
        assert_eq!(cpuinfo(of_cpu(info, 0), "CPU part").as_deref(), Some("0xd05"));
        assert_eq!(of_cpu(info, 1), info);
    }
}
