//! The settings that a campaign chooses from. Each makes other interleavings likely.

use crate::codegen::Pace;
use crate::experiment::{Choice, PaceChoice};
use crate::harness::Prefetch;
use crate::layout::LayoutKind;
use crate::machine::{Clock, Edges};
use crate::record::SettingRecord;
use crate::units::{Nanos, Ticks};

/// How instances are run.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Setting {
    /// The name in journals and records.
    pub name: &'static str,
    /// The layout of the variables.
    pub layout: LayoutKind,
    /// Instances per tick, or `None` for a free run.
    pub group: Option<usize>,
    /// Whether lines are prefetched before a tick.
    pub prefetch: Prefetch,
    /// The largest skew to either side, in nanoseconds.
    pub skew_ns: f64,
}

/// Number of skews in a slice. It is odd, so that 0 is one of them, and so small that a slice of some milliseconds has
/// several batches at each.
const SKEWS: i32 = 9;

/// The settings. The first one is used first. Store buffering is most frequent in groups, message passing at a skew that
/// depends on the distance of the CPUs, and behaviours that need a cold or a shared line in the others (docs/performance.md).
pub const SETTINGS: [Setting; 7] = [
    Setting { name: "paced", layout: LayoutKind::Padded, group: Some(1), prefetch: Prefetch::Turns, skew_ns: 80.0 },
    Setting { name: "group", layout: LayoutKind::Padded, group: Some(4), prefetch: Prefetch::Turns, skew_ns: 0.0 },
    Setting { name: "wide", layout: LayoutKind::Padded, group: Some(1), prefetch: Prefetch::Off, skew_ns: 400.0 },
    Setting { name: "packed", layout: LayoutKind::Packed, group: Some(1), prefetch: Prefetch::Turns, skew_ns: 80.0 },
    Setting { name: "burst", layout: LayoutKind::Dense, group: Some(16), prefetch: Prefetch::Turns, skew_ns: 0.0 },
    Setting { name: "free", layout: LayoutKind::Padded, group: None, prefetch: Prefetch::Off, skew_ns: 0.0 },
    Setting { name: "dense", layout: LayoutKind::Dense, group: None, prefetch: Prefetch::Off, skew_ns: 0.0 },
];

/// The place of a setting in [`SETTINGS`].
pub fn named(name: &str) -> Option<usize> {
    SETTINGS.iter().position(|setting| setting.name == name)
}

impl Setting {
    /// Whether instances start at ticks of the clock.
    pub fn is_paced(&self) -> bool {
        self.group.is_some()
    }

    /// The pace that code is emitted for.
    pub fn pace(&self, edges: Option<Edges>) -> Pace {
        let paced = PaceChoice::Paced { given: false, period: None, skews: None };
        if self.is_paced() { paced.kind(edges) } else { Pace::Free }
    }

    /// The choice of an experiment with this period, in ticks of `units`.
    pub fn choice(&self, period: Ticks, units: &Clock) -> Choice {
        let half = SKEWS / 2;
        let skew = |step: i32| units.ticks(Nanos(self.skew_ns * f64::from(step) / f64::from(half)));
        let mut skews: Vec<Ticks> = (-half..=half).map(skew).collect();
        skews.dedup();
        let pace = if self.is_paced() {
            PaceChoice::Paced { given: false, period: Some(period), skews: Some(skews) }
        } else {
            PaceChoice::Free { given: false }
        };
        Choice {
            pace,
            layout: self.layout,
            batch: None,
            group: self.group,
            prefetch: self.prefetch,
            stress: None,
            profile: None,
            searching: None,
        }
    }

    /// The setting for the record.
    pub fn record(&self) -> SettingRecord {
        let words = match self.group {
            None => format!("free, {}", self.layout),
            Some(group) => format!(
                "paced, {}, {group} per tick, prefetch {}, skews to {} ns",
                self.layout, self.prefetch, self.skew_ns
            ),
        };
        SettingRecord { name: self.name.to_owned(), words }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_have_names_of_their_own_and_skews_to_both_sides() {
        for (at, setting) in SETTINGS.iter().enumerate() {
            assert_eq!(named(setting.name), Some(at));
            let clock = Clock { frequency_hz: 1e9, resolution_ticks: 1, read_ticks: 1 };
            match setting.choice(Ticks(300), &clock).pace {
                PaceChoice::Free { .. } => assert!(!setting.is_paced()),
                PaceChoice::Paced { period, skews, .. } => {
                    let skews = skews.unwrap();
                    assert_eq!((period, skews.len()), (Some(Ticks(300)), if setting.skew_ns > 0.0 { 9 } else { 1 }));
                    assert!(skews.contains(&Ticks(0)) && skews[0].0 == -skews[skews.len() - 1].0, "{skews:?}");
                }
            }
        }
        assert_eq!(named("other"), None);
    }
}
