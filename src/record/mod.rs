//! Records: JSON files with everything about a run. `version` is the version of the format ([`VERSION`]).
//!
//! The types here are those of the current version. Aliases are the names of fields in earlier versions, and
//! defaults are the values that these versions imply.

#![warn(clippy::cast_possible_truncation, clippy::cast_possible_wrap, clippy::cast_sign_loss)]

mod campaign;
mod computed;
mod condition;
mod distances;
mod evidence;
mod former;
mod gaps;
mod identity;
mod import;
mod judge;
mod line_fills;
mod merge;
mod naming;
mod phases;
mod power;
mod protocol;
mod read;
mod save;
mod search;
#[cfg(test)]
mod shipped;
mod spread;
mod unmeasured;
mod validate;
mod warnings;

use std::collections::{BTreeMap, BTreeSet};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::harness::{Goal, Prefetch};
use crate::litmus::Verdict;
use crate::machine::{Class, Conditions, CounterOffset, Host, class_and_kinds, parse_cpu_list};
use crate::stats::{Drift, Interval, apart, share};
use crate::verdict::VerdictSource;

#[cfg(test)]
pub(crate) use campaign::tests::test as campaign_test;
pub use campaign::{
    CAMPAIGN_SCHEMA, CampaignAbout, CampaignArm, CampaignCell, CampaignRecord, CampaignTest, MutantRecord,
    REPRODUCIBLE, RefusedTest, SettingRecord, Standing, TestingPower,
};
pub use computed::compute;
pub use distances::{CodeRecord, DistancesRecord, SettingsRecord, StratumRecord, WithoutNeighbourRecord};
pub use evidence::{Evidence, LEAST_MATCHES, matches_needed};
pub use former::FormerMeaning;
pub use gaps::Gaps;
pub use import::{About, import};
pub use judge::{Finding, judge};
pub use line_fills::LineFillsRecord;
pub use merge::{CampaignMerger, Merger, add_repeat, add_search};
pub use naming::{NamedOutcomeRecord, naming_of};
pub use phases::{Pass, PhasesRecord};
pub use power::RunPower;
#[cfg(test)]
pub(crate) use protocol::tests::result as protocol_result;
pub use protocol::{HarmRecord, HealedRecord, Judgement, PROTOCOL_SCHEMA, ProtocolRecord, ProtocolResult, WakesRecord};
pub use read::{AnyRecord, read, read_file, read_valid, read_valid_run};
pub use save::{cpu_slug, default_path};
pub use search::{ArmRecord, SearchRecord, TurnsRecord};
#[cfg(test)]
pub(crate) use shipped::shipped;
pub use spread::CountRecord;
pub use unmeasured::{NoResult, Unmeasured};
pub use validate::{campaign_problems, histogram, problems, protocol_problems};
pub use warnings::Warning;

/// The version of the format that this program writes, of both kinds of records.
pub const VERSION: u32 = 2;
/// The schema of the records that `wakerace run` writes: the kind and [`VERSION`] in one text.
pub const SCHEMA: &str = "wakerace/2";

/// The record of `wakerace run`: a result per scenario and placement, in the order they were run.
pub type Record = RunRecord<ScenarioResult>;

/// A record of one run, or the sum of several.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RunRecord<R> {
    /// The kind of the record and the version of the format: [`SCHEMA`], [`PROTOCOL_SCHEMA`] or [`CAMPAIGN_SCHEMA`].
    pub schema: String,
    /// The version of the format, as a number: [`VERSION`]. Version 1 has only `schema`.
    #[serde(default)]
    pub version: u32,
    /// The id of the run: 128 random bits in hexadecimal, drawn when the run starts. The id of a sum is a
    /// hash of the ids of its parts. Absent in records of versions without ids; these are identified by
    /// program, command, host and `started`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub id: String,
    /// The program that wrote the record.
    pub tool: Tool,
    /// The command line.
    pub command: Vec<String>,
    /// The start time, RFC 3339 in UTC.
    pub started: String,
    /// The duration until the record was written, in seconds.
    pub elapsed_s: f64,
    /// Whether the run was interrupted by Ctrl-C. The results are valid all the same.
    pub interrupted: bool,
    /// The host.
    pub host: Host,
    /// The conditions before and after the run. Absent in sums, in imported records, and in records of versions that did not
    /// read them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub conditions: Option<Conditions>,
    /// What `wakerace campaign` knows besides its results. Absent in other records.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub campaign: Option<Box<CampaignAbout>>,
    /// The results.
    pub results: Vec<R>,
    /// The tests that were to run and have no result.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unmeasured: Vec<Unmeasured>,
    /// The records that were added up; empty if the record is from one run.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub parts: Vec<Part>,
    /// Fields of other versions. They are kept when the record is written again.
    #[serde(flatten)]
    pub extra: BTreeMap<String, Value>,
}

/// A record that went into a sum.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Part {
    /// The `id` of the record, or the hash that identifies a record without id. Absent in sums of versions
    /// without ids.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub id: String,
    /// The program that wrote the record.
    pub tool: Tool,
    /// The command line.
    pub command: Vec<String>,
    /// The start time, RFC 3339 in UTC.
    pub started: String,
    /// The duration, in seconds.
    pub elapsed_s: f64,
    /// The host.
    pub host: Host,
}

impl<R> RunRecord<R> {
    /// Starts a record without results, with a new id.
    ///
    /// # Errors
    /// If the system provides no random numbers.
    pub fn begin(schema: &str, started: jiff::Timestamp, host: Host) -> crate::error::Result<RunRecord<R>> {
        Ok(RunRecord {
            schema: schema.to_owned(),
            version: VERSION,
            id: identity::new()?,
            tool: Tool::this(),
            // The path of the binary is not recorded, for privacy.
            command: std::iter::once("wakerace".to_owned()).chain(std::env::args().skip(1)).collect(),
            started: started.to_string(),
            elapsed_s: 0.0,
            interrupted: false,
            host,
            conditions: None,
            campaign: None,
            results: Vec::new(),
            unmeasured: Vec::new(),
            parts: Vec::new(),
            extra: BTreeMap::new(),
        })
    }
}

/// The JSON Schema of all kinds of records.
///
/// # Errors
/// Only an internal one.
pub fn json_schema() -> crate::error::Result<String> {
    #[derive(JsonSchema)]
    #[serde(untagged)]
    #[allow(dead_code)] // the type is only used for its schema
    enum Any {
        Run(Box<Record>),
        Protocol(Box<ProtocolRecord>),
        Campaign(Box<CampaignRecord>),
    }
    let schema = schemars::schema_for!(Any);
    let text = serde_json::to_string_pretty(&schema);
    text.map(|text| text + "\n").map_err(|error| crate::error::Error::Internal(error.to_string()))
}

/// The program that made a record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Tool {
    /// The name: `wakerace`. A record that `wakerace import` made of logs has the name of the program that
    /// wrote them: `litmus7` or `klitmus7`.
    pub name: String,
    /// The version.
    pub version: String,
    /// The commit that it was built from.
    pub commit: String,
}

impl Record {
    /// Whether a run added this test as a control: it is one of those that runs add, and no command names it.
    pub fn added(&self, scenario: &str) -> bool {
        let names =
            |word: &String| word == scenario || scenario.split_once('-').is_some_and(|(prefix, _)| prefix == word);
        let mut words = self.parts.iter().flat_map(|part| &part.command).chain(&self.command);
        self.host.architecture.parse().is_ok_and(|arch| crate::catalogue::controls(arch).contains(&scenario))
            && !words.any(names)
    }
}

impl Tool {
    /// Whether the record was made of another program's log. Then the machine code, the CPUs and the
    /// placement are not known.
    pub fn is_foreign(&self) -> bool {
        self.name != env!("CARGO_PKG_NAME")
    }

    /// Who measured, if it was another program: `measured by litmus7 7.58`.
    pub fn measured_by(&self) -> Option<String> {
        self.is_foreign().then(|| format!("measured by {} {}", self.name, self.version))
    }

    /// This program.
    pub fn this() -> Tool {
        Tool {
            name: env!("CARGO_PKG_NAME").to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            commit: env!("WAKERACE_COMMIT").to_owned(),
        }
    }
}

/// The result of one scenario on one placement.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ScenarioResult {
    /// The test's name.
    pub scenario: String,
    /// The folder of the test: race, fixes, mutants, guards, fields, controls, or a path.
    pub group: String,
    /// What the test asks: the first sentences of its header comment.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub question: String,
    /// What the test is, in a few words: the line `Title=` of its file. Empty if it has none.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub title: String,
    /// Outcomes in words: the lines `Outcome1=` and so on of its file.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub named_outcomes: Vec<NamedOutcomeRecord>,
    /// Whether the test is a control of the catalogue on the host's architecture.
    #[serde(default)]
    pub is_control: bool,
    /// SHA-256 of the litmus source without the lines `Title=`, `Outcome1=` and so on. In an imported record: of the catalogue's test of this name, or empty.
    pub source_sha256: String,
    /// SHA-256 of the machine code that ran; empty in an imported record. Parts of a run whose CPUs moved can have other code
    /// (`distances.settings`).
    pub code_sha256: String,
    /// The litmus source; empty in records of versions that did not keep it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub source: String,
    /// The disassembled machine code of each thread; empty in records of versions that did not keep it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub listing: String,
    /// The final condition of the test.
    pub condition: String,
    /// The Match event, which `matches` counts, if the test declares one.
    pub match_event: Option<String>,
    /// The CPUs that the threads ran on.
    pub placement: PlacementRecord,
    /// The pace of the instances.
    pub pace: PaceRecord,
    /// The layout of the variables in memory.
    pub layout: LayoutRecord,
    /// Instances per batch.
    pub batch: usize,
    /// Seed of the order of skews.
    pub seed: u64,
    /// On arm64, the kind of atomics in the code: `lse` or `llsc`.
    pub atomics: Option<String>,
    /// If the test takes locks and the architecture's kernel has more than one kind: the kind in the code, `qspinlock`,
    /// `ticket` or `pv`. Records without the field have the queued spinlock.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lock: Option<String>,
    /// Iterations: instances that all threads completed and whose outcome passes the test's filter, if it has
    /// one.
    pub iterations: u64,
    /// Instances whose outcome fails the filter. They are not iterations and are in no other count, unless
    /// `former_meanings` says otherwise.
    #[serde(default)]
    pub filtered: u64,
    /// Wall-clock time, in seconds.
    pub elapsed_s: f64,
    /// The part of `elapsed_s` inside measured batches, in seconds: from the first tick of a batch to the end
    /// of its last thread, unless `former_meanings` says otherwise.
    pub in_batches_s: f64,
    /// Where the time went. Absent in records of versions that did not measure it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phases: Option<PhasesRecord>,
    /// Iterations per second of wall-clock time.
    pub iterations_per_s: f64,
    /// Every outcome that was seen. The counts add up to `iterations`.
    pub outcomes: Vec<OutcomeRecord>,
    /// The registers and variables that the condition and `locations` name. herd7 and litmus7 print these.
    /// The other values of an outcome are those that only the filter and the Match event use. Empty in
    /// records of versions that did not distinguish them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub displayed: Vec<String>,
    /// Matches: iterations in which the Match event happened.
    pub matches: Option<u64>,
    /// Races: iterations that ended in the outcome that the test asks about.
    pub races: u64,
    /// `races / iterations`.
    pub rate: Option<f64>,
    /// The 95 % interval of `rate`. It takes the spread of `blocks` and `repeats` into account. In records
    /// without these it assumes independent iterations.
    pub interval: Option<Interval>,
    /// `races / matches`.
    pub rate_per_match: Option<f64>,
    /// The 95 % interval of `rate_per_match`.
    pub interval_per_match: Option<Interval>,
    /// The number of independent iterations that would give `rate` with the same precision: `iterations`
    /// divided by the design effect that `blocks` and `repeats` show. Absent without races, and without
    /// blocks and repeats.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub effective_iterations: Option<f64>,
    /// What the run found that ended it, as on the command line: `rate known to 10 %`, or a number of races such as
    /// `100 races`. In a sum, that of the first part that has one. Absent if time or iterations ended the run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stopped_by: Option<String>,
    /// The goal of the run, as on the command line (`--stop-when`). In a sum, that of its parts if they have the same.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub goal: Option<Goal>,
    /// If `stopped_by` is present: the 95 % confidence sequence of `rate`, which allows for that. `interval`
    /// assumes that the length of the run did not depend on what it found.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sequence: Option<Interval>,
    /// The probability that a run of the same length sees a race again: 1 - e^-races.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reproducibility: Option<f64>,
    /// Blocks of consecutive batches with at least one race, of all parts of a sum. Absent in a record of one run, whose
    /// `blocks` tell, and in sums of versions that did not count them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sightings: Option<u64>,
    /// The test for drift: how the rate at the end differs from that at the start. Absent with too few
    /// batches.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drift: Option<Drift>,
    /// For a zero: its upper bound relative to the best control on the same CPUs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sensitivity: Option<Sensitivity>,
    /// Iterations that were run and discarded, because a thread lost its CPU during their batch.
    #[serde(default)]
    pub discarded: u64,
    /// Batches in which a thread lost its CPU.
    #[serde(default)]
    pub disturbances: u64,
    /// Iterations that were run and discarded, because a thread was on a wrong CPU after their batch:
    /// something outside wakerace moved it. They are not in `discarded`.
    #[serde(default)]
    pub moved: u64,
    /// The cache-line transfer latency between the CPUs of the threads at the beginning of the run, in nanoseconds. With
    /// more than two threads, the longest from P0's CPU to another one. Absent if threads share a CPU, and in short runs
    /// of versions without `distances`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line_transfer_ns: Option<f64>,
    /// The distances between the CPUs during the run, and the counts at each. Absent if threads share a CPU, and in
    /// records of versions that did not measure it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub distances: Option<DistancesRecord>,
    /// The offset of the clock counter of each thread's CPU from that of P0's CPU just before the run, from
    /// P1 on. Absent if threads share a CPU, in sums, and in records of versions that did not measure it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub counters: Vec<CounterOffset>,
    /// The nice value of the threads. A low one reduces disturbance by other programs, if the system grants
    /// it.
    #[serde(default)]
    pub nice: i32,
    /// How many lines came from other caches. Absent if no counter of the hardware could be read: most virtual machines have none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line_fills: Option<LineFillsRecord>,
    /// The stress on the memory system during the test, if any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stress: Option<String>,
    /// The search over settings before the result's counts began. Absent if the settings were given, from a profile, or the
    /// defaults because the run was short.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub search: Option<SearchRecord>,
    /// The counts by skew: the race window.
    pub skews: Vec<SkewRecord>,
    /// The counts of instances that ran free, if others were paced: they have no skew. Absent if all had the same pace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub free: Option<FreeRecord>,
    /// The counts by cache-line ownership at the start of an instance. They add up to `iterations` and
    /// `races`. Absent in records of versions that did not count them.
    #[serde(default, alias = "starts", skip_serializing_if = "Vec::is_empty")]
    pub last_writers: Vec<LastWriterRecord>,
    /// The counts of up to 128 blocks of consecutive batches, in order of time. Only batches at the final
    /// skews and periods are in blocks, or, in a run that ended before these were chosen, those so far. Absent in
    /// sums, which have `repeats` instead, and in records of versions that did not count them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub blocks: Vec<CountRecord>,
    /// The counts of each run that was added up to this result: repeats, parts of a sum, or parts of a run whose settings followed
    /// the distance between its CPUs (`distances.settings`). Absent if it is
    /// from one run.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub repeats: Vec<CountRecord>,
    /// The histogram of iterations between races.
    pub gaps: Gaps,
    /// Whether the architecture allows the race.
    pub expected: Option<Verdict>,
    /// Whether the architecture's model computed `expected`, or the test declares it.
    #[serde(default)]
    pub expected_from: VerdictSource,
    /// The verdict of the kernel's memory model (LKMM) on the condition.
    pub lkmm: Option<Verdict>,
    /// Controls that fired on the same CPUs in this run.
    pub controls_fired: Vec<String>,
    /// The evidence for a zero. Absent in records of versions for which any control that fired was enough.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub evidence: Option<Evidence>,
    /// The finding.
    pub finding: Finding,
    /// Warnings about the rate. They follow from the other fields.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<Warning>,
    /// Fields that have the meaning of an earlier version of the format. Only in results that an earlier version
    /// wrote.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub former_meanings: Vec<FormerMeaning>,
    /// Fields of other versions. They are kept when the record is written again.
    #[serde(flatten)]
    pub extra: BTreeMap<String, Value>,
}

/// The upper bound of a zero relative to a control.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Sensitivity {
    /// The control with the highest rate on the same CPUs.
    pub control: String,
    /// The rate of the control.
    pub rate: f64,
    /// The upper bound of this result's rate, divided by the rate of the control. If the race were this many
    /// times as frequent as the control, it would have been seen.
    pub bound: f64,
}

impl SkewRecord {
    /// Whether this is the skew `skew_ns`. Skews are equal if they agree to a tenth of a nanosecond. No clock here has a
    /// finer resolution.
    pub(crate) fn is_at(&self, skew_ns: f64) -> bool {
        (self.skew_ns * 10.0).round() == (skew_ns * 10.0).round()
    }

    /// Races per instance at this skew; 0 if nothing was run.
    pub fn rate(&self) -> f64 {
        share(self.races, self.iterations).unwrap_or(0.0)
    }
}

impl ScenarioResult {
    /// The skews if they were given, to a nanosecond: `-20, 0, 20 ns`. A skew is a number of ticks, which differ from clock to clock.
    pub fn given_skews(&self) -> Option<String> {
        let skews: Vec<String> = self.skews.iter().map(|skew| format!("{:.0}", skew.skew_ns)).collect();
        self.pace.given_skews.then(|| format!("{} ns", skews.join(", ")))
    }

    /// The group size if it was given, alone or beside a search.
    pub fn given_group(&self) -> Option<usize> {
        let PaceRecord { given_group, given, group, .. } = &self.pace;
        (*given_group || given.contains(&GivenSetting::Group)).then_some(*group)
    }

    /// The interval of the rate that is stated: the one that allows for a run that ended by what it found, if it did.
    pub fn stated_interval(&self) -> Option<Interval> {
        self.sequence.or(self.interval)
    }

    /// Whether a search chose this setting of the result, so that it may be another one in the other result: it was given neither here
    /// nor, if this result searched nothing, there.
    pub fn chosen_beside(&self, other: &ScenarioResult, setting: GivenSetting) -> bool {
        let given = |result: &ScenarioResult| result.pace.given.contains(&setting);
        let searched = self.pace.searched || other.pace.searched;
        searched && !given(self) && (self.pace.searched || !given(other))
    }

    /// What identifies the test: the hash of its source. An imported test that is not in the catalogue has no
    /// hash; its name identifies it within a record.
    pub fn test_key(&self) -> (&str, &str) {
        (&self.source_sha256, if self.source_sha256.is_empty() { &self.scenario } else { "" })
    }

    /// All iterations that were counted, also those of the search over settings, and the races among them.
    pub fn seen(&self) -> (u64, u64) {
        let (iterations, races) = self.search.as_ref().map_or((0, 0), SearchRecord::counts);
        (self.iterations.saturating_add(iterations), self.races.saturating_add(races))
    }

    /// Whether the run changed its settings because its CPUs moved to another distance.
    pub fn has_followed(&self) -> bool {
        self.distances.as_ref().is_some_and(|distances| !distances.settings.is_empty())
    }

    /// How many runs the counts are of at least: parts of a run with other settings are among the `repeats`.
    pub fn runs(&self) -> usize {
        let parts = self.parts().filter(|part| part.iterations > 0).count();
        (self.repeats.len().saturating_sub(parts) + usize::from(parts > 0)).max(1)
    }

    /// The iterations that `skews` counts: all but those in `free`.
    pub(crate) fn paced(&self) -> u64 {
        self.iterations.saturating_sub(self.free.as_ref().map_or(0, |free| free.iterations))
    }

    /// The share of the iterations that `skews` counts, where others ran free. `None` if none did, or all.
    pub fn paced_share(&self) -> Option<f64> {
        let beside = self.free.as_ref().filter(|_| !self.skews.is_empty());
        beside.and_then(|_| share(self.paced(), self.iterations))
    }

    /// The parts of a run whose settings followed the distance between its CPUs.
    fn parts(&self) -> impl Iterator<Item = &SettingsRecord> {
        self.distances.iter().flat_map(|distances| &distances.settings)
    }

    /// All code that ran, the first part's first.
    pub fn each_code(&self) -> impl Iterator<Item = Code<'_>> {
        let ScenarioResult { layout, code_sha256, listing, .. } = self;
        let others = self.parts().filter_map(|part| {
            let CodeRecord { layout, code_sha256: sha256, listing } = part.code.as_ref()?;
            // Parts of earlier versions have the pace of the first.
            let pace = part.pace.as_ref().unwrap_or(&self.pace.mode);
            Some(Code { pace, layout: &layout.kind, sha256, listing })
        });
        let first = Code { pace: &self.pace.mode, layout: &layout.kind, sha256: code_sha256, listing };
        std::iter::once(first).chain(others)
    }

    /// The hashes of all code that ran.
    pub fn codes(&self) -> BTreeSet<&str> {
        self.each_code().map(|code| code.sha256).collect()
    }

    /// The hashes of the code that ran with settings for a distance like this one, in nanoseconds. All, if none were chosen there.
    pub fn codes_at(&self, ns: f64) -> BTreeSet<&str> {
        let here = self.parts().filter(|part| part.distance_ns.is_some_and(|known| !apart(known, ns)));
        let mut codes: BTreeSet<&str> =
            here.map(|part| part.code.as_ref().map_or(self.code_sha256.as_str(), |code| &code.code_sha256)).collect();
        // Runs of a sum that kept their settings are no parts.
        if self.repeats.len() > self.parts().count() {
            codes.insert(&self.code_sha256);
        }
        if codes.is_empty() { self.codes() } else { codes }
    }

    /// The skew with the highest rate. `None` with a single skew or without races.
    pub fn best_skew(&self) -> Option<&SkewRecord> {
        let best = self.skews.iter().max_by(|a, b| a.rate().total_cmp(&b.rate()));
        best.filter(|best| best.races > 0 && self.skews.len() > 1)
    }
}

/// The placement: the CPUs that the threads ran on.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub struct PlacementRecord {
    /// The CPU of P0, P1, ...
    pub cpus: Vec<usize>,
    /// The placement class: the distance between the CPUs.
    pub class: Class,
    /// The kind of core of each CPU, as in the host's `core_types`. Absent if the host has one kind.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub kinds: Vec<String>,
}

impl PlacementRecord {
    /// The class, and the kinds of core if the host has several: `llc, Cortex-X925 + Cortex-A725`.
    pub fn class_and_kinds(&self) -> String {
        class_and_kinds(self.class, &self.kinds)
    }

    /// Whether two placements have the same class and the same kinds of core.
    pub fn is_like(&self, other: &PlacementRecord) -> bool {
        self.class == other.class && self.kinds == other.kinds
    }
}

/// The kind of core of each CPU according to a host's `core_types`. Empty if the host has one kind, or if a CPU is in none.
fn kinds_on(host: &Host, cpus: &[usize]) -> Vec<String> {
    if host.core_types.len() < 2 {
        return Vec::new();
    }
    let types: Vec<(&String, Vec<usize>)> =
        host.core_types.iter().map(|(name, cpus)| (name, parse_cpu_list(cpus).unwrap_or_default())).collect();
    let kind = |cpu: &usize| types.iter().find(|(_, cpus)| cpus.contains(cpu)).map(|(name, _)| (*name).clone());
    cpus.iter().map(kind).collect::<Option<_>>().unwrap_or_default()
}

/// A setting that can be given while a search chooses the others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum GivenSetting {
    /// `--group`.
    Group,
    /// `--prefetch`.
    Prefetch,
    /// `--batch`.
    Batch,
}

/// The pace of the instances.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PaceRecord {
    /// `free` or `paced`.
    pub mode: String,
    /// Whether wakerace chose it (`auto`) or the command line gave it (`given`).
    pub chosen: String,
    /// The time from one group of instances to the next, in ticks of the clock; paced only. If wakerace chose
    /// the period, it adapts to the machine, and this is the mean. It is the shortest period that the threads
    /// can keep or, if races are frequent, the one with the most races.
    pub period_ticks: Option<u64>,
    /// The period in nanoseconds.
    pub period_ns: Option<f64>,
    /// The period, if the command line gave it, in nanoseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub given_period_ns: Option<f64>,
    /// Whether the command line gave the skews.
    #[serde(default)]
    pub given_skews: bool,
    /// Where the settings come from, if all of them were found before the run: `tuned on SB on 2026-11-28`, `found by an earlier run`, or both,
    /// with `and` between them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub profile: Option<String>,
    /// The group size: instances that run back to back at each tick.
    #[serde(default = "one::<usize>")]
    pub group: usize,
    /// Whether the command line or a profile gave the group size; not if other settings were searched (see `given`).
    #[serde(default)]
    pub given_group: bool,
    /// Whether a search chose the pace, the layout, the group, the prefetch and the batch, as far as they were not given.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub searched: bool,
    /// The settings that were given where a search chose the others. The machine code shows the layout and the pace.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub given: Vec<GivenSetting>,
    /// Whether the threads prefetched the cache lines of a group before its tick. `off` in a free run.
    #[serde(default = "no_prefetch", alias = "warm")]
    pub prefetch: Prefetch,
    /// Whether the search focused on some skews. Then all skews were used equally often only in one batch of four (in early
    /// versions: in the first quarter of the run). The others used those with the most frequent races or, without races, those with the most
    /// different outcomes.
    #[serde(default)]
    pub focused: bool,
    /// The mean time between the end of a batch in its first and in its last thread, minus the skew, in
    /// nanoseconds. In a free run this is how far the threads drift apart in a batch. Absent if it was not
    /// measured.
    #[serde(default, alias = "apart_ns", skip_serializing_if = "Option::is_none")]
    pub end_spread_ns: Option<f64>,
    /// The share of groups that a thread started late, because it was busy with an earlier group; paced only.
    /// It is high, and harmless, if the period was chosen for its many races. With `edges` it is the share of spans.
    pub late: Option<f64>,
    /// How the steps of a coarse clock were divided; absent if the clock is fine, and in free runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub edges: Option<EdgesRecord>,
    /// Why instances ran free although they were to be paced, if they did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub free_because: Option<String>,
}

/// Pacing by the edges of a coarse clock: the moments at which its counter changes. Spans of groups begin at edges, and
/// delays by a chain of dependent instructions divide the time between two edges.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct EdgesRecord {
    /// The time from one edge to the next, in ticks of the counter.
    pub step_ticks: u64,
    /// The same time in nanoseconds.
    pub step_ns: f64,
    /// Whether the clock is finer and the emitted code cleared its low bits, to simulate a coarse clock (`--clock-step`). Such
    /// a result is a test of wakerace; on this host a run without it gives more races.
    pub simulated: bool,
    /// The delay between two groups of a span, as a share of the mean time from one group to the next. Absent in records of older
    /// versions (it was 0.97), and in sums of runs that differ.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gap_share: Option<f64>,
    /// The delay on the CPU of each thread; empty in a sum.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub delays: Vec<DelayRecord>,
    /// How often a thread measured its delay again during the run, because its CPU had become faster or slower.
    #[serde(default)]
    pub drifts: u64,
}

/// The delay on a CPU.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct DelayRecord {
    /// The number of the CPU.
    pub cpu: usize,
    /// The time of one step of the chain, in nanoseconds: the resolution of the skews.
    pub step_ns: f64,
    /// The relative difference between the two fastest measurements of it.
    pub passes_differ: f64,
}

/// The value for records of versions without prefetch.
const fn no_prefetch() -> Prefetch {
    Prefetch::Off
}

/// The value for records of versions without groups.
fn one<T: From<u8>>() -> T {
    T::from(1)
}

/// The layout of the variables in memory.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LayoutRecord {
    /// `padded`, `packed` or `kernel-ARCH`.
    pub kind: String,
    /// The false-sharing distance that the layout was made for, in bytes.
    pub line_bytes: usize,
    /// The distance from one instance to the next, in bytes.
    pub stride_bytes: usize,
}

/// A final value: an integer, or `&name` for the address of a shared variable.
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
    /// How often it was seen.
    pub count: u64,
    /// Whether it is a race: the outcome that the test asks about.
    pub satisfies: bool,
}

/// The counts at one skew.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SkewRecord {
    /// The skew: the start delay of the last thread relative to P0, in nanoseconds. It is corrected by the
    /// offset between the clock counters of their CPUs, if that could be measured. `counters` has the error
    /// of the correction.
    pub skew_ns: f64,
    /// Iterations at this skew.
    pub iterations: u64,
    /// Matches among them.
    pub matches: Option<u64>,
    /// Races among them.
    pub races: u64,
    /// How often each of the result's `outcomes` was seen at this skew, in the same order. Empty in records
    /// of versions that did not count it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub outcomes: Vec<u64>,
}

/// The counts of instances that ran free in a result that has paced ones too.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct FreeRecord {
    /// Iterations.
    pub iterations: u64,
    /// Matches among them.
    pub matches: Option<u64>,
    /// Races among them.
    pub races: u64,
    /// How often each of the result's `outcomes` was seen, in the same order.
    pub outcomes: Vec<u64>,
}

/// Machine code that ran in a result.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Code<'a> {
    /// `paced` or `free`.
    pub pace: &'a str,
    /// The kind of the layout.
    pub layout: &'a str,
    /// Its SHA-256.
    pub sha256: &'a str,
    /// Its disassembly. Empty if an earlier one of the result has it.
    pub listing: &'a str,
}

/// The counts of iterations that began with the same cache-line ownership.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LastWriterRecord {
    /// Whether each thread prefetched the lines that it uses before the tick. Lines that it stores to are
    /// prefetched for writing. (With the prefetch setting `ahead` not the first ones of a batch.)
    #[serde(alias = "warm")]
    pub prefetched: bool,
    /// The thread that last wrote each shared variable before the instance began: `P0`, `P1`, ... This thread
    /// had the line in its caches unless it lost it since. Variables of which the test uses only the address
    /// are left out.
    #[serde(alias = "last_writers")]
    pub writers: BTreeMap<String, String>,
    /// Iterations.
    pub iterations: u64,
    /// Races among them.
    pub races: u64,
}

impl LastWriterRecord {
    /// Races per instance; 0 if nothing was run.
    pub fn rate(&self) -> f64 {
        share(self.races, self.iterations).unwrap_or(0.0)
    }
}
