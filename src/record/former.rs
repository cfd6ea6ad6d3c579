//! Fields that mean something else in results of an earlier version of the format.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A field of a result that keeps the meaning of an earlier version.
///
/// The reader of that version adds it, because the value in the current meaning cannot be computed from the
/// record. A sum never mixes two meanings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum FormerMeaning {
    /// `in_batches_s` counts from 2 us before the first tick of each batch.
    InBatchesFromHeadStart,
    /// `iterations` includes the instances whose outcome fails the test's filter. They count as iterations
    /// without a race, and `filtered` is 0.
    FilteredAreIterations,
    /// `healed` includes tasks that were lost and that the monitor put back on a runqueue. They count as
    /// healed by a later wakeup and not in `unhealed`.
    RescuedAreHealed,
}

impl FormerMeaning {
    /// All former meanings.
    pub const ALL: [FormerMeaning; 3] =
        [FormerMeaning::InBatchesFromHeadStart, FormerMeaning::FilteredAreIterations, FormerMeaning::RescuedAreHealed];

    /// The field, as it is named in messages.
    pub const fn field(self) -> &'static str {
        match self {
            FormerMeaning::InBatchesFromHeadStart => "the meaning of in_batches_s",
            FormerMeaning::FilteredAreIterations => "the meaning of iterations",
            FormerMeaning::RescuedAreHealed => "the meaning of healed",
        }
    }

    /// The current meaning of the field, and the former one.
    pub const fn meanings(self) -> (&'static str, &'static str) {
        match self {
            FormerMeaning::InBatchesFromHeadStart => ("from the first tick", "from 2 us before the first tick"),
            FormerMeaning::FilteredAreIterations => {
                ("without instances that the filter excludes", "with instances that the filter excludes")
            }
            FormerMeaning::RescuedAreHealed => ("without rescued tasks", "with rescued tasks"),
        }
    }
}
