//! The answer: what the records say about the race, in the page's first sentences.

use std::collections::BTreeSet;

use serde::Serialize;

use super::runs::Run;
use super::sum::Sum;
use super::words::best_control;
use crate::litmus::Verdict;
use crate::publish::cpus;
use crate::publish::distances;
use crate::publish::numbers::{how_often, listed, once_in, short_count, short_times, upper_bound};
use crate::publish::titles::title;
use crate::publish::zeros::{doubt, elsewhere, independence};
use crate::publish::{protocol, rate};
use crate::record::{Finding, ProtocolRecord, Record, ScenarioResult};
use crate::stats::interval;

/// The test that the answer is about, if the records have it.
pub(in crate::publish) const RACE: &str = "S01-as-is";
/// With more CPUs than this the sentence counts them instead of naming them.
const NAMED: usize = 3;

/// The first sentences of a page.
#[derive(Serialize)]
pub(super) struct Answer {
    /// The answer in one sentence.
    pub(super) headline: String,
    /// What the race is, how sure the answer is, and what it is compared with.
    pub(super) lines: Vec<String>,
}

/// The results of the answer's test on one kind of CPU.
pub(super) struct OnCpu<'a> {
    name: String,
    sums: Vec<&'a Sum<'a>>,
}

/// The test that the answer is about: the race as in the kernel, or else the first test that no run adds by itself.
pub(super) fn subject<'a>(sums: &'a [Sum<'a>]) -> Option<&'a str> {
    let first = |wanted: &dyn Fn(&Sum<'_>) -> bool| sums.iter().find(|sum| wanted(sum));
    first(&|sum| sum.first().scenario == RACE)
        .or_else(|| first(&|sum| sum.first().group == "race"))
        .or_else(|| first(&|sum| sum.first().group != "controls"))
        .or_else(|| first(&|sum| !sum.run.record().is_some_and(|record| record.added(&sum.first().scenario))))
        .or(sums.first())
        .map(|sum| sum.first().scenario.as_str())
}

/// The answer of some runs. `sums` are those of the runs on real hardware.
pub(super) fn answer(runs: &[Run<'_>], sums: &[Sum<'_>]) -> Answer {
    let protocol = protocol_line(runs);
    let Some(subject) = subject(sums) else { return without_race(runs, protocol) };
    let cpus = by_cpu(sums, subject);
    let race = sums.iter().any(|sum| sum.first().scenario == subject && sum.first().group == "race");
    let what = if race { "the race".to_owned() } else { format!("the outcome of {subject}") };
    let headline = match cpus.as_slice() {
        [one] => format!("On {} {what} was {}", one.name, clause(one).alone()),
        few if few.len() <= NAMED => {
            let each: Vec<String> =
                few.iter().map(|cpu| format!("on {}, {}", cpu.name, clause(cpu).in_a_list())).collect();
            format!("{what}: {}", each.join("; "))
        }
        many => counted(&what, many),
    };
    let mut lines = Vec::new();
    if race && subject == RACE {
        lines.push(
            "The race: a waker reads a task's new state and then still finds its blocked_on empty, so it takes it for a task \
             that waits for no mutex."
                .to_owned(),
        );
    }
    lines.extend(sure(&cpus));
    lines.extend(compared(sums, subject, &cpus));
    lines.extend(protocol);
    Answer { headline: unbroken(&capital(&(headline + "."))), lines: lines.iter().map(|line| unbroken(line)).collect() }
}

/// The answer of records without results on real hardware.
fn without_race(runs: &[Run<'_>], protocol: Option<String>) -> Answer {
    let headline = protocol.unwrap_or_else(|| {
        let emulated = runs.iter().any(|run| run.host().emulated);
        let why = if emulated { "an emulator ran these tests" } else { "there are no results" };
        format!("These records say nothing about hardware: {why}.")
    });
    Answer { headline: unbroken(&headline), lines: Vec::new() }
}

/// A number and its unit stay on one line.
fn unbroken(text: &str) -> String {
    let mut text = text.to_owned();
    for unit in ["%", "k ", "M ", "G ", "T ", "ns", "µs", "ms"] {
        text = text.replace(&format!(" {unit}"), &format!("\u{a0}{unit}"));
    }
    text
}

fn capital(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or(String::new(), |first| first.to_uppercase().chain(letters).collect())
}

/// The results of a test by kind of CPU, those where it was seen first.
pub(super) fn by_cpu<'a>(sums: &'a [Sum<'a>], scenario: &str) -> Vec<OnCpu<'a>> {
    let of_test = sums.iter().filter(|sum| sum.first().scenario == scenario);
    let kinds = cpus::by_cpu(of_test, |sum| sum.run.host()).into_iter();
    let mut out: Vec<OnCpu<'a>> = kinds.map(|(name, sums)| OnCpu { name, sums }).collect();
    out.sort_by(|a, b| b.highest().total_cmp(&a.highest()));
    out
}

impl<'a> OnCpu<'a> {
    fn architecture(&self) -> &str {
        &self.sums[0].run.host().architecture
    }

    /// The highest rate.
    pub(super) fn highest(&self) -> f64 {
        self.sums.iter().filter_map(|sum| sum.rate()).fold(0.0, f64::max)
    }

    /// The results of one host.
    pub(super) fn of(sums: Vec<&'a Sum<'a>>) -> OnCpu<'a> {
        OnCpu { name: String::new(), sums }
    }

    /// The rate in words, if the outcome was seen: that of the only results, or from the lowest to the highest one.
    pub(super) fn rates(&self) -> String {
        let rates: Vec<f64> = self.sums.iter().filter_map(|sum| sum.rate()).collect();
        let (low, high) = (rates.iter().copied().fold(1.0, f64::min), self.highest());
        if rates.len() == 1 || rate(low) == rate(high) {
            rate(high)
        } else if low > 0.0 {
            format!("{} to {}", rate(low), rate(high))
        } else {
            format!("up to {}", rate(high))
        }
    }

    /// The finding of all results together: a zero counts if it counts in one of them.
    pub(super) fn finding(&self) -> Finding {
        let all = [Finding::ForbiddenObserved, Finding::Observed, Finding::NotObserved];
        all.into_iter().find(|finding| self.has(*finding)).unwrap_or(Finding::Inconclusive)
    }

    /// The upper bound of a zero, such as `< 7.6e-8`.
    pub(super) fn bound(&self) -> String {
        self.upper().map_or(String::new(), upper_bound)
    }

    /// The upper bound of a zero, from the iterations of all results.
    fn upper(&self) -> Option<f64> {
        match self.sums[..] {
            [one] => one.interval().map(|interval| interval.high),
            _ => interval(0, self.iterations()).map(|interval| interval.high),
        }
    }

    fn iterations(&self) -> u64 {
        self.sums.iter().fold(0, |sum, one| sum.saturating_add(one.iterations))
    }

    /// How many runs the results are of.
    fn runs(&self) -> usize {
        self.sums.iter().map(|sum| &sum.run.letter).collect::<BTreeSet<_>>().len()
    }

    fn races(&self) -> u64 {
        self.sums.iter().fold(0, |sum, one| sum.saturating_add(one.races))
    }

    pub(super) fn has(&self, finding: Finding) -> bool {
        self.sums.iter().any(|sum| sum.finding() == finding)
    }

    pub(super) fn allowed(&self) -> Option<Verdict> {
        self.sums[0].first().expected
    }
}

/// What was seen on one CPU, and whether its architecture allows it.
struct Clause {
    /// What was seen: `seen in 0.3 % of 56 M iterations`.
    seen: String,
    /// What joins the two, such as `; ` or `, although `, and the verdict: `aarch64 allows it`.
    verdict: Option<(&'static str, String)>,
    /// What comes after the verdict.
    rest: &'static str,
}

impl Clause {
    /// As a sentence: `seen in 0.3 % of 56 M iterations; aarch64 allows it`.
    fn alone(self) -> String {
        let verdict = self.verdict.map_or(String::new(), |(joint, verdict)| format!("{joint}{verdict}"));
        format!("{}{verdict}{}", self.seen, self.rest)
    }

    /// In a list, with the verdict in parentheses: `not seen in 56 M iterations (x86_64 forbids it)`.
    fn in_a_list(self) -> String {
        let verdict = self.verdict.map_or(String::new(), |(joint, verdict)| {
            let but = if joint == ALTHOUGH { "although " } else { "" };
            format!(" ({but}{verdict})")
        });
        format!("{}{verdict}{}", self.seen, self.rest)
    }
}

/// Joins what was seen with a verdict that is unlike it.
const ALTHOUGH: &str = ", although ";

fn clause(cpu: &OnCpu<'_>) -> Clause {
    let runs = match cpu.runs() {
        1 => String::new(),
        several => format!(" of {several} runs"),
    };
    let (architecture, iterations) = (cpu.architecture(), short_count(cpu.iterations()));
    let forbids = format!("{architecture} forbids it");
    let allows = format!("{architecture} allows it");
    if cpu.highest() > 0.0 {
        // A small rate says less than the counts.
        let seen = match cpu.highest() {
            rate if rate >= 0.001 => format!("seen in {} of {iterations} iterations{runs}", cpu.rates()),
            _ => format!("seen {} in {iterations} iterations{runs}", short_times(cpu.races())),
        };
        let verdict = match cpu.allowed() {
            Some(Verdict::Never) => Some((ALTHOUGH, forbids)),
            Some(_) => Some(("; ", allows)),
            None => None,
        };
        return Clause { seen, verdict, rest: "" };
    }
    let doubted = !cpu.has(Finding::NotObserved);
    let verdict = match cpu.allowed() {
        Some(Verdict::Never) => Some((", and ", forbids)),
        Some(_) if !doubted => Some((ALTHOUGH, allows)),
        _ => None,
    };
    let rest = if doubted { ", but this zero is inconclusive" } else { "" };
    Clause { seen: format!("not seen in {iterations} iterations{runs}"), verdict, rest }
}

/// The headline for many CPUs.
fn counted(what: &str, cpus: &[OnCpu<'_>]) -> String {
    let seen = cpus.iter().filter(|cpu| cpu.highest() > 0.0).count();
    let forbidden = |cpu: &&OnCpu<'_>| cpu.allowed() == Some(Verdict::Never);
    let against = cpus[..seen].iter().filter(forbidden).count();
    let unseen = &cpus[seen..];
    let so = unseen.iter().filter(forbidden).count();
    let barred = match so {
        0 => String::new(),
        so if so == unseen.len() => ", all of architectures that forbid it".to_owned(),
        so => format!(", {so} of them of architectures that forbid it"),
    };
    if seen == 0 {
        return format!("{what} was not seen on any of {} kinds of CPU{barred}", cpus.len());
    }
    let most = format!("most often on {} ({})", cpus[0].name, rate(cpus[0].highest()));
    let bug = if against > 0 { format!(" ({against} of them forbid it)") } else { String::new() };
    let rest =
        if unseen.is_empty() { String::new() } else { format!(", and was not seen on {}{barred}", unseen.len()) };
    format!("{what} was seen on {seen} of {} kinds of CPU{bug}, {most}{rest}", cpus.len())
}

/// How sure the answer is.
fn sure(cpus: &[OnCpu<'_>]) -> Option<String> {
    let [cpu] = cpus else { return sure_of_all(cpus) };
    let most = cpu.sums.iter().max_by_key(|sum| sum.iterations)?;
    if cpu.has(Finding::ForbiddenObserved) {
        return Some("This is a bug in the hardware, in the expectation, or in wakerace.".to_owned());
    }
    if cpu.highest() > 0.0 {
        let best = super::words::best_skew(most.first()).unwrap_or_default();
        let (seen, interval) = most.rate().filter(|rate| *rate > 0.0).zip(most.interval())?;
        if let [result] = most.results[..]
            && let Some(rates) = distances::rates(result)
        {
            let whose = capital(&(where_most(cpu, most) + "with settings for each distance between the CPUs, "));
            return Some(format!("{whose}the rate is {rates}.{best}"));
        }
        let (low, high) = (interval.low, interval.high);
        let whose = where_most(cpu, most);
        return Some(if seen >= 0.001 {
            let the_rate = capital(&(whose + "the rate"));
            format!(
                "{the_rate} is {}; with 95 % confidence it is between {} and {}.{best}",
                rate(seen),
                rate(low),
                rate(high)
            )
        } else {
            let ends = format!("between {} and {}", once_in(low.max(f64::MIN_POSITIVE)), once_in(high));
            let it = capital(&(whose + "it happens"));
            format!("{it} {} iterations; with 95 % confidence, {ends}.{best}", once_in(seen))
        });
    }
    if cpu.has(Finding::NotObserved) {
        let once = short_count((1.0 / cpu.upper()?) as u64);
        let assumed = independence(&records(cpus));
        return Some(format!("With 95 % confidence it happens less often than once in {once} iterations{assumed}."));
    }
    cpu.sums.iter().find_map(|sum| doubt(sum.first())).map(|why| format!("Why: {why}."))
}

/// Which results a rate is of, if there are others: `in run B, which has the most iterations, `.
fn where_most(cpu: &OnCpu<'_>, most: &Sum<'_>) -> String {
    if cpu.sums.len() == 1 {
        return String::new();
    }
    let run = if cpu.runs() > 1 { format!("in run {}", most.run.letter) } else { String::new() };
    let of_run = cpu.sums.iter().filter(|sum| sum.run.letter == most.run.letter).count();
    let place = if of_run > 1 { format!("on {}", most.placement()) } else { String::new() };
    let both = [run, place].into_iter().filter(|words| !words.is_empty()).collect::<Vec<_>>().join(" ");
    format!("{both}, which has the most iterations, ")
}

/// How sure the answer of several CPUs is, if it is a zero that counts on each of them.
fn sure_of_all(cpus: &[OnCpu<'_>]) -> Option<String> {
    let zero = |cpu: &OnCpu<'_>| cpu.highest() == 0.0 && cpu.has(Finding::NotObserved);
    if cpus.is_empty() || !cpus.iter().all(zero) {
        return None;
    }
    let highest = cpus.iter().filter_map(OnCpu::upper).fold(0.0, f64::max);
    let once = short_count((1.0 / highest) as u64);
    let assumed = independence(&records(cpus));
    Some(format!("With 95 % confidence it happens less often than once in {once} iterations on each of them{assumed}."))
}

/// The records of some results, each once.
fn records<'a>(cpus: &[OnCpu<'a>]) -> Vec<&'a Record> {
    let mut known = BTreeSet::new();
    let sums = cpus.iter().flat_map(|cpu| &cpu.sums).filter(|sum| known.insert(&sum.run.letter));
    sums.filter_map(|sum| sum.run.record()).collect()
}

/// What the answer is compared with: a control that raced in the same run, and the fixes.
fn compared(sums: &[Sum<'_>], subject: &str, cpus: &[OnCpu<'_>]) -> Vec<String> {
    let mut out = Vec::new();
    let unseen = cpus.iter().find(|cpu| cpu.highest() == 0.0 && cpu.has(Finding::NotObserved));
    let control = unseen.and_then(|cpu| best_control(sums, cpu.sums[0]));
    if let Some(control) = control {
        let name = &control.first().scenario;
        let named = title(control.first())
            .map_or(format!("The control {name}"), |title| format!("{} ({name})", capital(title)));
        let raced = unseen.map_or(String::new(), |cpu| raced(sums, cpu, control, cpus.len() > 1));
        let far = unseen.map_or(String::new(), |cpu| {
            let zeros: Vec<&ScenarioResult> = cpu.sums.iter().flat_map(|sum| sum.results.iter().copied()).collect();
            cpu.sums[0].run.record().map_or(String::new(), |record| elsewhere(record, &zeros))
        });
        out.push(format!("{named} raced {raced} at these settings, so such a race can be seen here.{far}"));
    }
    if cpus.iter().any(|cpu| cpu.highest() > 0.0) {
        let fixes: Vec<&Sum<'_>> =
            sums.iter().filter(|sum| sum.first().group == "fixes" && sum.first().scenario != subject).collect();
        let mut names: Vec<&str> = fixes.iter().map(|sum| sum.first().scenario.as_str()).collect();
        names.dedup();
        let seen = fixes.iter().any(|sum| sum.races > 0);
        if !seen && !names.is_empty() {
            out.push(format!("It was not seen with {}.", names.join(" or ")));
        }
    }
    out
}

/// How often the control of a zero raced, in each of the runs that the zero is of: `in 3.18 % of its iterations in run A and in
/// 6.40 % of its iterations in run B`. Of many runs, only the ones with the lowest and the highest rate are named.
fn raced(sums: &[Sum<'_>], cpu: &OnCpu<'_>, control: &Sum<'_>, there: bool) -> String {
    let mut letters: Vec<&str> = cpu.sums.iter().map(|sum| sum.run.letter.as_str()).collect();
    letters.dedup();
    let best = |letter: &&str| {
        let of_run = |sum: &&Sum<'_>| sum.run.letter == *letter && sum.first().scenario == control.first().scenario;
        sums.iter().filter(of_run).filter_map(|sum| sum.rate()).fold(0.0, f64::max)
    };
    let there = if there { " there" } else { "" };
    if letters.len() == 1 {
        return format!("{} in the same run{there}", how_often(control.rate().unwrap_or(0.0)));
    }
    let mut rates: Vec<(f64, &str)> = letters.iter().map(|letter| (best(letter), *letter)).collect();
    if rates.len() <= NAMED {
        let in_words = |(rate, letter): &(f64, &str)| match *rate {
            0.0 => format!("not once in run {letter}"),
            rate => format!("{} in run {letter}", how_often(rate)),
        };
        return listed(&rates.iter().map(in_words).collect::<Vec<_>>()).unwrap_or_default();
    }
    rates.sort_by(|a, b| a.0.total_cmp(&b.0));
    let ((low, least), (high, most)) = (rates[0], rates[rates.len() - 1]);
    format!(
        "in {} (run {least}) to {} (run {most}) of its iterations in the {} runs{there}",
        rate(low),
        rate(high),
        rates.len()
    )
}

/// Whether the runs of the protocol on real hardware showed harm, and how fast races healed.
fn protocol_line(runs: &[Run<'_>]) -> Option<String> {
    let real = runs.iter().filter(|run| !run.host().emulated);
    let records: Vec<&ProtocolRecord> = real.filter_map(Run::protocol).collect();
    (!records.is_empty())
        .then(|| format!("The kernel's whole mutex and wakeup protocol: {}.", protocol::verdict(&records)))
}

#[cfg(test)]
mod tests {
    use crate::publish::page::{Entry, answer_of_all};
    use crate::record::{AnyRecord, Record, ScenarioResult, compute, shipped};

    /// A record of SB with these races in so many iterations.
    fn record(races: u64, iterations: u64) -> Record {
        let mut record = shipped("2026-11-25T174425Z");
        record.results.retain(|result| result.scenario == "SB");
        let result = &mut record.results[0];
        (result.races, result.iterations) = (races, iterations);
        (result.distances, result.blocks) = (None, Vec::new());
        compute(result);
        record
    }

    fn lines(records: Vec<Record>) -> Vec<String> {
        let entry = |record| Entry { name: "a.json".to_owned(), record: AnyRecord::Run(Box::new(record)) };
        let entries: Vec<Entry> = records.into_iter().map(entry).collect();
        answer_of_all(&entries).iter().map(|line| line.replace('\u{a0}', " ")).collect()
    }

    #[test]
    fn a_rate_is_said_to_be_of_the_run_that_it_is_of() {
        let one = lines(vec![record(22_000, 1_000_000)]);
        assert!(one[1].starts_with("The rate is 2.20 %; with 95 % confidence it is between "), "{one:?}");
        let two = lines(vec![record(300_000, 900_000), record(22_000, 1_000_000)]);
        assert!(two[0].contains("seen in 2.20 % to 33.3 % of 1.9 M iterations of 2 runs"), "{two:?}");
        let sure = "In run B, which has the most iterations, the rate is 2.20 %; with 95 % confidence it is between ";
        assert!(two[1].starts_with(sure), "{two:?}");
        let rare = lines(vec![record(10, 900_000), record(1, 1_000_000)]);
        assert!(rare[1].starts_with("In run B, which has the most iterations, it happens once in "), "{rare:?}");
        // One run on two placements.
        let mut several = record(22_000, 1_000_000);
        let other: ScenarioResult = record(300_000, 900_000).results.swap_remove(0);
        several.results.push(other);
        several.results[1].placement.class = crate::machine::Class::Smt;
        let several = lines(vec![several]);
        assert!(several[1].starts_with("On core, CPUs 0,1"), "{several:?}");
        assert!(several[1].contains(", which has the most iterations, the rate is 2.20 %"), "{several:?}");
    }
}
