//! `wakerace protocol`: runs the kernel's mutex and wakeup protocol and counts the harm that the race does.

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
use crate::layout::kernel_of;
use crate::machine::{self, Calibration, Conditions, Moment};
use crate::protocol::{self, LAYOUTS, Plan, Variant};
use crate::publish::count;
use crate::record::{self, Judgement, PROTOCOL_SCHEMA, ProtocolRecord, ProtocolResult};

/// Arguments of `protocol`.
#[derive(Debug, Args)]
pub struct ProtocolArgs {
    /// Kernel version to run: v7.1, draft or v7.2; several are run in turn [default: all]
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    profile: Vec<Profile>,
    /// Interleavings to run, by their names in docs/kernel.md: minimal, V1 to V13, S20, or all at once
    #[arg(long, value_name = "NAME", default_value = "all")]
    variant: Variant,
    /// Time for each profile; seconds without a unit
    #[arg(short = 'd', long, value_name = "TIME", default_value = "10s", value_parser = parse_duration)]
    duration: Duration,
    /// CPUs to use, such as 0-3,8 [default: up to four of the allowed CPUs]
    #[arg(short = 'c', long, value_name = "LIST")]
    cpus: Option<String>,
    /// Number of CPUs of the protocol; if it exceeds the host's CPUs, they are shared [default: one per CPU
    /// used, at least 2]
    #[arg(long, value_name = "COUNT")]
    threads: Option<usize>,
    /// Tasks per CPU
    #[arg(long, value_name = "COUNT", default_value_t = 2)]
    tasks: usize,
    /// How the blocking task stores blocked_on; a non-temporal store forces the race on x86
    #[arg(long, value_name = "HOW", default_value = "plain")]
    blocked_on_store: StoreArg,
    /// Layout of the fields of task_struct: packed, padded or kernel-ARCH [default: this architecture's
    /// kernel layout]
    #[arg(long, value_name = "LAYOUT")]
    layout: Option<String>,
    /// Leave out a part of the protocol, or add one (check, block-preempted), to test that the checks notice
    /// and what would help
    #[arg(long, value_name = "NAME")]
    mutant: Option<Mutant>,
    /// Seed of the random choices of tasks and interrupts
    #[arg(long, value_name = "SEED", default_value_t = 1)]
    seed: u64,
    /// End the run if a task makes no progress for this time; seconds without a unit
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

/// The most CPUs that the protocol uses without --cpus and --threads.
const BY_DEFAULT: usize = 4;
/// The most CPUs that the protocol can have: a task's CPU mask has 64 bits.
const MOST: usize = 64;

/// Runs the protocol, prints the results and returns the exit status.
pub fn protocol(args: &ProtocolArgs) -> Result<u8> {
    machine::require_counter()?;
    let arch = Arch::host().ok_or_else(|| Error::Host("wakerace does not support this architecture".to_owned()))?;
    let started = jiff::Timestamp::now();
    let begun = Instant::now();
    let interrupt = interrupt_flag()?;
    let (topology, allowed, cpus) = super::topology::cpus_to_use(args.cpus.as_deref())?;
    let calibration = Calibration::new();
    let host_clock = calibration.clock;
    let mut host = machine::describe(&topology, &allowed, calibration);
    host.label.clone_from(&args.output.label);
    let plans = plans(args, arch, &cpus)?;

    let kept = record::default_path(&host, started).with_extension("protocol.json");
    let mut output = Output::new(&args.output, kept)?;
    output.say(&super::topology::host_lines(&host));
    let mut record = ProtocolRecord::begin(PROTOCOL_SCHEMA, started, host)?;
    record.conditions = Some(Conditions::begin());
    let mut evidence = String::new();
    let mut failures = Vec::new();
    for plan in &plans {
        // A failed profile does not discard the results of the others.
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
        if let Some(conditions) = &mut record.conditions {
            conditions.after = Moment::now();
        }
        if let Err(error) = output.write_files(&record) {
            output.say(&format!("could not be written yet: {error}\n"));
        }
        if !outcome.running.is_empty() {
            evidence.push_str(&format!(
                "\nThe threads of CPU {} of the protocol cannot be stopped. They would disturb any other profile, so no further \
                 profile is run.\n",
                machine::in_order(&outcome.running)
            ));
            break;
        }
        if record.interrupted {
            break;
        }
    }
    output.say_interrupted(record.interrupted, "");
    let finished = output.finish(&record, &evidence, failures);
    let bad = record.results.iter().any(|result| result.judgement() == Judgement::Unexpected);
    status(finished, bad, record.interrupted)
}

/// Makes one plan per profile. Variant V8 gets one plan per profile and layout.
fn plans(args: &ProtocolArgs, arch: Arch, cpus: &[usize]) -> Result<Vec<Plan>> {
    let threads =
        args.threads.unwrap_or_else(|| if args.cpus.is_some() { cpus.len() } else { cpus.len().min(BY_DEFAULT) });
    // A remote wakeup needs two CPUs of the protocol. On a host with one CPU, both share it.
    let threads = if args.threads.is_none() { threads.max(2) } else { threads };
    if !(2..=MOST).contains(&threads) {
        return Err(Error::Usage(format!("--threads: {threads} CPUs; expected 2 to {MOST}")));
    }
    if args.tasks == 0 || args.tasks > 16 {
        return Err(Error::Usage(format!("--tasks: {} tasks per CPU; expected 1 to 16", args.tasks)));
    }
    if args.blocked_on_store == StoreArg::Nontemporal && !arch.facts().has_nontemporal_store {
        return Err(Error::Host(format!(
            "--blocked-on-store nontemporal: works only on x86-64; on {arch} plain stores are weakly ordered already"
        )));
    }
    let layouts: Vec<&'static str> = match &args.layout {
        Some(name) => {
            // An architecture has several names: kernel-arm64 is kernel-aarch64.
            let wanted = kernel_of(name).map_or(name.as_str(), |arch| arch.facts().task_struct.layout);
            let known = LAYOUTS.into_iter().find(|known| *known == wanted);
            vec![known.ok_or_else(|| {
                Error::Usage(format!("--layout: unknown layout '{name}'; known are {}", LAYOUTS.join(", ")))
            })?]
        }
        None if args.variant == Variant::V8 => LAYOUTS.to_vec(),
        None => vec![arch.facts().task_struct.layout],
    };
    let profiles = if args.profile.is_empty() { Profile::ALL.to_vec() } else { args.profile.clone() };
    if let Some(mutant) = args.mutant
        && let Some(only) = mutant.only()
        && profiles.iter().any(|profile| *profile != only)
    {
        return Err(Error::Usage(format!(
            "--mutant {mutant}: it changes the profile {only} only; add --profile {only}"
        )));
    }
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
