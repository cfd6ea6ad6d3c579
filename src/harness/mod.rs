//! Runs emitted code on pinned threads, batch by batch, and counts outcomes.
//!
//! Code, placement and plan in, [`Tally`] out. Knows nothing of text, files or JSON.

mod arena;
mod barrier;
mod calibrate;
mod classify;
mod disturbance;
mod focus;
mod history;
mod period;
mod run;
mod stress;
mod tally;

pub use calibrate::{choose_group, choose_pace};
pub use run::{Job, Limits, Measurement, Plan, Stop, Warm, default_batch, run};
pub use stress::{Stress, StressKind};
pub use tally::{OutcomeCounts, SkewTally, Tally, gap_histogram, matches, races};
