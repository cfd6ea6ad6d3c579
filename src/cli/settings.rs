//! Conversion of the settings of profiles, and of kept ones, to those of an experiment and back.

use crate::error::{Error, Result};
use crate::experiment::{Choice, LARGEST_BATCH, LARGEST_GROUP, PaceChoice};
use crate::harness::{Prefetch, whole};
use crate::machine::Clock;
use crate::profile::kept::Kept;
use crate::profile::{Settings, Tuned};
use crate::publish;
use crate::record::ScenarioResult;
use crate::search::{Arm, ArmPace, Chosen};
use crate::units::{Nanos, Ticks};

/// The longest period and distance of a profile, in nanoseconds, and the widest reach. A search finds much smaller ones.
const LONGEST_NS: f64 = 1e6;
const WIDEST: u32 = 64;

/// Converts settings to the form that an experiment takes. `profile` says which profile they are from.
///
/// # Errors
/// If the pace or the layout is unknown, or if the group or the batch is out of range.
pub(super) fn choice(settings: &Settings, profile: Option<String>) -> Result<Choice> {
    let wrong = |reason: String| Error::Usage(format!("profile: {reason}"));
    let pace = match settings.pace.as_str() {
        "free" => PaceChoice::Free { given: false },
        "paced" => PaceChoice::Paced { given: false, period: None, skews: None },
        other => return Err(wrong(format!("unknown pace '{other}'; known are free and paced"))),
    };
    for (what, count, most) in [("group", settings.group, LARGEST_GROUP), ("batch", settings.batch, LARGEST_BATCH)] {
        if count.is_some_and(|count| !(1..=most).contains(&count)) {
            return Err(wrong(format!("{what} is out of range; expected 1 to {most} instances")));
        }
    }
    Ok(Choice {
        pace,
        layout: settings.layout.parse().map_err(wrong)?,
        batch: settings.batch,
        group: settings.group,
        prefetch: settings.prefetch,
        stress: settings.stress,
        profile,
        searching: None,
    })
}

/// Settings in the words of the sentences below a table: `dense, 16 instances per tick, prefetched`.
pub(super) fn in_words(settings: &Settings) -> String {
    if *settings == Settings::default_paced() {
        return "the default settings".to_owned();
    }
    let Settings { pace, layout, group, prefetch, batch, stress } = settings;
    let batch = batch.map_or(String::new(), |batch| format!(", batches of {batch}"));
    let stress = stress.map_or(String::new(), |stress| format!(", {stress} stress"));
    format!("{}{batch}{stress}", publish::settings_words(pace, layout, group.unwrap_or(1), *prefetch))
}

/// The settings that the search before a result has chosen. Those without a search if it has chosen the first.
pub(super) fn of(result: &ScenarioResult) -> Settings {
    let Some(search) = result.search.as_ref().filter(|search| search.chosen != 0) else {
        return Settings::default_paced();
    };
    let arm = &search.arms[search.chosen];
    Settings {
        pace: arm.pace.clone(),
        layout: arm.layout.clone(),
        group: (arm.pace == "paced").then_some(arm.group),
        prefetch: arm.prefetch,
        batch: arm.batch,
        stress: arm.stress.as_deref().and_then(|stress| stress.parse().ok()),
    }
}

/// Converts a profile's settings for one test to the form that an experiment takes.
///
/// # Errors
/// As [`choice`].
pub(super) fn tuned(tuned: &Tuned) -> Result<Choice> {
    choice(&tuned.settings, Some(name(tuned))).map_err(|error| of_test(error, &tuned.scenario))
}

/// The name of a profile's settings for one test: `tuned on SB on 2026-11-28`.
pub(super) fn name(tuned: &Tuned) -> String {
    let day = tuned.when.split('T').next().unwrap_or_default();
    format!("tuned on {} on {day}", tuned.mutant)
}

/// A profile's settings as what a search has chosen at a distance; `None` if they are for any distance. The period is in ticks of this clock.
///
/// # Errors
/// As [`choice`], and if the distance, the period or the reach is out of range.
pub(super) fn chosen(tuned: &Tuned, clock: Clock) -> Result<Option<Chosen>> {
    let Some(distance_ns) = tuned.distance_ns else { return Ok(None) };
    let reach = tuned.reach.unwrap_or(1);
    let chosen = chosen_at(&tuned.settings, Some(distance_ns), (tuned.period_ns, reach), clock);
    chosen.map(Some).map_err(|error| of_test(error, &tuned.scenario))
}

/// Kept settings as what a search has chosen. The period is in ticks of this clock.
///
/// # Errors
/// As [`chosen`], with the name of the test.
pub(super) fn of_kept(kept: &Kept, clock: Clock) -> Result<Chosen> {
    let of_test = |error| of_test(error, &kept.scenario);
    let chosen = chosen_at(&kept.settings, kept.distance_ns, (kept.period_ns, kept.reach), clock).map_err(of_test)?;
    let paced = chosen.arm.pace == ArmPace::Paced;
    let best = kept.best_period_ns.filter(|_| paced);
    let best = best.map(|ns| within("best_period_ns", ns, LONGEST_NS)).transpose().map_err(of_test)?;
    Ok(Chosen { best_period_ticks: best.map(|ns| clock.ticks(Nanos(ns)).0 as f64), ..chosen })
}

/// An error about the settings of a profile, with the name of their test.
fn of_test(error: Error, scenario: &str) -> Error {
    match error {
        Error::Usage(words) => {
            Error::Usage(format!("{scenario}: {}", words.strip_prefix("profile: ").unwrap_or(&words)))
        }
        other => other,
    }
}

/// A value of a profile, which must be in a range.
fn within(what: &str, value: f64, most: f64) -> Result<f64> {
    let wrong = || Error::Usage(format!("profile: {what} is out of range; expected more than 0 and at most {most}"));
    (value > 0.0 && value <= most).then_some(value).ok_or_else(wrong)
}

fn chosen_at(
    settings: &Settings,
    distance_ns: Option<f64>,
    (period_ns, reach): (Option<f64>, u32),
    clock: Clock,
) -> Result<Chosen> {
    let Choice { pace, layout, batch, group, prefetch, stress, .. } = choice(settings, None)?;
    let paced = matches!(pace, PaceChoice::Paced { .. });
    let period = period_ns.filter(|_| paced).map(|ns| within("period_ns", ns, LONGEST_NS)).transpose()?;
    within("reach", reach.into(), WIDEST.into())?;
    let arm = Arm {
        pace: if paced { ArmPace::Paced } else { ArmPace::Free },
        layout,
        group: group.unwrap_or(1),
        prefetch: if paced { prefetch } else { Prefetch::Off },
        batch,
        stress,
        stretch: 1,
    };
    let distance_ns = distance_ns.map(|ns| within("distance_ns", ns, LONGEST_NS)).transpose()?;
    let period_ticks = period.map_or(0.0, |ns| clock.ticks(Nanos(ns)).0 as f64);
    Ok(Chosen { arm, period_ticks, best_period_ticks: None, reach, distance_ns })
}

/// The settings of an arm.
pub(super) fn of_arm(arm: Arm) -> Settings {
    let paced = arm.pace == ArmPace::Paced;
    Settings {
        pace: if paced { "paced" } else { "free" }.to_owned(),
        layout: arm.layout.to_string(),
        group: paced.then_some(arm.group),
        prefetch: arm.prefetch,
        batch: arm.batch,
        stress: arm.stress,
    }
}

/// The period of what a search has chosen, in nanoseconds; `None` if it runs free. `clock` is that of its ticks.
pub(super) fn period_ns(chosen: &Chosen, clock: Clock) -> Option<f64> {
    (chosen.period_ticks > 0.0).then(|| clock.nanos(Ticks::from(whole(chosen.period_ticks))).0)
}

/// The best period of settings, in nanoseconds; `None` if it is not known. `clock` is that of its ticks.
pub(super) fn best_period_ns(chosen: &Chosen, clock: Clock) -> Option<f64> {
    chosen.best_period_ticks.map(|ticks| clock.nanos_of(ticks).0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_field_of_a_profile_reaches_the_run() {
        let settings = Settings {
            pace: "paced".to_owned(),
            layout: "dense".to_owned(),
            group: Some(8),
            prefetch: crate::harness::Prefetch::On,
            batch: Some(512),
            stress: Some(crate::harness::StressKind::Sets),
        };
        let of = |settings: &Settings| choice(settings, Some("p".to_owned())).unwrap();
        let found = of(&settings);
        assert_eq!(found.pace, PaceChoice::Paced { given: false, period: None, skews: None });
        assert_eq!((found.layout.to_string().as_str(), found.group, found.batch), ("dense", Some(8), Some(512)));
        assert_eq!(
            (found.prefetch, found.stress, found.profile.as_deref()),
            (settings.prefetch, settings.stress, Some("p"))
        );
        assert_eq!(
            of(&Settings { pace: "free".to_owned(), ..settings.clone() }).pace,
            PaceChoice::Free { given: false }
        );
        assert_eq!(in_words(&settings), "dense, 8 instances per tick, prefetched, batches of 512, sets stress");
        assert_eq!(in_words(&Settings::default_paced()), "the default settings");
        for (pace, layout) in [("fast", "dense"), ("paced", "round")] {
            let settings = Settings { pace: pace.to_owned(), layout: layout.to_owned(), ..settings.clone() };
            assert!(choice(&settings, None).is_err_and(|error| error.to_string().starts_with("profile: ")));
        }
    }

    fn tuned() -> Tuned {
        Tuned {
            scenario: "SB".to_owned(),
            mutant: "MP".to_owned(),
            class: crate::machine::Class::Core,
            kinds: Vec::new(),
            settings: Settings { group: Some(8), batch: Some(512), ..Settings::default_paced() },
            distance_ns: Some(30.0),
            period_ns: Some(100.0),
            reach: Some(4),
            races_per_s: 2.0,
            default_races_per_s: 1.0,
            when: "2026-11-28T01:02:03Z".to_owned(),
        }
    }

    /// What `tune` has found at a distance is what a search has chosen there.
    #[test]
    fn a_profile_has_what_a_search_has_chosen() {
        let clock = Clock { frequency_hz: 2e9, resolution_ticks: 1, read_ticks: 20 };
        let arm = Arm { group: 8, batch: Some(512), ..Arm::FIRST };
        let wanted = Chosen { arm, period_ticks: 200.0, best_period_ticks: None, reach: 4, distance_ns: Some(30.0) };
        assert_eq!(chosen(&tuned(), clock).unwrap(), Some(wanted));
        assert_eq!(name(&tuned()), "tuned on MP on 2026-11-28");
        assert_eq!(chosen(&Tuned { distance_ns: None, ..tuned() }, clock).unwrap(), None);
        let shorter = Tuned { period_ns: None, reach: None, ..tuned() };
        let wanted = Chosen { period_ticks: 0.0, reach: 1, ..wanted };
        assert_eq!(chosen(&shorter, clock).unwrap(), Some(wanted));
        let free = Settings { pace: "free".to_owned(), group: None, ..tuned().settings };
        let found = chosen(&Tuned { settings: free, ..tuned() }, clock).unwrap().unwrap();
        let arm = Arm { pace: ArmPace::Free, prefetch: Prefetch::Off, group: 1, ..arm };
        assert_eq!((found.arm, found.period_ticks), (arm, 0.0));
        for (wrong, name) in [
            (Tuned { distance_ns: Some(0.0), ..tuned() }, "distance_ns"),
            (Tuned { distance_ns: Some(1e7), ..tuned() }, "distance_ns"),
            (Tuned { period_ns: Some(-1.0), ..tuned() }, "period_ns"),
            (Tuned { reach: Some(0), ..tuned() }, "reach"),
            (Tuned { reach: Some(65), ..tuned() }, "reach"),
        ] {
            let error = chosen(&wrong, clock).unwrap_err().to_string();
            assert!(
                error.starts_with(&format!("SB: {name} is out of range; expected more than 0 and at most ")),
                "{error}"
            );
        }
        let wrong = Settings { group: Some(0), ..tuned().settings };
        assert!(chosen(&Tuned { settings: wrong, ..tuned() }, clock).is_err());
    }

    #[test]
    fn only_paced_settings_have_a_best_period() {
        let clock = Clock { frequency_hz: 2e9, resolution_ticks: 1, read_ticks: 20 };
        let kept = |pace: &str, best_period_ns| Kept {
            scenario: "SB".to_owned(),
            source_sha256: String::new(),
            cpus: vec![0, 1],
            settings: Settings { pace: pace.to_owned(), ..Settings::default_paced() },
            distance_ns: None,
            period_ns: Some(60.0),
            best_period_ns,
            reach: 1,
            races: true,
            searched_s: 1.0,
            wakerace: String::new(),
            when: String::new(),
        };
        let found = |kept: &Kept| {
            let chosen = of_kept(kept, clock).unwrap();
            (chosen.period_ticks, chosen.best_period_ticks)
        };
        assert_eq!(found(&kept("paced", Some(75.0))), (120.0, Some(150.0)));
        assert_eq!(found(&kept("free", Some(75.0))), (0.0, None));
        assert_eq!(found(&kept("paced", None)), (120.0, None));
        for wrong in [-75.0, 1e9] {
            let error = of_kept(&kept("paced", Some(wrong)), clock).unwrap_err().to_string();
            assert!(error.starts_with("SB: best_period_ns is out of range; expected more than 0"), "{error}");
        }
    }

    /// An edited profile must keep the limits of `--group` and `--batch`.
    #[test]
    fn a_profile_is_held_to_the_limits_of_the_flags() {
        let settings = Settings::default_paced();
        let with =
            |group, batch| choice(&Settings { group, batch, ..settings.clone() }, None).map(|choice| choice.batch);
        assert_eq!(with(Some(LARGEST_GROUP), Some(LARGEST_BATCH)).unwrap(), Some(LARGEST_BATCH));
        for (group, batch) in
            [(Some(0), None), (None, Some(0)), (Some(LARGEST_GROUP + 1), None), (None, Some(LARGEST_BATCH + 1))]
        {
            let error = with(group, batch).unwrap_err().to_string();
            assert!(
                error.contains(if group.is_some() {
                    "group is out of range; expected 1 to 4096"
                } else {
                    "batch is out of range; expected 1 to"
                }),
                "{error}"
            );
        }
    }
}
