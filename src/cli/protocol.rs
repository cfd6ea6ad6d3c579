//! `wakerace protocol`

use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use clap::{Args, ValueEnum};

use super::interrupt::interrupt_flag;
use super::output::{Output, OutputArgs, status};
use super::progress::Bar;
use super::units::parse_duration;
use crate::arch::Arch;
use crate::error::{Error, Result};
use crate::kernel::{BlockedOnStore, Mutant, Profile};
use crate::machine::{self, Calibration};
use crate::protocol::{self, LAYOUTS, Plan, Variant};
use crate::publish::count;
use crate::record::{self, Judgement, PROTOCOL_SCHEMA, ProtocolRecord, ProtocolResult};

/// Arguments of `protocol`.
#[derive(Debug, Args)]
pub struct ProtocolArgs {
    /// Which kernel: v7.1, draft, draft+check or v7.2; all in turn if none is named
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    profile: Vec<Profile>,
    /// Which interleavings: minimal, V1 to V8, or all of them at once
    #[arg(long, value_name = "NAME", default_value = "all")]
    variant: Variant,
    /// How long each profile runs
    #[arg(short = 'd', long, value_name = "TIME", default_value = "10s", value_parser = parse_duration)]
    duration: Duration,
    /// The CPUs, such as 0-3,8; up to four of those allowed if not given
    #[arg(short = 'c', long, value_name = "LIST")]
    cpus: Option<String>,
    /// How many CPUs the protocol has; more than there are share them
    #[arg(long, value_name = "N")]
    threads: Option<usize>,
    /// Tasks per CPU
    #[arg(long, value_name = "N", default_value_t = 2)]
    tasks: usize,
    /// How the blocker stores blocked_on; non-temporal forces the race on x86
    #[arg(long, value_name = "HOW", default_value = "plain")]
    blocked_on_store: StoreArg,
    /// Where the fields of task_struct lie: packed, padded, or kernel-ARCH; this architecture's if not given
    #[arg(long, value_name = "LAYOUT")]
    layout: Option<String>,
    /// Leave something out, to see that the checks notice
    #[arg(long, value_name = "NAME")]
    mutant: Option<Mutant>,
    /// Seed of what tasks and interrupts do
    #[arg(long, value_name = "SEED", default_value_t = 1)]
    seed: u64,
    /// A task that has not moved for so long ends the run
    #[arg(long, value_name = "TIME", default_value = "5s", value_parser = parse_duration)]
    watchdog: Duration,
    #[command(flatten)]
    output: OutputArgs,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum StoreArg {
    Plain,
    Nontemporal,
}

/// The most CPUs the protocol takes by itself, and at all: a task's mask has 64 bits.
const BY_DEFAULT: usize = 4;
const MOST: usize = 64;

/// Runs the protocol and prints what came of it; the exit status.
pub fn protocol(args: &ProtocolArgs) -> Result<u8> {
    machine::require_counter()?;
    let arch = Arch::host().ok_or_else(|| Error::Host("wakerace does not know this architecture".to_owned()))?;
    let started = jiff::Timestamp::now();
    let begun = Instant::now();
    let interrupt = interrupt_flag()?;
    let (topology, allowed, cpus) = super::topology::cpus_to_use(args.cpus.as_deref())?;
    let calibration = Calibration::new();
    let host_clock = calibration.clock;
    let host = machine::describe(&topology, &allowed, calibration);
    let plans = plans(args, arch, &cpus)?;

    let kept = record::default_path(&host, started).with_extension("protocol.json");
    let mut output = Output::new(&args.output, kept)?;
    output.say(&super::topology::host_lines(&host));
    let mut record = ProtocolRecord::begin(PROTOCOL_SCHEMA, started, host)?;
    let mut evidence = String::new();
    let mut failures = Vec::new();
    for plan in &plans {
        // What was run before is shown all the same.
        let outcome = match run(args, plan, &interrupt) {
            Ok(outcome) => outcome,
            Err(error) => {
                output.say(&format!("failed: {error}\n"));
                failures.push(error);
                continue;
            }
        };
        if let Some(stuck) = &outcome.stuck {
            evidence.push_str(&format!("\n{} {}: {}\n{}", plan.profile, plan.variant, stuck.what, stuck.state));
        }
        record.interrupted = outcome.interrupted;
        record.results.push(ProtocolResult::new(plan, &outcome, host_clock));
        record.elapsed_s = begun.elapsed().as_secs_f64();
        if let Err(error) = output.write_files(&record) {
            output.say(&format!("not written yet: {error}\n"));
        }
        if !outcome.running.is_empty() {
            evidence.push_str(&format!(
                "\nThe threads of CPU {} of the protocol can be neither stopped nor made to leave. They would disturb whatever runs beside \
                 them: no further profile is run.\n",
                machine::in_order(&outcome.running)
            ));
            break;
        }
        if record.interrupted {
            break;
        }
    }
    let finished = output.finish(&record, &evidence, failures);
    let bad = record.results.iter().any(|result| result.judgement() == Judgement::Unexpected);
    status(finished, bad, record.interrupted)
}

/// A plan per profile; V8 takes every layout in turn.
fn plans(args: &ProtocolArgs, arch: Arch, cpus: &[usize]) -> Result<Vec<Plan>> {
    let threads =
        args.threads.unwrap_or_else(|| if args.cpus.is_some() { cpus.len() } else { cpus.len().min(BY_DEFAULT) });
    // With one CPU there would be nobody to wake from elsewhere: two share it.
    let threads = if args.threads.is_none() { threads.max(2) } else { threads };
    if !(2..=MOST).contains(&threads) {
        return Err(Error::Usage(format!("--threads: the protocol takes 2 to {MOST} CPUs, not {threads}")));
    }
    if args.tasks == 0 || args.tasks > 16 {
        return Err(Error::Usage(format!("--tasks: 1 to 16 tasks per CPU, not {}", args.tasks)));
    }
    if args.blocked_on_store == StoreArg::Nontemporal && arch != Arch::X86_64 {
        return Err(Error::Host(format!(
            "--blocked-on-store nontemporal: a control for x86-64; on {arch} plain stores are weakly ordered already"
        )));
    }
    let layouts: Vec<&'static str> = match &args.layout {
        Some(name) => {
            let known = LAYOUTS.into_iter().find(|known| known == name);
            vec![known.ok_or_else(|| {
                Error::Usage(format!("--layout: unknown layout '{name}'; known are {}", LAYOUTS.join(", ")))
            })?]
        }
        None if args.variant == Variant::V8 => LAYOUTS.to_vec(),
        None => LAYOUTS.into_iter().filter(|name| *name == format!("kernel-{arch}")).collect(),
    };
    let profiles = if args.profile.is_empty() { Profile::ALL.to_vec() } else { args.profile.clone() };
    let mut plans = Vec::new();
    for profile in profiles {
        for &layout in &layouts {
            plans.push(Plan {
                profile,
                mutant: args.mutant,
                store: match args.blocked_on_store {
                    StoreArg::Plain => BlockedOnStore::Plain,
                    StoreArg::Nontemporal => BlockedOnStore::Nontemporal,
                },
                variant: args.variant,
                layout,
                cpus: (0..threads).map(|thread| cpus[thread % cpus.len()]).collect(),
                tasks: args.tasks,
                duration: args.duration.div_f64(layouts.len() as f64),
                watchdog: args.watchdog,
                seed: args.seed,
            });
        }
    }
    Ok(plans)
}

fn run(args: &ProtocolArgs, plan: &Plan, interrupt: &AtomicBool) -> Result<protocol::Outcome> {
    let name = format!("{} {} on CPUs {}", plan.profile, plan.variant, machine::in_order(&plan.cpus));
    let mut bar = Bar::new(&name, args.output.quiet);
    let outcome = protocol::run(plan, interrupt, |progress| {
        let share = progress.elapsed.as_secs_f64() / plan.duration.as_secs_f64().max(1e-9);
        bar.update(share, || {
            format!(
                "{} rounds, {} wakeups, {} races",
                count(progress.rounds),
                count(progress.wakes),
                count(progress.races)
            )
        });
    })?;
    bar.finish();
    Ok(outcome)
}
