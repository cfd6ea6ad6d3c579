//! Computes the numbers of a result that follow from its counts. New results, sums and the validation of
//! records all use this function.

use super::{ScenarioResult, StratumRecord};
use crate::stats::{reproducibility, share};

/// Computes every field of a result that follows from its counts and from `drift`, apart from its finding.
pub fn compute(result: &mut ScenarioResult) {
    let ScenarioResult { races, iterations, matches, elapsed_s, .. } = *result;
    result.iterations_per_s = per_second(iterations, elapsed_s);
    result.rate = share(races, iterations);
    result.interval = result.interval_of_rate();
    result.sequence = result.stopped_by.as_ref().and_then(|_| result.sequence_of_rate());
    result.effective_iterations = result.effective();
    result.rate_per_match = matches.and_then(|matches| share(races, matches));
    result.interval_per_match = result.interval_of_rate_per_match();
    let strata = result.distances.iter_mut().flat_map(|distances| &mut distances.strata);
    strata.for_each(StratumRecord::compute);
    result.reproducibility = (races > 0).then(|| reproducibility(races));
    result.warnings = result.current_warnings();
    result.compute_line_fills();
}

/// A count divided by a time in seconds; 0 if the time is 0.
pub(super) fn per_second(count: u64, seconds: f64) -> f64 {
    if seconds > 0.0 { count as f64 / seconds } else { 0.0 }
}
