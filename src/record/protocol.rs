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
    /// Those that nobody put right: their tasks kept it to the end of the run, or were lost and put back by the monitor. Earlier versions
    /// counted the latter as healed by a later wakeup.
    pub unhealed: u64,
    /// How long a task was RUNNING with blocked_on set, from the wakeup to whoever put it right.
    pub heal_ns: Gaps,
    /// What must never happen, and the claims, with how often they were broken.
    pub harms: Vec<HarmRecord>,
    /// Tasks that the monitor put back onto a runqueue after they were lost, each counted as H4; in the draft alone.
    pub rescued: u64,
    /// What must not be, in words: a task that did not move or was lost at the end, a CPU that panicked, or the first harm that ended the run.
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

/// What a result comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Judgement {
    /// No harm was counted.
    Clean,
    /// Harm, all of it of the kinds that the profile is known to do.
    AsExpected,
    /// Harm that the profile must not do, a task that was stuck, or a wakeup that was lost.
    Unexpected,
}

impl Judgement {
    /// All of them, the best first.
    pub const ALL: [Judgement; 3] = [Judgement::Clean, Judgement::AsExpected, Judgement::Unexpected];

    /// The words in tables and pages.
    pub const fn words(self) -> &'static str {
        match self {
            Judgement::Clean => "clean",
            Judgement::AsExpected => "harm, as expected of this profile",
            Judgement::Unexpected => "harm nobody expects",
        }
    }
}

impl HarmRecord {
    /// Whether it is a claim that was made about blocked_on (docs/kernel.md, section 1), and no harm in itself.
    pub fn is_claim(&self) -> bool {
        self.id.starts_with('C')
    }
}

impl ProtocolResult {
    /// What it comes to. A claim that does not hold in a profile which is known to break it is no harm; one that is broken elsewhere is.
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

    /// Wakeups that were issued and did not end as one does: dropped by a mutant, or nobody knows where.
    pub fn lost_wakeups(&self) -> u64 {
        self.wakes.dropped.saturating_add(self.wakes.unaccounted)
    }

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

    /// A result of a profile with these harms.
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
        assert_eq!((&result.profile, result.reconstruction), (&text("draft"), true));
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
        // At 2 GHz 1000 ticks are 500 ns; three digits are kept.
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
                let wanted = match (harm.expected(profile), claim) {
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
        use Harm::{C4, C5, H1, H4, H5, H6, H8};
        let known: [(Profile, &[Harm]); 4] = [
            (Profile::V71, &[H5, H8]),
            (Profile::Draft, &[H1, H4, H5, H6, H8, C5]),
            (Profile::DraftChecked, &[H1, H5, H8, C5]),
            (Profile::V72, &[C4, C5]),
        ];
        for (profile, harms) in known {
            let expected: Vec<Harm> = Harm::ALL.into_iter().filter(|harm| harm.expected(profile)).collect();
            assert_eq!(expected, harms, "{profile}");
        }
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
