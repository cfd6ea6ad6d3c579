//! Draws each race window as one line of text.

use super::distances::in_window;
use super::numbers::rate;
use crate::record::{Record, ScenarioResult, SkewRecord};
use crate::shown;

/// Eight levels, each one eighth higher than the one before. The lowest means that something was seen.
pub(super) const LEVELS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
/// The largest width of a window, in columns. If there are more skews, several share a column.
const COLUMNS: usize = 64;

/// Columns of a line beside the name and the window: `races`, the borders, and `up to 48.1 % at +1000 ns`.
const BESIDE: usize = 2 + 7 + 3 + 26;
/// The smallest width of a window.
const LEAST: usize = 16;

/// Draws the windows of the results that `wanted` selects and that have more than one skew, in lines of at most `room`
/// columns if the names allow that.
pub fn windows(record: &Record, room: Option<usize>, wanted: impl Fn(&ScenarioResult) -> bool) -> String {
    let results: Vec<&ScenarioResult> = (super::sums::reading_order(record).into_iter())
        .filter(|result| result.skews.len() > 1 && result.iterations > 0 && wanted(result))
        .collect();
    let width = results.iter().map(|result| shown::line(&result.scenario).len()).max().unwrap_or(0);
    let most = room.map_or(COLUMNS, |room| room.saturating_sub(width + BESIDE).clamp(LEAST, COLUMNS));
    let mut text = String::new();
    for result in results {
        let (first, last) = (result.skews[0].skew_ns, result.skews[result.skews.len() - 1].skew_ns);
        let mut line = |name: &str, what: &str, of: fn(&SkewRecord) -> u64| {
            let columns = columns(&result.skews, most, of);
            let top = columns.iter().flatten().copied().fold(0.0, f64::max);
            let peak = (result.skews.iter())
                .filter(|skew| skew.iterations > 0)
                .max_by(|a, b| (of(a) as f64 / a.iterations as f64).total_cmp(&(of(b) as f64 / b.iterations as f64)));
            let words = match peak {
                Some(peak) if top > 0.0 => {
                    format!("up to {} at {:+.0} ns", rate(of(peak) as f64 / peak.iterations as f64), peak.skew_ns)
                }
                _ => "none seen".to_owned(),
            };
            let drawn: String = columns.iter().map(|share| level(*share, top)).collect();
            text.push_str(&format!("{name:width$}  {what:7} |{drawn}| {words}\n"));
        };
        line(&shown::line(&result.scenario), "races", |skew| skew.races);
        if result.match_event.is_some() {
            line("", "matches", |skew| skew.matches.unwrap_or(0));
        }
        let columns = result.skews.len().div_ceil(result.skews.len().div_ceil(most));
        let (left, right) = (format!("{first:+.0} ns"), format!("{last:+.0} ns"));
        let gap = columns.saturating_sub(left.len() + right.len());
        // The skew is that of the first instance of a group.
        let groups = if result.pace.group > 1 { format!("  groups of {}", result.pace.group) } else { String::new() };
        text.push_str(&format!("{:width$}  {:7}  {left}{}{right}{groups}\n", "", "", " ".repeat(gap)));
        if let Some(part) = in_window(result) {
            text.push_str(&format!("{:width$}  {:7}  {part}\n", "", ""));
        }
    }
    text
}

/// The rate in each of at most `most` columns; `None` if nothing was run there.
fn columns(skews: &[SkewRecord], most: usize, of: fn(&SkewRecord) -> u64) -> Vec<Option<f64>> {
    let per = skews.len().div_ceil(most);
    let share = |skews: &[SkewRecord]| {
        let sum = |of: &dyn Fn(&SkewRecord) -> u64| skews.iter().map(|skew| of(skew) as f64).sum::<f64>();
        let all = sum(&|skew| skew.iterations);
        (all > 0.0).then(|| sum(&of) / all)
    };
    skews.chunks(per).map(share).collect()
}

fn level(share: Option<f64>, top: f64) -> char {
    match share {
        None => ' ',
        Some(0.0) => '.',
        Some(share) => LEVELS[((share / top * 8.0).ceil() as usize).clamp(1, 8) - 1],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_shows_its_peak_and_where_nothing_was_seen() {
        let skew = |skew_ns: f64, races: u64| SkewRecord {
            skew_ns,
            iterations: 1000,
            matches: None,
            races,
            outcomes: Vec::new(),
        };
        let skews: Vec<SkewRecord> =
            [0, 1, 300, 500, 1000, 0].iter().zip(0..).map(|(&races, at)| skew(at.into(), races)).collect();
        let shares = columns(&skews, COLUMNS, |skew| skew.races);
        let drawn: String = shares.iter().map(|share| level(*share, 1.0)).collect();
        assert_eq!(drawn, ".▁▃▄█.");
        let many: Vec<SkewRecord> = (0..200).map(|at| skew(f64::from(at), 1)).collect();
        assert!([COLUMNS, 17].iter().all(|&most| columns(&many, most, |skew| skew.races).len() <= most));
    }

    #[test]
    fn a_window_of_groups_says_so() {
        let mut record = crate::record::shipped("2026-11-25T174425Z");
        let drawn = |record: &Record| windows(record, Some(100), |result| result.scenario == "SB");
        for (group, ends) in [(1, " ns"), (16, " ns  groups of 16")] {
            record.results.iter_mut().for_each(|result| result.pace.group = group);
            let drawn = drawn(&record);
            assert!(
                drawn.trim_end().ends_with(ends) && drawn.lines().all(|line| line.chars().count() <= 100),
                "{drawn}"
            );
        }
    }
}
