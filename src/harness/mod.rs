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
mod run;
mod tally;

pub use calibrate::choose_pace;
pub use run::{Job, Limits, Measurement, Plan, Stop, default_batch, run};
pub use tally::{OutcomeCounts, SkewTally, Tally, gap_histogram, matches, races};
