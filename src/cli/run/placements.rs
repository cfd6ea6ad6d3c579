//! What `wakerace run` runs, and where: the scenarios, and the placements of each.

use std::collections::{BTreeMap, HashSet};

use super::args::RunArgs;
use super::experiments::{DEFAULT_LEAST, DEFAULT_TOTAL};
use super::kinds;
use crate::arch::Arch;
use crate::catalogue::{self, Scenario};
use crate::cli::topology::or_oversubscribed;
use crate::codegen::SHORTEST_LINE;
use crate::error::{Error, Result};
use crate::machine::{self, Class, Placement, Topology};
use crate::record::{NoResult, Unmeasured};
use crate::{publish, terminal};

/// What to run.
pub(super) struct Chosen {
    /// The scenarios: first the controls, then the named scenarios or the default ones.
    pub(super) scenarios: Vec<Scenario>,
    /// The sources (SHA-256) of those that were named.
    asked: HashSet<String>,
    /// An error with the number of the named files that are not run, because they cannot be read. Each is printed when
    /// it is found.
    pub(super) unreadable: Option<Error>,
}

impl Chosen {
    /// Whether a scenario was named, and is not there only as a control.
    pub(super) fn names(&self, scenario: &Scenario) -> bool {
        self.asked.contains(&*scenario.sha256)
    }
}

/// Chooses the scenarios to run. A file that cannot be read, or that is not a test, does not stop the others.
///
/// # Errors
/// If there is nothing to run: the reason of the first file.
pub(super) fn chosen_scenarios(args: &RunArgs, arch: Arch) -> Result<Chosen> {
    let (named, mut errors) = if args.scenarios.is_empty() {
        (catalogue::DEFAULT.into_iter().map(catalogue::named).collect::<Result<Vec<_>>>()?, Vec::new())
    } else {
        readable(&args.scenarios)?
    };
    let mut scenarios = Vec::new();
    if !args.no_controls {
        for name in catalogue::controls(arch) {
            scenarios.push(catalogue::named(name)?);
        }
    }
    let mut asked = HashSet::new();
    for scenario in named {
        if let Some(reason) = scenario.refused_by(arch) {
            terminal::err(&format!("{} is not run on {arch}: {reason}\n", scenario.name));
            continue;
        }
        // Every layout needs the same registers.
        if let Err(error) = scenario.has_code(arch.into(), SHORTEST_LINE) {
            errors.push(error);
            continue;
        }
        asked.insert(scenario.sha256.to_string());
        if !scenarios.iter().any(|known: &Scenario| known.sha256 == scenario.sha256) {
            scenarios.push(scenario);
        }
    }
    let count = errors.len();
    if asked.is_empty() {
        let nothing = || Error::Host(format!("none of the named scenarios can run on {arch}"));
        return Err(errors.into_iter().next().unwrap_or_else(nothing));
    }
    for error in &errors {
        crate::cli::complain(error);
    }
    let unreadable = (count > 0).then(|| {
        let files = if count == 1 {
            "1 file that was named is".to_owned()
        } else {
            format!("{count} files that were named are")
        };
        Error::Usage(format!("{files} not run; the reason stands before the first line of the run"))
    });
    Ok(Chosen { scenarios, asked, unreadable })
}

/// The named scenarios, and the errors of the files that are not valid tests.
fn readable(names: &[String]) -> Result<(Vec<Scenario>, Vec<Error>)> {
    let (mut scenarios, mut errors) = (Vec::new(), Vec::new());
    for found in catalogue::find_sources(names)? {
        match found.text.and_then(|(source, group)| Scenario::to_run(&source, &group)) {
            Ok(scenario) => scenarios.push(scenario),
            Err(error) => errors.push(error),
        }
    }
    Ok((scenarios, errors))
}

/// A scenario and the CPUs that it runs on.
pub(super) type Run<'a> = (&'a Scenario, Placement);

/// The runs of each scenario.
pub(super) fn of_each_scenario<'r, 'a>(runs: &'r [Run<'a>]) -> impl Iterator<Item = &'r [Run<'a>]> {
    runs.chunk_by(|a, b| a.0.sha256 == b.0.sha256)
}

/// Scenarios with the placements that they run on.
pub(super) struct Planned<'a> {
    /// Every scenario with every placement, controls first.
    pub(super) runs: Vec<Run<'a>>,
    /// Which placements the run leaves out, in words; empty if it leaves out none.
    pub(super) left_out: String,
    /// What is not run because the CPUs do not suffice.
    pub(super) not_run: Vec<Unmeasured>,
}

/// Places every scenario. One that these CPUs have no place for does not stop the others.
///
/// # Errors
/// If none of the named scenarios has a placement: the reason of the first.
pub(super) fn planned<'a>(
    args: &RunArgs,
    arch: Arch,
    topology: &Topology,
    cpus: &[usize],
    chosen: &'a Chosen,
) -> Result<Planned<'a>> {
    let mut runs = Vec::new();
    let mut without = Vec::new();
    // The search depends on nothing else of a scenario, and takes a while on a thousand CPUs.
    let mut of_threads = BTreeMap::new();
    for scenario in &chosen.scenarios {
        let threads = scenario.program.threads.len();
        match of_threads.entry(threads).or_insert_with(|| placements(args, topology, cpus, threads)) {
            Ok(placements) => runs.extend(placements.iter().map(|placement| (scenario, placement.clone()))),
            Err(reason) => without.push((scenario, Error::Usage(format!("{}: {reason}", scenario.name)))),
        }
    }
    let asked = |scenario: &Scenario| chosen.asked.is_empty() || chosen.asked.contains(&*scenario.sha256);
    if !runs.iter().any(|(scenario, _)| asked(scenario)) {
        let (_, reason) = without.into_iter().find(|(scenario, _)| asked(scenario)).expect("no placement has a reason");
        return Err(reason);
    }
    let (runs, dropped) = within_default(args, topology, runs);
    let left_out = left_out(args, topology, cpus, &runs, &dropped);
    Ok(Planned { runs: with_pairs_of_controls(runs, topology, arch), left_out, not_run: not_run(&without, cpus) })
}

/// The scenarios that have no placement on these CPUs.
fn not_run(without: &[(&Scenario, Error)], cpus: &[usize]) -> Vec<Unmeasured> {
    let each = |(scenario, _): &(&Scenario, Error)| Unmeasured {
        scenario: scenario.name.clone(),
        threads: scenario.program.threads.len(),
        cpus: cpus.to_vec(),
        reason: NoResult::NoPlacement,
    };
    without.iter().map(each).collect()
}

/// The placements that scenarios of `threads` threads run on.
///
/// # Errors
/// A text that says why there is none.
fn placements(
    args: &RunArgs,
    topology: &Topology,
    cpus: &[usize],
    threads: usize,
) -> std::result::Result<Vec<Placement>, String> {
    if cpus.len() < threads && args.oversubscribe && !cpus.is_empty() {
        return Ok(vec![machine::oversubscribed(topology, cpus, threads)]);
    }
    let patterns = kinds::patterns(&args.kinds, topology, cpus, threads)?;
    if let Some(wanted) = args.pairs.filter(|_| threads == 2) {
        let asked = (!args.kinds.is_empty()).then_some(&patterns[..]);
        let pairs = machine::pairs(topology, cpus, wanted.most(), asked);
        let none = || if asked.is_some() { "--kinds selects no pair of CPUs" } else { "--pairs needs two CPUs" };
        return if pairs.is_empty() { Err(none().to_owned()) } else { Ok(pairs) };
    }
    if args.cpus.is_some() && cpus.len() == threads && args.placement.is_empty() && args.kinds.is_empty() {
        return Ok(vec![machine::exactly(topology, cpus)]);
    }
    let classes: &[Class] = if args.placement.is_empty() { &Class::SPREAD } else { &args.placement };
    let placements = machine::place_on(topology, cpus, threads, classes, &patterns)
        .map_err(|error| or_oversubscribed(error, cpus, threads))?;
    if placements.is_empty() {
        let wanted: Vec<&str> = classes.iter().map(|class| class.name()).collect();
        let kinds = if args.kinds.is_empty() { String::new() } else { format!(" on {}", args.kinds.join(" or ")) };
        return Err(format!(
            "{threads} threads need CPUs of placement class {}{kinds}; the CPUs {} have none; `wakerace topology` shows the \
             placements of this host",
            wanted.join(" or "),
            machine::format_cpu_list(cpus)
        ));
    }
    Ok(placements)
}

/// The most runs of a run without scenarios and limits, so that it ends in about half a minute.
fn most_by_default() -> usize {
    (DEFAULT_TOTAL.as_millis() / DEFAULT_LEAST.as_millis()) as usize
}

/// Leaves out placements of a run without scenarios and limits if they are too many for half a minute. Every scenario
/// of as many threads keeps the same ones. First it keeps the biggest cores of each class, then other kinds, and last
/// those with P0 on the smaller core.
///
/// Returns the runs and those placements that are left out.
fn within_default<'a>(args: &RunArgs, topology: &Topology, runs: Vec<Run<'a>>) -> (Vec<Run<'a>>, Vec<Placement>) {
    let chosen_by_hand = !args.scenarios.is_empty() || args.pairs.is_some() || !args.is_open_ended(args.stop_when);
    if chosen_by_hand || runs.len() <= most_by_default() {
        return (runs, Vec::new());
    }
    let scenarios = of_each_scenario(&runs).count();
    let room = (most_by_default() / scenarios).max(1);
    let place = |name: &String| topology.kinds.iter().position(|kind| kind.name == *name);
    let mut kept: Vec<Run<'a>> = Vec::new();
    let mut left_out: Vec<Placement> = Vec::new();
    for of_scenario in of_each_scenario(&runs) {
        // The place of each placement among those of its class, the biggest cores first.
        let rank =
            |at: usize| of_scenario[..at].iter().filter(|(_, other)| other.class == of_scenario[at].1.class).count();
        let mut order: Vec<usize> = (0..of_scenario.len()).collect();
        order.sort_by_key(|&at| (!of_scenario[at].1.kinds.is_sorted_by_key(place), rank(at)));
        let (keep, leave) = order.split_at(room.min(order.len()));
        kept.extend((0..of_scenario.len()).filter(|at| keep.contains(at)).map(|at| of_scenario[at].clone()));
        for placement in leave.iter().map(|&at| &of_scenario[at].1) {
            if !left_out.contains(placement) {
                left_out.push(placement.clone());
            }
        }
    }
    (kept, left_out)
}

/// The pairs of CPUs that a run does not use, and how to use them; nothing if every pair is used.
fn left_out(args: &RunArgs, topology: &Topology, cpus: &[usize], runs: &[Run<'_>], dropped: &[Placement]) -> String {
    let mut text = String::new();
    if !dropped.is_empty() {
        let each: Vec<String> = dropped.iter().map(|placement| format!("CPUs {placement}")).collect();
        text.push_str(&format!(
            "left out, to end in about half a minute: {}; -d, --placement or --kinds select them\n",
            each.join("; ")
        ));
    }
    let of_two = runs.iter().map(|(_, placement)| &placement.cpus).filter(|cpus| cpus.len() == 2);
    let used: HashSet<[usize; 2]> = of_two.map(|cpus| [cpus[0].min(cpus[1]), cpus[0].max(cpus[1])]).collect();
    let pairs = cpus.len() * cpus.len().saturating_sub(1) / 2;
    if args.cpus.is_none() && args.pairs.is_none() && !used.is_empty() && pairs > used.len() {
        text.push_str(&format!(
            "{} of {} pairs of CPUs are used, one for each placement class{}; --pairs 16 or --pairs all use more\n",
            used.len(),
            publish::count(pairs as u64),
            if topology.kinds.len() > 1 { " and combination of kinds" } else { "" }
        ));
    }
    text
}

/// Adds placements of the controls for tests of more than two threads.
///
/// A zero of such a test needs controls on pairs of its CPUs. So each control also runs on P0's CPU paired
/// with each of the other CPUs. Threads that share a CPU see no reordering of each other, so placements with
/// a shared CPU add no control.
fn with_pairs_of_controls<'a>(planned: Vec<Run<'a>>, topology: &Topology, arch: Arch) -> Vec<Run<'a>> {
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
    fn what_has_no_place_is_named() {
        let scenarios = ["S09-on_rq", "S14-third-cpu"].map(|name| catalogue::named(name).unwrap());
        let without: Vec<_> = scenarios.iter().map(|scenario| (scenario, Error::Usage(String::new()))).collect();
        assert_eq!(
            super::super::words::unmeasured_lines(&not_run(&without, &[4, 5])),
            "2 not run, because the CPUs that may be used (4,5) have no placement for them: S09-on_rq (3 threads), \
             S14-third-cpu (3 threads)\n"
        );
        assert_eq!(not_run(&[], &[0]), []);
    }

    #[test]
    fn controls_run_on_the_pairs_of_a_larger_test() {
        let scenarios =
            ["SB", "S01-core+nt+wmb", "S01-core+nt", "S14-third-cpu"].map(|name| catalogue::named(name).unwrap());
        let topology = Topology::default();
        let placement = |cpus: &[usize]| Placement { cpus: cpus.to_vec(), class: Class::Core, kinds: Vec::new() };
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
