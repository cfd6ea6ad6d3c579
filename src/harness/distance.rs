//! The distances of a run: which batches ran at which distance between the CPUs.
//!
//! A look (module `look`) measures the distance every 15 ms. The batches from one look to the next ran at the distance of
//! both, if the two agree. So each thread keeps its counts of these batches apart until the second look, and then adds
//! them to a *slot*. A slot is a pair of levels ([`crate::stats::Levels`]): those of the look before and of the look after.
//! At the end of the run all looks are known and give the strata. A slot whose two levels are of one stratum belongs to it.
//! The counts of the others are in no stratum.
//!
//! A look also says whether a core of the threads has a neighbour (module `neighbours`). Batches between two looks that found none have
//! slots of their own, so that a stratum knows its counts without a neighbour.

use std::time::Duration;

use super::convert::whole;
use super::history::Block;
use super::look::{FARTHEST_NS, LONGEST_NS};
use super::neighbours::{Cores, Found};
use crate::machine::Clock;
use crate::stats::{Levels, Stratum};

/// The number of a slot. Slot 0 is for batches that belong to no pair of levels.
pub(super) type Slot = u16;
/// The slot of batches without a look before or after them.
const NOWHERE: Slot = 0;
/// The most slots. With more pairs of levels than this, further ones are counted nowhere.
const MOST_SLOTS: usize = 128;
/// Time from one look to the next.
const EVERY: Duration = Duration::from_millis(15);
/// It is longer if looks take long: at least this many times their own time.
const LOOK_SHARE: f64 = 1000.0;
/// The effect of a neighbour lasts until the period fits again: so many looks must have found none before batches count as without one.
const SETTLES_AFTER: u32 = 4;
/// The most cells of a [`Timeline`].
const MOST_CELLS: usize = 4096;

/// What a look has found.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Look {
    /// The time of a line transfer, in ticks; `None` if it measured nothing.
    pub transfer_ticks: Option<f64>,
    /// The time that the distance took if no thread lost its CPU, in ticks. Probes take a few microseconds more.
    pub cost_ticks: f64,
    /// The ratio of the core of each thread ([`super::neighbours::Probe`]); `None` if they were not probed.
    pub ratios: Option<Vec<f64>>,
}

/// What a run measured at one distance, apart from its counts.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct SlotTotals {
    /// Time from look to look, and the part of it inside batches, in ticks.
    pub ticks: u64,
    pub in_batches_ticks: u64,
    /// Number of instances and the sum of their periods.
    pub instances: u64,
    pub paced_ticks: f64,
}

impl SlotTotals {
    pub fn plus(self, other: SlotTotals) -> SlotTotals {
        SlotTotals {
            ticks: self.ticks + other.ticks,
            in_batches_ticks: self.in_batches_ticks + other.in_batches_ticks,
            instances: self.instances + other.instances,
            paced_ticks: self.paced_ticks + other.paced_ticks,
        }
    }
}

/// Counts by slot in the order of time. All cells cover the same number of looks.
#[derive(Debug, Clone, Default)]
pub(super) struct Timeline {
    cells: Vec<Vec<(Slot, Block)>>,
    /// Looks per cell, and looks in the last cell.
    per: usize,
    in_last: usize,
}

impl Timeline {
    fn push(&mut self, slot: Slot, block: Block) {
        self.per = self.per.max(1);
        if self.cells.is_empty() || self.in_last == self.per {
            if self.cells.len() == MOST_CELLS {
                let joined = |pair: &[Vec<(Slot, Block)>]| {
                    let mut cell = pair[0].clone();
                    pair[1..].iter().flatten().for_each(|&(slot, block)| add(&mut cell, slot, block));
                    cell
                };
                self.cells = self.cells.chunks(2).map(joined).collect();
                self.per *= 2;
            }
            self.cells.push(Vec::new());
            self.in_last = 0;
        }
        self.in_last += 1;
        add(self.cells.last_mut().expect("a cell was just added"), slot, block);
    }

    /// The counts of some slots, cell by cell. Cells in which they have none are left out.
    pub fn of(&self, wanted: impl Fn(Slot) -> bool) -> Vec<Block> {
        let sum = |cell: &Vec<(Slot, Block)>| {
            let own = cell.iter().filter(|(slot, _)| wanted(*slot));
            own.fold(Block::default(), |sum, &(_, block)| sum.plus(block))
        };
        self.cells.iter().map(sum).filter(|block| block.iterations > 0).collect()
    }
}

fn add(cell: &mut Vec<(Slot, Block)>, slot: Slot, more: Block) {
    match cell.iter_mut().find(|(known, _)| *known == slot) {
        Some((_, block)) => *block = block.plus(more),
        None => cell.push((slot, more)),
    }
}

/// Batches since the last look that measured a distance.
#[derive(Debug, Clone, Copy, Default)]
struct Pending {
    totals: SlotTotals,
    /// Counts of the batches that show the rate over time.
    shown: Block,
    batches: u64,
    /// Whether a look that measured no distance may have had a neighbour.
    neighbour: bool,
}

/// A look that measured a distance.
#[derive(Debug, Clone, Copy)]
struct Last {
    level: usize,
    /// Its time, in ticks.
    at: u64,
    /// Whether it and those before it found no neighbour, [`SETTLES_AFTER`] in all.
    settled: bool,
}

/// Batches between two looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Batches {
    /// The levels of the two looks, in ascending order.
    levels: (usize, usize),
    /// Whether no look found a neighbour: neither the last ones before, nor the one after, nor any between.
    without_neighbour: bool,
}

/// The distances of a run so far.
#[derive(Debug)]
pub(super) struct Distances {
    clock: Clock,
    levels: Levels,
    /// The cores of the threads, and how many looks found neighbours there, and none.
    cores: Option<Cores>,
    neighbours: u64,
    quiet: u64,
    /// Number of the last looks that found none. A run begins as if there had been none.
    in_a_row: u32,
    /// The last look that measured a distance.
    last: Option<Last>,
    /// When the next look is due.
    due: u64,
    /// Whether batches ran since the last look of any kind.
    ran: bool,
    pending: Pending,
    /// The batches of each slot, and its totals. [`NOWHERE`] has none.
    slots: Vec<(Option<Batches>, SlotTotals)>,
    timeline: Timeline,
    looks: u64,
    lost: u64,
    /// The distance of the first look, in nanoseconds.
    first: Option<f64>,
}

/// A stratum of a run and the slots that belong to it.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct StratumSlots {
    pub stratum: Stratum,
    pub slots: Vec<Slot>,
    pub totals: SlotTotals,
    /// Counts in the order of time.
    pub course: Vec<Block>,
    /// The same of the slots without a neighbour; `None` if cores were not probed.
    pub without_neighbour: Option<PartSlots>,
}

/// A part of a stratum.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct PartSlots {
    pub slots: Vec<Slot>,
    pub totals: SlotTotals,
    pub course: Vec<Block>,
}

impl Distances {
    pub fn new(clock: Clock) -> Distances {
        Distances {
            clock,
            levels: Levels::default(),
            cores: None,
            neighbours: 0,
            quiet: 0,
            in_a_row: SETTLES_AFTER,
            last: None,
            due: 0,
            ran: false,
            pending: Pending::default(),
            slots: vec![(None, SlotTotals::default())],
            timeline: Timeline::default(),
            looks: 0,
            lost: 0,
            first: None,
        }
    }

    /// The same of threads on these CPUs, whose cores are probed.
    pub fn on(self, cpus: &[usize]) -> Distances {
        Distances { cores: Some(Cores::of(cpus)), ..self }
    }

    /// Notes what was learned about the cores, for later runs of this process.
    pub fn keep_cores(&self) {
        self.cores.iter().for_each(Cores::keep);
    }

    /// Number of looks that found a neighbour; `None` if cores were not probed.
    pub fn neighbours(&self) -> Option<u64> {
        (self.neighbours + self.quiet > 0).then_some(self.neighbours)
    }

    /// Whether a look is due: at the time `now` or, if the run is over, after its last batch.
    pub fn is_due(&self, now: u64, over: bool) -> bool {
        if over { self.ran } else { now >= self.due }
    }

    /// The level that batches run at, as far as is known. `None` before the first look.
    pub fn level(&self) -> Option<usize> {
        self.last.map(|last| last.level)
    }

    /// The typical distance of a level, in nanoseconds.
    pub fn typical(&self, level: usize) -> f64 {
        self.levels.typical(level)
    }

    /// Adds a batch that counts: its time in ticks, its number of instances and their periods.
    pub fn batch(&mut self, in_batches_ticks: u64, instances: u64, paced_ticks: f64) {
        let more = SlotTotals { ticks: 0, in_batches_ticks, instances, paced_ticks };
        self.pending.totals = self.pending.totals.plus(more);
        self.pending.batches += 1;
        self.ran = true;
    }

    /// Adds the counts of a batch that shows the rate over time.
    pub fn shows(&mut self, block: Block) {
        self.pending.shown = self.pending.shown.plus(block);
    }

    /// Forgets the rates so far, because those from now on are at other settings.
    pub fn forget_rates(&mut self) {
        self.timeline = Timeline::default();
        self.pending.shown = Block::default();
    }

    /// Adds a look at the time `now`. Returns the slot of the batches since the look before.
    pub fn look(&mut self, now: u64, look: &Look) -> Option<Slot> {
        self.looks += 1;
        self.ran = false;
        let ns =
            look.transfer_ticks.map(|ticks| self.clock.nanos_of(ticks).0).filter(|ns| *ns > 0.0 && *ns <= FARTHEST_NS);
        let shortest = EVERY.as_secs_f64() * self.clock.frequency_hz;
        let pause = ns.map_or(shortest, |_| shortest.max(LOOK_SHARE * look.cost_ticks));
        self.due = now.saturating_add(whole(pause));
        let neighbour = self.looked_at(look.ratios.as_deref());
        self.in_a_row = if neighbour == Some(false) { self.in_a_row.saturating_add(1) } else { 0 };
        let Some(ns) = ns else {
            self.lost += 1;
            self.pending.neighbour |= neighbour != Some(false);
            return None;
        };
        self.first = self.first.or(Some(ns));
        let level = self.levels.level(ns);
        let before = self.last.replace(Last { level, at: now, settled: self.in_a_row >= SETTLES_AFTER });
        let mut pending = std::mem::take(&mut self.pending);
        pending.totals.ticks = before.map_or(0, |before| now.saturating_sub(before.at));
        if pending.batches == 0 {
            return None;
        }
        let slot = before.map_or(NOWHERE, |before| {
            let without_neighbour = before.settled && neighbour == Some(false) && !pending.neighbour;
            self.slot(Batches { levels: (before.level.min(level), before.level.max(level)), without_neighbour })
        });
        let totals = &mut self.slots[usize::from(slot)].1;
        *totals = totals.plus(pending.totals);
        if pending.shown.iterations > 0 {
            self.timeline.push(slot, pending.shown);
        }
        Some(slot)
    }

    /// Whether a look with these ratios found a neighbour.
    fn looked_at(&mut self, ratios: Option<&[f64]>) -> Option<bool> {
        let Found { neighbour, corrects } = self.cores.as_mut()?.look(ratios?)?;
        if corrects {
            // There were neighbours before.
            self.neighbours += std::mem::take(&mut self.quiet);
            self.slots
                .iter_mut()
                .filter_map(|(batches, _)| batches.as_mut())
                .for_each(|batches| batches.without_neighbour = false);
            self.pending.neighbour = true;
            self.in_a_row = 0;
        }
        *(if neighbour { &mut self.neighbours } else { &mut self.quiet }) += 1;
        Some(neighbour)
    }

    /// The slot of batches.
    fn slot(&mut self, batches: Batches) -> Slot {
        let known = self.slots.iter().position(|(known, _)| *known == Some(batches));
        let at = known.unwrap_or_else(|| {
            if self.slots.len() == MOST_SLOTS {
                return usize::from(NOWHERE);
            }
            self.slots.push((Some(batches), SlotTotals::default()));
            self.slots.len() - 1
        });
        Slot::try_from(at).unwrap_or(NOWHERE)
    }

    /// The slots of batches between two looks of one level; none if there are no such batches yet.
    pub fn slots_of(&self, level: usize) -> Vec<Slot> {
        let is_here = |batches: &Batches| batches.levels == (level, level);
        (0..)
            .zip(&self.slots)
            .filter(|(_, (batches, _))| batches.as_ref().is_some_and(is_here))
            .map(|(at, _)| at)
            .collect()
    }

    /// Number of looks, and how many of them measured nothing.
    pub fn looks(&self) -> (u64, u64) {
        (self.looks, self.lost)
    }

    /// The distance of the first look, in nanoseconds.
    pub fn first(&self) -> Option<f64> {
        self.first
    }

    /// The strata of the run and their slots.
    pub fn strata(&self) -> Vec<StratumSlots> {
        let (strata, of_level) = self.levels.strata();
        let of = |Batches { levels: (a, b), .. }: Batches| of_level[a].filter(|_| of_level[a] == of_level[b]);
        let part = |wanted: &dyn Fn(Batches) -> bool| {
            let own = || (0..).zip(&self.slots).filter(|(_, (batches, _))| batches.is_some_and(wanted));
            let slots: Vec<Slot> = own().map(|(slot, _)| slot).collect();
            PartSlots {
                totals: own().fold(SlotTotals::default(), |sum, (_, (_, totals))| sum.plus(*totals)),
                course: self.timeline.of(|slot| slots.contains(&slot)),
                slots,
            }
        };
        let with = |(number, stratum): (usize, Stratum)| {
            let PartSlots { slots, totals, course } = part(&|batches| of(batches) == Some(number));
            let without_neighbour = || part(&|batches| of(batches) == Some(number) && batches.without_neighbour);
            StratumSlots {
                stratum,
                slots,
                totals,
                course,
                without_neighbour: self.neighbours().map(|_| without_neighbour()),
            }
        };
        // A stratum whose looks were all alone has no batches.
        strata.into_iter().enumerate().map(with).filter(|stratum| stratum.totals.instances > 0).collect()
    }
}

/// The longest time of a look with one other thread, in ticks.
pub(super) fn longest_look(clock: Clock) -> u64 {
    whole(LONGEST_NS * clock.frequency_hz / 1e9)
}

#[cfg(test)]
mod tests {
    use super::*;

    const CLOCK: Clock = Clock { frequency_hz: 1e9, resolution_ticks: 1, read_ticks: 20 };
    const MS: u64 = 1_000_000;

    fn look(transfer_ticks: Option<f64>, cost_ticks: f64) -> Look {
        Look { transfer_ticks, cost_ticks, ratios: None }
    }

    /// Looks at a simulated box every 15 ms, with one batch of 100 iterations between two looks. Returns the slots.
    fn simulate(distances: &mut Distances, box_ns: impl IntoIterator<Item = Option<f64>>) -> Vec<Option<Slot>> {
        simulate_looks(distances, box_ns.into_iter().map(|ns| look(ns, 5000.0)))
    }

    fn simulate_looks(distances: &mut Distances, looks: impl IntoIterator<Item = Look>) -> Vec<Option<Slot>> {
        let mut now = 0;
        let mut slots = Vec::new();
        for look in looks {
            let ns = look.transfer_ticks;
            assert!(distances.is_due(now, false));
            slots.push(distances.look(now, &look));
            assert!(!distances.is_due(now + 14 * MS, false) && !distances.is_due(now, true));
            distances.batch(9 * MS, 100, 12_500.0);
            distances.shows(Block { iterations: 100, races: if ns.is_some_and(|ns| ns > 100.0) { 10 } else { 50 } });
            assert!(distances.is_due(now, true), "a run that is over has a last look");
            now += 15 * MS;
        }
        slots
    }

    #[test]
    fn batches_between_two_looks_that_agree_are_at_their_distance() {
        let mut distances = Distances::new(CLOCK);
        let near = [Some(17.0); 5];
        let far = [Some(230.0); 9];
        let slots = simulate(&mut distances, near.into_iter().chain(far).chain([Some(17.5)]));
        // Before the first look there is nothing. Then 4 times near, once between, 8 times far, once between.
        assert_eq!(slots[0], None);
        let [near, between, far] = [slots[1], slots[5], slots[6]].map(Option::unwrap);
        let wanted = [vec![near; 4], vec![between], vec![far; 8], vec![between]].concat();
        assert_eq!(slots[1..].iter().map(|slot| slot.unwrap()).collect::<Vec<_>>(), wanted);
        assert_eq!([0, 1, 2].map(|level| distances.slots_of(level)), [vec![near], vec![far], vec![]]);
        let strata = distances.strata();
        assert_eq!(strata.iter().map(|stratum| stratum.slots.clone()).collect::<Vec<_>>(), [[near], [far]]);
        let [a, b] = &strata[..] else { panic!("{strata:?}") };
        assert!((a.stratum.typical - 17.1).abs() < 0.1 && (b.stratum.typical - 230.0).abs() < 0.1, "{strata:?}");
        let wanted = |looks: u64| SlotTotals {
            ticks: 15 * looks * MS,
            in_batches_ticks: 9 * looks * MS,
            instances: 100 * looks,
            paced_ticks: 12_500.0 * looks as f64,
        };
        assert_eq!((a.totals, b.totals), (wanted(4), wanted(8)));
        assert_eq!((a.course.len(), b.course.len()), (4, 8));
        assert!(a.course.iter().all(|block| block.races == 50), "{a:?}");
        assert_eq!((distances.looks(), distances.first()), ((15, 0), Some(17.0)));
    }

    #[test]
    fn batches_between_two_looks_without_a_neighbour_are_told_apart() {
        // No machine has these CPUs.
        let run = |ratios: &[Option<[f64; 2]>], cpus: [usize; 2]| {
            let mut distances = Distances::new(CLOCK).on(&cpus);
            let with = |ratios: &Option<[f64; 2]>| Look {
                ratios: ratios.map(|ratios| ratios.to_vec()),
                ..look(Some(40.0), 5000.0)
            };
            simulate_looks(&mut distances, ratios.iter().map(with));
            distances
        };
        let counts = |distances: &Distances| {
            let strata = distances.strata();
            let [only] = &strata[..] else { panic!("{strata:?}") };
            let without_neighbour =
                only.without_neighbour.as_ref().map(|part| (part.totals.instances, part.course.len()));
            (only.totals.instances, without_neighbour, distances.neighbours())
        };
        let (none, some) = (Some([0.3, 0.2]), Some([0.3, 0.25]));
        let looks = [vec![none; 2], vec![some; 2], vec![none; 7]].concat();
        let found = run(&looks, [1_000_003, 1_000_004]);
        // Those before the neighbour, and those behind the fourth look after it.
        assert_eq!(counts(&found), (1000, Some((400, 4)), Some(2)));
        // The skews of a level are selected by all of its batches.
        assert_eq!(found.slots_of(0).len(), 2);
        // The first three had a neighbour after all, and so had the batches behind them.
        let found = run(&[vec![some; 3], vec![none; 8]].concat(), [1_000_005, 1_000_006]);
        assert_eq!(counts(&found), (1000, Some((400, 4)), Some(3)));
        found.keep_cores();
        // This process knows.
        let found = run(&[some, some, some, some], [1_000_005, 1_000_006]);
        assert_eq!(counts(&found), (300, Some((0, 0)), Some(4)));
        // A look without a probe says nothing of the batches beside it.
        let found = run(&[none, none, None, none, none], [1_000_007, 1_000_008]);
        assert_eq!(counts(&found), (400, Some((100, 1)), Some(0)));
        // So does a look that was lost: its probe counts all the same.
        let mut found = Distances::new(CLOCK).on(&[1_000_011, 1_000_012]);
        let at = |ns, ratios: [f64; 2]| Look { ratios: Some(ratios.to_vec()), ..look(ns, 5000.0) };
        let lost = |ratios| at(None, ratios);
        let [here, quiet, slow] = [at(Some(40.0), [0.3, 0.2]), lost([0.3, 0.2]), lost([0.3, 0.25])];
        simulate_looks(&mut found, [&here, &quiet, &here, &slow, &here, &here].map(Clone::clone));
        assert_eq!(counts(&found), (500, Some((200, 1)), Some(1)));
        assert_eq!(counts(&run(&[None; 3], [1_000_009, 1_000_010])), (200, None, None));
    }

    #[test]
    fn a_look_that_measured_nothing_decides_nothing() {
        let mut distances = Distances::new(CLOCK);
        let slots = simulate(&mut distances, [None, Some(40.0), None, Some(1e6), Some(41.0), Some(0.0), Some(40.0)]);
        // What ran before the first distance is nowhere. Then all batches wait for the next distance.
        let slot = slots[4];
        assert_eq!(slots, [None, Some(NOWHERE), None, None, slot, None, slot]);
        let strata = distances.strata();
        assert_eq!((strata.len(), strata[0].totals.instances, strata[0].totals.ticks), (1, 500, 75 * MS));
        assert_eq!(distances.looks(), (7, 4));
        assert_eq!(Distances::new(CLOCK).strata(), []);
    }

    #[test]
    fn looks_that_cost_much_come_less_often() {
        let mut distances = Distances::new(CLOCK);
        assert_eq!(distances.look(0, &look(Some(300.0), 100_000.0)), None);
        assert!(!distances.is_due(99 * MS, false) && distances.is_due(100 * MS, false));
        assert!(!distances.is_due(200 * MS, true), "nothing ran");
    }

    #[test]
    fn a_noisy_stratum_has_nothing_between_its_looks() {
        let mut random = fastrand::Rng::with_seed(3);
        let mut distances = Distances::new(CLOCK);
        let noisy: Vec<_> = (0..500).map(|_| Some(40.0 * 1.5_f64.powf(2.0 * random.f64() - 1.0))).collect();
        simulate(&mut distances, noisy);
        let strata = distances.strata();
        assert_eq!((strata.len(), strata[0].totals.instances), (1, 49_900));
        assert!(strata[0].slots.len() > 2, "{strata:?}");
        assert_eq!(strata[0].course.len(), 499);
    }

    #[test]
    fn a_long_run_keeps_all_its_counts_in_order() {
        let mut timeline = Timeline::default();
        let looks = 5 * MOST_CELLS as u64 + 3;
        for look in 0..looks {
            timeline
                .push(if look % 2 == 0 { 1 } else { 2 }, Block { iterations: 10, races: u64::from(look > looks / 2) });
        }
        assert!(timeline.cells.len() <= MOST_CELLS && timeline.cells.len() > MOST_CELLS / 4);
        for (slot, wanted) in [(1, looks.div_ceil(2)), (2, looks / 2), (3, 0)] {
            let course = timeline.of(|own| own == slot);
            assert_eq!(course.iter().map(|block| block.iterations).sum::<u64>(), 10 * wanted);
            let changes = course.windows(2).filter(|pair| (pair[0].races > 0) != (pair[1].races > 0)).count();
            assert_eq!(changes, usize::from(wanted > 0));
        }
    }
}
