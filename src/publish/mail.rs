//! The result as a mail: the answer first, one table, notes of one line each, the host and the command.

use std::collections::BTreeSet;

use super::fit::{Cells, fitted, wrapped};
use super::numbers::{rate_with_interval, short_count};
use super::page::{RACE, answer_of};
use super::sums::{Sum, by_class, reading_order};
use super::titles::title;
use super::unmeasured::{INTERRUPTED, unmeasured};
use super::zeros::Doubt;
use super::{protocol, warnings, zeros};
use crate::litmus::Verdict;
use crate::machine::Host;
use crate::record::{Finding, Judgement, ProtocolRecord, Record, RunRecord, ScenarioResult, Warning};
use crate::shown;

/// The most columns of a line of mail: what stays whole after it is quoted a few times.
pub const MAIL_WIDTH: usize = 72;
/// The most columns of a test's name in the table.
const NAME: usize = 27;
/// The most tests of a mail that are explained.
const EXPLAINED: usize = 12;

/// A record of `wakerace run`.
pub(super) fn mail(record: &Record) -> String {
    let mut text = String::new();
    let mut lines = answer_of(record);
    let after = lines.iter().position(|line| line.starts_with("The race: ")).map_or(lines.len(), |at| at + 1);
    lines.splice(after..after, in_the_kernel(record));
    for line in lines {
        text.push_str(&(paragraph(&line, "") + "\n"));
    }
    text.push_str(&format!("\n{}\n{}", table(record), legend(record)));
    let notes = notes(record);
    if !notes.is_empty() {
        text.push('\n');
    }
    for note in notes {
        text.push_str(&(paragraph(&note, "  ") + "\n"));
    }
    text + "\n" + &signature(record)
}

/// Which test is the race, and what of its header's question names functions of the kernel: `In the kernel (S01-as-is): the
/// blocker in __mutex_lock_common() ...`; `None` if no test of the race does.
fn in_the_kernel(record: &Record) -> Option<String> {
    if record.host.emulated {
        return None;
    }
    let race = || record.results.iter().filter(|result| result.group == "race");
    let words = |result: &ScenarioResult| {
        let sentences: Vec<&str> =
            result.question.split_inclusive(['.', '?']).map(str::trim).filter(|part| part.contains("()")).collect();
        (!sentences.is_empty()).then(|| format!("In the kernel ({}): {}", result.scenario, sentences.join(" ")))
    };
    race().find(|result| result.scenario == RACE).and_then(words).or_else(|| race().find_map(words))
}

/// What each test of the table is, a line each; empty for so many tests that the mail would not be short.
fn legend(record: &Record) -> String {
    let mut lines: Vec<Vec<String>> = Vec::new();
    for result in reading_order(record) {
        let name = cut(&result.scenario, NAME);
        if let Some(title) = title(result)
            && !lines.iter().any(|line| line[0] == name)
        {
            lines.push(vec![name, title.to_owned()]);
        }
    }
    if lines.is_empty() || lines.len() > EXPLAINED {
        return String::new();
    }
    let widest = lines.iter().map(|line| line[0].chars().count()).max().unwrap_or(0);
    let line = |line: &Vec<String>| {
        let (name, title) = (shown::line(&line[0]), shown::line(&line[1]));
        let whole = format!(" {name:widest$}  {title}");
        // Only a title that is not wakerace's own is so long.
        let fits = whole.chars().count() <= MAIL_WIDTH;
        (if fits { whole } else { paragraph(&format!("{name}: {title}"), "  ") }) + "\n"
    };
    "\n".to_owned() + &lines.iter().map(line).collect::<String>()
}

/// A record of `wakerace protocol`.
pub(super) fn protocol_mail(record: &ProtocolRecord) -> String {
    let about = if record.host.emulated { " (EMULATED: says nothing about hardware)" } else { "" };
    let verdict = format!("The kernel's mutex and wakeup protocol{about}: {}.", protocol::verdict(&[record]));
    let cells = Cells {
        headings: ["profile", "rounds", "races", "judgement"].map(str::to_owned).to_vec(),
        lines: (record.results.iter())
            .map(|result| {
                let judged = match result.judgement() {
                    Judgement::Clean => "clean",
                    Judgement::AsExpected => "harm, expected",
                    Judgement::Unexpected => "HARM NOT EXPECTED",
                };
                let name = [protocol::name(result), result.variant.clone()].join(", ");
                vec![name, short_count(result.rounds), short_count(result.races), judged.to_owned()]
            })
            .collect(),
        right: vec![1, 2],
    };
    let table = fitted(cells, MAIL_WIDTH);
    format!("{}\n\n{table}\n\n{}", paragraph(&verdict, ""), signature(record))
}

/// The table: a part for each placement.
fn table(record: &Record) -> String {
    let mut parts: Vec<(String, Vec<Vec<String>>)> = Vec::new();
    for sum in by_class(record) {
        let place = place(&sum);
        let line = line(&sum);
        match parts.iter_mut().find(|(known, _)| *known == place) {
            Some((_, lines)) => lines.push(line),
            None => parts.push((place, vec![line])),
        }
    }
    let headings = || ["test", "iterations", "rate [95 %]", &record.host.architecture].map(str::to_owned).to_vec();
    let part = |(place, lines): (String, Vec<Vec<String>>)| {
        let cells = Cells { headings: headings(), lines, right: vec![1] };
        format!("{}\n{}", paragraph(&format!("{place}:"), "  "), fitted(cells, MAIL_WIDTH))
    };
    parts.into_iter().map(part).collect::<Vec<_>>().join("\n\n")
}

fn place(sum: &Sum<'_>) -> String {
    match sum.results.len() {
        1 => zeros::place(sum.first()),
        several => format!("{several} placements ({})", sum.first().placement.class_and_kinds()),
    }
}

fn line(sum: &Sum<'_>) -> Vec<String> {
    let first = sum.first();
    let allowed = match (sum.finding(), first.expected) {
        (Finding::ForbiddenObserved, _) => "FORBIDDEN",
        (_, Some(Verdict::Never)) => "forbidden",
        (_, Some(_)) => "allowed",
        (_, None) => "unknown",
    };
    let name = cut(&first.scenario, NAME);
    let doubt = if sum.finding() == Finding::Inconclusive { zeros::DOUBT } else { "" };
    let rate = rate_with_interval(sum.rate(), sum.interval()) + doubt;
    vec![name, short_count(sum.iterations), rate, allowed.to_owned()]
}

/// A note for each kind of warning, with the tests that have it. What to do about it is for who ran it, not for who reads the
/// mail.
fn notes(record: &Record) -> Vec<String> {
    let mut out = Vec::new();
    for warning in Warning::ALL {
        let tests = named(record.results.iter().map(|result| (result, result.warnings.contains(&warning))));
        if !tests.is_empty() {
            out.push(format!("* {}: {}", warnings::short(warning, &record.results), tests.join(", ")));
        }
    }
    let doubts: Vec<(&ScenarioResult, Option<Doubt>)> =
        record.results.iter().map(|result| (result, zeros::doubt_of(result))).collect();
    let reasons: BTreeSet<&String> = doubts.iter().filter_map(|(_, doubt)| Some(&doubt.as_ref()?.why)).collect();
    for why in reasons {
        let all = || doubts.iter().map(|(result, doubt)| (*result, doubt.as_ref().filter(|doubt| doubt.why == *why)));
        let alike = || all().filter_map(|(result, doubt)| Some((result, doubt?)));
        let mut tests = named(all().map(|(result, doubt)| (result, doubt.is_some())));
        // How much there was, where the test has one result.
        for test in &mut tests {
            let share = alike().find(|(result, _)| result.scenario == *test).and_then(|(_, doubt)| doubt.share());
            test.extend(share.map(|share| format!(" ({share})")));
        }
        out.push(format!("* ? the zero is inconclusive, because {why}: {}", tests.join(", ")));
    }
    out.extend(record.interrupted.then(|| format!("* {INTERRUPTED}")));
    out.extend(unmeasured(&record.unmeasured).into_iter().map(|line| format!("* {line}")));
    out
}

/// The tests with a result that is wanted, each once: `SB`, and if it ran on several placements `SB (12 of 15)`.
fn named<'a>(results: impl Iterator<Item = (&'a ScenarioResult, bool)>) -> Vec<String> {
    let mut tests: Vec<(&str, usize, usize)> = Vec::new();
    for (result, wanted) in results {
        let (name, hit) = (result.scenario.as_str(), usize::from(wanted));
        match tests.iter_mut().find(|(known, ..)| *known == name) {
            Some((_, hits, all)) => (*hits, *all) = (*hits + hit, *all + 1),
            None => tests.push((name, hit, 1)),
        }
    }
    let each = |(name, hits, all): (&str, usize, usize)| match (hits, all) {
        (0, _) => None,
        (_, 1) => Some(name.to_owned()),
        _ => Some(format!("{name} ({hits} of {all})")),
    };
    tests.into_iter().filter_map(each).collect()
}

/// The host and the command, a line each if they fit.
pub(super) fn signature<R>(record: &RunRecord<R>) -> String {
    let Host { architecture, kernel, virtualised, cpus_online, .. } = &record.host;
    let under = virtualised.as_ref().map_or(String::new(), |name| format!(", {name}"));
    let kernel = kernel.split_whitespace().take(2).collect::<Vec<_>>().join(" ");
    let host = format!("host: {architecture} {}, CPUs {cpus_online}{under}, {kernel}", record.host.identified());
    let day = record.started.get(..10).unwrap_or(&record.started);
    let tool = &record.tool;
    let run = format!("run: {}, {day}, {} {} ({})", record.command.join(" "), tool.name, tool.version, tool.commit);
    let lines = [Some(host), Some(run), available(env!("CARGO_PKG_REPOSITORY"))];
    lines.into_iter().flatten().map(|line| paragraph(&line, "  ") + "\n").collect()
}

/// Where wakerace can be had: the repository that Cargo.toml names; `None` if it names none.
fn available(repository: &str) -> Option<String> {
    (!repository.is_empty()).then(|| format!("wakerace: {repository}"))
}

/// A text in lines of at most [`MAIL_WIDTH`] columns. Lines after the first begin with `indent`. A word that is longer than a
/// line, such as a path, is broken.
pub(super) fn paragraph(text: &str, indent: &str) -> String {
    let text = shown::line(text);
    let longest = MAIL_WIDTH - indent.chars().count();
    let mut words = Vec::new();
    for word in text.split(' ') {
        let letters: Vec<char> = word.chars().collect();
        words.extend(letters.chunks(longest).map(|piece| piece.iter().collect::<String>()));
    }
    wrapped(&words.join(" "), MAIL_WIDTH, indent)
}

/// A name of at most so many characters; a longer one ends with two dots.
pub(super) fn cut(name: &str, most: usize) -> String {
    let short: String = name.chars().take(most - 2).collect();
    if name.chars().count() > most { short + ".." } else { name.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::shipped;
    use crate::record::{AnyRecord, read_file};

    fn fits(text: &str) {
        for line in text.lines() {
            assert!(line.chars().count() <= MAIL_WIDTH, "{} columns: {line}\n{text}", line.chars().count());
        }
    }

    #[test]
    fn the_mail_of_every_shipped_record_fits_and_answers_first() {
        let mut found = 0;
        for path in crate::input::find_files(concat!(env!("CARGO_MANIFEST_DIR"), "/results").as_ref(), "json").unwrap()
        {
            match read_file(&path).unwrap() {
                AnyRecord::Run(record) => {
                    let text = mail(&record);
                    fits(&text);
                    assert!(text.starts_with("On AMD EPYC the race was not seen in "), "{text}");
                    let in_table = |line: &&str| line.trim_start().starts_with("S01-core+nt ") && line.contains(" %");
                    let table = text.lines().filter(in_table).count();
                    assert_eq!(table, 1, "{text}");
                    assert!(
                        text.contains("\nhost: x86_64 AMD EPYC (cpu family 25, model ")
                            && text.replace("\n  ", " ").contains(", vendor_id AuthenticAMD), CPUs 0,1, KVM, Linux ")
                            && text.contains("\nrun: wakerace run")
                    );
                    found += 1;
                }
                AnyRecord::Campaign(record) => fits(&crate::publish::Publish::mail(&*record)),
                AnyRecord::Protocol(record) => {
                    let text = protocol_mail(&record);
                    fits(&text);
                    assert!(text.starts_with("The kernel's mutex and wakeup protocol: "), "{text}");
                    assert!(text.replace('\n', " ").contains("harm, all of it expected"), "{text}");
                }
            }
        }
        assert!(found > 3);
    }

    #[test]
    fn the_mail_says_what_the_tests_are_and_where_to_get_wakerace() {
        let mut record = shipped("2026-11-26T093808Z");
        let text = mail(&record);
        let said = text.replace('\n', " ");
        let functions = "In the kernel (S01-as-is): The blocker in __mutex_lock_common() stores blocked_on, then __state, under \
                         blocked_lock; try_to_wake_up() reads them in the other order under pi_lock. ";
        assert!(said.contains(functions), "{text}");
        for line in [" S02-wmb            smp_wmb() between the two stores", " SB                 store buffering"] {
            assert_eq!(text.lines().filter(|known| *known == line).count(), 1, "{text}");
        }
        assert_eq!(available(""), None);
        assert_eq!(available("https://example.org/wakerace").unwrap(), "wakerace: https://example.org/wakerace");
        // Without words in the header there is nothing to say; with many tests the mail stays short.
        record.results.iter_mut().for_each(|result| result.question = "Is the race seen?".to_owned());
        let one = record.results[0].clone();
        record.results.extend((0..9).map(|at| ScenarioResult {
            scenario: format!("X{at}"),
            source_sha256: format!("{at}"),
            title: format!("test {at}"),
            ..one.clone()
        }));
        let text = mail(&record);
        assert!(!text.contains("In the kernel") && !text.contains("smp_wmb() between"), "{text}");
    }

    #[test]
    fn a_note_names_each_test_once_and_says_why_a_zero_is_inconclusive() {
        let mut record = shipped("2026-11-26T093808Z");
        let mut again = record.results.clone();
        again.iter_mut().for_each(|result| result.placement.cpus.reverse());
        record.results.extend(again);
        let zero = record.results.iter_mut().find(|result| result.scenario == "S02-wmb").unwrap();
        (zero.finding, zero.controls_fired) = (Finding::Inconclusive, Vec::new());
        let text = mail(&record);
        let said = text.replace("\n  ", " ");
        assert!(said.contains("* ? the zero is inconclusive, because no control fired: S02-wmb (1 of 2)\n"), "{said}");
        for note in said.lines().filter(|line| line.starts_with("* rate varied")) {
            assert!(note.contains("SB (2 of 2)") && note.matches("SB (").count() == 1, "{note}");
        }
        assert!(!text.contains("undecided"), "{text}");
    }

    #[test]
    fn zeros_with_too_little_share_a_note_that_says_what_to_do() {
        let mut record = shipped("2026-11-26T093808Z");
        let mut zeros = Vec::new();
        for (number, result) in record.results.iter_mut().filter(|result| result.races == 0).take(2).enumerate() {
            let evidence = result.evidence.as_mut().unwrap();
            (evidence.looked, evidence.needed) = (522 + number as u64, 1000);
            result.finding = Finding::Inconclusive;
            zeros.push(format!("{} ({} of 1,000 needed)", result.scenario, 522 + number));
        }
        let together = zeros.join(", ");
        assert_eq!(zeros.len(), 2);
        let mail = mail(&record).replace("\n  ", " ");
        let notes: Vec<&str> = mail.lines().filter(|line| line.contains("? the zero is inconclusive")).collect();
        assert!(notes.len() == 1 && notes[0].contains(&format!(": {together}")), "{mail}");
        let summary = crate::publish::table::summary(&record);
        let lines: Vec<&str> = summary.lines().filter(|line| line.contains("too few")).collect();
        let wanted = format!("so the zeros of {together} are inconclusive. A longer run (-d) gives more.");
        assert!(lines.len() == 1 && lines[0].ends_with(&wanted), "{summary}");
    }

    #[test]
    fn words_longer_than_a_line_are_broken() {
        let mut record = shipped("2026-11-26T093808Z");
        record.results[0].scenario = "x".repeat(90);
        let words = ["wakerace", "run", "--label", &"y".repeat(120), &format!("/{}", "z".repeat(91))];
        record.command = words.map(str::to_owned).to_vec();
        let text = mail(&record);
        fits(&text);
        let whole = text.replace(['\n', ' '], "");
        assert!(whole.contains(&"y".repeat(120)) && whole.contains(&"z".repeat(91)), "{text}");
        assert_eq!(paragraph(&format!("a {}", "b".repeat(75)), "  "), format!("a {}\n  bbbbb", "b".repeat(70)));
    }

    #[test]
    fn the_mail_of_every_scenario_fits() {
        let mut record = shipped("2026-11-26T093808Z");
        record.host.architecture = "powerpc64le".to_owned();
        let model = record.results[0].clone();
        let named = |scenario: crate::catalogue::Scenario, rare: bool| {
            let mut result = model.clone();
            (result.scenario, result.group, result.source_sha256) =
                (scenario.name, scenario.group, scenario.sha256.to_string());
            if rare {
                // The longest rate: 3.0e-9 [6.2e-10, 8.8e-9].
                (result.races, result.iterations) = (3, 1_000_000_000);
                result.rate = Some(3e-9);
                result.interval = crate::stats::interval(3, 1_000_000_000);
            }
            result
        };
        let all = crate::catalogue::all().unwrap();
        record.results = all.into_iter().enumerate().map(|(at, scenario)| named(scenario, at % 2 == 0)).collect();
        let text = mail(&record);
        fits(&text);
        assert!(text.contains("3.0e-9 [6.2e-10, 8.8e-9]"), "{text}");
        for result in &record.results {
            assert!(text.contains(&result.scenario), "{}: {text}", result.scenario);
        }
        // The warnings of all these results are one note a kind, without advice.
        assert_eq!(text.matches("* rate varied: ").count(), 1, "{text}");
        assert!(!text.contains("--repeat") && !text.contains("To do"), "{text}");
    }
}
