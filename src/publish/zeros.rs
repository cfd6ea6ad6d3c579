//! Explains in words why a zero is inconclusive, and which controls a conclusive zero rests on.

use std::collections::BTreeSet;

use super::distances::distance;
use super::numbers::{count, first_few, listed, rate};
use crate::machine::in_order;
use crate::model::Reordering;
use crate::record::{Evidence, Finding, Record, ScenarioResult, Warning};
use crate::stats::apart;

/// More tests than this are not all named in a sentence.
pub(super) const NAMED: usize = 6;

/// The mark of a zero that is inconclusive, behind its bound.
pub(super) const DOUBT: &str = " ?";

/// The name of the only kinds of reordering that were seen: `store buffering`, `store-store or load-load
/// reordering`.
fn seen(kinds: &[Reordering]) -> String {
    match kinds {
        [Reordering::StoreLoad] => "store buffering".to_owned(),
        kinds => format!("{} reordering", joined(kinds)),
    }
}

fn joined(kinds: &[Reordering]) -> String {
    kinds.iter().map(|kind| kind.name()).collect::<Vec<_>>().join(" or ")
}

/// Which reorderings the race needs: `the race needs store-store or load-load reordering`.
pub(super) fn needs(evidence: &Evidence) -> String {
    let Some(sets) = &evidence.needs else {
        return "the test is too large to derive what the race needs, so controls for message passing and store buffering \
         must both fire"
            .to_owned();
    };
    let one = |set: &Vec<Reordering>| set.iter().map(|kind| kind.name()).collect::<Vec<_>>().join(" and ");
    format!("the race needs {} reordering", sets.iter().map(one).collect::<Vec<_>>().join(" or "))
}

/// Why a zero is inconclusive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Doubt {
    /// The reason, as a clause that follows a colon. It is the same for all results of its kind.
    pub(super) why: String,
    /// How much there is and how much is needed, if that is the reason.
    pub(super) how_much: Option<(u64, u64)>,
}

impl Doubt {
    /// `522 of 1,000 needed`
    pub(super) fn share(&self) -> Option<String> {
        self.how_much.map(|(there, needed)| format!("{} of {} needed", count(there), count(needed)))
    }
}

/// Why a zero is inconclusive, as a clause that follows a colon. `None` for other findings.
pub(super) fn doubt(result: &ScenarioResult) -> Option<String> {
    let Doubt { why, how_much } = doubt_of(result)?;
    Some(match how_much {
        Some((there, needed)) => format!("{why}: {} of the {} that are needed", count(there), count(needed)),
        None => why,
    })
}

/// Why a zero is inconclusive. `None` for other findings.
pub(super) fn doubt_of(result: &ScenarioResult) -> Option<Doubt> {
    if result.finding != Finding::Inconclusive {
        return None;
    }
    let evidence = result.evidence.as_ref();
    let mut how_much = None;
    let why = match evidence {
        _ if result.iterations == 0 => "there were no iterations".to_owned(),
        _ if result.controls_fired.is_empty() => "no control fired".to_owned(),
        Some(evidence) if evidence.seen.is_empty() => {
            format!("controls fired on some of these CPUs only ({})", result.controls_fired.join(", "))
        }
        Some(evidence) if evidence.controls.is_empty() => {
            format!("only {} was seen here, and {}", seen(&evidence.seen), needs(evidence))
        }
        Some(evidence) => {
            let what = if result.match_event.is_some() { "matches" } else { "iterations" };
            how_much = Some((evidence.looked, evidence.needed));
            format!("too few {what} at skews where the threads ran at the same time")
        }
        None => "no control fired".to_owned(),
    };
    Some(Doubt { why, how_much })
}

/// What to do about zeros for which there was too little.
pub(super) const TOO_LITTLE: &str = "A longer run (-d) gives more.";

/// Whether a control ran on CPUs of a result, and on no others.
pub(super) fn is_on_cpus_of(control: &ScenarioResult, result: &ScenarioResult) -> bool {
    control.placement.cpus.iter().all(|cpu| result.placement.cpus.contains(cpu))
}

/// Controls with their highest rates on the CPUs of a result, such as `SB 88.2 %`.
pub(super) fn with_rates(record: &Record, result: &ScenarioResult, controls: &[String]) -> Vec<String> {
    let best = |name: &String| {
        let of_name = record.results.iter().filter(|other| &other.scenario == name);
        let rates = of_name.filter(|other| is_on_cpus_of(other, result));
        rates.filter_map(|other| other.rate).fold(0.0, f64::max)
    };
    controls.iter().map(|name| format!("{name} {}", rate(best(name)))).collect()
}

/// Which of some results have the machine code of the race, so that their bounds differ in how long they ran only; `None` if none has.
pub(super) fn same_code<'a>(
    race: &ScenarioResult,
    results: impl Iterator<Item = &'a ScenarioResult>,
    architecture: &str,
) -> Option<String> {
    let alike = |other: &&ScenarioResult| other.scenario != race.scenario && other.codes() == race.codes();
    let mut names: Vec<&str> = results.filter(alike).map(|result| result.scenario.as_str()).collect();
    names.dedup();
    let are = if names.len() == 1 { "is" } else { "are" };
    let all = listed(&names)?;
    Some(format!(
        "{all} {are} the same machine code as {} on {architecture}, so bounds of these differ only because the runs had different lengths.",
        race.scenario
    ))
}

/// Which of some zeros were measured where none of their controls raced, because the CPUs were at another distance; empty if none was.
pub(super) fn elsewhere(record: &Record, zeros: &[&ScenarioResult]) -> String {
    let controls = |zero: &ScenarioResult| {
        let raced = record.results.iter().filter(|control| control.races > 0 && is_on_cpus_of(control, zero));
        raced.filter(|control| rests_on(zero).contains(&control.scenario)).collect::<Vec<_>>()
    };
    let is_far = |zero: &&&ScenarioResult| {
        let controls = controls(zero);
        !controls.is_empty() && controls.iter().all(|control| !zero.is_where_it_raced(control))
    };
    let far: Vec<&ScenarioResult> = zeros.iter().filter(is_far).copied().collect();
    let Some(first) = far.first() else { return String::new() };
    let shown = |mut all: Vec<f64>| {
        all.sort_by(f64::total_cmp);
        all.dedup_by(|a, b| !apart(*a, *b));
        all.iter().map(|ns| distance(*ns)).collect::<Vec<_>>().join(" and ")
    };
    let names: Vec<&str> = far.iter().map(|zero| zero.scenario.as_str()).collect();
    let at = shown(far.iter().flat_map(|zero| zero.distances_of_iterations()).collect());
    let theirs = shown(controls(first).iter().flat_map(|control| control.distances_of_races()).collect());
    format!(
        " {} ran at {at} between the CPUs, where no control raced; the controls raced at {theirs}.",
        first_few(&names, NAMED)
    )
}

/// The controls that a result's zero rests on. In records of earlier versions these are all that fired.
pub(super) fn rests_on(result: &ScenarioResult) -> &[String] {
    result.evidence.as_ref().map_or(&result.controls_fired, |evidence| &evidence.controls)
}

/// What an upper bound assumes, if these runs show that it does not hold: `, taking iterations as independent (the rates that were
/// seen varied; up to 25 % of iterations discarded on a busy KVM guest)`. Empty if they show nothing of the kind.
pub(super) fn independence(records: &[&Record]) -> String {
    let results = || records.iter().flat_map(|record| &record.results);
    let has = |result: &&ScenarioResult, warning| result.warnings.contains(&warning);
    let mut why = Vec::new();
    if results().any(|result| result.races > 0 && has(&result, Warning::RateVaried)) {
        why.push("the rates that were seen varied".to_owned());
    }
    let discarded = results().filter(|result| has(result, Warning::Discarded));
    let most = discarded.map(ScenarioResult::discarded_share).fold(0.0, f64::max);
    if most > 0.0 {
        let machines: BTreeSet<Option<&String>> =
            records.iter().map(|record| record.host.virtualised.as_ref()).collect();
        let machine = match machines.first() {
            Some(Some(hypervisor)) if machines.len() == 1 => format!("{hypervisor} guest"),
            _ => "machine".to_owned(),
        };
        why.push(format!("up to {} of iterations discarded on a busy {machine}", rate(most)));
    }
    if why.is_empty() { String::new() } else { format!(", taking iterations as independent ({})", why.join("; ")) }
}

/// The placement of a result, such as `CPUs 0,1 (core)`.
pub(super) fn place(result: &ScenarioResult) -> String {
    format!("CPUs {} ({})", in_order(&result.placement.cpus), result.placement.class_and_kinds())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::shipped;

    #[test]
    fn zeros_at_another_distance_than_their_controls_say_so() {
        let mut record = crate::record::shipped("2026-11-26T093808Z");
        let at = |ns: f64, races: u64| {
            let value = serde_json::json!({
                "ns": ns, "low_ns": ns, "high_ns": ns, "looks": 9, "elapsed_s": 0.1, "in_batches_s": 0.1,
                "iterations": 500_000, "matches": null, "races": races
            });
            serde_json::from_value::<crate::record::StratumRecord>(value).unwrap()
        };
        let set = |record: &mut Record, name: &str, strata| {
            let result = record.results.iter_mut().find(|result| result.scenario == name).unwrap();
            result.distances = Some(crate::record::DistancesRecord { strata, ..Default::default() });
        };
        let told = |record: &Record| {
            let zeros: Vec<&ScenarioResult> = record.results.iter().filter(|result| result.races == 0).collect();
            let race = zeros.iter().find(|zero| zero.scenario == "S01-as-is").unwrap();
            (elsewhere(record, &zeros), race.times_rarer(&record.results).is_some())
        };
        assert_eq!(told(&record), (String::new(), true));
        set(&mut record, "S01-as-is", vec![at(223.0, 0)]);
        assert_eq!(told(&record), (String::new(), true), "the control measured no distance");
        // It has counts at both distances, and races at one.
        set(&mut record, "S01-core+nt", vec![at(36.0, 9), at(230.0, 0)]);
        set(&mut record, "S05-swapped", vec![at(36.0, 9)]);
        let (words, rarer) = told(&record);
        assert!(
            words.starts_with(
                " S01-as-is ran at 223 ns between the CPUs, where no control raced; the controls raced at 36 ns"
            ),
            "{words}"
        );
        assert!(!rarer, "a ratio of rates at two distances");
        assert!(crate::publish::table::summary(&record).contains(&words));
        set(&mut record, "S01-core+nt", vec![at(36.0, 9), at(230.0, 1)]);
        assert_eq!(told(&record), (String::new(), true));
    }

    #[test]
    fn a_bound_says_what_it_assumes_where_the_run_shows_otherwise() {
        let mut record = shipped("2026-11-26T093808Z");
        record.host.virtualised = Some("KVM".to_owned());
        for result in &mut record.results {
            result.warnings.clear();
            result.discarded = result.iterations / 3;
        }
        assert_eq!(independence(&[&record]), "");
        // A zero has no rate that could vary.
        let zero = record.results.iter().position(|result| result.races == 0).unwrap();
        record.results[zero].warnings = vec![Warning::RateVaried, Warning::RateDrifted];
        assert_eq!(independence(&[&record]), "");
        let varied = ", taking iterations as independent (the rates that were seen varied";
        let seen = record.results.iter().position(|result| result.races > 0).unwrap();
        record.results[seen].warnings = vec![Warning::RateVaried];
        assert_eq!(independence(&[&record]), format!("{varied})"));
        record.results[zero].warnings = vec![Warning::Discarded];
        let busy = format!("{varied}; up to 25.0 % of iterations discarded on a busy KVM guest)");
        assert_eq!(independence(&[&record]), busy);
        // It is in the same sentence as the bound, in the summary and in the first sentences of page and mail.
        let summary = crate::publish::table::summary(&record);
        assert!(summary.contains(&format!("below the given bound, with 95 % confidence{busy}. ")), "{summary}");
        let answer = crate::publish::page::answer_of(&record).join("\n").replace('\u{a0}', " ");
        assert!(
            answer
                .lines()
                .any(|line| line.contains(" less often than once in ") && line.ends_with(&format!("{busy}."))),
            "{answer}"
        );
        let mut other = record.clone();
        other.host.virtualised = None;
        assert!(independence(&[&record, &other]).ends_with("on a busy machine)"));
    }

    #[test]
    fn what_was_seen_and_what_is_needed_have_names() {
        assert_eq!(seen(&[Reordering::StoreLoad]), "store buffering");
        assert_eq!(seen(&[Reordering::StoreStore, Reordering::LoadLoad]), "store-store or load-load reordering");
        let needs = |sets: &[&[Reordering]]| {
            let sets = sets.iter().map(|set| set.to_vec()).collect();
            needs(&Evidence { needs: Some(sets), ..Evidence::default() })
        };
        assert_eq!(
            needs(&[&[Reordering::StoreStore], &[Reordering::LoadLoad, Reordering::StoreLoad]]),
            "the race needs store-store or load-load and store-load reordering"
        );
    }
}
