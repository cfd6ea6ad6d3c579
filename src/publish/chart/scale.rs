//! Maps values to positions along an axis, and chooses the values that get a label.

/// How an axis maps values to positions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scale {
    /// Linear.
    Linear,
    /// Logarithmic.
    Log,
    /// For quantiles q: by -log10(1 - q), as in HdrHistogram's plotters. 0.9, 0.99 and 0.999 are equally far
    /// apart.
    Nines,
}

impl Scale {
    /// The name in the `data-scale` attribute.
    pub const fn name(self) -> &'static str {
        match self {
            Scale::Linear => "linear",
            Scale::Log => "log",
            Scale::Nines => "nines",
        }
    }

    fn project(self, value: f64) -> f64 {
        match self {
            Scale::Linear => value,
            Scale::Log => value.max(f64::MIN_POSITIVE).log10(),
            Scale::Nines => -(1.0 - value).max(f64::MIN_POSITIVE).log10(),
        }
    }
}

/// An axis: its scale, its range and its label.
#[derive(Debug, Clone, PartialEq)]
pub struct Axis {
    /// The scale.
    pub scale: Scale,
    /// The lowest value.
    pub low: f64,
    /// The highest value.
    pub high: f64,
    /// The label: the quantity and its unit.
    pub label: String,
}

impl Axis {
    /// A linear axis that contains `low` and `high`. Both ends are round values.
    pub fn linear(low: f64, high: f64, label: &str) -> Axis {
        // Values that are all the same have a scale around them.
        let range = if high > low { high - low } else { high.abs().max(1.0) };
        let step = step(range);
        let round = |value: f64, up: bool| {
            let steps = value / step;
            (if up { (steps - 1e-9).ceil() } else { (steps + 1e-9).floor() }) * step
        };
        let (low, mut high) = (round(low, false), round(high, true));
        if high <= low {
            high = low + step;
        }
        Axis { scale: Scale::Linear, low, high, label: label.to_owned() }
    }

    /// A logarithmic axis over whole decades, and over at least one.
    pub fn log(low: f64, high: f64, label: &str) -> Axis {
        let floor = low.max(1e-300).log10().floor();
        let ceil = high.max(1e-300).log10().ceil().max(floor + 1.0);
        Axis { scale: Scale::Log, low: 10f64.powf(floor), high: 10f64.powf(ceil), label: label.to_owned() }
    }

    /// An axis of quantiles, from 0 to the highest one that `count` values can resolve.
    pub fn nines(count: u64, label: &str) -> Axis {
        let nines = (count.max(10) as f64).log10().ceil().min(15.0);
        Axis { scale: Scale::Nines, low: 0.0, high: 1.0 - 10f64.powf(-nines), label: label.to_owned() }
    }

    /// The position of a value along the axis, from 0 to 1. Values outside the range are put on the edge.
    pub fn at(&self, value: f64) -> f64 {
        let [low, high, value] = [self.low, self.high, value].map(|value| self.scale.project(value));
        ((value - low) / (high - low)).clamp(0.0, 1.0)
    }

    /// The values that get a label.
    pub fn ticks(&self) -> Vec<f64> {
        match self.scale {
            Scale::Linear => {
                let step = step(self.high - self.low);
                let first = (self.low / step - 1e-9).ceil();
                let count = ((self.high / step + 1e-9).floor() - first).max(0.0) as usize;
                // Values are rounded to the step, so that three steps of 0.1 give 0.3.
                (0..=count).map(|tick| (first + tick as f64) * step).map(|value| round_to(value, step)).collect()
            }
            Scale::Log => {
                let (low, high) = (self.low.log10().round() as i32, self.high.log10().round() as i32);
                let every = ((high - low) as usize).div_ceil(6).max(1);
                // Ticks are chosen from the top, because the largest bars end there.
                let mut ticks: Vec<f64> =
                    (low..=high).rev().step_by(every).map(|exponent| 10f64.powi(exponent)).collect();
                ticks.reverse();
                ticks
            }
            Scale::Nines => {
                let nines = (-(1.0 - self.high).log10()).round() as i32;
                // There are few ticks, because each nine makes the labels longer.
                let every = (nines as usize).div_ceil(3).max(1);
                let quantile = |nine: i32| 1.0 - 10f64.powi(-nine);
                (0..=nines).step_by(every).map(quantile).collect()
            }
        }
    }
}

/// The smallest step that is 1, 2 or 5 times a power of ten and divides the span into at most six steps.
fn step(span: f64) -> f64 {
    let rough = (span / 6.0).max(1e-300);
    let power = 10f64.powf(rough.log10().floor());
    let factor = [1.0, 2.0, 5.0, 10.0].into_iter().find(|factor| factor * power >= rough * 0.999_999);
    factor.unwrap_or(10.0) * power
}

fn round_to(value: f64, step: f64) -> f64 {
    let digits = (-step.log10().floor()).max(0.0) as usize;
    if digits > 15 { value } else { format!("{value:.digits$}").parse().unwrap_or(value) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn axes_are_round_and_hold_their_values() {
        let axis = Axis::linear(0.0, 0.937, "");
        assert_eq!((axis.low, axis.high), (0.0, 1.0));
        assert_eq!(axis.ticks(), [0.0, 0.2, 0.4, 0.6, 0.8, 1.0]);
        assert_eq!(axis.at(0.25), 0.25);
        let axis = Axis::linear(-118.0, 118.0, "");
        assert_eq!(axis.ticks(), [-150.0, -100.0, -50.0, 0.0, 50.0, 100.0, 150.0]);
        assert_eq!(Axis::linear(0.0, 2.2e-4, "").ticks(), [0.0, 5e-5, 1e-4, 1.5e-4, 2e-4, 2.5e-4]);
        let axis = Axis::linear(0.0, 3.1e-7, "");
        assert!(axis.ticks().len() >= 4 && axis.high >= 3.1e-7, "{axis:?}");
        // All values are the same.
        let axis = Axis::linear(34.998_869_278, 34.998_869_278, "");
        assert_eq!(axis.ticks(), [30.0, 32.0, 34.0, 36.0, 38.0, 40.0]);
        assert_eq!(Axis::linear(0.0, 0.0, "").ticks().first(), Some(&0.0));
        let axis = Axis::log(3e-7, 0.6, "");
        assert_eq!((axis.low.log10().round(), axis.high), (-7.0, 1.0));
        assert!((axis.at(1e-7) - 0.0).abs() < 1e-9 && (axis.at(1.0) - 1.0).abs() < 1e-9);
        assert!(axis.ticks().contains(&1.0) && axis.ticks().len() <= 8, "{:?}", axis.ticks());
        let axis = Axis::nines(1000, "");
        assert!((axis.at(0.9) - 1.0 / 3.0).abs() < 1e-9 && axis.at(1.0) == 1.0);
        // Values that are not finite still have a position.
        assert!(axis.at(f64::INFINITY) <= 1.0 && Axis::linear(0.0, 0.0, "").ticks().len() < 10);
    }
}
