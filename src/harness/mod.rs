//! Runs emitted machine code on pinned threads, batch by batch, and counts the outcomes.
//!
//! Input: code, placement and plan ([`Job`], [`RunPlan`]). Output: a [`Measurement`] with its [`Tally`]. This
//! module does not depend on the litmus text, on files or on JSON.
//!
//! What is not measured:
//!
//! * Which instructions overlapped. A thread's start is known (its skew and its tick), its course is not.
//! * The state of a line's coherence. The last writer of each variable is known; whether its cache still has the
//!   line is not. Evictions and prefetchers are not seen, nor is a neighbour on the core that mostly waits for memory.
//! * Store buffers and speculation. Only final values are seen, so reordering without an effect on them is not.
//! * Interruptions of less than 20 us, and those by a hypervisor of less than 0.3 ms: such a batch counts.
//! * The state of the machine: frequency, temperature, and, under a hypervisor, which physical CPU runs a thread.
//! * Single instances in time. Counts are kept per batch, and gaps between races count instances and not time.
//!
//! # Example
//!
//! Runs store buffering on two CPUs, without a pace:
//!
//! ```
//! use std::sync::atomic::AtomicBool;
//!
//! use wakerace::arch::Arch;
//! use wakerace::arch::lock::Lock;
//! use wakerace::codegen::{Atomics, Pace, Target};
//! use wakerace::harness::{self, Adapt, Job, Limits, Prefetch, RunPlan};
//! use wakerace::layout::{Layout, LayoutKind};
//! use wakerace::litmus::{self, Source};
//! use wakerace::machine::{self, Clock};
//! use wakerace::units::Ticks;
//! use wakerace::{isa, program};
//!
//! let text = "C SB
//! {}
//! P0(int *x, int *y) { int r0; WRITE_ONCE(*x, 1); r0 = READ_ONCE(*y); }
//! P1(int *x, int *y) { int r0; WRITE_ONCE(*y, 1); r0 = READ_ONCE(*x); }
//! exists (0:r0=0 /\\ 1:r0=0)
//! ";
//! let program = program::lower(&litmus::parse(&Source::new("SB.litmus", text))?)?;
//! let layout = Layout::new(LayoutKind::Padded, &program, 128)?;
//! let target = Target {
//!     arch: Arch::host().expect("an architecture with an emitter"),
//!     atomics: Atomics::of_host(),
//!     lock: Lock::default(),
//! };
//! let code = isa::emit(target, &program, &layout, Pace::Free)?;
//! let allowed = machine::allowed_cpus()?;
//! let cpus = [allowed[0], allowed[1 % allowed.len()]];
//! let job = Job { program: &program, layout: &layout, code: &code, cpus: &cpus, clock: Clock::calibrate() };
//! let plan = RunPlan {
//!     pace: Pace::Free,
//!     period: Ticks(0),
//!     group: 1,
//!     prefetch: Prefetch::Off,
//!     adapt: Adapt::Never,
//!     skews: vec![Ticks(0)],
//!     counter_offsets: Vec::new(),
//!     edges: None,
//!     focus: false,
//!     nice: 0,
//!     event: None,
//!     batch: harness::default_batch(&layout, Pace::Free),
//!     seed: 1,
//!     only_at: None,
//!     finds_neighbours: false,
//!     limits: Limits { iterations: Some(10_000), ..Limits::default() },
//! };
//! let measurement = harness::run(job, &plan, &AtomicBool::new(false), |_| ())?;
//! assert_eq!(measurement.tally.iterations, 10_000);
//! let races = harness::races(&program, &measurement.tally.outcomes());
//! println!("{races} of 10000 iterations had the weak outcome");
//! # Ok::<(), wakerace::error::Error>(())
//! ```

#![warn(clippy::cast_possible_truncation, clippy::cast_possible_wrap, clippy::cast_sign_loss)]

mod arena;
mod calibrate;
mod classify;
mod convert;
mod distance;
mod disturbance;
mod edges;
mod focus;
mod gaps;
mod goal;
mod history;
mod initial;
mod last_writers;
mod leader;
mod look;
mod measurement;
mod neighbours;
mod offsets;
mod period;
mod phases;
mod plan;
mod rendezvous;
mod run;
mod strata;
mod stress;
mod tally;
mod worker;

pub use arena::Memory;
pub use calibrate::{choose_group, choose_pace};
pub use convert::whole;
pub use edges::{Chain, EdgePlan, Gap, chains, unfit};
pub use focus::{ENOUGH, focus, peaks_at_an_end};
pub use goal::Goal;
pub use history::Block;
pub use measurement::{BestPeriod, Measurement, Stop};
pub use phases::{Phases, line_transfers};
pub use plan::{Adapt, Job, Limits, Prefetch, RunPlan, default_batch};
pub use run::{run, run_briefly, run_in};
pub use strata::{AtDistance, DistanceCounts, WithoutNeighbour};
pub use stress::{Stress, StressKind};
pub use tally::{LastWriterTally, OutcomeCounts, SkewTally, SlotTally, Tally, gap_histogram, matches, races};
