//! The mutex and wakeup protocol as an experiment: tasks that lock and unlock, interrupts that wake, on pinned threads.
//!
//! [`crate::kernel`] is the protocol; this is what it is made to do, for how long, and what was counted.

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
