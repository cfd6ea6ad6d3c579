//! The sentences of a page.

use super::runs::Run;
use super::sum::Sum;
use crate::litmus::Verdict;
use crate::publish::distances::{in_window, rates};
use crate::publish::numbers::{at_least, first_few, listed, times};
use crate::publish::zeros::{doubt, is_on_cpus_of, rests_on, with_rates};
use crate::publish::{count, rate, rate_with_interval};
use crate::record::{Finding, ScenarioResult};
use crate::stats::interval;
use crate::verdict::VerdictSource;

/// The title of the page: the CPUs that the runs were measured on.
pub(super) fn title(runs: &[Run<'_>]) -> String {
    let mut names: Vec<String> = Vec::new();
    for run in runs {
        let name = format!("{} {}", run.host().architecture, run.host().cpu_model);
        if !names.contains(&name) {
            names.push(name);
        }
    }
    format!("Memory-ordering races on {}", first_few(&names, 3))
}

/// The first paragraph of the page: what the runs measure.
pub(super) fn lede(runs: &[Run<'_>]) -> &'static str {
    let race = super::records(runs).flat_map(|record| &record.results).any(|result| result.group == "race");
    let protocol = runs.iter().any(|run| run.protocol().is_some());
    if !protocol && super::records(runs).all(|record| record.tool.is_foreign()) {
        return "Another program ran these litmus tests and counted every outcome. wakerace has read its log.";
    }
    if race || protocol {
        "When a task of the Linux kernel blocks on a mutex, it stores blocked_on and then its state. A waker reads the \
         state and then blocked_on, while it holds another lock. Nothing in the source orders the two stores for the waker. \
         A CPU that keeps stores in order, such as x86, orders them all the same. On a weakly ordered CPU the waker may read \
         the new state and then the old blocked_on, which is NULL (empty). wakerace measures how often that happens. It is a \
         program and changes no kernel: pinned threads run the instructions that the kernel has for these accesses, once an \
         iteration, and in the same run tests whose answer is known."
    } else {
        "wakerace ran these litmus tests on pinned threads, with the instructions given below, and counted every outcome."
    }
}

/// Whether the architecture allows the outcome, such as `x86_64 forbids it`.
pub(super) fn allowed(result: &ScenarioResult, architecture: &str) -> String {
    let source = match result.expected_from {
        VerdictSource::Model => "",
        VerdictSource::Header => " (declared by the test)",
    };
    match result.expected {
        Some(Verdict::Never) => format!("{architecture} forbids it{source}"),
        Some(Verdict::Sometimes) => format!("{architecture} allows it{source}"),
        Some(Verdict::Always) => format!("{architecture} requires it{source}"),
        None => "not known".to_owned(),
    }
}

/// What a result means, with its warnings.
pub(super) fn sentence(sum: &Sum<'_>) -> String {
    let notes: Vec<String> =
        sum.results.iter().filter_map(|result| crate::publish::warnings::sentence(result)).collect();
    let notes = if notes.is_empty() { String::new() } else { format!(" {}", notes.join(" ")) };
    // A number and its unit stay on one line: the space before % becomes a no-break space.
    (breakable(sum) + &notes).replace(" %", "\u{a0}%")
}

fn breakable(sum: &Sum<'_>) -> String {
    let first = sum.first();
    let architecture = &sum.run.host().architecture;
    let allowed = match first.expected {
        Some(_) => format!("{}.", allowed(first, architecture)),
        None => format!("Whether {architecture} allows it is not known."),
    };
    let iterations = count(sum.iterations);
    let matched = sum
        .matches
        .map_or(String::new(), |matches| format!(" ({} of them matches{})", count(matches), of_matches(sum, matches)));
    match sum.finding() {
        Finding::Observed => {
            let per_match = sum.matches.filter(|matches| *matches > 0).map_or(String::new(), |matches| {
                let share = sum.races as f64 / matches as f64;
                format!(", or {} of the matches", rate(share))
            });
            let alone = (sum.results.len() == 1).then_some(first);
            let best = alone.and_then(best_skew).unwrap_or_default();
            let rate = alone.and_then(rates).map_or_else(
                || format!("{} of them{per_match}", rate_with_interval(sum.rate(), sum.interval())),
                |rates| format!("with settings for each distance between the CPUs {rates}"),
            );
            format!("Seen {} in {iterations} iterations: {rate}.{best} {allowed}", times(sum.races))
        }
        Finding::NotObserved => {
            let bound = sum.interval().map_or(String::new(), |interval| format!("{:.1e}", interval.high));
            format!(
                "Not seen in {iterations} iterations{matched}. With 95 % confidence it happens less often than once in {} \
                 iterations ({bound}). {allowed} {}{}.",
                sum.interval().map_or("-".to_owned(), |interval| count((1.0 / interval.high) as u64)),
                match first.evidence {
                    Some(_) => {
                        format!(
                            "On these CPUs {} showed in the same run that reordering of this kind can be seen",
                            controls(sum)
                        )
                    }
                    // Early versions did not tell kinds of reordering apart.
                    None => format!("On these CPUs {} fired in the same run, of whatever kind", controls(sum)),
                },
                relative(sum),
            )
        }
        Finding::Inconclusive => {
            let why =
                sum.results.iter().find_map(|result| doubt(result)).unwrap_or_else(|| "no control fired".to_owned());
            format!("Not seen in {iterations} iterations{matched}, but this zero is inconclusive: {why}. {allowed}")
        }
        Finding::ForbiddenObserved => format!(
            "FORBIDDEN, YET SEEN {} in {iterations} iterations. This is a bug in the hardware, in the expectation, or in \
             wakerace. {allowed}",
            times(sum.races)
        ),
    }
}

/// The bound of a zero per match: `, so less than 2.4e-7 of the matches`.
fn of_matches(sum: &Sum<'_>, matches: u64) -> String {
    let bound = interval(0, matches).filter(|_| sum.races == 0);
    bound.map_or(String::new(), |bound| format!(", so less than {:.1e} of the matches", bound.high))
}

/// The control that a zero rests on: in the same run, on the same CPUs. One that asks for the same outcome says more than
/// one of another shape; of these the one with the highest rate.
pub(super) fn best_control<'a>(sums: &'a [Sum<'a>], zero: &Sum<'_>) -> Option<&'a Sum<'a>> {
    let names = rests_on(zero.first());
    let fired = |sum: &&Sum<'_>| {
        let first = sum.first();
        sum.run.letter == zero.run.letter
            && names.contains(&first.scenario)
            && sum.races > 0
            && sum.results.iter().any(|result| is_on_cpus_of(result, zero.first()))
    };
    let alike = |sum: &Sum<'_>| sum.first().condition == zero.first().condition;
    let rate = |sum: &Sum<'_>| sum.rate().unwrap_or(0.0);
    sums.iter().filter(fired).max_by(|a, b| alike(a).cmp(&alike(b)).then(rate(a).total_cmp(&rate(b))))
}

/// How rare the unseen race is at least, relative to a control.
fn relative(sum: &Sum<'_>) -> String {
    let (first, record) = (sum.first(), sum.run.record());
    record.and_then(|record| first.times_rarer(&record.results)).map_or(String::new(), |(control, times)| {
        format!("; the race is at least {} times rarer than {control}", at_least(times))
    })
}

/// The controls that a zero rests on, with their rates if the run has them.
fn controls(sum: &Sum<'_>) -> String {
    let first = sum.first();
    let names = rests_on(first);
    let known = sum.run.record().map_or_else(|| names.to_vec(), |record| with_rates(record, first, names));
    let plural = if known.len() == 1 { "" } else { "s" };
    listed(&known).map_or("no control".to_owned(), |all| format!("the control{plural} {all} (at these settings)"))
}

/// The skew at which the race was most frequent, as a sentence; `None` if there is none.
pub(super) fn best_skew(result: &ScenarioResult) -> Option<String> {
    let best = result.best_skew()?;
    let when = match best.skew_ns {
        skew if skew >= 0.5 => format!("the last thread started {skew:.0} ns later than P0"),
        skew if skew <= -0.5 => format!("the last thread started {:.0} ns earlier than P0", -skew),
        _ => "all threads started at the same time".to_owned(),
    };
    let of = in_window(result).map_or(String::new(), |part| format!(", of {part}"));
    Some(format!(" Most often when {when}: {}{of}.", rate(best.rate())))
}
