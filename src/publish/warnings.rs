//! The words of warnings. Table, Markdown and page take them from here; a record has the warnings' names.

use super::last_writers::{prefetch_in_words, writers_in_words};
use super::numbers::{count, rate, rate_with_interval, short_count};
use crate::harness::Goal;
use crate::machine::{Host, in_order, parse_cpu_list};
use crate::record::{LastWriterRecord, ScenarioResult, Warning};
use crate::stats::Interval;

/// The warnings for a result, in one sentence; `None` without warnings.
pub(super) fn sentence(result: &ScenarioResult) -> Option<String> {
    sentence_of(result, |_| true)
}

/// Those of the warnings for a result that are `wanted`, in one sentence.
fn sentence_of(result: &ScenarioResult, wanted: impl Fn(Warning) -> bool) -> Option<String> {
    let wanted = result.warnings.iter().filter(|warning| wanted(**warning));
    let clauses: Vec<String> = wanted.filter_map(|warning| words(*warning, result)).collect();
    (!clauses.is_empty())
        .then(|| format!("{} on CPUs {}: {}.", result.scenario, in_order(&result.placement.cpus), clauses.join("; ")))
}

/// The warnings for some results: a sentence for each result, but one for all batches that were thrown away, and then what
/// to do about each kind on this host.
pub(super) fn folded(host: &Host, results: &[ScenarioResult]) -> Vec<String> {
    let discarded: Vec<&ScenarioResult> =
        results.iter().filter(|result| result.warnings.contains(&Warning::Discarded)).collect();
    let several = discarded.len() > 1;
    let wanted = |warning| !(several && warning == Warning::Discarded);
    let mut lines: Vec<String> = results.iter().filter_map(|result| sentence_of(result, wanted)).collect();
    if several {
        lines.push(format!(
            "{} of {} results: {} of the iterations were discarded, because a thread lost its CPU during their batch.",
            discarded.len(),
            results.len(),
            discarded_shares(results)
        ));
    }
    lines.extend(to_do(host, results));
    lines
}

/// The shares of iterations that were discarded, of the results with a warning about it: `4.11 % to 24.6 %`.
fn discarded_shares(results: &[ScenarioResult]) -> String {
    let shares = || {
        let warned = results.iter().filter(|result| result.warnings.contains(&Warning::Discarded));
        warned.map(ScenarioResult::discarded_share)
    };
    let (least, most) = (rate(shares().fold(1.0, f64::min)), rate(shares().fold(0.0, f64::max)));
    if least == most { most } else { format!("{least} to {most}") }
}

/// What to do about the warnings of some results: a line for each advice.
fn to_do(host: &Host, results: &[ScenarioResult]) -> Vec<String> {
    let mut out: Vec<String> = Vec::new();
    for warning in Warning::ALL {
        let named: Vec<&ScenarioResult> = results.iter().filter(|result| result.warnings.contains(&warning)).collect();
        let advice = if named.is_empty() { None } else { advice(warning, host, &named) };
        out.extend(advice.filter(|advice| !out.contains(advice)));
    }
    out
}

/// Whether a test could run on other CPUs than it did: its threads are fewer than the CPUs that may be used.
fn has_spare_cpus(host: &Host, named: &[&ScenarioResult]) -> bool {
    let allowed = parse_cpu_list(&host.cpus_allowed).map_or(0, |cpus| cpus.len());
    named.iter().any(|result| result.placement.cpus.len() < allowed)
}

/// What helps against a busy machine: only what this host and these results leave to do.
fn quieter(host: &Host, named: &[&ScenarioResult]) -> String {
    let mut ways = vec!["stop other programs"];
    if has_spare_cpus(host, named) {
        ways.push("choose idle CPUs with -c");
    }
    // Below 0 only the superuser may go, so such a value was granted.
    if named.iter().any(|result| result.nice >= 0) {
        ways.push("run as root, so that the default --nice -10 takes effect");
    }
    format!("To do about a busy machine: {}.", ways.join(", or "))
}

/// What to do about a warning of the `named` results; `None` if the warning says it or there is nothing to do.
fn advice(warning: Warning, host: &Host, named: &[&ScenarioResult]) -> Option<String> {
    match warning {
        // The parts of these have other settings. The answer is their rate at each distance.
        Warning::RateVaried if named.iter().all(|result| result.has_followed()) => None,
        Warning::RateDrifted | Warning::RateVaried => Some(
            "To do about a rate that varies: `--repeat 5` measures by how much runs differ; a longer run does not."
                .to_owned(),
        ),
        Warning::Discarded => Some(quieter(host, named)),
        Warning::Moved => Some(format!(
            "To do about moved threads: stop what moves them (a CPU manager, cpusets){}.",
            if has_spare_cpus(host, named) { ", or choose other CPUs with -c" } else { "" }
        )),
        Warning::SeenInSearch => Some(
            "To do about races that only the search has seen: run the test longer, with the settings at which it saw them \
             (`search` in the record)."
                .to_owned(),
        ),
        Warning::RateByLastWriters | Warning::Filtered | Warning::StoppedByFinding | Warning::GoalNotReached => None,
    }
}

/// The short name of a warning, for a list of the tests that have it.
pub(super) fn short(warning: Warning, results: &[ScenarioResult]) -> String {
    let words = match warning {
        Warning::Discarded => {
            return format!("the machine was busy, {} of iterations discarded", discarded_shares(results));
        }
        Warning::RateDrifted => "rate drifted",
        Warning::RateVaried => "rate varied",
        Warning::RateByLastWriters => "rate depends on who last wrote the variables",
        Warning::Moved => "threads were moved off their CPUs",
        Warning::Filtered => "filter excluded instances",
        Warning::StoppedByFinding => "run ended by what it found",
        Warning::GoalNotReached => "goal not reached",
        Warning::SeenInSearch => "races only in the search",
    };
    words.to_owned()
}

/// Whether the outcomes tell if a loop had more rounds than are followed (see src/program/loops.rs).
fn has_cut_loops(result: &ScenarioResult) -> bool {
    result.outcomes.iter().flat_map(|outcome| outcome.values.keys()).any(|name| name.ends_with(":while"))
}

/// A warning as a clause. `None` if the result lacks the numbers for it, which no valid record does.
fn words(warning: Warning, result: &ScenarioResult) -> Option<String> {
    Some(match warning {
        Warning::RateDrifted => drifted(result)?,
        Warning::RateVaried => {
            // At least one: a race that was seen is worth at least one iteration.
            let effective = result.effective()?.round().max(1.0) as u64;
            let over = match (result.has_followed(), result.repeats.len() > 1) {
                (true, _) => "from part to part, each with settings for the distance between the CPUs",
                (false, true) => "from repeat to repeat",
                (false, false) => "during the run",
            };
            format!(
                "the rate varied {over}, so the {} iterations determine it only as precisely as {} independent ones",
                count(result.iterations),
                count(effective)
            )
        }
        Warning::RateByLastWriters => by_last_writers(result)?,
        Warning::Discarded => format!(
            "{} of the iterations were discarded, because a thread lost its CPU during their batch; the machine is busy",
            rate(result.discarded_share())
        ),
        Warning::Moved => format!(
            "{} iterations were discarded, because a thread was moved off its CPU; something outside wakerace moves \
             its threads",
            count(result.moved)
        ),
        Warning::Filtered => format!(
            "{} excluded {} instances, and passed {}",
            if has_cut_loops(result) {
                "the test's filter, or a loop of more than two rounds,"
            } else {
                "the test's filter"
            },
            count(result.filtered),
            count(result.iterations)
        ),
        Warning::SeenInSearch => {
            let (iterations, races) = result.search.as_ref()?.counts();
            format!(
                "{} races were seen in the {} iterations of the search over settings",
                count(races),
                count(iterations)
            )
        }
        Warning::GoalNotReached => not_reached(result)?,
        Warning::StoppedByFinding => {
            let found = result.stopped_by.as_deref()?;
            let range = rate_with_interval(result.rate, Some(result.sequence?));
            // Repeats show how much runs differ.
            let within =
                if result.runs() > 1 { "" } else { ", within this run (`--repeat` shows how much runs differ)" };
            format!("the run ended by what it found ({found}); the interval that allows for this is {range}{within}")
        }
    })
}

/// How far a run is from its goal, and how much longer it would take.
fn not_reached(result: &ScenarioResult) -> Option<String> {
    let goal = result.goal?;
    let (so_far, times) = match (goal, result.rate.filter(|rate| *rate > 0.0)) {
        (Goal::RateKnown(_), None) => ("no race was seen".to_owned(), None),
        (Goal::RateKnown(fraction), Some(known)) => {
            let range = result.sequence_of_rate()?;
            let half = (range.high - range.low) / 2.0 / known;
            (format!("it is known to {}", rate(half)), Some((half / fraction).powi(2)))
        }
        (Goal::BoundBelow(bound), seen) => {
            let range = result.sequence_of_rate()?;
            let interval = rate_with_interval(result.rate, Some(range));
            let times = seen.is_none().then_some(range.high / bound);
            (format!("the interval that allows for such a goal is {interval}"), times)
        }
    };
    // Where repeats or parts of the run differ, a longer run does not help.
    let varied = result.repeats.len() > 1 || result.warnings.contains(&Warning::RateVaried);
    let times = times.filter(|times| *times > 1.05 && times.is_finite() && !varied);
    let longer = times.map_or(String::new(), |times| {
        format!("; that takes a run about {} times as long", short_count(times.ceil() as u64))
    });
    Some(format!("the goal ({goal}) was not reached: {so_far}{longer}"))
}

fn drifted(result: &ScenarioResult) -> Option<String> {
    let drift = result.drift?;
    let ends = result
        .ends()
        .map_or(String::new(), |(first, last)| format!(": {} at the start, {} at the end", rate(first), rate(last)));
    // An f64 holds numbers down to about 1e-308, so a smaller p is not exact.
    let p = if drift.p < 1e-300 { "p < 1e-300".to_owned() } else { format!("p = {:.0e}", drift.p) };
    // The blocks have the batches at the final skews only, so these are not the rates of the whole run.
    let at = if result.skews.len() > 1 { " at the final skews" } else { "" };
    Some(format!("rate{at} drifted{ends} (Kolmogorov-Smirnov {:.2}, {p})", drift.statistic))
}

fn by_last_writers(result: &ScenarioResult) -> Option<String> {
    let said = |(entry, interval): (&LastWriterRecord, Interval)| {
        let rate = rate_with_interval(Some(entry.rate()), Some(interval));
        format!("{rate} where the last writers were {} (lines {})", writers_in_words(entry), prefetch_in_words(entry))
    };
    let [most, least] = result.extreme_last_writers()?.map(said);
    Some(format!("the rate depends on which thread last wrote each variable: {most}, but {least}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::shipped;
    use crate::record::{ArmRecord, CountRecord, SearchRecord, compute};
    use crate::search::{Arm, Measure};
    use crate::stats::Drift;

    /// The first result of a shipped record, without anything that gives a warning.
    fn calm() -> ScenarioResult {
        let record = shipped("2026-11-25T174425Z");
        let mut result = record.results[0].clone();
        (result.drift, result.discarded, result.moved, result.filtered) = (None, 0, 0, 0);
        (result.last_writers, result.blocks, result.repeats) = (Vec::new(), Vec::new(), Vec::new());
        compute(&mut result);
        result
    }

    /// Settings that a search tried, with these counts.
    fn arm(iterations: u64, races: u64) -> ArmRecord {
        ArmRecord { turns: 1, iterations, races, elapsed_s: 0.1, ..ArmRecord::untried(Arm::FIRST) }
    }

    #[test]
    fn each_warning_has_its_words_and_no_other() {
        type Case = (Warning, fn(&mut ScenarioResult), &'static str);
        let cases: [Case; 9] = [
            (
                Warning::RateDrifted,
                |r| r.drift = Some(Drift { statistic: 0.5, p: 1e-9 }),
                "rate at the final skews drifted (Kolmogorov-Smirnov 0.50, p = 1e-9)",
            ),
            (
                Warning::RateVaried,
                |r| {
                    let half = r.iterations / 2;
                    r.repeats = vec![
                        CountRecord { iterations: half, races: r.races, matches: None },
                        CountRecord { iterations: r.iterations - half, races: 0, matches: None },
                    ];
                },
                "the rate varied from repeat to repeat, so the ",
            ),
            (
                Warning::RateByLastWriters,
                |r| {
                    let entry = |thread: &str, races| LastWriterRecord {
                        prefetched: false,
                        writers: [("x".to_owned(), thread.to_owned())].into(),
                        iterations: 1_000_000,
                        races,
                    };
                    r.last_writers = vec![entry("P0", 500_000), entry("P1", 1000)];
                },
                "the rate depends on which thread last wrote each variable: 50.0 % [49.9, 50.1] where the last writers were P0: x (lines \
                 not prefetched), but 0.10 % [0.09, 0.11] where the last writers were P1: x",
            ),
            (
                Warning::Discarded,
                |r| r.discarded = r.iterations,
                "50.0 % of the iterations were discarded, because a thread lost its CPU",
            ),
            (
                Warning::Moved,
                |r| r.moved = 1234,
                "1,234 iterations were discarded, because a thread was moved off its CPU",
            ),
            (Warning::Filtered, |r| r.filtered = 77, "the test's filter excluded 77 instances, and passed "),
            (
                Warning::StoppedByFinding,
                |r| r.stopped_by = Some("rate known to 10 %".to_owned()),
                "the run ended by what it found (rate known to 10 %); the interval that allows for this is ",
            ),
            (
                Warning::GoalNotReached,
                |r| r.goal = Some(Goal::RateKnown(1e-4)),
                "the goal (rate known to 0.01 %) was not reached: it is known to ",
            ),
            (
                Warning::SeenInSearch,
                |r| {
                    r.races = 0;
                    let arms = vec![arm(3000, 2), arm(1000, 1)];
                    r.search = Some(SearchRecord {
                        elapsed_s: 1.0,
                        measure: Measure::Variety,
                        distance_ns: None,
                        chosen: 0,
                        arms,
                    });
                },
                "3 races were seen in the 4,000 iterations of the search over settings",
            ),
        ];
        assert_eq!((calm().warnings, sentence(&calm())), (vec![], None));
        assert_eq!(cases.each_ref().map(|case| case.0), Warning::ALL);
        let mut all = calm();
        for (warning, edit, words) in cases {
            let mut result = calm();
            edit(&mut result);
            // Only a result without races has the last one.
            if warning != Warning::SeenInSearch {
                edit(&mut all);
            }
            compute(&mut result);
            assert_eq!(result.warnings, [warning], "{words}");
            let said = sentence(&result).unwrap();
            assert!(said.contains(words) && said.ends_with('.'), "{said}");
        }
        compute(&mut all);
        assert_eq!(all.warnings, Warning::ALL[..8]);
        assert_eq!(
            sentence(&all).unwrap().matches("; ").count(),
            7 + 3,
            "three warnings have a semicolon of their own"
        );
    }

    #[test]
    fn what_was_thrown_away_is_one_sentence_for_all_results() {
        let mut busy = calm();
        busy.discarded = busy.iterations;
        compute(&mut busy);
        let mut busier = busy.clone();
        busier.discarded *= 3;
        compute(&mut busier);
        let host = shipped("2026-11-25T174425Z").host;
        let one = folded(&host, &[calm(), busy.clone()]);
        assert!(one.len() == 2 && one[0].starts_with("SB on CPUs 0,1: 50.0 % of the iterations"), "{one:#?}");
        let two = folded(&host, &[busy, calm(), busier]);
        assert_eq!(two.len(), 2, "{two:#?}");
        assert!(two[0].starts_with("2 of 3 results: 50.0 % to 75.0 % of the iterations were discarded"), "{two:#?}");
        assert!(two[1].starts_with("To do about a busy machine"), "{two:#?}");
        assert_eq!(folded(&host, &[calm()]), [""; 0]);
    }

    #[test]
    fn only_what_can_help_is_advised() {
        let mut busy = calm();
        busy.discarded = busy.iterations;
        compute(&mut busy);
        let mut host = shipped("2026-11-25T174425Z").host;
        for (allowed, nice, advice) in [
            ("0,1", -10, "To do about a busy machine: stop other programs."),
            ("0-3", -10, "To do about a busy machine: stop other programs, or choose idle CPUs with -c."),
            (
                "0,1",
                0,
                "To do about a busy machine: stop other programs, or run as root, so that the default --nice -10 takes effect.",
            ),
        ] {
            host.cpus_allowed = allowed.to_owned();
            busy.nice = nice;
            assert_eq!(folded(&host, std::slice::from_ref(&busy)).last().unwrap(), advice);
        }
        let mut moved = calm();
        moved.moved = 7;
        compute(&mut moved);
        for (allowed, spare) in [("0,1", false), ("0-2", true)] {
            host.cpus_allowed = allowed.to_owned();
            let said = folded(&host, std::slice::from_ref(&moved)).pop().unwrap();
            assert_eq!(said.contains("-c"), spare, "{said}");
        }
    }

    #[test]
    fn a_share_of_discarded_iterations_that_is_small_is_no_warning() {
        let mut result = calm();
        for (discarded, warned) in [(result.iterations / 40, false), (result.iterations / 30, true)] {
            result.discarded = discarded;
            compute(&mut result);
            assert_eq!(result.warnings.contains(&Warning::Discarded), warned, "{discarded}");
        }
    }
}
