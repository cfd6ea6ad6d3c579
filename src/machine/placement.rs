//! Which CPUs the threads of a test run on.
//!
//! The class of a placement is the widest boundary between any two of its threads:
//!
//! | class | the threads are |
//! |---|---|
//! | smt | hardware threads of one core |
//! | core | on different cores of one cluster, or of one last-level cache where there are no clusters |
//! | cluster | in different clusters under one last-level cache |
//! | llc | under different last-level caches of one socket |
//! | socket | on different sockets |
//! | unknown | on CPUs for which /sys does not say what they share |
//!
//! On a machine with several kinds of core, a placement also has a kind for each thread. Writer and reader take
//! different parts in a race, so P0 on a big core and P1 on a small one is another placement than the reverse.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::fmt;
use std::str::FromStr;

use super::cpulist::{format_cpu_list, in_order};
use super::topology::{Cpu, Topology};

/// The widest boundary between the CPUs of a placement, ordered from near to far.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum Class {
    /// There is only one thread, or there are more threads than CPUs.
    Shared,
    /// The threads are on hardware threads of one core.
    Smt,
    /// The threads are on cores of one cluster.
    Core,
    /// The threads are in clusters under one last-level cache.
    Cluster,
    /// The threads are under different last-level caches of one socket.
    Llc,
    /// The threads are on different sockets.
    Socket,
    /// /sys does not say what the CPUs share.
    Unknown,
}

impl Class {
    /// The classes that separate threads, from far to near. `Unknown` comes first.
    pub const SPREAD: [Class; 6] = [Class::Unknown, Class::Socket, Class::Llc, Class::Cluster, Class::Core, Class::Smt];

    /// The class's name on the command line and in records.
    pub const fn name(self) -> &'static str {
        match self {
            Class::Shared => "shared",
            Class::Smt => "smt",
            Class::Core => "core",
            Class::Cluster => "cluster",
            Class::Llc => "llc",
            Class::Socket => "socket",
            Class::Unknown => "unknown",
        }
    }
}

impl fmt::Display for Class {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Class {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        // Nobody can ask for the class `unknown`.
        let known = || Class::SPREAD.into_iter().rev().filter(|class| *class != Class::Unknown);
        known().find(|class| class.name() == text).ok_or_else(|| {
            let known: Vec<&str> = known().map(Class::name).collect();
            format!("unknown placement class '{text}'; known are {}", known.join(", "))
        })
    }
}

/// The CPUs of P0, P1, ..., and the distance between them.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Placement {
    /// The CPU numbers, P0's first.
    pub cpus: Vec<usize>,
    /// The widest boundary between any two of them.
    pub class: Class,
    /// The kind of core of each CPU. Empty if the machine has one kind.
    pub kinds: Vec<String>,
}

impl fmt::Display for Placement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", in_order(&self.cpus), class_and_kinds(self.class, &self.kinds))
    }
}

/// A placement's class, and the kinds of its cores if the machine has several: `llc, Cortex-X925 + Cortex-A725`, or
/// `core, Cortex-A725` if all are of one kind.
pub fn class_and_kinds(class: Class, kinds: &[String]) -> String {
    match kinds {
        [] => class.to_string(),
        [first, others @ ..] if others.iter().all(|other| other == first) => format!("{class}, {first}"),
        kinds => format!("{class}, {}", kinds.join(" + ")),
    }
}

/// The kind of core that each thread of a test runs on: places in [`Topology::kinds`].
pub type KindPattern = Vec<usize>;

/// The boundary between two different CPUs.
///
/// It is the nearest thing that they are known to share. Where /sys does not say enough, it is the farthest
/// thing that is known to separate them.
pub fn between(a: &Cpu, b: &Cpu) -> Class {
    let same = |list: fn(&Cpu) -> &Vec<usize>| list(a).contains(&b.id);
    boundary(
        [same(|cpu| &cpu.core), same(|cpu| &cpu.cluster), same(|cpu| &cpu.llc), same(|cpu| &cpu.package)],
        [!a.core.is_empty(), !a.llc.is_empty(), !a.package.is_empty()],
        clustered(a) || clustered(b),
    )
}

/// Whether the cluster is larger than the core. On some machines every core is a cluster by itself. Such a cluster is
/// not a boundary.
fn clustered(cpu: &Cpu) -> bool {
    cpu.cluster.len() > cpu.core.len().max(1)
}

/// The boundary between two CPUs, by whether they have the same core, cluster, last-level cache and socket, whether
/// core, last-level cache and socket are known at all, and whether clusters are larger than cores.
fn boundary(same: [bool; 4], known: [bool; 3], clustered: bool) -> Class {
    let [same_core, same_cluster, same_llc, same_package] = same;
    let [core, llc, package] = known;
    let apart = if clustered { Class::Cluster } else { Class::Core };
    if same_core {
        Class::Smt
    } else if same_cluster {
        Class::Core
    } else if same_llc {
        apart
    } else if same_package {
        // Without a description of the last-level cache there is no sign of more than one.
        if llc { Class::Llc } else { apart }
    } else if package {
        Class::Socket
    } else if llc {
        Class::Llc
    } else if core {
        apart
    } else {
        Class::Unknown
    }
}

/// The allowed CPUs that are online; if `named` is given, these CPUs after a check.
///
/// # Errors
/// A text that says what is wrong with a named CPU: it is not on this host, is offline, or is not allowed to
/// this process.
pub fn restrict(topology: &Topology, allowed: &[usize], named: Option<&[usize]>) -> Result<Vec<usize>, String> {
    let Some(named) = named else {
        return Ok(allowed.iter().copied().filter(|&cpu| topology.cpu(cpu).is_some()).collect());
    };
    let online: Vec<usize> = topology.cpus.iter().map(|cpu| cpu.id).collect();
    for cpu in named {
        if !online.contains(cpu) {
            return Err(format!("CPU {cpu} does not exist or is offline; online are {}", format_cpu_list(&online)));
        }
        if !allowed.contains(cpu) {
            return Err(format!(
                "CPU {cpu} is not allowed to this process (cpuset or taskset); allowed are {}",
                format_cpu_list(allowed)
            ));
        }
    }
    Ok(named.to_vec())
}

/// One placement for each class in `classes` and each combination of kinds of core ([`kind_patterns`]) that exists among
/// `cpus`, farthest class first, and for each class the biggest cores first.
///
/// # Errors
/// If there are fewer CPUs than threads.
pub fn place(topology: &Topology, cpus: &[usize], threads: usize, classes: &[Class]) -> Result<Vec<Placement>, String> {
    place_on(topology, cpus, threads, classes, &kind_patterns(topology, cpus, threads))
}

/// The combinations of kinds of core that a test of `threads` threads is run on: all of one kind, and P0 on one kind and
/// the others on another. If there are as many kinds as threads, also one kind for each thread. A combination with
/// bigger cores comes before one with smaller cores. With one kind there is one combination.
pub fn kind_patterns(topology: &Topology, cpus: &[usize], threads: usize) -> Vec<KindPattern> {
    let mut kinds: Vec<usize> = cpus.iter().filter_map(|&cpu| topology.cpu(cpu)).map(|cpu| cpu.kind).collect();
    kinds.sort_unstable();
    kinds.dedup();
    if threads == 1 {
        return kinds.into_iter().map(|kind| vec![kind]).collect();
    }
    let mut ends: Vec<(usize, usize)> =
        kinds.iter().flat_map(|&p0| kinds.iter().map(move |&last| (p0, last))).collect();
    ends.sort_unstable_by_key(|&(p0, last)| (p0.min(last), p0.max(last), p0));
    let pattern = |(p0, others)| (0..threads).map(|thread| if thread == 0 { p0 } else { others }).collect();
    let mut patterns: Vec<KindPattern> = ends.into_iter().map(pattern).collect();
    if threads > 2 && kinds.len() >= threads {
        patterns.push(kinds[..threads].to_vec());
    }
    patterns
}

/// One placement for each class in `classes` and each of these combinations of kinds that exists among `cpus`.
///
/// # Errors
/// If there are fewer CPUs than threads.
pub fn place_on(
    topology: &Topology,
    cpus: &[usize],
    threads: usize,
    classes: &[Class],
    patterns: &[KindPattern],
) -> Result<Vec<Placement>, String> {
    if cpus.len() < threads {
        return Err(format!(
            "the test has {threads} threads, but only {} CPU{} may be used ({}); allow more CPUs with -c",
            cpus.len(),
            if cpus.len() == 1 { "" } else { "s" },
            format_cpu_list(cpus)
        ));
    }
    if threads == 1 {
        let of_kind =
            |kind: usize| cpus.iter().rev().find(|&&cpu| topology.cpu(cpu).is_some_and(|cpu| cpu.kind == kind));
        let cpus = patterns.iter().filter_map(|pattern| of_kind(pattern[0]));
        return Ok(cpus.map(|&cpu| placement(topology, vec![cpu], Class::Shared)).collect());
    }
    let candidates = Candidates::new(cpus.iter().filter_map(|&cpu| topology.cpu(cpu)).collect());
    let spread = Class::SPREAD.into_iter().filter(|class| classes.contains(class));
    let each = spread.flat_map(|class| patterns.iter().map(move |pattern| (class, pattern)));
    let found = each.filter_map(|(class, pattern)| Some((candidates.best_of_class(pattern, class)?, class)));
    Ok(found.map(|(cpus, class)| placement(topology, cpus, class)).collect())
}

fn placement(topology: &Topology, cpus: Vec<usize>, class: Class) -> Placement {
    Placement { kinds: topology.kinds_of(&cpus), cpus, class }
}

/// The placement on exactly these CPUs, in this order.
pub fn exactly(topology: &Topology, cpus: &[usize]) -> Placement {
    let known: Vec<&Cpu> = cpus.iter().filter_map(|&cpu| topology.cpu(cpu)).collect();
    let pairs = known.iter().enumerate().flat_map(|(at, a)| known[..at].iter().map(move |b| between(a, b)));
    placement(topology, cpus.to_vec(), pairs.max().unwrap_or(Class::Shared))
}

/// The placement of all threads on the given CPUs in turn, with several threads per CPU if there are too few.
pub fn oversubscribed(topology: &Topology, cpus: &[usize], threads: usize) -> Placement {
    placement(topology, (0..threads).map(|thread| cpus[thread % cpus.len()]).collect(), Class::Shared)
}

/// CPUs among which a placement is searched. Distances between them take constant time, so that a search over all
/// pairs of a machine with 1,024 CPUs takes milliseconds (benches/placement.rs).
struct Candidates<'t> {
    cpus: Vec<&'t Cpu>,
    shares: Vec<Shares>,
}

/// What a CPU shares. CPUs that share a thing have the same number for it; `None` if /sys does not say.
struct Shares {
    core: Option<usize>,
    cluster: Option<usize>,
    llc: Option<usize>,
    package: Option<usize>,
    /// See [`clustered`].
    clustered: bool,
}

/// Numbers the lists of CPUs at one level: equal lists get equal numbers.
#[derive(Default)]
struct Numbers<'t>(HashMap<&'t [usize], usize>);

impl<'t> Numbers<'t> {
    fn of(&mut self, list: &'t [usize]) -> Option<usize> {
        let next = self.0.len();
        (!list.is_empty()).then(|| *self.0.entry(list).or_insert(next))
    }
}

impl<'t> Candidates<'t> {
    fn new(cpus: Vec<&'t Cpu>) -> Candidates<'t> {
        let [mut core, mut cluster, mut llc, mut package] = [(); 4].map(|()| Numbers::default());
        let shares = cpus.iter().map(|cpu| Shares {
            core: core.of(&cpu.core),
            cluster: cluster.of(&cpu.cluster),
            llc: llc.of(&cpu.llc),
            package: package.of(&cpu.package),
            clustered: clustered(cpu),
        });
        let shares = shares.collect();
        Candidates { cpus, shares }
    }

    /// The boundary between two candidates: as [`between`].
    fn distance(&self, a: usize, b: usize) -> Class {
        let (a, b) = (&self.shares[a], &self.shares[b]);
        let same = |of: fn(&Shares) -> Option<usize>| of(a).is_some() && of(a) == of(b);
        boundary(
            [same(|cpu| cpu.core), same(|cpu| cpu.cluster), same(|cpu| cpu.llc), same(|cpu| cpu.package)],
            [a.core.is_some(), a.llc.is_some(), a.package.is_some()],
            a.clustered || b.clustered,
        )
    }

    /// The CPUs of threads on these kinds of core with the most pairs at exactly this class and no pair farther apart.
    /// Among equal sets it takes one without CPU 0, because CPU 0 handles most interrupts.
    fn best_of_class(&self, kinds: &[usize], class: Class) -> Option<Vec<usize>> {
        let is_0 = |at: usize| self.cpus[at].id == 0;
        let threads = kinds.len();
        let perfect = (threads * (threads - 1) / 2, true);
        let mut best: Option<((usize, bool), Vec<usize>)> = None;
        for first in 0..self.cpus.len() {
            let Some(chosen) = self.grow(first, kinds, class) else { continue };
            let pairs = (0..threads).flat_map(|a| (0..a).map(move |b| (a, b)));
            let exact = pairs.filter(|&(a, b)| self.distance(chosen[a], chosen[b]) == class).count();
            let score = (exact, !chosen.iter().any(|&at| is_0(at)));
            if exact > 0 && best.as_ref().is_none_or(|(known, _)| score > *known) {
                best = Some((score, chosen));
            }
            if best.as_ref().is_some_and(|(score, _)| *score == perfect) {
                break;
            }
        }
        // Threads on cores of one kind are on ascending CPUs.
        let mut chosen: Vec<&Cpu> = best?.1.into_iter().map(|at| self.cpus[at]).collect();
        chosen.sort_unstable_by_key(|cpu| cpu.id);
        let mut take = |kind: usize| chosen.iter().position(|cpu| cpu.kind == kind).map(|at| chosen.remove(at).id);
        kinds.iter().map(|&kind| take(kind)).collect()
    }

    /// CPUs for threads on these kinds of core, beginning with `first`: each next one has the most CPUs of the set at
    /// exactly this class, and none farther away. `None` if there are too few.
    fn grow(&self, first: usize, kinds: &[usize], class: Class) -> Option<Vec<usize>> {
        if self.cpus[first].kind != kinds[0] {
            return None;
        }
        let mut chosen = vec![first];
        while let Some(&kind) = kinds.get(chosen.len()) {
            let score = |at: usize| {
                let mut exact = 0;
                for &other in &chosen {
                    let distance = self.distance(other, at);
                    if distance > class {
                        return None;
                    }
                    exact += usize::from(distance == class);
                }
                (exact > 0 || chosen.len() > 1).then_some(exact)
            };
            let unused = (0..self.cpus.len()).filter(|at| self.cpus[*at].kind == kind && !chosen.contains(at));
            let next = unused.filter_map(|at| Some((score(at)?, self.cpus[at].id != 0, Reverse(self.cpus[at].id), at)));
            let (.., at) = next.max_by_key(|(exact, spare, low, _)| (*exact, *spare, *low))?;
            chosen.push(at);
        }
        Some(chosen)
    }
}

#[cfg(test)]
mod shapes;

#[cfg(test)]
mod tests {
    use super::*;

    /// Two sockets, each with two last-level caches of two clusters of two cores with two threads: 32 CPUs.
    fn big() -> Topology {
        let block = |id: usize, size: usize| (id / size * size..id / size * size + size).collect::<Vec<_>>();
        let cpus = (0..32).map(|id| Cpu {
            id,
            core: block(id, 2),
            cluster: block(id, 4),
            llc: block(id, 8),
            package: block(id, 16),
            node: Some(id / 16),
            kind: 0,
        });
        Topology { cpus: cpus.collect(), ..Topology::default() }
    }

    fn all(topology: &Topology) -> Vec<usize> {
        topology.cpus.iter().map(|cpu| cpu.id).collect()
    }

    #[test]
    fn every_class_is_found_far_ones_first() {
        let topology = big();
        let placements = place(&topology, &all(&topology), 2, &Class::SPREAD).unwrap();
        assert_eq!(placements.iter().map(|p| p.class).collect::<Vec<_>>(), Class::SPREAD[1..]);
        for placement in placements {
            let [a, b] = placement.cpus[..] else { panic!("two CPUs") };
            assert_eq!(between(&topology.cpus[a], &topology.cpus[b]), placement.class);
            assert_ne!(a, 0, "CPU 0 is left alone where there is a choice");
        }
    }

    #[test]
    fn classes_go_from_near_to_far_and_read_as_they_are_written() {
        let near_to_far = [
            (Class::Shared, "shared"),
            (Class::Smt, "smt"),
            (Class::Core, "core"),
            (Class::Cluster, "cluster"),
            (Class::Llc, "llc"),
            (Class::Socket, "socket"),
            (Class::Unknown, "unknown"),
        ];
        assert!(near_to_far.is_sorted());
        for (class, name) in near_to_far {
            assert_eq!(class.to_string(), name);
            assert_eq!(serde_json::to_string(&class).unwrap(), format!("\"{name}\""));
            let can_be_asked_for = !matches!(class, Class::Shared | Class::Unknown);
            assert_eq!(
                name.parse(),
                if can_be_asked_for { Ok(class) } else { Err(name.parse::<Class>().unwrap_err()) }
            );
        }
        assert_eq!(Class::SPREAD.into_iter().rev().collect::<Vec<_>>(), near_to_far.map(|(class, _)| class)[1..]);
    }

    #[test]
    fn the_search_sees_the_distances_that_pairs_have() {
        let odd = |id: usize, core: &[usize], llc: &[usize], package: &[usize]| Cpu {
            id,
            core: core.to_vec(),
            cluster: Vec::new(),
            llc: llc.to_vec(),
            package: package.to_vec(),
            node: None,
            kind: 0,
        };
        let unknown = vec![
            odd(0, &[0, 1], &[0, 1], &[]),
            odd(1, &[0, 1], &[0, 1], &[]),
            odd(2, &[2], &[2, 3], &[]),
            odd(3, &[3], &[2, 3], &[3, 4]),
            odd(4, &[4], &[], &[3, 4]),
            odd(5, &[], &[], &[]),
        ];
        for cpus in [big().cpus, unknown] {
            let candidates = Candidates::new(cpus.iter().collect());
            for a in 0..cpus.len() {
                for b in (0..cpus.len()).filter(|&b| b != a) {
                    assert_eq!(candidates.distance(a, b), between(&cpus[a], &cpus[b]), "{a} {b}");
                }
            }
        }
    }

    #[test]
    fn what_is_named_is_placed_as_named() {
        let topology = big();
        let place = |cpus: &[usize]| exactly(&topology, cpus);
        assert_eq!(place(&[9, 8]), Placement { cpus: vec![9, 8], class: Class::Smt, kinds: Vec::new() });
        assert_eq!(place(&[0, 2, 31]).class, Class::Socket, "the widest of all pairs");
        assert_eq!(place(&[2, 0, 1]).class, Class::Core);
        assert_eq!(place(&[5]).class, Class::Shared);
        assert_eq!(restrict(&topology, &[4, 2], Some(&[2, 4])).unwrap(), [2, 4]);
    }

    #[test]
    fn one_thread_and_cpu_0() {
        let topology = big();
        let one = super::place(&topology, &[0, 1, 2], 1, &Class::SPREAD).unwrap();
        assert_eq!(one, [exactly(&topology, &[2])]);
        // CPU 0 is taken if there is no choice.
        let placements = super::place(&topology, &[0, 1, 8], 2, &[Class::Smt, Class::Llc]).unwrap();
        assert_eq!(placements, [exactly(&topology, &[1, 8]), exactly(&topology, &[0, 1])]);
        assert_eq!(placements.iter().map(|p| p.class).collect::<Vec<_>>(), [Class::Llc, Class::Smt]);
        // No pair of the three threads is farther apart than the class, and as many pairs as possible are at
        // exactly the class.
        let three = super::place(&topology, &(0..32).collect::<Vec<_>>(), 3, &[Class::Cluster]).unwrap();
        let [a, b, c] = three[0].cpus[..] else { panic!("{three:?}") };
        let distance = |a: usize, b: usize| between(&topology.cpus[a], &topology.cpus[b]);
        let mut distances = [distance(a, b), distance(b, c), distance(a, c)];
        distances.sort_unstable();
        assert_eq!(distances[1..], [Class::Cluster; 2], "{three:?}");
        assert!(distances[0] < Class::Cluster);
    }

    #[test]
    fn larger_tests_spread_as_far_as_the_class_goes() {
        let topology = big();
        let placements = place(&topology, &all(&topology), 4, &Class::SPREAD).unwrap();
        let classes: Vec<Class> = placements.iter().map(|p| p.class).collect();
        // Four threads do not fit on one core.
        assert_eq!(classes, [Class::Socket, Class::Llc, Class::Cluster, Class::Core]);
        assert!(placements.iter().all(|p| p.cpus.len() == 4));
    }

    #[test]
    fn cores_that_are_clusters_of_their_own_are_cores() {
        let cpu =
            |id| Cpu { id, core: vec![id], cluster: vec![id], llc: vec![0, 1], package: vec![0, 1], ..Cpu::default() };
        assert_eq!(between(&cpu(0), &cpu(1)), Class::Core);
    }

    #[test]
    fn a_host_that_says_nothing_still_works() {
        let cpus = (0..2).map(|id| Cpu { id, ..Cpu::default() }).collect();
        let topology = Topology { cpus, ..Topology::default() };
        let placements = place(&topology, &[0, 1], 2, &Class::SPREAD).unwrap();
        assert_eq!(placements, [exactly(&topology, &[0, 1])]);
        assert_eq!(exactly(&topology, &[1, 0]).class, Class::Unknown);
        assert!("unknown".parse::<Class>().unwrap_err().contains("known are smt, core, cluster, llc, socket"));
    }

    #[test]
    fn too_few_cpus_are_refused_in_words() {
        let topology = big();
        let error = place(&topology, &[3], 2, &Class::SPREAD).unwrap_err();
        assert!(error.contains("2 threads") && error.contains("only 1 CPU may be used (3)"), "{error}");
        assert!(restrict(&topology, &[0, 1], Some(&[40])).unwrap_err().contains("does not exist"));
        assert!(restrict(&topology, &[0, 1], Some(&[2])).unwrap_err().contains("not allowed"));
        assert_eq!(oversubscribed(&topology, &[4, 5], 3).cpus, [4, 5, 4]);
    }
}
