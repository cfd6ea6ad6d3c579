//! What a run of the mutex and wakeup protocol gave.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Gaps, RunRecord};
use crate::kernel::harm::Harm;
use crate::kernel::heal::Healer;
use crate::kernel::{BlockedOnStore, Profile};
use crate::machine::Clock;
use crate::protocol::{Outcome, Plan};
use crate::stats::{Interval, interval};

/// The schema of [`ProtocolRecord`].
pub const PROTOCOL_SCHEMA: &str = "wakerace-protocol/1";

/// One run of `wakerace protocol`: an entry per profile and layout.
pub type ProtocolRecord = RunRecord<ProtocolResult>;

/// What one profile gave.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ProtocolResult {
    /// `v7.1`, `draft`, `draft+check` or `v7.2`.
    pub profile: String,
    /// Whether the profile is a reconstruction of something that is not archived.
    pub reconstruction: bool,
    /// What was left out on purpose.
    pub mutant: Option<String>,
    /// Which interleavings were sought.
    pub variant: String,
    /// How blocked_on was stored: `plain` or `nontemporal`.
    pub blocked_on_store: String,
    /// Where the fields of task_struct lay.
    pub layout: String,
    /// The host's CPUs.
    pub cpus: Vec<usize>,
    /// Tasks per CPU that had any.
    pub tasks_per_cpu: usize,
    /// Seed of what tasks and interrupts did.
    pub seed: u64,
    /// Wall-clock time, in seconds.
    pub elapsed_s: f64,
    /// Times that a task went to sleep on a mutex.
    pub rounds: u64,
    /// The same per second.
    pub rounds_per_s: f64,
    /// Locks acquired.
    pub acquired: u64,
    /// Calls of try_to_wake_up(), and how they ended.
    pub wakes: WakesRecord,
    /// Wakeups whose state matched: `runnable + activated`.
    pub matches: u64,
    /// Of these, blocked_on was read as NULL.
    pub nulls: u64,
    /// Of these, the race: its store was not seen though the state behind it was.
    pub races: u64,
    /// `races / matches`.
    pub rate: Option<f64>,
    /// Its interval.
    pub interval: Option<Interval>,
    /// Races whose task was queued still and kept its blocked_on, by who put it right.
    pub healed: Vec<HealedRecord>,
    /// Those that were not when the run ended.
    pub unhealed: u64,
    /// How long a task was RUNNING with blocked_on set, from the wakeup to whoever put it right.
    pub heal_ns: Gaps,
    /// What must never happen, and the claims, with how often they were broken.
    pub harms: Vec<HarmRecord>,
    /// Tasks that the monitor put back onto a runqueue after they were lost; in the draft alone.
    pub rescued: u64,
    /// Why it ended early: a task that did not move, or a harm that must not be.
    pub stuck: Option<String>,
    /// What other versions wrote here: it is kept.
    #[serde(flatten)]
    pub extra: BTreeMap<String, Value>,
}

/// How wakeups ended. They add up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct WakesRecord {
    /// All.
    pub issued: u64,
    /// The state did not match.
    pub no_match: u64,
    /// The task was queued still.
    pub runnable: u64,
    /// The task was put on a runqueue.
    pub activated: u64,
    /// Dropped by a mutant.
    pub dropped: u64,
    /// None of these: lost. 0, or something is wrong.
    pub unaccounted: u64,
}

/// How many one healer put right.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct HealedRecord {
    /// Who.
    pub by: String,
    /// How many.
    pub count: u64,
}

/// How often something happened that must not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct HarmRecord {
    /// H1 to H10, M, C1 to C6.
    pub id: String,
    /// What it is.
    pub text: String,
    /// How often.
    pub count: u64,
    /// Whether the profile may show it.
    pub expected: bool,
}

impl ProtocolResult {
    /// What a run gave.
    pub fn new(plan: &Plan, outcome: &Outcome, clock: Clock) -> ProtocolResult {
        let Outcome { issued, no_match, runnable, activated, dropped, .. } = *outcome;
        let accounted = no_match + runnable + activated + dropped;
        let matches = runnable + activated;
        let seconds = outcome.elapsed.as_secs_f64();
        let mut nanoseconds = crate::kernel::heal::histogram();
        for value in outcome.heal_ticks.iter_recorded() {
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
            // at least 1, and a float as an integer saturates
            let ns = clock.ns(value.value_iterated_to() as f64).round().max(1.0) as u64;
            nanoseconds.saturating_record_n(ns, value.count_at_value());
        }
        let heal_ns = Gaps::of("ns", &nanoseconds);
        ProtocolResult {
            profile: plan.profile.to_string(),
            reconstruction: plan.profile.is_draft(),
            mutant: plan.mutant.map(|mutant| mutant.to_string()),
            variant: plan.variant.to_string(),
            blocked_on_store: match plan.store {
                BlockedOnStore::Plain => "plain",
                BlockedOnStore::Nontemporal => "nontemporal",
            }
            .to_owned(),
            layout: plan.layout.to_owned(),
            cpus: plan.cpus.clone(),
            tasks_per_cpu: plan.tasks,
            seed: plan.seed,
            elapsed_s: seconds,
            rounds: outcome.rounds,
            rounds_per_s: if seconds > 0.0 { outcome.rounds as f64 / seconds } else { 0.0 },
            acquired: outcome.acquired,
            wakes: WakesRecord {
                issued,
                no_match,
                runnable,
                activated,
                dropped,
                unaccounted: issued.saturating_sub(accounted),
            },
            matches,
            nulls: outcome.nulls,
            races: outcome.races,
            rate: (matches > 0).then(|| outcome.races as f64 / matches as f64),
            interval: interval(outcome.races, matches),
            healed: (Healer::ALL.iter().zip(outcome.healed))
                .map(|(healer, count)| HealedRecord { by: healer.name().to_owned(), count })
                .collect(),
            unhealed: outcome.unhealed,
            heal_ns,
            harms: (outcome.harms.iter())
                .map(|(harm, count)| HarmRecord {
                    id: harm.to_string(),
                    text: harm.text().to_owned(),
                    count: *count,
                    expected: harm.expected(plan.profile),
                })
                .collect(),
            rescued: outcome.rescued,
            stuck: outcome.stuck.as_ref().map(|stuck| stuck.what.clone()),
            extra: BTreeMap::new(),
        }
    }

    /// Whether nothing happened that must not: nothing lost, no unexpected harm, nobody stuck.
    pub fn is_clean(&self) -> bool {
        let unexpected = self.harms.iter().any(|harm| harm.count > 0 && !harm.expected);
        self.stuck.is_none() && !unexpected && (self.wakes.unaccounted == 0)
    }

    /// How often a harm was counted.
    pub fn harm(&self, harm: Harm) -> u64 {
        let id = harm.to_string();
        self.harms.iter().find(|known| known.id == id).map_or(0, |known| known.count)
    }

    /// The profile it was.
    pub fn profile(&self) -> Option<Profile> {
        self.profile.parse().ok()
    }
}
