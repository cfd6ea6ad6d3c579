//! The table and the summary that `wakerace run` prints at the end, as plain text that can be pasted into a
//! mail.

use std::collections::BTreeSet;

use super::fit::{Cells, fitted, wrapped};
use super::numbers::{at_least, count, first_few, rate, rate_with_interval, times};
use super::page::answer_of;
use super::settings;
use super::sums::{Sum, by_class};
use super::unmeasured::{INTERRUPTED, unmeasured};
use super::zeros::{
    Doubt, NAMED, TOO_LITTLE, doubt_of, elsewhere, independence, place, rests_on, same_code, with_rates,
};
use super::{distances, line_fills, power, titles, warnings};
use crate::machine::in_order;
use crate::record::{Finding, Record, ScenarioResult};
use crate::shown;
use crate::verdict::VerdictSource;

/// The column headings of [`table`] and of the Markdown table.
pub(super) fn headings(record: &Record) -> Vec<String> {
    let fixed = ["scenario", "CPUs", "iterations", "matches", "races", "rate [95 %]", "best skew"];
    let mut headings: Vec<String> = fixed.iter().map(|&heading| heading.to_owned()).collect();
    headings.push(record.host.architecture.clone());
    headings.push("finding".to_owned());
    headings
}

/// The columns that hold numbers. They are right-aligned.
pub(super) const NUMERIC: std::ops::RangeInclusive<usize> = 2..=6;

/// If a test ran on more placements of one class than this, they share one line.
const ALONE: usize = 6;

/// The lines of the table, in reading order. More than [`ALONE`] placements of one class are added up.
pub(super) fn lines(record: &Record) -> Vec<Vec<String>> {
    let shown = |sum: Sum<'_>| -> Vec<Vec<String>> {
        if sum.results.len() > ALONE {
            vec![summed(record, &sum)]
        } else {
            sum.results.into_iter().flat_map(|result| with_distances(record, result)).collect()
        }
    };
    by_class(record).into_iter().flat_map(shown).collect()
}

/// The name of a result in the table. If the record has two tests of this name, the beginning of the hash of the source tells
/// them apart; the whole hash is in the record and on the page.
pub(super) fn name(record: &Record, result: &ScenarioResult) -> String {
    let namesake = |other: &ScenarioResult| other.scenario == result.scenario && other.test_key() != result.test_key();
    match result.source_sha256.get(..7).filter(|_| record.results.iter().any(namesake)) {
        Some(hash) => format!("{} ({hash})", result.scenario),
        None => result.scenario.clone(),
    }
}

/// The line for many placements of one class.
fn summed(record: &Record, sum: &Sum<'_>) -> Vec<String> {
    let (first, placements) = (sum.first(), sum.results.len());
    let seen = sum.results.iter().filter(|result| result.races > 0).count();
    vec![
        name(record, first),
        format!("{placements} pairs {}", place_words(first)),
        count(sum.iterations),
        sum.matches.map_or("-".to_owned(), count),
        count(sum.races),
        rate_with_interval(sum.rate(), sum.interval()),
        format!("seen on {seen} of {placements}"),
        first.expected.map_or("unknown".to_owned(), |expected| expected.to_string()),
        sum.finding().words().to_owned(),
    ]
}

/// The line for one result, and one for each distance if there were several.
fn with_distances(record: &Record, result: &ScenarioResult) -> Vec<Vec<String>> {
    std::iter::once(cells(record, result)).chain(distances::lines(result)).collect()
}

/// The line for one result.
fn cells(record: &Record, result: &ScenarioResult) -> Vec<String> {
    vec![
        name(record, result),
        format!(
            "{} {}{}",
            in_order(&result.placement.cpus),
            place_words(result),
            distances::only(record, result).map_or(String::new(), |ns| format!(", {ns}"))
        ),
        count(result.iterations),
        result.matches.map_or("-".to_owned(), count),
        count(result.races),
        rate_with_interval(result.rate, result.stated_interval()),
        best_skew(result),
        result.expected.map_or("unknown".to_owned(), |expected| expected.to_string()),
        result.finding.words().to_owned(),
    ]
}

/// The placement class, and the kinds of core if there are several: `core (Cortex-X925 + Cortex-A725)`.
fn place_words(result: &ScenarioResult) -> String {
    match result.placement.class_and_kinds().split_once(", ") {
        Some((class, kinds)) => format!("{class} ({kinds})"),
        None => result.placement.class.to_string(),
    }
}

/// The skew with the highest rate, and this rate: `+77 ns 92.1 %`. Iterations that ran free have no skew.
fn best_skew(result: &ScenarioResult) -> String {
    let paced = if result.paced_share().is_some() { " (paced)" } else { "" };
    result.best_skew().map_or("-".to_owned(), |best| distances::at_skew(best) + paced)
}

/// The title of the table: the host that the numbers were measured on.
pub(super) fn title(record: &Record) -> String {
    let host = &record.host;
    let under = host.virtualised.as_ref().map_or(String::new(), |name| format!(", virtualised ({name})"));
    let emulated = if host.emulated { "EMULATED, says nothing about weak outcomes: " } else { "" };
    let foreign = record.tool.measured_by().map_or(String::new(), |by| format!("{by}, imported: "));
    let (names, label) = (host.named(), host.labelled());
    format!(
        "{foreign}{emulated}{} {}{names}, {} CPUs{under}, {}{label}",
        host.architecture,
        host.cpu_model,
        host.online(),
        host.kernel.split_whitespace().take(2).collect::<Vec<_>>().join(" "),
    )
}

fn table_cells(record: &Record) -> Cells {
    Cells { headings: headings(record), lines: lines(record), right: NUMERIC.collect() }
}

/// The table as text of at most `width` columns, title first.
pub(super) fn table_in(record: &Record, width: usize) -> String {
    let title = wrapped(&shown::line(&title(record)), width, "  ");
    format!("{title}\n\n{}\n", fitted(table_cells(record), width))
}

/// The table as text, title first.
pub fn table(record: &Record) -> String {
    format!("{}\n\n{}\n", shown::line(&title(record)), table_cells(record).text())
}

/// How rare the unseen races of a placement are at least, relative to a control, with the names of their tests. Uses the
/// weakest of the bounds. Controls that the run added have a part in it only if nothing else was unseen.
fn least_sensitive(unseen: &[&ScenarioResult], record: &Record) -> String {
    let added = |result: &ScenarioResult| record.added(&result.scenario);
    let only_added = unseen.iter().all(|result| added(result));
    let asked = || unseen.iter().filter(|result| only_added || !added(result));
    let known = || asked().filter_map(|result| Some((*result, result.times_rarer(&record.results)?)));
    let weakest = known().map(|(_, rarer)| rarer).min_by(|a, b| a.1.total_cmp(&b.1));
    let Some((control, times)) = weakest else { return String::new() };
    let mut names: Vec<&str> = known().map(|(result, _)| result.scenario.as_str()).collect();
    names.dedup();
    let (which, are) = if names.len() == 1 { ("race that was", "is") } else { ("races that were", "are") };
    format!(
        " The {which} not seen ({}) {are} at least {} times rarer than {control}.",
        first_few(&names, NAMED),
        at_least(times)
    )
}

/// What the races of the tests are, in the words of their headers, each once with its tests; `None` if no test has words.
fn in_words(record: &Record) -> Option<String> {
    let mut all: Vec<(&str, Vec<&str>)> = Vec::new();
    for result in &record.results {
        let Some(words) = titles::race(result) else { continue };
        let at = all.iter().position(|(known, _)| *known == words).unwrap_or_else(|| {
            all.push((words, Vec::new()));
            all.len() - 1
        });
        if !all[at].1.contains(&result.scenario.as_str()) {
            all[at].1.push(&result.scenario);
        }
    }
    let each: Vec<String> = all.iter().map(|(words, tests)| format!("{words} ({})", tests.join(", "))).collect();
    (!each.is_empty()).then(|| format!("The races in words: {}.", each.join("; ")))
}

/// The tests whose expectation no model computed; `None` if there are none.
fn declared(record: &Record) -> Option<String> {
    let is_declared =
        |result: &&ScenarioResult| result.expected.is_some() && result.expected_from == VerdictSource::Header;
    let mut names: Vec<&str> = Vec::new();
    for result in record.results.iter().filter(is_declared) {
        if !names.contains(&result.scenario.as_str()) {
            names.push(&result.scenario);
        }
    }
    let tests = if names.len() == 1 { "the test" } else { "the tests" };
    (!names.is_empty()).then(|| {
        format!(
            "What {} allows is declared by {tests}, and not computed, for {}.",
            record.host.architecture,
            first_few(&names, NAMED)
        )
    })
}

/// The least share of the CPUs' time that a hypervisor must take to be mentioned.
const MUCH_STOLEN: f64 = 0.01;

/// What disturbed a run from outside.
fn conditions(record: &Record) -> Vec<String> {
    let Some(conditions) = &record.conditions else { return Vec::new() };
    let stolen = conditions.stolen(record.elapsed_s, record.host.online()).filter(|share| *share >= MUCH_STOLEN);
    let stolen = stolen
        .map(|share| format!("The hypervisor took {} of this machine's CPU time during the run (steal).", rate(share)));
    let throttled = (conditions.throttled() > 0).then(|| {
        format!("CPUs were throttled because of heat during the run; their counts rose by {}.", conditions.throttled())
    });
    stolen.into_iter().chain(throttled).collect()
}

/// What the table means, in sentences: forbidden outcomes, the answer, what the zeros mean on each placement, and
/// warnings.
pub fn summary(record: &Record) -> String {
    let mut lines = Vec::new();
    let of = |finding: Finding| record.results.iter().filter(move |result| result.finding == finding);
    for result in of(Finding::ForbiddenObserved) {
        let (iterations, races) = result.seen();
        lines.push(format!(
            "FORBIDDEN OBSERVED: {} must {} on {}, and was seen {} in {} iterations on CPUs {}. \
             This is a bug in the hardware, in the expectation, or in wakerace.",
            result.scenario,
            result.expected.map_or("-".to_owned(), |expected| match expected {
                crate::litmus::Verdict::Always => "always happen".to_owned(),
                _ => "never happen".to_owned(),
            }),
            record.host.architecture,
            times(races),
            count(iterations),
            in_order(&result.placement.cpus),
        ));
    }
    // The answer in one sentence, as on the page and in the mail.
    if !record.host.emulated && !record.results.is_empty() {
        lines.extend(answer_of(record).into_iter().take(1).map(|answer| answer.replace('\u{a0}', " ")));
    }
    lines.extend(in_words(record));
    lines.extend(declared(record));
    let mut placements: Vec<_> = record.results.iter().map(|result| &result.placement).collect();
    placements.dedup();
    let mut said = Vec::new();
    // The first `ALONE` placements have their own lines. These counters are for the others, which share a
    // line at the end.
    let (mut fired_too, mut silent_too) = (0, 0);
    for placement in placements {
        if said.contains(&placement) {
            continue;
        }
        said.push(placement);
        let here: Vec<&ScenarioResult> =
            record.results.iter().filter(|result| &result.placement == placement).collect();
        // The findings are in the record. Which controls apply to these CPUs is not decided again here.
        let good: Vec<&ScenarioResult> =
            here.iter().copied().filter(|result| result.finding == Finding::NotObserved).collect();
        let bad: Vec<(&ScenarioResult, Doubt)> =
            here.iter().filter_map(|result| Some((*result, doubt_of(result)?))).collect();
        if record.host.emulated {
            continue;
        }
        if said.len() > ALONE {
            fired_too += usize::from(!good.is_empty());
            silent_too += usize::from(!bad.is_empty());
            continue;
        }
        if let Some(first) = good.first() {
            let names: BTreeSet<&String> = good.iter().flat_map(|result| rests_on(result)).collect();
            let names: Vec<String> = names.into_iter().cloned().collect();
            lines.push(format!(
                "{}: the controls fired ({} at these settings), so reordering of the kind that the unseen races need can be seen on these CPUs. \
                 A zero means: the rate is below the given bound, with 95 % confidence{}.{}{}",
                place(first),
                with_rates(record, first, &names).join(", "),
                independence(&[record]),
                elsewhere(record, &good),
                least_sensitive(&good, record)
            ));
        }
        for (at, (first, Doubt { why, how_much })) in bad.iter().enumerate() {
            if bad[..at].iter().any(|(_, known)| known.why == *why) {
                continue;
            }
            let name = |(result, doubt): &(&ScenarioResult, Doubt)| match doubt.share() {
                Some(share) => format!("{} ({share})", result.scenario),
                None => result.scenario.clone(),
            };
            let alike: Vec<String> = bad.iter().filter(|(_, other)| other.why == *why).map(name).collect();
            let to_do = how_much.as_ref().map_or(String::new(), |_| format!(" {TOO_LITTLE}"));
            let which = if good.is_empty() && alike.len() == bad.len() && how_much.is_none() {
                "the zeros here are inconclusive".to_owned()
            } else if alike.len() == 1 {
                format!("the zero of {} is inconclusive", alike[0])
            } else {
                format!("the zeros of {} are inconclusive", alike.join(", "))
            };
            lines.push(format!("{}: {why}, so {which}.{to_do}", place(first)));
        }
    }
    if let Some(race) = record.results.iter().find(|result| result.group == "race").filter(|_| !record.host.emulated) {
        let beside = record.results.iter().filter(|other| other.placement == race.placement);
        lines.extend(same_code(race, beside, &record.host.architecture));
    }
    if fired_too > 0 {
        lines.push(format!("{fired_too} more placements: controls of the needed kind fired there too."));
    }
    if silent_too > 0 {
        lines.push(format!("{silent_too} more placements: zeros there are inconclusive."));
    }
    if !record.host.emulated {
        lines.extend(distances::summary(record));
    }
    lines.extend(record.interrupted.then(|| INTERRUPTED.to_owned()));
    lines.extend(unmeasured(&record.unmeasured));
    lines.extend(power::line(record));
    lines.extend(warnings::folded(&record.host, &record.results));
    lines.extend(settings::line(&record.results));
    lines.extend(line_fills::line(&record.results));
    let forbidden = record.results.iter().filter(|result| result.finding == Finding::ForbiddenObserved);
    let forbidden: BTreeSet<&str> = forbidden.map(|result| result.scenario.as_str()).collect();
    if record.host.emulated && !forbidden.is_empty() {
        let names: Vec<&str> = forbidden.into_iter().collect();
        lines.push(format!(
            "Run under an emulator: {} shows what {} forbids, and that is a finding about the emulator. `wakerace conform` names it \
             with its version. The races and zeros here say nothing about a CPU.",
            names.join(", "),
            record.host.architecture
        ));
    } else if record.host.emulated {
        lines.push(
            "Run under an emulator: this tests the build and the logic of wakerace. Neither the zeros nor the races here say \
             anything about the architecture."
                .to_owned(),
        );
    }
    lines.extend(conditions(record));
    lines.iter().map(|line| shown::line(line)).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::shipped;

    #[test]
    fn what_no_model_computed_is_named() {
        let mut record = shipped("2026-11-26T093808Z");
        let sentence =
            "What x86_64 allows is declared by the tests, and not computed, for S01-core+nt, S01-core+nt+wmb.";
        assert!(summary(&record).lines().any(|line| line == sentence), "{}", summary(&record));
        record.results.retain(|result| !result.scenario.contains("+nt"));
        assert!(!summary(&record).contains("is declared by"), "{}", summary(&record));
    }

    #[test]
    fn only_the_races_that_were_not_seen_are_rarer_than_a_control() {
        let mut record = shipped("2026-11-26T093808Z");
        let rarer = |record: &Record| {
            let summary = summary(record);
            let sentence = summary.split(". ").find(|sentence| sentence.contains("times rarer than")).unwrap();
            sentence.lines().next().unwrap().to_owned()
        };
        let control = "S01-core+nt+wmb";
        let unseen = ["S01-as-is", "S02-wmb", "S03-store-release"];
        let several = rarer(&record);
        assert!(
            several.starts_with(&format!("The races that were not seen ({}) are at least ", unseen.join(", "))),
            "{several}"
        );
        assert!(several.ends_with(" times rarer than S01-core+nt."), "{several}");
        // The control and SB were seen.
        record.results.retain(|result| !unseen.contains(&result.scenario.as_str()));
        let one = rarer(&record);
        assert!(one.starts_with(&format!("The race that was not seen ({control}) is at least ")), "{one}");
        let zero = record.results.iter().position(|result| result.scenario == control).unwrap();
        let zero = record.results.remove(zero);
        assert_eq!(zero.races, 0);
        record.results.extend((0..9).map(|at| ScenarioResult { scenario: format!("X{at}"), ..zero.clone() }));
        assert!(rarer(&record).starts_with("The races that were not seen (X0, X1, X2, X3, X4, X5 and 3 more) are"));
    }

    #[test]
    fn two_tests_of_one_name_are_told_apart() {
        let mut record = shipped("2026-11-25T174425Z");
        record.results.retain(|result| result.scenario == "SB");
        let names = |record: &Record| lines(record).into_iter().map(|line| line[0].clone()).collect::<Vec<_>>();
        let mut again = record.results[0].clone();
        record.results.truncate(1);
        assert_eq!(names(&record)[0], "SB");
        again.source_sha256 = "0123456789".repeat(6) + "0123";
        let own = format!("SB ({})", &record.results[0].source_sha256[..7]);
        record.results.push(again);
        let names: Vec<String> = names(&record).into_iter().filter(|name| name.starts_with("SB")).collect();
        assert_eq!(names, [own, "SB (0123456)".to_owned()]);
    }
}
