//! Compares campaigns: hosts as columns, families as lines, and the tests on which the hosts differ.

use std::collections::BTreeMap;

use super::percent;
use crate::publish::cpus::letter;
use crate::publish::fit::{Cells, table_with_notes, whole, wrapped};
use crate::publish::numbers::{count, upper_bound};
use crate::record::{CampaignRecord, CampaignTest, Standing};
use crate::shown;

/// The most tests that are listed.
const LISTED: usize = 200;

/// The comparison of campaigns with these names: how many of the allowed outcomes each host showed by family, the testing
/// power and mutation score of each, and every test whose standing is not the same on all hosts that ran it.
pub fn campaign_comparison(campaigns: &[(String, &CampaignRecord)], width: Option<usize>) -> String {
    let mut text = String::new();
    for (at, (name, record)) in campaigns.iter().enumerate() {
        let emulated = if record.host.emulated { ", EMULATED" } else { "" };
        let host = format!(
            "{} ({} {}{emulated})",
            shown::line(name),
            record.host.architecture,
            shown::line(&record.host.cpu_model)
        );
        let room = width.map_or(usize::MAX, |width| width.saturating_sub(3));
        text.push_str(&format!("{}  {}\n", letter(at), wrapped(&host, room, "   ")));
    }
    format!("{text}\n{}\n\n{}\n", whole(by_family(campaigns), width), differing(campaigns, width))
}

/// `3 of 4 allowed seen` for each family and host, with what was forbidden and seen behind it.
fn by_family(campaigns: &[(String, &CampaignRecord)]) -> Cells {
    let mut families: BTreeMap<&str, Vec<[u64; 3]>> = BTreeMap::new();
    for (at, (_, record)) in campaigns.iter().enumerate() {
        for test in record.results.iter().filter(|test| test.mutant.is_none()) {
            let counts = families.entry(&test.family).or_insert_with(|| vec![[0; 3]; campaigns.len()]);
            let add = match test.standing {
                Standing::AllowedSeen => [1, 1, 0],
                Standing::AllowedNotSeen => [0, 1, 0],
                Standing::ForbiddenSeen => [0, 0, 1],
                _ => [0; 3],
            };
            counts[at].iter_mut().zip(add).for_each(|(sum, more)| *sum += more);
        }
    }
    let cell = |[seen, allowed, forbidden]: &[u64; 3]| {
        let forbidden = if *forbidden > 0 { format!(", {forbidden} FORBIDDEN") } else { String::new() };
        if *allowed == 0 && forbidden.is_empty() { "-".to_owned() } else { format!("{seen} of {allowed}{forbidden}") }
    };
    let mut lines: Vec<Vec<String>> = families
        .iter()
        .map(|(name, counts)| std::iter::once(shown::line(name).into_owned()).chain(counts.iter().map(cell)).collect())
        .collect();
    let mut powers = vec!["allowed and seen".to_owned()];
    let mut scores = vec!["mutants killed".to_owned()];
    for (_, record) in campaigns {
        let power = record.power();
        powers.push(format!("{} of {}", count(power.seen), count(power.allowed)));
        scores.push(format!("{} of {}", count(power.killed), count(power.mutants)));
    }
    lines.push(powers);
    if campaigns.iter().any(|(_, record)| record.power().mutants > 0) {
        lines.push(scores);
    }
    let headings = std::iter::once("family".to_owned()).chain((0..campaigns.len()).map(letter)).collect();
    Cells { headings, lines, right: (1..=campaigns.len()).collect() }
}

/// What a host says about a test.
fn said(test: Option<&&CampaignTest>) -> String {
    let Some(test) = test else { return "-".to_owned() };
    match (test.standing, test.reproducibility, test.bound) {
        (Standing::NotRun, ..) => "not run".to_owned(),
        (Standing::ForbiddenSeen, ..) => format!("FORBIDDEN, {} times", count(test.races)),
        (_, Some(reproducibility), _) => format!("seen, {}", percent(reproducibility)),
        (_, None, Some(bound)) => upper_bound(bound),
        _ => "not seen".to_owned(),
    }
}

/// The results of each test, by its name and source: a column per campaign.
type ByTest<'a> = BTreeMap<(&'a str, &'a str), Vec<Option<&'a CampaignTest>>>;

/// The results of each test on each host.
pub(super) fn by_test<'a>(campaigns: &[(String, &'a CampaignRecord)]) -> ByTest<'a> {
    let mut tests = ByTest::new();
    for (at, (_, record)) in campaigns.iter().enumerate() {
        for test in &record.results {
            let columns = tests.entry((&test.test, &test.source_sha256)).or_insert_with(|| vec![None; campaigns.len()]);
            columns[at] = Some(test);
        }
    }
    tests
}

/// The title of a test; `None` if no record has one.
pub(super) fn title_of<'a>(columns: &[Option<&'a CampaignTest>]) -> Option<&'a str> {
    columns.iter().flatten().map(|test| test.title.as_str()).find(|title| !title.is_empty())
}

/// The tests on which hosts that ran them differ.
fn differing(campaigns: &[(String, &CampaignRecord)], width: Option<usize>) -> String {
    let tests = by_test(campaigns);
    let shared = tests.values().filter(|columns| columns.iter().flatten().count() > 1).count();
    let differs = |columns: &[Option<&CampaignTest>]| {
        let mut seen = columns.iter().flatten().filter(|test| test.iterations > 0).map(|test| test.races > 0);
        let first = seen.next();
        seen.any(|other| Some(other) != first)
    };
    let differing: Vec<_> = tests.iter().filter(|(_, columns)| differs(columns)).collect();
    if differing.is_empty() {
        return format!("The {shared} tests that several records share were seen, or not seen, on all of them alike.");
    }
    let lines = differing.iter().take(LISTED).map(|((name, _), columns)| {
        let cells = columns.iter().map(|test| said(test.as_ref()));
        std::iter::once(shown::line(name).into_owned()).chain(cells).collect()
    });
    let letters: Vec<String> = (0..campaigns.len()).map(letter).collect();
    let headings: Vec<&str> = std::iter::once("test").chain(letters.iter().map(String::as_str)).collect();
    let titles = differing.iter().map(|(_, columns)| title_of(columns).unwrap_or_default().to_owned());
    let table = table_with_notes(&headings, lines.collect(), &titles.collect::<Vec<_>>(), width, &[]);
    let table = table.trim_end();
    let more =
        if differing.len() > LISTED { format!("\nand {} more", differing.len() - LISTED) } else { String::new() };
    format!("{} of {shared} shared tests were seen by some records only:\n{table}{more}", differing.len())
}

#[cfg(test)]
mod tests {
    use super::super::tests::small;
    use super::*;
    use crate::record::CampaignCell;

    #[test]
    fn hosts_are_columns_and_tests_that_only_one_saw_are_listed() {
        let (a, mut b) = (small(), small());
        for CampaignCell { settings, .. } in &mut b.results[3].cells {
            settings[0].races = 5;
            settings[0].sightings = 5;
        }
        b.results[3].settle();
        let text = campaign_comparison(&[("a.json".to_owned(), &a), ("b.json".to_owned(), &b)], None);
        let line = |name: &str| {
            text.lines().find(|line| line.trim_start().starts_with(name)).unwrap_or_else(|| panic!("{name}: {text}"))
        };
        assert!(line("SB ").contains("0 of 1") && line("SB ").contains("1 of 1"), "{text}");
        assert!(text.contains("1 of 5 shared tests were seen by some records only"), "{text}");
        assert!(text.contains("< 3.0e-3") && text.contains("seen, 99.3262 %"), "{text}");
        let narrow = campaign_comparison(&[("a.json".to_owned(), &a), ("b.json".to_owned(), &b)], Some(40));
        assert!(narrow.lines().all(|line| line.chars().count() <= 40 || !line.contains("  ")), "{narrow}");
        assert!(narrow.contains("A  a.json (") && narrow.contains("seen, 99.3262 %"), "{narrow}");
        // A title has a line of its own, and the widths are those of a table without it.
        let widths = |text: &str| text.lines().map(|line| line.chars().count()).max();
        b.results[3].title = "store buffering".to_owned();
        let of = |width| campaign_comparison(&[("a.json".to_owned(), &a), ("b.json".to_owned(), &b)], width);
        let row = of(None).lines().position(|line| line.contains("seen, 99.3262 %")).unwrap();
        assert_eq!(of(None).lines().nth(row + 1), Some("    store buffering"), "{}", of(None));
        assert_eq!((widths(&of(None)), widths(&of(Some(40)))), (widths(&text), widths(&narrow)));
        let alike = campaign_comparison(&[("a".to_owned(), &a), ("a".to_owned(), &a)], None);
        assert!(alike.contains("The 5 tests that several records share"), "{alike}");
    }
}
