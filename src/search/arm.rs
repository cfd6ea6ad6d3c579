//! Arms: settings that a search compares.

use std::fmt;

use crate::harness::{Prefetch, StressKind};
use crate::layout::LayoutKind;

/// Whether instances start freely or by the clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ArmPace {
    /// As fast as possible.
    Free,
    /// By the clock, at a period that adapts.
    Paced,
}

/// Settings that can be chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Arm {
    /// Free-running or paced.
    pub pace: ArmPace,
    /// How variables are placed in memory.
    pub layout: LayoutKind,
    /// Instances per tick; 1 if free.
    pub group: usize,
    /// Whether the lines of a group are prefetched before its tick; off if free.
    pub prefetch: Prefetch,
    /// Instances per batch; if absent, as many as fit the caches.
    pub batch: Option<usize>,
    /// Load on the memory system from CPUs that the test does not use.
    pub stress: Option<StressKind>,
    /// Paced: the period, in units of the shortest one that the threads keep; 1 if free.
    pub stretch: u32,
}

impl Arm {
    /// The settings that are used without a search: paced, padded, one instance per tick.
    pub const FIRST: Arm = Arm {
        pace: ArmPace::Paced,
        layout: LayoutKind::Padded,
        group: 1,
        prefetch: Prefetch::Turns,
        batch: None,
        stress: None,
        stretch: 1,
    };

    /// A free run.
    const fn free(layout: LayoutKind, batch: usize) -> Arm {
        Arm { pace: ArmPace::Free, layout, prefetch: Prefetch::Off, batch: Some(batch), ..Arm::FIRST }
    }
}

impl fmt::Display for Arm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.pace {
            ArmPace::Free => write!(f, "free, {}", self.layout)?,
            ArmPace::Paced => write!(f, "paced, {}, {} a tick", self.layout, self.group)?,
        }
        if self.pace == ArmPace::Paced && self.prefetch != Prefetch::Turns {
            write!(f, ", prefetch {}", self.prefetch)?;
        }
        if self.stretch > 1 {
            write!(f, ", {} times the period", self.stretch)?;
        }
        if let Some(batch) = self.batch {
            write!(f, ", batch {batch}")?;
        }
        self.stress.map_or(Ok(()), |stress| write!(f, ", {stress} stress"))
    }
}

/// What the search may vary. A setting that was given stays as it is.
#[derive(Debug, Clone, PartialEq)]
pub struct Allowed {
    /// The paces, of which at least one is allowed.
    pub free: bool,
    /// Whether paced runs are allowed: the clock must be fit.
    pub paced: bool,
    /// The layouts.
    pub layouts: Vec<LayoutKind>,
    /// The only group, prefetch, batch and stress, if they were given.
    pub group: Option<usize>,
    /// See `group`.
    pub prefetch: Option<Prefetch>,
    /// See `group`.
    pub batch: Option<usize>,
    /// See `group`.
    pub stress: Option<StressKind>,
    /// Whether there are CPUs for stress that the test does not use.
    pub spare_cpus: bool,
}

impl Allowed {
    /// What `run` varies if no option gives a setting.
    pub fn all() -> Allowed {
        Allowed {
            free: true,
            paced: true,
            layouts: vec![LayoutKind::Padded, LayoutKind::Dense],
            group: None,
            prefetch: None,
            batch: None,
            stress: None,
            spare_cpus: false,
        }
    }

    /// What of this has the machine code of an arm: its pace and its layout. The size of a dense batch is in the code too.
    pub fn with_code_of(&self, arm: Arm) -> Allowed {
        Allowed {
            free: self.free && arm.pace == ArmPace::Free,
            paced: self.paced && arm.pace == ArmPace::Paced,
            layouts: vec![arm.layout],
            batch: arm.batch,
            ..self.clone()
        }
    }

    /// Whether the machine code of an arm is allowed: its pace and its layout.
    pub fn has_code_of(&self, arm: Arm) -> bool {
        let pace = if arm.pace == ArmPace::Free { self.free } else { self.paced };
        pace && self.layouts.contains(&arm.layout)
    }

    /// An arm with the given settings in place of its own; `None` if it is not allowed.
    fn restrict(&self, arm: Arm) -> Option<Arm> {
        let paced = arm.pace == ArmPace::Paced;
        let fits = if paced { self.paced } else { self.free && self.group.is_none() && self.prefetch.is_none() };
        let fits = fits && self.layouts.contains(&arm.layout) && self.group.is_none_or(|group| group == arm.group);
        fits.then(|| Arm {
            prefetch: if paced { self.prefetch.unwrap_or(arm.prefetch) } else { arm.prefetch },
            batch: self.batch.or(arm.batch),
            stress: self.stress.or(arm.stress),
            ..arm
        })
    }

    fn distinct(&self, wanted: impl IntoIterator<Item = Arm>) -> Vec<Arm> {
        let mut out = Vec::new();
        for arm in wanted.into_iter().filter_map(|arm| self.restrict(arm)) {
            if !out.contains(&arm) {
                out.push(arm);
            }
        }
        out
    }
}

/// Layouts and groups of paced arms. Dense instances share lines, so more of them fit into a tick. The first of arms that are hardly
/// different is chosen, so behind the default stand those that were the best on most machines: then their runs choose alike.
const PACED: [(LayoutKind, usize); 7] = [
    (LayoutKind::Padded, 1),
    (LayoutKind::Dense, 16),
    (LayoutKind::Dense, 32),
    (LayoutKind::Dense, 64),
    (LayoutKind::Dense, 8),
    (LayoutKind::Padded, 4),
    (LayoutKind::Padded, 8),
];
/// Batches of free arms.
const FREE_BATCHES: [usize; 2] = [2048, 8192];

/// A paced arm that a search begins with. Dense instances share lines, which all of a group lose at once, so which thread has a copy at the
/// tick decides. Measured on an AMD EPYC (docs/performance.md, Cache-line ownership): SB and MP+nt in groups of 16 had more races than with
/// prefetch in turns at both distances. (MP+nt had still more with `on` at the longer one, which is a variant.)
fn paced(layout: LayoutKind, group: usize) -> Arm {
    let prefetch = if layout == LayoutKind::Dense { Prefetch::Ahead } else { Prefetch::Turns };
    Arm { layout, group, prefetch, ..Arm::FIRST }
}

/// The arms that a search begins with. The first has the default settings, if the padded layout is allowed.
pub fn arms(allowed: &Allowed) -> Vec<Arm> {
    let mut wanted: Vec<Arm> = match allowed.group {
        Some(group) => allowed.layouts.iter().map(|&layout| paced(layout, group)).collect(),
        None => PACED.map(|(layout, group)| paced(layout, group)).to_vec(),
    };
    // Other layouts have no group that is known to be good.
    let others = allowed.layouts.iter().filter(|layout| PACED.iter().all(|(known, _)| known != *layout));
    wanted.extend(others.flat_map(|&layout| [1, 4, 8].map(|group| paced(layout, group))));
    for &layout in &allowed.layouts {
        wanted.extend(FREE_BATCHES.map(|batch| Arm::free(layout, batch)));
    }
    allowed.distinct(wanted)
}

/// What a variant has in place of the settings of its arm. The order of the fields is the order of choice: of variants that are hardly
/// different, another prefetch comes before another batch, stress or stretch.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Change {
    /// Another stretch.
    pub stretch: Option<u32>,
    /// Stress.
    pub stress: Option<StressKind>,
    /// Another batch.
    pub batch: Option<usize>,
    /// Another prefetch.
    pub prefetch: Option<Prefetch>,
    /// The prefetch in whose place it is: an arm that loses by the change may have had the best one. It has no part in the order of choice.
    pub from: Option<Prefetch>,
}

impl Change {
    /// This change of an arm that has another one already.
    pub fn after(self, other: Change) -> Change {
        Change {
            stretch: self.stretch.or(other.stretch),
            stress: self.stress.or(other.stress),
            batch: self.batch.or(other.batch),
            prefetch: self.prefetch.or(other.prefetch),
            from: self.from.or(other.from),
        }
    }

    /// The change from an arm to a variant of it.
    pub fn between(arm: Arm, variant: Arm) -> Change {
        Change {
            prefetch: (variant.prefetch != arm.prefetch).then_some(variant.prefetch),
            from: (variant.prefetch != arm.prefetch).then_some(arm.prefetch),
            batch: variant.batch.filter(|_| variant.batch != arm.batch),
            stress: variant.stress.filter(|_| variant.stress != arm.stress),
            stretch: (variant.stretch != arm.stretch).then_some(variant.stretch),
        }
    }
}

/// Longer periods that are tried, in units of the shortest one that the threads keep. Where lines are fetched, lost and fetched again
/// at that one, the best is two to four times as long. Measured on an EPYC at 150 ns: S01-core+nt has ten times the races per second.
const fn longer(stretch: u32) -> &'static [u32] {
    match stretch {
        1 => &[2, 4],
        4 => &[8],
        _ => &[],
    }
}

/// The arms that differ from this one in one setting that the first arms of its layout do not vary: prefetch, period, batch and stress.
pub fn variants(best: Arm, allowed: &Allowed) -> Vec<Arm> {
    let prefetches = [Prefetch::On, Prefetch::Ahead, Prefetch::Off].map(|prefetch| Arm { prefetch, ..best });
    let stressed = StressKind::ALL.map(|kind| Arm { stress: Some(kind), ..best });
    let larger = best.batch.map(|batch| Arm { batch: Some(4 * batch), ..best });
    let paced = best.pace == ArmPace::Paced;
    let longer = longer(best.stretch).iter().map(|&stretch| Arm { stretch, ..best });
    let wanted = prefetches.into_iter().chain(longer).filter(|_| paced);
    let wanted = wanted.chain(larger).chain(stressed.into_iter().filter(|_| allowed.spare_cpus));
    allowed.distinct(wanted).into_iter().filter(|arm| *arm != best).collect()
}
