//! The result file: everything about a run, as JSON, versioned by its `schema` field.

#![warn(clippy::cast_possible_truncation, clippy::cast_possible_wrap, clippy::cast_sign_loss)]

mod computed;
mod evidence;
mod gaps;
mod identity;
mod judge;
mod merge;
mod protocol;
mod read;
mod save;
mod spread;
mod validate;

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::harness::Warm;
use crate::litmus::Verdict;
use crate::machine::{Class, CounterOffset, Host};
use crate::stats::{Drift, Interval, share};
use crate::verdict::VerdictSource;

pub use computed::compute;
pub use evidence::{Evidence, LEAST_MATCHES, matches_needed};
pub use gaps::Gaps;
pub use judge::{Finding, judge};
pub use merge::{Merger, add_repeat};
#[cfg(test)]
pub(crate) use protocol::tests::result as protocol_result;
pub use protocol::{HarmRecord, HealedRecord, Judgement, PROTOCOL_SCHEMA, ProtocolRecord, ProtocolResult, WakesRecord};
pub use read::{AnyRecord, read, read_file, read_valid};
pub use save::{cpu_slug, default_path};
pub use spread::CountRecord;
pub use validate::{histogram, problems, protocol_problems};

/// The schema this program writes.
pub const SCHEMA: &str = "wakerace/1";

/// One run of `wakerace run`: an entry per scenario and placement, in the order they were run.
pub type Record = RunRecord<ScenarioResult>;

/// One run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RunRecord<R> {
    /// [`SCHEMA`] or [`PROTOCOL_SCHEMA`].
    pub schema: String,
    /// Which run it is of, and no other: 128 random bits in hexadecimal, drawn when the run begins; that of a sum follows from those of its parts.
    /// Absent in records of versions without ids, which are told apart by command, host and `started`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub id: String,
    /// What made it.
    pub tool: Tool,
    /// The command line.
    pub command: Vec<String>,
    /// When it began, RFC 3339 in UTC.
    pub started: String,
    /// How long it took so far, in seconds.
    pub elapsed_s: f64,
    /// Whether it was cut short by Ctrl-C. What is here was measured all the same.
    pub interrupted: bool,
    /// The box.
    pub host: Host,
    /// What was measured.
    pub results: Vec<R>,
    /// The records that were added up to this one; none if it is one run's.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub parts: Vec<Part>,
    /// What other versions wrote here: it is kept.
    #[serde(flatten)]
    pub extra: BTreeMap<String, Value>,
}

/// A record that went into a sum.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Part {
    /// The `id` of the record; for one without, what stands for it. Absent in sums of versions without ids.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub id: String,
    /// What made it.
    pub tool: Tool,
    /// The command line.
    pub command: Vec<String>,
    /// When it began.
    pub started: String,
    /// How long it took, in seconds.
    pub elapsed_s: f64,
    /// The box.
    pub host: Host,
}

impl<R> RunRecord<R> {
    /// The beginning of one, with nothing measured yet and an id of its own.
    ///
    /// # Errors
    /// If the system gives no random numbers.
    pub fn begin(schema: &str, started: jiff::Timestamp, host: Host) -> crate::error::Result<RunRecord<R>> {
        Ok(RunRecord {
            schema: schema.to_owned(),
            id: identity::new()?,
            tool: Tool::this(),
            // Where the binary lies is nobody's business.
            command: std::iter::once("wakerace".to_owned()).chain(std::env::args().skip(1)).collect(),
            started: started.to_string(),
            elapsed_s: 0.0,
            interrupted: false,
            host,
            results: Vec::new(),
            parts: Vec::new(),
            extra: BTreeMap::new(),
        })
    }
}

/// The JSON Schema of records, of both kinds.
///
/// # Errors
/// None that is a user's fault.
pub fn json_schema() -> crate::error::Result<String> {
    #[derive(JsonSchema)]
    #[serde(untagged)]
    #[allow(dead_code)] // only its schema is wanted
    enum Any {
        Run(Box<Record>),
        Protocol(Box<ProtocolRecord>),
    }
    let schema = schemars::schema_for!(Any);
    let text = serde_json::to_string_pretty(&schema);
    text.map(|text| text + "\n").map_err(|error| crate::error::Error::Internal(error.to_string()))
}

/// The program that made a record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Tool {
    /// `wakerace`
    pub name: String,
    /// Its version.
    pub version: String,
    /// The commit it was built from.
    pub commit: String,
}

impl Tool {
    /// This program.
    pub fn this() -> Tool {
        Tool {
            name: env!("CARGO_PKG_NAME").to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            commit: env!("WAKERACE_COMMIT").to_owned(),
        }
    }
}

/// What one scenario gave on one placement.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ScenarioResult {
    /// The test's name.
    pub scenario: String,
    /// The folder it came from: race, fixes, mutants, guards, controls, or a path.
    pub group: String,
    /// SHA-256 of the litmus source.
    pub source_sha256: String,
    /// SHA-256 of the machine code that ran.
    pub code_sha256: String,
    /// The litmus source itself; empty in records of versions that did not keep it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub source: String,
    /// The machine code in a disassembler's words, thread by thread; empty as above.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub listing: String,
    /// The final condition, as the test states it.
    pub condition: String,
    /// The event that `matches` counts, if the test declares one.
    pub match_event: Option<String>,
    /// Where the threads ran.
    pub placement: PlacementRecord,
    /// How instances followed each other.
    pub pace: PaceRecord,
    /// Where the variables lay.
    pub layout: LayoutRecord,
    /// Instances per batch.
    pub batch: usize,
    /// Seed of the order of skews.
    pub seed: u64,
    /// On arm64, which atomics the code used: `lse` or `llsc`.
    pub atomics: Option<String>,
    /// Instances that all threads completed and whose outcome passes the test's filter, if it has one.
    pub iterations: u64,
    /// Instances whose outcome fails the filter: they are no iterations and in no other count. 0 in records of versions that counted them
    /// as iterations.
    #[serde(default)]
    pub filtered: u64,
    /// Wall-clock time, in seconds.
    pub elapsed_s: f64,
    /// The part of it inside measured batches, in seconds: from a batch's first tick to the end of its last thread. Earlier versions counted
    /// from 2 us before.
    pub in_batches_s: f64,
    /// Iterations per second of wall-clock time.
    pub iterations_per_s: f64,
    /// Every outcome that was seen. The counts add up to `iterations`.
    pub outcomes: Vec<OutcomeRecord>,
    /// The registers and variables that the condition and `locations` name, which herd7 and litmus7 print; the other values of an outcome are
    /// the filter's and Match's. Empty in records of versions that did not tell them apart.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub displayed: Vec<String>,
    /// Instances in which the Match event happened.
    pub matches: Option<u64>,
    /// Instances in which the outcome the test asks about happened.
    pub races: u64,
    /// `races / iterations`.
    pub rate: Option<f64>,
    /// The interval of `rate`, as wide as `blocks` and `repeats` differ; in records without them, that of independent iterations.
    pub interval: Option<Interval>,
    /// `races / matches`.
    pub rate_per_match: Option<f64>,
    /// The interval of `rate_per_match`.
    pub interval_per_match: Option<Interval>,
    /// How many independent iterations would tell `rate` as well as these do: `iterations`, divided by how many times the variance of independent
    /// ones `blocks` and `repeats` show. Absent without races, and in records without blocks and repeats.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub effective_iterations: Option<f64>,
    /// How sure one may be that a run of the same length sees a race again: 1 - e^-races.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reproducibility: Option<f64>,
    /// Whether the rate at the end was that of the beginning; absent where there were too few batches.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drift: Option<Drift>,
    /// For a zero: what the best control on the same CPUs says of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sensitivity: Option<Sensitivity>,
    /// Iterations that were run and thrown away, because a thread lost its CPU in the middle of their batch.
    #[serde(default)]
    pub discarded: u64,
    /// Batches in which a thread lost its CPU.
    #[serde(default)]
    pub disturbances: u64,
    /// Iterations that were run and thrown away, because a thread was found on another CPU than its own after their batch: somebody moved
    /// it. They are not among `discarded`.
    #[serde(default)]
    pub moved: u64,
    /// How long a cache line took from P0's CPU to P1's just before the run, in nanoseconds: where a hypervisor moves CPUs about, it tells
    /// which of a box's moods a run met. Absent from short runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line_transfer_ns: Option<f64>,
    /// How far the counter of each thread's CPU was ahead of that of P0's just before the run, from P1 on. Absent where threads share a CPU,
    /// in sums, and in records of versions that did not look.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub counters: Vec<CounterOffset>,
    /// The nice value that the threads had: asked for so that a busy box disturbs less, where the system grants it.
    #[serde(default)]
    pub nice: i32,
    /// What pressed on the memory system beside the test.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stress: Option<String>,
    /// Counts by skew: the race window.
    pub skews: Vec<SkewRecord>,
    /// Counts by how the lines of an instance lay when it began: they add up to `iterations` and `races`. Absent in records of
    /// versions that did not count them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub starts: Vec<StartRecord>,
    /// Counts of up to 128 blocks of batches that follow each other in time; only of batches at the skews and periods that were settled on. Absent
    /// in sums, whose parts are under `repeats`, and in records of versions that did not count them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub blocks: Vec<CountRecord>,
    /// Counts of each run that was added up to this result: repeats, parts of a sum. Absent where it is one run's.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub repeats: Vec<CountRecord>,
    /// Iterations between races.
    pub gaps: Gaps,
    /// Whether the architecture allows what is counted as a race.
    pub expected: Option<Verdict>,
    /// Whether its model computed that, or the test declares it.
    #[serde(default)]
    pub expected_from: VerdictSource,
    /// What the kernel's memory model says of the condition.
    pub lkmm: Option<Verdict>,
    /// Controls that fired on the same CPUs in this run.
    pub controls_fired: Vec<String>,
    /// What a zero rests on; absent in records of versions that took any control that fired for enough.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub evidence: Option<Evidence>,
    /// What it comes to.
    pub finding: Finding,
    /// What other versions wrote here: it is kept.
    #[serde(flatten)]
    pub extra: BTreeMap<String, Value>,
}

/// What a control says of a zero.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Sensitivity {
    /// The control of the same CPUs that raced most often.
    pub control: String,
    /// Its rate.
    pub rate: f64,
    /// The upper bound of this result's rate as a part of that: had the race been this many times as frequent as the control, it
    /// would have been seen.
    pub bound: f64,
}

impl SkewRecord {
    /// Races per instance at this skew; 0 where nothing was run.
    pub fn rate(&self) -> f64 {
        share(self.races, self.iterations).unwrap_or(0.0)
    }
}

impl ScenarioResult {
    /// The skew at which races are most frequent, if there is a choice and any was seen.
    pub fn best_skew(&self) -> Option<&SkewRecord> {
        let best = self.skews.iter().max_by(|a, b| a.rate().total_cmp(&b.rate()));
        best.filter(|best| best.races > 0 && self.skews.len() > 1)
    }
}

/// Where threads ran.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub struct PlacementRecord {
    /// The CPU of P0, P1, ...
    pub cpus: Vec<usize>,
    /// How far apart they are.
    pub class: Class,
}

/// How instances followed each other.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PaceRecord {
    /// `free` or `paced`.
    pub mode: String,
    /// Whether wakerace chose it (`auto`) or the command line gave it (`given`).
    pub chosen: String,
    /// From one group of instances to the next, in ticks of the clock; paced only. The mean, where it was left to wakerace: it then
    /// follows the machine, as the shortest that the threads keep or, where races are frequent, as the one with the most of them.
    pub period_ticks: Option<u64>,
    /// The same in nanoseconds.
    pub period_ns: Option<f64>,
    /// The period, if the command line gave it, in nanoseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub given_period_ns: Option<f64>,
    /// Whether the command line gave the skews.
    #[serde(default)]
    pub given_skews: bool,
    /// The profile that the settings are from: what it was tuned on and when.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub profile: Option<String>,
    /// Instances that followed each other freely at each tick.
    #[serde(default = "one")]
    pub group: usize,
    /// Whether the command line or a profile gave that number.
    #[serde(default)]
    pub given_group: bool,
    /// Whether the threads fetched a group's lines before its tick.
    #[serde(default = "cold")]
    pub warm: Warm,
    /// Whether the skews were taken equally often for the first quarter only, and then those that were worth it: where races
    /// were most frequent, or, if there were none, where the most different outcomes came up.
    #[serde(default)]
    pub focused: bool,
    /// How far apart the first and the last thread ended their batches, the skew taken off, in nanoseconds, on average: in a free run
    /// what they drift apart in a batch. 0 in records of versions that did not measure it.
    #[serde(default)]
    pub apart_ns: f64,
    /// The share of groups that a thread began after their time, being busy with an earlier one; paced only. Much where the
    /// period was taken for its races, and no harm then.
    pub late: Option<f64>,
}

/// What records of versions without it had.
const fn cold() -> Warm {
    Warm::Off
}

/// What records of versions without groups had.
const fn one() -> usize {
    1
}

/// Where variables lay.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LayoutRecord {
    /// `padded`, `packed` or `kernel-ARCH`.
    pub kind: String,
    /// The false-sharing distance it was made for, in bytes.
    pub line_bytes: usize,
    /// From one instance to the next, in bytes.
    pub stride_bytes: usize,
}

/// A final value: a number, or `&name` for the address of a shared variable.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum FinalValue {
    /// An integer; NULL is 0.
    Int(i64),
    /// The address of a shared variable.
    Address(String),
}

impl std::fmt::Display for FinalValue {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            FinalValue::Int(value) => write!(f, "{value}"),
            FinalValue::Address(name) => f.write_str(name),
        }
    }
}

/// One outcome and how often it was seen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct OutcomeRecord {
    /// Registers (`1:r0`) and variables (`x`) with their final values.
    pub values: BTreeMap<String, FinalValue>,
    /// How often.
    pub count: u64,
    /// Whether it is the outcome the test asks about.
    pub satisfies: bool,
}

/// Counts at one skew.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SkewRecord {
    /// How much later the last thread began than P0, in nanoseconds. Corrected by how far the counters of their CPUs are apart, where that
    /// could be told; the error is `counters`'.
    pub skew_ns: f64,
    /// Instances run at this skew.
    pub iterations: u64,
    /// Matches among them.
    pub matches: Option<u64>,
    /// Races among them.
    pub races: u64,
    /// How often each of the result's `outcomes` was seen among them, in that order; empty in records of versions that did
    /// not count it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub outcomes: Vec<u64>,
}

/// Counts of the instances whose lines lay alike when they began.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct StartRecord {
    /// Whether each thread fetched the lines it uses before the tick, those it stores to as its own.
    pub warm: bool,
    /// Which thread wrote each shared variable last before the instance began, and so had its line in its own caches unless it lost it
    /// since: `P0`, `P1`, ... Variables of which the test uses only the address are left out.
    pub last_writers: BTreeMap<String, String>,
    /// Instances.
    pub iterations: u64,
    /// Races among them.
    pub races: u64,
}

impl StartRecord {
    /// Races per instance; 0 where nothing was run.
    pub fn rate(&self) -> f64 {
        share(self.races, self.iterations).unwrap_or(0.0)
    }
}
