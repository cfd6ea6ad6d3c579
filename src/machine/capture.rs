//! Captures what a machine says about its CPUs, so that another machine can read it: to attach to a report, and to try
//! placements for a machine that is not at hand.
//!
//! A capture is a JSON file with the text of each file of a fixed list below /sys and /proc. It holds no serial number,
//! host name, address or user. For that reason the list has neither `topology/ppin`, the inventory number of a processor,
//! nor `board_asset_tag`, which is the id of an instance on Amazon EC2.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::cpulist::format_cpu_list;
use super::tree::Tree;

/// Single files. Some exist on some architectures only.
const FILES: [&str; 30] = [
    "proc/cpuinfo",
    "proc/device-tree/hypervisor/compatible",
    "proc/device-tree/model",
    "proc/sys/kernel/arch",
    "proc/sys/kernel/osrelease",
    "proc/sys/kernel/ostype",
    "proc/sys/kernel/version",
    "sys/class/dmi/id/bios_vendor",
    "sys/class/dmi/id/board_vendor",
    "sys/class/dmi/id/product_name",
    "sys/class/dmi/id/product_version",
    "sys/class/dmi/id/sys_vendor",
    "sys/devices/cpu_atom/cpus",
    "sys/devices/cpu_core/cpus",
    "sys/devices/cpu_lowpower/cpus",
    "sys/devices/soc0/family",
    "sys/devices/soc0/machine",
    "sys/devices/soc0/revision",
    "sys/devices/soc0/soc_id",
    "sys/devices/system/clocksource/clocksource0/available_clocksource",
    "sys/devices/system/clocksource/clocksource0/current_clocksource",
    "sys/devices/system/cpu/isolated",
    "sys/devices/system/cpu/offline",
    "sys/devices/system/cpu/online",
    "sys/devices/system/cpu/possible",
    "sys/devices/system/cpu/present",
    "sys/devices/system/cpu/smt/control",
    "sys/devices/system/cpu/vulnerabilities/spec_store_bypass",
    "sys/hypervisor/type",
    "sys/kernel/mm/transparent_hugepage/enabled",
];

/// Files of each CPU, below `sys/devices/system/cpu/cpuN/`.
const OF_CPU: [&str; 18] = [
    "cpu_capacity",
    "cpufreq/cpuinfo_max_freq",
    "cpufreq/cpuinfo_min_freq",
    "cpufreq/scaling_driver",
    "cpufreq/scaling_governor",
    "regs/identification/midr_el1",
    "topology/cluster_cpus_list",
    "topology/cluster_id",
    "topology/core_cpus_list",
    "topology/core_id",
    "topology/core_siblings_list",
    "topology/die_cpus_list",
    "topology/die_id",
    "topology/package_cpus_list",
    "topology/physical_package_id",
    "topology/thread_siblings_list",
    "topology/book_siblings_list",
    "topology/drawer_siblings_list",
];

/// Files of each cache of a CPU, below `cache/indexN/`.
const OF_CACHE: [&str; 7] =
    ["coherency_line_size", "level", "number_of_sets", "shared_cpu_list", "size", "type", "ways_of_associativity"];

/// What one machine says about its CPUs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Capture {
    /// The version of this format: 1.
    pub wakerace_capture: u32,
    /// The CPUs that the process might use, as a list such as `0-3`.
    pub allowed: String,
    /// The text of each file, by its path without the leading slash.
    pub files: BTreeMap<String, String>,
}

impl Capture {
    /// The version that this program writes and reads.
    pub const VERSION: u32 = 1;

    /// Reads the files of a tree. `allowed` are the CPUs that this process may use.
    pub fn new(tree: &Tree, allowed: &[usize]) -> Capture {
        const CPUS: &str = "sys/devices/system/cpu";
        const NODES: &str = "sys/devices/system/node";
        let mut paths: Vec<String> = FILES.map(str::to_owned).to_vec();
        for cpu in numbered(tree, CPUS, "cpu") {
            paths.extend(OF_CPU.map(|file| format!("{cpu}/{file}")));
            for cache in numbered(tree, &format!("{cpu}/cache"), "index") {
                paths.extend(OF_CACHE.map(|file| format!("{cache}/{file}")));
            }
            paths.extend(numbered(tree, &cpu, "node").into_iter().map(|node| format!("{node}/cpulist")));
        }
        paths.extend(numbered(tree, NODES, "node").into_iter().map(|node| format!("{node}/cpulist")));
        let text = |path: String| tree.read(&path).map(|text| (path, without_serial(&text)));
        Capture {
            wakerace_capture: Capture::VERSION,
            allowed: format_cpu_list(allowed),
            files: paths.into_iter().filter_map(text).collect(),
        }
    }

    /// Reads a capture from its JSON.
    ///
    /// # Errors
    /// A text that says what is wrong.
    pub fn parse(json: &str) -> Result<Capture, String> {
        let capture: Capture = serde_json::from_str(json).map_err(|error| format!("not a capture: {error}"))?;
        if capture.wakerace_capture != Capture::VERSION {
            return Err(format!(
                "a capture of version {}; this program reads version {}",
                capture.wakerace_capture,
                Capture::VERSION
            ));
        }
        Ok(capture)
    }
}

/// The paths of a folder's entries whose name is `prefix` and a number.
fn numbered(tree: &Tree, folder: &str, prefix: &str) -> Vec<String> {
    let is_number = |name: &str| !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_digit());
    let names = tree.names(folder).into_iter();
    let wanted = names.filter(|name| name.strip_prefix(prefix).is_some_and(is_number));
    wanted.map(|name| format!("{folder}/{name}")).collect()
}

/// /proc/cpuinfo of a Raspberry Pi ends with the board's serial number.
fn without_serial(text: &str) -> String {
    let lines = text.lines().filter(|line| !line.to_ascii_lowercase().starts_with("serial"));
    lines.collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::machine::Topology;
    use crate::machine::tree::made_up::MadeUp;

    fn machine() -> MadeUp {
        let made_up = MadeUp::new();
        made_up.online("0-3").write("proc/cpuinfo", "processor\t: 0\nSerial\t\t: 10000000abcdef\nModel\t\t: Board");
        for cpu in 0..4 {
            let pair = if cpu < 2 { "0-1" } else { "2-3" };
            made_up.topology(cpu, "core_cpus_list", &cpu.to_string()).topology(cpu, "package_cpus_list", "0-3");
            made_up.cache(cpu, 0, 3, "Unified", "4M", pair);
            made_up.write(&format!("sys/devices/system/cpu/cpu{cpu}/secret"), "x");
            made_up.write(&format!("sys/devices/system/cpu/cpu{cpu}/topology/ppin"), "0x2fabcdef12345678");
        }
        // One node has links from its CPUs, as in older kernels, the other only its list.
        made_up.write("sys/devices/system/cpu/cpu0/node0/cpulist", "0-1");
        made_up.write("sys/devices/system/cpu/cpu1/node0/cpulist", "0-1");
        made_up.write("sys/devices/system/node/node1/cpulist", "2-3");
        made_up.write("sys/class/dmi/id/board_asset_tag", "i-0abcdef0123456789");
        made_up.write("etc/hostname", "box").write("sys/devices/system/cpu/cpufreq/policy0/affected_cpus", "0");
        made_up
    }

    #[test]
    fn a_capture_describes_the_machine_it_was_made_on() {
        let made_up = machine();
        let capture = Capture::new(&made_up.tree(), &[0, 1, 3]);
        assert_eq!(capture.allowed, "0,1,3");
        let read = Capture::parse(&serde_json::to_string(&capture).unwrap()).unwrap();
        assert_eq!(read, capture);
        let expected = Topology::read_from(&made_up.tree(), &[]);
        assert_eq!(Topology::read_from(&Tree::captured(read), &[]), expected);
        let nodes: Vec<Option<usize>> = expected.cpus.iter().map(|cpu| cpu.node).collect();
        assert_eq!(nodes, [Some(0), Some(0), Some(1), Some(1)]);
    }

    #[test]
    fn a_capture_holds_nothing_about_its_owner() {
        let capture = Capture::new(&machine().tree(), &[0]);
        let text = serde_json::to_string(&capture).unwrap();
        for secret in ["abcdef", "erial", "secret", "hostname", "box"] {
            assert!(!text.contains(secret), "{secret}: {text}");
        }
        assert!(text.contains("Board"));
    }

    #[test]
    fn other_files_and_versions_are_refused() {
        assert!(Capture::parse("{}").unwrap_err().contains("not a capture"));
        let other = r#"{"wakerace_capture": 2, "allowed": "0", "files": {}}"#;
        assert!(Capture::parse(other).unwrap_err().contains("version 2; this program reads version 1"));
    }
}
