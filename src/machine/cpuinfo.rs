//! /proc/cpuinfo, whose keys differ between architectures and whose form does not.

/// The first value of a key in /proc/cpuinfo.
pub(super) fn cpuinfo(info: &str, key: &str) -> Option<String> {
    let line = info.lines().find(|line| line.split(':').next().is_some_and(|name| name.trim() == key))?;
    line.split_once(':').map(|(_, value)| value.trim().to_owned()).filter(|value| !value.is_empty())
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
}
