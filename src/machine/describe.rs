//! The description of the host for the record: enough to tell two hosts apart and to repeat the run, nothing
//! that names the owner.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::conditions::{Frequency, frequencies};
use super::cpu_names;
use super::cpuinfo::cpuinfo;
use super::cpulist::{format_cpu_list, parse_cpu_list};
use super::hypervisor::{Below, OwnCpu};
use super::names::Names;
use super::topology::Topology;
use super::tree::Tree;
use super::{Calibration, Clock, ClockCheck};
use crate::arch::{Arch, native};

/// One cache of the first online CPU.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Cache {
    /// The level: 1, 2, 3, ...
    pub level: u32,
    /// The kind: Data, Instruction or Unified.
    pub kind: String,
    /// The size in the kernel's notation, such as `32K`.
    pub size: String,
    /// The line size in bytes.
    pub line_bytes: usize,
    /// The number of CPUs that share it.
    pub shared_by: usize,
}

/// The host's description.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Host {
    /// The architecture wakerace was built for.
    pub architecture: String,
    /// The name of the CPU for display.
    pub cpu_model: String,
    /// The fields that identify the design: vendor, family, model and stepping on x86.
    pub cpu_ids: BTreeMap<String, String>,
    /// The kinds of core by name, each with its CPUs. big.LITTLE machines have more than one kind.
    #[serde(default)]
    pub core_types: BTreeMap<String, String>,
    /// The microcode revision, if it can be read.
    pub microcode: Option<String>,
    /// The caches of the first online CPU.
    pub caches: Vec<Cache>,
    /// The distance in bytes at which accesses to two variables no longer disturb each other.
    pub false_sharing_bytes: usize,
    /// The online CPUs, in the kernel's list format.
    pub cpus_online: String,
    /// The CPUs this process may use, in the kernel's list format.
    pub cpus_allowed: String,
    /// The largest number of hardware threads per core.
    pub threads_per_core: usize,
    /// The number of sockets.
    pub sockets: usize,
    /// The number of NUMA nodes.
    pub numa_nodes: usize,
    /// The kernel's name, release and version.
    pub kernel: String,
    /// The frequency governor of the first online CPU, if it has one.
    pub governor: Option<String>,
    /// The setting of transparent huge pages.
    pub transparent_hugepages: Option<String>,
    /// The hypervisor, if there is one.
    pub virtualised: Option<String>,
    /// Whether an emulator runs the instructions. Such a run tests the build and the logic; it says nothing
    /// about weak outcomes.
    pub emulated: bool,
    /// The name of the pacing clock.
    pub clock: String,
    /// The frequency, resolution and cost of the pacing clock, as measured.
    pub clock_measured: Clock,
    /// Whether the clock is fit to pace instances, and why. Absent in records of versions that did not check.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clock_check: Option<ClockCheck>,
    /// What the machine calls itself.
    #[serde(default, skip_serializing_if = "Names::is_empty")]
    pub names: Names,
    /// What only the owner knows, in one line (`--label`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// The frequencies of the CPUs; absent without cpufreq.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub frequencies: Vec<Frequency>,
    /// What the kernel does about a vulnerability whose mitigation changes the order or the time of memory accesses:
    /// `spec_store_bypass` is the kernel's words about the machine, `spec_store_bypass_here` those about this process. With
    /// the mitigation on, no load overtakes an earlier store whose address is not known.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub mitigations: BTreeMap<String, String>,
    /// What /sys did not say about the CPUs, one sentence per item.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unread: Vec<String>,
}

impl Host {
    /// The number of online CPUs; 0 if their list is not readable.
    pub fn online(&self) -> usize {
        parse_cpu_list(&self.cpus_online).map_or(0, |cpus| cpus.len())
    }

    /// The model of the CPU with the numbers that identify it: `AMD EPYC (cpu family 25, model 17)`.
    pub fn identified(&self) -> String {
        let ids: Vec<String> = self.cpu_ids.iter().map(|(key, value)| format!("{key} {value}")).collect();
        if ids.is_empty() { self.cpu_model.clone() } else { format!("{} ({})", self.cpu_model, ids.join(", ")) }
    }

    /// What the machine calls itself, behind a comma; empty if it says nothing.
    pub fn named(&self) -> String {
        let names = self.names.in_words();
        if names.is_empty() { names } else { format!(", {names}") }
    }

    /// The owner's label, behind a comma: `, labelled "rack 3"`; empty without one.
    pub fn labelled(&self) -> String {
        self.label.as_ref().map_or(String::new(), |label| format!(", labelled \"{label}\""))
    }
}

/// What cannot be read from the tree, only from the running host.
#[derive(Debug, Clone, Default)]
struct Own {
    /// The architecture, the hypervisor that CPUID names, and the counter's frequency.
    cpu: OwnCpu,
    /// The data cache's writeback granule in bytes; 0 if it is unknown.
    granule: usize,
}

/// Describes the host.
pub fn describe(topology: &Topology, allowed: &[usize], calibration: Calibration) -> Host {
    let cpu = OwnCpu { arch: Arch::host(), hypervisor: native::hypervisor(), counter_hz: native::stated_hz() };
    let own = Own { cpu, granule: native::writeback_granule() };
    describe_tree(&Tree::host(), own, topology, allowed, calibration)
}

fn describe_tree(tree: &Tree, own: Own, topology: &Topology, allowed: &[usize], calibration: Calibration) -> Host {
    let info = tree.read("proc/cpuinfo").unwrap_or_default();
    let first = topology.cpus.first().map_or(0, |cpu| cpu.id);
    let caches = read_caches(tree, first);
    let distinct = |list: fn(&super::Cpu) -> &Vec<usize>| {
        let mut groups: Vec<&Vec<usize>> = topology.cpus.iter().map(list).collect();
        groups.sort_unstable();
        groups.dedup();
        groups.len()
    };
    let mut nodes: Vec<usize> = topology.cpus.iter().filter_map(|cpu| cpu.node).collect();
    nodes.sort_unstable();
    nodes.dedup();
    let online: Vec<usize> = topology.cpus.iter().map(|cpu| cpu.id).collect();
    let ids = Arch::ALL.into_iter().flat_map(|arch| arch.facts().cpus.id_keys);
    let below = Below::of(tree, &own.cpu, &info);
    // Under an emulator the kernel's clocksources are those of the machine that runs the emulator. They say
    // nothing about the emulated counter, so the measurement decides, as under a hypervisor.
    let clock_check = ClockCheck::new(tree, &info, calibration, below.hypervisor.is_some() || below.emulated);
    Host {
        architecture: own.cpu.arch.map_or(std::env::consts::ARCH, Arch::name).to_owned(),
        cpu_model: cpu_names::model(&info, &topology.kinds),
        core_types: (topology.kinds.iter()).map(|kind| (kind.name.clone(), format_cpu_list(&kind.cpus))).collect(),
        cpu_ids: ids.filter_map(|key| Some(((*key).to_owned(), cpuinfo(&info, key)?))).collect(),
        microcode: cpuinfo(&info, "microcode"),
        false_sharing_bytes: false_sharing_bytes(&caches, own.granule),
        caches,
        cpus_online: format_cpu_list(&online),
        cpus_allowed: format_cpu_list(allowed),
        threads_per_core: topology.cpus.iter().map(|cpu| cpu.core.len()).max().unwrap_or(1).max(1),
        sockets: distinct(|cpu| &cpu.package),
        numa_nodes: nodes.len().max(1),
        kernel: kernel(tree),
        governor: tree.read(&format!("sys/devices/system/cpu/cpu{first}/cpufreq/scaling_governor")),
        transparent_hugepages: tree.read("sys/kernel/mm/transparent_hugepage/enabled").map(|text| chosen(&text)),
        virtualised: below.hypervisor,
        emulated: below.emulated,
        clock: Clock::NAME.to_owned(),
        clock_measured: calibration.clock,
        clock_check: Some(clock_check),
        names: Names::read(tree),
        label: None,
        frequencies: frequencies(tree, &online),
        mitigations: mitigations(tree),
        unread: topology.unread.clone(),
    }
}

/// What the kernel does about speculative store bypass, on this machine and for this process (seccomp and prctl change it).
fn mitigations(tree: &Tree) -> BTreeMap<String, String> {
    let machine = tree.read("sys/devices/system/cpu/vulnerabilities/spec_store_bypass");
    let status = tree.read("proc/self/status").unwrap_or_default();
    let here = cpuinfo(&status, "Speculation_Store_Bypass");
    let both = [("spec_store_bypass", machine), ("spec_store_bypass_here", here)];
    both.into_iter().filter_map(|(name, text)| Some((name.to_owned(), text?))).collect()
}

/// The architecture of the machine that a tree describes: the kernel's own word, or the form of /proc/cpuinfo for kernels
/// before 6.1. `None` if neither says it.
pub fn arch_of(tree: &Tree) -> Option<Arch> {
    let stated = tree.read("proc/sys/kernel/arch");
    let by_name = |name: &String| Arch::ALL.into_iter().find(|arch| arch.facts().kernel_name == name.as_str());
    let by_key = || {
        let info = tree.read("proc/cpuinfo")?;
        Arch::ALL.into_iter().find(|arch| cpuinfo(&info, arch.facts().cpus.own_key).is_some())
    };
    stated.as_ref().and_then(by_name).or_else(by_key)
}

fn kernel(tree: &Tree) -> String {
    let part = |name| tree.read(&format!("proc/sys/kernel/{name}")).unwrap_or_default();
    [part("ostype"), part("osrelease"), part("version")].join(" ").trim().to_owned()
}

/// The bracketed word of a /sys setting such as `always [madvise] never`.
fn chosen(text: &str) -> String {
    text.split_whitespace().find(|word| word.starts_with('[')).unwrap_or(text).trim_matches(['[', ']']).to_owned()
}

fn read_caches(tree: &Tree, cpu: usize) -> Vec<Cache> {
    let cache = |index: usize| {
        let at = |name: &str| format!("sys/devices/system/cpu/cpu{cpu}/cache/index{index}/{name}");
        let field = |name: &str| tree.read(&at(name));
        Some(Cache {
            level: field("level")?.parse().ok()?,
            kind: field("type")?,
            size: field("size").unwrap_or_default(),
            line_bytes: field("coherency_line_size")?.parse().ok()?,
            shared_by: tree.cpus(&at("shared_cpu_list")).map_or(1, |cpus| cpus.len()),
        })
    };
    // A cache that is not described in full is left out, but later ones are kept.
    (0..10).filter_map(cache).collect()
}

/// How far apart two variables must be so that accesses to one do not move the cache line of the other, in bytes.
///
/// The result is at least 128, which covers every design with 64-byte lines. On x86-64, Intel's spatial
/// prefetcher fetches lines in pairs (Intel 64 and IA-32 Architectures Optimization Reference Manual, "Data
/// Prefetching": "strives to complete every cache line fetched to the L2 cache with the pair line that
/// completes it to a 128-byte aligned chunk"), and AMD's Zen has an "up/down" prefetcher of the same kind.
/// POWER has lines of 128 bytes (arch/powerpc/include/asm/cache.h, L1_CACHE_SHIFT 7). On arm64, CTR_EL0 states the largest
/// granule. Values above 2048 are taken for errors: that is the largest granule of the Arm architecture (Arm ARM, CTR_EL0.CWG).
fn false_sharing_bytes(caches: &[Cache], granule: usize) -> usize {
    let reported = caches.iter().map(|cache| cache.line_bytes).chain([granule]);
    reported.filter(|line| line.is_power_of_two() && *line <= 2048).max().unwrap_or(128).max(128)
}

#[cfg(test)]
mod tests;
