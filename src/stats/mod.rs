//! Rates and their confidence intervals. This module does not depend on where the numbers come from.

mod sequence;
mod spread;
mod strata;

use statrs::function::gamma::{gamma_lr, ln_gamma};

pub use sequence::sequence_with;
pub use spread::{Count, effect_between, effect_in_time, effect_per_match, interval_with};
pub use strata::{APART, Distances, Levels, Stratum, apart, matched, same_distance, stratum_of};

/// The confidence level of every interval that wakerace prints.
pub const LEVEL: f64 = 0.95;

/// A confidence interval for a probability.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
pub struct Interval {
    /// The confidence level: the least fraction of such intervals that cover the true value.
    pub level: f64,
    /// The lower end; 0 if the event was never seen.
    pub low: f64,
    /// The upper end; 1 if the event was seen in every trial.
    pub high: f64,
}

/// If both outcomes occur more often than this, the binomial distribution is so close to a normal one that
/// Wilson's score interval differs from Clopper and Pearson's by less than a thousandth of its width.
const NORMAL_ABOVE: f64 = 100_000.0;
/// Below this rate the binomial distribution is so close to a Poisson one that the first six digits of the
/// interval agree.
const POISSON_BELOW: f64 = 1e-6;
/// The 97.5 % point of the standard normal distribution.
const Z: f64 = 1.959_963_984_540_054;

/// The fraction `seen / of`; `None` if `of` is 0.
pub fn share(seen: u64, of: u64) -> Option<f64> {
    (of > 0).then(|| seen as f64 / of as f64)
}

/// The median of the values, which is the mean of the two middle ones if their number is even; 0 if there are none.
pub fn median(mut values: Vec<f64>) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    match values.len() {
        0 => 0.0,
        odd if odd % 2 == 1 => values[odd / 2],
        even => values[even / 2 - 1].midpoint(values[even / 2]),
    }
}

/// The 95 % Clopper-Pearson interval for the rate of an event that was seen `seen` times in `trials` trials.
///
/// If the event was never seen, this is the one-sided upper bound 1 - 0.05^(1/n). If it was seen in every
/// trial, it is the corresponding lower bound. `None` without trials, and if `seen` exceeds `trials`.
///
/// The interval assumes independent trials. If the rate changes during a run, neighbouring trials are alike and this
/// interval is too narrow; use [`interval_with`] then.
///
/// ```
/// use wakerace::stats::interval;
///
/// // An event that was not seen in a million trials is rarer than 3 in a million, with 95 % confidence.
/// let never = interval(0, 1_000_000).expect("there were trials");
/// assert!(never.low == 0.0 && (2.99e-6..3.0e-6).contains(&never.high));
/// let half = interval(500, 1000).expect("there were trials");
/// assert!(half.low > 0.46 && half.high < 0.54);
/// assert!(interval(0, 0).is_none());
/// ```
pub fn interval(seen: u64, trials: u64) -> Option<Interval> {
    (trials > 0 && seen <= trials).then(|| interval_of(seen as f64, trials as f64))
}

/// The interval for counts that need not be whole numbers: counts divided by a design effect. 0 <= `k` <= `n`,
/// 0 < `n`.
pub fn interval_of(k: f64, n: f64) -> Interval {
    let tail = (1.0 - LEVEL) / 2.0;
    let one_sided = (1.0 - LEVEL).ln() / n;
    let (low, high) = if k <= 0.0 {
        (0.0, -one_sided.exp_m1())
    } else if k >= n {
        (one_sided.exp(), 1.0)
    } else if k.min(n - k) > NORMAL_ABOVE {
        wilson(k, n)
    } else if k / n < POISSON_BELOW {
        (poisson(tail, k) / n, (poisson(1.0 - tail, k + 1.0) / n).min(1.0))
    } else {
        (beta_quantile(tail, k, n - k + 1.0), beta_quantile(1.0 - tail, k + 1.0, n - k))
    };
    Interval { level: LEVEL, low, high }
}

/// The 97.5 % point of Student's t distribution. The degrees of freedom need not be a whole number.
fn quantile_of_t(freedom: f64) -> f64 {
    // Above this the point agrees with the normal distribution's to five digits.
    if freedom > 1e6 {
        return Z;
    }
    // P(|t| > x) is the regularised incomplete beta function of freedom / (freedom + x^2) with parameters
    // freedom / 2 and 1/2 (Abramowitz and Stegun 26.7.1). The smallest case, two parts with one degree of
    // freedom, has its point at 12.7.
    bisect(0.0, 1e4, |x| regularised_beta(freedom / (freedom + x * x), freedom / 2.0, 0.5) > 1.0 - LEVEL)
}

/// The x at which the distribution function of the gamma distribution with shape `a` reaches `p`.
fn poisson(p: f64, a: f64) -> f64 {
    let spread = 20.0 + 10.0 * a.sqrt();
    bisect((a - spread).max(1e-12), a + spread, |x| gamma_lr(a, x) < p)
}

/// The x at which the distribution function of the beta distribution reaches `p`.
///
/// Newton's method from the mean. A step that leaves the interval in which the point must lie is replaced by half of that
/// interval. This takes about eight steps; bisection takes 60, and pages and validation need thousands of intervals.
fn beta_quantile(p: f64, a: f64, b: f64) -> f64 {
    const ENOUGH: f64 = 1e-13;
    let scale = ln_gamma(a + b) - ln_gamma(a) - ln_gamma(b);
    let density = |x: f64| (scale + (a - 1.0) * x.ln() + (b - 1.0) * (-x).ln_1p()).exp();
    let (mut low, mut high) = (0.0, 1.0);
    let mut x = a / (a + b);
    for _ in 0..200 {
        let above = regularised_beta(x, a, b) - p;
        if above < 0.0 {
            low = x;
        } else {
            high = x;
        }
        let step = x - above / density(x);
        // A step that is not a number is outside too.
        let next = if step > low && step < high { step } else { low + (high - low) / 2.0 };
        if (next - x).abs() <= ENOUGH * x {
            return next;
        }
        x = next;
    }
    x
}

/// The point between `low`, where `below` holds, and `high`, where it does not, at which it stops holding.
fn bisect(mut low: f64, mut high: f64, below: impl Fn(f64) -> bool) -> f64 {
    for _ in 0..200 {
        let middle = low + (high - low) / 2.0;
        if middle <= low || middle >= high {
            break;
        }
        if below(middle) {
            low = middle;
        } else {
            high = middle;
        }
    }
    low + (high - low) / 2.0
}

/// Wilson's score interval with continuity correction (Newcombe 1998, method 4).
fn wilson(k: f64, n: f64) -> (f64, f64) {
    let p = k / n;
    let z2 = Z * Z;
    let centre = 2.0 * n * p + z2;
    let scale = 2.0 * (n + z2);
    let half = |sign: f64| Z * (z2 - 1.0 / n + 4.0 * n * p * (1.0 - p) + sign * (4.0 * p - 2.0)).sqrt() + 1.0;
    ((centre - half(1.0)) / scale, (centre + half(-1.0)) / scale)
}

/// The regularised incomplete beta function, from its continued fraction by Lentz's method (DLMF 8.17.22).
///
/// The function in statrs stops after 140 terms even if it has not converged. With parameters of 10^6 it needs
/// thousands of terms.
fn regularised_beta(x: f64, a: f64, b: f64) -> f64 {
    if x <= 0.0 || x >= 1.0 {
        return x.clamp(0.0, 1.0);
    }
    // The fraction converges fast below the mean. Above the mean the symmetric form does.
    if x > (a + 1.0) / (a + b + 2.0) {
        return 1.0 - regularised_beta(1.0 - x, b, a);
    }
    const TINY: f64 = 1e-300;
    let away_from_zero = |value: f64| if value.abs() < TINY { TINY } else { value };
    let front = (ln_gamma(a + b) - ln_gamma(a) - ln_gamma(b) + a * x.ln() + b * (-x).ln_1p()).exp() / a;
    let mut c = 1.0;
    let mut d = 1.0 / away_from_zero(1.0 - (a + b) * x / (a + 1.0));
    let mut fraction = d;
    for term in 1..1_000_000 {
        let m = f64::from(term);
        let even = m * (b - m) * x / ((a + 2.0 * m - 1.0) * (a + 2.0 * m));
        let odd = -(a + m) * (a + b + m) * x / ((a + 2.0 * m) * (a + 2.0 * m + 1.0));
        for numerator in [even, odd] {
            d = 1.0 / away_from_zero(1.0 + numerator * d);
            c = away_from_zero(1.0 + numerator / c);
            fraction *= c * d;
        }
        if (c * d - 1.0).abs() < 1e-14 {
            break;
        }
    }
    front * fraction
}

/// The probability that an event seen `seen` times is seen again in a run of the same length: 1 - e^-n (Sorensen and
/// Donaldson, OOPSLA 2016, for runs whose races are Poisson events).
pub fn reproducibility(seen: u64) -> f64 {
    -(-(seen as f64)).exp_m1()
}

/// A comparison of the rates at the beginning and at the end of a run.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
pub struct Drift {
    /// The Kolmogorov-Smirnov statistic between the first fifth and the last tenth of the batches: the largest
    /// distance between the distribution functions of their rates.
    pub statistic: f64,
    /// The probability of a distance at least as large if the rate had not changed.
    pub p: f64,
}

/// The smallest distance that is reported as drift. A smaller one is not reported even if it is significant.
const DRIFT_FROM: f64 = 0.2;
/// The significance level below which a distance is reported as drift.
const DRIFT_BELOW: f64 = 1e-3;

impl Drift {
    /// Whether the rate at the end differs clearly from the rate at the beginning.
    pub fn is_flagged(self) -> bool {
        self.statistic >= DRIFT_FROM && self.p < DRIFT_BELOW
    }
}

/// Compares the first fifth of the rates with the last tenth. `None` if the last tenth has fewer than 20 rates.
pub fn drift(rates: &[f32]) -> Option<Drift> {
    let (first, last) = (&rates[..rates.len() / 5], &rates[rates.len() - rates.len() / 10..]);
    if last.len() < 20 {
        return None;
    }
    let sorted = |rates: &[f32]| {
        let mut rates = rates.to_vec();
        rates.sort_unstable_by(f32::total_cmp);
        rates
    };
    let (a, b) = (sorted(first), sorted(last));
    let (mut i, mut j, mut statistic) = (0, 0, 0.0f64);
    while i < a.len() && j < b.len() {
        let value = a[i].min(b[j]);
        while i < a.len() && a[i] <= value {
            i += 1;
        }
        while j < b.len() && b[j] <= value {
            j += 1;
        }
        statistic = statistic.max((i as f64 / a.len() as f64 - j as f64 / b.len() as f64).abs());
    }
    // The asymptotic distribution with Stephens' correction for small samples (Journal of the Royal Statistical
    // Society B 32, 1970).
    let n = (a.len() as f64 * b.len() as f64 / (a.len() + b.len()) as f64).sqrt();
    let lambda = (n + 0.12 + 0.11 / n) * statistic;
    let term = |k: i32| (-2.0 * f64::from(k * k) * lambda * lambda).exp() * if k % 2 == 1 { 2.0 } else { -2.0 };
    let p = if lambda < 0.2 { 1.0 } else { (1..=100).map(term).sum::<f64>().clamp(0.0, 1.0) };
    Some(Drift { statistic, p })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Quantiles of the beta distribution from scipy 1.x. For k = 0 and k = n they are from the closed form.
    const KNOWN: [(u64, u64, f64, f64); 15] = [
        (90, 1000, 0.072_990_466_457, 0.109_466_573_138),
        (0, 10, 0.0, 0.258_865_550_893),
        (10, 10, 0.741_134_449_107, 1.0),
        (1, 10, 0.002_528_578_544_46, 0.445_016_117_028),
        (3, 10, 0.066_739_511_177_7, 0.652_452_850_06),
        (7, 1000, 0.002_818_858_759_62, 0.014_369_194_978_9),
        (1, 1_000_000_000, 2.531_780_798_4e-11, 5.571_643_429_12e-9),
        (50, 100_000_000, 3.711_096_594_35e-7, 6.591_876_141_76e-7),
        (123_456, 1_000_000_000_000, 1.227_682_887_41e-7, 1.241_466_083_52e-7),
        (1000, 1_000_000, 0.000_939_001_207_95, 0.001_063_918_107_32),
        (99_999, 200_000, 0.497_801_207_019, 0.502_188_793_126),
        (250_000, 1_000_000, 0.249_151_535_686, 0.250_849_912_597),
        (4_000_000_000, 10_000_000_000, 0.399_990_398_156, 0.400_009_601_902),
        (999_999, 1_000_000, 0.999_994_428_369, 0.999_999_974_682),
        (200, 10_000_000, 1.732_411_058_09e-5, 2.297_216_402_74e-5),
    ];

    #[test]
    fn intervals_are_those_of_the_textbook() {
        for (k, n, low, high) in KNOWN {
            let found = interval(k, n).unwrap();
            let width = high - low;
            assert!((found.low - low).abs() < 2e-3 * width, "{k}/{n}: {found:?}");
            assert!((found.high - high).abs() < 2e-3 * width, "{k}/{n}: {found:?}");
        }
    }

    /// Two-sided 95 % points of Student's t from published tables.
    #[test]
    fn students_t_is_that_of_the_tables() {
        for (freedom, wanted) in
            [(1.0, 12.7062), (2.0, 4.3027), (3.0, 3.1824), (7.0, 2.3646), (30.0, 2.0423), (120.0, 1.9799), (1e7, 1.96)]
        {
            let found = quantile_of_t(freedom);
            assert!((found - wanted).abs() < 1e-4, "{freedom}: {found}");
        }
        assert!(quantile_of_t(1.5) < 12.7 && quantile_of_t(1.5) > 4.31);
    }

    #[test]
    fn the_middle_of_some_values() {
        assert_eq!((median(vec![3.0, 1.0, 2.0]), median(vec![3.0, 9.0, 1.0, 2.0])), (2.0, 2.5));
        assert_eq!((median(Vec::new()), share(1, 4), share(1, 0)), (0.0, Some(0.25), None));
    }

    #[test]
    fn three_races_are_seen_again_with_95_per_cent() {
        assert_eq!(reproducibility(0), 0.0);
        assert!((reproducibility(1) - 0.632_120_558_8).abs() < 1e-9);
        assert!((reproducibility(3) - 0.950_212_931_6).abs() < 1e-9);
    }

    #[test]
    fn a_drift_is_told_from_noise() {
        // Repeatable noise between 0.4 and 0.6.
        let noise = |at: u32| 0.4 + 0.2 * ((at.wrapping_mul(2_654_435_761) >> 8) & 0xffff) as f32 / 65536.0;
        let still: Vec<f32> = (0..2000).map(noise).collect();
        let found = drift(&still).unwrap();
        assert!(!found.is_flagged() && found.p > 0.01, "{found:?}");
        let moving: Vec<f32> = (0..2000).map(|at| noise(at) + at as f32 * 1e-4).collect();
        let found = drift(&moving).unwrap();
        assert!(found.is_flagged() && found.statistic > 0.5, "{found:?}");
        assert_eq!(drift(&still[..100]), None);
        assert!(!drift(&[0.0; 1000]).unwrap().is_flagged());
        // 0 to 39 against 18 to 37: scipy.stats.ks_2samp gives D = 0.45 and p = 0.0074 (exact) or 0.0064
        // (asymptotic).
        let mut rates = vec![0.0f32; 200];
        for (at, rate) in rates.iter_mut().enumerate() {
            *rate = if at < 180 { at as f32 } else { (at - 180 + 18) as f32 };
        }
        let found = drift(&rates).unwrap();
        assert!((found.statistic - 0.45).abs() < 1e-9, "{found:?}");
        assert!((found.p - 0.00574).abs() < 1e-4, "{found:?}");
    }

    /// A distance that is only large or only significant is not reported as drift.
    #[test]
    fn a_drift_is_both_large_and_sure() {
        let flagged = |statistic, p| Drift { statistic, p }.is_flagged();
        assert!(flagged(0.2, 0.000_9) && flagged(1.0, 0.0));
        assert!(!flagged(0.199, 0.0) && !flagged(0.9, 0.001) && !flagged(0.9, 0.5));
    }

    #[test]
    fn zero_has_the_rule_of_three() {
        let bound = interval(0, 1_000_000_000).unwrap();
        assert_eq!(bound.low, 0.0);
        assert!((bound.high - 2.995_732_269e-9).abs() < 1e-17, "{bound:?}");
        assert_eq!(interval(0, 0), None);
        assert_eq!(interval(2, 1), None);
    }

    #[test]
    fn every_count_gives_an_interval_around_its_rate_at_once() {
        for n in [1_u64, 2, 17, 1000, 1_000_000, 10_u64.pow(10), 10_u64.pow(18)] {
            let counts = [0, 1, 2, n / 1_000_000, n / 1000, n / 3, n / 2, n - n / 7, n - 1, n];
            for k in counts.into_iter().filter(|k| *k <= n) {
                let rate = k as f64 / n as f64;
                let Some(found) = interval(k, n) else { panic!("{k} of {n}") };
                assert!(
                    found.low <= rate && rate <= found.high && found.low >= 0.0 && found.high <= 1.0,
                    "{k}/{n} {found:?}"
                );
            }
        }
    }
}
