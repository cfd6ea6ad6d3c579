//! Writes campaigns for people and spreadsheets: the matrix of verdicts and counts by family, and what follows from it.

mod compare;
mod page;

use std::collections::BTreeMap;
use std::fmt::Write as _;

pub use compare::campaign_comparison;
pub use page::{campaign_page, campaign_preview};

use super::cpus::cpu;
use super::fit::{self, Cells};
use super::mail::{MAIL_WIDTH, cut, paragraph, signature};
use super::markdown::{self, sentences};
use super::numbers::{count, short_count, upper_bound};
use super::titles::asked;
use super::unmeasured::INTERRUPTED;
use crate::arch::Arch;
use crate::error::{Error, Result};
use crate::litmus::Verdict;
use crate::machine::in_order;
use crate::model::Model;
use crate::record::{CampaignArm, CampaignCell, CampaignRecord, CampaignTest, MutantRecord, Standing, TestingPower};
use crate::shown;
use crate::verdict::VerdictSource;

/// The number of tests of a standing that the summary names; of the others it gives the number.
const NAMED: usize = 12;
/// The summary gives the titles of no more tests than this, so that the sentence stays short.
const TITLED: usize = 3;

/// The counts of a family: how many tests have each standing, the largest bound of those that are allowed and of those that
/// are forbidden and were not seen, and the mutants of it with those that were killed.
#[derive(Debug, Clone, Default, PartialEq)]
struct Family {
    standings: BTreeMap<Standing, u64>,
    allowed_bound: Option<f64>,
    forbidden_bound: Option<f64>,
    mutants: u64,
    killed: u64,
}

impl Family {
    fn of(&self, standing: Standing) -> u64 {
        self.standings.get(&standing).copied().unwrap_or(0)
    }

    fn add(&mut self, test: &CampaignTest, wanted: f64) {
        if test.mutant.is_some() {
            self.mutants += u64::from(test.standing != Standing::NotRun);
            self.killed += u64::from(test.reproducibility.is_some_and(|found| found >= wanted));
            return;
        }
        *self.standings.entry(test.standing).or_default() += 1;
        let bound = match test.standing {
            Standing::AllowedNotSeen => &mut self.allowed_bound,
            Standing::ForbiddenNotSeen => &mut self.forbidden_bound,
            _ => return,
        };
        *bound = [*bound, test.bound].into_iter().flatten().reduce(f64::max);
    }
}

/// The families in the order of their names.
fn families(record: &CampaignRecord) -> BTreeMap<&str, Family> {
    let mut out: BTreeMap<&str, Family> = BTreeMap::new();
    let wanted = record.wanted();
    for test in &record.results {
        out.entry(&test.family).or_default().add(test, wanted);
    }
    out
}

fn total(record: &CampaignRecord) -> Family {
    let mut sum = Family::default();
    let wanted = record.wanted();
    record.results.iter().for_each(|test| sum.add(test, wanted));
    sum
}

/// A count with the largest bound behind it.
fn bounded(count: u64, bound: Option<f64>) -> String {
    match bound {
        Some(bound) if count > 0 => format!("{} ({})", super::count(count), upper_bound(bound)),
        _ => dash(count),
    }
}

fn dash(count: u64) -> String {
    if count == 0 { "-".to_owned() } else { super::count(count) }
}

fn line(name: &str, family: &Family) -> Vec<String> {
    let tests: u64 = family.standings.values().sum();
    let killed = if family.mutants > 0 { format!("{} of {}", family.killed, family.mutants) } else { "-".to_owned() };
    vec![
        shown::line(name).into_owned(),
        super::count(tests),
        dash(family.of(Standing::AllowedSeen)),
        bounded(family.of(Standing::AllowedNotSeen), family.allowed_bound),
        bounded(family.of(Standing::ForbiddenNotSeen), family.forbidden_bound),
        dash(family.of(Standing::ForbiddenSeen)),
        dash(family.of(Standing::UnjudgedSeen) + family.of(Standing::UnjudgedNotSeen)),
        dash(family.of(Standing::NotRun)),
        killed,
    ]
}

/// The headings of the matrix.
const HEADINGS: [&str; 9] = [
    "family",
    "tests",
    "allowed, seen",
    "allowed, not seen",
    "forbidden, not seen",
    "FORBIDDEN, SEEN",
    "no verdict",
    "not run",
    "mutants killed",
];

/// The matrix: a line per family, and their sum. Columns that say nothing are left out.
pub(super) fn table(record: &CampaignRecord) -> Cells {
    let mut lines: Vec<Vec<String>> = families(record).iter().map(|(name, family)| line(name, family)).collect();
    lines.push(line("all", &total(record)));
    let cells = Cells { headings: HEADINGS.map(str::to_owned).to_vec(), lines, right: (1..HEADINGS.len()).collect() };
    ["no verdict", "not run", "mutants killed"].into_iter().fold(cells, Cells::without_if_empty)
}

/// The answer, and the matrix below it.
pub(super) fn text(record: &CampaignRecord) -> String {
    format!("{}\n\n{}\n", answer(record).replace('\u{a0}', " "), table(record).text())
}

/// The answer and the matrix as text of at most `width` columns, if the names of the families allow that.
pub(super) fn text_in(record: &CampaignRecord, width: usize) -> String {
    format!("{}\n\n{}\n", fit::wrapped(&answer(record), width, "  "), table_in(record, width))
}

/// The matrix as text of at most `width` columns, if the names of the families allow that: headings are broken first, then
/// columns that say nothing are left out, then the columns are in two tables.
fn table_in(record: &CampaignRecord, width: usize) -> String {
    let whole = table(record);
    let said = HEADINGS.into_iter().fold(whole.clone(), Cells::without_if_empty);
    for cells in [whole.clone(), whole.with_short_headings(), said.clone(), said.clone().with_short_headings()] {
        if cells.fits(width) {
            return cells.text();
        }
    }
    in_two(said).map(|cells| if cells.fits(width) { cells.text() } else { fit::with_names_above(cells) }).join("\n\n")
}

/// `99.999 %` of a probability, rounded down: a campaign that has almost reached a reproducibility has not reached it.
pub(super) fn percent(value: f64) -> String {
    let text = format!("{:.4}", (value * 1e6 + 1e-6).floor() / 1e4);
    format!("{} %", text.trim_end_matches('0').trim_end_matches('.'))
}

/// With fewer allowed outcomes than this, the share that was seen has no percentage: a single outcome would change it by more
/// than ten points.
const SHARED: u64 = 10;

/// `1 of 30 tests`, if the architecture allows the outcomes of fewer than half of the tests and of fewer than [`SHARED`]. Only these
/// can show reordering. Mutants do not count as tests; where there are some, they show it too.
fn few(record: &CampaignRecord) -> Option<String> {
    let TestingPower { allowed, mutants, .. } = record.power();
    let run = record.results.iter().filter(|test| test.mutant.is_none() && test.standing != Standing::NotRun);
    let tests = run.count() as u64;
    let few = mutants == 0 && allowed > 0 && allowed < SHARED && 2 * allowed < tests;
    few.then(|| format!("{} of {} tests", count(allowed), count(tests)))
}

/// ` (90.0 %)`, a share in parentheses, if there is enough to speak of one.
fn percentage(part: u64, whole: u64) -> String {
    if whole < SHARED { String::new() } else { format!(" ({:.1} %)", part as f64 / whole as f64 * 100.0) }
}

/// The testing power in words.
fn power(record: &CampaignRecord) -> String {
    let TestingPower { allowed, seen, reproducible, mutants, killed } = record.power();
    let wanted = percent(record.wanted());
    let mut text = String::new();
    if allowed > 0 {
        let again = match (reproducible, seen) {
            (_, 0) => String::new(),
            (0, _) => {
                format!(
                    " None was seen so often that another campaign of this length sees it with a probability of {wanted}."
                )
            }
            (1, seen) => format!(
                " Another campaign of this length sees {} with a probability of at least {wanted}.",
                if seen == 1 { "it" } else { "1 of them" }
            ),
            (several, _) => format!(
                " Another campaign of this length sees {} of them, each with a probability of at least {wanted}.",
                count(several)
            ),
        };
        let _ = match few(record) {
            Some(few) => writeln!(
                text,
                "Only {few} can show anything here (the outcomes of the others are not allowed); {} seen.{again} --mutants adds \
                 controls.",
                if seen == 1 { "1 was".to_owned() } else { format!("{} were", count(seen)) }
            ),
            None => writeln!(
                text,
                "Testing power: {} of {} weak outcomes that the architecture allows were seen{}.{again}",
                count(seen),
                count(allowed),
                percentage(seen, allowed)
            ),
        };
    }
    if mutants > 0 {
        let _ = writeln!(
            text,
            "Mutation score: {} of {} mutants killed{}, each with a reproducibility of {wanted}.",
            count(killed),
            count(mutants),
            percentage(killed, mutants)
        );
    }
    text
}

/// The names of tests, at most [`NAMED`] of them, with what `counts` says of each. Few have their titles.
fn names<'a>(
    tests: impl Iterator<Item = &'a CampaignTest>,
    counts: impl Fn(&CampaignTest) -> Option<String>,
) -> Option<String> {
    let all: Vec<&CampaignTest> = tests.collect();
    let name = |test: &&CampaignTest| {
        let title = (all.len() <= TITLED && !test.title.is_empty()).then(|| test.title.clone());
        let more = title.into_iter().chain(counts(test)).collect::<Vec<_>>().join("; ");
        let name = if more.is_empty() { test.test.clone() } else { format!("{} ({more})", test.test) };
        shown::line(&name).into_owned()
    };
    let named: Vec<String> = all.iter().take(NAMED).map(name).collect();
    let more = if all.len() > NAMED { format!(" and {} more", all.len() - NAMED) } else { String::new() };
    (!all.is_empty()).then(|| named.join(", ") + &more)
}

/// Who ran the code, if it was an emulator.
pub(super) fn emulator(record: &CampaignRecord) -> Option<String> {
    let about = record.about();
    record.host.emulated.then(|| about.emulator.unwrap_or_else(|| "an emulator".to_owned()))
}

/// What is said of a zero where nothing shows that reordering can be seen.
const BLIND: &str = " No outcome that is allowed was seen either, so this zero says little.";

/// The tests whose outcome is forbidden: those that were run, and the others. A mutant is one of them only if its outcome is
/// forbidden and was seen, which must never be left out.
fn forbidden(record: &CampaignRecord) -> (Vec<&CampaignTest>, Vec<&CampaignTest>) {
    let counts = |test: &&CampaignTest| test.mutant.is_none() || test.standing == Standing::ForbiddenSeen;
    let never = record.results.iter().filter(|test| test.expected == Some(Verdict::Never)).filter(counts);
    never.partition(|test| test.standing != Standing::NotRun)
}

/// Who forbids the outcomes of these tests: the architecture's model, and the headers of tests that it does not cover.
fn judge(record: &CampaignRecord, tests: &[&CampaignTest]) -> String {
    let architecture = &record.host.architecture;
    let model = Arch::named(architecture).map_or(architecture.as_str(), |arch| Model::of(arch).name());
    let is_by_header = |test: &&CampaignTest| test.expected_from == VerdictSource::Header;
    match tests.iter().filter(|test| is_by_header(test)).count() {
        0 => model.to_owned(),
        all if all == tests.len() => "a test's header".to_owned(),
        _ => format!("{model} or a test's header"),
    }
}

/// The answer, which every form of the result begins with: whether anything was seen that is forbidden. No line ends between
/// a number and its unit.
fn answer(record: &CampaignRecord) -> String {
    let (run, not_run) = forbidden(record);
    let judge = judge(record, if run.is_empty() { &not_run } else { &run });
    let who = match emulator(record) {
        Some(emulator) => format!("under {emulator}"),
        None => format!("on {}", shown::line(&cpu(&record.host))),
    };
    let others = match not_run.len() as u64 {
        0 => String::new(),
        1 => "; 1 more was not run".to_owned(),
        several => format!("; {} more were not run", count(several)),
    };
    let seen = || run.iter().copied().filter(|test| test.standing == Standing::ForbiddenSeen);
    let counts = |test: &CampaignTest| Some(format!("{} of {}", count(test.races), count(test.iterations)));
    if let Some(names) = names(seen(), counts) {
        let architecture = &record.host.architecture;
        let whose = match emulator(record) {
            Some(emulator) => format!("{emulator} does not do what {architecture} requires"),
            None => format!("this CPU or the model of {architecture} is wrong"),
        };
        let share = format!("{} of {}", count(seen().count() as u64), super::counted(run.len() as u64, "outcome"));
        return format!(
            "FORBIDDEN AND SEEN {who}: {names}. That is {share} that {judge} forbids{others}. Either {whose}, or the test is \
             wrong, or wakerace is."
        );
    }
    let place = if record.host.emulated { who.replacen("under", "Under", 1) } else { who.replacen("on", "On", 1) };
    if run.is_empty() {
        return match not_run.len() as u64 {
            0 => format!("{place} no test was run whose outcome {judge} forbids."),
            1 => format!("{place} the only test whose outcome {judge} forbids was not run."),
            several => format!("{place} none of the {} tests whose outcome {judge} forbids was run.", count(several)),
        };
    }
    let iterations = run.iter().fold(0u64, |sum, test| sum.saturating_add(test.iterations));
    let bounds = run.iter().filter_map(|test| Some((test.bound?, &test.test)));
    let (bound, of) = bounds.max_by(|a, b| a.0.total_cmp(&b.0)).map_or((0.0, ""), |(bound, test)| (bound, test));
    let weak = |test: &CampaignTest| test.is_allowed() && test.races > 0;
    let blind = if record.results.iter().any(weak) { "" } else { BLIND };
    let bound = if run.len() == 1 {
        format!("95\u{a0}% bound of the rate: {bound:.1e}")
    } else {
        format!("largest 95\u{a0}% bound of a rate: {bound:.1e}, of {}", shown::line(of))
    };
    format!(
        "{place} nothing that {judge} forbids was seen in {} and {} iterations ({bound}){others}.{blind}",
        super::counted(run.len() as u64, "test"),
        short_count(iterations)
    )
}

/// The answer and what the counts mean, in sentences.
pub(super) fn answer_and_summary(record: &CampaignRecord) -> String {
    format!("{}\n{}", answer(record), summary(record))
}

/// What the counts mean besides the answer, in sentences.
pub(super) fn summary(record: &CampaignRecord) -> String {
    let about = record.about();
    let of = |standing| record.results.iter().filter(move |test| test.standing == standing);
    let mut text = String::new();
    text.push_str(&power(record));
    let unseen = of(Standing::AllowedNotSeen).filter(|test| test.mutant.is_none());
    if let Some(names) = names(unseen, |_| None) {
        let _ = writeln!(text, "Allowed and not seen: {names}.");
    }
    let iterations = record.results.iter().fold(0u64, |sum, test| sum.saturating_add(test.iterations));
    let (arms, untried) = record.untried();
    let _ = writeln!(
        text,
        "{} iterations in {:.1} s; {} of {} combinations of test, placement and setting were tried.",
        short_count(iterations),
        about.spent_s,
        count((arms - untried) as u64),
        count(arms as u64)
    );
    if record.interrupted {
        let _ = writeln!(text, "{INTERRUPTED}");
    }
    let failed = record.results.iter().filter(|test| test.failed.is_some()).count();
    if failed > 0 {
        let _ = writeln!(text, "{failed} tests ended early; the record has the reasons.");
    }
    if !about.refused.is_empty() {
        let _ = writeln!(text, "{} files are not run; the record has the reasons.", count(about.refused.len() as u64));
    }
    if let Some(emulator) = emulator(record) {
        let _ =
            writeln!(text, "The program ran under {emulator}: this says something about it and nothing about a CPU.");
    }
    text.trim_end().to_owned()
}

/// Everything about the forbidden outcomes that were seen.
pub fn campaign_evidence(record: &CampaignRecord) -> String {
    let mut text = String::new();
    for test in record.results.iter().filter(|test| test.standing == Standing::ForbiddenSeen) {
        let (name, races, iterations) = (shown::line(&test.test), count(test.races), count(test.iterations));
        let title = if test.title.is_empty() { String::new() } else { format!("{}\n", test.title) };
        let _ = writeln!(text, "\n{name}: {}\n{title}seen {races} times in {iterations} iterations", test.condition);
        for outcome in &test.outcomes {
            let values: Vec<String> = outcome.values.iter().map(|(name, value)| format!("{name}={value}")).collect();
            let mark = if outcome.satisfies { "*" } else { " " };
            let named = test.named_outcomes.iter().find(|named| named.fits(&outcome.values));
            let words = named.map_or(String::new(), |named| format!("  ({})", named.words));
            let _ = writeln!(text, "  {mark} {:>15}  {}{words}", count(outcome.count), values.join("; "));
        }
        let arms = test.cells.iter().flat_map(|cell| cell.settings.iter().map(move |arm| (cell, arm)));
        for (CampaignCell { placement, .. }, CampaignArm { setting, races, iterations, .. }) in
            arms.filter(|(_, arm)| arm.races > 0)
        {
            let (cpus, class) = (in_order(&placement.cpus), placement.class_and_kinds());
            let _ = writeln!(
                text,
                "  CPUs {cpus} ({class}), setting {setting}: {} of {}",
                count(*races),
                count(*iterations)
            );
        }
        let _ = writeln!(text, "{}\n{}", test.source.trim_end(), test.listing.trim_end());
    }
    shown::text(&text).into_owned()
}

/// The answer, the matrix and the summary in Markdown.
pub(super) fn markdown(record: &CampaignRecord) -> String {
    let cells = table(record);
    let answer = sentences(&answer(record)).replace('\u{a0}', " ");
    let table = markdown::table(&cells.headings, &cells.lines, &[]);
    format!("{answer}\n\n{table}\n{}\n", sentences(&summary(record)))
}

/// The most columns of a family's name in a mail.
const FAMILY: usize = 12;
/// The columns that go to a second table, if one table is too wide.
const SECOND: [&str; 4] = ["forbidden, not seen", "FORBIDDEN, SEEN", "no verdict", "not run"];

/// The summary and the matrix as a mail.
pub(super) fn mail(record: &CampaignRecord) -> String {
    let lines: Vec<String> = answer_and_summary(record).lines().map(|line| paragraph(line, "  ")).collect();
    format!("{}\n\n{}\n\n{}", lines.join("\n"), mail_tables(record), signature(record))
}

/// The matrix in tables that fit into a mail. Only columns that say nothing are left out.
fn mail_tables(record: &CampaignRecord) -> String {
    let mut whole = HEADINGS.into_iter().fold(table(record), Cells::without_if_empty);
    for line in &mut whole.lines {
        line[0] = cut(&line[0], FAMILY);
    }
    if whole.fits(MAIL_WIDTH) {
        return whole.text();
    }
    in_two(whole).map(|cells| cells.text()).join("\n\n")
}

/// The columns in two tables, each with the names of the families.
fn in_two(whole: Cells) -> [Cells; 2] {
    let is_second = |heading: &&str| SECOND.contains(heading);
    let first = SECOND.into_iter().fold(whole.clone(), Cells::without);
    let second = HEADINGS[1..].iter().copied().filter(|heading| !is_second(heading)).fold(whole, Cells::without);
    [first, second]
}

const CSV: [&str; 23] = [
    "architecture",
    "cpu_model",
    "emulated",
    "test",
    "title",
    "outcome",
    "family",
    "source_sha256",
    "mutant_of",
    "change",
    "threads",
    "expected",
    "standing",
    "reproducibility",
    "test_bound",
    "cpus",
    "class",
    "setting",
    "slices",
    "sightings",
    "iterations",
    "races",
    "elapsed_s",
];

/// CSV: a line per test, placement and setting that was tried.
pub(super) fn csv(record: &CampaignRecord) -> Result<String> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    let wrong = |error: csv::Error| Error::Internal(error.to_string());
    writer.write_record(CSV).map_err(wrong)?;
    for test in &record.results {
        for cell in &test.cells {
            for arm in cell.settings.iter().filter(|arm| arm.slices > 0) {
                let fields = fields(record, test, cell, arm);
                writer.write_record(fields.map(|field| shown::line(&field).into_owned())).map_err(wrong)?;
            }
        }
    }
    let bytes = writer.into_inner().map_err(|error| Error::Internal(error.to_string()))?;
    String::from_utf8(bytes).map_err(|error| Error::Internal(error.to_string()))
}

fn fields(record: &CampaignRecord, test: &CampaignTest, cell: &CampaignCell, arm: &CampaignArm) -> [String; 23] {
    let number = |value: Option<f64>| value.map_or(String::new(), |value| value.to_string());
    let mutant = |of: fn(&MutantRecord) -> &String| test.mutant.as_ref().map(of).cloned().unwrap_or_default();
    [
        record.host.architecture.clone(),
        record.host.cpu_model.clone(),
        record.host.emulated.to_string(),
        test.test.clone(),
        test.title.clone(),
        asked(&test.condition, &test.named_outcomes).unwrap_or_default().to_owned(),
        test.family.clone(),
        test.source_sha256.clone(),
        mutant(|mutant| &mutant.of),
        mutant(|mutant| &mutant.change),
        test.threads.to_string(),
        test.expected.map_or(String::new(), |verdict| verdict.to_string()),
        test.standing.words().to_owned(),
        number(test.reproducibility),
        number(test.bound),
        in_order(&cell.placement.cpus),
        cell.placement.class_and_kinds(),
        arm.setting.clone(),
        arm.slices.to_string(),
        arm.sightings.to_string(),
        arm.iterations.to_string(),
        arm.races.to_string(),
        arm.elapsed_s.to_string(),
    ]
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::litmus::Verdict;
    use crate::machine::{self, Calibration, Topology};
    use crate::publish::Publish;
    use crate::publish::page::Front;
    use crate::record::{CAMPAIGN_SCHEMA, CampaignAbout, FinalValue, NamedOutcomeRecord, SettingRecord, campaign_test};

    /// A record with these tests.
    pub(in crate::publish) fn record(tests: Vec<CampaignTest>) -> CampaignRecord {
        let host = machine::describe(&Topology::read().unwrap(), &machine::allowed_cpus().unwrap(), Calibration::new());
        let mut record = CampaignRecord::begin(CAMPAIGN_SCHEMA, jiff::Timestamp::now(), host).unwrap();
        record.host.emulated = false;
        let settings = vec![SettingRecord { name: "paced".to_owned(), words: "paced".to_owned() }];
        record.campaign = Some(Box::new(CampaignAbout { spent_s: 2.5, settings, ..CampaignAbout::default() }));
        record.results = tests;
        record
    }

    pub(in crate::publish) fn small() -> CampaignRecord {
        use Verdict::{Never, Sometimes};
        let mut killed = campaign_test("MP+M1", Some(Sometimes), [1000, 40]);
        killed.cells[0].settings[0].sightings = 12;
        killed.mutant = Some(MutantRecord { of: "MP+mbs".to_owned(), change: "line 4: smp_mb() left out".to_owned() });
        killed.settle();
        record(vec![
            campaign_test("MP", Some(Sometimes), [1000, 500]),
            killed,
            campaign_test("MP+mbs", Some(Never), [1_000_000, 0]),
            campaign_test("SB", Some(Sometimes), [1000, 0]),
            campaign_test("SB+mbs", Some(Never), [10_000, 0]),
        ])
    }

    #[test]
    fn the_matrix_counts_each_test_once_and_shows_the_weakest_bound() {
        let text = small().table();
        let matrix = text.split_once("\n\n").unwrap().1;
        let lines: Vec<Vec<&str>> = matrix
            .lines()
            .map(|line| line.split("  ").map(str::trim).filter(|cell| !cell.is_empty()).collect())
            .collect();
        assert_eq!(
            lines[0],
            [
                "family",
                "tests",
                "allowed, seen",
                "allowed, not seen",
                "forbidden, not seen",
                "FORBIDDEN, SEEN",
                "mutants killed"
            ]
        );
        assert_eq!(lines[1], ["MP", "2", "1", "-", "1 (< 3.0e-6)", "-", "1 of 1"]);
        assert_eq!(lines[2], ["SB", "2", "-", "1 (< 3.0e-3)", "1 (< 3.0e-4)", "-", "-"]);
        assert_eq!(lines[3], ["all", "4", "1", "1 (< 3.0e-3)", "2 (< 3.0e-4)", "-", "1 of 1"]);
        assert!(!text.contains("no verdict"), "{text}");
    }

    #[test]
    fn the_matrix_fits_and_breaks_no_number() {
        use Verdict::{Never, Sometimes};
        // Every column says something, with a bound of every standing that has one.
        let mut all = small();
        all.results.extend([
            campaign_test("2+2W", Some(Sometimes), [1000, 0]),
            campaign_test("MP+a", Some(Never), [1000, 3]),
            campaign_test("MP+b", None, [1000, 3]),
            campaign_test("MP+c", Some(Never), [0, 0]),
        ]);
        let whole = table(&all).text();
        let widest = whole.lines().map(str::len).max().unwrap();
        assert!(widest > 100, "{whole}");
        for (record, width) in [(&all, 200), (&all, 100), (&all, 80), (&all, 60), (&small(), 80), (&small(), 60)] {
            let text = record.table_in(width);
            assert!(text.lines().all(|line| line.chars().count() <= width), "{width}:\n{text}");
            // Each cell of the whole table that says something is there, on one line.
            for cell in table(record).text().lines().skip(1).flat_map(|line| line.split("  ")).map(str::trim) {
                assert!(text.lines().any(|line| line.contains(cell)), "{width}: {cell}\n{text}");
            }
            let words = text.split_whitespace().collect::<Vec<_>>();
            assert!(words.contains(&"FORBIDDEN,") == (text.contains("FORBIDDEN")), "{text}");
        }
        assert_eq!(table_in(&all, 200), whole);
        // One table has room at 100 columns, and at 80 if what says nothing is left out.
        assert_eq!(all.table_in(100).matches("family").count(), 1, "{}", all.table_in(100));
        assert_eq!(small().table_in(80).matches("family").count(), 1, "{}", small().table_in(80));
    }

    /// The first words of a result for a terminal, a narrow terminal, a mail, Markdown and a page.
    fn first_words(record: &CampaignRecord) -> [String; 5] {
        let page = campaign_page(&[("c.json".to_owned(), record)], &Front::default()).unwrap().html;
        let page = page.split_once("<p class=\"answer\">").unwrap().1.split_once("</p>").unwrap().0;
        let page = page.replace("&#x27;", "'");
        let first = |text: String| text.split("\n\n").next().unwrap().split_whitespace().collect::<Vec<_>>().join(" ");
        [record.table(), record.table_in(60), record.mail(), record.markdown(), page].map(first)
    }

    #[test]
    fn every_form_says_first_whether_anything_forbidden_was_seen() {
        use Verdict::{Never, Sometimes};
        let all_begin = |record: &CampaignRecord, wanted: &str| {
            for words in first_words(record) {
                assert!(words.starts_with(wanted), "{wanted}\n{words}");
            }
        };
        let mut clean = small();
        clean.host.architecture = "x86_64".to_owned();
        clean.host.cpu_model = "AMD EPYC Processor".to_owned();
        let nothing = "On AMD EPYC nothing that x86-TSO forbids was seen in 2 tests and 1 M iterations (largest 95 % bound \
                       of a rate: 3.0e-4, of SB+mbs)";
        all_begin(&clean, &format!("{nothing}."));
        assert!(clean.markdown().contains(" of SB+mbs).\n\n| family |"), "{}", clean.markdown());
        for width in 60..80 {
            assert!(clean.table_in(width).contains("95 % bound"), "{}", clean.table_in(width));
        }
        assert_eq!(clean.table().matches("nothing that").count() + clean.summary().matches("nothing that").count(), 1);

        let mut partly = clean.clone();
        partly.results.push(campaign_test("LB", Some(Never), [0, 0]));
        all_begin(&partly, &format!("{nothing}; 1 more was not run."));
        partly.results[2].expected_from = VerdictSource::Header;
        all_begin(&partly, "On AMD EPYC nothing that x86-TSO or a test's header forbids was seen in 2 tests");
        partly.host.emulated = true;
        partly.host.architecture = "aarch64".to_owned();
        all_begin(&partly, "Under an emulator nothing that ARMv8 or a test's header forbids was seen in 2 tests");

        let mut one = clean.clone();
        one.results.truncate(3);
        all_begin(
            &one,
            "On AMD EPYC nothing that x86-TSO forbids was seen in 1 test and 1 M iterations (95 % bound of the rate: 3.0e-6).",
        );
        let mut blind = one.clone();
        // One forbidden outcome, and one that is allowed and was not seen.
        blind.results = vec![clean.results[2].clone(), clean.results[3].clone()];
        all_begin(
            &blind,
            "On AMD EPYC nothing that x86-TSO forbids was seen in 1 test and 1 M iterations (95 % bound of the rate: 3.0e-6). No outcome that \
             is allowed was seen either, so this zero says little.",
        );
        // A mutant that was seen shows as much as a test.
        blind.results.push(one.results[1].clone());
        assert!(!blind.table().contains("says little"), "{}", blind.table());
        assert!(!one.table().contains("says little"), "{}", one.table());
        one.results.truncate(2);
        all_begin(&one, "On AMD EPYC no test was run whose outcome x86-TSO forbids.");
        // The model says nothing of tests that only their headers judge.
        let mut not_run = one;
        let mut test = campaign_test("LB", Some(Never), [0, 0]);
        test.expected_from = VerdictSource::Header;
        not_run.results.push(test.clone());
        all_begin(&not_run, "On AMD EPYC the only test whose outcome a test's header forbids was not run.");
        not_run.results.extend([campaign_test("S", Some(Never), [0, 0]), test]);
        let none = "On AMD EPYC none of the 3 tests whose outcome x86-TSO or a test's header forbids was run.";
        all_begin(&not_run, none);
        // A mutant counts only where the outcome is forbidden and was seen.
        let mut mutant = campaign_test("S+M1", Some(Never), [1000, 0]);
        mutant.mutant = Some(MutantRecord { of: "S".to_owned(), change: "line 4: smp_mb() left out".to_owned() });
        not_run.results.push(mutant.clone());
        all_begin(&not_run, none);
        let mut seen = campaign_test("S+M2", Some(Never), [1000, 7]);
        seen.mutant = mutant.mutant;
        not_run.results.push(seen);
        all_begin(
            &not_run,
            "FORBIDDEN AND SEEN on AMD EPYC: S+M2 (7 of 1,000). That is 1 of 1 outcome that x86-TSO forbids",
        );

        let mut seen = clean;
        seen.results.push(campaign_test("SB+release-acquire", Some(Never), [1000, 7]));
        seen.results.push(campaign_test("R", Some(Sometimes), [1000, 7]));
        let wanted = "FORBIDDEN AND SEEN on AMD EPYC: SB+release-acquire (7 of 1,000). That is 1 of 3 outcomes that x86-TSO forbids.";
        all_begin(&seen, wanted);
    }

    #[test]
    fn the_title_of_the_page_says_whether_anything_forbidden_was_seen() {
        let titled = |record: &CampaignRecord| {
            let page = campaign_page(&[("c.json".to_owned(), record)], &Front::default()).unwrap().html;
            page.split_once("<h1>").unwrap().1.split_once("</h1>").unwrap().0.to_owned()
        };
        let mut record = small();
        record.host.cpu_model = "a CPU".to_owned();
        assert_eq!(titled(&record), "Nothing forbidden seen on a CPU, 1 of 2 allowed weak outcomes seen");
        record.results.push(campaign_test("R", Some(Verdict::Never), [1000, 7]));
        assert_eq!(titled(&record), "1 FORBIDDEN outcome seen on a CPU, 1 of 2 allowed weak outcomes seen");
        record.results.retain(CampaignTest::is_allowed);
        assert_eq!(titled(&record), "1 of 2 allowed weak outcomes seen on a CPU");
    }

    #[test]
    fn the_summary_gives_the_testing_power_and_the_mutation_score() {
        let text = small().summary();
        assert!(text.contains("1 of 2 weak outcomes"), "{text}");
        assert!(text.contains("None was seen so often that another campaign of this length sees it"), "{text}");
        // So few tests have no share in per cent.
        assert!(text.contains("1 of 1 mutants killed, each") && text.contains("were seen. None"), "{text}");
        let mut many = small();
        for at in 0..8 {
            let mut test = campaign_test(&format!("R{at}"), Some(Verdict::Sometimes), [10_000, 100]);
            test.cells[0].settings[0].sightings = if at < 3 { 20 } else { 1 };
            test.settle();
            many.results.push(test);
        }
        let text = many.summary();
        assert!(text.contains("9 of 10 weak outcomes that the architecture allows were seen (90.0 %)."), "{text}");
        let again = "Another campaign of this length sees 3 of them, each with a probability of at least 99.999 %.";
        assert!(text.contains(again), "{text}");
        many.results.pop();
        assert!(many.summary().contains("8 of 9 weak") && !many.summary().contains("seen ("), "{}", many.summary());
        assert!(text.contains("Allowed and not seen: SB."), "{text}");
        assert_eq!(percent(0.999_989_9), "99.9989 %");
        assert_eq!(percent(0.95), "95 %");
    }

    #[test]
    fn a_corpus_that_can_show_almost_nothing_claims_no_power() {
        use Verdict::{Never, Sometimes};
        let never = |at: usize| campaign_test(&format!("MP+{at}"), Some(Never), [1000, 0]);
        let mut record = record((0..29).map(never).collect());
        record.host.cpu_model = "a CPU".to_owned();
        let mut seen = campaign_test("R", Some(Sometimes), [1000, 20]);
        seen.cells[0].settings[0].sightings = 12;
        seen.settle();
        record.results.push(seen);
        let wanted = "Only 1 of 30 tests can show anything here (the outcomes of the others are not allowed); 1 was seen. \
                      Another campaign of this length sees it with a probability of at least 99.999 %. --mutants adds \
                      controls.";
        let unbroken = |text: String| text.split_whitespace().collect::<Vec<_>>().join(" ");
        let page = || campaign_page(&[("c.json".to_owned(), &record)], &Front::default()).unwrap().html;
        for text in [record.summary(), record.mail(), record.markdown(), page()].map(unbroken) {
            assert!(text.contains(wanted) && !text.contains("Testing power"), "{text}");
        }
        let title = "<h1>Nothing forbidden seen on a CPU, only 1 of 30 tests can show anything here</h1>";
        assert!(page().contains(title), "{}", &page()[..4000]);
        // Mutants show it too.
        record.results.push(small().results[1].clone());
        assert!(
            record.summary().contains("Testing power: 1 of 1 weak outcomes that the architecture allows were seen.")
        );
        // So do enough tests, or most of the tests.
        record.results.pop();
        record.results.extend((0..9).map(|at| campaign_test(&format!("S{at}"), Some(Sometimes), [1000, 0])));
        assert!(record.summary().contains("Testing power: 1 of 10 weak outcomes"), "{}", record.summary());
        assert!(small().summary().contains("Testing power"));
    }

    #[test]
    fn a_forbidden_outcome_is_named_with_everything_and_under_an_emulator_it_is_the_emulators() {
        let mut record = small();
        let mut wrong = campaign_test("SB+release-acquire", Some(Verdict::Never), [1000, 7]);
        wrong.source = "the source".to_owned();
        wrong.listing = "stlr".to_owned();
        record.results.push(wrong);
        let text = answer_and_summary(&record);
        assert!(record.is_alarming() && text.contains(": SB+release-acquire (7 of 1,000)"), "{text}");
        assert!(text.contains("this CPU or the model"), "{text}");
        let evidence = campaign_evidence(&record);
        for part in ["seen 7 times in 1,000", "the source", "stlr", "setting paced: 7 of 1,000", "0:r0=0"] {
            assert!(evidence.contains(part), "{part}: {evidence}");
        }
        record.host.emulated = true;
        record.campaign.as_mut().unwrap().emulator = Some("qemu-aarch64 11.1.2".to_owned());
        let text = answer_and_summary(&record);
        assert!(
            text.contains("qemu-aarch64 11.1.2 does not do what") && text.contains("nothing about a CPU"),
            "{text}"
        );
    }

    /// Tests with words, one of them forbidden and seen, and one that has none.
    pub(in crate::publish) fn with_words() -> CampaignRecord {
        let mut record = small();
        record.results.push(campaign_test("SB+ra", Some(Verdict::Never), [1000, 7]));
        for (test, title) in [(3, "store buffering"), (5, "store buffering that must not be seen")] {
            record.results[test].title = title.to_owned();
            record.results[test].named_outcomes = vec![NamedOutcomeRecord {
                values: [("0:r0".to_owned(), FinalValue::Int(0))].into(),
                words: "the store came too late".to_owned(),
            }];
        }
        record
    }

    #[test]
    fn words_of_tests_and_outcomes_stand_beside_their_names() {
        let record = with_words();
        let answer = record.table();
        assert!(
            answer.starts_with("FORBIDDEN AND SEEN on ")
                && answer.contains(": SB+ra (store buffering that must not be seen; 7 of 1,000). ")
        );
        assert!(record.summary().contains("Allowed and not seen: SB (store buffering).\n"), "{}", record.summary());
        let evidence = campaign_evidence(&record);
        assert!(evidence.contains("\nstore buffering that must not be seen\nseen 7 times"), "{evidence}");
        assert!(evidence.contains("7  0:r0=0  (the store came too late)\n"), "{evidence}");
        assert!(evidence.contains("993  0:r0=1\n"), "{evidence}");
        let csv = record.csv().unwrap();
        let mut reader = csv::Reader::from_reader(csv.as_bytes());
        let at = |name: &str| CSV.iter().position(|column| *column == name).unwrap();
        let rows: Vec<csv::StringRecord> = reader.records().map(|row| row.unwrap()).collect();
        let words = |row: usize| [&rows[row][at("test")], &rows[row][at("title")], &rows[row][at("outcome")]];
        assert_eq!(words(0), ["MP", "", ""]);
        assert_eq!(words(3), ["SB", "store buffering", "the store came too late"]);
        // Titles of many tests would bury the names.
        let mut many = record;
        for at in 0..3 {
            many.results.push(campaign_test(&format!("R{at}"), Some(Verdict::Sometimes), [10, 0]));
        }
        assert!(many.summary().contains("Allowed and not seen: SB, R0, R1, R2."), "{}", many.summary());
    }

    #[test]
    fn csv_has_a_line_per_placement_and_setting() {
        let text = small().csv().unwrap();
        let mut reader = csv::Reader::from_reader(text.as_bytes());
        let rows: Vec<csv::StringRecord> = reader.records().map(|record| record.unwrap()).collect();
        assert_eq!(rows.len(), 5);
        // A test's bound is on each of its rows and is named for that.
        assert!(CSV.contains(&"test_bound") && !CSV.contains(&"bound"));
        assert!(rows[1].iter().any(|field| field == "line 4: smp_mb() left out"), "{:?}", rows[1]);
        assert!(small().markdown().contains("| MP | 2 | 1 |"));
    }

    #[test]
    fn a_mail_has_every_column_and_no_line_is_too_long() {
        use Verdict::{Never, Sometimes};
        let fits = |text: &str| assert!(text.lines().all(|line| line.chars().count() <= MAIL_WIDTH), "{text}");
        let mail = small().mail();
        fits(&mail);
        assert!(mail.contains("forbidden, not seen") && mail.contains("1 (< 3.0e-6)"), "{mail}");
        // Every column says something, and a family has a long name.
        let mut record = small();
        record.results.extend([
            campaign_test(&"x".repeat(90), Some(Sometimes), [1000, 0]),
            campaign_test("MP+a", Some(Never), [1000, 3]),
            campaign_test("MP+b", None, [1000, 3]),
            campaign_test("MP+c", Some(Never), [0, 0]),
        ]);
        let mail = record.mail();
        fits(&mail);
        for heading in HEADINGS {
            assert!(mail.contains(heading), "{heading}: {mail}");
        }
        assert!(mail.contains("\n xxxxxxxxxx..  "), "{mail}");
        // A single kind of test needs one table.
        let one = super::tests::record(vec![campaign_test("SB+mbs", Some(Never), [10_000, 0])]).mail();
        assert_eq!(one.matches("\n family").count(), 1, "{one}");
        assert!(one.contains("1 (< 3.0e-4)") && !one.contains("allowed, seen"), "{one}");
    }
}
