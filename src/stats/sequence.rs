//! Confidence sequences: intervals that hold at every moment of a run at once.
//!
//! A fixed interval covers the true rate in 95 % of the runs whose length was chosen beforehand. A run that ends when
//! its interval looks good enough covers it less often. The intervals of a confidence sequence cover the true rate at
//! all moments at once in 95 % of the runs, so a run may end by what it has found (H. Robbins, "Statistical Methods
//! Related to the Law of the Iterated Logarithm", Annals of Mathematical Statistics 41(5), 1970).
//!
//! The sequence here is the beta-binomial mixture (S. Howard, A. Ramdas, J. McAuliffe, J. Sekhon, "Time-uniform,
//! Nonparametric, Nonasymptotic Confidence Sequences", Annals of Statistics 49(2), 2021): the rates p at which the
//! likelihood of the counts, mixed over a beta distribution, is less than 20 times their likelihood at p.

use statrs::function::gamma::ln_gamma;

use super::spread::effective;
use super::{Interval, LEVEL, bisect};

/// The parameters of the mixture, a beta distribution. A small `A` gives small rates much weight, so that the bound of
/// an event that was never seen stays near the fixed one: 1.7 times it after 10^9 trials.
const A: f64 = 0.1;
const B: f64 = 1.0;

/// From this argument on, Stirling's series is more precise than a difference of logarithms of the gamma function.
const STIRLING_FROM: f64 = 1e5;

/// The 95 % confidence sequence at this moment, with both counts divided by the design effect; `None` without trials,
/// and if `seen` exceeds `trials`.
///
/// ```
/// use wakerace::stats::{interval, sequence_with};
///
/// let (fixed, at_any_time) = (interval(0, 1_000_000).unwrap(), sequence_with(0, 1_000_000, 1.0).unwrap());
/// assert!(at_any_time.high > fixed.high && at_any_time.high < 2.0 * fixed.high);
/// ```
pub fn sequence_with(seen: u64, trials: u64, effect: f64) -> Option<Interval> {
    let (k, n) = effective(seen, trials, effect)?;
    let rate = k / n;
    let inside = |p: f64| log_likelihood_ratio(k, n, p) < -(1.0 - LEVEL).ln();
    // The ends are searched on a logarithmic scale, because they can be many orders of magnitude below 1.
    let least = 1e-30_f64.ln();
    let low = if k <= 0.0 { 0.0 } else { bisect(least, rate.ln(), |x| !inside(x.exp())).exp() };
    let high = if k >= n {
        1.0
    } else {
        let from = if k <= 0.0 { least } else { rate.ln() };
        bisect(from, 0.0, |x| inside(x.exp())).exp()
    };
    Some(Interval { level: LEVEL, low, high })
}

/// The logarithm of the mixed likelihood of `k` events in `n` trials over their likelihood at the rate `p`.
fn log_likelihood_ratio(k: f64, n: f64, p: f64) -> f64 {
    let rate = k / n;
    let seen = if k > 0.0 { k * (rate / p).ln() } else { 0.0 };
    let unseen = if n > k { (n - k) * ((-rate).ln_1p() - (-p).ln_1p()) } else { 0.0 };
    let prior = ln_gamma(A) + ln_gamma(B) - ln_gamma(A + B);
    seen + unseen + excess(k, A) + excess(n - k, B) - excess(n, A + B) - prior
}

/// ln Gamma(x + shift) less x ln x - x. The large terms of the three logarithms in [`log_likelihood_ratio`] cancel,
/// so they are left out.
fn excess(x: f64, shift: f64) -> f64 {
    if x < STIRLING_FROM {
        let large = if x > 0.0 { x * x.ln() - x } else { 0.0 };
        return ln_gamma(x + shift) - large;
    }
    // DLMF 5.11.8, of which the next term is of the order of 1/x^2.
    let half = 0.5 * (2.0 * std::f64::consts::PI).ln();
    (shift - 0.5) * x.ln() + half + (shift * (shift - 1.0) / 2.0 + 1.0 / 12.0) / x
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::interval;

    /// The ends for k of n, computed with 50 digits: the p at which
    /// betaln(0.1 + k, 1 + n - k) - betaln(0.1, 1) - k log(p) - (n - k) log(1 - p) is log(20).
    const KNOWN: [(u64, u64, f64, f64); 6] = [
        (0, 10, 0.0, 0.279_727_330_066),
        (0, 1_000_000_000, 0.0, 5.117_931_285_47e-9),
        (3, 1_000, 1.881_754_366_58e-4, 0.012_804_032_868_2),
        (50, 100_000_000, 2.702_799_119_34e-7, 8.331_691_694_6e-7),
        (250_000, 1_000_000, 0.247_984_062_714, 0.252_023_188_208),
        (4_000_000_000, 10_000_000_000, 0.399_972_477_535, 0.400_027_522_885),
    ];

    #[test]
    fn the_ends_are_those_of_the_mixture() {
        for (k, n, low, high) in KNOWN {
            let found = sequence_with(k, n, 1.0).unwrap();
            assert!((found.low - low).abs() <= 1e-6 * low, "{k}/{n}: {found:?}");
            assert!((found.high - high).abs() <= 1e-6 * high, "{k}/{n}: {found:?}");
        }
    }

    #[test]
    fn it_is_wider_than_the_fixed_interval_and_joins_at_the_change_of_formula() {
        for n in [1_u64, 10, 1000, 10_u64.pow(6), 10_u64.pow(10), 10_u64.pow(15)] {
            for k in [0, 1, 2, n / 1000, n / 3, n - n / 7, n - 1, n].into_iter().filter(|k| *k <= n) {
                let (fixed, found) = (interval(k, n).unwrap(), sequence_with(k, n, 1.0).unwrap());
                assert!(found.low <= fixed.low && found.high >= fixed.high, "{k}/{n}: {found:?} {fixed:?}");
            }
        }
        let at = |x: f64| excess(x, A);
        assert!((at(STIRLING_FROM * (1.0 - 1e-9)) - at(STIRLING_FROM)).abs() < 1e-7);
        assert_eq!((sequence_with(1, 0, 1.0), sequence_with(3, 2, 1.0)), (None, None));
        // A design effect widens it as that many fewer trials do. A zero has none.
        assert_eq!(sequence_with(400, 40_000, 4.0), sequence_with(100, 10_000, 1.0));
        assert_eq!(sequence_with(0, 1000, 7.0), sequence_with(0, 1000, 1.0));
    }

    /// The counts of `trials` at which an interval covers the rate, as a function of the count.
    fn covering(trials: u64, rate: f64, covers: &dyn Fn(u64, u64) -> bool) -> std::ops::RangeInclusive<u64> {
        let middle = (rate * trials as f64).round() as u64;
        let counts: Vec<u64> = (0..=trials).collect();
        let (below, above) = counts.split_at(middle as usize);
        let low = below.partition_point(|seen| !covers(*seen, trials)) as u64;
        let high = middle + above.partition_point(|seen| covers(*seen, trials)) as u64;
        low..=high.saturating_sub(1)
    }

    /// A thousand runs are looked at after every `step` trials, and each ends as soon as its interval does not cover
    /// the rate. Returns the number of these.
    fn missed(rate: f64, step: usize, covers: &dyn Fn(u64, u64) -> bool) -> usize {
        let moments: Vec<_> = (step as u64..=600).step_by(step).map(|trials| covering(trials, rate, covers)).collect();
        let mut random = fastrand::Rng::with_seed(20);
        let mut misses = || {
            let mut seen = 0;
            moments.iter().any(|moment| {
                seen += (0..step).filter(|_| random.f64() < rate).count() as u64;
                !moment.contains(&seen)
            })
        };
        (0..1000).filter(|_| misses()).count()
    }

    /// The fixed interval misses the rate in far more than 5 % of the runs that end by what they have found.
    #[test]
    fn it_covers_the_rate_at_every_moment_of_a_run() {
        let within = |found: Option<Interval>, rate: f64| found.is_some_and(|one| one.low <= rate && rate <= one.high);
        for rate in [0.5, 0.1, 0.01] {
            // The rate is inside where the ratio is below the bound. This is quicker than both ends.
            let inside = |seen: u64, of: u64| log_likelihood_ratio(seen as f64, of as f64, rate) < -(1.0 - LEVEL).ln();
            for of in [7, 50, 300] {
                for seen in 0..=of {
                    assert_eq!(inside(seen, of), within(sequence_with(seen, of, 1.0), rate), "{seen}/{of} {rate}");
                }
            }
            let runs = missed(rate, 1, &inside);
            assert!(runs <= 50, "{rate}: {runs} of 1000 runs");
        }
        let runs = missed(0.5, 20, &|seen, of| within(interval(seen, of), 0.5));
        assert!(runs > 100, "{runs}");
    }
}
