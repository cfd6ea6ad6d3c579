//! What a run counted at each distance between its CPUs.

use std::time::Duration;

use super::convert::whole;
use super::distance::{Distances, PartSlots, Slot, StratumSlots};
use super::history::{Block, joined};
use super::tally::{SlotTally, Tally};
use crate::machine::Clock;
use crate::stats::Stratum;
use crate::units::Nanos;

/// The distances of a run.
#[derive(Debug, Clone, PartialEq)]
pub struct DistanceCounts {
    /// Number of looks: measurements of the distance.
    pub looks: u64,
    /// How many of them measured nothing.
    pub lost: u64,
    /// How many found a neighbour on a core of the threads; `None` if cores were not probed.
    pub neighbours: Option<u64>,
    /// How often a look contradicted the offset between two counters, so that starts were corrected by another from then on.
    pub offset_changes: u64,
    /// The distance of the first look that measured one, and that of the last one.
    pub first: Option<Nanos>,
    /// See `first`. It is the typical distance of its level, not that of the look alone.
    pub last: Option<Nanos>,
    /// The counts at each distance, in ascending order of distance.
    pub strata: Vec<AtDistance>,
    /// The counts of batches that are in no stratum, because the looks before and after them disagreed.
    pub between: SlotTally,
}

/// The counts at one distance.
#[derive(Debug, Clone, PartialEq)]
pub struct AtDistance {
    /// The distance, in nanoseconds: the time of one line transfer. With more than two threads, the longest from P0 to
    /// another thread.
    pub distance: Stratum,
    /// Wall-clock time, and the part of it inside batches.
    pub elapsed: Duration,
    /// See `elapsed`.
    pub in_batches: Duration,
    /// The mean period. 0 for a free run.
    pub period: Nanos,
    /// The counts.
    pub counts: SlotTally,
    /// Share of instances that raced in the order of time, without batches from the time when periods were being tried.
    pub history: Vec<f32>,
    /// Counts of the same batches, in at most 128 blocks.
    pub blocks: Vec<Block>,
    /// The part without a neighbour; `None` if cores were not probed.
    pub without_neighbour: Option<WithoutNeighbour>,
}

/// The part of what was counted at a distance during which no core of the threads had a neighbour.
#[derive(Debug, Clone, PartialEq)]
pub struct WithoutNeighbour {
    /// Wall-clock time, and the part of it inside batches.
    pub elapsed: Duration,
    /// See `elapsed`.
    pub in_batches: Duration,
    /// The counts.
    pub counts: SlotTally,
    /// As those of the distance.
    pub blocks: Vec<Block>,
}

impl DistanceCounts {
    pub(super) fn new(distances: &Distances, offset_changes: u64, tally: &Tally, clock: Clock) -> DistanceCounts {
        let skews = || tally.skews.iter().map(|tally| tally.skew);
        let strata = distances.strata();
        let counts = |wanted: &dyn Fn(usize) -> bool| {
            let mut sum = SlotTally::new(skews());
            let own = tally.slots.iter().enumerate().filter(|(at, _)| wanted(*at));
            own.for_each(|(_, slot)| sum.add(slot));
            sum
        };
        let has = |slots: &[Slot], at: usize| slots.iter().any(|slot| usize::from(*slot) == at);
        let (looks, lost) = distances.looks();
        DistanceCounts {
            looks,
            lost,
            neighbours: distances.neighbours(),
            offset_changes,
            first: distances.first().map(Nanos),
            last: distances.level().map(|level| Nanos(distances.typical(level))),
            between: rest(tally, counts(&|at| strata.iter().any(|stratum| has(&stratum.slots, at)))),
            strata: strata.iter().map(|stratum| at(stratum, &|slots| counts(&|at| has(slots, at)), clock)).collect(),
        }
    }

    /// The same without the rates in order of time, which tell of no drift if they are of periods that were tried.
    pub(super) fn without_history(mut self) -> DistanceCounts {
        self.strata.iter_mut().for_each(|stratum| stratum.history.clear());
        self
    }
}

/// The counts at a stratum. `counts` gives those of some slots.
fn at(stratum: &StratumSlots, counts: &dyn Fn(&[Slot]) -> SlotTally, clock: Clock) -> AtDistance {
    let StratumSlots { stratum: distance, slots, totals, course, without_neighbour } = stratum;
    let time = |ticks: u64| Duration::from_nanos(whole(clock.nanos_of(ticks as f64).0));
    AtDistance {
        distance: *distance,
        elapsed: time(totals.ticks),
        in_batches: time(totals.in_batches_ticks),
        period: clock.nanos_of(totals.paced_ticks / totals.instances.max(1) as f64),
        counts: counts(slots),
        history: course.iter().map(|block| block.races as f32 / block.iterations.max(1) as f32).collect(),
        blocks: joined(course),
        without_neighbour: without_neighbour.as_ref().map(|PartSlots { slots, totals, course }| WithoutNeighbour {
            elapsed: time(totals.ticks),
            in_batches: time(totals.in_batches_ticks),
            counts: counts(slots),
            blocks: joined(course),
        }),
    }
}

/// All counts without those of some of the slots.
fn rest(tally: &Tally, of_strata: SlotTally) -> SlotTally {
    let mut rest = SlotTally { skews: tally.skews.clone(), last_writers: tally.last_writers.clone() };
    for (all, part) in rest.skews.iter_mut().zip(&of_strata.skews) {
        for (row, count) in &part.outcomes {
            if let Some(known) = all.outcomes.get_mut(row) {
                *known = known.saturating_sub(*count);
            }
        }
        all.outcomes.retain(|_, count| *count > 0);
    }
    for (all, part) in rest.last_writers.iter_mut().zip(&of_strata.last_writers) {
        all.iterations = all.iterations.saturating_sub(part.iterations);
        all.races = all.races.saturating_sub(part.races);
    }
    rest
}
