//! Turns counts into findings, and decides which controls a zero rests on.

use std::collections::{BTreeSet, HashSet};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::evidence::{Evidence, LEAST_MATCHES, matches_needed};
use super::{ScenarioResult, Sensitivity};
use crate::litmus::Verdict;
use crate::model::Reordering;
use crate::stats::share;

/// The finding of a result.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum Finding {
    /// The race was seen, and it is not forbidden.
    #[serde(rename = "observed")]
    Observed,
    /// The race was not seen. On the same CPUs a control showed a reordering of the kind that the race needs.
    #[serde(rename = "not observed")]
    NotObserved,
    /// The race was seen although the architecture forbids it, or was missing although the architecture
    /// requires it.
    #[serde(rename = "forbidden observed")]
    ForbiddenObserved,
    /// The race was not seen, and nothing follows: no control of the same kind fired, or there were too few
    /// matches.
    #[serde(rename = "inconclusive")]
    Inconclusive,
}

impl Finding {
    /// The finding for a count. `expected` is the verdict that the model computed or the test declares.
    /// `zero_counts` says whether a zero is conclusive ([`ScenarioResult::zero_counts`]).
    pub fn judge(races: u64, iterations: u64, expected: Option<Verdict>, zero_counts: bool) -> Finding {
        match expected {
            Some(Verdict::Never) if races > 0 => Finding::ForbiddenObserved,
            Some(Verdict::Always) if races < iterations => Finding::ForbiddenObserved,
            _ if races > 0 => Finding::Observed,
            // If no instance passes the filter, there are no iterations and nothing to judge.
            _ if zero_counts && iterations > 0 => Finding::NotObserved,
            _ => Finding::Inconclusive,
        }
    }

    /// The finding as text, in records and tables.
    pub const fn words(self) -> &'static str {
        match self {
            Finding::Observed => "observed",
            Finding::NotObserved => "not observed",
            Finding::ForbiddenObserved => "forbidden observed",
            Finding::Inconclusive => "inconclusive",
        }
    }
}

/// A control that fired.
struct Fired {
    name: String,
    cpus: Vec<usize>,
    /// The reorderings that are each sufficient for the control. It showed one of them.
    shows: BTreeSet<Reordering>,
    /// Races per iteration.
    rate: f64,
    /// Races per match at the skews where its threads met; per iteration, if it declares no Match event.
    per_match: f64,
}

impl Fired {
    fn new(result: &ScenarioResult) -> Fired {
        let (looked, races) = result.looked();
        let rate = result.rate.unwrap_or(0.0);
        Fired {
            name: result.scenario.clone(),
            cpus: result.placement.cpus.clone(),
            shows: result.evidence.as_ref().map(Evidence::alone).unwrap_or_default(),
            rate,
            per_match: share(races, looked).filter(|rate| *rate > 0.0).unwrap_or(rate),
        }
    }
}

/// Sets the finding of every result, by the controls that fired on the same CPUs.
///
/// A control applies to a placement of the same number of threads if it ran on the same CPUs. Controls of two
/// threads apply to a placement of more threads if they ran on pairs of its CPUs, and together on all of
/// them. Threads that share a CPU cannot see reordering of each other, so for such a placement only a control
/// on the same placement applies. [`Evidence`] says which controls are of the kind that a zero needs, and how
/// many matches it needs.
///
/// Results without [`Evidence`] are from versions with weaker rules and keep the findings of these: any
/// control applies whose CPUs are a subset of the result's CPUs, or the other way round.
pub fn judge(results: &mut [ScenarioResult]) {
    let fired: Vec<Fired> =
        results.iter().filter(|result| result.races > 0 && result.is_control).map(Fired::new).collect();
    for result in results {
        let cpus = result.placement.cpus.clone();
        let best = match &mut result.evidence {
            None => {
                let own: HashSet<usize> = cpus.iter().copied().collect();
                let near = fired.iter().filter(|control| {
                    let others: HashSet<usize> = control.cpus.iter().copied().collect();
                    own.is_subset(&others) || others.is_subset(&own)
                });
                let near: Vec<&Fired> = near.collect();
                result.controls_fired = names(&near);
                best_of(&near)
            }
            Some(_) => {
                let near: Vec<&Fired> = fired.iter().filter(|control| ran_within(&control.cpus, &cpus)).collect();
                result.controls_fired = names(&near);
                let looked = result.looked().0;
                let evidence = result.evidence.as_mut().expect("just looked at");
                weigh(evidence, &near, &cpus, looked)
            }
        };
        result.sensitivity = best.filter(|_| result.races == 0).zip(result.interval).map(|(control, interval)| {
            Sensitivity { control: control.name.clone(), rate: control.rate, bound: interval.high / control.rate }
        });
        let (iterations, races) = result.seen();
        result.finding = Finding::judge(races, iterations, result.expected, result.zero_counts());
    }
}

impl ScenarioResult {
    /// The control of its `sensitivity`, and how many times rarer than it the race is at least: the lower end of the control's interval
    /// by the upper end of its own. `results` are those of the record. `None` without a control that raced at a distance of this result, or
    /// if the two ends say nothing.
    pub fn times_rarer(&self, results: &[ScenarioResult]) -> Option<(&str, f64)> {
        let sensitivity = self.sensitivity.as_ref()?;
        let cpus = &self.placement.cpus;
        let here = |control: &&ScenarioResult| {
            control.scenario == sensitivity.control
                && ran_within(&control.placement.cpus, cpus)
                && self.is_where_it_raced(control)
        };
        let off = |control: &ScenarioResult| (control.rate.unwrap_or(0.0) - sensitivity.rate).abs();
        let control = results.iter().filter(here).min_by(|a, b| off(a).total_cmp(&off(b)))?;
        // In a sum the control of one part may have raced less often than all of them together.
        let low = control.stated_interval()?.low.min(sensitivity.rate);
        Some((sensitivity.control.as_str(), low / self.stated_interval()?.high)).filter(|(_, times)| *times >= 1.0)
    }
}

/// Sets the finding of a result by the controls that it names. This is for sums, which do not contain all
/// results of their parts' controls.
pub(super) fn settle(result: &mut ScenarioResult) {
    result.sensitivity.take_if(|_| result.races > 0);
    let high = result.interval.map_or(1.0, |interval| interval.high);
    if let Some(sensitivity) = &mut result.sensitivity {
        sensitivity.bound = high / sensitivity.rate;
    }
    let (iterations, races) = result.seen();
    result.finding = Finding::judge(races, iterations, result.expected, result.zero_counts());
}

/// Fills in the evidence for a zero on `cpus`, from the controls that fired there. Returns the control with
/// the highest rate among those that the zero rests on.
fn weigh<'a>(evidence: &mut Evidence, near: &[&'a Fired], cpus: &[usize], looked: u64) -> Option<&'a Fired> {
    // A kind of reordering was seen here if the controls that show it ran, together, on all of the CPUs.
    let seen = |kind: &Reordering| covers(near.iter().filter(|control| control.shows.contains(kind)), cpus);
    let seen: BTreeSet<Reordering> = Reordering::ALL.into_iter().filter(seen).collect();
    let needed: Vec<BTreeSet<Reordering>> = evidence.sets().into_iter().filter(|set| set.is_subset(&seen)).collect();
    // A race that needs no reordering only needs threads that meet. Any control shows that they do.
    let any = needed.iter().any(BTreeSet::is_empty) && covers(near.iter(), cpus);
    let of_the_kind = |control: &&&Fired| any || needed.iter().any(|set| !set.is_disjoint(&control.shows));
    let controls: Vec<&Fired> = near.iter().filter(of_the_kind).copied().collect();
    let best = controls.iter().copied().max_by(|a, b| a.per_match.total_cmp(&b.per_match));
    evidence.seen = seen.into_iter().collect();
    evidence.controls = names(&controls);
    evidence.looked = looked;
    evidence.needed = best.map_or(LEAST_MATCHES, |control| matches_needed(control.per_match));
    best_of(&controls)
}

/// The control with the highest rate.
fn best_of<'a>(controls: &[&'a Fired]) -> Option<&'a Fired> {
    controls.iter().copied().max_by(|a, b| a.rate.total_cmp(&b.rate))
}

/// The names of controls, sorted and without duplicates.
fn names(controls: &[&Fired]) -> Vec<String> {
    let names: BTreeSet<&String> = controls.iter().map(|control| &control.name).collect();
    names.into_iter().cloned().collect()
}

/// Whether a control that ran on the CPUs `control` applies to threads on `cpus`, or to a pair of them.
fn ran_within(control: &[usize], cpus: &[usize]) -> bool {
    let distinct = |cpus: &[usize]| cpus.iter().collect::<HashSet<_>>().len() == cpus.len();
    if !distinct(control) || !distinct(cpus) {
        return control == cpus;
    }
    control.len() >= cpus.len().min(2) && control.iter().all(|cpu| cpus.contains(cpu))
}

/// Whether controls that each ran on some of `cpus` ran, together, on all of them.
fn covers<'a>(controls: impl Iterator<Item = &'a &'a Fired>, cpus: &[usize]) -> bool {
    let ran: HashSet<usize> = controls.flat_map(|control| control.cpus.iter().copied()).collect();
    !ran.is_empty() && cpus.iter().all(|cpu| ran.contains(cpu))
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::arch::Arch;
    use crate::catalogue;
    use crate::model::{self, Bounds};
    use crate::record::Gaps;
    use crate::stats::interval;

    /// The architecture of the results.
    fn x86() -> Arch {
        "x86_64".parse().unwrap()
    }

    #[test]
    fn a_control_that_is_named_was_not_added() {
        let mut record = crate::record::shipped("2026-11-26T093808Z");
        let added =
            |record: &crate::record::Record| ["SB", "S01-core+nt", "S05-swapped"].map(|name| record.added(name));
        assert_eq!(added(&record), [true, true, false]);
        record.command = ["wakerace", "run", "S01", "SB", "-d", "1s"].map(str::to_owned).to_vec();
        assert_eq!(added(&record), [false, false, false]);
        record.host.architecture = "sparc".to_owned();
        record.command.clear();
        assert_eq!(added(&record), [false; 3]);
    }

    #[test]
    fn a_race_is_rarer_by_the_ends_of_both_intervals() {
        let record = crate::record::shipped("2026-11-26T093808Z");
        let mut results = record.results;
        let zero = results.iter().find(|result| result.sensitivity.is_some()).unwrap().clone();
        let name = zero.sensitivity.as_ref().unwrap().control.clone();
        let times = |results: &[ScenarioResult]| zero.times_rarer(results).map(|(_, times)| times);
        results.retain(|result| result.scenario == name);
        let own = zero.interval.unwrap().high;
        results[0].interval = interval(500, 1000);
        let low = results[0].interval.unwrap().low.min(zero.sensitivity.as_ref().unwrap().rate);
        assert_eq!(times(&results), Some(low / own));
        results[0].interval.as_mut().unwrap().low = own / 2.0;
        assert_eq!((times(&results), times(&[])), (None, None));
        // Only the control on these CPUs counts.
        let mut elsewhere = results[0].clone();
        elsewhere.interval = interval(999, 1000);
        elsewhere.placement.cpus = vec![77, 78];
        results[0].interval = interval(500, 1000);
        results.push(elsewhere);
        assert_eq!(times(&results), Some(low / own));
        assert_eq!(times(&results[1..]), None);
        // A zero that ended its run has the bound that allows for that.
        let wider = zero.interval.map(|own| crate::stats::Interval { high: 2.0 * own.high, ..own });
        let ended = ScenarioResult { sequence: wider, ..zero.clone() };
        assert_eq!(ended.times_rarer(&results).map(|(_, times)| times), Some(low / (2.0 * own)));
        let without = ScenarioResult { sensitivity: None, ..zero.clone() };
        assert_eq!(without.times_rarer(&results), None);
    }

    #[test]
    fn findings_follow_counts_expectations_and_controls() {
        use Finding::{ForbiddenObserved, Inconclusive, NotObserved, Observed};
        use Verdict::{Always, Never, Sometimes};
        let cases = [
            (0, Some(Never), true, NotObserved),
            (0, Some(Never), false, Inconclusive),
            (1, Some(Never), false, ForbiddenObserved),
            (0, Some(Sometimes), true, NotObserved),
            (0, Some(Sometimes), false, Inconclusive),
            (1, Some(Sometimes), false, Observed),
            (9, Some(Always), true, ForbiddenObserved),
            (10, Some(Always), true, Observed),
            (1, None, false, Observed),
            (0, None, true, NotObserved),
        ];
        for (races, expected, control, finding) in cases {
            assert_eq!(Finding::judge(races, 10, expected, control), finding, "{races} {expected:?} {control}");
        }
        for expected in [Some(Never), Some(Sometimes), Some(Always), None] {
            assert_eq!(Finding::judge(0, 0, expected, true), Inconclusive, "without iterations, {expected:?}");
        }
    }

    /// A result of a scenario of the catalogue on these CPUs. At one skew the threads met, at another they
    /// did not.
    pub(in super::super) fn result(name: &str, cpus: &[usize], looked: u64, races: u64) -> ScenarioResult {
        let scenario = catalogue::named(name).unwrap();
        let needs = model::reordering::needs(&model::machine::accesses(&scenario.program), Bounds::default()).unwrap();
        let (other, apart) = (2 * looked - races, 100_000);
        let iterations = 2 * looked + apart;
        let matches = scenario.test.header.match_event.as_ref().map(|_| looked + apart);
        let skew = |iterations, matches: Option<u64>, races, outcomes: [u64; 3]| serde_json::json!({"skew_ns": 0.0, "iterations": iterations, "matches": matches, "races": races, "outcomes": outcomes});
        // Where the threads met, the instances without a race have two outcomes, so that no outcome has all
        // of them.
        let halves = [races, other / 2, other - other / 2];
        let near = skew(2 * looked, matches.map(|_| looked), races, halves);
        let far = skew(apart, matches.map(|_| apart), 0, [0, apart, 0]);
        let outcome = |value: i64, count: u64| serde_json::json!({"values": {"r0": value}, "count": count, "satisfies": value == 0});
        let mut result: ScenarioResult = serde_json::from_value(serde_json::json!({
            "scenario": name, "group": scenario.group, "is_control": catalogue::is_control(name, &scenario.sha256, x86()),
            "source_sha256": *scenario.sha256, "code_sha256": "", "condition": "",
            "match_event": matches.map(|_| "m"), "placement": {"cpus": cpus, "class": "core"},
            "pace": {"mode": "paced", "chosen": "auto", "period_ticks": null, "period_ns": null, "late": null},
            "layout": {"kind": "padded", "line_bytes": 64, "stride_bytes": 64}, "batch": 1, "seed": 1, "atomics": null,
            "iterations": iterations, "elapsed_s": 1.0, "in_batches_s": 1.0, "iterations_per_s": 1.0,
            "outcomes": [outcome(0, races), outcome(1, halves[1] + apart), outcome(2, halves[2])],
            "matches": matches, "races": races, "rate": share(races, iterations), "interval": interval(races, iterations),
            "rate_per_match": null, "interval_per_match": null, "skews": [near, far],
            "gaps": serde_json::to_value(Gaps::new(&crate::harness::gap_histogram())).unwrap(),
            "expected": "Sometimes", "lkmm": null, "controls_fired": [], "finding": "inconclusive"
        }))
        .unwrap();
        let sets = needs.iter().map(|set| set.iter().copied().collect()).collect();
        result.evidence = Some(Evidence { needs: Some(sets), ..Evidence::default() });
        result
    }

    /// The last of the results, after all were judged together.
    fn judged(results: &[ScenarioResult]) -> ScenarioResult {
        let mut results = results.to_vec();
        judge(&mut results);
        results.pop().unwrap()
    }

    fn says(result: &ScenarioResult) -> (Finding, Vec<&str>, Vec<&str>) {
        let evidence = result.evidence.as_ref().unwrap();
        (
            result.finding,
            result.controls_fired.iter().map(String::as_str).collect(),
            evidence.controls.iter().map(String::as_str).collect(),
        )
    }

    const MANY: u64 = 100_000;

    #[test]
    fn a_zero_rests_on_a_control_of_its_own_kind() {
        use Finding::{Inconclusive, NotObserved};
        let [sb, nt] = ["SB", "S01-core+nt"].map(|name| result(name, &[0, 1], MANY, 900));
        let race = result("S01-as-is", &[0, 1], MANY, 0);
        let guard = result("S08-lost-wakeup", &[0, 1], MANY, 0);
        // Store buffering says nothing about the order of two stores.
        assert_eq!(says(&judged(&[sb.clone(), race.clone()])), (Inconclusive, vec!["SB"], vec![]));
        assert_eq!(judged(&[sb.clone(), race.clone()]).evidence.unwrap().seen, [Reordering::StoreLoad]);
        assert_eq!(judged(&[sb.clone(), race.clone()]).sensitivity, None);
        assert_eq!(says(&judged(&[nt.clone(), race.clone()])), (NotObserved, vec!["S01-core+nt"], vec!["S01-core+nt"]));
        let both = judged(&[sb.clone(), nt.clone(), race.clone()]);
        assert_eq!(says(&both), (NotObserved, vec!["S01-core+nt", "SB"], vec!["S01-core+nt"]));
        // The reverse: a control of two stores says nothing about store buffering.
        assert_eq!(says(&judged(&[nt.clone(), guard.clone()])), (Inconclusive, vec!["S01-core+nt"], vec![]));
        assert_eq!(says(&judged(&[sb.clone(), guard])), (NotObserved, vec!["SB"], vec!["SB"]));
        // A race that needs no reordering needs threads that meet. No control of x86-64 shows load-store
        // reordering.
        assert_eq!(
            says(&judged(&[sb.clone(), result("S13b-bail-out", &[0, 1], MANY, 0)])),
            (NotObserved, vec!["SB"], vec!["SB"])
        );
        let mut load_store = race.clone();
        load_store.evidence.as_mut().unwrap().needs = Some(vec![vec![Reordering::LoadStore]]);
        assert_eq!(judged(&[sb.clone(), nt.clone(), load_store]).finding, Inconclusive);
        // A test that is too large for the derivation needs controls of both kinds.
        let mut large = race;
        large.evidence.as_mut().unwrap().needs = None;
        assert_eq!(judged(&[nt.clone(), large.clone()]).finding, Inconclusive);
        assert_eq!(judged(&[sb.clone(), large.clone()]).finding, Inconclusive);
        assert_eq!(
            says(&judged(&[sb, nt, large])),
            (NotObserved, vec!["S01-core+nt", "SB"], vec!["S01-core+nt", "SB"])
        );
    }

    #[test]
    fn a_control_fires_by_racing_and_only_one_of_the_catalogue_is_a_control() {
        let race = result("S01-as-is", &[0, 1], MANY, 0);
        let silent = result("S01-core+nt", &[0, 1], MANY, 0);
        assert_eq!(says(&judged(&[silent, race.clone()])), (Finding::Inconclusive, vec![], vec![]));
        // A test with the name of a control and another source is none.
        let other = result("S01-core+nt", &[0, 1], MANY, 900);
        assert!(!catalogue::is_control(&other.scenario, &"0".repeat(64), x86()));
        let other = ScenarioResult { is_control: false, ..other };
        assert_eq!(says(&judged(&[other, race.clone()])), (Finding::Inconclusive, vec![], vec![]));
        // The same shape, but this test is not declared as a control on x86-64.
        let whole = result("S01-as-is+nt", &[0, 1], MANY, 900);
        assert_eq!(says(&judged(&[whole, race])), (Finding::Inconclusive, vec![], vec![]));
    }

    #[test]
    fn a_control_speaks_for_its_own_cpus() {
        use Finding::{Inconclusive, NotObserved};
        let nt = |cpus: &[usize]| result("S01-core+nt", cpus, MANY, 900);
        let finding = |controls: &[ScenarioResult], name: &str, cpus: &[usize]| {
            let mut all = controls.to_vec();
            all.push(result(name, cpus, MANY, 0));
            judged(&all).finding
        };
        assert_eq!(finding(&[nt(&[0, 1])], "S01-as-is", &[1, 0]), NotObserved);
        for cpus in [[0, 2], [2, 3]] {
            assert_eq!(finding(&[nt(&[0, 1])], "S01-as-is", &cpus), Inconclusive, "{cpus:?}");
        }
        // Three threads need controls on pairs of their CPUs, and together on all of them.
        assert_eq!(finding(&[nt(&[0, 1])], "S14-third-cpu", &[0, 1, 2]), Inconclusive);
        assert_eq!(finding(&[nt(&[0, 1]), nt(&[1, 2])], "S14-third-cpu", &[0, 1, 2]), NotObserved);
        assert_eq!(finding(&[nt(&[0, 1]), nt(&[2, 3])], "S14-third-cpu", &[0, 1, 2]), Inconclusive);
        // The controls must be of the same kind on all of the CPUs.
        let sb = result("SB", &[0, 2], MANY, 900);
        assert_eq!(finding(&[nt(&[0, 1]), sb], "S14-third-cpu", &[0, 1, 2]), Inconclusive);
        // Threads that share a CPU cannot see reordering of each other.
        assert_eq!(finding(&[nt(&[0, 1])], "S14-third-cpu", &[0, 1, 0]), Inconclusive);
        assert_eq!(finding(&[nt(&[0, 1])], "S01-as-is", &[0, 0]), Inconclusive);
        assert_eq!(finding(&[nt(&[0, 0])], "S01-as-is", &[0, 1]), Inconclusive);
        assert_eq!(finding(&[nt(&[0, 0])], "S01-as-is", &[0, 0]), NotObserved);
        assert_eq!(finding(&[nt(&[0, 1])], "S01-as-is", &[0]), Inconclusive);
    }

    #[test]
    fn a_zero_takes_as_many_matches_as_would_show_the_best_control_s_rate() {
        use Finding::{Inconclusive, NotObserved};
        let of = |control: (u64, u64), looked: u64| {
            let nt = result("S01-core+nt", &[0, 1], control.0, control.1);
            judged(&[nt, result("S01-as-is", &[0, 1], looked, 0)])
        };
        // Every second match of the control raced, so the minimum of 1000 matches applies.
        assert_eq!((of((1000, 500), 1).finding, of((1000, 500), 999).finding), (Inconclusive, Inconclusive));
        assert_eq!(of((1000, 500), 1000).finding, NotObserved);
        // One match in 10,000 raced, so about 30,000 matches are needed at skews where the threads met.
        let few = of((1_000_000, 100), 29_955);
        let evidence = few.evidence.as_ref().unwrap();
        assert_eq!((few.finding, evidence.looked, evidence.needed), (Inconclusive, 29_955, 29_956));
        assert_eq!(of((1_000_000, 100), 29_956).finding, NotObserved);
        // Of several controls the best one counts.
        let [rare, frequent] =
            [("MP+nt", 100), ("S01-core+nt", 1000)].map(|(name, races)| result(name, &[0, 1], 1_000_000, races));
        for controls in [[rare.clone(), frequent.clone()], [frequent, rare]] {
            let mut all = controls.to_vec();
            all.push(result("S01-as-is", &[0, 1], 5000, 0));
            let zero = judged(&all);
            assert_eq!((zero.finding, zero.evidence.unwrap().needed), (NotObserved, 2995));
            let sensitivity = zero.sensitivity.unwrap();
            assert_eq!(sensitivity.control, "S01-core+nt");
            assert_eq!(sensitivity.rate, 1000.0 / 2_100_000.0);
            // The bound is relative to the rate of the control. A small bound means a sensitive run.
            let bound = interval(0, 110_000).unwrap().high / sensitivity.rate;
            assert!((sensitivity.bound - bound).abs() < 1e-12, "{sensitivity:?}");
        }
    }

    #[test]
    fn a_skew_counts_where_the_threads_met() {
        let all = result("S01-as-is", &[0, 1], 5000, 0);
        assert_eq!(all.looked(), (5000, 0));
        // Without a Match event, iterations count.
        assert_eq!(result("SB", &[0, 1], 5000, 70).looked(), (10_000, 70));
        // The threads met if at most 99 % of the instances have one outcome, or if the race has all of them.
        let mut edge = all.clone();
        edge.skews[0].outcomes = vec![0, 9900, 100];
        assert_eq!(edge.looked().0, 5000);
        edge.skews[0].outcomes = vec![0, 9901, 99];
        assert_eq!(edge.looked().0, 0);
        edge.skews[0].outcomes = vec![10_000, 0, 0];
        assert_eq!(edge.looked().0, 5000);
    }

    #[test]
    fn results_of_earlier_versions_are_judged_as_they_were() {
        let mut sb = result("SB", &[0, 1], MANY, 900);
        let mut race = result("S01-as-is", &[0, 1, 2], 1, 0);
        (sb.evidence, race.evidence) = (None, None);
        let judged = judged(&[sb, race]);
        assert_eq!((judged.finding, judged.evidence), (Finding::NotObserved, None));
    }
}
