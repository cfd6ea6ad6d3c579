//! What a contribution of records lacks, in words: for those who send the results of a machine.

use std::path::Path;

use super::page::Entry;
use crate::machine::Host;
use crate::record::{AnyRecord, Finding, Record, cpu_slug};
use crate::shown;

/// The groups of scenarios that a contribution has.
const GROUPS: [&str; 6] = ["race", "fixes", "mutants", "guards", "fields", "controls"];
/// The least time of a test, in seconds. CONTRIBUTING.md asks for 60; a test may end a little earlier.
const LEAST_S: f64 = 50.0;
/// A larger share of discarded iterations means that the machine was busy.
const MUCH_DISCARDED: f64 = 0.1;

/// What the records lack as a contribution, a sentence each.
pub fn missing(entries: &[Entry]) -> Vec<String> {
    let mut out: Vec<String> = entries.iter().flat_map(of_record).collect();
    let mut hosts: Vec<(&Host, Vec<&Entry>)> = Vec::new();
    for entry in entries {
        let host = entry.record.host();
        match hosts.iter_mut().find(|(known, _)| super::cpus::same_cpu(known, host)) {
            Some((_, of_host)) => of_host.push(entry),
            None => hosts.push((host, vec![entry])),
        }
    }
    out.extend(hosts.iter().flat_map(|(host, of_host)| of_cpu(host, of_host)));
    out
}

/// What one record lacks.
fn of_record(entry: &Entry) -> Vec<String> {
    let host = entry.record.host();
    let tool = match &entry.record {
        AnyRecord::Run(record) => &record.tool,
        AnyRecord::Protocol(record) => &record.tool,
        AnyRecord::Campaign(record) => &record.tool,
    };
    let mut out = Vec::new();
    let mut say = |words: String| out.push(format!("{}: {words}", entry.name));
    if host.emulated {
        say("an emulator ran this; run it on real hardware".to_owned());
    }
    let wanted = Path::new(&host.architecture).join(cpu_slug(host));
    if !Path::new(&entry.name).parent().is_some_and(|folder| folder.ends_with(&wanted)) {
        say(format!("it is not in the folder of its CPU; move it to results/{}", shown::path(&wanted)));
    }
    if tool.commit.contains("dirty") || tool.commit.is_empty() || tool.commit == "unknown" {
        say(format!("the commit of wakerace is '{}'; build an unchanged commit and run again", tool.commit));
    }
    if let AnyRecord::Run(record) = &entry.record {
        of_run(record, &mut say);
    }
    out
}

/// What a record of `wakerace run` lacks.
fn of_run(record: &Record, say: &mut impl FnMut(String)) {
    if record.interrupted {
        say("the run was interrupted; run it to its end".to_owned());
    }
    let short: Vec<&str> = named(record, |result| result.elapsed_s < LEAST_S && result.repeats.len() < 2);
    if !short.is_empty() {
        say(format!("ran for less than {LEAST_S:.0} s: {}; run with -d 60s", short.join(", ")));
    }
    let busy = named(record, |result| result.discarded_share() > MUCH_DISCARDED);
    if !busy.is_empty() {
        say(format!(
            "more than {:.0} % of the iterations were discarded in {}; run on an idle machine",
            MUCH_DISCARDED * 100.0,
            busy.join(", ")
        ));
    }
    let doubted = named(record, |result| result.finding == Finding::Inconclusive && result.controls_fired.is_empty());
    if !doubted.is_empty() {
        say(format!("no control fired beside {}; run the controls in the same run", doubted.join(", ")));
    }
}

/// The tests of which some result is as `wanted`, each once.
fn named(record: &Record, wanted: impl Fn(&crate::record::ScenarioResult) -> bool) -> Vec<&str> {
    let mut names: Vec<&str> = Vec::new();
    for result in record.results.iter().filter(|result| wanted(result)) {
        if !names.contains(&result.scenario.as_str()) {
            names.push(&result.scenario);
        }
    }
    names
}

/// What all records of one kind of CPU lack together.
fn of_cpu(host: &Host, entries: &[&Entry]) -> Vec<String> {
    let mut out = Vec::new();
    let runs = || {
        entries.iter().filter_map(|entry| if let AnyRecord::Run(record) = &entry.record { Some(record) } else { None })
    };
    let has = |group: &&str| runs().flat_map(|record| &record.results).any(|result| result.group == **group);
    let absent: Vec<&str> = GROUPS.into_iter().filter(|group| !has(group)).collect();
    if !absent.is_empty() {
        out.push(format!(
            "{} {}: no results of {}; run: wakerace run -d 60s {}",
            host.architecture,
            host.cpu_model,
            absent.join(", "),
            absent.join(" ")
        ));
    }
    if entries.len() == runs().count() {
        out.push(format!(
            "{} {}: no record of the protocol; run: wakerace protocol -d 60s",
            host.architecture, host.cpu_model
        ));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    const FOLDER: &str = "results/x86_64/amd-epyc-cpu-family-25-model-17-stepping-1";

    fn read(name: &str) -> Entry {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(FOLDER).join(name);
        Entry { name: format!("{FOLDER}/{name}"), record: crate::record::read_file(&path).unwrap() }
    }

    fn run(change: impl Fn(&mut Record)) -> Entry {
        let mut entry = read("2026-11-25T174425Z.json");
        let AnyRecord::Run(record) = &mut entry.record else { panic!("not a run") };
        for (result, group) in record.results.iter_mut().zip(GROUPS.into_iter().cycle()) {
            result.group = group.to_owned();
            result.elapsed_s = 60.0;
            result.discarded = 0;
            result.finding = Finding::Observed;
        }
        change(record);
        entry
    }

    #[test]
    fn a_whole_contribution_lacks_nothing() {
        assert_eq!(missing(&[run(|_| {}), read("2026-11-23T183221Z.protocol.json")]), [""; 0]);
    }

    #[test]
    fn what_is_missing_is_said_with_what_to_do() {
        let protocol = || read("2026-11-23T183221Z.protocol.json");
        let doubt = |record: &mut Record| {
            record.results[0].finding = Finding::Inconclusive;
            record.results[0].controls_fired.clear();
        };
        let lacks = |change: &dyn Fn(&mut Record), words: &str| {
            let found = missing(&[run(change), protocol()]);
            assert!(found.len() == 1 && found[0].contains(words), "{words}: {found:?}");
        };
        lacks(&|record| record.results.retain(|result| result.group != "guards"), "run: wakerace run -d 60s guards");
        lacks(&|record| record.results[1].elapsed_s = 2.0, "ran for less than 50 s: S01-core+nt; run with -d 60s");
        lacks(&|record| record.results[0].discarded = record.results[0].iterations, "discarded in SB; run on an idle");
        lacks(&doubt, "no control fired beside SB;");
        lacks(&|record| record.interrupted = true, "was interrupted");
        lacks(&|record| record.tool.commit = "abc-dirty".to_owned(), "'abc-dirty'; build an unchanged commit");
        let found = missing(&[run(|_| {})]);
        assert!(found.len() == 1 && found[0].ends_with("run: wakerace protocol -d 60s"), "{found:?}");
        let mut elsewhere = run(|_| {});
        elsewhere.name = "elsewhere/mine.json".to_owned();
        let found = missing(&[elsewhere, protocol()]);
        assert!(found.len() == 1 && found[0].ends_with(&format!("move it to {FOLDER}")), "{found:?}");
        // An emulated run is of another host: it has no protocol record beside it.
        let found = missing(&[run(|record| record.host.emulated = true), protocol()]);
        assert!(found.len() == 1 && found[0].contains("an emulator ran this"), "{found:?}");
    }
}
