//! How CPUs share cores, clusters, caches and sockets, from /sys.

use std::fs;
use std::path::Path;

use super::cpulist::parse_cpu_list;
use crate::error::{Error, Result};

/// What a CPU shares with which others. Each list contains the CPU itself and is empty if /sys does not say.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Cpu {
    /// Its number.
    pub id: usize,
    /// Hardware threads of its core (`core_cpus_list`).
    pub core: Vec<usize>,
    /// CPUs of its cluster (`cluster_cpus_list`): cores that share something below the last-level cache.
    pub cluster: Vec<usize>,
    /// CPUs that share its last-level cache.
    pub llc: Vec<usize>,
    /// CPUs of its socket (`package_cpus_list`).
    pub package: Vec<usize>,
    /// Its NUMA node.
    pub node: Option<usize>,
}

/// The online CPUs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Topology {
    /// In the order of their numbers.
    pub cpus: Vec<Cpu>,
}

impl Topology {
    /// Reads the host's.
    ///
    /// # Errors
    /// If /sys is not there.
    pub fn read() -> Result<Topology> {
        Topology::read_from(Path::new("/sys/devices/system"))
    }

    /// Reads one from a tree laid out like /sys/devices/system.
    ///
    /// # Errors
    /// If the tree has no list of online CPUs.
    pub fn read_from(system: &Path) -> Result<Topology> {
        let online_path = system.join("cpu/online");
        let online =
            fs::read_to_string(&online_path).map_err(Error::io(format!("reading {}", online_path.display())))?;
        let online =
            parse_cpu_list(&online).map_err(|reason| Error::Host(format!("{}: {reason}", online_path.display())))?;
        Ok(Topology { cpus: online.into_iter().map(|id| read_cpu(system, id)).collect() })
    }

    /// A CPU by number, if it is online.
    pub fn cpu(&self, id: usize) -> Option<&Cpu> {
        self.cpus.iter().find(|cpu| cpu.id == id)
    }
}

fn list(path: &Path) -> Option<Vec<usize>> {
    parse_cpu_list(&fs::read_to_string(path).ok()?).ok()
}

fn read_cpu(system: &Path, id: usize) -> Cpu {
    let cpu = system.join(format!("cpu/cpu{id}"));
    // The second name of each is what kernels before 5.2 used.
    let topology =
        |names: &[&str]| names.iter().find_map(|name| list(&cpu.join("topology").join(name))).unwrap_or_default();
    let mut llc = (0, Vec::new());
    for index in 0..10 {
        let cache = cpu.join(format!("cache/index{index}"));
        let level = fs::read_to_string(cache.join("level")).ok().and_then(|text| text.trim().parse::<u32>().ok());
        let instructions = fs::read_to_string(cache.join("type")).is_ok_and(|kind| kind.trim() == "Instruction");
        if let (Some(level), false, Some(shared)) = (level, instructions, list(&cache.join("shared_cpu_list")))
            && level > llc.0
        {
            llc = (level, shared);
        }
    }
    let node = fs::read_dir(&cpu).ok().and_then(|entries| {
        entries.flatten().find_map(|entry| entry.file_name().to_str()?.strip_prefix("node")?.parse().ok())
    });
    Cpu {
        id,
        core: topology(&["core_cpus_list", "thread_siblings_list"]),
        cluster: topology(&["cluster_cpus_list"]),
        llc: llc.1,
        package: topology(&["package_cpus_list", "core_siblings_list"]),
        node,
    }
}
