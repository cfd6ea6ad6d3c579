//! `run --dry-run` and `run --topology`: says what would run, where and for how long, and measures nothing.

use std::time::Duration;

use super::args::RunArgs;
use super::experiments::limits;
use super::placements::{Planned, Run, chosen_scenarios, of_each_scenario, planned};
use super::words::unmeasured_lines;
use crate::arch::Arch;
use crate::cli::topology::{Elsewhere, cpus_to_use, selected};
use crate::error::{EXIT_OK, Error, Result};
use crate::machine::{self, Placement};
use crate::{publish, shown, terminal};

/// The most placements that are listed.
const MOST_LISTED: usize = 100;

/// Prints what would run on this host, or on the machine of `--topology`, and returns the exit status.
///
/// # Errors
/// As a run, but for what only the host itself can refuse.
pub(super) fn dry_run(args: &RunArgs) -> Result<u8> {
    args.validate()?;
    if let Some(path) = args.profile.as_deref().filter(|path| *path != "none" && args.topology.is_none()) {
        std::fs::metadata(path).map_err(Error::io(format!("--profile: opening {}", shown::line(path))))?;
    }
    let here = || Arch::host().ok_or_else(|| Error::Host("wakerace does not support this architecture".to_owned()));
    let (arch, topology, cpus, name) = match &args.topology {
        Some(path) => {
            let elsewhere = Elsewhere::read(path)?;
            let cpus = selected(&elsewhere.topology, &elsewhere.allowed, args.cpus.as_deref())?;
            let arch = elsewhere.arch.map_or_else(here, Ok)?;
            (arch, elsewhere.topology, cpus, elsewhere.name)
        }
        None => {
            let (topology, _, cpus) = cpus_to_use(args.cpus.as_deref())?;
            (here()?, topology, cpus, "this host".to_owned())
        }
    };
    args.measure.lock.on(arch).map_err(Error::Usage)?;
    let mut chosen = chosen_scenarios(args, arch)?;
    let unreadable = chosen.unreadable.take();
    let Planned { runs, left_out, not_run } = planned(args, arch, &topology, &cpus, &chosen)?;
    let online = topology.cpus.len();
    let schedule = schedule(args, &runs);
    let settings = match &args.measure_values[..] {
        [] => String::new(),
        given => format!("settings: {}\n", shown::line(&given.join(", "))),
    };
    let what = listed(&runs) + &left_out + &unmeasured_lines(&not_run);
    let text = format!("{name}: {arch}, {online} CPUs online; nothing is measured\n{schedule}\n{settings}{what}");
    terminal::out(&publish::wrapped_lines(&text, terminal::width()))?;
    unreadable.map_or(Ok(EXIT_OK), Err)
}

/// How many runs there are, and how long they take: `7 tests, 21 runs, about 28 s`.
pub(super) fn schedule(args: &RunArgs, runs: &[Run<'_>]) -> String {
    let tests = of_each_scenario(runs).count();
    let repeats = if args.repeat > 1 { format!(", each {} times", args.repeat) } else { String::new() };
    let count = publish::count(runs.len() as u64);
    let rounds = if args.pairs.is_some() { rounds(runs) } else { runs.len() };
    let at_once = if rounds < runs.len() {
        format!(", in {} rounds of pairs that share no CPU", publish::count(rounds as u64))
    } else {
        String::new()
    };
    let time = limits(args, args.stop_when, runs)
        .duration
        .map(|each| each * args.repeat * u32::try_from(rounds).unwrap_or(u32::MAX));
    let about = time.map_or(String::new(), |time| format!(", about {}", in_words(time)));
    let plural = |count: usize| if count == 1 { "" } else { "s" };
    format!("{tests} test{}, {count} run{}{repeats}{at_once}{about}", plural(tests), plural(runs.len()))
}

/// The number of rounds with `--pairs`: pairs of a test that share no CPU run at the same time.
fn rounds(runs: &[Run<'_>]) -> usize {
    let mut known: Option<(Vec<&Placement>, usize)> = None;
    let mut all = 0;
    for of_test in of_each_scenario(runs) {
        let placements: Vec<&Placement> = of_test.iter().map(|(_, placement)| placement).collect();
        // Most tests run on the same pairs.
        let count = match &known {
            Some((before, count)) if *before == placements => *count,
            _ => machine::rounds(&placements).len(),
        };
        all += count;
        known = Some((placements, count));
    }
    all
}

/// A time in the unit that a person would use.
fn in_words(time: Duration) -> String {
    let seconds = time.as_secs_f64();
    match seconds {
        seconds if seconds < 120.0 => format!("{} s", seconds.round().max(1.0)),
        seconds if seconds < 7200.0 => format!("{} min", (seconds / 60.0).round()),
        seconds => format!("{:.1} hours", seconds / 3600.0),
    }
}

/// A line for each placement, with the tests that run there.
fn listed(runs: &[Run<'_>]) -> String {
    let mut places: Vec<(&Placement, Vec<&str>)> = Vec::new();
    let mut more = 0;
    for (scenario, placement) in runs {
        match places.iter().position(|(known, _)| *known == placement) {
            Some(at) => places[at].1.push(&scenario.name),
            None if places.len() < MOST_LISTED => places.push((placement, vec![&scenario.name])),
            None => more += 1,
        }
    }
    let line = |(placement, names): (&Placement, Vec<&str>)| format!("  CPUs {placement}: {}\n", names.join(", "));
    let mut text: String = places.into_iter().map(line).collect();
    if more > 0 {
        text.push_str(&format!("  and {}\n", publish::counted(more, "more run")));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_a_unit_that_fits() {
        let of = |seconds: f64| in_words(Duration::from_secs_f64(seconds));
        assert_eq!([0.2, 27.6, 119.0].map(of), ["1 s", "28 s", "119 s"]);
        assert_eq!([120.0, 7000.0].map(of), ["2 min", "117 min"]);
        assert_eq!(of(9000.0), "2.5 hours");
    }
}
