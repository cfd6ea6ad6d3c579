//! Topologies of known machines, as their kernels describe them.

use super::*;
use crate::machine::placement::{Class, Placement, between, exactly, place};
use crate::machine::tree::made_up::MadeUp;

fn range(first: usize, last: usize) -> String {
    if first == last { first.to_string() } else { format!("{first}-{last}") }
}

fn class(topology: &Topology, a: usize, b: usize) -> Class {
    let [a, b] = [a, b].map(|cpu| topology.cpu(cpu).unwrap());
    assert_eq!(between(a, b), between(b, a));
    between(a, b)
}

fn pair(topology: &Topology, class: Class) -> Vec<Placement> {
    let cpus: Vec<usize> = topology.cpus.iter().map(|cpu| cpu.id).collect();
    place(topology, &cpus, 2, &[class]).unwrap()
}

/// Two sockets with four cores and two threads per core, in the numbering of Xeon firmware: the first threads
/// of socket 0, then those of socket 1, then the second threads.
fn xeon() -> MadeUp {
    let made_up = MadeUp::new();
    made_up.online("0-15");
    for cpu in 0..16 {
        let (core, socket) = (cpu % 8, cpu % 8 / 4);
        let package = if socket == 0 { "0-3,8-11" } else { "4-7,12-15" };
        let siblings = format!("{core},{}", core + 8);
        made_up
            .topology(cpu, "core_cpus_list", &siblings)
            .topology(cpu, "thread_siblings_list", &siblings)
            .topology(cpu, "cluster_cpus_list", &siblings)
            .topology(cpu, "package_cpus_list", package)
            .topology(cpu, "core_siblings_list", package)
            .cache(cpu, 0, 1, "Data", "48K", &siblings)
            .cache(cpu, 1, 1, "Instruction", "32K", &siblings)
            .cache(cpu, 2, 2, "Unified", "2048K", &siblings)
            .cache(cpu, 3, 3, "Unified", "36864K", package)
            .node(cpu, socket);
    }
    made_up
}

#[test]
fn a_xeon_with_two_sockets() {
    let topology = Topology::read_from(&xeon().tree(), &[]);
    assert_eq!(topology.unread, Vec::<String>::new());
    let cpu = topology.cpu(13).unwrap();
    assert_eq!(cpu.core, [5, 13]);
    assert_eq!(cpu.cluster, [5, 13]);
    assert_eq!(cpu.llc, [4, 5, 6, 7, 12, 13, 14, 15]);
    assert_eq!(cpu.package, [4, 5, 6, 7, 12, 13, 14, 15]);
    assert_eq!(cpu.node, Some(1));
    assert_eq!(topology.cpu(2).unwrap().node, Some(0));
    assert_eq!(class(&topology, 5, 13), Class::Smt);
    assert_eq!(class(&topology, 5, 6), Class::Core);
    assert_eq!(class(&topology, 5, 14), Class::Core);
    assert_eq!(class(&topology, 3, 4), Class::Socket);
    assert_eq!(class(&topology, 0, 12), Class::Socket);
    assert_eq!(pair(&topology, Class::Smt), [exactly(&topology, &[1, 9])]);
    assert_eq!(pair(&topology, Class::Llc), []);
    assert_eq!(pair(&topology, Class::Cluster), []);
}

/// An EPYC with 16 cores and no SMT: one L3 per complex of four cores.
#[test]
fn an_epyc_with_core_complexes() {
    let made_up = MadeUp::new();
    made_up.online("0-15");
    for cpu in 0..16 {
        let complex = range(cpu / 4 * 4, cpu / 4 * 4 + 3);
        made_up
            .topology(cpu, "core_cpus_list", &cpu.to_string())
            .topology(cpu, "cluster_cpus_list", &cpu.to_string())
            .topology(cpu, "package_cpus_list", "0-15")
            .cache(cpu, 0, 1, "Data", "32K", &cpu.to_string())
            .cache(cpu, 1, 1, "Instruction", "32K", &cpu.to_string())
            .cache(cpu, 2, 2, "Unified", "512K", &cpu.to_string())
            .cache(cpu, 3, 3, "Unified", "16384K", &complex)
            .node(cpu, 0);
    }
    let topology = Topology::read_from(&made_up.tree(), &[]);
    assert_eq!(topology.cpu(6).unwrap().llc, [4, 5, 6, 7]);
    assert_eq!(class(&topology, 4, 7), Class::Core);
    assert_eq!(class(&topology, 3, 4), Class::Llc);
    assert_eq!(pair(&topology, Class::Socket), []);
    assert_eq!(pair(&topology, Class::Llc), [exactly(&topology, &[1, 4])]);
}

/// An EPYC 72F3 has one L3 per core, and that L3 is still a last-level cache.
#[test]
fn an_epyc_with_one_core_to_a_cache() {
    let made_up = MadeUp::new();
    made_up.online("0-3");
    for cpu in 0..4 {
        let siblings = range(cpu / 2 * 2, cpu / 2 * 2 + 1);
        made_up
            .topology(cpu, "core_cpus_list", &siblings)
            .topology(cpu, "package_cpus_list", "0-3")
            .cache(cpu, 0, 2, "Unified", "512K", &siblings)
            .cache(cpu, 1, 3, "Unified", "32768K", &siblings);
    }
    let topology = Topology::read_from(&made_up.tree(), &[]);
    assert_eq!(class(&topology, 0, 1), Class::Smt);
    assert_eq!(class(&topology, 1, 2), Class::Llc);
}

/// Graviton3: 64 cores share one L3, and every cluster has only one core.
#[test]
fn a_graviton() {
    let made_up = MadeUp::new();
    made_up.online("0-63");
    for cpu in 0..64 {
        made_up
            .topology(cpu, "core_cpus_list", &cpu.to_string())
            .topology(cpu, "cluster_cpus_list", &cpu.to_string())
            .topology(cpu, "package_cpus_list", "0-63")
            .cache(cpu, 0, 1, "Data", "64K", &cpu.to_string())
            .cache(cpu, 1, 1, "Instruction", "64K", &cpu.to_string())
            .cache(cpu, 2, 2, "Unified", "1024K", &cpu.to_string())
            .cache(cpu, 3, 3, "Unified", "32768K", "0-63")
            .node(cpu, 0);
    }
    let topology = Topology::read_from(&made_up.tree(), &[]);
    assert_eq!(topology.cpu(63).unwrap().llc.len(), 64);
    assert_eq!(class(&topology, 0, 63), Class::Core);
    assert_eq!(pair(&topology, Class::Core), [exactly(&topology, &[1, 2])], "CPU 0 is left alone");
    assert_eq!(place(&topology, &[0, 1, 2], 2, &Class::SPREAD).unwrap().len(), 1);
}

/// Altra: clusters of two cores, and a system-level cache behind the second-level caches that /sys does not list.
#[test]
fn an_altra_with_clusters() {
    let made_up = MadeUp::new();
    made_up.online("0-7");
    for cpu in 0..8 {
        made_up
            .topology(cpu, "core_cpus_list", &cpu.to_string())
            .topology(cpu, "cluster_cpus_list", &range(cpu / 2 * 2, cpu / 2 * 2 + 1))
            .topology(cpu, "package_cpus_list", &range(cpu / 4 * 4, cpu / 4 * 4 + 3))
            .cache(cpu, 0, 1, "Data", "64K", &cpu.to_string())
            .cache(cpu, 1, 1, "Instruction", "64K", &cpu.to_string())
            .cache(cpu, 2, 2, "Unified", "1024K", &cpu.to_string())
            .node(cpu, cpu / 4);
    }
    let topology = Topology::read_from(&made_up.tree(), &[]);
    assert_eq!(topology.cpu(2).unwrap().cluster, [2, 3]);
    assert_eq!(topology.cpu(2).unwrap().llc, Vec::<usize>::new());
    assert_eq!(class(&topology, 2, 3), Class::Core);
    assert_eq!(class(&topology, 1, 2), Class::Cluster);
    assert_eq!(class(&topology, 3, 4), Class::Socket);
}

/// RK3399: four A53 and two A72; the cores of each kind share one second-level cache.
#[test]
fn big_and_little() {
    let made_up = MadeUp::new();
    made_up.online("0-5");
    for cpu in 0..6 {
        let kind = if cpu < 4 { "0-3" } else { "4-5" };
        made_up
            .topology(cpu, "core_cpus_list", &cpu.to_string())
            .topology(cpu, "cluster_cpus_list", kind)
            .topology(cpu, "package_cpus_list", "0-5")
            .cache(cpu, 0, 1, "Data", "32K", &cpu.to_string())
            .cache(cpu, 1, 1, "Instruction", "32K", &cpu.to_string())
            .cache(cpu, 2, 2, "Unified", "512K", kind);
    }
    let topology = Topology::read_from(&made_up.tree(), &[]);
    assert_eq!(topology.cpu(5).unwrap().llc, [4, 5]);
    assert_eq!(class(&topology, 0, 3), Class::Core);
    assert_eq!(class(&topology, 3, 4), Class::Llc);
    assert_eq!(topology.cpu(0).unwrap().node, None);
}

/// POWER9: four threads per core, two cores per cache, two sockets with nodes 0 and 8, and a kernel that has only the
/// older file names.
#[test]
fn a_power9_with_four_threads() {
    let made_up = MadeUp::new();
    made_up.online("0-31");
    for cpu in 0..32 {
        let block = |size: usize| range(cpu / size * size, cpu / size * size + size - 1);
        made_up
            .topology(cpu, "thread_siblings_list", &block(4))
            .topology(cpu, "core_siblings_list", &block(16))
            .cache(cpu, 0, 1, "Data", "32K", &block(4))
            .cache(cpu, 1, 1, "Instruction", "32K", &block(4))
            .cache(cpu, 2, 2, "Unified", "512K", &block(8))
            .cache(cpu, 3, 3, "Unified", "10240K", &block(8))
            .node(cpu, cpu / 16 * 8);
    }
    let topology = Topology::read_from(&made_up.tree(), &[]);
    assert_eq!(topology.unread, Vec::<String>::new());
    let cpu = topology.cpu(21).unwrap();
    assert_eq!((&cpu.core[..], cpu.cluster.len(), cpu.node), (&[20, 21, 22, 23][..], 0, Some(8)));
    assert_eq!(cpu.llc, (16..24).collect::<Vec<_>>());
    assert_eq!(class(&topology, 20, 23), Class::Smt);
    assert_eq!(class(&topology, 23, 16), Class::Core);
    assert_eq!(class(&topology, 23, 24), Class::Llc);
    assert_eq!(class(&topology, 15, 16), Class::Socket);
    // Four threads fit on one core; five do not.
    let cpus: Vec<usize> = (0..32).collect();
    let four = place(&topology, &cpus, 4, &[Class::Smt]).unwrap();
    assert_eq!(four, [exactly(&topology, &[4, 5, 6, 7])]);
    assert_eq!(place(&topology, &cpus, 5, &[Class::Smt]).unwrap(), []);
}

/// A RISC-V board whose device tree lists no caches.
#[test]
fn a_risc_v_without_caches() {
    let made_up = MadeUp::new();
    made_up.online("0-3");
    for cpu in 0..4 {
        made_up.topology(cpu, "core_cpus_list", &cpu.to_string()).topology(cpu, "cluster_cpus_list", "0-3").topology(
            cpu,
            "package_cpus_list",
            "0-3",
        );
    }
    let topology = Topology::read_from(&made_up.tree(), &[]);
    assert_eq!(topology.cpu(1).unwrap().llc, Vec::<usize>::new());
    assert_eq!(class(&topology, 0, 3), Class::Core);
}

/// CPUs 0, 2 and 3 are offline, and the process may use only some of the others.
#[test]
fn offline_cpus_and_gaps_in_the_numbers() {
    let made_up = MadeUp::new();
    made_up.online("1,4-5,4095");
    for cpu in [1, 4, 5, 4095] {
        made_up
            .topology(cpu, "core_cpus_list", &cpu.to_string())
            .topology(cpu, "package_cpus_list", "1,4-5,4095")
            .cache(cpu, 0, 3, "Unified", "8192K", "1,4-5,4095");
    }
    let topology = Topology::read_from(&made_up.tree(), &[4]);
    assert_eq!(topology.cpus.iter().map(|cpu| cpu.id).collect::<Vec<_>>(), [1, 4, 5, 4095]);
    assert!(topology.cpu(0).is_none() && topology.cpu(2).is_none());
    assert_eq!(class(&topology, 4, 4095), Class::Core);
    use crate::machine::placement::restrict;
    assert_eq!(restrict(&topology, &[0, 4, 4095], None).unwrap(), [4, 4095]);
    assert_eq!(restrict(&topology, &[1, 4, 5], Some(&[5, 1])).unwrap(), [5, 1]);
    assert!(restrict(&topology, &[1, 4], Some(&[2])).unwrap_err().contains("online are 1,4,5,4095"));
    assert!(restrict(&topology, &[1, 4], Some(&[5])).unwrap_err().contains("allowed are 1,4"));
}

#[test]
fn what_sys_does_not_say_is_said() {
    // There is no /sys at all.
    let nothing = MadeUp::new();
    let topology = Topology::read_from(&nothing.tree(), &[0, 3]);
    assert_eq!(topology.cpus.iter().map(|cpu| cpu.id).collect::<Vec<_>>(), [0, 3]);
    assert_eq!(class(&topology, 0, 3), Class::Unknown);
    assert!(topology.unread[0].contains("/sys/devices/system/cpu/online: No such file"), "{:?}", topology.unread);
    assert!(topology.unread[0].contains("(0,3)") && topology.unread.len() == 3, "{:?}", topology.unread);
    // The text is not a list.
    let broken = MadeUp::new();
    broken.online("all of them");
    let topology = Topology::read_from(&broken.tree(), &[2]);
    assert_eq!(topology.cpus[0].id, 2);
    assert!(topology.unread[0].contains("not a CPU number"), "{:?}", topology.unread);
    // Only the caches are known, and each is separate.
    let caches = MadeUp::new();
    caches.online("0-1").cache(0, 0, 3, "Unified", "1M", "0").cache(1, 0, 3, "Unified", "1M", "1");
    let topology = Topology::read_from(&caches.tree(), &[]);
    assert_eq!(class(&topology, 0, 1), Class::Llc);
    assert!(topology.unread[0].contains("share a core with CPUs 0,1"), "{:?}", topology.unread);
    assert!(topology.unread[1].contains("share a socket with CPUs 0,1"), "{:?}", topology.unread);
    // Only the cores are known.
    let cores = MadeUp::new();
    cores.online("0-2").topology(0, "core_cpus_list", "0-1").topology(1, "core_cpus_list", "0-1");
    cores.topology(2, "core_cpus_list", "2");
    let topology = Topology::read_from(&cores.tree(), &[]);
    assert_eq!((class(&topology, 0, 1), class(&topology, 1, 2)), (Class::Smt, Class::Core));
    assert_eq!(topology.unread, ["/sys does not say which CPUs share a socket with CPUs 0-2"]);
}

#[test]
fn the_highest_level_that_holds_data_is_the_last() {
    let made_up = MadeUp::new();
    made_up.online("0-3");
    for cpu in 0..4 {
        made_up
            .topology(cpu, "core_cpus_list", &cpu.to_string())
            .topology(cpu, "package_cpus_list", "0-3")
            // The indices are out of order, and the highest level is an instruction cache.
            .cache(cpu, 0, 3, "Unified", "8M", "0-3")
            .cache(cpu, 1, 2, "Data", "1M", &range(cpu / 2 * 2, cpu / 2 * 2 + 1))
            .cache(cpu, 2, 4, "Instruction", "1M", &cpu.to_string());
    }
    let topology = Topology::read_from(&made_up.tree(), &[]);
    assert_eq!(topology.cpu(0).unwrap().llc, [0, 1, 2, 3]);
}

/// A POWER server with eight threads to a core, whose first core is offline. The last-level cache belongs to one core.
#[test]
fn a_power10_with_eight_threads() {
    let made_up = MadeUp::new();
    made_up.online("8-31");
    for cpu in 8..32 {
        let core = range(cpu / 8 * 8, cpu / 8 * 8 + 7);
        made_up
            .topology(cpu, "core_cpus_list", &core)
            .topology(cpu, "package_cpus_list", "8-31")
            .cache(cpu, 0, 3, "Unified", "4M", &core);
    }
    let topology = Topology::read_from(&made_up.tree(), &[]);
    assert_eq!(topology.cpus[0].id, 8);
    assert_eq!(class(&topology, 8, 15), Class::Smt);
    assert_eq!(class(&topology, 15, 16), Class::Llc);
    let cpus: Vec<usize> = (8..32).collect();
    let eight = place(&topology, &cpus, 8, &[Class::Smt]).unwrap();
    assert_eq!(eight[0].cpus, (8..16).collect::<Vec<_>>());
}

/// One socket that is split into two NUMA nodes (sub-NUMA clustering), and a third node that has only memory. No CPU
/// has a link to its node, as in older kernels, and the device tree's strings end with a NUL.
#[test]
fn nodes_below_a_socket_and_nodes_of_memory() {
    let made_up = MadeUp::new();
    made_up.write("sys/devices/system/cpu/online", "0-3\0");
    for cpu in 0..4 {
        made_up
            .topology(cpu, "core_cpus_list", &format!("{cpu}\0"))
            .topology(cpu, "package_cpus_list", "0-3")
            .cache(cpu, 0, 3, "Unified", "32M", "0-3");
    }
    for (node, cpus) in [(0, "0-1"), (1, "2-3"), (2, "")] {
        made_up.write(&format!("sys/devices/system/node/node{node}/cpulist"), cpus);
    }
    let topology = Topology::read_from(&made_up.tree(), &[]);
    assert_eq!(topology.unread, Vec::<String>::new());
    assert_eq!(topology.cpus.iter().map(|cpu| cpu.node).collect::<Vec<_>>(), [Some(0), Some(0), Some(1), Some(1)]);
    assert_eq!(class(&topology, 1, 2), Class::Core);
}

/// Two kinds of cores: two large ones with a cache of their own cluster, four small ones with a smaller cache.
#[test]
fn clusters_with_different_caches() {
    let made_up = MadeUp::new();
    made_up.online("0-5");
    for cpu in 0..6 {
        let (cluster, size) = if cpu < 2 { ("0-1", "2M") } else { ("2-5", "1M") };
        made_up
            .topology(cpu, "core_cpus_list", &cpu.to_string())
            .topology(cpu, "cluster_cpus_list", cluster)
            .topology(cpu, "package_cpus_list", "0-5")
            .cache(cpu, 0, 2, "Unified", size, cluster);
    }
    let topology = Topology::read_from(&made_up.tree(), &[]);
    assert_eq!(
        (class(&topology, 0, 1), class(&topology, 1, 2), class(&topology, 2, 5)),
        (Class::Core, Class::Llc, Class::Core)
    );
    assert_eq!(pair(&topology, Class::Core).len(), 1);
}
