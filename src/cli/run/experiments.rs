//! Makes the experiments of `wakerace run` from its options, the host, its profile and its kept settings.

use std::collections::HashSet;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::args::{PaceArg, RunArgs};
use super::clock::{period_is_kept, refuse_unfit, within_a_second};
use super::kept;
use crate::arch::Arch;
use crate::catalogue::Scenario;
use crate::cli::settings;
use crate::codegen::{Atomics, Target};
use crate::error::{Error, Result};
use crate::experiment::{Choice, Common, Experiment, PaceChoice, Searching};
use crate::harness::{Goal, Limits};
use crate::layout::LayoutKind;
use crate::machine::{Class, Edges, Host, Placement};
use crate::profile::kept::{Kept, KeptSettings};
use crate::profile::{self, Tuned, TuningProfile};
use crate::search::{Allowed, Chosen, Knowledge};
use crate::units::Ticks;
use crate::{shown, terminal, verdict};

/// The approximate measuring time of a run that no option limits.
pub(super) const DEFAULT_TOTAL: Duration = Duration::from_secs(28);
/// The least time of a scenario on a placement in such a run.
pub(super) const DEFAULT_LEAST: Duration = Duration::from_millis(500);

/// The experiments of a run, controls first. So the finding of every later zero is known when its result is
/// written.
///
/// # Errors
/// If the host cannot do what an option asks for, or if a test's code cannot be emitted.
pub(super) fn experiments<'a>(
    args: &RunArgs,
    arch: Arch,
    host: &Host,
    (planned, named): (&[(&'a Scenario, Placement)], impl Fn(&Scenario) -> bool),
) -> Result<Vec<Experiment<'a>>> {
    let target = target(args, arch)?;
    let clock = host.clock_measured;
    let unfit = host.clock_check.as_ref().and_then(|check| check.unfit.as_deref());
    refuse_unfit(args, unfit)?;
    within_a_second(args, &clock, args.skews())?;
    let simulated = args.measure.clock_step.map(|step| clock.nanos(step.ticks(&clock)));
    let edges = Edges::of(&clock, simulated);
    let common = Common {
        target,
        clock,
        edges,
        line: host.false_sharing_bytes,
        seed: args.seed,
        limits: limits(args, args.stop_when, planned),
        nice: args.nice,
        event: arch.line_fills(&host.cpu_ids),
        window: args.measure.window.is_some(),
        side_by_side: args.pairs.is_some(),
    };
    let (profile, kept) = (profile(args, host)?, kept::read(args, host));
    let mut knowledge = Knowledge::default();
    if let Some(kept) = &kept {
        kept::recall(kept, common.units(), &mut knowledge)?;
    }
    let chooser =
        Chooser { args, host, common: &common, unfit, profile, kept, knowledge: Arc::new(Mutex::new(knowledge)) };
    let of_controls = limits(args, goal_of_control(args), planned);
    let mut experiments = Vec::new();
    for (scenario, placement) in planned {
        let choice = chooser.choice(scenario, placement)?;
        let expectation = verdict::expectation(scenario, arch, target.choices())?;
        if let Some(note) = &expectation.note {
            terminal::err(&format!("{note}; the verdict is taken from the test's header\n"));
        }
        let common = if named(scenario) { common } else { Common { limits: of_controls, ..common } };
        experiments.push(Experiment::new(scenario, placement.clone(), choice, expectation, &common)?);
    }
    Ok(experiments)
}

/// When each experiment ends. Without limits on the command line, all of them take about [`DEFAULT_TOTAL`]. A bound is
/// decided at some time, but the rate of a race that never happens is never known.
pub(super) fn limits(args: &RunArgs, goal: Option<Goal>, planned: &[(&Scenario, Placement)]) -> Limits {
    // With --pairs, pairs of one test that share no CPU run at the same time: at most half as many as there
    // are CPUs.
    let cpus: HashSet<usize> = planned.iter().flat_map(|(_, placement)| placement.cpus.iter().copied()).collect();
    let at_once = if args.pairs.is_some() { (cpus.len() / 2).max(1) } else { 1 };
    let share = DEFAULT_TOTAL.div_f64(planned.len().div_ceil(at_once).max(1) as f64).max(DEFAULT_LEAST);
    Limits {
        duration: args.duration.or(args.is_open_ended(goal).then_some(share)),
        iterations: args.iterations,
        races: args.stop_after_races,
        goal,
    }
}

/// The goal of a control that was not named. It shows how rare a race is that this machine can still see, so its rate must be known. A
/// bound is a goal for the named tests: the first batch of a control decides it, and says little about its rate.
fn goal_of_control(args: &RunArgs) -> Option<Goal> {
    args.stop_when.filter(|goal| !matches!(goal, Goal::BoundBelow(_)))
}

fn target(args: &RunArgs, arch: Arch) -> Result<Target> {
    let lock = args.measure.lock.on(arch).map_err(Error::Usage)?;
    let target = Target { arch, atomics: args.measure.atomics.unwrap_or_else(Atomics::of_host), lock };
    if target.atomics == Atomics::Lse && Atomics::of_host() == Atomics::Llsc {
        return Err(Error::Host(
            "--atomics lse: this CPU has no LSE atomics; leave the option out, or use --atomics llsc".to_owned(),
        ));
    }
    Ok(target)
}

/// Chooses how a scenario is run on a placement.
struct Chooser<'a> {
    args: &'a RunArgs,
    host: &'a Host,
    common: &'a Common,
    /// Why the clock is not fit to pace by, if it is not.
    unfit: Option<&'a str>,
    profile: Option<TuningProfile>,
    /// What earlier runs found.
    kept: Option<KeptSettings>,
    /// What the searches of this run have found.
    knowledge: Arc<Mutex<Knowledge>>,
}

impl Chooser<'_> {
    /// How a test runs: with the settings of the profile that fit, with those that earlier runs found where the profile has none,
    /// and else as the options say.
    fn choice(&self, scenario: &Scenario, placement: &Placement) -> Result<Choice> {
        let measure = &self.args.measure;
        // Threads that share a CPU never run at the same time.
        let single = scenario.program.threads.len() < 2 || placement.class == Class::Shared;
        let pace = self.pace(single);
        let units = self.common.units();
        if let PaceChoice::Paced { period, .. } = &pace {
            period_is_kept(self.args, &units, *period)?;
        }
        let tuned =
            self.profile.iter().flat_map(|profile| profile.find(&scenario.name, placement.class, &placement.kinds));
        // Pairs that run at the same time leave no CPUs for stress.
        let fits = |tuned: &&Tuned| {
            !single
                && (self.args.pairs.is_none() || tuned.settings.stress.is_none())
                && (self.unfit.is_none() || tuned.settings.pace == "free")
        };
        let tuned: Vec<&Tuned> = tuned.filter(fits).collect();
        let of_profile = |error: Error| {
            error.of_option(
                &self
                    .args
                    .profile
                    .as_ref()
                    .map_or("this host's profile".to_owned(), |path| format!("--profile {}", shown::line(path))),
            )
        };
        let chosen = tuned.iter().map(|tuned| settings::chosen(tuned, units)).collect::<Result<Option<Vec<Chosen>>>>();
        let chosen = chosen.map_err(of_profile)?;
        let mut searching = self.searching(single);
        let mut profile = None;
        if let Some(latest) = tuned.first() {
            let (Some(chosen), Some(searching)) = (chosen, &mut searching) else {
                return settings::tuned(latest).map_err(of_profile);
            };
            for chosen in &chosen {
                // `tune` tries more layouts.
                let layouts = &mut searching.allowed.layouts;
                if !layouts.contains(&chosen.arm.layout) {
                    layouts.push(chosen.arm.layout);
                }
            }
            for (chosen, tuned) in chosen.iter().zip(&tuned) {
                self.give(scenario, placement, chosen, &settings::name(tuned));
            }
            profile = Some(settings::name(latest));
        }
        // A run that searches nothing is the same whatever earlier runs found.
        let search_s = searching.as_ref().and_then(|searching| searching.seconds(&self.common.limits));
        if let (Some(kept), Some(search_s)) = (&self.kept, search_s) {
            let spared = |kept: &&Kept| kept.spares(search_s);
            let kept = kept.find(&scenario.sha256, &placement.cpus).filter(spared);
            let chosen = kept.map(|kept| settings::of_kept(kept, units)).collect::<Result<Vec<Chosen>>>()?;
            for chosen in &chosen {
                self.give(scenario, placement, chosen, kept::NAME);
            }
            profile = profile.or((!chosen.is_empty()).then(|| kept::NAME.to_owned()));
        }
        Ok(Choice {
            pace,
            layout: measure.layout.unwrap_or(LayoutKind::Padded),
            batch: measure.batch.map(|batch| usize::try_from(batch).unwrap_or(usize::MAX)),
            group: measure.group.map(|group| group as usize),
            prefetch: measure.prefetch.unwrap_or_default(),
            stress: measure.stress,
            profile,
            searching,
        })
    }

    /// Notes what was chosen for a test before this run. Where the CPUs are at another distance, it searches.
    fn give(&self, scenario: &Scenario, placement: &Placement, chosen: &Chosen, source: &str) {
        let mut knowledge = self.knowledge.lock().expect("no thread panics while holding this lock");
        knowledge.give(&placement.cpus, &scenario.sha256, *chosen, source);
    }

    /// How the settings that no option gives are searched. Nothing is searched for threads that never run at the same time, and
    /// for a period or a skew that was given. Pairs that run at the same time are compared with each other, so
    /// all have the same settings. A window needs a pace.
    fn searching(&self, single: bool) -> Option<Searching> {
        let measure = &self.args.measure;
        let fixed = measure.period.is_some() || measure.skew.is_some();
        if single || fixed || self.args.pairs.is_some() {
            return None;
        }
        let all = Allowed::all();
        let allowed = Allowed {
            free: measure.pace != PaceArg::Paced && measure.window.is_none(),
            paced: measure.pace != PaceArg::Free && self.unfit.is_none(),
            layouts: measure.layout.map_or(all.layouts, |layout| vec![layout]),
            group: measure.group.map(|group| group as usize),
            prefetch: measure.prefetch,
            batch: measure.batch.map(|batch| usize::try_from(batch).unwrap_or(usize::MAX)),
            stress: measure.stress,
            // Other programs may be on spare CPUs. `tune` uses them.
            spare_cpus: all.spare_cpus,
        };
        Some(Searching { allowed, knowledge: self.knowledge.clone(), budget: None })
    }

    /// Pacing needs a fit clock. It is useless for a single thread and for threads that share a CPU
    /// (`single`).
    fn pace(&self, single: bool) -> PaceChoice {
        let (measure, clock) = (&self.args.measure, self.host.clock_measured);
        let skews = self.args.skews();
        let free = match measure.pace {
            PaceArg::Free => return PaceChoice::Free { given: true },
            PaceArg::Auto if self.unfit.is_some() => true,
            PaceArg::Auto => single && measure.period.is_none() && skews.is_none(),
            PaceArg::Paced => false,
        };
        if free {
            return PaceChoice::Free { given: false };
        }
        PaceChoice::Paced {
            given: measure.pace == PaceArg::Paced,
            period: measure.period.map(|period| period.units(&clock, self.common.edges).max(Ticks(1))),
            skews: skews.map(|skews| skews.units(&clock, self.common.edges)),
        }
    }
}

/// The profile that settings are taken from: the named one, or the host's. If an option of [`MeasureArgs`](super::args::MeasureArgs) is given,
/// the host's profile is not used, and a named profile is an error.
fn profile(args: &RunArgs, host: &Host) -> Result<Option<TuningProfile>> {
    let own = args.measure_given.join(", ");
    match args.profile.as_deref() {
        Some("none") => Ok(None),
        Some(_) if !own.is_empty() => {
            Err(Error::Usage(format!("--profile conflicts with {own}; give one or the other")))
        }
        Some(path) => {
            TuningProfile::read(Path::new(path), host).map(Some).map_err(|error| error.of_option("--profile"))
        }
        None => match profile::default_path(host).filter(|path| path.exists()) {
            Some(_) if !own.is_empty() => {
                terminal::err(&format!("this host's profile is not used, because of {own}\n"));
                Ok(None)
            }
            Some(path) => TuningProfile::read(&path, host).map(Some),
            None => Ok(None),
        },
    }
}
