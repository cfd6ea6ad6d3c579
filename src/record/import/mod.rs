//! Makes a record of logs that another program wrote: litmus7, which runs tests in user space, and klitmus7,
//! which runs them in the kernel.
//!
//! Such a record says what is not known. It has no hash of the machine code, its CPUs are numbered by thread,
//! its placement class is unknown, and its zeros are inconclusive. [`super::Tool::is_foreign`] tells it apart.

mod log;

use std::collections::BTreeMap;

use super::evidence::Evidence;
use super::{
    Finding, Gaps, LayoutRecord, OutcomeRecord, PaceRecord, Part, PlacementRecord, Record, RunRecord, SCHEMA,
    ScenarioResult, Tool, VERSION, add_repeat, compute, identity, judge,
};
use crate::arch::Arch;
use crate::arch::lock::Lock;
use crate::catalogue;
use crate::error::{Error, Result};
use crate::harness::Prefetch;
use crate::isa;
use crate::machine::{Class, Clock, Host, Names};
use crate::model::Model;
use crate::verdict::VerdictSource;
use log::{Log, Test};

/// What the user says about the logs. It fills in what they do not say.
#[derive(Debug, Clone, Default)]
pub struct About {
    /// The program that wrote the logs.
    pub tool: Option<String>,
    /// The architecture of the machine.
    pub arch: Option<Arch>,
    /// The name of the CPU.
    pub cpu: Option<String>,
    /// The kernel.
    pub kernel: Option<String>,
    /// When the tests ran.
    pub started: jiff::Timestamp,
}

/// Makes one record of logs, each with its name for messages. Logs of the same test are repeats.
///
/// # Errors
/// If a log is malformed (the message names the file and the line), if the architecture or the program is not
/// known, if logs are from different programs, or if two of them are the same.
pub fn import(logs: &[(String, String)], about: &About) -> Result<Record> {
    let mut parsed = Vec::new();
    for (at, (name, text)) in logs.iter().enumerate() {
        if let Some((other, _)) = logs[..at].iter().find(|(_, known)| known == text) {
            return Err(Error::Usage(format!("{name} is the same log as {other}; the record would count it twice")));
        }
        let log = log::parse(text);
        parsed.push(log.map_err(|wrong| Error::Usage(format!("{name}:{}: {}", wrong.line, wrong.what)))?);
    }
    let tool = tool(logs, &parsed, about)?;
    let arch = architecture(&parsed, about)?;
    let host = host(&parsed, about, arch, &tool);
    let mut results: Vec<ScenarioResult> = Vec::new();
    for (test, name) in
        parsed.iter().zip(logs).flat_map(|(log, (name, _))| log.tests.iter().map(move |test| (test, name)))
    {
        let more = result(test, arch);
        match results.iter_mut().find(|known| known.scenario == more.scenario) {
            None => results.push(more),
            Some(known) if known.condition == more.condition => add_repeat(known, more)?,
            Some(known) => {
                let (ours, theirs) = (&known.condition, &more.condition);
                let message = format!("{name}: {} asks '{theirs}', but another log of it asks '{ours}'", more.scenario);
                return Err(Error::Usage(message));
            }
        }
    }
    judge(&mut results);
    let command = parsed.iter().find_map(command);
    let parts = parts(logs, &parsed, (&tool, &host, about));
    let ids: Vec<String> = parts.iter().map(Part::identity).collect();
    let id = if ids.is_empty() { of_log(&logs[0].1) } else { identity::of_sum(&ids) };
    Ok(RunRecord {
        schema: SCHEMA.to_owned(),
        version: VERSION,
        id,
        tool,
        command: command.unwrap_or_default(),
        started: about.started.to_string(),
        elapsed_s: parsed.iter().map(elapsed_s).sum(),
        interrupted: false,
        host,
        conditions: None,
        campaign: None,
        results,
        unmeasured: Vec::new(),
        parts,
        extra: BTreeMap::new(),
    })
}

/// The identity of a log: a hash of its text.
fn of_log(text: &str) -> String {
    identity::of_texts(std::iter::once(text))
}

fn command(log: &Log) -> Option<Vec<String>> {
    Some(log.command.as_ref()?.split(' ').map(str::to_owned).collect())
}

/// The time of a log's tests, in seconds.
fn elapsed_s(log: &Log) -> f64 {
    log.tests.iter().map(seconds).sum()
}

/// The time of a test, in seconds. The log has hundredths of a second; a shorter test is noted as 0.00.
fn seconds(test: &Test) -> f64 {
    test.seconds.max(0.005)
}

/// The logs as parts of a sum, so that another sum does not count one of them again. A single log is no sum.
fn parts(logs: &[(String, String)], parsed: &[Log], (tool, host, about): (&Tool, &Host, &About)) -> Vec<Part> {
    let part = |((_, text), log): (&(String, String), &Log)| Part {
        id: of_log(text),
        tool: tool.clone(),
        command: command(log).unwrap_or_default(),
        started: about.started.to_string(),
        elapsed_s: elapsed_s(log),
        host: host.clone(),
    };
    if logs.len() == 1 { Vec::new() } else { logs.iter().zip(parsed).map(part).collect() }
}

fn tool(logs: &[(String, String)], parsed: &[Log], about: &About) -> Result<Tool> {
    let mut names: Vec<String> = Vec::new();
    for (log, (file, _)) in parsed.iter().zip(logs) {
        let name = about
            .tool
            .clone()
            .or(log.tool.map(|name| if name == "wakerace" { "log of wakerace" } else { name }.to_owned()));
        let name = name.ok_or_else(|| {
            Error::Usage(format!("{file}: does not say which program wrote it; add --tool litmus7 or --tool klitmus7"))
        })?;
        if names.first().is_some_and(|first| *first != name) {
            return Err(Error::Usage(format!(
                "{file} is from {name}, and the first log from {}; import them separately",
                names[0]
            )));
        }
        names.push(name);
    }
    let version = parsed.iter().find_map(|log| log.version.clone()).unwrap_or_default();
    let name = names.into_iter().next().ok_or_else(|| Error::Usage("no log to import".to_owned()))?;
    Ok(Tool { name, version, commit: String::new() })
}

fn architecture(parsed: &[Log], about: &About) -> Result<Arch> {
    let language = parsed.iter().find_map(|log| log.language.as_deref());
    let model = language.and_then(|language| isa::model_of_assembly(&format!("{language} test\n")));
    let said = model.and_then(Model::arch).or(parsed.iter().find_map(|log| log.architecture));
    let names = Arch::ALL.map(Arch::name).join(", ");
    about.arch.or(said).ok_or_else(|| {
        Error::Usage(format!("the logs do not say which architecture the tests ran on; add --arch ARCH ({names})"))
    })
}

/// The host, as far as the logs and the user describe it.
fn host(parsed: &[Log], about: &About, arch: Arch, tool: &Tool) -> Host {
    let text = |given: &Option<String>, found: fn(&Log) -> Option<String>| {
        given.clone().or_else(|| parsed.iter().find_map(found)).unwrap_or_else(|| "unknown".to_owned())
    };
    let cpus = parsed.iter().map(|log| log.cpus).max().unwrap_or(0);
    let online = if cpus > 0 { format!("0-{}", cpus - 1) } else { String::new() };
    Host {
        architecture: arch.name().to_owned(),
        cpu_model: text(&about.cpu, |log| log.cpu.clone()),
        cpu_ids: BTreeMap::new(),
        core_types: BTreeMap::new(),
        microcode: None,
        caches: Vec::new(),
        false_sharing_bytes: 64,
        cpus_online: online.clone(),
        cpus_allowed: online,
        threads_per_core: 1,
        sockets: 0,
        numa_nodes: 0,
        kernel: text(&about.kernel, |log| log.kernel.clone()),
        governor: None,
        transparent_hugepages: None,
        virtualised: None,
        emulated: false,
        clock: "unknown".to_owned(),
        clock_measured: Clock { frequency_hz: 1e9, resolution_ticks: 0, read_ticks: 0 },
        clock_check: None,
        names: Names::default(),
        label: None,
        frequencies: Vec::new(),
        mitigations: BTreeMap::new(),
        unread: vec![format!(
            "imported from a log of {}: caches, topology, clock and placement are not known",
            tool.name
        )],
    }
}

fn result(test: &Test, arch: Arch) -> ScenarioResult {
    let known = catalogue::named(&test.name).ok();
    let threads = known.as_ref().map(|known| known.program.threads.len());
    let threads = threads.or_else(|| test.states.iter().map(|(values, ..)| threads_of(values)).max()).unwrap_or(1);
    let count = |starred: bool| test.states.iter().filter(|state| starred <= state.2).map(|state| state.1).sum::<u64>();
    let outcome = |(values, count, satisfies): &(BTreeMap<_, _>, u64, bool)| OutcomeRecord {
        values: values.clone(),
        count: *count,
        satisfies: *satisfies,
    };
    let mut result = ScenarioResult {
        scenario: test.name.clone(),
        group: known.as_ref().map_or("imported".to_owned(), |known| known.group.clone()),
        question: String::new(),
        title: String::new(),
        named_outcomes: Vec::new(),
        is_control: known.as_ref().is_some_and(|known| known.is_control(arch)),
        source_sha256: known.as_ref().map(|known| known.sha256.to_string()).unwrap_or_default(),
        code_sha256: String::new(),
        source: String::new(),
        listing: String::new(),
        condition: test.condition.clone(),
        match_event: None,
        placement: PlacementRecord { cpus: (0..threads).collect(), class: Class::Unknown, kinds: Vec::new() },
        pace: pace(),
        layout: LayoutRecord { kind: "unknown".to_owned(), line_bytes: 1, stride_bytes: 1 },
        batch: 1,
        seed: 0,
        atomics: None,
        lock: None,
        iterations: count(false),
        filtered: 0,
        elapsed_s: seconds(test),
        in_batches_s: 0.0,
        phases: None,
        iterations_per_s: 0.0,
        outcomes: test.states.iter().map(outcome).collect(),
        displayed: test.states.first().map_or_else(Vec::new, |(values, ..)| values.keys().cloned().collect()),
        matches: None,
        races: count(true),
        rate: None,
        interval: None,
        rate_per_match: None,
        interval_per_match: None,
        effective_iterations: None,
        stopped_by: None,
        goal: None,
        sightings: None,
        sequence: None,
        reproducibility: None,
        warnings: Vec::new(),
        drift: None,
        sensitivity: None,
        discarded: 0,
        disturbances: 0,
        moved: 0,
        line_transfer_ns: None,
        distances: None,
        counters: Vec::new(),
        nice: 0,
        line_fills: None,
        stress: None,
        search: None,
        skews: Vec::new(),
        free: None,
        last_writers: Vec::new(),
        blocks: Vec::new(),
        repeats: Vec::new(),
        gaps: Gaps::default(),
        expected: known.as_ref().and_then(|known| known.expected(arch, Lock::default())),
        expected_from: VerdictSource::Header,
        lkmm: known.as_ref().and_then(|known| known.test.header.result),
        controls_fired: Vec::new(),
        evidence: Some(Evidence::default()),
        finding: Finding::Inconclusive,
        former_meanings: Vec::new(),
        extra: BTreeMap::new(),
    };
    compute(&mut result);
    result
}

/// How many threads a state names.
fn threads_of(values: &BTreeMap<String, super::FinalValue>) -> usize {
    let thread = |name: &String| name.split_once(':').and_then(|(thread, _)| thread.parse::<usize>().ok());
    values.keys().filter_map(thread).max().map_or(1, |last| last.min(crate::litmus::MAX_THREADS) + 1)
}

fn pace() -> PaceRecord {
    PaceRecord {
        mode: "free".to_owned(),
        chosen: "given".to_owned(),
        period_ticks: None,
        period_ns: None,
        given_period_ns: None,
        given_skews: false,
        profile: None,
        group: 1,
        given_group: false,
        given: Vec::new(),
        searched: false,
        prefetch: Prefetch::Off,
        focused: false,
        end_spread_ns: None,
        late: None,
        edges: None,
        free_because: None,
    }
}
