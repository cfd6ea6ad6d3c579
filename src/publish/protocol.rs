//! Writes the results of protocol runs for people and spreadsheets.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::fit::{Cells, fitted};
use super::markdown::{self, escape, sentences};
use super::numbers::{count, rate_with_interval, short_count, short_time};
use super::unmeasured::INTERRUPTED;
use crate::error::Result;
use crate::kernel::Mutant;
use crate::machine::in_order;
use crate::record::{HarmRecord, Judgement, ProtocolRecord, ProtocolResult};

pub(super) const HEADINGS: [&str; 10] =
    ["profile", "variant", "store", "layout", "rounds", "wakes", "matches", "races", "rate [95 %]", "result"];

/// The cells of one row of the table.
pub(super) fn cells(result: &ProtocolResult) -> [String; 10] {
    [
        name(result),
        result.variant.clone(),
        result.blocked_on_store.clone(),
        result.layout.clone(),
        count(result.rounds),
        count(result.wakes.issued),
        count(result.matches),
        count(result.races),
        rate_with_interval(result.rate, result.interval),
        judged(result),
    ]
}

/// The judgement of a result, with the counts that it rests on.
pub(super) fn judged(result: &ProtocolResult) -> String {
    let claims = counted(result, true);
    let claims =
        if claims.is_empty() { String::new() } else { format!("; claims that do not hold: {}", claims.join(", ")) };
    format!("{}{}{claims}", result.judgement().words(), harms(result))
}

/// The counts that a judgement rests on, after a colon; empty if there are none.
fn harms(result: &ProtocolResult) -> String {
    let mut harms = counted(result, false);
    if result.rescued > 0 {
        harms.push(format!("{} put back by the monitor", count(result.rescued)));
    }
    if result.lost_wakeups() > 0 {
        harms.push(format!("{} wakeups lost", count(result.lost_wakeups())));
    }
    if result.stuck.is_some() {
        harms.push("the run ended with a fault".to_owned());
    }
    // The judgement rests also on claims that are broken although the profile is expected to keep them.
    let broken = result.harms.iter().filter(|harm| harm.count > 0 && harm.is_claim() && !harm.expected);
    harms.extend(broken.map(|harm| format!("{} {}", harm.id, count(harm.count))));
    if harms.is_empty() { String::new() } else { format!(": {}", harms.join(", ")) }
}

/// The harms that were counted, or (`claims`) the broken claims that the profile is known to break.
fn counted(result: &ProtocolResult, claims: bool) -> Vec<String> {
    let wanted = |harm: &&HarmRecord| harm.count > 0 && harm.is_claim() == claims && (!claims || harm.expected);
    result.harms.iter().filter(wanted).map(|harm| format!("{} {}", harm.id, count(harm.count))).collect()
}

/// The judgements of all results in one line: the profiles of each judgement, with the counts of their harms.
pub(super) fn judged_together(record: &ProtocolRecord) -> String {
    let mut parts = Vec::new();
    for judgement in Judgement::ALL {
        let judged = record.results.iter().filter(|result| result.judgement() == judgement);
        let mut names: Vec<String> = judged.map(|result| format!("{}{}", name(result), harms(result))).collect();
        // Variant V8 has many layouts. A clean profile is named only once.
        names.dedup();
        if !names.is_empty() {
            parts.push(format!("{} ({})", judgement.words(), names.join("; ")));
        }
    }
    parts.join(", ")
}

/// Whether harm was seen.
pub(super) fn harm(records: &[&ProtocolRecord]) -> &'static str {
    match worst(records.iter().flat_map(|record| &record.results)) {
        Some(Judgement::Unexpected) => "harm that nobody expects",
        Some(Judgement::AsExpected) => "harm, all of it expected",
        Some(Judgement::Clean) => "no harm",
        None => "no results",
    }
}

/// The worst judgement of some results; `None` if there are none.
fn worst<'a>(results: impl Iterator<Item = &'a ProtocolResult>) -> Option<Judgement> {
    results.map(ProtocolResult::judgement).max()
}

/// What records say in one clause: whether harm was seen, in how many rounds, by which profile, how many races did not
/// heal, and the median time in which those of a profile healed. Times of several records are given from the shortest to
/// the longest.
pub(super) fn verdict(records: &[&ProtocolRecord]) -> String {
    let results = || records.iter().flat_map(|record| &record.results);
    if results().next().is_none() {
        return "no results".to_owned();
    }
    let harm = harm(records);
    let harm = if harm.contains(',') { format!("{harm},") } else { harm.to_owned() };
    let rounds = results().fold(0u64, |sum, result| sum.saturating_add(result.rounds));
    let mut healed: BTreeMap<String, Vec<u64>> = BTreeMap::new();
    for result in results().filter(|result| result.heal_ns.count > 0) {
        healed.entry(name(result)).or_default().push(result.heal_ns.p50);
    }
    let each = |(name, mut times): (String, Vec<u64>)| {
        times.sort_unstable();
        match times.as_slice() {
            [first, .., last] if first != last => format!("{name} {} to {}", short_time(*first), short_time(*last)),
            times => format!("{name} {}", short_time(times[0])),
        }
    };
    let healed: Vec<String> = healed.into_iter().map(each).collect();
    let heal = if healed.is_empty() {
        String::new()
    } else {
        format!("; half of those that healed took at most: {}", healed.join(", "))
    };
    let sum = |of: fn(&ProtocolResult) -> u64| results().fold(0u64, |sum, result| sum.saturating_add(of(result)));
    let races = match (sum(|result| result.races), sum(|result| result.unhealed)) {
        (0, _) => "; there was no race to heal".to_owned(),
        (races, 0) => format!("; all of {} healed", super::counted(races, "race")),
        (races, left) => format!("; {} of {} did not heal", count(left), super::counted(races, "race")),
    };
    format!("{harm} in {} rounds ({}){races}{heal}", short_count(rounds), by_profile(records))
}

/// What each profile showed: `v7.1: harm, expected; draft: harm, expected, with 868 lost wakeups; v7.2: clean`.
fn by_profile(records: &[&ProtocolRecord]) -> String {
    let mut names: Vec<String> = Vec::new();
    for result in records.iter().flat_map(|record| &record.results) {
        if !names.contains(&name(result)) {
            names.push(name(result));
        }
    }
    let of = |wanted: &str| {
        let own = || records.iter().flat_map(|record| &record.results).filter(|result| name(result) == wanted);
        let judged = match worst(own()) {
            Some(Judgement::Unexpected) => "HARM NOT EXPECTED",
            Some(Judgement::AsExpected) => "harm, expected",
            Some(Judgement::Clean) | None => "clean",
        };
        let lost = own().flat_map(|result| &result.harms).filter(|harm| harm.id == "H4");
        let lost = lost.fold(0u64, |sum, harm| sum.saturating_add(harm.count));
        let with = if lost > 0 { format!(", with {}", super::counted(lost, "lost wakeup")) } else { String::new() };
        format!("{wanted}: {judged}{with}")
    };
    names.iter().map(|wanted| of(wanted)).collect::<Vec<_>>().join("; ")
}

/// The name of the profile, followed by its mutant if there is one: with a minus if it leaves out a step, with
/// a plus if it adds one. A step that was added has the name that its profile had in the first records: `draft+check`.
pub(super) fn name(result: &ProtocolResult) -> String {
    let Some(mutant) = &result.mutant else { return result.profile.clone() };
    let adds = mutant.parse::<Mutant>().is_ok_and(Mutant::adds);
    format!("{}{}{mutant}", result.profile, if adds { "+" } else { " -" })
}

/// Writes the table for a terminal of at most `width` columns, if its words allow that.
pub(super) fn table_in(record: &ProtocolRecord, width: usize) -> String {
    let least = ["wakes", "layout", "store", "matches", "races"];
    let cells = table_cells(record).shortest(width, &least);
    // The counts of each harm are in the sentences below the table, too.
    let short = |cell: &str| cell.split(':').next().unwrap_or_default().to_owned();
    fitted(if cells.fits(width) { cells } else { cells.with("result", short) }, width)
}

fn table_cells(record: &ProtocolRecord) -> Cells {
    Cells {
        headings: HEADINGS.map(str::to_owned).to_vec(),
        lines: record.results.iter().map(|result| cells(result).to_vec()).collect(),
        right: Vec::new(),
    }
}

/// Writes the table for a terminal.
pub fn table(record: &ProtocolRecord) -> String {
    table_cells(record).text()
}

/// Writes what each result means, in sentences.
pub fn summary(record: &ProtocolRecord) -> String {
    let mut text = String::new();
    for result in &record.results {
        let _ = writeln!(
            text,
            "{}, {}, {}{}: {} rounds/s; {} wakeups: {} found no state match, {} found the task still queued, \
             {} put the task on a runqueue, {} were dropped or ended in no known way",
            name(result),
            result.variant,
            result.layout,
            if result.reconstruction {
                " (a reconstruction from the mail's text, made before its diff was known)"
            } else {
                ""
            },
            count(result.rounds_per_s.round() as u64),
            count(result.wakes.issued),
            count(result.wakes.no_match),
            count(result.wakes.runnable),
            count(result.wakes.activated),
            count(result.lost_wakeups()),
        );
        let _ = writeln!(text, "  {}", judged(result));
        let healed = result.healed.iter().fold(0, |sum: u64, healed| sum.saturating_add(healed.count));
        if result.races > 0 || healed > 0 {
            let by: Vec<String> = (result.healed.iter().filter(|healed| healed.count > 0))
                .map(|healed| format!("{} healed by {}", count(healed.count), healed.by))
                .collect();
            let _ = writeln!(
                text,
                "  {} races left a queued task RUNNING with blocked_on set: {}{}; time to heal: {} ns (median), {} ns (99 %), \
                 {} ns (longest)",
                count(healed.saturating_add(result.unhealed)),
                if by.is_empty() { "none healed".to_owned() } else { by.join(", ") },
                if result.unhealed > 0 { format!(", {} not healed", count(result.unhealed)) } else { String::new() },
                count(result.heal_ns.p50),
                count(result.heal_ns.p99),
                count(result.heal_ns.max),
            );
        }
        for harm in result.harms.iter().filter(|harm| harm.count > 0) {
            let expected = match (harm.expected, harm.is_claim()) {
                (true, false) => "expected of this profile",
                (true, true) => "a claim that is known not to hold in this profile",
                (false, _) => "not expected of this profile",
            };
            let _ = writeln!(text, "  {} {}: {} ({expected})", harm.id, harm.text, count(harm.count));
        }
        if result.rescued > 0 {
            let _ = writeln!(
                text,
                "  H4: the monitor put {} back on a runqueue so that the run could continue",
                super::counted(result.rescued, "lost task")
            );
        }
        if let Some(stuck) = &result.stuck {
            let _ = writeln!(text, "  fault: {stuck}");
        }
    }
    if record.interrupted {
        let _ = writeln!(text, "{INTERRUPTED}");
    }
    if record.host.emulated {
        text.push_str(
            "Run under an emulator: this tests the logic of the protocol. It says nothing about how often the race happens.\n",
        );
    }
    text
}

/// Writes the table and the summary in Markdown.
pub fn markdown(record: &ProtocolRecord) -> String {
    let [architecture, cpu_model, kernel] =
        [&record.host.architecture, &record.host.cpu_model, &record.host.kernel].map(|text| escape(text));
    let table = markdown::table(&HEADINGS.map(str::to_owned), record.results.iter().map(cells), &[]);
    format!("{architecture} {cpu_model}, {kernel}\n\n{table}\n{}\n", sentences(&summary(record)))
}

/// Writes CSV with one line per result and one column per harm.
///
/// # Errors
/// Only an internal one; no record causes it.
pub fn csv(record: &ProtocolRecord) -> Result<String> {
    let fixed = [
        "architecture",
        "cpu_model",
        "emulated",
        "profile",
        "mutant",
        "variant",
        "store",
        "layout",
        "cpus",
        "elapsed_s",
        "rounds",
        "acquired",
        "issued",
        "no_match",
        "runnable",
        "activated",
        "dropped",
        "matches",
        "nulls",
        "races",
        "healed",
        "unhealed",
        "heal_p50_ns",
        "heal_p99_ns",
        "heal_max_ns",
        "rescued",
        "result",
        "stuck",
    ];
    // Results of different versions may list different harms.
    let mut ids: Vec<&str> = Vec::new();
    for harm in record.results.iter().flat_map(|result| &result.harms) {
        if !ids.contains(&harm.id.as_str()) {
            ids.push(&harm.id);
        }
    }
    let mut lines = vec![fixed.iter().chain(&ids).map(|heading| (*heading).to_owned()).collect()];
    for result in &record.results {
        let mut line = vec![
            record.host.architecture.clone(),
            record.host.cpu_model.clone(),
            record.host.emulated.to_string(),
            result.profile.clone(),
            result.mutant.clone().unwrap_or_default(),
            result.variant.clone(),
            result.blocked_on_store.clone(),
            result.layout.clone(),
            in_order(&result.cpus).replace(',', " "),
            result.elapsed_s.to_string(),
        ];
        let numbers = [
            result.rounds,
            result.acquired,
            result.wakes.issued,
            result.wakes.no_match,
            result.wakes.runnable,
            result.wakes.activated,
            result.wakes.dropped,
            result.matches,
            result.nulls,
            result.races,
            result.healed.iter().fold(0, |sum, healed| sum.saturating_add(healed.count)),
            result.unhealed,
            result.heal_ns.p50,
            result.heal_ns.p99,
            result.heal_ns.max,
            result.rescued,
        ];
        line.extend(numbers.iter().map(u64::to_string));
        line.push(result.judgement().words().to_owned());
        line.push(result.stuck.clone().unwrap_or_default());
        let of = |id: &&str| {
            result.harms.iter().find(|harm| harm.id == *id).map_or(String::new(), |harm| harm.count.to_string())
        };
        line.extend(ids.iter().map(of));
        lines.push(line);
    }
    super::csv::render(&lines)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::Profile;
    use crate::kernel::harm::Harm;
    use crate::record::{AnyRecord, protocol_result, read_file};

    fn record(results: Vec<ProtocolResult>) -> ProtocolRecord {
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("results/x86_64/amd-epyc-cpu-family-25-model-17-stepping-1/2026-11-23T183221Z.protocol.json");
        let AnyRecord::Protocol(record) = read_file(&path).unwrap() else { panic!("a record of the protocol") };
        let mut record = *record;
        record.results = results;
        record
    }

    fn three() -> ProtocolRecord {
        let mut rescued = protocol_result(Profile::Draft, &[(Harm::H4, 8), (Harm::H6, 1250), (Harm::C5, 2)]);
        rescued.rescued = 6;
        let mut stuck = protocol_result(Profile::V71, &[(Harm::H10, 1)]);
        stuck.stuck = Some("task 3 has not been switched to for 5.0 s".to_owned());
        record(vec![protocol_result(Profile::V72, &[]), rescued, stuck])
    }

    #[test]
    fn every_output_says_the_same_three_words_with_their_counts() {
        let record = three();
        let words = [
            "clean",
            "harm, as expected of this profile: H4 8, H6 1,250, 6 put back by the monitor; claims that do not hold: C5 2",
            "harm nobody expects: H10 1, the run ended with a fault",
        ];
        let cells: Vec<String> = record.results.iter().map(|result| cells(result)[9].clone()).collect();
        assert_eq!(cells, words);
        for text in [table(&record), markdown(&record), summary(&record)] {
            for (word, result) in words.iter().zip(&record.results) {
                assert!(text.lines().any(|line| line.contains(word)), "{} in {text}", result.profile);
            }
        }
        assert!(summary(&record).contains("  H4: the monitor put 6 lost tasks back on a runqueue"));
        let said = verdict(&[&record]);
        let profiles = "(v7.2: clean; draft: harm, expected, with 8 lost wakeups; v7.1: HARM NOT EXPECTED)";
        assert!(said.starts_with("harm that nobody expects in ") && said.contains(profiles), "{said}");
        assert!(summary(&record).contains("fault: task 3 has not been switched to for 5.0 s"));
        assert!(summary(&record).contains("H10 two CPUs run one task: 1 (not expected of this profile)"));
        assert_eq!(
            judged_together(&record),
            "clean (v7.2), harm, as expected of this profile (draft: H4 8, H6 1,250, 6 put back by the monitor), \
             harm nobody expects (v7.1: H10 1, the run ended with a fault)"
        );
        let csv = csv(&record).unwrap();
        let column = csv.lines().next().unwrap().split(',').position(|heading| heading == "result").unwrap();
        let lines: Vec<csv::StringRecord> =
            csv::Reader::from_reader(csv.as_bytes()).records().map(|line| line.unwrap()).collect();
        let judged: Vec<&str> = lines.iter().map(|line| &line[column]).collect();
        assert_eq!(judged, ["clean", "harm, as expected of this profile", "harm nobody expects"]);
    }

    #[test]
    fn who_was_healed_by_nobody_is_said() {
        let record = record(vec![protocol_result(Profile::Draft, &[])]);
        let text = summary(&record);
        assert!(text.contains("6 races left a queued task RUNNING with blocked_on set: 1 healed by the task itself, 2 healed by find_proxy_task(), 3 not healed; time to heal: "), "{text}");
    }

    #[test]
    fn results_with_other_harms_stand_in_one_table() {
        let mut older = protocol_result(Profile::V71, &[(Harm::H1, 3)]);
        older.harms.truncate(1);
        let mut newer = protocol_result(Profile::V72, &[(Harm::H2, 4)]);
        newer.harms.remove(0);
        let csv = csv(&record(vec![older, newer])).unwrap();
        let mut reader = csv::Reader::from_reader(csv.as_bytes());
        let headings = reader.headers().unwrap().clone();
        let lines: Vec<csv::StringRecord> = reader.records().map(|line| line.unwrap()).collect();
        let cell = |line: usize, heading: &str| {
            lines[line][headings.iter().position(|known| known == heading).unwrap()].to_owned()
        };
        assert_eq!([cell(0, "H1"), cell(0, "H2"), cell(1, "H1"), cell(1, "H2")], ["3", "", "", "4"]);
        assert_eq!(headings.iter().filter(|heading| *heading == "H3").count(), 1);
    }
}
