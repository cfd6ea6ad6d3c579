//! The settings that a campaign chooses from. Each makes other interleavings likely.

use crate::codegen::Pace;
use crate::experiment::Choice;
use crate::harness::Prefetch;
use crate::layout::LayoutKind;
use crate::machine::{Clock, Edges};
use crate::record::SettingRecord;
use crate::search::{Arm, ArmPace};
use crate::units::{Nanos, Ticks};

/// How instances are run: an arm of the search, and its skews.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Setting {
    /// The name in journals and records.
    pub name: &'static str,
    /// Pace, layout, group and prefetch.
    pub arm: Arm,
    /// The largest skew to either side, in nanoseconds.
    pub skew_ns: f64,
}

/// A paced arm in this layout with so many instances a tick.
const fn paced(layout: LayoutKind, group: usize) -> Arm {
    Arm { layout, group, ..Arm::FIRST }
}

/// A free arm in this layout.
const fn free(layout: LayoutKind) -> Arm {
    Arm { pace: ArmPace::Free, layout, prefetch: Prefetch::Off, ..Arm::FIRST }
}

/// Number of skews in a slice. It is odd, so that 0 is one of them, and so small that a slice of some milliseconds has
/// several batches at each.
const SKEWS: i32 = 9;

/// The settings. The first one is used first. Store buffering is most frequent in groups, message passing at a skew that
/// depends on the distance of the CPUs, and behaviours that need a cold or a shared line in the others (docs/performance.md).
pub const SETTINGS: [Setting; 7] = [
    Setting { name: "paced", arm: paced(LayoutKind::Padded, 1), skew_ns: 80.0 },
    Setting { name: "group", arm: paced(LayoutKind::Padded, 4), skew_ns: 0.0 },
    Setting { name: "wide", arm: Arm { prefetch: Prefetch::Off, ..paced(LayoutKind::Padded, 1) }, skew_ns: 400.0 },
    Setting { name: "packed", arm: paced(LayoutKind::Packed, 1), skew_ns: 80.0 },
    Setting { name: "burst", arm: paced(LayoutKind::Dense, 16), skew_ns: 0.0 },
    Setting { name: "free", arm: free(LayoutKind::Padded), skew_ns: 0.0 },
    Setting { name: "dense", arm: free(LayoutKind::Dense), skew_ns: 0.0 },
];

/// The place of a setting in [`SETTINGS`].
pub fn named(name: &str) -> Option<usize> {
    SETTINGS.iter().position(|setting| setting.name == name)
}

impl Setting {
    /// Whether instances start at ticks of the clock.
    pub fn is_paced(&self) -> bool {
        self.arm.pace == ArmPace::Paced
    }

    /// The pace that code is emitted for.
    pub fn pace(&self, edges: Option<Edges>) -> Pace {
        Choice::of(self.arm, None, None).pace.kind(edges)
    }

    /// The choice of an experiment with this period, in ticks of `units`.
    pub fn choice(&self, period: Ticks, units: &Clock) -> Choice {
        let half = SKEWS / 2;
        let skew = |step: i32| units.ticks(Nanos(self.skew_ns * f64::from(step) / f64::from(half)));
        let mut skews: Vec<Ticks> = (-half..=half).map(skew).collect();
        skews.dedup();
        Choice::of(self.arm, Some(period), Some(skews))
    }

    /// The setting for the record.
    pub fn record(&self) -> SettingRecord {
        let Arm { layout, group, prefetch, .. } = self.arm;
        let words = if self.is_paced() {
            format!("paced, {layout}, {group} per tick, prefetch {prefetch}, skews to {} ns", self.skew_ns)
        } else {
            format!("free, {layout}")
        };
        SettingRecord { name: self.name.to_owned(), words }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::experiment::PaceChoice;

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
