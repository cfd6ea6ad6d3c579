//! Strata: the distances that there were between two CPUs.
//!
//! A hypervisor moves virtual CPUs, so that a line takes 17 ns from one to the other in one second and 230 ns in the next.
//! Distances are measured many times in a run. [`Distances`] sorts them by their logarithm and divides them where there is
//! a valley. [`Levels`] is for use while they come in: it says at once which earlier distances a new one is like.

use std::collections::BTreeMap;
use std::ops::Range;

/// The least ratio of the distances of two strata.
pub const APART: f64 = 1.6;
/// Bins per doubling of the distance. Three empty bins in a row are a gap of a factor of 1.3.
const PER_OCTAVE: f64 = 8.0;
/// A bin is a valley if it has less than this share of the lower of the two peaks beside it. Counts are smoothed over
/// three bins first.
const DEPTH: f64 = 0.15;
/// A stratum has at least this share of the distances. Rarer ones are outliers.
const RARE: f64 = 0.002;
/// A distance belongs to a level if it differs from it by less than this factor.
const NEAR: f64 = 1.3;
/// The most levels. Distances from 2 ns to 10 us have no room for more.
const MOST_LEVELS: usize = 32;

/// A distance that there was.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Stratum {
    /// The geometric mean of the distances in it.
    pub typical: f64,
    /// The smallest and the largest of them.
    pub low: f64,
    /// See `low`.
    pub high: f64,
    /// Their number.
    pub looks: u64,
}

/// The distances of one bin.
#[derive(Debug, Clone, Copy)]
struct Bin {
    looks: u64,
    /// Sum of the logarithms.
    logs: f64,
    low: f64,
    high: f64,
}

impl Bin {
    const NONE: Bin = Bin { looks: 0, logs: 0.0, low: f64::INFINITY, high: 0.0 };

    fn plus(self, other: Bin) -> Bin {
        Bin {
            looks: self.looks + other.looks,
            logs: self.logs + other.logs,
            low: self.low.min(other.low),
            high: self.high.max(other.high),
        }
    }
}

/// Measured distances, in bins of their logarithm. Distances are positive; others are ignored.
#[derive(Debug, Clone, Default)]
pub struct Distances {
    bins: BTreeMap<i32, Bin>,
}

impl Distances {
    /// Adds a distance.
    pub fn add(&mut self, distance: f64) {
        if distance.is_finite() && distance > 0.0 {
            let one = Bin { looks: 1, logs: distance.ln(), low: distance, high: distance };
            self.put(bin(distance), one);
        }
    }

    /// Adds all distances of another set.
    pub fn add_all(&mut self, other: &Distances) {
        other.bins.iter().for_each(|(&at, &more)| self.put(at, more));
    }

    fn put(&mut self, at: i32, more: Bin) {
        let known = self.bins.entry(at).or_insert(Bin::NONE);
        *known = known.plus(more);
    }

    /// Number of distances.
    pub fn len(&self) -> u64 {
        self.bins.values().map(|bin| bin.looks).sum()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.bins.is_empty()
    }

    /// The strata, in ascending order. Two strata are at least [`APART`] apart, and there is a valley between them. Rare
    /// distances beside them are in none.
    pub fn strata(&self) -> Vec<Stratum> {
        let Some((&first, &last)) = self.bins.keys().next().zip(self.bins.keys().next_back()) else {
            return Vec::new();
        };
        let bins: Vec<Bin> = (first..=last).map(|at| self.bins.get(&at).copied().unwrap_or(Bin::NONE)).collect();
        let looks = |at: Option<&Bin>| at.map_or(0.0, |bin| bin.looks as f64);
        let smooth: Vec<f64> = (0..bins.len())
            .map(|at| {
                let before = at.checked_sub(1).and_then(|at| bins.get(at));
                looks(before) / 4.0 + looks(bins.get(at)) / 2.0 + looks(bins.get(at + 1)) / 4.0
            })
            .collect();
        let mut parts = Vec::new();
        divide(&bins, &smooth, 0..bins.len(), &mut parts);
        let all = self.len();
        let least = match all {
            0..3 => 1,
            3..20 => 2,
            _ => ((RARE * all as f64).ceil() as u64).max(3),
        };
        let mut sums: Vec<Bin> = parts.into_iter().map(|part| sum(&bins[part])).collect();
        sums.retain(|part| part.looks >= least);
        join(&mut sums);
        sums.into_iter().map(stratum).collect()
    }
}

/// The bin of a distance. Distances outside of 10 ps to 100 s, if there ever are any, are at the ends.
fn bin(distance: f64) -> i32 {
    (PER_OCTAVE * distance.clamp(1e-2, 1e11).log2()).round() as i32
}

fn sum(bins: &[Bin]) -> Bin {
    bins.iter().fold(Bin::NONE, |sum, &bin| sum.plus(bin))
}

fn stratum(Bin { looks, logs, low, high }: Bin) -> Stratum {
    // Rounding may lead out of the range.
    Stratum { typical: (logs / looks.max(1) as f64).exp().max(low).min(high), low, high, looks }
}

/// Joins neighbours that are less than [`APART`] apart, the closest first. A side of a valley can have been far from the
/// whole other side, and be near a part of it.
fn join(parts: &mut Vec<Bin>) {
    let ratio = |pair: &[Bin]| stratum(pair[1]).typical / stratum(pair[0]).typical;
    loop {
        let pairs = parts.windows(2).map(ratio).enumerate();
        let closest = pairs.min_by(|a, b| a.1.total_cmp(&b.1)).filter(|(_, ratio)| *ratio < APART);
        let Some((at, _)) = closest else { break };
        parts[at] = parts[at].plus(parts[at + 1]);
        parts.remove(at + 1);
    }
}

/// Divides a range of bins at its deepest valley, and both sides again, until no valley is left.
fn divide(bins: &[Bin], smooth: &[f64], range: Range<usize>, parts: &mut Vec<Range<usize>>) {
    match valley(bins, smooth, range.clone()) {
        Some(at) => {
            divide(bins, smooth, range.start..at, parts);
            divide(bins, smooth, at + 1..range.end, parts);
        }
        None => parts.push(range),
    }
}

/// The deepest valley of a range; of several that are as deep, the one that leaves most on both sides.
fn valley(bins: &[Bin], smooth: &[f64], range: Range<usize>) -> Option<usize> {
    let top = |range: Range<usize>| smooth[range].iter().copied().fold(0.0, f64::max);
    let valleys = range.clone().filter_map(|at| {
        let sides = [range.start..at, at + 1..range.end];
        let lower = sides.iter().map(|side| top(side.clone())).fold(f64::INFINITY, f64::min);
        let [left, right] = sides.map(|side| sum(&bins[side]));
        let depth = smooth[at] / lower;
        let are_apart = left.looks > 0 && right.looks > 0 && apart(stratum(left).typical, stratum(right).typical);
        (are_apart && depth < DEPTH).then_some((at, depth, left.looks.min(right.looks)))
    });
    valleys.min_by(|a, b| a.1.total_cmp(&b.1).then(b.2.cmp(&a.2))).map(|(at, ..)| at)
}

/// Whether two distances belong to different strata.
pub fn apart(a: f64, b: f64) -> bool {
    a.max(b) >= APART * a.min(b)
}

/// Whether two settings are for the same distance, or both for any.
pub fn same_distance(a: Option<f64>, b: Option<f64>) -> bool {
    match (a, b) {
        (Some(a), Some(b)) => !apart(a, b),
        (a, b) => a.is_none() && b.is_none(),
    }
}

/// The stratum that most of some distances are in; `None` if most are in none.
pub fn stratum_of(strata: &[Stratum], distances: &Distances) -> Option<usize> {
    let inside = |stratum: &Stratum, bin: &Bin| bin.low >= stratum.low && bin.high <= stratum.high;
    let looks = |stratum: &Stratum| -> u64 {
        distances.bins.values().filter(|bin| inside(stratum, bin)).map(|bin| bin.looks).sum()
    };
    let most = strata.iter().map(looks).enumerate().max_by_key(|(_, looks)| *looks);
    most.filter(|(_, looks)| 2 * looks > distances.len()).map(|(at, _)| at)
}

/// The pairs of two lists of distances that are the same distance: less than [`APART`] apart, each in one pair at most, the
/// closest first. The pairs are in the order of the first list.
pub fn matched(ours: &[f64], theirs: &[f64]) -> Vec<(usize, usize)> {
    let apart = |(a, b): (usize, usize)| (ours[a] / theirs[b]).ln().abs();
    let all = (0..ours.len()).flat_map(|a| (0..theirs.len()).map(move |b| (a, b)));
    let mut near: Vec<(usize, usize)> = all.filter(|&pair| apart(pair) < APART.ln()).collect();
    near.sort_by(|&a, &b| apart(a).total_cmp(&apart(b)));
    let mut pairs: Vec<(usize, usize)> = Vec::new();
    for (a, b) in near {
        if pairs.iter().all(|&(x, y)| x != a && y != b) {
            pairs.push((a, b));
        }
    }
    pairs.sort_unstable();
    pairs
}

/// A level: distances that are alike.
#[derive(Debug, Clone)]
struct Level {
    /// Moving average of the logarithms.
    centre: f64,
    distances: Distances,
}

/// Levels: groups of distances that were alike when they came in. A stratum has one level or several.
#[derive(Debug, Clone, Default)]
pub struct Levels {
    levels: Vec<Level>,
    last: Option<usize>,
}

impl Levels {
    /// Weight of a new distance in the average of its level.
    const FOLLOW: f64 = 1.0 / 16.0;

    /// The number of the level of a new distance. It is the last one if the distance fits it, otherwise the nearest one that
    /// it fits, otherwise a new one.
    pub fn level(&mut self, distance: f64) -> usize {
        let log = distance.max(f64::MIN_POSITIVE).ln();
        let far = |level: &Level| (level.centre - log).abs();
        let fits = |at: &usize| far(&self.levels[*at]) < NEAR.ln();
        let nearest = (0..self.levels.len()).min_by(|&a, &b| far(&self.levels[a]).total_cmp(&far(&self.levels[b])));
        let full = self.levels.len() == MOST_LEVELS;
        let known = self.last.filter(fits).or(nearest.filter(|at| full || fits(at)));
        let at = known.unwrap_or_else(|| {
            self.levels.push(Level { centre: log, distances: Distances::default() });
            self.levels.len() - 1
        });
        let level = &mut self.levels[at];
        level.centre += Levels::FOLLOW * (log - level.centre);
        level.distances.add(distance);
        self.last = Some(at);
        at
    }

    /// The typical distance of a level.
    pub fn typical(&self, level: usize) -> f64 {
        self.levels[level].centre.exp()
    }

    /// The strata of all distances, and for each level the stratum that it belongs to.
    pub fn strata(&self) -> (Vec<Stratum>, Vec<Option<usize>>) {
        let mut all = Distances::default();
        self.levels.iter().for_each(|level| all.add_all(&level.distances));
        let strata = all.strata();
        let of = self.levels.iter().map(|level| stratum_of(&strata, &level.distances)).collect();
        (strata, of)
    }

    /// For each level the first level of its stratum. A level that is in no stratum is its own.
    pub fn joined(&self) -> Vec<usize> {
        let of = self.strata().1;
        let first = |stratum: &usize| of.iter().position(|other| *other == Some(*stratum));
        of.iter().enumerate().map(|(at, of)| of.as_ref().and_then(first).unwrap_or(at)).collect()
    }

    /// The typical distance of the stratum of a level, or of the level if it is in none. `None` if there is no such level.
    pub fn typical_in(&self, level: usize) -> Option<f64> {
        let (strata, of) = self.strata();
        let stratum = of.get(level)?.map(|stratum| strata[stratum].typical);
        Some(stratum.unwrap_or_else(|| self.typical(level)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Repeatable distances around `ns`, spread by the factor `noise` to either side.
    fn around(ns: f64, noise: f64, count: u64) -> Vec<f64> {
        let mut random = fastrand::Rng::with_seed(count);
        (0..count).map(|_| ns * noise.powf(2.0 * random.f64() - 1.0)).collect()
    }

    fn strata(distances: impl IntoIterator<Item = f64>) -> Vec<Stratum> {
        let mut all = Distances::default();
        distances.into_iter().for_each(|distance| all.add(distance));
        all.strata()
    }

    /// The typical distances, rounded to the nearest of `wanted`, must be these.
    fn assert_near(found: &[Stratum], wanted: &[f64]) {
        assert_eq!(found.len(), wanted.len(), "{found:?}");
        for (stratum, wanted) in found.iter().zip(wanted) {
            assert!((stratum.typical / wanted).ln().abs() < 0.06, "{stratum:?}, expected {wanted}");
            assert!(stratum.low <= stratum.typical && stratum.typical <= stratum.high, "{stratum:?}");
        }
    }

    #[test]
    fn one_distance_is_one_stratum_however_noisy() {
        for noise in [1.0, 1.05, 1.2, 1.5, 2.0] {
            for count in [1, 2, 7, 50, 5000] {
                let found = strata(around(38.0, noise, count));
                assert!(found.len() == 1 || count < 50 && noise > 1.2, "{noise} {count}: {found:?}");
                assert_eq!(found.iter().map(|stratum| stratum.looks).sum::<u64>(), count, "{noise} {count}");
            }
        }
        assert_eq!(strata([]), []);
        assert_eq!(strata([0.0, -1.0, f64::NAN, f64::INFINITY]), []);
    }

    #[test]
    fn the_distances_of_a_hypervisor_are_told_apart() {
        let three = |a, b, c| [around(17.0, 1.15, a), around(40.0, 1.15, b), around(230.0, 1.2, c)].concat();
        for (a, b, c) in [(100, 100, 100), (1000, 30, 20), (30, 5000, 400), (8, 8, 8)] {
            let found = strata(three(a, b, c));
            assert_near(&found, &[17.0, 40.0, 230.0]);
            assert_eq!(found.iter().map(|stratum| stratum.looks).collect::<Vec<_>>(), [a, b, c]);
        }
        // The third is far from the first two together, and near the second.
        let found = strata([around(17.0, 1.1, 100), around(40.0, 1.02, 100), around(60.0, 1.02, 100)].concat());
        assert_near(&found, &[17.0, 49.0]);
        // 1.6 times apart is the least. Closer ones are one stratum.
        assert_eq!(strata([around(40.0, 1.05, 100), around(72.0, 1.05, 100)].concat()).len(), 2);
        assert_eq!(strata([around(40.0, 1.05, 100), around(60.0, 1.05, 100)].concat()).len(), 1);
    }

    /// What was measured on a virtual machine in a minute: looks per 8 ns. Tails reach far.
    #[test]
    fn tails_and_strays_between_two_strata_bridge_nothing() {
        let seen = [
            (24, 1),
            (40, 111),
            (48, 243),
            (56, 338),
            (64, 563),
            (72, 140),
            (80, 4),
            (136, 1),
            (168, 1),
            (176, 3),
            (344, 21),
            (352, 115),
            (360, 1438),
            (368, 978),
            (376, 707),
            (392, 33),
            (416, 9),
            (448, 5),
            (504, 2),
        ];
        let found = strata(seen.iter().flat_map(|&(ns, count)| std::iter::repeat_n(f64::from(ns) + 4.0, count)));
        assert_near(&found, &[62.0, 369.0]);
        let strays: u64 = 4714 - found.iter().map(|stratum| stratum.looks).sum::<u64>();
        assert!(strays < 12, "{found:?}");
    }

    #[test]
    fn equal_looks_have_their_distance() {
        for distance in (0..1000).map(|at| 17.3 * 1.009_f64.powi(at)) {
            let found = strata([distance; 2]);
            assert_eq!([found[0].low, found[0].typical, found[0].high], [distance; 3]);
        }
    }

    #[test]
    fn a_valley_between_near_peaks_keeps_its_looks() {
        let looks = [(40.0, 500), (49.3, 20), (60.0, 500)].map(|(distance, count)| vec![distance; count]);
        let found = strata(looks.concat());
        assert_eq!(found.iter().map(|stratum| stratum.looks).collect::<Vec<_>>(), [1020], "{found:?}");
    }

    #[test]
    fn a_distance_that_drifts_is_one_stratum_and_rare_ones_are_none() {
        let drifting = |count: u32| (0..count).map(move |at| 40.0 * 2.5_f64.powf(f64::from(at) / f64::from(count)));
        let found = strata(drifting(500));
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].low < 41.0 && found[0].high > 98.0);
        // 2 of 1000 looks are outliers; 20 of them are a stratum.
        let with = |rare| strata([around(40.0, 1.1, 1000 - rare), around(900.0, 1.1, rare)].concat());
        assert_near(&with(2), &[40.0]);
        assert_near(&with(20), &[40.0, 900.0]);
        assert_near(&strata([40.0, 41.0, 39.0, 40.0, 40.0, 40.0, 40.0, 40.0, 700.0]), &[40.0]);
    }

    #[test]
    fn levels_are_told_at_once_and_belong_to_a_stratum() {
        let mut levels = Levels::default();
        let mut numbers = Vec::new();
        for round in 0..6 {
            let ns = if round % 2 == 0 { 17.0 } else { 230.0 };
            numbers.extend(around(ns, 1.1, 40 + round).into_iter().map(|ns| levels.level(ns)));
        }
        numbers.dedup();
        assert_eq!(numbers, [0, 1, 0, 1, 0, 1]);
        assert!((levels.typical(0) / 17.0).ln().abs() < 0.1 && (levels.typical(1) / 230.0).ln().abs() < 0.1);
        // A single look somewhere else is a level of its own, in no stratum.
        assert_eq!((levels.level(900.0), levels.level(18.0)), (2, 0));
        let (strata, of) = levels.strata();
        assert_near(&strata, &[17.0, 230.0]);
        assert_eq!(of, [Some(0), Some(1), None]);
        assert_eq!(levels.joined(), [0, 1, 2]);
        assert_eq!(levels.typical_in(1), Some(strata[1].typical));
        assert_eq!((levels.typical_in(2), levels.typical_in(3)), (Some(levels.typical(2)), None));
        // A noisy stratum has several levels.
        let mut noisy = Levels::default();
        for ns in around(40.0, 1.5, 400) {
            noisy.level(ns);
        }
        let (strata, of) = noisy.strata();
        assert!(strata.len() == 1 && of.len() > 1 && of.iter().all(|of| *of == Some(0)), "{strata:?} {of:?}");
        assert_eq!(noisy.joined(), vec![0; of.len()]);
        assert_eq!(noisy.typical_in(of.len() - 1), Some(strata[0].typical));
        // There is always a level.
        let mut many = Levels::default();
        assert!((0..200).all(|at| many.level(1.5_f64.powi(at)) < MOST_LEVELS));
    }

    #[test]
    fn the_same_distance_in_two_records_is_found() {
        assert_eq!(matched(&[17.0, 230.0], &[20.0, 200.0]), [(0, 0), (1, 1)]);
        assert_eq!(matched(&[17.0, 230.0], &[41.0, 240.0]), [(1, 1)]);
        assert_eq!(matched(&[100.0], &[70.0, 110.0, 150.0]), [(0, 1)]);
        assert_eq!(matched(&[100.0, 120.0], &[110.0]).len(), 1);
        assert_eq!(matched(&[100.0], &[161.0, 62.0]), []);
        assert_eq!(matched(&[], &[1.0]), []);
    }
}
