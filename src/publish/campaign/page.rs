//! The page of campaigns: the matrix, a heat map with a square per test, and a table of all tests that can be searched.
//!
//! The page loads nothing. Its script only adds the search field; without it everything is there to read.

use serde::Serialize;

use super::compare::title_of;
use super::{answer_and_summary, emulator, few, forbidden, percent, table};
use crate::error::{Error, Result};
use crate::publish::cpus::{cpu, letter};
use crate::publish::numbers::{counted, rate, short_count, tick_rate, upper_bound};
use crate::publish::page::{Front, Meta, Page, Preview, STYLE, fill};
use crate::publish::titles::asked;
use crate::record::{CampaignRecord, CampaignTest, RefusedTest, Standing};

/// The largest page of campaigns, in bytes. With 10,000 tests of one host it has about 4 MB.
const LARGEST: usize = 16_000_000;
/// Shades of a seen outcome in the heat map, from rare to frequent: the least rate of each but the first.
const SHADES: [f64; 3] = [1e-5, 1e-3, 0.1];

#[derive(Serialize)]
struct Context<'a> {
    style: String,
    script: &'static str,
    meta: Meta,
    front: &'a Front,
    lines: Vec<String>,
    hosts: Vec<Host>,
    legend: Vec<Legend>,
    families: Vec<Family>,
    refused: Vec<Refused>,
    evidence: String,
    many: bool,
}

#[derive(Serialize)]
struct Host {
    letter: String,
    name: String,
    file: String,
    headings: Vec<String>,
    rows: Vec<Vec<String>>,
}

#[derive(Serialize)]
struct Refused {
    file: String,
    line: String,
    reason: String,
}

#[derive(Serialize)]
struct Legend {
    class: String,
    words: String,
}

#[derive(Serialize)]
struct Family {
    name: String,
    tests: Vec<Row>,
}

/// A test: a square per host, and a line of the table.
#[derive(Serialize)]
struct Row {
    name: String,
    title: Option<String>,
    outcome: Option<String>,
    change: Option<String>,
    condition: String,
    expected: String,
    cells: Vec<Cell>,
}

#[derive(Serialize, Clone)]
struct Cell {
    /// The class of the square: the standing, and the shade of what was seen.
    class: String,
    words: &'static str,
    number: String,
}

/// Writes the page of campaigns with these names.
///
/// # Errors
/// If the page would be larger than a browser reads at once, or an internal one.
pub fn campaign_page(campaigns: &[(String, &CampaignRecord)], front: &Front) -> Result<Page> {
    let title = title(campaigns);
    let context = Context {
        style: format!("{STYLE}\n{}", include_str!("campaign.css")),
        script: include_str!("campaign.js"),
        meta: Meta::new(&title, &title, front),
        front,
        lines: lines(campaigns),
        hosts: campaigns.iter().enumerate().map(|(at, (name, record))| host(at, name, record)).collect(),
        legend: legend(),
        families: families(campaigns),
        refused: campaigns.iter().flat_map(|(_, record)| record.about().refused).map(refused).collect(),
        evidence: campaigns.iter().map(|(_, record)| super::campaign_evidence(record)).collect(),
        many: campaigns.len() > 1,
    };
    let page = fill("campaign.html", &context)?;
    if page.len() > LARGEST {
        let bytes = page.len();
        return Err(Error::Usage(format!(
            "the page would have {bytes} bytes, more than {LARGEST}; report fewer records"
        )));
    }
    let picture = front.image.as_ref().map(|_| campaign_preview(campaigns)).transpose()?;
    Ok(Page { html: page, picture, folded: Vec::new() })
}

/// Draws the picture that a link to the page of campaigns shows, as a PNG file.
///
/// # Errors
/// Only an internal one.
pub fn campaign_preview(campaigns: &[(String, &CampaignRecord)]) -> Result<Vec<u8>> {
    let host =
        |(_, record): &(String, &CampaignRecord)| (None, format!("{} {}", record.host.architecture, cpu(&record.host)));
    let mut hosts: Vec<_> = campaigns.iter().map(host).collect();
    hosts.dedup();
    Preview { headline: &title(campaigns), lines: &lines(campaigns), hosts, chart: None }.png()
}

/// What the campaigns found, in sentences, the answer of each first.
fn lines(campaigns: &[(String, &CampaignRecord)]) -> Vec<String> {
    let of = |(at, (_, record)): (usize, &(String, &CampaignRecord))| {
        let whose = if campaigns.len() > 1 { letter(at) + ": " } else { String::new() };
        (whose + &answer_and_summary(record)).lines().map(str::to_owned).collect::<Vec<_>>()
    };
    campaigns.iter().enumerate().flat_map(of).collect()
}

/// The colours of squares, besides the shades of what is allowed and was seen.
const LEGEND: [(&str, &str); 6] = [
    ("an", "allowed, not seen"),
    ("fn", "forbidden, not seen"),
    ("fs", "FORBIDDEN, SEEN"),
    ("us", "no verdict, seen"),
    ("un", "no verdict, not seen"),
    ("no", "not run"),
];

/// The legend: each shade with its least rate, and the other colours.
fn legend() -> Vec<Legend> {
    let entry = |class: String, words: String| Legend { class, words };
    let least = SHADES.map(|least| format!("from {}", tick_rate(least)));
    let rates = std::iter::once(format!("allowed, seen at a rate below {}", tick_rate(SHADES[0]))).chain(least);
    let shades = rates.enumerate().map(|(shade, words)| entry(format!("as s{shade}"), words));
    shades.chain(LEGEND.map(|(class, words)| entry(class.to_owned(), words.to_owned()))).collect()
}

fn title(campaigns: &[(String, &CampaignRecord)]) -> String {
    let one = |(_, record): &(String, &CampaignRecord)| {
        let power = record.power();
        let who = emulator(record).unwrap_or_else(|| record.host.cpu_model.clone());
        let (run, _) = forbidden(record);
        let seen = run.iter().filter(|test| test.standing == Standing::ForbiddenSeen).count() as u64;
        let allowed = match few(record) {
            Some(few) => format!("only {few} can show anything here"),
            None => format!("{} of {} allowed weak outcomes seen", power.seen, power.allowed),
        };
        match seen {
            _ if run.is_empty() => format!("{allowed} on {who}"),
            0 => format!("Nothing forbidden seen on {who}, {allowed}"),
            _ => format!("{} seen on {who}, {allowed}", counted(seen, "FORBIDDEN outcome")),
        }
    };
    campaigns.iter().map(one).collect::<Vec<_>>().join("; ")
}

fn refused(RefusedTest { file, line, reason }: RefusedTest) -> Refused {
    Refused { file, line: line.map_or("-".to_owned(), |line| line.to_string()), reason }
}

fn host(at: usize, name: &str, record: &CampaignRecord) -> Host {
    let cells = table(record);
    let emulated = emulator(record).map_or(String::new(), |emulator| format!(", under {emulator}"));
    Host {
        letter: letter(at),
        name: format!("{} {}{emulated}", record.host.architecture, record.host.cpu_model),
        file: name.to_owned(),
        headings: cells.headings,
        rows: cells.lines,
    }
}

fn families(campaigns: &[(String, &CampaignRecord)]) -> Vec<Family> {
    let tests = super::compare::by_test(campaigns);
    let mut out: Vec<Family> = Vec::new();
    let mut ordered: Vec<_> = tests.into_values().collect();
    let first = |columns: &Vec<Option<&CampaignTest>>| {
        columns.iter().flatten().next().map(|test| (test.family.clone(), test.test.clone()))
    };
    ordered.sort_by_cached_key(first);
    for columns in ordered {
        let all = columns.iter().copied().flatten();
        let Some(test) = all.clone().next() else { continue };
        if out.last().is_none_or(|family| family.name != test.family) {
            out.push(Family { name: test.family.clone(), tests: Vec::new() });
        }
        let row = Row {
            name: test.test.clone(),
            title: title_of(&columns).map(str::to_owned),
            outcome: all.clone().find_map(|test| asked(&test.condition, &test.named_outcomes)).map(str::to_owned),
            change: test.mutant.as_ref().map(|mutant| format!("{}, {}", mutant.of, mutant.change)),
            condition: test.condition.clone(),
            expected: test.expected.map_or("-".to_owned(), |verdict| verdict.to_string()),
            cells: columns.iter().map(|test| cell(*test)).collect(),
        };
        if let Some(family) = out.last_mut() {
            family.tests.push(row);
        }
    }
    out
}

fn cell(test: Option<&CampaignTest>) -> Cell {
    let Some(test) = test else { return Cell { class: "no".to_owned(), words: "not run", number: String::new() } };
    let class = match test.standing {
        Standing::AllowedSeen => "as",
        Standing::AllowedNotSeen => "an",
        Standing::ForbiddenNotSeen => "fn",
        Standing::ForbiddenSeen => "fs",
        Standing::UnjudgedSeen => "us",
        Standing::UnjudgedNotSeen => "un",
        Standing::NotRun => "no",
    };
    let share = test.races as f64 / test.iterations.max(1) as f64;
    let shade = SHADES.iter().filter(|least| share >= **least).count();
    let number = match (test.reproducibility, test.bound) {
        (Some(reproducibility), _) => {
            format!("{} of {}, again: {}", rate(share), short_count(test.iterations), percent(reproducibility))
        }
        (None, Some(bound)) => upper_bound(bound),
        _ => String::new(),
    };
    let class = if test.races > 0 { format!("{class} s{shade}") } else { class.to_owned() };
    Cell { class, words: test.standing.words(), number }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{record, small};
    use super::*;
    use crate::litmus::Verdict;
    use crate::record::campaign_test;

    #[test]
    fn the_page_reads_without_its_script_and_loads_nothing() {
        let small = small();
        let page = campaign_page(&[("c.json".to_owned(), &small)], &Front::default()).unwrap().html;
        let (before, rest) = page.split_once("<script>").unwrap();
        let (script, after) = rest.split_once("</script>").unwrap();
        assert!(!script.contains("fetch") && !script.contains("import") && !script.contains("http"), "{script}");
        let without = format!("{before}{after}");
        for part in
            ["MP+mbs", "line 4: smp_mb() left out", "allowed, not seen", "1 of 2 weak outcomes", "exists (0:r0=0)"]
        {
            assert!(without.contains(part), "{part}");
        }
        // A square in the heat map and a line in the table for each test.
        assert_eq!(without.matches("<tr id=\"t").count(), 5);
        assert_eq!(without.matches("href=\"#t").count(), 5);
        assert!(!page.contains("src=") && !page.contains("<link") && page.trim_end().ends_with("</html>"));
    }

    #[test]
    fn words_are_below_the_names_and_in_the_hints_of_the_squares() {
        // An earlier version wrote the first record.
        let (old, new) = (small(), super::super::tests::with_words());
        let page = |campaigns: &[(String, &CampaignRecord)]| campaign_page(campaigns, &Front::default()).unwrap().html;
        let html = page(&[("old".to_owned(), &old), ("new".to_owned(), &new)]);
        assert!(html.contains("<td>SB<br><small>store buffering</small></td>"), "{html}");
        assert!(html.contains("<code>exists (0:r0=0)</code><br><small>the store came too late</small></td>"), "{html}");
        assert!(html.contains("title=\"SB, store buffering: allowed, not seen"), "{html}");
        assert!(html.contains("<td>SB+mbs</td>") && html.contains("title=\"SB+mbs: forbidden, not seen"), "{html}");
    }

    #[test]
    fn names_are_text_and_hosts_are_columns() {
        let mut odd = campaign_test("MP+<b>", Some(Verdict::Sometimes), [10, 1]);
        odd.condition = "exists (x=\"<i>\")".to_owned();
        let (a, b) = (record(vec![odd.clone()]), record(vec![odd]));
        let page = campaign_page(&[("a".to_owned(), &a), ("b".to_owned(), &b)], &Front::default()).unwrap().html;
        assert!(!page.contains("MP+<b>") && page.contains("MP+&lt;b&gt;"), "{page}");
        assert!(page.contains("<th>A</th>") && page.contains("<th>B</th>"));
    }

    #[test]
    fn a_narrow_page_names_every_count_and_one_colour_is_one_standing() {
        let small = small();
        let page = |many: &[(String, &CampaignRecord)]| campaign_page(many, &Front::default()).unwrap().html;
        let html = page(&[("c.json".to_owned(), &small)]);
        // Narrow pages show no headings: each count of the lines MP, SB and all has its own.
        for heading in
            ["allowed, seen", "allowed, not seen", "forbidden, not seen", "FORBIDDEN, SEEN", "mutants killed"]
        {
            assert_eq!(html.matches(&format!("data-label=\"{heading}\"")).count(), 3, "{heading}");
        }
        let two = page(&[("a".to_owned(), &small), ("b".to_owned(), &small)]);
        assert!(
            two.contains("data-label=\"A\"") && two.contains("data-label=\"B\"") && !html.contains("data-label=\"A\"")
        );
        // The legend has every shade with its least rate, and squares and cells take their colours from one place.
        let legend = html.split("class=\"key legend\"").nth(1).unwrap().split("</p>").next().unwrap();
        for (class, words) in
            [("as s0", "at a rate below 1e-5"), ("as s1", "from 1e-5"), ("as s2", "from 0.1 %"), ("as s3", "from 10 %")]
        {
            let shade =
                legend.split(&format!("class=\"{class}\"")).nth(1).unwrap_or_else(|| panic!("{class}: {legend}"));
            assert!(shade.split("</span>").next().unwrap().contains(words), "{class}: {legend}");
        }
        let css = include_str!("campaign.css");
        for class in ["as", "an", "fn", "fs", "us", "un"] {
            assert!(css.contains(&format!(".{class} {{ --fill: #")), "{class}");
        }
        assert!(css.contains("border-left: .5rem solid var(--fill)") && !css.contains("border-color: #2d7d32"));
    }

    #[test]
    fn ten_thousand_tests_fit_a_page() {
        let tests: Vec<CampaignTest> = (0..10_000)
            .map(|at| campaign_test(&format!("MP+edge{at}+addr"), Some(Verdict::Sometimes), [100_000, at % 3]))
            .collect();
        let page = campaign_page(&[("c.json".to_owned(), &record(tests))], &Front::default()).unwrap().html;
        assert!(page.len() < 6_000_000, "{}", page.len());
        assert_eq!(page.matches("<tr id=\"t").count(), 10_000);
    }
}
