//! The distances between the CPUs in a run, and the counts at each of them.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{CountRecord, LastWriterRecord, LayoutRecord, ScenarioResult, SkewRecord};
use crate::harness::Prefetch;
use crate::stats::{Count, Drift, Interval, apart, effect_between, effect_in_time, interval_with, matched, share};

/// The distances between the CPUs of the threads during a run. They were measured every few milliseconds, because a
/// hypervisor can move virtual CPUs.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct DistancesRecord {
    /// How often the distance was measured (looks).
    pub looks: u64,
    /// How many of the looks measured nothing.
    #[serde(default)]
    pub lost: u64,
    /// How many of the looks found a neighbour on a core of the threads: another program on another hardware thread of the core, such as
    /// another guest of a hypervisor. Absent if they did not look for any. In a sum, if one side did not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub neighbours: Option<u64>,
    /// How often a look contradicted the offset between the clock counters of two CPUs, so that starts were corrected by
    /// another offset from then on.
    #[serde(default)]
    pub offset_changes: u64,
    /// The distances that there were, in ascending order. Two of them are at least a factor of 1.6 apart. On hardware that
    /// moves no CPUs there is one.
    pub strata: Vec<StratumRecord>,
    /// The counts of batches between two looks that disagreed. In a run that searches its settings at each distance, also those of
    /// batches with settings for another distance. In a sum, also those of parts that measured no distance. With the strata they add up to the result's counts.
    pub between: CountRecord,
    /// The settings of each part of a run, in order of time. A run whose settings were searched changes them when its CPUs
    /// stay at another distance, and its parts are `repeats` of the result. In a sum those of all such runs. Absent if no run changed its settings.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub settings: Vec<SettingsRecord>,
}

/// The settings of a part of a run, where they differ from part to part, and what was counted with them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SettingsRecord {
    /// The distance that they were chosen at, in nanoseconds. Absent if none was measured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub distance_ns: Option<f64>,
    /// `paced` or `free`. Absent in records from before the field: the pace of the result.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pace: Option<String>,
    /// Instances per tick; 1 if free.
    pub group: usize,
    /// Instances per batch. Absent in records from before the field.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub batch: Option<usize>,
    /// Whether the lines of a group were prefetched before its tick.
    pub prefetch: Prefetch,
    /// The mean period, in nanoseconds; paced only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub period_ns: Option<f64>,
    /// Wall-clock time of the part, in seconds.
    pub elapsed_s: f64,
    /// Iterations of the part.
    pub iterations: u64,
    /// Races among them.
    pub races: u64,
    /// The machine code of the part, if it is not that of the result, which is the first part's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<CodeRecord>,
}

/// Other machine code of the same test: another pace or layout, or a dense layout of another batch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CodeRecord {
    /// The layout of the variables in memory.
    pub layout: LayoutRecord,
    /// SHA-256 of the code, as of the result.
    pub code_sha256: String,
    /// Its disassembly, as of the result. Empty if an earlier part has it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub listing: String,
}

/// The counts at one distance between the CPUs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct StratumRecord {
    /// The distance: the time of a cache-line transfer, in nanoseconds, the geometric mean of the looks. With more than two
    /// threads each look has the longest transfer between P0's CPU and another one.
    pub ns: f64,
    /// The shortest of the looks.
    pub low_ns: f64,
    /// The longest of the looks.
    pub high_ns: f64,
    /// The number of looks.
    pub looks: u64,
    /// Wall-clock time at this distance, in seconds.
    pub elapsed_s: f64,
    /// The part of it inside measured batches, in seconds.
    pub in_batches_s: f64,
    /// The mean period, in nanoseconds; paced only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub period_ns: Option<f64>,
    /// Iterations.
    pub iterations: u64,
    /// Matches among them. Absent if the test declares no Match event.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub matches: Option<u64>,
    /// Races among them.
    pub races: u64,
    /// `races / iterations`.
    #[serde(default)]
    pub rate: Option<f64>,
    /// The 95 % interval of `rate`, which takes the spread of `blocks` and `repeats` into account.
    #[serde(default)]
    pub interval: Option<Interval>,
    /// The test for drift at this distance, as for the result. Absent with too few looks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drift: Option<Drift>,
    /// The race window at this distance. Absent if there is one distance: then it is that of the result.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub skews: Vec<SkewRecord>,
    /// The counts by cache-line ownership at this distance. Absent as `skews` is.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub last_writers: Vec<LastWriterRecord>,
    /// The counts of up to 128 blocks in order of time, as in the result. Absent if several parts of a sum have counts here.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub blocks: Vec<CountRecord>,
    /// The counts of each run at this distance that was added up. Absent if it is from one run.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub repeats: Vec<CountRecord>,
    /// The part of it without a neighbour ([`DistancesRecord::neighbours`]). Absent if looks did not look for any. In a sum it is that of the
    /// sides that did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub without_neighbour: Option<WithoutNeighbourRecord>,
}

/// The counts of batches at one distance during which no core of the threads had a neighbour: neither the four looks before them nor the one
/// after them found any.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct WithoutNeighbourRecord {
    /// Wall-clock time, in seconds.
    pub elapsed_s: f64,
    /// The part of it inside measured batches, in seconds.
    pub in_batches_s: f64,
    /// Iterations.
    pub iterations: u64,
    /// Matches among them. Absent if the test declares no Match event.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub matches: Option<u64>,
    /// Races among them.
    pub races: u64,
    /// `races / iterations`.
    #[serde(default)]
    pub rate: Option<f64>,
    /// The 95 % interval of `rate`, which takes the spread of `blocks` and `repeats` into account.
    #[serde(default)]
    pub interval: Option<Interval>,
    /// The counts of up to 128 blocks in order of time, as those of the distance. Absent if several parts of a sum have counts here.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub blocks: Vec<CountRecord>,
    /// The counts of each run that was added up. Absent if it is from one run.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub repeats: Vec<CountRecord>,
}

impl WithoutNeighbourRecord {
    /// The design effect of the rate ([`crate::stats::interval_with`]).
    pub fn effect(&self) -> f64 {
        effect(&self.blocks, &self.repeats)
    }

    /// The counts of each run: the repeats, or all of it.
    pub fn as_repeats(&self) -> Vec<CountRecord> {
        as_repeats(CountRecord { iterations: self.iterations, races: self.races, matches: self.matches }, &self.repeats)
    }
}

/// The design effect of a rate with these blocks and repeats ([`crate::stats::interval_with`]).
fn effect(blocks: &[CountRecord], repeats: &[CountRecord]) -> f64 {
    let counts = |parts: &[CountRecord]| -> Vec<Count> {
        parts.iter().map(|part| Count { seen: part.races, of: part.iterations }).collect()
    };
    effect_in_time(&counts(blocks)).max(effect_between(&counts(repeats)))
}

/// The repeats that counts add to a sum: their own, or the counts themselves.
fn as_repeats(counts: CountRecord, repeats: &[CountRecord]) -> Vec<CountRecord> {
    match repeats.is_empty() {
        true if counts.iterations == 0 => Vec::new(),
        true => vec![counts],
        false => repeats.to_vec(),
    }
}

impl StratumRecord {
    /// The design effect of the rate ([`crate::stats::interval_with`]).
    pub fn effect(&self) -> f64 {
        effect(&self.blocks, &self.repeats)
    }

    /// The share of its iterations that had no neighbour; `None` if looks did not look for any, or if nothing was counted.
    pub fn share_without_neighbour(&self) -> Option<f64> {
        share(self.without_neighbour.as_ref()?.iterations, self.iterations)
    }

    /// Races per second inside batches.
    pub fn races_per_s(&self) -> f64 {
        if self.in_batches_s > 0.0 { self.races as f64 / self.in_batches_s } else { 0.0 }
    }

    /// Computes what follows from the counts.
    pub(super) fn compute(&mut self) {
        self.rate = share(self.races, self.iterations);
        self.interval = interval_with(self.races, self.iterations, self.effect());
        if let Some(part) = &mut self.without_neighbour {
            part.rate = share(part.races, part.iterations);
            part.interval = interval_with(part.races, part.iterations, part.effect());
        }
    }

    /// The counts of each run: the repeats, or all of it.
    pub fn as_repeats(&self) -> Vec<CountRecord> {
        let StratumRecord { iterations, races, matches, .. } = *self;
        as_repeats(CountRecord { iterations, races, matches }, &self.repeats)
    }

    /// This distance without its counts.
    fn uncounted(&self) -> StratumRecord {
        StratumRecord {
            in_batches_s: 0.0,
            period_ns: None,
            iterations: 0,
            matches: self.matches.map(|_| 0),
            races: 0,
            rate: None,
            interval: None,
            drift: None,
            skews: Vec::new(),
            last_writers: Vec::new(),
            blocks: Vec::new(),
            repeats: Vec::new(),
            without_neighbour: self.without_neighbour.as_ref().map(|part| WithoutNeighbourRecord {
                elapsed_s: part.elapsed_s,
                matches: part.matches.map(|_| 0),
                ..WithoutNeighbourRecord::default()
            }),
            ..self.clone()
        }
    }
}

impl ScenarioResult {
    /// The distances at which a result has counts of a kind, in nanoseconds. None if it did not measure any.
    fn distances_with(&self, count: impl Fn(&StratumRecord) -> u64) -> Vec<f64> {
        let strata = self.distances.iter().flat_map(|distances| &distances.strata);
        strata.filter(|stratum| count(stratum) > 0).map(|stratum| stratum.ns).collect()
    }

    /// The distances at which it has iterations, in nanoseconds.
    pub fn distances_of_iterations(&self) -> Vec<f64> {
        self.distances_with(|stratum| stratum.iterations)
    }

    /// The distances at which it has races, in nanoseconds.
    pub fn distances_of_races(&self) -> Vec<f64> {
        self.distances_with(|stratum| stratum.races)
    }

    /// Whether a control raced at a distance at which this result has iterations. True if one of them did not measure distances.
    pub fn is_where_it_raced(&self, control: &ScenarioResult) -> bool {
        let (own, theirs) = (self.distances_of_iterations(), control.distances_of_races());
        own.is_empty() || theirs.is_empty() || own.iter().any(|a| theirs.iter().any(|b| !apart(*a, *b)))
    }
}

impl DistancesRecord {
    /// The share of the time at each distance.
    pub fn shares(&self) -> Vec<f64> {
        let all: f64 = self.strata.iter().map(|stratum| stratum.elapsed_s).sum();
        self.strata.iter().map(|stratum| if all > 0.0 { stratum.elapsed_s / all } else { 0.0 }).collect()
    }

    /// Takes the counts at other distances than `ns` out of their strata and into `between`. Their looks and `elapsed_s` stay.
    pub fn count_only_at(&mut self, ns: f64) {
        for stratum in self.strata.iter_mut().filter(|stratum| apart(stratum.ns, ns)) {
            let between = &mut self.between;
            between.iterations += stratum.iterations;
            between.races += stratum.races;
            between.matches = between.matches.zip(stratum.matches).map(|(between, here)| between + here);
            *stratum = stratum.uncounted();
        }
    }

    /// Adds the looks and the times of another test on the same CPUs. The counts are not added: they are of another test.
    pub fn add_looks(&mut self, other: &DistancesRecord) {
        self.looks = self.looks.saturating_add(other.looks);
        self.lost = self.lost.saturating_add(other.lost);
        self.neighbours = self.neighbours.zip(other.neighbours).map(|(a, b)| a.saturating_add(b));
        let ns = |strata: &[StratumRecord]| strata.iter().map(|stratum| stratum.ns).collect::<Vec<f64>>();
        let pairs = matched(&ns(&self.strata), &ns(&other.strata));
        for (at, more) in other.strata.iter().enumerate() {
            match pairs.iter().find(|(_, theirs)| *theirs == at) {
                Some(&(ours, _)) => {
                    let known = &mut self.strata[ours];
                    let [a, b] = [known.looks, more.looks].map(|looks| looks.max(1) as f64);
                    known.ns = ((a * known.ns.ln() + b * more.ns.ln()) / (a + b)).exp();
                    known.looks = known.looks.saturating_add(more.looks);
                    known.elapsed_s += more.elapsed_s;
                }
                None => self.strata.push(more.clone()),
            }
        }
        self.strata.sort_by(|a, b| a.ns.total_cmp(&b.ns));
    }
}
