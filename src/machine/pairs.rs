//! Pairs of CPUs (all, or a sample of each class), and which pairs can run at the same time.

use std::collections::{BTreeMap, HashSet};

use super::placement::{Class, KindPattern, Placement, between};
use super::topology::{Cpu, Topology};

/// The pairs among `cpus`, nearest class first: all of them, or at most `most` for each class and pair of kinds of core,
/// evenly spread. P0 is on the bigger core. With `patterns`, only pairs of these kinds: P0 on the first, P1 on the second.
pub fn pairs(
    topology: &Topology,
    cpus: &[usize],
    most: Option<usize>,
    patterns: Option<&[KindPattern]>,
) -> Vec<Placement> {
    let known: Vec<&Cpu> = cpus.iter().filter_map(|&cpu| topology.cpu(cpu)).collect();
    let mut groups: BTreeMap<(Class, usize, usize), Vec<(usize, usize)>> = BTreeMap::new();
    for (at, a) in known.iter().enumerate() {
        for b in &known[at + 1..] {
            let (big, small) = if b.kind < a.kind { (b, a) } else { (a, b) };
            let class = between(a, b);
            let mut put =
                |p0: &Cpu, p1: &Cpu| groups.entry((class, p0.kind, p1.kind)).or_default().push((p0.id, p1.id));
            let Some(patterns) = patterns else {
                put(big, small);
                continue;
            };
            let asked = |p0: &Cpu, p1: &Cpu| patterns.iter().any(|pattern| pattern[..] == [p0.kind, p1.kind]);
            if asked(big, small) {
                put(big, small);
            }
            if big.kind != small.kind && asked(small, big) {
                put(small, big);
            }
        }
    }
    let mut out = Vec::new();
    for ((class, ..), all) in groups {
        let wanted = most.map_or(all.len(), |most| most.min(all.len()));
        let sample = (0..wanted).map(|at| all[at * all.len() / wanted]);
        out.extend(sample.map(|(a, b)| Placement { kinds: topology.kinds_of(&[a, b]), cpus: vec![a, b], class }));
    }
    out
}

/// Groups placements (by index) into rounds. The placements of a round share no CPU, so they can run at the
/// same time.
///
/// The algorithm is greedy. It needs at most twice the smallest possible number of rounds.
pub fn rounds(placements: &[&Placement]) -> Vec<Vec<usize>> {
    let mut left: Vec<usize> = (0..placements.len()).collect();
    let mut rounds = Vec::new();
    while !left.is_empty() {
        let mut busy: HashSet<usize> = HashSet::new();
        let (round, rest): (Vec<usize>, Vec<usize>) = left.into_iter().partition(|&at| {
            let free = placements[at].cpus.iter().all(|cpu| !busy.contains(cpu));
            if free {
                busy.extend(&placements[at].cpus);
            }
            free
        });
        rounds.push(round);
        left = rest;
    }
    rounds
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A topology of two sockets with `cores` cores each and two hardware threads per core.
    fn topology(cores: usize) -> Topology {
        let cpu = |id: usize| {
            let (package, core) = (id / (2 * cores), id / 2);
            Cpu {
                id,
                core: vec![2 * core, 2 * core + 1],
                cluster: Vec::new(),
                llc: (package * 2 * cores..(package + 1) * 2 * cores).collect(),
                package: (package * 2 * cores..(package + 1) * 2 * cores).collect(),
                node: Some(package),
                kind: 0,
            }
        };
        Topology { cpus: (0..4 * cores).map(cpu).collect(), ..Topology::default() }
    }

    #[test]
    fn all_pairs_are_there_once_and_a_sample_has_every_class() {
        let topology = topology(4);
        let cpus: Vec<usize> = (0..16).collect();
        let all = pairs(&topology, &cpus, None, None);
        assert_eq!(all.len(), 16 * 15 / 2);
        let distinct: HashSet<&Placement> = all.iter().collect();
        assert_eq!(distinct.len(), all.len());
        let sample = pairs(&topology, &cpus, Some(5), None);
        for class in [Class::Smt, Class::Core, Class::Socket] {
            assert_eq!(sample.iter().filter(|pair| pair.class == class).count(), 5, "{class}");
        }
        // Near classes come first, each pair has its own class, and P0 is on the lower CPU number.
        assert!(all.is_sorted_by_key(|pair| pair.class));
        for pair in &all {
            let [a, b] = pair.cpus[..] else { panic!("{pair}") };
            assert!(a < b && pair.class == between(topology.cpu(a).unwrap(), topology.cpu(b).unwrap()), "{pair}");
        }
        assert_eq!(all.iter().filter(|pair| pair.class == Class::Smt).count(), 8);
        // The sample is spread over all pairs of the class. It is not the first pairs.
        let of = |pairs: &[Placement]| pairs.iter().filter(|p| p.class == Class::Socket).map(|p| p.cpus[0]).max();
        assert!(of(&sample).unwrap() > 4, "{sample:?}");
        assert_eq!(pairs(&topology, &[3, 9, 2], None, None).len(), 3);
        // 500 CPUs have about 125,000 pairs; the sample takes only 48 of them.
        let large = super::tests::topology(125);
        let cpus: Vec<usize> = (0..500).collect();
        assert_eq!(pairs(&large, &cpus, Some(16), None).len(), 48);
    }

    #[test]
    fn no_round_has_a_cpu_twice_and_none_is_left_out() {
        let topology = topology(4);
        let cpus: Vec<usize> = (0..16).collect();
        let all = pairs(&topology, &cpus, None, None);
        let placements: Vec<&Placement> = all.iter().collect();
        let rounds = rounds(&placements);
        let mut seen = HashSet::new();
        for round in &rounds {
            assert!(!round.is_empty());
            let busy: Vec<usize> = round.iter().flat_map(|&at| placements[at].cpus.clone()).collect();
            assert_eq!(busy.iter().collect::<HashSet<_>>().len(), busy.len());
            seen.extend(round.iter().copied());
        }
        assert_eq!(seen.len(), all.len());
        assert_eq!(rounds.iter().map(Vec::len).sum::<usize>(), all.len(), "a pair is run twice");
        // The fewest possible rounds are 15 of 8 pairs each.
        assert!(rounds.len() <= 30, "{}", rounds.len());
    }
}
