//! Clocks whose steps are longer than a race window: their edges, and times finer than a step.

use super::{Clock, now};
use crate::units::{Nanos, Ticks};

/// The longest step of a clock by which instances are paced without a delay. The wait for a tick reads the clock in a loop,
/// and a reading takes 10 to 20 ns, so a finer clock would not make starts more exact.
const FINE: Nanos = Nanos(10.0);
/// The longest unit of times on a coarse clock.
const UNIT: Nanos = Nanos(0.5);
/// At most this many units per tick, as a power of two: a tick of 2^24 units is 8 ms long.
const MOST_FINER: u32 = 24;
/// The most low bits of the counter that are cleared: the emitted code has room for 31, and 2^30 ticks are half a second.
const MOST_COARSE_BITS: u8 = 30;

/// A clock that is paced by its edges: the moments at which its counter changes, which all CPUs see together.
///
/// Times are in units of 2^-`finer` ticks, so that a start may lie between two edges. [`Edges::units`] makes the clock that
/// converts them, and [`Edges::now`] reads the counter in units.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Edges {
    /// Time from one edge to the next, in ticks of the counter.
    pub step: u64,
    /// Units per tick, as a power of two.
    pub finer: u32,
    /// Number of low bits of the counter that are cleared in each reading, to simulate a coarse clock; then `step` is
    /// 2^`coarse_bits`.
    pub coarse_bits: u8,
}

impl Edges {
    /// The edges by which to pace on a clock, if its steps are coarser than 10 ns. `simulated` is the step of the coarse clock
    /// to simulate, which is rounded to a power of two ticks, at least 2. A clock that is coarser than that stays as it is.
    pub fn of(clock: &Clock, simulated: Option<Nanos>) -> Option<Edges> {
        let own = coarse_step(clock);
        let wanted = simulated.map(|step| step.0 * clock.frequency_hz / 1e9);
        let coarse_bits = wanted.filter(|&ticks| own.is_none_or(|own| ticks > own as f64)).map_or(0, |ticks| {
            let bits = ticks.max(2.0).log2().round() as u8;
            bits.min(MOST_COARSE_BITS)
        });
        let step = if coarse_bits > 0 { 1 << coarse_bits } else { own? };
        let tick = clock.nanos(Ticks(1));
        let finer = (tick.0 / UNIT.0).max(1.0).log2().ceil() as u32;
        Some(Edges { step, finer: finer.min(MOST_FINER), coarse_bits })
    }

    /// Whether the coarse clock is simulated.
    pub fn simulated(self) -> bool {
        self.coarse_bits > 0
    }

    /// Time from one edge to the next, in units.
    pub fn step_units(self) -> u64 {
        self.step << self.finer
    }

    /// The clock whose ticks are the units. It converts times; [`Edges::now`] reads it.
    pub fn units(self, clock: Clock) -> Clock {
        let scale = (1_u64 << self.finer) as f64;
        let ticks = |ticks: u64| ticks.saturating_mul(1 << self.finer);
        Clock {
            frequency_hz: clock.frequency_hz * scale,
            resolution_ticks: ticks(self.step),
            read_ticks: ticks(clock.read_ticks),
        }
    }

    /// A reading of the counter, in units.
    #[inline]
    pub fn now(self) -> u64 {
        self.seen(now())
    }

    /// What a reading shows, in units.
    #[inline]
    fn seen(self, ticks: u64) -> u64 {
        (ticks >> self.coarse_bits << self.coarse_bits) << self.finer
    }

    /// The first edge at or after a time in units, as a time in units.
    pub fn next(self, time: u64) -> u64 {
        time.div_ceil(self.step_units()).saturating_mul(self.step_units())
    }

    /// The last edge at or before a time in units, in ticks of the counter, and the units from it to the time.
    pub fn split(self, time: u64) -> (u64, u64) {
        let step = self.step_units();
        ((time / step) * self.step, time % step)
    }
}

/// The step of a clock, in ticks, if it is coarse.
///
/// Two readings of a fine clock differ by at least the time of a reading, which calibration then finds as its smallest step.
/// So a step that is not much longer than a reading says nothing, unless it is a single tick.
fn coarse_step(clock: &Clock) -> Option<u64> {
    let Clock { resolution_ticks: step, read_ticks, .. } = *clock;
    let coarse = clock.nanos(step.into()) > FINE && (step == 1 || step > read_ticks.saturating_mul(2));
    coarse.then_some(step)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALTRA: Clock = Clock { frequency_hz: 25e6, resolution_ticks: 1, read_ticks: 1 };
    const TSC: Clock = Clock { frequency_hz: 2.5e9, resolution_ticks: 1, read_ticks: 25 };

    #[test]
    fn a_clock_is_paced_by_its_edges_where_its_steps_are_coarse() {
        let of = |hz, resolution_ticks| {
            Edges::of(&Clock { frequency_hz: hz, resolution_ticks, read_ticks: 1 }, None).map(|edges| edges.step)
        };
        // x86-64, POWER, Graviton 3 and 2 are fine.
        assert_eq!([2.5e9, 512e6, 1.05e9, 121.875e6].map(|hz| of(hz, 1)), [None; 4]);
        // Raspberry Pi 4, Altra, Apple, StarFive, an emulated one.
        assert_eq!([54e6, 25e6, 24e6, 4e6, 1e6].map(|hz| of(hz, 1)), [Some(1); 5]);
        // A counter that is stated to run at 1 GHz and changes every 40 ticks.
        assert_eq!((of(1e9, 40), of(1e9, 10), of(1e9, 11)), (Some(40), None, Some(11)));
        // A reading of a fine counter takes 30 ns under a hypervisor, so no smaller step is seen.
        let slow = |resolution_ticks, read_ticks| Clock { frequency_hz: 1e9, resolution_ticks, read_ticks };
        assert_eq!(Edges::of(&slow(28, 30), None), None);
        assert_eq!(
            (Edges::of(&slow(60, 30), None), Edges::of(&slow(61, 30), None).map(|edges| edges.step)),
            (None, Some(61))
        );
    }

    #[test]
    fn a_unit_is_at_most_half_a_nanosecond_and_a_power_of_two_of_a_tick() {
        for (hz, finer) in [(25e6, 7), (24e6, 7), (54e6, 6), (4e6, 9), (1e6, 11), (2.1e9, 0), (1e3, 21), (1.0, 24)] {
            let clock = Clock { frequency_hz: hz, resolution_ticks: 1, read_ticks: 3 };
            let edges = Edges::of(&clock, Some(Nanos(1.0))).unwrap();
            assert_eq!(edges.finer, finer, "{hz}");
            let units = edges.units(clock);
            assert_eq!(units.read_ticks, 3 << finer);
            assert_eq!(units.resolution_ticks, edges.step_units());
            assert!((units.nanos(Ticks(1 << finer)).0 / clock.nanos(Ticks(1)).0 - 1.0).abs() < 1e-12);
        }
    }

    #[test]
    fn a_simulated_step_is_the_nearest_power_of_two() {
        let bits = |ns| Edges::of(&TSC, Some(Nanos(ns))).unwrap();
        for (ns, coarse_bits) in
            [(40.0, 7), (250.0, 9), (1000.0, 11), (0.1, 1), (1e9, 30), (50.0, 7), (37.0, 7), (35.0, 6)]
        {
            assert_eq!(bits(ns).coarse_bits, coarse_bits, "{ns}");
            assert_eq!(bits(ns).step, 1 << coarse_bits);
            assert!(bits(ns).simulated());
        }
        // A simulated clock is never finer than the real one.
        assert_eq!(Edges::of(&ALTRA, Some(Nanos(2.0))).map(|edges| (edges.step, edges.simulated())), Some((1, false)));
        assert_eq!(
            Edges::of(&ALTRA, Some(Nanos(1000.0))).map(|edges| (edges.step, edges.simulated())),
            Some((32, true))
        );
        let forty = Clock { frequency_hz: 1e9, resolution_ticks: 40, read_ticks: 9 };
        assert_eq!(
            Edges::of(&forty, Some(Nanos(30.0))).map(|edges| (edges.step, edges.simulated())),
            Some((40, false))
        );
        // Nor is the smallest step that was seen the real one of a fine clock.
        assert_eq!(
            Edges::of(&Clock { resolution_ticks: 24, ..TSC }, Some(Nanos(4.0))).map(|edges| edges.step),
            Some(8)
        );
    }

    #[test]
    fn a_time_is_an_edge_and_a_rest() {
        let altra = Edges::of(&ALTRA, None).unwrap();
        assert_eq!((altra.step_units(), altra.seen(10)), (128, 1280));
        assert_eq!([altra.split(1280), altra.split(1279), altra.split(1281)], [(10, 0), (9, 127), (10, 1)]);
        assert_eq!([altra.next(1280), altra.next(1281), altra.next(0)], [1280, 1408, 0]);
        let simulated = Edges::of(&TSC, Some(Nanos(40.0))).unwrap();
        assert_eq!([simulated.seen(127), simulated.seen(128), simulated.seen(255)], [0, 128, 128]);
        assert_eq!([simulated.split(300), simulated.split(256)], [(256, 44), (256, 0)]);
        assert_eq!(simulated.next(129), 256);
        // A clock that counts 40 ticks at once has its edges 40 ticks apart.
        let forty = Edges { step: 40, finer: 1, coarse_bits: 0 };
        assert_eq!((forty.split(85), forty.next(81)), ((40, 5), 160));
    }
}
