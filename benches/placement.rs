//! The time to place threads on large machines, in milliseconds: the median of nine searches.
//!
//! The goal is less than 200 ms for every class and up to four threads on 1,024 CPUs.

use std::time::Instant;

use wakerace::machine::{Class, Cpu, Topology, place};

/// A machine with this many CPUs, in blocks of the given sizes.
fn machine(cpus: usize, core: usize, cluster: usize, llc: usize, package: usize) -> Topology {
    let block = |id: usize, size: usize| (id / size * size..id / size * size + size).collect::<Vec<_>>();
    let cpus = (0..cpus).map(|id| Cpu {
        id,
        core: block(id, core),
        cluster: block(id, cluster),
        llc: block(id, llc),
        package: block(id, package),
        node: Some(id / package),
        kind: 0,
    });
    Topology { cpus: cpus.collect(), ..Topology::default() }
}

fn main() {
    // A machine with three kinds of core: the search is repeated for each combination.
    let mut mixed = machine(1024, 1, 4, 64, 1024);
    for cpu in &mut mixed.cpus {
        cpu.kind = cpu.id / 4 % 3;
    }
    let machines = [
        ("1,024 CPUs of three kinds", mixed),
        ("2 sockets of 96 cores", machine(192, 1, 1, 96, 96)),
        ("2 sockets of 128 cores with 2 threads, caches of 8 cores", machine(512, 2, 2, 16, 256)),
        ("4 sockets, SMT8, 1,024 CPUs", machine(1024, 8, 8, 16, 256)),
        ("1,024 CPUs in one cache", machine(1024, 1, 1, 1024, 1024)),
    ];
    for (name, topology) in machines {
        let cpus: Vec<usize> = topology.cpus.iter().map(|cpu| cpu.id).collect();
        for threads in 2..=4 {
            let mut times: Vec<f64> = (0..9)
                .map(|_| {
                    let begin = Instant::now();
                    place(&topology, &cpus, threads, &Class::SPREAD).expect("there are enough CPUs");
                    begin.elapsed().as_secs_f64() * 1e3
                })
                .collect();
            times.sort_unstable_by(f64::total_cmp);
            println!("{name}: {threads} threads: {:.2} ms", times[4]);
        }
    }
}
