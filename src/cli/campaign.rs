//! `wakerace campaign`: runs every test of a corpus and compares what was seen with what the architecture allows.

use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use clap::Args;

use super::interrupt::interrupt_flag;
use super::output::{Output, OutputArgs, status};
use super::progress::Bar;
use super::topology::{cpus_to_use, host_lines, or_oversubscribed};
use super::units::{parse_count, parse_duration};
use crate::arch::Arch;
use crate::arch::lock::LockChoice;
use crate::campaign::{
    self, Aim, Begin, Books, Corpus, Journal, Progress, SETTINGS, Schedule, Selection, Setting, Shard, Test, ThisHost,
};
use crate::catalogue;
use crate::codegen::{Atomics, Target};
use crate::error::{Error, Result};
use crate::experiment::Common;
use crate::harness::Limits;
use crate::machine::{self, Calibration, Class, Conditions, Edges, Host, Moment, Placement, Topology};
use crate::record::{self, CAMPAIGN_SCHEMA, CampaignAbout, CampaignRecord, Standing};
use crate::{publish, shown};

/// Time of a campaign without -d and --confidence.
const DEFAULT: Duration = Duration::from_secs(60);
/// The number of files that are not run whose reasons are printed.
const REFUSED_SHOWN: usize = 20;
/// The environment variable that names the emulator, with its version. `wakerace conform` sets it.
pub(super) const EMULATOR: &str = "WAKERACE_EMULATOR";

/// Arguments of `campaign`.
#[derive(Debug, Args)]
#[command(
    after_help = "A journal keeps every slice of the campaign, unless --no-save is given without --journal. After Ctrl-C or kill -9, \
the same command with --journal FILE goes on where it ended."
)]
pub struct CampaignArgs {
    /// Folders of litmus tests, files, scenario names or groups [default: all scenarios]
    tests: Vec<String>,
    /// Time in total, also over several runs with one journal; seconds without a unit [default: 60s; without limit with --confidence or --iterations]
    #[arg(short = 'd', long, value_name = "TIME", value_parser = parse_duration)]
    duration: Option<Duration>,
    /// Which outcomes get the most time: allowed (what can this machine show?) or forbidden (does this machine do what it
    /// must not do?)
    #[arg(long, value_enum, default_value = "allowed", hide_possible_values = true)]
    aim: Aim,
    /// Run the tests of `wakerace conform`
    #[arg(long, conflicts_with = "tests", hide = true)]
    conformance: bool,
    /// End when every allowed outcome was seen so often that another campaign of the same length would see it again with
    /// this probability, such as 0.99999
    #[arg(long, value_name = "PROBABILITY", value_parser = parse_confidence)]
    confidence: Option<f64>,
    /// Run COUNT instances of every test before the time goes to the outcomes that were not seen; those that a test's filter
    /// excludes count too. Without -d and --confidence the campaign ends then
    #[arg(long, value_name = "COUNT", value_parser = parse_count)]
    iterations: Option<u64>,
    /// Run only a part of the tests, such as 3/40; every test is in one of the parts
    #[arg(long, value_name = "N/OF")]
    shard: Option<Shard>,
    /// Also run mutants: forbidden tests without one of their barriers, whose outcome is allowed and must be seen
    #[arg(long)]
    mutants: bool,
    /// Write the journal to this file, or go on with it [default: a new file beside the record; none with --no-save]
    #[arg(long, value_name = "FILE")]
    journal: Option<PathBuf>,
    /// Use only these CPUs
    #[arg(short = 'c', long, value_name = "LIST")]
    cpus: Option<String>,
    /// Placement classes: smt, core, cluster, llc, socket, or several [default: every class that this host has]
    #[arg(long, value_name = "CLASS", value_delimiter = ',')]
    placement: Vec<Class>,
    /// Allow several threads of a test to share a CPU, for tests with more threads than there are CPUs
    #[arg(long)]
    oversubscribe: bool,
    /// Spinlock of the kernel, for tests that take one: native or pv on x86-64, qspinlock or ticket on riscv64, or auto, which
    /// is what the kernel of this host uses
    #[arg(long, value_name = "KIND", default_value = "auto")]
    lock: LockChoice,
    /// Nice value of the threads
    #[arg(long, default_value_t = machine::PREFERRED_NICE, value_parser = clap::value_parser!(i32).range(-20..=19), allow_hyphen_values = true)]
    nice: i32,
    /// Seed of the random orders
    #[arg(long, default_value_t = 1)]
    seed: u64,
    #[command(flatten)]
    output: OutputArgs,
    /// Write the outcomes as a log of litmus7 to a file
    #[arg(long, value_name = "FILE")]
    export_log: Option<PathBuf>,
}

fn parse_confidence(text: &str) -> std::result::Result<f64, String> {
    let value = text.parse().ok().filter(|value| (0.0..1.0).contains(value) && *value > 0.0);
    value.ok_or_else(|| format!("'{text}' is no probability; expected a number between 0 and 1, such as 0.99999"))
}

/// Runs a campaign, prints the matrix and returns the exit status.
pub fn campaign(args: &CampaignArgs) -> Result<u8> {
    machine::require_counter()?;
    let arch =
        Arch::host().ok_or_else(|| Error::Host("wakerace has no code generator for this architecture".to_owned()))?;
    let started = jiff::Timestamp::now();
    let interrupt = interrupt_flag()?;
    let log = args.export_log.as_deref().map(crate::files::Sink::open).transpose()?;
    let (topology, allowed, cpus) = cpus_to_use(args.cpus.as_deref())?;
    let mut host = machine::describe(&topology, &allowed, Calibration::new());
    host.label.clone_from(&args.output.label);
    // Some emulators hide that they are one. `wakerace conform` knows.
    let emulator = std::env::var(EMULATOR).ok().filter(|name| !name.is_empty());
    host.emulated |= emulator.is_some();
    let kept = record::default_path(&host, started).with_extension("campaign.json");
    let mut output = Output::new(&args.output, kept.clone())?;
    let common = common(args, arch, &host)?;
    let corpus = corpus(args, &common, (&topology, &cpus), &interrupt)?;
    if corpus.tests.is_empty() && args.shard.is_none() {
        output.say(&opening(args, &corpus));
        return Err(Error::Usage("none of the named tests can run here".to_owned()));
    }
    output.say(&host_lines(&host));
    output.say(&opening(args, &corpus));
    let unfit = host.clock_check.as_ref().is_some_and(|check| check.unfit.is_some());
    let mut machine = ThisHost::new(&corpus.tests, common);
    let usable = machine.settings(unfit, &interrupt)?;
    let mut schedule =
        Schedule::new(&campaign::subjects(&corpus.tests, &usable, args.aim), args.confidence, args.iterations);
    let mut books = Books::new(&corpus.tests);
    let record = CampaignRecord::begin(CAMPAIGN_SCHEMA, started, host)?;
    let (mut journal, path) = match &args.journal {
        Some(path) => {
            let begin = beginning(args, &record, &common);
            (go_on(path, begin, (&mut books, &mut schedule), &output)?, Some(path.clone()))
        }
        None => new_journal(&kept, beginning(args, &record, &common), &mut output)?,
    };
    let begin = journal.begin();
    let mut record = CampaignRecord { id: begin.id.clone(), started: begin.started.clone(), ..record };
    record.conditions = Some(Conditions::begin());

    // Between two slices this thread needs a CPU at once.
    machine::set_nice(args.nice);
    let budget = args.duration.or((args.confidence.is_none() && args.iterations.is_none()).then_some(DEFAULT));
    let mut bar = Bar::new("campaign", args.output.quiet);
    let watch = |progress: &Progress| bar.update(share(progress, budget), || words(progress));
    let ended = campaign::run(
        (&corpus.tests, &mut books),
        &mut schedule,
        (&mut machine, &mut journal),
        (budget, &interrupt),
        watch,
    );
    bar.finish();
    record.interrupted = interrupt.load(std::sync::atomic::Ordering::Relaxed);
    fill(&mut record, args, &corpus, &books, (&machine, &usable))?;
    if let Some(log) = log {
        log.write(&publish::campaign_log(&record))?;
    }
    let mut evidence = publish::campaign_evidence(&record);
    if !evidence.is_empty() {
        evidence.push_str(&host_lines(&record.host));
    }
    if let Some(path) = path.filter(|_| record.interrupted) {
        evidence.push_str(&format!("journal: {}; --journal with this file goes on\n", shown::path(&path)));
    }
    output.say_interrupted(record.interrupted, "");
    let finished = output.finish(&record, &evidence, ended.err().into_iter().collect());
    let forbidden = record.results.iter().any(|test| test.standing == Standing::ForbiddenSeen);
    status(finished, forbidden, record.interrupted)
}

/// What all slices share.
fn common(args: &CampaignArgs, arch: Arch, host: &Host) -> Result<Common> {
    let lock = args.lock.on(arch).map_err(Error::Usage)?;
    let clock = host.clock_measured;
    Ok(Common {
        target: Target { arch, atomics: Atomics::of_host(), lock },
        clock,
        edges: Edges::of(&clock, None),
        line: host.false_sharing_bytes,
        seed: args.seed,
        limits: Limits::default(),
        nice: args.nice,
        event: None,
        window: false,
        side_by_side: false,
    })
}

fn corpus(
    args: &CampaignArgs,
    common: &Common,
    (topology, cpus): (&Topology, &[usize]),
    interrupt: &AtomicBool,
) -> Result<Corpus> {
    let found = match (args.conformance, args.tests.is_empty()) {
        (true, _) => campaign::conformance(),
        (false, true) => catalogue::sources(),
        (false, false) => catalogue::find_sources(&args.tests)?,
    };
    if let Some(shard) = args.shard.filter(|shard| shard.of > found.len() as u64) {
        let (parts, files) = (shard.of, found.len());
        return Err(Error::Usage(format!("--shard {shard}: {files} tests cannot be divided into {parts} parts")));
    }
    let selection = Selection { target: common.target, line: common.line, shard: args.shard, mutants: args.mutants };
    Corpus::read(found, &selection, |threads| places(args, topology, cpus, threads), interrupt)
}

/// The placements of a test with this many threads.
fn places(
    args: &CampaignArgs,
    topology: &Topology,
    cpus: &[usize],
    threads: usize,
) -> std::result::Result<Vec<Placement>, String> {
    if cpus.len() < threads && args.oversubscribe && !cpus.is_empty() {
        return Ok(vec![machine::oversubscribed(topology, cpus, threads)]);
    }
    let classes: &[Class] = if args.placement.is_empty() { &Class::SPREAD } else { &args.placement };
    let places =
        machine::place(topology, cpus, threads, classes).map_err(|error| or_oversubscribed(error, cpus, threads))?;
    if places.is_empty() {
        return Err(format!("its {threads} threads have no placement of the classes that were named"));
    }
    Ok(places)
}

/// What is printed before the campaign: the tests, and the files that are not run.
fn opening(args: &CampaignArgs, corpus: &Corpus) -> String {
    let mutants = corpus.tests.iter().filter(|test| test.mutant.is_some()).count();
    let allowed = corpus.tests.iter().filter(|test| test.is_allowed()).count();
    let shard = args.shard.map_or(String::new(), |shard| format!(", shard {shard}"));
    let mut text = format!(
        "{} tests ({mutants} of them mutants), the outcomes of {allowed} are allowed here{shard}; {} files are not run\n",
        corpus.tests.len(),
        corpus.refused.len()
    );
    for refused in corpus.refused.iter().take(REFUSED_SHOWN) {
        let line = refused.line.map_or(String::new(), |line| format!(":{line}"));
        text.push_str(&format!("not run: {}{line}: {}\n", refused.file, refused.reason));
    }
    if corpus.refused.len() > REFUSED_SHOWN {
        text.push_str(&format!("and {} more, which the record names\n", corpus.refused.len() - REFUSED_SHOWN));
    }
    text
}

/// What the journal begins with.
fn beginning(args: &CampaignArgs, record: &CampaignRecord, common: &Common) -> Begin {
    Begin {
        schema: record.schema.clone(),
        id: record.id.clone(),
        started: record.started.clone(),
        host: record.host.clone(),
        target: format!("{} {}", common.target.atomics, common.target.lock),
        shard: args.shard.map(|shard| shard.to_string()),
    }
}

/// A new journal beside the record, which gets the same name, or one that is kept nowhere if the record is not saved. Also
/// returns the journal's path.
fn new_journal(kept: &Path, begin: Begin, output: &mut Output) -> Result<(Journal, Option<PathBuf>)> {
    if !output.is_kept() {
        return Ok((Journal::unkept(begin), None));
    }
    let (journal, path) = Journal::create(&kept.with_extension("journal"), begin)?;
    output.keep_as(path.with_extension("json"))?;
    Ok((journal, Some(path)))
}

/// Opens the journal that --journal names and adds what is in it.
fn go_on(
    path: &Path,
    begin: Begin,
    (books, schedule): (&mut Books<'_>, &mut Schedule),
    output: &Output,
) -> Result<Journal> {
    let (mut replayed, mut unknown) = (0, 0);
    let journal = Journal::open(path, begin, |line| {
        replayed += 1;
        unknown += usize::from(!books.replay(line, schedule)?);
        Ok(())
    })?;
    if replayed > 0 {
        output.say(&format!(
            "going on with {} slices and {:.1} s of {}\n",
            replayed - unknown,
            books.spent_s,
            shown::path(path)
        ));
    }
    if unknown > 0 {
        output.say(&format!("{unknown} slices of tests, CPUs or settings that are not here any more are left out\n"));
    }
    Ok(journal)
}

fn share(progress: &Progress, budget: Option<Duration>) -> f64 {
    match budget {
        Some(budget) => progress.spent_s / budget.as_secs_f64().max(1e-9),
        None => progress.seen as f64 / progress.allowed.max(1) as f64,
    }
}

fn words(progress: &Progress) -> String {
    let forbidden = match progress.forbidden_seen {
        0 => String::new(),
        count => format!(", {count} FORBIDDEN SEEN"),
    };
    format!("{} of {} allowed outcomes seen{forbidden}", progress.seen, progress.allowed)
}

/// Fills in the results.
fn fill(
    record: &mut CampaignRecord,
    args: &CampaignArgs,
    corpus: &Corpus,
    books: &Books<'_>,
    (machine, usable): (&ThisHost<'_>, &[Vec<Vec<usize>>]),
) -> Result<()> {
    for (at, test) in corpus.tests.iter().enumerate() {
        record.results.push(result(at, test, books, (machine, &usable[at]))?);
    }
    record.campaign = Some(Box::new(CampaignAbout {
        spent_s: books.spent_s,
        confidence: args.confidence,
        shards: args.shard.iter().map(ToString::to_string).collect(),
        settings: SETTINGS.iter().map(Setting::record).collect(),
        emulator: std::env::var(EMULATOR).ok().filter(|name| !name.is_empty()),
        refused: corpus.refused.clone(),
    }));
    record.elapsed_s = books.spent_s;
    if let Some(conditions) = &mut record.conditions {
        conditions.after = Moment::now();
    }
    Ok(())
}

fn result(
    at: usize,
    test: &Test,
    books: &Books<'_>,
    (machine, usable): (&ThisHost<'_>, &[Vec<usize>]),
) -> Result<record::CampaignTest> {
    let ledger = &books.ledgers[at];
    let mut result = ledger.record(test, usable);
    if let Some(arm) = ledger.racing(at).filter(|_| result.standing == Standing::ForbiddenSeen) {
        test.scenario.test.source.text().clone_into(&mut result.source);
        result.listing = machine.listing(arm)?;
    }
    Ok(result)
}
