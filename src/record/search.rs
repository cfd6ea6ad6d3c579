//! The search over settings that preceded a result.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::harness::Prefetch;
use crate::search::{Arm, ArmPace, Measure};

/// The search over settings that preceded a result, or the sum of several. The result's counts are from after the search, so the
/// data that chose the settings do not tell their rate.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SearchRecord {
    /// The time of the search, in seconds. It is not in the result's `elapsed_s`.
    pub elapsed_s: f64,
    /// By what the settings were compared: `races` per second; the `variety` of outcomes per second; or, for `controls`, this
    /// variety times the races per second that other tests had with them on the same CPUs. In a sum that of the first part.
    pub measure: Measure,
    /// The distance between the CPUs for which the settings were chosen, in nanoseconds: the geometric mean of the looks there. Settings
    /// that are good there may not be at another distance. Absent in records from before the field, in sums of different searches, and if no look
    /// measured one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub distance_ns: Option<f64>,
    /// The index in `arms` of the settings that were chosen.
    pub chosen: usize,
    /// The settings that were tried, the default ones first.
    pub arms: Vec<ArmRecord>,
}

/// Settings that were tried.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ArmRecord {
    /// `free` or `paced`.
    pub pace: String,
    /// The layout, as in the result.
    pub layout: String,
    /// Instances per tick; 1 if free.
    pub group: usize,
    /// Whether the lines of a group were prefetched before its tick.
    pub prefetch: Prefetch,
    /// Instances per batch; absent if as many as fit the caches.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub batch: Option<usize>,
    /// The stress on the memory system, if any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stress: Option<String>,
    /// Paced: the period, in units of the shortest one that the threads kept. Absent if 1.
    #[serde(default = "super::one::<u32>", skip_serializing_if = "is_once")]
    pub stretch: u32,
    /// Number of turns at any distance, and of finals: measurements of the best arms at the end of a long search. 0 if the time was
    /// over before the first turn.
    pub turns: usize,
    /// Iterations in turns and finals.
    pub iterations: u64,
    /// Races among them.
    pub races: u64,
    /// Time of turns and finals, in seconds.
    pub elapsed_s: f64,
    /// The turns and finals at the distance for which the settings were chosen. Absent if all were, in sums, and in records from before the field.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at_distance: Option<TurnsRecord>,
    /// The mean period of the last turn or final at that distance, in nanoseconds; absent if free or without a turn there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub period_ns: Option<f64>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde gives a reference")]
fn is_once(stretch: &u32) -> bool {
    *stretch == 1
}

/// What some turns and finals have counted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct TurnsRecord {
    /// Number of turns and finals.
    pub turns: usize,
    /// Iterations.
    pub iterations: u64,
    /// Races among them.
    pub races: u64,
    /// Wall-clock time, in seconds.
    pub elapsed_s: f64,
}

impl TurnsRecord {
    /// Both together.
    pub(crate) fn plus(self, other: TurnsRecord) -> TurnsRecord {
        TurnsRecord {
            turns: self.turns + other.turns,
            iterations: self.iterations + other.iterations,
            races: self.races + other.races,
            elapsed_s: self.elapsed_s + other.elapsed_s,
        }
    }
}

impl ArmRecord {
    /// Settings that had no turn yet.
    pub fn untried(arm: Arm) -> ArmRecord {
        ArmRecord {
            pace: if arm.pace == ArmPace::Paced { "paced" } else { "free" }.to_owned(),
            layout: arm.layout.to_string(),
            group: arm.group,
            prefetch: arm.prefetch,
            batch: arm.batch,
            stress: arm.stress.map(|kind| kind.to_string()),
            stretch: arm.stretch,
            turns: 0,
            iterations: 0,
            races: 0,
            elapsed_s: 0.0,
            at_distance: None,
            period_ns: None,
        }
    }

    /// Whether both have the same settings.
    fn is_like(&self, other: &ArmRecord) -> bool {
        let settings = |arm: &ArmRecord| {
            let kinds = (arm.pace.clone(), arm.layout.clone(), arm.prefetch, arm.stress.clone());
            (kinds, arm.group, arm.batch, arm.stretch)
        };
        settings(self) == settings(other)
    }
}

impl SearchRecord {
    /// Iterations of all turns, and the races among them.
    pub fn counts(&self) -> (u64, u64) {
        self.arms.iter().fold((0, 0), |sum, arm| (sum.0 + arm.iterations, sum.1 + arm.races))
    }

    /// The sum of two searches of one test, or the name of the count that would exceed 2^64.
    pub(super) fn plus(mut self, other: SearchRecord) -> Result<SearchRecord, &'static str> {
        self.elapsed_s += other.elapsed_s;
        self.distance_ns = self.distance_ns.filter(|ns| Some(*ns) == other.distance_ns);
        self.arms.iter_mut().for_each(|arm| arm.at_distance = None);
        for arm in other.arms.into_iter().map(|arm| ArmRecord { at_distance: None, ..arm }) {
            match self.arms.iter_mut().find(|known| known.is_like(&arm)) {
                None => self.arms.push(arm),
                Some(known) => {
                    let plus = |a: u64, b: u64, what| a.checked_add(b).ok_or(what);
                    known.turns += arm.turns;
                    known.iterations = plus(known.iterations, arm.iterations, "the iterations of the search")?;
                    known.races = plus(known.races, arm.races, "the races of the search")?;
                    known.elapsed_s += arm.elapsed_s;
                    known.period_ns = known.period_ns.filter(|period| Some(*period) == arm.period_ns);
                }
            }
        }
        Ok(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arm(group: usize, iterations: u64, races: u64) -> ArmRecord {
        let settings = Arm { group, ..Arm::FIRST };
        ArmRecord { turns: 1, iterations, races, elapsed_s: 0.5, period_ns: Some(50.0), ..ArmRecord::untried(settings) }
    }

    #[test]
    fn a_sum_has_every_arm_once_and_loses_no_count() {
        let search = |arms: Vec<ArmRecord>| SearchRecord {
            elapsed_s: 1.0,
            measure: Measure::Races,
            distance_ns: Some(31.0),
            chosen: 0,
            arms,
        };
        let sum = search(vec![arm(1, 10, 1), arm(4, 20, 2)]).plus(search(vec![arm(4, 30, 3), arm(8, 40, 4)])).unwrap();
        assert_eq!((sum.counts(), sum.elapsed_s), ((100, 10), 2.0));
        let groups: Vec<_> = sum.arms.iter().map(|arm| (arm.group, arm.turns, arm.iterations, arm.races)).collect();
        assert_eq!(groups, [(1, 1, 10, 1), (4, 2, 50, 5), (8, 1, 40, 4)]);
        assert_eq!((sum.arms[1].period_ns, sum.arms[1].elapsed_s), (Some(50.0), 1.0));
        // A sum of searches at several distances has none.
        assert_eq!(sum.distance_ns, Some(31.0));
        let elsewhere = SearchRecord { distance_ns: Some(150.0), ..search(Vec::new()) };
        assert_eq!(sum.plus(elsewhere).unwrap().distance_ns, None);
        // The turns at the distance of the search are those of one search.
        let with_here = |group| ArmRecord { at_distance: Some(TurnsRecord::default()), ..arm(group, 10, 1) };
        let sum = search(vec![with_here(1)]).plus(search(vec![with_here(4)])).unwrap();
        assert!(sum.arms.len() == 2 && sum.arms.iter().all(|arm| arm.at_distance.is_none()));
        // Another period makes other settings.
        let stretched = search(vec![arm(1, 10, 1), ArmRecord { stretch: 2, ..arm(1, 20, 2) }]);
        let sum = stretched.plus(search(vec![ArmRecord { stretch: 2, ..arm(1, 30, 3) }])).unwrap();
        assert_eq!(sum.arms.iter().map(|arm| (arm.stretch, arm.iterations)).collect::<Vec<_>>(), [(1, 10), (2, 50)]);
        let full = search(vec![arm(1, u64::MAX, 1)]).plus(search(vec![arm(1, 1, 1)]));
        assert_eq!(full, Err("the iterations of the search"));
    }
}
