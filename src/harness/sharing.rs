//! Whether another load uses the core of a thread.
//!
//! While both hardware threads of a core run (SMT), each gets about half of its adders. Dependent additions still take a cycle each.
//! So the time of independent additions, relative to that of dependent ones, grows by a tenth to nine tenths while another
//! load runs on the second hardware thread: another process, or another guest of a hypervisor, which may show the hardware threads of a
//! core as CPUs that share nothing. The ratio depends neither on the frequency of the core nor on that of the counter. A load that mostly
//! waits for memory needs few adders, and is not seen.
//!
//! How large the ratio is on a core that is not shared is not known before. It is the smallest that this process has seen often on the CPU.
//! What earlier looks took for it was wrong if much smaller ones follow ([`Found::corrects`]).

use std::collections::BTreeMap;
use std::sync::Mutex;

use super::convert::whole;
use crate::arch::native::{dependent_additions, independent_additions};
use crate::machine::Clock;

/// A core is shared if the ratio is more than this many times the usual one without another load.
const SHARED: f64 = 1.06;
/// Number of times that both kinds of additions are timed, in turns. The longest of each kind are left out: an interrupt came between.
const TIMES: usize = 6;
const COUNTED: usize = 4;
/// Additions last at least about so many steps of the clock.
const STEPS: u64 = 40;
/// The fewest independent additions, and the most: some 5 us.
const FEWEST: u64 = 4096;
const MOST: u64 = 1 << 17;
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
    /// The probe for a clock. `None` if the steps of the clock are too long.
    pub fn new(clock: Clock) -> Option<Probe> {
        let step_ns = clock.nanos_of(clock.resolution_ticks as f64).0;
        let additions = whole(PER_NS * step_ns * STEPS as f64);
        (additions <= MOST).then_some(Probe { additions: additions.max(FEWEST) })
    }

    /// About how long a probe takes, in ticks of a clock.
    pub fn cost_ticks(self, clock: Clock) -> f64 {
        let a_nanosecond = clock.frequency_hz / 1e9;
        (2 * TIMES) as f64 * self.additions as f64 / PER_NS * a_nanosecond
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
#[derive(Debug, Clone, Default)]
struct Ratios {
    /// Their number, by the logarithm of the ratio in units of 1/[`BINS`].
    bins: BTreeMap<u64, u64>,
    all: u64,
}

/// Bins for a factor of e.
const BINS: f64 = 200.0;
/// The logarithm of a ratio of 1, in bins. Ratios are between 1/6 and 10.
const ONE: f64 = 1000.0;
/// Ratios of a core that is not shared differ by this many bins: 4 %.
const ALIKE: u64 = 8;
/// Seen often is at least this share of all looks. Rare ones that are smaller are those where the frequency changed within the probe.
const OFTEN: f64 = 0.1;

impl Ratios {
    fn add(&mut self, ratio: f64) {
        *self.bins.entry(whole((ONE + BINS * ratio.ln()).round())).or_default() += 1;
        self.all += 1;
    }

    /// The usual ratio without another load: the mean of the smallest that were seen often and are alike. Infinite if there are none.
    fn usual(&self) -> f64 {
        let alike = |bin: u64| self.bins.range(bin..bin + ALIKE);
        let number = |bin: u64| alike(bin).map(|(_, number)| number).sum::<u64>();
        let often = OFTEN * self.all as f64;
        let Some(&first) = self.bins.keys().find(|bin| number(**bin) as f64 >= often) else { return f64::INFINITY };
        // The first that are often enough are only the lower end of the usual ones.
        let ends = self.bins.range(first..first + 2 * ALIKE).map(|(bin, _)| *bin);
        let most = ends.max_by_key(|bin| (number(*bin), std::cmp::Reverse(*bin))).unwrap_or(first);
        let sum: f64 = alike(most).map(|(bin, number)| *bin as f64 * *number as f64).sum();
        ((sum / number(most) as f64 - ONE) / BINS).exp()
    }
}

/// The ratios that this process has seen on each CPU.
static SEEN: Mutex<BTreeMap<usize, Ratios>> = Mutex::new(BTreeMap::new());

/// The cores of the threads of a run.
#[derive(Debug)]
pub(super) struct Cores {
    /// The CPU of each thread, and what was seen there.
    seen: Vec<(usize, Ratios)>,
}

/// What the probes of a look say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Found {
    /// Whether another load uses one of the cores.
    pub shared: bool,
    /// Whether cores that looks of this run took for not shared were shared all the same.
    pub corrects: bool,
}

impl Cores {
    /// The cores of some CPUs, one of each thread, as this process knows them.
    pub fn of(cpus: &[usize]) -> Cores {
        let known = SEEN.lock().expect("no thread panics while holding this lock");
        Cores { seen: cpus.iter().map(|cpu| (*cpu, known.get(cpu).cloned().unwrap_or_default())).collect() }
    }

    /// Adds the ratios of a look, one of each thread.
    pub fn look(&mut self, ratios: &[f64]) -> Found {
        let mut found = Found { shared: false, corrects: false };
        for ((_, seen), &ratio) in self.seen.iter_mut().zip(ratios) {
            let before = seen.usual();
            seen.add(ratio);
            let usual = seen.usual();
            found.corrects |= before.is_finite() && before > SHARED * usual;
            found.shared |= ratio > SHARED * usual;
        }
        found
    }

    /// Notes what a run has seen, for later runs of this process.
    pub fn keep(&self) {
        let mut known = SEEN.lock().expect("no thread panics while holding this lock");
        // No two runs at the same time use a CPU, so a run has seen what those before it have.
        known.extend(self.seen.iter().cloned());
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
        // A core of five adders, at another frequency each time; one of the times is interrupted.
        let ratio = |adders: u64| {
            let (ticks, times) = (Cell::new(0), Cell::new(0));
            let pass = |cycles: u64| {
                times.set(times.get() + 1);
                ticks.set(ticks.get() + cycles + if times.get() == 4 { 1_000_000 } else { 0 });
            };
            let found = probe.measure_with(|| ticks.get(), &|number| pass(number), &|number| pass(number / adders));
            assert_eq!(times.get(), 2 * TIMES as u64);
            found.unwrap()
        };
        assert!((ratio(5) - 0.2).abs() < 1e-3 && (ratio(3) - 1.0 / 3.0).abs() < 1e-3, "{} {}", ratio(5), ratio(3));
        assert_eq!(probe.measure_with(|| 0, &|_| (), &|_| ()), None);
        let here = probe.measure(crate::machine::ordered_ticks);
        assert!(here.is_some_and(|ratio| ratio > 0.05 && ratio < 50.0), "{here:?}");
    }

    #[test]
    fn a_probe_is_as_long_as_the_clock_needs() {
        let of = |frequency_hz, resolution_ticks| Probe::new(Clock { frequency_hz, resolution_ticks, read_ticks: 1 });
        // 10 ns, 2 ns, 40 ns and 1 us.
        let additions = |probe: Option<Probe>| probe.map(|probe| probe.additions);
        assert_eq!([of(2.5e9, 25), of(5e8, 1), of(25e6, 1)].map(additions), [Some(9600), Some(4096), Some(38_400)]);
        assert_eq!(of(1e6, 1), None);
        let probe = of(2.5e9, 25).unwrap();
        assert!((probe.cost_ticks(CLOCK) - 12.0 * 400.0 * 2.5).abs() < 1e-6, "{}", probe.cost_ticks(CLOCK));
    }

    #[test]
    fn a_core_is_shared_if_its_adders_are_slower_than_they_were() {
        let mut cores = Cores { seen: vec![(0, Ratios::default()), (1, Ratios::default())] };
        let mut look = |ratios: [f64; 2]| {
            let Found { shared, corrects } = cores.look(&ratios);
            (shared, corrects)
        };
        (0..20).for_each(|_| assert_eq!(look([0.3, 0.2]), (false, false)));
        assert_eq!(look([0.3, 0.2 * 1.05]), (false, false));
        assert_eq!(look([0.3, 0.2 * 1.09]), (true, false));
        assert_eq!(look([0.3 / 1.05, 0.2]), (false, false));
        // The looks so far were at a shared core, as soon as there are some others.
        assert_eq!([look([0.2, 0.2]), look([0.2, 0.2])], [(false, false), (false, false)]);
        assert_eq!([look([0.2, 0.2]), look([0.3, 0.2])], [(false, true), (true, false)]);
    }

    #[test]
    fn outliers_are_not_what_a_core_gives() {
        let mut ratios = Ratios::default();
        assert_eq!(ratios.usual(), f64::INFINITY);
        let near = |ratios: &Ratios, wanted: f64| (ratios.usual() / wanted - 1.0).abs() < 0.01;
        ratios.add(0.14);
        assert!(near(&ratios, 0.14));
        // The usual ones are spread, with a few below them.
        (0..60).for_each(|at| ratios.add(0.22 + 0.001 * f64::from(at % 10)));
        (0..6).for_each(|at| ratios.add(0.2 + 0.003 * f64::from(at)));
        assert!(near(&ratios, 0.2245), "{ratios:?}");
        // Another load is there most of the time.
        (0..400).for_each(|at| ratios.add(0.25 + 0.0002 * f64::from(at)));
        assert!(near(&ratios, 0.2245), "{ratios:?}");
        (0..60).for_each(|_| ratios.add(0.14));
        assert!(near(&ratios, 0.14), "{ratios:?}");
    }

    #[test]
    fn a_process_remembers_its_cores() {
        // No machine has these CPUs.
        let cpus = [1_000_001, 1_000_002];
        let mut first = Cores::of(&cpus);
        assert!(!first.look(&[0.2, 0.3]).shared);
        first.keep();
        let mut second = Cores::of(&[cpus[1], cpus[0]]);
        assert!(second.look(&[0.3, 0.3]).shared && !second.look(&[0.3, 0.2]).shared);
    }
}
