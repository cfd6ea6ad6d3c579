//! The numbers of a result that follow from its counts: computed here when it is made, when it is added up, and when it is validated.

use super::ScenarioResult;
use crate::stats::{reproducibility, share};

/// Computes them anew.
pub fn compute(result: &mut ScenarioResult) {
    let ScenarioResult { races, iterations, matches, elapsed_s, .. } = *result;
    result.iterations_per_s = per_second(iterations, elapsed_s);
    result.rate = share(races, iterations);
    result.interval = result.interval_of_rate();
    result.effective_iterations = result.effective();
    result.rate_per_match = matches.and_then(|matches| share(races, matches));
    result.interval_per_match = result.interval_of_rate_per_match();
    result.reproducibility = (races > 0).then(|| reproducibility(races));
}

/// A count per second of a time in seconds; 0 where no time passed.
pub(super) fn per_second(count: u64, seconds: f64) -> f64 {
    if seconds > 0.0 { count as f64 / seconds } else { 0.0 }
}
