//! Records of runs of the mutex and wakeup protocol.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{FormerMeaning, Gaps, RunRecord};
use crate::kernel::harm::Harm;
use crate::kernel::heal::Healer;
use crate::kernel::{BlockedOnStore, Mutant, OLD_DRAFT_WITH_CHECK, Profile};
use crate::machine::Clock;
use crate::protocol::{Outcome, Plan};
use crate::stats::{Interval, interval};

/// The schema of [`ProtocolRecord`].
pub const PROTOCOL_SCHEMA: &str = "wakerace-protocol/2";

/// The record of `wakerace protocol`: a result per profile and layout.
pub type ProtocolRecord = RunRecord<ProtocolResult>;

/// The result of one profile.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ProtocolResult {
    /// `v7.1`, `draft` or `v7.2`. Earlier versions wrote `draft+check` for the draft with the mutant `check`.
    pub profile: String,
    /// Whether the profile was written from the text of a mail, without its diff. Earlier versions had such a
    /// draft; this one has none.
    pub reconstruction: bool,
    /// The mutant: a step of the protocol that was left out or added on purpose.
    pub mutant: Option<String>,
    /// The variant of the workload: which interleavings the run provokes.
    pub variant: String,
    /// How blocked_on was stored: `plain` or `nontemporal`.
    pub blocked_on_store: String,
    /// The layout of the fields of task_struct in memory.
    pub layout: String,
    /// The CPUs of the host that the protocol ran on.
    pub cpus: Vec<usize>,
    /// Tasks per CPU, for CPUs that had tasks.
    pub tasks_per_cpu: usize,
    /// Seed of the random choices of tasks and interrupts.
    pub seed: u64,
    /// Wall-clock time, in seconds.
    pub elapsed_s: f64,
    /// Rounds: how often a task went to sleep on a mutex.
    pub rounds: u64,
    /// Rounds per second.
    pub rounds_per_s: f64,
    /// Locks acquired.
    pub acquired: u64,
    /// Calls of try_to_wake_up(), by how they ended.
    pub wakes: WakesRecord,
    /// Wakeups whose state matched: `runnable + activated`.
    pub matches: u64,
    /// Matches in which the waker read blocked_on as NULL.
    pub nulls: u64,
    /// Races: matches in which the waker read the new state but not the store to blocked_on that comes before
    /// it.
    pub races: u64,
    /// `races / matches`.
    pub rate: Option<f64>,
    /// The 95 % interval of `rate`.
    pub interval: Option<Interval>,
    /// Races whose task was still queued and kept blocked_on set, by the code that cleared it (the healer).
    pub healed: Vec<HealedRecord>,
    /// Such races that were not healed: the task kept blocked_on set to the end of the run, or the task was
    /// lost and the monitor put it back.
    pub unhealed: u64,
    /// How long a task was RUNNING with blocked_on set, from the wakeup to the healing.
    pub heal_ns: Gaps,
    /// The harms (events that must never happen) and the claims, with the number of times that each happened
    /// or was broken.
    pub harms: Vec<HarmRecord>,
    /// Lost tasks that the monitor put back on a runqueue. Each is counted as H4. This happens only in the
    /// draft.
    pub rescued: u64,
    /// The fault that ended the run, in words: a task that did not move or was lost at the end, a CPU that
    /// panicked, or the first harm that ended the run.
    pub stuck: Option<String>,
    /// Fields that have the meaning of an earlier version of the format. Only in results that an earlier version
    /// wrote.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub former_meanings: Vec<FormerMeaning>,
    /// Fields of other versions. They are kept when the record is written again.
    #[serde(flatten)]
    pub extra: BTreeMap<String, Value>,
}

/// Wakeups by how they ended. The other counts add up to `issued`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct WakesRecord {
    /// All wakeups.
    pub issued: u64,
    /// Wakeups whose state did not match.
    pub no_match: u64,
    /// Wakeups that found the task still queued.
    pub runnable: u64,
    /// Wakeups that put the task on a runqueue.
    pub activated: u64,
    /// Wakeups that a mutant dropped.
    pub dropped: u64,
    /// Lost wakeups, which ended in none of these ways. A number other than 0 is a fault.
    pub unaccounted: u64,
}

/// The number of races that one healer healed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct HealedRecord {
    /// The name of the healer.
    pub by: String,
    /// The number of races.
    pub count: u64,
}

/// The count of one harm or claim.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct HarmRecord {
    /// The id: H1 to H11, M, D, C1 to C6.
    pub id: String,
    /// The description.
    pub text: String,
    /// How often the harm happened or the claim was broken.
    pub count: u64,
    /// Whether the profile is known to show it.
    pub expected: bool,
}

/// The judgement of a result.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Judgement {
    /// No harm was counted. Claims that the profile is known to break may be broken.
    Clean,
    /// Harm was counted, but only kinds that the profile is known to show.
    AsExpected,
    /// Harm that the profile must not show, a run that ended with a fault, or a lost wakeup.
    Unexpected,
}

impl Judgement {
    /// All judgements, the best first.
    pub const ALL: [Judgement; 3] = [Judgement::Clean, Judgement::AsExpected, Judgement::Unexpected];

    /// The judgement as text, in tables and pages.
    pub const fn words(self) -> &'static str {
        match self {
            Judgement::Clean => "clean",
            Judgement::AsExpected => "harm, as expected of this profile",
            Judgement::Unexpected => "harm nobody expects",
        }
    }
}

impl HarmRecord {
    /// Whether it is a claim that was made about blocked_on (docs/kernel.md, section 1), rather than a harm.
    pub fn is_claim(&self) -> bool {
        self.id.starts_with('C')
    }
}

impl ProtocolResult {
    /// The judgement. A broken claim counts as harm only if the profile is not known to break it.
    pub fn judgement(&self) -> Judgement {
        let seen = || self.harms.iter().filter(|harm| harm.count > 0);
        let lost = self.lost_wakeups() > 0;
        if self.stuck.is_some() || lost || seen().any(|harm| !harm.expected) {
            Judgement::Unexpected
        } else if self.rescued > 0 || seen().any(|harm| !harm.is_claim()) {
            Judgement::AsExpected
        } else {
            Judgement::Clean
        }
    }

    /// Lost wakeups: those that a mutant dropped, and those that ended in no known way.
    pub fn lost_wakeups(&self) -> u64 {
        self.wakes.dropped.saturating_add(self.wakes.unaccounted)
    }

    /// Makes the result of a run.
    pub fn new(plan: &Plan, outcome: &Outcome, clock: Clock) -> ProtocolResult {
        let Outcome { issued, no_match, runnable, activated, dropped, .. } = *outcome;
        let accounted = no_match + runnable + activated + dropped;
        let matches = runnable + activated;
        let seconds = outcome.elapsed.as_secs_f64();
        let mut nanoseconds = crate::kernel::heal::histogram();
        for value in outcome.heal_ticks.iter_recorded() {
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
            // at least 1, and the conversion of a float to an integer saturates
            let ns = clock.nanos_of(value.value_iterated_to() as f64).0.round().max(1.0) as u64;
            nanoseconds.saturating_record_n(ns, value.count_at_value());
        }
        let heal_ns = Gaps::of("ns", &nanoseconds);
        ProtocolResult {
            profile: plan.profile.to_string(),
            reconstruction: false,
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
                    expected: harm.expected(plan.profile, plan.mutant),
                })
                .collect(),
            rescued: outcome.rescued,
            stuck: outcome.stuck.as_ref().map(|stuck| stuck.what.clone()),
            former_meanings: Vec::new(),
            extra: BTreeMap::new(),
        }
    }

    /// How often a harm was counted.
    pub fn harm(&self, harm: Harm) -> u64 {
        let id = harm.to_string();
        self.harms.iter().find(|known| known.id == id).map_or(0, |known| known.count)
    }

    /// The profile and the mutant; `None` if this version does not know the name of one.
    pub fn subject(&self) -> Option<(Profile, Option<Mutant>)> {
        if self.profile == OLD_DRAFT_WITH_CHECK {
            return Some((Profile::Draft, Some(Mutant::Check)));
        }
        let mutant = self.mutant.as_ref().map(|mutant| mutant.parse()).transpose();
        Some((self.profile.parse().ok()?, mutant.ok()?))
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use std::time::Duration;

    use super::*;
    use crate::protocol::{Stuck, Variant};

    fn plan(profile: Profile) -> Plan {
        Plan {
            profile,
            mutant: None,
            store: BlockedOnStore::Nontemporal,
            variant: Variant::V7,
            layout: "packed",
            cpus: vec![3, 1],
            tasks: 5,
            duration: Duration::from_secs(1),
            watchdog: Duration::from_secs(5),
            seed: 77,
        }
    }

    fn outcome(harms: &[(Harm, u64)]) -> Outcome {
        Outcome {
            elapsed: Duration::from_secs(2),
            rounds: 600,
            acquired: 700,
            issued: 100,
            no_match: 40,
            runnable: 35,
            activated: 25,
            dropped: 0,
            nulls: 8,
            races: 6,
            healed: [1, 2, 0, 0],
            heal_ticks: crate::kernel::heal::histogram(),
            unhealed: 3,
            harms: Harm::ALL
                .map(|harm| (harm, harms.iter().find(|(id, _)| *id == harm).map_or(0, |(_, n)| *n)))
                .to_vec(),
            rescued: 0,
            stuck: None,
            running: Vec::new(),
            interrupted: false,
        }
    }

    fn clock() -> Clock {
        Clock { frequency_hz: 2e9, ..Clock::calibrate() }
    }

    /// A result of a profile with these counts of harms.
    pub(crate) fn result(profile: Profile, harms: &[(Harm, u64)]) -> ProtocolResult {
        ProtocolResult::new(&plan(profile), &outcome(harms), clock())
    }

    #[test]
    fn a_result_says_what_was_planned_and_counted() {
        let mut outcome = outcome(&[(Harm::H6, 9)]);
        for (ticks, times) in [(1000, 3), (4000, 1)] {
            outcome.heal_ticks.record_n(ticks, times).unwrap();
        }
        let result = ProtocolResult::new(&plan(Profile::Draft), &outcome, clock());
        let text = |value: &str| value.to_owned();
        assert_eq!((&result.profile, result.reconstruction), (&text("draft"), false));
        assert_eq!(
            (&result.variant, &result.blocked_on_store, &result.layout),
            (&text("V7"), &text("nontemporal"), &text("packed"))
        );
        assert_eq!((&result.cpus[..], result.tasks_per_cpu, result.seed), (&[3, 1][..], 5, 77));
        assert_eq!((result.elapsed_s, result.rounds, result.rounds_per_s, result.acquired), (2.0, 600, 300.0, 700));
        let WakesRecord { issued, no_match, runnable, activated, dropped, unaccounted } = result.wakes;
        assert_eq!([issued, no_match, runnable, activated, dropped, unaccounted], [100, 40, 35, 25, 0, 0]);
        assert_eq!((result.matches, result.nulls, result.races, result.rate), (60, 8, 6, Some(0.1)));
        assert!(result.interval.is_some_and(|interval| interval.low < 0.1 && interval.high > 0.1));
        let healed: Vec<(&str, u64)> = result.healed.iter().map(|healed| (healed.by.as_str(), healed.count)).collect();
        let by = ["the task itself", "find_proxy_task()", "force_return", "a later wakeup or the unlock"];
        assert_eq!(healed, by.into_iter().zip([1, 2, 0, 0]).collect::<Vec<_>>());
        assert_eq!((result.unhealed, result.rescued), (3, 0));
        // At 2 GHz 1000 ticks are 500 ns. The histogram keeps three significant digits.
        let near = |ns: u64, wanted: u64| ns.abs_diff(wanted) <= wanted / 500;
        let heal = &result.heal_ns;
        assert_eq!((heal.count, heal.unit.as_str()), (4, "ns"));
        assert!(near(heal.p50, 500) && near(heal.max, 2000) && near(heal.p90, 2000), "{heal:?}");
        assert_eq!((result.harm(Harm::H6), result.harm(Harm::H4)), (9, 0));
        let plain = Plan { store: BlockedOnStore::Plain, ..plan(Profile::V72) };
        let result = ProtocolResult::new(&plain, &outcome, clock());
        assert_eq!((&result.blocked_on_store, result.reconstruction), (&text("plain"), false));
    }

    #[test]
    fn harm_is_clean_expected_or_not() {
        use Judgement::{AsExpected, Clean, Unexpected};
        let judged = |profile, harms: &[(Harm, u64)]| result(profile, harms).judgement();
        for profile in Profile::ALL {
            assert_eq!(judged(profile, &[]), Clean, "{profile}");
            for harm in Harm::ALL {
                let claim = harm.to_string().starts_with('C');
                let wanted = match (harm.expected(profile, None), claim) {
                    (true, true) => Clean,
                    (true, false) => AsExpected,
                    (false, _) => Unexpected,
                };
                assert_eq!(judged(profile, &[(harm, 1)]), wanted, "{profile} {harm}");
            }
        }
        assert_eq!(judged(Profile::Draft, &[(Harm::H4, 8), (Harm::H6, 50)]), AsExpected);
        assert_eq!(judged(Profile::Draft, &[(Harm::H4, 8), (Harm::H2, 1)]), Unexpected);

        let clean = || result(Profile::Draft, &[]);
        let mut rescued = clean();
        rescued.rescued = 1;
        assert_eq!(rescued.judgement(), AsExpected, "a rescue by the monitor is a loss");
        let mut dropped = clean();
        dropped.wakes.dropped = 1;
        assert_eq!(dropped.judgement(), Unexpected);
        let mut unaccounted = clean();
        unaccounted.wakes.unaccounted = 1;
        assert_eq!(unaccounted.judgement(), Unexpected);
        let stuck = Outcome { stuck: Some(Stuck { what: "no".to_owned(), state: String::new() }), ..outcome(&[]) };
        let stuck = ProtocolResult::new(&plan(Profile::V72), &stuck, clock());
        assert_eq!((stuck.judgement(), stuck.stuck.as_deref()), (Unexpected, Some("no")));
    }

    #[test]
    fn what_a_profile_is_known_to_do() {
        use Harm::{C4, C5, H1, H4, H5, H6, H8, H11};
        let known: [(Profile, Option<Mutant>, &[Harm]); 5] = [
            (Profile::V71, None, &[H5, H8, H11]),
            (Profile::Draft, None, &[H1, H4, H5, H6, H8, H11, C5]),
            (Profile::Draft, Some(Mutant::Check), &[H1, H5, H8, H11, C5]),
            (Profile::V72, None, &[C4, C5]),
            (Profile::V72, Some(Mutant::BlockPreempted), &[C4, C5]),
        ];
        for (profile, mutant, harms) in known {
            let expected: Vec<Harm> = Harm::ALL.into_iter().filter(|harm| harm.expected(profile, mutant)).collect();
            assert_eq!(expected, harms, "{profile} {mutant:?}");
        }
    }

    #[test]
    fn the_draft_with_the_check_of_older_records_is_the_mutant() {
        let mut older = result(Profile::Draft, &[]);
        assert_eq!(older.subject(), Some((Profile::Draft, None)));
        older.profile = OLD_DRAFT_WITH_CHECK.to_owned();
        assert_eq!(older.subject(), Some((Profile::Draft, Some(Mutant::Check))));
        older.profile = "v8".to_owned();
        assert_eq!(older.subject(), None);
    }

    #[test]
    fn a_wakeup_that_ends_in_no_way_is_lost() {
        let result = ProtocolResult::new(&plan(Profile::V71), &Outcome { issued: 107, ..outcome(&[]) }, clock());
        assert_eq!((result.wakes.unaccounted, result.lost_wakeups()), (7, 7));
        let dropped = Outcome { issued: 107, dropped: 7, ..outcome(&[]) };
        let result = ProtocolResult::new(&plan(Profile::V71), &dropped, clock());
        assert_eq!((result.wakes.unaccounted, result.wakes.dropped, result.lost_wakeups()), (0, 7, 7));
    }
}
