//! Placements on machines of many shapes, each as its kernel describes it.

use std::collections::{BTreeMap, HashSet};

use super::*;
use crate::machine::topology::isolated;
use crate::machine::{Capture, Tree, parse_cpu_list};

/// What /sys says about one CPU. A list is empty if /sys does not have it.
#[derive(Default)]
struct Says {
    core: String,
    cluster: String,
    package: String,
    /// Level and sharers of each cache.
    caches: Vec<(u32, String)>,
    /// Further files below the CPU's folder.
    files: Vec<(&'static str, String)>,
}

/// A machine made of these files and of what is said about each online CPU.
fn machine(online: &str, says: impl Fn(usize) -> Says, more: &[(&str, &str)]) -> Tree {
    let mut files = BTreeMap::from([("sys/devices/system/cpu/online".to_owned(), online.to_owned())]);
    files.extend(more.iter().map(|(path, text)| ((*path).to_owned(), (*text).to_owned())));
    for cpu in parse_cpu_list(online).unwrap() {
        let says = says(cpu);
        let at = format!("sys/devices/system/cpu/cpu{cpu}");
        let mut put = |name: String, text: String| {
            if !text.is_empty() {
                files.insert(format!("{at}/{name}"), text);
            }
        };
        put("topology/core_cpus_list".to_owned(), says.core);
        put("topology/cluster_cpus_list".to_owned(), says.cluster);
        put("topology/package_cpus_list".to_owned(), says.package);
        for (index, (level, shared)) in says.caches.into_iter().enumerate() {
            put(format!("cache/index{index}/level"), level.to_string());
            put(format!("cache/index{index}/type"), "Unified".to_owned());
            put(format!("cache/index{index}/shared_cpu_list"), shared);
        }
        for (name, text) in says.files {
            put(name.to_owned(), text);
        }
    }
    Tree::captured(Capture { wakerace_capture: Capture::VERSION, allowed: online.to_owned(), files })
}

/// The block of `size` CPUs that a CPU belongs to.
fn block(cpu: usize, size: usize) -> String {
    let first = cpu / size * size;
    if size == 1 { cpu.to_string() } else { format!("{first}-{}", first + size - 1) }
}

/// Blocks of CPUs: threads of a core, CPUs of a last-level cache, CPUs of a socket.
fn blocks(core: usize, llc: usize, package: usize) -> impl Fn(usize) -> Says {
    move |cpu| Says {
        core: block(cpu, core),
        package: block(cpu, package),
        caches: vec![(2, block(cpu, core)), (3, block(cpu, llc))],
        ..Says::default()
    }
}

/// The placements of `threads` threads on all or some of the CPUs, after a check of what holds for every placement.
fn placed(tree: &Tree, allowed: Option<&[usize]>, threads: usize) -> Vec<Placement> {
    let topology = Topology::read_from(tree, &[]);
    let online: Vec<usize> = topology.cpus.iter().map(|cpu| cpu.id).collect();
    let cpus = restrict(&topology, allowed.unwrap_or(&online), None).unwrap();
    let placements = place(&topology, &cpus, threads, &Class::SPREAD).unwrap();
    for placement in &placements {
        assert_eq!(*placement, exactly(&topology, &placement.cpus), "class and kinds are those of the CPUs");
        assert!(placement.cpus.iter().all(|cpu| cpus.contains(cpu)), "{placement}");
        assert_eq!(placement.cpus.iter().collect::<HashSet<_>>().len(), threads, "{placement}");
    }
    assert_eq!(placements.iter().collect::<HashSet<_>>().len(), placements.len());
    placements
}

fn shown(placements: &[Placement]) -> Vec<String> {
    placements.iter().map(Placement::to_string).collect()
}

#[test]
fn two_cpus() {
    assert_eq!(shown(&placed(&machine("0-1", blocks(2, 2, 2), &[]), None, 2)), ["0,1 (smt)"]);
    assert_eq!(shown(&placed(&machine("0-1", blocks(1, 2, 2), &[]), None, 2)), ["0,1 (core)"]);
    assert_eq!(shown(&placed(&machine("0-1", blocks(1, 1, 1), &[]), None, 2)), ["0,1 (socket)"]);
}

#[test]
fn two_sockets_of_96_cores() {
    let tree = machine("0-191", blocks(1, 96, 96), &[]);
    assert_eq!(shown(&placed(&tree, None, 2)), ["1,96 (socket)", "1,2 (core)"]);
    assert_eq!(shown(&placed(&tree, None, 3)), ["1,2,96 (socket)", "1,2,3 (core)"]);
}

/// A package of two dies, each with its own last-level cache, as Cascade Lake-AP has them.
#[test]
fn two_dies_in_a_package() {
    let tree = machine("0-95", blocks(2, 24, 48), &[]);
    assert_eq!(shown(&placed(&tree, None, 2)), ["1,48 (socket)", "1,24 (llc)", "1,2 (core)", "2,3 (smt)"]);
}

/// Sub-NUMA clusters divide a socket into nodes. CPUID, and so /sys, says that all of its CPUs share the last-level
/// cache, so there is one class. A third node has only memory.
#[test]
fn sub_numa_clusters_and_a_node_of_memory() {
    let nodes = [
        ("sys/devices/system/node/node0/cpulist", "0-3"),
        ("sys/devices/system/node/node1/cpulist", "4-7"),
        ("sys/devices/system/node/node2/cpulist", ""),
    ];
    let tree = machine("0-7", blocks(1, 8, 8), &nodes);
    assert_eq!(shown(&placed(&tree, None, 2)), ["1,2 (core)"]);
    let nodes: Vec<Option<usize>> = Topology::read_from(&tree, &[]).cpus.iter().map(|cpu| cpu.node).collect();
    assert_eq!((nodes[3], nodes[4]), (Some(0), Some(1)));
}

#[test]
fn eight_threads_to_a_core_and_cpu_0_absent() {
    let tree = machine("8-31", blocks(8, 8, 32), &[]);
    assert_eq!(shown(&placed(&tree, None, 2)), ["8,16 (llc)", "8,9 (smt)"]);
    assert_eq!(shown(&placed(&tree, None, 8))[1], "8,9,10,11,12,13,14,15 (smt)");
    // The second threads of each core are offline, as with SMT switched off, but /sys lists only what is online.
    let off = machine("8,16,24", |cpu| Says { core: cpu.to_string(), ..blocks(8, 8, 32)(cpu) }, &[]);
    assert_eq!(shown(&placed(&off, None, 2)), ["8,16 (llc)"]);
}

/// A container's cpuset leaves three CPUs of two sockets, and two CPUs are isolated, so no process has them by default.
#[test]
fn cpusets_and_isolated_cpus() {
    let tree = machine("0-15", blocks(2, 8, 8), &[("sys/devices/system/cpu/isolated", "6-7")]);
    assert_eq!(shown(&placed(&tree, Some(&[3, 5, 12]), 2)), ["3,12 (socket)", "3,5 (core)"]);
    assert_eq!(shown(&placed(&tree, Some(&[4, 5]), 2)), ["4,5 (smt)"]);
    assert_eq!(isolated(&tree), [6, 7]);
    assert_eq!(isolated(&machine("0-1", blocks(1, 2, 2), &[])), [0_usize; 0]);
}

/// An AMD chip of which one complex has stacked cache and fewer cores: the blocks are of different sizes.
#[test]
fn caches_of_different_sizes() {
    let llc = |cpu: usize| if cpu < 6 { "0-5" } else { "6-13" }.to_owned();
    let says = move |cpu: usize| Says {
        core: block(cpu, 2),
        package: "0-13".to_owned(),
        caches: vec![(3, llc(cpu))],
        ..Says::default()
    };
    assert_eq!(shown(&placed(&machine("0-13", says, &[]), None, 2)), ["1,6 (llc)", "1,2 (core)", "2,3 (smt)"]);
}

#[test]
fn a_thousand_cpus() {
    let tree = machine("0-1023", blocks(8, 16, 256), &[]);
    assert_eq!(shown(&placed(&tree, None, 2)), ["1,256 (socket)", "1,16 (llc)", "1,8 (core)", "1,2 (smt)"]);
    let placed = placed(&tree, None, 4);
    assert_eq!(
        placed.iter().map(|p| p.class).collect::<Vec<_>>(),
        [Class::Socket, Class::Llc, Class::Core, Class::Smt]
    );
    assert_eq!(placed[0].cpus, [1, 256, 512, 768]);
}

/// Three kinds of arm64 core under one last-level cache: one Cortex-X925, three Cortex-A725, four Cortex-A520.
fn phone() -> Tree {
    let says = |cpu: usize| {
        let (midr, capacity) = match cpu {
            0..4 => ("0x00000000411fd801", "260"),
            4..7 => ("0x00000000411fd871", "780"),
            _ => ("0x00000000410fd851", "1024"),
        };
        Says {
            core: cpu.to_string(),
            package: "0-7".to_owned(),
            caches: vec![(2, cpu.to_string()), (3, "0-7".to_owned())],
            files: vec![("regs/identification/midr_el1", midr.to_owned()), ("cpu_capacity", capacity.to_owned())],
            ..Says::default()
        }
    };
    machine("0-7", says, &[])
}

#[test]
fn three_kinds_of_core() {
    let topology = Topology::read_from(&phone(), &[]);
    let kinds: Vec<(&str, &[usize])> = topology.kinds.iter().map(|kind| (kind.name.as_str(), &kind.cpus[..])).collect();
    assert_eq!(kinds, [("Cortex-X925", &[7][..]), ("Cortex-A725", &[4, 5, 6]), ("Cortex-A520", &[0, 1, 2, 3])]);
    // The biggest first, P0 on either kind, and no pair of the only Cortex-X925.
    let two = placed(&phone(), None, 2);
    assert_eq!(
        shown(&two),
        [
            "7,4 (core, Cortex-X925 + Cortex-A725)",
            "4,7 (core, Cortex-A725 + Cortex-X925)",
            "7,1 (core, Cortex-X925 + Cortex-A520)",
            "1,7 (core, Cortex-A520 + Cortex-X925)",
            "4,5 (core, Cortex-A725)",
            "4,1 (core, Cortex-A725 + Cortex-A520)",
            "1,4 (core, Cortex-A520 + Cortex-A725)",
            "1,2 (core, Cortex-A520)",
        ]
    );
    assert_eq!(two[0].kinds, ["Cortex-X925", "Cortex-A725"]);
    let three = shown(&placed(&phone(), None, 3));
    assert_eq!(three.len(), 7, "{three:?}");
    assert_eq!(three[0], "7,4,5 (core, Cortex-X925 + Cortex-A725 + Cortex-A725)");
    assert!(three.contains(&"1,2,3 (core, Cortex-A520)".to_owned()), "{three:?}");
    // No test needs every kind once in every order.
    assert_eq!(three[6], "7,4,1 (core, Cortex-X925 + Cortex-A725 + Cortex-A520)");
    // A test of one thread runs on each kind.
    assert_eq!(shown(&placed(&phone(), None, 1)).len(), 3);
    // Where only CPUs of one kind may be used, its name is still said.
    assert_eq!(shown(&placed(&phone(), Some(&[1, 2]), 2)), ["1,2 (core, Cortex-A520)"]);
}

/// RK3588: the clusters of each kind have no cache in common that /sys lists.
#[test]
fn clusters_of_two_kinds() {
    let says = |cpu: usize| Says {
        core: cpu.to_string(),
        cluster: if cpu < 4 { "0-3".to_owned() } else { block(cpu, 2) },
        package: "0-7".to_owned(),
        caches: vec![(2, cpu.to_string()), (3, "0-7".to_owned())],
        files: vec![("cpu_capacity", if cpu < 4 { "530" } else { "1024" }.to_owned())],
    };
    let part = |cpu: usize| if cpu < 4 { "0xd05" } else { "0xd0b" };
    let info: Vec<String> =
        (0..8).map(|cpu| format!("processor\t: {cpu}\nCPU implementer\t: 0x41\nCPU part\t: {}\n", part(cpu))).collect();
    let tree = machine("0-7", says, &[("proc/cpuinfo", &info.join("\n"))]);
    assert_eq!(
        shown(&placed(&tree, None, 2)),
        [
            "4,6 (cluster, Cortex-A76)",
            "4,1 (cluster, Cortex-A76 + Cortex-A55)",
            "1,4 (cluster, Cortex-A55 + Cortex-A76)",
            "4,5 (core, Cortex-A76)",
            "1,2 (core, Cortex-A55)",
        ]
    );
}

/// An Intel hybrid: four P-cores of two threads, four E-cores that share a second-level cache.
#[test]
fn an_intel_hybrid() {
    let says = |cpu: usize| Says {
        core: if cpu < 8 { block(cpu, 2) } else { cpu.to_string() },
        cluster: if cpu < 8 { block(cpu, 2) } else { block(cpu, 4) },
        package: "0-11".to_owned(),
        caches: vec![(3, "0-11".to_owned())],
        ..Says::default()
    };
    let info = "processor\t: 0\nvendor_id\t: GenuineIntel\nmodel name\t: 13th Gen Intel(R) Core(TM) i5-13400\n";
    let files = [("proc/cpuinfo", info), ("sys/devices/cpu_core/cpus", "0-7"), ("sys/devices/cpu_atom/cpus", "8-11")];
    let tree = machine("0-11", says, &files);
    assert_eq!(
        shown(&placed(&tree, None, 2)),
        [
            "1,8 (cluster, P-core + E-core)",
            "8,1 (cluster, E-core + P-core)",
            "1,2 (core, P-core)",
            "8,9 (core, E-core)",
            "2,3 (smt, P-core)",
        ]
    );
}

/// SpacemiT K3: the vector cores of the second kind are in a cluster of their own.
#[test]
fn two_kinds_of_risc_v_core() {
    let arch = |cpu: usize| if cpu < 8 { "0x8000000058000002" } else { "0x8000000041000002" };
    let info: Vec<String> = (0..16)
        .map(|cpu| format!("processor\t: {cpu}\nhart\t\t: {cpu}\nmvendorid\t: 0x710\nmarchid\t\t: {}\n", arch(cpu)))
        .collect();
    let says =
        |cpu: usize| Says { core: cpu.to_string(), cluster: block(cpu, 4), package: "0-15".into(), ..Says::default() };
    let tree = machine("0-15", says, &[("proc/cpuinfo", &info.join("\n"))]);
    let found = placed(&tree, None, 2);
    let has = |kinds: &[&str], class| found.iter().any(|p| p.class == class && p.kinds == kinds);
    assert!(has(&["SpacemiT X100"; 2], Class::Core) && has(&["SpacemiT A100"; 2], Class::Cluster), "{found:?}");
    assert!(has(&["SpacemiT X100", "SpacemiT A100"], Class::Cluster), "{found:?}");
}

/// A machine of one kind says nothing about kinds, whatever it is called.
#[test]
fn one_kind_of_core_is_not_named() {
    let info = "processor\t: 0\nCPU implementer\t: 0x41\nCPU part\t: 0xd0c\n\nprocessor\t: 1\nCPU implementer\t: 0x41\nCPU part\t: 0xd0c\n";
    let tree = machine("0-1", blocks(1, 2, 2), &[("proc/cpuinfo", info)]);
    assert_eq!(Topology::read_from(&tree, &[]).kinds[0].name, "Neoverse-N1");
    let placements = placed(&tree, None, 2);
    assert_eq!(shown(&placements), ["0,1 (core)"]);
    assert!(placements[0].kinds.is_empty());
}
