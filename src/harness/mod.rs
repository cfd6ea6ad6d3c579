//! Runs emitted machine code on pinned threads, batch by batch, and counts the outcomes.
//!
//! Input: code, placement and plan ([`Job`], [`RunPlan`]). Output: a [`Measurement`] with its [`Tally`]. This
//! module does not depend on the litmus text, on files or on JSON.
//!
//! What is not measured:
//!
//! * Which instructions overlapped. A thread's start is known (its skew and its tick), its course is not.
//! * The state of a line's coherence. The last writer of each variable is known; whether its cache still has the
//!   line is not. Evictions, prefetchers and the other hardware thread of a core are not seen.
//! * Store buffers and speculation. Only final values are seen, so reordering without an effect on them is not.
//! * The time that a hypervisor takes a virtual CPU away for less than [`STOLEN`](disturbance): such a batch counts.
//! * The state of the machine: frequency, temperature, and, under a hypervisor, which physical CPU runs a thread.
//! * Single instances in time. Counts are kept per batch, and gaps between races count instances and not time.

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
mod measurement;
mod period;
mod plan;
mod rendezvous;
mod run;
mod stress;
mod tally;

pub use calibrate::{choose_group, choose_pace};
pub use history::Block;
pub use measurement::{Measurement, Stop};
pub use plan::{Adapt, Job, Limits, Prefetch, RunPlan, default_batch};
pub use run::run;
pub use stress::{Stress, StressKind};
pub use tally::{LastWriterTally, OutcomeCounts, SkewTally, Tally, gap_histogram, matches, races};
