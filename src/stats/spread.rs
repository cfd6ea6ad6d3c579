//! The design effect: how much more the parts of a count differ than independent iterations would, and the resulting
//! confidence intervals.
//!
//! Iterations of one batch are nearly independent, but the state of the machine changes during a run and
//! between runs. So the counts are kept in parts: blocks of batches in time within a run, and repeats of the
//! run. The design effect is the variance of the rate as observed between the parts, divided by the variance
//! that as many independent iterations would have (L. Kish, "Survey Sampling", 1965). The interval is Clopper
//! and Pearson's with both counts divided by the design effect (E. Korn, B. Graubard, "Confidence Intervals for
//! Proportions with Small Expected Number of Positive Counts Estimated from Survey Data", Survey Methodology
//! 24(2), 1998).
//!
//! An event that was never seen has no observed variance, so its upper bound assumes independent iterations.

use super::{Interval, Z, interval_of, quantile_of_t};

/// The counts of one part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Count {
    /// How often the event was seen.
    pub seen: u64,
    /// The number of trials.
    pub of: u64,
}

/// The numbers of longer blocks into which the blocks of a run are joined. The largest design effect of all is taken.
///
/// Neighbouring blocks are alike as long as the machine stays in one state. Only blocks longer than that show
/// how much the rate changes. With four blocks, changes that occur ten times in a run are seen.
const LEVELS: [usize; 5] = [64, 32, 16, 8, 4];

/// The design effect of blocks that follow each other in time; at least 1.
pub fn effect_in_time(blocks: &[Count]) -> f64 {
    let levels = LEVELS.iter().filter(|level| **level <= blocks.len());
    levels.map(|level| effect(&joined(blocks, *level), true)).fold(1.0, f64::max)
}

/// The design effect of repeats, which are independent of each other; at least 1.
pub fn effect_between(repeats: &[Count]) -> f64 {
    effect(repeats, false)
}

/// Joins neighbouring blocks into `level` blocks of nearly equal length.
fn joined(blocks: &[Count], level: usize) -> Vec<Count> {
    let mut out = vec![Count { seen: 0, of: 0 }; level];
    for (at, block) in blocks.iter().enumerate() {
        let sum = &mut out[at * level / blocks.len()];
        *sum = Count { seen: sum.seen.saturating_add(block.seen), of: sum.of.saturating_add(block.of) };
    }
    out
}

/// The variance of the rate between parts over the variance of independent trials, with a correction for few parts.
///
/// The variance is that of a ratio estimator (W. Cochran, "Sampling Techniques", 1977, 2.11 and 6.4). If the
/// parts are `in_order`, the first autocorrelation adds what neighbouring parts have in common. The variance in
/// excess of that of independent trials is estimated from only this many parts. So Student's t replaces the
/// normal distribution, with Satterthwaite's degrees of freedom.
fn effect(parts: &[Count], in_order: bool) -> f64 {
    let count = parts.len() as f64;
    let (seen, of) = parts.iter().fold((0.0, 0.0), |(seen, of), part| (seen + part.seen as f64, of + part.of as f64));
    let rate = seen / of;
    let independent = of * rate * (1.0 - rate);
    // Without trials the rate is NaN.
    if parts.len() < 2 || independent.is_nan() || independent <= 0.0 {
        return 1.0;
    }
    let residuals: Vec<f64> = parts.iter().map(|part| part.seen as f64 - rate * part.of as f64).collect();
    let squares: f64 = residuals.iter().map(|residual| residual * residual).sum();
    let mut variance = squares * count / (count - 1.0);
    if in_order && squares > 0.0 {
        let neighbours: f64 = residuals.windows(2).map(|pair| pair[0] * pair[1]).sum();
        // Residuals add up to 0, which lowers their estimated autocorrelation by about 1 / count.
        let alike = neighbours / squares + 1.0 / count;
        variance *= 1.0 + 2.0 * alike.clamp(0.0, 1.0);
    }
    let excess = variance - independent;
    if excess <= 0.0 {
        return 1.0;
    }
    let freedom = (count - 1.0) * (variance / excess).powi(2);
    variance / independent * (quantile_of_t(freedom) / Z).powi(2)
}

/// The 95 % interval of a rate whose parts have this design effect; `None` without trials.
///
/// For an event that was never seen or was seen in every trial, this is [`super::interval`].
pub fn interval_with(seen: u64, trials: u64, effect: f64) -> Option<Interval> {
    effective(seen, trials, effect).map(|(seen, trials)| interval_of(seen, trials))
}

/// Both counts divided by the design effect; `None` without trials, and if `seen` exceeds `trials`. What was never seen or
/// was seen in every trial has no observed variance, so its counts stay as they are.
pub(super) fn effective(seen: u64, trials: u64, effect: f64) -> Option<(f64, f64)> {
    if trials == 0 || seen > trials {
        return None;
    }
    let effect = if seen == 0 || seen == trials { 1.0 } else { effect.max(1.0) };
    Some((seen as f64 / effect, trials as f64 / effect))
}

/// The design effect for races per match, from the design effect of the same races per iteration.
///
/// It adds the same relative variance to that of independent matches. This assumes equally frequent matches in
/// all parts, which is the worst case if both counts depend on the state of the machine.
pub fn effect_per_match(effect: f64, rate: f64, per_match: f64) -> f64 {
    let rest = 1.0 - per_match;
    if rest > 0.0 { 1.0 + (effect - 1.0).max(0.0) * (1.0 - rate) / rest } else { 1.0 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::interval;

    fn counts(parts: &[(u64, u64)]) -> Vec<Count> {
        parts.iter().map(|&(seen, of)| Count { seen, of }).collect()
    }

    #[test]
    fn the_effect_is_the_variance_of_the_parts_over_the_binomial_one() {
        // The rates of two parts of 100 are 0.4 and 0.6, so the residuals are 10 and -10. The variance is 200 *
        // 2 against 200 * 0.25. The excess is 350 with one degree of freedom: 400/350 squared gives 1.306
        // degrees of freedom.
        let found = effect_between(&counts(&[(40, 100), (60, 100)]));
        let wanted = 400.0 / 50.0 * (quantile_of_t((400.0_f64 / 350.0).powi(2)) / Z).powi(2);
        assert!((found - wanted).abs() < 1e-9 && found > 8.0, "{found} {wanted}");
        // No effect: equal parts, parts more equal than by chance, one part, no part, events seen never or
        // always, no trials.
        for alike in [
            &[(50, 100), (50, 100)][..],
            &[(50, 100), (51, 100)],
            &[(50, 100)],
            &[],
            &[(0, 9), (0, 9)],
            &[(9, 9), (4, 4)],
            &[(0, 0), (0, 0)],
        ] {
            assert_eq!((effect_between(&counts(alike)), effect_in_time(&counts(alike))), (1.0, 1.0), "{alike:?}");
        }
        // Parts of different lengths with the same rate show no effect.
        assert_eq!(effect_between(&counts(&[(10, 100), (1000, 10_000), (100, 1000)])), 1.0);
    }

    /// With many parts, the quantile of t approaches that of the normal distribution.
    #[test]
    fn few_parts_leave_more_open() {
        let far = |parts: usize| {
            let all: Vec<(u64, u64)> =
                (0..parts).map(|at| (if at % 2 == 0 { 400_000 } else { 600_000 }, 1_000_000)).collect();
            let variance = 1e10 * parts as f64 / (parts as f64 - 1.0) / 250_000.0;
            effect_between(&counts(&all)) / variance
        };
        // (t / z)^2 for 1, 3 and 63 degrees of freedom.
        for (parts, wanted) in [(2, 42.03), (4, 2.637), (64, 1.0395)] {
            assert!((far(parts) / wanted - 1.0).abs() < 2e-3, "{parts}: {} {wanted}", far(parts));
        }
    }

    #[test]
    fn neighbours_that_are_alike_count_as_fewer() {
        let blocks = |rate: fn(usize) -> u64| -> f64 {
            effect_in_time(&(0..64).map(|at| Count { seen: rate(at), of: 1_000_000 }).collect::<Vec<_>>())
        };
        let turns = blocks(|at| if at % 2 == 0 { 400_000 } else { 410_000 });
        let halves = blocks(|at| if at < 32 { 400_000 } else { 410_000 });
        assert!(turns < 150.0 && halves > 80.0 * turns, "{turns} {halves}");
        // Nine blocks do not divide evenly; each one is added to the right sum.
        let (a, b) = (joined(&counts(&[(1, 2); 9]), 4), counts(&[(3, 6), (2, 4), (2, 4), (2, 4)]));
        assert_eq!(a, b);
    }

    #[test]
    fn an_interval_widens_by_the_root_of_the_effect() {
        let (plain, wide) =
            (interval_with(260_000, 1_000_000, 1.0).unwrap(), interval_with(260_000, 1_000_000, 100.0).unwrap());
        assert_eq!(Some(plain), interval(260_000, 1_000_000));
        let times = (wide.high - wide.low) / (plain.high - plain.low);
        assert!((times - 10.0).abs() < 0.1, "{times}");
        assert!(wide.low < 0.26 && 0.26 < wide.high);
        // 2,600 of 10,000 gives the exact interval.
        let exact = interval(2600, 10_000).unwrap();
        assert!((wide.low - exact.low).abs() < 1e-4 && (wide.high - exact.high).abs() < 1e-4, "{wide:?} {exact:?}");
        // An effect below 1 does not narrow the interval. Rates of 0 and 1 have no observed variance.
        assert_eq!(interval_with(3, 10, 0.1), interval(3, 10));
        for (seen, trials) in [(0, 1000), (1000, 1000)] {
            assert_eq!(interval_with(seen, trials, 50.0), interval(seen, trials));
        }
        assert_eq!((interval_with(0, 0, 1.0), interval_with(2, 1, 1.0)), (None, None));
        // With effects larger than the count, at either end and in the middle, the interval still contains the rate.
        for (seen, trials, effect) in [
            (1, 1_000_000_000, 100.0),
            (7, 9, 3.0),
            (5, 1_000_000, 1e4),
            (999_999, 1_000_000, 50.0),
            (500_000, 1_000_000, 1e9),
        ] {
            let (found, rate) = (interval_with(seen, trials, effect).unwrap(), seen as f64 / trials as f64);
            assert!(
                0.0 <= found.low && found.low <= rate && rate <= found.high && found.high <= 1.0,
                "{seen}/{trials} {found:?}"
            );
        }
    }

    #[test]
    fn a_share_of_matches_has_the_spread_of_its_races() {
        assert_eq!(effect_per_match(1.0, 0.1, 0.5), 1.0);
        // The relative variance of k races of rate p with effect 5, minus the binomial part, applied to a fraction q.
        assert!((effect_per_match(5.0, 0.1, 0.5) - (1.0 + 4.0 * 0.9 / 0.5)).abs() < 1e-12);
        assert_eq!(effect_per_match(5.0, 0.1, 1.0), 1.0);
    }

    /// How the true rate of a simulated machine changes.
    enum Machine {
        /// It is constant.
        Still,
        /// It is multiplied by e^(spread * x), where x follows an AR(1) process with a correlation time of
        /// `steps` steps.
        Wanders { spread: f64, steps: f64 },
        /// It jumps between two rates, which are this fraction above and below the mean, after `steps` steps on
        /// average.
        Jumps { by: f64, steps: f64 },
    }

    struct Random(fastrand::Rng);

    impl Random {
        /// A normal deviate by the Box-Muller method.
        fn normal(&mut self) -> f64 {
            let radius = (-2.0 * (1.0 - self.0.f64()).ln()).sqrt();
            radius * (std::f64::consts::TAU * self.0.f64()).cos()
        }

        /// A random count of events with this rate in `of` trials.
        fn count(&mut self, rate: f64, of: u64) -> u64 {
            let mean = rate * of as f64;
            if mean > 50.0 {
                return (mean + (mean * (1.0 - rate)).sqrt() * self.normal()).round().clamp(0.0, of as f64) as u64;
            }
            // Knuth's method for a Poisson count.
            let (mut seen, mut left) = (0, self.0.f64());
            while left > (-mean).exp() {
                left *= self.0.f64();
                seen += 1;
            }
            seen
        }
    }

    const STEPS: usize = 256;

    /// The rate at each step of a run.
    fn rates(machine: &Machine, mean: f64, random: &mut Random) -> Vec<f64> {
        let mut at = random.normal();
        let mut high = random.0.bool();
        let mut next = || match *machine {
            Machine::Still => mean,
            Machine::Wanders { spread, steps } => {
                let keep = (-1.0 / steps).exp();
                at = keep * at + (1.0 - keep * keep).sqrt() * random.normal();
                // The mean of e^x is e^(variance / 2).
                (mean * (spread * at - spread * spread / 2.0).exp()).min(1.0)
            }
            Machine::Jumps { by, steps } => {
                high ^= random.0.f64() < 1.0 / steps;
                mean * if high { 1.0 + by } else { 1.0 - by }
            }
        };
        (0..STEPS).map(|_| next()).collect()
    }

    /// The coverage in per cent over 1,000 simulated runs, with the design effect and for independent iterations.
    ///
    /// Coverage is the fraction of runs whose interval contains the mean rate. Runs that never saw the event
    /// count too.
    fn coverage(machine: &Machine, mean: f64, trials: u64, repeats: usize) -> (f64, f64) {
        let mut random = Random(fastrand::Rng::with_seed(20_261_126));
        let (mut covered, mut plain) = (0, 0);
        for _ in 0..1000 {
            let mut blocks = Vec::new();
            let mut parts = Vec::new();
            for _ in 0..repeats {
                let each: Vec<Count> = rates(machine, mean, &mut random)
                    .chunks(2)
                    .map(|pair| Count {
                        seen: pair.iter().map(|rate| random.count(*rate, trials / 2)).sum(),
                        of: trials,
                    })
                    .collect();
                parts.push(joined(&each, 1)[0]);
                blocks = each;
            }
            let effect = if repeats > 1 { effect_between(&parts) } else { effect_in_time(&blocks) };
            let sum = joined(&parts, 1)[0];
            let covers =
                |interval: Option<Interval>| interval.is_some_and(|found| found.low <= mean && mean <= found.high);
            covered += u32::from(covers(interval_with(sum.seen, sum.of, effect)));
            plain += u32::from(covers(interval(sum.seen, sum.of)));
        }
        (f64::from(covered) / 10.0, f64::from(plain) / 10.0)
    }

    /// An interval printed as 95 % covers the true rate in 93 to 99 % of 1,000 simulated runs per case, for all
    /// kinds of change down to ten changes in a run. Under such changes the exact interval for independent
    /// iterations covers it rarely.
    #[test]
    fn an_interval_covers_the_rate_of_a_machine_that_moves() {
        let steps = STEPS as f64;
        let machines = [
            ("still", Machine::Still, 0.36, 1_000_000),
            ("still, 3 races in all", Machine::Still, 3e-8, 781_250),
            ("still, 100 races in all", Machine::Still, 1e-6, 781_250),
            ("wanders fast", Machine::Wanders { spread: 0.2, steps: 1.0 }, 0.36, 1_000_000),
            ("wanders", Machine::Wanders { spread: 0.2, steps: steps / 64.0 }, 0.36, 1_000_000),
            ("wanders slowly", Machine::Wanders { spread: 0.2, steps: steps / 25.0 }, 0.36, 1_000_000),
            ("wanders, 30 races in all", Machine::Wanders { spread: 0.5, steps: steps / 25.0 }, 3e-7, 781_250),
            ("jumps", Machine::Jumps { by: 0.3, steps: steps / 25.0 }, 0.36, 1_000_000),
            ("jumps slowly", Machine::Jumps { by: 0.3, steps: steps / 12.0 }, 0.36, 1_000_000),
            ("jumps, 30 races in all", Machine::Jumps { by: 0.9, steps: steps / 12.0 }, 3e-7, 781_250),
        ];
        for (name, machine, mean, trials) in machines {
            let (covered, plain) = coverage(&machine, mean, trials, 1);
            assert!((93.0..=99.5).contains(&covered), "{name}: {covered} %, taken as independent {plain} %");
            if mean == 0.36 && !matches!(machine, Machine::Still) {
                assert!(plain < 30.0, "{name}: {plain} %");
            }
        }
        // Each repeat keeps one rate for its whole length, so blocks within a repeat show no change.
        for repeats in [2, 3, 5, 10] {
            let (covered, plain) = coverage(&Machine::Wanders { spread: 0.1, steps: 1e12 }, 0.36, 100_000, repeats);
            assert!((93.0..=99.0).contains(&covered) && plain < 10.0, "{repeats}: {covered} %");
        }
    }
}
