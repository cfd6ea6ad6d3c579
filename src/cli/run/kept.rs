//! Keeps what the searches of a run found, for the runs after it.

use std::path::Path;

use super::args::RunArgs;
use crate::cli::settings;
use crate::error::{Error, Result};
use crate::experiment::Experiment;
use crate::machine::{Clock, Host};
use crate::profile::kept::{self, Kept, KeptSettings};
use crate::record::Record;
use crate::search::{Chosen, Knowledge};
use crate::{files, shown, terminal};

/// Where the settings of a result come from that an earlier run found.
pub(super) const NAME: &str = "found by an earlier run";

/// What earlier runs on this host found, if a run with these options uses it. What cannot be used is named on standard error, and
/// replaced after the run.
pub(super) fn read(args: &RunArgs, host: &Host) -> Option<KeptSettings> {
    let path = kept::path(host).filter(|path| is_plain(args) && args.profile.is_none() && path.is_file())?;
    let (kept, wrong) = match usable(&path, host) {
        Ok((kept, wrong)) => (Some(kept), wrong),
        Err(error) => (None, Some(error)),
    };
    if let Some(error) = wrong {
        terminal::err(&format!("what earlier runs found is not used: {error}\n"));
    }
    kept
}

/// The kept settings of a file without those that no run can have, and what is wrong with the first of these.
fn usable(path: &Path, host: &Host) -> Result<(KeptSettings, Option<Error>)> {
    let mut all = KeptSettings::read(path, host)?;
    let mut wrong = None;
    all.kept.retain(|kept| {
        let error = settings::of_kept(kept, host.clock_measured).err();
        let is_usable = error.is_none();
        wrong = wrong.take().or(error);
        is_usable
    });
    Ok((all, wrong.map(|error| error.of_option(&shown::path(path)))))
}

/// Notes the arms of the tests that raced in earlier runs, for the tests that do not race. The periods are in ticks of this clock.
///
/// # Errors
/// As [`settings::of_kept`].
pub(super) fn recall(kept: &KeptSettings, clock: Clock, knowledge: &mut Knowledge) -> Result<()> {
    for kept in kept.own().filter(|kept| kept.races) {
        let Chosen { arm, distance_ns, .. } = settings::of_kept(kept, clock)?;
        knowledge.recall(&kept.cpus, arm, distance_ns);
    }
    Ok(())
}

/// Keeps what the searches of a run found. A search that an interrupt cut short has found nothing.
pub(super) fn keep(args: &RunArgs, record: &Record, experiments: &[Experiment<'_>]) {
    let of_this_host = args.profile.as_deref().is_none_or(|profile| profile == "none");
    if !is_plain(args) || !of_this_host || args.output.no_save {
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
    let Found { searched, settled } =
        experiments.iter().fold(Found::default(), |all, experiment| all.plus(found(record, experiment)));
    if searched.is_empty() && !path.is_file() {
        return Ok(());
    }
    if path.exists() && !path.is_file() {
        return Err(Error::Usage(format!("{}: not a regular file", shown::path(&path))));
    }
    files::alone(&path, || {
        // Another run may have written it since this one began.
        let known = usable(&path, &record.host);
        let (mut all, wrong) = known.unwrap_or_else(|_| (KeptSettings::new(&record.host), None));
        let mut changed = wrong.is_some();
        for searched in searched {
            changed |= all.put(searched);
        }
        for settled in settled {
            changed |= all.settle(&settled);
        }
        if changed { all.write(&path) } else { Ok(()) }
    })
}

/// What runs found.
#[derive(Default)]
struct Found {
    /// What their searches chose.
    searched: Vec<Kept>,
    /// Settings of runs, with the period that had the most races.
    settled: Vec<Kept>,
}

impl Found {
    fn plus(mut self, more: Found) -> Found {
        self.searched.extend(more.searched);
        self.settled.extend(more.settled);
        self
    }
}

/// What the runs of one experiment found.
fn found(record: &Record, experiment: &Experiment<'_>) -> Found {
    let Experiment { scenario, placement, common, choice, .. } = experiment;
    let Some(searching) = &choice.searching else { return Found::default() };
    let of_this = record
        .results
        .iter()
        .filter(|result| scenario.sha256 == result.source_sha256 && result.placement.cpus == placement.cpus);
    let races = of_this.map(|result| result.seen().1).sum::<u64>() > 0;
    let knowledge = searching.knowledge.lock().expect("no thread panics while holding this lock");
    let kept = |chosen: &Chosen, searched_s: f64| Kept {
        scenario: scenario.name.clone(),
        source_sha256: scenario.sha256.to_string(),
        cpus: placement.cpus.clone(),
        settings: settings::of_arm(chosen.arm),
        distance_ns: chosen.distance_ns,
        period_ns: settings::period_ns(chosen, common.units()),
        best_period_ns: settings::best_period_ns(chosen, common.units()),
        reach: chosen.reach,
        races,
        searched_s,
        wakerace: kept::VERSION.to_owned(),
        when: record.started.clone(),
    };
    let (cpus, test) = (&placement.cpus, &scenario.sha256);
    Found {
        searched: knowledge.searched(cpus, test).map(|(chosen, searched_s)| kept(chosen, searched_s)).collect(),
        settled: knowledge.settled(cpus, test).iter().map(|settled| kept(&settled.chosen, 0.0)).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::profile::Settings;
    use crate::search::Arm;

    fn kept(group: usize, races: bool) -> Kept {
        Kept {
            scenario: "SB".to_owned(),
            source_sha256: group.to_string(),
            cpus: vec![0, 1],
            settings: Settings { group: Some(group), ..Settings::default_paced() },
            distance_ns: Some(30.0),
            period_ns: Some(100.0),
            best_period_ns: None,
            reach: 1,
            races,
            searched_s: 1.0,
            wakerace: kept::VERSION.to_owned(),
            when: "2026-11-28T01:02:03Z".to_owned(),
        }
    }

    #[test]
    fn tests_learn_from_those_that_raced() {
        let host = crate::record::shipped("2026-11-26T093808Z").host;
        let all = KeptSettings { kept: vec![kept(4, true), kept(8, false)], ..KeptSettings::new(&host) };
        let mut knowledge = Knowledge::default();
        recall(&all, host.clock_measured, &mut knowledge).unwrap();
        let value = |cpus: &[usize], group| knowledge.value(cpus, Arm { group, ..Arm::FIRST }, Some(31.0));
        assert_eq!([value(&[0, 1], 4), value(&[0, 1], 8), value(&[1, 0], 4)], [Some(1.0), Some(0.5), None]);
    }

    #[test]
    fn settings_that_no_run_can_have_are_left_out_and_named() {
        let host = crate::record::shipped("2026-11-26T093808Z").host;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("kept.json");
        let all = KeptSettings { kept: vec![kept(0, true), kept(8, false)], ..KeptSettings::new(&host) };
        all.write(&path).unwrap();
        let (left, wrong) = usable(&path, &host).unwrap();
        assert_eq!(left.kept, [kept(8, false)]);
        let wrong = wrong.unwrap().to_string();
        assert!(wrong.contains("kept.json: SB: group is out of range; expected 1 to "), "{wrong}");
    }
}
