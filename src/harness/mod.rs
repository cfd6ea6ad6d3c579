//! Runs emitted machine code on pinned threads, batch by batch, and counts the outcomes.
//!
//! Input: code, placement and plan ([`Job`], [`RunPlan`]). Output: a [`Measurement`] with its [`Tally`]. This
//! module does not depend on the litmus text, on files or on JSON.

#![warn(clippy::cast_possible_truncation, clippy::cast_possible_wrap, clippy::cast_sign_loss)]

mod arena;
mod calibrate;
mod classify;
mod convert;
mod disturbance;
mod focus;
mod gaps;
mod history;
mod initial;
mod last_writers;
mod leader;
mod period;
mod plan;
mod rendezvous;
mod run;
mod stress;
mod tally;

pub use calibrate::{choose_group, choose_pace};
pub use history::Block;
pub use plan::{Adapt, Job, Limits, Measurement, Prefetch, RunPlan, Stop, default_batch};
pub use run::run;
pub use stress::{Stress, StressKind};
pub use tally::{LastWriterTally, OutcomeCounts, SkewTally, Tally, gap_histogram, matches, races};
