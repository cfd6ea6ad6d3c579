//! What a count comes to: findings, and the controls that a zero rests on.

use std::collections::HashSet;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{ScenarioResult, Sensitivity};
use crate::arch::Arch;
use crate::catalogue;
use crate::litmus::Verdict;

/// What a result comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum Finding {
    /// Seen, and allowed.
    #[serde(rename = "observed")]
    Observed,
    /// Not seen, on CPUs where a control shows that it could have been.
    #[serde(rename = "not observed")]
    NotObserved,
    /// Seen, and forbidden.
    #[serde(rename = "forbidden observed")]
    ForbiddenObserved,
    /// Not seen, but no control was either: nothing is known.
    #[serde(rename = "inconclusive")]
    Inconclusive,
}

impl Finding {
    /// Judges a count. `expected` is the declared verdict; `control_fired` whether a control was seen on these CPUs.
    pub fn judge(races: u64, iterations: u64, expected: Option<Verdict>, control_fired: bool) -> Finding {
        match expected {
            Some(Verdict::Never) if races > 0 => Finding::ForbiddenObserved,
            Some(Verdict::Always) if races < iterations => Finding::ForbiddenObserved,
            _ if races > 0 => Finding::Observed,
            _ if control_fired => Finding::NotObserved,
            _ => Finding::Inconclusive,
        }
    }

    /// The words in records and tables.
    pub const fn words(self) -> &'static str {
        match self {
            Finding::Observed => "observed",
            Finding::NotObserved => "not observed",
            Finding::ForbiddenObserved => "forbidden observed",
            Finding::Inconclusive => "inconclusive",
        }
    }
}

/// Judges every result by the controls that fired on the same CPUs.
///
/// A control counts for a placement if all CPUs of one of the two are among those of the other: a control of two
/// threads speaks for a test of three that includes its CPUs.
pub fn judge(results: &mut [ScenarioResult], arch: Arch) {
    let fired: Vec<(String, f64, HashSet<usize>)> = results
        .iter()
        .filter(|result| result.races > 0 && is_control(result, arch))
        .map(|result| {
            (result.scenario.clone(), result.rate.unwrap_or(0.0), result.placement.cpus.iter().copied().collect())
        })
        .collect();
    for result in results {
        let cpus: HashSet<usize> = result.placement.cpus.iter().copied().collect();
        let near = || fired.iter().filter(|(.., others)| cpus.is_subset(others) || others.is_subset(&cpus));
        let mut names: Vec<String> = near().map(|(name, ..)| name.clone()).collect();
        names.sort();
        names.dedup();
        result.controls_fired = names;
        let best = near().max_by(|a, b| a.1.total_cmp(&b.1)).filter(|_| result.races == 0);
        result.sensitivity = best.zip(result.interval).map(|((control, rate, _), interval)| Sensitivity {
            control: control.clone(),
            rate: *rate,
            bound: interval.high / rate,
        });
        result.finding =
            Finding::judge(result.races, result.iterations, result.expected, !result.controls_fired.is_empty());
    }
}

/// Whether a result is that of a control: one of the catalogue's, by the hash of its source.
fn is_control(result: &ScenarioResult, arch: Arch) -> bool {
    catalogue::named(&result.scenario)
        .is_ok_and(|scenario| scenario.sha256 == result.source_sha256 && scenario.is_control(arch))
}

#[cfg(test)]
mod tests {
    use super::*;

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
    }
}
