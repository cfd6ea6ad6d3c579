//! Explains in words why a zero is inconclusive, and which controls a conclusive zero rests on.

use super::numbers::{count, rate};
use crate::machine::in_order;
use crate::model::Reordering;
use crate::record::{Evidence, Finding, Record, ScenarioResult};

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

/// Why a zero is inconclusive, as a clause that follows a colon. `None` for other findings.
pub(super) fn doubt(result: &ScenarioResult) -> Option<String> {
    if result.finding != Finding::Inconclusive {
        return None;
    }
    let evidence = result.evidence.as_ref();
    Some(match evidence {
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
            format!(
                "too few {what} at skews where the threads ran at the same time: {} of the {} that are needed",
                count(evidence.looked),
                count(evidence.needed)
            )
        }
        None => "no control fired".to_owned(),
    })
}

/// Controls with their highest rates on the CPUs of a result, such as `SB 88.2 %`.
pub(super) fn with_rates(record: &Record, result: &ScenarioResult, controls: &[String]) -> Vec<String> {
    let here = |other: &&ScenarioResult| other.placement.cpus.iter().all(|cpu| result.placement.cpus.contains(cpu));
    let best = |name: &String| {
        let rates = record.results.iter().filter(|other| &other.scenario == name).filter(here);
        rates.filter_map(|other| other.rate).fold(0.0, f64::max)
    };
    controls.iter().map(|name| format!("{name} {}", rate(best(name)))).collect()
}

/// The controls that a result's zero rests on. In records of earlier versions these are all that fired.
pub(super) fn rests_on(result: &ScenarioResult) -> &[String] {
    result.evidence.as_ref().map_or(&result.controls_fired, |evidence| &evidence.controls)
}

/// The placement of a result, such as `CPUs 0,1 (core)`.
pub(super) fn place(result: &ScenarioResult) -> String {
    format!("CPUs {} ({})", in_order(&result.placement.cpus), result.placement.class_and_kinds())
}

#[cfg(test)]
mod tests {
    use super::*;

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
