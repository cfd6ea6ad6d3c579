//! Whether a thread has a neighbour on its core.
//!
//! A neighbour is another program that runs on another hardware thread of the core (SMT): a process, or another guest of a
//! hypervisor, which may show the hardware threads of a core as CPUs that share nothing. The two share the adders of the core. Each of
//! dependent additions still takes as long as before. So the time of independent additions, relative to that of dependent ones, grows by a
//! tenth to nine tenths while there is a neighbour. The ratio depends neither on the frequency of the core nor on that of the
//! counter. A neighbour that mostly waits for memory needs few adders, and is not seen.
//!
//! How large the ratio is without a neighbour is not known before. It is the smallest that this process has seen often on the CPU.
//! If much smaller ones follow, there was a neighbour before ([`Found::corrects`]).

use std::collections::BTreeMap;
use std::sync::Mutex;

use super::convert::whole;
use crate::arch::native::{COUNTER_WAITS_FOR_ADDITIONS, dependent_additions, independent_additions};
use crate::machine::Clock;

/// There is a neighbour if the ratio is more than this many times the usual one.
const SLOWED: f64 = 1.08;
/// Number of times that both kinds of additions are timed, in turns. The longest of each kind are left out: an interrupt came between.
const TIMES: usize = 6;
const COUNTED: usize = 4;
/// Additions last at least about so many steps of the clock.
const STEPS: u64 = 40;
/// The fewest independent additions, and the most: some 5 us.
const FEWEST: u64 = 4096;
const MOST: u64 = 1 << 15;
/// There are so many times fewer dependent additions, because they take longer.
const FEWER: u64 = 4;
/// The most additions of a core in a nanosecond: six a cycle, at 4 GHz.
const PER_NS: f64 = 24.0;

/// The probe of a thread.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Probe {
    /// Number of independent additions.
    additions: u64,
}

impl Probe {
    /// The probe for this host's clock. `None` if the steps of the clock are too long, or if a reading does not wait for additions.
    pub fn here(clock: Clock) -> Option<Probe> {
        Probe::new(clock).filter(|_| COUNTER_WAITS_FOR_ADDITIONS)
    }

    /// The probe for a clock. `None` if the steps of the clock are too long.
    pub fn new(clock: Clock) -> Option<Probe> {
        let step_ns = clock.nanos_of(clock.resolution_ticks as f64).0;
        let additions = whole(PER_NS * step_ns * STEPS as f64);
        (additions <= MOST).then_some(Probe { additions: additions.max(FEWEST) })
    }

    /// The time of independent additions on the core of the calling thread, relative to that of as many dependent ones. `None` if the
    /// clock stood still. `now` reads the counter in order with the additions.
    pub fn measure(self, now: impl Fn() -> u64) -> Option<f64> {
        self.measure_with(now, &dependent_additions, &independent_additions)
    }

    fn measure_with(self, now: impl Fn() -> u64, dependent: &dyn Fn(u64), independent: &dyn Fn(u64)) -> Option<f64> {
        let timed = |add: &dyn Fn(u64), number: u64| {
            let before = now();
            add(number);
            now().saturating_sub(before)
        };
        let mut times = [[0; TIMES]; 2];
        let [dependents, independents] = &mut times;
        for (one, other) in dependents.iter_mut().zip(independents) {
            *one = timed(dependent, self.additions / FEWER);
            *other = timed(independent, self.additions);
        }
        let [dependent, independent] = times.map(|mut times| {
            times.sort_unstable();
            times[..COUNTED].iter().sum::<u64>() as f64
        });
        Some(independent / (FEWER as f64 * dependent)).filter(|ratio| ratio.is_finite() && *ratio > 0.0)
    }
}

/// Ratios that were seen on a CPU.
#[derive(Debug, Clone)]
struct Ratios {
    /// Their number, by the logarithm of the ratio in units of 1/[`BINS`].
    bins: BTreeMap<u64, u64>,
    all: u64,
    /// The smallest usual ratio that was seen [`SURELY`] times; infinite before. Where a neighbour comes for long, the ratios without one
    /// become rare, and are the usual ones all the same.
    usual: f64,
}

/// Bins for a factor of e.
const BINS: f64 = 200.0;
/// The logarithm of a ratio of 1, in bins. Ratios are between 1/6 and 10.
const ONE: f64 = 1000.0;
/// Ratios without a neighbour differ by this many bins: 4 %.
const ALIKE: u64 = 8;
/// Seen often is at least this share of all looks. Rare ones that are smaller are those where the frequency changed within the probe.
const OFTEN: f64 = 0.1;
/// A usual ratio that was seen so often does not rise.
const SURELY: u64 = 5;

impl Default for Ratios {
    fn default() -> Ratios {
        Ratios { bins: BTreeMap::new(), all: 0, usual: f64::INFINITY }
    }
}

impl Ratios {
    /// Adds a ratio, and returns the usual one; infinite if there is none yet.
    fn add(&mut self, ratio: f64) -> f64 {
        *self.bins.entry(whole((ONE + BINS * ratio.ln()).round())).or_default() += 1;
        self.all += 1;
        let Some((often, times)) = self.often() else { return self.usual };
        let usual = self.usual.min(often);
        if times >= SURELY {
            self.usual = usual;
        }
        usual
    }

    /// The mean of the smallest ratios that were seen often and are alike, and their number.
    fn often(&self) -> Option<(f64, u64)> {
        let alike = |bin: u64| self.bins.range(bin..bin + ALIKE);
        let number = |bin: u64| alike(bin).map(|(_, number)| number).sum::<u64>();
        let often = OFTEN * self.all as f64;
        let &first = self.bins.keys().find(|bin| number(**bin) as f64 >= often)?;
        // The first that are often enough may be only the lower end of those without a neighbour.
        let ends = self.bins.range(first..=first + ALIKE).map(|(bin, _)| *bin);
        let most = ends.max_by_key(|bin| (number(*bin), std::cmp::Reverse(*bin))).unwrap_or(first);
        let sum: f64 = alike(most).map(|(bin, number)| *bin as f64 * *number as f64).sum();
        Some((((sum / number(most) as f64 - ONE) / BINS).exp(), number(most)))
    }
}

/// The ratios that this process has seen on each CPU.
static SEEN: Mutex<BTreeMap<usize, Ratios>> = Mutex::new(BTreeMap::new());

/// The core of a thread in a run.
#[derive(Debug)]
struct Core {
    cpu: usize,
    seen: Ratios,
    /// The largest usual ratio at a look of this run that found no neighbour; 0 if there was none.
    judged_by: f64,
}

/// The cores of the threads of a run.
#[derive(Debug)]
pub(super) struct Cores {
    cores: Vec<Core>,
}

/// What the probes of a look say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Found {
    /// Whether a thread has a neighbour.
    pub neighbour: bool,
    /// Whether there was a neighbour at looks of this run that found none.
    pub corrects: bool,
}

impl Cores {
    /// The cores of some CPUs, one of each thread, as this process knows them.
    pub fn of(cpus: &[usize]) -> Cores {
        let known = SEEN.lock().expect("no thread panics while holding this lock");
        let core = |&cpu: &usize| Core { cpu, seen: known.get(&cpu).cloned().unwrap_or_default(), judged_by: 0.0 };
        Cores { cores: cpus.iter().map(core).collect() }
    }

    /// Adds the ratios of a look, one of each thread. `None` if it is not known yet what is usual on a core.
    pub fn look(&mut self, ratios: &[f64]) -> Option<Found> {
        let (mut found, mut is_known) = (Found { neighbour: false, corrects: false }, true);
        for (core, &ratio) in self.cores.iter_mut().zip(ratios) {
            let usual = core.seen.add(ratio);
            is_known &= usual.is_finite();
            found.corrects |= core.judged_by > SLOWED * usual;
            let neighbour = ratio > SLOWED * usual;
            found.neighbour |= neighbour;
            core.judged_by = match (found.corrects, neighbour) {
                (true, _) => 0.0,
                (false, true) => core.judged_by,
                (false, false) => core.judged_by.max(usual),
            };
        }
        is_known.then_some(found)
    }

    /// Notes what a run has seen, for later runs of this process.
    pub fn keep(&self) {
        let mut known = SEEN.lock().expect("no thread panics while holding this lock");
        // No two runs at the same time use a CPU, so a run has seen what those before it have.
        known.extend(self.cores.iter().map(|core| (core.cpu, core.seen.clone())));
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    const CLOCK: Clock = Clock { frequency_hz: 2.5e9, resolution_ticks: 25, read_ticks: 25 };

    #[test]
    fn the_ratio_of_independent_to_dependent_additions_is_measured() {
        let probe = Probe::new(CLOCK).unwrap();
        // A core with so many adders; one of the times is interrupted.
        let ratio = |adders: u64| {
            let (ticks, times) = (Cell::new(0), Cell::new(0));
            let pass = |cycles: u64| {
                times.set(times.get() + 1);
                ticks.set(ticks.get() + cycles + if times.get() == 4 { 1_000_000 } else { 0 });
            };
            let found = probe.measure_with(|| ticks.get(), &|number| pass(number), &|number| pass(number / adders));
            assert_eq!(times.get(), 2 * TIMES);
            found.unwrap()
        };
        assert!((ratio(5) - 0.2).abs() < 1e-3 && (ratio(3) - 1.0 / 3.0).abs() < 1e-3, "{} {}", ratio(5), ratio(3));
        assert_eq!(probe.measure_with(|| 0, &|_| (), &|_| ()), None);
    }

    #[test]
    fn the_additions_of_this_host_take_time() {
        let clock = crate::record::shipped("2026-11-26T093808Z").host.clock_measured;
        let measure = |probe: Probe| probe.measure(crate::machine::ordered_ticks);
        // The counter of another host may be a thousand times as fast, so nothing is known of the ratio but that it is one.
        let here = Probe::new(clock).and_then(measure);
        assert!(here.is_none_or(|ratio| ratio > 0.0 && ratio.is_finite()), "{here:?}");
    }

    #[test]
    fn a_probe_is_as_long_as_the_clock_needs() {
        let of = |frequency_hz, resolution_ticks| Probe::new(Clock { frequency_hz, resolution_ticks, read_ticks: 1 });
        // 10 ns, 2 ns, 40 ns and 1 us.
        let additions = |probe: Option<Probe>| probe.map(|probe| probe.additions);
        assert_eq!([of(2.5e9, 25), of(5e8, 1), of(25e6, 1)].map(additions), [Some(9600), Some(4096), None]);
        assert_eq!(of(1e6, 1), None);
    }

    #[test]
    fn there_is_a_neighbour_if_a_core_is_slower_than_it_was() {
        let mut cores = Cores::of(&[1_000_013, 1_000_014]);
        let mut look = |ratios: [f64; 2]| {
            let Found { neighbour, corrects } = cores.look(&ratios).unwrap();
            (neighbour, corrects)
        };
        (0..20).for_each(|_| assert_eq!(look([0.3, 0.2]), (false, false)));
        assert_eq!(look([0.3, 0.2 * 1.05]), (false, false));
        assert_eq!(look([0.3, 0.2 * 1.09]), (true, false));
        assert_eq!(look([0.3 / 1.05, 0.2]), (false, false));
        // There was one at all looks so far, as is seen as soon as there are some others.
        assert_eq!([look([0.2, 0.2]), look([0.2, 0.2])], [(false, false), (false, false)]);
        assert_eq!([look([0.2, 0.2]), look([0.3, 0.2])], [(false, true), (true, false)]);
        // The usual ratio falls in small steps.
        let mut cores = Cores::of(&[1_000_015]);
        let found =
            |cores: &mut Cores, ratio: f64| (0..60).map(|_| cores.look(&[ratio])).any(|found| found.unwrap().corrects);
        assert_eq!([0.25, 0.24, 0.225].map(|ratio| found(&mut cores, ratio)), [false, false, true]);
    }

    #[test]
    fn the_usual_ratio_is_that_without_a_neighbour() {
        let mut ratios = Ratios::default();
        let is_near = |usual: f64, wanted: f64| assert!((usual / wanted - 1.0).abs() < 0.01, "{usual} {wanted}");
        is_near(ratios.add(0.14), 0.14);
        // The usual ones are spread, with a few below them.
        let add = |ratios: &mut Ratios, number: u32, of: &dyn Fn(f64) -> f64| {
            (0..number).map(|at| ratios.add(of(f64::from(at)))).last().unwrap()
        };
        is_near(add(&mut ratios, 60, &|at| 0.22 + 0.001 * (at % 10.0)), 0.2245);
        is_near(add(&mut ratios, 6, &|at| 0.2 + 0.003 * at), 0.2245);
        // A neighbour is there most of the time, however long, and hardly slows the core.
        is_near(add(&mut ratios, 100, &|at| 0.24 + 0.0001 * at), 0.2245);
        is_near(add(&mut ratios, 5000, &|at| 0.25 + 0.00002 * at), 0.2245);
        is_near(add(&mut ratios, 800, &|_| 0.14), 0.14);
        // It comes soon after the first looks.
        let mut ratios = Ratios::default();
        is_near(add(&mut ratios, 5, &|_| 0.22), 0.22);
        is_near(add(&mut ratios, 200, &|_| 0.3), 0.22);
        // What is spread widely says nothing.
        let mut cores = Cores::of(&[1_000_016]);
        let found: Vec<_> = (0..40).map(|at| cores.look(&[0.2 * 1.05_f64.powi(at)])).collect();
        assert!(found[0].is_some() && found[39].is_none(), "{found:?}");
    }

    #[test]
    fn a_process_remembers_its_cores() {
        // No machine has these CPUs.
        let cpus = [1_000_001, 1_000_002];
        let mut first = Cores::of(&cpus);
        let neighbour = |cores: &mut Cores, ratios: [f64; 2]| cores.look(&ratios).unwrap().neighbour;
        assert!(!neighbour(&mut first, [0.2, 0.3]));
        first.keep();
        let mut second = Cores::of(&[cpus[1], cpus[0]]);
        assert!(neighbour(&mut second, [0.3, 0.3]) && !neighbour(&mut second, [0.3, 0.2]));
    }
}
