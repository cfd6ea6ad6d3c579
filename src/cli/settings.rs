//! What a profile says, as an experiment takes it.

use crate::error::{Error, Result};
use crate::experiment::{Choice, PaceChoice};
use crate::profile::{Settings, Tuned};

/// Settings as an experiment takes them.
///
/// # Errors
/// If there are no such settings.
pub(super) fn choice(settings: &Settings, profile: Option<String>) -> Result<Choice> {
    let wrong = |reason: String| Error::Usage(format!("profile: {reason}"));
    let pace = match settings.pace.as_str() {
        "free" => PaceChoice::Free { given: false },
        "paced" => PaceChoice::Paced { given: false, period: None, skews: None },
        other => return Err(wrong(format!("unknown pace '{other}'; known are free and paced"))),
    };
    if settings.group.is_some_and(|group| group == 0 || group > 4096) || settings.batch == Some(0) {
        return Err(wrong("a group or batch of no instances, or of too many".to_owned()));
    }
    Ok(Choice {
        pace,
        layout: settings.layout.parse().map_err(wrong)?,
        batch: settings.batch,
        group: settings.group,
        warm: settings.warm,
        stress: settings.stress,
        profile,
    })
}

/// What a profile says of a test, as an experiment takes it.
///
/// # Errors
/// If the profile has no such settings.
pub(super) fn tuned(tuned: &Tuned) -> Result<Choice> {
    let day = tuned.when.split('T').next().unwrap_or_default();
    choice(&tuned.settings, Some(format!("tuned on {} on {day}", tuned.mutant)))
}
