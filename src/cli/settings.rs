//! Conversion of a profile's settings to the settings of an experiment.

use crate::error::{Error, Result};
use crate::experiment::{Choice, LARGEST_BATCH, LARGEST_GROUP, PaceChoice};
use crate::profile::{Settings, Tuned};
use crate::record::ScenarioResult;

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
    let day = tuned.when.split('T').next().unwrap_or_default();
    choice(&tuned.settings, Some(format!("tuned on {} on {day}", tuned.mutant)))
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
        for (pace, layout) in [("fast", "dense"), ("paced", "round")] {
            let settings = Settings { pace: pace.to_owned(), layout: layout.to_owned(), ..settings.clone() };
            assert!(choice(&settings, None).is_err_and(|error| error.to_string().starts_with("profile: ")));
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
