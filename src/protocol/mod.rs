//! The mutex and wakeup protocol as an experiment: tasks lock and unlock, interrupts wake them, on pinned
//! threads.
//!
//! [`crate::kernel`] is the protocol. This module is the workload: what the tasks do, for how long, and what
//! is counted.

mod dump;
mod monitor;
mod plan;
mod run;
mod settle;
mod threads;
mod workload;
mod world;

pub use plan::{LAYOUTS, Plan, Variant};
pub use run::{Outcome, Progress, Stuck, run};
pub use workload::Wakes;
