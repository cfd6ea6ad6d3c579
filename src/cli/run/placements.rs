//! What `wakerace run` runs, and where: the scenarios, and the placements of each.

use std::collections::HashSet;

use super::args::RunArgs;
use crate::arch::Arch;
use crate::catalogue::{self, Scenario};
use crate::error::{Error, Result};
use crate::machine::{self, Class, Placement, Topology};
use crate::terminal;

/// The scenarios to run: first the controls, then the named scenarios or the default ones.
pub(super) fn chosen_scenarios(args: &RunArgs, arch: Arch) -> Result<Vec<Scenario>> {
    let asked = if args.scenarios.is_empty() {
        catalogue::DEFAULT.into_iter().map(catalogue::named).collect::<Result<Vec<_>>>()?
    } else {
        catalogue::resolve(&args.scenarios)?
    };
    let mut all = Vec::new();
    if !args.no_controls {
        for name in catalogue::controls(arch) {
            all.push(catalogue::named(name)?);
        }
    }
    for scenario in asked {
        if let Some(reason) = scenario.refused_by(arch) {
            terminal::err(&format!("{} is not run on {arch}: {reason}\n", scenario.name));
        } else if !all.iter().any(|known| known.sha256 == scenario.sha256) {
            all.push(scenario);
        }
    }
    if all.is_empty() {
        return Err(Error::Host(format!("none of the named scenarios can run on {arch}")));
    }
    Ok(all)
}

/// Every scenario with every placement that it runs on, controls first.
///
/// # Errors
/// If a scenario has no placement on these CPUs.
pub(super) fn planned<'a>(
    args: &RunArgs,
    arch: Arch,
    topology: &Topology,
    cpus: &[usize],
    scenarios: &'a [Scenario],
) -> Result<Vec<(&'a Scenario, Placement)>> {
    let mut planned = Vec::new();
    for scenario in scenarios {
        for placement in placements(args, topology, cpus, scenario)? {
            planned.push((scenario, placement));
        }
    }
    Ok(with_pairs_of_controls(planned, topology, arch))
}

/// The placements that a scenario runs on.
fn placements(args: &RunArgs, topology: &Topology, cpus: &[usize], scenario: &Scenario) -> Result<Vec<Placement>> {
    let threads = scenario.program.threads.len();
    let fail = |reason: String| Error::Usage(format!("{}: {reason}", scenario.name));
    if cpus.len() < threads && args.oversubscribe && !cpus.is_empty() {
        return Ok(vec![machine::oversubscribed(cpus, threads)]);
    }
    if let Some(wanted) = args.pairs.filter(|_| threads == 2) {
        let pairs = machine::pairs(topology, cpus, wanted.most());
        return if pairs.is_empty() { Err(fail("--pairs needs two CPUs".to_owned())) } else { Ok(pairs) };
    }
    if args.cpus.is_some() && cpus.len() == threads && args.placement.is_empty() {
        return Ok(vec![machine::exactly(topology, cpus)]);
    }
    let classes: &[Class] = if args.placement.is_empty() { &Class::SPREAD } else { &args.placement };
    let placements = machine::place(topology, cpus, threads, classes).map_err(fail)?;
    if placements.is_empty() {
        let wanted: Vec<&str> = classes.iter().map(|class| class.name()).collect();
        return Err(fail(format!(
            "among the CPUs {} there are no {threads} with --placement {}; `wakerace topology` shows the placements of this host",
            machine::format_cpu_list(cpus),
            wanted.join(",")
        )));
    }
    Ok(placements)
}

/// Adds placements of the controls for tests of more than two threads.
///
/// A zero of such a test needs controls on pairs of its CPUs. So each control also runs on P0's CPU paired
/// with each of the other CPUs. Threads that share a CPU see no reordering of each other, so placements with
/// a shared CPU add no control.
fn with_pairs_of_controls<'a>(
    planned: Vec<(&'a Scenario, Placement)>,
    topology: &Topology,
    arch: Arch,
) -> Vec<(&'a Scenario, Placement)> {
    let many = planned.iter().map(|(_, placement)| &placement.cpus);
    let many = many.filter(|cpus| cpus.len() > 2 && cpus.iter().collect::<HashSet<_>>().len() == cpus.len());
    let mut pairs: Vec<[usize; 2]> = many.flat_map(|cpus| cpus[1..].iter().map(|other| [cpus[0], *other])).collect();
    pairs.sort_unstable();
    pairs.dedup();
    let mut out = Vec::new();
    for of_scenario in planned.chunk_by(|a, b| a.0.sha256 == b.0.sha256) {
        out.extend_from_slice(of_scenario);
        let scenario = of_scenario[0].0;
        if scenario.is_control(arch) && scenario.program.threads.len() == 2 {
            let known = |pair: &[usize; 2]| {
                of_scenario.iter().any(|(_, placement)| pair.iter().all(|cpu| placement.cpus.contains(cpu)))
            };
            let more = pairs.iter().filter(|pair| !known(pair));
            out.extend(more.map(|pair| (scenario, machine::exactly(topology, pair))));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn controls_run_on_the_pairs_of_a_larger_test() {
        let scenarios =
            ["SB", "S01-core+nt+wmb", "S01-core+nt", "S14-third-cpu"].map(|name| catalogue::named(name).unwrap());
        let topology = Topology { cpus: Vec::new(), unread: Vec::new() };
        let placement = |cpus: &[usize]| Placement { cpus: cpus.to_vec(), class: Class::Core };
        let plan = |cpus: &[usize]| {
            let planned: Vec<_> = (scenarios.iter())
                .map(|scenario| {
                    let threads = scenario.program.threads.len();
                    (scenario, placement(if threads == 2 { &[0, 1] } else { cpus }))
                })
                .collect();
            let planned = with_pairs_of_controls(planned, &topology, Arch::X86_64);
            planned.into_iter().map(|(scenario, placement)| (scenario.name.clone(), placement.cpus)).collect::<Vec<_>>()
        };
        let line = |name: &str, cpus: &[usize]| (name.to_owned(), cpus.to_vec());
        let mut wanted = vec![
            line("SB", &[0, 1]),
            line("SB", &[0, 2]),
            line("S01-core+nt+wmb", &[0, 1]),
            line("S01-core+nt", &[0, 1]),
            line("S01-core+nt", &[0, 2]),
            line("S14-third-cpu", &[0, 1, 2]),
        ];
        assert_eq!(plan(&[0, 1, 2]), wanted);
        wanted.retain(|(_, cpus)| cpus != &[0, 2]);
        wanted.last_mut().unwrap().1 = vec![0, 1, 0];
        assert_eq!(plan(&[0, 1, 0]), wanted);
    }
}
