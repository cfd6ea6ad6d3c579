//! Keeps what the searches of a run found, for the runs after it.

use super::args::RunArgs;
use crate::cli::settings;
use crate::error::Result;
use crate::experiment::Experiment;
use crate::machine::{Clock, Host};
use crate::profile::kept::{self, Kept, KeptSettings};
use crate::record::Record;
use crate::search::{Chosen, Knowledge};
use crate::{shown, terminal};

/// What earlier runs on this host found, if a run with these options uses it. A file that cannot be used is named on standard error, and
/// replaced after the run.
pub(super) fn read(args: &RunArgs, host: &Host) -> Option<KeptSettings> {
    let path = kept::path(host).filter(|path| is_plain(args) && args.profile.is_none() && path.exists())?;
    let valid = |kept: KeptSettings| {
        let each = kept.kept.iter().map(|kept| settings::of_kept(kept, host.clock_measured).map(drop));
        each.collect::<Result<()>>().map_err(|error| error.of_option(&shown::path(&path)))?;
        Ok(kept)
    };
    match KeptSettings::read(&path, host).and_then(valid) {
        Ok(kept) => Some(kept),
        Err(error) => {
            terminal::err(&format!("what earlier runs found is not used: {error}\n"));
            None
        }
    }
}

/// Notes what the tests that race profited from in earlier runs, for the tests that do not. The period is in ticks of this clock.
///
/// # Errors
/// As [`settings::of_kept`].
pub(super) fn recall(kept: &KeptSettings, clock: Clock, knowledge: &mut Knowledge) -> Result<()> {
    for kept in kept.kept.iter().filter(|kept| kept.races) {
        let Chosen { arm, distance_ns, .. } = settings::of_kept(kept, clock)?;
        knowledge.learn(&kept.cpus, arm, distance_ns, 1.0);
    }
    Ok(())
}

/// Keeps what the searches of a run found. An interrupted run keeps nothing, as its last search may have been cut short.
pub(super) fn keep(args: &RunArgs, record: &Record, experiments: &[Experiment<'_>]) {
    let of_this_host = args.profile.as_deref().is_none_or(|profile| profile == "none");
    if !is_plain(args) || !of_this_host || args.output.no_save || record.interrupted {
        return;
    }
    if let Err(error) = write(record, experiments) {
        terminal::err(&format!("what the searches found is not kept for later runs: {error}\n"));
    }
}

/// Whether no option changes how instances are run.
fn is_plain(args: &RunArgs) -> bool {
    args.measure_given.is_empty()
}

fn write(record: &Record, experiments: &[Experiment<'_>]) -> Result<()> {
    let Some(path) = kept::path(&record.host) else { return Ok(()) };
    let found: Vec<Kept> = experiments.iter().flat_map(|experiment| found(record, experiment)).collect();
    if found.is_empty() {
        return Ok(());
    }
    // Another run may have written it meanwhile.
    let mut all = KeptSettings::read(&path, &record.host).unwrap_or_else(|_| KeptSettings::new(&record.host));
    let mut changed = false;
    for found in found {
        changed |= all.put(found);
    }
    if changed { all.write(&path) } else { Ok(()) }
}

/// What the searches of one experiment found.
fn found(record: &Record, experiment: &Experiment<'_>) -> Vec<Kept> {
    let Experiment { scenario, placement, common, choice, .. } = experiment;
    let Some(searching) = &choice.searching else { return Vec::new() };
    let Some(searched_s) = searching.seconds(&common.limits) else { return Vec::new() };
    let of_this = record
        .results
        .iter()
        .filter(|result| scenario.sha256 == result.source_sha256 && result.placement.cpus == placement.cpus);
    let races = of_this.map(|result| result.seen().1).sum::<u64>() > 0;
    let knowledge = searching.knowledge.lock().expect("no thread panics while holding this lock");
    let kept = |chosen: &Chosen| Kept {
        scenario: scenario.name.clone(),
        source_sha256: scenario.sha256.to_string(),
        cpus: placement.cpus.clone(),
        settings: settings::of_arm(chosen.arm),
        distance_ns: chosen.distance_ns,
        period_ns: settings::period_ns(chosen, common.units()),
        reach: chosen.reach,
        races,
        searched_s,
        wakerace: kept::VERSION.to_owned(),
        when: record.started.clone(),
    };
    knowledge.chosen(&placement.cpus, &scenario.sha256).iter().map(kept).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::profile::Settings;
    use crate::search::Arm;

    #[test]
    fn tests_learn_from_those_that_raced() {
        let kept = |group: usize, races| Kept {
            scenario: "SB".to_owned(),
            source_sha256: group.to_string(),
            cpus: vec![0, 1],
            settings: Settings { group: Some(group), ..Settings::default_paced() },
            distance_ns: Some(30.0),
            period_ns: Some(100.0),
            reach: 1,
            races,
            searched_s: 1.0,
            wakerace: kept::VERSION.to_owned(),
            when: "2026-11-28T01:02:03Z".to_owned(),
        };
        let host = crate::record::shipped("2026-11-26T093808Z").host;
        let all = KeptSettings { kept: vec![kept(4, true), kept(8, false)], ..KeptSettings::new(&host) };
        let mut knowledge = Knowledge::default();
        recall(&all, host.clock_measured, &mut knowledge).unwrap();
        let value = |cpus: &[usize], group| knowledge.value(cpus, Arm { group, ..Arm::FIRST }, Some(31.0));
        assert_eq!([value(&[0, 1], 4), value(&[0, 1], 8), value(&[1, 0], 4)], [Some(1.0), None, None]);
    }
}
