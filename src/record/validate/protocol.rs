//! Validates the results of `wakerace protocol`.

use super::host::{self, MOST_CPUS};
use super::{Problems, gaps, longest_s};
use crate::kernel::harm::Harm;
use crate::kernel::{Mutant, OLD_DRAFT_WITH_CHECK, Profile};
use crate::record::computed::per_second;
use crate::record::{HarmRecord, HealedRecord, ProtocolRecord, ProtocolResult, WakesRecord};
use crate::stats::{interval, share};

/// More tasks per CPU than any version allowed.
const MOST_TASKS: usize = 1 << 10;
/// More rounds per second than a thousand CPUs can complete: a round takes a lock twice and has a wakeup.
const MOST_PER_SECOND: f64 = 1e12;

pub(super) fn results(record: &ProtocolRecord, problems: &mut Problems) {
    let keys: Vec<_> = (record.results.iter())
        .map(|result| (&result.profile, &result.mutant, &result.variant, &result.blocked_on_store, &result.layout))
        .collect();
    problems.distinct("results", "profile, variant, store and layout", &keys);
    let by_these_rules = !record.id.is_empty();
    problems.each("results", &record.results, |problems, result| {
        ranges(result, problems);
        problems.range("elapsed_s", result.elapsed_s, 0.0..=record.elapsed_s + 1e-3);
        computed(result, problems);
        problems.within("heal_ns", |problems| gaps(&result.heal_ns, "ns", result.matches, problems));
        if by_these_rules {
            harms(result, problems);
        }
    });
}

/// Checks every field that does not follow from other fields.
fn ranges(result: &ProtocolResult, problems: &mut Problems) {
    let ProtocolResult {
        profile,
        reconstruction: _, // computed()
        mutant,
        variant: _,
        blocked_on_store,
        layout: _,
        cpus,
        tasks_per_cpu,
        seed: _, // any number
        elapsed_s,
        rounds,
        rounds_per_s,
        acquired: _, // any count
        wakes: WakesRecord { issued, no_match: _, runnable: _, activated: _, dropped: _, unaccounted: _ },
        matches,
        nulls,
        races,
        rate: _, // computed()
        interval: _,
        healed,
        unhealed: _,
        heal_ns: _, // gaps()
        harms,
        rescued: _,
        stuck: _,
        former_meanings: _, // only an earlier version's reader adds one
        extra: _,
    } = result;
    let kernels = Profile::ALL.iter().map(|profile| profile.name());
    let known: Vec<&str> = kernels.chain([OLD_DRAFT_WITH_CHECK]).collect();
    problems.one_of("profile", profile, &known);
    if let Some(mutant) = mutant {
        problems.one_of("mutant", mutant, &Mutant::ALL.map(Mutant::name));
    }
    problems.one_of("blocked_on_store", blocked_on_store, &["plain", "nontemporal"]);
    problems.range("cpus", cpus.len(), 1..=MOST_CPUS);
    host::cpus("cpus", cpus, problems);
    problems.range("tasks_per_cpu", *tasks_per_cpu, 1..=MOST_TASKS);
    problems.range("elapsed_s", *elapsed_s, 0.0..=longest_s(true));
    problems.range("rounds_per_s", *rounds_per_s, 0.0..=MOST_PER_SECOND);
    if *elapsed_s == 0.0 && *rounds > 0 {
        problems.say("elapsed_s", format!("is 0, with {rounds} rounds"));
    }
    problems.range("matches", *matches, 0..=*issued);
    problems.range("nulls", *nulls, 0..=*matches);
    problems.range("races", *races, 0..=*nulls);
    let healers: Vec<_> = healed.iter().map(|HealedRecord { by, count: _ }| by).collect();
    problems.distinct("healed", "healer", &healers);
    let ids: Vec<_> = harms.iter().map(|HarmRecord { id, text: _, count: _, expected: _ }| id).collect();
    problems.distinct("harms", "harm", &ids);
}

/// Checks the fields that follow from other fields.
fn computed(result: &ProtocolResult, problems: &mut Problems) {
    let WakesRecord { issued, no_match, runnable, activated, dropped, unaccounted } = result.wakes;
    let sum = |counts: &[u64]| counts.iter().try_fold(0u64, |sum, count| sum.checked_add(*count));
    let ends = sum(&[no_match, runnable, activated, dropped, unaccounted]);
    problems.adds_up("wakes", "the ends of wakeups", ends, issued, "issued");
    problems.adds_up("wakes", "runnable and activated", sum(&[runnable, activated]), result.matches, "matches");
    let counts: Vec<u64> = result.healed.iter().map(|healed| healed.count).collect();
    problems.adds_up("healed", "the counts", sum(&counts), result.heal_ns.count, "heal_ns.count");
    let mut wanted = result.clone();
    wanted.rate = share(result.races, result.matches);
    wanted.interval = interval(result.races, result.matches);
    wanted.rounds_per_s = per_second(result.rounds, result.elapsed_s);
    // Only the drafts of earlier versions were reconstructions.
    let draft = result.subject().is_none_or(|(profile, _)| profile == Profile::Draft);
    wanted.reconstruction &= draft;
    problems.differences(result, &wanted, "the record's other fields give");
}

/// Checks that a harm is marked as expected if, and only if, the profile may show it.
fn harms(result: &ProtocolResult, problems: &mut Problems) {
    let Some((profile, mutant)) = result.subject() else { return };
    problems.each("harms", &result.harms, |problems, found| {
        let Some(harm) = Harm::ALL.into_iter().find(|harm| harm.to_string() == found.id) else { return };
        let wanted = HarmRecord { expected: harm.expected(profile, mutant), ..found.clone() };
        problems.differences(found, &wanted, "its profile gives");
    });
}
