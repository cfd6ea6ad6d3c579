//! The options of `wakerace run`, and the checks that need no host.

use std::path::PathBuf;
use std::time::Duration;

use clap::parser::ValueSource;
use clap::{Args, ValueEnum};

use crate::arch::lock::LockChoice;
use crate::cli::output::OutputArgs;
use crate::cli::units::{
    ClockTime, Pairs, Skews, parse_clock_step, parse_count, parse_duration, parse_pairs, parse_period, parse_skews,
};
use crate::codegen::Atomics;
use crate::error::{Error, Result};
use crate::experiment::{LARGEST_BATCH, LARGEST_GROUP};
use crate::harness::{Goal, Prefetch, StressKind};
use crate::layout::LayoutKind;
use crate::machine::{self, Class};

/// The largest value of --repeat.
const MOST_REPEATS: i64 = 1000;

/// Arguments of `run`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  wakerace run                            the default tests: about 30 s
  wakerace run SB MP -d 10s               two scenarios by name, 10 s each
  wakerace run race --pairs all --mail    the race on every pair of CPUs
  wakerace run my.litmus --window         a test of your own, and its window")]
pub struct RunArgs {
    /// Litmus files (in C, or in this host's assembly), folders, scenario names or groups (race, fixes, mutants, guards,
    /// fields, controls)
    /// [default: the race, two fixes and a mutant]
    pub(super) scenarios: Vec<String>,

    /// Use only these CPUs; if there are as many as a test has threads, P0 runs on the first, P1 on the
    /// second, ...
    #[arg(short = 'c', long, value_name = "LIST")]
    pub(super) cpus: Option<String>,
    /// Placement classes, by what the threads are apart: smt (threads of one core), core (cores of one cluster), cluster
    /// (clusters of one last-level cache), llc (last-level caches of one socket), socket; several with commas
    /// [default: every class that this host has]
    #[arg(long, value_name = "CLASS", value_delimiter = ',')]
    pub(super) placement: Vec<Class>,
    /// Kinds of core, such as Cortex-X925 or Cortex-X925+Cortex-A725 (P0 on the first, the others on the second),
    /// or several; a part of a name is enough [default: every combination of the kinds that this host has]
    #[arg(long, value_name = "KINDS", value_delimiter = ',', conflicts_with = "oversubscribe")]
    pub(super) kinds: Vec<String>,
    /// Run tests of two threads on pairs of CPUs, as many pairs at a time as fit: `all`, or COUNT pairs per
    /// class and pair of kinds of core
    #[arg(long, value_name = "COUNT", value_parser = parse_pairs, conflicts_with_all = ["placement", "oversubscribe"])]
    pub(super) pairs: Option<Pairs>,
    /// Allow several threads of a test to share a CPU
    #[arg(long)]
    pub(super) oversubscribe: bool,

    /// Time for each scenario on each placement, such as 10s or 2m; seconds without a unit [default: about 30 s in
    /// total]
    #[arg(short = 'd', long, value_name = "TIME", value_parser = parse_duration)]
    pub(super) duration: Option<Duration>,
    /// Instances of each scenario on each placement, such as 4e9; those that a test's filter excludes
    /// count too, those that are discarded do not
    #[arg(short = 'n', long, value_name = "COUNT", value_parser = parse_count)]
    pub(super) iterations: Option<u64>,
    /// Stop a scenario after COUNT races
    #[arg(long, value_name = "COUNT", value_parser = parse_count)]
    pub(super) stop_after_races: Option<u64>,

    /// Stop a scenario when its rate in this run is known: 'rate known to 10 %' (half the width of its interval is at most a
    /// tenth of the rate; it ends by -d or the usual time at the latest), or 'bound below 1e-9' (its 95 % interval
    /// lies below or above that)
    #[arg(long, value_name = "GOAL")]
    pub(super) stop_when: Option<Goal>,

    /// Run everything COUNT times, in turns; the intervals then include the differences between the repeats
    #[arg(long, value_name = "COUNT", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=MOST_REPEATS))]
    pub(super) repeat: u32,

    #[command(flatten)]
    pub(super) measure: MeasureArgs,
    /// Use the settings of this profile of `wakerace tune`; `none`: search anew [default: this host's profile, if it
    /// exists, and what earlier runs found]
    #[arg(long, value_name = "FILE")]
    pub(super) profile: Option<String>,
    /// Nice value of the threads; a negative value reduces disturbance by other processes, 0 is the usual
    /// priority
    #[arg(long, default_value_t = machine::PREFERRED_NICE, value_parser = clap::value_parser!(i32).range(-20..=19), allow_hyphen_values = true)]
    pub(super) nice: i32,
    /// Seed of the random order of skews
    #[arg(long, default_value_t = 1)]
    pub(super) seed: u64,
    /// Run only the named scenarios, without the controls that show whether reordering is visible on this
    /// host
    #[arg(long)]
    pub(super) no_controls: bool,

    /// Print what would run, on which CPUs and for how long, and measure nothing
    #[arg(long)]
    pub(super) dry_run: bool,
    /// Print what would run on another machine: a capture of it (`topology --capture`), or a folder with a copy of its
    /// /sys and /proc; implies --dry-run
    #[arg(long, value_name = "PATH")]
    pub(super) topology: Option<PathBuf>,

    #[command(flatten)]
    pub(super) output: OutputArgs,

    /// The options of [`MeasureArgs`] that were given, such as `--pace`. [`RunArgs::note`] fills this in.
    #[arg(skip)]
    pub(super) measure_given: Vec<String>,
    /// The same options with their values, such as `--skew 20`.
    #[arg(skip)]
    pub(super) measure_values: Vec<String>,
}

/// Options for how instances are run.
///
/// `wakerace tune` and the searches of runs find most of these settings. If one of these options is given, the host's profile and what
/// earlier runs found are not used. Every option that changes how something is measured belongs here.
#[derive(Debug, Args)]
#[group(id = MEASURE)]
pub(super) struct MeasureArgs {
    /// Start of instances: free (as soon as possible), paced (by the clock), or auto (paced if the clock is
    /// fit and fine enough)
    #[arg(long, value_enum, default_value = "auto")]
    pub(super) pace: PaceArg,
    /// Time from one tick of the pace to the next, such as 100ns or 250ticks; nanoseconds without a unit [default: the shortest
    /// that the threads keep]
    #[arg(long, value_name = "TIME", value_parser = parse_period, allow_hyphen_values = true)]
    pub(super) period: Option<ClockTime>,
    /// Start delay of the last thread relative to P0: 20ns, a list -20,0,20, or a range -100..100/21; nanoseconds without a unit,
    /// at most 1 s [default: a sweep]
    #[arg(long, value_name = "TIME", value_parser = parse_skews, allow_hyphen_values = true)]
    pub(super) skew: Option<Skews>,
    /// Instances that run back to back at each tick of the pace [default: found by a search at the beginning of the test]
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u32).range(1..=LARGEST_GROUP as i64))]
    pub(super) group: Option<u32>,
    /// Prefetch the cache lines of a group before its tick: on, off, turns (half of the batches, at random), or ahead (those that
    /// the thread stores to, a group earlier than those that it reads) [default: found by a search; turns if nothing is searched]
    #[arg(long, alias = "warm", value_name = "WHEN", num_args = 0..=1, require_equals = true, default_missing_value = "on")]
    pub(super) prefetch: Option<Prefetch>,
    /// Sweep the skew evenly for the whole run, over RANGE such as -200ns..200ns/81 if given (nanoseconds without a
    /// unit), and draw the race's window. Other settings are searched first, as in any run; --group 1 has one instance at each tick
    #[arg(long, value_name = "RANGE", num_args = 0..=1, require_equals = true, default_missing_value = "auto", value_parser = parse_window, conflicts_with = "skew", allow_hyphen_values = true)]
    pub(super) window: Option<Window>,
    /// Layout of the variables: padded (each on its own cache lines), packed (all of an instance together), dense
    /// (neighbouring instances share lines), kernel (as the fields of task_struct), kernel-ARCH (those of another
    /// architecture, such as kernel-arm64) [default: padded or dense, found by a search at the beginning of the test]
    #[arg(long, value_name = "LAYOUT")]
    pub(super) layout: Option<LayoutKind>,
    /// At most COUNT instances per batch, between two meetings of the threads; a batch has fewer if its instances take long
    /// [default: as many as fit the caches]
    #[arg(long, value_name = "COUNT", value_parser = parse_count)]
    pub(super) batch: Option<u64>,
    /// Atomics of the arm64 code: lse or llsc [default: lse if the CPU has it]
    #[arg(long, value_name = "KIND")]
    pub(super) atomics: Option<Atomics>,
    /// Spinlock of the kernel: on x86-64 native or pv, on riscv64 qspinlock or ticket, or auto, which is what the kernel
    /// chooses on this CPU [default: auto]
    #[arg(long, value_name = "KIND", default_value = "auto", hide_default_value = true)]
    pub(super) lock: LockChoice,
    /// Load the memory system from CPUs that the test does not use: memory (write through memory) or sets
    /// (fill cache sets)
    #[arg(long, value_name = "KIND", conflicts_with = "pairs")]
    pub(super) stress: Option<StressKind>,
    /// Simulate a coarse clock: the emitted code clears the low bits of each reading of the counter, so that it changes every
    /// STEP, rounded to a power of two ticks. For tests of wakerace itself
    #[arg(long, value_name = "STEP", value_parser = parse_clock_step, allow_hyphen_values = true, hide = true)]
    pub(super) clock_step: Option<ClockTime>,
}

/// The id of clap's group of the options of [`MeasureArgs`].
const MEASURE: &str = "measure";

impl RunArgs {
    /// Checks what clap cannot: combinations of options that no host allows, and the largest batch.
    ///
    /// # Errors
    /// If an option has a value that is too large, or has no effect together with another one.
    pub(super) fn validate(&self) -> Result<()> {
        let MeasureArgs { pace, period, skew, group, prefetch, window, batch, clock_step, .. } = &self.measure;
        if let Some(batch) = batch.filter(|batch| usize::try_from(*batch).is_ok_and(|batch| batch > LARGEST_BATCH)) {
            return Err(Error::Usage(format!("--batch: {batch} is more than {LARGEST_BATCH} instances, the maximum")));
        }
        let only_paced = |given: bool, options: &str| {
            let words = format!("{options} only to paced runs; leave out --pace free");
            if *pace == PaceArg::Free && given { Err(Error::Usage(words)) } else { Ok(()) }
        };
        only_paced(period.is_some() || skew.is_some() || window.is_some(), "--period, --skew and --window apply")?;
        only_paced(clock_step.is_some(), "--clock-step applies")?;
        only_paced(group.is_some() || prefetch.is_some(), "--group and --prefetch apply")
    }

    /// Whether wakerace chooses when a scenario with this goal ends.
    pub(super) fn is_open_ended(&self, goal: Option<Goal>) -> bool {
        let decided = matches!(goal, Some(Goal::BoundBelow(_)));
        self.duration.is_none() && self.iterations.is_none() && self.stop_after_races.is_none() && !decided
    }

    /// The skews that `--skew` or `--window` gives.
    pub(super) fn skews(&self) -> Option<&Skews> {
        match &self.measure.window {
            Some(Window::Given(skews)) => Some(skews),
            _ => self.measure.skew.as_ref(),
        }
    }

    /// Notes which options of [`MeasureArgs`] were given.
    pub(in crate::cli) fn note(&mut self, command: &clap::Command, matches: &clap::ArgMatches) {
        let given = |arg: &&clap::Arg| matches.value_source(arg.get_id().as_str()) == Some(ValueSource::CommandLine);
        let in_group = measure_options(command);
        let in_group: Vec<_> = in_group.into_iter().filter(given).collect();
        let named = || in_group.iter().filter_map(|arg| Some((*arg, arg.get_long()?)));
        self.measure_given = named().map(|(_, long)| format!("--{long}")).collect();
        let value = |(arg, long): (&clap::Arg, &str)| {
            let raw = matches.get_raw(arg.get_id().as_str()).into_iter().flatten();
            let raw: Vec<_> = raw.map(|value| value.to_string_lossy().into_owned()).collect();
            format!("--{long} {}", raw.join(",")).trim_end().to_owned()
        };
        self.measure_values = named().map(value).collect();
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
pub(super) enum Window {
    /// A range chosen by wakerace: about as wide as the duration of an instance.
    Auto,
    /// The skews of the option's value.
    Given(Skews),
}

fn parse_window(text: &str) -> std::result::Result<Window, String> {
    if text == "auto" { Ok(Window::Auto) } else { parse_skews(text).map(Window::Given) }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum PaceArg {
    Free,
    Paced,
    Auto,
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
    const OTHER_OPTIONS: [&str; 26] = [
        "scenarios",
        "cpus",
        "placement",
        "kinds",
        "dry_run",
        "topology",
        "label",
        "pairs",
        "oversubscribe",
        "duration",
        "iterations",
        "stop_after_races",
        "stop_when",
        "repeat",
        "profile",
        "nice",
        "seed",
        "no_controls",
        "quiet",
        "mail",
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
        let expected = [
            "pace",
            "period",
            "skew",
            "group",
            "prefetch",
            "window",
            "layout",
            "batch",
            "atomics",
            "lock",
            "stress",
            "clock_step",
        ];
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
            "--lock=auto",
            "--stress=sets",
            "--clock-step=40ns",
        ] {
            assert_eq!(noted(&[option]), [option.split('=').next().unwrap()]);
        }
        assert_eq!(noted(&["--group=1", "--window"]).len(), 2);
    }
}
