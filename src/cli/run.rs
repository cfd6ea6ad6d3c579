//! `wakerace run`: runs scenarios on this host, with controls, and prints the table.

use std::collections::HashSet;
use std::fmt::Write as _;
use std::path::Path;
use std::time::{Duration, Instant};

use clap::parser::ValueSource;
use clap::{Args, ValueEnum};

use super::interrupt::interrupt_flag;
use super::output::{Output, OutputArgs, status};
use super::progress::Progress;
use super::settings;
use super::topology::{cpus_to_use, host_lines};
use super::units::{ClockTime, Pairs, Skews, parse_count, parse_duration, parse_pairs, parse_period, parse_skews};
use crate::arch::Arch;
use crate::catalogue::{self, Scenario};
use crate::codegen::{self, Atomics, Target};
use crate::error::{Error, Result};
use crate::experiment::{self, Choice, Common, Experiment, Finished, LARGEST_BATCH, LARGEST_GROUP, PaceChoice};
use crate::harness::{Limits, Prefetch, Stop, StressKind};
use crate::layout::LayoutKind;
use crate::machine::{self, Calibration, Class, Clock, Host, Placement, Topology};
use crate::profile::{self, Tuned, TuningProfile};
use crate::publish;
use crate::record::{self, Finding, Record};
use crate::units::Ticks;
use crate::{terminal, verdict};

/// Arguments of `run`.
#[derive(Debug, Args)]
#[command(
    after_help = "Exit status: 0 if all outcomes are as expected; 1 if a forbidden outcome was observed; 2 for bad input, a host that \
cannot run what was asked, a test that deadlocks, or a file that cannot be written (the results are still printed); 130 if interrupted \
(the results so far are written)."
)]
pub struct RunArgs {
    /// Litmus files, folders, scenario names or groups (race, fixes, mutants, guards, fields, controls)
    /// [default: the race, two fixes and a mutant]
    scenarios: Vec<String>,

    /// Use only these CPUs; if there are as many as a test has threads, P0 runs on the first, P1 on the
    /// second, ...
    #[arg(short = 'c', long, value_name = "LIST")]
    cpus: Option<String>,
    /// Placement classes: smt, core, cluster, llc, socket, or several [default: every class that this host
    /// has]
    #[arg(long, value_name = "CLASS", value_delimiter = ',')]
    placement: Vec<Class>,
    /// Run tests of two threads on pairs of CPUs, as many pairs at a time as fit: `all`, or COUNT pairs per
    /// class
    #[arg(long, value_name = "COUNT", value_parser = parse_pairs, conflicts_with_all = ["placement", "oversubscribe"])]
    pairs: Option<Pairs>,
    /// Allow several threads of a test to share a CPU
    #[arg(long)]
    oversubscribe: bool,

    /// Time for each scenario on each placement, such as 10s or 2m [default: about 30 s in total]
    #[arg(short = 'd', long, value_name = "TIME", value_parser = parse_duration)]
    duration: Option<Duration>,
    /// Iterations of each scenario on each placement, such as 4e9; instances that a test's filter excludes
    /// count too
    #[arg(short = 'n', long, value_name = "COUNT", value_parser = parse_count)]
    iterations: Option<u64>,
    /// Stop a scenario after COUNT races
    #[arg(long, value_name = "COUNT", value_parser = parse_count)]
    stop_after_races: Option<u64>,

    /// Run everything COUNT times, in turns; the intervals then include the differences between the repeats
    #[arg(long, value_name = "COUNT", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=MOST_REPEATS))]
    repeat: u32,

    #[command(flatten)]
    measure: MeasureArgs,
    /// Use the settings of this profile of `wakerace tune`; `none`: use no profile [default: this host's
    /// profile, if it exists]
    #[arg(long, value_name = "FILE")]
    profile: Option<String>,
    /// Nice value of the threads; a negative value reduces disturbance by other processes, 0 is the usual
    /// priority
    #[arg(long, default_value_t = machine::PREFERRED_NICE, value_parser = clap::value_parser!(i32).range(-20..=19), allow_hyphen_values = true)]
    nice: i32,
    /// Seed of the random order of skews
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Run only the named scenarios, without the controls that show whether reordering is visible on this
    /// host
    #[arg(long)]
    no_controls: bool,

    #[command(flatten)]
    output: OutputArgs,

    /// The options of [`MeasureArgs`] that were given, such as `--pace`. [`RunArgs::note`] fills this in.
    #[arg(skip)]
    measure_given: Vec<String>,
}

/// Options for how instances are run.
///
/// `wakerace tune` searches most of these settings. If one of these options is given, the host's profile is
/// not used. Every option that changes how something is measured belongs here.
#[derive(Debug, Args)]
#[group(id = MEASURE)]
struct MeasureArgs {
    /// Start of instances: free (as soon as possible), paced (by the clock), or auto (paced if the clock is
    /// fit and fine enough)
    #[arg(long, value_enum, default_value = "auto")]
    pace: PaceArg,
    /// Time from one tick of the pace to the next, such as 100ns or 250ticks [default: measured]
    #[arg(long, value_name = "TIME", value_parser = parse_period, allow_hyphen_values = true)]
    period: Option<ClockTime>,
    /// Start delay of the last thread relative to P0: 20ns, a list -20,0,20, or a range -100..100/21
    /// [default: a sweep]
    #[arg(long, value_name = "TIME", value_parser = parse_skews, allow_hyphen_values = true)]
    skew: Option<Skews>,
    /// Instances that run back to back at each tick of the pace [default: 1, or 4 where they overlap]
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u32).range(1..=LARGEST_GROUP as i64))]
    group: Option<u32>,
    /// Prefetch the cache lines of a group before its tick: on, off, or turns (every other batch) [default:
    /// turns]
    #[arg(long, alias = "warm", value_name = "WHEN", num_args = 0..=1, require_equals = true, default_missing_value = "on")]
    prefetch: Option<Prefetch>,
    /// Sweep the skew evenly for the whole run, over RANGE such as -200ns..200ns/81 if given, and draw the
    /// race's window
    #[arg(long, value_name = "RANGE", num_args = 0..=1, require_equals = true, default_missing_value = "auto", value_parser = parse_window, conflicts_with = "skew", allow_hyphen_values = true)]
    window: Option<Window>,
    /// Layout of the variables: padded, packed, dense, kernel, kernel-ARCH [default: padded]
    #[arg(long, value_name = "LAYOUT")]
    layout: Option<LayoutKind>,
    /// At most COUNT instances per batch; a batch has fewer if its instances take long [default: as many as
    /// fit the caches]
    #[arg(long, value_name = "COUNT", value_parser = parse_count)]
    batch: Option<u64>,
    /// Atomics of the arm64 code: lse or llsc [default: lse if the CPU has it]
    #[arg(long, value_name = "KIND")]
    atomics: Option<Atomics>,
    /// Load the memory system from CPUs that the test does not use: memory (write through memory) or sets
    /// (fill cache sets)
    #[arg(long, value_name = "KIND", conflicts_with = "pairs")]
    stress: Option<StressKind>,
}

/// The id of clap's group of the options of [`MeasureArgs`].
const MEASURE: &str = "measure";

impl RunArgs {
    /// Notes which options of [`MeasureArgs`] were given.
    pub(super) fn note(&mut self, command: &clap::Command, matches: &clap::ArgMatches) {
        let given = |arg: &&clap::Arg| matches.value_source(arg.get_id().as_str()) == Some(ValueSource::CommandLine);
        let in_group = measure_options(command);
        let named = in_group.into_iter().filter(given).filter_map(|arg| arg.get_long());
        self.measure_given = named.map(|long| format!("--{long}")).collect();
    }
}

/// The options of [`MeasureArgs`] in clap's representation.
fn measure_options(command: &clap::Command) -> Vec<&clap::Arg> {
    let group = command.get_groups().find(|group| group.get_id() == MEASURE);
    let ids: Vec<&clap::Id> = group.into_iter().flat_map(|group| group.get_args()).collect();
    command.get_arguments().filter(|arg| ids.contains(&arg.get_id())).collect()
}

/// What `--window` sweeps.
#[derive(Debug, Clone)]
enum Window {
    /// A range chosen by wakerace: about as wide as the duration of an instance.
    Auto,
    /// The skews of the option's value.
    Given(Skews),
}

fn parse_window(text: &str) -> std::result::Result<Window, String> {
    if text == "auto" { Ok(Window::Auto) } else { parse_skews(text).map(Window::Given) }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum PaceArg {
    Free,
    Paced,
    Auto,
}

/// The largest value of --repeat.
const MOST_REPEATS: i64 = 1000;
/// The approximate measuring time of a run without -d, -n and --stop-after-races.
const DEFAULT_TOTAL: Duration = Duration::from_secs(28);
/// The least time of a scenario on a placement in such a run.
const DEFAULT_LEAST: Duration = Duration::from_millis(500);

/// Runs scenarios, prints the table and returns the exit status.
pub fn run(args: &RunArgs) -> Result<u8> {
    machine::require_counter()?;
    let arch =
        Arch::host().ok_or_else(|| Error::Host("wakerace has no code generator for this architecture".to_owned()))?;
    let started = jiff::Timestamp::now();
    let begun = Instant::now();
    let interrupt = interrupt_flag()?;
    let scenarios = chosen_scenarios(args, arch)?;
    let (topology, allowed, cpus) = cpus_to_use(args.cpus.as_deref())?;
    let mut planned = Vec::new();
    for scenario in &scenarios {
        for placement in placements(args, &topology, &cpus, args.cpus.is_some(), scenario)? {
            planned.push((scenario, placement));
        }
    }
    let planned = with_pairs_of_controls(planned, &topology, arch);
    let calibration = Calibration::new();
    let clock = calibration.clock;
    let host = machine::describe(&topology, &allowed, calibration);
    let experiments = experiments(args, arch, clock, &host, &planned)?;

    let mut output = Output::new(&args.output, record::default_path(&host, started))?;
    output.say(&opening(&host, &experiments, args.repeat));
    let mut record = Record::begin(record::SCHEMA, started, host)?;
    let mut failures = Vec::new();
    let rounds = rounds(&experiments);
    for round in (0..args.repeat).flat_map(|_| &rounds) {
        let first = round[0];
        let mut progress = Progress::new(first.scenario, &first.placement, first.common.limits, args.output.quiet);
        let watch = |tally: &_| progress.update(first.scenario, tally);
        let finished = experiment::run_side_by_side(round, &interrupt, watch);
        progress.finish();
        let mut words = String::new();
        for finished in finished {
            match finished {
                Ok(Finished { result, stop }) => {
                    record.interrupted |= stop == Stop::Interrupted;
                    if result.iterations + result.filtered + result.moved > 0 {
                        words.push_str(&one_line(&result));
                        words.push_str(&counters_note(&result));
                        if let Err(error) = add_result(&mut record.results, result) {
                            words.push_str(&format!("failed: {error}\n"));
                            failures.push(error);
                        }
                    }
                }
                // A failed test, such as one that deadlocks, does not stop the tests after it.
                Err(error) => {
                    words.push_str(&format!("failed: {error}\n"));
                    failures.push(error);
                }
            }
        }
        record::judge(&mut record.results);
        record.elapsed_s = begun.elapsed().as_secs_f64();
        // A failure here is not final: the files are written again after the next results and at the end.
        if let Err(error) = output.write_files(&record) {
            words.push_str(&format!("could not be written yet: {error}\n"));
        }
        output.say(&words);
        if record.interrupted {
            break;
        }
    }
    let drawn = |result: &record::ScenarioResult| {
        args.measure.window.is_some() || result.group == "race" || result.group == "controls" && result.races > 0
    };
    let windows = publish::windows(&record, drawn);
    let mut evidence = if windows.is_empty() { String::new() } else { format!("\nrace windows:\n{windows}") };
    for result in record.results.iter().filter(|result| result.finding == Finding::ForbiddenObserved) {
        let ran = |experiment: &&Experiment<'_>| {
            experiment.scenario.sha256 == result.source_sha256 && experiment.placement.cpus == result.placement.cpus
        };
        if let Some(experiment) = experiments.iter().find(ran) {
            match evidence_for(experiment, result, &record.host) {
                Ok(text) => evidence.push_str(&text),
                Err(error) => failures.push(error),
            }
        }
    }
    let finished = output.finish(&record, &evidence, failures);
    let forbidden = record.results.iter().any(|result| result.finding == Finding::ForbiddenObserved);
    status(finished, forbidden, record.interrupted)
}

/// Adds a result to the results. If the same test already ran on the same placement, the result is added to
/// it as a repeat.
fn add_result(results: &mut Vec<record::ScenarioResult>, result: record::ScenarioResult) -> Result<()> {
    let same = |known: &&mut record::ScenarioResult| {
        known.source_sha256 == result.source_sha256 && known.placement == result.placement
    };
    match results.iter_mut().find(same) {
        Some(known) => record::add_repeat(known, result),
        None => {
            results.push(result);
            Ok(())
        }
    }
}

/// Groups experiments into rounds, in order. A round holds experiments that run at the same time: experiments
/// of one scenario that share no CPU.
fn rounds<'a, 'b>(experiments: &'b [Experiment<'a>]) -> Vec<Vec<&'b Experiment<'a>>> {
    let mut out = Vec::new();
    for of_scenario in experiments
        .chunk_by(|a, b| a.scenario.sha256 == b.scenario.sha256 && a.common.side_by_side && b.common.side_by_side)
    {
        let placements: Vec<&Placement> = of_scenario.iter().map(|experiment| &experiment.placement).collect();
        let rounds = machine::rounds(&placements);
        out.extend(rounds.into_iter().map(|round| round.into_iter().map(|at| &of_scenario[at]).collect()));
    }
    out
}

/// The scenarios to run: first the controls, then the named scenarios or the default ones.
fn chosen_scenarios(args: &RunArgs, arch: Arch) -> Result<Vec<Scenario>> {
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

/// The placements that a scenario runs on. `named` says whether `cpus` comes from --cpus.
fn placements(
    args: &RunArgs,
    topology: &Topology,
    cpus: &[usize],
    named: bool,
    scenario: &Scenario,
) -> Result<Vec<Placement>> {
    let threads = scenario.program.threads.len();
    let fail = |reason: String| Error::Usage(format!("{}: {reason}", scenario.name));
    if cpus.len() < threads && args.oversubscribe && !cpus.is_empty() {
        return Ok(vec![machine::oversubscribed(cpus, threads)]);
    }
    if let Some(wanted) = args.pairs.filter(|_| threads == 2) {
        let pairs = machine::pairs(topology, cpus, wanted.most());
        return if pairs.is_empty() { Err(fail("--pairs needs two CPUs".to_owned())) } else { Ok(pairs) };
    }
    if named && cpus.len() == threads && args.placement.is_empty() {
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

/// The experiments of a run, controls first. So the finding of every later zero is known when its result is
/// written.
fn experiments<'a>(
    args: &RunArgs,
    arch: Arch,
    clock: Clock,
    host: &Host,
    planned: &[(&'a Scenario, Placement)],
) -> Result<Vec<Experiment<'a>>> {
    let open_ended = args.duration.is_none() && args.iterations.is_none() && args.stop_after_races.is_none();
    // With --pairs, pairs of one test that share no CPU run at the same time: at most half as many as there
    // are CPUs.
    let cpus: HashSet<usize> = planned.iter().flat_map(|(_, placement)| placement.cpus.iter().copied()).collect();
    let at_once = if args.pairs.is_some() { (cpus.len() / 2).max(1) } else { 1 };
    let share = DEFAULT_TOTAL.div_f64(planned.len().div_ceil(at_once).max(1) as f64).max(DEFAULT_LEAST);
    let limits = Limits {
        duration: args.duration.or(open_ended.then_some(share)),
        iterations: args.iterations,
        races: args.stop_after_races,
    };
    let batch = args.measure.batch.map(|batch| {
        usize::try_from(batch).ok().filter(|batch| *batch <= LARGEST_BATCH).ok_or_else(|| {
            Error::Usage(format!("--batch: {batch} is more than {LARGEST_BATCH} instances, the maximum"))
        })
    });
    let batch = batch.transpose()?;
    if args.measure.pace == PaceArg::Free
        && (args.measure.period.is_some() || args.measure.skew.is_some() || args.measure.window.is_some())
    {
        return Err(Error::Usage(
            "--period, --skew and --window apply only to paced runs; leave out --pace free".to_owned(),
        ));
    }
    let target = Target { arch, atomics: args.measure.atomics.unwrap_or_else(Atomics::of_host) };
    if target.atomics == Atomics::Lse && Atomics::of_host() == Atomics::Llsc {
        return Err(Error::Host(
            "--atomics lse: this CPU has no LSE atomics; leave the option out, or use --atomics llsc".to_owned(),
        ));
    }
    let unfit = host.clock_check.as_ref().and_then(|check| check.unfit.as_deref());
    refuse_unfit(args, unfit)?;
    let skews = match &args.measure.window {
        Some(Window::Given(skews)) => Some(skews),
        _ => args.measure.skew.as_ref(),
    };
    within_a_second(args, &clock, skews)?;
    if args.measure.pace == PaceArg::Free && (args.measure.group.is_some() || args.measure.prefetch.is_some()) {
        return Err(Error::Usage("--group and --prefetch apply only to paced runs; leave out --pace free".to_owned()));
    }
    let common = Common {
        target,
        clock,
        line: host.false_sharing_bytes,
        seed: args.seed,
        limits,
        nice: args.nice,
        window: args.measure.window.is_some(),
        side_by_side: args.pairs.is_some(),
    };
    let profile = profile(args, host)?;
    let mut experiments = Vec::new();
    for (scenario, placement) in planned {
        let single = scenario.program.threads.len() < 2 || placement.class == Class::Shared;
        let pace = match args.measure.pace {
            PaceArg::Free => PaceChoice::Free { given: true },
            // Pacing needs a fit and fine clock. It is useless for a single thread and for threads that share
            // a CPU, because they never run at the same time.
            PaceArg::Auto if unfit.is_some() => PaceChoice::Free { given: false },
            PaceArg::Auto if (single || !clock.can_pace()) && args.measure.period.is_none() && skews.is_none() => {
                PaceChoice::Free { given: false }
            }
            PaceArg::Auto | PaceArg::Paced => PaceChoice::Paced {
                given: args.measure.pace == PaceArg::Paced,
                period: args.measure.period.map(|period| period.ticks(&clock).max(Ticks(1))),
                skews: skews.map(|skews| skews.ticks(&clock)),
            },
        };
        if let PaceChoice::Paced { period, .. } = &pace {
            period_is_kept(args, &clock, *period)?;
        }
        let expectation = verdict::expectation(scenario, arch, target.atomics)?;
        if let Some(note) = &expectation.note {
            terminal::err(&format!("{note}; the verdict is taken from the test's header\n"));
        }
        let tuned = profile.as_ref().and_then(|profile| profile.find(&scenario.name, placement.class));
        // Pairs that run at the same time leave no CPUs for stress.
        let fits = |tuned: &&Tuned| {
            !single
                && (args.pairs.is_none() || tuned.settings.stress.is_none())
                && (unfit.is_none() || tuned.settings.pace == "free")
        };
        let choice = match tuned.filter(fits) {
            Some(tuned) => settings::tuned(tuned)?,
            None => Choice {
                pace,
                layout: args.measure.layout.unwrap_or(LayoutKind::Padded),
                batch,
                group: args.measure.group.map(|group| group as usize),
                prefetch: args.measure.prefetch.unwrap_or_default(),
                stress: args.measure.stress,
                profile: None,
            },
        };
        experiments.push(Experiment::new(scenario, placement.clone(), choice, expectation, &common)?);
    }
    Ok(experiments)
}

/// Refuses options that need pacing if the clock is not fit to pace by. `unfit` is the reason.
fn refuse_unfit(args: &RunArgs, unfit: Option<&str>) -> Result<()> {
    let asked = [
        ("--pace paced", args.measure.pace == PaceArg::Paced),
        ("--period", args.measure.period.is_some()),
        ("--skew", args.measure.skew.is_some()),
        ("--window", args.measure.window.is_some()),
    ];
    match (unfit, asked.iter().find(|(_, given)| *given)) {
        (Some(reason), Some((option, _))) => Err(Error::Host(format!(
            "{option}: the {} is not fit to pace by: {reason}; leave {option} out, then instances run free",
            Clock::NAME
        ))),
        _ => Ok(()),
    }
}

/// Refuses a period or a skew longer than 1 s. The parser cannot check this for values in ticks, because it
/// depends on the clock.
fn within_a_second(args: &RunArgs, clock: &Clock, skews: Option<&Skews>) -> Result<()> {
    // 1 s, rounded to whole ticks, may be one tick more than the frequency.
    let long = |ticks: Ticks| ticks.0.unsigned_abs() as f64 > clock.frequency_hz + 1.0;
    let refuse = |flag: &str, ticks: Ticks| {
        let seconds = ticks.0 as f64 / clock.frequency_hz;
        Err(Error::Usage(format!("{flag}: {seconds:.1} s on this host's clock; expected at most 1 s")))
    };
    if let Some(period) = args.measure.period.map(|period| period.ticks(clock)).filter(|&period| long(period)) {
        return refuse("--period", period);
    }
    if let Some(skew) = skews.into_iter().flat_map(|skews| skews.ticks(clock)).find(|&skew| long(skew)) {
        return refuse(if args.measure.skew.is_some() { "--skew" } else { "--window" }, skew);
    }
    Ok(())
}

/// The longest time between two batches on an idle machine.
///
/// Between batches the threads wait for each other, classify outcomes and reset variables. A shorter period
/// holds only inside a batch.
const BETWEEN_BATCHES: Duration = Duration::from_micros(100);

/// Refuses batches that are smaller than a group, and batches of one group with a short period. In such a
/// batch the period would never be kept, because the time between batches is longer.
fn period_is_kept(args: &RunArgs, clock: &Clock, period: Option<Ticks>) -> Result<()> {
    let Some(batch) = args.measure.batch else { return Ok(()) };
    let group = u64::from(args.measure.group.unwrap_or(1));
    if batch < group {
        return Err(Error::Usage(format!(
            "--batch {batch} is less than --group {group}: a batch holds whole groups; expected at least {group}"
        )));
    }
    if batch < 2 * group && period.is_none_or(|period| clock.nanos(period) < BETWEEN_BATCHES.into()) {
        return Err(Error::Usage(format!(
            "--batch {batch}: with one group of instances per batch, a period shorter than {} us cannot be kept; expected --batch {} or \
             more, a --period of at least that time, or --pace free",
            BETWEEN_BATCHES.as_micros(),
            2 * group
        )));
    }
    Ok(())
}

/// The profile that settings are taken from: the named one, or the host's. If an option of [`MeasureArgs`] is given,
/// the host's profile is not used, and a named profile is an error.
fn profile(args: &RunArgs, host: &Host) -> Result<Option<TuningProfile>> {
    let own = args.measure_given.join(", ");
    match args.profile.as_deref() {
        Some("none") => Ok(None),
        Some(_) if !own.is_empty() => {
            Err(Error::Usage(format!("--profile conflicts with {own}; give one or the other")))
        }
        Some(path) => TuningProfile::read(Path::new(path), host).map(Some),
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

/// The lines that are printed before a run: the host, how instances run, and how many runs there are.
fn opening(host: &Host, experiments: &[Experiment<'_>], repeat: u32) -> String {
    let rounds = rounds(experiments);
    let time: Option<Duration> = rounds.iter().map(|round| round[0].common.limits.duration).sum();
    let time = time.map(|time| time * repeat);
    let about = time.map_or(String::new(), |time| format!(", about {} s", time.as_secs_f64().round().max(1.0)));
    let tuned = experiments.iter().filter(|experiment| experiment.choice.profile.is_some()).count();
    let tuned = if tuned > 0 {
        format!("{tuned} runs use settings of this host's profile; --profile none turns this off\n")
    } else {
        String::new()
    };
    let unfit = host.clock_check.as_ref().is_some_and(|check| check.unfit.is_some());
    let coarse = if unfit {
        // The reason is among the host's lines.
        "instances run free, because the clock is not fit to pace by\n"
    } else if host.clock_measured.can_pace() {
        ""
    } else {
        "the clock is coarser than the windows of races, so instances run free; --pace paced forces pacing\n"
    };
    let times = if repeat > 1 { format!(", each {repeat} times in turns") } else { String::new() };
    format!("{}{coarse}{tuned}{} runs{times}{about}\n", host_lines(host), experiments.len())
}

/// The line that is printed when a result is known.
fn one_line(result: &record::ScenarioResult) -> String {
    format!(
        "{} on CPUs {} ({}): {} iterations{}, {} races, {}\n",
        result.scenario,
        machine::in_order(&result.placement.cpus),
        result.placement.class,
        publish::count(result.iterations),
        if result.filtered > 0 {
            format!(" ({} more that the filter excludes)", publish::count(result.filtered))
        } else {
            String::new()
        },
        publish::count(result.races),
        publish::rate_with_interval(result.rate, result.interval),
    )
}

/// Notes about the counters of a result's CPUs: one line for each counter that differs from P0's, or whose
/// offset is unknown.
fn counters_note(result: &record::ScenarioResult) -> String {
    let first = result.placement.cpus.first().copied().unwrap_or(0);
    let mut text = String::new();
    for offset in &result.counters {
        let cpu = offset.cpu;
        // Writing to a string cannot fail.
        let _ = match (&offset.problem, offset.offset_ns, offset.error_ns) {
            (Some(problem), ..) => {
                writeln!(text, "note: the offset between the counters of CPUs {first} and {cpu} is unknown: {problem}")
            }
            (None, Some(ns), Some(error)) if offset.corrected => writeln!(
                text,
                "note: the counter of CPU {cpu} is {ns:.0} ± {error:.0} ns ahead of that of CPU {first}; start times are corrected by this"
            ),
            _ => Ok(()),
        };
    }
    text
}

/// The evidence for a forbidden outcome: all outcomes, the code that ran, and the host.
fn evidence_for(experiment: &Experiment<'_>, result: &record::ScenarioResult, host: &Host) -> Result<String> {
    let program = &experiment.scenario.program;
    let mut text = format!("\n{}: {}\n", result.scenario, result.condition);
    // Writing to a string cannot fail.
    for outcome in &result.outcomes {
        let values: Vec<String> = outcome.values.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let mark = if outcome.satisfies { "*" } else { " " };
        let _ = writeln!(text, "  {mark} {:>15}  {}", publish::count(outcome.count), values.join("; "));
    }
    for (number, (thread, code)) in program.threads.iter().zip(&experiment.code).enumerate() {
        let _ = writeln!(text, "P{number} on CPU {}:", experiment.placement.cpus[number]);
        text.push_str(&codegen::listing(program, thread, code)?);
    }
    let _ = writeln!(text, "code sha256 {}, source sha256 {}", result.code_sha256, result.source_sha256);
    text.push_str(&host_lines(host));
    Ok(text)
}

#[cfg(test)]
mod tests {

    use super::*;
    use clap::{CommandFactory, Parser};

    #[derive(Debug, Parser)]
    struct Only {
        #[command(flatten)]
        run: RunArgs,
    }

    /// Options that do not change how instances are run, so that a profile can be used with any of them.
    const OTHER_OPTIONS: [&str; 20] = [
        "scenarios",
        "cpus",
        "placement",
        "pairs",
        "oversubscribe",
        "duration",
        "iterations",
        "stop_after_races",
        "repeat",
        "profile",
        "nice",
        "seed",
        "no_controls",
        "quiet",
        "export_json",
        "export_csv",
        "export_markdown",
        "export_html",
        "no_save",
        "help",
    ];

    #[test]
    fn every_option_leaves_the_profile_out_or_is_known_not_to() {
        let mut command = Only::command();
        command.build();
        let how: Vec<&str> = measure_options(&command).iter().map(|arg| arg.get_id().as_str()).collect();
        let expected =
            ["pace", "period", "skew", "group", "prefetch", "window", "layout", "batch", "atomics", "stress"];
        assert_eq!(how, expected);
        for arg in command.get_arguments().map(|arg| arg.get_id().as_str()) {
            let classified = usize::from(how.contains(&arg)) + usize::from(OTHER_OPTIONS.contains(&arg));
            assert_eq!(
                classified, 1,
                "{arg}: if it changes how something is measured, it belongs in MeasureArgs, else in OTHER_OPTIONS"
            );
        }
        let known = command.get_arguments().map(|arg| arg.get_id().as_str()).collect::<Vec<_>>();
        assert!(OTHER_OPTIONS.iter().all(|name| known.contains(name)), "{known:?}");
    }

    #[test]
    fn each_option_that_is_given_is_noted_and_no_default() {
        let noted = |args: &[&str]| {
            let command = Only::command();
            let matches = command.clone().get_matches_from([&["run"], args].concat());
            let mut run = <Only as clap::FromArgMatches>::from_arg_matches(&matches).unwrap().run;
            run.note(&command, &matches);
            run.measure_given
        };
        assert!(noted(&["-n", "1e3", "-c", "0,1", "--seed", "3"]).is_empty());
        for option in [
            "--window",
            "--window=-9..9/3",
            "--pace=auto",
            "--pace=free",
            "--period=9",
            "--skew=0",
            "--group=1",
            "--prefetch",
            "--layout=padded",
            "--batch=9",
            "--atomics=lse",
            "--stress=sets",
        ] {
            assert_eq!(noted(&[option]), [option.split('=').next().unwrap()]);
        }
        assert_eq!(noted(&["--group=1", "--window"]).len(), 2);
    }

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        args: RunArgs,
    }

    #[test]
    fn what_needs_the_clock_is_refused_where_the_clock_is_unfit() {
        let asked = |words: &[&str]| {
            let line = Line::parse_from(std::iter::once(&"run").chain(words));
            let fit = refuse_unfit(&line.args, None);
            assert!(fit.is_ok(), "{words:?}");
            refuse_unfit(&line.args, Some("its rate changes")).map_err(|error| error.to_string())
        };
        for words in [&["--pace", "paced"][..], &["--period", "100ns"], &["--skew", "0"], &["--window"]] {
            let error = asked(words).unwrap_err();
            assert!(error.starts_with(words[0]) && error.contains("its rate changes"), "{error}");
        }
        assert_eq!((asked(&[]), asked(&["--pace", "free"])), (Ok(()), Ok(())));
    }

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
