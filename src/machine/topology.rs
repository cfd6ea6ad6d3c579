//! How CPUs share cores, clusters, caches and sockets, read from /sys.

use std::collections::HashMap;

use super::cpu_names;
use super::cpulist::{format_cpu_list, parse_cpu_list};
use super::pin::allowed_cpus;
use super::tree::Tree;
use crate::error::Result;

/// Which other CPUs share what with this CPU. Each list contains the CPU itself; it is empty if /sys does not say.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Cpu {
    /// The number of the CPU.
    pub id: usize,
    /// The hardware threads of its core (`core_cpus_list`).
    pub core: Vec<usize>,
    /// The CPUs of its cluster (`cluster_cpus_list`): cores that share something below the last-level cache.
    pub cluster: Vec<usize>,
    /// The CPUs that share its last-level cache. Empty if the highest cache in /sys is a second-level cache of
    /// a single core: /sys does not list the cache behind it, such as the system-level cache of Ampere's Altra.
    pub llc: Vec<usize>,
    /// The CPUs of its socket (`package_cpus_list`).
    pub package: Vec<usize>,
    /// The number of its NUMA node.
    pub node: Option<usize>,
    /// Its kind of core: a place in [`Topology::kinds`].
    pub kind: usize,
}

/// A kind of core. Cores of one kind have the same name, such as `Cortex-A725`; their frequencies may differ.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kind {
    /// Its name.
    pub name: String,
    /// The online CPUs of this kind, by ascending number.
    pub cpus: Vec<usize>,
}

/// The online CPUs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Topology {
    /// The CPUs, by ascending number.
    pub cpus: Vec<Cpu>,
    /// The kinds of core, the biggest first.
    pub kinds: Vec<Kind>,
    /// What /sys did not say about them, one sentence per item.
    pub unread: Vec<String>,
}

impl Topology {
    /// Reads the topology of this host. If /sys does not say which CPUs are online, it takes the CPUs that this
    /// process may use.
    ///
    /// ```
    /// use wakerace::machine::{Class, Topology, allowed_cpus, place};
    ///
    /// let topology = Topology::read()?;
    /// let allowed = allowed_cpus()?;
    /// let one = place(&topology, &allowed, 1, &Class::SPREAD).expect("one CPU is there");
    /// assert!(allowed.contains(&one[0].cpus[0]));
    /// # Ok::<(), wakerace::error::Error>(())
    /// ```
    ///
    /// # Errors
    /// If the kernel does not say which CPUs this process may use.
    pub fn read() -> Result<Topology> {
        Ok(Topology::read_from(&Tree::host(), &allowed_cpus()?))
    }

    /// Reads a topology from a tree. `allowed` stands for the online CPUs if the tree does not name them.
    pub fn read_from(tree: &Tree, allowed: &[usize]) -> Topology {
        const ONLINE: &str = "sys/devices/system/cpu/online";
        let mut unread = Vec::new();
        let read = match tree.read(ONLINE) {
            Some(text) => parse_cpu_list(&text),
            None => Err(tree.unreadable(ONLINE).unwrap_or_else(|| "it is empty".to_owned())),
        };
        let mut online = read.unwrap_or_else(|reason| {
            unread.push(format!(
                "/{ONLINE}: {reason}; wakerace assumes that the CPUs this process may use ({}) are all that are online",
                format_cpu_list(allowed)
            ));
            allowed.to_vec()
        });
        online.sort_unstable();
        let nodes = nodes(tree);
        let kinds = cpu_names::kinds(tree, &online, &tree.read("proc/cpuinfo").unwrap_or_default());
        let kind_of =
            |(kind, known): (usize, &Kind)| known.cpus.iter().map(move |&cpu| (cpu, kind)).collect::<Vec<_>>();
        let kind_of: HashMap<usize, usize> = kinds.iter().enumerate().flat_map(kind_of).collect();
        let cpus: Vec<Cpu> =
            online.into_iter().map(|id| Cpu { kind: kind_of[&id], ..read_cpu(tree, id, &nodes) }).collect();
        let mut lacking = |what: &str, list: fn(&Cpu) -> &Vec<usize>| {
            let of: Vec<usize> = cpus.iter().filter(|cpu| list(cpu).is_empty()).map(|cpu| cpu.id).collect();
            if !of.is_empty() {
                unread.push(format!("/sys does not say which CPUs share a {what} with CPUs {}", format_cpu_list(&of)));
            }
        };
        lacking("core", |cpu| &cpu.core);
        lacking("socket", |cpu| &cpu.package);
        Topology { cpus, kinds, unread }
    }

    /// The names of the kinds of core of these CPUs. Empty if the machine has one kind.
    pub fn kinds_of(&self, cpus: &[usize]) -> Vec<String> {
        if self.kinds.len() < 2 {
            return Vec::new();
        }
        let kind = |cpu: &usize| self.cpu(*cpu).and_then(|cpu| self.kinds.get(cpu.kind));
        cpus.iter().map(|cpu| kind(cpu).map_or("unknown".to_owned(), |kind| kind.name.clone())).collect()
    }

    /// A CPU by number, if it is online.
    pub fn cpu(&self, id: usize) -> Option<&Cpu> {
        self.cpus.binary_search_by_key(&id, |cpu| cpu.id).ok().map(|at| &self.cpus[at])
    }
}

/// The CPUs that the kernel's scheduler leaves alone (`isolcpus`). A process runs there only if it asks for it, so they are
/// not among the CPUs that a process may use by default.
pub fn isolated(tree: &Tree) -> Vec<usize> {
    tree.cpus("sys/devices/system/cpu/isolated").unwrap_or_default()
}

/// The NUMA node of each CPU, as the nodes list them. A node that has only memory lists no CPU.
fn nodes(tree: &Tree) -> HashMap<usize, usize> {
    const NODES: &str = "sys/devices/system/node";
    let number = |name: &String| name.strip_prefix("node")?.parse::<usize>().ok();
    let nodes = tree.names(NODES).iter().filter_map(number).collect::<Vec<_>>();
    let cpus = |node: usize| tree.cpus(&format!("{NODES}/node{node}/cpulist")).unwrap_or_default();
    nodes.into_iter().flat_map(|node| cpus(node).into_iter().map(move |cpu| (cpu, node))).collect()
}

fn read_cpu(tree: &Tree, id: usize, nodes: &HashMap<usize, usize>) -> Cpu {
    let cpu = format!("sys/devices/system/cpu/cpu{id}");
    // The second name of each file is the one that kernels before 5.2 use.
    let topology =
        |names: &[&str]| names.iter().find_map(|name| tree.cpus(&format!("{cpu}/topology/{name}"))).unwrap_or_default();
    let core = topology(&["core_cpus_list", "thread_siblings_list"]);
    // Where the nodes list no CPUs, a link from the CPU names its node.
    let link = || tree.names(&cpu).iter().find_map(|name| name.strip_prefix("node")?.parse().ok());
    Cpu {
        id,
        cluster: topology(&["cluster_cpus_list"]),
        llc: last_level_cache(tree, &cpu, &core),
        package: topology(&["package_cpus_list", "core_siblings_list"]),
        node: nodes.get(&id).copied().or_else(link),
        core,
        kind: 0,
    }
}

/// The CPUs that share the data or unified cache of the highest level that /sys lists.
fn last_level_cache(tree: &Tree, cpu: &str, core: &[usize]) -> Vec<usize> {
    /// From this level on, a cache counts as last-level even if one core has it alone: some EPYC models have one L3
    /// per core.
    const SURELY_LAST: u32 = 3;
    let mut last = (0, Vec::new());
    for index in tree.names(&format!("{cpu}/cache")).iter().filter(|name| name.starts_with("index")) {
        let cache = format!("{cpu}/cache/{index}");
        let level = tree.read(&format!("{cache}/level")).and_then(|text| text.parse::<u32>().ok());
        let instructions = tree.read(&format!("{cache}/type")).is_some_and(|kind| kind == "Instruction");
        let shared = tree.cpus(&format!("{cache}/shared_cpu_list"));
        if let (Some(level), false, Some(shared)) = (level, instructions, shared)
            && level > last.0
        {
            last = (level, shared);
        }
    }
    let (level, shared) = last;
    let of_one_core = shared.len() == 1 || shared.iter().all(|cpu| core.contains(cpu));
    if of_one_core && level < SURELY_LAST { Vec::new() } else { shared }
}

#[cfg(test)]
mod tests;
