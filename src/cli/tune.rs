//! `wakerace tune`: searches for the settings with the most races per second and saves them in a profile.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use clap::Args;

use super::interrupt::interrupt_flag;
use super::output::say;
use super::progress::Bar;
use super::settings;
use super::topology::{cpus_to_use, host_lines};
use super::units::parse_duration;
use crate::catalogue::{self, Scenario};
use crate::codegen::Target;
use crate::error::{EXIT_INTERRUPTED, EXIT_OK, Error, Result};
use crate::experiment::{self, Choice, Common, Experiment, Searching};
use crate::harness::Limits;
use crate::layout::LayoutKind;
use crate::litmus::Verdict;
use crate::machine::{self, Calibration, Class, Clock, Edges, Placement};
use crate::profile::{self, Settings, Tuned, TuningProfile};
use crate::record::ScenarioResult;
use crate::search::{Allowed, Arm, Chosen};
use crate::{files, publish, terminal, tune, verdict};

/// Time for the measurement that follows a search.
const AFTER_SEARCH: Duration = Duration::from_millis(50);

/// Arguments of `tune`.
#[derive(Debug, Args)]
pub struct TuneArgs {
    /// Tests to tune; each is tuned on a control of its shape that races on this host [default: the scenarios
    /// of `run`]
    scenarios: Vec<String>,
    /// Time for each test on each placement; seconds without a unit
    #[arg(short = 'd', long, value_name = "TIME", default_value = "10s", value_parser = parse_duration)]
    duration: Duration,
    /// Use only these CPUs
    #[arg(short = 'c', long, value_name = "LIST")]
    cpus: Option<String>,
    /// Placement classes: smt, core, cluster, llc, socket, or several [default: every class that this host
    /// has]
    #[arg(long, value_name = "CLASS", value_delimiter = ',')]
    placement: Vec<Class>,
    /// Layouts to try; neighbouring instances of the dense layout share cache lines and are not independent
    #[arg(long, value_name = "LAYOUT", value_delimiter = ',', default_value = "padded,dense,packed")]
    layouts: Vec<LayoutKind>,
    /// Output file of the profile [default: this host's profile, which `run` uses by default]
    #[arg(short = 'o', long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Print only the results
    #[arg(short = 'q', long)]
    quiet: bool,
}

/// Tunes tests, saves the best settings in a profile and returns the exit status.
pub fn tune(args: &TuneArgs) -> Result<u8> {
    machine::require_counter()?;
    let target = Target::of_host()
        .ok_or_else(|| Error::Host("wakerace has no code generator for this architecture".to_owned()))?;
    let arch = target.arch;
    let interrupt = interrupt_flag()?;
    let (topology, allowed, cpus) = cpus_to_use(args.cpus.as_deref())?;
    let calibration = Calibration::new();
    let clock = calibration.clock;
    let host = machine::describe(&topology, &allowed, calibration);
    if let Some(reason) = host.clock_check.as_ref().and_then(|check| check.unfit.as_ref()) {
        return Err(Error::Host(format!(
            "tune compares settings of paced runs, and the {} is not fit to pace by: {reason}",
            Clock::NAME
        )));
    }
    let path = match &args.output {
        Some(path) => path.clone(),
        None => profile::default_path(&host).ok_or_else(|| {
            Error::Usage(
                "no folder for the profile: neither XDG_CONFIG_HOME nor HOME is an absolute path; name a file with -o"
                    .to_owned(),
            )
        })?,
    };
    match args.output {
        // For a named file, no folder is created. The file must be a regular one, because `run` reads the
        // profile from it.
        Some(_) if !files::Sink::open(&path)?.is_replaced() => {
            return Err(Error::Usage(format!(
                "-o: {} is not a regular file; a profile must be one",
                crate::shown::path(&path)
            )));
        }
        Some(_) => {}
        None => files::check_own(&path)?,
    }
    let mut profile = if path.exists() { TuningProfile::read(&path, &host)? } else { TuningProfile::new(&host) };
    let scenarios = if args.scenarios.is_empty() {
        let names = catalogue::DEFAULT.iter().chain(catalogue::controls(arch));
        names.map(|name| catalogue::named(name)).collect::<Result<Vec<_>>>()?
    } else {
        catalogue::resolve(&args.scenarios)?
    };
    let common = Common {
        target,
        clock,
        edges: Edges::of(&clock, None),
        line: host.false_sharing_bytes,
        seed: 1,
        limits: Limits::default(),
        nice: machine::PREFERRED_NICE,
        event: None,
        window: false,
        side_by_side: false,
    };
    let classes: &[Class] = if args.placement.is_empty() { &Class::SPREAD } else { &args.placement };
    if !args.quiet {
        say(&host_lines(&host));
    }
    // Tests that are tuned on the same control, placement class and kinds of core share one search.
    let mut known: Vec<(String, Placement, Best)> = Vec::new();
    let mut saved = 0;
    for scenario in &scenarios {
        if scenario.refused_by(arch).is_some() || scenario.program.threads.len() < 2 {
            continue;
        }
        let mutant = mutant(scenario, target)?;
        let fail = |reason: String| Error::Usage(format!("{}: {reason}", mutant.name));
        for placement in machine::place(&topology, &cpus, mutant.program.threads.len(), classes).map_err(fail)? {
            let alike = |other: &Placement| other.class == placement.class && other.kinds == placement.kinds;
            let before = known.iter().find(|(name, other, _)| *name == mutant.name && alike(other));
            let found = match before {
                Some((.., found)) => Some(found.clone()),
                None => {
                    let found = one(args, &mutant, &placement, &allowed, &common, &interrupt)?;
                    known.extend(found.iter().map(|found| (mutant.name.clone(), placement.clone(), found.clone())));
                    found
                }
            };
            if interrupt.load(std::sync::atomic::Ordering::Relaxed) {
                let saved = match saved {
                    0 => "nothing was saved".to_owned(),
                    _ => format!("what was found before is in {}", crate::shown::path(&path)),
                };
                terminal::err(&format!("interrupted while {} was tuned; {saved}\n", scenario.name));
                return Ok(EXIT_INTERRUPTED);
            }
            let Some(Best { found, chosen }) = found else {
                return Err(fail(format!(
                    "-d {:?}: too short: no two settings could be compared on CPUs {placement}, so nothing is saved; give it at \
                     least a few seconds",
                    args.duration
                )));
            };
            let (races, default) = (found.races_per_s, found.default_races_per_s);
            let compared = if races == 0.0 {
                "no settings gave a race in this time".to_owned()
            } else if default == 0.0 {
                format!("{races:.2e} races/s; the default settings gave none")
            } else {
                let ends = found
                    .times_default
                    .map_or(String::new(), |[low, high]| format!(" ({low:.2} to {high:.2} in single turns)"));
                format!("{races:.2e} races/s, {:.2} times the default settings{ends}", races / default)
            };
            let distance_ns = chosen.and_then(|chosen| chosen.distance_ns);
            let words = format!(
                "{} ({}{}), tuned on {}: {}; {compared}\n",
                scenario.name,
                machine::class_and_kinds(placement.class, &placement.kinds),
                distance_ns.map_or(String::new(), |ns| format!(", searched at {ns:.0} ns")),
                mutant.name,
                settings::in_words(&found.settings)
            );
            profile.put(Tuned {
                scenario: scenario.name.clone(),
                mutant: mutant.name.clone(),
                class: placement.class,
                kinds: placement.kinds.clone(),
                settings: found.settings,
                distance_ns,
                period_ns: chosen.and_then(|chosen| settings::period_ns(&chosen, common.units())),
                reach: chosen.map(|chosen| chosen.reach),
                races_per_s: found.races_per_s,
                default_races_per_s: found.default_races_per_s,
                when: jiff::Timestamp::now().to_string(),
            });
            // The profile is replaced whole after every test, so Ctrl-C loses no finished search.
            let written = profile.write(&path);
            terminal::out(&publish::wrapped_lines(&words, terminal::width()))?;
            written?;
            saved += 1;
        }
    }
    terminal::out(&format!("profile: {}\n", crate::shown::path(&path)))?;
    Ok(EXIT_OK)
}

/// The control that a test is tuned on.
///
/// This is the test itself if it is a control or may race on this architecture. Otherwise it is the test with
/// a non-temporal store, if there is one. Otherwise it is one of the controls that accompany every run.
fn mutant(scenario: &Scenario, target: Target) -> Result<Scenario> {
    let (arch, choices) = (target.arch, target.choices());
    if scenario.is_control(arch) || verdict::expectation(scenario, arch, choices)?.race == Some(Verdict::Sometimes) {
        return Ok(scenario.clone());
    }
    let controls = arch.facts().controls;
    let fallback = match scenario.group.as_str() {
        "race" | "fixes" | "mutants" | "fields" => controls.of_two_stores,
        _ => controls.otherwise,
    };
    let of_its_shape = shapes(&scenario.name).into_iter().filter_map(|name| catalogue::named(&name).ok());
    for own in of_its_shape.filter(|own| own.refused_by(arch).is_none()) {
        if verdict::expectation(&own, arch, choices)?.race == Some(Verdict::Sometimes) {
            return Ok(own);
        }
    }
    catalogue::named(fallback)
}

/// The names that a control of a test's shape may have: the test with a non-temporal store, and the same of the test without
/// its last additions. `S01-core+nt+wmb` has the shape of `S01-core+nt`.
fn shapes(name: &str) -> Vec<String> {
    let mut out = Vec::new();
    let mut rest = Some(name);
    while let Some(name) = rest {
        if name.ends_with("+nt") {
            out.push(name.to_owned());
        } else {
            out.push(format!("{name}+nt"));
        }
        rest = name.rsplit_once('+').map(|(before, _)| before);
    }
    out
}

/// The best settings of a control.
#[derive(Clone)]
struct Best {
    found: tune::Found,
    /// These settings as what a search has chosen. `None` if there was no search.
    chosen: Option<Chosen>,
}

/// Searches the best settings for one control on one placement, and compares them with the default ones. `None` if the time was
/// too short to compare any.
fn one(
    args: &TuneArgs,
    mutant: &Scenario,
    placement: &Placement,
    cpus: &[usize],
    common: &Common,
    interrupt: &AtomicBool,
) -> Result<Option<Best>> {
    let expectation = verdict::expectation(mutant, common.target.arch, common.target.choices())?;
    let mut bar = Bar::new(&format!("{} on CPUs {placement}", mutant.name), args.quiet);
    let begun = std::time::Instant::now();
    let mut run = |settings: &Settings, limits: Limits, searching: Option<Searching>| -> Result<ScenarioResult> {
        let common = Common { limits, ..*common };
        let choice = Choice { searching, ..settings::choice(settings, None)? };
        let experiment = Experiment::new(mutant, placement.clone(), choice, expectation.clone(), &common)?;
        let watch = |_: &crate::harness::Tally| {
            bar.update(begun.elapsed().as_secs_f64() / args.duration.as_secs_f64(), || settings::in_words(settings));
        };
        Ok(experiment::run(&experiment, interrupt, watch)?.result)
    };
    let allowed = Allowed {
        layouts: args.layouts.clone(),
        spare_cpus: cpus.iter().any(|cpu| !placement.cpus.contains(cpu)),
        ..Allowed::all()
    };
    let time = args.duration.mul_f64(1.0 - tune::FINALS).saturating_sub(AFTER_SEARCH);
    let searching = Searching { allowed, knowledge: Arc::default(), budget: Some(time) };
    // The chosen settings are measured in the finals, so what follows the search here is short.
    let limits = Limits { duration: Some(time + AFTER_SEARCH), ..Limits::default() };
    let result = run(&Settings::default_paced(), limits, Some(searching.clone()))?;
    let turns = result.search.as_ref().map_or(0, |search| search.arms.iter().filter(|arm| arm.turns > 0).count());
    if turns < 2 && !interrupt.load(std::sync::atomic::Ordering::Relaxed) {
        bar.finish();
        return Ok(None);
    }
    let winner = settings::of(&result);
    let is_other = |settings: &Settings| *settings != Settings::default_paced();
    let rate = |settings: &Settings, limits: Limits| {
        // The search knows the period and the reach of what it has chosen.
        let known = is_other(settings).then(|| searching.clone());
        let result = run(settings, limits, known)?;
        Ok(if result.elapsed_s > 0.0 { result.races as f64 / result.elapsed_s } else { 0.0 })
    };
    // A search may have taken longer than it was given.
    let left = args.duration.saturating_sub(begun.elapsed());
    let found = tune::finals(winner, left, interrupt, &mut { rate })?;
    let chosen = {
        let knowledge = searching.knowledge.lock().expect("no thread panics while holding this lock");
        knowledge.begun(&placement.cpus, &mutant.sha256)
    };
    // The default settings have won at the distance at which the search was, and only there.
    let default =
        |chosen: Chosen| Chosen { arm: Arm::FIRST, period_ticks: 0.0, best_period_ticks: None, reach: 1, ..chosen };
    let chosen = chosen.map(|chosen| if is_other(&found.settings) { chosen } else { default(chosen) });
    let best = Best { found, chosen };
    bar.finish();
    if let (false, Some(search)) = (args.quiet, &result.search) {
        let turns: usize = search.arms.iter().map(|arm| arm.turns).sum();
        let (name, settings) = (&mutant.name, search.arms.len());
        terminal::err(&format!("{name} on CPUs {placement}: {settings} settings compared in {turns} turns\n"));
    }
    Ok(Some(best))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arch::lock::Lock;
    use crate::arch::{Arch, Atomics};

    #[test]
    fn a_test_is_tuned_on_a_control_of_its_shape() {
        assert_eq!(shapes("S01-core+nt+wmb"), ["S01-core+nt+wmb+nt", "S01-core+nt", "S01-core+nt"]);
        assert_eq!(shapes("S02"), ["S02+nt"]);
        let target = Target { arch: Arch::X86_64, atomics: Atomics::Lse, lock: Lock::Qspinlock };
        let tuned_on = |name: &str| mutant(&catalogue::named(name).unwrap(), target).unwrap().name;
        for (name, control) in [
            ("S01-core+nt+wmb", "S01-core+nt"),
            ("S01-core+nt+xchg", "S01-core+nt"),
            ("S01-as-is", "S01-as-is+nt"),
            ("SB", "SB"),
        ] {
            assert_eq!(tuned_on(name), control);
        }
    }
}
